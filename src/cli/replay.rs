//! `netpol replay`: recorded flows against a policy.

mod logs;
mod missing;
mod shown;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::session::{Arguments, Session};
use super::{Exit, Fatal, Global, to_stdout};
use crate::model::rules::RuleId;
use crate::policy::Policy;
use crate::replay::{Found, Replay, suggest};
#[cfg(feature = "wasm-run")]
use crate::{
    policy::{Flow, Verdict},
    replay::Judge,
};
use logs::{Log, Next};
use missing::Missing;
use shown::{Summary, Told, of_policy};

/// Say which flows of a log a policy would deny, and which of its rules the log uses
#[derive(clap::Args)]
#[command(mut_arg("paths", |paths| {
    paths.long("policy").num_args(1).help("Policy files or folders; the current folder where none is given")
}))]
pub struct Args {
    /// Logs of Hubble, ztunnel or Envoy in JSON, or lines of `eval --flows`; gzip and zstd are unpacked, - is stdin
    #[arg(value_name = "LOG|-", required = true)]
    logs: Vec<PathBuf>,
    /// How the summary is printed
    #[arg(long, value_name = "FORMAT", default_value = "human", value_parser = format())]
    format: Format,
    /// Print the rules that the denied flows lack, as a policy file, the tightest first
    #[arg(long)]
    suggest: bool,
    /// Ask an evaluator module (build --target wasm) instead of policy files
    #[cfg(feature = "wasm-run")]
    #[arg(long, value_name = "FILE", conflicts_with = "suggest")]
    module: Option<PathBuf>,
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Human,
    Markdown,
    Json,
}

fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(["human", "markdown", "json"]).map(|word| match word.as_str() {
        "markdown" => Format::Markdown,
        "json" => Format::Json,
        _ => Format::Human,
    })
}

/// Replays the logs. Fails if the policy would deny one of their flows, or has errors.
pub fn run(args: &Args, global: &Global) -> Result<Exit, Fatal> {
    #[cfg(feature = "wasm-run")]
    if let Some(module) = &args.module {
        return by_module(module, args, global);
    }
    let mut session = Session::open(&args.arguments, global)?;
    let Some(policy) = policy(&mut session, args, global)? else { return Ok(1) };
    let mut replay = Replay::new(&policy);
    if args.suggest {
        replay.keep_flows();
    }
    let found = take_all(replay, args)?;
    let suggested = args.suggest.then(|| suggest(&policy, &found.kept, &mut |rules| session.trial(rules)));
    let sources = &session.input.sources;
    let missing = suggested.as_ref().map(|suggested| Missing { suggested, policy: &policy, sources });
    show(args, &session, &found, &|at| of_policy(&policy, sources, at), missing.as_ref())
}

/// Replays the logs with a module: only the inventory says who the parties of a flow are.
#[cfg(feature = "wasm-run")]
fn by_module(module: &std::path::Path, args: &Args, global: &Global) -> Result<Exit, Fatal> {
    if args.arguments.names_files() {
        return Err(Fatal::new("the policy is in the module; name no policy files beside `--module`"));
    }
    let mut session = Session::without_policy(&args.arguments, global)?;
    let Some(facts) = policy(&mut session, args, global)? else { return Ok(1) };
    let module = super::asked::load(module)?;
    let rules = module.rules["rules"].clone();
    let found = take_all(Replay::by(&facts, Box::new(ByModule(module))), args)?;
    let told = |at: RuleId| {
        let rule = rules.get(at.index())?;
        let place = rule.get("applied").unwrap_or(rule);
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        Some(Told { path: text(&place["path"])?, line: place["line"].as_u64()?, text: text(&rule["rule"])? })
    };
    show(args, &session, &found, &told, None)
}

/// A module as a judge. It returns the rule that decides, but not the other rules that a flow meets.
#[cfg(feature = "wasm-run")]
struct ByModule(crate::targets::wasm::run::Running);

#[cfg(feature = "wasm-run")]
impl Judge for ByModule {
    fn decide(&mut self, flow: &Flow) -> Result<Verdict, String> {
        self.0.judge_unplaced(flow)
    }

    fn answer(&mut self, flow: &Flow) -> Result<Verdict, String> {
        self.0.judge_asked(flow)
    }

    fn met(&self, _: &Flow, _: &Verdict) -> Vec<RuleId> {
        Vec::new()
    }
}

/// Returns the policy of a session, unless it has an error, which is printed.
fn policy(session: &mut Session, args: &Args, global: &Global) -> Result<Option<Policy>, Fatal> {
    let pipes = args.logs.iter().filter(|log| log.as_os_str() == "-").count();
    if pipes + usize::from(session.stdin_is_read) > 1 {
        return Err(Fatal::new("stdin can be read only once, and `-` is given twice"));
    }
    let policy = session.policy();
    let report = args.arguments.report(global, true);
    let exit = report.print(&mut session.diagnostics, &session.input.sources)?;
    let policy = policy.filter(|_| exit == 0);
    if policy.is_none() {
        report.close(&session.diagnostics, "");
    }
    Ok(policy)
}

/// Reads all logs. It is an error if no line can be read.
fn take_all(mut replay: Replay<'_>, args: &Args) -> Result<Found, Fatal> {
    for (at, path) in args.logs.iter().enumerate() {
        take(&mut replay, at, &mut Log::open(path)?);
    }
    let found = replay.finish();
    match (found.unread == found.lines, found.unread_lines.first()) {
        (true, Some((_, line, why))) => Err(Fatal::new(format!("no line of the logs can be read; line {line}: {why}"))),
        _ => Ok(found),
    }
}

fn show(
    args: &Args,
    session: &Session,
    found: &Found,
    rules: &dyn Fn(RuleId) -> Option<Told>,
    missing: Option<&Missing<'_>>,
) -> Result<Exit, Fatal> {
    let shown = |path: &PathBuf| if path.as_os_str() == "-" { "-".to_owned() } else { session.paths.show(path) };
    let names: Vec<String> = args.logs.iter().map(shown).collect();
    let summary = Summary { found, rules, names: &names };
    let text = match (args.format, missing) {
        (Format::Human, None) => summary.human(),
        (Format::Human, Some(missing)) => missing.source(&summary.numbers()),
        (Format::Markdown, _) => {
            let missing = missing.map(Missing::markdown).unwrap_or_default();
            format!("{}{missing}", summary.markdown())
        }
        (Format::Json, _) => {
            let mut value = summary.json();
            if let Some(missing) = missing {
                value["suggested"] = missing.json();
            }
            format!("{value:#}\n")
        }
    };
    to_stdout(|out| out.write_all(text.as_bytes()))?;
    if let Some((log, line, why)) = found.broken.first() {
        let name = names.get(*log).map_or("", String::as_str);
        let message = format!("`{name}` cannot be read beyond line {line}, and its rest is not judged: {why}");
        return Err(Fatal::new(message));
    }
    Ok(exit_code(found))
}

fn exit_code(found: &Found) -> Exit {
    u8::from(found.denied.flows() > 0)
}

/// Reads all lines of a log. A log that breaks off is reported with its line, and the next log is read.
fn take(replay: &mut Replay<'_>, at: usize, log: &mut Log) {
    let mut progress = Progress::new();
    let mut number = 0;
    loop {
        number += 1;
        match log.next() {
            Next::Line(line) => replay.line((at, number), line),
            Next::TooLong => replay.unread((at, number), "the line is longer than 1 MiB".to_owned()),
            Next::Broken(why) => {
                replay.broken((at, number), why);
                break;
            }
            Next::End => break,
        }
        progress.tell(number, log, replay);
    }
    progress.clear();
}

/// The progress line on a terminal.
struct Progress {
    last: Option<Instant>,
}

/// The time between two updates of the progress line: short enough to look alive, and too long to cost anything.
const EACH: Duration = Duration::from_millis(100);

impl Progress {
    fn new() -> Progress {
        Progress { last: io::stderr().is_terminal().then(Instant::now) }
    }

    fn tell(&mut self, lines: u64, log: &Log, replay: &Replay<'_>) {
        let Some(last) = self.last else { return };
        if !lines.is_multiple_of(1024) || last.elapsed() < EACH {
            return;
        }
        self.last = Some(Instant::now());
        let part = log.part().map(|part| format!("{part:>3} %  ")).unwrap_or_default();
        let line = format!("\r\x1b[K{part}{lines} lines, {} flows would be denied", replay.denied());
        // A closed stderr means that nobody wants to read it.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    fn clear(&self) {
        if self.last.is_some() {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

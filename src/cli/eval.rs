//! `netpol eval`: is this flow allowed, and by which line?

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use clap::ArgAction;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Map, Value, json};

use super::session::{Arguments, Session};
use super::verdict::Judged;
use super::{Exit, Fatal, Global, to_stdout};
use crate::policy::ask::{Answers, Question, ask, headers};
use crate::policy::{Policy, Request};
use crate::source::Sources;
use crate::syntax::is_method;
use crate::targets::Lowering;

/// The longest line of `--flows`, in bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// Say whether a flow is allowed, and by which line
#[derive(clap::Args)]
pub struct Args {
    /// Who sends: a pod (ns/name, or ns/{k=v} for one with these labels), an address or a host
    #[arg(long, value_name = "PARTY", required_unless_present = "flows")]
    from: Option<String>,
    /// To whom: a party with a port, as garden/api:80 or zenquotes.io:443/tcp
    #[arg(long, value_name = "PARTY:PORT", required_unless_present = "flows")]
    to: Option<String>,
    /// The HTTP method
    #[arg(long, value_parser = method, conflicts_with = "flows")]
    method: Option<String>,
    /// The HTTP path
    #[arg(long, value_parser = path, conflicts_with = "flows")]
    path: Option<String>,
    /// The HTTP host, where it is not that of the destination; the TLS name too, where --tls does not say it
    #[arg(long, conflicts_with = "flows")]
    host: Option<String>,
    /// The TLS name (SNI)
    #[arg(long, value_name = "NAME", conflicts_with = "flows")]
    tls: Option<String>,
    /// A header, as "x-team: web"; may repeat
    #[arg(long, value_name = "NAME: VALUE", value_parser = header, conflicts_with = "flows")]
    header: Vec<(String, String)>,
    /// Whom a gateway serves, where the gateway sends
    #[arg(long, value_name = "ADDRESS", conflicts_with = "flows")]
    client: Option<std::net::IpAddr>,
    /// The claims of a valid token
    #[arg(long, value_name = "JSON", value_parser = claims, conflicts_with = "flows")]
    jwt: Option<Map<String, Value>>,
    /// Fail unless this is the verdict
    #[arg(long, value_name = "VERDICT", value_parser = ["allow", "deny"], conflicts_with = "flows")]
    expect: Option<String>,
    /// Decide many: one JSON object a line in, one JSON verdict a line out
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["from", "to"])]
    flows: Option<PathBuf>,
    /// Add what each layer lets through or refuses against the source
    #[arg(long)]
    layers: bool,
    /// Ask an evaluator module (build --target wasm) instead of policy files
    #[cfg(feature = "wasm-run")]
    #[arg(long, value_name = "FILE", conflicts_with = "layers")]
    module: Option<PathBuf>,
    /// How the verdict is printed
    #[arg(long, value_name = "FORMAT", default_value = "text", action = ArgAction::Set, value_parser = is_json())]
    format: bool,
    #[command(flatten)]
    arguments: Arguments,
}

/// Whether the format is JSON.
fn is_json() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["text", "json"]).map(|word| word == "json")
}

fn method(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    match is_method(text) {
        true => Ok(text.to_owned()),
        false if is_method(&upper) => Err(format!("methods are upper case: {upper}")),
        false => Err("a method is of upper-case letters, as GET".to_owned()),
    }
}

/// An `OPTIONS` request may ask for `*` (RFC 9110, section 7.1).
fn path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') || text == "*";
    is_path.then(|| text.to_owned()).ok_or_else(|| format!("a path begins with `/`: /{text}"))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is a name and a value, as \"x-team: web\"")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn claims(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("the claims are one JSON object: {error}"))
}

/// Decides one flow, or those of a file. A policy with errors decides nothing.
pub fn run(args: &Args, global: &Global) -> Result<Exit, Fatal> {
    #[cfg(feature = "wasm-run")]
    if let Some(module) = &args.module {
        return by_module(module, args, global);
    }
    let mut session = Session::open(&args.arguments, global)?;
    if args.flows.as_ref().is_some_and(|path| path.as_os_str() == "-") && session.stdin_is_read {
        return Err(Fatal::new("stdin can be read only once, and `-` is given twice"));
    }
    let policy = session.policy();
    let report = args.arguments.report(global, false);
    let exit = report.print(&mut session.diagnostics, &session.input.sources)?;
    let Some(policy) = policy.filter(|_| exit == 0) else {
        report.close(&session.diagnostics, "");
        return Ok(1);
    };
    // Errors of the layers do not matter here; `check` reports them.
    let lowering = args.layers.then(|| session.judge(&policy));
    let judge = Judge { policy: &policy, sources: &session.input.sources, lowering: lowering.as_ref() };
    match &args.flows {
        None => {
            let answers = ask(judge.policy, &question(args)).map_err(Fatal::new)?;
            let judged = judge.judged(&answers);
            let text = if args.format { format!("{}\n", judged.json()) } else { judged.text() };
            one(args, judged.word(), &text)
        }
        Some(path) => many(&mut *open(path)?, &mut |line| judge.line(line)),
    }
}

/// Decides by a module: only the inventory says who the parties of a question are.
#[cfg(feature = "wasm-run")]
fn by_module(module: &std::path::Path, args: &Args, global: &Global) -> Result<Exit, Fatal> {
    if args.arguments.names_files() {
        return Err(Fatal::new("the policy is in the module; name no policy files beside `--module`"));
    }
    let mut session = Session::without_policy(&args.arguments, global)?;
    let facts = session.policy();
    let report = args.arguments.report(global, false);
    let exit = report.print(&mut session.diagnostics, &session.input.sources)?;
    let Some(facts) = facts.filter(|_| exit == 0) else { return Ok(1) };
    let mut asked = super::asked::Asked::load(module, &facts)?;
    match &args.flows {
        None => {
            let answer = asked.answer(&question(args)).map_err(Fatal::new)?;
            let text = if args.format { format!("{}\n", answer.json()) } else { answer.text() };
            one(args, answer.word(), &text)
        }
        Some(path) => many(&mut *open(path)?, &mut |line| Ok(asked.answer(&Question::parse(line)?)?.json())),
    }
}

fn open(path: &std::path::Path) -> Result<Box<dyn Read>, Fatal> {
    match path.as_os_str() == "-" {
        true => Ok(Box::new(io::stdin())),
        false => Ok(Box::new(File::open(path).map_err(|error| Fatal::cannot_read(path, error))?)),
    }
}

/// The policy that decides, with the judgements of its layers.
struct Judge<'a> {
    policy: &'a Policy,
    sources: &'a Sources,
    lowering: Option<&'a Lowering>,
}

impl<'a> Judge<'a> {
    fn judged(&self, answers: &'a Answers) -> Judged<'a> {
        let Judge { policy, sources, lowering } = *self;
        Judged { policy, sources, answers, lowering }
    }

    fn line(&self, line: &[u8]) -> Result<Value, String> {
        let answers = ask(self.policy, &Question::parse(line)?)?;
        Ok(Judge { ..*self }.judged(&answers).json())
    }
}

fn question(args: &Args) -> Question {
    Question {
        from: args.from.clone().unwrap_or_default(),
        to: args.to.clone().unwrap_or_default(),
        port: None,
        protocol: None,
        request: Request {
            method: args.method.as_deref().map(Into::into),
            path: args.path.clone(),
            host: args.host.as_deref().map(Into::into),
            tls: args.tls.as_deref().map(Into::into),
            client: args.client.map(|client| client.to_canonical()),
            headers: headers(args.header.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            jwt: args.jwt.clone(),
        },
    }
}

/// Prints the answer to one question, and returns whether its word is the expected one.
fn one(args: &Args, word: &str, text: &str) -> Result<Exit, Fatal> {
    to_stdout(|out| out.write_all(text.as_bytes()))?;
    Ok(u8::from(word != args.expect.as_deref().unwrap_or("allow")))
}

/// Judges the flows of a stream, each as soon as it is read. Blank lines are skipped.
fn many(flows: &mut dyn Read, judge: &mut dyn FnMut(&[u8]) -> Result<Value, String>) -> Result<Exit, Fatal> {
    let mut reader = BufReader::with_capacity(1 << 16, flows);
    let mut exit = 0;
    let mut line = Vec::new();
    let mut trouble = None;
    to_stdout(|out| {
        loop {
            line.clear();
            match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    trouble = Some(error);
                    return Ok(());
                }
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let verdict = match judge(&line) {
                Ok(verdict) => verdict,
                Err(message) => {
                    exit = 1;
                    json!({ "verdict": "error", "message": message })
                }
            };
            writeln!(out, "{verdict}")?;
            // Another program may wait for this answer before it asks the next question.
            if reader.buffer().is_empty() {
                out.flush()?;
            }
        }
    })?;
    match trouble {
        Some(error) => Err(Fatal::io("cannot read the flows", error)),
        None => Ok(exit),
    }
}

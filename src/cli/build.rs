//! `netpol build`: YAML for every layer, on stdout or in a folder.

use std::path::PathBuf;

use super::output::{Change, Draft, Output, Plan};
use super::report::Report;
use super::session::{Arguments, Session};
use super::{Exit, Fatal, Global, disk, leave, paths, to_stdout};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::policy::Policy;
use crate::source::{Sources, Span};
use crate::targets::{self, Artifact, Listed};

/// After this many files the others are only counted.
const FILES_SHOWN: usize = 20;
/// A policy of more rules is judged before its files are made for stdout.
const LARGE: usize = 20_000;

/// Write the YAML of every layer
#[derive(clap::Args)]
pub struct Args {
    /// The folder to write to, as NAMESPACE/LAYER.yaml; - is stdout
    #[arg(short, long, value_name = "DIR|-", default_value = "-")]
    output: PathBuf,
    /// Write nothing, and fail where the folder holds something else than would be written
    #[arg(long)]
    check: bool,
    /// Write nothing, print how the folder would change, and fail where it would
    #[arg(long)]
    diff: bool,
    /// Write a kustomization.yaml that lists the files
    #[arg(long)]
    kustomization: bool,
    /// Name the lines of rules in the YAML, and not their files and words alone
    #[arg(long)]
    lines: bool,
    #[command(flatten)]
    arguments: Arguments,
}

/// Builds the policy. A build with an error writes nothing.
pub fn run(args: &Args, global: &Global) -> Result<Exit, Fatal> {
    let to_stdout = args.output.as_os_str() == "-";
    if to_stdout && (args.check || args.diff || args.kustomization) {
        return Err(Fatal::new("`--check`, `--diff` and `--kustomization` need a folder: `-o DIR`"));
    }
    let mut session = Session::open(&args.arguments, global)?;
    session.config.settings.lines = args.lines;
    let report = args.arguments.report(global, to_stdout || args.diff);
    match session.policy() {
        None => refused(&report, session),
        Some(policy) if to_stdout => on_stdout(policy, &report, session),
        Some(policy) => in_folder(args, policy, &report, session),
    }
}

/// Says what is wrong.
fn refused(report: &Report<'_>, mut session: Session) -> Result<Exit, Fatal> {
    let exit = report.print(&mut session.diagnostics, &session.sources)?;
    report.close(&session.diagnostics, "");
    Ok(exit.max(1))
}

/// Nothing is printed before all is judged. The files of a small policy wait for that; a large one is judged first, since
/// its files would take more memory than all else.
fn on_stdout(policy: Policy, report: &Report<'_>, mut session: Session) -> Result<Exit, Fatal> {
    let large = policy.rules.len() > LARGE;
    let mut waiting = Vec::new();
    if large {
        session.judge(&policy);
    } else {
        session.build(&policy, &mut |files| {
            waiting.extend(files);
            true
        });
        waiting.sort_by(|a, b| a.path.cmp(&b.path));
    }
    if report.fails(&session.diagnostics) {
        return refused(report, session);
    }
    let exit = report.print(&mut session.diagnostics, &session.sources)?;
    let mut printed: Vec<Listed> = Vec::new();
    to_stdout(|out| {
        let mut print = |files: Vec<Artifact>| {
            files.into_iter().try_for_each(|file| {
                let first = printed.iter().all(|file| file.patch);
                printed.push(file.listed());
                // A patch is no object of its own: applied as one it would be refused, or would replace what it patches.
                if file.patch {
                    return Ok(());
                }
                out.write_all(if first { b"" } else { b"---\n" })?;
                out.write_all(file.text.as_bytes())
            })
        };
        print(std::mem::take(&mut waiting))?;
        let mut result = Ok(());
        if large {
            session.build_judged(&policy, &mut |files| {
                result = print(files);
                result.is_ok()
            });
        }
        result
    })?;
    leave(policy);
    for patch in printed.iter().filter(|file| file.patch) {
        report.say(&format!("left out: {}, which `-o DIR` writes", patch.path));
    }
    report.close(&session.diagnostics, &summary(&printed, &session));
    Ok(exit)
}

fn in_folder(args: &Args, policy: Policy, report: &Report<'_>, mut session: Session) -> Result<Exit, Fatal> {
    let looking = args.check || args.diff;
    let mut output = Output::new(&args.output, paths::show(&args.output));
    if !looking {
        output.lock()?;
    }
    let mut draft = Draft::new(&mut output, looking)?;
    let mut added = Ok(());
    session.build(&policy, &mut |files| {
        added = files.into_iter().try_for_each(|file| draft.add(file));
        added.is_ok()
    });
    leave(policy);
    added?;
    if report.fails(&session.diagnostics) {
        return refused(report, session);
    }
    if args.kustomization {
        let kustomization = targets::kustomization(draft.listed());
        draft.add(kustomization)?;
    }
    let written = draft.listed().to_vec();
    let summary = summary(&written, &session);
    let plan = draft.finish(&mut session.sources, &mut session.diagnostics)?;
    if let Some(plan) = plan.as_ref().filter(|_| args.check) {
        compare(plan, &output, &mut session.sources, &mut session.diagnostics);
    }
    let exit = report.print(&mut session.diagnostics, &session.sources)?;
    let Some(plan) = plan else {
        report.close(&session.diagnostics, "");
        return Ok(exit);
    };
    if args.diff {
        to_stdout(|out| {
            for change in &plan.changes {
                let (old, new) = change.texts();
                out.write_all(disk::difference(&output.show(change.path()), old, new).as_bytes())?;
            }
            Ok(())
        })?;
    }
    if looking {
        report.close(&session.diagnostics, if plan.is_done() { "up to date" } else { "" });
        return Ok(exit.max(u8::from(!plan.is_done())));
    }
    output.write(&plan)?;
    list(&written, &plan, &output, report);
    report.close(&session.diagnostics, &summary);
    Ok(exit)
}

/// Pushes what in the folder is not as the build makes it.
fn compare(plan: &Plan, output: &Output, sources: &mut Sources, diagnostics: &mut Diagnostics) {
    if plan.unfinished {
        let span = at(sources, &output.show("."), "");
        let message = "an earlier build did not end, and old files may stand beside new ones";
        diagnostics.push(Diagnostic::new(Code::OutputUnfinished, span, message).note("build again"));
    }
    for change in &plan.changes {
        let shown = output.show(change.path());
        let message = match change {
            Change::Write { old: None, .. } => format!("`{shown}` is missing"),
            Change::Write { .. } => format!("`{shown}` differs from the build"),
            Change::Remove { .. } => format!("`{shown}` is left over from an earlier build"),
        };
        let span = at(sources, &shown, change.texts().0);
        diagnostics.push(Diagnostic::new(Code::OutputDiffers, span, message).note("`--diff` shows how"));
    }
}

/// Returns the place of a file as a whole, which is shown by its first line.
fn at(sources: &mut Sources, shown: &str, text: &str) -> Span {
    Span::new(sources.add(shown, text.lines().next().unwrap_or_default()), 0, 0)
}

/// Tells which files there are now, and which no longer.
fn list(written: &[Listed], plan: &Plan, output: &Output, report: &Report<'_>) {
    let shown: Vec<(String, usize)> =
        written.iter().take(FILES_SHOWN).map(|file| (output.show(&file.path), file.objects)).collect();
    let width = shown.iter().map(|(path, _)| path.chars().count()).max().unwrap_or_default();
    for (path, objects) in &shown {
        let objects = if *objects == 0 { String::new() } else { count(*objects, "object") };
        report.say(format!("{path:width$}  {objects}").trim_end());
    }
    if written.len() > FILES_SHOWN {
        report.say(&format!("and {} more files", written.len() - FILES_SHOWN));
    }
    for change in &plan.changes {
        if let Change::Remove { path, .. } = change {
            report.say(&format!("{} is no longer built and was removed", output.show(path)));
        }
    }
}

fn summary(files: &[Listed], session: &Session) -> String {
    let objects = files.iter().map(|file| file.objects).sum();
    format!("{}, {}", count(objects, "object"), count(session.config.settings.targets.len(), "layer"))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

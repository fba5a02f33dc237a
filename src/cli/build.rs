//! `netpol build`: YAML for every layer, on stdout or in a folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::output::{self, Change, Draft, Output, Plan};
use super::report::Report;
use super::session::{Arguments, Session};
use super::{Exit, Fatal, Global, disk, leave, module, paths, to_stdout};
use crate::compile;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::policy::Policy;
use crate::source::{Sources, Span};
use crate::targets::wasm::Abi;
use crate::targets::{self, Artifact, Listed};

/// The most files that are listed; the others are counted.
const FILES_SHOWN: usize = 20;
/// A policy with more rules is judged before its files are made for stdout.
const LARGE: usize = 20_000;

/// Write the YAML of every layer, or the evaluator module
#[derive(clap::Args)]
pub struct Args {
    /// The folder to write to, as NAMESPACE/LAYER.yaml; - is stdout, as is nothing where netpol.toml has no `output`
    #[arg(short, long, value_name = "DIR|-")]
    output: Option<PathBuf>,
    /// Write nothing, and fail where the folder holds something else than would be written
    #[arg(long)]
    check: bool,
    /// Write nothing, print how the folder would change, and fail where it would
    #[arg(long)]
    diff: bool,
    /// Write the objects that are no longer built to a file that `kubectl delete -f` takes; - is stdout
    #[arg(long, value_name = "FILE|-")]
    prune_list: Option<PathBuf>,
    /// Write a kustomization.yaml that lists the files; one that is there is kept up to date anyway
    #[arg(long)]
    kustomization: bool,
    /// Name the lines of rules in the YAML, and not their files and words alone
    #[arg(long)]
    lines: bool,
    /// With `--target wasm`: the interface of the module: for hosts of docs/wasm-abi.md, of OPA, or for Envoy and Istio
    #[arg(long, value_name = "ABI", value_parser = abi())]
    abi: Option<Abi>,
    /// With `--target wasm`: tell what would be denied, and deny nothing
    #[arg(long)]
    audit: bool,
    #[command(flatten)]
    arguments: Arguments,
}

fn abi() -> impl TypedValueParser<Value = Abi> {
    PossibleValuesParser::new(Abi::ALL.map(Abi::word))
        .map(|word| Abi::ALL.into_iter().find(|abi| abi.word() == word).unwrap_or(Abi::Core))
}

/// Builds the policy. A build with an error writes nothing.
pub fn run(args: &Args, global: &Global) -> Result<Exit, Fatal> {
    if args.arguments.asks_for_module()? {
        if args.diff || args.kustomization || args.lines || args.prune_list.is_some() {
            return Err(Fatal::new(
                "a module is no YAML: of the flags, `-o`, `--check`, `--abi` and `--audit` go with it",
            ));
        }
        let abi = args.abi.unwrap_or(Abi::Core);
        let how = module::Build { output: args.output.as_deref(), check: args.check, abi, audit: args.audit };
        return module::build(&how, &args.arguments, global);
    }
    if args.audit || args.abi.is_some() {
        return Err(Fatal::new("`--abi` and `--audit` are for the evaluator module: `--target wasm`"));
    }
    let mut session = Session::open(&args.arguments, global)?;
    session.input.settings.lines = args.lines;
    let configured = || session.project.output.as_ref().map(|folder| session.folder.join(folder));
    let folder = args.output.clone().or_else(configured).filter(|folder| folder.as_os_str() != "-");
    let flags = args.check || args.diff || args.kustomization || args.prune_list.is_some();
    if folder.is_none() && flags {
        let message = "`--check`, `--diff`, `--kustomization` and `--prune-list` need a folder: `-o DIR`";
        return Err(Fatal::new(message));
    }
    let list_on_stdout = args.prune_list.as_ref().is_some_and(|file| file.as_os_str() == "-");
    if list_on_stdout && args.diff {
        return Err(Fatal::new("`--diff` and `--prune-list -` both write to stdout"));
    }
    let report = args.arguments.report(global, folder.is_none() || args.diff || list_on_stdout);
    match session.policy() {
        None => refused(&report, session),
        Some(policy) => match folder {
            None => on_stdout(policy, &report, session),
            Some(folder) => in_folder(args, &folder, policy, &report, session),
        },
    }
}

/// Prints the findings of a build that writes nothing.
fn refused(report: &Report<'_>, mut session: Session) -> Result<Exit, Fatal> {
    let exit = report.print(&mut session.diagnostics, &session.input.sources)?;
    report.close(&session.diagnostics, "");
    Ok(exit.max(1))
}

/// Prints the files on stdout, and nothing before the whole policy is judged. The files of a small policy are kept
/// until then. The files of a large policy would take most of the memory: they are made once to be checked, and again
/// to be printed.
fn on_stdout(policy: Policy, report: &Report<'_>, mut session: Session) -> Result<Exit, Fatal> {
    let large = policy.rules.len() > LARGE;
    let mut waiting = Vec::new();
    let start = Instant::now();
    session.build(&policy, &mut |files| {
        if !large {
            waiting.extend(files);
        }
        true
    });
    let took = start.elapsed();
    let accepted = accepted_gaps(&policy, &session.diagnostics);
    waiting.sort_by(|a, b| a.path.cmp(&b.path));
    if report.fails(&session.diagnostics) {
        return refused(report, session);
    }
    let exit = report.print(&mut session.diagnostics, &session.input.sources)?;
    let mut printed: Vec<Listed> = Vec::new();
    to_stdout(|out| {
        let mut print = |files: Vec<Artifact>| {
            files.into_iter().try_for_each(|file| {
                let first = printed.iter().all(|file| file.patch);
                printed.push(file.listed());
                // A patch is no object by itself: `kubectl apply` would refuse it or replace the whole object.
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
            compile::files(&policy, &session.input.sources, &mut |files| {
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
    report.close(&session.diagnostics, &summary(&printed, &session, accepted, report, took));
    Ok(exit)
}

fn in_folder(
    args: &Args,
    folder: &Path,
    policy: Policy,
    report: &Report<'_>,
    mut session: Session,
) -> Result<Exit, Fatal> {
    let looking = args.check || args.diff;
    let mut output = Output::new(folder, paths::show(folder));
    if !looking {
        output.lock()?;
    }
    let mut draft = Draft::new(&mut output, looking, args.prune_list.is_some())?;
    let mut added = Ok(());
    let start = Instant::now();
    session.build(&policy, &mut |files| {
        added = files.into_iter().try_for_each(|file| draft.add(file));
        added.is_ok()
    });
    let took = start.elapsed();
    let accepted = accepted_gaps(&policy, &session.diagnostics);
    leave(policy);
    added?;
    if report.fails(&session.diagnostics) {
        return refused(report, session);
    }
    // A kustomization.yaml stays once it was asked for, unless the configuration says otherwise.
    let kept = session.project.kustomization.unwrap_or_else(|| draft.wrote("kustomization.yaml"));
    if args.kustomization || kept {
        let kustomization = targets::kustomization(draft.listed());
        draft.add(kustomization)?;
    }
    let written = draft.listed().to_vec();
    let summary = summary(&written, &session, accepted, report, took);
    let plan = draft.finish(&mut session.input.sources, &mut session.diagnostics)?;
    if let Some(plan) = plan.as_ref().filter(|_| args.check) {
        compare(plan, &output, &mut session.input.sources, &mut session.diagnostics);
    }
    let exit = report.print(&mut session.diagnostics, &session.input.sources)?;
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
    if let Some(file) = &args.prune_list {
        prune_list(file, &plan, looking)?;
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

/// Writes the objects that are no longer built. An object that an earlier build put on the list stays there until a
/// build makes it again, because it is unknown whether it was deleted.
fn prune_list(file: &Path, plan: &Plan, looking: bool) -> Result<(), Fatal> {
    let mut removed = plan.removed.clone();
    if file.as_os_str() == "-" {
        return to_stdout(|out| out.write_all(output::list(&removed).as_bytes()));
    }
    match std::fs::read_to_string(file) {
        Ok(old) => removed.extend(&output::objects(&old) - &plan.built),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Fatal::cannot_read(file, error)),
    }
    if looking {
        return Ok(());
    }
    let written = std::fs::write(file, output::list(&removed));
    written.map_err(|error| Fatal::io(&format!("cannot write `{}`", file.display()), error))
}

/// Reports the files in the folder that differ from those of the build.
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

/// Returns the span of a whole file, which is shown by its first line.
fn at(sources: &mut Sources, shown: &str, text: &str) -> Span {
    Span::new(sources.add(shown, text.lines().next().unwrap_or_default()), 0, 0)
}

/// Prints which files the build wrote, and which it removed.
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
    for object in plan.removed.iter().take(FILES_SHOWN) {
        report.say(&format!("{} is no longer built, and stays in the cluster until it is deleted", object.show()));
    }
    if plan.removed.len() > FILES_SHOWN {
        report.say(&format!("and {} more objects", plan.removed.len() - FILES_SHOWN));
    }
}

/// Returns how many rules have a gap that `@approximate` accepts.
fn accepted_gaps(policy: &Policy, diagnostics: &Diagnostics) -> usize {
    let said: BTreeSet<Span> = policy.rules.iter().filter_map(|rule| Some(rule.origin.approximate()?.1)).collect();
    let without: BTreeSet<Span> =
        diagnostics.iter().filter(|one| one.code == Code::NoGap).map(|one| one.primary.span).collect();
    said.difference(&without).count()
}

/// Returns the last line of a build: the number of objects, that they were checked, the accepted gaps, and for a person
/// at a terminal the time.
fn summary(files: &[Listed], session: &Session, accepted: usize, report: &Report<'_>, took: Duration) -> String {
    let objects = files.iter().map(|file| file.objects).sum();
    let layers = &session.input.settings.targets;
    let mut words = format!("{}, {}", count(objects, "object"), count(layers.len(), "layer"));
    let in_part = session.diagnostics.iter().any(|finding| finding.code == Code::Unchecked);
    words.push_str(", checked");
    words.push_str(if in_part { " in part" } else { "" });
    if accepted > 0 {
        words.push_str(&format!(", {}", count(accepted, "accepted gap")));
    }
    if report.is_watched() {
        words.push_str(&format!(" in {} ms", took.as_millis().max(1)));
    }
    words
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

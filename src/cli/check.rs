//! `netpol check`: reports every message of a build, and writes nothing except the fixes of `--fix`.

use std::collections::BTreeMap;

use super::session::{Arguments, Session};
use super::{Exit, Fatal, Global, disk, leave, number, to_stdout};
use crate::diag::{Diagnostics, Edit};
use crate::source::FileId;

/// How often the files are checked again after fixes: a mistake may have hidden others.
const MOST_ROUNDS: usize = 16;

/// Find everything that a build would find, and write nothing
#[derive(clap::Args)]
pub struct Args {
    /// Apply the fixes that are certain, those of spelling, to the files
    #[arg(long)]
    fix: bool,
    /// With --fix: write nothing, print what would change, and fail where that is something
    #[arg(long, requires = "fix")]
    diff: bool,
    #[command(flatten)]
    arguments: Arguments,
}

/// Checks the policy.
pub fn run(args: &Args, global: &Global) -> Result<Exit, Fatal> {
    let (mut fixes, mut files) = (0, std::collections::BTreeSet::new());
    for round in 0.. {
        let mut session = Session::open(&args.arguments, global)?;
        if args.fix && session.stdin_is_read {
            return Err(Fatal::new("`--fix` rewrites files, and stdin is none"));
        }
        if let Some(policy) = session.policy() {
            session.judge(&policy);
            leave(policy);
        }
        let changes = match args.fix && round < MOST_ROUNDS {
            true => certain(&mut session.diagnostics),
            false => BTreeMap::new(),
        };
        let mut differs = false;
        for (file, edits) in &changes {
            let Some(path) = session.path_of(*file) else { continue };
            let source = session.input.sources.file(*file);
            let (shown, new) = (&source.path, edited(&source.text, edits));
            if args.diff {
                let diff = disk::difference(shown, &source.text, &new);
                to_stdout(|out| out.write_all(diff.as_bytes()))?;
            } else {
                disk::replace(path, &new).map_err(|error| Fatal::io(&format!("cannot write `{shown}`"), error))?;
                fixes += edits.len();
                files.insert(path.to_path_buf());
            }
            differs = true;
        }
        if differs && !args.diff {
            continue;
        }
        let report = args.arguments.report(global, args.diff);
        let exit = report.print(&mut session.diagnostics, &session.input.sources)?;
        report.close(&session.diagnostics, "no errors");
        if fixes > 0 {
            report.say(&format!("{} in {}", number(fixes as u64, "edit"), number(files.len() as u64, "file")));
        }
        let left = session.diagnostics.iter().filter(|diagnostic| !diagnostic.fixes.is_empty()).count();
        if args.fix && !args.diff && left > 0 {
            let are = if left == 1 { "1 finding with a fix is" } else { &format!("{left} findings with fixes are") };
            report.say(&format!("{are} left to you: `--fix` mends spelling alone"));
        }
        return Ok(exit.max(u8::from(differs)));
    }
    Ok(0)
}

/// Returns the edits of the certain fixes, file by file in the order of their spans. An edit that overlaps one before
/// it is left for the next round.
fn certain(diagnostics: &mut Diagnostics) -> BTreeMap<FileId, Vec<Edit>> {
    diagnostics.sort();
    let mut files: BTreeMap<FileId, Vec<Edit>> = BTreeMap::new();
    for fix in diagnostics.iter().filter_map(|diagnostic| diagnostic.certain_fix()) {
        let free = |edit: &Edit| {
            let others = files.get(&edit.span.file);
            others
                .into_iter()
                .flatten()
                .all(|other| other.span.end < edit.span.start || edit.span.end < other.span.start)
        };
        if fix.edits.iter().all(free) {
            fix.edits.iter().for_each(|edit| files.entry(edit.span.file).or_default().push(edit.clone()));
        }
    }
    files.values_mut().for_each(|edits| edits.sort_by_key(|edit| edit.span.start));
    files
}

/// Returns a text after some edits, which are in order and do not overlap.
fn edited(text: &str, edits: &[Edit]) -> String {
    let (mut new, mut at) = (String::with_capacity(text.len()), 0);
    for edit in edits {
        new.push_str(text.get(at..edit.span.start as usize).unwrap_or_default());
        new.push_str(&edit.text);
        at = edit.span.end as usize;
    }
    new + text.get(at..).unwrap_or_default()
}

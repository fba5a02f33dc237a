//! `netpol fmt`: one layout for every file.

use std::path::PathBuf;

use super::load::{self, Argument};
use super::paths::Paths;
use super::report::{Messages, Report};
use super::{Exit, Fatal, Global, disk, number, to_stdout};
use crate::diag::Diagnostics;
use crate::source::Sources;
use crate::syntax::{self, FormatError};

/// Format files in place
#[derive(clap::Args)]
pub struct Args {
    /// Files, folders (all *.netpol below) or - for stdin; the current folder where none is given
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write nothing, and fail where a file is not formatted
    #[arg(long)]
    check: bool,
    /// Write nothing, print what would change, and fail where that is something
    #[arg(long)]
    diff: bool,
    /// The path at which stdin is taken to stand
    #[arg(long, value_name = "PATH")]
    stdin_filepath: Option<PathBuf>,
    #[command(flatten)]
    messages: Messages,
}

/// A file and its text in the one layout.
struct Formatted {
    argument: Argument,
    shown: String,
    old: String,
    new: String,
}

/// Formats the files. One that cannot be parsed stays as it is and the others are still formatted.
pub fn run(args: &Args, global: &Global) -> Result<Exit, Fatal> {
    let mut paths = Paths::new()?;
    if let Some(config) = global.find_config(&paths, args.paths.first()) {
        paths.below(&config);
    }
    let arguments = load::policy_files(&args.paths, args.stdin_filepath.as_deref())?;
    let looking = args.check || args.diff;
    let report = Report {
        messages: &args.messages,
        colour: global.color,
        stdout_is_taken: args.diff || (!looking && arguments.iter().any(|one| matches!(one, Argument::Stdin(_)))),
        deny_warnings: false,
    };
    let mut sources = Sources::new();
    let mut diagnostics = Diagnostics::new();
    let mut files = Vec::new();
    for argument in arguments {
        let Some(file) = load::policy(&argument, &paths, &mut sources, &mut diagnostics)? else { continue };
        let (shown, old) = (argument.show(&paths), sources.file(file).text.clone());
        match syntax::format(&sources, file, &mut diagnostics) {
            Ok(new) => files.push(Formatted { argument, shown, old, new }),
            Err(FormatError::Syntax) => {}
            Err(FormatError::Internal(what)) => {
                return Err(Fatal::new(format!("`{shown}` stays as it is, a bug of netpol: {what}")));
            }
        }
    }
    let exit = report.print(&mut diagnostics, &sources)?;
    report.close(&diagnostics, "");
    if looking {
        return Ok(exit.max(compare(&files, args.diff, &report)?));
    }
    write(&files, &report)?;
    Ok(exit)
}

/// Reports the files that are not formatted; returns 1 if there are some.
fn compare(files: &[Formatted], diff: bool, report: &Report<'_>) -> Result<Exit, Fatal> {
    let differing: Vec<&Formatted> = files.iter().filter(|file| file.old != file.new).collect();
    for file in &differing {
        if diff {
            let diff = disk::difference(&file.shown, &file.old, &file.new);
            to_stdout(|out| out.write_all(diff.as_bytes()))?;
        }
        report.say(&format!("{} is not formatted", file.shown));
    }
    Ok(u8::from(!differing.is_empty()))
}

/// Writes the files that changed, and stdin's text to stdout.
fn write(files: &[Formatted], report: &Report<'_>) -> Result<(), Fatal> {
    let mut changed = 0;
    for file in files {
        match &file.argument {
            Argument::Stdin(_) => to_stdout(|out| out.write_all(file.new.as_bytes()))?,
            Argument::File(path) if file.old != file.new => {
                let failed = |error| Fatal::io(&format!("cannot write `{}`", file.shown), error);
                disk::replace(path, &file.new).map_err(failed)?;
                changed += 1;
            }
            Argument::File(_) => {}
        }
    }
    if changed > 0 {
        report.say(&format!("{changed} of {} formatted", number(files.len() as u64, "file")));
    }
    Ok(())
}

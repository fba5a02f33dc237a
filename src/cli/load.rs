//! Loading: reads files as UTF-8 text, and reports a byte that is not UTF-8 on its line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::paths::{self, Paths};
use super::{Fatal, reason};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::source::{FileId, Sources, Span};
use crate::syntax::scan;

/// The most bytes read of a policy file: a few more than it may have, so that the parser sees one that is too long and
/// reports it.
const POLICY_LIMIT: u64 = scan::MAX_SIZE as u64 + 64;
/// The most bytes read of a manifest: a few more than it may have, so that its reader sees one that is too long and
/// reports it.
const MANIFEST_LIMIT: u64 = (256 << 20) + 64;

/// An argument of a verb: a path, or stdin under the name that `--stdin-filepath` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A file.
    File(PathBuf),
    /// Stdin, with the path at which it is taken to stand.
    Stdin(Option<PathBuf>),
}

impl Argument {
    /// Returns the name by which messages speak of it.
    pub fn show(&self, paths: &Paths) -> String {
        match self {
            Argument::File(path) | Argument::Stdin(Some(path)) => paths.show(path),
            Argument::Stdin(None) => paths::STDIN.to_owned(),
        }
    }
}

/// Returns the policy files that the arguments of a verb name, each once, in their order: files, folders (all
/// `*.netpol` below) and `-`; the current folder without arguments.
pub fn policy_files(arguments: &[PathBuf], stdin_filepath: Option<&Path>) -> Result<Vec<Argument>, Fatal> {
    let here = [PathBuf::from(".")];
    let arguments = if arguments.is_empty() { &here[..] } else { arguments };
    let mut seen: HashMap<PathBuf, ()> = HashMap::new();
    let mut found_files = Vec::new();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            let stdin = Argument::Stdin(stdin_filepath.map(Path::to_path_buf));
            if !found_files.contains(&stdin) {
                found_files.push(stdin);
            }
            continue;
        }
        let found = paths::files(argument, &["netpol"])?;
        if found.is_empty() {
            return Err(Fatal::new(format!("there is no `*.netpol` file below `{}`", argument.display())));
        }
        for path in found {
            if seen.insert(paths::identity(&path), ()).is_none() {
                found_files.push(Argument::File(path));
            }
        }
    }
    Ok(found_files)
}

/// Reads a policy file into the sources; `None` if it is not text, which is pushed.
pub fn policy(
    argument: &Argument,
    paths: &Paths,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Result<Option<FileId>, Fatal> {
    let bytes = match argument {
        Argument::File(path) => paths.read(path, POLICY_LIMIT).map_err(|error| Fatal::cannot_read(path, error))?,
        Argument::Stdin(_) => paths::read_stdin(POLICY_LIMIT)?,
    };
    Ok(text(argument.show(paths), bytes, POLICY_LIMIT, sources, diagnostics))
}

/// Reads the manifests that an argument names into the sources: a file, a folder (all that is YAML or JSON below) or
/// `-`; `None` if one is not text, which is pushed. Whether a folder was named is part of the answer.
pub fn manifests(
    path: &Path,
    paths: &Paths,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Result<Option<(Vec<FileId>, bool)>, Fatal> {
    if path.as_os_str() == "-" {
        let bytes = paths::read_stdin(MANIFEST_LIMIT)?;
        let file = text(paths::STDIN.to_owned(), bytes, MANIFEST_LIMIT, sources, diagnostics);
        return Ok(file.map(|file| (vec![file], false)));
    }
    let found = paths::files(path, &["yaml", "yml", "json"])?;
    if found.is_empty() {
        return Err(Fatal::new(format!("there is no manifest below `{}`", path.display())));
    }
    let mut files = Some(Vec::new());
    for path in found {
        let bytes = paths.read(&path, MANIFEST_LIMIT).map_err(|error| Fatal::cannot_read(&path, error))?;
        let file = text(paths.show(&path), bytes, MANIFEST_LIMIT, sources, diagnostics);
        files = files.zip(file).map(|(mut files, file)| {
            files.push(file);
            files
        });
    }
    Ok(files.map(|files| (files, path.is_dir())))
}

/// Returns the text of a file that a `use` names, or why there is none.
pub fn module(path: &Path, paths: &Paths) -> Result<String, String> {
    let mut bytes = paths.read(path, POLICY_LIMIT).map_err(|error| reason(&error))?;
    cut(&mut bytes, POLICY_LIMIT);
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })
}

/// Adds a file to the sources. Bytes that are not UTF-8 are an error on their line, and the file is left out: the
/// answer is `None`.
pub fn text(
    shown: String,
    mut bytes: Vec<u8>,
    limit: u64,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<FileId> {
    cut(&mut bytes, limit);
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Some(sources.add(shown, text)),
        Err(error) => error.into_bytes(),
    };
    let mut readable = String::new();
    let mut wrong: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut line_is_wrong = false;
    for chunk in bytes.utf8_chunks() {
        readable.push_str(chunk.valid());
        line_is_wrong &= !chunk.valid().contains('\n');
        if !chunk.invalid().is_empty() {
            if !line_is_wrong {
                wrong.push((readable.len(), chunk.invalid().to_vec()));
            }
            line_is_wrong = true;
            readable.push(char::REPLACEMENT_CHARACTER);
        }
    }
    let file = sources.add(shown, readable);
    for (at, bytes) in wrong {
        let span = Span::new(file, at, at + char::REPLACEMENT_CHARACTER.len_utf8());
        let shown: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02X}")).collect();
        let said = format!("{} is no character", shown.join(" "));
        let diagnostic = Diagnostic::new(Code::NotUtf8, span, "the file is not UTF-8 here").at(said);
        diagnostics.push(diagnostic.note("save the file as UTF-8"));
    }
    None
}

/// Removes the last character of a text that was read up to a limit, which may have cut it: that is no mistake of the
/// file.
fn cut(bytes: &mut Vec<u8>, limit: u64) {
    if bytes.len() as u64 > limit {
        bytes.truncate(bytes.iter().rposition(|&byte| byte & 0xc0 != 0x80).unwrap_or(0));
    }
}

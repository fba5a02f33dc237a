//! What a build would change in its folder, and what stands in its way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use super::Output;
use super::record::{self, Record};
use crate::cli::Fatal;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::source::{Sources, Span};
use crate::targets::Artifact;

/// How much of a file in the way is shown.
const SHOWN: usize = 120;

/// What a build would change.
#[derive(Debug)]
pub struct Plan {
    /// The changes, by path.
    pub changes: Vec<Change>,
    /// Whether an earlier build did not end.
    pub unfinished: bool,
    /// All files of this build, sorted.
    pub files: Vec<String>,
    /// The files that the record lists.
    pub recorded: Vec<String>,
}

impl Plan {
    /// Returns whether the folder holds the build already.
    pub fn is_done(&self) -> bool {
        self.changes.is_empty() && !self.unfinished
    }
}

/// A change to one file.
#[derive(Debug)]
pub enum Change {
    /// It is written.
    Write {
        /// Its path below the folder.
        path: String,
        /// Its text on disk; `None` where there is none.
        old: Option<String>,
        /// Its new text.
        new: String,
    },
    /// An earlier build wrote it and this one does not.
    Remove {
        /// Its path below the folder.
        path: String,
        /// Its text on disk.
        old: String,
    },
}

/// Compares artifacts with a folder.
pub fn plan(
    output: &Output,
    artifacts: Vec<Artifact>,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Result<Option<Plan>, Fatal> {
    let record = match Record::read(output)? {
        Ok(record) => record,
        Err(why) => {
            let span = place(sources, &output.show(record::NAME), "");
            let message = "the list of what was generated here cannot be trusted";
            let note = "build into an empty folder, or remove the list and the files that netpol wrote";
            diagnostics.push(Diagnostic::new(Code::OutputRecord, span, message).at(why).note(note));
            return Ok(None);
        }
    };
    let ours: BTreeSet<&str> = record.files.iter().map(String::as_str).collect();
    let new: BTreeMap<String, String> = artifacts.into_iter().map(|file| (file.path, file.text)).collect();
    let files: Vec<String> = new.keys().cloned().collect();
    if let Some(path) = files.iter().find(|path| !record::stays_inside(path)) {
        return Err(Fatal::new(format!("`{path}` is no file of the output folder, a bug of netpol")));
    }
    let mut look = Look { output, sources, diagnostics, clear: true };
    let mut changes = Vec::new();
    for (path, new) in new {
        match look.at(&path)? {
            Found::Nothing => changes.push(Change::Write { path, old: None, new }),
            Found::Text(old) if old == new.as_bytes() => {}
            Found::Text(old) if ours.contains(path.as_str()) => {
                let old = Some(String::from_utf8_lossy(&old).into_owned());
                changes.push(Change::Write { path, old, new });
            }
            Found::Text(old) => look.in_the_way(&path, &old),
            Found::Refused => {}
        }
    }
    for path in record.files.iter().filter(|path| files.binary_search(path).is_err()) {
        if let Found::Text(old) = look.at(path)? {
            let old = String::from_utf8_lossy(&old).into_owned();
            changes.push(Change::Remove { path: path.clone(), old });
        }
    }
    let clear = look.clear;
    changes.sort_by(|a, b| a.path().cmp(b.path()));
    Ok(clear.then_some(Plan { changes, unfinished: record.unfinished, files, recorded: record.files }))
}

impl Change {
    /// Returns the path below the folder.
    pub fn path(&self) -> &str {
        match self {
            Change::Write { path, .. } | Change::Remove { path, .. } => path,
        }
    }

    /// Returns the text on disk and the one to come; empty where there is none.
    pub fn texts(&self) -> (&str, &str) {
        match self {
            Change::Write { old, new, .. } => (old.as_deref().unwrap_or_default(), new),
            Change::Remove { old, .. } => (old, ""),
        }
    }
}

/// What is at a place in the folder.
enum Found {
    Nothing,
    Text(Vec<u8>),
    /// Nothing that may be read or replaced; it was pushed.
    Refused,
}

struct Look<'a> {
    output: &'a Output,
    sources: &'a mut Sources,
    diagnostics: &'a mut Diagnostics,
    clear: bool,
}

impl Look<'_> {
    /// Looks at a file without following any link below the folder.
    fn at(&mut self, path: &str) -> Result<Found, Fatal> {
        let mut place = self.output.root.clone();
        let parts: Vec<&str> = path.split('/').collect();
        for (at, part) in parts.iter().enumerate() {
            place.push(part);
            let last = at + 1 == parts.len();
            let data = match fs::symlink_metadata(&place) {
                Ok(data) => data,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
                Err(error) => return Err(self.output.cannot("read", path, error)),
            };
            if (last && data.is_file()) || (!last && data.is_dir()) {
                continue;
            }
            let shown = self.output.show(&parts[..=at].join("/"));
            let (what, wanted) = match (data.is_symlink(), last) {
                (true, _) => ("a symbolic link", "a build does not follow links out of its folder"),
                (false, true) => ("not a file", "a file of this name is to be written here"),
                (false, false) => ("not a folder", "a folder of this name is to be written here"),
            };
            let span = self::place(self.sources, &shown, "");
            let message = format!("`{shown}` is {what}");
            self.diagnostics.push(Diagnostic::new(Code::OutputPlace, span, message).at(wanted));
            self.clear = false;
            return Ok(Found::Refused);
        }
        fs::read(&place).map(Found::Text).map_err(|error| self.output.cannot("read", path, error))
    }

    fn in_the_way(&mut self, path: &str, text: &[u8]) {
        let shown = self.output.show(path);
        let start = String::from_utf8_lossy(&text[..text.len().min(SHOWN)]).into_owned();
        let span = place(self.sources, &shown, &start);
        let message = format!("`{shown}` is in the way, and netpol did not write it");
        let note = "move it, or build into another folder";
        self.diagnostics.push(Diagnostic::new(Code::FileInTheWay, span, message).note(note));
        self.clear = false;
    }
}

/// Returns the first place of a file that is no source.
pub fn place(sources: &mut Sources, shown: &str, start: &str) -> Span {
    Span::new(sources.add(shown, start), 0, 0)
}

//! Plans: the changes of a build to its folder, and the files that stand in its way.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use super::Output;
use super::objects::{Named, objects};
use super::record::{self, Record};
use crate::cli::Fatal;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::source::{Sources, Span};
use crate::targets::{Artifact, Listed};

/// The part of a file in the way that is shown.
const SHOWN: usize = 120;

/// The changes of a build.
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
    /// The objects that an earlier build wrote and this one does not.
    pub removed: BTreeSet<Named>,
    /// The objects of this build.
    pub built: BTreeSet<Named>,
}

impl Plan {
    /// Returns whether the folder contains exactly the build already.
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
        /// Its text on disk; `None` for a new file.
        old: Option<String>,
        /// Its new text.
        new: New,
    },
    /// An earlier build wrote it and this one does not.
    Remove {
        /// Its path below the folder.
        path: String,
        /// Its text on disk.
        old: String,
    },
}

/// A new text.
#[derive(Debug)]
pub enum New {
    /// A text to compare, and not to write.
    Text(String),
    /// Waiting in the staging folder under this number.
    Staged(usize),
}

/// A plan while the files of a build come in.
pub struct Draft<'o> {
    output: &'o mut Output,
    /// Whether the new texts are compared, and not written.
    looking: bool,
    /// Whether the objects of the build are wanted by name.
    names: bool,
    record: Record,
    /// The files that builds wrote before; `None` if the record cannot be read, which is then the only message.
    ours: Option<BTreeSet<String>>,
    listed: Vec<Listed>,
    changes: Vec<Change>,
    removed: BTreeSet<Named>,
    built: BTreeSet<Named>,
    obstacles: Vec<Obstacle>,
}

/// A file that prevents a build from writing.
struct Obstacle {
    code: Code,
    /// The file, and its beginning.
    shown: String,
    start: String,
    message: String,
    at: String,
    note: &'static str,
}

impl<'o> Draft<'o> {
    /// Begins to compare a build with a folder. New texts go to the staging folder, unless they are only compared.
    pub fn new(output: &'o mut Output, looking: bool, names: bool) -> Result<Draft<'o>, Fatal> {
        let mut obstacles = Vec::new();
        let record = Record::read(output)?.unwrap_or_else(|why| {
            let note = "build into an empty folder, or remove the list and the files that netpol wrote";
            obstacles.push(Obstacle {
                code: Code::OutputRecord,
                shown: output.show(record::NAME),
                start: String::new(),
                message: "the list of what was generated here cannot be trusted".into(),
                at: why,
                note,
            });
            Record::default()
        });
        let ours = obstacles.is_empty().then(|| record.files.iter().cloned().collect());
        Ok(Draft {
            output,
            looking,
            names,
            record,
            ours,
            listed: Vec::new(),
            changes: Vec::new(),
            removed: BTreeSet::new(),
            built: BTreeSet::new(),
            obstacles,
        })
    }

    /// Returns the files so far, sorted.
    pub fn listed(&mut self) -> &[Listed] {
        self.listed.sort();
        &self.listed
    }

    /// Returns whether an earlier build wrote a file.
    pub fn wrote(&self, path: &str) -> bool {
        self.ours.as_ref().is_some_and(|ours| ours.contains(path))
    }

    /// Adds a file of the build.
    pub fn add(&mut self, file: Artifact) -> Result<(), Fatal> {
        if !record::stays_inside(&file.path) {
            return Err(Fatal::new(format!("`{}` is no file of the output folder, a bug of netpol", file.path)));
        }
        self.listed.push(file.listed());
        if self.ours.is_none() {
            return Ok(());
        }
        let Artifact { path, text, .. } = file;
        if self.names {
            self.built.extend(held(&path, text.as_bytes()));
        }
        match self.look(&path)? {
            Some(Found::Text(old)) if old == text.as_bytes() => Ok(()),
            Some(Found::Text(old)) if !self.ours.as_ref().is_some_and(|ours| ours.contains(&path)) => {
                self.in_the_way(&path, &old);
                Ok(())
            }
            Some(Found::Text(old)) => {
                // An object is always in the file of its namespace and layer.
                self.removed.extend(&held(&path, &old) - &held(&path, text.as_bytes()));
                self.change(path, Some(old), text)
            }
            Some(Found::Nothing) => self.change(path, None, text),
            None => Ok(()),
        }
    }

    fn change(&mut self, path: String, old: Option<Vec<u8>>, text: String) -> Result<(), Fatal> {
        // A file in the way ends the writing.
        if !self.obstacles.is_empty() {
            return Ok(());
        }
        let (old, new) = if self.looking {
            (old.map(|old| String::from_utf8_lossy(&old).into_owned()), New::Text(text))
        } else {
            (None, New::Staged(self.output.stage(&path, &text)?))
        };
        self.changes.push(Change::Write { path, old, new });
        Ok(())
    }

    /// Ends the comparison. Files in the way are reported, and then there is no plan.
    pub fn finish(mut self, sources: &mut Sources, diagnostics: &mut Diagnostics) -> Result<Option<Plan>, Fatal> {
        let mut files: Vec<String> = self.listed.iter().map(|file| file.path.clone()).collect();
        files.sort();
        let recorded = std::mem::take(&mut self.record.files);
        for path in recorded.iter().filter(|path| files.binary_search(path).is_err()) {
            if let Some(Found::Text(old)) = self.look(path)? {
                self.removed.extend(held(path, &old));
                let old = String::from_utf8_lossy(&old).into_owned();
                self.changes.push(Change::Remove { path: path.clone(), old });
            }
        }
        let Draft { mut changes, obstacles, record, removed, built, .. } = self;
        let clear = obstacles.is_empty();
        for Obstacle { code, shown, start, message, at, note } in obstacles {
            let span = Span::new(sources.add(&shown, start), 0, 0);
            let note = Some(note).filter(|note| !note.is_empty());
            diagnostics.push(Diagnostic::new(code, span, message).at(at).note_opt(note));
        }
        changes.sort_by(|a, b| a.path().cmp(b.path()));
        Ok(clear.then_some(Plan { changes, unfinished: record.unfinished, files, recorded, removed, built }))
    }

    /// Looks at a file without following any link below the folder; `None` if it must not be read or replaced.
    fn look(&mut self, path: &str) -> Result<Option<Found>, Fatal> {
        let mut place = self.output.root.clone();
        let parts: Vec<&str> = path.split('/').collect();
        for (at, part) in parts.iter().enumerate() {
            place.push(part);
            let last = at + 1 == parts.len();
            let data = match fs::symlink_metadata(&place) {
                Ok(data) => data,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Found::Nothing)),
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
            let message = format!("`{shown}` is {what}");
            let (code, start) = (Code::OutputPlace, String::new());
            self.obstacles.push(Obstacle { code, shown, start, message, at: wanted.into(), note: "" });
            return Ok(None);
        }
        let text = fs::read(&place).map_err(|error| self.output.cannot("read", path, error))?;
        Ok(Some(Found::Text(text)))
    }

    fn in_the_way(&mut self, path: &str, text: &[u8]) {
        let shown = self.output.show(path);
        self.obstacles.push(Obstacle {
            code: Code::FileInTheWay,
            start: String::from_utf8_lossy(&text[..text.len().min(SHOWN)]).into_owned(),
            message: format!("`{shown}` is in the way, and netpol did not write it"),
            shown,
            at: String::new(),
            note: "move it, or build into another folder",
        });
    }
}

/// Returns the objects of a file. A patch has no object of the build.
fn held(path: &str, text: &[u8]) -> BTreeSet<Named> {
    let patch = path.ends_with(".patch") || path.ends_with(".patch.yaml");
    if patch { BTreeSet::new() } else { objects(&String::from_utf8_lossy(text)) }
}

/// What is at a path in the folder.
enum Found {
    Nothing,
    Text(Vec<u8>),
}

impl Change {
    /// Returns the path below the folder.
    pub fn path(&self) -> &str {
        match self {
            Change::Write { path, .. } | Change::Remove { path, .. } => path,
        }
    }

    /// Returns the text on disk and the new text; each is empty if there is none, or if texts are not compared.
    pub fn texts(&self) -> (&str, &str) {
        match self {
            Change::Write { old, new: New::Text(new), .. } => (old.as_deref().unwrap_or_default(), new),
            Change::Write { .. } => ("", ""),
            Change::Remove { old, .. } => (old, ""),
        }
    }
}

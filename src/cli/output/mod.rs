//! The folder that a build writes: all of it or nothing, and nothing else.
//!
//! A hidden file in it, the [`record`], lists what builds have written there. A build
//!
//! 1. compares what it would write with what is there, and refuses what is not its own;
//! 2. marks the record as unfinished, with the old files and the new ones;
//! 3. writes every changed file into a hidden folder beside it;
//! 4. moves each to its place, and removes what is no longer built;
//! 5. writes the record anew, without the mark.
//!
//! Whenever it is killed, every file is the old one or the new one, and the mark says that both kinds may be there; the
//! next build starts from the same record and finishes the work.

mod plan;
mod record;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use plan::{Change, Plan};

use super::Fatal;
use crate::diag::Diagnostics;
use crate::source::Sources;
use crate::targets::Artifact;
use record::Record;

/// The hidden folder in which new files wait for the last of them.
const STAGING: &str = ".netpol-staging";

/// The folder of a build.
pub struct Output {
    root: PathBuf,
    shown: String,
    /// Held while the folder is written, so that two builds do not mix.
    lock: Option<fs::File>,
}

impl Output {
    /// Makes the output for a folder, which need not exist yet.
    pub fn new(root: &Path, shown: String) -> Output {
        Output { root: root.to_path_buf(), shown, lock: None }
    }

    /// Returns the path of a file in the folder as it is shown.
    pub fn show(&self, path: &str) -> String {
        if self.shown == "." { path.to_owned() } else { format!("{}/{path}", self.shown) }
    }

    /// Compares artifacts with what is there. What is in the way is pushed, and then there is no plan.
    pub fn plan(
        &self,
        artifacts: Vec<Artifact>,
        sources: &mut Sources,
        diagnostics: &mut Diagnostics,
    ) -> Result<Option<Plan>, Fatal> {
        plan::plan(self, artifacts, sources, diagnostics)
    }

    /// Keeps other builds out of the folder, where there is one, until this one ends.
    pub fn lock(&mut self) -> Result<(), Fatal> {
        // Where a folder cannot be opened or locked, as on Windows, two builds at a time are the user's own care.
        if self.lock.is_none()
            && let Ok(folder) = fs::File::open(&self.root)
        {
            if matches!(folder.try_lock(), Err(fs::TryLockError::WouldBlock)) {
                return Err(Fatal::new(format!("another build is writing to `{}`", self.shown)));
            }
            self.lock = Some(folder);
        }
        Ok(())
    }

    /// Carries a plan out.
    pub fn write(&mut self, plan: &Plan) -> Result<(), Fatal> {
        if plan.is_done() && plan.recorded == plan.files {
            return Ok(());
        }
        fs::create_dir_all(&self.root).map_err(|error| self.cannot("make", "", error))?;
        self.lock()?;
        let mut both = plan.recorded.clone();
        both.extend(plan.files.iter().cloned());
        both.sort();
        both.dedup();
        Record { unfinished: true, files: both }.write(self)?;
        let staging = self.root.join(STAGING);
        remove(fs::remove_dir_all(&staging)).map_err(|error| self.cannot("remove", STAGING, error))?;
        fs::create_dir(&staging).map_err(|error| self.cannot("make", STAGING, error))?;
        let mut waiting = Vec::new();
        for (at, change) in plan.changes.iter().enumerate() {
            if let Change::Write { path, new, .. } = change {
                let staged = staging.join(at.to_string());
                fs::write(&staged, new).map_err(|error| self.cannot("write", path, error))?;
                waiting.push((staged, path));
            }
        }
        for (staged, path) in waiting {
            let place = self.root.join(path);
            let folder = place.parent().unwrap_or(&self.root);
            let moved = fs::create_dir_all(folder).and_then(|()| fs::rename(&staged, &place));
            moved.map_err(|error| self.cannot("write", path, error))?;
        }
        for change in &plan.changes {
            if let Change::Remove { path, .. } = change {
                let place = self.root.join(path);
                remove(fs::remove_file(&place)).map_err(|error| self.cannot("remove", path, error))?;
                // A folder that is empty now was only there for its files; one that is not stays.
                if let Some(folder) = place.parent().filter(|folder| *folder != self.root) {
                    let _ = fs::remove_dir(folder);
                }
            }
        }
        fs::remove_dir(&staging).map_err(|error| self.cannot("remove", STAGING, error))?;
        Record { unfinished: false, files: plan.files.clone() }.write(self)
    }

    fn cannot(&self, what: &str, path: &str, error: io::Error) -> Fatal {
        let path = if path.is_empty() { self.shown.clone() } else { self.show(path) };
        Fatal::io(&format!("cannot {what} `{path}`"), error)
    }
}

/// What is gone already is removed.
fn remove(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

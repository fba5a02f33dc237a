//! The folder that a build writes: all of it or nothing, and nothing else.
//!
//! A hidden file in it, the [`record`], lists what builds have written there. A build
//!
//! 1. compares each file that it would write with what is there, refuses a file that is not its own, and writes each
//!    changed file into a hidden folder beside the record;
//! 2. ends here, without a trace, where something is in the way or the policy has an error;
//! 3. marks the record as unfinished, with the old files and the new ones;
//! 4. moves each new file to its place, and removes what is no longer built;
//! 5. writes the record anew, without the mark.
//!
//! Whenever it is killed, every file is the old one or the new one, and the mark says that both kinds may be there; the
//! next build starts from the same record and finishes the work.

mod objects;
mod plan;
mod record;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use objects::{list, objects};
pub use plan::{Change, Draft, New, Plan};

use super::Fatal;
use record::Record;

/// The hidden folder in which new files wait until all are ready.
const STAGING: &str = ".netpol-staging";

/// The folder of a build.
pub struct Output {
    root: PathBuf,
    shown: String,
    /// The lock while the folder is written, so that two builds do not mix.
    lock: Option<fs::File>,
    staging: Option<Staging>,
}

/// The new files that wait in the staging folder.
struct Staging {
    folder: PathBuf,
    files: usize,
    /// The folders that had to be made for it, the outermost first.
    made: Vec<PathBuf>,
}

/// Removes the staging folder, so that unfinished files leave no trace.
impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        self.made.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

impl Output {
    /// Makes the output for a folder, which need not exist yet.
    pub fn new(root: &Path, shown: String) -> Output {
        Output { root: root.to_path_buf(), shown, lock: None, staging: None }
    }

    /// Returns the path of a file in the folder as it is shown.
    pub fn show(&self, path: &str) -> String {
        if self.shown == "." { path.to_owned() } else { format!("{}/{path}", self.shown) }
    }

    /// Keeps other builds out of the folder, if it exists, until this one ends.
    pub fn lock(&mut self) -> Result<(), Fatal> {
        // On Windows, for example, a folder cannot be opened or locked: there the user must not run two builds at the
        // same time.
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

    /// Executes a plan.
    pub fn write(&mut self, plan: &Plan) -> Result<(), Fatal> {
        if plan.is_done() && plan.recorded == plan.files {
            // A build that was killed may have left waiting files, and a waiting record.
            let left = fs::remove_dir_all(self.root.join(STAGING));
            remove(left).map_err(|error| self.cannot("remove", STAGING, error))?;
            let list = fs::remove_file(self.root.join(record::WAITING));
            return remove(list).map_err(|error| self.cannot("remove", record::WAITING, error));
        }
        self.prepare()?;
        let mut both = plan.recorded.clone();
        both.extend(plan.files.iter().cloned());
        both.sort();
        both.dedup();
        Record { unfinished: true, files: both }.write(self)?;
        for change in &plan.changes {
            if let (Change::Write { path, new: New::Staged(number), .. }, Some(staging)) = (change, &self.staging) {
                let place = self.root.join(path);
                let folder = place.parent().unwrap_or(&self.root);
                let staged = staging.folder.join(number.to_string());
                let moved = fs::create_dir_all(folder).and_then(|()| fs::rename(&staged, &place));
                moved.map_err(|error| self.cannot("write", path, error))?;
            }
        }
        for change in &plan.changes {
            if let Change::Remove { path, .. } = change {
                let place = self.root.join(path);
                remove(fs::remove_file(&place)).map_err(|error| self.cannot("remove", path, error))?;
                // A folder that is empty now was only for the build's files, and is removed; another one stays.
                if let Some(folder) = place.parent().filter(|folder| *folder != self.root) {
                    let _ = fs::remove_dir(folder);
                }
            }
        }
        self.staging = None;
        Record { unfinished: false, files: plan.files.clone() }.write(self)
    }

    /// Writes a new text into the staging folder, and returns its number there.
    fn stage(&mut self, path: &str, text: &str) -> Result<usize, Fatal> {
        self.prepare()?;
        let Some(staging) = &mut self.staging else { return Ok(0) };
        staging.files += 1;
        let (number, staged) = (staging.files, staging.folder.join(staging.files.to_string()));
        fs::write(staged, text).map_err(|error| self.cannot("write", path, error))?;
        Ok(number)
    }

    /// Makes the folder and its staging folder, where they are not there yet.
    fn prepare(&mut self) -> Result<(), Fatal> {
        if self.staging.is_some() {
            return Ok(());
        }
        let missing = self.root.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let mut made: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
        made.reverse();
        fs::create_dir_all(&self.root).map_err(|error| self.cannot("make", "", error))?;
        self.lock()?;
        let folder = self.root.join(STAGING);
        remove(fs::remove_dir_all(&folder)).map_err(|error| self.cannot("remove", STAGING, error))?;
        fs::create_dir(&folder).map_err(|error| self.cannot("make", STAGING, error))?;
        self.staging = Some(Staging { folder, files: 0, made });
        Ok(())
    }

    fn cannot(&self, what: &str, path: &str, error: io::Error) -> Fatal {
        let path = if path.is_empty() { self.shown.clone() } else { self.show(path) };
        Fatal::io(&format!("cannot {what} `{path}`"), error)
    }
}

/// Treats an error about a missing file as success.
fn remove(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

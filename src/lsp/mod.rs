//! The language server: `netpol lsp` speaks the Language Server Protocol 3.18 with an editor.
//!
//! ```text
//! client ─messages→ server ─offsets→ ide::Analysis ─data→ convert ─messages→ client
//!                     ↑
//!                   Disk: the files of a policy, with unsaved texts in their place
//! ```
//!
//! One thread answers messages in their order; a second one reads them, and another asks the layers, which takes
//! longest. A document belongs to the policy of the nearest `netpol.toml`, else to that of its own folder. An edit
//! makes the policy stale; the next question, or an empty queue, checks it again. A large policy is checked again in
//! another thread, after a pause in typing. Until then a draft of it has the effects of the edit, and answers questions
//! about one position. This module knows LSP, but no files: a [`Disk`] reads those.

mod actions;
mod behind;
mod capabilities;
mod client;
mod convert;
mod diagnostics;
mod features;
mod lines;
mod near;
mod requests;
mod server;
mod uri;
mod worker;
mod workspace;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::ide::Analysis;
use crate::policy::Policy;
use crate::policy::ask::Answers;
use crate::source::Sources;

pub use server::serve;

/// The files that make one policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Root {
    /// All files below the folder of a `netpol.toml`.
    Configured(PathBuf),
    /// All files below a folder without one.
    Folder(PathBuf),
    /// One file that lies outside all folders of the workspace.
    Alone(PathBuf),
}

/// The unsaved texts of open documents, by their paths.
pub type Unsaved = HashMap<PathBuf, String>;

/// A policy, with the paths of its files on disk.
#[derive(Debug)]
pub struct Opened {
    /// The policy.
    pub analysis: Analysis,
    /// The path of each file, by its name in the sources.
    pub paths: HashMap<String, PathBuf>,
}

/// The file system, as the server sees it, from several threads.
pub trait Disk: Send + Sync {
    /// Returns the policy that a file belongs to. `folders` are those of the workspace.
    fn root_of(&self, file: &Path, folders: &[PathBuf]) -> Root;

    /// Reads the files of a policy, unsaved texts first, and checks it. `before` is an earlier state of the policy. The
    /// error says why the files cannot be read.
    fn open(&self, root: &Root, unsaved: &Unsaved, before: Option<&Opened>) -> Result<Opened, String>;

    /// Returns the text of a file in the last commit of its git repository, if it is in one.
    fn committed(&self, file: &Path) -> Option<String>;

    /// Returns a verdict in the words of `netpol eval`.
    fn verdict(&self, policy: &Policy, sources: &Sources, answers: &Answers) -> String;
}

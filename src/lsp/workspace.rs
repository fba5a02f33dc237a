//! The workspace: open documents, and the policies that they belong to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsp_types::{TextDocumentContentChangeEvent, Uri};

use super::lines::{Encoding, Lines};
use super::{Disk, Opened, Root, Unsaved, uri};
use crate::source::FileId;

/// An open document.
#[derive(Debug)]
pub struct Document {
    /// Its address, as the client writes it.
    pub uri: Uri,
    /// Its version.
    pub version: i32,
    /// Its text.
    pub text: String,
    /// The policy that it belongs to.
    pub root: Root,
}

/// What was sent of the findings of a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sent {
    /// Nothing of its present state.
    #[default]
    Nothing,
    /// What is known without the layers.
    First,
    /// All.
    All,
}

/// A policy of the workspace.
#[derive(Debug, Default)]
pub struct Project {
    /// The policy as it was read last, or why it could not be read; `None` before the first time.
    pub opened: Option<Result<Arc<Opened>, String>>,
    /// Whether a file changed since.
    pub stale: bool,
    /// What was sent of its findings since it was read.
    pub sent: Sent,
    /// Whether a thread asks the layers of an earlier or the present state.
    pub judging: bool,
    /// The documents for which findings were sent.
    pub shown: HashSet<Uri>,
}

/// A place in a document whose policy is known.
pub struct Place {
    /// The policy.
    pub opened: Arc<Opened>,
    /// The file of the document.
    pub file: FileId,
}

/// All that the server remembers.
pub struct Workspace {
    /// The file system.
    pub disk: Box<dyn Disk>,
    /// The folders of the workspace.
    pub folders: Vec<PathBuf>,
    /// The open documents, by their paths.
    pub documents: HashMap<PathBuf, Document>,
    /// The policies of the open documents.
    pub projects: BTreeMap<Root, Project>,
    /// The units of positions.
    pub encoding: Encoding,
    /// Whether the client reads the server's own texts.
    pub reads_own: bool,
}

impl Workspace {
    /// Makes a workspace without documents.
    pub fn new(disk: Box<dyn Disk>, folders: Vec<PathBuf>, encoding: Encoding) -> Workspace {
        Workspace { disk, folders, documents: HashMap::new(), projects: BTreeMap::new(), encoding, reads_own: false }
    }

    /// Takes in a document that the client opened.
    pub fn open(&mut self, uri: Uri, version: i32, text: String) {
        let Some(path) = uri::path(&uri) else { return };
        let root = self.disk.root_of(&path, &self.folders);
        self.projects.entry(root.clone()).or_default();
        self.documents.insert(path.clone(), Document { uri, version, text, root });
        self.touch(&path);
    }

    /// Takes in the changes of an open document.
    pub fn change(&mut self, uri: &Uri, version: i32, changes: Vec<TextDocumentContentChangeEvent>) {
        let Some(path) = uri::path(uri) else { return };
        let encoding = self.encoding;
        let Some(document) = self.documents.get_mut(&path) else { return };
        for change in changes {
            match change {
                TextDocumentContentChangeEvent::TextDocumentContentChangePartial(part) => {
                    let (start, end) = Lines::new(&document.text, encoding).bytes(part.range);
                    document.text.replace_range(start as usize..end as usize, &part.text);
                }
                TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
                    document.text = whole.text;
                }
            }
        }
        document.version = version;
        self.touch(&path);
    }

    /// Forgets the unsaved text of a document that the client closed. Returns the documents whose findings are to be
    /// withdrawn, since nothing of their policy is open any more.
    pub fn close(&mut self, uri: &Uri) -> Vec<Uri> {
        let Some(document) = uri::path(uri).and_then(|path| self.documents.remove(&path)) else { return Vec::new() };
        self.touch_all();
        if self.documents.values().any(|other| other.root == document.root) {
            return Vec::new();
        }
        let closed = self.projects.remove(&document.root).unwrap_or_default();
        closed.shown.into_iter().collect()
    }

    /// Notes that files changed on disk. Returns the documents whose findings are to be withdrawn.
    pub fn files_changed(&mut self) -> Vec<Uri> {
        let roots: Vec<(PathBuf, Root)> =
            self.documents.keys().map(|path| (path.clone(), self.disk.root_of(path, &self.folders))).collect();
        for (path, root) in roots {
            self.projects.entry(root.clone()).or_default();
            if let Some(document) = self.documents.get_mut(&path) {
                document.root = root;
            }
        }
        let used: HashSet<&Root> = self.documents.values().map(|document| &document.root).collect();
        let mut withdrawn = Vec::new();
        self.projects.retain(|root, project| {
            let keep = used.contains(root);
            if !keep {
                withdrawn.extend(project.shown.drain());
            }
            keep
        });
        self.touch_all();
        withdrawn
    }

    /// Makes every policy stale that a file may be a part of: its own, and those that have it by a `use`.
    fn touch(&mut self, path: &Path) {
        let own = self.documents.get(path).map(|document| document.root.clone());
        for (root, project) in &mut self.projects {
            let uses = match &project.opened {
                Some(Ok(opened)) => opened.paths.values().any(|other| other == path),
                // It may be the missing file.
                Some(Err(_)) => true,
                None => false,
            };
            if uses || own.as_ref() == Some(root) {
                project.stale = true;
                project.sent = Sent::Nothing;
            }
        }
    }

    fn touch_all(&mut self) {
        for project in self.projects.values_mut() {
            project.stale = true;
            project.sent = Sent::Nothing;
        }
    }

    /// Returns a policy as it is now: reads and checks it if something changed.
    pub fn fresh(&mut self, root: &Root) -> Result<Arc<Opened>, String> {
        let unsaved = || -> Unsaved {
            self.documents.iter().map(|(path, document)| (path.clone(), document.text.clone())).collect()
        };
        let Some(project) = self.projects.get(root) else { return Err("the document is not open".to_owned()) };
        let before = match &project.opened {
            Some(Ok(opened)) => Some(opened.clone()),
            _ => None,
        };
        match &project.opened {
            Some(known) if !project.stale => return known.clone(),
            _ => {}
        }
        let opened = self.disk.open(root, &unsaved(), before.as_deref()).map(Arc::new);
        if let Some(project) = self.projects.get_mut(root) {
            project.opened = Some(opened.clone());
            project.stale = false;
        }
        opened
    }

    /// Returns the file of a document in its policy, as it is now.
    pub fn place(&mut self, uri: &Uri) -> Option<Place> {
        let path = uri::path(uri)?;
        let root = self.documents.get(&path)?.root.clone();
        let opened = self.fresh(&root).ok()?;
        let file = opened.file_at(&path)?;
        Some(Place { opened, file })
    }

    /// Returns the address of a file of a policy, in the client's own words where it has the file open.
    pub fn uri_of(&self, opened: &Opened, file: FileId) -> Uri {
        let shown = &opened.analysis.sources().file(file).path;
        match opened.paths.get(shown) {
            Some(path) => self.documents.get(path).map_or_else(|| uri::of_file(path), |document| document.uri.clone()),
            None => uri::of_own(&format!("{shown}.netpol")),
        }
    }
}

impl Opened {
    /// Returns the file at a path.
    pub fn file_at(&self, path: &Path) -> Option<FileId> {
        let (shown, _) = self.paths.iter().find(|(_, other)| *other == path)?;
        self.analysis.file(shown)
    }
}

//! The workspace: open documents, and the policies that they belong to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsp_types::{TextDocumentContentChangeEvent, Uri};

use super::lines::{EditedText, Encoding, Lines};
use super::worker::Worker;
use super::{Disk, Opened, Root, Unsaved, uri};
use crate::ide::Draft;
use crate::source::FileId;

/// An open document.
#[derive(Debug)]
pub struct Document {
    /// Its address, as the client writes it.
    pub uri: Uri,
    /// Its version.
    pub version: i32,
    /// Its text.
    pub text: EditedText,
    /// The policy that it belongs to.
    pub root: Root,
}

/// How much of a policy's findings was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sent {
    /// Nothing of its present state.
    #[default]
    Nothing,
    /// The findings that need no layers.
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
    /// How much of its findings was sent since it was read.
    pub sent: Sent,
    /// Whether a thread asks the layers of an earlier or the present state.
    pub judging: bool,
    /// The documents for which findings were sent.
    pub shown: HashSet<Uri>,
    /// The draft of a large policy, with its current state.
    pub draft: Option<Draft>,
    /// The edits that the draft took in.
    log: Vec<Change>,
    /// How often the policy was read.
    reads: u64,
    /// Whether a thread reads the policy.
    pub reading: bool,
    /// Whether a thread reviews the policy.
    pub reviewing: bool,
    /// The state of the policy that was reviewed last.
    reviewed: u64,
}

/// The state of a policy before another one, which is to be dropped.
type Before = (Option<Result<Arc<Opened>, String>>, Option<Draft>);

/// An edit of a file: the bytes that are replaced, and by how many.
#[derive(Clone, Debug)]
struct Change {
    path: PathBuf,
    start: u32,
    end: u32,
    bytes: u32,
}

/// A reading of a policy in another thread.
pub struct Reading {
    disk: Arc<dyn Disk>,
    root: Root,
    unsaved: Unsaved,
    before: Option<Arc<Opened>>,
    /// The state of the policy when it began.
    reads: u64,
    edits: usize,
}

/// The result of reading a policy.
pub struct Read {
    /// The policy.
    pub root: Root,
    opened: Result<Arc<Opened>, String>,
    reads: u64,
    edits: usize,
}

impl Reading {
    /// Reads and checks the policy.
    pub fn run(self) -> Read {
        let Reading { disk, root, unsaved, before, reads, edits } = self;
        let opened = disk.open(&root, &unsaved, before.as_deref()).map(Arc::new);
        if let Ok(opened) = &opened {
            opened.analysis.prepare();
        }
        Read { root, opened, reads, edits }
    }
}

/// A review of a policy in another thread.
pub struct Reviewing {
    disk: Arc<dyn Disk>,
    root: Root,
    unsaved: Unsaved,
    opened: Arc<Opened>,
}

impl Reviewing {
    /// Reviews the policy. Each open file is compared with its version in git, beside the other files as they are.
    pub fn run(self) {
        let Reviewing { disk, root, unsaved, opened } = self;
        let mut earlier = Vec::new();
        for (path, text) in &unsaved {
            let Some(file) = opened.file_at(path).filter(|file| opened.analysis.files().contains(file)) else {
                continue;
            };
            let Some(committed) = disk.committed(path).filter(|committed| committed != text) else { continue };
            let mut before = unsaved.clone();
            before.insert(path.clone(), committed);
            if let Ok(before) = disk.open(&root, &before, Some(&opened)) {
                earlier.push((file, before.analysis));
            }
        }
        opened.analysis.review(&earlier);
    }
}

impl Project {
    /// Returns whether there is work for a pause: a large policy to be checked again, or another one to be reviewed.
    pub fn waits_for_pause(&self) -> bool {
        let Some(Ok(opened)) = &self.opened else { return false };
        match self.is_drafted() {
            true => !self.reading,
            false => !self.stale && !self.reviewing && self.reviewed != self.reads && opened.analysis.awaits_review(),
        }
    }

    /// Returns whether the policy is large and was edited since it was read, so that its draft answers.
    pub fn is_drafted(&self) -> bool {
        self.stale && self.draft.is_some()
    }

    /// Takes a policy that was read, and returns the one before, with its draft.
    fn take(&mut self, opened: Result<Arc<Opened>, String>) -> Before {
        self.reads += 1;
        self.log.clear();
        self.stale = false;
        let draft = match &opened {
            Ok(opened) if opened.analysis.is_large() => Some(Draft::new(&opened.analysis)),
            _ => None,
        };
        (self.opened.replace(opened), std::mem::replace(&mut self.draft, draft))
    }

    /// Makes the policy stale by an edit that the draft takes in, if there is one that can.
    fn edit(&mut self, changes: &[Change]) {
        let Project { opened: Some(Ok(opened)), draft: Some(draft), .. } = self else { return self.outdate() };
        let edited = changes.iter().all(|change| {
            opened.file_at(&change.path).is_some_and(|file| draft.edit(file, change.start, change.end, change.bytes))
        });
        match edited {
            true => self.log.extend_from_slice(changes),
            false => self.outdate(),
        }
        self.stale = true;
        self.sent = Sent::Nothing;
    }

    /// Makes the policy stale, and all that is known of it.
    fn outdate(&mut self) {
        self.reads += 1;
        self.log.clear();
        self.draft = None;
        self.stale = true;
        self.sent = Sent::Nothing;
    }
}

/// A position in a document whose policy is known.
pub struct Place {
    /// The policy.
    pub opened: Arc<Opened>,
    /// The file of the document.
    pub file: FileId,
}

/// All that the server remembers.
pub struct Workspace {
    /// The file system.
    pub disk: Arc<dyn Disk>,
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
    /// The thread for large policies.
    pub worker: Worker,
}

impl Workspace {
    /// Makes a workspace without documents.
    pub fn new(disk: Arc<dyn Disk>, folders: Vec<PathBuf>, encoding: Encoding) -> Workspace {
        Workspace {
            disk,
            folders,
            documents: HashMap::new(),
            projects: BTreeMap::new(),
            encoding,
            reads_own: false,
            worker: Worker::start(),
        }
    }

    /// Takes in a document that the client opened.
    pub fn open(&mut self, uri: Uri, version: i32, text: String) {
        let Some(path) = uri::path(&uri) else { return };
        let root = self.disk.root_of(&path, &self.folders);
        self.projects.entry(root.clone()).or_default();
        self.documents.insert(path.clone(), Document { uri, version, text: EditedText::new(text), root });
        self.touch(&path, Project::outdate);
    }

    /// Takes in the changes of an open document.
    pub fn change(&mut self, uri: &Uri, version: i32, changes: Vec<TextDocumentContentChangeEvent>) {
        let Some(path) = uri::path(uri) else { return };
        let encoding = self.encoding;
        let Some(document) = self.documents.get_mut(&path) else { return };
        let mut edits = Vec::new();
        for change in changes {
            let ((start, end), new) = match change {
                TextDocumentContentChangeEvent::TextDocumentContentChangePartial(part) => {
                    (document.text.lines(encoding).bytes(part.range), part.text)
                }
                TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
                    difference(document.text.text(), &whole.text)
                }
            };
            document.text.replace((start, end), &new);
            edits.push(Change { path: path.clone(), start, end, bytes: new.len() as u32 });
        }
        document.version = version;
        self.touch(&path, |project| project.edit(&edits));
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
    fn touch(&mut self, path: &Path, mut how: impl FnMut(&mut Project)) {
        let own = self.documents.get(path).map(|document| document.root.clone());
        for (root, project) in &mut self.projects {
            let uses = match &project.opened {
                Some(Ok(opened)) => opened.paths.values().any(|other| other == path),
                // It may be the missing file.
                Some(Err(_)) => true,
                None => false,
            };
            if uses || own.as_ref() == Some(root) {
                how(project);
            }
        }
    }

    fn touch_all(&mut self) {
        self.projects.values_mut().for_each(Project::outdate);
    }

    fn unsaved(&self) -> Unsaved {
        self.documents.iter().map(|(path, document)| (path.clone(), document.text.text().to_owned())).collect()
    }

    /// Returns a policy as it is now: reads and checks it if something changed.
    pub fn fresh(&mut self, root: &Root) -> Result<Arc<Opened>, String> {
        let Some(project) = self.projects.get(root) else { return Err("the document is not open".to_owned()) };
        let before = match &project.opened {
            Some(Ok(opened)) => Some(opened.clone()),
            _ => None,
        };
        match &project.opened {
            Some(known) if !project.stale => return known.clone(),
            _ => {}
        }
        let opened = self.disk.open(root, &self.unsaved(), before.as_deref()).map(Arc::new);
        if let Some(project) = self.projects.get_mut(root) {
            let before = project.take(opened.clone());
            self.worker.drop(before);
        }
        opened
    }

    /// Begins to read a policy in another thread, unless one does already.
    pub fn reading(&mut self, root: &Root) -> Option<Reading> {
        if std::mem::replace(&mut self.projects.get_mut(root)?.reading, true) {
            return None;
        }
        let (unsaved, project) = (self.unsaved(), self.projects.get(root)?);
        let before = project.opened.as_ref().and_then(|opened| opened.as_ref().ok().cloned());
        let (reads, edits) = (project.reads, project.log.len());
        Some(Reading { disk: self.disk.clone(), root: root.clone(), unsaved, before, reads, edits })
    }

    /// Begins to review a policy in another thread.
    pub fn reviewing(&mut self, root: &Root) -> Option<Reviewing> {
        let unsaved = self.unsaved();
        let project = self.projects.get_mut(root)?;
        let opened = project.opened.as_ref()?.as_ref().ok()?.clone();
        (project.reviewing, project.reviewed) = (true, project.reads);
        Some(Reviewing { disk: self.disk.clone(), root: root.clone(), unsaved, opened })
    }

    /// Takes a policy that another thread read: together with the edits since it began, or not at all if more than that
    /// changed.
    pub fn take(&mut self, read: Read) {
        let Some(project) = self.projects.get_mut(&read.root) else { return };
        project.reading = false;
        if project.reads != read.reads {
            return self.worker.drop(read.opened);
        }
        let since = project.log.split_off(read.edits.min(project.log.len()));
        let sent = project.sent;
        let before = project.take(read.opened);
        if !since.is_empty() {
            project.edit(&since);
        } else {
            project.sent = sent;
        }
        self.worker.drop(before);
    }

    /// Forgets the draft of a policy, so that the policy is checked again as a whole.
    pub fn forget_draft(&mut self, root: &Root) {
        if let Some(project) = self.projects.get_mut(root) {
            project.reading = false;
            project.outdate();
        }
    }

    /// Reads the edits in the draft of a policy.
    pub fn read_draft(&mut self, root: &Root) -> Option<(&Draft, Arc<Opened>)> {
        let Workspace { projects, documents, .. } = self;
        let project = projects.get_mut(root)?;
        let Project { opened: Some(Ok(opened)), draft: Some(draft), .. } = project else { return None };
        draft.read(|file| {
            let path = opened.paths.get(&opened.analysis.sources().file(file).path)?;
            documents.get(path).map(|document| document.text.text())
        });
        Some((draft, opened.clone()))
    }

    /// Returns the lines of a file of a policy: of an open document as it is now.
    pub fn lines<'w>(&'w self, opened: &'w Opened, file: FileId) -> Lines<'w> {
        let file = opened.analysis.sources().file(file);
        let document = opened.paths.get(&file.path).and_then(|path| self.documents.get(path));
        document.map_or_else(|| Lines::new(&file.text, self.encoding), |document| document.text.lines(self.encoding))
    }

    /// Returns the policy of a document.
    pub fn root_of(&self, uri: &Uri) -> Option<Root> {
        Some(self.documents.get(&uri::path(uri)?)?.root.clone())
    }

    /// Returns whether the draft of a policy answers for it.
    pub fn is_drafted(&self, root: &Root) -> bool {
        self.projects.get(root).is_some_and(Project::is_drafted)
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

/// Returns the one change from a text to another.
fn difference(old: &str, new: &str) -> ((u32, u32), String) {
    let same = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let both = |at: &usize| old.is_char_boundary(*at) && new.is_char_boundary(*at);
    let start = (0..=same).rev().find(both).unwrap_or_default();
    let (before, after) = (&old[start..], &new[start..]);
    let same = before.bytes().rev().zip(after.bytes().rev()).take_while(|(a, b)| a == b).count();
    let both = |end: &usize| before.is_char_boundary(before.len() - end) && after.is_char_boundary(after.len() - end);
    let end = (0..=same).rev().find(both).unwrap_or_default();
    ((start as u32, (old.len() - end) as u32), after[..after.len() - end].to_owned())
}

//! The server: takes in the client's messages in their order, answers them, and sends findings when nothing is left to
//! do.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use lsp_server::{ErrorCode, Message, Notification, Request, RequestId};
use lsp_types::{
    DidChangeTextDocumentParams, DidChangeWorkspaceFoldersParams, DidCloseTextDocumentParams,
    DidOpenTextDocumentParams, DocumentDiagnosticParams, InitializeParams, PublishDiagnosticsParams, SemanticToken,
    Uri,
};
use serde_json::{Value, json};

use super::client::{Abilities, Client, Failure, folders};
use super::diagnostics::{Maker, speaks_for, unreadable};
use super::features::{Answer, json as answer};
use super::requests::parse;
use super::workspace::{Project, Read, Sent, Workspace};
use super::{Disk, Opened, Root, capabilities, uri};
use crate::diag;

/// How long the first findings wait for those of the layers, which mostly come sooner.
const PATIENCE: Duration = Duration::from_millis(40);
/// The pause in typing after which a large policy is checked again, and another one reviewed.
const PAUSE: Duration = Duration::from_millis(200);

/// The events that the server waits for.
pub(super) enum Event {
    /// A message of the client.
    Message(Message),
    /// Bytes that are no message.
    Broken(String),
    /// The client went away.
    Closed,
    /// The layers of a policy are judged, or this failed by a bug.
    Judged(Root, bool),
    /// A large policy was checked again; nothing, if that failed by a bug.
    Read(Root, Option<Box<Read>>),
    /// A policy was reviewed.
    Reviewed(Root),
}

/// Serves a client until it sends `exit`, or goes away. Returns the exit code: 0 if it sent `shutdown` first.
pub fn serve(input: impl BufRead + Send + 'static, output: impl Write + Send + 'static, disk: Arc<dyn Disk>) -> u8 {
    let (events, incoming) = channel();
    let reader = events.clone();
    thread::spawn(move || read(input, &reader));
    let mut client = Client::new(Box::new(output));
    let Some((params, id)) = initialize(&incoming, &mut client) else { return 1 };
    let abilities = Abilities::of(&params);
    let roots = folders(&params).iter().filter_map(uri::path).collect();
    let info = json!({ "name": "netpol", "version": env!("CARGO_PKG_VERSION") });
    client.answer(id, answer(json!({ "capabilities": capabilities::of(&abilities), "serverInfo": info })));
    let mut workspace = Workspace::new(disk, roots, abilities.encoding);
    workspace.reads_own = abilities.reads_own;
    let mut server = Server {
        client,
        abilities,
        workspace,
        events,
        incoming,
        queue: VecDeque::new(),
        pulls: Vec::new(),
        waiting: Vec::new(),
        tokens: HashMap::new(),
        tokens_made: 0,
        is_shut_down: false,
        edited: Instant::now(),
    };
    server.run()
}

/// Reads messages until there are no more. Bytes that are none are passed over, up to the next header.
fn read(mut input: impl BufRead, events: &Sender<Event>) {
    loop {
        let event = match Message::read(&mut input) {
            Ok(Some(message)) => Event::Message(message),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Event::Broken(error.to_string()),
            Ok(None) | Err(_) => Event::Closed,
        };
        let is_last = matches!(event, Event::Closed)
            || matches!(&event, Event::Message(Message::Notification(note)) if note.method == "exit");
        if events.send(event).is_err() || is_last {
            return;
        }
    }
}

/// Waits for `initialize`; every other request before it is an error. `None` if the client goes away.
fn initialize(incoming: &Receiver<Event>, client: &mut Client) -> Option<(InitializeParams, RequestId)> {
    loop {
        match incoming.recv().ok()? {
            Event::Message(Message::Request(request)) if request.method == "initialize" => {
                match serde_json::from_value(request.params) {
                    Ok(params) => return Some((params, request.id)),
                    Err(error) => {
                        client.answer(request.id, Err(Failure::of(ErrorCode::InvalidParams, error.to_string())));
                    }
                }
            }
            Event::Message(Message::Request(request)) => {
                let failure = Failure::of(ErrorCode::ServerNotInitialized, "`initialize` comes first");
                client.answer(request.id, Err(failure));
            }
            Event::Message(Message::Notification(note)) if note.method == "exit" => return None,
            Event::Closed => return None,
            _ => {}
        }
    }
}

/// The state of the server.
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) abilities: Abilities,
    pub(super) workspace: Workspace,
    pub(super) events: Sender<Event>,
    incoming: Receiver<Event>,
    /// Messages that were received and not handled yet.
    queue: VecDeque<Event>,
    /// Questions for diagnostics that wait for the layers.
    pub(super) pulls: Vec<(RequestId, Uri)>,
    /// Questions about the whole of a large policy, which wait until it was checked again.
    pub(super) waiting: Vec<(Root, Request)>,
    /// The semantic tokens that each document had last, with their id.
    pub(super) tokens: HashMap<Uri, (String, Vec<SemanticToken>)>,
    pub(super) tokens_made: u64,
    pub(super) is_shut_down: bool,
    /// The time of the last edit.
    edited: Instant,
}

impl Server {
    fn run(&mut self) -> u8 {
        loop {
            while let Ok(event) = self.incoming.try_recv() {
                self.take_in(event);
            }
            let event = match self.queue.pop_front() {
                Some(event) => event,
                None => match self.wait() {
                    Some(event) => {
                        self.take_in(event);
                        continue;
                    }
                    None => return 1,
                },
            };
            match event {
                Event::Closed => return u8::from(!self.is_shut_down),
                Event::Message(Message::Notification(note)) if note.method == "exit" => {
                    return u8::from(!self.is_shut_down);
                }
                Event::Message(Message::Notification(note)) => self.guarded(|server| server.notified(note)),
                Event::Message(Message::Request(request)) => self.requested(request),
                Event::Message(Message::Response(_)) => {}
                Event::Broken(why) => {
                    let message = format!("a message was passed over: {why}");
                    self.client.notify("window/logMessage", json!({ "type": 1, "message": message }));
                }
                Event::Judged(root, is_done) => self.guarded(|server| server.judged(&root, is_done)),
                Event::Read(root, read) => self.guarded(|server| server.read(&root, read)),
                Event::Reviewed(root) => self.guarded(|server| server.reviewed(&root)),
            }
        }
    }

    /// Puts an event into the queue; one that cancels a request there takes it out.
    fn take_in(&mut self, event: Event) {
        if let Event::Message(Message::Notification(note)) = &event
            && note.method == "$/cancelRequest"
        {
            let Some(id) = note.params.get("id").and_then(|id| serde_json::from_value::<RequestId>(id.clone()).ok())
            else {
                return;
            };
            let is_it = |event: &Event| matches!(event, Event::Message(Message::Request(request)) if request.id == id);
            let known = |server: &Server| server.queue.len() + server.pulls.len() + server.waiting.len();
            let before = known(self);
            self.queue.retain(|event| !is_it(event));
            self.pulls.retain(|(other, _)| *other != id);
            self.waiting.retain(|(_, request)| request.id != id);
            if known(self) < before {
                self.client.answer(id, Err(Failure::of(ErrorCode::RequestCanceled, "cancelled")));
            }
            return;
        }
        self.queue.push_back(event);
    }

    /// Brings every policy up to date, sends its findings, and waits for the next event.
    fn wait(&mut self) -> Option<Event> {
        self.guarded(Server::settle);
        let mut projects = self.workspace.projects.values();
        let waits = projects.any(|project| project.sent == Sent::Nothing && !project.is_drafted());
        if waits {
            match self.incoming.recv_timeout(PATIENCE) {
                Ok(event) => return Some(event),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.guarded(Server::send_first),
            }
        }
        if self.workspace.projects.values().any(Project::waits_for_pause) {
            match self.incoming.recv_timeout(PAUSE.saturating_sub(self.edited.elapsed())) {
                Ok(event) => return Some(event),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.guarded(Server::use_pause),
            }
        }
        self.incoming.recv().ok()
    }

    /// Does something that must not end the server, whatever happens.
    fn guarded(&mut self, work: impl FnOnce(&mut Server)) {
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        if done.is_err() {
            let message = "a bug of netpol: please report it with the text that you were writing";
            self.client.notify("window/logMessage", json!({ "type": 1, "message": message }));
        }
    }

    fn settle(&mut self) {
        let roots: Vec<Root> = self.workspace.projects.keys().cloned().collect();
        for root in roots {
            if self.workspace.is_drafted(&root) {
                self.send_draft(&root);
                continue;
            }
            let opened = self.workspace.fresh(&root);
            let Some(project) = self.workspace.projects.get(&root) else { continue };
            match opened {
                Ok(opened) if opened.analysis.is_judged() => {
                    if project.sent != Sent::All {
                        self.send(&root, &opened, Sent::All);
                    }
                }
                Ok(opened) if project.sent != Sent::All => {
                    // The layers of a large policy take longer than anybody waits.
                    if opened.analysis.is_large() && project.sent == Sent::Nothing {
                        self.send(&root, &opened, Sent::First);
                    }
                    self.judge(&root, opened);
                }
                Ok(_) => {}
                Err(why) if project.sent != Sent::All => self.send_unreadable(&root, &why),
                Err(_) => {}
            }
        }
    }

    /// Sends the known findings of a large policy while it is being edited.
    fn send_draft(&mut self, root: &Root) {
        if self.workspace.projects.get(root).is_none_or(|project| project.sent != Sent::Nothing) {
            return;
        }
        let Some((draft, opened)) = self.workspace.read_draft(root) else { return };
        let (found, is_long) = (draft.findings(), draft.is_long());
        self.send_findings(root, &opened, &found, Sent::First);
        if is_long {
            self.start_reading(root);
        }
    }

    /// Sends the first findings of the policies whose layers take long.
    fn send_first(&mut self) {
        let waiting = |(root, project): (&Root, &Project)| match &project.opened {
            Some(Ok(opened)) if project.sent == Sent::Nothing => Some((root.clone(), opened.clone())),
            _ => None,
        };
        let waiting: Vec<(Root, Arc<Opened>)> = self.workspace.projects.iter().filter_map(waiting).collect();
        for (root, opened) in waiting {
            self.send(&root, &opened, Sent::First);
        }
    }

    /// Sends the known findings of a policy, and withdraws earlier ones. A client that pulls the diagnostics of its
    /// documents gets only those of the other files.
    pub(super) fn send(&mut self, root: &Root, opened: &Opened, sent: Sent) {
        self.send_findings(root, opened, opened.analysis.known_findings().iter(), sent);
    }

    fn send_findings<'f>(
        &mut self,
        root: &Root,
        opened: &Opened,
        findings: impl IntoIterator<Item = &'f diag::Diagnostic>,
        sent: Sent,
    ) {
        let maker = Maker { workspace: &self.workspace, opened, client: &self.abilities };
        let mut all = maker.by_document(findings);
        for (path, document) in &self.workspace.documents {
            if document.root == *root && opened.file_at(path).is_some() {
                all.entry(document.uri.clone()).or_default();
            }
        }
        let is_pulled = |uri: &Uri| self.abilities.pulls && uri.0.ends_with(".netpol");
        all.retain(|uri, _| speaks_for(&self.workspace, root, uri) && !is_pulled(uri));
        self.publish(root, all, sent);
    }

    fn send_unreadable(&mut self, root: &Root, why: &str) {
        // A client that pulls diagnostics gets them when it asks.
        let pulls = self.abilities.pulls;
        let documents = self.workspace.documents.values().filter(|document| document.root == *root && !pulls);
        let all = documents.map(|document| (document.uri.clone(), vec![unreadable(why)])).collect();
        self.publish(root, all, Sent::All);
    }

    fn publish(&mut self, root: &Root, all: HashMap<Uri, Vec<lsp_types::Diagnostic>>, sent: Sent) {
        let Some(project) = self.workspace.projects.get_mut(root) else { return };
        project.sent = sent;
        let gone: Vec<Uri> = project.shown.drain().filter(|uri| !all.contains_key(uri)).collect();
        project.shown = all.keys().cloned().collect();
        self.withdraw(gone);
        for (uri, diagnostics) in all {
            let version = uri::path(&uri).and_then(|path| Some(self.workspace.documents.get(&path)?.version));
            self.client
                .notify("textDocument/publishDiagnostics", PublishDiagnosticsParams { uri, version, diagnostics });
        }
    }

    fn withdraw(&mut self, uris: Vec<Uri>) {
        for uri in uris {
            self.client.notify("textDocument/publishDiagnostics", json!({ "uri": uri, "diagnostics": [] }));
        }
    }

    fn notified(&mut self, note: Notification) {
        match note.method.as_str() {
            "initialized" if self.abilities.watches => self.watch(),
            "textDocument/didOpen" => {
                if let Ok(DidOpenTextDocumentParams { text_document: it }) = serde_json::from_value(note.params) {
                    self.workspace.open(it.uri, it.version, it.text);
                }
            }
            "textDocument/didChange" => {
                if let Ok(params) = serde_json::from_value::<DidChangeTextDocumentParams>(note.params) {
                    self.edited = Instant::now();
                    let document = params.text_document;
                    let uri = document.text_document_identifier.uri;
                    self.outdate(&uri);
                    self.workspace.change(&uri, document.version, params.content_changes);
                }
            }
            "textDocument/didClose" => {
                if let Ok(params) = serde_json::from_value::<DidCloseTextDocumentParams>(note.params) {
                    self.tokens.remove(&params.text_document.uri);
                    let gone = self.workspace.close(&params.text_document.uri);
                    self.withdraw(gone);
                }
            }
            "workspace/didChangeWatchedFiles"
            | "workspace/didRenameFiles"
            | "workspace/didDeleteFiles"
            | "workspace/didCreateFiles"
            | "textDocument/didSave" => self.files_changed(),
            "workspace/didChangeWorkspaceFolders" => {
                if let Ok(params) = serde_json::from_value::<DidChangeWorkspaceFoldersParams>(note.params) {
                    let paths = |folders: &[lsp_types::WorkspaceFolder]| -> Vec<std::path::PathBuf> {
                        folders.iter().filter_map(|folder| uri::path(&folder.uri)).collect()
                    };
                    let removed = paths(&params.event.removed);
                    self.workspace.folders.retain(|folder| !removed.contains(folder));
                    self.workspace.folders.extend(paths(&params.event.added));
                    self.files_changed();
                }
            }
            _ => {}
        }
    }

    /// Refuses the questions that wait about a document that changes.
    fn outdate(&mut self, uri: &Uri) {
        let Some(root) = self.workspace.root_of(uri) else { return };
        let waiting = std::mem::take(&mut self.waiting);
        let (outdated, others) = waiting.into_iter().partition(|(of, _)| *of == root);
        self.waiting = others;
        for (_, request) in outdated {
            let failure = Failure::of(ErrorCode::ContentModified, "the text has changed since");
            self.client.answer(request.id, Err(failure));
        }
    }

    fn files_changed(&mut self) {
        let gone = self.workspace.files_changed();
        self.withdraw(gone);
        if self.abilities.pulls && self.abilities.refreshes_diagnostics {
            self.client.ask("workspace/diagnostic/refresh", Value::Null);
        }
    }

    /// Asks the client to watch policies, their settings, and manifests.
    fn watch(&mut self) {
        let globs = ["**/*.netpol", "**/netpol.toml", "**/*.{yaml,yml,json}"];
        let watchers: Vec<Value> = globs.iter().map(|glob| json!({ "globPattern": glob })).collect();
        let method = "workspace/didChangeWatchedFiles";
        let registration = json!({ "id": "files", "method": method, "registerOptions": { "watchers": watchers } });
        self.client.ask("client/registerCapability", json!({ "registrations": [registration] }));
    }

    pub(super) fn requested(&mut self, request: Request) {
        let id = request.id.clone();
        if self.is_shut_down {
            return self.client.answer(id, Err(Failure::of(ErrorCode::InvalidRequest, "the server was shut down")));
        }
        if self.is_outdated(&request) {
            return self.client.answer(id, Err(Failure::of(ErrorCode::ContentModified, "the text has changed since")));
        }
        if let Some(root) = self.waits_for(&request) {
            self.waiting.push((root.clone(), request));
            return self.start_reading(&root);
        }
        match catch_unwind(AssertUnwindSafe(|| self.respond(request))) {
            Ok(Some(answer)) => self.client.answer(id, answer),
            Ok(None) => {}
            Err(_) => self.client.answer(id, Err(Failure::of(ErrorCode::InternalError, "a bug of netpol"))),
        }
    }

    /// Returns the policy that must be checked again before a request can be answered: a large one that was edited, if
    /// the request is about more than one position in it.
    fn waits_for(&self, request: &Request) -> Option<Root> {
        const NEAR: [&str; 5] = [
            "textDocument/hover",
            "textDocument/definition",
            "textDocument/completion",
            "textDocument/signatureHelp",
            "textDocument/diagnostic",
        ];
        let uri = request.params.pointer("/textDocument/uri").and_then(Value::as_str)?;
        let root = self.workspace.root_of(&Uri(uri.to_owned()))?;
        (self.workspace.is_drafted(&root) && !NEAR.contains(&request.method.as_str())).then_some(root)
    }

    /// Returns whether the document that a request is about changes in the queue behind it.
    fn is_outdated(&self, request: &Request) -> bool {
        let document = |params: &Value| params.pointer("/textDocument/uri").and_then(Value::as_str).map(str::to_owned);
        let asked = document(&request.params);
        let changes = |event: &Event| match event {
            Event::Message(Message::Notification(note)) if note.method == "textDocument/didChange" => {
                document(&note.params) == asked
            }
            _ => false,
        };
        asked.is_some() && self.queue.iter().any(changes)
    }

    /// Answers a request; `None` for one that is answered later.
    fn respond(&mut self, request: Request) -> Option<Answer> {
        let Request { id, method, params } = request;
        if method == "textDocument/diagnostic" {
            return match parse::<DocumentDiagnosticParams>(params) {
                Ok(params) => {
                    self.pull(id, params.text_document.uri);
                    None
                }
                Err(failure) => Some(Err(failure)),
            };
        }
        Some(self.answer(&method, params))
    }

    /// Answers with the diagnostics of a document: at once, or when the layers are judged.
    pub(super) fn pull(&mut self, id: RequestId, uri: Uri) {
        let drafted = self.workspace.root_of(&uri).filter(|root| self.workspace.is_drafted(root));
        if let Some(root) = drafted.filter(|_| self.abilities.refreshes_diagnostics) {
            return self.pull_draft(id, &root, &uri);
        }
        let items = match self.workspace.place(&uri) {
            Some(place) if place.opened.analysis.is_judged() => {
                let maker = Maker { workspace: &self.workspace, opened: &place.opened, client: &self.abilities };
                maker.of_file(place.opened.analysis.known_findings().iter(), place.file)
            }
            Some(place) => {
                let root = uri::path(&uri).and_then(|path| Some(self.workspace.documents.get(&path)?.root.clone()));
                self.pulls.push((id, uri));
                if let Some(root) = root {
                    self.judge(&root, place.opened);
                }
                return;
            }
            None => {
                let root = uri::path(&uri).and_then(|path| Some(self.workspace.documents.get(&path)?.root.clone()));
                let why = root.and_then(|root| self.workspace.fresh(&root).err());
                why.iter().map(|why| unreadable(why)).collect()
            }
        };
        self.client.answer(id, answer(json!({ "kind": "full", "items": items })));
    }

    /// Answers with the known diagnostics of a document of a large policy; the client is told to ask again later.
    fn pull_draft(&mut self, id: RequestId, root: &Root, uri: &Uri) {
        let Some(found) = self.workspace.read_draft(root).map(|(draft, opened)| (draft.findings(), opened)) else {
            return self.client.answer(id, Err(Failure::of(ErrorCode::InternalError, "a bug of netpol")));
        };
        let (found, opened) = found;
        let file = uri::path(uri).and_then(|path| opened.file_at(&path));
        let maker = Maker { workspace: &self.workspace, opened: &opened, client: &self.abilities };
        let items = file.map(|file| maker.of_file(&found, file)).unwrap_or_default();
        self.client.answer(id, answer(json!({ "kind": "full", "items": items })));
    }
}

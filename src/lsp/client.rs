//! The client: its capabilities, and the sending of messages to it.

use std::io::Write;

use lsp_server::{ErrorCode, Message, Request, RequestId, Response, ResponseError};
use lsp_types::{InitializeParams, WorkspaceFolders};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::lines::Encoding;

/// The capabilities of a client, from its `initialize`.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// The units of positions.
    pub encoding: Encoding,
    /// Whether it asks for diagnostics itself.
    pub pulls: bool,
    /// Whether it can be told to ask again.
    pub refreshes_diagnostics: bool,
    /// Whether it can be told to ask for lenses again.
    pub refreshes_lenses: bool,
    /// Whether it can be told to ask for inlay hints again.
    pub refreshes_hints: bool,
    /// Whether it watches files on demand.
    pub watches: bool,
    /// Whether it shows related spans beside a diagnostic.
    pub related: bool,
    /// Whether it reads texts by `workspace/textDocumentContent`, so that the server's own texts have addresses.
    pub reads_own: bool,
}

impl Abilities {
    /// Reads the capabilities of a client.
    pub fn of(params: &InitializeParams) -> Abilities {
        let capabilities = &params.capabilities;
        let document = capabilities.text_document.as_ref();
        let workspace = capabilities.workspace.as_ref();
        let encodings = capabilities.general.as_ref().and_then(|general| general.position_encodings.clone());
        let refreshes = |support: Option<Option<bool>>| support.flatten().unwrap_or_default();
        let published = document.and_then(|document| document.publish_diagnostics.as_ref());
        // Our own extension says in its options that it reads our texts, even if the client is older than 3.18.
        let told = params.initialization_options.as_ref().and_then(|options| options.get("ownTexts")?.as_bool());
        Abilities {
            encoding: Encoding::choose(&encodings.unwrap_or_default()),
            pulls: document.is_some_and(|document| document.diagnostic.is_some()),
            refreshes_diagnostics: refreshes(
                workspace.and_then(|it| it.diagnostics.as_ref()).map(|it| it.refresh_support),
            ),
            refreshes_lenses: refreshes(workspace.and_then(|it| it.code_lens.as_ref()).map(|it| it.refresh_support)),
            refreshes_hints: refreshes(workspace.and_then(|it| it.inlay_hint.as_ref()).map(|it| it.refresh_support)),
            watches: workspace
                .and_then(|it| it.did_change_watched_files.as_ref()?.dynamic_registration)
                .unwrap_or_default(),
            related: published.is_some_and(|it| it.diagnostics_capabilities.related_information == Some(true)),
            reads_own: told.unwrap_or(workspace.is_some_and(|it| it.text_document_content.is_some())),
        }
    }
}

/// Returns the addresses of the folders of a workspace.
#[expect(deprecated, reason = "older clients name one folder by `rootUri` alone")]
pub fn folders(params: &InitializeParams) -> Vec<lsp_types::Uri> {
    match &params.workspace_folders_initialize_params.workspace_folders {
        Some(WorkspaceFolders::WorkspaceFolderList(folders)) => folders.iter().map(|one| one.uri.clone()).collect(),
        _ => params.root_uri.iter().cloned().collect(),
    }
}

/// Why a request cannot be answered.
#[derive(Debug)]
pub struct Failure {
    code: ErrorCode,
    message: String,
}

impl Failure {
    /// Makes the failure of a valid request that has no answer; the message says why.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { code: ErrorCode::RequestFailed, message: message.into() }
    }

    /// The request fails for a reason of the protocol.
    pub fn of(code: ErrorCode, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }
}

/// A notification on its way.
#[derive(Serialize)]
struct Note<'a, P> {
    jsonrpc: &'a str,
    method: &'a str,
    params: P,
}

/// The way to a client.
pub struct Client {
    out: Box<dyn Write + Send>,
    requests: i32,
}

impl Client {
    /// Makes the way to a client that reads a stream.
    pub fn new(out: Box<dyn Write + Send>) -> Client {
        Client { out, requests: 0 }
    }

    /// Answers a request.
    pub fn answer(&mut self, id: RequestId, answer: Result<Value, Failure>) {
        let response_result =
            answer.map_err(|Failure { code, message }| ResponseError { code: code as i32, message, data: None });
        self.send(Message::Response(Response { id, response_result }));
    }

    /// Sends a notification. It is serialised directly: diagnostics are many, and a tree of JSON values would cost
    /// more.
    pub fn notify(&mut self, method: &str, params: impl Serialize) {
        let Ok(text) = serde_json::to_string(&Note { jsonrpc: "2.0", method, params }) else { return };
        // A client that went away is noticed where its messages are read.
        let _ = write!(self.out, "Content-Length: {}\r\n\r\n{text}", text.len()).and_then(|()| self.out.flush());
    }

    /// Sends a request whose answer does not matter.
    pub fn ask(&mut self, method: &str, params: impl Serialize) {
        self.requests += 1;
        let params = serde_json::to_value(params).unwrap_or_default();
        self.send(Message::Request(Request { id: self.requests.into(), method: method.to_owned(), params }));
    }

    fn send(&mut self, message: Message) {
        // A client that went away is noticed where its messages are read.
        let _ = message.write(&mut self.out);
    }
}

/// Reads the parameters of a request.
pub fn parse<T: DeserializeOwned>(params: Value) -> Result<T, Failure> {
    serde_json::from_value(params).map_err(|error| Failure::of(ErrorCode::InvalidParams, error.to_string()))
}

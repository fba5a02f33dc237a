//! `netpol lsp`, by real messages over its stdin and stdout.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{findings, root};

mod files;
mod hard;
mod protocol;
mod session;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that speaks with a server.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    incoming: Receiver<Value>,
    /// The diagnostics that were sent last, by document.
    diagnostics: HashMap<String, Value>,
    /// The requests and notifications of the server, but diagnostics.
    said: Vec<Value>,
    next: i64,
}

impl Client {
    /// Starts a server for a folder.
    fn start(folder: &Path, capabilities: Value) -> (Client, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netpol"));
        command.args(["lsp", "--stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (sender, incoming) = channel();
        std::thread::spawn(move || while read(&mut out).is_some_and(|message| sender.send(message).is_ok()) {});
        let stdin = child.stdin.take();
        let mut client = Client { child, stdin, incoming, diagnostics: HashMap::new(), said: Vec::new(), next: 0 };
        let folders = json!([{ "uri": uri(folder), "name": "shop" }]);
        let params =
            json!({ "processId": null, "rootUri": null, "capabilities": capabilities, "workspaceFolders": folders });
        let answer = client.ask("initialize", params).unwrap();
        client.tell("initialized", json!({}));
        (client, answer)
    }

    fn send(&mut self, message: &Value) {
        let text = json_rpc(message);
        self.write(&format!("Content-Length: {}\r\n\r\n{text}", text.len()));
    }

    fn write(&mut self, bytes: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "method": method, "params": params }));
    }

    /// Sends a request and returns its number.
    fn request(&mut self, method: &str, params: Value) -> i64 {
        self.next += 1;
        self.send(&json!({ "id": self.next, "method": method, "params": params }));
        self.next
    }

    /// Waits for the answer to a request; the error has its code and its message.
    fn answer(&mut self, id: i64) -> Result<Value, (i64, String)> {
        let is_it = |message: &Value| message.get("method").is_none() && message["id"] == id;
        if let Some(known) = self.said.iter().find(|message| is_it(message)) {
            return outcome(known);
        }
        loop {
            let message = self.incoming.recv_timeout(PATIENCE).unwrap();
            if is_it(&message) {
                return outcome(&message);
            }
            self.take(message);
        }
    }

    fn ask(&mut self, method: &str, params: Value) -> Result<Value, (i64, String)> {
        let id = self.request(method, params);
        self.answer(id)
    }

    fn take(&mut self, message: Value) {
        if message["method"] == "textDocument/publishDiagnostics" {
            let params = &message["params"];
            self.diagnostics.insert(params["uri"].as_str().unwrap().to_owned(), params.clone());
        } else {
            self.said.push(message);
        }
    }

    /// Waits until the diagnostics of a document are as they should be, and returns them.
    fn diagnostics(&mut self, uri: &str, due: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        loop {
            let known = self.diagnostics.get(uri).and_then(|params| params["diagnostics"].as_array());
            if let Some(known) = known.filter(|known| due(known)) {
                return known.clone();
            }
            let message =
                self.incoming.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{:?}", self.diagnostics.get(uri)));
            self.take(message);
        }
    }

    fn open(&mut self, path: &Path, text: &str) -> String {
        let uri = uri(path);
        let document = json!({ "uri": uri, "languageId": "netpol", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
        uri
    }

    fn change(&mut self, uri: &str, version: i64, text: &str) {
        let document = json!({ "uri": uri, "version": version });
        self.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [{ "text": text }] }));
    }

    fn at(&mut self, method: &str, uri: &str, line: u32, character: u32) -> Result<Value, (i64, String)> {
        self.ask(method, position(uri, line, character))
    }

    /// Says goodbye and returns the exit code.
    fn end(mut self) -> Option<i32> {
        assert_eq!(self.ask("shutdown", Value::Null), Ok(Value::Null));
        self.tell("exit", Value::Null);
        self.child.wait().unwrap().code()
    }
}

fn outcome(message: &Value) -> Result<Value, (i64, String)> {
    match message.get("error") {
        Some(error) => Err((error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())),
        None => Ok(message["result"].clone()),
    }
}

fn position(uri: &str, line: u32, character: u32) -> Value {
    json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": character } })
}

fn json_rpc(message: &Value) -> String {
    let mut message = message.clone();
    message["jsonrpc"] = json!("2.0");
    message.to_string()
}

fn read(out: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if out.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => length = line.strip_prefix("Content-Length: ").map_or(length, |length| length.parse().unwrap()),
        }
    }
    let mut bytes = vec![0; length];
    out.read_exact(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Returns the codes of diagnostics with their first lines, sorted.
fn told(diagnostics: &[Value]) -> Vec<(String, u64)> {
    let one = |one: &Value| {
        (one["code"].as_str().unwrap_or_default().to_owned(), one["range"]["start"]["line"].as_u64().unwrap() + 1)
    };
    let mut told: Vec<_> = diagnostics.iter().map(one).collect();
    told.sort();
    told
}

/// Makes a folder with some files, one of which is an empty `netpol.toml` if none is given.
fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(folder.path().join("netpol.toml"), "").unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().canonicalize().unwrap();
    (folder, path)
}

/// Returns what `netpol check` finds in a folder in one file: codes and lines, sorted.
fn checked(folder: &Path, name: &str) -> Vec<(String, u64)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netpol"));
    let found = findings(command.current_dir(folder).args(["check", ".", "--error-format", "json"])).unwrap();
    let mut found: Vec<_> =
        found.into_iter().filter(|one| one.path == name).map(|one| (one.code.clone(), one.line)).collect();
    found.sort();
    found
}

/// The example, which lives in a folder of its own with settings and manifests, has no other findings than `check` has.
#[test]
fn an_example_has_the_findings_of_check() {
    let shop = root().join("examples/shop");
    let (mut client, _) = Client::start(&shop, json!({}));
    for name in ["storefront.netpol", "payments.netpol"] {
        let path = shop.join(name);
        let uri = client.open(&path, &fs::read_to_string(&path).unwrap());
        let due = checked(&shop, name);
        let found = client.diagnostics(&uri, |known| told(known) == due);
        assert!(found.iter().all(|one| one["source"] == "netpol"));
    }
    assert_eq!(client.end(), Some(0));
}

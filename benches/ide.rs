//! How fast the language server answers, over its stdin and stdout, while somebody edits a large policy.
//!
//! `cargo bench --bench ide` prints a line for each goal and fails where one is missed; numbers of rules, and words of
//! lines, measure these alone: `cargo bench --bench ide -- 100000 hover`. Goals are those of a machine with two
//! processors and nothing else to do. Each edit is one of what people do: they type a rule bit by bit, break one and
//! mend it, rename a `let` under its users, insert and delete statements.

#![allow(clippy::expect_used, reason = "a benchmark stops at the first surprise")]

#[allow(dead_code, reason = "manifests are for the other benchmark")]
mod generate;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use table::{Line, Measured};

/// The lines, each a function of its own.
const LINES: &[Line] = &[
    (&[10_000], "start to the first diagnostics", start),
    (&[10_000, 100_000], "an edit to the first diagnostics, p50", |size| edit(size, 50)),
    (&[10_000, 100_000], "an edit to the first diagnostics, p99", |size| edit(size, 99)),
    (&[100_000], "hover, p99", |size| question(size, "textDocument/hover")),
    (&[100_000], "completion, p99", |size| question(size, "textDocument/completion")),
    (&[100_000], "memory of an open policy, after 1,000 edits", memory),
    (&[10_000], "memory after 10,000 edits, beside after 1,000", growth),
];

/// The edits of a line.
const EDITS: usize = 1_000;
/// After so many edits the writer stops to think, and everything else has its time.
const BREATH: usize = 50;
/// How long a message may take before the benchmark fails.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    table::print(LINES)
}

fn start(size: usize) -> Measured {
    let mut times: Vec<Duration> = (0..7)
        .map(|_| {
            let text = policy(size);
            let begin = Instant::now();
            let editor = Editor::open(text);
            let time = begin.elapsed();
            drop(editor);
            time
        })
        .collect();
    times.sort();
    Measured { unit: "ms", figure: ms(times[times.len() / 2]), goal: 100.0, from: spread(&times) }
}

fn edit(size: usize, percentile: usize) -> Measured {
    let mut editor = Editor::open(policy(size));
    let mut times = Vec::with_capacity(EDITS);
    while times.len() < EDITS {
        editor.write(&mut times);
    }
    times.sort();
    let goal = if size > 10_000 { 16.0 } else { 5.0 };
    Measured { unit: "ms", figure: ms(times[times.len() * percentile / 100]), goal, from: spread(&times) }
}

/// Asks a question while the policy is being edited, at the statement that was edited last and at others.
fn question(size: usize, method: &str) -> Measured {
    let mut editor = Editor::open(policy(size));
    let (mut edits, mut times) = (Vec::new(), Vec::with_capacity(EDITS));
    while times.len() < EDITS {
        editor.write(&mut edits);
        let last = editor.last;
        let other = editor.numbers.below(editor.lines.len());
        for line in [last, other] {
            let Some(at) = editor.lines[line].find(" -> ") else { continue };
            let character = if method.ends_with("hover") { at.saturating_sub(3) } else { at + 4 };
            let begin = Instant::now();
            let answer = editor.client.ask(method, editor.place(line, character));
            times.push(begin.elapsed());
            assert!(answer.get("error").is_none(), "{answer}");
            let is_empty = answer["result"].as_array().is_some_and(Vec::is_empty);
            assert!(method.ends_with("hover") || !is_empty, "{answer}");
        }
    }
    times.sort();
    Measured { unit: "ms", figure: ms(times[times.len() * 99 / 100]), goal: 5.0, from: spread(&times) }
}

fn memory(size: usize) -> Measured {
    let mut editor = Editor::open(policy(size));
    let mut times = Vec::new();
    while times.len() < EDITS {
        editor.write(&mut times);
    }
    std::thread::sleep(editor.breath());
    let (now, peak) = (editor.client.memory("VmRSS:"), editor.client.memory("VmHWM:"));
    Measured { unit: "MB", figure: now, goal: 400.0, from: format!("{peak:.0} MB at the most") }
}

fn growth(size: usize) -> Measured {
    let mut editor = Editor::open(policy(size));
    let mut times = Vec::new();
    while times.len() < EDITS {
        editor.write(&mut times);
    }
    std::thread::sleep(editor.breath());
    let before = editor.client.memory("VmRSS:");
    while times.len() < 10 * EDITS {
        editor.write(&mut times);
    }
    std::thread::sleep(editor.breath());
    let after = editor.client.memory("VmRSS:");
    Measured { unit: "×", figure: after / before, goal: 1.25, from: format!("{after:.0} MB beside {before:.0} MB") }
}

/// Returns a generated policy that has, beside its rules, a `let` with three users in every hundred lines.
fn policy(size: usize) -> String {
    let mut text = String::with_capacity(size * 80);
    for (number, line) in generate::policy(size).lines().enumerate() {
        text.push_str(line);
        text.push('\n');
        if number % 100 == 50 {
            let _ = writeln!(text, "let group-{number} = {{ team-0/{{app=g{number}}}, team-1/{{app=g{number}}} }}");
            for port in 1..4 {
                let _ = writeln!(text, "allow ingress team-{port}/* -> group-{number}:{port}");
            }
        }
    }
    text
}

/// Somebody who edits a policy.
struct Editor {
    client: Client,
    lines: Vec<String>,
    uri: String,
    version: i64,
    /// The line of the last edit.
    last: usize,
    edits: usize,
    numbers: Numbers,
    /// How many new names were made.
    names: usize,
    _folder: tempfile::TempDir,
}

impl Editor {
    /// Starts a server, opens a policy, and waits for its first diagnostics.
    fn open(text: String) -> Editor {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bench.netpol");
        fs::write(&path, &text).expect("a file");
        let mut client = Client::start(folder.path());
        let uri = format!("file://{}", path.display());
        let lines = text.lines().map(str::to_owned).collect();
        let document = json!({ "uri": uri, "languageId": "netpol", "version": 1, "text": text });
        client.tell("textDocument/didOpen", &json!({ "textDocument": document }));
        client.published(1);
        let numbers = Numbers(0x2545_f491_4f6c_dd1d);
        Editor { client, lines, uri, version: 1, last: 0, edits: 0, numbers, names: 0, _folder: folder }
    }

    /// How long everything that comes later takes at most.
    fn breath(&self) -> Duration {
        Duration::from_micros(200_000 + 25 * self.lines.len() as u64)
    }

    /// Does one thing that people do, in one or more edits, and notes the time of each.
    fn write(&mut self, times: &mut Vec<Duration>) {
        let line = self.rule();
        match self.numbers.below(5) {
            0 => {
                self.change(line, line, &["allow egress team-3/{ap"], times);
                assert!(self.has_error(), "half a rule is a mistake");
                for more in ["allow egress team-3/{app=new}", "allow egress team-3/{app=new} -> team-4/*:80"] {
                    self.change(line, line + 1, &[more], times);
                }
                assert!(!self.has_error(), "the rule is whole");
            }
            1 => {
                let whole = self.lines[line].clone();
                self.change(line, line + 1, &[&whole.replace(" -> ", " ")], times);
                assert!(self.has_error(), "a rule without its arrow is a mistake");
                self.change(line, line + 1, &[&whole], times);
                assert!(!self.has_error(), "the rule is mended");
            }
            2 => self.rename(line, times),
            3 => self.change(line, line, &["default deny team-7/{app=other}"], times),
            _ => self.change(line, line + 1, &[], times),
        }
        self.edits += 1;
        if self.edits.is_multiple_of(BREATH) {
            std::thread::sleep(self.breath());
        }
    }

    /// Renames the next `let`, and then what names it, as somebody does by hand.
    fn rename(&mut self, line: usize, times: &mut Vec<Duration>) {
        let Some(at) = (line..self.lines.len().min(line + 300)).find(|at| self.lines[*at].starts_with("let group-"))
        else {
            return;
        };
        let definition = self.lines[at].clone();
        let Some(old) = definition.split(' ').nth(1) else { return };
        let users: Vec<usize> = (at + 1..self.lines.len().min(at + 8))
            .filter(|user| self.lines[*user].contains(&format!("-> {old}:")))
            .collect();
        self.names += 1;
        let new = format!("group-new-{}", self.names);
        self.change(at, at + 1, &[&definition.replace(old, &new)], times);
        if let Some(&user) = users.first() {
            assert!(self.error_on(user), "line {user} names what is gone: {}", self.lines[user]);
        }
        for user in users {
            let renamed = self.lines[user].replace(&format!("-> {old}:"), &format!("-> {new}:"));
            self.change(user, user + 1, &[&renamed], times);
            assert!(!self.has_error(), "line {user} has the new name");
        }
    }

    /// Returns a random line with a rule of one line.
    fn rule(&mut self) -> usize {
        loop {
            let line = self.numbers.below(self.lines.len());
            if self.lines[line].contains(" -> ") {
                return line;
            }
        }
    }

    /// Replaces some lines, and waits for the diagnostics of the new text.
    fn change(&mut self, from: usize, to: usize, new: &[&str], times: &mut Vec<Duration>) {
        let text: String = new.iter().map(|line| format!("{line}\n")).collect();
        let place = |line: usize| json!({ "line": line, "character": 0 });
        let change = json!({ "range": { "start": place(from), "end": place(to) }, "text": text });
        self.lines.splice(from..to, new.iter().map(|line| (*line).to_owned()));
        self.last = from.min(self.lines.len() - 1);
        self.version += 1;
        let document = json!({ "uri": self.uri, "version": self.version });
        let params = json!({ "textDocument": document, "contentChanges": [change] });
        let begin = Instant::now();
        self.client.tell("textDocument/didChange", &params);
        self.client.published(self.version);
        times.push(begin.elapsed());
    }

    fn has_error(&self) -> bool {
        self.error_on(self.last)
    }

    fn error_on(&self, line: usize) -> bool {
        let found = self.client.diagnostics["diagnostics"].as_array().expect("diagnostics");
        found.iter().any(|one| one["severity"] == 1 && one["range"]["start"]["line"] == line)
    }

    fn place(&self, line: usize, character: usize) -> Value {
        json!({ "textDocument": { "uri": self.uri }, "position": { "line": line, "character": character } })
    }
}

/// A client that speaks with a server.
struct Client {
    child: Child,
    stdin: ChildStdin,
    incoming: Receiver<Vec<u8>>,
    /// The diagnostics that were sent last.
    diagnostics: Value,
    next: i64,
}

impl Client {
    fn start(folder: &Path) -> Client {
        let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_netpol")));
        command.args(["lsp", "--stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a server");
        let (stdin, stdout) = (child.stdin.take().expect("stdin"), child.stdout.take().expect("stdout"));
        let (messages, incoming) = channel();
        std::thread::spawn(move || {
            let mut out = BufReader::with_capacity(1 << 16, stdout);
            while let Some(message) = read(&mut out) {
                if messages.send(message).is_err() {
                    return;
                }
            }
        });
        let mut client = Client { child, stdin, incoming, diagnostics: Value::Null, next: 0 };
        let folders = json!([{ "uri": format!("file://{}", folder.display()), "name": "bench" }]);
        client.ask("initialize", json!({ "processId": null, "capabilities": {}, "workspaceFolders": folders }));
        client.tell("initialized", &json!({}));
        client
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.stdin, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("the server reads");
        self.stdin.flush().expect("the server reads");
    }

    fn tell(&mut self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params }));
        loop {
            let message = self.receive();
            if message["id"] == self.next {
                return message;
            }
        }
    }

    /// Waits for the first diagnostics of a version of the document.
    fn published(&mut self, version: i64) {
        while self.receive()["params"]["version"] != version {}
    }

    fn receive(&mut self) -> Value {
        let bytes = self.incoming.recv_timeout(PATIENCE).expect("the server answers");
        let message: Value = serde_json::from_slice(&bytes).expect("JSON");
        if message["method"] == "textDocument/publishDiagnostics" {
            self.diagnostics = message["params"].clone();
        }
        message
    }

    /// Returns a figure of the memory of the server, in megabytes.
    fn memory(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes / 1024.0
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(out: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if out.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => {
                if let Some(number) = line.strip_prefix("Content-Length: ") {
                    length = number.parse().ok()?;
                }
            }
        }
    }
    let mut bytes = vec![0; length];
    out.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// A source of numbers that is the same every time (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Returns sorted times in a few words.
fn spread(times: &[Duration]) -> String {
    let of = |percentile: usize| ms(times[(times.len() * percentile / 100).min(times.len() - 1)]);
    format!("{} times: {:.2}, half {:.2}, most {:.2} ms", times.len(), of(0), of(50), of(100))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

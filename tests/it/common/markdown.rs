//! Markdown as tests: headings, fenced blocks, and the marks that say what a block must yield.
//!
//! A heading starts a section. A `netpol` block without `path=` is one case; the `yaml` block before it in its section
//! is its inventory, the `toml` block its settings, and `netpol path=NAME` blocks are files beside it. A comment
//! `# error: [E0301] "words"` (or `warning`, `note`) expects a finding on its line. Every error and warning must be
//! expected; of notes only those that are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// The day of every case.
const TODAY: &str = "2026-11-01";

/// A policy with what it needs and what it must yield.
pub struct Case {
    /// `file:line` of its block.
    pub place: String,
    /// The words after the fence.
    pub info: Vec<String>,
    /// File names and contents; the policy is `policy.netpol`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What it must yield.
    pub marks: Vec<Mark>,
}

/// An expected finding.
#[derive(Debug)]
pub struct Mark {
    path: String,
    line: u64,
    severity: String,
    code: String,
    words: Option<String>,
}

/// A finding as `--error-format json` prints it.
pub struct Finding {
    /// The code.
    pub code: String,
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// The file.
    pub path: String,
    /// The line of its place.
    pub line: u64,
    /// All of it.
    pub json: Value,
}

impl Finding {
    /// Returns everything that it says, in one text.
    pub fn text(&self) -> String {
        let labels = self.json["labels"].as_array().into_iter().flatten().map(|label| &label["message"]);
        let notes = self.json["notes"].as_array().into_iter().flatten();
        let fixes = self.json["fixes"].as_array().into_iter().flatten().map(|fix| &fix["title"]);
        let parts = [&self.json["message"]].into_iter().chain(labels).chain(notes).chain(fixes);
        parts.filter_map(Value::as_str).collect::<Vec<_>>().join(" | ")
    }

    fn meets(&self, mark: &Mark) -> bool {
        self.path == mark.path
            && self.line == mark.line
            && self.severity == mark.severity
            && self.code == mark.code
            && mark.words.as_ref().is_none_or(|words| self.text().contains(words))
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} {} [{}] {}", self.path, self.line, self.severity, self.code, self.text())
    }
}

/// Returns the folder of the project.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads the cases of a Markdown file.
pub fn cases(path: &Path) -> Vec<Case> {
    let text = fs::read_to_string(path).unwrap();
    let shown = path.strip_prefix(root()).unwrap_or(path).display().to_string();
    let mut cases = Vec::new();
    let mut beside: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line.starts_with('#') {
            beside.clear();
            continue;
        }
        let Some(info) = line.strip_prefix("```") else { continue };
        let info: Vec<String> = info.split_whitespace().map(String::from).collect();
        let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let text = block.iter().map(|line| format!("{line}\n")).collect::<String>();
        let name = info.iter().find_map(|word| word.strip_prefix("path="));
        match (info.first().map(String::as_str), name) {
            (Some("yaml"), _) => drop(beside.insert("inventory.yaml".into(), text.into())),
            (Some("toml"), _) => drop(beside.insert("netpol.toml".into(), text.into())),
            (Some("netpol"), Some(name)) => drop(beside.insert(name.into(), text.into())),
            (Some("netpol"), None) => {
                let mut files = beside.clone();
                let mut marks = Vec::new();
                let bytes = if info.iter().any(|word| word == "bytes") {
                    let (content, findings) = text.split_once("\n---\n").unwrap_or((text.trim_end_matches('\n'), ""));
                    marks.extend(findings.lines().map(listed_mark));
                    unescape(content)
                } else {
                    text.into_bytes()
                };
                files.insert("policy.netpol".into(), bytes);
                for (name, content) in &files {
                    marks.extend(marks_of(name, &String::from_utf8_lossy(content)));
                }
                cases.push(Case { place: format!("{shown}:{}", at + 1), info, files, marks });
            }
            _ => {}
        }
    }
    cases
}

/// `\xNN` is a byte, `\n` a line feed.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let hex = rest[at..].strip_prefix("\\x").and_then(|hex| hex.get(..2));
        let (byte, length) = match hex {
            Some(hex) => (u8::from_str_radix(hex, 16).unwrap(), 4),
            None if rest[at..].starts_with("\\n") => (b'\n', 2),
            None => (b'\\', 1),
        };
        bytes.push(byte);
        rest = &rest[at + length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn marks_of(path: &str, text: &str) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (at, line) in text.split('\n').enumerate() {
        for severity in ["error", "warning", "note"] {
            for (start, sign) in line.match_indices(&format!("# {severity}: [")) {
                let rest = &line[start + sign.len()..];
                marks.push(mark(path, at as u64 + 1, severity, rest));
            }
        }
    }
    marks
}

/// `2 error [E0101] "words"`
fn listed_mark(line: &str) -> Mark {
    let (number, rest) = line.split_once(' ').unwrap();
    let (severity, rest) = rest.split_once(" [").unwrap();
    mark("policy.netpol", number.parse().unwrap(), severity, rest)
}

fn mark(path: &str, line: u64, severity: &str, rest: &str) -> Mark {
    let (code, rest) = rest.split_once(']').unwrap();
    let words = rest.strip_prefix(" \"").and_then(|words| words.split_once('"')).map(|(words, _)| words.to_string());
    Mark { path: path.into(), line, severity: severity.into(), code: code.into(), words }
}

/// Runs `netpol check` on a case and returns what it finds; a failure to run is an error.
pub fn check(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Finding>, String> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // The nearest settings are these, wherever the folder lies.
    fs::write(folder.path().join("netpol.toml"), "").unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_netpol"));
    command.current_dir(&folder).args(["check", "policy.netpol", "--error-format", "json", "--now", TODAY]);
    if files.contains_key("inventory.yaml") {
        command.args(["--inventory", "inventory.yaml"]);
    }
    findings(&mut command)
}

/// Runs a command that prints findings as JSON, and compares its exit code with them.
pub fn findings(command: &mut Command) -> Result<Vec<Finding>, String> {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut findings = Vec::new();
    for line in out.lines() {
        let json: Value = serde_json::from_str(line).map_err(|why| format!("{why}: {line}"))?;
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_string();
        let (code, severity, path) = (text("code"), text("severity"), text("path"));
        findings.push(Finding {
            code,
            severity,
            path,
            line: json["range"]["start"]["line"].as_u64().unwrap_or(0),
            json,
        });
    }
    let expected = i32::from(findings.iter().any(|finding| finding.severity == "error"));
    if output.status.code() != Some(expected) {
        return Err(format!("exit {:?} where {expected} was due\n{out}{err}", output.status.code()));
    }
    Ok(findings)
}

/// Returns what differs between the marks of a case and what it yields; what is `tolerated` needs no mark. A case whose
/// fence says `pending` says what is due and is not done yet.
pub fn differences(case: &Case, tolerated: fn(&str) -> bool) -> Vec<String> {
    let pending = case.info.iter().any(|word| word == "pending");
    if pending { Vec::new() } else { all_differences(case, tolerated) }
}

fn all_differences(case: &Case, tolerated: fn(&str) -> bool) -> Vec<String> {
    let found = match check(&case.files) {
        Ok(found) => found,
        Err(why) => return vec![why],
    };
    let mut left: Vec<&Finding> = found.iter().collect();
    let mut wrong = Vec::new();
    for mark in &case.marks {
        match left.iter().position(|finding| finding.meets(mark)) {
            Some(at) => drop(left.remove(at)),
            None => wrong.push(format!("missing: {mark:?}")),
        }
    }
    // A mistake leaves names unused.
    let has_errors = case.marks.iter().any(|mark| mark.severity == "error");
    let severe = left.iter().filter(|one| {
        let code = one.code.as_str();
        one.severity != "note" && !tolerated(code) && !(has_errors && ["W0220", "W0221", "W0420"].contains(&code))
    });
    wrong.extend(severe.map(|finding| format!("unexpected: {finding}")));
    wrong.extend(found.iter().filter_map(|finding| broken_fix(case, finding, &found)));
    wrong
}

/// Returns whether a code is one of the section "Layers and targets" of the table.
pub fn is_of_layers(code: &str) -> bool {
    code.get(1..3) == Some("07")
}

/// Applies the first fix of a finding alone; returns what is wrong with it if the finding does not go away.
fn broken_fix(case: &Case, finding: &Finding, before: &[Finding]) -> Option<String> {
    let fix = finding.json["fixes"].as_array()?.first()?;
    let mut files = case.files.clone();
    let mut edits: Vec<&Value> = fix["edits"].as_array()?.iter().collect();
    let position = |value: &Value| (value["line"].as_u64().unwrap(), value["column"].as_u64().unwrap());
    edits.sort_by_key(|edit| std::cmp::Reverse(position(&edit["range"]["start"])));
    for edit in edits {
        let path = edit["path"].as_str()?;
        let text = String::from_utf8(files.get(path)?.clone()).ok()?;
        let start = offset(&text, position(&edit["range"]["start"]));
        let end = offset(&text, position(&edit["range"]["end"]));
        files.insert(path.into(), [&text[..start], edit["text"].as_str()?, &text[end..]].concat().into());
    }
    let count = |list: &[Finding]| list.iter().filter(|one| one.code == finding.code).count();
    match check(&files) {
        Ok(after) if count(&after) < count(before) => None,
        Ok(_) => Some(format!("the fix {} does not repair {finding}", fix["title"])),
        Err(why) => Some(format!("after the fix {}: {why}", fix["title"])),
    }
}

fn offset(text: &str, (line, column): (u64, u64)) -> usize {
    let start: usize = text.split_inclusive('\n').take(line as usize - 1).map(str::len).sum();
    let rest = &text[start..];
    start + rest.char_indices().nth(column as usize - 1).map_or(rest.len(), |(at, _)| at)
}

/// Runs a judge over all cases, on every core, and fails with all that it says.
pub fn judge(cases: &[Case], judge: impl Fn(&Case) -> Vec<String> + Sync) {
    assert!(!cases.is_empty(), "no cases were found");
    let next = AtomicUsize::new(0);
    let wrong: Mutex<BTreeMap<usize, String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((at, case)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, cases.get(at)?)))
                {
                    let said = judge(case);
                    if !said.is_empty() {
                        wrong.lock().unwrap().insert(at, format!("{}\n    {}\n", case.place, said.join("\n    ")));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let text: String = wrong.into_values().collect();
    assert!(text.is_empty(), "\n{text}");
}

//! SARIF 2.1.0, which code-scanning services read.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::source::{FileId, Sources, Span};

/// The characters of the marked text that go into a fingerprint.
const FINGERPRINT_TEXT: usize = 200;

/// Writes one log with one run.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, out: &mut dyn Write) -> io::Result<()> {
    let codes: BTreeSet<Code> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    let codes: Vec<Code> = codes.into_iter().collect();
    let driver = Driver {
        name: "netpol",
        version: env!("CARGO_PKG_VERSION"),
        rules: codes.iter().map(|&code| rule(code)).collect(),
    };
    let results = Results { diagnostics, sources, codes: &codes };
    let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results };
    let log = Log { schema: "https://json.schemastore.org/sarif-2.1.0.json", version: "2.1.0", runs: [run] };
    serde_json::to_writer_pretty(&mut *out, &log)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'a str,
    version: &'a str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool<'a>,
    column_kind: &'a str,
    results: Results<'a>,
}

#[derive(Serialize)]
struct Tool<'a> {
    driver: Driver<'a>,
}

#[derive(Serialize)]
struct Driver<'a> {
    name: &'a str,
    version: &'a str,
    rules: Vec<Value>,
}

/// The results, each made when it is written.
struct Results<'a> {
    diagnostics: &'a Diagnostics,
    sources: &'a Sources,
    codes: &'a [Code],
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seen: HashMap<u64, usize> = HashMap::new();
        serializer.collect_seq(self.diagnostics.iter().map(|diagnostic| {
            let print = fingerprint(diagnostic, self.sources);
            let nth = seen.entry(print).or_default();
            *nth += 1;
            let index = self.codes.binary_search(&diagnostic.code).unwrap_or_default();
            result(diagnostic, self.sources, index, format!("{print:016x}:{nth}"))
        }))
    }
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.as_str(),
        "name": code.name(),
        "shortDescription": { "text": code.title() },
        "help": { "text": code.page(), "markdown": code.page() },
        "defaultConfiguration": { "level": code.severity().word() },
    })
}

fn result(diagnostic: &Diagnostic, sources: &Sources, rule: usize, fingerprint: String) -> Value {
    let mut text = diagnostic.message.clone();
    for note in &diagnostic.notes {
        text.push('\n');
        text.push_str(note);
    }
    let mut result = json!({
        "ruleId": diagnostic.code.as_str(),
        "ruleIndex": rule,
        "level": diagnostic.severity().word(),
        "message": { "text": text },
        "locations": [location(sources, diagnostic.primary.span, &diagnostic.primary.message)],
        "partialFingerprints": { "netpol/v1": fingerprint },
    });
    if !diagnostic.labels.is_empty() {
        let related = diagnostic.labels.iter().map(|label| location(sources, label.span, &label.message));
        result["relatedLocations"] = related.collect();
    }
    if !diagnostic.fixes.is_empty() {
        result["fixes"] = diagnostic.fixes.iter().map(|fix| fix_of(fix, sources)).collect();
    }
    result
}

fn location(sources: &Sources, span: Span, message: &str) -> Value {
    let mut location = json!({
        "physicalLocation": { "artifactLocation": artifact(sources, span.file), "region": region(sources, span) },
    });
    if !message.is_empty() {
        location["message"] = json!({ "text": message });
    }
    location
}

fn fix_of(fix: &crate::diag::Fix, sources: &Sources) -> Value {
    let mut files: Vec<FileId> = fix.edits.iter().map(|edit| edit.span.file).collect();
    files.sort_unstable();
    files.dedup();
    let changes = files.into_iter().map(|file| {
        let edits = fix.edits.iter().filter(|edit| edit.span.file == file);
        let replacements = edits.map(
            |edit| json!({ "deletedRegion": region(sources, edit.span), "insertedContent": { "text": edit.text } }),
        );
        json!({ "artifactLocation": artifact(sources, file), "replacements": replacements.collect::<Value>() })
    });
    json!({ "description": { "text": fix.title }, "artifactChanges": changes.collect::<Value>() })
}

fn region(sources: &Sources, span: Span) -> Value {
    let (start, end) = (sources.position(span.file, span.start), sources.position(span.file, span.end));
    json!({
        "startLine": start.line, "startColumn": start.column,
        "endLine": end.line, "endColumn": end.column,
    })
}

fn artifact(sources: &Sources, file: FileId) -> Value {
    json!({ "uri": uri(&sources.file(file).path) })
}

/// Writes a path as a relative URI reference; an absolute path becomes a `file:` URI.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for &byte in path.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => uri.push(byte as char),
            b'\\' => uri.push('/'),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// Returns the fingerprint of a finding, which stays the same while lines above it come and go (FNV-1a).
fn fingerprint(diagnostic: &Diagnostic, sources: &Sources) -> u64 {
    let span = diagnostic.primary.span;
    let marked = sources.slice(span);
    let marked = &marked[..marked.floor_char_boundary(FINGERPRINT_TEXT)];
    let parts = [diagnostic.code.as_str(), &sources.file(span.file).path, &diagnostic.message, marked];
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

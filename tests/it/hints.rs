//! The hints of messages: every statement and every setting that a note or a fix proposes is one that can be written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::common::{Finding, cases, check, is_of_layers, root};
use crate::docs::examples;

/// How statements begin.
const STATEMENTS: [&str; 12] = [
    "allow ",
    "deny ",
    "default deny ",
    "let ",
    "use std/",
    "apply ",
    "workload ",
    "namespace ",
    "service ",
    "gateway ",
    "issuer ",
    "scope ",
];

/// The keys of `netpol.toml` that hints propose, each with its table.
const KEYS: [(&str, &str); 9] = [
    ("targets", ""),
    ("inventory-namespace", ""),
    ("apiserver", "[cluster]"),
    ("nodes", "[cluster]"),
    ("pods", "[cluster]"),
    ("resolver", "[cluster]"),
    ("platform", "[cluster]"),
    ("path-normalization", "[istio]"),
    ("port-names", "[networkpolicy]"),
];

/// Stand-ins for the words in capitals that the reader fills in.
const STAND_INS: [(&str, &str); 9] = [
    ("NAMESPACE", "garden"),
    ("NAME", "x"),
    ("ADDRESS", "203.0.113.7"),
    ("HOST", "shop.example.com"),
    ("GATEWAY", "ingress-gateway"),
    ("PORT", "8080"),
    ("LABEL", "app"),
    ("VALUE", "web"),
    ("ISSUER", "login"),
];

fn filled(hint: &str) -> String {
    STAND_INS.iter().fold(hint.to_owned(), |text, (word, stand_in)| text.replace(word, stand_in))
}

/// Returns what stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns what is wrong with the hints of a note; the statements of one note are one policy.
fn wrong(note: &str) -> Option<String> {
    let hints: Vec<&str> = quoted(note).filter(|hint| !hint.contains('…')).collect();
    let statements: Vec<String> = hints
        .iter()
        .filter(|hint| STATEMENTS.iter().any(|start| hint.starts_with(start)))
        .map(|hint| filled(hint))
        .collect();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut settings = String::new();
    for hint in &hints {
        let key = hint.split_once(" = ").map(|(key, _)| key);
        if let Some((_, table)) = KEYS.iter().find(|(known, _)| Some(*known) == key) {
            settings.push_str(&format!("{table}\n{hint}\n"));
        }
    }
    if statements.is_empty() && settings.is_empty() {
        return None;
    }
    let policy = format!("{}\n", statements.join("\n"));
    // What a hint takes as given: the module of a gateway, and where the API server is.
    let gateways = policy.contains("gateway") && !policy.contains("use std/istio") && !policy.contains("gateway ");
    let module = if gateways { "use std/istio\n" } else { "" };
    if policy.contains("apiserver") && settings.is_empty() {
        settings.push_str("[cluster]\napiserver = [\"203.0.113.10:443\"]\n");
    }
    files.insert("policy.netpol".into(), format!("{module}{policy}").into_bytes());
    files.insert("netpol.toml".into(), settings.into_bytes());
    let found = match check(&files) {
        Ok(found) => found,
        Err(why) => return Some(format!("{note}: {why}")),
    };
    let errors: Vec<String> = found
        .iter()
        .filter(|one| one.severity == "error" && !is_of_layers(&one.code))
        .map(ToString::to_string)
        .collect();
    (!errors.is_empty()).then(|| format!("{note}\n    {}", errors.join("\n    ")))
}

fn notes(finding: &Finding) -> Vec<String> {
    let texts = |key: &str, inner: fn(&Value) -> &Value| -> Vec<String> {
        let list = finding.json[key].as_array().into_iter().flatten();
        list.filter_map(|item| inner(item).as_str().map(str::to_owned)).collect()
    };
    [texts("notes", |note| note), texts("fixes", |fix| &fix["title"])].concat()
}

/// Every statement and every setting that a message proposes can be written: those of the specification, and those of
/// the examples of the pages.
#[test]
fn every_hint_of_a_message_can_be_written() {
    let mut hints: BTreeSet<String> = BTreeSet::new();
    let spec = std::fs::read_dir(root().join("tests/spec")).unwrap().map(|entry| entry.unwrap().path());
    let files = spec.flat_map(|path| cases(&path)).map(|case| case.files).chain(examples());
    for files in files {
        for finding in check(&files).unwrap_or_default() {
            hints.extend(notes(&finding));
        }
    }
    assert!(hints.len() > 200, "only {} hints", hints.len());
    let wrong: Vec<String> = hints.iter().filter_map(|hint| wrong(hint)).collect();
    assert!(wrong.is_empty(), "{} hints\n{}", wrong.len(), wrong.join("\n"));
}

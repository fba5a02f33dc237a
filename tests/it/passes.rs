//! Every pass shows one sentence on its way through it: the examples in the module docs of `src/types/`, `src/policy/`
//! and `src/targets/` are run.
//!
//! A `netpol` block is built, and the lines of the `yaml` block after it stand in what comes out, in this order.
//! Sentences in `text` blocks are checked; of those of `types` and `policy` the explanation says whether they are an
//! error or a warning, and flows below them are allowed or denied as it says.

use std::path::Path;

use netpol::diag::{Diagnostic, Severity};
use netpol::policy::ask::{Question, ask};
use netpol::settings::Layer;

use crate::istio::build::{Build, build_with};

/// Returns the blocks of a module's docs, each with its language.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in text.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.strip_prefix(' ').unwrap_or(line);
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                open = true;
                blocks.push((language.to_owned(), String::new()));
            }
            None if open => blocks.last_mut().unwrap().1.extend([line, "\n"]),
            None => {}
        }
    }
    assert!(!open, "a block is not closed");
    blocks
}

/// Builds an example for a target, or says what is wrong with it; what a layer cannot enforce is no matter.
fn build(policy: &str, layer: Layer) -> Result<Build, String> {
    let build = build_with(policy, None, |settings| settings.targets = vec![layer]);
    let wrong = |finding: &&Diagnostic| {
        let of_layers = finding.code.as_str().starts_with("E07") && !finding.code.is_internal();
        finding.severity() == Severity::Error && !of_layers
    };
    let found = build.diagnostics.iter().find(wrong).map(|finding| format!("{}\n{policy}", finding.message));
    found.map_or(Ok(build), Err)
}

/// Returns a line of YAML without its indentation and its comment.
fn plain(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') { "" } else { line.split("  #").next().unwrap().trim_end() }
}

/// Returns the sentence of a line such as `allow a/* -> b/*    why`.
fn sentence(line: &str) -> Option<&str> {
    let (subject, peer) = line.split_once("-> ")?;
    let begins = ["allow ", "deny "].iter().any(|word| subject.starts_with(word));
    let whole = &line[..line.len() - peer.len() + peer.find("  ").unwrap_or(peer.len())];
    // A gateway is declared elsewhere.
    (begins && !whole.contains(" via ")).then_some(whole)
}

/// Runs the examples of a module, and returns how many there are.
fn run(text: &str, layer: Layer) -> Result<usize, String> {
    let blocks = blocks(text);
    let mut examples = 0;
    for (at, (language, block)) in blocks.iter().enumerate() {
        match language.as_str() {
            "netpol" => {
                let built = build(block, layer)?.text();
                let Some((_, yaml)) = blocks.get(at + 1).filter(|(language, _)| language == "yaml") else {
                    return Err(format!("nothing comes of\n{block}"));
                };
                let mut lines = built.lines().map(plain);
                let missing = yaml.lines().map(str::trim).find(|wanted| !lines.any(|line| line == *wanted));
                if let Some(line) = missing {
                    return Err(format!("no line `{line}` in its order in\n{built}"));
                }
                examples += 1;
            }
            "text" => {
                let sentences: Vec<&str> = block.lines().filter_map(sentence).collect();
                build(&sentences.join("\n"), layer)?;
                examples += sentences.len();
            }
            _ => {}
        }
    }
    Ok(examples)
}

#[test]
fn the_examples_of_the_targets_come_out_as_they_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut wrong, mut examples) = (Vec::new(), 0);
    for layer in [Layer::NetworkPolicy, Layer::Istio] {
        let folder = root.join("src/targets").join(layer.word());
        let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|entry| entry.unwrap());
        for entry in entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "rs")) {
            match run(&std::fs::read_to_string(entry.path()).unwrap(), layer) {
                Ok(count) => examples += count,
                Err(why) => wrong.push(format!("{}: {why}", entry.path().display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(examples > 40, "only {examples} examples");
}

/// Returns a statement of an example and its explanation, which is on its line or on the next ones.
fn explained(block: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        let (text, why) = line.trim_end().split_once("     ").unwrap_or((line.trim_end(), ""));
        match (line.starts_with(' '), all.last_mut()) {
            (true, Some(last)) => last.1.extend(["\n", line.trim()]),
            _ => all.push((text.to_owned(), why.trim().to_owned())),
        }
    }
    all
}

const BEGINNINGS: [&str; 10] =
    ["allow ", "deny ", "default ", "let ", "namespace ", "service ", "gateway ", "issuer ", "scope ", "template "];

/// Runs a `text` block of a stage before the targets: whether each statement is an error or a warning, and what becomes
/// of the flows below it. What hangs on manifests is no matter.
fn run_stage(block: &str) -> Result<usize, String> {
    let lines = explained(block);
    let is_statement = |text: &str| BEGINNINGS.iter().any(|word| text.starts_with(word)) || text.starts_with("apply ");
    let statements: Vec<&(String, String)> = lines.iter().filter(|(text, _)| is_statement(text)).collect();
    if statements.is_empty() {
        return Ok(0);
    }
    let mut source = String::from("use std/istio (egress-gateway)\n");
    if !block.contains("gateway edge {") {
        source.push_str(
            "gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/https }\n",
        );
    }
    let first = source.lines().count() + 1;
    statements.iter().for_each(|(text, _)| source.extend([text.as_str(), "\n"]));
    let build = build_with(&source, None, |settings| settings.targets = vec![Layer::NetworkPolicy, Layer::Istio]);
    let early = build.diagnostics.iter().filter(|finding| !finding.code.as_str()[1..].starts_with("07"));
    let early: Vec<(usize, &Diagnostic)> = early.map(|one| (build.sources.line(one.primary.span), one)).collect();
    for (at, (text, why)) in statements.iter().enumerate() {
        let of_line = |severity| early.iter().any(|(line, one)| *line == first + at && one.severity() == severity);
        let on_facts = ["inventory", "Gateway object", "where the Service"].iter().any(|word| why.contains(word));
        let due = why.contains("a warning") || why.contains("redundant:");
        for (due, severity) in [(why.contains("an error"), Severity::Error), (due, Severity::Warning)] {
            // A policy out of its surroundings has other warnings too.
            let wrong = due != of_line(severity) && (due || severity == Severity::Error);
            if wrong && !on_facts {
                let said: Vec<&str> = early.iter().map(|(_, one)| one.message.as_str()).collect();
                return Err(format!("`{text}` is {severity:?}: {}\n{}", !due, said.join("\n")));
            }
        }
        for line in why.lines() {
            let (flow, verdict) = line.split_once("     ").unwrap_or_default();
            if let Some((from, to)) =
                flow.split_once(" -> ").filter(|(from, to)| !from.contains(' ') && !to.trim().contains(' '))
            {
                let question = Question { from: from.into(), to: to.trim().into(), ..Question::default() };
                let allowed = ask(&build.policy, &question).map_err(|why| format!("{flow}: {why}"))?.allowed();
                if allowed != verdict.trim().starts_with("allowed") {
                    return Err(format!("`{flow}` is allowed: {allowed}"));
                }
            }
        }
    }
    Ok(statements.len())
}

#[test]
fn the_examples_of_types_and_policy_are_what_they_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut wrong, mut examples) = (Vec::new(), 0);
    for folder in ["src/types", "src/policy"] {
        let entries = walkdir::WalkDir::new(root.join(folder)).sort_by_file_name().into_iter();
        for entry in entries.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().is_file()) {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            for (_, block) in blocks(&text).iter().filter(|(language, _)| language == "text") {
                match run_stage(block) {
                    Ok(count) => examples += count,
                    Err(why) => wrong.push(format!("{}: {why}", entry.path().display())),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(examples > 35, "only {examples} examples");
}

#[test]
fn a_wrong_example_is_found() {
    let example = |policy: &str, yaml: &str| {
        run(&format!("//! ```netpol\n//! {policy}\n//! ```\n//!\n//! ```yaml\n//! {yaml}\n//! ```\n"), Layer::Istio)
    };
    let policy = "allow ingress lab/* -> garden/{app=web}:80";
    assert_eq!(example(policy, "action: ALLOW"), Ok(1));
    assert!(example(policy, "action: DENY").is_err());
    assert!(example("allow ingress lab/* -> garden/{app=web", "action: ALLOW").is_err());
    assert!(run_stage("allow garden/* -> zenquotes.io:443     an error: the host is not governed").is_ok());
    assert!(run_stage("allow egress garden/* -> zenquotes.io:443     an error: it is none").is_err());
    assert!(run_stage("default deny garden/*\n    garden/web -> shop/web:80     allowed by nothing").is_err());
    assert!(run("//! ```text\n//! allow ingress lab/* -> garden/{app=web    a slip\n//! ```\n", Layer::Istio).is_err());
}

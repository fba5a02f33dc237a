//! The pages of the codes: each failing example fails with its code, and each repaired one does not.

use netpol::diag::{Code, Severity};

use crate::cli::{Run, folder, netpol};

/// The policy of pages whose example is something else.
const POLICY: &str = "allow egress garden/* -> 203.0.113.0/24:443\n";

/// A fenced block.
#[derive(Clone, Debug)]
struct Block {
    /// `netpol`, `toml`, `yaml` or `sh`.
    language: String,
    /// What stands after it: a path, or `latin-1`.
    word: Option<String>,
    text: String,
}

/// A page by its headings; what stands before the first one has the empty heading.
fn sections(page: &str) -> Vec<(String, Vec<Block>, String)> {
    let mut sections = vec![(String::new(), Vec::new(), String::new())];
    let mut open: Option<Block> = None;
    for line in page.lines().skip(1) {
        let (_, blocks, prose) = sections.last_mut().unwrap();
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                open = Some(Block { language, word: words.next(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => match line.strip_prefix("## ") {
                Some(heading) => sections.push((heading.to_owned(), Vec::new(), String::new())),
                None => prose.push_str(line),
            },
        }
    }
    assert!(open.is_none(), "a block is not closed");
    sections
}

/// Runs an example with what the page says of its surroundings.
fn run(surroundings: &[Block], example: &[Block]) -> Run {
    let here = folder(&[("policy.netpol", POLICY)]);
    let mut command = "check policy.netpol".to_owned();
    for block in surroundings.iter().chain(example) {
        let name = match (block.word.as_deref(), block.language.as_str()) {
            (Some("latin-1"), _) | (None, "netpol") => "policy.netpol",
            (Some(path), _) => path,
            (None, "toml") => "netpol.toml",
            (None, "yaml") => "inventory.yaml",
            (None, "sh") => {
                command = block.text.trim().strip_prefix("netpol ").expect("a command of ours").to_owned();
                continue;
            }
            (None, other) => panic!("what is a block of `{other}`?"),
        };
        let path = here.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = match block.word.as_deref() {
            Some("latin-1") => block.text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect(),
            _ => block.text.clone().into_bytes(),
        };
        std::fs::write(path, bytes).unwrap();
    }
    if here.path().join("inventory.yaml").exists() {
        command.push_str(" --inventory inventory.yaml");
    }
    command.push_str(" --now 2026-06-01 --error-format json");
    netpol(here.path(), &command.split_whitespace().collect::<Vec<_>>())
}

/// Returns the codes that a run found, errors and others.
fn codes(run: &Run) -> (Vec<Code>, Vec<Code>) {
    let all = run.out.lines().map(|line| {
        let finding: serde_json::Value = serde_json::from_str(line).unwrap();
        Code::parse(finding["code"].as_str().unwrap()).unwrap()
    });
    let (mut errors, others): (Vec<Code>, Vec<Code>) = all.partition(|code| code.severity() == Severity::Error);
    errors.dedup();
    (errors, others)
}

fn try_page(code: Code) {
    let page = code.page();
    let sections = sections(page);
    let headings: Vec<&str> = sections.iter().map(|(heading, _, _)| heading.as_str()).collect();
    let known = ["", "Why it matters", "Inventory", "Settings", "Command", "Fails", "Repaired"];
    assert!(headings.iter().all(|heading| known.contains(heading)), "headings: {headings:?}");
    let prose = |wanted: &str| sections.iter().any(|(heading, _, prose)| heading == wanted && !prose.trim().is_empty());
    assert!(prose("") && prose("Why it matters"), "says what it means and why it matters");
    let blocks = |wanted: &[&str]| -> Vec<Block> {
        let sections = sections.iter().filter(|(heading, _, _)| wanted.contains(&heading.as_str()));
        sections.flat_map(|(_, blocks, _)| blocks.clone()).collect()
    };
    let surroundings = blocks(&["Inventory", "Settings", "Command"]);
    let (fails, repaired) = (blocks(&["Fails"]), blocks(&["Repaired"]));
    assert!(!fails.is_empty() && !repaired.is_empty(), "has an example that fails and one that is right");

    let failed = run(&surroundings, &fails);
    let (errors, others) = codes(&failed);
    if code.severity() == Severity::Error {
        assert_eq!(errors, [code], "the failing example: {}{}", failed.out, failed.err);
        assert_eq!(failed.code, 1);
    } else {
        assert!(others.contains(&code) && errors.is_empty(), "the failing example: {}{}", failed.out, failed.err);
        assert_eq!(failed.code, 0);
    }
    let right = run(&surroundings, &repaired);
    let (errors, others) = codes(&right);
    assert!(errors.is_empty() && !others.contains(&code), "the repaired example: {}{}", right.out, right.err);
    assert_eq!(right.code, 0, "the repaired example: {}", right.err);
}

#[test]
fn every_page_fails_and_is_repaired_as_it_says() {
    let mut wrong = Vec::new();
    for &code in Code::ALL {
        let waiting = ["N0701", "N0703", "N0704", "E0712", "E0713"];
        if code.page().lines().count() < 3 || waiting.contains(&code.as_str()) {
            continue;
        }
        if let Err(panic) = std::panic::catch_unwind(|| try_page(code)) {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            wrong.push(format!("{}: {}", code.as_str(), message.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{} pages\n\n{}", wrong.len(), wrong.join("\n\n"));
}

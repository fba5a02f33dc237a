//! The pages of the codes: each failing example fails with its code, each repaired one does not, and the fixes that a
//! message offers repair it.

use std::collections::BTreeMap;

use netpol::diag::{Code, Severity};

use crate::cli::{Run, folder, netpol};
use crate::common::Given;

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
    let known = ["", "Why it matters", "Settings", "Inventory", "Also", "Command", "Fails", "Repaired"];
    let place = |heading: &&str| known.iter().position(|part| heading == part).expect("a heading that pages have");
    assert!(headings.iter().map(place).is_sorted(), "headings: {headings:?}");
    let prose = |wanted: &str| sections.iter().any(|(heading, _, prose)| heading == wanted && !prose.trim().is_empty());
    assert!(prose("") && prose("Why it matters"), "says what it means and why it matters");
    // What it takes to be too much is longer than a page: `verify::too_large` and `networkpolicy::limits` make it.
    if code.is_internal() || matches!(code, Code::Unchecked | Code::NamespacesMultiply) {
        assert_eq!(headings, ["", "Why it matters"], "no policy of a page provokes it");
        return;
    }
    let blocks = |wanted: &[&str]| -> Vec<Block> {
        let sections = sections.iter().filter(|(heading, _, _)| wanted.contains(&heading.as_str()));
        sections.flat_map(|(_, blocks, _)| blocks.clone()).collect()
    };
    let surroundings = blocks(&["Inventory", "Settings", "Also", "Command"]);
    let (fails, repaired) = (blocks(&["Fails"]), blocks(&["Repaired"]));
    assert!(!fails.is_empty() && !repaired.is_empty(), "has an example that fails and one that is right");

    let failed = run(&surroundings, &fails);
    let (errors, others) = codes(&failed);
    if code.severity() == Severity::Error {
        assert_eq!(errors, [code], "the failing example: {}{}", failed.out, failed.err);
        assert_eq!(failed.code, 1);
    } else {
        assert!(others.contains(&code) && errors.is_empty(), "the failing example: {}{}", failed.out, failed.err);
    }
    let right = run(&surroundings, &repaired);
    let (errors, others) = codes(&right);
    assert!(errors.is_empty() && !others.contains(&code), "the repaired example: {}{}", right.out, right.err);
    assert_eq!(right.code, 0, "the repaired example: {}{}", right.out, right.err);
}

#[test]
fn every_page_fails_and_is_repaired_as_it_says() {
    let mut wrong = Vec::new();
    for &code in Code::ALL {
        if let Err(panic) = std::panic::catch_unwind(|| try_page(code)) {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            wrong.push(format!("{}: {}", code.as_str(), message.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{} pages\n\n{}", wrong.len(), wrong.join("\n\n"));
}

/// Returns the failing example of a page for the stages alone; `None` where it takes more than these.
pub fn given(code: Code) -> Option<Given> {
    let mut given = Given::default();
    for (heading, blocks, _) in sections(code.page()) {
        for Block { language, word, text } in blocks {
            match (heading.as_str(), language.as_str(), word) {
                ("Repaired", ..) => {}
                ("Fails", "netpol", None) => given.policy = text,
                ("Also", "netpol", Some(name)) => given.also.push((name, text)),
                ("Settings", "toml", None) => given.settings = Some(text),
                ("Inventory", "yaml", None) => given.inventory = Some(text),
                _ => return None,
            }
        }
    }
    (!given.policy.is_empty()).then_some(given)
}

/// Returns the failing examples of all pages as files.
pub fn examples() -> impl Iterator<Item = BTreeMap<String, Vec<u8>>> {
    Code::ALL.iter().filter_map(|&code| given(code)).map(|given| {
        let also = given.also.into_iter();
        let mut files: BTreeMap<String, Vec<u8>> = also.map(|(name, text)| (name, text.into_bytes())).collect();
        files.insert("policy.netpol".into(), given.policy.into_bytes());
        files.extend(given.settings.map(|text| ("netpol.toml".into(), text.into_bytes())));
        files.extend(given.inventory.map(|text| ("inventory.yaml".into(), text.into_bytes())));
        files
    })
}

/// Each fix takes a finding of its code away and leaves text that can be read.
#[test]
fn a_fix_repairs_what_it_is_offered_for() {
    let (mut wrong, mut fixes) = (Vec::new(), 0);
    for (code, given) in Code::ALL.iter().filter_map(|&code| Some((code, given(code)?))) {
        let before = given.run();
        for fix in before.of(code).iter().flat_map(|finding| &finding.fixes) {
            fixes += 1;
            let after = given.repaired(fix, &before.sources).run();
            let unread = |outcome: &crate::common::Outcome| {
                outcome.diagnostics.iter().filter(|finding| finding.code.as_str().starts_with("E01")).count()
            };
            if after.of(code).len() >= before.of(code).len() || unread(&after) > unread(&before) {
                wrong.push(format!("{}: `{}` does not repair it:\n{}", code.as_str(), fix.title, after.shown()));
            }
        }
    }
    assert!(fixes > 20, "only {fixes} fixes");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Messages are sentences in lower case without a final period.
#[test]
fn every_message_has_the_form_of_a_message() {
    let mut wrong = Vec::new();
    for (code, given) in Code::ALL.iter().filter_map(|&code| Some((code, given(code)?))) {
        for finding in given.run().of(code) {
            let labels = std::iter::once(&finding.primary).chain(&finding.labels).map(|label| &label.message);
            for text in std::iter::once(&finding.message).chain(labels).chain(&finding.notes) {
                let kinds = ["Service", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "Namespace"];
                let begins = !text.starts_with(char::is_uppercase) || kinds.iter().any(|kind| text.starts_with(kind));
                if !begins || text.ends_with('.') || text.contains('\n') {
                    wrong.push(format!("{}: `{text}`", code.as_str()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

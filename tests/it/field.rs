//! Policies as people wrote them, from reports in public, with what they are told. A folder of `tests/field` is a case:
//!
//! ```text
//! policy.netpol    what was written; mended.netpol what the message leads to
//! cluster.yaml     the facts about the cluster, where the case has its own; others share a file of `tests/field`
//! case.txt         what was wanted, and each command with what it prints and its exit code
//! ```
//!
//! `eval … --expect VERDICT` checks the wanted verdict: its exit code is 0. If an output changes, write these files
//! again, and read the difference: `NETPOL_WRITE=1 cargo test --test it field`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use similar::TextDiff;

use crate::common::root;

/// Returns the words of a command as a shell divides them; single quotes keep words together.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words
}

/// Runs a command in the folder of a case, and returns what it prints, the messages first.
fn run(folder: &Path, command: &str) -> String {
    let words = words(command);
    assert_eq!(words[0], "netpol", "{command}");
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_netpol")).args(&words[1..]).current_dir(folder).output().unwrap();
    let mut text = String::new();
    for part in [stderr, stdout].map(|bytes| String::from_utf8(bytes).unwrap()) {
        text.push_str(&part);
        if !part.is_empty() && !part.ends_with('\n') {
            text.push('\n');
        }
    }
    text.push_str(&format!("[exit {}]\n", status.code().unwrap()));
    text
}

/// Returns the text of a case as its commands make it today.
fn today(folder: &Path, text: &str) -> String {
    let (wanted, _) = text.split_once("\n\n").expect("what was wanted stands before the commands");
    let commands = text.lines().filter_map(|line| line.strip_prefix("$ "));
    let shown: Vec<String> = commands.map(|command| format!("$ {command}\n{}", run(folder, command))).collect();
    format!("{wanted}\n\n{}", shown.join("\n"))
}

#[test]
fn people_are_told_what_is_committed() {
    let mut folders: Vec<_> =
        fs::read_dir(root().join("tests/field")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(folders.len() >= 100, "{}", folders.len());
    let mut wrong = String::new();
    for folder in folders {
        let file = folder.join("case.txt");
        let committed = fs::read_to_string(&file).unwrap();
        let today = today(&folder, &committed);
        if std::env::var_os("NETPOL_WRITE").is_some() {
            fs::write(&file, &today).unwrap();
        } else if committed != today {
            let difference = TextDiff::from_lines(&committed, &today);
            let name = folder.strip_prefix(root()).unwrap().display().to_string();
            wrong.push_str(&difference.unified_diff().header(&name, "today").to_string());
        }
        // A verdict that is not the wanted one is wrong, whatever is committed.
        for asked in today.split("\n$ ").filter(|shown| shown.contains(" --expect ")) {
            if !asked.trim_end().ends_with("[exit 0]") {
                wrong.push_str(&format!("{}: {asked}\n", folder.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}\nto write them again: NETPOL_WRITE=1 cargo test --test it field");
}

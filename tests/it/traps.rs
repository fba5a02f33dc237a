//! The table of traps (`docs/design/traps.md`) against the tests that are named after them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::root;

/// Returns the trap that a word names: `trap_04_ports` and `trap_04` are 4, `trap_63a` is 63a.
fn number(word: &str) -> Option<String> {
    let rest = word.strip_prefix("trap_")?.split('_').next()?;
    let digits = rest.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let number: u32 = digits.parse().ok()?;
    Some(format!("{number}{}", &rest[digits.len()..]))
}

fn tested() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut numbers = BTreeSet::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.unwrap();
        if entry.path().extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let tests = text.lines().filter_map(|line| line.trim().strip_prefix("fn "));
            numbers.extend(tests.filter_map(number));
        }
    }
    numbers
}

#[test]
fn every_trap_has_its_test_or_its_reason() {
    let page = include_str!("../../docs/design/traps.md");
    let (mut rows, mut named) = (Vec::new(), BTreeSet::new());
    for row in page.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [trap, wrong, against] = cells.as_slice() else { panic!("{row}") };
        assert!(!wrong.is_empty() && !against.is_empty(), "{row}");
        let tests: Vec<String> = against.split('`').filter_map(number).collect();
        assert!(tests.iter().all(|test| test == trap), "{row} names the test of another trap");
        for case in against.split('`').filter_map(|word| word.strip_prefix("targets/")) {
            assert!(root().join("tests/targets").join(case).is_dir(), "{row}: there is no such case");
        }
        rows.push((*trap).to_owned());
        named.extend(tests);
    }
    assert_eq!(named, tested(), "the table and the tests name different traps");
    let key = |trap: &String| (trap.trim_end_matches(char::is_alphabetic).parse::<u32>().unwrap(), trap.clone());
    assert!(rows.is_sorted_by(|a, b| key(a) < key(b)), "{rows:?}");
    assert!((1..=63).all(|trap| rows.contains(&trap.to_string())), "{rows:?}");
}

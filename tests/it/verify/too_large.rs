//! Policies whose sets are too large to compare.

use std::fmt::Write;

use netpol::diag::Code;

use super::build;
use crate::layers::random::Random;

#[test]
fn what_is_too_much_to_check_is_said_with_its_rules_and_labels() {
    const KEYS: usize = 24;
    let random = &mut Random::of_case(1, 1);
    let mut text = String::from("default deny lab/*\n");
    let mut pair = |name: &str| {
        let first = random.below(KEYS);
        let second = (first + 1 + random.below(KEYS - 1)) % KEYS;
        format!("lab/{{{name}{first}=a, {name}{second}=a}}")
    };
    for _ in 0..60 {
        writeln!(text, "allow egress {} -> {}", pair("k"), pair("l")).unwrap();
    }
    text.push_str("@approximate(\"labels that are not known\") deny egress lab/{zone=a} -> lab/{zone=b}\n");
    let build = build(&text, &[]);
    let finding = build.diagnostics.iter().find(|finding| finding.code == Code::Unchecked).unwrap();
    assert!(finding.message.contains("egress of namespace lab"), "{}", finding.message);
    assert!(finding.notes.iter().any(|note| note.starts_with("the labels: `")), "{:?}", finding.notes);
}

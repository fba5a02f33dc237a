//! Mistakes that people make, with the message of each as they see it.
//!
//! The inputs stand one a line in `mistakes/*.txt`, behind what is wrong with them; the cluster is
//! `mistakes/shop.yaml`. Whoever changes a message reads the snapshots as somebody would who is tired and in a hurry:
//! is it said what is wrong, and does what stands behind `=` work when it is pasted?

use netpol::compile;
use netpol::diag::{Code, Diagnostic, Diagnostics, Severity};
use netpol::policy::meaning::Versions;
use netpol::source::Sources;
use netpol::syntax;

use crate::common::{Given, Outcome, POLICY, sources};

const FILES: [(&str, &str); 5] = [
    ("words", include_str!("mistakes/words.txt")),
    ("lists", include_str!("mistakes/lists.txt")),
    ("ports", include_str!("mistakes/ports.txt")),
    ("ends", include_str!("mistakes/ends.txt")),
    ("clauses", include_str!("mistakes/clauses.txt")),
];

/// Returns the mistakes of a file: what is wrong, and the policy.
fn mistakes(text: &str) -> impl Iterator<Item = (&str, Given)> {
    text.lines().map(|line| {
        let (name, source) = line.split_once(": ").unwrap();
        let inventory = Some(include_str!("mistakes/shop.yaml").to_owned());
        (name, Given { inventory, ..Given::policy(&format!("{source}\n")) })
    })
}

/// Runs the stages and judges what the layers enforce.
fn run(given: &Given) -> Outcome {
    let mut outcome = given.run();
    if let Some(policy) = &outcome.policy {
        compile::judge(policy, &outcome.sources, &mut outcome.diagnostics);
        outcome.diagnostics.sort();
    }
    outcome
}

#[test]
fn each_message_says_what_is_wrong_and_what_is_right() {
    for (name, text) in FILES {
        let mut shown = String::new();
        for (mistake, given) in mistakes(text) {
            let outcome = run(&given);
            shown.push_str(&format!("--- {mistake}\n{}", outcome.shown()));
        }
        insta::assert_snapshot!(name, shown);
    }
}

/// Returns the errors that stand where a fix has put something, and that were not there before.
fn new_errors(
    before: &Outcome,
    finding: &Diagnostic,
    fix: usize,
    given: &Given,
    run: fn(&Given) -> Outcome,
) -> Vec<String> {
    let fix = &finding.fixes[fix];
    let after = run(&given.repaired(fix, &before.sources));
    let mut moved = 0i64;
    let mut places = Vec::new();
    let mut edits: Vec<_> = fix.edits.iter().collect();
    edits.sort_by_key(|edit| edit.span.start);
    for edit in edits {
        let start = i64::from(edit.span.start) + moved;
        places.push((start, start + edit.text.len() as i64));
        moved += edit.text.len() as i64 - i64::from(edit.span.end - edit.span.start);
    }
    let was_said = |error: &Diagnostic| {
        let same = |one: &Diagnostic| one.code == error.code && one.message == error.message;
        before.diagnostics.iter().any(|one| same(one) && one.primary.span != finding.primary.span)
    };
    let errors = after.diagnostics.iter().filter(|one| one.severity() == Severity::Error && !was_said(one));
    let at_place = |error: &&Diagnostic| {
        let (start, end) = (i64::from(error.primary.span.start), i64::from(error.primary.span.end));
        places.iter().any(|(first, last)| start <= *last && *first <= end)
    };
    errors.filter(at_place).map(|error| format!("{}: {}", error.code.as_str(), error.message)).collect()
}

/// A fix ends what it is offered for, and whoever takes it meets no other error at its place.
#[test]
fn a_fix_makes_no_new_mistake() {
    let (mut wrong, mut fixes) = (Vec::new(), 0);
    for (mistake, given) in FILES.iter().flat_map(|(_, text)| mistakes(text)) {
        let before = run(&given);
        for finding in before.diagnostics.iter() {
            for at in 0..finding.fixes.len() {
                fixes += 1;
                for error in new_errors(&before, finding, at, &given, run) {
                    wrong.push(format!("{mistake}: after `{}` comes {error}", finding.fixes[at].title));
                }
            }
        }
    }
    assert!(fixes > 60, "only {fixes} fixes");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Returns what the rules of a policy say, wherever they stand.
fn meaning(outcome: &Outcome) -> Option<String> {
    let text = format!("{:?}", outcome.policy.as_ref()?.rules);
    let mut parts = text.split("Span {");
    let first = parts.next().unwrap_or_default().to_owned();
    Some(parts.fold(first, |text, part| text + part.split_once('}').map_or(part, |(_, rest)| rest)))
}

/// Returns whether two policies allow the same flows.
fn allow_the_same(before: &Outcome, after: &Outcome) -> bool {
    let (Some(before), Some(after)) = (&before.policy, &after.policy) else { return false };
    let mut versions = Versions::new(before, after);
    versions.opened().unwrap().is_none() && versions.closed().unwrap().is_none()
}

/// What is only warned of is a policy already: a fix leaves what it means as it is.
#[test]
fn a_fix_of_a_policy_without_errors_keeps_its_meaning() {
    let (mut wrong, mut fixes) = (Vec::new(), 0);
    for (code, given) in Code::ALL.iter().filter_map(|&code| Some((code, crate::docs::given(code)?))) {
        let before = given.run();
        let Some(said) = meaning(&before) else { continue };
        for fix in before.diagnostics.iter().flat_map(|finding| &finding.fixes) {
            fixes += 1;
            let after = given.repaired(fix, &before.sources).run();
            if meaning(&after).as_ref() != Some(&said) && !allow_the_same(&before, &after) {
                wrong.push(format!("{}: `{}` changes what the policy means", code.as_str(), fix.title));
            }
        }
    }
    assert!(fixes > 0);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What a slip of the hand leaves: a token too many, too few, or another one.
const SLIPS: [&str; 24] = [
    "", " ", ":", "=", "==", ",", "/", "//", "{", "}", "[", "]", "(", ")", "*", "->", "=>", "<-", "and", "or", "not",
    "port", "all", "443",
];

/// Returns a source with one place changed.
fn slipped(source: &str, place: usize, length: usize, slip: &str, spaces: bool) -> String {
    let boundary = |at: usize| (at.min(source.len())..=source.len()).find(|&at| source.is_char_boundary(at)).unwrap();
    let start = boundary(place % (source.len() + 1));
    let end = boundary(start + length);
    let space = if spaces { " " } else { "" };
    format!("{}{space}{slip}{space}{}", &source[..start], &source[end..])
}

proptest::proptest! {
    /// After a fix of what the grammar refuses, the grammar refuses nothing else at its place.
    #[test]
    fn a_fix_of_a_slip_makes_no_new_mistake(
        source in sources(),
        place in 0usize..4000,
        length in 0usize..6,
        slip in proptest::sample::select(SLIPS.to_vec()),
        spaces: bool,
    ) {
        let given = Given::policy(&slipped(&source, place, length, slip, spaces));
        let before = read(&given);
        for finding in before.diagnostics.iter() {
            for at in 0..finding.fixes.len() {
                let found = new_errors(&before, finding, at, &given, read);
                assert!(found.is_empty(), "{}\nafter `{}` comes {found:?}", given.policy, finding.fixes[at].title);
            }
        }
    }
}

/// Reads a policy and goes no further.
fn read(given: &Given) -> Outcome {
    let mut sources = Sources::new();
    let file = sources.add(POLICY, given.policy.as_str());
    let mut diagnostics = Diagnostics::new();
    syntax::parse(&sources, file, &mut diagnostics);
    Outcome { sources, diagnostics, policy: None }
}

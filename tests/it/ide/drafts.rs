//! Drafts of policies: after each edit the errors are those of a fresh check, and what stays is where its text is.

use netpol::diag::{Diagnostic, Diagnostics, Severity};
use netpol::ide::{Analysis, Draft};
use netpol::source::{FileId, Span};

use super::analysis;
use super::edits::{Numbers, edit};

const POLICY: &str = "\
use std/istio (ingress-gateway)
## The offices.
let offices = { 203.0.113.0/24, 198.51.100.7 }
let homes = { offices, 192.0.2.0/28 }
let db = data/{app=db}
service shop/api { select {app=api}  port 80 -> 8080/http }
template tenant(ns: Namespace, api: Host) {
  default deny ns/*
  allow egress ns/* -> api:443
}
apply tenant(shop, payments-api.com)
@owner(\"web\")
allow ingress offices -> shop/api:80
  via ingress-gateway at \"shop.example.com\" where method GET, POST
allow shop/{app=web, tier in (a, b)} -> shop/api:80 # the front

# The store.
allow egress shop/{app=web} -> db:5432
allow ingress homes -> shop/{app=admin}:8443
deny egress shop/* -> 169.254.169.254
test \"the front reaches the api\" {
  allow shop/{app=web, tier=a} -> shop/{app=api}:8080
}
default deny data/*
";

fn checked(text: &str) -> (Analysis, FileId) {
    analysis(&[("policy.netpol".to_owned(), text.to_owned())], None, None)
}

/// A policy with its draft.
struct Edited {
    text: String,
    old: String,
    file: FileId,
    draft: Draft,
}

impl Edited {
    fn new(text: &str) -> Edited {
        let (analysis, file) = checked(text);
        Edited { text: text.to_owned(), old: text.to_owned(), file, draft: Draft::new(&analysis) }
    }

    /// Makes the text another one, by one edit.
    fn become_text(&mut self, new: &str) {
        let same = self.text.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
        let both = |at: &usize| self.text.is_char_boundary(*at) && new.is_char_boundary(*at);
        let start = (0..=same).rev().find(both).unwrap();
        let (old, rest) = (&self.text[start..], &new[start..]);
        let same = old.bytes().rev().zip(rest.bytes().rev()).take_while(|(a, b)| a == b).count();
        let both = |end: &usize| old.is_char_boundary(old.len() - end) && rest.is_char_boundary(rest.len() - end);
        let end = (0..=same).rev().find(both).unwrap();
        let (to, bytes) = (self.text.len() - end, new.len() - end - start);
        assert!(self.draft.edit(self.file, start as u32, to as u32, bytes as u32));
        self.text = new.to_owned();
    }

    fn read(&mut self) -> Vec<Diagnostic> {
        let Edited { text, draft, file, .. } = self;
        draft.read(|asked| (asked == *file).then_some(text.as_str()));
        draft.findings()
    }
}

fn errors<'f>(findings: impl IntoIterator<Item = &'f Diagnostic>) -> Vec<(String, Span, String)> {
    let errors = findings.into_iter().filter(|one| one.severity() == Severity::Error);
    let mut errors: Vec<_> =
        errors.map(|one| (one.code.as_str().to_owned(), one.primary.span, one.message.clone())).collect();
    errors.sort();
    errors.dedup();
    errors
}

/// Whole lines change, as people change them: the draft has the errors of a fresh check, no more and no less.
#[test]
fn a_draft_has_the_errors_of_a_fresh_check() {
    const LINES: [&str; 12] = [
        "allow egress shop/{app=new} -> db:1",
        "allow egress shop/{ap",
        "allow egress shop/* -> nowhere:1",
        "let store = data/{app=store}",
        "allow ingress store -> shop/{app=x}:1",
        "deny egress db -> offices",
        "let db = data/{app=other}",
        "# only words",
        "",
        "apply tenant(team-a, x.com)",
        "apply tenant(team-a)",
        "  via",
    ];
    let mut numbers = Numbers::new(20_261_128);
    let mut edited = Edited::new(POLICY);
    let mut with_errors = 0;
    for round in 0..400 {
        let mut lines: Vec<String> = edited.text.lines().map(str::to_owned).collect();
        // Facts, scopes and `use` wait for the analysis, and the lines of a block are no statements.
        let may_change = |line: &String| {
            !["use", "service", "template", "  ", "}", "test", "@"].iter().any(|word| line.starts_with(word))
        };
        let choices: Vec<usize> = (0..lines.len()).filter(|at| may_change(&lines[*at])).collect();
        let at = choices[numbers.below(choices.len())];
        match numbers.below(6) {
            0 => lines.insert(at, LINES[numbers.below(LINES.len() - 1)].to_owned()),
            1 => drop(lines.remove(at)),
            2 => lines[at] = lines[at].replacen(" -> ", " ", 1),
            3 => lines[at] = LINES[numbers.below(LINES.len() - 1)].to_owned(),
            4 => lines[at] = lines[at].replacen("db", "base", 1),
            _ => lines[at].push_str(" # and a comment"),
        }
        if round % 25 == 24 || lines.len() > 60 {
            lines = POLICY.lines().map(str::to_owned).collect();
        }
        edited.become_text(&(lines.join("\n") + "\n"));
        // Now and then several edits are read at once.
        if numbers.below(4) == 0 {
            continue;
        }
        let found = edited.read();
        let (fresh, _) = checked(&edited.text);
        let due = errors(fresh.first_findings().iter());
        assert_eq!(errors(&found), due, "round {round}, from:\n{}\nto:\n{}", edited.old, edited.text);
        with_errors += usize::from(!due.is_empty());
        if edited.draft.is_long() || round % 10 == 9 {
            edited = Edited::new(&edited.text.clone());
        }
    }
    assert!(with_errors > 50, "{with_errors} of the texts had an error");
}

/// Whatever somebody types, a finding that stays is at the text that it was about, and what is asked has an answer.
#[test]
fn what_stays_is_where_its_text_is() {
    let mut numbers = Numbers::new(15);
    for _ in 0..20 {
        let mut edited = Edited::new(POLICY);
        for _ in 0..20 {
            let mut text = edited.text.clone();
            edit(&mut text, POLICY, &mut numbers);
            edited.become_text(&text);
            let found = edited.read();
            assert!(found.iter().all(|one| one.primary.span.end as usize <= text.len()), "{text}");
            for (at, word) in POLICY.match_indices("shop") {
                if let Some(now) = edited.draft.place(Span::new(edited.file, at, at + word.len())) {
                    assert_eq!(text.get(now.start as usize..now.end as usize), Some(word), "{text}");
                }
            }
            let mut offset = numbers.below(text.len() + 1);
            while !text.is_char_boundary(offset) {
                offset -= 1;
            }
            let Some(window) = edited.draft.window(edited.file, &text, offset as u32) else { continue };
            let inside = offset as u32 - window.start;
            window.analysis.hover(window.file, inside);
            window.analysis.completions(window.file, inside);
            window.analysis.definition(window.file, inside);
            window.analysis.signature(window.file, inside);
        }
    }
}

/// The statements around a place answer as the whole does.
#[test]
fn a_window_answers_as_the_whole_does() {
    let (whole, file) = checked(POLICY);
    let draft = Draft::new(&whole);
    for (offset, _) in POLICY.char_indices().step_by(3) {
        let offset = offset as u32;
        let window = draft.window(file, POLICY, offset).unwrap();
        let inside = offset - window.start;
        let text = |hover: Option<netpol::ide::Hover>| hover.map(|hover| hover.text);
        assert_eq!(text(window.analysis.hover(window.file, inside)), text(whole.hover(file, offset)), "{offset}");
        let words = |analysis: &Analysis, file, offset| -> Vec<String> {
            analysis.completions(file, offset).into_iter().map(|one| one.text).collect()
        };
        assert_eq!(words(&window.analysis, window.file, inside), words(&whole, file, offset), "{offset}");
    }
}

/// Every text that somebody types is kept, but only until the policy is to be analyzed.
#[test]
fn a_draft_ends_before_it_keeps_much() {
    let mut edited = Edited::new(POLICY);
    let mut edits = 0;
    while !edited.draft.is_long() {
        let text = format!("{POLICY}allow egress shop/* -> 192.0.2.{}\n", edits % 200);
        edited.become_text(&text);
        edited.read();
        edits += 1;
        assert!(edits < 1_000);
    }
    assert!(errors(Diagnostics::new().iter().chain(&edited.read())).is_empty());
}

/// Of a large policy a client gets the first words alone: those that begin as what is written, else those that have it.
#[test]
fn the_first_words_are_those_that_begin_as_what_is_written() {
    let first = |written: &str, most: usize| {
        let text = format!("let db = data/*\nlet old-db = data/*\nallow egress shop/* -> {written}");
        let (whole, file) = checked(&text);
        let (found, has_more) = whole.first_completions(file, text.len() as u32, most);
        (found.into_iter().map(|one| one.text).collect::<Vec<_>>(), has_more)
    };
    assert_eq!(first("db", 9), (vec!["db".to_owned()], false));
    assert_eq!(first("d", 1), (vec!["db".to_owned()], true));
    assert_eq!(first("ld-", 9), (vec!["old-db".to_owned()], false));
}

//! Random edits: after each one every question has an answer, nothing panics, and the findings are those of a fresh
//! check.

use netpol::compile::{self, Input};
use netpol::diag::render::{Format, render};
use netpol::diag::{Diagnostic, Diagnostics};
use netpol::settings::Settings;
use netpol::source::Sources;

use super::analysis;

const SHOP: &str = "\
use std/istio (ingress-gateway)
## The offices.
let offices = { 203.0.113.0/24, 198.51.100.7 }
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
deny egress shop/* -> 169.254.169.254
test \"the front reaches the api\" {
  allow shop/{app=web, tier=a} -> shop/{app=api}:8080
}
";

/// A source of numbers that is the same every time (xorshift, Marsaglia 2003).
pub struct Numbers(u64);

impl Numbers {
    /// Makes a source from a seed.
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed.max(1))
    }

    /// Returns a number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Changes a text at random: types, deletes, copies, and now and then starts again.
pub fn edit(text: &mut String, whole: &str, numbers: &mut Numbers) {
    const TYPED: [&str; 24] = [
        "allow ",
        "deny ",
        "egress ",
        " -> ",
        "garden/*",
        "{",
        "}",
        "(",
        ")",
        ":443",
        "\"",
        "#",
        "@",
        "/",
        ",",
        "\n",
        "x",
        "where method GET",
        "let a = ",
        "use std/net\n",
        "é",
        "template t(ns: Namespace) {\n",
        "apply ",
        "10.0.0.0/8",
    ];
    let place = |text: &str, numbers: &mut Numbers| {
        let mut at = numbers.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    match numbers.below(10) {
        0..=4 => {
            let at = place(text, numbers);
            text.insert_str(at, TYPED[numbers.below(TYPED.len())]);
        }
        5..=7 => {
            let (a, b) = (place(text, numbers), place(text, numbers));
            let (start, mut end) = (a.min(b), a.max(b).min(a.min(b) + 12));
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.replace_range(start..end, "");
        }
        8 => {
            let lines: Vec<&str> = text.lines().collect();
            let line = lines.get(numbers.below(lines.len())).map_or(String::new(), |line| format!("{line}\n"));
            let at = place(text, numbers);
            text.insert_str(at, &line);
        }
        _ => whole.clone_into(text),
    }
    if text.len() > 2 * whole.len() {
        whole.clone_into(text);
    }
}

fn shown(findings: &Diagnostics, sources: &Sources) -> String {
    let mut out = Vec::new();
    render(findings, sources, Format::Json, false, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Checks as `netpol check` does, by the driver's own functions.
fn checked(text: &str) -> String {
    let today = time::Date::from_calendar_date(2026, time::Month::June, 1).unwrap();
    let mut input = Input::new(Settings::new(today));
    input.policy("policy.netpol", text);
    let mut found = Diagnostics::new();
    if let Some(policy) = compile::policy(&mut input, &mut compile::no_files, &mut found) {
        compile::judge(&policy, &input.sources, &mut found);
    }
    found.sort();
    shown(&found, &input.sources)
}

#[test]
fn every_question_has_an_answer_after_any_edit() {
    let mut numbers = Numbers::new(20_261_128);
    let mut text = SHOP.to_owned();
    let mut sound = 0;
    for _ in 0..300 {
        edit(&mut text, SHOP, &mut numbers);
        let (ide, file) = analysis(&[("policy.netpol".to_owned(), text.clone())], None, None);
        let mut offset = numbers.below(text.len() + 1);
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let (offset, end) = (offset as u32, text.len() as u32);
        assert_eq!(shown(ide.findings(), ide.sources()), checked(&text), "{text}");
        sound += usize::from(!ide.findings().iter().any(is_error));
        ide.hover(file, offset);
        ide.definition(file, offset);
        ide.references(file, offset, true);
        ide.highlights(file, offset);
        ide.completions(file, offset);
        ide.signature(file, offset);
        ide.outline(file);
        ide.search("s");
        ide.links(file);
        ide.fixes(file, 0, end);
        ide.folds(file);
        ide.lenses(file);
        ide.hints(file, 0, end);
        // Each place lies inside the one around it, and the words of a text follow each other.
        let selections = ide.selections(file, offset);
        assert!(selections.windows(2).all(|two| two[1].contains(two[0])), "{text}");
        let tokens = ide.tokens(file, 0, end);
        assert!(tokens.windows(2).all(|two| two[0].span.end <= two[1].span.start), "{text}");
        if let Ok(edits) = ide.rename(file, offset, "another-name") {
            assert!(!edits.is_empty() && edits.iter().all(|edit| !edit.text.is_empty()), "{text}");
        }
        if let Some(edits) = ide.format(file) {
            let mut formatted = text.clone();
            for edit in edits.iter().rev() {
                formatted.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
            }
            let mut sources = Sources::new();
            let copy = sources.add("policy.netpol", text.clone());
            assert_eq!(Ok(formatted), netpol::syntax::format(&sources, copy, &mut Diagnostics::new()), "{text}");
        }
    }
    assert!(sound > 10, "{sound} of the texts had no error");
}

fn is_error(finding: &Diagnostic) -> bool {
    finding.severity() == netpol::diag::Severity::Error
}

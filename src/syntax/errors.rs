//! Messages about mistakes in a text: one small constructor for each. Other modules find the mistakes.

mod blocks;
mod endpoints;
mod foreign;
mod words;

pub use blocks::*;
pub use endpoints::*;
pub use foreign::*;
pub use words::*;

use super::scan::{MAX_DEPTH, MAX_SIZE, Problem, ProblemKind};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;

/// Reports a problem that the first pass found.
pub fn problem(problem: &Problem, span: Span, text: &str) -> Diagnostic {
    let found = text.get(problem.start..problem.end).unwrap_or_default();
    match problem.kind {
        ProblemKind::Hidden => hidden(span, found),
        ProblemKind::NotAscii => not_ascii(span, found),
        ProblemKind::UnclosedString => {
            Diagnostic::new(Code::UnclosedString, span, "this string does not end on its line")
                .at("no `\"` follows before the end of the line")
                .note("a line break inside a string is written `\\n`")
        }
        ProblemKind::UnclosedBracket => {
            let close = if found == "(" { ")" } else { "}" };
            let diagnostic = Diagnostic::new(Code::UnclosedBracket, span, format!("this `{found}` is never closed"))
                .at(format!("no `{close}` belongs to it"));
            unclosed(diagnostic, problem, text)
        }
        ProblemKind::StrayBracket => {
            Diagnostic::new(Code::StrayBracket, span, format!("this `{found}` closes nothing"))
                .at("there is no open bracket before it")
                .fix(format!("remove the `{found}`"), span, "")
        }
        ProblemKind::ForeignComment => {
            let (before, after) = (text.get(..problem.start), text.get(problem.end..));
            let before = before.and_then(|text| text.rsplit('\n').next()).unwrap_or_default();
            let after = after.and_then(|text| text.lines().next()).unwrap_or_default();
            foreign_comment(span, found, [before, after])
        }
        ProblemKind::TooDeep => {
            Diagnostic::new(Code::TextLimit, span, format!("brackets nest deeper than {MAX_DEPTH} here"))
                .note("a `let` can name what stands inside")
        }
    }
}

/// Proposes to close a bracket, and those that are open in it, if the list in it ends on the line of the bracket.
fn unclosed(diagnostic: Diagnostic, problem: &Problem, text: &str) -> Diagnostic {
    let inside = text.get(problem.start..problem.until).unwrap_or_default();
    let mut open = Vec::new();
    for c in inside.chars() {
        match c {
            '{' => open.push(if open.is_empty() && inside.starts_with("{ ") { " }" } else { "}" }),
            '(' => open.push(")"),
            '}' | ')' => drop(open.pop()),
            // A string or a comment may contain brackets of its own, so nothing is proposed here.
            '"' | '#' | '\n' => return diagnostic,
            _ => {}
        }
    }
    let closing: String = open.into_iter().rev().collect();
    let last = inside.split_ascii_whitespace().next_back().unwrap_or_default();
    let at = diagnostic.primary.span;
    let at = Span { start: at.start + inside.len() as u32, end: at.start + inside.len() as u32, ..at };
    diagnostic.fix(format!("write `{}` after `{last}`", closing.trim_start()), at, closing)
}

fn hidden(span: Span, found: &str) -> Diagnostic {
    let c = found.chars().find(|&c| !matches!(c, ' '..='~')).unwrap_or('\0');
    let what = match c {
        '\u{2028}' | '\u{2029}' => "a separator that ends lines unseen",
        '\u{200e}'..='\u{206f}' => "a character that changes the direction of the text",
        _ => "a control character",
    };
    Diagnostic::new(Code::ForbiddenCharacter, span, format!("U+{:04X} is {what}", c as u32))
        .note("such characters make a text look like something that it is not; they stand nowhere, not in comments and strings either")
        .fix("remove it", span, "")
}

fn not_ascii(span: Span, found: &str) -> Diagnostic {
    let diagnostic = |what: String| Diagnostic::new(Code::ForbiddenCharacter, span, what);
    let c = found.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
    match c {
        '→' | '⟶' | '➔' | '➜' | '⇒' | '➡' | '⟹' => {
            diagnostic(format!("`{found}` is not the arrow of the language")).fix("write `->`", span, "->")
        }
        '↔' | '⇔' | '⟷' => {
            diagnostic(format!("`{found}` is not the arrow of the language")).fix("write `<->`", span, "<->")
        }
        '\u{2018}'..='\u{201f}' | '«' | '»' => {
            let inner = found.trim_matches(|c| matches!(c, '\u{2018}'..='\u{201f}' | '«' | '»'));
            let diagnostic = diagnostic("typographic quotes are not the quotes of strings".into());
            if inner.is_ascii() && !inner.contains(['"', '\\']) {
                diagnostic.fix(format!("write `\"{inner}\"`"), span, format!("\"{inner}\""))
            } else {
                diagnostic.note("strings stand in `\"…\"`")
            }
        }
        '\u{feff}' => {
            diagnostic("a byte-order mark stands at the start of a file only".into()).fix("remove it", span, "")
        }
        '\u{a0}' | '\u{2000}'..='\u{200d}' | '\u{202f}' | '\u{3000}' => diagnostic(format!(
            "U+{:04X} looks like a space or like nothing, and is neither",
            c as u32
        ))
        .fix("write a space", span, " "),
        // The full-width forms stand for the ASCII characters in their order.
        '\u{ff01}'..='\u{ff5e}' if found.chars().all(|c| ('\u{ff01}'..='\u{ff5e}').contains(&c)) => {
            let plain: String = found.chars().filter_map(|c| char::from_u32(c as u32 - 0xfee0)).collect();
            diagnostic(format!("`{found}` is in full width")).fix(format!("write `{plain}`"), span, plain)
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' => {
            diagnostic(format!("`{c}` is a dash, and not `-`")).fix("write `-`", span, "-")
        }
        '\u{370}'..='\u{52f}' => diagnostic(format!("`{found}` is not of ASCII letters, however it looks"))
            .at("a Greek or Cyrillic letter")
            .note("names, hosts and labels are of ASCII letters, digits and a few signs"),
        '\u{2026}' => diagnostic("`…` stands for what is to be filled in".into())
            .at("write what is meant here")
            .note("an example that shows `…` leaves out an end or a value: copy the rest, and write your own"),
        _ => diagnostic(format!("`{found}` is not ASCII")).note(
            "outside comments and strings only ASCII stands; an international host is written in its `xn--` form",
        ),
    }
}

/// Says that a file is larger than any file may be.
pub fn too_large(span: Span, size: usize) -> Diagnostic {
    Diagnostic::new(Code::TextLimit, span, format!("this file has {size} bytes; {} MiB is the most", MAX_SIZE >> 20))
        .note("several files make one policy: split it")
}

/// Says that the rest of a file was not read, because there is more wrong with it than anybody reads.
pub fn too_many(span: Span, count: usize) -> Diagnostic {
    Diagnostic::new(Code::TextLimit, span, format!("after {count} mistakes the rest of this file is not read"))
        .note("is this a file of policy?")
}

//! Refusals of the grammar, in words that a person understands.
//!
//! pest reports the offset that it reached and the rules that it tried there. These alone make poor sentences: the
//! token at the offset, and those around it, say more about the author's intention. So the text is cut into plain
//! tokens, the ones around the offset are compared with known mistakes, and the first that fits is reported. The rules
//! that were tried are the last resort.

mod clauses;
mod endpoints;
mod expected;
mod foreign;
mod statements;
mod tokens;

pub use clauses::CONDITIONS;

use pest::error::{Error, ErrorVariant, InputLocation};

use super::errors;
use super::grammar::Rule;
use super::keyword::Keyword;
use super::lower::{Lower, parse};
use crate::diag::{Diagnostic, nearest};
use crate::source::Span;
use tokens::{Kind, Token, tokenize};

/// The token at which the grammar refused a text, with the tokens around it.
struct Refusal<'t> {
    /// The rule that was to cover the text.
    by: Rule,
    /// The block that the text is a piece of.
    block: Option<Keyword>,
    /// Where the text begins, for spans.
    origin: Span,
    /// The text as the grammar saw it.
    text: &'t str,
    /// Its tokens.
    tokens: Vec<Token<'t>>,
    /// The index of that token; the number of tokens if the text ended too early.
    index: usize,
    /// The rules that were tried there.
    tried: Vec<Rule>,
}

impl Lower<'_> {
    /// Reports a text that the grammar refused. If the refused words begin a line and the text before them is whole,
    /// they are reported as a text of their own, and the length of the text before them is returned.
    pub(super) fn refuse(&mut self, by: Rule, text: &str, error: &Error<Rule>) -> Option<usize> {
        let at = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
        };
        let tried = match &error.variant {
            ErrorVariant::ParsingError { positives, .. } => positives.clone(),
            ErrorVariant::CustomError { .. } => Vec::new(),
        };
        let tokens = tokenize(text);
        let index = tokens.partition_point(|token| token.end <= at);
        let refusal = Refusal { by, block: self.block, origin: self.at(0, 0), text, tokens, index, tried };
        if let Some(cut) = refusal.stray_line()
            && parse(by, &text[..cut]).is_ok()
        {
            self.unknown((self.offset + at, self.offset + text.len()), true);
            return Some(cut);
        }
        self.push(refusal.explain());
        None
    }

    /// Reports a text without a keyword at its start: each line in it that begins like a statement is a mistake of its
    /// own.
    pub(super) fn unknown(&mut self, (start, end): (usize, usize), has_extras: bool) {
        let (offset, last) = (self.offset, self.end);
        let text = self.enter(start, end, has_extras);
        let tokens = tokenize(&text);
        for (index, token) in tokens.iter().enumerate() {
            let begins_line = index > 0 && text[tokens[index - 1].end..token.start].contains('\n');
            let is_statement = begins_line && token.kind == Kind::Word && self.nearest_beginning(token.text).is_some();
            if index > 0 && !is_statement {
                continue;
            }
            let span = self.at(token.start, token.end);
            self.push(match self.block {
                Some(block) if !block.fields().is_empty() => errors::unknown_field(span, token.text, block),
                _ => {
                    let next = tokens.get(index + 1).filter(|next| next.kind == Kind::String);
                    let next = next.map(|next| (self.at(next.start, next.end), next.text));
                    errors::unknown_statement(span, token.text, next)
                }
            });
        }
        (self.offset, self.end) = (offset, last);
    }

    /// Returns the keyword for this position that a word was probably meant to be.
    fn nearest_beginning(&self, word: &str) -> Option<&'static str> {
        match self.block.map(Keyword::fields) {
            Some(fields) if !fields.is_empty() => nearest(word, fields.iter().map(|field| field.word())),
            _ => errors::nearest_statement(word).map(Keyword::word),
        }
    }
}

impl<'t> Refusal<'t> {
    fn explain(&self) -> Diagnostic {
        self.in_other_languages()
            .or_else(|| self.in_statements())
            .or_else(|| self.in_endpoints())
            .or_else(|| self.in_clauses())
            .unwrap_or_else(|| self.as_expected())
    }

    /// Returns the end of the text before a line that belongs to no statement, if there is such a line.
    fn stray_line(&self) -> Option<usize> {
        let (previous, found) = (self.before(1)?, self.found()?);
        let gap = &self.text[previous.end..found.start];
        if self.by == Rule::annotation {
            return previous.is(")").then_some(previous.end);
        }
        if !gap.contains('\n') || self.open_bracket().is_some() {
            return None;
        }
        let is_clause = ["where", "via", "except", "at"];
        let near_clause = found.kind == Kind::Word && nearest(found.text, is_clause).is_some();
        let near_statement = found.kind == Kind::Word && errors::nearest_statement(found.text).is_some();
        let indented = gap.rsplit('\n').next().is_some_and(|indentation| !indentation.is_empty());
        let is_word = found.kind == Kind::Word && !is_clause.contains(&found.text);
        (is_word && (near_statement || !near_clause && !indented)).then_some(previous.end)
    }

    fn tried(&self, rules: &[Rule]) -> bool {
        self.tried.iter().any(|tried| rules.contains(tried))
    }

    /// Returns the refused token.
    fn found(&self) -> Option<Token<'t>> {
        self.tokens.get(self.index).copied()
    }

    /// Returns the token `count` tokens before the refused one.
    fn before(&self, count: usize) -> Option<Token<'t>> {
        self.index.checked_sub(count).and_then(|index| self.tokens.get(index)).copied()
    }

    /// Returns the token `count` tokens after the refused one.
    fn after(&self, count: usize) -> Option<Token<'t>> {
        self.tokens.get(self.index + count).copied()
    }

    fn is_found(&self, text: &str) -> bool {
        self.found().is_some_and(|token| token.is(text))
    }

    fn is_before(&self, text: &str) -> bool {
        self.before(1).is_some_and(|token| token.is(text))
    }

    /// Returns whether a word is before the refused token, outside brackets.
    fn has_word(&self, word: &str) -> bool {
        self.tokens[..self.index.min(self.tokens.len())].iter().any(|token| token.is(word))
    }

    fn has_arrow(&self) -> bool {
        self.tokens[..self.index.min(self.tokens.len())].iter().any(|token| matches!(token.text, "->" | "<->" | ">"))
    }

    /// Returns the innermost bracket that is open at the refused token.
    fn open_bracket(&self) -> Option<Token<'t>> {
        let mut open = Vec::new();
        for token in &self.tokens[..self.index.min(self.tokens.len())] {
            match token.text {
                "{" | "(" => open.push(*token),
                "}" | ")" => drop(open.pop()),
                _ => {}
            }
        }
        open.pop()
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let (start, end) = (start as u32, end as u32);
        Span { start: self.origin.start + start, end: self.origin.start + end, ..self.origin }
    }

    fn token_span(&self, token: Token<'_>) -> Span {
        self.span(token.start, token.end)
    }

    /// Returns the span of the refused token, or the end of the last token if the text ended.
    fn place(&self) -> Span {
        match (self.found(), self.tokens.last()) {
            (Some(found), _) => self.token_span(found),
            (None, Some(last)) => self.span(last.end, last.end),
            (None, None) => self.origin,
        }
    }

    /// Returns the first of the tokens that touch the given one from the left without space: `garden/{a, b}:80`.
    fn run_start(&self, mut index: usize) -> usize {
        if self.tokens[index].is_separator() {
            return index;
        }
        loop {
            if self.tokens[index].is("}") || self.tokens[index].is(")") {
                let mut depth = 0;
                while index > 0 {
                    match self.tokens[index].text {
                        "}" | ")" => depth += 1,
                        "{" | "(" => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                    index -= 1;
                }
            }
            let Some(left) = index.checked_sub(1).map(|left| self.tokens[left]) else { return index };
            if left.end != self.tokens[index].start || left.is_separator() {
                return index;
            }
            index -= 1;
        }
    }

    /// Returns the text of the touching tokens that end before the refused one, up to `end`.
    fn run_text(&self, end: usize) -> &'t str {
        let first = self.index.checked_sub(1).map_or(0, |index| self.tokens[self.run_start(index)].start);
        &self.text[first..end]
    }

    /// Returns the last of the tokens that touch the given one from the right without space.
    fn run_end(&self, mut index: usize) -> usize {
        loop {
            if self.tokens[index].is("{") {
                let mut depth = 0;
                while index + 1 < self.tokens.len() {
                    match self.tokens[index].text {
                        "{" | "(" => depth += 1,
                        "}" | ")" => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                    index += 1;
                }
            }
            let Some(right) = self.tokens.get(index + 1) else { return index };
            if right.start != self.tokens[index].end || right.is_separator() || right.is("}") || right.is(")") {
                return index;
            }
            index += 1;
        }
    }
}

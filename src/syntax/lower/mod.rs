//! From the pairs of the grammar to the tree, one function per construct, with every check on words that needs no
//! lookup. No pair of pest's leaves this module.

mod clause;
mod declaration;
mod endpoint;
mod item;
mod labels;
mod ports;

use std::borrow::Cow;

use pest::Parser;
use pest::iterators::{Pair, Pairs};
use smol_str::SmolStr;

use super::grammar::{Grammar, Rule};
use super::keyword::is_reserved;
use super::scan::Scan;
use super::tree::{Ident, Text, Word};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::source::{FileId, Span};

/// A text being lowered, with where its findings go.
pub struct Lower<'a> {
    /// The file.
    pub file: FileId,
    /// The whole text.
    pub text: &'a str,
    /// What the first pass found in it.
    pub scan: &'a Scan,
    /// Where `text` begins in the file.
    pub base: usize,
    /// Where the text that is being parsed begins in `text`.
    pub offset: usize,
    /// What was found.
    pub out: &'a mut Diagnostics,
}

impl<'a> Lower<'a> {
    /// Makes a stretch of the text what spans are counted from. Returns it as the grammar takes it.
    fn enter(&mut self, start: usize, end: usize, has_extras: bool) -> Cow<'a, str> {
        self.offset = start;
        self.scan.plain(self.text, start..end, has_extras)
    }

    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        self.at(span.start(), span.end())
    }

    /// Returns the span of a pair without the space that it ends in.
    fn trimmed(&self, pair: &Pair<'_, Rule>) -> Span {
        let start = pair.as_span().start();
        self.at(start, start + pair.as_str().trim_ascii_end().len())
    }

    /// Returns the span of a range of the text that is being parsed.
    fn at(&self, start: usize, end: usize) -> Span {
        let base = self.base + self.offset;
        Span::new(self.file, base + start, base + end)
    }

    fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.out.push(Diagnostic::new(code, span, message));
    }

    fn ident(&mut self, pair: Option<Pair<'_, Rule>>) -> Ident {
        match pair {
            Some(pair) => {
                let span = self.span(&pair);
                if is_reserved(pair.as_str()) {
                    self.error(Code::Expected, span, format!("`{}` is a word of the language", pair.as_str()));
                }
                Ident { text: pair.as_str().into(), span }
            }
            None => Ident { text: SmolStr::default(), span: self.at(0, 0) },
        }
    }

    /// Lowers a bare word or a string.
    fn word(&mut self, pair: &Pair<'_, Rule>) -> Word {
        let span = self.span(pair);
        match pair.as_rule() {
            Rule::string => Word { text: self.unescape(pair.as_str(), span), span, quoted: true },
            _ => Word { text: pair.as_str().into(), span, quoted: false },
        }
    }

    fn word_or_empty(&mut self, pair: Option<Pair<'_, Rule>>) -> Word {
        match pair {
            Some(pair) => self.word(&pair),
            None => Word { text: SmolStr::default(), span: self.at(0, 0), quoted: true },
        }
    }

    /// Lowers a string, or the parameter that stands for one.
    fn text(&mut self, pair: Pair<'_, Rule>) -> Text {
        match pair.as_rule() {
            Rule::string => Text::Literal(self.word(&pair)),
            _ => Text::Parameter(self.ident(Some(pair))),
        }
    }

    fn texts(&mut self, pair: Option<Pair<'_, Rule>>) -> Vec<Text> {
        let Some(pair) = pair else { return Vec::new() };
        pair.into_inner().filter(|pair| pair.as_rule() != Rule::comma).map(|pair| self.text(pair)).collect()
    }

    fn unescape(&mut self, quoted: &str, span: Span) -> SmolStr {
        let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        if !inner.contains('\\') {
            return inner.into();
        }
        let mut text = String::with_capacity(inner.len());
        let mut rest = inner;
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            let escape = &rest[at..];
            match read_escape(escape) {
                Some((c, length)) => {
                    text.push(c);
                    rest = &escape[length..];
                }
                None => {
                    let start = span.start as usize + 1 + inner.len() - escape.len();
                    let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
                    let place = Span::new(self.file, start, start + length);
                    self.error(Code::Expected, place, "unknown escape");
                    rest = &escape[length..];
                }
            }
        }
        text.push_str(rest);
        text.into()
    }
}

/// Reads the escape that a text begins with. Returns the character and the escape's length.
fn read_escape(text: &str) -> Option<(char, usize)> {
    match text.as_bytes().get(1)? {
        b'"' => Some(('"', 2)),
        b'\\' => Some(('\\', 2)),
        b'n' => Some(('\n', 2)),
        b't' => Some(('\t', 2)),
        b'u' => {
            let hex = text[2..].strip_prefix('{')?;
            let end = hex.find('}')?;
            let digits = hex[..end].bytes().all(|byte| byte.is_ascii_hexdigit()) && (1..=6).contains(&end);
            let code = digits.then(|| u32::from_str_radix(&hex[..end], 16).ok())??;
            Some((char::from_u32(code)?, end + 4))
        }
        _ => None,
    }
}

/// Parses a text by a rule of the grammar that covers all of it.
fn parse(rule: Rule, text: &str) -> Result<Pairs<'_, Rule>, pest::error::Error<Rule>> {
    let mut pairs = Grammar::parse(rule, text)?;
    Ok(pairs.next().map_or(pairs, Pair::into_inner))
}

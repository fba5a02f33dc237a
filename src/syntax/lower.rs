//! From the pairs of the grammar to the tree, one function per construct, with every check on words that needs no
//! lookup. No pair of pest's leaves this module.

mod block;
mod clause;
mod declaration;
mod endpoint;
mod item;
mod labels;
mod ports;
mod union;

use std::borrow::Cow;

use pest::Parser;
use pest::iterators::{Pair, Pairs};
use smol_str::SmolStr;

use super::errors;
use super::grammar::{Grammar, Rule};
use super::keyword::{Keyword, is_reserved};
use super::scan::Scan;
use super::tree::{Ident, Text, Word};
use super::words::{self, Kind};
use crate::diag::{Diagnostic, Diagnostics};
use crate::source::{FileId, Span};

/// A text being lowered, with the list for its findings.
pub struct Lower<'a> {
    /// The file.
    pub file: FileId,
    /// The whole text.
    pub text: &'a str,
    /// The result of the first pass over it.
    pub scan: &'a Scan,
    /// Where `text` begins in the file.
    pub base: usize,
    /// Where the text that is being parsed begins in `text`.
    pub offset: usize,
    /// Where the last text that was read ends in `text`: before words that belong to no statement, if such words
    /// follow.
    pub end: usize,
    /// The block whose pieces are being read.
    pub block: Option<Keyword>,
    /// The findings.
    pub out: &'a mut Diagnostics,
}

impl<'a> Lower<'a> {
    /// Parses a stretch of the text by a rule that covers all of it, and hands on its pairs. A refusal of the grammar
    /// is reported; if the refused text begins a line, the text before that line is still read.
    pub(super) fn read<R>(
        &mut self,
        by: Rule,
        (start, end): (usize, usize),
        has_extras: bool,
        then: impl FnOnce(&mut Self, Pairs<'_, Rule>) -> R,
    ) -> Option<R> {
        let text = self.enter(start, end, has_extras);
        let error = match parse(by, &text) {
            Ok(pairs) => return Some(then(self, pairs)),
            Err(error) => error,
        };
        if let Some(cut) = self.refuse(by, &text, &error) {
            let text = text.get(..cut).unwrap_or_default();
            if let Ok(pairs) = parse(by, text) {
                self.end = start + cut;
                return Some(then(self, pairs));
            }
        }
        None
    }

    /// Sets the stretch of the text from which spans are counted, and returns it as the grammar takes it.
    pub(super) fn enter(&mut self, start: usize, end: usize, has_extras: bool) -> Cow<'a, str> {
        self.offset = start;
        self.end = end;
        self.scan.plain(self.text, start..end, has_extras)
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.out.push(diagnostic);
    }

    /// Returns how much was found so far, to see later whether something was added.
    fn found(&self) -> usize {
        self.out.iter().len()
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
    pub(super) fn at(&self, start: usize, end: usize) -> Span {
        let base = self.base + self.offset;
        Span::new(self.file, base + start, base + end)
    }

    /// Returns the text of a span.
    pub(super) fn slice(&self, span: Span) -> &'a str {
        let range = (span.start as usize).saturating_sub(self.base)..(span.end as usize).saturating_sub(self.base);
        self.text.get(range).unwrap_or_default()
    }

    /// Lowers a name, and reports a word that cannot be one.
    fn ident(&mut self, pair: Option<Pair<'_, Rule>>) -> Ident {
        let ident = self.plain_ident(pair);
        if (!words::is_name(&ident.text) || is_reserved(&ident.text)) && !ident.text.is_empty() {
            self.push(errors::not_a_name(ident.span, &ident.text));
        }
        ident
    }

    /// Lowers a bare word that need not be a name.
    fn plain_ident(&mut self, pair: Option<Pair<'_, Rule>>) -> Ident {
        match pair {
            Some(pair) => Ident { text: pair.as_str().into(), span: self.span(&pair) },
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

    /// Lowers a word that Kubernetes must accept.
    fn kubernetes_word(&mut self, pair: Option<Pair<'_, Rule>>, kind: Kind) -> Word {
        let word = self.word_or_empty(pair);
        self.check_word(&word, kind);
        word
    }

    fn check_word(&mut self, word: &Word, kind: Kind) {
        let is_label = matches!(kind, Kind::LabelKey | Kind::LabelValue);
        if !is_label && !word.quoted && word.text.contains('.') {
            self.push(errors::dotted(word.span, &word.text, kind));
        } else if !kind.accepts(&word.text) {
            self.push(errors::not_kubernetes(word.span, &word.text, kind));
        }
    }

    /// Lowers a string, or a parameter instead of one.
    fn string(&mut self, pair: Pair<'_, Rule>) -> Text {
        match pair.as_rule() {
            Rule::string => Text::Literal(self.word(&pair)),
            _ => {
                let Ident { text, span } = self.plain_ident(Some(pair));
                if words::is_name(&text) && !is_reserved(&text) {
                    return Text::Parameter(Ident { text, span });
                }
                self.push(errors::needs_quotes(span, &text));
                Text::Literal(Word { text, span, quoted: true })
            }
        }
    }

    fn strings(&mut self, pair: Option<Pair<'_, Rule>>) -> Vec<Text> {
        let Some(pair) = pair else { return Vec::new() };
        pair.into_inner().filter(|pair| pair.as_rule() != Rule::comma).map(|pair| self.string(pair)).collect()
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
            let length = match read_escape(escape) {
                Ok((c, length)) => {
                    text.push(c);
                    length
                }
                Err(length) => {
                    let start = span.start as usize + 1 + inner.len() - escape.len();
                    let place = Span::new(self.file, start, start + length);
                    self.push(errors::unknown_escape(place, &escape[..length]));
                    length
                }
            };
            rest = &escape[length..];
        }
        text.push_str(rest);
        text.into()
    }
}

/// Reads the escape that a text begins with. Returns the character and the escape's length, or the length of a text
/// that is no escape.
fn read_escape(text: &str) -> Result<(char, usize), usize> {
    let Some(next) = text[1..].chars().next() else { return Err(1) };
    match next {
        '"' | '\\' => Ok((next, 2)),
        'n' => Ok(('\n', 2)),
        't' => Ok(('\t', 2)),
        'u' => {
            let hex = text[2..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(hex, _)| hex);
            let Some(hex) = hex else { return Err(2) };
            let digits = (1..=6).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            let code = if digits { u32::from_str_radix(hex, 16).ok() } else { None };
            code.and_then(char::from_u32).map(|c| (c, hex.len() + 4)).ok_or(hex.len() + 4)
        }
        _ => Err(1 + next.len_utf8()),
    }
}

/// Returns an upper bound of the elements of a list, so that no memory is reserved for more: a large policy has many
/// lists of one.
fn most_elements(list: &str) -> usize {
    1 + list.bytes().filter(|&byte| byte == b',').count()
}

/// Parses a text by a rule of the grammar that covers all of it.
pub(super) fn parse(by: Rule, text: &str) -> Result<Pairs<'_, Rule>, Box<pest::error::Error<Rule>>> {
    let mut pairs = Grammar::parse(by, text)?;
    Ok(pairs.next().map_or(pairs, Pair::into_inner))
}

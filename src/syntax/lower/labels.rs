//! Labels of pods and namespaces, in selectors and in declarations.

use pest::iterators::{Pair, Pairs};
use smol_str::SmolStr;

use super::{Lower, most_elements};
use crate::source::Span;
use crate::syntax::errors;
use crate::syntax::grammar::Rule;
use crate::syntax::scan::is_word;
use crate::syntax::tree::{LabelRequirement, LabelTest, Labels, Word};
use crate::syntax::words::Kind;

impl Lower<'_> {
    /// Lowers labels; of what is wrong with them nothing is left but its mention.
    pub(super) fn labels(&mut self, braces: Pair<'_, Rule>) -> Option<Labels> {
        let span = self.span(&braces);
        let found = self.found();
        let text = braces.as_str();
        if let Some(star) = star(text) {
            let start = braces.as_span().start();
            self.push(errors::label_wildcard(self.at(start + star.start, start + star.end)));
            return None;
        }
        let mut pairs = braces.into_inner();
        let mut requirements: Vec<LabelRequirement> = Vec::with_capacity(most_elements(text));
        let mut open: Option<Span> = None;
        while let Some(pair) = pairs.next() {
            let requirement = match pair.as_rule() {
                Rule::comma => {
                    open = None;
                    continue;
                }
                Rule::absent => {
                    let span = self.span(&pair);
                    let key = pair.into_inner().next().and_then(|key| self.key(key));
                    key.map(|key| LabelRequirement { span, key, test: LabelTest::DoesNotExist })
                }
                Rule::endpoint => self.requirement(pair, &mut pairs),
                // After an `except`, which labels do not have.
                _ => {
                    self.push(errors::union_at_slash(span));
                    None
                }
            };
            let requirement = requirement?;
            if let Some(before) = open.replace(requirement.span) {
                self.push(errors::missing_comma(before, requirement.span));
            }
            requirements.push(requirement);
        }
        if requirements.is_empty() {
            self.push(errors::empty_list(span, "label"));
        }
        (self.found() == found).then_some(Labels { span, requirements })
    }

    fn requirement(&mut self, key: Pair<'_, Rule>, pairs: &mut Pairs<'_, Rule>) -> Option<LabelRequirement> {
        let mut span = self.span(&key);
        let key = self.key(key);
        let mut test = LabelTest::Exists;
        if let Some(pair) = pairs.peek().filter(|pair| pair.as_rule() == Rule::test) {
            pairs.next();
            test = self.label_test(pair.into_inner(), &mut span);
        }
        key.map(|key| LabelRequirement { span, key, test })
    }

    fn label_test(&mut self, mut pairs: Pairs<'_, Rule>, span: &mut Span) -> LabelTest {
        let (Some(operator), Some(value)) = (pairs.next(), pairs.next()) else { return LabelTest::Exists };
        let key = *span;
        *span = span.to(self.span(&value));
        let is_list = value.as_rule() == Rule::values;
        match operator.as_str() {
            "=" if !is_list => LabelTest::Equals(self.kubernetes_word(Some(value), Kind::LabelValue)),
            "!=" if !is_list => LabelTest::NotEquals(self.kubernetes_word(Some(value), Kind::LabelValue)),
            "in" if is_list => LabelTest::In(self.label_values(value)),
            "notin" if is_list => LabelTest::NotIn(self.label_values(value)),
            _ => {
                let word = self.span(&operator);
                let glued = operator.as_span().end() == value.as_span().start() && value.as_rule() == Rule::word;
                self.push(match operator.as_str() {
                    "in" | "notin" if glued => errors::missing_comma(key, word.to(self.span(&value))),
                    "in" | "notin" => {
                        errors::expected(self.span(&value), "values in parentheses", Some(operator.as_str()))
                            .note("several values are tested by `tier in (a, b)`")
                    }
                    _ => errors::expected(self.span(&value), "one value", Some(operator.as_str()))
                        .note("several values are tested by `tier in (a, b)`"),
                });
                LabelTest::Exists
            }
        }
    }

    fn label_values(&mut self, pair: Pair<'_, Rule>) -> Vec<Word> {
        let span = self.span(&pair);
        let mut values: Vec<Word> = Vec::with_capacity(most_elements(pair.as_str()));
        let mut open: Option<Span> = None;
        for pair in pair.into_inner() {
            if pair.as_rule() == Rule::comma {
                open = None;
                continue;
            }
            let value = self.kubernetes_word(Some(pair), Kind::LabelValue);
            if let Some(before) = open.replace(value.span) {
                self.push(errors::missing_comma(before, value.span));
            }
            values.push(value);
        }
        if values.is_empty() {
            self.push(errors::empty_list(span, "value"));
        }
        values
    }

    /// Reads a label's key out of what the grammar took for an endpoint. Says what it is where it is none.
    fn key(&mut self, endpoint: Pair<'_, Rule>) -> Option<Word> {
        let span = self.span(&endpoint);
        let text: SmolStr = endpoint.as_str().into();
        let mut pairs = endpoint.into_inner();
        let word = match (pairs.next(), pairs.next()) {
            (Some(only), None) if matches!(only.as_rule(), Rule::word | Rule::string) => self.word(&only),
            (Some(prefix), Some(name))
                if prefix.as_rule() == Rule::word && name.as_rule() == Rule::word && pairs.next().is_none() =>
            {
                Word { text, span, quoted: false }
            }
            _ => {
                self.push(errors::union_at_slash(span));
                return None;
            }
        };
        self.check_word(&word, Kind::LabelKey);
        Some(word)
    }

    /// Lowers labels that are given rather than asked for: `k=v` alone.
    pub(super) fn given_labels(&mut self, braces: Option<Pair<'_, Rule>>) -> Vec<(Word, Word)> {
        let Some(braces) = braces else { return Vec::new() };
        let requirements = self.labels(braces).map_or(Vec::new(), |labels| labels.requirements);
        let mut list: Vec<(Word, Word)> = Vec::with_capacity(requirements.len());
        for requirement in requirements {
            let LabelTest::Equals(value) = requirement.test else {
                self.push(errors::expected(requirement.span, "`key=value`", None).note("only equalities stand here"));
                continue;
            };
            list.push((requirement.key, value));
        }
        list
    }
}

/// Returns the first star outside strings, with the word that it touches.
fn star(text: &str) -> Option<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let mut is_string = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if is_string => at += 1,
            b'"' => is_string = !is_string,
            b'*' if !is_string => break,
            _ => {}
        }
        at += 1;
    }
    bytes.get(at)?;
    let is_part = |&&byte: &&u8| is_word(byte) || byte == b'*';
    let start = at - bytes[..at].iter().rev().take_while(is_part).count();
    Some(start..at + bytes[at..].iter().take_while(is_part).count())
}

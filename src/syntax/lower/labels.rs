//! Labels of pods and namespaces, in selectors and in declarations.

use pest::iterators::{Pair, Pairs};
use smol_str::SmolStr;

use super::{Lower, most_elements};
use crate::diag::{Diagnostic, Edit};
use crate::source::Span;
use crate::syntax::errors;
use crate::syntax::grammar::Rule;
use crate::syntax::scan::is_word;
use crate::syntax::tree::{LabelRequirement, LabelTest, Labels, Word};
use crate::syntax::words::Kind;

impl Lower<'_> {
    /// Lowers labels; `None` after a mistake in them, which has been reported.
    pub(super) fn labels(&mut self, braces: Pair<'_, Rule>) -> Option<Labels> {
        let span = self.span(&braces);
        let found = self.found();
        let text = braces.as_str();
        if let Some(star) = star(text) {
            let start = braces.as_span().start();
            self.push(errors::label_wildcard(self.at(start + star.start, start + star.end)));
            return None;
        }
        if let Some(diagnostic) = self.colons(&braces) {
            self.push(diagnostic);
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
                    if let Some(test) = pairs.peek().filter(|next| next.as_rule() == Rule::test) {
                        return self.test_after_not(span, pair.as_str(), &test);
                    }
                    let key = pair.into_inner().next().and_then(|key| self.key(key));
                    key.map(|key| LabelRequirement { span, key, test: LabelTest::DoesNotExist })
                }
                Rule::endpoint if is_joint(&pair, open.is_some()) && pairs.peek().is_some() => {
                    return self.words_between(&pair, requirements.last()?, &pairs, span);
                }
                Rule::endpoint if open.is_some() && lists_in_braces(&pair, &pairs) => {
                    let (before, values) = (requirements.last()?, pairs.next()?);
                    let list = values.as_str().trim_matches(['{', '}']).trim();
                    let repair = format!("{} {} ({list})", self.slice(before.key.span), pair.as_str());
                    let span = before.span.to(self.span(&values));
                    self.push(errors::label_test(span, repair));
                    return None;
                }
                Rule::endpoint if negates(&pair, &pairs) => return self.not_in_words(&pair, pairs),
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

    /// Says that labels are written with `:`, which the grammar took for endpoints with ports.
    fn colons(&self, braces: &Pair<'_, Rule>) -> Option<Diagnostic> {
        let mut edits: Vec<Edit> = Vec::new();
        for pair in braces.clone().into_inner().filter(|pair| pair.as_rule() == Rule::endpoint) {
            let Some(ports) = pair.into_inner().find(|part| part.as_rule() == Rule::ports) else { continue };
            let ports = self.span(&ports);
            edits.push(Edit { span: Span { end: ports.start + 1, ..ports }, text: "=".into() });
        }
        let whole = self.span(braces);
        let (mut text, mut at) = (String::new(), whole.start);
        for edit in &edits {
            text.push_str(self.slice(Span { start: at, end: edit.span.start, ..whole }));
            text.push_str(&edit.text);
            at = edit.span.end;
        }
        text.push_str(self.slice(Span { start: at, ..whole }));
        let first = edits.first()?.span;
        Some(errors::label_colon(first, &text).fix_all(format!("write `{text}`"), edits))
    }

    /// Reports a word between labels, and proposes a comma or the right spelling of a test.
    fn words_between(
        &mut self,
        word: &Pair<'_, Rule>,
        before: &LabelRequirement,
        rest: &Pairs<'_, Rule>,
        whole: Span,
    ) -> Option<Labels> {
        let (place, text) = (self.span(word), word.as_str());
        let after = rest.peek()?;
        let diagnostic = match text {
            "and" => errors::joined_by_word(place, text, self.commas(word, rest, before.span), "labels"),
            "or" => {
                let value = match (&before.test, after.as_rule()) {
                    (LabelTest::Equals(value), Rule::endpoint) => Some(value),
                    _ => None,
                };
                let key = self.slice(before.key.span);
                let rest = self.slice(Span { start: place.end, ..whole }).trim_end_matches('}').trim();
                let other =
                    rest.strip_prefix(key).map(|rest| rest.trim_start().strip_prefix('=').unwrap_or(rest).trim());
                let other = other.or((!rest.contains('=')).then_some(rest));
                let is_value = |text: &&str| !text.is_empty() && text.bytes().all(is_word);
                let first = Span { start: whole.start + 1, end: before.span.start, ..whole };
                let repair = value.zip(other.filter(is_value)).map(|(value, other)| {
                    format!("{{{}{key} in ({}, {other})}}", self.slice(first), self.slice(value.span))
                });
                errors::labels_joined_by_or(place, whole, repair)
            }
            // `tier not in (a, b)`
            _ if after.as_rule() == Rule::test && after.as_str().starts_with("in") => {
                let span = Span { end: self.trimmed(&after).end, ..before.span };
                errors::label_test(span, format!("{} not{}", self.slice(before.key.span), after.as_str().trim_end()))
            }
            // `app=web not tier=front`
            "not" if after.as_rule() == Rule::endpoint => {
                let test = rest.clone().nth(1).filter(|next| next.as_rule() == Rule::test);
                let repair = negated(after.as_str(), test.as_ref());
                let end = test.as_ref().map_or(self.span(&after).end, |test| self.trimmed(test).end);
                let whole = self.slice(Span { start: before.span.end, end, ..place }).trim_end_matches(',').trim_end();
                let gap = Span { end: before.span.end + whole.len() as u32, ..before.span.after() };
                errors::labels_joined_by_not(place, gap, &repair)
            }
            _ => errors::missing_comma(before.span, place),
        };
        self.push(diagnostic);
        None
    }

    /// Returns edits that put commas for a word between elements, and for the same word later in the list.
    pub(super) fn commas(&self, word: &Pair<'_, Rule>, rest: &Pairs<'_, Rule>, before: Span) -> Vec<Edit> {
        let mut edits = Vec::new();
        let (mut end, mut is_word) = (before.end, true);
        for pair in rest.clone() {
            if is_word {
                let start = self.span(&pair).start;
                edits.push(Edit { span: Span { start: end, end: start, ..before }, text: ", ".into() });
            }
            is_word = pair.as_rule() == Rule::endpoint && pair.as_str() == word.as_str();
            if !is_word {
                end = self.trimmed(&pair).end;
            }
        }
        edits
    }

    /// Reports `not app`, and proposes `!app`; for `not app=web` it proposes `app!=web`.
    fn not_in_words(&mut self, not: &Pair<'_, Rule>, mut rest: Pairs<'_, Rule>) -> Option<Labels> {
        let key = rest.next()?;
        let place = self.span(not).to(self.span(&key));
        match rest.peek().filter(|next| next.as_rule() == Rule::test) {
            Some(test) => self.test_after_not(place, key.as_str(), &test),
            None => {
                self.push(errors::label_test(place, negated(key.as_str(), None)));
                None
            }
        }
    }

    /// Reports `!app=web`, and proposes `app!=web`. `not` is the key with its `!`.
    fn test_after_not(&mut self, place: Span, not: &str, test: &Pair<'_, Rule>) -> Option<Labels> {
        let key = not.trim_start_matches('!').trim();
        let span = Span { end: self.trimmed(test).end, ..place };
        let repair = negated(key, Some(test));
        let span = Span { end: span.start + self.slice(span).trim_end_matches(',').trim_end().len() as u32, ..span };
        self.push(errors::label_test(span, repair));
        None
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

    /// Reads a label's key from a pair that the grammar took for an endpoint. Reports an endpoint that is no key.
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

    /// Lowers the labels of a declaration: only `k=v`.
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

/// Returns how the opposite of a label's test is written: `app!=web` for `app=web`, `!app` for the key alone.
fn negated(key: &str, test: Option<&Pair<'_, Rule>>) -> String {
    let Some(test) = test else { return format!("!{key}") };
    let rest = test.as_str().trim_end().trim_end_matches(',').trim_end();
    match (rest.strip_prefix('='), rest.strip_prefix("in")) {
        (Some(value), _) => format!("{key}!={}", value.trim_start()),
        (None, Some(values)) => format!("{key} notin {}", values.trim_start()),
        _ => key.to_owned() + rest.trim_start_matches('!'),
    }
}

/// Returns whether a word tests the label before it by a list in braces, `{app in {a, b}}`.
fn lists_in_braces(pair: &Pair<'_, Rule>, rest: &Pairs<'_, Rule>) -> bool {
    let is_list = |text: &str| {
        let inside = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        inside.is_some_and(|inside| !inside.contains(['{', '}', '/', ':', '=', '!']))
    };
    matches!(pair.as_str(), "in" | "notin") && rest.peek().is_some_and(|next| is_list(next.as_str().trim_end()))
}

/// Returns whether a word denies the label behind it, as in `{not app}`.
fn negates(pair: &Pair<'_, Rule>, rest: &Pairs<'_, Rule>) -> bool {
    matches!(pair.as_str(), "not" | "no" | "without")
        && rest.peek().is_some_and(|next| next.as_rule() == Rule::endpoint)
}

/// Returns whether a word stands between labels, which `follows` one.
fn is_joint(pair: &Pair<'_, Rule>, follows: bool) -> bool {
    follows && matches!(pair.as_str(), "and" | "or" | "not")
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

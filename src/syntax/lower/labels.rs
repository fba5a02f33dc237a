//! Labels of pods and namespaces, in selectors and in declarations.

use pest::iterators::{Pair, Pairs};

use super::Lower;
use crate::diag::Code;
use crate::source::Span;
use crate::syntax::grammar::Rule;
use crate::syntax::tree::{LabelRequirement, LabelTest, Labels, Word};

impl Lower<'_> {
    pub(super) fn labels(&mut self, braces: Pair<'_, Rule>) -> Labels {
        let span = self.span(&braces);
        let mut pairs = braces.into_inner();
        let mut requirements = Vec::new();
        while let Some(pair) = pairs.next() {
            match pair.as_rule() {
                Rule::comma => {}
                Rule::absent => {
                    let span = self.span(&pair);
                    let Some(key) = pair.into_inner().next() else { continue };
                    requirements.push(LabelRequirement { span, key: self.key(key), test: LabelTest::DoesNotExist });
                }
                Rule::endpoint => requirements.push(self.requirement(pair, &mut pairs)),
                _ => self.error(Code::Expected, self.span(&pair), "labels cannot hold this"),
            }
        }
        if requirements.is_empty() {
            self.error(Code::Expected, span, "an empty list");
        }
        Labels { span, requirements }
    }

    fn requirement(&mut self, key: Pair<'_, Rule>, pairs: &mut Pairs<'_, Rule>) -> LabelRequirement {
        let mut span = self.span(&key);
        let key = self.key(key);
        let mut test = LabelTest::Exists;
        if let Some(pair) = pairs.peek().filter(|pair| pair.as_rule() == Rule::test) {
            pairs.next();
            test = self.label_test(pair.into_inner(), &mut span);
        }
        LabelRequirement { span, key, test }
    }

    fn label_test(&mut self, mut pairs: Pairs<'_, Rule>, span: &mut Span) -> LabelTest {
        let (Some(operator), Some(value)) = (pairs.next(), pairs.next()) else { return LabelTest::Exists };
        *span = span.to(self.span(&value));
        match (operator.as_str(), value.as_rule()) {
            ("=", Rule::word | Rule::string) => LabelTest::Equals(self.word(&value)),
            ("!=", Rule::word | Rule::string) => LabelTest::NotEquals(self.word(&value)),
            ("in", Rule::values) => LabelTest::In(self.label_values(value)),
            ("notin", Rule::values) => LabelTest::NotIn(self.label_values(value)),
            _ => {
                self.error(Code::Expected, *span, "`=` takes one value, `in` a list in parentheses");
                LabelTest::Exists
            }
        }
    }

    fn label_values(&mut self, pair: Pair<'_, Rule>) -> Vec<Word> {
        let span = self.span(&pair);
        let values: Vec<Word> =
            pair.into_inner().filter(|pair| pair.as_rule() != Rule::comma).map(|pair| self.word(&pair)).collect();
        if values.is_empty() {
            self.error(Code::Expected, span, "an empty list");
        }
        values
    }

    /// Reads a label's key out of what the grammar took for an endpoint.
    fn key(&mut self, endpoint: Pair<'_, Rule>) -> Word {
        let span = self.span(&endpoint);
        let text = endpoint.as_str();
        let mut pairs = endpoint.into_inner();
        match (pairs.next(), pairs.next()) {
            (Some(only), None) if matches!(only.as_rule(), Rule::word | Rule::string) => self.word(&only),
            (Some(prefix), Some(name))
                if prefix.as_rule() == Rule::word && name.as_rule() == Rule::word && pairs.next().is_none() =>
            {
                Word { text: text.into(), span, quoted: false }
            }
            _ => {
                self.error(Code::Expected, span, "not a label key");
                Word { text: text.into(), span, quoted: true }
            }
        }
    }

    /// Lowers labels that are given rather than asked for: `k=v` alone.
    pub(super) fn pairs_of_labels(&mut self, braces: Option<Pair<'_, Rule>>) -> Vec<(Word, Word)> {
        let Some(braces) = braces else { return Vec::new() };
        let labels = self.labels(braces);
        let mut list = Vec::with_capacity(labels.requirements.len());
        for requirement in labels.requirements {
            match requirement.test {
                LabelTest::Equals(value) => list.push((requirement.key, value)),
                _ => self.error(Code::Expected, requirement.span, "expected `key=value`"),
            }
        }
        list
    }
}

//! Braces: unions of endpoints, and what looks like one before a `/`.

use pest::iterators::Pair;

use super::endpoint::error_expr;
use super::{Lower, most_elements};
use crate::source::Span;
use crate::syntax::errors;
use crate::syntax::grammar::Rule;
use crate::syntax::keyword::is_reserved;
use crate::syntax::tree::{ExprKind, LabelTest, NamespacePattern};

impl Lower<'_> {
    pub(super) fn union(&mut self, braces: Pair<'_, Rule>) -> ExprKind {
        let span = self.span(&braces);
        let text = braces.as_str();
        let mut pairs = braces.into_inner();
        let mut members = Vec::with_capacity(most_elements(text));
        // The last member, where no comma followed it yet.
        let mut open: Option<Span> = None;
        let mut next = pairs.next();
        while let Some(pair) = next {
            match pair.as_rule() {
                // One of its operands is missing: else the grammar would have taken it for what it is.
                Rule::endpoint if pair.as_str() == "except" => {
                    let place = self.span(&pair);
                    self.push(match open.take() {
                        Some(_) => errors::expected(place.after(), "what is left out", Some("except")),
                        None => errors::expected(place, "an endpoint before `except`", None),
                    });
                    members.push(error_expr(place));
                    next = pairs.next();
                }
                Rule::endpoint if open.is_some() && is_reserved(pair.as_str()) => {
                    let (place, word) = (self.span(&pair), pair.as_str());
                    self.push(match word {
                        "at" => errors::host_at(place, "addresses of a host stand in a `let` alone"),
                        _ => errors::expected(place, "`,` or `}`", None).at(format!("`{word}` stands here")),
                    });
                    return ExprKind::Error;
                }
                Rule::endpoint => {
                    let (member, after) = self.expr_from(pair, &mut pairs);
                    if let Some(before) = open.replace(member.span) {
                        self.push(errors::missing_comma(before, member.span));
                    }
                    members.push(member);
                    next = after;
                }
                Rule::comma => {
                    open = None;
                    next = pairs.next();
                }
                _ => {
                    self.push(errors::labels_alone(span, text));
                    return ExprKind::Error;
                }
            }
        }
        if members.is_empty() {
            self.push(errors::empty_list(span, "endpoint"));
            return ExprKind::Error;
        }
        ExprKind::Union(members)
    }

    /// Lowers the labels of namespaces, of which it is also said when they are none.
    pub(super) fn namespace_labels(
        &mut self,
        braces: Pair<'_, Rule>,
        pods: &Pair<'_, Rule>,
    ) -> Option<NamespacePattern> {
        let span = self.span(&braces);
        let labels = self.labels(braces)?;
        let bare = |test: &LabelTest| matches!(test, LabelTest::Exists);
        if !labels.requirements.iter().all(|requirement| bare(&requirement.test)) {
            return Some(NamespacePattern::Labels(labels));
        }
        if labels.requirements.iter().any(|requirement| requirement.key.text.contains('/')) {
            self.push(errors::union_at_slash(span));
            return None;
        }
        let pods_text = pods.as_str();
        let names: Vec<String> = labels
            .requirements
            .iter()
            .map(|requirement| format!("{}/{pods_text}", self.slice(requirement.key.span)))
            .collect();
        let repair = match names.as_slice() {
            [only] => only.clone(),
            _ => format!("{{ {} }}", names.join(", ")),
        };
        self.push(errors::keys_before_slash(span.to(self.span(pods)), &repair));
        None
    }
}

//! Braces: unions of endpoints, and labels of namespaces, which look like a union before a `/`.

use pest::iterators::{Pair, Pairs};

use super::endpoint::error_expr;
use super::{Lower, most_elements};
use crate::source::Span;
use crate::syntax::errors;
use crate::syntax::grammar::Rule;
use crate::syntax::keyword::is_reserved;
use crate::syntax::tree::{Expr, ExprKind, LabelTest, NamespacePattern};

impl Lower<'_> {
    pub(super) fn union(&mut self, braces: Pair<'_, Rule>) -> ExprKind {
        let span = self.span(&braces);
        let text = braces.as_str();
        let mut pairs = braces.into_inner();
        let mut members = Vec::with_capacity(most_elements(text));
        // The last member, until a comma follows it.
        let mut open: Option<Span> = None;
        let mut next = pairs.next();
        while let Some(pair) = next {
            match pair.as_rule() {
                // An `except` without one of its operands, which the grammar took for an endpoint.
                Rule::endpoint if pair.as_str() == "except" => {
                    let place = self.span(&pair);
                    self.push(match open.take() {
                        Some(_) => errors::expected(place.after(), "what is left out", Some("except")),
                        None => errors::expected(place, "an endpoint before `except`", None),
                    });
                    members.push(error_expr(place));
                    next = pairs.next();
                }
                Rule::endpoint if matches!(pair.as_str(), "and" | "or") && open.is_some() && pairs.peek().is_some() => {
                    let before = open.unwrap_or(span);
                    let edits = self.commas(&pair, &pairs, before);
                    self.push(errors::joined_by_word(self.span(&pair), pair.as_str(), edits, "endpoints"));
                    return ExprKind::Error;
                }
                // `{ a/b:80,443 }`: a number is the port of the member before it.
                Rule::endpoint if members.last().is_some_and(is_open_suffix) && is_port(pair.as_str()) => {
                    self.ports_in_union(&members, &pair, &pairs);
                    return ExprKind::Error;
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

    /// Reports several ports of a member without braces, and proposes the braces.
    fn ports_in_union(&mut self, members: &[Expr], first: &Pair<'_, Rule>, rest: &Pairs<'_, Rule>) {
        let Some(ports) = members.last().and_then(|member| member.ports.as_ref()) else { return };
        let mut span = Span { start: ports.span.start + 1, ..ports.span };
        let mut list = vec![self.slice(span).to_owned()];
        for pair in std::iter::once(first.clone()).chain(rest.clone()) {
            match pair.as_rule() {
                Rule::comma => {}
                Rule::endpoint if is_port(pair.as_str()) => {
                    list.push(pair.as_str().to_owned());
                    span.end = self.span(&pair).end;
                }
                _ => break,
            }
        }
        let text = format!("{{{}}}", list.join(", "));
        self.push(errors::list_in_brackets(span, "ports", &text));
    }

    /// Lowers the labels of namespaces, and reports braces that contain something else.
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

/// Returns whether a member has ports without braces.
fn is_open_suffix(member: &Expr) -> bool {
    member.ports.as_ref().is_some_and(|ports| !ports.braced)
}

/// Returns whether an endpoint of a union is a port: `443`, `8000-8999`, `53/udp`.
fn is_port(text: &str) -> bool {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    is_number && errors::PROTOCOLS.contains(&protocol)
}

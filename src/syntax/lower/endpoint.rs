//! Endpoints.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pest::iterators::{Pair, Pairs};
use smol_str::SmolStr;

use super::Lower;
use crate::diag::Code;
use crate::source::Span;
use crate::syntax::grammar::Rule;
use crate::syntax::tree::{
    Address, Argument, Expr, ExprKind, HostPattern, NamespacePattern, PodPattern, Port, PortKind,
};

impl<'a> Lower<'a> {
    /// Lowers an endpoint and what `except` takes out of it.
    pub(super) fn expr(&mut self, pair: Option<Pair<'_, Rule>>) -> Expr {
        let Some(pair) = pair else { return error_expr(self.at(0, 0)) };
        let mut pairs = pair.into_inner();
        match pairs.next() {
            Some(first) => self.expr_from(first, &mut pairs).0,
            None => error_expr(self.at(0, 0)),
        }
    }

    /// Lowers an endpoint and what `except` takes out of it. Returns the pair after them, too.
    fn expr_from<'i>(&mut self, first: Pair<'i, Rule>, pairs: &mut Pairs<'i, Rule>) -> (Expr, Option<Pair<'i, Rule>>) {
        let mut expr = self.endpoint(first);
        loop {
            let next = pairs.next();
            if next.as_ref().is_none_or(|next| next.as_rule() != Rule::except) {
                return (expr, next);
            }
            let Some(right) = pairs.next() else { return (expr, None) };
            let right = self.endpoint(right);
            let span = expr.span.to(right.span);
            expr = Expr { span, kind: ExprKind::Except(Box::new(expr), Box::new(right)), ports: None };
        }
    }

    /// Lowers a text that is one endpoint.
    pub fn whole_endpoint(&mut self, span: Span) -> Expr {
        let text = self.enter(0, self.text.len(), true);
        match super::parse(Rule::whole_endpoint, &text) {
            Ok(mut pairs) => match pairs.next() {
                Some(first) => self.expr_from(first, &mut pairs).0,
                None => error_expr(span),
            },
            Err(error) => {
                self.refuse(&error);
                error_expr(span)
            }
        }
    }

    pub(super) fn endpoint(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let mut pairs = pair.into_inner();
        let Some(first) = pairs.next() else { return error_expr(span) };
        let mut next = pairs.next();
        let kind = match first.as_rule() {
            Rule::host => match next.take() {
                Some(word) => {
                    next = pairs.next();
                    self.host(word.as_str(), false, self.span(&word))
                }
                None => ExprKind::Error,
            },
            // `*.example.com`: nothing stands between the two.
            Rule::any if next.as_ref().is_some_and(|next| next.as_span().start() == first.as_span().end()) => {
                let name = next.take().map_or("", |next| next.as_str());
                next = pairs.next();
                self.host(name.trim_start_matches('.'), true, span)
            }
            rule => match next.take() {
                Some(pods) if pods.as_rule() != Rule::ports => {
                    next = pairs.next();
                    if rule == Rule::word { self.word_and_pods(first, pods) } else { self.pods(first, pods) }
                }
                after => {
                    next = after;
                    match rule {
                        Rule::word => {
                            if let Some(text) = self.bare_ipv6(next.as_ref(), span) {
                                let kind = self.ipv6(text, span);
                                return Expr { span, kind, ports: None };
                            }
                            self.lone_word(first.as_str(), self.span(&first))
                        }
                        Rule::braces => self.union(first),
                        Rule::ipv6 => self.ipv6(first.as_str(), self.span(&first)),
                        _ => {
                            self.error(Code::Expected, span, "not an endpoint");
                            ExprKind::Error
                        }
                    }
                }
            },
        };
        let ports = next.map(|ports| self.ports(ports));
        Expr { span, kind, ports }
    }

    /// Returns the text of an IPv6 network without brackets, of which the grammar made a word and ports.
    fn bare_ipv6(&self, ports: Option<&Pair<'_, Rule>>, span: Span) -> Option<&'a str> {
        let has_colon = ports?.as_str().get(1..).is_some_and(|port| port.contains(':'));
        let start = span.start as usize - self.base;
        has_colon.then(|| &self.text[start..start + (span.end - span.start) as usize])
    }

    /// Lowers an argument: what it is meant as is not known here.
    pub(super) fn argument(&mut self, pair: Pair<'_, Rule>) -> Argument {
        let source = pair.into_inner().next();
        let text = source.as_ref().map_or("", |source| source.as_str().trim_ascii_end());
        let Some(first) = source.as_ref().and_then(|source| source.clone().into_inner().next()) else {
            return Argument::Endpoint(error_expr(self.at(0, 0)));
        };
        let start = first.as_span().start();
        let alone = first.into_inner().next().filter(|first| first.as_str() == text);
        if let Some(string) = alone.filter(|first| first.as_rule() == Rule::string) {
            return Argument::String(self.word(&string));
        }
        match self.lone_port(text, self.at(start, start + text.len())) {
            Some(port) => Argument::Port(port),
            None => Argument::Endpoint(self.expr(source)),
        }
    }

    /// Reads a port that cannot be an endpoint: `*`, `8080`, `8000-8999`, `53/udp`.
    fn lone_port(&mut self, text: &str, span: Span) -> Option<Port> {
        let number = text.split('/').next().unwrap_or(text);
        let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let is_port = text == "*" || (digits && number.bytes().next().is_some_and(|byte| byte.is_ascii_digit()));
        let is_network = text.len() > number.len() && text[number.len() + 1..].bytes().all(|b| b.is_ascii_digit());
        (is_port && !is_network && !text.ends_with("/*")).then(|| self.port(text, span))
    }

    fn word_and_pods(&mut self, first: Pair<'_, Rule>, pods: Pair<'_, Rule>) -> ExprKind {
        let text = first.as_str();
        if is_numeric(text) && pods.as_rule() == Rule::word {
            let ip = text.parse::<Ipv4Addr>();
            let prefix = pods.as_str().parse::<u8>().ok().filter(|&prefix| prefix <= 32);
            return match (ip, prefix) {
                (Ok(ip), Some(prefix)) => ExprKind::Address(Address { ip: ip.into(), prefix: Some(prefix) }),
                _ => {
                    let span = self.span(&first).to(self.span(&pods));
                    self.error(Code::Expected, span, "not an IPv4 network");
                    ExprKind::Error
                }
            };
        }
        self.pods(first, pods)
    }

    fn pods(&mut self, namespace: Pair<'_, Rule>, pods: Pair<'_, Rule>) -> ExprKind {
        let namespace = match namespace.as_rule() {
            Rule::any => NamespacePattern::Any,
            Rule::braces => NamespacePattern::Labels(self.labels(namespace)),
            _ => NamespacePattern::Name(self.word(&namespace)),
        };
        let pods = match pods.as_rule() {
            Rule::any => PodPattern::Any,
            Rule::braces => PodPattern::Labels(self.labels(pods)),
            Rule::account => PodPattern::Account(self.word_or_empty(pods.into_inner().next())),
            _ => PodPattern::Name(self.word(&pods)),
        };
        ExprKind::Pods(namespace, pods)
    }

    fn lone_word(&mut self, text: &str, span: Span) -> ExprKind {
        if is_numeric(text) {
            return match text.parse::<Ipv4Addr>() {
                Ok(ip) => ExprKind::Address(Address { ip: ip.into(), prefix: None }),
                Err(_) => {
                    self.error(Code::Expected, span, format!("`{text}` is not an IPv4 address"));
                    ExprKind::Error
                }
            };
        }
        if text.contains('.') {
            return self.host(text, false, span);
        }
        ExprKind::Name(text.into())
    }

    fn host(&mut self, name: &str, wildcard: bool, _span: Span) -> ExprKind {
        ExprKind::Host(HostPattern { wildcard, name: lower_case(name) })
    }

    fn ipv6(&mut self, text: &str, span: Span) -> ExprKind {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let (ip, prefix) = match bare.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix.parse::<u8>().ok().filter(|&prefix| prefix <= 128))),
            None => (bare, None),
        };
        match (ip.parse::<Ipv6Addr>(), prefix) {
            (Ok(ip), None) => ExprKind::Address(Address { ip: IpAddr::V6(ip), prefix: None }),
            (Ok(ip), Some(Some(prefix))) => ExprKind::Address(Address { ip: IpAddr::V6(ip), prefix: Some(prefix) }),
            _ => {
                self.error(Code::Expected, span, "not an IPv6 address");
                ExprKind::Error
            }
        }
    }

    fn union(&mut self, braces: Pair<'_, Rule>) -> ExprKind {
        let span = self.span(&braces);
        let mut pairs = braces.into_inner();
        let mut members = Vec::new();
        let mut next = pairs.next();
        while let Some(pair) = next {
            match pair.as_rule() {
                Rule::endpoint => {
                    let (member, after) = self.expr_from(pair, &mut pairs);
                    members.push(member);
                    next = after;
                }
                Rule::comma => next = pairs.next(),
                _ => {
                    self.error(Code::Expected, span, "labels stand beside a `/`");
                    return ExprKind::Error;
                }
            }
        }
        if members.is_empty() {
            self.error(Code::Expected, span, "an empty list");
            return ExprKind::Error;
        }
        ExprKind::Union(members)
    }
}

/// An endpoint of which nothing is known.
pub(super) fn error_expr(span: Span) -> Expr {
    Expr { span, kind: ExprKind::Error, ports: None }
}

/// Returns whether a text is of digits and dots, and so an IPv4 address or nothing.
pub(super) fn is_numeric(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

pub(super) fn lower_case(text: &str) -> SmolStr {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) { text.to_ascii_lowercase().into() } else { text.into() }
}

/// Returns a port that was refused.
pub(super) fn error_port(span: Span) -> Port {
    Port { span, kind: PortKind::Error, protocol: None }
}

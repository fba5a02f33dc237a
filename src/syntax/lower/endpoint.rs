//! Endpoints.

use std::net::{IpAddr, Ipv4Addr};

use pest::iterators::{Pair, Pairs};
use smol_str::SmolStr;

use super::Lower;
use crate::source::Span;
use crate::syntax::errors;
use crate::syntax::grammar::Rule;
use crate::syntax::keyword::is_reserved;
use crate::syntax::tree::{Address, Argument, Expr, ExprKind, HostPattern, NamespacePattern, PodPattern, Port};
use crate::syntax::words::{self, Kind};

/// How many `except` may follow each other: each one nests the tree deeper to the left.
const MOST_EXCEPTS: usize = 256;

impl<'a> Lower<'a> {
    /// Lowers a text that is one endpoint.
    pub fn whole_endpoint(&mut self, span: Span) -> Expr {
        let expr = self.read(Rule::whole_endpoint, (0, self.text.len()), true, |lower, mut pairs| {
            pairs.next().map(|first| lower.expr_from(first, &mut pairs).0)
        });
        expr.flatten().unwrap_or(error_expr(span))
    }

    /// Lowers an endpoint with its `except`.
    pub(super) fn expr(&mut self, pair: Option<Pair<'_, Rule>>) -> Expr {
        let Some(pair) = pair else { return error_expr(self.at(0, 0)) };
        let mut pairs = pair.into_inner();
        match pairs.next() {
            Some(first) => self.expr_from(first, &mut pairs).0,
            None => error_expr(self.at(0, 0)),
        }
    }

    /// Lowers an endpoint with its `except`. Returns the pair after them, too.
    pub(super) fn expr_from<'i>(
        &mut self,
        first: Pair<'i, Rule>,
        pairs: &mut Pairs<'i, Rule>,
    ) -> (Expr, Option<Pair<'i, Rule>>) {
        let mut expr = self.endpoint(first);
        let mut count = 0;
        loop {
            let next = pairs.next();
            let Some(except) = next.as_ref().filter(|next| next.as_rule() == Rule::except) else {
                return (expr, next);
            };
            let word = self.span(except);
            let Some(right) = pairs.next() else { return (expr, None) };
            let right = self.endpoint(right);
            count += 1;
            if right.span.start == word.end && self.slice(right.span).starts_with(|c: char| c.is_ascii_alphanumeric()) {
                self.push(errors::missing_comma(expr.span, word.to(right.span)));
            } else if count > MOST_EXCEPTS {
                if count == MOST_EXCEPTS + 1 {
                    self.push(errors::too_many_excepts(word, MOST_EXCEPTS));
                }
                expr = error_expr(expr.span);
            } else {
                let span = expr.span.to(right.span);
                expr = Expr { span, kind: ExprKind::Except(Box::new(expr), Box::new(right)), ports: None };
            }
        }
    }

    pub(super) fn endpoint(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let found = self.found();
        let mut pairs = pair.into_inner();
        let Some(first) = pairs.next() else { return error_expr(span) };
        let mut next = pairs.next();
        let kind = match first.as_rule() {
            Rule::host => match next.take() {
                Some(word) => {
                    next = pairs.next();
                    let kind = self.host(word.as_str(), false, self.span(&word));
                    if next.as_ref().is_some_and(|next| next.as_rule() != Rule::ports) {
                        next = pairs.next();
                        self.push(errors::not_a_host(span, self.slice(span), "has a `/`"));
                    }
                    kind
                }
                None => ExprKind::Error,
            },
            // `*.example.com`: the two parts touch.
            Rule::any if next.as_ref().is_some_and(|next| next.as_span().start() == first.as_span().end()) => {
                let kind = self.wildcard(next.take(), span);
                next = pairs.next();
                if next.as_ref().is_some_and(|next| next.as_rule() != Rule::ports) {
                    self.protocol_without_port(first.as_span().start(), next.take());
                    next = pairs.next();
                    ExprKind::Error
                } else {
                    kind
                }
            }
            _ => match next.take() {
                Some(pods) if pods.as_rule() != Rule::ports => {
                    next = pairs.next();
                    self.before_slash(first, pods)
                }
                after => {
                    next = after;
                    if first.as_rule() == Rule::word
                        && next.as_ref().is_some_and(|ports| ports.as_str()[1..].contains(':'))
                    {
                        // A text with two colons is an IPv6 network, or an endpoint with two suffixes.
                        let kind = self.ipv6(self.slice(span), span);
                        return Expr { span, kind, ports: None };
                    }
                    // `::/0:443` may end in a port or be an address that goes on.
                    if first.as_rule() == Rule::ipv6
                        && let (Some(ports), false) = (&next, first.as_str().starts_with('['))
                    {
                        let repair = format!("[{}]{}", first.as_str(), ports.as_str());
                        let text = self.slice(span).to_string();
                        self.push(errors::needs_brackets(span, &text, &[repair]));
                        return error_expr(span);
                    }
                    self.alone(first)
                }
            },
        };
        // An endpoint with a mistake is an error node, except a union, whose other members are right.
        let is_wrong = self.found() > found && !matches!(kind, ExprKind::Union(_));
        let kind = if is_wrong { ExprKind::Error } else { kind };
        let ports = next.map(|ports| self.ports(ports));
        Expr { span, kind, ports }
    }

    /// Lowers an endpoint without a `/`.
    fn alone(&mut self, pair: Pair<'_, Rule>) -> ExprKind {
        let span = self.span(&pair);
        match pair.as_rule() {
            Rule::word => self.lone_word(pair.as_str(), span),
            Rule::braces => self.union(pair),
            Rule::ipv6 => self.ipv6(pair.as_str(), span),
            _ => {
                self.push(errors::not_an_endpoint(span, pair.as_str(), self.is_governed(span)));
                ExprKind::Error
            }
        }
    }

    fn lone_word(&mut self, text: &str, span: Span) -> ExprKind {
        if !text.contains('.') {
            return self.name(text, span);
        }
        if !is_numeric(text) {
            return self.host(text, false, span);
        }
        match text.parse::<Ipv4Addr>() {
            Ok(ip) => ExprKind::Address(Address { ip: ip.into(), prefix: None }),
            Err(_) => {
                self.push(errors::not_ipv4(span, text, None));
                ExprKind::Error
            }
        }
    }

    fn name(&mut self, text: &str, span: Span) -> ExprKind {
        if words::is_name(text) && !is_reserved(text) {
            return ExprKind::Name(text.into());
        }
        self.push(if text.bytes().all(|byte| byte.is_ascii_digit()) {
            errors::not_an_endpoint(span, text, false)
        } else {
            errors::not_a_name(span, text)
        });
        ExprKind::Error
    }

    fn wildcard(&mut self, word: Option<Pair<'_, Rule>>, span: Span) -> ExprKind {
        let text = word.as_ref().map_or("", Pair::as_str);
        match text.strip_prefix('.') {
            Some(name) => self.host(name, true, Span { start: span.start, ..self.word_span(word.as_ref(), span) }),
            None => {
                self.push(errors::partial_wildcard(span, self.slice(span), self.is_governed(span)));
                ExprKind::Error
            }
        }
    }

    /// Returns whether only pods are allowed at a position in the current statement.
    fn is_governed(&self, span: Span) -> bool {
        words::is_governed(self.slice(Span { end: span.start, ..self.at(0, 0) }))
    }

    fn word_span(&self, word: Option<&Pair<'_, Rule>>, or: Span) -> Span {
        word.map_or(or, |word| self.span(word))
    }

    fn host(&mut self, name: &str, wildcard: bool, span: Span) -> ExprKind {
        if let Some(why) = words::host_problem(name) {
            self.push(errors::not_a_host(span, self.slice(span), why));
            return ExprKind::Error;
        }
        // RFC 1123, section 2.1: the last label of a host is no number, so that nothing is both a host and an address.
        if words::ends_in_number(name) {
            let why = "ends in a number, as no host does: addresses are written as networks, such as `10.0.0.0/29`";
            self.push(errors::not_a_host(span, self.slice(span), why));
            return ExprKind::Error;
        }
        ExprKind::Host(HostPattern { wildcard, name: lower_case(name) })
    }

    /// Lowers an endpoint with a `/`.
    fn before_slash(&mut self, first: Pair<'_, Rule>, pods: Pair<'_, Rule>) -> ExprKind {
        let (span, text) = (self.span(&first), first.as_str());
        let whole = span.to(self.span(&pods));
        match first.as_rule() {
            Rule::ipv6 => {
                let inner = text.trim_start_matches('[').trim_end_matches(']');
                self.push(errors::prefix_outside(whole, self.slice(whole), format!("[{inner}/{}]", pods.as_str())));
                ExprKind::Error
            }
            Rule::word if is_numeric(text) && pods.as_rule() == Rule::word && is_numeric(pods.as_str()) => {
                self.ipv4_network(text, pods.as_str(), whole)
            }
            Rule::word if text == "." => self.pods(NamespacePattern::Scope(span), pods),
            Rule::word if text.contains('.') => {
                if errors::PROTOCOLS.contains(&pods.as_str()) {
                    self.protocol_without_port(first.as_span().start(), Some(pods));
                } else if is_numeric(text) {
                    self.push(errors::pods_of_address(whole, text, pods.as_str()));
                } else {
                    self.push(errors::dotted(span, text, Kind::Namespace));
                }
                ExprKind::Error
            }
            Rule::braces => match self.namespace_labels(first, &pods) {
                Some(namespace) => self.pods(namespace, pods),
                None => ExprKind::Error,
            },
            Rule::any => self.pods(NamespacePattern::Any, pods),
            _ => {
                let namespace = NamespacePattern::Name(self.kubernetes_word(Some(first), Kind::Namespace));
                self.pods(namespace, pods)
            }
        }
    }

    fn ipv4_network(&mut self, address: &str, prefix: &str, span: Span) -> ExprKind {
        let length = prefix.parse::<u8>().ok().filter(|&length| length <= 32 && prefix.len() <= 2);
        match (address.parse::<Ipv4Addr>(), length) {
            (Ok(ip), Some(length)) => ExprKind::Address(Address { ip: ip.into(), prefix: Some(length) }),
            _ => {
                self.push(errors::not_ipv4(span, address, Some(prefix)));
                ExprKind::Error
            }
        }
    }

    /// Says that a protocol follows a host or an address at once. The endpoint begins at `start`.
    fn protocol_without_port(&mut self, start: usize, protocol: Option<Pair<'_, Rule>>) {
        let Some(protocol) = protocol else { return };
        let span = self.at(start, protocol.as_span().end());
        let endpoint = self.slice(self.at(start, protocol.as_span().start().saturating_sub(1)));
        self.push(errors::protocol_without_port(span, endpoint, protocol.as_str()));
    }

    fn pods(&mut self, namespace: NamespacePattern, pods: Pair<'_, Rule>) -> ExprKind {
        let pods = match pods.as_rule() {
            Rule::any => PodPattern::Any,
            Rule::braces => match self.labels(pods) {
                Some(labels) => PodPattern::Labels(labels),
                None => return ExprKind::Error,
            },
            Rule::account => PodPattern::Account(self.kubernetes_word(pods.into_inner().next(), Kind::Account)),
            _ => PodPattern::Name(self.kubernetes_word(Some(pods), Kind::Workload)),
        };
        ExprKind::Pods(namespace, pods)
    }

    fn ipv6(&mut self, text: &str, span: Span) -> ExprKind {
        let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let inner = bracketed.unwrap_or(text);
        match words::read_ipv6(inner).map(|(ip, prefix)| Address { ip: IpAddr::V6(ip), prefix }) {
            Some(address) if bracketed.is_some() || address.prefix.is_some() => ExprKind::Address(address),
            Some(_) => {
                let mut repairs = vec![format!("[{text}]")];
                repairs.extend(words::bracketed_with_port(text));
                self.push(errors::needs_brackets(span, text, &repairs));
                ExprKind::Error
            }
            None => {
                let repair = if bracketed.is_none() { words::bracketed_with_port(text) } else { None };
                let is_suffix = bracketed.is_none() && !text.contains("::") && text.matches(':').count() == 2;
                self.push(match repair {
                    Some(repair) => errors::needs_brackets(span, text, &[repair]),
                    None if bracketed.is_some() && is_list(inner) => {
                        errors::list_in_brackets(span, "endpoints", &format!("{{ {inner} }}"))
                    }
                    None if is_suffix => {
                        let (endpoint, suffixes) = text.split_once(':').unwrap_or_default();
                        let start = span.start + endpoint.len() as u32 + 1;
                        errors::two_suffixes(Span { start, ..span }, suffixes)
                    }
                    None => errors::not_ipv6(span, text),
                });
                ExprKind::Error
            }
        }
    }

    /// Lowers an argument, whose meaning the parameter's type decides later.
    pub(super) fn argument(&mut self, pair: Pair<'_, Rule>) -> Argument {
        let whole = self.trimmed(&pair);
        let source = pair.into_inner().next();
        if let Some(each) = source.as_ref().filter(|source| source.as_rule() == Rule::each) {
            let labels = each.clone().into_inner().find(|pair| pair.as_rule() == Rule::braces);
            return match labels.and_then(|braces| self.labels(braces)) {
                Some(labels) => Argument::Each(whole, labels),
                None => Argument::Endpoint(error_expr(whole)),
            };
        }
        let text = source.as_ref().map_or("", |source| source.as_str().trim_ascii_end());
        let Some(first) = source.as_ref().and_then(|source| source.clone().into_inner().next()) else {
            return Argument::Endpoint(error_expr(self.at(0, 0)));
        };
        let start = first.as_span().start();
        let span = self.at(start, start + text.len());
        match first.into_inner().next().filter(|first| first.as_str() == text) {
            Some(string) if string.as_rule() == Rule::string => return Argument::String(self.word(&string)),
            // A namespace may be called by any of the language's words.
            Some(word) if word.as_rule() == Rule::word && words::is_port_name(text) => {
                return Argument::Endpoint(Expr { span, kind: ExprKind::Name(text.into()), ports: None });
            }
            _ => {}
        }
        if Self::is_port_list(text) {
            self.push(errors::expected(span, "one port", None).note("a `Port` is one port, without braces"));
            return Argument::Endpoint(error_expr(span));
        }
        match self.lone_port(text, span) {
            Some(port) => Argument::Port(port),
            None => Argument::Endpoint(self.expr(source)),
        }
    }

    /// Reads a port that cannot be an endpoint: `*`, `8080`, `8000-8999`, `53/udp`.
    fn lone_port(&mut self, text: &str, span: Span) -> Option<Port> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, ""));
        let is_number = number.starts_with(|c: char| c.is_ascii_digit())
            && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let is_word = protocol.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !words::is_digits(protocol);
        let is_port = text == "*" || is_number && (text == number || is_word);
        is_port.then(|| self.port(text, span))
    }

    /// Returns whether an argument is a list of port numbers, which no parameter takes.
    fn is_port_list(text: &str) -> bool {
        let of_ports =
            |c: char| c.is_ascii_digit() || c.is_ascii_whitespace() || matches!(c, '{' | '}' | ',' | '-' | '/');
        text.starts_with('{') && text.contains(|c: char| c.is_ascii_digit()) && text.chars().all(of_ports)
    }
}

/// Returns an error node, which fits as any endpoint.
pub(super) fn error_expr(span: Span) -> Expr {
    Expr { span, kind: ExprKind::Error, ports: None }
}

/// Returns whether the text in brackets is a list of endpoints, and not an IPv6 address with a mistake.
fn is_list(inner: &str) -> bool {
    let of_ipv6 = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '/' | '%');
    inner.contains(',') || inner.contains('/') && !inner.chars().all(of_ipv6)
}

/// Returns whether a text is of digits and dots, and so an IPv4 address or nothing.
fn is_numeric(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Returns a text in lower case.
pub(super) fn lower_case(text: &str) -> SmolStr {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) { text.to_ascii_lowercase().into() } else { text.into() }
}

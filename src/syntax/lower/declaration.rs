//! `use` and `let`.

use std::net::IpAddr;

use ipnet::IpNet;
use pest::iterators::{Pair, Pairs};

use super::Lower;
use super::endpoint::error_expr;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::errors;
use crate::syntax::grammar::Rule;
use crate::syntax::tree::{
    Address, ExprKind, HostAddress, HostDecl, HostPattern, ItemKind, Let, LetValue, Origination, Use, UseName, UsePath,
};

impl Lower<'_> {
    pub(super) fn use_module(&mut self, mut pairs: Pairs<'_, Rule>) -> ItemKind {
        let Some(module) = pairs.next() else { return ItemKind::Error };
        let path_span = self.span(&module);
        let path = match module.as_rule() {
            Rule::string => UsePath::File(self.word(&module).text),
            _ => match module.as_str().strip_prefix("std/") {
                Some(name) => UsePath::Std(name.into()),
                None => {
                    self.push(errors::module_path(path_span, module.as_str()));
                    return ItemKind::Error;
                }
            },
        };
        let names = pairs.next().filter(|pair| pair.as_rule() == Rule::use_names).map(|pair| self.use_names(pair));
        ItemKind::Use(Use { path, path_span, names })
    }

    fn use_names(&mut self, pair: Pair<'_, Rule>) -> Vec<UseName> {
        let whole = self.span(&pair);
        let mut names = Vec::new();
        let mut open: Option<Span> = None;
        for pair in pair.into_inner() {
            if pair.as_rule() == Rule::comma {
                open = None;
                continue;
            }
            let span = self.span(&pair);
            if let Some(before) = open.replace(span) {
                self.push(errors::missing_comma(before, span));
            }
            let mut words = pair.into_inner();
            let name = self.ident(words.next());
            let alias = words.next().map(|pair| self.ident(Some(pair)));
            names.push(UseName { name, alias });
        }
        if names.is_empty() {
            self.push(errors::empty_list(whole, "name"));
        }
        names
    }

    pub(super) fn binding(&mut self, mut pairs: Pairs<'_, Rule>) -> ItemKind {
        let name = self.ident(pairs.next());
        pairs.next();
        let expr = self.expr(pairs.next());
        let (mut at, mut ports, mut span) = (Vec::new(), Vec::new(), expr.span);
        let mut is_plain = true;
        for pair in pairs {
            is_plain &= !matches!(pair.as_rule(), Rule::addresses | Rule::originations);
            match pair.as_rule() {
                Rule::addresses => {
                    span = expr.span.to(self.trimmed(&pair));
                    at = self.addresses(pair);
                }
                Rule::originations => {
                    span = expr.span.to(self.trimmed(&pair));
                    ports = self.originations(pair);
                }
                _ => {}
            }
        }
        let of = |value| ItemKind::Let(Box::new(Let { name, value }));
        if is_plain {
            return of(LetValue::Endpoint(expr));
        }
        let wrong: (Span, &str, fn(Span, &str) -> Diagnostic) = match ports.is_empty() {
            true => (expr.span, "only a host written `host NAME` takes addresses with `at`", errors::host_at),
            false => (expr.span, "only a host written `host NAME` takes a block of ports", errors::origination),
        };
        let written = self.slice(expr.span);
        let ExprKind::Host(HostPattern { wildcard: false, name: host }) = expr.kind else {
            if expr.kind != ExprKind::Error {
                self.push(wrong.2(wrong.0, wrong.1));
            }
            return of(LetValue::Endpoint(error_expr(span)));
        };
        if let Some(suffix) = expr.ports {
            let why = match ports.is_empty() {
                true => "a host takes no port where it gets its addresses",
                false => "a host takes no port before its block; its ports stand where it is used",
            };
            self.push(wrong.2(suffix.span, why));
            return of(LetValue::Endpoint(error_expr(span)));
        }
        if !written.starts_with("host") || written.len() == host.len() {
            let diagnostic = wrong.2(wrong.0, wrong.1);
            self.push(diagnostic.fix(format!("write `host {written}`"), expr.span, format!("host {written}")));
            return of(LetValue::Endpoint(error_expr(span)));
        }
        let name_span = Span { start: expr.span.end - host.len() as u32, ..expr.span };
        of(LetValue::Host(HostDecl { span, name: host, name_span, at, ports }))
    }

    /// Lowers `{ port 80/http -> 443/tls … }`.
    fn originations(&mut self, pair: Pair<'_, Rule>) -> Vec<Origination> {
        let whole = self.trimmed(&pair);
        let found = self.found();
        let mut all = Vec::new();
        for pair in pair.into_inner().filter(|pair| pair.as_rule() == Rule::origination) {
            let span = self.trimmed(&pair);
            all.extend(self.origination(span, pair.into_inner()));
        }
        if all.is_empty() && self.found() == found {
            self.push(errors::empty_list(whole, "port"));
        }
        all
    }

    fn addresses(&mut self, pair: Pair<'_, Rule>) -> Vec<HostAddress> {
        let whole = self.trimmed(&pair);
        let mut addresses = Vec::new();
        let mut open: Option<Span> = None;
        let mut count = 0;
        for pair in pair.into_inner() {
            if pair.as_rule() == Rule::comma {
                open = None;
                continue;
            }
            let span = self.trimmed(&pair);
            count += 1;
            if let Some(before) = open.replace(span) {
                self.push(errors::missing_comma(before, span));
            }
            addresses.extend(self.host_address(pair, span));
        }
        if count == 0 {
            self.push(errors::empty_list(whole, "address"));
        }
        addresses
    }

    fn host_address(&mut self, pair: Pair<'_, Rule>, span: Span) -> Option<HostAddress> {
        let mut pairs = pair.into_inner();
        let address = self.endpoint(pairs.next()?);
        let weight = match pairs.next().and_then(|pair| pair.into_inner().next()) {
            None => None,
            Some(word) => match word.as_str().parse().ok().filter(|&weight| weight > 0) {
                Some(weight) => Some(weight),
                None => {
                    self.push(errors::expected(self.span(&word), "a number from 1", Some("weight")));
                    None
                }
            },
        };
        match (address.kind, address.ports) {
            (ExprKind::Error, _) => None,
            (ExprKind::Address(Address { ip, prefix }), None) => {
                let full = if matches!(ip, IpAddr::V4(_)) { 32 } else { 128 };
                let net = IpNet::new(ip, prefix.unwrap_or(full)).ok()?;
                Some(HostAddress { span, net, prefixed: prefix.is_some(), weight })
            }
            _ => {
                self.push(errors::host_at(address.span, "`at` takes addresses and networks, without ports"));
                None
            }
        }
    }
}

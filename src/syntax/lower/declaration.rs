//! `use` and `let`.

use std::net::IpAddr;

use ipnet::IpNet;
use pest::iterators::{Pair, Pairs};

use super::Lower;
use super::endpoint::error_expr;
use crate::source::Span;
use crate::syntax::errors;
use crate::syntax::grammar::Rule;
use crate::syntax::tree::{
    Address, ExprKind, HostAddress, HostDecl, HostPattern, ItemKind, Let, LetValue, Use, UseName, UsePath,
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
        let Some(addresses) = pairs.next().filter(|pair| pair.as_rule() == Rule::addresses) else {
            return ItemKind::Let(Box::new(Let { name, value: LetValue::Endpoint(expr) }));
        };
        let span = expr.span.to(self.trimmed(&addresses));
        let at = self.addresses(addresses);
        let written = self.slice(expr.span);
        let ExprKind::Host(HostPattern { wildcard: false, name: host }) = expr.kind else {
            if expr.kind != ExprKind::Error {
                self.push(errors::host_at(expr.span, "only a host written `host NAME` takes addresses with `at`"));
            }
            return ItemKind::Let(Box::new(Let { name, value: LetValue::Endpoint(error_expr(span)) }));
        };
        if let Some(ports) = expr.ports {
            self.push(errors::host_at(ports.span, "a host takes no port where it gets its addresses"));
            return ItemKind::Let(Box::new(Let { name, value: LetValue::Endpoint(error_expr(span)) }));
        }
        if !written.starts_with("host") || written.len() == host.len() {
            let diagnostic = errors::host_at(expr.span, "only a host written `host NAME` takes addresses with `at`");
            self.push(diagnostic.fix(format!("write `host {written}`"), expr.span, format!("host {written}")));
            return ItemKind::Let(Box::new(Let { name, value: LetValue::Endpoint(error_expr(span)) }));
        }
        let name_span = Span { start: expr.span.end - host.len() as u32, ..expr.span };
        ItemKind::Let(Box::new(Let { name, value: LetValue::Host(HostDecl { span, name: host, name_span, at }) }))
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

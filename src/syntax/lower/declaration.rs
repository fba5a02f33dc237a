//! Declarations: `use`, `let`, and the blocks that state facts.

use std::net::IpAddr;

use ipnet::IpNet;
use pest::iterators::{Pair, Pairs};

use super::{Lower, parse};
use crate::diag::Code;
use crate::syntax::grammar::Rule;
use crate::syntax::keyword::Keyword;
use crate::syntax::scan::Statement;
use crate::syntax::tree::{
    Address, ExprKind, GatewayDecl, HostAddress, HostDecl, HostPattern, IssuerDecl, IssuerKeys, ItemKind, Let,
    LetValue, NamespaceDecl, ServiceDecl, Use, UseName, UsePath, Word,
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
                    self.error(Code::Expected, path_span, "expected `std/…` or a path in quotes");
                    return ItemKind::Error;
                }
            },
        };
        let names = pairs.next().filter(|pair| pair.as_rule() == Rule::use_names).map(|pair| {
            let names = pair.into_inner().filter(|pair| pair.as_rule() == Rule::use_name);
            names
                .map(|pair| {
                    let mut words = pair.into_inner();
                    let name = self.ident(words.next());
                    let alias = words.next().map(|pair| self.ident(Some(pair)));
                    UseName { name, alias }
                })
                .collect()
        });
        ItemKind::Use(Use { path, path_span, names })
    }

    pub(super) fn binding(&mut self, mut pairs: Pairs<'_, Rule>) -> ItemKind {
        let name = self.ident(pairs.next());
        pairs.next();
        let expr = self.expr(pairs.next());
        let Some(addresses) = pairs.next().filter(|pair| pair.as_rule() == Rule::addresses) else {
            return ItemKind::Let(Let { name, value: LetValue::Endpoint(expr) });
        };
        let span = expr.span.to(self.trimmed(&addresses));
        let at = self.addresses(addresses);
        let ExprKind::Host(HostPattern { wildcard: false, name: host }) = expr.kind else {
            self.error(Code::Expected, expr.span, "expected `host NAME` before `at`");
            return ItemKind::Error;
        };
        let start = (expr.span.end as usize).saturating_sub(host.len());
        let name_span = crate::source::Span::new(self.file, start, expr.span.end as usize);
        ItemKind::Let(Let { name, value: LetValue::Host(HostDecl { span, name: host, name_span, at }) })
    }

    fn addresses(&mut self, pair: Pair<'_, Rule>) -> Vec<HostAddress> {
        let weighted = pair.into_inner().filter(|pair| pair.as_rule() == Rule::weighted);
        weighted.filter_map(|pair| self.host_address(pair)).collect()
    }

    fn host_address(&mut self, pair: Pair<'_, Rule>) -> Option<HostAddress> {
        let span = self.trimmed(&pair);
        let mut pairs = pair.into_inner();
        let address = self.endpoint(pairs.next()?);
        let weight = match pairs.next().and_then(|pair| pair.into_inner().next()) {
            None => None,
            Some(word) => match word.as_str().parse() {
                Ok(weight) => Some(weight),
                Err(_) => {
                    self.error(Code::Expected, self.span(&word), "a weight is a number");
                    None
                }
            },
        };
        match address.kind {
            ExprKind::Address(Address { ip, prefix }) => {
                let full = if matches!(ip, IpAddr::V4(_)) { 32 } else { 128 };
                let net = IpNet::new(ip, prefix.unwrap_or(full)).ok()?;
                Some(HostAddress { span, net, prefixed: prefix.is_some(), weight })
            }
            ExprKind::Error => None,
            _ => {
                self.error(Code::Expected, address.span, "expected an address");
                None
            }
        }
    }

    pub(super) fn namespace(&mut self, mut pairs: Pairs<'_, Rule>, pieces: &[Statement]) -> ItemKind {
        let name = self.word_or_empty(pairs.next());
        let mut labels = Vec::new();
        self.fields(pieces, |lower, _, _, mut pairs| labels = lower.pairs_of_labels(pairs.next()));
        ItemKind::Namespace(NamespaceDecl { name, labels })
    }

    pub(super) fn service(&mut self, mut pairs: Pairs<'_, Rule>, pieces: &[Statement]) -> ItemKind {
        let (namespace, name) = self.object(pairs.next());
        let mut service = ServiceDecl { namespace, name, select: None, ports: Vec::new() };
        self.fields(pieces, |lower, field, span, mut pairs| match field {
            Keyword::Select => service.select = Some(lower.pairs_of_labels(pairs.next())),
            _ => service.ports.extend(lower.port_mapping(span, pairs)),
        });
        ItemKind::Service(service)
    }

    fn object(&mut self, pair: Option<Pair<'_, Rule>>) -> (Word, Word) {
        let Some(pair) = pair else { return (self.word_or_empty(None), self.word_or_empty(None)) };
        let mut pairs = pair.into_inner();
        let namespace = self.word_or_empty(pairs.next());
        pairs.next();
        (namespace, self.word_or_empty(pairs.next()))
    }

    pub(super) fn issuer(&mut self, mut pairs: Pairs<'_, Rule>, pieces: &[Statement]) -> ItemKind {
        let name = self.ident(pairs.next());
        let mut issuer = IssuerDecl { name, url: None, keys: None };
        self.fields(pieces, |lower, field, _, mut pairs| {
            let word = lower.word_or_empty(pairs.next());
            match field {
                Keyword::Url => issuer.url = Some(word),
                Keyword::Keys => issuer.keys = Some(IssuerKeys::Inline(word)),
                _ => {
                    let at = pairs.next().filter(|pair| pair.as_rule() == Rule::keys_at);
                    let at = at.map(|pair| lower.expr(pair.into_inner().next()));
                    issuer.keys = Some(IssuerKeys::Remote { url: word, at });
                }
            }
        });
        ItemKind::Issuer(issuer)
    }

    pub(super) fn gateway(&mut self, mut pairs: Pairs<'_, Rule>, pieces: &[Statement]) -> ItemKind {
        let name = self.ident(pairs.next());
        let mut gateway =
            GatewayDecl { name, pods: None, account: None, service: None, ports: Vec::new(), proxies: None };
        self.fields(pieces, |lower, field, span, mut pairs| match field {
            Keyword::Pods => gateway.pods = Some(lower.expr(pairs.next())),
            Keyword::Account => gateway.account = Some(lower.expr(pairs.next())),
            Keyword::Service => gateway.service = Some(lower.object(pairs.next())),
            Keyword::Port => gateway.ports.extend(lower.port_mapping(span, pairs)),
            _ => {
                let Some(word) = pairs.next() else { return };
                match word.as_str().parse() {
                    Ok(count) => gateway.proxies = Some((count, lower.span(&word))),
                    Err(_) => lower.error(Code::Expected, lower.span(&word), "expected a number"),
                }
            }
        });
        ItemKind::Gateway(gateway)
    }

    /// Reads the fields of a block.
    fn fields(
        &mut self,
        pieces: &[Statement],
        mut take: impl FnMut(&mut Self, Keyword, crate::source::Span, Pairs<'_, Rule>),
    ) {
        for piece in pieces {
            if piece.broken {
                continue;
            }
            let text = self.enter(piece.start, piece.end, piece.has_extras);
            let span = self.at(0, text.len());
            let (Some(field), Some(rule)) = (piece.keyword, piece.keyword.and_then(field_rule)) else {
                self.error(Code::Expected, span, "no such field");
                continue;
            };
            match parse(rule, &text) {
                Ok(pairs) => take(self, field, span, pairs),
                Err(error) => self.refuse(&error),
            }
        }
    }
}

fn field_rule(field: Keyword) -> Option<Rule> {
    Some(match field {
        Keyword::Labels => Rule::labels_field,
        Keyword::Select => Rule::select_field,
        Keyword::Port => Rule::port_field,
        Keyword::Url => Rule::url_field,
        Keyword::Jwks => Rule::jwks_field,
        Keyword::Keys => Rule::keys_field,
        Keyword::Pods => Rule::pods_field,
        Keyword::Account => Rule::account_field,
        Keyword::Service => Rule::service_field,
        Keyword::Proxies => Rule::proxies_field,
        _ => return None,
    })
}

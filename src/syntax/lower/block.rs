//! Statements with a block: its head, and its pieces one by one.

use pest::iterators::{Pair, Pairs};

use super::Lower;
use crate::model::rules::ClaimKind;
use crate::source::Span;
use crate::syntax::errors;
use crate::syntax::grammar::Rule;
use crate::syntax::keyword::Keyword;
use crate::syntax::scan::{Body, Statement};
use crate::syntax::tree::{
    Claim, GatewayDecl, Ident, IssuerDecl, IssuerKeys, Item, ItemKind, NamespaceDecl, Parameter, ServiceDecl, Template,
    Test, TokenPlace, Word, WorkloadDecl,
};
use crate::syntax::words::Kind;

impl Lower<'_> {
    /// Lowers a statement with a block. The pieces are read even where the head cannot be.
    pub(super) fn block(&mut self, keyword: Keyword, statement: &Statement, body: &Body) -> ItemKind {
        let pieces = &body.pieces;
        let head = (statement.keyword_at, body.open + 1);
        let extras = statement.has_extras;
        let outer = self.block.replace(keyword);
        let item = match keyword {
            Keyword::Template => {
                let body = self.template_body(pieces);
                let read = self.head(statement, Rule::template_head, head, extras, |lower, mut pairs| {
                    let name = lower.ident(pairs.next());
                    ItemKind::Template(Template { unread: false, name, parameters: lower.parameters(pairs), body })
                });
                match (read, self.name_after(keyword, head)) {
                    (ItemKind::Error, Some(name)) => {
                        ItemKind::Template(Template { unread: true, name, parameters: Vec::new(), body: Vec::new() })
                    }
                    (read, _) => read,
                }
            }
            Keyword::Test => {
                let claims = self.claims(pieces);
                self.head(statement, Rule::test_head, head, extras, |lower, mut pairs| {
                    let name = lower.word_or_empty(pairs.next());
                    // A test without a single readable line claims nothing, so it must not count as a test.
                    let is_test = !claims.is_empty() || pieces.is_empty();
                    if is_test { ItemKind::Test(Test { name, claims }) } else { ItemKind::Error }
                })
            }
            Keyword::Namespace => {
                let mut labels = Vec::new();
                self.fields(pieces, |lower, _, _, mut pairs| labels = lower.given_labels(pairs.next()));
                self.head(statement, Rule::namespace_head, head, extras, |lower, mut pairs| {
                    let name = lower.kubernetes_word(pairs.next(), Kind::Namespace);
                    ItemKind::Namespace(NamespaceDecl { name, labels })
                })
            }
            Keyword::Service => {
                let (mut select, mut ports) = (None, Vec::new());
                self.fields(pieces, |lower, field, span, mut pairs| match field {
                    Keyword::Select => select = Some(lower.given_labels(pairs.next())),
                    _ => ports.extend(lower.port_mapping(span, pairs)),
                });
                self.head(statement, Rule::service_head, head, extras, |lower, pairs| {
                    let (namespace, name) = lower.object(pairs, Kind::Service);
                    ItemKind::Service(Box::new(ServiceDecl { namespace, name, select, ports }))
                })
            }
            Keyword::Workload => {
                let mut workload = self.workload_fields(pieces);
                self.head(statement, Rule::workload_head, head, extras, |lower, pairs| {
                    (workload.namespace, workload.name) = lower.object(pairs, Kind::Workload);
                    ItemKind::Workload(Box::new(workload))
                })
            }
            Keyword::Issuer => {
                let mut issuer = self.issuer_fields(pieces);
                self.head(statement, Rule::issuer_head, head, extras, |lower, mut pairs| {
                    issuer.name = lower.ident(pairs.next());
                    ItemKind::Issuer(Box::new(issuer))
                })
            }
            _ => {
                let mut gateway = self.gateway_fields(pieces);
                self.head(statement, Rule::gateway_head, head, extras, |lower, mut pairs| {
                    gateway.name = lower.ident(pairs.next());
                    ItemKind::Gateway(Box::new(gateway))
                })
            }
        };
        self.block = outer;
        item
    }

    fn head(
        &mut self,
        statement: &Statement,
        by: Rule,
        range: (usize, usize),
        extras: bool,
        then: impl FnOnce(&mut Self, Pairs<'_, Rule>) -> ItemKind,
    ) -> ItemKind {
        if statement.broken {
            return ItemKind::Error;
        }
        self.read(by, range, extras, then).unwrap_or(ItemKind::Error)
    }

    fn parameters(&mut self, pairs: Pairs<'_, Rule>) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        let mut open: Option<Span> = None;
        for pair in pairs {
            match pair.as_rule() {
                Rule::comma => open = None,
                Rule::parameter => {
                    let span = self.span(&pair);
                    let mut words = pair.into_inner().filter(|pair| pair.as_rule() == Rule::word);
                    let name = self.ident(words.next());
                    parameters.push(Parameter { name, kind: self.plain_ident(words.next()) });
                    if let Some(before) = open.replace(span) {
                        self.push(errors::missing_comma(before, span));
                    }
                }
                _ => {}
            }
        }
        parameters
    }

    fn template_body(&mut self, pieces: &[Statement]) -> Vec<Item> {
        let mut body = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece.keyword {
                Some(keyword) if !Keyword::Template.statements().contains(&keyword) => {
                    self.misplaced(piece, keyword, Keyword::Template);
                }
                _ => body.push(self.item(piece)),
            }
        }
        body
    }

    fn misplaced(&mut self, piece: &Statement, keyword: Keyword, block: Keyword) {
        let start = self.base + piece.keyword_at;
        let span = Span::new(self.file, start, start + keyword.word().len());
        self.push(errors::misplaced_statement(span, keyword, block));
    }

    fn claims(&mut self, pieces: &[Statement]) -> Vec<Claim> {
        let mut claims = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if piece.broken {
                continue;
            }
            if let Some(&at) = piece.annotations.first() {
                let span = Span::new(self.file, self.base + at, self.base + at + 1);
                self.push(errors::misplaced_annotation(span, Some("a line of a test")));
            }
            let kind = match piece.keyword {
                Some(Keyword::Allow) => ClaimKind::Always,
                Some(Keyword::Deny) => ClaimKind::Never,
                Some(keyword) => {
                    self.misplaced(piece, keyword, Keyword::Test);
                    continue;
                }
                None if !piece.annotations.is_empty() => continue,
                None => {
                    self.unknown((piece.start, piece.end), piece.has_extras);
                    continue;
                }
            };
            let range = (piece.keyword_at, piece.end);
            let claim = |lower: &mut Self, pairs: Pairs<'_, Rule>| lower.claim(kind, pairs);
            claims.extend(self.read(Rule::policy_rule, range, piece.has_extras, claim).flatten());
        }
        claims
    }

    /// Lowers `namespace/name`, or `./name`.
    fn object(&mut self, mut pairs: Pairs<'_, Rule>, kind: Kind) -> (Word, Word) {
        let mut inner = pairs.next().map(|pair| pair.into_inner().filter(|pair| pair.as_rule() != Rule::slash));
        let mut next = || inner.as_mut().and_then(Iterator::next);
        let (namespace, name) = (next(), next());
        let own = namespace.as_ref().filter(|pair| pair.as_str() == ".").map(|pair| self.word(pair));
        let namespace = own.unwrap_or_else(|| self.kubernetes_word(namespace, Kind::Namespace));
        (namespace, self.kubernetes_word(name, kind))
    }

    fn workload_fields(&mut self, pieces: &[Statement]) -> WorkloadDecl {
        let nobody = self.word_or_empty(None);
        let (labels, ports, account) = (Vec::new(), Vec::new(), None);
        let (sidecar, host_network, namespace, name) = (None, None, nobody.clone(), nobody);
        let mut workload = WorkloadDecl { namespace, name, labels, account, ports, sidecar, host_network };
        self.fields(pieces, |lower, field, span, mut pairs| match field {
            Keyword::Labels => workload.labels = lower.given_labels(pairs.next()),
            Keyword::Account => workload.account = Some(lower.kubernetes_word(pairs.next(), Kind::Account)),
            Keyword::Port => workload.ports.extend(lower.named_port(span, pairs)),
            Keyword::Sidecar => workload.sidecar = lower.yes_or_no(pairs.next()).map(|yes| (span, yes)),
            _ => workload.host_network = lower.yes_or_no(pairs.next()).map(|yes| (span, yes)),
        });
        workload
    }

    fn yes_or_no(&mut self, pair: Option<Pair<'_, Rule>>) -> Option<bool> {
        let pair = pair?;
        match pair.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            other => {
                let meant = match other {
                    "true" | "on" | "enabled" => Some("yes"),
                    "false" | "off" | "disabled" => Some("no"),
                    _ => None,
                };
                let span = self.span(&pair);
                let diagnostic = errors::expected(span, "`yes` or `no`", None);
                self.push(match meant {
                    Some(meant) => diagnostic.fix(format!("write `{meant}`"), span, meant),
                    None => diagnostic,
                });
                None
            }
        }
    }

    fn issuer_fields(&mut self, pieces: &[Statement]) -> IssuerDecl {
        let name = Ident { text: "".into(), span: self.at(0, 0) };
        let mut issuer =
            IssuerDecl { name, url: None, keys: None, audiences: Vec::new(), from: Vec::new(), broken: false };
        issuer.broken = self.fields(pieces, |lower, field, _, mut pairs| {
            match field {
                Keyword::Audiences => {
                    let strings = pairs.filter(|pair| pair.as_rule() == Rule::string);
                    issuer.audiences = strings.map(|pair| lower.word(&pair)).collect();
                    return;
                }
                Keyword::From => {
                    issuer.from.extend(pairs.next().map(|place| lower.token_place(place)));
                    return;
                }
                _ => {}
            }
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
        issuer
    }

    fn token_place(&mut self, place: Pair<'_, Rule>) -> TokenPlace {
        let is_header = place.as_rule() == Rule::from_header;
        let mut pairs = place.into_inner();
        let name = self.word_or_empty(pairs.next());
        match pairs.next().filter(|_| is_header) {
            Some(prefix) => TokenPlace::Header(name, Some(self.word_or_empty(prefix.into_inner().next()))),
            None if is_header => TokenPlace::Header(name, None),
            None => TokenPlace::Param(name),
        }
    }

    fn gateway_fields(&mut self, pieces: &[Statement]) -> GatewayDecl {
        let name = Ident { text: "".into(), span: self.at(0, 0) };
        let (pods, account, service, ports, proxies) = (None, None, None, Vec::new(), None);
        let mut gateway =
            GatewayDecl { name, pods, account, service, ports, proxies, proxies_from: None, broken: false };
        gateway.broken = self.fields(pieces, |lower, field, span, mut pairs| match field {
            Keyword::Pods => gateway.pods = Some(lower.expr(pairs.next())),
            Keyword::Account => gateway.account = Some(lower.expr(pairs.next())),
            Keyword::Service => gateway.service = Some(lower.object(pairs, Kind::Service)),
            Keyword::Port => gateway.ports.extend(lower.port_mapping(span, pairs)),
            _ => {
                let Some(word) = pairs.next() else { return };
                match word.as_str().parse() {
                    Ok(count) => gateway.proxies = Some((count, lower.span(&word))),
                    Err(_) => lower.push(errors::expected(lower.span(&word), "a number", Some("proxies"))),
                }
                let from = pairs.next().filter(|pair| pair.as_rule() == Rule::proxies_from);
                gateway.proxies_from = from.map(|pair| lower.expr(pair.into_inner().next()));
            }
        });
        gateway
    }

    /// Reads the fields of a block, each of which stands once, save `port` and `from`. Returns whether the block has a
    /// mistake.
    fn fields(
        &mut self,
        pieces: &[Statement],
        mut take: impl FnMut(&mut Self, Keyword, Span, Pairs<'_, Rule>),
    ) -> bool {
        let found = self.found();
        let block = self.block.unwrap_or(Keyword::Service);
        let mut seen: Vec<(Keyword, Span)> = Vec::new();
        for piece in pieces {
            if piece.broken {
                continue;
            }
            let Some((field, by)) = piece.keyword.and_then(|field| Some((field, field_rule(field, block)?))) else {
                self.unknown((piece.start, piece.end), piece.has_extras);
                continue;
            };
            if let Some(&at) = piece.annotations.first() {
                let span = Span::new(self.file, self.base + at, self.base + at + 1);
                self.push(errors::misplaced_annotation(span, Some(&format!("`{}`", field.word()))));
            }
            let start = self.base + piece.keyword_at;
            let word = Span::new(self.file, start, start + field.word().len());
            let is_keys = |field: Keyword| matches!(field, Keyword::Jwks | Keyword::Keys);
            match seen.iter().find(|(one, _)| *one == field || is_keys(*one) && is_keys(field)) {
                Some((one, first)) if *one != field => self.push(errors::two_keys(word, *first)),
                Some((_, first)) if !matches!(field, Keyword::Port | Keyword::From) => {
                    self.push(errors::duplicate_field(word, field.word(), *first));
                }
                _ => seen.push((field, word)),
            }
            self.read(by, (piece.keyword_at, piece.end), piece.has_extras, |lower, pairs| {
                let span = lower.at(0, lower.end - lower.offset);
                take(lower, field, span, pairs);
            });
        }
        self.found() > found || pieces.iter().any(|piece| piece.broken)
    }
}

fn field_rule(field: Keyword, block: Keyword) -> Option<Rule> {
    if !block.fields().contains(&field) {
        return None;
    }
    Some(match field {
        Keyword::Account if block == Keyword::Workload => Rule::runs_as_field,
        Keyword::Port if block == Keyword::Workload => Rule::named_port_field,
        Keyword::Sidecar => Rule::sidecar_field,
        Keyword::HostNetwork => Rule::host_network_field,
        Keyword::Labels => Rule::labels_field,
        Keyword::Select => Rule::select_field,
        Keyword::Port => Rule::port_field,
        Keyword::Url => Rule::url_field,
        Keyword::Jwks => Rule::jwks_field,
        Keyword::Keys => Rule::keys_field,
        Keyword::Audiences => Rule::audiences_field,
        Keyword::From => Rule::from_field,
        Keyword::Pods => Rule::pods_field,
        Keyword::Account => Rule::account_field,
        Keyword::Service => Rule::service_field,
        Keyword::Proxies => Rule::proxies_field,
        _ => return None,
    })
}

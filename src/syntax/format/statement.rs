//! Statements, declarations and clauses.

use super::layout::Group;
use super::printer::{Padding, Printer, Spacing};
use crate::model::ports::Protocol;
use crate::model::rules::ClaimKind;
use crate::syntax::tree::*;

impl Printer<'_> {
    pub(super) fn items(&mut self, items: &[Item]) {
        for (at, item) in items.iter().enumerate() {
            self.statement_gap(at == 0);
            self.item(item);
        }
    }

    fn item(&mut self, item: &Item) {
        self.begin();
        if !item.annotations.is_empty() {
            self.layout.open(Group::Loose);
            for (at, annotation) in item.annotations.iter().enumerate() {
                if at > 0 {
                    self.gap(Spacing::Line(1));
                }
                self.begin();
                self.annotation(annotation);
                self.end();
            }
            self.layout.close();
            self.gap(Spacing::Hard);
        }
        match &item.kind {
            ItemKind::Use(value) => self.import(value),
            ItemKind::Let(value) => self.binding(value),
            ItemKind::Namespace(value) => self.namespace(value),
            ItemKind::Service(value) => self.service(value),
            ItemKind::Workload(value) => self.workload(value),
            ItemKind::Issuer(value) => self.issuer(value),
            ItemKind::Gateway(value) => self.gateway(value),
            ItemKind::Template(value) => self.template(value),
            ItemKind::Apply(value) => self.apply(value),
            ItemKind::Scope(value) => {
                self.keyword("scope");
                self.expr(&value.pods);
                self.public_hosts(&value.hosts);
            }
            ItemKind::Assert(value) => {
                self.keyword("assert");
                self.claim(value, ["always", "never"]);
            }
            ItemKind::Test(value) => self.test(value),
            ItemKind::Rule(value) => self.rule(value),
            ItemKind::DefaultDeny(value) => {
                self.keyword("default");
                self.keyword("deny");
                self.direction(value.direction.map(|(direction, _)| direction));
                self.expr(&value.subject);
            }
            ItemKind::Error => self.lose(),
        }
        self.end();
    }

    /// Writes a word of the language and goes to the next token.
    pub(super) fn keyword(&mut self, text: &str) {
        self.token(text);
        self.gap(Spacing::Space);
    }

    fn annotation(&mut self, annotation: &Annotation) {
        let (name, text) = match &annotation.kind {
            AnnotationKind::Owner(text) => ("owner", Some(text)),
            AnnotationKind::Reason(text) => ("reason", Some(text)),
            AnnotationKind::Approximate(text) => ("approximate", Some(text)),
            AnnotationKind::Expires(_) => ("expires", None),
            AnnotationKind::Allow(_, why) => ("allow", Some(why)),
        };
        self.token("@");
        self.gap(Spacing::Tight);
        self.token(name);
        self.gap(Spacing::Tight);
        self.token("(");
        self.gap(Spacing::Tight);
        if let AnnotationKind::Allow(code, _) = &annotation.kind {
            self.ident(code);
            self.gap(Spacing::Tight);
            self.token(",");
            self.gap(Spacing::Space);
        }
        if let Some(text) = text {
            self.value(text);
        }
        if let AnnotationKind::Expires(date) = annotation.kind {
            let text = format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day());
            self.run(|byte| byte.is_ascii_digit() || *byte == b'-', &text);
        }
        self.gap(Spacing::Tight);
        self.token(")");
    }

    fn import(&mut self, import: &Use) {
        self.keyword("use");
        let end = import.path_span.end as usize;
        match &import.path {
            UsePath::Std(module) => self.atom(end, &format!("std/{module}")),
            UsePath::File(_) => self.string(end),
        }
        if let Some(names) = &import.names {
            self.gap(Spacing::Space);
            self.list(("(", ")"), Padding::Nothing, names, |printer, name| {
                printer.ident(&name.name);
                if let Some(alias) = &name.alias {
                    printer.gap(Spacing::Space);
                    printer.keyword("as");
                    printer.ident(alias);
                }
            });
        }
    }

    fn binding(&mut self, binding: &Let) {
        self.keyword("let");
        self.ident(&binding.name);
        self.gap(Spacing::Space);
        self.keyword("=");
        match &binding.value {
            LetValue::Endpoint(expr) => self.expr(expr),
            LetValue::Host(host) => {
                self.keyword("host");
                self.atom(host.name_span.end as usize, &host.name);
                if !host.at.is_empty() {
                    self.gap(Spacing::Space);
                    self.keyword("at");
                    if self.sees("{") {
                        self.list(("{", "}"), Padding::Spaces, &host.at, Self::host_address);
                    } else {
                        host.at.iter().for_each(|address| self.host_address(address));
                    }
                }
                if !host.ports.is_empty() {
                    self.gap(Spacing::Space);
                    self.block(&host.ports, |printer, port| {
                        printer.keyword("port");
                        printer.port(&port.dialled);
                        printer.gap(Spacing::Space);
                        printer.keyword("->");
                        printer.port(&port.target);
                    });
                }
            }
        }
    }

    fn namespace(&mut self, namespace: &NamespaceDecl) {
        self.keyword("namespace");
        self.word(&namespace.name);
        self.gap(Spacing::Space);
        // Labels that are written are never empty.
        let labels = Some(&namespace.labels).filter(|labels| !labels.is_empty());
        self.block(labels.as_slice(), |printer, labels| printer.given_labels(labels));
    }

    fn service(&mut self, service: &ServiceDecl) {
        self.keyword("service");
        self.word(&service.namespace);
        self.token("/");
        self.word(&service.name);
        self.gap(Spacing::Space);
        enum Member<'t> {
            Select(&'t [(Word, Word)]),
            Port(&'t PortMapping),
        }
        let mut members: Vec<Member> = service.ports.iter().map(Member::Port).collect();
        if let Some(select) = &service.select {
            let start = select.first().map_or(u32::MAX, |(key, _)| key.span.start);
            members.insert(service.ports.partition_point(|port| port.span.start < start), Member::Select(select));
        }
        self.block(&members, |printer, member| match member {
            Member::Port(port) => printer.port_mapping(port),
            Member::Select(select) => {
                printer.keyword("select");
                printer.list(("{", "}"), Padding::Nothing, select, |printer, (key, value)| {
                    printer.word(key);
                    printer.gap(Spacing::Tight);
                    printer.token("=");
                    printer.gap(Spacing::Tight);
                    printer.word(value);
                });
            }
        });
    }

    fn port_mapping(&mut self, port: &PortMapping) {
        self.keyword("port");
        let protocol = port.protocol.map_or("", Protocol::word);
        let slash = if port.protocol.is_some() { "/" } else { "" };
        let number = format!("{}{slash}{protocol}", port.port);
        self.run(|byte| byte.is_ascii_alphanumeric() || *byte == b'/', &number);
        if let Some(target) = &port.target {
            self.gap(Spacing::Space);
            self.keyword("->");
            self.port(target);
        }
    }

    fn issuer(&mut self, issuer: &IssuerDecl) {
        self.keyword("issuer");
        self.ident(&issuer.name);
        self.gap(Spacing::Space);
        enum Member<'t> {
            Url(&'t Word),
            Keys(&'t IssuerKeys),
            Audiences(&'t [Word]),
            From(&'t TokenPlace),
        }
        let mut members = Vec::new();
        members.extend(issuer.url.as_ref().map(|url| (url.span.start, Member::Url(url))));
        members.extend(issuer.keys.as_ref().map(|keys| match keys {
            IssuerKeys::Remote { url: word, .. } | IssuerKeys::Inline(word) => (word.span.start, Member::Keys(keys)),
        }));
        members.extend(issuer.audiences.first().map(|first| (first.span.start, Member::Audiences(&issuer.audiences))));
        members.extend(issuer.from.iter().map(|place| match place {
            TokenPlace::Header(word, _) | TokenPlace::Param(word) => (word.span.start, Member::From(place)),
        }));
        members.sort_by_key(|(start, _)| *start);
        self.block(&members, |printer, (_, member)| match member {
            Member::Url(url) => {
                printer.keyword("url");
                printer.word(url);
            }
            Member::Audiences(list) => {
                printer.keyword("audiences");
                printer.values(list, Self::word);
            }
            Member::From(place) => {
                printer.keyword("from");
                match place {
                    TokenPlace::Header(name, prefix) => {
                        printer.keyword("header");
                        printer.word(name);
                        if let Some(prefix) = prefix {
                            printer.gap(Spacing::Space);
                            printer.keyword("prefix");
                            printer.word(prefix);
                        }
                    }
                    TokenPlace::Param(name) => {
                        printer.keyword("param");
                        printer.word(name);
                    }
                }
            }
            Member::Keys(IssuerKeys::Inline(keys)) => {
                printer.keyword("keys");
                printer.word(keys);
            }
            Member::Keys(IssuerKeys::Remote { url, at }) => {
                printer.keyword("jwks");
                printer.word(url);
                if let Some(at) = at {
                    printer.break_before("at");
                    printer.expr(at);
                }
            }
        });
    }

    fn gateway(&mut self, gateway: &GatewayDecl) {
        self.keyword("gateway");
        self.ident(&gateway.name);
        self.gap(Spacing::Space);
        enum Member<'t> {
            Endpoint(&'static str, &'t Expr),
            Service(&'t Word, &'t Word),
            Port(&'t PortMapping),
            Proxies(u32, Option<&'t Expr>),
        }
        let mut members = Vec::new();
        members.extend(gateway.pods.iter().map(|pods| (pods.span.start, Member::Endpoint("pods", pods))));
        members
            .extend(gateway.account.iter().map(|account| (account.span.start, Member::Endpoint("account", account))));
        let service = gateway.service.iter();
        members.extend(service.map(|(namespace, name)| (namespace.span.start, Member::Service(namespace, name))));
        members.extend(gateway.ports.iter().map(|port| (port.span.start, Member::Port(port))));
        let from = gateway.proxies_from.as_ref();
        members.extend(gateway.proxies.iter().map(|&(count, span)| (span.start, Member::Proxies(count, from))));
        members.sort_by_key(|(start, _)| *start);
        self.block(&members, |printer, (_, member)| match member {
            Member::Endpoint(keyword, expr) => {
                printer.keyword(keyword);
                printer.expr(expr);
            }
            Member::Service(namespace, name) => {
                printer.keyword("service");
                printer.word(namespace);
                printer.token("/");
                printer.word(name);
            }
            Member::Port(port) => printer.port_mapping(port),
            Member::Proxies(count, from) => {
                printer.keyword("proxies");
                printer.run(u8::is_ascii_digit, &count.to_string());
                if let Some(from) = from {
                    printer.break_before("from");
                    printer.expr(from);
                }
            }
        });
    }

    fn template(&mut self, template: &Template) {
        self.keyword("template");
        self.ident(&template.name);
        self.gap(Spacing::Tight);
        self.list(("(", ")"), Padding::Nothing, &template.parameters, |printer, parameter| {
            printer.ident(&parameter.name);
            printer.gap(Spacing::Tight);
            printer.keyword(":");
            printer.ident(&parameter.kind);
        });
        self.gap(Spacing::Space);
        self.body(&template.body, Self::item);
    }

    fn apply(&mut self, apply: &Apply) {
        self.keyword("apply");
        self.ident(&apply.template);
        self.gap(Spacing::Tight);
        self.list(("(", ")"), Padding::Nothing, &apply.arguments, |printer, argument| match argument {
            Argument::Endpoint(expr) => printer.expr(expr),
            Argument::Port(port) => printer.port(port),
            Argument::String(word) => printer.word(word),
            Argument::Each(_, labels) => {
                printer.token("each");
                printer.gap(Spacing::Space);
                printer.labels(labels);
            }
        });
    }

    fn test(&mut self, test: &Test) {
        self.keyword("test");
        self.word(&test.name);
        self.gap(Spacing::Space);
        self.body(&test.claims, |printer, claim| {
            printer.begin();
            printer.claim(claim, ["allow", "deny"]);
            printer.end();
        });
    }

    /// Writes a claim, whose kind is one of two words: always, never.
    fn claim(&mut self, claim: &Claim, [always, never]: [&str; 2]) {
        self.layout.open(Group::Loose);
        self.keyword(match claim.kind {
            ClaimKind::Always => always,
            ClaimKind::Never => never,
        });
        self.expr(&claim.source);
        self.break_before("->");
        self.expr(&claim.destination);
        self.clauses(&claim.clauses);
        self.layout.close();
    }

    fn rule(&mut self, rule: &Rule) {
        self.layout.open(Group::Loose);
        self.keyword(match rule.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        });
        self.direction(rule.direction.map(|(direction, _)| direction));
        self.expr(&rule.source);
        self.break_before(match rule.arrow {
            Arrow::To => "->",
            Arrow::Both => "<->",
        });
        self.expr(&rule.destination);
        self.clauses(&rule.clauses);
        self.layout.close();
    }

    fn direction(&mut self, direction: Option<Direction>) {
        match direction {
            Some(Direction::Egress) => self.keyword("egress"),
            Some(Direction::Ingress) => self.keyword("ingress"),
            None => {}
        }
    }

    /// Writes the clauses, each on its own line where the rule does not fit on one or the author began a line with the
    /// first.
    fn clauses(&mut self, clauses: &[Clause]) {
        if !clauses.is_empty() {
            self.keep_break();
        }
        self.end();
        self.begin();
        self.layout.indent();
        for clause in clauses {
            self.gap(Spacing::Line(1));
            self.begin();
            self.clause(&clause.kind);
            self.end();
        }
        self.layout.dedent();
    }

    /// Writes ` at "public.host", …`.
    fn public_hosts(&mut self, hosts: &[Text]) {
        if !hosts.is_empty() {
            self.gap(Spacing::Space);
            self.keyword("at");
            self.values(hosts, Self::value);
        }
    }

    fn clause(&mut self, clause: &ClauseKind) {
        if let ClauseKind::Via { gateway, at } = clause {
            self.keyword("via");
            self.ident(gateway);
            self.public_hosts(at);
            return;
        }
        self.keyword("where");
        match clause {
            ClauseKind::Method(methods) => {
                self.keyword("method");
                self.values(methods, Self::ident);
            }
            ClauseKind::Path { paths, except } => {
                self.keyword("path");
                self.values(paths, Self::value);
                if !except.is_empty() {
                    self.gap(Spacing::Space);
                    self.keyword("except");
                    self.values(except, Self::value);
                }
            }
            ClauseKind::Header { name, values } => {
                self.keyword("header");
                self.word(name);
                self.gap(Spacing::Space);
                self.values(values, Self::value);
            }
            ClauseKind::Host(hosts) => {
                self.keyword("host");
                self.values(hosts, Self::value);
            }
            ClauseKind::Jwt(jwt) => {
                self.keyword("jwt");
                self.jwt(jwt);
            }
            ClauseKind::Via { .. } => {}
        }
    }

    fn jwt(&mut self, jwt: &JwtClause) {
        self.layout.open(Group::Loose);
        self.ident(&jwt.issuer);
        self.layout.indent();
        if !jwt.subjects.is_empty() {
            self.gap(Spacing::Line(1));
            self.keyword("subject");
            self.values(&jwt.subjects, Self::value);
        }
        jwt.claims.iter().for_each(|claim| self.jwt_claim(claim));
        self.layout.dedent();
        self.layout.close();
    }

    fn jwt_claim(&mut self, (name, values): &(Word, Vec<Text>)) {
        self.gap(Spacing::Line(1));
        self.keyword("claim");
        self.word(name);
        self.gap(Spacing::Space);
        self.keyword("=");
        self.values(values, Self::value);
    }
}

//! Endpoints, labels, ports, addresses and the words that they are made of.

use std::net::IpAddr;

use super::layout::Group;
use super::printer::{Padding, Printer, Spacing};
use crate::syntax::tree::*;

impl Printer<'_> {
    pub(super) fn ident(&mut self, ident: &Ident) {
        self.atom(ident.span.end as usize, &ident.text);
    }

    pub(super) fn word(&mut self, word: &Word) {
        if word.quoted {
            self.string(word.span.end as usize);
        } else {
            self.atom(word.span.end as usize, &word.text);
        }
    }

    pub(super) fn value(&mut self, text: &Text) {
        match text {
            Text::Literal(word) => self.word(word),
            Text::Parameter(ident) => self.ident(ident),
        }
    }

    pub(super) fn expr(&mut self, expr: &Expr) {
        let end = expr.ports.as_ref().map_or(expr.span.end, |ports| ports.span.start) as usize;
        match &expr.kind {
            ExprKind::Pods(namespace, pods) => self.pods(namespace, pods),
            ExprKind::Host(host) => self.host(host, end),
            ExprKind::Address(address) => {
                let bare = expr.ports.is_none() && address.prefix.is_some();
                self.atom(end, &address_text(address.ip, address.prefix, bare));
            }
            ExprKind::Name(name) => self.atom(end, name),
            ExprKind::Union(members) => self.list(("{", "}"), Padding::Spaces, members, Self::expr),
            ExprKind::Except(left, right) => {
                self.expr(left);
                self.break_before("except");
                self.expr(right);
            }
            ExprKind::Error => self.lose(),
        }
        if let Some(ports) = &expr.ports {
            self.token(":");
            if ports.braced {
                self.list(("{", "}"), Padding::Nothing, &ports.ports, Self::port);
            } else {
                ports.ports.iter().for_each(|port| self.port(port));
            }
        }
    }

    /// Writes the next token, on an indented line of its own where it and what belongs to it do not fit on this one.
    pub(super) fn break_before(&mut self, token: &str) {
        let continued = self.is_continued();
        self.layout.open(Group::Before);
        if !continued {
            self.layout.indent();
        }
        self.gap(Spacing::Line(1));
        self.token(token);
        if !continued {
            self.layout.dedent();
        }
        self.layout.close();
        self.gap(Spacing::Space);
    }

    fn pods(&mut self, namespace: &NamespacePattern, pods: &PodPattern) {
        match namespace {
            NamespacePattern::Any => self.token("*"),
            NamespacePattern::Name(word) => self.word(word),
            NamespacePattern::Labels(labels) => self.labels(labels),
            NamespacePattern::Scope(_) => self.token("."),
        }
        self.token("/");
        match pods {
            PodPattern::Any => self.token("*"),
            PodPattern::Name(word) => self.word(word),
            PodPattern::Labels(labels) => self.labels(labels),
            PodPattern::Account(word) => {
                self.token("@");
                self.word(word);
            }
        }
    }

    /// Writes a host, with the keyword `host` only if the word alone would be no host.
    fn host(&mut self, host: &HostPattern, end: usize) {
        if self.keyword_ahead("host") {
            if host.name.contains('.') {
                self.drop_token("host");
            } else {
                self.token("host");
                self.gap(Spacing::Space);
            }
        }
        let wildcard = if host.wildcard { "*." } else { "" };
        self.atom(end, &format!("{wildcard}{}", host.name));
    }

    pub(super) fn labels(&mut self, labels: &Labels) {
        self.list(("{", "}"), Padding::Nothing, &labels.requirements, Self::requirement);
    }

    fn requirement(&mut self, requirement: &LabelRequirement) {
        if requirement.test == LabelTest::DoesNotExist {
            self.token("!");
            self.gap(Spacing::Tight);
        }
        self.word(&requirement.key);
        match &requirement.test {
            LabelTest::Equals(value) => self.comparison("=", value),
            LabelTest::NotEquals(value) => self.comparison("!=", value),
            LabelTest::In(values) => self.membership("in", values),
            LabelTest::NotIn(values) => self.membership("notin", values),
            LabelTest::Exists | LabelTest::DoesNotExist => {}
        }
    }

    fn comparison(&mut self, operator: &str, value: &Word) {
        self.gap(Spacing::Tight);
        self.token(operator);
        self.gap(Spacing::Tight);
        self.word(value);
    }

    fn membership(&mut self, operator: &str, values: &[Word]) {
        self.gap(Spacing::Space);
        self.token(operator);
        self.gap(Spacing::Space);
        self.list(("(", ")"), Padding::Nothing, values, Self::word);
    }

    pub(super) fn port(&mut self, port: &Port) {
        let end = port.span.end as usize;
        let number = match &port.kind {
            PortKind::Number(number) => number.to_string(),
            PortKind::Range(first, last) => format!("{first}-{last}"),
            PortKind::Name(name) => name.to_string(),
            PortKind::Any => "*".to_owned(),
            PortKind::Error => return self.lose(),
        };
        let protocol = match port.protocol {
            None => return self.atom(end, &number),
            Some(PortProtocol::Transport(protocol)) => protocol.word(),
            Some(PortProtocol::App(protocol)) => protocol.word(),
        };
        self.atom(end, &format!("{number}/{protocol}"));
    }

    /// Writes `10.0.0.1 weight 33`, of a host's addresses.
    pub(super) fn host_address(&mut self, address: &HostAddress) {
        let prefix = address.prefixed.then(|| address.net.prefix_len());
        let text = address_text(address.net.addr(), prefix, prefix.is_some());
        self.run(|byte| byte.is_ascii_hexdigit() || b".:/[]".contains(byte), &text);
        if let Some(weight) = address.weight {
            self.gap(Spacing::Space);
            self.token("weight");
            self.gap(Spacing::Space);
            self.run(u8::is_ascii_digit, &weight.to_string());
        }
    }
}

/// Returns an address as the language writes it: IPv6 in brackets unless it is `bare`.
fn address_text(ip: IpAddr, prefix: Option<u8>, bare: bool) -> String {
    let text = match prefix {
        Some(prefix) => format!("{ip}/{prefix}"),
        None => ip.to_string(),
    };
    if ip.is_ipv4() || bare { text } else { format!("[{text}]") }
}

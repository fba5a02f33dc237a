//! Hovers: the pods of an endpoint, the pods' port behind a Service's port, the definition of a name, and how well each
//! layer enforces a rule.

use super::Analysis;
use super::navigate::Symbol;
use super::nodes::{self, Node};
use super::words::{annotation, keyword};
use crate::diag::Code;
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::ports::{PortMatch, PortTest, Ports};
use crate::model::rules::Rule;
use crate::policy::endpoints;
use crate::policy::provenance::normalized;
use crate::resolve::Def;
use crate::source::{FileId, Span};
use crate::syntax::tree::{Expr, Item, ItemKind, Parameter, Port, Use};
use crate::targets::enforcement::Enforcement;

/// The text of a hover, with its span.
#[derive(Clone, Debug, PartialEq)]
pub struct Hover {
    /// The span that it is about.
    pub span: Span,
    /// Markdown.
    pub text: String,
    /// The rule, if the text leaves out how well each layer enforces it.
    pub rule: Option<Span>,
}

impl Hover {
    /// Returns the text with the table of the layers that it leaves out, or with words about that.
    pub fn with_layers(self, table: Option<String>) -> String {
        if self.rule.is_none() {
            return self.text;
        }
        let later = || "How well each layer enforces it follows when the whole policy is checked and has no errors.";
        format!("{}\n\n{}", self.text, table.unwrap_or_else(|| later().to_owned())).trim_start().to_owned()
    }
}

/// The most members, pods or names that are listed.
const MOST: usize = 12;

impl Analysis {
    /// Returns what is known about the word at an offset.
    pub fn hover(&self, file: FileId, offset: u32) -> Option<Hover> {
        if let Some((symbol, span)) = self.symbol_at(file, offset) {
            let text = match &symbol {
                Symbol::Defined(def, _) => self.about_definition(*def),
                Symbol::Parameter(template, name) => self.about_parameter(*template, name),
            };
            return text.map(|text| Hover { span, text, rule: None });
        }
        let tree = self.tree(file)?;
        let found = nodes::at(tree, offset);
        let statement = found.iter().find_map(|node| match node {
            Node::Item(item) => Some(*item),
            _ => None,
        });
        let text = found.iter().rev().find_map(|node| {
            let text = match node {
                Node::Port(expr, port) => self.about_port(expr, port),
                Node::Endpoint(expr) => self.meaning(expr).map(|endpoint| self.about_endpoint(&endpoint)),
                Node::Namespace(word) if !self.is_in_endpoint(&found) => self.about_namespace(&word.text),
                Node::Path(import) => self.about_module(file, import),
                Node::Code(code) => {
                    Code::parse(&code.text).map(|code| format!("**{}**: {}", code.as_str(), code.title()))
                }
                Node::Annotation(one) => Some(annotation(&one.kind).to_owned()),
                Node::Claim(_) | Node::Item(_) => None,
                _ => None,
            };
            text.map(|text| Hover { span: node.span(), text, rule: None })
        });
        text.or_else(|| self.about_word(statement, file, offset))
    }

    fn is_in_endpoint(&self, found: &[Node<'_>]) -> bool {
        found.iter().any(|node| matches!(node, Node::Endpoint(_)))
    }

    fn about_definition(&self, def: Def) -> Option<String> {
        let item = self.names()?.item(def);
        let mut text = match &item.kind {
            ItemKind::Template(template) => fenced(&format!("template {}", super::signature::label(template).0)),
            _ => fenced(&self.statement(item)),
        };
        if let Some(doc) = &item.doc {
            text.push_str(&format!("\n{doc}\n"));
        }
        if let Some(endpoint) = self.endpoint_of(item) {
            text.push_str(&format!("\n{}", self.about_endpoint(&endpoint)));
        }
        Some(text)
    }

    /// Returns the members of the endpoint that a name stands for, as a policy file sees it.
    fn endpoint_of(&self, item: &Item) -> Option<std::sync::Arc<Endpoint>> {
        use crate::syntax::tree::ExprKind;
        let name = crate::resolve::defined(&item.kind)?;
        if !matches!(item.kind, ItemKind::Let(_) | ItemKind::Gateway(_)) {
            return None;
        }
        self.meaning(&Expr { span: name.span, kind: ExprKind::Name(name.text.clone()), ports: None })
    }

    fn about_parameter(&self, template: Span, name: &str) -> Option<String> {
        let item = self.tree(template.file)?.items.iter().find(|item| item.span == template)?;
        let ItemKind::Template(template) = &item.kind else { return None };
        let Parameter { name, kind } = template.parameters.iter().find(|one| one.name.text == name)?;
        Some(format!("{}\na parameter of `{}`\n", fenced(&format!("{}: {}", name.text, kind.text)), template.name.text))
    }

    fn about_namespace(&self, name: &str) -> Option<String> {
        let namespace = self.inventory().namespaces.get(name)?;
        let labels: Vec<String> = namespace.labels.iter().map(|(key, value)| format!("`{key}={value}`")).collect();
        let workloads = self.inventory().workloads_in(name).iter().filter(|one| !one.owned).count();
        Some(format!("namespace **{name}**: {}\n\n{}", counted(workloads, "workload"), labels.join(", ")))
    }

    fn about_module(&self, file: FileId, import: &Use) -> Option<String> {
        let used = self.module(self.used_file(file, import)?)?;
        let names = self.names()?;
        let exports = names.exports(used);
        let mut lines = vec![format!("{} of this module:\n", counted(exports.len(), "name"))];
        for (name, def) in exports.iter().take(MOST) {
            let doc = names.item(*def).doc.as_ref().and_then(|doc| doc.lines().next().map(str::to_owned));
            lines.push(format!("- `{name}`{}", doc.map(|doc| format!(": {doc}")).unwrap_or_default()));
        }
        lines.extend(more(exports.len()));
        Some(lines.join("\n"))
    }

    /// Returns the members of an endpoint with the known facts about each.
    pub(super) fn about_endpoint(&self, endpoint: &Endpoint) -> String {
        let mut lines: Vec<String> = Vec::new();
        for member in endpoint.members.iter().take(MOST) {
            let alone = Endpoint { members: std::iter::once(member.clone()).collect() };
            lines.push(format!("- `{}`{}", endpoints::destination(&alone), self.about_member(member)));
        }
        lines.extend(more(endpoint.members.len()));
        lines.join("\n")
    }

    fn about_member(&self, member: &Member) -> String {
        let mut text = match &member.what {
            What::Pods(pods) => {
                let selected = self.inventory().select(&pods.selector);
                let mut names: Vec<String> =
                    selected.iter().map(|one| format!("{} {}/{}", one.kind.word(), one.namespace, one.name)).collect();
                names.dedup();
                match (names.len(), self.inventory().given) {
                    (0, true) => ": no known pods".to_owned(),
                    (0, false) => ": pods, of which no inventory tells".to_owned(),
                    (count, _) => {
                        let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
                        let rest = if count > MOST { format!(" and {} more", count - MOST) } else { String::new() };
                        format!(": {} ({shown}{rest})", counted(count, "workload"))
                    }
                }
            }
            What::Addresses(set) => format!(": {}", size(set)),
            What::Host(host) if host.at.is_empty() => ": a host, at some public address".to_owned(),
            What::Host(host) => {
                let at: Vec<String> = host.at.iter().map(|one| one.net.to_string()).collect();
                format!(": a host, at {}", at.join(", "))
            }
        };
        let translated: Vec<String> = member.ports.entries().iter().filter_map(translation).collect();
        if !translated.is_empty() {
            text.push_str(&format!("; {}", translated.join(", ")));
        }
        text
    }

    fn about_port(&self, expr: &Expr, port: &Port) -> Option<String> {
        let alone = Expr {
            ports: expr
                .ports
                .as_ref()
                .map(|spec| crate::syntax::tree::PortSpec { ports: vec![port.clone()], ..spec.clone() }),
            ..expr.clone()
        };
        let endpoint = self.meaning(&alone)?;
        let mut said: Vec<String> = Vec::new();
        for member in &endpoint.members {
            let Ports::Some(entries) = &member.ports else { continue };
            for entry in entries {
                let read = entry.app.map(|app| format!(", read as {}", app.word())).unwrap_or_default();
                let what = match translation(entry) {
                    Some(translated) => format!("{translated}{read}"),
                    None => format!("port {} on {}{read}", entry.port, entry.protocol.word()),
                };
                if !said.contains(&what) {
                    said.push(what);
                }
            }
        }
        (!said.is_empty()).then(|| said.join("\n\n"))
    }

    /// Returns the meaning of the word at an offset in its statement, and for a rule how well each layer enforces it.
    fn about_word(&self, statement: Option<&Item>, file: FileId, offset: u32) -> Option<Hover> {
        let text = &self.sources().file(file).text;
        let span = word_at(text, file, offset)?;
        let word = &text[span.start as usize..span.end as usize];
        let mut said = keyword(word).map(str::to_owned);
        let rule = statement.filter(|_| matches!(word, "allow" | "deny" | "default" | "->" | "<->"));
        let table = rule.and_then(|item| self.enforcement_of(item.span));
        let is_rule = |item: &&Item| matches!(item.kind, ItemKind::Rule(_) | ItemKind::DefaultDeny(_));
        let rule = rule.filter(is_rule).filter(|_| table.is_none()).map(|item| item.span);
        if let Some(table) = table {
            let keyword = said.take().map(|words| format!("{words}\n\n")).unwrap_or_default();
            said = Some(format!("{keyword}{table}"));
        }
        said.map(|text| Hover { span, text, rule })
    }

    /// Returns the table of the layers for the rules of a statement, in Markdown; `None` while the layers were not
    /// asked, and for a statement that came since.
    pub(super) fn enforcement_of(&self, statement: Span) -> Option<String> {
        if self.is_part(statement.file) {
            return None;
        }
        let (policy, lowering) = (self.policy()?, self.known_lowering()?);
        let of = |span: Span| statement.contains(span);
        let wanted = |rule: &Rule| of(rule.origin.span) || rule.origin.applied().iter().copied().any(of);
        let table: Enforcement<'_> = lowering.enforcement_of(policy, &wanted);
        (!table.rows.is_empty()).then(|| table.markdown(self.sources()))
    }

    fn statement(&self, item: &Item) -> String {
        let from = item.annotations.last().map_or(item.span.start, |last| last.span.end);
        normalized(self.sources(), Span { start: from, ..item.span }).trim().to_owned()
    }
}

/// Returns a port of a Service with the pod's port, or a port of a host with the port to which the sidecar opens TLS.
pub(super) fn translation(entry: &PortMatch) -> Option<String> {
    let written = entry.service_port?;
    match &entry.port {
        PortTest::Range(first, last) if first == last && *first == written => None,
        port => Some(format!("port {written} leads to {port} on {}", entry.protocol.word())),
    }
}

/// Returns the number of addresses of a set, in words.
pub(super) fn size(set: &crate::model::addresses::AddressSet) -> String {
    let mut counts = [0u128; 2];
    for block in &set.blocks {
        let of = |net: &ipnet::IpNet| {
            1u128.checked_shl(u32::from(net.max_prefix_len() - net.prefix_len())).unwrap_or(u128::MAX)
        };
        let taken: u128 = block.except.iter().map(of).fold(0, u128::saturating_add);
        let family = usize::from(block.net.addr().is_ipv6());
        counts[family] = counts[family].saturating_add(of(&block.net).saturating_sub(taken));
    }
    let words = |count: u128, family: &str| match count {
        0 => None,
        1 => Some(format!("1 {family} address")),
        2..=999_999 => Some(format!("{count} {family} addresses")),
        _ => Some(format!("about 2^{} {family} addresses", 127 - count.leading_zeros())),
    };
    let both: Vec<String> = [words(counts[0], "IPv4"), words(counts[1], "IPv6")].into_iter().flatten().collect();
    if both.is_empty() { "no address".to_owned() } else { both.join(", ") }
}

/// Returns a number with a noun, in the singular or plural.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn more(count: usize) -> Option<String> {
    (count > MOST).then(|| format!("- and {} more", count - MOST))
}

fn fenced(code: &str) -> String {
    format!("```netpol\n{code}\n```\n")
}

/// Returns the span of the word, or of the arrow, that contains or touches an offset.
fn word_at(text: &str, file: FileId, offset: u32) -> Option<Span> {
    let of_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let of_arrow = |c: char| matches!(c, '<' | '-' | '>');
    let (before, after) = (text.get(..offset as usize)?, text.get(offset as usize..)?);
    let place = |inside: &dyn Fn(char) -> bool| {
        let start = before.len() - before.chars().rev().take_while(|c| inside(*c)).count();
        let end = before.len() + after.chars().take_while(|c| inside(*c)).count();
        (start < end).then(|| Span::new(file, start, end))
    };
    let arrow = place(&of_arrow).filter(|span| matches!(&text[span.start as usize..span.end as usize], "->" | "<->"));
    arrow.or_else(|| place(&of_word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::addresses::AddressSet;

    #[test]
    fn sizes_are_counted_by_family() {
        let set = |nets: &[&str]| AddressSet::of(nets.iter().map(|net| net.parse().unwrap()));
        assert_eq!(size(&set(&["203.0.113.7/32"])), "1 IPv4 address");
        assert_eq!(size(&set(&["203.0.113.0/24", "::1/128"])), "256 IPv4 addresses, 1 IPv6 address");
        assert_eq!(size(&set(&["10.0.0.0/8"]).subtract(&set(&["10.128.0.0/9"]))), "about 2^23 IPv4 addresses");
        assert_eq!(size(&set(&["::/0"])), "about 2^127 IPv6 addresses");
        assert_eq!(size(&set(&[])), "no address");
    }
}

//! From objects to YAML, with names and comments.
//!
//! ```netpol
//! allow egress garden/{app in (web, api)} -> db/*
//! ```
//!
//! An entry without ports is for all of them, and one value of a label reads better than a list of one:
//!
//! ```yaml
//! podSelector:
//! matchExpressions:
//! - { key: app, operator: In, values: [api, web] }
//! - to:
//! matchLabels:
//! kubernetes.io/metadata.name: db
//! ```

use std::borrow::Cow;
use std::cell::OnceCell;

use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::model::{Cause, Entry, Object, Peer, Provenance, Spec};
use super::view::View;
use crate::model::addresses::Block;
use crate::model::endpoint::What;
use crate::model::labels::{NAMESPACE_NAME, Requirements, Test};
use crate::model::port_list::{PortEntry, PortList};
use crate::model::ports::PortTest;
use crate::model::rules::{Direction, Origin, Rule, RuleId};
use crate::policy::provenance::{Provenance as Quoted, files, is_in, sentence_about};
use crate::policy::{Grant, GrantReason, Policy};
use crate::source::Sources;
use crate::targets;
use crate::targets::names::{Head, Limit, Taken, Words, identity};
use crate::targets::yaml::Writer;

const KIND: &str = "NetworkPolicy";

/// The most rules of one entry that are named above it.
const MOST_NAMED: usize = 8;

/// Writes objects, and returns them sorted by namespace and name.
pub(super) fn write<'p, 'a: 'p>(
    view: View<'_>,
    sources: &Sources,
    objects: impl Iterator<Item = Object<'p, 'a>>,
) -> Vec<targets::Object> {
    let mut taken = Taken::of(&view.policy.settings);
    let mut written: Vec<targets::Object> = objects.map(|object| one(view, sources, &object, &mut taken)).collect();
    written.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    written
}

fn one(view: View<'_>, sources: &Sources, object: &Object<'_, '_>, taken: &mut Taken) -> targets::Object {
    let Spec { subject, direction, number, .. } = &object.spec;
    let end = match number {
        0 => Cow::Borrowed(direction.word()),
        _ => Cow::Owned(format!("{}-{}", direction.word(), number + 1)),
    };
    let words = Words::of_labels(&subject.labels);
    let name = taken.name(subject.namespace, &words, &end, &identity(&subject.labels), Limit::Subdomain);
    let origins = origins(view.policy, &object.provenance);
    let quoted = Quoted::of(sources, view.policy.settings.lines, subject.namespace, origins.iter().copied());
    let yaml = yaml(view, sources, object, &name, &quoted);
    let (namespace, files) = (subject.namespace.to_string(), files(origins));
    targets::Object { namespace, kind: KIND, name, yaml, patch: false, files }
}

/// Returns the origins of the rules that an object comes from.
fn origins<'a>(policy: &'a Policy, provenance: &Provenance<'_>) -> Vec<&'a Origin> {
    let mut rules: Vec<RuleId> = provenance.isolated_by.to_vec();
    for cause in provenance.entries.iter().flatten() {
        match cause {
            Cause::Rule(rule) => rules.push(*rule),
            Cause::Rest(list) => rules.extend(list.iter()),
            Cause::Grant(_) => {}
        }
    }
    rules.sort_unstable();
    rules.dedup();
    rules.into_iter().filter_map(|rule| policy.rule(rule)).map(|rule| &rule.origin).collect()
}

fn yaml(view: View<'_>, sources: &Sources, object: &Object<'_, '_>, name: &str, provenance: &Quoted) -> String {
    let Spec { subject, direction, entries, .. } = &object.spec;
    let mut yaml = Writer::with_capacity(512 + 256 * entries.len());
    let head = Head {
        api_version: "networking.k8s.io/v1",
        kind: KIND,
        name,
        namespace: subject.namespace,
        part_of: view.policy.settings.name.as_deref(),
        provenance,
    };
    head.write(&mut yaml);
    let (kind, list, peers) = match direction {
        Direction::Egress => ("Egress", "egress", "to"),
        Direction::Ingress => ("Ingress", "ingress", "from"),
    };
    let policy = view.policy;
    yaml.key("spec").map(|yaml| {
        yaml.key("podSelector");
        selector(yaml, &subject.labels);
        yaml.key("policyTypes").flow_list(|yaml| {
            yaml.item().word(kind);
        });
        if entries.is_empty() {
            yaml.comment("nothing is let through");
            return;
        }
        yaml.key(list).list(|yaml| {
            for (entry, causes) in entries.iter().zip(&object.provenance.entries) {
                let of = entry.peers.as_deref().unwrap_or_default();
                let (namespace, words) = (subject.namespace, OnceCell::new());
                comments(yaml, &About { policy, sources, namespace, peers: of, words }, causes);
                yaml.item();
                if entry.peers.is_none() && *entry.ports == PortList::All {
                    yaml.flow_map(|_| ()).note("everything");
                    continue;
                }
                yaml.map(|yaml| rule(yaml, peers, entry));
            }
        });
    });
    yaml.finish()
}

fn rule(yaml: &mut Writer, key: &'static str, entry: &Entry<'_, '_>) {
    if let Some(peers) = &entry.peers {
        yaml.key(key).list(|yaml| {
            for peer in peers.iter() {
                yaml.item().map(|yaml| match peer {
                    Peer::Pods { namespace, labels } => {
                        yaml.key("namespaceSelector");
                        selector(yaml, namespace);
                        yaml.key("podSelector");
                        selector(yaml, labels);
                    }
                    Peer::Block(block) => ip_block(yaml, block),
                });
            }
        });
    }
    if let PortList::Some(ports) = &*entry.ports {
        yaml.key("ports").list(|yaml| {
            for port in ports.as_slice() {
                yaml.item().flow_map(|yaml| port_entry(yaml, port));
            }
        });
    }
}

fn ip_block(yaml: &mut Writer, block: &Block) {
    yaml.key("ipBlock").map(|yaml| {
        yaml.field("cidr", &block.net.to_string());
        if !block.except.is_empty() {
            yaml.key("except").list(|yaml| {
                for except in &block.except {
                    yaml.item().str(&except.to_string());
                }
            });
        }
    });
}

fn port_entry(yaml: &mut Writer, port: &PortEntry) {
    yaml.key("protocol").word(port.transport.word());
    match &port.port {
        &PortTest::EVERY => {}
        PortTest::Range(first, last) => {
            yaml.key("port").int(u32::from(*first));
            if last > first {
                yaml.key("endPort").int(u32::from(*last));
            }
        }
        PortTest::Named(name) => {
            yaml.field("port", name);
        }
    }
}

/// Writes a label selector; one without requirements is `{}`, which selects all.
fn selector(yaml: &mut Writer, requirements: &Requirements) {
    if requirements.is_any() {
        yaml.flow_map(|_| ());
        return;
    }
    let single = |test: &Test| matches!(test, Test::In(values) if values.len() == 1);
    let (labels, expressions): (Vec<_>, Vec<_>) = requirements.list().iter().partition(|one| single(&one.test));
    yaml.map(|yaml| {
        if !labels.is_empty() {
            yaml.key("matchLabels").map(|yaml| {
                for requirement in labels {
                    if let Test::In(values) = &requirement.test {
                        for value in values {
                            yaml.any_key(&requirement.key).str(value);
                        }
                    }
                }
            });
        }
        if !expressions.is_empty() {
            yaml.key("matchExpressions").list(|yaml| {
                for requirement in expressions {
                    yaml.item().flow_map(|yaml| {
                        yaml.field("key", &requirement.key);
                        let (operator, values) = match &requirement.test {
                            Test::In(values) => ("In", values.as_slice()),
                            Test::NotIn(values) => ("NotIn", values.as_slice()),
                            Test::Exists => ("Exists", &[][..]),
                            Test::DoesNotExist => ("DoesNotExist", &[][..]),
                        };
                        yaml.key("operator").word(operator);
                        if !values.is_empty() {
                            yaml.key("values").flow_list(|yaml| {
                                for value in values {
                                    yaml.item().str(value);
                                }
                            });
                        }
                    });
                }
            });
        }
    });
}

/// The policy whose rules are quoted above an entry, in an object of a namespace.
struct About<'a> {
    policy: &'a Policy,
    sources: &'a Sources,
    namespace: &'a str,
    peers: &'a [Peer<'a>],
    /// The words of the peers, made for the first long rule.
    words: OnceCell<PeerWords<'a>>,
}

impl About<'_> {
    fn sentence(&self, rule: &Rule) -> String {
        let words = || self.words.get_or_init(|| PeerWords::of(self.peers));
        let meant = |member: &str| is_in(member, self.namespace) || words().begin(member);
        sentence_about(self.sources, self.policy.settings.lines, &meant, &rule.origin)
    }
}

/// The words with which a member of a union begins if it is about one of some peers: `shop` of `shop/web:80`, and
/// `10.0.0.0/8` of `10.0.0.0/8:443`.
struct PeerWords<'a> {
    namespaces: FxHashSet<&'a str>,
    nets: FxHashSet<String>,
    /// The length of the longest of `nets`.
    longest: usize,
}

impl<'a> PeerWords<'a> {
    fn of(peers: &'a [Peer<'a>]) -> PeerWords<'a> {
        let (mut namespaces, mut nets) = (FxHashSet::default(), FxHashSet::default());
        for peer in peers {
            match peer {
                Peer::Pods { namespace, .. } => namespaces.extend(namespace.only(NAMESPACE_NAME).map(SmolStr::as_str)),
                Peer::Block(block) => {
                    let net = block.net.to_string();
                    nets.insert(net.strip_suffix("/32").map(str::to_owned).unwrap_or(net));
                }
            }
        }
        let longest = nets.iter().map(String::len).max().unwrap_or_default();
        PeerWords { namespaces, nets, longest }
    }

    fn begin(&self, member: &str) -> bool {
        let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        let ends = (1..=self.longest.min(member.len())).filter_map(|end| member.split_at_checked(end));
        member.split_once('/').is_some_and(|(name, _)| self.namespaces.contains(name))
            || ends.into_iter().any(|(net, rest)| !goes_on(rest) && self.nets.contains(net))
    }
}

/// Writes the causes of an entry above it.
fn comments(yaml: &mut Writer, about: &About<'_>, causes: &[&Cause]) {
    let policy = about.policy;
    if let [Cause::Rule(at)] = causes
        && let Some(rule) = policy.rule(*at)
    {
        rule_comment(yaml, about, rule);
        return;
    }
    let mut granted: Vec<String> = Vec::new();
    for cause in causes.iter().take(MOST_NAMED) {
        match cause {
            Cause::Rule(at) => {
                if let Some(rule) = policy.rule(*at) {
                    rule_comment(yaml, about, rule);
                }
            }
            Cause::Grant(at) => {
                let words = policy.grant(*at).map(|grant| grant_words(about, grant));
                if let Some(words) = words.filter(|words| !granted.contains(words)) {
                    yaml.comment(&words);
                    granted.push(words);
                }
            }
            Cause::Rest(rules) => {
                yaml.comment("nothing isolates these pods: everything but what is denied by");
                for rule in rules.iter().take(MOST_NAMED).filter_map(|rule| policy.rule(*rule)) {
                    yaml.comment(&about.sentence(rule));
                }
                more(yaml, rules.len());
            }
        }
    }
    more(yaml, causes.len());
}

fn more(yaml: &mut Writer, all: usize) {
    if all > MOST_NAMED {
        yaml.comment(&format!("and {} more", all - MOST_NAMED));
    }
}

fn rule_comment(yaml: &mut Writer, about: &About<'_>, rule: &Rule) {
    if let Some(doc) = rule.origin.doc() {
        yaml.comment(doc);
    }
    yaml.comment(&about.sentence(rule));
    if rule.via.is_some() {
        return;
    }
    for member in &rule.destination.members {
        if let What::Host(host) = &member.what {
            let words = if host.at.is_empty() { "is somewhere in the internet" } else { "is at these addresses" };
            yaml.comment(&format!("{} {words}; NetworkPolicy knows no names", host.name));
        }
    }
}

fn grant_words(about: &About<'_>, grant: &Grant) -> String {
    let rules = || grant.because.iter().filter_map(|rule| about.policy.rule(*rule));
    let first = || rules().map(|rule| about.sentence(rule)).min();
    match (grant.reason, (grant.reason == GrantReason::Gateway).then(first).flatten()) {
        (GrantReason::Dns, _) => "granted: the way to the cluster's DNS, since names must resolve".to_owned(),
        (GrantReason::Istiod, _) => "granted: a sidecar's way to istiod".to_owned(),
        (GrantReason::Gateway, Some(rule)) => format!("for {rule}"),
        (GrantReason::Gateway, None) => "granted: a gateway's half of `via`".to_owned(),
        (GrantReason::Keys, _) => "granted: istiod's way to the keys of an issuer".to_owned(),
    }
}

//! Subjects as YAML: one object per subject and direction.

use std::borrow::Cow;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::model::{Cause, Peer, Peers, Scope, Side, Term};
use super::plan::{Plan, side};
use super::ports::{PortEntry, PortList, Which};
use crate::model::addresses::Block;
use crate::model::endpoint::What;
use crate::model::labels::{Requirements, Test};
use crate::model::rules::{Direction, Origin, Rule, RuleId};
use crate::policy::provenance::{Provenance, files, sentence};
use crate::policy::{Grant, GrantReason, Policy};
use crate::source::Sources;
use crate::targets::Object;
use crate::targets::names::{Head, Limit, Taken, Words, identity};
use crate::targets::yaml::Writer;

/// How many of the rules that give one entry are named above it.
const MOST_NAMED: usize = 8;

/// Returns the objects of a plan, sorted by namespace and name.
pub(super) fn emit(plan: &Plan<'_>, sources: &Sources) -> Vec<Object> {
    let policy = plan.facts.policy;
    let mut taken = Taken::of(&policy.settings);
    let mut objects = Vec::new();
    for direction in Direction::BOTH {
        for (scope, sides) in plan.scopes.iter().zip(&plan.sides) {
            let side = &sides[side(direction)];
            if !side.isolated {
                continue;
            }
            let identity = identity(&scope.labels);
            let words = Words::of_labels(&scope.labels);
            // Objects of the same pods add up, so that one that is too large can be several.
            for (at, entries) in divided(entries(side)).into_iter().enumerate() {
                let end = match at {
                    0 => Cow::Borrowed(direction.word()),
                    _ => Cow::Owned(format!("{}-{}", direction.word(), at + 1)),
                };
                let name = taken.name(scope.namespace, &words, &end, &identity, Limit::Subdomain);
                // Each of several objects isolates the pods; the first names the rules that want it.
                let isolated_by = if at == 0 { side.isolated_by.as_slice() } else { &[] };
                let origins = origins(policy, isolated_by, &entries);
                let provenance = Provenance::of(sources, policy.settings.lines, origins.iter().copied());
                let yaml = object(policy, sources, scope, direction, &name, &provenance, &entries);
                let files = files(origins);
                let namespace = scope.namespace.to_string();
                objects.push(Object { namespace, kind: "NetworkPolicy", name, yaml, patch: false, files });
            }
        }
    }
    objects.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    objects
}

/// One entry of `egress` or `ingress`, with all that it is there for.
#[derive(Clone)]
struct Entry<'p, 'a> {
    /// The peers; `None` is everybody.
    peers: Option<&'p [Peer<'a>]>,
    ports: &'p PortList,
    causes: Vec<&'p Cause>,
}

/// Returns the entries of an object: what several rules say alike is said once.
fn entries<'p, 'a>(side: &'p Side<'a>) -> Vec<Entry<'p, 'a>> {
    let new =
        |term: &'p Rc<Term<'a>>| Entry { peers: listed(&term.peers), ports: &term.ports, causes: vec![&term.cause] };
    if let [term] = side.terms.as_slice() {
        return vec![new(term)];
    }
    let mut entries: Vec<Entry<'p, 'a>> = Vec::with_capacity(side.terms.len());
    let mut known: FxHashMap<(&Peers<'a>, &PortList), usize> = FxHashMap::default();
    for term in &side.terms {
        match known.entry((&*term.peers, &term.ports)) {
            std::collections::hash_map::Entry::Occupied(at) => {
                let causes = &mut entries[*at.get()].causes;
                if !causes.contains(&&term.cause) {
                    causes.push(&term.cause);
                }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(entries.len());
                entries.push(new(term));
            }
        }
    }
    entries
}

fn listed<'p, 'a>(peers: &'p Peers<'a>) -> Option<&'p [Peer<'a>]> {
    match peers {
        Peers::Everything => None,
        Peers::Some(list) => Some(list.as_slice()),
    }
}

/// Divides entries among objects that Kubernetes takes: `kubectl apply` keeps a copy of each in its annotations, which
/// have 256 KiB.
fn divided<'p, 'a>(entries: Vec<Entry<'p, 'a>>) -> Vec<Vec<Entry<'p, 'a>>> {
    const MOST: usize = 200 * 1024;
    const AROUND: usize = 1500;
    let weight =
        |entry: &Entry<'_, '_>| AROUND + entry.peers.unwrap_or_default().iter().map(peer_weight).sum::<usize>();
    let total: usize = entries.iter().map(weight).sum();
    if total <= MOST {
        return vec![entries];
    }
    let mut objects: Vec<Vec<Entry<'p, 'a>>> = vec![Vec::new()];
    let mut bytes = 0;
    let mut add = |entry: Entry<'p, 'a>| {
        let weight = weight(&entry);
        if bytes > 0 && bytes + weight > MOST {
            objects.push(Vec::new());
            bytes = 0;
        }
        bytes += weight;
        if let Some(object) = objects.last_mut() {
            object.push(entry);
        }
    };
    for entry in entries {
        let mut left = entry.peers.unwrap_or_default();
        while weight(&Entry { peers: Some(left), ..entry.clone() }) > MOST && left.len() > 1 {
            let mut fits = 0;
            let end = left.iter().position(|peer| {
                fits += peer_weight(peer);
                fits > MOST - AROUND
            });
            let (first, rest) = left.split_at(end.unwrap_or(left.len()).max(1));
            add(Entry { peers: Some(first), ..entry.clone() });
            left = rest;
        }
        add(Entry { peers: entry.peers.map(|_| left), ..entry });
    }
    objects
}

/// Returns about how many bytes of YAML a peer is.
fn peer_weight(peer: &Peer<'_>) -> usize {
    const AROUND: usize = 70;
    const REQUIREMENT: usize = 40;
    const BLOCK: usize = 60;
    let requirements = |list: &Requirements| -> usize {
        let values = |test: &Test| match test {
            Test::In(values) | Test::NotIn(values) => values.iter().map(|value| value.len() + 4).sum(),
            Test::Exists | Test::DoesNotExist => 0,
        };
        list.list().iter().map(|one| REQUIREMENT + one.key.len() + values(&one.test)).sum()
    };
    match peer {
        Peer::Pods { namespace, labels } => AROUND + requirements(namespace) + requirements(labels),
        Peer::Block(block) => AROUND + block.except.len() * BLOCK,
    }
}

/// Returns where the rules stand that an object comes from.
fn origins<'a>(policy: &'a Policy, isolated_by: &[RuleId], entries: &[Entry<'_, '_>]) -> Vec<&'a Origin> {
    let mut rules: Vec<RuleId> = isolated_by.to_vec();
    for cause in entries.iter().flat_map(|entry| &entry.causes) {
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

fn object(
    policy: &Policy,
    sources: &Sources,
    scope: &Scope<'_>,
    direction: Direction,
    name: &str,
    provenance: &Provenance,
    entries: &[Entry<'_, '_>],
) -> String {
    let mut yaml = Writer::with_capacity(512 + 256 * entries.len());
    let head = Head {
        api_version: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        name,
        namespace: scope.namespace,
        part_of: policy.settings.name.as_deref(),
        provenance,
    };
    head.write(&mut yaml);
    let (kind, list, peers) = match direction {
        Direction::Egress => ("Egress", "egress", "to"),
        Direction::Ingress => ("Ingress", "ingress", "from"),
    };
    yaml.key("spec").map(|yaml| {
        yaml.key("podSelector");
        selector(yaml, &scope.labels);
        yaml.key("policyTypes").flow_list(|yaml| {
            yaml.item().word(kind);
        });
        if entries.is_empty() {
            yaml.comment("nothing is let through");
            return;
        }
        yaml.key(list).list(|yaml| {
            for entry in entries {
                comments(yaml, policy, sources, &entry.causes);
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
    if let Some(peers) = entry.peers {
        yaml.key(key).list(|yaml| {
            for peer in peers {
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
    if let PortList::Some(ports) = entry.ports {
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
    match &port.which {
        &PortEntry::EVERY => {}
        Which::Range(first, last) => {
            yaml.key("port").int(u32::from(*first));
            if last > first {
                yaml.key("endPort").int(u32::from(*last));
            }
        }
        Which::Named(name) => {
            yaml.field("port", name);
        }
    }
}

/// Writes a label selector; one without requirements is `{}`, which selects everything.
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

/// Says above an entry why it is there.
fn comments(yaml: &mut Writer, policy: &Policy, sources: &Sources, causes: &[&Cause]) {
    if let [Cause::Rule(at)] = causes
        && let Some(rule) = policy.rule(*at)
    {
        rule_comment(yaml, policy, sources, rule);
        return;
    }
    let mut granted: Vec<String> = Vec::new();
    for cause in causes.iter().take(MOST_NAMED) {
        match cause {
            Cause::Rule(at) => {
                if let Some(rule) = policy.rule(*at) {
                    rule_comment(yaml, policy, sources, rule);
                }
            }
            Cause::Grant(at) => {
                let words = policy.grant(*at).map(|grant| grant_words(policy, sources, grant));
                if let Some(words) = words.filter(|words| !granted.contains(words)) {
                    yaml.comment(&words);
                    granted.push(words);
                }
            }
            Cause::Rest(rules) => {
                yaml.comment("nothing isolates these pods: everything but what is denied by");
                for rule in rules.iter().take(MOST_NAMED).filter_map(|rule| policy.rule(*rule)) {
                    yaml.comment(&sentence(sources, policy.settings.lines, &rule.origin));
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

fn rule_comment(yaml: &mut Writer, policy: &Policy, sources: &Sources, rule: &Rule) {
    if let Some(doc) = rule.origin.doc() {
        yaml.comment(doc);
    }
    yaml.comment(&sentence(sources, policy.settings.lines, &rule.origin));
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

fn grant_words(policy: &Policy, sources: &Sources, grant: &Grant) -> String {
    let rules = || grant.because.iter().filter_map(|rule| policy.rule(*rule));
    let first = || rules().map(|rule| sentence(sources, policy.settings.lines, &rule.origin)).min();
    match (grant.reason, (grant.reason == GrantReason::Gateway).then(first).flatten()) {
        (GrantReason::Dns, _) => "granted: the way to the cluster's DNS, since names must resolve".to_owned(),
        (GrantReason::Istiod, _) => "granted: a sidecar's way to istiod".to_owned(),
        (GrantReason::Gateway, Some(rule)) => format!("for {rule}"),
        (GrantReason::Gateway, None) => "granted: a gateway's half of `via`".to_owned(),
        (GrantReason::Keys, _) => "granted: istiod's way to the keys of an issuer".to_owned(),
    }
}

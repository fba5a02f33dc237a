//! What Kubernetes takes of one object: 256 ports of a ServiceEntry, 512 rules and 512 sources of an AuthorizationPolicy,
//! and 256 KiB of whatever `kubectl apply` is to remember. What can be said by several objects is divided; a Sidecar
//! cannot, since a pod has one.

use crate::model::rules::RuleId;
use std::collections::BTreeSet;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::diag::{Code, Diagnostic};
use crate::model::hosts::HostName;
use crate::policy::Policy;
use crate::source::Sources;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::model::{AccessRule, Egress, Operation, Source};
use crate::targets::istio::plan::egress::destinations::{Destinations, Item, MOST_PORTS, Reach};
use crate::targets::istio::plan::subjects::Place;
use crate::targets::istio::plan::subjects::effective::Statement;

/// How many rules an AuthorizationPolicy has at most, and how many sources one of them.
const MOST_RULES: usize = 512;

/// How many values one list of a source has at most, so that a list of any length can be divided.
const MOST_VALUES: usize = 1024;

/// How much of an object's YAML its lists may be. `kubectl apply` keeps a copy of the object in an annotation, and
/// annotations have 256 KiB together.
pub const MOST_BYTES: usize = 200 * 1024;

/// The ports on which rules ask for each host, by the namespace that its ServiceEntry stands in.
pub struct HostPorts {
    root: SmolStr,
    ports: FxHashMap<(SmolStr, HostName), BTreeSet<u16>>,
}

impl HostPorts {
    /// Counts the ports of what is said of the way out.
    pub fn new<'r>(
        facts: &Facts<'_>,
        statements: &[Statement<'_>],
        reaches: impl Iterator<Item = Option<&'r Reach>>,
        destinations: &Destinations<'_, '_>,
    ) -> HostPorts {
        let root = facts.policy.settings.root_namespace.as_str().into();
        let mut asked = HostPorts { root, ports: FxHashMap::default() };
        // Hardly any policy asks for a host on so many ports, whatever pods ask.
        let mut counts: FxHashMap<&HostName, usize> = FxHashMap::default();
        for host in destinations.hosts() {
            *counts.entry(&host.name).or_default() += 1;
        }
        if counts.values().all(|count| *count <= MOST_PORTS) {
            return asked;
        }
        for (statement, reach) in statements.iter().zip(reaches) {
            for &item in reach.iter().flat_map(|reach| &reach.items) {
                if let Item::Host(outside, port, _) = destinations.item(item) {
                    let key = (asked.home(statement).clone(), outside.name.clone());
                    asked.ports.entry(key).or_default().insert(*port);
                }
            }
        }
        asked
    }

    /// Returns where the entries of a rule's hosts stand. Of pods in namespaces that it does not name they may stand in
    /// several; those count in the root namespace, which counts everywhere.
    fn home<'h>(&'h self, statement: &'h Statement<'_>) -> &'h SmolStr {
        statement.selector.namespace_name().unwrap_or(&self.root)
    }

    /// Returns whether any host has so many ports that with those of the mesh's rules they may be too many.
    pub fn some_are_many(&self) -> bool {
        self.ports.values().any(|ports| ports.len() > MOST_PORTS / 2)
    }

    /// Returns why what a rule reaches cannot be said, where a host has too many ports in its one entry.
    pub fn too_many(
        &self,
        statement: &Statement<'_>,
        reach: &Reach,
        destinations: &Destinations<'_, '_>,
    ) -> Option<String> {
        let home = self.home(statement);
        let of = |namespace: &SmolStr, host: &HostName| self.ports.get(&(namespace.clone(), host.clone()));
        let full = |host: &HostName| match (of(home, host), of(&self.root, host)) {
            (Some(own), Some(mesh)) => own.union(mesh).count() > MOST_PORTS,
            (own, mesh) => own.or(mesh).is_some_and(|ports| ports.len() > MOST_PORTS),
        };
        let host = reach.items.iter().find_map(|&item| match destinations.item(item) {
            Item::Host(outside, ..) => Some(&outside.name).filter(|host| full(host)),
            _ => None,
        })?;
        Some(format!("more than {MOST_PORTS} ports of {host} for {home}/*, counted over all rules"))
    }
}

/// Divides the rules of an AuthorizationPolicy among objects that Kubernetes takes. They are joined by or, those of one
/// object as those of several, and so are the sources of a rule.
pub fn divided(rules: Vec<AccessRule>) -> Vec<Vec<AccessRule>> {
    let mut objects: Vec<Vec<AccessRule>> = vec![Vec::new()];
    let mut bytes = 0;
    for rule in rules.into_iter().flat_map(smaller) {
        let weight = weight(&rule);
        let last = objects.last().map_or(0, Vec::len);
        if last == MOST_RULES || (last > 0 && bytes + weight > MOST_BYTES) {
            objects.push(Vec::new());
            bytes = 0;
        }
        bytes += weight;
        if let Some(object) = objects.last_mut() {
            object.push(rule);
        }
    }
    objects
}

/// Divides a rule with many sources.
fn smaller(rule: AccessRule) -> Vec<AccessRule> {
    let many =
        |source: &Source| [source.blocks.len(), source.principals.len()].into_iter().any(|count| count > MOST_VALUES);
    if rule.from.len() <= MOST_RULES && !rule.from.iter().any(many) && weight(&rule) <= MOST_BYTES {
        return vec![rule];
    }
    let sources: Vec<Source> = rule.from.iter().flat_map(smaller_sources).collect();
    let mut rules = Vec::new();
    let (mut from, mut bytes): (Vec<Source>, usize) = (Vec::new(), 0);
    let fixed = weight(&AccessRule { from: Rc::default(), ..rule.clone() });
    let mut end = |from: &mut Vec<Source>| {
        if !from.is_empty() {
            rules.push(AccessRule { from: Rc::new(std::mem::take(from)), ..rule.clone() });
        }
    };
    for source in sources {
        let weight = source_weight(&source);
        if from.len() == MOST_RULES || fixed + bytes + weight > MOST_BYTES {
            end(&mut from);
            bytes = 0;
        }
        bytes += weight;
        from.push(source);
    }
    end(&mut from);
    rules
}

/// Divides a source by its longest list of values, which are joined by or.
fn smaller_sources(source: &Source) -> Vec<Source> {
    if source.blocks.len() > MOST_VALUES {
        let part = |blocks: &[_]| Source { blocks: blocks.to_vec(), ..source.clone() };
        return source.blocks.chunks(MOST_VALUES).map(part).collect();
    }
    if source.principals.len() > MOST_VALUES {
        let part = |principals: &[_]| Source { principals: principals.to_vec(), ..source.clone() };
        return source.principals.chunks(MOST_VALUES).map(part).collect();
    }
    vec![source.clone()]
}

/// Returns about how many bytes of YAML a rule is.
fn weight(rule: &AccessRule) -> usize {
    const AROUND: usize = 200;
    let when = rule.when.iter().flat_map(|one| one.values.iter().chain(&one.not_values).chain([&one.key]));
    AROUND
        + rule.from.iter().map(source_weight).sum::<usize>()
        + rule.to.as_ref().map_or(0, operation_weight)
        + texts(when)
}

fn source_weight(source: &Source) -> usize {
    const AROUND: usize = 60;
    const BLOCK: usize = 24;
    AROUND
        + texts(source.principals.iter().chain(&source.not_principals).chain(&source.request_principals))
        + texts(&source.not_namespaces)
        + (source.blocks.len() + source.not_blocks.len()) * BLOCK
}

fn operation_weight(operation: &Operation) -> usize {
    const PORT: usize = 9;
    operation.ports.len() * PORT
        + texts(operation.paths.iter().chain(&operation.hosts).chain(&operation.not_hosts))
        + texts(&operation.methods)
}

fn texts<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> usize {
    // Quotes, a comma and a space stand around each.
    list.into_iter().map(|text| text.as_ref().len() + 4).sum()
}

/// Says of a Sidecar that it is larger than Kubernetes takes.
pub fn too_large(
    policy: &Policy,
    sources: &Sources,
    place: &Place,
    rules: &[RuleId],
    egress: &[Egress],
) -> Option<Diagnostic> {
    const LISTENER: usize = 80;
    let bytes: usize = egress.iter().map(|listener| LISTENER + texts(&listener.hosts)).sum();
    if bytes <= MOST_BYTES {
        return None;
    }
    let spans: Vec<_> = rules.iter().filter_map(|rule| policy.rule(*rule)).map(|rule| rule.origin.span).collect();
    let first = *spans.iter().min()?;
    let places: Vec<String> = spans.iter().map(|span| sources.place(*span)).collect();
    let labels: Vec<String> = place.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let namespace = place.namespace.as_deref().unwrap_or("*");
    let pods = match labels.is_empty() {
        true => format!("`{namespace}/*`"),
        false => format!("`{namespace}/{{{}}}`", labels.join(", ")),
    };
    let message =
        format!("the Sidecar of {pods} would have more than {} KiB, which Kubernetes refuses", MOST_BYTES / 1024);
    Some(
        Diagnostic::new(Code::SidecarTooLarge, first, message)
            .at("what these pods may reach is too much for one object")
            .note(format!(
                "a pod has one Sidecar, so that it cannot be divided; it comes from {}",
                crate::targets::istio::judge::list_names(&places)
            ))
            .note("name networks instead of single addresses, `*.` hosts instead of single ones, and fewer ports"),
    )
}

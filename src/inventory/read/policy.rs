//! Objects that decide flows: NetworkPolicies here, those of Istio in [`mesh`].

use smol_str::SmolStr;

use super::document::Mistakes;
use super::object::Meta;
use super::scalar::Scalar;
use super::tree::At;
use super::{fields, mesh};
use crate::inventory::objects::build_of;
use crate::inventory::{Passage, Peer, Pods, PolicyKind, PolicyObject, Says};
use crate::model::addresses::Block;
use crate::model::labels::{PodSelector, Requirements};
use crate::model::ports::{PortMatch, PortTest};

/// Reads an object that decides flows; `None` if it decides nothing, or cannot be read.
pub(super) fn policy(
    kind: PolicyKind,
    meta: Meta<'_>,
    object: At<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<PolicyObject> {
    let empty = |_: &At<'_>| object.get("spec").is_none_or(At::is_null);
    let spec = match fields::mapping(object, "spec", mistakes) {
        Some(spec) => spec,
        // An Istio object may go without a `spec`.
        None if kind != PolicyKind::NetworkPolicy && empty(&object) => object,
        None => return None,
    };
    let (pods, says) = match kind {
        PolicyKind::NetworkPolicy => network(&meta.namespace, spec, mistakes)?,
        _ => mesh::says(kind, &meta, spec, mistakes)?,
    };
    let build = build_of(&meta.labels);
    let created = match meta.at.get("creationTimestamp").and_then(At::scalar) {
        Some(Scalar::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let (namespace, name, origin) = (meta.namespace, meta.name, meta.origin);
    Some(PolicyObject { kind, namespace, name, build, created, pods, says, origin })
}

fn network(namespace: &SmolStr, spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<(Pods, Says)> {
    let pods = match fields::mapping(spec, "podSelector", mistakes) {
        Some(selector) => fields::label_selector(selector, mistakes)?,
        None => Requirements::any(),
    };
    let types = fields::texts(spec, "policyTypes", mistakes);
    let mut passages = |key: &str, peers: &str, word: &str| -> Option<Vec<Passage>> {
        let rules = fields::mappings(spec, key, mistakes);
        // Without `policyTypes` it concerns ingress, and egress if it has `egress` rules.
        let speaks = match types.is_empty() {
            true => word == "Ingress" || !rules.is_empty(),
            false => types.iter().any(|kind| kind == word),
        };
        speaks.then(|| rules.into_iter().filter_map(|rule| passage(namespace, rule, peers, mistakes)).collect())
    };
    let ingress = passages("ingress", "from", "Ingress");
    let egress = passages("egress", "to", "Egress");
    Some((Pods::Labels(pods), Says::Network { ingress, egress }))
}

/// Reads a rule; `None` if none of its peers, or none of its ports, can be read: an empty list would mean all of them.
fn passage(namespace: &SmolStr, rule: At<'_>, key: &str, mistakes: &mut Mistakes<'_>) -> Option<Passage> {
    let written = fields::mappings(rule, key, mistakes);
    let everybody = written.is_empty();
    let peers: Vec<Peer> = written.into_iter().filter_map(|peer| self::peer(namespace, peer, mistakes)).collect();
    let written = fields::mappings(rule, "ports", mistakes);
    let all = written.is_empty();
    let ports: Vec<PortMatch> = written.into_iter().filter_map(|port| self::port(port, mistakes)).collect();
    (peers.is_empty() == everybody && ports.is_empty() == all).then_some(Passage { peers, ports })
}

fn peer(namespace: &SmolStr, peer: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Peer> {
    if let Some(block) = fields::mapping(peer, "ipBlock", mistakes) {
        let (net, _) = fields::text(block, "cidr", mistakes)?;
        let except = fields::list(block, "except", mistakes);
        let except = except.into_iter().filter_map(|net| fields::as_text(net, "except", mistakes)?.parse().ok());
        return Some(Peer::Block(Block { net: net.parse().ok()?, except: except.collect() }));
    }
    let mut selector = match fields::mapping(peer, "namespaceSelector", mistakes) {
        Some(labels) => PodSelector { namespace: fields::label_selector(labels, mistakes)?, ..PodSelector::any() },
        None => PodSelector::in_namespace(namespace.clone()),
    };
    if let Some(labels) = fields::mapping(peer, "podSelector", mistakes) {
        selector.labels = fields::label_selector(labels, mistakes)?;
    }
    Some(Peer::Pods(selector))
}

fn port(port: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<PortMatch> {
    let protocol = fields::protocol(port, mistakes);
    let all = PortMatch::range(1, u16::MAX, protocol);
    let Some(first) = port.get("port") else { return Some(all) };
    if let Some(Scalar::Text(name)) = first.scalar() {
        return Some(PortMatch { port: PortTest::Named(name.clone()), ..all });
    }
    let first = fields::port(first, "port", mistakes)?;
    let last = port.get("endPort").and_then(|last| fields::port(last, "endPort", mistakes)).unwrap_or(first);
    Some(PortMatch::range(first, last, protocol))
}

//! NetworkPolicies: the pods, and for each direction the passages that are let through.
//!
//! ```text
//! egress: [{ to: [{ podSelector: {} }], ports: [{ port: 80 }] }]     a passage to the pods of its own namespace on TCP 80
//! egress: [{}]                                                      a passage to everybody
//! egress: []                                                        none: without `policyTypes` not even a word on egress
//! ```
//!
//! Fields that are left out have Kubernetes' defaults (`networking/v1/types.go` and `defaults.go`).

use ipnet::IpNet;
use smol_str::SmolStr;

use super::document::Mistakes;
use super::scalar::Scalar;
use super::tree::At;
use super::{errors, fields};
use crate::inventory::{Passage, Peer, Pods, Says};
use crate::model::addresses::AddressSet;
use crate::model::labels::{PodSelector, Requirements};
use crate::model::ports::{PortMatch, PortTest};

/// Reads the `spec`; `None` if it selects no pods, or cannot be read.
pub(super) fn says(namespace: &SmolStr, spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<(Pods, Says)> {
    let pods = match fields::mapping(spec, "podSelector", mistakes) {
        Some(selector) => fields::label_selector(selector, mistakes)?,
        None => Requirements::any(),
    };
    let types = fields::list(spec, "policyTypes", mistakes);
    let types: Vec<SmolStr> = types.into_iter().filter_map(|word| policy_type(word, mistakes)).collect();
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

fn policy_type(word: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<SmolStr> {
    let text = fields::as_text(word, "policyTypes", mistakes)?;
    if !matches!(text.as_str(), "Ingress" | "Egress") {
        mistakes.push(errors::refused(word.span(), text, "policy type", "a policy type is `Ingress` or `Egress`"));
    }
    Some(text.clone())
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

/// Reads a peer; `None` if it selects nothing, or cannot be read.
fn peer(namespace: &SmolStr, peer: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Peer> {
    let pods = fields::mapping(peer, "podSelector", mistakes);
    let namespaces = fields::mapping(peer, "namespaceSelector", mistakes);
    if let Some(block) = fields::mapping(peer, "ipBlock", mistakes) {
        if pods.or(namespaces).is_some() {
            let rule = "a peer is a block of addresses, or pods, and never both";
            mistakes.push(errors::refused(peer.span(), "ipBlock", "field beside a selector", rule));
        }
        return self::block(block, mistakes);
    }
    if pods.or(namespaces).is_none() {
        let rule = "a peer has `podSelector`, `namespaceSelector` or both, or `ipBlock`";
        mistakes.push(errors::refused(peer.span(), peer.written(), "peer", rule));
        return None;
    }
    let mut selector = match namespaces {
        Some(labels) => PodSelector { namespace: fields::label_selector(labels, mistakes)?, ..PodSelector::any() },
        None => PodSelector::in_namespace(namespace.clone()),
    };
    if let Some(labels) = pods {
        selector.labels = fields::label_selector(labels, mistakes)?;
    }
    Some(Peer::Pods(selector))
}

/// Reads a block of addresses. Exceptions outside of it and bits beyond the prefix are ignored.
fn block(block: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Peer> {
    let (net, at) = fields::required(block, "cidr", "this ipBlock", mistakes)?;
    let net = self::net(net, at, mistakes);
    let mut taken = Vec::new();
    for except in fields::list(block, "except", mistakes) {
        let text = fields::as_text(except, "except", mistakes)?;
        taken.push(self::net(text, except, mistakes)?);
    }
    let left = AddressSet::of([net?]).subtract(&AddressSet::of(taken));
    left.blocks.into_iter().next().map(Peer::Block)
}

fn net(text: &SmolStr, at: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<IpNet> {
    let net = text.parse().ok();
    if net.is_none() {
        let rule = "a network is like `10.0.0.0/8` or `fd00::/8`";
        mistakes.push(errors::refused(at.span(), text, "network", rule));
    }
    net
}

fn port(port: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<PortMatch> {
    let protocol = fields::protocol(port, mistakes);
    let all = PortMatch::range(1, u16::MAX, protocol);
    let end = port.get("endPort");
    let first = port.get("port");
    let numbered = first.filter(|first| !matches!(first.scalar(), Some(Scalar::Text(_))));
    if let Some(end) = end.filter(|_| numbered.is_none()) {
        let rule = "`endPort` ends a range that the number under `port` begins";
        mistakes.push(errors::refused(end.span(), "endPort", "field without such a `port`", rule));
    }
    let Some(first) = first else { return Some(all) };
    if let Some(Scalar::Text(name)) = first.scalar() {
        let name = fields::port_name(name, first, mistakes)?;
        return Some(PortMatch { port: PortTest::Named(name), ..all });
    }
    let from = fields::port(first, "port", mistakes)?;
    let Some(end) = end else { return Some(PortMatch::range(from, from, protocol)) };
    let to = fields::port(end, "endPort", mistakes)?;
    if to < from {
        let rule = "`endPort` is not below `port`";
        mistakes.push(errors::refused(end.span(), end.written(), "end of this range", rule));
        return None;
    }
    Some(PortMatch::range(from, to, protocol))
}

/// Reports the fields of a NetworkPolicy that Kubernetes does not know.
pub(super) fn refuse_unknown_fields(object: At<'_>, mistakes: &mut Mistakes<'_>) {
    known(object, "a NetworkPolicy", &["apiVersion", "kind", "metadata", "spec", "status"], mistakes);
    let Some(spec) = object.get("spec") else { return };
    known(spec, "its `spec`", &["podSelector", "policyTypes", "ingress", "egress"], mistakes);
    let selector = |of: At<'_>, mistakes: &mut Mistakes<'_>| {
        known(of, "a selector", &["matchLabels", "matchExpressions"], mistakes);
        for expression in items(of, "matchExpressions") {
            known(expression, "a requirement", &["key", "operator", "values"], mistakes);
        }
    };
    spec.get("podSelector").into_iter().for_each(|of| selector(of, mistakes));
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in items(spec, list) {
            known(rule, list, &[peers, "ports"], mistakes);
            for port in items(rule, "ports") {
                known(port, "a port", &["port", "endPort", "protocol"], mistakes);
            }
            for peer in items(rule, peers) {
                known(peer, "a peer", &["podSelector", "namespaceSelector", "ipBlock"], mistakes);
                let selectors = [peer.get("podSelector"), peer.get("namespaceSelector")];
                selectors.into_iter().flatten().for_each(|of| selector(of, mistakes));
                let block = peer.get("ipBlock").into_iter();
                block.for_each(|block| known(block, "an ipBlock", &["cidr", "except"], mistakes));
            }
        }
    }
}

fn items<'d>(of: At<'d>, key: &str) -> impl Iterator<Item = At<'d>> {
    of.get(key).and_then(At::items).into_iter().flatten()
}

/// Reports the fields of a mapping that are not among some.
pub(super) fn known(of: At<'_>, what: &str, fields: &[&str], mistakes: &mut Mistakes<'_>) {
    for (key, _) in of.entries().into_iter().flatten() {
        if !fields.contains(&key.text.as_str()) {
            let rule = format!("{what} has {}", fields.join(", "));
            mistakes.push(errors::refused(key.span, &key.text, &format!("field of {what}"), &rule));
        }
    }
}

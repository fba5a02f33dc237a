//! NetworkPolicies, and Istio's AuthorizationPolicies, Sidecars and PeerAuthentications.

use smol_str::SmolStr;

use super::document::Mistakes;
use super::fields;
use super::object::Meta;
use super::scalar::Scalar;
use super::tree::At;
use crate::inventory::objects::build_of;
use crate::inventory::{Passage, Peer, PolicyKind, PolicyObject, Says};
use crate::model::addresses::Block;
use crate::model::labels::{Account, PodSelector, Requirements};
use crate::model::ports::{PortMatch, PortTest, Protocol};

/// Reads an object that decides about flows; `None` where it selects no pods, or what it says cannot be read.
pub(super) fn policy(
    kind: PolicyKind,
    meta: Meta<'_>,
    object: At<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<PolicyObject> {
    let empty = |_: &At<'_>| object.get("spec").is_none_or(At::is_null);
    let spec = match fields::mapping(object, "spec", mistakes) {
        Some(spec) => spec,
        // An Istio object may go without one.
        None if kind != PolicyKind::NetworkPolicy && empty(&object) => object,
        None => return None,
    };
    let (pods, says) = match kind {
        PolicyKind::NetworkPolicy => network(&meta.namespace, spec, mistakes)?,
        PolicyKind::AuthorizationPolicy => authorization(spec, mistakes)?,
        PolicyKind::Sidecar => (match_labels(spec, "workloadSelector", "labels", mistakes)?, Says::Governs),
        PolicyKind::PeerAuthentication => (match_labels(spec, "selector", "matchLabels", mistakes)?, Says::Governs),
    };
    let build = build_of(&meta.labels);
    Some(PolicyObject { kind, namespace: meta.namespace, name: meta.name, build, pods, says, origin: meta.origin })
}

fn network(namespace: &SmolStr, spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<(Requirements, Says)> {
    let pods = match fields::mapping(spec, "podSelector", mistakes) {
        Some(selector) => fields::label_selector(selector, mistakes)?,
        None => Requirements::any(),
    };
    let types: Vec<&SmolStr> = fields::list(spec, "policyTypes", mistakes)
        .into_iter()
        .filter_map(|value| fields::as_text(value, "policyTypes", mistakes))
        .collect();
    let mut passages = |key: &str, peers: &str, word: &str| -> Vec<Passage> {
        if !types.is_empty() && !types.iter().any(|kind| *kind == word) {
            return Vec::new();
        }
        let rules = fields::mappings(spec, key, mistakes);
        rules.into_iter().map(|rule| passage(namespace, rule, peers, mistakes)).collect()
    };
    let ingress = passages("ingress", "from", "Ingress");
    let egress = passages("egress", "to", "Egress");
    Some((pods, Says::Passes { ingress, egress }))
}

fn passage(namespace: &SmolStr, rule: At<'_>, key: &str, mistakes: &mut Mistakes<'_>) -> Passage {
    let peers = fields::mappings(rule, key, mistakes);
    let peers = peers.into_iter().filter_map(|peer| self::peer(namespace, peer, mistakes)).collect();
    let ports = fields::mappings(rule, "ports", mistakes);
    let ports = ports.into_iter().filter_map(|port| self::port(port, mistakes)).collect();
    Passage { peers, ports }
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

/// Returns the labels that a selector of Istio names.
fn match_labels(spec: At<'_>, key: &str, inner: &str, mistakes: &mut Mistakes<'_>) -> Option<Requirements> {
    let Some(selector) = fields::mapping(spec, key, mistakes) else { return Some(Requirements::any()) };
    let labels = fields::labels(selector, inner, mistakes);
    let list = labels.into_iter().map(|(key, value)| crate::model::labels::Requirement::is_in(key, [value]));
    Requirements::new(list)
}

fn authorization(spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<(Requirements, Says)> {
    // What is aimed at a gateway or a Service of the Gateway API selects no pods.
    if spec.get("targetRef").is_some() || spec.get("targetRefs").is_some() {
        return None;
    }
    let pods = match_labels(spec, "selector", "matchLabels", mistakes)?;
    let rules = fields::mappings(spec, "rules", mistakes);
    let passages: Vec<Passage> = rules.into_iter().map(|rule| access(rule, mistakes)).collect();
    let action = fields::text(spec, "action", mistakes).map_or("ALLOW", |(action, _)| action.as_str());
    let says = match action {
        "ALLOW" => Says::Passes { ingress: passages, egress: Vec::new() },
        "DENY" | "CUSTOM" => Says::Refuses(passages),
        _ => return None,
    };
    Some((pods, says))
}

/// Reads a rule of an AuthorizationPolicy. What it asks of a request is left aside, so that it may be read as wider.
fn access(rule: At<'_>, mistakes: &mut Mistakes<'_>) -> Passage {
    let mut passage = Passage { peers: Vec::new(), ports: Vec::new() };
    for from in fields::mappings(rule, "from", mistakes) {
        let Some(source) = fields::mapping(from, "source", mistakes) else { continue };
        let mut texts = |key: &str| -> Vec<SmolStr> {
            let values = fields::list(source, key, mistakes);
            values.into_iter().filter_map(|value| fields::as_text(value, key, mistakes).cloned()).collect()
        };
        let pods = texts("namespaces").into_iter().filter(|name| !name.contains('*'));
        let mut peers: Vec<Peer> = pods.map(|name| Peer::Pods(PodSelector::in_namespace(name))).collect();
        peers.extend(texts("principals").iter().filter_map(|principal| identity(principal)).map(Peer::Pods));
        let blocks = texts("ipBlocks").into_iter().filter_map(|block| block.parse().ok());
        peers.extend(blocks.map(|net| Peer::Block(Block { net, except: Vec::new() })));
        if peers.is_empty() {
            passage.peers.clear();
            break;
        }
        passage.peers.extend(peers);
    }
    for to in fields::mappings(rule, "to", mistakes) {
        let Some(operation) = fields::mapping(to, "operation", mistakes) else { continue };
        for value in fields::list(operation, "ports", mistakes) {
            let number = fields::as_text(value, "ports", mistakes).and_then(|text| text.parse::<u16>().ok());
            passage.ports.extend(number.map(|number| PortMatch::range(number, number, Protocol::Tcp)));
        }
    }
    passage
}

/// Returns the pods of a principal, `cluster.local/ns/garden/sa/web`.
fn identity(principal: &str) -> Option<PodSelector> {
    let mut words = principal.split('/').skip_while(|word| *word != "ns").skip(1);
    let namespace = words.next().filter(|name| !name.contains('*'))?;
    let account = words.nth(1).filter(|account| !account.contains('*'));
    let all = PodSelector::in_namespace(SmolStr::from(namespace));
    Some(match account {
        Some(account) => PodSelector { account: Account::Is(account.into()), ..all },
        None => all,
    })
}

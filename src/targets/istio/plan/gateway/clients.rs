//! Clients of gateways, known by their addresses: the gateway's Service must keep these.
//!
//! ```netpol
//! gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/https }
//! allow ingress 203.0.113.0/24 -> garden/{app=web}:80/http via edge at "garden.example"
//! ```
//!
//! ```yaml
//! kind: Service
//! metadata:
//!   name: envoy
//!   namespace: edges
//! spec:
//!   externalTrafficPolicy: Local
//! ```
//!
//! Without the patch, the node that receives a packet replaces the client's address with its own.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ipnet::IpNet;
use smol_str::SmolStr;

use crate::inventory::WorkloadKind;
use crate::model::gateways::{Gateway, GatewayPort};
use crate::model::ports::Protocol;
use crate::model::rules::{Rule, RuleId};
use crate::policy::denies_some_clients;
use crate::targets::Refuses;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{IstioGap, Note};
use crate::targets::istio::model::Source;
use crate::targets::istio::nets::prefixes;
use crate::targets::istio::plan::peers::Peer;
use crate::targets::istio::troubles::Trouble;

/// The Services that have to keep their clients' addresses, each with the rules that need it.
pub type Keeping = BTreeMap<(SmolStr, SmolStr), Vec<RuleId>>;

/// Returns the note about a rule that judges the clients of a gateway which does not see clients' addresses.
pub fn unseen(facts: &Facts<'_>, gateway: &Gateway) -> Option<Note> {
    let none = is_inside(facts, gateway) && gateway.proxies == 0;
    none.then(|| Note::narrower(Refuses::Unasked, "through a ClusterIP Service no client's address arrives"))
}

/// Returns the Services that have to keep their clients' addresses for some rules about gateways.
pub fn keeping(facts: &Facts<'_>, judged: &[(RuleId, &Gateway)]) -> (Keeping, Vec<Trouble>) {
    let mut keeping = Keeping::new();
    let mut unknown: Vec<(&SmolStr, RuleId)> = Vec::new();
    let mut unseen: Vec<(&Gateway, RuleId)> = Vec::new();
    for &(rule, gateway) in judged {
        match &gateway.service {
            _ if is_inside(facts, gateway) => {
                if gateway.proxies == 0 && !unseen.iter().any(|(have, _)| have.name == gateway.name) {
                    unseen.push((gateway, rule));
                }
            }
            Some(service) => keeping.entry(service.clone()).or_default().push(rule),
            None if unknown.iter().any(|(name, _)| **name == gateway.name) => {}
            None => unknown.push((&gateway.name, rule)),
        }
    }
    let unknown = unknown.into_iter().map(|(gateway, rule)| Trouble::GatewayService { gateway: gateway.clone(), rule });
    let unseen =
        unseen.into_iter().map(|(gateway, rule)| Trouble::ClientUnseen { gateway: Arc::new(gateway.clone()), rule });
    (keeping, unknown.chain(unseen).collect())
}

/// The workloads of gateways behind proxies, by namespace, name and kind, each with the number of proxies and the rules
/// that need it.
pub type Counting = BTreeMap<(SmolStr, SmolStr, &'static str), (u32, Vec<RuleId>)>;

/// Returns the workloads whose proxies must know the number of proxies in front of them, for some rules about gateways.
pub fn counting(facts: &Facts<'_>, judged: &[(RuleId, &Gateway)]) -> (Counting, Vec<Trouble>) {
    let mut counting = Counting::new();
    let mut unknown: Vec<(&SmolStr, Trouble)> = Vec::new();
    for &(rule, gateway) in judged.iter().filter(|(_, gateway)| gateway.proxies > 0) {
        let known = gateway.pods.iter().flat_map(|pods| facts.policy.inventory.select(pods));
        let known: Vec<_> = known.filter_map(|workload| Some((workload, kind(workload.kind)?))).collect();
        if known.is_empty() && !unknown.iter().any(|(name, _)| **name == gateway.name) {
            let trouble = Trouble::ProxiesUncounted { gateway: gateway.name.clone(), proxies: gateway.proxies, rule };
            unknown.push((&gateway.name, trouble));
        }
        for (workload, kind) in known {
            let key = (workload.namespace.clone(), workload.name.clone(), kind);
            counting.entry(key).or_insert_with(|| (gateway.proxies, Vec::new())).1.push(rule);
        }
    }
    (counting, unknown.into_iter().map(|(_, trouble)| trouble).collect())
}

/// Returns the word for a kind of workload whose pods a patch changes.
fn kind(kind: WorkloadKind) -> Option<&'static str> {
    match kind {
        WorkloadKind::Deployment => Some("Deployment"),
        WorkloadKind::DaemonSet => Some("DaemonSet"),
        WorkloadKind::StatefulSet => Some("StatefulSet"),
        _ => None,
    }
}

/// Returns the clients that a gateway believes: behind proxies with addresses, only clients that one of these proxies
/// names.
pub fn believed(gateway: &Gateway, sources: &Rc<Vec<Source>>) -> Rc<Vec<Source>> {
    if gateway.proxies_from.is_empty() || !sources.iter().any(|source| source.remote) {
        return Rc::clone(sources);
    }
    let proxies = prefixes(&gateway.proxies_from);
    let by_proxy = |source: &Source| match source.remote {
        true => Source { proxies: proxies.clone(), ..source.clone() },
        false => source.clone(),
    };
    Rc::new(sources.iter().map(by_proxy).collect())
}

/// Returns why a gateway behind proxies does not know its clients on some ports, none standing for all of them: only
/// requests name a client, and what carries none has the address of a proxy.
pub fn unnamed(gateway: &Gateway, clients: &Peer, ports: &[u16]) -> Option<String> {
    let asks = gateway.proxies > 0 && clients.sources.iter().flat_map(|all| all.iter()).any(|source| source.remote);
    let reads = |port: &GatewayPort| port.has_requests() && port.passed_through().is_empty();
    let own = gateway.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    let mut meant = own.filter(|port| ports.is_empty() || ports.contains(&port.target)).peekable();
    let unread = match meant.peek() {
        None => ports.first().copied(),
        Some(_) => meant.find(|port| !reads(port)).map(|port| port.target),
    };
    let port = unread.filter(|_| asks)?;
    let name = &gateway.name;
    Some(format!(
        "behind its proxies {name} knows a client by requests alone, and on port {port} it does not read them"
    ))
}

/// Returns the clients that a gateway behind proxies refuses: those whom a proxy names, and those who come past the
/// proxies, where it is given which addresses these have.
pub fn denied(gateway: &Gateway, sources: &Rc<Vec<Source>>) -> Rc<Vec<Source>> {
    let proxies = prefixes(&gateway.proxies_from);
    let past = |source: &Source| {
        let is_proxy = |block: &&IpNet| proxies.iter().any(|proxies| proxies.contains(*block));
        let (mut not_blocks, blocks) = (source.not_blocks.clone(), source.blocks.iter());
        let blocks: Vec<IpNet> = blocks.filter(|block| !is_proxy(block)).copied().collect();
        not_blocks.extend(proxies.iter().filter(|one| blocks.iter().any(|block| block.contains(*one))));
        not_blocks.sort();
        not_blocks.dedup();
        (!blocks.is_empty()).then(|| Source { blocks, not_blocks, remote: false, ..source.clone() })
    };
    let by_address = sources.iter().filter(|source| source.remote && !proxies.is_empty());
    Rc::new(sources.iter().cloned().chain(by_address.filter_map(past)).collect())
}

/// Returns the gap of a deny of some clients at a gateway that does not know which proxies are in front of it.
pub fn forged(gateway: &Gateway, rule: &Rule) -> Option<IstioGap> {
    let told = gateway.proxies == 0 || !gateway.proxies_from.is_empty() || !denies_some_clients(rule);
    let words = "who comes past the proxies writes the client's address himself";
    let way = format!("say where they are: `proxies {} from ADDRESSES`", gateway.proxies);
    (!told).then(|| IstioGap::mendable(words.into(), way))
}

/// Returns the gap of clients who come past the proxies in front of a gateway, which does not know the proxies: they
/// write into X-Forwarded-For what they like.
pub fn claimed(gateway: &Gateway, clients: &Peer) -> Option<IstioGap> {
    let by_header = clients.sources.iter().flat_map(|all| all.iter()).any(|source| source.remote);
    let unknown = gateway.proxies > 0 && gateway.proxies_from.is_empty();
    (unknown && by_header).then(|| IstioGap::past_proxies(gateway))
}

/// Returns whether a gateway's Service is known to be reached from inside the cluster alone.
fn is_inside(facts: &Facts<'_>, gateway: &Gateway) -> bool {
    let service = gateway.service.as_ref().and_then(|service| facts.policy.inventory.services.get(service));
    service.is_some_and(|service| service.outside == Some(false))
}

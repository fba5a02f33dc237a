//! The decisions of a layer's objects, read back, about single flows.
//!
//! ```text
//! garden/web -> evil.example:443      the NetworkPolicy lets it through, the Sidecar does not
//! ```

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::decision::Decision;
use super::sidecars::{self, Undecided};
use crate::model::addresses::AddressSet;
use crate::model::labels::NAMESPACE_NAME;
use crate::model::ports::Protocol;
use crate::model::rules::Direction;
use crate::policy::{Flow, Party, Pod, Policy, eval};
use crate::settings::Layer;
use crate::targets::{Made, PAST_SIDECAR, read_back};

/// Returns the decision of a layer's objects, as their text is, about each of some flows. A flow that they do not
/// concern passes.
pub fn decisions(policy: &Policy, made: &Made<'_>, flows: &[&Flow]) -> Vec<Decision> {
    match made.layer {
        Layer::NetworkPolicy => by_rules(policy, made, flows),
        Layer::Istio => by_sidecars(policy, made, flows),
    }
}

fn by_rules(policy: &Policy, made: &Made<'_>, flows: &[&Flow]) -> Vec<Decision> {
    let Some(&(first, _)) = made.ends.first() else { return vec![Decision::Passes; flows.len()] };
    let file = policy.rules[first.index()].origin.span.file;
    let mut rules = Vec::new();
    for text in made.texts {
        match read_back(made.layer, file, text) {
            Ok(read) => rules.extend(read),
            Err(_) => return vec![Decision::Unknown; flows.len()],
        }
    }
    let read = Policy { rules, grants: Vec::new(), ..policy.clone() };
    let pass =
        |flow: &&Flow| if eval(&read, &outside(policy, flow)).allowed() { Decision::Passes } else { Decision::Refuses };
    flows.iter().map(pass).collect()
}

/// Returns a flow to a host without known addresses as a flow to the internet.
fn outside(policy: &Policy, flow: &Flow) -> Flow {
    let destination = match &flow.destination {
        Party::Host { name, at } if *at == AddressSet::everything() => {
            Party::Host { name: name.clone(), at: policy.internet.clone() }
        }
        other => other.clone(),
    };
    Flow { destination, ..flow.clone() }
}

fn by_sidecars(policy: &Policy, made: &Made<'_>, flows: &[&Flow]) -> Vec<Decision> {
    let mut all = vec![Decision::Passes; flows.len()];
    let flows: Vec<Flow> = flows.iter().map(|flow| as_injected(policy, flow)).collect();
    for direction in Direction::BOTH {
        let mut by_namespace: BTreeMap<SmolStr, Vec<usize>> = BTreeMap::new();
        for (at, flow) in flows.iter().enumerate().filter(|(_, flow)| is_seen(policy, flow, direction)) {
            if let Some(name) = judged(flow, direction).and_then(|pod| pod.namespace_labels.get(NAMESPACE_NAME)) {
                by_namespace.entry(name.clone()).or_default().push(at);
            }
        }
        for (name, places) in by_namespace {
            let here: Vec<&Flow> = places.iter().map(|at| &flows[*at]).collect();
            let decisions = match sidecars::decisions(policy, made, direction, &name, &here) {
                Ok(decisions) => decisions,
                Err(Undecided) => vec![Decision::Unknown; here.len()],
            };
            places.iter().zip(decisions).for_each(|(at, decision)| all[*at] = all[*at].and(decision));
        }
    }
    all
}

fn judged(flow: &Flow, direction: Direction) -> Option<&Pod> {
    match if direction == Direction::Egress { &flow.source } else { &flow.destination } {
        Party::Pod(pod) => Some(pod),
        Party::Address(_) | Party::Host { .. } => None,
    }
}

/// Returns whether the proxy of the judged pod sees a flow.
fn is_seen(policy: &Policy, flow: &Flow, direction: Direction) -> bool {
    let (Some(pod), Protocol::Tcp) = (judged(flow, direction), flow.protocol) else { return false };
    let mut gateways = policy.gateways.iter().flat_map(|gateway| &gateway.pods);
    let is_gateway = gateways.any(|own| own.matches(&pod.namespace_labels, &pod.labels, &pod.account));
    match direction {
        Direction::Egress => pod.sidecar && !is_gateway,
        Direction::Ingress => {
            let past = flow.port.is_some_and(|port| PAST_SIDECAR.contains(&port));
            !past && (is_gateway || has_sidecar(policy, pod))
        }
    }
}

/// Returns a flow whose sender has a sidecar where the cluster gives it one, whatever the flow says. A request of which
/// the path is told has a method, too: one that no rule names.
fn as_injected(policy: &Policy, flow: &Flow) -> Flow {
    let source = match &flow.source {
        Party::Pod(pod) => Party::Pod(Pod { sidecar: has_sidecar(policy, pod), ..pod.clone() }),
        other => other.clone(),
    };
    let mut request = flow.request.clone();
    if request.path.is_some() || request.jwt.is_some() || !request.headers.is_empty() {
        request.method.get_or_insert(SmolStr::new_static("UNNAMED"));
    }
    Flow { source, request, ..flow.clone() }
}

/// Returns whether the cluster injects a sidecar into a pod.
fn has_sidecar(policy: &Policy, pod: &Pod) -> bool {
    let name = pod.namespace_labels.get(NAMESPACE_NAME).cloned().unwrap_or_default();
    let mut known = policy.inventory.workloads_in(&name).iter();
    let like = known.find(|one| one.labels == pod.labels && (one.account.is_empty() || one.account == pod.account));
    let made_up = || policy.made_up(&name, "", pod.labels.clone(), pod.account.clone()).sidecar;
    like.map_or_else(made_up, |one| one.sidecar)
}

//! Known pods: for rules that a layer enforces by facts about the inventory's pods, only flows between these are
//! compared.
//!
//! ```text
//! deny egress garden/* -> lab/@curl     the inventory shows app=curl on the pods of the account, and on no others
//! ```
//!
//! The layer selects the pods of `lab/@curl` by their label. For an imaginary pod with this account and another label
//! this would be wrong, so such pods do not count.

use crate::flows::{OTHER, OUTSIDE, Set, Side};
use crate::inventory::Workload;
use crate::model::endpoint::{Endpoint, What};
use crate::model::ports::PortTest;
use crate::model::rules::Direction;
use crate::policy::meaning::Meaning;
use crate::policy::{GrantReason, Policy};
use crate::targets::Made;

/// Returns whether a layer may rely on facts about known pods: their accounts, the names of their ports, their
/// sidecars.
pub(super) fn rest_on_pods(policy: &Policy, made: &Made<'_>) -> bool {
    if policy.inventory.workloads.is_empty() {
        return false;
    }
    let rules = made.ends.iter().map(|(at, _)| &policy.rules[at.index()]);
    let mut ends = rules.flat_map(|rule| [&rule.source, &rule.destination]);
    let grants = || made.grants.iter().map(|at| &policy.grants[at.index()]);
    ends.any(|end| names_facts(end))
        || grants().any(|grant| {
            grant.reason == GrantReason::Istiod || names_facts(&grant.source) || names_facts(&grant.destination)
        })
}

fn names_facts(endpoint: &Endpoint) -> bool {
    endpoint.members.iter().any(|member| {
        let account = matches!(&member.what, What::Pods(pods) if !pods.selector.account.is_any());
        account || member.ports.entries().iter().any(|port| matches!(port.port, PortTest::Named(_)))
    })
}

/// Returns the flows of a row between known pods, or between one of them and an end that is no pod.
pub(super) fn flows(policy: &Policy, meaning: &mut Meaning<'_>, direction: Direction, place: u32) -> Set {
    let (here, there) = (own(policy, meaning, direction, place), others(policy, meaning, direction));
    meaning.flows().diagrams.and(here, there)
}

/// Returns the flows of a row whose judged pod is known.
pub(super) fn own(policy: &Policy, meaning: &mut Meaning<'_>, direction: Direction, place: u32) -> Set {
    let side = if direction == Direction::Egress { Side::Source } else { Side::Destination };
    pods_at(policy, meaning, side, place)
}

/// Returns the flows of any row whose other end is a known pod, or no pod.
pub(super) fn others(policy: &Policy, meaning: &mut Meaning<'_>, direction: Direction) -> Set {
    let other = if direction == Direction::Egress { Side::Destination } else { Side::Source };
    let places: Vec<u32> = meaning.flows().space.pod_places().collect();
    let mut there = vec![(OUTSIDE, Set::ALL)];
    for place in places {
        if meaning.flows().space.namespace(place).is_some() {
            there.push((place, pods_at(policy, meaning, other, place)));
        }
    }
    let elsewhere = match policy.inventory.given {
        true => {
            let space = &meaning.flows().space;
            let unnamed = policy.inventory.workloads.iter().filter(|one| space.place(&one.namespace) == OTHER);
            let unnamed: Vec<&Workload> = unnamed.collect();
            any_of(meaning, other, unnamed.into_iter())
        }
        false => Set::ALL,
    };
    meaning.flows().by_place(false, elsewhere, there)
}

fn pods_at(policy: &Policy, meaning: &mut Meaning<'_>, side: Side, place: u32) -> Set {
    let Some(namespace) = meaning.flows().space.namespace(place).cloned() else { return Set::ALL };
    any_of(meaning, side, policy.inventory.workloads_in(&namespace).iter())
}

fn any_of<'w>(meaning: &mut Meaning<'_>, side: Side, workloads: impl Iterator<Item = &'w Workload>) -> Set {
    let workloads = workloads.filter(|workload| !workload.host_network);
    let sets = workloads.map(|workload| pod(meaning, side, workload)).collect();
    meaning.flows().diagrams.union(sets)
}

fn pod(meaning: &mut Meaning<'_>, side: Side, workload: &Workload) -> Set {
    let flows = meaning.flows();
    let account = Some(workload.account.as_str()).filter(|account| !account.is_empty());
    let like = flows.pods_like(side, &workload.labels, account);
    let fact = match side {
        Side::Source => {
            let with = flows.from_sidecar();
            if workload.sidecar { with } else { flows.diagrams.complement(with) }
        }
        Side::Destination => {
            let ports = workload.ports.iter();
            let named = ports.filter_map(|port| Some((port.name.as_deref()?, port.protocol, port.port)));
            flows.named_ports(named)
        }
    };
    flows.diagrams.and(like, fact)
}

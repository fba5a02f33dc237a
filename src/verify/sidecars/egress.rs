//! The egress of sidecars: Sidecars, ServiceEntries, and the routes through gateways, compared with the source.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::{Claims, Failed, Said, compared, other_pods, own_pods, seen, small};
use crate::flows::diagram::Diagrams;
use crate::flows::{Name, OTHER, Set, Side};
use crate::inventory::outside::Mesh;
use crate::model::addresses::AddressSet;
use crate::model::hosts::Host;
use crate::model::labels::PodSelector;
use crate::model::ports::{PortMatch, Protocol};
use crate::model::rules::{Action, Direction};
use crate::policy::meaning::Meaning;
use crate::policy::{GrantReason, Policy};
use crate::targets::istio::read::egress::{Egress, Ends, Index};
use crate::targets::{Judgement, Made, Refuses, Remarks};
use crate::verify::row::{Difference, Kind};

const OUT: Direction = Direction::Egress;

/// Returns the first difference on egress.
pub(super) fn differing(
    policy: &Policy,
    made: &Made<'_>,
    mesh: &Mesh,
    claims: &Claims<'_>,
) -> Result<Option<Difference>, Failed> {
    let index = Index::new(policy, mesh);
    compared(policy, made, (OUT, claims.many), &mut |names, said, budget| {
        differing_among(policy, claims, &Egress::new(&index, names)?, names, said, budget)
    })
}

/// Compares the pods of some namespaces, with only the statements and objects that concern them.
fn differing_among(
    policy: &Policy,
    claims: &Claims<'_>,
    egress: &Egress<'_, '_>,
    names: &[Option<SmolStr>],
    said: &Said,
    budget: u64,
) -> Result<Option<Difference>, Failed> {
    let mut meaning = Meaning::beside(policy, &said.ends, &said.grants, budget, |terms| {
        terms.judge(Side::Source);
        claims.terms(OUT, names, terms);
        egress.terms(terms);
        terms.addresses(&wildcards());
    });
    meaning.judge_ways();
    let others = other_pods(policy, &mut meaning, OUT);
    let resolver = resolver(policy, &mut meaning, said);
    let promises = Promises::new(policy, &mut meaning, egress, said);
    let mut ends = Ends::default();
    for (at, name) in names.iter().enumerate() {
        let place = name.as_ref().map_or(OTHER, |name| meaning.flows().space.place(name));
        let own = own_pods(policy, &mut meaning, OUT, place);
        let seen = seen::out(policy, &mut meaning, place);
        let d = &mut meaning.flows().diagrams;
        let within = d.and(own, others);
        let within = d.and(within, seen);
        let within = claims.compared(&mut meaning, OUT, place, within);
        let layer = egress.row(meaning.flows(), &mut ends, at, place, within)?;
        let beyond = meaning.flows().diagrams.minus(within, resolver);
        let told = at_any_address(&mut meaning, claims, said);
        let untold = meaning.flows().diagrams.minus(beyond, told);
        let excess = meaning.excess(OUT, place, layer.may, untold, &|at, end| claims.wider(at, end));
        let (kind, example) = match small(OUT, excess)? {
            Some(example) => (Kind::Wider, Some(example)),
            None if claims.shown.is_some() => continue,
            None => {
                let more = |at| claims.narrower(at, OUT, refuses_more);
                let by_address = by_address(&mut meaning);
                let within = promises.kept(&mut meaning.flows().diagrams, place, within);
                let unable = |at, end| claims.unable(at, end);
                let lost = meaning.lost(OUT, place, layer.must, within, (by_address, &more), &unable);
                match small(OUT, lost)? {
                    Some(example) => (Kind::Narrower, Some(example)),
                    None => {
                        let at = (OUT, name.as_ref(), place);
                        (Kind::Together, claims.together(&mut meaning, at, layer.may, beyond)?)
                    }
                }
            }
        };
        if let Some(example) = example {
            let rules = said.ends.iter().map(|(at, _)| *at).collect();
            return Ok(Some(Difference { kind, direction: OUT, flow: meaning.flow(&example), rules }));
        }
    }
    Ok(None)
}

/// Returns the flows that the layer is said to let through by headless Services: to any address on their ports.
fn at_any_address(meaning: &mut Meaning<'_>, claims: &Claims<'_>, said: &Said) -> Set {
    let judgements = said.ends.iter().filter_map(|end| claims.of.get(end));
    let mut ports: Vec<u16> = judgements.flat_map(|one| one.remarks().at_any_address.iter().copied()).collect();
    ports.sort_unstable();
    ports.dedup();
    let flows = meaning.flows();
    let sets = ports.into_iter().map(|port| flows.port(&PortMatch::range(port, port, Protocol::Tcp))).collect();
    flows.diagrams.union(sets)
}

/// Returns the addresses that Istio treats as every address.
fn wildcards() -> AddressSet {
    AddressSet::of([
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128)),
    ])
}

/// Returns whether the layer is judged to refuse more of a rule end than pods dialled by their own address.
fn refuses_more(judgement: &Judgement) -> bool {
    let Remarks { by_name, narrower, .. } = judgement.remarks();
    by_name.is_some() || narrower.iter().any(|one| one.flows == Refuses::Unasked)
}

/// Returns the flows to the pods of the cluster's DNS. The first port of its Service is 53/udp, so a Sidecar can only
/// import it with all its ports; the other ports of its pods are let through as well.
fn resolver(policy: &Policy, meaning: &mut Meaning<'_>, said: &Said) -> Set {
    let grants = said.grants.iter().map(|at| &policy.grants[at.index()]);
    let pods = grants.filter(|grant| grant.reason == GrantReason::Dns).flat_map(|grant| grant.destination.pods());
    let mut selectors: Vec<&PodSelector> = pods.map(|(_, pods)| &pods.selector).collect();
    selectors.dedup();
    let flows = meaning.flows();
    let sets = selectors.into_iter().map(|pods| flows.pods(Side::Destination, false, pods)).collect();
    flows.diagrams.union(sets)
}

/// Returns the flows that may be refused if the layer is judged to refuse more of a rule: to an address without a known
/// host, and to pods.
fn by_address(meaning: &mut Meaning<'_>) -> Set {
    let flows = meaning.flows();
    let nameless = flows.to_no_host();
    let outside = flows.outside(false, nameless);
    let pods = flows.any_pod(false);
    flows.diagrams.or(outside, pods)
}

/// The promised flows, which pass if a rule allows them: to pods through a Service; to gateways on the ports that rules
/// lead out through, with a host that no deny names; and to no address that Istio treats as a wildcard.
struct Promises {
    ways: Set,
    unpromised: Set,
    /// The hosts that rules lead to through a gateway of a namespace.
    by_own_gateway: FxHashMap<u32, Set>,
}

impl Promises {
    fn new(policy: &Policy, meaning: &mut Meaning<'_>, egress: &Egress<'_, '_>, said: &Said) -> Promises {
        let rules = || said.ends.iter().map(|(at, _)| &policy.rules[at.index()]);
        let denied =
            rules().filter(|rule| rule.action == Action::Deny).map(|rule| meaning.matched(rule, OUT)).collect();
        let denied = meaning.flows().diagrams.union(denied);
        let mut ways = vec![egress.by_services(meaning.flows())];
        let mut unpromised = Vec::new();
        let mut hosts_by_place: FxHashMap<u32, Vec<Set>> = FxHashMap::default();
        for rule in rules() {
            let Some(via) = &rule.via else { continue };
            let straight = meaning.matched(rule, OUT);
            let flows = meaning.flows();
            let is_denied = flows.diagrams.and(straight, denied) != Set::NONE;
            let hosts: Vec<&Host> = rule.destination.hosts().map(|(_, host)| host).collect();
            let mut asked = vec![flows.shows_no(Name::Tls)];
            if is_denied {
                asked.extend(hosts.iter().map(|host| flows.asks_for_host(Name::Tls, host)));
            }
            let asked = flows.diagrams.union(asked);
            for pods in &via.gateway.pods {
                let there = flows.pods(Side::Destination, false, pods);
                for port in via.exit_ports() {
                    let port = flows.number(port);
                    ways.push(flows.diagrams.and(there, port));
                }
                unpromised.push(flows.diagrams.and(there, asked));
                // The routes that a gateway sees are also those of the other pods in its namespace.
                if let Some(name) = pods.namespace_name() {
                    let place = flows.space.place(name);
                    let hosts = hosts.iter().map(|host| flows.to_host(host));
                    hosts_by_place.entry(place).or_default().extend(hosts);
                }
            }
        }
        let flows = meaning.flows();
        let there = flows.at(Side::Destination, &wildcards());
        unpromised.push(flows.outside(false, there));
        let d = &mut flows.diagrams;
        let by_own_gateway = hosts_by_place.into_iter().map(|(place, sets)| (place, d.union(sets))).collect();
        Promises { ways: d.union(ways), unpromised: d.union(unpromised), by_own_gateway }
    }

    /// Returns those of some flows from the pods of a namespace that are promised.
    fn kept(&self, d: &mut Diagrams, place: u32, within: Set) -> Set {
        let within = d.and(within, self.ways);
        let within = d.minus(within, self.unpromised);
        self.by_own_gateway.get(&place).map_or(within, |hosts| d.minus(within, *hosts))
    }
}

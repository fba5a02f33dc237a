//! Ports that sidecars leave out: three ports on ingress, and those of annotations. No object of Istio stops traffic
//! there.
//!
//! ```text
//! allow ingress lab/* -> garden/{app=web}:15090    a gap: the sidecar serves its metrics there, and judges nobody
//! ```

use crate::inventory::{LeftOut, Workload};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::labels::PodSelector;
use crate::model::ports::{PortMatch, PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule};
use crate::targets::istio::facts::{Facts, means};
use crate::targets::istio::findings::{IstioGap, Note};
use crate::targets::istio::words::list_names;
use crate::targets::{PAST_SIDECAR, Traffic, Traffics};

/// How a rule meets the ports that annotations leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Concerns {
    /// The rule names other ports, or other peers.
    No,
    /// The rule is for every port.
    All,
    /// The rule names ports that are left out.
    Names,
}

/// Returns the notes about a rule end whose pods' sidecars leave out some ports.
pub fn found(facts: &Facts<'_>, rule: &Rule, direction: Direction) -> Vec<Note> {
    let mut found = Vec::new();
    let past = past_sidecar(facts, rule);
    if direction == Direction::Ingress && !past.is_empty() {
        let names = Traffics::only(Traffic::PastSidecar);
        let inside = |port: &PortMatch| {
            port.numbers().is_some_and(|(first, last)| first == last && PAST_SIDECAR.contains(&first))
        };
        let words = format!("every sidecar leaves out {}", past.join(", "));
        found.push(Note::NamesLeftOut(names, gap(rule, inside, words)));
    }
    let mut words: Vec<String> = Vec::new();
    let mut named: Vec<String> = Vec::new();
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for (workload, left) in left_out(facts, rule.subject(direction), direction) {
        let concerns = concerns(facts, rule, direction, workload, left);
        let said = said(workload, left);
        if concerns == Concerns::Names {
            named.push(said.clone());
            ranges.extend(&left.ports);
        }
        if concerns != Concerns::No || rule.action != Action::Deny {
            words.push(said);
        }
    }
    if !words.is_empty() {
        found.push(Note::PodsLeaveOut(list_names(&words)));
    }
    if !named.is_empty() {
        let names = Traffics::only(Traffic::LeftOut);
        let inside = |port: &PortMatch| {
            port.numbers().is_some_and(|(first, last)| ranges.iter().any(|(from, to)| *from <= first && last <= *to))
        };
        found.push(Note::NamesLeftOut(names, gap(rule, inside, list_names(&named))));
    }
    found
}

/// Returns the callers of a rule whose annotations keep these calls from their sidecars, so that they have no identity.
pub fn plain_callers(facts: &Facts<'_>, rule: &Rule) -> Vec<String> {
    left_out(facts, &rule.source, Direction::Egress)
        .into_iter()
        .filter(|(workload, left)| concerns(facts, rule, Direction::Egress, workload, left) == Concerns::Names)
        .map(|(workload, left)| said(workload, left))
        .collect()
}

/// Returns the gap of a rule that names left-out ports, with or without others.
fn gap(rule: &Rule, inside: impl Fn(&PortMatch) -> bool, words: String) -> IstioGap {
    let mut ports = rule.destination.members.iter().flat_map(|member| member.ports.entries());
    if ports.all(|port| port.protocol != Protocol::Tcp || inside(port)) {
        IstioGap::unable(words)
    } else {
        IstioGap::wider(words)
    }
}

fn said(workload: &Workload, left: &LeftOut) -> String {
    format!("`{}` of {}/{} leaves out {}", left.annotation, workload.namespace, workload.name, left.words())
}

/// Returns the connections that annotations of known pods of an endpoint keep from their sidecars.
fn left_out<'a>(facts: &Facts<'a>, pods: &Endpoint, direction: Direction) -> Vec<(&'a Workload, &'a LeftOut)> {
    let all = &facts.policy.inventory.left_out;
    if all.ports.is_empty() && all.addresses.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<(&Workload, &LeftOut)> = Vec::new();
    for (_, pods) in pods.pods() {
        for (namespace, _) in facts.namespaces(&pods.selector).into_iter().flatten() {
            let Some(known) = facts.known(namespace) else { continue };
            for workload in known.selected(&pods.selector).filter(|workload| workload.sidecar) {
                let own = workload.left_out.iter().filter(|left| left.direction == direction);
                found.extend(own.map(|left| (workload, left)));
            }
        }
    }
    found.dedup_by_key(|(_, left)| std::ptr::from_ref::<LeftOut>(left));
    found
}

/// Returns the ports that a rule names and that every sidecar leaves out on the way in.
fn past_sidecar(facts: &Facts<'_>, rule: &Rule) -> Vec<String> {
    let mut found: Vec<u16> = Vec::new();
    for (member, pods) in rule.destination.pods() {
        for port in member.ports.entries().iter().filter(|port| is_named(port)) {
            let ranges = ranges(facts, &pods.selector, port);
            found.extend(PAST_SIDECAR.iter().filter(|at| ranges.iter().any(|(from, to)| (from..=to).contains(at))));
        }
    }
    found.sort_unstable();
    found.dedup();
    found.iter().map(u16::to_string).collect()
}

fn concerns(facts: &Facts<'_>, rule: &Rule, direction: Direction, workload: &Workload, left: &LeftOut) -> Concerns {
    if rule.action == Action::Isolate {
        return Concerns::All;
    }
    let of = |member: &Member| {
        let here = match direction {
            Direction::Ingress => match &member.what {
                What::Pods(pods) => means(&pods.selector, workload),
                _ => false,
            },
            Direction::Egress => left.to.as_ref().is_none_or(|to| may_be_at(facts, member, to)),
        };
        let ports: &[PortMatch] = match &member.ports {
            Ports::All if here && left.to.is_some() => return Concerns::Names,
            Ports::All if here => return Concerns::All,
            Ports::Some(ports) if here => ports,
            _ => return Concerns::No,
        };
        let of_port = |port: &PortMatch| match &port.port {
            _ if port.protocol != Protocol::Tcp => Concerns::No,
            PortTest::Range(..) if !is_named(port) && left.to.is_none() => Concerns::All,
            PortTest::Range(first, last) if left.has_ports((*first, *last)) => Concerns::Names,
            PortTest::Range(..) => Concerns::No,
            PortTest::Named(_) => {
                let pods = member_pods(member);
                let ranges = pods.map_or_else(Vec::new, |pods| match direction {
                    Direction::Ingress => numbers(workload, port),
                    Direction::Egress => ranges(facts, pods, port),
                });
                if ranges.iter().any(|range| left.has_ports(*range)) { Concerns::Names } else { Concerns::No }
            }
        };
        ports.iter().map(of_port).max().unwrap_or(Concerns::No)
    };
    rule.destination.members.iter().map(of).max().unwrap_or(Concerns::All)
}

fn member_pods(member: &Member) -> Option<&PodSelector> {
    match &member.what {
        What::Pods(pods) => Some(&pods.selector),
        _ => None,
    }
}

fn is_named(port: &PortMatch) -> bool {
    port.protocol == Protocol::Tcp && !port.is_every(Protocol::Tcp)
}

/// Returns the numbers that a port may have on some pods; a name that no known pod declares may have any.
fn ranges(facts: &Facts<'_>, pods: &PodSelector, port: &PortMatch) -> Vec<(u16, u16)> {
    match &port.port {
        PortTest::Range(first, last) => vec![(*first, *last)],
        PortTest::Named(name) => {
            let numbers = facts.policy.inventory.numbers_of(pods, name, port.protocol).unwrap_or_default();
            numbers.into_iter().map(|number| (number, number)).collect()
        }
    }
}

fn numbers(workload: &Workload, port: &PortMatch) -> Vec<(u16, u16)> {
    let PortTest::Named(name) = &port.port else { return Vec::new() };
    let own = workload.ports.iter().filter(|own| own.name.as_ref() == Some(name) && own.protocol == port.protocol);
    own.map(|own| (own.port, own.port)).collect()
}

/// Returns whether a member of a destination may be at some addresses.
fn may_be_at(facts: &Facts<'_>, member: &Member, to: &AddressSet) -> bool {
    match &member.what {
        What::Addresses(set) => set.overlaps(to),
        What::Host(host) if host.at.is_empty() => facts.policy.internet.overlaps(to),
        What::Host(host) => host.addresses().overlaps(to),
        // Addresses of pods are often not known; a private network that is left out may be theirs.
        What::Pods(_) => {
            let pods = &facts.policy.pod_addresses;
            if pods.is_empty() { !to.is_inside(&facts.policy.internet) } else { pods.overlaps(to) }
        }
    }
}

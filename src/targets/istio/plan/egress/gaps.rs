//! Gaps of the egress rules, found from the objects that their pods obey.
//!
//! ```text
//! deny  egress garden/{app=web} -> 203.0.113.7:443
//! allow egress garden/*         -> 10.0.0.0/8         leaves app=web open: nothing enforces the deny
//! ```

use super::ends::{Ends, NOT_ISOLATED};
use super::isolation::Isolation;
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::labels::PodSelector;
use crate::model::ports::{PortMatch, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule};
use crate::policy::{Grant, GrantReason};
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{Findings, IstioGap, Note};
use crate::targets::istio::plan::subjects::Subject;
use crate::targets::istio::plan::subjects::obeyed::Division;
use crate::targets::istio::plan::unguarded;
use crate::targets::{Level, Refuses};

const OUT: Direction = Direction::Egress;
/// The port of DNS (RFC 1035).
const DNS: u16 = 53;

/// The flows that a Sidecar which imports Services refuses: it knows the addresses of Services, but not of pods.
const BY_ADDRESS: &str = "a pod dialled by its own address, unless a headless Service gives it";

/// Returns the gaps of each rule, from the objects that its pods obey and from the pods that obey none.
pub fn gaps(facts: &Facts<'_>, ends: &Ends<'_>, division: &Division, mut isolations: Vec<Isolation>) -> Findings {
    let mut findings = Findings::default();
    // Whether some pods of an object are open, including the pods of enclosed objects.
    let mut open: Vec<bool> = isolations.iter().map(|isolation| isolation.open.is_some()).collect();
    for at in (0..division.objects.len()).rev() {
        if let Some(around) = division.objects[at].around {
            let inside = std::mem::take(&mut isolations[at].gaps);
            isolations[around].gaps.add_all(&inside);
            isolations[at].gaps = inside;
            let inside = isolations[at].at_any_address.clone();
            isolations[around].at_any_address.extend(inside);
            open[around] |= open[at];
        }
    }
    for ((object, isolation), open) in division.objects.iter().zip(&isolations).zip(open) {
        for end in object.own.iter().map(|&at| ends.get(at)) {
            let Some(&rule) = end.rules.first() else { continue };
            if end.action == Action::Deny {
                if !isolation.isolated {
                    findings.gap(rule, OUT, &IstioGap::unable(NOT_ISOLATED));
                } else if open || isolation.gaps.of(rule).any(|gap| gap.level == Level::Unable) {
                    findings.gap(rule, OUT, &IstioGap::unable("another rule leaves these pods open"));
                } else if let Some(deny) = facts.policy.rule(rule) {
                    findings.add(rule, OUT, Note::AtAnyAddress(met(deny, &isolation.at_any_address)));
                }
            } else if end.isolates && !end.is_everything() {
                isolation.gaps.of(rule).for_each(|gap| findings.gap(rule, OUT, gap));
                let to_pods = facts.policy.rule(rule).is_some_and(|rule| rule.destination.pods().next().is_some());
                if isolation.restricts() && to_pods {
                    findings.narrower(rule, OUT, Refuses::NothingAskedFor, BY_ADDRESS);
                }
            }
        }
        for end in object.joined.iter().map(|&at| ends.get(at)).filter(|end| end.isolates && !end.is_everything()) {
            let Some(&rule) = end.rules.first() else { continue };
            if !isolation.isolated {
                let why = "Istio cannot tell these pods from others, which nothing isolates";
                findings.gap(rule, OUT, &IstioGap::unable(why));
            }
            isolation.gaps.of(rule).for_each(|gap| findings.gap(rule, OUT, gap));
        }
    }
    for ((statement, end), why) in ends.iter().zip(&division.without) {
        let Some(why) = why.filter(|_| end.isolates || end.action == Action::Deny) else { continue };
        let Some(&rule) = end.rules.first() else { continue };
        let own = statement.selector.namespace_name().and_then(|name| division.at(&Subject::namespace(name)));
        let enforced = end.isolates && isolations[own.unwrap_or(0)].isolated;
        if !enforced {
            findings.gap(rule, OUT, &IstioGap::unable(why));
        }
    }
    let dns: Vec<&Grant> = facts
        .part
        .grants()
        .map(|(_, grant)| grant)
        .filter(|grant| grant.reason == GrantReason::Dns && grant.direction == OUT)
        .collect();
    for (at, rule) in facts.part.rules(OUT).filter(|(_, rule)| rule.action == Action::Deny) {
        if dns.iter().any(|grant| leaves_open(rule, grant)) {
            findings.gap(at, OUT, &IstioGap::unable("the way to DNS opens all TCP ports of the resolver's Service"));
        }
    }
    for (at, rule) in facts.part.rules(OUT) {
        unguarded::on_the_way_out(facts, rule).into_iter().for_each(|note| findings.add(at, OUT, note));
    }
    findings
}

/// Returns those of some Services whose port a deny is about.
fn met(deny: &Rule, services: &[(String, u16)]) -> Vec<(String, u16)> {
    let about = |(_, port): &&(String, u16)| {
        let port = Ports::Some(vec![PortMatch::range(*port, *port, Protocol::Tcp)]);
        deny.destination.members.iter().any(|member| member.ports.may_overlap(&port))
    };
    services.iter().filter(about).cloned().collect()
}

/// Returns whether a deny takes TCP ports of the resolver's pods that the way to DNS leaves open: `kube-system/*:9153`.
/// A deny of TCP 53 takes the way itself.
fn leaves_open(deny: &Rule, dns: &Grant) -> bool {
    let meet = |one: &Endpoint, other: &Endpoint| {
        let all: Vec<&PodSelector> = other.pods().map(|(_, pods)| &pods.selector).collect();
        one.pods().any(|(_, pods)| all.iter().any(|other| pods.selector.overlaps(other)))
    };
    let resolver = |member: &&Member| {
        let What::Pods(pods) = &member.what else { return false };
        dns.destination.pods().any(|(_, resolver)| resolver.selector.overlaps(&pods.selector))
    };
    let takes = |ports: &Ports, number| ports.matches(Some(number), Protocol::Tcp, &[]);
    let ports = |member: &Member| member.ports.entries().iter().any(|port| port.protocol == Protocol::Tcp);
    let mut near = deny.destination.members.iter().filter(resolver).peekable();
    near.peek().is_some()
        && meet(&deny.source, &dns.source)
        && near.clone().any(ports)
        && !near.any(|member| takes(&member.ports, DNS))
}

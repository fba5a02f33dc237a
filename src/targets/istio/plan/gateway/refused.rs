//! Denies of hosts that a gateway leads to: the gateway refuses the denied pods.
//!
//! ```netpol
//! use std/istio (egress-gateway)
//! allow egress garden/*    -> a.example.com:443 via egress-gateway
//! deny  egress garden/@web -> a.example.com:443
//! ```
//!
//! ```yaml
//! action: DENY
//! rules:
//!   - from:
//!       - source:
//!           principals: [cluster.local/ns/garden/sa/web]
//!     when:
//!       - key: connection.sni
//!         values: [a.example.com]
//! ```
//!
//! The sidecars of denied pods have no route to the gateway, but a pod that avoids its sidecar could call it. The
//! gateway knows the pod by its identity. Pods whose identity other pods share are not refused, nor is a host that is
//! denied only in part.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::pods::subjects;
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Member, What};
use crate::model::gateways::Via;
use crate::model::hosts::{Host, HostName};
use crate::model::ports::Protocol;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::Isolated;
use crate::targets::Level;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{Findings, Note};
use crate::targets::istio::model::AccessRule;
use crate::targets::istio::plan::operations::sni;
use crate::targets::istio::plan::peers::{Peers, Position};
use crate::targets::istio::plan::subjects::Subject;

const OUT: Direction = Direction::Egress;

/// Pods that a gateway refuses.
pub struct Refused {
    /// The gateway's pods.
    pub subject: Subject,
    /// The rule of the AuthorizationPolicy.
    pub access: AccessRule,
    /// The deny.
    pub rule: RuleId,
}

/// The rules that lead out through gateways, by the namespace of their pods.
type Leading<'a> = FxHashMap<Option<&'a SmolStr>, Vec<(&'a Rule, &'a Via)>>;

/// Returns the pods that the gateways refuse, and the findings about the denies.
pub(super) fn refused(facts: &Facts<'_>, peers: &Peers<'_, '_>) -> (Vec<Refused>, Findings) {
    let (mut all, mut findings) = (Vec::new(), Findings::default());
    let mut leading = Leading::default();
    for (_, rule) in facts.part.rules(OUT) {
        let Some(via) = &rule.via else { continue };
        for (_, pods) in rule.source.pods() {
            leading.entry(pods.selector.namespace_name()).or_default().push((rule, via));
        }
    }
    if leading.is_empty() {
        return (all, findings);
    }
    for (at, deny) in facts.part.rules(OUT).filter(|(_, rule)| rule.action == Action::Deny) {
        let near = met(facts, &leading, deny);
        if near.is_empty() {
            continue;
        }
        let peer = peers.denied(&deny.source, Position::Workload);
        let told = peer.unable.is_none() && peer.gap.is_none() && deny.conditions.is_none();
        let (mut whole, mut isolated) = (told, true);
        for Met { via, names, in_part } in near {
            let pods = subjects(facts, &via.gateway).unwrap_or_default();
            whole &= !in_part && !pods.is_empty();
            isolated &= facts.policy.isolated(&via.gateway) != Isolated::Nowhere;
            let nobody = peer.sources.as_ref().is_some_and(|sources| sources.is_empty());
            if !told || nobody || names.is_empty() {
                continue;
            }
            let from = peer.sources.clone().unwrap_or_default();
            let access = AccessRule { from, when: vec![sni(&names)], ..AccessRule::default() };
            all.extend(pods.into_iter().map(|subject| Refused { subject, access: access.clone(), rule: at }));
        }
        if whole {
            let how = "the gateway refuses these pods; one that avoids its sidecar and the gateway is not stopped";
            findings.add(at, OUT, Note::How(Level::Bypassable, how.into()));
            findings.add(at, OUT, Note::Refused { isolated });
        }
    }
    (all, findings)
}

/// A gateway that leads to hosts of a deny.
struct Met<'a> {
    via: &'a Via,
    /// The hosts that are denied at all their addresses.
    names: Vec<HostName>,
    /// Whether other hosts may have denied addresses, or are denied except for some names.
    in_part: bool,
}

/// Returns the gateways that lead pods of a deny to its hosts.
fn met<'a>(facts: &Facts<'_>, leading: &Leading<'a>, deny: &Rule) -> Vec<Met<'a>> {
    let names: Vec<Option<&SmolStr>> = deny.source.pods().map(|(_, pods)| pods.selector.namespace_name()).collect();
    let everywhere = names.contains(&None);
    let near = leading.iter().filter(|(name, _)| everywhere || name.is_none() || names.contains(name));
    let shares = |rule: &Rule| {
        let mut pods = rule.source.pods();
        pods.any(|(_, own)| deny.source.pods().any(|(_, denied)| own.selector.overlaps(&denied.selector)))
    };
    let mut all: BTreeMap<&SmolStr, Met<'_>> = BTreeMap::new();
    for &(rule, via) in near.flat_map(|(_, rules)| rules).filter(|(rule, _)| shares(rule)) {
        for (member, host) in rule.destination.hosts() {
            for (port, _) in member.ports.entries().iter().filter_map(|port| port.numbers()) {
                let (names, in_part) = denied(facts, deny, host, port);
                if names.is_empty() && !in_part {
                    continue;
                }
                let met = Met { via, names: Vec::new(), in_part: false };
                let met = all.entry(&via.gateway.name).or_insert(met);
                met.names.extend(names);
                met.in_part |= in_part;
            }
        }
    }
    all.into_values().map(|met| Met { names: sorted(met.names), ..met }).collect()
}

fn sorted(mut names: Vec<HostName>) -> Vec<HostName> {
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns the names below a host that a deny denies on a port, and whether it denies other parts of the host.
fn denied(facts: &Facts<'_>, deny: &Rule, host: &Host, port: u16) -> (Vec<HostName>, bool) {
    let on_port = |member: &&Member| member.ports.matches(Some(port), Protocol::Tcp, &[]);
    let (mut names, mut in_part) = (Vec::new(), false);
    let mut addresses = AddressSet::default();
    for member in deny.destination.members.iter().filter(on_port) {
        match &member.what {
            What::Pods(_) => {}
            What::Addresses(set) => addresses.blocks.extend(set.blocks.iter().cloned()),
            What::Host(named) => {
                addresses.blocks.extend(named.addresses().blocks);
                if !named.name.overlaps(&host.name) {
                    continue;
                }
                let both = if named.name.contains(&host.name) { &host.name } else { &named.name };
                let is_spared = |by: &[HostName]| by.iter().any(|name| name.contains(both));
                if is_spared(&named.except) || is_spared(&host.except) {
                    continue;
                }
                match named.except.iter().any(|name| name.overlaps(both)) {
                    true => in_part = true,
                    false => names.push(both.clone()),
                }
            }
        }
    }
    let at = if host.at.is_empty() { facts.policy.internet.clone() } else { host.addresses() };
    if at.is_inside(&addresses) {
        return (vec![host.name.clone()], false);
    }
    in_part |= at.overlaps(&addresses) && !names.contains(&host.name);
    (names, in_part)
}

//! The plan for Istio: from a policy to the governed pods, their ingress and egress, and the ways through gateways.
//!
//! ```text
//! allow lab/@curl -> garden/{app=web}:8080/http
//!
//! subjects    lab: the pods of the account curl    garden: the pods with app=web
//! egress      curl's Sidecar imports the Services of web on 8080
//! ingress     web's AuthorizationPolicy lets the identity lab/@curl in on 8080, and strict mTLS makes sure of it
//! ```
//!
//! A pass is a function from data to data: its findings are part of what it returns. Objects get their names only in
//! `emit`.

pub mod egress;
pub mod gateway;
pub mod ingress;
mod left_out;
mod operations;
mod peers;
mod ports;
pub mod subjects;
mod unguarded;

use self::egress::Egress;
use self::egress::entries::Entries;
use self::egress::sidecars::SidecarDraft;
use self::egress::wildcard;
use self::gateway::access::access_rules;
use self::gateway::at_gateway::AtGateway;
use self::gateway::clients::{Counting, Keeping, counting, keeping};
use self::gateway::exits::{Exits, Routes};
use self::gateway::pods::{half_isolated, unknown_callers};
use self::ingress::Ingress;
use self::ingress::identity::{self, PeerDraft};
use self::ingress::policies::Policies;
use self::peers::Peers;
use super::facts::Facts;
use super::findings::Findings;
use super::troubles::Trouble;

/// The plan of a partition: drafts of all objects, and the findings about rule ends.
pub struct Plan {
    /// ServiceEntries: the hosts and addresses outside.
    pub entries: Entries,
    /// Sidecars: the way out of pods.
    pub sidecars: Vec<SidecarDraft>,
    /// Gateways, VirtualServices and DestinationRules: routes through egress gateways.
    pub routes: Routes,
    /// PeerAuthentications: the pods whose callers need an identity.
    pub identities: Vec<PeerDraft>,
    /// AuthorizationPolicies and RequestAuthentications: the way into pods.
    pub policies: Policies,
    /// Patches of Services that have to keep their clients' addresses.
    pub keeping: Keeping,
    /// Patches of workloads that have to know the proxies in front of them.
    pub counting: Counting,
    /// The findings: how far the drafts are from the policy.
    pub findings: Findings,
    /// The troubles to report.
    pub troubles: Vec<Trouble>,
}

/// Makes the plan of a partition: the passes in their order.
pub fn plan(facts: &Facts<'_>) -> Plan {
    let peers = Peers::new(facts);
    let Ingress { mut policies, callers, passages, by_address, findings: of_ingress } = ingress::plan(facts, &peers);
    let mut exits = Exits::new(facts, &peers);
    let Egress { entries, sidecars, routes, findings: of_egress, troubles: of_entries } = egress::plan(facts, &exits);
    let of_wildcards = wildcard::refused(facts.part);
    let (identities, of_identities) = identity::plan(facts, &callers, &policies);
    let (keeping, of_clients) = keeping(facts, &by_address);
    let (counting, of_proxies) = counting(facts, &by_address);
    let gateways = AtGateway::gather(passages.into_iter().chain(std::mem::take(&mut exits.passages)));
    for (subject, access, rule) in access_rules(facts, &gateways) {
        policies.add(&subject, false, Some(access), rule);
    }
    for refused in exits.refused {
        policies.add(&refused.subject, true, Some(refused.access), refused.rule);
    }
    let of_gateways = half_isolated(facts).then(unknown_callers(facts));
    let findings =
        of_ingress.then(of_gateways).then(exits.findings).then(of_egress).then(of_wildcards).then(of_identities);
    let troubles = [exits.troubles, of_entries, of_clients, of_proxies].concat();
    Plan { entries, sidecars, routes, identities, policies, keeping, counting, findings, troubles }
}

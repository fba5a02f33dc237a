//! Egress: ServiceEntries, and the one Sidecar that each pod obeys.
//!
//! ```netpol
//! allow egress garden/{app=web} -> zenquotes.io:443
//! ```
//!
//! ```yaml
//! kind: ServiceEntry
//! spec:
//!   hosts: [zenquotes.io]
//! kind: Sidecar
//! spec:
//!   workloadSelector:
//!     labels:
//!       app: web
//!   egress:
//!     - port: { number: 443, name: tls-443, protocol: TLS }
//!       hosts: ["./zenquotes.io"]
//! ```
//!
//! A Sidecar lets its pods reach its imports and nothing else. `destinations` turns a rule's destination into items
//! that Istio knows (`items`), and `ends` adds the pods. `isolation` finds the pods that are restricted. `content`
//! gathers the items of each object without the `denied` ones. `ask` makes the ServiceEntries for them (from `entries`,
//! `addresses`, `services` and `host_ports`), and `sidecars` the Sidecars (from `listeners`, `imports` and `form`).

mod addresses;
mod allowed;
mod ask;
mod content;
mod denied;
mod destinations;
mod ends;
pub mod entries;
mod form;
mod gaps;
mod homes;
mod host_ports;
mod imports;
mod isolation;
pub mod items;
mod listeners;
mod services;
pub mod sidecars;
mod taken_in;
pub mod wildcard;

use self::ask::{Imported, ask};
use self::content::contents;
use self::destinations::Destinations;
use self::ends::{gather, leave_out, open_full_hosts};
use self::entries::Entries;
use self::gaps::gaps;
use self::homes::{Homes, settle};
use self::isolation::{isolations, useless_denies};
use self::sidecars::{SidecarDraft, sidecars};
use super::gateway::exits::{Exits, Routes};
use super::subjects::obeyed::Division;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::Findings;
use crate::targets::istio::troubles::Trouble;

/// The drafts for the egress rules.
pub struct Egress {
    /// The ServiceEntries.
    pub entries: Entries,
    /// The Sidecars.
    pub sidecars: Vec<SidecarDraft>,
    /// The routes through gateways.
    pub routes: Routes,
    /// The findings about rule ends.
    pub findings: Findings,
    /// The troubles to report.
    pub troubles: Vec<Trouble>,
}

/// Makes the drafts for the egress rules. `exits` are the ways through gateways.
pub fn plan<'a>(facts: &Facts<'a>, exits: &Exits) -> Egress {
    let mut destinations = Destinations::new(facts);
    let (ends, of_rules) = gather(facts, &mut destinations);
    let (mut ends, of_hosts) = open_full_hosts(facts, ends, &destinations);
    let mut findings = of_rules.then(of_hosts);
    let mut division = Division::new(facts, &ends.statements);
    let mut isolations = isolations(&ends, &division);
    let useless = useless_denies(&ends, &division, &isolations);
    if !useless.is_empty() {
        let (left, of_denies) = leave_out(ends, &useless);
        findings = findings.then(of_denies);
        division = Division::new(facts, &left.statements);
        isolations = isolation::isolations(&left, &division);
        ends = left;
    }
    let (mut contents, of_contents) = contents(facts, &ends, &division, &isolations, &mut destinations);
    let of_homes = settle(facts, &division, &destinations, &mut contents);
    let homes = Homes::new(facts, &division, &destinations, &contents);
    let Imported { entries, routes, mut troubles } = ask(&ends, &division, &contents, &destinations, &homes, exits);
    let known = (&destinations, &homes, &entries);
    let (sidecars, too_large) = sidecars(facts, &ends, &division, &contents, known, &mut isolations);
    troubles.extend(too_large);
    let findings = findings.then(of_contents).then(of_homes).then(gaps(facts, &ends, &division, isolations));
    Egress { entries, sidecars, routes, findings, troubles }
}

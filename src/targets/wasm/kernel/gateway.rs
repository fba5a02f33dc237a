//! What gateways let in and pass on, for rules with `via`.

use super::judge::Judge;
use super::layout::{app, protocol};
use super::party::{Kind, Match, Party, member_is_named, name_fits};
use super::request::{meets, without_port};
use super::table::{Endpoint, Record, Rule, Tables};

/// The names by which a port knows which host a client asks for.
#[derive(Clone, Copy, Default)]
struct Names {
    sni: bool,
    unknown: bool,
}

/// A port of a gateway.
struct Port<'t> {
    target: u32,
    protocol: u32,
    app: u32,
    unknown: bool,
    has_requests: bool,
    /// How a server reads the port, whether it has a name, whether that is a wildcard, and the name.
    servers: &'t [[u32; 4]],
}

/// A `via`.
struct Via<'t> {
    gateway: u32,
    at: &'t [[u32; 2]],
    ports: &'t [u32],
}

fn via<'t>(tables: &Tables<'t>, rule: &Rule<'_>) -> Via<'t> {
    let mut record = tables.record(rule.via);
    Via { gateway: record.word(), at: record.counted(2).as_chunks().0, ports: record.counted(1) }
}

/// Returns the members that are a gateway's pods, and its ports.
fn gateway<'t>(tables: &Tables<'t>, at: u32) -> (&'t [u32], impl Iterator<Item = Port<'t>>) {
    let mut record = tables.record(at);
    let members = record.counted(1);
    let count = record.word();
    (members, (0..count).map_while(move |_| (!record.is_empty()).then(|| port(&mut record))))
}

fn port<'t>(record: &mut Record<'t>) -> Port<'t> {
    Port {
        target: record.word(),
        protocol: record.word(),
        app: record.word(),
        unknown: record.word() != 0,
        has_requests: record.word() != 0,
        servers: record.counted(4).as_chunks().0,
    }
}

fn serves(tables: &Tables<'_>, via: &Via<'_>, name: &str) -> bool {
    via.at.iter().any(|wanted| name_fits(tables, *wanted, name.as_bytes()).is_some())
}

fn has_pod(tables: &Tables<'_>, members: &[u32], party: &Party<'_>) -> bool {
    party.kind == Kind::Pod && members.iter().any(|member| party.held_by(tables, *member, false) == Match::Yes)
}

/// Returns a name as gateways compare it; `None` for none.
fn compared(name: &str) -> Option<&str> {
    let name = without_port(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty()).then_some(name)
}

/// Returns how a port knows requests for a host: as the closest server says, else as the port is declared.
fn names(tables: &Tables<'_>, port: &Port<'_>, name: &str) -> Names {
    if port.protocol != protocol::TCP {
        return Names::default();
    }
    let closeness = |[_, has_name, wildcard, wanted]: &[u32; 4]| {
        if *has_name == 0 {
            return Some(0);
        }
        let length = name_fits(tables, [*wildcard, *wanted], name.as_bytes())?;
        Some(if *wildcard == 0 { usize::MAX } else { 1 + length })
    };
    let Some(closest) = port.servers.iter().filter_map(closeness).max() else {
        return Names { sni: port.app == app::TLS, unknown: port.unknown && port.servers.is_empty() };
    };
    let mut closest = port.servers.iter().filter(|server| closeness(server) == Some(closest));
    Names { sni: closest.any(|[read, ..]| *read == app::TLS), unknown: false }
}

impl Judge<'_, '_> {
    fn http_host(&self) -> Option<&str> {
        let request = self.request;
        request.host.as_deref().or(request.tls.as_deref()).and_then(compared)
    }

    fn tls_name(&self) -> Option<&str> {
        let request = self.request;
        request.tls.as_deref().or(request.host.as_deref()).and_then(compared)
    }

    /// Returns whether a rule with `via` lets the flow in at its gateway; `None` for a flow that it does not concern.
    pub(super) fn publishes(&self, rule: &Rule<'_>) -> Option<bool> {
        let tables = self.tables;
        if !rule.is_way_in() || self.protocol != protocol::TCP {
            return None;
        }
        let via = via(tables, rule);
        let (members, mut ports) = gateway(tables, via.gateway);
        if !has_pod(tables, members, self.destination) {
            return None;
        }
        let client = || self.how_far(rule.source, self.source, false, false) == Match::Yes;
        if via.at.is_empty() {
            return self.port.is_some_and(|port| via.ports.contains(&u32::from(port))).then(client);
        }
        let target = self.port.map(u32::from);
        let port = ports.find(|port| Some(port.target) == target && port.protocol == protocol::TCP)?;
        let asks_for = |name: &str| serves(tables, &via, name);
        let meets = |is_tls| meets(tables, rule.conditions, self.request, self.destination, is_tls, false);
        let passed = self.tls_name().is_some_and(|name| names(tables, &port, name).sni);
        if passed && self.tls_name().is_some_and(asks_for) {
            let mut entries = rule.destination.members().flat_map(|(_, ports)| self.entries(ports));
            return Some(entries.any(|entry| entry.app == app::TLS) && client() && meets(true));
        }
        let read = |name: &&str| !passed && (port.has_requests || names(tables, &port, name).unknown);
        let asked = self.http_host().filter(|name| asks_for(name)).is_some_and(|name| read(&name));
        asked.then(|| client() && meets(false))
    }

    /// Returns whether the flow is one that the gateway of a rule passes on, for one of the rule's hosts and clients,
    /// as far as these are known.
    pub(super) fn passes_on(&self, rule: &Rule<'_>) -> bool {
        let via = via(self.tables, rule);
        let (members, _) = gateway(self.tables, via.gateway);
        if !has_pod(self.tables, members, self.source) {
            return false;
        }
        let of_rule = |client: &Party<'_>| self.how_far(rule.source, client, false, false) == Match::Yes;
        if !self.request.client.as_deref().is_none_or(of_rule) {
            return false;
        }
        via.at.is_empty()
            || self.reads_tls(rule.destination)
            || self.http_host().is_some_and(|host| serves(self.tables, &via, host))
    }

    fn reads_tls(&self, destination: Endpoint<'_>) -> bool {
        let mut entries = destination.members().flat_map(|(_, ports)| self.entries(ports));
        entries.any(|entry| entry.app == app::TLS && self.entry_fits(&entry))
    }

    /// Returns whether the flow comes to a gateway that passes its TLS on unread.
    pub(super) fn is_passed_through(&self) -> bool {
        let gateways = self.tables.section(super::layout::header::GATEWAYS);
        if gateways.is_empty() || self.destination.kind != Kind::Pod {
            return false;
        }
        let Some(name) = self.tls_name() else { return false };
        gateways.iter().any(|at| {
            let (members, mut ports) = gateway(self.tables, *at);
            let target = self.port.map(u32::from);
            has_pod(self.tables, members, self.destination)
                && ports.any(|port| Some(port.target) == target && names(self.tables, &port, name).sni)
        })
    }

    /// Returns whether the flow asks a gateway for a host of a rule with `via` on egress; where it names none, it may.
    pub(super) fn asks_for_destination(&self, rule: &Rule<'_>) -> bool {
        let Some(name) = &self.request.tls else { return true };
        rule.destination.members().any(|(member, _)| member_is_named(self.tables, member, name))
    }
}

//! Gateways, and the name by which each of their ports recognises a public host: the HTTP host, the TLS name, or none.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::model::addresses::AddressSet;
use crate::model::hosts::HostName;
use crate::model::labels::PodSelector;
use crate::model::ports::{AppProtocol, Protocol};
use crate::source::Span;

/// `via GATEWAY [at "public.host", …]`
#[derive(Clone, Debug)]
pub struct Via {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// The public hosts, on ingress; none where `at` is left out.
    pub at: Vec<HostName>,
    /// The gateway's pod ports for clients, if these send no name (`at` is left out on ingress).
    pub ports: Vec<u16>,
    /// The span of the clause.
    pub span: Span,
}

impl Via {
    /// Returns whether a host of that name is one of the public hosts.
    pub fn serves(&self, host: &str) -> bool {
        self.at.iter().any(|at| at.matches(host))
    }
}

/// A gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gateway {
    /// Its name in the source.
    pub name: SmolStr,
    /// Its pods; never empty.
    pub pods: Vec<PodSelector>,
    /// The namespace and name of its service account, where it has a mesh identity.
    pub account: Option<(SmolStr, SmolStr)>,
    /// Its Service (namespace, name), declared, or the inventory's that selects these pods; `None` where not known.
    pub service: Option<(SmolStr, SmolStr)>,
    /// Its ports; never empty.
    pub ports: Vec<GatewayPort>,
    /// Proxies in front that append to X-Forwarded-For.
    pub proxies: u32,
    /// The addresses of these proxies; only from them the client's address in that header is believed. Empty if they
    /// are not given.
    pub proxies_from: AddressSet,
    /// The ports that Gateway objects of the inventory open on its pods beside these.
    pub undeclared: Vec<(u16, Server)>,
    /// The span of its declaration.
    pub span: Span,
}

/// A port of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayPort {
    /// The port of its Service.
    pub port: u16,
    /// The pods' port.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Protocol,
    /// The reading of the port: `Https` is TLS that ends at the gateway, `Tls` TLS that it passes on by name; `None` is
    /// neither HTTP nor TLS.
    pub app: Option<AppProtocol>,
    /// Whether it is unknown if TLS ends there, as for a bare 443: neither the source nor the inventory says it.
    pub unknown: bool,
    /// The readings of this port by Gateway objects of the inventory.
    pub servers: Vec<Server>,
}

/// The reading of a port by a Gateway object, for connections to some hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Server {
    /// The hosts; `None` is every one.
    pub host: Option<HostName>,
    /// The reading, as in [`GatewayPort::app`].
    pub app: Option<AppProtocol>,
}

/// The names by which a port recognises the public host that a client asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The host of its requests.
    pub host: bool,
    /// The TLS name (SNI); the TLS is passed on unread.
    pub sni: bool,
    /// Unknown: neither the source nor the inventory says it.
    pub unknown: bool,
}

impl Names {
    fn of(app: Option<AppProtocol>) -> Names {
        Names { host: app.is_some_and(AppProtocol::has_requests), sni: app == Some(AppProtocol::Tls), unknown: false }
    }

    fn or(self, other: Names) -> Names {
        Names { host: self.host || other.host, sni: self.sni || other.sni, unknown: self.unknown || other.unknown }
    }
}

impl Via {
    /// Returns the gateway pods' ports through which pods leave: those for TLS, if it has any.
    pub fn exit_ports(&self) -> Vec<u16> {
        let ports = &self.gateway.ports;
        let tls = ports.iter().any(|port| port.app == Some(AppProtocol::Tls));
        let used = ports.iter().filter(|port| !tls || port.app == Some(AppProtocol::Tls));
        let mut numbers: Vec<u16> = used.map(|port| port.target).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

impl GatewayPort {
    /// Returns the names by which the port recognises these hosts: by Gateway objects for the hosts, else by the port's
    /// declaration. Of several servers for one host the closest counts, as Envoy chooses among TLS names.
    pub fn names(&self, hosts: &HostName) -> Names {
        if self.protocol != Protocol::Tcp {
            return Names::default();
        }
        let overlap = |server: &&Server| server.host.as_ref().is_none_or(|host| host.overlaps(hosts));
        let closest = self.servers.iter().filter(overlap).map(|server| closeness(server, hosts)).max();
        let Some(closest) = closest else {
            return Names { unknown: self.unknown && self.servers.is_empty(), ..Names::of(self.app) };
        };
        let of_host = self.servers.iter().filter(overlap).filter(|server| closeness(server, hosts) == closest);
        of_host.map(|server| Names::of(server.app)).fold(Names::default(), Names::or)
    }

    /// Returns the names that the port passes on unread although TLS ends there for others, each with the closer ones
    /// for which it does end.
    pub fn passed_through(&self) -> Vec<(Option<HostName>, Vec<HostName>)> {
        let ends = |server: &&Server| server.app.is_some_and(AppProtocol::has_requests);
        let passed = self.servers.iter().filter(|server| server.app == Some(AppProtocol::Tls));
        let mut all: Vec<(Option<HostName>, Vec<HostName>)> = passed
            .map(|server| {
                let inside = |other: &&HostName| {
                    Some(*other) != server.host.as_ref() && server.host.as_ref().is_none_or(|host| host.contains(other))
                };
                let others = self.servers.iter().filter(ends).filter_map(|other| other.host.as_ref()).filter(inside);
                (server.host.clone(), others.cloned().collect())
            })
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// Returns whether some of its connections carry requests that the gateway reads.
    pub fn has_requests(&self) -> bool {
        let reads = |app: Option<AppProtocol>| app.is_some_and(AppProtocol::has_requests);
        self.protocol == Protocol::Tcp && (reads(self.app) || self.servers.iter().any(|server| reads(server.app)))
    }
}

/// Returns how closely a server names hosts that it overlaps with. For a wildcard all servers count alike.
fn closeness(server: &Server, hosts: &HostName) -> usize {
    match &server.host {
        _ if hosts.wildcard => 0,
        None => 0,
        Some(host) if host.wildcard => 1 + host.name.len(),
        Some(_) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_gateway_object_says_how_a_host_is_read() {
        let server = |host: &str, app| Server { host: (host != "*").then(|| HostName::parse(host).unwrap()), app };
        let servers = vec![
            server("*", Some(AppProtocol::Https)),
            server("*.pass.example", Some(AppProtocol::Tls)),
            server("www.pass.example", Some(AppProtocol::Https)),
        ];
        let app = Some(AppProtocol::Https);
        let port = GatewayPort { port: 443, target: 8443, protocol: Protocol::Tcp, app, unknown: false, servers };
        let names = |host: &str| {
            let Names { host, sni, .. } = port.names(&HostName::parse(host).unwrap());
            (host, sni)
        };
        assert_eq!(names("shop.example"), (true, false));
        assert_eq!(names("a.pass.example"), (false, true));
        assert_eq!(names("www.pass.example"), (true, false));
        assert_eq!(names("*.example"), (true, true));
        let wide = HostName::parse("*.pass.example").unwrap();
        assert_eq!(port.passed_through(), [(Some(wide), vec![HostName::parse("www.pass.example").unwrap()])]);
    }
}

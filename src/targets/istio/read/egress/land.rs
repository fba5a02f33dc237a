//! Landings: where the connections to a ServiceEntry end.
//!
//! ```text
//! resolution: DNS     port 443/TLS    zenquotes.io, wherever that is: not the address that the pod dials
//! resolution: STATIC  port 443/TLS    one of the endpoints
//! resolution: NONE    port 5432/TCP   the dialled address, if it is one of `addresses`
//! resolution: NONE    port 443/TLS    any address, for the name that the pod asks for is not compared with it
//! ```
//!
//! A VirtualService for the host sends the connections of some pods to a gateway instead, inside TLS, by which the
//! gateway knows the pod and the host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::index::Index;
use crate::inventory::mesh::EgressListener;
use crate::inventory::outside::{Entry, EntryPort, OpenedTls, Reading, Resolution, Route, RouteItem, RouteMatch};
use crate::model::endpoint::Endpoint;
use crate::model::hosts::HostName;
use crate::model::labels::{Labels, PodSelector};
use crate::model::ports::PortMatch;

/// The end of some connections.
pub(super) struct Landing<'i> {
    /// The labels of the pods that open the connections; `None` is all pods of the Sidecar.
    pub from: Option<Vec<&'i Labels>>,
    /// The labels of pods whose connections go elsewhere.
    pub but: Vec<&'i Labels>,
    /// The end.
    pub to: To<'i>,
    /// Whether the connections certainly pass.
    pub sure: bool,
}

/// Where connections end.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum To<'i> {
    /// Any destination.
    Everything,
    /// A host at any of its addresses, on a port.
    Host(HostName, u16),
    /// A host at one of some addresses, on a port.
    At(HostName, &'i [IpAddr], u16),
    /// The dialled address, if it is one of these, on a port.
    Addresses(&'i [IpNet], u16),
    /// Any address outside, on a port.
    Anywhere(u16),
    /// Any address, that of a pod too, on a port.
    AnyAddress(u16),
    /// Pods, on ports of theirs.
    Pods(PodSelector, Vec<PortMatch>),
    /// The destinations of an endpoint of the policy.
    Endpoint(Arc<Endpoint>),
    /// Pods of a gateway on a port, which recognises a host by TLS and leads to this host on a port.
    Gateway(&'i [PodSelector], u16, HostName, (HostName, u16)),
}

/// The listener of a Sidecar that takes a connection, and the pods that open it.
#[derive(Clone, Copy)]
pub(super) struct Listening<'l> {
    /// The listener; `None` for a Sidecar without listeners.
    pub listener: Option<&'l EgressListener>,
    /// The ports that have their own listeners, so that a listener without a port does not get them.
    pub shadowed: &'l FxHashSet<u16>,
    /// The namespace of the pods; `None` is a namespace that no rule names.
    pub viewer: Option<&'l SmolStr>,
}

impl Listening<'_> {
    /// Returns the port of the listener.
    pub fn port(&self) -> Option<u16> {
        self.listener.and_then(|listener| listener.port)
    }

    fn gets(&self, port: u16) -> bool {
        self.port().map_or(!self.shadowed.contains(&port), |own| own == port)
    }

    /// Returns whether a listener with this protocol can distinguish the hosts of a port.
    fn tells(&self, reading: Reading) -> bool {
        self.listener.and_then(|listener| listener.reading).is_none_or(|own| own == reading)
    }
}

impl<'i> Landing<'i> {
    /// Returns connections that certainly pass.
    pub fn at(to: To<'i>) -> Landing<'i> {
        Landing { from: None, but: Vec::new(), to, sure: true }
    }

    /// Returns the landing of pods that may call everything.
    pub fn everything(sure: bool) -> Landing<'i> {
        Landing { sure, ..Landing::at(To::Everything) }
    }
}

impl Index<'_> {
    /// Adds the destinations of a listener that imports a ServiceEntry.
    pub(super) fn entry<'i>(&'i self, entry: &'i Entry, at: Listening<'_>, found: &mut Vec<Landing<'i>>) {
        for text in &entry.hosts {
            let Ok(host) = HostName::parse(text) else { continue };
            for port in entry.ports.iter().filter(|port| at.gets(port.number)) {
                let first = found.len();
                self.routed(entry, (text, &host), port, at, found);
                let tells = at.tells(port.reading);
                found[first..].iter_mut().for_each(|landing| landing.sure &= tells);
            }
        }
    }

    /// Adds the destinations of connections to a host on a port: by the first route of the host that fits, else
    /// directly.
    fn routed<'i>(
        &'i self,
        entry: &'i Entry,
        (text, host): (&SmolStr, &HostName),
        port: &EntryPort,
        at: Listening<'_>,
        found: &mut Vec<Landing<'i>>,
    ) {
        let seen = |route: &&&Route| {
            route.gateways.iter().any(|gateway| gateway == "mesh") && route.head.is_seen_by(at.viewer)
        };
        let route = self.routes.get(text).into_iter().flatten().find(seen);
        let mut before: Vec<&'i Labels> = Vec::new();
        let of_port = |(reading, _): &&(Reading, RouteItem)| *reading == port.reading;
        let items = || route.into_iter().flat_map(|route| &route.items).filter(of_port);
        for (_, item) in items() {
            let fits = |one: &&RouteMatch| {
                is_for(one, "mesh")
                    && one.port.is_none_or(|number| number == port.number)
                    && (one.names.is_empty() || one.names.contains(text))
            };
            let labels: Vec<&'i Labels> = item.matches.iter().filter(fits).map(|one| &one.labels).collect();
            if labels.is_empty() && !item.matches.is_empty() {
                continue;
            }
            let all = labels.iter().any(|labels| labels.is_empty()) || item.matches.is_empty();
            let to = match (&item.subset, item.host == *text) {
                (None, true) => {
                    let onward = item.port.unwrap_or(port.number);
                    let own = entry.ports.iter().find(|own| own.number == onward);
                    own.and_then(|own| self.straight(entry, (text, host), own, at.viewer))
                }
                (Some(subset), false) => {
                    let to = route.and_then(|route| self.gateway(route, entry, (text, host), (item, subset), at));
                    to.map(|to| (to, true))
                }
                _ => None,
            };
            if let Some((to, sure)) = to {
                let from = (!all).then(|| labels.clone());
                found.push(Landing { from, but: before.clone(), to, sure });
            }
            if all {
                return;
            }
            before.extend(labels);
        }
        // A host that has routes for requests, but none for these, refuses them.
        if items().next().is_some() && port.reading == Reading::Requests {
            return;
        }
        let to = self.straight(entry, (text, host), port, at.viewer);
        found.extend(to.map(|(to, sure)| Landing { from: None, but: before, to, sure }));
    }

    /// Returns the destination of connections without a route, and whether they certainly pass.
    fn straight<'i>(
        &'i self,
        entry: &'i Entry,
        (text, host): (&SmolStr, &HostName),
        port: &EntryPort,
        viewer: Option<&SmolStr>,
    ) -> Option<(To<'i>, bool)> {
        if let Some(target) = port.target {
            return Some(match self.opened(text, port.number, viewer) {
                Some(tls) if is_checked(tls, text) => (To::Host(host.clone(), target), true),
                // Another host with a certificate would be accepted.
                Some(_) => (To::Anywhere(target), false),
                // Traffic that is not TLS arrives there.
                None => (To::Host(host.clone(), target), false),
            });
        }
        let by_address = port.reading == Reading::Bytes;
        let own = port.number;
        match entry.resolution {
            Resolution::Dns => (!host.wildcard).then(|| (To::Host(host.clone(), own), true)),
            Resolution::DynamicDns => (host.wildcard && !by_address).then(|| (To::Host(host.clone(), own), true)),
            Resolution::Static => Some((To::At(host.clone(), &entry.endpoints, own), true)),
            Resolution::None => {
                let nets = entry.addresses.as_slice();
                // A prefix that begins at 0.0.0.0 stands for every address, and so does the single address `::`.
                let stands_for_all = |net: &IpNet| match net {
                    IpNet::V4(net) => net.network() == Ipv4Addr::UNSPECIFIED,
                    IpNet::V6(net) => net.network() == Ipv6Addr::UNSPECIFIED && net.prefix_len() == 128,
                };
                let all = nets.is_empty() || nets.iter().any(stands_for_all);
                if !by_address || all {
                    return Some((To::Anywhere(own), false));
                }
                // A host that is imported by its own name has only one of several addresses, and it is unknown which.
                Some((To::Addresses(nets, own), host.wildcard || nets.len() == 1))
            }
        }
    }

    /// Returns the TLS that sidecars open to a port of a host.
    fn opened(&self, host: &SmolStr, port: u16, viewer: Option<&SmolStr>) -> Option<&OpenedTls> {
        let rules = self.openings.get(host).into_iter().flatten();
        let mut seen = rules.filter(|one| one.head.is_seen_by(viewer));
        seen.find_map(|one| one.ports.iter().find(|own| own.port == port))
    }

    /// Returns the way through a gateway that a route of a host leads to, if it is complete: mutual TLS to the
    /// gateway's Service, a server of the gateway that takes it, and the route from there to the host.
    fn gateway<'i>(
        &'i self,
        route: &'i Route,
        entry: &'i Entry,
        (text, host): (&SmolStr, &HostName),
        (item, subset): (&'i RouteItem, &SmolStr),
        at: Listening<'_>,
    ) -> Option<To<'i>> {
        let port = item.port?;
        // A listener with a port finds the gateway's Service only on that port.
        if at.port().is_some_and(|own| own != port) {
            return None;
        }
        let rules = self.openings.get(&item.host).into_iter().flatten();
        let mut seen = rules.filter(|one| one.head.is_seen_by(at.viewer));
        let settings = seen.find_map(|one| one.subsets.iter().find(|(name, _)| name == subset))?;
        let tls = settings.1.iter().find(|own| own.port == port).filter(|own| own.mode == "ISTIO_MUTUAL")?;
        let name = HostName::parse(&tls.name).ok()?;
        let gateway = self.policy.gateways.iter().find(|gateway| {
            let service = gateway.service.as_ref();
            service.is_some_and(|(namespace, name)| item.host == format!("{name}.{namespace}{}", self.svc))
        })?;
        let target = gateway.ports.iter().find(|own| own.port == port)?.target;
        let home = gateway.pods.iter().find_map(PodSelector::namespace_name)?;
        if !route.head.is_seen_from(home) || !entry.head.is_seen_from(home) {
            return None;
        }
        let (onward, own) = route.items.iter().find_map(|(_, item)| {
            let own = route.gateways.iter().find(|own| {
                *own != "mesh"
                    && item.matches.iter().any(|one| is_for(one, own) && one.port.is_none_or(|port| port == target))
            })?;
            Some((item, own))
        })?;
        let servers = self.gateways.get(&(&route.head.namespace, own))?;
        let is_own =
            |pods: &PodSelector| servers.selector.iter().all(|(key, value)| pods.labels.only(key) == Some(value));
        let takes = servers
            .list
            .iter()
            .any(|server| server.port == target && server.mode == "ISTIO_MUTUAL" && server.hosts.contains(text));
        let leads = onward.host == *text && onward.subset.is_none();
        let port = onward.port.filter(|_| leads && takes && gateway.pods.iter().all(is_own))?;
        entry.ports.iter().find(|own| own.number == port)?;
        Some(To::Gateway(&gateway.pods, target, name, (host.clone(), port)))
    }
}

fn is_for(one: &RouteMatch, gateway: &str) -> bool {
    one.gateways.iter().any(|own| own == gateway)
}

/// Returns whether the certificate of a host is compared with the host's name.
fn is_checked(tls: &OpenedTls, host: &SmolStr) -> bool {
    tls.mode == "SIMPLE"
        && tls.name == *host
        && tls.names.as_slice() == std::slice::from_ref(host)
        && tls.authorities == "system"
}

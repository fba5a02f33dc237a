//! The egress listeners of a Sidecar.
//!
//! ```netpol
//! allow egress garden/{app=web} -> zenquotes.io:443
//! ```
//!
//! ```yaml
//! egress:
//!   - port: { number: 443, name: tls-443, protocol: TLS }
//!     hosts: ["./zenquotes.io"]
//! ```
//!
//! Items are divided by ports; `form` decides how each port is imported. An import lets out everything that its
//! ServiceEntry or Service has, even for other rules: what the pods are not allowed is a gap.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::allowed::{Allowed, ServicePortItem};
use super::entries::Entries;
use super::form::{Form, OnPort, Whole, form};
use super::imports::Import;
use super::items::{Class, HostPort};
use super::services::{class, other_first, tcp_ports};
use super::taken_in::{Granted, TakenIn};
use crate::inventory::Service;
use crate::model::hosts::HostName;
use crate::model::ports::{AppProtocol, Protocol};
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::IstioGap;
use crate::targets::istio::model::Port;
use crate::targets::istio::words::list_names;

/// A listener of a Sidecar.
pub struct Listener {
    /// The port; `None` is the listener for all ports that no other listener has.
    pub port: Option<Port>,
    /// The imports; none if the pods may reach nothing.
    pub imports: Vec<Import>,
}

/// The items on one port.
#[derive(Default)]
struct PortDraft {
    imports: Vec<Import>,
    on: OnPort,
    /// The items that would let out other ports too if they were imported without a port.
    unclean: Vec<String>,
}

/// The parts of a Sidecar's listeners, while they are made.
#[derive(Default)]
struct Draft {
    ports: BTreeMap<u16, PortDraft>,
    /// The imports without a port.
    rest: Vec<Import>,
    /// The gap of imports that let out more than is allowed.
    gap: Option<IstioGap>,
}

/// Makes the listeners of the Sidecar of a namespace; `None` is the mesh-wide one. Returns their gap too.
pub fn listeners(
    facts: &Facts<'_>,
    entries: &Entries,
    namespace: Option<&SmolStr>,
    allowed: &Allowed,
) -> (Vec<Listener>, Option<IstioGap>) {
    let mut draft = Draft::default();
    draft.add_hosts(facts, entries, namespace, allowed);
    draft.add_addresses(allowed);
    draft.add_services(facts, allowed);
    let Draft { ports, mut rest, mut gap } = draft;
    let whole = || allowed.all_services.iter().map(|namespace| Import::Services { namespace: namespace.clone() });
    // All Services of the mesh are the Services of each namespace.
    let whole: Vec<Import> = match allowed.all_services.contains(&None) {
        true => vec![Import::Services { namespace: None }],
        false => whole().collect(),
    };
    let mut listeners = Vec::new();
    for (port, PortDraft { mut imports, mut on, unclean }) in ports {
        (on.clean, on.dns) = (unclean.is_empty(), port == 53);
        let beside = match whole.is_empty() {
            true => Whole::No,
            // Both answers give the same form.
            false if on.clean || on.twice || on.sent_on => Whole::Unfit,
            false => beside(facts, allowed, port),
        };
        let own = |protocol| Some(Port { number: port, protocol });
        match form(on, beside) {
            Form::Own(protocol) => listeners.push(Listener { port: own(protocol), imports }),
            Form::WithWhole(protocol) => {
                imports.extend(whole.iter().cloned());
                listeners.push(Listener { port: own(protocol), imports });
            }
            Form::Rest => rest.append(&mut imports),
            Form::More => {
                gap.get_or_insert_with(|| {
                    let what = list_names(&unclean);
                    IstioGap::wider(format!("what shares port {port} with it lets {what} through on other ports too"))
                });
                rest.append(&mut imports);
            }
        }
    }
    rest.extend(whole);
    if !rest.is_empty() || listeners.is_empty() {
        listeners.push(Listener { port: None, imports: rest });
    }
    (listeners, gap)
}

impl Draft {
    fn add_hosts(&mut self, facts: &Facts<'_>, entries: &Entries, namespace: Option<&SmolStr>, allowed: &Allowed) {
        // Few Sidecars import a host that other pods reach on more ports.
        let granted = LazyCell::new(|| Granted::new(allowed));
        let mut below: FxHashMap<(&SmolStr, &HostName), TakenIn> = FxHashMap::default();
        for (host, HostPort { number: port, app, is_sent_on, .. }, home) in &allowed.hosts {
            let draft = self.ports.entry(*port).or_default();
            draft.imports.push(Import::Host { home: home.clone(), host: Rc::clone(host) });
            draft.on.tls_hosts |= *app == Some(AppProtocol::Tls);
            draft.on.http_hosts |= app.is_some_and(AppProtocol::has_requests);
            draft.on.addresses |= app.is_none();
            draft.on.sent_on |= is_sent_on;
            if entries.ports(home, &host.name).any(|other| other != *port && !granted.has(&host.name, other)) {
                draft.unclean.push(host.name.to_string());
            }
            if host.name.wildcard {
                let taken = below
                    .entry((home, &host.name))
                    .or_insert_with(|| TakenIn::new(facts, entries, namespace, (home, &host.name), &granted));
                draft.unclean.extend(taken.on_other_ports.iter().cloned());
                if let Some(words) = taken.words(&host.name, *port) {
                    self.gap.get_or_insert_with(|| IstioGap::wider(words));
                }
            }
        }
    }

    fn add_addresses(&mut self, allowed: &Allowed) {
        let Some((groups, home)) = &allowed.groups else { return };
        for (at, found) in groups.iter().enumerate() {
            for &port in &found.group.ports {
                let draft = self.ports.entry(port).or_default();
                draft.imports.push(Import::Addresses { home: home.clone(), groups: Rc::clone(groups), at });
                draft.on.addresses = true;
            }
        }
    }

    fn add_services(&mut self, facts: &Facts<'_>, allowed: &Allowed) {
        let mut granted: FxHashMap<(&SmolStr, &SmolStr), FxHashSet<u16>> = FxHashMap::default();
        for item in &allowed.services {
            granted.entry((&item.namespace, &item.name)).or_default().insert(item.port);
        }
        for item in &allowed.services {
            if allowed.all_services.contains(&None) || allowed.all_services.contains(&Some(item.namespace.clone())) {
                continue;
            }
            let known = facts.policy.inventory.services.get(&(item.namespace.clone(), item.name.clone()));
            let granted = granted.get(&(&item.namespace, &item.name));
            let clean = known.is_some_and(|service| {
                tcp_ports(service).all(|port| granted.is_some_and(|granted| granted.contains(&port)))
            });
            let import = Import::Service { namespace: item.namespace.clone(), name: item.name.clone() };
            if item.headless && item.class != Class::Http {
                // In a listener with a port, the Service would stand for every address on that port; and such a
                // listener of others would hide this port of the Service.
                self.ports.entry(item.port).or_default().on.twice = true;
                self.rest.push(import);
                if !clean {
                    let words = format!(
                        "the headless Service {}/{} is let through on all its ports",
                        item.namespace, item.name
                    );
                    self.gap.get_or_insert_with(|| IstioGap::wider(words));
                }
                continue;
            }
            let draft = self.ports.entry(item.port).or_default();
            draft.imports.push(import);
            match item.class {
                Class::Http => draft.on.http_services = true,
                Class::Tls => draft.on.tls_services = true,
                Class::Tcp => draft.on.tcp_services = true,
                Class::Auto => draft.on.auto_services = true,
            }
            let twice = known.map_or(is_resolver(item), |service| other_first(service, item.port));
            draft.on.twice |= twice;
            if !(clean || twice && is_resolver(item)) {
                draft.unclean.push(format!("{}/{}", item.namespace, item.name));
            }
        }
    }
}

/// Returns whether a Service is the cluster's resolver, whose first port is 53/udp on every platform.
fn is_resolver(item: &ServicePortItem) -> bool {
    item.port == 53 && item.class == Class::Tcp
}

/// Returns which listener a port needs for the Services that are imported whole.
fn beside(facts: &Facts<'_>, allowed: &Allowed, port: u16) -> Whole {
    // A listener with the port would stand for every address on it, or only for another protocol.
    let unfit = |name: &SmolStr| {
        on(facts, name, port)
            .any(|(class, service)| service.headless && class != Class::Http || other_first(service, port))
    };
    let some_unfit = allowed.all_services.iter().any(|namespace| match namespace {
        None => facts.names().iter().any(|name| unfit(name)),
        Some(name) => unfit(name),
    });
    let http = |name: &SmolStr| {
        facts.closed() && facts.known(name).is_some() && on(facts, name, port).all(|(class, _)| class == Class::Http)
    };
    if some_unfit {
        Whole::Unfit
    } else if allowed.all_services.iter().all(|namespace| namespace.as_ref().is_some_and(http)) {
        Whole::Http
    } else {
        Whole::Bytes
    }
}

/// Returns the known Services of a namespace that have a port, each with the protocol that Istio reads.
fn on<'f>(facts: &'f Facts<'_>, namespace: &str, port: u16) -> impl Iterator<Item = (Class, &'f Service)> {
    let services = facts.known(namespace).map(|known| known.services.as_slice()).unwrap_or_default();
    services.iter().flat_map(move |(_, service)| {
        let tcp = service.ports.iter().filter(move |have| have.port == port && have.protocol == Protocol::Tcp);
        tcp.map(|have| (class(have), *service))
    })
}

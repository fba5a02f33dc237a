//! The egress listeners of a Sidecar.
//!
//! A listener with a port lets through just that port of what it imports, and reads all of it by its own protocol: TLS
//! tells hosts apart by the SNI and HTTP by the Host header, while TCP knows addresses alone. So hosts read as TLS, hosts
//! read as HTTP and addresses cannot share one; a Service with an address of its own can join TLS hosts or addresses,
//! unread. What cannot share a listener is imported without a port, where each keeps its own protocol and brings all of
//! its ports; and a listener with a port hides what the one without has on that port, so both name it.
//!
//! Of a Service that has its number twice, for UDP and for TCP as the cluster's DNS has 53, a listener with that port
//! takes the first alone. Where that is UDP, TCP would be closed, so such a Service is imported without a port too.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::addresses::{Addresses, Found, Group};
use super::destinations::{Class, Outside};
use super::entries::{Below, Entries};
use super::services::tcp_ports;
use crate::inventory::Service;
use crate::model::hosts::HostName;
use crate::model::ports::AppProtocol;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::judge::Flaw;
use crate::targets::istio::model::{Egress, Port};

/// What one Sidecar lets through.
#[derive(Default)]
pub struct Wanted {
    /// Hosts on ports, each with the namespace of its ServiceEntry.
    pub hosts: Vec<(Rc<Outside>, u16, AppProtocol, SmolStr)>,
    /// Ports of Services.
    pub services: Vec<ServicePortItem>,
    /// All Services of these namespaces; `None` is every one.
    pub all_services: BTreeSet<Option<SmolStr>>,
    /// Addresses, with the namespace of their ServiceEntries.
    pub groups: Option<(Rc<Vec<Found>>, SmolStr)>,
}

impl Wanted {
    /// Returns whether there is so much that the object may be too large.
    pub fn is_large(&self) -> bool {
        const MANY: usize = 1500;
        let ports = |found: &Found| found.group.ports.len();
        let groups = || self.groups.iter().flat_map(|(groups, _)| groups.iter()).map(ports).sum::<usize>();
        self.hosts.len() + self.services.len() + groups() > MANY
    }
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServicePortItem {
    /// The Service's namespace.
    pub namespace: SmolStr,
    /// The Service's name.
    pub name: SmolStr,
    /// The port.
    pub port: u16,
    /// How it is read.
    pub class: Class,
    /// Whether it has no address of its own.
    pub headless: bool,
}

/// Makes the listeners of one Sidecar.
pub struct Listeners<'l, 'a> {
    /// The facts.
    pub facts: &'l Facts<'a>,
    /// The ServiceEntries.
    pub entries: &'l Entries,
    /// The names of addresses.
    pub addresses: &'l Addresses<'a>,
    /// The namespace of the Sidecar; `None` is the mesh's.
    pub namespace: Option<&'l SmolStr>,
    /// Whether the names of what is imported are wanted, and not only what comes along with it.
    pub with_names: bool,
}

/// What is wanted on one port.
#[derive(Default)]
struct OnPort<'w> {
    names: BTreeSet<String>,
    tls_hosts: bool,
    http_hosts: bool,
    addresses: bool,
    http_services: bool,
    other_services: bool,
    tls_services: bool,
    unread_services: bool,
    /// Whether a Service has this number for another protocol first.
    twice: bool,
    /// What would bring other ports along without a port.
    unclean: Vec<String>,
    services: Vec<&'w ServicePortItem>,
}

/// What the rules of a Sidecar's pods let through by name, to be compared with what imports bring.
struct Granted<'w> {
    names: FxHashMap<&'w HostName, FxHashSet<u16>>,
    wildcards: Vec<&'w HostName>,
    groups: FxHashSet<(&'w SmolStr, &'w Group)>,
}

impl<'w> Granted<'w> {
    fn new(wanted: &'w Wanted) -> Granted<'w> {
        let mut names: FxHashMap<&HostName, FxHashSet<u16>> = FxHashMap::default();
        for (host, port, ..) in &wanted.hosts {
            names.entry(&host.name).or_default().insert(*port);
        }
        let wildcards = names.keys().copied().filter(|name| name.wildcard).collect();
        let groups =
            wanted.groups.iter().flat_map(|(groups, home)| groups.iter().map(move |found| (home, &found.group)));
        Granted { groups: groups.collect(), wildcards, names }
    }

    /// Returns whether a host is let through on a port, by its own name or by one with a wildcard.
    fn has(&self, host: &HostName, port: u16) -> bool {
        let on = |name: &HostName| self.names.get(name).is_some_and(|ports| ports.contains(&port));
        on(host) || self.wildcards.iter().any(|wildcard| wildcard.contains(host) && on(wildcard))
    }
}

/// What an import by a wildcard takes in although the pods are not allowed it.
#[derive(Default)]
struct TakenIn {
    /// Hosts and addresses that it lets through on more ports, where it is imported without a port.
    on_other_ports: Vec<String>,
    /// What it lets through on a port although it is elsewhere than the wildcard's hosts are.
    elsewhere: Vec<(u16, String)>,
}

impl TakenIn {
    /// Returns what is let through in excess even by a listener with this port.
    fn words(&self, wildcard: &HostName, port: u16) -> Option<String> {
        let names = self.elsewhere.iter().filter(|(on, _)| *on == port).map(|(_, name)| name.clone());
        let names: Vec<String> = names.collect();
        let words = || {
            format!(
                "{wildcard} takes in {} too, which other rules name",
                crate::targets::istio::judge::list_names(&names)
            )
        };
        (!names.is_empty()).then(words)
    }
}

/// How a port's wants are imported.
enum Form {
    /// By a listener of its own with this protocol; the namespaces that are imported whole are named too, or not.
    Own(&'static str, bool),
    /// By the listener without a port.
    Rest,
    /// By the listener without a port, which brings more.
    More,
}

impl Listeners<'_, '_> {
    /// Returns the listeners, and what they let through in excess.
    pub fn make(&self, wanted: &Wanted) -> (Vec<Egress>, Option<Flaw>) {
        let mut flaw = None;
        let mut rest: BTreeSet<String> = BTreeSet::new();
        let mut listeners = Vec::new();
        let whole: BTreeSet<String> = self.whole(wanted);
        for (port, mut wants) in self.by_port(wanted, &mut rest, &mut flaw) {
            match self.form(port, &wants, wanted) {
                Form::Own(protocol, with_whole) => {
                    if with_whole {
                        wants.names.extend(whole.iter().cloned());
                    }
                    let port = Some(Port { number: port, protocol });
                    listeners.push(Egress { port, hosts: wants.names.into_iter().collect() });
                }
                Form::Rest => rest.extend(wants.names),
                Form::More => {
                    flaw.get_or_insert_with(|| {
                        let what = crate::targets::istio::judge::list_names(&wants.unclean);
                        Flaw::wider(format!("what shares port {port} with it lets {what} through on other ports too"))
                    });
                    rest.extend(wants.names);
                }
            }
        }
        rest.extend(whole);
        if !rest.is_empty() {
            listeners.push(Egress { port: None, hosts: rest.into_iter().collect() });
        }
        if listeners.is_empty() {
            listeners.push(Egress { port: None, hosts: vec!["~/*".into()] });
        }
        (listeners, flaw)
    }

    fn by_port<'w>(
        &self,
        wanted: &'w Wanted,
        rest: &mut BTreeSet<String>,
        flaw: &mut Option<Flaw>,
    ) -> BTreeMap<u16, OnPort<'w>> {
        let mut ports: BTreeMap<u16, OnPort<'w>> = BTreeMap::new();
        let granted = Granted::new(wanted);
        let mut below: FxHashMap<(&SmolStr, &HostName), TakenIn> = FxHashMap::default();
        for (host, port, app, home) in &wanted.hosts {
            let wants = ports.entry(*port).or_default();
            wants.names.extend(self.import(home, || host.name.to_string()));
            wants.tls_hosts |= *app == AppProtocol::Tls;
            wants.http_hosts |= app.has_requests();
            if self.entries.ports(home, &host.name).any(|port| !granted.has(&host.name, port)) {
                wants.unclean.push(host.name.to_string());
            }
            if host.name.wildcard {
                let taken =
                    below.entry((home, &host.name)).or_insert_with(|| self.taken_in(&host.name, home, &granted));
                wants.unclean.extend(taken.on_other_ports.iter().cloned());
                if let Some(words) = taken.words(&host.name, *port) {
                    flaw.get_or_insert_with(|| Flaw::wider(words));
                }
            }
        }
        if let Some((groups, home)) = &wanted.groups {
            for Found { group, .. } in groups.iter() {
                let import = self.import(home, || self.addresses.hosts(group).1);
                for &port in &group.ports {
                    let wants = ports.entry(port).or_default();
                    wants.names.extend(import.clone());
                    wants.addresses = true;
                }
            }
        }
        self.services_by_port(wanted, &mut ports, rest, flaw);
        ports
    }

    /// Finds what an import of a host with a wildcard takes in although nothing lets it through to these pods: entries
    /// of the same namespace that other rules ask for.
    fn taken_in(&self, wildcard: &HostName, home: &SmolStr, granted: &Granted<'_>) -> TakenIn {
        let mut taken = TakenIn::default();
        let own = self.namespace;
        for below in self.entries.below(home, wildcard, own) {
            match below {
                Below::Host(host) => {
                    if self.entries.ports(home, host).any(|port| !granted.has(host, port)) {
                        taken.on_other_ports.push(host.to_string());
                    }
                    // Elsewhere than in the internet a host is only for who is allowed it by its own name.
                    if !self.entries.at(home, host).is_inside(&self.facts.policy.internet) {
                        let named = granted.names.get(host);
                        let other = |port: &u16| named.is_none_or(|ports| !ports.contains(port));
                        let others = self.entries.ports(home, host).filter(other);
                        taken.elsewhere.extend(others.map(|port| (port, host.to_string())));
                    }
                }
                Below::Group(group) if granted.groups.contains(&(home, group)) => {}
                Below::Group(group) => {
                    let words = crate::targets::istio::judge::list_names(
                        &group.prefixes.iter().map(|prefix| prefix.net.to_string()).collect::<Vec<_>>(),
                    );
                    taken.elsewhere.extend(group.ports.iter().map(|&port| (port, words.clone())));
                    taken.on_other_ports.push(words);
                }
            }
        }
        taken
    }

    fn services_by_port<'w>(
        &self,
        wanted: &'w Wanted,
        ports: &mut BTreeMap<u16, OnPort<'w>>,
        rest: &mut BTreeSet<String>,
        flaw: &mut Option<Flaw>,
    ) {
        let mut granted: FxHashMap<(&SmolStr, &SmolStr), FxHashSet<u16>> = FxHashMap::default();
        for item in &wanted.services {
            granted.entry((&item.namespace, &item.name)).or_default().insert(item.port);
        }
        for item in &wanted.services {
            if wanted.all_services.contains(&None) || wanted.all_services.contains(&Some(item.namespace.clone())) {
                continue;
            }
            let known = self.facts.policy.inventory.services.get(&(item.namespace.clone(), item.name.clone()));
            let granted = granted.get(&(&item.namespace, &item.name));
            let clean = known.is_some_and(|service| {
                tcp_ports(service).all(|port| granted.is_some_and(|granted| granted.contains(&port)))
            });
            let domain = &self.facts.policy.settings.domain;
            let host = || format!("{}.{}.svc.{domain}", item.name, item.namespace);
            let import = self.import(&item.namespace, host);
            if item.headless && item.class != Class::Http {
                // On a listener with a port it would stand for every address on that port.
                rest.extend(import);
                if !clean {
                    let words = format!(
                        "the headless Service {}/{} is let through on all its ports",
                        item.namespace, item.name
                    );
                    flaw.get_or_insert_with(|| Flaw::wider(words));
                }
                continue;
            }
            let wants = ports.entry(item.port).or_default();
            wants.names.extend(import);
            wants.services.push(item);
            match item.class {
                Class::Http => wants.http_services = true,
                Class::Tls => wants.tls_services = true,
                Class::Tcp => wants.other_services = true,
                Class::Auto => wants.unread_services = true,
            }
            let twice = known.map_or(is_resolver(item), |service| super::services::other_first(service, item.port));
            wants.twice |= twice;
            if !(clean || twice && is_resolver(item)) {
                wants.unclean.push(format!("{}/{}", item.namespace, item.name));
            }
        }
    }

    fn form(&self, port: u16, wants: &OnPort<'_>, wanted: &Wanted) -> Form {
        if wants.twice {
            return if wants.unclean.is_empty() { Form::Rest } else { Form::More };
        }
        let read = wants.http_services || wants.unread_services;
        let http_alone = (wants.http_hosts || wants.http_services)
            && !(wants.tls_hosts
                || wants.addresses
                || wants.tls_services
                || wants.other_services
                || wants.unread_services);
        // Services with addresses of their own can stand beside hosts read as TLS, or beside addresses.
        let unread = match (wants.http_hosts, wants.tls_hosts, wants.addresses) {
            (false, true, false) => Some("TLS"),
            (false, false, _) if wants.tls_services && !wants.addresses && !wants.other_services && !read => {
                Some("TLS")
            }
            (false, false, _) => Some("TCP"),
            _ => None,
        };
        if wanted.all_services.is_empty() {
            return match unread {
                _ if http_alone => Form::Own("HTTP", false),
                Some(protocol) if !read => Form::Own(protocol, false),
                _ if wants.unclean.is_empty() => Form::Rest,
                Some(protocol) => Form::Own(protocol, false),
                None => Form::More,
            };
        }
        match unread {
            // The resolver alone has an address of its own: it hides nothing of what is imported without a port.
            Some(protocol) if port == 53 && !wants.addresses && !read => Form::Own(protocol, false),
            _ if wants.unclean.is_empty() => Form::Rest,
            _ if http_alone && self.all_read(wanted, port) && !self.some_unfit(wanted, port) => Form::Own("HTTP", true),
            Some(protocol) if !self.some_unfit(wanted, port) => Form::Own(protocol, true),
            _ => Form::More,
        }
    }

    /// Returns whether the Services that are imported whole are known to read a port as HTTP, where they have it.
    fn all_read(&self, wanted: &Wanted, port: u16) -> bool {
        wanted.all_services.iter().all(|namespace| match namespace {
            None => false,
            Some(name) => {
                self.facts.closed()
                    && self.facts.known(name).is_some()
                    && self.on(name, port).all(|(class, _)| class == Class::Http)
            }
        })
    }

    /// Returns whether a listener with a port does not fit a Service that is imported whole: it would stand for every
    /// address on that port, or only for another protocol.
    fn some_unfit(&self, wanted: &Wanted, port: u16) -> bool {
        let some = |name: &SmolStr| {
            let twice = |service: &Service| super::services::other_first(service, port);
            self.on(name, port).any(|(class, service)| service.headless && class != Class::Http || twice(service))
        };
        wanted.all_services.iter().any(|namespace| match namespace {
            None => self.facts.names().iter().any(|name| some(name)),
            Some(name) => some(name),
        })
    }

    fn on(&self, namespace: &str, port: u16) -> impl Iterator<Item = (Class, &Service)> {
        let services = self.facts.known(namespace).map(|known| known.services.as_slice()).unwrap_or_default();
        services.iter().flat_map(move |(_, service)| {
            let tcp = service
                .ports
                .iter()
                .filter(move |have| have.port == port && have.protocol == crate::model::ports::Protocol::Tcp);
            tcp.map(|have| (super::services::class(have), *service))
        })
    }

    /// Returns the imports of whole namespaces: their Services, and none of their ServiceEntries.
    fn whole(&self, wanted: &Wanted) -> BTreeSet<String> {
        let domain = &self.facts.policy.settings.domain;
        if wanted.all_services.contains(&None) {
            return BTreeSet::from([format!("*/*.svc.{domain}")]);
        }
        let names = wanted.all_services.iter().flatten();
        names.filter_map(|name| self.import(name, || format!("*.{name}.svc.{domain}"))).collect()
    }

    /// Returns how a host of a namespace is imported, where that is wanted.
    fn import(&self, home: &SmolStr, host: impl FnOnce() -> String) -> Option<String> {
        let home = if self.namespace == Some(home) { "." } else { home };
        self.with_names.then(|| format!("{home}/{}", host()))
    }
}

/// Returns whether a Service is there for the names of the cluster, which has 53 for UDP first on every platform.
fn is_resolver(item: &ServicePortItem) -> bool {
    item.port == 53 && item.class == Class::Tcp
}

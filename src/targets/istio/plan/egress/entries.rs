//! The ServiceEntries of a policy: one for each host and namespace, with the ports of all rules, and one for each prefix
//! of addresses. Each is visible in its own namespace alone, those of the mesh's rules everywhere.

use crate::model::rules::RuleId;
use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::addresses::{Addresses, Group, is_single};
use super::destinations::Outside;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::model::addresses::AddressSet;
use crate::model::hosts::HostName;
use crate::model::ports::AppProtocol;
use crate::policy::Policy;
use crate::settings::Settings;
use crate::targets::istio::model::{ExportTo, Meta, Port, Resolution, Resource, ServiceEntry};
use crate::targets::names::{Limit, Taken, Words};

/// The ServiceEntries, as they are asked for.
#[derive(Default)]
pub struct Entries {
    hosts: BTreeMap<(SmolStr, HostName), HostEntry>,
    groups: BTreeMap<(SmolStr, Group), GroupEntry>,
    /// For each host with a wildcard, by its namespace and what follows the `*.`: the entries below it.
    below: FxHashMap<(SmolStr, SmolStr), Vec<Below>>,
}

/// An entry of a namespace that an import by a wildcard takes in, since its host lies below the imported one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Below {
    /// A host.
    Host(HostName),
    /// Addresses, by their made-up hosts.
    Group(Group),
}

struct HostEntry {
    outside: Rc<Outside>,
    ports: BTreeMap<u16, (AppProtocol, RuleId)>,
    rules: Vec<RuleId>,
    everyone: bool,
    gateways: Vec<SmolStr>,
    clash: bool,
}

#[derive(Default)]
struct GroupEntry {
    rules: Vec<RuleId>,
    everyone: bool,
}

impl Entries {
    /// Asks for a host on a port in a namespace, for a rule.
    pub fn host(
        &mut self,
        namespace: &SmolStr,
        host: &Rc<Outside>,
        (port, app): (u16, AppProtocol),
        rule: RuleId,
        everyone: bool,
        trouble: &mut Trouble<'_>,
    ) {
        let entry = self.hosts.entry((namespace.clone(), host.name.clone())).or_insert_with(|| HostEntry {
            outside: Rc::clone(host),
            ports: BTreeMap::new(),
            rules: Vec::new(),
            everyone: false,
            gateways: Vec::new(),
            clash: false,
        });
        entry.everyone |= everyone;
        if entry.rules.last() != Some(&rule) {
            entry.rules.push(rule);
        }
        let (have, first) = *entry.ports.entry(port).or_insert((app, rule));
        if have != app && !entry.clash {
            entry.clash = true;
            trouble.protocols(namespace, host, port, (have, first), (app, rule));
        }
        if entry.outside.at != host.at && !entry.clash {
            entry.clash = true;
            trouble.addresses(namespace, host, (first, rule));
        }
    }

    /// Lets a gateway's namespace see a host.
    pub fn show(&mut self, namespace: &SmolStr, host: &HostName, gateway: &SmolStr) {
        if let Some(entry) = self.hosts.get_mut(&(namespace.clone(), host.clone()))
            && !entry.gateways.contains(gateway)
        {
            entry.gateways.push(gateway.clone());
        }
    }

    /// Asks for addresses in a namespace, for some rules.
    pub fn group(&mut self, namespace: &SmolStr, group: &Group, rules: &[RuleId], everyone: bool) {
        let entry = self.groups.entry((namespace.clone(), group.clone())).or_default();
        entry.rules.extend(rules);
        entry.everyone |= everyone;
    }

    /// Returns the ports of a host in a namespace.
    pub fn ports(&self, namespace: &SmolStr, host: &HostName) -> impl Iterator<Item = u16> {
        let entry = self.hosts.get(&(namespace.clone(), host.clone()));
        entry.into_iter().flat_map(|entry| entry.ports.keys().copied())
    }

    /// Returns the addresses that a host has in a namespace; none where its name says where it is.
    pub fn at(&self, namespace: &SmolStr, host: &HostName) -> AddressSet {
        let entry = self.hosts.get(&(namespace.clone(), host.clone()));
        AddressSet::of(entry.into_iter().flat_map(|entry| entry.outside.at.iter().map(|at| at.net)))
    }

    /// Finds what lies below the hosts with a wildcard. It is called when everything has been asked for.
    pub fn find_below(&mut self, addresses: &Addresses<'_>) {
        let wildcards = self.hosts.keys().filter(|(_, host)| host.wildcard);
        self.below = wildcards.map(|(namespace, host)| ((namespace.clone(), host.name.clone()), Vec::new())).collect();
        if self.below.is_empty() {
            return;
        }
        for (namespace, host) in self.hosts.keys() {
            add_below(&mut self.below, namespace, &host.name, || Below::Host(host.clone()));
        }
        for (namespace, group) in self.groups.keys() {
            for host in addresses.hosts(group).0 {
                add_below(&mut self.below, namespace, &host, || Below::Group(group.clone()));
            }
        }
    }

    /// Returns what an import of a host with a wildcard takes in beside that host itself, as pods of a namespace see it;
    /// `None` are pods of any.
    pub fn below<'e>(
        &'e self,
        home: &'e SmolStr,
        wildcard: &HostName,
        viewer: Option<&'e SmolStr>,
    ) -> impl Iterator<Item = &'e Below> {
        let found = self.below.get(&(home.clone(), wildcard.name.clone()));
        let seen = move |below: &&Below| {
            let everyone = viewer.is_none_or(|viewer| viewer == home);
            everyone
                || match below {
                    Below::Host(host) => self
                        .hosts
                        .get(&(home.clone(), host.clone()))
                        .is_some_and(|entry| entry.everyone || entry.gateways.iter().any(|one| Some(one) == viewer)),
                    Below::Group(group) => {
                        self.groups.get(&(home.clone(), group.clone())).is_some_and(|entry| entry.everyone)
                    }
                }
        };
        found.into_iter().flatten().filter(seen)
    }

    /// Returns the objects.
    pub fn finish(self, addresses: &Addresses<'_>, settings: &Settings) -> Vec<Resource> {
        let taken = &mut Taken::of(settings);
        let mut list = Vec::new();
        for ((namespace, name), entry) in self.hosts {
            list.push(host_entry(namespace, &name, entry, taken));
        }
        for ((namespace, group), entry) in self.groups {
            group_entries(&namespace, &group, entry, addresses, taken, &mut list);
        }
        list
    }
}

/// Adds an entry to every host with a wildcard that its own host lies below.
fn add_below(
    all: &mut FxHashMap<(SmolStr, SmolStr), Vec<Below>>,
    namespace: &SmolStr,
    host: &str,
    entry: impl Fn() -> Below,
) {
    for (dot, _) in host.match_indices('.') {
        let Some(list) = all.get_mut(&(namespace.clone(), host[dot + 1..].into())) else { continue };
        let entry = entry();
        if list.last() != Some(&entry) {
            list.push(entry);
        }
    }
}

fn host_entry(namespace: SmolStr, name: &HostName, entry: HostEntry, taken: &mut Taken) -> Resource {
    let host = name.to_string();
    let resolution = if name.wildcard {
        Resolution::DynamicDns
    } else if !entry.outside.at.is_empty() && entry.outside.at.iter().all(|at| is_single(&at.net)) {
        Resolution::Static
    } else {
        Resolution::Dns
    };
    let endpoints = match resolution {
        Resolution::Static => entry.outside.at.iter().map(|at| (at.net.addr(), at.weight)).collect(),
        _ => Vec::new(),
    };
    let name = taken.name(&namespace, &Words::of_host(&host), "", &host, Limit::Subdomain);
    let ports = entry.ports.iter().map(|(&number, &(app, _))| Port { number, protocol: protocol(app) }).collect();
    let export_to = if entry.everyone { ExportTo::Everyone } else { ExportTo::Own(entry.gateways) };
    Resource::ServiceEntry(ServiceEntry {
        meta: Meta { namespace, name, rules: entry.rules, comment: None },
        host,
        address: None,
        export_to,
        resolution,
        ports,
        endpoints,
    })
}

fn group_entries(
    namespace: &SmolStr,
    group: &Group,
    entry: GroupEntry,
    addresses: &Addresses<'_>,
    taken: &mut Taken,
    list: &mut Vec<Resource>,
) {
    let GroupEntry { mut rules, everyone } = entry;
    rules.sort_unstable();
    rules.dedup();
    for (prefix, host) in group.prefixes.iter().zip(addresses.hosts(group).0) {
        // The made-up host says it all, but for its last two labels. What many share stands first.
        let mut labels: Vec<&str> = host.trim_end_matches(".netpol.internal").split('.').collect();
        if labels.len() > 2 {
            labels.rotate_left(1);
        }
        let words = Words { text: Words::of(&labels.join("-")).text, exact: true };
        let name = taken.name(namespace, &words, "", &host, Limit::Subdomain);
        let ports = group.ports.iter().map(|&number| Port { number, protocol: "TCP" }).collect();
        list.push(Resource::ServiceEntry(ServiceEntry {
            meta: Meta { namespace: namespace.clone(), name, rules: rules.clone(), comment: None },
            host,
            address: Some(prefix.net),
            export_to: if everyone { ExportTo::Everyone } else { ExportTo::Own(Vec::new()) },
            resolution: if prefix.hole { Resolution::Static } else { Resolution::None },
            ports,
            endpoints: Vec::new(),
        }));
    }
}

/// Returns Istio's word for how a port is read.
pub fn protocol(app: AppProtocol) -> &'static str {
    match app {
        AppProtocol::Http => "HTTP",
        AppProtocol::Grpc => "GRPC",
        AppProtocol::Tls | AppProtocol::Https => "TLS",
    }
}

/// Returns whether the rules of a namespace ask for a host, so that its entry stands there.
pub fn is_local(namespace: &Option<SmolStr>, local: &FxHashSet<(SmolStr, HostName)>, host: &HostName) -> bool {
    namespace.as_ref().is_some_and(|namespace| local.contains(&(namespace.clone(), host.clone())))
}

/// Returns where the entry of a host stands that pods of a namespace reach.
pub fn home(
    namespace: &Option<SmolStr>,
    local: &FxHashSet<(SmolStr, HostName)>,
    host: &HostName,
    root: &SmolStr,
) -> SmolStr {
    match namespace {
        Some(name) if is_local(namespace, local, host) => name.clone(),
        _ => root.clone(),
    }
}

/// Says what rules contradict each other in.
pub struct Trouble<'t> {
    /// The policy.
    pub policy: &'t Policy,
    /// Where it is said.
    pub diagnostics: &'t mut Diagnostics,
}

impl Trouble<'_> {
    fn protocols(
        &mut self,
        namespace: &SmolStr,
        host: &Outside,
        port: u16,
        first: (AppProtocol, RuleId),
        second: (AppProtocol, RuleId),
    ) {
        let span = |rule: RuleId| self.policy.rule(rule).map(|rule| rule.origin.span);
        let (Some(one), Some(other)) = (span(first.1), span(second.1)) else { return };
        let (name, here, there) = (&host.name, second.0.word(), first.0.word());
        self.diagnostics.push(
            Diagnostic::new(Code::PortReadTwice, other, format!("{name}:{port} is read as {there} and as {here} in {namespace}"))
                .at(format!("as {here}"))
                .label(one, format!("as {there}"))
                .note(format!("Istio has one ServiceEntry for a host of a namespace: write `{name}:{port}/{there}` in both, or `/{here}`")),
        );
    }

    fn addresses(&mut self, namespace: &SmolStr, host: &Outside, (first, second): (RuleId, RuleId)) {
        let span = |rule: RuleId| self.policy.rule(rule).map(|rule| rule.origin.span);
        let (Some(one), Some(other)) = (span(first), span(second)) else { return };
        let name = &host.name;
        self.diagnostics.push(
            Diagnostic::new(
                Code::HostInTwoPlaces,
                other,
                format!("{name} has different addresses in two rules for {namespace}"),
            )
            .at("other addresses")
            .label(one, "some addresses, or none")
            .note(format!("name it once, `let NAME = host {name} at …`, and use that name in both")),
        );
    }
}

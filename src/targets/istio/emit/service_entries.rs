//! ServiceEntries: one for each host, and one for each block of addresses. A host to which sidecars open TLS has a
//! DestinationRule too.
//!
//! ```netpol
//! allow egress garden/* -> 203.0.113.0/24:443
//! ```
//!
//! ```yaml
//! kind: ServiceEntry
//! metadata:
//!   name: "203-0-113-0-24-tcp-443"
//!   namespace: garden
//! ```

use std::collections::BTreeSet;
use std::rc::Rc;

use ipnet::IpNet;
use smol_str::SmolStr;

use crate::model::hosts::HostName;
use crate::model::ports::AppProtocol;
use crate::model::rules::RuleId;
use crate::settings::Settings;
use crate::targets::istio::limits::MOST_ADDRESSES;
use crate::targets::istio::model::{
    DestinationRule, ExportTo, Meta, OpenedTls, Origin, Port, Resolution, Resource, ServiceEntry, Spec,
};
use crate::targets::istio::nets::is_single;
use crate::targets::istio::plan::egress::entries::{Entries, Group, GroupEntry, HostEntry};
use crate::targets::istio::plan::egress::items::HostPort;
use crate::targets::names::{Limit, Taken, Words};

/// Makes the ServiceEntries.
pub fn emit(settings: &Settings, entries: Entries) -> Vec<Resource> {
    let taken = &mut Taken::of(settings);
    let mut list = Vec::new();
    for ((namespace, name), entry) in entries.hosts {
        list.extend(of_host(namespace, &name, entry, taken));
    }
    for ((namespace, group), entry) in entries.groups {
        list.extend(of_group(&namespace, &group, entry, taken));
    }
    list
}

fn of_host(namespace: SmolStr, name: &HostName, entry: HostEntry, taken: &mut Taken) -> Vec<Resource> {
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
    let port = |port: &HostPort| (Port { number: port.number, protocol: protocol(port.app) }, port.tls_to);
    let ports = entry.ports.values().map(|(one, _)| port(one)).collect();
    let export_to = if entry.everyone { ExportTo::Everyone } else { ExportTo::Own(entry.gateways) };
    let rules: Rc<[RuleId]> = entry.rules.into();
    let mut list = Vec::with_capacity(1);
    let opened = entry.ports.values().filter(|(one, _)| one.tls_to.is_some()).map(|(one, _)| one.number);
    let opened: Vec<u16> = opened.collect();
    if !opened.is_empty() {
        let tls = OpenedTls::Simple { ports: opened };
        let spec = DestinationRule { host: host.clone(), export_to: export_to.clone(), tls };
        let meta = Meta { namespace: namespace.clone(), name: name.clone() };
        let origin = Origin { rules: Rc::clone(&rules), comment: None };
        list.push(Resource { meta, origin, spec: Spec::DestinationRule(spec) });
    }
    // On a TCP port the host is recognised by the dialled address.
    let by_address = entry.ports.values().any(|(one, _)| one.app.is_none());
    let addresses = entry.outside.at.iter().map(|at| at.net).filter(|_| by_address).collect();
    let spec = ServiceEntry { host, addresses, export_to, resolution, ports, endpoints };
    list.push(resource(namespace, name, rules, spec));
    list
}

fn of_group(namespace: &SmolStr, group: &Group, entry: GroupEntry, taken: &mut Taken) -> Vec<Resource> {
    let GroupEntry { rules: lists, everyone } = entry;
    let rules: Rc<[RuleId]> = match lists.as_slice() {
        [one] => Rc::clone(one),
        lists => lists.iter().flat_map(|list| list.iter().copied()).collect::<BTreeSet<RuleId>>().into_iter().collect(),
    };
    let ports: Vec<(Port, Option<u16>)> =
        group.ports.iter().map(|&number| (Port { number, protocol: "TCP" }, None)).collect();
    let (host, words) = (group.host(), Words { text: group.words(), exact: true });
    let entry = |(at, prefixes): (usize, &[IpNet])| {
        let end = if at == 0 { String::new() } else { (at + 1).to_string() };
        let name = taken.name(namespace, &words, &end, &host, Limit::Subdomain);
        let spec = ServiceEntry {
            host: host.clone(),
            addresses: prefixes.to_vec(),
            export_to: if everyone { ExportTo::Everyone } else { ExportTo::Own(Vec::new()) },
            resolution: Resolution::None,
            ports: ports.clone(),
            endpoints: Vec::new(),
        };
        resource(namespace.clone(), name, Rc::clone(&rules), spec)
    };
    group.prefixes.chunks(MOST_ADDRESSES).enumerate().map(entry).collect()
}

fn resource(namespace: SmolStr, name: String, rules: Rc<[RuleId]>, spec: ServiceEntry) -> Resource {
    let (meta, origin) = (Meta { namespace, name }, Origin { rules, comment: None });
    Resource { meta, origin, spec: Spec::ServiceEntry(spec) }
}

/// Returns Istio's word for a protocol.
fn protocol(app: Option<AppProtocol>) -> &'static str {
    match app {
        Some(AppProtocol::Http) => "HTTP",
        Some(AppProtocol::Grpc) => "GRPC",
        Some(AppProtocol::Tls | AppProtocol::Https) => "TLS",
        None => "TCP",
    }
}

//! ServiceEntries, VirtualServices, DestinationRules and Gateways of Istio, as a build writes them. An unknown field is
//! a finding, because it is unknown where it leads.

use std::net::IpAddr;

use ipnet::IpNet;
use smol_str::SmolStr;

use super::document::Mistakes;
use super::network::known;
use super::object::Meta;
use super::tree::At;
use super::{errors, fields};
use crate::inventory::PolicyKind;
use crate::inventory::outside::{
    Entry, EntryPort, Head, Mesh, OpenedTls, Opening, Reading, Resolution, Route, RouteItem, RouteMatch, Server,
    Servers,
};

/// Adds an object of one of these kinds to the others of its text; returns false for another kind.
pub(super) fn add(kind: &str, meta: &Meta<'_>, object: At<'_>, mesh: &mut Mesh, mistakes: &mut Mistakes<'_>) -> bool {
    known(object, "an object of Istio", &["apiVersion", "kind", "metadata", "spec"], mistakes);
    let Some(spec) = fields::mapping(object, "spec", mistakes) else { return false };
    let head = Head {
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        export_to: fields::texts(spec, "exportTo", mistakes),
        origin: meta.origin,
    };
    match kind {
        "ServiceEntry" => mesh.entries.extend(entry(head, spec, mistakes)),
        "VirtualService" => mesh.routes.push(route(head, spec, mistakes)),
        "DestinationRule" => mesh.openings.extend(opening(head, spec, mistakes)),
        "Gateway" => mesh.gateways.push(servers(head, spec, mistakes)),
        _ => return false,
    }
    true
}

/// Reports the fields of a Sidecar that no build writes.
pub(super) fn refuse_unknown_fields(kind: PolicyKind, object: At<'_>, mistakes: &mut Mistakes<'_>) {
    let Some(spec) = object.get("spec").filter(|_| kind == PolicyKind::Sidecar) else { return };
    known(spec, "a Sidecar", &["workloadSelector", "outboundTrafficPolicy", "egress"], mistakes);
    for listener in fields::mappings(spec, "egress", mistakes) {
        known(listener, "a listener", &["port", "hosts"], mistakes);
        let port = listener.get("port").into_iter();
        port.for_each(|port| known(port, "a port", &["number", "name", "protocol"], mistakes));
    }
}

fn word(parent: At<'_>, key: &str, mistakes: &mut Mistakes<'_>) -> SmolStr {
    fields::text(parent, key, mistakes).map(|(text, _)| text.clone()).unwrap_or_default()
}

fn number(parent: At<'_>, key: &str, mistakes: &mut Mistakes<'_>) -> Option<u16> {
    parent.get(key).and_then(|at| fields::port(at, key, mistakes))
}

fn refuse(at: At<'_>, what: &str, mistakes: &mut Mistakes<'_>) {
    mistakes.push(errors::refused(at.span(), at.written(), what, "a build writes none of this kind"));
}

fn entry(head: Head, spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Entry> {
    let all = ["hosts", "addresses", "exportTo", "location", "resolution", "ports", "endpoints"];
    known(spec, "its `spec`", &all, mistakes);
    let resolution = match word(spec, "resolution", mistakes).as_str() {
        "" | "NONE" => Resolution::None,
        "STATIC" => Resolution::Static,
        "DNS" => Resolution::Dns,
        "DYNAMIC_DNS" => Resolution::DynamicDns,
        _ => {
            refuse(spec, "resolution", mistakes);
            return None;
        }
    };
    if word(spec, "location", mistakes) != "MESH_EXTERNAL" {
        refuse(spec, "location", mistakes);
    }
    let mut addresses = Vec::new();
    for at in fields::list(spec, "addresses", mistakes) {
        let text = fields::as_text(at, "addresses", mistakes)?;
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match net {
            Some(net) => addresses.push(net),
            None => refuse(at, "address", mistakes),
        }
    }
    let mut ports = Vec::new();
    for port in fields::mappings(spec, "ports", mistakes) {
        known(port, "a port", &["number", "name", "protocol", "targetPort"], mistakes);
        let reading = Reading::of(&word(port, "protocol", mistakes));
        match (number(port, "number", mistakes), reading) {
            (Some(number), Some(reading)) => {
                ports.push(EntryPort { number, reading, target: self::number(port, "targetPort", mistakes) });
            }
            _ => refuse(port, "port", mistakes),
        }
    }
    let mut endpoints = Vec::new();
    for endpoint in fields::mappings(spec, "endpoints", mistakes) {
        known(endpoint, "an endpoint", &["address", "weight"], mistakes);
        match word(endpoint, "address", mistakes).parse() {
            Ok(address) => endpoints.push(address),
            Err(_) => refuse(endpoint, "endpoint", mistakes),
        }
    }
    let hosts = fields::texts(spec, "hosts", mistakes);
    Some(Entry { head, hosts, addresses, resolution, ports, endpoints })
}

fn route(head: Head, spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Route {
    known(spec, "its `spec`", &["hosts", "exportTo", "gateways", "http", "tls", "tcp"], mistakes);
    let mut items = Vec::new();
    for (key, reading) in [("http", Reading::Requests), ("tls", Reading::Tls), ("tcp", Reading::Bytes)] {
        for at in fields::mappings(spec, key, mistakes) {
            known(at, "a route", &["match", "route"], mistakes);
            let matches = fields::mappings(at, "match", mistakes);
            let matches = matches.into_iter().map(|at| route_match(at, mistakes)).collect();
            match fields::mappings(at, "route", mistakes).as_slice() {
                [to] => items.extend(destination(*to, matches, mistakes).map(|item| (reading, item))),
                _ => refuse(at, "route", mistakes),
            }
        }
    }
    let hosts = fields::texts(spec, "hosts", mistakes);
    let gateways = fields::texts(spec, "gateways", mistakes);
    Route { head, hosts, gateways, items }
}

fn route_match(at: At<'_>, mistakes: &mut Mistakes<'_>) -> RouteMatch {
    known(at, "a match", &["gateways", "port", "sniHosts", "sourceLabels"], mistakes);
    RouteMatch {
        gateways: fields::texts(at, "gateways", mistakes),
        port: number(at, "port", mistakes),
        names: fields::texts(at, "sniHosts", mistakes),
        labels: fields::labels(at, "sourceLabels", mistakes),
    }
}

fn destination(at: At<'_>, matches: Vec<RouteMatch>, mistakes: &mut Mistakes<'_>) -> Option<RouteItem> {
    known(at, "a route", &["destination"], mistakes);
    let to = fields::mapping(at, "destination", mistakes)?;
    known(to, "a destination", &["host", "subset", "port"], mistakes);
    let port = fields::mapping(to, "port", mistakes).and_then(|port| number(port, "number", mistakes));
    let subset = fields::text(to, "subset", mistakes).map(|(text, _)| text.clone());
    Some(RouteItem { matches, host: word(to, "host", mistakes), subset, port })
}

fn opening(head: Head, spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Opening> {
    known(spec, "its `spec`", &["host", "exportTo", "trafficPolicy", "subsets"], mistakes);
    let mut subsets = Vec::new();
    for subset in fields::mappings(spec, "subsets", mistakes) {
        known(subset, "a subset", &["name", "trafficPolicy"], mistakes);
        subsets.push((word(subset, "name", mistakes), settings(subset, mistakes)));
    }
    let ports = settings(spec, mistakes);
    Some(Opening { head, host: word(spec, "host", mistakes), ports, subsets })
}

fn settings(parent: At<'_>, mistakes: &mut Mistakes<'_>) -> Vec<OpenedTls> {
    let Some(policy) = fields::mapping(parent, "trafficPolicy", mistakes) else { return Vec::new() };
    known(policy, "a `trafficPolicy`", &["portLevelSettings"], mistakes);
    let mut all = Vec::new();
    for at in fields::mappings(policy, "portLevelSettings", mistakes) {
        known(at, "a port's settings", &["port", "tls"], mistakes);
        let port = fields::mapping(at, "port", mistakes).and_then(|port| number(port, "number", mistakes));
        let (Some(port), Some(tls)) = (port, fields::mapping(at, "tls", mistakes)) else { continue };
        known(tls, "`tls`", &["mode", "sni", "subjectAltNames", "caCertificates"], mistakes);
        all.push(OpenedTls {
            port,
            mode: word(tls, "mode", mistakes),
            name: word(tls, "sni", mistakes),
            names: fields::texts(tls, "subjectAltNames", mistakes),
            authorities: word(tls, "caCertificates", mistakes),
        });
    }
    all
}

fn servers(head: Head, spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Servers {
    known(spec, "its `spec`", &["selector", "servers"], mistakes);
    let mut list = Vec::new();
    for at in fields::mappings(spec, "servers", mistakes) {
        known(at, "a server", &["port", "hosts", "tls"], mistakes);
        let port = fields::mapping(at, "port", mistakes).and_then(|port| number(port, "number", mistakes));
        let tls = fields::mapping(at, "tls", mistakes);
        let mode = tls.map(|tls| word(tls, "mode", mistakes)).unwrap_or_default();
        let hosts = fields::texts(at, "hosts", mistakes);
        list.extend(port.map(|port| Server { port, hosts, mode }));
    }
    Servers { head, selector: fields::labels(spec, "selector", mistakes), list }
}

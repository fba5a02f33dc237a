//! Where a sidecar lets its pod go: Sidecar, ServiceEntry and VirtualService, decided from their documentation, and
//! from what a mesh showed where that is silent, over the YAML that was written.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::authorization::has;
use super::world::{Pod, Service, World};

/// What a client sends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// Neither of the others.
    Raw,
    /// An HTTP request.
    Http,
    /// A TLS handshake.
    Tls,
}

/// What clients send to a port outside.
pub fn by_port(port: u16) -> Bytes {
    match port {
        80 => Bytes::Http,
        443 | 8443 => Bytes::Tls,
        _ => Bytes::Raw,
    }
}

/// A connection that a pod opens.
#[derive(Clone, Debug)]
pub struct Dial<'a> {
    /// The address that it dials: a Service's, a pod's, or one outside.
    pub address: IpAddr,
    /// The port that it dials.
    pub port: u16,
    /// What it sends first.
    pub bytes: Bytes,
    /// The name that it asks for, in the request or the handshake.
    pub name: Option<&'a str>,
}

/// Where a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landing {
    /// At the Service that was dialled, by mutual TLS where its pods have a sidecar.
    Service,
    /// At the address that was dialled.
    Dialled,
    /// At a host, wherever it is.
    Host(String),
    /// At a port of a host, inside TLS that the sidecar opens.
    Opened { host: String, port: u16 },
    /// At an address that an object names.
    Address(IpAddr),
    /// At a host, by way of a gateway on a port of its pods, which is asked for a name, and reads the requests or not.
    Gateway { host: String, port: u16, sni: String, requests: bool },
}

/// Decides where the sidecar of a pod lets a connection go: nowhere, to one place, or to one of several. `outside` says
/// whether an address is none of the cluster's, or a block may mean those too.
pub fn goes(objects: &[Value], root: &str, world: &World, pod: &Pod, dial: &Dial, blocks: bool) -> Vec<Landing> {
    let Some(sidecar) = of_pod(objects, root, pod) else { return anywhere(world, dial) };
    let spec = &sidecar["spec"];
    let open = spec["outboundTrafficPolicy"]["mode"] == "ALLOW_ANY";
    let listeners: Vec<&Value> = spec["egress"].as_array().into_iter().flatten().collect();
    let own = |listener: &&&Value| listener["port"]["number"].as_u64() == Some(dial.port.into());
    let mut hosts: Vec<&str> = listeners.iter().filter(own).flat_map(|one| texts(&one["hosts"])).collect();
    let by_port = !hosts.is_empty();
    if hosts.is_empty() {
        // The listener of a port shadows the one for all others.
        hosts = listeners.iter().filter(|one| one["port"].is_null()).flat_map(|one| texts(&one["hosts"])).collect();
    }
    let view = View { objects, namespace: sidecar["metadata"]["namespace"].as_str().unwrap(), hosts, by_port, pod };
    let found = view.find(world, dial, blocks);
    if found.is_empty() && open { anywhere(world, dial) } else { found }
}

/// Returns the object that the sidecar of a pod obeys.
fn of_pod<'a>(objects: &'a [Value], root: &str, pod: &Pod) -> Option<&'a Value> {
    let in_namespace = |namespace: &str, selects: bool| {
        let mut found = objects.iter().filter(|one| {
            one["kind"] == "Sidecar"
                && one["metadata"]["namespace"] == namespace
                && one["spec"]["workloadSelector"].is_object() == selects
                && has(&one["spec"]["workloadSelector"]["labels"], &pod.net.labels)
        });
        let first = found.next();
        let second = found.next();
        assert!(second.is_none(), "two Sidecars for {}: {first:?} {second:?}", pod.name());
        first
    };
    let namespace = pod.net.namespace.as_str();
    in_namespace(namespace, true).or_else(|| in_namespace(namespace, false)).or_else(|| in_namespace(root, false))
}

fn anywhere(world: &World, dial: &Dial) -> Vec<Landing> {
    let service = world.services.iter().any(|service| service.address == dial.address && has_port(service, dial.port));
    vec![if service { Landing::Service } else { Landing::Dialled }]
}

fn has_port(service: &Service, port: u16) -> bool {
    service.ports.iter().any(|(_, number, _, protocol)| *number == port && *protocol == "TCP")
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap())
}

/// What one listener shows to a pod.
struct View<'a> {
    objects: &'a [Value],
    /// The Sidecar's namespace.
    namespace: &'a str,
    hosts: Vec<&'a str>,
    /// Whether the listener has a port.
    by_port: bool,
    pod: &'a Pod,
}

impl View<'_> {
    /// Returns whether a listener imports a host of a namespace.
    fn imports(&self, namespace: &str, host: &str) -> bool {
        self.hosts.iter().any(|import| {
            let (of, name) = import.split_once('/').unwrap();
            let here = match of {
                "*" => true,
                "." => namespace == self.namespace,
                other => namespace == other,
            };
            here && of != "~" && covers(name, host)
        })
    }

    /// Returns the ServiceEntries that the pod sees, with their only host.
    fn entries(&self, port: u16) -> impl Iterator<Item = (&Value, &str, &str)> {
        self.objects.iter().filter(|one| one["kind"] == "ServiceEntry").filter_map(move |one| {
            let namespace = one["metadata"]["namespace"].as_str().unwrap();
            let spec = &one["spec"];
            let seen = texts(&spec["exportTo"]).any(|to| match to {
                "*" => true,
                "." => namespace == self.pod.net.namespace,
                other => other == self.pod.net.namespace,
            });
            let host = spec["hosts"][0].as_str().unwrap();
            let protocol =
                spec["ports"].as_array().unwrap().iter().find(|one| one["number"] == port)?["protocol"].as_str()?;
            (seen && self.imports(namespace, host)).then_some((spec, host, protocol))
        })
    }

    /// Returns the entry with the smallest block that contains an address.
    fn by_address(&self, dial: &Dial) -> Option<&Value> {
        let nets = |spec: &Value| -> Vec<IpNet> {
            let one = |text: &str| text.parse().unwrap_or_else(|_| IpNet::from(text.parse::<IpAddr>().unwrap()));
            let all: Vec<IpNet> = texts(&spec["addresses"]).map(one).collect();
            // By an exact host Istio finds one of several addresses.
            assert!(all.len() <= 1 || spec["hosts"][0].as_str().unwrap().starts_with("*."), "{spec}");
            all
        };
        self.entries(dial.port)
            .filter(|(.., protocol)| *protocol == "TCP")
            .flat_map(|(spec, ..)| nets(spec).into_iter().map(move |net| (net, spec)))
            .filter(|(net, _)| net.contains(&dial.address))
            .max_by_key(|(net, _)| net.prefix_len())
            .map(|(_, spec)| spec)
    }

    fn find(&self, world: &World, dial: &Dial, blocks: bool) -> Vec<Landing> {
        let service = world.services.iter().find(|service| service.address == dial.address);
        if let Some(service) = service
            && has_port(service, dial.port)
            && self.imports(service.namespace, &service.host())
        {
            return vec![Landing::Service];
        }
        let inside = service.is_some() || world.pods.iter().any(|pod| pod.address() == dial.address);
        if (!inside || blocks)
            && let Some(spec) = self.by_address(dial)
        {
            let host = spec["hosts"][0].as_str().unwrap();
            return match spec["resolution"].as_str() {
                Some("NONE") => vec![Landing::Dialled],
                _ => self.routed(host, host, dial.port).unwrap_or_else(|| endpoints(spec)),
            };
        }
        let Some(name) = dial.name else { return Vec::new() };
        let reads = |protocol: &str| match dial.bytes {
            Bytes::Tls => protocol == "TLS",
            Bytes::Http => matches!(protocol, "HTTP" | "GRPC"),
            Bytes::Raw => false,
        };
        let named = self
            .entries(dial.port)
            .filter(|(spec, host, protocol)| reads(protocol) && spec["addresses"].is_null() && covers(host, name));
        // The exact name counts before a wildcard, the longest of these first.
        let Some((spec, ..)) = named.max_by_key(|(_, host, _)| (!host.starts_with('*'), host.len())) else {
            return Vec::new();
        };
        if let Some(routed) = self.routed(spec["hosts"][0].as_str().unwrap(), name, dial.port) {
            return routed;
        }
        if let Some(port) = self.opened(name, spec, dial.port) {
            return vec![Landing::Opened { host: name.to_owned(), port }];
        }
        match spec["resolution"].as_str() {
            Some("DNS" | "DYNAMIC_DNS") => vec![Landing::Host(name.to_owned())],
            Some("STATIC") => endpoints(spec),
            // A forged name leads anywhere.
            _ => vec![Landing::Dialled],
        }
    }

    /// Returns the port of a host to which the sidecar opens TLS, comparing the host's name with its certificate.
    fn opened(&self, host: &str, entry: &Value, port: u16) -> Option<u16> {
        let target =
            entry["ports"].as_array().unwrap().iter().find(|one| one["number"] == port)?["targetPort"].as_u64()?;
        let rules = self.objects.iter().filter(|one| one["kind"] == "DestinationRule" && one["spec"]["host"] == host);
        let settings = rules.flat_map(|one| one["spec"]["trafficPolicy"]["portLevelSettings"].as_array()).flatten();
        let tls = settings.into_iter().find(|one| one["port"]["number"] == port).map(|one| &one["tls"])?;
        let names =
            texts(&tls["subjectAltNames"]).eq([host]) && tls["sni"] == host && tls["caCertificates"] == "system";
        (tls["mode"] == "SIMPLE" && names).then(|| u16::try_from(target).unwrap())
    }

    /// Returns where the routes of a host lead the pod's connections; `None` where the host has none. One that has
    /// routes for requests, and none for this pod, refuses them.
    fn routed(&self, host: &str, name: &str, port: u16) -> Option<Vec<Landing>> {
        let route = self.objects.iter().find(|one| {
            let namespace = one["metadata"]["namespace"].as_str().unwrap();
            let seen = || {
                texts(&one["spec"]["exportTo"]).any(|to| {
                    to == "*" || to == self.pod.net.namespace || to == "." && namespace == self.pod.net.namespace
                })
            };
            one["kind"] == "VirtualService" && one["spec"]["hosts"][0] == host && seen()
        })?;
        let spec = &route["spec"];
        let requests = !spec["http"].is_null();
        let kinds = ["http", "tls", "tcp"].into_iter().flat_map(|kind| spec[kind].as_array().into_iter().flatten());
        let items: Vec<&Value> = kinds.collect();
        let is_own = |one: &Value| {
            texts(&one["gateways"]).eq(["mesh"])
                && one["port"] == port
                && (one["sniHosts"].is_null() || texts(&one["sniHosts"]).any(|host| host == name))
                && has(&one["sourceLabels"], &self.pod.net.labels)
        };
        let own = items.iter().find(|one| one["match"].as_array().unwrap().iter().any(is_own));
        let Some(own) = own else { return requests.then(Vec::new) };
        let to = &own["route"][0]["destination"];
        if to["subset"].is_null() {
            return None;
        }
        // A listener with a port finds the Service of a route on that port alone.
        if self.by_port && to["port"]["number"] != port {
            return Some(Vec::new());
        }
        let rules =
            self.objects.iter().filter(|one| one["kind"] == "DestinationRule" && one["spec"]["host"] == to["host"]);
        let mut subsets = rules.flat_map(|one| one["spec"]["subsets"].as_array().into_iter().flatten());
        let subset = subsets.find(|one| one["name"] == to["subset"]).unwrap();
        let sni = subset["trafficPolicy"]["portLevelSettings"][0]["tls"]["sni"].as_str().unwrap().to_owned();
        let onward =
            items.iter().map(|one| &one["match"][0]).find(|one| !texts(&one["gateways"]).eq(["mesh"])).unwrap();
        let port = u16::try_from(onward["port"].as_u64().unwrap()).unwrap();
        Some(vec![Landing::Gateway { host: name.to_owned(), port, sni, requests }])
    }
}

fn endpoints(spec: &Value) -> Vec<Landing> {
    let all = spec["endpoints"].as_array().into_iter().flatten();
    all.map(|one| Landing::Address(one["address"].as_str().unwrap().parse().unwrap())).collect()
}

/// Returns whether a host of Istio, `*`, `*.example.com` or a name, covers another.
fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(end) => host.ends_with(end) && host.len() > end.len() || host == pattern,
        None => pattern == host,
    }
}

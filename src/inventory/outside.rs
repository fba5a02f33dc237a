//! Objects of Istio that decide where a pod's outgoing connections go: ServiceEntries, VirtualServices,
//! DestinationRules and Gateways, with the fields that a build writes.

use std::net::IpAddr;

use ipnet::IpNet;
use smol_str::SmolStr;

use super::PolicyObject;
use crate::model::labels::Labels;
use crate::source::Span;

/// The objects of Istio in a text that a build has just written.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// Sidecars, AuthorizationPolicies, PeerAuthentications and RequestAuthentications.
    pub objects: Vec<PolicyObject>,
    /// ServiceEntries.
    pub entries: Vec<Entry>,
    /// VirtualServices.
    pub routes: Vec<Route>,
    /// DestinationRules.
    pub openings: Vec<Opening>,
    /// Gateways.
    pub gateways: Vec<Servers>,
}

/// The namespace and the name of an object, the namespaces that see it, and its span.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its namespace.
    pub namespace: SmolStr,
    /// Its name.
    pub name: SmolStr,
    /// `exportTo`: namespaces, `.` for its own, `*` for all; empty is all.
    pub export_to: Vec<SmolStr>,
    /// Its span.
    pub origin: Span,
}

/// A ServiceEntry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name and its viewers.
    pub head: Head,
    /// `hosts`.
    pub hosts: Vec<SmolStr>,
    /// `addresses`.
    pub addresses: Vec<IpNet>,
    /// `resolution`.
    pub resolution: Resolution,
    /// `ports`.
    pub ports: Vec<EntryPort>,
    /// The addresses of `endpoints`.
    pub endpoints: Vec<IpAddr>,
}

/// How the addresses of a ServiceEntry's hosts are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// `NONE`: at the address that the client dials.
    None,
    /// `STATIC`: at its endpoints.
    Static,
    /// `DNS`: the addresses of the entry's name.
    Dns,
    /// `DYNAMIC_DNS`: the addresses of the name that the client asks for.
    DynamicDns,
}

/// A port of a ServiceEntry.
#[derive(Clone, Debug)]
pub struct EntryPort {
    /// The number that clients dial.
    pub number: u16,
    /// Its protocol.
    pub reading: Reading,
    /// `targetPort`.
    pub target: Option<u16>,
}

/// The protocol of a port: by what its hosts are distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// `HTTP`, `HTTP2`, `GRPC`: by the host of requests.
    Requests,
    /// `TLS`, `HTTPS`: by the TLS name (SNI).
    Tls,
    /// `TCP`: by the dialled address.
    Bytes,
}

impl Reading {
    /// Reads Istio's word for a protocol.
    pub fn of(word: &str) -> Option<Reading> {
        match word.to_ascii_uppercase().as_str() {
            "HTTP" | "HTTP2" | "GRPC" => Some(Reading::Requests),
            "TLS" | "HTTPS" => Some(Reading::Tls),
            "TCP" => Some(Reading::Bytes),
            _ => None,
        }
    }
}

/// A VirtualService.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name and its viewers.
    pub head: Head,
    /// `hosts`.
    pub hosts: Vec<SmolStr>,
    /// `gateways`: `mesh` are the sidecars.
    pub gateways: Vec<SmolStr>,
    /// The items of `http`, `tls` and `tcp`, each in their order.
    pub items: Vec<(Reading, RouteItem)>,
}

/// A route.
#[derive(Clone, Debug)]
pub struct RouteItem {
    /// `match`: one of them must fit; an empty list fits everything.
    pub matches: Vec<RouteMatch>,
    /// The host that it leads to.
    pub host: SmolStr,
    /// The subset of that host.
    pub subset: Option<SmolStr>,
    /// The port of that host.
    pub port: Option<u16>,
}

/// The conditions of a route on a connection.
#[derive(Clone, Debug, Default)]
pub struct RouteMatch {
    /// `gateways`; empty are those of the VirtualService.
    pub gateways: Vec<SmolStr>,
    /// `port`.
    pub port: Option<u16>,
    /// `sniHosts`; empty is any.
    pub names: Vec<SmolStr>,
    /// `sourceLabels`.
    pub labels: Labels,
}

/// A DestinationRule: the TLS that proxies open to a host.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Its name and its viewers.
    pub head: Head,
    /// `host`.
    pub host: SmolStr,
    /// `trafficPolicy.portLevelSettings`.
    pub ports: Vec<OpenedTls>,
    /// `subsets`, each with its own settings.
    pub subsets: Vec<(SmolStr, Vec<OpenedTls>)>,
}

/// The TLS that proxies open on a port.
#[derive(Clone, Debug)]
pub struct OpenedTls {
    /// The port of the host.
    pub port: u16,
    /// `mode`.
    pub mode: SmolStr,
    /// `sni`.
    pub name: SmolStr,
    /// `subjectAltNames`: the names of which the certificate must have one; empty is any.
    pub names: Vec<SmolStr>,
    /// `caCertificates`; empty where no certificate is checked.
    pub authorities: SmolStr,
}

/// A Gateway.
#[derive(Clone, Debug)]
pub struct Servers {
    /// Its name.
    pub head: Head,
    /// `selector`.
    pub selector: Labels,
    /// `servers`.
    pub list: Vec<Server>,
}

/// A server of a Gateway.
#[derive(Clone, Debug)]
pub struct Server {
    /// The pods' port.
    pub port: u16,
    /// `hosts`.
    pub hosts: Vec<SmolStr>,
    /// `tls.mode`; empty without `tls`.
    pub mode: SmolStr,
}

impl Head {
    /// Returns whether pods of a namespace see the object.
    pub fn is_seen_from(&self, namespace: &str) -> bool {
        self.is_seen_from_everywhere()
            || self.export_to.iter().any(|to| to == namespace || to == "." && self.namespace == namespace)
    }

    /// Returns whether pods of a namespace see the object; `None` is a namespace that no rule names.
    pub fn is_seen_by(&self, namespace: Option<&SmolStr>) -> bool {
        namespace.map_or(self.is_seen_from_everywhere(), |name| self.is_seen_from(name))
    }

    fn is_seen_from_everywhere(&self) -> bool {
        self.export_to.is_empty() || self.export_to.iter().any(|to| to == "*")
    }
}

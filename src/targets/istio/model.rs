//! Objects of Istio, with the fields that netpol writes: `emit` makes them and writes their YAML. The reader of objects
//! shares none of these types.

use std::rc::Rc;

use ipnet::IpNet;
use smol_str::SmolStr;

use crate::model::conditions::TokenPlace;
use crate::model::rules::RuleId;

/// An object: its name, its contents, and the rules that it comes from, which a reader does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `metadata`.
    pub meta: Meta,
    /// `kind` and `spec`.
    pub spec: Spec,
    /// The rules behind the object.
    pub origin: Origin,
}

/// The metadata that all objects have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// `metadata.namespace`.
    pub namespace: SmolStr,
    /// `metadata.name`.
    pub name: String,
}

/// The rules behind an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The rules, sorted. Objects of the same rules may share them.
    pub rules: Rc<[RuleId]>,
    /// The comment in front of the object.
    pub comment: Option<String>,
}

/// The contents of an object, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// networking.istio.io/v1 ServiceEntry.
    ServiceEntry(ServiceEntry),
    /// networking.istio.io/v1 Sidecar.
    Sidecar(Sidecar),
    /// networking.istio.io/v1 Gateway.
    Gateway(Gateway),
    /// networking.istio.io/v1 VirtualService.
    VirtualService(VirtualService),
    /// networking.istio.io/v1 DestinationRule.
    DestinationRule(DestinationRule),
    /// security.istio.io/v1 PeerAuthentication.
    PeerAuthentication(PeerAuthentication),
    /// security.istio.io/v1 RequestAuthentication.
    RequestAuthentication(RequestAuthentication),
    /// security.istio.io/v1 AuthorizationPolicy.
    AuthorizationPolicy(AuthorizationPolicy),
    /// A patch of a v1 Service.
    ServicePatch(ServicePatch),
    /// A patch of an apps/v1 workload.
    WorkloadPatch(WorkloadPatch),
}

/// Labels that select pods: keys with one value each, sorted; none select all.
pub type Selector = Rc<[(SmolStr, SmolStr)]>;

/// The namespaces that see an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportTo {
    /// The object's own namespace, and these.
    Own(Vec<SmolStr>),
    /// Every namespace.
    Everyone,
}

/// How a ServiceEntry finds its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// By DNS, for the host's own name.
    Dns,
    /// By DNS, for each name that matches the wildcard.
    DynamicDns,
    /// From its list of endpoints.
    Static,
    /// From the address that the client dials.
    None,
}

/// A port of a ServiceEntry or a Sidecar, with Istio's word for its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The number.
    pub number: u16,
    /// `TLS`, `HTTP`, `GRPC` or `TCP`.
    pub protocol: &'static str,
}

/// A ServiceEntry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// The one host.
    pub host: String,
    /// `addresses`, for `resolution: NONE`.
    pub addresses: Vec<IpNet>,
    /// `exportTo`.
    pub export_to: ExportTo,
    /// `resolution`.
    pub resolution: Resolution,
    /// `ports`, each with its `targetPort`, where that is another one.
    pub ports: Vec<(Port, Option<u16>)>,
    /// `endpoints`, each with its weight.
    pub endpoints: Vec<(std::net::IpAddr, Option<u32>)>,
}

/// A Sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// `workloadSelector`.
    pub selector: Selector,
    /// `egress`; `None` leaves the way out open.
    pub egress: Option<Vec<Egress>>,
}

/// An egress listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// `port`; without one the listener is for all ports that no other names.
    pub port: Option<Port>,
    /// `hosts`.
    pub hosts: Vec<String>,
}

/// An AuthorizationPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationPolicy {
    /// `selector`.
    pub selector: Selector,
    /// `action: DENY`, else `ALLOW`.
    pub deny: bool,
    /// `rules`, each with its comment.
    pub rules: Vec<AccessRule>,
}

/// The comment in front of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comment {
    /// No comment.
    #[default]
    None,
    /// A comment of these words.
    Words(&'static str),
    /// The text and line of the policy's rule that it is for.
    Rule(RuleId),
    /// The text and line of the policy's rule that leaves the pods open.
    Open(RuleId),
}

/// A rule of an AuthorizationPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessRule {
    /// The comment in front of the rule.
    pub comment: Comment,
    /// `from`, joined by or; an empty list is any caller.
    pub from: Rc<Vec<Source>>,
    /// `to`; `None` is any request.
    pub to: Option<Operation>,
    /// `when`, joined by and.
    pub when: Vec<Condition>,
}

impl AccessRule {
    /// Returns the contents of the rule, without its comment.
    pub fn says(&self) -> impl PartialEq + std::hash::Hash {
        (&self.from, &self.to, &self.when)
    }

    /// Divides a rule if only some of its sources leave the trust domain open, so that these can require the mesh's.
    pub fn in_domain(self, domain: &str) -> Vec<AccessRule> {
        if self.from.iter().all(|source| !source.own_domain) {
            return vec![self];
        }
        let (open, named): (Vec<Source>, Vec<Source>) = self.from.iter().cloned().partition(|source| source.own_domain);
        let mut asking = AccessRule { from: open.into(), ..self.clone() };
        asking.when.push(Condition {
            key: "source.principal".into(),
            values: vec![format!("{domain}/*")],
            not_values: Vec::new(),
        });
        let named = (!named.is_empty()).then(|| AccessRule { from: named.into(), ..self });
        named.into_iter().chain([asking]).collect()
    }
}

/// A `source`: its fields are joined by and, their values by or. It is never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source {
    /// `principals`.
    pub principals: Vec<String>,
    /// `notPrincipals`; never alone.
    pub not_principals: Vec<String>,
    /// Whether its principals leave the trust domain open, so that a condition must require the mesh's own.
    pub own_domain: bool,
    /// `notNamespaces`; never alone.
    pub not_namespaces: Vec<SmolStr>,
    /// `ipBlocks` at a workload, `remoteIpBlocks` at a gateway.
    pub blocks: Vec<IpNet>,
    /// `notIpBlocks` or `notRemoteIpBlocks`.
    pub not_blocks: Vec<IpNet>,
    /// Whether the blocks are about the client that a gateway sees.
    pub remote: bool,
    /// `ipBlocks` beside `remoteIpBlocks`: the proxies by which the gateway sees the client.
    pub proxies: Vec<IpNet>,
    /// `requestPrincipals`.
    pub request_principals: Vec<String>,
}

/// An `operation`: its fields are joined by and, their values by or. It is never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Operation {
    /// `ports`.
    pub ports: Vec<u16>,
    /// `notPorts`.
    pub not_ports: Vec<u16>,
    /// `methods`.
    pub methods: Vec<SmolStr>,
    /// `paths`.
    pub paths: Vec<String>,
    /// `notPaths`.
    pub not_paths: Vec<String>,
    /// `hosts`.
    pub hosts: Vec<String>,
    /// `notHosts`.
    pub not_hosts: Vec<String>,
}

/// A condition of `when`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// `key`.
    pub key: String,
    /// `values`.
    pub values: Vec<String>,
    /// `notValues`.
    pub not_values: Vec<String>,
}

/// A PeerAuthentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// `selector`.
    pub selector: Selector,
    /// `mtls.mode: STRICT`, else `PERMISSIVE`.
    pub strict: bool,
    /// `portLevelMtls`: the ports that stay `PERMISSIVE`.
    pub permissive: Vec<u16>,
}

/// A RequestAuthentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestAuthentication {
    /// `selector`.
    pub selector: Selector,
    /// `jwtRules`.
    pub issuers: Vec<JwtRule>,
}

/// An issuer of a RequestAuthentication.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JwtRule {
    /// `issuer`.
    pub issuer: SmolStr,
    /// Whether `keys` is `jwksUri`, else `jwks`.
    pub remote: bool,
    /// The url of the keys, or the keys.
    pub keys: SmolStr,
    /// `audiences`.
    pub audiences: Vec<SmolStr>,
    /// `fromHeaders` and `fromParams`.
    pub from: Vec<TokenPlace>,
}

/// A Gateway at which a host leaves the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// `selector`.
    pub selector: Selector,
    /// The server's port: the pods'.
    pub port: u16,
    /// Whether the server reads requests.
    pub requests: bool,
    /// The server's hosts.
    pub hosts: Vec<String>,
}

/// A VirtualService that sends a host through a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualService {
    /// The one host.
    pub host: String,
    /// The Gateway's name.
    pub gateway: String,
    /// `exportTo`.
    pub export_to: ExportTo,
    /// The host's port.
    pub port: u16,
    /// How a connection to it is recognised.
    pub told_by: ToldBy,
    /// The ports on which other pods send requests straight to the host.
    pub direct: Vec<u16>,
    /// The labels of the pods that go through the gateway, one match each; one without labels is all pods.
    pub sources: Vec<Selector>,
    /// The host of the gateway's Service.
    pub service: String,
    /// The Service's port.
    pub service_port: u16,
    /// The subset of the DestinationRule.
    pub subset: String,
    /// The gateway pods' port.
    pub gateway_port: u16,
}

/// How a sidecar recognises connections to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldBy {
    /// The name of TLS.
    Tls,
    /// The host of requests.
    Requests,
    /// The address.
    Address,
}

/// A DestinationRule for the way to a gateway, or for the TLS that sidecars open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationRule {
    /// `host`: the gateway's Service, or the host outside.
    pub host: String,
    /// `exportTo`.
    pub export_to: ExportTo,
    /// The TLS of connections to the host.
    pub tls: OpenedTls,
}

/// The TLS that proxies open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenedTls {
    /// Mutual TLS of the mesh, on the way to a gateway.
    Mutual {
        /// The Service's port.
        port: u16,
        /// `subsets`: name and SNI.
        subsets: Vec<(String, String)>,
    },
    /// TLS to a host outside, whose certificate must have the host's name.
    Simple {
        /// The ports that pods dial.
        ports: Vec<u16>,
    },
}

/// A patch of the workload of a gateway's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadPatch {
    /// `Deployment`, `DaemonSet` or `StatefulSet`.
    pub kind: &'static str,
    /// `numTrustedProxies`.
    pub proxies: u32,
}

/// A patch of a gateway's Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePatch {
    /// Whether a network load balancer of AWS is in front.
    pub aws_nlb: bool,
}

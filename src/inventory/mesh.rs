//! Objects of Istio, with the fields of `security.istio.io` and `networking.istio.io` that decide flows of pods.

use smol_str::SmolStr;

use super::outside::Reading;

/// An AuthorizationPolicy that decides; one with `AUDIT`, or in a dry run, decides nothing and is not kept.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// `action`.
    pub action: AccessAction,
    /// `rules`, joined by or; none match nothing.
    pub rules: Vec<AccessRule>,
}

/// The action of an AuthorizationPolicy on the requests that its rules match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessAction {
    /// `ALLOW`: its pods refuse every request that no such policy matches.
    Allow,
    /// `DENY`.
    Deny,
    /// `CUSTOM`: the provider of that name decides.
    Custom(SmolStr),
}

/// A rule: one of its sources, one of its operations and all of its conditions.
#[derive(Clone, Debug, Default)]
pub struct AccessRule {
    /// `from`: sources, each of conditions joined by and; none are anybody.
    pub from: Vec<Vec<Condition>>,
    /// `to`: operations, each of conditions joined by and; none are anything.
    pub to: Vec<Vec<Condition>>,
    /// `when`, joined by and.
    pub when: Vec<Condition>,
}

/// A condition on one attribute: a field of a source or an operation with its `not…`, or an item of `when`. The
/// attribute has one of `values`, unless that is empty, and none of `not_values`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The attribute.
    pub attribute: Attribute,
    /// The values of which the attribute has one.
    pub values: Vec<SmolStr>,
    /// The values of which the attribute has none.
    pub not_values: Vec<SmolStr>,
}

/// The attribute that a condition looks at, by Istio's word in `when` if it has one there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `source.principal`.
    Principal,
    /// `source.namespace`.
    Namespace,
    /// `source.serviceAccount`, `namespace/name`.
    ServiceAccount,
    /// `source.ip`: the sender of the packets.
    Ip,
    /// `remote.ip`: the client that proxies name.
    RemoteIp,
    /// `request.auth.principal`: the issuer and the subject of a token.
    RequestPrincipal,
    /// `request.auth.audiences`.
    Audience,
    /// `request.auth.presenter`.
    Presenter,
    /// `request.auth.claims[a][b]`.
    Claim(Vec<SmolStr>),
    /// `request.headers[name]`, in lower case.
    Header(SmolStr),
    /// `hosts`.
    Host,
    /// `methods`.
    Method,
    /// `paths`.
    Path,
    /// `destination.port`: the pod's.
    Port,
    /// `connection.sni`.
    Sni,
    /// Another one, `destination.ip` or a filter's, whose value is not known here.
    Other,
}

impl Attribute {
    /// Returns whether it is an attribute of requests, which a plain TCP connection does not have.
    pub fn is_of_requests(&self) -> bool {
        match self {
            Attribute::Principal | Attribute::Namespace | Attribute::ServiceAccount => false,
            Attribute::Ip | Attribute::RemoteIp | Attribute::Port | Attribute::Sni | Attribute::Other => false,
            Attribute::RequestPrincipal | Attribute::Audience | Attribute::Presenter | Attribute::Claim(_) => true,
            Attribute::Header(_) | Attribute::Host | Attribute::Method | Attribute::Path => true,
        }
    }

    /// Returns the attribute of a `key` of `when`.
    pub(super) fn of_key(key: &str) -> Attribute {
        let bracketed = |rest: &str| -> Option<Vec<SmolStr>> {
            let inner = rest.strip_prefix('[')?.strip_suffix(']')?;
            Some(inner.split("][").map(SmolStr::from).collect())
        };
        let header = |rest: &str| Some(bracketed(rest)?.first()?.to_ascii_lowercase());
        if let Some(claim) = key.strip_prefix("request.auth.claims").and_then(bracketed) {
            return Attribute::Claim(claim);
        }
        if let Some(name) = key.strip_prefix("request.headers").and_then(header) {
            return match name.as_str() {
                ":authority" | "host" => Attribute::Host,
                ":method" => Attribute::Method,
                _ => Attribute::Header(name.into()),
            };
        }
        match key {
            "source.principal" => Attribute::Principal,
            "source.namespace" => Attribute::Namespace,
            "source.serviceAccount" => Attribute::ServiceAccount,
            "source.ip" => Attribute::Ip,
            "remote.ip" => Attribute::RemoteIp,
            "request.auth.principal" => Attribute::RequestPrincipal,
            "request.auth.audiences" => Attribute::Audience,
            "request.auth.presenter" => Attribute::Presenter,
            "destination.port" => Attribute::Port,
            "connection.sni" => Attribute::Sni,
            _ => Attribute::Other,
        }
    }
}

/// A PeerAuthentication.
#[derive(Clone, Debug, Default)]
pub struct Peering {
    /// `mtls.mode`; `None` is `UNSET`, which leaves it to the namespace's or the mesh's.
    pub mode: Option<Mtls>,
    /// `portLevelMtls`, by the pod's port.
    pub ports: Vec<(u16, Option<Mtls>)>,
}

/// The mode of mutual TLS: which callers come with it, and so with an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mtls {
    /// All of them.
    Strict,
    /// Those that can.
    Permissive,
    /// None.
    Disable,
}

/// An issuer of a RequestAuthentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// `issuer`.
    pub url: SmolStr,
    /// `jwksUri`, or else `jwks`; empty without either, when Istio asks the issuer.
    pub keys: SmolStr,
    /// `audiences`; empty is any.
    pub audiences: Vec<SmolStr>,
}

/// The egress of a Sidecar: the connections that it lets out.
#[derive(Clone, Debug, Default)]
pub struct Outbound {
    /// `outboundTrafficPolicy`: the fate of connections that no listener imports; `None` leaves it to the mesh.
    pub others: Option<Others>,
    /// `egress`; without it there is one listener, which imports everything.
    pub listeners: Option<Vec<EgressListener>>,
}

/// The fate of connections to hosts that no listener imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// `ALLOW_ANY`.
    Pass,
    /// `REGISTRY_ONLY`.
    Refused,
}

/// An egress listener of a Sidecar.
#[derive(Clone, Debug, Default)]
pub struct EgressListener {
    /// Its port; `None` stands for every port that no other listener names.
    pub port: Option<u16>,
    /// How the listener reads its port; `None` where it has none, or says nothing that is known.
    pub reading: Option<Reading>,
    /// `hosts`: namespaces, `*` for all, `.` for the Sidecar's and `~` for none, each with a host, which may begin with
    /// `*`.
    pub hosts: Vec<(SmolStr, SmolStr)>,
}

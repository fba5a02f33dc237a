//! The values in an AuthorizationPolicy's conditions, read as values of the model.
//!
//! ```text
//! principals: cluster.local/ns/lab/sa/curl    the pods lab/@curl
//! paths: /api/*                               the paths below /api
//! hosts: garden.example:*                     the host garden.example
//! ```

use smol_str::SmolStr;

use super::NotUnderstood;
use crate::flows::Terms;
use crate::inventory::PolicyObject;
use crate::inventory::mesh::Attribute;
use crate::model::addresses::AddressSet;
use crate::model::conditions::{PathPattern, Segment};
use crate::model::hosts::HostName;
use crate::model::labels::{Account, PodSelector};
use crate::policy::Policy;

/// A value of a condition: the flows that have it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// No flow has it: an identity of another mesh.
    Nothing,
    /// The caller's identity is that of one of these pods.
    Caller(PodSelector),
    /// The packets come from here.
    Sender(AddressSet),
    /// The client is here.
    Client(AddressSet),
    /// The token's issuer and subject; `None` is any.
    Token {
        /// `iss`.
        issuer: Option<SmolStr>,
        /// `sub`.
        subject: Option<SmolStr>,
    },
    /// A claim, by the names that lead to it, with a value.
    Claim(Vec<SmolStr>, SmolStr),
    /// A header with a value.
    Header(SmolStr, SmolStr),
    /// The host of the request, with any port: the port in the `Host` header is no part of a flow.
    Host(HostName),
    /// The name that TLS asks for.
    Sni(HostName),
    /// The method.
    Method(SmolStr),
    /// The path.
    Path(PathPattern),
    /// The paths below one, without the path itself.
    Below(PathPattern),
    /// The pod's port.
    Port(u16),
}

/// Reads a value of a condition of an object.
pub(super) fn value(
    policy: &Policy,
    object: &PolicyObject,
    attribute: &Attribute,
    text: &SmolStr,
) -> Result<Value, NotUnderstood> {
    let read = match attribute {
        Attribute::Principal => principal(&policy.settings.trust_domain, text),
        Attribute::Namespace if !text.contains('*') => Some(Value::Caller(PodSelector::in_namespace(text.clone()))),
        Attribute::ServiceAccount => {
            let (namespace, name) = text.split_once('/').unwrap_or((&object.namespace, text));
            Some(Value::Caller(of_account(Some(namespace), Some(name))))
        }
        Attribute::Ip => network(text).map(Value::Sender),
        Attribute::RemoteIp => network(text).map(Value::Client),
        Attribute::RequestPrincipal => token(text),
        Attribute::Audience if !starred(text) => Some(Value::Claim(vec!["aud".into()], text.clone())),
        Attribute::Claim(names) if !starred(text) => Some(match names.as_slice() {
            [name] if name == "iss" => Value::Token { issuer: Some(text.clone()), subject: None },
            [name] if name == "sub" => Value::Token { issuer: None, subject: Some(text.clone()) },
            _ => Value::Claim(names.clone(), text.clone()),
        }),
        Attribute::Header(name) if !starred(text) => Some(Value::Header(name.clone(), text.clone())),
        Attribute::Host => host(text).map(Value::Host),
        Attribute::Sni => host(text).map(Value::Sni),
        Attribute::Method if !starred(text) => Some(Value::Method(text.clone())),
        Attribute::Path => path(text),
        Attribute::Port => text.parse().ok().map(Value::Port),
        _ => None,
    };
    read.ok_or_else(|| NotUnderstood { origin: object.origin, what: format!("`{text}` as a value of {attribute:?}") })
}

impl Value {
    /// Adds the value to those in play.
    pub(super) fn terms(self, terms: &mut Terms) {
        match self {
            Value::Nothing | Value::Port(_) => {}
            Value::Caller(pods) => terms.pods(&pods),
            Value::Sender(set) | Value::Client(set) => terms.addresses(&set),
            Value::Token { issuer, subject } => terms.token(issuer, subject),
            Value::Claim(names, value) => terms.claim(names, value),
            Value::Header(name, value) => terms.header(name, value),
            Value::Host(host) | Value::Sni(host) => terms.host(host),
            Value::Method(method) => terms.method(method),
            Value::Path(path) | Value::Below(path) => terms.path(&path),
        }
    }
}

/// Reads an identity, `DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, or a pattern with a `*` at an end. `cluster.local` is an alias
/// of the mesh's own trust domain.
fn principal(own: &str, text: &str) -> Option<Value> {
    let any = |domain: &str| domain == own || domain == "cluster.local" || domain == "*";
    let name = |part: &str| Some(SmolStr::from(part)).filter(|part| !part.contains('*'));
    let parts: Vec<&str> = text.split('/').collect();
    let pods = match parts.as_slice() {
        ["*"] => of_account(None, None),
        ["*", "sa", account] => of_account(None, Some(&name(account)?)),
        ["*", "ns", namespace, "sa", account] => of_account(Some(&name(namespace)?), Some(&name(account)?)),
        [domain, ..] if !any(domain) => return (!domain.contains('*')).then_some(Value::Nothing),
        [_, "*"] | [_, "ns", "*"] => of_account(None, None),
        [_, "ns", namespace, "*"] | [_, "ns", namespace, "sa", "*"] => of_account(Some(&name(namespace)?), None),
        [_, "ns", namespace, "sa", account] => of_account(Some(&name(namespace)?), Some(&name(account)?)),
        _ => return None,
    };
    Some(Value::Caller(pods))
}

fn of_account(namespace: Option<&str>, account: Option<&str>) -> PodSelector {
    let pods = namespace.map_or_else(PodSelector::any, PodSelector::in_namespace);
    let account = account.map_or(pods.account.clone(), |name| Account::Is(name.into()));
    PodSelector { account, ..pods }
}

/// Returns whether a text has a `*` where Istio reads it as a wildcard: first or last.
fn starred(text: &str) -> bool {
    text.starts_with('*') || text.ends_with('*')
}

/// Reads `ISSUER/SUBJECT`, where `*` may stand for either: the last `/` divides them.
fn token(text: &str) -> Option<Value> {
    let part = |text: &str| match text {
        "*" => Some(None),
        _ if starred(text) => None,
        _ => Some(Some(SmolStr::from(text))),
    };
    if text == "*" {
        return Some(Value::Token { issuer: None, subject: None });
    }
    let (issuer, subject) = text.rsplit_once('/')?;
    Some(Value::Token { issuer: part(issuer)?, subject: part(subject)? })
}

fn network(text: &str) -> Option<AddressSet> {
    let net = text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from))?;
    Some(AddressSet::of([net]))
}

/// Reads a host with or without a port behind it and a final dot.
pub(super) fn host(text: &str) -> Option<HostName> {
    let name = text.rsplit_once(':').map_or(text, |(name, _)| name);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let (wildcard, name) = name.strip_prefix("*.").map_or((false, name.as_str()), |rest| (true, rest));
    (!name.is_empty() && !name.contains('*')).then(|| HostName { wildcard, name: name.into() })
}

/// Reads a path: the text itself, a prefix that ends in `/*`, or a template with `{*}` for a segment and a final
/// `{**}`.
fn path(text: &str) -> Option<Value> {
    let mut segments: Vec<&str> = text.strip_prefix('/')?.split('/').collect();
    let below = match segments.last() {
        Some(&"*" | &"{**}") => segments.pop().is_some(),
        _ => false,
    };
    let segment = |text: &&str| match *text {
        "{*}" => Some(Segment::Any),
        text if text.contains(['*', '{', '}']) => None,
        text => Some(Segment::Literal(text.into())),
    };
    let segments: Option<Vec<Segment>> = segments.iter().map(segment).collect();
    let pattern = PathPattern { text: text.into(), segments: segments?, below };
    Some(if below && !pattern.segments.is_empty() { Value::Below(pattern) } else { Value::Path(pattern) })
}

/// Returns a path pattern without the paths below it.
pub(super) fn itself(path: &PathPattern) -> PathPattern {
    PathPattern { below: false, ..path.clone() }
}

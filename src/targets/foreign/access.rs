//! AuthorizationPolicies of the cluster, evaluated for one flow as far as it is known, as Istio makes Envoy's rules of
//! them (`pilot/pkg/security/authz` in Istio's source).
//!
//! On a port that is plain TCP, Istio leaves out a rule of `ALLOW` that asks for something of requests; of a rule of
//! `DENY` it leaves out the fields about requests, so that the rule denies more.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::Sure;
use super::flows::{MOST, address, party, token};
use super::pods::{Governed, has_identity, pod};
use super::shape::Shape;
use crate::inventory::mesh::{AccessRule, Attribute, Condition};
use crate::inventory::{Inventory, Service, TargetPort};
use crate::model::addresses::{AddressSet, Block};
use crate::model::conditions::ClaimName;
use crate::model::labels::{Account, NAMESPACE_NAME, PodSelector};
use crate::model::paths::normalize;
use crate::model::ports::{AppProtocol, PortMatch, Protocol};
use crate::policy::{Flow, Party, Pod, Policy, Request};

/// A flow as the proxy of a pod sees it.
pub(super) struct Seen<'a> {
    policy: &'a Policy,
    /// The namespace of the policy that looks at it.
    home: &'a SmolStr,
    flow: &'a Flow,
    /// The path as the mesh's normalisation leaves it.
    path: Option<String>,
    /// The namespace and the account of the caller; an empty account is not known.
    identity: Option<(&'a SmolStr, &'a SmolStr)>,
    /// Whether the proxy is a gateway's, which sees the client's address.
    gateway: bool,
    /// Whether the port is known to be plain TCP, or TLS that no proxy reads.
    unread: bool,
    /// The issuers whose tokens are known to be looked at.
    issuers: &'a [SmolStr],
}

impl<'a> Seen<'a> {
    /// Looks at a flow that comes to a pod; `identities` is false where no caller has an identity.
    pub(super) fn new(
        governed: &'a Governed,
        home: &'a SmolStr,
        flow: &'a Flow,
        identities: bool,
        issuers: &'a [SmolStr],
    ) -> Seen<'a> {
        let (policy, gateway) = (&governed.policy, governed.gateway);
        let identity = match &flow.source {
            Party::Pod(pod) if identities && has_identity(governed, pod) => {
                pod.namespace_labels.get(NAMESPACE_NAME).map(|namespace| (namespace, &pod.account))
            }
            _ => None,
        };
        let path = flow.request.path.as_ref();
        let path = path.and_then(|path| normalize(path, policy.settings.path_normalization));
        let unread = match &flow.destination {
            Party::Pod(pod) => !gateway && flow.port.is_some_and(|port| is_unread(&policy.inventory, pod, port)),
            _ => false,
        };
        Seen { policy, home, flow, path, identity, gateway, unread, issuers }
    }

    /// Returns whether some rule matches; `denies` says whether the policy denies the flows that match.
    pub(super) fn matches(&self, rules: &[AccessRule], denies: bool) -> Sure {
        if self.flow.protocol != Protocol::Tcp {
            return Sure::No;
        }
        Sure::any(rules.iter().map(|rule| self.rule(rule, denies)))
    }

    fn rule(&self, rule: &AccessRule, denies: bool) -> Sure {
        let conditions = || rule.from.iter().chain(&rule.to).flatten().chain(&rule.when);
        if self.unread && !denies && conditions().any(|condition| condition.attribute.is_of_requests()) {
            return Sure::No;
        }
        let all = |conditions: &Vec<Condition>| Sure::all(conditions.iter().map(|condition| self.condition(condition)));
        let one_of =
            |list: &[Vec<Condition>]| if list.is_empty() { Sure::Yes } else { Sure::any(list.iter().map(all)) };
        one_of(&rule.from).min(one_of(&rule.to)).min(all(&rule.when))
    }

    fn condition(&self, condition: &Condition) -> Sure {
        if self.unread && condition.attribute.is_of_requests() {
            return Sure::Yes;
        }
        let has = |values: &[SmolStr]| Sure::any(values.iter().map(|value| self.has(&condition.attribute, value)));
        let one = if condition.values.is_empty() { Sure::Yes } else { has(&condition.values) };
        one.min(has(&condition.not_values).not())
    }

    /// Returns whether an attribute has a value.
    fn has(&self, attribute: &Attribute, value: &str) -> Sure {
        let request = &self.flow.request;
        let text = |text: Option<&str>| text.map_or(Sure::Maybe, |text| Sure::from(is_like(value, text)));
        match attribute {
            Attribute::Principal => {
                self.identity.map_or(Sure::No, |(namespace, account)| self.is_principal(value, namespace, account))
            }
            Attribute::Namespace => {
                self.identity.map_or(Sure::No, |(namespace, _)| Sure::from(has_stars(value, namespace)))
            }
            Attribute::ServiceAccount => self.identity.map_or(Sure::No, |(namespace, account)| {
                let (home, name) = value.split_once('/').unwrap_or((self.home, value));
                match home == namespace {
                    true if account.is_empty() => Sure::Maybe,
                    same => Sure::from(same && name == account),
                }
            }),
            Attribute::Ip => self.comes_from(value),
            // A gateway sees its client; behind the gateway, a caller may name any address in a header.
            Attribute::RemoteIp if self.gateway => self.comes_from(value),
            Attribute::RemoteIp => self.comes_from(value).max(Sure::Maybe),
            Attribute::Method => text(request.method.as_deref()),
            Attribute::Path => self.path.as_ref().map_or(Sure::Maybe, |path| Sure::from(is_path(value, path))),
            Attribute::Host => {
                let host = request.host.as_deref().map(str::to_ascii_lowercase);
                host.map_or(Sure::Maybe, |host| Sure::from(is_like(&value.to_ascii_lowercase(), &host)))
            }
            Attribute::Port => Sure::from(value.parse().ok() == self.flow.port && self.flow.port.is_some()),
            Attribute::Sni => text(request.tls.as_deref()),
            Attribute::RequestPrincipal => self.claims(|claims| {
                let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
                is_request_principal(value, claim("iss"), claim("sub"))
            }),
            Attribute::Audience => self.claims(|claims| has_claim(value, claims.get("aud"))),
            Attribute::Presenter => self.claims(|claims| has_claim(value, claims.get("azp"))),
            Attribute::Claim(names) => self.claims(|claims| {
                let mut inner = names.iter();
                let first = inner.next().and_then(|name| claims.get(name.as_str()));
                let claim = inner.fold(first, |claim, name| claim?.get(name.as_str()));
                match (names.as_slice(), claim) {
                    ([name], Some(Value::String(text))) if ClaimName::is_divided(name) => {
                        text.split(' ').any(|word| is_like(value, word))
                    }
                    _ => has_claim(value, claim),
                }
            }),
            Attribute::Header(_) | Attribute::Other => Sure::Maybe,
        }
    }

    fn is_principal(&self, value: &str, namespace: &str, account: &str) -> Sure {
        // `cluster.local` stands for the mesh's trust domain, whatever that is.
        let own = &self.policy.settings.trust_domain;
        let in_domain = value.strip_prefix("cluster.local/").map(|rest| format!("{own}/{rest}"));
        let value = in_domain.as_deref().unwrap_or(value);
        if !account.is_empty() {
            return Sure::from(is_like(value, &format!("{own}/ns/{namespace}/sa/{account}")));
        }
        let start = format!("{own}/ns/{namespace}/sa/");
        match value.strip_suffix('*') {
            Some(prefix) if start.starts_with(prefix) => Sure::Yes,
            Some(prefix) => {
                if prefix.starts_with(&start) {
                    Sure::Maybe
                } else {
                    Sure::No
                }
            }
            None if value.starts_with('*') || value.starts_with(&start) => Sure::Maybe,
            None => Sure::No,
        }
    }

    /// Returns whether the packets come from a network.
    fn comes_from(&self, value: &str) -> Sure {
        let Some(net) = network(value) else { return Sure::No };
        let set = AddressSet::of([net]);
        match &self.flow.source {
            Party::Address(address) => Sure::from(net.contains(address)),
            Party::Host { at, .. } => match at.overlaps(&set) {
                true if at.is_inside(&set) => Sure::Yes,
                true => Sure::Maybe,
                false => Sure::No,
            },
            Party::Pod(_) => {
                let pods = &self.policy.pod_addresses;
                match (net.prefix_len(), pods.is_empty()) {
                    (0, true) => Sure::Yes,
                    // Addresses of pods may be unknown, but they are not in the internet of IPv4.
                    (_, true) if net.addr().is_ipv4() && set.is_inside(&self.policy.internet) => Sure::No,
                    (_, true) => Sure::Maybe,
                    _ if !pods.overlaps(&set) => Sure::No,
                    _ if pods.is_inside(&set) => Sure::Yes,
                    _ => Sure::Maybe,
                }
            }
        }
    }

    /// Returns whether the claims of the request's token pass a test; the token must be of an issuer that the pod
    /// knows.
    fn claims(&self, are: impl Fn(&Map<String, Value>) -> bool) -> Sure {
        let Some(claims) = &self.flow.request.jwt else { return Sure::No };
        let issuer = claims.get("iss").and_then(Value::as_str);
        let known = self.issuers.iter().any(|url| Some(url.as_str()) == issuer);
        match are(claims) {
            true if known => Sure::Yes,
            true => Sure::Maybe,
            false => Sure::No,
        }
    }
}

/// Returns whether a text matches a value: the same text, or with a `*` first or last the same end or beginning.
fn is_like(value: &str, text: &str) -> bool {
    match (value, value.strip_prefix('*'), value.strip_suffix('*')) {
        ("*", ..) => !text.is_empty(),
        (_, Some(end), _) => text.ends_with(end),
        (_, None, Some(beginning)) => text.starts_with(beginning),
        (_, None, None) => text == value,
    }
}

/// Returns whether a text matches a value in which each `*` is any text.
fn has_stars(value: &str, text: &str) -> bool {
    let mut pieces = value.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Returns whether a path matches a value, which may have `{*}` for one segment and `{**}` for any number.
fn is_path(value: &str, path: &str) -> bool {
    if !value.contains("{*}") && !value.contains("{**}") {
        return is_like(value, path);
    }
    let one = |(wanted, found): (&&str, &&str)| if *wanted == "{*}" { !found.is_empty() } else { wanted == found };
    let alike = |wanted: &[&str], found: &[&str]| wanted.len() == found.len() && wanted.iter().zip(found).all(one);
    let (wanted, found): (Vec<&str>, Vec<&str>) = (value.split('/').collect(), path.split('/').collect());
    // Envoy accepts a single `{**}`.
    let Some(at) = wanted.iter().position(|segment| *segment == "{**}") else { return alike(&wanted, &found) };
    let (before, after) = (&wanted[..at], &wanted[at + 1..]);
    let Some(left) = found.len().checked_sub(after.len()).filter(|left| *left >= before.len()) else { return false };
    alike(before, &found[..before.len()]) && alike(after, &found[left..])
}

/// Returns whether an issuer and a subject match `issuer/subject`, where a `*` may stand first or last.
fn is_request_principal(value: &str, issuer: &str, subject: &str) -> bool {
    if value == "*" {
        return !issuer.is_empty() && !subject.is_empty();
    }
    match value.rsplit_once('/') {
        Some((wanted, who)) if wanted.starts_with('*') => is_like(wanted, issuer) && who == subject,
        Some((wanted, who)) => {
            wanted == issuer && if who.ends_with('*') { is_like(who, subject) } else { who == subject }
        }
        None if value.starts_with('*') => !issuer.is_empty() && is_like(value, subject),
        None => is_like(value, issuer) && (value.ends_with('*') || subject.is_empty()),
    }
}

/// Returns whether a claim matches a value, or is a list with an element that does.
fn has_claim(value: &str, claim: Option<&Value>) -> bool {
    match claim {
        Some(Value::String(text)) => is_like(value, text),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).any(|text| is_like(value, text)),
        _ => false,
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Returns whether the Services of a pod say that no proxy reads requests on a port of it.
pub(super) fn is_unread(inventory: &Inventory, pod: &Pod, port: u16) -> bool {
    let Some(namespace) = pod.namespace_labels.get(NAMESPACE_NAME) else { return false };
    let leads_here = |target: &TargetPort| match target {
        TargetPort::Number(number) => *number == port,
        TargetPort::Name(name) => pod.ports.iter().any(|own| own.port == port && own.name.as_ref() == Some(name)),
    };
    let services = inventory.services_of(namespace, &pod.labels);
    let mut ports = services.iter().flat_map(|(_, service): &(_, &Service)| &service.ports);
    ports.any(|own| leads_here(&own.target) && (own.unread || own.app == Some(AppProtocol::Tls)))
}

/// Returns the parties, ports and requests that a rule names.
pub(super) fn shape(governed: &Governed, home: &SmolStr, rule: &AccessRule, issuers: &[SmolStr]) -> Shape {
    let inventory = &governed.policy.inventory;
    let mut shape = Shape::default();
    let mut request = Request::default();
    let mut requests = Vec::new();
    for condition in rule.from.iter().flatten().chain(&rule.when).take(MOST * MOST) {
        let values = &condition.values[..condition.values.len().min(MOST)];
        match &condition.attribute {
            Attribute::Principal => {
                shape.parties.extend(values.iter().flat_map(|value| of_principal(inventory, value)))
            }
            Attribute::Namespace => {
                let named =
                    |value: &SmolStr| in_namespaces(inventory, value).into_iter().map(PodSelector::in_namespace);
                let pods = values.iter().flat_map(named);
                shape.parties.extend(pods.filter_map(|pods| party(inventory, &pods)));
            }
            Attribute::ServiceAccount => {
                let account = |value: &SmolStr| {
                    let (home, name) = value.split_once('/').unwrap_or((home, value));
                    let account = Account::Is(name.into());
                    party(inventory, &PodSelector { account, ..PodSelector::in_namespace(home) })
                };
                shape.parties.extend(values.iter().filter_map(account));
            }
            Attribute::Ip | Attribute::RemoteIp => {
                let nets = values.iter().filter_map(|value| address(&Block::whole(network(value)?)));
                shape.parties.extend(nets.map(Party::Address));
            }
            Attribute::RequestPrincipal | Attribute::Audience | Attribute::Presenter | Attribute::Claim(_)
                if !values.is_empty() =>
            {
                request.jwt = Some(token_of(condition, request.jwt.take(), issuers));
            }
            Attribute::Port => shape.ports.extend(ports(values)),
            Attribute::Host | Attribute::Method => ask(&mut request, condition),
            _ => {}
        }
    }
    for operation in rule.to.iter().take(MOST) {
        let mut request = request.clone();
        let mut paths: Vec<String> = Vec::new();
        for condition in operation {
            match &condition.attribute {
                Attribute::Port => shape.ports.extend(ports(&condition.values)),
                Attribute::Path => paths = paths_of(condition),
                _ => ask(&mut request, condition),
            }
        }
        requests.extend(paths.iter().map(|path| Request { path: Some(path.clone()), ..request.clone() }));
        if paths.is_empty() {
            requests.push(request);
        }
    }
    if requests.is_empty() {
        requests.push(request);
    }
    shape.requests = requests;
    shape
}

/// Returns the shape of any flow; with a plain request where some rules ask for something of requests.
pub(super) fn anything(rules: &[AccessRule]) -> Shape {
    let asks = |attribute: &Attribute| matches!(attribute, Attribute::Host | Attribute::Method | Attribute::Path);
    let conditions = rules.iter().flat_map(|rule| rule.from.iter().chain(&rule.to).flatten().chain(&rule.when));
    let plain = conditions.into_iter().any(|condition| asks(&condition.attribute)).then(|| Request {
        method: Some("GET".into()),
        path: Some("/".to_owned()),
        host: Some("www.example.com".into()),
        ..Request::default()
    });
    Shape { requests: plain.into_iter().collect(), ..Shape::default() }
}

/// Adds to a request the host or the method that a condition asks for.
fn ask(request: &mut Request, condition: &Condition) {
    let fits = |text: &&str| !condition.not_values.iter().any(|value| is_like(value, text));
    match condition.attribute {
        Attribute::Host => {
            let named = condition.values.iter().map(|value| match value.strip_prefix('*') {
                Some(end) if !end.is_empty() => format!("www{end}"),
                _ => value.replace('*', ""),
            });
            let mut hosts: Vec<String> = named.filter(|host| !host.is_empty()).collect();
            hosts.push("www.example.com".to_owned());
            request.host = hosts.iter().map(String::as_str).find(fits).map(SmolStr::from);
        }
        Attribute::Method => {
            let own = condition.values.iter().map(SmolStr::as_str).filter(|method| !method.contains('*'));
            request.method = own.chain(["GET", "POST", "DELETE", "TRACE"]).find(fits).map(SmolStr::from);
        }
        _ => {}
    }
}

/// Returns paths that a condition names.
fn paths_of(condition: &Condition) -> Vec<String> {
    let path = |value: &SmolStr| {
        let filled = value.replace("{**}", "x").replace("{*}", "x");
        match (filled.strip_prefix('*'), filled.strip_suffix('*')) {
            _ if filled == "*" => "/".to_owned(),
            (Some(end), _) => format!("/x{end}"),
            (None, Some(beginning)) => beginning.to_owned(),
            (None, None) => filled,
        }
    };
    let fits = |path: &String| !condition.not_values.iter().any(|value| is_path(value, path));
    let plain = ["/".to_owned(), "/x".to_owned()];
    condition.values.iter().take(MOST).map(path).chain(plain).filter(fits).collect()
}

/// Adds to the claims of a token those that a condition asks for.
fn token_of(condition: &Condition, claims: Option<Map<String, Value>>, issuers: &[SmolStr]) -> Map<String, Value> {
    let known = issuers.first().map_or("https://issuer.example.com", SmolStr::as_str);
    let mut claims = claims.unwrap_or_else(|| token(known, "subject"));
    let Some(value) = condition.values.first() else { return claims };
    let text = value.replace('*', "");
    match &condition.attribute {
        Attribute::RequestPrincipal if value != "*" => {
            let (issuer, subject) = value.rsplit_once('/').unwrap_or((value, "*"));
            let word = |text: &str, other: &str| if text.contains('*') { other.to_owned() } else { text.to_owned() };
            claims.extend(token(&word(issuer, known), &word(subject, "subject")));
        }
        Attribute::Audience => _ = claims.insert("aud".to_owned(), text.into()),
        Attribute::Presenter => _ = claims.insert("azp".to_owned(), text.into()),
        Attribute::Claim(names) => {
            let mut inner = names.iter().rev();
            let Some(last) = inner.next() else { return claims };
            let mut claim = (last.to_string(), Value::String(text));
            for name in inner {
                claim = (name.to_string(), Value::Object(std::iter::once(claim).collect()));
            }
            claims.insert(claim.0, claim.1);
        }
        _ => {}
    }
    claims
}

fn ports(values: &[SmolStr]) -> impl Iterator<Item = PortMatch> {
    let numbers = values.iter().filter_map(|value| value.parse::<u16>().ok());
    numbers.map(|number| PortMatch::range(number, number, Protocol::Tcp))
}

/// Returns pods whose principal matches a value, `cluster.local/ns/garden/sa/web`.
fn of_principal(inventory: &Inventory, value: &str) -> Option<Party> {
    let mut words = value.split('/').skip_while(|word| *word != "ns").skip(1);
    let namespace = words.next().filter(|name| !name.contains('*'));
    let account = value.rsplit_once("/sa/").map(|(_, account)| account).filter(|account| !account.contains('*'));
    let pods = namespace.map_or_else(PodSelector::any, PodSelector::in_namespace);
    let pods = PodSelector { account: account.map_or(pods.account.clone(), |name| Account::Is(name.into())), ..pods };
    if namespace.is_some() {
        return party(inventory, &pods);
    }
    let known = inventory.select(&pods).into_iter().find(|workload| workload.sidecar)?;
    Some(Party::Pod(pod(inventory, known)))
}

/// Returns the namespaces that a value means.
fn in_namespaces(inventory: &Inventory, value: &SmolStr) -> Vec<SmolStr> {
    if !value.contains('*') {
        return vec![value.clone()];
    }
    let named = |(name, _): &(&SmolStr, _)| has_stars(value, name);
    inventory.namespaces.iter().filter(named).map(|(name, _)| name.clone()).take(2).collect()
}

#[cfg(test)]
mod tests {
    use super::{has_stars, is_like, is_path, is_request_principal};

    #[test]
    fn values_are_compared_as_istio_compares_them() {
        assert!(is_like("*", "x") && !is_like("*", ""));
        assert!(is_like("/api*", "/api/x") && !is_like("/api*", "/ap") && is_like("*.json", "/x.json"));
        assert!(!is_like("/a*b", "/axb") && is_like("/a*b", "/a*b"));
        assert!(has_stars("shop-*", "shop-a") && has_stars("*-a", "shop-a") && has_stars("s*p", "shop"));
        assert!(!has_stars("shop", "shop-a") && !has_stars("s*p-", "shop") && has_stars("*", ""));
        assert!(is_path("/a/{*}/c", "/a/b/c") && !is_path("/a/{*}/c", "/a/b/b/c") && !is_path("/a/{*}", "/a/"));
        assert!(is_path("/a/{**}", "/a/b/c") && is_path("/a/{**}/c", "/a/b/b/c") && !is_path("/a/{**}/c", "/a/b"));
        assert!(is_request_principal("*", "i", "s") && !is_request_principal("*", "i", ""));
        assert!(is_request_principal("https://i/s", "https://i", "s") && is_request_principal("i/*", "i", "s"));
        assert!(!is_request_principal("i/*", "i/j", "s") && is_request_principal("*/s", "i", "s"));
        assert!(is_request_principal("i/s*", "i", "sub") && !is_request_principal("i/s", "i", "sub"));
    }
}

//! Operations of AuthorizationPolicies: ports by number, requests by method, path and host, tokens by issuer, subject
//! and claims.
//!
//! ```netpol
//! allow ingress lab/* -> garden/{app=web}:80/http where path "/api/**"
//! ```
//!
//! ```yaml
//! paths: [/api, "/api/*"]
//! ```
//!
//! A pattern of Istio has one `*`, at an end, so that a path and the paths below it are two patterns.

use smol_str::SmolStr;

use super::ports::{TooMany, numbers_of, tcp_numbers};
use crate::inventory::{ServicePort, TargetPort};
use crate::model::conditions::{Conditions, Header, Issuer, Jwt, Keys, PathPattern, Segment};
use crate::model::gateways::Gateway;
use crate::model::hosts::HostName;
use crate::model::labels::{PodSelector, Requirement, Requirements};
use crate::model::paths::{PathNormalization, spellings};
use crate::model::ports::{AppProtocol, PortMatch, Ports, Protocol};
use crate::targets::Refuses;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::IstioGap;
use crate::targets::istio::limits::MOST_PORTS;
use crate::targets::istio::model::{AccessRule, Condition, JwtRule, Operation, Source};
use crate::targets::istio::words::list_names;

/// The access of a rule to some ports of a workload or of a gateway.
#[derive(Clone)]
pub struct Access {
    /// The ports.
    pub ports: Ports,
    /// The conditions that are read in requests there.
    pub conditions: Conditions,
    /// The conditions that are read in TLS.
    pub when: Vec<Condition>,
    /// The ports that clients may write after a host, beside those of the pods.
    pub written: Vec<u16>,
}

impl Access {
    /// Makes the access on some ports.
    pub fn new(ports: Ports, conditions: Conditions) -> Access {
        Access { ports, conditions, when: Vec::new(), written: Vec::new() }
    }

    /// Returns the same access on other ports.
    pub fn on(&self, ports: &Ports) -> Access {
        Access { ports: ports.clone(), ..self.clone() }
    }

    /// Returns the same access where clients may write the ports of a gateway.
    pub fn at(self, gateway: &Gateway) -> Access {
        let written = gateway.ports.iter().flat_map(|port| [port.port, port.target]).collect();
        Access { written, ..self }
    }
}

/// The access that a rule allows or denies on some pods.
#[derive(Clone, Debug, Default)]
pub struct To {
    /// The operation; `None` is any request.
    pub operation: Option<Operation>,
    /// Whether the rule names no TCP port at all, so that Istio sees nothing of it.
    pub nothing: bool,
    /// The other conditions.
    pub when: Vec<Condition>,
    /// The gap of a wider operation.
    pub gap: Option<IstioGap>,
    /// The flows that are refused although the rule allows them.
    pub narrower: Vec<(Refuses, String)>,
}

/// Returns the operation of a member of a destination, with ports by number, or why Istio cannot express it.
pub fn to(facts: &Facts<'_>, selector: &PodSelector, asked: &Access, deny: bool) -> Result<To, String> {
    let Access { ports, conditions, when, written } = asked;
    let mut to = To { when: when.clone(), ..To::default() };
    let mut operation = Operation::default();
    match tcp_numbers(ports) {
        Err(TooMany::All) => {}
        Err(TooMany::Listed) => return Err(format!("more than {MOST_PORTS} ports")),
        Ok(numbers) if numbers.is_empty() => {
            to.nothing = true;
            return Ok(to);
        }
        Ok(numbers) => operation.ports = numbers,
    }
    let http = conditions.asks_of_requests() || !conditions.hosts.is_empty();
    if deny && http && operation.ports.is_empty() {
        // On a TCP port Istio drops the fields of HTTP, and a deny denies everything.
        return Err("a deny by method, path, header or host needs ports by number".into());
    }
    let tls = |port: &PortMatch| port.protocol == Protocol::Tcp && port.app == Some(AppProtocol::Tls);
    if !conditions.hosts.is_empty() && ports.entries().iter().any(tls) {
        // `hosts` is a field of requests, which no proxy reads there: an allowed flow would be refused.
        return Err("a sidecar does not read the name that TLS asks for".into());
    }
    operation.methods.clone_from(&conditions.methods);
    add_paths(facts, conditions, deny, &mut operation)?;
    to.when.extend(header_conditions(conditions)?);
    if conditions.paths.iter().any(|path| path.segments.contains(&Segment::Any)) {
        let words = "a `*` in a path takes a segment without `[`, `]` and `*`: others are refused";
        to.narrower.push((Refuses::Segments, words.into()));
    }
    let wild = conditions.hosts.iter().find(|host| host.wildcard);
    let mut written = [operation.ports.as_slice(), written].concat();
    if wild.is_some() {
        written.extend(ports_of_clients(facts, selector, ports, &operation.ports));
    }
    written.sort_unstable();
    written.dedup();
    for host in &conditions.hosts {
        operation.hosts.extend(host_patterns(host, deny, &written)?);
    }
    if let Some(host) = wild {
        let list: Vec<String> = written.iter().map(u16::to_string).collect();
        let ports = list_names(&list);
        let words = format!("a client that names {host} with another port than {ports} is refused");
        to.narrower.push((Refuses::HostPorts(written), words));
    }
    to.operation = (operation != Operation::default()).then_some(operation);
    Ok(to)
}

/// Adds the paths of conditions to an operation, and those that are taken away.
pub fn add_paths(
    facts: &Facts<'_>,
    conditions: &Conditions,
    deny: bool,
    operation: &mut Operation,
) -> Result<(), String> {
    let mesh = facts.policy.settings.path_normalization;
    let refused = if deny { &conditions.paths } else { &conditions.not_paths };
    if !refused.is_empty() && mesh < PathNormalization::DecodeAndMergeSlashes {
        let what = if deny { "a deny" } else { "`except`" };
        return Err(format!(
            "with path normalization {} a path has spellings that {what} misses: it needs `path-normalization = \"DECODE_AND_MERGE_SLASHES\"` under `[istio]` in netpol.toml, as the mesh is then set",
            mesh.word()
        ));
    }
    for path in &conditions.paths {
        operation.paths.extend(if deny { denied_paths(path)? } else { path_patterns(path)? });
    }
    for path in &conditions.not_paths {
        if deny && path.segments.contains(&Segment::Any) {
            return Err(format!(
                "Istio's patterns take the `*` of {} for a segment without `[`, `]` and `*`",
                path.text
            ));
        }
        operation.not_paths.extend(if deny { path_patterns(path)? } else { denied_paths(path)? });
    }
    Ok(())
}

/// Returns the conditions on headers.
pub fn header_conditions(conditions: &Conditions) -> Result<Vec<Condition>, String> {
    let one = |header: &Header| {
        if header.values.iter().any(|value| starred(value)) {
            return Err(format!("Istio takes a `*` at an end of a value of the header {} for a wildcard", header.name));
        }
        let values = header.values.iter().map(SmolStr::to_string).collect();
        Ok(Condition { key: format!("request.headers[{}]", header.name), values, not_values: Vec::new() })
    };
    conditions.headers.iter().map(one).collect()
}

/// Returns whether a text has a `*` where Istio's patterns have a wildcard.
fn starred(text: &str) -> bool {
    text.starts_with('*') || text.ends_with('*')
}

/// Returns the ports that clients may write after a host: those of the pods, and those of the known Services that lead
/// there.
fn ports_of_clients(facts: &Facts<'_>, selector: &PodSelector, ports: &Ports, numbers: &[u16]) -> Vec<u16> {
    let mut written = numbers.to_vec();
    written.extend(ports.entries().iter().filter_map(|port| port.service_port));
    for (namespace, _) in facts.namespaces(selector).unwrap_or_default() {
        let Some(known) = facts.known(namespace) else { continue };
        for (_, service) in &known.services {
            let Some(labels) = &service.selector else { continue };
            let pairs = labels.iter().map(|(key, value)| Requirement::is_in(key.clone(), [value.clone()]));
            let Some(labels) = Requirements::new(pairs) else { continue };
            let behind = PodSelector { labels, ..PodSelector::in_namespace((*namespace).clone()) };
            if !behind.overlaps(selector) {
                continue;
            }
            let leads = |port: &&ServicePort| {
                port.protocol == Protocol::Tcp
                    && match &port.target {
                        TargetPort::Number(number) => numbers.contains(number),
                        TargetPort::Name(name) => known
                            .selected(&behind)
                            .any(|pod| numbers_of(&pod.ports, name).any(|number| numbers.contains(&number))),
                    }
            };
            written.extend(service.ports.iter().filter(leads).map(|port| port.port));
        }
    }
    written.sort_unstable();
    written.dedup();
    written
}

/// Returns Istio's patterns of a path: the path itself, and the paths below it where they are meant.
fn path_patterns(path: &PathPattern) -> Result<Vec<String>, String> {
    let template = path.segments.contains(&Segment::Any);
    let mut text = String::new();
    for segment in &path.segments {
        text.push('/');
        match segment {
            Segment::Any => text.push_str("{*}"),
            Segment::Literal(literal) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()+,;:@=".contains(c);
                if literal.contains(['*', '{', '}']) || (template && !literal.chars().all(plain)) {
                    return Err(format!("Istio's patterns cannot say the path {}", path.text));
                }
                text.push_str(literal);
            }
        }
    }
    Ok(match (path.below, template) {
        (false, _) => vec![text],
        (true, false) if text.is_empty() => vec!["/*".into()],
        (true, false) => vec![text.clone(), format!("{text}/*")],
        (true, true) => vec![text.clone(), format!("{text}/{{**}}")],
    })
}

/// Returns Istio's patterns of a denied path, in every spelling that is different for the mesh and equal for servers.
fn denied_paths(path: &PathPattern) -> Result<Vec<String>, String> {
    const MOST: usize = 64;
    if path.segments.contains(&Segment::Any) {
        // Envoy's templates take `[`, `]` and `*` for no part of a segment, so that such a path would be served.
        return Err(format!("Istio's patterns take the `*` of {} for a segment without `[`, `]` and `*`", path.text));
    }
    let mut all = Vec::new();
    for pattern in path_patterns(path)? {
        let (text, star) = pattern.strip_suffix('*').map_or((pattern.as_str(), ""), |text| (text, "*"));
        match spellings(text, MOST) {
            Some(list) => all.extend(list.into_iter().map(|text| format!("{text}{star}"))),
            None => return Err(format!("the path {} has more than {MOST} spellings", path.text)),
        }
    }
    Ok(all)
}

/// Returns Istio's patterns of a host: with any port, and where a miss opens, with a final dot too.
pub fn host_patterns(host: &HostName, misses_open: bool, ports: &[u16]) -> Result<Vec<String>, String> {
    let name = host.to_string();
    match (host.wildcard, misses_open) {
        (false, false) => Ok(vec![name.clone(), format!("{name}:*")]),
        (false, true) => Ok(vec![name.clone(), format!("{name}:*"), format!("{name}."), format!("{name}.:*")]),
        // A pattern has one `*`: the ports are named instead.
        (true, false) => {
            let with_port = ports.iter().map(|port| format!("{name}:{port}"));
            Ok([name.clone()].into_iter().chain(with_port).collect())
        }
        (true, true) => Err(format!("Istio's patterns cannot say {name} with every port: name its hosts one by one")),
    }
}

/// The condition on the TLS name (SNI).
pub const SNI: &str = "connection.sni";

/// Returns the condition that the TLS name is one of these.
pub fn sni<'h>(hosts: impl IntoIterator<Item = &'h HostName>) -> Condition {
    let values = hosts.into_iter().map(HostName::to_string).collect();
    Condition { key: SNI.into(), values, not_values: Vec::new() }
}

/// Returns the condition that the TLS name is none of these; no condition without names.
pub fn not_sni<'h>(hosts: impl IntoIterator<Item = &'h HostName>) -> Vec<Condition> {
    let not_values: Vec<String> = hosts.into_iter().map(HostName::to_string).collect();
    let condition = Condition { key: SNI.into(), values: Vec::new(), not_values };
    Some(condition).filter(|condition| !condition.not_values.is_empty()).into_iter().collect()
}

/// Adds a token to a rule: its issuer and subject to every source, its claims as conditions.
pub fn add_token(rule: &mut AccessRule, anybody: bool, jwt: &Jwt) -> Result<(), String> {
    let refuse = |what: &str| Err(format!("Istio takes a `*` in {what} for a wildcard"));
    let issuer = &jwt.issuer.url;
    if starred(issuer) {
        return refuse("an issuer");
    }
    if jwt.subjects.iter().any(|subject| starred(subject)) {
        return refuse("a subject");
    }
    // The last `/` divides issuer and subject, so that a subject with one is a condition of its own.
    let plain = jwt.subjects.iter().all(|subject| !subject.contains('/'));
    let principals: Vec<String> = if plain && !jwt.subjects.is_empty() {
        jwt.subjects.iter().map(|subject| format!("{issuer}/{subject}")).collect()
    } else {
        vec![format!("{issuer}/*")]
    };
    // A subject may contain a `/`, and one issuer may be the beginning of another: the principal alone is not unique.
    let values = vec![issuer.to_string()];
    rule.when.push(Condition { key: "request.auth.claims[iss]".into(), values, not_values: Vec::new() });
    if !plain {
        let values = jwt.subjects.iter().map(SmolStr::to_string).collect();
        rule.when.push(Condition { key: "request.auth.claims[sub]".into(), values, not_values: Vec::new() });
    }
    let mut sources = if anybody { vec![Source::default()] } else { rule.from.to_vec() };
    sources.iter_mut().for_each(|source| source.request_principals.clone_from(&principals));
    rule.from = std::rc::Rc::new(sources);
    for (claim, values) in &jwt.claims {
        if values.iter().any(|value| starred(value)) {
            return refuse("the value of a claim");
        }
        let mut key = String::from("request.auth.claims");
        for name in &claim.0 {
            if name.is_empty() || name.contains(['[', ']']) {
                let hint = match name.contains("][") {
                    true => format!("; a claim within another is written `{}`", name.replace("][", ".")),
                    false => String::new(),
                };
                return Err(format!("Istio's conditions cannot name the claim `{name}`{hint}"));
            }
            key.push_str(&format!("[{name}]"));
        }
        let values = values.iter().map(SmolStr::to_string).collect();
        rule.when.push(Condition { key, values, not_values: Vec::new() });
    }
    Ok(())
}

/// Returns the issuer of a token for a RequestAuthentication.
pub fn issuer(jwt: &Jwt) -> JwtRule {
    let (remote, keys) = match &jwt.issuer.keys {
        Keys::Remote { url, .. } => (true, url.clone()),
        Keys::Inline(keys) => (false, keys.clone()),
    };
    let Issuer { url, audiences, from, .. } = &*jwt.issuer;
    JwtRule { issuer: url.clone(), remote, keys, audiences: audiences.clone(), from: from.clone() }
}

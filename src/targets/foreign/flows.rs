//! Flows on which an object of the cluster and the rules may differ: flows that the object names, and flows that the
//! rules name, each with a request.
//!
//! ```text
//! allow ingress lab/* -> shop/web:8080/http where method GET      # lab/tool -> shop/web:8080, GET
//! AuthorizationPolicy with paths: ["/admin*"]                     # from anybody, on any port, /admin
//! ```
//!
//! Together they ask for `lab/tool -> shop/web:8080` with `GET /admin`, and for each half of it with something else.
//! Each of these flows is decided; they are examples, and no proof that no other flow differs.

use std::net::{IpAddr, Ipv4Addr};

use rustc_hash::FxHashSet;
use serde_json::{Map, Value, json};
use smol_str::{SmolStr, format_smolstr};

use super::pods::{Governed, made_up, pod};
use super::shape::Shape;
use crate::inventory::{Inventory, Workload};
use crate::model::addresses::{AddressSet, Block};
use crate::model::conditions::{Conditions, PathPattern, Segment};
use crate::model::endpoint::{Member, What};
use crate::model::hosts::HostName;
use crate::model::labels::{Account, NAMESPACE_NAME, PodSelector};
use crate::model::ports::{PortMatch, PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule};
use crate::policy::{Flow, Party, Policy, Request, ask};

/// An address outside the cluster, of a block that is set aside for documentation.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// The most parties, ports and requests of one rule, or of one object, that are tried with each other.
pub(super) const MOST: usize = 16;

/// The most flows at one end of a pod that are tried for one part of an object.
const MOST_FLOWS: usize = 4096;

/// Returns flows at one end of a pod that an object, a rule or both name.
pub(super) fn flows(governed: &Governed, direction: Direction, object: &Shape) -> Vec<Flow> {
    let mut found = Found { flows: Vec::new(), keys: FxHashSet::default() };
    for shape in governed.spoken(direction) {
        found.add(governed, direction, object, shape);
    }
    found.flows
}

impl Governed {
    /// Returns the shape of each rule in a direction, then the shape of flows that no rule need name.
    fn spoken(&self, direction: Direction) -> &[Shape] {
        self.spoken[usize::from(direction == Direction::Ingress)].get_or_init(|| spoken(self, direction))
    }
}

/// Flows without repetition.
struct Found {
    flows: Vec<Flow>,
    keys: FxHashSet<(String, bool, u16, Protocol, String)>,
}

impl Found {
    /// Adds the flows that an object and a rule name.
    fn add(&mut self, governed: &Governed, direction: Direction, object: &Shape, rule: &Shape) {
        let parties: Vec<&Party> = object.parties.iter().take(MOST).chain(rule.parties.iter().take(MOST)).collect();
        let ports: Vec<&PortMatch> = object.ports.iter().take(MOST).chain(rule.ports.iter().take(MOST)).collect();
        let requests = requests(object, rule);
        for party in parties {
            let (source, destination) = match direction {
                Direction::Ingress => (party.clone(), Party::Pod(governed.pod.clone())),
                Direction::Egress => (Party::Pod(governed.pod.clone()), party.clone()),
            };
            let sidecar = matches!(party, Party::Pod(pod) if pod.sidecar);
            for (port, protocol) in numbers(&destination, &ports) {
                for (request, text) in &requests {
                    let key = (ask::shown(party), sidecar, port, protocol, text.clone());
                    if self.flows.len() == MOST_FLOWS || !self.keys.insert(key) {
                        continue;
                    }
                    self.flows.push(Flow {
                        source: source.clone(),
                        destination: destination.clone(),
                        port: Some(port),
                        protocol,
                        request: request.clone(),
                    });
                }
            }
        }
    }
}

/// Returns the requests of an object, of a rule, and of both together, each with its text.
fn requests(object: &Shape, rule: &Shape) -> Vec<(Request, String)> {
    let plain = [Request::default()];
    let some = |shape: &'_ Shape| match shape.requests.len() {
        0 => plain.to_vec(),
        more => shape.requests[..more.min(MOST)].to_vec(),
    };
    let mut all: Vec<(Request, String)> = Vec::new();
    let mut add = |request: Request| {
        let text = format!("{request:?}");
        if all.iter().all(|(_, old)| *old != text) {
            all.push((request, text));
        }
    };
    let others = some(rule);
    for first in some(object) {
        add(first.clone());
        for second in &others {
            add(merged(&first, second));
            add(merged(second, &first));
        }
    }
    all
}

/// Returns a request with all parts of the first, and those that the second adds.
fn merged(first: &Request, second: &Request) -> Request {
    Request {
        method: first.method.clone().or(second.method.clone()),
        path: first.path.clone().or(second.path.clone()),
        host: first.host.clone().or(second.host.clone()),
        tls: first.tls.clone().or(second.tls.clone()),
        client: first.client.or(second.client),
        headers: [&*first.headers, &*second.headers].concat(),
        jwt: first.jwt.clone().or(second.jwt.clone()),
    }
}

/// Returns the ports of a destination that some entries mean, then the known ports of the destination.
fn numbers(destination: &Party, ports: &[&PortMatch]) -> Vec<(u16, Protocol)> {
    let own = match destination {
        Party::Pod(pod) => pod.ports.as_slice(),
        _ => &[],
    };
    let number = |port: &&PortMatch| {
        let mut own = own.iter().filter(|own| own.protocol == port.protocol);
        let number = match &port.port {
            PortTest::Range(1, u16::MAX) => own.next().map_or(443, |own| own.port),
            PortTest::Range(first, last) => {
                own.map(|own| own.port).find(|number| (first..=last).contains(&number)).unwrap_or(*first)
            }
            PortTest::Named(name) => own.find(|own| own.name.as_ref() == Some(name))?.port,
        };
        Some((number, port.protocol))
    };
    let mut numbers: Vec<(u16, Protocol)> = ports.iter().filter_map(number).collect();
    numbers.extend(own.iter().map(|own| (own.port, own.protocol)));
    if numbers.is_empty() {
        numbers.push((443, Protocol::Tcp));
    }
    let mut keys = FxHashSet::default();
    numbers.retain(|number| keys.insert(*number));
    numbers
}

/// Returns parties that no rule need name: an address outside, and pods of the same namespace and of others, one of
/// them without a sidecar.
fn strangers(governed: &Governed, direction: Direction) -> Vec<Party> {
    let inventory = &governed.policy.inventory;
    let home = governed.pod.namespace_labels.get(NAMESPACE_NAME);
    let others = |workload: &&Workload| !workload.host_network && workload.labels != governed.pod.labels;
    let first = |meant: &dyn Fn(&Workload) -> bool| {
        let mut all = inventory.workloads.iter().filter(others);
        all.find(|workload| meant(workload)).map(|workload| Party::Pod(pod(inventory, workload)))
    };
    let apart = first(&|workload| Some(&workload.namespace) != home && workload.sidecar);
    let near = first(&|workload| Some(&workload.namespace) == home);
    let bare = first(&|workload| !workload.sidecar).filter(|_| direction == Direction::Ingress);
    std::iter::once(Party::Address(OUTSIDE)).chain(apart).chain(near).chain(bare).collect()
}

/// Returns the shape of each rule of a pod in a direction, then the shape of flows that no rule need name. A port that
/// no rule names comes last: a port that no manifest declares may be open all the same.
fn spoken(governed: &Governed, direction: Direction) -> Vec<Shape> {
    let rules = governed.rules(direction).filter(|rule| rule.action != Action::Isolate);
    let mut shapes: Vec<Shape> = rules.map(|rule| of_rule(governed, direction, rule)).collect();
    let named = |number: u16| {
        let mut ports = shapes.iter().flat_map(|shape| &shape.ports).filter(|port| !port.is_every(Protocol::Tcp));
        let own = governed.pod.ports.iter().any(|own| own.port == number);
        own || ports.any(|port| port.numbers().is_some_and(|(first, last)| (first..=last).contains(&number)))
    };
    let other =
        (9090..9190).find(|number| !named(*number)).map(|number| PortMatch::range(number, number, Protocol::Tcp));
    let ports = shapes.iter().flat_map(|shape| &shape.ports).take(MOST).cloned().collect();
    let requests = shapes.iter().flat_map(|shape| &shape.requests).take(MOST).cloned().collect();
    shapes.push(Shape { parties: strangers(governed, direction), ports, requests });
    let with_other = |shape: &Shape| Shape {
        parties: shape.parties.clone(),
        ports: other.iter().cloned().collect(),
        requests: shape.requests.clone(),
    };
    let others: Vec<Shape> = shapes.iter().map(with_other).collect();
    shapes.extend(others);
    shapes
}

fn of_rule(governed: &Governed, direction: Direction, rule: &Rule) -> Shape {
    let policy = &governed.policy;
    let of_peers = |members: &[Member]| members.iter().filter_map(|member| party_of(policy, member)).collect();
    let at_gateway = direction == Direction::Ingress && governed.is_published_by(rule);
    let (parties, ports) = match &rule.via {
        // The gateway sees the clients on its own ports; the workload sees the gateway.
        Some(via) if at_gateway => {
            let ports = via.gateway.ports.iter();
            let ports = ports.map(|port| PortMatch::range(port.target, port.target, port.protocol)).collect();
            (of_peers(&rule.source.members), ports)
        }
        Some(via) if rule.ingress => {
            let pods = via.gateway.pods.iter().filter_map(|pods| party(&policy.inventory, pods)).collect();
            (pods, ports_of(rule).collect())
        }
        _ => (of_peers(&rule.peer(direction).members), ports_of(rule).collect()),
    };
    Shape { parties, ports, requests: request_of(rule).into_iter().collect() }
}

fn ports_of(rule: &Rule) -> impl Iterator<Item = PortMatch> {
    let every = [PortMatch::range(1, u16::MAX, Protocol::Tcp)];
    let of = move |member: &Member| match &member.ports {
        Ports::All => every.to_vec(),
        Ports::Some(list) => list.clone(),
    };
    rule.destination.members.iter().flat_map(of)
}

fn party_of(policy: &Policy, member: &Member) -> Option<Party> {
    match &member.what {
        What::Pods(pods) => party(&policy.inventory, &pods.selector),
        What::Addresses(set) => set.blocks.iter().find_map(address).map(Party::Address),
        What::Host(host) => {
            let at = match host.at.is_empty() {
                true => policy.internet.clone(),
                false => AddressSet::of(host.at.iter().map(|at| at.net)),
            };
            Some(Party::Host { name: name_of(&host.name), at })
        }
    }
}

/// Returns a pod that a selector selects.
pub(super) fn party(inventory: &Inventory, selector: &PodSelector) -> Option<Party> {
    match inventory.select(selector).first() {
        Some(workload) => Some(Party::Pod(pod(inventory, workload))),
        None => {
            let mut made = made_up(inventory, selector.namespace_name()?, &selector.labels)?;
            if let Account::Is(account) = &selector.account {
                made.account = account.clone();
                made.shown = format!("{}/@{account}", selector.namespace_name()?);
            }
            Some(Party::Pod(made))
        }
    }
}

/// Returns an address of a block.
pub(super) fn address(block: &Block) -> Option<IpAddr> {
    let mut hosts = std::iter::once(OUTSIDE).chain(block.net.hosts().take(MOST));
    hosts.find(|address| block.contains(*address))
}

/// Returns a request that meets the conditions of a rule.
fn request_of(rule: &Rule) -> Option<Request> {
    let Conditions { methods, paths, not_paths, hosts, headers, jwt } = &*rule.conditions;
    let public = rule.via.as_ref().filter(|_| rule.ingress).and_then(|via| via.at.first());
    let word = |segment: &Segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Any => "x".into(),
    };
    let written = |pattern: &PathPattern| {
        let path: String = pattern.segments.iter().map(|segment| format!("/{}", word(segment))).collect();
        let below = pattern.below.then(|| format!("{path}/x"));
        std::iter::once(path).chain(below)
    };
    let spared = |path: &String| !not_paths.iter().any(|pattern| pattern.matches_any_spelling(path));
    let path = paths.iter().flat_map(written).find(spared);
    let jwt = jwt.as_ref().map(|jwt| {
        let mut claims = token(&jwt.issuer.url, jwt.subjects.first().map_or("subject", SmolStr::as_str));
        if let Some(audience) = jwt.issuer.audiences.first() {
            claims.insert("aud".into(), json!(audience.as_str()));
        }
        for (claim, values) in &jwt.claims {
            let (last, above) = claim.0.split_last()?;
            let mut inner = &mut claims;
            for name in above {
                inner = inner.entry(name.as_str()).or_insert_with(|| json!({})).as_object_mut()?;
            }
            inner.insert(last.to_string(), json!([values.first()?.as_str()]));
        }
        Some(claims)
    });
    let request = Request {
        method: methods.first().cloned(),
        path,
        host: hosts.first().or(public).map(name_of),
        tls: None,
        client: None,
        headers: headers.iter().filter_map(|one| Some((one.name.clone(), one.values.first()?.clone()))).collect(),
        jwt: jwt.flatten(),
    };
    let says = request.method.is_some()
        || request.path.is_some()
        || request.host.is_some()
        || !request.headers.is_empty()
        || request.jwt.is_some();
    says.then_some(request)
}

fn name_of(host: &HostName) -> SmolStr {
    if host.wildcard { format_smolstr!("www.{}", host.name) } else { host.name.clone() }
}

/// Returns the claims of a token.
pub(super) fn token(issuer: &str, subject: &str) -> Map<String, Value> {
    [("iss", issuer), ("sub", subject)].into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect()
}

/// Returns a flow in words: `` `lab/tool -> shop/web:8080` with `GET /admin` ``.
pub(super) fn shown(flow: &Flow) -> String {
    let port = flow.port.map(|port| format!(":{port}")).unwrap_or_default();
    let protocol = if flow.protocol == Protocol::Tcp { "" } else { flow.protocol.word() };
    let slash = if protocol.is_empty() { "" } else { "/" };
    let (from, to) = (ask::shown(&flow.source), ask::shown(&flow.destination));
    let Request { method, path, host, headers, jwt, .. } = &flow.request;
    let asked: Vec<&str> = method.as_deref().into_iter().chain(path.as_deref()).collect();
    let mut with = Vec::new();
    if !asked.is_empty() {
        with.push(format!("`{}`", asked.join(" ")));
    }
    with.extend(host.as_ref().map(|host| format!("the host `{host}`")));
    with.extend(headers.iter().map(|(name, value)| format!("`{name}: {value}`")));
    let issuer = jwt.as_ref().map(|claims| claims.get("iss").and_then(Value::as_str).unwrap_or_default());
    with.extend(issuer.map(|issuer| format!("a token of `{issuer}`")));
    let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(" and ")) };
    format!("`{from} -> {to}{port}{slash}{protocol}`{with}")
}

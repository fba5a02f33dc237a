//! Policies as sets of flows: the sets say of every flow what the evaluator says.
//! `NETPOL_MEANING=POLICIES[,SEED]` asks for more than a test run.

use std::net::IpAddr;

use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::inventory::ContainerPort;
use netpol::model::addresses::AddressSet;
use netpol::model::endpoint::What;
use netpol::model::labels::{Labels, NAMESPACE_NAME};
use netpol::model::ports::Protocol;
use netpol::policy::meaning::Meaning;
use netpol::policy::{Flow, Party, Pod, Policy, Request, eval};
use netpol::settings::Settings;
use netpol::source::Sources;
use serde_json::json;

use crate::layers::draw::{self, HEAD};
use crate::layers::random::Random;
use crate::layers::world::World;

const FLOWS: usize = 100;

pub fn policy(source: &str, manifests: Option<&str>) -> Option<(Policy, Sources)> {
    let day = time::Date::from_calendar_date(2026, time::Month::November, 21).unwrap();
    let mut input = Input::new(Settings::new(day));
    input.policy("policy.netpol", source);
    if let Some(text) = manifests {
        input.manifest("cluster.yaml", text);
    }
    let policy = compile::policy(&mut input, &mut compile::no_files, &mut Diagnostics::new())?;
    Some((policy, input.sources))
}

const NAMESPACES: &[&str] = &["garden", "garden", "shop", "lab", "legacy", "kube-system", "istio-system", "elsewhere"];
const LABELS: &[(&str, &[&str])] = &[
    ("app", &["web", "web", "api", "curl", "cart", "good", "probe", "none", "istio-ingressgateway"]),
    ("tier", &["front", "back", "middle"]),
    ("istio", &["ingressgateway", "egressgateway"]),
    ("k8s-app", &["kube-dns"]),
];
const ACCOUNTS: &[&str] = &["web", "api", "good", "shared", "default", "istio-ingressgateway-service-account"];
const PORTS: &[u16] = &[80, 443, 8080, 8080, 8443, 9000, 9090, 9100, 53, 123, 5432, 15012, 1, 65535];
const HOSTS: &[&str] = &[
    "zenquotes.io",
    "evil.example",
    "db.wild.example",
    "a.wild.example",
    "wild.example",
    "db.zen.example",
    "api.zen.example",
    "garden.example",
    "shop.example",
    "api.garden.example",
    "web.garden.svc.cluster.local",
    "example.com",
];
const ADDRESSES: &[&str] = &[
    "198.51.100.0",
    "198.51.100.50",
    "198.51.100.63",
    "198.51.100.64",
    "198.51.100.66",
    "198.51.100.127",
    "198.51.101.0",
    "203.0.113.7",
    "203.0.113.8",
    "192.0.2.1",
    "10.1.2.3",
    "9.9.9.9",
    "169.254.169.254",
    "2001:db8::1",
    "fc00::1",
    "::",
];
const PATHS: &[&str] =
    &["/", "/api", "/api/", "/api/x", "/api/x/y", "/x/x", "//x", "/health", "/health?x=1", "/a/../api", "/API", "api"];

/// Draws flows about a policy.
pub struct Drawer<'r> {
    /// Where chance comes from.
    pub random: &'r mut Random,
    /// The policy.
    pub policy: &'r Policy,
}

impl Drawer<'_> {
    fn pod(&mut self) -> Pod {
        let random = &mut *self.random;
        let inventory = &self.policy.inventory;
        let mut namespace = random.pick(NAMESPACES);
        if inventory.given && !inventory.namespaces.contains_key(namespace) {
            namespace = "garden";
        }
        let mut namespace_labels = Labels::from([(NAMESPACE_NAME.into(), namespace.into())]);
        match inventory.namespaces.get(namespace) {
            Some(known) if known.declared => namespace_labels.extend(known.labels.clone()),
            // One namespace has the same labels at both ends of a flow.
            _ if namespace.len().is_multiple_of(2) => drop(namespace_labels.insert("env".into(), "prod".into())),
            _ => {}
        }
        let mut labels = Labels::new();
        for (key, values) in LABELS {
            if random.percent(45) {
                labels.insert((*key).into(), random.pick(values).into());
            }
        }
        let port = |name: &str, port, protocol| ContainerPort { name: Some(name.into()), port, protocol };
        let ports = match random.below(3) {
            0 => Vec::new(),
            1 => vec![port("http", 8080, Protocol::Tcp), port("metrics", 9000, Protocol::Tcp)],
            _ => vec![port("raw", 8080, Protocol::Tcp), port("http", 8080, Protocol::Udp)],
        };
        Pod {
            shown: format!("{namespace}/{labels:?}"),
            namespace_labels,
            labels,
            account: random.pick(ACCOUNTS).into(),
            ports,
            sidecar: random.percent(60),
            single: false,
        }
    }

    fn address(&mut self) -> IpAddr {
        self.random.pick(ADDRESSES).parse().unwrap()
    }

    /// Draws a host, at the addresses where it may be.
    fn host(&mut self) -> Party {
        let name = self.random.pick(HOSTS);
        let members = self.policy.rules.iter().flat_map(|rule| [&rule.source, &rule.destination]);
        let hosts = members.flat_map(|side| &side.members).filter_map(|member| match &member.what {
            What::Host(host) if host.matches(name) => Some(host.addresses().blocks),
            _ => None,
        });
        let blocks: Vec<_> = hosts.flatten().collect();
        let at = if blocks.is_empty() { self.policy.internet.clone() } else { AddressSet { blocks } };
        Party::Host { name: name.into(), at }
    }

    fn name(&mut self) -> Option<smol_str::SmolStr> {
        match self.random.below(8) {
            0..=3 => None,
            4 => Some(self.random.pick(&["", "GARDEN.example", "garden.example:443", "zenquotes.io.", "other"]).into()),
            _ => Some(self.random.pick(HOSTS).into()),
        }
    }

    fn request(&mut self) -> Request {
        let (host, tls) = (self.name(), self.name());
        let random = &mut *self.random;
        let token = |random: &mut Random| {
            let mut claims = serde_json::Map::new();
            claims.insert(
                "iss".into(),
                json!(random.pick(&["https://login.example", "https://desk.example", "https://evil.example"])),
            );
            if random.percent(50) {
                claims.insert("sub".into(), json!(random.pick(&["alice", "bob"])));
            }
            if random.percent(60) {
                let groups = random.pick(&["admin", "user"]);
                claims.insert("groups".into(), if random.percent(50) { json!([groups, "x"]) } else { json!(groups) });
            }
            if random.percent(60) {
                claims.insert("scope".into(), json!(random.pick(&["read", "read write", "write"])));
            }
            if random.percent(40) {
                claims.insert("realm_access".into(), json!({ "roles": [random.pick(&["admin", "user"])] }));
            }
            if random.percent(40) {
                claims.insert("aud".into(), json!(random.pick(&["desk", "shop", "api"])));
            }
            claims
        };
        Request {
            method: random.percent(70).then(|| random.pick(&["GET", "POST", "PUT"]).into()),
            path: random.percent(70).then(|| random.pick(PATHS).to_owned()),
            host,
            tls,
            headers: match random.below(4) {
                0 => vec![("x-team".into(), random.pick(&["web", "api", "other"]).into())],
                _ => Vec::new(),
            },
            client: random.percent(30).then(|| random.pick(ADDRESSES).parse().unwrap()),
            jwt: random.percent(50).then(|| token(random)),
        }
    }

    /// Draws a flow.
    pub fn flow(&mut self) -> Flow {
        let source = if self.random.percent(75) { Party::Pod(self.pod()) } else { Party::Address(self.address()) };
        let destination = match (&source, self.random.below(10)) {
            (Party::Pod(_), 0..=2) => Party::Address(self.address()),
            (Party::Pod(_), 3..=4) => self.host(),
            _ => Party::Pod(self.pod()),
        };
        let protocol =
            self.random.weighted(&[(12, Protocol::Tcp), (3, Protocol::Udp), (1, Protocol::Sctp), (1, Protocol::Icmp)]);
        let port = (protocol != Protocol::Icmp).then(|| self.random.pick(PORTS));
        let request =
            if protocol == Protocol::Tcp && self.random.percent(70) { self.request() } else { Request::default() };
        Flow { source, destination, port, protocol, request }
    }
}

#[test]
fn sets_say_of_every_flow_what_the_evaluator_says() {
    let asked = std::env::var("NETPOL_MEANING").unwrap_or_default();
    let (count, seed) = asked.split_once(',').unwrap_or((&asked, "1"));
    let (count, seed): (u64, u64) = (count.parse().unwrap_or(200), seed.parse().unwrap());
    let worlds = [World::new(false), World::new(true)];
    let (mut policies, mut flows, mut allowed) = (0, 0, 0);
    for number in 0..count {
        let mut random = Random::of_case(seed, number);
        let draw = draw::draw(&mut random);
        let world = &worlds[usize::from(draw.setting.known)];
        let source = format!("{HEAD}{}{}\n", world.declarations(), draw.statements.join("\n"));
        let Some((policy, _)) = policy(&source, world.manifests().as_deref()) else { continue };
        policies += 1;
        let mut meaning = Meaning::new(&policy, &[]);
        for _ in 0..FLOWS {
            let flow = Drawer { random: &mut random, policy: &policy }.flow();
            let one = eval(&policy, &flow);
            let other = meaning.allows(&flow).unwrap();
            flows += 1;
            allowed += usize::from(other);
            assert_eq!(
                one.allowed(),
                other,
                "case {number}: the evaluator {one:?}, the sets {other}\n{}\n{flow:#?}",
                draw.statements.join("\n")
            );
        }
    }
    println!("{policies} policies, {flows} flows, {allowed} allowed");
    assert!(policies > count as usize / 2 && allowed > flows / 10 && allowed < flows * 9 / 10);
}

const SENDERS: &[&str] = &["garden/*", "garden/{app=web}", "*/*", "lab/@good", "{env=prod}/*", "shop/{tier!=back}"];
const RECEIVERS: &[&str] = &[
    "garden/*",
    "garden/{app=api}:8080",
    "shop/*:8080/http where method GET",
    "garden/{app=web}:8080/http where path \"/api/**\"",
    "198.51.100.0/24:443",
    "zenquotes.io:443",
    "db:5432",
    "internet",
    "*/*:53/udp",
];

/// What proves or refutes a claim is a flow of which the evaluator says the same.
#[test]
fn examples_are_flows_that_the_evaluator_judges_alike() {
    let worlds = [World::new(false), World::new(true)];
    let (mut allowed, mut denied, mut proven) = (0, 0, 0);
    for number in 0..150 {
        let mut random = Random::of_case(5, number);
        let draw = draw::draw(&mut random);
        let world = &worlds[usize::from(draw.setting.known)];
        let claim = format!("assert never {} -> {}", random.pick(SENDERS), random.pick(RECEIVERS));
        let source = format!("{HEAD}{}{}\n{claim}\n", world.declarations(), draw.statements.join("\n"));
        let Some((policy, _)) = policy(&source, world.manifests().as_deref()) else { continue };
        let mut meaning = Meaning::new(&policy, &[]);
        let mut by_rules = Meaning::new(&policy, &[]);
        by_rules.search_rules();
        for claim in &policy.assertions {
            let shown = |flow: &Flow| format!("{}\n{claim:?}\n{flow:#?}", draw.statements.join("\n"));
            // The search that goes rule by rule finds a flow where the rows have one, and one of the same kind.
            let searched = [by_rules.allowed_of(&claim.flows).unwrap(), by_rules.denied_of(&claim.flows).unwrap()];
            for (found, allows) in searched.iter().zip([true, false]) {
                let Some(flow) = found.as_ref().map(|example| by_rules.flow(example)) else { continue };
                assert!(eval(&policy, &flow).allowed() == allows, "{}", shown(&flow));
            }
            let rows = [meaning.allowed_of(&claim.flows).unwrap(), meaning.denied_of(&claim.flows).unwrap()];
            let is_some = |list: &[Option<_>; 2]| [list[0].is_some(), list[1].is_some()];
            assert_eq!(is_some(&searched), is_some(&rows), "case {number}: {claim:?}\n{}", draw.statements.join("\n"));
            match meaning.allowed_of(&claim.flows).unwrap() {
                Some(example) => {
                    let flow = meaning.flow(&example);
                    assert!(eval(&policy, &flow).allowed() && meaning.allows(&flow).unwrap(), "{}", shown(&flow));
                    allowed += 1;
                }
                None => proven += 1,
            }
            if let Some(example) = meaning.denied_of(&claim.flows).unwrap() {
                let flow = meaning.flow(&example);
                assert!(!eval(&policy, &flow).allowed() && !meaning.allows(&flow).unwrap(), "{}", shown(&flow));
                denied += 1;
            }
        }
    }
    println!("{allowed} allowed, {denied} denied, {proven} proven");
    assert!(allowed > 20 && denied > 20 && proven > 5);
}

/// The rules on which a true claim rests make it true by themselves.
#[test]
fn a_true_claim_is_true_by_its_grounds_alone() {
    let worlds = [World::new(false), World::new(true)];
    let mut judged = [0, 0];
    for number in 0..300 {
        let mut random = Random::of_case(9, number);
        let draw = draw::draw(&mut random);
        let world = &worlds[usize::from(draw.setting.known)];
        let kind = random.pick(&["never", "always"]);
        // What a rule allows is often allowed.
        let lines = || draw.statements.iter().flat_map(|statement| statement.lines());
        let allow = lines().filter(|line| !line.contains(" via ")).find_map(|line| line.strip_prefix("allow "));
        let allowed = allow.map(|ends| ends.trim_start_matches("egress ").trim_start_matches("ingress "));
        let claim = match allowed.filter(|_| kind == "always") {
            Some(ends) => format!("assert always {ends}\n"),
            None => format!("assert {kind} {} -> {}\n", random.pick(SENDERS), random.pick(RECEIVERS)),
        };
        let with = |rules: &str| {
            let text = format!("{HEAD}{}{rules}\n{claim}", world.declarations());
            policy(&text, world.manifests().as_deref())
        };
        let Some((policy, sources)) = with(&draw.statements.join("\n")) else { continue };
        let [claim] = policy.assertions.as_slice() else { panic!() };
        let mut meaning = Meaning::new(&policy, &[]);
        let grounds = match kind {
            "never" if meaning.allowed_of(&claim.flows).unwrap().is_none() => meaning.refusing(&claim.flows),
            "always" if meaning.denied_of(&claim.flows).unwrap().is_none() => meaning.opening(&claim.flows),
            _ => continue,
        };
        let grounds = grounds.unwrap();
        if !grounds.grants.is_empty() {
            continue;
        }
        let mut texts: Vec<&str> = Vec::new();
        for at in &grounds.rules {
            let text = sources.slice(policy.rule(*at).unwrap().origin.place());
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let (alone, _) = with(&texts.join("\n")).unwrap();
        let mut meaning = Meaning::new(&alone, &[]);
        let refuted = match kind {
            "never" => meaning.allowed_of(&claim.flows).unwrap(),
            _ => meaning.denied_of(&claim.flows).unwrap(),
        };
        assert!(refuted.is_none(), "case {number}: {claim:?}\n{}\n{texts:#?}", draw.statements.join("\n"));
        judged[usize::from(kind == "always")] += usize::from(!texts.is_empty());
    }
    println!("{judged:?} claims rest on rules");
    assert!(judged[0] > 20 && judged[1] > 5, "{judged:?}");
}

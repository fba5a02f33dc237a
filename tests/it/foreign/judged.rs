//! Random objects of others beside random rules: what is said of a flow is what the written objects and theirs, decided
//! by a reading of Istio's documentation that shares nothing with the compiler, do to it. `NETPOL_FOREIGN=CASES[,SEED]`
//! asks for more than a test run.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netpol::model::ports::Protocol;
use netpol::model::rules::Direction;
use netpol::policy::{Flow, Party, Pod, Request, eval, governs_pod};
use netpol::settings::Layer;
use netpol::targets::foreign;
use serde_json::{Map, Value, json};

use super::mirror::sources;
use super::with;
use crate::istio::build::Build;
use crate::layers::authorization::{Connection, Http, Receiver, lets_in};
use crate::layers::random::Random;

const ROOT: &str = "istio-system";

/// Returns some values of a list, one or two.
fn some(random: &mut Random, list: &[&str]) -> Vec<String> {
    (0..random.between(1, 2)).map(|_| random.pick(list).to_owned()).collect()
}

/// Returns fields of a source or an operation; each may be one of what must not be.
fn fields(random: &mut Random, pool: &[(&str, &[&str])]) -> Value {
    let mut fields = Map::new();
    for _ in 0..random.between(1, 2) {
        let (name, values) = random.pick(pool);
        let not = format!("not{}{}", name[..1].to_uppercase(), &name[1..]);
        let name = if random.percent(30) { not } else { name.to_owned() };
        fields.insert(name, json!(some(random, values)));
    }
    Value::Object(fields)
}

const SOURCE: &[(&str, &[&str])] = &[
    ("namespaces", &["lab", "shop", "ops", "l*"]),
    ("principals", &["cluster.local/ns/lab/sa/tool", "cluster.local/ns/shop/*", "*", "*/sa/tool"]),
    ("serviceAccounts", &["lab/tool", "shop/db"]),
    ("ipBlocks", &["203.0.113.0/24", "192.0.2.0/24", "0.0.0.0/0", "10.0.0.0/8", "203.0.113.1"]),
    (
        "requestPrincipals",
        &["*", "https://login.example.com/*", "https://login.example.com/a", "https://other.example.com/*"],
    ),
];

const OPERATION: &[(&str, &[&str])] = &[
    ("ports", &["8080", "9090", "5432"]),
    ("methods", &["GET", "POST", "*"]),
    ("paths", &["/api*", "/admin", "*.json", "/{*}/x", "/api/{**}", "*"]),
    ("hosts", &["shop.example.com", "*.example.com", "SHOP.example.com"]),
];

const WHEN: &[(&str, &[&str])] = &[
    ("source.namespace", &["lab", "shop"]),
    ("source.principal", &["*/sa/tool", "cluster.local/*"]),
    ("source.ip", &["203.0.113.0/24", "10.0.0.0/8"]),
    ("destination.port", &["8080", "5432"]),
    ("request.auth.claims[groups]", &["b", "c"]),
];

fn authorization(random: &mut Random, name: &str) -> Value {
    let mut rules = Vec::new();
    for _ in 0..random.between(1, 2) {
        let mut rule = Map::new();
        if random.percent(70) {
            let list: Vec<Value> =
                (0..random.between(1, 2)).map(|_| json!({ "source": fields(random, SOURCE) })).collect();
            rule.insert("from".into(), list.into());
        }
        if random.percent(70) {
            let list: Vec<Value> =
                (0..random.between(1, 2)).map(|_| json!({ "operation": fields(random, OPERATION) })).collect();
            rule.insert("to".into(), list.into());
        }
        if random.percent(25) {
            let (key, values) = random.pick(WHEN);
            let list = if random.percent(30) { "notValues" } else { "values" };
            rule.insert("when".into(), json!([{ "key": key, list: some(random, values) }]));
        }
        rules.push(Value::Object(rule));
    }
    let mut spec = json!({ "action": random.pick(&["ALLOW", "DENY"]), "rules": rules });
    if random.percent(60) {
        spec["selector"] = json!({ "matchLabels": { "app": random.pick(&["web", "db"]) } });
    }
    object(random, "AuthorizationPolicy", name, spec)
}

fn peers(random: &mut Random, name: &str) -> Value {
    let mut spec = json!({ "mtls": { "mode": random.pick(&["STRICT", "PERMISSIVE", "UNSET"]) } });
    if random.percent(50) {
        spec["selector"] = json!({ "matchLabels": { "app": random.pick(&["web", "db"]) } });
        if random.percent(50) {
            spec["portLevelMtls"] = json!({ "8080": { "mode": random.pick(&["STRICT", "PERMISSIVE"]) } });
        }
    }
    object(random, "PeerAuthentication", name, spec)
}

fn object(random: &mut Random, kind: &str, name: &str, spec: Value) -> Value {
    // One with a selector in the root namespace is another test's.
    let mesh = random.percent(25) && (kind == "AuthorizationPolicy" || spec.get("selector").is_none());
    let namespace = if mesh { ROOT } else { "shop" };
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": kind,
        "metadata": { "name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": spec,
    })
}

/// Returns a pod of the shop's inventory.
pub fn pod(build: &Build, namespace: &str, name: &str) -> Pod {
    let inventory = &build.policy.inventory;
    let workload = inventory.named(namespace, name)[0];
    Pod {
        shown: format!("{namespace}/{name}"),
        namespace_labels: inventory.namespaces[namespace].labels.clone(),
        labels: workload.labels.clone(),
        account: workload.account.clone(),
        ports: workload.ports.clone(),
        sidecar: workload.sidecar,
        single: false,
    }
}

fn flow(random: &mut Random, build: &Build) -> Flow {
    let source = match random.below(6) {
        0 | 1 => Party::Pod(pod(build, "lab", "tool")),
        2 => Party::Pod(pod(build, "shop", "db")),
        3 => Party::Pod(pod(build, "ops", "cron")),
        _ => Party::Address(random.pick(&["203.0.113.1", "192.0.2.1", "198.51.100.1"]).parse::<IpAddr>().unwrap()),
    };
    let (name, port) = random.pick(&[("web", 8080), ("web", 8080), ("web", 9090), ("db", 5432)]);
    let claims = |issuer: &str| json!({ "iss": issuer, "sub": "a", "groups": ["b"] }).as_object().cloned();
    let request = match name {
        "db" => Request::default(),
        _ => Request {
            method: Some(random.pick(&["GET", "POST", "DELETE"]).into()),
            path: Some(random.pick(&["/", "/api", "/api/x", "/admin", "/a.json", "/q/x"]).to_owned()),
            host: Some(random.pick(&["shop.example.com", "www.example.com", "elsewhere.org"]).into()),
            jwt: random.pick(&[None, None, claims("https://login.example.com"), claims("https://other.example.com")]),
            ..Request::default()
        },
    };
    let destination = Party::Pod(pod(build, "shop", name));
    Flow { source, destination, port: Some(port), protocol: Protocol::Tcp, request }
}

/// Returns whether the written objects let a flow in.
fn let_in(objects: &[Value], flow: &Flow) -> bool {
    let Party::Pod(to) = &flow.destination else { unreachable!() };
    let labels: BTreeMap<String, String> =
        to.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let (identity, address) = match &flow.source {
        Party::Pod(pod) if pod.sidecar => {
            let namespace = pod.namespace_labels["kubernetes.io/metadata.name"].as_str();
            (Some((namespace, pod.account.as_str())), "10.1.2.3".parse().unwrap())
        }
        Party::Pod(_) => (None, "10.1.2.3".parse().unwrap()),
        Party::Address(address) => (None, *address),
        Party::Host { .. } => unreachable!(),
    };
    let http = flow.request.method.as_ref().map(|method| Http {
        method: method.to_string(),
        path: flow.request.path.clone().unwrap(),
        host: flow.request.host.as_ref().unwrap().to_string(),
        headers: Vec::new(),
        claims: flow.request.jwt.clone(),
        forwarded: None,
    });
    let connection = Connection { identity, address, port: flow.port.unwrap(), sni: None, http: http.as_ref() };
    lets_in(objects, ROOT, &Receiver { namespace: "shop", labels: &labels, gateway: false }, &connection)
}

#[test]
fn what_is_said_of_a_flow_is_what_the_objects_do_to_it() {
    let asked = std::env::var("NETPOL_FOREIGN").unwrap_or_else(|_| "150".to_owned());
    let (cases, seed) = asked.split_once(',').unwrap_or((&asked, "1"));
    let (cases, seed): (u64, u64) = (cases.parse().unwrap(), seed.parse().unwrap());
    let sources = sources();
    let (mut opened, mut closed, mut perhaps) = (0, 0, 0);
    let mut missed: Vec<String> = Vec::new();
    for case in 0..cases {
        let mut random = Random::of_case(seed, case);
        let source = random.pick(&sources);
        let mut theirs = vec![authorization(&mut random, "first")];
        if random.percent(40) {
            theirs.push(authorization(&mut random, "second"));
        }
        if random.percent(40) {
            theirs.push(peers(&mut random, "peers"));
        }
        let manifests: Vec<String> = theirs.iter().map(|one| format!("{one}\n")).collect();
        let build = with(&manifests.join("---\n"), &source, Layer::Istio);
        let own = build.objects();
        let warnings = super::said(&build);
        let (mut opens, mut closes) = (None, None);
        // Of two in one place the older counts, which is the first here.
        let all: Vec<Value> = theirs.iter().chain(&own).cloned().collect();
        for _ in 0..60 {
            let flow = flow(&mut random, &build);
            let verdict = eval(&build.policy, &flow);
            let Party::Pod(to) = &flow.destination else { unreachable!() };
            let governed = build.policy.rules.iter().any(|rule| governs_pod(rule, Direction::Ingress, to));
            let allows = verdict.ends[1].allows();
            let (before, after) = (let_in(&own, &flow), let_in(&all, &flow));
            let (policy, beside) = (&build.policy, &build.lowering.beside);
            let passes = foreign::passes(policy, beside, Layer::Istio, &flow, Direction::Ingress);
            let refuses = foreign::refuses(policy, beside, Layer::Istio, &flow, Direction::Ingress);
            let told = format!(
                "case {case}: {source}\n{}\n{flow:#?}\nallows {allows}, before {before}, after {after}, passes {passes:?}, refuses {refuses:?}\n{}",
                manifests.join("---\n"),
                build.text()
            );
            if allows && before && !after {
                assert!(refuses.is_some(), "nothing is said to refuse it\n{told}");
                closed += 1;
                closes = closes.or(governed.then(|| told.clone()));
            }
            if !allows && !before && after {
                assert!(passes.is_some(), "nothing is said to let it in\n{told}");
                opened += 1;
                opens = opens.or(governed.then(|| told.clone()));
            }
            let sure = |found: &Option<(String, bool)>| found.as_ref().is_some_and(|(_, sure)| *sure);
            if allows {
                assert!(passes.is_none() && !(after && sure(&refuses)), "said to be refused\n{told}");
            } else {
                assert!(refuses.is_none() && (after || !sure(&passes)), "said to come in\n{told}");
            }
            perhaps += usize::from([&passes, &refuses].into_iter().flatten().any(|(_, sure)| !sure));
        }
        // The build itself finds such a flow, too.
        for (found, words) in [(opens, "let more into"), (closes, "refuse")] {
            let warns = warnings
                .iter()
                .any(|one| one.contains(words) || one.contains("lets more into") && words.starts_with("let"));
            missed.extend(found.filter(|_| !warns));
        }
    }
    assert!(missed.len() * 100 <= cases as usize, "{} builds say nothing\n{}", missed.len(), missed.join("\n\n"));
    assert!(opened > cases as usize / 10 && closed > cases as usize / 2, "{opened} opened, {closed} closed");
    println!("{opened} opened, {closed} closed, {perhaps} perhaps");
}

//! Random NetworkPolicies of others beside random rules: what is said of a flow is what the written objects and theirs
//! do to it by an evaluator of NetworkPolicy that shares nothing with the compiler.

use std::net::IpAddr;

use netpol::model::ports::Protocol;
use netpol::model::rules::Direction;
use netpol::policy::{Flow, Party, Request, eval, governs_pod};
use netpol::settings::Layer;
use netpol::targets::foreign;
use serde_json::{Map, Value, json};

use super::judged::pod;
use super::{said, with};
use crate::layers::random::Random;
use crate::networkpolicy::engine::{Blocks, End, Pod, allows};

const SOURCES: [&str; 8] = [
    "default deny shop/*",
    "allow ingress lab/* -> shop/web:8080",
    "allow ingress anywhere -> shop/web:8080",
    "allow ingress { ops/*, 203.0.113.0/24 } -> shop/*",
    "allow egress shop/web -> lab/{app=tool}:{80, 9000-9100}",
    "allow egress shop/* -> 203.0.113.0/24:443",
    "default deny shop/web\nallow ingress { lab/{app=tool}, shop/* } -> shop/web",
    "allow egress shop/* -> { lab/*, 192.0.2.0/24 }\ndeny egress shop/web -> 192.0.2.0/28:443",
];

fn peer(random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!({ "ipBlock": { "cidr": "203.0.113.0/24", "except": ["203.0.113.128/25"] } }),
        1 => json!({ "ipBlock": { "cidr": random.pick(&["0.0.0.0/0", "192.0.2.0/24", "198.51.100.0/24"]) } }),
        2 => json!({ "podSelector": { "matchLabels": { "app": random.pick(&["web", "db"]) } } }),
        _ => {
            let mut peer = json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": random.pick(&["lab", "ops"]) } } });
            if random.percent(50) {
                let operator = random.pick(&["In", "NotIn"]);
                peer["podSelector"] =
                    json!({ "matchExpressions": [{ "key": "app", "operator": operator, "values": ["tool"] }] });
            }
            peer
        }
    }
}

fn object(random: &mut Random, name: &str) -> Value {
    let mut rules = |peers: &str| -> Value {
        let list = (0..random.below(3)).map(|_| {
            let mut rule = Map::new();
            if random.percent(75) {
                rule.insert(peers.into(), (0..random.between(1, 2)).map(|_| peer(random)).collect::<Vec<_>>().into());
            }
            if random.percent(60) {
                let ports = [
                    json!({ "port": 8080 }),
                    json!({ "port": 9000, "endPort": 9090 }),
                    json!({ "protocol": "UDP", "port": 53 }),
                    json!({ "port": 443 }),
                ];
                rule.insert("ports".into(), json!([random.pick(&ports)]));
            }
            Value::Object(rule)
        });
        list.collect::<Vec<_>>().into()
    };
    let (ingress, egress) = (rules("from"), rules("to"));
    let mut spec = json!({ "podSelector": {}, "ingress": ingress, "egress": egress });
    match random.below(4) {
        0 => spec["policyTypes"] = json!(["Ingress"]),
        1 => spec["policyTypes"] = json!(["Egress"]),
        2 => spec["policyTypes"] = json!(["Ingress", "Egress"]),
        _ => {}
    }
    if random.percent(50) {
        spec["podSelector"] = json!({ "matchLabels": { "app": "web" } });
    }
    json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": name, "namespace": "shop" }, "spec": spec })
}

/// Returns a pod as the evaluator takes it.
fn end(pod: &netpol::policy::Pod) -> Pod {
    let text = |labels: &netpol::model::labels::Labels| {
        labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    Pod {
        namespace: pod.namespace_labels["kubernetes.io/metadata.name"].to_string(),
        namespace_labels: text(&pod.namespace_labels),
        labels: text(&pod.labels),
        address: None,
        ports: Vec::new(),
    }
}

#[test]
fn what_is_said_of_a_flow_is_what_networkpolicies_do_to_it() {
    let (mut opened, mut missed) = (0, Vec::new());
    let cases = 150;
    for case in 0..cases {
        let mut random = Random::of_case(1, case);
        let source = random.pick(&SOURCES);
        let theirs: Vec<Value> =
            ["first", "second"][..random.between(1, 2)].iter().map(|name| object(&mut random, name)).collect();
        let manifests: Vec<String> = theirs.iter().map(|one| format!("{one}\n")).collect();
        let build = with(&manifests.join("---\n"), source, Layer::NetworkPolicy);
        let own = build.objects();
        let all: Vec<Value> = theirs.iter().chain(&own).cloned().collect();
        let mut found = None;
        for _ in 0..60 {
            let web = pod(&build, "shop", "web");
            let other = match random.below(5) {
                0 | 1 => Party::Pod(pod(&build, "lab", "tool")),
                2 => Party::Pod(pod(&build, "ops", "cron")),
                _ => Party::Address(
                    random
                        .pick(&["203.0.113.1", "203.0.113.200", "192.0.2.1", "198.51.100.1"])
                        .parse::<IpAddr>()
                        .unwrap(),
                ),
            };
            let direction = random.pick(&Direction::BOTH);
            let (port, protocol) =
                random.pick(&[(8080, Protocol::Tcp), (9050, Protocol::Tcp), (443, Protocol::Tcp), (53, Protocol::Udp)]);
            let (from, to) = match direction {
                Direction::Egress => (Party::Pod(web.clone()), other),
                Direction::Ingress => (other, Party::Pod(web.clone())),
            };
            let flow = Flow { source: from, destination: to, port: Some(port), protocol, request: Request::default() };
            let allowed = eval(&build.policy, &flow).ends[usize::from(direction == Direction::Ingress)].allows();
            let pods = [&flow.source, &flow.destination].map(|party| match party {
                Party::Pod(pod) => Ok(end(pod)),
                Party::Address(address) => Err(*address),
                Party::Host { .. } => unreachable!(),
            });
            let [from, to] = [&pods[0], &pods[1]].map(|pod| match pod {
                Ok(pod) => End::Pod(pod),
                Err(address) => End::Address(*address),
            });
            let word = protocol.word().to_uppercase();
            let passes = |objects: &[Value]| allows(objects, from, to, port, &word, Blocks::OutsideOnly);
            let (before, after) = (passes(&own), passes(&all));
            let (policy, beside, layer) = (&build.policy, &build.lowering.beside, Layer::NetworkPolicy);
            let opens = foreign::passes(policy, beside, layer, &flow, direction);
            let closes = foreign::refuses(policy, beside, layer, &flow, direction);
            let told = format!(
                "case {case}: {source}\n{}\n{flow:#?}\nbefore {before}, after {after}, {opens:?}, {closes:?}",
                manifests.join("")
            );
            assert_eq!(closes.is_some(), allowed && before && !after, "{told}");
            if !allowed && !before && after {
                assert!(opens.is_some(), "{told}");
                opened += 1;
                let governed = build.policy.rules.iter().any(|rule| governs_pod(rule, direction, &web));
                found = found.or(governed.then_some(told.clone()));
            }
            assert!(!allowed || opens.is_none(), "{told}");
            assert!(allowed || opens.is_none() || after, "{told}");
        }
        let warns = said(&build).iter().any(|one| one.contains("lets more"));
        missed.extend(found.filter(|_| !warns));
    }
    assert!(missed.is_empty(), "{} builds say nothing\n{}", missed.len(), missed.join("\n\n"));
    assert!(opened > 200, "{opened}");
}

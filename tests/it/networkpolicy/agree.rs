//! Random policies: the objects let through what the evaluator of the source allows, and nothing else where the layer
//! calls itself exact.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netpol::inventory::ContainerPort;
use netpol::model::labels::{Labels, NAMESPACE_NAME};
use netpol::model::ports::Protocol;
use netpol::policy::{Flow, Party, Request, eval};
use netpol::targets::Level;
use proptest::prelude::*;

use super::build::{Build, build_with, written};
use super::engine::{Blocks, End, Pod, allows};

const NAMESPACES: [(&str, &[(&str, &str)]); 3] =
    [("one", &[("env", "prod")]), ("two", &[("env", "dev")]), ("three", &[])];

const DECLARED: &str =
    "namespace one { labels { env = prod } }\nnamespace two { labels { env = dev } }\nnamespace three {}\n";

const ADDRESSES: [&str; 6] =
    ["203.0.113.7", "203.0.113.200", "198.51.100.1", "10.9.0.1", "2001:db8::1", "169.254.169.254"];

fn pods() -> Vec<Pod> {
    let mut pods = Vec::new();
    for (at, (namespace, labels)) in NAMESPACES.iter().enumerate() {
        let text = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
            list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let mut namespace_labels = text(labels);
        namespace_labels.insert(NAMESPACE_NAME.into(), (*namespace).into());
        let kinds: [&[(&str, &str)]; 4] =
            [&[], &[("app", "web")], &[("app", "api"), ("tier", "db")], &[("app", "web"), ("tier", "db")]];
        for (number, labels) in kinds.iter().enumerate() {
            pods.push(Pod {
                namespace: (*namespace).into(),
                namespace_labels: namespace_labels.clone(),
                labels: text(labels),
                address: Some(format!("10.244.{at}.{number}").parse().unwrap()),
                ports: vec![("http".into(), if number == 1 { 8080 } else { 80 }, "TCP".into())],
            });
        }
    }
    pods
}

fn party(end: End) -> Party {
    match end {
        End::Address(address) => Party::Address(address),
        End::Pod(pod) => {
            let labels = |list: &BTreeMap<String, String>| -> Labels {
                list.iter().map(|(key, value)| (key.into(), value.into())).collect()
            };
            Party::Pod(netpol::policy::Pod {
                shown: format!("{}/{:?}", pod.namespace, pod.address),
                namespace_labels: labels(&pod.namespace_labels),
                labels: labels(&pod.labels),
                account: "default".into(),
                ports: pod
                    .ports
                    .iter()
                    .map(|(name, port, _)| ContainerPort {
                        name: Some(name.into()),
                        port: *port,
                        protocol: Protocol::Tcp,
                    })
                    .collect(),
                sidecar: false,
                single: true,
            })
        }
    }
}

/// Holds every flow of the little cluster against the source. Returns how many flows there were.
fn agree(build: &Build, apart: bool) -> Result<usize, TestCaseError> {
    let objects = build.objects();
    let exact = build
        .lowering
        .layers
        .iter()
        .all(|(_, lowered)| lowered.judgements.iter().all(|judgement| judgement.level == Level::Exact));
    let pods = pods();
    let addresses: Vec<IpAddr> = ADDRESSES.iter().map(|address| address.parse().unwrap()).collect();
    let ends: Vec<End> =
        pods.iter().map(End::Pod).chain(addresses.iter().map(|address| End::Address(*address))).collect();
    let mut flows = 0;
    for from in &ends {
        for to in &ends {
            for (port, protocol) in [
                (53, Protocol::Udp),
                (80, Protocol::Tcp),
                (8080, Protocol::Tcp),
                (443, Protocol::Tcp),
                (80, Protocol::Sctp),
            ] {
                let flow = Flow {
                    source: party(*from),
                    destination: party(*to),
                    port: Some(port),
                    protocol,
                    request: Request::default(),
                };
                let wanted = eval(&build.policy, &flow).allowed();
                let word = protocol.word().to_uppercase();
                for blocks in [Blocks::OutsideOnly, Blocks::PodsToo] {
                    let got = allows(&objects, *from, *to, port, &word, blocks);
                    let shown = || format!("{from:?} -> {to:?}:{port}/{word}, {blocks:?}\n{}", build.text());
                    prop_assert!(got || !wanted, "refused: {}", shown());
                    if exact && (apart || blocks == Blocks::OutsideOnly) {
                        prop_assert!(wanted || !got, "let through: {}", shown());
                    }
                }
                flows += 1;
            }
        }
    }
    Ok(flows)
}

fn workloads() -> impl Strategy<Value = String> {
    let namespace = prop_oneof![
        4 => prop::sample::select(vec!["one", "two", "three"]).prop_map(str::to_owned),
    ];
    let labels = prop::sample::select(vec![
        "*",
        "{app=web}",
        "{tier=db}",
        "{app in (web, api)}",
        "{!tier}",
        "{app!=web}",
        "{app}",
        "{app=web, tier notin (db)}",
    ]);
    (namespace, labels).prop_map(|(namespace, labels)| format!("{namespace}/{labels}"))
}

fn subject() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => workloads(),
        1 => (workloads(), workloads()).prop_map(|(a, b)| format!("{{ {a}, {b} }}")),
    ]
}

fn peer() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => workloads(),
        1 => Just("*/*".to_owned()),
        1 => Just("{env=prod}/*".to_owned()),
        1 => Just("{env notin (prod)}/{app}".to_owned()),
        1 => Just("*/{app=web}".to_owned()),
        1 => Just("anywhere".to_owned()),
        1 => Just("internet".to_owned()),
        3 => prop::sample::select(vec![
            "203.0.113.0/24", "203.0.113.7", "10.0.0.0/8", "2001:db8::/32", "169.254.169.254", "0.0.0.0/0",
        ]).prop_map(str::to_owned),
        1 => Just("{ 203.0.113.0/24 except 203.0.113.128/25 }".to_owned()),
        1 => Just("{ one/*, 203.0.113.0/24 }".to_owned()),
    ]
}

fn bare_ports() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        ":80",
        ":{80, 53/udp}",
        ":1-8000",
        ":*/tcp",
        ":{443, 8080}",
        ":http",
        ":{http, 443}",
        ":*/udp",
        ":*/sctp",
    ])
    .prop_map(str::to_owned)
}

fn ports_of(endpoint: &str, ports: String) -> String {
    // An IPv6 network with a port stands in brackets, and port names are for pods.
    let pods = !endpoint.contains('.') && !endpoint.contains(':') && endpoint != "anywhere" && endpoint != "internet";
    let ports = if pods { ports } else { ports.replace("http", "80") };
    if endpoint.contains("::") && !ports.is_empty() {
        format!("[{endpoint}]{ports}")
    } else {
        format!("{endpoint}{ports}")
    }
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => (prop::sample::select(vec!["", "egress ", "ingress "]), subject())
            .prop_map(|(direction, subject)| format!("default deny {direction}{subject}")),
        4 => (subject(), peer(), bare_ports(), any::<bool>()).prop_map(|(subject, peer, ports, deny)| {
            let action = if deny { "deny" } else { "allow" };
            format!("{action} egress {subject} -> {}", ports_of(&peer, ports))
        }),
        4 => (subject(), peer(), bare_ports(), any::<bool>()).prop_map(|(subject, peer, ports, deny)| {
            let action = if deny { "deny" } else { "allow" };
            format!("{action} ingress {peer} -> {subject}{ports}")
        }),
        2 => (subject(), subject(), bare_ports(), any::<bool>()).prop_map(|(from, to, ports, deny)| {
            let action = if deny { "deny" } else { "allow" };
            format!("{action} {from} -> {to}{ports}")
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn objects_mean_the_source(statements in prop::collection::vec(statement(), 1..6), pods_known: bool) {
        let source = format!("{DECLARED}{}\n", statements.join("\n"));
        let build = build_with(&source, "", |settings| {
            if pods_known {
                settings.pods = vec![written("10.244.0.0/16")];
            }
        });
        let refused: Vec<&str> = build
            .diagnostics
            .iter()
            .filter(|finding| finding.code.as_str() < "E06" && finding.code.as_str().starts_with('E'))
            .map(|finding| finding.message.as_str())
            .collect();
        prop_assert!(refused.is_empty(), "{refused:?}\n{source}");
        // Blocks that a rule names may contain pods' addresses; those that the compiler makes do not.
        let apart = |line: &&str| line.starts_with("allow") && (line.contains(" 0.0.0.0/0") || line.contains("10.0.0.0/8"));
        let apart = !source.lines().any(|line| apart(&line));
        prop_assert!(agree(&build, pods_known || apart)? > 0);
    }
}

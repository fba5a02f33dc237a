//! The known ways in which a NetworkPolicy comes to mean something else than its author wrote, one test for each that
//! can be tested. `docs/design/traps.md` has them all.

use serde_json::{Value, json};

use super::build::{Build, build, build_in, build_with, written};

const DNS: &str = "granted: the way to the cluster's DNS";

/// Returns every value under a key, however deep.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if name == key {
                    found.push(inner);
                }
                all(inner, key, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| all(inner, key, found)),
        _ => {}
    }
}

fn every(build: &Build, key: &str) -> Vec<Value> {
    let objects = build.objects();
    let mut found = Vec::new();
    objects.iter().for_each(|object| all(object, key, &mut found));
    found.into_iter().cloned().collect()
}

fn peer(namespace: &str, labels: Value) -> Value {
    let pods = if labels == json!({}) { json!({}) } else { json!({ "matchLabels": labels }) };
    json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
        "podSelector": pods,
    })
}

#[test]
fn trap_01_a_pair_is_governed_at_both_ends() {
    let build = build("allow garden/{app=web} -> db/{app=pg}:5432").ok();
    let ports = json!([{ "protocol": "TCP", "port": 5432 }]);
    let sender = build.named("garden", "app-web-egress");
    assert_eq!(sender["spec"]["egress"][0], json!({ "to": [peer("db", json!({ "app": "pg" }))], "ports": ports }));
    let receiver = build.named("db", "app-pg-ingress");
    assert_eq!(
        receiver["spec"]["ingress"],
        json!([{ "from": [peer("garden", json!({ "app": "web" }))], "ports": ports }])
    );
}

#[test]
fn trap_02_policy_types_are_always_written() {
    let object = build("default deny egress garden/*").ok().object();
    assert_eq!(object["spec"]["policyTypes"], json!(["Egress"]));
    let object = build("allow ingress web/* -> garden/*:80").ok().object();
    assert_eq!(object["spec"]["policyTypes"], json!(["Ingress"]));
}

#[test]
fn trap_03_what_is_emptied_is_left_out_and_never_an_empty_list() {
    let source = "allow egress garden/* -> 203.0.113.0/24:443\ndeny egress garden/* -> 203.0.0.0/16";
    let object = build(source).ok().object();
    assert_eq!(object["spec"], json!({ "podSelector": {}, "policyTypes": ["Egress"] }));
    // Ports taken one by one leave no entry without ports either.
    let source =
        "allow egress garden/* -> db/*:{80, 81}\ndeny egress garden/* -> db/*:80\ndeny egress garden/* -> db/*:81";
    let build = build(source).ok();
    assert!(!build.text().contains("kubernetes.io/metadata.name: db"), "{}", build.text());
    // Addresses that are all pods' leave nothing to let through.
    let pods = build_with("allow egress garden/* -> 10.244.1.0/24:443", "", |settings| {
        settings.pods = vec![written("10.244.0.0/16")];
    });
    assert_eq!(pods.object()["spec"], json!({ "podSelector": {}, "policyTypes": ["Egress"] }));
    for built in [&build, &pods] {
        for key in ["to", "from", "ports", "egress", "ingress", "except"] {
            assert!(every(built, key).iter().all(|list| list.as_array().is_some_and(|list| !list.is_empty())));
        }
    }
}

#[test]
fn trap_04_peers_and_ports_stand_in_one_entry() {
    let object = build("allow ingress { web/*, 203.0.113.0/24 } -> garden/*:{80, 443}").ok().object();
    let from = json!([peer("web", json!({})), { "ipBlock": { "cidr": "203.0.113.0/24" } }]);
    let ports = json!([{ "protocol": "TCP", "port": 80 }, { "protocol": "TCP", "port": 443 }]);
    assert_eq!(object["spec"]["ingress"], json!([{ "from": from, "ports": ports }]));
}

#[test]
fn trap_05_namespace_and_pod_of_a_peer_stand_in_one_element() {
    let object = build("allow ingress {env=prod}/{app=web, tier in (a, b)} -> garden/*:80").ok().object();
    let from = json!([{
        "namespaceSelector": { "matchLabels": { "env": "prod" } },
        "podSelector": {
            "matchLabels": { "app": "web" },
            "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["a", "b"] }],
        },
    }]);
    assert_eq!(object["spec"]["ingress"][0]["from"], from);
}

#[test]
fn trap_06_a_peer_of_pods_always_has_both_selectors() {
    let source = "allow ingress { garden/*, garden/{app=web}, */{app=web}, {env=prod}/*, */* } -> garden/*:80";
    let build = build(source).ok();
    let peers = &build.object()["spec"]["ingress"][0]["from"];
    assert_eq!(peers.as_array().unwrap().len(), 5);
    for peer in peers.as_array().unwrap() {
        assert!(peer["namespaceSelector"].is_object() && peer["podSelector"].is_object(), "{peer}");
    }
}

#[test]
fn trap_07_a_namespace_is_known_by_the_label_that_nobody_can_forge() {
    let build = build("allow ingress web/* -> garden/*:80").ok();
    let selectors = every(&build, "namespaceSelector");
    assert_eq!(selectors, [json!({ "matchLabels": { "kubernetes.io/metadata.name": "web" } })]);
}

#[test]
fn trap_08_the_port_is_the_pods_and_not_the_services() {
    let service = "service garden/api { select {app=api}  port 80 -> 8080/http  port 443 -> https }\n";
    let object = build(&format!("{service}allow ingress web/* -> garden/api:{{80, 443}}")).ok().object();
    let ports = json!([{ "protocol": "TCP", "port": 8080 }, { "protocol": "TCP", "port": "https" }]);
    assert_eq!(object["spec"]["ingress"][0]["ports"], ports);
}

#[test]
fn trap_09_a_named_port_is_for_pods_and_has_no_end() {
    let object = build("allow ingress web/* -> garden/*:{metrics, 8000-8100}").ok().object();
    let ports = json!([
        { "protocol": "TCP", "port": "metrics" },
        { "protocol": "TCP", "port": 8000, "endPort": 8100 },
    ]);
    assert_eq!(object["spec"]["ingress"][0]["ports"], ports);
    assert!(build("allow egress garden/* -> 203.0.113.0/24:pgsql").codes().contains(&"E0305"));
}

#[test]
fn trap_10_every_port_has_its_protocol() {
    let source =
        "allow ingress web/* -> garden/*:{53/udp, 53, 80/http, 9-10/sctp}\nallow egress garden/* -> web/*:*/udp";
    let build = build(source).ok();
    let ports: Vec<Value> = every(&build, "ports").iter().flat_map(|list| list.as_array().unwrap().clone()).collect();
    assert!(ports.iter().all(|port| port["protocol"].is_string()), "{ports:?}");
    assert!(ports.contains(&json!({ "protocol": "UDP", "port": 53 })));
    assert!(ports.contains(&json!({ "protocol": "UDP" })));
    // No suffix is every port of every protocol: no list at all.
    let object = self::build("allow ingress web/* -> garden/*").ok().object();
    assert_eq!(object["spec"]["ingress"], json!([{ "from": [peer("web", json!({}))] }]));
}

#[test]
fn trap_11_nothing_is_emitted_for_icmp_and_a_note_says_so() {
    let alone = build("allow ingress web/* -> garden/*:*/icmp").ok();
    assert_eq!(alone.object()["spec"], json!({ "podSelector": {}, "policyTypes": ["Ingress"] }));
    assert_eq!(alone.codes(), ["N0702"]);
    let beside = build("allow ingress web/* -> garden/*:{80, */icmp}").ok();
    assert_eq!(every(&beside, "ports"), [json!([{ "protocol": "TCP", "port": 80 }])]);
    assert_eq!(beside.codes(), ["N0702"]);
}

#[test]
fn trap_12_except_lies_inside_and_stays_a_strict_part() {
    assert!(build("allow egress a/* -> { 10.0.0.0/8 except 192.168.0.0/16 }:443").codes().contains(&"E0213"));
    // What the compiler itself takes out keeps to it: the same net goes, a smaller one becomes an exception.
    let source =
        "allow egress a/* -> { 10.0.0.0/8, 203.0.113.0/24 }:443\ndeny egress a/* -> { 203.0.113.0/24, 10.1.0.0/16 }\n";
    let object = build(source).ok().object();
    let block = json!([{ "ipBlock": { "cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"] } }]);
    assert_eq!(object["spec"]["egress"][0]["to"], block);
}

#[test]
fn trap_13_a_deny_is_taken_out_of_every_rule() {
    let source = "allow egress a/* -> 192.168.0.0/16:443\nallow egress a/* -> 192.168.10.0/26\ndeny egress a/* -> 192.168.10.0/24";
    let object = build(source).ok().object();
    let block = json!({ "cidr": "192.168.0.0/16", "except": ["192.168.10.0/24"] });
    let entry = json!({ "to": [{ "ipBlock": block }], "ports": [{ "protocol": "TCP", "port": 443 }] });
    assert_eq!(object["spec"]["egress"], json!([entry]));
}

#[test]
fn a_resolver_keeps_its_port() {
    let build = build_with("allow egress a/* -> b/*:80", "", |settings| {
        settings.resolver = vec![written("169.254.20.10:5353"), written("10.0.0.10"), written("dns/{app=r}:1053/udp")];
    });
    let ports = every(&build, "port");
    for port in [5353, 1053, 53] {
        assert!(ports.contains(&json!(port)), "{port}: {ports:?}");
    }
}

#[test]
fn trap_14_the_addresses_of_pods_are_cut_out_of_blocks() {
    let build = build_with("allow egress a/* -> { 10.0.0.0/8, 203.0.113.7 }:443", "", |settings| {
        settings.pods = vec![written("10.244.0.0/16")];
    });
    let blocks = every(&build, "ipBlock");
    let cut = json!({ "cidr": "10.0.0.0/8", "except": ["10.244.0.0/16"] });
    assert_eq!(blocks, [cut, json!({ "cidr": "203.0.113.7/32" })]);
    assert!(!build.codes().contains(&"W0223"), "{:?}", build.codes());
}

#[test]
fn trap_15_the_table_says_whose_address_is_judged() {
    let build = build("allow ingress 203.0.113.0/24 -> garden/*:80").ok();
    let table = build.lowering.enforcement(&build.policy).text(&build.sources);
    assert!(table.contains("exact: by the packet's source"), "{table}");
}

#[test]
fn trap_16_the_way_to_dns_is_opened_where_names_are_needed_and_nowhere_else() {
    let granted = |source: &str| build(source).text().contains(DNS);
    assert!(granted("allow egress garden/* -> db/*:5432"));
    assert!(granted("@approximate(\"names\")\nallow egress garden/* -> zenquotes.io:443"));
    for source in [
        "allow egress garden/* -> 203.0.113.7:443",
        "default deny garden/*",
        "deny egress garden/* -> 203.0.113.7:443",
        "allow ingress web/* -> garden/*:80",
    ] {
        assert!(!granted(source), "{source}");
    }
    let explicit = build_with("allow egress garden/* -> db/*:5432", "", |settings| settings.grant_dns = false);
    assert!(!explicit.text().contains(DNS));
}

#[test]
fn trap_17_a_resolver_on_the_node_is_opened_by_address() {
    let build = build_with("allow egress garden/* -> db/*:5432", "", |settings| {
        settings.resolver = vec![written("169.254.20.10:{53/udp, 53/tcp}")];
    });
    assert!(every(&build, "ipBlock").contains(&json!({ "cidr": "169.254.20.10/32" })), "{}", build.text());
    let kyma = build_with("allow egress garden/* -> db/*:5432", "", |settings| {
        settings.platform = netpol::settings::Platform::Kyma;
    });
    assert!(every(&kyma, "ipBlock").contains(&json!({ "cidr": "169.254.20.10/32" })), "{}", kyma.text());
}

#[test]
fn trap_18_a_rest_beside_pods_needs_to_know_where_pods_are() {
    let source = "deny egress garden/* -> payments/*";
    let unknown = build(source);
    assert_eq!((unknown.codes(), unknown.objects()), (vec!["E0711"], vec![]));
    assert!(unknown.said("E0711").contains("[cluster] pods"), "{}", unknown.said("E0711"));
    let known = build_with(source, "", |settings| settings.pods = vec![written("10.244.0.0/16")]).ok();
    let peers = json!([
        {
            "namespaceSelector": {
                "matchExpressions": [{ "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["payments"] }],
            },
            "podSelector": {},
        },
        { "ipBlock": { "cidr": "0.0.0.0/0", "except": ["10.244.0.0/16"] } },
        { "ipBlock": { "cidr": "::/0" } },
    ]);
    assert_eq!(known.object()["spec"]["egress"], json!([{ "to": peers }]));
    // Addresses taken from everything need not know: all pods stay, whatever their addresses.
    let metadata = build("deny egress garden/* -> 169.254.169.254").ok();
    assert!(every(&metadata, "cidr").contains(&json!("0.0.0.0/0")));
}

#[test]
fn trap_19_a_host_is_its_envelope_and_never_an_address_of_today() {
    let build = build("allow egress garden/* -> zenquotes.io:443");
    let blocks = every(&build, "ipBlock");
    let nets: Vec<&Value> = blocks.iter().map(|block| &block["cidr"]).collect();
    assert_eq!(nets, [&json!("0.0.0.0/0"), &json!("2000::/3")]);
    assert!(blocks[0]["except"].as_array().unwrap().contains(&json!("169.254.0.0/16")));
    assert_eq!(build.codes(), ["E0711"]);
    let fixed = self::build("let quotes = host zenquotes.io at 203.0.113.7\nallow egress garden/* -> quotes:443").ok();
    assert_eq!(every(&fixed, "ipBlock"), [json!({ "cidr": "203.0.113.7/32" })]);
    assert_eq!(fixed.levels(0)[0].0, netpol::targets::Level::Exact);
}

#[test]
fn trap_20_pods_on_the_host_network_are_never_selected() {
    let cluster = "\
apiVersion: v1
kind: Namespace
metadata: { name: garden }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: garden, labels: { app: web } }
spec: { containers: [{ name: main }] }
---
apiVersion: v1
kind: Pod
metadata: { name: agent, namespace: garden, labels: { app: agent } }
spec: { hostNetwork: true, containers: [{ name: main }] }
";
    let build = build_in(cluster, "default deny garden/{app=agent}");
    assert!(build.codes().contains(&"E0312"), "{:?}", build.diagnostics);
}

#[test]
fn trap_22_the_api_server_is_an_address_that_has_to_be_said() {
    let source = "allow egress garden/* -> apiserver";
    assert!(build(source).codes().contains(&"E0209"));
    let said = build_with(source, "", |settings| settings.apiserver = vec![written("203.0.113.10:443")]).ok();
    assert_eq!(every(&said, "to"), [json!([{ "ipBlock": { "cidr": "203.0.113.10/32" } }])]);
}

#[test]
fn trap_23_the_subject_is_always_written() {
    let build = build("default deny garden/*\nallow ingress web/* -> garden/{app=web}:80").ok();
    for object in build.objects() {
        assert!(object["spec"]["podSelector"].is_object(), "{object}");
    }
}

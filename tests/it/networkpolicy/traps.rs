//! The known ways in which a NetworkPolicy comes to mean something else than its author wrote, one test for each that
//! can be tested. `docs/design/traps.md` has them all.

use serde_json::{Value, json};

use super::build::{Build, build, build_in, build_with, written};
use crate::outputs::documents;

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

/// Returns every value under a key in the objects of a build.
fn every(build: &Build, key: &str) -> Vec<Value> {
    let objects = build.objects();
    let mut found = Vec::new();
    objects.iter().for_each(|object| all(object, key, &mut found));
    found.into_iter().cloned().collect()
}

/// Returns every NetworkPolicy that is committed.
fn committed() -> Vec<Value> {
    let documents = documents().into_iter().map(|(_, text)| serde_yaml::from_str(&text).unwrap());
    let policies: Vec<Value> = documents.filter(|object: &Value| object["kind"] == "NetworkPolicy").collect();
    assert!(policies.len() > 150, "{}", policies.len());
    policies
}

fn lists<'a>(policies: &'a [Value], key: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    policies.iter().for_each(|policy| all(&policy["spec"], key, &mut found));
    found
}

#[test]
fn trap_02_policy_types_are_always_written() {
    for policy in committed() {
        let types = &policy["spec"]["policyTypes"];
        assert!(*types == json!(["Ingress"]) || *types == json!(["Egress"]), "{policy:#}");
    }
}

#[test]
fn trap_03_no_list_is_empty() {
    let policies = committed();
    for key in ["to", "from", "ports", "egress", "ingress", "except"] {
        let lists = lists(&policies, key);
        assert!(!lists.is_empty(), "{key}");
        assert!(lists.iter().all(|list| list.as_array().is_some_and(|list| !list.is_empty())), "{key}");
    }
}

#[test]
fn trap_06_a_peer_of_pods_always_has_both_selectors() {
    let policies = committed();
    let peers = ["to", "from"].into_iter().flat_map(|key| lists(&policies, key));
    for peer in peers.flat_map(|peers| peers.as_array().unwrap()) {
        let pods = peer["namespaceSelector"].is_object() && peer["podSelector"].is_object();
        assert!(pods != peer["ipBlock"].is_object(), "{peer:#}");
    }
}

#[test]
fn trap_09_a_named_port_is_for_pods() {
    assert!(build("allow egress garden/* -> 203.0.113.0/24:pgsql").codes().contains(&"E0305"));
}

#[test]
fn trap_10_every_port_has_its_protocol() {
    let policies = committed();
    let mut ports = lists(&policies, "ports").into_iter().flat_map(|ports| ports.as_array().unwrap());
    assert!(ports.all(|port| port["protocol"].is_string()));
}

#[test]
fn trap_11_nothing_is_emitted_for_icmp_and_a_note_says_so() {
    let alone = build("allow ingress web/* -> garden/*:*/icmp").ok();
    assert_eq!(alone.codes(), ["N0702"]);
    let beside = build("allow ingress web/* -> garden/*:{80, */icmp}").ok();
    assert_eq!(every(&beside, "ports"), [json!([{ "protocol": "TCP", "port": 80 }])]);
    assert_eq!(beside.codes(), ["N0702"]);
}

#[test]
fn trap_12_except_lies_inside_and_stays_a_strict_part() {
    assert!(build("allow egress a/* -> { 10.0.0.0/8 except 192.168.0.0/16 }:443").codes().contains(&"E0213"));
    // What the compiler itself takes out keeps to it.
    let (mut blocks, policies) = (0, committed());
    for block in lists(&policies, "ipBlock") {
        let net = |value: &Value| value.as_str().unwrap().parse::<ipnet::IpNet>().unwrap();
        let cidr = net(&block["cidr"]);
        for except in block["except"].as_array().into_iter().flatten().map(net) {
            assert!(cidr.contains(&except) && cidr != except, "{block:#}");
            blocks += 1;
        }
    }
    assert!(blocks > 50, "{blocks}");
}

#[test]
fn trap_14_the_addresses_of_pods_are_cut_out_of_blocks_and_nothing_is_said_of_it() {
    let build = build_with("allow egress a/* -> { 10.0.0.0/8, 203.0.113.7 }:443", "", |settings| {
        settings.pods = vec![written("10.244.0.0/16")];
    });
    assert_eq!(every(&build, "except"), [json!(["10.244.0.0/16"])]);
    assert!(!build.codes().contains(&"W0223"), "{:?}", build.codes());
}

#[test]
fn trap_15_the_table_says_whose_address_is_judged() {
    let build = build("allow ingress 203.0.113.0/24 -> garden/*:80").ok();
    let table = build.lowering.enforcement(&build.policy).text(&build.sources);
    assert!(table.contains("exact: by the packet's source"), "{table}");
}

#[test]
fn trap_16_the_way_to_dns_is_opened_unless_the_settings_leave_it_to_the_rules() {
    let dns = |grant: bool| {
        let build = build_with("allow egress garden/* -> db/*:5432", "", |settings| settings.grant_dns = grant);
        every(&build, "port").contains(&json!(53))
    };
    assert!(dns(true) && !dns(false));
}

#[test]
fn trap_18_a_rest_beside_pods_needs_to_know_where_pods_are() {
    let unknown = build("deny egress garden/* -> payments/*");
    assert_eq!((unknown.codes(), unknown.objects()), (vec!["E0711"], vec![]));
    assert!(unknown.said("E0711").contains("[cluster] pods"), "{}", unknown.said("E0711"));
    // Addresses taken from everything need not know: all pods stay, whatever their addresses.
    build("deny egress garden/* -> 169.254.169.254").ok();
}

#[test]
fn trap_19_a_host_is_its_envelope_which_has_to_be_accepted() {
    assert_eq!(build("allow egress garden/* -> zenquotes.io:443").codes(), ["E0711"]);
    let fixed = build("let quotes = host zenquotes.io at 203.0.113.7\nallow egress garden/* -> quotes:443").ok();
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
    build_with(source, "", |settings| settings.apiserver = vec![written("203.0.113.10:443")]).ok();
}

#[test]
fn trap_23_the_subject_is_always_written() {
    for policy in committed() {
        assert!(policy["spec"]["podSelector"].is_object(), "{policy:#}");
    }
}

/// Above each entry of a long union stands the member that the entry is about.
#[test]
fn the_comment_of_an_entry_names_its_own_member() {
    let teams = [("api", 8080), ("cart", 8081), ("web", 8082)];
    let teams = teams.map(|(name, port)| format!("team-{name}/{{app={name}-server}}:{port}"));
    let nets = ["203.0.113.7:5432", "198.51.100.0/24:22"].map(str::to_owned);
    let members = [&teams[..], &nets[..]].concat().join(", ");
    let text = build(&format!("allow egress shop/* -> {{ {members} }}\n")).ok().text();
    for own in [
        "{ team-api/{app=api-server}:8080, … }",
        "{ …, team-web/{app=web-server}:8082, … }",
        "{ …, 203.0.113.7:5432, … }",
        "{ …, 198.51.100.0/24:22 }",
    ] {
        assert!(text.contains(&format!("# policy.netpol: allow egress shop/* -> {own}\n")), "{own} in {text}");
    }
}

/// A deny for pods that no labels tell from others denies nothing where nothing is open to any of them.
#[test]
fn a_deny_of_an_account_that_closes_nothing_needs_no_labels() {
    let exact = [
        "allow egress garden/* -> db/*:5432\ndeny egress garden/@web -> 10.0.0.0/8",
        "allow egress garden/* -> 10.0.0.0/8:5432\ndeny egress garden/@web -> 10.0.0.0/8:22",
        "default deny egress garden/*\ndeny egress garden/@web -> zenquotes.io:443",
        "default deny garden/*\ndeny ingress lab/* -> garden/@web",
    ];
    let wider = [
        "deny egress garden/@web -> 10.0.0.0/8",
        "allow egress garden/{app=web} -> db/*:5432\ndeny egress garden/@web -> 10.0.0.0/8",
        "allow egress garden/* -> 10.2.0.0/16:5432\ndeny egress garden/@web -> 10.0.0.0/8",
        // The way to DNS is granted.
        "allow egress garden/* -> db/*:5432\ndeny egress garden/@web -> kube-system/*",
        "default deny egress garden/*\nallow egress */* -> db/*:5432\ndeny egress garden/@web -> db/*",
        "default deny ingress garden/*\ndeny egress garden/@web -> db/*",
    ];
    let told = |source: &str| build(source).codes().contains(&"E0711");
    for source in exact {
        assert!(!told(source), "{source}");
    }
    for source in wider {
        assert!(told(source), "{source}");
    }
}

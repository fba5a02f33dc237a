//! What Kubernetes takes of one object.

use netpol::model::rules::Direction;
use netpol::targets::Level;
use serde_json::Value;

use super::build::{Build, build};

fn ports(build: &Build) -> Vec<usize> {
    build.of("ServiceEntry").iter().map(|entry| entry["spec"]["ports"].as_array().unwrap().len()).collect()
}

#[test]
fn addresses_on_many_ports_are_several_entries() {
    let source =
        "allow egress garden/* -> 198.51.100.0/24:1000-1199  allow egress garden/* -> 198.51.100.0/24:2000-2199";
    let build = build(source).ok();
    assert_eq!(ports(&build), [200, 200]);
    assert_eq!(build.judged(0, Direction::Egress).0, Level::Bypassable);
    // Where they overlap, no port stands twice.
    let overlapping = super::build::build(&source.replace("2000-2199", "1100-1299")).ok();
    assert_eq!(ports(&overlapping).iter().sum::<usize>(), 300);
}

#[test]
fn the_ports_of_a_host_are_counted_over_all_rules_of_a_namespace() {
    let of = |one: &str, other: &str| {
        let source =
            format!("allow egress {one} -> h.example:1000-1199/http\nallow egress {other} -> h.example:2000-2199/http");
        build(&source)
    };
    for (one, other) in [("garden/*", "garden/*"), ("garden/{app=a}", "garden/{app=b}"), ("garden/*", "*/*")] {
        let full = of(one, other);
        let (level, reason) = full.judged(0, Direction::Egress);
        assert_eq!(level, Level::Unable, "{one} {other}\n{reason}");
        assert!(reason.contains("more than 256 ports of h.example"), "{reason}");
        assert!(ports(&full).iter().all(|count| *count <= 256), "{one} {other}");
    }
    assert_eq!(ports(&of("garden/*", "shop/*").ok()), [200, 200]);
    let few =
        build("allow egress garden/* -> h.example:1000-1199/http  allow egress garden/* -> h.example:1100-1255/http");
    assert_eq!(ports(&few.ok()), [256]);
}

/// Returns the rules of all AuthorizationPolicies, one list for each object.
fn access(build: &Build) -> Vec<Vec<Value>> {
    let rules = |object: &Value| object["spec"]["rules"].as_array().unwrap().clone();
    build.of("AuthorizationPolicy").iter().map(rules).collect()
}

fn blocks(count: u32, except: bool) -> String {
    let block = |at: u32| {
        let (a, b) = (at / 256, at % 256);
        if except { format!("52.{a}.{b}.0/24 except 52.{a}.{b}.7") } else { format!("52.{a}.{b}.7") }
    };
    (0..count).map(block).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_rule_of_an_authorization_policy_has_512_sources_at_most() {
    for action in ["allow", "deny"] {
        let build = build(&format!("{action} ingress {{ {} }} -> garden/{{app=web}}:8080", blocks(520, true)));
        let rules: Vec<Value> = access(&build).into_iter().flatten().collect();
        let sources: Vec<usize> = rules.iter().map(|rule| rule["from"].as_array().unwrap().len()).collect();
        assert_eq!(sources, [512, 8], "{action}");
        assert!(rules.iter().all(|rule| rule["to"] == rules[0]["to"]));
    }
}

#[test]
fn what_is_larger_than_kubernetes_takes_is_divided() {
    let build = build(&format!("allow ingress {{ {} }} -> garden/{{app=web}}:8080", blocks(14_000, false))).ok();
    let objects = access(&build);
    assert!(objects.len() > 1);
    let all: usize = objects
        .iter()
        .flatten()
        .flat_map(|rule| rule["from"].as_array().unwrap())
        .map(|from| from["source"]["ipBlocks"].as_array().unwrap().len())
        .sum();
    assert_eq!(all, 14_000);
    for (_, lowered) in &build.lowering.layers {
        for object in &lowered.objects {
            assert!(object.yaml.len() < 250 * 1024, "{} has {}", object.name, object.yaml.len());
        }
    }
}

#[test]
fn a_sidecar_cannot_be_divided() {
    let hosts: Vec<String> = (0..40).map(|at| format!("node-{at:02}.transfer.partner.example.com")).collect();
    let source = format!("allow egress garden/* -> {{ {} }}:20000-20255/tls", hosts.join(", "));
    let large = build(&source);
    let found = large.diagnostics.iter().find(|found| found.code.as_str() == "E0751").unwrap();
    assert!(found.message.contains("`garden/*`"), "{}", found.message);
}

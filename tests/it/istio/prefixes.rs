//! Addresses on the way out: which ServiceEntries they become, what these are called, and where there are holes.

use std::collections::{BTreeMap, BTreeSet};

use netpol::model::rules::Direction;
use netpol::targets::Level;
use serde_json::Value;

use super::build::{Build, build, build_in_mesh};

/// Returns the ServiceEntries by namespace and name.
fn entries(build: &Build) -> BTreeMap<String, Value> {
    let name =
        |object: &Value| format!("{}/{}", object["metadata"]["namespace"], object["metadata"]["name"]).replace('"', "");
    build.of("ServiceEntry").into_iter().map(|object| (name(&object), object)).collect()
}

fn holes(build: &Build) -> Vec<String> {
    let hole = |spec: &Value| spec["resolution"] == "STATIC" && spec["endpoints"].is_null();
    let specs = entries(build).into_values().map(|object| object["spec"].clone()).filter(hole);
    specs.map(|spec| spec["addresses"][0].as_str().unwrap().to_owned()).collect()
}

#[test]
fn another_rule_renames_and_changes_no_entry() {
    let first = "allow egress garden/* -> 198.51.100.0/24:443";
    let alone = entries(&build(first).ok());
    assert_eq!(alone.keys().collect::<Vec<_>>(), ["garden/198-51-100-0-24-tcp-443"]);
    for other in [
        "garden/* -> 203.0.113.0/24:443",
        "garden/* -> 203.0.113.7:443",
        "garden/* -> { 203.0.113.0/24, 192.0.2.0/24 }:443",
        "garden/* -> 198.51.100.0/24:8443",
        "garden/* -> 198.51.100.0/25:443",
        "garden/* -> 198.51.0.0/16:443",
        "garden/* -> zenquotes.io:443",
        "garden/{app=web} -> 203.0.113.0/24:443",
        "*/* -> 203.0.113.0/24:443",
    ] {
        let both = entries(&build_in_mesh(&format!("{first}\nallow egress {other}")).ok());
        for (name, object) in &alone {
            assert_eq!(Some(object), both.get(name), "{other}: {:?}", both.keys());
        }
        assert!(both.len() > alone.len(), "{other}");
    }
    // A rule that says the same addresses on more ports says it for both.
    let more = entries(&build(&format!("allow egress garden/* -> 198.51.100.0/24:{{443, 8443}}\n{first}")).ok());
    assert_eq!(more.keys().collect::<Vec<_>>(), ["garden/198-51-100-0-24-tcp-443-8443"]);
}

#[test]
fn a_list_that_grows_keeps_the_names_of_what_it_had() {
    let names = |list: &str| -> BTreeSet<String> {
        entries(&build(&format!("allow egress garden/* -> {{ {list} }}:443")).ok()).into_keys().collect()
    };
    let few = names("203.0.113.7, 198.51.100.0/24");
    let more = names("203.0.113.7, 198.51.100.0/24, 192.0.2.9");
    assert!(few.is_subset(&more), "{few:?} {more:?}");
}

#[test]
fn the_internet_on_another_port_is_the_same_once_more_and_renames_nothing() {
    let one = entries(&build("allow egress garden/* -> internet:443").ok());
    let both = entries(&build("allow egress garden/* -> internet:443  allow egress garden/* -> internet:80").ok());
    assert_eq!(both.len(), 2 * one.len());
    assert!(one.iter().all(|(name, object)| both.get(name) == Some(object)), "{:?}", both.keys());
}

#[test]
fn a_hole_closes_nothing_that_is_allowed() {
    let wide = "allow egress garden/* -> { 10.0.0.0/8 except 10.1.0.0/16 }:443\n";
    for other in [
        // Names and Services on that port may be at addresses of the hole.
        "allow egress garden/* -> zenquotes.io:443",
        "let db = host db.example at 10.1.0.7  allow egress garden/* -> db:443",
        "allow egress garden/* -> shop/*",
        "service shop/tls { select {app=cart} port 443 -> 8080/tls }  allow egress garden/* -> shop/tls:443",
        // Others open what the hole would close.
        "allow egress garden/* -> 10.1.0.0/16:443",
        "allow egress garden/* -> 10.0.0.0/12:{443, 80}",
        // Pods that are left open see every entry of their namespace.
        "allow egress garden/web -> anywhere",
    ] {
        let build = build_in_mesh(&format!("{wide}{other}"));
        assert!(holes(&build).is_empty(), "{other}\n{}", build.text());
    }
    // What lies inside the hole is longer than it; other ports are other listeners.
    for other in ["10.1.2.0/24:443", "10.1.0.0/16:80", "zenquotes.io:80"] {
        let build = build_in_mesh(&format!("{wide}allow egress garden/* -> {other}")).ok();
        assert_eq!(holes(&build), ["10.1.0.0/16"], "{other}");
    }
    // The other pods of the namespace have no Sidecar of ours, and see what stands there.
    let some = "allow egress garden/{app=web} -> { 10.0.0.0/8 except 10.1.0.0/16 }:443";
    assert!(holes(&build(some).ok()).is_empty());
    let mesh = some.replace("garden/{app=web}", "*/*");
    assert_eq!(holes(&build(&mesh).ok()), ["10.1.0.0/16"]);
    assert!(holes(&build_in_mesh(&format!("{mesh}  allow egress garden/web -> anywhere"))).is_empty());
}

#[test]
fn two_rules_never_give_one_prefix_a_port_twice() {
    let build = build(
        "allow egress garden/* -> 203.0.113.0/24:{443, 80}
         allow egress garden/* -> 203.0.113.0/24:{443, 8080}
         allow egress garden/* -> internet:{443, 9000}
         allow egress garden/* -> internet:443
         allow egress garden/* -> 128.0.0.0/2:443",
    )
    .ok();
    let mut seen = BTreeSet::new();
    for object in entries(&build).into_values() {
        for port in object["spec"]["ports"].as_array().unwrap() {
            let key = format!("{} {}", object["spec"]["addresses"][0], port["number"]);
            assert!(seen.insert(key.clone()), "{key}\n{}", build.text());
        }
    }
    assert_eq!(build.judged(0, Direction::Egress).0, Level::Bypassable);
}

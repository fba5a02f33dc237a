//! Addresses on the way out: which ServiceEntries they become, and what these are called.

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

/// Returns the addresses of a ServiceEntry.
fn addresses(object: &Value) -> Vec<&str> {
    object["spec"]["addresses"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
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
fn a_block_and_the_internet_are_one_entry_whatever_stands_beside() {
    for (block, name) in [
        ("{ 10.0.0.0/8 except 10.1.0.0/16 }:443", "10-0-0-0-8-except-10-1-0-0-16-tcp-443"),
        ("internet:443", "internet-tcp-443"),
        ("{ internet except 8.8.8.0/24 }:443", "internet-except-8-8-8-0-24-tcp-443"),
        ("{ 10.0.0.0/8 except { 10.1.0.0/16, 10.2.0.0/16, 10.3.4.5 } }:443", "10-0-0-0-8-except-3-"),
    ] {
        let wide = format!("allow egress garden/* -> {block}\n");
        let alone = build(&wide).ok();
        let entry = alone.of("ServiceEntry");
        assert_eq!(entry.len(), 1, "{block}\n{}", alone.text());
        assert!(entry[0]["metadata"]["name"].as_str().unwrap().starts_with(name), "{block}\n{}", alone.text());
        assert!((2..=256).contains(&addresses(&entry[0]).len()), "{block}");
        // By an exact host Istio finds one of several addresses.
        assert!(entry[0]["spec"]["hosts"][0].as_str().unwrap().starts_with("*."), "{block}");
        assert_eq!(entry[0]["spec"]["resolution"], "NONE");
        for other in [
            "allow egress garden/* -> zenquotes.io:443",
            "let db = host db.example at 10.1.0.7  allow egress garden/* -> db:443",
            "allow egress garden/* -> shop/*",
            "service shop/tls { select {app=cart} port 443 -> 8080/tls }  allow egress garden/* -> shop/tls:443",
            "allow egress garden/* -> 10.1.0.0/16:443",
            "allow egress garden/* -> 10.0.0.0/12:{443, 80}",
            "allow egress garden/web -> anywhere",
        ] {
            let both = entries(&build_in_mesh(&format!("{wide}{other}")));
            assert!(both.values().any(|object| *object == entry[0]), "{block}: {other}: {:?}", both.keys());
        }
    }
}

#[test]
fn a_list_of_any_length_is_entries_of_256_addresses() {
    let list: Vec<String> = (0..300).map(|at| format!("203.{}.{}.0/25", at / 250, at % 250)).collect();
    let build = build(&format!("allow egress garden/* -> {{ {} }}:443", list.join(", "))).ok();
    let entries = entries(&build);
    let counts: Vec<usize> = entries.values().map(|object| addresses(object).len()).collect();
    assert_eq!(counts, [256, 44], "{:?}", entries.keys());
    let hosts: BTreeSet<String> = entries.values().map(|object| object["spec"]["hosts"].to_string()).collect();
    assert_eq!(hosts.len(), 1, "one import brings both");
}

#[test]
fn two_rules_never_give_one_prefix_a_port_twice() {
    let build = build(
        "allow egress garden/* -> 203.0.113.0/24:{443, 80}
         allow egress garden/* -> 203.0.113.0/24:{443, 8080}
         allow egress garden/* -> internet:{443, 9000}
         allow egress garden/* -> internet:443",
    )
    .ok();
    let mut seen = BTreeSet::new();
    for object in entries(&build).into_values() {
        for port in object["spec"]["ports"].as_array().unwrap() {
            for address in addresses(&object) {
                let key = format!("{address} {}", port["number"]);
                assert!(seen.insert(key.clone()), "{key}\n{}", build.text());
            }
        }
    }
    assert_eq!(build.judged(0, Direction::Egress).0, Level::Bypassable);
}

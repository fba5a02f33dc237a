//! A host is at its `at` addresses, else somewhere in the internet: a deny of addresses reaches what is there.

use netpol::model::rules::Direction;
use netpol::settings::Layer;
use netpol::targets::Level;
use serde_json::{Value, json};

use super::{allowed, both, labelled_allowed};
use crate::istio::build::{Build, build, build_with};
use crate::networkpolicy::build::written;

const OUT: Direction = Direction::Egress;

/// Returns the addresses that the ServiceEntry of a host in a namespace lists.
fn endpoints(build: &Build, namespace: &str, host: &str) -> Vec<String> {
    let entries = build.of("ServiceEntry").into_iter();
    let mut of_host = entries
        .filter(|entry| entry["spec"]["hosts"] == json!([host]) && entry["metadata"]["namespace"] == namespace)
        .collect::<Vec<Value>>();
    assert_eq!(of_host.len(), 1, "{}", build.text());
    let list = of_host.remove(0)["spec"]["endpoints"].clone();
    list.as_array().into_iter().flatten().map(|one| one["address"].as_str().unwrap().to_owned()).collect()
}

fn level(build: &Build, layer: Layer, rule: usize) -> Level {
    build.judgements_of(layer).iter().find(|one| one.rule.index() == rule && one.direction == OUT).unwrap().level
}

#[test]
fn a_deny_of_every_place_of_a_host_denies_it() {
    let host = "allow egress garden/* -> zenquotes.io:443\n";
    let at = "let db = host db.example at { 203.0.113.7, [2001:db8::7] }\nallow egress garden/* -> db:443\n";
    for (rules, denies) in [
        (host, "deny egress garden/* -> anywhere"),
        (host, "deny egress garden/* -> internet"),
        (host, "deny egress garden/* -> { 0.0.0.0/0, ::/0 }"),
        (host, "deny egress garden/* -> { 0.0.0.0/0:{443, 80}, [::/0]:443 }"),
        (host, "deny egress garden/* -> 0.0.0.0/0  deny egress { garden/*, shop/* } -> [::/0]:443"),
        (host, "deny egress garden/* -> 0.0.0.0/1  deny egress garden/* -> { 128.0.0.0/1, ::/0 }"),
        (at, "deny egress garden/* -> 203.0.113.7  deny egress garden/{app=web} -> [2001:db8::/32]:443"),
        (at, "deny egress garden/* -> { 203.0.113.0/24, 2001:db8::/32 }"),
    ] {
        let build = both(&format!("{rules}{denies}")).ok();
        let to = if rules == at { "db.example:443" } else { "zenquotes.io:443" };
        assert!(!labelled_allowed(&build, to), "{denies}");
        // The sidecar of pods that reach it nowhere does not know it.
        for sidecar in build.of("Sidecar") {
            let (all, spec) = (sidecar["spec"]["workloadSelector"].is_null(), sidecar["spec"].to_string());
            if rules == host || !all {
                assert!(!spec.contains("zenquotes") && !spec.contains("db.example"));
            }
        }
    }
}

#[test]
fn a_deny_of_some_places_leaves_the_host_at_the_others() {
    let host = "allow egress garden/* -> zenquotes.io:443\n";
    for deny in [
        "deny egress garden/* -> 203.0.114.0/24",
        "deny egress garden/* -> 0.0.0.0/0",
        "deny egress garden/* -> { 0.0.0.0/0, ::/0 }:80",
        "deny egress shop/* -> anywhere",
        "deny egress garden/* -> 0.0.0.0/0  deny egress shop/* -> ::/0",
    ] {
        assert!(allowed(&both(&format!("{host}{deny}")).ok(), "zenquotes.io:443"), "{deny}");
    }
}

#[test]
fn nothing_is_said_of_a_gap_that_networkpolicy_closes() {
    let rules = "allow egress garden/* -> zenquotes.io:443\ndeny egress garden/* -> internet:443\n";
    let build = both(rules).ok();
    assert_eq!(level(&build, Layer::NetworkPolicy, 0), Level::Exact);
    assert!(!build.codes().contains(&"N0701"), "{:?}", build.codes());
    // Others of the namespace keep the way, and the gap.
    let others = "allow egress garden/* -> zenquotes.io:443\ndeny egress garden/{app=web} -> internet:443\n";
    let build = both(others).ok();
    assert_eq!(level(&build, Layer::NetworkPolicy, 0), Level::Wider);
    assert!(build.codes().contains(&"N0701"), "{:?}", build.codes());
}

#[test]
fn trap_63l_denied_addresses_leave_the_endpoints_of_a_host() {
    let host = "let h = host api.example at { 203.0.113.7 weight 70, 203.0.113.8 weight 20, 203.0.113.9 weight 10 }\n\
                allow egress garden/* -> h:80\n";
    for (deny, left) in [
        ("deny egress garden/* -> 203.0.113.8", &["203.0.113.7", "203.0.113.9"][..]),
        ("deny egress garden/* -> 203.0.113.8:80", &["203.0.113.7", "203.0.113.9"]),
        ("deny egress */* -> 203.0.113.8/31", &["203.0.113.7"]),
        ("deny egress garden/* -> 203.0.113.8  deny egress */* -> 203.0.113.9:{80, 443}", &["203.0.113.7"]),
        // On another port, for another protocol or for other pods it takes nothing.
        ("deny egress garden/* -> 203.0.113.8:443", &["203.0.113.7", "203.0.113.8", "203.0.113.9"]),
        ("deny egress garden/* -> 203.0.113.8:80/udp", &["203.0.113.7", "203.0.113.8", "203.0.113.9"]),
        ("deny egress shop/* -> 203.0.113.8", &["203.0.113.7", "203.0.113.8", "203.0.113.9"]),
    ] {
        let build = build_with(&format!("{host}{deny}"), None, |_| ());
        assert_eq!(endpoints(&build, "garden", "api.example"), left, "{deny}");
        assert!(labelled_allowed(&build, "api.example:80"), "{deny}");
    }
    let gone = build(&format!("{host}deny egress garden/* -> 203.0.113.0/24")).ok();
    assert!(gone.of("ServiceEntry").is_empty(), "{}", gone.text());
    assert!(!labelled_allowed(&gone, "api.example:80"));
}

/// A namespace has one ServiceEntry for a host, so that its pods, and its ports, reach the same addresses.
#[test]
fn trap_63l_one_entry_cannot_list_two_sets_of_addresses() {
    let host = "let h = host api.example at { 203.0.113.7, 203.0.113.8 }\n";
    for rules in [
        "allow egress garden/* -> h:80  deny egress garden/{app=web} -> 203.0.113.8",
        "allow egress garden/* -> h:{80, 443}  deny egress garden/* -> 203.0.113.8:80",
    ] {
        let build = build(&format!("{host}{rules}"));
        assert!(build.codes().contains(&"E0711"), "{rules}: {:?}", build.codes());
        assert_eq!(level(&build, Layer::Istio, 1), Level::Unable);
        assert_eq!(endpoints(&build, "garden", "api.example"), ["203.0.113.7", "203.0.113.8"]);
        // The other layer enforces the deny.
        both(&format!("{host}{rules}")).ok();
    }
    // Each namespace has one of its own.
    let mesh = build(&format!("{host}allow egress */* -> h:80  deny egress garden/* -> 203.0.113.8")).ok();
    assert_eq!(endpoints(&mesh, "garden", "api.example"), ["203.0.113.7"]);
    assert_eq!(endpoints(&mesh, "istio-system", "api.example"), ["203.0.113.7", "203.0.113.8"]);
    assert!(mesh.imports("garden", "all-pods-egress")[&80].contains(&"./api.example".to_owned()));
}

#[test]
fn trap_63l_addresses_cannot_be_left_out_of_a_host_that_is_found_by_its_name() {
    let unable = |source: &str| {
        let build = build(source);
        assert_eq!(build.codes().contains(&"E0711"), level(&build, Layer::Istio, 1) == Level::Unable, "{source}");
        level(&build, Layer::Istio, 1) == Level::Unable
    };
    for host in ["zenquotes.io:443", "zenquotes.io:80", "*.example.com:443", "zenquotes.io:9000/grpc"] {
        let allow = format!("allow egress garden/* -> {host}\n");
        assert!(unable(&format!("{allow}deny egress garden/* -> 198.51.100.66")), "{host}");
        assert!(unable(&format!("{allow}deny egress garden/{{app=web}} -> 0.0.0.0/0")), "{host}");
        let other = "let b = host b.example at 198.51.100.66\n";
        assert!(unable(&format!("{other}{allow}deny egress garden/* -> b")), "{host}");
        // Outside the internet no such host is.
        assert!(!unable(&format!("{allow}deny egress garden/* -> 10.0.0.0/8")), "{host}");
        assert!(!unable(&format!("{allow}deny egress garden/* -> 169.254.169.254")), "{host}");
        assert!(!unable(&format!("{allow}deny egress garden/* -> 198.51.100.66:5432")), "{host}");
        both(&format!("{allow}deny egress garden/* -> 198.51.100.66")).ok();
    }
    let network = "let h = host api.example at { 203.0.113.0/24, 198.51.100.7 }\nallow egress garden/* -> h:80\n";
    assert!(unable(&format!("{network}deny egress garden/* -> 203.0.113.7")));
    let listed = build(&format!("{network}deny egress garden/* -> 203.0.113.0/24")).ok();
    assert_eq!(endpoints(&listed, "garden", "api.example"), ["198.51.100.7"]);
}

#[test]
fn a_deny_of_a_host_denies_the_addresses_that_it_shares() {
    let two = "let a = host a.example at 203.0.113.5\nlet b = host b.example at 203.0.113.5\n";
    let build = both(&format!("{two}allow egress garden/* -> a:443\ndeny egress garden/* -> b")).ok();
    assert!(!allowed(&build, "a.example:443") && !allowed(&build, "203.0.113.5:443"));
    assert!(build.of("ServiceEntry").is_empty(), "{}", build.text());
    assert!(!build.text().contains("203.0.113.5"), "{}", build.text());
    // At its other address it stays.
    let more = two.replace("a.example at 203.0.113.5", "a.example at { 203.0.113.5, 203.0.113.6 }");
    let build = both(&format!("{more}allow egress garden/* -> a:443\ndeny egress garden/* -> b")).ok();
    assert!(allowed(&build, "a.example:443") && !allowed(&build, "203.0.113.5:443"));
    assert_eq!(endpoints(&build, "garden", "a.example"), ["203.0.113.6"]);
    // An allow is of the name.
    let build = both(&format!("{two}allow egress garden/* -> a:443")).ok();
    assert!(allowed(&build, "a.example:443") && !allowed(&build, "b.example:443"));
}

#[test]
fn what_except_takes_out_of_a_denied_wildcard_is_not_denied() {
    let deny = "deny egress garden/* -> { *.example.com except www.example.com }";
    let build = build(&format!("allow egress garden/* -> {{ www.example.com, api.example.com }}:443\n{deny}")).ok();
    assert!(allowed(&build, "www.example.com:443") && !allowed(&build, "api.example.com:443"));
    let hosts: Vec<Value> = build.of("ServiceEntry").iter().map(|entry| entry["spec"]["hosts"].clone()).collect();
    assert_eq!(hosts, [json!(["www.example.com"])]);
}

#[test]
fn known_addresses_of_pods_do_not_bring_a_host_back() {
    let rules = "allow egress garden/* -> zenquotes.io:443\ndeny egress garden/* -> internet:443\n";
    let build = build_with(rules, None, |settings| settings.pods = vec![written("100.96.0.0/11")]).ok();
    assert!(build.of("ServiceEntry").is_empty() && !allowed(&build, "zenquotes.io:443"));
}

#[test]
fn except_on_hosts_is_the_difference_of_sets() {
    let internal = "let internal = { *.example.com except { www.example.com, *.public.example.com } }\n";
    let hosts = "{ www.example.com, a.example.com, b.public.example.com, c.other.example }";
    for verb in ["allow", "default deny egress garden/*  allow egress garden/* -> *.example.com:443  deny"] {
        let rule = format!("{internal}{verb} egress garden/* -> {{ {hosts} except internal }}:443");
        let build = build(&rule);
        for (host, meant) in [
            ("www.example.com", true),
            ("a.example.com", false),
            ("b.public.example.com", true),
            ("x.public.example.com", false),
        ] {
            let want = if verb == "allow" { meant } else { !meant };
            assert_eq!(allowed(&build, &format!("{host}:443")), want, "{verb} {host}");
        }
    }
    let wild = format!("{internal}allow egress garden/* -> {{ *.example.com except internal }}:443");
    let build = build_with(&wild, None, |_| ()).ok();
    for (host, meant) in [
        ("www.example.com", true),
        ("x.public.example.com", true),
        ("a.example.com", false),
        ("public.example.com", false),
    ] {
        assert_eq!(allowed(&build, &format!("{host}:443")), meant, "{host}");
    }
    let twice = "let outer = { *.example.com except *.a.example.com }\n\
                 allow egress garden/* -> { { outer except *.b.example.com } except c.b.example.com }:443";
    assert_eq!(build_with(twice, None, |_| ()).codes(), ["E0214"]);
}

//! ServiceEntry and Sidecar.

use netpol::model::rules::Direction;
use netpol::targets::Level;
use serde_json::{Value, json};

use super::super::build::{Build, build, build_in_mesh, build_with};

const OUT: Direction = Direction::Egress;

fn entries(build: &Build) -> Vec<Value> {
    build.of("ServiceEntry").into_iter().map(|object| object["spec"].clone()).collect()
}

#[test]
fn trap_63h_a_wildcard_on_tls_is_refused_where_the_way_in_is_isolated() {
    // Istio applies the authorization of the calling pod to such connections.
    let narrower = |source: &str| {
        build(source).judgements().iter().find_map(|one| Some(one.remarks().narrower.first()?.words.clone()))
    };
    let out = "allow egress garden/{app=web} -> *.example.com:443";
    assert_eq!(narrower(out), None);
    assert!(narrower(&format!("{out}  default deny ingress garden/*")).unwrap().contains("AuthorizationPolicies"));
    // Its ServiceEntry is seen by all pods of the namespace, so theirs count too.
    assert!(narrower(&format!("{out}  default deny ingress garden/{{app=api}}")).is_some());
    assert_eq!(narrower(&format!("{out}  default deny ingress shop/*")), None);
    let http = "allow egress garden/* -> *.example.com:80  default deny ingress garden/*";
    assert_eq!(narrower(http), None);
}

#[test]
fn trap_48_addresses_and_names_on_one_port_keep_their_protocols() {
    // Both are imported without a listener: where that would let another port through, the rules are wider.
    let source = "allow egress garden/{app=web} -> { zenquotes.io:443, 203.0.113.0/24:443 }
        allow egress garden/{app=api} -> zenquotes.io:80";
    let build = build_in_mesh(source);
    assert_eq!(build.judged(0, OUT).0, Level::Wider);
    assert_eq!(build.judged(1, OUT).0, Level::Bypassable);
}

/// Returns the addresses of all entries.
fn addresses(build: &Build) -> Vec<String> {
    let list = |entry: &Value| entry["addresses"].as_array().cloned().unwrap_or_default();
    entries(build).iter().flat_map(list).map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Returns whether an address is let through.
fn covered(build: &Build, address: &str) -> bool {
    let address: std::net::IpAddr = address.parse().unwrap();
    let net = |text: &String| {
        text.parse::<ipnet::IpNet>().unwrap_or_else(|_| text.parse::<std::net::IpAddr>().unwrap().into())
    };
    addresses(build).iter().any(|text| net(text).contains(&address))
}

#[test]
fn trap_49_what_except_takes_is_in_no_prefix() {
    let build = build("allow egress garden/* -> { 10.0.0.0/8 except { 10.1.0.0/16, 10.2.3.4 } }:443").ok();
    for (address, inside) in [
        ("10.0.0.1", true),
        ("10.1.0.0", false),
        ("10.1.255.255", false),
        ("10.2.3.3", true),
        ("10.2.3.4", false),
        ("10.2.3.5", true),
        ("10.255.255.255", true),
        ("11.0.0.0", false),
    ] {
        assert_eq!(covered(&build, address), inside, "{address}");
    }
}

#[test]
fn trap_51_a_tcp_host_without_addresses_is_its_port_outside() {
    let build = build("allow egress garden/* -> db.example.com:5432");
    assert_eq!(build.judged(0, OUT).0, Level::Wider);
    let entries: Vec<Value> = build.objects().into_iter().filter(|one| one["kind"] == "ServiceEntry").collect();
    assert!(!entries.is_empty());
    for entry in entries {
        // An entry without addresses would take the port for every destination.
        assert!(entry["spec"]["addresses"].as_array().is_some_and(|list| !list.is_empty()), "{entry}");
        assert!(!entry.to_string().contains("db.example.com\""), "{entry}");
    }
    for (address, inside) in [("9.9.9.9", true), ("10.0.0.1", false), ("169.254.169.254", false)] {
        assert_eq!(covered(&build, address), inside, "{address}");
    }
}

#[test]
fn trap_51_a_tcp_host_leaves_its_pods_sidecar_in_force() {
    let source = "allow egress garden/* -> zenquotes.io:443  allow egress garden/{app=web} -> db.example.com:5432";
    let build = build_in_mesh(source);
    let web = build.spec("Sidecar", "garden", "app-web-egress");
    assert_eq!(web["outboundTrafficPolicy"]["mode"], "REGISTRY_ONLY");
    assert_eq!(build.imports("garden", "app-web-egress")[&443], ["./zenquotes.io"]);
    assert_eq!(build.imports("garden", "all-pods-egress")[&443], ["./zenquotes.io"]);
    assert_eq!((build.judged(0, OUT).0, build.judged(1, OUT).0), (Level::Bypassable, Level::Wider));
}

#[test]
fn trap_51_what_cannot_be_said_leaves_just_its_pods_open() {
    let source = "allow egress garden/* -> zenquotes.io:443  allow egress garden/{app=web} -> 203.0.113.0/24";
    let build = build_in_mesh(source);
    let open = build.spec("Sidecar", "garden", "app-web-egress");
    assert_eq!(open["outboundTrafficPolicy"]["mode"], "ALLOW_ANY");
    assert_eq!(open["egress"], json!([{ "hosts": ["*/*"] }]));
    assert_eq!(build.imports("garden", "all-pods-egress")[&443], ["./zenquotes.io"]);
    let (level, reason) = build.judged(0, OUT);
    assert_eq!(level, Level::Unable);
    assert!(reason.starts_with("policy.netpol:1 leaves these pods open"), "{reason}");
}

#[test]
fn trap_52_a_host_has_one_entry_in_a_namespace() {
    let twice =
        build_in_mesh("allow egress garden/web -> x.example:8443/tls  allow egress garden/api -> x.example:8443/http");
    assert!(twice.codes().contains(&"E0740"), "{:?}", twice.codes());
    let moved = "let a = host x.example at 203.0.113.7  let b = host x.example at 203.0.113.8
        allow egress garden/* -> { a:443, b:443 }";
    assert!(build_in_mesh(moved).codes().contains(&"E0741"));
}

#[test]
fn trap_54_a_service_is_no_host() {
    assert_eq!(build_in_mesh("allow egress garden/* -> api.garden:80").codes(), ["E0207"]);
}

#[test]
fn trap_55_selectors_that_meet_on_a_pod_are_taken_apart_or_joined() {
    // Nobody knows which pods have both labels: an object with either could take from the other.
    let blind =
        build("allow egress garden/{tier=back} -> back.example:443  allow egress garden/{app=api} -> api.example:443");
    assert_eq!(blind.of("Sidecar"), Vec::<Value>::new());
    assert_eq!((blind.judged(0, OUT).0, blind.judged(1, OUT).0), (Level::Unable, Level::Unable));
    // If one contains the other, it is used for both, and is wider.
    let nested = "allow egress garden/{app=a} -> a.example:443  allow egress garden/{app=a, tier=b} -> b.example:443";
    let build = build(nested);
    assert_eq!(build.imports("garden", "app-a-egress")[&443], ["./a.example", "./b.example"]);
    assert_eq!(build.judged(0, OUT).0, Level::Wider);
}

#[test]
fn trap_55_pods_that_come_later_do_not_get_a_second_sidecar() {
    // No pod has the label yet, and one that has it will have `app=web` too.
    let source = "allow egress garden/{app=web} -> a.example:443
        allow egress garden/{app=web, batch.kubernetes.io/job-name=late} -> b.example:443";
    let build = build_in_mesh(source);
    assert_eq!(build.of("Sidecar").len(), 1, "{}", build.text());
    assert_eq!(build.imports("garden", "app-web-egress")[&443], ["./a.example", "./b.example"]);
    assert_eq!((build.judged(0, OUT).0, build.judged(1, OUT).0), (Level::Wider, Level::Unable));
    // One that can be no other rule's pod has its own.
    let apart = source.replace("app=web, batch", "app=late, batch");
    assert_eq!(build_in_mesh(&apart).of("Sidecar").len(), 2);
}

#[test]
fn trap_58_the_way_out_is_bypassable_at_best() {
    let source = "allow egress garden/* -> { zenquotes.io:80, 203.0.113.0/24:443, shop/cart:80 }
        default deny egress shop/*
        deny egress garden/web -> 203.0.113.7:443";
    let build = build_in_mesh(source).ok();
    assert!(build.judgements().iter().all(|judgement| judgement.level >= Level::Bypassable));
    assert!(build.codes().contains(&"N0701"));
}

#[test]
fn trap_63e_no_prefix_begins_at_0() {
    for source in ["{ 0.0.0.0/0 except 203.0.113.0/24 }", "0.0.0.0/1", "0.0.0.0/0"] {
        let build = super::super::build::build(&format!("allow egress garden/* -> {source}:443")).ok();
        assert!(addresses(&build).iter().all(|address| !address.starts_with("0.")));
        assert!(covered(&build, "1.0.0.0") && !covered(&build, "0.1.2.3"));
    }
}

/// A listener at the single address `::` takes the connections to every address of IPv6.
#[test]
fn the_unspecified_address_of_ipv6_is_no_prefix() {
    for source in ["{ ::/0 except [::1] }", "{ ::/0 except { [::1], 2001:db8::/32 } }", "[::]"] {
        let build = super::super::build::build(&format!("allow egress garden/* -> {source}:443")).ok();
        assert!(addresses(&build).iter().all(|address| address != "::" && address != "::/128"), "{source}");
    }
    assert!(addresses(&super::super::build::build("allow egress garden/* -> [2001:db8::/32]:443").ok()).len() == 1);
}

#[test]
fn trap_63g_a_number_that_is_udp_first_is_imported_without_a_port() {
    // What else such a Service has comes along, which the rule is told.
    let media = "service shop/media { select {app=media} port 443/udp port 443 -> 443/tls }
        allow egress garden/* -> shop/{app=media}:443";
    assert_eq!(build(media).ok().judged(0, OUT).0, Level::Bypassable);
    assert_eq!(build(&media.replace("port 443/udp", "port 80/tcp port 443/udp")).judged(0, OUT).0, Level::Wider);
}

#[test]
fn a_deny_of_a_host_whose_tls_the_mesh_opens_counts_where_tls_arrives() {
    let left = |deny: &str| {
        let source = "let api = host api.example.com at 203.0.113.7 { port 80 -> 443 }
            allow egress garden/* -> { api:80, zenquotes.io:8443/tls }";
        let hosts = entries(&build(&format!("{source}\n{deny}")).ok());
        hosts.iter().any(|entry| entry["hosts"][0] == "api.example.com")
    };
    assert!(left("") && left("deny egress garden/* -> 203.0.113.7:80"));
    assert!(!left("deny egress garden/* -> 203.0.113.7:443") && !left("deny egress garden/* -> api.example.com:443"));
    assert!(!left("deny egress garden/{app=web} -> api:80  deny egress garden/* -> api:80"));
}

#[test]
fn one_port_of_a_host_is_not_plain_and_opened_by_the_mesh() {
    let source = "let api = host api.example.com { port 80 -> 443 }
        allow egress garden/{app=web} -> api:80
        allow egress garden/{app=api} -> api.example.com:80";
    assert!(build(source).codes().contains(&"E0740"));
    // Each namespace has a ServiceEntry of its own.
    build(&source.replace("garden/{app=api}", "shop/*")).ok();
}

#[test]
fn a_tcp_host_is_told_by_its_name_where_sidecars_answer_dns() {
    let of = |source: &str, capture: bool| build_with(source, None, |settings| settings.dns_capture = capture);
    let rule = "allow egress garden/* -> smtp.example.com:587";
    assert_eq!(of(rule, false).judged(0, OUT).0, Level::Wider);
    let captured = of(rule, true).ok();
    assert_eq!(captured.judged(0, OUT).0, Level::Bypassable);
    let ports = json!([{ "number": 587, "name": "tcp-587", "protocol": "TCP" }]);
    let entry = &entries(&captured)[0];
    assert_eq!((&entry["resolution"], &entry["ports"], &entry["addresses"]), (&json!("DNS"), &ports, &Value::Null));
    assert_eq!(captured.imports("garden", "all-pods-egress")[&587], ["./smtp.example.com"]);
    // No address is allocated for a family of hosts.
    assert_eq!(of("allow egress garden/* -> *.example.com:587", true).judged(0, OUT).0, Level::Wider);
    let both = "allow egress garden/* -> smtp.example.com:587  deny egress garden/* -> smtp.example.com:587";
    assert!(entries(&of(both, true)).is_empty());
}

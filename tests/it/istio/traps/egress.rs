//! ServiceEntry and Sidecar.

use netpol::model::rules::Direction;
use netpol::targets::Level;
use serde_json::{Value, json};

use super::super::build::{Build, build, build_in_mesh};

const OUT: Direction = Direction::Egress;
const RESOLVER: &str = "kube-system/kube-dns.kube-system.svc.cluster.local";

fn entries(build: &Build) -> Vec<Value> {
    build.of("ServiceEntry").into_iter().map(|object| object["spec"].clone()).collect()
}

#[test]
fn trap_46_a_wildcard_resolves_each_name() {
    let build = build("allow egress garden/* -> *.example.com:{80, 443}").ok();
    let spec = &build.one("ServiceEntry")["spec"];
    assert_eq!(spec["hosts"], json!(["*.example.com"]));
    assert_eq!(spec["resolution"], "DYNAMIC_DNS");
    assert!(spec["ports"].as_array().unwrap().iter().all(|port| port["protocol"] != "TCP"));
}

#[test]
fn trap_63h_a_wildcard_on_tls_is_refused_where_the_way_in_is_isolated() {
    // Istio holds such connections to the authorization of the pod that they leave.
    let narrower = |source: &str| build(source).judgements().iter().find_map(|one| one.narrower.clone());
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
fn trap_47_what_is_let_through_as_tcp_has_an_address() {
    for source in [
        "allow egress garden/* -> 203.0.113.0/24:5432",
        "let db = host db.example at { 203.0.113.7, 203.0.113.9 }  allow egress garden/* -> db:5432",
        "allow egress garden/* -> internet:{80, 443}",
    ] {
        let build = build(source).ok();
        let entries = entries(&build);
        assert!(!entries.is_empty());
        for entry in entries {
            assert_eq!(entry["addresses"].as_array().map(Vec::len), Some(1), "{source}: {entry}");
        }
    }
}

#[test]
fn trap_48_addresses_are_tcp_on_every_port() {
    let build = build("allow egress garden/* -> 203.0.113.0/24:{80, 443}").ok();
    let spec = &build.one("ServiceEntry")["spec"];
    assert_eq!(spec["resolution"], "NONE");
    assert!(spec["ports"].as_array().unwrap().iter().all(|port| port["protocol"] == "TCP"), "{spec}");
    let listeners = &build.one("Sidecar")["spec"]["egress"];
    assert!(listeners.as_array().unwrap().iter().all(|listener| listener["port"]["protocol"] == "TCP"), "{listeners}");
}

#[test]
fn trap_48_addresses_and_names_on_one_port_keep_their_protocols() {
    // A listener for TLS would ask addresses for a server name, one for TCP would send everything to the host.
    let source = "allow egress garden/* -> { zenquotes.io, 203.0.113.0/24 }:443";
    let build =
        build_in_mesh(&source.replace("zenquotes.io, 203.0.113.0/24 }:443", "zenquotes.io:443, 203.0.113.0/24:443 }"))
            .ok();
    let imports = build.imports("garden", "all-pods-egress");
    assert_eq!(imports[&0], ["./203-0-113-0-24.tcp-443.netpol.internal", "./zenquotes.io", RESOLVER]);
    assert!(!imports.contains_key(&443));
    // Where that would let another port through, the rules are wider.
    let other = "allow egress garden/{app=api} -> zenquotes.io:80";
    let build = build_in_mesh(&format!(
        "allow egress garden/{{app=web}} -> {{ zenquotes.io:443, 203.0.113.0/24:443 }}  {other}"
    ));
    assert_eq!(build.judged(0, OUT).0, Level::Wider);
    assert_eq!(build.judged(1, OUT).0, Level::Bypassable);
}

/// Returns whether an address is let through: the longest prefix that holds it says so.
fn covered(build: &Build, address: &str) -> bool {
    let address: std::net::IpAddr = address.parse().unwrap();
    let entries = entries(build).into_iter().filter_map(|entry| {
        let text = entry["addresses"][0].as_str()?.to_owned();
        let net = text.parse::<ipnet::IpNet>().unwrap_or_else(|_| text.parse::<std::net::IpAddr>().unwrap().into());
        net.contains(&address).then(|| (net.prefix_len(), entry["resolution"] == "NONE"))
    });
    entries.max().is_some_and(|(_, open)| open)
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
fn trap_50_several_addresses_are_several_entries() {
    let build = build("allow egress garden/* -> { 203.0.113.7, 198.51.100.0/24 }:443").ok();
    let entries = entries(&build);
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry["hosts"].as_array().map(Vec::len) == Some(1)));
    // Each is imported by its own host.
    let mut hosts: Vec<String> =
        entries.iter().map(|entry| format!("./{}", entry["hosts"][0].as_str().unwrap())).collect();
    hosts.sort();
    assert_eq!(build.imports("garden", "all-pods-egress")[&443], hosts);
}

#[test]
fn trap_51_a_tcp_host_needs_its_addresses() {
    let build = build("allow egress garden/* -> db.example.com:5432");
    assert_eq!(build.judged(0, OUT).0, Level::Unable);
    assert_eq!(build.objects(), Vec::<Value>::new());
    let build =
        super::super::build::build("let db = host db.example.com at 203.0.113.7  allow egress garden/* -> db:5432")
            .ok();
    assert_eq!(build.one("ServiceEntry")["spec"]["addresses"], json!(["203.0.113.7"]));
}

#[test]
fn trap_51_what_cannot_be_said_leaves_just_its_pods_open() {
    let source = "allow egress garden/* -> zenquotes.io:443  allow egress garden/{app=web} -> db.example.com:5432";
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
    let source = "allow egress garden/{app=web} -> zenquotes.io:443
        allow egress garden/{app=api} -> zenquotes.io:80
        allow egress */* -> zenquotes.io:8443/tls";
    let build = build_in_mesh(source).ok();
    let ports = |namespace: &str| -> Vec<u64> {
        let spec = build.spec("ServiceEntry", namespace, "zenquotes-io");
        spec["ports"].as_array().unwrap().iter().map(|port| port["number"].as_u64().unwrap()).collect()
    };
    assert_eq!((ports("garden"), ports("istio-system")), (vec![80, 443, 8443], vec![8443]));
    let web = build.imports("garden", "app-web-egress");
    assert_eq!((&web[&443], &web[&8443]), (&vec!["./zenquotes.io".to_owned()], &vec!["./zenquotes.io".to_owned()]));
    assert!(!web.contains_key(&80));
    let twice =
        build_in_mesh("allow egress garden/web -> x.example:8443/tls  allow egress garden/api -> x.example:8443/http");
    assert!(twice.codes().contains(&"E0740"), "{:?}", twice.codes());
    let moved = "let a = host x.example at 203.0.113.7  let b = host x.example at 203.0.113.8
        allow egress garden/* -> { a:443, b:443 }";
    assert!(build_in_mesh(moved).codes().contains(&"E0741"));
}

#[test]
fn trap_53_an_entry_is_visible_where_it_is_granted() {
    let export = |source: &str| super::super::build::build(source).ok().one("ServiceEntry")["spec"]["exportTo"].clone();
    assert_eq!(export("allow egress garden/* -> zenquotes.io:443"), json!(["."]));
    assert_eq!(export("allow egress garden/* -> 203.0.113.7:443"), json!(["."]));
    assert_eq!(export("allow egress */* -> zenquotes.io:443"), json!(["*"]));
}

#[test]
fn trap_54_a_service_is_no_host() {
    assert_eq!(build_in_mesh("allow egress garden/* -> api.garden:80").codes(), ["E0207"]);
}

#[test]
fn trap_55_a_pod_has_one_sidecar_with_all_that_is_given_to_it() {
    let source = "allow egress */* -> mesh.example:443
        allow egress garden/* -> team.example:443
        allow egress garden/web -> own.example:443
        deny egress garden/curl -> team.example:443";
    let build = build_in_mesh(source).ok();
    let on_443 = |namespace: &str, name: &str| build.imports(namespace, name)[&443].clone();
    assert_eq!(on_443("istio-system", "all-pods-egress"), ["istio-system/mesh.example"]);
    assert_eq!(on_443("garden", "all-pods-egress"), ["./team.example", "istio-system/mesh.example"]);
    assert_eq!(on_443("garden", "app-web-egress"), ["./own.example", "./team.example", "istio-system/mesh.example"]);
    assert_eq!(on_443("garden", "app-curl-egress"), ["istio-system/mesh.example"]);
    // All of them may resolve names.
    assert!(
        ["all-pods-egress", "app-web-egress", "app-curl-egress"]
            .iter()
            .all(|name| { build.imports("garden", name)[&0] == [RESOLVER] })
    );
}

#[test]
fn trap_55_selectors_that_meet_on_a_pod_are_taken_apart() {
    // api has both labels, web and curl one of them each.
    let source =
        "allow egress garden/{tier=back} -> back.example:443  allow egress garden/{app=api} -> api.example:443";
    let build = build_in_mesh(source).ok();
    assert_eq!(build.imports("garden", "app-api-egress")[&443], ["./api.example", "./back.example"]);
    assert_eq!(build.imports("garden", "app-curl-egress")[&443], ["./back.example"]);
    assert_eq!(build.of("Sidecar").len(), 2, "{}", build.text());
    // Without an inventory nobody knows which pods those are: an object with either label could take from the other.
    let blind = super::super::build::build(source);
    assert_eq!(blind.of("Sidecar"), Vec::<Value>::new());
    assert_eq!((blind.judged(0, OUT).0, blind.judged(1, OUT).0), (Level::Unable, Level::Unable));
    // Where one holds the other, it stands for both, and is wider.
    let nested = "allow egress garden/{app=a} -> a.example:443  allow egress garden/{app=a, tier=b} -> b.example:443";
    let build = super::super::build::build(nested);
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
fn trap_56_namespaces_are_imported_by_their_services() {
    let build = build_in_mesh("allow egress garden/* -> { garden/*, shop/* }  allow egress lab/* -> */*").ok();
    assert_eq!(
        build.imports("garden", "all-pods-egress")[&0],
        ["./*.garden.svc.cluster.local", RESOLVER, "shop/*.shop.svc.cluster.local"]
    );
    assert_eq!(build.imports("lab", "all-pods-egress")[&0], ["*/*.svc.cluster.local"]);
}

#[test]
fn trap_57_every_sidecar_says_what_becomes_of_the_rest() {
    for source in ["default deny egress garden/*", "allow egress garden/* -> zenquotes.io:443"] {
        let spec = super::super::build::build(source).ok().one("Sidecar")["spec"].clone();
        assert_eq!(spec["outboundTrafficPolicy"], json!({ "mode": "REGISTRY_ONLY" }));
    }
    let build = super::super::build::build("default deny egress garden/*").ok();
    assert_eq!(build.imports("garden", "all-pods-egress")[&0], ["~/*"]);
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
fn trap_63b_no_two_hosts_share_a_tcp_port() {
    let source = "let a = host a.example at 203.0.113.7  let b = host b.example at 203.0.113.8
        allow egress garden/* -> { a:5432, b:5432 }";
    let build = super::super::build::build(source).ok();
    let hosts: Vec<Value> = entries(&build).iter().map(|entry| entry["hosts"][0].clone()).collect();
    assert!(hosts.iter().all(|host| host.as_str().unwrap().ends_with(".netpol.internal")), "{hosts:?}");
    assert!(covered(&build, "203.0.113.7") && covered(&build, "203.0.113.8") && !covered(&build, "203.0.113.9"));
}

#[test]
fn trap_63e_no_prefix_begins_at_0() {
    for source in ["{ 0.0.0.0/0 except 203.0.113.0/24 }", "0.0.0.0/1", "0.0.0.0/0"] {
        let build = super::super::build::build(&format!("allow egress garden/* -> {source}:443")).ok();
        assert!(entries(&build).iter().all(|entry| !entry["addresses"][0].as_str().unwrap().starts_with("0.")));
        assert!(covered(&build, "1.0.0.0") && !covered(&build, "0.1.2.3"));
    }
}

#[test]
fn headless_services_are_imported_where_each_pod_is_a_listener() {
    // On a listener with a port a headless Service stands for every address on that port.
    let build = build_in_mesh("allow egress garden/* -> shop/{app=stock}:{7000, 9090}").ok();
    let imports = build.imports("garden", "all-pods-egress");
    assert_eq!(imports[&0], [RESOLVER, "shop/peers.shop.svc.cluster.local"]);
    assert_eq!(imports[&9090], ["shop/stock.shop.svc.cluster.local"]);
}

#[test]
fn trap_63g_a_number_that_is_udp_first_is_imported_without_a_port() {
    // Istio takes the first port of that number, and with 53/udp in hand it would close 53/tcp.
    let source = "service shop/media { select {app=media} port 443/udp port 443 -> 443/tls }
        service shop/turn { select {app=turn} port 3478 -> 3478/tls port 3478/udp }
        allow egress garden/* -> shop/{app=media}:443
        allow egress garden/* -> shop/{app=turn}:3478";
    let imports = build(source).ok().imports("garden", "all-pods-egress");
    assert_eq!(imports[&0], [RESOLVER, "shop/media.shop.svc.cluster.local"]);
    assert_eq!(imports[&3478], ["shop/turn.shop.svc.cluster.local"]);
    // What else such a Service has comes along, which the rule is told.
    let more = source.replace("port 443/udp", "port 80/tcp port 443/udp");
    assert_eq!(build(&more).judged(0, OUT).0, Level::Wider);
}

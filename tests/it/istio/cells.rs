//! What each shape of rule becomes on Istio, and how well it is held. The traps look at the fine points of each.

use netpol::model::rules::Direction;
use netpol::targets::Level;

use super::build::{Build, build, build_in_mesh, build_with};
use crate::networkpolicy::build::written;

const OUT: Direction = Direction::Egress;
const IN: Direction = Direction::Ingress;

/// Holds the first rule's end to a level, and the text of all files to what is in it and what is not.
fn holds(build: &Build, direction: Direction, level: Level, with: &[&str], without: &[&str]) {
    let text = build.text();
    assert_eq!(build.judged(0, direction).0, level, "{:?}\n{text}", build.judged(0, direction));
    for wanted in with {
        assert!(text.contains(wanted), "no `{wanted}`\n{text}");
    }
    for unwanted in without {
        assert!(!text.contains(unwanted), "`{unwanted}`\n{text}");
    }
}

#[test]
fn a_host_is_bypassable_where_its_port_says_how_it_is_read() {
    for (host, with) in [
        ("zenquotes.io:443", ["resolution: DNS", "protocol: TLS"]),
        ("zenquotes.io:80", ["resolution: DNS", "protocol: HTTP"]),
        ("zenquotes.io:9000/grpc", ["resolution: DNS", "protocol: GRPC"]),
        ("*.example.com:443", ["resolution: DYNAMIC_DNS", "protocol: TLS"]),
    ] {
        let build = build(&format!("allow egress garden/* -> {host}")).ok();
        holds(&build, OUT, Level::Bypassable, &with, &["resolution: NONE"]);
        holds(&build, OUT, Level::Bypassable, &["location: MESH_EXTERNAL", "REGISTRY_ONLY", "exportTo: [\".\"]"], &[]);
    }
    let at = "let db = host db.internal at { 203.0.113.7 weight 3, 203.0.113.8 }\nallow egress garden/* -> db:443";
    holds(&build(at).ok(), OUT, Level::Bypassable, &["resolution: STATIC", "address: \"203.0.113.7\", weight: 3"], &[]);
}

#[test]
fn a_host_on_a_tcp_port_needs_addresses_and_one_without_ports_is_nothing_for_istio() {
    for (host, level) in [("zenquotes.io:5432", Level::Unable), ("zenquotes.io", Level::Unable)] {
        holds(&build(&format!("allow egress garden/* -> {host}")), OUT, level, &[], &["ServiceEntry"]);
    }
    let at = "let db = host db.internal at 203.0.113.7\nallow egress garden/* -> db:5432";
    holds(
        &build(at).ok(),
        OUT,
        Level::Bypassable,
        &["resolution: NONE", "protocol: TCP", "addresses: [\"203.0.113.7\"]"],
        &["resolution: DNS"],
    );
}

#[test]
fn addresses_are_one_entry_a_prefix_and_need_ports() {
    let build = build("allow egress garden/* -> { 203.0.113.0/24, 2001:db8::/32 }:5432").ok();
    holds(&build, OUT, Level::Bypassable, &["resolution: NONE", "203.0.113.0/24", "2001:db8::/32"], &["0.0.0.0"]);
    assert_eq!(build.of("ServiceEntry").len(), 2);
    holds(&super::build::build("allow egress garden/* -> 203.0.113.0/24"), OUT, Level::Unable, &[], &["ServiceEntry"]);
}

#[test]
fn egress_to_pods_imports_their_services_or_those_of_their_namespace() {
    let known = build_in_mesh("allow egress shop/* -> garden/web:80").ok();
    holds(&known, OUT, Level::Bypassable, &[".garden.svc.cluster.local", "REGISTRY_ONLY"], &["garden/*"]);
    let unknown = build("allow egress shop/* -> garden/{app=web}:80");
    holds(&unknown, OUT, Level::Wider, &["garden/*.garden.svc.cluster.local"], &[]);
    let whole = build("allow egress shop/* -> garden/*").ok();
    holds(&whole, OUT, Level::Bypassable, &["garden/*.garden.svc.cluster.local"], &["\"garden/*\""]);
    let everywhere = build("allow egress shop/* -> */*").ok();
    holds(&everywhere, OUT, Level::Bypassable, &["*/*.svc.cluster.local"], &[]);
}

#[test]
fn ingress_from_pods_is_exact_by_their_identity() {
    for (source, with) in [
        ("shop/*", "principals: [\"cluster.local/ns/shop/sa/*\"]"),
        ("*/*", "principals: [\"cluster.local/*\"]"),
        ("shop/@curl", "principals: [cluster.local/ns/shop/sa/curl]"),
        ("*/@curl", "principals: [\"*/sa/curl\"]"),
    ] {
        let build = build(&format!("allow ingress {source} -> garden/*:8080")).ok();
        holds(&build, IN, Level::Exact, &[with, "mode: STRICT", "ports: [\"8080\"]"], &[]);
    }
    // Labels are no identity: where no inventory shows the accounts, the whole namespace passes.
    holds(
        &build("allow ingress shop/{app=web} -> garden/*:8080"),
        IN,
        Level::Wider,
        &["principals: [\"cluster.local/ns/shop/sa/*\"]"],
        &[],
    );
}

#[test]
fn ingress_from_addresses_leaves_pods_out_and_lets_plaintext_in_on_these_ports() {
    let source = "allow ingress 203.0.113.0/24 -> garden/{app=web}:8080\nallow ingress shop/* -> garden/{app=web}:9090";
    let known = build_with(source, None, |settings| {
        settings.pods = vec![written("10.244.0.0/16")];
    });
    let with = ["ipBlocks: [203.0.113.0/24]", "portLevelMtls", "mode: PERMISSIVE", "mode: STRICT"];
    holds(&known, IN, Level::Exact, &with, &["remoteIpBlocks"]);
    let near = super::build::build("allow ingress 10.0.0.0/8 -> garden/{app=web}:8080");
    holds(&near, IN, Level::Wider, &["ipBlocks: [10.0.0.0/8]"], &[]);
    let gateway = "use std/istio (ingress-gateway)\nallow ingress 203.0.113.0/24 -> ingress-gateway";
    let gateway = super::build::build(gateway).ok();
    holds(&gateway, IN, Level::Exact, &["remoteIpBlocks: [203.0.113.0/24]", "externalTrafficPolicy: Local"], &[]);
}

#[test]
fn from_anywhere_is_a_rule_without_from() {
    let build = build("allow ingress anywhere -> garden/*:8080").ok();
    holds(&build, IN, Level::Exact, &["ports: [\"8080\"]"], &["from:", "STRICT"]);
}

#[test]
fn via_a_gateway_on_the_way_in_is_judged_at_both() {
    let source = "use std/istio (ingress-gateway)\nallow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http \
                  via ingress-gateway at \"garden.example.com\" where path \"/api/**\"";
    let with = [
        "hosts: [garden.example.com, \"garden.example.com:*\"]",
        "notHosts: [garden.example.com, \"garden.example.com:*\", garden.example.com., \"garden.example.com.:*\"]",
        "paths: [/api, \"/api/*\"]",
        "externalTrafficPolicy: Local",
        "mode: STRICT",
    ];
    holds(&build(source).ok(), IN, Level::Exact, &with, &[]);
}

#[test]
fn via_a_gateway_on_the_way_out_is_the_hop_with_mtls() {
    let build =
        build("use std/istio (egress-gateway)\nallow egress garden/* -> zenquotes.io:443 via egress-gateway").ok();
    let with = ["kind: VirtualService", "kind: DestinationRule", "mode: ISTIO_MUTUAL", "key: connection.sni"];
    holds(&build, OUT, Level::Bypassable, &with, &["istio-egressgateway.istio-system.svc.cluster.local\"\n    - "]);
}

#[test]
fn a_deny_leaves_out_on_the_way_out_and_refuses_on_the_way_in() {
    let out = build("deny egress garden/* -> 203.0.113.7:443\nallow egress garden/* -> 203.0.113.0/24:443").ok();
    holds(&out, OUT, Level::Bypassable, &["resolution: NONE"], &["203.0.113.7/32\n      resolution: NONE"]);
    holds(&build("deny egress garden/* -> 203.0.113.7:443"), OUT, Level::Unable, &[], &["Sidecar"]);
    let into = build("deny ingress shop/* -> garden/*:8080").ok();
    holds(
        &into,
        IN,
        Level::Exact,
        &["action: DENY", "principals: [\"cluster.local/ns/shop/sa/*\"]", "mode: STRICT"],
        &[],
    );
}

#[test]
fn requests_are_read_on_the_way_in_alone() {
    for (clause, with) in [
        ("method GET, POST", "methods: [GET, POST]"),
        ("path \"/a/*/b\"", "paths: [\"/a/{*}/b\"]"),
        ("host \"web.example.com\"", "hosts: [web.example.com"),
    ] {
        let build = build(&format!("allow ingress shop/* -> garden/*:8080/http where {clause}")).ok();
        holds(&build, IN, Level::Exact, &[with], &[]);
    }
    let out = build("allow egress garden/* -> zenquotes.io:80 where path \"/api\"");
    holds(&out, OUT, Level::Wider, &["resolution: DNS"], &["paths"]);
    let tls = build("allow ingress shop/* -> garden/*:8443/tls where host \"web.example.com\"");
    holds(&tls, IN, Level::Unable, &[], &["hosts: [web"]);
    let issuer = "issuer corp { url \"https://login.example.com\" keys \"{\\\"keys\\\": []}\" }\n";
    let token = "allow ingress shop/* -> garden/*:8080/http where jwt corp subject \"a\" claim groups = \"admin\"";
    let with = [
        "kind: RequestAuthentication",
        "requestPrincipals: [\"https://login.example.com/a\"]",
        "key: \"request.auth.claims[groups]\"",
    ];
    holds(&build(&format!("{issuer}{token}")).ok(), IN, Level::Exact, &with, &[]);
}

#[test]
fn default_deny_closes_and_asks_for_no_mtls() {
    let build = build("default deny garden/*").ok();
    holds(&build, IN, Level::Exact, &["action: ALLOW", "rules: []", "hosts: [\"~/*\"]"], &["STRICT"]);
    holds(&build, OUT, Level::Bypassable, &[], &[]);
}

#[test]
fn dns_is_granted_and_the_way_to_istiod_is_nothing_for_a_sidecar() {
    let build = build_in_mesh("allow egress shop/* -> garden/web:80").ok();
    holds(&build, OUT, Level::Bypassable, &["kube-dns.kube-system.svc.cluster.local"], &["istiod", "15012"]);
}

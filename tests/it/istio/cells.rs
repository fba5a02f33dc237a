//! How well Istio enforces each shape of rule. The cases of `tests/targets` show the objects; the traps check the fine
//! points.

use netpol::model::rules::Direction::{Egress, Ingress};
use netpol::settings::Settings;
use netpol::targets::Level::{Bypassable, Exact, Unable, Wider};

use super::build::{build, build_in_mesh, build_with};
use crate::networkpolicy::build::written;

const GATEWAYS: &str = "use std/istio\n";
const EDGE: &str = "gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy
  port 80 -> 8080/http port 443 -> 8443/https port 8444 -> 8444/tls port 5672/tcp }\n";
const AT: &str = "let db = host db.internal at { 203.0.113.7 weight 3, 203.0.113.8 }\n";
const ISSUER: &str = "issuer corp { url \"https://login.example.com\" keys \"{\\\"keys\\\": []}\" }\n";

#[test]
fn each_shape_has_its_level_on_the_way_out() {
    for (before, rule, level) in [
        // A host, where its port says how it is read.
        ("", "allow egress garden/* -> zenquotes.io:443", Bypassable),
        ("", "allow egress garden/* -> zenquotes.io:80", Bypassable),
        ("", "allow egress garden/* -> zenquotes.io:9000/grpc", Bypassable),
        ("", "allow egress garden/* -> *.example.com:443", Bypassable),
        (AT, "allow egress garden/* -> db:443", Bypassable),
        (AT, "allow egress garden/* -> db:5432", Bypassable),
        ("", "allow egress garden/* -> zenquotes.io:5432", Wider),
        ("", "allow egress garden/* -> zenquotes.io", Unable),
        ("", "allow egress garden/* -> zenquotes.io:80 where path \"/api\"", Wider),
        // Addresses, which need ports.
        ("", "allow egress garden/* -> { 203.0.113.0/24, 2001:db8::/32 }:5432", Bypassable),
        ("", "allow egress garden/* -> 203.0.113.0/24", Unable),
        // Pods are their Services; those of labels are known from the facts alone.
        ("", "allow egress shop/* -> garden/*", Bypassable),
        ("", "allow egress shop/* -> */*", Bypassable),
        ("", "allow egress shop/* -> garden/{app=web}:80", Wider),
        (GATEWAYS, "allow egress garden/* -> zenquotes.io:443 via egress-gateway", Bypassable),
        (GATEWAYS, "allow egress garden/* -> zenquotes.io:80 via egress-gateway", Bypassable),
        ("", "default deny garden/*", Bypassable),
        ("", "deny egress garden/* -> 203.0.113.7:443", Unable),
    ] {
        let build = build(&format!("{before}{rule}"));
        assert_eq!(build.judged(0, Egress).0, level, "{rule}: {:?}", build.judged(0, Egress));
        assert_eq!(build.objects().is_empty(), level == Unable, "{rule}: {}", build.text());
    }
    let known = build_in_mesh("allow egress shop/* -> garden/web:80").ok();
    assert_eq!(known.judged(0, Egress).0, Bypassable);
    let denied = build("deny egress garden/* -> 203.0.113.7:443\nallow egress garden/* -> 203.0.113.0/24:443").ok();
    assert_eq!((denied.judged(0, Egress).0, denied.judged(1, Egress).0), (Bypassable, Bypassable));
}

#[test]
fn each_shape_has_its_level_on_the_way_in() {
    for (before, rule, level) in [
        // Pods are their identities, and labels are none.
        ("", "allow ingress shop/* -> garden/*:8080", Exact),
        ("", "allow ingress */* -> garden/*:8080", Exact),
        ("", "allow ingress shop/@curl -> garden/*:8080", Exact),
        ("", "allow ingress */@curl -> garden/*:8080", Exact),
        ("", "allow ingress shop/{app=web} -> garden/*:8080", Wider),
        ("", "deny ingress shop/* -> garden/*:8080", Exact),
        // Addresses that may be pods' let these in.
        ("", "allow ingress 203.0.113.0/24 -> garden/{app=web}:8080", Exact),
        ("", "allow ingress 10.0.0.0/8 -> garden/{app=web}:8080", Wider),
        ("", "allow ingress anywhere -> garden/*:8080", Exact),
        (GATEWAYS, "allow ingress 203.0.113.0/24 -> ingress-gateway", Exact),
        (EDGE, "allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"a.example\"", Exact),
        (EDGE, "allow ingress 203.0.113.0/24 -> garden/{app=web}:9443/tls via edge at \"a.example\"", Exact),
        (EDGE, "allow ingress 203.0.113.0/24 -> mq/{app=rabbit}:5672 via edge", Exact),
        // Requests.
        ("", "allow ingress shop/* -> garden/*:8080/http where method GET, POST", Exact),
        ("", "allow ingress shop/* -> garden/*:8080/http where path \"/a/*/b\"", Exact),
        ("", "allow ingress shop/* -> garden/*:8080/http where host \"web.example.com\"", Exact),
        ("", "allow ingress shop/* -> garden/*:8443/tls where host \"web.example.com\"", Unable),
        (
            ISSUER,
            "allow ingress shop/* -> garden/*:8080/http where jwt corp subject \"a\" claim groups = \"admin\"",
            Exact,
        ),
        ("", "default deny garden/*", Exact),
    ] {
        let build = build(&format!("{before}{rule}"));
        assert_eq!(build.judged(0, Ingress).0, level, "{rule}: {:?}", build.judged(0, Ingress));
    }
    let pods_known = |settings: &mut Settings| settings.pods = vec![written("10.244.0.0/16")];
    let near = build_with("allow ingress 10.0.0.0/8 -> garden/{app=web}:8080", None, pods_known);
    assert_eq!(near.judged(0, Ingress).0, Exact);
}

//! How well a NetworkPolicy enforces each shape of rule. The cases of `tests/targets` show the objects.

use netpol::targets::Level;
use serde_json::{Value, json};

use super::build::{Build, build, build_in};

/// Returns the entries of the only object.
fn entries(build: &Build, direction: &str) -> Vec<Value> {
    build.object()["spec"][direction].as_array().cloned().unwrap_or_default()
}

fn tcp(port: u16) -> Value {
    json!([{ "protocol": "TCP", "port": port }])
}

#[test]
fn a_host_is_wider_and_exact_with_addresses() {
    for (host, reason) in [
        ("zenquotes.io:443", "any public address :443"),
        ("*.example.com:443", "any public address :443"),
        ("zenquotes.io:5432", "any public address :5432"),
        ("zenquotes.io", "any public address"),
    ] {
        let build = build(&format!("@approximate(\"names\")\nallow egress garden/* -> {host}")).ok();
        assert_eq!(build.levels(0), [(Level::Wider, reason)], "{host}");
    }
    let at = "let db = host db.internal at { 203.0.113.7, 2001:db8::/64 }\nallow egress garden/* -> db:5432";
    assert_eq!(build(at).ok().levels(0), [(Level::Exact, "")]);
}

#[test]
fn addresses_and_pods_are_exact() {
    for (source, levels) in [
        ("allow egress garden/* -> { 10.0.0.0/8 except 10.1.0.0/16 }:443", vec![(Level::Exact, "")]),
        ("allow egress garden/* -> {env=prod}/{app=db}:5432", vec![(Level::Exact, "")]),
        ("allow ingress {env=prod}/{app=web} -> garden/*:80", vec![(Level::Exact, "")]),
        ("allow garden/* -> db/*:5432", vec![(Level::Exact, ""), (Level::Exact, "")]),
        ("allow ingress 203.0.113.0/24 -> garden/*:80", vec![(Level::Exact, "by the packet's source")]),
        ("allow ingress anywhere -> garden/*:80", vec![(Level::Exact, "by the packet's source")]),
        ("default deny garden/*", vec![(Level::Exact, ""), (Level::Exact, "")]),
    ] {
        assert_eq!(build(source).ok().levels(0), levels, "{source}");
    }
    let gateway = build("use std/istio (ingress-gateway)\nallow ingress 203.0.113.0/24 -> ingress-gateway").ok();
    assert_eq!(gateway.levels(0), [(Level::Exact, "by the packet's source")]);
}

#[test]
fn via_a_gateway_is_wider() {
    for (rule, reason) in [
        (
            "allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via ingress-gateway at \"garden.example.com\"",
            "every client of the gateway",
        ),
        ("allow egress garden/* -> zenquotes.io:443 via egress-gateway", "whatever the gateway serves"),
    ] {
        let build = build(&format!("use std/istio\n@approximate(\"the mesh judges\")\n{rule}")).ok();
        assert_eq!(build.levels(0), [(Level::Wider, reason)]);
        // Nothing isolates the gateway itself, which so has no object.
        assert_eq!(build.object()["metadata"]["namespace"], "garden");
    }
}

#[test]
fn a_deny_is_exact_or_unable() {
    for (source, level) in [
        ("default deny a/*\ndeny egress a/* -> b/*", Level::Exact),
        ("allow egress a/* -> { b/*, c/* }\ndeny egress a/* -> b/*", Level::Exact),
        ("deny ingress 203.0.113.0/24 -> a/*", Level::Exact),
        ("deny egress a/* -> anywhere:25", Level::Exact),
        (
            "let x = host x.internal at 203.0.113.7\nallow egress a/* -> 203.0.113.0/24\ndeny egress a/* -> x",
            Level::Exact,
        ),
        // Nothing that is let through could be that host.
        ("allow egress a/* -> b/*\ndeny egress a/* -> tracker.example.com:443", Level::Exact),
        ("allow egress a/* -> internet:443\ndeny egress a/* -> tracker.example.com:443", Level::Unable),
        ("allow egress a/* -> b/*:80\ndeny egress a/* -> b/*:http", Level::Unable),
        ("deny egress a/* -> b/*", Level::Unable),
        ("deny ingress b/* -> a/*:80/http where method POST", Level::Unable),
        ("deny egress */* -> 169.254.169.254", Level::Unable),
    ] {
        let build = build(source);
        let rule = build.policy.rules.len() - 1;
        assert!(build.levels(rule).iter().all(|(found, _)| *found == level), "{source}: {:?}", build.levels(rule));
        assert_eq!(build.codes().contains(&"E0711"), level == Level::Unable, "{source}: {:?}", build.codes());
    }
}

#[test]
fn a_deny_needs_one_end_that_holds() {
    // Where nothing isolates `b`, its end would have to name addresses beside pods; the other end stops every such
    // flow.
    let build = build("default deny a/*\ndeny a/* -> b/*").ok();
    let levels: Vec<Level> = build.levels(1).iter().map(|(level, _)| *level).collect();
    assert_eq!((levels, build.codes()), (vec![Level::Exact, Level::Unable], vec![]));
}

#[test]
fn requests_are_not_seen_and_the_rule_stays_without_them() {
    let issuer = "issuer corp { url \"https://login.example.com\"  keys \"{\\\"keys\\\": []}\" }\n";
    for (clause, reason) in [
        ("where method GET", "HTTP"),
        ("where path \"/api/**\"", "HTTP"),
        ("where host \"x.example.com\"", "host names"),
        ("where jwt corp", "tokens"),
    ] {
        let source = format!("{issuer}allow ingress web/* -> garden/*:8080/http {clause}");
        let build = build(&source);
        assert_eq!(build.levels(0), [(Level::Unable, reason)]);
        assert!(build.said("E0711").contains(clause.split(" \"").next().unwrap()), "{}", build.said("E0711"));
        assert_eq!(entries(&build, "ingress")[0]["ports"], tcp(8080));
        let stated = self::build(&format!(
            "{issuer}@approximate(\"later\")\nallow ingress web/* -> garden/*:8080/http {clause}"
        ));
        assert_eq!(stated.ok().objects().len(), 1);
    }
}

const CLUSTER: &str = "\
apiVersion: v1
kind: Namespace
metadata: { name: blue, labels: { env: prod } }
---
apiVersion: v1
kind: Namespace
metadata: { name: green, labels: { env: prod } }
---
apiVersion: v1
kind: Namespace
metadata: { name: red, labels: { env: dev } }
---
apiVersion: v1
kind: Pod
metadata: { name: curl, namespace: blue, labels: { app: curl, pod-template-hash: abc } }
spec: { serviceAccountName: curl, containers: [{ name: main }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: blue, labels: { app: web } }
spec: { containers: [{ name: main }] }
---
apiVersion: v1
kind: Pod
metadata: { name: one, namespace: red, labels: { app: twin } }
spec: { serviceAccountName: one, containers: [{ name: main }] }
---
apiVersion: v1
kind: Pod
metadata: { name: two, namespace: red, labels: { app: twin } }
spec: { serviceAccountName: two, containers: [{ name: main }] }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: green, labels: { app: web } }
spec: { containers: [{ name: main }] }
";

#[test]
fn namespaces_that_are_not_named_come_from_the_inventory() {
    let build = build_in(CLUSTER, "default deny ingress {env=prod}/*").ok();
    let namespaces: Vec<String> = build.lowering.layers[0].1.objects.iter().map(|it| it.namespace.clone()).collect();
    assert_eq!(namespaces, ["blue", "green"]);
    assert!(build.codes().contains(&"N0703"), "{:?}", build.codes());
    // Without an inventory nothing is guessed: such pods are left open, and pods that other rules isolate keep their
    // way.
    let source = "default deny egress garden/*\nallow egress {env=prod}/* -> db/*:5432";
    let unknown = self::build(source);
    assert_eq!(unknown.levels(1), [(Level::Unable, "no namespace is named and no inventory lists them")]);
    assert_eq!(entries(&unknown, "egress")[0]["ports"], tcp(5432));
    let declared = self::build(&format!("namespace garden {{ labels {{ env = dev }} }}\n{source}"));
    assert_eq!(entries(&declared, "egress"), [] as [Value; 0]);
}

#[test]
fn a_service_account_is_told_by_labels_or_not_at_all() {
    // Two accounts behind the same labels: as a subject unable, as a peer wider.
    let twins = build_in(CLUSTER, "default deny egress red/@one");
    assert_eq!(twins.levels(0), [(Level::Unable, "no labels tell the pods of red/@one from others")]);
    assert_eq!(twins.objects(), [] as [Value; 0]);
    let peers = build_in(CLUSTER, "allow ingress red/@one -> blue/{app=web}:80");
    assert_eq!(peers.levels(0), [(Level::Wider, "no labels tell the pods of red/@one from others")]);
    let anywhere = build_in(CLUSTER, "allow ingress */@curl -> green/{app=web}:80").ok();
    assert_eq!(anywhere.levels(0), [(Level::Exact, "")]);
}

#[test]
fn an_edit_to_one_rule_leaves_the_names_of_other_objects_alone() {
    let names = |source: &str| -> Vec<String> {
        build(source).lowering.layers[0].1.objects.iter().map(|object| object.name.clone()).collect()
    };
    let before = names("allow ingress a/* -> b/{app=x, tier=y}:1\nallow ingress a/* -> b/{app=z}:1");
    let after = names("allow ingress a/* -> b/{app=x, tier=y}:1\nallow ingress { a/*, c/* } -> b/{app=z}:2");
    assert_eq!(before, after);
}

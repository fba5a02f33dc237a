//! What each shape of rule becomes, and how well it is held.

use netpol::targets::Level;
use serde_json::{Value, json};

use super::build::{Build, build, build_in, build_with, written};

/// Returns the entries of the only object.
fn entries(build: &Build, direction: &str) -> Vec<Value> {
    build.object()["spec"][direction].as_array().cloned().unwrap_or_default()
}

fn blocks(entry: &Value) -> Vec<&str> {
    let peers = entry["to"].as_array().or(entry["from"].as_array()).unwrap();
    peers.iter().map(|peer| peer["ipBlock"]["cidr"].as_str().unwrap()).collect()
}

fn tcp(port: u16) -> Value {
    json!([{ "protocol": "TCP", "port": port }])
}

#[test]
fn a_host_is_wider_and_exact_with_addresses() {
    for (source, ports, reason) in [
        ("zenquotes.io:443", tcp(443), "any public address :443"),
        ("zenquotes.io:80", tcp(80), "any public address :80"),
        ("*.example.com:443", tcp(443), "any public address :443"),
        ("zenquotes.io:5432", tcp(5432), "any public address :5432"),
        ("zenquotes.io", Value::Null, "any public address"),
    ] {
        let build = build(&format!("@approximate(\"names\")\nallow egress garden/* -> {source}")).ok();
        let host = entries(&build, "egress").remove(0);
        assert_eq!((blocks(&host), &host["ports"]), (vec!["0.0.0.0/0", "2000::/3"], &ports), "{source}");
        assert_eq!(build.levels(0), [(Level::Wider, reason)], "{source}");
    }
    let at = "let db = host db.internal at { 203.0.113.7, 2001:db8::/64 }\n";
    let build = build(&format!("{at}allow egress garden/* -> db:5432")).ok();
    let host = entries(&build, "egress").remove(0);
    assert_eq!((blocks(&host), &host["ports"]), (vec!["203.0.113.7/32", "2001:db8::/64"], &tcp(5432)));
    assert_eq!(build.levels(0), [(Level::Exact, "")]);
}

#[test]
fn addresses_and_pods_are_exact() {
    for (source, levels) in [
        ("allow egress garden/* -> { 10.0.0.0/8 except 10.1.0.0/16 }:443", vec![(Level::Exact, "")]),
        ("allow egress garden/* -> {env=prod}/{app=db}:5432", vec![(Level::Exact, "")]),
        ("allow ingress {env=prod}/{app=web} -> garden/*:80", vec![(Level::Exact, "")]),
        ("allow garden/* -> db/*:5432", vec![(Level::Exact, ""), (Level::Exact, "")]),
        ("allow ingress 203.0.113.0/24 -> garden/*:80", vec![(Level::Exact, "by the packet's source")]),
        ("default deny garden/*", vec![(Level::Exact, ""), (Level::Exact, "")]),
    ] {
        assert_eq!(build(source).ok().levels(0), levels, "{source}");
    }
    let gateway = build("use std/istio (ingress-gateway)\nallow ingress 203.0.113.0/24 -> ingress-gateway").ok();
    assert_eq!(gateway.levels(0), [(Level::Exact, "by the packet's source")]);
    let ports = json!([{ "protocol": "TCP", "port": 8080 }, { "protocol": "TCP", "port": 8443 }]);
    assert_eq!(entries(&gateway, "ingress")[0]["ports"], ports);
}

#[test]
fn from_anywhere_is_an_entry_without_from() {
    let build = build("allow ingress anywhere -> garden/*:80").ok();
    assert_eq!(entries(&build, "ingress"), [json!({ "ports": tcp(80) })]);
    assert_eq!(build.levels(0)[0].0, Level::Exact);
    let all = self::build("allow ingress anywhere -> garden/*").ok();
    assert_eq!(entries(&all, "ingress"), [json!({})]);
}

#[test]
fn via_on_ingress_lets_the_gateway_in() {
    let source = "use std/istio (ingress-gateway)\n\
        @approximate(\"the mesh judges clients\")\n\
        allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via ingress-gateway at \"garden.example.com\"";
    let build = build(source).ok();
    let entry = entries(&build, "ingress").remove(0);
    assert_eq!(entry["ports"], tcp(8080));
    assert_eq!(entry["from"][0]["podSelector"], json!({ "matchLabels": { "istio": "ingressgateway" } }));
    assert_eq!(build.levels(0), [(Level::Wider, "every client of the gateway")]);
    // The gateway itself is isolated by no rule, and so has no object.
    assert_eq!(build.objects().len(), 1);
}

const EGRESS_GATEWAY: &str = "use std/istio (egress-gateway)\n";

#[test]
fn via_on_egress_leaves_the_gateways_pods_alone() {
    let rule =
        "@approximate(\"the mesh judges hosts\")\nallow egress garden/* -> zenquotes.io:443 via egress-gateway\n";
    let build = build(&format!("{EGRESS_GATEWAY}{rule}")).ok();
    let entries = entries(&build, "egress");
    let to: Vec<&Value> = entries.iter().map(|entry| &entry["to"][0]["podSelector"]["matchLabels"]).collect();
    assert_eq!(to, [&json!({ "istio": "egressgateway" }), &json!({ "k8s-app": "kube-dns" })]);
    assert_eq!(entries[0]["ports"], tcp(8443), "the pod's port");
    assert!(!build.text().contains("ipBlock"), "{}", build.text());
    assert_eq!(build.levels(0), [(Level::Wider, "whatever the gateway serves")]);
    // Where something isolates the gateway it gets its half.
    let closed = self::build(&format!("{EGRESS_GATEWAY}{rule}default deny istio-system/*\n")).ok();
    let (out, into) = (
        closed.named("istio-system", "istio-egressgateway-egress"),
        closed.named("istio-system", "istio-egressgateway-ingress"),
    );
    assert_eq!(out["spec"]["egress"][0]["ports"], tcp(443));
    assert_eq!(into["spec"]["ingress"][0]["ports"], tcp(8443));
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
    // Where nothing isolates `b`, its end would have to name addresses beside pods; the other end stops every such flow.
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

#[test]
fn grants_are_for_isolated_pods_alone() {
    let both = |source: &str, cluster: &str| {
        build_with(source, cluster, |settings| settings.targets.push(netpol::settings::Layer::Istio))
    };
    let text = both("default deny garden/*", "").text();
    assert!(text.contains("granted: a sidecar's way to istiod"), "{text}");
    assert!(text.contains("port: 15012"), "{text}");
    // Ingress alone isolates nothing on the way out.
    let text = both("default deny ingress garden/*", "").text();
    assert!(!text.contains("granted"), "{text}");
    // With an inventory it is known who has a sidecar.
    let text = both("default deny egress garden/{app=web}\ndefault deny egress garden/{app=db}", SIDECARS).text();
    assert_eq!(text.matches("granted: a sidecar's way to istiod").count(), 1, "{text}");
    assert!(!self::build_with("default deny garden/{app=db}", SIDECARS, |_| ()).text().contains("granted"));
    // istiod reaches the keys of an issuer where something isolates it.
    let issuer = "issuer corp { url \"https://login.example.com\"  jwks \"https://login.example.com/keys\" at 203.0.113.0/24 }\n";
    let rule = "allow ingress web/* -> garden/*:8080/http where jwt corp\n";
    let text = both(&format!("{issuer}{rule}default deny egress istio-system/{{app=istiod}}"), "").text();
    assert!(text.contains("granted: istiod's way to the keys of an issuer"), "{text}");
    assert!(!both(&format!("{issuer}{rule}"), "").text().contains("203.0.113.0/24"));
}

const SIDECARS: &str = "\
apiVersion: v1
kind: Namespace
metadata: { name: garden }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: garden, labels: { app: web, sidecar.istio.io/inject: \"true\" } }
spec: { containers: [{ name: main }, { name: istio-proxy }] }
---
apiVersion: v1
kind: Pod
metadata: { name: db, namespace: garden, labels: { app: db } }
spec: { containers: [{ name: main }] }
";

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
    // Without an inventory nothing is guessed: such pods are left open, and pods that other rules isolate keep their way.
    let source = "default deny egress garden/*\nallow egress {env=prod}/* -> db/*:5432";
    let unknown = self::build(source);
    assert_eq!(unknown.levels(1), [(Level::Unable, "no namespace is named and no inventory lists them")]);
    assert_eq!(entries(&unknown, "egress")[0]["ports"], tcp(5432));
    let declared = self::build(&format!("namespace garden {{ labels {{ env = dev }} }}\n{source}"));
    assert_eq!(entries(&declared, "egress"), [] as [Value; 0]);
}

#[test]
fn a_service_account_is_told_by_labels_or_not_at_all() {
    let build = build_in(CLUSTER, "default deny egress blue/@curl").ok();
    assert_eq!(
        build.named("blue", "app-curl-egress")["spec"]["podSelector"],
        json!({ "matchLabels": { "app": "curl" } })
    );
    let others = build_in(CLUSTER, "default deny egress { blue/* except blue/@curl }").ok();
    let selector = json!({ "matchExpressions": [{ "key": "app", "operator": "NotIn", "values": ["curl"] }] });
    assert_eq!(others.object()["spec"]["podSelector"], selector);
    // Two accounts behind the same labels: as a subject unable, as a peer wider.
    let twins = build_in(CLUSTER, "default deny egress red/@one");
    assert_eq!(twins.levels(0), [(Level::Unable, "no labels tell the pods of red/@one from others")]);
    assert_eq!(twins.objects(), [] as [Value; 0]);
    let peers = build_in(CLUSTER, "allow ingress red/@one -> blue/{app=web}:80");
    assert_eq!(peers.levels(0), [(Level::Wider, "no labels tell the pods of red/@one from others")]);
    let anywhere = build_in(CLUSTER, "allow ingress */@curl -> green/{app=web}:80").ok();
    assert_eq!(anywhere.levels(0), [(Level::Exact, "")]);
    let from = &entries(&anywhere, "ingress")[0]["from"];
    assert_eq!(from[0]["podSelector"], json!({ "matchLabels": { "app": "curl" } }));
}

#[test]
fn a_deny_of_some_pods_splits_the_subject() {
    let source = "allow egress garden/* -> { db/*:5432, cache/*:6379 }\ndeny egress garden/{app=web} -> db/*";
    let build = build(source).ok();
    let whole = build.named("garden", "all-pods-egress");
    let to = |object: &Value| -> Vec<Value> {
        let list = object["spec"]["egress"].as_array().unwrap();
        list.iter()
            .map(|entry| entry["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"].clone())
            .collect()
    };
    assert_eq!(to(&whole), [json!("cache"), json!("kube-system")]);
    let objects = build.objects();
    let part = objects.iter().find(|object| object["metadata"]["name"] != "all-pods-egress").unwrap();
    assert_eq!(to(part), [json!("db")]);
    let others = json!({ "matchExpressions": [{ "key": "app", "operator": "NotIn", "values": ["web"] }] });
    assert_eq!((objects.len(), &part["spec"]["podSelector"]), (2, &others));
}

#[test]
fn rules_of_one_subject_share_an_object_and_say_nothing_twice() {
    let source = "## Reads orders.\nallow egress garden/* -> db/*:5432\nallow egress garden/* -> { db/*, db/* }:5432\n\
                  allow egress garden/* -> dns\nallow egress garden/* -> cache/*:6379";
    let build = build(source);
    assert_eq!(entries(&build, "egress").len(), 3, "{}", build.text());
    let text = build.text();
    assert!(
        text.contains(
            "netpol/source: |-\n      policy.netpol: allow egress garden/* -> cache/*:6379\n      \
             policy.netpol: allow egress garden/* -> db/*:5432\n      policy.netpol: allow egress garden/* -> dns\n      \
             policy.netpol: allow egress garden/* -> { db/*, db/* }:5432\n"
        ),
        "{text}"
    );
    assert!(text.contains("    # Reads orders.\n    # policy.netpol: allow egress garden/* -> db/*:5432\n"), "{text}");
    assert!(
        text.starts_with(
            "==> garden/networkpolicy.yaml\n# Code generated by netpol from policy.netpol. DO NOT EDIT.\n"
        )
    );
    // An edit to one rule leaves the other objects' names alone.
    let names = |source: &str| -> Vec<String> {
        self::build(source).lowering.layers[0].1.objects.iter().map(|object| object.name.clone()).collect()
    };
    let before = names("allow ingress a/* -> b/{app=x, tier=y}:1\nallow ingress a/* -> b/{app=z}:1");
    let after = names("allow ingress a/* -> b/{app=x, tier=y}:1\nallow ingress { a/*, c/* } -> b/{app=z}:2");
    assert_eq!(before, after);
}

#[test]
fn known_pods_are_cut_out_of_the_envelope() {
    let build = build_with("@approximate(\"names\")\nallow egress garden/* -> zenquotes.io:443", "", |settings| {
        settings.pods = vec![written("100.96.0.0/11"), written("2001:db8::/32")];
    });
    let host = entries(&build, "egress").remove(0);
    assert_eq!(host["to"][1]["ipBlock"], json!({ "cidr": "2000::/3", "except": ["2001:db8::/32"] }));
}

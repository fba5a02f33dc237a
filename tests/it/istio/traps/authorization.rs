//! AuthorizationPolicy, PeerAuthentication, RequestAuthentication.

use netpol::model::paths::PathNormalization;
use netpol::model::rules::Direction;
use netpol::targets::Level;
use serde_json::{Value, json};

use super::super::build::{MESH, build, build_in_mesh, build_with};

const IN: Direction = Direction::Ingress;

fn rules(spec: &Value) -> &Vec<Value> {
    spec["rules"].as_array().unwrap()
}

#[test]
fn trap_25_who_and_what_stand_in_one_rule() {
    let build = build_in_mesh("allow ingress shop/* -> garden/web:80/http where path \"/api\"").ok();
    let spec = &build.one("AuthorizationPolicy")["spec"];
    assert_eq!(rules(spec).len(), 1);
    assert_eq!(spec["rules"][0]["from"], json!([{ "source": { "principals": ["cluster.local/ns/shop/sa/*"] } }]));
    assert_eq!(spec["rules"][0]["to"], json!([{ "operation": { "ports": ["8080"], "paths": ["/api"] } }]));
}

#[test]
fn trap_26_what_closes_a_pod_lets_in_what_any_rule_allows_it() {
    // No inventory tells the pods of the second rule, which the first one closes: what it allows joins the first.
    let build = build("default deny ingress garden/*  allow ingress shop/* -> garden/{!canary}:80");
    let spec = &build.one("AuthorizationPolicy")["spec"];
    assert_eq!(spec["rules"][0]["from"], json!([{ "source": { "principals": ["cluster.local/ns/shop/sa/*"] } }]));
    assert_eq!(build.judged(0, IN).0, Level::Wider);
    // And where nothing closes them, nothing is made that would.
    let build = super::super::build::build("allow ingress shop/* -> garden/{!canary}:80");
    assert_eq!(build.objects(), Vec::<Value>::new());
    assert_eq!(build.judged(0, IN).0, Level::Unable);
}

#[test]
fn trap_27_action_and_rules_are_always_written() {
    let spec = build("default deny ingress garden/*").ok().one("AuthorizationPolicy")["spec"].clone();
    assert_eq!((&spec["action"], &spec["rules"]), (&json!("ALLOW"), &json!([])));
    // What nobody can meet closes, and never becomes a rule without sources or ports.
    let spec = build("allow ingress shop/* -> garden/*:53/udp").ok().one("AuthorizationPolicy")["spec"].clone();
    assert_eq!(spec["rules"], json!([]));
}

#[test]
fn trap_28_ports_are_the_pods_as_strings_one_by_one() {
    let build =
        build_in_mesh("allow ingress shop/* -> garden/web:{80, 9000}  allow ingress shop/* -> garden/api:*").ok();
    let ports = |name: &str| build.spec("AuthorizationPolicy", "garden", name)["rules"][0]["to"].clone();
    assert_eq!(ports("app-web-ingress"), json!([{ "operation": { "ports": ["8080", "9000"] } }]));
    assert_eq!(ports("app-api-ingress"), Value::Null);
    let build = build_in_mesh("allow ingress shop/* -> garden/{app=web}:8000-8002").ok();
    let spec = &build.one("AuthorizationPolicy")["spec"];
    assert_eq!(spec["rules"][0]["to"], json!([{ "operation": { "ports": ["8000", "8001", "8002"] } }]));
    let build = build_in_mesh("allow ingress shop/* -> garden/{app=web}:8000-8256");
    assert_eq!(build.judged(0, IN), (Level::Unable, "more than 256 ports".to_owned()));
}

#[test]
fn trap_29_a_deny_by_request_is_for_ports_by_number() {
    let strict = |settings: &mut netpol::settings::Settings| {
        settings.path_normalization = PathNormalization::DecodeAndMergeSlashes;
    };
    let source = "deny ingress shop/* -> garden/{app=web}:8080/http where method DELETE";
    let build = build_with(source, Some(MESH), strict).ok();
    let spec = &build.one("AuthorizationPolicy")["spec"];
    assert_eq!(spec["rules"][0]["to"], json!([{ "operation": { "ports": ["8080"], "methods": ["DELETE"] } }]));
    let build = build_with("deny ingress shop/* -> garden/{app=curl}:*/http where method DELETE", Some(MESH), strict);
    assert_eq!(build.of("AuthorizationPolicy"), Vec::<Value>::new());
    assert_eq!(build.judged(0, IN).0, Level::Unable);
}

#[test]
fn trap_30_how_a_port_is_read_is_a_fact() {
    let build = build_in_mesh("allow ingress shop/* -> garden/web:9000 where method GET");
    assert_eq!(build.codes(), ["E0324"], "a port that a Service calls tcp takes no condition");
    let build = build_in_mesh("allow ingress shop/* -> garden/{app=curl}:9000 where method GET");
    assert_eq!(build.codes(), ["E0331"], "a port that is not known to be HTTP takes no condition");
    let build = build_in_mesh("allow ingress shop/* -> garden/web:80 where method GET").ok();
    let spec = &build.one("AuthorizationPolicy")["spec"];
    assert_eq!(spec["rules"][0]["to"][0]["operation"]["methods"], json!(["GET"]));
}

#[test]
fn trap_31_identities_come_with_strict_mtls_on_just_the_governed_pods() {
    for source in ["allow ingress shop/* -> garden/web", "deny ingress shop/* -> garden/web"] {
        let build = build_in_mesh(source).ok();
        let spec = &build.one("PeerAuthentication")["spec"];
        assert_eq!(spec, &json!({ "selector": { "matchLabels": { "app": "web" } }, "mtls": { "mode": "STRICT" } }));
    }
    // Addresses have no identity: their ports stay permissive, and those of the same pods that have none stay strict.
    let source = "allow ingress { shop/*, 203.0.113.0/24 } -> garden/web:80";
    let build = build_in_mesh(source).ok();
    let spec = &build.one("PeerAuthentication")["spec"];
    assert_eq!(spec["mtls"]["mode"], "STRICT");
    assert_eq!(spec["portLevelMtls"], json!({ "8080": { "mode": "PERMISSIVE" } }));
    let build = build_in_mesh("allow ingress anywhere -> garden/web  default deny ingress shop/*").ok();
    assert_eq!(build.of("PeerAuthentication"), Vec::<Value>::new());
}

#[test]
fn trap_31_a_pod_has_one_peer_authentication() {
    // The workload's object repeats what the namespace's gives, and opens the port of the addresses.
    let source = "allow ingress shop/* -> garden/*  allow ingress 203.0.113.0/24 -> garden/web:80";
    let build = build_in_mesh(source).ok();
    assert_eq!(build.spec("PeerAuthentication", "garden", "all-pods-mtls"), json!({ "mtls": { "mode": "STRICT" } }));
    let spec = build.spec("PeerAuthentication", "garden", "app-web-mtls");
    assert_eq!(spec["mtls"]["mode"], "STRICT");
    assert_eq!(spec["portLevelMtls"], json!({ "8080": { "mode": "PERMISSIVE" } }));
    // Where all ports are open to addresses, the namespace's strictness is taken back.
    let source = "allow ingress shop/* -> garden/*  allow ingress 203.0.113.0/24 -> garden/web";
    let spec = build_in_mesh(source).ok().spec("PeerAuthentication", "garden", "app-web-mtls");
    assert_eq!(spec["mtls"]["mode"], "PERMISSIVE");
}

#[test]
fn trap_32_who_is_left_out_stands_beside_who_is_meant() {
    let from = |source: &str| {
        let build = build_in_mesh(source).ok();
        build.one("AuthorizationPolicy")["spec"]["rules"][0]["from"][0]["source"].clone()
    };
    assert_eq!(
        from("allow ingress */* except garden/* -> shop/cart:80"),
        json!({ "notNamespaces": ["garden"], "principals": ["cluster.local/*"] })
    );
    assert_eq!(
        from("allow ingress garden/* except garden/@curl -> shop/cart:80"),
        json!({ "notPrincipals": ["cluster.local/ns/garden/sa/curl"], "principals": ["cluster.local/ns/garden/sa/*"] })
    );
}

#[test]
fn identities_end_at_the_trust_domain() {
    let rules = |source: &str| {
        let build = build_with(source, None, |settings| settings.trust_domain = "mesh.example".into());
        build.one("AuthorizationPolicy")["spec"]["rules"].clone()
    };
    let named = rules("allow ingress {legacy/*, shop/@curl, 203.0.113.0/24} -> garden/*:8080");
    assert_eq!(
        named[0]["from"][0]["source"]["principals"],
        json!(["mesh.example/ns/legacy/sa/*", "mesh.example/ns/shop/sa/curl"])
    );
    assert_eq!(
        rules("allow ingress */* -> garden/*:8080")[0]["from"][0]["source"],
        json!({ "principals": ["mesh.example/*"] })
    );
    // An account of every namespace is a suffix, which says nothing of the trust domain: a condition does.
    let account = rules("allow ingress {*/@curl, shop/*} -> garden/*:8080");
    assert_eq!(account[0]["from"], json!([{ "source": { "principals": ["mesh.example/ns/shop/sa/*"] } }]));
    assert_eq!(account[0]["when"], Value::Null);
    assert_eq!(account[1]["from"], json!([{ "source": { "principals": ["*/sa/curl"] } }]));
    assert_eq!(account[1]["when"], json!([{ "key": "source.principal", "values": ["mesh.example/*"] }]));
    let beside = rules("allow ingress */@curl except garden/* -> garden/*:8080");
    assert_eq!(beside[0]["when"], json!([{ "key": "source.principal", "values": ["mesh.example/*"] }]));
    // Istio counts aliases of a trust domain only where a principal is written in full: a deny of all takes every identity.
    assert_eq!(rules("deny ingress */* -> garden/*:8080")[0]["from"][0]["source"], json!({ "principals": ["*"] }));
    assert_eq!(
        rules("deny ingress */@curl -> garden/*:8080")[0]["from"][0]["source"],
        json!({ "principals": ["*/sa/curl"] })
    );
    assert_eq!(rules("deny ingress */@curl -> garden/*:8080")[0]["when"], Value::Null);
    assert_eq!(
        rules("deny ingress legacy/* -> garden/*:8080")[0]["from"][0]["source"],
        json!({ "principals": ["mesh.example/ns/legacy/sa/*"] })
    );
}

#[test]
fn trap_33_pods_are_known_by_accounts_that_others_may_share() {
    let build = build_in_mesh("allow ingress garden/curl -> shop/cart:80").ok();
    let from =
        |build: &super::super::build::Build| build.one("AuthorizationPolicy")["spec"]["rules"][0]["from"].clone();
    assert_eq!(from(&build), json!([{ "source": { "principals": ["cluster.local/ns/garden/sa/curl"] } }]));
    let shared = build_in_mesh("allow ingress shop/cart -> garden/web:80");
    assert_eq!(from(&shared), json!([{ "source": { "principals": ["cluster.local/ns/shop/sa/shared"] } }]));
    assert_eq!(shared.judged(0, IN), (Level::Wider, "other pods run as shop/@shared too".to_owned()));
    // A deny would refuse the others.
    let denied = build_in_mesh("deny ingress shop/cart -> garden/web:80");
    assert_eq!(denied.of("AuthorizationPolicy"), Vec::<Value>::new());
    assert_eq!(denied.judged(0, IN).0, Level::Unable);
}

#[test]
fn trap_34_selectors_are_single_labels() {
    let subjects = |source: &str| -> Vec<Value> {
        let build = build_in_mesh(source).ok();
        build.of("AuthorizationPolicy").iter().map(|object| object["spec"]["selector"]["matchLabels"].clone()).collect()
    };
    let apps = |names: &[&str]| names.iter().map(|name| json!({ "app": name })).collect::<Vec<_>>();
    assert_eq!(subjects("default deny ingress garden/{app in (web, api)}"), apps(&["api", "web"]));
    assert_eq!(subjects("default deny ingress garden/{app!=web}"), apps(&["api", "curl"]));
    assert_eq!(subjects("default deny ingress garden/@curl"), apps(&["curl"]));
    assert_eq!(subjects("default deny ingress garden/* except garden/web"), apps(&["api", "curl"]));
    // Pods that no labels tell from others are not selected by labels of both.
    let build = build_with("default deny ingress shop/@one", Some(TWINS), |_| ());
    assert_eq!(build.objects(), Vec::<Value>::new());
    assert_eq!(build.judged(0, IN).0, Level::Unable);
}

/// Two workloads with the same labels and different accounts.
const TWINS: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Pod
metadata: { name: a, namespace: shop, labels: { app: twin } }
spec: { serviceAccountName: one, containers: [{ name: c, image: i }] }
---
apiVersion: v1
kind: Pod
metadata: { name: b, namespace: shop, labels: { app: twin } }
spec: { serviceAccountName: two, containers: [{ name: c, image: i }] }
";

#[test]
fn trap_35_the_root_namespace_speaks_for_the_mesh_alone() {
    // An object without selector would close every pod of the mesh: the namespace's own pods are named instead.
    let build = build_in_mesh("default deny ingress istio-system/*").ok();
    let selectors: Vec<Value> = build
        .of("AuthorizationPolicy")
        .iter()
        .map(|object| object["spec"]["selector"]["matchLabels"].clone())
        .collect();
    assert_eq!(selectors, [json!({ "istio": "egressgateway" }), json!({ "istio": "ingressgateway" })]);
    let build = super::super::build::build("default deny { istio-system/*, garden/* }");
    assert!(build.objects().iter().all(|object| object["metadata"]["namespace"] == "garden"), "{}", build.text());
    // And the mesh's own stand there.
    let build = build_in_mesh("default deny ingress */*").ok();
    assert_eq!(build.one("AuthorizationPolicy")["metadata"]["namespace"], "istio-system");
}

#[test]
fn trap_36_a_workload_judges_packets_and_a_gateway_clients() {
    let build = build_in_mesh("allow ingress 203.0.113.0/24 -> garden/web:80").ok();
    let source = build.one("AuthorizationPolicy")["spec"]["rules"][0]["from"][0]["source"].clone();
    assert_eq!(source, json!({ "ipBlocks": ["203.0.113.0/24"] }));
    let build = build_in_mesh("use std/istio (ingress-gateway)  allow ingress 203.0.113.0/24 -> ingress-gateway").ok();
    let source = build.one("AuthorizationPolicy")["spec"]["rules"][0]["from"][0]["source"].clone();
    assert_eq!(source, json!({ "remoteIpBlocks": ["203.0.113.0/24"] }));
}

#[test]
fn trap_39_a_star_is_no_text() {
    let source = |subject: &str| {
        format!(
            "issuer corp {{ url \"https://corp.example\" keys \"{{\\\"keys\\\": []}}\" }}
            allow ingress shop/* -> garden/web:80 where jwt corp subject \"{subject}\""
        )
    };
    let build = build_in_mesh(&source("ali*"));
    assert_eq!(build.judged(0, IN).0, Level::Unable);
    let build = build_in_mesh("allow ingress shop/* -> garden/web:80 where path \"/a*\"");
    assert!(build.codes().contains(&"E0341"), "{:?}", build.codes());
}

#[test]
fn trap_40_everything_below_a_path_and_the_path_itself_are_two_patterns() {
    let paths = |paths: &str| {
        let build = build_in_mesh(&format!("allow ingress shop/* -> garden/web:80 where path {paths}")).ok();
        build.one("AuthorizationPolicy")["spec"]["rules"][0]["to"][0]["operation"]["paths"].clone()
    };
    assert_eq!(paths("\"/api/**\""), json!(["/api", "/api/*"]));
    assert_eq!(paths("\"/api\", \"/b/\""), json!(["/api", "/b/"]));
    assert_eq!(paths("\"/users/*/posts\""), json!(["/users/{*}/posts"]));
    assert_eq!(paths("\"/users/*/**\""), json!(["/users/{*}", "/users/{*}/{**}"]));
    assert_eq!(paths("\"/**\""), json!(["/*"]));
}

#[test]
fn trap_41_a_path_is_denied_only_where_it_has_one_spelling() {
    let source = "deny ingress shop/* -> garden/web:80 where path \"/admin/**\"";
    let build = build_in_mesh(source);
    assert_eq!(build.judged(0, IN).0, Level::Unable);
    assert_eq!(build.of("AuthorizationPolicy"), Vec::<Value>::new());
    let decode = |settings: &mut netpol::settings::Settings| {
        settings.path_normalization = PathNormalization::DecodeAndMergeSlashes;
    };
    let build = build_with(source, Some(MESH), decode).ok();
    let spec = &build.one("AuthorizationPolicy")["spec"];
    assert_eq!(spec["action"], "DENY");
    assert_eq!(spec["rules"][0]["to"][0]["operation"]["paths"], json!(["/admin", "/admin/*"]));
}

#[test]
fn trap_42_a_host_has_ports_and_perhaps_a_dot() {
    let hosts = |action: &str| {
        let build = build_in_mesh(&format!("{action} ingress shop/* -> garden/web:80 where host \"x.example\"")).ok();
        build.one("AuthorizationPolicy")["spec"]["rules"][0]["to"][0]["operation"]["hosts"].clone()
    };
    assert_eq!(hosts("allow"), json!(["x.example", "x.example:*"]));
    assert_eq!(hosts("deny"), json!(["x.example", "x.example:*", "x.example.", "x.example.:*"]));
}

#[test]
fn trap_43_a_token_is_asked_for_and_not_only_checked() {
    let source = "issuer corp { url \"https://corp.example/a\" keys \"{\\\"keys\\\": []}\" }
        allow ingress shop/* -> garden/web:80 where jwt corp subject \"alice\", \"a/b\" claim groups = \"admin\", \"ops\"";
    let build = build_in_mesh(source).ok();
    let request = &build.one("RequestAuthentication")["spec"];
    assert_eq!(request["selector"], json!({ "matchLabels": { "app": "web" } }));
    assert_eq!(request["jwtRules"][0]["issuer"], "https://corp.example/a");
    let rule = &build.one("AuthorizationPolicy")["spec"]["rules"][0];
    // A subject with a slash would be taken for part of the issuer.
    assert_eq!(rule["from"][0]["source"]["requestPrincipals"], json!(["https://corp.example/a/*"]));
    assert_eq!(
        rule["when"],
        json!([
            { "key": "request.auth.claims[iss]", "values": ["https://corp.example/a"] },
            { "key": "request.auth.claims[sub]", "values": ["alice", "a/b"] },
            { "key": "request.auth.claims[groups]", "values": ["admin", "ops"] }
        ])
    );
    let build = build_in_mesh(&source.replace(", \"a/b\"", "")).ok();
    let rule = &build.one("AuthorizationPolicy")["spec"]["rules"][0];
    assert_eq!(rule["from"][0]["source"]["requestPrincipals"], json!(["https://corp.example/a/alice"]));
}

#[test]
fn trap_44_keys_are_inline_or_remote() {
    let rule = |keys: &str| {
        let source =
            format!("issuer corp {{ url \"corp\" {keys} }}  allow ingress shop/* -> garden/web:80 where jwt corp");
        build_in_mesh(&source).ok().one("RequestAuthentication")["spec"]["jwtRules"][0].clone()
    };
    let inline = rule("keys \"{\\\"keys\\\": []}\"");
    assert_eq!((&inline["jwks"], &inline["jwksUri"]), (&json!("{\"keys\": []}"), &Value::Null));
    let remote = rule("jwks \"https://corp.example/keys\" at 203.0.113.7");
    assert_eq!((&remote["jwks"], &remote["jwksUri"]), (&Value::Null, &json!("https://corp.example/keys")));
}

#[test]
fn trap_63a_the_greeting_of_a_server_that_speaks_first_is_stated() {
    let reason = |source: &str| build_in_mesh(source).ok().judged(0, IN).1;
    assert!(reason("allow ingress shop/* -> garden/web:9000").contains("speaks first"));
    assert!(!reason("allow ingress shop/* -> garden/web:80").contains("speaks first"));
}

#[test]
fn trap_63c_namespaces_are_named_or_listed_and_never_guessed() {
    let build = super::super::build::build("default deny {env=prod}/*");
    assert_eq!(build.objects(), Vec::<Value>::new());
    assert_eq!(build.judged(0, IN).0, Level::Unable);
    let build = build_in_mesh("default deny ingress {env=prod}/*").ok();
    let namespaces: Vec<Value> = build.objects().iter().map(|object| object["metadata"]["namespace"].clone()).collect();
    assert_eq!(namespaces, [json!("garden"), json!("shop")]);
}

//! Conditions on requests: what a path, a host, a port name and a token mean to `eval` and to the mesh.

use netpol::model::paths::PathNormalization;
use netpol::model::rules::Direction;
use netpol::policy::Request;
use netpol::targets::Level;
use serde_json::{Value, json};

use crate::common::Cluster;
use crate::istio::build::{Build, build, build_with};

const IN: Direction = Direction::Ingress;
const KEYS: &str = "keys \"{\\\"keys\\\": []}\"";

/// Builds a source for a mesh that decodes and merges slashes.
fn strict(source: &str) -> Build {
    build_with(source, None, |settings| settings.path_normalization = PathNormalization::DecodeAndMergeSlashes)
}

fn asks(build: &Build, to: &str, request: Request) -> bool {
    build.allows("lab/web", to, request)
}

fn path(path: &str) -> Request {
    Request { path: Some(path.into()), ..Request::default() }
}

fn claims(token: Value) -> Request {
    Request { jwt: token.as_object().cloned(), ..Request::default() }
}

/// Returns the operation of the only rule of the only policy with an action.
fn operation(build: &Build, action: &str) -> Value {
    let policies = build.of("AuthorizationPolicy").into_iter().filter(|policy| policy["spec"]["action"] == action);
    let list: Vec<Value> = policies.map(|policy| policy["spec"]["rules"][0]["to"][0]["operation"].clone()).collect();
    assert_eq!(list.len(), 1, "{}", build.text());
    list[0].clone()
}

const TO: &str = "garden/{app=web}:8080";

#[test]
fn a_star_in_a_denied_path_is_nothing_that_istio_can_say() {
    for denied in ["/a/*/secret", "/b/*/x/**", "/*", "/a/*/**"] {
        let rules = format!("allow ingress */* -> {TO}/http\ndeny ingress */* -> {TO}/http where path \"{denied}\"");
        let build = strict(&rules);
        assert_eq!(build.judged(1, IN).0, Level::Unable, "{denied}");
        assert!(build.codes().contains(&"E0711"));
        assert!(!build.text().contains("DENY"), "{}", build.text());
    }
    let allow = strict(&format!("allow ingress */* -> {TO}/http where path \"/a/*/secret\"")).ok();
    assert_eq!(allow.judged(0, IN).0, Level::Exact);
    assert!(allow.judgements()[0].remarks().narrower[0].words.contains("`[`"));
}

#[test]
fn a_denied_path_is_denied_in_every_spelling() {
    let rules = format!(
        "allow ingress */* -> {TO}/http\ndeny ingress */* -> {TO}/http where path \"/caf%C3%A9/**\", \"/orders:all\""
    );
    let build = strict(&rules).ok();
    for denied in ["/caf%c3%A9", "/caf%C3%a9/x", "/orders%3aall", "/orders:all?x=1"] {
        assert!(!asks(&build, TO, path(denied)), "{denied}");
    }
    assert!(asks(&build, TO, path("/orders%3Ball")) && asks(&build, TO, path("/cafe")));
    let many = format!("allow ingress */* -> {TO}/http\ndeny ingress */* -> {TO}/http where path \"/a:b:c:d:e\"");
    assert_eq!(strict(&many).judged(1, IN).0, Level::Unable);
    // An allow means what is written.
    let build = strict(&format!("allow ingress */* -> {TO}/http where path \"/orders:all\"")).ok();
    assert_eq!(operation(&build, "ALLOW")["paths"], json!(["/orders:all"]));
    assert!(asks(&build, TO, path("/orders:all")) && !asks(&build, TO, path("/orders%3aall")));
}

#[test]
fn a_path_is_judged_as_it_arrives() {
    let rules = format!("allow ingress */* -> {TO}/http where path \"/api/**\"");
    let (base, strict) = (build(&rules), strict(&rules));
    for (asked, in_base, in_strict) in [
        ("/api/x?y=1", true, true),
        ("/api/../admin", false, false),
        ("/x/../api/y", true, true),
        ("/%61pi/y", true, true),
        ("//api/x", false, true),
        ("/x/..%2fapi/y", false, true),
        ("/api/..%2Fadmin", true, false),
    ] {
        assert_eq!(asks(&base, TO, path(asked)), in_base, "{asked}");
        assert_eq!(asks(&strict, TO, path(asked)), in_strict, "{asked}");
    }
}

#[test]
fn trap_63m_the_issuer_itself_is_compared() {
    let rules = format!(
        "issuer corp {{ url \"https://login.example.com\" {KEYS} }}
         issuer guests {{ url \"https://login.example.com/guests\" {KEYS} }}
         allow ingress lab/* -> garden/{{app=web}}:8080/http where jwt corp
         allow ingress lab/* -> garden/{{app=web}}:9090/http where jwt guests subject \"q\""
    );
    let build = build(&rules).ok();
    let guest = json!({ "iss": "https://login.example.com/guests", "sub": "q" });
    assert!(!asks(&build, TO, claims(guest.clone())) && asks(&build, "garden/{app=web}:9090", claims(guest)));
}

#[test]
fn trap_63p_keys_are_looked_at_before_istio_refuses_them() {
    for keys in ["keys \"{}\"", "keys \"[]\"", "jwks \"keys\"", "keys \"{\\\"keys\\\": [{\\\"kty\\\": \\\"RSA\\\"}]}\""]
    {
        let build = build(&format!("issuer c {{ url \"c\" {keys} }}  allow ingress a/* -> b/*:80/http where jwt c"));
        assert_eq!(build.codes(), ["E0403"], "{keys}");
    }
}

#[test]
fn the_tokens_of_a_rule_are_checked_wherever_it_stands() {
    let issuer = format!("issuer corp {{ url \"https://login.example.com\" {KEYS} }}\n");
    // Without an inventory nobody knows the labels of an account's pods: the rule joins the whole namespace.
    for (closed, at) in [("default deny ingress garden/*", "garden"), ("default deny ingress */*", "garden")] {
        let rules = format!(
            "{issuer}{closed}\n@approximate(\"x\") allow ingress lab/* -> garden/@api:8080/http where jwt corp"
        );
        let build = build(&rules);
        let request = build.one("RequestAuthentication");
        assert_eq!(request["metadata"]["namespace"], at, "{}", build.text());
        assert_eq!(request["spec"]["jwtRules"][0]["issuer"], "https://login.example.com");
    }
}

#[test]
fn scope_and_permission_are_words() {
    let rules = format!(
        "issuer corp {{ url \"https://login.example.com\" {KEYS} }}
         allow ingress lab/* -> {TO}/http where jwt corp claim scope = \"read\", \"admin\" claim groups = \"a b\""
    );
    let build = build(&rules).ok();
    let token = |scope: Value, groups: Value| {
        claims(json!({ "iss": "https://login.example.com", "sub": "u", "scope": scope, "groups": groups }))
    };
    for (scope, groups, allowed) in [
        (json!("read"), json!("a b"), true),
        (json!("write read"), json!("a b"), true),
        (json!("write reader"), json!("a b"), false),
        (json!(["write", "read"]), json!(["a b"]), true),
        (json!(["write read"]), json!("a b"), false),
        (json!("read"), json!("a"), false),
    ] {
        assert_eq!(asks(&build, TO, token(scope.clone(), groups.clone())), allowed, "{scope} {groups}");
    }
}

/// Returns a cluster with a port name that two workloads have for two numbers, and a third has not.
fn pods() -> Cluster {
    Cluster::default()
        .namespace("garden", "istio-injection: enabled")
        .namespace("lab", "istio-injection: enabled")
        .deployment("garden/web", "{ name: http, containerPort: 8080 }")
        .deployment("garden/api", "{ name: http, containerPort: 9090 }, { name: admin, containerPort: 8080 }")
        .deployment("garden/tool", "")
        .service(
            "garden/web",
            "{ name: http, port: 8000, targetPort: http }, { name: http-too, port: 8001, targetPort: 8080 }, \
             { name: http-other, port: 8002, targetPort: 9999 }",
        )
}

/// Returns what each policy of an action says of ports, by the label `app` of its pods (`*` is all).
fn ports_by_app(build: &Build, action: &str) -> Vec<(String, Value)> {
    let policies = build.of("AuthorizationPolicy").into_iter().filter(|policy| policy["spec"]["action"] == action);
    let mut list: Vec<(String, Value)> = policies
        .map(|policy| {
            let app = policy["spec"]["selector"]["matchLabels"]["app"].as_str().unwrap_or("*").to_owned();
            (app, policy["spec"]["rules"][0]["to"][0]["operation"]["ports"].clone())
        })
        .collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list
}

#[test]
fn trap_63n_a_port_name_is_each_workloads_own_number() {
    let in_cluster = |source: &str| build_with(source, Some(&pods().text()), |_| ()).ok();
    for source in [
        "allow ingress lab/* -> garden/*:http",
        "deny ingress lab/* -> garden/{app in (web, api, tool)}:{http, 7070}",
        "allow ingress lab/* -> garden/{app=web}:http",
    ] {
        assert_eq!(in_cluster(source).judged(0, IN).0, Level::Exact, "{source}");
    }
    // A pod without a port of the name is denied nothing.
    let deny = in_cluster("deny ingress lab/* -> garden/{app in (web, tool)}:http");
    assert_eq!(ports_by_app(&deny, "DENY"), [("web".to_owned(), json!(["8080"]))]);
}

#[test]
fn trap_63n_pods_that_no_labels_tell_apart_are_wider_and_never_denied_more() {
    // The labels of the third are all those of the first.
    let alike = pods().text().replace("app: tool", "app: web");
    let in_cluster = |source: &str| build_with(source, Some(&alike), |_| ());
    let allow = in_cluster("allow ingress lab/* -> garden/*:http");
    assert_eq!(allow.judged(0, IN).0, Level::Wider, "{}", allow.text());
    let deny = in_cluster("deny ingress lab/* -> garden/*:http");
    assert_eq!(deny.judged(0, IN).0, Level::Unable);
    assert!(ports_by_app(&deny, "DENY").iter().all(|(app, _)| app == "api"), "{}", deny.text());
}

#[test]
fn trap_63n_a_declaration_tells_the_number_of_its_own_pods() {
    let web = "workload garden/web { labels { app = web } port http 8080 }\n";
    let canary = "workload garden/canary { labels { app = web, track = canary } port http 9090 }\n";
    let alike = canary.replace("9090", "8080");
    for (declared, to, level) in [
        (web.to_owned(), "garden/web", Level::Exact),
        (web.to_owned(), "garden/{app=web, tier=a}", Level::Exact),
        (format!("{web}{alike}"), "garden/{app=web}", Level::Exact),
        // Others may have the name at another number.
        (web.to_owned(), "garden/*", Level::Unable),
        (web.to_owned(), "garden/{tier=a}", Level::Unable),
        (format!("{web}{canary}"), "garden/{app=web}", Level::Unable),
        (format!("{web}{canary}"), "garden/{app=web, track=canary}", Level::Unable),
    ] {
        for action in ["allow", "deny"] {
            let build = build(&format!("{declared}{action} ingress lab/* -> {to}:http"));
            assert_eq!(build.judged(0, IN).0, level, "{declared}{action} {to}\n{}", build.text());
            let ports = build.of("AuthorizationPolicy");
            let ports: Vec<&Value> = ports.iter().map(|one| &one["spec"]["rules"][0]["to"][0]["operation"]).collect();
            let wanted = json!({ "ports": ["8080"] });
            assert!(level != Level::Exact || ports == [&wanted], "{}", build.text());
        }
    }
}

#[test]
fn trap_63o_a_wildcard_host_has_the_ports_of_services_too() {
    let host = "where host \"*.example.org\", \"www.example.com\"";
    let with = |ports: &[u16]| {
        let wild = ports.iter().map(|port| format!("*.example.org:{port}"));
        let mut all = vec!["*.example.org".to_owned()];
        all.extend(wild);
        all.extend(["www.example.com", "www.example.com:*"].map(str::to_owned));
        json!(all)
    };
    let known = build_with(&format!("allow ingress lab/* -> {TO}/http {host}"), Some(&pods().text()), |_| ()).ok();
    assert_eq!(operation(&known, "ALLOW")["hosts"], with(&[8000, 8001, 8080]));
    assert!(known.judgements()[0].remarks().narrower[0].words.contains("another port"));
    let stated = "service garden/api { select {app=api} port 8000 -> 8080/http }\n";
    let stated = build(&format!("{stated}allow ingress lab/* -> garden/api:8000 {host}")).ok();
    assert_eq!(operation(&stated, "ALLOW")["hosts"], with(&[8000, 8080]));
    let nothing = build(&format!("allow ingress lab/* -> {TO}/http {host}")).ok();
    assert_eq!(operation(&nothing, "ALLOW")["hosts"], with(&[8080]));
    assert!(!nothing.judgements()[0].remarks().narrower.is_empty());
}

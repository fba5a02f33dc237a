//! Conditions on requests: what a path, a host, a port name and a token mean to `eval` and to the mesh.

use netpol::policy::ask::{Question, ask};
use netpol::policy::{Direction, PathNormalization, Request};
use netpol::targets::Level;
use serde_json::{Value, json};

use crate::istio::build::{Build, build, build_with};

const IN: Direction = Direction::Ingress;
const KEYS: &str = "keys \"{\\\"keys\\\": []}\"";

/// Builds a source for a mesh that decodes and merges slashes.
fn strict(source: &str) -> Build {
    build_with(source, None, |settings| settings.path_normalization = PathNormalization::DecodeAndMergeSlashes)
}

fn asks(build: &Build, to: &str, request: Request) -> bool {
    let question = Question { from: "lab/web".into(), to: to.into(), request, ..Question::default() };
    ask(&build.policy, &question).unwrap().allowed()
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
    assert!(allow.judgements()[0].narrower.as_ref().unwrap().contains("`[`"));
}

#[test]
fn a_denied_path_is_denied_in_every_spelling() {
    let rules = format!(
        "allow ingress */* -> {TO}/http\ndeny ingress */* -> {TO}/http where path \"/caf%C3%A9/**\", \"/orders:all\""
    );
    let build = strict(&rules).ok();
    let spellings = ["%C3%A9", "%C3%a9", "%c3%A9", "%c3%a9"];
    let mut wanted: Vec<String> = spellings.iter().map(|spelling| format!("/caf{spelling}")).collect();
    wanted.extend(spellings.iter().map(|spelling| format!("/caf{spelling}/*")));
    wanted.extend(["/orders:all", "/orders%3Aall", "/orders%3aall"].map(str::to_owned));
    assert_eq!(operation(&build, "DENY")["paths"], json!(wanted));
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
fn trap_63m_the_issuer_itself_is_compared() {
    let rules = format!(
        "issuer corp {{ url \"https://login.example.com\" {KEYS} }}
         issuer guests {{ url \"https://login.example.com/guests\" {KEYS} }}
         allow ingress lab/* -> garden/{{app=web}}:8080/http where jwt corp
         allow ingress lab/* -> garden/{{app=web}}:9090/http where jwt guests subject \"q\"
         allow ingress lab/* -> garden/{{app=web}}:7070/http where jwt corp subject \"x/alice\""
    );
    let build = build(&rules).ok();
    let policy = build.one("AuthorizationPolicy");
    for (rule, issuer) in policy["spec"]["rules"].as_array().unwrap().iter().zip([
        "https://login.example.com",
        "https://login.example.com",
        "https://login.example.com/guests",
    ]) {
        assert_eq!(rule["when"][0], json!({ "key": "request.auth.claims[iss]", "values": [issuer] }));
    }
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

//! Objects that decide about flows, as they are read.

use netpol::inventory::mesh::{AccessAction, Attribute, Mtls, Others};
use netpol::inventory::{Pods, PolicyObject, Says};

use super::{codes, read_text};

fn one(kind: &str, group: &str, spec: &str) -> PolicyObject {
    let text =
        format!("apiVersion: {group}/v1\nkind: {kind}\nmetadata: {{ name: a, namespace: garden }}\nspec: {spec}\n");
    let objects = read_text(&text).objects;
    assert_eq!(objects.len(), 1, "{text}");
    objects.into_iter().next().unwrap()
}

#[test]
fn an_authorizationpolicy_has_each_field_with_what_it_must_not_be() {
    let object = one(
        "AuthorizationPolicy",
        "security.istio.io",
        "{ action: DENY, rules: [{ \
           from: [{ source: { principals: [a], notPrincipals: [b], ipBlocks: [10.0.0.0/8] } }, { source: { namespaces: [c] } }], \
           to: [{ operation: { paths: [/x], notMethods: [GET] } }], \
           when: [{ key: \"request.auth.claims[a][b]\", values: [d] }, { key: \"request.headers[X-Team]\", notValues: [e] }, { key: odd, values: [f] }] }] }",
    );
    let Says::Authorization(says) = &object.says else { panic!("{object:?}") };
    assert_eq!(says.action, AccessAction::Deny);
    let rule = &says.rules[0];
    let attributes: Vec<&Attribute> = rule.from[0].iter().map(|condition| &condition.attribute).collect();
    assert_eq!(attributes, [&Attribute::Principal, &Attribute::Ip]);
    assert_eq!((rule.from[0][0].values[0].as_str(), rule.from[0][0].not_values[0].as_str()), ("a", "b"));
    assert_eq!((rule.from.len(), rule.to.len(), rule.when.len()), (2, 1, 3));
    let operation: Vec<&Attribute> = rule.to[0].iter().map(|condition| &condition.attribute).collect();
    assert_eq!(operation, [&Attribute::Method, &Attribute::Path]);
    let when: Vec<&Attribute> = rule.when.iter().map(|condition| &condition.attribute).collect();
    let claim = Attribute::Claim(vec!["a".into(), "b".into()]);
    assert_eq!(when, [&claim, &Attribute::Header("x-team".into()), &Attribute::Other]);
}

#[test]
fn targets_are_gateways() {
    let spec = "{ targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }, { group: networking.istio.io, kind: Gateway, name: old }, { group: \"\", kind: Service, name: web }] }";
    let object = one("AuthorizationPolicy", "security.istio.io", spec);
    let Pods::Gateways { made, selecting } = &object.pods else { panic!("{object:?}") };
    assert_eq!((made.as_slice(), selecting.as_slice()), (["edge".into()].as_slice(), ["old".into()].as_slice()));
}

#[test]
fn modes_issuers_and_listeners_are_read() {
    let object = one(
        "PeerAuthentication",
        "security.istio.io",
        "{ selector: { matchLabels: { app: web } }, mtls: { mode: STRICT }, portLevelMtls: { 8080: { mode: DISABLE }, \"9090\": { mode: UNSET } } }",
    );
    let Says::Peer(peering) = &object.says else { panic!("{object:?}") };
    assert_eq!(peering.mode, Some(Mtls::Strict));
    assert_eq!(peering.ports, [(8080, Some(Mtls::Disable)), (9090, None)]);
    let object = one(
        "RequestAuthentication",
        "security.istio.io",
        "{ jwtRules: [{ issuer: a, jwksUri: \"https://a/keys\" }, { issuer: b, jwks: \"{}\" }, { issuer: c }] }",
    );
    let Says::Tokens(issuers) = &object.says else { panic!("{object:?}") };
    let read: Vec<(&str, &str)> = issuers.iter().map(|issuer| (issuer.url.as_str(), issuer.keys.as_str())).collect();
    assert_eq!(read, [("a", "https://a/keys"), ("b", "{}"), ("c", "")]);
    let object = one(
        "Sidecar",
        "networking.istio.io",
        "{ outboundTrafficPolicy: {}, egress: [{ port: { number: 80 }, hosts: [\"./*\", \"shop/web.shop.svc.cluster.local\"] }, { captureMode: NONE, hosts: [\"*/*\"] }] }",
    );
    let Says::Sidecar(outbound) = &object.says else { panic!("{object:?}") };
    assert_eq!(outbound.others, Some(Others::Refused), "the first of the modes");
    let listeners = outbound.listeners.as_ref().unwrap();
    assert_eq!((listeners.len(), listeners[0].port), (1, Some(80)));
    assert_eq!(listeners[0].hosts[1], ("shop".into(), "web.shop.svc.cluster.local".into()));
    let object = one("Sidecar", "networking.istio.io", "{}");
    let Says::Sidecar(outbound) = &object.says else { panic!("{object:?}") };
    assert!(outbound.others.is_none() && outbound.listeners.is_none());
}

#[test]
fn dates_are_kept_and_wrong_kinds_of_values_are_found() {
    let dated = read_text(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: a, creationTimestamp: 2026-01-02T03:04:05Z }\nspec: {}\n",
    );
    assert_eq!(dated.objects[0].created.as_deref(), Some("2026-01-02T03:04:05Z"));
    let text = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: a }\nspec: { rules: [{ to: [{ operation: { ports: [8080] } }] }] }\n";
    let found: Vec<&str> = codes(text).into_iter().map(|code| code.as_str()).collect();
    assert_eq!(found, ["E0604"], "the API takes strings");
}

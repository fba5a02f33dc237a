//! AuthorizationPolicy, PeerAuthentication, RequestAuthentication.

use netpol::model::paths::PathNormalization;
use netpol::model::rules::Direction;
use netpol::targets::Level;
use serde_json::{Value, json};

use super::super::build::{Build, MESH, build, build_in_mesh, build_with};

const IN: Direction = Direction::Ingress;

/// Builds a source in the cluster of the tests, for a mesh that decodes paths and merges slashes.
fn strict(source: &str) -> Build {
    build_with(source, Some(MESH), |settings| settings.path_normalization = PathNormalization::DecodeAndMergeSlashes)
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
fn trap_28_ports_are_written_one_by_one_up_to_a_number() {
    let build = build_in_mesh("allow ingress shop/* -> garden/{app=web}:8000-8256");
    assert_eq!(build.judged(0, IN), (Level::Unable, "more than 256 ports".to_owned()));
}

#[test]
fn trap_29_a_deny_by_request_is_for_ports_by_number() {
    let build = strict("deny ingress shop/* -> garden/{app=curl}:*/http where method DELETE");
    assert_eq!(build.of("AuthorizationPolicy"), Vec::<Value>::new());
    assert_eq!(build.judged(0, IN).0, Level::Unable);
}

#[test]
fn trap_30_how_a_port_is_read_is_a_fact() {
    let build = build_in_mesh("allow ingress shop/* -> garden/web:9000 where method GET");
    assert_eq!(build.codes(), ["E0324"], "a port that a Service calls tcp takes no condition");
    let build = build_in_mesh("allow ingress shop/* -> garden/{app=curl}:9000 where method GET");
    assert_eq!(build.codes(), ["E0331"], "a port that is not known to be HTTP takes no condition");
    build_in_mesh("allow ingress shop/* -> garden/web:80 where method GET").ok();
}

#[test]
fn trap_33_pods_are_known_by_accounts_that_others_may_share() {
    let shared = build_in_mesh("allow ingress shop/cart -> garden/web:80");
    assert_eq!(shared.judged(0, IN), (Level::Wider, "other pods run as shop/@shared too".to_owned()));
    // A deny would refuse the others.
    let denied = build_in_mesh("deny ingress shop/cart -> garden/web:80");
    assert_eq!(denied.of("AuthorizationPolicy"), Vec::<Value>::new());
    assert_eq!(denied.judged(0, IN).0, Level::Unable);
}

#[test]
fn trap_34_pods_that_no_labels_tell_from_others_are_not_selected_by_labels_of_both() {
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
    // No facts name its pods, and an object without a selector would close every pod of the mesh.
    let build = build("default deny { istio-system/*, garden/* }");
    assert!(build.objects().iter().all(|object| object["metadata"]["namespace"] == "garden"), "{}", build.text());
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
fn trap_41_a_path_is_denied_only_where_it_has_one_spelling() {
    let source = "deny ingress shop/* -> garden/web:80 where path \"/admin/**\"";
    let build = build_in_mesh(source);
    assert_eq!(build.judged(0, IN).0, Level::Unable);
    assert_eq!(build.of("AuthorizationPolicy"), Vec::<Value>::new());
    assert_eq!(strict(source).ok().judged(0, IN).0, Level::Exact);
}

#[test]
fn trap_63a_the_greeting_of_a_server_that_speaks_first_is_stated() {
    let reason = |source: &str| build_in_mesh(source).ok().judged(0, IN).1;
    assert!(reason("allow ingress shop/* -> garden/web:9000").contains("speaks first"));
    assert!(!reason("allow ingress shop/* -> garden/web:80").contains("speaks first"));
}

#[test]
fn trap_63c_namespaces_are_named_or_listed_and_never_guessed() {
    let build = build("default deny {env=prod}/*");
    assert_eq!(build.objects(), Vec::<Value>::new());
    assert_eq!(build.judged(0, IN).0, Level::Unable);
}

//! Objects that a build would overwrite.

use std::collections::BTreeSet;

use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::settings::{Layer, Settings};

use super::SHOP;
use crate::common::build::Build;
use crate::common::root;
use crate::istio::build::build_with;

/// Returns the messages that refuse to overwrite an object, of a build for both layers.
fn refused(name: Option<&str>, object: &str) -> Vec<String> {
    let manifests = format!("{SHOP}---\n{object}");
    let build = build_with("default deny shop/*", Some(&manifests), |settings| {
        settings.targets = vec![Layer::NetworkPolicy, Layer::Istio];
        settings.name = name.map(Into::into);
    });
    let found = build.diagnostics.iter().filter(|finding| finding.code.as_str() == "E0804");
    found.map(|finding| finding.message.clone()).collect()
}

#[test]
fn an_object_of_another_build_is_not_overwritten() {
    let policy = |name: &str, labels: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
             metadata: {{ name: {name}, namespace: shop, labels: {{ {labels} }} }}\n\
             spec: {{ podSelector: {{}}, policyTypes: [Ingress] }}\n"
        )
    };
    let (ours, of_shop) = (
        "app.kubernetes.io/managed-by: netpol",
        "app.kubernetes.io/managed-by: netpol, app.kubernetes.io/part-of: shop",
    );
    let name = "all-pods-ingress";
    let begin = "this build would overwrite NetworkPolicy `shop/all-pods-ingress` of the cluster";
    // Without a name of its own, a build has the names of all others without one.
    assert_eq!(refused(None, &policy(name, of_shop)), [format!("{begin}: the build `shop` made it")]);
    assert_eq!(refused(None, &policy(name, "a: b")), [format!("{begin}: netpol did not make it")]);
    assert_eq!(refused(None, &policy(name, ours)), Vec::<String>::new());
    assert_eq!(refused(None, &policy("chart", of_shop)), Vec::<String>::new());
    // A name keeps them apart, and an earlier build of the same name is its own.
    assert_eq!(refused(Some("mine"), &policy(name, ours)), Vec::<String>::new());
    assert_eq!(refused(Some("shop"), &policy("shop-all-pods-ingress", of_shop)), Vec::<String>::new());
    let taken = refused(Some("mine"), &policy("mine-all-pods-ingress", ours));
    assert!(taken.len() == 1 && taken[0].ends_with("a build without a `name` made it"), "{taken:?}");
}

#[test]
fn the_group_the_kind_and_the_name_count() {
    let one = |group: &str, kind: &str, name: &str| {
        let object =
            format!("apiVersion: {group}\nkind: {kind}\nmetadata: {{ name: {name}, namespace: shop }}\nspec: {{}}\n");
        refused(None, &object).len()
    };
    assert_eq!(one("networking.istio.io/v1alpha3", "Sidecar", "all-pods-egress"), 1);
    assert_eq!(one("security.istio.io/v1", "AuthorizationPolicy", "all-pods-ingress"), 1);
    // Another kind of that name, or one of another group, is another object.
    assert_eq!(one("networking.istio.io/v1", "Sidecar", "all-pods-ingress"), 0);
    assert_eq!(one("example.com/v1", "Sidecar", "all-pods-egress"), 0);
    let entry =
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: zenquotes-io, namespace: shop }\n";
    let manifests = format!("{SHOP}---\n{entry}");
    let source = "allow egress shop/* -> zenquotes.io:443";
    let build = build_with(source, Some(&manifests), |settings| settings.targets = vec![Layer::Istio]);
    assert!(build.codes().contains(&"E0804"), "{:?}\n{}", build.codes(), build.text());
}

/// The committed objects of all cases, of every kind that a target writes, are found where a cluster has them.
#[test]
fn every_kind_that_a_build_writes_is_found_in_a_cluster() {
    let mut kinds = BTreeSet::new();
    for case in std::fs::read_dir(root().join("tests/targets")).unwrap().map(|entry| entry.unwrap().path()) {
        if !case.is_dir() {
            continue;
        }
        let build = Build::folder(&case).ok();
        let mut input = Input::new(Settings::new(time::Date::MIN));
        for (layer, _) in &build.lowering.layers {
            input.manifest(layer.word(), build.text_of(*layer));
        }
        let existing = compile::inventory(&input, &mut Diagnostics::new()).existing;
        // A patch is of an object that somebody else made.
        let patched = ["Service", "Deployment", "DaemonSet"];
        for object in build.objects().iter().filter(|object| !patched.iter().any(|kind| object["kind"] == *kind)) {
            let word = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
            let (kind, namespace, name) = (object["kind"].as_str().unwrap(), word("namespace"), word("name"));
            let found = existing.iter().any(|one| one.kind == kind && one.namespace == namespace && one.name == name);
            assert!(found, "{}: {kind} {namespace}/{name}", case.display());
            kinds.insert(kind.to_owned());
        }
    }
    assert!(kinds.len() >= 8, "{kinds:?}");
}

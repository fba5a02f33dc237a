//! What people are told about pods without a sidecar, and about a mesh that is elsewhere.

use crate::common::Cluster;
use crate::istio::build::{Build, build_with};

#[test]
fn the_advice_names_what_keeps_a_sidecar_away() {
    let rule = "allow ingress shop/* -> shop/db:5432/http where path \"/a\"";
    let advice = |namespace: &str, labels: &str, annotations: &str| {
        let port = "{ name: sql, containerPort: 5432 }";
        let cluster = Cluster::default().namespace("shop", namespace).namespace("istio-system", "");
        let cluster = cluster.deployment_with("shop/db", labels, annotations, port);
        Build::text_for_both(rule, Some(&cluster.text())).said("E0711")
    };
    let (enabled, ambient) = ("istio-injection: enabled", "istio.io/dataplane-mode: ambient");
    for (namespace, labels, annotations, way) in [
        (
            enabled,
            "",
            "sidecar.istio.io/inject: \"false\"",
            "take the annotation `sidecar.istio.io/inject` from `shop/db`",
        ),
        (enabled, "sidecar.istio.io/inject: \"false\"", "", "take the label `sidecar.istio.io/inject` from `shop/db`"),
        (
            enabled,
            "",
            "traffic.sidecar.istio.io/excludeInterfaces: eth0",
            "take the annotation `traffic.sidecar.istio.io/exclude",
        ),
        (ambient, "", "", "`sidecar.istio.io/inject: \"true\"` among the labels of the pods of `shop/db`"),
    ] {
        let said = advice(namespace, labels, annotations);
        assert!(said.contains(way) && !said.contains("labels of their namespace"), "{way}: {said}");
    }
    assert!(advice("", "", "").contains("labels of their namespace"), "{}", advice("", "", ""));
}

#[test]
fn the_root_namespace_is_where_istiod_is() {
    let said = |istiod: &str, root: &str| {
        let cluster = Cluster::default().namespace("shop", "istio-injection: enabled").deployment("shop/db", "");
        let cluster = cluster.deployment(istiod, "").text();
        build_with("default deny ingress shop/*", Some(&cluster), |settings| settings.root_namespace = root.into())
            .said("W0743")
    };
    assert!(said("mesh/istiod", "istio-system").contains("`root-namespace = \"mesh\"`"));
    assert_eq!(
        said("mesh/istiod", "mesh")
            + &said("istio-system/istiod", "istio-system")
            + &said("shop/pilot", "istio-system"),
        ""
    );
}

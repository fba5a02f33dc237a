//! Typed objects as the judge of what is emitted: a field that Kubernetes does not know, or one of another type, does
//! not survive the way through them.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::Value;

use super::build::{Build, build, build_with, written};

/// Reads every object twice, into its type, and back.
fn survives(build: &Build) -> usize {
    let (_, lowered) = &build.lowering.layers[0];
    for object in &lowered.objects {
        let read: Value = serde_yaml::from_str(&object.yaml).unwrap();
        let other: Value = serde_saphyr::from_str(&object.yaml).unwrap();
        assert_eq!(read, other, "two readers\n{}", object.yaml);
        let typed: NetworkPolicy = serde_json::from_value(read.clone()).unwrap();
        assert_eq!(serde_json::to_value(&typed).unwrap(), read, "{}", object.yaml);
    }
    lowered.objects.len()
}

#[test]
fn every_shape_survives_kubernetes_own_types() {
    let source = "\
## Both ways.\n\
default deny garden/*\n\
default deny ingress \"yes\"/{on=\"off\", \"no\" notin (\"1\", \"1.5\", y), !null, true}\n\
allow garden/{app=web, tier in (a, b), !canary} -> db/{app=pg, !old, x notin (y, z)}:{5432, 53/udp, 8000-8100, metrics, */sctp}\n\
allow ingress anywhere -> garden/{app=front}\n\
allow ingress anywhere -> garden/{app=front}:80\n\
allow egress garden/* -> { { 2001:db8::/32 except 2001:db8:1::/48 }, 203.0.113.7, ::/0 }\n\
deny egress other/* -> 169.254.169.254\n";
    let shapes = build_with(source, "", |settings| settings.name = Some("2024".into()));
    assert_eq!(shapes.codes().iter().filter(|code| code.starts_with('E')).count(), 0, "{:?}", shapes.diagnostics);
    assert!(survives(&shapes) >= 7, "{}", shapes.text());
    let known = build_with("deny egress garden/* -> { db/*, 203.0.113.0/24 }:1-100", "", |settings| {
        settings.pods = vec![written("10.244.0.0/16"), written("[fd00:10:244::]/56")];
    });
    assert_eq!(survives(&known), 1);
}

#[test]
fn an_unknown_field_would_show() {
    let good = build("default deny garden/*");
    let object = &good.lowering.layers[0].1.objects[0];
    let wrong: Value = serde_yaml::from_str(&object.yaml.replace("podSelector", "podselector")).unwrap();
    let typed: NetworkPolicy = serde_json::from_value(wrong.clone()).unwrap();
    assert_ne!(serde_json::to_value(&typed).unwrap(), wrong);
}

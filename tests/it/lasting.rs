//! Dumps that have Pods and not their owners: what is selected is selected after the next rollout too, in every target.
//! Which labels that is, `tests/targets/labels-that-last` shows.

use netpol::model::rules::Direction;
use netpol::settings::Layer;
use netpol::targets::Level;

use crate::common::build::Build;

/// Pods of two accounts, which a label that does not last alone tells apart.
const GARDEN: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: garden, labels: { istio-injection: enabled } }
---
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }
---
apiVersion: v1
kind: Pod
metadata:
  name: web-a
  namespace: garden
  ownerReferences: [{ kind: ReplicaSet, name: web-6d94, controller: true }]
  labels: { app: web, pod-template-hash: 6d94 }
spec: { serviceAccountName: web, containers: [{ name: c, ports: [{ name: http, containerPort: 8080 }] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: b, namespace: garden, labels: { app: web } }
spec: { serviceAccountName: b, containers: [{ name: c }] }
";

const SOURCES: [(&str, Direction); 4] = [
    ("allow ingress shop/* -> garden/@web:8080", Direction::Ingress),
    ("default deny ingress garden/@web", Direction::Ingress),
    ("default deny egress garden/@web", Direction::Egress),
    ("allow egress garden/@web -> zenquotes.io:443", Direction::Egress),
];

#[test]
fn trap_63j_pods_that_only_such_labels_tell_cannot_be_told() {
    for (source, direction) in SOURCES {
        for layer in [Layer::NetworkPolicy, Layer::Istio] {
            let build = Build::text_for(&[layer], source, Some(GARDEN), |_| ());
            let judged = build.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.judgements);
            let levels: Vec<Level> = judged.filter(|one| one.direction == direction).map(|one| one.level).collect();
            assert!(levels.iter().all(|level| *level >= Level::Wider), "{source} on {layer:?}: {levels:?}");
            assert!(!build.text().contains("hash"), "{}", build.text());
        }
    }
}

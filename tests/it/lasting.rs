//! Dumps that have Pods and not their owners: what is selected is selected after the next rollout too, in every target.

use netpol::model::rules::Direction;
use netpol::settings::Layer;
use netpol::targets::Level;

use crate::istio::build::{Build, build_with};

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
metadata: { name: other, namespace: garden, labels: { app: other } }
spec: { serviceAccountName: other, containers: [{ name: c }] }
";

/// A Pod that runs as `web`, as a dump has it.
fn pod(name: &str, owner: &str, labels: &str) -> String {
    let (kind, of) = owner.split_once('/').unwrap_or_default();
    let owners = match owner {
        "" => String::new(),
        _ => format!("ownerReferences: [{{ kind: {kind}, name: {of}, controller: true }}], "),
    };
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}, namespace: garden, {owners}labels: {{ {labels} }} }}\n\
         spec: {{ serviceAccountName: web, containers: [{{ name: c, ports: [{{ name: http, containerPort: 8080 }}] }}] }}\n"
    )
}

const SOURCES: [(&str, Direction); 4] = [
    ("allow ingress shop/* -> garden/@web:8080", Direction::Ingress),
    ("default deny ingress garden/@web", Direction::Ingress),
    ("default deny egress garden/@web", Direction::Egress),
    ("allow egress garden/@web -> zenquotes.io:443", Direction::Egress),
];

fn built(source: &str, pods: &[String], layer: Layer) -> Build {
    build_with(source, Some(&format!("{GARDEN}{}", pods.concat())), |settings| settings.targets = vec![layer])
}

/// Holds every rule on the pods of `web` to one object for all of them, by this label alone.
fn told_by(label: &str, pods: &[String]) {
    for (source, _) in SOURCES {
        for (layer, selector) in [(Layer::NetworkPolicy, "podSelector:\n"), (Layer::Istio, "  matchLabels:\n")] {
            let text = built(source, pods, layer).text();
            assert!(text.contains(label), "{source}\n{text}");
            assert!(text.contains(selector) || text.contains("workloadSelector:\n"), "{source}\n{text}");
            for passing in ["hash", "pod-index", "pod-name", "generation", "controller", "job", "tlsMode", "canonical"]
            {
                assert!(!text.contains(passing), "{passing}: {source}\n{text}");
            }
        }
    }
}

#[test]
fn trap_63j_pods_of_a_replica_set_are_told_by_what_the_next_rollout_has_too() {
    let injected = "security.istio.io/tlsMode: istio, service.istio.io/canonical-name: web, \
                    service.istio.io/canonical-revision: latest";
    told_by(
        "app: web",
        &[
            pod("web-6d94-a", "ReplicaSet/web-6d94", "app: web, pod-template-hash: 6d94"),
            pod("web-7f00-b", "ReplicaSet/web-7f00", &format!("app: web, pod-template-hash: 7f00, {injected}")),
        ],
    );
    told_by("app: web", &[pod("web-6d94-a", "", "app: web, pod-template-hash: 6d94")]);
}

#[test]
fn trap_63j_pods_of_a_stateful_set_are_told_by_what_the_next_one_has_too() {
    let one = |at: u32| {
        let labels = format!(
            "app: web, apps.kubernetes.io/pod-index: \"{at}\", statefulset.kubernetes.io/pod-name: web-{at}, \
             controller-revision-hash: web-abc"
        );
        pod(&format!("web-{at}"), "StatefulSet/web", &labels)
    };
    told_by("app: web", &[one(0), one(1)]);
}

#[test]
fn trap_63j_pods_of_other_controllers_are_told_alike() {
    told_by(
        "app: web",
        &[pod("web-x", "DaemonSet/web", "app: web, controller-revision-hash: a, pod-template-generation: \"3\"")],
    );
    let job = "app: web, job-name: web-1, batch.kubernetes.io/job-name: web-1, controller-uid: u, \
               batch.kubernetes.io/controller-uid: u, batch.kubernetes.io/job-completion-index: \"0\"";
    told_by("app: web", &[pod("web-1-x", "Job/web-1", job)]);
}

#[test]
fn pods_of_one_owner_are_told_by_what_they_have_in_common() {
    // An operator moves the role from one pod to another.
    told_by(
        "cluster: pg",
        &[
            pod("pg-1", "Cluster/pg", "cluster: pg, role: primary, instance: pg-1"),
            pod("pg-2", "Cluster/pg", "cluster: pg, role: replica, instance: pg-2"),
        ],
    );
    let pods = [
        pod("pg-1", "Cluster/pg", "cluster: pg, role: primary"),
        pod("pg-2", "Cluster/pg", "cluster: pg, role: replica"),
    ];
    let text = built(SOURCES[0].0, &pods, Layer::Istio).text();
    assert!(!text.contains("role"), "{text}");
}

#[test]
fn trap_63j_pods_that_only_such_labels_tell_cannot_be_told() {
    let alike = "---\napiVersion: v1\nkind: Pod\nmetadata: { name: b, namespace: garden, labels: { app: web } }\n\
                 spec: { serviceAccountName: b, containers: [{ name: c }] }\n";
    let pods = [pod("web-a", "ReplicaSet/web-6d94", "app: web, pod-template-hash: 6d94"), alike.to_owned()];
    for (source, direction) in SOURCES {
        for layer in [Layer::NetworkPolicy, Layer::Istio] {
            let build = built(source, &pods, layer);
            let judged = build.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.judgements);
            let levels: Vec<Level> = judged.filter(|one| one.direction == direction).map(|one| one.level).collect();
            assert!(levels.iter().all(|level| *level >= Level::Wider), "{source} on {layer:?}: {levels:?}");
            assert!(!build.text().contains("hash"), "{}", build.text());
        }
    }
}

#[test]
fn a_policy_that_asks_for_such_a_label_keeps_it() {
    let pods = [
        pod("web-0", "StatefulSet/web", "app: web, apps.kubernetes.io/pod-index: \"0\""),
        pod("web-1", "StatefulSet/web", "app: web, apps.kubernetes.io/pod-index: \"1\""),
    ];
    for subject in [
        "garden/{apps.kubernetes.io/pod-index=\"0\"}",
        "garden/{app=web, apps.kubernetes.io/pod-index=\"0\"}",
        "garden/{apps.kubernetes.io/pod-index in (\"0\", \"7\"), app!=other}",
    ] {
        let source = format!("allow ingress shop/* -> {subject}:8080");
        for layer in [Layer::NetworkPolicy, Layer::Istio] {
            let text = built(&source, &pods, layer).ok().text();
            assert!(text.contains("apps.kubernetes.io/pod-index"), "{source}\n{text}");
        }
    }
}

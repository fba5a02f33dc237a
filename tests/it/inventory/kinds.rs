//! What each kind becomes.

use netpol::inventory::{ContainerPort, TargetPort, WorkloadKind};
use netpol::model::labels::{Labels, Requirement, Requirements, Test};
use netpol::model::ports::{AppProtocol, Protocol};

use super::{codes, only, read_files, read_text};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn equal(pairs: &[(&str, &str)]) -> Option<Requirements> {
    Requirements::new(pairs.iter().map(|(key, value)| Requirement::is_in(*key, [(*value).into()])))
}

#[test]
fn a_namespace_gets_the_label_of_its_name() {
    let inventory = read_text(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: garden\n  labels: { env: prod, kubernetes.io/metadata.name: x }\n",
    );
    let garden = &inventory.namespaces["garden"];
    assert_eq!(garden.labels, labels(&[("env", "prod"), ("kubernetes.io/metadata.name", "garden")]));
    assert!(garden.declared && inventory.given);
}

#[test]
fn a_namespace_that_is_only_named_is_known_without_labels() {
    let inventory = read_text(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: a, namespace: garden }\n---\n\
         apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: b }\n",
    );
    assert_eq!(inventory.accounts, vec![("default".into(), "b".into()), ("garden".into(), "a".into())]);
    let garden = &inventory.namespaces["garden"];
    assert_eq!(garden.labels, labels(&[("kubernetes.io/metadata.name", "garden")]));
    assert!(!garden.declared && inventory.namespaces.contains_key("default"));
}

#[test]
fn a_deployment_has_its_selector_and_the_labels_of_its_template() {
    let inventory = read_text(
        "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: garden, labels: { of: the-deployment } }
spec:
  selector:
    matchLabels: { app: web }
    matchExpressions:
      - { key: tier, operator: In, values: [front, edge] }
      - { key: track, operator: NotIn, values: [canary] }
      - { key: version, operator: Exists }
      - { key: old, operator: DoesNotExist }
  template:
    metadata: { labels: { app: web, tier: front, version: v1 } }
    spec:
      serviceAccountName: web
      containers:
        - name: web
          ports:
            - { name: http, containerPort: 8080 }
            - { name: dns, containerPort: 53, protocol: UDP }
      initContainers:
        - { name: migrate, ports: [{ containerPort: 1 }] }
        - { name: log, restartPolicy: Always, ports: [{ containerPort: 9000 }] }
",
    );
    let web = only(&inventory);
    assert_eq!((web.kind, web.namespace.as_str(), web.name.as_str()), (WorkloadKind::Deployment, "garden", "web"));
    assert_eq!(web.labels, labels(&[("app", "web"), ("tier", "front"), ("version", "v1")]));
    let wanted = [
        Requirement::is_in("app", ["web".into()]),
        Requirement::is_in("tier", ["front".into(), "edge".into()]),
        Requirement::not_in("track", ["canary".into()]),
        Requirement { key: "version".into(), test: Test::Exists },
        Requirement { key: "old".into(), test: Test::DoesNotExist },
    ];
    assert_eq!(web.selector, Requirements::new(wanted));
    assert_eq!(web.account, "web");
    let port = |name: Option<&str>, port, protocol| ContainerPort { name: name.map(Into::into), port, protocol };
    assert_eq!(
        web.ports,
        vec![
            port(Some("http"), 8080, Protocol::Tcp),
            port(Some("dns"), 53, Protocol::Udp),
            port(None, 9000, Protocol::Tcp)
        ]
    );
    assert!(!web.host_network && !web.sidecar && !web.owned && web.addresses.is_empty());
}

#[test]
fn stateful_sets_and_daemon_sets_are_read_like_deployments() {
    for (kind, expected) in [("StatefulSet", WorkloadKind::StatefulSet), ("DaemonSet", WorkloadKind::DaemonSet)] {
        let inventory = read_text(&format!(
            "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{ name: db, namespace: garden }}\nspec:\n  \
             selector: {{ matchLabels: {{ app: db }} }}\n  template:\n    metadata: {{ labels: {{ app: db }} }}\n    \
             spec: {{ hostNetwork: true, serviceAccount: old }}\n",
        ));
        let db = only(&inventory);
        assert_eq!((db.kind, db.host_network, db.account.as_str()), (expected, true, "old"));
        assert_eq!(db.selector, equal(&[("app", "db")]));
    }
}

#[test]
fn a_job_is_selected_by_the_label_of_its_name() {
    let inventory = read_text(
        "apiVersion: batch/v1\nkind: Job\nmetadata: { name: migrate }\nspec:\n  template:\n    metadata: { labels: { a: b } }\n    spec: {}\n",
    );
    let job = only(&inventory);
    assert_eq!(job.selector, equal(&[("batch.kubernetes.io/job-name", "migrate")]));
    let expected = [("a", "b"), ("batch.kubernetes.io/job-name", "migrate"), ("job-name", "migrate")];
    assert_eq!(job.labels, labels(&expected));
    assert_eq!((job.namespace.as_str(), job.account.as_str()), ("default", "default"));
}

#[test]
fn cron_jobs_and_bare_pods_are_selected_by_all_labels_of_their_pods() {
    let cron = |labels: &str| {
        format!(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{ name: nightly }}\nspec:\n  jobTemplate:\n    spec:\n      \
             template:\n        metadata: {{ {labels} }}\n        spec: {{}}\n"
        )
    };
    assert_eq!(only(&read_text(&cron("labels: { a: b, c: d }"))).selector, equal(&[("a", "b"), ("c", "d")]));
    assert_eq!(only(&read_text(&cron(""))).selector, None);
    let pod = |meta: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{ name: shell{meta} }}\nspec: {{}}\n");
    assert_eq!(only(&read_text(&pod(", labels: { a: b }"))).selector, equal(&[("a", "b")]));
    assert_eq!(only(&read_text(&pod(""))).selector, None);
}

#[test]
fn a_pod_has_its_addresses_while_it_runs_and_may_be_owned() {
    let pod = |owner: &str, status: &str| {
        read_text(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: web-1, ownerReferences: [{owner}] }}\nspec: {{}}\nstatus: {{ {status} }}\n",
        ))
    };
    let set = "{ kind: ReplicaSet, name: web, controller: true }";
    let running = pod(set, "phase: Running, podIP: 10.0.0.1, podIPs: [{ ip: 10.0.0.1 }, { ip: 'fd00::1' }]");
    let addresses = only(&running).addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((addresses, only(&running).owned), (vec!["10.0.0.1".into(), "fd00::1".into()], true));
    assert_eq!(only(&pod("", "podIP: 10.0.0.1")).addresses.len(), 1);
    for phase in ["Succeeded", "Failed"] {
        assert!(only(&pod("", &format!("phase: {phase}, podIP: 10.0.0.1"))).addresses.is_empty());
    }
    for nobody in ["{ kind: Node, name: n, controller: true }", "{ kind: ConfigMap, name: c }", ""] {
        assert!(!only(&pod(nobody, "phase: Running")).owned, "{nobody}");
    }
}

#[test]
fn services_have_ports_with_targets_and_protocols() {
    let inventory = read_text(
        "
apiVersion: v1
kind: Service
metadata: { name: api, namespace: garden }
spec:
  selector: { app: api }
  clusterIP: 10.96.0.7
  clusterIPs: [10.96.0.7, 'fd00::7']
  ports:
    - { name: http-web, port: 80, targetPort: 8080 }
    - { name: db, port: 5432 }
    - { name: metrics, port: 9090, targetPort: prom, appProtocol: http }
    - { name: grpc-dns, port: 53, protocol: UDP, targetPort: 0 }
    - { name: http-raw, port: 81, appProtocol: tcp, targetPort: '' }
    - { name: secure, port: 443, appProtocol: kubernetes.io/wss }
",
    );
    let api = &inventory.services[&("garden".into(), "api".into())];
    assert_eq!(api.selector, Some(labels(&[("app", "api")])));
    assert_eq!(api.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.96.0.7", "fd00::7"]);
    let number = TargetPort::Number;
    let ports: Vec<_> = api.ports.iter().map(|p| (p.port, p.target.clone(), p.protocol, p.app)).collect();
    assert_eq!(
        ports,
        vec![
            (80, number(8080), Protocol::Tcp, Some(AppProtocol::Http)),
            (5432, number(5432), Protocol::Tcp, None),
            (9090, TargetPort::Name("prom".into()), Protocol::Tcp, Some(AppProtocol::Http)),
            (53, number(53), Protocol::Udp, None),
            (81, number(81), Protocol::Tcp, None),
            (443, number(443), Protocol::Tcp, Some(AppProtocol::Tls)),
        ]
    );
    assert!(!api.headless);
}

#[test]
fn services_without_pods_of_their_own_have_no_selector() {
    let service = |spec: &str| {
        let text = format!("apiVersion: v1\nkind: Service\nmetadata: {{ name: s }}\nspec: {{ {spec} }}\n");
        read_text(&text).services[&("default".into(), "s".into())].clone()
    };
    assert_eq!(service("type: ExternalName, externalName: example.com, selector: { a: b }").selector, None);
    assert_eq!(service("ports: [{ port: 80 }]").selector, None);
    assert_eq!(service("selector: {}").selector, None);
    let headless = service("clusterIP: None, clusterIPs: [None], selector: { a: b }");
    assert!(headless.headless && headless.addresses.is_empty() && headless.selector.is_some());
}

#[test]
fn the_group_tells_kinds_of_one_name_apart() {
    let (inventory, diagnostics, _) = read_files(&[(
        "facts.yaml",
        "
apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: hello }
spec: { template: 5 }
---
apiVersion: batch.volcano.sh/v1alpha1
kind: Job
metadata: { name: hello }
spec: []
---
apiVersion: apps/v1
kind: ControllerRevision
metadata: { name: web-1 }
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: x.example.com, labels: { a: 5 } }
spec: { versions: [{ schema: { properties: { kind: { type: string } } } }] }
---
apiVersion: example.com/v1
kind: AllowList
items: [{ kind: Deployment }]
metadata: nonsense
---
apiVersion: example.com/v1
kind: BlockList
spec: { items: 5 }
",
    )]);
    assert_eq!(
        diagnostics.iter().map(|d| d.message.as_str()).collect::<Vec<_>>(),
        ["this is no Kubernetes object: it has no `apiVersion`"]
    );
    assert!(inventory.workloads.is_empty() && inventory.services.is_empty() && inventory.namespaces.is_empty());
}

#[test]
fn objects_of_which_the_cluster_makes_the_name_stay_apart() {
    let inventory = read_text(
        "
apiVersion: batch/v1
kind: Job
metadata: { generateName: migrate- }
spec: { template: { metadata: { labels: { a: one } }, spec: {} } }
---
apiVersion: batch/v1
kind: Job
metadata: { generateName: migrate- }
spec: { template: { metadata: { labels: { a: two } }, spec: {} } }
",
    );
    assert_eq!(inventory.workloads.len(), 2);
}

#[test]
fn merge_keys_and_aliases_mean_what_they_name() {
    let inventory = read_text(
        "
x-common: &common { team: garden, app: nobody }
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: &own { app: web } }
  template:
    metadata:
      labels: { <<: [*own, *common], tier: front }
    spec: &spec { serviceAccountName: web }
---
apiVersion: v1
kind: Pod
metadata: { name: shell, labels: { <<: { a: b } } }
spec: {}
",
    );
    assert_eq!(inventory.workloads[1].labels, labels(&[("app", "web"), ("team", "garden"), ("tier", "front")]));
    assert_eq!(inventory.workloads[0].labels, labels(&[("a", "b")]));
}

#[test]
fn nothing_is_no_object_and_no_mistake() {
    for text in
        ["", "---\n", "# only a comment\n", "---\n---\nnull\n", "\u{feff}", "apiVersion: v1\nkind: List\nitems: []\n"]
    {
        assert_eq!(codes(text), vec![], "{text:?}");
    }
}

#[test]
fn a_kustomization_may_go_without_kind() {
    let (_, diagnostics, _) = read_files(&[("base/kustomization.yaml", "resources: [web.yaml]\n")]);
    assert_eq!(diagnostics.iter().len(), 0);
}

//! Who has a sidecar.

use netpol::inventory::{Inventory, Namespace};
use netpol::model::labels::Labels;

use super::read_text;

/// Reads a Deployment with this metadata of its template and this `spec`, in a namespace with these labels.
fn template(namespace: &str, metadata: &str, spec: &str) -> bool {
    let inventory = read_text(&format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web, namespace: garden }}
spec:
  selector: {{ matchExpressions: [{{ key: app, operator: Exists }}] }}
  template:
    metadata: {{ {metadata} }}
    spec: {{ {spec} }}
---
apiVersion: v1
kind: Namespace
metadata: {{ name: garden, labels: {{ {namespace} }} }}
"
    ));
    inventory.workloads[0].sidecar
}

const WEB: &str = "containers: [{ name: web }]";

/// The table of "Controlling the injection policy" in Istio's documentation: namespace, label of the pod, verdict.
#[test]
fn namespace_and_pod_decide_together() {
    for (namespace, pod, injected) in [
        ("", "", false),
        ("", "sidecar.istio.io/inject: 'true'", true),
        ("", "sidecar.istio.io/inject: 'false'", false),
        ("", "istio.io/rev: stable", true),
        ("", "istio.io/rev: stable, sidecar.istio.io/inject: 'false'", false),
        ("istio-injection: enabled", "", true),
        ("istio-injection: enabled", "sidecar.istio.io/inject: 'true'", true),
        ("istio-injection: enabled", "sidecar.istio.io/inject: 'false'", false),
        ("istio-injection: enabled", "sidecar.istio.io/inject: 'nonsense'", false),
        ("istio-injection: disabled", "", false),
        ("istio-injection: disabled", "sidecar.istio.io/inject: 'true'", false),
        ("istio.io/rev: stable", "", true),
        ("istio.io/rev: stable", "sidecar.istio.io/inject: 'false'", false),
        ("istio.io/rev: stable, istio-injection: disabled", "", false),
        ("istio.io/dataplane-mode: ambient", "", false),
        // The injector does not look at the mode, and ambient mode leaves out pods with a sidecar.
        ("istio.io/dataplane-mode: ambient", "sidecar.istio.io/inject: 'true'", true),
        ("istio.io/dataplane-mode: ambient", "istio.io/rev: stable", true),
        ("istio.io/dataplane-mode: ambient, istio-injection: disabled", "sidecar.istio.io/inject: 'true'", false),
        ("istio-injection: enabled, istio.io/dataplane-mode: ambient", "", false),
        ("istio-injection: enabled, istio.io/dataplane-mode: ambient", "istio.io/dataplane-mode: none", true),
        ("istio-injection: enabled", "istio.io/dataplane-mode: ambient", false),
    ] {
        let found = template(namespace, &format!("labels: {{ app: web, {pod} }}"), WEB);
        assert_eq!(found, injected, "namespace {{ {namespace} }}, pod {{ {pod} }}");
    }
}

#[test]
fn annotations_refuse_but_call_no_webhook() {
    let with = |namespace: &str, annotation: &str, label: &str| {
        let metadata =
            format!("labels: {{ app: web, {label} }}, annotations: {{ sidecar.istio.io/inject: '{annotation}' }}");
        template(namespace, &metadata, WEB)
    };
    assert!(!with("", "true", ""));
    assert!(with("istio-injection: enabled", "true", ""));
    assert!(!with("istio-injection: enabled", "false", ""));
    assert!(with("istio-injection: enabled", "false", "sidecar.istio.io/inject: 'true'"));
}

#[test]
fn the_host_network_and_gateways_have_none() {
    let enabled = "istio-injection: enabled";
    let labels = "labels: { app: web, sidecar.istio.io/inject: 'true' }";
    assert!(template(enabled, labels, WEB));
    assert!(!template(enabled, labels, "hostNetwork: true, containers: [{ name: web }]"));
    assert!(!template(enabled, labels, "containers: [{ name: istio-proxy, image: auto }]"));
    let gateway = format!("{labels}, annotations: {{ inject.istio.io/templates: gateway }}");
    assert!(!template(enabled, &gateway, "containers: [{ name: istio-proxy, image: auto }, { name: logs }]"));
    let waypoint = "labels: { app: web, gateway.networking.k8s.io/gateway-name: waypoint }";
    assert!(!template(enabled, waypoint, WEB));
}

#[test]
fn a_proxy_in_the_template_is_one() {
    assert!(template("", "labels: { app: web }", "containers: [{ name: web }, { name: istio-proxy }]"));
    let native = "containers: [{ name: web }], initContainers: [{ name: istio-proxy, restartPolicy: Always }]";
    assert!(template("", "labels: { app: web }", native));
    let init = "containers: [{ name: web }], initContainers: [{ name: istio-init }]";
    assert!(!template("", "labels: { app: web }", init));
}

#[test]
fn a_running_pod_shows_what_it_has() {
    let pod = |metadata: &str, containers: &str, status: &str| {
        let inventory = read_text(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{ name: web, namespace: garden, {metadata} }}
spec: {{ containers: [{containers}] }}
{status}
---
apiVersion: v1
kind: Namespace
metadata: {{ name: garden, labels: {{ istio-injection: enabled }} }}
"
        ));
        inventory.workloads[0].sidecar
    };
    assert!(pod("", "{ name: web }, { name: istio-proxy }", "status: { phase: Running }"));
    assert!(!pod("", "{ name: web }", "status: { phase: Running }"), "made before injection was turned on");
    assert!(!pod("uid: 0f1e", "{ name: web }", ""));
    assert!(pod("", "{ name: web }", ""), "a manifest that is yet to be applied");
    assert!(!pod("", "{ name: istio-proxy }", "status: { phase: Running }"), "a gateway");
    let status = r#"annotations: { sidecar.istio.io/status: '{"containers":["istio-proxy"],"revision":"default"}' }"#;
    assert!(pod(status, "{ name: web }", "status: { phase: Running }"));
    assert!(!pod(status, "{ name: istio-proxy }", "status: { phase: Running }"));
}

/// A Deployment with its ReplicaSet and a Pod of it that runs, in a namespace with these labels.
fn rolled_out(namespace: &str, phase: &str, containers: &str, replica_set: bool) -> Inventory {
    let replica_set = match replica_set {
        true => {
            "
apiVersion: apps/v1
kind: ReplicaSet
metadata: { name: web-5d9c8, namespace: garden, ownerReferences: [{ kind: Deployment, name: web, controller: true }] }
spec: { selector: { matchLabels: { app: web } }, template: { metadata: { labels: { app: web } }, spec: {} } }
---"
        }
        false => "",
    };
    read_text(&format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{ name: garden, labels: {{ {namespace} }} }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web, namespace: garden }}
spec: {{ selector: {{ matchLabels: {{ app: web }} }}, template: {{ metadata: {{ labels: {{ app: web }} }}, spec: {{}} }} }}
---{replica_set}
apiVersion: v1
kind: Pod
metadata:
  name: web-5d9c8-x2k4q
  namespace: garden
  labels: {{ app: web, pod-template-hash: 5d9c8 }}
  ownerReferences: [{{ kind: ReplicaSet, name: web-5d9c8, controller: true }}]
spec: {{ containers: [{containers}] }}
status: {{ phase: {phase} }}
"
    ))
}

#[test]
fn pods_that_run_overrule_what_their_template_predicts() {
    let (bare, meshed) = ("{ name: web }", "{ name: web }, { name: istio-proxy }");
    let enabled = "istio-injection: enabled";
    for (namespace, phase, containers, has, after) in [
        (enabled, "Running", bare, false, Some(true)),
        (enabled, "Running", meshed, true, None),
        ("", "Running", meshed, true, Some(false)),
        ("", "Running", bare, false, None),
        (enabled, "Succeeded", bare, true, None),
        (enabled, "Pending", bare, true, None),
    ] {
        for replica_set in [true, false] {
            let inventory = rolled_out(namespace, phase, containers, replica_set);
            let web = inventory.named("garden", "web")[0];
            let found = (web.sidecar, inventory.after_restart(web));
            assert_eq!(found, (has, after), "{namespace} {phase} {containers} {replica_set}");
        }
    }
    // A label that the source declares does not reach pods that run either.
    let mut inventory = rolled_out("", "Running", bare, true);
    let labels = Labels::from([("istio-injection".into(), "enabled".into())]);
    let origin = inventory.workloads[0].origin;
    inventory.declare_namespace("garden".into(), Namespace { labels, declared: true, origin });
    let web = inventory.named("garden", "web")[0];
    assert_eq!((web.sidecar, inventory.after_restart(web)), (false, Some(true)));
}

#[test]
fn system_namespaces_are_left_out() {
    let text = |namespace: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: a, namespace: {namespace}, labels: {{ sidecar.istio.io/inject: 'true' }} }}\nspec: {{}}\n"
        )
    };
    assert!(!read_text(&text("kube-system")).workloads[0].sidecar);
    assert!(read_text(&text("garden")).workloads[0].sidecar);
}

#[test]
fn a_namespace_that_the_source_declares_decides_too() {
    let mut inventory = read_text(
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: garden }\nspec: {}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: orchard }\nspec: {}\n",
    );
    let origin = inventory.workloads[0].origin;
    let labels = Labels::from([("istio-injection".into(), "enabled".into())]);
    inventory.declare_namespace("garden".into(), Namespace { labels, declared: true, origin });
    assert_eq!(inventory.workloads.iter().map(|w| w.sidecar).collect::<Vec<_>>(), [true, false]);
    assert!(inventory.namespaces["garden"].declared);
}

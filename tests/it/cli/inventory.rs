//! Inventories as they are given: namespaces that manifests leave out, folders with other files, several at once.

use super::{Run, folder, netpol};

const NAMESPACES: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Namespace
metadata: { name: default }
";

const WEB: &str = "
apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec: { containers: [{ name: web, image: web, ports: [{ containerPort: 8080 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: 8080 }] }
";

fn check(policy: &str, files: &[(&str, &str)], more: &[&str]) -> Run {
    let mut all = vec![("a.netpol", policy), ("namespaces.yaml", NAMESPACES)];
    all.extend_from_slice(files);
    let here = folder(&all);
    let inventory = ["check", "a.netpol", "--target", "networkpolicy", "--inventory", "namespaces.yaml"];
    netpol(here.path(), &[&inventory[..], more].concat())
}

#[test]
fn manifests_without_a_namespace_are_counted_once() {
    let files = [("web.yaml", WEB)];
    let run = check("allow ingress default/* -> default/web:80\n", &files, &["--inventory", "web.yaml"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(run.err.matches("N0610").count(), 1, "{}", run.err);
    assert!(run.err.contains("2 objects of the inventory name no namespace"), "{}", run.err);
    let shop = "allow ingress shop/* -> shop/web:80\n";
    let run = check(shop, &files, &["--inventory", "web.yaml", "--namespace", "shop"]);
    assert!(run.code == 0 && !run.err.contains("N0610"), "{}", run.err);
    let settings = [("web.yaml", WEB), ("netpol.toml", "inventory-namespace = \"shop\"\n")];
    let run = check(shop, &settings, &["--inventory", "web.yaml"]);
    assert!(run.code == 0 && !run.err.contains("N0610"), "{}", run.err);
    let run = check(shop, &files, &["--inventory", "web.yaml", "--namespace", "Shop"]);
    assert_eq!(run.code, 2, "{}", run.err);
}

#[test]
fn other_files_of_a_folder_are_passed_over() {
    let template = "apiVersion: v1\nkind: Service\nmetadata: { name: {{ .Release.Name }} }\nspec: {}\n";
    let files = [
        ("deploy/web.yaml", WEB),
        ("deploy/values.yaml", "replicas: 2\n"),
        ("deploy/Chart.yaml", "apiVersion: v2\nname: web\n"),
        ("deploy/templates/service.yaml", template),
        ("deploy/package.json", "{\"name\": \"web\"}"),
        ("deploy/list.json", "[1, 2]"),
        ("deploy/empty.yaml", "# nothing yet\n"),
        ("deploy/kustomization.yaml", "resources: [web.yaml]\n"),
    ];
    let shop = "allow ingress shop/* -> shop/web:80\n";
    let run = check(shop, &files, &["--inventory", "deploy", "--namespace", "shop"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("N0611") && run.err.contains("5 files"), "{}", run.err);
    for name in ["values.yaml", "Chart.yaml", "templates/service.yaml", "package.json", "list.json"] {
        assert!(run.err.contains(&format!("deploy/{name}")), "{name}: {}", run.err);
    }
    for name in ["deploy/values.yaml", "deploy/Chart.yaml", "deploy/templates/service.yaml", "deploy/list.json"] {
        let run = check(shop, &files, &["--inventory", "deploy/web.yaml", "--namespace", "shop", "--inventory", name]);
        assert_eq!(run.code, 1, "{name}: {}", run.err);
    }
}

/// A manifest that cannot be read is a mistake, also where a folder brings it.
#[test]
fn a_broken_manifest_of_a_folder_is_an_error() {
    let files = [("deploy/web.yaml", WEB), ("deploy/api.yaml", "apiVersion: v1\nkind: Service\nmetadata: { name: [\n")];
    let run = check("default deny shop/*\n", &files, &["--inventory", "deploy", "--namespace", "shop"]);
    assert!(run.code == 1 && run.err.contains("E0601"), "{}", run.err);
    let files = [("deploy/web.yaml", WEB), ("deploy/api.yaml", "apiVersion: v1\nkind: Service\nmetadata: {}\n")];
    let run = check("default deny shop/*\n", &files, &["--inventory", "deploy", "--namespace", "shop"]);
    assert!(run.code == 1 && run.err.contains("E0605"), "{}", run.err);
}

/// A question may name the API server by its Service, its host or the prelude's name.
#[test]
fn the_api_server_is_asked_for_by_any_of_its_names() {
    let cluster = "
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Service
metadata: { name: kubernetes, namespace: default }
spec: { clusterIP: 10.96.0.1, ports: [{ name: https, port: 443, targetPort: 6443 }] }
---
apiVersion: v1
kind: Endpoints
metadata: { name: kubernetes, namespace: default }
subsets: [{ addresses: [{ ip: 192.168.49.2 }], ports: [{ port: 6443 }] }]
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop, labels: { app: web } }
spec: { containers: [{ name: web, image: web }] }
";
    let here = folder(&[
        ("open.netpol", "allow egress shop/* -> apiserver\n"),
        ("closed.netpol", "default deny egress shop/*\n"),
        ("c.yaml", cluster),
    ]);
    let ask = |policy: &str, to: &str| {
        let flow = ["eval", "--inventory", "c.yaml", policy, "--from", "shop/web", "--to", to];
        netpol(here.path(), &flow)
    };
    for to in
        ["default/kubernetes:443", "kubernetes.default.svc:443", "apiserver:443", "10.96.0.1:443", "192.168.49.2:6443"]
    {
        let (open, closed) = (ask("open.netpol", to), ask("closed.netpol", to));
        assert_eq!((open.code, closed.code), (0, 1), "{to}: {}{}{}", open.out, open.err, closed.err);
    }
    let run = ask("open.netpol", "default/kubernetes:80");
    assert!(run.code == 2 && run.err.contains("answers on 6443"), "{}", run.err);
    let run = ask("open.netpol", "shop/web");
    assert!(run.code == 2 && run.err.contains("needs a port"), "{}", run.err);
}

#[test]
fn a_question_without_a_port_is_told_the_ports() {
    let here = folder(&[("a.netpol", "default deny shop/*\n"), ("c.yaml", NAMESPACES), ("web.yaml", WEB)]);
    let inventory = ["eval", "a.netpol", "--inventory", "c.yaml", "--inventory", "web.yaml", "--namespace", "shop"];
    let run = netpol(here.path(), &[&inventory[..], &["--from", "shop/web", "--to", "shop/web"]].concat());
    assert!(run.code == 2 && run.err.contains("as `shop/web:80`; it has 80 to 8080"), "{}", run.err);
}

/// A Rollout makes pods as a Deployment does, and nothing of it is read but what a message says.
#[test]
fn a_kind_that_is_not_read_is_named() {
    let rollout = |kind: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{ name: ro, namespace: garden }}\nspec:\n  template:\n    \
             metadata: {{ labels: {{ app: ro }} }}\n    spec: {{ serviceAccountName: ro }}\n---\napiVersion: v1\nkind: Namespace\n\
             metadata: {{ name: garden }}\n"
        )
    };
    let here = folder(&[("cluster.yaml", &rollout("Rollout"))]);
    for text in ["allow egress garden/{app=ro} -> dns\n", "allow egress garden/ro -> dns\n"] {
        std::fs::write(here.path().join("a.netpol"), text).unwrap();
        let run = netpol(here.path(), &["check", "a.netpol", "--inventory", "cluster.yaml"]);
        let declared = "workload garden/ro { labels { app = ro } account ro }";
        assert!(run.err.contains("E0312") && run.err.contains("Rollout garden/ro makes such pods"), "{}", run.err);
        assert!(run.err.contains(&format!("`{declared}`")), "{}", run.err);
        std::fs::write(here.path().join("a.netpol"), format!("{declared}\n{text}")).unwrap();
        let run = netpol(here.path(), &["check", "a.netpol", "--inventory", "cluster.yaml"]);
        assert!(!run.err.contains("E0312"), "{}", run.err);
    }
}

/// The namespace got its label after the pods had started, or lost it.
#[test]
fn pods_that_run_otherwise_than_their_template_asks_are_told() {
    let cluster = |labels: &str, containers: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{ name: garden, labels: {{ {labels} }} }}\n---\napiVersion: apps/v1\nkind: \
             Deployment\nmetadata: {{ name: web, namespace: garden }}\nspec: {{ selector: {{ matchLabels: {{ app: web }} }}, template: \
             {{ metadata: {{ labels: {{ app: web }} }}, spec: {{}} }} }}\n---\napiVersion: v1\nkind: Pod\nmetadata: {{ name: \
             web-5d9c8-x2k4q, namespace: garden, labels: {{ app: web, pod-template-hash: 5d9c8 }}, ownerReferences: [{{ kind: \
             ReplicaSet, name: web-5d9c8, controller: true }}] }}\nspec: {{ containers: [{containers}] }}\nstatus: {{ phase: Running }}\n"
        )
    };
    let rule = "allow ingress anywhere -> garden/web:80/http where method GET\n";
    let here = folder(&[("a.netpol", rule)]);
    let check = |labels: &str, containers: &str| {
        std::fs::write(here.path().join("cluster.yaml"), cluster(labels, containers)).unwrap();
        netpol(here.path(), &["check", "--inventory", "cluster.yaml", "--target", "istio"])
    };
    let (bare, meshed) = ("{ name: web }", "{ name: web }, { name: istio-proxy }");
    let run = check("istio-injection: enabled", bare);
    assert!(run.code == 1 && run.err.contains("E0711"), "{}", run.err);
    assert!(run.err.contains("garden/web (until it is restarted)"), "{}", run.err);
    assert!(run.err.contains("restart `garden/web`, which is older"), "{}", run.err);
    let run = check("", meshed);
    assert!(run.code == 0 && run.err.contains("W0722"), "{}", run.err);
    assert!(run.err.contains("lose it when they are started again: garden/web"), "{}", run.err);
    let run = check("istio-injection: enabled", meshed);
    assert!(run.code == 0 && !run.err.contains("W0722"), "{}", run.err);
}

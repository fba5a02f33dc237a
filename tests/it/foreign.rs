//! Objects of the cluster that are not the build's: what they open or close for governed pods is said.

use netpol::settings::Layer;

use crate::istio::build::{Build, build_with};

const SHOP: &str = r#"
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }
---
apiVersion: v1
kind: Namespace
metadata: { name: lab, labels: { istio-injection: enabled } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  template: { metadata: { labels: { app: web } }, spec: { containers: [{ name: web, image: web, ports: [{ containerPort: 8080 }] }] } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: tool, namespace: lab }
spec:
  selector: { matchLabels: { app: tool } }
  template: { metadata: { labels: { app: tool } }, spec: { containers: [{ name: tool, image: tool }] } }
"#;

fn with(object: &str, source: &str, layer: Layer) -> Build {
    let manifests = format!("{SHOP}---\n{object}");
    build_with(source, Some(&manifests), |settings| {
        settings.targets = vec![layer];
        settings.name = Some("mine".into());
    })
}

fn said(build: &Build) -> Vec<String> {
    let found = build.diagnostics.iter().filter(|finding| finding.code.as_str() == "W0723");
    found.map(|finding| format!("{}; {}", finding.message, finding.primary.message)).collect()
}

fn network(metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{ name: chart, namespace: shop{metadata} }}\nspec: {spec}\n"
    )
}

fn istio(group: &str, kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{ name: theirs, namespace: shop }}\nspec: {spec}\n"
    )
}

#[test]
fn a_networkpolicy_of_a_chart_opens_what_is_denied() {
    let open = network("", "{ podSelector: {}, policyTypes: [Ingress], ingress: [{}] }");
    assert_eq!(
        said(&with(&open, "default deny shop/*", Layer::NetworkPolicy)),
        ["NetworkPolicy `shop/chart` of the cluster lets more into `shop/web` than these rules; \
          for example `198.51.100.1 -> shop/web:8080`"]
    );
    // Istio's layer has no NetworkPolicy, and what no rule governs is as it was.
    assert_eq!(said(&with(&open, "default deny ingress shop/*", Layer::Istio)), Vec::<String>::new());
    assert_eq!(said(&with(&open, "default deny ingress lab/*", Layer::NetworkPolicy)), Vec::<String>::new());
    // What it lets through may be allowed, and an object that closes adds nothing.
    let some = network(
        "",
        "{ podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: lab } } }], ports: [{ port: 8080 }] }] }",
    );
    let allow = "allow ingress lab/* -> shop/*:8080";
    assert_eq!(said(&with(&some, allow, Layer::NetworkPolicy)), Vec::<String>::new());
    assert_eq!(said(&with(&some, "allow ingress lab/* -> shop/*:9090", Layer::NetworkPolicy)).len(), 1);
    let closed = network("", "{ podSelector: {}, policyTypes: [Ingress, Egress] }");
    assert_eq!(said(&with(&closed, "default deny shop/*", Layer::NetworkPolicy)), Vec::<String>::new());
    // On the way out.
    let out = network(
        "",
        "{ podSelector: { matchLabels: { app: web } }, policyTypes: [Egress], egress: [{ to: [{ ipBlock: { cidr: 203.0.113.0/24 } }] }] }",
    );
    let found = said(&with(&out, "default deny egress shop/*", Layer::NetworkPolicy));
    assert!(
        found[0].ends_with("lets more out of `shop/web` than these rules; for example `shop/web -> 203.0.113.1:1`"),
        "{found:?}"
    );
}

#[test]
fn an_object_of_this_build_adds_nothing() {
    let of = |name: &str| {
        let labels = format!(", labels: {{ app.kubernetes.io/managed-by: netpol, app.kubernetes.io/part-of: {name} }}");
        said(&with(
            &network(&labels, "{ podSelector: {}, ingress: [{}] }"),
            "default deny shop/*",
            Layer::NetworkPolicy,
        ))
        .len()
    };
    assert_eq!((of("mine"), of("other")), (0, 1));
}

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
fn every_kind_that_a_build_writes_is_looked_at() {
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

#[test]
fn objects_of_istio_open_close_and_compete() {
    let rule = "allow ingress lab/* -> shop/web:8080";
    let found = |object: &str, source: &str| said(&with(object, source, Layer::Istio));
    let allow = istio("security", "AuthorizationPolicy", "{ rules: [{ to: [{ operation: { ports: [\"9090\"] } }] }] }");
    assert_eq!(
        found(&allow, rule),
        ["AuthorizationPolicy `shop/theirs` of the cluster lets more into `shop/web` than these rules; \
          for example `198.51.100.1 -> shop/web:9090`"]
    );
    let deny = istio(
        "security",
        "AuthorizationPolicy",
        "{ action: DENY, rules: [{ from: [{ source: { namespaces: [lab] } }] }] }",
    );
    assert_eq!(
        found(&deny, rule),
        ["AuthorizationPolicy `shop/theirs` of the cluster refuses what these rules let into `shop/web`; \
          for example `lab/tool -> shop/web:8080`"]
    );
    let egress = "allow egress shop/web -> 203.0.113.7:443";
    let sidecar = istio("networking", "Sidecar", "{ workloadSelector: { labels: { app: web } } }");
    assert_eq!(found(&sidecar, egress).len(), 1);
    // One for the whole namespace gives way to the workload's.
    assert_eq!(
        found(&istio("networking", "Sidecar", "{ egress: [{ hosts: [\"*/*\"] }] }"), egress),
        Vec::<String>::new()
    );
    let mode = "{ selector: { matchLabels: { app: web } }, mtls: { mode: PERMISSIVE } }";
    assert_eq!(found(&istio("security", "PeerAuthentication", mode), rule).len(), 1);
}

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

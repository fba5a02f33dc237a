//! NetworkPolicies.

use netpol::settings::Layer;

use super::{NOTHING, said, with};

fn network(metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{ name: chart, namespace: shop{metadata} }}\nspec: {spec}\n"
    )
}

#[test]
fn a_networkpolicy_of_a_chart_opens_what_is_denied() {
    let open = network("", "{ podSelector: {}, policyTypes: [Ingress], ingress: [{}] }");
    assert_eq!(
        said(&with(&open, "default deny shop/*", Layer::NetworkPolicy)),
        ["NetworkPolicy `shop/chart` of the cluster lets more into `shop/db`, `shop/web` than these rules; \
          for example `198.51.100.1 -> shop/db:5432`"]
    );
    // Istio's layer has no NetworkPolicy, and what no rule governs is as it was.
    assert_eq!(said(&with(&open, "default deny ingress shop/*", Layer::Istio)), NOTHING);
    assert_eq!(said(&with(&open, "default deny ingress lab/*", Layer::NetworkPolicy)), NOTHING);
    // What it lets through may be allowed, and an object that closes adds nothing.
    let some = network(
        "",
        "{ podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: lab } } }], ports: [{ port: 8080 }] }] }",
    );
    let allow = "allow ingress lab/* -> shop/*:8080";
    assert_eq!(said(&with(&some, allow, Layer::NetworkPolicy)), NOTHING);
    assert_eq!(said(&with(&some, "allow ingress lab/* -> shop/*:9090", Layer::NetworkPolicy)).len(), 1);
    let closed = network("", "{ podSelector: {}, policyTypes: [Ingress, Egress] }");
    assert_eq!(said(&with(&closed, "default deny shop/*", Layer::NetworkPolicy)), NOTHING);
    // On the way out.
    let out = network(
        "",
        "{ podSelector: { matchLabels: { app: web } }, policyTypes: [Egress], egress: [{ to: [{ ipBlock: { cidr: 203.0.113.0/24 } }] }] }",
    );
    let found = said(&with(&out, "default deny egress shop/*", Layer::NetworkPolicy));
    assert!(
        found[0].ends_with("lets more out of `shop/web` than these rules; for example `shop/web -> 203.0.113.1:443`"),
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

//! NetworkPolicies.

use netpol::settings::Layer;

use super::{NOTHING, SHOP, said, with};
use crate::istio::build::build_with;

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

#[test]
fn a_networkpolicy_closes_pods_for_which_the_build_writes_none() {
    let only_ops = network(
        "",
        "{ podSelector: { matchLabels: { app: web } }, policyTypes: [Ingress], ingress: [{ from: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: ops } } }] }] }",
    );
    let on_both = |object: &str, source: &str| {
        let manifests = format!("{SHOP}---\n{object}");
        build_with(source, Some(&manifests), |settings| {
            settings.targets = vec![Layer::NetworkPolicy, Layer::Istio];
            settings.name = Some("mine".into());
        })
    };
    // Without the addresses of pods a NetworkPolicy cannot take `lab` out of everything, so Istio enforces the rule.
    let deny = on_both(&only_ops, "deny ingress lab/* -> shop/web:8080");
    assert_eq!(deny.of("NetworkPolicy").len(), 0, "{}", deny.text());
    assert_eq!(
        said(&deny),
        ["NetworkPolicy `shop/chart` of the cluster refuses what these rules let into `shop/web`; \
          for example `198.51.100.1 -> shop/web:8080`"]
    );
    let wide = network("", "{ podSelector: { matchLabels: { app: web } }, policyTypes: [Ingress], ingress: [{}] }");
    let both = on_both(
        &format!("{only_ops}---\n{}", wide.replace("name: chart", "name: wide")),
        "deny ingress lab/* -> shop/web:8080",
    );
    assert!(said(&both).iter().all(|one| !one.contains("refuses")), "{:?}", said(&both));
    // Where the build closes the pods itself, nothing of others closes more.
    assert_eq!(
        said(&with(&network("", "{ podSelector: {} }"), "allow ingress lab/* -> shop/web", Layer::NetworkPolicy)),
        NOTHING
    );
}

#[test]
fn peers_that_nothing_can_meet_are_not_everybody() {
    let nobody = network(
        "",
        "{ podSelector: { matchLabels: { app: web } }, ingress: [{ from: [{ podSelector: { matchExpressions: [{ key: a, operator: Exists }, { key: a, operator: DoesNotExist }] } }] }] }",
    );
    assert_eq!(said(&with(&nobody, "default deny ingress shop/*", Layer::NetworkPolicy)), NOTHING);
}

#[test]
fn the_other_direction_is_another_warning() {
    let both = network(
        "",
        "{ podSelector: { matchLabels: { app: web } }, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}] }",
    );
    let found = said(&with(&both, "default deny shop/*", Layer::NetworkPolicy));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("lets more out of `shop/web`") && found[1].contains("lets more into `shop/web`"),
        "{found:?}"
    );
    // Without policyTypes it speaks of what goes out only where it names something.
    let unsaid = network("", "{ podSelector: { matchLabels: { app: web } }, egress: [] }");
    assert_eq!(said(&with(&unsaid, "default deny shop/*", Layer::NetworkPolicy)), NOTHING);
}

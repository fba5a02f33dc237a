//! AuthorizationPolicies at the gateways of `via`, and what is aimed at gateways, Services and waypoints.

use netpol::settings::Layer;

use super::{NOTHING, said, with};

const GATEWAY: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: ingress, namespace: istio-system }
spec:
  selector: { matchLabels: { istio: ingressgateway } }
  template:
    metadata:
      labels: { istio: ingressgateway, gateway.networking.k8s.io/gateway-name: edge }
      annotations: { inject.istio.io/templates: gateway }
    spec: { serviceAccountName: ingress, containers: [{ name: istio-proxy, image: auto, ports: [{ containerPort: 8443 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: ingress, namespace: istio-system }
spec: { type: LoadBalancer, selector: { istio: ingressgateway }, ports: [{ name: https, port: 443, targetPort: 8443 }] }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: public, namespace: istio-system }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 443, name: https, protocol: HTTPS }, tls: { mode: SIMPLE, credentialName: c }, hosts: ["*"] }]
"#;

const SOURCE: &str = r#"gateway edge {
  pods istio-system/{istio=ingressgateway}
  account istio-system/@ingress
  service istio-system/ingress
  port 443 -> 8443/https
}
allow ingress 203.0.113.0/24 -> shop/web:8080/http via edge at "shop.example.com"
"#;

fn at_gateway(spec: &str) -> Vec<String> {
    let object = format!(
        "{GATEWAY}---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{ name: theirs, namespace: istio-system }}\nspec: {spec}\n"
    );
    said(&with(&object, SOURCE, Layer::Istio))
}

const SELECTOR: &str = "selector: { matchLabels: { istio: ingressgateway } }";
const OUTSIDE: &str = "`198.51.100.1 -> istio-system/ingress:8443` with the host `shop.example.com`";

#[test]
fn an_allow_at_a_gateway_opens_a_public_host() {
    let opened = format!(
        "AuthorizationPolicy `istio-system/theirs` of the cluster lets more into `istio-system/ingress` than these rules; \
         for example {OUTSIDE}"
    );
    assert_eq!(at_gateway(&format!("{{ {SELECTOR}, rules: [{{}}] }}")), std::slice::from_ref(&opened));
    // The client's address is what the gateway sees.
    let from = |blocks: &str| {
        format!(
            "{{ {SELECTOR}, rules: [{{ from: [{{ source: {{ remoteIpBlocks: [{blocks}] }} }}], to: [{{ operation: {{ hosts: [\"shop.example.com\"] }} }}] }}] }}"
        )
    };
    let found = at_gateway(&from("198.51.100.0/24"));
    assert!(found.contains(&opened), "{found:?}");
    let found = at_gateway(&from("203.0.113.0/25"));
    assert!(found.iter().all(|one| !one.contains("lets more")), "{found:?}");
    let denied = at_gateway(&format!(
        "{{ {SELECTOR}, action: DENY, rules: [{{ from: [{{ source: {{ notRemoteIpBlocks: [192.0.2.0/24] }} }}] }}] }}"
    ));
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert!(denied[0].contains("refuses what these rules let into `istio-system/ingress`; for example `203.0.113.1 -> istio-system/ingress:8443` with the host `shop.example.com`"), "{denied:?}");
}

#[test]
fn what_another_allow_closed_at_a_gateway_is_open_again() {
    let office =
        format!("{{ {SELECTOR}, rules: [{{ from: [{{ source: {{ remoteIpBlocks: [203.0.113.0/24] }} }}] }}] }}");
    let found = at_gateway(&office);
    assert_eq!(
        found,
        [
            "AuthorizationPolicy `istio-system/theirs` of the cluster no longer closes `istio-system/ingress`; for example \
          `198.51.100.1 -> istio-system/ingress:8443`"
        ]
    );
}

#[test]
fn targets_are_gateways_alone() {
    let aimed = |group: &str, kind: &str, name: &str| {
        at_gateway(&format!("{{ targetRefs: [{{ group: {group}, kind: {kind}, name: {name} }}], rules: [{{}}] }}"))
    };
    let found = aimed("gateway.networking.k8s.io", "Gateway", "edge");
    assert!(found.len() == 1 && found[0].contains("lets more into `istio-system/ingress`"), "{found:?}");
    assert_eq!(aimed("gateway.networking.k8s.io", "Gateway", "other"), NOTHING);
    // Not every release of Istio reads this.
    let found = aimed("networking.istio.io", "Gateway", "public");
    assert!(found.len() == 1 && found[0].contains("may let more into `istio-system/ingress`"), "{found:?}");
    assert_eq!(aimed("networking.istio.io", "Gateway", "other"), NOTHING);
    // These are for waypoints, which stand before no sidecar's pods.
    assert_eq!(aimed("gateway.networking.k8s.io", "GatewayClass", "istio-waypoint"), NOTHING);
    assert_eq!(aimed("\"\"", "Service", "ingress"), NOTHING);
    let service = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: theirs, namespace: shop }\nspec: { targetRef: { kind: Service, group: \"\", name: web }, action: DENY, rules: [{}] }\n";
    assert_eq!(said(&with(service, "allow ingress lab/* -> shop/web:8080", Layer::Istio)), NOTHING);
}

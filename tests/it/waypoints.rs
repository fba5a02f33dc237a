//! Pods behind a waypoint: whoever calls them, the waypoint's address and identity are what they see.

use netpol::settings::Layer;

use crate::common::Cluster;
use crate::istio::build::{Build, build_with};

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: { name: web, namespace: shop, labels: { LABELS } }\n\
                       spec: { selector: { app: web }, ports: [{ port: 80, targetPort: 8080 }] }\n";
const AMBIENT: &str = "istio.io/dataplane-mode: ambient";

/// A shop whose namespace, pods of `web` and Service `web` have labels, beside a lab in ambient mode and a barn outside
/// the mesh. `shop/api` is another workload.
fn cluster(namespace: &str, pod: &str, service: &str) -> String {
    let port = "{ containerPort: 8080 }";
    let cluster = Cluster::default()
        .namespace("shop", &format!("{AMBIENT}, {namespace}"))
        .namespace("lab", AMBIENT)
        .namespace("barn", "")
        .namespace("istio-system", "")
        .deployment_with("shop/web", pod, "", port)
        .deployment("shop/api", port)
        .deployment("lab/cli", port)
        .deployment("barn/cow", port);
    format!("{}---\n{}", cluster.text(), SERVICE.replace("LABELS", service))
}

fn build(cluster: &str, source: &str) -> Build {
    build_with(source, Some(cluster), |settings| settings.targets = vec![Layer::NetworkPolicy, Layer::Istio])
}

/// Returns the messages about a waypoint.
fn refused(cluster: &str, source: &str) -> usize {
    build(cluster, source).said("E0711").matches("behind the waypoint `shop/waypoint`").count()
}

const USE: &str = "istio.io/use-waypoint: waypoint";

#[test]
fn rules_for_pods_behind_a_waypoint_are_refused() {
    let shop = cluster(USE, "", "");
    for rule in [
        "allow ingress shop/* -> shop/{app=web}",
        "allow ingress lab/* -> shop/web",
        "allow lab/cli -> shop/web",
        "allow egress lab/* -> shop/web",
        "allow ingress shop/* -> */*",
    ] {
        assert_eq!(refused(&shop, rule), 1, "{rule}: {}", build(&shop, rule).said("E0711"));
        let accepted = build(&shop, &format!("@approximate(\"by hand\")\n{rule}"));
        assert!(
            !accepted.codes().iter().any(|code| code.starts_with('E') || *code == "W0721"),
            "{rule}: {:?}",
            accepted.codes()
        );
    }
    let deny = "allow ingress */* -> shop/*\ndeny ingress lab/* -> shop/web";
    assert_eq!(refused(&shop, deny), 1);
    let outside = shop.replace(USE, "app: none");
    assert_eq!(refused(&outside, "allow ingress shop/* -> shop/{app=web}"), 0);
}

#[test]
fn rules_that_mean_the_same_behind_a_waypoint_are_not() {
    let shop = cluster(USE, "", "");
    for rule in [
        // What lets everybody in lets the waypoint in.
        "allow ingress */* -> shop/web",
        "allow ingress anywhere -> shop/web",
        "default deny ingress shop/*",
        // These callers use no waypoint, and the waypoint itself is none of them.
        "allow ingress barn/cow -> shop/web",
        "allow ingress 203.0.113.0/24 -> shop/web",
        "allow ingress lab/* -> shop/{gateway.networking.k8s.io/gateway-name=waypoint}",
        // The waypoint is among these pods.
        "allow egress lab/* -> shop/*",
        "allow egress shop/* -> lab/cli",
    ] {
        assert_eq!(refused(&shop, rule), 0, "{rule}: {}", build(&shop, rule).said("E0711"));
    }
}

#[test]
fn pods_services_and_namespaces_name_waypoints() {
    let rule = "allow ingress lab/* -> shop/web";
    for (namespace, pod, service, behind) in [
        ("", "", "", 0),
        ("", USE, "", 1),
        ("", "", USE, 1),
        (USE, "istio.io/use-waypoint: none", "", 1),
        (USE, "istio.io/use-waypoint: none", "istio.io/use-waypoint: none", 0),
        ("istio.io/use-waypoint: none", "", "", 0),
        ("", USE, "istio.io/use-waypoint: none", 1),
    ] {
        let shop = cluster(namespace, pod, service);
        assert_eq!(refused(&shop, rule), behind, "{namespace} {pod} {service}");
    }
    assert_eq!(refused(&cluster("", USE, USE), "allow ingress lab/* -> shop/api"), 0);
    // The waypoint may be in another namespace.
    let far = cluster(&format!("{USE}, istio.io/use-waypoint-namespace: gates"), "", "");
    assert!(build(&far, rule).said("E0711").contains("`gates/waypoint`"));
    let entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: api, namespace: lab, labels: { istio.io/use-waypoint: out } }\n\
                 spec: { hosts: [api.example.com], ports: [{ number: 443, name: tls, protocol: TLS }], resolution: DNS }\n";
    let host = build(&format!("{}---\n{entry}", cluster("", "", "")), "allow egress lab/* -> api.example.com:443");
    assert!(host.said("E0711").contains("`lab/out`"), "{}", host.said("E0711"));
}

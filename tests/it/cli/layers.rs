//! Tests of `eval --layers`: what each layer does with the flow that is asked for, and why.

use serde_json::Value;

use super::{folder, netpol};
use crate::common::Cluster;

/// Returns what networkpolicy and istio do with a flow.
fn does(policy: &str, manifests: Option<&str>, from: &str, to: &str, more: &[&str]) -> [(String, String); 2] {
    let here = folder(&[("a.netpol", policy), ("cluster.yaml", manifests.unwrap_or_default())]);
    let mut arguments = vec!["eval", "a.netpol", "--layers", "--format", "json", "--from", from, "--to", to];
    arguments.extend(manifests.iter().flat_map(|_| ["--inventory", "cluster.yaml"]));
    let run = netpol(here.path(), &[&arguments, more].concat());
    let value: Value = serde_json::from_str(&run.out).unwrap_or_else(|why| panic!("{why}: {}{}", run.out, run.err));
    let text = |layer: usize, key: &str| value["layers"][layer][key].as_str().unwrap().to_owned();
    [0, 1].map(|layer| (text(layer, "does"), text(layer, "message")))
}

fn deeds(policy: &str, from: &str, to: &str, more: &[&str]) -> [String; 2] {
    does(policy, None, from, to, more).map(|(deed, _)| deed)
}

#[test]
fn a_gap_counts_for_the_flows_that_it_lets_through() {
    let host = "allow egress garden/* -> zenquotes.io:443\n";
    let from = "garden/{app=x}";
    assert_eq!(deeds(host, from, "203.0.113.9:443", &[]), ["passes", "stops-well-behaved"]);
    // Another port, and an address where no public host is, are no part of the gap.
    assert_eq!(deeds(host, from, "203.0.113.9:444", &[]), ["stops", "stops-well-behaved"]);
    assert_eq!(deeds(host, from, "10.0.0.9:443", &[]), ["stops", "stops-well-behaved"]);
    let fixed = "let m = host m.example.com at 198.51.100.10\nallow egress garden/* -> m:443\n";
    assert_eq!(deeds(fixed, from, "203.0.113.9:443", &[]), ["stops", "stops-well-behaved"]);
    let get = "allow ingress lab/* -> data/{app=pg}:8080/http where method GET\n";
    let post = ["--method", "POST"];
    assert_eq!(deeds(get, "lab/{app=y}", "data/{app=pg}:8080", &post), ["passes", "stops"]);
    assert_eq!(deeds(get, "lab/{app=y}", "data/{app=pg}:8081", &post), ["stops", "stops"]);
    assert_eq!(deeds(get, "shop/{app=y}", "data/{app=pg}:8080", &["--method", "GET"]), ["stops", "stops"]);
}

#[test]
fn may_is_said_where_it_hangs_on_what_is_not_known() {
    let account = "allow ingress lab/@curl -> data/{app=pg}:5432\n";
    let [network, istio] = does(account, None, "lab/{app=y}", "data/{app=pg}:5432", &[]);
    assert_eq!((network.0.as_str(), istio.0.as_str()), ("may-pass", "stops"));
    assert!(network.1.contains("no labels tell the pods of"), "{}", network.1);
    assert_eq!(deeds(account, "lab/{app=y}", "data/{app=pg}:5433", &[]), ["stops", "stops"]);
    assert_eq!(deeds(account, "shop/{app=y}", "data/{app=pg}:5432", &[]), ["stops", "stops"]);
    // Another rule's deny that a layer cannot say leaves the flow to the rules that allow.
    let deny = "allow ingress lab/* -> data/{app=pg}:8080/http\n\
                deny ingress lab/* -> data/{app=pg}:8080/http where method DELETE\n";
    let [network, istio] = does(deny, None, "lab/{app=y}", "data/{app=pg}:8080", &["--method", "DELETE"]);
    assert_eq!((network.0.as_str(), istio.0.as_str()), ("passes", "stops"), "{}", network.1);
}

/// Returns a shop in a namespace with a label.
fn shop(label: &str) -> String {
    let cluster = Cluster::default().namespace("shop", label).namespace("istio-system", "");
    cluster.deployment("shop/web", "{ containerPort: 8080 }").deployment("shop/api", "").text()
}

#[test]
fn objects_of_the_cluster_count() {
    let shop = shop("istio-injection: enabled");
    let with = |object: &str| {
        let manifests = format!("{shop}---\n{object}");
        does("default deny ingress shop/*\n", Some(&manifests), "shop/api", "shop/web:8080", &[])
    };
    let chart = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: chart, namespace: shop }\n\
                 spec: { podSelector: { matchLabels: { app: web } }, ingress: [{ ports: [{ port: 8080 }] }] }\n";
    let [network, istio] = with(chart);
    assert_eq!(network, ("passes".into(), "NetworkPolicy `shop/chart` of the cluster does".into()));
    assert_eq!(istio.0, "stops");
    assert_eq!(with(&chart.replace("8080", "9090"))[0].0, "stops");
    assert_eq!(with(&chart.replace("app: web", "app: other"))[0].0, "stops");
    let allow = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: theirs, namespace: shop }\n\
                 spec: { rules: [{ from: [{ source: { namespaces: [shop] } }] }] }\n";
    let [network, istio] = with(allow);
    assert_eq!((network.0.as_str(), istio.0.as_str()), ("stops", "passes"));
    assert!(istio.1.contains("`shop/theirs`"), "{}", istio.1);
    let deny = allow.replace("spec: {", "spec: { action: DENY,");
    let manifests = format!("{shop}---\n{deny}");
    let policy = "allow ingress shop/* -> shop/web:8080\n";
    let [network, istio] = does(policy, Some(&manifests), "shop/api", "shop/web:8080", &[]);
    assert_eq!((network.0.as_str(), istio.0.as_str()), ("passes", "refuses"));
    // What hangs on a header may be so.
    let header = deny.replace("rules: [{ ", "rules: [{ when: [{ key: \"request.headers[X-Team]\", values: [a] }], ");
    let manifests = format!("{shop}---\n{header}");
    let [_, istio] = does(policy, Some(&manifests), "shop/api", "shop/web:8080", &[]);
    assert_eq!(istio.0, "may-refuse", "{}", istio.1);
}

#[test]
fn what_ambient_pods_send_each_other_arrives_in_a_tunnel() {
    let shop = shop("istio.io/dataplane-mode: ambient");
    let ask = |policy: &str| does(policy, Some(&shop), "shop/api", "shop/web:8080", &[]);
    let [network, _] = ask("allow ingress shop/api -> shop/web:8080\n");
    assert_eq!(network.0, "refuses", "{}", network.1);
    assert!(network.1.contains("15008"), "{}", network.1);
    assert_eq!(ask("allow ingress shop/api -> shop/web\n")[0].0, "passes");
    // Denied on one port, and let through by the tunnel.
    let [network, istio] = ask("allow ingress shop/api -> shop/web\ndeny ingress shop/api -> shop/web:8080\n");
    assert_eq!((network.0.as_str(), istio.0.as_str()), ("passes", "passes"), "{} {}", network.1, istio.1);
    assert_eq!(ask("default deny ingress shop/*\n")[0].0, "stops");
    // A sidecar takes the tunnel of its callers, too; who is outside the mesh has none.
    let own = "    metadata: { labels: { app: web";
    let sidecar = shop.replacen(own, &format!("{own}, istio.io/dataplane-mode: none"), 1);
    let sidecar = sidecar.replacen("labels: { istio.io", "labels: { istio-injection: enabled, istio.io", 1);
    let ask = |policy: &str| does(policy, Some(&sidecar), "shop/api", "shop/web:8080", &[])[0].clone();
    let one = "allow ingress shop/api -> shop/web:8080\n";
    assert_eq!(
        ask(one),
        ("refuses".into(), "to and from pods in ambient mode it arrives on TCP 15008, which is closed".into())
    );
    assert_eq!(ask(&format!("{one}allow ingress shop/api -> shop/web:15008\n")).0, "passes");
    let bare = shop.replacen(own, &format!("{own}, istio.io/dataplane-mode: none"), 1);
    assert_eq!(does(one, Some(&bare), "shop/api", "shop/web:8080", &[])[0].0, "passes");
}

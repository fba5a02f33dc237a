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
fn of_objects_that_compete_the_one_counts_that_a_pod_obeys() {
    let shop = shop("istio-injection: enabled");
    let with = |policy: &str, object: &str, from: &str, to: &str| {
        let manifests = format!("{shop}---\n{object}");
        let [_, istio] = does(policy, Some(&manifests), from, to, &[]);
        istio.0
    };
    let strict = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: default, namespace: istio-system }\n\
                  spec: { mtls: { mode: STRICT } }\n";
    let office = "allow ingress 203.0.113.0/24 -> shop/web:8080\n";
    assert_eq!(with(office, strict, "203.0.113.1", "shop/web:8080"), "refuses");
    assert_eq!(with(office, &strict.replace("STRICT", "PERMISSIVE"), "203.0.113.1", "shop/web:8080"), "passes");
    let sidecar = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: { name: theirs, namespace: shop }\n\
                   spec: { workloadSelector: { labels: { app: web } }, outboundTrafficPolicy: { mode: ALLOW_ANY } }\n";
    let [whole, web] = ["shop/*", "shop/web"].map(|subject| format!("allow egress {subject} -> 203.0.113.7:443\n"));
    assert_eq!(with(&whole, sidecar, "shop/web", "203.0.113.8:443"), "passes");
    assert_eq!(with(&web, sidecar, "shop/web", "203.0.113.8:443"), "may-pass", "of two in one place");
    let farther = sidecar.replace("workloadSelector: { labels: { app: web } }, ", "");
    assert_eq!(with(&web, &farther, "shop/web", "203.0.113.8:443"), "stops-well-behaved");
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
    let beside = |label: &str| {
        let cluster = Cluster::default().namespace("shop", "istio.io/dataplane-mode: ambient");
        let cluster = cluster.deployment("shop/api", "").namespace("side", label).deployment("side/web", "");
        cluster.namespace("istio-system", "").text()
    };
    let (sidecar, bare) = (beside("istio-injection: enabled"), beside(""));
    let one = "allow ingress shop/api -> side/web:8080\n";
    let ask = |policy: &str| does(policy, Some(&sidecar), "shop/api", "side/web:8080", &[])[0].clone();
    let closed = "to and from pods in ambient mode it arrives on TCP 15008, which is closed";
    assert_eq!(ask(one), ("refuses".into(), closed.into()));
    assert_eq!(ask(&format!("{one}allow ingress shop/api -> side/web:15008\n")).0, "passes");
    assert_eq!(does(one, Some(&bare), "shop/api", "side/web:8080", &[])[0].0, "passes");
}

/// Returns what istio does with a flow in a shop with sidecars, whose database keeps some of its ports from its own,
/// beside a barn without sidecars.
fn istio(policy: &str, from: &str, to: &str, more: &[&str]) -> (String, String) {
    let key = "traffic.sidecar.istio.io";
    let annotations = format!("{key}/excludeInboundPorts: \"5432\", {key}/excludeOutboundPorts: \"9000\"");
    let shop = Cluster::default().namespace("shop", "istio-injection: enabled").namespace("istio-system", "");
    let shop = shop.deployment("shop/web", "{ containerPort: 8080 }").deployment("shop/api", "");
    let shop = shop.deployment_with("shop/db", "", &annotations, "{ containerPort: 5432 }");
    let barn = shop.namespace("barn", "").deployment("barn/cow", "");
    let [_, istio] = does(policy, Some(&barn.text()), from, to, more);
    istio
}

#[test]
fn what_is_refused_is_told_of_the_flow_that_is_asked_for() {
    let passes = ("passes".to_owned(), String::new());
    let policy = "allow ingress { shop/*, barn/* } -> shop/web:8080\n";
    assert_eq!(istio(policy, "shop/api", "shop/web:8080", &[]), passes);
    let bare = ("refuses".to_owned(), "callers without a sidecar are refused: barn/cow".to_owned());
    assert_eq!(istio(policy, "barn/cow", "shop/web:8080", &[]), bare);
    // Another rule that asks for no identity lets the same flow through.
    let plain = format!("{policy}allow ingress anywhere -> shop/web:8080\n");
    assert_eq!(istio(&plain, "barn/cow", "shop/web:8080", &[]), passes);
    // A deny by identity refuses who has none, whatever address that is.
    let deny = "deny ingress istio-system/* -> shop/web:8080\n";
    assert_eq!(istio(deny, "shop/db", "shop/web:8080", &[]), passes);
    assert_eq!(istio(deny, "barn/cow", "shop/web:8080", &[]).0, "refuses");
    assert_eq!(istio(deny, "203.0.113.9", "shop/web:8080", &[]).0, "refuses");
    // A call that an annotation keeps from the caller's sidecar comes without an identity, too.
    let past = "allow ingress shop/db -> shop/web:{ 8080, 9000 }\n";
    let (deed, why) = istio(past, "shop/db", "shop/web:9000", &[]);
    assert_eq!(deed, "refuses");
    let words = "calls that annotations keep from the callers' sidecars are refused: \
                 `traffic.sidecar.istio.io/excludeOutboundPorts` of shop/db leaves out 9000";
    assert_eq!(why, words);
    assert_eq!(istio(past, "shop/db", "shop/web:8080", &[]), passes);
}

#[test]
fn what_is_refused_of_requests_is_told_of_the_request() {
    let path = "allow ingress shop/* -> shop/web:8080/http where path \"/a/*\"\n";
    let ask = |policy: &str, more: &[&str]| istio(policy, "shop/api", "shop/web:8080", more).0;
    assert_eq!(ask(path, &["--path", "/a/b"]), "passes");
    assert_eq!(ask(path, &["--path", "/a/[b]"]), "may-refuse");
    let host = "allow ingress shop/* -> shop/web:8080/http where host \"*.shop.example\"\n";
    assert_eq!(ask(host, &["--host", "a.shop.example"]), "passes");
    assert_eq!(ask(host, &["--host", "a.shop.example:8080"]), "passes");
    assert_eq!(ask(host, &["--host", "a.shop.example:9999"]), "refuses");
    let exact = "allow ingress shop/* -> shop/web:8080/http where host \"a.shop.example\", \"*.shop.example\"\n";
    assert_eq!(ask(exact, &["--host", "a.shop.example:9999"]), "passes");
    // A wildcard on tls is refused to pods that a rule isolates on their way in.
    let out = "allow egress shop/* -> *.wild.example:443\n";
    let ask = |policy: &str| istio(policy, "shop/api", "a.wild.example:443", &[]).0;
    assert_eq!(ask(out), "passes");
    assert_eq!(ask(&format!("{out}default deny ingress shop/api\n")), "refuses");
    assert_eq!(ask(&format!("{out}default deny ingress shop/web\n")), "passes");
}

#[test]
fn ports_that_an_annotation_leaves_out_pass_the_sidecar() {
    let closed = "default deny ingress shop/db\n";
    let (deed, why) = istio(closed, "shop/api", "shop/db:5432", &[]);
    assert_eq!(deed, "passes");
    assert_eq!(why, "`traffic.sidecar.istio.io/excludeInboundPorts` of shop/db leaves out 5432");
    assert_eq!(istio(closed, "shop/api", "shop/db:5433", &[]).0, "stops");
    // Another pod's annotation is no matter.
    assert_eq!(istio("default deny ingress shop/web\n", "shop/api", "shop/web:5432", &[]).0, "stops");
}

#[test]
fn an_import_without_a_port_brings_all_ports_of_a_service() {
    // No inventory has the Services of `shop`, so that all of them are let through.
    let rule = "allow egress garden/* -> shop/{app=cart}:8080\n";
    let istio = |to: &str| does(rule, None, "garden/{app=web}", to, &[])[1].clone();
    for to in ["shop/{app=cart}:9090", "shop/{app=db}:5432"] {
        let (deed, why) = istio(to);
        assert!(deed == "may-pass" && why.contains("are not known"), "{to}: {deed} {why}");
    }
    assert_eq!(istio("lab/{app=cart}:9090").0, "stops");
}

//! Gateways, in and out.

use netpol::policy::{Direction, Layer, Settings};
use netpol::targets::Level;
use serde_json::{Value, json};

use super::super::build::{Build, MESH, build_in_mesh, build_with};

const IN: &str = "use std/istio (ingress-gateway)
allow ingress 203.0.113.0/24 -> garden/web:80/http via ingress-gateway at \"garden.example\" where path \"/api/**\"";
const OUT: &str = "use std/istio (egress-gateway)
allow egress garden/* -> zenquotes.io:443/tls via egress-gateway";

#[test]
fn trap_37_clients_are_judged_where_they_are_seen() {
    let build = build_in_mesh(IN).ok();
    let gateway = build.spec("AuthorizationPolicy", "istio-system", "istio-ingressgateway-ingress");
    assert_eq!(gateway["rules"][0]["from"], json!([{ "source": { "remoteIpBlocks": ["203.0.113.0/24"] } }]));
    assert_eq!(
        gateway["rules"][0]["to"][0]["operation"],
        json!({ "hosts": ["garden.example", "garden.example:*"], "paths": ["/api", "/api/*"] })
    );
    // Behind the gateway a forged header would count: the workload sees the gateway's identity and nothing else.
    let workload = build.spec("AuthorizationPolicy", "garden", "app-web-ingress");
    let principal = "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account";
    assert_eq!(workload["rules"][0]["from"], json!([{ "source": { "principals": [principal] } }]));
    assert_eq!(workload["rules"][0]["to"][0]["operation"], json!({ "ports": ["8080"], "paths": ["/api", "/api/*"] }));
    assert_eq!(build.judged(0, Direction::Ingress).0, Level::Exact);
}

#[test]
fn trap_37_the_gateways_other_hosts_pass_as_before() {
    let build = build_in_mesh(IN).ok();
    let gateway = build.spec("AuthorizationPolicy", "istio-system", "istio-ingressgateway-ingress");
    let hosts = ["garden.example", "garden.example:*", "garden.example.", "garden.example.:*"];
    assert_eq!(
        gateway["rules"].as_array().unwrap()[1..],
        [
            json!({ "to": [{ "operation": { "notHosts": hosts } }] }),
            json!({
                "to": [{ "operation": { "ports": ["8443"] } }],
                "when": [{ "key": "connection.sni", "notValues": ["garden.example"] }]
            })
        ]
    );
    // Where rules isolate the gateway itself, they say who passes.
    let closed = build_in_mesh(&format!("{IN}\nallow ingress 198.51.100.0/24 -> ingress-gateway")).ok();
    let gateway = closed.spec("AuthorizationPolicy", "istio-system", "istio-ingressgateway-ingress");
    let from: Vec<&Value> = gateway["rules"].as_array().unwrap().iter().map(|rule| &rule["from"]).collect();
    assert_eq!(from.len(), 2);
    assert!(from.iter().all(|from| from.is_array()), "{gateway}");
}

#[test]
fn trap_38_the_service_keeps_the_clients_address() {
    for source in [IN, "use std/istio (ingress-gateway)  allow ingress 203.0.113.0/24 -> ingress-gateway"] {
        let build = build_in_mesh(source).ok();
        let patch = build.one("Service");
        assert_eq!(patch["metadata"]["name"], "istio-ingressgateway");
        assert_eq!(patch["spec"], json!({ "externalTrafficPolicy": "Local" }));
        assert!(build.text().contains("==> patches/istio-system/istio-ingressgateway.patch"), "{}", build.text());
    }
    // Nobody's address is judged: nothing needs to be kept.
    let build = build_in_mesh("use std/istio (ingress-gateway)  allow ingress anywhere -> ingress-gateway").ok();
    assert_eq!(build.of("Service"), Vec::<Value>::new());
    let nlb = build_with(IN, Some(MESH), |settings| settings.aws_nlb = true).ok();
    let annotations = &nlb.one("Service")["metadata"]["annotations"];
    assert_eq!(annotations["service.beta.kubernetes.io/aws-load-balancer-healthcheck-port"], "15021");
}

#[test]
fn trap_53_the_gateway_sees_what_goes_through_it() {
    let build = build_in_mesh(OUT).ok();
    for kind in ["ServiceEntry", "VirtualService"] {
        assert_eq!(build.one(kind)["spec"]["exportTo"], json!([".", "istio-system"]));
    }
    assert_eq!(build.one("DestinationRule")["spec"]["exportTo"], json!(["."]));
}

#[test]
fn trap_59_the_way_out_is_closed_but_for_the_gateways_pods() {
    let both = |settings: &mut Settings| settings.targets = vec![Layer::NetworkPolicy, Layer::Istio];
    let build = build_with(OUT, Some(MESH), both).ok();
    let policy = build.spec("NetworkPolicy", "garden", "all-pods-egress");
    let gateway = policy["egress"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["to"][0]["podSelector"]["matchLabels"] == json!({ "istio": "egressgateway" }));
    assert_eq!(gateway.unwrap()["ports"], json!([{ "port": 8443, "protocol": "TCP" }]));
    assert!(policy["egress"].as_array().unwrap().iter().all(|entry| entry["to"][0].get("ipBlock").is_none()));
    assert!(!build.codes().contains(&"N0701"), "together the two layers are exact");
}

#[test]
fn trap_60_the_gateway_knows_who_asks_for_which_host() {
    let two = format!("{OUT}\nallow egress shop/@shared -> evil.example:443/tls via egress-gateway");
    let build = build_in_mesh(&two).ok();
    for (namespace, host) in [("garden", "zenquotes.io"), ("shop", "evil.example")] {
        let find = |kind: &str| {
            let found = build.of(kind).into_iter().find(|object| object["metadata"]["namespace"] == namespace);
            found.unwrap()["spec"].clone()
        };
        let server = &find("Gateway")["servers"][0];
        assert_eq!((&server["tls"]["mode"], &server["hosts"]), (&json!("ISTIO_MUTUAL"), &json!([host])));
        assert_eq!(server["port"]["number"], 8443);
        let settings = &find("DestinationRule")["subsets"][0]["trafficPolicy"]["portLevelSettings"][0];
        assert_eq!(settings["tls"], json!({ "mode": "ISTIO_MUTUAL", "sni": host }));
        let route = find("VirtualService");
        assert_eq!(route["tls"][0]["match"][0]["sniHosts"], json!([host]));
        assert_eq!(route["tls"][0]["route"][0]["destination"]["subset"], find("DestinationRule")["subsets"][0]["name"]);
    }
    let policy = build.spec("AuthorizationPolicy", "istio-system", "istio-egressgateway-ingress");
    let sni = |host: &str| json!([{ "key": "connection.sni", "values": [host] }]);
    assert_eq!(
        policy["rules"],
        json!([
            { "from": [{ "source": { "namespaces": ["garden"] } }], "when": sni("zenquotes.io") },
            { "from": [{ "source": { "principals": ["cluster.local/ns/shop/sa/shared"] } }], "when": sni("evil.example") },
            { "when": [{ "key": "connection.sni", "notValues": ["evil.example", "zenquotes.io"] }] }
        ])
    );
}

#[test]
fn trap_61_a_gateway_of_another_namespace_must_be_possible() {
    let build = build_with(OUT, Some(MESH), |settings| settings.scope_gateway_to_namespace = true);
    assert_eq!(build.judged(0, Direction::Egress).0, Level::Unable);
    assert_eq!(build.of("Gateway"), Vec::<Value>::new());
}

#[test]
fn trap_62_networkpolicy_leaves_the_mesh_its_control_plane() {
    let both = |settings: &mut Settings| settings.targets = vec![Layer::NetworkPolicy, Layer::Istio];
    let build = build_with("allow egress garden/* -> zenquotes.io:443", Some(MESH), both).ok();
    let policy = build.spec("NetworkPolicy", "garden", "all-pods-egress");
    let to_istiod = policy["egress"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["to"][0]["podSelector"]["matchLabels"] == json!({ "app": "istiod" }));
    assert_eq!(to_istiod.unwrap()["ports"], json!([{ "port": 15012, "protocol": "TCP" }]));
}

#[test]
fn trap_63_names_fit() {
    let long = format!("{}.example", ["a".repeat(60), "b".repeat(60), "c".repeat(60)].join("."));
    let build = build_in_mesh(&OUT.replace("zenquotes.io", &long)).ok();
    let label = |name: &Value| name.as_str().unwrap().len() <= 63 && !name.as_str().unwrap().contains('.');
    assert!(label(&build.one("Gateway")["metadata"]["name"]));
    assert!(label(&build.one("DestinationRule")["spec"]["subsets"][0]["name"]));
    for object in build.objects() {
        let ports = object["spec"]["ports"].as_array().cloned().unwrap_or_default();
        assert!(ports.iter().all(|port| label(&port["name"])));
        assert!(object["metadata"]["name"].as_str().unwrap().len() <= 253);
    }
}

#[test]
fn trap_63d_a_gateway_that_looks_like_a_sidecar_is_told() {
    assert!(!build_in_mesh(OUT).codes().contains(&"W0742"));
    let labelled = MESH.replace("istio: egressgateway }", "istio: egressgateway, security.istio.io/tlsMode: istio }");
    assert!(build_with(OUT, Some(&labelled), |_| ()).codes().contains(&"W0742"));
}

#[test]
fn trap_63f_the_gateways_service_is_not_imported() {
    let build: Build = build_in_mesh(OUT).ok();
    let imports = build.imports("garden", "all-pods-egress");
    assert_eq!(imports[&443], ["./zenquotes.io"]);
    assert!(imports.values().flatten().all(|host| !host.contains("istio-egressgateway")), "{imports:?}");
}

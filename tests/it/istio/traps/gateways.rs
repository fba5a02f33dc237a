//! Gateways, in and out.

use netpol::model::rules::Direction;
use netpol::settings::{Layer, Settings};
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
    // The workload knows the gateway by its identity, and asks for the same host.
    let workload = build.spec("AuthorizationPolicy", "garden", "app-web-ingress");
    let principal = "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account";
    assert_eq!(workload["rules"][0]["from"], json!([{ "source": { "principals": [principal] } }]));
    assert_eq!(
        workload["rules"][0]["to"][0]["operation"],
        json!({ "ports": ["8080"], "hosts": ["garden.example", "garden.example:*"], "paths": ["/api", "/api/*"] })
    );
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
            json!({ "to": [{ "operation": { "notPorts": ["8080", "8443"] } }] })
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
    let open = build_with(OUT, Some(MESH), both).ok();
    assert!(open.codes().contains(&"N0701"), "what else the gateway serves is open to pods that avoid their sidecar");
    let closed = format!("{OUT}\ndefault deny ingress egress-gateway");
    let build = build_with(&closed, Some(MESH), both).ok();
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
            { "from": [{ "source": { "principals": ["cluster.local/ns/garden/sa/*"] } }], "when": sni("zenquotes.io") },
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

/// A gateway that ends TLS for some names and passes on others, and listens on plain TCP.
const EDGE: &str = "gateway edge {
  pods edges/{app=envoy} account edges/@envoy service edges/envoy
  port 80 -> 8080/http port 443 -> 8443/https port 8444 -> 8444/tls port 5672/tcp
}
";

fn at_edge(rules: &str) -> (Build, Vec<Value>) {
    let build = super::super::build::build(&format!("{EDGE}{rules}")).ok();
    let policy = build.spec("AuthorizationPolicy", "edges", "app-envoy-ingress");
    (build, policy["rules"].as_array().unwrap().clone())
}

#[test]
fn trap_63i_only_the_host_counts_where_tls_ends() {
    let (build, rules) =
        at_edge("allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"a.example\"");
    assert_eq!(build.judged(0, Direction::Ingress).0, Level::Exact);
    let sni = |rule: &Value| rule["when"].is_array();
    let on_tls = json!([{ "operation": { "ports": ["8444"] } }]);
    // A rule on TLS names stands for the port that passes TLS on, and for no other.
    assert!(rules.iter().filter(|rule| sni(rule)).all(|rule| rule["to"] == on_tls), "{rules:#?}");
    assert!(rules.contains(&json!({ "to": [{ "operation": { "notPorts": ["8080", "8443", "8444"] } }] })));
}

#[test]
fn names_that_are_passed_on_are_judged_by_tls() {
    let rule = "allow ingress 203.0.113.0/24 -> garden/{app=web}:9443/tls via edge at \"a.example\"";
    let (build, rules) = at_edge(rule);
    let passed = json!({
        "from": [{ "source": { "remoteIpBlocks": ["203.0.113.0/24"] } }],
        "to": [{ "operation": { "ports": ["8444"] } }],
        "when": [{ "key": "connection.sni", "values": ["a.example"] }]
    });
    assert!(rules.contains(&passed), "{rules:#?}");
    let workload = build.spec("AuthorizationPolicy", "garden", "app-web-ingress");
    assert_eq!(workload["rules"][0]["to"][0]["operation"], json!({ "ports": ["9443"] }));
}

#[test]
fn a_port_without_names_is_judged_by_its_number() {
    let (_, rules) = at_edge("allow ingress 203.0.113.0/24 -> mq/{app=rabbit}:5672 via edge");
    assert_eq!(
        rules,
        [
            json!({
                "from": [{ "source": { "remoteIpBlocks": ["203.0.113.0/24"] } }],
                "to": [{ "operation": { "ports": ["5672"] } }]
            }),
            json!({ "to": [{ "operation": { "notPorts": ["5672"] } }] })
        ]
    );
}

#[test]
fn rules_for_one_host_lend_each_other_no_half() {
    let two = "allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"a.example\"
allow ingress 198.51.100.0/24 -> garden/{app=api}:8080/http via edge at \"a.example\"";
    let (build, _) = at_edge(two);
    let workload = build.spec("AuthorizationPolicy", "garden", "app-web-ingress");
    let source = json!({ "principals": ["cluster.local/ns/edges/sa/envoy"], "remoteIpBlocks": ["203.0.113.0/24"] });
    assert_eq!(workload["rules"][0]["from"], json!([{ "source": source }]));
    // Behind proxies the workload cannot know the client.
    let behind = format!("{}{two}", EDGE.replace("port 80", "proxies 1 port 80"));
    let behind = super::super::build::build(&behind);
    assert_eq!(behind.judged(0, Direction::Ingress).0, Level::Wider);
    // Where each host has its clients nothing can be lent.
    let (build, _) = at_edge(&two.replacen("a.example", "b.example", 1));
    let workload = build.spec("AuthorizationPolicy", "garden", "app-web-ingress");
    assert!(workload["rules"][0]["from"][0]["source"]["remoteIpBlocks"].is_null());
}

#[test]
fn a_gateway_that_other_labels_isolate_stays_closed() {
    for isolating in ["edges/{tier=edge}", "edges/*", "*/{tier=edge}", "*/*"] {
        let rule = "allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"a.example\"";
        let (_, rules) = at_edge(&format!("default deny ingress {isolating}\n{rule}"));
        assert_eq!(rules.len(), 1, "{isolating}: {rules:#?}");
    }
}

#[test]
fn gateway_objects_say_which_names_are_passed_on() {
    let manifests = "
apiVersion: v1
kind: Namespace
metadata: { name: edges }
---
apiVersion: v1
kind: Namespace
metadata: { name: garden }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: public, namespace: edges }
spec:
  selector: { app: envoy }
  servers:
    - { port: { number: 443, protocol: HTTPS }, hosts: ['*.example'], tls: { mode: SIMPLE } }
    - { port: { number: 8443, protocol: TLS }, hosts: [sso.example, 'garden/api.example'], tls: { mode: PASSTHROUGH } }
";
    let edge =
        "gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/https }";
    let rules = "allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"a.example\"
allow ingress 203.0.113.0/24 -> garden/{app=api}:9443/tls via edge at \"api.example\"";
    let build = build_with(&format!("{edge}\n{rules}"), Some(manifests), |_| ()).ok();
    let policy = build.spec("AuthorizationPolicy", "edges", "app-envoy-ingress");
    let rules = policy["rules"].as_array().unwrap();
    let by_sni = |name: &str, from: Value| {
        let mut rule = json!({
            "to": [{ "operation": { "ports": ["8443"] } }],
            "when": [{ "key": "connection.sni", "values": [name] }]
        });
        if !from.is_null() {
            rule["from"] = from;
        }
        rule
    };
    assert!(rules.contains(&by_sni("sso.example", Value::Null)), "{rules:#?}");
    let office = json!([{ "source": { "remoteIpBlocks": ["203.0.113.0/24"] } }]);
    assert!(rules.contains(&by_sni("api.example", office)), "{rules:#?}");
    assert!(rules.iter().all(|rule| rule["when"][0]["notValues"].is_null()), "{rules:#?}");
}

#[test]
fn a_wildcard_is_exact_where_tls_alone_names_it() {
    const PASSES: &str =
        "gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/tls }\n";
    let rule = "allow ingress 203.0.113.0/24 -> garden/{app=web}:9443/tls via edge at \"*.a.example\"";
    let build = super::super::build::build(&format!("{PASSES}{rule}")).ok();
    assert_eq!(build.judged(0, Direction::Ingress).0, Level::Exact);
    let policy = build.spec("AuthorizationPolicy", "edges", "app-envoy-ingress");
    let from = json!([{ "source": { "remoteIpBlocks": ["203.0.113.0/24"] } }]);
    let to = json!([{ "operation": { "ports": ["8443"] } }]);
    assert_eq!(
        policy["rules"],
        json!([
            { "from": from, "to": to, "when": [{ "key": "connection.sni", "values": ["*.a.example"] }] },
            { "to": to, "when": [{ "key": "connection.sni", "notValues": ["*.a.example"] }] },
            { "to": [{ "operation": { "notPorts": ["8443"] } }] }
        ])
    );
    // Of requests a pattern cannot say all names with every port, also where another block tells of their port.
    let other =
        "gateway front { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 80 -> 8080/http }\n";
    for requests in [EDGE.to_owned(), format!("{PASSES}{other}"), PASSES.replace("8443/tls", "8443")] {
        let build = super::super::build::build(&format!("{requests}{rule}"));
        assert_eq!(build.judged(0, Direction::Ingress).0, Level::Unable, "{requests}");
    }
    // A Gateway object that ends TLS for other names reads no request for these.
    let ends = |host: &str| {
        format!(
            "
apiVersion: v1
kind: Namespace
metadata: {{ name: edges }}
---
apiVersion: v1
kind: Namespace
metadata: {{ name: garden }}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: public, namespace: edges }}
spec:
  selector: {{ app: envoy }}
  servers:
    - {{ port: {{ number: 8443, protocol: HTTPS }}, hosts: ['{host}'], tls: {{ mode: SIMPLE }} }}
    - {{ port: {{ number: 8443, protocol: TLS }}, hosts: ['*.a.example'], tls: {{ mode: PASSTHROUGH }} }}
"
        )
    };
    let edge = PASSES.replace("8443/tls", "8443/https");
    for (host, level) in
        [("shop.example", Level::Exact), ("www.a.example", Level::Unable), ("*.example", Level::Unable)]
    {
        let build = build_with(&format!("{edge}{rule}"), Some(&ends(host)), |_| ());
        assert_eq!(build.judged(0, Direction::Ingress).0, level, "{host}");
    }
}

#[test]
fn what_nobody_tells_of_a_port_is_not_exact() {
    let untold = "gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 }
allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"a.example\"";
    let build = super::super::build::build(untold);
    assert_eq!(build.judged(0, Direction::Ingress).0, Level::Wider);
}

#[test]
fn a_gateway_reads_hosts_from_requests_and_from_tls() {
    let rule = "allow ingress anywhere -> edge where host \"a.example\"";
    let build = super::super::build::build(&format!("{}{rule}", EDGE.replace(" port 5672/tcp", ""))).ok();
    let policy = build.spec("AuthorizationPolicy", "edges", "app-envoy-ingress");
    assert_eq!(
        policy["rules"],
        json!([
            { "to": [{ "operation": { "ports": ["8444"] } }], "when": [{ "key": "connection.sni", "values": ["a.example"] }] },
            { "to": [{ "operation": { "ports": ["8080", "8443"], "hosts": ["a.example", "a.example:*"] } }] }
        ])
    );
}

#[test]
fn the_service_of_a_gateway_does_not_say_how_it_reads_tls() {
    // Istio's own chart calls the port `https`; TLS ends at the gateway all the same.
    let manifests = "
apiVersion: v1
kind: Service
metadata: { name: istio-ingressgateway, namespace: istio-system }
spec:
  type: LoadBalancer
  selector: { istio: ingressgateway }
  ports: [{ name: http2, port: 80, targetPort: 8080 }, { name: https, port: 443, targetPort: 8443 }]
";
    let rule = "use std/istio (ingress-gateway)
allow ingress anywhere -> ingress-gateway where host \"a.example\"";
    let build = build_with(rule, Some(manifests), |_| ()).ok();
    let policy = build.one("AuthorizationPolicy");
    let read = json!([{ "operation": { "ports": ["8080", "8443"], "hosts": ["a.example", "a.example:*"] } }]);
    assert_eq!(policy["spec"]["rules"][0]["to"], read);
}

#[test]
fn a_token_is_asked_for_where_no_other_rule_lets_the_gateway_in() {
    let rule = "issuer corp { url \"corp\" jwks \"https://login.example.com/keys\" at 203.0.113.9 }
allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"a.example\" where jwt corp";
    let judged = |more: &str| {
        let build = super::super::build::build(&format!("{EDGE}{rule}\n{more}"));
        build.judged(0, Direction::Ingress).0
    };
    assert_eq!(judged(""), Level::Exact);
    for other in ["edge -> garden/{app=web}", "edge -> garden/*:8080", "anywhere -> garden/{app=web}:8080"] {
        assert_eq!(judged(&format!("allow ingress {other}")), Level::Wider, "{other}");
    }
    for other in ["edge -> garden/{app=web}:9090", "edge -> garden/{app=api}:8080", "shop/* -> garden/*:8080"] {
        assert_eq!(judged(&format!("allow ingress {other}")), Level::Exact, "{other}");
    }
}

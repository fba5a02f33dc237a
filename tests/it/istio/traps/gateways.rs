//! Gateways, in and out.

use netpol::model::rules::Direction;
use netpol::targets::Level;
use serde_json::{Value, json};

use super::super::build::{Build, MESH, build, build_in_mesh, build_with};

const OUT: &str = "use std/istio (egress-gateway)
allow egress garden/* -> zenquotes.io:443/tls via egress-gateway";

#[test]
fn trap_59_the_way_out_is_closed_but_for_the_gateways_pods() {
    let open = Build::text_for_both(OUT, Some(MESH)).ok();
    assert!(open.codes().contains(&"N0701"), "what else the gateway serves is open to pods that avoid their sidecar");
    let closed = Build::text_for_both(&format!("{OUT}\ndefault deny ingress egress-gateway"), Some(MESH)).ok();
    assert!(!closed.codes().contains(&"N0701"), "together the two layers are exact");
}

#[test]
fn trap_63s_a_deny_of_addresses_does_not_reach_behind_the_gateway() {
    let codes = |source: &str| {
        let build = Build::text_for_both(&format!("use std/istio (egress-gateway)\n{source}"), Some(MESH));
        let codes = build.codes();
        (codes.contains(&"E0711"), codes.contains(&"E0791"))
    };
    let exit = "allow egress garden/* -> zenquotes.io:443/tls via egress-gateway\n";
    for (deny, is_refused) in [
        ("deny egress garden/* -> 198.51.100.0/24", true),
        ("deny egress */* -> 198.51.100.0/24:443", true),
        ("let evil = host evil.example at 198.51.100.66\ndeny egress garden/* -> evil:443", true),
        // The host is taken from these pods altogether, or the deny is of something else.
        ("deny egress garden/* -> outside", false),
        ("deny egress garden/* -> 198.51.100.0/24:80", false),
        ("deny egress garden/* -> 10.0.0.0/8", false),
        ("deny egress shop/* -> 198.51.100.0/24", false),
    ] {
        assert_eq!(codes(&format!("{exit}{deny}")), (is_refused, false), "{deny}");
    }
    let placed = "let db = host db.example at 198.51.100.50\nallow egress garden/* -> db:5432 via egress-gateway\n";
    assert_eq!(codes(&format!("{placed}deny egress garden/* -> 198.51.100.0/24")), (false, false));
}

/// Charts give the account of a gateway other names than the standard library does.
#[test]
fn the_account_of_a_gateway_of_the_library_is_that_of_its_pods() {
    let source = "use std/istio (ingress-gateway)
allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via ingress-gateway at \"a.example\"";
    let own = "serviceAccountName: istio-ingressgateway-service-account";
    let gateway = |account: &str| MESH.replace(own, &format!("serviceAccountName: {account}"));
    assert_ne!(gateway("edge"), MESH);
    for account in ["istio-ingressgateway-service-account", "edge"] {
        let build = Build::text_for_both(source, Some(&gateway(account))).ok();
        let principals = build.of("AuthorizationPolicy").iter().map(Value::to_string).collect::<String>();
        assert!(principals.contains(&format!("/ns/istio-system/sa/{account}\"")), "{account}: {principals}");
        assert_eq!(principals.matches("/sa/").count(), 1, "{principals}");
    }
}

#[test]
fn trap_61_a_gateway_of_another_namespace_must_be_possible() {
    let build = build_with(OUT, Some(MESH), |settings| settings.scope_gateway_to_namespace = true);
    assert_eq!(build.judged(0, Direction::Egress).0, Level::Unable);
    assert_eq!(build.of("Gateway"), Vec::<Value>::new());
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

/// A gateway that ends TLS for some names and passes on others, and listens on plain TCP.
const EDGE: &str = "gateway edge {
  pods edges/{app=envoy} account edges/@envoy service edges/envoy
  port 80 -> 8080/http port 443 -> 8443/https port 8444 -> 8444/tls port 5672/tcp
}
";

#[test]
fn a_workload_behind_proxies_cannot_know_the_client() {
    let two = "allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"a.example\"
allow ingress 198.51.100.0/24 -> garden/{app=api}:8080/http via edge at \"a.example\"";
    let judged = |edge: &str| build(&format!("{edge}{two}")).judged(0, Direction::Ingress).0;
    assert_eq!(judged(EDGE), Level::Exact);
    assert_eq!(judged(&EDGE.replace("port 80", "proxies 1 port 80")), Level::Wider);
}

#[test]
fn a_rule_about_a_gateway_behind_proxies_and_other_pods_judges_packets_and_says_so() {
    let proxied = EDGE.replace("port 80", "proxies 1 port 80");
    let judged = |edge: &str, rule: &str| build(&format!("{edge}{rule}")).judged(0, Direction::Ingress).0;
    for (rule, level) in [
        ("allow ingress 203.0.113.0/24 -> edges/*:8443", Level::Wider),
        ("deny ingress 203.0.113.0/24 -> edges/*:8443", Level::Unable),
        // Alone the gateway judges clients, and believes those who come past the proxies.
        ("allow ingress 203.0.113.0/24 -> edges/{app=envoy}:{8080, 8443}", Level::Bypassable),
        // In front of other pods are no proxies, and anybody is anybody.
        ("allow ingress 203.0.113.0/24 -> edges/{app=web}:8443", Level::Exact),
        ("allow ingress anywhere -> edges/*:8443", Level::Exact),
    ] {
        assert_eq!(judged(&proxied, rule), level, "{rule}");
        assert_eq!(judged(EDGE, rule), Level::Exact, "{rule}");
    }
}

#[test]
fn a_gateway_that_other_labels_isolate_stays_closed() {
    for isolating in ["edges/{tier=edge}", "edges/*", "*/{tier=edge}", "*/*"] {
        let rule = "allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"a.example\"";
        let build = build(&format!("{EDGE}default deny ingress {isolating}\n{rule}")).ok();
        let policy = build.spec("AuthorizationPolicy", "edges", "app-envoy-ingress");
        assert_eq!(policy["rules"].as_array().unwrap().len(), 1, "{isolating}: {policy:#}");
    }
}

#[test]
fn a_wildcard_is_exact_where_tls_alone_names_it() {
    const PASSES: &str =
        "gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/tls }\n";
    let rule = "allow ingress 203.0.113.0/24 -> garden/{app=web}:9443/tls via edge at \"*.a.example\"";
    let passed = build(&format!("{PASSES}{rule}")).ok();
    assert_eq!(passed.judged(0, Direction::Ingress).0, Level::Exact);
    // Of requests a pattern cannot say all names with every port, also where another block tells of their port.
    let other =
        "gateway front { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 80 -> 8080/http }\n";
    for requests in [EDGE.to_owned(), format!("{PASSES}{other}"), PASSES.replace("8443/tls", "8443")] {
        let build = build(&format!("{requests}{rule}"));
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
    let build = build(untold);
    assert_eq!(build.judged(0, Direction::Ingress).0, Level::Wider);
}

#[test]
fn a_token_is_asked_for_where_no_other_rule_lets_the_gateway_in() {
    let rule = "issuer corp { url \"corp\" jwks \"https://login.example.com/keys\" at 203.0.113.9 }
allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"a.example\" where jwt corp";
    let judged = |more: &str| {
        let build = build(&format!("{EDGE}{rule}\n{more}"));
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

#[test]
fn a_forwarded_address_is_believed_from_the_proxies_alone() {
    let sources = |proxies: &str, source: &str| -> Vec<Value> {
        let head = format!(
            "gateway edge {{ pods edges/{{app=envoy}} account edges/@envoy service edges/envoy port 80 -> 8080/http {proxies} }}"
        );
        let build = build(&format!("{head}\n{source}")).ok();
        let end = if source.starts_with("deny") { "-deny" } else { "" };
        let policy = build.spec("AuthorizationPolicy", "edges", &format!("app-envoy-ingress{end}"));
        policy["rules"].as_array().unwrap().iter().map(|rule| rule["from"][0]["source"].clone()).collect()
    };
    let (via, own) = (
        "allow ingress 192.0.2.0/24 -> garden/{app=web}:8080/http via edge at \"garden.example\"",
        "allow ingress 192.0.2.0/24 -> edge",
    );
    for rule in [via, own] {
        let believed = json!({ "remoteIpBlocks": ["192.0.2.0/24"], "ipBlocks": ["203.0.113.0/24"] });
        assert_eq!(sources("proxies 1 from 203.0.113.0/24", rule)[0], believed, "{rule}");
        assert_eq!(sources("proxies 1", rule)[0], json!({ "remoteIpBlocks": ["192.0.2.0/24"] }), "{rule}");
    }
    // A deny counts for whoever a proxy says is such a client, or says it himself, and for who is one.
    let denied = |clients: &str| {
        let head = EDGE.replace("port 80", "proxies 1 from 203.0.113.0/24 port 80");
        let build = build(&format!("{head}deny ingress {clients} -> edges/{{app=envoy}}:8443")).ok();
        assert_eq!(build.judged(0, Direction::Ingress).0, Level::Exact, "{clients}");
        let policy = build.spec("AuthorizationPolicy", "edges", "app-envoy-ingress-deny");
        let from = policy["rules"][0]["from"].as_array().cloned().unwrap_or_default();
        from.iter().map(|from| from["source"].clone()).collect::<Vec<Value>>()
    };
    let said = |net: &str| json!({ "remoteIpBlocks": [net] });
    assert_eq!(denied("192.0.2.0/24"), [said("192.0.2.0/24"), json!({ "ipBlocks": ["192.0.2.0/24"] })]);
    // The proxies themselves may have such addresses.
    assert_eq!(denied("203.0.113.7"), [said("203.0.113.7/32".trim_end_matches("/32"))]);
    let around = json!({ "ipBlocks": ["203.0.112.0/22"], "notIpBlocks": ["203.0.113.0/24"] });
    assert_eq!(denied("203.0.112.0/22"), [said("203.0.112.0/22"), around]);
}

#[test]
fn a_host_that_a_gateway_cannot_tell_from_others_is_left_open_with_a_reason() {
    let head = "use std/istio (egress-gateway)
let db = host db.example at 203.0.113.7
allow egress garden/* -> db:5432 via egress-gateway\n";
    let judged = |more: &str| build(&format!("{head}{more}")).judged(0, Direction::Egress).0;
    assert_eq!(judged(""), Level::Bypassable);
    // One ServiceEntry would ask for the address on the other port too.
    assert_eq!(judged("allow egress garden/* -> db:443"), Level::Unable);
    let two = "use std/istio (egress-gateway)\nallow egress garden/* -> a.example:{80, 443} via egress-gateway";
    assert_eq!(build(two).judged(0, Direction::Egress).0, Level::Unable, "one name in the mesh's TLS is one port");
    let hint = "-> a.example:80/http via egress-gateway";
    assert!(build(two).said("E0711").contains(&format!("`{hint}`")), "{}", build(two).said("E0711"));
    let hinted =
        format!("use std/istio (egress-gateway)\nallow egress garden/* {hint}\nallow egress garden/* -> a.example:443");
    assert_eq!(build(&hinted).ok().judged(0, Direction::Egress).0, Level::Bypassable);
}

#[test]
fn a_pod_elsewhere_with_the_labels_of_a_gateway_in_the_root_namespace_is_not_opened_along_with_it() {
    let rule = "use std/istio (ingress-gateway)
allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via ingress-gateway at \"a.example\"";
    for (rule, direction, gateway) in
        [(rule, Direction::Ingress, "ingressgateway"), (OUT, Direction::Egress, "egressgateway")]
    {
        let beside = |labels: &str| {
            let twin = format!(
                "---
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: twin, namespace: garden }}
spec:
  selector: {{ matchLabels: {{ {labels} }} }}
  template: {{ metadata: {{ labels: {{ {labels} }} }}, spec: {{ containers: [{{ name: app, image: app }}] }} }}
"
            );
            build_with(rule, Some(&format!("{MESH}{twin}")), |_| ())
        };
        let selector = |build: &Build| {
            let policies = build.of("AuthorizationPolicy");
            let at = policies.iter().find(|policy| policy["metadata"]["namespace"] == "istio-system");
            at.map(|policy| policy["spec"]["selector"]["matchLabels"].clone())
        };
        let labels = format!("istio: {gateway}");
        assert_eq!(selector(&beside("app: twin")), Some(json!({ "istio": gateway })), "{rule}");
        let both = json!({ "app": format!("istio-{gateway}"), "istio": gateway });
        assert_eq!(selector(&beside(&labels)), Some(both), "the label that the twin lacks is asked for, too");

        let like = beside(&format!("app: istio-{gateway}, {labels}"));
        let (level, words) = like.judged(0, direction);
        assert_eq!((level, selector(&like)), (Level::Unable, None), "{rule}");
        assert!(words.contains("garden/twin has their labels"), "{words}");
    }
}

#[test]
fn a_gateway_on_the_way_out_does_not_ask_what_requests_say() {
    for clause in ["where method GET", "where path \"/v1/**\"", "where header x-team \"web\""] {
        let source = OUT.replace(":443/tls", ":80/http");
        let build = build_in_mesh(&format!("{source} {clause}"));
        assert_eq!(build.judged(0, Direction::Egress).0, Level::Wider, "{clause}");
        assert!(build.codes().contains(&"E0711"), "{clause}");
    }
}

#[test]
fn a_public_host_that_no_request_has_closes_the_pods() {
    let gateway = "use std/istio (ingress-gateway)\n";
    let rule = "allow ingress 203.0.113.0/24 -> garden/*:8080/http via ingress-gateway at \"a.example\"";
    let build = build_in_mesh(&format!("{gateway}{rule} where host \"b.example\"\n")).ok();
    let policies = build.of("AuthorizationPolicy");
    assert!(
        policies
            .iter()
            .any(|policy| policy["metadata"]["namespace"] == "garden" && policy["spec"]["rules"] == json!([]))
    );
}

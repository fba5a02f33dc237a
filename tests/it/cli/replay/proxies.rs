//! Logs of proxies: what Envoy and ztunnel tell of flows, and of those that they refuse.

use serde_json::{Value, json};

use super::{denied, envoy, found, lines, replay, shop, ztunnel};

#[test]
fn envoy_tells_addresses_which_the_inventory_knows() {
    let here = shop();
    let inbound = json!({
        "upstream_cluster": "inbound|8080||", "upstream_local_address": "127.0.0.6:53013",
        "downstream_local_address": "10.244.2.7:8080", "requested_server_name": "outbound_.8080_._.api.garden.svc.cluster.local",
    });
    let outside = |cluster: &str, asked: &str| {
        json!({
            "upstream_cluster": cluster, "upstream_host": "34.117.118.44:443", "requested_server_name": asked,
            "downstream_local_address": "34.117.118.44:443", "method": null, "path": null, "authority": null,
        })
    };
    let log = lines(&[
        envoy(json!({})),
        envoy(inbound.clone()),
        envoy(
            json!({ "upstream_host": "10.244.3.9:5432", "upstream_cluster": "outbound|5432||db.payments.svc.cluster.local" }),
        ),
        envoy(outside("outbound|443||zenquotes.io", "zenquotes.io")),
        envoy(outside("PassthroughCluster", "zenquotes.io")),
        envoy(outside("PassthroughCluster", "example.com")),
        envoy(outside("BlackHoleCluster", "example.com")),
        envoy(json!({ "upstream_host": null })),
        // Nobody knows the sender: it is an address for the policy.
        envoy(json!({
            "upstream_cluster": "inbound|8080||", "downstream_local_address": "10.244.2.7:8080",
            "downstream_remote_address": "203.0.113.9:40000",
        })),
        json!({ "level": "info", "time": "2024-06-02T13:24:57.930Z", "scope": "cache", "msg": "generated new workload certificate" }),
    ]);
    let found = found(&here, &log);
    let expected = [
        ("garden/web -> payments/db:5432", 1),
        ("garden/web -> example.com:443", 1),
        ("203.0.113.9 -> garden/api:8080", 1),
    ];
    assert_eq!(denied(&found), expected.map(|(text, count)| (text.to_owned(), count)), "{found:#}");
    assert_eq!(found["allowed"], 4);
    assert_eq!(found["refused_before"], json!({ "still_denied": 1, "now_allowed": 0 }));
    assert_eq!((&found["passed_over"]["service"], &found["passed_over"]["no_flow"]), (&json!(1), &json!(1)));
}

#[test]
fn a_gateway_takes_one_flow_and_makes_another() {
    let here = shop();
    let log = lines(&[envoy(json!({
        "upstream_local_address": "10.244.1.5:38000", "downstream_local_address": "10.244.1.5:8443",
        "downstream_remote_address": "203.0.113.9:8459", "requested_server_name": "shop.example.com",
    }))]);
    let found = found(&here, &log);
    assert_eq!((&found["lines"], &found["flows"], &found["allowed"]), (&json!(1), &json!(2), &json!(2)), "{found:#}");
    let log = log.replace("10.244.2.7:8080", "10.244.2.7:9999");
    assert_eq!(denied(&super::found(&here, &log)), [("garden/web -> garden/api:9999".to_owned(), 1)]);
}

/// Port 0 is that of an address from `X-Forwarded-For`.
#[test]
fn a_client_from_a_header_is_no_sender() {
    let here = shop();
    let behind = |port: u16, more: Value| {
        let mut line = envoy(json!({
            "upstream_cluster": "inbound|8080||", "upstream_local_address": "127.0.0.6:43741",
            "downstream_local_address": "10.244.2.7:8080",
            "downstream_remote_address": format!("203.0.113.9:{port}"),
            "requested_server_name": "outbound_.8080_._.api.garden.svc.cluster.local",
        }));
        for (key, value) in more.as_object().unwrap() {
            line[key] = value.clone();
        }
        line
    };
    // The key of a line without its time must tell both apart.
    let log = lines(&[behind(0, json!({})), behind(8459, json!({})), behind(0, json!({}))]);
    let found = found(&here, &log);
    assert_eq!(denied(&found), [("203.0.113.9 -> garden/api:8080".to_owned(), 1)], "{found:#}");
    assert_eq!(found["passed_over"]["forwarded"], 2);
    let gateway = json!({ "downstream_peer_uri_san": "spiffe://cluster.local/ns/istio-system/sa/edge" });
    let found = super::found(&here, &lines(&[behind(0, gateway)]));
    assert_eq!(denied(&found), [("istio-system/@edge -> garden/api:8080".to_owned(), 1)], "{found:#}");
    assert_eq!(found["passed_over"]["forwarded"], 0);
}

/// What was refused when it was recorded is no loss, and no rule is suggested for it.
#[test]
fn refusals_of_every_proxy_are_known() {
    let here = shop();
    let outside = json!({
        "upstream_cluster": null, "upstream_host": null, "upstream_local_address": null,
        "downstream_local_address": "198.51.100.7:80", "authority": "elsewhere.example",
    });
    let of = |base: &Value, more: Value| {
        let mut line = envoy(base.clone());
        for (key, value) in more.as_object().unwrap() {
            line[key] = value.clone();
        }
        line
    };
    let gateway = json!({
        "upstream_host": null, "upstream_local_address": null, "response_code": 403,
        "downstream_local_address": "10.244.1.5:8443", "downstream_remote_address": "203.0.113.9:8459",
    });
    let refused = [
        of(
            &outside,
            json!({ "route_name": "block_all", "response_code": 502, "response_code_details": "direct_response" }),
        ),
        of(
            &outside,
            json!({ "response_flags": "UH", "method": null, "path": null, "authority": null, "response_code": 0 }),
        ),
        of(
            &gateway,
            json!({ "response_code_details": "rbac_access_denied_matched_policy[ns[garden]-policy[x]-rule[0]]" }),
        ),
        ztunnel(json!({ "dst.hbone_addr": "10.244.2.7:9092", "error": "http status: 401 Unauthorized" })),
    ];
    for line in &refused {
        let found = found(&here, &lines(std::slice::from_ref(line)));
        let before = &found["refused_before"];
        let count = before["still_denied"].as_u64().unwrap() + before["now_allowed"].as_u64().unwrap();
        assert_eq!((count, &found["denied"]), (1, &json!(0)), "{line}\n{found:#}");
    }
    let run = replay(&here, &lines(&refused), &["--suggest"]);
    assert!(!run.out.lines().any(|line| line.starts_with("allow")), "{}", run.out);
    // An upstream that is not healthy is no refusal.
    let unhealthy = of(
        &gateway,
        json!({ "response_code": 503, "response_flags": "UH", "response_code_details": "no_healthy_upstream" }),
    );
    assert_eq!(found(&here, &lines(&[unhealthy]))["passed_over"]["service"], 1);
}

#[test]
fn ztunnel_tells_names_of_pods_and_identities() {
    let here = shop();
    let log = lines(&[
        ztunnel(json!({})),
        ztunnel(json!({ "message": "connection opened" })),
        // The Pod is gone; its name tells the Deployment.
        ztunnel(json!({ "src.workload": "web-7bbc8d9f5c-zzzzz", "src.addr": "10.244.1.77:52252" })),
        ztunnel(json!({ "dst.hbone_addr": "10.244.2.7:9090" })),
        ztunnel(json!({ "dst.hbone_addr": "10.244.2.7:9091", "error": "connection closed due to policy rejection" })),
        ztunnel(json!({ "dst.hbone_addr": "10.96.108.116:80" })),
        ztunnel(json!({ "src.workload": "stranger", "src.addr": "10.244.1.78:1" })),
        ztunnel(json!({
            "dst.addr": "142.251.151.119:443", "dst.hbone_addr": null, "dst.service": "zenquotes.io",
            "dst.workload": null, "dst.namespace": null, "dst.identity": null,
        })),
    ]);
    let found = found(&here, &log);
    let expected = [("garden/web -> garden/api:9090", 1), ("garden/@default -> garden/api:8080", 1)];
    assert_eq!(denied(&found), expected.map(|(text, count)| (text.to_owned(), count)), "{found:#}");
    assert_eq!((&found["allowed"], &found["unexplained"], &found["unlabelled"]), (&json!(3), &json!(1), &json!(1)));
    assert_eq!(found["unexplained_groups"][0]["sentence"], "garden/@default -> garden/api:8080");
    assert_eq!((&found["passed_over"]["service"], &found["passed_over"]["no_flow"]), (&json!(1), &json!(1)));
}

//! Logs of the flows of a policy, as the programs write them; each line has a time and a client's port of its own.

use serde_json::{Value, json};

use crate::flows::{Flow, World};

/// So many different flows, of which each comes again and again.
const DIFFERENT: usize = 2000;

/// Returns lines of Hubble.
pub fn hubble(world: &World, count: usize) -> Vec<Vec<u8>> {
    lines(world, count, |flow, number| {
        let (protocol, port) = protocol_and_port(flow);
        let l4 = json!({ protocol: { "source_port": 32768 + number % 28000, "destination_port": port,
            "flags": { "SYN": true } } });
        json!({
            "flow": {
                "time": time(number), "uuid": format!("{number:08x}-2f2b-4d6a-9d4c-0a1b2c3d4e5f"), "verdict": "FORWARDED",
                "ethernet": { "source": "ee:59:ff:5c:a4:8f", "destination": "12:44:8c:31:3c:6b" },
                "IP": { "source": "10.0.1.7", "destination": address(&flow.destination), "ipVersion": "IPv4" },
                "l4": l4,
                "source": endpoint(&flow.source), "destination": endpoint(&flow.destination),
                "Type": "L3_L4", "node_name": "kind-worker", "event_type": { "type": 4 },
                "traffic_direction": "INGRESS", "trace_observation_point": "TO_ENDPOINT", "is_reply": false,
                "Summary": "TCP Flags: SYN"
            },
            "node_name": "kind-worker", "time": time(number)
        })
        .to_string()
    })
}

/// Returns lines of ztunnel.
pub fn ztunnel(world: &World, count: usize) -> Vec<Vec<u8>> {
    lines(world, count, |flow, number| {
        let (_, port) = protocol_and_port(flow);
        let end = |value: &Value| {
            let namespace = value["namespace"].as_str().unwrap_or("other");
            let account = value["account"].as_str().unwrap_or("default");
            (format!("w-{namespace}-5d9c8bf7d-x2k4q"), namespace.to_owned(), identity(namespace, account))
        };
        let (source, destination) = (end(&flow.source), end(&flow.destination));
        json!({
            "level": "info", "time": time(number), "scope": "access", "message": "connection complete",
            "src.addr": format!("10.244.1.13:{}", 32768 + number % 28000), "src.workload": source.0,
            "src.namespace": source.1, "src.identity": source.2,
            "dst.addr": "10.244.1.12:15008", "dst.hbone_addr": format!("10.244.1.12:{port}"),
            "dst.service": format!("api.{}.svc.cluster.local", destination.1), "dst.workload": destination.0,
            "dst.namespace": destination.1, "dst.identity": destination.2, "direction": "inbound",
            "bytes_sent": number, "bytes_recv": 178, "duration": "4ms"
        })
        .to_string()
    })
}

/// Returns lines of Envoy.
pub fn envoy(world: &World, count: usize) -> Vec<Vec<u8>> {
    lines(world, count, |flow, number| {
        let (_, port) = protocol_and_port(flow);
        let (namespace, account) = (flow.source["namespace"].as_str(), flow.source["account"].as_str());
        json!({
            "start_time": time(number), "method": "GET", "path": format!("/api/quotes/{}", number % DIFFERENT),
            "protocol": "HTTP/1.1", "response_code": 200, "response_flags": "-", "response_code_details": "via_upstream",
            "connection_termination_details": null, "upstream_transport_failure_reason": null,
            "bytes_received": 0, "bytes_sent": number, "duration": 5, "upstream_service_time": "4",
            "x_forwarded_for": null, "user_agent": "curl/8.5.0", "request_id": format!("{number:08x}-7cfd-4b1e"),
            "authority": "api.garden:8080", "upstream_host": "10.244.1.12:8080",
            "upstream_cluster": format!("inbound|{port}||"), "upstream_local_address": "127.0.0.6:47911",
            "downstream_local_address": format!("10.244.1.12:{port}"),
            "downstream_remote_address": format!("10.244.1.7:{}", 32768 + number % 28000),
            "downstream_peer_uri_san": identity(namespace.unwrap_or("other"), account.unwrap_or("default")),
            "requested_server_name": "outbound_.8080_._.api.garden.svc.cluster.local", "route_name": "default"
        })
        .to_string()
    })
}

/// Returns lines of `eval --flows`.
pub fn questions(world: &World, count: usize) -> Vec<Vec<u8>> {
    lines(world, count, |flow, _| {
        let (_, port) = protocol_and_port(flow);
        let end = |value: &Value| match value["namespace"].as_str() {
            Some(namespace) => {
                let labels = value["labels"].as_object().into_iter().flatten();
                let labels: Vec<String> =
                    labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
                match labels.is_empty() {
                    // `garden/*` would be many pods; a label that no rule asks for is one without labels.
                    true => format!("{namespace}/{{asked-for=nowhere}}"),
                    false => format!("{namespace}/{{{}}}", labels.join(", ")),
                }
            }
            None => value["host"].as_str().or(value["address"].as_str()).unwrap_or("192.0.2.1").to_owned(),
        };
        let to = end(&flow.destination);
        let to = if to.contains(':') { format!("[{to}]") } else { to };
        json!({ "from": end(&flow.source), "to": format!("{to}:{port}") }).to_string()
    })
}

fn lines(world: &World, count: usize, line: impl Fn(&Flow, usize) -> String) -> Vec<Vec<u8>> {
    let pods = |flow: &&Flow| flow.source.get("namespace").is_some() && flow.destination.get("namespace").is_some();
    let flows: Vec<&Flow> = world.flows.iter().filter(pods).take(DIFFERENT).collect();
    (0..count).map(|number| line(flows[number % flows.len()], number).into_bytes()).collect()
}

fn time(number: usize) -> String {
    let (second, nanos) = (number / 1000, number % 1000 * 1_000_003);
    format!("2026-11-27T{:02}:{:02}:{:02}.{nanos:09}Z", second / 3600, second / 60 % 60, second % 60)
}

fn protocol_and_port(flow: &Flow) -> (&'static str, u32) {
    (if flow.port >> 16 == 17 { "UDP" } else { "TCP" }, flow.port & 0xffff)
}

fn address(party: &Value) -> &str {
    party["address"].as_str().unwrap_or("10.0.2.9")
}

fn identity(namespace: &str, account: &str) -> String {
    format!("spiffe://cluster.local/ns/{namespace}/sa/{account}")
}

fn endpoint(party: &Value) -> Value {
    let namespace = party["namespace"].as_str().unwrap_or("other");
    let labels = party["labels"].as_object().into_iter().flatten();
    let mut labels: Vec<String> =
        labels.map(|(key, value)| format!("k8s:{key}={}", value.as_str().unwrap_or_default())).collect();
    labels.extend([
        "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=".to_owned() + namespace,
        "k8s:io.cilium.k8s.policy.cluster=default".to_owned(),
        "k8s:io.cilium.k8s.policy.serviceaccount=".to_owned() + party["account"].as_str().unwrap_or("default"),
        "k8s:io.kubernetes.pod.namespace=".to_owned() + namespace,
    ]);
    json!({ "ID": 1234, "identity": 5678, "cluster_name": "default", "namespace": namespace, "labels": labels,
        "pod_name": format!("w-{namespace}-5d9c8bf7d-x2k4q"), "workloads": [{ "name": "w", "kind": "Deployment" }] })
}

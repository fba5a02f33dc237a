//! Tests of `replay`: the formats of logs, what they tell, and what is found.

mod proxies;

use std::io::Write;

use serde_json::{Value, json};

use super::{Run, folder, netpol, netpol_with};
use crate::common::Cluster;

const SHOP: &str = "allow garden/web -> garden/api:8080
allow egress garden/web -> zenquotes.io:443
deny garden/* -> payments/{app=db}:22
allow ingress payments/{app=db} -> garden/api:7070
";

/// A Pod as a cluster has it, made by the ReplicaSet of a Deployment.
fn pod(place: &str, app: &str, address: &str, account: &str) -> String {
    let (namespace, name) = place.split_once('/').unwrap();
    let proxy = if namespace == "garden" { ", { name: istio-proxy, image: p }" } else { "" };
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: {namespace}
  labels: {{ app: {app}, pod-template-hash: 5d9c8bf7d }}
  ownerReferences: [{{ apiVersion: apps/v1, kind: ReplicaSet, name: {app}-5d9c8bf7d, controller: true }}]
spec: {{ serviceAccountName: {account}, containers: [{{ name: c, image: i }}{proxy}] }}
status: {{ phase: Running, podIPs: [{{ ip: {address} }}] }}
"
    )
}

fn cluster() -> String {
    let workloads = Cluster::default()
        .namespace("garden", "team: green, istio-injection: enabled")
        .namespace("payments", "")
        .namespace("kube-system", "")
        .deployment("garden/web", "")
        .deployment("garden/api", "{ containerPort: 8080 }")
        .deployment("payments/db", "");
    let service = "apiVersion: v1
kind: Service
metadata: { name: front, namespace: garden }
spec: { selector: { app: api }, clusterIP: 10.96.0.20, clusterIPs: [10.96.0.20], ports: [{ port: 80, targetPort: 8080 }] }
";
    [
        workloads.text(),
        service.to_owned(),
        pod("garden/web-5d9c8bf7d-x2k4q", "web", "10.244.1.5", "default"),
        pod("garden/api-5d9c8bf7d-bbbbb", "api", "10.244.2.7", "default"),
        pod("payments/db-5d9c8bf7d-ccccc", "db", "10.244.3.9", "default"),
    ]
    .join("---\n")
}

fn shop() -> tempfile::TempDir {
    folder(&[("shop/web.netpol", SHOP), ("cluster.yaml", &cluster())])
}

fn replay(here: &tempfile::TempDir, log: &str, more: &[&str]) -> Run {
    let arguments =
        ["replay", "-", "--policy", "shop", "--inventory", "cluster.yaml", "--target", "networkpolicy,istio"];
    netpol_with(here.path(), &[&arguments, more].concat(), log.as_bytes())
}

fn found(here: &tempfile::TempDir, log: &str) -> Value {
    let run = replay(here, log, &["--format", "json"]);
    assert!(run.code < 2, "{}", run.err);
    serde_json::from_str(&run.out).unwrap()
}

/// The sentences of denied flows with their numbers.
fn denied(found: &Value) -> Vec<(String, u64)> {
    let groups = found["denied_groups"].as_array().unwrap().iter();
    groups.map(|group| (group["sentence"].as_str().unwrap().to_owned(), group["count"].as_u64().unwrap())).collect()
}

fn lines(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// An event of Hubble: a connection that begins.
fn hubble(from: Value, to: Value, addresses: [&str; 2], port: u16, more: Value) -> Value {
    let mut flow = json!({
        "time": "2024-04-27T21:36:04.373296596Z",
        "uuid": "3ce41f60-b203-4e43-ab34-c89f631f7cd2",
        "verdict": "FORWARDED",
        "ethernet": { "source": "9e:f7:72:78:39:c7", "destination": "d6:55:a3:91:69:37" },
        "IP": { "source": addresses[0], "destination": addresses[1], "ipVersion": "IPv4" },
        "l4": { "TCP": { "source_port": 47812, "destination_port": port, "flags": { "SYN": true } } },
        "source": from,
        "destination": to,
        "Type": "L3_L4",
        "node_name": "kind-kind/kind-worker3",
        "event_type": { "type": 4, "sub_type": 4 },
        "traffic_direction": "EGRESS",
        "trace_observation_point": "TO_OVERLAY",
        "is_reply": false,
        "Summary": "TCP Flags: SYN",
    });
    for (key, value) in more.as_object().unwrap() {
        flow[key] = value.clone();
    }
    json!({ "flow": flow, "node_name": "kind-kind/kind-worker3", "time": "2024-04-27T21:36:04.373296596Z" })
}

/// An endpoint of Hubble that is a pod.
fn endpoint(place: &str, app: &str) -> Value {
    let (namespace, name) = place.split_once('/').unwrap();
    json!({
        "ID": 1881,
        "identity": 9889,
        "namespace": namespace,
        "labels": [
            format!("k8s:app={app}"),
            format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={namespace}"),
            "k8s:io.cilium.k8s.namespace.labels.tier=front",
            "k8s:io.cilium.k8s.policy.cluster=kind-kind",
            "k8s:io.cilium.k8s.policy.serviceaccount=default",
            format!("k8s:io.kubernetes.pod.namespace={namespace}"),
        ],
        "pod_name": name,
        "workloads": [{ "name": app, "kind": "Deployment" }],
    })
}

fn world() -> Value {
    json!({ "identity": 2, "labels": ["reserved:world"] })
}

/// A line of Envoy with the fields of Istio's format.
fn envoy(fields: Value) -> Value {
    let mut line = json!({
        "start_time": "2024-06-02T13:24:57.930Z", "method": "GET", "path": "/quotes?n=1", "protocol": "HTTP/1.1",
        "response_code": 200, "response_flags": "-", "response_code_details": "via_upstream",
        "connection_termination_details": null, "upstream_transport_failure_reason": null, "bytes_received": 0,
        "bytes_sent": 33, "duration": 12, "upstream_service_time": "11", "x_forwarded_for": null,
        "user_agent": "curl/8.5.0", "request_id": "9f69865b-eed1-409b-8c12-12436234a191", "authority": "api.garden:8080",
        "upstream_host": "10.244.2.7:8080", "upstream_cluster": "outbound|8080||api.garden.svc.cluster.local",
        "upstream_local_address": "10.244.1.5:41010", "downstream_local_address": "10.96.108.116:8080",
        "downstream_remote_address": "10.244.1.5:35794", "requested_server_name": null, "route_name": "default",
    });
    for (key, value) in fields.as_object().unwrap() {
        line[key] = value.clone();
    }
    line
}

/// A line of ztunnel.
fn ztunnel(fields: Value) -> Value {
    let mut line = json!({
        "level": "info", "time": "2024-10-19T01:39:58.302146Z", "scope": "access", "message": "connection complete",
        "src.addr": "10.244.1.5:52252", "src.workload": "web-5d9c8bf7d-x2k4q", "src.namespace": "garden",
        "src.identity": "spiffe://cluster.local/ns/garden/sa/default",
        "dst.addr": "10.244.2.7:15008", "dst.hbone_addr": "10.244.2.7:8080",
        "dst.service": "api.garden.svc.cluster.local", "dst.workload": "api-5d9c8bf7d-bbbbb", "dst.namespace": "garden",
        "dst.identity": "spiffe://cluster.local/ns/garden/sa/default",
        "direction": "outbound", "bytes_sent": 67, "bytes_recv": 490, "duration": "13ms",
    });
    for (key, value) in fields.as_object().unwrap() {
        line[key] = value.clone();
    }
    line
}

#[test]
fn hubble_tells_pods_by_name_and_by_labels() {
    let here = shop();
    let (web, api) = (endpoint("garden/web-5d9c8bf7d-x2k4q", "web"), endpoint("garden/api-5d9c8bf7d-bbbbb", "api"));
    let gone = endpoint("garden/web-5d9c8bf7d-zzzzz", "web");
    let to = ["10.244.1.5", "10.244.2.7"];
    let log = lines(&[
        hubble(web.clone(), api.clone(), to, 8080, json!({})),
        hubble(web.clone(), api.clone(), to, 9090, json!({ "time": "2024-04-27T21:40:00Z" })),
        // Of a Pod that is gone the labels are told, and its workload is known by them.
        hubble(gone, api.clone(), to, 9090, json!({ "time": "2024-04-27T21:30:00Z" })),
        hubble(
            web.clone(),
            world(),
            ["10.244.1.5", "34.117.118.44"],
            443,
            json!({ "destination_names": ["zenquotes.io"] }),
        ),
        hubble(web.clone(), world(), ["10.244.1.5", "34.117.118.44"], 443, json!({})),
        hubble(
            web.clone(),
            world(),
            ["10.244.1.5", "34.117.118.44"],
            80,
            json!({ "destination_names": ["ifconfig.me"] }),
        ),
    ]);
    let found = found(&here, &log);
    assert_eq!((&found["flows"], &found["allowed"], &found["denied"]), (&json!(6), &json!(2), &json!(4)), "{found:#}");
    let expected = [
        ("garden/web -> garden/api:9090", 2),
        ("garden/web -> 34.117.118.44:443", 1),
        ("garden/web -> ifconfig.me:80", 1),
    ];
    assert_eq!(denied(&found), expected.map(|(text, count)| (text.to_owned(), count)));
    let first = &found["denied_groups"][0];
    assert_eq!(
        (&first["first_seen"], &first["last_seen"]),
        (&json!("2024-04-27T21:30:00Z"), &json!("2024-04-27T21:40:00Z"))
    );
    assert_eq!((&found["unexplained"], &found["unlabelled"]), (&json!(0), &json!(0)));
    let unused: Vec<&Value> = found["unused_rules"].as_array().unwrap().iter().map(|rule| &rule["line"]).collect();
    assert_eq!(unused, [&json!(3), &json!(4)]);
}

#[test]
fn hubble_tells_more_than_flows_that_begin() {
    let here = shop();
    let (web, api) = (endpoint("garden/web-5d9c8bf7d-x2k4q", "web"), endpoint("garden/api-5d9c8bf7d-bbbbb", "api"));
    let to = ["10.244.1.5", "10.244.2.7"];
    let flags = |syn: bool, ack: bool| json!({ "TCP": { "source_port": 8080, "destination_port": 41010, "flags": { "SYN": syn, "ACK": ack } } });
    let node = json!({ "identity": 1, "labels": ["reserved:host"] });
    let log = lines(&[
        hubble(api.clone(), web.clone(), to, 41010, json!({ "is_reply": true })),
        hubble(api.clone(), web.clone(), to, 41010, json!({ "is_reply": null, "l4": flags(true, true) })),
        hubble(api.clone(), web.clone(), to, 41010, json!({ "is_reply": null, "l4": flags(false, true) })),
        hubble(node, api.clone(), to, 9999, json!({ "traffic_direction": "INGRESS" })),
        hubble(web.clone(), api.clone(), to, 9999, json!({ "verdict": "DROPPED", "is_reply": null })),
        hubble(web.clone(), api.clone(), to, 8080, json!({ "verdict": "DROPPED" })),
        hubble(web.clone(), world(), ["10.244.1.5", "10.96.0.20"], 80, json!({})),
        json!({ "lost_events": { "source": "HUBBLE_RING_BUFFER", "num_events_lost": 2 }, "node_name": "kind-worker" }),
    ]);
    let found = found(&here, &log);
    let passed = json!({ "reply": 2, "undirected": 1, "own_node": 1, "service": 1, "forwarded": 0, "no_flow": 1 });
    assert_eq!(found["passed_over"], passed);
    assert_eq!(found["refused_before"], json!({ "still_denied": 1, "now_allowed": 1 }));
    assert_eq!((&found["flows"], &found["denied"]), (&json!(2), &json!(0)));
}

#[test]
fn requests_of_hubble_are_judged_by_method_and_path() {
    let policy =
        "allow ingress garden/{app=web} -> garden/{app=api}:8080/http where method GET where path \"/quotes\"\n";
    let here = folder(&[("shop/a.netpol", policy), ("cluster.yaml", &cluster())]);
    let request = |method: &str, url: &str| {
        let http = json!({ "method": method, "url": url, "protocol": "HTTP/1.1", "headers": [{ "key": "Accept", "value": "*/*" }] });
        hubble(
            endpoint("garden/web-5d9c8bf7d-x2k4q", "web"),
            endpoint("garden/api-5d9c8bf7d-bbbbb", "api"),
            ["10.244.1.5", "10.244.2.7"],
            8080,
            json!({ "Type": "L7", "l7": { "type": "REQUEST", "http": http } }),
        )
    };
    let log = lines(&[
        request("GET", "http://api.garden:8080/quotes?n=1"),
        request("POST", "http://api.garden:8080/quotes"),
        request("GET", "http://api.garden:8080/admin"),
    ]);
    let found = found(&here, &log);
    assert_eq!((&found["allowed"], &found["denied"]), (&json!(1), &json!(2)), "{found:#}");
}

#[test]
fn the_format_is_told_for_each_line() {
    let here = shop();
    let (web, api) = (endpoint("garden/web-5d9c8bf7d-x2k4q", "web"), endpoint("garden/api-5d9c8bf7d-bbbbb", "api"));
    let event = hubble(web, api, ["10.244.1.5", "10.244.2.7"], 8080, json!({}));
    let flow = event["flow"].clone();
    let question = json!({ "from": "garden/web", "to": "garden/api:8080" });
    let mut log = lines(&[event, ztunnel(json!({})), flow, envoy(json!({})), question.clone(), ztunnel(json!({}))]);
    log.push_str(&format!("[pod/ztunnel-h8xcz/istio-proxy] {}\n", ztunnel(json!({}))));
    log.push_str(&lines(&[json!({ "from": "garden/api", "to": "payments/db:22" })]));
    let found = found(&here, &log);
    assert_eq!((&found["flows"], &found["allowed"]), (&json!(8), &json!(7)), "{found:#}");
    assert_eq!(denied(&found), [("garden/api -> payments/db:22".to_owned(), 1)]);
    let why = found["denied_groups"][0]["reasons"][0]["message"].as_str().unwrap();
    assert!(why.contains("shop/web.netpol:3   deny garden/* -> payments/{app=db}:22"), "{why}");
}

#[test]
fn lines_that_cannot_be_read_are_counted_and_told() {
    let here = shop();
    let log = format!(
        "{}\n\nnot json\n{{\"a\":1}}\n{{\"from\":\"garden/web\"}}\n{{\"flow\":{{\"verdict\":[]}}}}\n\u{ff}{}{}\n",
        json!({ "from": "garden/web", "to": "garden/api:8080" }),
        "x".repeat(1 << 20),
        json!({ "from": "garden/web", "to": "garden/api:8080" }),
    );
    let run = replay(&here, &log, &["--format", "json"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let found: Value = serde_json::from_str(&run.out).unwrap();
    let unread: Vec<u64> =
        found["unread"]["lines"].as_array().unwrap().iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!((&found["unread"]["count"], unread.as_slice()), (&json!(5), &[3, 4, 5, 6, 7][..]), "{found:#}");
    let run = replay(&here, "nothing\nto read\n", &[]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.starts_with("error: no line of the logs can be read; line 1: "), "{}", run.err);
    assert_eq!(replay(&here, "", &[]).code, 0);
    let text = "[2024-06-02T13:24:57.930Z] \"GET /{a} HTTP/1.1\" 200 - via_upstream - \"-\" 0 33 12 11 \"-\"\n";
    for log in [text.to_owned(), format!("[pod/web-0/istio-proxy] {text}")] {
        let run = replay(&here, &log, &[]);
        assert!(run.err.contains("`accessLogEncoding: JSON`"), "{}", run.err);
    }
}

#[test]
fn stdin_lies_in_no_folder() {
    let policy = "allow egress garden/* -> zenquotes.io:443\n";
    let here = folder(&[("deep/netpol.toml", ""), ("deep/a.netpol", policy)]);
    let log = b"x\n{\"from\":\"garden/web\",\"to\":\"zenquotes.io:443\"}\n";
    let run = netpol_with(here.path(), &["replay", "-", "--policy", "deep"], log);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(run.out.contains("unread       -:1: "), "{}", run.out);
}

#[test]
fn packed_logs_are_unpacked() {
    let here = shop();
    let log = lines(&[ztunnel(json!({ "dst.hbone_addr": "10.244.2.7:9090" }))]);
    std::fs::write(here.path().join("plain.jsonl"), &log).unwrap();
    let gzip = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    // Both may be appended to: a file then has several members or frames.
    std::fs::write(here.path().join("a.gz"), [gzip(&log), gzip(&log)].concat()).unwrap();
    let zstd =
        |text: &str| ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    std::fs::write(here.path().join("b.zst"), [zstd(&log), zstd(&log), zstd(&log)].concat()).unwrap();
    let arguments = ["replay", "plain.jsonl", "a.gz", "b.zst", "--policy", "shop", "--inventory", "cluster.yaml"];
    let arguments = [&arguments[..], &["--target", "networkpolicy,istio", "--format", "json"]].concat();
    let run = netpol(here.path(), &arguments);
    assert_eq!((run.code, run.err.as_str()), (1, ""));
    let found: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&found["lines"], denied(&found)[0].1), (&json!(6), 6));
    // One that breaks off is told, and the others count.
    let whole = gzip(&format!("{log}{log}"));
    std::fs::write(here.path().join("a.gz"), &whole[..whole.len() - 12]).unwrap();
    let run = netpol(here.path(), &arguments);
    let found: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&found["unread"]["count"], &found["unread"]["lines"][0]["log"]), (&json!(1), &json!("a.gz")));
    assert_eq!(found["broken_off"], json!([{ "log": "a.gz", "line": found["unread"]["lines"][0]["line"] }]));
    assert_eq!(run.code, 2);
    assert!(run.err.starts_with("error: `a.gz` cannot be read beyond line "), "{}", run.err);
    let run = netpol(here.path(), &arguments[..arguments.len() - 2]);
    assert_eq!(run.code, 2);
    assert!(run.out.contains("a.gz breaks off at line "), "{}", run.out);
}

#[test]
fn a_summary_is_text_or_markdown() {
    let here = shop();
    let log = lines(&[
        ztunnel(json!({ "dst.hbone_addr": "10.244.2.7:9090" })),
        ztunnel(json!({ "dst.hbone_addr": "10.244.2.7:9090", "time": "2024-10-19T02:00:00Z" })),
        ztunnel(json!({})),
        ztunnel(json!({ "src.workload": "stranger", "src.namespace": "payments", "src.identity": null })),
        json!({ "from": "garden/api", "to": "payments/db:22" }),
        json!({}),
    ]);
    let run = replay(&here, &log, &[]);
    assert_eq!((run.code, run.err.as_str()), (1, ""));
    insta::assert_snapshot!(run.out, @r"
    denied       2 × garden/web -> garden/api:9090   (-:1, 2024-10-19T01:39:58Z to 2024-10-19T02:00:00Z)
      egress     no rule allows this, and shop/web.netpol:1 isolates the pod; the nearest is shop/web.netpol:1   allow garden/web -> garden/api:8080
      ingress    no rule allows this, and shop/web.netpol:1 isolates the pod; the nearest is shop/web.netpol:1   allow garden/web -> garden/api:8080
    denied       1 × payments/* -> garden/api:8080   (-:4, 2024-10-19T01:39:58Z)
      ingress    no rule allows this, and shop/web.netpol:1 isolates the pod; the nearest is shop/web.netpol:4   allow ingress payments/{app=db} -> garden/api:7070
    denied       1 × garden/api -> payments/db:22   (-:5)
      egress     denied by shop/web.netpol:3   deny garden/* -> payments/{app=db}:22
      ingress    denied by shop/web.netpol:3   deny garden/* -> payments/{app=db}:22
    unexplained  1 × payments/* -> garden/api:8080   (-:4, 2024-10-19T01:39:58Z)
    unused       shop/web.netpol:2   allow egress garden/web -> zenquotes.io:443
    unused       shop/web.netpol:4   allow ingress payments/{app=db} -> garden/api:7070
    unread       -:6: this is no flow of Hubble, ztunnel or Envoy, and none of `eval --flows`
    5 flows in 6 lines: 1 allowed, 4 would be denied
    1 flow with a pod that the inventory does not have
    1 flow with a pod whose labels nobody tells: rules about labels do not mean it
    1 line cannot be read
    ");
    let run = replay(&here, &log, &["--format", "markdown"]);
    insta::assert_snapshot!(run.out, @r"
    # Replay

    - 5 flows in 6 lines: 1 allowed, 4 would be denied
    - 1 flow with a pod that the inventory does not have
    - 1 flow with a pod whose labels nobody tells: rules about labels do not mean it
    - 1 line cannot be read

    ## Denied

    | flows | sentence | why | first | last |
    |---:|---|---|---|---|
    | 2 | `garden/web -> garden/api:9090` | egress: no rule allows this, and shop/web.netpol:1 isolates the pod; the nearest is shop/web.netpol:1   allow garden/web -> garden/api:8080; ingress: no rule allows this, and shop/web.netpol:1 isolates the pod; the nearest is shop/web.netpol:1   allow garden/web -> garden/api:8080 | 2024-10-19T01:39:58Z | 2024-10-19T02:00:00Z |
    | 1 | `payments/* -> garden/api:8080` | ingress: no rule allows this, and shop/web.netpol:1 isolates the pod; the nearest is shop/web.netpol:4   allow ingress payments/{app=db} -> garden/api:7070 | 2024-10-19T01:39:58Z | 2024-10-19T01:39:58Z |
    | 1 | `garden/api -> payments/db:22` | egress: denied by shop/web.netpol:3   deny garden/* -> payments/{app=db}:22; ingress: denied by shop/web.netpol:3   deny garden/* -> payments/{app=db}:22 |  |  |

    ## Unexplained by the inventory

    | flows | sentence | why | first | last |
    |---:|---|---|---|---|
    | 1 | `payments/* -> garden/api:8080` |  | 2024-10-19T01:39:58Z | 2024-10-19T01:39:58Z |

    ## Rules that no flow meets

    - `shop/web.netpol:2   allow egress garden/web -> zenquotes.io:443`
    - `shop/web.netpol:4   allow ingress payments/{app=db} -> garden/api:7070`

    ## Lines that cannot be read

    - `-:6` this is no flow of Hubble, ztunnel or Envoy, and none of `eval --flows`
    ");
}

/// What is printed is a policy file: with it beside the policy, nothing of the log is denied that an allow could help.
#[test]
fn missing_rules_are_suggested_as_source() {
    let here = shop();
    std::fs::write(here.path().join("netpol.toml"), "[cluster]\npods = [\"10.244.0.0/16\"]\n").unwrap();
    let log = lines(&[
        ztunnel(json!({ "dst.hbone_addr": "10.244.2.7:9090" })),
        ztunnel(json!({ "dst.hbone_addr": "10.244.2.7:9090" })),
        ztunnel(json!({ "src.workload": "stranger", "src.namespace": "payments", "src.identity": null })),
        envoy(json!({ "upstream_cluster": "PassthroughCluster", "requested_server_name": "example.com",
            "upstream_host": "34.117.118.44:443", "downstream_local_address": "34.117.118.44:443", "authority": null,
            "method": null, "path": null })),
        json!({ "from": "garden/web", "to": "kube-system/{k8s-app=kube-dns}:53/udp" }),
        json!({ "from": "garden/api", "to": "payments/db:22" }),
    ]);
    let run = replay(&here, &log, &["--suggest"]);
    assert_eq!((run.code, run.err.as_str()), (1, ""));
    insta::assert_snapshot!(run.out, @r"
    # 6 flows in 6 lines: 1 allowed, 5 would be denied
    # 1 flow with a pod that the inventory does not have
    # 1 flow with a pod whose labels nobody tells: rules about labels do not mean it
    allow garden/web -> garden/api:9090           # 2 flows
    allow egress garden/web -> example.com:443    # 1 flow
    allow ingress payments/* -> garden/api:8080   # 1 flow
    # 1 × garden/api -> payments/db:22: no allow helps, since it is denied by shop/web.netpol:3   deny garden/* -> payments/{app=db}:22
    ");
    std::fs::write(here.path().join("shop/missing.netpol"), &run.out).unwrap();
    let run = netpol(here.path(), &["check", "shop", "--inventory", "cluster.yaml", "--target", "networkpolicy,istio"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let found = found(&here, &log);
    assert_eq!(denied(&found), [("garden/api -> payments/db:22".to_owned(), 1)]);
    let run = replay(&here, &log, &["--suggest", "--format", "json"]);
    let found: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(found["suggested"]["rules"], json!([]));
    assert_eq!(found["suggested"]["without_rule"][0]["sentence"], "garden/api -> payments/db:22");
    let run = replay(&here, &log, &["--suggest", "--format", "markdown"]);
    assert!(
        run.out.contains("\n## Missing rules\n\n```netpol\n# 1 × garden/api -> payments/db:22: no allow"),
        "{}",
        run.out
    );
}

/// Words that would isolate a pod of the log which nothing isolates yet are not taken, and requests are told where the
/// nearest allow asks for some.
#[test]
fn missing_rules_isolate_no_pod_of_the_log() {
    let policy = "default deny egress garden/{tier=front}
allow ingress garden/@default -> garden/{app=api}:8080/http where method GET where path \"/quotes\"
";
    let here = folder(&[("shop/a.netpol", policy), ("cluster.yaml", &cluster())]);
    let event = |app: &str, tier: &str, port: u16, http: Option<(&str, &str)>| {
        let mut from = endpoint("garden/web-5d9c8bf7d-zzzzz", app);
        from["labels"].as_array_mut().unwrap().push(json!(format!("k8s:tier={tier}")));
        let more = match http {
            Some((method, path)) => {
                let http = json!({ "method": method, "url": format!("http://api.garden{path}") });
                json!({ "Type": "L7", "l7": { "type": "REQUEST", "http": http } })
            }
            None => json!({}),
        };
        hubble(from, endpoint("garden/api-5d9c8bf7d-bbbbb", "api"), ["10.244.1.5", "10.244.2.7"], port, more)
    };
    let log = lines(&[
        event("web", "front", 8080, Some(("GET", "/quotes"))),
        event("web", "back", 8080, Some(("POST", "/quotes?n=1"))),
        event("web", "back", 8080, Some(("PUT", "/admin"))),
        event("web", "back", 8080, Some(("GET", "/quotes"))),
    ]);
    let run = replay(&here, &log, &["--suggest"]);
    insta::assert_snapshot!(run.out, @r#"
    # 4 flows in 4 lines: 1 allowed, 3 would be denied
    allow ingress garden/@default -> garden/api:8080/http where method POST, PUT where path "/admin", "/quotes"   # 2 flows
    allow egress garden/{tier=front} -> garden/api:8080                                                           # 1 flow
    "#);
    std::fs::write(here.path().join("shop/missing.netpol"), &run.out).unwrap();
    assert_eq!(denied(&found(&here, &log)), []);
}

/// A module says of a log what its source says, but for rules that decide no flow: it does not tell of these.
#[test]
fn a_module_gives_the_answers_of_its_source() {
    let here = shop();
    let policy = "let db = host db.example.com at 198.51.100.50\nallow egress garden/web -> 198.51.100.0/24:443\n\
        allow egress garden/web -> db:5432\n";
    std::fs::write(here.path().join("shop/db.netpol"), policy).unwrap();
    let outside = |asked: &str, port: &str| {
        let (to, cluster) = (format!("198.51.100.50:{port}"), "PassthroughCluster");
        envoy(json!({ "upstream_cluster": cluster, "upstream_host": to, "downstream_local_address": to,
            "requested_server_name": asked, "authority": null, "method": null, "path": null }))
    };
    let log = lines(&[
        ztunnel(json!({ "dst.hbone_addr": "10.244.2.7:9090" })),
        ztunnel(json!({})),
        outside("db.example.com", "443"),
        outside("db.example.com", "5432"),
        outside("db.example.com", "80"),
        outside("other.example.com", "443"),
        json!({ "from": "garden/api", "to": "payments/db:22" }),
        json!({ "from": "garden/web", "to": "db.example.com:443" }),
        json!({ "from": "garden/web", "to": "kube-system/{k8s-app=kube-dns}:53/udp" }),
        json!({ "from": "garden/web" }),
    ]);
    let by_source = found(&here, &log);
    let build = ["build", "shop", "--target", "wasm", "-o", "out", "--inventory", "cluster.yaml"];
    let run = netpol(here.path(), &build);
    assert_eq!(run.code, 0, "{}", run.err);
    let by_module = ["replay", "-", "--module", "out/policy.wasm", "--inventory", "cluster.yaml", "--format", "json"];
    let run = netpol_with(here.path(), &by_module, log.as_bytes());
    assert_eq!((run.code, run.err.as_str()), (1, ""));
    let mut by_module: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(by_module["unused_rules"], json!([]));
    by_module["unused_rules"] = by_source["unused_rules"].clone();
    for group in by_module["denied_groups"].as_array_mut().unwrap() {
        let source = by_source["denied_groups"].as_array().unwrap();
        let same = source.iter().find(|other| other["sentence"] == group["sentence"]).unwrap();
        for (reason, other) in
            group["reasons"].as_array_mut().unwrap().iter_mut().zip(same["reasons"].as_array().unwrap())
        {
            let message = other["message"].as_str().unwrap();
            assert!(message.starts_with(reason["message"].as_str().unwrap()), "{reason} {other}");
            reason["message"] = message.into();
        }
    }
    assert_eq!(by_module, by_source);
    assert_eq!((&by_source["allowed"], &by_source["denied"]), (&json!(5), &json!(4)), "{by_source:#}");
    for wrong in [&["--policy", "shop"][..], &["--suggest"]] {
        let arguments = [&["replay", "-", "--module", "out/policy.wasm"], wrong].concat();
        assert_eq!(netpol_with(here.path(), &arguments, b"").code, 2);
    }
}

#[test]
fn usage_and_a_wrong_policy_are_told() {
    let here = shop();
    for arguments in [
        &["replay"][..],
        &["replay", "none.jsonl", "--policy", "shop"],
        &["replay", "-", "-", "--policy", "shop"],
        &["replay", "-", "--policy", "-"],
    ] {
        assert_eq!(netpol(here.path(), arguments).code, 2, "{arguments:?}");
    }
    std::fs::write(here.path().join("shop/bad.netpol"), "allow garden/* -> zenquotes.io:443\n").unwrap();
    let run = replay(&here, "", &[]);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(run.err.contains("E0301"), "{}", run.err);
}

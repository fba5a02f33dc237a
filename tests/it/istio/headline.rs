//! The sentence that the project is judged by.

use serde_json::json;

use super::build::build;

#[test]
fn the_headline_is_a_host_and_a_sidecar() {
    let build = build("allow egress garden/* -> zenquotes.io:443").ok();
    assert_eq!(build.objects().len(), 2, "{}", build.text());
    let entry = &build.one("ServiceEntry")["spec"];
    assert_eq!(entry["hosts"], json!(["zenquotes.io"]));
    assert_eq!(entry["resolution"], "DNS");
    assert_eq!(entry["ports"], json!([{ "number": 443, "name": "tls-443", "protocol": "TLS" }]));
    let sidecar = build.one("Sidecar");
    assert_eq!(sidecar["metadata"]["namespace"], "garden");
    assert_eq!(sidecar["spec"]["outboundTrafficPolicy"]["mode"], "REGISTRY_ONLY");
    assert!(sidecar["spec"].get("workloadSelector").is_none());
    assert_eq!(
        sidecar["spec"]["egress"],
        json!([
            { "port": { "number": 443, "name": "tls-443", "protocol": "TLS" }, "hosts": ["./zenquotes.io"] },
            { "hosts": ["kube-system/kube-dns.kube-system.svc.cluster.local"] }
        ])
    );
}

//! `[networkpolicy] port-names = "numbers"`, and objects that are divided because they would be too large.

use super::build::{Build, build, build_with};

const PODS: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: garden }
---
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: garden, labels: { app: web, tier: front } }
spec: { containers: [{ name: c, ports: [{ name: http, containerPort: 8080 }, { name: dns, containerPort: 5353, protocol: UDP }] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: api, namespace: garden, labels: { app: api, tier: front } }
spec: { containers: [{ name: c, ports: [{ name: http, containerPort: 8080 }] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: old, namespace: garden, labels: { app: old } }
spec: { containers: [{ name: c, ports: [{ name: http, containerPort: 8081 }] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: bare, namespace: garden, labels: { app: bare } }
spec: { containers: [{ name: c }] }
---
apiVersion: v1
kind: Pod
metadata: { name: cart, namespace: shop, labels: { app: cart } }
spec: { containers: [{ name: c }] }
";

fn numbers(source: &str) -> Build {
    build_with(source, PODS, |settings| settings.port_numbers = true)
}

#[test]
fn a_port_name_is_a_number_where_all_known_pods_agree() {
    for peer in ["garden/{app=web}", "garden/{tier=front}", "{ garden/{app=web}, garden/{app=api} }"] {
        for source in [format!("allow ingress shop/* -> {peer}:http"), format!("allow egress shop/* -> {peer}:http")] {
            let text = numbers(&source).ok().text();
            assert!(text.contains("port: 8080") && !text.contains("port: http"), "{source}\n{text}");
        }
    }
    let udp = numbers("allow ingress shop/* -> garden/{app=web}:dns/udp").ok().text();
    assert!(udp.contains("protocol: UDP, port: 5353"), "{udp}");
    let names = build_with("allow ingress shop/* -> garden/{app=web}:http", PODS, |_| ()).ok().text();
    assert!(names.contains("port: http"), "{names}");
}

#[test]
fn a_port_name_stays_where_pods_differ_or_are_not_known() {
    for peer in ["garden/*", "garden/{app in (web, old)}", "garden/{app in (web, bare)}"] {
        let text = numbers(&format!("allow ingress shop/* -> {peer}:http")).ok().text();
        assert!(text.contains("port: http") && !text.contains("port: 80"), "{peer}\n{text}");
    }
    let unknown = build("allow ingress shop/* -> garden/{app=web}:http").ok().text();
    assert!(unknown.contains("port: http"), "{unknown}");
}

#[test]
fn an_object_that_is_too_large_is_several_that_add_up() {
    let block = |at: u32| format!("52.{}.{}.7", at / 256, at % 256);
    let many: Vec<String> = (0..9000).map(block).collect();
    for source in [
        format!("allow egress garden/* -> {{ {} }}:443", many.join(", ")),
        format!("allow ingress {{ {} }} -> garden/*:8080", many.join(", ")),
        many.iter()
            .take(3000)
            .enumerate()
            .map(|(at, block)| format!("allow egress garden/* -> {block}:{}\n", at + 1))
            .collect(),
    ] {
        let build = build(&source).ok();
        let objects: Vec<_> = build.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.objects).collect();
        assert!(objects.len() > 1);
        assert!(
            objects.iter().all(|object| object.yaml.len() < 250 * 1024),
            "{:?}",
            objects.iter().map(|o| o.yaml.len()).collect::<Vec<_>>()
        );
        let text = build.text();
        let wanted = if source.lines().count() == 1 { 9000 } else { 3000 };
        assert_eq!(text.matches("cidr:").count(), wanted);
        assert_eq!(text.matches("policyTypes:").count(), objects.len());
    }
}

//! What `kubectl get` prints, as YAML and as JSON.

use std::path::Path;

use netpol::inventory::{Inventory, WorkloadKind};

use super::{read_files, read_text, said};

const YAML: &str = include_str!("dump.yaml");
const JSON: &str = include_str!("dump.json");

/// Returns the facts without their places.
fn facts(inventory: &Inventory) -> String {
    let text = format!("{inventory:#?}");
    let places = |line: &&str| !["file:", "start:", "end:"].iter().any(|word| line.trim_start().starts_with(word));
    // A FileId is printed over three lines, of which the number stands alone.
    let number = |line: &&str| !line.trim().trim_end_matches(',').chars().all(|c| c.is_ascii_digit());
    text.lines().filter(places).filter(number).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_dump_of_a_cluster_is_read() {
    let inventory = read_text(YAML);
    let names: Vec<_> =
        inventory.workloads.iter().map(|w| format!("{} {}/{}", w.kind.word(), w.namespace, w.name)).collect();
    assert_eq!(
        names,
        [
            "Deployment garden/frontend",
            "Pod garden/frontend-5d78c9869d-x7k2p",
            "Job garden/migrate",
            "Pod garden/migrate-8n4zq",
            "DaemonSet kube-system/kube-proxy",
            "Pod kube-system/kube-proxy-4kq7v"
        ]
    );
    assert_eq!(inventory.namespaces.keys().collect::<Vec<_>>(), ["garden", "kube-system"]);
    let frontend = inventory.named("garden", "frontend")[0];
    assert!(frontend.sidecar && frontend.kind == WorkloadKind::Deployment);
    let pod = &inventory.workloads[1];
    assert!(pod.sidecar && pod.owned && pod.account == "frontend");
    assert_eq!(pod.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.244.1.17"]);
    assert_eq!(pod.ports.iter().map(|port| port.port).collect::<Vec<_>>(), [8080, 15090]);
    let ended = &inventory.workloads[3];
    assert!(ended.owned && ended.addresses.is_empty());
    let proxy = &inventory.workloads[5];
    assert!(proxy.host_network && !proxy.sidecar);
    let service = &inventory.services[&("garden".into(), "frontend".into())];
    assert_eq!((service.ports[0].port, service.ports[0].name.as_deref()), (80, Some("http")));
    assert_eq!(inventory.accounts, vec![("garden".into(), "default".into()), ("garden".into(), "frontend".into())]);
}

#[test]
fn json_says_the_same_as_yaml() {
    let (from_json, diagnostics, sources) = read_files(&[("dump.json", JSON)]);
    assert_eq!(said(&diagnostics, &sources), "");
    assert_eq!(facts(&from_json), facts(&read_text(YAML)));
    let compact: serde_json::Value = serde_json::from_str(JSON).expect("JSON");
    assert_eq!(facts(&read_text(&compact.to_string())), facts(&from_json));
}

#[test]
fn a_dump_in_files_says_the_same_in_any_order() {
    let value: serde_json::Value = serde_json::from_str(JSON).expect("JSON");
    let items = value["items"].as_array().expect("items");
    let mut files: Vec<(String, String)> =
        items.iter().enumerate().map(|(at, item)| (format!("{at}.json"), item.to_string())).collect();
    let read = |files: &[(String, String)]| {
        let (inventory, diagnostics, _) =
            read_files(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
        assert_eq!(diagnostics.iter().len(), 0);
        facts(&inventory)
    };
    let forward = read(&files);
    files.reverse();
    assert_eq!(read(&files), forward);
    assert_eq!(forward, facts(&read_text(YAML)));
}

#[test]
fn typed_lists_give_their_items_their_kind() {
    let inventory = read_text(
        r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":"a"},"spec":{}}]}
---
apiVersion: apps/v1
kind: DeploymentList
items:
- metadata: { name: web }
  spec: { selector: { matchLabels: { a: b } }, template: { metadata: { labels: { a: b } }, spec: {} } }
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: NamespaceList
  items: [{ metadata: { name: garden } }]
"#,
    );
    assert_eq!(inventory.workloads.iter().map(|w| w.kind.word()).collect::<Vec<_>>(), ["Pod", "Deployment"]);
    assert!(inventory.namespaces["garden"].declared);
}

#[test]
fn every_place_is_the_name_of_its_object() {
    let (inventory, _, sources) = read_files(&[("dump.yaml", YAML)]);
    for workload in &inventory.workloads {
        assert_eq!(sources.slice(workload.origin), workload.name);
    }
    for ((_, name), service) in &inventory.services {
        assert_eq!(sources.slice(service.origin), *name);
    }
    assert_eq!(sources.slice(inventory.namespaces["garden"].origin), "garden");
}

#[test]
fn the_examples_have_inventories_without_mistakes() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut read = 0;
    for entry in walkdir::WalkDir::new(examples) {
        let path = entry.expect("a file of the tree").into_path();
        if path.file_name().is_some_and(|name| name == "inventory.yaml") {
            let inventory = read_text(&std::fs::read_to_string(&path).expect("text"));
            assert!(!inventory.workloads.is_empty(), "{}", path.display());
            read += 1;
        }
    }
    assert!(read >= 2, "the inventories have moved");
}

/// The shop has what the examples speak of: ports that differ from the pods', and pods in and out of the mesh.
#[test]
fn the_shop_is_what_its_comments_say() {
    let shop = read_text(include_str!("../../../examples/shop/inventory.yaml"));
    let meshed: Vec<_> = shop.workloads.iter().filter(|w| w.sidecar).map(|w| w.name.as_str()).collect();
    assert_eq!(meshed, ["payments", "api", "cart", "frontend"]);
    let host: Vec<_> = shop.workloads.iter().filter(|w| w.host_network).map(|w| w.name.as_str()).collect();
    assert_eq!(host, ["node-exporter"]);
    let cart = &shop.services[&("shop".into(), "cart".into())];
    assert!(cart.ports[0].app.is_some_and(|app| app.has_requests()));
    assert!(shop.services[&("shop".into(), "db".into())].headless);
}

//! The committed output, as machines read it.

use std::path::Path;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Returns every document of every committed file, of the examples and of the cases in `tests/targets`, with the file's
/// path.
pub fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = Vec::new();
    for entry in ["examples", "tests/targets"].into_iter().flat_map(|folder| walkdir::WalkDir::new(root.join(folder))) {
        let path = entry.unwrap().into_path();
        let shown = path.display().to_string();
        let of_example = shown.contains("/out/") && (shown.ends_with(".yaml") || shown.ends_with(".patch"));
        if of_example || shown.ends_with("/networkpolicy.yaml") || shown.ends_with("/istio.yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            documents.extend(text.split("\n---\n").map(|document| (shown.clone(), document.to_owned())));
        }
    }
    documents
}

/// Takes an object through its type and back.
fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Value {
    let typed: T = serde_json::from_value(object.clone()).unwrap();
    serde_json::to_value(&typed).unwrap()
}

/// Puts what a patch says into an object.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            patch.iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, patch) => *into = patch.clone(),
    }
}

/// Two readers of YAML understand the same, and what has a type of Kubernetes' loses nothing on the way through it.
#[test]
fn every_object_is_read_alike_and_survives_its_type() {
    let (mut policies, mut services, mut others) = (0, 0, 0);
    for (path, text) in documents() {
        let object: Value = serde_yaml::from_str(&text).unwrap();
        let other: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(object, other, "{path}: two readers\n{text}");
        let typed = match object["kind"].as_str() {
            Some("NetworkPolicy") => {
                policies += 1;
                through::<NetworkPolicy>(&object)
            }
            Some("Service") => {
                services += 1;
                through::<Service>(&object)
            }
            // Kubernetes requires a selector and containers, which a patch leaves alone.
            Some("Deployment") => {
                let template = json!({ "spec": { "selector": {}, "template": { "spec": { "containers": [] } } } });
                let mut whole = template;
                merge(&mut whole, &object);
                assert_eq!(through::<Deployment>(&whole), whole, "{path}\n{text}");
                continue;
            }
            _ => {
                others += 1;
                continue;
            }
        };
        assert_eq!(typed, object, "{path}\n{text}");
    }
    assert!(policies > 50 && services > 0 && others > 50, "{policies} {services} {others}");
}

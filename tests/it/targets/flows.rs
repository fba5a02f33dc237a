//! Verdicts that were worked out by hand (`flows.jsonl`): the source and the objects of `networkpolicy` both give every
//! one of them.

use std::collections::BTreeMap;
use std::path::Path;

use netpol::policy::ask::{Question, ask};
use serde::Deserialize as _;
use serde_json::Value;

use crate::common::build::Build;
use crate::networkpolicy::engine::{Blocks, End, Pod, allows};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The pods of a cluster, by `namespace/name`.
fn pods(cluster: &str) -> BTreeMap<String, Pod> {
    let objects: Vec<Value> =
        serde_yaml::Deserializer::from_str(cluster).map(|document| Value::deserialize(document).unwrap()).collect();
    let text = |value: &Value| -> BTreeMap<String, String> {
        let labels = value["metadata"]["labels"].as_object().into_iter().flatten();
        labels.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
    };
    let mut namespaces: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for object in objects.iter().filter(|object| object["kind"] == "Namespace") {
        let name = object["metadata"]["name"].as_str().unwrap();
        let mut labels = text(object);
        labels.insert("kubernetes.io/metadata.name".into(), name.into());
        namespaces.insert(name.into(), labels);
    }
    let pod = |object: &Value| {
        let namespace = object["metadata"]["namespace"].as_str().unwrap();
        let containers = object["spec"]["containers"].as_array().unwrap();
        let ports = containers.iter().flat_map(|container| container["ports"].as_array().into_iter().flatten());
        let pod = Pod {
            namespace: namespace.into(),
            namespace_labels: namespaces[namespace].clone(),
            labels: text(object),
            address: object["status"]["podIP"].as_str().map(|address| address.parse().unwrap()),
            ports: ports
                .map(|port| {
                    (
                        port["name"].as_str().unwrap_or_default().into(),
                        port["containerPort"].as_u64().unwrap() as u16,
                        port["protocol"].as_str().unwrap_or("TCP").into(),
                    )
                })
                .collect(),
        };
        (format!("{namespace}/{}", object["metadata"]["name"].as_str().unwrap()), pod)
    };
    objects.iter().filter(|object| object["kind"] == "Pod").map(pod).collect()
}

fn end<'a>(pods: &'a BTreeMap<String, Pod>, text: &str) -> End<'a> {
    match text.parse() {
        Ok(address) => End::Address(address),
        Err(_) => End::Pod(pods.get(text).unwrap_or_else(|| panic!("the cluster has no pod {text}"))),
    }
}

fn in_brackets(text: &str) -> String {
    if text.contains("::") { format!("[{text}]") } else { text.to_owned() }
}

fn judge(case: &Path) {
    let build = Build::folder(case).ok();
    // What is written rightly is not warned of; one case denies its pods a resolver on purpose.
    let warned = build.codes().into_iter().find(|code| code.starts_with('W') && *code != "W0523");
    assert_eq!(warned, None, "{}", case.display());
    let (objects, pods) = (build.of("NetworkPolicy"), pods(&read(&case.join("cluster.yaml"))));
    for line in read(&case.join("flows.jsonl")).lines() {
        let flow: Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| flow[key].as_str().unwrap();
        let want = word("want") == "allow";
        let port = flow["port"].as_u64().unwrap() as u16;
        let protocol = word("protocol").to_uppercase();
        for blocks in [Blocks::OutsideOnly, Blocks::PodsToo] {
            let got = allows(&objects, end(&pods, word("from")), end(&pods, word("to")), port, &protocol, blocks);
            assert_eq!(got, want, "{}: objects: {line}\n{}", case.display(), build.text());
        }
        let question = Question {
            from: in_brackets(word("from")),
            to: in_brackets(word("to")),
            port: Some(port.to_string()),
            protocol: Some(word("protocol").into()),
            ..Question::default()
        };
        let answers = ask(&build.policy, &question).unwrap();
        assert_eq!(answers.allowed(), want, "{}: source: {line}", case.display());
    }
}

#[test]
fn every_flow_is_judged_as_it_was_worked_out_by_hand() {
    let cases = super::cases().into_iter().filter(|case| case.join("flows.jsonl").exists());
    assert!(cases.map(|case| judge(&case)).count() >= 26);
}

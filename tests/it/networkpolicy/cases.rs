//! Policies with clusters and verdicts worked out by hand (`tests/targets/networkpolicy/<case>`): the source and what
//! comes out both give every one of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use netpol::diag::Diagnostics;
use netpol::policy::ask::{Question, ask};
use netpol::settings::Settings;
use netpol::source::Sources;
use serde::Deserialize as _;
use serde_json::Value;

use super::build::{Build, build_with};
use super::engine::{Blocks, End, Pod, allows};

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
    let read = |name: &str| std::fs::read_to_string(case.join(name)).unwrap();
    let (cluster, source) = (read("cluster.yaml"), read("policy.netpol"));
    let settings = std::fs::read_to_string(case.join("netpol.toml")).unwrap_or_default();
    let build: Build = build_with(&source, &cluster, |all| {
        let mut sources = Sources::new();
        let file = sources.add("netpol.toml", settings.as_str());
        let mut diagnostics = Diagnostics::new();
        let said = netpol::settings::read(&sources, file, all.today, &mut diagnostics).0;
        assert!(diagnostics.iter().next().is_none(), "{}: netpol.toml", case.display());
        *all = Settings { targets: all.targets.clone(), ..said };
    })
    .ok();
    let objects = build.objects();
    let pods = pods(&cluster);
    for line in read("flows.jsonl").lines() {
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
fn every_case_means_what_was_worked_out_by_hand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/networkpolicy");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 26);
    cases.iter().for_each(|case| judge(case));
}

//! YAML that others wrote, such as the test suites of the engines have it: what is read of it means what the engines
//! say.

use std::path::{Path, PathBuf};

use netpol::diag::Diagnostics;
use netpol::policy::Policy as Rules;
use netpol::settings::Layer;
use netpol::source::Sources;
use netpol::targets::networkpolicy::read::read;
use serde_json::Value;

use crate::build::Build;
use crate::case::{Case, Outcome};
use crate::engines::Program;
use crate::examples::cluster;
use crate::policy::Policy;

/// A file: what it came to, or why it was not read.
pub type Read = Result<(usize, Outcome), String>;

/// Returns the files below a folder that have NetworkPolicies.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    let named = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let has = |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.contains("kind: NetworkPolicy"));
    entries.map(walkdir::DirEntry::into_path).filter(|path| named(path) && has(path)).collect()
}

/// Compares what is read of a file with what the engines say, in a cluster in which everything that it speaks of
/// exists.
pub fn judge(path: &Path, programs: &mut [Program]) -> Read {
    let text = std::fs::read_to_string(path).unwrap();
    let mut sources = Sources::new();
    let file = sources.add(path.display().to_string(), text.as_str());
    let mut found = Diagnostics::new();
    let rules = read(&sources, &[file], "default", &mut found);
    if let Some(finding) = found.iter().next() {
        return Err(finding.message.clone());
    }
    let objects = objects(&text);
    let mut build = Build::text_for(&[Layer::NetworkPolicy], "", None, |_| ());
    build.policy = Rules { rules, ..build.policy };
    let case = Case { cluster: cluster(&build.policy), policy: Policy::default() };
    Ok((objects.len(), case.compare(&build, &objects, programs)))
}

/// Returns the NetworkPolicies of a text, one by one, each with a namespace.
fn objects(text: &str) -> Vec<String> {
    let mut waiting: Vec<Value> = serde_yaml::Deserializer::from_str(text)
        .filter_map(|document| serde::Deserialize::deserialize(document).ok())
        .collect();
    let mut objects = Vec::new();
    while let Some(mut value) = waiting.pop() {
        if let Some(items) = value["items"].as_array() {
            waiting.extend(items.iter().cloned());
        } else if value["kind"] == "NetworkPolicy" && value["apiVersion"] == "networking.k8s.io/v1" {
            if value["metadata"]["namespace"].is_null() {
                value["metadata"]["namespace"] = "default".into();
            }
            // What the API server does not read.
            value.as_object_mut().map(|object| object.remove("status"));
            objects.push(format!("{value}\n"));
        }
    }
    objects
}

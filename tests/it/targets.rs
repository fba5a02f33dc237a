//! Policies with all that comes out for them. A folder of `tests/targets` is a case, and a project that `netpol build`
//! takes:
//!
//! ```text
//! policy.netpol        what is written
//! netpol.toml          the settings: which targets, and which manifests are the facts about the cluster
//! cluster.yaml         these manifests, where the case has its own; others share `tests/targets/mesh.yaml`
//! networkpolicy.yaml   what comes out: one file for each target of the settings
//! istio.yaml
//! flows.jsonl          verdicts that were worked out by hand, if there are any
//! ```
//!
//! Whoever changes what comes out writes these files again, and reads the difference:
//! `NETPOL_WRITE=1 cargo test --test it targets`.

mod flows;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use netpol::settings::Layer;
use similar::TextDiff;

use crate::common::build::Build;
use crate::common::root;

/// Files that a case has beside those of its targets, if it wants.
const GIVEN: [&str; 3] = ["policy.netpol", "netpol.toml", "flows.jsonl"];

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

/// Returns the folders of the cases.
fn cases() -> Vec<PathBuf> {
    let folder = root().join("tests/targets");
    let names = names(&folder).into_iter().filter(|name| name != "mesh.yaml");
    names.map(|name| folder.join(name)).collect()
}

/// Returns what comes out for a case, by the name of its file.
fn outputs(case: &Path) -> BTreeMap<String, String> {
    let build = Build::folder(case).ok();
    let layers = build.lowering.layers.iter().map(|(layer, _)| *layer);
    layers.map(|layer| (format!("{}.yaml", layer.word()), build.text_of(layer))).collect()
}

/// Returns what is wrong with the committed files of a case.
fn wrong(case: &Path) -> Vec<String> {
    let outputs = outputs(case);
    let mut wrong = Vec::new();
    for (name, built) in &outputs {
        match fs::read_to_string(case.join(name)) {
            _ if built.is_empty() => wrong.push(format!("{name}: nothing comes out, so the target is not shown")),
            Ok(committed) if committed == *built => {}
            Ok(committed) => {
                let difference = TextDiff::from_lines(&committed, built);
                wrong.push(difference.unified_diff().header("committed", "built").to_string());
            }
            Err(_) => wrong.push(format!("{name} is missing")),
        }
    }
    let settings = fs::read_to_string(case.join("netpol.toml")).unwrap();
    for name in names(case) {
        let facts = name == "cluster.yaml" && settings.contains("inventory = \"cluster.yaml\"");
        if !facts && !outputs.contains_key(&name) && !GIVEN.contains(&name.as_str()) {
            wrong.push(format!("{name} belongs to nothing"));
        }
    }
    wrong
}

/// Writes what comes out for a case, and nothing else of a target stays.
fn write(case: &Path) {
    for layer in Layer::ALL {
        drop(fs::remove_file(case.join(format!("{}.yaml", layer.word()))));
    }
    for (name, built) in outputs(case) {
        fs::write(case.join(name), built).unwrap();
    }
}

#[test]
fn every_case_builds_what_is_committed() {
    let cases = cases();
    assert!(cases.len() >= 80, "{}", cases.len());
    let mut all = String::new();
    for case in cases {
        if std::env::var_os("NETPOL_WRITE").is_some() {
            write(&case);
        }
        for one in wrong(&case) {
            all.push_str(&format!("{}:\n{one}\n", case.strip_prefix(root()).unwrap().display()));
        }
    }
    assert!(all.is_empty(), "\n{all}\nto write them again: NETPOL_WRITE=1 cargo test --test it targets");
}

#[test]
fn what_differs_is_missing_or_belongs_to_nothing_is_told() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let case = folder.path();
    let (istio, other) = (case.join("istio.yaml"), case.join("networkpolicy.yaml"));
    fs::write(case.join("netpol.toml"), "targets = [\"istio\"]\n").unwrap();
    fs::write(case.join("policy.netpol"), "default deny egress garden/*\n").unwrap();
    assert_eq!(wrong(case), ["istio.yaml is missing"]);
    fs::write(&other, "# another target's\n").unwrap();
    write(case);
    assert_eq!(wrong(case), [""; 0]);
    assert!(!other.exists());
    fs::write(case.join("cluster.yaml"), "# nobody's\n").unwrap();
    fs::write(&other, "# another target's\n").unwrap();
    assert_eq!(wrong(case), ["cluster.yaml belongs to nothing", "networkpolicy.yaml belongs to nothing"]);
    fs::remove_file(case.join("cluster.yaml")).unwrap();
    fs::remove_file(&other).unwrap();
    let changed = fs::read_to_string(&istio).unwrap().replace("REGISTRY_ONLY", "ALLOW_ANY");
    fs::write(&istio, changed).unwrap();
    let said = wrong(case).join("");
    assert!(said.contains("-    mode: ALLOW_ANY") && said.contains("+    mode: REGISTRY_ONLY"), "{said}");
}

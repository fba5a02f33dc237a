//! From source text to objects of Istio, as a build does it.

#![allow(dead_code, reason = "tests of several kinds use it")]

use std::collections::BTreeMap;

use netpol::compile::{self, Input};
use netpol::diag::{Diagnostics, Severity};
use netpol::model::rules::Direction;
use netpol::policy::Policy;
use netpol::settings::{Layer, Settings};
use netpol::source::Sources;
use netpol::targets::{self, Judgement, Level, Lowering};
use serde_json::Value;

/// A build of one file.
pub struct Build {
    /// The files.
    pub sources: Sources,
    /// What was found.
    pub diagnostics: Diagnostics,
    /// What the source means.
    pub policy: Policy,
    /// What came out.
    pub lowering: Lowering,
}

/// Builds a source for `istio` alone, without facts about the cluster.
pub fn build(source: &str) -> Build {
    build_with(source, None, |_| ())
}

/// The cluster of the tests.
pub const MESH: &str = include_str!("../../targets/istio/mesh.yaml");

/// Builds a source for `istio` alone in the cluster of the tests.
pub fn build_in_mesh(source: &str) -> Build {
    build_with(source, Some(MESH), |_| ())
}

/// Builds a source with manifests and settings of its own; without changes they are for `istio` alone.
pub fn build_with(source: &str, manifests: Option<&str>, change: impl FnOnce(&mut Settings)) -> Build {
    let mut settings = Settings::new(time::Date::from_calendar_date(2026, time::Month::November, 21).unwrap());
    settings.targets = vec![Layer::Istio];
    change(&mut settings);
    let mut input = Input::new(settings);
    input.policy("policy.netpol", source);
    if let Some(text) = manifests {
        input.manifest("inventory.yaml", text);
    }
    let mut diagnostics = Diagnostics::new();
    let policy = compile::policy_despite_errors(&mut input, &mut compile::no_files, &mut diagnostics);
    let policy = policy.unwrap_or_else(|| panic!("a manifest has errors: {diagnostics:#?}"));
    let lowering = compile::objects(&policy, &input.sources, &mut diagnostics);
    Build { sources: input.sources, diagnostics, policy, lowering }
}

impl Build {
    /// Returns the codes of the findings.
    pub fn codes(&self) -> Vec<&'static str> {
        self.diagnostics.iter().map(|finding| finding.code.as_str()).collect()
    }

    /// Fails where there is an error, and shows it.
    pub fn ok(self) -> Build {
        let errors: Vec<_> = self.diagnostics.iter().filter(|finding| finding.severity() == Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{}", self.text());
        self
    }

    /// Returns the text of every file of the build, one after the other.
    pub fn text(&self) -> String {
        let files = targets::artifacts(self.lowering.clone(), &self.sources);
        files.iter().map(|file| format!("==> {}\n{}", file.path, file.text)).collect()
    }

    /// Returns the objects as they are read back.
    pub fn objects(&self) -> Vec<Value> {
        let objects = self.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.objects);
        objects.map(|object| serde_yaml::from_str(&object.yaml).unwrap()).collect()
    }

    /// Returns the objects of a kind.
    pub fn of(&self, kind: &str) -> Vec<Value> {
        self.objects().into_iter().filter(|object| object["kind"] == kind).collect()
    }

    /// Returns the only object of a kind.
    pub fn one(&self, kind: &str) -> Value {
        let mut objects = self.of(kind);
        assert_eq!(objects.len(), 1, "{}", self.text());
        objects.remove(0)
    }

    /// Returns the spec of the object of a kind with a name.
    pub fn spec(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let is = |object: &Value| object["metadata"]["namespace"] == namespace && object["metadata"]["name"] == name;
        let found = self.of(kind).into_iter().find(is);
        found.unwrap_or_else(|| panic!("no {kind} {namespace}/{name}\n{}", self.text()))["spec"].clone()
    }

    /// Returns what the listeners of a Sidecar import: for each port (0 for the one without) the hosts.
    pub fn imports(&self, namespace: &str, name: &str) -> BTreeMap<u64, Vec<String>> {
        let spec = self.spec("Sidecar", namespace, name);
        assert_eq!(spec["outboundTrafficPolicy"]["mode"], "REGISTRY_ONLY");
        let listener = |listener: &Value| {
            let hosts = listener["hosts"].as_array().unwrap().iter().map(|host| host.as_str().unwrap().to_owned());
            (listener["port"]["number"].as_u64().unwrap_or(0), hosts.collect())
        };
        spec["egress"].as_array().unwrap().iter().map(listener).collect()
    }

    /// Returns the level and reason of one end of a rule.
    pub fn judged(&self, rule: usize, direction: Direction) -> (Level, String) {
        let judgement =
            self.judgements().iter().find(|one| one.rule.index() == rule && one.direction == direction).unwrap();
        (judgement.level, judgement.reason.to_string())
    }

    /// Returns how Istio holds the rules.
    pub fn judgements(&self) -> &[Judgement] {
        let (_, lowered) = self.lowering.layers.iter().find(|(layer, _)| *layer == Layer::Istio).unwrap();
        &lowered.judgements
    }
}

//! From a text, or a folder, to the objects of a build.

#![allow(dead_code, reason = "the tests and the engines' driver each use their part")]

use std::collections::BTreeMap;
use std::path::Path;

use netpol::compile::{self, Input};
use netpol::diag::render::{Format, render};
use netpol::diag::{Diagnostics, Severity};
use netpol::model::rules::Direction;
use netpol::policy::ask::{Question, ask};
use netpol::policy::{Policy, Request};
use netpol::resolve::Loader;
use netpol::settings::{self, Layer, Settings, Written};
use netpol::source::{Sources, Span};
use netpol::targets::{self, Judgement, Level, Lowering};
use serde_json::Value;

/// A build for one layer or several.
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

/// The day of every build.
fn today() -> time::Date {
    time::Date::from_calendar_date(2026, time::Month::November, 21).unwrap()
}

/// Returns an endpoint as `netpol.toml` has it.
pub fn written(text: &str) -> Written {
    let mut sources = Sources::new();
    let file = sources.add("policy.netpol", "");
    Written { text: text.into(), span: Span::new(file, 0, 0) }
}

impl Build {
    /// Builds a source for layers, with the manifests of a cluster where they are known, and with changed settings.
    pub fn text_for(
        layers: &[Layer],
        source: &str,
        manifests: Option<&str>,
        change: impl FnOnce(&mut Settings),
    ) -> Build {
        let mut settings = Settings::new(today());
        settings.targets = layers.to_vec();
        change(&mut settings);
        let mut input = Input::new(settings);
        input.policy("policy.netpol", source);
        if let Some(text) = manifests {
            input.manifest("cluster.yaml", text);
        }
        Build::new(input, &mut compile::no_files)
    }

    /// Builds a source for both layers.
    pub fn text_for_both(source: &str, manifests: Option<&str>) -> Build {
        Build::text_for(&[Layer::NetworkPolicy, Layer::Istio], source, manifests, |_| ())
    }

    /// Builds a folder as the command does: its `netpol.toml`, its `*.netpol` files, and the manifests that the
    /// settings name.
    pub fn folder(folder: &Path) -> Build {
        let read = |path: &str| std::fs::read_to_string(folder.join(path)).map_err(|error| error.to_string());
        let text = |path: &str| read(path).unwrap_or_else(|error| panic!("{}: {error}", folder.join(path).display()));
        let mut input = Input::new(Settings::new(today()));
        let mut diagnostics = Diagnostics::new();
        let file = input.sources.add("netpol.toml", text("netpol.toml"));
        let (settings, project) = settings::read(&input.sources, file, today(), &mut diagnostics);
        assert!(!diagnostics.has_errors(), "{}\n{}", folder.display(), shown(&diagnostics, &input.sources));
        input.settings = settings;
        for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
            let path = entry.unwrap().into_path();
            if path.extension().is_some_and(|ending| ending == "netpol") {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                input.policy(name.as_str(), text(&name));
            }
        }
        for path in &project.inventory {
            input.manifest(path, text(path));
        }
        Build::new(input, &mut |_, wanted| {
            let name = wanted.trim_start_matches("./");
            read(name).map(|text| (name.to_owned(), text))
        })
    }

    /// Builds an input, or what could be understood of it.
    pub fn new(mut input: Input, loader: &mut Loader<'_>) -> Build {
        let mut diagnostics = Diagnostics::new();
        let policy = compile::policy_despite_errors(&mut input, loader, &mut diagnostics);
        let policy = policy.unwrap_or_else(|| panic!("a manifest has errors: {diagnostics:#?}"));
        let lowering = compile::objects(&policy, &input.sources, &mut diagnostics);
        Build { sources: input.sources, diagnostics, policy, lowering }
    }

    /// Returns the codes of the findings.
    pub fn codes(&self) -> Vec<&'static str> {
        self.diagnostics.iter().map(|finding| finding.code.as_str()).collect()
    }

    /// Fails where there is an error, and shows it.
    pub fn ok(self) -> Build {
        let errors = self.diagnostics.count(Severity::Error);
        assert_eq!(errors, 0, "{}\n{}", shown(&self.diagnostics, &self.sources), self.text());
        self
    }

    /// Returns the findings of a code: message, what stands at the place, notes.
    pub fn said(&self, code: &str) -> String {
        let findings = self.diagnostics.iter().filter(|finding| finding.code.as_str() == code);
        findings
            .map(|finding| {
                let lines = [finding.message.as_str(), finding.primary.message.as_str()].map(str::to_owned);
                lines.into_iter().chain(finding.notes.iter().cloned()).collect::<Vec<_>>().join("\n")
            })
            .collect::<Vec<_>>()
            .join("\n\n")
    }

    /// Returns the text of every file of the build, one after the other.
    pub fn text(&self) -> String {
        let files = targets::artifacts(self.lowering.clone(), &self.sources);
        files.iter().map(|file| format!("==> {}\n{}", file.path, file.text)).collect()
    }

    /// Returns the files of a layer as one text, each below its path.
    pub fn text_of(&self, layer: Layer) -> String {
        let mut of_layer = self.lowering.clone();
        of_layer.layers.retain(|(one, _)| *one == layer);
        let files = targets::artifacts(of_layer, &self.sources);
        files.iter().map(|file| format!("# ==> {}\n{}", file.path, file.text)).collect::<Vec<_>>().join("---\n")
    }

    /// Returns the objects as they are read back.
    pub fn objects(&self) -> Vec<Value> {
        let objects = self.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.objects);
        objects.map(|object| serde_yaml::from_str(&object.yaml).unwrap()).collect()
    }

    /// Returns the only object.
    pub fn object(&self) -> Value {
        only(self.objects(), self)
    }

    /// Returns the objects of a kind.
    pub fn of(&self, kind: &str) -> Vec<Value> {
        self.objects().into_iter().filter(|object| object["kind"] == kind).collect()
    }

    /// Returns the only object of a kind.
    pub fn one(&self, kind: &str) -> Value {
        only(self.of(kind), self)
    }

    /// Returns the spec of the object of a kind with a name.
    pub fn spec(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let mut objects = self.of(kind);
        objects.retain(|object| object["metadata"]["namespace"] == namespace && object["metadata"]["name"] == name);
        only(objects, self)["spec"].clone()
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

    /// Returns whether the source allows a request.
    pub fn allows(&self, from: &str, to: &str, request: Request) -> bool {
        let question = Question { from: from.into(), to: to.into(), request, ..Question::default() };
        ask(&self.policy, &question).unwrap().allowed()
    }

    /// Returns how well a layer enforces the rules.
    pub fn judgements_of(&self, layer: Layer) -> &[Judgement] {
        let (_, lowered) = self.lowering.layers.iter().find(|(one, _)| *one == layer).unwrap();
        &lowered.judgements
    }

    /// Returns how well Istio enforces the rules.
    pub fn judgements(&self) -> &[Judgement] {
        self.judgements_of(Layer::Istio)
    }

    /// Returns the level and reason of one end of a rule on Istio.
    pub fn judged(&self, rule: usize, direction: Direction) -> (Level, String) {
        let mut of_istio = self.judgements().iter();
        let judgement = of_istio.find(|one| one.rule.index() == rule && one.direction == direction).unwrap();
        (judgement.level, judgement.reason.to_string())
    }

    /// Returns the level and the reason of each end of a rule, by its number, on every layer.
    pub fn levels(&self, rule: usize) -> Vec<(Level, &'static str)> {
        let judgements = self.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.judgements);
        let of_rule = judgements.filter(|judgement| judgement.rule.index() == rule);
        of_rule.map(|judgement| (judgement.level, &*judgement.reason.to_string().leak())).collect()
    }
}

fn only(mut objects: Vec<Value>, build: &Build) -> Value {
    assert_eq!(objects.len(), 1, "{}", build.text());
    objects.remove(0)
}

/// Returns findings as a person sees them.
fn shown(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let mut out = Vec::new();
    render(diagnostics, sources, Format::Human, false, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

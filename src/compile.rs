//! The driver: one function for each step of the pipeline that [the crate's description](crate) draws. [`policy()`]
//! runs the steps from text to the policy, and [`build`] those from the policy to files.
//!
//! Programs that embed the compiler call these functions. None of them reads a file: an [`Input`] gives the texts, and
//! a [`Loader`] finds those that a `use` names.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::analysis;
use crate::diag::{Code, Diagnostic, Diagnostics, Severity};
use crate::inventory::{self, Inventory, Reading};
use crate::policy::provenance::attribution;
use crate::policy::{self, Flow, Policy};
use crate::replay::Trial;
use crate::resolve::{self, Loader, Lookups, ModuleId, Names, Resolved};
use crate::settings::{Layer, Platform, Settings};
use crate::source::{FileId, Sources, Span};
use crate::syntax::{self, Deferred, Opened};
use crate::targets::wasm::{Abi, Module};
use crate::targets::{self, Artifact, Checked, Lowering, Made};
use crate::types::{self, Program};
use crate::verify::{self, Decision};

/// The input of a compilation: texts and settings.
#[derive(Clone, Debug)]
pub struct Input {
    /// Every text of the run. [`resolve()`] adds the modules that a `use` names, and the standard library.
    pub sources: Sources,
    /// The settings of the cluster and the build, from `netpol.toml` and the command line.
    pub settings: Settings,
    /// The policy files, whose rules count.
    pub policies: Vec<FileId>,
    /// Guardrails: policy files with assertions that every build must meet, and without rules.
    pub guardrails: Vec<FileId>,
    /// The manifests of the cluster. With `None` there is no inventory, and a name that no manifest has is not an
    /// error.
    pub manifests: Option<Vec<FileId>>,
    /// The manifests that were found in a folder. A file there that is no manifest is skipped.
    pub found: Vec<FileId>,
}

impl Input {
    /// Makes an input without texts.
    pub fn new(settings: Settings) -> Input {
        let (policies, guardrails) = (Vec::new(), Vec::new());
        Input { sources: Sources::new(), settings, policies, guardrails, manifests: None, found: Vec::new() }
    }

    /// Adds a policy file. `path` is its name in messages and in generated objects.
    pub fn policy(&mut self, path: impl Into<String>, text: impl Into<String>) -> FileId {
        let file = self.sources.add(path, text);
        self.policies.push(file);
        file
    }

    /// Adds a file of Kubernetes manifests.
    pub fn manifest(&mut self, path: impl Into<String>, text: impl Into<String>) -> FileId {
        let file = self.sources.add(path, text);
        self.manifests.get_or_insert_default().push(file);
        file
    }
}

/// A [`Loader`] for policies that use only modules of the standard library.
pub fn no_files(_from: &str, _path: &str) -> Result<(String, String), String> {
    Err("there are no other files".to_owned())
}

/// Compiles an input to its policy; `None` after an error.
pub fn policy(input: &mut Input, loader: &mut Loader<'_>, diagnostics: &mut Diagnostics) -> Option<Policy> {
    policy_despite_errors(input, loader, diagnostics).filter(|_| !diagnostics.has_errors())
}

/// Compiles an input to its policy, leaving out the rules that have errors. An editor may ask questions about such a
/// policy; a build must not use it. `None` if a manifest could not be read.
pub fn policy_despite_errors(
    input: &mut Input,
    loader: &mut Loader<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Policy> {
    understand(input, loader, diagnostics).policy
}

/// Compiles an input with further rules, each on its own line. Returns the policy, and the errors that `check` would
/// find.
pub fn trial(input: &mut Input, loader: &mut Loader<'_>, rules: &str) -> Trial {
    let file = input.policy("<suggested>", rules);
    let mut diagnostics = Diagnostics::new();
    let policy = policy(input, loader, &mut diagnostics);
    input.policies.retain(|one| *one != file);
    if let Some(policy) = &policy {
        judge(policy, &input.sources, &mut diagnostics);
    }
    let line = |span: Span| (span.file == file).then(|| input.sources.line(span) - 1);
    let mut trial = Trial::default();
    for error in diagnostics.iter().filter(|one| one.severity() == Severity::Error) {
        let spans = [error.primary.span].into_iter().chain(error.labels.iter().map(|label| label.span));
        let lines: Vec<usize> = spans.filter_map(line).collect();
        let message = match line(error.primary.span) {
            Some(_) => error.message.clone(),
            None => format!("{}: {}", input.sources.place(error.primary.span), error.message),
        };
        if lines.is_empty() {
            trial.others.push(message.clone());
        }
        trial.errors.extend(lines.into_iter().map(|at| (at, message.clone())));
    }
    let own = policy.iter().flat_map(Policy::numbered);
    trial.lines = own.filter_map(|(at, rule)| Some((at, line(rule.origin.span)?))).collect();
    trial.policy = policy;
    trial
}

/// The data for an editor: the names of an input, the definition of each name in use, and the policy.
#[derive(Debug)]
pub struct Understood {
    /// All modules and their names.
    pub names: Names,
    /// The names that are in use, each with its span and its definition; empty if a manifest could not be read.
    pub lookups: Lookups,
    /// The policy without the rules that have errors; `None` if a manifest could not be read.
    pub policy: Option<Policy>,
}

/// Compiles an input as [`policy_despite_errors`] does, and keeps its names.
pub fn understand(input: &mut Input, loader: &mut Loader<'_>, diagnostics: &mut Diagnostics) -> Understood {
    understand_facts(input, loader, &mut inventory, diagnostics)
}

/// Compiles an input as [`understand`] does, with facts that the caller has read: an editor reads manifests again only
/// if they changed.
pub fn understand_facts(
    input: &mut Input,
    loader: &mut Loader<'_>,
    facts: &mut dyn FnMut(&Input, &mut Diagnostics) -> Inventory,
    diagnostics: &mut Diagnostics,
) -> Understood {
    diagnostics.set_levels(&input.settings.lints);
    let files = parse(input, diagnostics);
    let Resolved { names, deferred } = resolve(files, input, loader, diagnostics);
    let errors = diagnostics.count(Severity::Error);
    let inventory = facts(input, diagnostics);
    // If a manifest could not be read, every rule that names one of its workloads would get a wrong error.
    if diagnostics.count(Severity::Error) > errors {
        for (module, deferred) in deferred {
            deferred.report(&input.sources, names.module(module).file.id, diagnostics);
        }
        return Understood { names, lookups: Lookups::default(), policy: None };
    }
    let mut program = check(&names, deferred, inventory, input, diagnostics);
    let lookups = std::mem::take(&mut program.lookups);
    let policy = lower(program, input, diagnostics);
    refuse_rules_of_guardrails(input, &policy, diagnostics);
    Understood { names, lookups, policy: Some(policy) }
}

/// Reports the mistakes of syntax in the policy files: all that can be checked when another file of the run is missing.
pub fn report_syntax(input: &Input, diagnostics: &mut Diagnostics) {
    for opened in parse(input, diagnostics) {
        opened.deferred.report(&input.sources, opened.file.id, diagnostics);
    }
}

/// Parses the declarations of the policy files and of the guardrails, and defers their other statements to [`check`].
pub fn parse(input: &Input, diagnostics: &mut Diagnostics) -> Vec<Opened> {
    let files = input.policies.iter().chain(&input.guardrails);
    files.map(|file| syntax::open(&input.sources, *file, diagnostics)).collect()
}

/// Resolves names: loads the modules that the files use, and finds the definition of each name.
pub fn resolve(
    files: Vec<Opened>,
    input: &mut Input,
    loader: &mut Loader<'_>,
    diagnostics: &mut Diagnostics,
) -> Resolved {
    resolve::resolve(files, &mut input.sources, &input.settings, loader, diagnostics)
}

/// Returns the platform that an inventory shows, else plain Kubernetes.
pub fn platform_of(inventory: &Inventory) -> Platform {
    types::mark(inventory).map_or(Platform::Kubernetes, |(platform, ..)| platform)
}

/// Reads the manifests as facts about the cluster.
pub fn inventory(input: &Input, diagnostics: &mut Diagnostics) -> Inventory {
    let reading = Reading { namespace: input.settings.inventory_namespace.as_deref(), found: &input.found };
    match &input.manifests {
        Some(files) => inventory::read(&input.sources, files, reading, diagnostics),
        None => Inventory::default(),
    }
}

/// Checks types: parses the deferred statements, and gives every statement its types, using the facts about the
/// cluster.
pub fn check(
    names: &Names,
    deferred: Vec<(ModuleId, Deferred)>,
    inventory: Inventory,
    input: &Input,
    diagnostics: &mut Diagnostics,
) -> Program {
    types::check(names, deferred, inventory, &input.settings, &input.sources, diagnostics)
}

/// Lowers a program to the policy: its rules, and the grants that the compiler adds.
pub fn lower(program: Program, input: &Input, diagnostics: &mut Diagnostics) -> Policy {
    policy::lower(program, &input.settings, diagnostics)
}

/// Judges how well the layers of the build enforce each rule, and makes no objects.
pub fn judge(policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) -> Lowering {
    analyze(policy, sources, diagnostics);
    let lowering = targets::judge(policy, sources, diagnostics);
    analysis::beyond_source(policy, &lowering.accepted_excess(policy), diagnostics);
    attribute(policy, diagnostics);
    lowering
}

/// Judges as [`judge`] does. For each rule that a layer does not enforce exactly, tells which rules the layer enforces
/// instead, or else an example flow that passes.
pub fn explain(policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) -> Lowering {
    analyze(policy, sources, diagnostics);
    let flows = Mutex::new(HashMap::new());
    let look = |made: &Made<'_>| {
        let shown = verify::shown(policy, made).into_iter();
        if let Ok(mut flows) = flows.lock() {
            flows.extend(shown.map(|((rule, direction), flow)| ((made.layer.word(), rule, direction), flow)));
        }
        Checked::default()
    };
    let mut lowering = targets::explain(policy, sources, &look, diagnostics);
    let mut flows = flows.into_inner().unwrap_or_default();
    for (layer, lowered) in &mut lowering.layers {
        for judgement in &mut lowered.judgements {
            let flow = flows.remove(&(layer.word(), judgement.rule, judgement.direction));
            if let Some(flow) = flow {
                judgement.remarks_mut().passes = Some(flow.into_boxed_str());
            }
        }
    }
    analysis::beyond_source(policy, &lowering.accepted_excess(policy), diagnostics);
    attribute(policy, diagnostics);
    lowering
}

/// Makes the objects of every layer of the build, all of them at once, with the judgements. They are checked as in
/// [`build`], which makes files of them and keeps none in memory.
pub fn objects(policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) -> Lowering {
    analyze(policy, sources, diagnostics);
    let lowering = targets::lower(policy, sources, &|made| verify::check(policy, sources, made), diagnostics);
    analysis::beyond_source(policy, &lowering.accepted_excess(policy), diagnostics);
    attribute(policy, diagnostics);
    lowering
}

/// Returns, for some flows, the decision of each layer's objects as they are written and read back. The objects are
/// checked as in [`build`].
pub fn written(
    policy: &Policy,
    sources: &Sources,
    diagnostics: &mut Diagnostics,
    flows: &[&Flow],
) -> (Lowering, Vec<(Layer, Vec<Decision>)>) {
    analyze(policy, sources, diagnostics);
    let all: Vec<_> =
        policy.settings.targets.iter().map(|layer| (*layer, vec![Decision::Passes; flows.len()])).collect();
    let all = Mutex::new(all);
    let look = |made: &Made<'_>| {
        let told = verify::decisions(policy, made, flows);
        if let Ok(mut all) = all.lock() {
            let own = all.iter_mut().filter(|(layer, _)| *layer == made.layer).flat_map(|(_, told)| told);
            own.zip(told).for_each(|(one, other)| *one = one.and(other));
        }
        verify::check(policy, sources, made)
    };
    let lowering = targets::lower(policy, sources, &look, diagnostics);
    analysis::beyond_source(policy, &lowering.accepted_excess(policy), diagnostics);
    attribute(policy, diagnostics);
    (lowering, all.into_inner().unwrap_or_default())
}

/// Builds the files of every layer. They are handed to `then` one partition after the other, until `then` returns
/// `false`. All files were read back and compared with the policy ([`verify`]). An error because a layer enforces too
/// little may follow after the last partition.
pub fn build(
    policy: &Policy,
    sources: &Sources,
    diagnostics: &mut Diagnostics,
    then: &mut dyn FnMut(Vec<Artifact>) -> bool,
) -> Lowering {
    analyze(policy, sources, diagnostics);
    let check = |made: &Made<'_>| verify::check(policy, sources, made);
    let lowering = targets::build(policy, sources, &check, diagnostics, then);
    analysis::beyond_source(policy, &lowering.accepted_excess(policy), diagnostics);
    attribute(policy, diagnostics);
    lowering
}

/// Builds the evaluator module of a policy, which decides exactly as the source says, without any layer. With `audit`
/// it denies nothing, and reports the flows that it would deny.
pub fn module(policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics, abi: Abi, audit: bool) -> Module {
    analyze(policy, sources, diagnostics);
    attribute(policy, diagnostics);
    targets::wasm::build(policy, sources, abi, audit)
}

/// Builds the files of a policy as [`build`] does, without judgements and messages, for a policy that is already
/// judged.
pub fn files(policy: &Policy, sources: &Sources, then: &mut dyn FnMut(Vec<Artifact>) -> bool) {
    targets::files_of(policy, sources, then);
}

/// Judges the assertions of a policy, and finds redundant rules. After an error nothing is reported, because rules may
/// be missing.
fn analyze(policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) {
    if !diagnostics.has_errors() {
        analysis::lints(policy, sources, diagnostics);
    }
    analysis::assertions(policy, sources, diagnostics);
}

/// Adds the `@owner` and `@reason` of a rule to the messages about it, and warns of each `@allow` that allows nothing.
fn attribute(policy: &Policy, diagnostics: &mut Diagnostics) {
    let said = policy.rules.iter().filter_map(|rule| Some((rule.origin.span, attribution(&rule.origin)?)));
    let said: HashMap<Span, String> = said.collect();
    if !said.is_empty() {
        diagnostics.annotate(|span| said.get(&span).cloned());
    }
    diagnostics.warn_of_unused_allows();
}

/// Reports a rule in a guardrail file: guardrails add assertions to a build, and never rules.
fn refuse_rules_of_guardrails(input: &Input, policy: &Policy, diagnostics: &mut Diagnostics) {
    for rule in &policy.rules {
        let span = rule.origin.place();
        if input.guardrails.contains(&span.file) {
            let message = "a file of `--guardrails` holds a rule";
            let note = "guardrails assert what must hold for every build; rules belong in the files that are built";
            diagnostics.push(Diagnostic::new(Code::GuardrailRule, span, message).note(note));
        }
    }
}

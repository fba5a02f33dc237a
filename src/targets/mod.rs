//! From a policy to the objects of a cluster, and how well each layer enforces each rule.

mod ambient;
pub mod capability;
mod components;
pub mod effective;
pub mod enforcement;
mod files;
pub mod foreign;
mod gap;
mod instead;
pub mod istio;
mod judgement;
mod level;
pub mod names;
mod narrower;
pub mod networkpolicy;
mod overwritten;
mod partition;
mod together;
pub mod wasm;
mod waypoints;
pub mod yaml;

pub use ambient::{TUNNEL, is_ambient_pod, is_tunnelled};
use ambient::{is_ambient, is_ambient_namespace};
pub use files::{Artifact, Listed, artifacts, kustomization};
pub use gap::{Kept, Why};
pub use judgement::{AtGateway, Judgement, Remarks};
pub use level::{Level, Levels, PAST_SIDECAR, Traffic, Traffics};
pub use narrower::{Narrower, Refuses};
pub use together::Ruling;

use std::sync::Arc;

use self::effective::Effective;
use self::partition::Partition;
use self::together::{Meeting, Part};
use crate::diag::{Diagnostic, Diagnostics};
use crate::model::rules::{Direction, GrantId, Rule, RuleId};
use crate::parallel;
use crate::policy::Policy;
use crate::settings::Layer;
use crate::source::{FileId, Sources};

/// The result of one target for a policy.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// The objects, in their final order; empty if they are not wanted.
    pub objects: Vec<Object>,
    /// One for each governed end of each rule, in the order of the rules.
    pub judgements: Vec<Judgement>,
    /// The layer's rules, if its objects can be read as rules; only while a partition is lowered.
    pub effective: Option<Effective>,
}

/// A layer's objects for a partition of a policy, before they are handed on.
#[derive(Clone, Copy)]
pub struct Made<'a> {
    /// The layer.
    pub layer: Layer,
    /// The rule ends, the only ones that govern their pods.
    pub ends: &'a [(RuleId, Direction)],
    /// The grants that may open the pods.
    pub grants: &'a [GrantId],
    /// The judgement of each rule end.
    pub judgements: &'a [Judgement],
    /// The rules that the objects must mean, if the layer's objects can be read as rules.
    pub effective: &'a Effective,
    /// The texts of the objects.
    pub texts: &'a [&'a str],
    /// The rules of another layer for the same partition, if its objects can be read as rules.
    pub beside: Option<&'a Ruling>,
}

/// The mistakes in a layer's objects.
#[derive(Debug, Default)]
pub struct Checked {
    /// The mistakes of the layer by itself.
    pub alone: Diagnostics,
    /// The mistakes of the layers together; they count only if every rule is enforced.
    pub together: Diagnostics,
}

impl From<Diagnostics> for Checked {
    fn from(alone: Diagnostics) -> Checked {
        Checked { alone, together: Diagnostics::new() }
    }
}

/// Reads the text of a layer's objects as rules; the diagnostic says what cannot be read. `file` is the file of the
/// text.
pub fn read_back(layer: Layer, file: FileId, text: &str) -> Result<Vec<Rule>, Box<Diagnostic>> {
    match layer {
        Layer::NetworkPolicy => networkpolicy::read::written(file, text),
        // Istio's objects cannot be read as rules: `verify` compares them as sets, and needs no rules here.
        Layer::Istio => Ok(Vec::new()),
    }
}

/// A check of a layer's objects, which returns their mistakes.
pub type Check<'c> = &'c (dyn Fn(&Made<'_>) -> Checked + Sync);

/// One object as it will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its namespace, which is the folder that it is written to.
    pub namespace: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its YAML document without the `---`, ending in a line feed.
    pub yaml: String,
    /// Whether the object patches one that the build does not own: written as `patches/NAMESPACE/NAME.patch`.
    pub patch: bool,
    /// The files whose rules the object comes from, named at the head of its file; see
    /// [`crate::policy::provenance::files`].
    pub files: Vec<FileId>,
}

/// The results of all layers of a build for a policy.
#[derive(Clone, Debug)]
pub struct Lowering {
    /// Each layer with its result, in the order of the settings.
    pub layers: Vec<(Layer, Lowered)>,
    /// The build's own objects, as far as objects of others in the cluster concern them.
    pub beside: foreign::Beside,
}

/// How much of a layer's result is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// How well the layer enforces each rule.
    Judgements,
    /// The judgements, and the rules that the layer has instead of rules that are not exact.
    Sentences,
    /// The objects as well.
    Objects,
    /// The objects as files.
    Files,
}

/// Lowers a policy to every layer of the build and judges each rule by all of them. A rule that no layer enforces is an
/// error; a rule that is enforced only for pods that keep their sidecar is a note.
pub fn lower(policy: &Policy, sources: &Sources, check: Check<'_>, diagnostics: &mut Diagnostics) -> Lowering {
    let all = &mut |_| true;
    let lowering = lower_partitions(TOGETHER, Wanted::Objects, policy, sources, Some(check), diagnostics, all);
    judged(lowering, policy, diagnostics)
}

/// Lowers a policy as [`lower`] does, in partitions of at least `least` rule ends. The result is the same.
pub fn lower_by(least: usize, policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) -> Lowering {
    let lowering = lower_partitions(least, Wanted::Objects, policy, sources, None, diagnostics, &mut |_| true);
    judged(lowering, policy, diagnostics)
}

/// Lowers a policy as [`lower`] does, and hands on the files of one partition after the other, so that they need not
/// all be in memory at once. It stops when `then` returns false. Messages about enforcement follow the last partition.
/// The files of a partition are sorted by path, and the partitions by namespace, except that namespaces of one
/// partition stay together.
pub fn build(
    policy: &Policy,
    sources: &Sources,
    check: Check<'_>,
    diagnostics: &mut Diagnostics,
    then: &mut dyn FnMut(Vec<Artifact>) -> bool,
) -> Lowering {
    let lowering = lower_partitions(TOGETHER, Wanted::Files, policy, sources, Some(check), diagnostics, then);
    judged(lowering, policy, diagnostics)
}

/// Hands on the files of a policy as [`build`] does, for a policy that is already judged.
pub fn files_of(policy: &Policy, sources: &Sources, then: &mut dyn FnMut(Vec<Artifact>) -> bool) {
    lower_partitions(TOGETHER, Wanted::Files, policy, sources, None, &mut Diagnostics::new(), then);
}

/// Judges each rule as [`lower`] does, and writes no objects.
pub fn judge(policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) -> Lowering {
    let wanted = Wanted::Judgements;
    let lowering = lower_partitions(TOGETHER, wanted, policy, sources, None, diagnostics, &mut |_| true);
    judged(lowering, policy, diagnostics)
}

/// Judges each rule as [`judge`] does. For each rule that a layer does not enforce exactly, gives the rules that the
/// layer has instead. `look` is called with each layer's objects.
pub fn explain(policy: &Policy, sources: &Sources, look: Check<'_>, diagnostics: &mut Diagnostics) -> Lowering {
    let wanted = Wanted::Sentences;
    let lowering = lower_partitions(TOGETHER, wanted, policy, sources, Some(look), diagnostics, &mut |_| true);
    judged(lowering, policy, diagnostics)
}

/// The least number of rule ends that are lowered together, if a policy has several partitions.
const TOGETHER: usize = 128;

fn judged(
    (mut lowering, together): (Lowering, Diagnostics),
    policy: &Policy,
    diagnostics: &mut Diagnostics,
) -> Lowering {
    let behind = waypoints::mark(policy, &mut lowering.layers);
    let ambient = ambient::judge(policy, &mut lowering.layers, &behind);
    enforcement::judge(policy, &lowering.layers, &ambient.accepted, diagnostics);
    // If some rule is not enforced, flows that pass all layers because of it are reported at the rule.
    if !diagnostics.has_errors() {
        diagnostics.append(together);
    }
    ambient.report(diagnostics);
    foreign::judge(policy, &lowering.beside, diagnostics);
    lowering
}

/// A target, with the data that is the same for all partitions of a policy.
enum Target<'a> {
    NetworkPolicy(networkpolicy::Common),
    Istio(istio::Common<'a>),
}

impl<'a> Target<'a> {
    fn of(layer: Layer, policy: &'a Policy) -> Target<'a> {
        match layer {
            Layer::NetworkPolicy => Target::NetworkPolicy(networkpolicy::Common::new(policy)),
            Layer::Istio => Target::Istio(istio::Common::new(policy)),
        }
    }

    fn lower(&self, partition: &Partition<'_>, sources: &Sources, wanted: Wanted, found: &mut Diagnostics) -> Lowered {
        match self {
            Target::NetworkPolicy(common) => networkpolicy::lower(common, partition, sources, wanted, found),
            Target::Istio(common) => istio::lower(common, partition, sources, wanted, found),
        }
    }
}

/// Lowers each partition to each layer, side by side: layers and partitions do not depend on each other. Also returns
/// the mistakes of all layers together.
fn lower_partitions(
    least: usize,
    wanted: Wanted,
    policy: &Policy,
    sources: &Sources,
    check: Option<Check<'_>>,
    diagnostics: &mut Diagnostics,
    then: &mut dyn FnMut(Vec<Artifact>) -> bool,
) -> (Lowering, Diagnostics) {
    let layers = &policy.settings.targets;
    let partitions = partition::divide(policy, sources, least);
    let targets: Vec<Target<'_>> = layers.iter().map(|layer| Target::of(*layer, policy)).collect();
    let others = overwritten::Others::of(policy);
    let reader = foreign::Reader::new(policy);
    // Objects of others that would be overwritten are found by their names, which are made with the objects.
    let compared = !others.is_empty() || !reader.is_idle();
    let made = if wanted == Wanted::Judgements && compared { Wanted::Objects } else { wanted };
    let meetings: Vec<Meeting> = partitions.iter().map(|_| Meeting::default()).collect();
    let has_rules = layers.iter().any(|layer| is_of_rules(*layer));
    let each = || layers.iter().zip(&targets);
    let tasks: Vec<_> = partitions
        .iter()
        .zip(&meetings)
        .flat_map(|(partition, meeting)| each().map(move |(layer, target)| (*layer, target, partition, meeting)))
        .collect();
    let lower = |&(layer, target, partition, meeting): &(Layer, &Target<'_>, &Partition<'_>, &Meeting)| {
        let mut found = Diagnostics::new();
        let mut lowered = target.lower(partition, sources, made, &mut found);
        let overwritten = others.refuse(&lowered.objects, &mut found);
        let beside = reader.read(&lowered.objects, overwritten);
        let files = match wanted {
            Wanted::Files => files::of_objects(layer, std::mem::take(&mut lowered.objects), sources),
            Wanted::Objects | Wanted::Sentences | Wanted::Judgements => Vec::new(),
        };
        if let Some(effective) = lowered.effective.as_ref().filter(|_| wanted == Wanted::Sentences) {
            instead::add(policy, effective, &mut lowered.judgements);
        }
        // After an error the objects are incomplete and are not written.
        if let Some(check) = check.filter(|_| !found.has_errors()) {
            let objects = lowered.objects.iter().map(|object| object.yaml.as_str());
            let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).chain(objects).collect();
            let (ends, grants) = (partition.members(), partition.granted());
            let (part, judgements) = (Part { ends, grants }, &lowered.judgements);
            match lowered.effective.take().filter(|_| is_of_rules(layer)) {
                Some(effective) => {
                    let ruling = Arc::new(Ruling { effective, judgements: judgements.clone() });
                    meeting.rule(part, &ruling, check);
                    let effective = &ruling.effective;
                    let made = Made { layer, ends, grants, judgements, effective, texts: &texts, beside: None };
                    found.append(check(&made).alone);
                }
                None => meeting.meet(part, layer, judgements, &texts, (has_rules, check)),
            }
        }
        if matches!(wanted, Wanted::Judgements | Wanted::Sentences) {
            lowered.objects.clear();
        }
        (lowered, files, beside, found)
    };
    let places = Places::new(policy);
    let mut layers: Vec<(Layer, Lowered)> = layers.iter().map(|layer| (*layer, places.empty())).collect();
    let mut at = 0;
    let mut of_partition = Vec::new();
    let mut all_beside = foreign::Beside::default();
    let mut together = Diagnostics::new();
    parallel::ahead(&tasks, lower, |(lowered, files, beside, found)| {
        diagnostics.append(found);
        all_beside.extend(beside);
        places.add(&mut layers[at % targets.len()].1, lowered);
        of_partition.extend(files);
        at += 1;
        if at % targets.len() > 0 {
            return true;
        }
        if let Some(checked) = meetings.get(at / targets.len() - 1).and_then(Meeting::take) {
            diagnostics.append(checked.alone);
            together.append(checked.together);
        }
        of_partition.sort_by(|a: &Artifact, b| a.path.cmp(&b.path));
        then(std::mem::take(&mut of_partition))
    });
    for (_, lowered) in &mut layers {
        // Objects of one namespace come from one partition, and the objects of a partition are sorted already.
        lowered.objects.sort_by(|a, b| a.namespace.cmp(&b.namespace));
    }
    all_beside.date(policy);
    (Lowering { layers, beside: all_beside }, together)
}

/// Returns whether the objects of a layer can be read as rules.
fn is_of_rules(layer: Layer) -> bool {
    match layer {
        Layer::NetworkPolicy => true,
        Layer::Istio => false,
    }
}

/// The index of each judgement among those of all partitions: they are in the order of rules, egress before ingress.
struct Places<'a> {
    policy: &'a Policy,
    /// For each rule, the number of rule ends before its own.
    before: Vec<u32>,
    ends: usize,
}

impl Places<'_> {
    fn new(policy: &Policy) -> Places<'_> {
        let mut ends = 0;
        let before = policy.rules.iter().map(|rule| {
            let before = ends as u32;
            ends += usize::from(rule.egress) + usize::from(rule.ingress);
            before
        });
        Places { policy, before: before.collect(), ends }
    }

    /// Returns an empty result with room for all judgements of a layer.
    fn empty(&self) -> Lowered {
        let blank = Judgement::exact(RuleId::new(0), Direction::Egress);
        Lowered { judgements: vec![blank; self.ends], ..Lowered::default() }
    }

    /// Adds the result of a layer for one partition.
    fn add(&self, all: &mut Lowered, one: Lowered) {
        for judgement in one.judgements {
            let rule = judgement.rule.index();
            let second = judgement.direction == Direction::Ingress && self.policy.rules[rule].egress;
            all.judgements[self.before[rule] as usize + usize::from(second)] = judgement;
        }
        all.objects.extend(one.objects);
    }
}

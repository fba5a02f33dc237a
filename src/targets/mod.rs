//! From a policy to the objects of a cluster, and how well each layer holds each rule.

mod files;
pub mod istio;
pub mod layers;
pub mod names;
pub mod networkpolicy;
pub mod yaml;

pub use files::{Artifact, artifacts, kustomization};

use std::borrow::Cow;

use crate::diag::Diagnostics;
use crate::parallel;
use crate::policy::{Direction, Layer, Policy};
use crate::source::{FileId, Sources};

/// How well a layer holds one end of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It stops every flow that the rule forbids.
    Exact,
    /// It holds for whoever plays by the rules, as with a sidecar that a pod can go round.
    Bypassable,
    /// It lets more through than the rule says.
    Wider,
    /// It stops nothing of what the rule forbids.
    Unable,
}

/// What a layer makes of one end of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The rule, an index into `Policy::rules`.
    pub rule: u32,
    /// The end.
    pub direction: Direction,
    /// How well it holds.
    pub level: Level,
    /// Why it is not exact, or how it is: lower case, no final period ("other hosts at these addresses pass too").
    pub reason: Cow<'static, str>,
    /// What the layer refuses although the rule allows it, where there is such a thing (callers without a sidecar).
    pub narrower: Option<String>,
}

impl Judgement {
    /// Returns what a layer makes of a rule, as a clause.
    fn words(&self, layer: Layer) -> String {
        format!("{} is {}: {}", layer.word(), self.level.word(), self.reason)
    }
}

impl Level {
    /// Returns `exact`, `bypassable`, `wider` or `unable`.
    pub fn word(self) -> &'static str {
        match self {
            Level::Exact => "exact",
            Level::Bypassable => "bypassable",
            Level::Wider => "wider",
            Level::Unable => "unable",
        }
    }
}

/// What a target made of a policy.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// The objects, in their final order; none where they are not wanted.
    pub objects: Vec<Object>,
    /// One for each governed end of each rule, in the order of the rules.
    pub judgements: Vec<Judgement>,
}

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
    /// A patch of an object that is not ours: written as `NAMESPACE/NAME.patch.yaml`.
    pub patch: bool,
    /// The files whose rules it comes from, which the head of its file names; see [`names::files`].
    pub files: Vec<FileId>,
}

/// What all layers of a build made of a policy.
#[derive(Clone, Debug)]
pub struct Lowering {
    /// Each layer with its part, in the order of the settings.
    pub layers: Vec<(Layer, Lowered)>,
}

/// What is wanted of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// How well they hold each rule.
    Judgements,
    /// The objects, too.
    Objects,
}

/// Lowers a policy to every layer of the build and judges each rule by all of them: a rule that no layer holds is an
/// error, one that only well-behaved pods keep a note.
pub fn lower(policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) -> Lowering {
    lower_to(Wanted::Objects, policy, sources, diagnostics)
}

/// Judges each rule as [`lower`] does, and writes no objects.
pub fn judge(policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) -> Lowering {
    lower_to(Wanted::Judgements, policy, sources, diagnostics)
}

/// The layers know nothing of each other, and are worked out side by side.
fn lower_to(wanted: Wanted, policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) -> Lowering {
    let lower = |layer: Layer| {
        let mut found = Diagnostics::new();
        let lowered = match layer {
            Layer::NetworkPolicy => networkpolicy::lower(policy, sources, wanted, &mut found),
            Layer::Istio => istio::lower(policy, sources, wanted, &mut found),
        };
        (layer, lowered, found)
    };
    let results = parallel::map(policy.settings.targets.clone(), lower);
    let mut layers = Vec::with_capacity(results.len());
    for (layer, lowered, found) in results {
        diagnostics.append(found);
        layers.push((layer, lowered));
    }
    layers::judge(policy, &layers, diagnostics);
    Lowering { layers }
}

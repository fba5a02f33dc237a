//! From a policy to the objects of a cluster, and how well each layer holds each rule.

mod files;
pub mod istio;
pub mod layers;
pub mod names;
pub mod networkpolicy;
pub mod yaml;

pub use files::{Artifact, artifacts, kustomization};

use crate::diag::Diagnostics;
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
    pub reason: String,
    /// What the layer refuses although the rule allows it, where there is such a thing (callers without a sidecar).
    pub narrower: Option<String>,
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
    /// The objects, in their final order.
    pub objects: Vec<Object>,
    /// One for each rule and governed end.
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
    /// What they hold together, rule by rule.
    pub enforcement: layers::Enforcement,
}

/// Lowers a policy to every layer of the build and judges each rule by all of them: a rule that no layer holds is an
/// error, one that only well-behaved pods keep a note.
pub fn lower(policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) -> Lowering {
    let mut layers = Vec::with_capacity(policy.settings.targets.len());
    for &layer in &policy.settings.targets {
        let lowered = match layer {
            Layer::NetworkPolicy => networkpolicy::lower(policy, sources, diagnostics),
            Layer::Istio => istio::lower(policy, sources, diagnostics),
        };
        layers.push((layer, lowered));
    }
    let enforcement = layers::judge(policy, sources, &layers, diagnostics);
    Lowering { layers, enforcement }
}

//! `test --against`: other evaluators, asked about flows of the tests' lines, and compared with the sets that prove the
//! lines.
//!
//! ```text
//! deny shop/{app=api} -> zenquotes.io:443        a flow of the line that the sets deny
//!     source   the evaluator denies it, too
//!     yaml     of the objects as they are read back, those of some layer refuse it, or a level or gap says why not
//!     wasm     the module denies it by the same rules
//! ```

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

use crate::analysis::Witness;
use crate::cli::layers::{Deed, Does, layers};
use crate::model::labels::NAMESPACE_NAME;
use crate::model::rules::RuleId;
use crate::policy::ask::Answer;
use crate::policy::meaning::in_words;
use crate::policy::{Cause, Party, Policy, eval};
#[cfg(feature = "wasm-run")]
use crate::policy::{End, Verdict};
use crate::settings::Layer;
use crate::source::{Sources, Span};
use crate::targets::{Judgement, Level, Lowering, Refuses};
use crate::verify::Decision;

/// An evaluator to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// The evaluator of the source.
    Source,
    /// The objects that a build writes, read back.
    Yaml,
    /// The evaluator module.
    #[cfg(feature = "wasm-run")]
    Wasm,
    /// All of these.
    All,
}

impl Against {
    const ALL: &[Against] = &[
        Against::Source,
        Against::Yaml,
        #[cfg(feature = "wasm-run")]
        Against::Wasm,
        Against::All,
    ];

    fn word(self) -> &'static str {
        match self {
            Against::Source => "source",
            Against::Yaml => "yaml",
            #[cfg(feature = "wasm-run")]
            Against::Wasm => "wasm",
            Against::All => "all",
        }
    }

    /// Returns whether this evaluator is among some choices.
    pub fn is_among(self, chosen: &[Against]) -> bool {
        chosen.contains(&self) || chosen.contains(&Against::All)
    }
}

/// Returns the parser of a choice.
pub fn parser() -> impl TypedValueParser<Value = Against> {
    PossibleValuesParser::new(Against::ALL.iter().map(|one| one.word()))
        .map(|word| Against::ALL.iter().copied().find(|one| one.word() == word).unwrap_or(Against::All))
}

/// The answers of one evaluator.
pub struct Outcome {
    /// The name of the evaluator.
    pub what: &'static str,
    /// The number of flows.
    pub flows: usize,
    /// The number of flows about which it could not be asked.
    pub unknown: usize,
    /// The flows that it decides differently.
    pub differing: Vec<Differing>,
}

/// A flow that is decided differently.
pub struct Differing {
    /// The line of the test.
    pub span: Span,
    /// The message about it.
    pub message: String,
    /// Whether a level or a gap of a layer explains the difference.
    pub explained: bool,
}

impl Outcome {
    fn new(against: Against, flows: usize) -> Outcome {
        Outcome { what: against.word(), flows, unknown: 0, differing: Vec::new() }
    }

    /// Returns whether every difference is explained.
    pub fn agrees(&self) -> bool {
        self.differing.iter().all(|one| one.explained)
    }

    fn differ(&mut self, witness: &Witness, message: &str, explained: bool) {
        let word = if witness.allowed { "allowed" } else { "denied" };
        let message = format!("{}: {word}, and {message}", in_words(&witness.flow));
        self.differing.push(Differing { span: witness.span, message, explained });
    }

    /// Returns the outcome in lines.
    pub fn lines(&self, sources: &Sources) -> String {
        let word = if self.agrees() { "ok    " } else { "failed" };
        let flows = format!("{} flow{}", self.flows, if self.flows == 1 { "" } else { "s" });
        let unknown = if self.unknown > 0 { format!(", {} not told", self.unknown) } else { String::new() };
        let mut out = format!("{word}  against {}  {flows}{unknown}\n", self.what);
        for Differing { span, message, explained, .. } in &self.differing {
            let word = if *explained { "known " } else { "failed" };
            out.push_str(&format!("  {word}  {}  {message}\n", sources.place(*span)));
        }
        out
    }

    /// Returns the outcome as JSON.
    pub fn json(&self, sources: &Sources) -> Value {
        let differing = self
            .differing
            .iter()
            .map(|one| json!({ "place": sources.place(one.span), "message": one.message, "explained": one.explained }));
        let differing: Vec<Value> = differing.collect();
        json!({
            "against": self.what, "passed": self.agrees(), "flows": self.flows, "not_told": self.unknown,
            "differing": differing,
        })
    }
}

/// Asks the evaluator.
pub fn source(policy: &Policy, witnesses: &[Witness]) -> Outcome {
    let mut outcome = Outcome::new(Against::Source, witnesses.len());
    for witness in witnesses {
        if eval(policy, &witness.flow).allowed() != witness.allowed {
            outcome.differ(witness, "the evaluator says otherwise", false);
        }
    }
    outcome
}

/// Asks a module.
#[cfg(feature = "wasm-run")]
pub fn wasm(policy: &Policy, sources: &Sources, witnesses: &[Witness]) -> Result<Outcome, String> {
    use crate::targets::wasm::{Abi, build, run::Running};
    let mut module = Running::load(&build(policy, sources, Abi::Core, false).code)?;
    let mut outcome = Outcome::new(Against::Wasm, witnesses.len());
    for witness in witnesses {
        let told = module.judge(&witness.flow)?;
        match (told.allowed() == witness.allowed, told == as_told(eval(policy, &witness.flow))) {
            (false, _) => outcome.differ(witness, "the module says otherwise", false),
            (true, false) => outcome.differ(witness, "the module decides it by another rule", false),
            (true, true) => {}
        }
    }
    Ok(outcome)
}

/// Returns a verdict as a module gives it: of the rules that isolate a pod it names only the first.
#[cfg(feature = "wasm-run")]
fn as_told(verdict: Verdict) -> Verdict {
    let told = |end: End| match end.cause {
        Cause::NoneMatches { isolated_by, .. } => {
            End { cause: Cause::NoneMatches { isolated_by, others: 0, nearest: None }, ..end }
        }
        _ => end,
    };
    Verdict { ends: verdict.ends.map(told) }
}

/// Compares with the objects of each layer, as they are read back. A flow passes if every layer lets it through.
pub fn yaml(policy: &Policy, lowering: &Lowering, told: &[(Layer, Vec<Decision>)], witnesses: &[Witness]) -> Outcome {
    let mut outcome = Outcome::new(Against::Yaml, witnesses.len());
    for (at, witness) in witnesses.iter().enumerate() {
        let of_layers: Vec<(Layer, Decision)> =
            told.iter().filter_map(|(layer, all)| Some((*layer, *all.get(at)?))).collect();
        let does = does(policy, lowering, witness);
        match witness.allowed {
            true => allowed(&mut outcome, (policy, lowering), witness, &of_layers, &does),
            false => denied(&mut outcome, witness, &of_layers, &does),
        }
    }
    outcome
}

/// Returns the decision of each layer about a flow, by its judgements.
fn does(policy: &Policy, lowering: &Lowering, witness: &Witness) -> Vec<Does> {
    let (flow, verdict) = (witness.flow.clone(), eval(policy, &witness.flow));
    let answer = Answer { from: String::new(), to: String::new(), gateway: None, flow, verdict };
    layers(policy, lowering, &answer)
}

fn allowed(
    outcome: &mut Outcome,
    (policy, lowering): (&Policy, &Lowering),
    witness: &Witness,
    told: &[(Layer, Decision)],
    does: &[Does],
) {
    let way = by_gateway(policy, witness).then_some("it goes by way of the gateway");
    for (layer, _) in told.iter().filter(|(_, told)| *told == Decision::Refuses) {
        let said = does.iter().find(|one| one.layer == *layer && one.deed <= Deed::MayRefuse);
        let unsaid = unsaid(policy, lowering, *layer, witness);
        let why = said.map(|one| one.why.as_str()).or(way).or(unsaid.as_deref());
        let shown = why.map(|why| format!(": {why}")).unwrap_or_default();
        outcome.differ(witness, &format!("{} refuses it{shown}", layer.word()), why.is_some());
    }
    if told.iter().all(|(_, told)| *told != Decision::Refuses)
        && told.iter().any(|(_, told)| *told == Decision::Unknown)
    {
        outcome.unknown += 1;
    }
}

/// Returns why a layer may refuse a flow that a rule allows, though no question can tell: it cannot say the rule, and
/// others isolate the pods; it refuses some ways to dial a pod, such as by its own address; or it reads accounts by the
/// labels of the inventory's pods, and this is none of them.
fn unsaid(policy: &Policy, lowering: &Lowering, layer: Layer, witness: &Witness) -> Option<String> {
    let (_, lowered) = lowering.layers.iter().find(|(one, _)| *one == layer)?;
    eval(policy, &witness.flow).ends.iter().find_map(|end| {
        let Cause::Allowed(rule) = end.cause else { return None };
        let of_end = |one: &&Judgement| one.rule == rule && one.direction == end.direction;
        let judgement = lowered.judgements.iter().find(of_end)?;
        if judgement.level == Level::Unable {
            return Some(judgement.reason.to_string());
        }
        let mut refused = judgement.remarks().narrower.iter();
        let dialled = refused.find(|one| one.flows == Refuses::NothingAskedFor).map(|one| one.words.to_string());
        let unknown = || layer == Layer::NetworkPolicy && is_unknown(policy, rule, witness);
        dialled.or_else(|| unknown().then(|| "it knows accounts by the inventory, which has no such pod".to_owned()))
    })
}

/// Returns whether a rule names an account, and a pod of a flow is none that the inventory has.
fn is_unknown(policy: &Policy, rule: RuleId, witness: &Witness) -> bool {
    let Some(rule) = policy.rule(rule).filter(|_| policy.inventory.given) else { return false };
    let flow = &witness.flow;
    [(&rule.source, &flow.source), (&rule.destination, &flow.destination)].into_iter().any(|(endpoint, party)| {
        let Party::Pod(pod) = party else { return false };
        let name = pod.namespace_labels.get(NAMESPACE_NAME).map_or("", |name| name.as_str());
        let mut known = policy.inventory.workloads_in(name).iter();
        endpoint.pods().any(|(_, pods)| !pods.selector.account.is_any())
            && !known.any(|one| one.labels == pod.labels && (one.account.is_empty() || one.account == pod.account))
    })
}

/// Returns whether the rule that lets a flow out leads it through a gateway, so that it cannot go directly to its host.
fn by_gateway(policy: &Policy, witness: &Witness) -> bool {
    let [out, _] = eval(policy, &witness.flow).ends;
    let Cause::Allowed(rule) = out.cause else { return false };
    policy.rule(rule).is_some_and(|rule| rule.egress && rule.via.is_some())
}

fn denied(outcome: &mut Outcome, witness: &Witness, told: &[(Layer, Decision)], does: &[Does]) {
    if told.iter().any(|(_, told)| *told == Decision::Refuses) {
        return;
    }
    if told.iter().any(|(_, told)| *told == Decision::Unknown) {
        outcome.unknown += 1;
        return;
    }
    let explained = does.iter().all(|one| one.deed >= Deed::MayPass);
    let why: Vec<String> = does
        .iter()
        .map(|one| match one.why.is_empty() {
            true => format!("{} lets it through", one.layer.word()),
            false => format!("{} lets it through: {}", one.layer.word(), one.why),
        })
        .collect();
    outcome.differ(witness, &why.join("; "), explained);
}

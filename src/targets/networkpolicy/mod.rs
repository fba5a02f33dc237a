//! Kubernetes NetworkPolicy, `networking.k8s.io/v1`.
//!
//! An object selects pods of its namespace, isolates them in the directions that it names, and lets through what its
//! entries name; several objects of one pod add up, and nothing ever takes away. From this follow the steps here:
//!
//! - `plan` gives every governed side its subjects, namespaces by name and labels of pods (`subjects`), and lets
//!   through what the rules (`reach`) and grants name;
//! - `deny` takes out what deny rules name, by differences of selectors, addresses and ports (`terms`, `ports`),
//!   splitting subjects where only some of their pods are denied;
//! - `emit` writes one object per subject and direction;
//! - `judge` says how well each rule is held.
//!
//! What the objects cannot say is never made narrower than the rule: an allowed flow always passes.

mod deny;
mod emit;
mod judge;
mod model;
mod plan;
mod ports;
mod reach;
mod shared;
mod terms;

use super::partition::Partition;
use super::{Lowered, Wanted};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::model::addresses::AddressSet;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::Policy;
use crate::source::Sources;

/// What follows from a policy and holds for all its parts.
pub(super) struct Common {
    /// Where hosts without addresses may be, the addresses of pods left out.
    internet: AddressSet,
}

impl Common {
    /// Prepares the lowering of a policy.
    pub(super) fn new(policy: &Policy) -> Common {
        Common { internet: policy.internet.subtract(&policy.pod_addresses) }
    }
}

/// Lowers a part of a policy to NetworkPolicies: the objects, where they are wanted, sorted by namespace and name, and a
/// judgement of each end. Pushes notes on what a reader of the objects should know.
pub(super) fn lower(
    common: &Common,
    part: &Partition<'_>,
    sources: &Sources,
    wanted: Wanted,
    diagnostics: &mut Diagnostics,
) -> Lowered {
    let facts = reach::Facts { policy: part.policy, part, internet: &common.internet };
    let mut plan = plan::Plan::new(facts);
    for direction in Direction::BOTH {
        deny::apply(&mut plan, direction);
    }
    note_icmp(part, diagnostics);
    note_closed_namespaces(&plan, diagnostics);
    let objects = if wanted != Wanted::Judgements { emit::emit(&plan, sources) } else { Vec::new() };
    Lowered { objects, judgements: judge::judge(&plan, sources) }
}

/// What plugins do with icmp is not defined: rules that name it say nothing here.
fn note_icmp(part: &Partition<'_>, diagnostics: &mut Diagnostics) {
    // A deny that names it is an error, which says the same.
    let named = |rule: &Rule| rule.action != Action::Deny && judge::names_icmp(rule);
    let mut rules: Vec<(RuleId, &Rule)> =
        part.ends().map(|(at, _, rule)| (at, rule)).filter(|(_, rule)| named(rule)).collect();
    rules.dedup_by_key(|(at, _)| *at);
    for (_, rule) in rules {
        let message = "networkpolicy says nothing of icmp: what the network plugin does with it is not defined";
        diagnostics.push(Diagnostic::new(Code::IcmpUndefined, rule.origin.span, message));
    }
}

/// A subject whose namespaces come from the inventory does not know those that are made later.
fn note_closed_namespaces(plan: &plan::Plan<'_>, diagnostics: &mut Diagnostics) {
    let ends = plan.facts.part.ends().zip(&plan.findings);
    let mut enumerated: Vec<_> =
        ends.filter(|(_, finding)| finding.enumerated).map(|((at, _, rule), _)| (at, rule)).collect();
    enumerated.dedup_by_key(|(at, _)| *at);
    if let Some((_, rule)) = enumerated.first() {
        let message = "a namespace that is made later stays open on networkpolicy until the next build";
        let mut note = Diagnostic::new(Code::NamespacesClosed, rule.origin.span, message)
            .at("these namespaces come from the inventory, one object in each");
        let more = enumerated.len() - 1;
        if more > 0 {
            note = note.note(format!("the same holds for {more} more rules"));
        }
        diagnostics.push(note);
    }
}

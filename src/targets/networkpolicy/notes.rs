//! Notes for the readers of the objects.

use super::plan::{Plan, Spread, TooLarge};
use super::view::View;
use crate::diag::{Code, Diagnostic};
use crate::model::rules::{Action, Rule, RuleId};

/// Returns the notes of a partition.
pub(super) fn notes(view: View<'_>, plan: &Plan<'_>) -> Vec<Diagnostic> {
    let too_large = plan.found.too_large().filter_map(|found| too_large(view, found));
    let spread = plan.found.spread.as_ref().and_then(|found| spread(view, found));
    spread.into_iter().chain(too_large).chain(icmp(view)).chain(closed_namespaces(view, plan)).collect()
}

/// Returns the error about denies whose exceptions are too many.
fn too_large(view: View<'_>, found: &TooLarge) -> Option<Diagnostic> {
    let span = |rule: RuleId| view.policy.rule(rule).map(|rule| rule.origin.span);
    let others = match found.denies - 1 {
        0 => "this deny is".to_owned(),
        more => format!("this deny and {more} more are"),
    };
    let message = "denies and allows of the same pods multiply: their NetworkPolicies would be too large";
    let error = Diagnostic::new(Code::DeniesMultiply, span(found.deny)?, message)
        .at(format!("{others} to be left out of each of {} allows", found.allows))
        .note("networkpolicy has no deny: what a deny names is left out of every allow, and pods with other labels fall into parts")
        .note("give what is denied one label or one network, or allow less in the first place");
    Some(match found.allow.and_then(span) {
        Some(allow) => error.label(allow, "one of these allows"),
        None => error,
    })
}

/// Returns the error about rules for pods of too many namespaces.
fn spread(view: View<'_>, found: &Spread) -> Option<Diagnostic> {
    let Spread { rule, subjects, rules } = *found;
    let message = "rules for pods of many namespaces multiply: their NetworkPolicies would be too many";
    let each = format!("this is written {subjects} times, and so are {} more rules", rules - 1);
    let error = Diagnostic::new(Code::NamespacesMultiply, view.policy.rule(rule)?.origin.span, message);
    Some(
        error
            .at(if rules > 1 { each } else { format!("this is written {subjects} times") })
            .note("a NetworkPolicy is for pods of one namespace, so that a rule for several is written into each")
            .note("name the namespaces that are meant, or join rules for the same pods into one"),
    )
}

/// ICMP has no definition in NetworkPolicy, and plugins differ: returns a note for rules that name it.
fn icmp<'a>(view: View<'a>) -> impl Iterator<Item = Diagnostic> + 'a {
    // A deny that names icmp is an error, which says the same.
    let named = |rule: &Rule| rule.action != Action::Deny && rule.names_icmp();
    let mut rules: Vec<(RuleId, &'a Rule)> =
        view.partition.ends().map(|(at, _, rule)| (at, rule)).filter(|(_, rule)| named(rule)).collect();
    rules.dedup_by_key(|(at, _)| *at);
    rules.into_iter().map(|(_, rule)| {
        let message = "networkpolicy says nothing of icmp: what the network plugin does with it is not defined";
        Diagnostic::new(Code::IcmpUndefined, rule.origin.span, message)
    })
}

/// Returns a note for a subject whose namespaces come from the inventory: namespaces made later are not in it.
fn closed_namespaces(view: View<'_>, plan: &Plan<'_>) -> Option<Diagnostic> {
    let ends = view.partition.ends().zip(&plan.ends);
    let from_inventory = ends.filter(|(_, pods)| pods.iter().any(|pods| pods.is_from_inventory()));
    let mut rules: Vec<(RuleId, &Rule)> = from_inventory.map(|((at, _, rule), _)| (at, rule)).collect();
    rules.dedup_by_key(|(at, _)| *at);
    let (_, first) = rules.first()?;
    let message = "a namespace that is made later stays open on networkpolicy until the next build";
    let more = rules.len() - 1;
    let more = (more > 0).then(|| format!("the same holds for {more} more rules"));
    let note = Diagnostic::new(Code::NamespacesClosed, first.origin.span, message);
    Some(note.at("these namespaces come from the inventory, one object in each").note_opt(more))
}

//! Two rules whose gaps meet, each on a layer that enforces the other rule.
//!
//! ```netpol
//! allow ingress shop/@curl -> garden/web:8080
//! allow ingress shop/{app=cart} -> garden/web:8080
//! ```
//!
//! No labels tell the pods of `curl`, so networkpolicy lets all of `shop` in by the first rule; istio knows no labels,
//! so it lets all of `shop` in by the second. Each rule is enforced by the other layer, and yet a pod of `shop` that is
//! neither passes both: E0711 at the second rule.

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::model::endpoint::{Endpoint, Member, Pods, What};
use crate::model::labels::{Account, PodSelector};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::Policy;
use crate::settings::Layer;
use crate::targets::{Judgement, Level, Lowered, Traffic};

/// Another rule whose gap meets a rule's own.
#[derive(Clone, Copy, Debug)]
pub struct Crossed<'a> {
    /// The other rule.
    pub other: &'a Rule,
    /// The layer that has a gap for the other rule.
    pub on: Layer,
    /// The layer that has a gap for the rule itself.
    pub own: Layer,
}

/// The rules that let peers in and for which only one layer has a gap, by the namespace of the receivers.
type ByNamespace<'a> = FxHashMap<Option<&'a SmolStr>, Vec<(RuleId, &'a Rule)>>;

/// Returns the rules that two layers together do not enforce beside another rule, each with that other rule. Of two
/// rules the later one counts, or else the one whose gap `@approximate` accepts.
pub(super) fn crossed<'a>(policy: &'a Policy, layers: &[(Layer, Lowered)]) -> FxHashMap<RuleId, Crossed<'a>> {
    let mut found = FxHashMap::default();
    for (own, mine) in layers {
        let gaps = gaps(policy, layers, *own, &mine.judgements);
        if gaps.is_empty() {
            continue;
        }
        for (on, theirs) in layers.iter().filter(|(layer, _)| layer > own) {
            let others = gaps_by_namespace(self::gaps(policy, layers, *on, &theirs.judgements));
            for &(id, rule) in &gaps {
                let Some((other_id, other)) = meeting(&others, rule) else { continue };
                let accepts = |rule: &Rule| rule.origin.approximate().is_some();
                let at_other = if accepts(rule) == accepts(other) { other_id > id } else { accepts(other) };
                let (at, crossed) = match at_other {
                    true => (other_id, Crossed { other: rule, on: *own, own: *on }),
                    false => (id, Crossed { other, on: *on, own: *own }),
                };
                found.entry(at).or_insert(crossed);
            }
        }
    }
    found
}

/// Returns the allows at receiving ends for which a layer has a gap on TCP that another layer closes.
fn gaps<'a>(
    policy: &'a Policy,
    layers: &[(Layer, Lowered)],
    layer: Layer,
    judgements: &[Judgement],
) -> Vec<(RuleId, &'a Rule)> {
    let is_wide = |judgement: &Judgement| judgement.levels.of(Traffic::Tcp) >= Level::Wider;
    let wide = judgements
        .iter()
        .enumerate()
        .filter(|(_, judgement)| judgement.direction == Direction::Ingress && is_wide(judgement));
    let closed = wide.filter(|(at, _)| {
        let mut others = layers.iter().filter(|(other, _)| *other != layer);
        others.any(|(_, lowered)| lowered.judgements.get(*at).is_some_and(|judgement| !is_wide(judgement)))
    });
    let rules = closed.filter_map(|(_, judgement)| Some((judgement.rule, policy.rule(judgement.rule)?)));
    rules.filter(|(_, rule)| rule.action == Action::Allow && rule.via.is_none()).collect()
}

fn gaps_by_namespace<'a>(gaps: Vec<(RuleId, &'a Rule)>) -> ByNamespace<'a> {
    let mut all = ByNamespace::default();
    for (id, rule) in gaps {
        let mut names: Vec<_> = rule.destination.pods().map(|(_, pods)| pods.selector.namespace_name()).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().for_each(|name| all.entry(name).or_default().push((id, rule)));
    }
    all
}

/// Returns the first rule whose gap meets a rule's: some pod may receive by both, on a port of both, from a peer that
/// both may name, given that neither accounts nor labels tell the pods of a namespace apart.
fn meeting<'a>(others: &ByNamespace<'a>, rule: &Rule) -> Option<(RuleId, &'a Rule)> {
    let near = |other: &&(RuleId, &Rule)| receive_alike(rule, other.1) && peers_overlap(&rule.source, &other.1.source);
    let of_pods = |(_, pods): (&Member, &Pods)| {
        let named = match pods.selector.namespace_name() {
            Some(name) => [others.get(&Some(name)), others.get(&None)].into_iter().flatten().flatten().find(near),
            None => others.values().flatten().filter(near).min_by_key(|(id, _)| *id),
        };
        named.copied()
    };
    rule.destination.pods().find_map(of_pods)
}

fn receive_alike(rule: &Rule, other: &Rule) -> bool {
    rule.destination.pods().any(|(mine, pods)| {
        other.destination.pods().any(|(theirs, others)| {
            mine.ports.may_overlap(&theirs.ports)
                && without_account(&pods.selector).overlaps(&without_account(&others.selector))
        })
    })
}

fn peers_overlap(one: &Endpoint, other: &Endpoint) -> bool {
    one.members.iter().any(|a| {
        other.members.iter().any(|b| match (&a.what, &b.what) {
            (What::Pods(a), What::Pods(b)) => a.selector.namespace.overlaps(&b.selector.namespace),
            (What::Addresses(a), What::Addresses(b)) => a.overlaps(b),
            _ => false,
        })
    })
}

fn without_account(selector: &PodSelector) -> PodSelector {
    PodSelector { account: Account::Not(Vec::new()), ..selector.clone() }
}

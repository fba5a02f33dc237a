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

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, Pods, What};
use crate::model::labels::{PodSelector, Test};
use crate::model::ports::Ports;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::Policy;
use crate::settings::Layer;
use crate::targets::{Judgement, Level, Lowered, Traffic};

/// Another rule whose gap meets a rule's own.
#[derive(Clone, Copy, Debug)]
pub struct Crossed<'a> {
    /// The end of both at which the gaps are.
    pub direction: Direction,
    /// The other rule.
    pub other: &'a Rule,
    /// The layer that has a gap for the other rule.
    pub on: Layer,
    /// The layer that has a gap for the rule itself.
    pub own: Layer,
    /// Whether they meet only as pods may have the addresses that one of both names.
    pub at_addresses: bool,
}

/// A rule for which one layer alone has a gap at one end.
type Wide<'a> = (RuleId, &'a Rule);

/// Returns the rules that two layers together do not enforce beside another rule, each with that other rule. Of two
/// rules the later one counts, or else the one whose gap `@approximate` accepts.
pub(super) fn crossed<'a>(policy: &'a Policy, layers: &[(Layer, Lowered)]) -> FxHashMap<RuleId, Crossed<'a>> {
    let mut found = FxHashMap::default();
    for direction in Direction::BOTH {
        for (own, mine) in layers {
            let gaps = gaps(policy, layers, (*own, direction), &mine.judgements);
            if gaps.is_empty() {
                continue;
            }
            for (on, theirs) in layers.iter().filter(|(layer, _)| layer > own) {
                let others = self::gaps(policy, layers, (*on, direction), &theirs.judgements);
                let others = BySubject::new(policy, others, direction);
                for &(id, rule) in &gaps {
                    for (other_id, other) in others.meeting(rule, direction) {
                        let at_addresses = meets_at_addresses(rule, other, direction);
                        let at_other = if accepts(rule) == accepts(other) { other_id > id } else { accepts(other) };
                        let (at, crossed) = match at_other {
                            true => (other_id, Crossed { direction, other: rule, on: *own, own: *on, at_addresses }),
                            false => (id, Crossed { direction, other, on: *on, own: *own, at_addresses }),
                        };
                        found.entry(at).or_insert(crossed);
                    }
                }
            }
        }
    }
    found
}

/// Returns the allows for which a layer has a gap on TCP at one end that another layer closes.
fn gaps<'a>(
    policy: &'a Policy,
    layers: &[(Layer, Lowered)],
    (layer, direction): (Layer, Direction),
    judgements: &[Judgement],
) -> Vec<Wide<'a>> {
    let is_wide = |judgement: &Judgement| judgement.levels.of(Traffic::Tcp) >= Level::Wider;
    let here = |judgement: &Judgement| judgement.direction == direction && is_wide(judgement);
    let closed = judgements.iter().enumerate().filter(|(at, judgement)| {
        let mut others = layers.iter().filter(|(other, _)| *other != layer);
        here(judgement)
            && others.any(|(_, lowered)| lowered.judgements.get(*at).is_some_and(|judgement| !is_wide(judgement)))
    });
    let rules = closed.filter_map(|(_, judgement)| Some((judgement.rule, policy.rule(judgement.rule)?)));
    let crosses = |rule: &Rule| rule.action == Action::Allow && (rule.via.is_none() || direction == Direction::Ingress);
    rules.filter(|(_, rule)| crosses(rule)).collect()
}

/// Rules by their subjects, so that a rule is compared with those alone that may govern its pods.
struct BySubject<'a> {
    policy: &'a Policy,
    namespaces: FxHashMap<Option<&'a SmolStr>, ByLabel<'a>>,
}

/// Rules by one label that their subjects must have, as `app=web`.
#[derive(Default)]
struct ByLabel<'a> {
    labelled: FxHashMap<&'a SmolStr, FxHashMap<&'a SmolStr, Vec<Wide<'a>>>>,
    /// Rules whose subjects need no label of one value.
    others: Vec<Wide<'a>>,
}

impl<'a> BySubject<'a> {
    fn new(policy: &'a Policy, gaps: Vec<Wide<'a>>, direction: Direction) -> BySubject<'a> {
        let mut all = BySubject { policy, namespaces: FxHashMap::default() };
        for (id, rule) in gaps {
            for (_, pods) in rule.subject(direction).pods() {
                let here = all.namespaces.entry(pods.selector.namespace_name()).or_default();
                match labels(&pods.selector).next() {
                    Some((key, value)) => {
                        here.labelled.entry(key).or_default().entry(value).or_default().push((id, rule));
                    }
                    None => here.others.push((id, rule)),
                }
            }
        }
        all
    }

    /// Returns the rules whose gaps meet a rule's: both govern some pod, and name some peer on some port when neither
    /// accounts nor labels tell the pods of a namespace apart. Of those that accept no gap it is the first alone.
    fn meeting(&self, rule: &Rule, direction: Direction) -> Vec<Wide<'a>> {
        let near = |other: &Wide<'_>| {
            peers_overlap(self.policy, &rule.destination, &other.1.destination, true)
                && peers_overlap(self.policy, &callers(rule), &callers(other.1), false)
                && subjects_overlap(rule.subject(direction), other.1.subject(direction))
        };
        let (mut accepting, mut first) = (Vec::new(), None);
        for (_, pods) in rule.subject(direction).pods() {
            let places: Vec<&ByLabel<'a>> = match pods.selector.namespace_name() {
                Some(name) => {
                    [self.namespaces.get(&Some(name)), self.namespaces.get(&None)].into_iter().flatten().collect()
                }
                None => self.namespaces.values().collect(),
            };
            for other in places.iter().flat_map(|place| place.candidates(&pods.selector)).filter(near) {
                match first {
                    _ if accepts(other.1) => accepting.push(other),
                    Some((id, _)) if id <= other.0 => {}
                    _ => first = Some(other),
                }
            }
        }
        accepting.sort_unstable_by_key(|(id, _)| *id);
        first.into_iter().chain(accepting).collect()
    }
}

impl<'a> ByLabel<'a> {
    /// Returns the rules whose subjects may have pods of a selector, as far as one label tells.
    fn candidates(&self, selector: &PodSelector) -> impl Iterator<Item = Wide<'a>> {
        let labelled = self.labelled.iter().flat_map(|(key, by_value)| {
            let value = labels(selector).find(|(own, _)| own == key).map(|(_, value)| value);
            let one = value.map(|value| by_value.get(value));
            let all = one.is_none().then(|| by_value.values());
            one.flatten().into_iter().chain(all.into_iter().flatten()).flatten()
        });
        labelled.chain(&self.others).copied()
    }
}

/// Returns who comes to the destination of a rule: its source, or the gateway that stands before.
fn callers(rule: &Rule) -> Cow<'_, Endpoint> {
    let Some(via) = rule.via.as_ref().filter(|_| rule.ingress) else { return Cow::Borrowed(&rule.source) };
    let pods = |selector: &PodSelector| What::Pods(Pods { selector: selector.clone(), named: None });
    let member = |selector| Member { span: via.span, what: pods(selector), ports: Ports::All };
    Cow::Owned(Endpoint { members: via.gateway.pods.iter().map(member).collect() })
}

/// Returns whether the peers of one rule are pods alone, and those of the other addresses alone.
fn meets_at_addresses(one: &Rule, other: &Rule, direction: Direction) -> bool {
    let names_pods = |rule: &Rule| rule.via.is_some() || rule.peer(direction).pods().next().is_some();
    names_pods(one) != names_pods(other)
}

/// Returns whether `@approximate` stands at a rule.
fn accepts(rule: &Rule) -> bool {
    rule.origin.approximate().is_some()
}

/// Returns the labels that a selector asks for with one value.
fn labels(selector: &PodSelector) -> impl Iterator<Item = (&SmolStr, &SmolStr)> {
    selector.labels.list().iter().filter_map(|requirement| match &requirement.test {
        Test::In(values) => match values.as_slice() {
            [value] => Some((&requirement.key, value)),
            _ => None,
        },
        _ => None,
    })
}

/// Returns whether some pod may be of both, as labels tell.
fn subjects_overlap(one: &Endpoint, other: &Endpoint) -> bool {
    let overlap = |a: &PodSelector, b: &PodSelector| a.namespace.overlaps(&b.namespace) && a.labels.overlaps(&b.labels);
    one.pods().any(|(_, a)| other.pods().any(|(_, b)| overlap(&a.selector, &b.selector)))
}

/// Returns whether pods may have some of the addresses: `10.0.0.0/8`, unless `[cluster] pods` says that they have
/// others.
fn may_be_pods(policy: &Policy, addresses: &AddressSet) -> bool {
    match policy.pod_addresses.blocks.is_empty() {
        true => !addresses.is_inside(&policy.internet),
        false => addresses.overlaps(&policy.pod_addresses),
    }
}

/// Returns whether somebody may be of both, on a port of both where ports count, as namespaces and addresses tell.
fn peers_overlap(policy: &Policy, one: &Endpoint, other: &Endpoint, ports: bool) -> bool {
    one.members.iter().any(|a| {
        other.members.iter().any(|b| {
            (!ports || a.ports.may_overlap(&b.ports))
                && match (&a.what, &b.what) {
                    (What::Pods(a), What::Pods(b)) => a.selector.namespace.overlaps(&b.selector.namespace),
                    (What::Addresses(a), What::Addresses(b)) => a.overlaps(b),
                    (What::Pods(_), What::Addresses(set)) | (What::Addresses(set), What::Pods(_)) => {
                        may_be_pods(policy, set)
                    }
                    _ => false,
                }
        })
    })
}

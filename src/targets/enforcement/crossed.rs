//! Crossed gaps: two rules, each enforced by the layer on which the other rule is wider, so that some flow passes both.
//!
//! ```netpol
//! allow ingress shop/@curl -> garden/web:8080
//! allow ingress shop/{app=cart} -> garden/web:8080
//! ```
//!
//! No labels select the pods of `curl`, so networkpolicy lets all of `shop` in by the first rule. Istio knows no
//! labels, so it lets all of `shop` in by the second. Each rule is enforced by the other layer, but a pod of `shop`
//! that neither rule names passes both layers: E0711 at the second rule.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, Pods, What};
use crate::model::labels::{PodSelector, Test};
use crate::model::ports::{PortMatch, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::Policy;
use crate::settings::Layer;
use crate::targets::{Judgement, Level, Lowered, Traffic};

/// Another rule whose gap overlaps a rule's own gap.
#[derive(Clone, Copy, Debug)]
pub struct Crossed<'a> {
    /// The end at which both rules have their gaps.
    pub direction: Direction,
    /// The other rule.
    pub other: &'a Rule,
    /// The layer that has a gap for the other rule.
    pub on: Layer,
    /// The layer that has a gap for the rule itself.
    pub own: Layer,
    /// Why the gaps overlap.
    pub by: Overlap,
}

/// The reason why the gaps of two rules overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Both rules have peers in common.
    Peers,
    /// Pods may have the addresses that one of the rules names.
    PodsAtAddresses,
    /// One of the gaps is open to any address, by a headless Service.
    AnyAddress,
}

/// A rule for which only one layer has a gap at one end.
#[derive(Clone, Copy)]
struct Wide<'a> {
    id: RuleId,
    rule: &'a Rule,
    /// The ports on which the gap is open to any address.
    at_any_address: &'a [u16],
}

/// Returns the rules that two layers together do not enforce because of another rule, each with that other rule. The
/// later of two such rules is returned, or else the one whose gap `@approximate` accepts.
pub(super) fn crossed<'a>(policy: &'a Policy, layers: &'a [(Layer, Lowered)]) -> FxHashMap<RuleId, Crossed<'a>> {
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
                for mine in &gaps {
                    let Wide { id, rule, .. } = *mine;
                    for theirs in others.meeting(mine, direction) {
                        let Wide { id: other_id, rule: other, .. } = theirs;
                        let by = match meets_at_addresses(rule, other, direction) {
                            _ if mine.reaches(other) || theirs.reaches(rule) => Overlap::AnyAddress,
                            true => Overlap::PodsAtAddresses,
                            false => Overlap::Peers,
                        };
                        let at_other = if accepts(rule) == accepts(other) { other_id > id } else { accepts(other) };
                        let (at, crossed) = match at_other {
                            true => (other_id, Crossed { direction, other: rule, on: *own, own: *on, by }),
                            false => (id, Crossed { direction, other, on: *on, own: *own, by }),
                        };
                        found.entry(at).or_insert(crossed);
                    }
                }
            }
        }
    }
    found
}

impl Wide<'_> {
    /// Returns whether the gap is open to any address on a port of another rule's destination.
    fn reaches(&self, other: &Rule) -> bool {
        let port = |port: &u16| Ports::Some(vec![PortMatch::range(*port, *port, Protocol::Tcp)]);
        let mut ports = self.at_any_address.iter().map(port);
        ports.any(|port| other.destination.members.iter().any(|member| member.ports.may_overlap(&port)))
    }
}

/// Returns the allows for which one layer has a gap on TCP at one end and another layer has none.
fn gaps<'a>(
    policy: &'a Policy,
    layers: &'a [(Layer, Lowered)],
    (layer, direction): (Layer, Direction),
    judgements: &'a [Judgement],
) -> Vec<Wide<'a>> {
    let is_wide = |judgement: &Judgement| {
        judgement.levels.of(Traffic::Tcp) >= Level::Wider || !judgement.remarks().at_any_address.is_empty()
    };
    let here = |judgement: &Judgement| judgement.direction == direction && is_wide(judgement);
    let closed = judgements.iter().enumerate().filter(|(at, judgement)| {
        let mut others = layers.iter().filter(|(other, _)| *other != layer);
        here(judgement)
            && others.any(|(_, lowered)| lowered.judgements.get(*at).is_some_and(|judgement| !is_wide(judgement)))
    });
    let crosses = |rule: &Rule| rule.action == Action::Allow && (rule.via.is_none() || direction == Direction::Ingress);
    let wide = closed.filter_map(|(_, judgement)| {
        let rule = policy.rule(judgement.rule).filter(|rule| crosses(rule))?;
        Some(Wide { id: judgement.rule, rule, at_any_address: &judgement.remarks().at_any_address })
    });
    wide.collect()
}

/// Rules by their subjects, so that a rule is compared only with rules that may govern its pods.
struct BySubject<'a> {
    policy: &'a Policy,
    namespaces: FxHashMap<Option<&'a SmolStr>, ByLabel<'a>>,
}

/// Rules by one label that their subjects must have, such as `app=web`.
#[derive(Default)]
struct ByLabel<'a> {
    labelled: FxHashMap<&'a SmolStr, FxHashMap<&'a SmolStr, Vec<Wide<'a>>>>,
    /// Rules whose subjects require no label to have one value.
    others: Vec<Wide<'a>>,
}

impl<'a> BySubject<'a> {
    fn new(policy: &'a Policy, gaps: Vec<Wide<'a>>, direction: Direction) -> BySubject<'a> {
        let mut all = BySubject { policy, namespaces: FxHashMap::default() };
        for wide in gaps {
            for (_, pods) in wide.rule.subject(direction).pods() {
                let here = all.namespaces.entry(pods.selector.namespace_name()).or_default();
                match labels(&pods.selector).next() {
                    Some((key, value)) => {
                        here.labelled.entry(key).or_default().entry(value).or_default().push(wide);
                    }
                    None => here.others.push(wide),
                }
            }
        }
        all
    }

    /// Returns the rules whose gaps overlap a rule's gap. Both rules govern some pod, and share a peer on some port if
    /// accounts and labels do not distinguish the pods of a namespace. Of the rules without `@approximate` only the
    /// first is returned.
    fn meeting(&self, mine: &Wide<'a>, direction: Direction) -> Vec<Wide<'a>> {
        let rule = mine.rule;
        let near = |other: &Wide<'_>| {
            let met = peers_overlap(self.policy, &rule.destination, &other.rule.destination, true);
            (met || mine.reaches(other.rule) || other.reaches(rule))
                && peers_overlap(self.policy, &callers(rule), &callers(other.rule), false)
                && subjects_overlap(rule.subject(direction), other.rule.subject(direction))
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
                    _ if accepts(other.rule) => accepting.push(other),
                    Some(Wide { id, .. }) if id <= other.id => {}
                    _ => first = Some(other),
                }
            }
        }
        accepting.sort_unstable_by_key(|wide| wide.id);
        first.into_iter().chain(accepting).collect()
    }
}

impl<'a> ByLabel<'a> {
    /// Returns the rules whose subjects may have pods of a selector, by one label.
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

/// Returns the callers that the destination of a rule sees: its source, or the gateway in front of it.
fn callers(rule: &Rule) -> Cow<'_, Endpoint> {
    let Some(via) = rule.via.as_ref().filter(|_| rule.ingress) else { return Cow::Borrowed(&rule.source) };
    let pods = |selector: &PodSelector| What::Pods(Pods { selector: selector.clone(), named: None });
    let member = |selector| Member { span: via.span, what: pods(selector), ports: Ports::All };
    Cow::Owned(Endpoint { members: via.gateway.pods.iter().map(member).collect() })
}

/// Returns whether one rule names pods as peers, and the other only addresses.
fn meets_at_addresses(one: &Rule, other: &Rule, direction: Direction) -> bool {
    let names_pods = |rule: &Rule| rule.via.is_some() || rule.peer(direction).pods().next().is_some();
    names_pods(one) != names_pods(other)
}

/// Returns whether a rule has `@approximate`.
fn accepts(rule: &Rule) -> bool {
    rule.origin.approximate().is_some()
}

/// Returns the labels for which a selector requires one value.
fn labels(selector: &PodSelector) -> impl Iterator<Item = (&SmolStr, &SmolStr)> {
    selector.labels.list().iter().filter_map(|requirement| match &requirement.test {
        Test::In(values) => match values.as_slice() {
            [value] => Some((&requirement.key, value)),
            _ => None,
        },
        _ => None,
    })
}

/// Returns whether some pod may be in both endpoints, by labels.
fn subjects_overlap(one: &Endpoint, other: &Endpoint) -> bool {
    let overlap = |a: &PodSelector, b: &PodSelector| a.namespace.overlaps(&b.namespace) && a.labels.overlaps(&b.labels);
    one.pods().any(|(_, a)| other.pods().any(|(_, b)| overlap(&a.selector, &b.selector)))
}

/// Returns whether pods may have some of the addresses: `10.0.0.0/8`, unless `[cluster] pods` gives other ones.
fn may_be_pods(policy: &Policy, addresses: &AddressSet) -> bool {
    match policy.pod_addresses.blocks.is_empty() {
        true => !addresses.is_inside(&policy.internet),
        false => addresses.overlaps(&policy.pod_addresses),
    }
}

/// Returns whether some peer may be in both endpoints, by namespaces and addresses, and if `ports` is set on a common
/// port.
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

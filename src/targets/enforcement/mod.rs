//! Enforcement by all layers of a build together: a flow passes only if every layer lets it through.
//!
//! `allow lab/* -> garden/*:8080` forbids different flows at its two ends: at the sending end the other flows from the
//! pods of `lab`, at the receiving end the flows of others to `garden`. So each end of an allow, or of `default deny`,
//! counts by itself. A flow that a `deny` forbids passes both ends, so one of them is enough. Each end is judged for
//! each kind of traffic, because a layer may see only TCP.
//!
//! For each kind of traffic the layer with the best level counts (`together`): exact gives no message, bypassable is
//! the note N0701 (an error under `require = "exact"`; a warning if pods are known to have no sidecar), and wider or
//! unable is the error E0711, unless `@approximate` accepts it (`messages::report`).

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::capability::Layers;
use super::{AtGateway, Judgement, Level, Levels, Lowered, Lowering, Traffic, Traffics};
use crate::diag::Diagnostics;
use crate::inventory::Inventory;
use crate::model::endpoint::{Member, What, is_everybody};
use crate::model::labels::PodSelector;
use crate::model::ports::{PortMatch, PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::Policy;
use crate::settings::Layer;

mod crossed;
mod excess;
mod messages;
mod table;
mod ways;

pub use self::crossed::Crossed;

/// How well all layers together enforce a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Together {
    /// Every flow that the rule forbids is stopped.
    Exact,
    /// Some flows that the rule forbids are stopped only for pods that keep their sidecar.
    WellBehaved,
    /// Some flows that the rule forbids pass.
    Open,
}

/// One rule, and how well the layers enforce it.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Its governed ends.
    pub ends: Vec<RowEnd<'a>>,
    /// The result for the rule: the worst of its ends; for a deny, the best of its ends for each kind of traffic.
    pub together: Together,
    /// The traffic that passes although the rule forbids it.
    pub open: Traffics,
    /// The other rule because of which the layers together do not enforce this one.
    pub crossed: Option<Crossed<'a>>,
    /// Whether the rule denies icmp, which no layer is known to stop.
    pub denies_icmp: bool,
}

/// One governed end of a rule.
#[derive(Clone, Debug)]
pub struct RowEnd<'a> {
    /// The direction of the end.
    pub direction: Direction,
    /// Each layer's judgement, in the order of the build's layers.
    pub layers: Vec<(Layer, &'a Judgement)>,
    /// The result for the end.
    pub together: Together,
    /// The traffic that passes although the end forbids it.
    pub open: Traffics,
}

/// The enforcement of each rule, by each layer and by all together.
#[derive(Clone, Debug)]
pub struct Enforcement<'a> {
    /// The layers of the build.
    pub layers: &'a [Layer],
    /// The rules, in the order of the policy.
    pub rows: Vec<Row<'a>>,
}

impl Lowering {
    /// Returns how well the layers enforce the policy that was lowered.
    pub fn enforcement<'a>(&'a self, policy: &'a Policy) -> Enforcement<'a> {
        self.enforcement_of(policy, &|_| true)
    }

    /// Returns how well the layers enforce some rules of the policy.
    pub fn enforcement_of<'a>(&'a self, policy: &'a Policy, wanted: &dyn Fn(&Rule) -> bool) -> Enforcement<'a> {
        Enforcement { layers: &policy.settings.targets, rows: rows(policy, &self.layers, wanted).collect() }
    }
}

/// Judges every rule by all layers, and reports the rules that no layer enforces. Of the rules in `accepted`,
/// `@approximate` accepts a gap that no judgement has.
pub(super) fn judge(
    policy: &Policy,
    layers: &[(Layer, Lowered)],
    accepted: &FxHashSet<RuleId>,
    diagnostics: &mut Diagnostics,
) {
    messages::note_unseen(policy, diagnostics);
    let led = messages::Led::new(policy);
    for (at, row) in rows(policy, layers, &|_| true).enumerate() {
        diagnostics.set_applied(row.rule.origin.applied());
        messages::report(policy, &led, &row, accepted.contains(&RuleId::new(at)), diagnostics);
    }
    diagnostics.set_applied(&[]);
}

/// Returns the wanted rules, each with the judgements of all layers, which have the order of the rules.
fn rows<'a>(
    policy: &'a Policy,
    layers: &'a [(Layer, Lowered)],
    wanted: &dyn Fn(&Rule) -> bool,
) -> impl Iterator<Item = Row<'a>> {
    let mut rest: Vec<(Layer, &[Judgement])> =
        layers.iter().map(|(layer, lowered)| (*layer, lowered.judgements.as_slice())).collect();
    let receivers = Receivers::new(policy);
    let crossed = crossed::crossed(policy, layers);
    policy.rules.iter().enumerate().filter_map(move |(at, rule)| {
        let mut judged: Vec<(Layer, &Judgement)> = Vec::with_capacity(2 * rest.len());
        for (layer, judgements) in &mut rest {
            let own = judgements.iter().take_while(|judgement| judgement.rule.index() == at).count();
            let (of_rule, others) = judgements.split_at(own);
            judged.extend(of_rule.iter().map(|judgement| (*layer, judgement)));
            *judgements = others;
        }
        if !wanted(rule) {
            return None;
        }
        let mut row = row(policy, &receivers, rule, &judged);
        if let Some(crossed) = crossed.get(&RuleId::new(at)) {
            row.cross(*crossed);
        }
        Some(row)
    })
}

fn row<'a>(policy: &Policy, receivers: &Receivers<'_>, rule: &'a Rule, judged: &[(Layer, &'a Judgement)]) -> Row<'a> {
    // Traffic that no layer of the build sees is reported once for all rules. So a rule is judged on the other traffic
    // and on the traffic that it names; a rule that forbids only unseen traffic is judged on that.
    let build = Layers(&policy.settings.targets);
    let unseen = Traffic::ALL.into_iter().filter(|kind| !build.see(*kind)).collect::<Traffics>();
    let judged_on = |forbids: Traffics, layers: &[(Layer, &Judgement)]| {
        let seen = forbids.without(unseen);
        let named = layers.iter().fold(Traffics::default(), |named, (_, judgement)| named.with(judgement.names));
        if seen.is_empty() { forbids } else { seen.with(named.among(unseen)) }
    };
    // Traffic that annotations leave out passes even if no pod avoids its sidecar, unless the rule names it.
    let leaves_out = |layers: &[(Layer, &Judgement)]| {
        unseen.contains(Traffic::LeftOut) && layers.iter().any(|(_, judgement)| judgement.remarks().left_out.is_some())
    };
    let governed = Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
    let (mut ends, mut levels) = (Vec::with_capacity(2), Vec::with_capacity(2));
    for direction in governed {
        let own = judged.iter().filter(|(_, judgement)| judgement.direction == direction);
        let layers: Vec<(Layer, &Judgement)> = own.copied().collect();
        let (forbids, best) = (judged_on(forbids(policy, rule, direction), &layers), best(&layers));
        let (mut together, open) = (together(forbids, best), open(forbids, best));
        if leaves_out(&layers) {
            together = together.max(Together::WellBehaved);
        }
        ends.push(RowEnd { direction, layers, together, open });
        levels.push((forbids, best));
    }
    // A sending end that does not read the conditions lets flows through to the rule's destination alone, if the
    // receiving end reads them.
    if receivers.read_for(rule)
        && let [sending, receiving] = ends.as_mut_slice()
        && receiving.together < sending.together
    {
        let without = sending.layers.iter().map(|(_, judgement)| judgement.but_conditions);
        let (forbids, best) = (levels[0].0, Levels::best(without));
        sending.together = together(forbids, best).max(receiving.together);
        sending.open = open(forbids, best).with(receiving.open);
    }
    let denies = rule.action == Action::Deny;
    let (mut together, mut open) = match (levels.as_slice(), denies) {
        ([(sent, one), (received, other)], true) => {
            let forbids = sent.with(*received);
            let best = Levels::best([*one, *other]);
            (self::together(forbids, best), self::open(forbids, best))
        }
        _ => (
            ends.iter().map(|end| end.together).max().unwrap_or(Together::Open),
            ends.iter().fold(Traffics::default(), |all, end| all.with(end.open)),
        ),
    };
    if ends.iter().any(|end| leaves_out(&end.layers)) {
        together = together.max(Together::WellBehaved);
    }
    let denies_icmp = denies && rule.names_icmp();
    if denies_icmp {
        together = Together::Open;
    }
    if together != Together::Open {
        open = Traffics::default();
    }
    Row { rule, ends, together, open, crossed: None, denies_icmp }
}

impl<'a> Row<'a> {
    /// Notes another rule whose gap overlaps this rule's gap: TCP that both rules forbid passes.
    fn cross(&mut self, crossed: Crossed<'a>) {
        let tcp = Traffics::only(Traffic::Tcp);
        for end in self.ends.iter_mut().filter(|end| end.direction == crossed.direction) {
            (end.together, end.open) = (Together::Open, end.open.with(tcp));
        }
        (self.together, self.open) = (Together::Open, self.open.with(tcp));
        self.crossed = Some(crossed);
    }
}

/// The allows that govern only their receiving end, by the namespace of the receivers.
struct Receivers<'a> {
    inventory: &'a Inventory,
    by_namespace: FxHashMap<&'a SmolStr, Vec<&'a Rule>>,
    others: Vec<&'a Rule>,
}

impl<'a> Receivers<'a> {
    fn new(policy: &'a Policy) -> Receivers<'a> {
        let inventory = &policy.inventory;
        let mut receivers = Receivers { inventory, by_namespace: FxHashMap::default(), others: Vec::new() };
        if !policy.rules.iter().any(asks_both) {
            return receivers;
        }
        let one_end = policy.rules.iter().filter(|rule| rule.action == Action::Allow && rule.ingress && !rule.egress);
        for rule in one_end {
            let names: Option<Vec<&SmolStr>> =
                rule.destination.pods().map(|(_, pods)| pods.selector.namespace_name()).collect();
            match names {
                Some(names) => names.into_iter().for_each(|name| {
                    receivers.by_namespace.entry(name).or_default().push(rule);
                }),
                None => receivers.others.push(rule),
            }
        }
        receivers
    }

    /// Returns whether the receiving end of a rule judges its conditions for the sending end: no other rule lets its
    /// sources in there without these conditions.
    fn read_for(&self, rule: &Rule) -> bool {
        asks_both(rule)
            && rule.destination.members.iter().all(|to| {
                let What::Pods(pods) = &to.what else { return false };
                let here: Vec<&Rule> = match pods.selector.namespace_name() {
                    Some(name) => {
                        self.by_namespace.get(name).into_iter().flatten().chain(&self.others).copied().collect()
                    }
                    None => self.by_namespace.values().flatten().chain(&self.others).copied().collect(),
                };
                let lets_in = |other: &Rule| {
                    let same = other.destination.pods().any(|(member, also)| {
                        also.selector
                            .intersect(&pods.selector)
                            .is_some_and(|both| self.may_meet(&both, &member.ports, &to.ports))
                    });
                    same && other
                        .source
                        .pods()
                        .any(|(_, from)| rule.source.pods().any(|(_, own)| own.selector.overlaps(&from.selector)))
                };
                !here.into_iter().any(lets_in)
            })
    }

    /// Returns whether some pods may have one port that is in both lists.
    fn may_meet(&self, pods: &PodSelector, one: &Ports, other: &Ports) -> bool {
        let (Ports::Some(one), Ports::Some(other)) = (one, other) else { return true };
        let ranges = |port: &PortMatch| match &port.port {
            PortTest::Range(first, last) => Some(vec![(*first, *last)]),
            PortTest::Named(name) => {
                let numbers = self.inventory.numbers_of(pods, name, port.protocol)?;
                Some(numbers.into_iter().map(|number| (number, number)).collect())
            }
        };
        one.iter().any(|a| {
            let meet = |b: &&PortMatch| match (ranges(a), ranges(b)) {
                (Some(one), Some(other)) => one.iter().any(|a| other.iter().any(|b| a.0 <= b.1 && b.0 <= a.1)),
                _ => true,
            };
            other.iter().filter(|b| a.protocol == b.protocol).any(|b| meet(&b))
        })
    }
}

fn asks_both(rule: &Rule) -> bool {
    rule.action == Action::Allow && rule.egress && rule.ingress && !rule.conditions.is_none()
}

/// Returns, for each kind of traffic, the level of the layer that enforces it best.
fn best(layers: &[(Layer, &Judgement)]) -> Levels {
    let mut best = Levels::best(layers.iter().map(|(_, judgement)| judgement.levels));
    // For a rule through a gateway, one layer may close a way that another layer leaves open.
    let closed = |what: fn(&AtGateway) -> bool| layers.iter().any(|(_, judgement)| what(&judgement.at_gateway));
    if closed(|at| at.other_ways) && closed(|at| at.other_hosts) {
        best = Levels::best([best, Levels::all(Level::Exact)]);
    }
    best
}

/// Returns how well the best levels enforce an end, for the traffic of which it forbids some flow.
fn together(forbids: Traffics, best: Levels) -> Together {
    let one = |kind| match best.of(kind) {
        Level::Exact => Together::Exact,
        Level::Bypassable => Together::WellBehaved,
        Level::Wider | Level::Unable => Together::Open,
    };
    forbids.iter().map(one).max().unwrap_or(Together::Exact)
}

fn open(forbids: Traffics, best: Levels) -> Traffics {
    forbids.iter().filter(|kind| best.of(*kind) >= Level::Wider).collect()
}

/// Returns the kinds of traffic of which one end of a rule forbids some flow.
fn forbids(policy: &Policy, rule: &Rule, direction: Direction) -> Traffics {
    if rule.action == Action::Deny {
        return Traffics::named(rule, &policy.inventory.left_out);
    }
    let peers = &rule.peer(direction).members;
    if rule.action == Action::Isolate || peers.len() < 2 || !rule.conditions.is_none() || rule.via.is_some() {
        return Traffics::ALL;
    }
    // With `anywhere` on every port the end forbids nothing.
    let whole = |kind: Traffic| match direction {
        Direction::Egress => is_everybody(peers.iter().filter(|member| every_port(member, kind))),
        Direction::Ingress => {
            let governed = || rule.destination.members.iter().filter(|member| matches!(member.what, What::Pods(_)));
            governed().all(|member| every_port(member, kind)) && is_everybody(peers.iter())
        }
    };
    Traffic::ALL.into_iter().filter(|kind| !whole(*kind)).collect()
}

fn every_port(member: &Member, kind: Traffic) -> bool {
    let Ports::Some(_) = &member.ports else { return true };
    let every = |protocol| member.ports.entries().iter().any(|port| port.is_every(protocol));
    match kind {
        Traffic::Tcp | Traffic::PastSidecar | Traffic::LeftOut => every(Protocol::Tcp),
        Traffic::Datagrams => every(Protocol::Udp) && every(Protocol::Sctp),
    }
}

//! Strict mTLS, on just the pods whose callers are known by identity: without it a caller that has one could come
//! without. Ports on which addresses may call stay permissive.

use std::rc::Rc;

use smol_str::SmolStr;

use super::Access;
use super::peers::From;
use crate::model::labels::PodSelector;
use crate::model::rules::{Direction, RuleId};
use crate::targets::istio::facts::Facts;
use crate::targets::istio::judge::{Flaw, Judge};
use crate::targets::istio::model::{Meta, PeerAuthentication, Resource};
use crate::targets::istio::plan::subjects::effective::{Slots, Statement};
use crate::targets::istio::plan::subjects::{Kind, Place, Placer};
use crate::targets::names::{Limit, Taken};
use crate::targets::{Refuses, Wanted};

/// Who calls whom with and without an identity.
#[derive(Default)]
pub struct Callers<'a> {
    calls: Vec<Call<'a>>,
}

struct Call<'a> {
    rule: RuleId,
    selector: &'a PodSelector,
    /// Whether some callers are known by identity.
    strict: bool,
    /// Where others may call.
    plain: Plain,
    /// The ports of a deny by identity.
    denies: Plain,
    /// Whether the pods are closed by it.
    isolates: bool,
}

/// The ports on which callers without identity may call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Plain {
    All,
    Ports(Rc<[u16]>),
}

impl Plain {
    fn none() -> Plain {
        Plain::Ports(Rc::new([]))
    }

    fn join(&self, other: &Plain) -> Plain {
        match (self, other) {
            (Plain::All, _) | (_, Plain::All) => Plain::All,
            (one, Plain::Ports(none)) if none.is_empty() => one.clone(),
            (Plain::Ports(none), other) if none.is_empty() => other.clone(),
            (Plain::Ports(a), Plain::Ports(b)) => {
                let mut ports: Vec<u16> = a.iter().chain(b.iter()).copied().collect();
                ports.sort_unstable();
                ports.dedup();
                Plain::Ports(ports.into())
            }
        }
    }

    fn meets(&self, other: &Plain) -> bool {
        match (self, other) {
            (Plain::All, Plain::All) => true,
            (Plain::All, Plain::Ports(ports)) | (Plain::Ports(ports), Plain::All) => !ports.is_empty(),
            (Plain::Ports(a), Plain::Ports(b)) => a.iter().any(|port| b.contains(port)),
        }
    }
}

impl<'a> Callers<'a> {
    /// Notes that a rule closes some pods.
    pub fn isolate(&mut self, rule: RuleId, selector: &'a PodSelector) {
        self.calls.push(Call {
            rule,
            selector,
            strict: false,
            plain: Plain::none(),
            denies: Plain::none(),
            isolates: true,
        });
    }

    /// Notes who may call some pods on which ports; none are all.
    pub fn allow(&mut self, rule: RuleId, selector: &'a PodSelector, from: &From, ports: Vec<u16>, nothing: bool) {
        let plain = match (from.plain && !nothing, ports.is_empty()) {
            (false, _) => Plain::none(),
            (true, true) => Plain::All,
            (true, false) => Plain::Ports(ports.into()),
        };
        let denies = Plain::none();
        self.calls.push(Call { rule, selector, strict: from.identity, plain, denies, isolates: true });
    }

    /// Notes that everybody may call some pods.
    pub fn open(&mut self, rule: RuleId, selector: &'a PodSelector) {
        self.calls.push(Call {
            rule,
            selector,
            strict: false,
            plain: Plain::All,
            denies: Plain::none(),
            isolates: true,
        });
    }

    /// Notes that some callers are denied by their identity, on which ports; none are all.
    pub fn deny(&mut self, rule: RuleId, selector: &'a PodSelector, ports: Vec<u16>) {
        let denies = if ports.is_empty() { Plain::All } else { Plain::Ports(ports.into()) };
        self.calls.push(Call { rule, selector, strict: true, plain: Plain::none(), denies, isolates: false });
    }
}

/// What holds for the pods of a slot.
#[derive(Clone)]
struct State {
    strict: bool,
    plain: Plain,
    isolated: bool,
    /// The ports that stay permissive under strict mTLS; `None` where it is not strict.
    held: Option<Rc<[u16]>>,
    /// The ports on which callers without identity come in.
    passes: Plain,
    rules: Vec<RuleId>,
}

/// Makes the objects, where they are wanted, and judges what rests on them.
pub fn lower(
    facts: &Facts<'_>,
    callers: &Callers<'_>,
    access: &Access,
    wanted: Wanted,
    judge: &mut Judge<'_>,
) -> Vec<Resource> {
    if callers.calls.iter().all(|call| !call.strict) {
        return Vec::new();
    }
    let mut placer = Placer::new(facts, Kind::Peer);
    let statements: Vec<Statement<'_>> = callers
        .calls
        .iter()
        .map(|call| Statement { selector: call.selector, placed: placer.place(call.selector), gives: call.isolates })
        .collect();
    let slots = Slots::new(facts, &statements);
    let states = states(callers, &slots);
    judge_denies(facts, callers, access, &slots, &states, judge);
    if wanted == Wanted::Judgements {
        return Vec::new();
    }
    let mut taken = Taken::of(&facts.policy.settings);
    let root: SmolStr = facts.policy.settings.root_namespace.as_str().into();
    let mut list = Vec::new();
    // What holds for the pods of a slot by the objects so far.
    let mut held: Vec<Option<Rc<[u16]>>> = Vec::with_capacity(slots.list.len());
    for (slot, state) in slots.list.iter().zip(&states) {
        let around = slot.parent.and_then(|parent| held[parent].clone());
        held.push(state.held.clone());
        if state.held == around {
            continue;
        }
        let namespace = slot.place.namespace.clone().unwrap_or_else(|| root.clone());
        let (words, identity) = slot.place.words();
        let name = taken.name(&namespace, &words, "mtls", &identity, Limit::Subdomain);
        let comment = state.held.is_none().then(|| "Addresses may call these pods, which have no identity.".to_owned());
        list.push(Resource::PeerAuthentication(PeerAuthentication {
            meta: Meta { namespace, name, rules: state.rules.clone(), comment },
            selector: slot.place.labels.clone(),
            strict: state.held.is_some(),
            permissive: state.held.as_deref().unwrap_or_default().to_vec(),
        }));
    }
    list
}

fn states(callers: &Callers<'_>, slots: &Slots) -> Vec<State> {
    let mut states: Vec<State> = Vec::with_capacity(slots.list.len());
    for slot in &slots.list {
        let (strict, plain, isolated) = match slot.parent.map(|parent| &states[parent]) {
            Some(around) => (around.strict, around.plain.clone(), around.isolated),
            None => (false, Plain::none(), false),
        };
        let mut state = State { strict, plain, isolated, held: None, passes: Plain::All, rules: Vec::new() };
        for &at in &slot.own {
            let call = &callers.calls[at as usize];
            state.strict |= call.strict;
            state.isolated |= call.isolates;
            state.plain = state.plain.join(&call.plain);
            state.rules.push(call.rule);
        }
        let inside = state.plain.clone();
        for &at in &slot.joined {
            state.plain = state.plain.join(&callers.calls[at as usize].plain);
        }
        state.held = match &state.plain {
            // Single ports need a selector: where there is none, the whole stays as it is, and the AuthorizationPolicy
            // refuses who has no identity.
            Plain::Ports(ports) if state.strict && (ports.is_empty() || !slot.place.labels.is_empty()) => {
                Some(Rc::clone(ports))
            }
            _ => None,
        };
        state.passes = match (&state.held, state.isolated) {
            (_, true) => state.plain.clone(),
            (Some(ports), false) => Plain::Ports(Rc::clone(ports)),
            (None, false) => Plain::All,
        };
        state.plain = inside;
        state.rules.sort_unstable();
        state.rules.dedup();
        states.push(state);
    }
    states
}

/// A deny by identity holds where nobody comes in without one. It makes its pods ask for one, unless a rule isolates them.
fn judge_denies(
    facts: &Facts<'_>,
    callers: &Callers<'_>,
    access: &Access,
    slots: &Slots,
    states: &[State],
    judge: &mut Judge<'_>,
) {
    // What passes to some pods of a slot, and whether a deny alone closes some, those of the slots inside included.
    let mut passes: Vec<Plain> = states.iter().map(|state| state.passes.clone()).collect();
    let mut closed: Vec<bool> = states.iter().map(|state| state.held.is_some() && !state.isolated).collect();
    for at in (0..slots.list.len()).rev() {
        if let Some(parent) = slots.list[at].parent {
            passes[parent] = passes[parent].join(&passes[at]);
            closed[parent] |= closed[at];
        }
    }
    let why = "a caller without identity reaches the pods, and Istio denies by identity";
    for (at, slot) in slots.list.iter().enumerate() {
        for &statement in &slot.own {
            let call = &callers.calls[statement as usize];
            if call.isolates {
                continue;
            }
            if call.denies.meets(&passes[at]) {
                judge.flaw(call.rule, Direction::Ingress, &Flaw::unable(why));
            }
            if closed[at] {
                let words = "every caller without a sidecar is refused, also one that is not denied: who is denied is \
                             known by strict mTLS";
                judge.refuses(call.rule, Direction::Ingress, Refuses::WithoutIdentity, words.into());
            }
        }
    }
    for (statement, without) in slots.without.iter().enumerate() {
        let call = &callers.calls[statement];
        if without.is_none() || call.isolates || facts.gateway_of(call.selector).is_some() {
            continue;
        }
        let around = call.selector.namespace_name().map(Place::namespace);
        let closed = around.as_ref().is_some_and(|place| access.closes(place)) || access.closes(&Place::mesh());
        let slot = around.and_then(|place| slots.at(&place)).unwrap_or(0);
        if !closed || call.denies.meets(&passes[slot]) {
            judge.flaw(call.rule, Direction::Ingress, &Flaw::unable(why));
        }
    }
}

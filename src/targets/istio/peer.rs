//! Strict mTLS, on just the pods whose callers are known by identity: without it a caller that has one could come
//! without. Ports on which addresses may call stay permissive.

use std::rc::Rc;

use smol_str::SmolStr;

use super::authorization::Access;
use super::facts::Facts;
use super::judge::{Flaw, Judge};
use super::model::{Meta, PeerAuthentication, Resource};
use super::places::{Kind, Place, Placer};
use super::slots::{Slots, Statement};
use super::sources::From;
use crate::policy::{Direction, PodSelector};
use crate::targets::Wanted;
use crate::targets::names::{Limit, Taken};

/// Who calls whom with and without an identity.
#[derive(Default)]
pub(super) struct Callers<'a> {
    calls: Vec<Call<'a>>,
}

struct Call<'a> {
    rule: u32,
    selector: &'a PodSelector,
    /// Whether some callers are known by identity.
    strict: bool,
    /// Where others may call.
    plain: Plain,
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
}

impl<'a> Callers<'a> {
    /// Notes that a rule closes some pods.
    pub(super) fn isolate(&mut self, rule: u32, selector: &'a PodSelector) {
        self.calls.push(Call { rule, selector, strict: false, plain: Plain::none(), isolates: true });
    }

    /// Notes who may call some pods on which ports; none are all.
    pub(super) fn allow(&mut self, rule: u32, selector: &'a PodSelector, from: &From, ports: Vec<u16>, nothing: bool) {
        let plain = match (from.plain && !nothing, ports.is_empty()) {
            (false, _) => Plain::none(),
            (true, true) => Plain::All,
            (true, false) => Plain::Ports(ports.into()),
        };
        self.calls.push(Call { rule, selector, strict: from.identity, plain, isolates: true });
    }

    /// Notes that everybody may call some pods.
    pub(super) fn open(&mut self, rule: u32, selector: &'a PodSelector) {
        self.calls.push(Call { rule, selector, strict: false, plain: Plain::All, isolates: true });
    }

    /// Notes that some callers are denied by their identity.
    pub(super) fn deny(&mut self, rule: u32, selector: &'a PodSelector) {
        self.calls.push(Call { rule, selector, strict: true, plain: Plain::none(), isolates: false });
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
    rules: Vec<u32>,
}

/// Makes the objects, where they are wanted, and judges what rests on them.
pub(super) fn lower(
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
    let mut taken = Taken::new();
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
        let mut state = State { strict, plain, isolated, held: None, rules: Vec::new() };
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
        state.plain = inside;
        state.rules.sort_unstable();
        state.rules.dedup();
        states.push(state);
    }
    states
}

/// A deny by identity holds where nobody comes without one, or where who does is let in by nobody.
fn judge_denies(
    facts: &Facts<'_>,
    callers: &Callers<'_>,
    access: &Access,
    slots: &Slots,
    states: &[State],
    judge: &mut Judge<'_>,
) {
    let strict = |state: &State| state.held.as_ref().is_some_and(|ports| ports.is_empty());
    // Whether all pods of a slot are safe, those of the slots inside included.
    let mut safe: Vec<bool> = states.iter().map(|state| strict(state) || state.isolated).collect();
    for at in (0..slots.list.len()).rev() {
        if let Some(parent) = slots.list[at].parent {
            safe[parent] &= safe[at];
        }
    }
    let why = "a caller without identity reaches the pods, and Istio denies by identity";
    for (at, slot) in slots.list.iter().enumerate().filter(|(at, _)| !safe[*at]) {
        let _ = at;
        for &statement in &slot.own {
            let call = &callers.calls[statement as usize];
            if !call.isolates {
                judge.flaw(call.rule, Direction::Ingress, &Flaw::unable(why));
            }
        }
    }
    for (statement, without) in slots.without.iter().enumerate() {
        let call = &callers.calls[statement];
        if without.is_none() || call.isolates {
            continue;
        }
        let closed = call.selector.namespace_name().is_some_and(|name| access.closes(&Place::namespace(name)));
        if !closed && !access.closes(&Place::mesh()) && facts.gateway_of(call.selector).is_none() {
            judge.flaw(call.rule, Direction::Ingress, &Flaw::unable(why));
        }
    }
}

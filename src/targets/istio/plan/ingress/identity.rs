//! Strict mTLS for exactly the pods whose callers are known by identity: without it a caller could come without its
//! identity. Ports on which addresses may call stay permissive.
//!
//! ```netpol
//! allow ingress lab/@curl      -> garden/{app=web}:80/http
//! allow ingress 203.0.113.0/24 -> garden/{app=web}:8443
//! ```
//!
//! ```yaml
//! mtls:
//!   mode: STRICT
//! portLevelMtls:
//!   "8443":
//!     mode: PERMISSIVE
//! ```
//!
//! A principal is known only from the client's certificate; a caller known by its address has none.

use std::rc::Rc;

use super::callers::{Call, Callers, Plain};
use super::policies::Policies;
use crate::model::rules::{Direction, RuleId};
use crate::targets::Refuses;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{Findings, IstioGap, Note};
use crate::targets::istio::plan::subjects::obeyed::{Division, Statement};
use crate::targets::istio::plan::subjects::{Finder, Kind, Subject};

const IN: Direction = Direction::Ingress;
const WITHOUT: &str = "a caller without identity reaches the pods, and Istio denies by identity";

/// A PeerAuthentication without its name.
pub struct PeerDraft {
    /// The pods.
    pub subject: Subject,
    /// The ports that stay permissive under strict mTLS; `None` if mTLS is permissive.
    pub strict: Option<Rc<[u16]>>,
    /// The rules that it comes from.
    pub rules: Vec<RuleId>,
}

/// The requirements for the callers of an object's pods.
struct State {
    strict: bool,
    plain: Plain,
    isolated: bool,
    /// The ports that stay permissive under strict mTLS; `None` if mTLS is permissive.
    permissive: Option<Rc<[u16]>>,
    /// The ports on which callers without identity come in.
    passes: Plain,
    rules: Vec<RuleId>,
}

/// Finds the pods that require an identity of their callers, and the findings about denies by identity.
pub fn plan<'a>(facts: &Facts<'a>, callers: &Callers<'a>, policies: &Policies) -> (Vec<PeerDraft>, Findings) {
    if callers.calls.iter().all(|call| !call.strict) {
        return Default::default();
    }
    let mut finder = Finder::new(facts, Kind::Peer);
    let statement = |call: &Call<'a>| {
        let subjects = finder.find(call.selector);
        Statement { selector: call.selector, subjects, gives: call.isolates }
    };
    let statements: Vec<Statement<'a>> = callers.calls.iter().map(statement).collect();
    let division = Division::new(facts, &statements);
    let states = states(callers, &division);
    let findings = denies(facts, callers, policies, &division, &states);
    (drafts(&division, &states), findings)
}

/// Returns an object for the pods whose mode differs from that of the enclosing object.
fn drafts(division: &Division, states: &[State]) -> Vec<PeerDraft> {
    let around = |at: usize| division.objects[at].around.and_then(|around| states[around].permissive.as_ref());
    let differs = |at: &usize| states[*at].permissive.as_ref() != around(*at);
    let draft = |at: usize| {
        let State { permissive, rules, .. } = &states[at];
        PeerDraft { subject: division.objects[at].subject.clone(), strict: permissive.clone(), rules: rules.clone() }
    };
    (0..states.len()).filter(differs).map(draft).collect()
}

fn states(callers: &Callers<'_>, division: &Division) -> Vec<State> {
    let mut states: Vec<State> = Vec::with_capacity(division.objects.len());
    for object in &division.objects {
        let (strict, plain, isolated) = match object.around.map(|around| &states[around]) {
            Some(around) => (around.strict, around.plain.clone(), around.isolated),
            None => (false, Plain::none(), false),
        };
        let mut state = State { strict, plain, isolated, permissive: None, passes: Plain::All, rules: Vec::new() };
        for &at in &object.own {
            let call = &callers.calls[at as usize];
            state.strict |= call.strict;
            state.isolated |= call.isolates;
            state.plain = state.plain.join(&call.plain);
            state.rules.push(call.rule);
        }
        let inside = state.plain.clone();
        for &at in &object.joined {
            state.plain = state.plain.join(&callers.calls[at as usize].plain);
        }
        state.permissive = match &state.plain {
            // Single ports need a selector: without one all ports stay permissive, and the AuthorizationPolicy refuses
            // callers without an identity.
            Plain::Ports(ports) if state.strict && (ports.is_empty() || !object.subject.labels.is_empty()) => {
                Some(Rc::clone(ports))
            }
            _ => None,
        };
        state.passes = match (&state.permissive, state.isolated) {
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

/// Enforces denies by identity, on pods that no caller without an identity reaches. Because of a deny its pods require
/// an identity, unless a rule isolates them.
fn denies(
    facts: &Facts<'_>,
    callers: &Callers<'_>,
    policies: &Policies,
    division: &Division,
    states: &[State],
) -> Findings {
    // For each object, the ports on which callers pass to some pods, and whether only a deny closes some; enclosed
    // objects count too.
    let mut passes: Vec<Plain> = states.iter().map(|state| state.passes.clone()).collect();
    let mut closed: Vec<bool> = states.iter().map(|state| state.permissive.is_some() && !state.isolated).collect();
    for at in (0..division.objects.len()).rev() {
        if let Some(around) = division.objects[at].around {
            passes[around] = passes[around].join(&passes[at]);
            closed[around] |= closed[at];
        }
    }
    let mut findings = Findings::default();
    for (at, object) in division.objects.iter().enumerate() {
        for &statement in &object.own {
            let call = &callers.calls[statement as usize];
            if call.isolates {
                continue;
            }
            if call.denies.meets(&passes[at]) {
                findings.gap(call.rule, IN, &IstioGap::unable(WITHOUT));
            }
            if closed[at] {
                let words = "every caller without a sidecar is refused, also one that is not denied: who is denied is \
                             known by strict mTLS";
                findings.add(call.rule, IN, Note::refuses(Refuses::WithoutIdentity, words));
            }
        }
    }
    for (statement, without) in division.without.iter().enumerate() {
        let call = &callers.calls[statement];
        if without.is_none() || call.isolates || facts.gateway_of(call.selector).is_some() {
            continue;
        }
        let around = call.selector.namespace_name().map(Subject::namespace);
        let closed =
            around.as_ref().is_some_and(|subject| policies.closes(subject)) || policies.closes(&Subject::mesh());
        let object = around.and_then(|subject| division.at(&subject)).unwrap_or(0);
        if !closed || call.denies.meets(&passes[object]) {
            findings.gap(call.rule, IN, &IstioGap::unable(WITHOUT));
        }
    }
    findings
}

//! Witnesses of tests: example flows of each line, so that other programs can be compared with the sets.
//!
//! ```text
//! deny shop/{app=api} -> { payments/*, zenquotes.io:443 }
//!     one to payments that is denied, one to the host that is denied, and what is allowed of either, if some is
//! ```

use std::sync::Arc;

use crate::model::endpoint::Endpoint;
use crate::model::labels::{NAMESPACE_NAME, PodSelector};
use crate::model::rules::{Claim, FlowPattern, Rule};
use crate::policy::meaning::{Meaning, Passes};
use crate::policy::{Flow, Party, Policy, eval};
use crate::source::Span;

/// A flow of a line of a test.
#[derive(Clone, Debug)]
pub struct Witness {
    /// The line.
    pub span: Span,
    /// One flow of the line.
    pub flow: Flow,
    /// Whether the sets of the policy allow it.
    pub allowed: bool,
}

/// The most pairs of members of a line that have witnesses of their own.
const MOST_PAIRS: usize = 64;

/// Returns flows of the lines of all tests: for each pair of members of a line one allowed and one denied flow, if they
/// exist, and for ways through a gateway both legs. A line whose sets are too large has none.
pub fn witnesses(policy: &Policy) -> Vec<Witness> {
    let mut meaning = Meaning::new(policy, &[]);
    let mut all = Vec::new();
    for claim in policy.tests.iter().flat_map(|test| &test.claims) {
        let of_claim = match claim.way() {
            Some(way) => {
                let legs = match meaning.allowed_way(&way) {
                    Ok(Passes::Way(legs)) => Vec::from(*legs),
                    _ => Vec::new(),
                };
                let denied = meaning.denied_leg(&way).ok().flatten().into_iter();
                let legs = legs.into_iter().map(|leg| (leg, true)).chain(denied.map(|leg| (leg, false)));
                legs.map(|(leg, allowed)| (of_gateway(policy, &way, leg, allowed), allowed)).collect()
            }
            None => of_pairs(&mut meaning, claim),
        };
        all.extend(of_claim.into_iter().map(|(flow, allowed)| Witness { span: claim.span, flow, allowed }));
    }
    all
}

/// Gives the pods of a way's gateway the account that its declaration says, if nothing else is known of them. What the
/// layers let through by identity has that identity.
fn of_gateway(policy: &Policy, way: &Rule, leg: Flow, allowed: bool) -> Flow {
    let Some((account, gateway)) = way.via.as_ref().and_then(|via| Some((via.gateway.account.as_ref()?, &via.gateway)))
    else {
        return leg;
    };
    let mut told = leg.clone();
    for party in [&mut told.source, &mut told.destination] {
        let Party::Pod(pod) = party else { continue };
        let named = pod.namespace_labels.get(NAMESPACE_NAME) == Some(&account.0);
        let is_gateway = |pods: &PodSelector| pods.matches(&pod.namespace_labels, &pod.labels, &account.1);
        if named && pod.account.is_empty() && gateway.pods.iter().any(is_gateway) {
            pod.account = account.1.clone();
        }
    }
    if eval(policy, &told).allowed() == allowed { told } else { leg }
}

fn of_pairs(meaning: &mut Meaning<'_>, claim: &Claim) -> Vec<(Flow, bool)> {
    let FlowPattern { source, destination, conditions } = &claim.flows;
    let one = |at: &Endpoint, member: usize| Arc::new(Endpoint { members: at.members[member..=member].into() });
    let mut found = Vec::new();
    let pairs = (0..source.members.len()).flat_map(|from| (0..destination.members.len()).map(move |to| (from, to)));
    for (from, to) in pairs.take(MOST_PAIRS) {
        let conditions = Arc::clone(conditions);
        let asked = FlowPattern { source: one(source, from), destination: one(destination, to), conditions };
        for (example, allowed) in [(meaning.allowed_of(&asked), true), (meaning.denied_of(&asked), false)] {
            if let Ok(Some(example)) = example {
                found.push((meaning.flow(&example), allowed));
            }
        }
    }
    found
}

//! Pods that no sidecar guards: pods that are known to have none, and ports that annotations of others leave out.
//!
//! ```text
//! allow ingress lab/* -> garden/{app=web}:80    lets `lab` in by its identities: a pod without a sidecar has none
//! ```

use super::left_out;
use crate::model::endpoint::is_everybody;
use crate::model::rules::{Action, Direction, Rule};
use crate::targets::Refuses;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::Note;
use crate::targets::istio::words::list_all_names;

const IN: Direction = Direction::Ingress;
const OUT: Direction = Direction::Egress;

/// Returns the notes about an ingress rule: the pods that no sidecar guards, and the callers without an identity. A
/// rule that lets every caller in needs no identity, and pods without a sidecar refuse no flow.
pub fn on_the_way_in(facts: &Facts<'_>, rule: &Rule) -> Vec<Note> {
    let unguarded = facts.unmeshed(&rule.destination, IN, IN);
    let guarded = !unguarded.all || unguarded.is_empty();
    let mut notes = Vec::new();
    if !unguarded.is_empty() {
        notes.push(Note::Unmeshed(unguarded));
    }
    notes.extend(left_out::found(facts, rule, IN));
    let by_identity = guarded && !is_everybody(rule.source.members.iter());
    if rule.action == Action::Allow && rule.via.is_none() && by_identity {
        let callers = facts.unmeshed(&rule.source, IN, OUT);
        let past = left_out::plain_callers(facts, rule);
        for (who, names) in [
            ("callers without a sidecar are refused", [callers.bare.as_slice(), &[]]),
            ("callers in ambient mode are refused where a sidecar takes no tunnel", [callers.ambient.as_slice(), &[]]),
            ("calls that annotations keep from the callers' sidecars are refused", [callers.kept.as_slice(), &past]),
        ] {
            if names.iter().any(|list| !list.is_empty()) {
                let words = format!("{who}: {}", list_all_names(&names));
                notes.push(Note::refuses(Refuses::PodsWithoutIdentity, words));
            }
        }
    }
    notes
}

/// Returns the notes about an egress rule: the pods that have no sidecar to stop them.
pub fn on_the_way_out(facts: &Facts<'_>, rule: &Rule) -> Vec<Note> {
    let unguarded = facts.unmeshed(&rule.source, OUT, OUT);
    let unguarded = (!unguarded.is_empty()).then_some(Note::Unmeshed(unguarded));
    unguarded.into_iter().chain(left_out::found(facts, rule, OUT)).collect()
}

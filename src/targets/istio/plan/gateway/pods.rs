//! Rules about the pods of gateways themselves, where Istio is less exact than at other pods.
//!
//! ```text
//! deny ingress */@web -> */*                    wider: callers show no identity to a gateway's servers
//! default deny ingress edge/{tier=outer}        the other pods of the gateway are closed, too
//! ```

use crate::model::gateways::Gateway;
use crate::model::labels::PodSelector;
use crate::model::rules::{Action, Direction};
use crate::targets::Refuses;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{Findings, IstioGap, Note};

/// Returns the findings about rules through gateways of which perhaps not all pods are isolated: one object is for all of
/// them, and closes them to what no rule names.
pub fn half_isolated(facts: &Facts<'_>) -> Findings {
    let mut findings = Findings::default();
    for (at, rule) in facts.part.rules(Direction::Ingress) {
        let Some(via) = &rule.via else { continue };
        if facts.policy.isolating(&via.gateway).next().is_some() && !facts.policy.surely_isolates(&via.gateway) {
            let words = format!("pods of {} that no rule isolates are closed to other hosts, too", via.gateway.name);
            findings.add(at, Direction::Ingress, Note::narrower(Refuses::Unasked, words));
        }
    }
    findings
}

/// Returns the findings about denies of pods at gateways, where pods show no identity that could be refused.
pub fn unknown_callers(facts: &Facts<'_>) -> Findings {
    let mut findings = Findings::default();
    for (at, _, rule) in facts.part.ends().filter(|(_, direction, _)| *direction == Direction::Ingress) {
        if rule.action != Action::Deny || rule.source.pods().next().is_none() {
            continue;
        }
        let meant = |gateway: &&Gateway| {
            gateway.pods.iter().any(|own| rule.destination.pods().any(|(_, pods)| own.overlaps(&pods.selector)))
        };
        if let Some(gateway) = facts.policy.gateways.iter().map(|gateway| &**gateway).find(meant) {
            let others = |pods: &PodSelector| !pods.is_inside(&gateway.pods);
            let words = format!("at {} callers show no identity", gateway.name);
            let gap = match rule.destination.pods().any(|(_, pods)| others(&pods.selector)) {
                true => IstioGap::wider(words),
                false => IstioGap::unable(words),
            };
            findings.gap(at, Direction::Ingress, &gap);
        }
    }
    findings
}

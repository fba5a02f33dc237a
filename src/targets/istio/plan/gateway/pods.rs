//! Rules about the gateways' own pods, for which Istio is less exact than for other pods.
//!
//! ```text
//! deny ingress */@web -> */*                    wider: callers show no identity to a gateway's servers
//! default deny ingress edge/{tier=outer}        the other pods of the gateway are closed, too
//! ```

use crate::model::gateways::Gateway;
use crate::model::labels::{PodSelector, Requirements};
use crate::model::rules::{Action, Direction};
use crate::policy::Isolated;
use crate::targets::Refuses;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{Findings, IstioGap, Note};
use crate::targets::istio::plan::subjects::{Finder, Kind, Subject};

/// Returns the subjects for the AuthorizationPolicies of a gateway, or the reason why no object selects only its pods.
pub fn subjects(facts: &Facts<'_>, gateway: &Gateway) -> Result<Vec<Subject>, String> {
    let mut finder = Finder::new(facts, Kind::Authorization);
    let mut all = Vec::new();
    for pods in &gateway.pods {
        let found = finder.find(pods);
        if let Some(why) = found.indistinct {
            let why = beyond_root(facts, pods).unwrap_or_else(|| why.to_owned());
            return Err(format!("no object is for the pods of {} alone: {why}", gateway.name));
        }
        all.extend(found.list.iter().cloned());
    }
    Ok(all)
}

/// Returns the other workload that an object for pods of the root namespace also selects: `garden/gw` with the labels
/// of `istio-system/{istio=ingressgateway}`.
fn beyond_root(facts: &Facts<'_>, pods: &PodSelector) -> Option<String> {
    let root = &facts.policy.settings.root_namespace;
    if pods.namespace_name().is_none_or(|name| name != root) {
        return None;
    }
    let anywhere = PodSelector { namespace: Requirements::any(), ..pods.clone() };
    let others = facts.names().iter().filter(|name| **name != root).filter_map(|name| facts.known(name));
    let other = others.flat_map(|known| known.selected(&anywhere)).next()?;
    Some(format!(
        "{}/{} has their labels, and what stands in {root} is for every namespace",
        other.namespace, other.name
    ))
}

/// Returns the findings about rules through a gateway whose pods are perhaps not all isolated: one object is for all of
/// them, and closes them to all flows that no rule names.
pub fn half_isolated(facts: &Facts<'_>) -> Findings {
    let mut findings = Findings::default();
    for (at, rule) in facts.part.rules(Direction::Ingress) {
        let Some(via) = &rule.via else { continue };
        if facts.policy.isolated(&via.gateway) == Isolated::Perhaps {
            let words = format!("pods of {} that no rule isolates are closed to other hosts, too", via.gateway.name);
            findings.add(at, Direction::Ingress, Note::narrower(Refuses::Unasked, words));
        }
    }
    findings
}

/// Returns the findings about denies of pods at gateways: pods show no identity to a gateway's servers.
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

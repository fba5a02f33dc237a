//! Hosts with a wildcard on TLS: Istio applies the AuthorizationPolicies of the calling pod to them.
//!
//! ```text
//! allow egress  garden/* -> *.example.com:443/tls
//! allow ingress lab/*    -> garden/{app=web}:80      closes app=web, and refuses it `www.example.com`, too
//! ```
//!
//! A sidecar that resolves such names also applies the AuthorizationPolicies of its own pod to these connections, as if
//! they were incoming. The pod's ALLOW rules name its callers, so none matches, and the connection is closed. This
//! concerns every pod that sees the host's ServiceEntry, even if the rule does not govern the pod.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::endpoint::{Endpoint, What};
use crate::model::labels::PodSelector;
use crate::model::ports::{AppProtocol, Ports};
use crate::model::rules::{Action, Direction, Rule};
use crate::targets::Refuses;
use crate::targets::istio::findings::Findings;
use crate::targets::partition::Partition;

/// Returns, for each rule on such hosts, the finding that they are refused to pods of its namespaces whose ingress a
/// rule isolates.
pub fn refused(part: &Partition<'_>) -> Findings {
    let mut findings = Findings::default();
    let isolating = part.rules(Direction::Ingress).map(|(_, rule)| rule).filter(|rule| rule.action != Action::Deny);
    let isolated: FxHashSet<&PodSelector> =
        isolating.flat_map(|rule| rule.destination.pods()).map(|(_, pods)| &pods.selector).collect();
    let mut known: FxHashMap<*const Endpoint, bool> = FxHashMap::default();
    for (at, rule) in part.rules(Direction::Egress) {
        if !(rule.action == Action::Allow && has_wildcard_on_tls(rule)) {
            continue;
        }
        let refused = *known.entry(std::sync::Arc::as_ptr(&rule.source)).or_insert_with(|| {
            let mut sources = rule.source.pods();
            sources.any(|(_, pods)| {
                let beside = PodSelector { namespace: pods.selector.namespace.clone(), ..PodSelector::any() };
                isolated.iter().any(|other| other.intersect(&beside).is_some())
            })
        });
        if refused {
            let what = "a wildcard on tls is refused to pods of the namespace whose ingress is isolated, since Istio asks \
                        their own AuthorizationPolicies about it";
            findings.narrower(at, Direction::Egress, Refuses::WildcardOnTls, what);
        }
    }
    findings
}

fn has_wildcard_on_tls(rule: &Rule) -> bool {
    rule.destination.members.iter().any(|member| match (&member.what, &member.ports) {
        (What::Host(host), Ports::Some(ports)) => {
            host.name.wildcard && ports.iter().any(|port| port.app == Some(AppProtocol::Tls))
        }
        _ => false,
    })
}

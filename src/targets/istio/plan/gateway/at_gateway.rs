//! What is said of each gateway, of all rules together: it has one set of AuthorizationPolicies, whichever rules lead through
//! it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::gateways::Gateway;
use crate::model::hosts::HostName;
use crate::model::labels::PodSelector;
use crate::model::rules::RuleId;
use crate::targets::istio::model::AccessRule;

/// What one rule has to do with a gateway.
pub struct Passage {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// The rule.
    pub rule: RuleId,
    /// Who may pass.
    pub access: Vec<AccessRule>,
    /// The public hosts of which it speaks.
    pub hosts: Vec<HostName>,
    /// The pod ports without names of which it speaks.
    pub ports: Vec<u16>,
    /// The hosts that are reached through the gateway on the way out.
    pub exits: Vec<HostName>,
}

/// What is said of one gateway.
pub struct AtGateway {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Who may pass, each with the rule that says it.
    pub access: Vec<(RuleId, AccessRule)>,
    /// The rule that spoke of it first.
    pub first: RuleId,
    /// The public hosts of which rules speak.
    pub hosts: BTreeSet<HostName>,
    /// The pod ports without names of which rules speak.
    pub ports: BTreeSet<u16>,
    /// The hosts that are reached through it on the way out.
    pub exits: BTreeSet<HostName>,
}

impl AtGateway {
    /// Gathers what rules have to do with each gateway, by its pods.
    pub fn gather(passages: impl IntoIterator<Item = Passage>) -> Vec<AtGateway> {
        let mut all: Vec<AtGateway> = Vec::new();
        for Passage { gateway, rule, access, hosts, ports, exits } in passages {
            let at = all.iter().position(|have| have.gateway.pods == gateway.pods).unwrap_or_else(|| {
                let (hosts, ports, exits) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
                all.push(AtGateway { gateway, access: Vec::new(), first: rule, hosts, ports, exits });
                all.len() - 1
            });
            all[at].access.extend(access.into_iter().map(|access| (rule, access)));
            all[at].hosts.extend(hosts);
            all[at].ports.extend(ports);
            all[at].exits.extend(exits);
        }
        all
    }
}

/// Returns whether two gateways may have a pod in common.
pub fn may_share_pods(one: &[PodSelector], other: &[PodSelector]) -> bool {
    one.iter().any(|one| other.iter().any(|other| one.overlaps(other)))
}

//! The access of all rules at one gateway: a gateway has one set of AuthorizationPolicies, whichever rules lead through
//! it.
//!
//! ```text
//! allow ingress 203.0.113.0/24 -> garden/web:80/http via edge at "garden.example"
//! allow ingress 198.51.100.0/24 -> shop/web:80/http via edge at "shop.example"
//!
//! edge    two hosts, and the access of two rules
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::gateways::Gateway;
use crate::model::hosts::HostName;
use crate::model::labels::PodSelector;
use crate::model::rules::RuleId;
use crate::targets::istio::model::AccessRule;

/// The access of one rule at a gateway.
pub struct Passage {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// The rule.
    pub rule: RuleId,
    /// The clients who may pass.
    pub access: Vec<AccessRule>,
    /// The public hosts that the rule names.
    pub hosts: Vec<HostName>,
    /// The pod ports without names that the rule means.
    pub ports: Vec<u16>,
    /// The hosts that are reached through the gateway on the way out.
    pub exits: Vec<HostName>,
}

/// The access of all rules at one gateway.
pub struct AtGateway {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// The access, each with its rule.
    pub access: Vec<(RuleId, AccessRule)>,
    /// The first rule about the gateway.
    pub first: RuleId,
    /// The public hosts that rules name.
    pub hosts: BTreeSet<HostName>,
    /// The pod ports without names that rules mean.
    pub ports: BTreeSet<u16>,
    /// The hosts that are reached through it on the way out.
    pub exits: BTreeSet<HostName>,
}

impl AtGateway {
    /// Gathers the access of rules at each gateway, by the gateway's pods.
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

//! A policy in which rules say what the layers let through in their place.
//!
//! ```text
//! @approximate("…") allow egress lab/* -> zenquotes.io:80/http via egress-gateway where method GET
//!     the gateway reads no methods on the way out: the rule without its `where`
//! ```
//!
//! Ways through gateways are asked for in such a policy, since the excess of one leg must meet the other leg.

use std::sync::Arc;

use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, Pods, What};
use crate::model::labels::PodSelector;
use crate::model::ports::Ports;
use crate::model::rules::{Action, Direction, Rule};
use crate::policy::Policy;
use crate::policy::meaning::{Excess, Reach};

/// Returns a policy whose rules are as wide as what passes at their ends.
pub(super) fn widened(policy: &Policy, excess: &[Excess]) -> Policy {
    let mut wide = policy.clone();
    for one in excess {
        if let Some(rule) = wide.rules.get_mut(one.rule.index()) {
            widen(rule, one, &policy.internet);
        }
    }
    wide
}

fn widen(rule: &mut Rule, excess: &Excess, internet: &AddressSet) {
    if rule.action == Action::Deny {
        // What it names passes.
        rule.destination = Arc::new(Endpoint { members: Default::default() });
        return;
    }
    rule.conditions = Arc::default();
    let span = rule.origin.span;
    let member = |what, ports: &Ports| Member { span, what, ports: ports.clone() };
    let everybody = || {
        let pods = What::Pods(Pods { selector: PodSelector::any(), named: None });
        [pods, What::Addresses(AddressSet::everything())].map(|what| member(what, &Ports::All))
    };
    match (excess.reach, &rule.via) {
        (Reach::AnyRequest, _) => {}
        (Reach::OtherHosts, _) => {
            let members = &rule.destination.members;
            let others = rule.destination.hosts().map(|(one, host)| {
                let at = if host.at.is_empty() { internet.clone() } else { host.addresses() };
                member(What::Addresses(at), &one.ports)
            });
            rule.destination = Arc::new(Endpoint { members: members.iter().cloned().chain(others).collect() });
        }
        // Which gateway they come by is known, and not who its clients are.
        (Reach::Perhaps, Some(_)) => {
            if rule.ingress {
                let anywhere = member(What::Addresses(AddressSet::everything()), &Ports::All);
                rule.source = Arc::new(Endpoint { members: [anywhere].into_iter().collect() });
            }
        }
        (Reach::Perhaps, None) => {
            rule.action = Action::Allow;
            let peers = Arc::new(Endpoint { members: everybody().into_iter().collect() });
            match excess.direction {
                Direction::Egress => rule.destination = peers,
                Direction::Ingress => {
                    let own = rule.destination.members.iter();
                    let own = own.map(|one| Member { ports: Ports::All, ..one.clone() });
                    (rule.source, rule.destination) = (peers, Arc::new(Endpoint { members: own.collect() }));
                }
            }
        }
    }
}

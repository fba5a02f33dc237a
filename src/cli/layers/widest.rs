//! Wide readings: a rule as a layer with a gap reads it.

use std::sync::Arc;

use crate::model::addresses::AddressSet;
use crate::model::conditions::Conditions;
use crate::model::endpoint::{Endpoint, Member, Pods, What};
use crate::model::labels::{Account, PodSelector};
use crate::model::ports::Ports;
use crate::model::rules::{Direction, Rule};
use crate::policy::{Cause, Flow, Policy, eval};
use crate::settings::Layer;

/// Returns whether a rule lets a flow through at one end if a layer with a gap reads it; `None` if this depends on
/// unknown facts, such as which pods have the same labels.
pub(super) fn widest(policy: &Policy, layer: Layer, rule: &Rule, flow: &Flow, direction: Direction) -> Option<bool> {
    let passes = |rule: &Rule| alone(policy, rule, flow, direction).0;
    // No layer lets through more than every peer on the rule's ports, save a Sidecar that imports a Service or a host
    // without a port: that brings all its ports.
    if !passes(&to_anybody(rule, direction)) {
        let imported = layer == Layer::Istio && direction == Direction::Egress && passes(&on_every_port(rule));
        return if imported { None } else { Some(false) };
    }
    if rule.via.is_some() {
        return None;
    }
    let without_conditions = Rule { conditions: Arc::new(Conditions::default()), ..rule.clone() };
    match layer {
        Layer::NetworkPolicy => {
            let by_address = by_address(policy, &without_conditions);
            match (passes(&by_address), passes(&of_any_account(&by_address))) {
                (true, _) => Some(true),
                (false, true) => None,
                (false, false) => Some(false),
            }
        }
        // A sidecar does not read outgoing requests.
        Layer::Istio => (direction == Direction::Egress && passes(&without_conditions)).then_some(true),
    }
}

/// Returns whether a rule, were it the only one, would let a flow through at one end, and whether it would deny it.
pub(super) fn alone(policy: &Policy, rule: &Rule, flow: &Flow, direction: Direction) -> (bool, bool) {
    let only = Policy { rules: vec![rule.clone()], grants: Vec::new(), ..policy.clone() };
    let cause = eval(&only, flow).ends.into_iter().find(|end| end.direction == direction).map(|end| end.cause);
    (matches!(cause, Some(Cause::Allowed(_))), matches!(cause, Some(Cause::Denied(_))))
}

/// Returns a rule with its hosts replaced by their addresses.
fn by_address(policy: &Policy, rule: &Rule) -> Rule {
    let destination = each(&rule.destination, |what| match what {
        What::Host(host) if host.at.is_empty() => What::Addresses(policy.internet.clone()),
        What::Host(host) => What::Addresses(AddressSet::of(host.at.iter().map(|at| at.net))),
        other => other.clone(),
    });
    Rule { destination, ..rule.clone() }
}

/// Returns a rule for pods of any account.
fn of_any_account(rule: &Rule) -> Rule {
    let any = |what: &What| match what {
        What::Pods(pods) => {
            let selector = PodSelector { account: Account::Not(Vec::new()), ..pods.selector.clone() };
            What::Pods(Pods { selector, named: pods.named.clone() })
        }
        other => other.clone(),
    };
    Rule { source: each(&rule.source, any), destination: each(&rule.destination, any), ..rule.clone() }
}

/// Returns a rule for every peer on its ports, without its conditions on requests.
fn to_anybody(rule: &Rule, direction: Direction) -> Rule {
    let rule = of_any_account(&Rule { conditions: Arc::new(Conditions::default()), via: None, ..rule.clone() });
    let anybody = |endpoint: &Endpoint| {
        let both = |member: &Member| {
            let everyone = [
                What::Pods(Pods { selector: PodSelector::any(), named: None }),
                What::Addresses(AddressSet::everything()),
            ];
            everyone.map(|what| Member { what, ..member.clone() })
        };
        Arc::new(Endpoint { members: endpoint.members.iter().flat_map(both).collect() })
    };
    match direction {
        Direction::Egress => Rule { destination: anybody(&rule.destination), ..rule },
        Direction::Ingress => Rule { source: anybody(&rule.source), ..rule },
    }
}

/// Returns an egress rule for every port of its destination, and for all pods of its namespaces.
fn on_every_port(rule: &Rule) -> Rule {
    let all_pods = |what: &What| match what {
        What::Pods(pods) => {
            let selector = PodSelector { namespace: pods.selector.namespace.clone(), ..PodSelector::any() };
            What::Pods(Pods { selector, named: None })
        }
        other => other.clone(),
    };
    let members = rule.destination.members.iter();
    let members = members.map(|member| Member { what: all_pods(&member.what), ports: Ports::All, ..member.clone() });
    let conditions = Arc::new(Conditions::default());
    Rule { destination: Arc::new(Endpoint { members: members.collect() }), conditions, ..rule.clone() }
}

fn each(endpoint: &Endpoint, change: impl Fn(&What) -> What) -> Arc<Endpoint> {
    let members = endpoint.members.iter().map(|member| Member { what: change(&member.what), ..member.clone() });
    Arc::new(Endpoint { members: members.collect() })
}

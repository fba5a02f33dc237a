//! Where an engine may rightly say something else than the source, as conditions: what the compiler says of its layer,
//! and what Kubernetes leaves open. What engines read wrong is put right in the programs around them.

use netpol::model::addresses::{AddressSet, Block};
use netpol::model::endpoint::{Endpoint, Member, What};
use netpol::model::labels::Requirement;
use netpol::model::rules::{Action, Direction, RuleId};
use netpol::policy::{self, Cause, Flow, Party, Policy, Verdict};
use netpol::settings::Layer;
use netpol::targets::Level;
use serde_json::Value;

use crate::build::Build;
use crate::case::Vote;

/// Returns whether the compiler said that the layer lets through more than the rules that forbid a flow: at each end
/// that forbids it, the deny that decides, or one of the rules that isolate the pod, is judged less than exact.
pub fn is_stated(build: &Build, flow: &Flow, meant: &Verdict) -> bool {
    meant.ends.iter().filter(|end| !end.allows()).all(|end| match end.cause {
        Cause::Denied(rule) => !is_exact(build, rule, end.direction) && !is_denied_exactly(build, flow, end.direction),
        _ => is_widened(build, flow, end.direction),
    })
}

fn is_exact(build: &Build, rule: RuleId, direction: Direction) -> bool {
    let layers = build.lowering.layers.iter().filter(|(layer, _)| *layer == Layer::NetworkPolicy);
    let mut judgements = layers.flat_map(|(_, lowered)| &lowered.judgements);
    judgements.any(|one| one.rule == rule && one.direction == direction && one.level == Level::Exact)
}

/// Returns whether a deny that the layer enforces exactly forbids a flow too.
fn is_denied_exactly(build: &Build, flow: &Flow, direction: Direction) -> bool {
    let rules = build.policy.numbered();
    let exact = rules.filter(|(at, rule)| rule.action == Action::Deny && is_exact(build, *at, direction));
    let held = Policy { rules: exact.map(|(_, rule)| rule.clone()).collect(), ..build.policy.clone() };
    let ends = policy::eval(&held, flow).ends;
    ends.iter().any(|end| end.direction == direction && matches!(end.cause, Cause::Denied(_)))
}

/// Returns whether a rule that forbids a flow at one end, as all do that isolate the pod, is not exact, so that the
/// compiler had to say of it what else holds it; or whether a gateway's half of a rule let the flow through. That a
/// rule for other pods is wider excuses nothing.
fn is_widened(build: &Build, flow: &Flow, direction: Direction) -> bool {
    let mut rules = build.policy.numbered();
    let forbids = |at: RuleId, rule: &netpol::model::rules::Rule| {
        rule.action != Action::Deny
            && rule.governs(direction)
            && contains(rule.subject(direction), pod_end(flow, direction))
            && !is_exact(build, at, direction)
    };
    let mut grants = build.policy.grants.iter().filter(|grant| grant.direction == direction);
    rules.any(|(at, rule)| forbids(at, rule))
        || grants.any(|grant| {
            let wider = |at: &RuleId| {
                Direction::BOTH
                    .iter()
                    .any(|end| build.policy.rules[at.index()].governs(*end) && !is_exact(build, *at, *end))
            };
            grant.because.iter().any(wider)
                && may_hold(build, &grant.source, &flow.source, None)
                && may_hold(build, &grant.destination, &flow.destination, Some(flow))
        })
}

fn pod_end(flow: &Flow, direction: Direction) -> &Party {
    if direction == Direction::Egress { &flow.source } else { &flow.destination }
}

fn contains(endpoint: &Endpoint, party: &Party) -> bool {
    let Party::Pod(pod) = party else { return false };
    endpoint.pods().any(|(_, pods)| pods.selector.matches(&pod.namespace_labels, &pod.labels, &pod.account))
}

/// Returns whether an endpoint may contain a party, as a destination on the flow's port. An endpoint that is not exact
/// may be written for pods of any account, for those of a namespace with unknown labels, and for every address that a
/// host may have.
fn may_hold(build: &Build, endpoint: &Endpoint, party: &Party, destination: Option<&Flow>) -> bool {
    let members = endpoint.members.iter().filter(|member| destination.is_none_or(|flow| has_port(member, flow)));
    members.into_iter().any(|member| match (&member.what, party) {
        (What::Pods(pods), Party::Pod(pod)) => {
            let namespace = &pod.namespace_labels[netpol::model::labels::NAMESPACE_NAME];
            let known = build.policy.inventory.namespaces.get(namespace).is_some_and(|known| known.declared);
            let mut required = pods.selector.namespace.list().iter();
            let told = |one: &&Requirement| known || one.key == netpol::model::labels::NAMESPACE_NAME;
            pods.selector.labels.matches(&pod.labels)
                && required.all(|one| !told(&one) || one.matches(&pod.namespace_labels))
        }
        (What::Addresses(set), Party::Address(address)) => set.contains(*address),
        (What::Host(host), Party::Address(_)) => host.at.is_empty(),
        _ => false,
    })
}

fn has_port(member: &Member, flow: &Flow) -> bool {
    let ports = match &flow.destination {
        Party::Pod(pod) => pod.ports.as_slice(),
        _ => &[],
    };
    let here = ports.iter().filter(|port| Some(port.port) == flow.port && port.protocol == flow.protocol);
    let names: Vec<_> = here.filter_map(|port| port.name.clone()).collect();
    member.ports.matches(flow.port, flow.protocol, &names)
}

/// Returns whether engines differ because of blocks that contain addresses of pods. For kube-network-policies and
/// cyclonus such a block includes the pods; for np-guard, and in the source, it does not. Kubernetes only says that
/// blocks should be outside the cluster.
pub fn is_by_block(meant: bool, votes: &[Vote]) -> bool {
    !meant && votes.iter().all(|(engine, vote)| *vote == (*engine != "np-guard"))
}

/// Returns the addresses in the blocks of some objects, if the compiler does not know which of them are pods'. If it
/// knows, no block contains any of these, and there is nothing to excuse.
pub fn in_blocks(build: &Build, objects: &[String]) -> AddressSet {
    if build.policy.pod_addresses.is_empty() { blocks(objects) } else { AddressSet::default() }
}

/// Returns the addresses in the blocks of some objects.
pub fn blocks(objects: &[String]) -> AddressSet {
    let mut blocks = Vec::new();
    for object in objects {
        add_blocks(&serde_yaml::from_str(object).unwrap(), &mut blocks);
    }
    AddressSet { blocks }
}

fn add_blocks(value: &Value, blocks: &mut Vec<Block>) {
    let net = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).unwrap();
    match value {
        Value::Object(fields) => {
            if let Some(block) = fields.get("ipBlock") {
                let except = block["except"].as_array().into_iter().flatten().map(net);
                blocks.push(Block { net: net(&block["cidr"]), except: except.collect() });
            }
            fields.values().for_each(|value| add_blocks(value, blocks));
        }
        Value::Array(items) => items.iter().for_each(|value| add_blocks(value, blocks)),
        _ => {}
    }
}

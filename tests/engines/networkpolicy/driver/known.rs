//! Where an engine may rightly say something else than the source, as conditions: what the compiler says of its layer, and
//! what Kubernetes leaves open. What engines read wrong is put right in the programs around them.

use netpol::policy::{self, AddressSet, Block, Cause, Direction, Layer, Verdict};
use netpol::targets::Level;
use serde_json::Value;

use crate::build::Build;
use crate::case::Vote;

/// Returns whether the compiler said that the layer lets through more than the rules that forbid a flow: at each end that
/// forbids it, the rule that decides, or one that governs the pod, is judged less than exact.
pub fn is_stated(build: &Build, meant: &Verdict, pods: &[Option<policy::Pod>; 2]) -> bool {
    let wider = |direction: Direction| {
        let layers = build.lowering.layers.iter().filter(|(layer, _)| *layer == Layer::NetworkPolicy);
        let judgements = layers.flat_map(|(_, lowered)| &lowered.judgements);
        judgements.filter(move |one| one.direction == direction && one.level != Level::Exact).map(|one| one.rule)
    };
    // A rule that is not exact may be given to every pod that may be meant, whatever its account is.
    let holds = |subject: &policy::Endpoint, direction: Direction| {
        let pod = pods[usize::from(direction == Direction::Ingress)].as_ref();
        pod.is_some_and(|pod| {
            let namespace = &pod.namespace_labels[policy::NAMESPACE_NAME];
            let known = build.policy.inventory.namespaces.get(namespace).is_some_and(|known| known.declared);
            subject.pods().any(|(_, pods)| {
                let selector = &pods.selector;
                selector.labels.matches(&pod.labels) && (!known || selector.namespace.matches(&pod.namespace_labels))
            })
        })
    };
    // A gateway's half of a rule is as wide as the rule.
    let granted = |rule: u32, direction: Direction| {
        let mut grants = build.policy.grants.iter().filter(|grant| grant.direction == direction);
        grants.any(|grant| grant.because.contains(&rule) && holds(grant.subject(), direction))
    };
    let governs = |rule: u32, direction: Direction| {
        let subject = build.policy.rules[rule as usize].subject(direction);
        holds(subject, direction)
    };
    meant.ends.iter().filter(|end| !end.allows()).all(|end| match end.cause {
        Cause::Denied(rule) => wider(end.direction).any(|other| other == rule),
        _ => {
            let granted = Direction::BOTH.into_iter().flat_map(wider).any(|rule| granted(rule, end.direction));
            granted || wider(end.direction).any(|rule| governs(rule, end.direction))
        }
    })
}

/// Returns whether engines differ as they do over blocks that hold addresses of pods. To kube-network-policies and cyclonus
/// such a block means the pods too; to np-guard, and in the source, it does not. Kubernetes says that blocks should be
/// outside the cluster, and no more.
pub fn is_by_block(meant: bool, votes: &[Vote]) -> bool {
    !meant && votes.iter().all(|(engine, vote)| *vote == (*engine != "np-guard"))
}

/// Returns the addresses that the blocks of some objects hold, where nobody told the compiler which are pods'. Where it
/// knows, no block holds any of these, and there is nothing to excuse.
pub fn in_blocks(build: &Build, objects: &[String]) -> AddressSet {
    let mut blocks = Vec::new();
    if build.policy.pod_addresses.is_empty() {
        for object in objects {
            add_blocks(&serde_yaml::from_str(object).unwrap(), &mut blocks);
        }
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

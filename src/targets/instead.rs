//! Rules that a layer enforces instead of rule ends that it does not enforce exactly, as sentences of the language.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443      networkpolicy: allow egress garden/* -> internet:443
//! default deny ingress */*                       networkpolicy without an inventory: nothing
//! ```

use rustc_hash::FxHashMap;

use super::effective::{Effective, Instead, Stated};
use super::{Judgement, Level};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, What, is_everybody};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::{Policy, endpoints};

/// The most sentences that are shown for a rule end.
const SHOWN: usize = 3;

/// Adds to the judgements of ends that are not exact the sentences that the layer enforces instead.
pub(super) fn add(policy: &Policy, effective: &Effective, judgements: &mut [Judgement]) {
    let mut of: FxHashMap<(RuleId, Direction), Vec<&Stated>> = FxHashMap::default();
    for stated in &effective.rules {
        if let Instead::Rule(at) = stated.instead_of {
            let direction = if stated.rule.egress { Direction::Egress } else { Direction::Ingress };
            of.entry((at, direction)).or_default().push(stated);
        }
    }
    for judgement in judgements.iter_mut().filter(|judgement| judgement.level > Level::Bypassable) {
        let rule = &policy.rules[judgement.rule.index()];
        let stated = of.get(&(judgement.rule, judgement.direction));
        let sentences = match (rule.action, stated) {
            (Action::Allow, Some(stated)) => {
                let own = sentence(judgement.direction, rule);
                let all = sentences(policy, judgement.direction, stated);
                // Equal to the rule itself: the gap comes from another rule, for pods that no labels distinguish from
                // these.
                if all == [own] { continue } else { all }
            }
            (_, None) if judgement.level == Level::Unable => vec!["nothing".to_owned()],
            _ => continue,
        };
        judgement.remarks_mut().instead = sentences.into_iter().map(String::into_boxed_str).collect();
    }
}

fn sentence(direction: Direction, rule: &Rule) -> String {
    let (from, to) = (endpoints::source(&rule.source), endpoints::destination(&rule.destination));
    format!("allow {} {from} -> {to}", direction.word())
}

/// Returns rules of one direction as sentences. Rules that differ only in the governed pods are one sentence.
fn sentences(policy: &Policy, direction: Direction, stated: &[&Stated]) -> Vec<String> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for Stated { rule, .. } in stated {
        let (own, other) = match direction {
            Direction::Egress => (endpoints::source(&rule.source), others(policy, &rule.destination, true)),
            Direction::Ingress => (endpoints::destination(&rule.destination), others(policy, &rule.source, false)),
        };
        match all.iter_mut().find(|(known, _)| *known == other) {
            Some((_, pods)) => pods.push(own),
            None => all.push((other, vec![own])),
        }
    }
    let more = all.len().saturating_sub(SHOWN);
    let of_pods = |(other, pods): (String, Vec<String>)| {
        let own = endpoints::union(pods);
        let (from, to) = if direction == Direction::Egress { (own, other) } else { (other, own) };
        format!("allow {} {from} -> {to}", direction.word())
    };
    let mut sentences: Vec<String> = all.into_iter().take(SHOWN).map(of_pods).collect();
    sentences.extend((more > 0).then(|| format!("and {more} more")));
    sentences
}

/// Returns the other side of a rule. Blocks that are together the addresses of hosts are written `internet`, as in
/// `std/net`; all pods and all addresses are written `anywhere`.
fn others(policy: &Policy, endpoint: &Endpoint, has_ports: bool) -> String {
    let blocks = |member: &Member| match &member.what {
        What::Addresses(set) => set.blocks.clone(),
        What::Pods(_) | What::Host(_) => Vec::new(),
    };
    let addresses = AddressSet { blocks: endpoint.members.iter().flat_map(blocks).collect() };
    let has_internet = !addresses.blocks.is_empty() && addresses == policy.internet.subtract(&policy.pod_addresses);
    let Some(first) = endpoint.members.iter().find(|member| matches!(member.what, What::Addresses(_))) else {
        return shown(endpoint, has_ports);
    };
    let alike = endpoint.members.iter().all(|member| member.ports == first.ports);
    let ports = if has_ports { endpoints::ports(&first.ports) } else { String::new() };
    match (alike, is_everybody(endpoint.members.iter())) {
        (true, true) => format!("anywhere{ports}"),
        (true, false) if has_internet => {
            let pods = endpoint.members.iter().filter(|member| blocks(member).is_empty()).cloned();
            let pods = pods.map(|pods| shown(&Endpoint { members: [pods].into_iter().collect() }, has_ports));
            endpoints::union([format!("internet{ports}")].into_iter().chain(pods).collect())
        }
        _ => shown(endpoint, has_ports),
    }
}

fn shown(endpoint: &Endpoint, has_ports: bool) -> String {
    if has_ports { endpoints::destination(endpoint) } else { endpoints::source(endpoint) }
}

//! Admitted excess: flows that the judgements say a layer lets through although the source does not.

use super::Row;
use crate::flows::{Set, Side};
use crate::model::addresses::AddressSet;
use crate::model::ports::Protocol;
use crate::model::rules::{Direction, Rule, RuleId};
use crate::policy::meaning::Meaning;
use crate::targets::effective::{ExcessOf, Instead};
use crate::targets::{Traffic, Traffics};

impl Row<'_, '_> {
    /// Returns all flows that judgements admit.
    pub(super) fn excess(&mut self) -> Set {
        if let Some(known) = self.excess {
            return known;
        }
        let mut sets = Vec::new();
        for at in 0..self.layer.allowed.len() {
            sets.extend(self.excess_of(at));
        }
        let policy = self.table.policy;
        for &at in self.said.rules.iter().chain(&self.table.wide(self.direction).rules) {
            let Some(excess) = self.table.excess.get(&(at, self.direction)).copied() else { continue };
            let rule = &policy.rules[at.index()];
            let set = match excess.of {
                ExcessOf::Rule => continue,
                ExcessOf::Pods => self.meaning.governed(rule, self.direction),
                ExcessOf::Deny => self.meaning.matched(rule, self.direction),
            };
            let set = self.here(set);
            sets.push(self.on(set, excess.on));
        }
        for at in 0..self.source.published.len() {
            let (set, rule) = self.source.published[at];
            if let Some(excess) = self.table.excess.get(&(rule, Direction::Ingress)).copied() {
                sets.push(self.on(set, excess.on));
            }
        }
        let all = self.meaning.flows().diagrams.union(sets);
        self.excess = Some(all);
        all
    }

    /// Returns the flows of one of the layer's rules that judgements admit as excess.
    pub(super) fn excess_of(&mut self, at: usize) -> Vec<Set> {
        let (set, instead) = self.layer.allowed[at];
        let on = self.table.admitted(self.direction, instead);
        let mut sets = vec![self.on(set, on)];
        if let Instead::Rule(at) = instead {
            sets.push(self.other_names(set, *at));
        }
        sets
    }

    /// Returns the flows of a set to other hosts at the `at` addresses of a rule's host.
    fn other_names(&mut self, set: Set, at: RuleId) -> Set {
        let rule = &self.table.policy.rules[at.index()];
        other_names(self.meaning, self.direction, rule, set)
    }

    fn on(&mut self, set: Set, traffic: Traffics) -> Set {
        if traffic == Traffics::ALL {
            return set;
        }
        let tcp = [Traffic::Tcp, Traffic::PastSidecar, Traffic::LeftOut].iter().any(|kind| traffic.contains(*kind));
        let datagrams = traffic.contains(Traffic::Datagrams);
        let protocols = [(Protocol::Tcp, tcp), (Protocol::Udp, datagrams), (Protocol::Sctp, datagrams)];
        let protocols: Vec<Protocol> = protocols.into_iter().filter(|(_, is)| *is).map(|(one, _)| one).collect();
        let flows = self.meaning.flows();
        let carried = flows.protocols(&protocols);
        flows.diagrams.and(set, carried)
    }
}

/// Returns the flows of a set to other hosts at the `at` addresses of a rule's host. An address layer counts as exact
/// for these: the `at` says that the addresses are the host's.
pub(in crate::verify) fn other_names(meaning: &mut Meaning<'_>, direction: Direction, rule: &Rule, set: Set) -> Set {
    let blocks = rule.destination.hosts().map(|(_, host)| host.addresses().blocks);
    let addresses = AddressSet { blocks: blocks.flatten().collect() };
    if direction == Direction::Ingress || addresses.blocks.is_empty() {
        return Set::NONE;
    }
    let flows = meaning.flows();
    let (there, nameless) = (flows.at(Side::Destination, &addresses), flows.to_no_host());
    let there = flows.diagrams.and(set, there);
    flows.diagrams.minus(there, nameless)
}

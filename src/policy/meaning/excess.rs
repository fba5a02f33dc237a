//! Excess: flows that the layers let through although the source does not allow them, and claims that fail because of
//! it.
//!
//! ```text
//! @approximate("…") allow egress lab/* -> zenquotes.io:443       a NetworkPolicy alone opens the internet on 443 instead
//! assert never lab/* -> 203.0.113.7:443                          so this holds in the source, and not in the cluster
//! ```
//!
//! The targets tell which rule ends the layers do not enforce, and which flows pass there instead ([`Reach`]). Reading
//! a layer back as sets ([`Meaning::excess`]) gives the exact flows.

use super::{Meaning, Statement};
use crate::flows::{OUTSIDE, Set, TooLarge};
use crate::model::endpoint::What;
use crate::model::rules::{Action, Direction, FlowPattern, RuleId};
use crate::policy::Flow;

/// One end of a rule that the layers of a build do not enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// The rule.
    pub rule: RuleId,
    /// The direction of the end.
    pub direction: Direction,
    /// The flows that pass there.
    pub reach: Reach,
}

/// The flows that pass at an end that the layers do not enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// All flows of the rule, without its conditions on requests.
    AnyRequest,
    /// All flows of the rule, and all other flows to the addresses that its hosts may have, on their ports.
    OtherHosts,
    /// Perhaps every flow of the pods that the rule governs; for a deny, perhaps every flow that it matches.
    Perhaps,
}

impl<'p> Meaning<'p> {
    /// Returns one of some flows that layers let through if they do not enforce some rule ends; `None` if no flow
    /// passes.
    pub fn let_through(&mut self, asked: &FlowPattern, excess: &[Excess]) -> Result<Option<Flow>, TooLarge> {
        let places: Vec<u32> = [OUTSIDE].into_iter().chain(self.flows.space.pod_places()).collect();
        let sets = self.asked(asked);
        for &source in &places {
            let from = self.flows.with_place(sets.0, true, source);
            if self.flows.diagrams.and(from, sets.1) == Set::NONE {
                continue;
            }
            let sent = self.passes(Direction::Egress, source, excess);
            for &destination in places.iter().filter(|place| (source, **place) != (OUTSIDE, OUTSIDE)) {
                let asked = self.asked_between(sets, source, destination);
                if asked == Set::NONE {
                    continue;
                }
                let received = self.passes(Direction::Ingress, destination, excess);
                let sent = self.flows.with_place(sent, false, destination);
                let received = self.flows.with_place(received, false, source);
                let both = self.flows.diagrams.and(sent, received);
                let found = self.flows.diagrams.and(asked, both);
                let found = self.possible(found, source, destination);
                if self.flows.checked(found)? != Set::NONE {
                    let example = self.believable(found, source, destination);
                    return Ok(example.map(|example| self.flow(&example)));
                }
            }
        }
        self.flows.checked(None)
    }

    /// Returns the flows that pass at the pods of a namespace: those of the enforced rules, and the excess of the
    /// others.
    fn passes(&mut self, direction: Direction, place: u32, excess: &[Excess]) -> Set {
        if place == OUTSIDE {
            return Set::ALL;
        }
        let here: Vec<&Excess> = excess.iter().filter(|one| one.direction == direction).collect();
        let statements = self.statements(direction, place);
        let is_open = |at: usize| here.iter().find(|one| one.rule.index() == at);
        let among = |statement: &&Statement| matches!(**statement, Statement::Rule(at) if is_open(at).is_some());
        let open: Vec<Statement> = statements.iter().filter(among).copied().collect();
        if open.is_empty() {
            return self.judged(direction, place);
        }
        let policy = self.policy;
        let is_held = |statement: &&Statement| match **statement {
            Statement::Rule(at) => policy.rules[at].action != Action::Deny || is_open(at).is_none(),
            Statement::Grant(_) | Statement::Published(_) => true,
            Statement::LedOut(_) | Statement::LedOutDenied(_) => true,
        };
        let held: Vec<Statement> = statements.iter().filter(is_held).copied().collect();
        let mut row = self.said(direction, &held);
        for statement in open {
            let Statement::Rule(at) = statement else { continue };
            let Some(one) = is_open(at).filter(|_| policy.rules[at].action != Action::Deny) else { continue };
            let beyond = self.beyond(one);
            row.allowed = self.flows.diagrams.or(row.allowed, beyond);
        }
        let d = &mut self.flows.diagrams;
        let set = row.passing(d).set(d);
        self.flows.with_place(set, true, place)
    }

    /// Returns the flows that pass at an end of a rule that is not enforced.
    fn beyond(&mut self, excess: &Excess) -> Set {
        let Some(rule) = self.policy.rule(excess.rule) else { return Set::NONE };
        let direction = excess.direction;
        match excess.reach {
            Reach::Perhaps => self.governed(rule, direction),
            Reach::AnyRequest => {
                let source = self.source(&rule.source, direction);
                let conditions = self.ends.unconditional.clone();
                let destination = self.destination(&rule.destination, &conditions, false, direction);
                self.flows.diagrams.and(source, destination)
            }
            Reach::OtherHosts => {
                let mut sets = vec![self.matched(rule, direction)];
                let source = self.source(&rule.source, direction);
                for member in &rule.destination.members {
                    let What::Host(host) = &member.what else { continue };
                    let at = if host.at.is_empty() { self.policy.internet.clone() } else { host.addresses() };
                    let there = self.flows.at(crate::flows::Side::Destination, &at);
                    let there = self.flows.outside(direction == Direction::Ingress, there);
                    let ports = self.flows.ports(&member.ports);
                    let there = self.flows.diagrams.and(there, ports);
                    sets.push(self.flows.diagrams.and(source, there));
                }
                self.flows.diagrams.union(sets)
            }
        }
    }
}

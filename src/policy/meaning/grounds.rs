//! Grounds of a true claim: rules that together refuse all of its flows, or let all of them through.
//!
//! ```text
//! default deny garden/*
//! allow garden/{app=web} -> garden/{app=api}:8080
//! assert never garden/{app=web} -> garden/{app=db}              rests on the `default deny`
//! assert always garden/{app=web} -> garden/{app=api}:8080       rests on the `allow`, at both ends
//! ```

use super::{Meaning, Statement};
use crate::flows::{OUTSIDE, Set, TooLarge};
use crate::model::rules::{Action, Direction, FlowPattern, GrantId, RuleId};

/// The rules and grants that make a claim true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    /// The rules, in their order.
    pub rules: Vec<RuleId>,
    /// The grants, in their order.
    pub grants: Vec<GrantId>,
    /// The ends (sending, receiving) whose pods let flows through because no rule isolates them.
    pub open: [bool; 2],
}

/// A pair of places, and the flows between them that are asked for.
struct Between {
    asked: Set,
    ends: [(Direction, u32, u32); 2],
}

impl Meaning<'_> {
    /// Returns rules that together refuse all of some flows, none of which the policy allows: denies before others.
    pub fn refusing(&mut self, asked: &FlowPattern) -> Result<Grounds, TooLarge> {
        let mut grounds = Grounds::default();
        for Between { asked, ends } in self.pairs_of(asked)? {
            let mut left = asked;
            let mut sets: Vec<(u8, usize, Set)> = Vec::new();
            for (direction, own, other) in ends.into_iter().filter(|(_, own, _)| *own != OUTSIDE) {
                let row = self.row(direction, own);
                let d = &mut self.flows.diagrams;
                let opened = d.or(row.allowed, row.granted);
                for statement in self.statements(direction, own) {
                    let (at, rank, set) = match statement {
                        Statement::Rule(at) => {
                            let rule = &self.policy.rules[at];
                            match rule.action {
                                Action::Deny => (at, 0, self.matched(rule, direction)),
                                Action::Isolate => (at, 1, self.governed(rule, direction)),
                                Action::Allow => (at, 2, self.governed(rule, direction)),
                            }
                        }
                        Statement::Published(at) => (at, 3, self.published(&self.policy.rules[at]).0),
                        _ => continue,
                    };
                    let set = self.flows.with_place(set, true, own);
                    let set = if rank > 0 { self.flows.diagrams.minus(set, opened) } else { set };
                    sets.push((rank, at, self.flows.with_place(set, false, other)));
                }
            }
            sets.sort_unstable_by_key(|(rank, at, _)| (*rank, *at));
            for (_, at, set) in sets {
                let less = self.flows.diagrams.minus(left, set);
                if less != left {
                    grounds.rules.push(RuleId::new(at));
                    left = less;
                }
            }
            self.flows.checked(())?;
        }
        Ok(grounds.sorted())
    }

    /// Returns rules and grants that let all of some flows through at each end; the policy denies none of these flows.
    pub fn opening(&mut self, asked: &FlowPattern) -> Result<Grounds, TooLarge> {
        let mut grounds = Grounds::default();
        for Between { asked, ends } in self.pairs_of(asked)? {
            for (direction, own, other) in ends.into_iter().filter(|(_, own, _)| *own != OUTSIDE) {
                let row = self.row(direction, own);
                let isolated = self.flows.with_place(row.isolated, false, other);
                let mut left = self.flows.diagrams.and(asked, isolated);
                grounds.open[usize::from(direction == Direction::Ingress)] |= left != asked;
                for statement in self.statements(direction, own) {
                    let set = match statement {
                        Statement::Rule(at) if self.policy.rules[at].action == Action::Allow => {
                            self.matched(&self.policy.rules[at], direction)
                        }
                        Statement::Grant(at) => self.granted(&self.policy.grants[at]),
                        Statement::Published(at) => self.published(&self.policy.rules[at]).1,
                        _ => continue,
                    };
                    let set = self.flows.with_place(set, true, own);
                    let set = self.flows.with_place(set, false, other);
                    let less = self.flows.diagrams.minus(left, set);
                    if less != left {
                        match statement {
                            Statement::Grant(at) => grounds.grants.push(GrantId::new(at)),
                            Statement::Rule(at) | Statement::Published(at) => grounds.rules.push(RuleId::new(at)),
                            Statement::LedOut(_) | Statement::LedOutDenied(_) => {}
                        }
                        left = less;
                    }
                }
            }
            self.flows.checked(())?;
        }
        Ok(grounds.sorted())
    }

    /// Returns the pairs of places that some of the flows can exist between, with the flows.
    fn pairs_of(&mut self, asked: &FlowPattern) -> Result<Vec<Between>, TooLarge> {
        let asked = self.asked(asked);
        let places: Vec<u32> = [OUTSIDE].into_iter().chain(self.flows.space.pod_places()).collect();
        let pairs = places.iter().flat_map(|from| places.iter().map(|to| (*from, *to)));
        let mut all = Vec::new();
        for (source, destination) in pairs.filter(|pair| *pair != (OUTSIDE, OUTSIDE)) {
            let asked = self.asked_between(asked, source, destination);
            let asked = self.possible(asked, source, destination);
            if asked != Set::NONE {
                let ends = [(Direction::Egress, source, destination), (Direction::Ingress, destination, source)];
                all.push(Between { asked, ends });
            }
        }
        self.flows.checked(all)
    }
}

impl Grounds {
    fn sorted(mut self) -> Grounds {
        self.rules.sort_unstable();
        self.rules.dedup();
        self.grants.sort_unstable();
        self.grants.dedup();
        self
    }
}

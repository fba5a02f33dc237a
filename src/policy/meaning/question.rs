//! Questions of assertions: is some flow between two endpoints allowed, or denied?
//!
//! ```text
//! never shop/* -> db/*     the flows asked for, in the row of shop on the way out and in the row of db on the way in
//! ```
//!
//! Only the rows of the namespaces in a question are made. If a row is too large for a diagram, its rules are searched
//! one by one instead ([`crate::flows::search`]): a flow is allowed if it is in some allow, or in the pods of no
//! isolating rule, and in no deny.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::{BUDGET, Ends, Example, Meaning, Parts, Statement, Table};
use crate::flows::search::outside;
use crate::flows::{Flows, OUTSIDE, Set, TooLarge};
use crate::model::endpoint::Endpoint;
use crate::model::rules::{Direction, FlowPattern, RuleId};

/// The kind of flow that is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Allowed,
    Denied,
    Any,
}

/// The rows and pairs that were too large for diagrams.
#[derive(Default)]
pub(super) struct Hard {
    rows: FxHashSet<(Direction, u32)>,
    pairs: FxHashSet<(u32, u32)>,
    /// How often a budget was used up; after `MOST_TRIED` times diagrams are not tried again.
    times: usize,
    /// The two namespaces between which no answer was found.
    unanswered: Option<(u32, u32)>,
}

/// The most rows that may be too large before diagrams are no longer tried.
const MOST_TRIED: usize = 4;

/// The reason why a question is too large.
#[derive(Clone, Debug)]
pub struct Heavy {
    /// The rules for these pods with the most labels, at most `MOST_NAMED` of them.
    pub rules: Vec<RuleId>,
    /// The number of all these rules.
    pub count: usize,
    /// The labels that most of the rules test, at most `MOST_NAMED` of them.
    pub keys: Vec<SmolStr>,
    /// The number of all these labels.
    pub key_count: usize,
}

/// Flows that one end lets through, or refuses: those that are in `inside` and in none of `others`.
struct Part {
    inside: Set,
    others: Vec<Set>,
}

impl<'p> Meaning<'p> {
    /// Looks through every pair of namespaces for a flow.
    pub(super) fn search(&mut self, pattern: &FlowPattern, wanted: Wanted) -> Result<Option<Example<'p>>, TooLarge> {
        if self.flows.checked(()).is_err() {
            self.start_again();
        }
        self.hard.unanswered = None;
        let places: Vec<u32> = [OUTSIDE].into_iter().chain(self.flows.space.pod_places()).collect();
        let mut asked = self.asked(pattern);
        self.flows.checked(())?;
        for &source in &places {
            let from = self.flows.with_place(asked.0, true, source);
            if self.flows.diagrams.and(from, asked.1) == Set::NONE {
                self.flows.checked(())?;
                continue;
            }
            for &destination in &places {
                if (source, destination) == (OUTSIDE, OUTSIDE) {
                    continue;
                }
                let by_rows = match self.hard.is_easy(source, destination) {
                    true => self.by_rows(asked, source, destination, wanted),
                    false => Err(TooLarge),
                };
                let found = match by_rows {
                    Ok(found) => found,
                    Err(TooLarge) => {
                        self.hard.unanswered = Some((source, destination));
                        if self.flows.checked(()).is_err() || self.flows.diagrams.steps() > BUDGET / 2 {
                            self.start_again();
                            asked = self.asked(pattern);
                        }
                        let found = self.by_rules(asked, source, destination, wanted)?;
                        self.hard.unanswered = None;
                        found
                    }
                };
                if found != Set::NONE {
                    return Ok(self.believable(found, source, destination));
                }
            }
        }
        self.flows.checked(None)
    }

    /// Returns the flows from the source and to the destination of a pattern.
    pub(super) fn asked(&mut self, pattern: &FlowPattern) -> (Set, Set) {
        let sources = self.source(&pattern.source, Direction::Egress);
        (sources, self.destination(&pattern.destination, &pattern.conditions, false, Direction::Egress))
    }

    /// Returns the flows between two namespaces that are asked for and can exist.
    pub(super) fn asked_between(&mut self, (sources, destinations): (Set, Set), source: u32, destination: u32) -> Set {
        let from = self.flows.with_place(sources, true, source);
        let asked = self.flows.diagrams.and(from, destinations);
        self.flows.with_place(asked, false, destination)
    }

    fn by_rows(&mut self, asked: (Set, Set), source: u32, destination: u32, wanted: Wanted) -> Result<Set, TooLarge> {
        let asked = self.asked_between(asked, source, destination);
        if asked == Set::NONE {
            return self.flows.checked(Set::NONE);
        }
        if wanted == Wanted::Any {
            let found = self.possible(asked, source, destination);
            return self.flows.checked(found);
        }
        let [sent, received] =
            [(Direction::Egress, source), (Direction::Ingress, destination)].map(|(direction, place)| {
                let judged = self.judged(direction, place);
                if self.flows.checked(()).is_err() {
                    self.hard.rows.insert((direction, place));
                }
                judged
            });
        let sent = self.flows.with_place(sent, false, destination);
        let received = self.flows.with_place(received, false, source);
        let judged = self.flows.diagrams.and(sent, received);
        let found = match wanted {
            Wanted::Denied => self.flows.diagrams.minus(asked, judged),
            _ => self.flows.diagrams.and(asked, judged),
        };
        let found = self.possible(found, source, destination);
        let found = self.flows.checked(found);
        if found.is_err() {
            self.hard.pairs.insert((source, destination));
        }
        found
    }

    /// From now on searches rule by rule, as is done for rows that are too large.
    pub fn search_rules(&mut self) {
        self.hard.times = MOST_TRIED;
    }

    /// Drops all sets, because the sets of a used-up budget are wrong.
    pub(super) fn start_again(&mut self) {
        self.hard.times += usize::from(self.flows.checked(()).is_err());
        self.flows = Flows::new(self.flows.space.clone(), BUDGET);
        self.ends = Ends::default();
        self.carried = None;
        for table in [&mut self.egress, &mut self.ingress] {
            table.rows.clear();
            table.passing.clear();
            table.wide_row = None;
        }
    }

    /// Looks for a flow rule by rule.
    fn by_rules(&mut self, asked: (Set, Set), source: u32, destination: u32, wanted: Wanted) -> Result<Set, TooLarge> {
        let asked = self.asked_between(asked, source, destination);
        let asked = self.possible(asked, source, destination);
        if self.flows.checked(asked)? == Set::NONE || wanted == Wanted::Any {
            return Ok(asked);
        }
        let sent = self.parts_at(Direction::Egress, source, destination);
        let received = self.parts_at(Direction::Ingress, destination, source);
        if wanted == Wanted::Denied {
            for part in sent.refused().into_iter().chain(received.refused()) {
                let found = self.outside(asked, part)?;
                if found != Set::NONE {
                    return Ok(found);
                }
            }
            return Ok(Set::NONE);
        }
        let received = received.passed(self);
        for part in sent.passed(self) {
            let inside = self.flows.diagrams.and(asked, part.inside);
            if inside == Set::NONE {
                continue;
            }
            for other in &received {
                let others = part.others.iter().chain(&other.others).copied().collect();
                let found = self.outside(inside, Part { inside: other.inside, others })?;
                if found != Set::NONE {
                    return Ok(found);
                }
            }
        }
        self.flows.checked(Set::NONE)
    }

    fn outside(&mut self, asked: Set, part: Part) -> Result<Set, TooLarge> {
        let inside = self.flows.diagrams.and(asked, part.inside);
        match self.flows.checked(inside)? {
            Set::NONE => Ok(Set::NONE),
            inside => outside(&mut self.flows.diagrams, inside, &part.others),
        }
    }

    /// Returns the statements about the pods of a namespace.
    pub(super) fn statements(&mut self, direction: Direction, place: u32) -> Vec<Statement> {
        let Table { of_place, wide, .. } = self.table(direction);
        of_place.get(&place).into_iter().flatten().chain(&*wide).copied().collect()
    }

    /// Returns the flows of each statement between two namespaces; nothing for [`OUTSIDE`].
    fn parts_at(&mut self, direction: Direction, place: u32, other: u32) -> Parts {
        if place == OUTSIDE {
            return Parts::default();
        }
        let statements = self.statements(direction, place);
        let mut parts = self.parts(direction, &statements, true);
        let Parts { denied, isolated, allowed, granted, published } = &mut parts;
        for list in [denied, isolated, allowed, granted, published] {
            for set in list.iter_mut() {
                *set = self.flows.with_place(*set, true, place);
                *set = self.flows.with_place(*set, false, other);
            }
            list.retain(|set| *set != Set::NONE);
            list.sort_unstable();
            list.dedup();
        }
        parts
    }

    /// Returns the reason why a question was too large, if it has no answer.
    pub fn heavy(&mut self, pattern: &FlowPattern) -> Heavy {
        let mut counts: BTreeMap<&SmolStr, usize> = BTreeMap::new();
        let mut rules: Vec<(usize, usize)> = Vec::new();
        let rows = self.hard.unanswered.map(|(from, to)| [(Direction::Egress, from), (Direction::Ingress, to)]);
        let mut statements: Vec<Statement> = Vec::new();
        for (direction, place) in rows.into_iter().flatten().filter(|(_, place)| *place != OUTSIDE) {
            statements.extend(self.statements(direction, place));
        }
        for statement in statements {
            let Statement::Rule(at) = statement else { continue };
            let rule = &self.policy.rules[at];
            let keys = || keys_of(&rule.source).chain(keys_of(&rule.destination));
            keys().for_each(|key| *counts.entry(key).or_default() += 1);
            if keys().next().is_some() && !rules.iter().any(|(_, known)| *known == at) {
                rules.push((keys().count(), at));
            }
        }
        for key in keys_of(&pattern.source).chain(keys_of(&pattern.destination)) {
            *counts.entry(key).or_default() += 1;
        }
        rules.sort_by_key(|(own, at)| (std::cmp::Reverse(*own), *at));
        let mut keys: Vec<(&SmolStr, usize)> = counts.into_iter().collect();
        keys.sort_by_key(|(key, count)| (std::cmp::Reverse(*count), *key));
        Heavy {
            count: rules.len(),
            rules: rules.into_iter().take(MOST_NAMED).map(|(_, at)| RuleId::new(at)).collect(),
            key_count: keys.len(),
            keys: keys.into_iter().take(MOST_NAMED).map(|(key, _)| key.clone()).collect(),
        }
    }
}

/// Returns the labels that an endpoint tests, with repetition.
fn keys_of(endpoint: &Endpoint) -> impl Iterator<Item = &SmolStr> {
    endpoint.pods().flat_map(|(_, pods)| pods.selector.labels.list().iter().map(|test| &test.key))
}

/// The most rules and labels that are named for a question that is too large.
const MOST_NAMED: usize = 4;

impl Hard {
    fn is_easy(&self, source: u32, destination: u32) -> bool {
        self.times < MOST_TRIED
            && !self.pairs.contains(&(source, destination))
            && !self.rows.contains(&(Direction::Egress, source))
            && !self.rows.contains(&(Direction::Ingress, destination))
    }
}

impl Parts {
    /// Returns the flows that the end lets through: those of an allow, of a grant, and of pods that no rule isolates,
    /// without those of a deny.
    fn passed(&self, meaning: &mut Meaning<'_>) -> Vec<Part> {
        let denied = || self.denied.clone();
        let mut parts: Vec<Part> = self.allowed.iter().map(|set| Part { inside: *set, others: denied() }).collect();
        for grant in &self.granted {
            if self.published.is_empty() {
                parts.push(Part { inside: *grant, others: denied() });
                continue;
            }
            for isolated in &self.isolated {
                let inside = meaning.flows.diagrams.and(*grant, *isolated);
                parts.push(Part { inside, others: denied() });
            }
        }
        let closed = self.denied.iter().chain(&self.isolated).chain(&self.published).copied().collect();
        parts.push(Part { inside: Set::ALL, others: closed });
        parts
    }

    /// Returns the flows that the end refuses: those of a deny, and those of isolated pods that no allow or grant lets
    /// through.
    fn refused(&self) -> Vec<Part> {
        let denied = self.denied.iter().map(|set| Part { inside: *set, others: Vec::new() });
        let open = |also: &[Set]| self.allowed.iter().chain(also).copied().collect();
        let isolated = self.isolated.iter().map(|set| Part { inside: *set, others: open(&self.granted) });
        let published = self.published.iter().map(|set| Part { inside: *set, others: open(&self.isolated) });
        denied.chain(isolated).chain(published).collect()
    }
}

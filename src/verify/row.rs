//! One row: the flows of one namespace's pods in one direction, in the source, in the layer and in the text.
//!
//! Most statements are unchanged in the layer, and equal sets are one set. So each statement of the layer is compared
//! with the rule that it stands for. The unions of all statements, which may be large, are made only if a statement has
//! flows that its own rule does not explain.

pub(super) mod excess;
mod sides;

use rustc_hash::FxHashMap;

use self::sides::Layer;
pub(super) use self::sides::Source;
use super::{Said, Table, are_among, known};
use crate::flows::{OUTSIDE, Passing, Set, TooLarge};
use crate::model::ports::Protocol;
use crate::model::rules::{Action, Direction, GrantId, RuleId};
use crate::policy::Flow;
use crate::policy::meaning::{Example, Meaning};
use crate::targets::Traffics;
use crate::targets::effective::Instead;

/// A difference, shown by a flow.
pub(super) struct Difference {
    /// The kind of difference.
    pub kind: Kind,
    /// The direction in which the flow is judged.
    pub direction: Direction,
    /// The flow.
    pub flow: Flow,
    /// The rules of the row.
    pub rules: Vec<RuleId>,
}

/// The kinds of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The text lets through more than the layer's rules.
    TextWider,
    /// The text refuses more than the layer's rules.
    TextNarrower,
    /// The layer refuses what the source allows.
    Narrower,
    /// The layer lets through flows that the source denies, and no judgement admits them.
    Wider,
    /// All layers let through flows that the source denies, and no judgements admit them.
    Together,
}

/// A row.
pub(super) struct Row<'r, 'a> {
    table: &'r Table<'a>,
    meaning: &'r mut Meaning<'a>,
    direction: Direction,
    place: u32,
    said: &'r Said<'a>,
    source: Source,
    layer: Layer<'a>,
    /// The flows that can exist here and that the layer judges.
    judged: Option<Set>,
    excess: Option<Set>,
}

impl<'r, 'a> Row<'r, 'a> {
    /// Makes the row of a namespace. `said` are the statements about its pods, and `wide` the sets of the statements
    /// about pods of any namespace.
    pub(super) fn new(
        table: &'r Table<'a>,
        meaning: &'r mut Meaning<'a>,
        (direction, place): (Direction, u32),
        said: &'r Said<'a>,
        wide: &Source,
    ) -> Row<'r, 'a> {
        let own = Source::of(table, meaning, direction, said);
        let mut source = Source::default();
        source.add(meaning, place, &own);
        source.add(meaning, place, wide);
        sort(&mut source.denied);
        sort(&mut source.isolated);
        let layer = Layer::default();
        let mut row = Row { table, meaning, direction, place, said, source, layer, judged: None, excess: None };
        row.take_layer();
        row
    }

    fn here(&mut self, set: Set) -> Set {
        self.meaning.flows().with_place(set, true, self.place)
    }

    /// Returns the first difference of the row.
    pub(super) fn differing(&mut self) -> Result<Option<Difference>, TooLarge> {
        if self.table.has_text
            && let Some((kind, set)) = self.text()
        {
            return self.shown(kind, set);
        }
        let narrower = self.narrower();
        if self.checked(narrower)? != Set::NONE {
            return self.shown(Kind::Narrower, narrower);
        }
        let wider = self.wider();
        if self.checked(wider)? != Set::NONE {
            return self.shown(Kind::Wider, wider);
        }
        Ok(None)
    }

    /// Returns a flow that a rule forbids here and the layer lets through, even if a judgement admits it.
    pub(super) fn passing(&mut self, at: RuleId) -> Result<Option<Difference>, TooLarge> {
        let rule = &self.table.policy.rules[at.index()];
        let forbidden = match rule.action {
            Action::Deny => self.meaning.matched(rule, self.direction),
            Action::Allow | Action::Isolate => self.meaning.governed(rule, self.direction),
        };
        let forbidden = self.here(forbidden);
        let (layer, source, judged) = (self.layer_lets_through(), self.source_lets_through(), self.judged());
        let d = &mut self.meaning.flows().diagrams;
        let passing = layer.minus(source, d);
        let passing = d.and(passing, forbidden);
        let passing = d.and(passing, judged);
        let passing = self.among_known(passing);
        if self.checked(passing)? == Set::NONE { Ok(None) } else { self.shown(Kind::Wider, passing) }
    }

    fn checked(&mut self, set: Set) -> Result<Set, TooLarge> {
        self.meaning.flows().checked(set)
    }

    fn shown(&mut self, kind: Kind, set: Set) -> Result<Option<Difference>, TooLarge> {
        self.checked(set)?;
        let places: Vec<u32> = [OUTSIDE].into_iter().chain(self.meaning.flows().space.pod_places()).collect();
        for other in places {
            let between = self.meaning.flows().with_place(set, false, other);
            let (source, destination) = match self.direction {
                Direction::Egress => (self.place, other),
                Direction::Ingress => (other, self.place),
            };
            let example: Option<Example<'_>> = self.meaning.believable(between, source, destination);
            if let Some(example) = example {
                let flow = self.meaning.flow(&example);
                let rules = self.said.rules.clone();
                return Ok(Some(Difference { kind, direction: self.direction, flow, rules }));
            }
        }
        self.meaning.flows().checked(None)
    }

    /// Compares the text with the layer's rules.
    fn text(&mut self) -> Option<(Kind, Set)> {
        let (mut isolated, mut allowed) = (Vec::new(), Vec::new());
        for rule in &self.said.read {
            let (isolates, set) = self.stated(rule);
            if isolates { &mut isolated } else { &mut allowed }.push(set);
        }
        sort(&mut isolated);
        sort(&mut allowed);
        let mut own: Vec<Set> = self.layer.allowed.iter().map(|(set, _)| *set).collect();
        sort(&mut own);
        if isolated == self.layer.isolated && allowed == own {
            return None;
        }
        let d = &mut self.meaning.flows().diagrams;
        let read = Passing { allowed: d.union(allowed), closed: d.union(isolated), denied: Set::NONE };
        let own = self.layer_lets_through();
        let d = &mut self.meaning.flows().diagrams;
        let (wider, narrower) = (read.minus(own, d), own.minus(read, d));
        let (kind, set) = match (wider, narrower) {
            (Set::NONE, Set::NONE) => return None,
            (Set::NONE, _) => (Kind::TextNarrower, narrower),
            _ => (Kind::TextWider, wider),
        };
        // A flow that can exist is the better example, but any other difference counts as well.
        let around = self.meaning.around(self.direction, self.place);
        let possible = self.meaning.flows().diagrams.and(set, around);
        Some((kind, if possible == Set::NONE { set } else { possible }))
    }

    /// Returns flows that the source allows and the layer refuses.
    fn narrower(&mut self) -> Set {
        for at in 0..self.source.allowed.len() {
            let (set, rule) = self.source.allowed[at];
            let own = self.layer.of_rules.get(&rule).cloned().unwrap_or_default();
            let left = self.refused(set, own);
            if left != Set::NONE {
                return left;
            }
        }
        for at in 0..self.source.granted.len() {
            let (set, grant) = self.source.granted[at];
            let own = self.layer.of_grants.get(&grant).cloned().unwrap_or_default();
            let isolated = self.source_isolates();
            let set = self.meaning.flows().diagrams.and(set, isolated);
            let left = self.refused(set, own);
            if left != Set::NONE {
                return left;
            }
        }
        if are_among(&self.layer.isolated, &self.source.isolated) {
            return Set::NONE;
        }
        let (own, closed) = (self.source_isolates(), self.layer_isolates());
        let published = self.published();
        let d = &mut self.meaning.flows().diagrams;
        let open = d.minus(closed, own);
        let open = d.minus(open, published);
        self.refused(open, Vec::new())
    }

    /// Returns the flows of a set that the layer refuses although no deny forbids them. `own` are the flows that the
    /// layer lets through for the same rule.
    fn refused(&mut self, set: Set, own: Vec<Set>) -> Set {
        let d = &mut self.meaning.flows().diagrams;
        let own = d.union(own);
        let left = d.minus(set, own);
        if left == Set::NONE {
            return left;
        }
        let (denied, judged) = (self.denied(), self.judged());
        let d = &mut self.meaning.flows().diagrams;
        let left = d.and(left, judged);
        let left = d.minus(left, denied);
        if left == Set::NONE {
            return left;
        }
        let layer = self.layer_lets_through();
        let left = layer.refused(left, &mut self.meaning.flows().diagrams);
        self.among_known(left)
    }

    /// Returns flows that the layer lets through and the source denies, and that no judgement admits.
    fn wider(&mut self) -> Set {
        let of_rules: FxHashMap<RuleId, Set> = self.source.allowed.iter().map(|(set, at)| (*at, *set)).collect();
        let of_grants: FxHashMap<GrantId, Set> = self.source.granted.iter().map(|(set, at)| (*at, *set)).collect();
        for at in 0..self.layer.allowed.len() {
            let (set, instead) = self.layer.allowed[at];
            if self.table.admitted(self.direction, instead) == Traffics::ALL {
                continue;
            }
            let own = match instead {
                Instead::Rule(at) => of_rules.get(at).copied(),
                Instead::Grant(at) if self.source.published.is_empty() => of_grants.get(at).copied(),
                Instead::Grant(_) | Instead::Isolation | Instead::Rest(_) => None,
            };
            let denied = self.denied();
            // The flows of this rule and its admitted excess are small sets; the unions of all rules are not.
            let mut small = self.excess_of(at);
            small.extend(own);
            let d = &mut self.meaning.flows().diagrams;
            let other = small.into_iter().fold(set, |left, said| d.minus(left, said));
            if other == Set::NONE && d.and(set, denied) == Set::NONE {
                continue;
            }
            let left = self.unsaid(set);
            if left != Set::NONE {
                return left;
            }
        }
        for at in 0..self.layer.pods_by_blocks.len() {
            let left = self.unsaid(self.layer.pods_by_blocks[at]);
            if left != Set::NONE {
                return left;
            }
        }
        let all_closed = are_among(&self.source.isolated, &self.layer.isolated);
        if all_closed && self.source.denied.is_empty() && self.source.published.is_empty() {
            return Set::NONE;
        }
        let closed = self.layer_isolates();
        let open = self.meaning.flows().diagrams.complement(closed);
        self.unsaid(open)
    }

    /// Returns the flows of a set that the source denies and that no judgement admits.
    fn unsaid(&mut self, set: Set) -> Set {
        let (judged, source) = (self.judged(), self.source_lets_through());
        let d = &mut self.meaning.flows().diagrams;
        let left = d.and(set, judged);
        let left = source.refused(left, d);
        if left == Set::NONE {
            return left;
        }
        let excess = self.excess();
        let left = self.meaning.flows().diagrams.minus(left, excess);
        self.among_known(left)
    }

    /// Returns the flows of a set between known pods, if the layer relies on facts about these.
    fn among_known(&mut self, set: Set) -> Set {
        if set == Set::NONE || !self.table.rests_on_pods {
            return set;
        }
        let known = known::flows(self.table.policy, self.meaning, self.direction, self.place);
        self.meaning.flows().diagrams.and(set, known)
    }

    /// Returns the flows that can exist here, without ICMP, which the layer does not judge.
    fn judged(&mut self) -> Set {
        if let Some(known) = self.judged {
            return known;
        }
        let around = self.meaning.around(self.direction, self.place);
        let flows = self.meaning.flows();
        let with_ports = flows.protocols(&Protocol::WITH_PORTS);
        let judged = flows.diagrams.and(around, with_ports);
        self.judged = Some(judged);
        judged
    }
}

fn sort(sets: &mut Vec<Set>) {
    sets.sort_unstable();
    sets.dedup();
}

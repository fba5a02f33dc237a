//! The sets of a row's statements: the source's and the layer's.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Row, sort};
use crate::flows::{Passing, Set};
use crate::model::endpoint::{Endpoint, Member, Pods, What, is_everybody};
use crate::model::labels::PodSelector;
use crate::model::rules::{Action, Direction, GrantId, Rule, RuleId};
use crate::policy::meaning::Meaning;
use crate::targets::effective::{Instead, Stated};
use crate::verify::{Said, Table, is_by_gateway};

/// The sets of the source's statements.
#[derive(Clone, Default)]
pub(in crate::verify) struct Source {
    pub(super) denied: Vec<Set>,
    pub(super) isolated: Vec<Set>,
    pub(super) allowed: Vec<(Set, RuleId)>,
    pub(super) granted: Vec<(Set, GrantId)>,
    /// The flows that are judged at a gateway.
    pub(super) published: Vec<(Set, RuleId)>,
    pub(super) all_denied: Option<Set>,
    pub(super) all_isolated: Option<Set>,
    pub(super) lets_through: Option<Passing>,
}

impl Source {
    /// Returns the sets of the source's statements, for pods of any namespace.
    pub(in crate::verify) fn of(
        table: &Table<'_>,
        meaning: &mut Meaning<'_>,
        direction: Direction,
        said: &Said<'_>,
    ) -> Source {
        let (policy, mut source) = (table.policy, Source::default());
        for &at in &said.rules {
            let rule = &policy.rules[at.index()];
            if rule.action != Action::Deny {
                source.isolated.push(meaning.governed(rule, direction));
            }
            if rule.action == Action::Isolate || is_by_gateway(rule, direction) {
                continue;
            }
            let set = meaning.matched(rule, direction);
            match rule.action {
                Action::Deny => source.denied.push(set),
                _ => source.allowed.push((set, at)),
            }
        }
        for &at in &said.grants {
            source.granted.push((meaning.granted(&policy.grants[at.index()]), at));
        }
        for &at in &said.published {
            let (concerned, fitting) = meaning.published(&policy.rules[at.index()]);
            source.published.push((concerned, at));
            source.allowed.push((fitting, at));
        }
        source
    }

    /// Adds the part of other statements that concerns the pods of a namespace.
    pub(super) fn add(&mut self, meaning: &mut Meaning<'_>, place: u32, all: &Source) {
        let flows = meaning.flows();
        let here = |set: Set| flows.with_place(set, true, place);
        self.denied.extend(all.denied.iter().map(|set| here(*set)));
        self.isolated.extend(all.isolated.iter().map(|set| here(*set)));
        self.allowed.extend(all.allowed.iter().map(|(set, at)| (here(*set), *at)));
        self.granted.extend(all.granted.iter().map(|(set, at)| (here(*set), *at)));
        self.published.extend(all.published.iter().map(|(set, at)| (here(*set), *at)));
    }
}

/// The sets of the layer's statements.
#[derive(Default)]
pub(super) struct Layer<'a> {
    pub(super) isolated: Vec<Set>,
    pub(super) allowed: Vec<(Set, &'a Instead)>,
    /// The flows to and from pods if plugins apply blocks of addresses to pods.
    pub(super) pods_by_blocks: Vec<Set>,
    pub(super) of_rules: FxHashMap<RuleId, Vec<Set>>,
    pub(super) of_grants: FxHashMap<GrantId, Vec<Set>>,
    pub(super) all_isolated: Option<Set>,
    pub(super) lets_through: Option<Passing>,
}

impl<'a> Row<'_, 'a> {
    pub(super) fn take_layer(&mut self) {
        let said = self.said;
        for stated in &said.stated {
            let (isolates, set) = self.stated(&stated.rule);
            if isolates {
                self.layer.isolated.push(set);
                continue;
            }
            self.layer.allowed.push((set, &stated.instead_of));
            self.take_blocks_of_pods(stated);
            match &stated.instead_of {
                Instead::Rule(at) => self.layer.of_rules.entry(*at).or_default().push(set),
                Instead::Grant(at) => self.layer.of_grants.entry(*at).or_default().push(set),
                Instead::Isolation | Instead::Rest(_) => {}
            }
        }
        sort(&mut self.layer.isolated);
    }

    /// Adds the flows of a layer's rule if plugins apply blocks of addresses to pods. No block may contain known
    /// addresses of pods, because plugins differ in this.
    fn take_blocks_of_pods(&mut self, stated: &'a Stated) {
        let (rule, pods) = (&stated.rule, &self.table.policy.pod_addresses);
        let holds = |member: &Member| matches!(&member.what, What::Addresses(set) if set.overlaps(pods));
        // A rule that names every pod may name their addresses too.
        let peers = || rule.peer(self.direction).members.iter();
        if pods.is_empty() || is_everybody(peers()) || !peers().any(holds) {
            return;
        }
        let members = peers().filter(|member| holds(member)).map(|member| {
            let what = What::Pods(Pods { selector: PodSelector::any(), named: None });
            Member { what, ..member.clone() }
        });
        let any = Arc::new(Endpoint { members: members.collect() });
        let mut meant = rule.clone();
        *(if rule.egress { &mut meant.destination } else { &mut meant.source }) = any;
        let (_, set) = self.stated(&meant);
        self.layer.pods_by_blocks.push(set);
    }

    /// Returns whether a rule of a layer isolates, and its flows.
    pub(super) fn stated(&mut self, rule: &Rule) -> (bool, Set) {
        let isolates = rule.action == Action::Isolate;
        let set = match isolates {
            true => self.meaning.governed(rule, self.direction),
            false => self.meaning.matched(rule, self.direction),
        };
        (isolates, self.here(set))
    }
    pub(super) fn denied(&mut self) -> Set {
        let sets = &self.source.denied;
        let union = |meaning: &mut Meaning<'a>| meaning.flows().diagrams.union(sets.clone());
        *self.source.all_denied.get_or_insert_with(|| union(self.meaning))
    }

    pub(super) fn source_isolates(&mut self) -> Set {
        let sets = &self.source.isolated;
        let union = |meaning: &mut Meaning<'a>| meaning.flows().diagrams.union(sets.clone());
        *self.source.all_isolated.get_or_insert_with(|| union(self.meaning))
    }

    pub(super) fn layer_isolates(&mut self) -> Set {
        let sets = &self.layer.isolated;
        let union = |meaning: &mut Meaning<'a>| meaning.flows().diagrams.union(sets.clone());
        *self.layer.all_isolated.get_or_insert_with(|| union(self.meaning))
    }

    pub(super) fn published(&mut self) -> Set {
        let sets = self.source.published.iter().map(|(set, _)| *set).collect();
        self.meaning.flows().diagrams.union(sets)
    }

    pub(super) fn source_lets_through(&mut self) -> Passing {
        if let Some(known) = self.source.lets_through {
            return known;
        }
        let (denied, isolated, published) = (self.denied(), self.source_isolates(), self.published());
        let allowed = self.source.allowed.iter().map(|(set, _)| *set).collect();
        let granted = self.source.granted.iter().map(|(set, _)| *set).collect();
        let d = &mut self.meaning.flows().diagrams;
        let (allowed, granted) = (d.union(allowed), d.union(granted));
        let granted = d.and(granted, isolated);
        let through = Passing { allowed: d.or(allowed, granted), closed: d.or(isolated, published), denied };
        self.source.lets_through = Some(through);
        through
    }

    pub(super) fn layer_lets_through(&mut self) -> Passing {
        if let Some(known) = self.layer.lets_through {
            return known;
        }
        let closed = self.layer_isolates();
        let allowed = self.layer.allowed.iter().map(|(set, _)| *set).collect();
        let allowed = self.meaning.flows().diagrams.union(allowed);
        let through = Passing { allowed, closed, denied: Set::NONE };
        self.layer.lets_through = Some(through);
        through
    }
}

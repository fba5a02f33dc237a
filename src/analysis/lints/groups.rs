//! Groups: the rules of a policy, divided so that each group can be examined by itself.
//!
//! ```text
//! allow ingress a/* -> shop/{app=web}:80        }  one group: what is said of the pods with app=web
//! deny ingress b/* -> shop/{app=web}            }
//! allow ingress a/* -> shop/{app=api}:8080         another one; with `allow ingress c/* -> shop/*` all would be one
//! ```
//!
//! Rules are divided by namespace, and in each namespace by the label that most rules test: rules for two values of
//! this label concern different pods. A rule for unnamed namespaces counts in every namespace. It is examined first in
//! a namespace that no rule names: if it is needed there, it is needed.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, What};
use crate::model::labels::{Account, NAMESPACE_NAME, Test};
use crate::model::rules::{Action, Direction, GrantId, Rule, RuleId};
use crate::policy::Policy;
use crate::policy::meaning::Group;

/// The most rules that all groups may have together, for each rule of the policy: a rule for all namespaces counts in
/// each. Beyond that, the last namespaces get no lints.
const MOST_TIMES: usize = 20;
/// The most rules of a group.
const LARGEST: usize = 4096;

/// The rules for the pods of one namespace in one direction.
#[derive(Default)]
struct Row {
    rules: Vec<RuleId>,
    published: Vec<RuleId>,
    grants: Vec<GrantId>,
    asked: Vec<RuleId>,
}

/// The number of groups of a rule: in each direction that it governs, and at its other end.
#[derive(Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) own: [u32; 2],
    pub(super) asked: u32,
}

/// The rows of a policy.
pub(super) struct Rows<'p> {
    policy: &'p Policy,
    guarded: &'p AddressSet,
    named: [BTreeMap<&'p SmolStr, Row>; 2],
    wide: [Row; 2],
    /// Namespaces that some rule for many namespaces treats differently from the others.
    special: [FxHashSet<&'p SmolStr>; 2],
    pub(super) times: Vec<Times>,
    left: usize,
}

impl<'p> Rows<'p> {
    pub(super) fn new(policy: &'p Policy, guarded: &'p AddressSet) -> Rows<'p> {
        let times = vec![Times::default(); policy.rules.len()];
        let left = MOST_TIMES * (policy.rules.len() + 512);
        let (named, wide, special) = Default::default();
        let mut rows = Rows { policy, guarded, named, wide, special, times, left };
        for (id, rule) in policy.numbered() {
            for direction in Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction)) {
                rows.add(direction, rule.subject(direction), |row| row.rules.push(id));
            }
            if rule.ingress
                && let Some(via) = &rule.via
            {
                for pods in &via.gateway.pods {
                    match pods.namespace.values(NAMESPACE_NAME) {
                        Some(names) => names.iter().for_each(|name| {
                            rows.named[1].entry(name).or_default().published.push(id);
                        }),
                        None => rows.wide[1].published.push(id),
                    }
                }
            }
        }
        for (at, grant) in policy.grants.iter().enumerate() {
            rows.add(grant.direction, grant.subject(), |row| row.grants.push(GrantId::new(at)));
        }
        for (id, rule) in policy.numbered() {
            rows.ask(id, rule);
        }
        rows
    }

    fn add(&mut self, direction: Direction, subject: &'p Endpoint, push: impl Fn(&mut Row)) {
        let mut names: Vec<&SmolStr> = Vec::new();
        let mut is_wide = false;
        for (_, pods) in subject.pods() {
            let tests = pods.selector.namespace.list().iter().filter(|test| test.key == NAMESPACE_NAME);
            let mut has_names = false;
            for test in tests {
                match &test.test {
                    Test::In(list) => {
                        has_names = true;
                        names.extend(list);
                    }
                    Test::NotIn(list) => names.extend(list),
                    Test::Exists | Test::DoesNotExist => {}
                }
            }
            is_wide |= !has_names;
        }
        names.sort_unstable();
        names.dedup();
        let side = direction as usize;
        if is_wide {
            self.special[side].extend(names);
            push(&mut self.wide[side]);
        } else {
            names.into_iter().for_each(|name| push(self.named[side].entry(name).or_default()));
        }
    }

    /// Adds a rule to the group at its other end, if that end is only pods, is not governed by the rule, and some rule
    /// isolates it.
    fn ask(&mut self, id: RuleId, rule: &'p Rule) {
        if rule.action == Action::Isolate
            || rule.egress && rule.ingress
            || rule.via.is_some()
            || !rule.origin.applied().is_empty()
        {
            return;
        }
        let (own, other) = match rule.egress {
            true => (Direction::Egress, Direction::Ingress),
            false => (Direction::Ingress, Direction::Egress),
        };
        let names = rule.peer(own).members.iter().map(|member| match &member.what {
            What::Pods(pods) => pods.selector.namespace.values(NAMESPACE_NAME),
            What::Addresses(_) | What::Host(_) => None,
        });
        let Some(names) = names.collect::<Option<Vec<_>>>() else { return };
        let mut names: Vec<&SmolStr> = names.into_iter().flatten().collect();
        names.sort_unstable();
        names.dedup();
        let side = other as usize;
        let is_open = |name: &&SmolStr| {
            let nobody = |row: &Row| row.rules.is_empty() && row.published.is_empty();
            nobody(&self.wide[side]) && self.named[side].get(*name).is_none_or(nobody)
        };
        if names.iter().any(is_open) {
            return;
        }
        for name in names {
            self.named[side].entry(name).or_default().asked.push(id);
            self.times[id.index()].asked += 1;
        }
    }

    /// Returns the group of the rules for unnamed namespaces: once for each namespace in which only such rules count,
    /// and once for a namespace that no rule names.
    pub(super) fn of_wide(&mut self) -> Vec<Group<'p>> {
        let mut groups = Vec::new();
        for direction in Direction::BOTH {
            let side = direction as usize;
            let row = &self.wide[side];
            let mut names: Vec<&SmolStr> = self.special[side].iter().copied().collect();
            names.retain(|name| !self.named[side].contains_key(*name));
            names.sort_unstable();
            let all = row.rules.len() * (names.len() + 1);
            if row.rules.is_empty() || row.rules.len() > LARGEST || all > self.left {
                continue;
            }
            self.left -= all;
            for namespace in std::iter::once(None).chain(names.into_iter().map(Some)) {
                for rule in &row.rules {
                    self.times[rule.index()].own[side] += 1;
                }
                groups.push(Group {
                    direction,
                    namespace,
                    own: row.rules.clone(),
                    beside: Vec::new(),
                    published: row.published.clone(),
                    grants: row.grants.clone(),
                    asked: Vec::new(),
                    guarded: self.guarded,
                });
            }
        }
        groups
    }

    /// Returns the groups of all named namespaces. Rules for many namespaces are examined there only if `is_open` says
    /// that a finding is still possible.
    pub(super) fn of_named(&mut self, is_open: impl Fn(RuleId, Direction) -> bool) -> Vec<Group<'p>> {
        let mut groups = Vec::new();
        for direction in Direction::BOTH {
            let side = direction as usize;
            let rows = std::mem::take(&mut self.named[side]);
            let wide = std::mem::take(&mut self.wide[side]);
            let (looked_at, others): (Vec<RuleId>, Vec<RuleId>) =
                wide.rules.iter().partition(|rule| is_open(**rule, direction));
            for (namespace, row) in rows {
                let base = Group {
                    direction,
                    namespace: Some(namespace),
                    own: Vec::new(),
                    beside: Vec::new(),
                    published: row.published.iter().chain(&wide.published).copied().collect(),
                    grants: Vec::new(),
                    asked: Vec::new(),
                    guarded: self.guarded,
                };
                let own: Vec<RuleId> = row.rules.iter().chain(&looked_at).copied().collect();
                for rule in &own {
                    self.times[rule.index()].own[side] += 1;
                }
                let grants: Vec<GrantId> = row.grants.iter().chain(&wide.grants).copied().collect();
                let divide = Divide { policy: self.policy, base, own, others: &others, grants, asked: row.asked };
                for group in divide.groups() {
                    let size = group.own.len() + group.beside.len() + group.asked.len();
                    if size <= LARGEST && size <= self.left {
                        self.left -= size;
                        groups.push(group);
                    }
                }
            }
        }
        groups
    }
}

/// The rules for the pods of a namespace, to be divided by a label.
struct Divide<'p, 'd> {
    policy: &'p Policy,
    base: Group<'p>,
    own: Vec<RuleId>,
    others: &'d [RuleId],
    grants: Vec<GrantId>,
    asked: Vec<RuleId>,
}

/// A label's key, or the account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key<'p> {
    Label(&'p SmolStr),
    Account,
}

impl<'p> Divide<'p, '_> {
    fn rule(&self, id: RuleId) -> Option<&'p Rule> {
        self.policy.rule(id)
    }

    fn subject(&self, id: RuleId) -> Option<&'p Endpoint> {
        self.rule(id).map(|rule| &**rule.subject(self.base.direction))
    }

    fn groups(self) -> Vec<Group<'p>> {
        let mut groups = self.divided().unwrap_or_else(|| {
            vec![Group {
                own: self.own.clone(),
                beside: self.others.to_vec(),
                grants: self.grants.clone(),
                asked: self.asked.clone(),
                ..self.base.clone()
            }]
        });
        groups.retain(|group| self.is_of_interest(group));
        groups
    }

    /// Returns a group for each value of the label that most rules test, and one for the `default deny`s that do not
    /// test it; `None` if other rules do not test it.
    fn divided(&self) -> Option<Vec<Group<'p>>> {
        let key = self.key().filter(|_| self.base.published.is_empty())?;
        let mut by_value: BTreeMap<&SmolStr, Group<'p>> = BTreeMap::new();
        let new = || self.base.clone();
        let (mut general, mut general_others) = (Vec::new(), Vec::new());
        let is_isolate = |id: RuleId| self.rule(id).is_some_and(|rule| rule.action == Action::Isolate);
        for &id in &self.own {
            match value(self.subject(id)?, key) {
                Some(value) => by_value.entry(value).or_insert_with(new).own.push(id),
                None if is_isolate(id) => general.push(id),
                None => return None,
            }
        }
        for &id in self.others {
            match value(self.subject(id)?, key) {
                Some(value) => by_value.entry(value).or_insert_with(new).beside.push(id),
                None if is_isolate(id) => general_others.push(id),
                None => return None,
            }
        }
        let mut whole = Vec::new();
        for &id in &self.asked {
            let peer = self.subject(id)?;
            match value(peer, key) {
                Some(value) => by_value.entry(value).or_insert_with(new).asked.push(id),
                // Pods with another value belong to no group.
                None if general.is_empty() && general_others.is_empty() && !tests(peer, key) => {}
                None => whole.push(id),
            }
        }
        let mut granted: Vec<GrantId> = Vec::new();
        for &id in &self.grants {
            match self.policy.grant(id).and_then(|grant| value(grant.subject(), key)) {
                Some(value) => {
                    if let Some(group) = by_value.get_mut(value) {
                        group.grants.push(id);
                    }
                }
                None => granted.push(id),
            }
        }
        let mut groups: Vec<Group<'p>> = by_value.into_values().collect();
        for group in &mut groups {
            group.beside.extend(general.iter().chain(&general_others));
            group.grants.extend(&granted);
        }
        if !whole.is_empty() {
            let beside = self.own.iter().chain(self.others).copied().collect();
            groups.push(Group { beside, grants: self.grants.clone(), asked: whole, ..self.base.clone() });
        }
        groups.push(Group { own: general, beside: general_others, ..self.base.clone() });
        Some(groups)
    }

    /// Returns the label that most rules require to have one value.
    fn key(&self) -> Option<Key<'p>> {
        let mut counts: FxHashMap<Key<'p>, usize> = FxHashMap::default();
        for id in self.own.iter().chain(self.others) {
            let Some(selector) = only(self.subject(*id)?) else { continue };
            for requirement in selector.labels.list() {
                if matches!(&requirement.test, Test::In(values) if values.len() == 1) {
                    *counts.entry(Key::Label(&requirement.key)).or_default() += 1;
                }
            }
            if matches!(selector.account, Account::Is(_)) {
                *counts.entry(Key::Account).or_default() += 1;
            }
        }
        counts.into_iter().filter(|(_, count)| *count > 1).max_by_key(|(key, count)| (*count, *key)).map(|(key, _)| key)
    }

    /// Returns whether a group can have findings: its rules overlap others, or end at its pods.
    fn is_of_interest(&self, group: &Group<'p>) -> bool {
        let all = || group.own.iter().chain(&group.beside).filter_map(|id| self.rule(*id));
        let count = |action| all().filter(|rule| rule.action == action).count();
        let guards = |rule: &Rule| {
            group.direction == Direction::Egress
                && rule
                    .destination
                    .members
                    .iter()
                    .any(|member| matches!(&member.what, What::Addresses(set) if set.overlaps(group.guarded)))
        };
        let [allows, denies, isolates] = [Action::Allow, Action::Deny, Action::Isolate].map(count);
        let meet = allows > 1 || denies > 1 || isolates > 1 || denies == 1 && allows + isolates > 0;
        let is_guarded = || isolates == 1 && all().any(guards);
        !group.asked.is_empty() || !group.own.is_empty() && (meet || is_guarded())
    }
}

/// Returns the selector of an endpoint that is a single selector.
fn only(endpoint: &Endpoint) -> Option<&crate::model::labels::PodSelector> {
    match endpoint.members.as_slice() {
        [member] => match &member.what {
            What::Pods(pods) => Some(&pods.selector),
            What::Addresses(_) | What::Host(_) => None,
        },
        _ => None,
    }
}

/// Returns the one value that an endpoint requires of a label, or the account.
fn value<'p>(endpoint: &'p Endpoint, key: Key<'p>) -> Option<&'p SmolStr> {
    let selector = only(endpoint)?;
    match (key, &selector.account) {
        (Key::Label(key), _) => selector.labels.only(key),
        (Key::Account, Account::Is(name)) => Some(name),
        (Key::Account, Account::Not(_)) => None,
    }
}

/// Returns whether an endpoint tests a label, or an account, in any way.
fn tests(endpoint: &Endpoint, key: Key<'_>) -> bool {
    endpoint.pods().any(|(_, pods)| match key {
        Key::Label(key) => pods.selector.labels.list().iter().any(|requirement| requirement.key == *key),
        Key::Account => !pods.selector.account.is_any(),
    })
}

//! Lints: rules without errors that change nothing or that no flow can use.
//!
//! ```text
//! default deny shop/*
//! allow egress shop/* -> db/*:5432
//! allow egress shop/{app=web} -> db/{app=pg}:5432     the one before contains it
//! deny egress shop/* -> lab/*                         denies nothing: the default deny does
//! ```
//!
//! The lints are proven by sets of flows, for all possible pods, one group of rules at a time (`groups`). A group that
//! would take too much work gets no lints.

mod groups;
mod words;

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use self::groups::{Rows, Times};
use self::words::Said;
use crate::diag::Diagnostics;
use crate::model::addresses::AddressSet;
use crate::model::hosts::Host;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::parallel;
use crate::policy::Policy;
use crate::policy::meaning::{Finding, Findings, Group, Kind};
use crate::source::Sources;

/// The address at which clouds serve metadata and credentials to their machines.
const METADATA: [u8; 4] = [169, 254, 169, 254];

/// The most rules that one processor examines in one go.
const TOGETHER: usize = 512;

/// Finds redundant rules, allows that no flow can use, denies that deny nothing, and allows that reach the metadata
/// address in spite of a `default deny`.
pub fn lints(policy: &Policy, sources: &Sources, diagnostics: &mut Diagnostics) {
    let guarded = AddressSet::of([ipnet::IpNet::from(std::net::IpAddr::from(METADATA))]);
    let mut rows = Rows::new(policy, &guarded);
    let mut found = Found::default();
    let mut groups: Vec<Looked<'_>> = rows.of_wide().into_iter().map(Looked::new).collect();
    look_first(policy, &mut groups, &mut found);
    let said: FxHashSet<(RuleId, Direction)> =
        found.own.keys().map(|(rule, direction, _)| (*rule, *direction)).collect();
    let named = rows.of_named(|rule, direction| said.contains(&(rule, direction)));
    let mut named: Vec<Looked<'_>> = named.into_iter().map(Looked::new).collect();
    look_first(policy, &mut named, &mut found);
    groups.append(&mut named);

    // `api:80`, for which the mesh opens TLS, and `api.example.com:443` both lead to port 443 of the host. Neither is
    // redundant: they serve pods that dial different ports.
    let hosts = policy.rules.iter().flat_map(|rule| rule.destination.hosts()).map(|(_, host)| host);
    let opened: Vec<&Host> = hosts.filter(|host| !host.originates.is_empty()).collect();
    let candidates: FxHashSet<RuleId> = found
        .own
        .keys()
        .filter(|(_, _, kind)| *kind == Kind::Contained)
        .map(|(rule, ..)| *rule)
        .filter(|rule| is_everywhere(policy, &rows.times, &found, *rule, Kind::Contained, Direction::BOTH.iter()))
        .filter(|rule| policy.rule(*rule).is_none_or(|rule| !leads_to(rule, &opened)))
        .collect();
    let mut going = Found::default();
    groups.retain(|looked| looked.group.own.iter().any(|rule| candidates.contains(rule)));
    look(&groups, |looked| looked.going(policy, &candidates), |looked, list| going.add(looked.group.direction, list));
    let mut start = 0;
    while let Some(first) = policy.rules.get(start) {
        // A `<->` is one sentence with two rules.
        let count = policy.rules[start..].iter().take_while(|rule| rule.origin.span == first.origin.span).count();
        if first.origin.applied().is_empty() {
            let ids = start..start + count;
            let said = ids.map(|at| judged(policy, &rows.times, &found, &going, &candidates, RuleId::new(at)));
            if let Some(said) = said.collect::<Option<Vec<Said>>>().and_then(|said| said.into_iter().min()) {
                diagnostics.push(words::diagnostic(policy, sources, first, &said));
            }
        }
        start += count;
    }
}

fn leads_to(rule: &Rule, opened: &[&Host]) -> bool {
    rule.destination.hosts().any(|(_, host)| opened.iter().any(|other| host.name.overlaps(&other.name)))
}

/// A group that was examined.
struct Looked<'p> {
    group: Group<'p>,
    /// Its rules that others contain.
    contained: Vec<RuleId>,
    /// Those of them that can be removed together, if all of them are candidates.
    going: Option<Vec<Finding>>,
}

impl<'p> Looked<'p> {
    fn new(group: Group<'p>) -> Looked<'p> {
        Looked { group, contained: Vec::new(), going: None }
    }

    /// Returns the candidates that can be removed together at the pods of the group.
    fn going(&self, policy: &'p Policy, candidates: &FxHashSet<RuleId>) -> Vec<Finding> {
        let is_candidate = |rule: &RuleId| candidates.contains(rule);
        let all = self.contained.iter().all(is_candidate) && !self.group.beside.iter().any(is_candidate);
        match self.going.as_ref().filter(|_| all) {
            Some(going) => going.clone(),
            None => self.group.going(policy, candidates).unwrap_or_default(),
        }
    }
}

/// Examines groups for the first time, and keeps the results for a second pass.
fn look_first<'p>(policy: &'p Policy, groups: &mut [Looked<'p>], found: &mut Found) {
    let mut kept = Vec::with_capacity(groups.len());
    let find = |looked: &Looked<'p>| looked.group.findings(policy).unwrap_or_default();
    look(groups, find, |looked, Findings { list, going }| {
        let contained = list.iter().filter(|finding| finding.kind == Kind::Contained);
        kept.push((contained.map(|finding| finding.rule).collect(), going));
        found.add(looked.group.direction, list);
    });
    for (looked, (contained, going)) in groups.iter_mut().zip(kept) {
        (looked.contained, looked.going) = (contained, going);
    }
}

/// Examines groups on all processors, and hands on the results in the order of the groups.
fn look<'p, T: Send>(
    groups: &[Looked<'p>],
    find: impl Fn(&Looked<'p>) -> T + Sync,
    mut then: impl FnMut(&Looked<'p>, T),
) {
    let mut parts: Vec<&[Looked<'p>]> = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (at, Looked { group, .. }) in groups.iter().enumerate() {
        size += group.own.len() + group.beside.len() + group.asked.len();
        if size >= TOGETHER || at + 1 == groups.len() {
            parts.push(&groups[start..=at]);
            (start, size) = (at + 1, 0);
        }
    }
    let all = |part: &&[Looked<'p>]| part.iter().map(&find).collect::<Vec<T>>();
    let mut looked = groups.iter();
    parallel::ahead(&parts, all, |found| {
        found.into_iter().zip(looked.by_ref()).for_each(|(found, looked)| then(looked, found));
        true
    });
}

/// The findings about each rule, with their number: a finding counts only if every group of the rule has it.
#[derive(Default)]
struct Found {
    own: FxHashMap<(RuleId, Direction, Kind), Counted>,
    asked: FxHashMap<RuleId, Counted>,
}

#[derive(Clone, Copy, Default)]
struct Counted {
    times: u32,
    cause: Option<RuleId>,
}

impl Found {
    fn add(&mut self, direction: Direction, list: Vec<Finding>) {
        for Finding { rule, kind, cause } in list {
            let counted = match kind {
                Kind::Closed => self.asked.entry(rule).or_default(),
                _ => self.own.entry((rule, direction, kind)).or_default(),
            };
            counted.times += 1;
            counted.cause = counted.cause.or(cause);
        }
    }

    fn of(&self, rule: RuleId, direction: Direction, kind: Kind) -> Counted {
        self.own.get(&(rule, direction, kind)).copied().unwrap_or_default()
    }
}

/// Returns whether a rule has a finding in every group where it governs pods in some directions.
fn is_everywhere<'d>(
    policy: &Policy,
    times: &[Times],
    found: &Found,
    rule: RuleId,
    kind: Kind,
    directions: impl Iterator<Item = &'d Direction>,
) -> bool {
    let Some(of) = policy.rule(rule) else { return false };
    let mut governed = directions.filter(|direction| of.governs(**direction)).peekable();
    governed.peek().is_some()
        && governed.all(|direction| {
            let all = times[rule.index()].own[*direction as usize];
            all > 0 && found.of(rule, *direction, kind).times == all
        })
}

/// Returns the lint for a rule.
fn judged(
    policy: &Policy,
    times: &[Times],
    found: &Found,
    going: &Found,
    candidates: &FxHashSet<RuleId>,
    id: RuleId,
) -> Option<Said> {
    let rule: &Rule = policy.rule(id)?;
    let governed = || Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
    let may_go = candidates.contains(&id);
    let somewhere = |kind| {
        governed()
            .find(|direction| is_everywhere(policy, times, found, id, kind, std::iter::once(direction)))
            .map(|direction| found.of(id, direction, kind).cause)
    };
    let closed = found.asked.get(&id).filter(|closed| closed.times == times[id.index()].asked);
    match rule.action {
        Action::Allow => {
            if let Some(cause) = somewhere(Kind::Denied) {
                return Some(Said::Denied { cause, may_go });
            }
            if let Some(closed) = closed {
                return Some(Said::Closed { cause: closed.cause, may_go });
            }
        }
        Action::Deny => {
            let idle = somewhere(Kind::Idle).or(closed.map(|closed| closed.cause));
            if let Some(cause) = idle.filter(|_| !may_go) {
                return Some(Said::Idle { cause });
            }
        }
        Action::Isolate => {}
    }
    if is_everywhere(policy, times, going, id, Kind::Contained, Direction::BOTH.iter()) {
        let wider: BTreeMap<Direction, Option<RuleId>> =
            governed().map(|direction| (direction, going.of(id, direction, Kind::Contained).cause)).collect();
        let mut each = wider.into_values();
        let first = each.next().flatten();
        return Some(Said::Contained { wider: first.filter(|_| each.all(|other| other == first)) });
    }
    let unguarded = governed().find_map(|direction| found.of(id, direction, Kind::Unguarded).cause);
    unguarded.map(|cause| Said::Unguarded { cause })
}

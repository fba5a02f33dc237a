//! Findings about a rule beside the other rules for the same pods: others contain it, a deny beats it, or it forbids
//! nothing that would pass.
//!
//! ```text
//! allow egress shop/* -> db/*:5432
//! deny egress shop/{app=web} -> db/*
//! allow egress shop/{app=web} -> db/{app=pg}:5432       contained in the first, and no flow can use it: the deny beats it
//! ```
//!
//! A [`Group`] has its own sets, over the values that its rules name; they are dropped afterwards. A namespace with
//! unknown labels counts as if it could have any labels. So every finding is true, and a group that is too large has no
//! findings.

use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::rivals::{KINDS, Rival, Rivals};
use super::{Meaning, add_rule, labels_of};
use crate::flows::{OUTSIDE, Set, Side, Terms, TooLarge};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, What};
use crate::model::ports::{PortMatch, Protocol};
use crate::model::rules::{Action, Direction, GrantId, Rule, RuleId};
use crate::policy::{Grant, GrantReason, Policy};

/// Rules that judge pods of one namespace in one direction, and that can affect each other.
#[derive(Clone, Debug)]
pub struct Group<'p> {
    /// The direction.
    pub direction: Direction,
    /// The namespace; `None` stands for one that no rule names.
    pub namespace: Option<&'p SmolStr>,
    /// The rules that are examined.
    pub own: Vec<RuleId>,
    /// Other rules for the same pods, to compare with.
    pub beside: Vec<RuleId>,
    /// Rules with `via` whose clients are judged at these pods.
    pub published: Vec<RuleId>,
    /// The grants for these pods.
    pub grants: Vec<GrantId>,
    /// Rules that are judged only at their other end, and whose flows end at these pods.
    pub asked: Vec<RuleId>,
    /// Addresses that a `default deny` is meant to close (the cloud's metadata).
    pub guarded: &'p AddressSet,
}

/// A finding about a rule at the pods of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Other rules contain this one.
    Contained,
    /// An allow, all flows of which a deny forbids.
    Denied,
    /// A deny, none of whose flows would pass without it.
    Idle,
    /// A rule that is judged at its other end, none of whose flows passes here.
    Closed,
    /// An allow that lets pods which a `default deny` isolates reach a guarded address.
    Unguarded,
}

/// A finding about a rule, with the rule that causes it, if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: RuleId,
    /// The kind of finding.
    pub kind: Kind,
    /// The rule that causes it.
    pub cause: Option<RuleId>,
}

/// The findings about the rules of a group.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The findings.
    pub list: Vec<Finding>,
    /// The result of [`Group::going`] for all contained rules; `None` if it must be computed later.
    pub going: Option<Vec<Finding>>,
}

/// The steps that one group may take.
const BUDGET: u64 = 100_000;

impl<'p> Group<'p> {
    /// Returns the findings about the rules of the group.
    pub fn findings(&self, policy: &'p Policy) -> Result<Findings, TooLarge> {
        let mut sets = Sets::new(policy, self);
        let mut found = Vec::new();
        let rivals = sets.rivals();
        for rivals in &rivals {
            let contained = rivals.contained(&mut sets.meaning.flows.diagrams);
            found.extend(contained.into_iter().map(|rule| Finding { rule, kind: Kind::Contained, cause: None }));
        }
        let contained: FxHashSet<RuleId> = found.iter().map(|finding| finding.rule).collect();
        for at in 0..self.own.len() {
            found.extend(sets.own(at));
        }
        for rule in &self.asked {
            found.extend(sets.asked(*rule));
        }
        let list = sets.meaning.flows.checked(found)?;
        // The sets exist now; they are dropped before all groups have given their candidates.
        let going = sets.going(&rivals, &contained);
        Ok(Findings { list, going: sets.meaning.flows.checked(going).ok() })
    }

    /// Returns the rules among some candidates that can all be removed at once, because the remaining rules contain
    /// them.
    pub fn going(&self, policy: &'p Policy, candidates: &FxHashSet<RuleId>) -> Result<Vec<Finding>, TooLarge> {
        let mut sets = Sets::new(policy, self);
        let rivals = sets.rivals();
        let found = sets.going(&rivals, candidates);
        sets.meaning.flows.checked(found)
    }
}

/// A rule with its sets at the pods of the group.
#[derive(Clone, Copy)]
struct Line<'p> {
    id: RuleId,
    rule: &'p Rule,
    /// The flows that it matches.
    matched: Set,
    /// The flows of the pods that it governs.
    governed: Set,
}

/// The sets of a group.
struct Sets<'p, 'g> {
    meaning: Meaning<'p>,
    group: &'g Group<'p>,
    place: u32,
    /// The rules of the group, its own first.
    lines: Vec<Line<'p>>,
    denied: Set,
    isolated: Set,
    allowed: Set,
    published: Set,
    granted: Option<Set>,
    denied_twice: Option<Set>,
    placed: Option<Set>,
}

impl<'p, 'g> Sets<'p, 'g> {
    fn new(policy: &'p Policy, group: &'g Group<'p>) -> Sets<'p, 'g> {
        let mut meaning = Meaning::over(policy, terms(policy, group), BUDGET);
        let place = meaning.flows.space.place(group.namespace.map_or("", SmolStr::as_str));
        let here = |meaning: &Meaning<'_>, set| meaning.flows.with_place(set, true, place);
        let mut lines = Vec::with_capacity(group.own.len() + group.beside.len());
        for id in group.own.iter().chain(&group.beside) {
            let Some(rule) = policy.rule(*id) else { continue };
            let matched = match rule.action {
                Action::Isolate => Set::NONE,
                Action::Allow | Action::Deny => meaning.matched(rule, group.direction),
            };
            let governed = meaning.governed(rule, group.direction);
            let (matched, governed) = (here(&meaning, matched), here(&meaning, governed));
            lines.push(Line { id: *id, rule, matched, governed });
        }
        let (mut published, mut fitting) = (Vec::new(), Vec::new());
        for rule in group.published.iter().filter_map(|id| policy.rule(*id)) {
            let (concerned, fits) = meaning.published(rule);
            published.push(here(&meaning, concerned));
            fitting.push(here(&meaning, fits));
        }
        let d = &mut meaning.flows.diagrams;
        let of = |action| lines.iter().filter(move |line: &&Line<'_>| line.rule.action == action);
        fitting.extend(of(Action::Allow).map(|line| line.matched));
        let isolating = of(Action::Allow).chain(of(Action::Isolate)).map(|line| line.governed).collect();
        let denied = of(Action::Deny).map(|line| line.matched).collect();
        let [denied, isolated, allowed, published] =
            [denied, isolating, fitting, published].map(|sets: Vec<Set>| d.union(sets));
        Sets {
            meaning,
            group,
            place,
            lines,
            denied,
            isolated,
            allowed,
            published,
            granted: None,
            denied_twice: None,
            placed: None,
        }
    }

    /// Returns the allows, the denies and the `default deny`s, as three lists of rivals. A `default deny` states an
    /// intention even if allows isolate the same pods, so only another `default deny` makes it redundant.
    fn rivals(&mut self) -> [Rivals; 3] {
        let own = self.group.own.len();
        let settings = &self.meaning.policy.settings;
        let asks_dns = settings.grant_dns && self.group.direction == Direction::Egress;
        let mut all = [const { Rivals { list: Vec::new(), base: [Set::NONE; KINDS] } }; 3];
        let lines = self.lines.clone();
        for (at, line) in lines.into_iter().enumerate() {
            let may_go = at < own && line.rule.origin.applied().is_empty();
            let named = |to: &Endpoint| to.members.iter().any(|member| !matches!(member.what, What::Addresses(_)));
            let (kind, gives, needs) = match line.rule.action {
                Action::Allow => {
                    let dns = if asks_dns && named(&line.rule.destination) { line.governed } else { Set::NONE };
                    let gives = [line.matched, line.governed, dns];
                    let left = self.meaning.flows.diagrams.minus(line.matched, self.denied);
                    (0, gives, [self.possible(left, &line.rule.destination), line.governed, dns])
                }
                Action::Deny => (1, [line.matched, Set::NONE, Set::NONE], [line.matched, Set::NONE, Set::NONE]),
                Action::Isolate => {
                    let isolated = [Set::NONE, line.governed, Set::NONE];
                    all[0].base[1] = self.meaning.flows.diagrams.or(all[0].base[1], line.governed);
                    (2, isolated, isolated)
                }
            };
            if line.rule.via.is_some() {
                // A rule with `via` does not make an allow without `via` redundant: it allows no direct flow.
                let d = &mut self.meaning.flows.diagrams;
                all[0].base[1] = d.or(all[0].base[1], line.governed);
                all[0].base[2] = d.or(all[0].base[2], gives[2]);
                continue;
            }
            all[kind].list.push(Rival { rule: line.id, gives, needs, may_go });
        }
        all
    }

    /// Returns the rules among some candidates that can all be removed at once.
    fn going(&mut self, rivals: &[Rivals; 3], candidates: &FxHashSet<RuleId>) -> Vec<Finding> {
        let d = &mut self.meaning.flows.diagrams;
        let going = rivals.iter().flat_map(|rivals| rivals.going(d, candidates));
        going.map(|one| Finding { rule: one.rule, kind: Kind::Contained, cause: one.wider }).collect()
    }

    /// Returns the findings about one of the group's own rules.
    fn own(&mut self, at: usize) -> Vec<Finding> {
        let Some(line) = self.lines.get(at).copied() else { return Vec::new() };
        let mut found = Vec::new();
        let mut say = |kind, cause| found.push(Finding { rule: line.id, kind, cause });
        match line.rule.action {
            Action::Allow => {
                let left = self.meaning.flows.diagrams.minus(line.matched, self.denied);
                if left != line.matched && !self.is_possible(left, &line.rule.destination) {
                    let cause = self.cause(Action::Deny, line.matched, |line| line.matched);
                    say(Kind::Denied, cause);
                }
                if let Some(cause) = self.unguarding(&line, left) {
                    say(Kind::Unguarded, Some(cause));
                }
            }
            Action::Deny => {
                let twice = self.denied_twice();
                let left = self.meaning.flows.diagrams.minus(line.matched, twice);
                if !self.is_locked(left) && !self.passes(left, &line.rule.destination) {
                    let cause = self.isolating(left);
                    say(Kind::Idle, cause);
                }
            }
            Action::Isolate => {}
        }
        found
    }

    /// Returns the finding about a rule whose other end is at these pods.
    fn asked(&mut self, id: RuleId) -> Option<Finding> {
        let rule = self.meaning.policy.rule(id)?;
        let matched = self.meaning.matched(rule, self.group.direction);
        let matched = self.meaning.flows.with_place(matched, true, self.place);
        let left = self.meaning.flows.diagrams.minus(matched, self.denied);
        let is_lock = rule.action == Action::Deny && self.is_locked(left);
        if matched == Set::NONE || is_lock || self.passes(left, &rule.destination) {
            return None;
        }
        let cause = match left {
            Set::NONE => self.cause(Action::Deny, matched, |line| line.matched),
            left => self.isolating(left),
        };
        Some(Finding { rule: id, kind: Kind::Closed, cause })
    }

    /// Returns whether some flows of a set pass here, if no deny counts.
    fn passes(&mut self, set: Set, to: &Endpoint) -> bool {
        let d = &mut self.meaning.flows.diagrams;
        let closed = d.or(self.isolated, self.published);
        let open = d.minus(set, closed);
        let allowed = d.and(set, self.allowed);
        if self.is_possible(open, to) || self.is_possible(allowed, to) && self.is_placed(allowed) {
            return true;
        }
        let granted = self.granted();
        let granted = self.meaning.flows.diagrams.and(set, granted);
        self.is_possible(granted, to)
    }

    /// Returns whether a `default deny` isolates all pods of some flows: a deny beside it is a deliberate second lock.
    fn is_locked(&mut self, set: Set) -> bool {
        let isolates = self.lines.iter().filter(|line| line.rule.action == Action::Isolate);
        let d = &mut self.meaning.flows.diagrams;
        let isolated = d.union(isolates.map(|line| line.governed).collect());
        d.minus(set, isolated) == Set::NONE
    }

    /// Returns the flows that at least two denies forbid: they stay forbidden if one of the denies is removed.
    fn denied_twice(&mut self) -> Set {
        if let Some(known) = self.denied_twice {
            return known;
        }
        let denies = self.lines.iter().filter(|line| line.rule.action == Action::Deny);
        let denies = denies.map(|line| line.matched).collect();
        let (_, twice) = self.meaning.flows.diagrams.union_and_twice(denies);
        self.denied_twice = Some(twice);
        twice
    }

    fn granted(&mut self) -> Set {
        if let Some(known) = self.granted {
            return known;
        }
        let policy = self.meaning.policy;
        let mut sets = Vec::new();
        for grant in self.group.grants.iter().filter_map(|id| policy.grant(*id)) {
            let set = self.meaning.granted(grant);
            sets.push(self.meaning.flows.with_place(set, true, self.place));
        }
        let all = self.meaning.flows.diagrams.union(sets);
        self.granted = Some(all);
        all
    }

    /// Returns whether some flow of a set can exist.
    fn is_possible(&mut self, set: Set, to: &Endpoint) -> bool {
        set != Set::NONE && self.possible(set, to) != Set::NONE
    }

    /// Returns the flows of a set that can exist: a host without `at` has only addresses of the internet.
    fn possible(&mut self, set: Set, to: &Endpoint) -> Set {
        match self.group.direction == Direction::Egress && names_host(to) {
            true => self.placed(set),
            false => set,
        }
    }

    /// Returns whether some flow that allows let through can exist: `allow egress lab/* -> zenquotes.io:443` lets none
    /// through to 10.0.0.0/8, where no host without `at` is.
    fn is_placed(&mut self, allowed: Set) -> bool {
        let allows = || self.lines.iter().filter(|line| line.rule.action == Action::Allow);
        let to_host =
            self.group.direction == Direction::Egress && allows().any(|line| names_host(&line.rule.destination));
        !to_host || self.placed(allowed) != Set::NONE
    }

    fn placed(&mut self, set: Set) -> Set {
        let placed = match self.placed {
            Some(placed) => placed,
            None => {
                let between = self.meaning.flows.between(self.place, OUTSIDE, &self.meaning.policy.internet);
                let outside = self.meaning.flows.outside(false, between);
                let pods = self.meaning.flows.any_pod(false);
                *self.placed.insert(self.meaning.flows.diagrams.or(outside, pods))
            }
        };
        self.meaning.flows.diagrams.and(set, placed)
    }

    /// Returns the `default deny` that isolates pods which reach a guarded address through a rule, if there is one.
    /// Metadata are served by HTTP on port 80. A rule that names a guarded address itself is deliberate.
    fn unguarding(&mut self, line: &Line<'p>, left: Set) -> Option<RuleId> {
        if !reaches(line.rule, self.group) {
            return None;
        }
        let guarded = self.meaning.flows.at(Side::Destination, self.group.guarded);
        let guarded = self.meaning.flows.outside(false, guarded);
        let port = self.meaning.flows.port(&PortMatch::range(80, 80, Protocol::Tcp));
        let guarded = self.meaning.flows.diagrams.and(guarded, port);
        let reached = self.meaning.flows.diagrams.and(left, guarded);
        let isolates = self.lines.iter().filter(|other| other.rule.action == Action::Isolate);
        let d = &mut self.meaning.flows.diagrams;
        isolates.into_iter().find(|other| d.and(reached, other.governed) != Set::NONE).map(|other| other.id)
    }

    /// Returns the first rule of an action that contains a set, else the first that overlaps it.
    fn cause(&mut self, action: Action, set: Set, of: impl Fn(&Line<'p>) -> Set) -> Option<RuleId> {
        let d = &mut self.meaning.flows.diagrams;
        let lines = || self.lines.iter().filter(|line| line.rule.action == action).take(MOST_COMPARED);
        let whole = lines().find(|line| d.minus(set, of(line)) == Set::NONE).map(|line| line.id);
        whole.or_else(|| lines().find(|line| d.and(set, of(line)) != Set::NONE).map(|line| line.id))
    }

    fn isolating(&mut self, set: Set) -> Option<RuleId> {
        let plainly = self.cause(Action::Isolate, set, |line| line.governed);
        plainly.or_else(|| self.cause(Action::Allow, set, |line| line.governed))
    }
}

/// The most rules that a set is compared with to find one to show.
const MOST_COMPARED: usize = 64;

fn names_host(to: &Endpoint) -> bool {
    to.members.iter().any(|member| matches!(member.what, What::Host(_)))
}

/// Returns whether a rule lets pods out to guarded addresses and to others.
fn reaches(rule: &Rule, group: &Group<'_>) -> bool {
    group.direction == Direction::Egress
        && rule.action == Action::Allow
        && rule.destination.members.iter().any(|member| match &member.what {
            What::Addresses(set) => set.overlaps(group.guarded) && !is_link_local(set),
            _ => false,
        })
}

/// Returns whether all addresses of a set are in small blocks such as the link-local one: whoever writes these means
/// them.
fn is_link_local(set: &AddressSet) -> bool {
    set.blocks.iter().all(|block| match block.net {
        ipnet::IpNet::V4(net) => net.prefix_len() >= 16,
        ipnet::IpNet::V6(net) => net.prefix_len() >= 32,
    })
}

/// Returns the values that the rules and grants of a group name.
fn terms(policy: &Policy, group: &Group<'_>) -> Terms {
    let mut terms = Terms::new([], policy.inventory.given);
    terms.judge(if group.direction == Direction::Egress { Side::Source } else { Side::Destination });
    let mut by_host = false;
    let rules = group.own.iter().chain(&group.beside).chain(&group.published).chain(&group.asked);
    for rule in rules.filter_map(|id| policy.rule(*id)) {
        add_rule(&mut terms, rule);
        by_host |= !rule.conditions.hosts.is_empty();
        if reaches(rule, group) {
            terms.addresses(group.guarded);
        }
    }
    for grant in group.grants.iter().filter_map(|id| policy.grant(*id)) {
        let Grant { source, destination, because, .. } = grant;
        terms.endpoint(source);
        terms.endpoint(destination);
        if grant.reason == GrantReason::Gateway {
            because.iter().filter_map(|id| policy.rule(*id)).for_each(|rule| add_rule(&mut terms, rule));
        }
    }
    if by_host {
        policy.gateways.iter().for_each(|gateway| terms.gateway(gateway));
    }
    terms.addresses(&policy.internet);
    terms.know(|name| labels_of(policy, name));
    terms
}

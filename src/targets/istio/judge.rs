//! How well each end of each rule holds, and why.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Member, What};
use crate::model::gateways::Gateway;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::targets::istio::facts::Unmeshed;
use crate::targets::partition::Partition;
use crate::targets::{Judgement, Level, Levels, Narrower, Refuses, Traffic, Traffics, Why};

/// What keeps an object from meaning exactly a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What it makes of the rule.
    pub level: Level,
    /// Why.
    pub reason: Cow<'static, str>,
}

impl Flaw {
    /// Something more passes.
    pub fn wider(reason: impl Into<Cow<'static, str>>) -> Flaw {
        Flaw { level: Level::Wider, reason: reason.into() }
    }

    /// It is not held at all.
    pub fn unable(reason: impl Into<Cow<'static, str>>) -> Flaw {
        Flaw { level: Level::Unable, reason: reason.into() }
    }

    /// It holds for those who play by the rules.
    pub fn bypassable(reason: impl Into<Cow<'static, str>>) -> Flaw {
        Flaw { level: Level::Bypassable, reason: reason.into() }
    }
}

/// What keeps the rules of some pods from being held, each with the rule that is the cause and is not concerned itself.
/// The two worst are kept: every rule is concerned by one of them at least.
#[derive(Clone, Debug, Default)]
pub struct Flaws {
    list: Vec<(Option<RuleId>, Flaw)>,
}

impl Flaws {
    /// Adds a flaw.
    pub fn add(&mut self, cause: Option<RuleId>, flaw: &Flaw) {
        match self.list.iter().position(|(have, _)| *have == cause) {
            Some(at) if flaw.level > self.list[at].1.level => self.list[at].1.clone_from(flaw),
            Some(_) => {}
            None => self.list.push((cause, flaw.clone())),
        }
        self.list.sort_by_key(|(_, flaw)| std::cmp::Reverse(flaw.level));
        self.list.truncate(2);
    }

    /// Adds all flaws of others.
    pub fn add_all(&mut self, others: &Flaws) {
        others.list.iter().for_each(|(cause, flaw)| self.add(*cause, flaw));
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the flaws that concern a rule.
    pub fn of(&self, rule: RuleId) -> impl Iterator<Item = &Flaw> {
        self.list.iter().filter(move |(cause, _)| *cause != Some(rule)).map(|(_, flaw)| flaw)
    }
}

/// The judgements of a part of a policy, as they are found.
pub struct Judge<'a> {
    part: &'a Partition<'a>,
    ends: Vec<Judgement>,
    /// The ends whose conditions are not read there.
    unread: Vec<usize>,
    /// The ends that name what sidecars leave out, with what that is.
    named: Vec<(RuleId, Direction, Flaw)>,
}

impl<'a> Judge<'a> {
    /// Begins with every end at its best.
    pub fn new(part: &'a Partition<'a>) -> Judge<'a> {
        let begin = |(at, direction, rule): (RuleId, Direction, &Rule)| begin(at, rule.action, direction);
        Judge { part, ends: part.ends().map(begin).collect(), unread: Vec::new(), named: Vec::new() }
    }

    fn end(&mut self, rule: RuleId, direction: Direction) -> Option<&mut Judgement> {
        self.part.position(rule, direction).map(|end| &mut self.ends[end])
    }

    /// Notes a flaw of one end of a rule: the worst counts, and the first of the worst is told.
    pub fn flaw(&mut self, rule: RuleId, direction: Direction, flaw: &Flaw) {
        if let Some(end) = self.end(rule, direction)
            && flaw.level > end.level
        {
            end.level = flaw.level;
            end.reason = flaw.reason.clone().into();
        }
    }

    /// Says how one end of a rule is held, where nothing keeps it from being held.
    pub fn how(&mut self, rule: RuleId, direction: Direction, level: Level, reason: impl Into<Why>) {
        if let Some(end) = self.end(rule, direction)
            && end.level <= level
        {
            end.level = level;
            end.reason = reason.into();
        }
    }

    /// Says that one end of a rule is held exactly.
    pub fn best(&mut self, rule: RuleId, direction: Direction, reason: &'static str) {
        if let Some(end) = self.end(rule, direction) {
            end.level = Level::Exact;
            end.reason = reason.into();
        }
    }

    /// Notes what is refused although a rule allows it.
    pub fn narrower(&mut self, rule: RuleId, direction: Direction, flows: Refuses, words: String) {
        self.add_narrower(rule, direction, Narrower { flows, words: words.into(), said: false });
    }

    fn add_narrower(&mut self, rule: RuleId, direction: Direction, narrower: Narrower) {
        if let Some(end) = self.end(rule, direction)
            && !end.narrower.contains(&narrower)
        {
            end.narrower.push(narrower);
        }
    }

    /// Notes that one end of a rule does not read the rule's conditions.
    pub fn unread(&mut self, rule: RuleId, direction: Direction) {
        self.unread.extend(self.part.position(rule, direction));
    }

    /// Notes the pods of a rule that are known to have no sidecar: they do not avoid one, and no object stops them.
    pub fn unmeshed(&mut self, rule: RuleId, direction: Direction, pods: Unmeshed) {
        if pods.is_empty() {
            return;
        }
        let names = list_names(&[pods.bare, pods.ambient, pods.kept].concat());
        if pods.all {
            self.flaw(rule, direction, &Flaw::unable(format!("no object stops pods without a sidecar: {names}")));
            return;
        }
        let words = match direction {
            Direction::Egress => {
                format!("a pod that avoids its sidecar is not stopped, nor are pods without one: {names}")
            }
            Direction::Ingress => format!("pods without a sidecar are not guarded: {names}"),
        };
        self.flaw(rule, direction, &Flaw::bypassable(words.clone()));
        if let Some(end) = self.end(rule, direction) {
            if end.level == Level::Bypassable {
                end.reason = words.into();
            }
            end.unmeshed = Some(names.into());
        }
    }

    /// Notes what the sidecars of a rule's pods leave out although the rule names it.
    pub fn leaves_out(&mut self, rule: RuleId, direction: Direction, names: Traffics, flaw: Flaw) {
        if let Some(end) = self.end(rule, direction) {
            end.names = end.names.with(names);
            self.named.push((rule, direction, flaw));
        }
    }

    /// Notes what annotations of a rule's pods keep from their sidecars.
    pub fn left_out(&mut self, rule: RuleId, direction: Direction, words: String) {
        if let Some(end) = self.end(rule, direction) {
            end.left_out = Some(words.into());
        }
    }

    /// Notes what is refused although a rule allows it, and that a build says it.
    pub fn refuses(&mut self, rule: RuleId, direction: Direction, flows: Refuses, words: String) {
        self.add_narrower(rule, direction, Narrower { flows, words: words.into(), said: true });
    }

    /// Returns the judgements, by rule and direction. Sidecars see TCP alone, and on the way in not all ports.
    pub fn finish(mut self) -> Vec<Judgement> {
        // What else a gateway serves is closed where rules isolate it; otherwise a pod without identity reaches it.
        let mut closed: FxHashMap<*const Gateway, bool> = FxHashMap::default();
        let policy = self.part.policy;
        let left_out = &policy.inventory.left_out;
        for (judgement, (_, direction, rule)) in self.ends.iter_mut().zip(self.part.ends()) {
            let ports = rule.destination.members.iter().map(|member| Traffics::of(&member.ports, left_out));
            let named = ports.fold(Traffics::default(), Traffics::with);
            if rule.action == Action::Deny && named.without(Traffics::only(Traffic::Datagrams)).is_empty() {
                (judgement.level, judgement.reason) = (Level::Unable, "istio sees tcp alone".into());
            }
            let mut unseen = Traffics::only(Traffic::Datagrams);
            if direction == Direction::Ingress {
                unseen = unseen.with(Traffics::only(Traffic::PastSidecar));
            }
            judgement.levels = Levels::all(judgement.level);
            judgement.levels.raise(unseen, Level::Unable);
            if judgement.left_out.is_some() || judgement.names.contains(Traffic::LeftOut) {
                judgement.levels.raise(Traffics::only(Traffic::LeftOut), Level::Unable);
            }
            judgement.but_conditions = judgement.levels;
            // What leaves pods open refuses nothing.
            if direction == Direction::Egress
                && rule.action == Action::Allow
                && matches!(judgement.level, Level::Bypassable | Level::Wider)
            {
                judgement.by_name = by_name(rule).map(Into::into);
            }
            if let (Direction::Egress, Some(via)) = (direction, &rule.via) {
                let gateway = &*via.gateway;
                let isolated = || policy.isolating(gateway).next().is_some();
                let closed = *closed.entry(std::ptr::from_ref(gateway)).or_insert_with(isolated);
                judgement.at_gateway.other_hosts = closed && judgement.level <= Level::Bypassable;
            }
        }
        for &end in &self.unread {
            let judgement = &mut self.ends[end];
            if judgement.level < Level::Wider {
                judgement.level = Level::Wider;
                judgement.reason = "a sidecar does not look into what goes out".into();
            }
            judgement.levels.raise(Traffics::ALL, Level::Wider);
        }
        // The levels tell other traffic from what is left out; what is said is the worst.
        for (rule, direction, flaw) in std::mem::take(&mut self.named) {
            self.flaw(rule, direction, &flaw);
        }
        self.ends
    }
}

fn begin(rule: RuleId, action: Action, direction: Direction) -> Judgement {
    let (level, reason) = match (direction, action) {
        (Direction::Egress, _) => (Level::Bypassable, "a pod that avoids its sidecar is not stopped"),
        (Direction::Ingress, Action::Deny) => (Level::Exact, "refused at the receiving sidecar"),
        (Direction::Ingress, _) => (Level::Exact, "judged at the receiving sidecar"),
    };
    let levels = Levels::all(level);
    let reason = reason.into();
    Judgement { level, levels, but_conditions: levels, reason, ..Judgement::exact(rule, direction) }
}

/// Returns which hosts of a rule a sidecar finds by their names, and not by the addresses that the source gives them.
fn by_name(rule: &Rule) -> Option<String> {
    let members = &rule.destination.members;
    let hosts = members.iter().filter_map(|member| match &member.what {
        What::Host(host) if !host.at.is_empty() => {
            let app = member.ports.entries().iter().find_map(|entry| entry.app)?;
            let at = AddressSet::of(host.at.iter().map(|at| at.net));
            // Addresses that the rule names beside it are reached as such.
            let reached = |other: &Member| matches!(&other.what, What::Addresses(set) if at.is_inside(set));
            (!members.iter().any(reached)).then(|| (app.word(), format!("`{}`", host.name)))
        }
        _ => None,
    });
    let hosts: Vec<(&str, String)> = hosts.collect();
    let (app, _) = hosts.first()?;
    let names: Vec<String> = hosts.iter().map(|(_, name)| name.clone()).collect();
    let word = if names.len() == 1 { "its name, not by its address" } else { "their names, not by their addresses" };
    Some(format!("on `{app}` a sidecar finds {} by {word}", list_names(&names)))
}

/// Joins the names of things for a sentence, the first three of them.
pub fn list_names(names: &[String]) -> String {
    match names.len() {
        0..=3 => names.join(", "),
        more => format!("{} and {} more", names[..3].join(", "), more - 3),
    }
}

//! Missing rules: sentences that let the denied flows of a log through. Each is compiled with the policy before it is
//! suggested.
//!
//! ```text
//! garden/web -> garden/api:9090, denied on the way out     allow egress garden/web -> garden/api:9090
//! garden/web -> payments/db:22, which a deny forbids       nothing: no allow beats a deny
//! ```
//!
//! A sentence covers only the ends that refuse the flow, because an allow also isolates the pods that it governs. If it
//! would isolate a pod of the log that no rule isolates yet, other words are tried: otherwise the pod's other flows
//! would be denied next.

mod kept;
mod ways;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashSet;

pub use self::kept::Kept;
use self::kept::KeptFlow;
use self::ways::{Way, ways};
use super::groups::port_words;
use super::words::Words;
use crate::model::ports::Protocol;
use crate::model::rules::{Direction, RuleId};
use crate::policy::{self, Cause, Party, Policy};

/// The result of a trial: a policy compiled with some rules added, one rule a line.
#[derive(Debug, Default)]
pub struct Trial {
    /// The policy with the rules; `None` after an error.
    pub policy: Option<Policy>,
    /// Which rule of the policy is on which line; the first line is 0.
    pub lines: Vec<(RuleId, usize)>,
    /// Errors, each with the line that it is about.
    pub errors: Vec<(usize, String)>,
    /// Errors that belong to no line.
    pub others: Vec<String>,
}

/// The suggested rules, and the flows that no rule can allow.
#[derive(Debug, Default)]
pub struct Suggested {
    /// Rules with the number of flows that need them, the most specific first.
    pub rules: Vec<(String, u64)>,
    /// Denied flows that no rule can allow.
    pub without: Vec<Hopeless>,
    /// Flows that were not kept, so that nothing is suggested for them.
    pub beyond: u64,
}

/// Denied flows that no rule can allow.
#[derive(Debug)]
pub struct Hopeless {
    /// The flows, as the right side of a rule.
    pub sentence: String,
    /// The number of flows.
    pub count: u64,
    /// Why no rule can allow them.
    pub why: Why,
}

/// Why no rule can allow some flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A rule denies them.
    Denied(RuleId),
    /// No endpoint of the language selects one of the parties.
    Unsaid,
    /// The last sentence that was tried, and its error.
    Refused(String, String),
}

/// A rule that is missing at one end, with the flows that lack it.
struct Need {
    direction: Direction,
    /// Indices of kept flows.
    flows: Vec<usize>,
    /// The ways to write the rule, the most specific first.
    ways: Vec<Way>,
    /// The index of the way that is tried now.
    way: usize,
    trouble: String,
}

impl Need {
    fn way(&self) -> Option<&Way> {
        self.ways.get(self.way)
    }

    fn text(&self) -> String {
        self.way().map(|way| way.text(Some(self.direction))).unwrap_or_default()
    }
}

/// A suggested rule: for one end, or with `None` for both.
struct Rule {
    way: Way,
    direction: Option<Direction>,
    flows: Vec<usize>,
}

impl Rule {
    fn text(&self) -> String {
        self.way.text(self.direction)
    }
}

/// Finds the rules that denied flows need. `trial` compiles rules together with the policy.
pub fn suggest(policy: &Policy, kept: &Kept, trial: &mut dyn FnMut(&str) -> Trial) -> Suggested {
    let mut suggested = Suggested { beyond: kept.beyond, ..Suggested::default() };
    let mut needs = needs(policy, kept, &mut suggested.without);
    if needs.is_empty() {
        return suggested;
    }
    let mut search = Search { kept, trial, open: open(policy, kept), others: Vec::new() };
    search.others = (search.trial)("").others;
    let mut hopeless = Vec::new();
    let found = loop {
        let tried = search.attempt(&needs);
        let mut again = false;
        for (need, trouble) in needs.iter_mut().zip(tried.troubles) {
            if let Some(trouble) = trouble {
                (need.trouble, need.way, again) = (trouble, need.way + 1, true);
            }
        }
        while let Some(at) = needs.iter().position(|need| need.way >= need.ways.len()) {
            let need = needs.swap_remove(at);
            // A flow that one end refuses for good needs no rule at its other end.
            needs.iter_mut().for_each(|other| other.flows.retain(|flow| !need.flows.contains(flow)));
            needs.retain(|other| !other.flows.is_empty());
            hopeless.push(need);
        }
        if !again {
            break tried.policy;
        }
    };
    let own: Vec<Vec<usize>> = needs.iter().map(|need| need.flows.clone()).collect();
    let whole = rules(&needs, &own);
    let fewer = found.as_ref().map(|(after, lines)| search.fewer(after, lines, &needs));
    // If the smaller list of rules does not suffice, the list that passed the trial is used.
    let mut rules = fewer.filter(|fewer| search.suffices(fewer)).unwrap_or(whole);
    if let Some((after, _)) = &found {
        hopeless.retain_mut(|need| {
            need.flows.retain(|at| !search.passes(after, *at, None));
            !need.flows.is_empty()
        });
    }
    suggested.without.extend(hopeless.iter().map(|need| search.without(need)));
    let count = |rule: &Rule| rule.flows.iter().map(|at| kept.flows[*at].count).sum::<u64>();
    rules.sort_by_key(|rule| (rule.way.width(), Reverse(count(rule))));
    suggested.rules = rules.iter().map(|rule| (rule.text(), count(rule))).collect();
    suggested
        .without
        .sort_by(|one, other| (Reverse(one.count), &one.sentence).cmp(&(Reverse(other.count), &other.sentence)));
    suggested
}

/// The properties of flows that need the same rule.
type Key = (Direction, Words, Words, Option<u16>, Protocol);

/// Returns the rules that each end of the denied flows needs.
fn needs(policy: &Policy, kept: &Kept, without: &mut Vec<Hopeless>) -> Vec<Need> {
    let mut helpless: BTreeMap<(String, Why), u64> = BTreeMap::new();
    let mut all: BTreeMap<Key, (Vec<usize>, RuleId, bool)> = BTreeMap::new();
    for (at, one) in kept.flows.iter().enumerate() {
        let verdict = policy::eval(policy, &one.flow());
        let denied = verdict.ends.iter().find_map(|end| match end.cause {
            Cause::Denied(rule) => Some(Why::Denied(rule)),
            _ => None,
        });
        let [source, destination] = one.who.each_ref().map(|who| &who.words);
        let unsaid = || (!source.said || !destination.said).then_some(Why::Unsaid);
        if let Some(why) = denied.or_else(|| unsaid().filter(|_| !verdict.allowed())) {
            *helpless.entry((one.sentence(), why)).or_default() += one.count;
            continue;
        }
        for end in verdict.ends {
            let Cause::NoneMatches { isolated_by, nearest, .. } = end.cause else { continue };
            let key = (end.direction, source.clone(), destination.clone(), one.port, one.protocol);
            let asks = nearest.and_then(|at| policy.rule(at)).is_some_and(|rule| !rule.conditions.is_none());
            let (flows, _, asked) = all.entry(key).or_insert_with(|| (Vec::new(), isolated_by, false));
            flows.push(at);
            *asked |= asks;
        }
    }
    let hopeless = |((sentence, why), count)| Hopeless { sentence, count, why };
    without.extend(helpless.into_iter().map(hopeless));
    let need = |((direction, .., port, protocol), (flows, isolated_by, asks)): (Key, (Vec<usize>, RuleId, bool))| {
        let of_need: Vec<&KeptFlow> = flows.iter().map(|at| &kept.flows[*at]).collect();
        let port = port_words((port, protocol));
        let ways = ways(policy, &of_need, direction, isolated_by, &port, asks && protocol == Protocol::Tcp);
        Need { direction, flows, ways, way: 0, trouble: String::new() }
    };
    all.into_iter().map(need).collect()
}

/// Returns the ends of kept flows whose pods no rule isolates.
fn open(policy: &Policy, kept: &Kept) -> Vec<(usize, Direction)> {
    let mut seen = FxHashSet::default();
    let mut all = Vec::new();
    for (at, one) in kept.flows.iter().enumerate() {
        for (direction, who) in Direction::BOTH.into_iter().zip(&one.who) {
            if let (Party::Pod(pod), true) = (&who.party, seen.insert((Rc::as_ptr(who), direction)))
                && !policy::isolates(policy, pod, direction)
            {
                all.push((at, direction));
            }
        }
    }
    all
}

/// The result of one attempt.
struct Tried {
    /// The problem of each rule, if it has one.
    troubles: Vec<Option<String>>,
    /// The policy with the rules, and the line of each rule.
    policy: Option<(Policy, Vec<(RuleId, usize)>)>,
}

struct Search<'s> {
    kept: &'s Kept,
    trial: &'s mut dyn FnMut(&str) -> Trial,
    /// The ends whose pods no rule isolates yet.
    open: Vec<(usize, Direction)>,
    /// The errors that the policy has without any added rule.
    others: Vec<String>,
}

impl Search<'_> {
    /// Tries all rules at once.
    fn attempt(&mut self, needs: &[Need]) -> Tried {
        let mut troubles = vec![None; needs.len()];
        if needs.is_empty() {
            return Tried { troubles, policy: None };
        }
        let text: String = needs.iter().map(|need| need.text() + "\n").collect();
        let Trial { policy, lines, errors, others } = (self.trial)(&text);
        let elsewhere = others.into_iter().find(|other| !self.others.contains(other)).filter(|_| errors.is_empty());
        let culprit = elsewhere.map(|why| (self.culprit(needs), why));
        let mut blame = |line: usize, why: String| {
            if let Some(slot) = troubles.get_mut(line) {
                slot.get_or_insert(why);
            }
        };
        for (line, why) in errors.into_iter().chain(culprit) {
            blame(line, why);
        }
        let Some(after) = policy else { return Tried { troubles, policy: None } };
        for (line, need) in needs.iter().enumerate() {
            if !need.flows.iter().all(|at| self.passes(&after, *at, Some(need.direction))) {
                blame(line, "it does not let them through".to_owned());
            }
        }
        for (at, direction) in self.newly_isolated(&after) {
            let one = &self.kept.flows[at];
            let Party::Pod(pod) = one.party(direction) else { continue };
            for (rule, line) in &lines {
                if after.rule(*rule).is_some_and(|rule| policy::governs_pod(rule, direction, pod)) {
                    let why =
                        format!("it isolates {} on its way {}, which nothing isolates yet", pod.shown, way(direction));
                    blame(*line, why);
                }
            }
        }
        Tried { troubles, policy: Some((after, lines)) }
    }

    /// Returns the first rule with which an error appears that belongs to no line.
    fn culprit(&mut self, needs: &[Need]) -> usize {
        let (mut good, mut bad) = (0, needs.len());
        while bad - good > 1 {
            let middle = good.midpoint(bad);
            let text: String = needs[..middle].iter().map(|need| need.text() + "\n").collect();
            let Trial { errors, others, .. } = (self.trial)(&text);
            let is_good = errors.is_empty() && others.iter().all(|other| self.others.contains(other));
            if is_good { good = middle } else { bad = middle }
        }
        good
    }

    /// Returns whether a flow passes at one end, or with `None` at both.
    fn passes(&self, policy: &Policy, at: usize, direction: Option<Direction>) -> bool {
        let verdict = policy::eval(policy, &self.kept.flows[at].flow());
        verdict.ends.iter().all(|end| direction.is_some_and(|wanted| end.direction != wanted) || end.allows())
    }

    fn newly_isolated(&self, after: &Policy) -> Vec<(usize, Direction)> {
        let isolated = |(at, direction): &&(usize, Direction)| match self.kept.flows[*at].party(*direction) {
            Party::Pod(pod) => policy::isolates(after, pod, *direction),
            _ => false,
        };
        self.open.iter().filter(isolated).copied().collect()
    }

    fn without(&self, need: &Need) -> Hopeless {
        let first = need.flows.first().map(|at| &self.kept.flows[*at]);
        let last = need.ways.last().map(|way| way.text(Some(need.direction))).unwrap_or_default();
        Hopeless {
            sentence: first.map(KeptFlow::sentence).unwrap_or_default(),
            count: need.flows.iter().map(|at| self.kept.flows[*at].count).sum(),
            why: Why::Refused(last, need.trouble.clone()),
        }
    }

    /// Returns a smaller list of rules: the widest first, a rule is dropped if others let all its flows through.
    fn fewer(&self, after: &Policy, lines: &[(RuleId, usize)], needs: &[Need]) -> Vec<Rule> {
        let line = |rule: RuleId| lines.iter().find(|(at, _)| *at == rule).map(|(_, line)| *line);
        // For each flow, the rules that let it through; one of them is enough.
        let mut openers: Vec<(usize, Vec<usize>)> = Vec::new();
        for need in needs {
            for at in &need.flows {
                let rules = policy::openers(after, &self.kept.flows[*at].flow(), need.direction);
                openers.push((*at, rules.into_iter().filter_map(line).collect()));
            }
        }
        let mut order: Vec<usize> = (0..needs.len()).collect();
        order.sort_by_key(|at| Reverse(needs[*at].way().map(Way::width)));
        let mut stays = vec![true; needs.len()];
        for at in order {
            let alone = |rules: &[usize]| rules.contains(&at) && rules.iter().filter(|at| stays[**at]).count() == 1;
            stays[at] = openers.iter().any(|(_, rules)| alone(rules));
        }
        let mut flows = vec![Vec::new(); needs.len()];
        for (at, rules) in openers {
            rules.into_iter().filter(|rule| stays[*rule]).for_each(|rule| flows[rule].push(at));
        }
        rules(needs, &flows)
    }

    /// Returns whether rules suffice: all their flows pass, there is no new error, and no further pod is isolated.
    fn suffices(&mut self, rules: &[Rule]) -> bool {
        let text: String = rules.iter().map(|rule| rule.text() + "\n").collect();
        let Trial { policy, errors, others, .. } = (self.trial)(&text);
        let known = others.iter().all(|other| self.others.contains(other));
        errors.is_empty()
            && known
            && policy.is_some_and(|after| {
                let mut flows = rules.iter().flat_map(|rule| &rule.flows);
                flows.all(|at| self.passes(&after, *at, None)) && self.newly_isolated(&after).is_empty()
            })
    }
}

/// Returns the rules that have flows. If both ends need the same words, one sentence covers both.
fn rules(needs: &[Need], flows: &[Vec<usize>]) -> Vec<Rule> {
    let mut found: BTreeMap<&Way, Rule> = BTreeMap::new();
    for (need, flows) in needs.iter().zip(flows).filter(|(_, flows)| !flows.is_empty()) {
        let Some(way) = need.way() else { continue };
        let new = Rule { way: way.clone(), direction: Some(need.direction), flows: Vec::new() };
        let rule = found.entry(way).or_insert(new);
        if rule.direction != Some(need.direction) {
            rule.direction = None;
        }
        rule.flows.extend(flows);
        rule.flows.sort_unstable();
        rule.flows.dedup();
    }
    found.into_values().collect()
}

fn way(direction: Direction) -> &'static str {
    if direction == Direction::Egress { "out" } else { "in" }
}

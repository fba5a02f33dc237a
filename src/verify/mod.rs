//! Checked lowering: the objects are read back and compared with the policy. After a difference, nothing is written.
//!
//! ```text
//! allow egress garden/* -> db/*:5432        the objects of networkpolicy, read back, mean
//!     1. the rules that the layer was to say, and no others
//!     2. nothing narrower than the source
//!     3. nothing wider, but for what judgements and messages say
//!     4. together with the other layers nothing wider, but for rules that no layer enforces
//! ```
//!
//! Each direction of each namespace is one row. A row compares the sets of flows of its statements in the source, in
//! the layer's rules and in the text. A difference is a mistake of the compiler, and is shown with an example flow.
//!
//! Pods may have any labels in this comparison, not only those of known pods. If the layer relies on facts about the
//! inventory's pods, `known` compares only the flows of these.

mod alike;
mod decision;
mod known;
mod plain;
mod row;
mod sidecars;
mod single;
mod words;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use smol_str::SmolStr;

pub use self::decision::Decision;
use self::row::{Difference, Row, Source};
pub use self::single::decisions;
use crate::diag::Diagnostics;
use crate::flows::{OTHER, Set, TooLarge};
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::rules::{Action, Direction, GrantId, Rule, RuleId};
use crate::policy::meaning::{Meaning, in_words};
use crate::policy::{Flow, GrantReason, Policy};
use crate::settings::Layer;
use crate::source::Sources;
use crate::targets::effective::{Excess, ExcessOf, Instead, Stated};
use crate::targets::{Checked, Level, Made, Traffics, read_back};

/// The steps that the sets of some rows may take, and how many more for each statement.
const BUDGET: u64 = 2_000_000;
const BUDGET_EACH: u64 = 400;

/// About how many statements share a collection of sets.
const TOGETHER: usize = 4096;

/// Checks the objects of a layer: their text, and the rules that the layer has instead of the source's.
pub fn check(policy: &Policy, sources: &Sources, made: &Made<'_>) -> Checked {
    check_by(TOGETHER, policy, sources, made)
}

/// Checks a layer as [`check`] does, with about `many` statements in one collection of sets. The result is the same.
pub fn check_by(many: usize, policy: &Policy, sources: &Sources, made: &Made<'_>) -> Checked {
    match made.layer {
        Layer::Istio => sidecars::check(many, policy, sources, made),
        Layer::NetworkPolicy => check_rules(policy, sources, made).into(),
    }
}

fn check_rules(policy: &Policy, sources: &Sources, made: &Made<'_>) -> Diagnostics {
    let mut found = Diagnostics::new();
    let Some(&(first, _)) = made.ends.first() else { return found };
    let file = policy.rules[first.index()].origin.span.file;
    let mut read = Vec::new();
    for text in made.texts {
        match read_back(made.layer, file, text) {
            Ok(rules) => read.extend(rules),
            Err(finding) => {
                found.push(words::unreadable(made, policy, first, &finding.message));
                return found;
            }
        }
    }
    check_read(policy, sources, made, &read)
}

/// Checks a layer whose text was read as some rules.
pub fn check_read(policy: &Policy, sources: &Sources, made: &Made<'_>, read: &[Rule]) -> Diagnostics {
    let mut found = Diagnostics::new();
    judge(policy, sources, made, Some(read), &mut found);
    found
}

/// Checks only the rules that a layer has instead of the source's, not its text.
pub fn check_effective(policy: &Policy, sources: &Sources, made: &Made<'_>) -> Diagnostics {
    let mut found = Diagnostics::new();
    judge(policy, sources, made, None, &mut found);
    found
}

/// The most rule ends of one layer for which flows are shown.
const MOST_SHOWN: usize = 32;

/// Returns, in words, flows that rule ends forbid and a layer lets through: for ends that are not exact and have no
/// sentence that says what the layer enforces instead.
pub fn shown(policy: &Policy, made: &Made<'_>) -> Vec<((RuleId, Direction), String)> {
    let unsaid = made.judgements.iter().filter(|one| one.level > Level::Bypassable && one.remarks().instead.is_empty());
    let ends = unsaid.map(|one| (one.rule, one.direction)).take(MOST_SHOWN);
    ends.filter_map(|end| Some((end, in_words(&passing(policy, made, end)?)))).collect()
}

/// Returns a flow that a rule end forbids and a layer lets through, even if a judgement admits it; `None` if there is
/// none, or the sets are too large.
fn passing(policy: &Policy, made: &Made<'_>, end: (RuleId, Direction)) -> Option<Flow> {
    if made.layer == Layer::Istio {
        return sidecars::passing(policy, made, end);
    }
    let (at, direction) = end;
    let table = Table::new(policy, made, None);
    let is_meant = |key: &Key| key.0 == direction && table.rules(direction, key.1.as_ref()).contains(&at);
    let rows = table.together(|_| true).into_iter().map(|rows| rows.into_iter().filter(is_meant).collect::<Vec<Key>>());
    let mut rows = rows.filter(|rows| !rows.is_empty());
    rows.find_map(|rows| table.first(&rows, |row| row.passing(at)).ok().flatten()).map(|difference| difference.flow)
}

fn judge(policy: &Policy, sources: &Sources, made: &Made<'_>, read: Option<&[Rule]>, found: &mut Diagnostics) {
    // Rules that are equal word by word have equal sets.
    let read = read.filter(|read| !alike::are_alike(&made.effective.rules, read));
    let table = Table::new(policy, made, read);
    let mut waiting: Vec<Vec<Key>> = table.together(|key| !plain::is_plain(&table, key));
    while let Some(rows) = waiting.pop() {
        match table.first(&rows, |row| row.differing()) {
            Ok(None) => {}
            Ok(Some(difference)) => {
                found.push(words::differing(policy, sources, made, &difference));
                return;
            }
            Err(TooLarge) => match rows.as_slice() {
                [(direction, namespace)] => {
                    let rules = table.rules(*direction, namespace.as_ref());
                    let finding = words::too_large(policy, made, *direction, namespace.as_deref(), &rules);
                    finding.into_iter().for_each(|finding| found.push(finding));
                }
                _ => waiting.extend(rows.into_iter().map(|row| vec![row])),
            },
        }
    }
}

/// The key of a row: the direction, and the namespace of the judged pods; `None` is a namespace that no rule names.
type Key = (Direction, Option<SmolStr>);

/// The statements about the pods of a row.
#[derive(Clone, Default)]
struct Said<'a> {
    rules: Vec<RuleId>,
    grants: Vec<GrantId>,
    /// Rules with `via` on ingress, at the pods of their gateways.
    published: Vec<RuleId>,
    stated: Vec<&'a Stated>,
    read: Vec<&'a Rule>,
    /// The pods of the row in each subject, by the subject's address in memory: one rule may have a subject in every
    /// namespace.
    own: FxHashMap<*const Endpoint, SmallVec<[&'a Member; 1]>>,
}

impl<'a> Said<'a> {
    fn len(&self) -> usize {
        self.rules.len() + self.grants.len() + self.published.len() + self.stated.len() + self.read.len()
    }
}

/// All statements of a partition, by row.
struct Table<'a> {
    policy: &'a Policy,
    /// Whether a text was read and is compared.
    has_text: bool,
    excess: FxHashMap<(RuleId, Direction), Excess>,
    rows: FxHashMap<Key, Said<'a>>,
    /// The statements whose pods may be in any namespace.
    wide: [Said<'a>; 2],
    /// Whether the layer may rely on facts about the pods of the inventory.
    rests_on_pods: bool,
    /// Whether some rule gives a host addresses.
    places_hosts: bool,
}

impl<'a> Table<'a> {
    fn new(policy: &'a Policy, made: &Made<'a>, read: Option<&'a [Rule]>) -> Table<'a> {
        let excess = made.effective.excess.iter().map(|excess| ((excess.rule, excess.direction), *excess)).collect();
        let mut table = Table {
            policy,
            has_text: read.is_some(),
            excess,
            rows: FxHashMap::default(),
            wide: Default::default(),
            rests_on_pods: known::rest_on_pods(policy, made),
            places_hosts: made.ends.iter().any(|(at, _)| places_hosts(&policy.rules[at.index()])),
        };
        for &(at, direction) in made.ends {
            let rule = &policy.rules[at.index()];
            table.add(direction, rule.subject(direction), |said| said.rules.push(at));
            if let Some(via) = rule.via.as_ref().filter(|_| direction == Direction::Ingress) {
                let names = via.gateway.pods.iter().map(|pods| pods.namespace_name().cloned());
                table.add_to(direction, names.collect(), |said| said.published.push(at));
            }
        }
        for &at in made.grants {
            let grant = &policy.grants[at.index()];
            table.add(grant.direction, grant.subject(), |said| said.grants.push(at));
        }
        for stated in &made.effective.rules {
            let direction = direction_of(&stated.rule);
            table.add(direction, stated.rule.subject(direction), |said| said.stated.push(stated));
        }
        for rule in read.unwrap_or_default() {
            let direction = direction_of(rule);
            table.add(direction, rule.subject(direction), |said| said.read.push(rule));
        }
        table
    }

    fn add(&mut self, direction: Direction, subject: &'a Endpoint, push: impl Fn(&mut Said<'a>)) {
        let members = subject.pods().map(|(member, pods)| (pods.selector.namespace_name(), member));
        let mut members: SmallVec<[(Option<&SmolStr>, &'a Member); 4]> = members.collect();
        members.sort_by_key(|(name, _)| *name);
        if members.first().is_some_and(|(name, _)| name.is_none()) {
            return push(&mut self.wide[usize::from(direction == Direction::Ingress)]);
        }
        for own in members.chunk_by(|(one, _), (other, _)| one == other) {
            let said = self.rows.entry((direction, own[0].0.cloned())).or_default();
            let members = || own.iter().map(|(_, member)| *member).collect();
            said.own.entry(std::ptr::from_ref(subject)).or_insert_with(members);
            push(said);
        }
    }

    fn add_to(&mut self, direction: Direction, mut names: Vec<Option<SmolStr>>, push: impl Fn(&mut Said<'a>)) {
        names.sort_unstable();
        names.dedup();
        if names.contains(&None) {
            return push(&mut self.wide[usize::from(direction == Direction::Ingress)]);
        }
        for name in names {
            push(self.rows.entry((direction, name)).or_default());
        }
    }

    /// Returns the traffic on which judgements admit that a rule of the layer is wider than the rule or grant that it
    /// stands for.
    fn admitted(&self, direction: Direction, instead: &Instead) -> Traffics {
        let of = |at: RuleId, direction: Direction| {
            let excess = self.excess.get(&(at, direction)).filter(|excess| excess.of != ExcessOf::Deny);
            excess.map_or(Traffics::default(), |excess| excess.on)
        };
        match instead {
            Instead::Rule(at) => of(*at, direction),
            Instead::Grant(at) => {
                let grant = &self.policy.grants[at.index()];
                match grant.reason {
                    // Only the mesh knows which pods have a sidecar.
                    GrantReason::Istiod => Traffics::ALL,
                    GrantReason::Dns => Traffics::default(),
                    GrantReason::Gateway | GrantReason::Keys => {
                        let both = grant.because.iter().flat_map(|at| Direction::BOTH.map(|way| of(*at, way)));
                        if both.into_iter().any(|on| !on.is_empty()) { Traffics::ALL } else { Traffics::default() }
                    }
                }
            }
            Instead::Isolation | Instead::Rest(_) => Traffics::default(),
        }
    }

    fn wide(&self, direction: Direction) -> &Said<'a> {
        &self.wide[usize::from(direction == Direction::Ingress)]
    }

    /// Returns the rules about the pods of a row.
    fn rules(&self, direction: Direction, namespace: Option<&SmolStr>) -> Vec<RuleId> {
        let own = self.rows.get(&(direction, namespace.cloned())).map(|said| said.rules.as_slice());
        own.into_iter().chain([self.wide(direction).rules.as_slice()]).flatten().copied().collect()
    }

    /// Returns some of the rows, in groups that share a collection of sets.
    fn together(&self, wanted: impl Fn(&Key) -> bool) -> Vec<Vec<Key>> {
        let mut keys: Vec<Key> = self.rows.keys().cloned().collect();
        for direction in Direction::BOTH {
            let wide = self.wide(direction);
            if wide.rules.is_empty() && wide.published.is_empty() {
                continue;
            }
            let inventory = &self.policy.inventory;
            keys.extend(inventory.namespaces.keys().map(|name| (direction, Some(name.clone()))));
            keys.extend((!inventory.given).then_some((direction, None)));
        }
        keys.sort_unstable();
        keys.dedup();
        keys.retain(wanted);
        let mut all: Vec<Vec<Key>> = Vec::new();
        let mut filled = TOGETHER;
        for key in keys {
            if filled >= TOGETHER {
                all.push(Vec::new());
                filled = 0;
            }
            filled += 1 + self.rows.get(&key).map_or(0, Said::len);
            if let Some(last) = all.last_mut() {
                last.push(key);
            }
        }
        all.reverse();
        all
    }

    /// Returns the first difference in some rows.
    fn first(
        &self,
        rows: &[Key],
        find: impl Fn(&mut Row<'_, 'a>) -> Result<Option<Difference>, TooLarge>,
    ) -> Result<Option<Difference>, TooLarge> {
        let (policy, none) = (self.policy, Said::default());
        let own: Vec<&Said<'a>> = rows.iter().map(|key| self.rows.get(key).unwrap_or(&none)).collect();
        let all = || own.iter().copied().chain(&self.wide);
        let of_source = all().flat_map(|said| said.rules.iter().chain(&said.published));
        let of_source = of_source.map(|at| &policy.rules[at.index()]);
        let of_layer = all().flat_map(|said| said.stated.iter().map(|stated| &stated.rule));
        let of_text = all().flat_map(|said| said.read.iter().copied());
        let grants = all().flat_map(|said| said.grants.iter().map(|at| &policy.grants[at.index()]));
        let wide = self.wide.iter().map(Said::len).sum::<usize>();
        let statements = own.iter().map(|said| said.len() + wide).sum::<usize>();
        let budget = budget(statements);
        // A rule for pods of many namespaces is among the statements of many rows.
        let rules = once_each(of_source.chain(of_layer).chain(of_text));
        let grants = once_each(grants);
        let mut meaning = Meaning::of(policy, rules.iter().copied(), grants.iter().copied(), budget);
        let wide = Direction::BOTH.map(|way| Source::of(self, &mut meaning, way, self.wide(way)));
        for ((direction, name), said) in rows.iter().zip(&own) {
            let place = name.as_deref().map_or(OTHER, |name| meaning.flows().space.place(name));
            let wide = &wide[usize::from(*direction == Direction::Ingress)];
            let mut row = Row::new(self, &mut meaning, (*direction, place), said, wide);
            if let Some(difference) = find(&mut row)? {
                return Ok(Some(difference));
            }
        }
        Ok(None)
    }
}

/// Returns values without repetition, compared by their address in memory.
fn once_each<'v, T>(values: impl Iterator<Item = &'v T>) -> Vec<&'v T> {
    let mut seen = FxHashSet::default();
    values.filter(|value| seen.insert(std::ptr::from_ref(*value))).collect()
}

/// Returns whether a rule gives one of its hosts addresses.
fn places_hosts(rule: &Rule) -> bool {
    let members = rule.source.members.iter().chain(&rule.destination.members);
    members.into_iter().any(|member| matches!(&member.what, What::Host(host) if !host.at.is_empty()))
}

/// Returns the direction of a rule that has only one.
fn direction_of(rule: &Rule) -> Direction {
    if rule.egress { Direction::Egress } else { Direction::Ingress }
}

/// Returns whether a rule allows its flows only through a gateway, and none directly to its destination.
fn is_by_gateway(rule: &Rule, direction: Direction) -> bool {
    rule.action == Action::Allow && direction == Direction::Egress && rule.via.is_some()
}

/// Returns whether every set of a list is in another list, which is sorted.
fn are_among(sets: &[Set], others: &[Set]) -> bool {
    sets.iter().all(|set| others.binary_search(set).is_ok())
}

/// Returns the steps that the sets of a number of statements may take.
fn budget(statements: usize) -> u64 {
    BUDGET + BUDGET_EACH * statements as u64
}

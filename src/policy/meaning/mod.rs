//! The meaning of a policy: the flows that each end lets through, as sets.
//!
//! ```text
//! default deny egress garden/*
//! allow egress garden/{app=web} -> 203.0.113.0/24:443
//!     egress of garden: app=web, outside, in the block, tcp, 443      every other namespace: all flows
//! ```
//!
//! This is the essay at the head of [`crate::policy`] for all flows at once. The evaluator decides one flow by looking
//! at every rule, and shares no code with this. Each direction has a table with one row for each namespace of the
//! judged pods, made when it is asked for. The sets of a row test the judged pod and the other side, but not the judged
//! pod's namespace: the row stands for it.

mod arriving;
mod ends;
mod excess;
mod exits;
mod gateway;
mod grounds;
mod kept;
mod lacking;
mod layers;
mod member;
mod question;
mod rivals;
mod row;
mod shown;
mod versions;
mod ways;

use ends::Ends;
pub use excess::{Excess, Reach};
pub use grounds::Grounds;
pub use lacking::Lacking;
pub use question::Heavy;
use question::{Hard, Wanted};
pub use row::{Finding, Findings, Group, Kind};
pub use shown::in_words;
pub use versions::Versions;
pub use ways::Passes;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::{Grant, Policy};
use crate::flows::diagram::Diagrams;
use crate::flows::{Flows, OUTSIDE, Passing, Set, Side, Space, Terms, TooLarge, Witness};
use crate::inventory::Workload;
use crate::model::endpoint::Endpoint;
use crate::model::labels::{Labels, NAMESPACE_NAME};
use crate::model::rules::{Action, Direction, FlowPattern, Rule};

/// The steps that the sets of one policy may take: about a second.
const BUDGET: u64 = 4_000_000;

/// An example flow that proves or refutes a claim.
#[derive(Clone, Debug)]
pub struct Example<'p> {
    /// The flow, as far as the policy can tell.
    pub witness: Witness,
    /// The inventory's workloads at its source and its destination, if it has them.
    pub workloads: [Option<&'p Workload>; 2],
}

/// The sets of a policy.
pub struct Meaning<'p> {
    policy: &'p Policy,
    flows: Flows,
    egress: Table,
    ingress: Table,
    ends: Ends,
    carried: Option<Set>,
    hard: Hard,
    /// Whether a rule that leads out through a gateway is judged at the gateway, and allows no direct flow to its
    /// hosts.
    ways: bool,
    /// The rules that lead out through a gateway.
    leading: Vec<usize>,
    /// The flows that gateways let in and pass on, each with the number of its gateway.
    arriving: Vec<(usize, Set)>,
}

/// The rows of a direction.
#[derive(Default)]
struct Table {
    /// The statements whose subject is in one namespace, by the namespace.
    of_place: FxHashMap<u32, Vec<Statement>>,
    /// The statements whose subject may be in several namespaces.
    wide: Vec<Statement>,
    /// The row of the wide statements, which still tests the judged pod's namespace.
    wide_row: Option<Row>,
    rows: FxHashMap<u32, Set>,
    /// The rows that were compared as three sets.
    passing: FxHashMap<u32, Passing>,
}

/// A rule or grant at the pods of one end.
#[derive(Clone, Copy)]
enum Statement {
    Rule(usize),
    Grant(usize),
    /// A rule with `via` on ingress, at the pods of its gateway.
    Published(usize),
    /// A rule with `via` on egress, at the pods of its gateway.
    LedOut(usize),
    /// A deny of hosts on egress, at the pods of the gateways that lead there.
    LedOutDenied(usize),
}

/// The sets of each statement about some judged pods.
#[derive(Default)]
struct Parts {
    denied: Vec<Set>,
    isolated: Vec<Set>,
    allowed: Vec<Set>,
    granted: Vec<Set>,
    published: Vec<Set>,
}

/// The sets of all statements about some judged pods, united.
#[derive(Clone, Copy)]
struct Row {
    denied: Set,
    isolated: Set,
    allowed: Set,
    granted: Set,
    published: Set,
}

impl Row {
    /// Returns the flows that pass: allowed, granted to isolated pods, or to pods that no rule isolates; but none that
    /// a deny forbids.
    fn passing(self, d: &mut Diagrams) -> Passing {
        let granted = d.and(self.isolated, self.granted);
        let closed = d.or(self.isolated, self.published);
        Passing { allowed: d.or(self.allowed, granted), closed, denied: self.denied }
    }
}

impl<'p> Meaning<'p> {
    /// Prepares the meaning of a policy, so that it can be asked about its own claims and about other flows.
    pub fn new(policy: &'p Policy, others: &[FlowPattern]) -> Meaning<'p> {
        let mut meaning = Meaning::over(policy, terms(policy, others), BUDGET);
        meaning.sort_statements();
        meaning
    }

    /// Prepares sets of some rules and grants alone, of the policy or of a layer, not to ask what the policy allows.
    /// `budget` limits the steps of all sets.
    pub fn of<'r>(
        policy: &'p Policy,
        rules: impl Iterator<Item = &'r Rule> + Clone,
        grants: impl Iterator<Item = &'r Grant> + Clone,
        budget: u64,
    ) -> Meaning<'p> {
        Meaning::over(policy, terms_of(policy, rules, grants), budget)
    }

    /// Returns the collection of the sets.
    pub fn flows(&mut self) -> &mut Flows {
        &mut self.flows
    }

    /// Returns the flows that can exist if a pod of a namespace is judged in a direction. Only pods have the addresses
    /// of pods, as far as these are known. Flows that come to a gateway through proxies are left out: their packets
    /// have the proxies' addresses.
    pub fn around(&mut self, direction: Direction, place: u32) -> Set {
        let judged = if direction == Direction::Egress { Side::Source } else { Side::Destination };
        let around = self.flows.around(judged, place, &self.policy.internet, &self.policy.pod_addresses);
        let carried = self.carried();
        let behind_proxies = self.behind_proxies(direction, place);
        let d = &mut self.flows.diagrams;
        let around = d.and(around, carried);
        d.minus(around, behind_proxies)
    }

    /// Makes a meaning without rows, for sets with these terms.
    fn over(policy: &'p Policy, terms: Terms, budget: u64) -> Meaning<'p> {
        Meaning {
            policy,
            flows: Flows::new(Space::new(terms), budget),
            egress: Table::default(),
            ingress: Table::default(),
            ends: Ends::default(),
            carried: None,
            hard: Hard::default(),
            ways: false,
            leading: Vec::new(),
            arriving: Vec::new(),
        }
    }

    fn carried(&mut self) -> Set {
        *self.carried.get_or_insert_with(|| self.flows.carried())
    }

    /// Makes the rows of both directions for all namespaces in play, and returns how many steps that took.
    pub fn make_rows(&mut self) -> Result<u64, TooLarge> {
        let before = self.flows.diagrams.steps();
        let places: Vec<u32> = self.flows.space.pod_places().collect();
        for direction in Direction::BOTH {
            for &place in &places {
                self.judged(direction, place);
            }
        }
        self.flows.checked(self.flows.diagrams.steps() - before)
    }

    /// Returns one of some flows that the policy allows; `None` if it allows none.
    pub fn allowed_of(&mut self, asked: &FlowPattern) -> Result<Option<Example<'p>>, TooLarge> {
        self.search(asked, Wanted::Allowed)
    }

    /// Returns one of some flows that the policy denies; `None` if it allows every one.
    pub fn denied_of(&mut self, asked: &FlowPattern) -> Result<Option<Example<'p>>, TooLarge> {
        self.search(asked, Wanted::Denied)
    }

    /// Returns whether a pattern means any flow at all.
    pub fn is_possible(&mut self, asked: &FlowPattern) -> Result<bool, TooLarge> {
        Ok(self.search(asked, Wanted::Any)?.is_some())
    }

    /// Returns whether two patterns may mean a flow in common.
    pub fn may_meet(&mut self, one: &FlowPattern, other: &FlowPattern) -> bool {
        let (from, to) = self.asked(one);
        let (from_too, to_too) = self.asked(other);
        let d = &mut self.flows.diagrams;
        let (from, to) = (d.and(from, from_too), d.and(to, to_too));
        let both = d.and(from, to);
        self.flows.checked(both) != Ok(Set::NONE)
    }

    /// Returns whether some of the flows concern a rule: it matches them, or isolates their pods.
    pub fn speaks_of(&mut self, asked: &FlowPattern, rule: &Rule) -> Result<bool, TooLarge> {
        let mut met = Set::NONE;
        for judged in Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction)) {
            let source = self.source(&asked.source, judged);
            let destination = self.destination(&asked.destination, &asked.conditions, false, judged);
            let of_rule = match rule.action {
                Action::Isolate => self.governed(rule, judged),
                Action::Allow | Action::Deny => self.matched(rule, judged),
            };
            let d = &mut self.flows.diagrams;
            let asked = d.and(source, destination);
            let both = d.and(asked, of_rule);
            met = d.or(met, both);
        }
        let carried = self.carried();
        let met = self.flows.diagrams.and(met, carried);
        self.flows.checked(met != Set::NONE)
    }

    fn possible(&mut self, set: Set, source: u32, destination: u32) -> Set {
        if set == Set::NONE {
            return set;
        }
        let carried = self.carried();
        let set = self.flows.diagrams.and(set, carried);
        let between = self.flows.between(source, destination, &self.policy.internet);
        let mut set = self.flows.diagrams.and(set, between);
        // Addresses of pods mean no pod, and nothing else has them.
        for (side, place) in [(Side::Source, source), (Side::Destination, destination)] {
            if place == OUTSIDE && !self.policy.pod_addresses.is_empty() {
                let of_pods = self.flows.at(side, &self.policy.pod_addresses);
                set = self.flows.diagrams.minus(set, of_pods);
            }
        }
        set
    }

    /// Returns a flow of a set between two places: between workloads of the inventory if such a flow is in the set,
    /// else the smallest.
    pub fn believable(&mut self, set: Set, source: u32, destination: u32) -> Option<Example<'p>> {
        let policy = self.policy;
        let mut narrowed = set;
        let workloads = [(Side::Source, source), (Side::Destination, destination)].map(|(side, place)| {
            let namespace = self.flows.space.namespace(place)?;
            let there = policy.inventory.workloads.iter().filter(|workload| workload.namespace == *namespace);
            let there: Vec<&Workload> = there.filter(|workload| !workload.host_network).collect();
            there.into_iter().find(|workload| {
                let like = self.flows.pods_like(side, &workload.labels, Some(&workload.account));
                let some = self.flows.diagrams.and(narrowed, like);
                if some != Set::NONE {
                    narrowed = some;
                }
                some != Set::NONE
            })
        });
        let witness = self.flows.witness(narrowed, source, destination)?;
        Some(Example { witness, workloads })
    }

    /// Returns the flows that the judged pods of a namespace let through in a direction; outside, all flows.
    fn judged(&mut self, direction: Direction, place: u32) -> Set {
        if place == OUTSIDE {
            return Set::ALL;
        }
        if let Some(known) = self.table(direction).rows.get(&place) {
            return *known;
        }
        let passing = self.passing(direction, place);
        let set = passing.set(&mut self.flows.diagrams);
        self.table(direction).rows.insert(place, set);
        set
    }

    /// Returns the flows that the judged pods of a namespace let through in a direction, as three sets.
    fn passing(&mut self, direction: Direction, place: u32) -> Passing {
        if place == OUTSIDE {
            return Passing::ALL;
        }
        if let Some(known) = self.table(direction).passing.get(&place) {
            return *known;
        }
        let row = self.row(direction, place);
        let passing = row.passing(&mut self.flows.diagrams);
        self.table(direction).passing.insert(place, passing);
        passing
    }

    fn row(&mut self, direction: Direction, place: u32) -> Row {
        if self.table(direction).wide_row.is_none() {
            let wide = std::mem::take(&mut self.table(direction).wide);
            let row = self.said(direction, &wide);
            let table = self.table(direction);
            (table.wide, table.wide_row) = (wide, Some(row));
        }
        let wide = self.table(direction).wide_row;
        let own = self.table(direction).of_place.get(&place).cloned().unwrap_or_default();
        let own = self.said(direction, &own);
        let flows = &mut self.flows;
        let mut join = |pick: fn(&Row) -> Set| {
            let of = |row: Row, flows: &Flows| flows.with_place(pick(&row), true, place);
            let (own, wide) = (of(own, flows), wide.map_or(Set::NONE, |row| of(row, flows)));
            flows.diagrams.or(own, wide)
        };
        Row {
            denied: join(|row| row.denied),
            isolated: join(|row| row.isolated),
            allowed: join(|row| row.allowed),
            granted: join(|row| row.granted),
            published: join(|row| row.published),
        }
    }

    /// Returns the sets of some statements together. They still test the namespace of the judged pod.
    fn said(&mut self, direction: Direction, statements: &[Statement]) -> Row {
        let Parts { denied, isolated, allowed, granted, published } = self.parts(direction, statements, false);
        let d = &mut self.flows.diagrams;
        Row {
            denied: d.union(denied),
            isolated: d.union(isolated),
            allowed: d.union(allowed),
            granted: d.union(granted),
            published: d.union(published),
        }
    }

    /// Returns the sets of each statement. With `small`, each member of an endpoint has its own set.
    fn parts(&mut self, direction: Direction, statements: &[Statement], small: bool) -> Parts {
        let policy = self.policy;
        let matched = |meaning: &mut Self, rule| match small {
            true => meaning.matched_in_parts(rule, direction),
            false => vec![meaning.matched(rule, direction)],
        };
        let governed = |meaning: &mut Self, rule| match small {
            true => meaning.governed_in_parts(rule, direction),
            false => vec![meaning.governed(rule, direction)],
        };
        let mut parts = Parts::default();
        for statement in statements {
            match *statement {
                Statement::Rule(at) => {
                    let rule = &policy.rules[at];
                    match rule.action {
                        Action::Deny => parts.denied.extend(matched(self, rule)),
                        Action::Allow => {
                            parts.isolated.extend(governed(self, rule));
                            if self.ways && direction == Direction::Egress && rule.via.is_some() {
                                continue;
                            }
                            parts.allowed.extend(matched(self, rule));
                        }
                        Action::Isolate => parts.isolated.extend(governed(self, rule)),
                    }
                }
                Statement::Grant(at) => parts.granted.push(self.granted(&policy.grants[at])),
                Statement::Published(at) => {
                    let (concerned, fitting) = self.published(&policy.rules[at]);
                    parts.published.push(concerned);
                    parts.allowed.push(fitting);
                }
                Statement::LedOutDenied(at) => parts.denied.push(self.led_out_denied(&policy.rules[at])),
                Statement::LedOut(at) => {
                    let (concerned, fitting) = self.led_out(&policy.rules[at]);
                    parts.published.push(concerned);
                    parts.allowed.push(fitting);
                }
            }
        }
        parts
    }

    fn table(&mut self, direction: Direction) -> &mut Table {
        match direction {
            Direction::Egress => &mut self.egress,
            Direction::Ingress => &mut self.ingress,
        }
    }

    /// Sorts the rules and grants by the namespace of the pods that they judge.
    fn sort_statements(&mut self) {
        for at in 0..self.policy.rules.len() {
            for direction in Direction::BOTH {
                self.sort_rule(at, direction);
            }
        }
        for at in 0..self.policy.grants.len() {
            self.sort_grant(at);
        }
    }

    fn sort_rule(&mut self, at: usize, direction: Direction) {
        let rule = &self.policy.rules[at];
        if rule.governs(direction) {
            self.sort(direction, rule.subject(direction), Statement::Rule(at));
        }
        if direction == Direction::Ingress && is_published(rule) {
            let gateways = rule.via.iter().flat_map(|via| &via.gateway.pods);
            let places: Vec<Option<u32>> =
                gateways.map(|pods| pods.namespace_name().map(|name| self.flows.space.place(name))).collect();
            self.add(Direction::Ingress, places, Statement::Published(at));
        }
    }

    fn sort_grant(&mut self, at: usize) {
        let grant = &self.policy.grants[at];
        self.sort(grant.direction, grant.subject(), Statement::Grant(at));
    }

    fn sort(&mut self, direction: Direction, subject: &Endpoint, statement: Statement) {
        let places = subject.pods().map(|(_, pods)| pods.selector.namespace_name());
        let places = places.map(|name| name.map(|name| self.flows.space.place(name))).collect();
        self.add(direction, places, statement);
    }

    fn add(&mut self, direction: Direction, mut places: Vec<Option<u32>>, statement: Statement) {
        places.sort_unstable();
        places.dedup();
        let table = self.table(direction);
        if places.contains(&None) {
            table.wide.push(statement);
        } else {
            for place in places.into_iter().flatten() {
                table.of_place.entry(place).or_default().push(statement);
            }
        }
    }
}

/// Returns whether a rule also judges clients at its gateway.
fn is_published(rule: &Rule) -> bool {
    rule.ingress && rule.via.is_some()
}

/// Returns all values that some rules and grants name. The namespaces of the inventory that they do not name count as
/// one, unless a rule selects namespaces by labels.
fn terms_of<'r>(
    policy: &Policy,
    rules: impl Iterator<Item = &'r Rule> + Clone,
    grants: impl Iterator<Item = &'r Grant> + Clone,
) -> Terms {
    let mut terms = Terms::default();
    let mut wide = false;
    for rule in rules {
        let governed = Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
        let mut pods = governed.flat_map(|direction| rule.subject(direction).pods());
        wide |= pods.any(|(_, pods)| pods.selector.namespace_name().is_none());
        add_rule(&mut terms, rule);
    }
    for grant in grants {
        terms.endpoint(&grant.source);
        terms.endpoint(&grant.destination);
        for rule in grant.because.iter().filter_map(|at| policy.rule(*at)) {
            add_rule(&mut terms, rule);
        }
    }
    for gateway in &policy.gateways {
        terms.gateway(gateway);
    }
    terms.addresses(&policy.internet);
    terms.addresses(&policy.pod_addresses);
    let inventory = &policy.inventory;
    let all = wide || terms.tells_namespaces_by_labels();
    for name in inventory.namespaces.keys() {
        if all || terms.names(name) {
            terms.namespace(name, labels_of(policy, name));
        }
    }
    if all && inventory.given {
        terms.close();
    }
    terms
}

/// Returns all values that a policy, its claims and other patterns name.
fn terms(policy: &Policy, others: &[FlowPattern]) -> Terms {
    let mut terms = Terms::new(namespaces(policy), policy.inventory.given);
    add_terms(&mut terms, policy);
    for asked in others {
        terms.between(&asked.source, &asked.destination, &asked.conditions);
    }
    terms
}

/// Returns the known namespaces, with their labels if these are known.
fn namespaces(policy: &Policy) -> impl Iterator<Item = (SmolStr, Option<Labels>)> {
    policy.inventory.namespaces.keys().map(|name| (name.clone(), labels_of(policy, name)))
}

/// Adds all values that a policy and its claims name.
fn add_terms(terms: &mut Terms, policy: &Policy) {
    for rule in &policy.rules {
        add_rule(terms, rule);
    }
    for grant in &policy.grants {
        terms.endpoint(&grant.source);
        terms.endpoint(&grant.destination);
    }
    for gateway in &policy.gateways {
        terms.gateway(gateway);
    }
    let claims = policy.tests.iter().flat_map(|test| &test.claims).chain(&policy.assertions);
    for claim in claims {
        let asked = &claim.flows;
        terms.between(&asked.source, &asked.destination, &asked.conditions);
        claim.via.iter().for_each(|via| terms.via(via));
    }
    terms.addresses(&policy.internet);
    terms.addresses(&policy.pod_addresses);
}

fn add_rule(terms: &mut Terms, rule: &Rule) {
    terms.between(&rule.source, &rule.destination, &rule.conditions);
    if let Some(via) = &rule.via {
        terms.via(via);
    }
}

/// Returns the labels of a namespace, with its name, if they are known.
fn labels_of(policy: &Policy, name: &SmolStr) -> Option<Labels> {
    let known = policy.inventory.namespaces.get(name).filter(|namespace| namespace.declared)?;
    let mut labels = known.labels.clone();
    labels.insert(SmolStr::new_static(NAMESPACE_NAME), name.clone());
    Some(labels)
}

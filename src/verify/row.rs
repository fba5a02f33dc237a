//! One row: what the source, the layer and the text say of the flows of one namespace's pods in one direction.
//!
//! Most statements come through unchanged, and equal sets are one set. So statements are compared one by one, each of the
//! layer with the rule that it stands for, and the unions of all of them, which may be large, are made only where a
//! statement is not explained by its own rule.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Said, Table, are_among, is_by_gateway, known};
use crate::flows::{OUTSIDE, Set, Side, TooLarge};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, Pods, What, is_everybody};
use crate::model::labels::PodSelector;
use crate::model::ports::Protocol;
use crate::model::rules::{Action, Direction, GrantId, RuleId};
use crate::policy::meaning::{Example, Meaning};
use crate::policy::{Flow, GrantReason};
use crate::targets::effective::{ExcessOf, Instead, Stated};
use crate::targets::{Traffic, Traffics};

/// A difference, shown by a flow.
pub(super) struct Difference {
    /// What differs.
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
    /// The text lets through what the layer was not to say.
    TextWider,
    /// The text refuses what the layer was to say.
    TextNarrower,
    /// The layer refuses what the source allows.
    Narrower,
    /// The layer lets through what the source denies, and no judgement says so.
    Wider,
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
    /// The flows that can be here and that the layer judges.
    judged: Option<Set>,
    excess: Option<Set>,
}

/// The sets of the source's statements.
#[derive(Clone, Default)]
pub(super) struct Source {
    denied: Vec<Set>,
    isolated: Vec<Set>,
    allowed: Vec<(Set, RuleId)>,
    granted: Vec<(Set, GrantId)>,
    /// The flows that are judged at a gateway.
    published: Vec<(Set, RuleId)>,
    all_denied: Option<Set>,
    all_isolated: Option<Set>,
    lets_through: Option<Set>,
}

impl Source {
    /// Returns the sets of the source's statements, wherever their pods are.
    pub(super) fn of(table: &Table<'_>, meaning: &mut Meaning<'_>, direction: Direction, said: &Said<'_>) -> Source {
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

    /// Adds the part of other statements that is about the pods of a place.
    fn add(&mut self, meaning: &mut Meaning<'_>, place: u32, all: &Source) {
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
struct Layer<'a> {
    isolated: Vec<Set>,
    allowed: Vec<(Set, &'a Instead)>,
    /// The flows to and from pods where plugins let blocks of addresses mean them.
    pods_by_blocks: Vec<Set>,
    of_rules: FxHashMap<RuleId, Vec<Set>>,
    of_grants: FxHashMap<GrantId, Vec<Set>>,
    all_isolated: Option<Set>,
    lets_through: Option<Set>,
}

impl<'r, 'a> Row<'r, 'a> {
    /// Makes the row of a place. `said` are the statements about its pods, and `wide` is what those say that may be about
    /// pods of any place.
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

    fn take_layer(&mut self) {
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

    /// Adds what a rule of the layer means where plugins let blocks of addresses mean pods: no block may hold addresses
    /// of pods, where these are known, since plugins differ.
    fn take_blocks_of_pods(&mut self, stated: &'a Stated) {
        let (rule, pods) = (&stated.rule, &self.table.policy.pod_addresses);
        let holds = |member: &Member| matches!(&member.what, What::Addresses(set) if set.overlaps(pods));
        // Whoever names every pod may name their addresses too.
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
    fn stated(&mut self, rule: &crate::model::rules::Rule) -> (bool, Set) {
        let isolates = rule.action == Action::Isolate;
        let set = match isolates {
            true => self.meaning.governed(rule, self.direction),
            false => self.meaning.matched(rule, self.direction),
        };
        (isolates, self.here(set))
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

    /// Compares the text with the rules that the layer was to say.
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
        let isolated = d.union(isolated);
        let open = d.complement(isolated);
        let allowed = d.union(allowed);
        let read = d.or(open, allowed);
        let own = self.layer_lets_through();
        let d = &mut self.meaning.flows().diagrams;
        let (wider, narrower) = (d.minus(read, own), d.minus(own, read));
        let (kind, set) = match (wider, narrower) {
            (Set::NONE, Set::NONE) => return None,
            (Set::NONE, _) => (Kind::TextNarrower, narrower),
            _ => (Kind::TextWider, wider),
        };
        // A flow that can be is the better example; a difference elsewhere is one all the same.
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

    /// Returns what the layer refuses of a set that the source lets through where no deny forbids it. `own` are the flows
    /// that the layer lets through instead.
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
        let left = self.meaning.flows().diagrams.minus(left, layer);
        self.among_known(left)
    }

    /// Returns flows that the layer lets through, that the source denies, and that no judgement speaks of.
    fn wider(&mut self) -> Set {
        let of_rules: FxHashMap<RuleId, Set> = self.source.allowed.iter().map(|(set, at)| (*at, *set)).collect();
        let of_grants: FxHashMap<GrantId, Set> = self.source.granted.iter().map(|(set, at)| (*at, *set)).collect();
        for at in 0..self.layer.allowed.len() {
            let (set, instead) = self.layer.allowed[at];
            if self.admitted(instead) == Traffics::ALL {
                continue;
            }
            let own = match instead {
                Instead::Rule(at) => of_rules.get(at).copied(),
                Instead::Grant(at) if self.source.published.is_empty() => of_grants.get(at).copied(),
                Instead::Grant(_) | Instead::Isolation | Instead::Rest(_) => None,
            };
            let denied = self.denied();
            // What the rule itself says and what is said of it are small sets; those of all rules are not.
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

    /// Returns the flows of a set that the source denies and that no judgement speaks of.
    fn unsaid(&mut self, set: Set) -> Set {
        let (judged, source) = (self.judged(), self.source_lets_through());
        let d = &mut self.meaning.flows().diagrams;
        let left = d.and(set, judged);
        let left = d.minus(left, source);
        if left == Set::NONE {
            return left;
        }
        let excess = self.excess();
        let left = self.meaning.flows().diagrams.minus(left, excess);
        self.among_known(left)
    }

    /// Returns the flows of a set that are between known pods, where the layer goes by facts about these.
    fn among_known(&mut self, set: Set) -> Set {
        if set == Set::NONE || !self.table.rests_on_pods {
            return set;
        }
        let known = known::flows(self.table.policy, self.meaning, self.direction, self.place);
        self.meaning.flows().diagrams.and(set, known)
    }

    /// Returns the traffic for which a rule of the layer is said to be wider than what it stands for.
    fn admitted(&self, instead: &Instead) -> Traffics {
        let of = |at: RuleId, direction: Direction| {
            let excess = self.table.excess.get(&(at, direction)).filter(|excess| excess.of != ExcessOf::Deny);
            excess.map_or(Traffics::default(), |excess| excess.on)
        };
        match instead {
            Instead::Rule(at) => of(*at, self.direction),
            Instead::Grant(at) => {
                let grant = &self.table.policy.grants[at.index()];
                match grant.reason {
                    // Nothing but the mesh knows which pods have a sidecar.
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

    /// Returns the flows that judgements admit.
    fn excess(&mut self) -> Set {
        if let Some(known) = self.excess {
            return known;
        }
        let mut sets = Vec::new();
        for at in 0..self.layer.allowed.len() {
            sets.extend(self.excess_of(at));
        }
        let policy = self.table.policy;
        for &at in self.said.rules.iter().chain(&self.table.wide(self.direction).rules) {
            let Some(excess) = self.table.excess.get(&(at, self.direction)).copied() else { continue };
            let rule = &policy.rules[at.index()];
            let set = match excess.of {
                ExcessOf::Rule => continue,
                ExcessOf::Pods => self.meaning.governed(rule, self.direction),
                ExcessOf::Deny => self.meaning.matched(rule, self.direction),
            };
            let set = self.here(set);
            sets.push(self.on(set, excess.on));
        }
        for at in 0..self.source.published.len() {
            let (set, rule) = self.source.published[at];
            if let Some(excess) = self.table.excess.get(&(rule, Direction::Ingress)).copied() {
                sets.push(self.on(set, excess.on));
            }
        }
        let all = self.meaning.flows().diagrams.union(sets);
        self.excess = Some(all);
        all
    }

    /// Returns the flows of one of the layer's rules that are said to pass in excess.
    fn excess_of(&mut self, at: usize) -> Vec<Set> {
        let (set, instead) = self.layer.allowed[at];
        let on = self.admitted(instead);
        let mut sets = vec![self.on(set, on)];
        if let Instead::Rule(at) = instead {
            sets.push(self.other_names(set, *at));
        }
        sets
    }

    /// Returns the flows of a set to other hosts at the `at` addresses of a rule's host. A layer of addresses is exact there:
    /// who gives a host its addresses says that they are the host's.
    fn other_names(&mut self, set: Set, at: RuleId) -> Set {
        let members = self.table.policy.rules[at.index()].destination.members.iter();
        let blocks = members.filter_map(|member| match &member.what {
            What::Host(host) => Some(host.addresses().blocks),
            _ => None,
        });
        let addresses = AddressSet { blocks: blocks.flatten().collect() };
        if self.direction == Direction::Ingress || addresses.blocks.is_empty() {
            return Set::NONE;
        }
        let flows = self.meaning.flows();
        let (there, nameless) = (flows.at(Side::Destination, &addresses), flows.to_no_host());
        let there = flows.diagrams.and(set, there);
        flows.diagrams.minus(there, nameless)
    }

    fn on(&mut self, set: Set, traffic: Traffics) -> Set {
        if traffic == Traffics::ALL {
            return set;
        }
        let tcp = [Traffic::Tcp, Traffic::PastSidecar, Traffic::LeftOut].iter().any(|kind| traffic.contains(*kind));
        let datagrams = traffic.contains(Traffic::Datagrams);
        let protocols = [(Protocol::Tcp, tcp), (Protocol::Udp, datagrams), (Protocol::Sctp, datagrams)];
        let protocols: Vec<Protocol> = protocols.into_iter().filter(|(_, is)| *is).map(|(one, _)| one).collect();
        let flows = self.meaning.flows();
        let carried = flows.protocols(&protocols);
        flows.diagrams.and(set, carried)
    }

    /// Returns the flows that can be here, but for ICMP, of which the layer says nothing.
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

    fn denied(&mut self) -> Set {
        let sets = &self.source.denied;
        let union = |meaning: &mut Meaning<'a>| meaning.flows().diagrams.union(sets.clone());
        *self.source.all_denied.get_or_insert_with(|| union(self.meaning))
    }

    fn source_isolates(&mut self) -> Set {
        let sets = &self.source.isolated;
        let union = |meaning: &mut Meaning<'a>| meaning.flows().diagrams.union(sets.clone());
        *self.source.all_isolated.get_or_insert_with(|| union(self.meaning))
    }

    fn layer_isolates(&mut self) -> Set {
        let sets = &self.layer.isolated;
        let union = |meaning: &mut Meaning<'a>| meaning.flows().diagrams.union(sets.clone());
        *self.layer.all_isolated.get_or_insert_with(|| union(self.meaning))
    }

    fn published(&mut self) -> Set {
        let sets = self.source.published.iter().map(|(set, _)| *set).collect();
        self.meaning.flows().diagrams.union(sets)
    }

    fn source_lets_through(&mut self) -> Set {
        if let Some(known) = self.source.lets_through {
            return known;
        }
        let (denied, isolated, published) = (self.denied(), self.source_isolates(), self.published());
        let allowed = self.source.allowed.iter().map(|(set, _)| *set).collect();
        let granted = self.source.granted.iter().map(|(set, _)| *set).collect();
        let d = &mut self.meaning.flows().diagrams;
        let (allowed, granted) = (d.union(allowed), d.union(granted));
        let granted = d.and(granted, isolated);
        let closed = d.or(isolated, published);
        let open = d.complement(closed);
        let through = d.or(allowed, granted);
        let through = d.or(through, open);
        let through = d.minus(through, denied);
        self.source.lets_through = Some(through);
        through
    }

    fn layer_lets_through(&mut self) -> Set {
        if let Some(known) = self.layer.lets_through {
            return known;
        }
        let isolated = self.layer_isolates();
        let allowed = self.layer.allowed.iter().map(|(set, _)| *set).collect();
        let d = &mut self.meaning.flows().diagrams;
        let open = d.complement(isolated);
        let allowed = d.union(allowed);
        let through = d.or(open, allowed);
        self.layer.lets_through = Some(through);
        through
    }
}

fn sort(sets: &mut Vec<Set>) {
    sets.sort_unstable();
    sets.dedup();
}

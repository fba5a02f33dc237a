//! Egress: ServiceEntries, and the one Sidecar of every pod.

pub mod addresses;
pub mod content;
mod cover;
pub mod denied;
pub mod destinations;
pub mod entries;
pub mod listeners;
pub mod services;
pub mod wildcard;

use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;

use crate::model::endpoint::Endpoint;
use crate::model::hosts::HostName;
use crate::model::rules::{Action, Direction, RuleId};
use crate::policy::GrantReason;
use crate::source::Sources;
use crate::targets::Level;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::judge::{Flaw, Flaws, Judge};
use crate::targets::istio::limits::{HostPorts, too_large};
use crate::targets::istio::model::{Meta, Resource, Sidecar};
use crate::targets::istio::plan::gateway::exits::Exits;
use crate::targets::istio::plan::subjects::effective::{Closed, Slots, Statement};
use crate::targets::istio::plan::subjects::{Kind, Placer};
use crate::targets::names::{Limit, Taken};
use addresses::{Addresses, Found, OnPorts};
use content::Content;
use denied::{take_out, take_out_of_hosts};
use destinations::{Destinations, Endpointed, Item, Reach};
use entries::{Entries, Trouble, home, is_local};
use listeners::Listeners;

const OUT: Direction = Direction::Egress;
const NOT_ISOLATED: &str = "nothing isolates these pods on their way out, and Istio has no deny there";

/// What is said of some pods' way out.
struct Said {
    /// The rules that say it; of a grant those that gave rise to it.
    rules: SmallVec<[RuleId; 1]>,
    /// What it does; a grant allows and does not isolate.
    action: Action,
    isolates: bool,
    /// What it lets through.
    reach: Option<Rc<Reach>>,
}

/// What becomes of a slot.
#[derive(Clone, Debug, Default)]
struct State {
    isolated: bool,
    /// The statement that leaves its pods open, and whether that is meant.
    open: Option<(u32, bool)>,
    /// The statement that leaves the pods of the slots inside open too.
    open_inside: Option<u32>,
    /// What keeps the rules of its pods from being held.
    flaws: Flaws,
}

impl State {
    fn restricts(&self) -> bool {
        self.isolated && self.open.is_none()
    }
}

/// Makes the objects of the way out, where they are wanted, and judges what rests on them.
pub fn lower(
    facts: &Facts<'_>,
    sources: &Sources,
    wanted: crate::targets::Wanted,
    exits: &mut Exits,
    judge: &mut Judge<'_>,
    trouble: &mut Trouble<'_>,
) -> Vec<Resource> {
    let mut egress = Lowering {
        facts,
        sources,
        destinations: Destinations::new(facts),
        addresses: Addresses::new(facts.reserved),
        entries: Entries::default(),
        said: Vec::new(),
    };
    let mut statements = egress.collect(judge);
    egress.leave_out_full_hosts(&statements, judge);
    let mut slots = Slots::new(facts, &statements);
    let mut states = egress.states(&slots);
    // A deny of pods that nothing isolates is not held. Without it there may be a Sidecar for those of them that a rule
    // isolates.
    let useless = egress.useless_denies(&slots, &states);
    if !useless.is_empty() {
        egress.leave_out(&useless, &mut statements, judge);
        slots = Slots::new(facts, &statements);
        states = egress.states(&slots);
    }
    let contents = egress.contents(&slots, &states, judge);
    egress.ask(&slots, &contents, exits, trouble);
    egress.entries.find_below(&egress.addresses);
    let with_objects = wanted != crate::targets::Wanted::Judgements;
    let mut list = egress.sidecars(&slots, &contents, &mut states, with_objects, trouble);
    egress.judge(&statements, &slots, states, judge);
    let Lowering { addresses, entries, .. } = egress;
    if !with_objects {
        return list;
    }
    let mut all = entries.finish(&addresses, &facts.policy.settings);
    all.append(&mut list);
    all
}

struct Lowering<'l, 'a> {
    facts: &'l Facts<'a>,
    sources: &'l Sources,
    destinations: Destinations<'l, 'a>,
    addresses: Addresses<'a>,
    entries: Entries,
    said: Vec<Said>,
}

impl<'a> Lowering<'_, 'a> {
    fn collect(&mut self, judge: &mut Judge<'_>) -> Vec<Statement<'a>> {
        let mut placer = Placer::new(self.facts, Kind::Sidecar);
        let mut statements = Vec::new();
        for (at, rule) in self.facts.part.rules(OUT) {
            let reach = (rule.action == Action::Allow).then(|| self.destinations.of_rule(rule));
            if let Some(reach) = &reach {
                if let Some(flaw) = &reach.flaw {
                    judge.flaw(at, OUT, flaw);
                }
                if let Some(why) = &reach.unable {
                    judge.flaw(at, OUT, &Flaw::unable(why.clone()));
                }
                if let Some((flows, words)) = reach.narrower.clone() {
                    judge.narrower(at, OUT, flows, words);
                }
                if reach.everything {
                    judge.best(at, OUT, "everything is let through");
                }
                if reach.unread {
                    judge.unread(at, OUT);
                }
            }
            for (_, pods) in rule.source.pods() {
                if self.facts.gateway_of(&pods.selector).is_some() {
                    judge.flaw(at, OUT, &Flaw::unable("no object of Istio stops a gateway on its way out"));
                    continue;
                }
                let placed = placer.place(&pods.selector);
                let gives = rule.action != Action::Deny;
                statements.push(Statement { selector: &pods.selector, placed, gives });
                let (rules, action, isolates) = (smallvec![at], rule.action, gives);
                self.said.push(Said { rules, action, isolates, reach: reach.clone() });
            }
        }
        for (_, grant) in self.facts.part.grants().filter(|(_, grant)| grant.reason == GrantReason::Dns) {
            let reach = self.destinations.of_dns(&grant.destination);
            for (_, pods) in grant.source.pods() {
                if self.facts.gateway_of(&pods.selector).is_some() {
                    continue;
                }
                let placed = placer.place(&pods.selector);
                statements.push(Statement { selector: &pods.selector, placed, gives: true });
                let rules = self.facts.part.first_of(&grant.because, 32);
                self.said.push(Said { rules, action: Action::Allow, isolates: false, reach: Some(Rc::clone(&reach)) });
            }
        }
        statements
    }

    /// Returns the denies that make a slot whose pods nothing isolates, although a rule isolates some of them.
    fn useless_denies(&self, slots: &Slots, states: &[State]) -> Vec<u32> {
        let isolating = |at: &u32| self.said[*at as usize].isolates;
        let useless =
            slots.list.iter().zip(states).filter(|(slot, state)| !state.isolated && slot.joined.iter().any(isolating));
        let denies = |at: &u32| self.said[*at as usize].action == Action::Deny;
        let mut list: Vec<u32> = useless.flat_map(|(slot, _)| slot.own.iter().copied().filter(denies)).collect();
        list.sort_unstable();
        list.dedup();
        list
    }

    /// Leaves out denies that are not held.
    fn leave_out(&mut self, denies: &[u32], statements: &mut Vec<Statement<'a>>, judge: &mut Judge<'_>) {
        for &at in denies {
            if let Some(&rule) = self.said[at as usize].rules.first() {
                judge.flaw(rule, OUT, &Flaw::unable(NOT_ISOLATED));
            }
        }
        let left = |at: usize| denies.binary_search(&(at as u32)).is_ok();
        let mut at = 0;
        statements.retain(|_| {
            at += 1;
            !left(at - 1)
        });
        at = 0;
        self.said.retain(|_| {
            at += 1;
            !left(at - 1)
        });
    }

    /// Leaves the pods open whose rules ask for a host on more ports than its ServiceEntry can have.
    fn leave_out_full_hosts(&mut self, statements: &[Statement<'_>], judge: &mut Judge<'_>) {
        let reaches = self.said.iter().map(|said| said.reach.as_deref());
        let asked = HostPorts::new(self.facts, statements, reaches, &self.destinations);
        for (statement, said) in statements.iter().zip(&mut self.said).filter(|_| asked.some_are_many()) {
            let Some(reach) = &said.reach else { continue };
            let Some(why) = asked.too_many(statement, reach, &self.destinations) else { continue };
            said.rules.iter().for_each(|&rule| judge.flaw(rule, OUT, &Flaw::unable(why.clone())));
            said.reach = Some(Rc::new(Reach { unable: Some(why), ..Reach::clone(reach) }));
        }
    }

    fn states(&self, slots: &Slots) -> Vec<State> {
        let mut states: Vec<State> = Vec::with_capacity(slots.list.len());
        for slot in &slots.list {
            let around = slot.parent.map(|parent| &states[parent]);
            let mut state = State { isolated: around.is_some_and(|state| state.isolated), ..State::default() };
            state.isolated |= slot.own.iter().any(|&at| self.said[at as usize].isolates);
            let everything = |at: u32| self.reach(at).is_some_and(|reach| reach.everything);
            let unable =
                |at: u32| self.said[at as usize].isolates && self.reach(at).is_some_and(|reach| reach.unable.is_some());
            let own = |test: &dyn Fn(u32) -> bool| slot.own.iter().copied().find(|&at| test(at));
            let inherited = around.and_then(|state| state.open_inside);
            state.open_inside = own(&everything).or_else(|| own(&unable)).or(inherited);
            let joined = || slot.joined.iter().copied().find(|&at| everything(at) || unable(at));
            state.open = match state.open_inside {
                Some(at) => Some((at, everything(at))),
                None => joined().map(|at| (at, false)),
            };
            if let (true, Some((at, false))) = (state.isolated, state.open) {
                let said = &self.said[at as usize];
                let why = self.reach(at).and_then(|reach| reach.unable.clone()).unwrap_or_else(|| "everything".into());
                let place = self.place(said.rules.first());
                let flaw = Flaw::unable(format!("{place} leaves these pods open: {why}"));
                state.flaws.add(said.rules.first().copied(), &flaw);
            }
            for &at in slot.joined.iter().filter(|&&at| self.said[at as usize].isolates) {
                let rule = self.said[at as usize].rules.first().copied();
                let words = format!(
                    "what {} gives holds for these pods too, since Istio cannot tell them apart",
                    self.place(rule.as_ref())
                );
                state.flaws.add(rule, &Flaw::wider(words));
            }
            states.push(state);
        }
        states
    }

    fn reach(&self, at: u32) -> Option<&Reach> {
        self.said[at as usize].reach.as_deref()
    }

    fn place(&self, rule: Option<&RuleId>) -> String {
        let rule = rule.and_then(|&rule| self.facts.policy.rule(rule));
        rule.map(|rule| self.sources.place(rule.origin.span)).unwrap_or_default()
    }

    /// Gathers what each slot that restricts lets through, less what is denied.
    fn contents(&mut self, slots: &Slots, states: &[State], judge: &mut Judge<'_>) -> Vec<Option<Content>> {
        let mut contents = Vec::with_capacity(slots.list.len());
        let closed = Closed::new(slots, |at| (states[at].restricts(), states[at].open.is_some()));
        for (at, state) in states.iter().enumerate() {
            if !state.restricts() {
                contents.push(None);
                continue;
            }
            let content = self.content(slots, at, &closed, judge);
            contents.push(Some(content));
        }
        if contents.iter().flatten().any(|content| !content.reduced.is_empty()) {
            self.settle(slots, &mut contents, judge);
        }
        contents
    }

    /// A namespace has one ServiceEntry for a host: where its pods are to reach different addresses of it, all are
    /// listed, and what is denied is not held.
    fn settle(&self, slots: &Slots, contents: &mut [Option<Content>], judge: &mut Judge<'_>) {
        let root: SmolStr = self.facts.policy.settings.root_namespace.as_str().into();
        let local = self.local_hosts(slots, contents);
        let mut lists: FxHashMap<(SmolStr, &HostName), &[Endpointed]> = FxHashMap::default();
        let mut several: FxHashSet<(SmolStr, HostName)> = FxHashSet::default();
        for (slot, content) in slots.list.iter().zip(contents.iter()) {
            for (item, _) in content.iter().flat_map(|content| &content.items) {
                let Item::Host(outside, ..) = self.destinations.item(*item) else { continue };
                let home = home(&slot.place.namespace, &local, &outside.name, &root);
                let list = *lists.entry((home.clone(), &outside.name)).or_insert(&outside.at);
                if list != outside.at.as_slice() {
                    several.insert((home, outside.name.clone()));
                }
            }
        }
        for (slot, content) in slots.list.iter().zip(contents) {
            let Some(Content { items, reduced, .. }) = content else { continue };
            reduced.retain(|one| {
                let Item::Host(outside, ..) = self.destinations.item(one.left) else { return true };
                let key = (home(&slot.place.namespace, &local, &outside.name, &root), outside.name.clone());
                if !several.contains(&key) {
                    return true;
                }
                items.iter_mut().filter(|(item, _)| *item == one.left).for_each(|item| *item = one.asked);
                let why = format!(
                    "Istio has one ServiceEntry for {} in a namespace, and the denied address is let through there on \
                     another port or for other pods",
                    outside.name
                );
                one.denies.iter().for_each(|rule| judge.flaw(*rule, OUT, &Flaw::unable(why.clone())));
                false
            });
            items.sort_unstable();
        }
    }

    fn content(&mut self, slots: &Slots, slot: usize, closed: &Closed, judge: &mut Judge<'_>) -> Content {
        let mut items: Vec<(u32, bool)> = Vec::new();
        let mut denies = Vec::new();
        for (statement, owner) in statements_of(slots, slot) {
            let mesh = slots.list[owner].place.namespace.is_none();
            let said = &self.said[statement as usize];
            match (&said.reach, said.action) {
                (Some(reach), _) => items.extend(reach.items.iter().map(|&item| (item, mesh))),
                (None, Action::Deny) => denies.extend(said.rules.first().copied()),
                (None, _) => {}
            }
        }
        items.sort_unstable();
        items.dedup_by_key(|(item, _)| *item);
        let mut by_address: Vec<(RuleId, &Endpoint)> = Vec::new();
        for rule in denies {
            let Some(denied) = self.facts.policy.rule(rule) else { continue };
            if denied.conditions.is_none() {
                by_address.push((rule, &denied.destination));
            }
            let leak = if denied.conditions.is_none() {
                take_out(self.facts, &mut self.destinations, &mut items, &denied.destination)
            } else {
                Some("a sidecar does not look into what goes out".into())
            };
            if let Some(why) = leak {
                judge.flaw(rule, OUT, &Flaw::unable(why));
            }
        }
        let (reduced, leaks) = take_out_of_hosts(self.facts, &mut self.destinations, &mut items, &by_address);
        leaks.into_iter().for_each(|(rule, why)| judge.flaw(rule, OUT, &Flaw::unable(why)));
        let root: SmolStr = self.facts.policy.settings.root_namespace.as_str().into();
        let mut addresses: Vec<OnPorts> = Vec::new();
        let mut parts = Vec::new();
        let mut all_mesh = true;
        for &(item, mesh) in &items {
            if let Item::Addresses(set, ports) = self.destinations.item(item) {
                addresses.push((Rc::clone(set), Rc::clone(ports)));
                parts.push(item);
                all_mesh &= mesh;
            }
        }
        let own = slots.list[slot].place.namespace.clone();
        let groups_home = own.filter(|_| !all_mesh).unwrap_or_else(|| root.clone());
        let groups = match addresses.is_empty() {
            true => Rc::default(),
            false => {
                let named = self.destinations.named_ports(&items).filter(|_| closed.all_of(&groups_home, &root));
                self.addresses.groups(addresses, named)
            }
        };
        Content { items, reduced, groups, groups_home, parts }
    }

    /// Asks for the ServiceEntries that the slots import, and for the ways through gateways.
    fn ask(&mut self, slots: &Slots, contents: &[Option<Content>], exits: &mut Exits, trouble: &mut Trouble<'_>) {
        let root: SmolStr = self.facts.policy.settings.root_namespace.as_str().into();
        let local = self.local_hosts(slots, contents);
        for (at, content) in contents.iter().enumerate() {
            let Some(content) = content else { continue };
            let namespace = &slots.list[at].place.namespace;
            let items: FxHashSet<u32> = content.items.iter().map(|(item, _)| *item).collect();
            let mut by_address: Vec<RuleId> = Vec::new();
            let mut of_item: FxHashMap<u32, Vec<RuleId>> = FxHashMap::default();
            for (statement, owner) in statements_of(slots, at) {
                let said = &self.said[statement as usize];
                let Some(reach) = &said.reach else { continue };
                for item in &reach.items {
                    let item = content.left_of(*item);
                    match self.destinations.item(item) {
                        Item::Host(outside, port, app) if items.contains(&item) => {
                            let home = home(namespace, &local, &outside.name, &root);
                            let everyone = home == root && !is_local(namespace, &local, &outside.name);
                            let Some(&rule) = said.rules.first() else { continue };
                            self.entries.host(&home, outside, (*port, *app), rule, everyone, trouble);
                            let place = &slots.list[owner].place;
                            if let Some(gateway) = exits.add(rule, &home, everyone, place, outside, *port) {
                                self.entries.show(&home, &outside.name, &gateway);
                            }
                        }
                        Item::Addresses(..) => {
                            by_address.extend(&said.rules);
                            of_item.entry(item).or_default().extend(&said.rules);
                        }
                        _ => {}
                    }
                }
            }
            by_address.sort_unstable();
            by_address.dedup();
            let everyone = content.groups_home == root && namespace.as_ref() != Some(&root);
            for Found { group, from } in content.groups.iter() {
                // What a deny has made smaller is nobody's item any more.
                let rules = |part: &usize| content.parts.get(*part).and_then(|item| of_item.get(item));
                let rules: Vec<RuleId> =
                    from.iter().flat_map(|part| rules(part).unwrap_or(&by_address)).copied().collect();
                self.entries.group(&content.groups_home, group, &rules, everyone);
            }
        }
    }

    /// Returns the hosts that rules of a namespace ask for, so that their ServiceEntries stand there.
    fn local_hosts(
        &self,
        slots: &Slots,
        contents: &[Option<Content>],
    ) -> FxHashSet<(SmolStr, crate::model::hosts::HostName)> {
        let mut local = FxHashSet::default();
        for (slot, content) in slots.list.iter().zip(contents) {
            let (Some(namespace), Some(content)) = (&slot.place.namespace, content) else { continue };
            for (item, mesh) in &content.items {
                if let (Item::Host(outside, ..), false) = (self.destinations.item(*item), mesh) {
                    local.insert((namespace.clone(), outside.name.clone()));
                }
            }
        }
        local
    }

    fn sidecars(
        &self,
        slots: &Slots,
        contents: &[Option<Content>],
        states: &mut [State],
        with_objects: bool,
        trouble: &mut Trouble<'_>,
    ) -> Vec<Resource> {
        let mut taken = Taken::of(&self.facts.policy.settings);
        let local = self.local_hosts(slots, contents);
        let root: SmolStr = self.facts.policy.settings.root_namespace.as_str().into();
        let mut list = Vec::new();
        // Whether the object that holds for the pods of a slot restricts them.
        let mut closed = vec![false; slots.list.len()];
        for (at, slot) in slots.list.iter().enumerate() {
            let around = slot.parent.is_some_and(|parent| closed[parent]);
            closed[at] = match (&contents[at], &states[at].open) {
                (Some(_), _) => true,
                (None, Some(_)) => false,
                (None, None) => around,
            };
            let egress = match &contents[at] {
                Some(content) => {
                    let wanted = content.wanted(&self.destinations, slot.place.namespace.as_ref(), &local, &root);
                    let listeners = Listeners {
                        facts: self.facts,
                        entries: &self.entries,
                        addresses: &self.addresses,
                        namespace: slot.place.namespace.as_ref(),
                        // What is large is measured by its names, also where no objects are wanted.
                        with_names: with_objects || wanted.is_large(),
                    };
                    let (egress, flaw) = listeners.make(&wanted);
                    if let Some(flaw) = flaw {
                        states[at].flaws.add(None, &flaw);
                    }
                    if wanted.is_large() {
                        let rules = self.rules_of(slots, at);
                        let found = too_large(self.facts.policy, self.sources, &slot.place, &rules, &egress);
                        found.into_iter().for_each(|found| trouble.diagnostics.push(found));
                    }
                    Some(egress)
                }
                // Open pods inside closed ones need to be said so.
                None if around && !closed[at] => None,
                None => continue,
            };
            if !with_objects {
                continue;
            }
            let namespace = slot.place.namespace.clone().unwrap_or_else(|| root.clone());
            let (words, identity) = slot.place.words();
            let name = taken.name(&namespace, &words, "egress", &identity, Limit::Subdomain);
            let comment = egress.is_none().then(|| "Open: what these pods are allowed cannot be said here.".to_owned());
            let meta = Meta { namespace, name, rules: self.rules_of(slots, at), comment };
            list.push(Resource::Sidecar(Sidecar { meta, selector: slot.place.labels.clone(), egress }));
        }
        list
    }

    /// Returns the rules that an object of a slot comes from.
    fn rules_of(&self, slots: &Slots, slot: usize) -> Vec<RuleId> {
        const MANY: usize = 64;
        let mut rules: Vec<RuleId> = Vec::new();
        for (at, around) in slots.chain(slot).map(|slot| &slots.list[slot]).enumerate() {
            // An object inside names what is said of its own pods; what is said of all, where that is not too much.
            if at > 0 && rules.len() + around.own.len() > MANY {
                break;
            }
            let joined = if at == 0 { around.joined.as_slice() } else { &[] };
            rules.extend(around.own.iter().chain(joined).flat_map(|&at| self.said[at as usize].rules.iter().copied()));
        }
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    /// Judges each rule by the slots that its pods are in.
    fn judge(&self, statements: &[Statement<'_>], slots: &Slots, mut states: Vec<State>, judge: &mut Judge<'_>) {
        // Whether some pods of a slot are open, those of the slots inside included.
        let mut open: Vec<bool> = states.iter().map(|state| state.open.is_some()).collect();
        for at in (0..slots.list.len()).rev() {
            if let Some(parent) = slots.list[at].parent {
                let flaws = states[at].flaws.clone();
                states[parent].flaws.add_all(&flaws);
                open[parent] |= open[at];
            }
        }
        for (at, slot) in slots.list.iter().enumerate() {
            for &statement in &slot.own {
                let said = &self.said[statement as usize];
                let Some(&rule) = said.rules.first() else { continue };
                if said.action == Action::Deny {
                    if !states[at].isolated {
                        judge.flaw(rule, OUT, &Flaw::unable(NOT_ISOLATED));
                    } else if open[at] || states[at].flaws.of(rule).any(|flaw| flaw.level == Level::Unable) {
                        judge.flaw(rule, OUT, &Flaw::unable("another rule leaves these pods open"));
                    }
                } else if said.isolates && !said.reach.as_ref().is_some_and(|reach| reach.everything) {
                    states[at].flaws.of(rule).for_each(|flaw| judge.flaw(rule, OUT, flaw));
                }
            }
            for &statement in &slot.joined {
                let said = &self.said[statement as usize];
                let Some(&rule) = said.rules.first().filter(|_| said.isolates) else { continue };
                if said.reach.as_ref().is_some_and(|reach| reach.everything) {
                    continue;
                }
                if !states[at].isolated {
                    let why = "Istio cannot tell these pods from others, which nothing isolates";
                    judge.flaw(rule, OUT, &Flaw::unable(why));
                }
                states[at].flaws.of(rule).for_each(|flaw| judge.flaw(rule, OUT, flaw));
            }
        }
        for (at, why) in slots.without.iter().enumerate() {
            let (Some(why), said) = (why, &self.said[at]) else { continue };
            let Some(&rule) = said.rules.first().filter(|_| said.isolates || said.action == Action::Deny) else {
                continue;
            };
            let around = statements[at]
                .selector
                .namespace_name()
                .and_then(|name| slots.at(&crate::targets::istio::plan::subjects::Place::namespace(name)).or(Some(0)));
            let held = said.isolates && states[around.unwrap_or(0)].isolated;
            if !held {
                judge.flaw(rule, OUT, &Flaw::unable(*why));
            }
        }
        self.judge_pods(judge);
    }

    /// Names the pods without a sidecar, which nothing here stops.
    fn judge_pods(&self, judge: &mut Judge<'_>) {
        for (at, rule) in self.facts.part.rules(OUT) {
            judge.unmeshed(at, OUT, self.facts.unmeshed(&rule.source, OUT, OUT));
            crate::targets::istio::plan::left_out::judge(self.facts, at, rule, OUT, judge);
        }
    }
}

/// Returns the statements about a slot's pods, each with the slot that it is about.
fn statements_of(slots: &Slots, slot: usize) -> impl Iterator<Item = (u32, usize)> {
    let joined = slots.list[slot].joined.iter().map(move |&at| (at, slot));
    let own = slots.chain(slot).flat_map(|slot| slots.list[slot].own.iter().map(move |&at| (at, slot)));
    joined.chain(own)
}

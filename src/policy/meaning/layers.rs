//! A layer compared with its source: flows that the layer lets through in excess, and flows that it wrongly refuses.
//!
//! ```text
//! allow ingress lab/@curl -> garden/*     a layer that knows no accounts lets lab/@other in: excess of this rule's isolation
//! ```

use super::{Example, Meaning, Statement};
use crate::flows::{Feature, Name, OUTSIDE, Passing, Set, Side, Terms, TooLarge};
use crate::model::addresses::AddressSet;
use crate::model::gateways::Gateway;
use crate::model::labels::{Account, PodSelector};
use crate::model::rules::{Action, Direction, GrantId, RuleId};
use crate::policy::Policy;

impl<'p> Meaning<'p> {
    /// Prepares the meaning of some rule ends and grants, which are all that concern their pods, so that it can be
    /// compared with the sets of a layer. `add` adds the values of the layer; `budget` limits the steps of all sets.
    pub fn beside(
        policy: &'p Policy,
        ends: &[(RuleId, Direction)],
        grants: &[GrantId],
        budget: u64,
        add: impl FnOnce(&mut Terms),
    ) -> Meaning<'p> {
        let rules = ends.iter().map(|(at, _)| &policy.rules[at.index()]);
        let mut terms = super::terms_of(policy, rules, grants.iter().map(|at| &policy.grants[at.index()]));
        add(&mut terms);
        let mut meaning = Meaning::over(policy, terms, budget);
        for (at, direction) in ends {
            meaning.sort_rule(at.index(), *direction);
        }
        for at in grants {
            meaning.sort_grant(at.index());
        }
        meaning
    }

    /// Returns a flow that a layer lets through at the pods of a namespace although the source does not. Only flows of
    /// `within` count, and none of a rule for which the layer is `said` to let more through. On a way through a
    /// gateway, the property that one end checks need not be checked at the other end.
    pub fn excess(
        &mut self,
        direction: Direction,
        place: u32,
        layer: Passing,
        within: Set,
        said: &dyn Fn(RuleId, Direction) -> bool,
    ) -> Result<Option<Example<'p>>, TooLarge> {
        self.excess_beside(direction, place, layer, &mut |_| Passing::ALL, within, said)
    }

    /// Returns a flow that two layers let through together, as [`Meaning::excess`] does for one layer. The second layer
    /// is read only if the first alone lets such flows through.
    pub fn excess_beside(
        &mut self,
        direction: Direction,
        place: u32,
        layer: Passing,
        second: &mut dyn FnMut(&mut Meaning<'p>) -> Passing,
        within: Set,
        said: &dyn Fn(RuleId, Direction) -> bool,
    ) -> Result<Option<Example<'p>>, TooLarge> {
        let judged = self.passing(direction, place);
        let d = &mut self.flows.diagrams;
        let mut excess = layer.minus(judged, d);
        // Where pods are known, `within` lists the peers of each pod: everything else goes first there.
        let [first, last] =
            if self.policy.inventory.workloads.is_empty() { [within, Set::ALL] } else { [Set::ALL, within] };
        excess = d.and(excess, first);
        if excess != Set::NONE {
            let excused = self.spoken_of(direction, place, said);
            excess = self.flows.diagrams.minus(excess, excused);
        }
        if excess != Set::NONE {
            let second = second(self);
            let d = &mut self.flows.diagrams;
            let allowed = d.and(excess, second.allowed);
            let open = d.minus(excess, second.closed);
            let passing = d.or(allowed, open);
            excess = d.minus(passing, second.denied);
        }
        excess = self.flows.diagrams.and(excess, last);
        if excess != Set::NONE && direction == Direction::Ingress {
            excess = self.judged_here(place, excess);
        }
        self.between_places(direction, place, excess)
    }

    /// Returns the flows at the pods of a namespace that a rule may forbid: for a deny the flows that it matches; for
    /// other rules all flows of the pods that they isolate, and at a gateway the flows to its public hosts.
    pub fn forbidden(&mut self, at: RuleId, direction: Direction, place: u32) -> Set {
        self.spoken_of(direction, place, &|one, _| one == at)
    }

    /// Returns some flows without those that the other end of a way through a gateway checks: the gateway checks its
    /// clients, and the workload behind it their tokens.
    fn judged_here(&mut self, place: u32, mut excess: Set) -> Set {
        let claims = self.flows.token_variables();
        let client = [self.flows.space.var(Feature::Client)];
        let [to, from] = self.gateway_sides(place);
        let arriving = self.that_arrive(place, excess);
        // On egress through a gateway, no workload behind the gateway checks the flow.
        let led_out = self.all_led_out(place).0;
        let to = self.flows.diagrams.minus(to, led_out);
        for (side, elsewhere) in [(to, claims.as_slice()), (from, &client)] {
            if self.flows.diagrams.and(excess, side) != Set::NONE {
                let judged = self.judged(Direction::Ingress, place);
                let d = &mut self.flows.diagrams;
                let somehow = d.for_some(elsewhere, judged);
                let somehow = d.and(side, somehow);
                excess = d.minus(excess, somehow);
            }
        }
        self.flows.diagrams.or(excess, arriving)
    }

    /// Returns the flows into the pods of a namespace whose destination is a gateway, and those whose source is one.
    fn gateway_sides(&mut self, place: u32) -> [Set; 2] {
        let policy = self.policy;
        let [mut to, mut from] = [const { Vec::new() }; 2];
        for gateway in &policy.gateways {
            let own = self.gateway_pods(gateway, Side::Destination, true);
            to.push(self.flows.with_place(own, true, place));
            from.push(self.gateway_pods(gateway, Side::Source, false));
        }
        [to, from].map(|sets| self.flows.diagrams.union(sets))
    }

    /// Returns the flows to gateways that no rule with `via` lets in, and the flows from gateways with an unknown
    /// client, at the pods of a namespace.
    fn unpromised_at_gateways(&mut self, place: u32) -> [Set; 2] {
        let [to, from] = self.gateway_sides(place);
        let mut meant = vec![self.all_led_out(place).1];
        for statement in self.statements(Direction::Ingress, place) {
            if let Statement::Published(at) = statement {
                let fitting = self.published(&self.policy.rules[at]).1;
                meant.push(self.flows.with_place(fitting, true, place));
            }
        }
        let client = self.flows.space.var(Feature::Client);
        let d = &mut self.flows.diagrams;
        let meant = d.union(meant);
        let unknown = d.numbers(client, [(0, 0)], Set::ALL);
        [d.minus(to, meant), d.and(from, unknown)]
    }

    /// Returns a flow that a layer refuses at the pods of a namespace although the source lets it through. Only flows
    /// of `within` count; not those of `less` at the pods of a rule for which the layer is `said` to let less through,
    /// nor those of a rule that the layer is `unable` to enforce. At a gateway only the flows of rules with `via` are
    /// promised, and behind a gateway only those of known clients.
    pub fn lost(
        &mut self,
        direction: Direction,
        place: u32,
        layer: Passing,
        within: Set,
        (less, said): (Set, &dyn Fn(RuleId) -> bool),
        unable: &dyn Fn(RuleId, Direction) -> bool,
    ) -> Result<Option<Example<'p>>, TooLarge> {
        let judged = self.passing(direction, place);
        let d = &mut self.flows.diagrams;
        let lost = judged.minus(layer, d);
        let mut lost = d.and(lost, within);
        if lost != Set::NONE {
            let mut sets = Vec::new();
            for at in self.statements(direction, place) {
                if let Statement::Rule(at) = at
                    && said(RuleId::new(at))
                {
                    let set = self.governed(&self.policy.rules[at], direction);
                    sets.push(self.flows.with_place(set, true, place));
                }
            }
            let unsaid = self.spoken_of(direction, place, unable);
            let [to_gateways, from_gateways] = match direction {
                Direction::Egress => [Set::NONE; 2],
                Direction::Ingress => self.unpromised_at_gateways(place),
            };
            let d = &mut self.flows.diagrams;
            let pods = d.union(sets);
            let excused = d.and(pods, less);
            let excused = d.union(vec![excused, unsaid, to_gateways, from_gateways]);
            lost = d.minus(lost, excused);
        }
        self.between_places(direction, place, lost)
    }

    /// Returns the flows into the pods of a namespace that proxies can read.
    pub fn read_by_proxies(&mut self, place: u32) -> Set {
        let all = self.read_anywhere();
        let all = self.flows.with_place(all, true, place);
        // A sidecar wraps the request to an egress gateway: TLS names the host, and a request may be inside.
        let led_out = self.all_led_out(place).0;
        let whole = self.flows.whole_requests();
        let addresses = self.pod_addresses();
        let pods = self.flows.any_pod(false);
        let d = &mut self.flows.diagrams;
        let wrapped = [pods, whole, addresses].into_iter().fold(led_out, |set, other| d.and(set, other));
        let all = d.or(all, wrapped);
        let like_gateways = self.like_gateways(place);
        let behind_proxies = self.behind_proxies(Direction::Ingress, place);
        let pods_as_clients = self.pods_as_clients(place);
        let d = &mut self.flows.diagrams;
        let not = d.union(vec![like_gateways, behind_proxies, pods_as_clients]);
        d.minus(all, not)
    }

    fn read_anywhere(&mut self) -> Set {
        if let Some(known) = self.ends.read {
            return known;
        }
        let policy = self.policy;
        let whole = self.flows.whole_requests();
        let at_gateways = self.as_read(Direction::Ingress);
        let addresses = self.pod_addresses();
        let from = policy.gateways.iter().map(|gateway| self.gateway_pods(gateway, Side::Source, false)).collect();
        let named = self.flows.asks_for(Name::Tls, |_| true);
        let others = self.of_gateway_accounts();
        let d = &mut self.flows.diagrams;
        let all = d.and(whole, at_gateways);
        let all = d.and(all, addresses);
        // Behind the gateway the TLS name that the client asked for cannot be seen.
        let from = d.union(from);
        let unseen = d.and(from, named);
        let not = d.or(unseen, others);
        let all = d.minus(all, not);
        self.ends.read = Some(all);
        all
    }

    /// Returns the flows from pods to gateways that no rule leads out through. Such a gateway knows a pod only by its
    /// address, like any client.
    fn pods_as_clients(&mut self, place: u32) -> Set {
        let policy = self.policy;
        let mut leading_out: Vec<&Gateway> = Vec::new();
        for statement in self.statements(Direction::Ingress, place) {
            // A rule that leads out through a gateway has a grant from its pods to the gateway.
            let Statement::Grant(at) = statement else { continue };
            let rules = policy.grants[at].because.iter().filter_map(|at| policy.rule(*at));
            leading_out.extend(rules.filter(|rule| rule.egress).filter_map(|rule| Some(&*rule.via.as_ref()?.gateway)));
        }
        let leads_out = |gateway: &Gateway| leading_out.iter().any(|one| one.pods == gateway.pods);
        let mut sets = Vec::new();
        for gateway in policy.gateways.iter().filter(|gateway| !leads_out(gateway)) {
            let pods = self.gateway_pods(gateway, Side::Destination, true);
            sets.push(self.flows.with_place(pods, true, place));
        }
        let to = self.flows.diagrams.union(sets);
        let from = self.flows.any_pod(false);
        self.flows.diagrams.and(to, from)
    }

    /// Returns the flows from pods that have the labels of a gateway without its account, or this without those, unless
    /// such pods are known: a declaration says that its pods have both.
    fn of_gateway_accounts(&mut self) -> Set {
        let policy = self.policy;
        let mut sets = Vec::new();
        for gateway in &policy.gateways {
            let Some((namespace, account)) = &gateway.account else { continue };
            let account = Account::Is(account.clone());
            let running = PodSelector { account, ..PodSelector::in_namespace(namespace.clone()) };
            let running = self.flows.pods(Side::Source, false, &running);
            let labelled = self.gateway_pods(gateway, Side::Source, false);
            let d = &mut self.flows.diagrams;
            sets.push(d.minus(labelled, running));
            if !policy.shares_account(gateway) {
                sets.push(d.minus(running, labelled));
            }
        }
        self.flows.diagrams.union(sets)
    }

    /// Returns the flows to pods of a namespace that have the labels of a gateway in the root namespace: an object in
    /// the root namespace that selects these labels is for pods of every namespace.
    fn like_gateways(&mut self, place: u32) -> Set {
        let policy = self.policy;
        let root = &policy.settings.root_namespace;
        let pods = policy.gateways.iter().flat_map(|gateway| &gateway.pods);
        let in_root = pods.filter(|pods| pods.namespace_name().is_some_and(|name| name == root));
        let mut sets = Vec::new();
        if self.flows.space.place(root) == place {
            return Set::NONE;
        }
        let here = self.flows.space.namespace(place).cloned();
        let here = here.map_or_else(PodSelector::any, PodSelector::in_namespace).namespace;
        for pods in in_root {
            let like = PodSelector { namespace: here.clone(), ..pods.clone() };
            let pods = self.flows.pods(Side::Destination, true, &like);
            sets.push(self.flows.with_place(pods, true, place));
        }
        self.flows.diagrams.union(sets)
    }

    /// Returns the flows into pods whose source has an address that pods have, if it is a pod, and else one that pods
    /// do not have, and whose client has none of theirs: of a gateway pods are no clients.
    fn pod_addresses(&mut self) -> Set {
        let (pods, internet) = (&self.policy.pod_addresses, &self.policy.internet);
        let of_pods = match pods.blocks.is_empty() {
            true => AddressSet::everything().subtract(internet),
            false => pods.clone(),
        };
        let [from, not_from] = [&of_pods, pods].map(|set| self.flows.at(Side::Source, set));
        let from = self.flows.if_pod(false, from);
        let not_from = self.flows.diagrams.complement(not_from);
        let outside = self.flows.outside(false, not_from);
        let from = self.flows.diagrams.or(from, outside);
        let clients = self.flows.client(&AddressSet::everything().subtract(pods));
        self.flows.diagrams.and(from, clients)
    }

    /// Returns the flows at the pods of a namespace that some rules concern: for a deny the flows that it matches, for
    /// other rules all flows of the pods that they isolate.
    fn spoken_of(&mut self, direction: Direction, place: u32, of: &dyn Fn(RuleId, Direction) -> bool) -> Set {
        let policy = self.policy;
        let mut sets = Vec::new();
        for statement in self.statements(direction, place) {
            let set = match statement {
                Statement::Rule(at) | Statement::Published(at) if !of(RuleId::new(at), direction) => continue,
                Statement::Rule(at) => match policy.rules[at].action {
                    Action::Deny => self.matched(&policy.rules[at], direction),
                    Action::Allow | Action::Isolate => self.governed(&policy.rules[at], direction),
                },
                Statement::Published(at) => self.published(&policy.rules[at]).0,
                // A rule that leads out through a gateway is judged at its own pods, not at the gateway.
                Statement::LedOut(at) | Statement::LedOutDenied(at) if !of(RuleId::new(at), Direction::Egress) => {
                    continue;
                }
                Statement::LedOut(at) => self.led_out(&policy.rules[at]).0,
                Statement::LedOutDenied(at) => self.led_out_denied(&policy.rules[at]),
                Statement::Grant(_) => continue,
            };
            sets.push(self.flows.with_place(set, true, place));
        }
        self.flows.diagrams.union(sets)
    }

    /// Returns a flow of a set that can exist, at the pods of a namespace.
    fn between_places(&mut self, direction: Direction, place: u32, set: Set) -> Result<Option<Example<'p>>, TooLarge> {
        if self.flows.checked(set)? == Set::NONE {
            return Ok(None);
        }
        for other in [OUTSIDE].into_iter().chain(self.flows.space.pod_places().collect::<Vec<_>>()) {
            let (source, destination) = match direction {
                Direction::Egress => (place, other),
                Direction::Ingress => (other, place),
            };
            let here = self.flows.with_place(set, false, other);
            let here = self.possible(here, source, destination);
            if self.flows.checked(here)? != Set::NONE {
                return Ok(self.believable(here, source, destination));
            }
        }
        self.flows.checked(None)
    }
}

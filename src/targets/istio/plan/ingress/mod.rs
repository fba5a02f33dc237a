//! Ingress: what AuthorizationPolicies let through and deny, at workloads and at gateways.
//!
//! The allow rules of all policies on a pod are joined by or, and the first of them closes the pod to everything else.
//! That is what an allow rule of the source does, so each rule becomes one of the policy on its subject, and no subject
//! needs to know of another. Only a rule whose pods Istio cannot select joins what closes them.

pub mod identity;
pub mod named_ports;
pub mod operations;
pub mod peers;

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::model::conditions::{Conditions, Jwt};
use crate::model::endpoint::{Member, Pods, What, is_everybody};
use crate::model::gateways::Gateway;
use crate::model::labels::PodSelector;
use crate::model::ports::Ports;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::source::Sources;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::judge::{Flaw, Flaws, Judge, list_names};
use crate::targets::istio::limits::divided;
use crate::targets::istio::model::{
    AccessRule, AuthorizationPolicy, Comment, JwtRule, Meta, RequestAuthentication, Resource,
};
use crate::targets::istio::plan::gateway::access::{Asked, GatewayAccess, asked_behind, asked_of_gateway};
use crate::targets::istio::plan::left_out;
use crate::targets::istio::plan::subjects::overlaps::Overlaps;
use crate::targets::istio::plan::subjects::{Kind, Place, Placed, Placer, Why};
use crate::targets::names::{Limit, Taken};
use crate::targets::{Level, Refuses};
use identity::Callers;
use named_ports::{Named, resolve};
use operations::{To, add_token, issuer, to};
use peers::{From, Position, Senders};

const IN: Direction = Direction::Ingress;

/// The policies of the way in, as they are gathered.
#[derive(Default)]
pub struct Access {
    drafts: Vec<Draft>,
    index: FxHashMap<(Place, bool), usize>,
    issuers: FxHashMap<Place, (Vec<JwtRule>, Vec<RuleId>)>,
}

/// The policy of one place and action.
struct Draft {
    place: Place,
    deny: bool,
    rules: Vec<AccessRule>,
    /// The rules by what they say, where there are many.
    seen: FxHashMap<u64, SmallVec<[u32; 1]>>,
    origins: Vec<RuleId>,
    /// What holds for more of its pods than it is said of.
    flaws: Flaws,
}

impl Draft {
    /// Adds a rule, if none says the same.
    fn say(&mut self, rule: AccessRule) {
        const FEW: usize = 8;
        let at = self.rules.len() as u32;
        if self.rules.len() < FEW {
            if self.rules.iter().any(|have| have.says() == rule.says()) {
                return;
            }
        } else {
            if self.seen.is_empty() {
                self.rules
                    .iter()
                    .zip(0..)
                    .for_each(|(have, at)| self.seen.entry(hash(&have.says())).or_default().push(at));
            }
            let alike = self.seen.entry(hash(&rule.says())).or_default();
            if alike.iter().any(|have| self.rules[*have as usize].says() == rule.says()) {
                return;
            }
            alike.push(at);
        }
        self.rules.push(rule);
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Access {
    /// Returns the policy of a place, which closes its pods where it allows.
    fn draft(&mut self, place: &Place, deny: bool) -> &mut Draft {
        let at = match self.index.get(&(place.clone(), deny)) {
            Some(&at) => at,
            None => {
                self.index.insert((place.clone(), deny), self.drafts.len());
                self.drafts.push(Draft {
                    place: place.clone(),
                    deny,
                    rules: Vec::new(),
                    seen: FxHashMap::default(),
                    origins: Vec::new(),
                    flaws: Flaws::default(),
                });
                self.drafts.len() - 1
            }
        };
        &mut self.drafts[at]
    }

    /// Has the tokens of an issuer checked at a place, for a rule that asks for one there.
    fn token(&mut self, place: &Place, rule: RuleId, jwt: &Jwt) {
        let (issuers, rules) = self.issuers.entry(place.clone()).or_default();
        issuers.push(issuer(jwt));
        rules.push(rule);
    }

    /// Returns whether some rule closes the pods of a place.
    pub fn closes(&self, place: &Place) -> bool {
        self.index.contains_key(&(place.clone(), false))
            || (!place.labels.is_empty()
                && place.namespace.as_ref().is_some_and(|name| self.closes(&Place::namespace(name))))
            || (*place != Place::mesh() && self.index.contains_key(&(Place::mesh(), false)))
    }

    /// Adds a rule to the policy of a place.
    pub fn add(&mut self, place: &Place, deny: bool, rule: Option<AccessRule>, origin: RuleId) {
        let draft = self.draft(place, deny);
        if draft.origins.last() != Some(&origin) {
            draft.origins.push(origin);
        }
        if let Some(rule) = rule {
            draft.say(rule);
        }
    }

    /// Returns the objects.
    pub fn finish(mut self, facts: &Facts<'_>) -> Vec<Resource> {
        let (mut tokens, mut taken) = (Taken::of(&facts.policy.settings), Taken::of(&facts.policy.settings));
        let root: SmolStr = facts.policy.settings.root_namespace.as_str().into();
        let mut list = Vec::new();
        let mut issuers: Vec<_> = std::mem::take(&mut self.issuers).into_iter().collect();
        issuers.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (place, (mut issuers, rules)) in issuers {
            issuers.sort();
            issuers.dedup();
            let meta = meta(&place, &root, rules, "tokens", &mut tokens);
            list.push(Resource::RequestAuthentication(RequestAuthentication { meta, selector: place.labels, issuers }));
        }
        self.drafts.sort_unstable_by(|a, b| (&a.place, a.deny).cmp(&(&b.place, b.deny)));
        for draft in self.drafts {
            let Draft { place, deny, rules, origins, .. } = draft;
            let end = if deny { "ingress-deny" } else { "ingress" };
            let domain = &facts.policy.settings.trust_domain;
            let rules = rules.into_iter().flat_map(|rule| rule.in_domain(domain)).collect();
            for (at, rules) in divided(rules).into_iter().enumerate() {
                let end = if at == 0 { end.to_owned() } else { format!("{end}-{}", at + 1) };
                let meta = meta(&place, &root, origins.clone(), &end, &mut taken);
                let selector = place.labels.clone();
                list.push(Resource::AuthorizationPolicy(AuthorizationPolicy { meta, selector, deny, rules }));
            }
        }
        list
    }
}

fn meta(place: &Place, root: &SmolStr, rules: Vec<RuleId>, end: &str, taken: &mut Taken) -> Meta {
    let namespace = place.namespace.clone().unwrap_or_else(|| root.clone());
    let (words, identity) = place.words();
    let name = taken.name(&namespace, &words, end, &identity, Limit::Subdomain);
    Meta { namespace, name, rules, comment: None }
}

/// What is gathered of the way in.
pub struct Gathered<'a> {
    /// The policies.
    pub access: Access,
    /// Who calls whom with and without an identity.
    pub callers: Callers<'a>,
    /// What comes through gateways.
    pub gateways: GatewayAccess,
}

/// Gathers the policies of the way in.
pub fn gather<'a>(facts: &Facts<'a>, sources: &Sources, judge: &mut Judge<'a>) -> Gathered<'a> {
    let mut senders = Senders::new(facts);
    let gateways = GatewayAccess::new(facts, &mut senders);
    let mut gathering = Gathering {
        facts,
        sources,
        judge,
        placer: Placer::new(facts, Kind::Authorization),
        senders,
        gathered: Gathered { access: Access::default(), callers: Callers::default(), gateways },
        loose: Vec::new(),
        open: Vec::new(),
    };
    for (at, rule) in facts.part.rules(IN) {
        gathering.rule(at, rule);
    }
    gathering.join_loose();
    gathering.judge_joined();
    gathering.gathered
}

struct Gathering<'g, 'f, 'a> {
    facts: &'f Facts<'a>,
    sources: &'g Sources,
    judge: &'g mut Judge<'a>,
    placer: Placer<'f, 'a>,
    senders: Senders<'f, 'a>,
    gathered: Gathered<'a>,
    /// What is allowed to pods that have no place.
    loose: Vec<Loose<'a>>,
    /// The places that are left open, each with the rule that is the cause.
    open: Vec<(Place, RuleId, String)>,
}

struct Loose<'a> {
    rule: RuleId,
    selector: &'a PodSelector,
    access: Option<AccessRule>,
    why: Why,
}

impl<'a> Gathering<'_, '_, 'a> {
    fn rule(&mut self, at: RuleId, rule: &'a Rule) {
        for member in &rule.destination.members {
            if let What::Pods(pods) = &member.what {
                self.member(at, rule, member, pods);
            }
        }
        self.say_who_is_refused(at, rule);
    }

    fn member(&mut self, at: RuleId, rule: &'a Rule, member: &'a Member, pods: &'a Pods) {
        let selector = &pods.selector;
        let gateway = self.facts.gateway_of(selector);
        let placed = self.placer.place(selector);
        if rule.action == Action::Isolate {
            self.allow(at, selector, &placed, None);
            self.gathered.callers.isolate(at, selector);
            return;
        }
        let position = if gateway.is_some() { Position::Gateway } else { Position::Workload };
        let deny = rule.action == Action::Deny;
        let from = match &rule.via {
            Some(via) => self.gathered.gateways.caller(self.facts, at, rule, via, &mut self.senders, self.judge),
            None if deny => self.senders.denied(&rule.source, position),
            None => self.senders.of(&rule.source, position),
        };
        let asked = match (&rule.via, gateway) {
            (Some(via), _) => asked_behind(rule, via, &member.ports),
            (None, Some(gateway)) => asked_of_gateway(gateway, rule, &member.ports),
            (None, None) => vec![Asked::new(member.ports.clone(), (*rule.conditions).clone())],
        };
        for asked in asked {
            for (placed, to) in self.shares(at, deny, &asked, (selector, Rc::clone(&placed))) {
                match deny {
                    true => self.deny(at, rule, (selector, &placed, position), &from, to),
                    false => self.permit(at, rule, (selector, &placed, gateway), &from, to),
                }
            }
        }
        if !deny {
            self.say_how(at, rule, gateway, member);
        }
    }

    /// Divides a member of a destination into pods on which its port names are the same numbers, each with its operation.
    #[allow(clippy::type_complexity, reason = "the two go together, in one place")]
    fn shares(
        &mut self,
        at: RuleId,
        deny: bool,
        asked: &Asked,
        (selector, placed): (&'a PodSelector, Rc<Placed>),
    ) -> Vec<(Rc<Placed>, Result<To, String>)> {
        let operation = |ports: &Ports| to(self.facts, selector, &asked.on(ports), deny);
        let shares = match resolve(self.facts, selector, &asked.ports) {
            Ok(Named::Same(ports)) => return vec![(placed, operation(&ports))],
            Err(why) => return vec![(placed, Err(why))],
            Ok(Named::Apart(shares)) => shares,
        };
        let mut parts = Vec::with_capacity(shares.len());
        for share in &shares {
            let some = self.placer.place_some(&share.namespace, selector, &share.workloads);
            let mut to = operation(&share.ports);
            let apart = some.loose.is_none();
            if let (false, Ok(to)) = (apart, &mut to) {
                to.flaw = Some(Flaw::wider("no labels tell the pods on which a port name is one number from others"));
            }
            parts.push((if apart { Rc::new(some) } else { Rc::clone(&placed) }, to));
        }
        if !deny {
            // Those on which the names are no port are closed all the same.
            self.allow(at, selector, &placed, None);
        }
        parts
    }

    /// Lets what a rule allows through to some of its pods.
    fn permit(
        &mut self,
        at: RuleId,
        rule: &'a Rule,
        (selector, placed, gateway): (&'a PodSelector, &Placed, Option<&'a Gateway>),
        from: &From,
        to: Result<To, String>,
    ) {
        let access = match (&from.unable, to) {
            (None, Ok(to)) => self.access_rule(at, from, &to, &rule.conditions).map(|access| (access, to)),
            (Some(why), _) => Err(why.clone()),
            (None, Err(why)) => Err(why),
        };
        match access {
            Ok((access, to)) => {
                for flaw in from.flaw.iter().chain(&to.flaw) {
                    self.judge.flaw(at, IN, flaw);
                }
                for (flows, words) in to.narrower {
                    self.judge.narrower(at, IN, flows, words);
                }
                if gateway.is_none() {
                    let ports = to.operation.as_ref().map(|operation| operation.ports.clone()).unwrap_or_default();
                    self.gathered.callers.allow(at, selector, from, ports, to.nothing);
                } else if let (Some(gateway), Some(sources)) = (gateway, &from.sources)
                    && sources.iter().any(|source| source.remote)
                {
                    self.gathered.gateways.patch(self.facts, gateway, at, self.judge);
                }
                if rule.conditions.jwt.is_some() {
                    self.token(at, placed, &rule.conditions);
                }
                self.allow(at, selector, placed, access);
            }
            Err(why) => {
                // What it allows cannot be said, and must pass: its pods are left open.
                self.judge.flaw(at, IN, &Flaw::unable(why.clone()));
                let everything = AccessRule { comment: Comment::Open(at), ..AccessRule::default() };
                self.open.extend(placed.places.iter().map(|place| (place.clone(), at, why.clone())));
                self.gathered.callers.open(at, selector);
                self.allow(at, selector, placed, Some(everything));
            }
        }
    }

    /// Makes the rule of an AuthorizationPolicy; `None` where nothing would pass it.
    fn access_rule(
        &self,
        at: RuleId,
        from: &From,
        to: &To,
        conditions: &Conditions,
    ) -> Result<Option<AccessRule>, String> {
        let nobody = from.sources.as_ref().is_some_and(|sources| sources.is_empty());
        if to.nothing || nobody {
            return Ok(None);
        }
        let mut rule = AccessRule {
            comment: Comment::Rule(at),
            from: from.sources.clone().unwrap_or_default(),
            to: to.operation.clone(),
            when: to.when.clone(),
        };
        if let Some(jwt) = &conditions.jwt {
            add_token(&mut rule, from.sources.is_none(), jwt)?;
        }
        Ok(Some(rule))
    }

    fn allow(&mut self, at: RuleId, selector: &'a PodSelector, placed: &Placed, access: Option<AccessRule>) {
        for place in &placed.places {
            self.gathered.access.add(place, false, access.clone(), at);
        }
        if let Some(why) = placed.loose {
            self.loose.push(Loose { rule: at, selector, access, why });
        }
    }

    fn deny(
        &mut self,
        at: RuleId,
        rule: &Rule,
        (selector, placed, position): (&'a PodSelector, &Placed, Position),
        from: &From,
        to: Result<To, String>,
    ) {
        let unable = |why: String| Flaw::unable(why);
        let to = match (&from.unable, &from.flaw, to) {
            (Some(why), _, _) => Err(why.clone()),
            // More than is meant would be refused.
            (None, Some(flaw), _) => Err(flaw.reason.to_string()),
            (None, None, Ok(To { flaw: Some(flaw), .. })) => Err(flaw.reason.into_owned()),
            (None, None, to) => to,
        };
        let to = match to {
            Ok(to) if to.nothing => return,
            Ok(to) => to,
            Err(why) => return self.judge.flaw(at, IN, &unable(why)),
        };
        if position == Position::Gateway && from.identity {
            let why = "at a gateway clients have no identity";
            return self.judge.flaw(at, IN, &unable(why.into()));
        }
        if let Some(why) = placed.loose {
            self.judge.flaw(at, IN, &unable(why.into()));
        }
        match self.access_rule(at, from, &to, &rule.conditions) {
            Ok(Some(access)) => {
                for place in &placed.places {
                    self.gathered.access.add(place, true, Some(access.clone()), at);
                }
                if from.foreign {
                    let words = "callers of other trust domains are refused too";
                    self.judge.narrower(at, IN, Refuses::NothingAskedFor, words.into());
                }
                if from.identity {
                    let ports = to.operation.as_ref().map(|operation| operation.ports.clone()).unwrap_or_default();
                    self.gathered.callers.deny(at, selector, ports);
                }
                if let (Some(gateway), true) = (self.facts.gateway_of(selector), from.plain && from.sources.is_some()) {
                    self.gathered.gateways.patch(self.facts, gateway, at, self.judge);
                }
            }
            Ok(None) => {}
            Err(why) => self.judge.flaw(at, IN, &unable(why)),
        }
    }

    fn token(&mut self, at: RuleId, placed: &Placed, conditions: &Conditions) {
        let Some(jwt) = &conditions.jwt else { return };
        placed.places.iter().for_each(|place| self.gathered.access.token(place, at, jwt));
        self.judge.narrower(
            at,
            IN,
            Refuses::NothingAskedFor,
            "requests with a token that is not valid are refused, whatever else allows them".into(),
        );
    }

    /// Gives what has no place to the policies that close its pods.
    fn join_loose(&mut self) {
        let loose = std::mem::take(&mut self.loose);
        if loose.is_empty() {
            return;
        }
        let root = &self.facts.policy.settings.root_namespace;
        let access_of = &self.gathered.access;
        let closing = access_of.drafts.iter().filter(|draft| !draft.deny).map(|draft| &draft.place);
        let closing: Vec<Place> = closing.cloned().collect();
        let closed: FxHashSet<&Place> = closing.iter().collect();
        let mut overlaps = Overlaps::new(closing.iter());
        let mesh = access_of.index.contains_key(&(Place::mesh(), false));
        for Loose { rule, selector, access, why } in loose {
            let whole = selector.namespace_name().filter(|name| *name != root).map(Place::namespace);
            let whole = whole.filter(|place| mesh || closed.contains(place));
            let held = whole.is_some() || mesh;
            let targets: Vec<Place> = match whole {
                Some(place) => vec![place],
                None if mesh => vec![Place::mesh()],
                None => overlaps.of(self.facts, selector).into_iter().map(|at| closing[at].clone()).collect(),
            };
            if !held {
                self.judge.flaw(rule, IN, &Flaw::unable(why));
            }
            let words =
                format!("what {} gives holds for these pods too, since Istio cannot tell them apart", self.place(rule));
            for place in targets {
                self.gathered.access.add(&place, false, access.clone(), rule);
                let jwt = self.facts.policy.rule(rule).and_then(|rule| rule.conditions.jwt.as_ref());
                if let (Some(_), Some(jwt)) = (&access, jwt) {
                    self.gathered.access.token(&place, rule, jwt);
                }
                self.gathered.access.draft(&place, false).flaws.add(Some(rule), &Flaw::wider(words.clone()));
            }
        }
    }

    /// Judges each rule by what others give to its pods along with their own.
    fn judge_joined(&mut self) {
        for (place, rule, why) in std::mem::take(&mut self.open) {
            let flaw = Flaw::unable(format!("{} leaves these pods open: {why}", self.place(rule)));
            self.gathered.access.draft(&place, false).flaws.add(Some(rule), &flaw);
        }
        let drafts = &self.gathered.access.drafts;
        if drafts.iter().all(|draft| draft.flaws.is_empty()) {
            return;
        }
        let mut overlaps = Overlaps::new(drafts.iter().map(|draft| &draft.place));
        // For each policy, the flaws of all that may have pods of it.
        let mut flaws: Vec<Flaws> = vec![Flaws::default(); drafts.len()];
        for draft in drafts.iter().filter(|draft| !draft.flaws.is_empty()) {
            for other in overlaps.of(self.facts, &draft.place.selector()) {
                flaws[other].add_all(&draft.flaws);
            }
        }
        for (draft, flaws) in drafts.iter().zip(&flaws).filter(|(draft, _)| !draft.deny) {
            for &rule in &draft.origins {
                flaws.of(rule).for_each(|flaw| self.judge.flaw(rule, IN, flaw));
            }
        }
    }

    fn say_how(&mut self, at: RuleId, rule: &Rule, gateway: Option<&Gateway>, member: &Member) {
        let http = |member: &Member| {
            let ports = member.ports.entries();
            !ports.is_empty()
                && ports.iter().all(|port| port.app.is_some_and(crate::model::ports::AppProtocol::has_requests))
        };
        let how: std::borrow::Cow<'static, str> = match (gateway, &rule.via) {
            (Some(gateway), _) if gateway.proxies > 0 => {
                format!("judged at the gateway, by {}", client_words(gateway.proxies)).into()
            }
            (Some(_), _) => {
                "judged at the gateway, by the address that the packet comes from; its Service must keep it".into()
            }
            (None, Some(via)) if via.at.is_empty() => "the client's address is judged at the gateway, by its port".into(),
            (None, Some(_)) if !http(member) => {
                "the client's address and the TLS name are judged at the gateway, whose routes lead here".into()
            }
            (None, Some(_)) if !rule.conditions.paths.is_empty() => {
                "the client's address is judged at the gateway, the rest at the receiving sidecar, which paths must reach \
                 unchanged"
                    .into()
            }
            (None, Some(_)) => {
                "the client's address is judged at the gateway, the rest at the receiving sidecar".into()
            }
            (None, None) if http(member) => "judged at the receiving sidecar".into(),
            (None, None) => "judged at the receiving sidecar; a server that speaks first shows its greeting".into(),
        };
        self.judge.how(at, IN, Level::Exact, how);
    }

    /// Notes the callers without identity, and the pods that no sidecar guards. A rule that lets everybody in asks nobody for
    /// an identity, and pods without a sidecar refuse nobody.
    fn say_who_is_refused(&mut self, at: RuleId, rule: &Rule) {
        let unguarded = self.facts.unmeshed(&rule.destination, IN, IN);
        let guarded = !unguarded.all || unguarded.is_empty();
        self.judge.unmeshed(at, IN, unguarded);
        left_out::judge(self.facts, at, rule, IN, self.judge);
        let by_identity = guarded && !is_everybody(rule.source.members.iter());
        if rule.action == Action::Allow && rule.via.is_none() && by_identity {
            let callers = self.facts.unmeshed(&rule.source, IN, Direction::Egress);
            let past = left_out::plain_callers(self.facts, rule);
            for (who, names) in [
                ("callers without a sidecar are refused", callers.bare),
                ("callers in ambient mode are refused where a sidecar takes no tunnel", callers.ambient),
                ("calls that annotations keep from the callers' sidecars are refused", [callers.kept, past].concat()),
            ] {
                if !names.is_empty() {
                    let words = format!("{who}: {}", list_names(&names));
                    self.judge.refuses(at, IN, Refuses::PodsWithoutIdentity, words);
                }
            }
        }
    }

    fn place(&self, rule: RuleId) -> String {
        let rule = self.facts.policy.rule(rule);
        rule.map(|rule| self.sources.place(rule.origin.span)).unwrap_or_default()
    }
}

/// Returns by what a gateway behind proxies knows a client.
fn client_words(proxies: u32) -> String {
    match proxies {
        1 => "the last address in X-Forwarded-For, which the proxy in front appends".into(),
        many => {
            format!("the last address but {} in X-Forwarded-For, to which {many} proxies in front append", many - 1)
        }
    }
}

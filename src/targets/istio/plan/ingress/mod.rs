//! Ingress: AuthorizationPolicies at workloads, and at the gateways in front of them.
//!
//! ```netpol
//! allow ingress lab/@curl -> garden/{app=web}:8080/http where method GET
//! ```
//!
//! ```yaml
//! action: ALLOW
//! rules:
//!   - from:
//!       - source:
//!           principals: [cluster.local/ns/lab/sa/curl]
//!     to:
//!       - operation:
//!           ports: ["8080"]
//!           methods: [GET]
//! ```
//!
//! The ALLOW rules of all AuthorizationPolicies on a pod are joined by *or*, and the first one closes the pod to
//! everything else. An allow of the source means the same, so each rule becomes a rule of the AuthorizationPolicy on
//! its subject, and subjects are independent of each other. Only a rule whose pods Istio cannot distinguish from others
//! joins the policies that close them (`sharing`). Callers have a certain identity only under strict mTLS (`identity`).

mod callers;
mod how;
pub mod identity;
mod named_ports;
pub mod policies;
mod sharing;

use std::rc::Rc;
use std::sync::Arc;

use self::callers::Callers;
use self::named_ports::{Named, resolve};
use self::policies::Policies;
use self::sharing::{LeftOpen, Shared};
use super::gateway::access::{asked_behind, asked_of_gateway, through};
use super::gateway::at_gateway::Passage;
use super::gateway::clients;
use super::gateway::correlation::Correlation;
use super::operations::{Access, To, add_token, to};
use super::peers::{Peer, Peers, Position};
use super::subjects::{Finder, Kind, Subjects};
use super::unguarded;
use crate::model::conditions::Conditions;
use crate::model::endpoint::{Member, Pods, What};
use crate::model::gateways::Gateway;
use crate::model::labels::PodSelector;
use crate::model::ports::Ports;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{Findings, IstioGap, Note};
use crate::targets::istio::model::{AccessRule, Comment};
use crate::targets::{Level, Refuses};

const IN: Direction = Direction::Ingress;

/// The drafts for the ingress rules.
#[derive(Default)]
pub struct Ingress<'a> {
    /// The AuthorizationPolicies and RequestAuthentications.
    pub policies: Policies,
    /// The callers with and without an identity.
    pub callers: Callers<'a>,
    /// The access that gateways have to judge for workloads.
    pub passages: Vec<Passage>,
    /// The rules that judge the clients of a gateway by their addresses.
    pub by_address: Vec<(RuleId, &'a Gateway)>,
    /// The findings about rule ends.
    pub findings: Findings,
}

/// Makes the drafts for the ingress rules.
pub fn plan<'a>(facts: &Facts<'a>, peers: &Peers<'_, 'a>) -> Ingress<'a> {
    let mut gathering = Gathering {
        facts,
        peers,
        correlation: Correlation::new(facts, peers),
        finder: Finder::new(facts, Kind::Authorization),
        all: Ingress::default(),
        shared: Vec::new(),
        open: Vec::new(),
    };
    for (at, rule) in facts.part.rules(IN) {
        gathering.rule(at, rule);
    }
    let Gathering { mut all, shared, open, .. } = gathering;
    let joined = sharing::join(facts, &mut all.policies, shared);
    let gaps = sharing::gaps(facts, &mut all.policies, open);
    Ingress { findings: all.findings.then(joined).then(gaps), ..all }
}

struct Gathering<'f, 'a> {
    facts: &'f Facts<'a>,
    peers: &'f Peers<'f, 'a>,
    correlation: Option<Correlation>,
    finder: Finder<'f, 'a>,
    all: Ingress<'a>,
    shared: Vec<Shared<'a>>,
    open: Vec<LeftOpen>,
}

/// Some pods of a rule's destination.
struct Receivers<'p, 'a> {
    selector: &'a PodSelector,
    subjects: &'p Subjects,
    /// The gateway whose pods they are.
    gateway: Option<&'a Gateway>,
}

impl<'a> Gathering<'_, 'a> {
    fn rule(&mut self, at: RuleId, rule: &'a Rule) {
        let pods = || {
            let members = rule.destination.members.iter();
            members.filter_map(|member| match &member.what {
                What::Pods(pods) => Some((member, pods)),
                _ => None,
            })
        };
        if rule.action == Action::Isolate {
            for (_, pods) in pods() {
                let subjects = self.finder.find(&pods.selector);
                self.add_to_policies(at, &pods.selector, &subjects, None);
                self.all.callers.isolate(at, &pods.selector);
            }
        } else {
            let behind = pods().next().and_then(|_| self.behind(at, rule));
            for (member, pods) in pods() {
                self.member(at, rule, behind.as_ref(), member, pods);
            }
        }
        for note in unguarded::on_the_way_in(self.facts, rule) {
            self.all.findings.add(at, IN, note);
        }
    }

    /// Leads a rule through its gateway, and returns the caller of the workload.
    fn behind(&mut self, at: RuleId, rule: &'a Rule) -> Option<Rc<Peer>> {
        let via = rule.via.as_ref()?;
        let through = through(self.facts, self.correlation.as_ref(), self.peers, (at, rule), via);
        through.notes.into_iter().for_each(|note| self.all.findings.add(at, IN, note));
        self.all.passages.extend(through.passage);
        self.all.by_address.extend(through.by_address.then(|| (at, &*via.gateway)));
        Some(through.caller)
    }

    fn member(&mut self, at: RuleId, rule: &'a Rule, behind: Option<&Rc<Peer>>, member: &'a Member, pods: &'a Pods) {
        let selector = &pods.selector;
        let gateway = self.facts.gateway_of(selector);
        let subjects = self.finder.find(selector);
        let position = if gateway.is_some() { Position::Gateway } else { Position::Workload };
        let deny = rule.action == Action::Deny;
        let peer = match behind {
            Some(caller) => Rc::clone(caller),
            None if deny => self.peers.denied(&rule.source, position),
            None => self.peers.of(&rule.source, position),
        };
        let peer = match (gateway, &peer.sources) {
            (Some(gateway), Some(all)) if !gateway.proxies_from.is_empty() => {
                let sources = if deny { clients::denied(gateway, all) } else { clients::believed(gateway, all) };
                Rc::new(Peer { sources: Some(sources), ..Peer::clone(&peer) })
            }
            _ => peer,
        };
        if let Some(gap) = gateway.filter(|_| deny).and_then(|gateway| clients::forged(gateway, rule)) {
            self.all.findings.gap(at, IN, &gap);
        }
        if !deny && behind.is_none() && peer.identity {
            self.pods_at_gateway(at, selector);
        }
        if gateway.is_none() && behind.is_none() && peer.sources.is_some() {
            self.behind_proxies(at, rule, selector);
        }
        let asked = match (&rule.via, gateway) {
            (Some(via), _) => asked_behind(rule, via, &member.ports),
            (None, Some(gateway)) => asked_of_gateway(gateway, rule, &member.ports),
            (None, None) => vec![Access::new(member.ports.clone(), (*rule.conditions).clone())],
        };
        if asked.is_empty() && !deny {
            // No request has both the public host and that of `where host`; the rule still closes the pods.
            self.add_to_policies(at, selector, &subjects, None);
        }
        for asked in asked {
            for (subjects, to) in self.by_number(at, deny, &asked, selector, &subjects) {
                let to = to.and_then(|to| {
                    let ports = to.operation.as_ref().map(|operation| operation.ports.as_slice()).unwrap_or_default();
                    let unnamed = gateway.filter(|_| !to.nothing);
                    let unnamed = unnamed.and_then(|gateway| clients::unnamed(gateway, &peer, ports));
                    unnamed.map_or(Ok(to), Err)
                });
                let receivers = Receivers { selector, subjects: &subjects, gateway };
                match deny {
                    true => self.deny(at, rule, &receivers, &peer, to),
                    false => self.permit(at, rule, &receivers, &peer, to),
                }
            }
        }
        if !deny {
            let how = Note::How(Level::Exact, how::words(rule, gateway, member));
            self.all.findings.add(at, IN, how);
        }
    }

    /// Finds that a rule lets pods in at a gateway, which knows no identity but of those that it leads out.
    fn pods_at_gateway(&mut self, at: RuleId, selector: &PodSelector) {
        let meant = |gateway: &&Arc<Gateway>| gateway.pods.iter().any(|own| own.overlaps(selector));
        let Some(gateway) = self.facts.policy.gateways.iter().find(meant) else { return };
        let (name, leads_out) = (&gateway.name, self.facts.leads_out(gateway));
        let but = if leads_out { ", but for hosts to which rules lead out" } else { "" };
        let words = format!("at {name} clients have no identity{but}: pods are refused there");
        let note = match selector.is_inside(&gateway.pods) && !leads_out {
            true => Note::refuses(Refuses::PodsAtGateway, words),
            false => Note::narrower(Refuses::PodsAtGateway, words),
        };
        self.all.findings.add(at, IN, note);
    }

    /// Finds the gap of a rule about addresses whose pods are a gateway's behind proxies, and others: an object for all
    /// of them judges packets, which come from the proxies there.
    fn behind_proxies(&mut self, at: RuleId, rule: &Rule, selector: &PodSelector) {
        let outside = rule.source.members.iter().any(|member| matches!(member.what, What::Addresses(_)));
        let Some(gateway) = self.facts.policy.behind_proxies(selector).filter(|_| outside) else { return };
        let why = format!(
            "among these pods are those of `{}`, where packets come from proxies: write a rule for it by its name",
            gateway.name
        );
        let gap = if rule.action == Action::Deny { IstioGap::unable(why) } else { IstioGap::wider(why) };
        self.all.findings.gap(at, IN, &gap);
        let words = "a client whose packets come from a proxy, at a gateway among these pods";
        self.all.findings.narrower(at, IN, Refuses::Unasked, words);
    }

    /// Divides a member of a destination into pods on which its port names are the same numbers, each with its
    /// operation.
    fn by_number(
        &mut self,
        at: RuleId,
        deny: bool,
        asked: &Access,
        selector: &'a PodSelector,
        subjects: &Rc<Subjects>,
    ) -> Vec<(Rc<Subjects>, Result<To, String>)> {
        let operation = |ports: &Ports| to(self.facts, selector, &asked.on(ports), deny);
        let shares = match resolve(self.facts, selector, &asked.ports) {
            Ok(Named::Same(ports)) => return vec![(Rc::clone(subjects), operation(&ports))],
            Err(why) => return vec![(Rc::clone(subjects), Err(why))],
            Ok(Named::Apart(shares)) => shares,
        };
        let mut parts = Vec::with_capacity(shares.len());
        for share in &shares {
            let some = self.finder.find_some(&share.namespace, selector, &share.workloads);
            let mut to = operation(&share.ports);
            let apart = some.indistinct.is_none();
            if let (false, Ok(to)) = (apart, &mut to) {
                to.gap =
                    Some(IstioGap::wider("no labels tell the pods on which a port name is one number from others"));
            }
            parts.push((if apart { Rc::new(some) } else { Rc::clone(subjects) }, to));
        }
        if !deny {
            // A rule still closes pods on which its port names have no number.
            self.add_to_policies(at, selector, subjects, None);
        }
        parts
    }

    /// Adds the access of an allow to the policies of some of its pods.
    fn permit(
        &mut self,
        at: RuleId,
        rule: &'a Rule,
        receivers: &Receivers<'_, 'a>,
        peer: &Peer,
        to: Result<To, String>,
    ) {
        let Receivers { selector, subjects, gateway } = *receivers;
        let access = match (&peer.unable, to) {
            (None, Ok(to)) => rule_of(at, peer, &to, &rule.conditions).map(|access| (access, to)),
            (Some(why), _) => Err(why.clone()),
            (None, Err(why)) => Err(why),
        };
        match access {
            Ok((access, to)) => {
                for gap in peer.gap.iter().chain(&to.gap) {
                    self.all.findings.gap(at, IN, gap);
                }
                for (flows, words) in to.narrower {
                    self.all.findings.narrower(at, IN, flows, words);
                }
                match gateway {
                    None => {
                        let ports = to.operation.as_ref().map(|operation| operation.ports.clone()).unwrap_or_default();
                        self.all.callers.allow(at, selector, peer, ports, to.nothing);
                    }
                    Some(gateway) if peer.sources.iter().any(|all| all.iter().any(|source| source.remote)) => {
                        self.by_address(at, gateway);
                        let claimed = clients::claimed(gateway, peer);
                        claimed.into_iter().for_each(|gap| self.all.findings.gap(at, IN, &gap));
                    }
                    Some(_) => {}
                }
                if let Some(jwt) = &rule.conditions.jwt {
                    subjects.list.iter().for_each(|subject| self.all.policies.token(subject, at, jwt));
                    let words = "requests with a token that is not valid are refused, whatever else allows them";
                    self.all.findings.narrower(at, IN, Refuses::NothingAskedFor, words);
                }
                self.add_to_policies(at, selector, subjects, access);
            }
            Err(why) => {
                // If Istio cannot express an allowed flow, the flow must still pass, so its pods are left open.
                self.all.findings.gap(at, IN, &IstioGap::unable(why.clone()));
                let everything = AccessRule { comment: Comment::Open(at), ..AccessRule::default() };
                let open = subjects.list.iter().map(|subject| LeftOpen {
                    subject: subject.clone(),
                    rule: at,
                    why: why.clone(),
                });
                self.open.extend(open);
                self.all.callers.open(at, selector);
                self.add_to_policies(at, selector, subjects, Some(everything));
            }
        }
    }

    /// Adds access to the policies of subjects; `None` only closes them.
    fn add_to_policies(
        &mut self,
        at: RuleId,
        selector: &'a PodSelector,
        subjects: &Subjects,
        access: Option<AccessRule>,
    ) {
        for subject in &subjects.list {
            self.all.policies.add(subject, false, access.clone(), at);
        }
        if let Some(why) = subjects.indistinct {
            self.shared.push(Shared { rule: at, selector, access, why });
        }
    }

    /// Adds the access of a deny to the policies of some of its pods.
    fn deny(&mut self, at: RuleId, rule: &Rule, receivers: &Receivers<'_, 'a>, peer: &Peer, to: Result<To, String>) {
        let Receivers { selector, subjects, gateway } = *receivers;
        let to = match (&peer.unable, &peer.gap, to) {
            (Some(why), _, _) => Err(IstioGap::unable(why.clone())),
            // A wider deny would refuse flows that no rule denies.
            (None, Some(gap), _) => Err(gap.clone().at_worst()),
            (None, None, Ok(To { gap: Some(gap), .. })) => Err(gap.at_worst()),
            (None, None, to) => to.map_err(IstioGap::unable),
        };
        let to = match to {
            Ok(to) if to.nothing => return,
            Ok(to) => to,
            Err(gap) => return self.all.findings.gap(at, IN, &gap),
        };
        if gateway.is_some() && peer.identity {
            return self.all.findings.gap(at, IN, &IstioGap::unable("at a gateway clients have no identity"));
        }
        if let Some(why) = subjects.indistinct {
            self.all.findings.gap(at, IN, &IstioGap::unable(why));
        }
        match rule_of(at, peer, &to, &rule.conditions) {
            Ok(Some(access)) => {
                for subject in &subjects.list {
                    self.all.policies.add(subject, true, Some(access.clone()), at);
                }
                if peer.foreign {
                    let words = "callers of other trust domains are refused too";
                    self.all.findings.narrower(at, IN, Refuses::NothingAskedFor, words);
                }
                if peer.identity {
                    let ports = to.operation.as_ref().map(|operation| operation.ports.clone()).unwrap_or_default();
                    self.all.callers.deny(at, selector, ports);
                }
                if let (Some(gateway), true) = (gateway, peer.plain && peer.sources.is_some()) {
                    self.by_address(at, gateway);
                }
            }
            Ok(None) => {}
            Err(why) => self.all.findings.gap(at, IN, &IstioGap::unable(why)),
        }
    }

    /// Records that a rule judges the clients of a gateway by their addresses.
    fn by_address(&mut self, at: RuleId, gateway: &'a Gateway) {
        let unseen = clients::unseen(self.facts, gateway);
        unseen.into_iter().for_each(|note| self.all.findings.add(at, IN, note));
        self.all.by_address.push((at, gateway));
    }
}

/// Makes the rule of an AuthorizationPolicy; `None` if no flow would match it.
fn rule_of(at: RuleId, peer: &Peer, to: &To, conditions: &Conditions) -> Result<Option<AccessRule>, String> {
    let nobody = peer.sources.as_ref().is_some_and(|sources| sources.is_empty());
    if to.nothing || nobody {
        return Ok(None);
    }
    let mut rule = AccessRule {
        comment: Comment::Rule(at),
        from: peer.sources.clone().unwrap_or_default(),
        to: to.operation.clone(),
        when: to.when.clone(),
    };
    if let Some(jwt) = &conditions.jwt {
        add_token(&mut rule, peer.sources.is_none(), jwt)?;
    }
    Ok(Some(rule))
}

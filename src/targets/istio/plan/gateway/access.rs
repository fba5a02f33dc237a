//! Gateway access: who may come in through a gateway and ask for which public host, and who may leave through one.
//!
//! ```text
//! allow ingress 203.0.113.0/24 -> garden/web:80/http via edge at "garden.example"
//!
//! the gateway    the client's address and the host (methods and paths, too), judged together
//! the workload   the gateway's identity and the host (methods, paths and token, too), judged together
//! ```
//!
//! A port whose TLS ends at the gateway knows a client by the host of its requests, one that passes TLS on by the name
//! that TLS asks for, and any other by its number. What no rule speaks of passes as before (`gateway_others`). Where two
//! rules could lend each other a half, the workload judges the client too (`correlation`).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::correlation::Correlation;
use super::others::others;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::model::conditions::Conditions;
use crate::model::endpoint::Member;
use crate::model::gateways::{Gateway, Via};
use crate::model::hosts::HostName;
use crate::model::labels::PodSelector;
use crate::model::ports::{AppProtocol, PortMatch, Ports};
use crate::model::rules::{Direction, Rule, RuleId};
use crate::policy::Policy;
use crate::targets::Refuses;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::judge::{Flaw, Judge};
use crate::targets::istio::model::{AccessRule, Comment, Condition, Meta, Operation, Resource, ServicePatch, Source};
use crate::targets::istio::plan::ingress::Access;
use crate::targets::istio::plan::ingress::operations::{host_patterns, path_patterns};
use crate::targets::istio::plan::ingress::peers::{From, Position, Senders};
use crate::targets::istio::plan::subjects::{Kind, Place, Placer};

const IN: Direction = Direction::Ingress;

/// The condition on the name that TLS asks for.
pub const SNI: &str = "connection.sni";

/// What comes in and goes out through gateways.
#[derive(Default)]
pub struct GatewayAccess {
    /// For each gateway by its pods, what is said of it.
    gateways: Vec<AtGateway>,
    /// Which rules have their clients judged at the workload too.
    correlation: Option<Correlation>,
    /// The Services whose packets must keep the client's address, with the rules that need it.
    patches: BTreeMap<(SmolStr, SmolStr), Vec<RuleId>>,
    /// The gateways whose Service is not known, with the first rule that needs it.
    unknown: Vec<(SmolStr, RuleId)>,
    /// The gateways that no client's address reaches, with the first rule that needs it.
    unseen: Vec<(Arc<Gateway>, RuleId)>,
    seen: FxHashSet<RuleId>,
}

/// What is said of one gateway.
pub struct AtGateway {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// What rules let in, each with the rule.
    rules: Vec<(RuleId, AccessRule)>,
    /// The rule that spoke of it first.
    first: RuleId,
    /// The public hosts of which rules speak.
    pub hosts: BTreeSet<HostName>,
    /// The pod ports without names of which rules speak.
    pub ports: BTreeSet<u16>,
    /// The hosts that are reached through it on the way out.
    pub exits: BTreeSet<HostName>,
}

impl GatewayAccess {
    /// Begins with the rules of a part.
    pub fn new(facts: &Facts<'_>, senders: &mut Senders<'_, '_>) -> GatewayAccess {
        GatewayAccess { correlation: Correlation::new(facts, senders), ..GatewayAccess::default() }
    }

    /// Returns who calls the workload of an ingress rule through a gateway: the gateway, and where rules could lend each
    /// other a half the gateway for just these clients. Notes what the gateway has to judge.
    pub fn caller(
        &mut self,
        facts: &Facts<'_>,
        at: RuleId,
        rule: &Rule,
        via: &Arc<Via>,
        senders: &mut Senders<'_, '_>,
        judge: &mut Judge<'_>,
    ) -> Rc<From> {
        let Some((namespace, account)) = &via.gateway.account else {
            let unable =
                Some(format!("gateway {} names no account by which the workload could know it", via.gateway.name));
            return Rc::new(From { unable, ..From::default() });
        };
        let from = senders.of(&rule.source, Position::Gateway);
        if self.seen.insert(at) {
            match self.at_gateway(facts, at, rule, via, &from) {
                Ok(()) => self.judge(facts, at, rule, via, &from, judge),
                Err(why) => judge.flaw(at, IN, &Flaw::unable(why)),
            }
        }
        let principals = vec![format!("{}/ns/{namespace}/sa/{account}", facts.policy.settings.trust_domain)];
        let gateway = Source { principals, ..Source::default() };
        let sources = match (&from.sources, self.forwarded(at, rule, via)) {
            // The gateway writes its client's address last into X-Forwarded-For: together with its identity that holds.
            (Some(clients), Forwarded::Judged) => {
                let clients = clients.iter().filter(|client| client.remote).cloned();
                clients.map(|client| Source { principals: gateway.principals.clone(), ..client }).collect()
            }
            _ => vec![gateway],
        };
        Rc::new(From { sources: Some(Rc::new(sources)), identity: true, ..From::default() })
    }

    /// Returns whether the workload can, and has to, judge the client behind the gateway.
    fn forwarded(&self, at: RuleId, rule: &Rule, via: &Via) -> Forwarded {
        let Some(reason) = self.correlation.as_ref().and_then(|correlation| correlation.lends(at)) else {
            return Forwarded::No;
        };
        let read = |member: &Member| {
            let entries = member.ports.entries();
            !entries.is_empty() && entries.iter().all(|port| port.app.is_some_and(AppProtocol::has_requests))
        };
        if via.gateway.proxies == 0 && rule.destination.members.iter().all(read) {
            Forwarded::Judged
        } else {
            Forwarded::Lost(reason)
        }
    }

    fn judge(
        &mut self,
        facts: &Facts<'_>,
        at: RuleId,
        rule: &Rule,
        via: &Arc<Via>,
        from: &From,
        judge: &mut Judge<'_>,
    ) {
        if from.sources.is_some() {
            self.patch(facts, &via.gateway, at, judge);
        }
        if from.identity {
            judge.narrower(
                at,
                IN,
                Refuses::PodsAtGateway,
                "at a gateway clients have no identity: pods are refused".into(),
            );
        }
        if let Forwarded::Lost(other) = self.forwarded(at, rule, via) {
            let why = if via.gateway.proxies > 0 { "behind proxies" } else { "on such ports" };
            judge.flaw(
                at,
                IN,
                &Flaw::wider(format!(
                    "{other} lets other clients in through {}, and {why} only the gateway knows the client, while only \
                     the pods know what is theirs",
                    via.gateway.name
                )),
            );
        }
        if self.correlation.as_ref().is_some_and(|correlation| correlation.is_tokenless(at)) {
            let name = &via.gateway.name;
            let words = format!(
                "another rule lets {name} into these pods without this token, which the pods alone ask for: `where jwt` there too, or pods apart"
            );
            judge.flaw(at, IN, &Flaw::wider(words));
        }
        for host in &via.at {
            if let Some(port) = via.gateway.ports.iter().find(|port| port.names(host).untold) {
                let (port, target, name) = (port.port, port.target, &via.gateway.name);
                let words = format!(
                    "nobody says whether TLS ends at {name} on port {port}: `port {port} -> {target}/https` in its block, or `/tls` where it is passed on"
                );
                judge.flaw(at, IN, &Flaw::wider(words));
            }
            let beside = via.gateway.undeclared.iter().find(|(_, server)| {
                server.app.is_some() && server.host.as_ref().is_none_or(|other| other.overlaps(host))
            });
            if let Some((port, _)) = beside {
                let words = format!(
                    "a Gateway object opens port {port} for {host} too, which the block of {} does not name",
                    via.gateway.name
                );
                judge.flaw(at, IN, &Flaw::wider(words));
            }
        }
    }

    /// Notes what a gateway has to judge for a rule.
    fn at_gateway(
        &mut self,
        facts: &Facts<'_>,
        at: RuleId,
        rule: &Rule,
        via: &Arc<Via>,
        from: &From,
    ) -> Result<(), String> {
        if let Some(why) = &from.unable {
            return Err(why.clone());
        }
        let asked = asked_at_gateway(facts, rule, via)?;
        let nobody = from.sources.as_ref().is_some_and(|sources| sources.is_empty());
        let gateway = self.gateway(&via.gateway, at);
        gateway.hosts.extend(via.at.iter().cloned());
        gateway.ports.extend(&via.ports);
        if !nobody {
            let from = from.sources.clone().unwrap_or_default();
            gateway.rules.extend(asked.into_iter().map(|asked| (at, AccessRule { from: Rc::clone(&from), ..asked })));
        }
        Ok(())
    }

    /// Notes who may leave for a host through a gateway.
    pub fn exit(&mut self, gateway: &Arc<Gateway>, host: &HostName, rule: RuleId, from: Option<Rc<Vec<Source>>>) {
        let gateway = self.gateway(gateway, rule);
        gateway.exits.insert(host.clone());
        if from.as_ref().is_some_and(|sources| sources.is_empty()) {
            return;
        }
        let access = AccessRule { from: from.unwrap_or_default(), when: vec![sni([host])], ..AccessRule::default() };
        gateway.rules.push((rule, access));
    }

    /// Notes that a gateway's Service must keep the client's address, where one from outside comes to it at all.
    pub fn patch(&mut self, facts: &Facts<'_>, gateway: &Gateway, rule: RuleId, judge: &mut Judge<'_>) {
        let service = gateway.service.as_ref();
        let known = service.and_then(|service| facts.policy.inventory.services.get(service));
        if known.is_some_and(|service| service.outside == Some(false)) {
            if gateway.proxies == 0 {
                judge.narrower(
                    rule,
                    IN,
                    Refuses::Untold,
                    "through a ClusterIP Service no client's address arrives".into(),
                );
                if !self.unseen.iter().any(|(have, _)| have.name == gateway.name) {
                    self.unseen.push((Arc::new(gateway.clone()), rule));
                }
            }
            return;
        }
        match service {
            Some(service) => self.patches.entry(service.clone()).or_default().push(rule),
            None if self.unknown.iter().any(|(name, _)| *name == gateway.name) => {}
            None => self.unknown.push((gateway.name.clone(), rule)),
        }
    }

    fn gateway(&mut self, gateway: &Arc<Gateway>, rule: RuleId) -> &mut AtGateway {
        let at = self.gateways.iter().position(|have| have.gateway.pods == gateway.pods);
        let at = at.unwrap_or_else(|| {
            self.gateways.push(AtGateway {
                gateway: Arc::clone(gateway),
                rules: Vec::new(),
                first: rule,
                hosts: BTreeSet::new(),
                ports: BTreeSet::new(),
                exits: BTreeSet::new(),
            });
            self.gateways.len() - 1
        });
        &mut self.gateways[at]
    }

    /// Adds the gateways' rules to their policies and returns the patches of their Services.
    pub fn finish(self, facts: &Facts<'_>, access: &mut Access, diagnostics: &mut Diagnostics) -> Vec<Resource> {
        let mut placer = Placer::new(facts, Kind::Authorization);
        for at in &self.gateways {
            // Rules that isolate the gateway itself say who passes.
            let isolated = facts.policy.isolating(&at.gateway).next().is_some();
            let places: Vec<Place> =
                at.gateway.pods.iter().flat_map(|pods| placer.place(pods).places.clone()).collect();
            for place in places {
                for (rule, own) in &at.rules {
                    let own = AccessRule { comment: Comment::Rule(*rule), ..own.clone() };
                    access.add(&place, false, Some(own), *rule);
                }
                if !isolated {
                    for rule in others(facts, at, &self.gateways) {
                        access.add(&place, false, Some(rule), at.first);
                    }
                }
            }
        }
        self.say(facts.policy, diagnostics);
        let aws_nlb = facts.policy.settings.aws_nlb;
        let patch = |((namespace, name), rules): ((SmolStr, SmolStr), Vec<RuleId>)| {
            let meta = Meta { namespace, name: name.to_string(), rules, comment: None };
            Resource::ServicePatch(ServicePatch { meta, aws_nlb })
        };
        self.patches.into_iter().map(patch).collect()
    }

    fn say(&self, policy: &Policy, diagnostics: &mut Diagnostics) {
        for (name, rule) in &self.unknown {
            let Some(rule) = policy.rule(*rule) else { continue };
            let message = format!("the Service of the gateway `{name}` is not known");
            diagnostics.push(
                Diagnostic::new(Code::GatewayService, rule.origin.span, message)
                    .at("the client's address is judged at the gateway, whose Service must keep it")
                    .note("name it in the gateway's block: `service NAMESPACE/NAME`"),
            );
        }
        for (gateway, rule) in &self.unseen {
            let (Some(rule), Some((namespace, name))) = (policy.rule(*rule), &gateway.service) else {
                continue;
            };
            let message = format!("no client's address arrives at the gateway `{}`", gateway.name);
            let service = policy.inventory.services.get(&(namespace.clone(), name.clone()));
            let mut diagnostic = Diagnostic::new(Code::ClientUnseen, rule.origin.span, message)
                .at("judged by the address that packets come from");
            if let Some(service) = service {
                diagnostic =
                    diagnostic.label(service.origin, "a ClusterIP Service, which nobody outside the cluster reaches");
            }
            diagnostics.push(diagnostic.note(
                "where a proxy stands in front and appends the client to X-Forwarded-For, declare it: `proxies 1`",
            ));
        }
    }
}

/// Whether a workload judges the client behind a gateway.
enum Forwarded {
    /// It need not.
    No,
    /// It does.
    Judged,
    /// It would have to, because of this rule, and cannot.
    Lost(String),
}

/// Returns the condition that TLS asks for one of these names.
pub fn sni<'h>(hosts: impl IntoIterator<Item = &'h HostName>) -> Condition {
    let values = hosts.into_iter().map(HostName::to_string).collect();
    Condition { key: SNI.into(), values, not_values: Vec::new() }
}

/// Returns the hosts that a rule means: the public ones, and of these those of its `where host`.
fn meant(via: &Via, conditions: &Conditions) -> Vec<HostName> {
    if conditions.hosts.is_empty() {
        return via.at.clone();
    }
    let mut both: Vec<HostName> = Vec::new();
    for (at, host) in via.at.iter().flat_map(|at| conditions.hosts.iter().map(move |host| (at, host))) {
        let narrower = if at.contains(host) { Some(host) } else { host.contains(at).then_some(at) };
        both.extend(narrower.filter(|host| !both.contains(host)).cloned());
    }
    both
}

/// Returns whether a gateway may read a host from requests: one of its ports, also as another block declares them for
/// the same pods, does not know it by the name of TLS alone.
fn in_requests(facts: &Facts<'_>, gateway: &Gateway, host: &HostName) -> bool {
    let same = facts.policy.gateways.iter().filter(|other| may_share_pods(&other.pods, &gateway.pods));
    same.flat_map(|gateway| &gateway.ports).any(|port| {
        let names = port.names(host);
        names.host || names.untold
    })
}

/// Returns what a gateway lets the clients of a rule ask for.
fn asked_at_gateway(facts: &Facts<'_>, rule: &Rule, via: &Via) -> Result<Vec<AccessRule>, String> {
    let ports = |ports: Vec<u16>| Operation { ports, ..Operation::default() };
    if via.at.is_empty() {
        return Ok(vec![AccessRule { to: Some(ports(via.ports.clone())), ..AccessRule::default() }]);
    }
    let mut asked = Vec::new();
    let hosts = meant(via, &rule.conditions);
    let gateway = &via.gateway;
    let by_host = |host: &&HostName| {
        gateway.ports.iter().any(|port| port.has_requests() || port.names(host).untold)
            && (!host.wildcard || in_requests(facts, gateway, host))
    };
    let mut operation = Operation { methods: rule.conditions.methods.clone(), ..Operation::default() };
    let numbers: Vec<u16> = gateway.ports.iter().flat_map(|port| [port.port, port.target]).collect();
    for host in via.at.iter().filter(|host| in_requests(facts, gateway, host)) {
        // The rule for requests to all other hosts needs patterns that miss none.
        host_patterns(host, true, &[])?;
    }
    for host in hosts.iter().filter(by_host) {
        operation.hosts.extend(host_patterns(host, false, &numbers)?);
    }
    if !operation.hosts.is_empty() {
        for path in &rule.conditions.paths {
            operation.paths.extend(path_patterns(path)?);
        }
        asked.push(AccessRule { to: Some(operation), ..AccessRule::default() });
    }
    // TLS that is passed on leads to ports that are TLS.
    if rule.destination.members.iter().any(|member| member.ports.entries().iter().any(is_tls)) {
        let mut by_ports: BTreeMap<Vec<u16>, Vec<&HostName>> = BTreeMap::new();
        for host in &hosts {
            let unread = gateway.ports.iter().filter(|port| port.names(host).sni);
            let mut numbers: Vec<u16> = unread.map(|port| port.target).collect();
            numbers.sort_unstable();
            by_ports.entry(numbers).or_default().push(host);
        }
        by_ports.remove(&Vec::new());
        let rules = by_ports.into_iter().map(|(numbers, hosts)| AccessRule {
            to: Some(ports(numbers)),
            when: vec![sni(hosts)],
            ..AccessRule::default()
        });
        asked.extend(rules);
    }
    Ok(asked)
}

fn is_tls(port: &PortMatch) -> bool {
    port.app == Some(AppProtocol::Tls)
}

/// What a rule asks for on some ports of a workload or of a gateway.
#[derive(Clone)]
pub struct Asked {
    /// The ports.
    pub ports: Ports,
    /// What is read of the requests there.
    pub conditions: Conditions,
    /// What is read of TLS.
    pub when: Vec<Condition>,
    /// The ports that clients may write behind a host, beside those of the pods.
    pub written: Vec<u16>,
}

impl Asked {
    /// Makes what is asked for on some ports.
    pub fn new(ports: Ports, conditions: Conditions) -> Asked {
        Asked { ports, conditions, when: Vec::new(), written: Vec::new() }
    }

    /// Returns the same on other ports.
    pub fn on(&self, ports: &Ports) -> Asked {
        Asked { ports: ports.clone(), ..self.clone() }
    }

    fn at(self, gateway: &Gateway) -> Asked {
        let written = gateway.ports.iter().flat_map(|port| [port.port, port.target]).collect();
        Asked { written, ..self }
    }
}

/// Returns what a member of a destination judges behind the gateway of a rule: on ports with requests the public host
/// too, which on others nobody sees there.
pub fn asked_behind(rule: &Rule, via: &Via, ports: &Ports) -> Vec<Asked> {
    let own = (*rule.conditions).clone();
    if via.at.is_empty() {
        return vec![Asked::new(ports.clone(), own)];
    }
    let (read, rest): (Vec<PortMatch>, Vec<PortMatch>) =
        ports.entries().iter().cloned().partition(|port| port.app.is_some_and(AppProtocol::has_requests));
    let mut asked = Vec::new();
    let hosts = meant(via, &rule.conditions);
    if !read.is_empty() && !hosts.is_empty() {
        let conditions = Conditions { hosts, ..own.clone() };
        asked.push(Asked::new(Ports::Some(read), conditions).at(&via.gateway));
    }
    if !rest.is_empty() {
        asked.push(Asked::new(Ports::Some(rest), own));
    }
    asked
}

/// Returns what a rule about the pods of a gateway itself asks for: a host is read from requests, and from TLS where the
/// gateway passes it on.
pub fn asked_of_gateway(gateway: &Gateway, rule: &Rule, ports: &Ports) -> Vec<Asked> {
    let own = &*rule.conditions;
    let whole = || vec![Asked::new(ports.clone(), own.clone()).at(gateway)];
    if own.is_none() {
        return whole();
    }
    let mut asked = Vec::new();
    let mut read = Vec::new();
    for entry in ports.entries() {
        let port = gateway.ports.iter().find(|port| entry.matches(Some(port.target), port.protocol, &[]));
        let passed: Vec<HostName> =
            port.iter().flat_map(|port| port.passed_through()).filter_map(|(host, _)| host).collect();
        let only = Ports::Some(vec![entry.clone()]);
        let nothing = Conditions::default();
        if is_tls(entry) {
            asked.push(Asked { when: vec![sni(&own.hosts)], ..Asked::new(only, nothing) });
            continue;
        }
        if passed.is_empty() {
            read.push(entry.clone());
            continue;
        }
        // Some names are passed on unread: there the fields of requests mean nothing.
        let mut names: Vec<&HostName> = Vec::new();
        for (host, passed) in own.hosts.iter().flat_map(|host| passed.iter().map(move |passed| (host, passed))) {
            names.extend(if passed.contains(host) { Some(host) } else { host.contains(passed).then_some(passed) });
        }
        let requests_only =
            own.hosts.is_empty() || !own.methods.is_empty() || !own.paths.is_empty() || own.jwt.is_some();
        if !names.is_empty() && !requests_only {
            asked.push(Asked { when: vec![sni(names)], ..Asked::new(only.clone(), nothing) });
        }
        let not_values = passed.iter().map(HostName::to_string).collect();
        let when = vec![Condition { key: SNI.into(), values: Vec::new(), not_values }];
        asked.push(Asked { when, ..Asked::new(only, own.clone()).at(gateway) });
    }
    if !read.is_empty() {
        asked.push(Asked::new(Ports::Some(read), own.clone()).at(gateway));
    }
    if asked.is_empty() { whole() } else { asked }
}

/// Returns whether two gateways may have a pod in common.
pub fn may_share_pods(one: &[PodSelector], other: &[PodSelector]) -> bool {
    one.iter().any(|one| other.iter().any(|other| one.overlaps(other)))
}

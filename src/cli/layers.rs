//! `eval --layers`: the decision of each layer about a flow, and the gap that makes it differ from the policy's.
//!
//! The answer follows from the judgements on the rules that govern the flow: if a layer is wider than a rule, the rule
//! is read as the layer reads it. For example, `garden/web -> 203.0.113.9:443` under `allow egress garden/* ->
//! zenquotes.io:443` is denied; networkpolicy, which knows addresses and not names, lets it through, and istio stops it
//! for pods that keep their sidecar. Objects of the cluster that are not the build's count too, and so do pods in
//! ambient mode. The answer says *may* only if it depends on unknown facts.

mod narrower;
mod widest;

use serde_json::{Value, json};

use crate::inventory::{LeftOut, Workload};
use crate::model::endpoint::What;
use crate::model::hosts::Host;
use crate::model::labels::NAMESPACE_NAME;
use crate::model::ports::Protocol;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::ask::Answer;
use crate::policy::{Cause, End, Flow, Party, Pod, Policy, Verdict, eval, governs_pod};
use crate::settings::Layer;
use crate::targets::{Judgement, Level, Lowering, PAST_SIDECAR, TUNNEL, Traffic, foreign, is_tunnelled};
use widest::{alone, widest};

/// The decision of a layer about a flow, by its judgements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Does {
    /// The layer.
    pub layer: Layer,
    /// The decision.
    pub deed: Deed,
    /// The reason; may be empty.
    pub why: String,
}

/// The decisions of a layer, from the strictest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// It refuses a flow that the source allows.
    Refuses,
    /// It may refuse a flow that the source allows.
    MayRefuse,
    /// It stops a flow that the source denies.
    Stops,
    /// It stops a flow that the source denies, unless a pod avoids its sidecar.
    StopsWellBehaved,
    /// It may let through a flow that the source denies.
    MayPass,
    /// It lets the flow through.
    Passes,
}

impl Deed {
    /// Returns the decision in words.
    fn words(self) -> &'static str {
        match self {
            Deed::Refuses => "refuses it",
            Deed::MayRefuse => "may refuse it",
            Deed::Stops => "stops it",
            Deed::StopsWellBehaved => "stops it, unless a pod avoids its sidecar",
            Deed::MayPass => "may let it through",
            Deed::Passes => "lets it through",
        }
    }

    /// Returns the decision's word in JSON.
    fn word(self) -> &'static str {
        match self {
            Deed::Refuses => "refuses",
            Deed::MayRefuse => "may-refuse",
            Deed::Stops => "stops",
            Deed::StopsWellBehaved => "stops-well-behaved",
            Deed::MayPass => "may-pass",
            Deed::Passes => "passes",
        }
    }
}

impl Does {
    /// Returns the decision as a line of text.
    pub fn line(&self) -> String {
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        format!("  {:<8} {} {}{why}\n", "layer", self.layer.word(), self.deed.words())
    }

    /// Returns the decision as JSON.
    pub fn json(&self) -> Value {
        json!({ "layer": self.layer.word(), "does": self.deed.word(), "message": self.why })
    }
}

/// Returns the decision of each layer about the flow of an answer, at both ends.
pub fn layers(policy: &Policy, lowering: &Lowering, answer: &Answer) -> Vec<Does> {
    let beside = &lowering.beside;
    let judged = lowering.layers.iter().map(|(layer, lowered)| {
        let judged = Judged { policy, layer: *layer, judgements: &lowered.judgements, beside };
        of_layer(&judged, answer)
    });
    judged.collect()
}

fn of_layer(judged: &Judged<'_>, answer: &Answer) -> Does {
    let allowed = answer.allowed();
    let steps = answer.steps().filter(|(_, verdict)| allowed || !verdict.allowed());
    let found =
        steps.map(|(flow, verdict)| if allowed { judged.refuses(flow, verdict) } else { judged.stops(flow, verdict) });
    let (deed, why) = found.min_by_key(|(deed, _)| *deed).unwrap_or((Deed::Passes, String::new()));
    Does { layer: judged.layer, deed, why }
}

/// A decision, and its reason.
type Told = (Deed, String);

/// The judgements of one layer on a policy.
struct Judged<'a> {
    policy: &'a Policy,
    layer: Layer,
    judgements: &'a [Judgement],
    /// The objects of others beside those of the build.
    beside: &'a foreign::Beside,
}

impl Judged<'_> {
    /// Returns the layer's judgement on one end of a rule. Judgements are sorted by rule.
    fn of(&self, rule: RuleId, direction: Direction) -> Option<&Judgement> {
        let first = self.judgements.partition_point(|judgement| judgement.rule < rule);
        let own = self.judgements[first..].iter().take_while(|judgement| judgement.rule == rule);
        own.into_iter().find(|judgement| judgement.direction == direction)
    }

    /// The rules of a direction, each with its number.
    fn rules(&self, direction: Direction) -> impl Iterator<Item = (RuleId, &Rule)> {
        let rules = self.policy.numbered();
        rules.filter(move |(_, rule)| rule.governs(direction))
    }

    /// The rules that govern a pod at one end.
    fn governing(&self, direction: Direction, pod: &Pod) -> impl Iterator<Item = (RuleId, &Rule)> {
        self.rules(direction).filter(move |(_, rule)| governs_pod(rule, direction, pod))
    }

    /// Decides a flow that the source denies: the layer stops it if it enforces the denial at one end.
    fn stops(&self, flow: &Flow, verdict: &Verdict) -> Told {
        let tunnel = self.tunnel(flow);
        let ends = verdict.ends.iter().filter(|end| !end.allows());
        let told = ends.filter_map(|end| {
            let pod = pod_at(flow, end.direction)?;
            let own = match &tunnel {
                Some(tunnel) => self.in_tunnel(tunnel, end.direction, pod),
                None => self.at_end(flow, end, pod),
            };
            Some(self.with_others(own, flow, end))
        });
        told.min_by_key(|(deed, _)| *deed).unwrap_or((Deed::Passes, "it does not judge this end".to_owned()))
    }

    /// Decides a flow at an end that denies it.
    fn at_end(&self, flow: &Flow, end: &End, pod: &Pod) -> Told {
        let Cause::Denied(rule) = end.cause else { return self.isolates(flow, end, pod) };
        // One enforced deny is enough.
        let denies = self.governing(end.direction, pod).filter(|(at, other)| {
            other.action == Action::Deny && (*at == rule || alone(self.policy, other, flow, end.direction).1)
        });
        let best =
            denies.filter_map(|(at, _)| self.level(at, flow, end.direction, pod)).min_by_key(|(level, _)| *level);
        match best {
            Some((Level::Exact, _)) => (Deed::Stops, String::new()),
            Some((Level::Bypassable, why)) => (Deed::StopsWellBehaved, why),
            Some((Level::Wider, why)) => (Deed::MayPass, why),
            Some((Level::Unable, why)) if flow.protocol == Protocol::Icmp => (Deed::MayPass, why),
            Some((Level::Unable, why)) => {
                // Without the deny, other rules may still stop the flow.
                let mut rules = self.policy.rules.clone();
                rules.retain(|rule| rule.action != Action::Deny);
                let rest = Policy { rules, ..self.policy.clone() };
                let rest = eval(&rest, flow).ends.into_iter().find(|other| other.direction == end.direction);
                match rest {
                    Some(rest) if !rest.allows() => self.isolates(flow, end, pod),
                    _ => (Deed::Passes, why),
                }
            }
            None => (Deed::Passes, "it does not judge this end".to_owned()),
        }
    }

    /// Decides a flow to or from an isolated pod, which no rule allows.
    fn isolates(&self, flow: &Flow, end: &End, pod: &Pod) -> Told {
        let direction = end.direction;
        let isolating = self.governing(direction, pod).filter(|(_, rule)| rule.action != Action::Deny);
        let mut levels: Vec<(Level, String)> =
            isolating.filter_map(|(rule, _)| self.isolation(rule, flow, direction, pod)).collect();
        if let (true, Cause::NoneMatches { isolated_by, .. }) = (levels.is_empty(), end.cause) {
            // A gateway serves a public host only to clients that a rule names, even if no rule governs its pods.
            return match self.level(isolated_by, flow, direction, pod) {
                Some((Level::Exact, _)) => (Deed::Stops, String::new()),
                Some((Level::Bypassable, why)) => (Deed::StopsWellBehaved, why),
                Some((_, why)) => (Deed::MayPass, why),
                None => (Deed::Passes, "it does not judge this end".to_owned()),
            };
        }
        levels.sort_by_key(|(level, _)| *level);
        // A NetworkPolicy isolates its pods by itself; on Istio all rules of a pod share its Sidecar and its
        // AuthorizationPolicies.
        let open = match self.layer {
            Layer::NetworkPolicy => levels.first(),
            Layer::Istio => levels.last(),
        };
        match open {
            Some((Level::Unable, why)) if flow.protocol == Protocol::Icmp => return (Deed::MayPass, why.clone()),
            Some((Level::Unable, why)) => return (Deed::Passes, why.clone()),
            _ => {}
        }
        let mut may = None;
        for (at, rule) in self.rules(direction).filter(|(_, rule)| rule.action == Action::Allow) {
            let Some((Level::Wider | Level::Unable, why)) = self.level(at, flow, direction, pod) else { continue };
            match widest(self.policy, self.layer, rule, flow, direction) {
                Some(true) => return (Deed::Passes, why),
                Some(false) => {}
                None => may = may.or(Some(why)),
            }
        }
        let avoids = levels.into_iter().find(|(level, _)| *level == Level::Bypassable);
        match (may, avoids) {
            (Some(why), _) => (Deed::MayPass, why),
            (None, Some((_, why))) => (Deed::StopsWellBehaved, why),
            (None, None) => (Deed::Stops, String::new()),
        }
    }

    /// Returns the tunnel's flow, which is all that networkpolicy sees if pods in ambient mode send the flow through
    /// their tunnel.
    fn tunnel(&self, flow: &Flow) -> Option<Flow> {
        let (Party::Pod(from), Party::Pod(to)) = (&flow.source, &flow.destination) else { return None };
        let seen = self.layer == Layer::NetworkPolicy && flow.protocol == Protocol::Tcp;
        let tunnelled = seen && is_tunnelled(from, to);
        tunnelled.then(|| Flow { port: Some(TUNNEL), ..flow.clone() })
    }

    /// Decides for networkpolicy, at one end, the flow that a tunnel carries.
    fn in_tunnel(&self, tunnel: &Flow, direction: Direction, pod: &Pod) -> Told {
        let end = eval(self.policy, tunnel).ends.into_iter().find(|end| end.direction == direction);
        match end {
            Some(end) if !end.allows() => self.at_end(tunnel, &end, pod),
            _ => (
                Deed::Passes,
                "to and from pods in ambient mode it arrives on TCP 15008, which is let through".to_owned(),
            ),
        }
    }

    /// Adds the decisions of objects of the cluster that are not the build's.
    fn with_others(&self, own: Told, flow: &Flow, end: &End) -> Told {
        let other = match foreign::passes(self.policy, self.beside, self.layer, flow, end.direction) {
            Some((why, true)) => (Deed::Passes, why),
            Some((why, false)) => (Deed::MayPass, why),
            None => return own,
        };
        if other.0 > own.0 { other } else { own }
    }

    fn level(&self, rule: RuleId, flow: &Flow, direction: Direction, pod: &Pod) -> Option<(Level, String)> {
        let judgement = self.of(rule, direction)?;
        if let (Some(names), false) = (&judgement.remarks().unmeshed, pod.sidecar) {
            return Some((Level::Unable, format!("no object stops pods without a sidecar: {names}")));
        }
        if flow.protocol == Protocol::Icmp {
            return Some((Level::Unable, "what it does with icmp is not defined".to_owned()));
        }
        let traffic = traffic(self.policy, flow, direction, pod);
        let level = judgement.levels.of(traffic);
        let why = match (level == judgement.level, traffic) {
            (true, _) | (false, Traffic::Tcp) => judgement.reason.to_string(),
            (false, Traffic::Datagrams) => "it sees tcp alone".to_owned(),
            (false, Traffic::PastSidecar) => "sidecars leave this port out".to_owned(),
            (false, Traffic::LeftOut) => judgement.remarks().left_out.as_deref().unwrap_or_default().to_owned(),
        };
        Some((level, why))
    }

    /// Returns how well the layer isolates the pods of a rule, whatever its conditions on requests are.
    fn isolation(&self, rule: RuleId, flow: &Flow, direction: Direction, pod: &Pod) -> Option<(Level, String)> {
        let (level, why) = self.level(rule, flow, direction, pod)?;
        let pods = self.of(rule, direction)?.but_conditions.of(traffic(self.policy, flow, direction, pod));
        let unmeshed = level == Level::Unable && !pod.sidecar && self.layer == Layer::Istio;
        let known = flow.protocol != Protocol::Icmp && !unmeshed;
        Some((if known { level.min(pods) } else { level }, why))
    }

    /// Decides a flow that the source allows: the layer lets it through, unless its judgements say that it refuses the
    /// flow.
    fn refuses(&self, flow: &Flow, verdict: &Verdict) -> Told {
        if let Some(refused) = self.found_by_name(flow, verdict) {
            return refused;
        }
        let tunnel = self.tunnel(flow);
        let mut told = (Deed::Passes, String::new());
        for end in &verdict.ends {
            let Some(pod) = pod_at(flow, end.direction) else { continue };
            if let Some(tunnel) = &tunnel
                && self.in_tunnel(tunnel, end.direction, pod).0 == Deed::Stops
            {
                let why = "to and from pods in ambient mode it arrives on TCP 15008, which is closed".to_owned();
                return (Deed::Refuses, why);
            }
            let other = foreign::refuses(self.policy, self.beside, self.layer, flow, end.direction);
            let other = other.map(|(why, sure)| (if sure { Deed::Refuses } else { Deed::MayRefuse }, why));
            for refused in self.narrower(flow, end, pod).into_iter().chain(other) {
                if refused.0 < told.0 {
                    told = refused;
                }
            }
        }
        told
    }

    /// Decides a flow to a host with `at` that is dialled by an address: on `http` and `tls` a sidecar finds the host
    /// only by its name.
    fn found_by_name(&self, flow: &Flow, verdict: &Verdict) -> Option<(Deed, String)> {
        let (Layer::Istio, Party::Address(address)) = (self.layer, &flow.destination) else { return None };
        let Cause::Allowed(rule) = verdict.ends[0].cause else { return None };
        let rule = self.policy.rule(rule)?;
        let mut host: Option<&Host> = None;
        let mut read = None;
        for member in &rule.destination.members {
            let mut entries = member.ports.entries().iter();
            let entry = entries.find(|entry| entry.matches(flow.port, flow.protocol, &[]));
            match &member.what {
                // Another member lets the address through, for every host there.
                What::Addresses(set)
                    if set.contains(*address) && (entry.is_some() || member.ports.entries().is_empty()) =>
                {
                    return None;
                }
                What::Host(one) if one.at.iter().any(|at| at.net.contains(address)) => {
                    let app = entry.and_then(|entry| entry.app);
                    (host, read) = if app.is_some() { (Some(one), app) } else { (host, read) };
                }
                _ => {}
            }
        }
        let (host, app) = (host?, read?);
        let name = &host.name;
        let words = format!("on `{}` a sidecar finds `{name}` by its name, and not by its address", app.word());
        match flow.request.name(read) {
            Some(asked) if host.matches(asked.split(':').next().unwrap_or_default()) => None,
            Some(_) => Some((Deed::Refuses, words)),
            None => Some((Deed::MayRefuse, format!("{words}; which name is asked for is not known"))),
        }
    }
}

fn pod_at(flow: &Flow, direction: Direction) -> Option<&Pod> {
    let party = match direction {
        Direction::Egress => &flow.source,
        Direction::Ingress => &flow.destination,
    };
    match party {
        Party::Pod(pod) => Some(pod),
        Party::Address(_) | Party::Host { .. } => None,
    }
}

fn traffic(policy: &Policy, flow: &Flow, direction: Direction, pod: &Pod) -> Traffic {
    if let (Protocol::Tcp, Some(port), true) = (flow.protocol, flow.port, pod.sidecar) {
        let alike = |workload: &&Workload| {
            workload.labels == pod.labels && pod.namespace_labels.get(NAMESPACE_NAME) == Some(&workload.namespace)
        };
        let to = |left: &LeftOut| match (&left.to, &flow.destination) {
            (None, _) => true,
            (Some(to), Party::Address(address)) => to.contains(*address),
            (Some(_), _) => false,
        };
        let here = |left: &LeftOut| left.direction == direction && left.has_ports((port, port)) && to(left);
        if policy.inventory.workloads.iter().filter(alike).any(|workload| workload.left_out.iter().any(here)) {
            return Traffic::LeftOut;
        }
    }
    match (flow.protocol, direction, flow.port) {
        (Protocol::Tcp, Direction::Ingress, Some(port)) if PAST_SIDECAR.contains(&port) => Traffic::PastSidecar,
        (Protocol::Tcp, _, _) => Traffic::Tcp,
        _ => Traffic::Datagrams,
    }
}

//! `eval --layers`: what each layer lets through or refuses against the source, and by which gap.
//!
//! It is told from what the layers say of the rules that decide, and not from the objects: a layer that is wider on a rule
//! *may* let a flow through that the rule forbids. `garden/web -> 203.0.113.9:443` under `allow egress garden/* ->
//! zenquotes.io:443` is denied; networkpolicy, which knows addresses and not names, may let it through, and istio stops
//! it for pods that keep their sidecar.

use serde_json::{Value, json};

use crate::inventory::{LeftOut, Workload};
use crate::model::endpoint::What;
use crate::model::hosts::Host;
use crate::model::labels::NAMESPACE_NAME;
use crate::model::ports::Protocol;
use crate::model::rules::{Action, Direction, Rule};
use crate::policy::ask::Answer;
use crate::policy::{Cause, End, Flow, Party, Pod, Policy, Verdict, governs_pod};
use crate::settings::Layer;
use crate::targets::{Judgement, Level, Lowering, PAST_SIDECAR, Traffic};

/// What a layer does with a flow, as far as its judgements tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Does {
    /// The layer.
    pub layer: Layer,
    /// Its deed.
    pub deed: Deed,
    /// Why; empty where there is nothing to say.
    pub why: String,
}

/// What a layer does with a flow, from the one that lets the least through to the one that lets the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// It refuses what the source allows.
    Refuses,
    /// It may refuse what the source allows.
    MayRefuse,
    /// It stops what the source denies.
    Stops,
    /// It stops what the source denies, unless a pod avoids its sidecar.
    StopsWellBehaved,
    /// It may let through what the source denies.
    MayPass,
    /// It lets through what the source allows.
    Passes,
}

impl Deed {
    /// Returns what a layer does, in words.
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

    /// Returns the word by which machines know it.
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
    /// Returns the line that tells it.
    pub fn line(&self) -> String {
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        format!("  {:<8} {} {}{why}\n", "layer", self.layer.word(), self.deed.words())
    }

    /// Returns it for machines.
    pub fn json(&self) -> Value {
        json!({ "layer": self.layer.word(), "does": self.deed.word(), "message": self.why })
    }
}

/// Returns what each layer does with an answer's flow, on all its way.
pub fn layers(policy: &Policy, lowering: &Lowering, answer: &Answer) -> Vec<Does> {
    lowering.layers.iter().map(|(layer, lowered)| of_layer(policy, *layer, &lowered.judgements, answer)).collect()
}

fn of_layer(policy: &Policy, layer: Layer, judgements: &[Judgement], answer: &Answer) -> Does {
    let judged = Judged { policy, layer, judgements };
    let allowed = answer.allowed();
    let steps = answer.steps().filter(|(_, verdict)| allowed || !verdict.allowed());
    let found =
        steps.map(|(flow, verdict)| if allowed { judged.refuses(flow, verdict) } else { judged.stops(flow, verdict) });
    let (deed, why) = found.min_by_key(|(deed, _)| *deed).unwrap_or((Deed::Passes, String::new()));
    Does { layer, deed, why }
}

/// What one layer says of a policy.
struct Judged<'a> {
    policy: &'a Policy,
    layer: Layer,
    judgements: &'a [Judgement],
}

impl Judged<'_> {
    /// Returns what the layer says of one end of a rule. Judgements stand by rule.
    fn of(&self, rule: u32, direction: Direction) -> Option<&Judgement> {
        let first = self.judgements.partition_point(|judgement| judgement.rule < rule);
        let own = self.judgements[first..].iter().take_while(|judgement| judgement.rule == rule);
        own.into_iter().find(|judgement| judgement.direction == direction)
    }

    /// The rules that govern a pod at one end.
    fn governing(&self, direction: Direction, pod: &Pod) -> impl Iterator<Item = (u32, &Rule)> {
        let rules = self.policy.rules.iter().enumerate();
        rules.filter(move |(_, rule)| governs_pod(rule, direction, pod)).map(|(at, rule)| (at as u32, rule))
    }

    /// A flow that the source denies: one end at which the layer holds what denies it is enough.
    fn stops(&self, flow: &Flow, verdict: &Verdict) -> (Deed, String) {
        let ends = verdict.ends.iter().filter(|end| !end.allows());
        let best = ends.filter_map(|end| self.holds(flow, end)).min_by_key(|(level, _)| *level);
        match best {
            Some((Level::Exact, _)) => (Deed::Stops, String::new()),
            Some((Level::Bypassable, why)) => (Deed::StopsWellBehaved, why),
            Some((Level::Wider | Level::Unable, why)) => (Deed::MayPass, why),
            None => (Deed::MayPass, "it does not judge this end".to_owned()),
        }
    }

    /// Returns how well the layer holds what denies a flow at one end, with the reason. A pod is isolated as well as the
    /// least of the rules that isolate it is held.
    fn holds(&self, flow: &Flow, end: &End) -> Option<(Level, String)> {
        let pod = pod_at(flow, end.direction)?;
        match end.cause {
            Cause::Denied(rule) => self.level(rule, flow, end.direction, pod),
            Cause::NoneMatches { .. } => {
                let isolating = self.governing(end.direction, pod).filter(|(_, rule)| rule.action != Action::Deny);
                isolating
                    .filter_map(|(rule, _)| self.level(rule, flow, end.direction, pod))
                    .max_by_key(|(level, _)| *level)
            }
            _ => None,
        }
    }

    fn level(&self, rule: u32, flow: &Flow, direction: Direction, pod: &Pod) -> Option<(Level, String)> {
        let judgement = self.of(rule, direction)?;
        if let (Some(names), false) = (&judgement.unmeshed, pod.sidecar) {
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
            (false, Traffic::LeftOut) => judgement.left_out.as_deref().unwrap_or_default().to_owned(),
        };
        Some((level, why))
    }

    /// A flow that the source allows: a layer lets it through, but for what it says to refuse.
    fn refuses(&self, flow: &Flow, verdict: &Verdict) -> (Deed, String) {
        if let Some(refused) = self.found_by_name(flow, verdict) {
            return refused;
        }
        for end in &verdict.ends {
            let Some(pod) = pod_at(flow, end.direction) else { continue };
            let decides = |rule: u32| end.cause == Cause::Allowed(rule);
            let concerned = self.governing(end.direction, pod).filter(|(at, rule)| {
                // A deny refuses more than it names by what it asks of all callers.
                decides(*at) || rule.action == Action::Deny
            });
            let words = concerned.filter_map(|(at, _)| self.of(at, end.direction)?.narrower.as_deref());
            if let Some(words) = words.into_iter().next() {
                return (Deed::MayRefuse, words.to_owned());
            }
        }
        (Deed::Passes, String::new())
    }

    /// A host with `at` that is dialled by an address: on `http` and `tls` a sidecar finds it by its name.
    fn found_by_name(&self, flow: &Flow, verdict: &Verdict) -> Option<(Deed, String)> {
        let (Layer::Istio, Party::Address(address)) = (self.layer, &flow.destination) else { return None };
        let Cause::Allowed(rule) = verdict.ends[0].cause else { return None };
        let rule = self.policy.rules.get(rule as usize)?;
        let mut host: Option<&Host> = None;
        let mut read = None;
        for member in &rule.destination.members {
            let mut entries = member.ports.entries().iter();
            let entry = entries.find(|entry| entry.matches(flow.port, flow.protocol, &[]));
            match &member.what {
                // Whatever is at the address is let through by another member.
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
            None => Some((Deed::MayRefuse, words)),
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

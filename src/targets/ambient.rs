//! Pods in Istio's ambient mode: no layer here enforces rules for single ports of theirs.
//!
//! The traffic between pods in ambient mode, and between them and pods with a sidecar, arrives on TCP 15008, in a
//! tunnel. A NetworkPolicy for `grafana -> prometheus:9090` closes the very calls that it is meant to let through, and
//! a `deny` of port 9090 denies nothing; without ports a NetworkPolicy means what the rule says. A sidecar looks into
//! the tunnel and knows callers by their identity there too. So a pod in ambient mode may call one with a sidecar where
//! a rule opens the tunnel, `grafana -> paper:15008`, and `istio` is a layer that judges the port.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use smol_str::{SmolStr, format_smolstr};

use super::{Level, Lowered, Traffic};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::inventory::{Injection, Workload};
use crate::model::endpoint::Endpoint;
use crate::model::labels::PodSelector;
use crate::model::ports::{Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::{Pod, Policy};
use crate::settings::Layer;

const MODE: &str = "istio.io/dataplane-mode";

/// The TCP port of the tunnel.
pub const TUNNEL: u16 = 15008;

/// Reports the rules about ambient pods that name single ports.
pub(super) fn judge(policy: &Policy, layers: &[(Layer, Lowered)], diagnostics: &mut Diagnostics) {
    if !policy.inventory.workloads.iter().any(|workload| is_ambient(policy, workload)) {
        return;
    }
    let mut judge = Judge { policy, layers, known: FxHashMap::default(), tunnels: Vec::new() };
    judge.tunnels = judge.tunnels();
    for (at, rule) in policy.numbered().filter(|(_, rule)| rule.action != Action::Isolate) {
        if rule.origin.approximate().is_none()
            && let Some(diagnostic) = judge.rule(at, rule)
        {
            diagnostics.push(diagnostic);
        }
    }
}

/// The known pods of an endpoint.
#[derive(Clone, Default)]
struct KnownPods {
    /// Those in ambient mode.
    ambient: BTreeSet<SmolStr>,
    /// Those with a sidecar.
    sidecars: BTreeSet<SmolStr>,
    /// Whether there are other pods, with a sidecar or without.
    others: bool,
}

impl KnownPods {
    fn add(&mut self, other: &KnownPods) {
        self.ambient.extend(other.ambient.iter().cloned());
        self.sidecars.extend(other.sidecars.iter().cloned());
        self.others |= other.others;
    }
}

/// A rule that opens the tunnel on the way out or in.
struct Tunnel {
    direction: Direction,
    from: KnownPods,
    to: KnownPods,
    /// Whether the rule opens every port inside the tunnel.
    whole: bool,
}

struct Judge<'a> {
    policy: &'a Policy,
    layers: &'a [(Layer, Lowered)],
    known: FxHashMap<&'a PodSelector, KnownPods>,
    tunnels: Vec<Tunnel>,
}

impl<'a> Judge<'a> {
    fn rule(&mut self, at: RuleId, rule: &'a Rule) -> Option<Diagnostic> {
        let policy = self.policy;
        let by_address = policy.settings.targets.contains(&Layer::NetworkPolicy);
        let whole = rule.destination.members.iter().all(|member| is_every_tcp_port(&member.ports));
        if by_address && whole && rule.conditions.is_none() {
            return None;
        }
        let (from, to) = (self.of(&rule.source), self.of(&rule.destination));
        let judged_inside = self.sidecars_hold(at, Direction::Ingress);
        if rule.action == Action::Deny && judged_inside && to.ambient.is_empty() {
            // For a deny, one end that is enforced is enough.
            return None;
        }
        let mut names = BTreeSet::new();
        if rule.governs(Direction::Egress) {
            names.extend(from.ambient.iter().cloned());
        }
        // For known callers it is known whether they use the tunnel.
        if rule.governs(Direction::Ingress) || !(to.others || by_address && from.others) {
            names.extend(to.ambient.iter().cloned());
        }
        if !names.is_empty() {
            let why = "what they send each other arrives on TCP 15008, and they have no sidecar";
            return Some(not_enforced(rule, &names, why));
        }
        if !by_address || rule.via.is_some() {
            return None;
        }
        let mut directions = Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
        directions.find_map(|direction| self.through_tunnel(at, rule, direction, &from, &to))
    }

    /// Judges one end of a rule whose pods have sidecars and whose peers use the tunnel.
    fn through_tunnel(
        &mut self,
        at: RuleId,
        rule: &Rule,
        end: Direction,
        from: &KnownPods,
        to: &KnownPods,
    ) -> Option<Diagnostic> {
        let (subject, peers, peer_end) = match end {
            Direction::Egress => (from, to, &rule.destination),
            Direction::Ingress => (to, from, &rule.source),
        };
        if subject.sidecars.is_empty() || peers.ambient.is_empty() {
            return None;
        }
        let opens =
            rule.destination.members.iter().any(|member| member.ports.matches(Some(TUNNEL), Protocol::Tcp, &[]));
        let why = "what comes through their tunnel, TCP 15008, is on no port that networkpolicy sees";
        let held = self.sidecars_hold(at, end);
        if rule.action == Action::Deny {
            return (!held).then(|| not_enforced(rule, &peers.ambient, why));
        }
        if opens {
            let beside = self.not_by_sidecars(end, subject)?;
            let label = "here sidecars do not hold who comes in on which port, and networkpolicy sees the tunnel alone";
            return Some(not_enforced(rule, &peers.ambient, why).label(beside.origin.span, label));
        }
        let opened = self.tunnels.iter().filter(|tunnel| {
            let (its, others) = match end {
                Direction::Egress => (&tunnel.from, &tunnel.to),
                Direction::Ingress => (&tunnel.to, &tunnel.from),
            };
            tunnel.direction == end
                && subject.sidecars.is_subset(&its.sidecars)
                && peers.ambient.is_subset(&others.ambient)
        });
        if let Some(whole) = opened.map(|tunnel| tunnel.whole).max() {
            return (!whole && !held).then(|| not_enforced(rule, &peers.ambient, why));
        }
        let names = list(&peers.ambient);
        if peers.others || peer_end.pods().count() < peer_end.members.len() {
            let message = "networkpolicy refuses more than this rule says";
            let why = format!("what pods in ambient mode send and take arrives on TCP 15008: {names}");
            return Some(Diagnostic::new(Code::Refused, rule.origin.span, message).at(why));
        }
        let message = format!("networkpolicy closes the tunnel of pods in ambient mode: {names}");
        let way = match end {
            Direction::Egress => "open it, and let sidecars judge the port: `allow egress … -> …:15008`",
            Direction::Ingress => "open it, and let sidecars judge the port: `allow ingress … -> …:15008`",
        };
        Some(
            Diagnostic::new(Code::Ambient, rule.origin.span, message)
                .at("what they and pods with a sidecar send each other arrives on TCP 15008")
                .note(way)
                .note("or leave out the ports, or give all of these pods sidecars"),
        )
    }

    /// Returns whether sidecars enforce a rule end on TCP, including the traffic inside a tunnel.
    fn sidecars_hold(&self, rule: RuleId, end: Direction) -> bool {
        let Some((_, lowered)) = self.layers.iter().find(|(layer, _)| *layer == Layer::Istio) else { return false };
        let first = lowered.judgements.partition_point(|judgement| judgement.rule < rule);
        let mut own = lowered.judgements[first..].iter().take_while(|judgement| judgement.rule == rule);
        let judged = own.find(|judgement| judgement.direction == end);
        judged.is_some_and(|judgement| judgement.levels.of(Traffic::Tcp) <= Level::Bypassable)
    }

    /// Returns a rule that isolates some pods and that sidecars do not enforce. If the tunnel is open, no other layer
    /// enforces it either.
    fn not_by_sidecars(&mut self, end: Direction, subject: &KnownPods) -> Option<&'a Rule> {
        let mut isolating = self.policy.numbered().filter(|(_, rule)| rule.action != Action::Deny && rule.governs(end));
        let found = isolating.find(|(at, rule)| {
            !self.sidecars_hold(*at, end) && !self.of(rule.subject(end)).sidecars.is_disjoint(&subject.sidecars)
        });
        found.map(|(_, rule)| rule)
    }

    /// Returns the rules that open the tunnel.
    fn tunnels(&mut self) -> Vec<Tunnel> {
        let policy = self.policy;
        let mut tunnels = Vec::new();
        for rule in policy.rules.iter().filter(|rule| rule.action == Action::Allow && rule.conditions.is_none()) {
            let opens = |ports: &Ports| ports.matches(Some(TUNNEL), Protocol::Tcp, &[]);
            if rule.via.is_some() || !rule.destination.members.iter().all(|member| opens(&member.ports)) {
                continue;
            }
            let (from, to) = (self.of(&rule.source), self.of(&rule.destination));
            let whole = rule.destination.members.iter().all(|member| is_every_tcp_port(&member.ports));
            for direction in Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction)) {
                tunnels.push(Tunnel { direction, from: from.clone(), to: to.clone(), whole });
            }
        }
        tunnels
    }

    fn of(&mut self, endpoint: &'a Endpoint) -> KnownPods {
        let policy = self.policy;
        let mut all = KnownPods::default();
        for (_, pods) in endpoint.pods() {
            all.add(self.known.entry(&pods.selector).or_insert_with(|| known(policy, &pods.selector)));
        }
        all
    }
}

fn known(policy: &Policy, selector: &PodSelector) -> KnownPods {
    let mut known = KnownPods::default();
    for workload in policy.inventory.select(selector) {
        let name = format_smolstr!("{}/{}", workload.namespace, workload.name);
        if is_ambient(policy, workload) {
            known.ambient.insert(name);
            continue;
        }
        known.others = true;
        if workload.sidecar {
            known.sidecars.insert(name);
        }
    }
    known
}

fn is_every_tcp_port(ports: &Ports) -> bool {
    *ports == Ports::All || ports.entries().iter().any(|port| port.is_every(Protocol::Tcp))
}

fn not_enforced(rule: &Rule, names: &BTreeSet<SmolStr>, why: &str) -> Diagnostic {
    let message = format!("pods in ambient mode are held by no layer on single ports: {}", list(names));
    Diagnostic::new(Code::Ambient, rule.origin.span, message)
        .at(why)
        .note("give them sidecars, or leave out the ports and the conditions")
        .note("or accept the gap: `@approximate(\"why\")` before the rule")
}

fn list(names: &BTreeSet<SmolStr>) -> String {
    let quoted: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0..=3 => quoted.join(", "),
        more => format!("{} and {} more", quoted.join(", "), more - 3),
    }
}

/// Returns whether traffic from one pod to another arrives in the tunnel, by the labels of the pods and their
/// namespaces.
pub fn is_tunnelled(from: &Pod, to: &Pod) -> bool {
    let (ambient_from, ambient_to) = (is_ambient_pod(from), is_ambient_pod(to));
    ambient_from && (ambient_to || to.sidecar) || ambient_to && from.sidecar
}

/// Returns whether a pod is in ambient mode, by its labels and those of its namespace.
pub fn is_ambient_pod(pod: &Pod) -> bool {
    let mode = pod.labels.get(MODE).or_else(|| pod.namespace_labels.get(MODE));
    mode.is_some_and(|mode| mode == "ambient") && !pod.sidecar
}

/// Returns whether the pods of a workload are in ambient mode.
pub(super) fn is_ambient(policy: &Policy, workload: &Workload) -> bool {
    let namespace = || Some(&policy.inventory.namespaces.get(&workload.namespace)?.labels);
    let mode = workload.labels.get(MODE).or_else(|| namespace()?.get(MODE));
    mode.is_some_and(|mode| mode == "ambient")
        && !workload.sidecar
        && !workload.host_network
        && workload.injection != Injection::Gateway
}

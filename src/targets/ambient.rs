//! Pods in Istio's ambient mode: no layer here enforces rules for single ports of theirs.
//!
//! The traffic between pods in ambient mode, and between them and pods with a sidecar, arrives on TCP 15008, in a
//! tunnel. A NetworkPolicy for `grafana -> prometheus:9090` closes the very calls that it is meant to let through, and
//! a `deny` of port 9090 denies nothing; without ports a NetworkPolicy means what the rule says. A sidecar looks into
//! the tunnel and knows callers by their identity there too. So a pod in ambient mode may call one with a sidecar where
//! a rule opens the tunnel, `grafana -> paper:15008`, and `istio` is a layer that judges the port.

mod known;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

pub(super) use self::known::{KnownPods, is_ambient, is_ambient_namespace};
pub use self::known::{is_ambient_pod, is_tunnelled};
use self::known::{says_ambient, shows_ambient};
use super::waypoints::raise;
use super::{Level, Lowered, Traffic, Why};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::labels::PodSelector;
use crate::model::ports::{PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::Policy;
use crate::settings::Layer;

/// The TCP port of the tunnel.
pub const TUNNEL: u16 = 15008;

/// The address that the kubelet's probes of pods in ambient mode come from, on the pod's node (Istio, "Ambient and
/// Kubernetes NetworkPolicy").
const PROBES: Ipv4Addr = Ipv4Addr::new(169, 254, 7, 127);

/// What is found about the rules of pods in ambient mode.
#[derive(Default)]
pub(super) struct Findings {
    /// The rules whose gap `@approximate` accepts.
    pub accepted: FxHashSet<RuleId>,
    diagnostics: Vec<Diagnostic>,
}

impl Findings {
    /// Reports what was found.
    pub fn report(self, diagnostics: &mut Diagnostics) {
        self.diagnostics.into_iter().for_each(|diagnostic| diagnostics.push(diagnostic));
    }
}

/// Finds the rules about ambient pods that name single ports. What `@approximate` accepts is marked as wider on every
/// layer where it is. Rules that are marked already are left out.
pub(super) fn judge(policy: &Policy, layers: &mut [(Layer, Lowered)], marked: &FxHashSet<RuleId>) -> Findings {
    let mut findings = Findings::default();
    let says =
        |rule: &Rule| rule.source.pods().chain(rule.destination.pods()).any(|(_, pods)| says_ambient(&pods.selector));
    if !shows_ambient(policy) && !policy.rules.iter().any(says) {
        return findings;
    }
    let mut judge = Judge { policy, layers, known: FxHashMap::default(), tunnels: Vec::new() };
    judge.tunnels = judge.tunnels();
    let mut wider = Vec::new();
    for (at, rule) in policy.numbered().filter(|(at, rule)| rule.action != Action::Isolate && !marked.contains(at)) {
        let Some(found) = judge.rule(at, rule) else { continue };
        if rule.origin.approximate().is_none() {
            findings.diagnostics.push(found);
            continue;
        }
        findings.accepted.insert(at);
        if rule.action == Action::Allow && found.code == Code::Ambient {
            findings.diagnostics.extend(judge.accepted(rule));
        } else {
            wider.push((at, rule));
        }
    }
    findings.diagnostics.extend(judge.closed_to_probes());
    for (at, rule) in wider {
        let why = Why::from("the tunnel of pods in ambient mode, TCP 15008, carries every port");
        let ends = Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
        ends.for_each(|direction| raise(layers, at, direction, &why));
    }
    findings
}

/// A rule that opens the tunnel on the way out or in.
struct Tunnel {
    direction: Direction,
    from: KnownPods,
    to: KnownPods,
    /// Whether the rule opens every port inside the tunnel.
    whole: bool,
}

struct Judge<'a, 'l> {
    policy: &'a Policy,
    layers: &'l [(Layer, Lowered)],
    known: FxHashMap<&'a PodSelector, KnownPods>,
    tunnels: Vec<Tunnel>,
}

impl<'a> Judge<'a, '_> {
    fn rule(&mut self, at: RuleId, rule: &'a Rule) -> Option<Diagnostic> {
        let policy = self.policy;
        let by_address = policy.settings.targets.contains(&Layer::NetworkPolicy);
        // Where the port is outside the tunnel, or every port is meant, a NetworkPolicy means what the rule says.
        let meant = |ports: &Ports| by_address && is_every_tcp_port(ports) && rule.conditions.is_none();
        let hidden = |member: &&Member| member.ports.has_protocol(Protocol::Tcp) && !meant(&member.ports);
        let hidden: Vec<&Member> = rule.destination.members.iter().filter(hidden).collect();
        let (from, to) = (self.of(&rule.source), self.of_members(hidden.iter().copied()));
        if !from.may_tunnel() || !to.may_tunnel() {
            return None;
        }
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
            let exact = policy.settings.require_exact;
            if by_address && !exact && rule.action == Action::Allow && rule.conditions.is_none() && opens_only(&hidden)
            {
                return Some(opened(rule, &names));
            }
            let why = "what they send each other arrives on TCP 15008, and they have no sidecar";
            return Some(not_enforced(rule, &names, why));
        }
        if !by_address || rule.via.is_some() {
            return None;
        }
        let mut directions = Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
        directions.find_map(|direction| self.through_tunnel(at, rule, direction, &from, &to))
    }

    /// Returns what is accepted with a rule for single ports: where nothing opens the tunnel, it is closed.
    fn accepted(&mut self, rule: &'a Rule) -> Option<Diagnostic> {
        if !self.policy.settings.targets.contains(&Layer::NetworkPolicy) {
            return None;
        }
        let (from, to) = (self.of(&rule.source), self.of(&rule.destination));
        let ends = Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
        let mut names = BTreeSet::new();
        for end in ends {
            let own = if end == Direction::Egress { &from } else { &to };
            let is_open = |name: &SmolStr| {
                self.tunnels.iter().any(|tunnel| {
                    let its = if end == Direction::Egress { &tunnel.from } else { &tunnel.to };
                    tunnel.direction == end && its.ambient.contains(name)
                })
            };
            names.extend(own.ambient.iter().filter(|name| !is_open(name)).cloned());
        }
        let message = "networkpolicy refuses more than this rule says";
        let why = format!(
            "what pods in ambient mode send and take arrives on TCP 15008, which stays closed: {}",
            list(&names)
        );
        let note = Diagnostic::new(Code::Refused, rule.origin.span, message).at(why);
        (!names.is_empty())
            .then(|| note.note("to open it: `apply ambient(…)` of std/istio, which lets the mesh in on every port"))
    }

    /// Notes once that pods in ambient mode are isolated and the kubelet's probes do not come through.
    fn closed_to_probes(&mut self) -> Option<Diagnostic> {
        let policy = self.policy;
        if !policy.settings.targets.contains(&Layer::NetworkPolicy) {
            return None;
        }
        let probes = AddressSet::of([IpNet::from(IpAddr::V4(PROBES))]);
        let mut open = BTreeSet::new();
        for rule in policy.rules.iter().filter(|rule| rule.action == Action::Allow && rule.ingress) {
            let lets_in = |member: &Member| matches!(&member.what, What::Addresses(set) if set.overlaps(&probes));
            if rule.source.members.iter().any(lets_in) {
                open.extend(self.of(&rule.destination).ambient);
            }
        }
        let isolating = policy.rules.iter().filter(|rule| rule.action == Action::Isolate && rule.ingress);
        isolating.into_iter().find_map(|rule| {
            let subject = self.of(rule.subject(Direction::Ingress)).ambient;
            let closed: BTreeSet<SmolStr> = subject.difference(&open).cloned().collect();
            let message = format!("this closes pods in ambient mode to the kubelet's probes: {}", list(&closed));
            let note = Diagnostic::new(Code::ProbesClosed, rule.origin.span, message);
            (!closed.is_empty()).then(|| {
                note.at(format!("on the pod's node they come from {PROBES}"))
                    .note("let them in, `use std/istio (ambient-probes)` and then `allow ingress ambient-probes -> …`, or `apply ambient(…)`, which opens the tunnel too")
            })
        })
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
        self.of_members(endpoint.members.iter())
    }

    fn of_members(&mut self, members: impl Iterator<Item = &'a Member>) -> KnownPods {
        let policy = self.policy;
        let mut all = KnownPods::default();
        for member in members {
            if let What::Pods(pods) = &member.what {
                let known = || KnownPods::of(policy, &pods.selector);
                all.add(self.known.entry(&pods.selector).or_insert_with(known));
            }
        }
        all
    }
}

/// Returns whether destinations are the tunnel's port and no other TCP port.
fn opens_only(members: &[&Member]) -> bool {
    let ports = members.iter().flat_map(|member| member.ports.entries());
    let mut ports = ports.filter(|port| port.protocol == Protocol::Tcp);
    members.iter().all(|member| member.ports != Ports::All)
        && ports.all(|port| port.port == PortTest::Range(TUNNEL, TUNNEL))
}

fn is_every_tcp_port(ports: &Ports) -> bool {
    *ports == Ports::All || ports.entries().iter().any(|port| port.is_every(Protocol::Tcp))
}

/// Returns the warning for a rule that opens the tunnel of pods in ambient mode.
fn opened(rule: &Rule, names: &BTreeSet<SmolStr>) -> Diagnostic {
    let message = format!("the tunnel of pods in ambient mode carries every port: {}", list(names));
    Diagnostic::new(Code::TunnelOpen, rule.origin.span, message)
        .at("networkpolicy sees TCP 15008 alone, whatever port is meant inside, and what ztunnel decides is not checked here")
        .note("ztunnel enforces AuthorizationPolicies for ports and identities: let it judge, and accept the gap, `@approximate(\"why\")`")
}

fn not_enforced(rule: &Rule, names: &BTreeSet<SmolStr>, why: &str) -> Diagnostic {
    let message = format!("pods in ambient mode are held by no layer on single ports: {}", list(names));
    let diagnostic = Diagnostic::new(Code::Ambient, rule.origin.span, message).at(why);
    if rule.action == Action::Deny {
        return diagnostic
            .note("give them sidecars, or leave out the ports and the conditions, which denies every port")
            .note("or accept the gap: `@approximate(\"why\")` before the rule");
    }
    diagnostic
        .note("give them sidecars, or leave out the ports and the conditions, which lets these callers reach every port")
        .note("or open their tunnel to all of the mesh with `apply ambient(…)` of std/istio, and say the ports in policies of your own, which ztunnel enforces")
        .note("or accept the gap: `@approximate(\"why\")` before the rule; the tunnel stays closed, unless another rule opens it")
}

fn list(names: &BTreeSet<SmolStr>) -> String {
    let quoted: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0..=3 => quoted.join(", "),
        more => format!("{} and {} more", quoted.join(", "), more - 3),
    }
}

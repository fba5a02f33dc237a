//! One case: a policy about a cluster, what the source means, and what the engines make of the objects.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netpol::diag::Severity;
use netpol::policy::ask::{Question, ask};
use netpol::policy::{self, Cause, Direction, Flow, Party, Protocol, Verdict};
use netpol::targets::Level;
use serde_json::{Value, json};

use crate::build::{Build, build_with, written};
use crate::cluster::{Cluster, POD_RANGES};
use crate::engines::{self, Program, Verdicts};
use crate::policy::Policy;

/// A policy about a cluster.
#[derive(Clone, Debug)]
pub struct Case {
    pub cluster: Cluster,
    pub policy: Policy,
}

/// A port of a protocol.
pub type Port = (u16, Protocol);

/// What the flows of a case came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub flows: usize,
    pub allowed: usize,
    pub denied: usize,
    /// Flows that a layer lets through although the source does not, as it says.
    pub wider: usize,
    /// Votes by engine.
    pub votes: BTreeMap<String, usize>,
    pub disagreements: Vec<Disagreement>,
}

/// A flow that the source and an engine judge unlike.
#[derive(Clone, Debug)]
pub struct Disagreement {
    pub flow: String,
    pub meant: bool,
    pub votes: Vec<(String, bool)>,
}

impl Case {
    /// Builds the case for `networkpolicy`.
    pub fn build(&self) -> Build {
        build_with(&self.policy.to_string(), &self.cluster.manifests(), |settings| {
            if self.cluster.ranges_known {
                settings.pods = POD_RANGES.iter().map(|range| written(range)).collect();
            }
        })
    }

    /// Compares the meaning of the source with what engines say of some objects: those of the build, or others.
    pub fn compare(&self, build: &Build, objects: &[String], programs: &mut [Program]) -> Outcome {
        let ends = self.cluster.ends();
        let ports = ports(build);
        let flows = self.flows(&ends, ports.len());
        let mut question = self.cluster.question();
        question["objects"] = json!(objects);
        question["ends"] = json!(ends);
        question["flows"] = json!(flows);
        question["ports"] = ports
            .iter()
            .map(|(port, protocol)| json!({"port": port, "protocol": protocol.word().to_uppercase()}))
            .collect::<Vec<Value>>()
            .into();
        let (verdicts, meant) = engines::ask(programs, &question, || meaning(build, &ends, &ports, &flows));
        let mut outcome = Outcome { flows: flows.len(), ..Outcome::default() };
        let verdicts = match verdicts {
            Ok(verdicts) => verdicts,
            Err(error) => {
                outcome.disagreements.push(Disagreement { flow: error, meant: false, votes: Vec::new() });
                return outcome;
            }
        };
        for (at, [from, to, port]) in flows.iter().enumerate() {
            let shown = || {
                let (port, protocol) = ports[*port];
                format!("{} -> {} {port}/{}", self.shown(ends[*from]), self.shown(ends[*to]), protocol.word())
            };
            outcome.add(at, &verdicts, &meant[at], build, shown);
        }
        outcome
    }

    /// Returns the flows: every end to every other of its family, on every port. A pod that calls itself is left out:
    /// what it sends never leaves it, and no engine knows that.
    fn flows(&self, ends: &[IpAddr], ports: usize) -> Vec<[usize; 3]> {
        let mut flows = Vec::new();
        for (from, source) in ends.iter().enumerate() {
            for (to, destination) in ends.iter().enumerate() {
                let pods = (self.cluster.at(*source), self.cluster.at(*destination));
                let itself = matches!(pods, (Some(a), Some(b)) if std::ptr::eq(a, b));
                if source.is_ipv4() == destination.is_ipv4() && pods.0.or(pods.1).is_some() && !itself {
                    flows.extend((0..ports).map(|port| [from, to, port]));
                }
            }
        }
        flows
    }

    fn shown(&self, address: IpAddr) -> String {
        match self.cluster.at(address) {
            Some(pod) => format!("{}/{} {:?} ({address})", pod.namespace, pod.workload, pod.labels),
            None => address.to_string(),
        }
    }
}

impl Outcome {
    fn add(&mut self, at: usize, verdicts: &Verdicts, meant: &Verdict, build: &Build, shown: impl Fn() -> String) {
        let votes: Vec<(&String, bool)> = verdicts
            .iter()
            .filter(|(_, letters)| letters[at] != b'-')
            .map(|(engine, letters)| (engine, letters[at] == b'1'))
            .collect();
        for (engine, _) in &votes {
            *self.votes.entry((*engine).clone()).or_default() += 1;
        }
        assert!(votes.len() > 1, "fewer than two engines vote on {}", shown());
        let allowed = meant.allowed();
        *(if allowed { &mut self.allowed } else { &mut self.denied }) += 1;
        if votes.iter().all(|(_, vote)| *vote == allowed) {
            return;
        }
        if votes.iter().all(|(_, vote)| *vote) && is_stated(build, meant) {
            self.wider += 1;
            return;
        }
        let votes = votes.into_iter().map(|(engine, vote)| (engine.clone(), vote)).collect();
        self.disagreements.push(Disagreement { flow: shown(), meant: allowed, votes });
    }
}

impl Disagreement {
    /// Returns whether the engines are of one mind against the source.
    pub fn shown(&self) -> String {
        let word = |allowed| if allowed { "allowed" } else { "denied" };
        let votes: Vec<String> = self.votes.iter().map(|(engine, vote)| format!("{engine}: {}", word(*vote))).collect();
        format!("{}\n  netpol eval: {}; {}", self.flow, word(self.meant), votes.join("; "))
    }
}

/// Returns whether the compiler said that the layer lets through more than the rules that forbid a flow: at each end that
/// forbids it, the rule that decides is judged less than exact.
fn is_stated(build: &Build, meant: &Verdict) -> bool {
    let exact = |rule: u32, direction: Direction| {
        let judgements = build.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.judgements);
        judgements
            .filter(|judgement| judgement.rule == rule && judgement.direction == direction)
            .all(|judgement| judgement.level == Level::Exact)
    };
    let governing = |direction: Direction| {
        let rules = build.policy.rules.iter().enumerate();
        rules.filter(move |(_, rule)| rule.governs(direction)).map(|(at, _)| at as u32)
    };
    meant.ends.iter().filter(|end| !end.allows()).all(|end| match end.cause {
        Cause::Denied(rule) => !exact(rule, end.direction),
        _ => governing(end.direction).any(|rule| !exact(rule, end.direction)),
    })
}

/// Returns the ports that are asked about: those that the policy and the pods name, the ones beside them, and others.
fn ports(build: &Build) -> Vec<Port> {
    let mut ports = vec![(80, Protocol::Tcp), (8080, Protocol::Tcp), (53, Protocol::Udp), (80, Protocol::Sctp)];
    let rules = build.policy.rules.iter().flat_map(|rule| &rule.destination.members);
    for member in rules {
        for port in member.ports.entries() {
            if let policy::PortTest::Range(first, last) = port.port {
                ports.extend([first, last].map(|number| (number, port.protocol)));
                ports.extend(last.checked_add(1).map(|number| (number, port.protocol)));
                ports.push((first, if port.protocol == Protocol::Udp { Protocol::Tcp } else { Protocol::Udp }));
            }
        }
    }
    let named = build.policy.inventory.workloads.iter().flat_map(|workload| &workload.ports);
    ports.extend(named.map(|port| (port.port, port.protocol)));
    ports.retain(|(number, protocol)| *number > 0 && *protocol != Protocol::Icmp);
    ports.sort();
    ports.dedup();
    ports
}

/// Decides every flow by the source.
fn meaning(build: &Build, ends: &[IpAddr], ports: &[Port], flows: &[[usize; 3]]) -> Vec<Verdict> {
    // Who an address is, is asked as `netpol eval` asks.
    let party = |address: &IpAddr| -> Party {
        let question = Question { from: address.to_string(), to: "192.0.2.9:1".into(), ..Question::default() };
        ask(&build.policy, &question).unwrap().flow.source
    };
    let parties: Vec<Party> = ends.iter().map(party).collect();
    let decide = |[from, to, port]: &[usize; 3]| {
        let (port, protocol) = ports[*port];
        let (source, destination) = (parties[*from].clone(), parties[*to].clone());
        let flow = Flow { source, destination, port: Some(port), protocol, request: policy::Request::default() };
        policy::eval(&build.policy, &flow)
    };
    flows.iter().map(decide).collect()
}

/// Returns the objects of a build as they are written.
pub fn objects(build: &Build) -> Vec<String> {
    let objects = build.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.objects);
    objects.map(|object| object.yaml.clone()).collect()
}

/// Returns the errors of a build, by code.
pub fn errors(build: &Build) -> Vec<String> {
    let errors = build.diagnostics.iter().filter(|finding| finding.severity() == Severity::Error);
    errors.map(|finding| format!("{}: {}", finding.code.as_str(), finding.message)).collect()
}

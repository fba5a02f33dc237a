//! One case: a policy about a cluster, what the source means, and what the engines make of the objects.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netpol::diag::Severity;
use netpol::model::addresses::AddressSet;
use netpol::model::ports::Protocol;
use netpol::policy::ask::{Question, ask};
use netpol::policy::{self, Flow, Party, Verdict};
use netpol::settings::Layer;
use serde_json::{Value, json};

use crate::build::{Build, written};
use crate::cluster::{API_SERVER, Cluster, NODE_RESOLVER, NODES, POD_RANGES};
use crate::engines::{self, Program};
use crate::known;
use crate::policy::Policy;
use crate::reading::{self, Reading};

/// At the edges of how many blocks of a policy addresses are asked about.
const MOST_BLOCKS: usize = 4;

/// A policy about a cluster.
#[derive(Clone, Debug)]
pub struct Case {
    pub cluster: Cluster,
    pub policy: Policy,
}

/// A port of a protocol.
pub type Port = (u16, Protocol);

/// An engine and whether it allows a flow.
pub type Vote<'e> = (&'e str, bool);

/// A flow and what the source says of it.
struct Asked {
    ends: [IpAddr; 2],
    flow: Flow,
    meant: Verdict,
}

/// What the flows of a case came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub flows: usize,
    /// Flows on which engines differ, since Kubernetes does not say what the objects mean for them.
    pub unclear: usize,
    pub allowed: usize,
    pub denied: usize,
    /// Flows that a layer lets through although the source does not, as it says.
    pub wider: usize,
    /// Votes by engine.
    pub votes: BTreeMap<String, usize>,
    pub disagreements: Vec<Disagreement>,
    /// Flows that an engine judges unlike what the compiler reads of the objects.
    pub misread: Vec<Disagreement>,
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
        let (declared, manifests) = match self.cluster.inventory {
            true => (String::new(), Some(self.cluster.manifests())),
            false => (self.cluster.declarations(), None),
        };
        let source = format!("{declared}{}{}", self.cluster.workloads(), self.policy);
        Build::text_for(&[Layer::NetworkPolicy], &source, manifests.as_deref(), |settings| {
            if self.cluster.ranges_known {
                settings.pods = POD_RANGES.iter().map(|range| written(range)).collect();
            }
            if self.cluster.node_resolver {
                settings.resolver = vec![written(NODE_RESOLVER)];
            }
            if self.cluster.istio {
                settings.targets = vec![Layer::NetworkPolicy, Layer::Istio];
            }
            settings.platform = self.cluster.platform;
            settings.grant_dns = !self.cluster.explicit_dns;
            settings.nodes = vec![written(NODES)];
            settings.apiserver = vec![written(API_SERVER)];
        })
    }

    /// Compares the meaning of the source with what engines say of some objects: those of the build, or others.
    pub fn compare(&self, build: &Build, objects: &[String], programs: &mut [Program]) -> Outcome {
        let mut ends = self.cluster.ends();
        ends.extend(edges(build).into_iter().filter(|address| !self.cluster.outside.contains(address)));
        let ports = ports(build);
        let flows = self.flows(&ends, ports.len());
        let in_blocks = known::in_blocks(build, objects);
        let mut question = self.cluster.question();
        question["objects"] = json!(objects);
        question["ends"] = json!(ends);
        question["flows"] = json!(flows);
        question["ports"] = ports
            .iter()
            .map(|(port, protocol)| json!({"port": port, "protocol": protocol.word().to_uppercase()}))
            .collect::<Vec<Value>>()
            .into();
        let (verdicts, asked) = engines::ask(programs, &question, || self.meaning(build, &ends, &ports, &flows));
        let mut outcome = Outcome { flows: flows.len(), ..Outcome::default() };
        let verdicts = match verdicts {
            Ok(verdicts) => verdicts,
            Err(error) => {
                outcome.disagreements.push(Disagreement { flow: error, meant: false, votes: Vec::new() });
                return outcome;
            }
        };
        let blocks = known::blocks(objects);
        let read = reading::policy(build, objects);
        let mut read = Reading::of(&read);
        for (at, asked) in asked.iter().enumerate() {
            let votes: Vec<(&str, bool)> = verdicts
                .iter()
                .filter(|(_, letters)| letters[at] != b'-')
                .map(|(engine, letters)| (engine.as_str(), letters[at] == b'1'))
                .collect();
            self.count(&mut outcome, build, &in_blocks, asked, &votes);
            let allows = read.allows(&asked.flow);
            let differ = votes.iter().any(|(_, vote)| *vote != allows);
            if differ && !(self.is_in_blocks(&blocks, asked) && known::is_by_block(allows, &votes)) {
                outcome.misread.push(self.disagreement(asked, allows, &votes));
            }
        }
        outcome
    }

    fn count(&self, outcome: &mut Outcome, build: &Build, in_blocks: &AddressSet, asked: &Asked, votes: &[Vote]) {
        let allowed = asked.meant.allowed();
        assert!(votes.len() > 1, "fewer than two engines vote on {}", self.shown(asked));
        for (engine, _) in votes {
            *outcome.votes.entry((*engine).to_owned()).or_default() += 1;
        }
        *(if allowed { &mut outcome.allowed } else { &mut outcome.denied }) += 1;
        if votes.iter().all(|(_, vote)| *vote == allowed) {
            return;
        }
        if votes.iter().all(|(_, vote)| *vote) && known::is_stated(build, &asked.flow, &asked.meant) {
            outcome.wider += 1;
        } else if self.is_in_blocks(in_blocks, asked) && known::is_by_block(allowed, votes) {
            outcome.unclear += 1;
        } else {
            outcome.disagreements.push(self.disagreement(asked, allowed, votes));
        }
    }

    /// Returns whether a flow is between pods, the address of one of which is in some blocks.
    fn is_in_blocks(&self, in_blocks: &AddressSet, asked: &Asked) -> bool {
        let pods = asked.ends.map(|end| self.cluster.at(end));
        pods.iter().all(Option::is_some) && asked.ends.iter().any(|end| in_blocks.contains(*end))
    }

    fn disagreement(&self, asked: &Asked, meant: bool, votes: &[Vote]) -> Disagreement {
        let votes = votes.iter().map(|(engine, vote)| ((*engine).to_owned(), *vote)).collect();
        Disagreement { flow: self.shown(asked), meant, votes }
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

    /// Decides every flow by the source.
    fn meaning(&self, build: &Build, ends: &[IpAddr], ports: &[Port], flows: &[[usize; 3]]) -> Vec<Asked> {
        let parties: Vec<Party> = ends.iter().map(|end| self.party(build, *end)).collect();
        let decide = |&[from, to, port]: &[usize; 3]| {
            let (port, protocol) = ports[port];
            let (source, destination) = (parties[from].clone(), parties[to].clone());
            let flow = Flow { source, destination, port: Some(port), protocol, request: policy::Request::default() };
            Asked { ends: [ends[from], ends[to]], meant: policy::eval(&build.policy, &flow), flow }
        };
        flows.iter().map(decide).collect()
    }

    /// Returns who has an address: asked as `netpol eval` asks, where there is an inventory to find it in.
    fn party(&self, build: &Build, address: IpAddr) -> Party {
        match self.cluster.at(address) {
            Some(pod) if !self.cluster.inventory || pod.unlisted || pod.declared => Party::Pod(self.cluster.meant(pod)),
            _ => {
                let question = Question { from: address.to_string(), to: "192.0.2.9:1".into(), ..Question::default() };
                ask(&build.policy, &question).unwrap().all.remove(0).flow.source
            }
        }
    }

    fn shown(&self, asked: &Asked) -> String {
        let [from, to] = asked.ends.map(|address| match self.cluster.at(address) {
            Some(pod) => format!("{}/{} {:?} ({address})", pod.namespace, pod.workload, pod.labels),
            None => address.to_string(),
        });
        format!("{from} -> {to} {}/{}", asked.flow.port.unwrap_or_default(), asked.flow.protocol.word())
    }
}

impl Disagreement {
    /// Returns the flow, and below it what everyone says.
    pub fn shown(&self) -> String {
        let word = |allowed| if allowed { "allowed" } else { "denied" };
        let votes: Vec<String> = self.votes.iter().map(|(engine, vote)| format!("{engine}: {}", word(*vote))).collect();
        format!("{}\n  netpol: {}; {}", self.flow, word(self.meant), votes.join("; "))
    }
}

/// Returns addresses at the edges of blocks that the policy names, inside and outside. One among pods' addresses would
/// be a pod's.
fn edges(build: &Build) -> Vec<IpAddr> {
    let members =
        build.policy.rules.iter().flat_map(|rule| rule.source.members.iter().chain(&rule.destination.members));
    let mut nets: Vec<IpNet> = Vec::new();
    for member in members {
        match &member.what {
            netpol::model::endpoint::What::Addresses(set) => {
                nets.extend(set.blocks.iter().flat_map(|block| block.except.iter().chain([&block.net])));
            }
            netpol::model::endpoint::What::Host(host) => nets.extend(host.at.iter().map(|at| at.net)),
            netpol::model::endpoint::What::Pods(_) => {}
        }
    }
    nets.sort();
    nets.dedup();
    // A name of the prelude may have a hundred blocks; some of them will do.
    let step = nets.len().div_ceil(MOST_BLOCKS).max(1);
    let nets = nets.into_iter().step_by(step);
    let edges = nets
        .flat_map(|net| [before(net.network()), Some(net.network()), Some(net.broadcast()), after(net.broadcast())]);
    let pods = POD_RANGES.map(|range| range.parse::<IpNet>().unwrap());
    let mut edges: Vec<IpAddr> =
        edges.flatten().filter(|address| !pods.iter().any(|range| range.contains(address))).collect();
    edges.sort();
    edges.dedup();
    edges
}

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

/// Returns the ports that are asked about: those that the policy and the pods name, the ones beside them, and others.
fn ports(build: &Build) -> Vec<Port> {
    let mut ports = vec![(80, Protocol::Tcp), (8080, Protocol::Tcp), (53, Protocol::Udp), (80, Protocol::Sctp)];
    let rules = build.policy.rules.iter().flat_map(|rule| &rule.destination.members);
    for member in rules {
        if let netpol::model::endpoint::What::Host(host) = &member.what {
            ports.extend(host.originates.iter().map(|one| (one.target, Protocol::Tcp)));
        }
        for port in member.ports.entries() {
            if let netpol::model::ports::PortTest::Range(first, last) = port.port {
                ports.extend([first, last].map(|number| (number, port.protocol)));
                ports.extend([first.saturating_sub(1), last.saturating_add(1)].map(|number| (number, port.protocol)));
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

/// Returns the objects of a build as they are written.
pub fn objects(build: &Build) -> Vec<String> {
    let layers = build.lowering.layers.iter().filter(|(layer, _)| *layer == Layer::NetworkPolicy);
    layers.flat_map(|(_, lowered)| &lowered.objects).map(|object| object.yaml.clone()).collect()
}

/// Returns the errors of a build, by code.
pub fn errors(build: &Build) -> Vec<String> {
    let errors = build.diagnostics.iter().filter(|finding| finding.severity() == Severity::Error);
    errors.map(|finding| format!("{}: {}", finding.code.as_str(), finding.message)).collect()
}

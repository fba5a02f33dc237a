//! Reader of NetworkPolicies: from YAML to rules, for objects of this build and of others.
//!
//! ```yaml
//! podSelector: { matchLabels: { app: web } }
//! policyTypes: [Egress]
//! egress: [{ to: [{ podSelector: {} }], ports: [{ port: 80 }] }]
//! ```
//!
//! in `garden` is `default deny egress garden/{app=web}` and `allow egress garden/{app=web} -> garden/*:80`.
//!
//! The reader knows how Kubernetes reads a NetworkPolicy, and shares no code with the writer, because the objects of a
//! build are compared with the policy through it. A block of addresses never means pods here, whatever their addresses
//! are.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::inventory::{Passage, Peer, Pods, PolicyObject, Says, network_policies, written_network_policies};
use crate::model::addresses::AddressSet;
use crate::model::conditions::Conditions;
use crate::model::endpoint::{self, Endpoint, Member, What};
use crate::model::labels::{PodSelector, Requirements};
use crate::model::ports::Ports;
use crate::model::rules::{Action, Direction, Notes, Origin, Rule};
use crate::source::{FileId, Sources, Span};

/// Reads the NetworkPolicies of files as rules, each with the span of its object. `unplaced` is the namespace of
/// objects that name none. A value that cannot be read, or that Kubernetes would refuse, is a diagnostic with its span.
pub fn read(sources: &Sources, files: &[FileId], unplaced: &str, diagnostics: &mut Diagnostics) -> Vec<Rule> {
    let mut objects = Vec::new();
    for &file in files {
        objects.extend(network_policies(file, &sources.file(file).text, unplaced, diagnostics));
    }
    refuse_twice(&objects, diagnostics);
    rules(&objects)
}

/// Reads the objects of a text that was just written; `file` is the file of the text.
pub(in crate::targets) fn written(file: FileId, text: &str) -> Result<Vec<Rule>, Box<Diagnostic>> {
    let objects = written_network_policies(file, text)?;
    let mut found = Diagnostics::new();
    refuse_twice(&objects, &mut found);
    match found.iter().next() {
        Some(finding) => Err(finding.clone().into()),
        None => Ok(rules(&objects)),
    }
}

/// Reports two objects with one name: the cluster keeps only one of them, and it is unknown which.
fn refuse_twice(objects: &[PolicyObject], diagnostics: &mut Diagnostics) {
    let mut first: rustc_hash::FxHashMap<(&SmolStr, &SmolStr), Span> = rustc_hash::FxHashMap::default();
    for object in objects {
        let before = *first.entry((&object.namespace, &object.name)).or_insert(object.origin);
        if before != object.origin {
            let message = format!("NetworkPolicy {}/{} is stated twice", object.namespace, object.name);
            let finding = Diagnostic::new(Code::ManifestConflict, object.origin, message).at("here");
            diagnostics.push(finding.label(before, "and here").note("the cluster has one object of each name"));
        }
    }
}

/// Returns the rules of NetworkPolicies. Objects of other kinds give no rules.
fn rules(objects: &[PolicyObject]) -> Vec<Rule> {
    let mut rules = Vec::new();
    let conditions = Arc::new(Conditions::default());
    for object in objects {
        let (Pods::Labels(labels), Says::Network { ingress, egress }) = (&object.pods, &object.says) else { continue };
        let of = Of { object, labels, conditions: &conditions };
        for (direction, passages) in [(Direction::Egress, egress), (Direction::Ingress, ingress)] {
            let Some(passages) = passages else { continue };
            rules.push(of.isolation(direction));
            rules.extend(passages.iter().map(|passage| of.allow(direction, passage)));
        }
    }
    rules
}

/// One object.
struct Of<'o> {
    object: &'o PolicyObject,
    labels: &'o Requirements,
    conditions: &'o Arc<Conditions>,
}

impl Of<'_> {
    fn member(&self, what: What, ports: &Ports) -> Member {
        Member { span: self.object.origin, what, ports: ports.clone() }
    }

    fn subject(&self, ports: &Ports) -> Arc<Endpoint> {
        let selector =
            PodSelector { labels: self.labels.clone(), ..PodSelector::in_namespace(self.object.namespace.clone()) };
        let pods = What::Pods(endpoint::Pods { selector, named: None });
        Arc::new(Endpoint { members: [self.member(pods, ports)].into_iter().collect() })
    }

    fn rule(&self, action: Action, direction: Direction, ends: [Arc<Endpoint>; 2]) -> Rule {
        let [source, destination] = ends;
        Rule {
            action,
            egress: direction == Direction::Egress,
            ingress: direction == Direction::Ingress,
            source,
            destination,
            conditions: Arc::clone(self.conditions),
            via: None,
            origin: Origin::new(self.object.origin, Notes::default()),
        }
    }

    fn isolation(&self, direction: Direction) -> Rule {
        let subject = self.subject(&Ports::All);
        self.rule(Action::Isolate, direction, [Arc::clone(&subject), subject])
    }

    fn allow(&self, direction: Direction, passage: &Passage) -> Rule {
        let ports = match passage.ports.as_slice() {
            [] => Ports::All,
            list => Ports::Some(list.to_vec()),
        };
        match direction {
            Direction::Egress => {
                let ends = [self.subject(&Ports::All), self.peers(passage, &ports)];
                self.rule(Action::Allow, direction, ends)
            }
            Direction::Ingress => {
                let ends = [self.peers(passage, &Ports::All), self.subject(&ports)];
                self.rule(Action::Allow, direction, ends)
            }
        }
    }

    fn peers(&self, passage: &Passage, ports: &Ports) -> Arc<Endpoint> {
        let pods = |selector: &PodSelector| {
            self.member(What::Pods(endpoint::Pods { selector: selector.clone(), named: None }), ports)
        };
        let members = match passage.peers.as_slice() {
            [] => {
                let addresses = self.member(What::Addresses(AddressSet::everything()), ports);
                [pods(&PodSelector::any()), addresses].into_iter().collect()
            }
            list => {
                let peer = |peer: &Peer| match peer {
                    Peer::Pods(selector) => pods(selector),
                    Peer::Block(block) => {
                        self.member(What::Addresses(AddressSet { blocks: vec![block.clone()] }), ports)
                    }
                };
                list.iter().map(peer).collect()
            }
        };
        Arc::new(Endpoint { members })
    }
}

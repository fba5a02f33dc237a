//! The one effective Sidecar, and the one effective PeerAuthentication, of every pod.
//!
//! ```text
//! allow egress */*              -> a.example:443/tls    mesh-wide             a
//! allow egress garden/*         -> b.example:443/tls    namespace-wide        a, b
//! allow egress garden/{app=web} -> c.example:443/tls    workload-specific     a, b, c
//! ```
//!
//! Istio merges objects of neither kind. A pod obeys the object whose labels select it, else its namespace's, else the
//! mesh's; if two objects select it by labels, it obeys the older one. So each object repeats the statements of the
//! objects that enclose it, and the pods are divided so that no pod obeys two (`divide`). Statements whose pods Istio
//! cannot distinguish are added to every object that may have such pods.

use std::rc::Rc;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::divide::{Labelled, Said, Workloads, divide};
use super::find::telling_labels;
use super::overlaps::Overlaps;
use super::subject::{Indistinct, Subject, Subjects};
use crate::model::labels::PodSelector;
use crate::targets::istio::facts::{Facts, MatchLabels, NamespaceFacts};

/// A statement about some pods.
pub struct Statement<'a> {
    /// The pods.
    pub selector: &'a PodSelector,
    /// The same pods, as subjects of Istio.
    pub subjects: Rc<Subjects>,
    /// Whether the statement allows something, so that other pods may get it too. Otherwise it closes, and is for
    /// exactly these pods or for none.
    pub gives: bool,
}

/// An object that some pods obey.
#[derive(Debug)]
pub struct EffectiveObject {
    /// The pods, without those of enclosed objects.
    pub subject: Subject,
    /// The object that they would obey without this one.
    pub around: Option<usize>,
    /// The statements about all of its pods, without those of enclosing objects.
    pub own: Said,
    /// The statements about some of its pods, which are applied to all of them.
    pub joined: Vec<u32>,
}

/// All pods, divided by the object that they obey.
#[derive(Default)]
pub struct Division {
    /// The objects; each comes after the one that encloses it.
    pub objects: Vec<EffectiveObject>,
    /// For each statement, why some of its pods have no object of their own.
    pub without: Vec<Option<Indistinct>>,
    by_subject: FxHashMap<Subject, usize>,
}

const MEETING: Indistinct =
    "its pods may be those of another rule too, a pod has one Sidecar, and no inventory tells them apart";

impl Division {
    /// Divides the pods of some statements.
    pub fn new(facts: &Facts<'_>, statements: &[Statement<'_>]) -> Division {
        let mut division = Division { without: vec![None; statements.len()], ..Division::default() };
        let mut mesh = Said::new();
        let mut namespaces: Vec<(SmolStr, Vec<(MatchLabels, u32)>)> = Vec::new();
        let mut index: FxHashMap<SmolStr, usize> = FxHashMap::default();
        let mut indistinct = Vec::new();
        let mut in_namespace = |name: &SmolStr| match index.get(name) {
            Some(&at) => at,
            None => {
                index.insert(name.clone(), namespaces.len());
                namespaces.push((name.clone(), Vec::new()));
                namespaces.len() - 1
            }
        };
        let mut told = Vec::new();
        for (at, statement) in statements.iter().enumerate() {
            for subject in &statement.subjects.list {
                match &subject.namespace {
                    None => mesh.push(at as u32),
                    Some(name) => told.push((in_namespace(name), subject.labels.clone(), at as u32)),
                }
            }
            if let Some(why) = statement.subjects.indistinct {
                division.without[at] = Some(why);
                indistinct.push(at as u32);
                // Its pods may be in a namespace that only has the mesh-wide object so far.
                if let Some(name) = statement.selector.namespace_name() {
                    in_namespace(name);
                }
            }
        }
        for (namespace, labels, at) in told {
            namespaces[namespace].1.push((labels, at));
        }
        division.add(Subject::mesh(), None, mesh);
        for (name, list) in namespaces {
            division.add_namespace(facts, statements, name, list);
        }
        division.join_indistinct(facts, statements, &indistinct);
        division
    }

    /// Returns the object of a subject.
    pub fn at(&self, subject: &Subject) -> Option<usize> {
        self.by_subject.get(subject).copied()
    }

    /// Returns an object and those that enclose it, the innermost first.
    pub fn chain(&self, object: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(object), |&object| self.objects[object].around)
    }

    /// Returns the statements about an object's pods, each with the object whose statement it is.
    pub fn statements(&self, object: usize) -> impl Iterator<Item = (u32, usize)> {
        let joined = self.objects[object].joined.iter().map(move |&at| (at, object));
        let own = self.chain(object).flat_map(|object| self.objects[object].own.iter().map(move |&at| (at, object)));
        joined.chain(own)
    }

    fn add(&mut self, subject: Subject, around: Option<usize>, own: Said) -> usize {
        self.by_subject.insert(subject.clone(), self.objects.len());
        self.objects.push(EffectiveObject { subject, around, own, joined: Vec::new() });
        self.objects.len() - 1
    }

    fn add_namespace(
        &mut self,
        facts: &Facts<'_>,
        statements: &[Statement<'_>],
        name: SmolStr,
        list: Vec<(MatchLabels, u32)>,
    ) {
        let mut whole = Said::new();
        let mut parts: Vec<Labelled> = Vec::with_capacity(list.len());
        let mut index: FxHashMap<MatchLabels, usize> = FxHashMap::default();
        for (labels, at) in list {
            if labels.is_empty() {
                whole.push(at);
                continue;
            }
            let part = *index.entry(labels).or_insert_with_key(|labels| {
                parts.push((labels.clone(), Said::new()));
                parts.len() - 1
            });
            parts[part].1.push(at);
        }
        // In the root namespace an object without labels is mesh-wide.
        let base = if name == facts.policy.settings.root_namespace {
            0
        } else {
            self.add(Subject::namespace(&name), Some(0), whole)
        };
        let known = facts.workloads(&name).map(|known| Shown { facts, known });
        let workloads = known.as_ref().map(|known| known as &dyn Workloads);
        let divided = divide(&parts, |at| statements[at as usize].gives, workloads);
        for part in divided.parts {
            let subject = Subject { namespace: Some(name.clone()), labels: part.labels };
            let object = self.add(subject, Some(base), part.own);
            self.objects[object].joined = part.joined;
        }
        for at in divided.left {
            self.without[at as usize] = Some(MEETING);
            if statements[at as usize].gives {
                self.objects[base].joined.push(at);
            }
        }
    }

    /// Adds each statement whose pods Istio cannot distinguish to every object that may have some of these pods.
    fn join_indistinct(&mut self, facts: &Facts<'_>, statements: &[Statement<'_>], indistinct: &[u32]) {
        if indistinct.is_empty() {
            return;
        }
        let mut overlaps = Overlaps::new(self.objects.iter().map(|object| &object.subject));
        let root = &facts.policy.settings.root_namespace;
        for &at in indistinct {
            let statement = &statements[at as usize];
            if !statement.gives {
                continue;
            }
            // A namespace that a statement names has its own object, so the mesh-wide object does not need the
            // statement for it. In the root namespace this object is the mesh-wide one.
            let named = statement.selector.namespace_name().is_some_and(|name| name != root);
            let own = !statement.subjects.list.is_empty();
            for object in overlaps.of(facts, statement.selector) {
                let object = &mut self.objects[object];
                let apart = (named && object.subject.namespace.is_none()) || (own && object.own.contains(&at));
                if !apart && object.joined.last() != Some(&at) {
                    object.joined.push(at);
                }
            }
        }
    }
}

/// The workloads of a namespace that an inventory shows.
struct Shown<'s, 'a> {
    facts: &'s Facts<'a>,
    known: &'s NamespaceFacts<'a>,
}

impl Workloads for Shown<'_, '_> {
    fn having(&self, labels: &MatchLabels) -> Vec<u32> {
        self.known.having(labels)
    }

    fn telling(&self, workload: u32) -> Vec<MatchLabels> {
        telling_labels(self.facts, self.known.workloads[workload as usize])
    }
}

//! Subjects for a selector: the sets of pods that Istio can select.
//!
//! ```netpol
//! allow ingress lab/* -> garden/{app in (web, db)}:80
//! ```
//!
//! ```yaml
//! kind: AuthorizationPolicy
//! name: app-db-ingress
//! kind: AuthorizationPolicy
//! name: app-web-ingress
//! ```
//!
//! A selector of Istio has one value for a label, so two values give two subjects. A selector with other requirements
//! is replaced by the matching workloads of an inventory, each with labels that distinguish it from all others.

use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::smallvec;
use smol_str::SmolStr;

use super::subject::{Indistinct, Subject, Subjects};
use crate::inventory::{Workload, is_injected, is_passing};
use crate::model::labels::{Account, Labels, NAMESPACE_NAME, PodSelector, Requirement, Requirements, Test};
use crate::targets::istio::facts::{Facts, MatchLabels, has_labels, match_labels};

/// The kind of object that the subjects are for: kinds differ in what a selector means in the root namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sidecar: an object with labels is for its own namespace, even in the root namespace.
    Sidecar,
    /// AuthorizationPolicy and RequestAuthentication: in the root namespace an object is for the mesh, even with
    /// labels.
    Authorization,
    /// PeerAuthentication: in the root namespace an object is for the mesh, and Istio ignores one with labels.
    Peer,
}

const NO_NAMESPACES: Indistinct = "no inventory lists the namespaces that are meant";
const UNKNOWN_LABELS: Indistinct = "the labels of a namespace that may be meant are not known";
const NO_WORKLOADS: Indistinct =
    "Istio selects pods by single labels, and no inventory lists the workloads that are meant";
const NOT_TOLD: Indistinct = "no labels tell the pods that are meant from others of the inventory";
const ROOT: Indistinct = "what stands in the mesh's root namespace is for pods of all namespaces";

/// The most lists of labels that a selector is split into.
const MOST_SPLITS: usize = 16;

/// A finder of subjects, with a cache.
pub struct Finder<'f, 'a> {
    facts: &'f Facts<'a>,
    kind: Kind,
    memory: FxHashMap<PodSelector, Rc<Subjects>>,
}

impl<'f, 'a> Finder<'f, 'a> {
    /// Makes a finder of subjects for one kind of objects.
    pub fn new(facts: &'f Facts<'a>, kind: Kind) -> Finder<'f, 'a> {
        Finder { facts, kind, memory: FxHashMap::default() }
    }

    /// Returns the subjects of a selector.
    pub fn find(&mut self, selector: &PodSelector) -> Rc<Subjects> {
        if let Some(subject) = self.plain(selector) {
            return Rc::new(Subjects { list: smallvec![subject], indistinct: None });
        }
        if let Some(subjects) = self.memory.get(selector) {
            return Rc::clone(subjects);
        }
        let subjects = Rc::new(self.look(selector));
        self.memory.insert(selector.clone(), Rc::clone(&subjects));
        subjects
    }

    /// Returns the subject of a selector that is exactly one subject, as most are.
    fn plain(&self, selector: &PodSelector) -> Option<Subject> {
        let [Requirement { key, test: Test::In(names) }] = selector.namespace.list() else { return None };
        let ([namespace], NAMESPACE_NAME) = (names.as_slice(), key.as_str()) else { return None };
        let one = |label: &Requirement| {
            matches!(&label.test, Test::In(values) if values.len() == 1) && !is_injected(&label.key)
        };
        let plain = *namespace != self.facts.policy.settings.root_namespace
            && selector.account == Account::Not(Vec::new())
            && selector.labels.list().iter().all(one);
        let labels = plain.then(|| match_labels(&selector.labels)).flatten()?;
        Some(Subject { namespace: Some(namespace.clone()), labels })
    }

    fn look(&self, selector: &PodSelector) -> Subjects {
        let any_account = selector.account == Account::Not(Vec::new());
        let split = if any_account { split(&selector.labels) } else { None };
        let mut subjects = Subjects::default();
        if selector.namespace.is_any()
            && let Some(lists) = &split
            && (self.kind == Kind::Authorization || selector.labels.is_any())
        {
            subjects.list = lists.iter().map(|labels| Subject { namespace: None, labels: labels.clone() }).collect();
            return subjects;
        }
        let Some(namespaces) = self.facts.namespaces(selector) else {
            subjects.indistinct = Some(NO_NAMESPACES);
            return subjects;
        };
        let named = selector.namespace_name().is_some();
        let possible = !namespaces.is_empty();
        for (namespace, sure) in namespaces {
            if !sure {
                subjects.indistinct = Some(UNKNOWN_LABELS);
                continue;
            }
            match &split {
                Some(lists) if self.selects(namespace, lists, selector) => {
                    for labels in lists {
                        if named || self.somebody(namespace, labels) {
                            let labels = self.without_injected(namespace, labels);
                            subjects.list.push(Subject { namespace: Some(namespace.clone()), labels });
                        }
                    }
                }
                _ => self.enumerate(namespace, selector, None, &mut subjects),
            }
        }
        // Pods that the inventory does not have yet may have any labels.
        if possible && subjects.list.is_empty() && subjects.indistinct.is_none() {
            subjects.indistinct = Some(NO_WORKLOADS);
        }
        subjects
    }

    /// Returns whether objects in a namespace with some labels select only pods of that namespace.
    fn selects(&self, namespace: &SmolStr, lists: &[MatchLabels], selector: &PodSelector) -> bool {
        if *namespace != self.facts.policy.settings.root_namespace {
            return true;
        }
        let labelled = !selector.labels.is_any();
        match self.kind {
            Kind::Sidecar => labelled,
            Kind::Peer => false,
            // Unknown pods are assumed not to have the labels of a gateway in the root namespace.
            Kind::Authorization => {
                let open = !self.facts.closed() && self.facts.gateway_of(selector).is_none();
                labelled && !open && !lists.iter().any(|labels| self.shown_elsewhere(namespace, labels))
            }
        }
    }

    /// Returns whether pods of other namespaces may have some labels.
    fn elsewhere(&self, namespace: &str, labels: &MatchLabels) -> bool {
        !self.facts.closed() || self.shown_elsewhere(namespace, labels)
    }

    /// Returns whether the inventory shows pods of other namespaces with some labels.
    fn shown_elsewhere(&self, namespace: &str, labels: &MatchLabels) -> bool {
        self.facts.names().iter().any(|name| {
            **name != namespace && self.facts.known(name).is_some_and(|known| !known.having(labels).is_empty())
        })
    }

    /// Returns whether a namespace may have pods with some labels.
    fn somebody(&self, namespace: &str, labels: &MatchLabels) -> bool {
        self.facts.workloads(namespace).is_none_or(|known| !known.having(labels).is_empty())
    }

    /// Returns labels without those that the injector adds, if the others select the same pods.
    fn without_injected(&self, namespace: &str, labels: &MatchLabels) -> MatchLabels {
        let kept: MatchLabels = labels.iter().filter(|(key, _)| !is_injected(key)).cloned().collect();
        let same = || {
            let known = self.facts.workloads(namespace);
            known.is_some_and(|known| known.having(&kept) == known.having(labels))
        };
        if kept.len() < labels.len() && !kept.is_empty() && same() { kept } else { labels.clone() }
    }

    /// Returns the subjects of some of the known workloads that a selector matches in a namespace.
    pub fn find_some(&self, namespace: &SmolStr, selector: &PodSelector, workloads: &[u32]) -> Subjects {
        let mut subjects = Subjects::default();
        self.enumerate(namespace, selector, Some(workloads), &mut subjects);
        subjects
    }

    /// Adds a subject for each known workload that a selector matches, or only for some of them.
    fn enumerate(&self, namespace: &SmolStr, selector: &PodSelector, some: Option<&[u32]>, subjects: &mut Subjects) {
        let root = *namespace == self.facts.policy.settings.root_namespace;
        if root && self.kind == Kind::Peer {
            subjects.indistinct = Some(ROOT);
            return;
        }
        let Some(known) = self.facts.workloads(namespace) else {
            subjects.indistinct = Some(NO_WORKLOADS);
            return;
        };
        let numbers = some.map_or_else(|| known.numbers(selector), <[u32]>::to_vec);
        let mut meant = vec![false; known.workloads.len()];
        numbers.iter().for_each(|&at| meant[at as usize] = true);
        for &at in &numbers {
            let alone = |labels: &MatchLabels| {
                known.having(labels).iter().all(|&other| meant[other as usize])
                    && !(root && self.kind == Kind::Authorization && self.elsewhere(namespace, labels))
            };
            let workload = known.workloads[at as usize];
            let sets = telling_labels(self.facts, workload);
            // A label that the policy itself names is kept, even if a controller changes it.
            let written = written_labels(selector, workload);
            let with_written: Vec<MatchLabels> = match written.is_empty() {
                true => Vec::new(),
                false => sets.iter().map(|labels| labels.iter().cloned().chain(written.clone())).map(joined).collect(),
            };
            match sets.into_iter().chain(with_written).find(alone) {
                Some(labels) => subjects.list.push(Subject { namespace: Some(namespace.clone()), labels }),
                None => subjects.indistinct = Some(if root { ROOT } else { NOT_TOLD }),
            }
        }
        subjects.list.sort();
        subjects.list.dedup();
    }
}

/// Returns the lists of labels that may select only a workload's pods, the shortest first.
pub fn telling_labels(facts: &Facts<'_>, workload: &Workload) -> Vec<MatchLabels> {
    let sets = facts.policy.inventory.telling_labels(workload);
    let single = sets.iter().filter_map(match_labels);
    single.filter(|labels| has_labels(&workload.labels, labels)).collect()
}

/// Returns the labels of a workload that a selector names although controllers change them.
fn written_labels(selector: &PodSelector, workload: &Workload) -> Vec<(SmolStr, SmolStr)> {
    let written = |requirement: &Requirement| {
        let Test::In(_) = &requirement.test else { return None };
        let (key, value) = workload.labels.get_key_value(&requirement.key).filter(|(key, _)| is_passing(key))?;
        Some((key.clone(), value.clone()))
    };
    selector.labels.list().iter().filter_map(written).collect()
}

fn joined(labels: impl Iterator<Item = (SmolStr, SmolStr)>) -> MatchLabels {
    labels.collect::<Labels>().into_iter().collect()
}

/// Splits requirements for values into lists of single labels; `None` if there are other requirements.
fn split(requirements: &Requirements) -> Option<Vec<MatchLabels>> {
    let mut lists: Vec<Vec<(SmolStr, SmolStr)>> = vec![Vec::with_capacity(requirements.list().len())];
    for requirement in requirements.list() {
        let Test::In(values) = &requirement.test else { return None };
        if lists.len() * values.len() > MOST_SPLITS {
            return None;
        }
        // Most requirements have one value, so that the list stays the only one.
        let extend =
            |list: &mut Vec<(SmolStr, SmolStr)>, value: &SmolStr| list.push((requirement.key.clone(), value.clone()));
        if let [value] = values.as_slice() {
            lists.iter_mut().for_each(|list| extend(list, value));
            continue;
        }
        let extended = |list: &Vec<(SmolStr, SmolStr)>, value: &SmolStr| {
            let mut list = list.clone();
            extend(&mut list, value);
            list
        };
        lists = lists.iter().flat_map(|list| values.iter().map(move |value| extended(list, value))).collect();
    }
    Some(lists.into_iter().map(MatchLabels::from).collect())
}

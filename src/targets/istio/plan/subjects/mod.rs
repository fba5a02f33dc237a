//! Where objects of Istio can stand: the mesh, a namespace, or the pods of one namespace with some labels. A selector
//! that says more is taken apart into such places by the inventory, or is left loose.

pub mod effective;
pub mod overlaps;

use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;

use crate::inventory::{Workload, is_injected, is_passing};
use crate::model::labels::{Account, Labels, NAMESPACE_NAME, PodSelector, Requirement, Requirements, Test};
use crate::targets::istio::facts::{Facts, MatchLabels, has_labels, match_labels};
use crate::targets::names::Words;

/// The pods that one object of Istio can be for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The namespace; `None` is the whole mesh, whose objects stand in the root namespace.
    pub namespace: Option<SmolStr>,
    /// The pods' labels; none are all pods.
    pub labels: MatchLabels,
}

impl Place {
    /// The whole mesh.
    pub fn mesh() -> Place {
        Place { namespace: None, labels: MatchLabels::default() }
    }

    /// Makes the place of a whole namespace.
    pub fn namespace(name: &SmolStr) -> Place {
        Place { namespace: Some(name.clone()), labels: MatchLabels::default() }
    }

    /// Returns the words for the place's pods, and a text that tells them from other pods of the namespace.
    pub fn words(&self) -> (Words, String) {
        let words = match &*self.labels {
            [(key, value)] => Words::of_label(key, value),
            _ => None,
        };
        let words = words.unwrap_or_else(|| Words::of_pods(&self.selector()));
        let identity = if words.exact {
            let mut text = String::new();
            for (key, value) in self.labels.iter() {
                text.extend([key, "=", value, ","]);
            }
            text
        } else {
            format!("{:?}", self.labels)
        };
        (words, identity)
    }

    /// Returns the selector of the place's pods.
    pub fn selector(&self) -> PodSelector {
        let base = self.namespace.clone().map_or_else(PodSelector::any, PodSelector::in_namespace);
        let list = self.labels.iter().map(|(key, value)| Requirement::is_in(key.clone(), [value.clone()]));
        PodSelector { labels: Requirements::new(list).unwrap_or_default(), ..base }
    }
}

/// What kind of object is to stand there: they differ in what a selector means in the root namespace and for the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sidecar: with labels it is for its own namespace, the root one included.
    Sidecar,
    /// AuthorizationPolicy and RequestAuthentication: in the root namespace they are for the mesh, with labels too.
    Authorization,
    /// PeerAuthentication: in the root namespace it is for the mesh, and with labels it is passed over.
    Peer,
}

/// Why a selector, or some of its pods, can have no place.
pub type Why = &'static str;

/// A selector's places.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placed {
    /// The places, which together are just the selector's pods.
    pub places: SmallVec<[Place; 1]>,
    /// Why some pods have no place.
    pub loose: Option<Why>,
}

const NO_NAMESPACES: Why = "no inventory lists the namespaces that are meant";
const UNKNOWN_LABELS: Why = "the labels of a namespace that may be meant are not known";
const NO_WORKLOADS: Why = "Istio selects pods by single labels, and no inventory lists the workloads that are meant";
const NOT_TOLD: Why = "no labels tell the pods that are meant from others of the inventory";
const ROOT: Why = "what stands in the mesh's root namespace is for pods of all namespaces";

/// How many lists of labels a selector is split into at most.
const MOST_SPLITS: usize = 16;

/// Finds places, and remembers them.
pub struct Placer<'f, 'a> {
    facts: &'f Facts<'a>,
    kind: Kind,
    memory: FxHashMap<PodSelector, Rc<Placed>>,
}

impl<'f, 'a> Placer<'f, 'a> {
    /// Makes a finder of places for one kind of objects.
    pub fn new(facts: &'f Facts<'a>, kind: Kind) -> Placer<'f, 'a> {
        Placer { facts, kind, memory: FxHashMap::default() }
    }

    /// Returns the places of a selector.
    pub fn place(&mut self, selector: &PodSelector) -> Rc<Placed> {
        if let Some(place) = self.plain(selector) {
            return Rc::new(Placed { places: smallvec![place], loose: None });
        }
        if let Some(placed) = self.memory.get(selector) {
            return Rc::clone(placed);
        }
        let placed = Rc::new(self.find(selector));
        self.memory.insert(selector.clone(), Rc::clone(&placed));
        placed
    }

    /// Returns the one place of a selector that says just what a place says, as most do.
    fn plain(&self, selector: &PodSelector) -> Option<Place> {
        let [Requirement { key, test: Test::In(names) }] = selector.namespace.list() else { return None };
        let ([namespace], NAMESPACE_NAME) = (names.as_slice(), key.as_str()) else { return None };
        let one = |label: &Requirement| {
            matches!(&label.test, Test::In(values) if values.len() == 1) && !is_injected(&label.key)
        };
        let plain = *namespace != self.facts.policy.settings.root_namespace
            && selector.account == Account::Not(Vec::new())
            && selector.labels.list().iter().all(one);
        let labels = plain.then(|| match_labels(&selector.labels)).flatten()?;
        Some(Place { namespace: Some(namespace.clone()), labels })
    }

    fn find(&self, selector: &PodSelector) -> Placed {
        let any_account = selector.account == Account::Not(Vec::new());
        let split = if any_account { split(&selector.labels) } else { None };
        let mut placed = Placed::default();
        if selector.namespace.is_any()
            && let Some(lists) = &split
            && (self.kind == Kind::Authorization || selector.labels.is_any())
        {
            placed.places = lists.iter().map(|labels| Place { namespace: None, labels: labels.clone() }).collect();
            return placed;
        }
        let Some(namespaces) = self.facts.namespaces(selector) else {
            placed.loose = Some(NO_NAMESPACES);
            return placed;
        };
        let named = selector.namespace_name().is_some();
        let possible = !namespaces.is_empty();
        for (namespace, sure) in namespaces {
            if !sure {
                placed.loose = Some(UNKNOWN_LABELS);
                continue;
            }
            match &split {
                Some(lists) if self.selects(namespace, lists, selector) => {
                    for labels in lists {
                        if named || self.somebody(namespace, labels) {
                            let labels = self.without_injected(namespace, labels);
                            placed.places.push(Place { namespace: Some(namespace.clone()), labels });
                        }
                    }
                }
                _ => self.enumerate(namespace, selector, None, &mut placed),
            }
        }
        // Of pods that nobody has seen yet it is not known which labels they have.
        if possible && placed.places.is_empty() && placed.loose.is_none() {
            placed.loose = Some(NO_WORKLOADS);
        }
        placed
    }

    /// Returns whether objects in a namespace with these labels are for its own pods alone.
    fn selects(&self, namespace: &SmolStr, lists: &[MatchLabels], selector: &PodSelector) -> bool {
        if *namespace != self.facts.policy.settings.root_namespace {
            return true;
        }
        let labelled = !selector.labels.is_any();
        match self.kind {
            Kind::Sidecar => labelled,
            Kind::Peer => false,
            Kind::Authorization => {
                labelled
                    && (self.facts.gateway_of(selector).is_some()
                        || !lists.iter().any(|l| self.elsewhere(namespace, l)))
            }
        }
    }

    /// Returns whether pods of other namespaces have, or may have, these labels.
    fn elsewhere(&self, namespace: &str, labels: &MatchLabels) -> bool {
        !self.facts.closed()
            || self.facts.names().iter().any(|name| {
                **name != namespace && self.facts.known(name).is_some_and(|known| !known.having(labels).is_empty())
            })
    }

    /// Returns whether a namespace may have pods with these labels.
    fn somebody(&self, namespace: &str, labels: &MatchLabels) -> bool {
        self.facts.workloads(namespace).is_none_or(|known| !known.having(labels).is_empty())
    }

    /// Returns labels without those that the injector adds, where they tell the same pods.
    fn without_injected(&self, namespace: &str, labels: &MatchLabels) -> MatchLabels {
        let kept: MatchLabels = labels.iter().filter(|(key, _)| !is_injected(key)).cloned().collect();
        let same = || {
            let known = self.facts.workloads(namespace);
            known.is_some_and(|known| known.having(&kept) == known.having(labels))
        };
        if kept.len() < labels.len() && !kept.is_empty() && same() { kept } else { labels.clone() }
    }

    /// Returns the places of some of the known workloads that a selector means in a namespace.
    pub fn place_some(&self, namespace: &SmolStr, selector: &PodSelector, workloads: &[u32]) -> Placed {
        let mut placed = Placed::default();
        self.enumerate(namespace, selector, Some(workloads), &mut placed);
        placed
    }

    /// Adds a place for each known workload that is meant, or for some of them.
    fn enumerate(&self, namespace: &SmolStr, selector: &PodSelector, some: Option<&[u32]>, placed: &mut Placed) {
        let root = *namespace == self.facts.policy.settings.root_namespace;
        if root && self.kind == Kind::Peer {
            placed.loose = Some(ROOT);
            return;
        }
        let Some(known) = self.facts.workloads(namespace) else {
            placed.loose = Some(NO_WORKLOADS);
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
            let sets = label_sets(self.facts, workload);
            // A label that the policy itself asks for is kept, whoever changes it.
            let written = written_labels(selector, workload);
            let with_written: Vec<MatchLabels> = match written.is_empty() {
                true => Vec::new(),
                false => sets.iter().map(|labels| labels.iter().cloned().chain(written.clone())).map(joined).collect(),
            };
            match sets.into_iter().chain(with_written).find(alone) {
                Some(labels) => placed.places.push(Place { namespace: Some(namespace.clone()), labels }),
                None => placed.loose = Some(if root { ROOT } else { NOT_TOLD }),
            }
        }
        placed.places.sort();
        placed.places.dedup();
    }
}

/// Returns the lists of labels that may tell a workload's pods, the shortest first.
pub fn label_sets(facts: &Facts<'_>, workload: &Workload) -> Vec<MatchLabels> {
    let sets = facts.policy.inventory.telling_labels(workload);
    let single = sets.iter().filter_map(match_labels);
    single.filter(|labels| has_labels(&workload.labels, labels)).collect()
}

/// Returns the labels of a workload that controllers change and a selector asks for all the same.
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

/// Splits requirements that name values into lists of single labels; `None` where there are other requirements.
fn split(requirements: &Requirements) -> Option<Vec<MatchLabels>> {
    let mut lists: Vec<Vec<(SmolStr, SmolStr)>> = vec![Vec::with_capacity(requirements.list().len())];
    for requirement in requirements.list() {
        let Test::In(values) = &requirement.test else { return None };
        if lists.len() * values.len() > MOST_SPLITS {
            return None;
        }
        // Most requirements have one value, and then there is one list to the end.
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

//! Queries of the inventory: pods of selectors, namespaces by labels, names and Services.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::pods::{self, Owners};
use super::spellings::Spellings;
use super::{Inventory, Service, Unread, Workload, WorkloadKind};
use crate::diag::Lexicon;
use crate::model::labels::{Account, Labels, NAMESPACE_NAME, PodSelector, Requirement, Requirements, Test};
use crate::model::ports::Protocol;

/// The labels of an unknown namespace.
static NO_LABELS: Labels = BTreeMap::new();

/// The workloads and Services by labels and accounts, so that a query costs in proportion to its result and not to the
/// cluster. It is made at the first query, after which the inventory does not change.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    tables: OnceLock<Tables>,
    /// The names of the namespaces.
    pub(super) names: OnceLock<Lexicon<SmolStr>>,
    /// The labels of the pods of each namespace, for look-ups of similar labels.
    spellings: OnceLock<FxHashMap<SmolStr, OnceLock<Spellings>>>,
}

/// A label: key and value.
type Label = (SmolStr, SmolStr);

#[derive(Clone, Debug, Default)]
struct Tables {
    /// The workloads that have a label, in order.
    by_label: FxHashMap<Label, Vec<u32>>,
    /// The workloads that run as an account of that name, in order.
    by_account: FxHashMap<SmolStr, Vec<u32>>,
    /// The names of the Services of a namespace by one label of their selectors.
    by_selector: FxHashMap<(SmolStr, Label), Vec<SmolStr>>,
    /// The labels that all Pods of each controller have.
    owners: Owners,
    /// The names of the namespaces, sorted.
    namespaces: Vec<SmolStr>,
    /// The namespaces whose labels are known, by label.
    by_namespace_label: FxHashMap<Label, Vec<u32>>,
    /// The namespaces whose labels are not known.
    unlabelled: Vec<u32>,
}

/// Pods that exist: a Pod, or those of a workload whose Pods the manifests do not contain.
#[derive(Clone, Copy, Debug)]
pub struct Running<'i> {
    /// The labels of its namespace.
    pub namespace_labels: &'i Labels,
    /// The Pod or the workload.
    pub workload: &'i Workload,
}

impl Inventory {
    /// Returns the numbers that a port name has among the known pods of a selector, sorted; `None` where no such pods
    /// are known.
    pub fn numbers_of(&self, selector: &PodSelector, name: &str, protocol: Protocol) -> Option<Vec<u16>> {
        let pods = self.select(selector);
        if pods.is_empty() {
            return None;
        }
        let ports = pods.iter().flat_map(|workload| &workload.ports);
        let named = ports.filter(|port| port.protocol == protocol && port.name.as_deref() == Some(name));
        let mut numbers: Vec<u16> = named.map(|port| port.port).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Some(numbers)
    }

    /// Returns whether a namespace meets requirements; `None` if unknown labels decide it.
    pub fn meets(&self, namespace: &str, requirements: &Requirements) -> Option<bool> {
        let known = || self.namespaces.get(namespace).filter(|known| known.declared);
        let mut unknown = false;
        for requirement in requirements.list() {
            let met = if requirement.key == NAMESPACE_NAME {
                requirement.test.matches(Some(namespace))
            } else if let Some(known) = known() {
                requirement.matches(&known.labels)
            } else {
                unknown = true;
                continue;
            };
            if !met {
                return Some(false);
            }
        }
        (!unknown).then_some(true)
    }

    /// Returns the namespaces of the inventory that may meet requirements, sorted, each with whether it certainly does.
    pub fn namespaces_meeting<'i>(&'i self, requirements: &Requirements) -> Vec<(&'i SmolStr, bool)> {
        let meets = |name: &'i SmolStr| match self.meets(name, requirements) {
            Some(false) => None,
            sure => Some((name, sure.is_some())),
        };
        self.namespace_candidates(requirements).into_iter().filter_map(meets).collect()
    }

    /// Returns a short list of namespaces, sorted, that contains all that requirements may mean.
    fn namespace_candidates(&self, requirements: &Requirements) -> Vec<&SmolStr> {
        let tables = self.tables();
        let listed = requirements.list().iter().find_map(|requirement| match &requirement.test {
            Test::In(values) if requirement.key != NAMESPACE_NAME => Some((&requirement.key, values)),
            _ => None,
        });
        if let Some(names) = requirements.values(NAMESPACE_NAME) {
            return names.iter().filter_map(|name| Some(self.namespaces.get_key_value(name)?.0)).collect();
        }
        let Some((key, values)) = listed else { return tables.namespaces.iter().collect() };
        let lists = values.iter().filter_map(|value| tables.by_namespace_label.get(&(key.clone(), value.clone())));
        let mut all: Vec<u32> = lists.chain([&tables.unlabelled]).flatten().copied().collect();
        all.sort_unstable();
        all.into_iter().map(|at| &tables.namespaces[at as usize]).collect()
    }

    /// Returns the workloads and Pods of a namespace.
    pub fn workloads_in(&self, namespace: &str) -> &[Workload] {
        &self.workloads[self.range(namespace)]
    }

    /// Returns the workloads that `namespace/name` names, of any kind. A policy cannot name Pods that a workload made.
    pub fn named(&self, namespace: &str, name: &str) -> Vec<&Workload> {
        self.of_name(namespace, name).filter(|workload| !workload.owned).collect()
    }

    /// Returns the Pod of that name.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Workload> {
        self.of_name(namespace, name).find(|workload| workload.kind == WorkloadKind::Pod)
    }

    /// Returns the workloads and Pods that a selector selects, in order. Those on the host network are never selected.
    pub fn select(&self, selector: &PodSelector) -> Vec<&Workload> {
        let mut selected = self.matching(selector);
        selected.retain(|workload| !workload.host_network);
        selected
    }

    /// Returns a workload of a kind that is not read whose pods a selector would select.
    pub fn unread_of(&self, selector: &PodSelector) -> Option<&Unread> {
        self.unread.iter().find(|one| {
            let account = one.account.as_deref().unwrap_or("default");
            selector.matches(self.namespace_labels(&one.namespace), &one.labels, account)
        })
    }

    /// Returns whether a workload of the inventory is one that a selector selects.
    pub fn is_selected(&self, selector: &PodSelector, workload: &Workload) -> bool {
        !workload.host_network
            && selector.matches(self.namespace_labels(&workload.namespace), &workload.labels, &workload.account)
    }

    /// Returns the Services of a namespace whose pods have these labels, in order, each with its name.
    pub fn services_of(&self, namespace: &str, labels: &Labels) -> Vec<(&SmolStr, &Service)> {
        let namespace = SmolStr::from(namespace);
        let mut found: Vec<(&SmolStr, &Service)> = Vec::new();
        for (key, value) in labels {
            let label = (namespace.clone(), (key.clone(), value.clone()));
            for name in self.tables().by_selector.get(&label).into_iter().flatten() {
                found.extend(self.services.get(&(namespace.clone(), name.clone())).map(|service| (name, service)));
            }
        }
        let all = |(key, value)| labels.get(key) == Some(value);
        found.retain(|(_, service)| service.selector.iter().flatten().all(all));
        found.sort_by_key(|(name, _)| *name);
        found
    }

    /// Returns the pods that exist: every Pod, and the workloads without a known Pod.
    pub fn running(&self) -> impl Iterator<Item = Running<'_>> {
        let exists = |workload: &&Workload| workload.kind == WorkloadKind::Pod || !self.has_pods(workload);
        let all = self.workloads.iter().filter(exists);
        all.map(|workload| Running { namespace_labels: self.namespace_labels(&workload.namespace), workload })
    }

    fn namespace_labels(&self, name: &SmolStr) -> &Labels {
        self.namespaces.get(name).map_or(&NO_LABELS, |namespace| &namespace.labels)
    }

    fn range(&self, namespace: &str) -> Range<usize> {
        let start = self.workloads.partition_point(|workload| workload.namespace < namespace);
        let end = start + self.workloads[start..].partition_point(|workload| workload.namespace == namespace);
        start..end
    }

    fn of_name(&self, namespace: &str, name: &str) -> impl Iterator<Item = &Workload> {
        let all = self.workloads_in(namespace);
        let start = all.partition_point(|workload| workload.name < name);
        all[start..].iter().take_while(move |workload| workload.name == name)
    }

    fn has_pods(&self, workload: &Workload) -> bool {
        let Some(labels) = workload.selector.clone() else { return false };
        let selector = PodSelector { labels, ..PodSelector::in_namespace(workload.namespace.clone()) };
        let range = self.range(&workload.namespace);
        let candidates = self.candidates(&selector, Some(range.clone())).unwrap_or_else(|| range.collect());
        candidates.into_iter().any(|at| {
            let other = &self.workloads[at];
            other.kind == WorkloadKind::Pod && other.owned && selector.labels.matches(&other.labels)
        })
    }

    /// Returns the workloads and Pods of a namespace with some labels, in order, on the host network or not.
    pub fn labelled(&self, namespace: &SmolStr, labels: &Requirements) -> Vec<&Workload> {
        self.matching(&PodSelector { labels: labels.clone(), ..PodSelector::in_namespace(namespace.clone()) })
    }

    /// Drops the index, since the workloads have changed.
    pub(super) fn forget_index(&mut self) {
        self.index = Index::default();
    }

    /// Returns all workloads and Pods that meet a selector, on the host network or not.
    pub(super) fn matching(&self, selector: &PodSelector) -> Vec<&Workload> {
        let range = selector.namespace_name().map(|name| self.range(name));
        let candidates = self.candidates(selector, range.clone()).unwrap_or_else(|| match range {
            Some(range) => range.collect(),
            None => {
                let meant = self.namespace_candidates(&selector.namespace).into_iter();
                let meant = meant.filter(|name| selector.namespace.matches(self.namespace_labels(name)));
                meant.flat_map(|name| self.range(name)).collect()
            }
        });
        let found = candidates.into_iter().map(|at| &self.workloads[at]);
        found.filter(|w| selector.matches(self.namespace_labels(&w.namespace), &w.labels, &w.account)).collect()
    }

    /// Returns the shortest list of workloads, in order, that contains all that a selector selects; `None` if the
    /// selector has no label with a value and no account.
    fn candidates(&self, selector: &PodSelector, range: Option<Range<usize>>) -> Option<Vec<usize>> {
        let tables = self.tables();
        let with_label = |requirement: &Requirement| {
            let Test::In(values) = &requirement.test else { return None };
            let lists = values.iter().map(|value| tables.by_label.get(&(requirement.key.clone(), value.clone())));
            Some(lists.flatten().collect::<Vec<_>>())
        };
        let of_account = match &selector.account {
            Account::Is(name) => Some(tables.by_account.get(name).into_iter().collect()),
            Account::Not(_) => None,
        };
        let all = selector.labels.list().iter().filter_map(with_label).chain(of_account);
        let fewest = all.min_by_key(|lists| lists.iter().map(|list| list.len()).sum::<usize>())?;
        let in_range = |list: &Vec<u32>| match &range {
            Some(range) => {
                let at = |bound: usize| list.partition_point(|&at| (at as usize) < bound);
                list[at(range.start)..at(range.end)].to_vec()
            }
            None => list.clone(),
        };
        let mut candidates: Vec<usize> = fewest.into_iter().flat_map(in_range).map(|at| at as usize).collect();
        candidates.sort_unstable();
        Some(candidates)
    }

    /// Returns the labels of the pods of a namespace.
    pub(super) fn spellings(&self, namespace: &SmolStr) -> Option<&Spellings> {
        let names = || self.namespaces.keys().map(|name| (name.clone(), OnceLock::new())).collect();
        let of_namespace = self.index.spellings.get_or_init(names).get(namespace)?;
        Some(of_namespace.get_or_init(|| Spellings::of(self.workloads_in(namespace))))
    }

    pub(super) fn owners(&self) -> &Owners {
        &self.tables().owners
    }

    fn tables(&self) -> &Tables {
        self.index.tables.get_or_init(|| {
            let mut tables = Tables { owners: pods::owners(&self.workloads), ..Tables::default() };
            for (at, workload) in self.workloads.iter().enumerate() {
                for (key, value) in &workload.labels {
                    tables.by_label.entry((key.clone(), value.clone())).or_default().push(at as u32);
                }
                tables.by_account.entry(workload.account.clone()).or_default().push(at as u32);
            }
            for (at, (name, namespace)) in self.namespaces.iter().enumerate() {
                tables.namespaces.push(name.clone());
                match namespace.declared {
                    true => namespace.labels.iter().for_each(|(key, value)| {
                        let label = (key.clone(), value.clone());
                        tables.by_namespace_label.entry(label).or_default().push(at as u32);
                    }),
                    false => tables.unlabelled.push(at as u32),
                }
            }
            for ((namespace, name), service) in &self.services {
                if let Some((key, value)) = service.selector.as_ref().and_then(|selector| selector.iter().next()) {
                    let label = (namespace.clone(), (key.clone(), value.clone()));
                    tables.by_selector.entry(label).or_default().push(name.clone());
                }
            }
            tables
        })
    }
}

//! Selectors that match no known pod: the similar label or name that the author probably meant, and the facts that make
//! it likely that such pods come later.
//!
//! ```text
//! garden/{app=fronted}                       the pods of garden have other values of `app`: a mistake
//! data/{statefulset.kubernetes.io/pod-name=db-0}   Kubernetes gives the pods of StatefulSet db this label: known
//! shop/{acme.cert-manager.io/http01-solver="true"} nothing near: such pods may come later
//! ```

use std::borrow::Cow;
use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::{Inventory, Workload, WorkloadKind};
use crate::diag::{Lexicon, nearest, one_edit};
use crate::model::labels::{Account, Labels, PodSelector, Requirement, Requirements, Test};

/// The pods of a selector, by the inventory.
#[derive(Clone, Debug)]
pub enum Matched<'i> {
    /// Some pods are known, or a Service or Kubernetes itself shows that such pods may exist.
    Known,
    /// All known pods are on the host network, where no policy governs them.
    HostNetwork(&'i Workload),
    /// No namespace has these labels.
    NoNamespace(Option<NearNamespace<'i>>),
    /// No pod is known, but something similar is.
    Near(Near<'i>),
    /// No pod is known, and nothing similar.
    Unknown {
        /// Whether pods of these namespaces are known at all.
        any: bool,
        /// A workload of another namespace with these labels.
        elsewhere: Option<&'i Workload>,
    },
}

/// A namespace that nearly has the required labels.
#[derive(Clone, Debug)]
pub struct NearNamespace<'i> {
    /// The requirement that it fails.
    pub wanted: Requirement,
    /// The label that it has instead, key and value.
    pub found: (&'i SmolStr, &'i SmolStr),
    /// The namespace.
    pub namespace: &'i SmolStr,
}

/// A workload that a selector nearly matches.
#[derive(Clone, Debug)]
pub enum Near<'i> {
    /// It has another label instead.
    Label {
        /// The requirement that it fails.
        wanted: Requirement,
        /// Its label, key and value.
        found: (&'i SmolStr, &'i SmolStr),
        /// The workload.
        workload: &'i Workload,
        /// All values of the key that pods of the namespace have, sorted.
        values: Cow<'i, [SmolStr]>,
    },
    /// It meets all requirements except one.
    AllButOne {
        /// The requirement that it fails.
        wanted: Requirement,
        /// The workload.
        workload: &'i Workload,
    },
    /// It runs as an account with a similar name.
    Account(&'i Workload),
}

impl Inventory {
    /// Returns the pods of a selector, by the inventory.
    pub fn matched(&self, selector: &PodSelector) -> Matched<'_> {
        let by_labels = !selector.all_pods();
        let matching = if by_labels { self.matching(selector) } else { Vec::new() };
        if matching.iter().any(|workload| !workload.host_network) {
            return Matched::Known;
        }
        let namespaces: Vec<&SmolStr> =
            self.namespaces_meeting(&selector.namespace).into_iter().map(|(name, _)| name).collect();
        if namespaces.is_empty() {
            return Matched::NoNamespace(self.near_namespace(&selector.namespace));
        }
        if !by_labels {
            let mut all = namespaces.iter().flat_map(|name| self.workloads_in(name));
            let on_host = all.clone().next();
            return match all.all(|workload| workload.host_network) {
                true => on_host.map_or(Matched::Known, Matched::HostNetwork),
                false => Matched::Known,
            };
        }
        if let Some(workload) = matching.first() {
            return Matched::HostNetwork(workload);
        }
        if self.labelled_by_kubernetes(selector) || self.of_a_service(&namespaces, selector) {
            return Matched::Known;
        }
        if let Some((namespace, wanted)) = lone(&namespaces, selector) {
            let any = self.workloads_in(namespace).iter().any(|workload| !workload.host_network);
            return match self.near_of_lone(namespace, wanted) {
                Some(near) => Matched::Near(near),
                None => Matched::Unknown { any, elsewhere: self.elsewhere(selector) },
            };
        }
        let pool: Vec<&Workload> = namespaces
            .iter()
            .flat_map(|name| self.workloads_in(name))
            .filter(|workload| !workload.host_network)
            .collect();
        // A namespace with unknown labels may match, and with it every workload there that meets the other
        // requirements.
        let fits = |workload: &&Workload| selector.fits(&workload.labels, &workload.account);
        if !pool.iter().any(fits)
            && let Some(near) = self.near(&namespaces, selector, &pool)
        {
            return Matched::Near(near);
        }
        Matched::Unknown { any: !pool.is_empty(), elsewhere: self.elsewhere(selector) }
    }

    /// Returns a workload of any namespace that has the labels of a selector.
    fn elsewhere(&self, selector: &PodSelector) -> Option<&Workload> {
        let anywhere = PodSelector { namespace: Requirements::any(), ..selector.clone() };
        self.select(&anywhere).first().copied()
    }

    /// Returns the similar label for a selector with one label in one namespace. The result is that of `near`, but
    /// fast: a policy may have thousands of such selectors, and a namespace thousands of pods.
    fn near_of_lone(&self, namespace: &SmolStr, wanted: &Requirement) -> Option<Near<'_>> {
        let Test::In(values) = &wanted.test else { return None };
        let spellings = self.spellings(namespace)?;
        if values.iter().any(|value| spellings.has(&wanted.key, value)) {
            return None;
        }
        let same_key = |(_, key): &(usize, &SmolStr)| **key == wanted.key || one_edit(key, &wanted.key);
        let nearest = spellings.nearest(&wanted.key, values).filter(same_key);
        let (at, key) = nearest.or_else(|| spellings.first_of(&wanted.key))?;
        let workload = self.workloads_in(namespace).get(at)?;
        let found = workload.labels.get_key_value(key)?;
        let values = Cow::Borrowed(spellings.values(&wanted.key));
        Some(Near::Label { wanted: wanted.clone(), found, workload, values })
    }

    /// Returns the known namespace whose name is nearest to an unknown one. All namespaces must have been added before.
    pub fn nearest_namespace(&self, name: &str) -> Option<&SmolStr> {
        self.index.names.get_or_init(|| Lexicon::new(self.namespaces.keys().cloned())).nearest(name)
    }

    /// Returns whether pods of a known workload have, or will get, labels that Kubernetes itself sets.
    fn labelled_by_kubernetes(&self, selector: &PodSelector) -> bool {
        let (set, kept): (Vec<&Requirement>, Vec<&Requirement>) =
            selector.labels.list().iter().partition(|requirement| is_set_by_kubernetes(requirement));
        if set.is_empty() {
            return false;
        }
        let Some(labels) = Requirements::new(kept.into_iter().cloned()) else { return false };
        let rest = PodSelector { labels, ..selector.clone() };
        self.select(&rest).iter().any(|workload| set.iter().all(|requirement| may_get(workload, requirement)))
    }

    /// Returns whether a Service selects pods that have these labels.
    fn of_a_service(&self, namespaces: &[&SmolStr], selector: &PodSelector) -> bool {
        let any_account = selector.account.is_any();
        let wants = |requirement: &Requirement| matches!(requirement.test, Test::In(_) | Test::Exists);
        if !any_account || !selector.labels.list().iter().any(wants) {
            return false;
        }
        namespaces.iter().any(|name| {
            let services = self.services.range(((*name).clone(), SmolStr::default())..);
            let here = services.take_while(|((namespace, _), _)| namespace == *name);
            here.into_iter()
                .any(|(_, service)| service.selector.as_ref().is_some_and(|labels| selector.labels.matches(labels)))
        })
    }

    fn near_namespace(&self, wanted: &Requirements) -> Option<NearNamespace<'_>> {
        let declared = self.namespaces.iter().filter(|(_, namespace)| namespace.declared);
        let pool: Vec<_> = declared.map(|(name, namespace)| (name, &namespace.labels)).collect();
        if let Some((wanted, found, namespace)) = near_label(wanted, &pool) {
            return Some(NearNamespace { wanted, found, namespace });
        }
        // Any other value of the key counts as similar.
        wanted.list().iter().find_map(|requirement| {
            let Test::In(_) = requirement.test else { return None };
            let found = pool.iter().find_map(|(name, labels)| Some((labels.get_key_value(&requirement.key)?, *name)));
            found.map(|(found, namespace)| NearNamespace { wanted: requirement.clone(), found, namespace })
        })
    }

    fn near<'i>(&'i self, namespaces: &[&SmolStr], selector: &PodSelector, pool: &[&'i Workload]) -> Option<Near<'i>> {
        if let Account::Is(name) = &selector.account {
            let stated = |namespace: &&SmolStr| {
                let key = ((*namespace).clone(), name.clone());
                self.accounts.binary_search(&key).is_ok()
            };
            let alike = || pool.iter().filter(|workload| selector.labels.matches(&workload.labels));
            return match namespaces.iter().any(stated) {
                true => None,
                false => {
                    alike().find(|workload| one_edit(name, &workload.account)).map(|workload| Near::Account(workload))
                }
            };
        }
        let fits = |workload: &&&Workload| match &selector.account {
            Account::Is(_) => false,
            Account::Not(names) => !names.contains(&workload.account),
        };
        let labelled: Vec<(&Workload, &Labels)> =
            pool.iter().filter(fits).map(|&workload| (workload, &workload.labels)).collect();
        let all = selector.labels.list();
        let asked: Vec<&Requirement> = all.iter().filter(|requirement| !is_set_by_kubernetes(requirement)).collect();
        let values = |key: &SmolStr| -> Cow<'i, [SmolStr]> {
            let values: BTreeSet<&SmolStr> = labelled.iter().filter_map(|(_, labels)| labels.get(key)).collect();
            values.into_iter().cloned().collect()
        };
        // A label that nearly meets one requirement: of a workload that meets the others, else of any workload.
        if let Some((wanted, found, workload)) = near_label(&selector.labels, &labelled)
            && asked.contains(&&wanted)
            && (found.0 == &wanted.key || one_edit(found.0, &wanted.key))
            && (all.iter().all(|other| *other == wanted || other.matches(&workload.labels))
                || !labelled.iter().any(|(_, labels)| wanted.matches(labels)))
        {
            let values = values(&wanted.key);
            return Some(Near::Label { wanted, found, workload, values });
        }
        for &requirement in &asked {
            // A value that some workload has is not a mistake by itself.
            let met = labelled.iter().any(|(_, labels)| requirement.matches(labels));
            if met || !matches!(requirement.test, Test::In(_)) {
                continue;
            }
            let found = labelled.iter().find_map(|(who, labels)| Some((labels.get_key_value(&requirement.key)?, *who)));
            if let Some((found, workload)) = found {
                let values = values(&requirement.key);
                return Some(Near::Label { wanted: requirement.clone(), found, workload, values });
            }
        }
        if all.len() < 2 {
            return None;
        }
        asked.iter().find_map(|&requirement| {
            let rest = |labels: &Labels| all.iter().all(|other| other == requirement || other.matches(labels));
            let (workload, _) = labelled.iter().find(|(_, labels)| rest(labels))?;
            Some(Near::AllButOne { wanted: requirement.clone(), workload })
        })
    }
}

/// Returns the one namespace and the one label of a selector, if it has nothing else.
fn lone<'a>(namespaces: &[&'a SmolStr], selector: &'a PodSelector) -> Option<(&'a SmolStr, &'a Requirement)> {
    match (namespaces, selector.labels.list()) {
        ([namespace], [wanted]) if selector.account.is_any() => {
            let told = matches!(&wanted.test, Test::In(values) if values.len() == 1) && !is_set_by_kubernetes(wanted);
            told.then_some((*namespace, wanted))
        }
        _ => None,
    }
}

/// Returns whether Kubernetes' controllers and admission set labels with this key on pods: then a template or a dump
/// without the label proves nothing.
fn is_set_by_kubernetes(requirement: &Requirement) -> bool {
    let key = requirement.key.as_str();
    matches!(requirement.test, Test::In(_) | Test::Exists)
        && (matches!(
            key,
            "statefulset.kubernetes.io/pod-name"
                | "apps.kubernetes.io/pod-index"
                | "job-name"
                | "controller-uid"
                | "pod-template-hash"
                | "controller-revision-hash"
                | "pod-template-generation"
        ) || key.starts_with("batch.kubernetes.io/")
            || key.starts_with("topology.kubernetes.io/"))
}

/// Returns whether a pod of a workload may get a label that Kubernetes sets. A Pod with another value of the same form
/// is evidence: `db-0` for `db-1`.
fn may_get(workload: &Workload, requirement: &Requirement) -> bool {
    use WorkloadKind::{CronJob, Job, StatefulSet};
    let key = requirement.key.as_str();
    let (kind, own) = (workload.kind, workload.labels.get(&requirement.key));
    let values: &[SmolStr] = match &requirement.test {
        Test::In(values) => values,
        _ => return own.is_some() || owner_sets(kind, key),
    };
    let numbered = |value: &str, name: &str| {
        let rest = value.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| !rest.is_empty())
    };
    values.iter().any(|value| match (own, key) {
        (Some(own), "statefulset.kubernetes.io/pod-name" | "job-name" | "batch.kubernetes.io/job-name") => {
            own == value || own.rsplit_once('-').is_some_and(|(base, _)| numbered(value, base))
        }
        (Some(_), _) => true,
        (None, "statefulset.kubernetes.io/pod-name") => kind == StatefulSet && numbered(value, &workload.name),
        (None, "job-name" | "batch.kubernetes.io/job-name") => match kind {
            CronJob => numbered(value, &workload.name),
            Job => value.starts_with(workload.name.as_str()),
            _ => false,
        },
        (None, _) => owner_sets(kind, key),
    })
}

fn owner_sets(kind: WorkloadKind, key: &str) -> bool {
    use WorkloadKind::{CronJob, DaemonSet, Deployment, Job, ReplicaSet, StatefulSet};
    match key {
        "statefulset.kubernetes.io/pod-name" | "apps.kubernetes.io/pod-index" => kind == StatefulSet,
        "pod-template-hash" => matches!(kind, Deployment | ReplicaSet),
        "controller-revision-hash" => matches!(kind, StatefulSet | DaemonSet),
        "pod-template-generation" => kind == DaemonSet,
        key if key.starts_with("topology.kubernetes.io/") => true,
        _ => matches!(kind, Job | CronJob),
    }
}

/// A requirement, the label that an object has instead, and the object.
type NearLabel<'i, T> = (Requirement, (&'i SmolStr, &'i SmolStr), T);

/// Returns the label in `pool` that was probably meant by one of the requirements. Objects that meet all other
/// requirements come first.
fn near_label<'i, T: Copy>(wanted: &Requirements, pool: &[(T, &'i Labels)]) -> Option<NearLabel<'i, T>> {
    let rest_met = |labels: &Labels, one: &Requirement| wanted.list().iter().all(|r| r == one || r.matches(labels));
    let mut narrow: Vec<(T, &Labels)> = Vec::new();
    for requirement in wanted.list() {
        narrow.clear();
        narrow.extend(pool.iter().filter(|(_, labels)| rest_met(labels, requirement)));
        let of_this_key = || {
            // An object with all the other labels is meant, even if its value is not similar.
            let others = wanted.list().len() > 1 && matches!(requirement.test, Test::In(_));
            narrow
                .iter()
                .filter(|_| others)
                .find_map(|&(who, labels)| Some((labels.get_key_value(&requirement.key)?, who)))
        };
        if let Some((found, who)) = near_in(requirement, &narrow).or_else(of_this_key) {
            return Some((requirement.clone(), found, who));
        }
    }
    wanted.list().iter().find_map(|requirement| {
        let failing: Vec<(T, &Labels)> =
            pool.iter().filter(|(_, labels)| !requirement.matches(labels)).copied().collect();
        near_in(requirement, &failing).map(|(found, who)| (requirement.clone(), found, who))
    })
}

/// Returns the label nearest to one requirement: another value of the key, or the value under a similar key.
fn near_in<'i, T: Copy>(wanted: &Requirement, pool: &[(T, &'i Labels)]) -> Option<((&'i SmolStr, &'i SmolStr), T)> {
    let values: &[SmolStr] = match &wanted.test {
        Test::In(values) => values,
        Test::Exists => &[],
        Test::NotIn(_) | Test::DoesNotExist => return None,
    };
    let labels = || pool.iter().flat_map(|&(who, labels)| labels.iter().map(move |label| (label, who)));
    let by_value = values.iter().find_map(|value| {
        let under_key = || labels().filter(|((key, _), _)| **key == wanted.key);
        let near = nearest(value, under_key().map(|((_, value), _)| value.as_str()))?;
        under_key().find(|((_, value), _)| *value == near)
    });
    by_value.or_else(|| {
        let with_value = || labels().filter(|((_, value), _)| values.is_empty() || values.contains(value));
        let near = nearest(&wanted.key, with_value().map(|((key, _), _)| key.as_str()))?;
        with_value().find(|((key, _), _)| *key == near)
    })
}

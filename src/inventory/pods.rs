//! Pods of a selector, and the permanent labels that distinguish their workloads from others: one answer for every
//! target.
//!
//! ```text
//! default deny ingress garden/@web        # the dump has the Pods web-0 and web-1, each with app=web
//! ```
//!
//! Objects select pods by labels and not by accounts, so a target needs labels that only the pods of `web` have:
//! `app=web`. [`Inventory::meant`] gives the pods that a rule governs, [`Inventory::without_accounts`] those on its
//! other side; the target says what its selectors can express.
//!
//! Some labels change with each pod or rollout, for example `apps.kubernetes.io/pod-index` or `pod-template-hash`. They
//! select the current Pods, but not those of the next rollout, so they are never used for a workload. Pods of one owner
//! are one workload, with the labels that all of them have.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::{Inventory, Workload, WorkloadKind};
use crate::model::labels::{Account, Labels, NAMESPACE_NAME, PodSelector, Requirement, Requirements, subtract_all};

/// For each namespace and controller of Pods, the labels that all of its Pods have.
pub(super) type Owners = FxHashMap<(SmolStr, SmolStr), Labels>;

/// The pods of one namespace with some labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelledPods<'i> {
    /// The namespace.
    pub namespace: &'i SmolStr,
    /// The requirements that their labels meet.
    pub labels: Cow<'i, Requirements>,
}

/// The pods that a selector means, as namespaces by name and labels.
#[derive(Clone, Debug, Default)]
pub struct MeantPods<'i> {
    /// Pods that the selector certainly means.
    pub certain: Vec<LabelledPods<'i>>,
    /// Wider sets, of which the selector perhaps means some pods.
    pub perhaps: Vec<Perhaps<'i>>,
    /// The reason why some pods are in `perhaps`.
    pub indistinct: Option<Indistinct>,
    /// Whether the namespaces come from the inventory because the selector names none: a namespace that is made later
    /// is not among them.
    pub from_inventory: bool,
}

/// Pods with some labels, of which a selector perhaps means some.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Perhaps<'i> {
    /// Their namespaces.
    pub within: Within<'i>,
    /// The requirements that their labels meet.
    pub labels: Cow<'i, Requirements>,
    /// Whether the selector means all of them, if it means their namespace.
    pub all: bool,
}

/// Namespaces that may have pods of a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Within<'i> {
    /// This one.
    Namespace(&'i SmolStr),
    /// Any whose labels meet these requirements.
    Meeting(&'i Requirements),
}

/// The reason why no labels distinguish the pods of a selector from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indistinct {
    /// No namespace is named, and no inventory lists them.
    NoInventory,
    /// The labels of this namespace are not known.
    Namespace(SmolStr),
    /// No labels tell the pods of a service account, `lab/@curl`.
    Account(SmolStr),
}

impl fmt::Display for Indistinct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Indistinct::NoInventory => f.write_str("no namespace is named and no inventory lists them"),
            Indistinct::Namespace(name) => write!(f, "the labels of the namespace {name} are not known"),
            Indistinct::Account(account) => write!(f, "no labels tell the pods of {account} from others"),
        }
    }
}

/// The pods of a selector, as selectors without an account.
#[derive(Clone, Debug)]
pub struct WithoutAccounts<'i> {
    /// The selectors.
    pub selectors: Vec<Cow<'i, PodSelector>>,
    /// The account, if the selectors also match other pods, because no labels distinguish its own.
    pub shared_account: Option<SmolStr>,
}

/// Returns whether a label belongs to a single pod of a workload, or to a single rollout: the next pod has another
/// value.
pub fn is_passing(key: &str) -> bool {
    const PASSING: [&str; 7] = [
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "controller-uid",
        "job-name",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
    ];
    PASSING.contains(&key) || key.starts_with("batch.kubernetes.io/") || is_injected(key)
}

/// Returns whether a label comes with Istio's sidecar, which a workload need not always have.
pub fn is_injected(key: &str) -> bool {
    const INJECTED: [&str; 3] =
        ["security.istio.io/tlsMode", "service.istio.io/canonical-name", "service.istio.io/canonical-revision"];
    INJECTED.contains(&key)
}

/// Finds the labels that the Pods of each controller have in common.
pub(super) fn owners(workloads: &[Workload]) -> Owners {
    let mut owners = Owners::default();
    for workload in workloads {
        let Some(owner) = &workload.owner else { continue };
        let key = (workload.namespace.clone(), owner.clone());
        let common = owners.entry(key).or_insert_with(|| workload.labels.clone());
        common.retain(|key, value| workload.labels.get(key) == Some(value));
    }
    owners
}

impl Inventory {
    /// Returns the namespaces that a selector may mean, each with whether it certainly does; `None` if it may mean
    /// unknown namespaces.
    pub fn namespaces_of<'i>(&'i self, selector: &'i PodSelector) -> Option<Vec<(&'i SmolStr, bool)>> {
        let meets = |name: &'i SmolStr| match self.meets(name, &selector.namespace) {
            Some(false) => None,
            sure => Some((name, sure.is_some())),
        };
        match selector.namespace.values(NAMESPACE_NAME) {
            Some(names) => Some(names.iter().filter_map(meets).collect()),
            None => self.given.then(|| self.namespaces_meeting(&selector.namespace)),
        }
    }

    /// Returns requirements that may distinguish the pods of a workload from others, the fewest first: its selector,
    /// and all permanent labels of its pods.
    pub fn telling_labels(&self, workload: &Workload) -> Vec<Requirements> {
        let own = match workload.kind {
            // The selector of these is all labels of the pods, and that of a Job has a label that the next Job does not
            // have.
            WorkloadKind::Pod | WorkloadKind::Job | WorkloadKind::CronJob => None,
            _ => workload.selector.as_ref(),
        };
        let lasting = |requirement: &&Requirement| !is_passing(&requirement.key);
        let own = own.and_then(|own| Requirements::new(own.list().iter().filter(lasting).cloned()));
        let mut all: Vec<Requirements> = own.into_iter().chain([self.lasting_labels(workload)]).collect();
        all.retain(|labels| !labels.is_any());
        all.dedup();
        all
    }

    /// Returns requirements that some pods meet and no other pods of those that are `here`, by the inventory; `None` if
    /// no permanent labels do so.
    pub fn tell(
        &self,
        here: &PodSelector,
        pods: &[&Workload],
        inside: impl Fn(&Workload) -> bool,
    ) -> Option<Vec<Requirements>> {
        let mut told: Vec<Requirements> = Vec::new();
        for workload in pods {
            if told.iter().any(|labels| labels.matches(&workload.labels)) {
                continue;
            }
            let alone = |labels: &Requirements| {
                let selected = self.select(&PodSelector { labels: labels.clone(), ..here.clone() });
                selected.into_iter().all(&inside)
            };
            let candidates = self.telling_labels(workload);
            let mut candidates = candidates.iter().filter_map(|labels| labels.intersect(&here.labels));
            told.push(candidates.find(alone)?);
        }
        Some(told)
    }

    /// Returns requirements that select the pods of a namespace which meet `selector`, its account included, and none
    /// of the other pods that the inventory shows there; `None` where no labels do.
    pub fn labels_of_account(&self, namespace: &SmolStr, selector: &PodSelector) -> Option<Vec<Requirements>> {
        if !self.given {
            return None;
        }
        let here = PodSelector { labels: selector.labels.clone(), ..PodSelector::in_namespace(namespace.clone()) };
        let named = |names: &[SmolStr]| {
            let of = |name: &SmolStr| self.select(&PodSelector { account: Account::Is(name.clone()), ..here.clone() });
            let pods: Vec<&Workload> = names.iter().flat_map(of).collect();
            // Pods of a declaration without an account may run as any.
            if self.select(&here).iter().any(|workload| workload.account.is_empty()) {
                return None;
            }
            self.tell(&here, &pods, |workload| names.contains(&workload.account))
        };
        match &selector.account {
            Account::Is(name) => named(std::slice::from_ref(name)),
            // Unknown pods have unknown labels, so no requirement can leave them out.
            Account::Not(names)
                if names.iter().any(|name| {
                    self.select(&PodSelector { account: Account::Is(name.clone()), ..here.clone() }).is_empty()
                }) =>
            {
                None
            }
            Account::Not(names) => named(names).map(|told| all_but(&selector.labels, told)),
        }
    }

    /// Returns the pods that a selector means as namespaces and labels, for certain and perhaps.
    pub fn meant<'i>(&'i self, selector: &'i PodSelector) -> MeantPods<'i> {
        let named = selector.namespace.values(NAMESPACE_NAME).is_some();
        let mut meant = MeantPods { from_inventory: self.given && !named, ..MeantPods::default() };
        let (any_account, labels) = (selector.account.is_any(), || Cow::Borrowed(&selector.labels));
        let anywhere = |all| Perhaps { within: Within::Meeting(&selector.namespace), labels: labels(), all };
        let Some(namespaces) = self.namespaces_of(selector) else {
            meant.perhaps.push(anywhere(any_account));
            meant.indistinct = Some(Indistinct::NoInventory);
            return meant;
        };
        for (namespace, sure) in namespaces {
            let indistinct = if !sure {
                Indistinct::Namespace(namespace.clone())
            } else if any_account {
                meant.certain.push(LabelledPods { namespace, labels: labels() });
                continue;
            } else if let Some(told) = self.labels_of_account(namespace, selector) {
                let pods = told.into_iter().map(|labels| LabelledPods { namespace, labels: Cow::Owned(labels) });
                meant.certain.extend(pods);
                continue;
            } else {
                Indistinct::Account(account_word(namespace, selector))
            };
            meant.perhaps.push(Perhaps { within: Within::Namespace(namespace), labels: labels(), all: false });
            meant.indistinct = Some(indistinct);
        }
        if meant.certain.is_empty() && meant.perhaps.is_empty() && !any_account {
            // No labels tell the pods of an account that no known pod runs as.
            meant.perhaps.push(anywhere(false));
            meant.indistinct = Some(Indistinct::Account(account_word(shown_namespace(selector), selector)));
        }
        meant
    }

    /// Returns the pods of a selector as selectors without an account.
    pub fn without_accounts<'i>(&'i self, selector: &'i PodSelector) -> WithoutAccounts<'i> {
        if selector.account.is_any() {
            return WithoutAccounts { selectors: vec![Cow::Borrowed(selector)], shared_account: None };
        }
        let told = |(namespace, sure): (&'i SmolStr, bool)| {
            sure.then(|| self.labels_of_account(namespace, selector).map(|list| (namespace, list))).flatten()
        };
        let namespaces = self.namespaces_of(selector);
        let told = namespaces.and_then(|all| all.into_iter().map(told).collect::<Option<Vec<_>>>());
        match told.filter(|told| told.iter().any(|(_, list)| !list.is_empty())) {
            Some(told) => {
                let of = |(namespace, list): (&'i SmolStr, Vec<Requirements>)| {
                    let here = move |labels| PodSelector { labels, ..PodSelector::in_namespace(namespace.clone()) };
                    list.into_iter().map(move |labels| Cow::Owned(here(labels)))
                };
                WithoutAccounts { selectors: told.into_iter().flat_map(of).collect(), shared_account: None }
            }
            None => {
                let all = PodSelector { account: Account::Not(Vec::new()), ..selector.clone() };
                let account = account_word(shown_namespace(selector), selector);
                WithoutAccounts { selectors: vec![Cow::Owned(all)], shared_account: Some(account) }
            }
        }
    }

    /// Returns the labels of the pods of a namespace that have an Istio sidecar. Unknown pods have one if the
    /// namespace's labels say so. If no labels distinguish the pods, all pods are returned.
    pub fn meshed(&self, namespace: &SmolStr) -> Vec<Requirements> {
        let labels = self.namespaces.get(namespace).map(|namespace| &namespace.labels);
        let injected = labels.is_some_and(|labels| {
            labels.get("istio-injection").is_some_and(|value| value == "enabled") || labels.contains_key("istio.io/rev")
        });
        let all = PodSelector::in_namespace(namespace.clone());
        let unlike = |workload: &Workload| workload.sidecar != injected;
        let pods: Vec<&Workload> = self.select(&all).into_iter().filter(|workload| unlike(workload)).collect();
        let told = self.tell(&all, &pods, unlike);
        let meshed = if injected { told.map(|unmeshed| all_but(&all.labels, unmeshed)) } else { told };
        meshed.unwrap_or_else(|| vec![Requirements::any()])
    }

    fn lasting_labels(&self, workload: &Workload) -> Requirements {
        let owner = workload.owner.clone().map(|owner| (workload.namespace.clone(), owner));
        let labels: &BTreeMap<_, _> = owner.and_then(|owner| self.owners().get(&owner)).unwrap_or(&workload.labels);
        let lasting = labels.iter().filter(|(key, _)| !is_passing(key));
        let list = lasting.map(|(key, value)| Requirement::is_in(key.clone(), [value.clone()]));
        // Each key has one value, so that the requirements cannot contradict each other.
        Requirements::new(list).unwrap_or_default()
    }
}

/// Returns requirements for the pods that meet `labels` and none of `taken`.
fn all_but(labels: &Requirements, taken: Vec<Requirements>) -> Vec<Requirements> {
    let pods = |labels| PodSelector { labels, ..PodSelector::any() };
    let taken: Vec<PodSelector> = taken.into_iter().map(pods).collect();
    subtract_all(&[pods(labels.clone())], &taken).into_iter().map(|set| set.labels).collect()
}

fn shown_namespace(selector: &PodSelector) -> &str {
    selector.namespace_name().map_or("*", SmolStr::as_str)
}

fn account_word(namespace: &str, selector: &PodSelector) -> SmolStr {
    match &selector.account {
        Account::Is(name) => smol_str::format_smolstr!("{namespace}/@{name}"),
        Account::Not(names) => smol_str::format_smolstr!("{namespace}/* except {namespace}/@{}", names.join(", @")),
    }
}

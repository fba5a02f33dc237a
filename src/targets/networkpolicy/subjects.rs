//! Which pods a selector means, in the terms of a NetworkPolicy: a namespace by its name and labels of pods.
//!
//! A namespace that is not named is looked up in the inventory, whose namespaces are all that there are; a service
//! account is told by the labels of the pods that run as it. What cannot be told exactly is kept as a wider set, and why.

use std::borrow::Cow;

use smol_str::SmolStr;

use super::model::Scope;
use crate::inventory::{Inventory, Workload, all_but};
use crate::model::labels::{Account, NAMESPACE_NAME, PodSelector, Requirement, Requirements, Test};

/// The pods of a selector as subjects of objects.
#[derive(Clone, Debug, Default)]
pub(super) struct Subjects<'a> {
    /// The pods that are meant for certain.
    pub(super) scopes: Vec<Scope<'a>>,
    /// Wider sets of the pods that may be meant.
    pub(super) maybe: Vec<Wide<'a>>,
    /// Why some pods are only maybe meant.
    pub(super) why: Option<Why>,
    /// Whether the namespaces come from the inventory, since none was named.
    pub(super) enumerated: bool,
}

/// Pods with some labels, in one namespace or in all that may meet requirements.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Wide<'a> {
    /// The namespace, or what is required of its labels.
    pub(super) namespace: Result<&'a SmolStr, &'a Requirements>,
    /// The labels.
    pub(super) labels: Cow<'a, Requirements>,
    /// Whether all pods with these labels are meant in a namespace that is known to meet the requirements.
    pub(super) told: bool,
}

/// Why pods cannot be selected exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// No namespace is named, and no inventory lists them.
    NoInventory,
    /// The labels of this namespace are not known.
    UnknownNamespace(SmolStr),
    /// No labels tell the pods of a service account from others.
    Account(SmolStr),
}

/// Pods as peers.
#[derive(Clone, Debug)]
pub(super) struct PeerPods<'a> {
    /// The selectors, none of them with an account.
    pub(super) selectors: Vec<Cow<'a, PodSelector>>,
    /// The account, where the selectors mean other pods too because no labels tell its pods.
    pub(super) widened: Option<SmolStr>,
}

/// Returns the pods of a selector as the one subject that they are where it names its namespace and no account, as most
/// do.
pub(super) fn plain_subject(selector: &PodSelector) -> Option<Scope<'_>> {
    match selector.namespace.list() {
        [Requirement { key, test: Test::In(names) }] if key == NAMESPACE_NAME && any_account(selector) => {
            let [namespace] = names.as_slice() else { return None };
            Some(Scope { namespace, labels: Cow::Borrowed(&selector.labels) })
        }
        _ => None,
    }
}

/// Returns the pods of a selector as subjects.
pub(super) fn subjects<'a>(inventory: &'a Inventory, selector: &'a PodSelector) -> Subjects<'a> {
    let named = selector.namespace.values(NAMESPACE_NAME).is_some();
    let mut subjects = Subjects { enumerated: inventory.given && !named, ..Subjects::default() };
    let Some(namespaces) = inventory.namespaces_of(selector) else {
        let (namespace, labels) = (Err(&selector.namespace), Cow::Borrowed(&selector.labels));
        subjects.maybe.push(Wide { namespace, labels, told: any_account(selector) });
        subjects.why = Some(Why::NoInventory);
        return subjects;
    };
    for (namespace, sure) in namespaces {
        let mut maybe = |why| {
            let labels = Cow::Borrowed(&selector.labels);
            subjects.maybe.push(Wide { namespace: Ok(namespace), labels, told: false });
            subjects.why = Some(why);
        };
        if !sure {
            maybe(Why::UnknownNamespace(namespace.clone()));
        } else if any_account(selector) {
            subjects.scopes.push(Scope { namespace, labels: Cow::Borrowed(&selector.labels) });
        } else {
            match inventory.labels_of_account(namespace, selector) {
                None => maybe(Why::Account(account_word(namespace, selector))),
                Some(list) => {
                    let scopes = list.into_iter().map(|labels| Scope { namespace, labels: Cow::Owned(labels) });
                    subjects.scopes.extend(scopes);
                }
            }
        }
    }
    if subjects.scopes.is_empty() && subjects.maybe.is_empty() && !any_account(selector) {
        // Who runs as an account that no known pod has cannot be told.
        let (namespace, labels) = (Err(&selector.namespace), Cow::Borrowed(&selector.labels));
        subjects.maybe.push(Wide { namespace, labels, told: false });
        subjects.why = Some(Why::Account(account_word(shown_namespace(selector), selector)));
    }
    subjects
}

/// Returns the pods of a selector as peers: it may require anything of namespaces, but knows no accounts.
pub(super) fn peer_pods<'a>(inventory: &'a Inventory, selector: &'a PodSelector) -> PeerPods<'a> {
    if any_account(selector) {
        return PeerPods { selectors: vec![Cow::Borrowed(selector)], widened: None };
    }
    let told = match selector.namespace.values(NAMESPACE_NAME) {
        Some(names) => names.iter().collect(),
        None => inventory.namespaces.keys().collect::<Vec<_>>(),
    }
    .into_iter()
    .filter_map(|namespace| match inventory.meets(namespace, &selector.namespace) {
        Some(false) => None,
        Some(true) => Some(inventory.labels_of_account(namespace, selector).map(|list| (namespace, list))),
        None => Some(None),
    })
    .collect::<Option<Vec<_>>>()
    .filter(|told| told.iter().any(|(_, list)| !list.is_empty()));
    match told {
        Some(told) => {
            let selectors = told.into_iter().flat_map(|(namespace, list)| {
                list.into_iter()
                    .map(|labels| Cow::Owned(PodSelector { labels, ..PodSelector::in_namespace(namespace.clone()) }))
            });
            PeerPods { selectors: selectors.collect(), widened: None }
        }
        None => {
            let all = PodSelector { account: Account::Not(Vec::new()), ..selector.clone() };
            let word = account_word(shown_namespace(selector), selector);
            PeerPods { selectors: vec![Cow::Owned(all)], widened: Some(word) }
        }
    }
}

fn any_account(selector: &PodSelector) -> bool {
    matches!(&selector.account, Account::Not(names) if names.is_empty())
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

/// Returns the labels of the pods of a namespace that have an Istio sidecar. Pods that the inventory does not show are
/// taken for what the namespace's own labels say; where no labels tell, all pods are meant.
pub(super) fn meshed(inventory: &Inventory, namespace: &SmolStr) -> Vec<Requirements> {
    let labels = inventory.namespaces.get(namespace).map(|namespace| &namespace.labels);
    let injected = labels.is_some_and(|labels| {
        labels.get("istio-injection").is_some_and(|value| value == "enabled") || labels.contains_key("istio.io/rev")
    });
    let all = PodSelector::in_namespace(namespace.clone());
    let unlike = |workload: &Workload| workload.sidecar != injected;
    let pods: Vec<&Workload> = inventory.select(&all).into_iter().filter(|workload| unlike(workload)).collect();
    let told = inventory.tell(&all, &pods, unlike);
    let meshed = if injected { told.map(|unmeshed| all_but(&all.labels, unmeshed)) } else { told };
    meshed.unwrap_or_else(|| vec![Requirements::any()])
}

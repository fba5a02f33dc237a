//! Names of parties in the language, the most specific first: the workload, else its permanent labels, else its
//! account.
//!
//! ```text
//! the Pod garden/web-5d9c8bf7d-x2k4q    garden/web
//! a pod that no workload explains       garden/{app=web, tier=front}
//! ```
//!
//! Anybody may write into a log, so only valid Kubernetes names, labels and hosts become words.

use std::net::IpAddr;

use crate::inventory::{Inventory, WorkloadKind, is_passing};
use crate::model::labels::NAMESPACE_NAME;
use crate::model::names::{is_dns_label, is_dns_subdomain, is_label_key, is_label_value};
use crate::policy::{Party, Pod};

/// How a sentence names a party.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Words {
    /// Roughly how many parties the words select: 0 for one workload, address or host; more for labels, an account, all
    /// pods of a namespace, and the endpoint of a rule.
    pub width: u8,
    /// The text: `garden/web`.
    pub text: String,
    /// Whether the text is an endpoint of the language.
    pub said: bool,
}

impl Words {
    fn new(width: u8, text: String) -> Words {
        Words { width, text, said: true }
    }

    /// Makes words that are no endpoint, only for messages.
    pub(super) fn unsaid(text: String) -> Words {
        Words { width: u8::MAX, text, said: false }
    }

    /// Returns the words for a party.
    pub(super) fn of(inventory: &Inventory, party: &Party) -> Words {
        match party {
            Party::Address(IpAddr::V6(address)) => Words::new(0, format!("[{address}]")),
            Party::Address(address) => Words::new(0, address.to_string()),
            Party::Host { name, .. } if is_dns_subdomain(name) => Words::new(0, name.to_string()),
            Party::Host { name, .. } => Words::unsaid(name.escape_debug().to_string()),
            Party::Pod(pod) => of_pod(inventory, pod),
        }
    }

    /// Returns all ways to name a party, the most specific first.
    pub(super) fn all(inventory: &Inventory, party: &Party) -> Vec<Words> {
        let mut all = vec![Words::of(inventory, party)];
        if let Party::Pod(pod) = party
            && let Some(namespace) = pod.namespace_labels.get(NAMESPACE_NAME).filter(|name| is_dns_label(name))
        {
            all.extend(by_facts(namespace, pod).into_iter().flatten());
            all.push(Words::new(3, format!("{namespace}/*")));
        }
        all.retain(|words| words.said);
        all.dedup();
        all
    }

    /// Makes words from an endpoint of a rule.
    pub(super) fn of_rule(text: String) -> Words {
        Words::new(4, text)
    }
}

fn of_pod(inventory: &Inventory, pod: &Pod) -> Words {
    let namespace = pod.namespace_labels.get(NAMESPACE_NAME).filter(|name| is_dns_label(name));
    let Some(namespace) = namespace else { return Words::unsaid(pod.shown.escape_debug().to_string()) };
    let named = |name: &str| Words::new(0, format!("{namespace}/{name}"));
    let mut workloads = inventory.workloads_in(namespace).iter().filter(|one| !one.owned && is_dns_label(&one.name));
    let owner = workloads.find(|one| {
        let selects = match one.kind {
            WorkloadKind::Pod => pod.shown == format!("{namespace}/{}", one.name),
            _ => one.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels)),
        };
        // The name selects all pods of the workload's selector, under any account.
        selects && (one.account.is_empty() || one.account == pod.account || pod.account.is_empty())
    });
    if let Some(owner) = owner {
        return named(&owner.name);
    }
    let [by_labels, by_account] = by_facts(namespace, pod);
    by_labels.or(by_account).unwrap_or_else(|| Words::new(3, format!("{namespace}/*")))
}

/// Returns a pod by its permanent labels, and by its account.
fn by_facts(namespace: &str, pod: &Pod) -> [Option<Words>; 2] {
    let lasting = pod
        .labels
        .iter()
        .filter(|(key, value)| !is_passing(key) && is_label_key(key) && is_label_value(value) && !value.is_empty());
    let labels: Vec<String> = lasting.map(|(key, value)| format!("{key}={value}")).collect();
    let by_labels = (!labels.is_empty()).then(|| Words::new(1, format!("{namespace}/{{{}}}", labels.join(", "))));
    let by_account = is_dns_subdomain(&pod.account).then(|| Words::new(2, format!("{namespace}/@{}", pod.account)));
    [by_labels, by_account]
}

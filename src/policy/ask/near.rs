//! Near names: for an unknown name, the message with the closest name of the inventory.

use smol_str::SmolStr;

use crate::diag::nearest;
use crate::inventory::{Inventory, Matched, Near, Service, ServicePort, TargetPort};
use crate::model::labels::{PodSelector, Test};
use crate::model::ports::Protocol;

/// The most names of a list that are shown.
const NAMES_TOLD: usize = 6;

/// Returns the message for an unknown namespace.
pub(super) fn no_namespace(inventory: &Inventory, namespace: &str) -> String {
    let names: Vec<&str> = inventory.namespaces.keys().map(SmolStr::as_str).collect();
    let instead = instead(namespace, &names, "");
    format!("the inventory has no namespace `{namespace}`{instead}")
}

/// Returns the message for an unknown workload, Service or Pod.
pub(super) fn no_name(inventory: &Inventory, namespace: &str, name: &str) -> String {
    let workloads = inventory.workloads_in(namespace).iter().filter(|workload| !workload.owned);
    let services = inventory.services.keys().filter(|(of, _)| of == namespace);
    let mut names: Vec<&str> = workloads.map(|workload| workload.name.as_str()).collect();
    names.extend(services.map(|(_, name)| name.as_str()));
    names.sort_unstable();
    names.dedup();
    let instead = instead(name, &names, &format!("{namespace}/"));
    format!("the inventory has no workload, Service or Pod `{namespace}/{name}`{instead}")
}

/// Returns whether the inventory knows a service account, by itself or by a pod that runs as it.
pub(super) fn knows_account(inventory: &Inventory, namespace: &str, account: &str) -> bool {
    accounts(inventory, namespace).any(|known| known == account)
}

/// Returns the message for an unknown service account.
pub(super) fn no_account(inventory: &Inventory, namespace: &str, account: &str) -> String {
    let mut names: Vec<&str> = accounts(inventory, namespace).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    let instead = instead(account, &names, &format!("{namespace}/@"));
    format!("the inventory has no ServiceAccount `{namespace}/{account}`, and no pod that runs as it{instead}")
}

fn accounts<'a>(inventory: &'a Inventory, namespace: &'a str) -> impl Iterator<Item = &'a str> {
    let own = inventory.accounts.iter().filter(move |(of, _)| of == namespace).map(|(_, name)| name.as_str());
    // Every namespace has the account `default`.
    let workloads = inventory.workloads_in(namespace).iter().map(|workload| workload.account.as_str());
    own.chain(workloads).chain(["default"])
}

/// Returns the name nearest to a word, else the first names.
pub(super) fn instead(word: &str, names: &[&str], before: &str) -> String {
    if let Some(near) = nearest(word, names.iter().copied()) {
        return format!("; did you mean `{before}{near}`?");
    }
    let told: Vec<String> = names.iter().take(NAMES_TOLD).map(|name| format!("`{before}{name}`")).collect();
    match names.len() {
        0 => String::new(),
        all if all > NAMES_TOLD => format!("; it has {} and {} more", told.join(", "), all - NAMES_TOLD),
        _ => format!("; it has {}", told.join(", ")),
    }
}

/// Returns the label nearest to those of a selector that selects nothing, and the workload that has it.
pub(super) fn near_label(inventory: &Inventory, selector: &PodSelector) -> Option<String> {
    match inventory.matched(selector) {
        Matched::Near(Near::Label { wanted, found: (key, value), workload, .. })
            if matches!(wanted.test, Test::In(_)) =>
        {
            Some(format!("{}/{} has `{key}={value}`", workload.namespace, workload.name))
        }
        _ => None,
    }
}

/// Returns the ports of a Service, each with the pods' port that it leads to.
pub(super) fn ports_of(service: &Service) -> String {
    let all: Vec<String> = service.ports.iter().map(port).collect();
    match all.as_slice() {
        [] => "it has none".to_owned(),
        all => format!("it sends {}", all.join(", ")),
    }
}

/// Returns a port of a Service with the pods' port that it leads to: `80 to 8080`, `metrics (9090) to metrics`.
pub(super) fn port(port: &ServicePort) -> String {
    let protocol = if port.protocol == Protocol::Tcp { String::new() } else { format!("/{}", port.protocol.word()) };
    let number = match &port.name {
        Some(name) => format!("{name} ({}{protocol})", port.port),
        None => format!("{}{protocol}", port.port),
    };
    format!("{number} to {}", target(&port.target))
}

/// Returns the pods' port that a Service's port leads to.
pub(super) fn target(target: &TargetPort) -> String {
    match target {
        TargetPort::Number(number) => number.to_string(),
        TargetPort::Name(name) => format!("`{name}`"),
    }
}

//! Known facts: the labels, accounts and addresses that the inventory gives single pods and hosts.

use smol_str::SmolStr;

use super::Policy;
use super::flow::Pod;
use crate::inventory::Workload;
use crate::model::addresses::AddressSet;
use crate::model::endpoint::What;
use crate::model::labels::{Labels, NAMESPACE_NAME};

impl Policy {
    /// Returns any pod of a workload, or the Pod.
    pub fn pod_of(&self, workload: &Workload) -> Pod {
        Pod {
            shown: format!("{}/{}", workload.namespace, workload.name),
            namespace_labels: self.namespace_labels(&workload.namespace),
            labels: workload.labels.clone(),
            account: workload.account.clone(),
            ports: workload.ports.clone(),
            sidecar: workload.sidecar,
            single: false,
        }
    }

    /// Returns an invented pod. Without an inventory every pod counts as meshed.
    pub fn made_up(&self, namespace: &SmolStr, shown: &str, labels: Labels, account: SmolStr) -> Pod {
        let namespace_labels = self.namespace_labels(namespace);
        let sidecar = !self.inventory.given || self.inventory.injects(namespace, &namespace_labels, &labels);
        Pod { shown: shown.into(), namespace_labels, labels, account, ports: Vec::new(), sidecar, single: false }
    }

    /// Returns the labels of a namespace, as far as they are known, with its name.
    pub fn namespace_labels(&self, namespace: &SmolStr) -> Labels {
        let known = self.inventory.namespaces.get(namespace);
        let mut labels = known.map(|known| known.labels.clone()).unwrap_or_default();
        labels.insert(NAMESPACE_NAME.into(), namespace.clone());
        labels
    }

    /// Returns the addresses that a host may have: those that the source gives it, else the internet.
    pub fn whereabouts(&self, name: &str) -> AddressSet {
        let sides = self.rules_placing(name).flat_map(|rule| [&rule.source, &rule.destination]);
        let members = sides.flat_map(|side| &side.members);
        let mut nets: Vec<ipnet::IpNet> = members
            .filter_map(|member| match &member.what {
                What::Host(host) if host.matches(name) => Some(host.at.iter().map(|at| at.net)),
                _ => None,
            })
            .flatten()
            .collect();
        nets.sort();
        nets.dedup();
        if nets.is_empty() { self.internet.clone() } else { AddressSet::of(nets) }
    }

    /// Returns whether an allow names a host.
    pub fn names_host(&self, name: &str) -> bool {
        let members = self.rules.iter().flat_map(|rule| &rule.destination.members);
        members.into_iter().any(|member| matches!(&member.what, What::Host(host) if host.matches(name)))
    }
}

//! What is known of the pods of a selector: which of them use the tunnel.

use std::collections::BTreeSet;

use smol_str::{SmolStr, format_smolstr};

use crate::inventory::{Injection, MADE_FOR, Workload};
use crate::model::labels::{Labels, PodSelector, Requirements};
use crate::policy::{Pod, Policy};

const MODE: &str = "istio.io/dataplane-mode";

/// The known pods of an endpoint.
#[derive(Clone, Default)]
pub(in crate::targets) struct KnownPods {
    /// Those in ambient mode; of unknown pods the namespaces, `shop/*`.
    pub ambient: BTreeSet<SmolStr>,
    /// Those with a sidecar.
    pub sidecars: BTreeSet<SmolStr>,
    /// Whether there are other pods, with a sidecar or without.
    pub others: bool,
    /// Whether there may be unknown pods that use the tunnel.
    pub perhaps: bool,
}

impl KnownPods {
    pub fn add(&mut self, other: &KnownPods) {
        self.ambient.extend(other.ambient.iter().cloned());
        self.sidecars.extend(other.sidecars.iter().cloned());
        self.others |= other.others;
        self.perhaps |= other.perhaps;
    }

    /// Returns whether some of the pods may use the tunnel with pods in ambient mode.
    pub fn may_tunnel(&self) -> bool {
        !self.ambient.is_empty() || !self.sidecars.is_empty() || self.perhaps
    }

    /// Gathers what is known of the pods of a selector. Pods of which no workload is known are judged by the labels of
    /// their namespace.
    pub fn of(policy: &Policy, selector: &PodSelector) -> KnownPods {
        let (inventory, mut known) = (&policy.inventory, KnownPods::default());
        let mut seen: BTreeSet<&SmolStr> = BTreeSet::new();
        for workload in inventory.select(selector) {
            seen.insert(&workload.namespace);
            let name = format_smolstr!("{}/{}", workload.namespace, workload.name);
            if is_ambient(policy, workload) {
                known.ambient.insert(name);
                continue;
            }
            known.others = true;
            // A gateway sends through the tunnel to pods that take it.
            known.perhaps |= workload.is_gateway();
            if workload.sidecar {
                known.sidecars.insert(name);
            }
        }
        known.perhaps |= policy.gateways.iter().any(|gateway| gateway.pods.iter().any(|pods| pods.overlaps(selector)));
        let Some(namespaces) = inventory.namespaces_of(selector) else {
            match mode_said(selector) {
                Some("ambient") => known.ambient.extend([format_smolstr!("{{{MODE}=ambient}}/*")]),
                _ => known.perhaps = true,
            }
            return known;
        };
        for (namespace, _) in namespaces.into_iter().filter(|(namespace, _)| !seen.contains(namespace)) {
            match unknown_pods(policy, namespace, selector) {
                Unknown::Ambient => known.ambient.extend([format_smolstr!("{namespace}/*")]),
                Unknown::InMesh => known.perhaps = true,
                Unknown::Outside => {}
            }
        }
        known
    }
}

/// What the labels of a namespace say of pods there that are not known.
enum Unknown {
    Ambient,
    /// They have sidecars, or may be in the mesh.
    InMesh,
    Outside,
}

fn unknown_pods(policy: &Policy, namespace: &SmolStr, selector: &PodSelector) -> Unknown {
    let inventory = &policy.inventory;
    let pod = single_labels(&selector.labels);
    let Some(known) = inventory.namespaces.get(namespace).filter(|known| known.declared) else {
        return if mode_said(selector) == Some("ambient") { Unknown::Ambient } else { Unknown::InMesh };
    };
    if pod.contains_key(MADE_FOR) || inventory.injects(namespace, &known.labels, &pod) {
        return Unknown::InMesh;
    }
    match mode(&pod, &known.labels) {
        Some("ambient") => Unknown::Ambient,
        _ => Unknown::Outside,
    }
}

/// Returns the labels for which requirements leave one value.
fn single_labels(requirements: &Requirements) -> Labels {
    let keys = requirements.list().iter().map(|requirement| &requirement.key);
    keys.filter_map(|key| Some((key.clone(), requirements.only(key)?.clone()))).collect()
}

fn mode<'l>(pod: &'l Labels, namespace: &'l Labels) -> Option<&'l str> {
    pod.get(MODE).or_else(|| namespace.get(MODE)).map(SmolStr::as_str)
}

/// Returns the mode that a selector itself asks for.
fn mode_said(selector: &PodSelector) -> Option<&str> {
    selector.labels.only(MODE).or_else(|| selector.namespace.only(MODE)).map(SmolStr::as_str)
}

/// Returns whether pods of a selector may be in ambient mode, for a quick look at a policy.
pub(super) fn says_ambient(selector: &PodSelector) -> bool {
    mode_said(selector) == Some("ambient")
}

/// Returns whether the inventory shows that something is in ambient mode.
pub(super) fn shows_ambient(policy: &Policy) -> bool {
    let inventory = &policy.inventory;
    let says = |labels: &Labels| labels.get(MODE).is_some_and(|mode| mode == "ambient");
    inventory.namespaces.values().any(|namespace| says(&namespace.labels))
        || inventory.workloads.iter().any(|workload| is_ambient(policy, workload))
}

/// Returns whether pods of a namespace are in ambient mode by the labels of the namespace, where no workload is known.
pub(in crate::targets) fn is_ambient_namespace(policy: &Policy, namespace: &SmolStr, selector: &PodSelector) -> bool {
    matches!(unknown_pods(policy, namespace, selector), Unknown::Ambient)
}

/// Returns whether traffic from one pod to another arrives in the tunnel, by the labels of the pods and their
/// namespaces.
pub fn is_tunnelled(from: &Pod, to: &Pod) -> bool {
    let (ambient_from, ambient_to) = (is_ambient_pod(from), is_ambient_pod(to));
    ambient_from && (ambient_to || to.sidecar) || ambient_to && from.sidecar
}

/// Returns whether a pod is in ambient mode, by its labels and those of its namespace.
pub fn is_ambient_pod(pod: &Pod) -> bool {
    mode(&pod.labels, &pod.namespace_labels) == Some("ambient") && !pod.sidecar
}

/// Returns whether the pods of a workload are in ambient mode.
pub(in crate::targets) fn is_ambient(policy: &Policy, workload: &Workload) -> bool {
    let namespace = policy.inventory.namespaces.get(&workload.namespace);
    let none = Labels::new();
    mode(&workload.labels, namespace.map_or(&none, |known| &known.labels)) == Some("ambient")
        && !workload.sidecar
        && !workload.host_network
        && workload.injection != Injection::Gateway
}

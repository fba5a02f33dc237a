//! Istio's sidecars: which pods have one.
//!
//! A Pod of a running cluster shows its sidecar: a container, or a restarting init container, `istio-proxy`. For a
//! template the decision of Istio's webhooks and its injector is predicted ("Controlling the injection policy" in
//! Istio's documentation, `injectRequired` in `pkg/kube/inject`):
//!
//! - Pods on the host network, and those of the system's namespaces, are never injected.
//! - The namespace's `istio-injection: disabled` excludes every webhook, whatever the pod's labels are.
//! - With `istio-injection: enabled`, or `istio.io/rev` without `istio-injection`, every pod is injected unless it
//!   refuses: by the label `sidecar.istio.io/inject`, or without the label by the annotation of that name.
//! - In a namespace without these labels a pod is injected only if it asks by *label*, `sidecar.istio.io/inject:
//!   "true"` or `istio.io/rev`: no webhook reads annotations.
//! - `istio.io/dataplane-mode: ambient`, of the pod or else of its namespace, is the mode without sidecars, but for
//!   pods that ask for one by label: the injector does not look at the mode, which leaves out pods with a sidecar.
//! - A gateway is only the proxy, and not a sidecar of a workload.

use smol_str::SmolStr;

use super::document::Mistakes;
use super::fields;
use super::tree::At;
use crate::inventory::{Injection, Inventory, MADE_FOR, Namespace, Workload, WorkloadKind};
use crate::model::labels::Labels;

const PROXY: &str = "istio-proxy";
const INJECT: &str = "sidecar.istio.io/inject";
const REVISION: &str = "istio.io/rev";
const MODE: &str = "istio.io/dataplane-mode";

/// Labels that only pods of gateways and waypoints have: Istio's own and the Gateway API's.
const GATEWAY_LABELS: [&str; 2] = [MADE_FOR, "istio.io/gateway-name"];

/// The namespaces that Istio's injector ignores (`IgnoredNamespaces` in `pkg/kube/inject`).
const SYSTEM: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// The fields of a pod or a template that decide its sidecar.
pub(super) struct Shown<'d> {
    /// Its labels.
    pub labels: &'d Labels,
    /// `metadata.annotations`.
    pub annotations: Option<At<'d>>,
    /// The names of its containers and init containers.
    pub containers: Vec<&'d SmolStr>,
    /// Whether it is a Pod of a running cluster, and not a manifest that is still to be applied.
    pub live: bool,
    /// `spec.hostNetwork`.
    pub host_network: bool,
}

/// Returns whether a pod or a template asks for a sidecar, has one or refuses it, and the field, label or annotation by
/// which it refuses.
pub(super) fn injection(shown: &Shown<'_>, mistakes: &mut Mistakes<'_>) -> (Injection, Option<&'static str>) {
    let annotation = |key, mistakes: &mut Mistakes<'_>| {
        fields::text(shown.annotations?, key, mistakes).map(|(text, _)| text.as_str())
    };
    let templates = annotation("inject.istio.io/templates", mistakes).unwrap_or_default();
    let by_template = templates.split(',').any(|template| template.trim() == "gateway");
    let by_label = GATEWAY_LABELS.iter().any(|&label| shown.labels.contains_key(label));
    let gateway = by_template
        .then_some("the annotation `inject.istio.io/templates: gateway`")
        .or(by_label.then_some("a label of gateways"));
    let others = shown.containers.iter().any(|&name| name != PROXY);
    let status = annotation("sidecar.istio.io/status", mistakes).is_some_and(|status| status.contains(PROXY));
    let proxy = status || shown.containers.iter().any(|&name| name == PROXY);
    if shown.host_network {
        return (Injection::Never, Some("`hostNetwork: true`"));
    }
    if gateway.is_some() || proxy && !others {
        return (Injection::Gateway, gateway);
    }
    if proxy {
        return (Injection::Present, None);
    }
    let label = shown.labels.get(INJECT).map(SmolStr::as_str);
    let said = label.or(annotation(INJECT, mistakes)).unwrap_or_default().to_ascii_lowercase();
    let refuses = (!matches!(said.as_str(), "" | "y" | "yes" | "true" | "on")).then_some(match label {
        Some(_) => "the label `sidecar.istio.io/inject`",
        None => "the annotation `sidecar.istio.io/inject`",
    });
    let ambient = shown.labels.get(MODE).is_some_and(|mode| mode == "ambient");
    match said.as_str() {
        _ if refuses.is_some() || shown.live => (Injection::Never, refuses),
        _ if label == Some("true") => (Injection::Asked, None),
        "" if shown.labels.contains_key(REVISION) => (Injection::Asked, None),
        _ if ambient => (Injection::Never, Some("the label `istio.io/dataplane-mode: ambient`")),
        _ => (Injection::ByNamespace, None),
    }
}

/// Returns whether pods with some `injection` have a sidecar in a namespace of that name with these labels.
pub(super) fn has_sidecar(injection: Injection, pod: &Labels, namespace: &str, labels: &Labels) -> bool {
    let policy = labels.get("istio-injection").map(SmolStr::as_str);
    let ambient = labels.get(MODE).is_some_and(|mode| mode == "ambient") && !pod.contains_key(MODE);
    let refused = SYSTEM.contains(&namespace) || policy == Some("disabled");
    match injection {
        Injection::Present => true,
        Injection::Never | Injection::Gateway => false,
        _ if refused => false,
        Injection::Asked => true,
        Injection::ByNamespace if ambient => false,
        Injection::ByNamespace => policy == Some("enabled") || policy.is_none() && labels.contains_key(REVISION),
    }
}

impl Inventory {
    /// Returns whether a pod of which only the labels are known would have a sidecar in a namespace with these labels.
    pub fn injects(&self, namespace: &str, labels: &Labels, pod: &Labels) -> bool {
        let injection = match pod.get(INJECT).map(SmolStr::as_str) {
            Some("true") => Injection::Asked,
            Some(_) => Injection::Never,
            None if pod.get(MODE).is_some_and(|mode| mode == "ambient") => Injection::Never,
            None => Injection::ByNamespace,
        };
        has_sidecar(injection, pod, namespace, labels)
    }

    /// Returns whether the pods of a workload get a sidecar when they are started again, if those that run differ.
    pub fn after_restart(&self, workload: &Workload) -> Option<bool> {
        let labels = &self.namespaces.get(&workload.namespace)?.labels;
        let has = has_sidecar(workload.template?, &workload.labels, &workload.namespace, labels);
        (has != workload.sidecar).then_some(has)
    }

    /// Adds a namespace, which replaces an earlier one of its name, and decides the sidecars of its workloads by its
    /// labels.
    pub fn declare_namespace(&mut self, name: SmolStr, namespace: Namespace) {
        let start = self.workloads.partition_point(|workload| workload.namespace < name);
        for workload in self.workloads[start..].iter_mut().take_while(|workload| workload.namespace == name) {
            workload.sidecar = has_sidecar(workload.injection, &workload.labels, &name, &namespace.labels);
        }
        self.namespaces.insert(name, namespace);
    }

    /// Adds the workloads that the source declares and that no manifest has, after all declarations.
    pub fn declare_workloads(&mut self, declared: impl Iterator<Item = Workload>) {
        let before = self.workloads.len();
        self.workloads.extend(declared);
        if self.workloads.len() > before {
            self.workloads.sort_by_cached_key(|one| (one.namespace.clone(), one.name.clone(), one.kind));
        }
        self.forget_index();
    }

    /// Returns whether the pods of a declared workload have a sidecar. Without an inventory every pod counts as meshed,
    /// except those that are declared without one.
    pub fn is_meshed(&self, declared: &Workload) -> bool {
        match self.namespaces.get(&declared.namespace) {
            _ if !self.given => declared.injection != Injection::Never,
            Some(known) => has_sidecar(declared.injection, &declared.labels, &declared.namespace, &known.labels),
            None => declared.injection == Injection::Present,
        }
    }

    /// Adds a declaration to the known workloads of its name: facts that they leave out, and the labels that select
    /// their pods when a policy names them.
    pub fn confirm_workload(&mut self, said: Workload) {
        let name = |one: &Workload| (one.namespace.clone(), one.name.clone());
        let key = name(&said);
        let start = self.workloads.partition_point(|known| name(known) < key);
        let same = self.workloads[start..].iter_mut().take_while(|known| name(known) == key);
        for known in same.filter(|known| !known.owned) {
            known.confirm(&said);
        }
    }
}

impl Workload {
    /// Adds a declaration of the same pods: facts that this one leaves out, and the labels that select the pods when a
    /// policy names them.
    pub fn confirm(&mut self, said: &Workload) {
        self.selector = said.selector.clone().or(self.selector.take());
        if self.kind != WorkloadKind::Declared {
            return;
        }
        if self.labels.is_empty() {
            self.labels = said.labels.clone();
        }
        if self.account.is_empty() {
            self.account = said.account.clone();
        }
        if self.injection == Injection::ByNamespace && said.injection != Injection::ByNamespace {
            self.injection = said.injection;
            self.sidecar = said.injection == Injection::Present;
        }
        self.ports.extend(said.ports.iter().filter(|port| !self.ports.contains(port)).cloned().collect::<Vec<_>>());
    }
}

//! Pods that run, which show what the template of their workload can only predict.
//!
//! ```text
//! Pod web-5d9c8-x2k4q   of ReplicaSet/web-5d9c8   of Deployment/web      containers: [web], without istio-proxy
//! ```
//!
//! A namespace may have got its label, or lost it, after its pods started: they keep what they have until they are
//! started again.

use std::collections::BTreeMap;

use smol_str::{SmolStr, format_smolstr};

use crate::inventory::{Injection, Workload, WorkloadKind};

/// The label by which a Deployment tells the pods of its ReplicaSets apart; their names end in its value.
const HASH: &str = "pod-template-hash";

/// The Pods that run, by their controllers.
#[derive(Default)]
pub(super) struct Live {
    /// Whether all Pods of a controller have a sidecar, by namespace and `Kind/name`.
    pods: BTreeMap<(SmolStr, SmolStr), bool>,
    /// The ReplicaSets of each controller.
    replica_sets: BTreeMap<(SmolStr, SmolStr), Vec<SmolStr>>,
}

impl Live {
    /// Takes a ReplicaSet, `own`, and its controller.
    pub fn made_by(&mut self, namespace: SmolStr, own: SmolStr, owner: Option<SmolStr>) {
        if let Some(owner) = owner {
            self.replica_sets.entry((namespace, owner)).or_default().push(own);
        }
    }

    /// Takes a Pod that runs. A gateway's pods, which are only the proxy, say nothing of sidecars.
    pub fn add(&mut self, pod: &Workload) {
        let Some(owner) = pod.owner.clone().filter(|_| pod.injection != Injection::Gateway && !pod.host_network) else {
            return;
        };
        let has = pod.injection == Injection::Present;
        let deployment = || {
            let name = owner.strip_prefix("ReplicaSet/")?.strip_suffix(pod.labels.get(HASH)?.as_str())?;
            Some(format_smolstr!("Deployment/{}", name.strip_suffix('-')?))
        };
        for controller in deployment().into_iter().chain([owner.clone()]) {
            *self.pods.entry((pod.namespace.clone(), controller)).or_insert(true) &= has;
        }
    }

    /// Lets the Pods of a workload decide whether it has a sidecar: only if all that run have one.
    pub fn decide(&self, workload: &mut Workload) {
        if matches!(workload.kind, WorkloadKind::Pod | WorkloadKind::CronJob) {
            return;
        }
        let key = |controller: SmolStr| (workload.namespace.clone(), controller);
        let own = key(format_smolstr!("{}/{}", workload.kind.word(), workload.name));
        let made = self.replica_sets.get(&own).into_iter().flatten().map(|replica_set| key(replica_set.clone()));
        let has = made.chain([own.clone()]).filter_map(|key| self.pods.get(&key).copied()).reduce(|a, b| a && b);
        if let Some(has) = has.filter(|_| workload.injection != Injection::Gateway) {
            workload.template = Some(workload.injection);
            workload.injection = if has { Injection::Present } else { Injection::Never };
        }
    }
}

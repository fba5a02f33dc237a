//! stub
use super::*;
use crate::vocab::labels::PodSelector;
/// A near miss.
pub struct NearMiss {
    /// w
    pub workload: String,
    /// h
    pub has: SmolStr,
    /// w
    pub written: SmolStr,
}
impl Inventory {
    /// s
    pub fn select(&self, s: &PodSelector) -> Vec<&Workload> {
        self.workloads
            .iter()
            .filter(|w| {
                !w.host_network
                    && self.namespaces.get(&w.namespace).is_some_and(|n| s.matches(&n.labels, &w.labels, &w.account))
            })
            .collect()
    }
    /// n
    pub fn named(&self, ns: &str, name: &str) -> Vec<&Workload> {
        self.workloads.iter().filter(|w| w.namespace == ns && w.name == name && !w.owned).collect()
    }
    /// p
    pub fn pod(&self, ns: &str, name: &str) -> Option<&Workload> {
        self.workloads.iter().find(|w| w.kind == WorkloadKind::Pod && w.namespace == ns && w.name == name)
    }
    /// m
    pub fn near_miss(&self, _s: &PodSelector) -> Option<NearMiss> {
        None
    }
}

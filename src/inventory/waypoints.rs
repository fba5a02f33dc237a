//! Waypoints of Istio's ambient mode: proxies to which callers in the mesh are led before they reach a Service or pod.
//!
//! ```text
//! Namespace shop, istio.io/use-waypoint: waypoint       lab/cli -> the pod shop/waypoint -> shop/web
//! ```
//!
//! The label `istio.io/use-waypoint` of a pod, a Service, a ServiceEntry or their namespace names the waypoint, and
//! `istio.io/use-waypoint-namespace` beside it the namespace of the waypoint ("Configure waypoint proxies" in Istio's
//! documentation). The value `none` opts out.

use smol_str::{SmolStr, format_smolstr};

use super::{Injection, Inventory, Workload};
use crate::model::hosts::HostName;
use crate::model::labels::{Labels, PodSelector, Requirement, Requirements};

const USE: &str = "istio.io/use-waypoint";
const USE_NAMESPACE: &str = "istio.io/use-waypoint-namespace";

/// The label of the pods that Istio makes for a waypoint or a gateway.
pub const MADE_FOR: &str = "gateway.networking.k8s.io/gateway-name";

/// What the labels of an object say about its waypoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waypoint {
    /// `none`: no waypoint, whatever the namespace says.
    OptedOut,
    /// A waypoint, `namespace/name`.
    Named(SmolStr),
}

/// A ServiceEntry, as far as its waypoint goes.
#[derive(Clone, Debug)]
pub struct MeshEntry {
    /// Its namespace.
    pub namespace: SmolStr,
    /// Its hosts.
    pub hosts: Vec<HostName>,
    /// `workloadSelector`.
    pub selector: Option<Labels>,
    /// Its own waypoint.
    pub waypoint: Option<Waypoint>,
}

/// Returns what labels say about a waypoint, of an object in a namespace.
pub fn waypoint(labels: &Labels, namespace: &str) -> Option<Waypoint> {
    let name = labels.get(USE).filter(|name| !name.is_empty())?;
    let home = labels.get(USE_NAMESPACE).map_or(namespace, SmolStr::as_str);
    Some(if name == "none" { Waypoint::OptedOut } else { Waypoint::Named(format_smolstr!("{home}/{name}")) })
}

fn named(waypoint: Option<&Waypoint>) -> Option<SmolStr> {
    match waypoint {
        Some(Waypoint::Named(name)) => Some(name.clone()),
        _ => None,
    }
}

impl Inventory {
    /// Returns whether some object names a waypoint.
    pub fn has_waypoints(&self) -> bool {
        let named = |labels: &Labels| matches!(waypoint(labels, ""), Some(Waypoint::Named(_)));
        self.namespaces.values().any(|namespace| named(&namespace.labels))
            || self.services.values().any(|service| matches!(service.waypoint, Some(Waypoint::Named(_))))
            || self.entries.iter().any(|entry| matches!(entry.waypoint, Some(Waypoint::Named(_))))
            || self.workloads.iter().any(|workload| named(&workload.labels))
    }

    /// Returns a waypoint that stands before some pods of a selector. Waypoints and gateways have none before them.
    pub fn waypoint_before(&self, selector: &PodSelector) -> Option<SmolStr> {
        if selector.labels.values(MADE_FOR).is_some() {
            return None;
        }
        let namespaces: Vec<&SmolStr> = match self.namespaces_of(selector) {
            Some(all) => all.into_iter().map(|(name, _)| name).collect(),
            None => {
                self.namespaces.keys().filter(|name| self.meets(name, &selector.namespace) != Some(false)).collect()
            }
        };
        namespaces.into_iter().find_map(|namespace| self.waypoint_in(namespace, selector))
    }

    fn waypoint_in(&self, namespace: &SmolStr, selector: &PodSelector) -> Option<SmolStr> {
        let home = named(self.namespace_waypoint(namespace).as_ref());
        let in_namespace = PodSelector::in_namespace(namespace.clone());
        let here = PodSelector { namespace: in_namespace.namespace, ..selector.clone() };
        let known = self.select(&here);
        if !known.is_empty() {
            let mut pods = known.into_iter().filter(|workload| workload.injection != Injection::Gateway);
            return pods.find_map(|workload| self.waypoint_of(workload, home.clone()));
        }
        // Unknown pods have the selector's labels, and may be those of each Service that does not contradict these.
        let own = selector.labels.values(USE).and_then(|names| names.first());
        let own = own.and_then(|name| named(waypoint(&Labels::from([(USE.into(), name.clone())]), namespace).as_ref()));
        let may_select = |labels: &Labels| {
            let equal = labels.iter().map(|(key, value)| Requirement::is_in(key.clone(), [value.clone()]));
            Requirements::new(equal).is_some_and(|all| all.overlaps(&selector.labels))
        };
        let services = self.services.range((namespace.clone(), SmolStr::default())..);
        let mut services = services.take_while(|((home, _), _)| home == namespace).map(|(_, service)| service);
        let of_service = services.find_map(|service| {
            named(service.waypoint.as_ref()).filter(|_| service.selector.as_ref().is_some_and(may_select))
        });
        own.or(of_service).or_else(|| self.of_entries(namespace, may_select)).or(home)
    }

    fn waypoint_of(&self, workload: &Workload, home: Option<SmolStr>) -> Option<SmolStr> {
        let namespace = &workload.namespace;
        let own = waypoint(&workload.labels, namespace);
        let services = self.services_of(namespace, &workload.labels);
        let mut of_services = services.iter().filter_map(|(_, service)| named(service.waypoint.as_ref()));
        let selects = |labels: &Labels| labels.iter().all(|(key, value)| workload.labels.get(key) == Some(value));
        let said = named(own.as_ref()).or_else(|| of_services.next()).or_else(|| self.of_entries(namespace, selects));
        // What is sent to a pod's own address and what is sent to its Services opt out by themselves.
        let opted_out = own == Some(Waypoint::OptedOut)
            && services.iter().all(|(_, service)| service.waypoint == Some(Waypoint::OptedOut));
        said.or(home.filter(|_| !opted_out))
    }

    fn of_entries(&self, namespace: &SmolStr, selects: impl Fn(&Labels) -> bool) -> Option<SmolStr> {
        let mut here = self.entries.iter().filter(|entry| entry.namespace == *namespace);
        here.find_map(|entry| named(entry.waypoint.as_ref()).filter(|_| entry.selector.as_ref().is_some_and(&selects)))
    }

    /// Returns the waypoint that stands before a host of a ServiceEntry.
    pub fn waypoint_before_host(&self, host: &HostName) -> Option<SmolStr> {
        let of_host = self.entries.iter().filter(|entry| entry.hosts.iter().any(|own| own.overlaps(host)));
        let mut waypoints =
            of_host.map(|entry| entry.waypoint.clone().or_else(|| self.namespace_waypoint(&entry.namespace)));
        waypoints.find_map(|waypoint| named(waypoint.as_ref()))
    }

    fn namespace_waypoint(&self, namespace: &SmolStr) -> Option<Waypoint> {
        waypoint(&self.namespaces.get(namespace)?.labels, namespace)
    }
}

//! Readings of ports: how the mesh reads the port of a condition, by the names that Services of the inventory give it.
//!
//! ```text
//! allow ingress shop/* -> garden/{app=api}:8080/http where method GET
//!     an error where the Service garden/api calls the port `tcp-web`: a sidecar sees no methods on plain TCP
//! ```

use smol_str::SmolStr;

use super::{Checker, errors};
use crate::inventory::{Inventory, Service, ServicePort, TargetPort, Workload};
use crate::model::endpoint::Endpoint;
use crate::model::labels::{PodSelector, Requirement, Requirements};
use crate::model::ports::{AppProtocol, PortMatch, PortTest, Ports, Protocol};
use crate::source::Span;

/// Pods and their ports.
pub(super) type PodsAndPorts = (PodSelector, Ports);

/// A port of a Service on which a condition cannot be seen.
#[derive(Clone, Debug)]
pub struct Misread {
    pub namespace: SmolStr,
    pub service: SmolStr,
    pub port: ServicePort,
    pub origin: Span,
}

impl Checker<'_> {
    /// Reports a Service because of which the mesh does not read what a condition is about: on a port that the Service
    /// calls tcp a sidecar reads nothing, and on a port that it calls tls only a name.
    pub(super) fn check_mesh_reads(&mut self, clause: Span, word: &str, to: &Endpoint) -> Option<()> {
        if self.inventory.services.is_empty() {
            return Some(());
        }
        for (member, pods) in to.pods() {
            // A port that the rule itself reads as TLS has its own message.
            let tls = member.ports.entries().iter().any(|port| port.app == Some(AppProtocol::Tls));
            // Only gateways have ports that are `https`: TLS ends there, whatever their Service calls the port.
            let ended = |port: &PortMatch| port.app == Some(AppProtocol::Https);
            let ports = Ports::Some(member.ports.entries().iter().filter(|port| !ended(port)).cloned().collect());
            let asked = (pods.selector.clone(), ports.clone());
            let inventory = self.inventory;
            let found = self.readings.entry(asked).or_insert_with(|| misread(inventory, &pods.selector, &ports, tls));
            if let Some(found) = found.clone() {
                self.push(errors::misread(clause, word, &found));
                return None;
            }
        }
        Some(())
    }
}

fn misread(inventory: &Inventory, selector: &PodSelector, ports: &Ports, tls: bool) -> Option<Misread> {
    let shows = |port: &ServicePort| match port.app {
        Some(AppProtocol::Tls) => tls,
        Some(_) => true,
        None => !port.unread,
    };
    let of_service = |namespace: &SmolStr, name: &SmolStr, service: &Service, pods: &[&Workload]| {
        let hidden = |port: &&ServicePort| port.protocol == Protocol::Tcp && !shows(port) && leads(port, ports, pods);
        let port = service.ports.iter().find(hidden)?;
        let (namespace, service_name) = (namespace.clone(), name.clone());
        Some(Misread { namespace, service: service_name, port: port.clone(), origin: service.origin })
    };
    let pods = inventory.select(selector);
    if !pods.is_empty() {
        return pods.iter().find_map(|pod| {
            let services = inventory.services_of(&pod.namespace, &pod.labels);
            services.into_iter().find_map(|(name, service)| of_service(&pod.namespace, name, service, &[*pod]))
        });
    }
    // Pods that the inventory lacks: a Service counts if it surely leads to all of them.
    let namespace = selector.namespace_name()?;
    let services = inventory.services.iter().filter(|((of, _), _)| of == namespace);
    services.into_iter().find_map(|((namespace, name), service)| {
        let pairs = service.selector.iter().flatten();
        let labels = Requirements::new(pairs.map(|(key, value)| Requirement::is_in(key.clone(), [value.clone()])))?;
        let behind = PodSelector { labels, ..PodSelector::in_namespace(namespace.clone()) };
        let surely = service.selector.is_some() && selector.is_inside(&[behind]);
        surely.then(|| of_service(namespace, name, service, &[])).flatten()
    })
}

/// Returns whether a Service's port leads to one of some ports of pods.
fn leads(port: &ServicePort, ports: &Ports, pods: &[&Workload]) -> bool {
    let numbers = |name: &SmolStr| -> Vec<u16> {
        let all = pods.iter().flat_map(|pod| &pod.ports);
        let named = all.filter(|port| port.protocol == Protocol::Tcp && port.name.as_ref() == Some(name));
        named.map(|port| port.port).collect()
    };
    ports.entries().iter().filter(|asked| asked.protocol == Protocol::Tcp).any(|asked| {
        match (&asked.port, &port.target) {
            (PortTest::Named(asked), TargetPort::Name(target)) if asked == target => true,
            (PortTest::Range(first, last), TargetPort::Number(number)) => (first..=last).contains(&number),
            (PortTest::Range(first, last), TargetPort::Name(target)) => {
                numbers(target).iter().any(|number| (first..=last).contains(&number))
            }
            (PortTest::Named(asked), TargetPort::Number(number)) => numbers(asked).contains(number),
            (PortTest::Named(asked), TargetPort::Name(target)) => {
                let of_target = numbers(target);
                numbers(asked).iter().any(|number| of_target.contains(number))
            }
        }
    })
}

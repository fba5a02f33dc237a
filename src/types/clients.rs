//! Clients outside: rules about their addresses that a Service of the inventory makes void.
//!
//! ```text
//! allow ingress 198.51.100.0/24 -> pub/{app=web}:8080
//!     a warning if the inventory's LoadBalancer Service of these pods has `externalTrafficPolicy: Cluster`: a node takes
//!     a connection and passes it on from its own address, so no pod sees the client's
//! ```

use smol_str::SmolStr;

use super::endpoints::address_set;
use super::facts::equalities;
use super::{Checker, errors};
use crate::inventory::{Service, ServicePort, TargetPort, Workload};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::Endpoint;
use crate::model::labels::PodSelector;
use crate::model::ports::Ports;
use crate::syntax::tree::Expr;

impl Checker<'_> {
    /// Warns of addresses on the way in to pods whose Service hides the addresses of its clients. Addresses that
    /// contain those of the nodes let everybody in whom a node passes on, and are no mistake of this kind.
    pub(super) fn warn_of_hidden_clients(&mut self, from: &Endpoint, to: &Endpoint, expr: &Expr) {
        let inventory = self.inventory;
        let services = &inventory.services;
        if !*self.hiding.get_or_insert_with(|| services.values().any(hides_clients)) {
            return;
        }
        let clients = address_set(from);
        if clients.is_empty() || self.holds_nodes(&clients) {
            return;
        }
        let servers = self.api_server();
        if clients.is_inside(&address_set(&servers)) {
            return;
        }
        let hit = to.pods().find_map(|(member, pods)| self.hiding_service(&pods.selector, &member.ports));
        if let Some(((namespace, name), service)) = hit {
            let span = Checker::bare_span(expr);
            let pods = to.pods().flat_map(|(_, pods)| inventory.select(&pods.selector));
            let is_gateway = pods.into_iter().any(Workload::is_gateway);
            self.push(errors::clients_hidden(span, (namespace, name), service, is_gateway));
        }
    }

    /// Returns whether addresses contain those of the nodes: where these are not known, a whole private network.
    fn holds_nodes(&mut self, clients: &AddressSet) -> bool {
        let nodes = self.node_addresses();
        match nodes.is_empty() {
            true => {
                let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"];
                let nets = private.iter().filter_map(|net| net.parse().ok());
                nets.into_iter().any(|net| AddressSet::of([net]).is_inside(clients))
            }
            false => nodes.is_inside(clients),
        }
    }

    /// Returns a Service that hides its clients from some of these pods on some of these ports.
    fn hiding_service(&self, selector: &PodSelector, ports: &Ports) -> Option<((&SmolStr, &SmolStr), &Service)> {
        let inventory = self.inventory;
        let pods = inventory.select(selector);
        for &pod in &pods {
            for (name, service) in inventory.services_of(&pod.namespace, &pod.labels) {
                if hides_clients(service) && service.ports.iter().any(|port| leads_to(port, ports, Some(pod))) {
                    return Some(((&pod.namespace, name), service));
                }
            }
        }
        if !pods.is_empty() {
            return None;
        }
        // Of pods that the inventory lacks, a Service that surely leads to all of them.
        let found = inventory.services.iter().find(|((namespace, _), service)| {
            let Some(labels) = service.selector.as_ref().and_then(equalities) else { return false };
            let behind = PodSelector { labels, ..PodSelector::in_namespace(namespace.clone()) };
            hides_clients(service)
                && selector.is_inside(&[behind])
                && service.ports.iter().any(|port| leads_to(port, ports, None))
        });
        found.map(|((namespace, name), service)| ((namespace, name), service))
    }
}

/// Returns whether nodes take connections from outside for a Service, and pass them on from their own addresses.
fn hides_clients(service: &Service) -> bool {
    service.outside == Some(true) && !service.keeps_clients && service.selector.is_some()
}

/// Returns whether a Service's port leads to one of some ports of a pod, which may not be known.
fn leads_to(port: &ServicePort, wanted: &Ports, pod: Option<&Workload>) -> bool {
    let Some(pod) = pod else {
        return match &port.target {
            TargetPort::Number(number) => wanted.matches(Some(*number), port.protocol, &[]),
            TargetPort::Name(name) => wanted.matches(None, port.protocol, std::slice::from_ref(name)),
        };
    };
    port.numbers(&[pod]).any(|number| {
        let named = pod.ports.iter().filter(|own| own.port == number && own.protocol == port.protocol);
        let names: Vec<SmolStr> = named.filter_map(|own| own.name.clone()).collect();
        wanted.matches(Some(number), port.protocol, &names)
    })
}

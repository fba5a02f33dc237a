//! Services that a Sidecar imports: the pods that they lead to.
//!
//! ```text
//! shop/cart.shop.svc.cluster.local on a listener with port 80     the pods of the Service, on the port behind 80
//! shop/*.shop.svc.cluster.local                                   those of all Services of shop
//! ```
//!
//! Without an inventory any Service may exist, and lead to any pod of its namespace.

use std::sync::Arc;

use smol_str::SmolStr;

use super::Egress;
use super::index::Index;
use super::land::{Landing, Listening, To};
use super::sets::{led_to, led_to_terms};
use crate::flows::{Flows, OTHER, Set, Terms};
use crate::inventory::{Service, ServicePort, TargetPort};
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::labels::{PodSelector, Requirement, Requirements};
use crate::model::ports::{AppProtocol, PortMatch, PortTest, Protocol};
use crate::policy::GrantReason;

/// The Service of the API servers.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// The names of the cluster's DNS Service, on all platforms.
const RESOLVERS: [(&str, &str); 2] = [("kube-system", "kube-dns"), ("openshift-dns", "dns-default")];

impl Index<'_> {
    /// Adds the destinations of the Services of an imported host, which may begin with `*`.
    pub(super) fn services<'i>(
        &'i self,
        namespace: Option<&str>,
        host: &str,
        at: Listening<'_>,
        found: &mut Vec<Landing<'i>>,
    ) {
        let inventory = &self.policy.inventory;
        let Some(end) = host.strip_prefix('*') else {
            let Some((name, of)) = host.strip_suffix(&self.svc).and_then(|name| name.split_once('.')) else { return };
            if namespace.is_some_and(|one| one != of) {
                return;
            }
            match inventory.services.get(&(of.into(), name.into())) {
                Some(service) => self.service((of, name), service, at, found),
                None => found.push(self.unknown(of, name)),
            }
            return;
        };
        // The text after the `*` names the namespace of the Services, or is the end of all Services' names.
        let of = end.strip_suffix(&self.svc).and_then(|rest| rest.strip_prefix('.'));
        if of.is_none() && !self.svc.ends_with(end) && !end.is_empty() {
            return;
        }
        let (of, namespace) = (of.filter(|of| !of.contains('.')), namespace);
        let meant = |name: &str| of.is_none_or(|one| one == name) && namespace.is_none_or(|one| one == name);
        if !inventory.given {
            if let (Some(of), Some(namespace)) = (of, namespace)
                && of != namespace
            {
                return;
            }
            found.push(any_pod(of.or(namespace)));
            return;
        }
        for ((of, name), service) in inventory.services.iter().filter(|((of, _), _)| meant(of)) {
            self.service((of, name), service, at, found);
        }
    }

    fn service<'i>(
        &'i self,
        (namespace, name): (&str, &str),
        service: &Service,
        at: Listening<'_>,
        found: &mut Vec<Landing<'i>>,
    ) {
        let ports = service.ports.iter().enumerate().filter(|(number, port)| match at.port() {
            // A listener takes the first port with its number, whatever the protocol.
            Some(own) => port.port == own && !service.ports[..*number].iter().any(|before| before.port == own),
            None => !at.shadowed.contains(&port.port),
        });
        let ports = ports.map(|(_, port)| port).filter(|port| port.protocol == Protocol::Tcp);
        let ports: Vec<&ServicePort> = ports.collect();
        if ports.is_empty() {
            return;
        }
        // A route for the name of a headless Service leads requests on to where they were going.
        let requests = |port: &&&ServicePort| match port.app {
            Some(app) => matches!(app, AppProtocol::Http | AppProtocol::Grpc),
            None => !port.unread,
        };
        let by_name = ports.iter().filter(requests).filter(|_| service.headless);
        found.extend(by_name.map(|port| Landing { sure: false, ..Landing::at(To::AnyAddress(port.port)) }));
        match behind(namespace, service, ports) {
            Some((pods, ports)) => found.push(Landing::at(To::Pods(pods, ports))),
            // The endpoints of this Service are the API servers; those of others are unknown.
            None if (namespace, name) == API_SERVER => found.push(self.api_server()),
            None => {}
        }
    }

    fn api_server<'i>(&self) -> Landing<'i> {
        Landing::at(To::Endpoint(Arc::clone(&self.policy.api_server)))
    }

    /// Returns the destination of an unknown Service: the cluster's DNS, or perhaps any pod of its namespace.
    fn unknown<'i>(&self, namespace: &str, name: &str) -> Landing<'i> {
        if (namespace, name) == API_SERVER {
            return self.api_server();
        }
        let grants = self.policy.grants.iter().filter(|grant| grant.reason == GrantReason::Dns);
        let here = |member: &&Member| match &member.what {
            What::Pods(pods) => pods.selector.namespace_name().is_some_and(|own| own == namespace),
            What::Addresses(_) | What::Host(_) => false,
        };
        let resolver: Vec<Member> =
            grants.take(1).flat_map(|grant| grant.destination.members.iter().filter(here).cloned()).collect();
        match RESOLVERS.contains(&(namespace, name)) && !resolver.is_empty() {
            true => Landing::at(To::Endpoint(Arc::new(Endpoint { members: resolver.into_iter().collect() }))),
            false => any_pod(Some(namespace)),
        }
    }
}

impl Egress<'_, '_> {
    /// Adds the values of the inventory's Services, in the namespaces in play, to the values in play.
    pub(super) fn service_terms(&self, terms: &mut Terms) {
        for (namespace, service) in self.services().filter(|(namespace, _)| terms.names(namespace)).collect::<Vec<_>>()
        {
            if let Some((pods, ports)) = behind(namespace, service, service.ports.iter().collect()) {
                led_to_terms(&pods, &ports, terms);
            }
        }
    }

    /// Returns the flows to pods that some Service leads to, and all flows outside. Without an inventory any Service
    /// may exist.
    pub fn by_services(&self, flows: &mut Flows) -> Set {
        if !self.policy.inventory.given {
            return Set::ALL;
        }
        let mut sets = vec![flows.outside(false, Set::ALL)];
        let known: Vec<_> = self.services().filter(|(namespace, _)| flows.space.place(namespace) != OTHER).collect();
        for (namespace, service) in known {
            let ports = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp).collect();
            if let Some((pods, ports)) = behind(namespace, service, ports) {
                sets.push(led_to(flows, &pods, &ports));
            }
        }
        flows.diagrams.union(sets)
    }

    fn services(&self) -> impl Iterator<Item = (&SmolStr, &Service)> {
        let inventory = &self.policy.inventory;
        let services = inventory.services.iter().filter(|_| inventory.given);
        services.map(|((namespace, _), service)| (namespace, service))
    }
}

fn any_pod<'i>(namespace: Option<&str>) -> Landing<'i> {
    let pods = namespace.map_or_else(PodSelector::any, PodSelector::in_namespace);
    Landing::at(To::Pods(pods, vec![PortMatch::range(1, u16::MAX, Protocol::Tcp)]))
}

/// Returns the pods behind a port of a Service; `None` for a Service without a selector.
pub(super) fn behind(
    namespace: &str,
    service: &Service,
    ports: Vec<&ServicePort>,
) -> Option<(PodSelector, Vec<PortMatch>)> {
    let labels = service.selector.as_ref()?.iter();
    let labels = labels.map(|(key, value)| Requirement::is_in(key.clone(), [value.clone()]));
    let pods = PodSelector { labels: Requirements::new(labels)?, ..PodSelector::in_namespace(namespace) };
    let target = |port: &ServicePort| match &port.target {
        TargetPort::Number(number) => PortMatch::range(*number, *number, Protocol::Tcp),
        TargetPort::Name(name) => {
            PortMatch { port: PortTest::Named(name.clone()), ..PortMatch::range(1, 1, Protocol::Tcp) }
        }
    };
    Some((pods, ports.into_iter().map(target).collect()))
}

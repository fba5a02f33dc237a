//! Destinations of a question with their ports: a port of a Service becomes the port of its pods.
//!
//! ```text
//! Service garden/api: 80 -> http, its pod's port http is 8080
//! garden/api:80     the pods behind the Service, on TCP 8080
//! ```

use smol_str::SmolStr;

use super::parties::{Candidate, with_labels};
use super::question::WantedPort;
use super::{Asker, near};
use crate::inventory::{Meant, Service, TargetPort, Unclear, Wanted, Workload};
use crate::model::endpoint::What;
use crate::model::ports::Protocol;
use crate::model::rules::{Action, Direction};
use crate::policy::eval::governs_pod;
use crate::policy::flow::{Party, Pod};
use crate::syntax::tree::{Expr, ExprKind, NamespacePattern, PodPattern, PortKind};

/// A destination with its port.
#[derive(Clone)]
pub(super) struct Target {
    /// Who.
    pub to: Candidate,
    /// The pod's port; `None` for ICMP.
    pub port: Option<u16>,
    /// The protocol.
    pub protocol: Protocol,
    /// Whether the question named a Service or a public host, and not the pod.
    pub behind: bool,
}

impl Asker<'_> {
    /// Returns every party that a destination may mean, each with its port.
    pub(super) fn targets(&mut self, to: &Expr, text: &str, wanted: &WantedPort) -> Result<Vec<Target>, String> {
        if let Some(servers) = self.api_servers(to, text, wanted) {
            return servers;
        }
        let inventory = self.policy.inventory.clone();
        let service = match &to.kind {
            ExprKind::Pods(NamespacePattern::Name(namespace), PodPattern::Name(name))
                if inventory.pod(&namespace.text, &name.text).is_none() =>
            {
                inventory.services.get_key_value(&(namespace.text.clone(), name.text.clone()))
            }
            ExprKind::Address(address) => {
                inventory.services.iter().find(|(_, service)| service.addresses.contains(&address.ip))
            }
            _ => None,
        };
        let parties = match (&to.kind, service) {
            (ExprKind::Address(_), Some(((namespace, name), _))) => self.behind_service(namespace, name)?,
            _ => self.parties(to, text)?,
        };
        let known = service.and_then(|((namespace, _), service)| Some((namespace, service.selector.as_ref()?)));
        let known =
            known.map(|(namespace, labels)| inventory.select(&with_labels(namespace, labels))).unwrap_or_default();
        let service = service.map(|(_, service)| Leads { service, pods: &known });
        let mut all = Vec::new();
        for to in parties {
            let Some((port, protocol)) = port_on(&to.party, text, service.as_ref(), wanted)? else { continue };
            all.push(Target { to, port, protocol, behind: service.is_some() });
        }
        if all.is_empty() {
            let known: Vec<String> =
                self.ports_told(to).into_iter().map(|(port, more)| format!("{port}{more}")).collect();
            let told = if known.is_empty() { String::new() } else { format!("; it has {}", known.join(", ")) };
            return Err(format!("`{text}`: no pod has this port{told}"));
        }
        Ok(all)
    }

    /// Returns the port of a host on which the mesh opens TLS for a pod that itself sends plain HTTP to another port,
    /// as a rule about the host says.
    pub(super) fn opened_by_the_mesh(&self, source: &Party, target: &Target) -> Option<u16> {
        let (Party::Host { name, .. }, Party::Pod(pod), Protocol::Tcp) = (&target.to.party, source, target.protocol)
        else {
            return None;
        };
        let rules = self.policy.rules_concerning(pod).map(|(_, rule)| rule);
        let rules = rules.filter(|rule| rule.action == Action::Allow && governs_pod(rule, Direction::Egress, pod));
        rules.flat_map(|rule| &rule.destination.members).find_map(|member| match &member.what {
            What::Host(host) if host.matches(name) => {
                let opened = member.ports.entries().iter().filter_map(|port| host.origination(port));
                opened.into_iter().find(|one| Some(one.port) == target.port).map(|one| one.target)
            }
            _ => None,
        })
    }

    /// Returns the known ports of a destination, as a question writes them, each with a remark: for a Service the port
    /// that it leads to, for pods the port's name.
    pub(super) fn ports_told(&self, to: &Expr) -> Vec<(String, String)> {
        const TOLD: usize = 8;
        let inventory = &self.policy.inventory;
        let ExprKind::Pods(NamespacePattern::Name(namespace), PodPattern::Name(name)) = &to.kind else {
            return Vec::new();
        };
        let number = |port: u16, protocol: Protocol| match protocol {
            Protocol::Tcp => port.to_string(),
            other => format!("{port}/{}", other.word()),
        };
        let mut all: Vec<(String, String)> = match inventory.services.get(&(namespace.text.clone(), name.text.clone()))
        {
            Some(service) => service
                .ports
                .iter()
                .map(|port| (number(port.port, port.protocol), format!(" to {}", near::target(&port.target))))
                .collect(),
            None => {
                let known = inventory.workloads_in(&namespace.text).iter().filter(|known| known.name == name.text);
                let ports = known.flat_map(|known| &known.ports);
                let named = |name: &SmolStr| format!(" ({name})");
                ports
                    .map(|port| (number(port.port, port.protocol), port.name.as_ref().map(named).unwrap_or_default()))
                    .collect()
            }
        };
        all.sort();
        all.dedup();
        all.truncate(TOLD);
        all
    }
}

/// A Service and the known pods behind it.
struct Leads<'a> {
    service: &'a Service,
    pods: &'a [&'a Workload],
}

/// A port and its protocol.
type Port = (Option<u16>, Protocol);

/// Returns a party's own port for the port of the question; `None` for a pod that this port of the Service does not
/// lead to.
fn port_on(
    party: &Party,
    text: &str,
    service: Option<&Leads<'_>>,
    wanted: &WantedPort,
) -> Result<Option<Port>, String> {
    let of_pod = wanted.protocol.unwrap_or(Protocol::Tcp);
    match (&wanted.kind, service, party) {
        (None, _, _) => Ok(Some((None, Protocol::Icmp))),
        (Some(kind), Some(leads), Party::Pod(pod)) => of_service(pod, text, leads, kind, wanted.protocol),
        (Some(PortKind::Number(number)), _, _) => Ok(Some((Some(*number), of_pod))),
        (Some(PortKind::Name(name)), _, Party::Pod(pod)) => match pod_port(pod, name, of_pod) {
            Some(number) => Ok(Some((Some(number), of_pod))),
            None => Err(no_port_name(pod, name, of_pod)),
        },
        (Some(_), _, _) => Err(format!("`{text}`: a port name is for pods; write the number")),
    }
}

fn of_service(
    pod: &Pod,
    text: &str,
    leads: &Leads<'_>,
    kind: &PortKind,
    protocol: Option<Protocol>,
) -> Result<Option<Port>, String> {
    let Leads { service, pods } = *leads;
    let found = match kind {
        PortKind::Number(number) => service.port(Wanted::Number(*number), protocol, pods),
        PortKind::Name(name) => service.port(Wanted::Name(name), protocol, pods),
        _ => Err(Unclear::NoSuchPort),
    };
    let meant = found.map_err(|why| match why {
        Unclear::NoSuchPort => format!("`{text}`: the Service has no such port; {}", near::ports_of(service)),
        Unclear::Either(own, other) => format!(
            "`{text}`: a port of the Service, {}, or of its pods, {}? ask for a pod",
            near::port(&own),
            near::port(&other)
        ),
    })?;
    let (Meant::Own(port) | Meant::Pods(port)) = meant;
    let number = match (meant, kind, &port.target) {
        (Meant::Pods(_), PortKind::Number(number), _) | (_, _, TargetPort::Number(number)) => Some(*number),
        (_, _, TargetPort::Name(name)) => pod_port(pod, name, port.protocol),
    };
    Ok(number.map(|number| (Some(number), port.protocol)))
}

/// Returns the number of a pod's port by its name.
pub(super) fn pod_port(pod: &Pod, name: &SmolStr, protocol: Protocol) -> Option<u16> {
    let port = pod.ports.iter().find(|port| port.name.as_ref() == Some(name) && port.protocol == protocol)?;
    Some(port.port)
}

fn no_port_name(pod: &Pod, name: &SmolStr, protocol: Protocol) -> String {
    let ports = pod.ports.iter().filter(|port| port.protocol == protocol);
    let names: Vec<&str> = ports.filter_map(|port| port.name.as_deref()).collect();
    format!("{} has no {} port named `{name}`{}", pod.shown, protocol.word(), near::instead(name, &names, ""))
}

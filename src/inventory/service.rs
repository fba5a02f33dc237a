//! Ports of Services: the pod port behind each of them.
//!
//! ```text
//! Service garden/api: 80 -> http, 8080 -> admin        its pods: http 8080, admin 9090
//! garden/api:80     the pods' port http
//! garden/api:9090   no port of the Service: the pods' port 9090, behind `admin`
//! garden/api:8080   either the Service's, which is 9090, or the pods', behind 80: not clear
//! ```

use smol_str::SmolStr;

use super::{Service, ServicePort, TargetPort, Workload};
use crate::model::ports::Protocol;

/// A port as a policy writes it on a Service's name.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// By number.
    Number(u16),
    /// By name.
    Name(&'a SmolStr),
}

/// The meaning of a port after a Service's name.
#[derive(Clone, Copy, Debug)]
pub enum Meant<'a> {
    /// A port of the Service.
    Own(&'a ServicePort),
    /// The pods' port of this number or name, which this port of the Service leads to.
    Pods(&'a ServicePort),
}

/// Why it is unclear which pod port of a Service is meant.
#[derive(Clone, Debug)]
pub enum Unclear {
    /// The Service has no such port, and neither have its pods behind one of its ports.
    NoSuchPort,
    /// The port could be the first, a port of the Service, or the pods' port that the second leads to.
    Either(Box<ServicePort>, Box<ServicePort>),
}

impl Service {
    /// Returns the port that is meant. `pods` are the known pods behind the Service; their port names give the numbers
    /// of its named targets. If the Service has the port for several protocols, TCP is meant by default.
    pub fn port(
        &self,
        wanted: Wanted<'_>,
        protocol: Option<Protocol>,
        pods: &[&Workload],
    ) -> Result<Meant<'_>, Unclear> {
        let own = |port: &ServicePort| match wanted {
            Wanted::Number(number) => port.port == number,
            Wanted::Name(name) => port.name.as_ref() == Some(name),
        };
        let target = |port: &ServicePort| match (wanted, &port.target) {
            (Wanted::Number(number), TargetPort::Number(target)) => number == *target,
            (Wanted::Number(number), TargetPort::Name(_)) => port.numbers(pods).any(|target| target == number),
            (Wanted::Name(name), TargetPort::Name(target)) => name == target,
            (Wanted::Name(_), TargetPort::Number(_)) => false,
        };
        let leads_to = |port: &ServicePort, other: &ServicePort| match (wanted, &port.target) {
            _ if port.target == other.target => true,
            (Wanted::Number(number), TargetPort::Name(_)) => {
                let mut numbers = port.numbers(pods).peekable();
                numbers.peek().is_some() && numbers.all(|target| target == number)
            }
            (Wanted::Number(number), TargetPort::Number(target)) => number == *target,
            (Wanted::Name(_), _) => false,
        };
        match (self.first(protocol, own), self.first(protocol, target)) {
            (Some(a), Some(b)) if a.protocol != b.protocol || !leads_to(a, b) => {
                Err(Unclear::Either(Box::new(a.clone()), Box::new(b.clone())))
            }
            (Some(a), _) => Ok(Meant::Own(a)),
            (None, Some(b)) => Ok(Meant::Pods(b)),
            (None, None) => Err(Unclear::NoSuchPort),
        }
    }

    fn first(&self, protocol: Option<Protocol>, fits: impl Fn(&ServicePort) -> bool) -> Option<&ServicePort> {
        let mut found =
            self.ports.iter().filter(|port| protocol.is_none_or(|protocol| port.protocol == protocol) && fits(port));
        let first = found.next()?;
        if first.protocol == Protocol::Tcp {
            return Some(first);
        }
        Some(found.find(|port| port.protocol == Protocol::Tcp).unwrap_or(first))
    }
}

impl ServicePort {
    /// Returns the port as the language writes it after a Service's name: `80`, `53/udp`.
    pub fn written(&self) -> String {
        match self.protocol {
            Protocol::Tcp => self.port.to_string(),
            other => format!("{}/{}", self.port, other.word()),
        }
    }

    /// Returns the numbers that the target has on some pods.
    pub fn numbers<'a>(&'a self, pods: &'a [&Workload]) -> impl Iterator<Item = u16> + 'a {
        let (number, name) = match &self.target {
            TargetPort::Number(number) => (Some(*number), None),
            TargetPort::Name(name) => (None, Some(name)),
        };
        let ports = pods.iter().flat_map(|pod| &pod.ports);
        let named =
            ports.filter(move |port| port.protocol == self.protocol && name.is_some() && port.name.as_ref() == name);
        number.into_iter().chain(named.map(|port| port.port))
    }
}

//! Which pod port a Service's port is.

use smol_str::SmolStr;

use super::{Service, ServicePort, TargetPort};
use crate::vocab::ports::Protocol;

/// A port as it is asked for on a Service's name.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// By number.
    Number(u16),
    /// By name.
    Name(&'a SmolStr),
}

/// Why a Service does not say which pod port is meant.
#[derive(Clone, Debug)]
pub enum Unclear {
    /// It has no such port, nor have its pods behind one of its ports.
    NoSuchPort,
    /// It could be the first, a port of the Service, or what the second, another one, leads to.
    Either(ServicePort, ServicePort),
}

impl Service {
    /// Returns the Service's port that is meant, and whether it was asked for as the Service's own rather than as the
    /// pod's. Without a protocol TCP is meant where the Service has the port for several.
    pub fn port(&self, wanted: Wanted<'_>, protocol: Option<Protocol>) -> Result<(&ServicePort, bool), Unclear> {
        let own = |port: &ServicePort| match wanted {
            Wanted::Number(number) => port.port == number,
            Wanted::Name(name) => port.name.as_ref() == Some(name),
        };
        let target = |port: &ServicePort| match (wanted, &port.target) {
            (Wanted::Number(number), TargetPort::Number(target)) => number == *target,
            (Wanted::Name(name), TargetPort::Name(target)) => name == target,
            _ => false,
        };
        match (self.first(protocol, own), self.first(protocol, target)) {
            (Some(a), Some(b)) if a.target != b.target || a.protocol != b.protocol => {
                Err(Unclear::Either(a.clone(), b.clone()))
            }
            (Some(a), _) => Ok((a, true)),
            (None, Some(b)) => Ok((b, false)),
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

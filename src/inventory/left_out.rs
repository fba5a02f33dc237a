//! Connections that annotations of pods keep from their sidecars.
//!
//! Istio's init container, or its CNI plugin, redirects a pod's connections to the sidecar with iptables. The
//! annotations `traffic.sidecar.istio.io/…` change these rules (`tools/istio-iptables/pkg/capture` in Istio's source):
//!
//! - Inbound: if `includeInboundPorts` is not `*`, only its ports are redirected, and none if it is empty.
//!   `excludeInboundPorts` is only used with `*`.
//! - Outbound: `excludeOutboundPorts` and `excludeOutboundIPRanges` apply first; then `includeOutboundPorts` and
//!   `includeOutboundIPRanges` (by default `*`) are redirected.
//! - `sidecar.istio.io/interceptionMode: NONE` redirects nothing, and neither does `interceptionMode: NONE` of the
//!   ProxyConfig in `proxy.istio.io/config`, which counts without the former.
//! - `excludeInterfaces` redirects nothing of an interface, which may be the pod's only one.
//! - `status.sidecar.istio.io/port` is added to `excludeInboundPorts` (`files/injection-template.yaml` of Istio's
//!   chart).

use super::Workload;
use crate::model::addresses::AddressSet;
use crate::model::ports::PortTest;
use crate::model::rules::Direction;

/// Ports, from the first to the last.
pub type PortRange = (u16, u16);

/// TCP connections of a pod that an annotation keeps from its sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Their direction.
    pub direction: Direction,
    /// The annotation.
    pub annotation: &'static str,
    /// The ports: the pod's own for ingress, the peer's for egress.
    pub ports: Vec<PortRange>,
    /// For egress the peer's addresses; `None` is every peer.
    pub to: Option<AddressSet>,
}

/// The connections that the annotations of any pod of an inventory leave out.
#[derive(Clone, Debug, Default)]
pub struct AllLeftOut {
    /// The ports that some annotation leaves out for every peer.
    pub ports: Vec<PortRange>,
    /// The addresses that some annotation leaves out.
    pub addresses: AddressSet,
}

/// Every port.
pub const EVERY_PORT: PortRange = (1, u16::MAX);

impl LeftOut {
    /// Returns whether some port of a range is left out.
    pub fn has_ports(&self, (first, last): PortRange) -> bool {
        self.ports.iter().any(|(from, to)| *from <= last && first <= *to)
    }

    /// Returns whether no connection of its direction reaches the sidecar.
    pub fn is_everything(&self) -> bool {
        self.ports == [EVERY_PORT] && self.to.as_ref().is_none_or(AddressSet::is_everything)
    }

    /// Returns the connections that are left out, in words: `9090, 9091`, `every port to some addresses`.
    pub fn words(&self) -> String {
        let range = |&(first, last): &PortRange| match PortTest::Range(first, last) {
            every if every.is_every() => "every port".to_owned(),
            range => range.to_string(),
        };
        let ports: Vec<String> = self.ports.iter().map(range).collect();
        let to = if self.to.is_some() { " to some addresses" } else { "" };
        format!("{}{to}", ports.join(", "))
    }
}

impl AllLeftOut {
    /// Gathers the connections that the annotations of workloads leave out.
    pub(super) fn of(workloads: &[Workload]) -> AllLeftOut {
        let mut all = AllLeftOut::default();
        for left in workloads.iter().flat_map(|workload| &workload.left_out) {
            match &left.to {
                None => all
                    .ports
                    .extend(left.ports.iter().filter(|range| !all.ports.contains(range)).copied().collect::<Vec<_>>()),
                Some(to) => all.addresses.blocks.extend(to.blocks.iter().cloned()),
            }
        }
        all
    }

    /// Returns the same without addresses, for peers whose addresses no annotation leaves out.
    pub fn without_addresses(&self) -> AllLeftOut {
        AllLeftOut { ports: self.ports.clone(), addresses: AddressSet::default() }
    }

    /// Returns whether some port of a range may be left out; `None` is the unknown number of a port name.
    pub fn may_have(&self, range: Option<PortRange>) -> bool {
        let Some((first, last)) = range else { return !self.ports.is_empty() || !self.addresses.is_empty() };
        !self.addresses.is_empty() || self.ports.iter().any(|(from, to)| *from <= last && first <= *to)
    }
}

/// Returns all ports but some.
pub(super) fn all_but(mut taken: Vec<PortRange>) -> Vec<PortRange> {
    taken.sort_unstable();
    let (mut left, mut next) = (Vec::new(), 1_u32);
    for (first, last) in taken {
        if let (Ok(from), Some(to)) = (u16::try_from(next), first.checked_sub(1))
            && from <= to
        {
            left.push((from, to));
        }
        next = next.max(u32::from(last) + 1);
    }
    if let Ok(from) = u16::try_from(next) {
        left.push((from, u16::MAX));
    }
    left
}

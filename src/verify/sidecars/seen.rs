//! The flows that sidecars see, on their way in and out.

use crate::flows::{Flows, Set, Side};
use crate::model::ports::{PortMatch, Ports, Protocol};
use crate::policy::Policy;
use crate::policy::meaning::Meaning;
use crate::targets::PAST_SIDECAR;

/// Returns the flows that sidecars check: TCP, except on the ports that they leave out.
pub(super) fn into(flows: &mut Flows) -> Set {
    let mut first = 1;
    let mut ports = Vec::new();
    for past in PAST_SIDECAR {
        ports.push(PortMatch::range(first, past - 1, Protocol::Tcp));
        first = past + 1;
    }
    ports.push(PortMatch::range(first, u16::MAX, Protocol::Tcp));
    flows.ports(&Ports::Some(ports))
}

/// Returns the flows from the pods of a namespace that their sidecars see: TCP, from pods with a sidecar that are no
/// gateways, to addresses that no pod has.
pub(super) fn out(policy: &Policy, meaning: &mut Meaning<'_>, place: u32) -> Set {
    let flows = meaning.flows();
    let tcp = flows.port(&PortMatch::range(1, u16::MAX, Protocol::Tcp));
    let captured = flows.from_sidecar();
    let gateways = policy.gateways.iter().flat_map(|gateway| &gateway.pods);
    let gateways = gateways.map(|pods| flows.pods(Side::Source, true, pods)).collect();
    let gateways = flows.diagrams.union(gateways);
    let gateways = flows.with_place(gateways, true, place);
    let of_pods = flows.at(Side::Destination, &policy.pod_addresses);
    let of_pods = flows.outside(false, of_pods);
    let d = &mut flows.diagrams;
    let seen = d.and(tcp, captured);
    let seen = d.minus(seen, gateways);
    d.minus(seen, of_pods)
}

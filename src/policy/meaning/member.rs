//! Whether one concrete flow is in the sets of a policy.
//!
//! A host known only by its name may have many addresses. A flow to it is denied if it is denied for all of them, and
//! allowed if it is allowed for all of them; the sets contain each pair of a host and an address.

use std::net::IpAddr;

use super::Meaning;
use crate::flows::{ABSENT, Feature, OUTSIDE, Set, Side, Space, TRUE, TooLarge, Var};
use crate::model::conditions::ClaimName;
use crate::model::labels::NAMESPACE_NAME;
use crate::model::paths::normalize;
use crate::model::rules::Direction;
use crate::policy::matching::has_claim;
use crate::policy::through::named;
use crate::policy::{Flow, Party, Pod};

impl Meaning<'_> {
    /// Returns whether the policy allows a flow.
    pub fn allows(&mut self, flow: &Flow) -> Result<bool, TooLarge> {
        if matches!((&flow.source, &flow.destination), (Party::Pod(a), Party::Pod(b)) if a.single && a == b) {
            return Ok(true);
        }
        let mut allowed = true;
        for direction in Direction::BOTH {
            let judged = if direction == Direction::Egress { &flow.source } else { &flow.destination };
            if let Party::Pod(pod) = judged {
                allowed &= self.end_allows(flow, direction, pod);
            }
        }
        self.flows.checked(allowed)
    }

    fn end_allows(&mut self, flow: &Flow, direction: Direction, pod: &Pod) -> bool {
        let place = self.flows.space.place(pod.namespace_labels.get(NAMESPACE_NAME).map_or("", |name| name));
        let row = self.row(direction, place);
        let places: Vec<Option<u32>> = match &flow.destination {
            Party::Host { at, .. } => self.flows.space.numbers_in(at).map(Some).collect(),
            _ => vec![None],
        };
        let concrete = |address| Concrete { meaning: self, flow, direction, address, of_pods: 0 };
        let everywhere = |set: Set| {
            places.iter().all(|address| {
                let one = concrete(*address);
                self.flows.diagrams.contains(set, |var| one.value(var))
            })
        };
        let isolated = everywhere(row.isolated);
        let open = !isolated && !everywhere(row.published);
        !everywhere(row.denied) && (everywhere(row.allowed) || isolated && everywhere(row.granted) || open)
    }
}

impl Meaning<'_> {
    /// Returns whether a flow is in a set of this collection, for every address that its host may have. Its pods all
    /// have one address.
    pub fn has(&self, flow: &Flow, direction: Direction, of_pods: IpAddr, set: Set) -> bool {
        let space = &self.flows.space;
        let of_pods = space.address(of_pods);
        let of_host = |party: &Party| match party {
            Party::Host { at, .. } => Some(space.numbers_in(at).map(Some).collect::<Vec<_>>()),
            Party::Pod(_) | Party::Address(_) => None,
        };
        let places = of_host(&flow.destination).unwrap_or_else(|| vec![None]);
        places.into_iter().all(|address| {
            let one = Concrete { meaning: self, flow, direction, address, of_pods };
            self.flows.diagrams.contains(set, |var| one.value(var))
        })
    }
}

/// A flow, with the address of its host if it goes to one.
struct Concrete<'m, 'p> {
    meaning: &'m Meaning<'p>,
    flow: &'m Flow,
    direction: Direction,
    address: Option<u32>,
    /// The number of an address that pods have.
    of_pods: u32,
}

impl Concrete<'_, '_> {
    fn value(&self, var: Var) -> u32 {
        let space = &self.meaning.flows.space;
        let (flow, request) = (self.flow, &self.flow.request);
        let party = |side| if side == Side::Source { &flow.source } else { &flow.destination };
        let pod = |side| if let Party::Pod(pod) = party(side) { Some(pod) } else { None };
        let fact = |is: bool| if is { TRUE } else { ABSENT };
        let address = |address: IpAddr| space.address(address);
        match space.feature(var) {
            Feature::Place { own } => {
                let side = if own == (self.direction == Direction::Egress) { Side::Source } else { Side::Destination };
                let name = pod(side).and_then(|pod| pod.namespace_labels.get(NAMESPACE_NAME));
                name.map_or(OUTSIDE, |name| space.place(name))
            }
            Feature::Protocol => Space::protocol(flow.protocol),
            Feature::Port => flow.port.map_or(ABSENT, u32::from),
            Feature::PortName(name) => fact(pod(Side::Destination).is_some_and(|pod| {
                let here = |port: &&crate::inventory::ContainerPort| {
                    Some(port.port) == flow.port && port.protocol == flow.protocol
                };
                pod.ports.iter().filter(here).any(|port| port.name.as_ref() == Some(name))
            })),
            Feature::Address(side) => match party(side) {
                Party::Address(one) => address(*one),
                Party::Pod(_) => self.of_pods,
                Party::Host { .. } => self.address.unwrap_or_default(),
            },
            Feature::Host => match &flow.destination {
                Party::Host { name, .. } => space.host(name),
                _ => ABSENT,
            },
            Feature::Client => request.client.map_or(ABSENT, |client| address(client) + 1),
            Feature::Method => request.method.as_ref().map_or(ABSENT, |method| space.method(method)),
            Feature::Segment(at) => {
                let how = self.meaning.policy.settings.path_normalization;
                let path = request.path.as_ref().and_then(|path| normalize(path, how));
                path.map_or(ABSENT, |path| space.path(&path)[at])
            }
            Feature::RequestHost => request.host.as_ref().map_or(ABSENT, |name| name_number(space, name)),
            Feature::TlsName => request.tls.as_ref().map_or(ABSENT, |name| name_number(space, name)),
            Feature::Issuer => self.claim("iss").map_or(ABSENT, |issuer| space.issuer(issuer)),
            Feature::Subject => self.claim("sub").map_or(ABSENT, |subject| space.subject(subject)),
            Feature::Claim((names, value)) => {
                let name = ClaimName(names.clone());
                fact(request.jwt.as_ref().is_some_and(|token| has_claim(token, &name, value)))
            }
            Feature::Header(name) => request.header(name).map_or(ABSENT, |value| space.header(name, value)),
            Feature::Sidecar => fact(pod(Side::Source).is_some_and(|pod| pod.sidecar)),
            Feature::Account(side) => pod(side).map_or(ABSENT, |pod| space.account(&pod.account)),
            Feature::Label(side, key) => {
                let label = pod(side).and_then(|pod| pod.labels.get(key));
                label.map_or(ABSENT, |value| space.label(key, value))
            }
            Feature::NamespaceLabel(side, key) => {
                let label = pod(side).and_then(|pod| pod.namespace_labels.get(key));
                label.map_or(ABSENT, |value| space.namespace_label(key, value))
            }
        }
    }

    fn claim(&self, name: &str) -> Option<&str> {
        self.flow.request.jwt.as_ref()?.get(name)?.as_str()
    }
}

fn name_number(space: &Space, name: &smol_str::SmolStr) -> u32 {
    space.host(named(name).as_ref().map_or("", |host| &host.name))
}

//! Addresses of a policy that contain known ones: of pods, of nodes, or the cluster IP of a Service.
//!
//! ```text
//! allow egress garden/* -> 10.0.0.0/8:443     a warning if the inventory has a Pod at 10.1.2.3: addresses mean no pod
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use super::endpoints::{address_set, net_of};
use super::value::{Env, Kind, Value};
use super::{Checker, errors};
use crate::inventory::{ServicePort, Workload};
use crate::model::addresses::{AddressSet, Range};
use crate::model::endpoint::Endpoint;
use crate::resolve::{Def, Role};
use crate::source::Span;
use crate::syntax::tree::{Expr, ExprKind};

/// How many pods with an address of a block are compared to find the best example for a message.
const MOST_EXAMPLES: usize = 256;

/// Known addresses: those of pods, of Services and of nodes.
pub(super) struct KnownAddresses {
    /// Of pods of the inventory, sorted, each with the number of its workload.
    pods: Vec<(IpAddr, usize)>,
    /// The cluster IPs of Services, sorted, each with the Service and its ports.
    services: Vec<(IpAddr, String)>,
    /// From `[cluster]`: the key, the span and the addresses.
    ranges: Vec<(&'static str, Span, AddressSet)>,
}

/// Returns those of some addresses, which are sorted, that lie in a set.
fn within<'k, T>(known: &'k [(IpAddr, T)], set: &AddressSet) -> impl Iterator<Item = &'k (IpAddr, T)> {
    set.ranges().into_iter().flat_map(|range| {
        let (first, last): (IpAddr, IpAddr) = match range {
            Range::V4(first, last) => (Ipv4Addr::from(first).into(), Ipv4Addr::from(last).into()),
            Range::V6(first, last) => (Ipv6Addr::from(first).into(), Ipv6Addr::from(last).into()),
        };
        let at = known.partition_point(|(address, _)| *address < first);
        known[at..].iter().take_while(move |(address, _)| *address <= last)
    })
}

impl Checker<'_> {
    /// Remembers addresses that the user wrote, or that a name of the library brought, until the rule around them is
    /// checked.
    pub(super) fn look_at_addresses(&mut self, span: Span, set: AddressSet, env: &Env) {
        if self.is_users(env) && !env.opaque && self.excepting == 0 {
            self.written.push((span, set));
        }
    }

    /// Remembers the addresses that a name of the standard library brings. Those of the user's own names were
    /// remembered where they are written.
    pub(super) fn look_at_name(&mut self, span: Span, def: Def, value: &Value, env: &Env) {
        if self.is_library_block(def, value) {
            self.look_at_addresses(span, address_set(value.endpoint()), env);
        }
    }

    fn is_library_block(&self, def: Def, value: &Value) -> bool {
        // `nodes` and `apiserver` come from netpol.toml, so their addresses are meant.
        let told = self.text(self.names.name_span(def));
        self.names.module(def.module).role == Role::Standard
            && value.kind() == Kind::Addresses
            && !matches!(told, "nodes" | "apiserver")
    }

    /// Records the addresses that `except` leaves of those written before it.
    pub(super) fn look_at_rest(&mut self, left: &Expr, rest: &AddressSet, env: &Env) {
        match &left.kind {
            ExprKind::Address(address) => {
                let written = AddressSet::of([net_of(*address)]);
                self.look_at_addresses(left.span, written.intersect(rest), env);
            }
            ExprKind::Name(name) if !env.parameters.contains_key(name) => {
                let Some(def) = self.names.in_sight(env.module, name) else { return };
                let Some(value) = self.definition(def, name, left.span) else { return };
                if self.is_library_block(def, &value) {
                    self.look_at_addresses(left.span, address_set(value.endpoint()).intersect(rest), env);
                }
            }
            ExprKind::Union(list) => list.iter().for_each(|member| self.look_at_rest(member, rest, env)),
            ExprKind::Except(left, _) => self.look_at_rest(left, rest, env),
            _ => {}
        }
    }

    /// Warns about recorded addresses that contain known ones. `ends` are the endpoints of the rule: a pod that neither
    /// of them names is the best example. `source` is the span of an endpoint that only sends, as no Service does:
    /// there a name such as `private` is not a mistake.
    pub(super) fn warn_of_known_addresses(&mut self, ends: &[&Endpoint], source: Option<Span>) {
        if self.written.is_empty() {
            return;
        }
        let written = std::mem::take(&mut self.written);
        let known = match &self.known {
            Some(known) => known.clone(),
            None => {
                let known = Rc::new(self.known_addresses());
                self.known = Some(known.clone());
                known
            }
        };
        // Objects leave `[cluster] pods` out anyway, so these addresses need no warning, unless nothing else is left.
        let cut = known.ranges.iter().filter(|(key, _, _)| *key == "pods");
        let cut = AddressSet { blocks: cut.flat_map(|(_, _, range)| range.blocks.clone()).collect() };
        for (span, set) in written {
            let rest = if cut.blocks.is_empty() || set.is_inside(&cut) { set.clone() } else { set.subtract(&cut) };
            if let Some((address, pod)) = self.example(&known, &rest, ends) {
                let pod = format!("{}/{}", pod.namespace, pod.name);
                self.push(errors::known_pod(span, &pod, address, cut.blocks.is_empty()));
            } else if let Some((key, place, _)) = known.ranges.iter().find(|(_, _, range)| range.overlaps(&rest)) {
                self.push(errors::known_range(span, key, *place));
            }
            let sends = source.is_some_and(|source| source.contains(span));
            let by_name = !self.text(span).starts_with(|first: char| first.is_ascii_digit() || first == '[');
            if !(sends && by_name)
                && let Some((address, service)) = within(&known.services, &set).next()
            {
                self.push(errors::known_service(span, service, *address, set.is_inside(&only(*address)), sends));
            }
        }
    }

    /// Returns a pod with an address of a set: if possible one that the ends of the rule do not name.
    fn example(&self, known: &KnownAddresses, set: &AddressSet, ends: &[&Endpoint]) -> Option<(IpAddr, &Workload)> {
        let inventory = self.inventory;
        let all = || within(&known.pods, set).map(|(address, at)| (*address, &inventory.workloads[*at]));
        let first = all().next()?;
        let is_named = |pod: &Workload| {
            let mut selectors = ends.iter().flat_map(|end| end.pods());
            selectors.any(|(_, pods)| inventory.is_selected(&pods.selector, pod))
        };
        let mut others = all().take(MOST_EXAMPLES).filter(|(_, pod)| !is_named(pod));
        Some(others.next().unwrap_or(first))
    }

    fn known_addresses(&mut self) -> KnownAddresses {
        let pods = self.inventory.workloads.iter().enumerate();
        let pods = pods.flat_map(|(at, workload)| workload.addresses.iter().map(move |address| (*address, at)));
        let services = self.inventory.services.iter().flat_map(|((namespace, name), service)| {
            let ports: Vec<String> = service.ports.iter().map(ServicePort::written).collect();
            let ports = match ports.as_slice() {
                [] => String::new(),
                [only] => format!(":{only}"),
                several => format!(":{{{}}}", several.join(", ")),
            };
            service.addresses.iter().map(move |address| (*address, format!("{namespace}/{name}{ports}")))
        });
        let mut known = KnownAddresses { pods: pods.collect(), services: services.collect(), ranges: Vec::new() };
        known.pods.sort_unstable();
        known.services.sort();
        let settings = self.settings;
        for (key, list) in [("pods", &settings.pods), ("nodes", &settings.nodes)] {
            for written in list {
                known.ranges.push((key, written.span, self.setting_addresses(std::slice::from_ref(written))));
            }
        }
        known
    }
}

fn only(address: IpAddr) -> AddressSet {
    AddressSet::of([address.into()])
}

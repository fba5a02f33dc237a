//! Sidecars of the cluster: the one that a pod obeys, and the flows that it lets out.
//!
//! ```text
//! allow egress shop/* -> a.example:443/tls
//! Sidecar shop/web: workloadSelector: app: web, hosts: ["*/*"]    # opens: app=web obeys this one
//! ```
//!
//! A pod obeys one Sidecar: the one whose labels select it, else its namespace's, else the mesh's; of two of the same
//! scope Istio does not say which counts (`getSidecarScope` in Istio's `pilot/pkg/model`). So a Sidecar of others for
//! `app: web` takes the place of the build's own for `shop/*`, with all that it lets out and refuses.

use smol_str::SmolStr;

use super::peers::closeness;
use super::pods::Governed;
use super::shape::Shape;
use super::{Effect, Judged, Judges, Look, Said, Sure};
use crate::inventory::mesh::{EgressListener, Others, Outbound};
use crate::inventory::{PolicyObject, Says, Service, TargetPort};
use crate::model::labels::NAMESPACE_NAME;
use crate::model::ports::Protocol;
use crate::model::rules::Direction;
use crate::policy::{Flow, Party, Pod, Policy};

/// A Sidecar that a pod may obey.
pub(super) struct Judge<'a> {
    policy: &'a Policy,
    outbound: &'a Outbound,
    place: Place,
}

impl<'a> Judge<'a> {
    pub(super) fn new(look: &Look<'a>, governed: &Governed, object: &'a PolicyObject) -> Option<Judge<'a>> {
        let Says::Sidecar(outbound) = &object.says else { return None };
        Some(Judge { policy: look.policy, outbound, place: place(look, &governed.pod, object)? })
    }
}

impl Judges for Judge<'_> {
    fn shapes(&self, direction: Direction) -> Vec<Shape> {
        (direction == Direction::Egress).then(Shape::default).into_iter().collect()
    }

    fn judge(&self, flow: &Flow, direction: Direction, said: &Said) -> Option<Judged> {
        if direction == Direction::Ingress {
            return None;
        }
        let why = match self.place {
            Place::Alone { own: true } => {
                "a pod has one Sidecar: this one is closer to these pods than the build's own"
            }
            Place::Alone { own: false } => "the build writes no Sidecar for these pods, so that they obey this one",
            Place::BesideOwn => "a pod has one Sidecar, and of this one and the build's own Istio does not say which",
            Place::BesideOthers => "a pod has one Sidecar, and of several in one place Istio does not say which",
        };
        let passes = passes(self.policy, self.outbound, flow);
        let found = match said.allows {
            true => Judged::if_so(Effect::Closes, passes.not(), why),
            false => Judged::if_so(Effect::Opens, passes, why),
        }?;
        Some(Judged { sure: found.sure && matches!(self.place, Place::Alone { .. }), ..found })
    }
}

/// The position of a Sidecar among all those of a pod.
enum Place {
    /// The pod obeys this Sidecar.
    Alone {
        /// Whether the build has one of an outer scope.
        own: bool,
    },
    /// The build's own is of the same scope.
    BesideOwn,
    /// Others are of the same scope.
    BesideOthers,
}

/// Returns the position of a Sidecar; `None` where another is closer to the pod.
fn place(look: &Look<'_>, pod: &Pod, object: &PolicyObject) -> Option<Place> {
    let root = &look.policy.settings.root_namespace;
    let here = closeness(object, root);
    let of_kind = |one: &&PolicyObject| one.kind == object.kind;
    let own: Vec<_> = look.own_for(pod).into_iter().filter(of_kind).map(|one| closeness(one, root)).collect();
    let others = look.theirs_for(pod).into_iter().filter(of_kind).filter(|one| !std::ptr::eq(*one, object));
    let others: Vec<_> = others.map(|one| closeness(one, root)).collect();
    if own.iter().chain(&others).any(|other| *other > here) {
        return None;
    }
    Some(match (own.contains(&here), others.contains(&here)) {
        (true, _) => Place::BesideOwn,
        (false, true) => Place::BesideOthers,
        (false, false) => Place::Alone { own: !own.is_empty() },
    })
}

/// Returns whether a Sidecar lets a flow of its pod out.
fn passes(policy: &Policy, outbound: &Outbound, flow: &Flow) -> Sure {
    if flow.protocol != Protocol::Tcp {
        return Sure::Yes;
    }
    let others = match outbound.others {
        Some(Others::Pass) => return Sure::Yes,
        Some(Others::Refused) => Sure::No,
        None => Sure::Maybe,
    };
    let imported = match &flow.destination {
        Party::Pod(pod) => imports_pod(policy, outbound, flow, pod),
        Party::Address(_) => imports_outside(policy, outbound, None),
        Party::Host { name, .. } => imports_outside(policy, outbound, Some(name)),
    };
    imported.max(others)
}

/// Returns whether a Sidecar imports one of the Services of a pod by which callers reach a port of the pod.
fn imports_pod(policy: &Policy, outbound: &Outbound, flow: &Flow, pod: &Pod) -> Sure {
    let port = flow.port;
    let Party::Pod(sender) = &flow.source else { return Sure::Maybe };
    let (Some(namespace), Some(home)) =
        (pod.namespace_labels.get(NAMESPACE_NAME), sender.namespace_labels.get(NAMESPACE_NAME))
    else {
        return Sure::Maybe;
    };
    let leads_here = |target: &TargetPort| match target {
        TargetPort::Number(number) => Some(*number) == port,
        TargetPort::Name(name) => pod.ports.iter().any(|own| Some(own.port) == port && own.name.as_ref() == Some(name)),
    };
    let services = policy.inventory.services_of(namespace, &pod.labels);
    let mut known = services.iter().flat_map(|(name, service): &(&SmolStr, &Service)| {
        let ports = service.ports.iter().filter(|own| leads_here(&own.target));
        ports.map(move |own| (*name, own.port))
    });
    let imports = |(name, port): (&SmolStr, u16)| {
        let host = format!("{name}.{namespace}.svc.{}", policy.settings.domain);
        imports(outbound, port, |of, hosts| has_namespace(of, home, namespace) && has_host(hosts, &host))
    };
    if services.is_empty() {
        // A Service that the inventory lacks may lead to the pod.
        return if imports_nothing(outbound) { Sure::No } else { Sure::Maybe };
    }
    Sure::from(known.any(imports))
}

/// Returns whether a Sidecar may import a ServiceEntry, which no reader here knows, for an address or a host outside.
fn imports_outside(policy: &Policy, outbound: &Outbound, name: Option<&SmolStr>) -> Sure {
    let inside = format!(".svc.{}", policy.settings.domain);
    let may = |(namespace, host): &(SmolStr, SmolStr)| {
        namespace != "~" && !host.ends_with(&inside) && name.is_none_or(|name| has_host(host, name))
    };
    let all = outbound.listeners.as_ref();
    match all.is_none_or(|listeners| listeners.iter().flat_map(|listener| &listener.hosts).any(may)) {
        true => Sure::Maybe,
        false => Sure::No,
    }
}

fn imports_nothing(outbound: &Outbound) -> bool {
    let none = |listeners: &Vec<EgressListener>| {
        listeners.iter().flat_map(|listener| &listener.hosts).all(|(namespace, _)| namespace == "~")
    };
    outbound.listeners.as_ref().is_some_and(none)
}

/// Returns whether some listener that has a port imports a host.
fn imports(outbound: &Outbound, port: u16, is_it: impl Fn(&str, &str) -> bool) -> bool {
    let Some(listeners) = &outbound.listeners else { return true };
    let of_port = listeners.iter().any(|listener| listener.port == Some(port));
    let here = |listener: &&EgressListener| listener.port == of_port.then_some(port);
    listeners.iter().filter(here).flat_map(|listener| &listener.hosts).any(|(of, hosts)| is_it(of, hosts))
}

fn has_namespace(of: &str, home: &str, namespace: &str) -> bool {
    match of {
        "*" => true,
        "." => home == namespace,
        name => name == namespace,
    }
}

fn has_host(hosts: &str, host: &str) -> bool {
    hosts.strip_prefix('*').map_or(hosts == host, |end| host.ends_with(end))
}

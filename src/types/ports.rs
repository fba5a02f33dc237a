//! Ports: the meaning of a suffix on each kind of member, and the pod port behind a Service's port.
//!
//! ```text
//! service garden/api { select {app=api}  port 80 -> 8080/http }
//! allow ingress shop/* -> garden/api:80     the pods' port: TCP 8080, read as HTTP
//! ```

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::value::{Bound, Env, Value};
use super::{Checker, errors};
use crate::inventory::{
    ContainerPort, Meant, Service, ServicePort, TargetPort, Unclear, Wanted, Workload, WorkloadKind,
};
use crate::model::endpoint::{Member, Pods, What};
use crate::model::hosts::{Host, Origination};
use crate::model::names::is_port_name;
use crate::model::ports::{AppProtocol, PortMatch, PortTest, Ports, Protocol};
use crate::settings::Layer;
use crate::source::Span;
use crate::syntax::tree::{self, ExprKind, Port, PortKind, PortProtocol, PortSpec};

impl Checker<'_> {
    /// Puts a suffix on every member of a value.
    pub(super) fn with_ports(&mut self, value: Value, kind: &ExprKind, spec: &PortSpec, env: &Env) -> Option<Value> {
        if let Some(first) = value.ports {
            let name = match kind {
                ExprKind::Name(name) => Some(name.as_str()),
                _ => None,
            };
            let lacks = |member: &Member| member.ports == Ports::All;
            let some_lack = matches!(kind, ExprKind::Union(_)) && value.endpoint().members.iter().any(lacks);
            self.push(errors::second_ports(spec.span, name, first, some_lack));
            return None;
        }
        let ports: Vec<Option<Port>> = spec.ports.iter().map(|port| self.bound_port(port, env)).collect();
        let ports: Vec<Port> = ports.into_iter().collect::<Option<_>>()?;
        // A value that only this expression uses is changed directly; one that a name shares is copied.
        let opaque = value.opaque;
        let mixed = value.mixed;
        let mut endpoint = value.into_endpoint();
        for member in &mut Arc::make_mut(&mut endpoint).members {
            member.ports = self.member_ports(member, &ports, spec.span, opaque, env)?;
        }
        Some(Value { mixed, opaque, ports: Some(spec.span), ..Value::new(endpoint) })
    }

    /// Replaces a parameter of type `Port` by its argument.
    fn bound_port(&mut self, port: &Port, env: &Env) -> Option<Port> {
        let PortKind::Name(name) = &port.kind else {
            return (port.kind != PortKind::Error).then(|| port.clone());
        };
        match env.parameters.get(name) {
            None => Some(port.clone()),
            Some(Bound::Port(argument)) => {
                self.use_parameter(env, name);
                if let (Some(_), Some(_)) = (&port.protocol, &argument.protocol) {
                    self.push(errors::two_protocols_of_parameter(port.span, name));
                    return None;
                }
                Some(Port {
                    span: port.span,
                    kind: argument.kind.clone(),
                    protocol: port.protocol.or(argument.protocol),
                })
            }
            Some(other) => {
                self.push(errors::parameter_type(port.span, name, other.kind(), "a port"));
                None
            }
        }
    }

    fn member_ports(&mut self, member: &Member, ports: &[Port], spec: Span, opaque: bool, env: &Env) -> Option<Ports> {
        // Every port is checked, so that each gets its message.
        let mut entries: Vec<(PortMatch, Span)> = Vec::with_capacity(ports.len());
        let mut good = true;
        for port in ports {
            let entry = match &member.what {
                What::Pods(pods) => self.pod_port(pods, port, opaque, env),
                What::Host(host) => self.host_port(host, port, member.span),
                What::Addresses(_) => self.plain(port, "addresses"),
            };
            match entry {
                Some(entry) => entries.push((entry, port.span)),
                None => good = false,
            }
        }
        if !good {
            return None;
        }
        Some(Ports::Some(self.without_repetition(entries, spec)?))
    }

    /// Drops repeated entries; two that read one port in different ways are an error.
    fn without_repetition(&mut self, entries: Vec<(PortMatch, Span)>, spec: Span) -> Option<Vec<PortMatch>> {
        let mut kept: Vec<(PortMatch, Span)> = Vec::with_capacity(entries.len());
        let mut known: FxHashMap<(PortTest, Protocol), usize> = FxHashMap::default();
        let mut seen = FxHashSet::default();
        // Only ports with a given protocol can disagree.
        let read: FxHashSet<AppProtocol> = entries.iter().filter_map(|(entry, _)| entry.app).collect();
        for (entry, span) in entries {
            let key = (entry.port.clone(), entry.protocol);
            let same = known.get(&key).map(|&at| &mut kept[at].0);
            if let Some(have) = same
                && (have.app.is_none() || entry.app.is_none())
            {
                have.app = have.app.or(entry.app);
                have.service_port = have.service_port.or(entry.service_port);
                continue;
            }
            let clash = || kept.iter().find(|(have, _)| have.reads_otherwise(&entry));
            if read.len() > 1
                && let Some((other, first)) = clash()
            {
                let first = if *first == span { spec } else { *first };
                self.push(errors::two_protocols(span, &entry, first, other));
                return None;
            }
            if known.get(&key).is_none_or(|&at| kept[at].0 != entry) && seen.insert(entry.clone()) {
                known.entry(key).or_insert(kept.len());
                kept.push((entry, span));
            }
        }
        Some(kept.into_iter().map(|(entry, _)| entry).collect())
    }

    /// Returns a port of a host. One that pods dial, where the mesh opens TLS, becomes the host's own.
    fn host_port(&mut self, host: &Host, port: &Port, declared: Span) -> Option<PortMatch> {
        let entry = PortMatch { app: app_of_host(port), ..self.plain(port, "hosts")? };
        let dialled = |one: &&Origination| entry.port == PortTest::Range(one.port, one.port);
        let Some(&one) = host.originates.iter().find(dialled).filter(|_| entry.protocol == Protocol::Tcp) else {
            return Some(entry);
        };
        let written = PortMatch { app: Some(one.app), ..entry.clone() };
        if port.protocol.is_some() && entry.app != written.app {
            self.push(errors::two_protocols(port.span, &entry, declared, &written));
            return None;
        }
        if !self.settings.targets.contains(&Layer::Istio) {
            self.push(errors::nothing_opens_tls(port.span, &host.name.to_string(), declared));
            return None;
        }
        let port = PortTest::Range(one.target, one.target);
        Some(PortMatch { port, app: Some(AppProtocol::Tls), service_port: Some(one.port), ..entry })
    }

    /// Returns the ports of a host's block.
    pub(super) fn originations(&mut self, ports: &[tree::Origination]) -> Option<Vec<Origination>> {
        let mut all: Vec<Origination> = Vec::with_capacity(ports.len());
        for written in ports {
            let (PortKind::Number(port), PortKind::Number(target)) = (&written.dialled.kind, &written.target.kind)
            else {
                return None;
            };
            if all.iter().any(|one| one.port == *port) {
                self.push(errors::service_port_twice(written.span, *port));
                return None;
            }
            let app = app_of_host(&written.dialled)?;
            all.push(Origination { port: *port, app, target: *target });
        }
        Some(all)
    }

    /// Returns a port of a host or an address.
    fn plain(&mut self, port: &Port, who: &str) -> Option<PortMatch> {
        let entry = as_written(port);
        if let PortTest::Named(name) = &entry.port {
            self.push(errors::port_name_outside(port.span, name, who));
            return None;
        }
        Some(entry)
    }

    fn pod_port(&mut self, pods: &Pods, port: &Port, opaque: bool, env: &Env) -> Option<PortMatch> {
        if opaque {
            return Some(as_written(port));
        }
        let inventory = self.inventory;
        if let Some(key) = &pods.named
            && let Some(service) = inventory.services.get(&**key)
        {
            return self.service_port(key, service, pods, port);
        }
        let entry = as_written(port);
        if let PortTest::Range(number, last) = entry.port
            && number == last
            && self.is_users(env)
        {
            self.warn_of_service_port(pods, number, entry.protocol, port.span);
        }
        if let PortTest::Named(name) = &entry.port {
            // A Service's port may have a longer name; a pod's may not.
            if !is_port_name(name) {
                self.push(errors::no_port_name(port.span, name));
                return None;
            }
            self.check_port_name(pods, name, entry.protocol, port.span)?;
        }
        Some(entry)
    }

    /// Reports a port name that no pod of the selector has, if the inventory knows such pods and their ports.
    fn check_port_name(&mut self, pods: &Pods, name: &SmolStr, protocol: Protocol, span: Span) -> Option<()> {
        let known = self.inventory.select(&pods.selector);
        let Some(names) = names_without(&known, name, protocol) else { return Some(()) };
        self.push(errors::unknown_port_name(span, name, protocol, &names));
        None
    }

    /// Warns of a port number that no container of the known pods declares and that their Service sends to another one.
    fn warn_of_service_port(&mut self, pods: &Pods, number: u16, protocol: Protocol, span: Span) {
        let inventory = self.inventory;
        let Some(namespace) = pods.selector.namespace_name() else { return };
        if !inventory.given || pods.selector.all_pods() {
            return;
        }
        let known = inventory.select(&pods.selector);
        let here = |port: &ContainerPort| port.port == number && port.protocol == protocol;
        if known.is_empty() || known.iter().any(|pod| pod.ports.is_empty() || pod.ports.iter().any(here)) {
            return;
        }
        let sends = |port: &&ServicePort| port.port == number && port.protocol == protocol;
        let found = known
            .iter()
            .flat_map(|pod| inventory.services_of(namespace, &pod.labels))
            .find_map(|(name, service)| Some((name, service, service.ports.iter().find(sends)?)));
        let Some((name, service, sent)) = found else { return };
        if sent.numbers(&known).all(|target| target == number) {
            return;
        }
        self.push(errors::port_of_a_service(span, (namespace, name), service, sent));
    }

    /// Returns the pod's port behind a port written on a Service's name.
    fn service_port(
        &mut self,
        key: &(SmolStr, SmolStr),
        service: &Service,
        pods: &Pods,
        port: &Port,
    ) -> Option<PortMatch> {
        let known = self.inventory.select(&pods.selector);
        let written = match port.protocol {
            Some(PortProtocol::Transport(protocol)) => Some(protocol),
            Some(PortProtocol::App(_)) => Some(Protocol::Tcp),
            None => None,
        };
        let found = match &port.kind {
            PortKind::Any => return Some(as_written(port)),
            PortKind::Number(number) => service.port(Wanted::Number(*number), written, &known),
            PortKind::Name(name) => service.port(Wanted::Name(name), written, &known),
            PortKind::Range(..) | PortKind::Error => Err(Unclear::NoSuchPort),
        };
        let meant = match found {
            Ok(meant) => meant,
            Err(Unclear::Either(a, b)) => {
                let text = self.text(port.span).to_string();
                self.push(errors::ambiguous_service_port(port.span, key, service, &text, &a, &b));
                return None;
            }
            Err(Unclear::NoSuchPort) => {
                let text = self.text(port.span).to_string();
                // A proposed name must be one that some pod has, or it would be the next mistake.
                let on_pods = service.selector.is_some()
                    && match &port.kind {
                        PortKind::Name(name) => {
                            is_port_name(name)
                                && names_without(&known, name, written.unwrap_or(Protocol::Tcp)).is_none()
                        }
                        _ => true,
                    };
                self.push(errors::unknown_service_port(port, key, service, &text, on_pods));
                return None;
            }
        };
        let (Meant::Own(chosen) | Meant::Pods(chosen)) = meant;
        let app = match (port.protocol, chosen.app) {
            (Some(PortProtocol::App(app)), Some(known)) if app.unless_gateway() != known => {
                self.push(errors::contradicting_protocol(port, key, chosen, known, app, service.origin));
                return None;
            }
            (Some(PortProtocol::App(app)), _) => Some(app.unless_gateway()),
            (_, known) => known,
        };
        let test = match (meant, &port.kind, &chosen.target) {
            (Meant::Pods(_), PortKind::Number(number), _) => PortTest::Range(*number, *number),
            (_, _, TargetPort::Number(number)) => PortTest::Range(*number, *number),
            (_, _, TargetPort::Name(name)) => {
                if let Some(names) = names_without(&known, name, chosen.protocol) {
                    self.push(errors::unknown_target_port(port.span, key, service, chosen, &names));
                    return None;
                }
                PortTest::Named(name.clone())
            }
        };
        let service_port = match meant {
            Meant::Own(own) => Some(own.port),
            Meant::Pods(_) => None,
        };
        Some(PortMatch { port: test, protocol: chosen.protocol, app, service_port })
    }
}

/// Returns the port names of some pods if they are known and `name` is not among them. A `workload` declaration without
/// ports leaves them unknown.
fn names_without(pods: &[&Workload], name: &SmolStr, protocol: Protocol) -> Option<Vec<(SmolStr, Protocol)>> {
    let has = |port: &ContainerPort| port.name.as_ref() == Some(name) && port.protocol == protocol;
    let silent = |pod: &Workload| pod.kind == WorkloadKind::Declared && pod.ports.is_empty();
    if pods.is_empty() || pods.iter().any(|pod| silent(pod) || pod.ports.iter().any(has)) {
        return None;
    }
    let ports = pods.iter().flat_map(|pod| &pod.ports);
    let mut names: Vec<(SmolStr, Protocol)> =
        ports.filter_map(|port| Some((port.name.clone()?, port.protocol))).collect();
    names.sort();
    names.dedup();
    Some(names)
}

/// Returns a port without looking anything up. `*` is every port that there is, ICMP has none.
fn as_written(port: &Port) -> PortMatch {
    let (protocol, app) = match port.protocol {
        Some(PortProtocol::Transport(protocol)) => (protocol, None),
        Some(PortProtocol::App(app)) => (Protocol::Tcp, Some(app.unless_gateway())),
        None => (Protocol::Tcp, None),
    };
    let test = match &port.kind {
        _ if protocol == Protocol::Icmp => PortTest::Range(0, 0),
        PortKind::Number(number) => PortTest::Range(*number, *number),
        PortKind::Range(first, last) => PortTest::Range(*first, *last),
        PortKind::Name(name) => PortTest::Named(name.clone()),
        PortKind::Any | PortKind::Error => PortTest::Range(1, u16::MAX),
    };
    PortMatch { port: test, protocol, app, service_port: None }
}

/// Returns how a port of a host is read: a bare 80 is HTTP, a bare 443 is TLS.
fn app_of_host(port: &Port) -> Option<AppProtocol> {
    match (port.protocol, &port.kind) {
        (Some(PortProtocol::App(app)), _) => Some(app.unless_gateway()),
        (None, PortKind::Number(80)) => Some(AppProtocol::Http),
        (None, PortKind::Number(443)) => Some(AppProtocol::Tls),
        _ => None,
    }
}

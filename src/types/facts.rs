//! Facts: the `namespace` and `service` declarations of all modules, joined with the inventory, and what the inventory
//! says of names and selectors.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::selectors::assumed;
use super::value::Env;
use super::{Checker, errors};
use crate::diag::Diagnostics;
use crate::inventory::{Inventory, Namespace, Service, ServicePort, TargetPort, Workload, WorkloadKind};
use crate::resolve::{Def, Module, Names, Role};
use crate::source::Span;
use crate::syntax::tree::{
    ItemKind, NamespaceDecl, NamespacePattern, PodPattern, PortKind, PortMapping, PortProtocol, ServiceDecl, Word,
};
use crate::vocab::labels::{Labels, NAMESPACE_NAME, PodSelector, Requirement, Requirements};
use crate::vocab::names::is_port_name;
use crate::vocab::ports::{AppProtocol, Protocol};

/// Adds the declarations of every module to the inventory. What disagrees is reported, and the first statement stays:
/// the inventory's, then those of the given files. The standard library gives way to all others.
pub(super) fn with_declarations(names: &Names, mut inventory: Inventory, diagnostics: &mut Diagnostics) -> Inventory {
    let is_library = |module: &Module| module.role == Role::Standard;
    let (library, users): (Vec<&Module>, Vec<&Module>) =
        names.modules().map(|(_, module)| module).partition(|module| is_library(module));
    for module in users.into_iter().chain(library) {
        let mut facts = Facts { inventory: &mut inventory, library: is_library(module), diagnostics };
        for item in &module.file.items {
            match &item.kind {
                ItemKind::Namespace(namespace) => drop(facts.declare_namespace(namespace, item.span)),
                ItemKind::Service(service) => drop(facts.declare_service(service, item.span)),
                _ => {}
            }
        }
    }
    inventory
}

/// What is known so far, while the declarations of a module are added.
struct Facts<'a> {
    inventory: &'a mut Inventory,
    /// Whether the module is of the standard library.
    library: bool,
    diagnostics: &'a mut Diagnostics,
}

impl Facts<'_> {
    /// Reads labels that are given; one that is given twice with different values is an error.
    fn labels(&mut self, pairs: &[(Word, Word)]) -> Option<Labels> {
        let mut labels = Labels::new();
        for (key, value) in pairs {
            let before = labels.insert(key.text.clone(), value.text.clone());
            if before.is_some_and(|before| before != value.text) {
                self.diagnostics.push(errors::label_twice(key.span, &key.text));
                return None;
            }
        }
        Some(labels)
    }

    fn declare_namespace(&mut self, item: &NamespaceDecl, span: Span) -> Option<()> {
        let mut labels = self.labels(&item.labels)?;
        let name = item.name.text.clone();
        let said = labels.insert(NAMESPACE_NAME.into(), name.clone());
        if said.is_some_and(|said| said != name) {
            self.diagnostics.push(errors::label_of_name(span));
            return None;
        }
        match self.inventory.namespaces.get(&name) {
            Some(have) if have.declared && have.labels != labels => {
                let what = format!("the labels of namespace {name}");
                self.contradict(span, &what, have.origin, &difference(&have.labels, &labels));
            }
            Some(have) if have.declared => {}
            _ => {
                self.inventory.declare_namespace(name, Namespace { labels, declared: true, origin: span });
            }
        }
        Some(())
    }

    fn declare_service(&mut self, item: &ServiceDecl, span: Span) -> Option<()> {
        let selector = match &item.select {
            None => None,
            Some(pairs) => Some(self.labels(pairs)?),
        };
        let mut ports: Vec<ServicePort> = Vec::new();
        for written in &item.ports {
            let port = service_port(written, self.diagnostics)?;
            if ports.iter().any(|have| have.port == port.port && have.protocol == port.protocol) {
                self.diagnostics.push(errors::service_port_twice(written.span, port.port));
                return None;
            }
            ports.push(port);
        }
        let key = (item.namespace.text.clone(), item.name.text.clone());
        let service = Service { selector, ports, headless: false, addresses: Vec::new(), origin: span };
        match self.inventory.services.get_mut(&key) {
            Some(have) if !agree(have, &service) => {
                let (first, why) = (have.origin, errors::service_difference(have, &service));
                self.contradict(span, &format!("Service {}/{}", key.0, key.1), first, &why);
            }
            Some(have) => {
                for port in &mut have.ports {
                    let same = |said: &&ServicePort| said.port == port.port && said.protocol == port.protocol;
                    port.app = port.app.or(service.ports.iter().find(same).and_then(|said| said.app));
                }
            }
            None => {
                self.inventory.services.insert(key, service);
            }
        }
        Some(())
    }

    fn contradict(&mut self, span: Span, what: &str, first: Span, why: &str) {
        self.diagnostics.push(match self.library {
            true => errors::library_fact(first, what, span),
            false => errors::contradicting_facts(span, what, first, why),
        });
    }
}

fn difference(have: &Labels, new: &Labels) -> String {
    let mut parts = Vec::new();
    for (key, value) in have {
        match new.get(key) {
            None => parts.push(format!("{key}={value} there, not here")),
            Some(other) if other != value => parts.push(format!("{key}={value} there, {key}={other} here")),
            Some(_) => {}
        }
    }
    parts.extend(
        new.iter()
            .filter(|(key, _)| !have.contains_key(*key))
            .map(|(key, value)| format!("{key}={value} here, not there")),
    );
    parts.join("; ")
}

/// Returns whether two statements of one Service agree; a port's name, and how it is read where only one says it, do not
/// count.
fn agree(a: &Service, b: &Service) -> bool {
    let ports = |service: &Service| -> BTreeMap<(u16, Protocol), (TargetPort, Option<AppProtocol>)> {
        service.ports.iter().map(|port| ((port.port, port.protocol), (port.target.clone(), port.app))).collect()
    };
    let (mine, theirs) = (ports(a), ports(b));
    a.selector == b.selector
        && mine.len() == theirs.len()
        && mine.iter().all(|(key, (target, app))| {
            theirs
                .get(key)
                .is_some_and(|(other, said)| target == other && (app.is_none() || said.is_none() || app == said))
        })
}

pub(super) fn service_port(port: &PortMapping, diagnostics: &mut Diagnostics) -> Option<ServicePort> {
    let (mut protocol, mut app) = (port.protocol, None);
    let mut target = TargetPort::Number(port.port);
    if let Some(written) = &port.target {
        target = match &written.kind {
            PortKind::Number(number) => TargetPort::Number(*number),
            PortKind::Name(name) if is_port_name(name) => TargetPort::Name(name.clone()),
            PortKind::Name(name) => {
                diagnostics.push(errors::no_port_name(written.span, name));
                return None;
            }
            PortKind::Error => return None,
            PortKind::Range(..) | PortKind::Any => {
                diagnostics.push(errors::target_not_one(written.span));
                return None;
            }
        };
        let said = match written.protocol {
            Some(PortProtocol::Transport(transport)) => Some(transport),
            Some(PortProtocol::App(read)) => {
                app = Some(read);
                Some(Protocol::Tcp)
            }
            None => None,
        };
        match (protocol, said) {
            (Some(left), Some(right)) if left != right => {
                diagnostics.push(errors::port_of_two_protocols(port.span));
                return None;
            }
            (left, right) => protocol = left.or(right),
        }
    }
    Some(ServicePort { name: None, port: port.port, protocol: protocol.unwrap_or(Protocol::Tcp), target, app })
}

impl Checker<'_> {
    /// With an inventory, a namespace that it lacks is an error, unless it is the standard library that names it.
    pub(super) fn check_namespace(&mut self, span: Span, name: &SmolStr, env: &Env) {
        let inventory = self.inventory;
        if self.is_users(env) && inventory.given && !inventory.namespaces.contains_key(name) {
            let near = crate::diag::nearest(name, inventory.namespaces.keys().map(SmolStr::as_str));
            self.push(errors::unknown_namespace(span, name, near));
        }
    }

    /// Notes what the standard library says of namespaces that the inventory lacks, once for each, where a file of the
    /// user's names it (or applies a template that does).
    pub(super) fn note_missing_namespaces<'p>(
        &mut self,
        def: Def,
        span: Span,
        pods: impl Iterator<Item = (Span, &'p PodSelector)>,
        env: &Env,
    ) {
        let inventory = self.inventory;
        if !inventory.given || self.names.module(def.module).role != Role::Standard {
            return;
        }
        let place = match self.site {
            Some(site) => site,
            None if self.is_users(env) => span,
            None => return,
        };
        for (named, pods) in pods {
            let Some(name) = pods.namespace_name() else { continue };
            if !inventory.namespaces.contains_key(name) && self.missing.insert(name.clone()) {
                self.diagnostics.push(errors::library_namespace(place, name, named));
            }
        }
    }

    /// With an inventory, a selector by labels or account that matches no pod is an error with its near miss; a warning
    /// where no workload is known in the namespaces.
    pub(super) fn check_selector(
        &mut self,
        span: Span,
        namespace: &NamespacePattern,
        written: &PodPattern,
        selector: &PodSelector,
    ) {
        if !self.inventory.given || (selector.all_pods() && selector.namespace_name().is_some()) {
            return;
        }
        if selector.namespace.is_any() && selector.all_pods() {
            return;
        }
        let inventory = self.inventory;
        let matches = match self.selectors.get(selector) {
            Some(known) => *known,
            None => {
                let known = !inventory.select(selector).is_empty();
                self.selectors.insert(selector.clone(), known);
                known
            }
        };
        if matches || selector.namespace_name().is_some_and(|name| !inventory.namespaces.contains_key(name)) {
            return;
        }
        let whole = PodSelector { labels: Requirements::any(), ..PodSelector::any() };
        let whole = PodSelector { namespace: selector.namespace.clone(), ..whole };
        let any_pods = !inventory.select(&whole).is_empty();
        let any_namespace =
            inventory.namespaces.values().any(|namespace| selector.namespace.matches(&namespace.labels));
        let near = inventory.near_miss(selector);
        if !any_namespace {
            let labels = match namespace {
                NamespacePattern::Labels(labels) => Some(labels),
                _ => None,
            };
            self.push(errors::no_such_namespaces(span, labels, near.as_ref()));
        } else if !any_pods {
            let namespace = selector.namespace_name().map(SmolStr::as_str);
            self.push(errors::selector_unmatched(span, namespace));
        } else {
            let text = match written {
                PodPattern::Labels(labels) => self.text(labels.span),
                _ => self.text(span),
            };
            let diagnostic = errors::selector_matches_nothing(span, written, text, near.as_ref());
            self.push(diagnostic);
        }
    }

    /// Returns the pods that `ns/name` stands for: a workload's, a Service's, or those with the recommended label.
    pub(super) fn named_pods(&mut self, namespace: &SmolStr, name: &Word, env: &Env) -> Option<Requirements> {
        let inventory = self.inventory;
        let key = (namespace.clone(), name.text.clone());
        let workloads = inventory.named(namespace, &name.text);
        let service = inventory.services.get(&key);
        let workload = match workloads.as_slice() {
            [] => None,
            [first, rest @ ..] => {
                if let Some(other) = rest.iter().find(|other| other.selector != first.selector) {
                    self.push(errors::workloads_of_one_name(name.span, &key, first, other));
                    return None;
                }
                Some(*first)
            }
        };
        match (workload, service) {
            (Some(workload), service) => {
                let Some(selector) = &workload.selector else {
                    self.push(errors::no_labels(name.span, workload));
                    return None;
                };
                if let Some(service) = service
                    && let Some(labels) = &service.selector
                    && !self.same_pods(namespace, selector, labels)
                {
                    self.push(errors::name_of_two(name.span, &key, workload, selector, service));
                    return None;
                }
                let on_host = workloads.iter().all(|workload| workload.host_network).then_some(workload);
                if on_host.is_some() && self.is_users(env) {
                    self.push(errors::named_without_pods(name.span, &key, on_host, workload.origin));
                    return None;
                }
                Some(selector.clone())
            }
            (None, Some(service)) => match &service.selector {
                Some(labels) => {
                    let selector = equalities(labels)?;
                    let pods = PodSelector { labels: selector.clone(), ..PodSelector::in_namespace(namespace.clone()) };
                    let whole = PodSelector::in_namespace(namespace.clone());
                    if inventory.given
                        && self.is_users(env)
                        && inventory.select(&pods).is_empty()
                        && !inventory.select(&whole).is_empty()
                    {
                        self.push(errors::named_without_pods(name.span, &key, None, service.origin));
                        return None;
                    }
                    Some(selector)
                }
                None => {
                    self.push(errors::service_without_pods(name.span, &key, service.origin));
                    None
                }
            },
            (None, None) => {
                let near = self.near_name(namespace, &name.text);
                let selector = assumed(&name.text)?;
                let pods = PodSelector { labels: selector.clone(), ..PodSelector::in_namespace(namespace.clone()) };
                if inventory.given && inventory.select(&pods).is_empty() {
                    self.unknown_name_of_pods(name.span, &key, near);
                } else if self.is_users(env) {
                    self.push(errors::assumed_label(name.span, &key));
                }
                Some(selector)
            }
        }
    }

    fn unknown_name_of_pods(&mut self, span: Span, key: &(SmolStr, SmolStr), near: Option<SmolStr>) {
        let inventory = self.inventory;
        if !inventory.namespaces.contains_key(&key.0) {
            return;
        }
        let any = !inventory.select(&PodSelector::in_namespace(key.0.clone())).is_empty();
        self.push(match any {
            true => errors::nothing_named(span, key, near),
            false => errors::selector_unmatched(span, Some(&key.0)),
        });
    }

    fn near_name(&self, namespace: &SmolStr, name: &str) -> Option<SmolStr> {
        let workloads = self.inventory.workloads.iter().filter(|workload| workload.namespace == *namespace);
        let names = workloads.filter(|workload| !workload.owned).map(|workload| workload.name.as_str());
        let services = self.inventory.services.keys().filter(|key| key.0 == *namespace).map(|key| key.1.as_str());
        crate::diag::nearest(name, names.chain(services)).map(SmolStr::from)
    }

    /// Returns whether a workload's selector and a Service's select the same pods: by their requirements, or else by
    /// all workloads that the inventory knows in the namespace.
    fn same_pods(&self, namespace: &SmolStr, selector: &Requirements, service: &Labels) -> bool {
        let Some(service) = equalities(service) else { return false };
        *selector == service || {
            let known = self.inventory.workloads.iter().filter(|workload| workload.namespace == *namespace);
            let mut pods = known.filter(|workload: &&Workload| !workload.host_network).peekable();
            pods.peek().is_some()
                && pods.all(|workload| selector.matches(&workload.labels) == service.matches(&workload.labels))
        }
    }

    /// Returns the labels of a namespace, where a Namespace object or a declaration gives them.
    pub(super) fn namespace_labels(&self, name: &str) -> Option<&Labels> {
        self.inventory.namespaces.get(name).filter(|namespace| namespace.declared).map(|namespace| &namespace.labels)
    }
}

/// Returns the selector of `key=value` pairs.
pub fn equalities(labels: &Labels) -> Option<Requirements> {
    Requirements::new(labels.iter().map(|(key, value)| Requirement::is_in(key.clone(), [value.clone()])))
}

/// Returns the words for a workload: `Deployment garden/web`.
pub(super) fn workload_words(workload: &Workload) -> String {
    let kind = match workload.kind {
        WorkloadKind::Pod => "Pod",
        kind => kind.word(),
    };
    format!("{kind} {}/{}", workload.namespace, workload.name)
}

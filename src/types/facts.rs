//! Facts: the `namespace`, `service` and `workload` declarations of all modules, joined with the inventory.
//!
//! ```text
//! namespace garden { labels { env = prod } }
//! allow ingress {env=prod}/* -> shop/{app=web}:80     the pods of garden are among the peers, as if a manifest said so
//! ```

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::errors;
use super::scope::own_namespace;
use crate::diag::Diagnostics;
use crate::inventory::{
    ContainerPort, Injection, Inventory, Namespace, Service, ServicePort, TargetPort, Workload, WorkloadKind,
};
use crate::model::labels::{Labels, NAMESPACE_NAME, Requirement, Requirements};
use crate::model::names::is_port_name;
use crate::model::ports::{AppProtocol, Protocol};
use crate::resolve::{Module, Names, Role};
use crate::source::Span;
use crate::syntax::tree::{
    ItemKind, NamespaceDecl, PortKind, PortMapping, PortProtocol, ServiceDecl, Word, WorkloadDecl,
};

/// Adds the declarations of every module to the inventory. Two statements of one fact that disagree are reported, and
/// the first one stays: the inventory comes first, then the given files. The standard library gives way to all others.
pub(super) fn with_declarations(names: &Names, mut inventory: Inventory, diagnostics: &mut Diagnostics) -> Inventory {
    let is_library = |module: &Module| module.role == Role::Standard;
    let (library, users): (Vec<&Module>, Vec<&Module>) =
        names.modules().map(|(_, module)| module).partition(|module| is_library(module));
    let modules: Vec<&Module> = users.into_iter().chain(library).collect();
    for &module in &modules {
        let mut facts = Facts { inventory: &mut inventory, module, is_standard: is_library(module), diagnostics };
        for item in &module.file.items {
            match &item.kind {
                ItemKind::Namespace(namespace) => drop(facts.declare_namespace(namespace, item.span)),
                ItemKind::Service(service) => drop(facts.declare_service(service, item.span)),
                _ => {}
            }
        }
    }
    // Workloads come after all namespaces, since the labels of its namespace decide whether a workload has a sidecar.
    let mut declared = Declared::new();
    for module in modules {
        let mut facts = Facts { inventory: &mut inventory, module, is_standard: is_library(module), diagnostics };
        for item in &module.file.items {
            if let ItemKind::Workload(workload) = &item.kind {
                facts.declare_workload(workload, item.span, &mut declared);
            }
        }
    }
    inventory.declare_workloads(declared.into_values());
    inventory
}

/// The workloads that only the source declares, by namespace and name, until all of them are added to the inventory.
type Declared = BTreeMap<(SmolStr, SmolStr), Workload>;

/// The inventory while the declarations of one module are added to it.
struct Facts<'a> {
    inventory: &'a mut Inventory,
    module: &'a Module,
    /// Whether the module is of the standard library.
    is_standard: bool,
    diagnostics: &'a mut Diagnostics,
}

impl Facts<'_> {
    /// Reads the labels of a declaration; a key with two different values is an error.
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

    /// Returns the namespace that a declaration names, or that `./` stands for.
    fn namespace(&mut self, word: &Word) -> Option<SmolStr> {
        if !word.is_scope() {
            return Some(word.text.clone());
        }
        match own_namespace(self.module) {
            Ok(namespace) => Some(namespace),
            Err(scope) => {
                self.diagnostics.push(errors::no_own_namespace(word.span, scope));
                None
            }
        }
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
            ports.push(ServicePort { app: port.app.map(AppProtocol::unless_gateway), ..port });
        }
        let key = (self.namespace(&item.namespace)?, item.name.text.clone());
        let service = Service {
            selector,
            ports,
            headless: false,
            outside: None,
            keeps_clients: false,
            addresses: Vec::new(),
            waypoint: None,
            external_name: None,
            origin: span,
        };
        match self.inventory.services.get_mut(&key) {
            Some(have) if !agree(have, &service) => {
                let (first, why) = (have.origin, errors::service_difference(have, &service));
                self.contradict(span, &format!("Service {}/{}", key.0, key.1), first, &why);
            }
            Some(have) => {
                for port in &mut have.ports {
                    let same = |said: &&ServicePort| said.port == port.port && said.protocol == port.protocol;
                    if !port.unread {
                        port.app = port.app.or(service.ports.iter().find(same).and_then(|said| said.app));
                    }
                }
            }
            None => {
                self.inventory.services.insert(key, service);
            }
        }
        Some(())
    }

    /// Adds pods that exist or will exist. If the inventory has a workload of that name, both are about the same pods,
    /// and from then on the name selects by the declaration's labels.
    fn declare_workload(&mut self, item: &WorkloadDecl, span: Span, declared: &mut Declared) -> Option<()> {
        let mut said = self.workload(item, span)?;
        let key = (said.namespace.clone(), said.name.clone());
        if !self.is_standard && self.inventory.given && !self.inventory.namespaces.contains_key(&said.namespace) {
            let near = self.inventory.nearest_namespace(&said.namespace);
            self.diagnostics.push(errors::unknown_namespace(item.namespace.span, &said.namespace, near, None));
            return None;
        }
        let known = self.inventory.named(&key.0, &key.1);
        let differs = known.iter().copied().chain(declared.get(&key)).find_map(|known| {
            let others = |labels: &Requirements| {
                let here = declared.range((key.0.clone(), SmolStr::default())..).map(|(_, other)| other);
                let here =
                    here.take_while(|other| other.namespace == key.0).filter(|other| labels.matches(&other.labels));
                let mut all: Vec<&Workload> = self.inventory.labelled(&key.0, labels).into_iter().chain(here).collect();
                all.retain(|other| other.name != key.1);
                all.sort_by_key(|other| (&other.name, other.kind));
                all
            };
            Some((known.origin, difference_of_workloads(known, &said, others)?))
        });
        let is_shown = !known.is_empty();
        if let Some((first, why)) = differs {
            self.contradict(span, &format!("the workload {}/{}", key.0, key.1), first, &why);
            return None;
        }
        if is_shown {
            self.inventory.confirm_workload(said);
        } else if let Some(before) = declared.get_mut(&key) {
            before.confirm(&said);
        } else {
            said.sidecar = self.inventory.is_meshed(&said);
            declared.insert(key, said);
        }
        Some(())
    }

    fn workload(&mut self, item: &WorkloadDecl, origin: Span) -> Option<Workload> {
        let labels = self.labels(&item.labels)?;
        let mut ports: Vec<ContainerPort> = Vec::new();
        for written in &item.ports {
            let protocol = written.protocol.unwrap_or(Protocol::Tcp);
            let port = ContainerPort { name: Some(written.name.text.clone()), port: written.port, protocol };
            if !is_port_name(&written.name.text) {
                self.diagnostics.push(errors::no_port_name(written.name.span, &written.name.text));
                return None;
            }
            if ports.iter().any(|have| have.name == port.name && have.port != port.port && have.protocol == protocol) {
                self.diagnostics.push(errors::port_name_twice(written.span, &written.name.text));
                return None;
            }
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        let host_network = item.host_network.is_some_and(|(_, yes)| yes);
        if let (true, Some((span, true))) = (host_network, item.sidecar) {
            self.diagnostics.push(errors::sidecar_on_host(span));
            return None;
        }
        Some(Workload {
            kind: WorkloadKind::Declared,
            namespace: self.namespace(&item.namespace)?,
            name: item.name.text.clone(),
            selector: equalities(&labels).filter(|labels| !labels.is_any()),
            account: item.account.as_ref().map(|account| account.text.clone()).unwrap_or_default(),
            ports,
            host_network,
            sidecar: false,
            injection: match item.sidecar {
                Some((_, true)) => Injection::Present,
                Some((_, false)) => Injection::Never,
                None if host_network => Injection::Never,
                None => Injection::ByNamespace,
            },
            refuses: None,
            left_out: Vec::new(),
            addresses: Vec::new(),
            owned: false,
            template: None,
            owner: None,
            labels,
            origin,
        })
    }

    fn contradict(&mut self, span: Span, what: &str, first: Span, why: &str) {
        self.diagnostics.push(match self.is_standard {
            true => errors::library_fact(first, what, span),
            false => errors::contradicting_facts(span, what, first, why),
        });
    }
}

/// Returns how a declaration differs from the known workload of its name, if it does. A declaration may leave facts
/// out; those that it states must be true, and its labels must distinguish the workload's pods from all `others`.
fn difference_of_workloads<'w>(
    known: &Workload,
    said: &Workload,
    others: impl Fn(&Requirements) -> Vec<&'w Workload>,
) -> Option<String> {
    let declared = known.kind == WorkloadKind::Declared;
    let missing = |(key, value): &(&SmolStr, &SmolStr)| known.labels.get(*key) != Some(*value);
    if let Some((key, value)) = said.labels.iter().find(missing) {
        let there = known.labels.get(key).map_or_else(|| format!("no {key}"), |other| format!("{key}={other}"));
        return Some(format!("its pods have {there} there, and {key}={value} here"));
    }
    if declared && known.labels.len() > said.labels.len() && !said.labels.is_empty() {
        return Some("more labels are given there".into());
    }
    if !known.account.is_empty() && !said.account.is_empty() && known.account != said.account {
        return Some(format!("its pods run as `{}` there, and as `{}` here", known.account, said.account));
    }
    let number = |port: &ContainerPort, of: &Workload| {
        of.ports.iter().find(|one| one.name == port.name && one.protocol == port.protocol).map(|one| one.port)
    };
    for port in &said.ports {
        let name = port.name.clone().unwrap_or_default();
        match number(port, known) {
            Some(other) if other != port.port => {
                return Some(format!("its port `{name}` is {other} there, and {} here", port.port));
            }
            None if !declared => return Some(format!("its pods have no port `{name}` there")),
            _ => {}
        }
    }
    if known.host_network != said.host_network {
        let there = if known.host_network { "" } else { "not " };
        return Some(format!("its pods are {there}on the host network there"));
    }
    let has = |injection| match injection {
        Injection::Present => Some(true),
        Injection::Never | Injection::Gateway => Some(false),
        Injection::Asked | Injection::ByNamespace => None,
    };
    let there = if declared { has(known.injection) } else { Some(known.sidecar) };
    if let (Some(there), Some(here)) = (there, has(said.injection))
        && there != here
    {
        let there = if there { "a" } else { "no" };
        return Some(format!("its pods have {there} sidecar there"));
    }
    let (own, selector) = (known.selector.as_ref()?, said.selector.as_ref()?);
    let other = others(selector).into_iter().find(|other| !own.matches(&other.labels))?;
    Some(format!("these labels are those of {} too", workload_words(other)))
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

/// Returns whether two statements of one Service agree. The names of ports do not count, nor the protocol of a port if
/// only one of the two gives it.
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
    Some(ServicePort {
        name: None,
        port: port.port,
        protocol: protocol.unwrap_or(Protocol::Tcp),
        node_port: None,
        target,
        app,
        unread: false,
    })
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

//! From pods as destinations to the Services that lead to them: a Sidecar imports Services, not pods.

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::destinations::{Class, Item};
use super::facts::{Facts, Known};
use super::judge::Flaw;
use crate::policy::{
    AppProtocol, ContainerPort, Labels, PodSelector, PortMatch, PortTest, Ports, Protocol, Requirement, Requirements,
    Service, ServicePort, TargetPort, Workload,
};

/// The Services that lead to some pods on some ports.
#[derive(Clone, Debug, Default)]
pub(super) struct Reached {
    /// What to import.
    pub(super) items: Vec<Item>,
    /// What else comes along.
    pub(super) flaw: Option<Flaw>,
}

/// Finds Services, and remembers them.
pub(super) struct Services<'f, 'a> {
    facts: &'f Facts<'a>,
    memory: FxHashMap<(PodSelector, Ports), Reached>,
}

impl<'f, 'a> Services<'f, 'a> {
    /// Makes a finder of Services.
    pub(super) fn new(facts: &'f Facts<'a>) -> Services<'f, 'a> {
        Services { facts, memory: FxHashMap::default() }
    }

    /// Returns what a Sidecar imports for pods on ports.
    pub(super) fn reach(&mut self, selector: &PodSelector, ports: &Ports) -> &Reached {
        let facts = self.facts;
        let key = (selector.clone(), ports.clone());
        self.memory.entry(key).or_insert_with(|| reach(facts, selector, ports))
    }
}

/// Returns the Services of a namespace on all their TCP ports.
pub(super) fn all_of(facts: &Facts<'_>, namespace: &SmolStr) -> Option<Vec<Item>> {
    facts.known(namespace)?;
    Some(reach(facts, &PodSelector::in_namespace(namespace.clone()), &Ports::Some(vec![every_tcp_port()])).items)
}

fn every_tcp_port() -> PortMatch {
    PortMatch::range(1, u16::MAX, Protocol::Tcp)
}

fn reach(facts: &Facts<'_>, selector: &PodSelector, ports: &Ports) -> Reached {
    let mut reached = Reached::default();
    let wanted: Option<Vec<&PortMatch>> = match ports {
        Ports::All => None,
        Ports::Some(list) => Some(list.iter().filter(|port| port.protocol == Protocol::Tcp).collect()),
    };
    if wanted.as_ref().is_some_and(Vec::is_empty) {
        return reached;
    }
    let whole = selector.all_pods() && wanted.is_none();
    if whole && selector.namespace.is_any() {
        reached.items.push(Item::Services { namespace: None });
        return reached;
    }
    let Some(namespaces) = facts.namespaces(selector) else {
        reached.items.push(Item::Services { namespace: None });
        reached.flaw = Some(Flaw::wider("without an inventory the Services of every namespace are let through"));
        return reached;
    };
    for (namespace, sure) in namespaces {
        if whole {
            reached.items.push(Item::Services { namespace: Some(namespace.clone()) });
            if !sure {
                reached.flaw = Some(Flaw::wider(format!("the labels of namespace {namespace} are not known")));
            }
            continue;
        }
        let before = reached.items.len();
        if let Some(known) = facts.known(namespace) {
            of_namespace(namespace, known, selector, wanted.as_deref(), &mut reached);
        }
        let unknown = facts.known(namespace).is_none() || !facts.closed();
        if reached.items.len() == before && unknown {
            reached.items.push(Item::Services { namespace: Some(namespace.clone()) });
            reached.flaw = Some(Flaw::wider(format!(
                "the Services that lead there are not known, so that all of namespace {namespace} are let through"
            )));
        }
    }
    reached
}

/// Adds the Services of one namespace that have a pod in `selector` on one of the ports.
fn of_namespace(
    namespace: &SmolStr,
    known: &Known<'_>,
    selector: &PodSelector,
    wanted: Option<&[&PortMatch]>,
    reached: &mut Reached,
) {
    let candidates: Vec<usize> = match known.workloads.is_empty() {
        true => (0..known.services.len()).collect(),
        false => known.services_of(known.numbers(selector)),
    };
    for at in candidates {
        let (name, service) = known.services[at];
        let Some(labels) = &service.selector else { continue };
        let Some(pods) = Behind::new(known, labels, selector) else { continue };
        let mut any = false;
        for port in service.ports.iter().filter(|port| port.protocol == Protocol::Tcp) {
            if wanted.is_some_and(|wanted| !pods.listen(port, wanted)) {
                continue;
            }
            any = true;
            let class = class(port);
            reached.items.push(Item::Service {
                namespace: namespace.clone(),
                name: name.clone(),
                port: port.port,
                class,
                headless: service.headless,
            });
            if service.headless && matches!(class, Class::Http | Class::Auto) {
                reached.flaw = Some(Flaw::wider(format!(
                    "Service {namespace}/{name} is headless: who names it as the host reaches any address on {}",
                    port.port
                )));
            }
        }
        if any && pods.others {
            reached
                .flaw
                .get_or_insert_with(|| Flaw::wider(format!("Service {namespace}/{name} leads to other pods too")));
        }
    }
}

/// The pods behind a Service.
struct Behind<'a> {
    /// Those that are meant, where they are known.
    meant: Vec<&'a Workload>,
    /// Whether there are, or may be, others.
    others: bool,
}

impl<'a> Behind<'a> {
    /// Finds the pods behind a Service; `None` where none of them is meant.
    fn new(known: &Known<'a>, labels: &Labels, selector: &PodSelector) -> Option<Behind<'a>> {
        let pairs: Vec<(SmolStr, SmolStr)> = labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        if known.workloads.is_empty() {
            let list = pairs.into_iter().map(|(key, value)| Requirement::is_in(key, [value]));
            let service = PodSelector { labels: Requirements::new(list)?, ..PodSelector::any() };
            let pods = PodSelector { namespace: Requirements::any(), ..selector.clone() };
            service.intersect(&pods)?;
            return Some(Behind { meant: Vec::new(), others: !service.is_inside(&[pods]) });
        }
        let all = known.having(&pairs);
        let pods = all.iter().map(|&at| known.workloads[at as usize]);
        let meant: Vec<&'a Workload> = pods.filter(|workload| super::facts::means(selector, workload)).collect();
        let others = meant.len() < all.len();
        (!meant.is_empty()).then_some(Behind { meant, others })
    }

    /// Returns whether a Service's port leads to one of the wanted ports of the pods that are meant.
    fn listen(&self, port: &ServicePort, wanted: &[&PortMatch]) -> bool {
        wanted.iter().any(|wanted| match (&wanted.port, &port.target) {
            (PortTest::Range(first, last), TargetPort::Number(number)) => (first..=last).contains(&number),
            (PortTest::Named(name), TargetPort::Name(target)) if name == target => true,
            (PortTest::Range(first, last), TargetPort::Name(target)) => {
                self.meant.is_empty() || self.numbers(target).any(|number| (*first..=*last).contains(&number))
            }
            (PortTest::Named(name), TargetPort::Number(number)) => {
                self.meant.is_empty() || self.numbers(name).any(|other| other == *number)
            }
            (PortTest::Named(name), TargetPort::Name(target)) => {
                self.numbers(name).any(|number| self.numbers(target).any(|other| other == number))
            }
        })
    }

    fn numbers(&self, name: &SmolStr) -> impl Iterator<Item = u16> {
        self.meant.iter().flat_map(|workload| numbers_of(&workload.ports, name))
    }
}

/// Returns the numbers of the TCP ports with a name.
pub(super) fn numbers_of(ports: &[ContainerPort], name: &SmolStr) -> impl Iterator<Item = u16> {
    let tcp = ports.iter().filter(move |port| port.protocol == Protocol::Tcp && port.name.as_ref() == Some(name));
    tcp.map(|port| port.port)
}

/// Returns how Istio reads a Service's port: by what is known of it, else by the prefix of its name.
pub(super) fn class(port: &ServicePort) -> Class {
    match port.app {
        Some(AppProtocol::Http | AppProtocol::Grpc) => Class::Http,
        Some(AppProtocol::Tls) => Class::Tls,
        None => {
            let prefix = port.name.as_ref().and_then(|name| name.split('-').next()).unwrap_or_default();
            match prefix {
                "tcp" | "mongo" | "redis" | "mysql" => Class::Tcp,
                _ => Class::Auto,
            }
        }
    }
}

/// Returns the TCP ports of a Service, where it is known.
pub(super) fn tcp_ports(service: &Service) -> impl Iterator<Item = u16> {
    service.ports.iter().filter(|port| port.protocol == Protocol::Tcp).map(|port| port.port)
}

/// Returns whether a Service names a number for another protocol before it does for TCP.
pub(super) fn other_first(service: &Service, number: u16) -> bool {
    service.ports.iter().find(|port| port.port == number).is_some_and(|port| port.protocol != Protocol::Tcp)
}

//! Services that lead to the pods of a destination: a Sidecar imports Services, not pods.
//!
//! ```text
//! allow egress garden/* -> shop/{app=cart}:8080    the Services whose labels select `app=cart` and lead to its 8080
//! ```
//!
//! If no inventory has the Services of a namespace, all of them are imported, because any may lead there: a gap.

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::items::{Class, Item};
use crate::inventory::{Service, ServicePort, TargetPort, Workload};
use crate::model::labels::{Labels, PodSelector, Requirement, Requirements};
use crate::model::ports::{AppProtocol, PortMatch, PortTest, Ports, Protocol};
use crate::targets::Refuses;
use crate::targets::istio::facts::{Facts, NamespaceFacts, means};
use crate::targets::istio::findings::IstioGap;
use crate::targets::istio::plan::ports::numbers_of;
use crate::targets::istio::words::list_names;

/// The Services that lead to some pods on some ports.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// The items to import.
    pub items: Vec<Item>,
    /// The gap of items that let more through.
    pub gap: Option<IstioGap>,
    /// The headless Services that lead to any address, each with its port.
    pub at_any_address: Vec<(String, u16)>,
    /// The flows that are refused although the rule allows them.
    pub narrower: Option<(Refuses, String)>,
}

impl Reached {
    fn wider(&mut self, why: impl FnOnce() -> String) {
        self.gap.get_or_insert_with(|| IstioGap::wider(why()));
    }

    /// Adds the headless Services of a namespace that is imported whole. Their callers reach other addresses only if
    /// they mean to, as pods do that avoid their sidecars.
    fn headless(&mut self, known: Option<&NamespaceFacts<'_>>, namespace: &str) {
        for (name, service) in known.into_iter().flat_map(|known| &known.services) {
            let tcp = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
            let anywhere = tcp.filter(|port| leads_anywhere(service, port));
            self.at_any_address.extend(anywhere.map(|port| (format!("{namespace}/{name}"), port.port)));
        }
    }
}

/// Returns whether a Service's port leads to any address that a pod dials. A headless Service has a route for its name,
/// by which requests go on to where they were going; so does one whose port name gives no protocol, wherever something
/// else on the port is read as HTTP.
fn leads_anywhere(service: &Service, port: &ServicePort) -> bool {
    service.headless && matches!(class(port), Class::Http | Class::Auto)
}

fn to_any_address(namespace: &str, name: &str, port: u16) -> IstioGap {
    let why = format!("Service {namespace}/{name} is headless: who names it as the host reaches any address on {port}");
    IstioGap::mendable(why, "name that port `tcp-…`, by which sidecars read no requests on it")
}

/// A finder of Services, which remembers them.
pub struct Services<'f, 'a> {
    facts: &'f Facts<'a>,
    memory: FxHashMap<(PodSelector, Ports), Reached>,
}

impl<'f, 'a> Services<'f, 'a> {
    /// Makes a finder of Services.
    pub fn new(facts: &'f Facts<'a>) -> Services<'f, 'a> {
        Services { facts, memory: FxHashMap::default() }
    }

    /// Returns the items that a Sidecar imports for pods on ports.
    pub fn reach(&mut self, selector: &PodSelector, ports: &Ports) -> &Reached {
        let facts = self.facts;
        let key = (selector.clone(), ports.clone());
        self.memory.entry(key).or_insert_with(|| reach(facts, selector, ports))
    }
}

/// Returns the Services of a namespace on all their TCP ports.
pub fn all_of(facts: &Facts<'_>, namespace: &SmolStr) -> Option<Vec<Item>> {
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
        everywhere(facts, &mut reached);
        return reached;
    }
    let Some(namespaces) = facts.namespaces(selector) else {
        reached.items.push(Item::Services { namespace: None });
        reached.gap = Some(IstioGap::wider("without an inventory the Services of every namespace are let through"));
        return reached;
    };
    for (namespace, sure) in namespaces {
        if whole {
            whole_namespace(facts, namespace, &mut reached);
            if !sure {
                reached.wider(|| format!("the labels of namespace {namespace} are not known"));
            }
            continue;
        }
        let known = facts.known(namespace);
        let all_known = facts.closed() && known.is_some();
        let mut found = Found::default();
        if let Some(known) = known {
            found = Found::new(facts, namespace, known, selector, wanted.as_deref());
        }
        if all_known || found.says_all(selector, wanted.as_deref()) {
            reached.items.append(&mut found.items);
            reached.gap = reached.gap.or(found.gap);
            reached.at_any_address.append(&mut found.at_any_address);
            if !all_known && wanted.is_none() {
                let words = "ports of these pods are refused that no stated Service leads to";
                reached.narrower.get_or_insert_with(|| (Refuses::Unasked, words.into()));
            }
            continue;
        }
        // A Service that the inventory lacks may also lead there, and an allowed flow must pass.
        reached.items.push(Item::Services { namespace: Some(namespace.clone()) });
        reached.headless(known, namespace);
        reached.wider(|| {
            format!("the Services that lead there are not known, so that all of namespace {namespace} are let through")
        });
    }
    reached
}

/// Returns whether a port of a Service has the number that it has at the pods. Who asks for a headless Service gets the
/// addresses of its pods, and dials its port there.
fn is_own_port(facts: &Facts<'_>, pods: &PodSelector, port: &ServicePort) -> bool {
    match &port.target {
        TargetPort::Number(number) => *number == port.port,
        TargetPort::Name(name) => {
            let numbers = facts.policy.inventory.numbers_of(pods, name, port.protocol);
            numbers.is_none_or(|numbers| numbers.iter().all(|number| *number == port.port))
        }
    }
}

/// Adds the Services of every namespace.
fn everywhere(facts: &Facts<'_>, reached: &mut Reached) {
    let outside = |name: &&SmolStr| facts.known(name).is_some_and(|known| known.leading_elsewhere().next().is_some());
    if facts.closed() && facts.names().iter().copied().any(|name| outside(&name)) {
        facts.names().iter().for_each(|name| whole_namespace(facts, name, reached));
    } else {
        reached.items.push(Item::Services { namespace: None });
        facts.names().iter().for_each(|name| reached.headless(facts.known(name), name));
    }
}

/// Adds the Services of a namespace that have pods. A Service without a selector leads to endpoints that others set,
/// and one of pods on the host network to nodes; the rule means neither.
fn whole_namespace(facts: &Facts<'_>, namespace: &SmolStr, reached: &mut Reached) {
    let known = facts.known(namespace);
    let outside: Vec<String> =
        known.into_iter().flat_map(NamespaceFacts::leading_elsewhere).map(SmolStr::to_string).collect();
    if outside.is_empty() {
        reached.items.push(Item::Services { namespace: Some(namespace.clone()) });
        reached.headless(known, namespace);
        return;
    }
    let list = || list_names(&outside);
    match known.filter(|_| facts.closed()) {
        Some(known) => {
            let all = PodSelector::in_namespace(namespace.clone());
            let mut found = Found::new(facts, namespace, known, &all, None);
            reached.items.append(&mut found.items);
            reached.gap = reached.gap.take().or(found.gap);
            reached.at_any_address.append(&mut found.at_any_address);
            let words = format!(
                "Services of {namespace} without a selector are refused, since they lead to no pods: {}",
                list()
            );
            reached.narrower.get_or_insert((Refuses::NothingAskedFor, words));
        }
        None => {
            reached.items.push(Item::Services { namespace: Some(namespace.clone()) });
            reached.headless(known, namespace);
            reached.wider(|| format!("Services of {namespace} lead elsewhere than to its pods: {}", list()));
        }
    }
}

/// The known Services of one namespace that have a pod in a selector on one of the wanted ports.
#[derive(Default)]
struct Found {
    items: Vec<Item>,
    gap: Option<IstioGap>,
    at_any_address: Vec<(String, u16)>,
    /// Their selectors, each with the TCP ports of the pods.
    leads: Vec<(PodSelector, Vec<PortTest>)>,
}

impl Found {
    fn new(
        facts: &Facts<'_>,
        namespace: &SmolStr,
        known: &NamespaceFacts<'_>,
        selector: &PodSelector,
        wanted: Option<&[&PortMatch]>,
    ) -> Found {
        let mut found = Found::default();
        let by_pods = facts.closed() && !known.workloads.is_empty();
        let candidates: Vec<usize> = match by_pods {
            false => (0..known.services.len()).collect(),
            true => {
                let mut candidates = known.services_of(known.numbers(selector));
                candidates.extend(&known.idle);
                candidates.sort_unstable();
                candidates
            }
        };
        for at in candidates {
            let (name, service) = known.services[at];
            let Some(labels) = &service.selector else { continue };
            let Some(pods) = Behind::new(known, labels, selector, by_pods) else { continue };
            let mut any = false;
            let mut targets = Vec::new();
            for port in service.ports.iter().filter(|port| port.protocol == Protocol::Tcp) {
                let led = wanted.map_or(Led::There, |wanted| pods.led(port, wanted));
                if led == Led::Elsewhere {
                    continue;
                }
                any = true;
                if led == Led::Both {
                    found.gap.get_or_insert_with(|| {
                        let number = port.port;
                        IstioGap::wider(format!("port {number} of Service {namespace}/{name} leads to other ports too"))
                    });
                }
                targets.push(match &port.target {
                    TargetPort::Number(number) => PortTest::Range(*number, *number),
                    TargetPort::Name(name) => PortTest::Named(name.clone()),
                });
                let class = class(port);
                found.items.push(Item::Service {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    port: port.port,
                    class,
                    headless: service.headless,
                });
                if leads_anywhere(service, port) {
                    found.gap = Some(to_any_address(namespace, name, port.port));
                    found.at_any_address.push((format!("{namespace}/{name}"), port.port));
                } else if service.headless && !is_own_port(facts, selector, port) {
                    found.gap = Some(IstioGap::wider(format!(
                        "Service {namespace}/{name} is headless: its port {0} is port {0} of its pods there, whatever \
                         targetPort says",
                        port.port
                    )));
                }
            }
            if any && (pods.others || known.on_nodes.binary_search(&at).is_ok()) {
                found.gap.get_or_insert_with(|| {
                    IstioGap::wider(format!("Service {namespace}/{name} leads to other pods too"))
                });
            }
            if let (true, false, Some(selected)) = (any, facts.closed(), selected(labels)) {
                found.leads.push((PodSelector { namespace: selector.namespace.clone(), ..selected }, targets));
            }
        }
        found
    }

    /// Returns whether these Services lead to all pods of a selector on each of the wanted ports, so that no unknown
    /// Service changes the gap.
    fn says_all(&self, selector: &PodSelector, wanted: Option<&[&PortMatch]>) -> bool {
        let led = |port: Option<&PortMatch>| {
            let to = |(_, targets): &&(PodSelector, Vec<PortTest>)| match port.map(|port| &port.port) {
                None => true,
                Some(test @ PortTest::Named(_)) => targets.contains(test),
                Some(PortTest::Range(first, last)) => {
                    (*first..=*last).all(|number| targets.contains(&PortTest::Range(number, number)))
                }
            };
            let pods: Vec<PodSelector> = self.leads.iter().filter(to).map(|(pods, _)| pods.clone()).collect();
            selector.is_inside(&pods)
        };
        match wanted {
            None => led(None),
            Some(ports) => ports.iter().all(|port| led(Some(port))),
        }
    }
}

/// Returns the pods that have a Service's labels.
fn selected(labels: &Labels) -> Option<PodSelector> {
    let list = labels.iter().map(|(key, value)| Requirement::is_in(key.clone(), [value.clone()]));
    Some(PodSelector { labels: Requirements::new(list)?, ..PodSelector::any() })
}

/// The pods behind a Service.
struct Behind<'a> {
    /// The known pods of the rule.
    meant: Vec<&'a Workload>,
    /// Whether other pods exist or may exist.
    others: bool,
}

impl<'a> Behind<'a> {
    /// Finds the pods behind a Service; `None` if none of them is a pod of the rule. If no pod is known behind it, or
    /// if others may exist, its labels decide.
    fn new(known: &NamespaceFacts<'a>, labels: &Labels, selector: &PodSelector, by_pods: bool) -> Option<Behind<'a>> {
        let pairs: Vec<(SmolStr, SmolStr)> = labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let all = if by_pods { known.having(&pairs) } else { Vec::new() };
        if all.is_empty() {
            let service = selected(labels)?;
            let pods = PodSelector { namespace: Requirements::any(), ..selector.clone() };
            service.intersect(&pods)?;
            return Some(Behind { meant: Vec::new(), others: !service.is_inside(&[pods]) });
        }
        let pods = all.iter().map(|&at| known.workloads[at as usize]);
        let meant: Vec<&'a Workload> = pods.filter(|workload| means(selector, workload)).collect();
        let others = meant.len() < all.len();
        (!meant.is_empty()).then_some(Behind { meant, others })
    }

    /// Returns whether a Service's port leads to the wanted ports of the rule's pods.
    fn led(&self, port: &ServicePort, wanted: &[&PortMatch]) -> Led {
        let mut to = self.meant.iter().flat_map(|workload| {
            let numbers: Vec<u16> = match &port.target {
                TargetPort::Number(number) => vec![*number],
                TargetPort::Name(name) => numbers_of(&workload.ports, name).collect(),
            };
            numbers.into_iter().map(|number| wanted.iter().any(|wanted| is_at(workload, number, &wanted.port)))
        });
        if let Some(first) = to.next() {
            let same = to.all(|other| other == first);
            return if same && first {
                Led::There
            } else if same {
                Led::Elsewhere
            } else {
                Led::Both
            };
        }
        let led = wanted.iter().map(|wanted| match (&wanted.port, &port.target) {
            (PortTest::Range(first, last), TargetPort::Number(number)) if (first..=last).contains(&number) => {
                Led::There
            }
            (PortTest::Named(name), TargetPort::Name(target)) if name == target => Led::There,
            (PortTest::Range(1, u16::MAX), _) => Led::There,
            (PortTest::Range(..), TargetPort::Number(_)) => Led::Elsewhere,
            // For unknown pods a port name may have any number.
            _ if self.meant.is_empty() => Led::Both,
            _ => Led::Elsewhere,
        });
        led.min().unwrap_or(Led::Elsewhere)
    }
}

/// The pods' ports that a port of a Service leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Led {
    /// Only wanted ports.
    There,
    /// Wanted ports, and others or perhaps others.
    Both,
    /// No wanted port.
    Elsewhere,
}

/// Returns whether a number of a workload's pods is a port that a rule names: 8080 is `http` where a container says so.
fn is_at(workload: &Workload, number: u16, test: &PortTest) -> bool {
    match test {
        PortTest::Range(first, last) => (*first..=*last).contains(&number),
        PortTest::Named(name) => numbers_of(&workload.ports, name).any(|other| other == number),
    }
}

/// Returns the protocol that Istio reads on a Service's port.
pub fn class(port: &ServicePort) -> Class {
    match port.app {
        Some(AppProtocol::Http | AppProtocol::Grpc) => Class::Http,
        Some(AppProtocol::Tls | AppProtocol::Https) => Class::Tls,
        None if port.unread => Class::Tcp,
        None => Class::Auto,
    }
}

/// Returns the TCP ports of a Service, where it is known.
pub fn tcp_ports(service: &Service) -> impl Iterator<Item = u16> {
    service.ports.iter().filter(|port| port.protocol == Protocol::Tcp).map(|port| port.port)
}

/// Returns whether a Service names a number for another protocol before it does for TCP.
pub fn other_first(service: &Service, number: u16) -> bool {
    service.ports.iter().find(|port| port.port == number).is_some_and(|port| port.protocol != Protocol::Tcp)
}

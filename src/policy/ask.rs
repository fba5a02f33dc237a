//! Questions in words: from `garden/web` and `zenquotes.io:443` to concrete flows, and the verdict on them.

use std::net::IpAddr;

use smol_str::SmolStr;

use super::eval::{Verdict, eval};
use super::flow::{Flow, Party, Pod, Request};
use super::{Inventory, Policy};
use crate::diag::Diagnostics;
use crate::inventory::{Meant, TargetPort, Unclear, Wanted, Workload, WorkloadKind};
use crate::source::Sources;
use crate::syntax::tree::{Expr, ExprKind, LabelTest, NamespacePattern, PodPattern, Port, PortKind, PortProtocol};
use crate::vocab::addresses::AddressSet;
use crate::vocab::endpoint::What;
use crate::vocab::labels::{Labels, NAMESPACE_NAME, PodSelector};
use crate::vocab::ports::Protocol;

/// A question as a person or a line of `--flows` puts it.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Who sends: an address, a host, a pod.
    pub from: String,
    /// To whom, perhaps with `:port` or `:port/protocol`.
    pub to: String,
    /// The port, by number or name, where `to` has none.
    pub port: Option<String>,
    /// The protocol, where `to` has none; TCP where nobody says.
    pub protocol: Option<String>,
    /// What is asked for.
    pub request: Request,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The flow that decided: where several pods may be meant, the first that is denied, else the first.
    pub flow: Flow,
    /// The decision on it.
    pub verdict: Verdict,
}

/// Decides a question. Where a name means several pods, the answer is "allowed" only if it is for each of them. The
/// error says, in words, what cannot be judged.
pub fn ask(policy: &Policy, question: &Question) -> Result<Answer, String> {
    let from = parse(&question.from)?;
    let to = parse(&question.to)?;
    if from.ports.is_some() {
        return Err(format!("`{}`: the port that a client sends from says nothing", question.from));
    }
    let wanted = wanted_port(&to, question)?;
    let sources = parties(policy, &from, &question.from)?;
    let targets = targets(policy, &to, &question.to, &wanted)?;
    let mut answer: Option<Answer> = None;
    for source in &sources {
        for target in &targets {
            let flow = Flow {
                source: source.clone(),
                destination: target.party.clone(),
                port: target.port,
                protocol: target.protocol,
                request: question.request.clone(),
            };
            let verdict = eval(policy, &flow);
            if !verdict.allowed() {
                return Ok(Answer { flow, verdict });
            }
            answer = answer.or(Some(Answer { flow, verdict }));
        }
    }
    answer.ok_or_else(|| format!("`{}` is nothing that can be judged", question.to))
}

fn parse(text: &str) -> Result<Expr, String> {
    let mut sources = Sources::new();
    let file = sources.add("", text);
    let mut diagnostics = Diagnostics::new();
    let span = crate::source::Span::new(file, 0, text.len());
    // A question is not the language: an address alone is clear without the brackets that a policy needs.
    let bracketed = text.parse::<std::net::Ipv6Addr>().is_ok().then(|| format!("[{text}]"));
    let expr = crate::syntax::parse_endpoint(bracketed.as_deref().unwrap_or(text), span, &mut diagnostics);
    match diagnostics.iter().next() {
        Some(first) => Err(format!("`{text}`: {}", first.message)),
        None if expr.kind == ExprKind::Error => Err(format!("`{text}` is not an endpoint")),
        None => Ok(expr),
    }
}

/// The port of a question: which, and its protocol where it was said.
struct WantedPort {
    kind: Option<PortKind>,
    protocol: Option<Protocol>,
}

fn wanted_port(to: &Expr, question: &Question) -> Result<WantedPort, String> {
    let written = match to.ports.as_ref().map(|spec| spec.ports.as_slice()) {
        None => None,
        Some([one]) => Some(one),
        Some(_) => return Err(format!("`{}`: ask for one port at a time", question.to)),
    };
    let said = match written {
        Some(Port { protocol: Some(PortProtocol::Transport(protocol)), .. }) => Some(*protocol),
        Some(Port { protocol: Some(PortProtocol::App(_)), .. }) => Some(Protocol::Tcp),
        _ => None,
    };
    let protocol = match (&question.protocol, said) {
        (_, Some(said)) => Some(said),
        (Some(word), None) => Some(Protocol::parse(word).ok_or(format!("there is no protocol `{word}`"))?),
        (None, None) => None,
    };
    let kind = match (written, &question.port) {
        (Some(port), _) => Some(port.kind.clone()),
        (None, Some(text)) => Some(match text.parse::<u16>() {
            Ok(0) => return Err("a port is a number from 1 to 65535".into()),
            Ok(number) => PortKind::Number(number),
            Err(_) if text.bytes().all(|b| b.is_ascii_digit()) => {
                return Err("a port is a number from 1 to 65535".into());
            }
            Err(_) => PortKind::Name(text.into()),
        }),
        (None, None) => None,
    };
    match (&kind, protocol) {
        (_, Some(Protocol::Icmp)) => Ok(WantedPort { kind: None, protocol }),
        (None, _) => Err(format!("`{}` needs a port, as `{}:443`", question.to, question.to)),
        (Some(PortKind::Range(..) | PortKind::Any | PortKind::Error), _) => {
            Err(format!("`{}`: ask for one port at a time", question.to))
        }
        _ => Ok(WantedPort { kind, protocol }),
    }
}

/// A destination with its port.
struct Target {
    party: Party,
    port: Option<u16>,
    protocol: Protocol,
}

fn targets(policy: &Policy, to: &Expr, text: &str, wanted: &WantedPort) -> Result<Vec<Target>, String> {
    let inventory = &policy.inventory;
    let service = match &to.kind {
        ExprKind::Pods(NamespacePattern::Name(namespace), PodPattern::Name(name))
            if inventory.pod(&namespace.text, &name.text).is_none() =>
        {
            inventory.services.get(&(namespace.text.clone(), name.text.clone()))
        }
        ExprKind::Address(address) => {
            inventory.services.values().find(|service| service.addresses.contains(&address.ip))
        }
        _ => None,
    };
    let parties = match (&to.kind, service) {
        (ExprKind::Address(_), Some(service)) => {
            let namespace = inventory.services.iter().find(|(_, known)| std::ptr::eq(*known, service));
            let (namespace, name) = namespace.map(|(key, _)| key.clone()).unwrap_or_default();
            behind_service(policy, &namespace, &name)?
        }
        _ => parties(policy, to, text)?,
    };
    let known = match service.and_then(|service| service.selector.as_ref()) {
        Some(labels) => {
            let labels = crate::types::equalities(labels).unwrap_or_default();
            let key = inventory.services.iter().find(|(_, known)| service.is_some_and(|one| std::ptr::eq(*known, one)));
            let namespace = key.map(|((namespace, _), _)| namespace.clone()).unwrap_or_default();
            inventory.select(&PodSelector { labels, ..PodSelector::in_namespace(namespace) })
        }
        None => Vec::new(),
    };
    let mut all = Vec::new();
    for party in parties {
        let (port, protocol) = match (&wanted.kind, service, &party) {
            (None, _, _) => (None, Protocol::Icmp),
            (Some(kind), Some(service), Party::Pod(pod)) => {
                let found = match kind {
                    PortKind::Number(number) => service.port(Wanted::Number(*number), wanted.protocol, &known),
                    PortKind::Name(name) => service.port(Wanted::Name(name), wanted.protocol, &known),
                    _ => Err(Unclear::NoSuchPort),
                };
                let meant = found.map_err(|why| match why {
                    Unclear::NoSuchPort => format!("`{text}`: the Service has no such port"),
                    Unclear::Either(..) => format!("`{text}`: a port of the Service or of its pods? ask for a pod"),
                })?;
                let (Meant::Own(port) | Meant::Pods(port)) = meant;
                let number = match (meant, kind, &port.target) {
                    (Meant::Pods(_), PortKind::Number(number), _) => Some(*number),
                    (_, _, TargetPort::Number(number)) => Some(*number),
                    (_, _, TargetPort::Name(name)) => pod_port(pod, name, port.protocol),
                };
                // A pod without the named port is not behind that port of the Service.
                let Some(number) = number else { continue };
                (Some(number), port.protocol)
            }
            (Some(PortKind::Number(number)), _, _) => (Some(*number), wanted.protocol.unwrap_or(Protocol::Tcp)),
            (Some(PortKind::Name(name)), _, Party::Pod(pod)) => {
                let protocol = wanted.protocol.unwrap_or(Protocol::Tcp);
                match pod_port(pod, name, protocol) {
                    Some(number) => (Some(number), protocol),
                    None => return Err(format!("{} has no {} port named `{name}`", pod.shown, protocol.word())),
                }
            }
            (Some(_), _, _) => return Err(format!("`{text}`: a port name is for pods; write the number")),
        };
        all.push(Target { party, port, protocol });
    }
    if all.is_empty() {
        return Err(format!("`{text}`: no pod has this port"));
    }
    Ok(all)
}

fn pod_port(pod: &Pod, name: &SmolStr, protocol: Protocol) -> Option<u16> {
    let port = pod.ports.iter().find(|port| port.name.as_ref() == Some(name) && port.protocol == protocol)?;
    Some(port.port)
}

/// Returns what an endpoint of a question may mean.
fn parties(policy: &Policy, expr: &Expr, text: &str) -> Result<Vec<Party>, String> {
    // A pod is shown without the port that is asked for.
    let text = expr.ports.as_ref().and_then(|ports| text.get(..ports.span.start as usize)).unwrap_or(text);
    match &expr.kind {
        ExprKind::Address(address) => {
            let most = if address.ip.is_ipv4() { 32 } else { 128 };
            if address.prefix.is_some_and(|prefix| prefix != most) {
                return Err(format!("`{text}` is a network; ask for one address"));
            }
            Ok(vec![at_address(policy, address.ip)])
        }
        ExprKind::Host(host) if host.wildcard => Err(format!("`{text}` is many hosts; ask for one")),
        ExprKind::Host(host) => Ok(vec![Party::Host { name: host.name.clone(), at: whereabouts(policy, &host.name) }]),
        ExprKind::Pods(NamespacePattern::Name(namespace), pods) => {
            let namespace = &namespace.text;
            check_namespace(&policy.inventory, namespace)?;
            match pods {
                PodPattern::Name(name) => named(policy, namespace, &name.text),
                PodPattern::Labels(labels) => {
                    let mut exact = Labels::new();
                    for requirement in &labels.requirements {
                        let LabelTest::Equals(value) = &requirement.test else {
                            return Err(format!("`{text}`: one pod has these labels exactly, as `{{app=web}}`"));
                        };
                        exact.insert(requirement.key.text.clone(), value.text.clone());
                    }
                    Ok(vec![Party::Pod(made_up(policy, namespace, text, exact, "default".into()))])
                }
                PodPattern::Account(account) => {
                    Ok(vec![Party::Pod(made_up(policy, namespace, text, Labels::new(), account.text.clone()))])
                }
                PodPattern::Any => Err(format!("`{text}` is many pods; ask for one")),
            }
        }
        ExprKind::Name(name) => Err(format!("`{name}` is a name; ask for a pod, a host or an address")),
        _ => Err(format!("`{text}` is not one pod, host or address")),
    }
}

fn check_namespace(inventory: &Inventory, namespace: &SmolStr) -> Result<(), String> {
    if inventory.given && !inventory.namespaces.contains_key(namespace) {
        return Err(format!("the inventory has no namespace `{namespace}`"));
    }
    Ok(())
}

/// Returns the pod that has an address, or the address itself. Pods on the host network belong to their node.
fn at_address(policy: &Policy, address: IpAddr) -> Party {
    let pod = policy.inventory.workloads.iter().find(|workload| {
        workload.kind == WorkloadKind::Pod && !workload.host_network && workload.addresses.contains(&address)
    });
    match pod {
        Some(workload) => Party::Pod(pod_of(policy, workload)),
        None => Party::Address(address),
    }
}

fn named(policy: &Policy, namespace: &SmolStr, name: &SmolStr) -> Result<Vec<Party>, String> {
    let inventory = &policy.inventory;
    if let Some(pod) = inventory.pod(namespace, name) {
        return one_of(policy, pod);
    }
    if let Some(workload) = inventory.named(namespace, name).first() {
        return one_of(policy, workload);
    }
    if inventory.services.contains_key(&(namespace.clone(), name.clone())) {
        return behind_service(policy, namespace, name);
    }
    let labels = Labels::from([("app.kubernetes.io/name".into(), name.clone())]);
    let shown = format!("{namespace}/{name}");
    Ok(vec![Party::Pod(made_up(policy, namespace, &shown, labels, "default".into()))])
}

fn one_of(policy: &Policy, workload: &Workload) -> Result<Vec<Party>, String> {
    if !workload.host_network {
        return Ok(vec![Party::Pod(pod_of(policy, workload))]);
    }
    match workload.addresses.first() {
        Some(address) => Ok(vec![Party::Address(*address)]),
        None => Err(format!(
            "{}/{} is on the host network and belongs to its node; ask for the node's address",
            workload.namespace, workload.name
        )),
    }
}

fn behind_service(policy: &Policy, namespace: &SmolStr, name: &SmolStr) -> Result<Vec<Party>, String> {
    let inventory = &policy.inventory;
    let service = inventory.services.get(&(namespace.clone(), name.clone()));
    let Some(selector) = service.and_then(|service| service.selector.clone()) else {
        return Err(format!("the Service {namespace}/{name} has no pods of its own"));
    };
    let requirements = crate::types::equalities(&selector).unwrap_or_default();
    let pods = PodSelector { labels: requirements, ..PodSelector::in_namespace(namespace.clone()) };
    let known = inventory.select(&pods);
    if known.is_empty() {
        let shown = format!("{namespace}/{name}");
        return Ok(vec![Party::Pod(made_up(policy, namespace, &shown, selector, "default".into()))]);
    }
    Ok(known.into_iter().map(|workload| Party::Pod(pod_of(policy, workload))).collect())
}

fn pod_of(policy: &Policy, workload: &Workload) -> Pod {
    Pod {
        shown: format!("{}/{}", workload.namespace, workload.name),
        namespace_labels: namespace_labels(&policy.inventory, &workload.namespace),
        labels: workload.labels.clone(),
        account: workload.account.clone(),
        ports: workload.ports.clone(),
        sidecar: workload.sidecar,
    }
}

/// Makes a pod that the inventory does not have. Without an inventory every pod counts as meshed.
fn made_up(policy: &Policy, namespace: &SmolStr, shown: &str, labels: Labels, account: SmolStr) -> Pod {
    let namespace_labels = namespace_labels(&policy.inventory, namespace);
    let sidecar = !policy.inventory.given || policy.inventory.injects(namespace, &namespace_labels, &labels);
    Pod { shown: shown.into(), namespace_labels, labels, account, ports: Vec::new(), sidecar }
}

fn namespace_labels(inventory: &Inventory, namespace: &SmolStr) -> Labels {
    let mut labels = inventory.namespaces.get(namespace).map(|known| known.labels.clone()).unwrap_or_default();
    labels.insert(NAMESPACE_NAME.into(), namespace.clone());
    labels
}

/// Returns where a host may be: at the addresses that the source gives it, else in the internet.
fn whereabouts(policy: &Policy, name: &str) -> AddressSet {
    let sides = policy.rules.iter().flat_map(|rule| [&rule.source, &rule.destination]);
    let members = sides.flat_map(|side| &side.members);
    let mut nets: Vec<ipnet::IpNet> = members
        .filter_map(|member| match &member.what {
            What::Host(host) if host.matches(name) => Some(host.at.iter().map(|at| at.net)),
            _ => None,
        })
        .flatten()
        .collect();
    nets.sort();
    nets.dedup();
    if nets.is_empty() { policy.internet.clone() } else { AddressSet::of(nets) }
}

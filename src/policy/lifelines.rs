//! Lifelines: warnings about rules that cut off pods which the cluster itself needs (its resolver, istiod, the
//! gateways), and about a grant for DNS that does not reach the resolver.
//!
//! ```text
//! default deny ingress */*
//!     a warning: the resolver, istiod and the gateways are isolated, and nothing lets anybody in
//! default deny egress garden/*
//! allow egress garden/* -> shop/*
//! deny egress garden/* -> kube-system/*
//!     a warning: the way to the resolver is granted, and a deny beats it
//! ```

use super::{Grant, GrantReason, Policy};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::inventory::{ContainerPort, Matched, Service, ServicePort, TargetPort, Workload};
use crate::model::endpoint::{Endpoint, Member, Pods, What};
use crate::model::gateways::Via;
use crate::model::labels::{Account, PodSelector, Requirement, Requirements};
use crate::model::ports::{PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule};
use crate::settings::Layer;
use crate::types::equalities;

/// Pods that the cluster needs, with the ports on which it needs them.
struct Needed {
    /// Their name in a sentence.
    words: String,
    pods: Endpoint,
}

/// Warns about the resolver, istiod and gateways that some rule isolates and no rule opens. Without an inventory, a
/// rule for the resolver's own namespace alone is reported only if some pod is granted DNS.
pub fn warn_of_closed(
    policy: &Policy,
    grants: &[Grant],
    (dns, istiod): (&Endpoint, &Endpoint),
    diagnostics: &mut Diagnostics,
) {
    let resolver = Needed { words: "the cluster's DNS".into(), pods: only_pods(dns) };
    // If the inventory has the resolver's pods, the rule isolates them for the whole cluster, whichever pods of this
    // policy ask.
    let known = resolver.pods.pods().any(|(_, pods)| !policy.inventory.select(&pods.selector).is_empty());
    let asked = grants.iter().any(|grant| grant.reason == GrantReason::Dns);
    if let Some((rule, _)) = closing(policy, &resolver, Direction::Ingress).filter(|(_, wide)| asked || *wide || known)
    {
        let message = "this isolates the cluster's DNS, and nothing lets pods in";
        let usual = || "let them in: `use std/k8s`, then `allow ingress */* -> coredns:{53/udp, 53/tcp}`".to_owned();
        let diagnostic = Diagnostic::new(Code::ResolverClosed, rule.origin.place(), message);
        diagnostics.push(diagnostic.at("names stop resolving").note(way_in(dns).unwrap_or_else(usual)));
    }
    if let Some((rule, _)) = closing(policy, &resolver, Direction::Egress).filter(|(_, wide)| *wide) {
        let message = "this isolates the cluster's DNS, and nothing lets it out";
        let diagnostic = Diagnostic::new(Code::ResolverClosed, rule.origin.place(), message);
        diagnostics.push(diagnostic.at("it reaches neither the API server nor other resolvers").note(
            "let it out, to the API server and to the resolvers that it asks: `use std/k8s`, then `allow egress coredns \
             -> { any-apiserver, ADDRESS:{53/udp, 53/tcp} }`",
        ));
    }
    let mut mesh: Vec<Needed> = Vec::new();
    let knows = |pods: &Endpoint| pods.pods().any(|(_, pods)| !policy.inventory.select(&pods.selector).is_empty());
    let meshed = policy.settings.targets.contains(&Layer::Istio);
    if knows(istiod) || meshed && !policy.inventory.given {
        mesh.push(Needed { words: "istiod".into(), pods: istiod.clone() });
    }
    mesh.extend(gateways(policy));
    for direction in [Direction::Ingress, Direction::Egress] {
        let mut closed: Vec<(&Rule, &Needed)> = Vec::new();
        for needed in &mesh {
            closed.extend(closing(policy, needed, direction).map(|(rule, _)| (rule, needed)));
        }
        while let Some(&(rule, _)) = closed.first() {
            let (here, others): (Vec<_>, Vec<_>) =
                closed.into_iter().partition(|(other, _)| std::ptr::eq(*other, rule));
            closed = others;
            diagnostics.push(mesh_closed(rule, &here, direction));
        }
    }
}

fn mesh_closed(rule: &Rule, closed: &[(&Rule, &Needed)], direction: Direction) -> Diagnostic {
    let words: Vec<&str> = closed.iter().map(|(_, needed)| needed.words.as_str()).collect();
    let words = match words.as_slice() {
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
        [] => String::new(),
    };
    let way = if direction == Direction::Ingress { "lets anybody in" } else { "lets them out" };
    let namespace = closed.iter().find_map(|(_, needed)| needed.pods.pods().next()?.1.selector.namespace_name());
    let namespace = namespace.map_or("istio-system", |name| name.as_str());
    Diagnostic::new(Code::MeshClosed, rule.origin.place(), format!("this isolates {words}, and nothing {way}"))
        .at("the mesh stops working")
        .note(format!("open what a mesh needs: `use std/istio`, then `apply mesh-control-plane({namespace})`"))
}

/// Returns the gateways: those that are declared, and those of the inventory.
fn gateways(policy: &Policy) -> Vec<Needed> {
    let all_ports = |selector: &PodSelector, span| Member {
        span,
        what: What::Pods(Pods { selector: selector.clone(), named: None }),
        ports: Ports::All,
    };
    let mut found: Vec<Needed> = Vec::new();
    for gateway in &policy.gateways {
        let known = gateway.pods.iter().any(|pods| !policy.inventory.select(pods).is_empty());
        let used = || policy.rules.iter().any(|rule| rule.via.as_ref().is_some_and(|via| *via.gateway == **gateway));
        if known || used() {
            let members = gateway.pods.iter().map(|pods| all_ports(pods, gateway.span)).collect();
            found.push(Needed { words: format!("the gateway `{}`", gateway.name), pods: Endpoint { members } });
        }
    }
    for workload in policy.inventory.workloads.iter().filter(|workload| workload.is_gateway()) {
        let known = |needed: &Needed| {
            needed.pods.pods().any(|(_, pods)| policy.inventory.is_selected(&pods.selector, workload))
        };
        let labels = workload.selector.clone().or_else(|| equalities(&workload.labels));
        if found.iter().any(known) || workload.host_network {
            continue;
        }
        let Some(labels) = labels else { continue };
        let selector = PodSelector { labels, ..PodSelector::in_namespace(workload.namespace.clone()) };
        let members = [all_ports(&selector, workload.origin)].into_iter().collect();
        found.push(Needed {
            words: format!("the gateway {}/{}", workload.namespace, workload.name),
            pods: Endpoint { members },
        });
    }
    found
}

/// Returns the first rule that isolates pods in a direction, if no rule lets them through, and whether the rule is for
/// pods of unnamed namespaces too.
fn closing<'p>(policy: &'p Policy, needed: &Needed, direction: Direction) -> Option<(&'p Rule, bool)> {
    let mut closing: Option<(&Rule, bool)> = None;
    let through = |rule: &Rule| {
        let gateway = |via: &Via| {
            via.gateway.pods.iter().any(|pods| needed.pods.pods().any(|(_, own)| own.selector.overlaps(pods)))
        };
        rule.via.as_deref().is_some_and(gateway)
    };
    for rule in policy.rules.iter().filter(|rule| rule.action != Action::Deny) {
        let (governs, side) = match direction {
            Direction::Ingress => (rule.ingress, &rule.destination),
            Direction::Egress => (rule.egress, &rule.source),
        };
        let opens = match direction {
            Direction::Ingress => share_flows(side, &needed.pods),
            Direction::Egress => share_pods(side, &needed.pods),
        };
        if rule.action == Action::Allow && (through(rule) || governs && opens) {
            return None;
        }
        if closing.is_some_and(|(_, wide)| wide) || !governs {
            continue;
        }
        let isolates = |pods: &PodSelector| needed.pods.pods().any(|(_, own)| surely_meets(pods, &own.selector));
        for (_, pods) in side.pods().filter(|(_, pods)| isolates(&pods.selector)) {
            let wide = pods.selector.namespace_name().is_none();
            if closing.is_none_or(|(_, known)| wide && !known) {
                closing = Some((rule, wide));
            }
        }
    }
    closing
}

fn only_pods(endpoint: &Endpoint) -> Endpoint {
    let pods = endpoint.members.iter().filter(|member| matches!(member.what, What::Pods(_)));
    Endpoint { members: pods.cloned().collect() }
}

/// Returns an allow for a resolver that is not the usual one, ready to paste.
fn way_in(dns: &Endpoint) -> Option<String> {
    let (member, pods) = dns.pods().next()?;
    let usual = member.ports.entries().iter().all(|port| port.port == PortTest::Range(53, 53));
    if usual && pods.selector.labels.only("k8s-app").is_some_and(|app| app == "kube-dns") {
        return None;
    }
    Some(format!("let them in: `allow ingress */* -> {}`", written(&pods.selector, &member.ports)?))
}

/// Returns pods of one namespace with their ports as the language writes them.
fn written(selector: &PodSelector, ports: &Ports) -> Option<String> {
    let labels: Option<Vec<String>> = selector.labels.list().iter().map(pair).collect();
    let ports: Vec<String> =
        ports.entries().iter().map(|port| format!("{}/{}", port.port, port.protocol.word())).collect();
    Some(format!("{}/{{{}}}:{{{}}}", selector.namespace_name()?, labels?.join(", "), ports.join(", ")))
}

fn pair(requirement: &Requirement) -> Option<String> {
    let value = Requirements::one(requirement.clone()).only(&requirement.key)?.clone();
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    Some(match !value.is_empty() && value.chars().all(bare) {
        true => format!("{}={value}", requirement.key),
        false => format!("{}=\"{value}\"", requirement.key),
    })
}

/// Warns if no known pod is where DNS is granted while the inventory has another resolver, and if the address of a
/// node-local resolver is not granted.
pub fn warn_of_missed_resolver(policy: &Policy, grants: &[Grant], dns: &Endpoint, diagnostics: &mut Diagnostics) {
    let because =
        grants.iter().filter(|grant| grant.reason == GrantReason::Dns).find_map(|grant| grant.because.first());
    let Some(rule) = because.and_then(|rule| policy.rule(*rule)) else { return };
    let inventory = &policy.inventory;
    let by_address = dns.members.iter().any(|member| matches!(member.what, What::Addresses(_)));
    let cache = |known: &&Workload| {
        known.labels.get("k8s-app").is_some_and(|app| app == "node-local-dns") && known.host_network
    };
    if let (Some(cache), false) = (inventory.workloads.iter().find(cache), by_address) {
        let place = format!("{}/{}", cache.namespace, cache.name);
        let (namespace, name) = policy.settings.platform.dns_service();
        let service = inventory.services.get(&(namespace.into(), name.into()));
        let address = service.and_then(|service| service.addresses.first());
        let more = address.map_or_else(String::new, |address| format!(", \"{address}\""));
        diagnostics.push(missed(rule, &format!("{place} answers on each node, at an address that is not granted")).note(
            format!("in netpol.toml, under `[cluster]`: `resolver = [\"169.254.20.10\"{more}]`, or the address that it listens on"),
        ));
    }
    let on_host = dns.pods().find_map(|(_, pods)| match inventory.matched(&pods.selector) {
        Matched::HostNetwork(workload) => Some(workload),
        _ => None,
    });
    if let (Some(workload), false, true) = (on_host, by_address, inventory.given) {
        let message = format!(
            "{}/{} answers DNS on the host network, and no selector means its pods",
            workload.namespace, workload.name
        );
        diagnostics.push(
            missed(rule, &message)
                .note("say where the nodes are, in netpol.toml, under `[cluster]`: `resolver = [\"10.250.0.0/16\"]`"),
        );
        return;
    }
    let own: Vec<PodSelector> = dns.pods().map(|(_, pods)| pods.selector.clone()).collect();
    if !inventory.given || own.iter().any(|pods| !inventory.select(pods).is_empty()) {
        return;
    }
    let granted = |pods: &PodSelector| pods.is_inside(&own);
    let other = inventory.services.iter().find_map(|((namespace, name), service)| {
        let labels = service.selector.as_ref().and_then(equalities)?;
        let pods = PodSelector { labels, ..PodSelector::in_namespace(namespace.clone()) };
        let answers = service.ports.iter().any(|port| port.port == 53 && port.protocol == Protocol::Udp);
        let of_platform = !policy.settings.platform_is_said && namespace == "openshift-dns";
        (answers && !of_platform && !granted(&pods))
            .then(|| (format!("Service {namespace}/{name}"), pods, ports_of(service)))
    });
    let by_port = || {
        let listens = |known: &&Workload| {
            let system = known.namespace == "kube-system" || known.name.contains("dns");
            let port =
                known.ports.iter().find(|port| port.protocol == Protocol::Udp && (port.port == 53 || is_dns(port)));
            system && port.is_some() && !known.host_network
        };
        let known = inventory.workloads.iter().find(listens)?;
        let labels = known.selector.clone().or_else(|| equalities(&known.labels))?;
        let pods = PodSelector { labels, ..PodSelector::in_namespace(known.namespace.clone()) };
        let ports = known.ports.iter().filter(|port| port.port == 53 || is_dns(port));
        let ports: Vec<String> = ports.map(|port| format!("{}/{}", port.port, port.protocol.word())).collect();
        (!granted(&pods)).then(|| (format!("{}/{}", known.namespace, known.name), pods, ports.join(", ")))
    };
    if let Some((who, pods, ports)) = other.or_else(by_port) {
        let labels: Option<Vec<String>> = pods.labels.list().iter().map(pair).collect();
        let namespace = pods.namespace_name().cloned().unwrap_or_default();
        let text = labels.map(|labels| format!("{namespace}/{{{}}}:{{{ports}}}", labels.join(", ")));
        let note = text.map(|text| {
            let text = text.replace('"', "\\\"");
            format!(
                "if it is the cluster's resolver, say so in netpol.toml, under `[cluster]`: `resolver = [\"{text}\"]`"
            )
        });
        diagnostics.push(
            missed(rule, &format!("{who} answers DNS, and no pod is known where this grants the way")).note_opt(note),
        );
    }
}

fn missed(rule: &Rule, message: &str) -> Diagnostic {
    Diagnostic::new(Code::ResolverMissed, rule.origin.place(), message)
        .at("these pods may not find the names that they ask for")
}

fn is_dns(port: &ContainerPort) -> bool {
    port.name.as_deref().is_some_and(|name| matches!(name, "dns" | "dns-udp" | "dns-tcp"))
}

/// Returns the pods' ports behind port 53 of a Service.
fn ports_of(service: &Service) -> String {
    let port = |port: &ServicePort| match &port.target {
        TargetPort::Number(number) => format!("{number}/{}", port.protocol.word()),
        TargetPort::Name(name) => format!("{name}/{}", port.protocol.word()),
    };
    service.ports.iter().filter(|port| port.port == 53).map(port).collect::<Vec<_>>().join(", ")
}

/// Returns whether some pod can be in both endpoints.
pub(super) fn share_pods(a: &Endpoint, b: &Endpoint) -> bool {
    a.pods().any(|(_, left)| b.pods().any(|(_, right)| left.selector.overlaps(&right.selector)))
}

/// Returns whether a deny's destination surely contains a whole member of a granted destination, pods or addresses, on
/// one of its ports. A deny that selects namespaces by labels may miss the granted one, and does not count.
fn takes(deny: &Endpoint, granted: &Endpoint) -> bool {
    granted.members.iter().any(|member| {
        let meeting = || deny.members.iter().filter(|taken| taken.ports.may_overlap(&member.ports));
        match &member.what {
            What::Pods(pods) => {
                let sets = meeting().filter_map(|taken| match &taken.what {
                    What::Pods(taken) => Some(taken.selector.clone()),
                    _ => None,
                });
                pods.selector.is_inside(&sets.collect::<Vec<_>>())
            }
            What::Addresses(set) => {
                meeting().any(|taken| matches!(&taken.what, What::Addresses(taken) if set.is_inside(taken)))
            }
            What::Host(_) => false,
        }
    })
}

/// Returns whether a set of pods surely contains some pods of another: the two overlap, and the first tests only labels
/// that the second tests too.
fn surely_meets(set: &PodSelector, other: &PodSelector) -> bool {
    let known = |asked: &Requirements, said: &Requirements| {
        asked.list().iter().all(|one| said.list().iter().any(|other| other.key == one.key))
    };
    set.overlaps(other)
        && known(&set.namespace, &other.namespace)
        && known(&set.labels, &other.labels)
        && !matches!(set.account, Account::Is(_))
}

/// Returns whether two destinations share pods or addresses on some port.
pub(super) fn share_flows(a: &Endpoint, b: &Endpoint) -> bool {
    a.members.iter().any(|left| {
        b.members.iter().any(|right| {
            let meet = match (&left.what, &right.what) {
                (What::Pods(a), What::Pods(b)) => a.selector.overlaps(&b.selector),
                (What::Addresses(a), What::Addresses(b)) => a.overlaps(b),
                _ => false,
            };
            meet && left.ports.may_overlap(&right.ports)
        })
    })
}

/// Warns about a deny that cuts pods off from the resolver or istiod, because a deny beats grants.
pub fn warn_of_denied_grants(policy: &Policy, grants: &[Grant], diagnostics: &mut Diagnostics) {
    // All grants of one reason have the same destination.
    let grants = [GrantReason::Dns, GrantReason::Istiod]
        .map(|reason| -> Vec<&Grant> { grants.iter().filter(|grant| grant.reason == reason).collect() });
    for rule in policy.rules.iter().filter(|rule| rule.action == Action::Deny && rule.conditions.is_none()) {
        let hit = grants.iter().find_map(|grants| {
            let first = grants.first()?;
            let taken = takes(&rule.destination, &first.destination)
                && grants.iter().any(|grant| share_pods(&rule.source, &grant.source));
            taken.then_some(first)
        });
        let Some(grant) = hit else { continue };
        let what = if grant.reason == GrantReason::Dns { "the cluster's DNS" } else { "istiod" };
        diagnostics.push(
            Diagnostic::new(Code::GrantDenied, rule.origin.place(), format!("this denies the way to {what}"))
                .at("a deny beats what is granted")
                .note("if that is meant, this warning can stay; else narrow the destination or its ports"),
        );
    }
}

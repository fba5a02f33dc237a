//! Messages about endpoints, names, ports and what the inventory says of them.

use std::net::IpAddr;

use ipnet::IpNet;
use smol_str::SmolStr;

use crate::diag::{Code, Diagnostic};
use crate::inventory::{NearMiss, Service, ServicePort, TargetPort, Workload};
use crate::source::Span;
use crate::types::facts::workload_words;
use crate::types::value::Kind;
use crate::vocab::hosts::HostName;
use crate::vocab::labels::{Requirement, Test};
use crate::vocab::ports::{AppProtocol, Protocol};

type Key = (SmolStr, SmolStr);

pub fn unknown_name(span: Span, name: &str, near: Option<SmolStr>, namespace: bool) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownName, span, format!("`{name}` is not defined"));
    match near {
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), span, near),
        None if namespace => diagnostic.at("a namespace stands before a `/` only").fix(
            format!("write `{name}/*`"),
            span,
            format!("{name}/*"),
        ),
        None => diagnostic.at("no `let`, declaration or module defines it").note(format!(
            "pods are written `{name}/*` (a namespace) or `namespace/{name}`, a host of one label `host {name}`"
        )),
    }
}

pub fn ambiguous_name(span: Span, name: &str, places: Vec<Span>) -> Diagnostic {
    let start =
        Diagnostic::new(Code::AmbiguousName, span, format!("`{name}` is defined differently by two modules in use"))
            .at("which one is meant?")
            .note(format!(
                "list the one you mean: `use MODULE ({name})`, or rename one: `use MODULE ({name} as other)`"
            ));
    places.into_iter().fold(start, |diagnostic, place| diagnostic.label(place, "one of them"))
}

pub fn wrong_name(span: Span, name: &str, is: &str, wanted: &str) -> Diagnostic {
    Diagnostic::new(Code::WrongName, span, format!("`{name}` is {is}, not {wanted}"))
        .at(format!("{wanted} stands here"))
}

pub fn platform_unknown(span: Span, name: &str, platform: &str) -> Diagnostic {
    let what = if name == "nodes" { "the nodes are" } else { "the API server is" };
    Diagnostic::new(Code::PlatformUnknown, span, format!("where {what} is not known on the platform `{platform}`"))
        .at("no address is known")
        .note(format!("say it in netpol.toml: `[cluster] {name} = [\"203.0.113.10\"]`"))
}

pub fn cyclic_let(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::CyclicLet, span, format!("`{name}` is made of itself"))
        .at("its value leads back here, directly or through other names")
}

pub fn host_bits(span: Span, network: IpNet, brackets: bool) -> Diagnostic {
    let text = if brackets { format!("[{network}]") } else { network.to_string() };
    Diagnostic::new(Code::HostBits, span, "the address has bits set beyond its prefix")
        .at(format!("the network is {network}"))
        .fix(format!("write `{text}`"), span, text)
}

pub fn weighted_network(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WeightedNetwork, span, "a weight stands on a network")
        .at("only single addresses take a weight")
}

pub fn weights_ignored(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WeightsIgnored, span, "the host's weights have no effect on this port")
        .at("the client itself chooses among the addresses")
        .note("weights steer ports that are `http`, `grpc` or `tls`: `legacy-api:8080/http`")
}

pub fn known_pod(span: Span, namespace: &str, name: &str, address: IpAddr) -> Diagnostic {
    Diagnostic::new(Code::KnownAddresses, span, "these addresses hold pods of the cluster")
        .at(format!("{namespace}/{name} has {address}"))
        .note("addresses mean what is not a pod; name the pods to govern them")
}

pub fn known_range(span: Span, key: &str) -> Diagnostic {
    let note = if key == "pods" {
        "addresses mean what is not a pod: the pods' ranges are cut out of what is emitted"
    } else {
        "where a load balancer or a node hides the client, everyone comes from a node's address"
    };
    Diagnostic::new(Code::KnownAddresses, span, format!("these addresses hold `[cluster] {key}`"))
        .at("they overlap")
        .note(note)
}

pub fn host_is_service(span: Span, host: &HostName, namespace: &str, service: Option<&str>) -> Diagnostic {
    let Some(service) = service else {
        let diagnostic = Diagnostic::new(Code::HostIsService, span, format!("{host} lies inside the cluster"))
            .at("not a host outside");
        return if namespace.is_empty() {
            diagnostic.note("pods are written `namespace/name` or `namespace/*`")
        } else {
            diagnostic.fix(format!("write `{namespace}/*`"), span, format!("{namespace}/*"))
        };
    };
    Diagnostic::new(
        Code::HostIsService,
        span,
        format!("{host} is the Service {namespace}/{service}, not a host outside the cluster"),
    )
    .at("as a host this would open the port to the whole internet")
    .note(format!("write `{namespace}/{service}`"))
    .fix(format!("write `{namespace}/{service}`"), span, format!("{namespace}/{service}"))
}

pub fn except_ports(operand: Span, ports: Span) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::ExceptPorts, operand, "an operand of `except` carries ports")
        .at("ports belong to the whole")
        .note("put them on braces around the whole: `{ 10.0.0.0/8 except 10.1.0.0/16 }:443`");
    if ports.start >= operand.start && ports.end <= operand.end && ports.file == operand.file {
        diagnostic.label(ports, "these ports")
    } else {
        diagnostic.label(ports, "the ports come from here")
    }
}

pub fn except_kinds(left: Span, a: Kind, right: Span, b: Kind) -> Diagnostic {
    let same = a == b;
    let message = if same {
        "`except` takes from one kind only, and this is a mixture".to_string()
    } else {
        format!("`except` takes {} from {}", b.words(), a.words())
    };
    Diagnostic::new(Code::ExceptKinds, right, message)
        .at(format!("this is {}", b.words()))
        .label(left, format!("this is {}", a.words()))
}

pub fn except_outside(right: Span, left: Span) -> Diagnostic {
    Diagnostic::new(Code::ExceptOutside, right, "what is taken lies outside of what it is taken from")
        .at("not inside")
        .label(left, "taken from this")
}

pub fn except_nothing(right: Span, left: Span) -> Diagnostic {
    Diagnostic::new(Code::ExceptNothing, right, "`except` takes nothing away")
        .at("none of this is in what it is taken from")
        .label(left, "taken from this")
}

pub fn except_everything(whole: Span, right: Span) -> Diagnostic {
    Diagnostic::new(Code::ExceptEverything, whole, "`except` leaves nothing").at("empty").label(right, "this takes all")
}

pub fn too_many_members(span: Span, most: usize) -> Diagnostic {
    Diagnostic::new(Code::TooManyRules, span, format!("this endpoint has more than {most} members"))
        .at("it grows too large to be meant")
}

pub fn name_without_namespace(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::NoSelector, span, format!("`{name}` needs its namespace by name"))
        .at("a workload or Service is `namespace/name`")
        .note(format!("over several namespaces, select by label: `{{app={name}}}` after the `/`"))
}

pub fn contradicting_labels(span: Span, key: &str) -> Diagnostic {
    Diagnostic::new(Code::SelectorMatchesNothing, span, format!("no pod can meet what is required of `{key}`"))
        .at("this contradicts a requirement before it")
        .note(format!("for either of two values write `{key} in (a, b)`"))
}

pub fn namespace_like_name(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::NamespaceLikeName, span, format!("`{name}` before a `/` is a namespace"))
        .at(format!("the name `{name}` is in sight too"))
        .note(format!("for a port of the name write `{name}:*/udp`; for the name alone `{name}`"))
}

pub fn unknown_namespace(span: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownNamespace, span, format!("the inventory has no namespace `{name}`"));
    match near {
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), span, near),
        None => diagnostic.at("not among the manifests").note(format!("declare it: `namespace {name} {{}}`")),
    }
}

pub fn library_namespace(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(
        Code::LibraryNamespace,
        span,
        format!("the inventory has no namespace `{name}`, which the standard library names"),
    )
    .at("taken as written")
}

pub fn no_such_namespaces(span: Span, text: &str, near: Option<&NearMiss<'_>>) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(Code::SelectorMatchesNothing, span, "no namespace of the inventory has these labels");
    match near {
        Some(NearMiss::Namespace { wanted, found, namespace }) => {
            near_label(diagnostic, span, text, &format!("Namespace {namespace}"), wanted, *found)
        }
        _ => diagnostic.at("matches no namespace"),
    }
}

pub fn selector_unmatched(span: Span) -> Diagnostic {
    Diagnostic::new(Code::SelectorUnmatched, span, "the inventory has no workload here")
        .at("whether this selects a pod cannot be told")
}

pub fn selector_matches_nothing(span: Span, place: Span, text: &str, near: Option<&NearMiss<'_>>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::SelectorMatchesNothing, span, format!("no pod matches `{text}`"));
    match near {
        Some(NearMiss::Label { wanted, found, workload }) => {
            near_label(diagnostic, place, text, &workload_words(workload), wanted, *found)
        }
        Some(NearMiss::HostNetwork(workload)) => diagnostic
            .at(format!("{} is on the host network", workload_words(workload)))
            .note("pods on the host network belong to their node, and no selector means them: see `nodes`"),
        Some(NearMiss::Account(workload)) => diagnostic
            .at(format!("{} runs as @{}", workload_words(workload), workload.account))
            .note(format!("did you mean `@{}`?", workload.account)),
        Some(NearMiss::Elsewhere(workload)) => {
            diagnostic.at(format!("{} of another namespace fits", workload_words(workload)))
        }
        Some(NearMiss::Namespace { .. }) | None => diagnostic.at("not among the workloads of the inventory"),
    }
}

/// Says which label was probably meant, with the repair where the requirement stands in `text` as `key=value`.
fn near_label(
    diagnostic: Diagnostic,
    place: Span,
    text: &str,
    who: &str,
    wanted: &Requirement,
    (key, value): (&SmolStr, &SmolStr),
) -> Diagnostic {
    let (written, has) = match &wanted.test {
        Test::In(values) if values.len() == 1 => (format!("{}={}", wanted.key, values[0]), format!("{key}={value}")),
        Test::In(_) => (String::new(), format!("{key}={value}")),
        _ => (wanted.key.to_string(), key.to_string()),
    };
    let diagnostic = diagnostic.at(format!("{who} has {key}={value}")).note(format!("did you mean `{has}`?"));
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let alone = |at: usize| !text[..at].ends_with(inside) && !text[at + written.len()..].starts_with(inside);
    match text.match_indices(&written).find(|(at, _)| !written.is_empty() && alone(*at)) {
        Some((at, _)) => {
            let start = place.start + at as u32;
            let at = Span { start, end: start + written.len() as u32, ..place };
            diagnostic.fix(format!("write `{has}`"), at, has)
        }
        None => diagnostic,
    }
}

pub fn nothing_named(code: Code, span: Span, (namespace, name): &Key, near: Option<SmolStr>) -> Diagnostic {
    let diagnostic = Diagnostic::new(code, span, format!("{namespace} has no workload or Service `{name}`"));
    match near {
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), span, near),
        None => diagnostic
            .at(format!("and no pod with app.kubernetes.io/name={name}"))
            .note(format!("select by label: `{namespace}/{{app={name}}}`")),
    }
}

pub fn assumed_label(span: Span, (namespace, name): &Key) -> Diagnostic {
    Diagnostic::new(
        Code::AssumedLabel,
        span,
        format!("`{namespace}/{name}` is taken for the pods labelled app.kubernetes.io/name={name}"),
    )
    .at("no workload or Service of this name is known")
    .note(format!("give an inventory (`--inventory`), or write the labels: `{namespace}/{{app={name}}}`"))
}

pub fn workloads_of_one_name(span: Span, (namespace, name): &Key, a: &Workload, b: &Workload) -> Diagnostic {
    Diagnostic::new(
        Code::NameOfTwo,
        span,
        format!("two workloads are named {namespace}/{name} and select different pods"),
    )
    .at("write a selector")
    .label(a.origin, workload_words(a))
    .label(b.origin, workload_words(b))
}

pub fn name_of_two(span: Span, (namespace, name): &Key, workload: &Workload, service: Span) -> Diagnostic {
    Diagnostic::new(
        Code::NameOfTwo,
        span,
        format!("the workload and the Service {namespace}/{name} select different pods"),
    )
    .at("which pods are meant? write a selector")
    .label(workload.origin, workload_words(workload))
    .label(service, "the Service")
}

pub fn no_labels(span: Span, workload: &Workload) -> Diagnostic {
    Diagnostic::new(Code::NoSelector, span, format!("the pods of {} have no labels", workload_words(workload)))
        .at("no selector can mean them alone")
        .label(workload.origin, "here")
}

pub fn service_without_pods(span: Span, (namespace, name): &Key, service: Span) -> Diagnostic {
    Diagnostic::new(Code::NoSelector, span, format!("the Service {namespace}/{name} has no selector and so no pods"))
        .at("nothing to govern or to reach here")
        .label(service, "the Service")
}

pub fn second_ports(span: Span, first: Span) -> Diagnostic {
    Diagnostic::new(Code::SecondPorts, span, "ports stand on something that brings its own")
        .at("a second suffix")
        .label(first, "the first")
        .note("leave one of them out")
}

pub fn port_name_outside(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::PortNameOutside, span, format!("the port name `{name}` stands on a host or an address"))
        .at("port names are resolved on pods, and outside the cluster there are none")
        .note("write the number")
}

pub fn two_protocols(span: Span, first: Span) -> Diagnostic {
    Diagnostic::new(Code::TwoProtocols, span, "one port is read in two ways")
        .at("here in another way")
        .label(first, "first said here")
}

pub fn two_protocols_of_parameter(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::TwoProtocols, span, format!("the argument of `{name}` brings a protocol of its own"))
        .at("a second protocol")
}

pub fn parameter_as_port(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::ParameterType, span, format!("the parameter `{name}` is not a Port")).at("a port stands here")
}

pub fn parameter_as_namespace(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::ParameterType, span, format!("the parameter `{name}` is not a Namespace"))
        .at("a namespace stands before a `/`")
}

pub fn namespace_as_endpoint(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::ParameterType, span, format!("the parameter `{name}` is a Namespace, not an endpoint"))
        .at("its pods are written with a `/`")
        .fix(format!("write `{name}/*`"), span, format!("{name}/*"))
}

pub fn parameter_as_endpoint(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::ParameterType, span, format!("the parameter `{name}` is not an endpoint"))
        .at("an endpoint stands here")
}

pub fn unknown_port_name(span: Span, name: &str, protocol: Protocol, known: &[SmolStr]) -> Diagnostic {
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let message = format!("no pod meant here has a {} port named `{name}`", protocol.word());
    let diagnostic = Diagnostic::new(Code::UnknownPortName, span, message);
    if known.is_empty() {
        diagnostic.at("their ports have no names")
    } else {
        diagnostic.at(format!("they have {}", known.join(", ")))
    }
}

fn port_words(port: &ServicePort) -> String {
    match &port.target {
        TargetPort::Number(target) => format!("{} to {target}", port.port),
        TargetPort::Name(target) => format!("{} to `{target}`", port.port),
    }
}

pub fn unknown_service_port(span: Span, (namespace, name): &Key, service: &Service, text: &str) -> Diagnostic {
    let ports: Vec<String> = service.ports.iter().map(port_words).collect();
    let message = format!("Service {namespace}/{name} has no port {text}");
    let diagnostic = Diagnostic::new(Code::UnknownServicePort, span, message).label(service.origin, "the Service");
    match service.ports.first() {
        None => diagnostic.at("the Service has no ports"),
        Some(first) => diagnostic.at(format!("the Service sends {}", ports.join(" and "))).note(format!(
            "a Service's port: `{namespace}/{name}:{}`; any port of its pods: by selector, `{namespace}/{{…}}:{text}`",
            first.port
        )),
    }
}

pub fn ambiguous_service_port(span: Span, (namespace, name): &Key, a: &ServicePort, b: &ServicePort) -> Diagnostic {
    Diagnostic::new(
        Code::AmbiguousServicePort,
        span,
        format!("this could be a port of Service {namespace}/{name} or of its pods"),
    )
    .at(format!("the Service sends {} and {}", port_words(a), port_words(b)))
    .note(format!("for the pods' port write a selector: `{namespace}/{{…}}`"))
}

pub fn contradicting_protocol(
    span: Span,
    (namespace, name): &Key,
    port: u16,
    known: AppProtocol,
    said: AppProtocol,
    service: Span,
) -> Diagnostic {
    Diagnostic::new(
        Code::ContradictingProtocol,
        span,
        format!("port {port} of Service {namespace}/{name} is {}, not {}", known.word(), said.word()),
    )
    .at("said otherwise here")
    .label(service, "the Service says it")
}

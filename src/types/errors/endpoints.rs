//! Messages about endpoints, names, ports and what the inventory says of them.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use smol_str::SmolStr;

use crate::diag::{Code, Diagnostic, nearest};
use crate::inventory::{NearMiss, Service, ServicePort, TargetPort, Workload};
use crate::source::Span;
use crate::syntax::tree::{Ident, LabelTest, Labels, PodPattern, Port, PortKind, Word};
use crate::types::facts::workload_words;
use crate::types::value::{Kind, ParameterType};
use crate::vocab::hosts::HostName;
use crate::vocab::labels::{Requirement, Requirements, Test};
use crate::vocab::ports::{AppProtocol, PortMatch, PortTest, Protocol};

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
            "a namespace's pods are written `{name}/*`, a workload's `namespace/{name}`, a host of one label `host {name}`"
        )),
    }
}

/// `what` is `gateway` or `issuer`.
pub fn unknown_declaration(name: &Ident, near: Option<SmolStr>, what: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownName, name.span, format!("`{}` is not defined", name.text));
    match near {
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), name.span, near),
        None => diagnostic.at(format!("no {what} of this name is declared here or by a module in use")),
    }
}

/// `ways` are the places of the definitions, each with the path as its `use` writes it.
pub fn ambiguous_name(span: Span, name: &str, ways: &[(Span, &str)]) -> Diagnostic {
    let message = format!("`{name}` is defined differently by {} modules in use", ways.len());
    let start = Diagnostic::new(Code::AmbiguousName, span, message).at("which one is meant?");
    let start = ways.iter().fold(start, |diagnostic, (place, _)| diagnostic.label(*place, "it may be this one"));
    match ways {
        [(_, first), (_, second), ..] => start.note(format!(
            "list the one that is meant, `use {first} ({name})`, or both: `use {second} ({name} as other)`"
        )),
        _ => start,
    }
}

pub fn not_an_endpoint(span: Span, name: &str, is: &str, defined: Span) -> Diagnostic {
    Diagnostic::new(Code::WrongName, span, format!("`{name}` is {is}, and an endpoint stands here"))
        .at("expected pods, a host or addresses")
        .label(defined, "defined here")
}

pub fn platform_unknown(span: Span, name: &str, platform: &str) -> Diagnostic {
    let (what, example) = match name {
        "nodes" => ("the nodes are", "10.250.0.0/16"),
        _ => ("the API server is", "203.0.113.10:443"),
    };
    Diagnostic::new(Code::PlatformUnknown, span, format!("the platform `{platform}` does not say where {what}"))
        .at("no address is known")
        .note(format!("say it in netpol.toml, under `[cluster]`: `{name} = [\"{example}\"]`"))
}

/// `others` are the names between this one and itself, with their places.
pub fn cyclic_let(span: Span, name: &str, others: &[(Span, &str)]) -> Diagnostic {
    let start = Diagnostic::new(Code::CyclicLet, span, format!("`{name}` is made of itself"));
    let Some((_, first)) = others.first() else { return start.at("its value names it") };
    let start = start.at(format!("its value needs `{first}`"));
    let next = others.iter().skip(1).map(|(_, next)| *next).chain([name]);
    others.iter().zip(next).fold(start, |all, ((place, _), next)| all.label(*place, format!("this needs `{next}`")))
}

/// Returns what is wrong with a network, if anything is. `written` is the address as it stands there, `net` the same with
/// its bits.
pub fn wrong_net(span: Span, written: &str, net: IpNet) -> Option<Diagnostic> {
    if net.trunc() != net {
        return Some(host_bits(span, written, net));
    }
    let IpNet::V6(mapped) = net else { return None };
    let ip = mapped.addr().to_ipv4_mapped()?;
    let net = Ipv4Net::new(ip, mapped.prefix_len().checked_sub(96)?).ok()?;
    let repair = if net.prefix_len() == 32 { ip.to_string() } else { net.to_string() };
    let message = format!("`{written}` is IPv4 in the writing of IPv6");
    Some(
        Diagnostic::new(Code::NotAnAddress, span, message)
            .at("Kubernetes refuses it, and where it once did not, it meant IPv4")
            .fix(format!("write `{repair}`"), span, repair),
    )
}

fn host_bits(span: Span, written: &str, net: IpNet) -> Diagnostic {
    let brackets = |text: String, wanted: bool| if wanted { format!("[{text}]") } else { text };
    let network = brackets(net.trunc().to_string(), written.starts_with('['));
    let address = brackets(net.addr().to_string(), net.addr().is_ipv6());
    Diagnostic::new(Code::HostBits, span, format!("`{written}` has bits set beyond its prefix"))
        .at("neither a network nor one address")
        .fix(format!("for the network write `{network}`"), span, network)
        .fix(format!("for the one address write `{address}`"), span, address)
}

pub fn weighted_network(span: Span) -> Diagnostic {
    Diagnostic::new(Code::WeightedNetwork, span, "a weight stands on a network")
        .at("only a single address takes a weight")
}

/// `readable` is the endpoint with a port on which weights count, where one can be proposed.
pub fn weights_ignored(span: Span, readable: Option<String>) -> Diagnostic {
    Diagnostic::new(Code::WeightsIgnored, span, "the host's weights have no effect on this port")
        .at("the client itself chooses among the addresses")
        .note(match readable {
            Some(readable) => format!("weights steer ports that are `http`, `grpc` or `tls`, as in `{readable}`"),
            None => "weights steer ports that are `http`, `grpc` or `tls`".into(),
        })
}

pub fn known_pod(span: Span, pod: &str, address: IpAddr) -> Diagnostic {
    Diagnostic::new(Code::KnownAddresses, span, "these addresses hold pods of the cluster")
        .at(format!("{pod} has {address}"))
        .note("addresses mean what is not a pod: to speak of pods, name them")
}

pub fn known_range(span: Span, key: &str, place: Span) -> Diagnostic {
    let (who, note) = match key {
        "pods" => {
            ("pods", "addresses mean what is not a pod, and these are left out of what is emitted: name the pods")
        }
        _ => ("nodes", "where a node or a load balancer hides the client, everybody comes from a node's address"),
    };
    Diagnostic::new(Code::KnownAddresses, span, format!("these addresses hold {who} of the cluster"))
        .at(format!("overlaps `[cluster] {key}`"))
        .label(place, format!("the addresses of {who}"))
        .note(note)
}

/// `span` holds the ports too, which are `ports` as written.
pub fn host_is_service(span: Span, host: &HostName, namespace: &str, service: Option<&str>, ports: &str) -> Diagnostic {
    let opened = match ports.strip_prefix(':') {
        Some(ports) => format!("as a host this would open {ports} to the whole internet"),
        None => "as a host this would be somewhere in the internet".into(),
    };
    let text = match service {
        Some(service) => format!("{namespace}/{service}{ports}"),
        None => format!("{namespace}/*{ports}"),
    };
    let message = match service {
        Some(service) => format!("{host} is the Service {namespace}/{service}, not a host outside the cluster"),
        None => format!("{host} lies inside the cluster"),
    };
    let diagnostic = Diagnostic::new(Code::HostIsService, span, message).at(opened);
    if namespace.is_empty() {
        return diagnostic.note("what is inside is written `namespace/name` or `namespace/*`");
    }
    diagnostic.fix(format!("write `{text}`"), span, text)
}

/// `whole` is the difference with its ports where they belong, if they are written there.
pub fn except_ports(operand: Span, ports: Span, whole: Option<String>) -> Diagnostic {
    let message = "an operand of `except` carries ports";
    match whole {
        Some(whole) => Diagnostic::new(Code::ExceptPorts, ports, message)
            .at("ports stand on the whole")
            .note(format!("put it in braces: `{whole}`")),
        None => Diagnostic::new(Code::ExceptPorts, operand, message)
            .at("this brings ports")
            .label(ports, "these ports")
            .note("name its pods or addresses without their ports, and put ports on braces around the whole"),
    }
}

pub fn except_kinds(left: Span, a: Kind, right: Span, b: Kind) -> Diagnostic {
    let mixed = a == Kind::Endpoint || b == Kind::Endpoint;
    let message = match mixed {
        true => "`except` takes from one kind, and here kinds are mixed".to_string(),
        false => format!("`except` cannot take {} from {}", b.words(), a.words()),
    };
    let diagnostic = Diagnostic::new(Code::ExceptKinds, right, message).at(b.words()).label(left, a.words());
    match (a, b) {
        _ if mixed => diagnostic.note("take from the one member that is meant: `{ a except b, c }`"),
        (Kind::Workloads, Kind::Addresses) | (Kind::Addresses, Kind::Workloads) => {
            diagnostic.note("addresses never mean pods, so nothing would be taken away")
        }
        _ => diagnostic,
    }
}

/// `why` says how it lies to what it is taken from.
pub fn except_outside(right: Span, text: &str, why: &str, left: Span) -> Diagnostic {
    Diagnostic::new(Code::ExceptOutside, right, format!("`{text}` {why}"))
        .at("expected a part of it")
        .label(left, "taken from this")
}

pub fn except_nothing(right: Span, left: Span) -> Diagnostic {
    Diagnostic::new(Code::ExceptNothing, right, "`except` takes nothing away")
        .at("none of this is in what it is taken from")
        .label(left, "taken from this")
}

pub fn except_everything(right: Span, left: Span) -> Diagnostic {
    Diagnostic::new(Code::ExceptEverything, right, "`except` leaves nothing")
        .at("this holds all of it")
        .label(left, "nothing of this is left")
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

/// `bare` is the endpoint without its ports, as written; `protocol` what stands after its `/`, if that is one.
pub fn namespace_like_name(word: &Word, bare: Span, protocol: Option<&str>, ports: bool) -> Diagnostic {
    let name = &word.text;
    let diagnostic =
        Diagnostic::new(Code::NamespaceLikeName, word.span, format!("`{name}` before a `/` is a namespace"))
            .at(format!("the name `{name}` is in sight too"));
    match protocol {
        // A second suffix would be an error.
        Some(_) if ports => diagnostic.note("a protocol stands after a port, as in `:*/udp`").fix(
            format!("for the name with its own ports write `{name}`"),
            bare,
            name.as_str(),
        ),
        Some(protocol) => {
            let text = format!("{name}:*/{protocol}");
            diagnostic.fix(format!("for every port of the name write `{text}`"), bare, text)
        }
        None => diagnostic.fix(format!("for the name write `{name}`"), bare, name.as_str()),
    }
}

pub fn unknown_namespace(span: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownNamespace, span, format!("the inventory has no namespace `{name}`"));
    match near {
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), span, near),
        None => diagnostic.at("not among the manifests").note(format!("declare it: `namespace {name} {{}}`")),
    }
}

/// `place` is where the user named it, `named` where the standard library does.
pub fn library_namespace(place: Span, name: &str, named: Span) -> Diagnostic {
    Diagnostic::new(Code::LibraryNamespace, place, format!("the inventory has no namespace `{name}`"))
        .at("this leads there")
        .label(named, "taken as written")
}

/// `written` are the labels before the `/`, where they are written there.
pub fn no_such_namespaces(span: Span, written: Option<&Labels>, near: Option<&NearMiss<'_>>) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(Code::SelectorMatchesNothing, span, "no namespace of the inventory has these labels");
    match near {
        Some(NearMiss::Namespace { wanted, found, namespace }) => {
            near_label(diagnostic, written, &format!("Namespace {namespace}"), wanted, *found)
        }
        _ => diagnostic.at("matches no namespace"),
    }
}

pub fn selector_unmatched(span: Span, namespace: Option<&str>) -> Diagnostic {
    let place = namespace.map_or_else(|| "these namespaces".into(), |name| format!("`{name}`"));
    Diagnostic::new(Code::SelectorUnmatched, span, format!("the inventory has no workload in {place}"))
        .at("whether this selects a pod cannot be told")
}

/// `written` is what stands after the `/`, with its text.
pub fn selector_matches_nothing(
    span: Span,
    written: &PodPattern,
    text: &str,
    near: Option<&NearMiss<'_>>,
) -> Diagnostic {
    let (message, place) = match written {
        PodPattern::Account(word) => (format!("no pod runs as the service account `{}`", word.text), word.span),
        _ => (format!("no pod matches `{text}`"), span),
    };
    let diagnostic = Diagnostic::new(Code::SelectorMatchesNothing, place, message);
    match near {
        Some(NearMiss::Label { wanted, found, workload }) => {
            let labels = match written {
                PodPattern::Labels(labels) => Some(labels),
                _ => None,
            };
            near_label(diagnostic, labels, &workload_words(workload), wanted, *found)
        }
        Some(NearMiss::HostNetwork(workload)) => diagnostic
            .at(format!("{} is on the host network", workload_words(workload)))
            .note("pods on the host network belong to their node, and no selector means them: see `nodes`"),
        Some(NearMiss::Account(workload)) => diagnostic
            .at(format!("{} runs as `{}`", workload_words(workload), workload.account))
            .fix(format!("write `@{}`", workload.account), place, workload.account.as_str()),
        Some(NearMiss::Elsewhere(workload)) => {
            diagnostic.at(format!("{} of another namespace fits", workload_words(workload)))
        }
        Some(NearMiss::Namespace { .. }) | None => diagnostic.at("not among the workloads of the inventory"),
    }
}

/// Says which label was probably meant, with the repair where one requirement with one value is written of it.
fn near_label(
    mut diagnostic: Diagnostic,
    written: Option<&Labels>,
    who: &str,
    wanted: &Requirement,
    (key, value): (&SmolStr, &SmolStr),
) -> Diagnostic {
    let of_key = written.into_iter().flat_map(|labels| &labels.requirements).filter(|one| one.key.text == wanted.key);
    let found = of_key.clone().find_map(|one| {
        let text = match (&one.test, &wanted.test) {
            (LabelTest::Equals(asked), Test::In(values)) if values.contains(&asked.text) => {
                format!("{key}={}", label_value(value))
            }
            (LabelTest::Exists, Test::Exists) => key.to_string(),
            (LabelTest::In(_), Test::In(_)) => return Some((one.span, None)),
            _ => return None,
        };
        Some((one.span, Some(text)))
    });
    diagnostic = diagnostic.at(format!("{who} has {key}={value}"));
    match found {
        Some((place, Some(text))) => {
            diagnostic.primary.span = place;
            diagnostic.note(format!("did you mean `{text}`?")).fix(format!("write `{text}`"), place, text)
        }
        Some((place, None)) => {
            diagnostic.primary.span = place;
            diagnostic.note(format!("did you mean `{value}` among its values?"))
        }
        None => diagnostic.note(format!("did you mean `{key}={value}`?")),
    }
}

pub fn nothing_named(span: Span, (namespace, name): &Key, near: Option<SmolStr>) -> Diagnostic {
    let message = format!("{namespace} has no workload or Service `{name}`");
    let diagnostic = Diagnostic::new(Code::SelectorMatchesNothing, span, message);
    match near {
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), span, near),
        None => diagnostic
            .at(format!("and no pod with app.kubernetes.io/name={name}"))
            .note(format!("select by label: `{namespace}/{{app={name}}}`")),
    }
}

/// A name whose pods are on the host network, or a Service that selects none.
pub fn named_without_pods(span: Span, (namespace, name): &Key, on_host: Option<&Workload>, origin: Span) -> Diagnostic {
    match on_host {
        Some(workload) => {
            let message = format!("the pods of {} are on the host network", workload_words(workload));
            Diagnostic::new(Code::SelectorMatchesNothing, span, message)
                .at("no selector means them")
                .label(origin, "here")
                .note("pods on the host network belong to their node: see `nodes`")
        }
        None => {
            let message = format!("no pod is known that the Service {namespace}/{name} selects");
            Diagnostic::new(Code::SelectorMatchesNothing, span, message)
                .at("stands for no pods")
                .label(origin, "the Service")
        }
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
    let message = format!("two workloads are named {namespace}/{name} and select different pods");
    let diagnostic = Diagnostic::new(Code::NameOfTwo, span, message)
        .at("which pods are meant?")
        .label(a.origin, workload_words(a))
        .label(b.origin, workload_words(b));
    match (&a.selector, &b.selector) {
        (Some(first), Some(second)) => diagnostic.note(format!(
            "write a selector: `{namespace}/{}` or `{namespace}/{}`",
            selector_words(first),
            selector_words(second)
        )),
        _ => diagnostic.note("write a selector"),
    }
}

pub fn name_of_two(
    span: Span,
    (namespace, name): &Key,
    workload: &Workload,
    selector: &Requirements,
    service: &Service,
) -> Diagnostic {
    let message = format!("the workload and the Service {namespace}/{name} select different pods");
    Diagnostic::new(Code::NameOfTwo, span, message)
        .at("which pods are meant?")
        .label(workload.origin, workload_words(workload))
        .label(service.origin, format!("Service {namespace}/{name}"))
        .note(format!(
            "write a selector: the workload's `{namespace}/{}`, or the Service's `{}`",
            selector_words(selector),
            pods_of(namespace, service)
        ))
}

pub fn no_labels(span: Span, workload: &Workload) -> Diagnostic {
    Diagnostic::new(Code::NoSelector, span, format!("the pods of {} have no labels", workload_words(workload)))
        .at("no selector can mean them alone")
        .label(workload.origin, "here")
}

pub fn service_without_pods(span: Span, (namespace, name): &Key, service: Span) -> Diagnostic {
    Diagnostic::new(Code::NoSelector, span, format!("the Service {namespace}/{name} has no selector and so no pods"))
        .at("stands for no pods")
        .label(service, "the Service")
        .note(format!("what it leads to outside is a host: `let {name} = host NAME at ADDRESS`"))
}

/// `name` is what has the ports, where it is a name.
pub fn second_ports(span: Span, name: Option<&str>, first: Span) -> Diagnostic {
    let message = match name {
        Some(name) => format!("`{name}` brings its own ports"),
        None => "ports stand on something that has ports already".into(),
    };
    Diagnostic::new(Code::SecondPorts, span, message).at("a second suffix").label(first, "the first").fix(
        "leave the second out",
        span,
        "",
    )
}

/// `who` are `hosts` or `addresses`.
pub fn port_name_outside(span: Span, name: &str, who: &str) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(Code::PortNameOutside, span, format!("`{name}` is a port name, and {who} have none"))
            .at("pods declare port names; here a port is a number");
    diagnostic.note_opt(as_protocol(name))
}

pub fn no_port_name(span: Span, name: &str) -> Diagnostic {
    let why = if name.len() > 15 { "it has at most 15 characters" } else { "it has no two dashes together" };
    Diagnostic::new(Code::NotAPort, span, format!("`{name}` is not a name that a pod's port can have")).at(why)
}

/// Returns a hint where a port name is spelled like a protocol.
fn as_protocol(name: &str) -> Option<String> {
    Protocol::parse(name).map(|_| format!("a protocol stands after a port, and every {name} port is `:*/{name}`"))
}

pub fn two_protocols(span: Span, port: &PortMatch, first: Span, other: &PortMatch) -> Diagnostic {
    let shown = match &port.port {
        PortTest::Range(first, last) if first == last => format!("port {first} is"),
        PortTest::Range(first, last) => format!("the ports {first}-{last} are"),
        PortTest::Named(name) => format!("port `{name}` is"),
    };
    let as_word = |port: &PortMatch| port.app.map_or_else(String::new, |app| format!("as `{}`", app.word()));
    Diagnostic::new(Code::TwoProtocols, span, format!("{shown} read in two ways"))
        .at(as_word(port))
        .label(first, as_word(other))
}

pub fn two_protocols_of_parameter(span: Span, name: &str) -> Diagnostic {
    Diagnostic::new(Code::TwoProtocols, span, format!("the argument of `{name}` brings a protocol of its own"))
        .at("a second protocol")
}

/// A parameter of the type `is` stands where `wanted` does: "a port", "a namespace", "an endpoint".
pub fn parameter_type(span: Span, name: &str, is: ParameterType, wanted: &str) -> Diagnostic {
    let message = format!("the parameter `{name}` is of the type {}, and {wanted} stands here", is.word());
    let diagnostic = Diagnostic::new(Code::ParameterType, span, message).at(format!("expected {wanted}"));
    match (is, wanted) {
        (ParameterType::Namespace, "an endpoint") => {
            let text = format!("{name}/*");
            diagnostic.fix(format!("for its pods write `{text}`"), span, text)
        }
        _ => diagnostic,
    }
}

/// `known` are the names of ports that the pods have, with their protocols.
pub fn unknown_port_name(span: Span, name: &str, protocol: Protocol, known: &[(SmolStr, Protocol)]) -> Diagnostic {
    let message = format!("no pod that is meant here has a {} port named `{name}`", protocol.word());
    let diagnostic = Diagnostic::new(Code::UnknownPortName, span, message);
    let same = known.iter().filter(|(_, other)| *other == protocol).map(|(name, _)| name.as_str());
    if let Some(near) = nearest(name, same) {
        let named = Span { end: span.start + name.len() as u32, ..span };
        return diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), named, near);
    }
    let known = known.iter().map(|(name, other)| match other {
        _ if *other == protocol => format!("`{name}`"),
        other => format!("`{name}/{}`", other.word()),
    });
    let known: Vec<String> = known.collect();
    let diagnostic = match known.as_slice() {
        [] => diagnostic.at("their ports have no names"),
        known => diagnostic.at(format!("they have {}", known.join(", "))),
    };
    diagnostic.note_opt(as_protocol(name))
}

fn port_words(port: &ServicePort) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => String::new(),
        other => format!("/{}", other.word()),
    };
    let name = port.name.as_ref().map_or_else(String::new, |name| format!(" (`{name}`)"));
    let read = port.app.map_or_else(String::new, |app| format!("/{}", app.word()));
    match &port.target {
        TargetPort::Number(target) => format!("{}{protocol}{name} to {target}{read}", port.port),
        TargetPort::Name(target) => format!("{}{protocol}{name} to `{target}`{read}", port.port),
    }
}

/// Says how two statements of one Service differ, the first `there` and the second `here`.
pub fn service_difference(there: &Service, here: &Service) -> String {
    let pods = |service: &Service| match &service.selector {
        Some(labels) => labels.iter().map(|(key, value)| format!("{key}={}", label_value(value))).collect::<Vec<_>>(),
        None => vec!["nothing".into()],
    };
    let ports = |service: &Service| service.ports.iter().map(port_words).collect::<Vec<_>>();
    let (what, there, here) = match there.selector == here.selector {
        true => ("sends", ports(there), ports(here)),
        false => ("selects", pods(there), pods(here)),
    };
    let list = |list: Vec<String>| if list.is_empty() { "nothing".to_string() } else { list.join(", ") };
    format!("it {what} {} there, and {} here", list(there), list(here))
}

/// Writes requirements as the language does: `{app=web, tier in (a, b)}`.
fn selector_words(requirements: &Requirements) -> String {
    let values = |values: &[SmolStr]| values.iter().map(|value| label_value(value)).collect::<Vec<_>>().join(", ");
    let words = requirements.list().iter().map(|Requirement { key, test }| match test {
        Test::In(one) if one.len() == 1 => format!("{key}={}", values(one)),
        Test::In(list) => format!("{key} in ({})", values(list)),
        Test::NotIn(list) => format!("{key} notin ({})", values(list)),
        Test::Exists => key.to_string(),
        Test::DoesNotExist => format!("!{key}"),
    });
    format!("{{{}}}", words.collect::<Vec<_>>().join(", "))
}

/// Returns a Service's pods as a selector that can be pasted.
fn pods_of(namespace: &str, service: &Service) -> String {
    let labels = service.selector.iter().flatten();
    let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={}", label_value(value))).collect();
    format!("{namespace}/{{{}}}", labels.join(", "))
}

/// Writes a label's value: bare where it may be.
fn label_value(value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !value.is_empty() && value.chars().all(bare) { value.into() } else { format!("\"{value}\"") }
}

pub fn unknown_service_port(span: Span, (namespace, name): &Key, service: &Service, text: &str) -> Diagnostic {
    let ports: Vec<String> = service.ports.iter().map(port_words).collect();
    let message = format!("Service {namespace}/{name} has no port {text}");
    let diagnostic = Diagnostic::new(Code::UnknownServicePort, span, message).label(service.origin, "the Service");
    match service.ports.first() {
        None => diagnostic.at("the Service has no ports"),
        Some(first) => diagnostic.at(format!("the Service sends {}", ports.join(" and "))).note(format!(
            "a Service's port: `{namespace}/{name}:{}`; any port of its pods: `{}:{text}`",
            first.port,
            pods_of(namespace, service)
        )),
    }
}

/// `own` is the Service's port of this number or name, `other` the one that leads to it.
pub fn ambiguous_service_port(
    span: Span,
    (namespace, name): &Key,
    service: &Service,
    text: &str,
    own: &ServicePort,
    other: &ServicePort,
) -> Diagnostic {
    let target = match &own.target {
        TargetPort::Number(number) => number.to_string(),
        TargetPort::Name(name) => name.to_string(),
    };
    Diagnostic::new(
        Code::AmbiguousServicePort,
        span,
        format!("{text} is a port of Service {namespace}/{name} and also a port of its pods"),
    )
    .at(format!("the Service sends {} and {}", port_words(own), port_words(other)))
    .label(service.origin, "the Service")
    .note(format!(
        "the pods' port: `{namespace}/{name}:{}`; the Service's: `{}:{target}`",
        other.port,
        pods_of(namespace, service)
    ))
}

pub fn contradicting_protocol(
    port: &Port,
    (namespace, name): &Key,
    own: &ServicePort,
    known: AppProtocol,
    said: AppProtocol,
    service: Span,
) -> Diagnostic {
    let message = format!("port {} of Service {namespace}/{name} is {}, not {}", own.port, known.word(), said.word());
    let diagnostic = Diagnostic::new(Code::ContradictingProtocol, port.span, message)
        .at("said otherwise here")
        .label(service, "the Service says it");
    match &port.kind {
        PortKind::Number(number) => {
            diagnostic.fix(format!("go by the Service: `:{number}`"), port.span, number.to_string())
        }
        _ => diagnostic,
    }
}

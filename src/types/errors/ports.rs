//! Messages about ports, and about the Services that say how they are read.

use super::endpoints::Key;
use crate::diag::{Code, Diagnostic, nearest};
use crate::inventory::{Service, ServicePort, TargetPort};
use crate::model::labels::{Requirement, Requirements, Test};
use crate::model::ports::{AppProtocol, PortMatch, PortTest, Protocol};
use crate::source::Span;
use crate::syntax::tree::{Port, PortKind};
use crate::types::readings::Misread;
use crate::types::value::ParameterType;
use smol_str::SmolStr;

/// `name` is what has the ports, where it is a name; `some_lack` says that members of a union have none.
pub fn second_ports(span: Span, name: Option<&str>, first: Span, some_lack: bool) -> Diagnostic {
    let message = match name {
        Some(name) => format!("`{name}` brings its own ports"),
        None => "ports stand on something that has ports already".into(),
    };
    let diagnostic = Diagnostic::new(Code::SecondPorts, span, message).at("a second suffix").label(first, "the first");
    match some_lack {
        true => diagnostic.note("leave the second out, and write its ports at the members that have none"),
        false => diagnostic.fix("leave the second out", span, ""),
    }
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
        PortTest::Named(name) => format!("port `{name}` is"),
        PortTest::Range(first, last) if first == last => format!("port {first} is"),
        range => format!("the ports {range} are"),
    };
    let as_word = |port: &PortMatch| port.app.map_or_else(String::new, |app| format!("as `{}`", app.word()));
    Diagnostic::new(Code::TwoProtocols, span, format!("{shown} read in two ways"))
        .at(as_word(port))
        .label(first, as_word(other))
}

/// The mesh opens TLS to a host, and the build has no mesh.
pub fn nothing_opens_tls(span: Span, host: &str, declared: Span) -> Diagnostic {
    Diagnostic::new(Code::NothingOpensTls, span, format!("no layer of the build opens TLS to {host}"))
        .at("pods that speak plain HTTP there reach nobody")
        .label(declared, "a sidecar is to open TLS")
        .note("add the istio layer: `--target networkpolicy,istio`")
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
    let named = Span { end: span.start + name.len() as u32, ..span };
    if let Some((_, other)) = known.iter().find(|(same, _)| same == name) {
        let repair = format!("{name}/{}", other.word());
        let diagnostic = diagnostic.at(format!("they have it as a {} port", other.word()));
        return diagnostic.fix(format!("write `{repair}`"), span, repair);
    }
    let same = known.iter().filter(|(_, other)| *other == protocol).map(|(name, _)| name.as_str());
    if let Some(near) = nearest(name, same) {
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

/// `sent` is the Service's port that leads to a name; `known` are the names that its pods' ports have.
pub fn unknown_target_port(
    span: Span,
    (namespace, name): &Key,
    service: &Service,
    sent: &ServicePort,
    known: &[(SmolStr, Protocol)],
) -> Diagnostic {
    let target = target_words(&sent.target);
    let message = format!(
        "Service {namespace}/{name} sends {} to the port {target}, and no pod that it selects has a {} port of that name",
        sent.port,
        sent.protocol.word()
    );
    let diagnostic = Diagnostic::new(Code::UnknownPortName, span, message).label(service.origin, "the Service");
    let known: Vec<String> = known
        .iter()
        .map(|(name, protocol)| match protocol {
            Protocol::Tcp => format!("`{name}`"),
            other => format!("`{name}/{}`", other.word()),
        })
        .collect();
    let diagnostic = match known.as_slice() {
        [] => diagnostic.at("their ports have no names"),
        known => diagnostic.at(format!("they have {}", known.join(", "))),
    };
    let pods = pods_of(namespace, service);
    diagnostic.note(format!(
        "the Service reaches nobody there: mend its `targetPort`, or write the pods' own port, `{pods}:PORT`"
    ))
}

/// `sent` is the Service's port of the number that stands at the labels of its pods.
pub fn port_of_a_service(
    span: Span,
    (namespace, name): (&SmolStr, &SmolStr),
    service: &Service,
    sent: &ServicePort,
) -> Diagnostic {
    let message =
        format!("no container of these pods has port {}, which is one of Service {namespace}/{name}", sent.port);
    Diagnostic::new(Code::ServicePortOnPods, span, message)
        .at(format!("the Service sends {} to {}", sent.port, target_words(&sent.target)))
        .label(service.origin, "the Service")
        .note(format!("at labels a port is the pods' own; for the Service's write `{namespace}/{name}:{}`", sent.port))
}

fn target_words(target: &TargetPort) -> String {
    match target {
        TargetPort::Number(number) => number.to_string(),
        TargetPort::Name(name) => format!("`{name}`"),
    }
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
pub(super) fn selector_words(requirements: &Requirements) -> String {
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
pub(super) fn pods_of(namespace: &str, service: &Service) -> String {
    let labels = service.selector.iter().flatten();
    let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={}", label_value(value))).collect();
    format!("{namespace}/{{{}}}", labels.join(", "))
}

/// Writes a label's value: bare where it may be.
pub(super) fn label_value(value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !value.is_empty() && value.chars().all(bare) { value.into() } else { format!("\"{value}\"") }
}

/// `port` is written as `text`; `on_pods` says that the port may be one of its pods, whatever the Service sends there.
pub fn unknown_service_port(
    port: &Port,
    (namespace, name): &Key,
    service: &Service,
    text: &str,
    on_pods: bool,
) -> Diagnostic {
    let ports: Vec<String> = service.ports.iter().map(port_words).collect();
    let message = format!("Service {namespace}/{name} has no port {text}");
    let diagnostic = Diagnostic::new(Code::UnknownServicePort, port.span, message).label(service.origin, "the Service");
    let number = match &port.kind {
        PortKind::Number(number) => Some(*number),
        _ => None,
    };
    if let Some(own) = service.ports.iter().find(|own| own.node_port.is_some() && own.node_port == number) {
        return diagnostic
            .at(format!("a node passes {text} on to the Service's {}, and pods never see it", own.port))
            .fix(format!("write `{namespace}/{name}:{}`", own.port), port.span, own.port.to_string());
    }
    let pods = on_pods.then(|| format!("any port of its pods, `{}:{text}`", pods_of(namespace, service)));
    match service.ports.as_slice() {
        [] => diagnostic.at("the Service has no ports").note_opt(pods),
        [only] if !matches!(port.kind, PortKind::Range(..)) => {
            let write = format!("write `{namespace}/{name}:{}`", only.port);
            diagnostic
                .at(format!("the Service sends {}", ports.join(" and ")))
                .note(write.clone())
                .note_opt(pods.map(|pods| format!("or, for {pods}")))
                .fix(write, port.span, only.port.to_string())
        }
        [first, ..] => diagnostic
            .at(format!("the Service sends {}", ports.join(" and ")))
            .note(format!("write one of them, as `{namespace}/{name}:{}`", first.port))
            .note_opt(pods.map(|pods| format!("or, for {pods}"))),
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
    let pods = pods_of(namespace, service);
    let pods_port = text.split('/').next().unwrap_or(text);
    Diagnostic::new(
        Code::AmbiguousServicePort,
        span,
        format!("{text} is a port of Service {namespace}/{name} and also a port of its pods"),
    )
    .at(format!("the Service sends {} and {}", port_words(own), port_words(other)))
    .label(service.origin, "the Service")
    .note(format!("the pods' port: `{pods}:{pods_port}`; the Service's: `{pods}:{target}`"))
}

/// A condition on a port whose requests the mesh does not read. `word` is the condition's.
pub fn misread(clause: Span, word: &str, found: &Misread) -> Diagnostic {
    let Misread { namespace, service, port, origin } = found;
    let how = port.app.map_or("tcp", AppProtocol::word);
    let word = if word == "at" { "public host" } else { word };
    let message =
        format!("port {} of Service {namespace}/{service} is {how}, so nobody reads the {word} there", port.port);
    let label = match &port.name {
        Some(name) => format!("its port `{name}` says it, or `appProtocol`"),
        None => "its number or `appProtocol` says it".to_owned(),
    };
    Diagnostic::new(Code::ContradictingProtocol, clause, message)
        .at("a condition on requests")
        .label(*origin, label)
        .note("in the Service, set `appProtocol: http` or begin the port's name with `http-`; or drop the condition")
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

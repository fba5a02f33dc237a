//! Messages about endpoints, names and addresses, by themselves and beside the inventory.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use smol_str::SmolStr;

use crate::diag::{Code, Diagnostic};
use crate::inventory::Service;
use crate::model::hosts::HostName;
use crate::source::Span;
use crate::syntax::tree::{Ident, Word};
use crate::types::value::Kind;

pub(super) type Key = (SmolStr, SmolStr);

/// The meanings elsewhere of a word that is no name in sight.
#[derive(Default)]
pub struct Elsewhere<'a> {
    /// The nearest name in sight.
    pub near: Option<SmolStr>,
    /// A namespace of the inventory.
    pub namespace: bool,
    /// The ports after its `:`, if the namespace has a workload or Service of that name.
    pub pods: Option<&'a str>,
    /// The namespaces that have a workload or Service of this name, sorted.
    pub workload_of: Vec<&'a str>,
    /// The module of the standard library that defines it, and where the file of the word begins.
    pub module: Option<(&'static str, Span)>,
}

pub fn unknown_name(span: Span, name: &str, elsewhere: Elsewhere<'_>) -> Diagnostic {
    const SHOWN: usize = 4;
    let diagnostic = Diagnostic::new(Code::UnknownName, span, format!("`{name}` is not defined"));
    let Elsewhere { near, namespace, pods, workload_of, module } = elsewhere;
    if let (true, Some(pods)) = (namespace, pods) {
        let whole = Span { end: span.end + 1 + pods.len() as u32, ..span };
        let text = format!("{name}/{pods}");
        return diagnostic.at("pods stand behind their namespace and a `/`").fix(
            format!("write `{text}`"),
            whole,
            text,
        );
    }
    let is_known = namespace || !workload_of.is_empty() || module.is_some();
    let mut diagnostic = match (namespace, workload_of.as_slice()) {
        (true, []) => diagnostic.at("a namespace stands before a `/` only"),
        (_, [_, ..]) => diagnostic.at("a workload or Service stands behind its namespace and a `/`"),
        _ => diagnostic,
    };
    let alone = usize::from(namespace) + workload_of.len() + usize::from(module.is_some()) == 1;
    let title = |text: &str, what: &str| match alone {
        true => format!("write `{text}`"),
        false => format!("{what} write `{text}`"),
    };
    for workload in workload_of.iter().take(SHOWN) {
        let text = format!("{workload}/{name}");
        diagnostic = diagnostic.fix(title(&text, &format!("for that of {workload}")), span, text);
    }
    if let Some(more) = workload_of.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        diagnostic = diagnostic.note(format!("{more} more namespaces have one"));
    }
    if namespace {
        let text = format!("{name}/*");
        diagnostic = diagnostic
            .fix(title(&text, "for the namespace's pods"), span, text)
            .note(format!("a namespace has no second name: before a `/` write `{name}` itself, as in `{name}/web`"));
    }
    if module.is_some() {
        return use_it(diagnostic, name, module);
    }
    match near {
        _ if is_known => diagnostic,
        _ if matches!(name, "any" | "all" | "everyone" | "everybody" | "everything" | "everywhere" | "world") => {
            diagnostic.at("several things could be meant").note(
                "everybody, in the cluster or not, is `anywhere`, every pod `*/*`, and every public address `internet`",
            )
        }
        _ if name == "localhost" => diagnostic.at("a pod always reaches itself: no rule says so"),
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), span, near),
        None => diagnostic.at("no `let`, declaration or module defines it").note(format!(
            "a namespace's pods are written `{name}/*`, a workload's `NAMESPACE/{name}`, a host of one label `host {name}`"
        )),
    }
}

/// Proposes the `use` of the module that defines a name.
pub(super) fn use_it(diagnostic: Diagnostic, name: &str, module: Option<(&'static str, Span)>) -> Diagnostic {
    let Some((module, start)) = module else { return diagnostic };
    let statement = format!("use std/{module} ({name})");
    let diagnostic = diagnostic.at(format!("std/{module} defines it, and this file does not use that"));
    diagnostic.fix(format!("begin the file with `{statement}`"), start, format!("{statement}\n"))
}

/// `what` is `gateway` or `issuer`.
pub fn unknown_declaration(name: &Ident, elsewhere: Elsewhere<'_>, what: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownName, name.span, format!("`{}` is not defined", name.text));
    if elsewhere.module.is_some() {
        return use_it(diagnostic, &name.text, elsewhere.module);
    }
    if let Some(near) = elsewhere.near {
        return diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), name.span, near);
    }
    let fields = match what {
        "issuer" => "{ url \"https://login.example.com\" jwks \"https://login.example.com/keys\" }",
        _ => "{ pods istio-system/{istio=ingressgateway} port 443/https }",
    };
    diagnostic
        .at(format!("no {what} of this name is declared here or by a module in use"))
        .note(format!("declare it: `{what} {} {fields}`", name.text))
}

/// `ways` are the spans of the definitions, each with the path as its `use` writes it.
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
        _ => ("the API server is", ""),
    };
    Diagnostic::new(Code::PlatformUnknown, span, format!("the platform `{platform}` does not say where {what}"))
        .at("no address is known")
        .note(match name {
            "nodes" => format!("say it in netpol.toml, under `[cluster]`: `nodes = [\"{example}\"]`"),
            _ => WHERE_IT_IS.to_owned(),
        })
}

/// `others` are the names between this one and itself, with their spans.
pub fn cyclic_let(span: Span, name: &str, others: &[(Span, &str)]) -> Diagnostic {
    let start = Diagnostic::new(Code::CyclicLet, span, format!("`{name}` is made of itself"));
    let Some((_, first)) = others.first() else { return start.at("its value names it") };
    let start = start.at(format!("its value needs `{first}`"));
    let next = others.iter().skip(1).map(|(_, next)| *next).chain([name]);
    others.iter().zip(next).fold(start, |all, ((place, _), next)| all.label(*place, format!("this needs `{next}`")))
}

/// Returns a message about a network with a mistake. `written` is the address as it stands there, `net` the same with
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

/// `uncut` says that no setting cuts pods out of blocks.
pub fn known_pod(span: Span, pod: &str, address: IpAddr, uncut: bool) -> Diagnostic {
    let cut = "to cut them out of what is emitted: `[cluster] pods` in netpol.toml says where pods are";
    Diagnostic::new(Code::KnownAddresses, span, "these addresses hold pods of the cluster")
        .at(format!("{pod} has {address}"))
        .note("addresses mean what is not a pod: to speak of pods, name them")
        .note_opt(uncut.then_some(cut))
}

/// `service` is the Service with a port, as a rule could name it, and `only` says that nothing but its address is
/// written. `sends` says that it is a source.
pub fn known_service(span: Span, service: &str, address: IpAddr, only: bool, sends: bool) -> Diagnostic {
    let name = service.split(':').next().unwrap_or(service);
    let message = match only {
        true => format!("{address} is the cluster IP of the Service {name}"),
        false => format!("these addresses hold {address}, the cluster IP of the Service {name}"),
    };
    Diagnostic::new(Code::ServiceAddress, span, message)
        .at("no plugin sees this address: a flow arrives at a pod's own")
        .note(match name {
            _ if sends => "nobody sends from there: name the pods that do".to_owned(),
            "default/kubernetes" => "write `apiserver`, without a port: it brings its own".to_owned(),
            _ => format!("write `{service}`"),
        })
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

/// `span` contains the ports too; `known` says whether `apiserver` means addresses, and `free` whether it may stand
/// there.
pub fn host_is_api_server(span: Span, host: &HostName, known: bool, free: bool) -> Diagnostic {
    let message = format!("{host} is the API server, and no host outside the cluster");
    let diagnostic = Diagnostic::new(Code::HostIsService, span, message).at("the name of its Service");
    match (known, free) {
        (true, true) => diagnostic.fix("write `apiserver`", span, "apiserver"),
        (true, false) => diagnostic.note("write `apiserver`, as in `allow egress garden/* -> apiserver`"),
        (false, _) => {
            diagnostic.note("write `apiserver`, as in `allow egress garden/* -> apiserver`").note(WHERE_IT_IS)
        }
    }
}

/// How the address of the API server becomes known.
const WHERE_IT_IS: &str = "where it is says netpol.toml, under `[cluster]`: `apiserver = [\"203.0.113.10:443\"]`, or an \
                           inventory with the Endpoints of default/kubernetes; for any address there is `any-apiserver` of std/k8s";

/// `span` contains the ports too, which are `ports` as written. `lacking` is the Service where it has not all of them.
pub fn host_is_service(
    span: Span,
    host: &HostName,
    (namespace, service): (&str, Option<&str>),
    ports: &str,
    lacking: Option<&Service>,
) -> Diagnostic {
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
        return diagnostic.note(format!("what is inside is written `NAMESPACE/NAME`, and every pod `*/*{ports}`"));
    }
    match (lacking.map(|service| service.ports.as_slice()), service) {
        (Some([only]), Some(name)) => {
            let text = format!("{namespace}/{name}:{}", only.port);
            diagnostic.note(format!("the Service has one port, {}", only.port)).fix(
                format!("write `{text}`"),
                span,
                text,
            )
        }
        (Some([first, rest @ ..]), Some(name)) => {
            let all = rest.iter().fold(first.port.to_string(), |all, port| format!("{all}, {}", port.port));
            diagnostic
                .note(format!("the Service has the ports {all}: write one, as `{namespace}/{name}:{}`", first.port))
        }
        _ => diagnostic.fix(format!("write `{text}`"), span, text),
    }
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

/// `why` says how it lies to the set that it is taken from.
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

/// `protocol` is what stands after the `/`, if that is one, and `namespace` that of all whose pods the name means.
/// There is no fix, since only the author knows which of the two is meant.
pub fn namespace_like_name(
    word: &Word,
    protocol: Option<&str>,
    ports: bool,
    namespace: Option<&SmolStr>,
) -> Diagnostic {
    let name = &word.text;
    let diagnostic =
        Diagnostic::new(Code::NamespaceLikeName, word.span, format!("`{name}` before a `/` is a namespace"))
            .at(format!("the name `{name}` is in sight too"));
    match protocol {
        // A second suffix would be an error.
        Some(_) if ports => diagnostic
            .note("a protocol stands after a port, as in `:*/udp`")
            .note(format!("for the name with its own ports write `{name}`")),
        Some(protocol) => diagnostic.note(format!("for every port of the name write `{name}:*/{protocol}`")),
        None => diagnostic.note(match namespace {
            Some(namespace) => {
                format!("for pods of the namespace that the name means write `{namespace}` before the `/`")
            }
            None => format!("for the name write `{name}`"),
        }),
    }
}

//! Messages about namespaces, selectors and names, from the facts of the inventory.

use std::net::IpAddr;

use super::endpoints::Key;
use super::ports::{label_value, pods_of, selector_words};
use crate::diag::{Code, Diagnostic, nearest};
use crate::inventory::{Near, NearNamespace, Service, Unread, Workload};
use crate::model::labels::{Requirement, Requirements, Test};
use crate::settings::Platform;
use crate::source::Span;
use crate::syntax::tree::{LabelRequirement, LabelTest, Labels, PodPattern, Word};
use crate::types::facts::workload_words;
use smol_str::SmolStr;

/// `scope` is that of the file, where it leaves this namespace out.
pub fn unknown_namespace(span: Span, name: &str, near: Option<&SmolStr>, scope: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::UnknownNamespace, span, format!("the inventory has no namespace `{name}`"));
    match near {
        Some(near) => {
            diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), span, near.as_str())
        }
        None => diagnostic.at("not among the manifests").note(match scope {
            None => format!("if it comes later, declare it, beside the rules of any file: `namespace {name} {{}}`"),
            Some(_) => format!("if it comes later, declare it in a file without a `scope`, which this file may use: `namespace {name} {{}}`"),
        }),
    }
}

/// A Service behind which pods see nodes instead of clients. `is_gateway` says that these pods are a gateway
/// themselves.
pub fn clients_hidden(
    span: Span,
    (namespace, name): (&SmolStr, &SmolStr),
    service: &Service,
    is_gateway: bool,
) -> Diagnostic {
    let message = format!("the Service {namespace}/{name} hides its clients' addresses from these pods");
    Diagnostic::new(Code::ClientsHidden, span, message)
        .at("who comes through the Service has the address of a node here")
        .label(service.origin, "its `externalTrafficPolicy` is `Cluster`")
        .note(match is_gateway {
            true => "`externalTrafficPolicy: Local` in the Service keeps them",
            false => "`externalTrafficPolicy: Local` in the Service keeps them, or a gateway judges them: `via GATEWAY at \"HOST\"`",
        })
}

/// A known pod whose address is in none of `[cluster] pods`; `count` pods' addresses are.
pub fn pod_outside_ranges(span: Span, pod: &Workload, address: IpAddr, count: usize) -> Diagnostic {
    let Workload { namespace, name, .. } = pod;
    let others = match count {
        1 => String::new(),
        2 => ", and another address of a pod".to_owned(),
        more => format!(", and {} other addresses of pods", more - 1),
    };
    Diagnostic::new(
        Code::PodOutsideRanges,
        span,
        format!("{namespace}/{name} has {address}, outside of these addresses"),
    )
    .at(format!("{address} is not in them{others}"))
    .label(pod.origin, "its `status` has the address")
    .note("say all addresses of pods, of IPv4 and of IPv6: what a build keeps from pods stays open to pods at others")
}

/// A platform that the inventory shows, by `words`, and the settings do not name.
pub fn platform_unsaid(span: Span, platform: Platform, words: &str) -> Diagnostic {
    let message = format!("the inventory is of {}, and `netpol.toml` names no platform", platform.title());
    Diagnostic::new(Code::PlatformUnsaid, span, message)
        .at(format!("{words} shows it"))
        .note(format!(
            "say it, so that names such as `dns` mean what they are there: under `[cluster]` in netpol.toml \
             `platform = \"{}\"`",
            platform.word()
        ))
        .note("if the cluster is another one, that says so too: `platform = \"kubernetes\"`")
}

/// A key of `[cluster]` that has the cluster IP of a Service.
pub fn setting_of_service(
    span: Span,
    key: &str,
    (namespace, name): (&SmolStr, &SmolStr),
    address: IpAddr,
) -> Diagnostic {
    let message = format!("{address} is the cluster IP of the Service {namespace}/{name}");
    let right = match key {
        "apiserver" => {
            "write the addresses behind it, as `kubectl get endpoints kubernetes` lists them, or leave the key out \
             where the inventory has these Endpoints"
        }
        "nodes" => "write the addresses of the nodes, as `kubectl get nodes -o wide` lists them",
        _ => "write the pods behind it with their ports, or leave it out: `dns` follows the cluster's DNS Service",
    };
    Diagnostic::new(Code::ServiceAddress, span, message)
        .at("no plugin sees this address: a flow arrives at the one behind it")
        .note(right)
}

/// `place` is the span at which the user names it, `named` the one in the standard library.
pub fn library_namespace(place: Span, name: &str, named: Span) -> Diagnostic {
    Diagnostic::new(Code::LibraryNamespace, place, format!("the inventory has no namespace `{name}`"))
        .at("this leads there")
        .label(named, "taken as written")
}

/// `written` are the labels before the `/`, where they are written there; `all` are the namespaces of the inventory.
pub fn no_such_namespaces<'n>(
    span: Span,
    written: Option<&Labels>,
    near: Option<&NearNamespace<'_>>,
    all: impl Iterator<Item = &'n SmolStr>,
) -> Diagnostic {
    const SHOWN: usize = 8;
    let message = "no namespace of the inventory has these labels";
    let by_name = written.and_then(|labels| match labels.requirements.as_slice() {
        [LabelRequirement { key, test: LabelTest::Equals(value), .. }]
            if matches!(key.text.as_str(), "name" | "namespace" | "kubernetes.io/metadata.name") =>
        {
            Some(&value.text)
        }
        _ => None,
    });
    // A namespace of another name is no other spelling of this one, and to let it in would be a mistake.
    let unlike = |near: &NearNamespace<'_>| by_name.filter(|name| nearest(name, [near.namespace.as_str()]).is_none());
    let unlike = near.and_then(unlike);
    // Kubernetes itself gives a namespace one label, `kubernetes.io/metadata.name`.
    let own = written.and_then(|labels| labels.requirements.first()).filter(|one| !one.key.text.contains('/'));
    let label =
        own.zip(by_name).map(|(one, name)| format!(" labels {{ {} = {name} }} ", one.key.text)).unwrap_or_default();
    let later = by_name.map(|name| format!("if it comes later, declare it: `namespace {name} {{{label}}}`"));
    let by_name = by_name.map(|name| {
        let mut all: Vec<&str> = all.map(SmolStr::as_str).collect();
        let more = if all.len() > SHOWN { format!(" and {} more", all.len() - SHOWN) } else { String::new() };
        match all.contains(&name.as_str()) {
            true => format!("a namespace's name stands before the `/` by itself: `{name}/*`"),
            false => {
                all.truncate(SHOWN);
                format!("for the namespace called {name} write `{name}/*`; the inventory has {}{more}", all.join(", "))
            }
        }
    });
    match near {
        Some(NearNamespace { wanted, found, namespace }) => {
            let diagnostic = Diagnostic::new(Code::SelectorMatchesNothing, span, message);
            if unlike.is_some() {
                return diagnostic.at("matches no namespace").note_opt(by_name).note_opt(later);
            }
            near_label(diagnostic, written, &format!("Namespace {namespace}"), wanted, *found)
        }
        None => Diagnostic::new(Code::SelectorUnmatched, span, message)
            .at("matches no namespace")
            .note_opt(by_name)
            .note(later.unwrap_or_else(|| {
                "where such namespaces come later, NetworkPolicies let them through as peers at once; all else takes the next build".to_owned()
            })),
    }
}

/// `any` says whether pods of these namespaces are known at all, `keys` are those of their labels, and `declaration` is
/// one of such pods.
pub fn selector_unmatched(
    span: Span,
    text: &str,
    any: bool,
    elsewhere: Option<&Workload>,
    keys: &[&SmolStr],
    declaration: Option<String>,
) -> Diagnostic {
    const SHOWN: usize = 8;
    let message = format!("no pod that is known matches `{text}`");
    let diagnostic = Diagnostic::new(Code::SelectorUnmatched, span, message);
    let diagnostic = match (elsewhere, any) {
        (Some(workload), _) => diagnostic.at(format!("{} of another namespace would", workload_words(workload))),
        (None, true) => match keys {
            [] => diagnostic.at("nor does anything near it"),
            keys => {
                let shown: Vec<&str> = keys.iter().take(SHOWN).map(|key| key.as_str()).collect();
                let more = if keys.len() > SHOWN { ", …" } else { "" };
                diagnostic.at(format!("the pods there have labels of the keys {}{more}", shown.join(", ")))
            }
        },
        (None, false) => diagnostic.at("the inventory has no workload there"),
    };
    diagnostic.note(match declaration {
        Some(declaration) => format!("if such pods come later, say so: `{declaration}`"),
        None => "such pods may come later".into(),
    })
}

/// Pods of a workload whose kind is not read, so that nothing is known of them.
pub fn kind_not_read(span: Span, text: &str, unread: &Unread) -> Diagnostic {
    let Unread { kind, namespace, name, labels, account, origin } = unread;
    let labels: Vec<(&SmolStr, &str)> = labels.iter().map(|(key, value)| (key, value.as_str())).collect();
    let declaration = workload_declaration(namespace, name, &labels, account.as_deref());
    Diagnostic::new(Code::SelectorMatchesNothing, span, format!("no pod that is known matches `{text}`"))
        .at(format!("{kind} {namespace}/{name} makes such pods, and its kind is not read"))
        .label(*origin, "here")
        .note(format!("say which pods it has: `{declaration}`"))
}

/// Names of workloads in the braces of labels; `repair` is the union that was meant, and `certain` says that no pod has
/// such labels.
pub fn names_as_labels(span: Span, repair: &str, certain: bool) -> Diagnostic {
    let at = "pods that have all of these labels, whatever their values";
    match certain {
        true => Diagnostic::new(Code::NamesAsLabels, span, "these are keys of labels, and no pod has them").at(at).fix(
            format!("write `{repair}`"),
            span,
            repair,
        ),
        false => {
            Diagnostic::new(Code::PerhapsNames, span, "these are keys of labels, and look like names of workloads")
                .at(at)
                .note(format!("for the workloads write `{repair}`"))
        }
    }
}

/// `values` are those of a list `key in (…)` that no pod or namespace has.
pub fn values_unmatched(span: Span, key: &str, values: &[&Word], of_namespace: bool) -> Diagnostic {
    let who = if of_namespace { "no namespace of the inventory" } else { "no pod that is known" };
    let mut said = values.iter().map(|value| format!("={}", label_value(&value.text)));
    let first = said.next().unwrap_or_default();
    let rest: Vec<String> = said.collect();
    let rest = if rest.is_empty() { String::new() } else { format!(" or {}", rest.join(" or ")) };
    let span = values.first().map_or(span, |value| value.span);
    let start = Diagnostic::new(Code::SelectorUnmatched, span, format!("{who} has {key}{first}{rest}"))
        .at("this value selects nobody");
    values.iter().skip(1).fold(start, |diagnostic, value| diagnostic.label(value.span, "nor does this one"))
}

/// Writes a `workload` as it could be declared.
pub fn workload_declaration(namespace: &str, name: &str, labels: &[(&SmolStr, &str)], account: Option<&str>) -> String {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key} = {}", label_value(value))).collect();
    let mut fields = String::new();
    if !labels.is_empty() {
        fields.push_str(&format!(" labels {{ {} }}", labels.join(", ")));
    }
    if let Some(account) = account {
        fields.push_str(&format!(" account {account}"));
    }
    format!("workload {namespace}/{name} {{{fields} }}")
}

pub fn on_host_network(span: Span, text: &str, workload: &Workload) -> Diagnostic {
    let message = format!("the known pods of `{text}` are all on the host network");
    Diagnostic::new(Code::SelectorMatchesNothing, span, message)
        .at(format!("{} is on the host network", workload_words(workload)))
        .label(workload.origin, "here")
        .note("pods on the host network belong to their node, and no selector means them: see `nodes`")
}

/// `written` is what stands after the `/`, with its text.
pub fn selector_matches_nothing(span: Span, written: &PodPattern, text: &str, near: &Near<'_>) -> Diagnostic {
    let (message, place) = match written {
        PodPattern::Account(word) => (format!("no pod runs as the service account `{}`", word.text), word.span),
        _ => (format!("no pod matches `{text}`"), span),
    };
    let labels = match written {
        PodPattern::Labels(labels) => Some(labels),
        _ => None,
    };
    let diagnostic = Diagnostic::new(Code::SelectorMatchesNothing, place, message);
    match near {
        Near::Label { wanted, found, workload, values } => {
            let diagnostic = near_label(diagnostic, labels, &workload_words(workload), wanted, *found);
            if values.len() < 2 { diagnostic } else { diagnostic.note(values_there(&wanted.key, values)) }
        }
        Near::AllButOne { wanted, workload } => {
            let mut of_key = labels.into_iter().flat_map(|labels| &labels.requirements);
            let mut diagnostic = diagnostic;
            if let Some(one) = of_key.find(|one| one.key.text == wanted.key) {
                diagnostic.primary.span = one.span;
            }
            let has = match workload.labels.get(&wanted.key) {
                Some(value) => format!("has {}={value}", wanted.key),
                None => format!("has no {}", wanted.key),
            };
            diagnostic.at(format!("{} {has}, and meets the rest", workload_words(workload)))
        }
        Near::Account(workload) => diagnostic
            .at(format!("{} runs as `{}`", workload_words(workload), workload.account))
            .fix(format!("write `@{}`", workload.account), place, workload.account.as_str()),
    }
}

/// Lists the values that pods have of a key.
fn values_there(key: &str, values: &[SmolStr]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = values.iter().take(SHOWN).map(|value| label_value(value)).collect();
    let more = if values.len() > SHOWN { format!(" and {} more", values.len() - SHOWN) } else { String::new() };
    format!("the values of `{key}` there: {}{more}", shown.join(", "))
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

/// `near` is the name of a workload or Service there.
pub fn nothing_named(span: Span, (namespace, name): &Key, near: &str) -> Diagnostic {
    let message = format!("{namespace} has no workload or Service `{name}`");
    Diagnostic::new(Code::SelectorMatchesNothing, span, message).at(format!("did you mean `{near}`?")).fix(
        format!("write `{near}`"),
        span,
        near,
    )
}

/// A name that no workload and no Service has, nor one near it: `any` says whether the namespace has any of them.
pub fn name_unmatched(span: Span, (namespace, name): &Key, any: bool, alike: Option<&str>) -> Diagnostic {
    let message = match any {
        true => format!("{namespace} has no workload or Service `{name}`"),
        false => format!("the inventory has no workload or Service in `{namespace}`"),
    };
    let diagnostic = Diagnostic::new(Code::SelectorUnmatched, span, message)
        .at(format!("taken for the pods labelled app.kubernetes.io/name={name}, of which none is known"));
    let alike = alike.map(|alike| format!("or is `{namespace}/{alike}` meant?"));
    let declaration = format!(
        "if it comes later, say so: `workload {namespace}/{name} {{ labels {{ app.kubernetes.io/name = {name} }} }}`"
    );
    diagnostic.note(declaration).note_opt(alike)
}

/// A name whose pods are on the host network.
pub fn named_on_host(span: Span, workload: &Workload) -> Diagnostic {
    let message = format!("the pods of {} are on the host network", workload_words(workload));
    Diagnostic::new(Code::SelectorMatchesNothing, span, message)
        .at("no selector means them")
        .label(workload.origin, "here")
        .note("pods on the host network belong to their node: see `nodes`")
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

/// A Service without pods, named with a port or without one.
pub fn service_without_pods(span: Span, (namespace, name): &Key, service: &Service, port: Option<u16>) -> Diagnostic {
    if let Some(host) = &service.external_name {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let message = format!("the Service {namespace}/{name} is another name for the host {host}, and has no pods");
        let diagnostic = Diagnostic::new(Code::NoSelector, span, message)
            .at("stands for no pods")
            .label(service.origin, "the Service");
        let port = port.or_else(|| Some(service.ports.first()?.port)).unwrap_or(443);
        return diagnostic.note(match host.strip_suffix(".svc.cluster.local").and_then(|host| host.split_once('.')) {
            Some((name, namespace)) => format!("name the Service behind it: `{namespace}/{name}:{port}`"),
            None => format!("name the host, with the port that it has there, in an `allow egress`: `{host}:{port}`"),
        });
    }
    let service = service.origin;
    if (namespace.as_str(), name.as_str()) == ("default", "kubernetes") {
        return service_is_api_server(span).label(service, "the Service");
    }
    Diagnostic::new(Code::NoSelector, span, format!("the Service {namespace}/{name} has no selector and so no pods"))
        .at("stands for no pods")
        .label(service, "the Service")
        .note(format!("what it leads to outside is a host: `let {name} = host NAME at ADDRESS`"))
}

/// The Service `default/kubernetes`, which Kubernetes makes in every cluster.
pub fn service_is_api_server(span: Span) -> Diagnostic {
    Diagnostic::new(Code::NoSelector, span, "the Service default/kubernetes is the API server, and has no pods")
        .at("stands for no pods")
        .note("write `apiserver`, as in `allow egress garden/* -> apiserver`, without a port: it brings its own")
}

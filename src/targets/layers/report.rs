//! What is said of rules that the layers of a build do not hold.

use super::{Row, RowEnd, Together};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::model::conditions::Conditions;
use crate::model::endpoint::{Member, What};
use crate::model::hosts::HostName;
use crate::model::ports::{AppProtocol, PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule};
use crate::policy::Policy;
use crate::settings::Layer;
use crate::source::Span;
use crate::targets::{Level, PAST_SIDECAR, Traffic};

/// Says of a rule what its layers do not hold, or hold only of who plays by the rules.
pub(super) fn report(policy: &Policy, row: &Row<'_>, diagnostics: &mut Diagnostics) {
    let rule = row.rule;
    refused(row, diagnostics);
    if let Some((_, span)) = rule.origin.approximate() {
        if row.together == Together::Exact {
            let message = "`@approximate` accepts a gap, and there is none";
            diagnostics.push(
                Diagnostic::new(Code::NoGap, *span, message)
                    .at("every layer of the build together holds this rule exactly")
                    .fix("remove it", *span, ""),
            );
        }
        return;
    }
    match row.together {
        Together::Exact => {}
        Together::Open => diagnostics.push(not_held(policy, row)),
        Together::WellBehaved => {
            let mut ends = row.ends.iter().filter(|end| end.together == Together::WellBehaved);
            let ends: Vec<&RowEnd<'_>> = match rule.action {
                Action::Deny => ends.next().or(row.ends.first()).into_iter().collect(),
                _ => ends.collect(),
            };
            for end in ends {
                let bare = unmeshed(rule, end).or_else(|| left_out(policy, rule, end));
                // On the way in a sidecar is avoided by who has none.
                let all = bare.is_some() && end.direction == Direction::Ingress && !policy.settings.require_exact;
                bare.into_iter().for_each(|warning| diagnostics.push(warning));
                if !all {
                    diagnostics.push(well_behaved(policy, rule, end));
                }
            }
        }
    }
}

/// Says what a layer refuses although the rule allows it.
fn refused(row: &Row<'_>, diagnostics: &mut Diagnostics) {
    for (layer, judgement) in row.ends.iter().flat_map(|end| &end.layers) {
        if let Some(narrower) = judgement.narrower.as_deref().filter(|_| judgement.refuses) {
            let message = format!("{} refuses more than this rule says", layer.word());
            diagnostics.push(Diagnostic::new(Code::Refused, row.rule.origin.span, message).at(narrower));
        }
    }
}

/// Warns of pods without a sidecar that only sidecars would hold.
fn unmeshed(rule: &Rule, end: &RowEnd<'_>) -> Option<Diagnostic> {
    let names = end.layers.iter().find_map(|(_, judgement)| judgement.unmeshed.as_deref())?;
    let message = format!("pods without a sidecar are not held by this rule: {names}");
    let mut warning = Diagnostic::new(Code::Unmeshed, rule.origin.span, message).at("no object of Istio stops them");
    match end.layers.iter().find(|(layer, _)| *layer == Layer::NetworkPolicy) {
        Some((layer, judgement)) => warning = warning.note(judgement.words(*layer)),
        None => warning = warning.note("to close it: add the networkpolicy layer, `--target networkpolicy,istio`"),
    }
    Some(warning.note("or give them a sidecar"))
}

/// Warns of what annotations keep from the sidecars of a rule's pods, where sidecars alone would hold it.
fn left_out(policy: &Policy, rule: &Rule, end: &RowEnd<'_>) -> Option<Diagnostic> {
    if policy.settings.targets != [Layer::Istio] {
        return None;
    }
    let words = end.layers.iter().find_map(|(_, judgement)| judgement.left_out.as_deref())?;
    let message = format!("annotations keep connections from the sidecars of this rule's pods: {words}");
    Some(
        Diagnostic::new(Code::LeftOut, rule.origin.span, message)
            .at("no object of Istio stops them")
            .note("to close it: add the networkpolicy layer, `--target networkpolicy,istio`")
            .note("or take the annotation away"),
    )
}

/// A rule of which something passes that it forbids.
fn not_held(policy: &Policy, row: &Row<'_>) -> Diagnostic {
    let rule = row.rule;
    let on_tcp = row.open.contains(Traffic::Tcp);
    let clause = clause(&rule.conditions).filter(|_| on_tcp);
    let host = rule.destination.members.iter().find_map(|member| match &member.what {
        What::Host(host) if host.at.is_empty() => Some(&host.name),
        _ => None,
    });
    let (held, open): (Vec<&RowEnd<'_>>, Vec<&RowEnd<'_>>) =
        row.ends.iter().partition(|end| end.together != Together::Open && rule.action != Action::Deny);
    let what = match (&clause, host, rule.action, open.as_slice()) {
        (Some(clause), ..) => format!("hold `{clause}`"),
        (None, _, Action::Deny, _) => "stop what this denies".to_owned(),
        (None, Some(host), ..) => format!("hold this rule to `{host}`"),
        (None, None, _, [one]) if !held.is_empty() => format!("hold this rule at its {} end", end_word(one.direction)),
        (None, None, ..) => "hold this rule".to_owned(),
    };
    let message = format!("nothing in this build can {what}{}", on_words(row));
    let mut diagnostic = Diagnostic::new(Code::NotEnforced, rule.origin.span, message);
    let mut reasons = reasons(row).into_iter();
    if let Some(reason) = reasons.next() {
        diagnostic = diagnostic.at(reason);
    }
    for reason in reasons {
        diagnostic = diagnostic.note(reason);
    }
    let layers = &policy.settings.targets;
    if !layers.contains(&Layer::Istio) && on_tcp && (clause.is_some() || host.is_some()) {
        diagnostic = diagnostic.note("add the istio layer: `--target networkpolicy,istio`");
    }
    if let (None, Some(host)) = (&clause, host) {
        diagnostic = diagnostic.note(format!("or give the host its addresses: `let NAME = host {host} at ADDRESS`"));
    }
    if let ([held], Action::Allow) = (held.as_slice(), rule.action) {
        let (word, direction) = (end_word(held.direction), held.direction.word());
        diagnostic = diagnostic.note(format!("to govern its {word} end alone: `allow {direction} …`"));
    }
    if let ([held], Action::Isolate) = (held.as_slice(), rule.action) {
        let (word, direction) = (end_word(held.direction), held.direction.word());
        diagnostic = diagnostic.note(format!("to isolate its {word} pods alone: `default deny {direction} …`"));
    }
    diagnostic.note("or accept the gap: `@approximate(\"why\")` before the rule")
}

fn end_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "sending",
        Direction::Ingress => "receiving",
    }
}

/// Returns on what traffic a rule is not held, where that is not all of it.
pub(super) fn on_words(row: &Row<'_>) -> String {
    let [first, second, third] = PAST_SIDECAR;
    let datagrams = || match row.rule.action {
        Action::Deny => {
            let ports = row.rule.destination.members.iter().map(|member| &member.ports);
            let names = |protocol| ports.clone().any(|ports| ports.has_protocol(protocol));
            let words = [Protocol::Udp, Protocol::Sctp].into_iter().filter(|protocol| names(*protocol));
            words.map(Protocol::word).collect::<Vec<_>>().join(" and ")
        }
        _ => "udp and sctp".to_owned(),
    };
    let open = |kind| row.open.contains(kind);
    let list: Vec<String> = match (open(Traffic::Tcp), open(Traffic::PastSidecar), open(Traffic::Datagrams)) {
        (true, ..) => return String::new(),
        (false, past_sidecar, with_datagrams) => {
            let past = past_sidecar.then(|| format!("the ports {first}, {second} and {third}"));
            let left_out = open(Traffic::LeftOut).then(|| "what annotations keep from sidecars".to_owned());
            let icmp = row.denies_icmp.then(|| "icmp".to_owned());
            with_datagrams.then(datagrams).into_iter().chain(icmp).chain(past).chain(left_out).collect()
        }
    };
    format!(" on {}", list.join(", nor on "))
}

/// Returns what each layer says of what it does not hold.
fn reasons(row: &Row<'_>) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    let mut say = |text: String| {
        if !said.contains(&text) {
            said.push(text);
        }
    };
    let open = row.ends.iter().filter(|end| end.together == Together::Open || row.denies_icmp);
    for (layer, judgement) in open.flat_map(|end| &end.layers) {
        if judgement.level > Level::Bypassable && !judgement.reason.is_empty() {
            say(judgement.words(*layer));
        } else if *layer == Layer::Istio && row.open.contains(Traffic::PastSidecar) {
            say("sidecars leave these ports out".to_owned());
        } else if let (Layer::Istio, true, Some(words)) =
            (*layer, row.open.contains(Traffic::LeftOut), &judgement.left_out)
        {
            say(words.to_string());
        }
        if *layer == Layer::Istio && (row.open.contains(Traffic::Datagrams) || row.denies_icmp) {
            say("istio sees tcp alone".to_owned());
        }
    }
    said
}

/// One end of a rule that only a sidecar holds.
fn well_behaved(policy: &Policy, rule: &Rule, end: &RowEnd<'_>) -> Diagnostic {
    let network = end.layers.iter().find(|(layer, _)| *layer == Layer::NetworkPolicy).map(|(_, judgement)| judgement);
    let envelope = match network {
        Some(judgement) if judgement.level == Level::Wider && rule.action == Action::Allow => envelope(rule),
        _ => None,
    };
    let (message, why, way) = match (envelope, network) {
        (_, Some(judgement)) if end.direction == Direction::Egress && rule.via.is_some() => {
            let gateway = rule.via.as_ref().map(|via| via.gateway.name.as_str()).unwrap_or_default();
            (
                format!("a pod that avoids its sidecar reaches what else `{gateway}` serves"),
                judgement.words(Layer::NetworkPolicy),
                Some(format!("to close it: isolate the gateway, `default deny ingress {gateway}`")),
            )
        }
        (Some((passes, host)), _) => {
            let way = if all_tls(rule) {
                format!("to close it: route the host through a gateway, `-> {host} via egress-gateway`")
            } else {
                "to close it: give the host its addresses, `let NAME = host HOST at ADDRESS`".to_owned()
            };
            (
                format!("a pod that avoids its sidecar reaches {passes}"),
                "networkpolicy knows addresses, not names".into(),
                Some(way),
            )
        }
        (None, Some(judgement)) => {
            ("a pod that avoids its sidecar goes round this rule".into(), judgement.words(Layer::NetworkPolicy), None)
        }
        (None, None) => (
            "a pod that avoids its sidecar goes round this rule".into(),
            "sidecars are all that holds it".to_owned(),
            Some("to close it: add the networkpolicy layer, `--target networkpolicy,istio`".to_owned()),
        ),
    };
    let code = if policy.settings.require_exact { Code::BypassableRefused } else { Code::Bypassable };
    let required = policy.settings.require_exact.then_some("netpol.toml says `[enforcement] require = \"exact\"`");
    Diagnostic::new(code, rule.origin.span, message).at(why).note_opt(way).note_opt(required)
}

/// Istio sees tcp alone: where it is the only layer, that is said once.
pub(super) fn note_tcp_only(policy: &Policy, diagnostics: &mut Diagnostics) {
    if policy.settings.targets != [Layer::Istio] {
        return;
    }
    let Some(rule) = policy.rules.first() else { return };
    let [first, second, third] = PAST_SIDECAR;
    let note = tcp_only(policy, rule.origin.span, "udp, sctp and icmp are not enforced: istio sees tcp alone")
        .at(format!("nor are the tcp ports {first}, {second} and {third} on the way in, which sidecars leave out"));
    diagnostics.push(note.note("to close it: add the networkpolicy layer, `--target networkpolicy,istio`"));
}

fn tcp_only(policy: &Policy, span: Span, message: &str) -> Diagnostic {
    let code = if policy.settings.require_exact { Code::TcpOnlyRefused } else { Code::TcpOnly };
    let required = policy.settings.require_exact.then_some("netpol.toml says `[enforcement] require = \"exact\"`");
    Diagnostic::new(code, span, message).note_opt(required)
}

/// Returns a rule's first condition as it is written.
fn clause(conditions: &Conditions) -> Option<String> {
    let quoted = |list: Vec<String>| list.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ");
    if let Some(jwt) = &conditions.jwt {
        return Some(format!("where jwt {}", jwt.issuer.name));
    }
    if !conditions.methods.is_empty() {
        return Some(format!("where method {}", conditions.methods.join(", ")));
    }
    if !conditions.paths.is_empty() {
        let paths = conditions.paths.iter().map(|path| path.text.to_string()).collect();
        return Some(format!("where path {}", quoted(paths)));
    }
    let hosts: Vec<String> = conditions.hosts.iter().map(HostName::to_string).collect();
    (!hosts.is_empty()).then(|| format!("where host {}", quoted(hosts)))
}

/// Returns what passes beside the hosts of an egress rule, in words, and one of the hosts with its port.
fn envelope(rule: &Rule) -> Option<(String, String)> {
    let hosts = || {
        rule.destination.members.iter().filter_map(|member| match &member.what {
            What::Host(host) => Some((member, host)),
            _ => None,
        })
    };
    let (member, host) = hosts().next()?;
    let public = hosts().any(|(_, host)| host.at.is_empty());
    let who = if public { "other public addresses" } else { "other hosts at these addresses" };
    let mut ports: Vec<String> = hosts().flat_map(|(member, _)| port_words(member)).collect();
    ports.dedup();
    let passes = if hosts().any(|(member, _)| member.ports == Ports::All) {
        format!("{who} on every port")
    } else {
        format!("{who} on {}", ports.join(", "))
    };
    let port = port_words(member).first().map(|port| format!(":{port}")).unwrap_or_default();
    Some((passes, format!("{}{port}", host.name)))
}

fn port_words(member: &Member) -> Vec<String> {
    let word = |port: &PortTest| match port {
        PortTest::Range(first, last) if first == last => first.to_string(),
        PortTest::Range(1, u16::MAX) => "every port".to_owned(),
        PortTest::Range(first, last) => format!("{first}-{last}"),
        PortTest::Named(name) => name.to_string(),
    };
    member.ports.entries().iter().map(|port| word(&port.port)).collect()
}

fn all_tls(rule: &Rule) -> bool {
    rule.destination.members.iter().all(|member| {
        let ports = member.ports.entries();
        matches!(member.what, What::Host(_))
            && !ports.is_empty()
            && ports.iter().all(|port| port.app == Some(AppProtocol::Tls))
    })
}

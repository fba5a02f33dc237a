//! Messages about rules that the layers of a build do not enforce, or enforce only for pods that keep their sidecar.
//!
//! For example, istio stops the other flows of `allow egress garden/* -> zenquotes.io:443` for pods that keep their
//! sidecar, and networkpolicy stops them by address only. The note is made from these two rows: `a pod that avoids its
//! sidecar reaches other public addresses on 443`, because `networkpolicy knows addresses, not names`.

use rustc_hash::FxHashSet;

use super::crossed::Overlap;
use super::ways::{
    all_bare, in_the_way, is_read, kept_off, leaves_others_open, wait_for_restart, ways_beside_pods, ways_for,
};
use super::{Crossed, Row, RowEnd, Together};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::model::conditions::Conditions;
use crate::model::endpoint::What;
use crate::model::hosts::HostName;
use crate::model::ports::{AppProtocol, PortMatch, PortTest, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule};
use crate::policy::Policy;
use crate::settings::Layer;
use crate::targets::capability::{self, Ability, Capability, Layers};
use crate::targets::gap::OtherHosts;
use crate::targets::{AtGateway, Judgement, Level, Levels, Traffic, Why};

/// Reports a rule that the layers do not enforce, or enforce only for pods that keep their sidecar. `accepted` says
/// that `@approximate` accepts a gap that no judgement has.
pub(super) fn report(policy: &Policy, led: &Led, row: &Row<'_>, accepted: bool, diagnostics: &mut Diagnostics) {
    let rule = row.rule;
    refused(row, policy.lacks_mesh, diagnostics);
    if let Some((_, span)) = rule.origin.approximate() {
        if row.together == Together::Exact && !accepted {
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
        Together::Open => diagnostics.push(match &row.crossed {
            Some(crossed) => not_enforced_beside(row, crossed),
            None => behind_waypoint(row).unwrap_or_else(|| not_enforced(policy, row)),
        }),
        Together::WellBehaved => {
            let mut ends = row.ends.iter().filter(|end| end.together == Together::WellBehaved);
            let ends: Vec<&RowEnd<'_>> = match rule.action {
                Action::Deny => ends.next().or(row.ends.first()).into_iter().collect(),
                _ => ends.collect(),
            };
            for end in ends {
                let bare = unmeshed(policy, rule, end).or_else(|| left_out(policy, rule, end));
                // On ingress, only the pods without a sidecar avoid it.
                let all = bare.is_some() && end.direction == Direction::Ingress && !policy.settings.require_exact;
                bare.into_iter().for_each(|warning| diagnostics.push(warning));
                if !all {
                    well_behaved(policy, led, rule, end).into_iter().for_each(|note| diagnostics.push(note));
                }
            }
        }
    }
}

/// Reports the flows that a layer refuses although the rule allows them.
fn refused(row: &Row<'_>, lacks_mesh: bool, diagnostics: &mut Diagnostics) {
    // If there is no mesh, one note (N0707) replaces all of these.
    let is_there = |layer: Layer| !lacks_mesh || capability::of(layer).keeper.is_none();
    for (layer, judgement) in row.ends.iter().flat_map(|end| &end.layers).filter(|(layer, _)| is_there(*layer)) {
        for narrower in judgement.remarks().narrower.iter().filter(|narrower| narrower.said) {
            let message = format!("{} refuses more than this rule says", layer.word());
            diagnostics.push(Diagnostic::new(Code::Refused, row.rule.origin.span, message).at(&*narrower.words));
        }
    }
}

/// Warns about pods without a sidecar that only sidecars would judge.
fn unmeshed(policy: &Policy, rule: &Rule, end: &RowEnd<'_>) -> Option<Diagnostic> {
    let (layer, names) =
        end.layers.iter().find_map(|(layer, judgement)| Some((layer, judgement.remarks().unmeshed.as_deref()?)))?;
    let Capability { product, keeper, .. } = capability::of(*layer);
    let keeper = (*keeper)?;
    let message = format!("pods without a {keeper} are not held by this rule: {names}");
    let mut warning = Diagnostic::new(Code::Unmeshed, rule.origin.span, message)
        .at(format!("no object of {product} stops them"))
        .note_opt(to_close(policy));
    if let Some((layer, judgement)) = of_every_pod(end) {
        warning = warning.note(judgement.words(layer));
    }
    Some(warning.note(match wait_for_restart(policy, rule) {
        true => "or restart them, `kubectl rollout restart`".to_owned(),
        false => format!("or give them a {keeper}"),
    }))
}

/// Warns about connections that annotations keep from the sidecars of a rule's pods, if only sidecars would judge them.
fn left_out(policy: &Policy, rule: &Rule, end: &RowEnd<'_>) -> Option<Diagnostic> {
    if Layers(&policy.settings.targets).see(Traffic::LeftOut) {
        return None;
    }
    let (layer, words) =
        end.layers.iter().find_map(|(layer, judgement)| Some((layer, judgement.remarks().left_out.as_deref()?)))?;
    let Capability { product, keeper, .. } = capability::of(*layer);
    let keeper = (*keeper)?;
    let message = format!("annotations keep connections from the {keeper}s of this rule's pods: {words}");
    Some(
        Diagnostic::new(Code::LeftOut, rule.origin.span, message)
            .at(format!("no object of {product} stops them"))
            .note_opt(to_close(policy))
            .note("or take the annotation away"),
    )
}

/// Returns the judgement of the layer that no pod can avoid, if the build has one.
fn of_every_pod<'a>(end: &RowEnd<'a>) -> Option<(Layer, &'a Judgement)> {
    end.layers.iter().copied().find(|(layer, _)| capability::of(*layer).keeper.is_none())
}

/// Returns the layer to add, if no layer of the build sees all traffic of every pod.
fn to_close(policy: &Policy) -> Option<String> {
    let build = Layers(&policy.settings.targets);
    let layer = build.lack_every_pod()?;
    Some(format!("to close it: add the {} layer, `{}`", layer.word(), build.option_with(layer)))
}

/// Returns the error for a rule that forbids a flow which passes all layers.
fn not_enforced(policy: &Policy, row: &Row<'_>) -> Diagnostic {
    let rule = row.rule;
    let on_tcp = row.open.contains(Traffic::Tcp);
    // If the rule is not enforced even without its conditions, the conditions are not the cause.
    let but_conditions = row.ends.iter().filter(|end| end.together == Together::Open).any(|end| {
        let best = Levels::best(end.layers.iter().map(|(_, judgement)| judgement.but_conditions));
        best.of(Traffic::Tcp) > Level::Bypassable
    });
    let clause = clause(&rule.conditions).filter(|_| on_tcp && !but_conditions);
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
        (None, None, _, [one]) if !held.is_empty() => format!("hold this rule at its {} end", one.direction.end_word()),
        (None, None, ..) => "hold this rule".to_owned(),
    };
    let message = format!("nothing in this build can {what}{}", on_words(row));
    let mut diagnostic = Diagnostic::new(Code::NotEnforced, rule.origin.span, message);
    let mut reasons = reasons(row, but_conditions).into_iter();
    if let Some(reason) = reasons.next() {
        diagnostic = diagnostic.at(reason);
    }
    for reason in reasons {
        diagnostic = diagnostic.note(reason);
    }
    let build = Layers(&policy.settings.targets);
    let named = host.filter(|_| is_read(rule)).map(|_| Ability::Hosts);
    let asked = Ability::by(&rule.conditions).next().or(named).filter(|_| on_tcp);
    if let Some(layer) = asked.and_then(|asked| build.lack(asked)) {
        let (word, option) = (layer.word(), build.option_with(layer));
        diagnostic = diagnostic.note(match capability::of(layer).keeper.filter(|_| all_bare(policy, rule)) {
            Some(keeper) => {
                format!("add the {word} layer, `{option}`, and give these pods a {keeper}: the inventory shows none")
            }
            None => format!("add the {word} layer: `{option}`"),
        });
    }
    let is_bare = |(layer, judgement): &&(Layer, &Judgement)| {
        judgement.remarks().unmeshed.is_some()
            || judgement.level == Level::Unable && capability::of(*layer).keeper.is_some() && all_bare(policy, rule)
    };
    let bare = open.iter().flat_map(|end| &end.layers).find(is_bare).map(|(layer, _)| capability::of(*layer));
    if let Some(Capability { keeper: Some(keeper), given_by, .. }) = bare {
        diagnostic = diagnostic.note(match in_the_way(policy, rule) {
            Some(way) => format!("give these pods a {keeper}, and show it in the inventory: {way}"),
            None => format!("give these pods a {keeper}, and show it in the inventory: {given_by}"),
        });
    }
    if let Some(way) = kept_off(policy, rule) {
        diagnostic = diagnostic.note(way);
    }
    if clause.is_some() && rule.action == Action::Allow && policy.settings.targets.contains(&Layer::NetworkPolicy) {
        diagnostic = diagnostic.note("or leave the condition out, and let every request on these ports through");
    }
    let both = rule.egress && !rule.ingress && rule.destination.pods().next().is_some() && rule.action == Action::Allow;
    if clause.is_some() && both && build.lack(Ability::Requests).is_none() {
        diagnostic =
            diagnostic.note("or ask at the receiving end, which reads requests: write the rule without `egress`");
    }
    let indistinct = |(_, judgement): &(Layer, &Judgement)| matches!(judgement.but_reason, Why::Indistinct(_));
    if open.iter().flat_map(|end| &end.layers).any(indistinct) {
        diagnostic = diagnostic.note(match policy.inventory.given {
            true => "name these pods by labels that no others have",
            false => "name these pods by their labels, or give an inventory that shows them: `--inventory`",
        });
    }
    for (_, judgement) in open.iter().flat_map(|end| &end.layers) {
        if let Why::Mendable(said) = &judgement.reason {
            diagnostic = diagnostic.note(&said.1);
        }
    }
    if let (None, Some(host)) = (&clause, host) {
        for way in ways_for(policy, rule, host) {
            diagnostic = diagnostic.note(way);
        }
    }
    for way in ways_beside_pods(policy, rule, &open) {
        diagnostic = diagnostic.note(way);
    }
    if let ([held], Action::Allow) = (held.as_slice(), rule.action) {
        let (word, direction) = (held.direction.end_word(), held.direction.word());
        diagnostic = diagnostic.note(format!("to govern its {word} end alone: `allow {direction} …`"));
    }
    if let ([held], Action::Isolate) = (held.as_slice(), rule.action) {
        let (word, direction) = (held.direction.end_word(), held.direction.word());
        diagnostic = diagnostic.note(format!("to isolate its {word} pods alone: `default deny {direction} …`"));
    }
    if leaves_others_open(policy, row) {
        return diagnostic
            .note("accepting the gap is no way here: it leaves these pods open, and their other rules with them");
    }
    diagnostic.note("or accept the gap: `@approximate(\"why\")` before the rule")
}

/// Returns the error for a rule about pods behind a waypoint.
fn behind_waypoint(row: &Row<'_>) -> Option<Diagnostic> {
    let judgements = row.ends.iter().flat_map(|end| &end.layers).map(|(_, judgement)| judgement);
    let (reason, waypoint) = judgements.into_iter().find_map(|judgement| match &judgement.reason {
        Why::Waypoint(name) => Some((&judgement.reason, name)),
        _ => None,
    })?;
    let message = format!("nothing in this build can hold this rule behind the waypoint `{waypoint}`");
    Some(
        Diagnostic::new(Code::NotEnforced, row.rule.origin.span, message)
            .at(reason.to_string())
            .note("take the label `istio.io/use-waypoint` from these pods, their Services and their namespace")
            .note("or write the policy on the waypoint by hand, and accept the gap here: `@approximate(\"why\")` before the rule"),
    )
}

/// Returns the error for a rule that one layer enforces, beside another rule that only the other layer enforces.
fn not_enforced_beside(row: &Row<'_>, crossed: &Crossed<'_>) -> Diagnostic {
    let (own, on) = (crossed.own.word(), crossed.on.word());
    let rule = row.rule;
    let mut layers = row.ends.iter().filter(|end| end.direction == crossed.direction).flat_map(|end| &end.layers);
    let judgement = layers.find(|(layer, _)| *layer == crossed.own);
    let why = judgement.map(|(layer, judgement)| judgement.words(*layer)).unwrap_or_default();
    let message = "nothing in this build can hold this rule beside another";
    let mut diagnostic = Diagnostic::new(Code::NotEnforced, rule.origin.span, message)
        .at(why)
        .label(crossed.other.origin.span, format!("{on} lets more through than this rule says"))
        .note(format!(
            "what passes {on} by the one and {own} by the other is let through, though neither rule says so"
        ));
    match crossed.by {
        Overlap::Peers => {}
        Overlap::PodsAtAddresses => {
            diagnostic = diagnostic
                .note("say which addresses pods have: `pods = [\"10.244.0.0/16\"]` under `[cluster]` in netpol.toml");
        }
        Overlap::AnyAddress => {
            diagnostic = diagnostic.note(
                "the gap of a headless Service closes where sidecars read no requests on its port: name it `tcp-…`",
            );
        }
    }
    diagnostic
        .note(format!("say both by what {own} knows, or both by what {on} knows"))
        .note("or accept the gap: `@approximate(\"why\")` before one of them")
}

/// Returns the traffic on which a rule is not enforced, if that is not all traffic.
pub(super) fn on_words(row: &Row<'_>) -> String {
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
            let layers = row.ends.iter().flat_map(|end| &end.layers);
            let keeping = layers.map(|(layer, _)| capability::of(*layer)).find(|one| one.keeper.is_some());
            let past = keeping.filter(|_| past_sidecar).map(|one| format!("the ports {}", listed(one.leaves_out)));
            let keeper = keeping.and_then(|one| one.keeper).filter(|_| open(Traffic::LeftOut));
            let left_out = keeper.map(|keeper| format!("what annotations keep from {keeper}s"));
            let icmp = row.denies_icmp.then(|| "icmp".to_owned());
            with_datagrams.then(datagrams).into_iter().chain(icmp).chain(past).chain(left_out).collect()
        }
    };
    format!(" on {}", list.join(", nor on "))
}

/// Returns each layer's reason why it does not enforce the rule, with or without its conditions.
fn reasons(row: &Row<'_>, but_conditions: bool) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    let mut say = |text: String| {
        if !said.contains(&text) {
            said.push(text);
        }
    };
    let open = row.ends.iter().filter(|end| end.together == Together::Open || row.denies_icmp);
    for (layer, judgement) in open.flat_map(|end| &end.layers) {
        let Capability { traffic, keeper, .. } = capability::of(*layer);
        let unseen = |kind| row.open.contains(kind) && !traffic.contains(kind);
        if judgement.level > Level::Bypassable && !judgement.reason.is_nothing() {
            say(match but_conditions && !judgement.but_reason.is_nothing() {
                true => judgement.words_but_conditions(*layer),
                false => judgement.words(*layer),
            });
        } else if let (Some(keeper), true) = (keeper, unseen(Traffic::PastSidecar)) {
            say(format!("{keeper}s leave these ports out"));
        } else if let (Some(words), true) = (&judgement.remarks().left_out, unseen(Traffic::LeftOut)) {
            say(words.to_string());
        }
        if unseen(Traffic::Datagrams) || (row.denies_icmp && !traffic.contains(Traffic::Datagrams)) {
            say(tcp_alone(*layer));
        }
    }
    said
}

/// Returns the note for a rule end that is enforced only for pods that keep their sidecar.
fn well_behaved(policy: &Policy, led: &Led, rule: &Rule, end: &RowEnd<'_>) -> Option<Diagnostic> {
    let keeper = end.layers.iter().find_map(|(layer, _)| capability::of(*layer).keeper)?;
    let every_pod = of_every_pod(end);
    let by_address = |(layer, judgement): &(Layer, &Judgement)| {
        let hosts = capability::of(*layer).judges(Ability::Hosts, end.direction);
        judgement.level == Level::Wider && rule.action == Action::Allow && !hosts
    };
    // If the gateway is isolated, it judges its clients itself; that helps only if the pods have no other way out.
    let closes = |what: fn(&AtGateway) -> bool| end.layers.iter().any(|(_, judgement)| what(&judgement.at_gateway));
    let closable = closes(|at| at.other_ways) && !closes(|at| at.other_hosts);
    let passes = every_pod.filter(by_address).and_then(|(layer, _)| Some((layer, envelope(rule)?)));
    let as_client = end.layers.iter().find_map(|(layer, judgement)| {
        let (who, way) = match (&judgement.reason, &rule.via) {
            (Why::PastProxies(gateway), _) => {
                let (gateway, proxies) = &**gateway;
                let way = format!("to close it: say where the proxies are, `proxies {proxies} from ADDRESSES`");
                (format!("a client who comes past the proxies of `{gateway}` goes round this rule"), way)
            }
            (Why::PodsAmongClients, Some(via)) => (
                format!("a pod at one of these addresses comes in through `{}` as a client does", via.gateway.name),
                "to close it: say which addresses pods have, `pods = [\"10.244.0.0/16\"]` under `[cluster]` in netpol.toml"
                    .to_owned(),
            ),
            _ => return None,
        };
        Some((who, judgement.words(*layer), Some(way)))
    });
    let anywhere = end.layers.iter().find(|(_, judgement)| !judgement.remarks().at_any_address.is_empty());
    let anywhere = anywhere.map(|(layer, judgement)| judgement.words(*layer));
    let (message, why, way) = match (passes, every_pod, &rule.via) {
        _ if let Some(told) = as_client => told,
        (_, Some((layer, judgement)), Some(via)) if end.direction == Direction::Egress => {
            let gateway = &via.gateway.name;
            (
                format!("a pod that avoids its {keeper} reaches what else `{gateway}` serves"),
                judgement.words(layer),
                closable.then(|| format!("to close it: isolate the gateway, `default deny ingress {gateway}`")),
            )
        }
        (Some((layer, (passes, host))), ..) => {
            let name = host.split(':').next().unwrap_or(&host);
            let is_one = !name.starts_with("*.");
            let way = if all_tls(rule) && is_one && !opens_tls(rule) && !led.0.contains(name) {
                let known = policy.gateways.iter().any(|gateway| gateway.name == "egress-gateway");
                let first = if known { "" } else { "`use std/istio (egress-gateway)` and then " };
                Some(format!(
                    "to close it: route the host through a gateway, {first}`-> {host} via egress-gateway`, beside `default deny ingress egress-gateway`"
                ))
            } else if is_one {
                let block = originations(rule, name);
                Some(format!("to close it: give the host its addresses, `let NAME = host {name} at ADDRESS{block}`"))
            } else {
                Some(format!("to close it: name the hosts below `{name}` one by one, each with its addresses"))
            };
            (
                format!("a pod that avoids its {keeper} reaches {passes}"),
                format!("{} knows addresses, not names", layer.word()),
                way,
            )
        }
        (None, Some((layer, judgement)), _) => {
            let way = match &judgement.reason {
                Why::LedOutBy(gateway) if closable && end.layers.iter().any(|(_, one)| one.at_gateway.refuses) => {
                    Some(format!("to close it: isolate the gateway, `default deny ingress {gateway}`"))
                }
                _ => None,
            };
            (format!("a pod that avoids its {keeper} goes round this rule"), judgement.words(layer), way)
        }
        (None, None, _) => (
            format!("a pod that avoids its {keeper} goes round this rule"),
            anywhere.unwrap_or_else(|| format!("{keeper}s are all that holds it")),
            to_close(policy),
        ),
    };
    let code = if policy.settings.require_exact { Code::BypassableRefused } else { Code::Bypassable };
    Some(Diagnostic::new(code, rule.origin.span, message).at(why).note_opt(way).note_opt(required(policy)))
}

/// Returns the setting that forbids every gap, if the build has it.
fn required(policy: &Policy) -> Option<&'static str> {
    policy.settings.require_exact.then_some("netpol.toml says `[enforcement] require = \"exact\"`")
}

/// Notes once that no layer of the build sees more than TCP.
pub(super) fn note_unseen(policy: &Policy, diagnostics: &mut Diagnostics) {
    let layers = &policy.settings.targets;
    let Some(rule) = policy.rules.first().filter(|_| !Layers(layers).see(Traffic::Datagrams)) else { return };
    let code = if policy.settings.require_exact { Code::TcpOnlyRefused } else { Code::TcpOnly };
    let mut reasons = layers.iter().map(|layer| tcp_alone(*layer));
    let first = reasons.next().unwrap_or_default();
    let mut note = Diagnostic::new(code, rule.origin.span, format!("udp, sctp and icmp are not enforced: {first}"));
    for Capability { keeper, leaves_out, .. } in layers.iter().map(|layer| capability::of(*layer)) {
        if let Some(keeper) = keeper {
            let ports = listed(leaves_out);
            note = note.at(format!("nor are the tcp ports {ports} on the way in, which {keeper}s leave out"));
        }
    }
    let note = reasons.fold(note, Diagnostic::note);
    diagnostics.push(note.note_opt(required(policy)).note_opt(to_close(policy)));
}

fn tcp_alone(layer: Layer) -> String {
    format!("{} sees tcp alone", layer.word())
}

/// Returns ports as a list in words: `15020, 15021 and 15090`.
fn listed(ports: &[u16]) -> String {
    let words: Vec<String> = ports.iter().map(u16::to_string).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
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
        let taken: Vec<String> = conditions.not_paths.iter().map(|path| path.text.to_string()).collect();
        let except = if taken.is_empty() { String::new() } else { format!(" except {}", quoted(taken)) };
        return Some(format!("where path {}{except}", quoted(paths)));
    }
    if let Some(header) = conditions.headers.first() {
        let values = header.values.iter().map(|value| value.to_string()).collect();
        return Some(format!("where header {} {}", header.name, quoted(values)));
    }
    let hosts: Vec<String> = conditions.hosts.iter().map(HostName::to_string).collect();
    (!hosts.is_empty()).then(|| format!("where host {}", quoted(hosts)))
}

/// Returns the traffic that other hosts get at the addresses of an egress rule's hosts, in words, and one of the hosts
/// with its port.
fn envelope(rule: &Rule) -> Option<(String, String)> {
    let hosts = rule.destination.hosts();
    // A host without addresses leaves the most open.
    let (member, host) = hosts.min_by_key(|(_, host)| !host.at.is_empty())?;
    let others = OtherHosts::of(&rule.destination);
    let who = if others.public { "other public addresses" } else { "other hosts at these addresses" };
    let mut ports: Vec<String> = others.ports.iter().flat_map(|ports| port_words(ports)).collect();
    ports.dedup();
    let passes = if others.ports.contains(&&Ports::All) {
        format!("{who} on every port")
    } else {
        format!("{who} on {}", ports.join(", "))
    };
    // Port 443 is TLS by default; for other ports the rule says it.
    let read = |port: &PortMatch| match (port.app, &port.port) {
        (Some(app), PortTest::Range(first, last)) if (*first, *last) != (443, 443) => format!("/{}", app.word()),
        _ => String::new(),
    };
    let port = member.ports.entries().first().map(|port| format!(":{}{}", port.port, read(port))).unwrap_or_default();
    Some((passes, format!("{}{port}", host.name)))
}

/// The hosts that some rule leads out through a gateway, if each has one port, as they are written.
pub(super) struct Led(FxHashSet<String>);

impl Led {
    pub(super) fn new(policy: &Policy) -> Led {
        let led = policy.rules.iter().filter(|rule| rule.egress && rule.via.is_some());
        Led(led.flat_map(|rule| rule.destination.hosts()).map(|(_, host)| host.name.to_string()).collect())
    }
}

fn port_words(ports: &Ports) -> Vec<String> {
    let word = |port: &PortTest| if port.is_every() { "every port".to_owned() } else { port.to_string() };
    ports.entries().iter().map(|port| word(&port.port)).collect()
}

/// Returns the block of a host's `let`, in which sidecars open TLS for it: ` { port 80/http -> 443/tls }`.
fn originations(rule: &Rule, name: &str) -> String {
    let host = rule.destination.members.iter().find_map(|member| match &member.what {
        What::Host(host) if host.name.to_string() == name => Some(host),
        _ => None,
    });
    let ports: Vec<String> = host
        .iter()
        .flat_map(|host| &host.originates)
        .map(|one| format!("port {}/{} -> {}/tls", one.port, one.app.word(), one.target))
        .collect();
    if ports.is_empty() { String::new() } else { format!(" {{ {} }}", ports.join(" ")) }
}

/// Returns whether sidecars open TLS to a rule's hosts, so that its pods send plain HTTP.
fn opens_tls(rule: &Rule) -> bool {
    rule.destination.members.iter().any(|member| match &member.what {
        What::Host(host) => member.ports.entries().iter().any(|port| host.origination(port).is_some()),
        _ => false,
    })
}

fn all_tls(rule: &Rule) -> bool {
    rule.destination.members.iter().all(|member| {
        let ports = member.ports.entries();
        matches!(member.what, What::Host(_))
            && !ports.is_empty()
            && ports.iter().all(|port| port.app == Some(AppProtocol::Tls))
    })
}

//! What the layers of a build hold together: a flow passes only where every layer lets it through.

use super::{Judgement, Level, Lowered, Lowering};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::policy::{
    Action, AppProtocol, Conditions, Direction, HostName, Layer, Member, Policy, PortTest, Ports, Rule, What,
};
use crate::source::Span;

mod table;

/// How well all layers together hold a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Together {
    /// What the rule forbids is stopped.
    Exact,
    /// Some of it is stopped only for who plays by the rules.
    WellBehaved,
    /// Some of it passes.
    Open,
}

/// One rule and what holds it.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Its governed ends.
    pub ends: Vec<RowEnd<'a>>,
    /// The best of its ends.
    pub together: Together,
}

/// One governed end of a rule.
#[derive(Clone, Debug)]
pub struct RowEnd<'a> {
    /// Which end.
    pub direction: Direction,
    /// Each layer's judgement, in the order of the build's layers.
    pub layers: Vec<(Layer, &'a Judgement)>,
    /// What they come to.
    pub together: Together,
}

/// Rule by rule, what each layer holds and what they hold together.
#[derive(Clone, Debug)]
pub struct Enforcement<'a> {
    /// The layers of the build.
    pub layers: &'a [Layer],
    /// The rules, in the order of the policy.
    pub rows: Vec<Row<'a>>,
}

impl Lowering {
    /// Returns what the layers hold of the policy that was lowered.
    pub fn enforcement<'a>(&'a self, policy: &'a Policy) -> Enforcement<'a> {
        Enforcement { layers: &policy.settings.targets, rows: rows(policy, &self.layers).collect() }
    }
}

/// Judges every rule by all layers and says what no layer holds.
pub(super) fn judge(policy: &Policy, layers: &[(Layer, Lowered)], diagnostics: &mut Diagnostics) {
    note_tcp_only(policy, diagnostics);
    for row in rows(policy, layers) {
        report(policy, &row, diagnostics);
    }
}

/// Goes through the rules and, beside them, through what each layer says of them in the same order.
fn rows<'a>(policy: &'a Policy, layers: &'a [(Layer, Lowered)]) -> impl Iterator<Item = Row<'a>> {
    let mut rest: Vec<(Layer, &[Judgement])> =
        layers.iter().map(|(layer, lowered)| (*layer, lowered.judgements.as_slice())).collect();
    policy.rules.iter().enumerate().map(move |(at, rule)| {
        let mut judged: Vec<(Layer, &Judgement)> = Vec::with_capacity(2 * rest.len());
        for (layer, judgements) in &mut rest {
            let own = judgements.iter().take_while(|judgement| judgement.rule as usize == at).count();
            let (of_rule, others) = judgements.split_at(own);
            judged.extend(of_rule.iter().map(|judgement| (*layer, judgement)));
            *judgements = others;
        }
        let governed = Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
        let ends: Vec<RowEnd<'_>> = governed.map(|direction| end(rule, direction, &judged)).collect();
        let together = ends.iter().map(|end| end.together).min().unwrap_or(Together::Open);
        Row { rule, ends, together }
    })
}

fn end<'a>(rule: &Rule, direction: Direction, judged: &[(Layer, &'a Judgement)]) -> RowEnd<'a> {
    let own = judged.iter().filter(|(_, judgement)| judgement.direction == direction);
    let layers: Vec<(Layer, &Judgement)> = own.copied().collect();
    let level = |of: Layer| layers.iter().find(|(layer, _)| *layer == of).map(|(_, judgement)| judgement.level);
    // Through a gateway each layer closes what the other leaves open: NetworkPolicy every way but the one to the gateway,
    // and the gateway, which no pod goes round, every host but the rule's.
    let by_gateway = direction == Direction::Egress
        && rule.via.is_some()
        && level(Layer::NetworkPolicy).is_some_and(|level| level <= Level::Wider)
        && level(Layer::Istio).is_some_and(|level| level <= Level::Bypassable);
    let best = layers.iter().map(|(_, judgement)| judgement.level).min().unwrap_or(Level::Unable);
    let together = match best {
        _ if by_gateway => Together::Exact,
        Level::Exact => Together::Exact,
        Level::Bypassable => Together::WellBehaved,
        Level::Wider | Level::Unable => Together::Open,
    };
    RowEnd { direction, layers, together }
}

fn report(policy: &Policy, row: &Row<'_>, diagnostics: &mut Diagnostics) {
    let rule = row.rule;
    // What a deny forbids has both its ends, so that one of them is enough; an allow forbids other flows at each.
    let worst = match rule.action {
        Action::Deny => row.together,
        _ => row.ends.iter().map(|end| end.together).max().unwrap_or(Together::Open),
    };
    if let Some((_, span)) = rule.origin.approximate() {
        if worst == Together::Exact {
            let message = "`@approximate` accepts a gap, and there is none";
            diagnostics.push(
                Diagnostic::new(Code::NoGap, *span, message)
                    .at("every layer of the build together holds this rule exactly")
                    .fix("remove it", *span, ""),
            );
        }
        return;
    }
    if row.together == Together::Open {
        diagnostics.push(not_held(policy, row));
        return;
    }
    for end in row.ends.iter().filter(|end| end.together != Together::Exact && worst != Together::Exact) {
        if end.together == Together::WellBehaved || row.together == Together::WellBehaved {
            diagnostics.push(well_behaved(policy, rule, end));
        } else {
            diagnostics.push(one_end(rule, end));
        }
    }
    unseen_protocols(policy, row, diagnostics);
}

/// A rule that no layer holds at any end.
fn not_held(policy: &Policy, row: &Row<'_>) -> Diagnostic {
    let rule = row.rule;
    let clause = clause(&rule.conditions);
    let host = rule.destination.members.iter().find_map(|member| match &member.what {
        What::Host(host) if host.at.is_empty() => Some(&host.name),
        _ => None,
    });
    let what = match (&clause, host, rule.action) {
        (Some(clause), _, _) => format!("hold `{clause}`"),
        (None, _, Action::Deny) => "stop what this denies".to_owned(),
        (None, Some(host), _) => format!("hold this rule to `{host}`"),
        (None, None, _) => "hold this rule".to_owned(),
    };
    let mut diagnostic =
        Diagnostic::new(Code::NotEnforced, rule.origin.span, format!("nothing in this build can {what}"));
    if let Some(reason) = reasons(row).next() {
        diagnostic = diagnostic.at(reason);
    }
    for reason in reasons(row).skip(1) {
        diagnostic = diagnostic.note(reason);
    }
    if !policy.settings.targets.contains(&Layer::Istio) && (clause.is_some() || host.is_some()) {
        diagnostic = diagnostic.note("add the istio layer: `--target networkpolicy,istio`");
    }
    if let (None, Some(host)) = (&clause, host) {
        diagnostic = diagnostic.note(format!("or give the host its addresses: `let NAME = host {host} at ADDRESS`"));
    }
    diagnostic.note("or accept the gap: `@approximate(\"why\")` before the rule")
}

/// Returns what each layer says of what it does not hold.
fn reasons(row: &Row<'_>) -> impl Iterator<Item = String> {
    let mut said: Vec<String> = Vec::new();
    for (layer, judgement) in row.ends.iter().flat_map(|end| &end.layers) {
        if judgement.level > Level::Bypassable && !judgement.reason.is_empty() {
            let text = judgement.words(*layer);
            if !said.contains(&text) {
                said.push(text);
            }
        }
    }
    said.into_iter()
}

/// One end of a rule that only a sidecar holds.
fn well_behaved(policy: &Policy, rule: &Rule, end: &RowEnd<'_>) -> Diagnostic {
    let network = end.layers.iter().find(|(layer, _)| *layer == Layer::NetworkPolicy).map(|(_, judgement)| judgement);
    let envelope = match network {
        Some(judgement) if judgement.level == Level::Wider && rule.action == Action::Allow => envelope(rule),
        _ => None,
    };
    let (message, why, way) = match (envelope, network) {
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

/// One end of a rule that nothing holds, while the other end does.
fn one_end(rule: &Rule, end: &RowEnd<'_>) -> Diagnostic {
    let (this, other) = match end.direction {
        Direction::Egress => ("sending", "receiving"),
        Direction::Ingress => ("receiving", "sending"),
    };
    let message = format!("only the {other} end holds this rule: nothing isolates the {this} pods");
    let reasons: Vec<String> = end
        .layers
        .iter()
        .filter(|(_, judgement)| !judgement.reason.is_empty())
        .map(|(layer, judgement)| judgement.words(*layer))
        .collect();
    Diagnostic::new(Code::OneEndOnly, rule.origin.span, message).at(reasons.join("; "))
}

/// Istio sees tcp alone: where it is the only layer, that is said once.
fn note_tcp_only(policy: &Policy, diagnostics: &mut Diagnostics) {
    if policy.settings.targets != [Layer::Istio] {
        return;
    }
    let Some(rule) = policy.rules.first() else { return };
    let note = tcp_only(policy, rule.origin.span, "udp, sctp and icmp are not enforced: istio sees tcp alone");
    diagnostics.push(note.note("to close it: add the networkpolicy layer, `--target networkpolicy,istio`"));
}

/// A rule that NetworkPolicy does not hold at all leaves what is not tcp to nobody.
fn unseen_protocols(policy: &Policy, row: &Row<'_>, diagnostics: &mut Diagnostics) {
    let rule = row.rule;
    if rule.action == Action::Deny || !rule.conditions.is_none() {
        return;
    }
    let lost = row.ends.iter().find_map(|end| {
        let held = |judgement: &Judgement| judgement.level != Level::Unable;
        let (_, network) = end.layers.iter().find(|(layer, _)| *layer == Layer::NetworkPolicy)?;
        let others = end.layers.iter().any(|(layer, judgement)| *layer != Layer::NetworkPolicy && held(judgement));
        (!held(network) && others).then_some(network)
    });
    if let Some(network) = lost {
        let message = "udp and sctp are not enforced for this rule: istio sees tcp alone";
        diagnostics.push(tcp_only(policy, rule.origin.span, message).at(network.words(Layer::NetworkPolicy)));
    }
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

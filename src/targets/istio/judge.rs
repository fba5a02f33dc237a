//! Judgements of Istio for each rule end, with their reasons, made from the findings.
//!
//! ```text
//! allow egress garden/* -> 203.0.113.0/24:443    bypassable: a pod that avoids its sidecar is not stopped
//! ```
//!
//! Every end begins at its best level, and each finding makes it worse or adds words to it, in the order of the passes.
//! Sidecars see only TCP, and on ingress not all ports.

use super::facts::Unmeshed;
use super::findings::{Finding, Findings, IstioGap, Note, Reason};
use super::words::{list_all_names, list_names};
use crate::model::endpoint::{Member, What};
use crate::model::gateways::Gateway;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::Isolated;
use crate::source::Sources;
use crate::targets::partition::Partition;
use crate::targets::{Judgement, Level, Levels, Traffic, Traffics, Why};

/// Makes the judgement of each rule end of a partition, by rule and direction.
pub fn judge(part: &Partition<'_>, sources: &Sources, findings: Findings) -> Vec<Judgement> {
    let begin = |(rule, direction, of): (RuleId, Direction, &Rule)| End::new(rule, of.action, direction);
    let mut ends: Vec<End> = part.ends().map(begin).collect();
    for Finding { rule, direction, note } in findings.into_list() {
        if let Some(at) = part.position(rule, direction) {
            ends[at].note(note, part, sources);
        }
    }
    // Other hosts of a gateway are closed where rules isolate the gateway; else a pod without identity reaches them.
    let mut isolates = |gateway: &Gateway| part.policy.isolated(gateway) != Isolated::Nowhere;
    ends.into_iter()
        .zip(part.ends())
        .map(|(end, (_, _, rule))| end.finish(part, sources, rule, &mut isolates))
        .collect()
}

/// The judgement of a rule end, while findings come in.
struct End {
    judgement: Judgement,
    /// Whether this end does not read the rule's conditions.
    unread: bool,
    /// The gaps on ports that sidecars leave out and the rule names.
    leaves_out: Vec<IstioGap>,
}

impl End {
    /// Begins at the best level.
    fn new(rule: RuleId, action: Action, direction: Direction) -> End {
        let (level, reason) = match (direction, action) {
            (Direction::Egress, _) => (Level::Bypassable, "a pod that avoids its sidecar is not stopped"),
            (Direction::Ingress, Action::Deny) => (Level::Exact, "refused at the receiving sidecar"),
            (Direction::Ingress, _) => (Level::Exact, "judged at the receiving sidecar"),
        };
        let (levels, reason) = (Levels::all(level), reason.into());
        let mut judgement = Judgement::exact(rule, direction);
        (judgement.level, judgement.levels, judgement.but_conditions) = (level, levels, levels);
        judgement.reason = reason;
        End { judgement, unread: false, leaves_out: Vec::new() }
    }

    fn note(&mut self, note: Note, part: &Partition<'_>, sources: &Sources) {
        let end = &mut self.judgement;
        match note {
            Note::Gap(gap) => self.gap(gap, part, sources),
            Note::How(level, reason) if end.level <= level => (end.level, end.reason) = (level, reason.into()),
            Note::How(..) => {}
            Note::Everything => (end.level, end.reason) = (Level::Exact, "everything is let through".into()),
            Note::Unread => self.unread = true,
            Note::Refused { isolated } => {
                (end.at_gateway.refuses, end.at_gateway.other_hosts) = (true, isolated);
            }
            Note::Narrower(narrower) if end.remarks().narrower.contains(&narrower) => {}
            Note::Narrower(narrower) => end.remarks_mut().narrower.push(narrower),
            Note::Unmeshed(pods) => self.unmeshed(&pods, part, sources),
            Note::NamesLeftOut(names, gap) => {
                end.names = end.names.with(names);
                self.leaves_out.push(gap);
            }
            Note::PodsLeaveOut(words) => end.remarks_mut().left_out = Some(words.into()),
            Note::AtAnyAddress(services) => self.at_any_address(&services),
        }
    }

    fn gap(&mut self, gap: IstioGap, part: &Partition<'_>, sources: &Sources) {
        if gap.level > self.judgement.level {
            self.judgement.level = gap.level;
            self.judgement.reason = why(gap.reason, part, sources);
        }
    }

    fn at_any_address(&mut self, services: &[(String, u16)]) {
        let [(name, port), ..] = services else { return };
        let end = &mut self.judgement;
        if end.level == Level::Bypassable {
            end.reason = format!(
                "a pod that avoids its sidecar is not stopped, nor one that names the headless {name} as the host at \
                 another address on {port}"
            )
            .into();
        }
        end.remarks_mut().at_any_address = services.iter().map(|(_, port)| *port).collect();
    }

    fn unmeshed(&mut self, pods: &Unmeshed, part: &Partition<'_>, sources: &Sources) {
        let names = list_all_names(&[&pods.bare, &pods.ambient, &pods.kept]);
        if pods.all {
            return self.gap(
                IstioGap::unable(format!("no object stops pods without a sidecar: {names}")),
                part,
                sources,
            );
        }
        let words = match self.judgement.direction {
            Direction::Egress => {
                format!("a pod that avoids its sidecar is not stopped, nor are pods without one: {names}")
            }
            Direction::Ingress => format!("pods without a sidecar are not guarded: {names}"),
        };
        self.gap(IstioGap::bypassable(words.clone()), part, sources);
        if self.judgement.level == Level::Bypassable {
            self.judgement.reason = words.into();
        }
        self.judgement.remarks_mut().unmeshed = Some(names.into());
    }

    fn finish(
        mut self,
        part: &Partition<'_>,
        sources: &Sources,
        rule: &Rule,
        isolates: &mut impl FnMut(&Gateway) -> bool,
    ) -> Judgement {
        let end = &mut self.judgement;
        let left_out = &part.policy.inventory.left_out;
        let ports = rule.destination.members.iter().map(|member| Traffics::of(&member.ports, left_out));
        let named = ports.fold(Traffics::default(), Traffics::with);
        if rule.action == Action::Deny && named.without(Traffics::only(Traffic::Datagrams)).is_empty() {
            (end.level, end.reason) = (Level::Unable, "istio sees tcp alone".into());
        }
        let mut unseen = Traffics::only(Traffic::Datagrams);
        if end.direction == Direction::Ingress {
            unseen = unseen.with(Traffics::only(Traffic::PastSidecar));
        }
        end.levels = Levels::all(end.level);
        end.levels.raise(unseen, Level::Unable);
        if end.remarks().left_out.is_some() || end.names.contains(Traffic::LeftOut) {
            end.levels.raise(Traffics::only(Traffic::LeftOut), Level::Unable);
        }
        end.but_conditions = end.levels;
        if end.direction == Direction::Egress {
            // Pods that are left open refuse nothing.
            if rule.action == Action::Allow
                && matches!(end.level, Level::Bypassable | Level::Wider)
                && let Some(words) = by_name(rule)
            {
                end.remarks_mut().by_name = Some(words.into());
            }
            if let Some(via) = &rule.via {
                end.at_gateway.other_hosts = isolates(&via.gateway) && end.level <= Level::Bypassable;
            }
        }
        if self.unread {
            if end.level < Level::Wider {
                (end.level, end.reason) = (Level::Wider, "a sidecar does not look into what goes out".into());
            }
            end.levels.raise(Traffics::ALL, Level::Wider);
        }
        // The levels keep traffic that is left out apart; the words are those of the worst.
        for gap in std::mem::take(&mut self.leaves_out) {
            self.gap(gap, part, sources);
        }
        self.judgement
    }
}

/// Returns the reason of a gap, with the lines of other rules.
fn why(reason: Reason, part: &Partition<'_>, sources: &Sources) -> Why {
    let stands = |rule: RuleId| {
        let rule = part.policy.rule(rule);
        rule.map(|rule| sources.place(rule.origin.span)).unwrap_or_default()
    };
    match reason {
        Reason::Words(words) => words.into(),
        Reason::PodsAmongClients => Why::PodsAmongClients,
        Reason::PastProxies(gateway, proxies) => Why::PastProxies(Box::new((gateway, proxies))),
        Reason::Mendable(words, way) => Why::Mendable(Box::new((words, way))),
        Reason::Shared(rule) => {
            format!("what {} gives holds for these pods too, since Istio cannot tell them apart", stands(rule)).into()
        }
        Reason::Open(rule, why, portless) => {
            let place = stands(rule);
            let words = format!("{place} leaves these pods open: {why}");
            match portless {
                Some(portless) => Why::Mendable(Box::new((words, format!("name the ports of {portless} in {place}")))),
                None => words.into(),
            }
        }
    }
}

/// Returns the hosts of a rule that a sidecar finds by their names, and not by their `at` addresses.
fn by_name(rule: &Rule) -> Option<String> {
    let members = &rule.destination.members;
    let hosts = members.iter().filter_map(|member| match &member.what {
        What::Host(host) if !host.at.is_empty() => {
            let app = member.ports.entries().iter().find_map(|entry| entry.app)?;
            let at = host.addresses();
            // Addresses that the rule names beside the host are reached as such.
            let reached = |other: &Member| matches!(&other.what, What::Addresses(set) if at.is_inside(set));
            (!members.iter().any(reached)).then(|| (app.word(), format!("`{}`", host.name)))
        }
        _ => None,
    });
    let hosts: Vec<(&str, String)> = hosts.collect();
    let (app, _) = hosts.first()?;
    let names: Vec<String> = hosts.iter().map(|(_, name)| name.clone()).collect();
    let word = if names.len() == 1 { "its name, not by its address" } else { "their names, not by their addresses" };
    Some(format!("on `{app}` a sidecar finds {} by {word}", list_names(&names)))
}

//! Narrower layers: whether one refuses a flow that the source allows.

use super::widest::alone;
use super::{Deed, Judged, Told, traffic};
use crate::model::endpoint::What;
use crate::model::hosts::HostName;
use crate::model::labels::PodSelector;
use crate::model::ports::AppProtocol;
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::{Cause, End, Flow, Party, Pod};
use crate::targets::{Refuses, Traffic, is_ambient_pod};

impl Judged<'_> {
    /// Returns the decision of the layer if it refuses a flow that the source allows at one end. One rule that lets the
    /// flow through is enough. A deny can refuse flows that it does not match, because it makes mTLS strict for all
    /// callers.
    pub(super) fn narrower(&self, flow: &Flow, end: &End, pod: &Pod) -> Option<Told> {
        let Cause::Allowed(first) = end.cause else { return self.by_denies(flow, end.direction, pod) };
        let allows = self.governing(end.direction, pod).filter(|(at, rule)| {
            rule.action == Action::Allow && (*at == first || alone(self.policy, rule, flow, end.direction).0)
        });
        let best = allows.map(|(at, rule)| self.of_rule(at, rule, flow, end.direction, pod));
        let best = best.max_by_key(|told| told.as_ref().map_or(Deed::Passes, |(deed, _)| *deed)).flatten();
        let both = best.into_iter().chain(self.by_denies(flow, end.direction, pod));
        both.min_by_key(|(deed, _)| *deed)
    }

    fn by_denies(&self, flow: &Flow, direction: Direction, pod: &Pod) -> Option<Told> {
        let denies = self.governing(direction, pod).filter(|(_, rule)| rule.action == Action::Deny);
        let told = denies.filter_map(|(at, rule)| self.of_rule(at, rule, flow, direction, pod));
        told.min_by_key(|(deed, _)| *deed)
    }

    fn of_rule(&self, at: RuleId, rule: &Rule, flow: &Flow, direction: Direction, pod: &Pod) -> Option<Told> {
        let narrower = &self.of(at, direction)?.remarks().narrower;
        let told = narrower.iter().filter_map(|narrower| {
            let deed = match self.is_refused(&narrower.flows, rule, flow, pod) {
                Some(false) => return None,
                Some(true) => Deed::Refuses,
                None => Deed::MayRefuse,
            };
            Some((deed, narrower.words.to_string()))
        });
        told.min_by_key(|(deed, _)| *deed)
    }

    /// Returns whether a flow is among those that are refused; `None` where that is not known. `pod` is at the judged
    /// end.
    fn is_refused(&self, flows: &Refuses, rule: &Rule, flow: &Flow, pod: &Pod) -> Option<bool> {
        match (flows, &flow.source) {
            (Refuses::NothingAskedFor, _) => Some(false),
            (Refuses::PodsWithoutIdentity | Refuses::WithoutIdentity, Party::Pod(caller)) => {
                self.is_plain(flow, caller)
            }
            (Refuses::PodsWithoutIdentity, _) => Some(false),
            (Refuses::WithoutIdentity, _) => Some(true),
            // Behind a gateway the sender is a pod of the gateway.
            (Refuses::PodsAtGateway, Party::Pod(_)) if rule.via.is_none() => self.is_refused_at_gateway(pod),
            (Refuses::PodsAtGateway, Party::Pod(_)) if flow.request.client.is_none() => None,
            (Refuses::PodsAtGateway, _) => Some(false),
            (Refuses::WildcardOnTls, _) => Some(self.is_wildcard_on_tls(rule, flow) && self.is_isolated(pod)),
            (Refuses::Segments, _) => match &flow.request.path {
                Some(path) if path.split('?').next().is_some_and(|path| path.contains(['[', ']', '*'])) => None,
                Some(_) => Some(false),
                None => None,
            },
            (Refuses::HostPorts(ports), _) => names_other_port(rule, flow, ports),
            (Refuses::Unasked, _) => None,
        }
    }

    /// Returns whether a pod is a gateway's, which knows no identity; perhaps, where rules lead out through it.
    fn is_refused_at_gateway(&self, pod: &Pod) -> Option<bool> {
        let is_own = |own: &PodSelector| own.matches(&pod.namespace_labels, &pod.labels, &pod.account);
        let Some(gateway) = self.policy.gateways.iter().find(|one| one.pods.iter().any(is_own)) else {
            return Some(false);
        };
        let mut out = self.policy.rules.iter().filter(|rule| rule.egress).filter_map(|rule| rule.via.as_ref());
        (!out.any(|via| via.gateway.pods == gateway.pods)).then_some(true)
    }

    /// Returns whether a pod calls without an identity. Ambient mode gives it one if the flow takes the tunnel.
    fn is_plain(&self, flow: &Flow, caller: &Pod) -> Option<bool> {
        if is_ambient_pod(caller) {
            return None;
        }
        let past = || traffic(self.policy, flow, Direction::Egress, caller) == Traffic::LeftOut;
        Some(!caller.sidecar || past())
    }

    fn is_isolated(&self, pod: &Pod) -> bool {
        self.governing(Direction::Ingress, pod).any(|(_, rule)| rule.action != Action::Deny)
    }

    fn is_wildcard_on_tls(&self, rule: &Rule, flow: &Flow) -> bool {
        let Party::Host { name, .. } = &flow.destination else { return false };
        let named = |wildcard: bool| {
            rule.destination.members.iter().any(|member| {
                let What::Host(host) = &member.what else { return false };
                let mut entries = member.ports.entries().iter();
                let tls = entries.find(|port| port.matches(flow.port, flow.protocol, &[])).and_then(|port| port.app);
                host.name.wildcard == wildcard && host.matches(name) && tls == Some(AppProtocol::Tls)
            })
        };
        named(true) && !named(false)
    }
}

/// Returns whether the host of a request has a port other than some given ones, if only a wildcard lets the host in.
fn names_other_port(rule: &Rule, flow: &Flow, ports: &[u16]) -> Option<bool> {
    let Some(asked) = &flow.request.host else { return None };
    let Some((name, port)) = asked.rsplit_once(':') else { return Some(false) };
    let Ok(port) = port.parse::<u16>() else { return Some(false) };
    let exact = |host: &HostName| !host.wildcard && host.matches(name);
    if rule.conditions.hosts.iter().chain(rule.via.iter().flat_map(|via| &via.at)).any(exact) {
        return Some(false);
    }
    Some(!ports.contains(&port))
}

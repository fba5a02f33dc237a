//! Lowering: from the typed program to the policy. Adds the grants, and warns about rules that cut off the cluster's
//! own pods.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443
//!     the rule, and a grant: the pods of garden may ask the cluster's DNS where the host is
//! default deny kube-system/*
//!     a warning beside it: the resolver is isolated, and lets nobody in
//! ```

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::smallvec;
use smol_str::SmolStr;

use super::concerning::Concerning;
use super::{Grant, GrantReason, Policy, lifelines, mesh, nameless, placed};
use crate::diag::Diagnostics;
use crate::model::conditions::Keys;
use crate::model::endpoint::{Endpoint, Member, Pods, What};
use crate::model::gateways::{Gateway, GatewayPort, Via};
use crate::model::labels::PodSelector;
use crate::model::ports::{AppProtocol, PortMatch, Ports, Protocol};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::settings::{Layer, Settings};
use crate::types::Program;

/// Makes the policy of a program.
pub fn lower(program: Program, settings: &Settings, diagnostics: &mut Diagnostics) -> Policy {
    let Program {
        mut rules,
        assertions,
        tests,
        lookups: _,
        gateways,
        inventory,
        dns,
        istiod,
        api_server,
        internet,
        pod_addresses,
        node_addresses,
    } = program;
    placed::place_hosts(&mut rules);
    let mut policy = Policy {
        grants: Vec::new(),
        rules,
        assertions,
        tests,
        gateways,
        inventory,
        settings: Arc::new(settings.clone()),
        api_server,
        internet,
        pod_addresses,
        node_addresses,
        lacks_mesh: false,
        concerning: Concerning::default(),
    };
    policy.lacks_mesh = mesh::is_missing(&policy);
    let mut granting = Grants { dns: &dns, istiod: &istiod, settings, list: Vec::new(), by_key: FxHashMap::default() };
    for (at, rule) in policy.numbered() {
        granting.of_rule(at, rule);
    }
    granting.of_mesh();
    let grants = granting.list;
    lifelines::warn_of_closed(&policy, &grants, (&dns, &istiod), diagnostics);
    lifelines::warn_of_missed_resolver(&policy, &grants, &dns, diagnostics);
    lifelines::warn_of_denied_grants(&policy, &grants, diagnostics);
    nameless::warn_of_nameless(&policy, &dns, diagnostics);
    mesh::note_missing(&policy, diagnostics);
    mesh::warn_of_restarts(&policy, diagnostics);
    mesh::warn_of_root(&policy, diagnostics);
    policy.grants = grants;
    policy
}

struct Grants<'a> {
    dns: &'a Arc<Endpoint>,
    istiod: &'a Arc<Endpoint>,
    settings: &'a Settings,
    list: Vec<Grant>,
    by_key: FxHashMap<(GrantReason, Direction, Arc<Endpoint>, Arc<Endpoint>), usize>,
}

impl Grants<'_> {
    fn add(
        &mut self,
        reason: GrantReason,
        direction: Direction,
        from: &Arc<Endpoint>,
        to: &Arc<Endpoint>,
        rule: RuleId,
    ) {
        if from.members.is_empty() || to.members.is_empty() {
            return;
        }
        let key = (reason, direction, from.clone(), to.clone());
        if let Some(at) = self.by_key.get(&key) {
            let because = &mut self.list[*at].because;
            if because.last() != Some(&rule) {
                because.push(rule);
            }
            return;
        }
        self.by_key.insert(key, self.list.len());
        let (source, destination) = (from.clone(), to.clone());
        self.list.push(Grant { reason, direction, source, destination, because: vec![rule] });
    }

    fn dns(&mut self, subject: &Arc<Endpoint>, rule: RuleId) {
        if self.settings.grant_dns {
            let dns = self.dns.clone();
            self.add(GrantReason::Dns, Direction::Egress, subject, &dns, rule);
        }
    }

    fn of_rule(&mut self, at: RuleId, rule: &Rule) {
        if rule.action != Action::Allow {
            return;
        }
        let named = rule.destination.members.iter().any(|member| !matches!(member.what, What::Addresses(_)));
        if rule.egress && named {
            self.dns(&rule.source, at);
        }
        if let Some(via) = &rule.via {
            let (pods, ports) = (Arc::new(gateway_pods(&via.gateway)), Arc::new(gateway_ports(via, rule.egress)));
            if rule.egress {
                self.add(GrantReason::Gateway, Direction::Egress, &rule.source, &ports, at);
            }
            self.add(GrantReason::Gateway, Direction::Ingress, &rule.source, &ports, at);
            self.add(GrantReason::Gateway, Direction::Egress, &pods, &rule.destination, at);
            self.dns(&pods, at);
        }
        if let Some(jwt) = &rule.conditions.jwt
            && let Keys::Remote { url, at: addresses } = &jwt.issuer.keys
            && !addresses.blocks.is_empty()
            && self.settings.targets.contains(&Layer::Istio)
        {
            let ports = Ports::Some(vec![PortMatch::range(port_of(url), port_of(url), Protocol::Tcp)]);
            let member = Member { span: jwt.issuer.span, what: What::Addresses(addresses.clone()), ports };
            let istiod = Arc::new(bare(self.istiod));
            let keys = Arc::new(Endpoint { members: smallvec![member] });
            self.add(GrantReason::Keys, Direction::Egress, &istiod, &keys, at);
        }
    }

    /// Grants the way to istiod, if Istio is a layer: every pod with a sidecar needs it.
    fn of_mesh(&mut self) {
        let Some(first) = self.istiod.members.first() else { return };
        if !self.settings.targets.contains(&Layer::Istio) {
            return;
        }
        let everyone = What::Pods(Pods { selector: PodSelector::any(), named: None });
        let source = Endpoint { members: smallvec![Member { span: first.span, what: everyone, ports: Ports::All }] };
        self.list.push(Grant {
            reason: GrantReason::Istiod,
            direction: Direction::Egress,
            source: Arc::new(source),
            destination: self.istiod.clone(),
            because: Vec::new(),
        });
    }
}

/// Returns the port of a URL: its own, or that of its scheme (RFC 9110: 80 for http, 443 for https).
fn port_of(url: &SmolStr) -> u16 {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.unwrap_or(if scheme.eq_ignore_ascii_case("http") { 80 } else { 443 })
}

/// Returns a gateway's pods.
fn gateway_pods(gateway: &Gateway) -> Endpoint {
    let member = |selector: &PodSelector| Member {
        span: gateway.span,
        what: What::Pods(Pods { selector: selector.clone(), named: None }),
        ports: Ports::All,
    };
    Endpoint { members: gateway.pods.iter().map(member).collect() }
}

/// Returns a gateway's pods on the ports that clients use. On egress these are its TLS ports, if it has any; on
/// ingress, the ports on which clients ask for a name, or the ports without names that lead to the destination.
fn gateway_ports(via: &Via, egress: bool) -> Endpoint {
    let gateway = &via.gateway;
    let tls = gateway.ports.iter().any(|port| port.app == Some(AppProtocol::Tls));
    let used = |port: &&GatewayPort| match (egress, via.at.is_empty()) {
        (true, _) => !tls || port.app == Some(AppProtocol::Tls),
        (false, true) => port.protocol == Protocol::Tcp && via.ports.contains(&port.target),
        (false, false) => port.app.is_some() || port.unknown || !port.servers.is_empty(),
    };
    let ports = gateway.ports.iter().filter(used).map(|port| PortMatch {
        app: port.app,
        service_port: Some(port.port),
        ..PortMatch::range(port.target, port.target, port.protocol)
    });
    let ports = Ports::Some(ports.collect());
    let mut pods = gateway_pods(gateway);
    for member in &mut pods.members {
        member.ports = ports.clone();
    }
    pods
}

fn bare(endpoint: &Endpoint) -> Endpoint {
    let members = endpoint.members.iter().map(|member| Member { ports: Ports::All, ..member.clone() });
    Endpoint { members: members.collect() }
}

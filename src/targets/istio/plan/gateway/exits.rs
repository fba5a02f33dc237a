//! Hosts that are reached only through an egress gateway.
//!
//! The sidecar sends the host's connections to the gateway inside mutual TLS, so that the gateway knows who asks for
//! which host: a VirtualService and a DestinationRule for the way there, a Gateway that takes it, and the rest of the
//! VirtualService for the way on. The Sidecar imports the host and never the gateway's Service, through which other hosts
//! on the gateway could be reached.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::access::GatewayAccess;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::model::endpoint::What;
use crate::model::hosts::HostName;
use crate::model::ports::{AppProtocol, PortTest, Protocol};
use crate::model::rules::{Direction, Rule, RuleId};
use crate::policy::Policy;
use crate::settings::Settings;
use crate::targets::Level;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::judge::{Flaw, Judge};
use crate::targets::istio::model::{DestinationRule, ExportTo, Gateway, Meta, Resource, Selector, VirtualService};
use crate::targets::istio::plan::egress::destinations::Outside;
use crate::targets::istio::plan::ingress::peers::{Position, Senders};
use crate::targets::istio::plan::subjects::Place;
use crate::targets::names::{Limit, Taken, Words};
use crate::targets::partition::Partition;

const OUT: Direction = Direction::Egress;

/// The ways out through gateways.
pub struct Exits {
    /// For each rule with `via` on egress that can be held, its way.
    ways: FxHashMap<RuleId, Rc<Way>>,
    uses: BTreeMap<(SmolStr, SmolStr, HostName), Uses>,
}

/// A gateway as a way out.
#[derive(Debug)]
struct Way {
    gateway: Arc<crate::model::gateways::Gateway>,
    /// The namespace and labels of its pods.
    namespace: SmolStr,
    labels: Selector,
    /// The host of its Service, the Service's port and the pods'.
    service: String,
    service_port: u16,
    target: u16,
}

/// What some pods reach through a gateway.
struct Uses {
    way: Rc<Way>,
    port: u16,
    places: Vec<Place>,
    rules: Vec<RuleId>,
    everyone: bool,
}

/// The hosts that a namespace reaches through one Service.
#[derive(Default)]
struct Subsets {
    subsets: Vec<(String, String)>,
    rules: Vec<RuleId>,
    everyone: bool,
}

impl Exits {
    /// Finds the ways of the rules of a policy, and says which cannot be held.
    pub fn new(
        facts: &Facts<'_>,
        senders: &mut Senders<'_, '_>,
        gateways: &mut GatewayAccess,
        judge: &mut Judge<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Exits {
        let policy = facts.policy;
        let mut exits = Exits { ways: FxHashMap::default(), uses: BTreeMap::new() };
        let ports = ports_of_hosts(facts.part);
        let mut warned: Vec<SmolStr> = Vec::new();
        for (at, rule) in facts.part.rules(OUT) {
            let Some(via) = &rule.via else { continue };
            let way = way(policy, rule, &ports);
            let from = senders.of(&rule.source, Position::Workload);
            let way = match way.and_then(|way| from.unable.clone().map_or(Ok(way), Err)) {
                Ok(way) => way,
                Err(why) => {
                    judge.flaw(at, OUT, &Flaw::unable(why));
                    continue;
                }
            };
            if let Some(flaw) = &from.flaw {
                judge.flaw(at, OUT, flaw);
            }
            judge.how(
                at,
                OUT,
                Level::Bypassable,
                "the gateway knows who asks for which host; a pod that avoids its sidecar is not stopped",
            );
            for host in hosts(rule) {
                gateways.exit(&via.gateway, &host.name, at, from.sources.clone());
            }
            if !warned.contains(&via.gateway.name) && wrapped(facts, &via.gateway) {
                warned.push(via.gateway.name.clone());
                diagnostics.push(wrapped_gateway(&via.gateway, via.span));
            }
            exits.ways.insert(at, Rc::new(way));
        }
        exits
    }

    /// Notes that pods of a place use a host by a rule; returns the namespace of the gateway that must see it.
    pub fn add(
        &mut self,
        rule: RuleId,
        namespace: &SmolStr,
        everyone: bool,
        place: &Place,
        host: &Outside,
        port: u16,
    ) -> Option<SmolStr> {
        let way = self.ways.get(&rule)?;
        let key = (namespace.clone(), way.gateway.name.clone(), host.name.clone());
        let uses = self.uses.entry(key).or_insert_with(|| Uses {
            way: Rc::clone(way),
            port,
            places: Vec::new(),
            rules: Vec::new(),
            everyone,
        });
        if !uses.places.contains(place) {
            uses.places.push(place.clone());
        }
        uses.rules.push(rule);
        Some(way.namespace.clone())
    }

    /// Returns the objects.
    pub fn finish(self, settings: &Settings) -> Vec<Resource> {
        let (mut gateways, mut routes, mut subsets) = (Taken::of(settings), Taken::of(settings), Taken::new());
        let mut list = Vec::new();
        let mut services: BTreeMap<(SmolStr, String, u16), Subsets> = BTreeMap::new();
        for ((namespace, _, name), mut uses) in self.uses {
            uses.rules.sort_unstable();
            uses.rules.dedup();
            let host = name.to_string();
            let words = Words::of_host(&host);
            let identity = format!("{host} {}", uses.way.service);
            let end = uses.way.gateway.name.as_str();
            let subset = subsets.name(&namespace, &words, "", &host, Limit::Label);
            let gateway = gateways.name(&namespace, &words, end, &identity, Limit::Subdomain);
            let route = routes.name(&namespace, &words, end, &identity, Limit::Subdomain);
            let meta = |name: &String| Meta {
                namespace: namespace.clone(),
                name: name.clone(),
                rules: uses.rules.clone(),
                comment: None,
            };
            let way = &uses.way;
            list.push(Resource::Gateway(Gateway {
                meta: meta(&gateway),
                selector: way.labels.clone(),
                port: way.target,
                hosts: vec![host.clone()],
            }));
            let mut sources: Vec<Selector> = uses.places.iter().map(|place| place.labels.clone()).collect();
            sources.sort();
            if sources.iter().any(|labels| labels.is_empty()) {
                sources = vec![Selector::default()];
            }
            let export_to = match uses.everyone {
                true => ExportTo::Everyone,
                false => ExportTo::Own(vec![way.namespace.clone()]),
            };
            list.push(Resource::VirtualService(VirtualService {
                meta: meta(&route),
                host: host.clone(),
                gateway: gateway.clone(),
                export_to,
                port: uses.port,
                sources,
                service: way.service.clone(),
                service_port: way.service_port,
                subset: subset.clone(),
                gateway_port: way.target,
            }));
            let key = (namespace.clone(), way.service.clone(), way.service_port);
            let of_service = services.entry(key).or_default();
            of_service.subsets.push((subset, host));
            of_service.rules.extend(&uses.rules);
            of_service.everyone |= uses.everyone;
        }
        let mut names = Taken::of(settings);
        for ((namespace, service, port), Subsets { subsets, mut rules, everyone }) in services {
            rules.sort_unstable();
            rules.dedup();
            let words = Words::of(service.split('.').next().unwrap_or_default());
            let name = names.name(&namespace, &words, "", &service, Limit::Subdomain);
            let export_to = if everyone { ExportTo::Everyone } else { ExportTo::Own(Vec::new()) };
            let meta = Meta { namespace, name, rules, comment: None };
            list.push(Resource::DestinationRule(DestinationRule { meta, service, export_to, port, subsets }));
        }
        list
    }
}

/// Returns the way of a rule, or why there is none.
fn way(policy: &Policy, rule: &Rule, ports: &FxHashMap<(SmolStr, HostName), Vec<u16>>) -> Result<Way, String> {
    let Some(via) = &rule.via else { return Err(String::new()) };
    let gateway = &via.gateway;
    let name = &gateway.name;
    if policy.settings.scope_gateway_to_namespace {
        return Err("with `scope-gateway-to-namespace` a Gateway selects pods of its own namespace alone".into());
    }
    let Some((namespace, service)) = &gateway.service else {
        return Err(format!("the Service of gateway {name} is not known"));
    };
    let [pods] = gateway.pods.as_slice() else {
        return Err(format!("gateway {name} has pods by several selectors, and a Gateway has one"));
    };
    let labels = crate::targets::istio::facts::match_labels(&pods.labels).filter(|labels| !labels.is_empty());
    let (Some(home), Some(labels)) = (pods.namespace_name(), labels) else {
        return Err(format!("a Gateway selects pods by single labels, and gateway {name} has others"));
    };
    let tls = gateway.ports.iter().find(|port| port.protocol == Protocol::Tcp && port.app == Some(AppProtocol::Tls));
    let Some(tls) = tls else { return Err(format!("gateway {name} has no tls port")) };
    for host in hosts(rule) {
        if host.name.wildcard {
            return Err(format!("a gateway resolves one name, and {} is many", host.name));
        }
        if ports.get(&(name.clone(), host.name.clone())).is_some_and(|ports| ports.len() > 1) {
            return Err(format!("through a gateway a host has one port, and {} has several", host.name));
        }
    }
    Ok(Way {
        gateway: Arc::clone(gateway),
        namespace: home.clone(),
        labels,
        service: format!("{service}.{namespace}.svc.{}", policy.settings.domain),
        service_port: tls.port,
        target: tls.target,
    })
}

fn hosts(rule: &Rule) -> impl Iterator<Item = &crate::model::hosts::Host> {
    rule.destination.members.iter().filter_map(|member| match &member.what {
        What::Host(host) => Some(host),
        _ => None,
    })
}

/// Returns the ports that rules send through each gateway for each host.
fn ports_of_hosts(part: &Partition<'_>) -> FxHashMap<(SmolStr, HostName), Vec<u16>> {
    let mut ports: FxHashMap<(SmolStr, HostName), Vec<u16>> = FxHashMap::default();
    for (_, rule) in part.rules(OUT) {
        let Some(via) = &rule.via else { continue };
        for member in &rule.destination.members {
            let What::Host(host) = &member.what else { continue };
            let list = ports.entry((via.gateway.name.clone(), host.name.clone())).or_default();
            for port in member.ports.entries() {
                if let PortTest::Range(first, last) = port.port {
                    list.extend([first, last]);
                }
            }
            list.sort_unstable();
            list.dedup();
        }
    }
    ports
}

/// Returns whether pods of a gateway carry the label by which sidecars wrap in mTLS what they send there.
fn wrapped(facts: &Facts<'_>, gateway: &crate::model::gateways::Gateway) -> bool {
    let labelled = |workload: &crate::inventory::Workload| {
        workload.labels.get("security.istio.io/tlsMode").is_some_and(|mode| mode == "istio")
    };
    gateway.pods.iter().any(|pods| {
        let known = pods.namespace_name().and_then(|name| facts.known(name));
        known.is_some_and(|known| known.selected(pods).any(labelled))
    })
}

fn wrapped_gateway(gateway: &crate::model::gateways::Gateway, span: crate::source::Span) -> Diagnostic {
    let message = format!("pods of gateway `{}` are labelled as if they had a sidecar", gateway.name);
    Diagnostic::new(Code::WrappedGateway, span, message)
        .at("sidecars wrap in mTLS what they send to pods with `security.istio.io/tlsMode=istio`")
        .note("what passes the gateway unread breaks: take the label off the gateway's pods")
}

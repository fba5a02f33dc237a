//! Hosts that leave through gateways: Gateways, VirtualServices and DestinationRules.
//!
//! ```netpol
//! gateway exit { pods exits/{app=envoy} account exits/@envoy service exits/envoy port 443 -> 8443/tls }
//! allow egress garden/* -> zenquotes.io:443/tls via exit
//! ```
//!
//! ```yaml
//! kind: Gateway
//! metadata:
//!   name: zenquotes-io-exit
//! kind: VirtualService
//! metadata:
//!   name: zenquotes-io-exit
//! kind: DestinationRule
//! metadata:
//!   name: envoy
//! ```
//!
//! One Gateway for each host lets the gateway distinguish hosts; one DestinationRule for each Service names them all.

use std::collections::BTreeMap;
use std::rc::Rc;

use smol_str::SmolStr;

use crate::model::rules::RuleId;
use crate::settings::Settings;
use crate::targets::istio::model::{
    DestinationRule, ExportTo, Gateway, Meta, OpenedTls, Origin, Resource, Selector, Spec, ToldBy, VirtualService,
};
use crate::targets::istio::plan::gateway::exits::Routes;
use crate::targets::names::{Limit, Taken, Words};

/// The hosts that a namespace reaches through one Service.
#[derive(Default)]
struct Subsets {
    subsets: Vec<(String, String)>,
    rules: Vec<RuleId>,
    everyone: bool,
}

/// Makes the objects of routes through gateways.
pub fn emit(settings: &Settings, all: Routes) -> Vec<Resource> {
    let (mut gateways, mut routes, mut subsets) = (Taken::of(settings), Taken::of(settings), Taken::new());
    let mut list = Vec::new();
    let mut services: BTreeMap<(SmolStr, String, u16), Subsets> = BTreeMap::new();
    for ((namespace, _, name), mut used) in all {
        used.rules.sort_unstable();
        used.rules.dedup();
        let host = name.to_string();
        let words = Words::of_host(&host);
        let identity = format!("{host} {}", used.way.service);
        let end = used.way.gateway.name.as_str();
        let subset = subsets.name(&namespace, &words, "", &host, Limit::Label);
        let gateway = gateways.name(&namespace, &words, end, &identity, Limit::Subdomain);
        let route = routes.name(&namespace, &words, end, &identity, Limit::Subdomain);
        let rules: Rc<[RuleId]> = used.rules.as_slice().into();
        let mut push = |name: &String, spec: Spec| {
            let meta = Meta { namespace: namespace.clone(), name: name.clone() };
            list.push(Resource { meta, origin: Origin { rules: Rc::clone(&rules), comment: None }, spec });
        };
        let way = &used.way;
        let (selector, port, hosts) = (way.labels.clone(), way.target, vec![host.clone()]);
        let told_by = match used.port.app {
            Some(app) if app.has_requests() => ToldBy::Requests,
            Some(_) => ToldBy::Tls,
            None => ToldBy::Address,
        };
        let requests = told_by == ToldBy::Requests;
        push(&gateway, Spec::Gateway(Gateway { selector, port, requests, hosts }));
        let mut sources: Vec<Selector> = used.subjects.iter().map(|subject| subject.labels.clone()).collect();
        sources.sort();
        if sources.iter().any(|labels| labels.is_empty()) {
            sources = vec![Selector::default()];
        }
        let export_to = match used.everyone {
            true => ExportTo::Everyone,
            false => ExportTo::Own(vec![way.namespace.clone()]),
        };
        let spec = VirtualService {
            host: host.clone(),
            gateway: gateway.clone(),
            export_to,
            port: used.port.number,
            told_by,
            direct: used.direct,
            sources,
            service: way.service.clone(),
            service_port: way.service_port,
            subset: subset.clone(),
            gateway_port: way.target,
        };
        push(&route, Spec::VirtualService(spec));
        let key = (namespace.clone(), way.service.clone(), way.service_port);
        let of_service = services.entry(key).or_default();
        of_service.subsets.push((subset, host));
        of_service.rules.extend(&used.rules);
        of_service.everyone |= used.everyone;
    }
    let mut names = Taken::of(settings);
    for ((namespace, service, port), Subsets { subsets, mut rules, everyone }) in services {
        rules.sort_unstable();
        rules.dedup();
        let words = Words::of(service.split('.').next().unwrap_or_default());
        let name = names.name(&namespace, &words, "", &service, Limit::Subdomain);
        let export_to = if everyone { ExportTo::Everyone } else { ExportTo::Own(Vec::new()) };
        let (meta, origin) = (Meta { namespace, name }, Origin { rules: rules.into(), comment: None });
        let tls = OpenedTls::Mutual { port, subsets };
        let spec = Spec::DestinationRule(DestinationRule { host: service, export_to, tls });
        list.push(Resource { meta, origin, spec });
    }
    list
}

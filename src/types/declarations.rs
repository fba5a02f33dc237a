//! Gateways, and the names of the prelude with the settings of the cluster.
//!
//! ```text
//! gateway edge { pods edges/{app=envoy}  port 443 -> 8443/https }
//! allow ingress edge -> garden/{app=web}:8080     the peer is the pods edges/{app=envoy}
//! allow egress garden/* -> dns                    the prelude's pods and addresses, with those of `[cluster] resolver`
//! ```

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use smol_str::SmolStr;

use super::endpoints::address_set;
use super::facts::equalities;
use super::value::{Env, Kind, Value};
use super::{Checker, errors};
use crate::inventory::Workload;
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, Members, What};
use crate::model::gateways::Gateway;
use crate::model::labels::PodSelector;
use crate::model::ports::{PortMatch, Ports, Protocol};
use crate::resolve::{Def, ModuleId, Role};
use crate::settings::Written;
use crate::source::Span;
use crate::syntax::tree::{
    Expr, ExprKind, GatewayDecl, ItemKind, NamespacePattern, PodPattern, Port, PortKind, PortProtocol,
};

impl Checker<'_> {
    /// Checks a gateway's declaration, at its first use.
    pub(super) fn gateway(&mut self, def: Def) -> Option<Arc<Gateway>> {
        if let Some(known) = self.gateways.get(&def) {
            return known.clone();
        }
        let item = self.names.item(def);
        let ItemKind::Gateway(gateway) = &item.kind else { return None };
        if self.closes_cycle(def) {
            self.gateways.insert(def, None);
            return None;
        }
        self.open.push(def);
        let made = self.make_gateway(gateway, item.span, &Env::top(def.module)).map(Arc::new);
        self.open.pop();
        // A gateway that leads back to itself has been reported, and is in the map already: that entry stays.
        self.gateways.entry(def).or_insert(made).clone()
    }

    /// Returns the gateways of the user's files and of the modules that they use.
    pub(super) fn gateways_in_use(&mut self) -> Vec<Arc<Gateway>> {
        let names = self.names;
        let modules = names.modules().filter(|(_, module)| module.used || module.role != Role::Standard);
        let defs = modules.flat_map(|(id, module)| {
            (0..module.file.items.len()).map(move |item| Def { module: id, item: item as u32 })
        });
        defs.filter_map(|def| self.gateway(def)).collect()
    }

    fn make_gateway(&mut self, item: &GatewayDecl, span: Span, env: &Env) -> Option<Gateway> {
        let missing = match (&item.pods, item.ports.is_empty()) {
            (None, _) => Some(("its pods", "pods namespace/{label=value}")),
            (_, true) => Some(("a port", "port 443 -> 8443/tls")),
            _ => None,
        };
        if let Some((missing, example)) = missing {
            if !item.broken {
                self.push(errors::incomplete(&item.name, "gateway", missing, example));
            }
            return None;
        }
        let pods_expr = item.pods.as_ref()?;
        let value = self.endpoint(pods_expr, env)?;
        if value.kind() != Kind::Workloads || value.ports.is_some() {
            self.push(errors::gateway_pods(pods_expr.span));
            return None;
        }
        let pods: Vec<PodSelector> = value.endpoint().pods().map(|(_, pods)| pods.selector.clone()).collect();
        let account = match &item.account {
            None => None,
            Some(expr) => match &expr.kind {
                ExprKind::Pods(NamespacePattern::Name(namespace), PodPattern::Account(name)) => {
                    self.check_namespace(namespace.span, &namespace.text, None, env);
                    Some((namespace.text.clone(), name.text.clone()))
                }
                ExprKind::Error => return None,
                _ => {
                    self.push(errors::gateway_account(expr.span));
                    return None;
                }
            },
        };
        let account = match account {
            Some(said) => Some(self.account_of_gateway(item, &pods, said, env)?),
            None => None,
        };
        let service = match &item.service {
            Some((namespace, name)) if namespace.is_scope() => {
                Some((self.namespace_of_scope(env.module, namespace.span)?, name.text.clone()))
            }
            Some((namespace, name)) => Some((namespace.text.clone(), name.text.clone())),
            None => self.service_of(&pods),
        };
        let (ports, undeclared) = self.gateway_ports(item, &pods, service.as_ref(), env)?;
        let proxies = item.proxies.map_or(0, |(proxies, _)| proxies);
        let proxies_from = match &item.proxies_from {
            Some(expr) => self.proxies_from(expr, proxies, env)?,
            None => AddressSet::default(),
        };
        let name = item.name.text.clone();
        Some(Gateway { name, pods, account, service, ports, proxies, proxies_from, undeclared, span })
    }

    /// Returns the account of a gateway: the declared one, which must not contradict the account in the manifests of
    /// its pods. The inventory replaces the account of the standard library, as with all facts: charts give this
    /// account other names.
    fn account_of_gateway(
        &mut self,
        item: &GatewayDecl,
        pods: &[PodSelector],
        said: (SmolStr, SmolStr),
        env: &Env,
    ) -> Option<(SmolStr, SmolStr)> {
        let inventory = self.inventory;
        let known = pods
            .iter()
            .flat_map(|pods| inventory.select(pods))
            .filter(|pod| !matches!(pod.account.as_str(), "" | "default"));
        let known: Vec<&Workload> = known.collect();
        let is_said = |pod: &Workload| (&pod.namespace, &pod.account) == (&said.0, &said.1);
        let Some(first) = known.first().filter(|_| !known.iter().any(|pod| is_said(pod))) else { return Some(said) };
        if self.names.module(env.module).role == Role::Standard {
            let alike = known.iter().all(|pod| (&pod.namespace, &pod.account) == (&first.namespace, &first.account));
            return Some(if alike { (first.namespace.clone(), first.account.clone()) } else { said });
        }
        let why = format!(
            "its pods run as `{}/@{}` there, and as `{}/@{}` here",
            first.namespace, first.account, said.0, said.1
        );
        let place = item.account.as_ref().map_or(item.name.span, |account| account.span);
        let what = format!("the account of the gateway `{}`", item.name.text);
        self.push(errors::contradicting_facts(place, &what, first.origin, &why));
        None
    }

    /// Returns the addresses of the proxies in front of a gateway.
    fn proxies_from(&mut self, expr: &Expr, proxies: u32, env: &Env) -> Option<AddressSet> {
        let value = self.endpoint(expr, env)?;
        if proxies == 0 || value.kind() != Kind::Addresses || value.ports.is_some() {
            self.push(errors::gateway_proxies(expr.span, proxies == 0));
            return None;
        }
        Some(address_set(value.endpoint()))
    }

    /// Returns the inventory's Service that selects exactly these pods, if it has one.
    fn service_of(&self, pods: &[PodSelector]) -> Option<(SmolStr, SmolStr)> {
        let mut found = self.inventory.services.iter().filter(|((namespace, _), service)| {
            let Some(selector) = service.selector.as_ref().and_then(equalities) else { return false };
            let selected = PodSelector { labels: selector, ..PodSelector::in_namespace(namespace.clone()) };
            pods.iter().all(|set| set.is_inside(std::slice::from_ref(&selected)))
        });
        let (key, _) = found.next()?;
        found.next().is_none().then(|| key.clone())
    }

    /// Returns the one Service of the inventory that selects some of these pods by a label more.
    pub(super) fn narrower_service_of(&self, pods: &[PodSelector]) -> Option<(SmolStr, SmolStr)> {
        let mut found = self.inventory.services.iter().filter(|((namespace, _), service)| {
            let Some(selector) = service.selector.as_ref().and_then(equalities) else { return false };
            let selected = PodSelector { labels: selector, ..PodSelector::in_namespace(namespace.clone()) };
            selected.is_inside(pods)
        });
        let (key, _) = found.next()?;
        found.next().is_none().then(|| key.clone())
    }

    /// Returns the endpoint that `netpol.toml` gives for one of the prelude's names, such as `apiserver`; `None` if it
    /// gives none.
    pub(super) fn setting_value(&mut self, name: &str) -> Option<Value> {
        let settings = self.settings;
        let (list, mixed) = match name {
            "apiserver" => (&settings.apiserver, true),
            "nodes" => (&settings.nodes, false),
            _ => return None,
        };
        if list.is_empty() {
            return self.api_servers().filter(|_| name == "apiserver");
        }
        let values: Vec<Value> = list.iter().filter_map(|written| self.written(written)).collect();
        let ports = values.iter().find_map(|value| value.ports);
        let mixed = list.first().filter(|_| mixed).map(|written| written.span);
        let members: Members = values.iter().flat_map(|value| value.endpoint().members.clone()).collect();
        Some(Value { mixed, ports, ..Value::of(members) })
    }

    /// Evaluates an endpoint of `netpol.toml`.
    pub(super) fn written(&mut self, written: &Written) -> Option<Value> {
        let expr = crate::syntax::parse_endpoint(&written.text, written.span, self.diagnostics);
        self.endpoint(&expr, &Env::top(self.names.prelude()))
    }

    /// Evaluates a resolver of `netpol.toml`: DNS asks by UDP and by TCP, so `169.254.20.10:5353` is both.
    fn written_resolver(&mut self, written: &Written) -> Option<Value> {
        let mut expr = crate::syntax::parse_endpoint(&written.text, written.span, self.diagnostics);
        add_udp(&mut expr);
        self.endpoint(&expr, &Env::top(self.names.prelude()))
    }

    /// Returns the addresses of a list of `netpol.toml`.
    pub(super) fn setting_addresses(&mut self, list: &[Written]) -> AddressSet {
        let values: Vec<Value> = list.iter().filter_map(|written| self.written(written)).collect();
        for (value, written) in values.iter().zip(list) {
            if value.kind() != Kind::Addresses {
                self.push(errors::setting_not_addresses(written.span));
            }
        }
        AddressSet { blocks: values.iter().flat_map(|value| address_set(value.endpoint()).blocks).collect() }
    }

    /// Returns the members that `[cluster] resolver` adds to the platform's: pods or addresses, on their ports or else
    /// on 53.
    pub(super) fn resolver_members(&mut self, list: &[Written]) -> Members {
        let ports = [Protocol::Udp, Protocol::Tcp].map(|protocol| PortMatch::range(53, 53, protocol));
        let ports = Ports::Some(ports.to_vec());
        let (mut members, mut plain) = (Members::new(), AddressSet::default());
        for written in list {
            let Some(value) = self.written_resolver(written) else { continue };
            let place = |what: What, ports| Member { span: written.span, what, ports };
            for member in &value.endpoint().members {
                self.warn_of_unknown_resolver(written, member);
                match &member.what {
                    What::Host(_) => self.push(errors::resolver_is_host(written.span)),
                    What::Addresses(set) if value.ports.is_none() => plain.blocks.extend(set.blocks.iter().cloned()),
                    what if value.ports.is_none() => members.push(place(what.clone(), ports.clone())),
                    what => members.push(place(what.clone(), member.ports.clone())),
                }
            }
        }
        if let (false, Some(first)) = (plain.blocks.is_empty(), list.first()) {
            members.push(Member { span: first.span, what: What::Addresses(plain), ports });
        }
        members
    }

    /// Warns once of pods of `[cluster] resolver` that the inventory does not know.
    fn warn_of_unknown_resolver(&mut self, written: &Written, member: &Member) {
        let What::Pods(pods) = &member.what else { return };
        let inventory = self.inventory;
        if inventory.given && inventory.select(&pods.selector).is_empty() && self.warned.insert(written.span) {
            self.push(errors::selector_unmatched(written.span, &written.text, true, None, &[], None));
        }
    }

    /// Returns `[cluster] pods`: addresses, whose ports would mean nothing. A known pod with another address counts,
    /// too: objects would let it through as somebody outside.
    pub(super) fn pod_addresses(&mut self) -> AddressSet {
        let settings = self.settings;
        for written in &settings.pods {
            if let Some(ports) = self.written(written).and_then(|value| value.ports) {
                self.push(errors::setting_with_ports(ports));
            }
        }
        let mut pods = self.setting_addresses(&settings.pods);
        if let Some(written) = settings.pods.first() {
            let known = self.inventory.workloads.iter().filter(|workload| !workload.host_network);
            let all = known.flat_map(|workload| workload.addresses.iter().map(move |address| (workload, *address)));
            let outside: Vec<(&Workload, IpAddr)> = all.filter(|(_, address)| !pods.contains(*address)).collect();
            if let Some((first, address)) = outside.first() {
                self.push(errors::pod_outside_ranges(written.span, first, *address, outside.len()));
            }
            pods.blocks.extend(AddressSet::of(outside.iter().map(|(_, address)| (*address).into())).blocks);
        }
        pods
    }

    /// Returns the cluster's DNS as a destination.
    pub(super) fn dns(&mut self) -> Arc<Endpoint> {
        self.standard(self.names.prelude(), "dns").map(|value| value.endpoint().clone()).unwrap_or_default()
    }

    /// Returns istiod's pods on TCP 15012, the port of xDS and certificates (istio.io, "Application Requirements").
    pub(super) fn istiod(&mut self) -> Arc<Endpoint> {
        let value = self.module("std/istio").and_then(|module| self.standard(module, "istiod"));
        let members = value.map(|value| value.endpoint().members.clone()).unwrap_or_default();
        let ports = Ports::Some(vec![PortMatch::range(15012, 15012, Protocol::Tcp)]);
        let members = members.into_iter().map(|member| Member { ports: ports.clone(), ..member }).collect();
        Arc::new(Endpoint { members })
    }

    /// Returns the addresses that a module of the standard library gives a name.
    pub(super) fn addresses_of(&mut self, module: &str, name: &str) -> AddressSet {
        let value = self.module(&format!("std/{module}")).and_then(|module| self.standard(module, name));
        value.map(|value| address_set(value.endpoint())).unwrap_or_default()
    }

    /// Returns the addresses of the nodes, where they are known.
    pub(super) fn node_addresses(&mut self) -> AddressSet {
        let value = match self.setting_value("nodes") {
            Some(value) => Some(Rc::new(value)),
            None => self.standard(self.names.prelude(), "nodes"),
        };
        value.map(|value| address_set(value.endpoint())).unwrap_or_default()
    }

    /// Returns the API servers as a destination; empty where they are not known.
    pub(super) fn api_server(&mut self) -> Arc<Endpoint> {
        self.setting_value("apiserver").map(Value::into_endpoint).unwrap_or_default()
    }

    fn module(&self, path: &str) -> Option<ModuleId> {
        let found = self.names.modules().find(|(_, module)| self.sources.file(module.file.id).path == path);
        found.map(|(id, _)| id)
    }

    /// Evaluates a name of the standard library.
    fn standard(&mut self, module: ModuleId, name: &str) -> Option<Rc<Value>> {
        let def = self.names.export(module, name)?;
        if module == self.names.prelude() { self.prelude_value(def, name) } else { self.let_value(def) }
    }
}

/// Adds UDP to the port numbers of an endpoint that have no protocol.
fn add_udp(expr: &mut Expr) {
    if let Some(spec) = &mut expr.ports {
        let bare = |port: &&Port| port.protocol.is_none() && !matches!(port.kind, PortKind::Name(_) | PortKind::Error);
        let udp = |port: &Port| Port { protocol: Some(PortProtocol::Transport(Protocol::Udp)), ..port.clone() };
        let written =
            |one: &Port| spec.ports.iter().any(|port| (&port.kind, port.protocol) == (&one.kind, one.protocol));
        let added: Vec<Port> = spec.ports.iter().filter(bare).map(udp).filter(|port| !written(port)).collect();
        spec.ports.extend(added);
    }
    if let ExprKind::Union(members) = &mut expr.kind {
        members.iter_mut().for_each(add_udp);
    }
}

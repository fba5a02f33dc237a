//! Endpoints: the meaning of an expression, member by member.
//!
//! ```text
//! allow egress garden/* -> { shop/{app=db}, zenquotes.io }:443
//!     two members on TCP 443: pods by their labels, and a host, whose bare 443 is read as TLS
//! ```

use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::value::{Bound, Env, Kind, Value};
use super::{Checker, Missing, errors};
use crate::inventory::Service;
use crate::model::addresses::{AddressSet, Block};
use crate::model::endpoint::{Endpoint, Member, Members, Pods, What};
use crate::model::hosts::{Host, HostName, WeightedNet};
use crate::model::labels::{PodSelector, subtract_all};
use crate::model::ports::{PortMatch, PortTest, Ports};
use crate::resolve::Def;
use crate::source::Span;
use crate::syntax::tree::{Address, Expr, ExprKind, HostDecl, ItemKind, LetValue, Port, PortKind};

/// How many members an endpoint may have; a policy with more was made by doubling names.
const MOST_MEMBERS: usize = 65_536;

impl Checker<'_> {
    /// Evaluates an endpoint; `None` after a mistake in it, which has been reported.
    pub(super) fn endpoint(&mut self, expr: &Expr, env: &Env) -> Option<Value> {
        let value = match &expr.kind {
            ExprKind::Pods(namespace, pods) => self.pods(expr, namespace, pods, env),
            ExprKind::Host(pattern) => {
                let name = HostName { wildcard: pattern.wildcard, name: pattern.name.clone() };
                self.host(expr, name)
            }
            ExprKind::Address(address) => self.address(expr, *address, env),
            ExprKind::Name(name) => self.named(name, expr, env).map(|value| (*value).clone()),
            ExprKind::Union(list) => self.union(expr, list, env),
            ExprKind::Except(left, right) => self.except(expr, left, right, env),
            ExprKind::Error => None,
        }?;
        match &expr.ports {
            Some(ports) => self.with_ports(value, &expr.kind, ports, env),
            None => Some(value),
        }
    }

    /// Returns the span of an expression without its ports.
    pub(super) fn bare_span(expr: &Expr) -> Span {
        match &expr.ports {
            Some(ports) => Span { end: ports.span.start, ..expr.span },
            None => expr.span,
        }
    }

    fn union(&mut self, expr: &Expr, list: &[Expr], env: &Env) -> Option<Value> {
        // Every member is checked, so that each gets its message.
        let values: Vec<Option<Value>> = list.iter().map(|member| self.endpoint(member, env)).collect();
        let values: Vec<Value> = values.into_iter().collect::<Option<_>>()?;
        let (mut mixed, mut ports, mut opaque) = (None, None, false);
        for (value, written) in values.iter().zip(list) {
            // A member with a span elsewhere came through a name, and the name is here.
            let here = Checker::bare_span(written);
            mixed = mixed.or(value.mixed.map(|inner| if here.contains(inner) { inner } else { here }));
            opaque |= value.opaque;
            ports = ports.or(value.ports);
        }
        let value = Value { mixed, ports, opaque, ..Value::union(values) };
        if value.most_members() > MOST_MEMBERS && value.endpoint().members.len() > MOST_MEMBERS {
            self.push(errors::too_many_members(expr.span, MOST_MEMBERS));
            return None;
        }
        if value.is_read_in_ways() {
            self.check_readings(&value.endpoint().members)?;
        }
        Some(value)
    }

    /// Two members that are the same must not read a port in two ways.
    fn check_readings(&mut self, members: &[Member]) -> Option<()> {
        let mut seen: FxHashMap<&What, Vec<&Member>> = FxHashMap::default();
        let read = |member: &&Member| member.ports.entries().iter().any(|port| port.app.is_some());
        for member in members.iter().filter(read) {
            let same = seen.entry(&member.what).or_default();
            for other in same.iter() {
                let clash = member.ports.entries().iter().find_map(|port| {
                    let other = other.ports.entries().iter().find(|other| other.reads_otherwise(port))?;
                    Some((port, other))
                });
                if let Some((port, first)) = clash {
                    self.push(errors::two_protocols(member.span, port, other.span, first));
                    return None;
                }
            }
            same.push(member);
        }
        Some(())
    }

    fn except(&mut self, expr: &Expr, left: &Expr, right: &Expr, env: &Env) -> Option<Value> {
        self.excepting += 1;
        let (a, b) = (self.endpoint(left, env), self.endpoint(right, env));
        self.excepting -= 1;
        let (a, b) = (a?, b?);
        if a.kind() != b.kind() || a.kind() == Kind::Endpoint {
            self.push(errors::except_kinds(left.span, a.kind(), right.span, b.kind()));
            return None;
        }
        for (value, operand) in [(&a, left), (&b, right)] {
            if let Some(ports) = value.ports {
                let bare = |expr: &Expr| self.text(Checker::bare_span(expr)).to_string();
                let written = operand.ports.as_ref().map(|ports| self.text(ports.span));
                let whole = written.map(|ports| format!("{{ {} except {} }}{ports}", bare(left), bare(right)));
                let diagnostic = errors::except_ports(operand.span, ports, whole);
                self.push(diagnostic);
                return None;
            }
        }
        let opaque = a.opaque || b.opaque;
        let taken = &b.endpoint().members;
        let mut members = Members::new();
        let mut takes = false;
        if a.kind() == Kind::Addresses && !opaque {
            self.literals_inside(right, &address_set(a.endpoint()), left)?;
        }
        for member in &a.endpoint().members {
            let (changed, left) = less(member, taken);
            takes |= changed;
            members.extend(left);
            if members.len() > MOST_MEMBERS {
                self.push(errors::too_many_members(expr.span, MOST_MEMBERS));
                return None;
            }
        }
        if !opaque && members.is_empty() {
            self.push(errors::except_everything(right.span, left.span));
            return None;
        }
        if !opaque && !takes {
            self.push(errors::except_nothing(right.span, left.span));
            return None;
        }
        let value = Value { opaque, ..Value::of(members) };
        if value.kind() == Kind::Addresses && !opaque {
            self.look_at_rest(left, &address_set(value.endpoint()), env);
        }
        Some(value)
    }

    /// Checks that the addresses after `except` are inside those before it, and fewer.
    fn literals_inside(&mut self, right: &Expr, whole: &AddressSet, left: &Expr) -> Option<()> {
        match &right.kind {
            ExprKind::Address(address) => {
                let net = Some(net_of(*address)).filter(|net| net.trunc() == *net)?;
                let literal = AddressSet::of([net]);
                let same_family = |block: &Block| {
                    matches!((block.net, net), (IpNet::V4(_), IpNet::V4(_)) | (IpNet::V6(_), IpNet::V6(_)))
                };
                let why = match (literal.is_inside(whole), whole.is_inside(&literal)) {
                    (true, true) => "is all of what it is taken from, and must be less",
                    (true, false) => return Some(()),
                    (false, true) => "is more than what it is taken from",
                    (false, false) if !whole.blocks.iter().any(same_family) => match net {
                        IpNet::V4(_) => "is IPv4, and what it is taken from is IPv6",
                        IpNet::V6(_) => "is IPv6, and what it is taken from is IPv4",
                    },
                    (false, false) => "does not lie inside what it is taken from",
                };
                let diagnostic = errors::except_outside(right.span, self.text(right.span), why, left.span);
                self.push(diagnostic);
                None
            }
            ExprKind::Union(list) => {
                let all: Vec<Option<()>> =
                    list.iter().map(|member| self.literals_inside(member, whole, left)).collect();
                all.into_iter().collect::<Option<Vec<()>>>().map(drop)
            }
            ExprKind::Except(outer, _) => self.literals_inside(outer, whole, left),
            _ => Some(()),
        }
    }

    fn address(&mut self, expr: &Expr, address: Address, env: &Env) -> Option<Value> {
        let (net, span) = (net_of(address), Checker::bare_span(expr));
        if let Some(diagnostic) = errors::wrong_net(span, self.text(span), net) {
            self.push(diagnostic);
            return None;
        }
        let set = AddressSet::of([net]);
        self.look_at_addresses(Checker::bare_span(expr), set.clone(), env);
        Some(Value::one(Checker::bare_span(expr), What::Addresses(set)))
    }

    fn host(&mut self, expr: &Expr, name: HostName) -> Option<Value> {
        if self.is_api_server(&name) {
            self.push(errors::host_is_api_server(
                expr.span,
                &name,
                self.knows_api_server(),
                self.stands_free(expr.span),
            ));
            return None;
        }
        if let Some((service, namespace)) = self.cluster_name(&name) {
            let key = (namespace, service.unwrap_or_default());
            let known = self.inventory.services.get(&key);
            let numbers = expr.ports.iter().flat_map(|ports| &ports.ports).map(|port| match port.kind {
                PortKind::Number(number) => Some(number),
                _ => None,
            });
            if let Some(alias) = known.filter(|service| service.external_name.is_some()) {
                let port = numbers.flatten().next();
                self.push(errors::service_without_pods(Checker::bare_span(expr), &key, alias, port));
                return None;
            }
            let has = |number: Option<u16>, service: &Service| {
                number.is_none_or(|number| service.ports.iter().any(|own| own.port == number))
            };
            let lacking = known.filter(|service| !numbers.clone().all(|number| has(number, service)));
            let ports = expr.ports.as_ref().map(|ports| self.text(ports.span)).unwrap_or_default();
            let service = Some(key.1.as_str()).filter(|service| !service.is_empty());
            let diagnostic = errors::host_is_service(expr.span, &name, (&key.0, service), ports, lacking);
            self.push(diagnostic);
            return None;
        }
        let host = Host { name, except: Vec::new(), at: Vec::new(), originates: Vec::new() };
        Some(Value::one(Checker::bare_span(expr), What::Host(host)))
    }

    /// Returns whether a host's name is that of the API server's Service, which Kubernetes always makes.
    fn is_api_server(&self, host: &HostName) -> bool {
        let local = host.name.strip_suffix(&format!(".{}", self.settings.domain)).unwrap_or(&host.name);
        !host.wildcard && local.strip_suffix(".svc").unwrap_or(local) == "kubernetes.default"
    }

    /// Returns the Service (`None` for a wildcard) and the namespace that a host's name means inside the cluster.
    fn cluster_name(&self, host: &HostName) -> Option<(Option<SmolStr>, SmolStr)> {
        let domain = format!(".{}", self.settings.domain);
        // `*.svc`, and `*.local`, which contains all of cluster.local.
        let above = !host.name.contains('.') && domain.ends_with(&format!(".{}", host.name));
        if host.wildcard && (host.name == "svc" || above) {
            return Some((None, SmolStr::default()));
        }
        let inner = host.name.strip_suffix(domain.as_str()).or_else(|| {
            let under = host.name == self.settings.domain;
            under.then_some("")
        });
        if let Some(pod) = inner.and_then(|inner| inner.strip_suffix(".pod")) {
            let namespace = pod.rsplit('.').next().unwrap_or_default();
            return Some((None, namespace.into()));
        }
        let local = match inner {
            Some(inner) => Some(inner.strip_suffix(".svc").unwrap_or(inner)),
            None => host.name.strip_suffix(".svc"),
        };
        if local == Some("svc") && host.wildcard {
            return Some((None, SmolStr::default()));
        }
        if let Some(local) = local {
            let mut labels = local.rsplit('.');
            let namespace = SmolStr::from(labels.next().unwrap_or_default());
            let service = labels.next().map(SmolStr::from).filter(|_| !host.wildcard);
            return Some((service, namespace));
        }
        // `*.shop` contains `cart.shop`, by which pods reach the Service cart of the namespace shop.
        if host.wildcard && !host.name.contains('.') {
            let mut services = self.inventory.services.keys();
            return services.any(|(namespace, _)| *namespace == host.name).then(|| (None, host.name.clone()));
        }
        let (service, namespace) = host.name.split_once('.')?;
        let key = (SmolStr::from(namespace), SmolStr::from(service));
        (!host.wildcard && self.inventory.services.contains_key(&key)).then_some((Some(key.1), key.0))
    }

    /// Evaluates a name: a parameter, a `let`, a gateway, or one of the prelude's.
    fn named(&mut self, name: &SmolStr, expr: &Expr, env: &Env) -> Option<Rc<Value>> {
        let span = Checker::bare_span(expr);
        if let Some(bound) = env.parameters.get(name) {
            self.use_parameter(env, name);
            return match bound {
                Bound::Endpoint(value) => Some(value.clone()),
                other => {
                    self.push(errors::parameter_type(span, name, other.kind(), "an endpoint"));
                    None
                }
            };
        }
        match self.find(env.module, name, span) {
            Ok(def) => {
                let value = self.definition(def, name, span)?;
                let pods = || value.endpoint().pods().map(|(member, pods)| (member.span, &pods.selector));
                self.note_missing_namespaces(def, span, pods, env);
                self.look_at_name(span, def, &value, env);
                Some(value)
            }
            Err(Missing::Said) => None,
            Err(Missing::Unknown(near)) => {
                let known = match name.as_str() {
                    "apiserver" => self.knows_api_server(),
                    "nodes" => !self.settings.nodes.is_empty(),
                    _ => {
                        let mut elsewhere = self.elsewhere(env, name, near, &["let", "gateway"]);
                        elsewhere.pods = self.pods_behind_colon(name, expr);
                        self.push(errors::unknown_name(span, name, elsewhere));
                        return None;
                    }
                };
                if !known {
                    self.push(errors::platform_unknown(span, name, self.settings.platform.word()));
                    return None;
                }
                self.setting_value(name).map(Rc::new)
            }
        }
    }

    /// Returns the word behind the `:` of `garden:web`, where the namespace has a workload or Service of that name.
    fn pods_behind_colon<'e>(&self, namespace: &SmolStr, expr: &'e Expr) -> Option<&'e str> {
        let [Port { kind: PortKind::Name(name), protocol: None, .. }] = expr.ports.as_ref()?.ports.as_slice() else {
            return None;
        };
        let is_service = self.inventory.services.contains_key(&(namespace.clone(), name.clone()));
        (is_service || !self.inventory.named(namespace, name).is_empty()).then_some(name.as_str())
    }

    pub(super) fn definition(&mut self, def: Def, name: &SmolStr, span: Span) -> Option<Rc<Value>> {
        match &self.names.item(def).kind {
            ItemKind::Let(_) if def.module == self.names.prelude() => self.prelude_value(def, name),
            ItemKind::Let(_) => match self.coredns(def) {
                Some(pods) => Some(Rc::new(pods)),
                None => self.let_value(def),
            },
            ItemKind::Gateway(_) => {
                let gateway = self.gateway(def)?;
                let members = gateway.pods.iter().map(|selector| Member {
                    span: gateway.span,
                    what: What::Pods(Pods { selector: selector.clone(), named: None }),
                    ports: Ports::Some(
                        gateway
                            .ports
                            .iter()
                            .map(|port| PortMatch {
                                port: PortTest::Range(port.target, port.target),
                                protocol: port.protocol,
                                app: port.app,
                                service_port: Some(port.port),
                            })
                            .collect(),
                    ),
                });
                let members = members.collect();
                Some(Rc::new(Value { ports: Some(gateway.span), ..Value::of(members) }))
            }
            other => {
                let what = if matches!(other, ItemKind::Issuer(_)) { "an issuer" } else { "a template" };
                self.push(errors::not_an_endpoint(span, name, what, self.names.name_span(def)));
                None
            }
        }
    }

    /// Evaluates one of the prelude's names, with the settings of `netpol.toml`.
    pub(super) fn prelude_value(&mut self, def: Def, name: &str) -> Option<Rc<Value>> {
        if let Some(value) = self.setting_value(name) {
            return Some(Rc::new(value));
        }
        let value = self.let_value(def)?;
        if !matches!(name, "dns" | "apiserver" | "anywhere") {
            return Some(value);
        }
        let span = self.names.name_span(def);
        let mixed = Some(span);
        if name == "dns" {
            let resolver = &self.settings.resolver;
            let mut members = self.follow_resolver(span, value.endpoint().members.clone());
            members.extend(self.resolver_members(resolver));
            return Some(Rc::new(Value { mixed, ports: value.ports, opaque: value.opaque, ..Value::of(members) }));
        }
        Some(Rc::new(Value { mixed, ..(*value).clone() }))
    }

    /// Evaluates a `let` once.
    pub(super) fn let_value(&mut self, def: Def) -> Option<Rc<Value>> {
        if let Some(value) = self.lets.get(&def) {
            return value.clone();
        }
        let ItemKind::Let(item) = &self.names.item(def).kind else { return None };
        if self.closes_cycle(def) {
            self.lets.insert(def, None);
            return None;
        }
        self.open.push(def);
        let env = Env::top(def.module);
        let value = match &item.value {
            LetValue::Endpoint(expr) => self.endpoint(expr, &env),
            LetValue::Host(host) => self.host_declaration(host, &env),
        };
        self.open.pop();
        // A `let` that leads back to itself has been reported, and has a value already: that one stays.
        let value = value.map(Rc::new);
        self.lets.entry(def).or_insert(value).clone()
    }

    /// Reports a definition that needs its own value, and returns whether it does.
    pub(super) fn closes_cycle(&mut self, def: Def) -> bool {
        let Some(start) = self.open.iter().position(|open| *open == def) else { return false };
        let named = |def: Def| {
            let span = self.names.name_span(def);
            (span, self.text(span))
        };
        let others: Vec<(Span, &str)> = self.open[start + 1..].iter().map(|other| named(*other)).collect();
        let (span, name) = named(def);
        let diagnostic = errors::cyclic_let(span, name, &others);
        self.push(diagnostic);
        true
    }

    fn host_declaration(&mut self, host: &HostDecl, env: &Env) -> Option<Value> {
        let name = HostName { wildcard: false, name: host.name.clone() };
        if self.is_api_server(&name) {
            self.push(errors::host_is_api_server(host.name_span, &name, self.knows_api_server(), false));
            return None;
        }
        if let Some((service, namespace)) = self.cluster_name(&name) {
            let names = (namespace.as_str(), service.as_deref());
            self.push(errors::host_is_service(host.name_span, &name, names, "", None));
            return None;
        }
        let mut at = Vec::new();
        for address in &host.at {
            // The span contains the weight too.
            let written = self.text(address.span).split_whitespace().next().unwrap_or_default();
            let place = Span { end: address.span.start + written.len() as u32, ..address.span };
            if let Some(diagnostic) = errors::wrong_net(place, written, address.net) {
                self.push(diagnostic);
                return None;
            }
            if address.weight.is_some() && address.prefixed && address.net.prefix_len() != address.net.max_prefix_len()
            {
                self.push(errors::weighted_network(address.span));
                return None;
            }
            self.look_at_addresses(place, AddressSet::of([address.net]), env);
            at.push(WeightedNet { net: address.net, weight: address.weight });
        }
        let originates = self.originations(&host.ports)?;
        Some(Value::one(host.span, What::Host(Host { name, except: Vec::new(), at, originates })))
    }
}

/// Returns the network of an address as written; `Err` for one with bits beyond the prefix.
pub(super) fn net_of(address: Address) -> IpNet {
    let most = if matches!(address.ip, IpAddr::V4(_)) { 32 } else { 128 };
    IpNet::new(address.ip, address.prefix.unwrap_or(most).min(most)).unwrap_or(IpNet::from(address.ip))
}

/// Returns all addresses of an endpoint made of addresses.
pub(super) fn address_set(endpoint: &Endpoint) -> AddressSet {
    let blocks = endpoint.members.iter().filter_map(|member| match &member.what {
        What::Addresses(set) => Some(set.blocks.clone()),
        _ => None,
    });
    AddressSet { blocks: blocks.flatten().collect() }
}

/// Returns a member less others of its kind, and whether that changed it.
fn less(member: &Member, taken: &[Member]) -> (bool, Vec<Member>) {
    let with = |what| Member { what, ..member.clone() };
    match &member.what {
        What::Pods(pods) => {
            let selectors = taken.iter().filter_map(|take| match &take.what {
                What::Pods(take) if pods.selector.overlaps(&take.selector) => Some(take.selector.clone()),
                _ => None,
            });
            let taken: Vec<PodSelector> = selectors.collect();
            if taken.is_empty() {
                return (false, vec![member.clone()]);
            }
            let left = subtract_all(std::slice::from_ref(&pods.selector), &taken);
            (true, left.into_iter().map(|selector| with(What::Pods(Pods { selector, named: None }))).collect())
        }
        What::Addresses(set) => {
            let taken = address_set(&Endpoint { members: taken.into() });
            if !set.overlaps(&taken) {
                return (false, vec![member.clone()]);
            }
            let left = set.subtract(&taken);
            (true, if left.blocks.is_empty() { Vec::new() } else { vec![with(What::Addresses(left))] })
        }
        What::Host(host) => {
            let mut left = vec![host.clone()];
            for take in taken.iter().filter_map(Member::host) {
                left = left.iter().flat_map(|host| host_less(host, take)).collect();
            }
            let changed = left.as_slice() != std::slice::from_ref(host);
            (changed, left.into_iter().map(|host| with(What::Host(host))).collect())
        }
    }
}

/// Returns a host without another one: the names outside the other's name, and those that the other leaves out.
fn host_less(host: &Host, taken: &Host) -> Vec<Host> {
    if !host.name.overlaps(&taken.name) || host.except.iter().any(|except| except.contains(&taken.name)) {
        return vec![host.clone()];
    }
    let mut left = Vec::new();
    if !taken.name.contains(&host.name) {
        let mut rest = host.clone();
        rest.except.retain(|except| !taken.name.contains(except));
        rest.except.push(taken.name.clone());
        left.push(rest);
    }
    left.extend(taken.except.iter().filter_map(|spared| host_within(host, spared)));
    left
}

/// Returns the part of a host that lies inside a name.
fn host_within(host: &Host, name: &HostName) -> Option<Host> {
    if name.contains(&host.name) {
        return Some(host.clone());
    }
    if !host.name.contains(name) || host.except.iter().any(|except| except.contains(name)) {
        return None;
    }
    let except = host.except.iter().filter(|except| name.contains(except)).cloned().collect();
    Some(Host { name: name.clone(), except, at: host.at.clone(), originates: host.originates.clone() })
}

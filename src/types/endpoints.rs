//! Endpoints: what an expression means, member by member.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use ipnet::IpNet;
use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::value::{Bound, Env, Kind, Value};
use super::{Checker, errors};
use crate::resolve::{Def, Lookup};
use crate::source::Span;
use crate::syntax::tree::{
    Address, Expr, ExprKind, HostDecl, ItemKind, LabelTest, Labels, LetValue, NamespacePattern, PodPattern, Word,
};
use crate::vocab::addresses::AddressSet;
use crate::vocab::endpoint::{Endpoint, Member, Pods, What};
use crate::vocab::hosts::{Host, HostName, WeightedNet};
use crate::vocab::labels::{Account, PodSelector, Requirement, Requirements, Test};
use crate::vocab::ports::{PortMatch, PortTest, Ports, Protocol};

/// How many members an endpoint may have; a policy with more was made by doubling names.
const MOST_MEMBERS: usize = 65_536;

impl Checker<'_> {
    /// Evaluates an endpoint. `None` where something is wrong with it, which has been said.
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
            Some(ports) => self.with_ports(value, ports, env),
            None => Some(value),
        }
    }

    /// Returns the place of an expression without its ports.
    fn bare_span(expr: &Expr) -> Span {
        match &expr.ports {
            Some(ports) => Span { end: ports.span.start, ..expr.span },
            None => expr.span,
        }
    }

    fn union(&mut self, expr: &Expr, list: &[Expr], env: &Env) -> Option<Value> {
        // Every member is looked at, so that each has its message.
        let values: Vec<Option<Value>> = list.iter().map(|member| self.endpoint(member, env)).collect();
        let values: Vec<Value> = values.into_iter().collect::<Option<_>>()?;
        let mut members: Vec<Member> = Vec::new();
        let few = values.iter().map(|value| value.endpoint.members.len()).sum::<usize>() <= 16;
        let mut seen = FxHashSet::default();
        let (mut mixed, mut ports, mut opaque) = (false, None, false);
        for value in values {
            mixed |= value.mixed;
            opaque |= value.opaque;
            ports = ports.or(value.ports);
            for member in Arc::unwrap_or_clone(value.endpoint).members {
                // A name that is reached in two ways brings its members once.
                if if few { !members.contains(&member) } else { seen.insert(member.clone()) } {
                    members.push(member);
                }
            }
            if members.len() > MOST_MEMBERS {
                self.push(errors::too_many_members(expr.span, MOST_MEMBERS));
                return None;
            }
        }
        Some(Value { endpoint: Arc::new(Endpoint { members }), mixed, ports, opaque })
    }

    fn except(&mut self, expr: &Expr, left: &Expr, right: &Expr, env: &Env) -> Option<Value> {
        let (a, b) = (self.endpoint(left, env), self.endpoint(right, env));
        let (a, b) = (a?, b?);
        for (value, operand) in [(&a, left), (&b, right)] {
            if let Some(ports) = value.ports {
                self.push(errors::except_ports(operand.span, ports));
                return None;
            }
        }
        if a.kind() != b.kind() || a.kind() == Kind::Endpoint {
            self.push(errors::except_kinds(left.span, a.kind(), right.span, b.kind()));
            return None;
        }
        let opaque = a.opaque || b.opaque;
        let taken = &b.endpoint.members;
        let mut members = Vec::new();
        let mut takes = false;
        if a.kind() == Kind::Addresses && !opaque {
            self.literals_inside(right, &address_set(&a.endpoint), left)?;
        }
        for member in &a.endpoint.members {
            let (changed, left) = less(member, taken);
            takes |= changed;
            members.extend(left);
            if members.len() > MOST_MEMBERS {
                self.push(errors::too_many_members(expr.span, MOST_MEMBERS));
                return None;
            }
        }
        if !opaque && members.is_empty() {
            self.push(errors::except_everything(expr.span, right.span));
            return None;
        }
        if !opaque && !takes {
            self.push(errors::except_nothing(right.span, left.span));
            return None;
        }
        Some(Value { opaque, ..Value::of(members) })
    }

    /// Checks that the addresses written after `except` lie inside what they are taken from.
    fn literals_inside(&mut self, right: &Expr, whole: &AddressSet, left: &Expr) -> Option<()> {
        match &right.kind {
            ExprKind::Address(address) => {
                let net = net_of(*address).ok()?;
                let literal = AddressSet::of([net]);
                if !literal.is_inside(whole) {
                    self.push(errors::except_outside(right.span, left.span));
                    return None;
                }
                Some(())
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
        let net = match net_of(address) {
            Ok(net) => net,
            Err(network) => {
                let span = Checker::bare_span(expr);
                let brackets = self.text(span).starts_with('[');
                self.push(errors::host_bits(span, network, brackets));
                return None;
            }
        };
        let set = AddressSet::of([net]);
        if self.is_users(env) && !env.opaque {
            self.warn_of_known_addresses(Checker::bare_span(expr), net);
        }
        Some(Value::one(expr.span, What::Addresses(set)))
    }

    fn warn_of_known_addresses(&mut self, span: Span, net: IpNet) {
        let inventory = self.inventory;
        let pod = inventory.workloads.iter().find_map(|workload| {
            let address = workload.addresses.iter().find(|address| net.contains(*address))?;
            Some((workload, *address))
        });
        if let Some((workload, address)) = pod {
            self.push(errors::known_pod(span, &workload.namespace, &workload.name, address));
            return;
        }
        let settings = self.settings;
        for (key, list) in [("pods", &settings.pods), ("nodes", &settings.nodes)] {
            if list.is_empty() {
                continue;
            }
            let known = self.setting_addresses(list);
            if known.overlaps(&AddressSet::of([net])) {
                self.push(errors::known_range(span, key));
                return;
            }
        }
    }

    fn host(&mut self, expr: &Expr, name: HostName) -> Option<Value> {
        if let Some((service, namespace)) = self.cluster_name(&name) {
            let span = Checker::bare_span(expr);
            self.push(errors::host_is_service(span, &name, &namespace, service.as_deref()));
            return None;
        }
        Some(Value::one(expr.span, What::Host(Host { name, except: Vec::new(), at: Vec::new() })))
    }

    /// Returns the Service (`None` for a wildcard) and the namespace that a host's name means inside the cluster.
    fn cluster_name(&self, host: &HostName) -> Option<(Option<SmolStr>, SmolStr)> {
        let domain = format!(".{}", self.settings.domain);
        let inner = host.name.strip_suffix(domain.as_str()).or_else(|| {
            let under = host.name == self.settings.domain;
            under.then_some("")
        });
        let local = match inner {
            Some(inner) => Some(inner.strip_suffix(".svc").unwrap_or(inner)),
            None => host.name.strip_suffix(".svc"),
        };
        if let Some(local) = local {
            let mut labels = local.rsplit('.');
            let namespace = SmolStr::from(labels.next().unwrap_or_default());
            let service = labels.next().map(SmolStr::from).filter(|_| !host.wildcard);
            return Some((service, namespace));
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
                Bound::Namespace(_) => {
                    self.push(errors::namespace_as_endpoint(span, name));
                    None
                }
                Bound::Port(_) | Bound::String(_) => {
                    self.push(errors::parameter_as_endpoint(span, name));
                    None
                }
            };
        }
        match self.names.lookup(env.module, name) {
            Lookup::Found(def) => self.definition(def, name, span),
            Lookup::Ambiguous(defs) => {
                let places = defs.iter().map(|def| self.names.item(*def).span).collect();
                self.push(errors::ambiguous_name(span, name, places));
                None
            }
            Lookup::Unknown(near) => {
                let setting = match name.as_str() {
                    "apiserver" => &self.settings.apiserver,
                    "nodes" => &self.settings.nodes,
                    _ => {
                        let known = self.inventory.namespaces.contains_key(name);
                        self.push(errors::unknown_name(span, name, near, known));
                        return None;
                    }
                };
                if setting.is_empty() {
                    self.push(errors::platform_unknown(span, name, self.settings.platform.word()));
                    return None;
                }
                self.setting_value(name).map(Rc::new)
            }
        }
    }

    fn definition(&mut self, def: Def, name: &SmolStr, span: Span) -> Option<Rc<Value>> {
        match &self.names.item(def).kind {
            ItemKind::Let(_) if def.module == self.names.prelude() => self.prelude_value(def, name),
            ItemKind::Let(_) => self.let_value(def),
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
                self.push(errors::wrong_name(span, name, what, "an endpoint"));
                None
            }
        }
    }

    /// Evaluates one of the prelude's names, with what the settings say of it.
    pub(super) fn prelude_value(&mut self, def: Def, name: &str) -> Option<Rc<Value>> {
        if let Some(value) = self.setting_value(name) {
            return Some(Rc::new(value));
        }
        let value = self.let_value(def)?;
        if !matches!(name, "dns" | "apiserver" | "anywhere") {
            return Some(value);
        }
        let mut value = Value { mixed: true, ..(*value).clone() };
        let resolver = &self.settings.resolver;
        if name == "dns" && !resolver.is_empty() {
            let what = What::Addresses(self.setting_addresses(resolver));
            let ports = [Protocol::Udp, Protocol::Tcp].map(|protocol| PortMatch::range(53, 53, protocol));
            let mut members = value.endpoint.members.clone();
            let span = resolver.first().map_or(self.names.item(def).span, |written| written.span);
            members.push(Member { span, what, ports: Ports::Some(ports.to_vec()) });
            value.endpoint = Arc::new(Endpoint { members });
        }
        Some(Rc::new(value))
    }

    /// Evaluates a `let` once.
    pub(super) fn let_value(&mut self, def: Def) -> Option<Rc<Value>> {
        if let Some(value) = self.lets.get(&def) {
            return value.clone();
        }
        let ItemKind::Let(item) = &self.names.item(def).kind else { return None };
        if self.open.contains(&def) {
            self.push(errors::cyclic_let(item.name.span, &item.name.text));
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
        // A cycle has been reported inside; the value that it left must stay.
        let value = value.map(Rc::new);
        self.lets.entry(def).or_insert(value).clone()
    }

    fn host_declaration(&mut self, host: &HostDecl, env: &Env) -> Option<Value> {
        let name = HostName { wildcard: false, name: host.name.clone() };
        if let Some((service, namespace)) = self.cluster_name(&name) {
            self.push(errors::host_is_service(host.name_span, &name, &namespace, service.as_deref()));
            return None;
        }
        let mut at = Vec::new();
        for address in &host.at {
            if address.net.trunc() != address.net {
                self.push(errors::host_bits(address.span, address.net.trunc(), false));
                return None;
            }
            if address.weight.is_some() && address.prefixed && address.net.prefix_len() != address.net.max_prefix_len()
            {
                self.push(errors::weighted_network(address.span));
                return None;
            }
            if self.is_users(env) {
                self.warn_of_known_addresses(address.span, address.net);
            }
            at.push(WeightedNet { net: address.net, weight: address.weight });
        }
        Some(Value::one(host.span, What::Host(Host { name, except: Vec::new(), at })))
    }

    fn pods(&mut self, expr: &Expr, namespace: &NamespacePattern, pods: &PodPattern, env: &Env) -> Option<Value> {
        let mut opaque = false;
        let mut selector = match namespace {
            NamespacePattern::Any => PodSelector::any(),
            NamespacePattern::Name(word) => {
                let (name, unknown) = self.namespace(word, env)?;
                opaque = unknown;
                PodSelector::in_namespace(name)
            }
            NamespacePattern::Labels(labels) => {
                PodSelector { namespace: self.requirements(labels)?, ..PodSelector::any() }
            }
        };
        let mut named = None;
        match pods {
            PodPattern::Any => {}
            PodPattern::Labels(labels) => selector.labels = self.requirements(labels)?,
            PodPattern::Account(word) => selector.account = Account::Is(word.text.clone()),
            PodPattern::Name(word) => {
                let Some(namespace) = selector.namespace_name().cloned() else {
                    self.push(errors::name_without_namespace(expr.span, &word.text));
                    return None;
                };
                selector.labels = if opaque { assumed(&word.text)? } else { self.named_pods(&namespace, word, env)? };
                named = Some((namespace, word.text.clone()));
            }
        }
        if !opaque && self.is_users(env) && named.is_none() {
            self.check_selector(Checker::bare_span(expr), pods, &selector);
        }
        let what = What::Pods(Pods { selector, named });
        Some(Value { opaque, ..Value::one(expr.span, what) })
    }

    /// Returns the namespace that a word before a `/` means, and whether it is a stand-in.
    pub(super) fn namespace(&mut self, word: &Word, env: &Env) -> Option<(SmolStr, bool)> {
        if !word.quoted
            && let Some(bound) = env.parameters.get(&word.text)
        {
            self.use_parameter(env, &word.text);
            return match bound {
                Bound::Namespace(name) => Some((name.clone(), env.opaque)),
                _ => {
                    self.push(errors::parameter_as_namespace(word.span, &word.text));
                    None
                }
            };
        }
        if !word.quoted && self.is_users(env) && self.names.is_in_sight(env.module, &word.text) {
            self.push(errors::namespace_like_name(word.span, &word.text));
        }
        if self.is_users(env) || self.inventory.given {
            self.check_namespace(word.span, &word.text, self.is_users(env));
        }
        Some((word.text.clone(), false))
    }

    pub(super) fn requirements(&mut self, labels: &Labels) -> Option<Requirements> {
        let values = |words: &[Word]| words.iter().map(|word| word.text.clone()).collect::<Vec<SmolStr>>();
        let mut all = Requirements::any();
        for written in &labels.requirements {
            let key = written.key.text.clone();
            let requirement = match &written.test {
                LabelTest::Equals(value) => Requirement::is_in(key, [value.text.clone()]),
                LabelTest::NotEquals(value) => Requirement::not_in(key, [value.text.clone()]),
                LabelTest::In(list) => Requirement::is_in(key, values(list)),
                LabelTest::NotIn(list) => Requirement::not_in(key, values(list)),
                LabelTest::Exists => Requirement { key, test: Test::Exists },
                LabelTest::DoesNotExist => Requirement { key, test: Test::DoesNotExist },
            };
            match all.and(requirement) {
                Some(joined) => all = joined,
                None => {
                    self.push(errors::contradicting_labels(written.span, &written.key.text));
                    return None;
                }
            }
        }
        Some(all)
    }
}

/// Returns the pods that a name stands for where nothing of that name is known.
pub(super) fn assumed(name: &SmolStr) -> Option<Requirements> {
    Requirements::new([Requirement::is_in("app.kubernetes.io/name", [name.clone()])])
}

/// Returns the network of an address as written; `Err` is the network without the bits beyond the prefix.
fn net_of(address: Address) -> Result<IpNet, IpNet> {
    let most = if matches!(address.ip, IpAddr::V4(_)) { 32 } else { 128 };
    let net = IpNet::new(address.ip, address.prefix.unwrap_or(most).min(most)).unwrap_or(IpNet::from(address.ip));
    if net.trunc() == net { Ok(net) } else { Err(net.trunc()) }
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
            let mut changed = false;
            let mut left = vec![pods.selector.clone()];
            for take in taken.iter().filter_map(|take| match &take.what {
                What::Pods(pods) => Some(&pods.selector),
                _ => None,
            }) {
                changed |= left.iter().any(|set| set.overlaps(take));
                left = left.iter().flat_map(|set| set.subtract(take)).collect();
            }
            if !changed {
                return (false, vec![member.clone()]);
            }
            (true, left.into_iter().map(|selector| with(What::Pods(Pods { selector, named: None }))).collect())
        }
        What::Addresses(set) => {
            let taken = address_set(&Endpoint { members: taken.to_vec() });
            if !set.overlaps(&taken) {
                return (false, vec![member.clone()]);
            }
            let left = set.subtract(&taken);
            (true, if left.blocks.is_empty() { Vec::new() } else { vec![with(What::Addresses(left))] })
        }
        What::Host(host) => {
            let mut left = host.clone();
            let mut changed = false;
            for take in taken.iter().filter_map(|take| match &take.what {
                What::Host(host) => Some(&host.name),
                _ => None,
            }) {
                if take.contains(&host.name) {
                    return (true, Vec::new());
                }
                if host.name.contains(take) {
                    changed = true;
                    left.except.push(take.clone());
                }
            }
            (changed, vec![with(What::Host(left))])
        }
    }
}

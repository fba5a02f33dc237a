//! Templates: checked by themselves with placeholders for their arguments, and expanded at each `apply`.
//!
//! ```text
//! template tenant(ns: Namespace, api: Host) { allow egress ns/* -> api:443 }
//! apply tenant(team-a, payments-api.com)     becomes: allow egress team-a/* -> payments-api.com:443
//! ```

use std::rc::Rc;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::value::{Bound, Env, Kind, ParameterType, Value};
use super::{Checker, Missing, errors};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::What;
use crate::model::hosts::{Host, HostName};
use crate::model::labels::PodSelector;
use crate::model::names::is_dns_label;
use crate::model::ports::{AppProtocol, Protocol};
use crate::resolve::{Def, Lookup, Role};
use crate::source::Span;
use crate::syntax::tree::{
    Annotation, Apply, Argument, Expr, ExprKind, ItemKind, Labels, NamespacePattern, PodPattern, Port, PortKind,
    PortProtocol, Template,
};

/// How many statements templates may yield in one build; only templates that apply each other again and again get
/// there.
const MOST_YIELDED: usize = 1_000_000;

/// How deep templates may apply each other.
const DEEPEST: usize = 64;

/// The size of what a template yields.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    /// How deep templates apply each other, this one included.
    depth: usize,
    /// How many statements the template yields.
    yields: usize,
}

impl Checker<'_> {
    /// Checks every template of the user's files by itself, and that templates do not apply each other in a cycle.
    pub(super) fn templates(&mut self) {
        let names = self.names;
        for (id, module) in names.modules() {
            for (at, item) in module.file.items.iter().enumerate() {
                let ItemKind::Template(template) = &item.kind else { continue };
                self.template(Def { module: id, item: at as u32 }, template);
            }
        }
    }

    /// Checks a template by itself, if it is the user's, and that it does not apply itself in a cycle.
    pub(super) fn template(&mut self, def: Def, template: &Template) {
        let ends = self.size(def, &mut Vec::new()).is_some();
        if ends && self.names.module(def.module).role != Role::Standard {
            self.check_template(def, template);
        }
    }

    /// Walks the templates that a template applies, and returns its size; `None` if they form a cycle or go too deep,
    /// which is reported once. `open` are the templates on the way here, each with the `apply` that is followed.
    fn size(&mut self, def: Def, open: &mut Vec<(Def, Span)>) -> Option<Size> {
        if let Some(known) = self.sizes.get(&def) {
            return *known;
        }
        let names = self.names;
        let ItemKind::Template(template) = &names.item(def).kind else { return Some(Size::default()) };
        let mut size = Some(Size { depth: 1, yields: 0 });
        for item in &template.body {
            let ItemKind::Apply(apply) = &item.kind else {
                size = size.map(|size| Size { yields: size.yields + 1, ..size });
                continue;
            };
            let Lookup::Found(next) = names.lookup(def.module, &apply.template.text) else { continue };
            open.push((def, apply.template.span));
            let cycle = open.iter().position(|(known, _)| *known == next);
            let below = match cycle {
                Some(start) => {
                    if let [first, others @ ..] = self.way(&open[start..]).as_slice() {
                        self.push(errors::cyclic_apply(first, others));
                    }
                    None
                }
                None if open.len() > DEEPEST => {
                    self.push(errors::applied_too_deep(apply.template.span, DEEPEST));
                    None
                }
                None => match self.size(next, open) {
                    Some(size) if size.depth >= DEEPEST => {
                        self.push(errors::applied_too_deep(apply.template.span, DEEPEST));
                        None
                    }
                    other => other,
                },
            };
            open.pop();
            size = size.zip(below).map(|(size, below)| Size {
                depth: size.depth.max(below.depth + 1),
                yields: size.yields.saturating_add(below.yields),
            });
        }
        if size.is_none() {
            self.broken.insert(def);
        }
        self.sizes.insert(def, size);
        size
    }

    /// Returns the names of templates that apply each other, each with the `apply` of the next.
    fn way(&self, open: &[(Def, Span)]) -> Vec<(SmolStr, Span)> {
        let name = |def: Def| SmolStr::from(self.text(self.names.name_span(def)));
        open.iter().map(|(def, span)| (name(*def), *span)).collect()
    }

    fn check_template(&mut self, def: Def, template: &Template) {
        let Some(parameters) = self.parameters(template) else {
            self.broken.insert(def);
            return;
        };
        let stand_ins = parameters.iter().map(|(name, kind)| (name.clone(), stand_in(*kind, template.name.span)));
        let env = Env {
            module: def.module,
            parameters: Rc::new(stand_ins.collect()),
            opaque: true,
            applied: Vec::new(),
            root: def.module,
        };
        let (rules, scope) = (self.rules.len(), self.scope.take());
        let errors_before = self.diagnostics.count(crate::diag::Severity::Error);
        for item in &template.body {
            self.statement(item, &env, &[]);
        }
        self.rules.truncate(rules);
        self.scope = scope;
        if self.diagnostics.count(crate::diag::Severity::Error) > errors_before {
            self.broken.insert(def);
        }
        for parameter in &template.parameters {
            if !self.used_parameters.contains(&(def.module, parameter.name.text.clone())) {
                self.push(errors::unused_parameter(&parameter.name));
            }
        }
        self.used_parameters.clear();
    }

    /// Records that a parameter was used.
    pub(super) fn use_parameter(&mut self, env: &Env, name: &SmolStr) {
        if env.opaque && env.applied.is_empty() {
            self.used_parameters.insert((env.module, name.clone()));
        }
    }

    fn parameters(&mut self, template: &Template) -> Option<Vec<(SmolStr, ParameterType)>> {
        let mut list: Vec<(SmolStr, ParameterType)> = Vec::new();
        let mut good = true;
        for parameter in &template.parameters {
            let first = template.parameters.iter().find(|first| first.name.text == parameter.name.text);
            if let Some(first) = first.filter(|first| first.name.span != parameter.name.span) {
                self.push(errors::duplicate_parameter(&parameter.name, first.name.span));
                good = false;
                continue;
            }
            match ParameterType::parse(&parameter.kind.text) {
                Some(kind) => list.push((parameter.name.text.clone(), kind)),
                None => {
                    self.push(errors::unknown_type(&parameter.kind));
                    good = false;
                }
            }
        }
        good.then_some(list)
    }

    /// Expands an `apply`: its template's statements are checked with its arguments.
    pub(super) fn apply(&mut self, apply: &Apply, span: Span, env: &Env, annotations: &[&Annotation]) -> Option<()> {
        let def = match self.find(env.module, &apply.template.text, apply.template.span) {
            Ok(def) => def,
            Err(Missing::Said) => return None,
            Err(Missing::Unknown(near)) => {
                let elsewhere = self.elsewhere(env, &apply.template.text, near, &["template"]);
                self.push(errors::unknown_template(&apply.template, elsewhere));
                return None;
            }
        };
        let names = self.names;
        let ItemKind::Template(template) = &names.item(def).kind else {
            self.push(errors::not_a_template(&apply.template, names.name_span(def)));
            return None;
        };
        if template.unread {
            return None;
        }
        if template.parameters.len() != apply.arguments.len() {
            self.push(errors::argument_count(span, template, apply.arguments.len()));
            return None;
        }
        let bound = self.bound(template, apply, span, env)?;
        if self.broken.contains(&def) {
            return None;
        }
        let mut applied = env.applied.clone();
        applied.push(span);
        if self.site.is_none() && !self.is_affordable(def, bound.len(), span, env) {
            return None;
        }
        let outer = self.site;
        self.site = outer.or(Some(span));
        for parameters in bound {
            let (parameters, applied) = (Rc::new(parameters), applied.clone());
            let inner = Env { module: def.module, parameters, opaque: env.opaque, applied, root: env.root };
            for item in &template.body {
                self.statement(item, &inner, annotations);
            }
        }
        self.site = outer;
        Some(())
    }

    /// Binds the parameters of a template to the arguments of an `apply`: once, and with `each` once for every
    /// namespace.
    fn bound(
        &mut self,
        template: &Template,
        apply: &Apply,
        span: Span,
        env: &Env,
    ) -> Option<Vec<FxHashMap<SmolStr, Bound>>> {
        let mut bound: Vec<FxHashMap<SmolStr, Bound>> = vec![FxHashMap::default()];
        let mut good = true;
        for (parameter, argument) in template.parameters.iter().zip(&apply.arguments) {
            let kind = ParameterType::parse(&parameter.kind.text)?;
            let name = &parameter.name.text;
            let values = match argument {
                Argument::Each(span, labels) if kind == ParameterType::Namespace => self.each(*span, labels, env),
                _ => self.argument(argument, kind, name, env).map(|value| vec![value]),
            };
            let Some(values) = values else {
                good = false;
                continue;
            };
            if values.len().saturating_mul(bound.len()) > MOST_YIELDED {
                self.push(errors::too_many_rules(span, MOST_YIELDED));
                return None;
            }
            let with = |one: &FxHashMap<SmolStr, Bound>, value: &Bound| {
                let mut one = one.clone();
                one.insert(name.clone(), value.clone());
                one
            };
            bound = bound.iter().flat_map(|one| values.iter().map(move |value| with(one, value))).collect();
        }
        good.then_some(bound)
    }

    /// Returns the namespaces of `each {labels}`: those of the inventory that have the labels, in the order of their
    /// names.
    fn each(&mut self, span: Span, written: &Labels, env: &Env) -> Option<Vec<Bound>> {
        let meant = self.labels_as_meant(written, env)?;
        if env.opaque {
            return Some(vec![stand_in(ParameterType::Namespace, span)]);
        }
        let labels = meant.map_or_else(|| written.clone(), |(labels, _)| labels);
        let requirements = self.requirements(&labels)?;
        let inventory = self.inventory;
        if !inventory.given {
            self.push(errors::each_without_inventory(span));
            return None;
        }
        let found = inventory.namespaces_meeting(&requirements);
        if let Some((name, _)) = found.iter().find(|(_, sure)| !sure)
            && let Some(namespace) = inventory.namespaces.get(*name)
        {
            self.push(errors::each_unknown_labels(span, name, namespace.origin));
            return None;
        }
        if found.is_empty() {
            let selector = PodSelector { namespace: requirements, ..PodSelector::any() };
            self.check_selector(span, &NamespacePattern::Labels(labels), &PodPattern::Any, &selector);
        } else {
            self.push(errors::each_is_closed(span, found.len()));
        }
        Some(found.into_iter().map(|(name, _)| Bound::Namespace(name.clone())).collect())
    }

    /// Counts `times` times the size of what an outermost `apply` yields, and returns whether it may still be expanded.
    /// A template that is checked by itself is not reported for this: its `apply` will be.
    fn is_affordable(&mut self, def: Def, times: usize, span: Span, env: &Env) -> bool {
        let yields = self.sizes.get(&def).copied().flatten().unwrap_or_default().yields.saturating_mul(times);
        let counter = if env.opaque { &mut self.tried } else { &mut self.yielded };
        let before = *counter;
        *counter = before.saturating_add(yields);
        let affordable = *counter <= MOST_YIELDED;
        if !affordable && before <= MOST_YIELDED && !env.opaque {
            self.push(errors::too_many_rules(span, MOST_YIELDED));
        }
        affordable
    }

    fn argument(&mut self, argument: &Argument, kind: ParameterType, name: &SmolStr, env: &Env) -> Option<Bound> {
        // A bare word may be a parameter of the template around.
        if let Argument::Endpoint(Expr { kind: ExprKind::Name(word), ports: None, span }) = argument
            && let Some(outer) = env.parameters.get(word)
        {
            let fits = match (outer, kind) {
                (Bound::Namespace(_), ParameterType::Namespace)
                | (Bound::Port(_), ParameterType::Port)
                | (Bound::String(_), ParameterType::String) => true,
                (Bound::Endpoint(value), kind) => fits(value, kind),
                _ => false,
            };
            self.use_parameter(env, word);
            if fits {
                return Some(outer.clone());
            }
            let found = format!("the parameter `{word}` of the type {}", outer.kind().word());
            self.push(errors::argument_type(*span, name, kind, &found, None));
            return None;
        }
        match (kind, argument) {
            (_, Argument::Endpoint(Expr { kind: ExprKind::Error, .. })) => None,
            (ParameterType::Namespace, Argument::Endpoint(Expr { kind: ExprKind::Name(word), ports: None, span })) => {
                self.check_namespace(*span, word, None, env);
                Some(Bound::Namespace(word.clone()))
            }
            (ParameterType::String, Argument::String(text)) => Some(Bound::String(text.text.clone())),
            (ParameterType::Port, Argument::Port(port)) => match port.kind {
                PortKind::Error => None,
                _ => Some(Bound::Port(port.clone())),
            },
            (ParameterType::Port, Argument::Endpoint(expr)) => match port_of(expr) {
                Some(port) => Some(Bound::Port(port)),
                None => {
                    self.push(errors::argument_type(expr.span, name, kind, "an endpoint", None));
                    None
                }
            },
            (ParameterType::Workloads, Argument::Endpoint(expr))
            | (ParameterType::Host, Argument::Endpoint(expr))
            | (ParameterType::Addresses, Argument::Endpoint(expr))
            | (ParameterType::Endpoint, Argument::Endpoint(expr)) => {
                let value = self.endpoint(expr, env)?;
                if fits(&value, kind) {
                    return Some(Bound::Endpoint(Rc::new(value)));
                }
                let found = match (value.kind(), value.ports) {
                    (found, Some(_)) if of_kind(found, kind) => format!("{} with ports", found.words()),
                    (found, _) => found.words().to_string(),
                };
                let bare = Checker::bare_span(expr);
                let rest = Span { start: bare.end, ..expr.span };
                let without = (of_kind(value.kind(), kind) && expr.ports.is_some()).then(|| (rest, String::new()));
                self.push(errors::argument_type(expr.span, name, kind, &found, without));
                None
            }
            (_, argument) => {
                let found = match argument {
                    Argument::Endpoint(_) => "an endpoint",
                    Argument::Port(_) => "a port",
                    Argument::String(_) => "a string",
                    Argument::Each(..) => "each of some namespaces",
                };
                let instead = instead(argument, kind).map(|text| (argument.span(), text));
                self.push(errors::argument_type(argument.span(), name, kind, found, instead));
                None
            }
        }
    }
}

/// Returns what the author of an argument of a wrong type probably meant.
fn instead(argument: &Argument, kind: ParameterType) -> Option<String> {
    match (kind, argument) {
        (
            ParameterType::Namespace,
            Argument::Endpoint(Expr { kind: ExprKind::Pods(namespace, PodPattern::Any), .. }),
        ) => match namespace {
            NamespacePattern::Name(word) if !word.quoted => Some(word.text.to_string()),
            _ => None,
        },
        (ParameterType::Namespace, Argument::String(word)) if is_dns_label(&word.text) => Some(word.text.to_string()),
        (ParameterType::String, Argument::Endpoint(Expr { kind: ExprKind::Name(word), ports: None, .. })) => {
            Some(format!("\"{word}\""))
        }
        _ => None,
    }
}

fn of_kind(found: Kind, kind: ParameterType) -> bool {
    match kind {
        ParameterType::Workloads => found == Kind::Workloads,
        ParameterType::Host => found == Kind::Host,
        ParameterType::Addresses => found == Kind::Addresses,
        ParameterType::Endpoint => true,
        ParameterType::Namespace | ParameterType::Port | ParameterType::String => false,
    }
}

/// Returns whether an endpoint may be the argument of a parameter. Only `Endpoint` and `Workloads` may have ports.
fn fits(value: &Value, kind: ParameterType) -> bool {
    let ports = value.ports.is_none() || matches!(kind, ParameterType::Endpoint | ParameterType::Workloads);
    ports && of_kind(value.kind(), kind)
}

/// Returns the placeholder for an argument while a template is checked by itself.
fn stand_in(kind: ParameterType, span: Span) -> Bound {
    let endpoint = |what, mixed: bool| {
        Bound::Endpoint(Rc::new(Value { opaque: true, mixed: mixed.then_some(span), ..Value::one(span, what) }))
    };
    match kind {
        ParameterType::Namespace => Bound::Namespace("any".into()),
        ParameterType::Workloads => {
            let pods = crate::model::endpoint::Pods { selector: PodSelector::in_namespace("any"), named: None };
            endpoint(What::Pods(pods), false)
        }
        ParameterType::Host => {
            let name = HostName { wildcard: false, name: "any.example".into() };
            endpoint(What::Host(Host { name, except: Vec::new(), at: Vec::new(), originates: Vec::new() }), false)
        }
        ParameterType::Addresses => endpoint(What::Addresses(AddressSet::everything()), false),
        ParameterType::Endpoint => endpoint(What::Addresses(AddressSet::everything()), true),
        ParameterType::Port => Bound::Port(Port { span, kind: PortKind::Number(1), protocol: None }),
        ParameterType::String => Bound::String("/any".into()),
    }
}

/// Reads an argument that was parsed as an endpoint as a port: `metrics`, `*/udp`, `metrics/udp`.
fn port_of(expr: &Expr) -> Option<Port> {
    if expr.ports.is_some() {
        return None;
    }
    match &expr.kind {
        ExprKind::Name(name) => Some(Port { span: expr.span, kind: PortKind::Name(name.clone()), protocol: None }),
        ExprKind::Pods(left, PodPattern::Name(right)) if !right.quoted => {
            let protocol = match right.text.as_str() {
                "http" => PortProtocol::App(AppProtocol::Http),
                "grpc" => PortProtocol::App(AppProtocol::Grpc),
                "tls" => PortProtocol::App(AppProtocol::Tls),
                "https" => PortProtocol::App(AppProtocol::Https),
                word => PortProtocol::Transport(Protocol::parse(word)?),
            };
            let kind = match left {
                NamespacePattern::Any => PortKind::Any,
                NamespacePattern::Name(word) if !word.quoted => PortKind::Name(word.text.clone()),
                _ => return None,
            };
            Some(Port { span: expr.span, kind, protocol: Some(protocol) })
        }
        _ => None,
    }
}

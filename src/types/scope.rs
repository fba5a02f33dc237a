//! `scope`: which pods a file may govern.
//!
//! ```text
//! scope garden/*
//! allow egress garden/* -> payments/{app=api}:443      governs pods of garden, inside the scope
//! allow ingress garden/* -> payments/{app=db}:5432     an error: governs pods of payments
//! ```

use smol_str::SmolStr;

use super::rules::outsider;
use super::value::{Env, Kind};
use super::{Checker, errors};
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::hosts::HostName;
use crate::model::labels::{NAMESPACE_NAME, PodSelector, Requirement, Requirements};
use crate::resolve::{Module, ModuleId, Role};
use crate::source::Span;
use crate::syntax::tree::{self, Arrow, Direction, Effect, Expr, ExprKind, ItemKind, NamespacePattern};

/// The scope of a file: the pods and public hosts that it may govern.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// These pods.
    pub(super) pods: Vec<PodSelector>,
    /// These public hosts.
    pub(super) hosts: Vec<HostName>,
    /// The statement.
    pub(super) span: Span,
    /// The pods as they are written.
    pub(super) pods_span: Span,
}

impl Checker<'_> {
    /// Returns the scope of a file, and checks that the facts of the file lie inside. Two scopes are an error.
    pub(super) fn scope_of(&mut self, module: ModuleId) -> Option<Scope> {
        let items = &self.names.module(module).file.items;
        let mut scopes = items.iter().filter_map(|item| match &item.kind {
            ItemKind::Scope(scope) => Some((scope, item.span)),
            _ => None,
        });
        let (scope, span) = scopes.next()?;
        let expr = &scope.pods;
        if let Some((_, second)) = scopes.next() {
            self.push(errors::two_scopes(second, span));
        }
        let value = self.endpoint(expr, &Env::top(module))?;
        if value.kind() != Kind::Workloads {
            let (span, kind) = outsider(expr, &value);
            let outsider = errors::Outsider { span, text: self.text(span), kind };
            let diagnostic = errors::not_workloads(&outsider, "a scope is made of pods");
            self.push(diagnostic);
            return None;
        }
        if let Some(ports) = value.ports {
            self.push(errors::scope_with_ports(ports));
            return None;
        }
        let inside: Vec<PodSelector> = value.endpoint().pods().map(|(_, pods)| pods.selector.clone()).collect();
        self.check_facts(module, &inside, None, span);
        for (brought, path) in self.names.brought_by(module) {
            if self.names.module(brought).role == Role::Used && !self.is_free(brought) {
                self.check_facts(brought, &inside, Some(path), span);
            }
        }
        self.check_named(module, value.endpoint(), span);
        let env = Env::top(module);
        let hosts = scope.hosts.iter().map(|text| self.host_pattern(text, &env)).collect::<Option<_>>()?;
        Some(Scope { pods: inside, hosts, span, pods_span: expr.span })
    }

    /// Returns the one namespace of a file's scope, which `./` stands for. It is read from the text of the scope. A
    /// scope by a name has none, because the name's definition may itself contain `./`.
    pub(super) fn namespace_of_scope(&mut self, module: ModuleId, span: Span) -> Option<SmolStr> {
        let names = self.names;
        let known = self.own_namespaces.entry(module).or_insert_with(|| own_namespace(names.module(module)));
        match known.clone() {
            Ok(namespace) => Some(namespace),
            Err(scope) => {
                self.push(errors::no_own_namespace(span, scope));
                None
            }
        }
    }

    /// Checks that the facts of a module are about namespaces inside a scope. `path` is the `use` that brings the
    /// module into the file of the scope, if they are different files.
    fn check_facts(&mut self, module: ModuleId, inside: &[PodSelector], path: Option<Span>, scope: Span) {
        for item in &self.names.module(module).file.items {
            let stated = match &item.kind {
                ItemKind::Namespace(namespace) => Some((&namespace.name, "namespace")),
                ItemKind::Service(service) => Some((&service.namespace, "Service")),
                ItemKind::Workload(workload) => Some((&workload.namespace, "workload")),
                _ => None,
            };
            let Some((name, what)) = stated.filter(|(name, _)| !name.is_scope()) else { continue };
            // Facts about a namespace are inside when some of its pods are: the scope may be one workload of it.
            let whole = PodSelector::in_namespace(name.text.clone());
            if !inside.iter().any(|set| self.known(&whole, set).is_some_and(|set| set.overlaps(&whole))) {
                self.push(errors::facts_outside_scope(name.span, what, &name.text, path, scope));
            }
        }
    }

    /// Returns whether a given file without a scope uses a module: then the facts of the module count for the build,
    /// and no scope binds them.
    fn is_free(&self, module: ModuleId) -> bool {
        let has_scope = |of: &Module| of.file.items.iter().any(|item| matches!(item.kind, ItemKind::Scope(_)));
        let free = self.names.modules().filter(|(_, of)| of.role == Role::Given && !has_scope(of));
        free.into_iter().any(|(id, _)| self.names.brought_by(id).iter().any(|(brought, _)| *brought == module))
    }

    /// Checks that the pods of a scope such as `garden/api` are stated elsewhere. If the file itself or a module that
    /// it uses stated them, `service garden/api { select {app=evil} }` would move the scope.
    fn check_named(&mut self, module: ModuleId, scope: &Endpoint, span: Span) {
        let named: Vec<(SmolStr, SmolStr)> =
            scope.pods().filter_map(|(_, pods)| pods.named.as_deref().cloned()).collect();
        if named.is_empty() {
            return;
        }
        let own = |(id, of): &(ModuleId, &Module)| *id == module || of.role == Role::Used;
        let items = self.names.modules().filter(own).flat_map(|(_, of)| &of.file.items);
        let stated = items.filter_map(|item| match &item.kind {
            ItemKind::Service(service) => Some((&service.namespace, &service.name)),
            ItemKind::Workload(workload) => Some((&workload.namespace, &workload.name)),
            _ => None,
        });
        let moved: Vec<Span> = stated
            .filter(|(namespace, name)| named.iter().any(|(one, other)| *one == namespace.text && *other == name.text))
            .map(|(_, name)| name.span)
            .collect();
        moved.into_iter().for_each(|name| self.push(errors::scope_moved(name, span)));
    }

    /// Checks that the pods of a governed side are inside the scope, for every label set. `how` says what the statement
    /// does to these pods. `half` is the rule with its other side, the direction that would govern the other side, and
    /// its span.
    pub(super) fn check_scope(
        &mut self,
        side: &Endpoint,
        expr: &Expr,
        how: &str,
        half: Option<(&tree::Rule, &Endpoint, Direction, Span)>,
        env: &Env,
    ) -> Option<()> {
        let Some(Scope { pods: scope, span: place, pods_span, .. }) = self.scope.clone() else { return Some(()) };
        let Some(member) = self.outside(side, &scope) else { return Some(()) };
        let written = Checker::bare_span(expr);
        let governed = if written.contains(member.span) { member.span } else { written };
        // Inside a template the words may be a parameter's, so the message names the pods that the `apply` puts there.
        let whose = match &member.what {
            What::Pods(pods) => pods.selector.namespace_name().cloned(),
            _ => None,
        };
        let applied = env.applied.first().map(|span| (*span, whose));
        let half = match half {
            Some((rule, other, direction, span))
                if applied.is_none()
                    && rule.arrow == Arrow::To
                    && other.pods().count() == other.members.len()
                    && self.outside(other, &scope).is_none() =>
            {
                let verb = if rule.effect == Effect::Allow { "allow" } else { "deny" };
                let lead = format!("the owner of `{}` must {verb} it; your half is", self.text(governed));
                self.half(rule, direction, span, &lead, None)
            }
            _ => errors::Half::default(),
        };
        let diagnostic = errors::outside_scope(governed, applied, how, (place, self.text(pods_span)), half);
        self.push(diagnostic);
        None
    }

    /// Returns the first member of a side that is not inside the scope, for every label set.
    fn outside<'e>(&self, side: &'e Endpoint, scope: &[PodSelector]) -> Option<&'e Member> {
        let outside = side.pods().find(|(_, pods)| {
            let inside: Vec<PodSelector> = scope.iter().filter_map(|set| self.known(&pods.selector, set)).collect();
            !pods.selector.is_inside(&inside)
        });
        outside.map(|(member, _)| member)
    }

    /// Returns a set of pods as a scope for `subject`: its requirements on a namespace whose labels are known are
    /// decided here. `None` if that namespace is outside.
    fn known(&self, subject: &PodSelector, set: &PodSelector) -> Option<PodSelector> {
        let by_label = set.namespace.list().iter().any(|requirement| requirement.key != NAMESPACE_NAME);
        let Some(labels) = subject
            .namespace_name()
            .filter(|name| self.told_by_others(name))
            .and_then(|name| self.namespace_labels(name))
        else {
            return Some(set.clone());
        };
        if !by_label {
            return Some(set.clone());
        }
        let name = subject.namespace_name()?.clone();
        set.namespace.matches(labels).then(|| PodSelector {
            namespace: Requirements::new([Requirement::is_in(NAMESPACE_NAME, [name])]).unwrap_or_default(),
            ..set.clone()
        })
    }

    /// Returns whether the inventory, or a file without a scope, gives the labels of a namespace. Labels that a file
    /// with a scope states, itself or through a module that it uses, put no namespace inside.
    fn told_by_others(&self, namespace: &str) -> bool {
        let Some(known) = self.inventory.namespaces.get(namespace) else { return false };
        let teller = self.names.modules().find(|(_, module)| module.file.id == known.origin.file);
        teller.is_none_or(|(_, module)| match module.role {
            Role::Used => false,
            Role::Given => !module.file.items.iter().any(|item| matches!(item.kind, ItemKind::Scope(_))),
            Role::Standard => true,
        })
    }
}

/// Returns the one namespace of the scope of a file, or else the span of the scope, if it has one.
pub(super) fn own_namespace(module: &Module) -> Result<SmolStr, Option<Span>> {
    let scope = module.file.items.iter().find_map(|item| match &item.kind {
        ItemKind::Scope(scope) => Some((&scope.pods, item.span)),
        _ => None,
    });
    let Some((pods, place)) = scope else { return Err(None) };
    one_namespace(pods).cloned().ok_or(Some(place))
}

/// Returns the namespace by name in which all pods of an endpoint as written are.
fn one_namespace(expr: &Expr) -> Option<&SmolStr> {
    match &expr.kind {
        ExprKind::Pods(NamespacePattern::Name(word), _) => Some(&word.text),
        ExprKind::Union(list) => {
            let mut all = list.iter().map(one_namespace);
            let first = all.next()??;
            all.all(|other| other == Some(first)).then_some(first)
        }
        ExprKind::Except(left, _) => one_namespace(left),
        _ => None,
    }
}

//! `scope`: which pods a file may govern.

use super::value::{Env, Kind};
use super::{Checker, errors};
use crate::resolve::ModuleId;
use crate::source::Span;
use crate::syntax::tree::{Effect, Expr, ItemKind};
use crate::vocab::endpoint::Endpoint;
use crate::vocab::labels::{NAMESPACE_NAME, PodSelector, Requirement, Requirements};

impl Checker<'_> {
    /// Returns the scope of a file and checks that its facts lie inside. Two scopes are an error.
    pub(super) fn scope_of(&mut self, module: ModuleId) -> Option<(Vec<PodSelector>, Span)> {
        let items = &self.names.module(module).file.items;
        let mut scopes = items.iter().filter_map(|item| match &item.kind {
            ItemKind::Scope(expr) => Some((expr, item.span)),
            _ => None,
        });
        let (expr, span) = scopes.next()?;
        if let Some((_, second)) = scopes.next() {
            self.push(errors::two_scopes(second, span));
        }
        let value = self.endpoint(expr, &Env::top(module))?;
        if value.kind() != Kind::Workloads {
            self.push(errors::scope_not_workloads(expr.span, value.kind()));
            return None;
        }
        if let Some(ports) = value.ports {
            self.push(errors::scope_with_ports(ports));
            return None;
        }
        let inside: Vec<PodSelector> = value.endpoint.pods().map(|(_, pods)| pods.selector.clone()).collect();
        for item in items {
            let stated = match &item.kind {
                ItemKind::Namespace(namespace) => Some((&namespace.name, "namespace")),
                ItemKind::Service(service) => Some((&service.namespace, "Service")),
                _ => None,
            };
            let Some((name, what)) = stated else { continue };
            // Facts about a namespace are inside when some of its pods are: the scope may be one workload of it.
            let whole = PodSelector::in_namespace(name.text.clone());
            if !inside.iter().any(|set| self.known(&whole, set).is_some_and(|set| set.overlaps(&whole))) {
                self.push(errors::facts_outside_scope(name.span, what, &name.text, span));
            }
        }
        Some((inside, span))
    }

    /// Checks that the pods of a governed side lie inside the scope, for every label set. `half` is what the file may
    /// say of the rule instead.
    pub(super) fn check_scope(
        &mut self,
        side: &Endpoint,
        span: Span,
        half: Option<(Effect, &str, &Expr, &Expr)>,
        env: &Env,
    ) -> Option<()> {
        let Some((scope, place)) = self.scope.clone() else { return Some(()) };
        for (member, pods) in side.pods() {
            let inside: Vec<PodSelector> = scope.iter().filter_map(|set| self.known(&pods.selector, set)).collect();
            if !pods.selector.is_inside(&inside) {
                let at = env.applied.first().copied().unwrap_or(if member.span.file == span.file {
                    member.span
                } else {
                    span
                });
                let (governed, scope) = (self.text(member.span).to_string(), self.text(place).to_string());
                let written = (!env.applied.is_empty()).then_some(member.span);
                let other = half.filter(|_| written.is_none()).map(|(effect, direction, from, to)| {
                    let effect = if effect == Effect::Allow { "allow" } else { "deny" };
                    format!("{effect} {direction} {} -> {}", self.text(from.span), self.text(to.span))
                });
                self.push(errors::outside_scope(at, place, &scope, &governed, written, other));
                return None;
            }
        }
        Some(())
    }

    /// Returns a set of pods as a scope for `subject`: what it requires of a namespace whose labels are known is
    /// decided here and now. `None` where that namespace is outside.
    fn known(&self, subject: &PodSelector, set: &PodSelector) -> Option<PodSelector> {
        let by_label = set.namespace.list().iter().any(|requirement| requirement.key != NAMESPACE_NAME);
        let Some(labels) = subject.namespace_name().and_then(|name| self.namespace_labels(name)) else {
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
}

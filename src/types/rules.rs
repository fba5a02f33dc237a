//! Statements: rules, `default deny`, claims, and their governed sides.

use std::sync::Arc;

use super::value::{Env, Kind, Value};
use super::{Action, Checker, Conditions, Origin, Rule, errors};
use crate::source::Span;
use crate::syntax::tree::{
    self, Annotation, AnnotationKind, Arrow, Claim, DefaultDeny, Direction, Effect, Expr, ExprKind, Item, ItemKind,
};
use crate::vocab::endpoint::What;
use crate::vocab::ports::AppProtocol;

impl Checker<'_> {
    /// Checks a statement that says something about flows; the others were looked at as declarations. `outer` are the
    /// annotations of the `apply` statements around it, the innermost first.
    pub(super) fn statement(&mut self, item: &Item, env: &Env, outer: &[&Annotation]) {
        match &item.kind {
            ItemKind::Rule(rule) => {
                if let Some(origin) = self.origin(item, env, outer) {
                    self.rule(rule, &origin, env);
                }
            }
            ItemKind::DefaultDeny(statement) => {
                if let Some(origin) = self.origin(item, env, outer) {
                    self.default_deny(statement, &origin, env);
                }
            }
            ItemKind::Apply(apply) => {
                let annotations: Vec<&Annotation> = item.annotations.iter().chain(outer.iter().copied()).collect();
                if self.holds_today(&item.annotations) {
                    self.apply(apply, item.span, env, &annotations);
                }
            }
            ItemKind::Assert(claim) => self.assertion(claim, env),
            ItemKind::Test(test) => {
                let good = test.claims.iter().filter(|claim| self.claim(claim, env)).count();
                if good == test.claims.len() {
                    self.push(errors::claim_not_judged(test.name.span, "test"));
                }
            }
            _ => {}
        }
    }

    fn assertion(&mut self, claim: &Claim, env: &Env) {
        if self.claim(claim, env) && !env.opaque {
            self.push(errors::claim_not_judged(claim.span, "assertion"));
        }
    }

    /// Checks that no annotation has expired.
    fn holds_today(&mut self, annotations: &[Annotation]) -> bool {
        let today = self.settings.today;
        let expired = annotations.iter().find_map(|annotation| match annotation.kind {
            AnnotationKind::Expires(day) if day < today => Some((annotation.span, day)),
            _ => None,
        });
        if let Some((span, day)) = expired {
            self.push(errors::expired(span, day, today));
        }
        expired.is_none()
    }

    /// Reads the annotations of a rule: its own, and those of the `apply` statements around it.
    fn origin(&mut self, item: &Item, env: &Env, outer: &[&Annotation]) -> Option<Arc<Origin>> {
        if !self.holds_today(&item.annotations) {
            return None;
        }
        let span = item.span;
        let applied = env.applied.clone();
        let mut origin = Origin { span, applied, doc: item.doc.clone(), owner: None, reason: None, approximate: None };
        for annotation in item.annotations.iter().chain(outer.iter().copied()) {
            match &annotation.kind {
                AnnotationKind::Owner(text) if origin.owner.is_none() => origin.owner = Some(self.string(text, env)?),
                AnnotationKind::Reason(text) if origin.reason.is_none() => {
                    origin.reason = Some(self.string(text, env)?);
                }
                AnnotationKind::Approximate(text) if origin.approximate.is_none() => {
                    origin.approximate = Some((self.string(text, env)?, annotation.span));
                }
                _ => {}
            }
        }
        Some(Arc::new(origin))
    }

    fn default_deny(&mut self, statement: &DefaultDeny, origin: &Arc<Origin>, env: &Env) -> Option<()> {
        let value = self.endpoint(&statement.subject, env)?;
        if value.kind() != Kind::Workloads {
            self.push(errors::not_workloads(statement.subject.span, value.kind(), "`default deny` isolates pods"));
            return None;
        }
        if let Some(ports) = written_ports(&statement.subject) {
            self.push(errors::ports_on_subject(ports));
            return None;
        }
        let subject = value.as_source();
        self.check_scope(&subject, statement.subject.span, None, env)?;
        let direction = statement.direction.map(|(direction, _)| direction);
        self.rules.push(Rule {
            action: Action::Isolate,
            egress: direction != Some(Direction::Ingress),
            ingress: direction != Some(Direction::Egress),
            source: subject.clone(),
            destination: subject,
            conditions: Conditions::default(),
            via: None,
            origin: origin.clone(),
        });
        Some(())
    }

    fn rule(&mut self, rule: &tree::Rule, origin: &Arc<Origin>, env: &Env) -> Option<()> {
        let (source, destination) = (self.endpoint(&rule.source, env), self.endpoint(&rule.destination, env));
        let (source, destination) = (source?, destination?);
        if rule.arrow == Arrow::To
            && let Some(ports) = written_ports(&rule.source)
        {
            self.push(errors::ports_on_source(ports));
            return None;
        }
        self.check_governed(rule, &source, &destination, origin.span)?;
        let direction = rule.direction.map(|(direction, _)| direction);
        let egress = direction != Some(Direction::Ingress);
        let ingress = direction != Some(Direction::Egress);
        let mut ways = vec![(&source, &rule.source, &destination, &rule.destination)];
        if rule.arrow == Arrow::Both {
            ways.push((&destination, &rule.destination, &source, &rule.source));
        }
        let mut made = Vec::new();
        for (from, from_expr, to, to_expr) in ways {
            let (conditions, via) = self.clauses(rule, to, to_expr, env)?;
            let left = from.as_source();
            let right = to.endpoint.clone();
            if egress {
                self.check_scope(&left, from_expr.span, Some((rule.effect, "ingress", from_expr, to_expr)), env)?;
            }
            if ingress {
                self.check_scope(&right, to_expr.span, Some((rule.effect, "egress", from_expr, to_expr)), env)?;
            }
            self.warn_of_weights(to, to_expr);
            made.push(Rule {
                action: if rule.effect == Effect::Allow { Action::Allow } else { Action::Deny },
                egress,
                ingress,
                source: left,
                destination: right,
                conditions,
                via,
                origin: origin.clone(),
            });
        }
        self.rules.extend(made);
        Some(())
    }

    /// Checks that every governed side is made of workloads.
    fn check_governed(&mut self, rule: &tree::Rule, source: &Value, destination: &Value, span: Span) -> Option<()> {
        let (from, to) = (source.kind(), destination.kind());
        let effect = if rule.effect == Effect::Allow { "allow" } else { "deny" };
        match rule.direction {
            None => {
                if from == Kind::Workloads && to == Kind::Workloads {
                    return Some(());
                }
                let keyword = Span { end: span.start + effect.len() as u32, ..span };
                let fix = match (from, to) {
                    _ if rule.arrow == Arrow::Both => None,
                    (Kind::Workloads, _) => Some("egress"),
                    (_, Kind::Workloads) => Some("ingress"),
                    _ => None,
                };
                let culprit = if from == Kind::Workloads {
                    outsider(&rule.destination, destination)
                } else {
                    outsider(&rule.source, source)
                };
                let text = self.text(culprit).to_string();
                let right = from == Kind::Workloads;
                let sentence = fix.map(|direction| {
                    let rest = self.text(Span { start: keyword.end, ..span }).trim_start();
                    (direction, format!("{effect} {direction} {rest}"))
                });
                self.push(errors::both_governed(span, keyword, culprit, &text, right, effect, sentence));
                None
            }
            Some((direction, place)) => {
                let both = rule.arrow == Arrow::Both;
                let sides =
                    [(Direction::Egress, &rule.source, source), (Direction::Ingress, &rule.destination, destination)];
                for (governs, expr, value) in sides {
                    if (governs == direction || both) && value.kind() != Kind::Workloads {
                        let word = if direction == Direction::Egress { "egress" } else { "ingress" };
                        let culprit = outsider(expr, value);
                        self.push(errors::governed_side(culprit, value.kind(), word, place));
                        return None;
                    }
                }
                Some(())
            }
        }
    }

    /// Checks a claim; returns whether it makes sense.
    fn claim(&mut self, claim: &Claim, env: &Env) -> bool {
        let (source, destination) = (self.endpoint(&claim.source, env), self.endpoint(&claim.destination, env));
        let (Some(source), Some(destination)) = (source, destination) else { return false };
        if let Some(ports) = written_ports(&claim.source) {
            self.push(errors::ports_on_source(ports));
            return false;
        }
        if source.kind() != Kind::Workloads && destination.kind() != Kind::Workloads {
            self.push(errors::claim_without_workloads(claim.span));
            return false;
        }
        self.claim_clauses(claim, &destination, env).is_some()
    }

    /// Weights steer only what Istio reads as requests or TLS; elsewhere the client chooses the address.
    fn warn_of_weights(&mut self, value: &Value, expr: &Expr) {
        let read = |app: Option<AppProtocol>| app.is_some();
        let idle = value.endpoint.members.iter().any(|member| match &member.what {
            What::Host(host) if host.at.iter().any(|at| at.weight.is_some()) => {
                member.ports.entries().is_empty() || !member.ports.entries().iter().all(|port| read(port.app))
            }
            _ => false,
        });
        if idle {
            self.push(errors::weights_ignored(expr.span));
        }
    }
}

/// Returns the first suffix of ports that is written in an expression, names not followed.
pub(super) fn written_ports(expr: &Expr) -> Option<Span> {
    if let Some(ports) = &expr.ports {
        return Some(ports.span);
    }
    match &expr.kind {
        ExprKind::Union(list) => list.iter().find_map(written_ports),
        ExprKind::Except(left, right) => written_ports(left).or_else(|| written_ports(right)),
        _ => None,
    }
}

/// Returns the part of a side that is no workload: the member of a union where it is written out, else the whole.
fn outsider(expr: &Expr, value: &Value) -> Span {
    let member = value.endpoint.members.iter().find(|member| !matches!(member.what, What::Pods(_)));
    match member {
        Some(member)
            if member.span.file == expr.span.file
                && expr.span.start <= member.span.start
                && member.span.end <= expr.span.end =>
        {
            member.span
        }
        _ => expr.span,
    }
}

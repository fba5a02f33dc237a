//! Statements: rules, `default deny`, claims, and their governed sides.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443     governs the pods of garden, on their way out
//! allow garden/* -> zenquotes.io:443            an error: without a direction the host would be governed too
//! ```

use std::sync::Arc;

use super::value::{Env, Kind, Value, member_kind};
use super::{Checker, errors};
use crate::diag::Edit;
use crate::model::endpoint::What;
use crate::model::ports::{AppProtocol, Ports};
use crate::model::rules::{Action, Claim, FlowPattern, Notes, Origin, Rule, Test};
use crate::source::Span;
use crate::syntax::tree::{
    self, Annotation, AnnotationKind, Arrow, DefaultDeny, Direction, Effect, Expr, ExprKind, Item, ItemKind, Port,
    PortKind, PortSpec,
};

impl Checker<'_> {
    /// Checks a statement about flows; the declarations were checked before. `outer` are the annotations of the `apply`
    /// statements around it, the innermost first.
    pub(super) fn statement(&mut self, item: &Item, env: &Env, outer: &[&Annotation]) {
        self.allow(item);
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
                let claims = test.claims.iter().filter_map(|claim| self.claim(claim, env)).collect();
                self.tests.push(Test { name: test.name.text.clone(), span: test.name.span, claims });
            }
            _ => {}
        }
        self.warn_of_known_addresses(&[], None);
    }

    fn assertion(&mut self, claim: &tree::Claim, env: &Env) {
        if let Some(claim) = self.claim(claim, env)
            && !env.opaque
        {
            self.assertions.push(claim);
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
    fn origin(&mut self, item: &Item, env: &Env, outer: &[&Annotation]) -> Option<Origin> {
        if !self.holds_today(&item.annotations) {
            return None;
        }
        let span = self.statement_span(item);
        let mut notes = Notes { applied: env.applied.clone(), doc: item.doc.clone(), ..Notes::default() };
        for annotation in item.annotations.iter().chain(outer.iter().copied()) {
            match &annotation.kind {
                AnnotationKind::Owner(text) if notes.owner.is_none() => notes.owner = Some(self.string(text, env)?),
                AnnotationKind::Reason(text) if notes.reason.is_none() => {
                    notes.reason = Some(self.string(text, env)?);
                }
                AnnotationKind::Approximate(text) if notes.approximate.is_none() => {
                    notes.approximate = Some((self.string(text, env)?, annotation.span));
                }
                _ => {}
            }
        }
        Some(Origin::new(span, notes))
    }

    fn default_deny(&mut self, statement: &DefaultDeny, origin: &Origin, env: &Env) -> Option<()> {
        let value = self.endpoint(&statement.subject, env)?;
        if value.kind() != Kind::Workloads {
            let (span, kind) = outsider(&statement.subject, &value);
            let outsider = errors::Outsider { span, text: self.sources.slice(span), kind };
            let diagnostic = errors::not_workloads(&outsider, "`default deny` isolates pods");
            self.push(diagnostic);
            return None;
        }
        if let Some(ports) = written_ports(&statement.subject) {
            self.push(errors::ports_on_subject(ports));
            return None;
        }
        let subject = value.as_source();
        self.check_scope(&subject, &statement.subject, "isolates these pods", None, env)?;
        let direction = statement.direction.map(|(direction, _)| direction);
        self.rules.push(Rule {
            action: Action::Isolate,
            egress: direction != Some(Direction::Ingress),
            ingress: direction != Some(Direction::Egress),
            source: subject.clone(),
            destination: subject,
            conditions: self.unconditional.clone(),
            via: None,
            origin: origin.clone(),
        });
        Some(())
    }

    /// Returns whether an expression is on the side that the rule under check does not govern.
    pub(super) fn stands_free(&self, span: Span) -> bool {
        self.free.is_some_and(|free| free.contains(span))
    }

    fn rule(&mut self, rule: &tree::Rule, origin: &Origin, env: &Env) -> Option<()> {
        self.free = match (rule.direction, rule.arrow) {
            (Some((Direction::Egress, _)), Arrow::To) => Some(rule.destination.span),
            (Some((Direction::Ingress, _)), Arrow::To) => Some(rule.source.span),
            _ => None,
        };
        let made = self.rule_of(rule, origin, env);
        self.free = None;
        made
    }

    fn rule_of(&mut self, rule: &tree::Rule, origin: &Origin, env: &Env) -> Option<()> {
        let (source, destination) = (self.endpoint(&rule.source, env), self.endpoint(&rule.destination, env));
        let (source, destination) = (source?, destination?);
        let source_alone = (rule.arrow == Arrow::To).then_some(rule.source.span);
        self.warn_of_known_addresses(&[source.endpoint(), destination.endpoint()], source_alone);
        if rule.arrow == Arrow::To
            && let Some(ports) = written_ports(&rule.source)
        {
            self.say_ports_on_source(ports, &destination, &rule.destination);
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
            let right = to.endpoint().clone();
            let how = |side| match direction {
                Some(Direction::Egress) => "egress governs these pods",
                Some(Direction::Ingress) => "ingress governs these pods",
                None if side == Direction::Egress => "what these pods send is governed too",
                None => "what these pods receive is governed too",
            };
            if egress {
                let half = Some((rule, &*right, Direction::Ingress, origin.span));
                self.check_scope(&left, from_expr, how(Direction::Egress), half, env)?;
            }
            if ingress {
                let half = Some((rule, &*left, Direction::Egress, origin.span));
                self.check_scope(&right, to_expr, how(Direction::Ingress), half, env)?;
            }
            self.warn_of_weights(to, to_expr);
            if ingress && via.is_none() {
                self.warn_of_hidden_clients(&left, &right, from_expr);
            }
            made.push(Rule {
                action: if rule.effect == Effect::Allow { Action::Allow } else { Action::Deny },
                egress,
                ingress,
                source: left,
                destination: right,
                conditions: if conditions.is_none() { self.unconditional.clone() } else { Arc::new(conditions) },
                via,
                origin: origin.clone(),
            });
        }
        self.rules.extend(made);
        if rule.arrow == Arrow::Both {
            self.warn_of_open_way(rule, &source, &destination);
        }
        Some(())
    }

    /// Warns of a `<->` of which one side has ports and the other none: on the way to the other, every port is open.
    fn warn_of_open_way(&mut self, rule: &tree::Rule, source: &Value, destination: &Value) {
        let bare = |value: &Value| value.endpoint().members.iter().all(|member| member.ports == Ports::All);
        let (open, told) = match (bare(source), bare(destination)) {
            (true, false) => (&rule.source, &rule.destination),
            (false, true) => (&rule.destination, &rule.source),
            _ => return,
        };
        let words = [effect(rule), self.text(open.span), self.text(told.span)];
        let diagnostic = errors::one_way_open(open.span, told.span, words);
        self.push(diagnostic);
    }

    /// Reports ports left of the arrow; most likely the author meant those of the destination.
    fn say_ports_on_source(&mut self, ports: Span, destination: &Value, expr: &Expr) {
        let written = self.text(ports).to_string();
        let whole = destination.ports.is_none().then(|| (format!("{}{written}", self.text(expr.span)), expr.span));
        self.push(errors::ports_on_source(ports, &written, whole));
    }

    /// Checks that every governed side consists of workloads.
    fn check_governed(&mut self, rule: &tree::Rule, source: &Value, destination: &Value, span: Span) -> Option<()> {
        let sides = [(Direction::Egress, &rule.source, source), (Direction::Ingress, &rule.destination, destination)];
        let both = rule.arrow == Arrow::Both || rule.direction.is_none();
        let governed = |side| both || rule.direction.is_some_and(|(direction, _)| direction == side);
        let wrong = sides.into_iter().find(|(side, _, value)| governed(*side) && value.kind() != Kind::Workloads);
        let Some((side, expr, value)) = wrong else { return Some(()) };
        let (place, kind) = outsider(expr, value);
        let (other, is_pods) = match side {
            Direction::Egress => (&rule.destination, destination.kind() == Kind::Workloads),
            Direction::Ingress => (&rule.source, source.kind() == Kind::Workloads),
        };
        let half = match rule.arrow {
            Arrow::To if is_pods => self.half(rule, side.opposite(), span, "to govern", Some(other)),
            Arrow::To => errors::Half::note("a rule governs pods, and no pods of the cluster stand on either side"),
            Arrow::Both => errors::Half::note("write one rule for each way, with its direction"),
        };
        let outsider = errors::Outsider { span: place, text: self.text(place), kind };
        let diagnostic = match (rule.direction, rule.arrow) {
            (None, _) => errors::both_governed(keyword(rule, span), &outsider, side == Direction::Ingress, half),
            (Some(_), Arrow::To) => {
                let turned = (is_pods && (side == Direction::Egress || kind == Kind::Addresses)).then(|| {
                    let [from, to] = [&rule.destination, &rule.source].map(|expr| self.text(Checker::bare_span(expr)));
                    let own = source.endpoint().members.iter().any(|member| member.ports != Ports::All);
                    let port = if own { "" } else { ":PORT" };
                    format!(
                        "if the arrow is the wrong way round: `{} {} {from} -> {to}{port}`",
                        effect(rule),
                        side.word()
                    )
                });
                errors::governed_side(&outsider, side.word(), half, turned)
            }
            (Some((direction, _)), Arrow::Both) => errors::both_ways(&outsider, direction.word(), half),
        };
        self.push(diagnostic);
        None
    }

    /// Returns the sentence that governs only one end, as "to govern `garden/*` only: `allow egress …`".
    pub(super) fn half(
        &self,
        rule: &tree::Rule,
        direction: Direction,
        span: Span,
        lead: &str,
        governed: Option<&Expr>,
    ) -> errors::Half {
        let effect = effect(rule);
        let (replaced, after, text) = match rule.direction {
            Some((_, place)) => (place, place.end, direction.word().to_string()),
            None => {
                let keyword = keyword(rule, span);
                (keyword, keyword.end, format!("{effect} {}", direction.word()))
            }
        };
        let whole = self.sentence(after, span).map(|rest| format!("{effect} {} {rest}", direction.word()));
        let sentence = whole.unwrap_or_else(|| format!("{effect} {} …", direction.word()));
        let governed = governed.map(|expr| format!(" `{}` only", self.text(Checker::bare_span(expr))));
        errors::Half {
            note: Some(format!("{lead}{}: `{sentence}`", governed.unwrap_or_default())),
            edits: vec![Edit { span: replaced, text }],
        }
    }

    /// Checks a claim, and returns whether it has no mistake.
    fn claim(&mut self, claim: &tree::Claim, env: &Env) -> Option<Claim> {
        let (source, destination) = (self.endpoint(&claim.source, env), self.endpoint(&claim.destination, env));
        let (source, destination) = (source?, destination?);
        if let Some(ports) = written_ports(&claim.source) {
            self.say_ports_on_source(ports, &destination, &claim.destination);
            return None;
        }
        if source.kind() != Kind::Workloads && destination.kind() != Kind::Workloads {
            self.push(errors::claim_without_workloads(claim.span));
            return None;
        }
        let (conditions, via) = self.claim_clauses(claim, &destination, env)?;
        let (source, destination) = (source.as_source(), destination.endpoint().clone());
        if let Some(via) = via.as_ref().filter(|_| destination.is_workloads() && source.pods().next().is_some()) {
            if !env.opaque {
                self.push(errors::claim_of_pods_as_clients(claim.span, via.span));
            }
            return None;
        }
        let flows = FlowPattern { source, destination, conditions: Arc::new(conditions) };
        Some(Claim { kind: claim.kind, flows, via, span: claim.span, applied: env.applied.clone() })
    }

    /// Warns of weights on ports that Istio does not read as requests or TLS: there the client chooses the address.
    fn warn_of_weights(&mut self, value: &Value, expr: &Expr) {
        let read = |app: Option<AppProtocol>| app.is_some();
        let idle = value.endpoint().members.iter().any(|member| match &member.what {
            What::Host(host) if host.at.iter().any(|at| at.weight.is_some()) => {
                member.ports.entries().is_empty() || !member.ports.entries().iter().all(|port| read(port.app))
            }
            _ => false,
        });
        if idle {
            let readable = match &expr.ports {
                Some(PortSpec { ports, .. }) => match ports.as_slice() {
                    [Port { kind: PortKind::Number(port), .. }] => {
                        Some(format!("{}:{port}/http", self.text(Checker::bare_span(expr))))
                    }
                    _ => None,
                },
                None => None,
            };
            self.push(errors::weights_ignored(expr.span, readable));
        }
    }
}

fn effect(rule: &tree::Rule) -> &'static str {
    if rule.effect == Effect::Allow { "allow" } else { "deny" }
}

/// Returns the span of a rule's `allow` or `deny`; `span` is the rule's.
fn keyword(rule: &tree::Rule, span: Span) -> Span {
    Span { end: span.start + effect(rule).len() as u32, ..span }
}

/// Returns the first suffix of ports that is written in an expression itself, and not brought by a name.
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

/// Returns the part of a side that is not pods, without its ports, and its kind: the member of a union if the union is
/// written out, else the whole side.
pub(super) fn outsider(expr: &Expr, value: &Value) -> (Span, Kind) {
    let bare = Checker::bare_span(expr);
    let outside = value.endpoint().members.iter().filter(|member| !matches!(member.what, What::Pods(_)));
    let mut written = outside.filter(|member| bare.contains(member.span));
    match (written.next(), value.mixed.filter(|mixed| bare.contains(*mixed))) {
        (Some(member), _) => (member.span, member_kind(member)),
        (None, Some(mixed)) => (mixed, Kind::Endpoint),
        (None, None) => (bare, value.kind()),
    }
}

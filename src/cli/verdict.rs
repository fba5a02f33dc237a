//! A verdict in words, and as JSON.

use serde_json::{Value, json};

use crate::policy::ask::{Answer, Question};
use crate::policy::provenance::{attribute, attribution, rule_text};
use crate::policy::{Cause, Direction, End, Grant, GrantReason, Party, Policy, Rule};
use crate::source::{Sources, Span};

/// A question with its answer, and what the answer speaks of.
pub struct Judged<'a> {
    /// The policy that decided.
    pub policy: &'a Policy,
    /// The texts of its rules.
    pub sources: &'a Sources,
    /// What was asked.
    pub question: &'a Question,
    /// What the policy says.
    pub answer: &'a Answer,
}

impl Judged<'_> {
    /// Returns `allow` or `deny`.
    pub fn word(&self) -> &'static str {
        if self.answer.verdict.allowed() { "allow" } else { "deny" }
    }

    /// Returns the verdict with a line for each end, and the allow that came nearest.
    pub fn text(&self) -> String {
        let verdict = if self.answer.verdict.allowed() { "allowed" } else { "denied" };
        let question = self.question;
        let mut text = format!("{verdict:<9} {} -> {}{}\n", question.from, question.to, self.detail());
        let mut first = None;
        for end in &self.answer.verdict.ends {
            text.push_str(&format!("  {:<8} {}\n", end.direction.word(), self.words(end, first)));
            first = first.or(decider(end));
        }
        if let Some(rule) = self.nearest() {
            text.push_str(&format!("  {:<8} {}\n", "nearest", self.rule_at(rule)));
        }
        text
    }

    /// Returns the verdict with its reasons: the ends that a pod judges, egress first, then the allow that came nearest.
    pub fn json(&self) -> Value {
        let ends = self.answer.verdict.ends.iter().filter(|end| end.cause != Cause::NoPod);
        let mut reasons: Vec<Value> = ends.map(|end| self.reason(end)).collect();
        if let Some(rule) = self.nearest() {
            let mut reason = self.rule_json(rule);
            reason["effect"] = json!("nearest");
            reason["message"] = json!("comes near, and does not match");
            reasons.push(reason);
        }
        json!({ "verdict": self.word(), "reasons": reasons })
    }

    /// Returns which pod and port a name and a Service's port came to, where the question does not say so itself.
    fn detail(&self) -> String {
        let flow = &self.answer.flow;
        let (Party::Pod(pod), Some(port)) = (&flow.destination, flow.port) else { return String::new() };
        let (whole, number) = (format!("{port}/{}", flow.protocol.word()), port.to_string());
        match self.question.to.strip_prefix(&pod.shown).map(|rest| rest.trim_start_matches(':')) {
            Some(asked) if asked == whole || asked == number => String::new(),
            Some(_) => format!(" (pod port {whole})"),
            None => format!(" (pod {}, port {whole})", pod.shown),
        }
    }

    fn words(&self, end: &End, first: Option<u32>) -> String {
        let party = self.party(end);
        match end.cause {
            Cause::NoPod => format!("not judged: {party} is no pod"),
            Cause::Itself => format!("allowed: {party} always reaches itself"),
            Cause::NotIsolated => format!("allowed: no rule isolates {party}"),
            Cause::Allowed(rule) if first == Some(rule) => "allowed by the same rule, its other end".into(),
            Cause::Denied(rule) if first == Some(rule) => "denied by the same rule, its other end".into(),
            Cause::Allowed(rule) => format!("allowed by {}", self.rule_at(rule)),
            Cause::Denied(rule) => format!("denied by {}", self.rule_at(rule)),
            Cause::Granted(grant) => format!("allowed by a grant: {}", self.grant(grant)),
            Cause::NoneMatches { isolated_by, others, .. } => {
                let who = self.rule_at_place(isolated_by);
                match others {
                    0 => format!("denied: {who} isolates {party}, and no rule allows this"),
                    1 => format!("denied: {who} and 1 other isolate {party}, and no rule allows this"),
                    _ => format!("denied: {who} and {others} others isolate {party}, and no rule allows this"),
                }
            }
        }
    }

    fn reason(&self, end: &End) -> Value {
        let (rule, effect) = match end.cause {
            Cause::Allowed(rule) => (Some(rule), "allow"),
            Cause::Denied(rule) => (Some(rule), "deny"),
            Cause::NoneMatches { isolated_by, .. } => (Some(isolated_by), "isolate"),
            Cause::Granted(grant) => {
                (self.policy.grants.get(grant as usize).and_then(|grant| grant.because.first().copied()), "grant")
            }
            Cause::NoPod | Cause::Itself | Cause::NotIsolated => (None, "none"),
        };
        let mut reason = match rule {
            Some(rule) => self.rule_json(rule),
            None => json!({ "path": null, "line": null, "rule": null }),
        };
        reason["direction"] = json!(end.direction.word());
        reason["effect"] = json!(effect);
        reason["message"] = json!(self.words(end, None));
        reason
    }

    fn party(&self, end: &End) -> String {
        let flow = &self.answer.flow;
        let party = match end.direction {
            Direction::Egress => &flow.source,
            Direction::Ingress => &flow.destination,
        };
        match party {
            Party::Pod(pod) => pod.shown.clone(),
            Party::Address(address) => address.to_string(),
            Party::Host { name, .. } => name.to_string(),
        }
    }

    fn nearest(&self) -> Option<u32> {
        self.answer.verdict.ends.iter().find_map(|end| match end.cause {
            Cause::NoneMatches { nearest, .. } => nearest,
            _ => None,
        })
    }

    fn grant(&self, at: u32) -> String {
        let Some(Grant { reason, because, .. }) = self.policy.grants.get(at as usize) else { return String::new() };
        let why = grant_reason(*reason);
        match because.first() {
            Some(rule) => format!("{why} ({})", self.rule_at_place(*rule)),
            None => why.to_owned(),
        }
    }

    fn rule_of(&self, at: u32) -> Option<&Rule> {
        self.policy.rules.get(at as usize)
    }

    /// Returns where a rule stands and, where a template yielded it, where that was asked for.
    fn rule_at_place(&self, at: u32) -> String {
        let Some(rule) = self.rule_of(at) else { return String::new() };
        let mut text = self.sources.place(rule.origin.span);
        if let Some(&applied) = rule.origin.applied().first() {
            text.push_str(&format!(" (applied at {})", self.sources.place(applied)));
        }
        text
    }

    fn rule_at(&self, at: u32) -> String {
        let text = self.rule_of(at).map(|rule| match attribution(&rule.origin) {
            Some(said) => format!("{}   ({said})", rule_text(self.sources, &rule.origin)),
            None => rule_text(self.sources, &rule.origin),
        });
        format!("{}   {}", self.rule_at_place(at), text.unwrap_or_default())
    }

    fn rule_json(&self, at: u32) -> Value {
        let Some(rule) = self.rule_of(at) else { return json!({}) };
        let place = |span: Span| json!({ "path": self.sources.file(span.file).path, "line": self.sources.line(span) });
        let mut value = place(rule.origin.span);
        value["rule"] = json!(rule_text(self.sources, &rule.origin));
        attribute(&mut value, &rule.origin);
        if !rule.origin.applied().is_empty() {
            value["applied"] = rule.origin.applied().iter().map(|&span| place(span)).collect();
        }
        value
    }
}

/// Returns the rule that decided an end.
fn decider(end: &End) -> Option<u32> {
    match end.cause {
        Cause::Allowed(rule) | Cause::Denied(rule) => Some(rule),
        _ => None,
    }
}

/// Returns why there is a grant.
pub fn grant_reason(reason: GrantReason) -> &'static str {
    match reason {
        GrantReason::Dns => "names must resolve",
        GrantReason::Istiod => "a sidecar needs istiod",
        GrantReason::Gateway => "a gateway has its half of `via`",
        GrantReason::Keys => "istiod fetches an issuer's keys",
    }
}

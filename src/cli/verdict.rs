//! A verdict in words, and as JSON.

use serde_json::{Value, json};

use super::layers::{Does, layers};
use crate::model::rules::{Direction, GrantId, Rule, RuleId};
use crate::policy::ask::{Answer, Answers, shown};
use crate::policy::provenance::{attribute, attribution, rule_text};
use crate::policy::{Cause, End, Flow, Grant, GrantReason, Party, Policy, Unknown, unknown};
use crate::source::{Sources, Span};
use crate::targets::Lowering;

/// The answers to a question, with the policy and the texts that they quote.
pub struct Judged<'a> {
    /// The policy that decided.
    pub policy: &'a Policy,
    /// The texts of its rules.
    pub sources: &'a Sources,
    /// The answers.
    pub answers: &'a Answers,
    /// The judgements of the layers, if the question asks for them.
    pub lowering: Option<&'a Lowering>,
}

impl Judged<'_> {
    /// Returns `allow` or `deny`.
    pub fn word(&self) -> &'static str {
        word(self.answers.allowed())
    }

    /// Returns the verdict with a line for each end, and the allow that nearly matches; if the question means several
    /// workloads, a line for each.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match self.answers.all.as_slice() {
            [one] => text.push_str(&self.whole(one)),
            several => several.iter().for_each(|answer| text.push_str(&self.line(answer))),
        }
        for assumed in &self.answers.assumed {
            text.push_str(&format!("  assumed: {assumed}\n"));
        }
        text
    }

    /// Returns the verdict with its reasons. If the question means several workloads, these are the reasons of the
    /// answer that decides, and each answer follows.
    pub fn json(&self) -> Value {
        let Some(deciding) = self.answers.deciding() else { return json!({ "verdict": self.word(), "reasons": [] }) };
        let mut value = self.answer_json(deciding);
        if self.answers.all.len() > 1 {
            let each = self.answers.all.iter().map(|answer| {
                let mut value = self.answer_json(answer);
                value["from"] = json!(answer.from);
                value["to"] = json!(format!("{}{}", answer.to, detail(answer)));
                value
            });
            value["answers"] = each.collect();
        }
        if !self.answers.assumed.is_empty() {
            value["assumed"] = json!(self.answers.assumed);
        }
        value
    }

    /// Returns an answer with a line for each end.
    fn whole(&self, answer: &Answer) -> String {
        let mut text = headline(answer);
        let mut first = None;
        for (at, flow, end) in ends(answer) {
            text.push_str(&format!("  {:<8} {}\n", at.unwrap_or(end.direction.word()), self.words(flow, end, first)));
            first = first.or(decider(end));
        }
        if let Some(rule) = nearest(answer) {
            text.push_str(&format!("  {:<8} {}\n", "nearest", self.rule_at(rule)));
        }
        for Unknown { rule, parts } in self.unknown(answer) {
            let options: Vec<String> = parts.iter().map(|part| format!("--{part}")).collect();
            text.push_str(&format!("  {:<8} {}, for {}\n", "unknown", options.join(", "), self.rule_at(rule)));
        }
        text.extend(self.layers(answer).iter().map(Does::line));
        text
    }

    fn layers(&self, answer: &Answer) -> Vec<Does> {
        self.lowering.map(|lowering| layers(self.policy, lowering, answer)).unwrap_or_default()
    }

    /// Returns an answer in one line, with the end that decides.
    fn line(&self, answer: &Answer) -> String {
        let all = ends(answer);
        let denies = all.iter().find(|(_, _, end)| !end.allows());
        let ruled = || all.iter().find(|(_, _, end)| matches!(end.cause, Cause::Allowed(_) | Cause::Granted(_)));
        let judged = || all.iter().find(|(_, _, end)| end.cause != Cause::NoPod);
        let why = denies.or_else(ruled).or_else(judged).map(|(at, flow, end)| {
            format!("   {} {}", at.unwrap_or(end.direction.word()), self.words(flow, end, None))
        });
        let layers: String = self.layers(answer).iter().map(Does::line).collect();
        format!("{}{}\n{layers}", headline(answer).trim_end(), why.unwrap_or_default())
    }

    fn answer_json(&self, answer: &Answer) -> Value {
        let ends = ends(answer);
        let judged = ends.iter().filter(|(_, _, end)| end.cause != Cause::NoPod);
        let mut reasons: Vec<Value> = judged
            .map(|(at, flow, end)| {
                let mut reason = self.reason(flow, end);
                if let Some(at) = at {
                    reason["at"] = json!(at);
                }
                reason
            })
            .collect();
        if let Some(rule) = nearest(answer) {
            let mut reason = self.rule_json(rule);
            reason["effect"] = json!("nearest");
            reason["message"] = json!("comes near, and does not match");
            reasons.push(reason);
        }
        for Unknown { rule, parts } in self.unknown(answer) {
            let mut reason = self.rule_json(rule);
            reason["effect"] = json!("unknown");
            reason["message"] = json!(format!("asks for what is not known of the request: {}", parts.join(", ")));
            reason["unknown"] = json!(parts);
            reasons.push(reason);
        }
        let mut value = json!({ "verdict": word(answer.allowed()), "reasons": reasons });
        if self.lowering.is_some() {
            value["layers"] = self.layers(answer).iter().map(Does::json).collect();
        }
        value
    }

    /// Returns the rules that could change the decision at an end if the request were fully known.
    fn unknown(&self, answer: &Answer) -> Vec<Unknown> {
        let mut all: Vec<Unknown> = Vec::new();
        for (_, flow, end) in ends(answer) {
            let found = unknown(self.policy, flow, end);
            all.extend(found.filter(|found| all.iter().all(|told| told.rule != found.rule)));
        }
        all
    }

    fn words(&self, flow: &Flow, end: &End, first: Option<RuleId>) -> String {
        let party = shown(match end.direction {
            Direction::Egress => &flow.source,
            Direction::Ingress => &flow.destination,
        });
        match end.cause {
            Cause::NoPod => format!("not judged: {party} is no pod"),
            Cause::Itself => format!("allowed: {party} always reaches itself by its own address"),
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

    fn reason(&self, flow: &Flow, end: &End) -> Value {
        let (rule, effect) = match end.cause {
            Cause::Allowed(rule) => (Some(rule), "allow"),
            Cause::Denied(rule) => (Some(rule), "deny"),
            Cause::NoneMatches { isolated_by, .. } => (Some(isolated_by), "isolate"),
            Cause::Granted(grant) => {
                (self.policy.grant(grant).and_then(|grant| grant.because.first().copied()), "grant")
            }
            Cause::NoPod | Cause::Itself | Cause::NotIsolated => (None, "none"),
        };
        let mut reason = match rule {
            Some(rule) => self.rule_json(rule),
            None => json!({ "path": null, "line": null, "rule": null }),
        };
        reason["direction"] = json!(end.direction.word());
        reason["effect"] = json!(effect);
        reason["message"] = json!(self.words(flow, end, None));
        reason
    }

    fn grant(&self, at: GrantId) -> String {
        let Some(Grant { reason, because, .. }) = self.policy.grant(at) else { return String::new() };
        let why = grant_reason(*reason);
        match because.first() {
            Some(rule) => format!("{why} ({})", self.rule_at_place(*rule)),
            None => why.to_owned(),
        }
    }

    fn rule_of(&self, at: RuleId) -> Option<&Rule> {
        self.policy.rule(at)
    }

    /// Returns the path and line of a rule and, for a rule of a template, those of its `apply`.
    fn rule_at_place(&self, at: RuleId) -> String {
        let Some(rule) = self.rule_of(at) else { return String::new() };
        let mut text = self.sources.place(rule.origin.span);
        if let Some(&applied) = rule.origin.applied().first() {
            text.push_str(&format!(" (applied at {})", self.sources.place(applied)));
        }
        text
    }

    fn rule_at(&self, at: RuleId) -> String {
        let text = self.rule_of(at).map(|rule| match attribution(&rule.origin) {
            Some(said) => format!("{}   ({said})", rule_text(self.sources, &rule.origin)),
            None => rule_text(self.sources, &rule.origin),
        });
        format!("{}   {}", self.rule_at_place(at), text.unwrap_or_default())
    }

    fn rule_json(&self, at: RuleId) -> Value {
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

/// Returns the ends of an answer in the order of the way. An end at a gateway on the way to a public host is marked
/// with the gateway.
fn ends(answer: &Answer) -> Vec<(Option<&'static str>, &Flow, &End)> {
    let mut all = Vec::new();
    if let Some((flow, verdict)) = &answer.gateway {
        all.extend(verdict.ends.iter().filter(|end| end.cause != Cause::NoPod).map(|end| (Some("gateway"), flow, end)));
    }
    all.extend(answer.verdict.ends.iter().map(|end| (None, &answer.flow, end)));
    all
}

fn word(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

fn headline(answer: &Answer) -> String {
    let verdict = if answer.allowed() { "allowed" } else { "denied" };
    format!("{verdict:<9} {} -> {}{}\n", answer.from, answer.to, detail(answer))
}

/// Returns the pod and the port that a name and a Service's port lead to, if the answer does not show them itself.
fn detail(answer: &Answer) -> String {
    let flow = &answer.flow;
    let (Party::Pod(pod), Some(port)) = (&flow.destination, flow.port) else { return String::new() };
    let (whole, number) = (format!("{port}/{}", flow.protocol.word()), port.to_string());
    if let Some((Flow { destination: gateway, port: Some(at), protocol, .. }, _)) = &answer.gateway {
        let gateway = format!("{}, port {at}/{}", shown(gateway), protocol.word());
        return format!(" (gateway {gateway}; pod {}, port {whole})", pod.shown);
    }
    let same = answer.to.strip_prefix(&pod.shown).filter(|rest| rest.is_empty() || rest.starts_with(':'));
    match same.map(|rest| rest.trim_start_matches(':')) {
        Some(asked) if asked == whole || asked == number => String::new(),
        Some(_) => format!(" (pod port {whole})"),
        None => format!(" (pod {}, port {whole})", pod.shown),
    }
}

/// Returns the allow that nearly matches an answer's flow.
fn nearest(answer: &Answer) -> Option<RuleId> {
    ends(answer).iter().find_map(|(_, _, end)| match end.cause {
        Cause::NoneMatches { nearest, .. } => nearest,
        _ => None,
    })
}

/// Returns the rule that decided an end.
fn decider(end: &End) -> Option<RuleId> {
    match end.cause {
        Cause::Allowed(rule) | Cause::Denied(rule) => Some(rule),
        _ => None,
    }
}

/// Returns the reason of a grant in words.
pub fn grant_reason(reason: GrantReason) -> &'static str {
    match reason {
        GrantReason::Dns => "names must resolve",
        GrantReason::Istiod => "a sidecar needs istiod",
        GrantReason::Gateway => "a gateway has its half of `via`",
        GrantReason::Keys => "istiod fetches an issuer's keys",
    }
}

//! `netpol eval --module`: the decision of an evaluator module about a flow.
//!
//! The policy files are not read. The inventory says who `garden/web` is, or an assumption does, as without `--module`.

use std::path::Path;

use serde_json::{Value, json};

use super::Fatal;
use super::paths::Paths;
use crate::model::rules::Direction;
use crate::policy::ask::{self, Answer, Answers, Question, ask_by};
use crate::policy::{Cause, End, Flow, Policy};
use crate::targets::wasm::run::Running;

/// The largest module that is read.
const LARGEST: u64 = 1 << 30;

/// A module, with the facts that questions are understood with.
pub struct Asked<'a> {
    module: Running,
    facts: &'a Policy,
}

/// The decisions of a module about a question, for each flow that the question means.
pub struct Told<'a> {
    rules: &'a Value,
    answers: Answers,
}

/// Loads a module.
pub fn load(path: &Path) -> Result<Running, Fatal> {
    let code = Paths::new()?.read(path, LARGEST).map_err(|error| Fatal::cannot_read(path, error))?;
    let module = Running::load(&code);
    module.map_err(|why| Fatal::new(format!("`{}` is no evaluator module: {why}", path.display())))
}

impl<'a> Asked<'a> {
    /// Loads a module.
    pub fn load(path: &Path, facts: &'a Policy) -> Result<Asked<'a>, Fatal> {
        Ok(Asked { module: load(path)?, facts })
    }

    /// Asks the module.
    pub fn answer(&mut self, question: &Question) -> Result<Told<'_>, String> {
        let answers = ask_by(self.facts, question, &mut |flow| self.module.judge_asked(flow))?;
        Ok(Told { rules: &self.module.rules, answers })
    }
}

impl Told<'_> {
    /// Returns `allow` or `deny`.
    pub fn word(&self) -> &'static str {
        if self.answers.allowed() { "allow" } else { "deny" }
    }

    fn audits(&self) -> bool {
        self.rules["audit"] == json!(true)
    }

    /// Returns each flow with a line for each end.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for answer in &self.answers.all {
            let word = match (answer.allowed(), self.audits()) {
                (true, _) => "allowed",
                (false, true) => "told",
                (false, false) => "denied",
            };
            text.push_str(&format!("{word:<9} {} -> {}\n", answer.from, answer.to));
            for end in &answer.verdict.ends {
                text.push_str(&format!("  {:<8} {}\n", end.direction.word(), self.words(&answer.flow, end)));
            }
        }
        for assumed in &self.answers.assumed {
            text.push_str(&format!("  assumed: {assumed}\n"));
        }
        text
    }

    /// Returns the verdict with the reasons of the flow that decides.
    pub fn json(&self) -> Value {
        let Some(Answer { flow, verdict, .. }) = self.answers.deciding() else {
            return json!({ "verdict": self.word() });
        };
        let judged = verdict.ends.iter().filter(|end| end.cause != Cause::NoPod);
        let reasons = judged.map(|end| {
            let rule = self.rule(end.cause);
            let field = |key: &str| rule.map_or(Value::Null, |rule| rule[key].clone());
            json!({
                "direction": end.direction.word(),
                "effect": match end.cause {
                    Cause::Allowed(_) => "allow",
                    Cause::Denied(_) => "deny",
                    Cause::NoneMatches { .. } => "isolate",
                    Cause::Granted(_) => "grant",
                    Cause::NoPod | Cause::Itself | Cause::NotIsolated => "none",
                },
                "path": field("path"),
                "line": field("line"),
                "rule": field("rule"),
                "message": self.words(flow, end),
            })
        });
        let mut value = json!({ "verdict": self.word(), "reasons": reasons.collect::<Vec<_>>() });
        if self.audits() {
            value["audit"] = json!(!verdict.allowed());
        }
        if !self.answers.assumed.is_empty() {
            value["assumed"] = json!(self.answers.assumed);
        }
        value
    }

    /// Returns the module's data on the rule that decides an end; for a grant, on the rule that it was made for.
    fn rule(&self, cause: Cause) -> Option<&Value> {
        let at = match cause {
            Cause::Granted(grant) => self.rules["grants"][grant.index()]["because"].as_u64()? as usize,
            Cause::Allowed(rule) | Cause::Denied(rule) | Cause::NoneMatches { isolated_by: rule, .. } => rule.index(),
            Cause::NoPod | Cause::Itself | Cause::NotIsolated => return None,
        };
        self.rules["rules"].get(at)
    }

    fn words(&self, asked: &Flow, end: &End) -> String {
        let party = ask::shown(if end.direction == Direction::Egress { &asked.source } else { &asked.destination });
        let rule = self.rule(end.cause).map(|rule| {
            let text = |key: &str| rule[key].as_str().unwrap_or_default();
            format!("{}:{}   {}", text("path"), rule["line"], text("rule"))
        });
        let rule = rule.unwrap_or_default();
        match end.cause {
            Cause::NoPod => format!("not judged: {party} is no pod"),
            Cause::Itself => format!("allowed: {party} always reaches itself by its own address"),
            Cause::NotIsolated => format!("allowed: no rule isolates {party}"),
            Cause::Allowed(_) => format!("allowed by {rule}"),
            Cause::Denied(_) => format!("denied by {rule}"),
            Cause::NoneMatches { .. } => format!("denied: no rule allows this, and {party} is isolated by {rule}"),
            Cause::Granted(grant) => {
                let why = self.rules["grants"][grant.index()]["reason"].as_str().unwrap_or_default();
                format!("allowed by a grant ({why}) {rule}").trim_end().to_owned()
            }
        }
    }
}

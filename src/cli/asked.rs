//! `netpol eval --module`: what an evaluator module says of a flow.
//!
//! The policy files are not read. Who `garden/web` is, the inventory says, or an assumption, as without `--module`.

use std::path::Path;

use serde_json::{Value, json};

use super::Fatal;
use super::paths::Paths;
use crate::model::rules::Direction;
use crate::policy::ask::{self, Question, ask};
use crate::policy::{Flow, Policy};
use crate::targets::wasm::flow;
use crate::targets::wasm::kernel::{Cause, End, Verdict};
use crate::targets::wasm::run::Running;

/// The largest module that is read.
const LARGEST: u64 = 1 << 30;

/// A module, with the facts by which questions are understood.
pub struct Asked<'a> {
    module: Running,
    facts: &'a Policy,
}

/// What a module says of a question: of each flow that the question stands for.
pub struct Told<'a> {
    rules: &'a Value,
    flows: Vec<(String, Flow, Verdict)>,
    assumed: Vec<String>,
}

impl<'a> Asked<'a> {
    /// Loads a module.
    pub fn load(path: &Path, facts: &'a Policy) -> Result<Asked<'a>, Fatal> {
        let code = Paths::new()?.read(path, LARGEST).map_err(|error| Fatal::cannot_read(path, error))?;
        let module = Running::load(&code);
        let module = module.map_err(|why| Fatal::new(format!("`{}` is no evaluator module: {why}", path.display())))?;
        Ok(Asked { module, facts })
    }

    /// Asks the module.
    pub fn answer(&mut self, question: &Question) -> Result<Told<'_>, String> {
        let answers = ask(self.facts, question)?;
        let mut flows = Vec::new();
        for answer in &answers.all {
            let text = flow::flow(&answer.flow).to_string();
            let verdict = self.module.decide_text(text.as_bytes());
            let verdict = verdict.map_err(|error| format!("the module answers with the error {error}"))?;
            flows.push((format!("{} -> {}", answer.from, answer.to), answer.flow.clone(), verdict));
        }
        Ok(Told { rules: &self.module.rules, flows, assumed: answers.assumed })
    }
}

impl Told<'_> {
    /// Returns `allow` or `deny`.
    pub fn word(&self) -> &'static str {
        if self.flows.iter().all(|(_, _, verdict)| verdict.allowed()) { "allow" } else { "deny" }
    }

    /// Returns each flow with a line for each end.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (shown, asked, verdict) in &self.flows {
            let word = match verdict.number() {
                1 => "allowed",
                2 => "told",
                _ => "denied",
            };
            text.push_str(&format!("{word:<9} {shown}\n"));
            for (direction, end) in ends(verdict) {
                text.push_str(&format!("  {:<8} {}\n", direction.word(), self.words(asked, direction, end)));
            }
        }
        for assumed in &self.assumed {
            text.push_str(&format!("  assumed: {assumed}\n"));
        }
        text
    }

    /// Returns the verdict with the reasons of the flow that decides.
    pub fn json(&self) -> Value {
        let denied = self.flows.iter().find(|(_, _, verdict)| !verdict.allowed());
        let Some((_, asked, verdict)) = denied.or(self.flows.first()) else { return json!({ "verdict": self.word() }) };
        let judged = ends(verdict).filter(|(_, end)| end.cause != Cause::NoPod);
        let reasons = judged.map(|(direction, end)| {
            let rule = self.rule(end);
            let field = |key: &str| rule.map_or(Value::Null, |rule| rule[key].clone());
            json!({
                "direction": direction.word(),
                "effect": match end.cause {
                    Cause::Allowed => "allow",
                    Cause::Denied => "deny",
                    Cause::NoneMatches => "isolate",
                    Cause::Granted => "grant",
                    Cause::NoPod | Cause::Itself | Cause::NotIsolated => "none",
                },
                "path": field("path"),
                "line": field("line"),
                "rule": field("rule"),
                "message": self.words(asked, direction, end),
            })
        });
        let mut value = json!({ "verdict": self.word(), "reasons": reasons.collect::<Vec<_>>() });
        if verdict.audit {
            value["audit"] = json!(true);
        }
        if !self.assumed.is_empty() {
            value["assumed"] = json!(self.assumed);
        }
        value
    }

    /// Returns what the module says of the rule that decides an end, or for a grant of the rule that is its cause.
    fn rule(&self, end: End) -> Option<&Value> {
        let at = match end.cause {
            Cause::Granted => self.rules["grants"][end.by as usize]["because"].as_u64()? as usize,
            Cause::Allowed | Cause::Denied | Cause::NoneMatches => end.by as usize,
            Cause::NoPod | Cause::Itself | Cause::NotIsolated => return None,
        };
        self.rules["rules"].get(at)
    }

    fn words(&self, asked: &Flow, direction: Direction, end: End) -> String {
        let party = ask::shown(if direction == Direction::Egress { &asked.source } else { &asked.destination });
        let rule = self.rule(end).map(|rule| {
            let text = |key: &str| rule[key].as_str().unwrap_or_default();
            format!("{}:{}   {}", text("path"), rule["line"], text("rule"))
        });
        let rule = rule.unwrap_or_default();
        match end.cause {
            Cause::NoPod => format!("not judged: {party} is no pod"),
            Cause::Itself => format!("allowed: {party} always reaches itself by its own address"),
            Cause::NotIsolated => format!("allowed: no rule isolates {party}"),
            Cause::Allowed => format!("allowed by {rule}"),
            Cause::Denied => format!("denied by {rule}"),
            Cause::NoneMatches => format!("denied: no rule allows this, and {party} is isolated by {rule}"),
            Cause::Granted => {
                let why = self.rules["grants"][end.by as usize]["reason"].as_str().unwrap_or_default();
                format!("allowed by a grant ({why}) {rule}").trim_end().to_owned()
            }
        }
    }
}

fn ends(verdict: &Verdict) -> impl Iterator<Item = (Direction, End)> {
    Direction::BOTH.into_iter().zip(verdict.ends)
}

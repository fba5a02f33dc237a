//! `replay --suggest`: the missing rules as a policy file. Flows that no rule can allow are listed in comments.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::number;
use crate::policy::Policy;
use crate::policy::provenance::rule_text;
use crate::replay::{Suggested, Why};
use crate::source::Sources;

/// The missing rules, and the policy that they are for.
pub struct Missing<'a> {
    /// The rules.
    pub suggested: &'a Suggested,
    /// The policy.
    pub policy: &'a Policy,
    /// The texts of its rules.
    pub sources: &'a Sources,
}

impl Missing<'_> {
    /// Returns the rules as a policy file that begins with comments.
    pub fn source(&self, head: &[String]) -> String {
        let mut out = String::new();
        for line in head {
            let _ = writeln!(out, "# {line}");
        }
        let Suggested { rules, without, beyond } = self.suggested;
        if *beyond > 0 {
            let _ = writeln!(out, "# {} not looked at: the log has too many different ones", number(*beyond, "flow"));
        }
        let width = rules.iter().map(|(rule, _)| rule.len()).max().unwrap_or_default();
        for (rule, count) in rules {
            let _ = writeln!(out, "{rule:<width$}   # {}", number(*count, "flow"));
        }
        for one in without {
            let why = self.why(&one.why);
            let _ = writeln!(out, "# {} × {}: {why}", one.count, one.sentence);
        }
        out
    }

    /// Returns the rules as a section of Markdown.
    pub fn markdown(&self) -> String {
        format!("\n## Missing rules\n\n```netpol\n{}```\n", self.source(&[]))
    }

    /// Returns the rules as JSON.
    pub fn json(&self) -> Value {
        let Suggested { rules, without, beyond } = self.suggested;
        let rules = rules.iter().map(|(rule, count)| json!({ "rule": rule, "count": count }));
        let without = without
            .iter()
            .map(|one| json!({ "sentence": one.sentence, "count": one.count, "message": self.why(&one.why) }));
        json!({ "rules": rules.collect::<Vec<_>>(), "without_rule": without.collect::<Vec<_>>(), "not_looked_at": beyond })
    }

    fn why(&self, why: &Why) -> String {
        match why {
            Why::Denied(rule) => match self.policy.rule(*rule) {
                Some(rule) => {
                    let place = self.sources.place(rule.origin.place());
                    format!("no allow helps, since it is denied by {place}   {}", rule_text(self.sources, &rule.origin))
                }
                None => "it is denied".to_owned(),
            },
            Why::Unsaid => "no words of the language say who it is".to_owned(),
            Why::Refused(rule, why) => format!("`{rule}` would do, but {why}"),
        }
    }
}

//! Questions about one statement: its objects, the verdict on a flow, the judgements of the layers.

use super::Analysis;
use crate::compile;
use crate::diag::Diagnostics;
use crate::policy::Policy;
use crate::policy::ask::{Answers, Question, ask};
use crate::policy::provenance::sentence;
use crate::source::{FileId, Span};

impl Analysis {
    /// Returns the YAML of all objects that come, among others, from the statement at an offset. The error says why
    /// there are none.
    pub fn yaml(&self, file: FileId, offset: u32) -> Result<String, String> {
        let statement = self.statement_at(file, offset).ok_or("no statement stands here")?;
        let policy = self.sound_policy()?;
        let of = |span: Span| statement.contains(span);
        let rules =
            policy.rules.iter().filter(|rule| of(rule.origin.span) || rule.origin.applied().iter().copied().any(of));
        let origins: Vec<_> = rules.map(|rule| &rule.origin).collect();
        if origins.is_empty() {
            return Err("this statement yields no rule, and so no object".to_owned());
        }
        let lowering = compile::objects(policy, self.sources(), &mut Diagnostics::new());
        let mut text = String::new();
        for object in lowering.layers.iter().flat_map(|(_, lowered)| &lowered.objects) {
            let named = origins.iter().any(|origin| {
                let sentence = sentence(self.sources(), false, &object.namespace, origin);
                object.yaml.contains(&sentence) || object.yaml.contains(&sentence.replace('"', "\\\""))
            });
            if named {
                text.push_str("---\n");
                text.push_str(&object.yaml);
            }
        }
        if text.is_empty() { Err("no layer makes an object of this statement alone".to_owned()) } else { Ok(text) }
    }

    /// Decides whether a flow is allowed, as `eval` does. The error says why it cannot be judged.
    pub fn evaluate(&self, from: &str, to: &str) -> Result<(&Policy, Answers), String> {
        let policy = self.policy().ok_or("the policy has errors, or its manifests cannot be read")?;
        let question = Question { from: from.to_owned(), to: to.to_owned(), ..Question::default() };
        Ok((policy, ask(policy, &question)?))
    }

    /// Returns how well each layer enforces the rules of the statement at an offset, or of all rules of the file, in
    /// Markdown.
    pub fn explain(&self, file: FileId, offset: Option<u32>) -> Result<String, String> {
        self.sound_policy()?;
        self.lowering().ok_or("the policy has errors")?;
        let span = match offset {
            Some(offset) => self.statement_at(file, offset).ok_or("no statement stands here")?,
            None => Span::new(file, 0, self.sources().file(file).text.len()),
        };
        self.enforcement_of(span).ok_or_else(|| "no rule stands here".to_owned())
    }

    pub(super) fn sound_policy(&self) -> Result<&Policy, String> {
        let sound = self.policy().filter(|_| !self.first_findings().has_errors());
        sound.ok_or_else(|| "the policy has errors".to_owned())
    }

    pub(super) fn statement_at(&self, file: FileId, offset: u32) -> Option<Span> {
        let items = &self.tree(file)?.items;
        let item = items.get(items.partition_point(|item| item.span.end < offset))?;
        (item.span.start <= offset).then_some(item.span)
    }
}

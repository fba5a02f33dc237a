//! Inlay hints (a translated port, the number of addresses) and code lenses (`YAML`, `evaluate…`).
//!
//! ```text
//! 2 sources · 1 destination | 1 test | YAML | evaluate…
//! allow garden/* -> garden/api:80 → 8080
//! ```

use super::Analysis;
use super::hover::{counted, size};
use super::nodes::{self, Node};
use crate::model::endpoint::{Endpoint, What};
use crate::model::ports::{PortTest, Ports};
use crate::model::rules::Rule;
use crate::policy::GrantReason;
use crate::source::{FileId, Span};
use crate::syntax::tree::{Expr, ExprKind, Item, ItemKind};

/// A hint: a few words after an offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Hint {
    /// The offset.
    pub at: u32,
    /// The words.
    pub text: String,
}

/// The action of a lens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LensAction {
    /// None: the lens only shows its words.
    None,
    /// Shows the objects of the rule.
    Yaml,
    /// Asks for a flow and shows the verdict on it.
    Evaluate,
    /// Shows how well each layer enforces the rule.
    Explain,
    /// Shows the tests and assertions that concern the rule.
    Tests,
    /// Shows the flows that the file opens and closes beside its earlier text.
    Changes,
}

/// A lens: words above a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Lens {
    /// The statement.
    pub span: Span,
    /// The words.
    pub text: String,
    /// The action of a click.
    pub action: LensAction,
}

/// The most rules of a file that get lenses: nobody reads more of them.
const MOST_LENSES: usize = 2_000;

impl Analysis {
    /// Returns the hints of a range of a file, in order.
    pub fn hints(&self, file: FileId, start: u32, end: u32) -> Vec<Hint> {
        let mut hints = Vec::new();
        let Some(tree) = self.tree(file) else { return hints };
        let from = tree.items.partition_point(|item| item.span.end < start);
        for item in tree.items[from..].iter().take_while(|item| item.span.start <= end) {
            if matches!(item.kind, ItemKind::Template(_)) {
                continue;
            }
            nodes::visit(item, &mut |node| {
                if let Node::Endpoint(expr) = node {
                    self.hint_of(expr, &mut hints);
                }
            });
            hints.extend(self.granted(item).map(|text| Hint { at: item.span.end, text }));
        }
        hints.retain(|hint| start <= hint.at && hint.at <= end);
        hints.sort_by_key(|hint| hint.at);
        hints
    }

    fn hint_of(&self, expr: &Expr, hints: &mut Vec<Hint>) {
        match &expr.kind {
            ExprKind::Pods(..) if expr.ports.is_some() => {
                let Some(endpoint) = self.meaning(expr) else { return };
                let mut ports = translated(&endpoint);
                ports.dedup();
                if !ports.is_empty() {
                    hints.push(Hint { at: expr.span.end, text: format!("→ {}", ports.join(", ")) });
                }
            }
            ExprKind::Pods(..) if self.inventory().given => {
                let Some(endpoint) = self.meaning(expr) else { return };
                let count: usize = endpoint.pods().map(|(_, pods)| self.inventory().select(&pods.selector).len()).sum();
                hints.push(Hint { at: expr.span.end, text: counted(count, "workload") });
            }
            ExprKind::Address(address) if address.prefix.is_some() => {
                let bare = Expr { ports: None, ..expr.clone() };
                let Some(endpoint) = self.meaning(&bare) else { return };
                let sizes = endpoint.members.iter().filter_map(|member| match &member.what {
                    What::Addresses(set) => Some(size(set)),
                    _ => None,
                });
                hints.extend(sizes.map(|text| Hint { at: expr.span.end, text }));
            }
            _ => {}
        }
    }

    /// Returns the grants for the rules of a statement, in words.
    fn granted(&self, item: &Item) -> Option<String> {
        let policy = self.policy()?;
        let of_statement = |rule: &&Rule| item.span.contains(rule.origin.span) && rule.origin.applied().is_empty();
        let mut opened: Vec<&str> = Vec::new();
        for grant in &policy.grants {
            let word = match grant.reason {
                GrantReason::Dns => "the way to DNS",
                GrantReason::Gateway => "the way through the gateway",
                GrantReason::Keys => "istiod's way to the keys",
                GrantReason::Istiod => continue,
            };
            // The rules behind a grant are in their order.
            let first = grant.because.partition_point(|id| {
                policy.rule(*id).is_some_and(|rule| {
                    (rule.origin.span.file, rule.origin.span.start) < (item.span.file, item.span.start)
                })
            });
            let rule = grant.because.get(first).and_then(|id| policy.rule(*id));
            if rule.filter(of_statement).is_some() && !opened.contains(&word) {
                opened.push(word);
            }
        }
        (!opened.is_empty()).then(|| format!("and {}", opened.join(", ")))
    }

    /// Returns the lenses of a file, in order.
    pub fn lenses(&self, file: FileId) -> Vec<Lens> {
        let mut lenses = Vec::new();
        let Some(policy) = self.policy() else { return lenses };
        if let Some(text) = self.changes_in_words(file) {
            lenses.push(Lens { span: Span::new(file, 0, 0), text, action: LensAction::Changes });
        }
        let here = policy.rules.iter().filter(|rule| rule.origin.span.file == file);
        let mut last = None;
        for rule in here.filter(|rule| rule.origin.applied().is_empty()).take(MOST_LENSES) {
            let span = rule.origin.span;
            if last.replace(span) == Some(span) {
                continue;
            }
            if self.inventory().given {
                let text = match rule.source == rule.destination {
                    true => counted(self.parties(&rule.source), "workload"),
                    false => format!(
                        "{} · {}",
                        counted(self.parties(&rule.source), "source"),
                        counted(self.parties(&rule.destination), "destination")
                    ),
                };
                lenses.push(Lens { span, text, action: LensAction::None });
            }
            if let Some((text, action)) = self.concern_in_words(span) {
                lenses.push(Lens { span, text, action });
            }
            lenses.push(Lens { span, text: "YAML".to_owned(), action: LensAction::Yaml });
            lenses.push(Lens { span, text: "evaluate…".to_owned(), action: LensAction::Evaluate });
            lenses.push(Lens { span, text: "layers".to_owned(), action: LensAction::Explain });
        }
        lenses
    }

    /// Returns the number of workloads, hosts and blocks of addresses of an endpoint.
    fn parties(&self, endpoint: &Endpoint) -> usize {
        let of = |what: &What| match what {
            What::Pods(pods) => self.inventory().select(&pods.selector).len(),
            What::Addresses(set) => set.blocks.len(),
            What::Host(_) => 1,
        };
        endpoint.members.iter().map(|member| of(&member.what)).sum()
    }
}

/// Returns the ports of pods that differ from the ports in the source.
fn translated(endpoint: &Endpoint) -> Vec<String> {
    let entries = endpoint.members.iter().flat_map(|member| match &member.ports {
        Ports::Some(entries) => entries.as_slice(),
        Ports::All => &[],
    });
    let differs = entries.filter_map(|entry| match (&entry.port, entry.service_port?) {
        (PortTest::Range(first, last), written) if first == last && *first == written => None,
        (port, _) => Some(port.to_string()),
    });
    differs.collect()
}

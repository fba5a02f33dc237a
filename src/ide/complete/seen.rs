//! The words that the policy files use: without an inventory, these are completed.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use crate::ide::Analysis;
use crate::ide::nodes::{self, Node};
use crate::syntax::tree::{ExprKind, LabelTest};

/// The most statements that are read for this.
const MOST: usize = 20_000;

/// The words of the policy files.
#[derive(Debug, Default)]
pub struct Seen {
    /// Namespaces.
    pub namespaces: BTreeSet<SmolStr>,
    /// Workloads and Services, with their namespaces.
    pub workloads: BTreeSet<(SmolStr, SmolStr)>,
    /// Service accounts.
    pub accounts: BTreeSet<SmolStr>,
    /// Labels, keys and values.
    pub labels: BTreeSet<(SmolStr, SmolStr)>,
    /// Hosts.
    pub hosts: BTreeSet<SmolStr>,
}

impl Seen {
    /// Gathers the words of all files of an analysis.
    pub fn of(analysis: &Analysis) -> Seen {
        let mut seen = Seen::default();
        let files = analysis.files();
        let mut left = MOST;
        for file in files {
            for item in analysis.first_items(file, left) {
                left -= 1;
                nodes::visit(&item, &mut |node| seen.add(node));
            }
        }
        seen
    }

    fn add(&mut self, node: Node<'_>) {
        match node {
            Node::Namespace(word) if !word.is_scope() => drop(self.namespaces.insert(word.text.clone())),
            Node::Workload(Some(namespace), word) => {
                self.workloads.insert((namespace.text.clone(), word.text.clone()));
            }
            Node::Account(word) => drop(self.accounts.insert(word.text.clone())),
            Node::Label(label) => {
                let values = match &label.test {
                    LabelTest::Equals(value) | LabelTest::NotEquals(value) => std::slice::from_ref(value),
                    LabelTest::In(values) | LabelTest::NotIn(values) => values.as_slice(),
                    LabelTest::Exists | LabelTest::DoesNotExist => &[],
                };
                let key = label.key.text.clone();
                self.labels.extend(values.iter().map(|value| (key.clone(), value.text.clone())));
            }
            Node::Endpoint(expr) => {
                if let ExprKind::Host(host) = &expr.kind {
                    let star = if host.wildcard { "*." } else { "" };
                    self.hosts.insert(smol_str::format_smolstr!("{star}{}", host.name));
                }
            }
            _ => {}
        }
    }
}

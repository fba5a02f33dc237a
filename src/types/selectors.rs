//! Selectors of pods: namespaces, labels, accounts and names.
//!
//! ```text
//! default deny {env=prod}/{tier in (a, b), !canary}
//!     namespaces with env=prod; in them pods with tier a or b, and without a label canary
//! ```

use smol_str::SmolStr;

use super::value::{Bound, Env, Value};
use super::{Checker, errors};
use crate::model::endpoint::{Pods, What};
use crate::model::labels::{Account, PodSelector, Requirement, Requirements, Test};
use crate::model::names::is_dns_label;
use crate::model::ports::Protocol;
use crate::source::Span;
use crate::syntax::tree::{Expr, ItemKind, LabelRequirement, LabelTest, Labels, NamespacePattern, PodPattern, Word};

impl Checker<'_> {
    pub(super) fn pods(
        &mut self,
        expr: &Expr,
        namespace: &NamespacePattern,
        pods: &PodPattern,
        env: &Env,
    ) -> Option<Value> {
        let mut opaque = false;
        let mut selector = match namespace {
            NamespacePattern::Any => PodSelector::any(),
            NamespacePattern::Name(word) => {
                let (name, unknown) = self.namespace(word, expr, pods, env)?;
                opaque = unknown;
                let of = |name: &SmolStr| PodSelector::in_namespace(name.clone());
                self.namespaces.entry(name).or_insert_with_key(of).clone()
            }
            NamespacePattern::Labels(labels) => {
                PodSelector { namespace: self.requirements(labels)?, ..PodSelector::any() }
            }
        };
        let mut named = None;
        match pods {
            PodPattern::Any => {}
            PodPattern::Labels(labels) => selector.labels = self.requirements(labels)?,
            PodPattern::Account(word) => selector.account = Account::Is(word.text.clone()),
            PodPattern::Name(word) => {
                let Some(namespace) = selector.namespace_name().cloned() else {
                    self.push(errors::name_without_namespace(expr.span, &word.text));
                    return None;
                };
                selector.labels = if opaque { assumed(&word.text)? } else { self.named_pods(&namespace, word, env)? };
                named = Some(Box::new((namespace, word.text.clone())));
            }
        }
        if !opaque && self.is_users(env) && !self.selectors.contains(&selector) {
            self.check_names_in_braces(expr, namespace, pods)?;
        }
        if !opaque && self.is_users(env) && named.is_none() {
            self.check_selector(Checker::bare_span(expr), namespace, pods, &selector);
        }
        let what = What::Pods(Pods { selector, named });
        Some(Value { opaque, ..Value::one(Checker::bare_span(expr), what) })
    }

    /// Reports `garden/{api, db}`, which means pods with both labels, although its author most likely meant two
    /// workloads. If no known pod has such a label, this is an error with an inventory and a warning without one.
    fn check_names_in_braces(&mut self, expr: &Expr, namespace: &NamespacePattern, pods: &PodPattern) -> Option<()> {
        let (NamespacePattern::Name(namespace), PodPattern::Labels(labels)) = (namespace, pods) else {
            return Some(());
        };
        let is_name = |one: &LabelRequirement| {
            let text = one.key.text.as_str();
            matches!(one.test, LabelTest::Exists) && !one.key.quoted && is_dns_label(text)
        };
        if labels.requirements.len() < 2 || !labels.requirements.iter().all(is_name) {
            return Some(());
        }
        let inventory = self.inventory;
        let is_key = |one: &LabelRequirement| {
            let key = one.key.text.as_str();
            inventory.workloads.iter().any(|workload| workload.labels.contains_key(key))
                || inventory
                    .services
                    .values()
                    .flat_map(|service| &service.selector)
                    .any(|labels| labels.contains_key(key))
        };
        if labels.requirements.iter().any(is_key) {
            return Some(());
        }
        let written = self.text(namespace.span);
        let names: Vec<String> = labels.requirements.iter().map(|one| format!("{written}/{}", one.key.text)).collect();
        let repair = format!("{{ {} }}", names.join(", "));
        self.push(errors::names_as_labels(Checker::bare_span(expr), &repair, inventory.given));
        (!inventory.given).then_some(())
    }

    /// Returns the namespace that a word before a `/` means, and whether it stands in for a parameter.
    fn namespace(&mut self, word: &Word, expr: &Expr, pods: &PodPattern, env: &Env) -> Option<(SmolStr, bool)> {
        if !word.quoted
            && let Some(bound) = env.parameters.get(&word.text)
        {
            self.use_parameter(env, &word.text);
            return match bound {
                Bound::Namespace(name) => Some((name.clone(), env.opaque)),
                other => {
                    self.push(errors::parameter_type(word.span, &word.text, other.kind(), "a namespace"));
                    None
                }
            };
        }
        if !word.quoted && self.is_users(env) {
            self.warn_of_name(word, Checker::bare_span(expr), pods, env);
        }
        self.check_namespace(word.span, &word.text, env);
        Some((word.text.clone(), false))
    }

    /// Warns of a namespace that is spelled like a name in sight, except inside the definition of that name.
    fn warn_of_name(&mut self, word: &Word, bare: Span, pods: &PodPattern, env: &Env) {
        let Some(def) = self.names.in_sight(env.module, &word.text) else { return };
        if self.open.contains(&def) {
            return;
        }
        let protocol = match pods {
            PodPattern::Name(name) if !name.quoted && is_protocol(&name.text) => Some(name.text.as_str()),
            _ => None,
        };
        let ports = match &self.names.item(def).kind {
            ItemKind::Let(_) if protocol.is_some() => {
                self.definition(def, &word.text, bare).is_some_and(|value| value.ports.is_some())
            }
            kind => matches!(kind, ItemKind::Gateway(_)),
        };
        self.push(errors::namespace_like_name(word, protocol, ports));
    }

    pub(super) fn requirements(&mut self, labels: &Labels) -> Option<Requirements> {
        let mut all = Requirements::any();
        for written in &labels.requirements {
            match all.and(requirement(written)) {
                Some(joined) => all = joined,
                None => {
                    self.push(errors::contradicting_labels(written.span, &written.key.text));
                    return None;
                }
            }
        }
        Some(all)
    }
}

/// Returns the requirement that a label in braces stands for.
pub fn requirement(written: &LabelRequirement) -> Requirement {
    let values = |words: &[Word]| words.iter().map(|word| word.text.clone()).collect::<Vec<SmolStr>>();
    let key = written.key.text.clone();
    match &written.test {
        LabelTest::Equals(value) => Requirement::is_in(key, [value.text.clone()]),
        LabelTest::NotEquals(value) => Requirement::not_in(key, [value.text.clone()]),
        LabelTest::In(list) => Requirement::is_in(key, values(list)),
        LabelTest::NotIn(list) => Requirement::not_in(key, values(list)),
        LabelTest::Exists => Requirement { key, test: Test::Exists },
        LabelTest::DoesNotExist => Requirement { key, test: Test::DoesNotExist },
    }
}

fn is_protocol(word: &str) -> bool {
    matches!(word, "http" | "grpc" | "tls" | "https") || Protocol::parse(word).is_some()
}

/// Returns the labels that `ns/name` stands for when no workload and no Service has that name.
pub(super) fn assumed(name: &SmolStr) -> Option<Requirements> {
    Requirements::new([Requirement::is_in("app.kubernetes.io/name", [name.clone()])])
}

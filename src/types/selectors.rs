//! Selectors of pods: namespaces, labels, accounts and names.
//!
//! ```text
//! default deny {env=prod}/{tier in (a, b), !canary}
//!     namespaces with env=prod; in them pods with tier a or b, and without a label canary
//! ```

use std::borrow::Cow;

use smol_str::SmolStr;

use super::value::{Bound, Env, Value};
use super::{Checker, errors};
use crate::model::endpoint::{Pods, What};
use crate::model::labels::{Account, PodSelector, Requirement, Requirements, Test};
use crate::model::names::{is_dns_label, is_label_value};
use crate::model::ports::Protocol;
use crate::source::Span;
use crate::syntax::tree::{
    Expr, ExprKind, ItemKind, LabelRequirement, LabelTest, Labels, LetValue, NamespacePattern, PodPattern, Word,
};

impl Checker<'_> {
    pub(super) fn pods(
        &mut self,
        expr: &Expr,
        namespace: &NamespacePattern,
        pods: &PodPattern,
        env: &Env,
    ) -> Option<Value> {
        let (namespace, pods, mut opaque) = self.as_meant(namespace, pods, env)?;
        let (namespace, pods) = (&*namespace, &*pods);
        let mut selector = match namespace {
            NamespacePattern::Any | NamespacePattern::Scope(_) => PodSelector::any(),
            NamespacePattern::Name(word) => {
                let (name, unknown) = self.namespace(word, expr, pods, env)?;
                opaque |= unknown;
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

    /// Returns the two patterns of an endpoint with the namespace of the scope for `.` and the arguments for parameters
    /// among the values of labels, and whether some of these arguments are not known.
    fn as_meant<'w>(
        &mut self,
        namespace: &'w NamespacePattern,
        pods: &'w PodPattern,
        env: &Env,
    ) -> Option<(Cow<'w, NamespacePattern>, Cow<'w, PodPattern>, bool)> {
        let (mut meant, mut of_pods) = (Cow::Borrowed(namespace), Cow::Borrowed(pods));
        let mut opaque = false;
        match namespace {
            NamespacePattern::Scope(span) => {
                let text = self.namespace_of_scope(env.module, *span)?;
                meant = Cow::Owned(NamespacePattern::Name(Word { text, span: *span, quoted: true }));
            }
            NamespacePattern::Labels(labels) => {
                if let Some((labels, unknown)) = self.labels_as_meant(labels, env)? {
                    opaque |= unknown;
                    meant = Cow::Owned(NamespacePattern::Labels(labels));
                }
            }
            NamespacePattern::Any | NamespacePattern::Name(_) => {}
        }
        if let PodPattern::Labels(labels) = pods
            && let Some((labels, unknown)) = self.labels_as_meant(labels, env)?
        {
            opaque |= unknown;
            of_pods = Cow::Owned(PodPattern::Labels(labels));
        }
        Some((meant, of_pods, opaque))
    }

    /// Returns labels with parameters of the type `String` replaced by their arguments, and whether these are unknown,
    /// so that the requirements on them are left out; the inner `None` if no value is a parameter.
    #[allow(clippy::option_option, reason = "labels may have no parameter, and one that they have may not fit")]
    pub(super) fn labels_as_meant(&mut self, labels: &Labels, env: &Env) -> Option<Option<(Labels, bool)>> {
        let argument = |word: &Word| match env.parameters.get(&word.text) {
            Some(Bound::String(text)) if !word.quoted => Some(text.clone()),
            _ => None,
        };
        let has_parameter = |one: &LabelRequirement| values(&one.test).iter().any(|word| argument(word).is_some());
        if env.parameters.is_empty() || !labels.requirements.iter().any(has_parameter) {
            return Some(None);
        }
        let mut meant = Labels { span: labels.span, requirements: Vec::with_capacity(labels.requirements.len()) };
        for one in &labels.requirements {
            let mut one = one.clone();
            let unknown = env.opaque && has_parameter(&one);
            for word in values_mut(&mut one.test) {
                let Some(text) = argument(word) else { continue };
                self.use_parameter(env, &word.text);
                if !env.opaque && !is_label_value(&text) {
                    self.push(errors::argument_no_label(word, &text));
                    return None;
                }
                *word = Word { text, span: word.span, quoted: true };
            }
            if !unknown {
                meant.requirements.push(one);
            }
        }
        Some(Some((meant, env.opaque)))
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

    /// Returns the namespace of a word before a `/`, and whether it is a placeholder for a parameter.
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
        let near = self.namespace_of_name(word, pods, env).cloned();
        self.check_namespace(word.span, &word.text, near, env);
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
        let namespace = self.namespace_of_name(word, pods, env);
        let is_unknown = self.inventory.given && !self.inventory.namespaces.contains_key(&word.text);
        if namespace.is_none() || !is_unknown {
            let diagnostic = errors::namespace_like_name(word, protocol, ports, namespace);
            self.push(diagnostic);
        }
    }

    /// Returns the namespace of all whose pods a word before a `/` is the name: `boutique` for the `shop` in
    /// `shop/frontend`, after `let shop = boutique/*`, and after `let shop = boutique`, which is an error of its own.
    fn namespace_of_name(&self, word: &Word, pods: &PodPattern, env: &Env) -> Option<&SmolStr> {
        if word.quoted || matches!(pods, PodPattern::Any) {
            return None;
        }
        let ItemKind::Let(item) = &self.names.item(self.names.in_sight(env.module, &word.text)?).kind else {
            return None;
        };
        let LetValue::Endpoint(value) = &item.value else { return None };
        match &value.kind {
            ExprKind::Pods(NamespacePattern::Name(namespace), PodPattern::Any) => Some(&namespace.text),
            ExprKind::Name(name) => self.inventory.namespaces.get_key_value(name).map(|(name, _)| name),
            _ => None,
        }
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

/// Returns the requirement of a label in braces.
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

/// Returns the values that a test of a label compares with.
fn values(test: &LabelTest) -> &[Word] {
    match test {
        LabelTest::Equals(value) | LabelTest::NotEquals(value) => std::slice::from_ref(value),
        LabelTest::In(list) | LabelTest::NotIn(list) => list,
        LabelTest::Exists | LabelTest::DoesNotExist => &[],
    }
}

fn values_mut(test: &mut LabelTest) -> &mut [Word] {
    match test {
        LabelTest::Equals(value) | LabelTest::NotEquals(value) => std::slice::from_mut(value),
        LabelTest::In(list) | LabelTest::NotIn(list) => list,
        LabelTest::Exists | LabelTest::DoesNotExist => &mut [],
    }
}

fn is_protocol(word: &str) -> bool {
    matches!(word, "http" | "grpc" | "tls" | "https") || Protocol::parse(word).is_some()
}

/// Returns the labels that `ns/name` selects by if no workload and no Service has that name.
pub(super) fn assumed(name: &SmolStr) -> Option<Requirements> {
    Requirements::new([Requirement::is_in("app.kubernetes.io/name", [name.clone()])])
}

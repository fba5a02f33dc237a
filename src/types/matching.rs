//! Namespaces, selectors and names, compared with the inventory.
//!
//! ```text
//! default deny garden/{app=fronted}     the inventory has only pods with app=frontend there: an error that proposes it
//! default deny gardn/*                  the inventory has no such namespace: an error that proposes garden
//! ```

use smol_str::SmolStr;

use super::facts::equalities;
use super::selectors::assumed;
use super::value::Env;
use super::{Checker, errors};
use crate::diag::{Code, Diagnostic, nearest, one_edit};
use crate::inventory::{Matched, Unread, Workload};
use crate::model::labels::{self, Account, PodSelector, Requirement, Requirements, Test};
use crate::model::names::is_dns_label;
use crate::resolve::{Def, Role, stdlib};
use crate::source::Span;
use crate::syntax::tree::{LabelTest, Labels, NamespacePattern, PodPattern, Word};

impl Checker<'_> {
    /// Returns what an unknown word could mean elsewhere: a namespace, a workload, or a definition of the standard
    /// library with one of `keywords`. `near` is the nearest name in scope.
    pub(super) fn elsewhere(
        &self,
        env: &Env,
        name: &str,
        near: Option<SmolStr>,
        keywords: &[&str],
    ) -> errors::Elsewhere<'_> {
        let inventory = self.inventory;
        let has = |namespace: &&SmolStr| {
            let key = ((*namespace).clone(), SmolStr::from(name));
            inventory.services.contains_key(&key) || !inventory.named(namespace, name).is_empty()
        };
        let file = self.names.module(env.module).file.id;
        // A byte-order mark stays in front of an inserted `use`.
        let start = if self.sources.file(file).text.starts_with('\u{feff}') { 3 } else { 0 };
        let start = Span::new(file, start, start);
        errors::Elsewhere {
            near,
            namespace: inventory.namespaces.contains_key(name),
            pods: None,
            workload_of: inventory.namespaces.keys().filter(has).map(SmolStr::as_str).collect(),
            module: stdlib::defining(name, keywords).map(|module| (module, start)),
        }
    }

    /// Reports a namespace that the inventory lacks, unless the standard library names it. Without an inventory nothing
    /// is reported. `meant` is a namespace that is meant more likely than the nearest.
    pub(super) fn check_namespace(&mut self, span: Span, name: &SmolStr, meant: Option<SmolStr>, env: &Env) {
        let inventory = self.inventory;
        if self.is_users(env) && inventory.given && !inventory.namespaces.contains_key(name) {
            let near = meant.as_ref().or_else(|| inventory.nearest_namespace(name));
            let pods = PodSelector::in_namespace(name.clone());
            let scope = self.scope.as_ref().filter(|scope| !pods.is_inside(&scope.pods));
            self.push(errors::unknown_namespace(span, name, near, scope.map(|scope| scope.span)));
        }
    }

    /// Notes namespaces that the standard library names and the inventory lacks, once for each, at the user's word that
    /// brings them: a name, or an `apply`.
    pub(super) fn note_missing_namespaces<'p, Pods: Iterator<Item = (Span, &'p PodSelector)>>(
        &mut self,
        def: Def,
        span: Span,
        pods: impl FnOnce() -> Pods,
        env: &Env,
    ) {
        let inventory = self.inventory;
        if !inventory.given || self.names.module(def.module).role != Role::Standard {
            return;
        }
        let place = match self.site {
            Some(site) => site,
            None if self.is_users(env) => span,
            None => return,
        };
        for (named, pods) in pods() {
            let Some(name) = pods.namespace_name() else { continue };
            if !inventory.namespaces.contains_key(name) && self.missing.insert(name.clone()) {
                self.diagnostics.push(errors::library_namespace(place, name, named));
            }
        }
    }

    /// Reports a selector that matches no known pod: an error if something near is known, or if all known pods are on
    /// the host network; else a warning, since such pods may come later. Without an inventory nothing is reported.
    pub(super) fn check_selector(
        &mut self,
        span: Span,
        namespace: &NamespacePattern,
        written: &PodPattern,
        selector: &PodSelector,
    ) {
        let inventory = self.inventory;
        if !inventory.given || selector.namespace.is_any() && selector.all_pods() {
            return;
        }
        if self.selectors.contains(selector) {
            return;
        }
        if let NamespacePattern::Name(name) = namespace
            && !inventory.namespaces.contains_key(&name.text)
            && selector.namespace_name().is_none_or(|name| !inventory.namespaces.contains_key(name))
        {
            return;
        }
        let labels_of_namespace = match namespace {
            NamespacePattern::Labels(labels) => Some(labels),
            _ => None,
        };
        let diagnostic = match inventory.matched(selector) {
            Matched::Known => {
                let odd = self.values_of_nobody(labels_of_namespace, written, selector);
                if odd.is_empty() {
                    self.selectors.insert(selector.clone());
                }
                let text = self.text(span).to_owned();
                odd.into_iter().enumerate().for_each(|(at, odd)| self.push_unmatched(odd, format!("{text} {at}")));
                return;
            }
            Matched::HostNetwork(workload) => errors::on_host_network(span, self.text(span), workload),
            Matched::NoNamespace(near) => {
                errors::no_such_namespaces(span, labels_of_namespace, near.as_ref(), inventory.namespaces.keys())
            }
            Matched::Near(_) | Matched::Unknown { .. } if inventory.unread_of(selector).is_some() => {
                let Some(unread) = inventory.unread_of(selector) else { return };
                errors::kind_not_read(span, self.text(span), unread)
            }
            Matched::Near(near) => {
                let text = match written {
                    PodPattern::Labels(labels) => self.text(labels.span),
                    _ => self.text(span),
                };
                errors::selector_matches_nothing(span, written, text, &near)
            }
            Matched::Unknown { any, elsewhere } => {
                let declaration = self.declaration_of(selector);
                let namespaces = selector.namespace_name().into_iter().flat_map(|name| inventory.workloads_in(name));
                let mut keys: Vec<&SmolStr> = namespaces.flat_map(|workload| workload.labels.keys()).collect();
                keys.sort_unstable();
                keys.dedup();
                // For a key that pods have, the message lists its values, so the key itself is left out.
                let asked = |key: &&SmolStr| selector.labels.list().iter().any(|one| one.key == **key);
                keys.retain(|key| !asked(key));
                errors::selector_unmatched(span, self.text(span), any, elsewhere, &keys, declaration)
            }
        };
        self.push_unmatched(diagnostic, self.text(span).to_owned());
    }

    /// Adds a finding about a selector or a name. The warning that no known pod matches it is reported only at its
    /// first span.
    fn push_unmatched(&mut self, diagnostic: Diagnostic, text: String) {
        if diagnostic.code != Code::SelectorUnmatched || self.unmatched.insert(text) {
            self.push(diagnostic);
        }
    }

    /// Returns a message about the values of an `in (…)` that no known pod or namespace has.
    fn values_of_nobody(
        &self,
        namespace: Option<&Labels>,
        written: &PodPattern,
        selector: &PodSelector,
    ) -> Vec<Diagnostic> {
        let labels = match written {
            PodPattern::Labels(labels) => Some(labels),
            _ => None,
        };
        let mut found = Vec::new();
        for (labels, of_namespace) in [(namespace, true), (labels, false)] {
            for requirement in labels.into_iter().flat_map(|labels| &labels.requirements) {
                let LabelTest::In(list) = &requirement.test else { continue };
                if list.len() < 2 {
                    continue;
                }
                let nobody: Vec<&Word> = list
                    .iter()
                    .filter(|value| {
                        let one = Requirement::is_in(requirement.key.text.clone(), [value.text.clone()]);
                        let all = if of_namespace { &selector.namespace } else { &selector.labels };
                        let Some(narrowed) = all.clone().and(one) else { return false };
                        let narrow = match of_namespace {
                            true => PodSelector { namespace: narrowed, ..PodSelector::any() },
                            false => PodSelector { labels: narrowed, ..selector.clone() },
                        };
                        !matches!(self.inventory.matched(&narrow), Matched::Known | Matched::HostNetwork(_))
                    })
                    .collect();
                if !nobody.is_empty() {
                    found.push(errors::values_unmatched(
                        requirement.span,
                        &requirement.key.text,
                        &nobody,
                        of_namespace,
                    ));
                }
            }
        }
        found
    }

    /// Returns a declaration of pods that a selector means, ready to paste.
    fn declaration_of(&self, selector: &PodSelector) -> Option<String> {
        let inventory = self.inventory;
        let mut namespaces = inventory.namespaces.keys();
        let namespace = match selector.namespace_name() {
            Some(name) => name,
            None => namespaces.find(|name| inventory.meets(name, &selector.namespace) == Some(true))?,
        };
        let pairs: Vec<(&SmolStr, &str)> = selector
            .labels
            .list()
            .iter()
            .filter_map(|requirement| match &requirement.test {
                Test::In(values) => Some((&requirement.key, values.first()?.as_str())),
                Test::Exists => Some((&requirement.key, "")),
                Test::NotIn(_) | Test::DoesNotExist => None,
            })
            .collect();
        let account = match &selector.account {
            Account::Is(name) => Some(name.as_str()),
            Account::Not(_) => None,
        };
        if pairs.is_empty() && account.is_none() {
            return None;
        }
        let is_name = |text: &&str| is_dns_label(text) && text.len() > 2 && !matches!(*text, "true" | "false" | "yes");
        let of_value = pairs.iter().map(|(_, value)| *value).find(is_name);
        let of_key = pairs.iter().filter_map(|(key, _)| key.rsplit('/').next()).find(is_name);
        let mut name = account.filter(is_name).or(of_value).or(of_key).unwrap_or("pods").to_string();
        while inventory.services.contains_key(&(namespace.clone(), name.as_str().into()))
            || !inventory.named(namespace, &name).is_empty()
        {
            name.push_str("-pods");
        }
        Some(errors::workload_declaration(namespace, &name, &pairs, account))
    }

    /// Returns the port that is written right behind a name, as in `app/mail:587`.
    fn port_behind(&self, name: Span) -> Option<u16> {
        let rest = self.text(Span { start: name.end, end: u32::MAX, ..name }).strip_prefix(':')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    }

    /// Returns the pods of `ns/name`: a workload's, a Service's, or those with the recommended label.
    pub(super) fn named_pods(&mut self, namespace: &SmolStr, name: &Word, env: &Env) -> Option<Requirements> {
        let inventory = self.inventory;
        let key = (namespace.clone(), name.text.clone());
        let workloads = inventory.named(namespace, &name.text);
        let service = inventory.services.get(&key);
        let workload = match workloads.as_slice() {
            [] => None,
            [first, rest @ ..] => {
                if let Some(other) = rest.iter().find(|other| other.selector != first.selector) {
                    self.push(errors::workloads_of_one_name(name.span, &key, first, other));
                    return None;
                }
                Some(*first)
            }
        };
        match (workload, service) {
            (Some(workload), service) => {
                let Some(selector) = &workload.selector else {
                    self.push(errors::no_labels(name.span, workload));
                    return None;
                };
                if let Some(service) = service
                    && let Some(labels) = &service.selector
                    && !self.same_pods(namespace, selector, labels)
                {
                    self.push(errors::name_of_two(name.span, &key, workload, selector, service));
                    return None;
                }
                if self.is_users(env) && workloads.iter().all(|workload| workload.host_network) {
                    self.push(errors::named_on_host(name.span, workload));
                    return None;
                }
                Some(selector.clone())
            }
            (None, Some(service)) => match &service.selector {
                Some(labels) => {
                    let selector = equalities(labels)?;
                    let pods = PodSelector { labels: selector.clone(), ..PodSelector::in_namespace(namespace.clone()) };
                    // A Service shows that pods will come which the inventory does not have yet.
                    if inventory.given
                        && self.is_users(env)
                        && let Matched::HostNetwork(on_host) = inventory.matched(&pods)
                    {
                        self.push(errors::named_on_host(name.span, on_host));
                        return None;
                    }
                    Some(selector)
                }
                None => {
                    let port = self.port_behind(name.span);
                    self.push(errors::service_without_pods(name.span, &key, service, port));
                    None
                }
            },
            (None, None) if (namespace.as_str(), name.text.as_str()) == ("default", "kubernetes") => {
                self.push(errors::service_is_api_server(name.span));
                None
            }
            (None, None) => {
                let selector = assumed(&name.text)?;
                let pods = PodSelector { labels: selector.clone(), ..PodSelector::in_namespace(namespace.clone()) };
                if !inventory.given {
                    if self.is_users(env) {
                        self.push(errors::assumed_label(name.span, &key));
                    }
                    return Some(selector);
                }
                match inventory.matched(&pods) {
                    Matched::Known if self.is_users(env) => self.push(errors::assumed_label(name.span, &key)),
                    Matched::HostNetwork(on_host) if self.is_users(env) => {
                        self.push(errors::named_on_host(name.span, on_host));
                        return None;
                    }
                    // A namespace that the inventory lacks has its own message.
                    Matched::Known | Matched::HostNetwork(_) | Matched::NoNamespace(_) => {}
                    Matched::Near(_) | Matched::Unknown { .. } => {
                        let named = |one: &&Unread| (&one.namespace, &one.name) == (&key.0, &key.1);
                        match inventory.unread.iter().find(named).or_else(|| inventory.unread_of(&pods)) {
                            Some(unread) => {
                                let text = format!("{namespace}/{}", name.text);
                                self.push(errors::kind_not_read(name.span, &text, unread));
                            }
                            None => self.unknown_name_of_pods(name, &key, env),
                        }
                    }
                }
                Some(selector)
            }
        }
    }

    /// Reports a name that no workload and no Service has: an error if one of them has nearly that name, else a
    /// warning.
    fn unknown_name_of_pods(&mut self, name: &Word, key: &(SmolStr, SmolStr), env: &Env) {
        let inventory = self.inventory;
        let (namespace, text) = (&key.0, name.text.as_str());
        let workloads = inventory.workloads_in(namespace).iter().filter(|workload| !workload.owned);
        let names = workloads.map(|workload| workload.name.as_str());
        let services = inventory.services.range((namespace.clone(), SmolStr::default())..);
        let services = services.take_while(|((other, _), _)| other == namespace).map(|((_, name), _)| name.as_str());
        let names: Vec<&str> = names.chain(services).collect();
        let near = names.iter().copied().filter(|other| one_edit(text, other)).min();
        let diagnostic = match near {
            Some(near) => errors::nothing_named(name.span, key, near),
            None => {
                let any = !names.is_empty();
                let in_sight = self.names.in_sight(env.module, text).is_some();
                errors::name_unmatched(name.span, key, any, nearest(text, names)).note_opt(
                    in_sight.then(|| format!("or is the name `{text}` meant? It stands without a namespace: `{text}`")),
                )
            }
        };
        self.push_unmatched(diagnostic, format!("{namespace}/{text}"));
    }

    /// Returns whether a workload's selector and a Service's select the same pods: by their requirements, or else by
    /// all workloads that the inventory knows in the namespace.
    fn same_pods(&self, namespace: &SmolStr, selector: &Requirements, service: &labels::Labels) -> bool {
        let Some(service) = equalities(service) else { return false };
        *selector == service || {
            let known = self.inventory.workloads.iter().filter(|workload| workload.namespace == *namespace);
            let mut pods = known.filter(|workload: &&Workload| !workload.host_network).peekable();
            pods.peek().is_some()
                && pods.all(|workload| selector.matches(&workload.labels) == service.matches(&workload.labels))
        }
    }

    /// Returns the labels of a namespace if a Namespace object or a declaration gives them.
    pub(super) fn namespace_labels(&self, name: &str) -> Option<&labels::Labels> {
        self.inventory.namespaces.get(name).filter(|namespace| namespace.declared).map(|namespace| &namespace.labels)
    }
}

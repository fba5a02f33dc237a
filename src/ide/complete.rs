//! Completion: the words that may be written at a place.
//!
//! ```text
//! allow egress garden/|       the workloads and Services of garden, `*`, `{`, `@`
//! allow egress garden/api:|   the ports of the Service garden/api
//! allow egress garden/{app=|  the values of the label app in garden
//! ```
//!
//! [`context`] finds, from the text before the place, what kind of word may follow; this module has the words of each
//! kind.

mod context;
mod seen;

pub(super) use seen::Seen;

use smol_str::SmolStr;

use self::context::{Context, Due};
use super::Analysis;
use super::words::{annotation_of, keyword};
use crate::diag::Code;
use crate::resolve::{Lookup, defined, stdlib};
use crate::source::{FileId, Span};
use crate::syntax::tree::ItemKind;
use crate::syntax::vocabulary::{ANNOTATIONS, CONDITIONS, Keyword, PROTOCOLS};

/// The kinds of completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionKind {
    /// A word of the language.
    Keyword,
    /// A name that a statement defines.
    Name,
    /// A template.
    Template,
    /// A namespace.
    Namespace,
    /// A workload, a Service or an account.
    Object,
    /// A key of a label.
    Key,
    /// A value of a label, a port, a method.
    Value,
    /// A host.
    Host,
    /// A module or a file.
    Module,
}

/// A word that may be written at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The word, which replaces `replaces`.
    pub text: String,
    /// Its kind.
    pub kind: CompletionKind,
    /// A few words beside it.
    pub detail: String,
    /// More words, in Markdown; may be empty.
    pub doc: String,
    /// The part of the word that is written already.
    pub replaces: Span,
}

/// The usual HTTP methods (RFC 9110, RFC 5789).
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// The types of parameters.
const TYPES: [&str; 7] = ["Namespace", "Workloads", "Host", "Addresses", "Endpoint", "Port", "String"];

impl Analysis {
    /// Returns the words that may be written at an offset, the most likely first.
    pub fn completions(&self, file: FileId, offset: u32) -> Vec<Completion> {
        self.words_at(file, offset, Wanted::All).0
    }

    /// Returns the first of the words that may stand at an offset, at most so many, and whether there are more: of
    /// those that begin as the word that is written there, or else of those that contain it.
    pub fn first_completions(&self, file: FileId, offset: u32, most: usize) -> (Vec<Completion>, bool) {
        match self.words_at(file, offset, Wanted::Beginning(most)) {
            (found, _) if found.is_empty() => self.words_at(file, offset, Wanted::Containing(most)),
            found => found,
        }
    }

    fn words_at(&self, file: FileId, offset: u32, wanted: Wanted) -> (Vec<Completion>, bool) {
        let text = &self.sources().file(file).text;
        let Some(Context { due, prefix }) = context::at(text, offset as usize) else { return Default::default() };
        let written = text.get(prefix..offset as usize).unwrap_or_default();
        let replaces = Span::new(file, prefix, offset as usize);
        let mut list = List { analysis: self, file, replaces, written, wanted, found: Vec::new(), has_more: false };
        list.fill(&due);
        let mut known = std::collections::HashSet::new();
        list.found.retain(|one| known.insert(one.text.clone()));
        (list.found, list.has_more)
    }
}

/// Which of the words are wanted.
#[derive(Clone, Copy)]
enum Wanted {
    All,
    /// So many of those that begin as what is written.
    Beginning(usize),
    /// So many of those that contain what is written.
    Containing(usize),
}

struct List<'a> {
    analysis: &'a Analysis,
    file: FileId,
    replaces: Span,
    /// The part of the word that is written already.
    written: &'a str,
    wanted: Wanted,
    found: Vec<Completion>,
    /// Whether there are more than are wanted.
    has_more: bool,
}

impl List<'_> {
    fn add(&mut self, text: impl AsRef<str>, kind: CompletionKind, detail: impl Into<String>) {
        self.add_with(text, kind, || (detail.into(), String::new()));
    }

    /// Adds a word, if it is wanted, with its detail and its documentation.
    fn add_with(&mut self, text: impl AsRef<str>, kind: CompletionKind, more: impl FnOnce() -> (String, String)) {
        let text = text.as_ref();
        let (fits, most) = match self.wanted {
            Wanted::All => (true, usize::MAX),
            Wanted::Beginning(most) => (text.starts_with(self.written), most),
            Wanted::Containing(most) => (text.contains(self.written), most),
        };
        if !fits || self.found.len() >= most {
            self.has_more |= fits;
            return;
        }
        let (detail, doc) = more();
        self.found.push(Completion { text: text.to_owned(), kind, detail, doc, replaces: self.replaces });
    }

    fn words<'w>(&mut self, words: impl IntoIterator<Item = &'w str>) {
        for word in words {
            let doc = || keyword(word).unwrap_or_default().to_owned();
            self.add_with(word, CompletionKind::Keyword, || (String::new(), doc()));
        }
    }

    fn fill(&mut self, due: &Due<'_>) {
        match due {
            Due::Statement(None) => self.words(Keyword::STATEMENTS.map(Keyword::word)),
            Due::Statement(Some(block)) => {
                let words = block.statements().iter().chain(block.fields()).map(|word| word.word());
                self.words(words);
            }
            Due::Words(words) => self.words(words.iter().copied()),
            Due::Endpoint(words) => {
                self.words(words.iter().copied());
                self.names(|kind| matches!(kind, ItemKind::Let(_) | ItemKind::Gateway(_)));
                self.namespaces("/");
                self.hosts();
            }
            Due::Namespace => self.namespaces(""),
            Due::Pods(namespace) => self.pods(namespace),
            Due::Accounts(namespace) => self.accounts(namespace),
            Due::Keys(namespace) => self.keys(namespace.as_deref()),
            Due::Values(namespace, key) => self.values(namespace.as_deref(), key),
            Due::Ports(endpoint) => self.ports(endpoint),
            Due::Protocols => PROTOCOLS.into_iter().for_each(|word| self.add(word, CompletionKind::Value, "")),
            Due::Conditions => self.words(CONDITIONS),
            Due::Methods => METHODS.into_iter().for_each(|word| self.add(word, CompletionKind::Value, "")),
            Due::Types => TYPES.into_iter().for_each(|word| self.add(word, CompletionKind::Keyword, "")),
            Due::Hosts => self.hosts(),
            Due::Gateways => self.names(|kind| matches!(kind, ItemKind::Gateway(_))),
            Due::Issuers => self.names(|kind| matches!(kind, ItemKind::Issuer(_))),
            Due::Templates => self.names(|kind| matches!(kind, ItemKind::Template(_))),
            Due::Annotations => {
                for name in ANNOTATIONS {
                    let doc = || annotation_of(name).unwrap_or_default().to_owned();
                    self.add_with(name, CompletionKind::Keyword, || (String::new(), doc()));
                }
            }
            Due::Codes => {
                let hidden = Code::ALL.iter().filter(|code| !code.as_str().starts_with('E'));
                hidden.for_each(|code| self.add(code.as_str(), CompletionKind::Value, code.title()));
            }
            Due::Modules => self.modules(),
            Due::Files => self.files(),
            Due::Listed(path) => self.listed(path),
            Due::Argument(template, at) => self.argument(template, *at as usize),
        }
    }

    fn names(&mut self, wanted: impl Fn(&ItemKind) -> bool) {
        let Some((names, module)) = self.analysis.names().zip(self.analysis.module(self.file)) else { return };
        for (name, def) in names.all_in_sight(module) {
            let item = names.item(def);
            if !wanted(&item.kind) {
                continue;
            }
            let kind = match &item.kind {
                ItemKind::Template(_) => CompletionKind::Template,
                _ => CompletionKind::Name,
            };
            let sources = self.analysis.sources();
            let detail = || match &item.kind {
                ItemKind::Template(template) => super::signature::label(template).0,
                ItemKind::Gateway(_) => "gateway".to_owned(),
                ItemKind::Issuer(_) => "issuer".to_owned(),
                _ => sources.file(names.module(def.module).file.id).path.clone(),
            };
            let doc = || item.doc.as_ref().map(ToString::to_string).unwrap_or_default();
            self.add_with(name, kind, || (detail(), doc()));
        }
    }

    fn namespaces(&mut self, after: &str) {
        let analysis = self.analysis;
        let mut names: Vec<&str> = analysis.inventory().namespaces.keys().map(SmolStr::as_str).collect();
        names.extend(analysis.seen().namespaces.iter().map(SmolStr::as_str));
        names.sort();
        names.dedup();
        for name in names {
            self.add([name, after].concat(), CompletionKind::Namespace, "namespace");
        }
    }

    fn hosts(&mut self) {
        let hosts = self.analysis.seen().hosts.iter();
        hosts.for_each(|host| self.add(host.as_str(), CompletionKind::Host, "host"));
    }

    fn pods(&mut self, namespace: &str) {
        let inventory = self.analysis.inventory();
        for workload in inventory.workloads_in(namespace).iter().filter(|one| !one.owned) {
            self.add(workload.name.as_str(), CompletionKind::Object, workload.kind.word());
        }
        for ((of, name), service) in &inventory.services {
            if of == namespace {
                let ports: Vec<String> = service.ports.iter().map(|port| port.port.to_string()).collect();
                self.add(name.as_str(), CompletionKind::Object, format!("Service :{}", ports.join(", ")));
            }
        }
        let seen = self.analysis.seen().workloads.iter().filter(|(of, _)| of == namespace);
        seen.for_each(|(_, name)| self.add(name.as_str(), CompletionKind::Object, ""));
        self.add("*", CompletionKind::Keyword, "every pod");
        self.add("{", CompletionKind::Keyword, "pods by labels");
        self.add("@", CompletionKind::Keyword, "pods by account");
    }

    fn accounts(&mut self, namespace: &str) {
        let inventory = self.analysis.inventory();
        let here = |of: &str| namespace == "*" || of == namespace;
        let mut names: Vec<&str> =
            inventory.accounts.iter().filter(|(of, _)| here(of)).map(|(_, name)| name.as_str()).collect();
        names.extend(inventory.workloads.iter().filter(|one| here(&one.namespace)).map(|one| one.account.as_str()));
        names.extend(self.analysis.seen().accounts.iter().map(|name| name.as_str()));
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        names.dedup();
        names.into_iter().for_each(|name| self.add(name, CompletionKind::Object, "service account"));
    }

    /// Calls `each` with every known label of pods of a namespace, or without one of namespaces.
    fn labels(&self, namespace: Option<&str>, each: &mut dyn FnMut(&str, &str)) {
        let inventory = self.analysis.inventory();
        match namespace {
            Some(namespace) => {
                let of = |one: &&crate::inventory::Workload| namespace == "*" || one.namespace == namespace;
                let labels = inventory.workloads.iter().filter(of).flat_map(|one| &one.labels);
                labels.filter(|(key, _)| !crate::inventory::is_passing(key)).for_each(|(key, value)| each(key, value));
            }
            None => {
                let labels = inventory.namespaces.values().flat_map(|one| &one.labels);
                labels.for_each(|(key, value)| each(key, value));
            }
        }
        self.analysis.seen().labels.iter().for_each(|(key, value)| each(key, value));
    }

    fn keys(&mut self, namespace: Option<&str>) {
        let mut keys: Vec<String> = Vec::new();
        self.labels(namespace, &mut |key, _| keys.push(key.to_owned()));
        keys.sort();
        keys.dedup();
        keys.into_iter().for_each(|key| self.add(key, CompletionKind::Key, "label"));
    }

    fn values(&mut self, namespace: Option<&str>, wanted: &str) {
        let mut values: Vec<String> = Vec::new();
        self.labels(namespace, &mut |key, value| {
            if key == wanted && !value.is_empty() {
                values.push(value.to_owned());
            }
        });
        values.sort();
        values.dedup();
        values.into_iter().for_each(|value| self.add(value, CompletionKind::Value, wanted));
    }

    fn ports(&mut self, endpoint: &str) {
        let inventory = self.analysis.inventory();
        let Some((namespace, name)) = endpoint.split_once('/') else { return };
        if let Some(service) = inventory.services.get(&(namespace.into(), name.into())) {
            for port in &service.ports {
                let target = match &port.target {
                    crate::inventory::TargetPort::Number(number) => number.to_string(),
                    crate::inventory::TargetPort::Name(name) => name.to_string(),
                };
                let named = port.name.as_ref().map(|name| format!("{name}, ")).unwrap_or_default();
                self.add(port.port.to_string(), CompletionKind::Value, format!("{named}leads to {target}"));
            }
        }
        let of_name = inventory.named(namespace, name);
        let pods: Vec<_> = match of_name.is_empty() {
            true => inventory.workloads_in(namespace).iter().collect(),
            false => of_name,
        };
        for port in pods.into_iter().flat_map(|one| &one.ports) {
            let detail = format!("{}, {}", port.port, port.protocol.word());
            match &port.name {
                Some(name) => self.add(name.as_str(), CompletionKind::Value, detail),
                None => self.add(port.port.to_string(), CompletionKind::Value, port.protocol.word()),
            }
        }
    }

    fn modules(&mut self) {
        let names = stdlib::MODULES.iter();
        names.for_each(|(name, _)| self.add(format!("std/{name}"), CompletionKind::Module, "standard library"));
        self.add("\"./", CompletionKind::Module, "a file");
    }

    /// Adds the other files of the policy, by their paths relative to this one.
    fn files(&mut self) {
        let own = self.analysis.sources().file(self.file).path.clone();
        let folder: Vec<&str> = own.split('/').collect();
        let folder = &folder[..folder.len() - 1];
        for file in self.analysis.files() {
            if file == self.file {
                continue;
            }
            let path: Vec<&str> = self.analysis.sources().file(file).path.split('/').collect();
            let shared = folder.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let up = "../".repeat(folder.len() - shared);
            let up = if up.is_empty() { "./" } else { &up };
            let way = format!("{up}{}", path[shared..].join("/"));
            self.add(way, CompletionKind::Module, "");
        }
    }

    fn listed(&mut self, path: &str) {
        let Some((names, tree)) = self.analysis.names().zip(self.analysis.tree(self.file)) else { return };
        let import = tree.items.iter().find_map(|item| match &item.kind {
            ItemKind::Use(import) if self.analysis.text(import.path_span) == path => Some(import),
            _ => None,
        });
        // A `use` may be unreadable while its list is being written; a module of the standard library is known in any
        // case.
        let used = import.and_then(|import| self.analysis.module(self.analysis.used_file(self.file, import)?));
        if let Some(used) = used {
            for (name, def) in names.exports(used) {
                let doc = || names.item(def).doc.as_ref().map(ToString::to_string).unwrap_or_default();
                self.add_with(name, CompletionKind::Name, || (String::new(), doc()));
            }
        } else if let Some(text) = path.strip_prefix("std/").and_then(stdlib::module) {
            let mut sources = crate::source::Sources::new();
            let file = sources.add(path, text);
            let tree = crate::syntax::parse(&sources, file, &mut crate::diag::Diagnostics::new());
            let names = tree.items.iter().filter_map(|item| defined(&item.kind));
            names.for_each(|name| self.add(name.text.as_str(), CompletionKind::Name, ""));
        }
    }

    fn argument(&mut self, template: &str, at: usize) {
        let Some((names, module)) = self.analysis.names().zip(self.analysis.module(self.file)) else { return };
        let Lookup::Found(def) = names.lookup(module, template) else { return };
        let ItemKind::Template(template) = &names.item(def).kind else { return };
        let Some(parameter) = template.parameters.get(at) else { return };
        match parameter.kind.text.as_str() {
            "Namespace" => {
                self.namespaces("");
                self.words(["each"]);
            }
            "Host" => {
                self.names(|kind| matches!(kind, ItemKind::Let(_)));
                self.hosts();
            }
            "Port" | "String" => {}
            _ => self.fill(&Due::Endpoint(&[])),
        }
    }
}

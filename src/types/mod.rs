//! Kinds, templates and facts: from names to the typed [`Program`].
//!
//! Every endpoint is evaluated to a flat union whose members have selectors, addresses or hosts and, as destinations,
//! the ports of the pods; every `apply` is expanded; every rule has its governed sides checked. What is wrong is pushed
//! and left out, so that one mistake gives one message and the rest is still checked.

mod clauses;
mod declarations;
mod endpoints;
mod errors;
mod facts;
mod gateway_ports;
mod issuers;
mod known;
mod matching;
mod ports;
mod program;
mod readings;
mod rules;
mod scope;
mod selectors;
mod templates;
mod value;
mod via;

use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

pub use facts::equalities;
pub use program::Program;
pub use selectors::requirement;
use value::{Env, Value};

use crate::diag::{Diagnostic, Diagnostics};
use crate::inventory::Inventory;
use crate::model::addresses::AddressSet;
use crate::model::conditions::{Conditions, Issuer};
use crate::model::gateways::Gateway;
use crate::model::labels::PodSelector;
use crate::model::rules::Rule;
use crate::resolve::{Def, Lookup, Lookups, ModuleId, Names, Role, report_unused};
use crate::settings::{Layer, Settings};
use crate::source::{Sources, Span};
use crate::syntax::Deferred;
use crate::syntax::tree::{Item, ItemKind};

/// Checks a build and returns its typed program. After an error the program holds what could be understood. The
/// statements about flows are read from `names` and let go as they are checked, which keeps a large build small.
pub fn check(
    names: &Names,
    deferred: Vec<(ModuleId, Deferred)>,
    inventory: Inventory,
    settings: &Settings,
    sources: &Sources,
    diagnostics: &mut Diagnostics,
) -> Program {
    let inventory = facts::with_declarations(names, inventory, diagnostics);
    let mut checker = Checker {
        names,
        inventory: &inventory,
        settings,
        sources,
        diagnostics,
        lookups: Lookups::default(),
        lets: FxHashMap::default(),
        open: Vec::new(),
        gateways: FxHashMap::default(),
        issuers: FxHashMap::default(),
        readings: FxHashMap::default(),
        unconditional: Arc::default(),
        namespaces: FxHashMap::default(),
        selectors: FxHashSet::default(),
        sizes: FxHashMap::default(),
        broken: FxHashSet::default(),
        used_parameters: FxHashSet::default(),
        scope: None,
        rules: Vec::new(),
        yielded: 0,
        tried: 0,
        site: None,
        excepting: 0,
        known: None,
        written: Vec::new(),
        missing: FxHashSet::default(),
        warned: FxHashSet::default(),
    };
    checker.declarations();
    checker.templates();
    for (id, module) in names.modules() {
        if module.role == Role::Used {
            checker.scope_of(id);
        }
    }
    checker.rules.reserve(deferred.iter().map(|(_, deferred)| deferred.len()).sum());
    for (module, deferred) in deferred {
        checker.scope = checker.scope_of(module);
        let env = Env::top(module);
        deferred.read(sources, names.module(module).file.id, |items, found| {
            checker.diagnostics.append(found);
            items.iter().for_each(|item| checker.statement(item, &env, &[]));
        });
    }
    let dns = checker.dns();
    let meshed = settings.targets.contains(&Layer::Istio);
    let istiod = if meshed { checker.istiod() } else { Arc::default() };
    let internet = checker.addresses_of("net", "internet");
    let pod_addresses = checker.pod_addresses();
    let node_addresses = checker.node_addresses();
    let gateways = checker.gateways_in_use();
    let (rules, lookups) = (checker.rules, checker.lookups);
    report_unused(names, &lookups, sources, diagnostics);
    Program {
        rules,
        lookups,
        gateways,
        dns,
        istiod,
        internet,
        pod_addresses,
        node_addresses,
        inventory: Arc::new(inventory),
    }
}

/// Why a name stands for nothing.
enum Missing {
    /// It has been said.
    Said,
    /// Nobody defines it; the nearest name in sight, if one is near.
    Unknown(Option<SmolStr>),
}

/// The state of a check.
struct Checker<'a> {
    names: &'a Names,
    inventory: &'a Inventory,
    settings: &'a Settings,
    sources: &'a Sources,
    diagnostics: &'a mut Diagnostics,
    /// What the names of the user's files were taken for.
    lookups: Lookups,
    /// The values of `let`s; `None` where one could not be made sense of.
    lets: FxHashMap<Def, Option<Rc<Value>>>,
    /// The `let`s and gateways that are being evaluated, for cycles.
    open: Vec<Def>,
    gateways: FxHashMap<Def, Option<Arc<Gateway>>>,
    issuers: FxHashMap<Def, Option<Arc<Issuer>>>,
    /// What rules without conditions share.
    unconditional: Arc<Conditions>,
    /// The selectors of whole namespaces, which are shared by all that speaks of one.
    namespaces: FxHashMap<SmolStr, PodSelector>,
    /// Selectors of which the inventory knows the pods.
    selectors: FxHashSet<PodSelector>,
    /// What a look at the inventory said of how the mesh reads the ports of pods.
    readings: FxHashMap<readings::Asked, Option<readings::Misread>>,
    /// How large templates are; `None` where one does not end.
    sizes: FxHashMap<Def, Option<templates::Size>>,
    /// Templates whose bodies have errors: applying them would only repeat these.
    broken: FxHashSet<Def>,
    /// Parameters of the template under check that were looked at.
    used_parameters: FxHashSet<(ModuleId, SmolStr)>,
    /// The scope of the file whose statements are checked, with its place.
    scope: Option<scope::Scope>,
    rules: Vec<Rule>,
    /// How many statements templates have yielded.
    yielded: usize,
    /// The same of templates that were checked by themselves.
    tried: usize,
    /// The outermost `apply` that is being expanded.
    site: Option<Span>,
    /// How many `except` stand around the endpoint under check: what its addresses hold is looked at afterwards.
    excepting: usize,
    /// The addresses of pods and nodes, once somebody asked for them.
    known: Option<Rc<known::Known>>,
    /// Addresses that were written or brought since the last look at what they hold, each with its place.
    written: Vec<(Span, AddressSet)>,
    /// Namespaces that the standard library names and the inventory lacks, as far as they were noted.
    missing: FxHashSet<SmolStr>,
    /// The gateways of which it was said that they pass TLS on unread, by their declarations.
    warned: FxHashSet<Span>,
}

impl Checker<'_> {
    /// Adds a finding. What shows only when a template is expanded is the matter of its `apply`.
    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(match self.site {
            Some(site) => errors::of_apply(diagnostic, site),
            None => diagnostic,
        });
    }

    /// Looks a name up as it is seen in a module, and records what stands at its place.
    fn find(&mut self, module: ModuleId, name: &str, span: Span) -> Result<Def, Missing> {
        match self.names.lookup(module, name) {
            Lookup::Found(def) => {
                if self.names.module(module).role != Role::Standard {
                    self.lookups.record(span, def);
                }
                Ok(def)
            }
            Lookup::Lost => Err(Missing::Said),
            Lookup::Unknown(near) => Err(Missing::Unknown(near)),
            Lookup::Ambiguous(defs) => {
                let ways: Vec<(Span, &str)> =
                    defs.iter().map(|(def, path)| (self.names.name_span(*def), self.text(*path))).collect();
                let diagnostic = errors::ambiguous_name(span, name, &ways);
                self.push(diagnostic);
                Err(Missing::Said)
            }
        }
    }

    /// Returns the source text of a span.
    fn text(&self, span: Span) -> &str {
        self.sources.slice(span)
    }

    /// Returns the place of a statement from its keyword on, without the annotations before it.
    fn statement_span(&self, item: &Item) -> Span {
        let before = item.annotations.last().map_or(item.span.start, |last| last.span.end);
        let rest = Span { start: before, ..item.span };
        let mut text = self.text(rest);
        loop {
            text = text.trim_start();
            match text.strip_prefix('#') {
                Some(comment) => text = comment.split_once('\n').map_or("", |(_, after)| after),
                None => break,
            }
        }
        Span { start: item.span.end - text.len() as u32, ..item.span }
    }

    /// Returns the words from one place to another on one line, where they are few enough to be shown in a sentence.
    fn sentence(&self, from: u32, statement: Span) -> Option<String> {
        let text = self.text(Span { start: from, ..statement });
        let words: Vec<&str> = text.split_whitespace().collect();
        let line = words.join(" ");
        (!line.contains('#') && line.chars().count() <= 100).then_some(line)
    }

    /// Returns whether an expression of this environment was written by the user, so that the inventory's word counts.
    fn is_users(&self, env: &Env) -> bool {
        self.names.module(env.module).role != Role::Standard
    }

    /// Evaluates every declaration of the user's files once, used or not, so that its mistakes show.
    fn declarations(&mut self) {
        for (id, module) in self.names.modules() {
            if module.role == Role::Standard {
                continue;
            }
            for (at, item) in module.file.items.iter().enumerate() {
                let def = Def { module: id, item: at as u32 };
                match &item.kind {
                    ItemKind::Let(_) => drop(self.let_value(def)),
                    ItemKind::Gateway(_) => drop(self.gateway(def)),
                    ItemKind::Issuer(_) => drop(self.issuer(def)),
                    _ => {}
                }
                self.warn_of_known_addresses(&[]);
            }
        }
    }
}

//! Kinds, templates and facts: from names to the typed [`Program`].
//!
//! ```text
//! let db = data/{app=db}
//! allow egress shop/{app=web} -> db:5432
//!     a rule: it governs the pods shop/{app=web} on their way out; its peer is the pods data/{app=db} on TCP 5432
//! ```
//!
//! Endpoints become flat unions: each member has a selector, addresses or a host and, as a destination, the ports of
//! the pods. Every `apply` is expanded, and the governed sides of every rule are checked. A statement with a mistake is
//! reported and left out: one mistake gives one message, and the rest is still checked.

mod again;
mod clauses;
mod clients;
mod declarations;
mod endpoints;
mod errors;
mod facts;
mod gateway_ports;
mod issuers;
mod known;
mod matching;
mod platform;
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

pub use again::check_again;
pub use facts::equalities;
pub use platform::mark;
pub use program::Program;
pub use selectors::requirement;
use value::{Env, Value};

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::inventory::Inventory;
use crate::model::addresses::AddressSet;
use crate::model::conditions::{Conditions, Issuer};
use crate::model::endpoint::Endpoint;
use crate::model::gateways::Gateway;
use crate::model::labels::PodSelector;
use crate::model::rules::{Claim, Rule, Test};
use crate::resolve::{Def, Lookup, Lookups, ModuleId, Names, Role, report_unused};
use crate::settings::Settings;
use crate::source::{Sources, Span};
use crate::syntax::Deferred;
use crate::syntax::tree::{AnnotationKind, Expr, Item, ItemKind};

/// Checks a build and returns its typed program. After an error the program contains the statements without one. The
/// deferred statements are parsed here and dropped one after the other as they are checked, which keeps the memory of a
/// large build small.
pub fn check(
    names: &Names,
    deferred: Vec<(ModuleId, Deferred)>,
    inventory: Inventory,
    settings: &Settings,
    sources: &Sources,
    diagnostics: &mut Diagnostics,
) -> Program {
    let inventory = facts::with_declarations(names, inventory, diagnostics);
    let mut checker = Checker::new(names, &inventory, settings, sources, diagnostics);
    for (_, module) in names.modules().filter(|(_, module)| module.role != Role::Standard) {
        module.file.items.iter().for_each(|item| checker.allow(item));
    }
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
    let istiod = checker.istiod();
    let api_server = checker.api_server();
    checker.warn_of_platform();
    checker.warn_of_cluster_addresses();
    let internet = checker.addresses_of("net", "internet");
    let pod_addresses = checker.pod_addresses();
    let node_addresses = checker.node_addresses();
    let gateways = checker.gateways_in_use();
    let (assertions, tests) = (checker.assertions, checker.tests);
    let (rules, lookups) = (checker.rules, checker.lookups);
    report_unused(names, &lookups, sources, diagnostics);
    Program {
        rules,
        assertions,
        tests,
        lookups,
        gateways,
        dns,
        istiod,
        api_server,
        internet,
        pod_addresses,
        node_addresses,
        inventory: Arc::new(inventory),
    }
}

/// Returns the meaning of an expression in a module, outside templates; `None` after a mistake in it. It is for
/// questions about a checked program: `inventory` includes the declarations of the source.
pub fn meaning(
    expr: &Expr,
    module: ModuleId,
    names: &Names,
    inventory: &Inventory,
    settings: &Settings,
    sources: &Sources,
) -> Option<Arc<Endpoint>> {
    let mut unsaid = Diagnostics::new();
    let mut checker = Checker::new(names, inventory, settings, sources, &mut unsaid);
    checker.scope = checker.scope_of(module);
    checker.endpoint(expr, &Env::top(module)).map(Value::into_endpoint)
}

/// Why a look-up of a name found nothing.
enum Missing {
    /// A message about the name has been pushed.
    Said,
    /// No definition has this name. The field is the nearest name in sight, if one is near.
    Unknown(Option<SmolStr>),
}

/// The state of a check.
struct Checker<'a> {
    names: &'a Names,
    inventory: &'a Inventory,
    settings: &'a Settings,
    sources: &'a Sources,
    diagnostics: &'a mut Diagnostics,
    /// The definitions of the names in the user's files.
    lookups: Lookups,
    /// The values of `let`s; `None` for one with a mistake.
    lets: FxHashMap<Def, Option<Rc<Value>>>,
    /// The `let`s and gateways that are being evaluated, for cycles.
    open: Vec<Def>,
    gateways: FxHashMap<Def, Option<Arc<Gateway>>>,
    issuers: FxHashMap<Def, Option<Arc<Issuer>>>,
    /// The empty conditions, which all rules without `where` share.
    unconditional: Arc<Conditions>,
    /// The selectors of whole namespaces: every endpoint that means `garden/*` shares one.
    namespaces: FxHashMap<SmolStr, PodSelector>,
    /// Selectors of which the inventory knows the pods.
    selectors: FxHashSet<PodSelector>,
    /// The protocols by which the mesh reads the ports of pods, for those that were looked up: see [`readings`].
    readings: FxHashMap<readings::PodsAndPorts, Option<readings::Misread>>,
    /// The sizes of templates; `None` for one that applies itself.
    sizes: FxHashMap<Def, Option<templates::Size>>,
    /// Templates whose bodies have errors: applying them would only repeat these.
    broken: FxHashSet<Def>,
    /// Parameters of the template under check that were used.
    used_parameters: FxHashSet<(ModuleId, SmolStr)>,
    /// The scope of the file whose statements are checked, with its span.
    scope: Option<scope::Scope>,
    /// The namespaces that `./` stands for, by file; for a file without one the span of its scope, if it has one.
    own_namespaces: FxHashMap<ModuleId, Result<SmolStr, Option<Span>>>,
    rules: Vec<Rule>,
    assertions: Vec<Claim>,
    tests: Vec<Test>,
    /// How many statements templates have yielded.
    yielded: usize,
    /// How many statements templates have yielded while they were checked by themselves.
    tried: usize,
    /// The outermost `apply` that is being expanded.
    site: Option<Span>,
    /// How many `except` enclose the endpoint under check. Its addresses are compared with known ones only after the
    /// outermost `except`.
    excepting: usize,
    /// The addresses of pods and nodes, made for the first rule that needs them.
    known: Option<Rc<known::KnownAddresses>>,
    /// Addresses of the rule under check, each with its span, that are still to be compared with known ones.
    written: Vec<(Span, AddressSet)>,
    /// Namespaces that the standard library names and the inventory lacks, as far as they were noted.
    missing: FxHashSet<SmolStr>,
    /// The gateways, by their declarations, that a warning already named because they pass TLS on unread.
    warned: FxHashSet<Span>,
    /// The texts of selectors and names that a warning already named because no known pod matches them.
    unmatched: FxHashSet<String>,
    /// The side of the rule under check that it does not govern.
    free: Option<Span>,
    /// Whether some Service of the inventory hides the addresses of its clients, if this was computed.
    hiding: Option<bool>,
}

impl<'a> Checker<'a> {
    fn new(
        names: &'a Names,
        inventory: &'a Inventory,
        settings: &'a Settings,
        sources: &'a Sources,
        diagnostics: &'a mut Diagnostics,
    ) -> Checker<'a> {
        Checker {
            names,
            inventory,
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
            own_namespaces: FxHashMap::default(),
            rules: Vec::new(),
            assertions: Vec::new(),
            tests: Vec::new(),
            yielded: 0,
            tried: 0,
            site: None,
            excepting: 0,
            known: None,
            written: Vec::new(),
            missing: FxHashSet::default(),
            warned: FxHashSet::default(),
            unmatched: FxHashSet::default(),
            free: None,
            hiding: None,
        }
    }
}

impl Checker<'_> {
    /// Adds a finding. Inside a template it is reported at the `apply` that is being expanded.
    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(match self.site {
            Some(site) => errors::of_apply(diagnostic, site),
            None => diagnostic,
        });
    }

    /// Applies a statement's `@allow`.
    fn allow(&mut self, item: &Item) {
        for annotation in &item.annotations {
            if let AnnotationKind::Allow(code, _) = &annotation.kind
                && let Some(code) = Code::parse(&code.text)
            {
                self.diagnostics.allow(code, item.span, annotation.span);
            }
        }
    }

    /// Looks a name up in a module, and records its definition at its span.
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

    /// Returns the span of a statement from its keyword on, without the annotations before it.
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

    /// Returns the words between two offsets on one line, if they are short enough for a sentence.
    fn sentence(&self, from: u32, statement: Span) -> Option<String> {
        let text = self.text(Span { start: from, ..statement });
        let words: Vec<&str> = text.split_whitespace().collect();
        let line = words.join(" ");
        (!line.contains('#') && line.chars().count() <= 100).then_some(line)
    }

    /// Returns whether the user, and not the standard library, wrote the expressions of this environment: only these
    /// must agree with the inventory.
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
                self.value_of(Def { module: id, item: at as u32 }, item);
                self.warn_of_known_addresses(&[], None);
            }
        }
    }

    /// Evaluates a `let`, a gateway or an issuer.
    fn value_of(&mut self, def: Def, item: &Item) {
        match &item.kind {
            ItemKind::Let(_) => drop(self.let_value(def)),
            ItemKind::Gateway(_) => drop(self.gateway(def)),
            ItemKind::Issuer(_) => drop(self.issuer(def)),
            _ => {}
        }
    }
}

//! Imports and names: the file of each `use`, and the definition of each name.
//!
//! ```text
//! use std/kyma (nats)
//! allow egress garden/* -> nats     `nats` is the `let` of std/kyma that the `use` lists
//! ```
//!
//! A file's own names and those that its `use` statements list come first, then the names of modules used whole, then
//! the prelude of the platform. `use` brings names and facts, never rules.

mod edited;
mod errors;
mod lookups;
pub mod stdlib;
mod unused;

use std::sync::{Arc, OnceLock};

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use crate::diag::{Diagnostics, Lexicon};
use crate::settings::Settings;
use crate::source::{FileId, Sources, Span};
use crate::syntax::tree::{File, Ident, Item, ItemKind, Use, UsePath};
use crate::syntax::{Deferred, Opened};

pub use self::lookups::Lookups;
pub use self::unused::report_unused;

/// A module: a file given to the verb, or one that a `use` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleId(u32);

/// The definition of a name: a statement of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Def {
    /// The module that defines it.
    pub module: ModuleId,
    /// The index of the statement in the module's file.
    pub item: u32,
}

/// The role of a module in the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A file given to the verb: its rules count.
    Given,
    /// A file that a `use` names.
    Used,
    /// Part of the standard library, the preludes among it.
    Standard,
}

/// One module with its names.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its statements; of a file given to the verb the declarations.
    pub file: File,
    has_deferred: bool,
    /// Its role in the build.
    pub role: Role,
    /// Whether another module uses it.
    pub used: bool,
    own: FxHashMap<SmolStr, Def>,
    listed: FxHashMap<SmolStr, (Def, u32)>,
    /// The modules that it uses whole, each with its `use`, in the order of these.
    whole: Vec<(ModuleId, u32)>,
    /// All modules that it uses, whole or by name, each with the `use` that says it.
    uses: Vec<(ModuleId, u32)>,
    lost: Lost,
    brought: OnceLock<Brought>,
    in_sight: OnceLock<Lexicon<SmolStr>>,
}

impl Module {
    /// Returns the names that the module offers to others, some of them twice.
    fn offered(&self) -> impl Iterator<Item = &SmolStr> {
        self.own.keys().chain(self.listed.keys())
    }
}

/// The names that a module gets from those that it uses whole, gathered so that a look-up does not ask each of them.
#[derive(Clone, Debug, Default)]
struct Brought {
    /// The statements of a name, each with its `use`, in the order of these.
    names: FxHashMap<SmolStr, Vec<(Def, u32)>>,
    /// The names that a used module lacks because a `use` of its own failed.
    lost: FxHashSet<SmolStr>,
}

/// The names that a module lacks because a `use` failed. The failure has been reported, so that a missing name among
/// these gets no second message.
#[derive(Clone, Debug, Default)]
struct Lost {
    names: FxHashSet<SmolStr>,
    /// A whole module is missing, and with it any name.
    anything: bool,
}

impl Lost {
    fn contains(&self, name: &str) -> bool {
        self.anything || self.names.contains(name)
    }
}

/// The result of a look-up.
#[derive(Debug, PartialEq)]
pub enum Lookup {
    /// The name has this definition.
    Found(Def),
    /// Modules that are used whole define this name differently: each with the span of its path in the `use`.
    Ambiguous(Vec<(Def, Span)>),
    /// The name has no definition. The field is the nearest name in sight, if one is near.
    Unknown(Option<SmolStr>),
    /// The name has no definition, and a `use` failed that may have brought it.
    Lost,
}

/// Finds the text of a file that a `use` names: from the path of the file with the `use` and the written path, returns
/// the path to show and the text, or an error.
pub type Loader<'a> = dyn FnMut(&str, &str) -> Result<(String, String), String> + 'a;

/// The result of [`resolve`]: the names of the build, and the deferred statements.
#[derive(Debug)]
pub struct Resolved {
    /// The modules and their names, to which nothing is added any more.
    pub names: Names,
    /// The statements of the given files that are not parsed yet, in the order of the files.
    pub deferred: Vec<(ModuleId, Deferred)>,
}

/// All modules of a build and the definitions of their names. A copy shares the modules.
#[derive(Clone, Debug)]
pub struct Names {
    modules: Vec<Arc<Module>>,
    prelude: ModuleId,
}

impl Names {
    /// Returns every module with its number: the given files first, in their order.
    pub fn modules(&self) -> impl Iterator<Item = (ModuleId, &Module)> {
        self.modules.iter().enumerate().map(|(at, module)| (ModuleId(at as u32), &**module))
    }

    /// Returns a module.
    pub fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.0 as usize]
    }

    /// Returns every module whose facts a module brings into the build by its `use` statements and by theirs, each with
    /// the path in the statement of its own that leads there.
    pub fn brought_by(&self, from: ModuleId) -> Vec<(ModuleId, Span)> {
        let module = self.module(from);
        let mut brought: Vec<(ModuleId, Span)> = Vec::new();
        let mut known = FxHashSet::from_iter([from]);
        let mut open: Vec<_> = module.uses.iter().map(|(used, at)| (*used, path_span(&module.file, *at))).collect();
        open.reverse();
        while let Some((used, path)) = open.pop() {
            if known.insert(used) {
                brought.push((used, path));
                open.extend(self.module(used).uses.iter().map(|(deeper, _)| (*deeper, path)));
            }
        }
        brought
    }

    /// Returns the module of the platform's prelude.
    pub fn prelude(&self) -> ModuleId {
        self.prelude
    }

    /// Returns the statement of a definition.
    pub fn item(&self, def: Def) -> &Item {
        &self.module(def.module).file.items[def.item as usize]
    }

    /// Returns the span of the name that a statement defines.
    pub fn name_span(&self, def: Def) -> Span {
        let item = self.item(def);
        defined(&item.kind).map_or(item.span, |name| name.span)
    }

    /// Looks a name up as it is seen in a module.
    pub fn lookup(&self, from: ModuleId, name: &str) -> Lookup {
        let module = self.module(from);
        if let Some(def) = self.export(from, name) {
            return Lookup::Found(def);
        }
        let mut found: Vec<(Def, Span)> = Vec::new();
        let brought = self.brought(module);
        for (def, item) in brought.names.get(name).into_iter().flatten() {
            if !found.iter().any(|(known, _)| known == def) {
                found.push((*def, path_span(&module.file, *item)));
            }
        }
        match found.as_slice() {
            [(one, _)] => Lookup::Found(*one),
            [] => match self.export(self.prelude, name) {
                Some(def) => Lookup::Found(def),
                None if module.lost.contains(name) || brought.lost.contains(name) => Lookup::Lost,
                None => Lookup::Unknown(self.near(from, name)),
            },
            _ => Lookup::Ambiguous(found),
        }
    }

    /// Returns the definition of a name in a module; the first one, if modules that are used whole bring several.
    pub fn in_sight(&self, from: ModuleId, name: &str) -> Option<Def> {
        let whole = || self.brought(self.module(from)).names.get(name)?.first().map(|(def, _)| *def);
        self.export(from, name).or_else(whole).or_else(|| self.export(self.prelude, name))
    }

    /// Returns every name in scope of a module with its definition, sorted.
    pub fn all_in_sight(&self, from: ModuleId) -> Vec<(SmolStr, Def)> {
        let module = self.module(from);
        let whole = module.whole.iter().flat_map(|(used, _)| self.exports(*used));
        let mut all: Vec<(SmolStr, Def)> =
            self.exports(from).into_iter().chain(whole).chain(self.exports(self.prelude)).collect();
        let mut known = FxHashSet::default();
        all.retain(|(name, _)| known.insert(name.clone()));
        all.sort();
        all
    }

    /// Returns the module that a `use` statement of a module names; `None` where it failed.
    pub fn used_by(&self, from: ModuleId, item: u32) -> Option<ModuleId> {
        self.module(from).uses.iter().find(|(_, at)| *at == item).map(|(used, _)| *used)
    }

    /// Returns the names that a module gets from those that it uses whole.
    fn brought<'m>(&self, module: &'m Module) -> &'m Brought {
        module.brought.get_or_init(|| {
            let mut brought = Brought::default();
            for (used, item) in &module.whole {
                let used = self.module(*used);
                let listed = used.listed.iter().filter(|(name, _)| !used.own.contains_key(*name));
                for (name, def) in used.own.iter().chain(listed.map(|(name, (def, _))| (name, def))) {
                    brought.names.entry(name.clone()).or_default().push((*def, *item));
                }
                brought.lost.extend(used.lost.names.iter().cloned());
            }
            brought
        })
    }

    /// Returns the statement that a module offers under a name: its own, or one that it lists in a `use`.
    pub fn export(&self, module: ModuleId, name: &str) -> Option<Def> {
        let module = self.module(module);
        module.own.get(name).copied().or_else(|| module.listed.get(name).map(|(def, _)| *def))
    }

    /// Returns the names that a module offers, with their definitions, sorted by name.
    pub fn exports(&self, module: ModuleId) -> Vec<(SmolStr, Def)> {
        let module = self.module(module);
        let own = module.own.iter().map(|(name, def)| (name.clone(), *def));
        let mut all: Vec<_> = own.chain(module.listed.iter().map(|(name, (def, _))| (name.clone(), *def))).collect();
        all.sort();
        all
    }

    /// Returns the name in sight of a module that is nearest to one that is not.
    fn near(&self, from: ModuleId, name: &str) -> Option<SmolStr> {
        let module = self.module(from);
        let in_sight = || {
            let whole = module.whole.iter().map(|(used, _)| self.module(*used));
            let tables = [module, self.module(self.prelude)].into_iter().chain(whole);
            Lexicon::new(tables.flat_map(Module::offered).cloned())
        };
        module.in_sight.get_or_init(in_sight).nearest(name).cloned()
    }
}

/// Returns the span of the path in a file's `use`, a statement by its index.
fn path_span(file: &File, item: u32) -> Span {
    let item = &file.items[item as usize];
    match &item.kind {
        ItemKind::Use(import) => import.path_span,
        _ => item.span,
    }
}

/// Returns the name that a statement defines.
pub fn defined(kind: &ItemKind) -> Option<&Ident> {
    match kind {
        ItemKind::Let(item) => Some(&item.name),
        ItemKind::Template(item) => Some(&item.name),
        ItemKind::Issuer(item) => Some(&item.name),
        ItemKind::Gateway(item) => Some(&item.name),
        _ => None,
    }
}

/// Loads what the given files use, and resolves names between the modules. Errors are pushed, and the names that they
/// concern are left out.
pub fn resolve(
    files: Vec<Opened>,
    sources: &mut Sources,
    settings: &Settings,
    loader: &mut Loader<'_>,
    diagnostics: &mut Diagnostics,
) -> Resolved {
    let mut build =
        Build { modules: Vec::new(), by_path: FxHashMap::default(), way: Vec::new(), loader, sources, diagnostics };
    let mut all_deferred = Vec::new();
    for Opened { file, deferred } in files {
        let path = build.sources.file(file.id).path.clone();
        let id = build.add(path, file, Role::Given);
        build.modules[id.0 as usize].has_deferred = !deferred.is_empty();
        all_deferred.push((id, deferred));
    }
    let given = build.modules.len();
    let prelude = build.load_text(
        &format!("std/prelude/{}", settings.platform.word()),
        stdlib::prelude(settings.platform),
        Role::Standard,
    );
    // std/istio's `istiod` and std/net's `internet` are needed whether or not a file uses them.
    for always in ["istio", "net"] {
        if let Some(text) = stdlib::module(always) {
            build.load_text(&format!("std/{always}"), text, Role::Standard);
        }
    }
    let mut state = vec![State::New; build.modules.len()];
    for at in 0..given {
        build.link(ModuleId(at as u32), None, &mut state);
    }
    let mut at = given;
    while at < build.modules.len() {
        build.link(ModuleId(at as u32), None, &mut state);
        at += 1;
    }
    let names = Names { modules: build.modules.into_iter().map(Arc::new).collect(), prelude };
    Resolved { names, deferred: all_deferred }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

struct Build<'a, 'l> {
    modules: Vec<Module>,
    by_path: FxHashMap<String, ModuleId>,
    /// The modules that are being linked, each with the `use` that led to it.
    way: Vec<(ModuleId, Option<Span>)>,
    loader: &'a mut Loader<'l>,
    sources: &'a mut Sources,
    diagnostics: &'a mut Diagnostics,
}

impl Build<'_, '_> {
    fn add(&mut self, path: String, file: File, role: Role) -> ModuleId {
        let id = ModuleId(self.modules.len() as u32);
        self.by_path.insert(path, id);
        self.modules.push(Module {
            own: FxHashMap::default(),
            listed: FxHashMap::default(),
            whole: Vec::new(),
            uses: Vec::new(),
            lost: Lost::default(),
            brought: OnceLock::new(),
            in_sight: OnceLock::new(),
            file,
            has_deferred: false,
            role,
            used: false,
        });
        id
    }

    fn load_text(&mut self, path: &str, text: &str, role: Role) -> ModuleId {
        if let Some(id) = self.by_path.get(path) {
            return *id;
        }
        let file = self.sources.add(path, text);
        let file = crate::syntax::parse(self.sources, file, self.diagnostics);
        self.add(path.into(), file, role)
    }

    /// Defines the names of a module, after those of the modules that it uses. `by` is the `use` that led here.
    fn link(&mut self, id: ModuleId, by: Option<Span>, state: &mut Vec<State>) {
        state.resize(state.len().max(self.modules.len()), State::New);
        if state[id.0 as usize] != State::New {
            return;
        }
        state[id.0 as usize] = State::Open;
        self.way.push((id, by));
        let uses: Vec<(u32, Span, Use)> = self.modules[id.0 as usize]
            .file
            .items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| match &item.kind {
                ItemKind::Use(import) => Some((at as u32, item.span, import.clone())),
                _ => None,
            })
            .collect();
        let file = self.modules[id.0 as usize].file.id;
        let mut places: FxHashMap<SmolStr, Span> = FxHashMap::default();
        self.define_own(id, &mut places);
        for (at, span, import) in uses {
            let Some(target) = self.find(file, &import) else {
                self.lose(id, &import);
                continue;
            };
            state.resize(state.len().max(self.modules.len()), State::New);
            if state[target.0 as usize] == State::Open {
                self.say_cycle(target, span);
                self.lose(id, &import);
                continue;
            }
            self.link(target, Some(span), state);
            self.modules[target.0 as usize].used = true;
            self.modules[id.0 as usize].uses.push((target, at));
            match &import.names {
                None => self.modules[id.0 as usize].whole.push((target, at)),
                Some(_) => self.list(id, target, at, &import, &mut places),
            }
        }
        self.way.pop();
        state[id.0 as usize] = State::Done;
    }

    /// Remembers the names that a failed `use` would have brought.
    fn lose(&mut self, id: ModuleId, import: &Use) {
        let lost = &mut self.modules[id.0 as usize].lost;
        match &import.names {
            None => lost.anything = true,
            Some(names) => {
                lost.names.extend(names.iter().map(|entry| entry.alias.as_ref().unwrap_or(&entry.name).text.clone()));
            }
        }
    }

    /// Reports the cycle that a `use` of `target` at `span` closes.
    fn say_cycle(&mut self, target: ModuleId, span: Span) {
        let start = self.way.iter().position(|(id, _)| *id == target).unwrap_or_default();
        let path = |id: ModuleId| self.sources.file(self.modules[id.0 as usize].file.id).path.as_str();
        let others = self.way.iter().skip(start + 1).filter_map(|(id, by)| Some((path(*id), (*by)?)));
        let diagnostic = errors::cyclic_use(span, path(target), others.collect());
        self.diagnostics.push(diagnostic);
    }

    fn define_own(&mut self, id: ModuleId, places: &mut FxHashMap<SmolStr, Span>) {
        let module = &mut self.modules[id.0 as usize];
        for (at, item) in module.file.items.iter().enumerate() {
            let Some(name) = defined(&item.kind) else { continue };
            if let Some(first) = places.get(&name.text) {
                self.diagnostics.push(errors::duplicate_name(name, *first, None));
                continue;
            }
            places.insert(name.text.clone(), name.span);
            module.own.insert(name.text.clone(), Def { module: id, item: at as u32 });
        }
    }

    fn list(&mut self, id: ModuleId, target: ModuleId, at: u32, import: &Use, places: &mut FxHashMap<SmolStr, Span>) {
        let mut lexicon: Option<Lexicon<SmolStr>> = None;
        for entry in import.names.iter().flatten() {
            let shown = entry.alias.as_ref().unwrap_or(&entry.name);
            let offered = &self.modules[target.0 as usize];
            let def = offered.own.get(&entry.name.text).copied();
            let Some(def) = def.or_else(|| offered.listed.get(&entry.name.text).map(|(def, _)| *def)) else {
                if !offered.lost.contains(&entry.name.text) {
                    let near = lexicon.get_or_insert_with(|| Lexicon::new(offered.offered().cloned()));
                    let near = near.nearest(&entry.name.text).cloned();
                    let module = self.sources.slice(import.path_span).trim_matches('"');
                    self.diagnostics.push(errors::not_offered(&entry.name, module, near));
                }
                self.modules[id.0 as usize].lost.names.insert(shown.text.clone());
                continue;
            };
            if let Some(first) = places.get(&shown.text) {
                let same = self.modules[id.0 as usize].listed.get(&shown.text).is_some_and(|(have, _)| *have == def);
                if !same {
                    self.diagnostics.push(errors::duplicate_name(shown, *first, Some(&entry.name)));
                }
                continue;
            }
            places.insert(shown.text.clone(), shown.span);
            self.modules[id.0 as usize].listed.insert(shown.text.clone(), (def, at));
        }
    }

    fn find(&mut self, from: FileId, import: &Use) -> Option<ModuleId> {
        match &import.path {
            UsePath::Std(name) => match stdlib::module(name) {
                Some(text) => Some(self.load_text(&format!("std/{name}"), text, Role::Standard)),
                None => {
                    self.diagnostics.push(errors::unknown_module(import.path_span, name));
                    None
                }
            },
            UsePath::File(path) => {
                let from = self.sources.file(from).path.clone();
                match (self.loader)(&from, path) {
                    Ok((path, text)) => Some(self.load_text(&path, &text, Role::Used)),
                    Err(why) => {
                        self.diagnostics.push(errors::cannot_load(import.path_span, path, &why));
                        None
                    }
                }
            }
        }
    }
}

//! The analysis of a policy: checked once, then asked many times.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::complete::Seen;
use super::review::Review;
use crate::compile::{self, Input, Understood};
use crate::diag::{Diagnostic, Diagnostics};
use crate::inventory::Inventory;
use crate::model::endpoint::Endpoint;
use crate::policy::Policy;
use crate::resolve::{Def, Loader, Lookup, Lookups, ModuleId, Names, Role};
use crate::source::{FileId, Sources, Span};
use crate::syntax;
use crate::syntax::scan::{self, Scan};
use crate::syntax::tree::{Expr, File, Item, ItemKind, Template};
use crate::targets::Lowering;
use crate::types;

/// A checked policy, with every text that it was made from. A copy shares all large parts.
#[derive(Clone, Debug)]
pub struct Analysis {
    pub(super) input: Input,
    pub(super) names: Option<Arc<Names>>,
    lookups: Arc<Lookups>,
    policy: Option<Arc<Policy>>,
    /// The findings of all stages before the layers, sorted.
    first: Arc<Diagnostics>,
    judged: Arc<OnceLock<Judged>>,
    pub(super) review: Arc<OnceLock<Review>>,
    trees: HashMap<FileId, Arc<OnceLock<File>>>,
    pub(super) modules: HashMap<FileId, ModuleId>,
    seen: Arc<OnceLock<Seen>>,
    once: Arc<Once>,
    facts: Arc<Facts>,
    nowhere: Arc<Inventory>,
}

/// Results that are computed when they are first asked for.
#[derive(Debug, Default)]
struct Once {
    scans: OnceLock<HashMap<FileId, Scan>>,
    uses: OnceLock<HashMap<Def, Vec<Span>>>,
}

/// The size of a large policy in bytes: an edit of it is not answered by checking all of it again.
const LARGE: usize = 128 * 1024;

/// The facts of the manifests, without the declarations of the source. Most edits do not change the manifests.
#[derive(Debug, Default)]
struct Facts {
    inventory: Inventory,
    findings: Diagnostics,
}

/// The judgements of the layers about the policy.
#[derive(Debug)]
struct Judged {
    findings: Diagnostics,
    lowering: Option<Lowering>,
}

impl Analysis {
    /// Checks an input up to its policy; [`Analysis::findings`] asks the layers. `loader` finds the files that a `use`
    /// names. `found` has the errors about the files themselves. If a file is missing (`whole` is false), only the
    /// syntax of the others is checked. `before` is an earlier state of the policy; unchanged manifests are taken from
    /// it.
    pub fn of(
        mut input: Input,
        whole: bool,
        loader: &mut Loader<'_>,
        found: Diagnostics,
        before: Option<&Analysis>,
    ) -> Analysis {
        let mut first = found;
        let mut facts = Facts::default();
        let (names, lookups, policy) = match whole {
            true => {
                let Understood { names, lookups, policy } = compile::understand_facts(
                    &mut input,
                    loader,
                    &mut |input, diagnostics| {
                        facts = Facts::of(input, before);
                        diagnostics.append(facts.findings.clone());
                        facts.inventory.clone()
                    },
                    &mut first,
                );
                (Some(names), lookups, policy)
            }
            false => {
                compile::report_syntax(&input, &mut first);
                (None, Default::default(), None)
            }
        };
        let mut modules = HashMap::new();
        let mut trees: HashMap<FileId, Arc<OnceLock<File>>> =
            input.policies.iter().chain(&input.guardrails).map(|file| (*file, Arc::default())).collect();
        for (id, module) in names.iter().flat_map(Names::modules) {
            modules.insert(module.file.id, id);
            trees.insert(module.file.id, Arc::default());
        }
        first.sort();
        Analysis {
            input,
            names: names.map(Arc::new),
            lookups: Arc::new(lookups),
            policy: policy.map(Arc::new),
            first: Arc::new(first),
            judged: Arc::default(),
            review: Arc::default(),
            trees,
            modules,
            seen: Arc::default(),
            once: Arc::default(),
            facts: Arc::new(facts),
            nowhere: Arc::default(),
        }
    }

    /// Returns whether a policy is so large that an edit is first answered by a [`Draft`](super::Draft).
    pub fn is_large(&self) -> bool {
        let texts = self.files().into_iter().map(|file| self.sources().file(file).text.len());
        self.policy.is_some() && texts.sum::<usize>() >= LARGE
    }

    /// Adds a text that replaces a part of a policy file, and returns its file.
    pub(super) fn add(&mut self, text: &str, instead_of: FileId) -> FileId {
        let file = self.input.sources.add(self.sources().file(instead_of).path.clone(), text);
        if let Some(module) = self.module(instead_of) {
            self.modules.insert(file, module);
        }
        self.trees.insert(file, Arc::default());
        file
    }

    /// Returns whether a file is a text that [`Analysis::add`] added.
    pub(super) fn is_part(&self, file: FileId) -> bool {
        let of = self.names().zip(self.module(file));
        of.is_some_and(|(names, module)| names.module(module).file.id != file)
    }

    /// Forgets a text that [`Analysis::add`] added.
    pub(super) fn remove(&mut self, file: FileId) {
        self.modules.remove(&file);
        self.trees.remove(&file);
    }

    /// Computes what a [`Draft`](super::Draft) needs, so that the first edit does not wait for it.
    pub fn prepare(&self) {
        self.once.scans.get_or_init(|| self.scans());
        self.once.uses.get_or_init(|| self.all_uses());
        self.seen();
    }

    /// Returns the first pass over a policy file.
    pub(super) fn scan(&self, file: FileId) -> Option<&Scan> {
        self.once.scans.get_or_init(|| self.scans()).get(&file)
    }

    fn scans(&self) -> HashMap<FileId, Scan> {
        let scan = |file: FileId| {
            let text = &self.sources().file(file).text;
            (text.len() <= scan::MAX_SIZE).then(|| (file, scan::scan(text)))
        };
        self.files().into_iter().filter_map(scan).collect()
    }

    /// Returns the spans of all uses of a definition.
    pub(super) fn uses(&self, def: Def) -> &[Span] {
        self.once.uses.get_or_init(|| self.all_uses()).get(&def).map_or(&[], Vec::as_slice)
    }

    fn all_uses(&self) -> HashMap<Def, Vec<Span>> {
        let mut uses: HashMap<Def, Vec<Span>> = HashMap::new();
        self.lookups.iter().for_each(|(place, def)| uses.entry(def).or_default().push(place));
        uses
    }

    /// Returns every text of the policy.
    pub fn sources(&self) -> &Sources {
        &self.input.sources
    }

    /// Returns the file of a path, as the sources show it.
    pub fn file(&self, path: &str) -> Option<FileId> {
        self.sources().iter().find(|(_, file)| file.path == path).map(|(id, _)| id)
    }

    /// Returns the policy files and the files that they use, without the standard library.
    pub fn files(&self) -> Vec<FileId> {
        let mut files: Vec<FileId> = self.trees.keys().copied().filter(|file| !self.is_standard(*file)).collect();
        files.sort_unstable();
        files
    }

    /// Returns the findings that need no layers, sorted.
    pub fn first_findings(&self) -> &Diagnostics {
        &self.first
    }

    /// Returns all findings, sorted: the same as those of `check`. The first call judges the policy by its layers,
    /// which takes longer than everything else.
    pub fn findings(&self) -> &Diagnostics {
        &self.judged().findings
    }

    /// Returns whether [`Analysis::findings`] is known already, or is the same as the first findings.
    pub fn is_judged(&self) -> bool {
        self.judged.get().is_some() || self.first.has_errors() || self.policy.is_none()
    }

    /// Returns the most complete findings that are known already.
    pub fn known_findings(&self) -> &Diagnostics {
        self.judged.get().map_or(&self.first, |judged| &judged.findings)
    }

    /// Returns the findings of a file that touch a range.
    pub fn findings_at(&self, file: FileId, start: u32, end: u32) -> Vec<&Diagnostic> {
        let touches = |span: Span| span.file == file && span.start <= end && start <= span.end;
        self.known_findings().iter().filter(|finding| touches(finding.primary.span)).collect()
    }

    fn judged(&self) -> &Judged {
        self.judged.get_or_init(|| {
            let mut findings = Diagnostics::clone(&self.first);
            let sound = self.policy.as_deref().filter(|_| !self.first.has_errors());
            let lowering = sound.map(|policy| compile::judge(policy, self.sources(), &mut findings));
            findings.sort();
            Judged { findings, lowering }
        })
    }

    /// Returns the judgements of each layer on each rule; `None` after an error.
    pub(super) fn lowering(&self) -> Option<&Lowering> {
        self.judged().lowering.as_ref()
    }

    /// Returns the judgements of each layer on each rule, if they are known already; it does not compute them.
    pub(super) fn known_lowering(&self) -> Option<&Lowering> {
        self.judged.get()?.lowering.as_ref()
    }

    /// Returns the policy without the rules that have errors.
    pub(super) fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref()
    }

    /// Returns the facts about the cluster, as far as they are known.
    pub(super) fn inventory(&self) -> &Inventory {
        self.policy.as_ref().map_or(&self.nowhere, |policy| &policy.inventory)
    }

    /// Returns the words that the policy files use.
    pub(super) fn seen(&self) -> &Seen {
        self.seen.get_or_init(|| Seen::of(self))
    }

    pub(super) fn names(&self) -> Option<&Names> {
        self.names.as_deref()
    }

    pub(super) fn lookups(&self) -> impl Iterator<Item = (Span, Def)> {
        self.lookups.iter()
    }

    pub(super) fn module(&self, file: FileId) -> Option<ModuleId> {
        self.modules.get(&file).copied()
    }

    /// Returns whether a file is a part of the standard library.
    pub fn is_standard(&self, file: FileId) -> bool {
        let module = self.module(file).and_then(|id| Some(self.names.as_ref()?.module(id)));
        module.is_some_and(|module| module.role == Role::Standard)
    }

    /// Returns the whole tree of a policy file; the first call parses it.
    pub(super) fn tree(&self, file: FileId) -> Option<&File> {
        let tree = self.trees.get(&file)?;
        Some(tree.get_or_init(|| syntax::parse(self.sources(), file, &mut Diagnostics::new())))
    }

    /// Returns the first statements of a policy file, at most so many, without keeping them.
    pub(super) fn first_items(&self, file: FileId, most: usize) -> Vec<Item> {
        let Some(scan) = self.scan(file) else { return Vec::new() };
        let chosen = 0..scan.statements.len().min(most);
        syntax::parse_some(self.sources(), file, scan, chosen, &mut Diagnostics::new())
    }

    pub(super) fn text(&self, span: Span) -> &str {
        self.sources().slice(span)
    }

    /// Returns the definition of the name at a span.
    pub(super) fn definition_of(&self, name: Span) -> Option<Def> {
        match self.names.as_ref()?.lookup(self.module(name.file)?, self.text(name)) {
            Lookup::Found(def) => Some(def),
            _ => None,
        }
    }

    /// Returns the members of an endpoint; `None` inside a template, and after a mistake.
    pub(super) fn meaning(&self, expr: &Expr) -> Option<Arc<Endpoint>> {
        let (names, module) = (self.names.as_ref()?, self.module(expr.span.file)?);
        if self.template_at(expr.span).is_some() {
            return None;
        }
        types::meaning(expr, module, names, self.inventory(), &self.input.settings, self.sources())
    }

    /// Returns the template that contains a span.
    pub(super) fn template_at(&self, place: Span) -> Option<&Template> {
        // A file of the policy has its templates among its declarations; only a draft's texts have not.
        let declared = self.names().zip(self.module(place.file)).filter(|_| !self.is_part(place.file));
        let items = match declared {
            Some((names, module)) => &names.module(module).file.items,
            None => &self.tree(place.file)?.items,
        };
        let item = items.iter().find(|item| item.span.contains(place))?;
        match &item.kind {
            ItemKind::Template(template) if item.span.contains(place) => Some(template),
            _ => None,
        }
    }
}

impl Facts {
    /// Reads the manifests of an input, or takes them from an earlier state of the policy if they are unchanged.
    fn of(input: &Input, before: Option<&Analysis>) -> Facts {
        if let Some(before) = before.filter(|before| have_the_same_manifests(input, &before.input)) {
            let Facts { inventory, findings } = &*before.facts;
            return Facts { inventory: inventory.clone(), findings: findings.clone() };
        }
        let mut findings = Diagnostics::new();
        let inventory = compile::inventory(input, &mut findings);
        Facts { inventory, findings }
    }
}

fn have_the_same_manifests(a: &Input, b: &Input) -> bool {
    // Findings and facts have spans, so the files must also have the same numbers.
    let same = |file: &FileId| {
        let (a, b) = (a.sources.file(*file), b.sources.file(*file));
        a.path == b.path && a.text == b.text
    };
    a.manifests == b.manifests
        && a.found == b.found
        && a.settings.inventory_namespace == b.settings.inventory_namespace
        && a.manifests.iter().flatten().all(same)
}

//! Unused names: W0220 at `let old = legacy/*` if no other statement says `old`.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Lookups, Module, ModuleId, Names, Role, defined, errors};
use crate::diag::{Diagnostics, Severity};
use crate::source::{FileId, Sources};
use crate::syntax::tree::{Item, ItemKind, Use};

/// Reports names that were defined or listed and never looked up, in the given files that no other file uses and that
/// have no errors: a statement that was refused may have used them. It must run after all look-ups.
pub fn report_unused(names: &Names, lookups: &Lookups, sources: &Sources, diagnostics: &mut Diagnostics) {
    let errors = diagnostics.iter().filter(|finding| finding.severity() == Severity::Error);
    let wrong: FxHashSet<FileId> = errors.map(|finding| finding.primary.span.file).collect();
    let mut asked: FxHashMap<FileId, FxHashSet<&str>> = FxHashMap::default();
    for (place, _) in lookups.iter() {
        asked.entry(place.file).or_default().insert(sources.slice(place));
    }
    for (id, module) in names.modules() {
        if module.role != Role::Given || module.used || wrong.contains(&module.file.id) {
            continue;
        }
        let asked = asked.remove(&module.file.id).unwrap_or_default();
        for (at, item) in module.file.items.iter().enumerate() {
            if let Some(name) = defined(&item.kind)
                && module.own.get(&name.text).is_some_and(|def| def.item as usize == at)
                && !asked.contains(name.text.as_str())
            {
                let word = if matches!(item.kind, ItemKind::Template(_)) { "applies" } else { "names" };
                diagnostics.push(errors::unused_name(name, word));
            }
            let ItemKind::Use(import) = &item.kind else { continue };
            match &import.names {
                None => {
                    let brought = module.whole.binary_search_by_key(&at, |(_, from)| *from as usize);
                    if let Some((used, _)) = brought.ok().map(|place| &module.whole[place])
                        && !names.brings_one_of(id, *used, &asked)
                        && !names.exports(*used).is_empty()
                        && !names.states_facts(*used)
                    {
                        diagnostics.push(errors::unused_module(item.span, import, names.has_rules(*used)));
                    }
                }
                Some(_) => report_unused_entries(module, import, &asked, diagnostics),
            }
        }
    }
}

fn report_unused_entries(module: &Module, import: &Use, asked: &FxHashSet<&str>, diagnostics: &mut Diagnostics) {
    for entry in import.names.iter().flatten() {
        let shown = entry.alias.as_ref().unwrap_or(&entry.name);
        if module.listed.contains_key(&shown.text) && !asked.contains(shown.text.as_str()) {
            diagnostics.push(errors::unused_name(shown, "names"));
        }
    }
}

impl Names {
    /// Returns whether a module that another uses whole gives it one of some names.
    fn brings_one_of(&self, to: ModuleId, used: ModuleId, asked: &FxHashSet<&str>) -> bool {
        let used = self.module(used);
        let mut offered = used.own.keys().chain(used.listed.keys());
        offered.any(|name| asked.contains(name.as_str()) && self.export(to, name).is_none())
    }

    fn states_facts(&self, module: ModuleId) -> bool {
        let fact =
            |item: &Item| matches!(item.kind, ItemKind::Namespace(_) | ItemKind::Service(_) | ItemKind::Workload(_));
        self.module(module).file.items.iter().any(fact)
    }

    fn has_rules(&self, module: ModuleId) -> bool {
        let Module { file, has_deferred, .. } = self.module(module);
        let rules =
            |item: &Item| matches!(item.kind, ItemKind::Rule(_) | ItemKind::DefaultDeny(_) | ItemKind::Apply(_));
        *has_deferred || file.items.iter().any(rules)
    }
}

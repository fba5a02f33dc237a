//! Checks single statements of a checked program again: those that an edit changed, and those that name a changed
//! definition.

use super::Checker;
use super::value::Env;
use crate::diag::Diagnostics;
use crate::inventory::Inventory;
use crate::resolve::{Def, Lookup, ModuleId, Names, defined};
use crate::settings::Settings;
use crate::source::Sources;
use crate::syntax::tree::{Item, ItemKind};

/// Checks statements, each group of one module. Findings are pushed, among them perhaps some about definitions
/// elsewhere that the statements name. `inventory` has the declarations of the source. Facts, scopes and `use`
/// statements are passed over, since all else may depend on them.
pub fn check_again<'t>(
    groups: impl Iterator<Item = (ModuleId, &'t [Item])>,
    names: &Names,
    inventory: &Inventory,
    settings: &Settings,
    sources: &Sources,
    diagnostics: &mut Diagnostics,
) {
    diagnostics.set_levels(&settings.lints);
    let mut checker = Checker::new(names, inventory, settings, sources, diagnostics);
    let mut of = None;
    for (module, items) in groups {
        if of != Some(module) {
            checker.scope = checker.scope_of(module);
            of = Some(module);
        }
        let env = Env::top(module);
        for item in items {
            match defined(&item.kind).and_then(|name| names.export(module, &name.text)) {
                Some(def) if names.item(def).span == item.span => checker.declaration(def, item),
                Some(_) => {}
                None => {
                    checker.applied(module, item);
                    checker.statement(item, &env, &[]);
                }
            }
        }
    }
}

impl Checker<'_> {
    /// Checks one declaration, used or not.
    fn declaration(&mut self, def: Def, item: &Item) {
        self.allow(item);
        match &item.kind {
            ItemKind::Template(template) => self.template(def, template),
            _ => self.value_of(def, item),
        }
        self.warn_of_known_addresses(&[], None);
    }

    /// Checks the template of an `apply` before it is expanded.
    fn applied(&mut self, module: ModuleId, item: &Item) {
        let ItemKind::Apply(apply) = &item.kind else { return };
        let Lookup::Found(def) = self.names.lookup(module, &apply.template.text) else { return };
        let names = self.names;
        if let ItemKind::Template(template) = &names.item(def).kind
            && !self.sizes.contains_key(&def)
        {
            self.template(def, template);
        }
    }
}

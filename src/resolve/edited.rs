//! Names after an edit, without reading every file again.
//!
//! ```text
//! let db = data/{app=db}      becomes      let store = data/{app=db}
//! ```
//!
//! The statement of `db` is removed, and that of `store` is added at the end of its module, so that every other
//! definition keeps its number.

use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::{Def, ModuleId, Names, defined, errors};
use crate::diag::Diagnostics;
use crate::source::Span;
use crate::syntax::tree::{Ident, Item, ItemKind};

impl Names {
    /// Returns the names after some definitions of a module are gone and statements came; what a `use` brings stays as
    /// it is. `place` returns where a span is in the edited file: of two definitions of a name the first counts, and
    /// the other is reported.
    pub fn after(
        &self,
        module: ModuleId,
        gone: &[Def],
        come: Vec<Item>,
        place: impl Fn(Span) -> Option<Span>,
        diagnostics: &mut Diagnostics,
    ) -> Names {
        let mut names = self.clone();
        let others = names.modules.iter_mut().enumerate().filter(|(id, _)| *id != module.0 as usize);
        for other in others.map(|(_, other)| other) {
            let lists = other.listed.values().any(|(def, _)| gone.contains(def));
            if lists || other.uses.iter().any(|(used, _)| *used == module) {
                let other = Arc::make_mut(other);
                (other.brought, other.in_sight) = (OnceLock::new(), OnceLock::new());
                // The module that lists them gets its message when all files are read again.
                let lost = other.listed.iter().filter(|(_, (def, _))| gone.contains(def)).map(|(name, _)| name.clone());
                other.lost.names.extend(lost.collect::<Vec<_>>());
                other.listed.retain(|_, (def, _)| !gone.contains(def));
            }
        }
        let Some(own) = names.modules.get_mut(module.0 as usize).map(Arc::make_mut) else { return names };
        own.in_sight = OnceLock::new();
        for def in gone {
            if let Some(item) = own.file.items.get_mut(def.item as usize) {
                item.kind = ItemKind::Error;
            }
        }
        own.file.items.extend(come);
        let definitions = own.file.items.iter().enumerate();
        let mut definitions: Vec<(Span, Def, &Ident)> = definitions
            .filter_map(|(at, item)| {
                let name = defined(&item.kind)?;
                Some((place(name.span)?, Def { module, item: at as u32 }, name))
            })
            .collect();
        definitions.sort_unstable_by_key(|(place, ..)| *place);
        let mut first: FxHashMap<SmolStr, Span> = FxHashMap::default();
        own.own.clear();
        for (_, def, name) in definitions {
            match first.get(&name.text) {
                Some(first) => diagnostics.push(errors::duplicate_name(name, *first, None)),
                None => {
                    first.insert(name.text.clone(), name.span);
                    own.own.insert(name.text.clone(), def);
                }
            }
        }
        names
    }

    /// Returns the definitions of a module whose names mean something else, or nothing, in other names.
    pub fn redefined(&self, module: ModuleId, others: &Names) -> Vec<Def> {
        let other = &others.module(module).own;
        let own = self.module(module).own.iter();
        own.filter(|(name, def)| other.get(*name) != Some(def)).map(|(_, def)| *def).collect()
    }
}

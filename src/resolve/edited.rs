//! Names after an edit, without reading every file again.
//!
//! ```text
//! let db = data/{app=db}      becomes      let store = data/{app=db}
//! ```
//!
//! The statement of `db` is removed, and that of `store` is added at the end of its module, so that every other
//! definition keeps its number.

use std::sync::{Arc, OnceLock};

use super::{Def, ModuleId, Names, defined, errors};
use crate::diag::Diagnostics;
use crate::syntax::tree::{Item, ItemKind};

impl Names {
    /// Returns the names after some definitions of a module were removed and statements were added; the names that a
    /// `use` brings stay unchanged. A name that is defined twice is reported, and keeps its first definition.
    pub fn after(&self, module: ModuleId, gone: &[Def], come: Vec<Item>, diagnostics: &mut Diagnostics) -> Names {
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
        own.own.retain(|_, def| !gone.contains(def));
        for def in gone {
            if let Some(item) = own.file.items.get_mut(def.item as usize) {
                item.kind = ItemKind::Error;
            }
        }
        for item in come {
            let Some(name) = defined(&item.kind).cloned() else { continue };
            let def = Def { module, item: own.file.items.len() as u32 };
            let known = own.own.get(&name.text).or_else(|| own.listed.get(&name.text).map(|(def, _)| def)).copied();
            own.file.items.push(item);
            match known {
                Some(first) => {
                    let first = own.file.items.get(first.item as usize).filter(|_| first.module == module);
                    let place = first.and_then(|item| defined(&item.kind)).map_or(name.span, |first| first.span);
                    diagnostics.push(errors::duplicate_name(&name, place, None));
                }
                None => drop(own.own.insert(name.text, def)),
            }
        }
        names
    }
}

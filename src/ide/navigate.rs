//! Navigation: from a name to its definition, to all its uses, and to a new name everywhere.
//!
//! ```text
//! offices.netpol   let branch = 203.0.113.0/24
//! shop.netpol      use "./offices.netpol" (branch as b)
//!                  allow ingress b -> shop/*:443
//! ```
//!
//! `branch` of the `let` and of the `use` are one symbol, `b` of the `use` and of the rule another one with the same
//! definition: renaming either leaves the other as it is.

use smol_str::SmolStr;

use super::Analysis;
use super::nodes::{self, Node};
use crate::diag::Edit;
use crate::resolve::{Def, Lookup, Role, defined};
use crate::source::{FileId, Span};
use crate::syntax::tree::{ItemKind, Template, Use};
use crate::syntax::vocabulary::can_be_name;

/// A name of the source with its definition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Symbol {
    /// A `let`, a template, a gateway or an issuer, under one of the names that it has in the files.
    Defined(Def, SmolStr),
    /// A parameter of the template at a span.
    Parameter(Span, SmolStr),
}

impl Analysis {
    /// Returns the definitions of what is at an offset: the statement of a name, the parameter, the file of a `use`, or
    /// the declarations and manifests of a namespace, a workload or a Service.
    pub fn definition(&self, file: FileId, offset: u32) -> Vec<Span> {
        if let Some((symbol, _)) = self.symbol_at(file, offset) {
            return self.definition_place(&symbol).into_iter().collect();
        }
        let Some(tree) = self.tree(file) else { return Vec::new() };
        let innermost = nodes::at(tree, offset).into_iter().rev();
        let mut places = Vec::new();
        for node in innermost.take_while(|node| !matches!(node, Node::Endpoint(_) | Node::Item(_))) {
            match node {
                Node::Path(import) => places.extend(self.used_file(file, import).map(|file| Span::new(file, 0, 0))),
                Node::Namespace(word) => {
                    places.extend(self.inventory().namespaces.get(&word.text).map(|known| known.origin));
                }
                Node::Workload(Some(namespace), name) => {
                    let inventory = self.inventory();
                    let key = (namespace.text.clone(), name.text.clone());
                    places.extend(inventory.named(&key.0, &key.1).into_iter().map(|workload| workload.origin));
                    places.extend(inventory.services.get(&key).map(|service| service.origin));
                }
                _ => {}
            }
        }
        places
    }

    /// Returns the spans of a name, its definition first if `with_definition` is set; empty if no name is at the
    /// offset.
    pub fn references(&self, file: FileId, offset: u32, with_definition: bool) -> Vec<Span> {
        let Some((symbol, _)) = self.symbol_at(file, offset) else { return Vec::new() };
        let definition = self.definition_place(&symbol);
        let mut places = self.places_of_all_names(&symbol);
        places.retain(|place| Some(*place) != definition);
        definition.into_iter().filter(|_| with_definition).chain(places).collect()
    }

    /// Returns the spans of the name at an offset in its own file, for a client that marks them.
    pub fn highlights(&self, file: FileId, offset: u32) -> Vec<Span> {
        let mut places = self.references(file, offset, true);
        places.retain(|place| place.file == file);
        places
    }

    /// Returns the span of the name that a rename at an offset changes; the error says why it cannot be renamed.
    pub fn prepare_rename(&self, file: FileId, offset: u32) -> Result<Span, String> {
        let Some((symbol, place)) = self.symbol_at(file, offset) else {
            return Err("no name that a policy defines stands here".to_owned());
        };
        if let Symbol::Defined(def, name) = &symbol {
            let standard = self.names().is_some_and(|names| names.module(def.module).role == Role::Standard);
            if standard && self.own_name(*def).is_some_and(|own| own == *name) {
                return Err(format!("`{name}` belongs to the standard library"));
            }
        }
        Ok(place)
    }

    /// Returns the edits that give the name at an offset another one, in all files; the error says why it cannot have
    /// it.
    pub fn rename(&self, file: FileId, offset: u32, new: &str) -> Result<Vec<Edit>, String> {
        self.prepare_rename(file, offset)?;
        if !can_be_name(new) {
            return Err(format!(
                "`{new}` is no name: a lower-case letter, then lower-case letters, digits and inner `-`, and no word of the \
                 language"
            ));
        }
        let Some((symbol, _)) = self.symbol_at(file, offset) else { return Ok(Vec::new()) };
        let places = self.places(&symbol);
        if let (Symbol::Defined(..), Some(names)) = (&symbol, self.names()) {
            for place in &places {
                let Some(module) = self.module(place.file) else { continue };
                if let Lookup::Found(def) = names.lookup(module, new)
                    && names.module(def.module).role != Role::Standard
                {
                    let at = self.sources().place(names.name_span(def));
                    return Err(format!("`{new}` is already defined, at {at}"));
                }
            }
        }
        if let (Symbol::Parameter(template, _), Some(tree)) = (&symbol, self.tree(file)) {
            let taken = tree.items.iter().filter(|item| item.span == *template).any(|item| match &item.kind {
                ItemKind::Template(template) => template.parameters.iter().any(|other| other.name.text == new),
                _ => false,
            });
            if taken {
                return Err(format!("`{new}` is already a parameter of this template"));
            }
        }
        Ok(places.into_iter().map(|span| Edit { span, text: new.to_owned() }).collect())
    }

    /// Returns the symbol whose name contains or touches an offset, with the span of the name.
    pub(super) fn symbol_at(&self, file: FileId, offset: u32) -> Option<(Symbol, Span)> {
        let tree = self.tree(file)?;
        let found = nodes::at(tree, offset);
        let template = found.iter().find_map(|node| match node {
            Node::Item(item) => match &item.kind {
                ItemKind::Template(template) => Some((item.span, template)),
                _ => None,
            },
            _ => None,
        });
        let parameter = |place: Span| {
            let (span, template) = template?;
            let name = self.text(place);
            let known = template.parameters.iter().any(|parameter| parameter.name.text == name);
            known.then(|| (Symbol::Parameter(span, name.into()), place))
        };
        found.iter().rev().find_map(|node| match node {
            Node::Definition(ident) => {
                let def = self.own_definition(file, ident.span)?;
                Some((Symbol::Defined(def, ident.text.clone()), ident.span))
            }
            Node::Parameter(one) => {
                let place = one.name.span;
                (place.start <= offset && offset <= place.end).then(|| parameter(place)).flatten()
            }
            Node::Word(place) => parameter(*place),
            Node::Name(place) => {
                let defined = || Some((Symbol::Defined(self.definition_of(*place)?, self.text(*place).into()), *place));
                parameter(*place).or_else(defined)
            }
            Node::Listed(import, ident) => {
                Some((Symbol::Defined(self.listed(file, import, &ident.text)?, ident.text.clone()), ident.span))
            }
            _ => None,
        })
    }

    /// Returns the span of the name in the statement that defines it.
    pub(super) fn definition_place(&self, symbol: &Symbol) -> Option<Span> {
        match symbol {
            Symbol::Defined(def, _) => Some(self.names()?.name_span(*def)),
            Symbol::Parameter(template, name) => {
                let item = self.tree(template.file)?.items.iter().find(|item| item.span == *template)?;
                let ItemKind::Template(template) = &item.kind else { return None };
                template.parameters.iter().find(|one| one.name.text == *name).map(|one| one.name.span)
            }
        }
    }

    /// Returns the file that a `use` of a file names.
    pub(super) fn used_file(&self, file: FileId, import: &Use) -> Option<FileId> {
        let names = self.names()?;
        let module = self.module(file)?;
        let items = &names.module(module).file.items;
        let at = items.iter().position(|item| matches!(&item.kind, ItemKind::Use(one) if one.path == import.path));
        Some(names.module(names.used_by(module, at? as u32)?).file.id)
    }

    /// Returns the definition of a name in the list of a `use`, by its name in the module or by the name after `as`.
    fn listed(&self, file: FileId, import: &Use, name: &str) -> Option<Def> {
        let used = self.module(self.used_file(file, import)?)?;
        let entry =
            import.names.iter().flatten().find(|entry| {
                entry.name.text == name || entry.alias.as_ref().is_some_and(|alias| alias.text == name)
            })?;
        self.names()?.export(used, &entry.name.text)
    }

    fn own_definition(&self, file: FileId, name: Span) -> Option<Def> {
        let module = self.module(file)?;
        let names = self.names()?;
        let def = names.export(module, self.text(name))?;
        // A part of a file defines what the file defines.
        (names.name_span(def) == name || self.is_part(name.file)).then_some(def)
    }

    fn own_name(&self, def: Def) -> Option<SmolStr> {
        defined(&self.names()?.item(def).kind).map(|name| name.text.clone())
    }

    /// Returns the spans of a symbol under its one name, in order.
    fn places(&self, symbol: &Symbol) -> Vec<Span> {
        let Symbol::Defined(_, name) = symbol else { return self.places_of_all_names(symbol) };
        let mut places = self.places_of_all_names(symbol);
        places.retain(|place| self.text(*place) == name);
        places
    }

    /// Returns the spans of a symbol under all its names, in order.
    fn places_of_all_names(&self, symbol: &Symbol) -> Vec<Span> {
        let mut places: Vec<Span> = match symbol {
            Symbol::Defined(def, _) => {
                let looked_up = self.lookups().filter(|(_, one)| one == def).map(|(place, _)| place);
                looked_up.chain(self.listings(*def)).chain(self.definition_place(symbol)).collect()
            }
            Symbol::Parameter(template, name) => {
                let items = self.tree(template.file).map_or(&[][..], |tree| &tree.items);
                let template = items.iter().find(|item| item.span == *template).and_then(|item| match &item.kind {
                    ItemKind::Template(template) => Some(template),
                    _ => None,
                });
                template.map(|template| self.places_of_parameter(template, name)).unwrap_or_default()
            }
        };
        places.retain(|place| !self.is_standard(place.file));
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Returns the spans in lists of `use` statements that name a definition.
    fn listings(&self, def: Def) -> Vec<Span> {
        let Some(names) = self.names() else { return Vec::new() };
        let mut places = Vec::new();
        for (_, module) in names.modules().filter(|(_, module)| module.role != Role::Standard) {
            for (at, item) in module.file.items.iter().enumerate() {
                let ItemKind::Use(import) = &item.kind else { continue };
                let used = self.module(module.file.id).and_then(|id| names.used_by(id, at as u32));
                let Some(used) = used else { continue };
                for entry in import.names.iter().flatten() {
                    if names.export(used, &entry.name.text) == Some(def) {
                        places.push(entry.name.span);
                        places.extend(entry.alias.as_ref().map(|alias| alias.span));
                    }
                }
            }
        }
        places
    }

    fn places_of_parameter(&self, template: &Template, name: &str) -> Vec<Span> {
        let mut places: Vec<Span> = Vec::new();
        places.extend(template.parameters.iter().filter(|one| one.name.text == name).map(|one| one.name.span));
        for item in &template.body {
            nodes::visit(item, &mut |node| {
                if let Node::Word(place) | Node::Name(place) = node
                    && self.text(place) == name
                {
                    places.push(place);
                }
            });
        }
        places
    }
}

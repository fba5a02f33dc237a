//! Reads the edited text: its statements are parsed and checked, and so are statements that name a changed definition.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::pieces::{Piece, What};
use super::{Draft, MOST_AGAIN, New};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::resolve::{Def, ModuleId, Names, defined};
use crate::source::{FileId, Span};
use crate::syntax;
use crate::syntax::scan::{self, Scan};
use crate::syntax::tree::Item;
use crate::types;

/// The equal beginnings and ends of two texts: where the equal first part ends in both, and where the equal last part
/// starts.
struct Alike {
    old: (usize, usize),
    new: (usize, usize),
}

impl Draft {
    /// Reads the edited text. `text` returns the current text of a file.
    pub fn read<'t>(&mut self, text: impl Fn(FileId) -> Option<&'t str>) {
        let edited: Vec<FileId> = self.edited.keys().copied().collect();
        for file in edited {
            let is_unread = |piece: &Piece| piece.what == What::Unread;
            let unread: Vec<Piece> = self.edited.get(&file).map(|pieces| pieces.0.clone()).unwrap_or_default();
            if unread.iter().any(is_unread)
                && let Some(text) = text(file)
            {
                self.read_file(file, text, &unread);
            }
        }
        let live: FxHashSet<FileId> = self.edited.values().flat_map(|pieces| &pieces.0).filter_map(of_new).collect();
        let dead: Vec<FileId> = self.new.keys().copied().filter(|file| !live.contains(file)).collect();
        for file in dead {
            self.new.remove(&file);
            self.now.remove(file);
        }
        let differs = self.differing();
        if differs != self.differs {
            self.define(&differs);
            self.differs = differs;
            self.new.values_mut().for_each(|new| new.found = None);
        }
        self.check();
    }

    /// Reads the new pieces of a file.
    fn read_file(&mut self, file: FileId, text: &str, pieces: &[Piece]) {
        let Some(length) = self.old.scan(file).map(|_| self.old.sources().file(file).text.len()) else { return };
        let mut read: Vec<Piece> = Vec::with_capacity(pieces.len() + 8);
        for (at, piece) in pieces.iter().enumerate() {
            if piece.what != What::Unread {
                read.push(*piece);
                continue;
            }
            let behind = |piece: &Piece| match piece.what {
                What::Old(from) => Some((from + (piece.end - piece.start)) as usize),
                _ => None,
            };
            let from = |piece: &Piece| match piece.what {
                What::Old(from) => Some(from as usize),
                _ => None,
            };
            let lo = read.iter().rev().find_map(behind).unwrap_or(0);
            let hi = pieces.iter().skip(at + 1).find_map(from).unwrap_or(length).max(lo);
            let Some(new) = text.get(piece.start as usize..piece.end as usize) else { continue };
            let Some(scan) = self.old.scan(file) else { continue };
            let alike = alike(&self.old.sources().file(file).text, scan, (lo, hi), new);
            let (first, last) = (piece.start + alike.new.0 as u32, piece.start + alike.new.1 as u32);
            read.push(Piece { start: piece.start, end: first, what: What::Old(lo as u32) });
            if let Some(changed) = new.get(alike.new.0..alike.new.1).filter(|changed| !changed.is_empty()) {
                let part = self.parse(file, changed);
                read.push(Piece { start: first, end: last, what: What::New(part) });
            }
            read.push(Piece { start: last, end: piece.end, what: What::Old(alike.old.1 as u32) });
        }
        if let Some(pieces) = self.edited.get_mut(&file) {
            pieces.0 = read;
            pieces.tidy();
        }
    }

    fn parse(&mut self, of: FileId, text: &str) -> FileId {
        let file = self.now.add(text, of);
        let mut found = Diagnostics::new();
        let items = syntax::parse(self.now.sources(), file, &mut found).items;
        let unread = found.iter().cloned().collect();
        self.new.insert(file, New { of, items, unread, found: None });
        file
    }

    /// Returns the definitions that are gone, and the new texts that define something.
    fn differing(&self) -> (Vec<Def>, Vec<FileId>) {
        let mut gone = Vec::new();
        for (file, pieces) in &self.edited {
            let Some((names, module)) = self.old.names().zip(self.old.module(*file)) else { continue };
            let items = &names.module(module).file.items;
            for (start, end) in pieces.gone(self.old.sources().file(*file).text.len() as u32) {
                let first = items.partition_point(|item| item.span.start < start);
                let inside = items.iter().enumerate().skip(first).take_while(|(_, item)| item.span.start < end);
                let definitions = inside.filter(|(_, item)| defined(&item.kind).is_some());
                gone.extend(definitions.map(|(at, _)| Def { module, item: at as u32 }));
            }
        }
        let defines = |new: &New| new.items.iter().any(|item| defined(&item.kind).is_some());
        (gone, self.new.iter().filter(|(_, new)| defines(new)).map(|(file, _)| *file).collect())
    }

    /// Gives the draft its names, and finds the unchanged statements that name a changed definition.
    fn define(&mut self, (gone, come): &(Vec<Def>, Vec<FileId>)) {
        self.again.clear();
        self.defined.clear();
        let Some(old) = self.old.names.clone() else { return };
        let mut names = Names::clone(&old);
        let mut found = Diagnostics::new();
        let modules = gone.iter().map(|def| def.module);
        let modules = modules.chain(come.iter().filter_map(|file| self.now.module(*file)));
        let mut modules: Vec<ModuleId> = modules.collect();
        modules.sort_unstable();
        modules.dedup();
        let mut redefined = Vec::new();
        for module in &modules {
            let lost: Vec<Def> = gone.iter().copied().filter(|def| def.module == *module).collect();
            let here = come.iter().filter(|file| self.now.module(**file) == Some(*module));
            let items: Vec<Item> =
                here.filter_map(|file| self.new.get(file)).flat_map(|new| new.items.clone()).collect();
            names = names.after(*module, &lost, items, |span| self.place(span), &mut found);
            redefined.extend(old.redefined(*module, &names));
        }
        self.defined.extend(found.iter().cloned());
        self.redefined = modules;
        self.now.names = Some(Arc::new(names));
        for place in self.affected(&redefined) {
            if let Some(at) = self.old_statement(place)
                && self.place(place).is_some()
                && self.again.len() < MOST_AGAIN
            {
                self.again.insert((place.file, at), None);
            }
        }
    }

    /// Returns the places of names that stood for something else, or for a definition by such a name, and those of
    /// names that stood for nothing.
    fn affected(&self, gone: &[Def]) -> Vec<Span> {
        let unknown = self.old.first_findings().iter().filter(|finding| finding.code == Code::UnknownName);
        let mut places: Vec<Span> = unknown.map(|finding| finding.primary.span).collect();
        let mut known: FxHashSet<Def> = gone.iter().copied().collect();
        let mut open: Vec<Def> = gone.to_vec();
        while let Some(def) = open.pop().filter(|_| places.len() < MOST_AGAIN) {
            for place in self.old.uses(def) {
                places.push(*place);
                open.extend(self.old_definition(*place).filter(|def| known.insert(*def)));
            }
        }
        places
    }

    /// Returns the definition that contains a span.
    fn old_definition(&self, place: Span) -> Option<Def> {
        let module = self.old.module(place.file)?;
        let items = &self.old.names()?.module(module).file.items;
        let at = items.partition_point(|item| item.span.end < place.start);
        let item = items.get(at).filter(|item| item.span.contains(place))?;
        defined(&item.kind).map(|_| Def { module, item: at as u32 })
    }

    /// Checks the new texts, and the unchanged statements that name a changed definition.
    fn check(&mut self) {
        let Some(names) = self.now.names.clone() else { return };
        let mut groups: Vec<(ModuleId, Vec<Item>)> = Vec::new();
        let mut found = Diagnostics::new();
        let new: Vec<FileId> = self.new.iter().filter(|(_, new)| new.found.is_none()).map(|(file, _)| *file).collect();
        for file in &new {
            groups.extend(self.now.module(*file).zip(self.new.get(file).map(|new| new.items.clone())));
        }
        let again: Vec<(FileId, usize)> =
            self.again.iter().filter(|(_, found)| found.is_none()).map(|(key, _)| *key).collect();
        for &(file, at) in &again {
            let (Some(module), Some(scan)) = (self.old.module(file), self.old.scan(file)) else { continue };
            groups.push((module, syntax::parse_some(self.old.sources(), file, scan, at..at + 1, &mut found)));
        }
        let groups = groups.iter().map(|(module, items)| (*module, items.as_slice()));
        let (inventory, settings) = (self.now.inventory(), &self.now.input.settings);
        types::check_again(groups, &names, inventory, settings, self.now.sources(), &mut found);
        // A finding belongs to the statement that it is about, whichever statement led to it.
        let mut found_in: BTreeMap<Result<FileId, (FileId, usize)>, Vec<Diagnostic>> = BTreeMap::new();
        for finding in found.iter().filter(|finding| !self.is_said(finding)) {
            let place = finding.primary.span;
            let of = match self.new.contains_key(&place.file) {
                true => Some(Ok(place.file)),
                false => self.old_statement(place).map(|at| Err((place.file, at))),
            };
            if let Some(of) = of {
                found_in.entry(of).or_default().push(finding.clone());
            }
        }
        for file in new {
            if let Some(new) = self.new.get_mut(&file) {
                new.found = Some(found_in.remove(&Ok(file)).unwrap_or_default());
            }
        }
        for key in again {
            self.again.insert(key, Some(found_in.remove(&Err(key)).unwrap_or_default()));
        }
    }

    /// Returns whether a finding that is reported only once, at its first span, was reported already.
    fn is_said(&self, finding: &Diagnostic) -> bool {
        let once = matches!(finding.code, Code::SelectorUnmatched | Code::PassesTlsThrough);
        let same = |old: &&Diagnostic| old.code == finding.code && old.message == finding.message;
        once && self.old.first_findings().iter().filter(same).any(|old| self.place(old.primary.span).is_some())
    }
}

fn of_new(piece: &Piece) -> Option<FileId> {
    match piece.what {
        What::New(file) => Some(file),
        _ => None,
    }
}

/// Compares a part of a scanned text with another text, statement by statement from both ends.
fn alike(old: &str, scan: &Scan, (lo, hi): (usize, usize), new: &str) -> Alike {
    let first = scan.statements.partition_point(|statement| statement.end <= lo);
    let last = scan.statements.partition_point(|statement| statement.end <= hi);
    let of_old: Vec<usize> = scan.statements.get(first..last).unwrap_or_default().iter().map(|one| one.end).collect();
    let of_new: Vec<usize> = scan::scan(new).statements.iter().map(|one| one.end).collect();
    let same =
        |a: (usize, usize), b: (usize, usize)| old.get(a.0..a.1).is_some() && old.get(a.0..a.1) == new.get(b.0..b.1);
    let (mut front, mut old_at, mut new_at) = (0, lo, 0);
    while let (Some(&one), Some(&other)) = (of_old.get(front), of_new.get(front))
        && same((old_at, one), (new_at, other))
    {
        (old_at, new_at, front) = (one, other, front + 1);
    }
    let (mut old_end, mut new_end) = (hi, new.len());
    let tails = (of_old.last().copied().unwrap_or(lo), of_new.last().copied().unwrap_or(0));
    if !same((tails.0, hi), (tails.1, new.len())) {
        return Alike { old: (old_at, old_end), new: (new_at, new_end) };
    }
    (old_end, new_end) = tails;
    let (mut olds, mut news) = (of_old.len(), of_new.len());
    while olds > front && news > front {
        let before = (olds.checked_sub(2).map_or(lo, |at| of_old[at]), news.checked_sub(2).map_or(0, |at| of_new[at]));
        if !same((before.0, old_end), (before.1, new_end)) {
            break;
        }
        (old_end, new_end) = before;
        (olds, news) = (olds - 1, news - 1);
    }
    Alike { old: (old_at, old_end), new: (new_at, new_end) }
}

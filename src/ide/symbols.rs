//! Outlines: the statements of a file as a tree of symbols, and the names of all files.

use super::Analysis;
use crate::policy::provenance::normalized;
use crate::resolve::defined;
use crate::source::{FileId, Span};
use crate::syntax::tree::{Item, ItemKind};

/// The kinds of symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// `use`
    Module,
    /// `let`
    Constant,
    /// `namespace`
    Namespace,
    /// `service`, `workload`
    Object,
    /// `issuer`
    Key,
    /// `gateway`
    Interface,
    /// `template`
    Function,
    /// `apply`
    Call,
    /// `allow`, `deny`, `default deny`, `scope`, `assert`
    Rule,
    /// `test`
    Test,
}

/// A statement as a symbol.
#[derive(Clone, Debug, PartialEq)]
pub struct OutlineSymbol {
    /// Its name, or its text.
    pub name: String,
    /// Its keyword, where its name is not the whole statement.
    pub detail: &'static str,
    /// Its kind.
    pub kind: SymbolKind,
    /// The whole statement.
    pub span: Span,
    /// The part to select: its name, or all of it.
    pub selection: Span,
    /// The statements in its block.
    pub children: Vec<OutlineSymbol>,
}

/// The most characters of a statement that names it.
const LONGEST: usize = 80;
/// The most symbols that a search returns.
const MOST_FOUND: usize = 500;

impl Analysis {
    /// Returns the statements of a file.
    pub fn outline(&self, file: FileId) -> Vec<OutlineSymbol> {
        self.tree(file).map(|tree| self.outlines(&tree.items)).unwrap_or_default()
    }

    /// Returns the definitions and tests of all files whose names have the letters of a query in their order.
    pub fn search(&self, query: &str) -> Vec<OutlineSymbol> {
        let wanted = |name: &str| {
            let mut letters = name.chars().flat_map(char::to_lowercase);
            query.chars().flat_map(char::to_lowercase).all(|letter| letters.any(|one| one == letter))
        };
        let mut found = Vec::new();
        for file in self.files() {
            for item in self.tree(file).map_or(&[][..], |tree| &tree.items) {
                let named = defined(&item.kind).map(|name| name.text.as_str()).or(match &item.kind {
                    ItemKind::Test(test) => Some(test.name.text.as_str()),
                    ItemKind::Namespace(one) => Some(one.name.text.as_str()),
                    ItemKind::Service(one) => Some(one.name.text.as_str()),
                    ItemKind::Workload(one) => Some(one.name.text.as_str()),
                    _ => None,
                });
                if named.is_some_and(wanted) && found.len() < MOST_FOUND {
                    found.extend(self.symbol(item).map(|symbol| OutlineSymbol { children: Vec::new(), ..symbol }));
                }
            }
        }
        found
    }

    fn outlines(&self, items: &[Item]) -> Vec<OutlineSymbol> {
        items.iter().filter_map(|item| self.symbol(item)).collect()
    }

    fn symbol(&self, item: &Item) -> Option<OutlineSymbol> {
        let (detail, kind) = match &item.kind {
            ItemKind::Use(_) => ("use", SymbolKind::Module),
            ItemKind::Let(_) => ("let", SymbolKind::Constant),
            ItemKind::Namespace(_) => ("namespace", SymbolKind::Namespace),
            ItemKind::Service(_) => ("service", SymbolKind::Object),
            ItemKind::Workload(_) => ("workload", SymbolKind::Object),
            ItemKind::Issuer(_) => ("issuer", SymbolKind::Key),
            ItemKind::Gateway(_) => ("gateway", SymbolKind::Interface),
            ItemKind::Template(_) => ("template", SymbolKind::Function),
            ItemKind::Apply(_) => ("", SymbolKind::Call),
            ItemKind::Scope(_) => ("", SymbolKind::Rule),
            ItemKind::Assert(_) => ("", SymbolKind::Rule),
            ItemKind::Rule(_) => ("", SymbolKind::Rule),
            ItemKind::DefaultDeny(_) => ("", SymbolKind::Rule),
            ItemKind::Test(_) => ("test", SymbolKind::Test),
            ItemKind::Error => return None,
        };
        let from = item.annotations.last().map_or(item.span.start, |last| last.span.end);
        let statement = Span { start: from, ..item.span };
        let selection = match &item.kind {
            ItemKind::Test(test) => test.name.span,
            ItemKind::Namespace(one) => one.name.span,
            ItemKind::Service(one) => one.namespace.span.to(one.name.span),
            ItemKind::Workload(one) => one.namespace.span.to(one.name.span),
            ItemKind::Use(one) => one.path_span,
            kind => defined(kind).map_or(statement, |name| name.span),
        };
        let words = normalized(self.sources(), selection);
        let mut name: String = words.chars().take(LONGEST).collect();
        if name.len() < words.len() {
            name.push('…');
        }
        let children = match &item.kind {
            ItemKind::Template(template) => self.outlines(&template.body),
            _ => Vec::new(),
        };
        Some(OutlineSymbol { name, detail, kind, span: item.span, selection, children })
    }
}

//! From the data of `ide` to the types of the protocol.

use lsp_types::{
    BaseSymbolInformation, CompletionItem, CompletionItemKind, CompletionItemTextEdit, DocumentSymbol, FoldingRange,
    FoldingRangeKind, Location, MarkupContent, MarkupKind, SemanticToken, SymbolKind as LspSymbolKind, TextEdit,
    WorkspaceSymbol,
};

use super::lines::Lines;
use crate::ide::{Completion, CompletionKind, FoldKind, OutlineSymbol, SymbolKind, Token, TokenKind};
use crate::source::Span;

/// The types of semantic tokens, in the order of their numbers.
pub const TOKEN_TYPES: [&str; 14] = [
    "keyword",
    "comment",
    "string",
    "number",
    "operator",
    "namespace",
    "class",
    "property",
    "enumMember",
    "variable",
    "function",
    "parameter",
    "type",
    "decorator",
];
/// The modifiers of semantic tokens, in the order of their bits.
pub const TOKEN_MODIFIERS: [&str; 2] = ["declaration", "documentation"];

/// Returns some text in Markdown.
pub fn markdown(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}

/// Returns a completion as an item; `at` is its index among the others.
pub fn completion(one: Completion, at: usize, lines: &Lines<'_>) -> CompletionItem {
    let kind = match one.kind {
        CompletionKind::Keyword => CompletionItemKind::Keyword,
        CompletionKind::Name => CompletionItemKind::Variable,
        CompletionKind::Template => CompletionItemKind::Function,
        CompletionKind::Namespace => CompletionItemKind::Module,
        CompletionKind::Object => CompletionItemKind::Class,
        CompletionKind::Key => CompletionItemKind::Property,
        CompletionKind::Value => CompletionItemKind::Value,
        CompletionKind::Host => CompletionItemKind::Reference,
        CompletionKind::Module => CompletionItemKind::File,
    };
    let range = lines.range(one.replaces.start, one.replaces.end);
    CompletionItem {
        kind: Some(kind),
        detail: (!one.detail.is_empty()).then_some(one.detail),
        documentation: (!one.doc.is_empty()).then(|| markdown(one.doc).into()),
        sort_text: Some(format!("{at:05}")),
        filter_text: Some(one.text.clone()),
        text_edit: Some(CompletionItemTextEdit::TextEdit(TextEdit { range, new_text: one.text.clone() })),
        label: one.text,
        ..CompletionItem::default()
    }
}

fn symbol_kind(kind: SymbolKind) -> LspSymbolKind {
    match kind {
        SymbolKind::Module => LspSymbolKind::Module,
        SymbolKind::Constant => LspSymbolKind::Constant,
        SymbolKind::Namespace => LspSymbolKind::Namespace,
        SymbolKind::Object => LspSymbolKind::Object,
        SymbolKind::Key => LspSymbolKind::Key,
        SymbolKind::Interface => LspSymbolKind::Interface,
        SymbolKind::Function => LspSymbolKind::Function,
        SymbolKind::Call => LspSymbolKind::Event,
        SymbolKind::Rule => LspSymbolKind::Property,
        SymbolKind::Test => LspSymbolKind::Method,
    }
}

/// Returns a statement as a symbol of its document.
#[expect(deprecated, reason = "the field must be there, and is left out of the message")]
pub fn document_symbol(one: OutlineSymbol, lines: &Lines<'_>) -> DocumentSymbol {
    let children: Vec<DocumentSymbol> = one.children.into_iter().map(|child| document_symbol(child, lines)).collect();
    DocumentSymbol {
        name: one.name,
        detail: (!one.detail.is_empty()).then(|| one.detail.to_owned()),
        kind: symbol_kind(one.kind),
        tags: None,
        deprecated: None,
        range: lines.range(one.span.start, one.span.end),
        selection_range: lines.range(one.selection.start, one.selection.end),
        children: (!children.is_empty()).then_some(children),
    }
}

/// Returns a definition as a symbol of the workspace.
pub fn workspace_symbol(one: &OutlineSymbol, location: Location) -> WorkspaceSymbol {
    WorkspaceSymbol {
        location: location.into(),
        data: None,
        base_symbol_information: BaseSymbolInformation {
            name: one.name.clone(),
            kind: symbol_kind(one.kind),
            tags: None,
            container_name: Some(one.detail.to_owned()),
        },
    }
}

/// Returns a part that can be folded.
pub fn fold((span, kind): (Span, FoldKind), lines: &Lines<'_>) -> FoldingRange {
    let range = lines.range(span.start, span.end);
    FoldingRange {
        start_line: range.start.line,
        start_character: None,
        end_line: range.end.line,
        end_character: None,
        kind: match kind {
            FoldKind::Comment => Some(FoldingRangeKind::Comment),
            FoldKind::Imports => Some(FoldingRangeKind::Imports),
            FoldKind::Statement => None,
        },
        collapsed_text: None,
    }
}

/// Returns words with their kinds in the relative form of the protocol.
pub fn semantic_tokens(
    tokens: &[Token],
    text: &str,
    lines: &Lines<'_>,
    length: impl Fn(&str) -> u32,
) -> Vec<SemanticToken> {
    let (mut line, mut character) = (0, 0);
    let mut list = Vec::with_capacity(tokens.len());
    for token in tokens {
        let at = lines.position(token.span.start);
        let delta_start = if at.line == line { at.character - character } else { at.character };
        let (kind, documentation) = token_type(token.kind);
        list.push(SemanticToken {
            delta_line: at.line - line,
            delta_start,
            length: length(text.get(token.span.start as usize..token.span.end as usize).unwrap_or_default()),
            token_type: kind,
            token_modifiers_bitset: u32::from(token.defines) | u32::from(documentation) << 1,
        });
        (line, character) = (at.line, at.character);
    }
    list
}

fn token_type(kind: TokenKind) -> (u32, bool) {
    let word = match kind {
        TokenKind::Keyword => "keyword",
        TokenKind::Comment | TokenKind::Documentation => "comment",
        TokenKind::String | TokenKind::Host => "string",
        TokenKind::Number => "number",
        TokenKind::Operator => "operator",
        TokenKind::Namespace => "namespace",
        TokenKind::Object => "class",
        TokenKind::Key => "property",
        TokenKind::Value => "enumMember",
        TokenKind::Name => "variable",
        TokenKind::Template => "function",
        TokenKind::Parameter => "parameter",
        TokenKind::Type => "type",
        TokenKind::Annotation => "decorator",
    };
    let at = TOKEN_TYPES.iter().position(|one| *one == word).unwrap_or_default();
    (at as u32, kind == TokenKind::Documentation)
}

//! The answers to questions about a document.

use std::collections::HashMap;

use lsp_types::{
    CallHierarchyIncomingCall, CallHierarchyItem, CallHierarchyOutgoingCall, CodeLens, Command, DocumentHighlight,
    DocumentLink, DocumentRangeFormattingParams, Hover, InlayHint, Location, ParameterInformation,
    PrepareRenamePlaceholder, ReferenceParams, RenameParams, SelectionRange, SemanticTokens, SemanticTokensDelta,
    SemanticTokensEdit, SignatureHelp, SignatureInformation, TextDocumentPositionParams, TextEdit, Uri, WorkspaceEdit,
};
use serde::Serialize;
use serde_json::Value;

use super::client::Failure;
use super::lines::Lines;
use super::workspace::{Place, Workspace};
use super::{actions, convert, diagnostics};
use crate::diag::Edit;
use crate::ide::{Asked, Contact, LensAction, Link, Party, Signature};
use crate::source::{FileId, Span};

/// An answer, as it is sent.
pub type Answer = Result<Value, Failure>;

/// Returns a value as an answer.
pub fn json(value: impl Serialize) -> Answer {
    serde_json::to_value(value).map_err(|error| Failure::new(error.to_string()))
}

/// A document with its lines, in a policy that was checked.
pub struct View<'w> {
    pub workspace: &'w Workspace,
    pub place: &'w Place,
    pub lines: Lines<'w>,
}

impl<'w> View<'w> {
    /// Makes the view of a document.
    pub fn new(workspace: &'w Workspace, place: &'w Place) -> View<'w> {
        View { workspace, place, lines: workspace.lines(&place.opened, place.file) }
    }

    fn file(&self) -> FileId {
        self.place.file
    }

    fn ide(&self) -> &crate::ide::Analysis {
        &self.place.opened.analysis
    }

    fn offset(&self, at: &TextDocumentPositionParams) -> u32 {
        self.lines.offset(at.position)
    }

    fn location(&self, span: Span) -> Location {
        let range = match span.file == self.file() {
            true => self.lines.range(span.start, span.end),
            false => self.workspace.lines(&self.place.opened, span.file).range(span.start, span.end),
        };
        Location { uri: self.workspace.uri_of(&self.place.opened, span.file), range }
    }

    fn locations(&self, spans: Vec<Span>) -> Vec<Location> {
        spans.into_iter().map(|span| self.location(span)).collect()
    }

    /// Returns edits of any files of the policy.
    pub fn workspace_edit(&self, edits: &[Edit]) -> WorkspaceEdit {
        let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
        for edit in edits {
            let Location { uri, range } = self.location(edit.span);
            changes.entry(uri).or_default().push(TextEdit { range, new_text: edit.text.clone() });
        }
        WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }
    }

    fn text_edits(&self, edits: Option<Vec<Edit>>) -> Option<Vec<TextEdit>> {
        let edit =
            |edit: Edit| TextEdit { range: self.lines.range(edit.span.start, edit.span.end), new_text: edit.text };
        edits.map(|edits| edits.into_iter().map(edit).collect())
    }

    pub fn hover(&self, at: &TextDocumentPositionParams) -> Answer {
        json(self.ide().hover(self.file(), self.offset(at)).map(|hover| Hover {
            range: Some(self.lines.range(hover.span.start, hover.span.end)),
            contents: convert::markdown(hover.with_layers(None)).into(),
        }))
    }

    pub fn definition(&self, at: &TextDocumentPositionParams) -> Answer {
        json(self.locations(self.ide().definition(self.file(), self.offset(at))))
    }

    pub fn references(&self, params: &ReferenceParams) -> Answer {
        let offset = self.offset(&params.text_document_position_params);
        json(self.locations(self.ide().references(self.file(), offset, params.context.include_declaration)))
    }

    pub fn highlights(&self, at: &TextDocumentPositionParams) -> Answer {
        let spans = self.ide().highlights(self.file(), self.offset(at)).into_iter();
        let marks = spans.map(|span| DocumentHighlight { range: self.lines.range(span.start, span.end), kind: None });
        json(marks.collect::<Vec<_>>())
    }

    /// Returns the endpoint at a position, for the client's call hierarchy.
    pub fn party(&self, at: &TextDocumentPositionParams) -> Answer {
        let party = self.ide().party(self.file(), self.offset(at));
        json(party.map(|party| vec![self.party_item(party)]))
    }

    /// Returns the endpoints that reach an endpoint, each with the rules of its file that allow it.
    pub fn reached_by(&self, item: &CallHierarchyItem) -> Answer {
        let calls = self.contacts(item, Asked::Sources)?.into_iter().map(|Contact { party, rules }| {
            let from_ranges = self.ranges(&rules, party.span.file);
            CallHierarchyIncomingCall { from: self.party_item(party), from_ranges }
        });
        json(calls.collect::<Vec<_>>())
    }

    /// Returns the endpoints that an endpoint reaches, each with the rules of this file that allow it.
    pub fn reaches(&self, item: &CallHierarchyItem) -> Answer {
        let calls = self.contacts(item, Asked::Destinations)?.into_iter().map(|Contact { party, rules }| {
            let from_ranges = self.ranges(&rules, self.file());
            CallHierarchyOutgoingCall { to: self.party_item(party), from_ranges }
        });
        json(calls.collect::<Vec<_>>())
    }

    fn contacts(&self, item: &CallHierarchyItem, asked: Asked) -> Result<Vec<Contact>, Failure> {
        let offset = self.lines.offset(item.selection_range.start);
        self.ide().contacts(self.file(), offset, asked).map_err(Failure::new)
    }

    fn ranges(&self, spans: &[Span], file: FileId) -> Vec<lsp_types::Range> {
        let of_file = spans.iter().filter(|span| span.file == file);
        of_file.map(|span| self.location(*span).range).collect()
    }

    fn party_item(&self, party: Party) -> CallHierarchyItem {
        let Location { uri, range } = self.location(party.statement);
        CallHierarchyItem {
            name: party.name,
            kind: lsp_types::SymbolKind::Object,
            tags: None,
            detail: None,
            uri,
            range,
            selection_range: self.location(party.span).range,
            data: None,
        }
    }

    pub fn prepare_rename(&self, at: &TextDocumentPositionParams) -> Answer {
        let span = self.ide().prepare_rename(self.file(), self.offset(at)).map_err(Failure::new)?;
        let placeholder = self.ide().sources().slice(span).to_owned();
        json(PrepareRenamePlaceholder { range: self.lines.range(span.start, span.end), placeholder })
    }

    pub fn rename(&self, params: &RenameParams) -> Answer {
        let offset = self.offset(&params.text_document_position_params);
        let edits = self.ide().rename(self.file(), offset, &params.new_name).map_err(Failure::new)?;
        json(self.workspace_edit(&edits))
    }

    pub fn completions(&self, at: &TextDocumentPositionParams) -> Answer {
        let all = self.ide().completions(self.file(), self.offset(at)).into_iter().enumerate();
        json(all.map(|(at, one)| convert::completion(one, at, &self.lines)).collect::<Vec<_>>())
    }

    pub fn signature(&self, at: &TextDocumentPositionParams) -> Answer {
        signature_help(self.ide().signature(self.file(), self.offset(at)))
    }

    pub fn outline(&self) -> Answer {
        let all = self.ide().outline(self.file()).into_iter();
        json(all.map(|one| convert::document_symbol(one, &self.lines)).collect::<Vec<_>>())
    }

    pub fn links(&self) -> Answer {
        let reads_own = |uri: &Uri| !uri.0.starts_with("netpol:");
        let links = self.ide().links(self.file()).into_iter().map(|(span, link)| DocumentLink {
            range: self.lines.range(span.start, span.end),
            target: Some(match link {
                Link::File(file) => self.workspace.uri_of(&self.place.opened, file),
                Link::Page(code) => diagnostics::page(code),
            }),
            ..DocumentLink::default()
        });
        let own = self.workspace.reads_own;
        json(links.filter(|link| own || link.target.as_ref().is_some_and(reads_own)).collect::<Vec<_>>())
    }

    pub fn format(&self) -> Answer {
        json(self.text_edits(self.ide().format(self.file())))
    }

    pub fn format_range(&self, params: &DocumentRangeFormattingParams) -> Answer {
        let (start, end) = self.lines.bytes(params.range);
        json(self.text_edits(self.ide().format_range(self.file(), start, end)))
    }

    pub fn folds(&self) -> Answer {
        let folds = self.ide().folds(self.file()).into_iter();
        json(folds.map(|one| convert::fold(one, &self.lines)).collect::<Vec<_>>())
    }

    pub fn selections(&self, positions: &[lsp_types::Position]) -> Answer {
        let of = |position: &lsp_types::Position| {
            let spans = self.ide().selections(self.file(), self.lines.offset(*position));
            let mut nested: Option<SelectionRange> = None;
            for span in spans.into_iter().rev() {
                let range = self.lines.range(span.start, span.end);
                nested = Some(SelectionRange { range, parent: nested.map(Box::new) });
            }
            nested.unwrap_or_else(|| SelectionRange { range: self.lines.range(0, 0), parent: None })
        };
        json(positions.iter().map(of).collect::<Vec<_>>())
    }

    pub fn hints(&self, range: lsp_types::Range) -> Answer {
        let (start, end) = self.lines.bytes(range);
        let hints = self.ide().hints(self.file(), start, end).into_iter().map(|hint| InlayHint {
            position: self.lines.position(hint.at),
            label: hint.text.into(),
            kind: None,
            text_edits: None,
            tooltip: None,
            padding_left: Some(true),
            padding_right: None,
            data: None,
        });
        json(hints.collect::<Vec<_>>())
    }

    pub fn lenses(&self) -> Answer {
        let uri = self.workspace.uri_of(&self.place.opened, self.file());
        let lenses = self.ide().lenses(self.file()).into_iter().map(|lens| {
            let range = self.lines.range(lens.span.start, lens.span.end);
            let command = match lens.action {
                LensAction::None => "",
                LensAction::Yaml => actions::YAML,
                LensAction::Evaluate => actions::EVALUATE,
                LensAction::Explain => actions::EXPLAIN,
                LensAction::Tests => actions::TESTS,
                LensAction::Changes => actions::CHANGES,
            };
            let arguments = vec![Value::from(uri.0.as_str()), serde_json::to_value(range.start).unwrap_or_default()];
            let arguments = (!command.is_empty()).then_some(arguments);
            let command = Command { title: lens.text, command: command.to_owned(), arguments, tooltip: None };
            CodeLens { range, command: Some(command), data: None }
        });
        json(lenses.collect::<Vec<_>>())
    }

    /// Returns the semantic tokens of a range, as numbers.
    pub fn tokens(&self, range: Option<lsp_types::Range>) -> Vec<lsp_types::SemanticToken> {
        let text = &self.ide().sources().file(self.file()).text;
        let (start, end) = range.map_or((0, text.len() as u32), |range| self.lines.bytes(range));
        let tokens = self.ide().tokens(self.file(), start, end);
        convert::semantic_tokens(&tokens, text, &self.lines, |word| self.workspace.encoding.length(word))
    }
}

/// Returns a template whose arguments are being written.
pub fn signature_help(found: Option<Signature>) -> Answer {
    json(found.map(|found| {
        let part = |&(start, end): &(u32, u32)| {
            let name = found.label.get(start as usize..end as usize).unwrap_or_default();
            ParameterInformation { label: name.to_owned().into(), documentation: None }
        };
        SignatureHelp {
            signatures: vec![SignatureInformation {
                parameters: Some(found.parameters.iter().map(part).collect()),
                documentation: found.doc.map(|doc| convert::markdown(doc).into()),
                label: found.label,
                active_parameter: None,
            }],
            active_signature: Some(0),
            active_parameter: Some(found.active.into()),
        }
    }))
}

/// Returns tokens under an id, which the client sends when it asks for the difference.
pub fn tokens_answer(id: &str, data: Vec<lsp_types::SemanticToken>) -> Answer {
    json(SemanticTokens { result_id: Some(id.to_owned()), data })
}

/// Returns the difference of two lists of tokens: one edit between their equal beginnings and ends.
pub fn tokens_delta(id: &str, old: &[lsp_types::SemanticToken], new: &[lsp_types::SemanticToken]) -> Answer {
    let before = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[before..], &new[before..]);
    let after = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (gone, come) = (old.len() - after, &new[..new.len() - after]);
    let numbers = |token: &lsp_types::SemanticToken| {
        [token.delta_line, token.delta_start, token.length, token.token_type, token.token_modifiers_bitset]
    };
    let edit = SemanticTokensEdit {
        start: 5 * before as u32,
        delete_count: 5 * gone as u32,
        data: Some(come.iter().flat_map(numbers).collect()),
    };
    let edits = if gone == 0 && come.is_empty() { Vec::new() } else { vec![edit] };
    json(SemanticTokensDelta { result_id: Some(id.to_owned()), edits })
}

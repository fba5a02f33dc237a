//! The table of requests: the method, and the function that answers it.

use lsp_server::ErrorCode;
use lsp_types::{
    CallHierarchyIncomingCallsParams, CallHierarchyOutgoingCallsParams, CallHierarchyPrepareParams, CodeActionParams,
    CodeLensParams, CompletionParams, DefinitionParams, DocumentFormattingParams, DocumentHighlightParams,
    DocumentLinkParams, DocumentRangeFormattingParams, DocumentSymbolParams, ExecuteCommandParams, FoldingRangeParams,
    HoverParams, InlayHintParams, PrepareRenameParams, ReferenceParams, RenameParams, SelectionRangeParams,
    SemanticToken, SemanticTokensDeltaParams, SemanticTokensParams, SemanticTokensRangeParams, SignatureHelpParams,
    TextDocumentContentParams, TextDocumentContentResult, Uri, WorkspaceSymbolParams,
};
use serde_json::{Value, json};

use super::client::{Failure, parse};
use super::features::{Answer, View, json as answer, tokens_answer, tokens_delta};
use super::server::Server;
use super::{Root, actions, convert, uri};
use crate::diag::Code;
use crate::resolve::stdlib;

impl Server {
    /// Answers a request at once.
    pub(super) fn answer(&mut self, method: &str, params: Value) -> Answer {
        match method {
            "shutdown" => {
                self.is_shut_down = true;
                Ok(Value::Null)
            }
            "textDocument/hover" => {
                let at = parse::<HoverParams>(params)?.text_document_position_params;
                match self.workspace.near(&at) {
                    Some(near) => near.hover(),
                    None => self.view(&at.text_document.uri, |view| view.hover(&at)),
                }
            }
            "textDocument/definition" => {
                let at = parse::<DefinitionParams>(params)?.text_document_position_params;
                match self.workspace.near(&at) {
                    Some(near) => near.definition(),
                    None => self.view(&at.text_document.uri, |view| view.definition(&at)),
                }
            }
            "textDocument/references" => {
                let params = parse::<ReferenceParams>(params)?;
                self.view(&params.text_document_position_params.text_document.uri, |view| view.references(&params))
            }
            "textDocument/documentHighlight" => {
                let at = parse::<DocumentHighlightParams>(params)?.text_document_position_params;
                self.view(&at.text_document.uri, |view| view.highlights(&at))
            }
            "textDocument/prepareCallHierarchy" => {
                let at = parse::<CallHierarchyPrepareParams>(params)?.text_document_position_params;
                self.view(&at.text_document.uri, |view| view.party(&at))
            }
            "callHierarchy/incomingCalls" => {
                let item = parse::<CallHierarchyIncomingCallsParams>(params)?.item;
                self.view(&item.uri, |view| view.reached_by(&item))
            }
            "callHierarchy/outgoingCalls" => {
                let item = parse::<CallHierarchyOutgoingCallsParams>(params)?.item;
                self.view(&item.uri, |view| view.reaches(&item))
            }
            "textDocument/prepareRename" => {
                let at = parse::<PrepareRenameParams>(params)?.text_document_position_params;
                self.view(&at.text_document.uri, |view| view.prepare_rename(&at))
            }
            "textDocument/rename" => {
                let params = parse::<RenameParams>(params)?;
                self.view(&params.text_document_position_params.text_document.uri, |view| view.rename(&params))
            }
            "textDocument/completion" => {
                let at = parse::<CompletionParams>(params)?.text_document_position_params;
                match self.workspace.near(&at) {
                    Some(near) => near.completions(),
                    None => self.view(&at.text_document.uri, |view| view.completions(&at)),
                }
            }
            "textDocument/signatureHelp" => {
                let at = parse::<SignatureHelpParams>(params)?.text_document_position_params;
                match self.workspace.near(&at) {
                    Some(near) => near.signature(),
                    None => self.view(&at.text_document.uri, |view| view.signature(&at)),
                }
            }
            "textDocument/documentSymbol" => {
                self.view(&parse::<DocumentSymbolParams>(params)?.text_document.uri, |view| view.outline())
            }
            "textDocument/documentLink" => {
                self.view(&parse::<DocumentLinkParams>(params)?.text_document.uri, |view| view.links())
            }
            "textDocument/formatting" => {
                self.view(&parse::<DocumentFormattingParams>(params)?.text_document.uri, |view| view.format())
            }
            "textDocument/rangeFormatting" => {
                let params = parse::<DocumentRangeFormattingParams>(params)?;
                self.view(&params.text_document.uri, |view| view.format_range(&params))
            }
            "textDocument/foldingRange" => {
                self.view(&parse::<FoldingRangeParams>(params)?.text_document.uri, |view| view.folds())
            }
            "textDocument/selectionRange" => {
                let params = parse::<SelectionRangeParams>(params)?;
                self.view(&params.text_document.uri, |view| view.selections(&params.positions))
            }
            "textDocument/inlayHint" => {
                let params = parse::<InlayHintParams>(params)?;
                self.view(&params.text_document.uri, |view| view.hints(params.range))
            }
            "textDocument/codeLens" => {
                self.view(&parse::<CodeLensParams>(params)?.text_document.uri, |view| view.lenses())
            }
            "textDocument/codeAction" => {
                let params = parse::<CodeActionParams>(params)?;
                let abilities = self.abilities;
                self.view(&params.text_document.uri, |view| actions::of(view, &abilities, &params))
            }
            "textDocument/semanticTokens/full" => {
                self.tokens(parse::<SemanticTokensParams>(params)?.text_document.uri, None)
            }
            "textDocument/semanticTokens/full/delta" => {
                let params = parse::<SemanticTokensDeltaParams>(params)?;
                self.tokens(params.text_document.uri, Some(params.previous_result_id))
            }
            "textDocument/semanticTokens/range" => {
                let params = parse::<SemanticTokensRangeParams>(params)?;
                self.view(&params.text_document.uri, |view| {
                    answer(json!({ "data": flat(&view.tokens(Some(params.range))) }))
                })
            }
            "workspace/symbol" => self.symbols(&parse::<WorkspaceSymbolParams>(params)?.query),
            "workspace/executeCommand" => {
                let params = parse::<ExecuteCommandParams>(params)?;
                actions::execute(&mut self.workspace, &params.command, &params.arguments.unwrap_or_default())
            }
            "workspace/textDocumentContent" => own_text(&parse::<TextDocumentContentParams>(params)?.uri),
            other => Err(Failure::of(ErrorCode::MethodNotFound, format!("there is no method `{other}`"))),
        }
    }

    /// Asks a document of a policy that can be read; the answer is `null` for every other document.
    fn view(&mut self, uri: &Uri, ask: impl FnOnce(&View<'_>) -> Answer) -> Answer {
        match self.workspace.place(uri) {
            Some(place) => ask(&View::new(&self.workspace, &place)),
            None => Ok(Value::Null),
        }
    }

    fn symbols(&mut self, query: &str) -> Answer {
        let roots: Vec<Root> = self.workspace.projects.keys().cloned().collect();
        let mut found = Vec::new();
        for root in roots {
            let Ok(opened) = self.workspace.fresh(&root) else { continue };
            for symbol in opened.analysis.search(query) {
                let file = symbol.span.file;
                let range = self.workspace.lines(&opened, file).range(symbol.selection.start, symbol.selection.end);
                let location = lsp_types::Location { uri: self.workspace.uri_of(&opened, file), range };
                found.push(convert::workspace_symbol(&symbol, location));
            }
        }
        answer(found)
    }

    fn tokens(&mut self, uri: Uri, previous: Option<String>) -> Answer {
        let Some(place) = self.workspace.place(&uri) else { return Ok(Value::Null) };
        let new = View::new(&self.workspace, &place).tokens(None);
        self.tokens_made += 1;
        let id = self.tokens_made.to_string();
        let known = self.tokens.insert(uri, (id.clone(), new.clone()));
        match known.filter(|(known, _)| previous.as_ref() == Some(known)) {
            Some((_, old)) => tokens_delta(&id, &old, &new),
            None => tokens_answer(&id, new),
        }
    }
}

fn flat(tokens: &[SemanticToken]) -> Vec<u32> {
    let numbers = |token: &SemanticToken| {
        [token.delta_line, token.delta_start, token.length, token.token_type, token.token_modifiers_bitset]
    };
    tokens.iter().flat_map(numbers).collect()
}

/// Returns a text of the server: the page of a code, or a module of the standard library.
fn own_text(uri: &Uri) -> Answer {
    let name = uri::own(uri).ok_or_else(|| Failure::new("this is no text of netpol"))?;
    let page = name.strip_prefix("rule/").map(|rest| rest.trim_end_matches(".md")).and_then(Code::parse);
    let text = page.map(Code::page).or_else(|| stdlib::text(name.trim_end_matches(".netpol")));
    match text {
        Some(text) => answer(TextDocumentContentResult { text: text.to_owned() }),
        None => Err(Failure::new(format!("there is no text `{name}`"))),
    }
}

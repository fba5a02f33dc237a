//! Questions about one position in a large policy. The statements around it are analysed by themselves, with what is
//! known about the rest, so that the answer does not wait until the whole policy is checked again.

use lsp_types::{CompletionItem, Hover, Location, TextDocumentPositionParams};
use serde_json::json as object;

use super::features::{Answer, json, signature_help};
use super::lines::Lines;
use super::workspace::Workspace;
use super::{Opened, convert, uri};
use crate::ide::{Completion, Draft, Window};
use crate::source::{FileId, Span};

/// The most words that a client gets at once; it asks again as somebody types.
const MOST_WORDS: usize = 200;

/// A position in a document of a large policy.
pub struct Near<'w> {
    workspace: &'w Workspace,
    opened: &'w Opened,
    draft: &'w Draft,
    file: FileId,
    window: Window,
    /// The offset in the window.
    offset: u32,
}

impl Workspace {
    /// Returns a position in a document, if its policy is large.
    pub fn near(&mut self, at: &TextDocumentPositionParams) -> Option<Near<'_>> {
        let root = self.root_of(&at.text_document.uri)?;
        self.read_draft(&root)?;
        let (path, encoding) = (uri::path(&at.text_document.uri)?, self.encoding);
        let (project, document) = (self.projects.get(&root)?, self.documents.get(&path)?);
        let opened = project.opened.as_ref()?.as_ref().ok()?;
        let draft = project.draft.as_ref()?;
        let file = opened.file_at(&path)?;
        let offset = document.text.lines(encoding).offset(at.position);
        let window = draft.window(file, document.text.text(), offset)?;
        let offset = offset.checked_sub(window.start)?;
        Some(Near { workspace: self, opened, draft, file, window, offset })
    }
}

impl Near<'_> {
    fn lines(&self) -> Lines<'_> {
        self.workspace.lines(self.opened, self.file)
    }

    /// Returns the current span of a span, in the document or in another file.
    fn moved(&self, span: Span) -> Option<Span> {
        match span.file == self.window.file {
            true => {
                let start = self.window.start;
                Some(Span { file: self.file, start: start + span.start, end: start + span.end })
            }
            false => self.draft.place(span),
        }
    }

    pub fn hover(&self) -> Answer {
        json(self.window.analysis.hover(self.window.file, self.offset).map(|hover| {
            let range = self.moved(hover.span).map(|span| self.lines().range(span.start, span.end));
            let table = hover.rule.and_then(|rule| self.draft.enforcement(self.moved(rule)?));
            Hover { contents: convert::markdown(hover.with_layers(table)).into(), range }
        }))
    }

    pub fn definition(&self) -> Answer {
        let places = self.window.analysis.definition(self.window.file, self.offset).into_iter();
        let location = |span: Span| {
            let span = self.moved(span)?;
            let range = self.workspace.lines(self.opened, span.file).range(span.start, span.end);
            Some(Location { uri: self.workspace.uri_of(self.opened, span.file), range })
        };
        json(places.filter_map(location).collect::<Vec<_>>())
    }

    pub fn signature(&self) -> Answer {
        signature_help(self.window.analysis.signature(self.window.file, self.offset))
    }

    /// Returns the first of the words that begin as what is written does, or else of those that contain it.
    pub fn completions(&self) -> Answer {
        let (found, has_more) = self.window.analysis.first_completions(self.window.file, self.offset, MOST_WORDS);
        let lines = self.lines();
        let item = |(at, mut one): (usize, Completion)| {
            one.replaces = self.moved(one.replaces).unwrap_or(one.replaces);
            convert::completion(one, at, &lines)
        };
        let items: Vec<CompletionItem> = found.into_iter().enumerate().map(item).collect();
        json(object!({ "isIncomplete": has_more, "items": items }))
    }
}

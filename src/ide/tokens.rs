//! Semantic tokens: the kind of each word of a text, so that an editor can colour it.
//!
//! Words of the language are found without the grammar, so that a half-typed statement keeps its colours. The tree
//! gives the kinds of the other words.

use std::collections::HashMap;

use super::Analysis;
use super::nodes::{self, Node};
use crate::source::{FileId, Span};
use crate::syntax::scan::is_word;
use crate::syntax::tree::{ExprKind, ItemKind, LabelTest, Word};
use crate::syntax::vocabulary::{ANNOTATIONS, CONDITIONS, DETAILS, PROTOCOLS, RESERVED, fields};

/// The kind of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A word of the language.
    Keyword,
    /// `# …`
    Comment,
    /// `## …`
    Documentation,
    /// `"…"`
    String,
    /// A number, a range, an address.
    Number,
    /// `->`, `<->`
    Operator,
    /// A namespace.
    Namespace,
    /// A workload, a Service or an account.
    Object,
    /// The key of a label.
    Key,
    /// The value of a label.
    Value,
    /// A `let`, a gateway or an issuer.
    Name,
    /// A template.
    Template,
    /// A parameter of a template.
    Parameter,
    /// The type of a parameter.
    Type,
    /// A host.
    Host,
    /// `@owner`
    Annotation,
}

/// A word with its span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The place, on one line.
    pub span: Span,
    /// The kind.
    pub kind: TokenKind,
    /// Whether it defines the name.
    pub defines: bool,
}

impl Analysis {
    /// Returns the words of a range of a file, in order.
    pub fn tokens(&self, file: FileId, start: u32, end: u32) -> Vec<Token> {
        let text = &self.sources().file(file).text;
        let known = self.known_words(file, start, end);
        let fields = fields();
        let mut tokens = Vec::new();
        lex(text, &mut |from, to, lexed| {
            let span = Span::new(file, from, to);
            if span.end < start || end < span.start {
                return;
            }
            let word = &text[from..to];
            let (kind, defines) = match lexed {
                Lexed::Other(kind) => (Some(kind), false),
                Lexed::Word => match known.get(&span.start) {
                    Some((kind, defines)) => (Some(*kind), *defines),
                    None => {
                        let lists: [&[&str]; 5] = [&RESERVED, &fields, &CONDITIONS, &DETAILS, &PROTOCOLS];
                        let is_keyword = lists.iter().any(|list| list.contains(&word));
                        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
                        let kind =
                            if is_keyword { Some(TokenKind::Keyword) } else { is_number.then_some(TokenKind::Number) };
                        (kind, false)
                    }
                },
            };
            tokens.extend(kind.map(|kind| Token { span, kind, defines }));
        });
        tokens
    }

    /// Returns the kinds of words by the tree, by their first bytes.
    fn known_words(&self, file: FileId, start: u32, end: u32) -> HashMap<u32, (TokenKind, bool)> {
        let mut known = HashMap::new();
        let Some(tree) = self.tree(file) else { return known };
        let from = tree.items.partition_point(|item| item.span.end < start);
        for item in tree.items[from..].iter().take_while(|item| item.span.start <= end) {
            let mut parameters: Vec<&str> = Vec::new();
            if let ItemKind::Template(template) = &item.kind {
                parameters.extend(template.parameters.iter().map(|one| one.name.text.as_str()));
            }
            nodes::visit(item, &mut |node| {
                let mut put = |span: Span, kind| {
                    known.insert(span.start, (kind, false));
                };
                match node {
                    Node::Namespace(word) if !word.is_scope() => put(word.span, TokenKind::Namespace),
                    Node::Workload(_, word) | Node::Account(word) => put(word.span, TokenKind::Object),
                    Node::Label(label) => {
                        put(label.key.span, TokenKind::Key);
                        let values: &[Word] = match &label.test {
                            LabelTest::Equals(value) | LabelTest::NotEquals(value) => std::slice::from_ref(value),
                            LabelTest::In(values) | LabelTest::NotIn(values) => values,
                            LabelTest::Exists | LabelTest::DoesNotExist => &[],
                        };
                        values.iter().for_each(|value| put(value.span, TokenKind::Value));
                    }
                    Node::Word(span) if parameters.contains(&self.text(span)) => put(span, TokenKind::Parameter),
                    Node::Name(span) if parameters.contains(&self.text(span)) => put(span, TokenKind::Parameter),
                    Node::Name(span) => put(span, self.kind_of_name(span)),
                    Node::Listed(_, ident) => put(ident.span, TokenKind::Name),
                    Node::Definition(ident) => {
                        let is_template = matches!(&item.kind, ItemKind::Template(one) if one.name.span == ident.span);
                        let kind = if is_template { TokenKind::Template } else { TokenKind::Name };
                        known.insert(ident.span.start, (kind, true));
                    }
                    Node::Parameter(one) => {
                        known.insert(one.name.span.start, (TokenKind::Parameter, true));
                        known.insert(one.kind.span.start, (TokenKind::Type, false));
                    }
                    Node::Endpoint(expr) => match &expr.kind {
                        ExprKind::Host(host) => {
                            // The `*` of a wildcard is no word.
                            let start = expr.span.start + u32::from(host.wildcard);
                            put(Span { start, ..expr.span }, TokenKind::Host);
                        }
                        ExprKind::Address(_) => put(expr.span, TokenKind::Number),
                        _ => {}
                    },
                    _ => {}
                }
            });
        }
        known
    }

    /// Returns the kind of a name; a word that no statement defines is a namespace, as in `apply tenant(shop)`.
    fn kind_of_name(&self, name: Span) -> TokenKind {
        let item = self.definition_of(name).and_then(|def| Some(self.names()?.item(def)));
        match item.map(|item| &item.kind) {
            Some(ItemKind::Template(_)) => TokenKind::Template,
            Some(_) => TokenKind::Name,
            None => TokenKind::Namespace,
        }
    }
}

/// A piece of a text.
enum Lexed {
    /// A word, whose kind is in the tree.
    Word,
    /// A piece whose characters show its kind.
    Other(TokenKind),
}

/// Hands on the words, strings, comments and arrows of a text in order.
fn lex(text: &str, each: &mut dyn FnMut(usize, usize, Lexed)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    let line_end = |at: usize| {
        let line = text[at..].find('\n').map_or(text.len(), |end| at + end);
        if text[..line].ends_with('\r') { (line - 1).max(at) } else { line }
    };
    while let Some(&byte) = bytes.get(at) {
        let next = bytes.get(at + 1).copied();
        let start = at;
        match byte {
            b'#' => {
                at = line_end(at);
                let kind = if next == Some(b'#') { TokenKind::Documentation } else { TokenKind::Comment };
                each(start, at, Lexed::Other(kind));
            }
            b'"' => {
                let end = line_end(at);
                at += 1;
                while at < end && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at = (at + 1).min(end);
                while !text.is_char_boundary(at) {
                    at += 1;
                }
                each(start, at, Lexed::Other(TokenKind::String));
            }
            b'@' => {
                let name = bytes[at + 1..].iter().take_while(|byte| is_word(**byte)).count();
                at += 1 + name;
                if ANNOTATIONS.contains(&&text[start + 1..at]) && !text[..start].ends_with('/') {
                    each(start, at, Lexed::Other(TokenKind::Annotation));
                } else if name > 0 {
                    each(start + 1, at, Lexed::Word);
                }
            }
            b'<' if text[at..].starts_with("<->") => {
                at += 3;
                each(start, at, Lexed::Other(TokenKind::Operator));
            }
            b'-' if next == Some(b'>') => {
                at += 2;
                each(start, at, Lexed::Other(TokenKind::Operator));
            }
            _ if is_word(byte) => {
                // The `-` of an arrow that touches a word is no part of the word.
                while bytes.get(at).is_some_and(|byte| is_word(*byte)) && !text[at..].starts_with("->") {
                    at += 1;
                }
                each(start, at, Lexed::Word);
            }
            _ => at += 1,
        }
    }
}

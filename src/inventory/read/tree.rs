//! The tree of a document: values with their spans.

use smol_str::SmolStr;

use super::scalar::Scalar;
use crate::source::Span;

/// A node's number in its document.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeId(pub u32);

/// A value and its span. The span of a list or mapping is its beginning.
#[derive(Debug)]
pub(super) struct Node {
    pub span: Span,
    pub value: Value,
}

/// A value.
#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<NodeId>),
    Map(Vec<Entry>),
}

/// An entry of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: Key,
    pub value: NodeId,
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its text.
    pub text: SmolStr,
    /// Its span.
    pub span: Span,
    /// Whether Kubernetes reads it as a boolean: an unquoted `on`, `y` and similar words.
    pub boolean: bool,
}

/// One document.
#[derive(Debug)]
pub(super) struct Document<'t> {
    /// The text of its file.
    pub text: &'t str,
    /// Its values.
    pub nodes: Vec<Node>,
    /// The outermost one.
    pub root: NodeId,
}

/// A value of a document, with the way to its neighbours.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'d> {
    document: &'d Document<'d>,
    id: NodeId,
}

impl<'d> Document<'d> {
    /// Returns the document's value.
    pub fn root(&'d self) -> At<'d> {
        At { document: self, id: self.root }
    }
}

impl<'d> At<'d> {
    fn node(self) -> &'d Node {
        &self.document.nodes[self.id.0 as usize]
    }

    /// Returns the span of the value; for a list or mapping, its first line.
    pub fn span(self) -> Span {
        let Node { span, value } = self.node();
        if matches!(value, Value::Scalar(_)) {
            return *span;
        }
        let text = self.document.text.get(span.start as usize..).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default().trim_end();
        Span { end: span.start + line.len() as u32, ..*span }
    }

    /// Returns the value as it is written, up to the end of its first line.
    pub fn written(self) -> &'d str {
        let span = self.span();
        self.document.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Returns the scalar that the value is.
    pub fn scalar(self) -> Option<&'d Scalar> {
        match &self.node().value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Returns the string that the value is.
    pub fn text(self) -> Option<&'d SmolStr> {
        match self.scalar() {
            Some(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns the items of the list that the value is.
    pub fn items(self) -> Option<impl DoubleEndedIterator<Item = At<'d>>> {
        match &self.node().value {
            Value::List(items) => Some(items.iter().map(move |&id| At { id, ..self })),
            _ => None,
        }
    }

    /// Returns the entries of the mapping that the value is, in order.
    pub fn entries(self) -> Option<impl Iterator<Item = (&'d Key, At<'d>)>> {
        match &self.node().value {
            Value::Map(entries) => Some(entries.iter().map(move |e| (&e.key, At { id: e.value, ..self }))),
            _ => None,
        }
    }

    /// Returns the value under a key; `None` if it is missing or `null`, which Kubernetes reads in the same way.
    pub fn get(self, key: &str) -> Option<At<'d>> {
        let (_, value) = self.entries()?.find(|(found, _)| found.text == key)?;
        (!value.is_null()).then_some(value)
    }

    /// Returns whether the value is `null`.
    pub fn is_null(self) -> bool {
        self.scalar() == Some(&Scalar::Null)
    }

    /// Returns the kind of the value, in words.
    pub fn word(self) -> &'static str {
        match &self.node().value {
            Value::Scalar(Scalar::Null) => "nothing",
            Value::Scalar(Scalar::Bool(_)) => "a boolean",
            Value::Scalar(Scalar::Number(_)) => "a number",
            Value::Scalar(Scalar::Text(_)) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

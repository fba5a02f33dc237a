//! YAML in the style in which builds write it, and in no other: a fast reader of what was just written.
//!
//! ```text
//! spec:                                       block mappings and lists, indented by two
//!   policyTypes: [Egress]                     flow lists and mappings on one line
//!   egress:
//!     # granted: the way to the cluster's DNS
//!     - ports:
//!         - { protocol: UDP, port: 53 }       no anchors, tags, folded lines or empty values
//! ```
//!
//! The reader of all YAML reads such a text in the same way, which a test checks. Anything outside this style is
//! refused.

use smol_str::{SmolStr, SmolStrBuilder};

use super::scalar::{self, Scalar};
use super::tree::{Document, Entry, Key, Node, NodeId, Value};
use crate::source::{FileId, Span};

/// The most lists and mappings inside each other.
const MAX_DEPTH: usize = 32;

/// A text that is not in the style; where, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unexpected {
    /// The byte.
    pub at: usize,
    /// The reason.
    pub why: &'static str,
}

type Read<T> = Result<T, Unexpected>;

/// Reads the documents of a text and hands each to `visit`.
pub(super) fn each_document(file: FileId, text: &str, mut visit: impl FnMut(&Document<'_>)) -> Read<()> {
    if let Some(at) = unprintable(text) {
        return Err(Unexpected { at, why: "a character stands here that YAML takes nowhere" });
    }
    let (mut at, mut nodes) = (0, Vec::new());
    loop {
        let mut reader = Reader { file, text, at, nodes, depth: 0 };
        reader.pass_comments();
        if reader.at >= text.len() {
            return Ok(());
        }
        let root = reader.block(0)?;
        at = reader.at;
        let document = Document { text, nodes: reader.nodes, root };
        visit(&document);
        // The next document takes the same room.
        nodes = document.nodes;
        nodes.clear();
        match text.get(at..) {
            Some(rest) if rest.starts_with("---\n") => at += 4,
            Some("") => return Ok(()),
            _ => return Err(Unexpected { at, why: "a line stands too far to the left" }),
        }
    }
}

/// Returns where the first character stands that YAML takes only where it is escaped, in comments too (YAML 1.2, 5.1).
fn unprintable(text: &str) -> Option<usize> {
    let is_control = |byte: u8| (byte < b' ') & (byte != b'\n') | (byte == 0x7f);
    // Nearly every text has neither control characters nor the bytes by which one of the others begins in UTF-8, which
    // is seen without a branch, many bytes at once.
    let is_odd = |byte: u8| {
        u8::from(byte < b' ') & u8::from(byte != b'\n')
            | u8::from(byte == 0x7f)
            | u8::from(byte == 0xc2 || byte == 0xef)
    };
    if text.as_bytes().chunks(256).all(|part| part.iter().fold(0, |odd, &byte| odd | is_odd(byte)) == 0) {
        return None;
    }
    let of_others = || {
        let mut all = text.char_indices().filter(|(_, c)| !c.is_ascii());
        all.find(|(_, c)| matches!(c, '\u{80}'..='\u{9f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')).map(|(at, _)| at)
    };
    text.bytes().position(is_control).or_else(|| if text.is_ascii() { None } else { of_others() })
}

struct Reader<'t> {
    file: FileId,
    text: &'t str,
    /// Where the line begins that is read next.
    at: usize,
    nodes: Vec<Node>,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn fail<T>(&self, at: usize, why: &'static str) -> Read<T> {
        Err(Unexpected { at, why })
    }

    fn bytes(&self) -> &'t [u8] {
        self.text.as_bytes()
    }

    /// Returns the end of the line that contains a byte.
    fn line_end(&self, at: usize) -> usize {
        let rest = &self.bytes()[at..];
        rest.iter().position(|byte| *byte == b'\n').map_or(self.text.len(), |length| at + length)
    }

    fn next_line(&self, end: usize) -> usize {
        (end + 1).min(self.text.len())
    }

    fn pass_comments(&mut self) {
        while self.at < self.text.len() {
            let start = self.at + self.indent();
            if self.bytes().get(start) != Some(&b'#') {
                return;
            }
            self.at = self.next_line(self.line_end(start));
        }
    }

    /// Returns how far the next line is indented.
    fn indent(&self) -> usize {
        self.bytes()[self.at..].iter().take_while(|byte| **byte == b' ').count()
    }

    /// Returns whether the next line that is no comment stands in a column, and is no separator.
    fn goes_on(&mut self, column: usize) -> Read<bool> {
        self.pass_comments();
        let indent = self.indent();
        let is_separator = indent == 0 && self.bytes()[self.at..].starts_with(b"---\n");
        if self.at >= self.text.len() || indent < column || is_separator {
            return Ok(false);
        }
        if indent > column {
            return self.fail(self.at, "a line stands too far to the right");
        }
        Ok(true)
    }

    fn add(&mut self, start: usize, end: usize, value: Value) -> NodeId {
        self.nodes.push(Node { span: Span::new(self.file, start, end), value });
        NodeId(self.nodes.len() as u32 - 1)
    }

    /// Reads the block that begins in a column of the next line.
    fn block(&mut self, column: usize) -> Read<NodeId> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(self.at, "lists and mappings are nested too deeply");
        }
        let start = self.at + column;
        let block = match self.bytes().get(start..) {
            Some([b'-', b' ', ..]) => self.list(column),
            Some([b'{' | b'[', ..]) => self.inline(start, column),
            _ => self.map(column, start),
        };
        self.depth -= 1;
        block
    }

    fn list(&mut self, column: usize) -> Read<NodeId> {
        let begin = self.at + column;
        let mut items = Vec::new();
        while self.goes_on(column)? {
            let start = self.at + column;
            if !matches!(self.bytes().get(start..), Some([b'-', b' ', ..])) {
                return self.fail(start, "an item begins with a dash");
            }
            let inner = start + 2;
            let item = match self.bytes().get(inner) {
                Some(b'{' | b'[') => self.inline(inner, column)?,
                _ if self.is_key(inner) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return self.fail(inner, "lists and mappings are nested too deeply");
                    }
                    let map = self.map(column + 2, inner)?;
                    self.depth -= 1;
                    map
                }
                _ => self.inline(inner, column)?,
            };
            items.push(item);
        }
        Ok(self.add(begin, begin, Value::List(items)))
    }

    /// Returns whether a key begins at a byte: a text with a colon at the end of it.
    fn is_key(&self, start: usize) -> bool {
        let mut at = start;
        if self.bytes().get(at) == Some(&b'"') {
            at += 1;
            while let Some(byte) = self.bytes().get(at) {
                match byte {
                    b'\\' => at += 2,
                    b'"' => return self.bytes().get(at + 1) == Some(&b':'),
                    b'\n' => return false,
                    _ => at += 1,
                }
            }
            return false;
        }
        let rest = &self.bytes()[start..];
        let end = rest.iter().position(|byte| matches!(byte, b':' | b' ' | b'\n'));
        end.is_some_and(|at| rest[at] == b':' && matches!(rest.get(at + 1), None | Some(b' ' | b'\n')))
    }

    /// Reads a mapping whose entries stand in a column, the first at a byte of the next line.
    fn map(&mut self, column: usize, first: usize) -> Read<NodeId> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut start = first;
        loop {
            let (key, after) = self.key(start)?;
            if entries.iter().any(|entry| entry.key.text == key.text) {
                return self.fail(start, "a key stands twice");
            }
            let value = match self.bytes().get(after) {
                None | Some(b'\n') => {
                    self.at = self.next_line(after);
                    self.pass_comments();
                    let inner = self.indent();
                    if inner != column + 2 || self.at >= self.text.len() {
                        return self.fail(start, "a key has no value");
                    }
                    self.block(inner)?
                }
                Some(b' ') => self.inline(after + 1, column)?,
                Some(_) => return self.fail(after, "a space follows the colon of a key"),
            };
            entries.push(Entry { key, value });
            if !self.goes_on(column)? {
                return Ok(self.add(first, first, Value::Map(entries)));
            }
            start = self.at + column;
        }
    }

    /// Reads a key, and returns the byte after its colon.
    fn key(&self, start: usize) -> Read<(Key, usize)> {
        let (text, end, quoted) = match self.bytes().get(start) {
            Some(b'"') => {
                let (text, end) = self.quoted(start)?;
                (text, end, true)
            }
            _ => {
                let rest = &self.bytes()[start..];
                let length = rest.iter().take_while(|byte| is_of_words(**byte)).count();
                if length == 0 || matches!(rest.get(length), Some(b' ' | b',')) {
                    return self.fail(start, "this is no key");
                }
                (self.text[start..start + length].into(), start + length, false)
            }
        };
        if self.bytes().get(end) != Some(&b':') {
            return self.fail(end, "a colon follows a key");
        }
        let boolean = !quoted && matches!(scalar::plain(&text), Scalar::Bool(_));
        Ok((Key { text, span: Span::new(self.file, start, end), boolean }, end + 1))
    }

    /// Reads a value that begins on a line whose entries stand in a column, with the rest of its line, which may be a
    /// note.
    fn inline(&mut self, start: usize, column: usize) -> Read<NodeId> {
        if self.bytes()[start..].starts_with(b"|-\n") {
            return self.lines(start, column + 2);
        }
        let (value, end) = self.value(start, false)?;
        let line_end = self.line_end(end);
        let rest = &self.text[end..line_end];
        if !rest.is_empty() && !rest.starts_with("  #") {
            return self.fail(end, "something follows a value");
        }
        self.at = self.next_line(line_end);
        Ok(value)
    }

    /// Reads a text of several lines.
    fn lines(&mut self, start: usize, column: usize) -> Read<NodeId> {
        self.at = self.next_line(self.line_end(start));
        let mut text = String::new();
        while self.at < self.text.len() && self.indent() >= column {
            let end = self.line_end(self.at);
            if self.indent() > column || end == self.at + column {
                return self.fail(self.at, "a line of a text begins with a space, or is empty");
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&self.text[self.at + column..end]);
            self.at = self.next_line(end);
        }
        Ok(self.add(start, start, Value::Scalar(Scalar::Text(text.into()))))
    }

    /// Reads a scalar, or a flow list or mapping, and returns the byte after it.
    fn value(&mut self, start: usize, in_flow: bool) -> Read<(NodeId, usize)> {
        match self.bytes().get(start) {
            Some(b'{') => self.flow(start, b'}'),
            Some(b'[') => self.flow(start, b']'),
            Some(b'"') => {
                let (text, end) = self.quoted(start)?;
                Ok((self.add(start, end, Value::Scalar(Scalar::Text(text))), end))
            }
            _ => {
                let inside = |byte: u8| is_of_words(byte) || byte == b':' || !in_flow && matches!(byte, b',' | b' ');
                let mut length = self.bytes()[start..].iter().take_while(|byte| inside(**byte)).count();
                // A note stands behind two spaces.
                while length > 0 && self.bytes()[start + length - 1] == b' ' {
                    length -= 1;
                }
                let text = &self.text[start..start + length];
                let bytes = text.as_bytes();
                if matches!(bytes, [] | [b'-' | b',' | b' ' | b':', ..] | [.., b':'])
                    || bytes.windows(2).any(|two| two == b": ")
                {
                    return self.fail(start, "this is no value");
                }
                let end = start + length;
                Ok((self.add(start, end, Value::Scalar(scalar::plain(text))), end))
            }
        }
    }

    fn flow(&mut self, start: usize, close: u8) -> Read<(NodeId, usize)> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(start, "lists and mappings are nested too deeply");
        }
        let (mut items, mut entries): (Vec<NodeId>, Vec<Entry>) = (Vec::new(), Vec::new());
        let space = usize::from(close == b'}');
        let mut at = start + 1;
        if self.bytes().get(at) != Some(&close) {
            loop {
                if space == 1 && entries.is_empty() {
                    at = self.expect(at, b' ')?;
                }
                if close == b'}' {
                    let (key, after) = self.key(at)?;
                    if entries.iter().any(|entry| entry.key.text == key.text) {
                        return self.fail(at, "a key stands twice");
                    }
                    let (value, end) = self.value(self.expect(after, b' ')?, true)?;
                    entries.push(Entry { key, value });
                    at = end;
                } else {
                    let (item, end) = self.value(at, true)?;
                    items.push(item);
                    at = end;
                }
                if self.bytes().get(at) != Some(&b',') {
                    break;
                }
                at = self.expect(at + 1, b' ')?;
            }
            if space == 1 {
                at = self.expect(at, b' ')?;
            }
        }
        let end = self.expect(at, close)?;
        self.depth -= 1;
        let value = if close == b'}' { Value::Map(entries) } else { Value::List(items) };
        Ok((self.add(start, end, value), end))
    }

    fn expect(&self, at: usize, byte: u8) -> Read<usize> {
        if self.bytes().get(at) == Some(&byte) {
            Ok(at + 1)
        } else {
            self.fail(at, "a list or mapping goes on otherwise")
        }
    }

    /// Reads a text in quotes, and returns the byte after it.
    fn quoted(&self, start: usize) -> Read<(SmolStr, usize)> {
        let rest = &self.text[start + 1..];
        let plain = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | b'\n')).unwrap_or(rest.len());
        if rest.as_bytes().get(plain) == Some(&b'"') {
            return Ok((rest[..plain].into(), start + plain + 2));
        }
        let mut text = SmolStrBuilder::new();
        let mut letters = rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => return Ok((text.finish(), start + at + 2)),
                '\n' => break,
                '\\' => {
                    let escape = letters.next().map(|(_, letter)| letter);
                    let code = |length: usize, letters: &mut std::str::CharIndices<'_>| {
                        let digits: String = letters.by_ref().take(length).map(|(_, digit)| digit).collect();
                        u32::from_str_radix(&digits, 16)
                            .ok()
                            .filter(|_| digits.len() == length)
                            .and_then(char::from_u32)
                    };
                    let meant = match escape {
                        Some('"' | '\\') => escape,
                        Some('n') => Some('\n'),
                        Some('t') => Some('\t'),
                        Some('r') => Some('\r'),
                        Some('x') => code(2, &mut letters),
                        Some('u') => code(4, &mut letters),
                        _ => None,
                    };
                    match meant {
                        Some(letter) => text.push(letter),
                        None => return self.fail(start + 1 + at, "this is no escape"),
                    }
                }
                letter => text.push(letter),
            }
        }
        self.fail(start, "a text in quotes does not end on its line")
    }
}

/// Returns whether a byte can stand in a text without quotes, whatever stands around it; a colon, a comma and a space
/// can stand in some.
fn is_of_words(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Diagnostics;
    use crate::inventory::read::document::{self, Keep};
    use crate::source::Sources;

    fn file() -> FileId {
        Sources::new().add("a.yaml", "")
    }

    /// Returns a value as text, without its spans.
    fn shown(document: &Document<'_>, id: NodeId) -> String {
        match &document.nodes[id.0 as usize].value {
            Value::Scalar(scalar) => format!("{scalar:?}"),
            Value::List(items) => {
                format!("[{}]", items.iter().map(|id| shown(document, *id)).collect::<Vec<_>>().join(", "))
            }
            Value::Map(entries) => {
                let entry = |entry: &Entry| {
                    format!("{:?} {}: {}", entry.key.text, entry.key.boolean, shown(document, entry.value))
                };
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn by_style(text: &str) -> Result<Vec<String>, Unexpected> {
        let mut all = Vec::new();
        each_document(file(), text, |document| all.push(shown(document, document.root)))?;
        Ok(all)
    }

    fn by_yaml(text: &str) -> Vec<String> {
        let (mut all, mut found) = (Vec::new(), Diagnostics::new());
        document::each_document(file(), text, Keep::Everything, &mut found, |document, _| {
            all.push(shown(document, document.root));
        });
        assert!(!found.has_errors(), "{found:?}");
        all
    }

    #[test]
    fn what_is_written_is_read_as_the_yaml_that_it_is() {
        for text in [
            "# a comment\na: b\nc: 7\nd: true\n",
            "a:\n  # above\n  - {}  # everything\n  - b: [c, \"d e\", 5]\n    f: { g: \"\", h: i }\nj: []\n",
            "a:\n  # nothing\n  {}\nb: \"\\x07\\u2028\\\"\\\\\\n\"\n---\n# two\nc: d/e:f, g\n",
            "a: |-\n  one\n  two # no comment\nb: c\n",
            "\"yes\": n\nno: \"1\"\n",
            "a:\n  - b\n  - \"c: d\"\n  - \"e\": f\n    g:\n      - h\n",
        ] {
            assert_eq!(by_style(text).as_ref(), Ok(&by_yaml(text)), "{text}");
        }
    }

    #[test]
    fn what_nobody_writes_here_is_refused() {
        for text in [
            "a: &b c\n",
            "a: *b\n",
            "a: !!str b\n",
            "a: 'b'\n",
            "a: >\n  b\n",
            "a:\n",
            "a:\nb: c\n",
            "a: b\na: c\n",
            "a:\n    b: c\n",
            "a: b\n  c: d\n",
            "a: [b,c]\n",
            "a: {b: c}\n",
            "a: [b\n",
            "a: \"b\n",
            "a: \"\\q\"\n",
            "a: b # c\n",
            "a: b: c\n",
            "\ta: b\n",
            "a: b\n\nc: d\n",
            "- - a\n",
            "{ a: { a: { a: b } } } x\n",
        ] {
            assert!(by_style(text).is_err(), "{text}: {:?}", by_style(text));
        }
        assert!(
            by_style(&"a: [".repeat(100_000)).is_err() && by_style(&format!("a: {}", "[".repeat(100_000))).is_err()
        );
    }
}

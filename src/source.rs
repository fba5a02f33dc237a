//! Files as numbers, spans in them, and the conversion of a byte offset to a line and a column.
//!
//! Every stage refers to text by [`Span`]s; only this module computes the `line:column` that a person or a machine
//! reads.

use std::sync::{Arc, OnceLock};

/// A file of this run: a source, a manifest or `netpol.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// A half-open range of bytes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file that the range lies in.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// Makes the span of the bytes `start..end` of `file`.
    pub fn new(file: FileId, start: usize, end: usize) -> Span {
        Span { file, start: start as u32, end: end as u32 }
    }

    /// Returns the smallest span that contains both; of spans in two files, the first.
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Returns whether another span lies inside.
    pub fn contains(self, other: Span) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }

    /// Returns the empty span at the end of this one.
    pub fn after(self) -> Span {
        Span { start: self.end, ..self }
    }
}

/// A position as people count it: lines and columns from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// One file's name and text.
#[derive(Debug)]
pub struct SourceFile {
    /// The path as the user gave it, or as a relative path below the folder of `netpol.toml`; `<stdin>` for `-`.
    pub path: String,
    /// The whole text.
    pub text: String,
    line_starts: OnceLock<Vec<u32>>,
    characters: OnceLock<Vec<u32>>,
}

/// The bytes between two entries of the table of characters.
const STEP: usize = 1024;

impl SourceFile {
    /// Returns the byte offset at which each line begins; lines end in LF.
    pub fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at as u32 + 1)).collect()
        })
    }

    /// Returns the number of characters that begin before a byte offset. A table with every 1024th byte makes this fast
    /// in lines of any length.
    fn characters_before(&self, offset: usize) -> usize {
        let bytes = self.text.as_bytes();
        let table = self.characters.get_or_init(|| {
            let mut count = 0;
            let starts = bytes.chunks(STEP).map(|chunk| {
                let before = count;
                count += begin_in(chunk) as u32;
                before
            });
            starts.collect()
        });
        let step = (offset / STEP).min(table.len().saturating_sub(1));
        table.get(step).map_or(0, |&before| before as usize + begin_in(&bytes[step * STEP..offset]))
    }
}

/// Returns the number of characters that begin in some bytes of a text.
fn begin_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

/// All files of a run. A copy shares their texts.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Arc<SourceFile>>,
}

impl Sources {
    /// Makes an empty set of files.
    pub fn new() -> Sources {
        Sources::default()
    }

    /// Adds a file and returns its number.
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<String>) -> FileId {
        self.files.push(Arc::new(SourceFile {
            path: path.into(),
            text: text.into(),
            line_starts: OnceLock::new(),
            characters: OnceLock::new(),
        }));
        FileId(self.files.len() as u32 - 1)
    }

    /// Returns a file that [`Sources::add`] made.
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// Returns every file with its number, in the order in which they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(at, file)| (FileId(at as u32), &**file))
    }

    /// Returns the text of a span; an offset inside a character is moved back to the character's start.
    pub fn slice(&self, span: Span) -> &str {
        let text = &self.file(span.file).text;
        let start = floor_char(text, span.start as usize);
        let end = floor_char(text, span.end as usize).max(start);
        &text[start..end]
    }

    /// Returns the line and column of a byte offset; an offset beyond the end of the file gives its last position. A
    /// byte-order mark at the start of the file is not counted.
    pub fn position(&self, file: FileId, offset: u32) -> Position {
        let file = self.file(file);
        let offset = floor_char(&file.text, offset as usize);
        let starts = file.line_starts();
        let line = starts.partition_point(|&start| start as usize <= offset);
        let mut start = starts[line - 1] as usize;
        if start == 0 && file.text.starts_with('\u{feff}') {
            start = '\u{feff}'.len_utf8().min(offset);
        }
        Position { line, column: file.characters_before(offset) - file.characters_before(start) + 1 }
    }

    /// Returns the line on which a span begins, from 1.
    pub fn line(&self, span: Span) -> usize {
        self.file(span.file).line_starts().partition_point(|&start| start <= span.start)
    }

    /// Returns `path:line` of a span, as generated objects and verdicts name it.
    pub fn place(&self, span: Span) -> String {
        [self.file(span.file).path.as_str(), ":", &self.line(span).to_string()].concat()
    }
}

fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_in_lf() {
        let mut sources = Sources::new();
        let id = sources.add("a.netpol", "é->\nx");
        assert_eq!(sources.position(id, 2), Position { line: 1, column: 2 });
        assert_eq!(sources.position(id, 5), Position { line: 2, column: 1 });
        assert_eq!(sources.position(id, 99), Position { line: 2, column: 2 });
        assert_eq!(sources.slice(Span::new(id, 1, 4)), "é->");
    }

    #[test]
    fn columns_are_right_far_into_a_line_and_after_a_byte_order_mark() {
        let mut sources = Sources::new();
        let text = format!("é\n{}x", "aé".repeat(5000));
        let id = sources.add("a.netpol", &text);
        for characters in [0, 1, 682, 683, 5001, 10_000, 10_001] {
            let offset = text.char_indices().nth(characters + 2).map_or(text.len(), |(at, _)| at);
            assert_eq!(sources.position(id, offset as u32), Position { line: 2, column: characters + 1 });
        }
        let marked = sources.add("b.netpol", "\u{feff}allow\nx");
        assert_eq!(sources.position(marked, 0), Position { line: 1, column: 1 });
        assert_eq!(sources.position(marked, 4), Position { line: 1, column: 2 });
        assert_eq!(sources.position(marked, 10), Position { line: 2, column: 2 });
        let empty = sources.add("c.netpol", "");
        assert_eq!(sources.position(empty, 7), Position { line: 1, column: 1 });
    }
}

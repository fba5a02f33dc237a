//! The first pass over a file, by hand and byte by byte: it refuses characters that no text may contain, finds the
//! comments, matches the brackets, and splits the file into statements before the grammar sees any of it.
//!
//! A statement begins at a keyword, or at the `@` of its first annotation, outside all brackets; the block of a
//! template, a test or a declaration is split in the same way, by the words that begin its pieces. So a mistake stays
//! inside its statement. A keyword is an ordinary word where the language says so: beside a `/`, before a `.` (it is
//! then part of a longer word), after the `:` of a port, inside brackets, and after a word that a name must follow on
//! its line.

mod brackets;
mod statements;
mod tokens;

use std::borrow::Cow;
use std::ops::Range;

use super::keyword::Keyword;
use tokens::Scanner;

/// The deepest nesting of brackets.
pub const MAX_DEPTH: usize = 64;
/// The most bytes of a file.
pub const MAX_SIZE: usize = 16 * 1024 * 1024;
/// The most blocks without an end that are cut at the first statement that is not indented; a later one runs on.
const MAX_CUTS: usize = 16;

/// The result of the first pass.
#[derive(Debug, Default)]
pub struct Scan {
    /// The statements, in order.
    pub statements: Vec<Statement>,
    /// The comments, in order.
    pub comments: Vec<Comment>,
    /// The offsets of the `-` of arrows that follow a word without a space.
    pub tight_arrows: Vec<usize>,
    /// The problems, in order of discovery.
    pub problems: Vec<Problem>,
}

impl Scan {
    /// Returns a stretch of the scanned text as the grammar takes it: with spaces for comments and, so that no word
    /// swallows it, for the `-` of an arrow that a word touches.
    pub fn plain<'a>(&self, text: &'a str, range: Range<usize>, has_extras: bool) -> Cow<'a, str> {
        let part = &text[range.clone()];
        if !has_extras {
            return Cow::Borrowed(part);
        }
        let mut plain = String::with_capacity(part.len());
        let mut at = range.start;
        let first = self.comments.partition_point(|comment| comment.end <= range.start);
        let comments = self.comments[first..].iter().map(|comment| comment.start..comment.end);
        let first = self.tight_arrows.partition_point(|&arrow| arrow < range.start);
        let arrows = self.tight_arrows[first..].iter().map(|&arrow| arrow..arrow + 1);
        let mut extras: Vec<Range<usize>> = comments.take_while(|extra| extra.start < range.end).collect();
        extras.extend(arrows.take_while(|extra| extra.start < range.end));
        extras.sort_by_key(|extra| extra.start);
        for extra in extras {
            let end = extra.end.min(range.end);
            plain.push_str(&text[at..extra.start]);
            plain.extend(std::iter::repeat_n(' ', end - extra.start));
            at = end;
        }
        plain.push_str(&text[at..range.end]);
        Cow::Owned(plain)
    }
}

/// A stretch of text that is one statement, or one piece of a block.
#[derive(Debug)]
pub struct Statement {
    /// The word it begins with, where that is a keyword.
    pub keyword: Option<Keyword>,
    /// The start of its first annotation, or else of its first word.
    pub start: usize,
    /// The start of its keyword.
    pub keyword_at: usize,
    /// The end of its last token.
    pub end: usize,
    /// The offset of the `@` of each annotation.
    pub annotations: Vec<usize>,
    /// The range of the comments before it.
    pub comments: Range<usize>,
    /// Its block, if it has one.
    pub body: Option<Box<Body>>,
    /// Whether it contains a comment or an arrow that the grammar must not see as written: see [`Scan::plain`].
    pub has_extras: bool,
    /// Whether one of the problems lies in it, outside its pieces: it need not be parsed.
    pub broken: bool,
}

/// A block in braces.
#[derive(Debug)]
pub struct Body {
    /// The offset of its `{`.
    pub open: usize,
    /// Its pieces.
    pub pieces: Vec<Statement>,
}

/// A comment, from its `#` to the end of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The offset of its `#`.
    pub start: usize,
    /// Its end, without the line's end.
    pub end: usize,
    /// Whether it begins with `##`.
    pub doc: bool,
}

/// A problem: a character, string, comment or bracket that no text may contain, with its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub kind: ProblemKind,
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
    /// The end of the text in brackets, for a bracket that nothing closes.
    pub until: usize,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// A control character, or one that turns the direction of writing or ends a line unseen.
    Hidden,
    /// Characters outside ASCII where only ASCII is allowed.
    NotAscii,
    /// A string that does not end on its line.
    UnclosedString,
    /// A comment as other languages begin it.
    ForeignComment,
    /// A bracket that nothing closes.
    UnclosedBracket,
    /// A closing bracket without an opening one.
    StrayBracket,
    /// A bracket inside too many others.
    TooDeep,
}

/// Scans a text of at most [`MAX_SIZE`] bytes.
pub fn scan(text: &str) -> Scan {
    let mut scanner = Scanner::new(text.as_bytes());
    scanner.run();
    scanner.out
}

/// Returns whether a byte may be part of a word.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

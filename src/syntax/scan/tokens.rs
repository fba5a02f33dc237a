//! Tokens and comments, and characters that no text may contain.

use std::ops::Range;

use super::{Comment, Problem, ProblemKind, Scan, Statement, is_word};

/// The most bytes after a `/*` in which its `*/` is searched.
const LONGEST_COMMENT: usize = 4096;

#[derive(Clone, Copy)]
pub(super) struct Open {
    pub byte: u8,
    pub at: usize,
}

pub(super) struct Scanner<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    pub(super) line_start: usize,
    /// The end of the last token, and the number of comments before it.
    pub(super) last_end: usize,
    pub(super) comments_before: usize,
    /// The last token, and the one before it, where they are words.
    pub(super) last_word: Range<usize>,
    pub(super) word_before: Range<usize>,
    pub(super) stack: Vec<Open>,
    /// The number of open brackets that are too deep for the stack.
    pub(super) too_deep: usize,
    /// The statement being read, and the piece of its block.
    pub(super) top: Option<Statement>,
    pub(super) piece: Option<Statement>,
    /// The `{` of the block is the first of the stack.
    pub(super) in_body: bool,
    /// After a stray bracket, up to the next statement.
    pub(super) ignoring: bool,
    /// The first piece of the block that is indented no deeper than the block's own statement.
    pub(super) unindented: Option<usize>,
    /// The first bracket in the block that was closed by one further to the left than its line.
    pub(super) misfit: Option<usize>,
    pub(super) cuts: usize,
    pub(super) out: Scan,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Scanner<'a> {
        let start = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        // Most statements take a line and some thirty bytes.
        let lines = text.iter().filter(|&&byte| byte == b'\n').count();
        let statements = Vec::with_capacity(lines.min(text.len() / 32) + 1);
        Scanner {
            text,
            at: start,
            line_start: start,
            last_end: start,
            comments_before: 0,
            last_word: 0..0,
            word_before: 0..0,
            stack: Vec::new(),
            too_deep: 0,
            top: None,
            piece: None,
            in_body: false,
            ignoring: false,
            unindented: None,
            misfit: None,
            cuts: 0,
            out: Scan { statements, ..Scan::default() },
        }
    }

    pub(super) fn run(&mut self) {
        loop {
            while let Some(&byte) = self.text.get(self.at) {
                match byte {
                    b' ' | b'\t' | b'\r' => self.at += 1,
                    b'\n' => {
                        self.at += 1;
                        self.line_start = self.at;
                    }
                    b'#' => self.comment(),
                    b'/' => match self.foreign_comment_end() {
                        Some(end) => self.foreign_comment(end),
                        None => self.token(1),
                    },
                    b'"' => self.string(),
                    b'-' if self.text.get(self.at + 1) == Some(&b'>') => self.arrow(),
                    b'{' | b'(' => self.open(byte),
                    b'}' | b')' => self.close(byte),
                    b'@' => self.at_sign(),
                    _ if is_word(byte) => self.word(),
                    0x80.. => self.foreign(),
                    0..0x20 | 0x7f => self.control(),
                    _ => self.token(1),
                }
            }
            if !self.finish() {
                return;
            }
        }
    }

    // Tokens.

    /// Takes a token of some bytes that is not a word.
    pub(super) fn token(&mut self, length: usize) {
        self.touch();
        self.at += length;
        self.word_before = std::mem::replace(&mut self.last_word, 0..0);
        self.ended();
    }

    pub(super) fn arrow(&mut self) {
        if self.byte_before(self.at).is_some_and(is_word) {
            self.out.tight_arrows.push(self.at);
            self.has_extras();
        }
        self.token(2);
    }

    pub(super) fn ended(&mut self) {
        self.last_end = self.at;
        if self.comments_before != self.out.comments.len() {
            self.comments_before = self.out.comments.len();
            self.has_extras();
        }
    }

    pub(super) fn has_extras(&mut self) {
        if let Some(statement) = if self.in_body { self.piece.as_mut() } else { self.top.as_mut() } {
            statement.has_extras = true;
        }
    }

    pub(super) fn comment(&mut self) {
        self.comment_to(self.line_end());
    }

    fn line_end(&self) -> usize {
        let rest = &self.text[self.at..];
        self.at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
    }

    /// Returns where a comment as other languages write it ends: at the end of its line, or behind its `*/`. In
    /// `shop /* -> */web` there is none, but a space too many.
    fn foreign_comment_end(&self) -> Option<usize> {
        let stands_apart = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_whitespace() || byte == b';');
        if !stands_apart(self.byte_before(self.at)) {
            return None;
        }
        match self.text.get(self.at + 1)? {
            b'/' => Some(self.line_end()),
            b'*' => {
                let rest = self.text.get(self.at + 2..)?;
                let inside = &rest[..rest.len().min(LONGEST_COMMENT)];
                let end = self.at + inside.windows(2).position(|bytes| bytes == b"*/")? + 4;
                let is_comment = inside.first().is_some_and(|&byte| byte.is_ascii_whitespace() || byte == b'*');
                (is_comment && stands_apart(self.text.get(end).copied())).then_some(end)
            }
            _ => None,
        }
    }

    fn foreign_comment(&mut self, end: usize) {
        let start = self.at;
        self.comment_to(end);
        let end = self.at - usize::from(self.text[start..self.at].ends_with(b"\r"));
        self.problem(ProblemKind::ForeignComment, start..end);
        if let Some(newline) = self.text[start..end].iter().rposition(|&byte| byte == b'\n') {
            self.line_start = start + newline + 1;
        }
    }

    fn comment_to(&mut self, end: usize) {
        let start = self.at;
        let mut hidden = None;
        while let Some(&byte) = self.text.get(self.at).filter(|_| self.at < end) {
            match byte {
                b'\n' => self.at += 1,
                0..0x20 | 0x7f.. => {
                    let (length, bad) = self.character(self.at);
                    if bad && hidden.is_none() {
                        hidden = Some(self.at..self.at + length);
                    }
                    self.at += length;
                }
                _ => self.at += 1,
            }
        }
        let end = if self.text[start..self.at].ends_with(b"\r") { self.at - 1 } else { self.at };
        self.out.comments.push(Comment { start, end, doc: self.text[start..end].starts_with(b"##") });
        if let Some(hidden) = hidden {
            self.problem(ProblemKind::Hidden, hidden);
        }
    }

    pub(super) fn string(&mut self) {
        self.touch();
        let start = self.at;
        self.at += 1;
        let mut problem = None;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    break;
                }
                None | Some(b'\n' | b'\r') => {
                    problem.get_or_insert((ProblemKind::UnclosedString, start..self.at));
                    break;
                }
                Some(b'\\') if matches!(self.text.get(self.at + 1), Some(b'"' | b'\\')) => self.at += 2,
                Some(0..0x20 | 0x7f..) => {
                    let (length, bad) = self.character(self.at);
                    if bad {
                        problem.get_or_insert((ProblemKind::Hidden, self.at..self.at + length));
                    }
                    self.at += length;
                }
                Some(_) => self.at += 1,
            }
        }
        if let Some((kind, span)) = problem {
            self.break_current(kind, span);
        }
        self.word_before = std::mem::replace(&mut self.last_word, 0..0);
        self.ended();
    }

    /// Returns the length of the character at an offset, and whether it is allowed nowhere.
    pub(super) fn character(&self, at: usize) -> (usize, bool) {
        match self.text[at..] {
            [b'\t' | b'\r', ..] => (1, false),
            // U+0080 to U+009F, U+2028 to U+202E, and U+2066 to U+2069.
            [0xc2, 0x80..=0x9f, ..] => (2, true),
            [0xe2, 0x80, 0xa8..=0xae, ..] | [0xe2, 0x81, 0xa6..=0xa9, ..] => (3, true),
            [0..0x80, ..] => (1, true),
            [0xf0..=0xff, ..] => (4, false),
            [0xe0..=0xef, ..] => (3, false),
            _ => (2, false),
        }
    }

    pub(super) fn control(&mut self) {
        self.touch();
        self.break_current(ProblemKind::Hidden, self.at..self.at + 1);
        self.token(1);
    }

    /// Takes a run of characters outside ASCII; typographic quotes take what they enclose on their line along.
    pub(super) fn foreign(&mut self) {
        self.touch();
        let start = self.at;
        let mut kind = ProblemKind::NotAscii;
        let quote = is_typographic_quote(&self.text[start..]);
        while let Some(0x80..) = self.text.get(self.at) {
            let (length, bad) = self.character(self.at);
            if bad {
                kind = ProblemKind::Hidden;
            }
            self.at += length;
        }
        if quote {
            let line = self.text[self.at..].iter().position(|&byte| byte == b'\n').unwrap_or(self.text.len() - self.at);
            let close = (self.at..self.at + line).find(|&at| is_typographic_quote(&self.text[at..]));
            if let Some(close) = close {
                self.at = close + self.character(close).0;
            }
        }
        self.break_current(kind, start..self.at);
        self.word_before = std::mem::replace(&mut self.last_word, 0..0);
        self.ended();
    }

    pub(super) fn word(&mut self) {
        let start = self.at;
        let mut end = start + 1;
        while let Some(&byte) = self.text.get(end) {
            if !is_word(byte) || (byte == b'-' && self.text.get(end + 1) == Some(&b'>')) {
                break;
            }
            end += 1;
        }
        let word = &self.text[start..end];
        let keyword = if (3..=12).contains(&word.len()) && word[0].is_ascii_lowercase() {
            self.candidate(word).filter(|&keyword| !self.is_ordinary(keyword, start, end))
        } else {
            None
        };
        match keyword {
            Some(keyword) => {
                if self.keyword(keyword, start, end) {
                    return;
                }
            }
            None => self.touch(),
        }
        self.at = end;
        self.word_before = std::mem::replace(&mut self.last_word, start..end);
        self.ended();
    }

    pub(super) fn problem(&mut self, kind: ProblemKind, span: Range<usize>) {
        self.out.problems.push(Problem { kind, start: span.start, end: span.end, until: self.last_end });
    }

    /// Records a problem of the current statement, unless it has one already.
    pub(super) fn break_current(&mut self, kind: ProblemKind, span: Range<usize>) {
        let current = if self.in_body { self.piece.as_mut() } else { self.top.as_mut() };
        match current {
            Some(statement) if statement.broken => return,
            Some(statement) => statement.broken = true,
            None if self.ignoring => return,
            None => {}
        }
        self.problem(kind, span);
    }
}

fn is_typographic_quote(text: &[u8]) -> bool {
    matches!(text, [0xe2, 0x80, 0x98..=0x9f, ..] | [0xc2, 0xab | 0xbb, ..])
}

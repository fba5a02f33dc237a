//! The first pass over a file, by hand and byte by byte: it refuses what no text may hold, finds the comments, matches
//! the brackets, and splits the file into statements before the grammar sees any of it.
//!
//! A statement begins at a keyword, or at the `@` of its first annotation, outside all brackets; the block of a template,
//! a test or a declaration is split in the same way, by the words that begin its pieces. So a mistake stays inside its
//! statement. A keyword is an ordinary word where the language says so: beside a `/`, before a `.` (it is then part of
//! a longer word), after the `:` of a port, inside brackets, and after a word that a name must follow on its line.

use std::borrow::Cow;
use std::ops::Range;

use super::keyword::Keyword;

/// How deep brackets may nest.
pub const MAX_DEPTH: usize = 64;
/// How many bytes a file may hold.
pub const MAX_SIZE: usize = 16 * 1024 * 1024;
/// How often a block without an end is cut where its statements are no longer indented; after that, it runs on.
const MAX_CUTS: usize = 16;

/// What the first pass found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The statements, in order.
    pub statements: Vec<Statement>,
    /// The comments, in order.
    pub comments: Vec<Comment>,
    /// Where an arrow follows a word without a space, the `-` of it.
    pub tight_arrows: Vec<usize>,
    /// What no text may hold, in order of discovery.
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
    /// Where its first annotation begins, or else its first word.
    pub start: usize,
    /// Where its keyword stands.
    pub keyword_at: usize,
    /// Where its last token ends.
    pub end: usize,
    /// Where the `@` of each annotation stands.
    pub annotations: Vec<usize>,
    /// Which of the comments stand before it.
    pub comments: Range<usize>,
    /// Its block, where it has one.
    pub body: Option<Box<Body>>,
    /// Whether the grammar must be spared something in it: see [`Scan::plain`].
    pub has_extras: bool,
    /// Whether one of the problems lies in it, outside its pieces: it need not be parsed.
    pub broken: bool,
}

/// A block in braces.
#[derive(Debug)]
pub struct Body {
    /// Where its `{` stands.
    pub open: usize,
    /// Its pieces.
    pub pieces: Vec<Statement>,
}

/// A comment, from its `#` to the end of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Where its `#` stands.
    pub start: usize,
    /// Where it ends, without the line's end.
    pub end: usize,
    /// Whether it begins with `##`.
    pub doc: bool,
}

/// Something that no text may hold, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What it is.
    pub kind: ProblemKind,
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// A control character, or one that turns the direction of writing or ends a line unseen.
    Hidden,
    /// Characters outside ASCII where only ASCII may stand.
    NotAscii,
    /// A string that does not end on its line.
    UnclosedString,
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

/// Returns whether a byte may stand in a word.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

#[derive(Clone, Copy)]
struct Open {
    byte: u8,
    at: usize,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    line_start: usize,
    /// Where the last token ended, and how many comments stood before that place.
    last_end: usize,
    comments_before: usize,
    /// The last token, and the one before it, where they are words.
    last_word: Range<usize>,
    word_before: Range<usize>,
    stack: Vec<Open>,
    /// How many open brackets are too deep to stand on the stack.
    too_deep: usize,
    /// The statement being read, and the piece of its block.
    top: Option<Statement>,
    piece: Option<Statement>,
    /// The `{` of the block is the first of the stack.
    in_body: bool,
    /// After a stray bracket, up to the next statement.
    ignoring: bool,
    /// The first piece of the block that is indented no deeper than the block's own statement.
    unindented: Option<usize>,
    /// The first bracket in the block that was closed by one that stands further to the left than its line.
    misfit: Option<usize>,
    cuts: usize,
    out: Scan,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a [u8]) -> Scanner<'a> {
        let start = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
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
            out: Scan::default(),
        }
    }

    fn run(&mut self) {
        loop {
            while let Some(&byte) = self.text.get(self.at) {
                match byte {
                    b' ' | b'\t' | b'\r' => self.at += 1,
                    b'\n' => {
                        self.at += 1;
                        self.line_start = self.at;
                    }
                    b'#' => self.comment(),
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
    fn token(&mut self, length: usize) {
        self.touch();
        self.at += length;
        self.word_before = std::mem::replace(&mut self.last_word, 0..0);
        self.ended();
    }

    fn arrow(&mut self) {
        if self.byte_before(self.at).is_some_and(is_word) {
            self.out.tight_arrows.push(self.at);
            self.has_extras();
        }
        self.token(2);
    }

    fn ended(&mut self) {
        self.last_end = self.at;
        if self.comments_before != self.out.comments.len() {
            self.comments_before = self.out.comments.len();
            self.has_extras();
        }
    }

    fn has_extras(&mut self) {
        if let Some(statement) = if self.in_body { self.piece.as_mut() } else { self.top.as_mut() } {
            statement.has_extras = true;
        }
    }

    fn comment(&mut self) {
        let start = self.at;
        let mut hidden = None;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\n' => break,
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

    fn string(&mut self) {
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

    /// Returns the length of the character at a place, and whether it may stand nowhere.
    fn character(&self, at: usize) -> (usize, bool) {
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

    fn control(&mut self) {
        self.touch();
        self.break_current(ProblemKind::Hidden, self.at..self.at + 1);
        self.token(1);
    }

    /// Takes a run of characters outside ASCII; typographic quotes take what they enclose on their line along.
    fn foreign(&mut self) {
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

    fn word(&mut self) {
        let start = self.at;
        let mut end = start + 1;
        while let Some(&byte) = self.text.get(end) {
            if !is_word(byte) || (byte == b'-' && self.text.get(end + 1) == Some(&b'>')) {
                break;
            }
            end += 1;
        }
        let word = &self.text[start..end];
        let keyword = if (3..=9).contains(&word.len()) && word[0].is_ascii_lowercase() {
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

    // Statements.

    /// Returns what a word begins, if nothing is open but the block.
    fn candidate(&self, word: &[u8]) -> Option<Keyword> {
        let fields = self.block().map_or(&[][..], Keyword::fields);
        Keyword::of_statement(word).or_else(|| fields.iter().copied().find(|field| field.word().as_bytes() == word))
    }

    /// Returns the keyword of the block that is being read.
    fn block(&self) -> Option<Keyword> {
        if self.in_body { self.top.as_ref().and_then(|top| top.keyword) } else { None }
    }

    /// Returns whether only the block, if there is one, is open.
    fn is_split_level(&self) -> bool {
        self.too_deep == 0 && self.stack.len() == usize::from(self.in_body)
    }

    fn is_first_on_line(&self) -> bool {
        self.last_end <= self.line_start
    }

    fn byte_before(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).and_then(|at| self.text.get(at)).copied()
    }

    /// Returns the first byte after a place that is neither a space nor a tab.
    fn next_on_line(&self, at: usize) -> Option<u8> {
        self.text.get(at..)?.iter().copied().find(|byte| !matches!(byte, b' ' | b'\t'))
    }

    /// Returns the text after a place and what separates words.
    fn text_after(&self, at: usize) -> &'a [u8] {
        let mut rest = self.text.get(at..).unwrap_or_default();
        loop {
            rest = rest.trim_ascii_start();
            if !rest.starts_with(b"#") {
                return rest;
            }
            let line = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            rest = &rest[line..];
        }
    }

    /// Returns whether a word that could begin a statement is an ordinary one here.
    fn is_ordinary(&self, keyword: Keyword, start: usize, end: usize) -> bool {
        if matches!(self.byte_before(start), Some(b'/' | b':' | b'@'))
            || matches!(self.text.get(end), Some(b'/' | b':'))
        {
            return true;
        }
        // Beside a `/` the last word is no keyword either: `garden/at let …`.
        let last = match self.byte_before(self.last_word.start) {
            Some(b'/' | b'@' | b':') => &[],
            _ => &self.text[self.last_word.clone()],
        };
        if keyword == Keyword::Deny && last == b"default" {
            return true;
        }
        if self.last_end <= self.line_start {
            return false;
        }
        let names_follow = match last {
            b"let" | b"template" | b"issuer" | b"gateway" | b"apply" | b"via" | b"jwt" | b"namespace" | b"scope"
            | b"except" | b"at" | b"claim" => true,
            b"host" => &self.text[self.word_before.clone()] != b"where",
            _ => false,
        };
        let after_arrow = self.in_body && self.text[..self.last_end].ends_with(b"->");
        let value_of_field = self.piece.as_ref().is_some_and(|piece| {
            piece.keyword.is_some_and(|of| {
                piece.keyword_at == self.last_word.start
                    && self.block().is_some_and(|block| block.fields().contains(&of))
            })
        });
        let alone = match keyword {
            Keyword::Test => !self.text_after(end).starts_with(b"\""),
            Keyword::Default => !self.text_after(end).starts_with(b"deny"),
            _ => false,
        };
        names_follow || after_arrow || value_of_field || alone
    }

    /// Returns whether what follows a keyword looks like a statement, and unlike a label, an element or an argument.
    fn looks_like_statement(&self, end: usize) -> bool {
        let rest = self.text[end..].trim_ascii_start();
        let word = rest.iter().position(|&byte| !is_word(byte)).unwrap_or(rest.len());
        match self.next_on_line(end) {
            Some(b'{' | b'*' | b'"' | b'[' | b'(') => true,
            Some(byte) if is_word(byte) => {
                !matches!(&rest[..word], b"in" | b"notin") || rest.get(word).is_some_and(|&byte| byte == b'/')
            }
            _ => false,
        }
    }

    /// Takes a keyword. Returns whether the text is to be read again from an earlier place.
    fn keyword(&mut self, keyword: Keyword, start: usize, end: usize) -> bool {
        let is_statement = Keyword::of_statement(keyword.word().as_bytes()).is_some();
        let begins_line = is_statement && self.is_first_on_line() && self.looks_like_statement(end);
        if !self.make_split_level(begins_line) {
            self.touch();
            return false;
        }
        if let Some(block) = self.block() {
            let may_stand = block.fields().contains(&keyword) || block.statements().contains(&keyword);
            if self.leave_block_if_outside(begins_line, may_stand, start) {
                return true;
            }
        }
        let slot = if self.in_body { &mut self.piece } else { &mut self.top };
        match slot {
            // The keyword after annotations.
            Some(statement) if statement.keyword.is_none() && !statement.annotations.is_empty() => {
                statement.keyword = Some(keyword);
                statement.keyword_at = start;
                statement.comments.end = self.out.comments.len();
            }
            _ => self.begin(Some(keyword), start, Vec::new()),
        }
        false
    }

    fn at_sign(&mut self) {
        let start = self.at;
        let is_account = self.byte_before(self.last_end) == Some(b'/')
            || self.byte_before(start).is_some_and(|byte| is_word(byte) || matches!(byte, b'*' | b'"'));
        let begins_line = self.is_first_on_line() && self.text.get(start + 1).is_some_and(|&byte| is_word(byte));
        if !is_account && self.make_split_level(begins_line) {
            if let Some(block) = self.block()
                && self.leave_block_if_outside(begins_line, block == Keyword::Template, start)
            {
                return;
            }
            let slot = if self.in_body { &mut self.piece } else { &mut self.top };
            match slot {
                Some(statement) if statement.keyword.is_none() && !statement.annotations.is_empty() => {
                    statement.annotations.push(start);
                }
                _ => self.begin(None, start, vec![start]),
            }
        }
        self.token(1);
    }

    /// Returns whether a statement may begin here. One that begins a line inside brackets, where none can stand, shows
    /// that they were never closed.
    fn make_split_level(&mut self, begins_line: bool) -> bool {
        if self.is_split_level() {
            return true;
        }
        if !begins_line {
            return false;
        }
        self.drop_open(usize::from(self.in_body));
        true
    }

    /// Ends the block of which no end was found, where something begins a line that belongs outside of it. Returns
    /// whether the text is to be read again from an earlier place.
    fn leave_block_if_outside(&mut self, begins_line: bool, may_stand: bool, start: usize) -> bool {
        let Some(top) = &self.top else { return false };
        if !begins_line || start - self.line_start > self.indentation(top.start) {
            return false;
        }
        if may_stand {
            self.unindented.get_or_insert(self.last_end);
            return false;
        }
        self.end_open_block()
    }

    /// Returns how deep the line of a place is indented.
    fn indentation(&self, at: usize) -> usize {
        let start = self.text[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        self.text[start..at].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    }

    fn begin(&mut self, keyword: Option<Keyword>, start: usize, annotations: Vec<usize>) {
        self.end_current();
        self.ignoring = false;
        let comments = self.comments_before..self.out.comments.len();
        let statement = Statement {
            keyword,
            start,
            keyword_at: start,
            end: start,
            annotations,
            comments,
            body: None,
            has_extras: false,
            broken: false,
        };
        self.comments_before = self.out.comments.len();
        *(if self.in_body { &mut self.piece } else { &mut self.top }) = Some(statement);
    }

    /// Makes sure that what is read belongs to something: what begins with no keyword is a statement too.
    fn touch(&mut self) {
        let none = if self.in_body { self.piece.is_none() } else { self.top.is_none() };
        if none && !self.ignoring {
            self.begin(None, self.at, Vec::new());
        }
    }

    /// Ends the piece, or outside a block the statement, that is being read.
    fn end_current(&mut self) {
        if self.in_body {
            let Some(mut piece) = self.piece.take() else { return };
            piece.end = self.last_end;
            if let Some(body) = self.top.as_mut().and_then(|top| top.body.as_mut()) {
                body.pieces.push(piece);
            }
        } else if let Some(mut top) = self.top.take() {
            top.end = self.last_end;
            self.out.statements.push(top);
        }
    }

    // Brackets.

    fn open(&mut self, byte: u8) {
        self.touch();
        if self.too_deep > 0 || self.stack.len() >= MAX_DEPTH {
            self.too_deep += 1;
            if self.too_deep == 1 {
                self.break_current(ProblemKind::TooDeep, self.at..self.at + 1);
            }
            return self.token(1);
        }
        let opens_body = byte == b'{'
            && self.stack.iter().all(|open| open.byte == b'(')
            && self.top.as_ref().is_some_and(|top| top.keyword.is_some_and(Keyword::has_block));
        if opens_body {
            self.drop_open(0);
        }
        self.stack.push(Open { byte, at: self.at });
        self.token(1);
        if opens_body && let Some(top) = &mut self.top {
            top.body = Some(Box::new(Body { open: self.last_end - 1, pieces: Vec::new() }));
            self.in_body = true;
            (self.unindented, self.misfit) = (None, None);
        }
    }

    fn close(&mut self, byte: u8) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return self.token(1);
        }
        let opening = if byte == b'}' { b'{' } else { b'(' };
        let Some(index) = self.stack.iter().rposition(|open| open.byte == opening) else {
            // What was read so far can stand; what follows belongs to nothing.
            self.end_current();
            if !self.ignoring {
                self.problem(ProblemKind::StrayBracket, self.at..self.at + 1);
            }
            self.ignoring = true;
            return self.token(1);
        };
        if index + 1 < self.stack.len() {
            self.drop_open(index + 1);
        }
        let open = self.stack[index].at;
        if self.in_body && index > 0 && self.is_first_on_line() && self.indentation(open) > self.indentation(self.at) {
            self.misfit.get_or_insert(open);
        }
        self.stack.pop();
        if self.in_body && index == 0 {
            self.end_current();
            self.in_body = false;
            self.token(1);
            self.end_current();
        } else {
            self.token(1);
        }
    }

    /// Forgets the open brackets beyond the first `keep`, and says so of the outermost one.
    fn drop_open(&mut self, keep: usize) {
        if let Some(open) = self.stack.get(keep) {
            self.break_current(ProblemKind::UnclosedBracket, open.at..open.at + 1);
        }
        self.stack.truncate(keep);
        self.too_deep = 0;
    }

    /// Ends a block without an end: where its pieces stop being indented, else here. Returns whether the text is to be
    /// read again from that place.
    fn end_open_block(&mut self) -> bool {
        self.end_current();
        let cut = self.unindented.take().filter(|_| self.cuts < MAX_CUTS);
        let Some(mut top) = self.top.take() else { return false };
        if let Some(body) = &mut top.body {
            if let Some(cut) = cut {
                body.pieces.retain(|piece| piece.start < cut);
                self.out.problems.retain(|problem| problem.start < cut);
                self.out.comments.retain(|comment| comment.start < cut);
                self.out.tight_arrows.retain(|&arrow| arrow < cut);
            }
            let open = self.misfit.filter(|&misfit| cut.is_none_or(|cut| misfit < cut)).unwrap_or(body.open);
            self.out.problems.push(Problem { kind: ProblemKind::UnclosedBracket, start: open, end: open + 1 });
        }
        self.in_body = false;
        self.stack.clear();
        self.too_deep = 0;
        top.end = cut.unwrap_or(self.last_end);
        self.out.statements.push(top);
        let Some(cut) = cut else { return false };
        self.cuts += 1;
        self.at = cut;
        self.last_end = cut;
        self.comments_before = self.out.comments.len();
        self.line_start = self.text[..cut].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        (self.last_word, self.word_before) = (0..0, 0..0);
        true
    }

    /// Ends what is open at the end of the text. Returns whether there is text to be read again.
    fn finish(&mut self) -> bool {
        self.drop_open(usize::from(self.in_body));
        if self.in_body {
            return self.end_open_block();
        }
        self.end_current();
        false
    }

    fn problem(&mut self, kind: ProblemKind, span: Range<usize>) {
        self.out.problems.push(Problem { kind, start: span.start, end: span.end });
    }

    /// Notes a problem of what is being read, unless it has one already.
    fn break_current(&mut self, kind: ProblemKind, span: Range<usize>) {
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

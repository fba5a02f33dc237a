//! Statements and the pieces of blocks: where each begins and ends.

use super::tokens::Scanner;
use super::{Statement, is_word};
use crate::syntax::keyword::Keyword;

impl Scanner<'_> {
    /// Returns the keyword of a word, if no bracket is open but that of the block.
    pub(super) fn candidate(&self, word: &[u8]) -> Option<Keyword> {
        let fields = self.block().map_or(&[][..], Keyword::fields);
        Keyword::of_statement(word).or_else(|| fields.iter().copied().find(|field| field.word().as_bytes() == word))
    }

    /// Returns the keyword of the block that is being read.
    pub(super) fn block(&self) -> Option<Keyword> {
        if self.in_body { self.top.as_ref().and_then(|top| top.keyword) } else { None }
    }

    /// Returns whether only the block, if there is one, is open.
    pub(super) fn is_split_level(&self) -> bool {
        self.too_deep == 0 && self.stack.len() == usize::from(self.in_body)
    }

    pub(super) fn is_first_on_line(&self) -> bool {
        self.last_end <= self.line_start
    }

    pub(super) fn byte_before(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).and_then(|at| self.text.get(at)).copied()
    }

    /// Returns the first byte after an offset that is neither a space nor a tab.
    pub(super) fn next_on_line(&self, at: usize) -> Option<u8> {
        self.text.get(at..)?.iter().copied().find(|byte| !matches!(byte, b' ' | b'\t'))
    }

    /// Returns the text after an offset, without the space and the comments at its start.
    pub(super) fn text_after(&self, at: usize) -> &[u8] {
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
    pub(super) fn is_ordinary(&self, keyword: Keyword, start: usize, end: usize) -> bool {
        if matches!(self.byte_before(start), Some(b'/' | b':' | b'@'))
            || matches!(self.text.get(end), Some(b'/' | b':'))
        {
            return true;
        }
        // Beside a `/` the last word is no keyword either: `garden/at let …`.
        let last = match self.byte_before(self.last_word.start) {
            Some(b'/' | b'@' | b':') => &[],
            // Nor is the value of a workload's field: `account default port web 9090`.
            _ if self.block() == Some(Keyword::Workload)
                && self.piece.as_ref().is_some_and(|piece| piece.keyword_at != self.last_word.start) =>
            {
                &[]
            }
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
            | b"assert" | b"default" | b"except" | b"at" | b"claim" | b"header" => true,
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

    /// Returns whether the text after a keyword looks like a statement, and not like a label, an element or an
    /// argument.
    pub(super) fn looks_like_statement(&self, end: usize) -> bool {
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

    /// Takes a keyword. Returns whether the text must be read again from an earlier offset.
    pub(super) fn keyword(&mut self, keyword: Keyword, start: usize, end: usize) -> bool {
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

    pub(super) fn at_sign(&mut self) {
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
    pub(super) fn make_split_level(&mut self, begins_line: bool) -> bool {
        if self.is_split_level() {
            return true;
        }
        if !begins_line {
            return false;
        }
        self.drop_open(usize::from(self.in_body));
        true
    }

    /// Ends a block without an end, at a line that begins with a word that belongs outside the block. Returns whether
    /// the text must be read again from an earlier offset.
    pub(super) fn leave_block_if_outside(&mut self, begins_line: bool, may_stand: bool, start: usize) -> bool {
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

    /// Returns the indentation of the line at an offset.
    pub(super) fn indentation(&self, at: usize) -> usize {
        let start = self.text[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        self.text[start..at].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    }

    pub(super) fn begin(&mut self, keyword: Option<Keyword>, start: usize, annotations: Vec<usize>) {
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

    /// Begins a statement if none is being read: a text without a keyword is a statement too.
    pub(super) fn touch(&mut self) {
        let none = if self.in_body { self.piece.is_none() } else { self.top.is_none() };
        if none && !self.ignoring {
            self.begin(None, self.at, Vec::new());
        }
    }

    /// Ends the piece, or outside a block the statement, that is being read.
    pub(super) fn end_current(&mut self) {
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
}

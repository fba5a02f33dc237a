//! Matching brackets, and guessing the position of a missing one.

use super::tokens::{Open, Scanner};
use super::{Body, MAX_CUTS, MAX_DEPTH, Problem, ProblemKind};
use crate::syntax::keyword::Keyword;

impl Scanner<'_> {
    pub(super) fn open(&mut self, byte: u8) {
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

    pub(super) fn close(&mut self, byte: u8) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return self.token(1);
        }
        let opening = if byte == b'}' { b'{' } else { b'(' };
        let Some(index) = self.stack.iter().rposition(|open| open.byte == opening) else {
            // The statement so far is whole; the text that follows belongs to no statement.
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

    /// Drops the open brackets beyond the first `keep`, and reports the outermost of them.
    pub(super) fn drop_open(&mut self, keep: usize) {
        if let Some(open) = self.stack.get(keep) {
            self.break_current(ProblemKind::UnclosedBracket, open.at..open.at + 1);
        }
        self.stack.truncate(keep);
        self.too_deep = 0;
    }

    /// Ends a block without an end: where its pieces stop being indented, else here. Returns whether the text must be
    /// read again from there.
    pub(super) fn end_open_block(&mut self) -> bool {
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
            let until = cut.unwrap_or(self.last_end);
            self.out.problems.push(Problem { kind: ProblemKind::UnclosedBracket, start: open, end: open + 1, until });
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

    /// Ends everything that is open at the end of the text. Returns whether text must be read again.
    pub(super) fn finish(&mut self) -> bool {
        self.drop_open(usize::from(self.in_body));
        if self.in_body {
            return self.end_open_block();
        }
        self.end_current();
        false
    }
}

//! An edited text as pieces: parts of the checked text, and between them new text.
//!
//! ```text
//! allow a/* -> b/*            allow a/* -> b/*          the text that was checked, from 0 on
//! deny a/* -> c/*             deny a/* -> c/*:80        new
//! allow c/* -> b/*            allow c/* -> b/*          the text that was checked, from 32 on
//! ```
//!
//! Pieces meet at the ends of statements, so a result for a statement of the checked text stays valid as long as one
//! piece contains the statement.

use crate::source::FileId;
use crate::syntax::scan::Scan;

/// A part of an edited text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Its first byte.
    pub start: u32,
    /// The byte after its last one.
    pub end: u32,
    /// Its kind.
    pub what: What,
}

/// The kind of a piece.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// The checked text, from this byte on.
    Old(u32),
    /// New text, as its own file.
    New(FileId),
    /// New text that is not read yet.
    Unread,
}

/// The pieces of a text, in order and without gaps.
#[derive(Clone, Debug)]
pub struct Pieces(pub Vec<Piece>);

impl Pieces {
    /// Makes the pieces of an unchanged text.
    pub fn new(length: u32) -> Pieces {
        Pieces(vec![Piece { start: 0, end: length, what: What::Old(0) }])
    }

    /// Replaces a range by some bytes. The unread piece reaches from a statement before the range to one after it,
    /// because their ends may have moved too.
    pub fn replace(&mut self, start: u32, end: u32, bytes: u32, text: &str, scan: &Scan) {
        let list = &self.0;
        if list.is_empty() {
            self.0.push(Piece { start: 0, end: bytes, what: What::Unread });
            return;
        }
        let mut first = list.partition_point(|piece| piece.end < start).min(list.len().saturating_sub(1));
        let mut last = list.partition_point(|piece| piece.start <= end).saturating_sub(1).max(first);
        let is_new = |at: usize| list.get(at).is_some_and(|piece| !matches!(piece.what, What::Old(_)));
        let mut from = start;
        if is_new(first) && first > 0 {
            first -= 1;
            from = list.get(first).map_or(from, |piece| piece.end);
        }
        let mut to = end;
        if is_new(last) && last + 1 < list.len() {
            last += 1;
            to = list.get(last).map_or(to, |piece| piece.start);
        }
        let (Some(left), Some(right)) = (list.get(first).copied(), list.get(last).copied()) else { return };
        let shift = |at: u32| (at + bytes).saturating_sub(end - start);
        let mut changed = Vec::new();
        let mut unread = Piece { start: left.start, end: shift(right.end), what: What::Unread };
        if let What::Old(at) = left.what {
            let cut = before(text, scan, at + (from - left.start)).clamp(at, at + (left.end - left.start));
            unread.start = left.start + (cut - at);
            changed.push(Piece { end: unread.start, ..left });
        }
        let mut rest = None;
        if let What::Old(at) = right.what {
            let cut = behind(text, scan, at + (to - right.start)).clamp(at, at + (right.end - right.start));
            unread.end = shift(right.start + (cut - at));
            rest = Some(Piece { start: unread.end, end: shift(right.end), what: What::Old(cut) });
        }
        changed.push(unread);
        changed.extend(rest);
        let count = changed.len();
        self.0.splice(first..=last, changed);
        for piece in self.0.iter_mut().skip(first + count) {
            (piece.start, piece.end) = (shift(piece.start), shift(piece.end));
        }
        self.tidy();
    }

    /// Drops empty pieces, and joins those that belong together.
    pub fn tidy(&mut self) {
        let mut tidy: Vec<Piece> = Vec::with_capacity(self.0.len());
        for piece in self.0.iter().filter(|piece| piece.start < piece.end) {
            match tidy.last_mut() {
                Some(last) => match (last.what, piece.what) {
                    (What::Old(at), What::Old(next)) if at + (last.end - last.start) == next => last.end = piece.end,
                    (What::Unread, What::Unread) => last.end = piece.end,
                    _ => tidy.push(*piece),
                },
                None => tidy.push(*piece),
            }
        }
        self.0 = tidy;
    }

    /// Returns the first byte in the edited text of a range of the checked text; `None` if the range is gone.
    pub fn of_old(&self, start: u32, end: u32) -> Option<u32> {
        // The pieces of the checked text have its order, with others between them.
        let mut all = self.0.iter().filter_map(|piece| match piece.what {
            What::Old(at) if at <= start && end <= at + (piece.end - piece.start) => Some(piece.start + (start - at)),
            _ => None,
        });
        all.next()
    }

    /// Returns the first byte in the checked text of a range of the edited text; `None` if the range is new.
    pub fn to_old(&self, start: u32, end: u32) -> Option<u32> {
        let piece = self.0.iter().find(|piece| piece.start <= start && end <= piece.end)?;
        match piece.what {
            What::Old(at) => Some(at + (start - piece.start)),
            _ => None,
        }
    }

    /// Returns the first byte of a new text.
    pub fn of_new(&self, file: FileId) -> Option<u32> {
        self.0.iter().find(|piece| piece.what == What::New(file)).map(|piece| piece.start)
    }

    /// Returns the ranges of the checked text that are gone.
    pub fn gone(&self, length: u32) -> Vec<(u32, u32)> {
        let mut gone = Vec::new();
        let mut at = 0;
        for piece in &self.0 {
            if let What::Old(from) = piece.what {
                if at < from {
                    gone.push((at, from));
                }
                at = from + (piece.end - piece.start);
            }
        }
        if at < length {
            gone.push((at, length));
        }
        gone
    }
}

/// Returns the end of a statement before an offset: the statements at the offset and before it can be read separately
/// from there on.
pub fn before(text: &str, scan: &Scan, offset: u32) -> u32 {
    let touched = scan.statements.partition_point(|statement| (statement.end as u32) < offset);
    let mut at = touched.saturating_sub(1);
    while at > 0 && !is_apart(text, scan, at) {
        at -= 1;
    }
    at.checked_sub(1).and_then(|at| scan.statements.get(at)).map_or(0, |statement| statement.end as u32)
}

/// Returns the end of a statement after an offset: the statements at the offset and after it can be read separately up
/// to there.
pub fn behind(text: &str, scan: &Scan, offset: u32) -> u32 {
    let mut at = scan.statements.partition_point(|statement| statement.start as u32 <= offset);
    while at + 1 < scan.statements.len() && !is_apart(text, scan, at + 1) {
        at += 1;
    }
    match scan.statements.get(at).filter(|_| at + 1 < scan.statements.len()) {
        Some(statement) => statement.end as u32,
        None => text.len() as u32,
    }
}

/// Returns whether a statement begins on another line than the one before it ends.
fn is_apart(text: &str, scan: &Scan, at: usize) -> bool {
    let (Some(one), Some(other)) = (at.checked_sub(1).and_then(|at| scan.statements.get(at)), scan.statements.get(at))
    else {
        return true;
    };
    text.get(one.end..other.start).is_some_and(|between| between.contains('\n'))
}

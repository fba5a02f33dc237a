//! Positions: from the bytes of a text to the lines and characters that a client counts, and back.

use std::borrow::Cow;

use lsp_types::{Position, PositionEncodingKind, Range};

/// The units in which a client counts the characters of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// Code units of UTF-16, which is the default.
    Utf16,
    /// Characters.
    Utf32,
}

impl Encoding {
    /// Returns the best of the encodings that a client offers.
    pub fn choose(offered: &[PositionEncodingKind]) -> Encoding {
        if offered.contains(&PositionEncodingKind::UTF8) {
            Encoding::Utf8
        } else if offered.contains(&PositionEncodingKind::UTF32) && !offered.contains(&PositionEncodingKind::UTF16) {
            Encoding::Utf32
        } else {
            Encoding::Utf16
        }
    }

    /// Returns the name in the protocol.
    pub fn kind(self) -> PositionEncodingKind {
        match self {
            Encoding::Utf8 => PositionEncodingKind::UTF8,
            Encoding::Utf16 => PositionEncodingKind::UTF16,
            Encoding::Utf32 => PositionEncodingKind::UTF32,
        }
    }

    /// Returns how many units a text has.
    pub fn length(self, text: &str) -> u32 {
        let length = match self {
            Encoding::Utf8 => text.len(),
            Encoding::Utf16 if text.is_ascii() => text.len(),
            Encoding::Utf16 => text.chars().map(char::len_utf16).sum(),
            Encoding::Utf32 => text.chars().count(),
        };
        length as u32
    }

    fn of(self, character: char) -> u32 {
        (match self {
            Encoding::Utf8 => character.len_utf8(),
            Encoding::Utf16 => character.len_utf16(),
            Encoding::Utf32 => 1,
        }) as u32
    }
}

/// A text with the starts of its lines. LSP ends them at LF, CR LF, and CR.
#[derive(Debug)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Cow<'t, [u32]>,
    encoding: Encoding,
}

/// A text that is being edited, with the starts of its lines.
#[derive(Debug)]
pub struct EditedText {
    text: String,
    starts: Vec<u32>,
}

impl EditedText {
    /// Takes a text.
    pub fn new(text: String) -> EditedText {
        EditedText { starts: starts(&text), text }
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns its lines.
    pub fn lines(&self, encoding: Encoding) -> Lines<'_> {
        Lines { text: &self.text, starts: Cow::Borrowed(&self.starts), encoding }
    }

    /// Replaces a range of bytes.
    pub fn replace(&mut self, (start, end): (u32, u32), new: &str) {
        self.text.replace_range(start as usize..end as usize, new);
        // A line may also begin right before and right behind the new text: between CR and LF none does.
        let length = new.len() as u32;
        let (before, behind) = (start, start + length);
        let first = self.starts.partition_point(|&at| at < before.max(1));
        let last = self.starts.partition_point(|&at| at <= end).max(first);
        let begins = |at: &u32| begins_line(self.text.as_bytes(), *at as usize);
        let new: Vec<u32> = (before.max(1)..=behind).filter(begins).collect();
        let next = first + new.len();
        self.starts.splice(first..last, new);
        self.starts.iter_mut().skip(next).for_each(|at| *at = *at + length - (end - start));
    }
}

/// Returns the starts of the lines of a text.
fn starts(text: &str) -> Vec<u32> {
    let bytes = text.as_bytes();
    let ends = line_ends(bytes).map(|at| at + 1);
    std::iter::once(0).chain(ends.filter(|at| begins_line(bytes, *at)).map(|at| at as u32)).collect()
}

/// Returns the offsets of all CR and LF.
fn line_ends(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.iter().enumerate().filter(|(_, byte)| matches!(byte, b'\n' | b'\r')).map(|(at, _)| at)
}

fn begins_line(bytes: &[u8], at: usize) -> bool {
    match at.checked_sub(1).and_then(|last| bytes.get(last)) {
        Some(b'\n') => true,
        Some(b'\r') => bytes.get(at) != Some(&b'\n'),
        _ => false,
    }
}

impl<'t> Lines<'t> {
    /// Finds the lines of a text.
    pub fn new(text: &'t str, encoding: Encoding) -> Lines<'t> {
        Lines { text, starts: Cow::Owned(starts(text)), encoding }
    }

    /// Returns the byte of a position. One past the end of its line is the end of the line, one past the last line the
    /// end of the text, and one inside a character its start.
    pub fn offset(&self, position: Position) -> u32 {
        let Some(&start) = self.starts.get(position.line as usize) else { return self.text.len() as u32 };
        let end = self.starts.get(position.line as usize + 1).map_or(self.text.len(), |&next| next as usize);
        let line = self.text.get(start as usize..end).unwrap_or_default().trim_end_matches(['\n', '\r']);
        let mut units = 0;
        for (at, character) in line.char_indices() {
            units += self.encoding.of(character);
            if units > position.character {
                return start + at as u32;
            }
        }
        start + line.len() as u32
    }

    /// Returns the bytes of a range.
    pub fn bytes(&self, range: Range) -> (u32, u32) {
        let (start, end) = (self.offset(range.start), self.offset(range.end));
        (start, end.max(start))
    }

    /// Returns the position of a byte; of one inside a character, that of the character.
    pub fn position(&self, offset: u32) -> Position {
        let mut offset = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|&start| start as usize <= offset).saturating_sub(1);
        let start = self.starts.get(line).map_or(0, |&start| start as usize);
        let before = self.text.get(start..offset).unwrap_or_default();
        Position { line: line as u32, character: self.encoding.length(before) }
    }

    /// Returns the range of some bytes.
    pub fn range(&self, start: u32, end: u32) -> Range {
        Range { start: self.position(start), end: self.position(end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x😀y` has 1, 4 and 1 bytes; 1, 2 and 1 units of UTF-16; three characters.
    const TEXT: &str = "a\r\nx😀y\rb\n";

    #[test]
    fn characters_are_counted_as_the_client_does() {
        for (encoding, of_y) in [(Encoding::Utf8, 5), (Encoding::Utf16, 3), (Encoding::Utf32, 2)] {
            let lines = Lines::new(TEXT, encoding);
            let y = TEXT.find('y').unwrap() as u32;
            assert_eq!(lines.position(y), Position { line: 1, character: of_y }, "{encoding:?}");
            assert_eq!(lines.offset(Position { line: 1, character: of_y }), y);
            // Behind the end of a line, of the text, and inside a character.
            assert_eq!(lines.offset(Position { line: 1, character: 99 }), y + 1);
            assert_eq!(lines.offset(Position { line: 9, character: 0 }), TEXT.len() as u32);
            assert_eq!(lines.position(6), Position { line: 1, character: 1 });
            assert_eq!(lines.position(TEXT.len() as u32), Position { line: 3, character: 0 });
        }
        let lines = Lines::new(TEXT, Encoding::Utf16);
        assert_eq!(lines.offset(Position { line: 1, character: 2 }), 4, "the second half of a pair");
    }

    #[test]
    fn lines_follow_edits() {
        let mut text = EditedText::new(TEXT.to_owned());
        let mut state = 7u32;
        for _ in 0..2_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let place = |seed: u32| {
                let at = (seed >> 8) as usize % (text.text().len() + 1);
                (0..=at).rev().find(|at| text.text().is_char_boundary(*at)).unwrap() as u32
            };
            let (a, b) = (place(state), place(state.rotate_left(9)));
            let (start, end) = (a.min(b), a.max(b).min(a.min(b) + 3));
            let end = (start..=end).rev().find(|at| text.text().is_char_boundary(*at as usize)).unwrap();
            text.replace((start, end), ["\n", "\r", "\r\n", "é", "", "\n\n"][(state >> 4) as usize % 6]);
            assert_eq!(text.starts, starts(text.text()), "{:?}", text.text());
        }
    }

    #[test]
    fn every_place_leads_back_to_itself() {
        for encoding in [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32] {
            let lines = Lines::new(TEXT, encoding);
            let ends =
                ["\r\n", "\n"].iter().flat_map(|end| TEXT.match_indices(end)).map(|(at, end)| at + end.len() - 1);
            let inside: Vec<usize> = ends.filter(|at| TEXT.as_bytes()[*at - 1] == b'\r').collect();
            for (at, _) in TEXT.char_indices().filter(|(at, _)| !inside.contains(at)) {
                assert_eq!(lines.offset(lines.position(at as u32)), at as u32, "{encoding:?}");
            }
        }
    }
}

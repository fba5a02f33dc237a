//! The files of a run as codespan reads them, prepared for one finding at a time.
//!
//! Control characters for terminals are replaced. Of a very long line only the part around the finding is shown.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use codespan_reporting::files::{Error, Files};

use crate::diag::Label;
use crate::source::{FileId, Sources};

/// The longest line that is shown as a whole, in bytes.
const LONG_LINE: usize = 400;
/// The part of a long line that is shown before the label.
const BEFORE: usize = 60;
/// The part of a long line that is shown in total.
const SHOWN: usize = 240;
/// The most lines of a label; a longer label is shown at its first line only.
const MOST_LINES: usize = 6;

/// The texts of all files, made safe to print. Every byte offset stays what it was.
pub struct Texts<'a> {
    sources: &'a Sources,
    safe: HashMap<FileId, OnceLock<Cow<'a, str>>>,
}

impl<'a> Texts<'a> {
    /// Prepares the texts; the work for a file is done when it is first shown.
    pub fn new(sources: &'a Sources) -> Texts<'a> {
        Texts { sources, safe: sources.iter().map(|(id, _)| (id, OnceLock::new())).collect() }
    }

    fn text(&self, file: FileId) -> &str {
        let text = &self.sources.file(file).text;
        self.safe.get(&file).map_or(text, |safe| safe.get_or_init(|| same_length(text)))
    }
}

/// Replaces control characters and characters that hide text by others with the same number of bytes.
fn same_length(text: &str) -> Cow<'_, str> {
    // Most texts are printable ASCII: checking their bytes is faster than decoding characters.
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) || matches!(byte, b'\t' | b'\n' | b'\r');
    if text.bytes().fold(true, |all, byte| all & plain(byte)) || !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let replace = |c: char| match c.len_utf8() {
        _ if !steers(c) => c,
        1 => '?',
        2 => '\u{bf}',
        _ => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(text.chars().map(replace).collect())
}

/// Returns a message without characters that steer a terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect())
}

fn steers(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => c.is_control(),
    }
}

/// The files for one finding: long lines are cut to a window around its labels.
pub struct View<'v, 't> {
    texts: &'v Texts<'t>,
    windows: HashMap<(FileId, usize), Range<usize>>,
}

impl<'v, 't> View<'v, 't> {
    /// Makes the view in which the first of `labels` is certain to be seen.
    pub fn new<'l>(texts: &'v Texts<'t>, labels: impl Iterator<Item = &'l Label>) -> View<'v, 't> {
        let mut view = View { texts, windows: HashMap::new() };
        for label in labels {
            let (file, start) = (label.span.file, label.span.start as usize);
            let line = view.line(file, start);
            let whole = view.whole_line(file, line);
            if whole.len() > LONG_LINE {
                let text = view.texts.text(file);
                let from = text.floor_char_boundary(start.saturating_sub(BEFORE).max(whole.start));
                let to = text.floor_char_boundary((from + SHOWN).min(whole.end));
                view.windows.entry((file, line)).or_insert(from..to);
            }
        }
        view
    }

    /// Returns the visible part of a label; `None` if it is outside the window of its line.
    pub fn visible(&self, label: &Label) -> Option<Range<usize>> {
        let (file, start) = (label.span.file, label.span.start as usize);
        let text = self.texts.text(file);
        let start = text.floor_char_boundary(start);
        let end = text.floor_char_boundary(label.span.end as usize).max(start);
        let (first, last) = (self.line(file, start), self.line(file, end));
        let window = self.shown_line(file, first);
        if start < window.start || start > window.end {
            return None;
        }
        let one_line =
            last - first > MOST_LINES || (first..=last).any(|line| self.whole_line(file, line).len() > LONG_LINE);
        if !one_line {
            return Some(start..end);
        }
        let stop = window.start + text[window.clone()].trim_end_matches(['\n', '\r']).len();
        Some(start..end.min(stop).max(start))
    }

    fn line(&self, file: FileId, offset: usize) -> usize {
        self.texts.sources.file(file).line_starts().partition_point(|&start| start as usize <= offset) - 1
    }

    fn whole_line(&self, file: FileId, line: usize) -> Range<usize> {
        let file = self.texts.sources.file(file);
        let starts = file.line_starts();
        let at = |line: usize| starts.get(line).map_or(file.text.len(), |&start| start as usize);
        at(line)..at(line + 1)
    }

    fn shown_line(&self, file: FileId, line: usize) -> Range<usize> {
        let whole = self.whole_line(file, line);
        if whole.len() <= LONG_LINE {
            return whole;
        }
        let start = || whole.start..self.texts.text(file).floor_char_boundary(whole.start + SHOWN);
        self.windows.get(&(file, line)).cloned().unwrap_or_else(start)
    }
}

impl<'a> Files<'a> for View<'_, '_> {
    type FileId = FileId;
    type Name = Cow<'a, str>;
    type Source = &'a str;

    fn name(&'a self, id: FileId) -> Result<Self::Name, Error> {
        Ok(printable(&self.texts.sources.file(id).path))
    }

    fn source(&'a self, id: FileId) -> Result<Self::Source, Error> {
        Ok(self.texts.text(id))
    }

    fn line_index(&'a self, id: FileId, byte_index: usize) -> Result<usize, Error> {
        Ok(self.line(id, byte_index))
    }

    fn column_number(&'a self, id: FileId, _line_index: usize, byte_index: usize) -> Result<usize, Error> {
        Ok(self.texts.sources.position(id, byte_index as u32).column)
    }

    fn line_range(&'a self, id: FileId, line_index: usize) -> Result<Range<usize>, Error> {
        Ok(self.shown_line(id, line_index))
    }
}

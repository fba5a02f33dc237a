//! Layout: text with possible line breaks, and the choice of the breaks.
//!
//! A *group* is written on one line if it fits, together with whatever follows it up to the next possible break.
//! Otherwise every line break that is directly in it is made. Line feeds are written late, with the indentation of the
//! text that follows, so that several in a row are one, and a closing brace can be indented less.

/// The longest line, in characters; a comment at the end of one does not count.
const WIDTH: usize = 100;

/// The spaces of one step of indentation.
const STEP: usize = 2;

/// The kinds of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// A list, or whatever breaks into lines of its own.
    Loose,
    /// A list that breaks last: the groups before it break first.
    Tight,
    /// A token before which the line breaks if only this lets it and what follows fit on one line.
    Before,
}

#[derive(Clone, Copy, Debug)]
enum Piece {
    /// The text up to `end`, from the end of the text before.
    Text {
        end: u32,
        width: u32,
    },
    /// `flat` spaces, or in a broken group a new line, after an empty one where `blank` is set.
    Line {
        flat: u8,
        blank: bool,
    },
    /// A new line in any case.
    Hard {
        blank: bool,
    },
    /// A comma in a broken group only.
    TrailingComma,
    /// Begins a group.
    Open {
        broken: bool,
        group: Group,
    },
    /// Ends the group that was begun last.
    Close,
    Indent,
    Dedent,
}

/// Collects pieces and writes them out.
#[derive(Debug, Default)]
pub(super) struct Layout {
    text: String,
    pieces: Vec<Piece>,
    open: Vec<usize>,
    out: String,
    column: usize,
    level: usize,
    pending: usize,
}

impl Layout {
    /// Adds text without line feeds.
    pub(super) fn text(&mut self, text: &str) {
        let width = text.chars().count() as u32;
        self.push_text(text, width);
    }

    /// Adds a comment, which must be followed by [`Layout::hard`].
    pub(super) fn comment(&mut self, text: &str) {
        self.push_text(text, 0);
    }

    fn push_text(&mut self, text: &str, width: u32) {
        self.text.push_str(text);
        self.pieces.push(Piece::Text { end: self.text.len() as u32, width });
    }

    /// Adds a possible break, which is `flat` spaces otherwise.
    pub(super) fn line(&mut self, flat: u8, blank: bool) {
        self.pieces.push(Piece::Line { flat, blank });
    }

    /// Adds a line feed; the groups around it cannot be on one line any more.
    pub(super) fn hard(&mut self, blank: bool) {
        self.break_open();
        self.pieces.push(Piece::Hard { blank });
    }

    /// Adds the comma after the last member of a list, which is only written in broken groups.
    pub(super) fn trailing_comma(&mut self) {
        self.pieces.push(Piece::TrailingComma);
    }

    /// Begins a group.
    pub(super) fn open(&mut self, group: Group) {
        self.open.push(self.pieces.len());
        self.pieces.push(Piece::Open { broken: false, group });
    }

    /// Ends the group that was begun last.
    pub(super) fn close(&mut self) {
        self.open.pop();
        self.pieces.push(Piece::Close);
    }

    /// Breaks every group that is open.
    pub(super) fn break_open(&mut self) {
        for &at in self.open.iter().rev() {
            match self.pieces.get_mut(at) {
                // A broken group is only inside broken ones.
                Some(Piece::Open { broken: true, .. }) | None => return,
                Some(Piece::Open { broken, .. }) => *broken = true,
                Some(_) => {}
            }
        }
    }

    /// Steps in, from the next line on.
    pub(super) fn indent(&mut self) {
        self.pieces.push(Piece::Indent);
    }

    /// Steps back.
    pub(super) fn dedent(&mut self) {
        self.pieces.push(Piece::Dedent);
    }

    /// Writes out what was collected. All groups must be closed.
    pub(super) fn flush(&mut self) {
        let pieces = std::mem::take(&mut self.pieces);
        let text = std::mem::take(&mut self.text);
        let mut broken = vec![true];
        let mut written = 0;
        for (at, &piece) in pieces.iter().enumerate() {
            let outer = broken.last().copied().unwrap_or(true);
            match piece {
                Piece::Text { end, width } => {
                    self.write(&text[written..end as usize], width as usize);
                    written = end as usize;
                }
                Piece::Line { blank, .. } if outer => self.new_line(blank),
                Piece::Line { flat, .. } => self.write(&"   "[..flat.min(3) as usize], flat as usize),
                Piece::Hard { blank } => self.new_line(blank),
                Piece::TrailingComma if outer => self.write(",", 1),
                Piece::TrailingComma => {}
                Piece::Open { broken: forced, group } => {
                    broken.push(forced || outer && self.breaks(group, &pieces[at + 1..]));
                }
                Piece::Close => {
                    broken.pop();
                }
                Piece::Indent => self.level += 1,
                Piece::Dedent => self.level = self.level.saturating_sub(1),
            }
        }
        self.pieces = pieces;
        self.pieces.clear();
        self.text = text;
        self.text.clear();
    }

    /// Returns whether a group, whose pieces after its opening come first, breaks here.
    fn breaks(&self, group: Group, pieces: &[Piece]) -> bool {
        let room = WIDTH.saturating_sub(self.place());
        // Of two tight lists the second breaks first.
        if fits(pieces, room, group == Group::Tight) {
            return false;
        }
        let indented = self.level + usize::from(matches!(pieces.first(), Some(Piece::Indent)));
        // On its own line a token needs no space before it.
        let fresh = (WIDTH + 1).saturating_sub(indented * STEP);
        group != Group::Before || fits(pieces, fresh, false) || !fits(pieces, room, true)
    }

    /// Returns the column of the next text.
    fn place(&self) -> usize {
        if self.pending > 0 { self.level * STEP } else { self.column }
    }

    fn new_line(&mut self, blank: bool) {
        self.pending = self.pending.max(1 + usize::from(blank));
    }

    fn write(&mut self, text: &str, width: usize) {
        if self.pending > 0 && !self.out.is_empty() {
            for _ in 0..self.pending {
                self.out.push('\n');
            }
            self.column = self.level * STEP;
            self.out.extend(std::iter::repeat_n(' ', self.column));
        }
        self.pending = 0;
        self.out.push_str(text);
        self.column += width;
    }

    /// Returns what was written, with one line feed at its end.
    pub(super) fn finish(mut self) -> String {
        self.flush();
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }
}

/// Returns whether a group, whose pieces after its opening come first, fits in `room` on one line, together with what
/// follows it up to the next break or possible break. `tight` says whether a tight list after it can break.
fn fits(pieces: &[Piece], room: usize, tight: bool) -> bool {
    let mut room = room;
    // How many groups are open inside the group; after its end, inside what follows it and stays on one line.
    let mut depth = 1usize;
    let mut inside = true;
    for &piece in pieces {
        let width = match piece {
            Piece::Text { width, .. } => width as usize,
            Piece::Line { flat, .. } if depth > 0 => flat as usize,
            Piece::Line { .. } | Piece::Hard { .. } => return true,
            Piece::TrailingComma => usize::from(depth == 0),
            Piece::Open { broken, group } => {
                // Behind the group: a group that may break does so rather than the one in question.
                if inside || depth > 0 || group == Group::Tight && !broken && !tight {
                    depth += 1;
                }
                0
            }
            Piece::Close => {
                inside &= depth > 1;
                depth = depth.saturating_sub(1);
                0
            }
            Piece::Indent | Piece::Dedent => 0,
        };
        match room.checked_sub(width) {
            Some(left) => room = left,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{Group, Layout};

    fn list(layout: &mut Layout, open: &str, members: usize) {
        layout.open(Group::Loose);
        layout.text(open);
        layout.indent();
        for at in 0..members {
            layout.line(1, false);
            layout.text("a-member-of-twenty-ch");
            if at + 1 < members {
                layout.text(",");
            }
        }
        layout.trailing_comma();
        layout.dedent();
        layout.line(1, false);
        layout.text("}");
        layout.close();
    }

    #[test]
    fn of_two_lists_the_second_breaks_first() {
        let mut layout = Layout::default();
        list(&mut layout, "{", 3);
        layout.text(" -> ");
        list(&mut layout, "{", 2);
        let member = "a-member-of-twenty-ch";
        let flat = format!("{{ {member}, {member}, {member} }}");
        assert_eq!(layout.finish(), format!("{flat} -> {{\n  {member},\n  {member},\n}}\n"));
    }

    #[test]
    fn line_feeds_in_a_row_are_one_and_none_stands_at_the_start() {
        let mut layout = Layout::default();
        layout.hard(true);
        layout.text("a");
        layout.hard(false);
        layout.hard(true);
        layout.hard(false);
        layout.text("b");
        layout.hard(false);
        assert_eq!(layout.finish(), "a\n\nb\n");
    }
}

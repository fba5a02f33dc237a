//! The walk over source and tree in step: every token that is written is first met in the source, so that each comment
//! comes out between the same two tokens that it stood between.

use super::layout::{Group, Layout};

/// The space between two tokens without a comment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spacing {
    /// Nothing.
    Tight,
    /// One space.
    Space,
    /// This many spaces, or a new line if the group is broken.
    Line(u8),
    /// As [`Spacing::Line`]; an empty line of the source stays when it is broken.
    Member(u8),
    /// A new line.
    Hard,
}

/// The space just inside the braces of a list on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// `{ a, b }`: unions, and the blocks of declarations.
    Spaces,
    /// `{a, b}` and `(a, b)`: labels, ports, parameters. Such a list breaks only if nothing else can.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Comment {
    start: usize,
    end: usize,
    /// The line feeds before it.
    feeds: usize,
}

/// The state of the walk.
#[derive(Debug)]
pub(super) struct Printer<'s> {
    source: &'s str,
    at: usize,
    /// Comments that were met and not written yet.
    held: Vec<Comment>,
    /// The line feeds between the last token or comment and the next token.
    feeds: usize,
    /// For the statement and each enclosing list: whether a comment broke the line where it should not break, so that
    /// the rest is indented one step more.
    continued: Vec<bool>,
    /// The first offset at which source and tree differ.
    lost: Option<usize>,
    pub(super) layout: Layout,
}

impl<'s> Printer<'s> {
    pub(super) fn new(source: &'s str) -> Printer<'s> {
        let at = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        // A comment at the very start stands on its own line.
        let layout = Layout::default();
        Printer { source, at, held: Vec::new(), feeds: 1, continued: Vec::new(), lost: None, layout }
    }

    /// Returns the text, or the offset where source and tree were out of step.
    pub(super) fn finish(mut self) -> Result<String, usize> {
        self.skip();
        self.comments(true);
        if self.at < self.source.len() {
            self.lose();
        }
        match self.lost {
            Some(at) => Err(at),
            None => Ok(self.layout.finish()),
        }
    }

    pub(super) fn lose(&mut self) {
        self.lost = self.lost.or(Some(self.at));
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or("")
    }

    /// Steps over space and comments to the next token.
    pub(super) fn skip(&mut self) {
        let bytes = self.source.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'\n' => self.feeds += 1,
                b' ' | b'\t' | b'\r' => {}
                b'#' => {
                    let line = self.rest().split('\n').next().unwrap_or("");
                    let text = line.trim_end_matches([' ', '\t', '\r']);
                    self.held.push(Comment { start: self.at, end: self.at + text.len(), feeds: self.feeds });
                    self.feeds = 0;
                    self.at += line.len();
                    continue;
                }
                _ => break,
            }
            self.at += 1;
        }
    }

    /// Returns whether the next token is `text`, after skipped pieces.
    pub(super) fn sees(&mut self, text: &str) -> bool {
        self.skip();
        self.rest().starts_with(text)
    }

    /// Returns whether the next token is the word `text`, with space or a comment behind it.
    pub(super) fn keyword_ahead(&mut self, text: &str) -> bool {
        self.skip();
        self.rest().strip_prefix(text).is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n', '#']))
    }

    /// Leaves out a token without a meaning, and everything up to the next one except comments.
    pub(super) fn drop_token(&mut self, text: &str) {
        self.at += text.len();
        self.feeds = 0;
        self.skip();
    }

    /// Returns whether a comment or a line feed is before the next token, so that it begins a line.
    fn begins_line(&mut self) -> bool {
        self.skip();
        self.held.first().map_or(self.feeds, |comment| comment.feeds) > 0
    }

    /// Breaks the enclosing groups if the author broke the line here.
    pub(super) fn keep_break(&mut self) {
        if self.begins_line() {
            self.layout.break_open();
        }
    }

    /// Writes the waiting comments, each ended by a new line. `blank` says whether an empty line before the first may
    /// stay.
    fn comments(&mut self, blank: bool) {
        for (at, comment) in std::mem::take(&mut self.held).into_iter().enumerate() {
            let text = self.source.get(comment.start..comment.end).unwrap_or("");
            if comment.feeds == 0 && at == 0 {
                self.layout.comment("  ");
            } else {
                self.layout.hard(comment.feeds > 1 && (blank || at > 0));
            }
            self.layout.comment(text);
            self.layout.hard(false);
        }
    }

    /// Goes to the next token and writes the space and comments before it.
    pub(super) fn gap(&mut self, gap: Spacing) {
        self.skip();
        let commented = !self.held.is_empty();
        match gap {
            Spacing::Tight | Spacing::Space if commented => {
                if let Some(continued @ false) = self.continued.last_mut() {
                    *continued = true;
                    self.layout.indent();
                }
                self.comments(false);
            }
            Spacing::Tight => {}
            Spacing::Space => self.layout.text(" "),
            Spacing::Line(flat) => {
                self.comments(false);
                self.layout.line(flat, false);
            }
            Spacing::Member(flat) => {
                self.comments(true);
                self.layout.line(flat, self.feeds > 1);
            }
            Spacing::Hard => {
                self.comments(false);
                self.layout.hard(false);
            }
        }
    }

    /// Writes the space and comments before a statement or a line of a block.
    pub(super) fn statement_gap(&mut self, first: bool) {
        self.skip();
        let commented = !self.held.is_empty();
        self.comments(!first);
        self.layout.hard(self.feeds > 1 && (!first || commented));
        self.layout.flush();
    }

    /// Begins a stretch in which a line may have to be continued with one step more.
    pub(super) fn begin(&mut self) {
        self.continued.push(false);
    }

    /// Ends what [`Printer::begin`] began.
    pub(super) fn end(&mut self) {
        if self.continued.pop() == Some(true) {
            self.layout.dedent();
        }
    }

    /// Returns whether the line had to be continued in the stretch that was begun last.
    pub(super) fn is_continued(&self) -> bool {
        self.continued.last() == Some(&true)
    }

    /// Writes a token of the language. The walk must be at it.
    pub(super) fn token(&mut self, text: &str) {
        self.replace(text.len(), self.rest().starts_with(text), text);
    }

    /// Writes `text` for the token that ends at `end`.
    pub(super) fn atom(&mut self, end: usize, text: &str) {
        self.replace(end.saturating_sub(self.at), end > self.at, text);
    }

    /// Writes `text` for the longest run of bytes that `accept` takes.
    pub(super) fn run(&mut self, accept: fn(&u8) -> bool, text: &str) {
        let length = self.rest().bytes().take_while(accept).count();
        self.replace(length, length > 0, text);
    }

    /// Writes the string literal that ends at `end`.
    pub(super) fn string(&mut self, end: usize) {
        let text = canonical_string(self.source.get(self.at..end).unwrap_or(""));
        self.atom(end, &text);
    }

    fn replace(&mut self, length: usize, met: bool, text: &str) {
        if met {
            self.layout.text(text);
            self.at += length;
            self.feeds = 0;
        } else {
            self.lose();
        }
    }

    /// Writes a list between `open` and `close`, with a comma after each member but the last; in a broken list after
    /// the last one too. A list whose first member begins a line stays broken.
    pub(super) fn list<T>(
        &mut self,
        (open, close): (&str, &str),
        padding: Padding,
        members: &[T],
        mut member: impl FnMut(&mut Self, &T),
    ) {
        let flat = u8::from(padding == Padding::Spaces && !members.is_empty());
        self.layout.open(if padding == Padding::Nothing { Group::Tight } else { Group::Loose });
        self.token(open);
        self.layout.indent();
        if !members.is_empty() {
            self.keep_break();
        }
        for (at, value) in members.iter().enumerate() {
            self.gap(if at == 0 { Spacing::Line(flat) } else { Spacing::Member(1) });
            self.begin();
            member(self, value);
            self.end();
            if self.sees(",") {
                self.comma(at + 1 == members.len());
            } else if at + 1 < members.len() {
                self.lose();
            } else {
                self.layout.trailing_comma();
            }
        }
        self.close(close, flat);
    }

    /// Writes the comma before the comments that precede it in the source.
    fn comma(&mut self, last: bool) {
        self.at += 1;
        if last {
            self.layout.trailing_comma();
        } else {
            self.layout.text(",");
        }
        self.feeds = 0;
    }

    /// Writes values with commas between them and none at the end, each on its own line where they do not fit.
    pub(super) fn values<T>(&mut self, values: &[T], mut value: impl FnMut(&mut Self, &T)) {
        self.layout.open(Group::Loose);
        self.layout.indent();
        for (at, item) in values.iter().enumerate() {
            if at > 0 {
                if self.sees(",") {
                    self.comma(false);
                } else {
                    self.lose();
                }
                self.gap(Spacing::Line(1));
            }
            value(self, item);
        }
        self.layout.dedent();
        self.layout.close();
    }

    /// Writes a block of members, on one line with two spaces between them or each on its own line. A block whose
    /// first member begins a line stays broken.
    pub(super) fn block<T>(&mut self, members: &[T], mut member: impl FnMut(&mut Self, &T)) {
        self.layout.open(Group::Loose);
        self.token("{");
        self.layout.indent();
        if !members.is_empty() {
            self.keep_break();
        }
        for (at, value) in members.iter().enumerate() {
            self.gap(if at == 0 { Spacing::Line(1) } else { Spacing::Member(2) });
            self.begin();
            member(self, value);
            self.end();
        }
        self.close("}", u8::from(!members.is_empty()));
    }

    fn close(&mut self, close: &str, flat: u8) {
        self.skip();
        self.comments(true);
        self.layout.dedent();
        self.layout.line(flat, false);
        self.token(close);
        self.layout.close();
    }

    /// Writes a block of statements or claims, each on its own line.
    pub(super) fn body<T>(&mut self, members: &[T], mut member: impl FnMut(&mut Self, &T)) {
        self.token("{");
        self.skip();
        let empty = members.is_empty() && self.held.is_empty();
        self.layout.indent();
        for (at, value) in members.iter().enumerate() {
            self.statement_gap(at == 0);
            member(self, value);
        }
        self.skip();
        self.comments(!members.is_empty());
        self.layout.dedent();
        if !empty {
            self.layout.hard(false);
        }
        self.token("}");
    }
}

/// Returns a string literal in its canonical form: only escapes that are needed, or that show invisible characters,
/// stay.
fn canonical_string(literal: &str) -> String {
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(first) = rest.chars().next() {
        if let Some((code, after)) = rest.strip_prefix("\\u{").and_then(|after| after.split_once('}')) {
            match u32::from_str_radix(code, 16).ok().and_then(char::from_u32) {
                Some('"') => out.push_str("\\\""),
                Some('\\') => out.push_str("\\\\"),
                Some('\n') => out.push_str("\\n"),
                Some('\t') => out.push_str("\\t"),
                Some(char @ ' '..='~') => out.push(char),
                Some(char) => out.push_str(&format!("\\u{{{:x}}}", u32::from(char))),
                None => out.push_str(&format!("\\u{{{code}}}")),
            }
            rest = after;
        } else if first == '\\' {
            let pair = 1 + rest.get(1..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            let (escape, after) = rest.split_at(pair);
            out.push_str(escape);
            rest = after;
        } else if first == '\t' {
            out.push_str("\\t");
            rest = rest.get(1..).unwrap_or("");
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or("");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::canonical_string;

    #[test]
    fn strings_keep_their_value() {
        for (written, canonical) in [
            (r#""a b""#, r#""a b""#),
            ("\"a\tb\"", r#""a\tb""#),
            (r#""\u{41}\u{22}\u{5C}\u{09}\u{A}""#, r#""A\"\\\t\n""#),
            (r#""\u{00E9}é\u{200B}""#, r#""\u{e9}é\u{200b}""#),
            (r#""\\u{41}""#, r#""\\u{41}""#),
            (r#""\"\\\n\t""#, r#""\"\\\n\t""#),
        ] {
            assert_eq!(canonical_string(written), canonical);
        }
    }
}

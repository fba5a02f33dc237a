//! Plain tokens of a refused text.

use crate::syntax::scan::is_word;

/// A token and its range.
#[derive(Clone, Copy, Debug)]
pub struct Token<'t> {
    /// Its kind.
    pub kind: Kind,
    /// Its text.
    pub text: &'t str,
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bare word.
    Word,
    /// A string.
    String,
    /// A run of `<`, `>`, `=`, `-` and `~`, or any other character.
    Symbol,
}

impl Token<'_> {
    /// Returns whether the token is this text.
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// Returns whether the token can end an endpoint.
    pub fn ends_endpoint(&self) -> bool {
        self.kind != Kind::Symbol || matches!(self.text, "*" | "}" | "]")
    }

    /// Returns whether the token can begin an endpoint, or what follows a `/` or `:` in one.
    pub fn begins_endpoint(&self) -> bool {
        self.kind != Kind::Symbol || matches!(self.text, "*" | "{" | "[" | "@")
    }

    /// Returns whether the token stands between endpoints.
    pub fn is_separator(&self) -> bool {
        matches!(self.text, "," | "(" | "{" | "=" | "->" | "<->" | ">" | "!" | ";")
    }
}

/// Cuts a text into tokens.
pub fn tokenize(text: &str) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let start = at;
        let is_sign = |byte: u8| matches!(byte, b'<' | b'>' | b'=' | b'-' | b'~');
        let kind = match byte {
            b'"' => {
                at += 1;
                while let Some(&byte) = bytes.get(at) {
                    at += if byte == b'\\' { 2 } else { 1 };
                    if byte == b'"' || byte == b'\n' {
                        break;
                    }
                }
                Kind::String
            }
            b'-' if bytes.get(at + 1).is_some_and(|&next| is_sign(next)) => {
                at += bytes[at..].iter().take_while(|&&byte| is_sign(byte)).count();
                Kind::Symbol
            }
            _ if is_word(byte) => {
                while bytes.get(at).is_some_and(|&byte| is_word(byte)) && !bytes[at..].starts_with(b"->") {
                    at += 1;
                }
                Kind::Word
            }
            _ if is_sign(byte) => {
                at += bytes[at..].iter().take_while(|&&byte| is_sign(byte)).count();
                Kind::Symbol
            }
            _ => {
                at += 1;
                Kind::Symbol
            }
        };
        at = at.min(bytes.len());
        while !text.is_char_boundary(at) {
            at += 1;
        }
        tokens.push(Token { kind, text: &text[start..at], start, end: at });
    }
    tokens
}

//! Scalars: texts that may stand plain, and quotes for all others, so that readers of YAML 1.1 and 1.2 read the same.

/// Letters: a plain string may begin with them.
const LETTER: u8 = 1;
/// Digits: a plain string may begin with them where it has a slash.
const DIGIT: u8 = 2;
const INNER: u8 = 4;
const SLASH: u8 = 8;
/// Harmless between other characters, outside of keys and flow containers.
const LOOSE: u8 = 16;
const OUTSIDE: u8 = 128;

/// The class of each byte, as bits, so that the classes of a text can be joined.
const CLASS: [u8; 256] = {
    let mut class = [OUTSIDE; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        class[at] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'0'..=b'9' => DIGIT,
            b'-' | b'_' | b'.' => INNER,
            b'/' => SLASH,
            b':' | b',' | b' ' => LOOSE,
            _ => OUTSIDE,
        };
        at += 1;
    }
    class
};

/// Returns whether every reader takes the bare text for this string.
pub(super) fn is_plain(text: &str, tight: bool) -> bool {
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    let all = bytes.iter().fold(0, |all, &byte| all | CLASS[usize::from(byte)]);
    let refused = if tight { OUTSIDE | LOOSE } else { OUTSIDE };
    // `: ` would make a key of what stands before it.
    if all & refused != 0 || all & LOOSE != 0 && text.contains(": ") {
        return false;
    }
    if CLASS[usize::from(last)] == LOOSE {
        return false;
    }
    match CLASS[usize::from(first)] {
        LETTER => !is_word_of_yaml(text),
        // No number, time or date has a slash.
        DIGIT => all & SLASH != 0,
        SLASH => true,
        _ => false,
    }
}

/// Returns whether some reader takes the word for a truth value, a null or a number.
fn is_word_of_yaml(text: &str) -> bool {
    const WORDS: [&str; 12] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"];
    text.len() <= 8 && WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
    // Nothing between these needs a second look.
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        out.push_str(text);
        return out.push('"');
    }
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            _ if is_unsafe(character) => push_escape(out, character),
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// Pushes a line of a comment: a space, and the text with what a reader might not pass over spelled out.
pub(super) fn push_comment(out: &mut String, line: &str) {
    let line = line.trim_end();
    if !line.is_empty() {
        out.push(' ');
    }
    // Nothing between these needs a second look.
    if line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return out.push_str(line);
    }
    for character in line.chars() {
        if is_unsafe(character) { push_escape(out, character) } else { out.push(character) }
    }
}

/// Returns whether a character is one that YAML does not call printable, that some reader takes for a line break, or
/// that changes how the text around it is shown.
pub(super) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            u32::from(character),
            0x200E | 0x200F | 0x2028..=0x202E | 0x2066..=0x2069 | 0xFEFF | 0xFFFE | 0xFFFF
        )
}

pub(super) fn push_escape(out: &mut String, character: char) {
    use std::fmt::Write as _;
    let code = u32::from(character);
    // Writing to a string cannot fail.
    let _ = if code <= 0xFF { write!(out, "\\x{code:02X}") } else { write!(out, "\\u{code:04X}") };
}

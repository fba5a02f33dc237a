//! A reader of JSON (RFC 8259) for texts that a host hands over: strict, and never deeper than [`DEEPEST`].

/// Lists and objects nest no deeper.
const DEEPEST: u32 = 64;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Word(bool),
    /// A number, if it is a whole one that fits.
    Number(Option<u64>),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object. Of keys that repeat, the last counts.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text; `None` if it is not one value of JSON in UTF-8.
    pub fn parse(text: &[u8]) -> Option<Json> {
        let text = core::str::from_utf8(text).ok()?;
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.space();
        (reader.at == text.len()).then_some(value)
    }

    /// Writes what the value says, the same for each order of an object's keys.
    pub fn canonical(&self, out: &mut String) {
        match self {
            Json::Null => out.push('n'),
            Json::Word(word) => out.push(if *word { 't' } else { 'f' }),
            Json::Number(number) => out.push_str(&format!("{number:?}")),
            Json::Text(text) => quoted(text, out),
            Json::List(items) => {
                out.push('[');
                for item in items {
                    item.canonical(out);
                    out.push(',');
                }
                out.push(']');
            }
            Json::Object(entries) => {
                // The sort is stable, so of keys that repeat the last stays last.
                let mut sorted: Vec<&(String, Json)> = entries.iter().collect();
                sorted.sort_by(|one, other| one.0.cmp(&other.0));
                out.push('{');
                for (at, (key, value)) in sorted.iter().enumerate() {
                    if sorted.get(at + 1).is_none_or(|(next, _)| next != key) {
                        quoted(key, out);
                        value.canonical(out);
                    }
                }
                out.push('}');
            }
        }
    }

    /// Returns a string's text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns whether it is an object that has no other keys than these.
    pub fn has_only(&self, keys: &[&str]) -> bool {
        matches!(self, Json::Object(entries) if entries.iter().all(|(key, _)| keys.contains(&key.as_str())))
    }

    /// Returns the value of a key, if it is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.entry(|have| have == key)
    }

    /// Returns the value of the last key that is a wanted one.
    pub fn entry(&self, is_wanted: impl Fn(&str) -> bool) -> Option<&Json> {
        match self {
            Json::Object(entries) => entries.iter().rev().find(|(have, _)| is_wanted(have)).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Writes a text so that its end is seen.
fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for piece in text.split_inclusive(['"', '\\']) {
        out.push_str(piece);
        if piece.ends_with(['"', '\\']) {
            out.push('\\');
        }
    }
    out.push('"');
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn value(&mut self, depth: u32) -> Option<Json> {
        if depth > DEEPEST {
            return None;
        }
        self.space();
        match self.peek()? {
            b'n' => self.word("null").map(|()| Json::Null),
            b't' => self.word("true").map(|()| Json::Word(true)),
            b'f' => self.word("false").map(|()| Json::Word(false)),
            b'"' => self.string().map(Json::Text),
            b'[' => self.list(depth),
            b'{' => self.object(depth),
            _ => self.number(),
        }
    }

    fn list(&mut self, depth: u32) -> Option<Json> {
        self.take(b'[')?;
        let mut items = Vec::new();
        self.space();
        if self.take(b']').is_some() {
            return Some(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']').is_some() {
                return Some(Json::List(items));
            }
            self.take(b',')?;
        }
    }

    fn object(&mut self, depth: u32) -> Option<Json> {
        self.take(b'{')?;
        let mut entries = Vec::new();
        self.space();
        if self.take(b'}').is_some() {
            return Some(Json::Object(entries));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.take(b':')?;
            entries.push((key, self.value(depth + 1)?));
            self.space();
            if self.take(b'}').is_some() {
                return Some(Json::Object(entries));
            }
            self.take(b',')?;
        }
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.at;
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(Json::Number(self.text.get(start..self.at)?.parse().ok()))
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut out = String::new();
        loop {
            let start = self.at;
            while !matches!(self.peek()?, b'"' | b'\\' | 0..0x20) {
                self.at += 1;
            }
            out.push_str(self.text.get(start..self.at)?);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(out);
                }
                b'\\' => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.at += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                match first {
                    0xd800..0xdc00 => {
                        self.word("\\u")?;
                        let second = self.hex()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                        char::from_u32(0x10000 + ((first - 0xd800) << 10) + second)?
                    }
                    _ => char::from_u32(first)?,
                }
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.bytes().try_fold(0, |all, digit| Some(all << 4 | char::from(digit).to_digit(16)?))
    }
}

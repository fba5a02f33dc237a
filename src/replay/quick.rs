//! A line that tells nothing new but when: found without being read whole, by the text of what is read of such lines.
//!
//! ```text
//! {"start_time":"…","downstream_remote_address":"10.244.1.7:40112","path":"/api","duration":5,…}
//!     the moment, and `10.244.1.7` with `/api` and all else that tells flows apart, as it is written
//! ```
//!
//! A line that was read is known by that text from then on. What no reader of the format looks at, such as the port of
//! a client, is passed over, and so is what this file does not understand: such a line is read whole, each time.

use memchr::memmem;

use super::format::Format;

/// What a field is.
enum Field {
    /// When the flow was seen.
    Time,
    /// It tells flows apart, as it is written.
    Told,
    /// So does its address; the port does not, unless it is 0.
    Address,
    /// So does all but this number inside it.
    Without(&'static [u8]),
    /// It has fields of its own.
    Inside,
    /// Nobody reads it.
    Unread,
}

/// Writes what tells a line from lines of other flows to a key, and returns the text of its moment; `None` for a line
/// that must be read whole.
pub(super) fn key<'l>(line: &'l [u8], format: Format, marks: &mut Marks, key: &mut Vec<u8>) -> Option<&'l [u8]> {
    key.push(format as u8);
    if format == Format::Question {
        key.extend_from_slice(line);
        return Some(&[]);
    }
    let start = line.iter().position(|byte| *byte == b'{')?;
    marks.set(line);
    let mut scan = Scan { line, at: start, marks, key, time: None };
    scan.object(format)?;
    scan.space();
    // Without its own fields a line is one of another format.
    (scan.at == line.len() && scan.key.len() > 1).then_some(scan.time.unwrap_or_default())
}

/// Returns what a field of a format is.
fn field(format: Format, name: &[u8]) -> Field {
    match format {
        Format::Hubble if name == b"flow" => Field::Inside,
        Format::HubbleFlow => match name {
            b"time" => Field::Time,
            b"verdict" | b"IP" | b"source" | b"destination" | b"Type" | b"source_names" | b"destination_names"
            | b"is_reply" | b"traffic_direction" => Field::Told,
            b"l4" => Field::Without(b"\"source_port\":"),
            b"l7" => Field::Without(b"\"latency_ns\":"),
            _ => Field::Unread,
        },
        Format::Ztunnel => match name {
            b"time" => Field::Time,
            b"src.addr" => Field::Address,
            b"scope" | b"message" | b"src.workload" | b"src.namespace" | b"src.identity" | b"dst.addr"
            | b"dst.hbone_addr" | b"dst.service" | b"dst.workload" | b"dst.namespace" | b"dst.identity" | b"error" => {
                Field::Told
            }
            _ => Field::Unread,
        },
        Format::Envoy => match name {
            b"start_time" => Field::Time,
            b"downstream_remote_address" | b"upstream_local_address" => Field::Address,
            b"upstream_cluster"
            | b"upstream_host"
            | b"downstream_local_address"
            | b"downstream_peer_uri_san"
            | b"requested_server_name"
            | b"authority"
            | b"method"
            | b"path"
            | b"response_code_details"
            | b"response_flags"
            | b"route_name"
            | b"connection_termination_details" => Field::Told,
            _ => Field::Unread,
        },
        Format::Hubble | Format::Question => Field::Unread,
    }
}

/// A walk through a line.
struct Scan<'l, 'k> {
    line: &'l [u8],
    at: usize,
    marks: &'k Marks,
    key: &'k mut Vec<u8>,
    time: Option<&'l [u8]>,
}

impl<'l> Scan<'l, '_> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn object(&mut self, format: Format) -> Option<()> {
        self.take(b'{')?;
        self.space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.space();
            let name = self.string()?;
            self.take(b':')?;
            self.space();
            match field(format, name) {
                Field::Inside => self.object(Format::HubbleFlow)?,
                Field::Unread => drop(self.value()?),
                Field::Time if self.time.is_some() => return None,
                Field::Time => {
                    let value = self.value()?;
                    self.time = Some(value.strip_prefix(b"\"")?.strip_suffix(b"\"")?);
                }
                told => {
                    let value = self.value()?;
                    self.tell(name, value, &told)?;
                }
            }
            self.space();
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Adds a field to the key.
    fn tell(&mut self, name: &[u8], value: &[u8], what: &Field) -> Option<()> {
        self.key.extend_from_slice(name);
        self.key.push(b'=');
        match what {
            // Port 0 means that the address is from a header.
            Field::Address if value.ends_with(b":0\"") => self.key.extend_from_slice(value),
            Field::Address => self.key.extend_from_slice(without_port(value)?),
            Field::Without(name) => match memmem::find(value, name) {
                Some(at) => {
                    let (before, after) = value.split_at(at);
                    let number = after.get(name.len()..)?;
                    let end = number.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'"'))?;
                    self.key.extend_from_slice(before);
                    self.key.extend_from_slice(number.get(end..)?);
                }
                None => self.key.extend_from_slice(value),
            },
            _ => self.key.extend_from_slice(value),
        }
        // No line has this byte.
        self.key.push(b'\n');
        Some(())
    }

    /// Takes a value, and returns its text.
    fn value(&mut self) -> Option<&'l [u8]> {
        let start = self.at;
        match self.peek()? {
            b'"' => drop(self.string()?),
            b'{' | b'[' => self.nested()?,
            _ => {
                let rest = self.line.get(start..)?;
                let end = rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"+-.".contains(byte)))?;
                self.at += (end > 0).then_some(end)?;
            }
        }
        self.line.get(start..self.at)
    }

    /// Takes a list or an object.
    fn nested(&mut self) -> Option<()> {
        let (mut depth, mut at) = (0, self.at);
        loop {
            at = next(&self.marks.brackets, at)?;
            depth += if matches!(self.line.get(at)?, b'{' | b'[') { 1 } else { -1 };
            at += 1;
            if depth == 0 {
                self.at = at;
                return Some(());
            }
        }
    }

    /// Takes a string, and returns what is between its quotes.
    fn string(&mut self) -> Option<&'l [u8]> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let end = next(&self.marks.quotes, start)?;
        self.at = end + 1;
        self.line.get(start..end)
    }
}

/// What stands where in a line, with a bit for each byte. So a walk through the line needs not look at each of them.
#[derive(Default)]
pub(super) struct Marks {
    /// The quotes at both ends of strings.
    quotes: Vec<u64>,
    /// The brackets outside of strings.
    brackets: Vec<u64>,
}

impl Marks {
    fn set(&mut self, line: &[u8]) {
        self.quotes.clear();
        self.brackets.clear();
        let (blocks, rest) = line.as_chunks::<64>();
        let mut last = [b' '; 64];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        // Whether a block begins inside a string, and whether its first byte is escaped.
        let (mut inside, mut escaped) = (0, 0);
        for block in blocks.iter().chain([&last]) {
            let backslashes = bits(block, |byte| byte == b'\\');
            let mut quotes = bits(block, |byte| byte == b'"');
            if backslashes | escaped != 0 {
                quotes &= !behind(backslashes, &mut escaped);
            }
            // From each quote on everything changes sides.
            let strings = [1, 2, 4, 8, 16, 32].into_iter().fold(quotes, |bits, shift| bits ^ bits << shift) ^ inside;
            inside = if strings >> 63 == 1 { u64::MAX } else { 0 };
            // `[` and `]` become `{` and `}` by this bit.
            let brackets = bits(block, |byte| matches!(byte | 0x20, b'{' | b'}'));
            self.quotes.push(quotes);
            self.brackets.push(brackets & !strings);
        }
    }
}

/// Returns the bits of the bytes that are wanted.
fn bits(block: &[u8; 64], is_wanted: impl Fn(u8) -> bool) -> u64 {
    let mut found = [0; 64];
    found.iter_mut().zip(block).for_each(|(found, byte)| *found = u8::from(is_wanted(*byte)));
    // The product gathers the lowest bits of eight bytes in its highest byte.
    let eight = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    found.as_chunks::<8>().0.iter().rev().fold(0, |all, bytes| all << 8 | eight(bytes))
}

/// Returns the bits of bytes that stand behind a backslash which is not itself escaped.
fn behind(mut backslashes: u64, escaped: &mut u64) -> u64 {
    let mut found = std::mem::take(escaped);
    while backslashes != 0 {
        let bit = backslashes & backslashes.wrapping_neg();
        if found & bit == 0 {
            found |= bit << 1;
            *escaped = bit >> 63;
        }
        backslashes ^= bit;
    }
    found
}

/// Returns the place of the first bit from a place on.
fn next(marks: &[u64], from: usize) -> Option<usize> {
    let mut word = from / 64;
    let mut bits = *marks.get(word)? & u64::MAX << (from % 64);
    while bits == 0 {
        word += 1;
        bits = *marks.get(word)?;
    }
    Some(64 * word + bits.trailing_zeros() as usize)
}

/// Returns an address with its port as the text of the address; `None` for what is none.
fn without_port(value: &[u8]) -> Option<&[u8]> {
    let text = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let Some(colon) = text.iter().rposition(|byte| *byte == b':') else { return Some(text) };
    let (address, port) = (text.get(..colon)?, text.get(colon + 1..)?);
    // An address of IPv6 without brackets has no port.
    let has_port = address.ends_with(b"]") || !address.contains(&b':');
    let number =
        port.iter().try_fold(0_u32, |all, digit| digit.is_ascii_digit().then(|| all * 10 + u32::from(digit - b'0')));
    match has_port {
        true => number.filter(|_| (1..=5).contains(&port.len())).filter(|port| *port <= 65535).map(|_| address),
        false => Some(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, format: Format) -> Option<(String, Vec<u8>)> {
        let mut all = Vec::new();
        let time = key(line.as_bytes(), format, &mut Marks::default(), &mut all)?;
        Some((String::from_utf8_lossy(time).into_owned(), all))
    }

    #[test]
    fn what_nobody_reads_tells_no_lines_apart() {
        let envoy = |port: u16, path: &str, bytes: u64| {
            let line = format!(
                r#"{{"start_time":"T{bytes}","path":"{path}","x":{{"a":["}}",2]}},"bytes":{bytes},"downstream_remote_address":"10.0.0.1:{port}"}}"#
            );
            of(&line, Format::Envoy).unwrap()
        };
        let (time, first) = envoy(40112, "/a", 1);
        assert_eq!(time, "T1");
        assert_eq!(first, envoy(50000, "/a", 2).1);
        assert_ne!(first, envoy(40112, "/b", 1).1);
        let hubble = |source: u16, destination: u16| {
            let line = format!(
                r#"{{"flow":{{"l4":{{"TCP":{{"source_port":{source},"destination_port":{destination}}}}},"verdict":"F"}},"n":"w"}}"#
            );
            of(&line, Format::Hubble).unwrap().1
        };
        assert_eq!(hubble(1, 80), hubble(65535, 80));
        assert_ne!(hubble(1, 80), hubble(1, 81));
    }

    #[test]
    fn strings_end_at_quotes_that_are_not_escaped_wherever_these_stand() {
        for length in 0..140 {
            let fill = "x".repeat(length);
            for (text, rest) in [(r#"\""#, ""), (r"\\", ""), (r#"\\\""#, ""), ("", r#""}{],"#), ("{[", r#"\"}"#)] {
                let line = format!(
                    r#"{{"time":"T","src.addr":"10.0.0.1:80","u":["{fill}{text}",{{"v":"{rest}"}}],"scope":"s"}}"#
                );
                let is_json = serde_json::from_str::<serde_json::Value>(&line).is_ok();
                let found = of(&line, Format::Ztunnel).map(|(_, key)| key);
                let wanted = of(r#"{"time":"T","src.addr":"10.0.0.1:80","scope":"s"}"#, Format::Ztunnel).unwrap().1;
                assert_eq!(found, is_json.then_some(wanted), "{line}");
            }
        }
    }

    #[test]
    fn what_is_not_whole_is_read_whole() {
        let whole = r#"{"scope":"access","time":"T","src.addr":"[::1]:80","dst.addr":"a\"b"}"#;
        assert!(of(whole, Format::Ztunnel).is_some());
        for end in 0..whole.len() {
            assert_eq!(of(&whole[..end], Format::Ztunnel), None, "{}", &whole[..end]);
        }
        assert_eq!(of(r#"{"src.addr":"10.0.0.1:99999"}"#, Format::Ztunnel), None, "no port");
        assert_eq!(of(whole, Format::Envoy), None, "another format");
        assert_eq!(of(&format!("{whole}x"), Format::Ztunnel), None, "more behind it");
        assert_eq!(of(r#"{"time":"T","time":"U","scope":"a"}"#, Format::Ztunnel), None, "told twice");
    }
}

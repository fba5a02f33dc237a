//! A writer of YAML: block style, the keys in the order in which they are given, comments, and quotes wherever a reader
//! of YAML 1.1 or 1.2 could take a string for something else.
//!
//! The writer has no tree: each value goes straight into one string. Containers are closures, so that every container
//! is closed, and one without entries is written as `{}` or `[]`, never as the null that a bare key would be.
//!
//! ```
//! use netpol::targets::yaml::Writer;
//!
//! let mut yaml = Writer::new();
//! yaml.key("metadata").map(|yaml| {
//!     yaml.field("name", "no").note("a string, so it is quoted");
//!     yaml.key("ports").list(|yaml| {
//!         yaml.item().flow_map(|yaml| {
//!             yaml.key("port").int(443);
//!         });
//!     });
//! });
//! assert_eq!(
//!     yaml.finish(),
//!     "metadata:\n  name: \"no\"  # a string, so it is quoted\n  ports:\n    - { port: 443 }\n"
//! );
//! ```

mod scalar;

use scalar::{is_plain, push_comment, push_quoted};

/// Writes one YAML document, whose root is a map.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
    /// The indentation of the entries of the open container.
    indent: usize,
    /// Whether the open container has no entry yet.
    empty: bool,
    /// Whether a dash was just written, so that the first entry of its value is on the same line.
    after_dash: bool,
    /// Whether a flow container is open.
    flow: bool,
}

impl Writer {
    /// Makes an empty document.
    pub fn new() -> Writer {
        Writer::with_capacity(1024)
    }

    /// Makes an empty document with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Writer {
        Writer { out: String::with_capacity(bytes), empty: true, ..Writer::default() }
    }

    /// Ends the document and returns its text, which ends in a line feed.
    pub fn finish(mut self) -> String {
        self.out.push('\n');
        // Thousands of documents may wait until all are written.
        self.out.shrink_to_fit();
        self.out
    }

    /// Begins an entry of a map; its value comes next. The key is one that needs no quotes; see [`Writer::any_key`].
    pub fn key(&mut self, key: &'static str) -> &mut Writer {
        self.begin_key();
        self.out.push_str(key);
        self.out.push(':');
        self
    }

    /// Begins an entry of a map under any key.
    pub fn any_key(&mut self, key: &str) -> &mut Writer {
        self.begin_key();
        self.push_text(key, true);
        self.out.push(':');
        self
    }

    /// Begins an item of a list; its value comes next.
    pub fn item(&mut self) -> &mut Writer {
        if self.flow {
            if !self.empty {
                self.out.push(',');
            }
        } else {
            self.begin_line();
            self.out.push('-');
            self.after_dash = true;
        }
        self.empty = false;
        self
    }

    /// Writes a string, in quotes where it needs them.
    pub fn str(&mut self, text: &str) -> &mut Writer {
        self.gap();
        self.push_text(text, self.flow);
        self
    }

    /// Writes a string that may have several lines, one by one where that reads back unchanged.
    pub fn text(&mut self, text: &str) -> &mut Writer {
        let plain = |line: &str| line.starts_with(|first: char| first.is_ascii_graphic()) && line.chars().all(is_print);
        if self.flow || !text.contains('\n') || !text.split('\n').all(plain) {
            return self.str(text);
        }
        self.gap();
        self.out.push_str("|-");
        self.indent += 2;
        for line in text.split('\n') {
            self.begin_line();
            self.out.push_str(line);
        }
        self.indent -= 2;
        self
    }

    /// Writes a string in quotes.
    pub fn quoted(&mut self, text: &str) -> &mut Writer {
        self.gap();
        push_quoted(&mut self.out, text);
        self
    }

    /// Writes a word that is known to need no quotes.
    pub fn word(&mut self, word: &'static str) -> &mut Writer {
        self.gap();
        self.out.push_str(word);
        self
    }

    /// Writes a number.
    pub fn int(&mut self, mut number: u32) -> &mut Writer {
        self.gap();
        let mut digits = [0u8; 10];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.out.extend(digits[at..].iter().map(|&digit| char::from(digit)));
        self
    }

    /// Writes `true` or `false`.
    pub fn bool(&mut self, value: bool) -> &mut Writer {
        self.word(if value { "true" } else { "false" })
    }

    /// Writes an entry whose value is a string.
    pub fn field(&mut self, key: &'static str, text: &str) -> &mut Writer {
        self.key(key).str(text)
    }

    /// Writes a map whose entries `entries` writes; in flow style where a flow container is open.
    pub fn map(&mut self, entries: impl FnOnce(&mut Writer)) -> &mut Writer {
        if self.flow { self.flow_map(entries) } else { self.block("{}", entries) }
    }

    /// Writes a list whose items `items` writes; in flow style where a flow container is open.
    pub fn list(&mut self, items: impl FnOnce(&mut Writer)) -> &mut Writer {
        if self.flow { self.flow_list(items) } else { self.block("[]", items) }
    }

    /// Writes a map on one line: `{ a: b, c: d }`.
    pub fn flow_map(&mut self, entries: impl FnOnce(&mut Writer)) -> &mut Writer {
        self.gap();
        self.out.push('{');
        if self.in_flow(entries) {
            self.out.push(' ');
        }
        self.out.push('}');
        self
    }

    /// Writes a list on one line: `[a, b]`.
    pub fn flow_list(&mut self, items: impl FnOnce(&mut Writer)) -> &mut Writer {
        self.gap();
        self.out.push('[');
        self.in_flow(items);
        self.out.push(']');
        self
    }

    /// Writes a comment on lines of its own. Inside a flow container there is no room for a comment, and nothing is
    /// written.
    pub fn comment(&mut self, text: &str) -> &mut Writer {
        if self.flow {
            return self;
        }
        for line in text.lines() {
            self.begin_line();
            self.out.push('#');
            push_comment(&mut self.out, line);
        }
        self
    }

    /// Writes a comment behind a value on the same line. Inside a flow container there is no room for a comment, and
    /// nothing is written.
    pub fn note(&mut self, text: &str) -> &mut Writer {
        if !self.flow {
            self.out.push_str("  #");
            self.after_dash = false;
            for line in text.lines() {
                push_comment(&mut self.out, line);
            }
        }
        self
    }

    fn begin_key(&mut self) {
        if self.flow {
            self.out.push_str(if self.empty { " " } else { ", " });
        } else {
            self.begin_line();
        }
        self.empty = false;
    }

    /// Moves to where an entry of a block container begins.
    fn begin_line(&mut self) {
        const SPACES: &str = "                                                                ";
        if self.after_dash {
            self.after_dash = false;
            self.out.push(' ');
            return;
        }
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        match SPACES.get(..self.indent) {
            Some(spaces) => self.out.push_str(spaces),
            None => self.out.extend(std::iter::repeat_n(' ', self.indent)),
        }
    }

    /// Separates a value from the text before it.
    fn gap(&mut self) {
        self.after_dash = false;
        if !matches!(self.out.as_bytes().last(), None | Some(b'[')) {
            self.out.push(' ');
        }
    }

    fn block(&mut self, nothing: &'static str, write: impl FnOnce(&mut Writer)) -> &mut Writer {
        let outer = std::mem::replace(&mut self.empty, true);
        let indent = self.indent;
        self.indent += 2;
        let start = self.out.len();
        write(self);
        if self.empty {
            // If only comments were written, the value needs its own line, because a comment ends its line.
            if self.out.len() > start {
                self.begin_line();
            } else {
                self.gap();
            }
            self.out.push_str(nothing);
        }
        self.indent = indent;
        self.empty = outer;
        self
    }

    /// Writes inside a flow container, and returns whether there was an entry.
    fn in_flow(&mut self, write: impl FnOnce(&mut Writer)) -> bool {
        let (flow, outer) = (std::mem::replace(&mut self.flow, true), std::mem::replace(&mut self.empty, true));
        write(self);
        let filled = !self.empty;
        self.flow = flow;
        self.empty = outer;
        filled
    }

    /// Pushes a string, in quotes where it needs them. `tight` is for keys and flow containers, where `:`, `,` and
    /// spaces mean something.
    fn push_text(&mut self, text: &str, tight: bool) {
        if is_plain(text, tight) {
            self.out.push_str(text);
        } else {
            push_quoted(&mut self.out, text);
        }
    }
}

fn is_print(character: char) -> bool {
    matches!(character, ' '..='~' | '…')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NASTY: &[&str] = &[
        "",
        " ",
        "yes",
        "No",
        "on",
        "OFF",
        "y",
        "N",
        "true",
        "False",
        "null",
        "Null",
        "~",
        "=",
        "<<",
        "1",
        "-1",
        "+1",
        "0",
        "007",
        "0o7",
        "0x1F",
        "0b1",
        "1_000",
        "1.5",
        ".5",
        "1.",
        "1e3",
        "1E+3",
        ".inf",
        "-.inf",
        ".nan",
        "inf",
        "nan",
        "12:30:45",
        "190:20:30",
        "2001-12-14",
        "2001-12-14t21:59:43.10-05:00",
        "a: b",
        "a:",
        ":a",
        "a #b",
        "#a",
        "- a",
        "-",
        "--- a",
        "---",
        "...",
        "? a",
        "?",
        "!a",
        "&a",
        "*a",
        "*",
        "@a",
        "`a",
        "|",
        ">",
        "%a",
        "{a}",
        "[a]",
        "a,b",
        ", a",
        "'a'",
        "\"a\"",
        "a\\b",
        "a\nb",
        "a\tb",
        "\ta",
        "a ",
        " a",
        "a\r",
        "\u{85}",
        "\u{2028}a",
        "\u{feff}a",
        "é",
        "\u{202e}a",
        "\0",
        "\u{7f}",
        "203.0.113.7",
        "203.0.113.0/24",
        "2001:db8::/32",
        "::/0",
        "fd00::/8",
        "::1",
        "shop.netpol:4, shop.netpol:7",
        "zenquotes.io",
        "./zenquotes.io",
        "~/*",
        "*/*",
        "app.kubernetes.io/name",
        "/api/{*}",
        "\u{1F600}",
        "Infinity",
        "a, b",
        "a:b",
        "a ,b",
    ];

    fn document(text: &str) -> String {
        let mut yaml = Writer::new();
        yaml.comment(text);
        yaml.key("block").str(text).note(text);
        yaml.key("text").text(text);
        yaml.key("lines").map(|yaml| {
            yaml.key("text").text(&format!("{text}\n{text}"));
        });
        yaml.any_key(&format!("{text}k")).str("key");
        yaml.key("flow").flow_list(|yaml| {
            yaml.item().str(text);
            yaml.item().flow_map(|yaml| {
                yaml.any_key(text).str(text).comment(text).note(text);
            });
        });
        yaml.key("list").list(|yaml| {
            yaml.comment(text);
            yaml.item().str(text);
            yaml.item().map(|yaml| {
                yaml.comment(text);
                yaml.key("inner").quoted(text);
            });
            yaml.item().list(|yaml| {
                yaml.item().int(4_294_967_295);
                yaml.item().bool(false);
            });
        });
        yaml.key("none").map(|yaml| {
            yaml.comment(text);
        });
        yaml.finish()
    }

    fn expected(text: &str) -> serde_json::Value {
        serde_json::json!({
            "block": text,
            "text": text,
            "lines": {"text": format!("{text}\n{text}")},
            (format!("{text}k")): "key",
            "flow": [text, {(text): text}],
            "list": [text, {"inner": text}, [4_294_967_295u32, false]],
            "none": {},
        })
    }

    /// Both readers return the written text. The first reads scalars as YAML 1.2, the second as YAML 1.1.
    fn reads_back(text: &str) {
        let yaml = document(text);
        let one: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
        assert_eq!(one, expected(text), "serde-saphyr reads\n{yaml}");
        let two: serde_json::Value = serde_yaml::from_str(&yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
        assert_eq!(two, expected(text), "serde_yaml reads\n{yaml}");
    }

    #[test]
    fn nasty_strings_read_back() {
        for text in NASTY {
            reads_back(text);
        }
    }

    proptest! {
        #[test]
        fn any_string_reads_back(text in any::<String>()) {
            reads_back(&text);
        }

        #[test]
        fn any_string_of_yaml_characters_reads_back(text in "[-+:#.,_~=<>/*&!|{}\\[\\]'\"\\\\ ayn0-9\\n\\t\u{85}]{0,12}") {
            reads_back(&text);
        }
    }

    /// Texts that the readers here accept and a reader of YAML 1.1 does not.
    #[test]
    fn words_and_numbers_of_yaml_1_1_are_quoted() {
        for text in NASTY.iter().take(53) {
            let mut yaml = Writer::new();
            yaml.key("a").str(text);
            assert!(yaml.finish().starts_with("a: \""), "{text:?}");
        }
        for text in ["web", "zenquotes.io", "203.0.113.0/24", "2001:db8::/32", "a.netpol:4, b.netpol:7", "app-web"] {
            let mut yaml = Writer::new();
            yaml.key("a").str(text);
            assert_eq!(yaml.finish(), format!("a: {text}\n"));
        }
    }

    #[test]
    fn empty_containers_are_never_null() {
        let mut yaml = Writer::new();
        yaml.key("map").map(|_| ());
        yaml.key("list").list(|_| ());
        yaml.key("items").list(|yaml| {
            yaml.item().map(|_| ());
            yaml.item().flow_map(|_| ());
            yaml.item().flow_list(|_| ());
        });
        assert_eq!(yaml.finish(), "map: {}\nlist: []\nitems:\n  - {}\n  - {}\n  - []\n");
    }

    #[test]
    fn layout_is_that_of_a_careful_person() {
        let mut yaml = Writer::new();
        yaml.comment("What it is for,\nin two lines.");
        yaml.field("kind", "NetworkPolicy");
        yaml.key("spec").map(|yaml| {
            yaml.key("egress").list(|yaml| {
                yaml.comment("shop.netpol:4");
                yaml.item().map(|yaml| {
                    yaml.key("to").list(|yaml| {
                        yaml.item().map(|yaml| {
                            yaml.key("ipBlock").flow_map(|yaml| {
                                yaml.field("cidr", "203.0.113.0/24");
                            });
                        });
                    });
                    yaml.key("ports").list(|yaml| {
                        yaml.item().flow_map(|yaml| {
                            yaml.key("port").int(443);
                            yaml.key("protocol").word("TCP");
                        });
                    });
                });
            });
        });
        assert_eq!(
            yaml.finish(),
            "# What it is for,\n# in two lines.\nkind: NetworkPolicy\nspec:\n  egress:\n    # shop.netpol:4\n    \
             - to:\n        - ipBlock: { cidr: 203.0.113.0/24 }\n      ports:\n        - { port: 443, protocol: TCP }\n"
        );
    }
}

//! Random sources: text that parses without an error, of every kind of statement, with comments in every place where
//! space may stand.
//!
//! The text is a function of a string of bytes, each of which decides one choice; where they end, the first and
//! simplest alternative is taken. A shorter or smaller string gives a simpler source, so that proptest shrinks a
//! failure to a small one. What is said need not make sense: names may be unknown and kinds may not fit.

mod declarations;
mod rules;

/// Returns the source that a string of choices stands for.
pub fn source(choices: &[u8]) -> String {
    let mut writer = Writer { choices: choices.iter(), out: String::new() };
    writer.file();
    writer.out
}

/// Names that no module, no keyword and no other list here has.
const NAMES: &[&str] = &["a", "offices", "db", "ingress-gateway", "allow-x", "host1"];
/// Namespaces and workloads; keywords are ordinary words beside a `/`.
const WORDS: &[&str] = &["garden", "web", "default", "egress", "x1", "\"web\"", "at"];
const KEYS: &[&str] = &["app", "in", "app.kubernetes.io/name", "\"example.com/tier\"", "Env_2", "where"];
const VALUES: &[&str] = &["web", "\"\"", "a.b_c", "7", "prod", "deny"];
const STRINGS: &[&str] =
    &["\"x\"", "\"\"", r#""a \" \\ \n \t # { ->""#, r#""\u{e9} \u{41} \u{200B}""#, "\"\ttab é\"", "\"a long text\""];
const COMMENTS: &[&str] =
    &["# plain", "## documents", "#", "# \"quoted\" { # } ->  ", "#é\t", "##", "## two\n  ## lines"];

struct Writer<'c> {
    choices: std::slice::Iter<'c, u8>,
    out: String,
}

impl Writer<'_> {
    fn choose(&mut self, alternatives: usize) -> usize {
        self.choices.next().map_or(0, |&byte| usize::from(byte) % alternatives)
    }

    fn pick(&mut self, list: &[&'static str]) -> &'static str {
        list[self.choose(list.len())]
    }

    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Writes one of a list.
    fn one(&mut self, list: &[&'static str]) {
        let text = self.pick(list);
        self.text(text);
    }

    /// Writes the space that two words need.
    fn space(&mut self) {
        match self.choose(24) {
            20 => self.text("  \t"),
            21 => self.text("\r\n\n \n"),
            22 => self.text("\n"),
            23 => {
                let comment = self.pick(COMMENTS);
                let feed = self.pick(&["\n", "\n\n", "\r\n  "]);
                let before = self.pick(&[" ", "", "\n", "\n\n\n"]);
                self.text(&format!("{before}{comment}{feed}"));
                self.space();
            }
            _ => self.text(" "),
        }
    }

    /// Writes the space that may stand between two tokens, or nothing.
    fn free(&mut self) {
        if self.choose(4) == 3 {
            self.space();
        }
    }

    fn word(&mut self, text: &str) {
        self.text(text);
        self.space();
    }

    fn file(&mut self) {
        if self.choose(16) == 15 {
            self.text("\u{feff}");
        }
        self.free();
        for _ in 0..self.choose(7) {
            self.statement();
            self.space();
        }
        if self.choose(8) == 7 {
            self.text("# the end");
        }
    }

    fn statement(&mut self) {
        match self.choose(17) {
            0..=2 => self.annotated(Self::rule),
            3 => self.annotated(Self::default_deny),
            4 => self.binding(),
            5 => self.host(),
            6 => self.import(),
            7 => self.namespace(),
            8 => self.service(),
            9 => self.issuer(),
            10 => self.gateway(),
            11 => self.template(),
            12 => self.annotated(Self::apply),
            13 => self.assertion(),
            14 => self.test(),
            15 => self.workload(),
            _ => {
                self.word("scope");
                self.endpoint(2, false);
            }
        }
    }

    fn annotated(&mut self, statement: fn(&mut Self)) {
        for (at, name) in ["owner", "reason", "approximate", "expires"].into_iter().enumerate() {
            if self.choose(10) == 9 {
                self.text("@");
                self.text(name);
                self.text("(");
                match at {
                    3 => self.one(&["2027-01-31", "2028-02-29"]),
                    _ => self.one(STRINGS),
                }
                self.text(")");
                self.space();
            }
        }
        if self.choose(10) == 9 {
            self.text("@allow(W0521,");
            self.free();
            self.one(STRINGS);
            self.text(")");
            self.space();
        }
        statement(self);
    }

    fn values(&mut self, list: &[&'static str]) {
        self.one(list);
        for _ in 0..self.choose(3) {
            self.free();
            self.text(",");
            self.free();
            self.one(list);
        }
    }

    /// Writes a list of one to four members.
    fn braces(&mut self, open: &str, close: &str, mut member: impl FnMut(&mut Self)) {
        self.text(open);
        self.free();
        let count = if self.choose(12) == 11 { 9 } else { 1 + self.choose(4) };
        for at in 0..count {
            member(self);
            self.free();
            if at + 1 < count || self.choose(3) == 2 {
                self.text(",");
                self.free();
            }
        }
        self.text(close);
    }
}

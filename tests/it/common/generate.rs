//! Random sources: text that parses without an error, of every kind of statement, with comments in every place where
//! space may stand.
//!
//! The text is a function of a string of bytes, each of which decides one choice; where they end, the first and
//! simplest alternative is taken. A shorter or smaller string gives a simpler source, so that proptest shrinks a
//! failure to a small one. What is said need not make sense: names may be unknown and kinds may not fit.

use std::fmt::Write;

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
const HOSTS: &[&str] = &["zenquotes.io", "*.example.com", "host intranet", "Host.Example.COM", "in.example.com"];
const ADDRESSES: &[&str] = &[
    "203.0.113.0/24",
    "203.0.113.7",
    "[2001:db8::1]",
    "2001:DB8:0:0::/32",
    "0.0.0.0/0",
    "::/0",
    "[::ffff:203.0.113.7]",
];
const PORTS: &[&str] = &["443", "8080/http", "8000-8999", "metrics", "*", "*/udp", "53/udp", "*/icmp", "8443/https"];
const NUMBERS: &[&str] = &["80", "53/udp", "9090/tcp", "65535"];
const COMMENTS: &[&str] =
    &["# plain", "## documents", "#", "# \"quoted\" { # } ->  ", "#é\t", "##", "## two\n  ## lines"];
const CLAUSES: usize = 5;

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
        statement(self);
    }

    fn rule(&mut self) {
        let effect = self.pick(&["allow", "deny"]);
        self.word(effect);
        let direction = self.pick(&["egress", "ingress", ""]);
        if !direction.is_empty() {
            self.word(direction);
        }
        self.endpoint(3, false);
        self.space();
        let arrow = if direction.is_empty() { self.pick(&["->", "<->"]) } else { "->" };
        self.text(arrow);
        self.free();
        self.endpoint(3, true);
        self.clauses(direction == "ingress", effect == "allow");
    }

    fn default_deny(&mut self) {
        self.word("default");
        self.word("deny");
        let direction = self.pick(&["", "egress", "ingress"]);
        if !direction.is_empty() {
            self.word(direction);
        }
        self.endpoint(2, false);
    }

    fn clauses(&mut self, ingress: bool, allow: bool) {
        let first = self.choose(3 * CLAUSES);
        for at in first..CLAUSES.min(first + 2) {
            self.space();
            match at {
                0 => {
                    self.word("where");
                    self.word("method");
                    self.values(&["GET", "POST", "DELETE"]);
                }
                1 => {
                    self.word("where");
                    self.word("path");
                    self.values(&["\"/api/**\"", "\"/\"", "\"/a/very/long/path/of/an/interface/*/and/so/on\""]);
                }
                2 => {
                    self.word("where");
                    self.word("host");
                    self.values(&["\"example.com\"", "\"*.example.com\""]);
                }
                3 if allow => self.jwt(),
                4 if ingress => {
                    self.word("via");
                    self.one(NAMES);
                    self.space();
                    self.word("at");
                    self.text("\"garden.example.com\"");
                }
                _ => {
                    self.word("where");
                    self.word("method");
                    self.text("PUT");
                    return;
                }
            }
        }
    }

    fn jwt(&mut self) {
        self.word("where");
        self.word("jwt");
        self.one(NAMES);
        if self.choose(2) == 1 {
            self.space();
            self.word("subject");
            self.values(STRINGS);
        }
        for _ in 0..self.choose(3) {
            self.space();
            self.word("claim");
            self.one(&["groups", "\"https://example.com/roles\"", "in"]);
            self.space();
            self.text("=");
            self.free();
            self.values(STRINGS);
        }
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

    /// Writes an endpoint that nests at most `depth` deep.
    fn endpoint(&mut self, depth: usize, ports: bool) {
        match self.choose(if depth == 0 { 8 } else { 12 }) {
            0..=3 => self.pods(),
            4 => self.one(HOSTS),
            // Only an address in brackets or an IPv4 one takes ports.
            5 | 6 => {
                let address = self.pick(ADDRESSES);
                self.text(address);
                if address.matches(':').count() > 1 && !address.starts_with('[') {
                    return;
                }
            }
            7 => self.one(NAMES),
            8..=10 => self.union(depth - 1),
            _ => return self.except(depth - 1),
        }
        if ports && self.choose(2) == 1 {
            self.ports();
        }
    }

    fn union(&mut self, depth: usize) {
        self.braces("{", "}", |writer| writer.endpoint(depth, false));
    }

    fn except(&mut self, depth: usize) {
        let side = |writer: &mut Self| match writer.choose(3) {
            0 => writer.pods(),
            1 => writer.one(ADDRESSES),
            _ => writer.union(depth),
        };
        side(self);
        for _ in 0..=self.choose(3) {
            self.space();
            self.word("except");
            side(self);
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

    fn pods(&mut self) {
        match self.choose(5) {
            0..=2 => self.one(WORDS),
            3 => self.text("*"),
            _ => self.labels(true),
        }
        self.text("/");
        match self.choose(6) {
            0 => self.text("*"),
            1 | 2 => self.one(WORDS),
            3 | 4 => self.labels(false),
            _ => {
                self.text("@");
                self.one(&["curl", "default"]);
            }
        }
    }

    /// Writes labels; bare keys alone are refused before a `/`.
    fn labels(&mut self, namespace: bool) {
        self.braces("{", "}", |writer| match writer.choose(if namespace { 4 } else { 6 }) {
            0 | 1 => {
                writer.one(KEYS);
                writer.free();
                writer.one(&["=", "!="]);
                writer.free();
                writer.one(VALUES);
            }
            2 | 3 => {
                writer.one(KEYS);
                writer.space();
                writer.one(&["in", "notin"]);
                writer.free();
                writer.braces("(", ")", |writer| writer.one(VALUES));
            }
            4 => writer.one(KEYS),
            _ => {
                writer.text("!");
                writer.one(KEYS);
            }
        });
    }

    fn ports(&mut self) {
        self.text(":");
        match self.choose(3) {
            0 | 1 => self.one(PORTS),
            _ => self.braces("{", "}", |writer| writer.one(PORTS)),
        }
    }

    fn binding(&mut self) {
        self.word("let");
        let name = self.pick(NAMES);
        self.word(name);
        self.text("=");
        self.free();
        self.endpoint(3, true);
    }

    fn host(&mut self) {
        self.word("let");
        let name = self.pick(NAMES);
        self.word(name);
        self.word("=");
        self.word("host");
        self.one(&["external-db.internal", "intranet"]);
        self.space();
        self.word("at");
        let address = |writer: &mut Self| {
            writer.one(&["203.0.113.50", "192.168.1.0/24", "[2001:db8::5]", "2001:db8::/64"]);
            if writer.choose(3) == 2 {
                writer.space();
                writer.word("weight");
                writer.one(&["33", "1", "100"]);
            }
        };
        match self.choose(2) {
            0 => address(self),
            _ => self.braces("{", "}", address),
        }
    }

    fn import(&mut self) {
        self.word("use");
        self.one(&["std/kyma", "\"./offices.netpol\""]);
        if self.choose(2) == 1 {
            self.space();
            self.braces("(", ")", |writer| {
                writer.one(NAMES);
                if writer.choose(2) == 1 {
                    writer.space();
                    writer.word("as");
                    writer.one(NAMES);
                }
            });
        }
    }

    fn namespace(&mut self) {
        // A keyword is a name only on the line of the word that it follows.
        self.text("namespace ");
        self.one(&["garden", "default", "\"shop\""]);
        self.space();
        self.text("{");
        self.free();
        if self.choose(4) < 3 {
            self.word("labels");
            self.braces("{", "}", |writer| {
                writer.one(KEYS);
                writer.free();
                writer.text("=");
                writer.free();
                writer.one(VALUES);
            });
            self.free();
        }
        self.text("}");
    }

    fn service(&mut self) {
        self.word("service");
        self.one(WORDS);
        self.text("/");
        self.one(WORDS);
        self.space();
        self.text("{");
        self.free();
        let select = self.choose(4);
        for at in 0..3 {
            if at == select {
                self.word("select");
                self.braces("{", "}", |writer| {
                    writer.one(KEYS);
                    writer.text("=");
                    writer.one(VALUES);
                });
                self.free();
            }
            self.mapping();
            self.space();
        }
        self.text("}");
    }

    fn mapping(&mut self) {
        self.word("port");
        self.one(NUMBERS);
        if self.choose(3) > 0 {
            self.space();
            self.text("->");
            self.free();
            self.one(&["8080/http", "metrics", "8443/tls", "9090"]);
        }
    }

    fn workload(&mut self) {
        self.word("workload");
        self.one(WORDS);
        self.text("/");
        self.one(WORDS);
        self.space();
        self.text("{");
        self.free();
        let first = self.choose(5);
        for at in 0..self.choose(6) {
            match (first + at) % 5 {
                0 => {
                    self.word("labels");
                    self.braces("{", "}", |writer| {
                        writer.one(KEYS);
                        writer.free();
                        writer.text("=");
                        writer.free();
                        writer.one(VALUES);
                    });
                }
                1 => {
                    // A keyword is a name only on the line of the word that it follows.
                    self.text("account ");
                    self.one(&["curl", "\"curl.v2\"", "default"]);
                }
                2 => {
                    self.text("port ");
                    self.one(&["web", "port", "allow"]);
                    self.space();
                    self.one(&["9090", "53/udp", "80/tcp"]);
                }
                3 => {
                    self.word("sidecar");
                    self.one(&["yes", "no"]);
                }
                _ => {
                    self.word("host-network");
                    self.one(&["yes", "no"]);
                }
            }
            self.space();
        }
        self.text("}");
    }

    fn issuer(&mut self) {
        self.word("issuer");
        let name = self.pick(NAMES);
        self.word(name);
        self.text("{");
        self.free();
        self.word("url");
        self.text("\"https://login.example.com\"");
        self.space();
        if self.choose(3) == 2 {
            self.word("keys");
            self.text(r#""{\"keys\":[]}""#);
        } else {
            self.word("jwks");
            self.text("\"https://login.example.com/a/rather/long/path/to/the/keys/of/the/issuer.json\"");
            if self.choose(2) == 1 {
                self.space();
                self.word("at");
                self.one(&["203.0.113.0/24", "{ 203.0.113.0/24, 198.51.100.7 }"]);
            }
        }
        self.free();
        self.text("}");
    }

    fn gateway(&mut self) {
        self.word("gateway");
        let name = self.pick(NAMES);
        self.word(name);
        self.text("{");
        self.free();
        let order = self.choose(5);
        for at in 0..5 {
            match (at + order) % 5 {
                0 => self.word("pods edge/{app=envoy}"),
                1 => self.word("account edge/@envoy"),
                2 => self.word("service edge/envoy"),
                3 => {
                    self.mapping();
                    self.space();
                }
                _ => self.word("proxies 2"),
            }
        }
        self.text("}");
    }

    fn template(&mut self) {
        self.word("template");
        self.one(NAMES);
        self.text("(");
        for (at, kind) in ["Namespace", "Workloads", "Host", "Addresses", "Endpoint", "Port", "String"]
            .into_iter()
            .enumerate()
            .take(self.choose(8))
        {
            if at > 0 {
                self.text(",");
            }
            self.free();
            let _ = write!(self.out, "p{at}: {kind}");
        }
        self.text(")");
        self.space();
        self.text("{");
        self.free();
        for _ in 0..self.choose(5) {
            match self.choose(4) {
                0 => self.annotated(Self::rule),
                1 => self.annotated(Self::default_deny),
                2 => self.annotated(Self::apply),
                _ => self.assertion(),
            }
            self.space();
        }
        self.text("}");
    }

    fn apply(&mut self) {
        self.word("apply");
        self.one(NAMES);
        match self.choose(4) {
            0 => self.text("()"),
            _ => self.braces("(", ")", |writer| match writer.choose(4) {
                0 => writer.one(&["team-a", "payments-api.com", "8080", "53/udp", "8000-8999", "*/udp"]),
                1 => writer.one(STRINGS),
                _ => writer.endpoint(1, true),
            }),
        }
    }

    fn assertion(&mut self) {
        self.word("assert");
        let kind = self.pick(&["never", "always"]);
        self.word(kind);
        self.endpoint(2, false);
        self.space();
        self.text("->");
        self.free();
        self.endpoint(2, true);
    }

    fn test(&mut self) {
        self.word("test");
        self.one(STRINGS);
        self.space();
        self.text("{");
        self.free();
        for _ in 0..self.choose(4) {
            let kind = self.pick(&["allow", "deny"]);
            self.word(kind);
            self.endpoint(2, false);
            self.space();
            self.text("->");
            self.free();
            self.endpoint(2, true);
            self.clauses(false, false);
            self.space();
        }
        self.text("}");
    }
}

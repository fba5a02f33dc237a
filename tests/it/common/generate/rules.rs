//! Rules, assertions, tests and the endpoints that they name.

use super::{KEYS, NAMES, STRINGS, VALUES, WORDS, Writer};

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
const CLAUSES: usize = 6;

impl Writer<'_> {
    pub(super) fn rule(&mut self) {
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

    pub(super) fn default_deny(&mut self) {
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
                    if self.choose(2) == 1 {
                        self.space();
                        self.word("except");
                        self.values(&["\"/api/internal/**\"", "\"/debug\""]);
                    }
                }
                2 => {
                    self.word("where");
                    self.word("host");
                    self.values(&["\"example.com\"", "\"*.example.com\""]);
                }
                3 => {
                    self.word("where");
                    // A keyword is a name only on the line of the word that it follows.
                    self.text("header ");
                    self.one(&["x-team", "X_1", "\"x-request-id\"", "default"]);
                    self.space();
                    self.values(STRINGS);
                }
                4 if allow => self.jwt(),
                5 if ingress => {
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
            self.one(&["groups", "\"https://example.com/roles\"", "in", "realm_access.roles"]);
            self.space();
            self.text("=");
            self.free();
            self.values(STRINGS);
        }
    }

    /// Writes an endpoint that nests at most `depth` deep.
    pub(super) fn endpoint(&mut self, depth: usize, ports: bool) {
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

    fn pods(&mut self) {
        match self.choose(6) {
            0..=2 => self.one(WORDS),
            3 => self.text("*"),
            4 => self.labels(true),
            _ => self.text("."),
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

    pub(super) fn apply(&mut self) {
        self.word("apply");
        self.one(NAMES);
        match self.choose(4) {
            0 => self.text("()"),
            _ => self.braces("(", ")", |writer| match writer.choose(5) {
                4 => {
                    writer.word("each");
                    writer.labels(true);
                }
                0 => writer.one(&["team-a", "payments-api.com", "8080", "53/udp", "8000-8999", "*/udp"]),
                1 => writer.one(STRINGS),
                _ => writer.endpoint(1, true),
            }),
        }
    }

    pub(super) fn assertion(&mut self) {
        self.word("assert");
        let kind = self.pick(&["never", "always"]);
        self.word(kind);
        self.endpoint(2, false);
        self.space();
        self.text("->");
        self.free();
        self.endpoint(2, true);
    }

    pub(super) fn test(&mut self) {
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

//! Declarations: names, facts, gateways, issuers, templates.

use std::fmt::Write;

use super::{KEYS, NAMES, VALUES, WORDS, Writer};

const NUMBERS: &[&str] = &["80", "53/udp", "9090/tcp", "65535"];

impl Writer<'_> {
    pub(super) fn binding(&mut self) {
        self.word("let");
        let name = self.pick(NAMES);
        self.word(name);
        self.text("=");
        self.free();
        self.endpoint(3, true);
    }

    pub(super) fn host(&mut self) {
        self.word("let");
        let name = self.pick(NAMES);
        self.word(name);
        self.word("=");
        self.word("host");
        self.one(&["external-db.internal", "intranet"]);
        self.space();
        if self.choose(3) == 2 {
            return self.originations();
        }
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
        if self.choose(3) == 2 {
            self.space();
            self.originations();
        }
    }

    fn originations(&mut self) {
        self.text("{");
        self.free();
        for _ in 0..=self.choose(2) {
            self.word("port");
            self.one(&["80", "80/http", "8080/grpc", "1/http"]);
            self.space();
            self.text("->");
            self.free();
            self.one(&["443", "443/tls", "8443/https"]);
            self.space();
        }
        self.text("}");
    }

    pub(super) fn import(&mut self) {
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

    pub(super) fn namespace(&mut self) {
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

    pub(super) fn service(&mut self) {
        self.word("service");
        self.namespace_of_head();
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

    fn namespace_of_head(&mut self) {
        match self.choose(5) {
            4 => self.text("."),
            _ => self.one(WORDS),
        }
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

    pub(super) fn workload(&mut self) {
        self.word("workload");
        self.namespace_of_head();
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

    pub(super) fn issuer(&mut self) {
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
        if self.choose(3) == 2 {
            self.space();
            self.word("audiences");
            self.values(&["\"shop\"", "\"https://api.example.com\""]);
        }
        for _ in 0..self.choose(3) {
            self.space();
            self.word("from");
            self.one(&["header \"x-jwt\"", "header \"authorization\" prefix \"Token \"", "param \"token\""]);
        }
        self.free();
        self.text("}");
    }

    pub(super) fn gateway(&mut self) {
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
                _ => {
                    self.word("proxies 2");
                    if self.choose(2) == 1 {
                        self.word("from");
                        self.one(&["203.0.113.0/24", "{ 203.0.113.0/24, [2001:db8::1] }", "offices"]);
                        self.space();
                    }
                }
            }
        }
        self.text("}");
    }

    pub(super) fn template(&mut self) {
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
}

//! Keywords: the words of the language, and the statements that begin with one.

/// A word that begins a statement, or a field of a declaration's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// `use`
    Use,
    /// `let`
    Let,
    /// `namespace`
    Namespace,
    /// `service`
    Service,
    /// `workload`
    Workload,
    /// `issuer`
    Issuer,
    /// `gateway`
    Gateway,
    /// `template`
    Template,
    /// `apply`
    Apply,
    /// `scope`
    Scope,
    /// `assert`
    Assert,
    /// `test`
    Test,
    /// `allow`
    Allow,
    /// `deny`
    Deny,
    /// `default`
    Default,
    /// `labels`
    Labels,
    /// `select`
    Select,
    /// `port`
    Port,
    /// `url`
    Url,
    /// `jwks`
    Jwks,
    /// `keys`
    Keys,
    /// `audiences`
    Audiences,
    /// `from`
    From,
    /// `pods`
    Pods,
    /// `account`
    Account,
    /// `proxies`
    Proxies,
    /// `sidecar`
    Sidecar,
    /// `host-network`
    HostNetwork,
}

impl Keyword {
    /// The words that begin statements.
    pub const STATEMENTS: [Keyword; 15] = [
        Keyword::Allow,
        Keyword::Deny,
        Keyword::Default,
        Keyword::Let,
        Keyword::Use,
        Keyword::Namespace,
        Keyword::Service,
        Keyword::Workload,
        Keyword::Issuer,
        Keyword::Gateway,
        Keyword::Template,
        Keyword::Apply,
        Keyword::Scope,
        Keyword::Assert,
        Keyword::Test,
    ];

    /// Returns the word.
    pub fn word(self) -> &'static str {
        match self {
            Keyword::Use => "use",
            Keyword::Let => "let",
            Keyword::Namespace => "namespace",
            Keyword::Service => "service",
            Keyword::Workload => "workload",
            Keyword::Issuer => "issuer",
            Keyword::Gateway => "gateway",
            Keyword::Template => "template",
            Keyword::Apply => "apply",
            Keyword::Scope => "scope",
            Keyword::Assert => "assert",
            Keyword::Test => "test",
            Keyword::Allow => "allow",
            Keyword::Deny => "deny",
            Keyword::Default => "default",
            Keyword::Labels => "labels",
            Keyword::Select => "select",
            Keyword::Port => "port",
            Keyword::Url => "url",
            Keyword::Jwks => "jwks",
            Keyword::Keys => "keys",
            Keyword::Audiences => "audiences",
            Keyword::From => "from",
            Keyword::Pods => "pods",
            Keyword::Account => "account",
            Keyword::Proxies => "proxies",
            Keyword::Sidecar => "sidecar",
            Keyword::HostNetwork => "host-network",
        }
    }

    /// Returns the statement that a word begins.
    pub fn of_statement(word: &[u8]) -> Option<Keyword> {
        Some(match word {
            b"allow" => Keyword::Allow,
            b"deny" => Keyword::Deny,
            b"default" => Keyword::Default,
            b"let" => Keyword::Let,
            b"use" => Keyword::Use,
            b"namespace" => Keyword::Namespace,
            b"service" => Keyword::Service,
            b"workload" => Keyword::Workload,
            b"issuer" => Keyword::Issuer,
            b"gateway" => Keyword::Gateway,
            b"template" => Keyword::Template,
            b"apply" => Keyword::Apply,
            b"scope" => Keyword::Scope,
            b"assert" => Keyword::Assert,
            b"test" => Keyword::Test,
            _ => return None,
        })
    }

    /// Returns whether the statement of this keyword has a block in braces, which is read piece by piece.
    pub fn has_block(self) -> bool {
        !self.fields().is_empty() || self.holds_statements()
    }

    /// Returns whether the block contains statements: a template's rules, a test's lines.
    pub fn holds_statements(self) -> bool {
        matches!(self, Keyword::Template | Keyword::Test)
    }

    /// Returns the fields of the block of a declaration.
    pub fn fields(self) -> &'static [Keyword] {
        match self {
            Keyword::Namespace => &[Keyword::Labels],
            Keyword::Service => &[Keyword::Select, Keyword::Port],
            Keyword::Workload => {
                &[Keyword::Labels, Keyword::Account, Keyword::Port, Keyword::Sidecar, Keyword::HostNetwork]
            }
            Keyword::Issuer => &[Keyword::Url, Keyword::Jwks, Keyword::Keys, Keyword::Audiences, Keyword::From],
            Keyword::Gateway => &[Keyword::Pods, Keyword::Account, Keyword::Service, Keyword::Port, Keyword::Proxies],
            _ => &[],
        }
    }

    /// Returns the statements that may be in the block.
    pub fn statements(self) -> &'static [Keyword] {
        match self {
            Keyword::Template => &[Keyword::Allow, Keyword::Deny, Keyword::Default, Keyword::Apply, Keyword::Assert],
            Keyword::Test => &[Keyword::Allow, Keyword::Deny],
            _ => &[],
        }
    }
}

/// The words that cannot be names.
pub const RESERVED: [&str; 27] = [
    "allow",
    "deny",
    "default",
    "let",
    "use",
    "namespace",
    "service",
    "workload",
    "issuer",
    "gateway",
    "template",
    "apply",
    "scope",
    "assert",
    "test",
    "host",
    "at",
    "via",
    "where",
    "except",
    "in",
    "notin",
    "as",
    "egress",
    "ingress",
    "never",
    "always",
];

/// Returns whether a word cannot be a name because the language uses it.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

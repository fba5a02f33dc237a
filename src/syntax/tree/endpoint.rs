//! Endpoints as written, with their labels and ports.

use std::net::IpAddr;

use smol_str::SmolStr;

use super::Word;
use crate::model::ports::{AppProtocol, Protocol};
use crate::source::Span;

/// An endpoint as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// The whole of it, its ports included.
    pub span: Span,
    /// Its kind.
    pub kind: ExprKind,
    /// `:443`, `:{80, 443}`
    pub ports: Option<PortSpec>,
}

/// The kinds of endpoints as written.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `garden/web`, `{env=prod}/*`, `*/@curl`
    Pods(NamespacePattern, PodPattern),
    /// `zenquotes.io`, `*.example.com`, `host intranet`; lower case, without the wildcard's `*.` in the text.
    Host(HostPattern),
    /// An address or network. Bits beyond the prefix may be set: [`crate::types`] refuses them.
    Address(Address),
    /// A name: `offices`, `dns`.
    Name(SmolStr),
    /// `{ a, b }`
    Union(Vec<Expr>),
    /// `a except b`
    Except(Box<Expr>, Box<Expr>),
    /// A text that could not be parsed.
    Error,
}

/// A host as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// Whether `*.` stands before the name.
    pub wildcard: bool,
    /// The name, in lower case, without a final dot.
    pub name: SmolStr,
}

/// An address as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Address {
    /// The address before the `/`.
    pub ip: IpAddr,
    /// The prefix length; `None` if none was written.
    pub prefix: Option<u8>,
}

/// The words before the `/` of pods.
#[derive(Clone, Debug, PartialEq)]
pub enum NamespacePattern {
    /// `*`
    Any,
    /// `garden`
    Name(Word),
    /// `{env=prod}`
    Labels(Labels),
    /// `.`: the one namespace of the file's scope.
    Scope(Span),
}

/// The words after the `/` of pods.
#[derive(Clone, Debug, PartialEq)]
pub enum PodPattern {
    /// `*`
    Any,
    /// `web`
    Name(Word),
    /// `{app=web}`
    Labels(Labels),
    /// `@curl`
    Account(Word),
}

/// `{app=web, tier in (a, b), !canary}`
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// With the braces.
    pub span: Span,
    /// Joined by and.
    pub requirements: Vec<LabelRequirement>,
}

/// One requirement on labels.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelRequirement {
    /// The whole of it.
    pub span: Span,
    /// The key.
    pub key: Word,
    /// The test.
    pub test: LabelTest,
}

/// How a label is tested.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelTest {
    /// `k=v`
    Equals(Word),
    /// `k!=v`
    NotEquals(Word),
    /// `k in (a, b)`
    In(Vec<Word>),
    /// `k notin (a, b)`
    NotIn(Vec<Word>),
    /// `k`
    Exists,
    /// `!k`
    DoesNotExist,
}

/// A suffix of ports.
#[derive(Clone, Debug, PartialEq)]
pub struct PortSpec {
    /// From the `:` to the end.
    pub span: Span,
    /// The ports, never empty.
    pub ports: Vec<Port>,
    /// Whether they stand in braces.
    pub braced: bool,
}

/// One port as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// The whole of it.
    pub span: Span,
    /// The number, range, name or `*`.
    pub kind: PortKind,
    /// The word after the `/`.
    pub protocol: Option<PortProtocol>,
}

/// A port as written.
#[derive(Clone, Debug, PartialEq)]
pub enum PortKind {
    /// `443`
    Number(u16),
    /// `8000-8999`
    Range(u16, u16),
    /// `metrics`
    Name(SmolStr),
    /// `*`
    Any,
    /// A port that was refused.
    Error,
}

/// The words that may stand after a port's `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortProtocol {
    /// `tcp`, `udp`, `sctp`, `icmp`
    Transport(Protocol),
    /// `http`, `grpc`, `tls`, `https`
    App(AppProtocol),
}

//! The tree of a file, as written: nothing is looked up, nothing is resolved, every part has its span.
//!
//! A text that could not be parsed is an `Error` node, whose diagnostic has been pushed; later stages pass over the
//! node in silence, so that one mistake gives one message.

use ipnet::IpNet;
use smol_str::SmolStr;

use crate::model::ports::Protocol;
use crate::model::rules::ClaimKind;
use crate::source::{FileId, Span};

mod endpoint;

pub use crate::model::rules::Direction;
pub use endpoint::*;

/// A parsed file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The file.
    pub id: FileId,
    /// Its statements, in order.
    pub items: Vec<Item>,
}

/// A statement with the documentation and the annotations before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// From the first annotation, or else the keyword, to the last word.
    pub span: Span,
    /// The `##` lines before it, without their marks, joined by line feeds.
    pub doc: Option<SmolStr>,
    /// `@allow(…)`, and on rules, `default deny` and `apply` `@owner("…")` and its kind (the parser refuses others).
    pub annotations: Vec<Annotation>,
    /// The statement.
    pub kind: ItemKind,
}

/// The statements. The large ones are boxed: there are many of the small ones.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `use std/kyma`
    Use(Use),
    /// `let name = …`
    Let(Box<Let>),
    /// `namespace garden { … }`
    Namespace(NamespaceDecl),
    /// `service garden/api { … }`
    Service(Box<ServiceDecl>),
    /// `workload garden/web { … }`
    Workload(Box<WorkloadDecl>),
    /// `issuer corp { … }`
    Issuer(Box<IssuerDecl>),
    /// `gateway edge { … }`
    Gateway(Box<GatewayDecl>),
    /// `template tenant(…) { … }`
    Template(Template),
    /// `apply tenant(…)`
    Apply(Apply),
    /// `scope garden/* [at "*.garden.example", …]`
    Scope(Box<Scope>),
    /// `assert never … -> …`
    Assert(Box<Claim>),
    /// `test "…" { … }`
    Test(Test),
    /// `allow …` and `deny …`
    Rule(Box<Rule>),
    /// `default deny …`
    DefaultDeny(Box<DefaultDeny>),
    /// A statement that could not be parsed.
    Error,
}

/// A bare word that defines or names something of the language.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    /// The word.
    pub text: SmolStr,
    /// Its span.
    pub span: Span,
}

/// A word of Kubernetes, bare or as a string: a namespace, a workload, an account, a label's key or value.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The text, without quotes and escapes.
    pub text: SmolStr,
    /// Its span, with the quotes.
    pub span: Span,
    /// Whether it was written as a string. Parameters hide bare words only.
    pub quoted: bool,
}

impl Word {
    /// Returns whether it is the `.` of `./`, for the namespace of the file's scope.
    pub fn is_scope(&self) -> bool {
        !self.quoted && self.text == "."
    }
}

/// A string: a literal, or (in a template) a parameter of type `String`.
#[derive(Clone, Debug, PartialEq)]
pub enum Text {
    /// `"…"`
    Literal(Word),
    /// A bare word, to be looked up among the parameters.
    Parameter(Ident),
}

impl Text {
    /// Returns the span.
    pub fn span(&self) -> Span {
        match self {
            Text::Literal(word) => word.span,
            Text::Parameter(ident) => ident.span,
        }
    }
}

/// `@name(argument)`
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// From `@` to the closing parenthesis.
    pub span: Span,
    /// The annotation, with its argument.
    pub kind: AnnotationKind,
}

/// The annotations.
#[derive(Clone, Debug, PartialEq)]
pub enum AnnotationKind {
    /// `@owner("payments")`
    Owner(Text),
    /// `@reason("PAY-123")`
    Reason(Text),
    /// `@expires(2027-01-31)`: the last day on which the rule is in force.
    Expires(time::Date),
    /// `@approximate("why")`
    Approximate(Text),
    /// `@allow(W0521, "why")`: the code, and why its findings are accepted here.
    Allow(Ident, Text),
}

/// `use std/kyma`, `use "./offices.netpol" (a, b as c)`
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// The module's path.
    pub path: UsePath,
    /// The span of the path.
    pub path_span: Span,
    /// The names that are listed; `None` takes all.
    pub names: Option<Vec<UseName>>,
}

/// The module that a `use` names.
#[derive(Clone, Debug, PartialEq)]
pub enum UsePath {
    /// `std/kyma`, here `kyma`
    Std(SmolStr),
    /// `"./offices.netpol"`, relative to the file of the `use`
    File(SmolStr),
}

/// `nats`, `ingress-gateway as gw`
#[derive(Clone, Debug, PartialEq)]
pub struct UseName {
    /// The name in the module.
    pub name: Ident,
    /// The name here.
    pub alias: Option<Ident>,
}

/// `let name = value`
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    /// The name.
    pub name: Ident,
    /// Its value.
    pub value: LetValue,
}

/// The value that a `let` names.
#[derive(Clone, Debug, PartialEq)]
pub enum LetValue {
    /// An endpoint.
    Endpoint(Expr),
    /// `host external-db.internal at { 192.168.1.10 weight 33, … }`, `host api.example.com { port 80/http -> 443/tls }`
    Host(HostDecl),
}

/// A named external service, with fixed addresses or with ports at which the mesh opens TLS.
#[derive(Clone, Debug, PartialEq)]
pub struct HostDecl {
    /// From `host` to the last address or the end of the block.
    pub span: Span,
    /// The host's name, in lower case.
    pub name: SmolStr,
    /// The span of the name.
    pub name_span: Span,
    /// The addresses, in order.
    pub at: Vec<HostAddress>,
    /// The ports of its block, in order.
    pub ports: Vec<Origination>,
}

/// `port 80/http -> 443/tls` of a host: the pod dials the left port, and TLS leaves on the right one.
#[derive(Clone, Debug, PartialEq)]
pub struct Origination {
    /// From `port` to the right port.
    pub span: Span,
    /// The port that pods dial.
    pub dialled: Port,
    /// The port of the host.
    pub target: Port,
}

/// One address or network of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostAddress {
    /// Its span, with the weight.
    pub span: Span,
    /// The address; a single one has the full prefix length.
    pub net: IpNet,
    /// Whether it was written with a prefix.
    pub prefixed: bool,
    /// `weight N`
    pub weight: Option<u32>,
}

/// `namespace garden { labels { … } }`
#[derive(Clone, Debug, PartialEq)]
pub struct NamespaceDecl {
    /// Its name.
    pub name: Word,
    /// Its labels, keys and values.
    pub labels: Vec<(Word, Word)>,
}

/// `service garden/api { select {…}  port 80 -> 8080/http }`
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceDecl {
    /// Its namespace.
    pub namespace: Word,
    /// Its name.
    pub name: Word,
    /// `select { … }`: equalities only, as in Kubernetes.
    pub select: Option<Vec<(Word, Word)>>,
    /// Its ports.
    pub ports: Vec<PortMapping>,
}

/// `workload garden/web { labels { … }  account web  port http 8080 }`
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadDecl {
    /// Its namespace.
    pub namespace: Word,
    /// Its name.
    pub name: Word,
    /// The labels of its pods, keys and values; empty where they are not given.
    pub labels: Vec<(Word, Word)>,
    /// `account NAME`
    pub account: Option<Word>,
    /// `port NAME NUMBER`
    pub ports: Vec<NamedPort>,
    /// `sidecar yes` or `no`, with the span of the field.
    pub sidecar: Option<(Span, bool)>,
    /// `host-network yes` or `no`, with the span of the field.
    pub host_network: Option<(Span, bool)>,
}

/// `port web 9090`
#[derive(Clone, Debug, PartialEq)]
pub struct NamedPort {
    /// From `port` to the number.
    pub span: Span,
    /// Its name.
    pub name: Ident,
    /// The number, from 1.
    pub port: u16,
    /// `/udp`, `/sctp`, `/tcp`.
    pub protocol: Option<Protocol>,
}

/// `port 80 -> 8080/http`
#[derive(Clone, Debug, PartialEq)]
pub struct PortMapping {
    /// From `port` to the target.
    pub span: Span,
    /// The number to the left, from 1.
    pub port: u16,
    /// The protocol to the left of the arrow: `/udp`, `/sctp`, `/tcp`.
    pub protocol: Option<Protocol>,
    /// The target; `None` without a `->`, when both are equal.
    pub target: Option<Port>,
}

/// `issuer corp { url "…" jwks "…" at … }`
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerDecl {
    /// Its name.
    pub name: Ident,
    /// The `iss` of its tokens.
    pub url: Option<Word>,
    /// Its keys.
    pub keys: Option<IssuerKeys>,
    /// `audiences "a", "b"`
    pub audiences: Vec<Word>,
    /// `from …`: the places of a request where its tokens are.
    pub from: Vec<TokenPlace>,
    /// Whether something in it could not be read, so that a missing field may be there after all.
    pub broken: bool,
}

/// An issuer's keys: where to get them, or the keys themselves.
#[derive(Clone, Debug, PartialEq)]
pub enum IssuerKeys {
    /// `jwks "url"`, with the addresses of that URL if they are given.
    Remote {
        /// The URL.
        url: Word,
        /// `at …`
        at: Option<Expr>,
    },
    /// `keys "…inline JSON…"`
    Inline(Word),
}

/// A place of a request where a token may be.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenPlace {
    /// `from header "x-jwt" [prefix "Bearer "]`
    Header(Word, Option<Word>),
    /// `from param "token"`
    Param(Word),
}

/// `gateway edge { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayDecl {
    /// Its name.
    pub name: Ident,
    /// `pods …`
    pub pods: Option<Expr>,
    /// `account ns/@name`
    pub account: Option<Expr>,
    /// `service ns/name`: namespace and name.
    pub service: Option<(Word, Word)>,
    /// `port …`
    pub ports: Vec<PortMapping>,
    /// `proxies N`
    pub proxies: Option<(u32, Span)>,
    /// `from ADDRESSES` after it.
    pub proxies_from: Option<Expr>,
    /// Whether something in it could not be read, so that a missing field may be there after all.
    pub broken: bool,
}

/// `template tenant(ns: Namespace) { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Whether its head could not be read beyond the name. The mistake has been reported, so that an `apply` of it
    /// needs no second message.
    pub unread: bool,
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Rules, `default deny`, `apply` and `assert` (the parser refuses others).
    pub body: Vec<Item>,
}

/// `ns: Namespace`
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: Ident,
    /// Its type as written; [`crate::types`] knows which there are.
    pub kind: Ident,
}

/// `apply tenant(team-a, payments-api.com)`
#[derive(Clone, Debug, PartialEq)]
pub struct Apply {
    /// The template's name.
    pub template: Ident,
    /// The arguments, as written.
    pub arguments: Vec<Argument>,
}

/// An argument of an `apply`. The parameter's type decides the meaning of a bare word or `*/udp`: the parser reads an
/// endpoint wherever it can.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// An endpoint, a name or a namespace.
    Endpoint(Expr),
    /// A port that can be nothing else: `8080`, `8000-8999`, `53/udp`.
    Port(Port),
    /// A string.
    String(Word),
    /// `each {tenant=yes}`: the namespaces with these labels, one after the other.
    Each(Span, Labels),
}

impl Argument {
    /// Returns the span.
    pub fn span(&self) -> Span {
        match self {
            Argument::Endpoint(expr) => expr.span,
            Argument::Port(port) => port.span,
            Argument::String(word) => word.span,
            Argument::Each(span, _) => *span,
        }
    }
}

/// A test block: claims under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// Its name.
    pub name: Word,
    /// Its lines.
    pub claims: Vec<Claim>,
}

/// `assert never S -> D`, or a line of a test, where `deny` is `never` and `allow` is `always`.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// From the first word to the last.
    pub span: Span,
    /// The claim: always or never.
    pub kind: ClaimKind,
    /// The left side.
    pub source: Expr,
    /// The right side.
    pub destination: Expr,
    /// `where` and `via`.
    pub clauses: Vec<Clause>,
}

/// `allow egress S -> D …`
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// `allow` or `deny`.
    pub effect: Effect,
    /// `egress` or `ingress`, with its span.
    pub direction: Option<(Direction, Span)>,
    /// The left side.
    pub source: Expr,
    /// `->` or `<->`.
    pub arrow: Arrow,
    /// The span of the arrow.
    pub arrow_span: Span,
    /// The right side.
    pub destination: Expr,
    /// `where` and `via`, in order.
    pub clauses: Vec<Clause>,
}

/// `allow` or `deny`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// `allow`
    Allow,
    /// `deny`
    Deny,
}

/// `->` or `<->`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrow {
    /// From left to right.
    To,
    /// Both ways.
    Both,
}

/// `scope garden/* [at "*.garden.example", …]`
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// The pods that the file may govern.
    pub pods: Expr,
    /// The public hosts that its rules may name.
    pub hosts: Vec<Text>,
}

/// `default deny [egress|ingress] W`
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultDeny {
    /// The direction; `None` is both.
    pub direction: Option<(Direction, Span)>,
    /// The pods that it isolates.
    pub subject: Expr,
}

/// `where …` and `via …`
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// From the keyword to the last value.
    pub span: Span,
    /// The clause.
    pub kind: ClauseKind,
}

/// The clauses.
#[derive(Clone, Debug, PartialEq)]
pub enum ClauseKind {
    /// `where method GET, POST`
    Method(Vec<Ident>),
    /// `where path "/api/**" [except "/api/internal/**"]`
    Path {
        /// The paths.
        paths: Vec<Text>,
        /// Those that are taken away.
        except: Vec<Text>,
    },
    /// `where host "x"`
    Host(Vec<Text>),
    /// `where header NAME "value", …`
    Header {
        /// The header's name.
        name: Word,
        /// Its values, joined by or.
        values: Vec<Text>,
    },
    /// `where jwt ISSUER …`
    Jwt(JwtClause),
    /// `via GATEWAY [at "public.host", …]`
    Via {
        /// The gateway.
        gateway: Ident,
        /// The public hosts; none where `at` is left out.
        at: Vec<Text>,
    },
}

/// `where jwt ISSUER [subject …] [claim NAME = …]…`
#[derive(Clone, Debug, PartialEq)]
pub struct JwtClause {
    /// The issuer's name.
    pub issuer: Ident,
    /// The subjects, joined by or; empty is any.
    pub subjects: Vec<Text>,
    /// The claims, joined by and. The dots of a bare word lead into nested claims.
    pub claims: Vec<(Word, Vec<Text>)>,
}

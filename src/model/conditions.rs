//! Conditions of `where` on a request: its method, path, host and token.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::model::addresses::AddressSet;
use crate::model::hosts::HostName;
use crate::source::Span;

/// The conditions of `where`, joined by and; each list is joined by or, and an empty one is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// HTTP methods, upper case.
    pub methods: Vec<SmolStr>,
    /// Path patterns.
    pub paths: Vec<PathPattern>,
    /// Path patterns that are taken away from these.
    pub not_paths: Vec<PathPattern>,
    /// Hosts, by the HTTP Host header or the TLS SNI.
    pub hosts: Vec<HostName>,
    /// Headers, joined by and.
    pub headers: Vec<Header>,
    /// A token.
    pub jwt: Option<Arc<Jwt>>,
}

impl Conditions {
    /// Returns whether there is no condition.
    pub fn is_none(&self) -> bool {
        !self.asks_of_requests() && self.hosts.is_empty() && self.jwt.is_none()
    }

    /// Returns whether there is a condition that only HTTP requests can meet, other than on their host and token.
    pub fn asks_of_requests(&self) -> bool {
        !self.methods.is_empty() || !self.paths.is_empty() || !self.headers.is_empty()
    }
}

/// A condition on a header of a request: its value is one of these. Several lines of one name are one value, joined by
/// commas.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The name, in lower case.
    pub name: SmolStr,
    /// The values, joined by or.
    pub values: Vec<SmolStr>,
}

/// A path pattern: segments between slashes, where `*` is one whole non-empty segment, and perhaps everything below.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPattern {
    /// The pattern as written, `/api/**`.
    pub text: SmolStr,
    /// The segments after the first `/`, without a final `**`. `/` alone is one empty segment.
    pub segments: Vec<Segment>,
    /// Whether `/**` ends it: the path itself and everything below.
    pub below: bool,
}

/// A segment of a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// This text.
    Literal(SmolStr),
    /// `*`: any non-empty text without a slash.
    Any,
}

/// A condition on a token: its issuer, its subject and its claims.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Jwt {
    /// The issuer.
    pub issuer: Arc<Issuer>,
    /// Its `sub`, one of these; empty is any.
    pub subjects: Vec<SmolStr>,
    /// Claims by name, each with one of these values.
    pub claims: Vec<(ClaimName, Vec<SmolStr>)>,
}

/// The name of a claim: one part, or several that lead from claim to claim inside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimName(pub Vec<SmolStr>);

impl ClaimName {
    /// Makes the name of a claim that is not nested.
    pub fn plain(name: impl Into<SmolStr>) -> ClaimName {
        ClaimName(vec![name.into()])
    }

    /// Returns whether the mesh splits the values of the claim at spaces. Istio does so only for `scope` and
    /// `permission`.
    pub fn is_split(&self) -> bool {
        matches!(self.0.as_slice(), [one] if ClaimName::is_divided(one))
    }

    /// Returns whether the mesh divides the values of a claim that is not nested.
    pub fn is_divided(name: &str) -> bool {
        matches!(name, "scope" | "permission")
    }
}

/// An issuer of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer {
    /// Its name in the source.
    pub name: SmolStr,
    /// The `iss` of its tokens.
    pub url: SmolStr,
    /// Its keys.
    pub keys: Keys,
    /// The `aud` of its tokens, one of these; empty is any.
    pub audiences: Vec<SmolStr>,
    /// The places of a request where its tokens are; empty for `Authorization: Bearer` and the parameter
    /// `access_token`.
    pub from: Vec<TokenPlace>,
    /// The span of its declaration.
    pub span: Span,
}

/// An issuer's keys: where to get them, or the keys themselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Keys {
    /// A URL, at these addresses where they were given.
    Remote {
        /// The URL of the JWKS.
        url: SmolStr,
        /// `at`; empty where not given.
        at: AddressSet,
    },
    /// JWKS in JSON.
    Inline(SmolStr),
}

/// A place of a request where a token may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenPlace {
    /// A header, in lower case, and the text before the token in its value.
    Header(SmolStr, Option<SmolStr>),
    /// A parameter of the query.
    Param(SmolStr),
}

//! What a layer refuses although a rule allows it, so that it can be told of a flow whether it is refused.

/// Flows that a layer refuses although a rule allows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrower {
    /// Which flows.
    pub flows: Refuses,
    /// Which flows, in words.
    pub words: Box<str>,
    /// Whether a build says so, and not only `explain`: pods that are named are refused, or callers of all kinds.
    pub said: bool,
}

/// What the flows that a layer refuses have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refuses {
    /// They come from pods without an identity in the mesh.
    PodsWithoutIdentity,
    /// They come from anybody without an identity in the mesh.
    WithoutIdentity,
    /// They come from another trust domain, or lead to Services without pods, or carry a token that is not valid: nothing
    /// that a question asks for.
    NothingAskedFor,
    /// They come from pods through a gateway, where clients have no identity.
    PodsAtGateway,
    /// They go to a wildcard host on TLS from pods whose own ingress a rule isolates.
    WildcardOnTls,
    /// Their path has a segment with `[`, `]` or `*` in it.
    Segments,
    /// They name a wildcard host with another port than these.
    HostPorts(Vec<u16>),
    /// It hangs on what no question says.
    Untold,
}

//! Flows that a layer refuses although a rule allows them, in a form that answers for one flow whether it is among
//! them.

/// Flows that a layer refuses although a rule allows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrower {
    /// The flows.
    pub flows: Refuses,
    /// The flows in words.
    pub words: Box<str>,
    /// Whether a build reports them, and not only `explain`: named pods are refused, or callers of every kind.
    pub said: bool,
}

/// The mark of the flows that a layer refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refuses {
    /// They come from pods without an identity in the mesh.
    PodsWithoutIdentity,
    /// They come from a caller of any kind without an identity in the mesh.
    WithoutIdentity,
    /// They come from another trust domain, lead to Services without pods or to a pod's own address, or have an invalid
    /// token: no question of `eval` is about these.
    NothingAskedFor,
    /// They come from pods through a gateway, where clients have no identity.
    PodsAtGateway,
    /// They go to a wildcard host on TLS from pods whose own ingress a rule isolates.
    WildcardOnTls,
    /// Their path has a segment with `[`, `]` or `*` in it.
    Segments,
    /// They name a wildcard host with another port than these.
    HostPorts(Vec<u16>),
    /// They depend on facts that no question has.
    Unasked,
}

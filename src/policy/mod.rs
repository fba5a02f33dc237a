//! The normalised rules and what they mean.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443
//!     a rule: isolates the pods of garden on their way out, and lets them reach the host on TCP 443
//!     a grant: the same pods may ask the cluster's DNS
//! ```
//!
//! # What a policy means
//!
//! A policy is a set of rules; their order never matters. A rule looks at a *flow*: who sends, to whom, on which port
//! of the destination with which protocol, and, on ports whose requests can be read, with which method, path, host and
//! token. An end of a flow is a pod, an address that is no pod's, or a host outside, known by its name.
//!
//! **Ends.** Egress is judged at the source, if that is a pod; ingress at the destination, if that is a pod. A flow is
//! allowed when both judgements let it through. An end that is no pod judges nothing. A pod always reaches itself by
//! its own address; two pods of one workload are two, and so is a pod that a Service may lead back to.
//!
//! **Governing.** A rule governs the pods of its source (egress), of its destination (ingress), or both. It *matches* a
//! flow when the source is among its sources, the destination and its port are among its destinations, and every
//! condition is met; an unknown part of a request meets no condition. A request has two names that may differ: the TLS
//! name (SNI), which a port read as `tls` shows, and the HTTP host, which `http` and `grpc` show. Paths that a rule
//! refuses (of a deny, or after `except` in an allow) match in every spelling; paths that it lets through match only as
//! they are written. Several lines of one header are one value, joined by commas. A token is one of an issuer if its
//! `iss` is the issuer's, and its `aud` one of the issuer's audiences, if it has some; dots in the name of a claim lead
//! into nested claims.
//!
//! **Isolation.** An allow and a `default deny` isolate every pod that they govern, in that direction, on all ports of
//! all protocols, whatever ports or conditions they name. A deny isolates nothing.
//!
//! **The judgement** at one end: if a deny governs the pod and matches the flow, it is forbidden. Else, if nothing
//! isolates the pod in this direction, it is allowed. Else it is allowed when an allow governs the pod and matches, or
//! a grant opens it; and forbidden otherwise.
//!
//! **Pods** are known by labels, their namespace's labels and their service account. An address in a rule never selects
//! a pod, even if the pod has this address; pods on the host network are their node's addresses.
//!
//! **Hosts** are known by name. A host has its `at` addresses, else some addresses of the internet, and no others. So a
//! rule on addresses matches a flow to a host if it contains every address that the host may have; several allows, or
//! several denies, may do so together. A rule on a host with `at` matches flows to these addresses. A deny of some of
//! the addresses leaves the host reachable at the others. A deny of a host with `at` denies its addresses, so another
//! host that has only these addresses is denied too; an allow of a host allows its own name and its addresses, and no
//! other name.
//!
//! **`via`** on egress leads to the host through the gateway; the way from the pod to the gateway's pods and the
//! gateway's own way on are grants. On ingress the workload sees the gateway: the rule matches flows from the gateway's
//! pods. The client is judged at the gateway, for requests to the public host of the rule and for no other host.
//!
//! **Grants** are added by the compiler: the way to DNS, to istiod, a gateway's half of `via`, istiod's way to an
//! issuer's keys. A grant never isolates, and a deny beats it.
//!
//! [`eval()`] is this text as code.

pub mod ask;
mod concerning;
pub mod endpoints;
mod eval;
mod flow;
mod isolation;
mod known;
mod lifelines;
mod lower;
mod matching;
pub mod meaning;
mod mesh;
mod model;
mod nameless;
mod placed;
pub mod provenance;
mod through;
mod unknown;
mod used;

pub use eval::{Cause, End, Verdict, eval, governs_pod};
pub use flow::{Flow, Party, Pod, Request};
pub use isolation::Isolated;
pub use lower::lower;
pub use model::*;
pub use unknown::{Unknown, unknown};
pub use used::{isolates, met, openers};

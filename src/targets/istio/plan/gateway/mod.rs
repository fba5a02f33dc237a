//! Gateways: who may come in through one (`access`), whose clients it has to see (`clients`), who leaves through one
//! (`exits`), what passes as before (`others`), what is said
//! of their own pods (`pods`), and which rules have their clients judged behind one, too (`correlation`). `at_gateway` gathers what all rules say of each.
//!
//! ```netpol
//! gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/https }
//! allow ingress 203.0.113.0/24 -> garden/{app=web}:80/http via edge at "garden.example"
//! ```
//!
//! ```yaml
//! kind: AuthorizationPolicy
//! metadata:
//!   name: app-envoy-ingress
//!   namespace: edges
//! spec:
//!   rules:
//!     - from:
//!         - source:
//!             remoteIpBlocks: [203.0.113.0/24]
//!       to:
//!         - operation:
//!             hosts: [garden.example, "garden.example:*"]
//! kind: AuthorizationPolicy
//! metadata:
//!   name: app-web-ingress
//!   namespace: garden
//! spec:
//!   rules:
//!     - from:
//!         - source:
//!             principals: [cluster.local/ns/edges/sa/envoy]
//! ```
//!
//! The gateway knows the client, and the workload the gateway: so a rule through one is judged at both.

pub mod access;
pub mod at_gateway;
pub mod clients;
pub mod correlation;
pub mod exits;
mod others;
pub mod pods;

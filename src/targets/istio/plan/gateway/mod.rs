//! Gateways, in passes:
//!
//! - `access`: who may come in through one, and `clients`: whose address it has to see;
//! - `exits`: who leaves through one, and `refused`: who may not;
//! - `others`: what passes as before, since no rule names it;
//! - `pods`: what is said of the gateway's own pods;
//! - `correlation`: rules whose clients the workload behind the gateway has to judge, too;
//! - `at_gateway`: what all rules say of one gateway.
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
mod refused;

//! Gateways, in passes:
//!
//! - `access`: the clients that may come in through a gateway; `clients`: gateways that must see clients' addresses;
//! - `exits`: the pods that may leave through a gateway; `refused`: those that may not;
//! - `others`: connections that no rule names, which pass as before;
//! - `pods`: rules about the gateway's own pods;
//! - `correlation`: rules whose clients the workload behind the gateway must judge, too;
//! - `at_gateway`: the access of all rules at one gateway.
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
//! The gateway knows the client, and the workload knows the gateway. So a rule through a gateway is judged at both.

pub mod access;
pub mod at_gateway;
pub mod clients;
pub mod correlation;
pub mod exits;
mod others;
pub mod pods;
mod refused;

//! The values that every module shares: label selectors, sets of addresses, hosts, ports, the endpoints made from them,
//! and the rules and gateways that use endpoints.
//!
//! These are plain values with exact operations. They know nothing of files, trees or targets.

pub mod addresses;
pub mod conditions;
pub mod endpoint;
pub mod gateways;
pub mod hosts;
pub mod labels;
pub mod names;
pub mod networks;
pub mod non_empty;
pub mod paths;
pub mod port_list;
pub mod ports;
pub mod rules;

//! The words that every room shares: label selectors, sets of addresses, hosts, ports, and the endpoints made of them.
//!
//! These are plain values with exact operations. They know nothing of files, trees or targets.

pub mod addresses;
pub mod endpoint;
pub mod hosts;
pub mod labels;
pub mod names;
pub mod paths;
pub mod ports;
pub mod settings;

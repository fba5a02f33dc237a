//! netpol: policy as code for cluster networks.
//!
//! ```text
//! text ─syntax→ File ─resolve→ Names ─types→ Program ─policy→ Policy ─targets→ Resources
//!                                              ↑
//!                          manifests ─inventory→ Inventory
//! ```

pub mod cli;
pub mod compile;
pub mod diag;
pub mod inventory;
pub mod model;
mod parallel;
pub mod policy;
pub mod resolve;
pub mod settings;
pub mod source;
pub mod syntax;
pub mod targets;
pub mod types;

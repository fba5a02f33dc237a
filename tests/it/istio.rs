//! Istio: what comes out for what is written, and whether it means the same.

pub mod build;
mod cells;
mod limits;
mod prefixes;
mod traps;

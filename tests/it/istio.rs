//! Istio: what comes out for what is written, and whether it means the same.

mod build;
mod cells;
mod headline;
mod traps;

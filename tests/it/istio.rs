//! Istio: what comes out for what is written, and whether it means the same.

mod build;
mod headline;
mod traps;

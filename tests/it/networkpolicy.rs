//! NetworkPolicy: what comes out for what is written, and whether it means the same.

mod agree;
pub mod build;
mod cells;
pub mod engine;
mod limits;
mod roundtrip;
mod traps;

//! NetworkPolicy: what comes out for what is written, and whether it means the same.

mod agree;
pub mod build;
mod cases;
mod cells;
pub mod engine;
mod numbers;
mod roundtrip;
mod traps;

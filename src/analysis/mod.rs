//! Analysis: questions about a policy, answered for all flows that can exist.
//!
//! ```text
//! assert never shop/* -> payments/*      proven, or a flow that shows otherwise, with the lines that allow it
//! test "a purchase" { … }                the same, line by line
//! allow shop/{app=web} -> payments/*     a lint: the rule before contains it
//! ```

mod claims;
mod coverage;
mod lints;
mod witnesses;

pub use claims::{Line, Outcome, TestResult, assertions, beyond_source, of_assertions, tests};
pub use coverage::{Concern, Coverage, concerns, coverage};
pub use lints::lints;
pub use witnesses::{Witness, witnesses};

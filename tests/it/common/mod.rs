//! What several test modules share.

pub mod build;
mod cluster;
mod generate;
mod markdown;
mod pipeline;

pub use cluster::Cluster;
pub use generate::source;
pub use markdown::{Case, Finding, cases, check, differences, findings, is_of_layers, judge, root};
pub use pipeline::{Given, Outcome, POLICY};

use proptest::prelude::*;

/// Makes a strategy of sources that have no syntax errors; see [`source`].
pub fn sources() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<u8>(), 0..400).prop_map(|choices| source(&choices))
}

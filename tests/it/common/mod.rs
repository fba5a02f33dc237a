//! What several test modules share.

pub mod generate;

use proptest::prelude::*;

/// Makes a strategy of sources that have no syntax errors; see [`generate`].
pub fn sources() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<u8>(), 0..400).prop_map(|choices| generate::source(&choices))
}

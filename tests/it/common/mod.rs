//! What several test modules share.

mod generate;

pub use generate::source;

use proptest::prelude::*;

/// Makes a strategy of sources that have no syntax errors; see [`source`].
pub fn sources() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<u8>(), 0..400).prop_map(|choices| source(&choices))
}

//! Keys of what is remembered of shared values, such as the endpoint of many rules.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A shared value, compared by its address in memory. It is kept alive, so that no other value gets the same address.
pub(super) struct Kept<T>(pub(super) Arc<T>);

impl<T> PartialEq for Kept<T> {
    fn eq(&self, other: &Kept<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Eq for Kept<T> {}

impl<T> Hash for Kept<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

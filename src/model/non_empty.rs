//! Lists that cannot be empty: in a NetworkPolicy an empty list of peers or of ports means all of them.

/// A list with at least one item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NonEmpty<T>(Vec<T>);

impl<T> NonEmpty<T> {
    /// Makes the list; `None` without an item.
    pub fn new(list: Vec<T>) -> Option<NonEmpty<T>> {
        (!list.is_empty()).then_some(NonEmpty(list))
    }

    /// Returns the items.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

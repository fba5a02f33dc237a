//! A decision of some objects about a single flow.

/// The decision of some objects about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They let it through.
    Passes,
    /// They let it through or not, depending on how the client dials it.
    May,
    /// They refuse it.
    Refuses,
    /// Unknown: the sets are too large, or the inventory does not have the pod.
    Unknown,
}

impl Decision {
    /// Returns the decision of two groups of objects together.
    pub fn and(self, other: Decision) -> Decision {
        match (self, other) {
            (Decision::Refuses, _) | (_, Decision::Refuses) => Decision::Refuses,
            (Decision::Unknown, _) | (_, Decision::Unknown) => Decision::Unknown,
            (Decision::May, _) | (_, Decision::May) => Decision::May,
            (Decision::Passes, Decision::Passes) => Decision::Passes,
        }
    }
}

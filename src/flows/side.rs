//! The two sides of a flow.

/// A side of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who sends.
    Source,
    /// Who receives.
    Destination,
}

impl Side {
    /// Returns the other side.
    pub fn opposite(self) -> Side {
        match self {
            Side::Source => Side::Destination,
            Side::Destination => Side::Source,
        }
    }
}

//! NetworkPolicy.

//! Istio.

use super::Lowered;
use crate::diag::Diagnostics;
use crate::policy::Policy;
use crate::source::Sources;

/// Lowers a policy to the objects of Istio.
pub fn lower(_: &Policy, _: &Sources, _: &mut Diagnostics) -> Lowered {
    Lowered::default()
}

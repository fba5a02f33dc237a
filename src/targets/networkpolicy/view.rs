//! What all passes look at.

use crate::model::addresses::AddressSet;
use crate::policy::Policy;
use crate::targets::partition::Partition;

/// A partition of a policy, and what follows from the policy for NetworkPolicies.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// What of it is lowered.
    pub partition: &'a Partition<'a>,
    /// Where hosts without addresses may be, the addresses of pods left out.
    pub internet: &'a AddressSet,
}

//! The input of every pass: the policy, the partition, and the internet's addresses.

use crate::model::addresses::AddressSet;
use crate::policy::Policy;
use crate::targets::partition::Partition;

/// A partition of a policy, and what follows from the policy for NetworkPolicies.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The partition to lower.
    pub partition: &'a Partition<'a>,
    /// The addresses that hosts without `at` may have, without the addresses of pods.
    pub internet: &'a AddressSet,
}

//! Kubernetes NetworkPolicy, `networking.k8s.io/v1`.
//!
//! A NetworkPolicy selects pods of its namespace, isolates them in the directions that it names, and lets through the
//! flows that its entries name; several NetworkPolicies of one pod add up, and none ever takes away.
//!
//! ```netpol
//! allow egress garden/{app=web} -> db/*:5432
//! ```
//!
//! isolates the pods with `app=web` on their way out, and lets them through to those of `db` and to DNS:
//!
//! ```yaml
//! namespace: garden
//! app: web
//! policyTypes: [Egress]
//! kubernetes.io/metadata.name: db
//! - { protocol: TCP, port: 5432 }
//! ```
//!
//! `plan` makes drafts of objects from rules and grants, pass by pass. `emit` turns them into objects, in the types of
//! `model`, and `write` writes their text. `judge` judges each rule end by the findings of the passes, and `effective`
//! turns the drafts back into rules. `read` reads rules from the text of any objects.
//!
//! A rule that a NetworkPolicy cannot express is never made narrower: an allowed flow always passes.

mod effective;
mod emit;
mod judge;
mod model;
mod notes;
mod plan;
pub mod read;
mod view;
mod write;

use self::view::View;
use super::partition::Partition;
use super::{Lowered, Wanted};
use crate::diag::Diagnostics;
use crate::model::addresses::AddressSet;
use crate::policy::Policy;
use crate::source::Sources;

/// The data that follows from a policy and is the same for all its partitions.
pub(super) struct Common {
    /// The addresses that hosts without `at` may have, without the addresses of pods.
    internet: AddressSet,
}

impl Common {
    /// Prepares the lowering of a policy.
    pub(super) fn new(policy: &Policy) -> Common {
        Common { internet: policy.internet.subtract(&policy.pod_addresses) }
    }
}

/// Lowers a partition of a policy to NetworkPolicies: the objects, if they are wanted, sorted by namespace and name,
/// with their rules, and a judgement of each rule end. Adds notes for the readers of the objects.
pub(super) fn lower(
    common: &Common,
    partition: &Partition<'_>,
    sources: &Sources,
    wanted: Wanted,
    diagnostics: &mut Diagnostics,
) -> Lowered {
    let view = View { policy: partition.policy, partition, internet: &common.internet };
    let plan = plan::plan(view);
    notes::notes(view, &plan).into_iter().for_each(|note| diagnostics.push(note));
    let judgements = judge::judge(view, &plan, sources);
    if wanted == Wanted::Judgements {
        return Lowered { judgements, ..Lowered::default() };
    }
    let effective = Some(effective::effective(view, &plan, &judgements));
    Lowered { objects: write::write(view, sources, emit::emit(&plan)), judgements, effective }
}

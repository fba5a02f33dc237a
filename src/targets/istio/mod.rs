//! Istio in sidecar mode: `networking.istio.io/v1` and `security.istio.io/v1`.
//!
//! What a pod may send is decided by its one Sidecar: `destinations` says what rules let through in Istio's terms
//! (hosts, addresses, Services), `slots` divides the pods so that each has one Sidecar, `egress` gathers what each
//! lets through, and `sidecar` and `service_entry` write it down. Sidecars know no deny: `denied` leaves out. `wildcard`
//! is a way out that Istio holds to the way in.
//!
//! What a pod receives is decided by all AuthorizationPolicies that select it: `sources` says who sends,
//! `operations` what is asked for, `authorization` joins them, and `peer` asks for the mTLS without which
//! identities mean nothing. `gateway_access` and
//! `via_egress` are about gateways: `gateway_others` is what passes them as before, and `correlation` says which rules have
//! their clients judged behind them, too.
//!
//! Two things hold throughout. An object never refuses what a rule allows to one of its pods: what cannot be selected or
//! said exactly makes it wider, or leaves the pods open. And every such place is a `judge::Flaw` of the rules that it
//! concerns.

mod emit;
mod facts;
mod judge;
mod limits;
mod model;
mod plan;

use self::plan::egress::addresses::Reserved;
use self::plan::egress::{entries, wildcard};
use self::plan::gateway::exits;
use self::plan::ingress::{identity, peers};
use self::plan::{egress, ingress};
use super::partition::Partition;
use super::{Lowered, Wanted};
use crate::diag::Diagnostics;
use crate::policy::Policy;
use crate::source::Sources;

/// What follows from a policy and holds for all its parts.
pub(super) struct Common<'a> {
    cluster: facts::Cluster<'a>,
    reserved: Reserved,
}

impl<'a> Common<'a> {
    /// Prepares the lowering of a policy.
    pub(super) fn new(policy: &'a Policy) -> Common<'a> {
        Common { cluster: facts::Cluster::new(policy), reserved: Reserved::new(policy) }
    }
}

/// Lowers a part of a policy to the objects of Istio, where they are wanted, sorted by namespace, kind and name, with a
/// judgement of each end. Pushes what contradicts itself on Istio, and what its readers should know.
pub(super) fn lower<'a>(
    common: &'a Common<'a>,
    part: &'a Partition<'a>,
    sources: &Sources,
    wanted: Wanted,
    diagnostics: &mut Diagnostics,
) -> Lowered {
    let policy = part.policy;
    let facts = facts::Facts::new(part, &common.cluster, &common.reserved);
    let mut judge = judge::Judge::new(part);
    let mut gathered = ingress::gather(&facts, sources, &mut judge);
    let mut senders = peers::Senders::new(&facts);
    let mut exits = exits::Exits::new(&facts, &mut senders, &mut gathered.gateways, &mut judge, diagnostics);
    let mut trouble = entries::Trouble { policy, diagnostics };
    let mut resources = egress::lower(&facts, sources, wanted, &mut exits, &mut judge, &mut trouble);
    wildcard::note(part, &mut judge);
    let ingress::Gathered { mut access, callers, gateways } = gathered;
    resources.extend(identity::lower(&facts, &callers, &access, wanted, &mut judge));
    resources.extend(gateways.finish(&facts, &mut access, diagnostics));
    let mut objects = Vec::new();
    if wanted != Wanted::Judgements {
        resources.extend(exits.finish(&policy.settings));
        resources.extend(access.finish(&facts));
        objects = emit::write(policy, sources, &resources);
    }
    Lowered { objects, judgements: judge.finish() }
}

//! Istio in sidecar mode: `networking.istio.io/v1` and `security.istio.io/v1`.
//!
//! ```netpol
//! allow ingress lab/@curl -> garden/{app=web}:8080/http
//! ```
//!
//! ```yaml
//! kind: AuthorizationPolicy
//! metadata:
//!   name: app-web-ingress
//!   namespace: garden
//! spec:
//!   selector:
//!     matchLabels:
//!       app: web
//!   action: ALLOW
//!   rules:
//!     - from:
//!         - source:
//!             principals: [cluster.local/ns/lab/sa/curl]
//!       to:
//!         - operation:
//!             ports: ["8080"]
//! ```
//!
//! A pod may send what its one effective Sidecar lets out. It receives what all AuthorizationPolicies that select it
//! let in, and knows its callers by mTLS. The modules, in the order of the work:
//!
//! - `facts` indexes the facts about the cluster;
//! - `plan` makes the drafts of objects: for the governed pods (`subjects`), ingress (`ingress`), egress (`egress`),
//!   and the gateways (`gateway`);
//! - `judge` judges each rule end by the passes' findings (`findings`);
//! - `emit` turns the drafts into objects (`model`), and the objects into YAML;
//! - `read` returns the flows that any objects let through, as sets;
//! - `troubles` are messages of passes; `limits`, `nets` and `words` help them.
//!
//! For example, the rule above is made in `plan::ingress`: `plan::peers` makes a peer with the principal of
//! `lab/@curl`, `plan::operations` an operation with the port (and with `where method GET`, if the rule had it),
//! `rule_of` joins them to one `AccessRule`, and `Policies::add` adds it to the draft for `garden/{app=web}`.
//! `emit::authorization` names the policy of the draft, and `emit::yaml` writes it. The access of a rule with `via` at
//! the gateway's pods is made in `plan::gateway::access::access_rules`, and `plan::plan` adds it to the same drafts.
//!
//! All passes share two principles. An object refuses a flow that a rule allows only if a finding says so, such as for
//! callers without a sidecar; if Istio cannot express a rule exactly, the object is wider, or the pods stay open. Every
//! such excess is a `findings::IstioGap` of the rules that it concerns.
//!
//! A new kind of object needs its fields (`model`), its draft (`plan`), its name (`emit`) and its YAML (`emit::yaml`);
//! CONTRIBUTING.md has the steps.

mod emit;
mod facts;
mod findings;
mod judge;
mod limits;
mod model;
mod nets;
mod plan;
pub mod read;
mod troubles;
mod words;

use super::partition::Partition;
use super::{Lowered, Wanted};
use crate::diag::Diagnostics;
use crate::policy::Policy;
use crate::source::Sources;

/// The data that follows from a policy and is the same for all its partitions.
pub(super) struct Common<'a> {
    cluster: facts::Cluster<'a>,
    reserved: facts::Reserved,
}

impl<'a> Common<'a> {
    /// Prepares the lowering of a policy.
    pub(super) fn new(policy: &'a Policy) -> Common<'a> {
        Common { cluster: facts::Cluster::new(policy), reserved: facts::Reserved::new(policy) }
    }
}

/// Lowers a partition of a policy to the objects of Istio, if they are wanted, sorted by namespace, kind and name, with
/// a judgement of each rule end. Pushes errors about rules that contradict each other on Istio, and notes for readers.
pub(super) fn lower<'a>(
    common: &'a Common<'a>,
    part: &'a Partition<'a>,
    sources: &Sources,
    wanted: Wanted,
    diagnostics: &mut Diagnostics,
) -> Lowered {
    let facts = facts::Facts::new(part, &common.cluster, &common.reserved);
    let mut plan = plan::plan(&facts);
    for trouble in &plan.troubles {
        trouble.diagnostic(part.policy, sources).into_iter().for_each(|message| diagnostics.push(message));
    }
    let judgements = judge::judge(part, sources, std::mem::take(&mut plan.findings));
    let objects = if wanted == Wanted::Judgements { Vec::new() } else { emit::emit(part.policy, sources, plan) };
    Lowered { objects, judgements, effective: None }
}

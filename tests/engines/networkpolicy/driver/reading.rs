//! The compiler's own reader of NetworkPolicies, beside the engines: what it reads means what they say, flow by flow.

use netpol::diag::Diagnostics;
use netpol::policy::meaning::Meaning;
use netpol::policy::{self, Flow, Policy};
use netpol::source::Sources;
use netpol::targets::networkpolicy::read::read;

use crate::build::Build;

/// Reads objects as a policy: nothing is granted, and the facts are those of the build.
pub fn policy(build: &Build, objects: &[String]) -> Policy {
    let mut sources = Sources::new();
    let file = sources.add("objects.yaml", objects.join("\n---\n"));
    let mut found = Diagnostics::new();
    let rules = read(&sources, &[file], "default", &mut found);
    assert!(!found.has_errors(), "{found:#?}\n{}", objects.join("\n---\n"));
    Policy { rules, grants: Vec::new(), ..build.policy.clone() }
}

/// The meaning of what was read: as rules, and as sets of flows.
pub struct Reading<'p> {
    policy: &'p Policy,
    sets: Meaning<'p>,
}

impl<'p> Reading<'p> {
    pub fn of(policy: &'p Policy) -> Reading<'p> {
        Reading { policy, sets: Meaning::new(policy, &[]) }
    }

    /// Returns whether what was read allows a flow.
    pub fn allows(&mut self, flow: &Flow) -> bool {
        let allows = policy::eval(self.policy, flow).allowed();
        assert_eq!(self.sets.allows(flow).ok(), Some(allows), "the sets and the evaluator differ on {flow:#?}");
        allows
    }
}

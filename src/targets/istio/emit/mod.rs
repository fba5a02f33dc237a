//! Emission: from the plan to objects, and to YAML. Here objects get their names, and the form that Kubernetes and
//! Istio need: a rule for a trust domain gets its condition (`AccessRule::in_domain`), and a policy that is too long is
//! divided (`divide`).
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
//! ```
//!
//! A name is made from the subject's words and the object's purpose, so that it stays when other rules change.

mod authentication;
mod authorization;
mod divide;
mod names;
mod routes;
mod service_entries;
mod sidecars;
mod yaml;

use super::model::{Meta, Origin, Resource, ServicePatch, Spec, WorkloadPatch};
use super::plan::Plan;
use super::plan::gateway::clients::{Counting, Keeping};
use crate::policy::Policy;
use crate::settings::Settings;
use crate::source::Sources;
use crate::targets::Object;

/// Makes the objects, sorted by namespace, kind and name.
pub fn emit(policy: &Policy, sources: &Sources, plan: Plan) -> Vec<Object> {
    let settings = &policy.settings;
    let Plan { entries, sidecars, routes, identities, policies, keeping, counting, .. } = plan;
    let (tokens, policies) = policies.finish();
    let mut resources = service_entries::emit(settings, entries);
    resources.extend(sidecars::emit(settings, sidecars));
    resources.extend(routes::emit(settings, routes));
    resources.extend(authentication::of_peers(settings, identities));
    resources.extend(authentication::of_requests(settings, tokens));
    resources.extend(authorization::emit(settings, policies));
    resources.extend(patches(settings, keeping));
    resources.extend(counts(counting));
    yaml::write(policy, sources, resources)
}

/// Returns the patches of the Services that keep their clients' addresses.
fn patches(settings: &Settings, keeping: Keeping) -> impl Iterator<Item = Resource> {
    let aws_nlb = settings.aws_nlb;
    keeping.into_iter().map(move |((namespace, name), rules)| Resource {
        meta: Meta { namespace, name: name.to_string() },
        origin: Origin { rules: rules.into(), comment: None },
        spec: Spec::ServicePatch(ServicePatch { aws_nlb }),
    })
}

/// Returns the patches of the workloads that count the proxies in front.
fn counts(counting: Counting) -> impl Iterator<Item = Resource> {
    counting.into_iter().map(|((namespace, name, kind), (proxies, rules))| Resource {
        meta: Meta { namespace, name: name.to_string() },
        origin: Origin { rules: rules.into(), comment: None },
        spec: Spec::WorkloadPatch(WorkloadPatch { kind, proxies }),
    })
}

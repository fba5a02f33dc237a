//! Warnings about pods that may reach a host by name but not DNS, if `[cluster] dns = "explicit"` turns the grant off.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443      garden is isolated now, and cannot find out where the host is
//! allow egress garden/* -> dns                   this is missing
//! ```

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::Policy;
use super::lifelines::{share_flows, share_pods};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::model::endpoint::{Endpoint, What};
use crate::model::rules::{Action, Rule};

/// Warns about the first allow to a host in each namespace, if no allow lets its pods reach DNS. If the compiler grants
/// DNS, [`super::lifelines`] warns about a deny of it.
pub fn warn_of_nameless(policy: &Policy, dns: &Endpoint, diagnostics: &mut Diagnostics) {
    if policy.settings.grant_dns || dns.members.is_empty() {
        return;
    }
    let allows = || policy.rules.iter().filter(|rule| rule.action == Action::Allow && rule.egress);
    let mut ways: FxHashMap<&SmolStr, Vec<&Rule>> = FxHashMap::default();
    let mut wide: Vec<&Rule> = Vec::new();
    for rule in allows().filter(|rule| share_flows(&rule.destination, dns)) {
        match namespaces(&rule.source) {
            Some(names) => names.into_iter().for_each(|name| ways.entry(name).or_default().push(rule)),
            None => wide.push(rule),
        }
    }
    let mut said: FxHashSet<Option<Vec<&SmolStr>>> = FxHashSet::default();
    let to_host = |rule: &&Rule| rule.destination.members.iter().any(|member| matches!(member.what, What::Host(_)));
    for rule in allows().filter(to_host).filter(|rule| rule.via.is_none()) {
        let names = namespaces(&rule.source);
        // An allow for pods of unnamed namespaces is skipped: for some of them there may be a way to DNS.
        let Some(own) = &names else { continue };
        let mut here = own.iter().flat_map(|name| ways.get(*name).into_iter().flatten()).chain(&wide);
        if here.any(|way| share_pods(&way.source, &rule.source)) || !said.insert(names.clone()) {
            continue;
        }
        let message = "these pods are isolated, and nothing leads them to the cluster's DNS";
        diagnostics.push(
            Diagnostic::new(Code::NoResolver, rule.origin.place(), message)
                .at("they cannot find out where the host is")
                .note(
                    "let them ask: an allow of these pods to `dns`; or leave `dns = \"explicit\"` out of the settings",
                ),
        );
    }
}

/// Returns the namespaces of an endpoint's pods, sorted, if all of them are named.
fn namespaces(endpoint: &Endpoint) -> Option<Vec<&SmolStr>> {
    let mut names: Vec<&SmolStr> =
        endpoint.pods().map(|(_, pods)| pods.selector.namespace_name()).collect::<Option<_>>()?;
    names.sort_unstable();
    names.dedup();
    Some(names)
}

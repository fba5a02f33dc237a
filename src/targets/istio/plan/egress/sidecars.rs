//! Sidecars, without their names.
//!
//! ```netpol
//! allow egress garden/*         -> zenquotes.io:443
//! allow egress garden/{app=web} -> internet
//! ```
//!
//! ```yaml
//! kind: Sidecar
//! metadata:
//!   name: all-pods-egress
//! spec:
//!   outboundTrafficPolicy:
//!     mode: REGISTRY_ONLY
//! kind: Sidecar
//! metadata:
//!   name: app-web-egress
//! spec:
//!   workloadSelector:
//!     labels:
//!       app: web
//!   outboundTrafficPolicy:
//!     mode: ALLOW_ANY
//! ```
//!
//! Pods that are left open need their own Sidecar if the enclosing one restricts.

use super::allowed::Allowed;
use super::content::Content;
use super::destinations::Destinations;
use super::ends::Ends;
use super::entries::Entries;
use super::homes::Homes;
pub use super::imports::Import;
use super::isolation::Isolation;
pub use super::listeners::Listener;
use super::listeners::listeners;
use crate::model::rules::RuleId;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::limits::{MOST_BYTES, texts};
use crate::targets::istio::plan::subjects::Subject;
use crate::targets::istio::plan::subjects::obeyed::Division;
use crate::targets::istio::troubles::Trouble;

/// A Sidecar without its name.
pub struct SidecarDraft {
    /// The pods.
    pub subject: Subject,
    /// The rules that it comes from.
    pub rules: Vec<RuleId>,
    /// The listeners; `None` leaves egress open.
    pub listeners: Option<Vec<Listener>>,
}

/// Makes a Sidecar for the pods of each object that differs from the enclosing one. Imports that let out more than is
/// allowed are a gap of the rules about these pods.
pub fn sidecars(
    facts: &Facts<'_>,
    ends: &Ends<'_>,
    division: &Division,
    contents: &[Option<Content>],
    (destinations, homes, entries): (&Destinations<'_, '_>, &Homes, &Entries),
    isolations: &mut [Isolation],
) -> (Vec<SidecarDraft>, Vec<Trouble>) {
    let (mut drafts, mut troubles) = (Vec::new(), Vec::new());
    // For each object, whether it restricts the pods that obey it.
    let mut closed = vec![false; division.objects.len()];
    for (at, object) in division.objects.iter().enumerate() {
        let around = object.around.is_some_and(|around| closed[around]);
        closed[at] = contents[at].is_some() || around && isolations[at].open.is_none();
        let namespace = object.subject.namespace.as_ref();
        let listeners = match &contents[at] {
            Some(content) => {
                let allowed = Allowed::new(content, destinations, namespace, homes);
                let (listeners, gap) = listeners(facts, entries, namespace, &allowed);
                if let Some(gap) = gap {
                    isolations[at].gaps.add(None, &gap);
                }
                if allowed.is_large() && is_too_large(facts, &object.subject, &listeners) {
                    let (subject, rules) = (object.subject.clone(), rules_of(ends, division, at));
                    troubles.push(Trouble::SidecarTooLarge { subject, rules });
                }
                Some(listeners)
            }
            // Open pods inside closed ones need a Sidecar that opens.
            None if around && !closed[at] => None,
            None => continue,
        };
        drafts.push(SidecarDraft { subject: object.subject.clone(), rules: rules_of(ends, division, at), listeners });
    }
    (drafts, troubles)
}

/// Returns the rules that an object comes from.
fn rules_of(ends: &Ends<'_>, division: &Division, object: usize) -> Vec<RuleId> {
    const MANY: usize = 64;
    let mut rules: Vec<RuleId> = Vec::new();
    for (at, around) in division.chain(object).map(|object| &division.objects[object]).enumerate() {
        // An enclosed object names the rules about its own pods, and if they are few the rules about all pods.
        if at > 0 && rules.len() + around.own.len() > MANY {
            break;
        }
        let joined = if at == 0 { around.joined.as_slice() } else { &[] };
        rules.extend(around.own.iter().chain(joined).flat_map(|&at| ends.get(at).rules.iter().copied()));
    }
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// Returns whether a Sidecar is larger than Kubernetes accepts.
fn is_too_large(facts: &Facts<'_>, subject: &Subject, listeners: &[Listener]) -> bool {
    const LISTENER: usize = 80;
    let settings = &facts.policy.settings;
    let bytes = |listener: &Listener| {
        let imports = listener.imports.iter().map(|import| import.text(subject.namespace.as_ref(), &settings.domain));
        // A host that is imported twice is in the object once.
        LISTENER + texts(imports.collect::<std::collections::BTreeSet<String>>())
    };
    listeners.iter().map(bytes).sum::<usize>() > MOST_BYTES
}

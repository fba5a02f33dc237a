//! Clients of gateways, told by their addresses: a gateway's Service has to keep them.
//!
//! ```netpol
//! gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/https }
//! allow ingress 203.0.113.0/24 -> garden/{app=web}:80/http via edge at "garden.example"
//! ```
//!
//! ```yaml
//! kind: Service
//! metadata:
//!   name: envoy
//!   namespace: edges
//! spec:
//!   externalTrafficPolicy: Local
//! ```
//!
//! Without the patch, the node that a packet comes to puts its own address in place of the client's.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::model::gateways::Gateway;
use crate::model::rules::RuleId;
use crate::targets::Refuses;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::Note;
use crate::targets::istio::troubles::Trouble;

/// The Services that have to keep their clients' addresses, each with the rules that need it.
pub type Keeping = BTreeMap<(SmolStr, SmolStr), Vec<RuleId>>;

/// Returns the note about a rule that judges the clients of a gateway at which no client's address arrives.
pub fn unseen(facts: &Facts<'_>, gateway: &Gateway) -> Option<Note> {
    let none = is_inside(facts, gateway) && gateway.proxies == 0;
    none.then(|| Note::narrower(Refuses::Unasked, "through a ClusterIP Service no client's address arrives"))
}

/// Returns the Services that have to keep their clients' addresses for some rules about gateways.
pub fn keeping(facts: &Facts<'_>, judged: &[(RuleId, &Gateway)]) -> (Keeping, Vec<Trouble>) {
    let mut keeping = Keeping::new();
    let mut unknown: Vec<(&SmolStr, RuleId)> = Vec::new();
    let mut unseen: Vec<(&Gateway, RuleId)> = Vec::new();
    for &(rule, gateway) in judged {
        match &gateway.service {
            _ if is_inside(facts, gateway) => {
                if gateway.proxies == 0 && !unseen.iter().any(|(have, _)| have.name == gateway.name) {
                    unseen.push((gateway, rule));
                }
            }
            Some(service) => keeping.entry(service.clone()).or_default().push(rule),
            None if unknown.iter().any(|(name, _)| **name == gateway.name) => {}
            None => unknown.push((&gateway.name, rule)),
        }
    }
    let unknown = unknown.into_iter().map(|(gateway, rule)| Trouble::GatewayService { gateway: gateway.clone(), rule });
    let unseen =
        unseen.into_iter().map(|(gateway, rule)| Trouble::ClientUnseen { gateway: Arc::new(gateway.clone()), rule });
    (keeping, unknown.chain(unseen).collect())
}

/// Returns whether a gateway's Service is known to be reached from inside the cluster alone.
fn is_inside(facts: &Facts<'_>, gateway: &Gateway) -> bool {
    let service = gateway.service.as_ref().and_then(|service| facts.policy.inventory.services.get(service));
    service.is_some_and(|service| service.outside == Some(false))
}

//! The words that say how an ingress rule is enforced.
//!
//! ```text
//! allow ingress lab/* -> garden/{app=web}:80/http    judged at the receiving sidecar
//! ```

use std::borrow::Cow;

use crate::model::endpoint::Member;
use crate::model::gateways::Gateway;
use crate::model::ports::AppProtocol;
use crate::model::rules::Rule;

/// Returns how a rule is enforced on a member of its destination, which may be a gateway's pods.
pub fn words(rule: &Rule, gateway: Option<&Gateway>, member: &Member) -> Cow<'static, str> {
    let ports = member.ports.entries();
    let http = !ports.is_empty() && ports.iter().all(|port| port.app.is_some_and(AppProtocol::has_requests));
    match (gateway, &rule.via) {
        (Some(gateway), _) if gateway.proxies > 0 => {
            format!("judged at the gateway, by {}", client_words(gateway)).into()
        }
        (Some(_), _) => {
            "judged at the gateway, by the address that the packet comes from; its Service must keep it".into()
        }
        (None, Some(via)) if via.at.is_empty() => "the client's address is judged at the gateway, by its port".into(),
        (None, Some(_)) if !http => {
            "the client's address and the TLS name are judged at the gateway, whose routes lead here".into()
        }
        (None, Some(_)) if !rule.conditions.paths.is_empty() => {
            "the client's address is judged at the gateway, the rest at the receiving sidecar, which paths must reach \
             unchanged"
                .into()
        }
        (None, Some(_)) => "the client's address is judged at the gateway, the rest at the receiving sidecar".into(),
        (None, None) if http => "judged at the receiving sidecar".into(),
        (None, None) => "judged at the receiving sidecar; a server that speaks first shows its greeting".into(),
    }
}

/// Returns the words for the address by which a gateway behind proxies knows a client.
fn client_words(gateway: &Gateway) -> Cow<'static, str> {
    let words: Cow<'static, str> = match gateway.proxies {
        1 => "the last address in X-Forwarded-For, which the proxy in front appends".into(),
        many => {
            format!("the last address but {} in X-Forwarded-For, to which {many} proxies in front append", many - 1)
                .into()
        }
    };
    match gateway.proxies_from.is_empty() {
        true => words,
        false => format!("{words}; others who connect are not believed").into(),
    }
}

//! Witnesses as flows that the evaluator can judge, and as words.
//!
//! ```text
//! shop/frontend -> payments/{app=db}, tcp 5432       frontend is a workload of the inventory, and no workload has app=db
//! ```

use std::net::IpAddr;

use serde_json::Value as Json;
use smol_str::SmolStr;

use super::{Example, Meaning};
use crate::flows::{End, Witness};
use crate::inventory::{ContainerPort, Workload};
use crate::model::addresses::AddressSet;
use crate::model::labels::{Labels, NAMESPACE_NAME};
use crate::policy::flow::{Flow, Party, Pod, Request};
use crate::policy::through;

impl Meaning<'_> {
    /// Returns an example as a flow that [`crate::policy::eval()`] judges as the sets do.
    pub fn flow(&self, example: &Example<'_>) -> Flow {
        let Example { witness, workloads: [source, destination] } = example;
        let jwt = witness.token.as_ref().map(|token| {
            let mut claims = serde_json::Map::new();
            claims.insert("iss".into(), Json::String(token.issuer.to_string()));
            claims.extend(token.subject.iter().map(|subject| ("sub".to_owned(), Json::String(subject.to_string()))));
            for (names, value) in &token.claims {
                add_claim(&mut claims, names, value);
            }
            claims
        });
        Flow {
            source: party(&witness.source, *source, &[], witness),
            destination: party(&witness.destination, *destination, &witness.port_names, witness),
            port: witness.port,
            protocol: witness.protocol,
            request: Request {
                method: witness.method.clone(),
                path: witness.path.clone(),
                host: witness.host.clone(),
                tls: witness.tls.clone(),
                client: witness.client,
                headers: witness.headers.clone(),
                jwt,
            },
        }
    }
}

/// Adds a value to the list of a claim, which may lie in other claims.
fn add_claim(claims: &mut serde_json::Map<String, Json>, names: &[SmolStr], value: &SmolStr) {
    let Some((first, rest)) = names.split_first() else { return };
    let empty = if rest.is_empty() { Json::Array(Vec::new()) } else { Json::Object(serde_json::Map::new()) };
    match claims.entry(first.to_string()).or_insert(empty) {
        Json::Array(list) if rest.is_empty() => list.push(Json::String(value.to_string())),
        Json::Object(inner) => add_claim(inner, rest, value),
        _ => {}
    }
}

fn party(end: &End, workload: Option<&Workload>, port_names: &[SmolStr], witness: &Witness) -> Party {
    match end {
        End::Pod { namespace, labels, account, sidecar } => {
            let named = port_names.iter().map(|name| {
                let port = witness.port.unwrap_or_default();
                ContainerPort { name: Some(name.clone()), port, protocol: witness.protocol }
            });
            Party::Pod(Pod {
                shown: match workload {
                    Some(workload) => format!("{}/{}", workload.namespace, workload.name),
                    None => shown_pod(namespace, labels, account.as_ref()),
                },
                namespace_labels: namespace.clone(),
                labels: workload.map_or(labels, |workload| &workload.labels).clone(),
                account: workload.map(|workload| &workload.account).or(account.as_ref()).cloned().unwrap_or_default(),
                ports: named.collect(),
                sidecar: *sidecar,
                single: false,
            })
        }
        End::Outside { host: Some(host), address } => {
            let one = |address| AddressSet::of([ipnet::IpNet::from(address)]);
            Party::Host { name: host.clone(), at: address.map_or_else(AddressSet::everything, one) }
        }
        // An address for documentation (RFC 5737), if the set tests no address.
        End::Outside { host: None, address } => Party::Address(address.unwrap_or(IpAddr::from([203, 0, 113, 1]))),
    }
}

fn shown_pod(namespace: &Labels, labels: &Labels, account: Option<&SmolStr>) -> String {
    let name = namespace.get(NAMESPACE_NAME).map_or("*", SmolStr::as_str);
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    match (labels.is_empty(), account) {
        (true, None) => format!("{name}/*"),
        (true, Some(account)) => format!("{name}/@{account}"),
        (false, None) => format!("{name}/{{{}}}", labels.join(", ")),
        (false, Some(account)) => format!("{name}/{{{}}} as @{account}", labels.join(", ")),
    }
}

/// Returns a flow in words: `shop/web -> db.example (203.0.113.7), tcp 443, GET /x`.
pub fn in_words(flow: &Flow) -> String {
    let end = |party: &Party| match party {
        Party::Pod(pod) => pod.shown.clone(),
        Party::Address(address) => address.to_string(),
        Party::Host { name, at } => match at.blocks.as_slice() {
            [one] if one.net.prefix_len() == one.net.max_prefix_len() => format!("{name} ({})", one.net.addr()),
            _ => name.to_string(),
        },
    };
    let mut words = format!("{} -> {}, {}", end(&flow.source), end(&flow.destination), flow.protocol.word());
    words.extend(flow.port.map(|port| format!(" {port}")));
    if let Party::Pod(pod) = &flow.destination {
        let names = pod.ports.iter().filter(|port| Some(port.port) == flow.port);
        let names: Vec<&str> = names.filter_map(|port| port.name.as_deref()).collect();
        if !names.is_empty() {
            words.push_str(&format!(" (named {})", names.join(", ")));
        }
    }
    let request = &flow.request;
    let line: Vec<&str> = request.method.as_deref().into_iter().chain(request.path.as_deref()).collect();
    if !line.is_empty() {
        words.push_str(&format!(", {}", line.join(" ")));
    }
    let host = request.host.as_ref().and_then(through::named);
    words.extend(host.map(|host| format!(", for host {}", host.name)));
    match request.tls.as_deref() {
        Some("") => words.push_str(", by TLS without a name"),
        Some(name) => words.push_str(&format!(", by TLS for {name}")),
        None => {}
    }
    words.extend(request.client.map(|client| format!(", of client {client}")));
    for (name, value) in &request.headers {
        words.push_str(&format!(", {name}: {value}"));
    }
    if let Some(claims) = &request.jwt {
        let claims: Vec<String> = claims.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
        words.push_str(&format!(", with a token {}", claims.join(" ")));
    }
    words
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

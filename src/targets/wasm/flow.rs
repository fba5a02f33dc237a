//! A flow in the JSON that modules take (docs/wasm-abi.md).

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::kernel;
use crate::model::addresses::AddressSet;
use crate::model::labels::{Labels, NAMESPACE_NAME};
use crate::model::ports::Protocol;
use crate::model::rules::{Direction, GrantId, RuleId};
use crate::policy::{Cause, End, Flow, Party, Pod, Request, Verdict};

/// Returns a party. The labels of a namespace of which only the name is known are left to the module.
pub fn party(party: &Party) -> Value {
    match party {
        Party::Address(address) => json!({ "address": address }),
        Party::Host { name, at } => json!({ "host": name.as_str(), "at": nets(at) }),
        Party::Pod(pod) => of_pod(pod),
    }
}

fn nets(set: &AddressSet) -> Vec<String> {
    set.ranges().into_iter().flat_map(|range| range.nets()).map(|net| net.to_string()).collect()
}

fn of_labels(labels: &Labels) -> Value {
    labels.iter().map(|(key, value)| (key.to_string(), json!(value.as_str()))).collect::<Map<_, _>>().into()
}

fn of_pod(pod: &Pod) -> Value {
    let mut value = Map::new();
    let mut set = |key: &str, told: Value| drop(value.insert(key.to_owned(), told));
    if let Some(name) = pod.namespace_labels.get(NAMESPACE_NAME) {
        set("namespace", json!(name.as_str()));
    }
    if pod.namespace_labels.len() > 1 {
        set("namespaceLabels", of_labels(&pod.namespace_labels));
    }
    if pod.single {
        set("name", json!(pod.shown));
    }
    set("labels", of_labels(&pod.labels));
    set("account", json!(pod.account.as_str()));
    set("sidecar", json!(pod.sidecar));
    let ports = pod.ports.iter().map(|port| match &port.name {
        Some(name) => json!({ "name": name.as_str(), "port": port.port, "protocol": port.protocol.word() }),
        None => json!({ "port": port.port, "protocol": port.protocol.word() }),
    });
    set("ports", ports.collect());
    Value::Object(value)
}

/// Returns a request: the parts that are known.
pub fn request(request: &Request) -> Map<String, Value> {
    let headers: Map<String, Value> =
        request.headers.iter().map(|(name, value)| (name.to_string(), json!(value.as_str()))).collect();
    let parts = [
        ("method", request.method.as_ref().map(|method| json!(method.as_str()))),
        ("path", request.path.as_ref().map(|path| json!(path))),
        ("host", request.host.as_ref().map(|host| json!(host.as_str()))),
        ("tls", request.tls.as_ref().map(|name| json!(name.as_str()))),
        ("client", request.client.as_ref().map(|client: &IpAddr| json!(client))),
        ("headers", (!headers.is_empty()).then(|| json!(headers))),
        ("jwt", request.jwt.as_ref().map(|claims| json!(claims))),
    ];
    parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// Returns a whole flow.
pub fn flow(flow: &Flow) -> Value {
    let mut value = request(&flow.request);
    value.insert("from".to_owned(), party(&flow.source));
    value.insert("to".to_owned(), party(&flow.destination));
    value.insert("protocol".to_owned(), json!(flow.protocol.word()));
    if let Some(port) = flow.port {
        value.insert("port".to_owned(), json!(port));
    }
    Value::Object(value)
}

/// Returns a whole flow whose hosts are where the module knows them to be, and not where the asker does.
pub fn unplaced(flow: &Flow) -> Value {
    let mut value = self::flow(flow);
    for end in ["from", "to"] {
        if let Some(party) = value.get_mut(end).and_then(Value::as_object_mut) {
            party.remove("at");
        }
    }
    value
}

/// Returns a module's verdict as the evaluator's. For an isolated pod a module names only the first isolating rule.
pub fn verdict(told: &kernel::Verdict) -> Verdict {
    let [out, way_in] = told.ends;
    let end = |direction, end: kernel::End| {
        let (rule, grant) = (RuleId::new(end.by as usize), GrantId::new(end.by as usize));
        let cause = match end.cause {
            kernel::Cause::NoPod => Cause::NoPod,
            kernel::Cause::Itself => Cause::Itself,
            kernel::Cause::NotIsolated => Cause::NotIsolated,
            kernel::Cause::Allowed => Cause::Allowed(rule),
            kernel::Cause::Granted => Cause::Granted(grant),
            kernel::Cause::Denied => Cause::Denied(rule),
            kernel::Cause::NoneMatches => Cause::NoneMatches { isolated_by: rule, others: 0, nearest: None },
        };
        End { direction, cause }
    };
    Verdict { ends: [end(Direction::Egress, out), end(Direction::Ingress, way_in)] }
}

/// Returns the port and the protocol of a flow as one number.
pub fn port(flow: &Flow) -> u32 {
    let protocol = match flow.protocol {
        Protocol::Icmp => 1,
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    };
    super::kernel::port_word(protocol, flow.port.unwrap_or_default())
}

//! Hubble's flows, as `hubble observe -o json` writes them: the protobuf message `flow.Flow` of Cilium as JSON, alone
//! or as the field `flow` of an event.
//!
//! ```text
//! {"flow":{"verdict":"FORWARDED","IP":{…},"l4":{"TCP":{"destination_port":9080,…}},"source":{"namespace":"default",
//!  "labels":["k8s:app=productpage",…],"pod_name":"productpage-v1-…"},…,"is_reply":false}}
//! ```

use std::net::IpAddr;

use serde::Deserialize;

use super::record::{Carried, Passed, Reading, Record, Told};
use super::text::Text;
use crate::model::ports::Protocol;

#[derive(Deserialize)]
struct Event<'l> {
    #[serde(borrow)]
    flow: Flow<'l>,
}

/// The fields of `flow.Flow` that are read.
#[derive(Deserialize)]
struct Flow<'l> {
    #[serde(borrow, default)]
    time: Text<'l>,
    #[serde(borrow)]
    verdict: Text<'l>,
    #[serde(borrow, rename = "IP")]
    ip: Option<Addresses<'l>>,
    l4: Option<Layer4>,
    #[serde(borrow)]
    source: Option<Endpoint<'l>>,
    #[serde(borrow)]
    destination: Option<Endpoint<'l>>,
    #[serde(borrow, default, rename = "Type")]
    kind: Text<'l>,
    #[serde(borrow, default)]
    source_names: Vec<Text<'l>>,
    #[serde(borrow, default)]
    destination_names: Vec<Text<'l>>,
    #[serde(borrow)]
    l7: Option<Layer7<'l>>,
    is_reply: Option<bool>,
    #[serde(borrow, default)]
    traffic_direction: Text<'l>,
}

#[derive(Deserialize)]
struct Addresses<'l> {
    #[serde(borrow, default)]
    source: Text<'l>,
    #[serde(borrow, default)]
    destination: Text<'l>,
}

#[derive(Deserialize)]
struct Layer4 {
    #[serde(rename = "TCP")]
    tcp: Option<Tcp>,
    #[serde(rename = "UDP")]
    udp: Option<Ports>,
    #[serde(rename = "SCTP")]
    sctp: Option<Ports>,
    #[serde(rename = "ICMPv4")]
    icmp4: Option<Icmp>,
    #[serde(rename = "ICMPv6")]
    icmp6: Option<Icmp>,
}

#[derive(Deserialize)]
struct Tcp {
    #[serde(default)]
    destination_port: u16,
    #[serde(default)]
    flags: Flags,
}

#[derive(Default, Deserialize)]
struct Flags {
    #[serde(default, rename = "SYN")]
    syn: bool,
    #[serde(default, rename = "ACK")]
    ack: bool,
}

#[derive(Deserialize)]
struct Ports {
    #[serde(default)]
    destination_port: u16,
}

#[derive(Deserialize)]
struct Icmp {
    #[serde(default, rename = "type")]
    kind: u32,
}

#[derive(Deserialize)]
struct Endpoint<'l> {
    #[serde(borrow, default)]
    namespace: Text<'l>,
    #[serde(borrow, default)]
    labels: Vec<Text<'l>>,
    #[serde(borrow, default)]
    pod_name: Text<'l>,
    #[serde(borrow, default)]
    workloads: Vec<Workload<'l>>,
}

#[derive(Deserialize)]
struct Workload<'l> {
    #[serde(borrow, default)]
    name: Text<'l>,
}

#[derive(Deserialize)]
struct Layer7<'l> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'l>,
    #[serde(borrow)]
    http: Option<Http<'l>>,
}

#[derive(Deserialize)]
struct Http<'l> {
    #[serde(borrow, default)]
    method: Text<'l>,
    #[serde(borrow, default)]
    url: Text<'l>,
    #[serde(borrow, default)]
    headers: Vec<Header<'l>>,
}

#[derive(Deserialize)]
struct Header<'l> {
    #[serde(borrow, default)]
    key: Text<'l>,
    #[serde(borrow, default)]
    value: Text<'l>,
}

/// Reads a line whose flow is the field `flow`.
pub(super) fn event(line: &[u8]) -> Result<Reading<'_>, String> {
    let event: Event<'_> =
        serde_json::from_slice(line).map_err(|error| format!("this is no flow of Hubble: {error}"))?;
    flow(event.flow)
}

/// Reads a line that is a flow itself.
pub(super) fn bare(line: &[u8]) -> Result<Reading<'_>, String> {
    flow(serde_json::from_slice(line).map_err(|error| format!("this is no flow of Hubble: {error}"))?)
}

fn flow(flow: Flow<'_>) -> Result<Reading<'_>, String> {
    if flow.kind.told() == Some("SOCK") {
        // The address in a socket event is a Service's; the packet itself has its own record.
        return Ok(Reading::Passed(Passed::NoFlow));
    }
    let Some(l4) = &flow.l4 else { return Ok(Reading::Passed(Passed::NoFlow)) };
    let (protocol, port, back) = match l4 {
        Layer4 { tcp: Some(tcp), .. } => {
            // Hubble does not know the direction of every packet. The first packet of a connection has SYN without ACK.
            let back = if tcp.flags.syn { Some(tcp.flags.ack) } else { None };
            (Protocol::Tcp, Some(tcp.destination_port), back)
        }
        Layer4 { udp: Some(ports), .. } => (Protocol::Udp, Some(ports.destination_port), None),
        Layer4 { sctp: Some(ports), .. } => (Protocol::Sctp, Some(ports.destination_port), None),
        // An echo request has type 8 (ICMPv6: 128), its reply 0 (129).
        Layer4 { icmp4: Some(icmp), .. } => (Protocol::Icmp, None, Some(icmp.kind != 8)),
        Layer4 { icmp6: Some(icmp), .. } => (Protocol::Icmp, None, Some(icmp.kind != 128)),
        _ => return Ok(Reading::Passed(Passed::NoFlow)),
    };
    let answers = flow.l7.as_ref().is_some_and(|l7| l7.kind.told() == Some("RESPONSE"));
    let refused = matches!(flow.verdict.told(), Some("DROPPED" | "ERROR"));
    match flow.is_reply.or(back) {
        _ if answers => return Ok(Reading::Passed(Passed::Reply)),
        Some(true) => return Ok(Reading::Passed(Passed::Reply)),
        None if !refused => return Ok(Reading::Passed(Passed::Undirected)),
        _ => {}
    }
    if port == Some(0) {
        return Err("the flow has no port of its destination".to_owned());
    }
    let own_node = |end: &Endpoint<'_>| end.labels.iter().any(|label| label.told() == Some("reserved:host"));
    if flow.source.as_ref().is_some_and(own_node) && flow.traffic_direction.told() != Some("EGRESS") {
        return Ok(Reading::Passed(Passed::OwnNode));
    }
    let (from, to) = flow.ip.map(|ip| (ip.source, ip.destination)).unwrap_or_default();
    let mut record = Record {
        time: flow.time,
        source: end(flow.source, &from, flow.source_names),
        destination: end(flow.destination, &to, flow.destination_names),
        port,
        protocol: Carried(protocol),
        refused,
        ..Record::default()
    };
    for told in [&record.source, &record.destination] {
        if told.address.is_none() && told.namespace.told().is_none() {
            return Err("the flow tells neither a pod nor an address".to_owned());
        }
    }
    if let Some(http) = flow.l7.and_then(|l7| l7.http) {
        let (host, path) = host_and_path(http.url.told().unwrap_or_default());
        (record.host, record.path) = (Text::of(host.to_owned()), Text::of(path.to_owned()));
        record.method = http.method;
        record.headers = http.headers.into_iter().map(|header| (header.key, header.value)).collect();
    }
    Ok(Reading::Flows(vec![record]))
}

fn end<'l>(endpoint: Option<Endpoint<'l>>, address: &Text<'_>, names: Vec<Text<'l>>) -> Told<'l> {
    let address = address.told().and_then(|text| text.parse::<IpAddr>().ok());
    let Some(endpoint) = endpoint else {
        return Told { address, names: names.into(), ..Told::default() };
    };
    let no_pod = |label: &Text<'_>| {
        let told = label.told().unwrap_or_default();
        ["reserved:", "cidr:", "fqdn:"].iter().any(|kind| told.starts_with(kind))
    };
    let no_pod = endpoint.namespace.told().is_none() && endpoint.labels.iter().any(no_pod);
    let account = endpoint.labels.iter().find_map(|label| label.told()?.strip_prefix(ACCOUNT));
    let account = account.map(|name| Text::of(name.to_owned())).unwrap_or_default();
    let workload = endpoint.workloads.into_iter().next().map(|workload| workload.name).unwrap_or_default();
    Told {
        namespace: endpoint.namespace,
        pod: endpoint.pod_name,
        workload,
        account,
        labels: if no_pod { Vec::new() } else { endpoint.labels },
        no_pod,
        address,
        names: names.into(),
    }
}

/// The label by which Cilium tells the service account of a pod.
const ACCOUNT: &str = "k8s:io.cilium.k8s.policy.serviceaccount=";
/// The labels by which Cilium tells those of the namespace.
const OF_NAMESPACE: &str = "io.cilium.k8s.namespace.labels.";

/// A label as Cilium writes it.
pub(super) enum Label<'l> {
    /// A label of the pod.
    Pod(&'l str, &'l str),
    /// A label of its namespace.
    Namespace(&'l str, &'l str),
}

/// Reads a label of Kubernetes; `None` for one that Cilium made.
pub(super) fn label(text: &str) -> Option<Label<'_>> {
    let (key, value) = text.strip_prefix("k8s:")?.split_once('=')?;
    match key.strip_prefix(OF_NAMESPACE) {
        Some(key) => Some(Label::Namespace(key, value)),
        None if key.starts_with("io.cilium.") || key == "io.kubernetes.pod.namespace" => None,
        None => Some(Label::Pod(key, value)),
    }
}

/// Divides `http://host:80/path?query` into the host and the path.
fn host_and_path(url: &str) -> (&str, &str) {
    let Some((_, rest)) = url.split_once("://") else { return ("", url) };
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    }
}

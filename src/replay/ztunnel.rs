//! The access log of ztunnel, Istio's proxy of the ambient mode, as JSON: a line for each connection, when it is
//! complete.
//!
//! ```text
//! {"scope":"access","message":"connection complete","src.addr":"10.244.1.13:52252","src.workload":"curl-…",
//!  "dst.addr":"10.244.1.12:15008","dst.hbone_addr":"10.244.1.12:8080","direction":"inbound",…}
//! ```
//!
//! `src.workload` and `dst.workload` are names of Pods. The connection between two meshed pods goes to port 15008
//! (HBONE), and `dst.hbone_addr` has the port that the client dialled.

use serde::Deserialize;

use super::record::{Passed, Reading, Record, Told, identity, socket};
use super::text::Text;

/// The fields of a line of ztunnel that are read.
#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    scope: Text<'l>,
    #[serde(borrow, default)]
    message: Text<'l>,
    #[serde(borrow, default)]
    time: Text<'l>,
    #[serde(borrow, default, rename = "src.addr")]
    source: Text<'l>,
    #[serde(borrow, default, rename = "src.workload")]
    source_pod: Text<'l>,
    #[serde(borrow, default, rename = "src.namespace")]
    source_namespace: Text<'l>,
    #[serde(borrow, default, rename = "src.identity")]
    source_identity: Text<'l>,
    #[serde(borrow, default, rename = "dst.addr")]
    destination: Text<'l>,
    #[serde(borrow, default, rename = "dst.hbone_addr")]
    meant: Text<'l>,
    #[serde(borrow, default, rename = "dst.service")]
    service: Text<'l>,
    #[serde(borrow, default, rename = "dst.workload")]
    destination_pod: Text<'l>,
    #[serde(borrow, default, rename = "dst.namespace")]
    destination_namespace: Text<'l>,
    #[serde(borrow, default, rename = "dst.identity")]
    destination_identity: Text<'l>,
    #[serde(borrow, default)]
    error: Text<'l>,
}

/// Reads a line of ztunnel.
pub(super) fn line(line: &[u8]) -> Result<Reading<'_>, String> {
    let line: Line<'_> =
        serde_json::from_slice(line).map_err(|error| format!("this is no access log of ztunnel: {error}"))?;
    // A connection has two lines; the second one, "connection complete", is read.
    if line.scope.told() != Some("access") || line.message.told() != Some("connection complete") {
        return Ok(Reading::Passed(Passed::NoFlow));
    }
    let source = socket(&line.source).ok_or("`src.addr` is no address")?;
    let carrier = socket(&line.destination).ok_or("`dst.addr` is no address")?;
    let meant = socket(&line.meant).unwrap_or(carrier);
    if meant.ip() != carrier.ip() {
        // A waypoint is between the pods, and the dialled address is a Service's.
        return Ok(Reading::Passed(Passed::Service));
    }
    if meant.port() == 0 {
        return Err("`dst.addr` has no port".to_owned());
    }
    // A pod has its Service's name here, which is no name of its own. Only for a host outside is it the host's name.
    let outside = line.destination_pod.told().is_none();
    let names = if outside { line.service.told().map(|name| Text::of(name.to_owned())) } else { None };
    // The receiver says `policy rejection`; the sender only hears the answer 401 to its CONNECT.
    let is_refusal = |error: &str| error.contains("policy rejection") || error.contains("http status: 401");
    let refused = line.error.told().is_some_and(is_refusal);
    let record = Record {
        time: line.time,
        source: end(line.source_pod, line.source_namespace, &line.source_identity, source.ip()),
        destination: Told {
            names: names.into_iter().collect(),
            ..end(line.destination_pod, line.destination_namespace, &line.destination_identity, meant.ip())
        },
        port: Some(meant.port()),
        refused,
        ..Record::default()
    };
    Ok(Reading::Flows(vec![record]))
}

fn end<'l>(pod: Text<'l>, namespace: Text<'l>, uri: &Text<'_>, address: std::net::IpAddr) -> Told<'l> {
    let known = uri.told().and_then(identity);
    let account = known.map(|(_, account)| Text::of(account.to_owned())).unwrap_or_default();
    let namespace = match (namespace.told(), known) {
        (None, Some((namespace, _))) => Text::of(namespace.to_owned()),
        _ => namespace,
    };
    Told { namespace, pod, account, address: Some(address), ..Told::default() }
}

//! Envoy's access log as Istio writes it with `accessLogEncoding: JSON`: a line for each request or connection, of the
//! sidecar that sends, of the one that receives, or of a gateway.
//!
//! ```text
//! sends      "upstream_cluster":"outbound|8080||api.garden.svc.cluster.local"  "upstream_host":"10.244.1.7:8080"
//! receives   "upstream_cluster":"inbound|8080||"   "downstream_local_address":"10.244.1.7:8080"
//! gateway    "upstream_cluster":"outbound|…"       "upstream_local_address" is not the address of the client
//! ```
//!
//! An address with port 0 is from `X-Forwarded-For`: the request came through a gateway, whose identity is in
//! `downstream_peer_uri_san` if the log has this field, or else in the gateway's own line alone.
//!
//! What `outboundTrafficPolicy: REGISTRY_ONLY` refuses has the cluster `BlackHoleCluster`; or none, with the route
//! `block_all` (HTTP) or the response flag `UH` (TCP, istio/istio#33281).
//!
//! Envoy logs only the addresses of pods. The name of a host outside is in the name of the Envoy cluster
//! (`outbound|443||zenquotes.io`); for `PassthroughCluster` it is the name that TLS or HTTP asked for.

use std::net::SocketAddr;

use serde::Deserialize;

use super::record::{Passed, Reading, Record, Told, identity, socket};
use super::text::Text;

/// The fields of a line that are read.
#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow, default)]
    start_time: Text<'l>,
    #[serde(borrow, default)]
    upstream_cluster: Text<'l>,
    #[serde(borrow, default)]
    upstream_host: Text<'l>,
    #[serde(borrow, default)]
    upstream_local_address: Text<'l>,
    #[serde(borrow, default)]
    downstream_local_address: Text<'l>,
    #[serde(borrow, default)]
    downstream_remote_address: Text<'l>,
    #[serde(borrow, default)]
    downstream_peer_uri_san: Text<'l>,
    #[serde(borrow, default)]
    requested_server_name: Text<'l>,
    #[serde(borrow, default)]
    authority: Text<'l>,
    #[serde(borrow, default)]
    method: Text<'l>,
    #[serde(borrow, default)]
    path: Text<'l>,
    #[serde(borrow, default)]
    response_code_details: Text<'l>,
    #[serde(borrow, default)]
    connection_termination_details: Text<'l>,
    #[serde(borrow, default)]
    response_flags: Text<'l>,
    #[serde(borrow, default)]
    route_name: Text<'l>,
}

/// Reads a line of Envoy.
pub(super) fn line(line: &[u8]) -> Result<Reading<'_>, String> {
    let line: Line<'_> =
        serde_json::from_slice(line).map_err(|error| format!("this is no access log of Envoy: {error}"))?;
    if line.upstream_cluster == Text::default() && line.downstream_remote_address == Text::default() {
        return Err("this is no access log of Envoy: it has no `downstream_remote_address`".to_owned());
    }
    let client = socket(&line.downstream_remote_address).ok_or("`downstream_remote_address` is no address")?;
    let cluster = line.upstream_cluster.told().unwrap_or_default();
    if cluster.starts_with("inbound|") || cluster == "InboundPassthroughCluster" {
        return received(&line, client);
    }
    sent(&line, client, cluster)
}

/// Returns the flow that a sidecar received for its pod, and let in or refused.
fn received<'l>(line: &Line<'l>, client: SocketAddr) -> Result<Reading<'l>, String> {
    let here = socket(&line.downstream_local_address).filter(|here| here.port() > 0);
    let here = here.ok_or("`downstream_local_address` is no address with a port")?;
    let peer = line.downstream_peer_uri_san.told().and_then(identity);
    let is_forwarded = client.port() == 0;
    let mut source = if is_forwarded { Told::default() } else { Told::at(client.ip()) };
    match peer {
        Some((namespace, account)) => {
            (source.namespace, source.account) = (Text::of(namespace.to_owned()), Text::of(account.to_owned()));
        }
        None if is_forwarded => return Ok(Reading::Passed(Passed::Forwarded)),
        None => {}
    }
    let flow = record(line, source, Told::at(here.ip()), here.port());
    Ok(Reading::Flows(vec![Record { client: is_forwarded.then_some(client.ip()), ..flow }]))
}

/// Returns the flow that a sidecar sent for its pod, or the two flows to and from a gateway.
fn sent<'l>(line: &Line<'l>, client: SocketAddr, cluster: &str) -> Result<Reading<'l>, String> {
    let flags = line.response_flags.told().unwrap_or_default();
    let is_unregistered = line.route_name.told() == Some("block_all") || flags.split(',').any(|flag| flag == "UH");
    let refused = cluster == "BlackHoleCluster" || cluster.is_empty() && is_unregistered;
    let dialled = socket(&line.downstream_local_address);
    let mut parts = cluster.split('|');
    let (kind, _, _, name) = (parts.next(), parts.next(), parts.next(), parts.next());
    let service = name.filter(|_| kind == Some("outbound"));
    let upstream = socket(&line.upstream_host);
    if let (None, Some(here), true) = (upstream, dialled.filter(|here| here.port() > 0), is_denied(line)) {
        // Only a gateway refuses by a policy what it would send on.
        return Ok(Reading::Flows(vec![record(line, Told::at(client.ip()), Told::at(here.ip()), here.port())]));
    }
    let to = upstream.or(dialled.filter(|_| service.is_none()));
    let Some(to) = to.filter(|to| to.port() > 0) else {
        // Envoy chose no pod: none was healthy, or there was no route.
        return Ok(Reading::Passed(Passed::Service));
    };
    let asked = || [&line.requested_server_name, &line.authority].into_iter().find_map(Text::told);
    let outside = match service {
        Some(name) => Some(name).filter(|name| !name.contains(".svc.")),
        None => asked(),
    };
    let mut destination = Told::at(to.ip());
    destination.names.extend(outside.map(|name| Text::of(name.to_owned())));
    let proxy = socket(&line.upstream_local_address).map(|own| own.ip()).filter(|own| *own != client.ip());
    let mut flows = Vec::new();
    match (proxy, dialled) {
        (Some(gateway), Some(dialled)) if dialled.port() > 0 && dialled.ip() == gateway => {
            flows.push(record(line, Told::at(client.ip()), Told::at(gateway), dialled.port()));
            let onward = record(line, Told::at(gateway), destination, to.port());
            flows.push(Record { client: Some(client.ip()), tls: Text::default(), ..onward });
        }
        _ if client.port() == 0 => return Ok(Reading::Passed(Passed::Forwarded)),
        _ => flows.push(record(line, Told::at(client.ip()), destination, to.port())),
    }
    flows.iter_mut().for_each(|flow| flow.refused |= refused);
    Ok(Reading::Flows(flows))
}

/// Returns whether an AuthorizationPolicy refused what a line tells.
fn is_denied(line: &Line<'_>) -> bool {
    let denied = |text: &Text<'_>| text.told().is_some_and(|text| text.starts_with("rbac_access_denied"));
    denied(&line.response_code_details) || denied(&line.connection_termination_details)
}

fn record<'l>(line: &Line<'l>, source: Told<'l>, destination: Told<'l>, port: u16) -> Record<'l> {
    // The name in the mesh's own TLS, `outbound_.8080_._.api.garden.svc.cluster.local`, is not a name that the client
    // asked for.
    let between_sidecars = line.requested_server_name.told().is_some_and(|name| name.starts_with("outbound_."));
    Record {
        time: line.start_time.clone(),
        source,
        destination,
        port: Some(port),
        method: line.method.clone(),
        path: line.path.clone(),
        host: line.authority.clone(),
        tls: if between_sidecars { Text::default() } else { line.requested_server_name.clone() },
        refused: is_denied(line),
        ..Record::default()
    }
}

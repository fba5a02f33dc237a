//! Endpoints and EndpointSlices of the Service `default/kubernetes`: the addresses and ports of the API servers. Those
//! of other Services are skipped, because the Pods have the same addresses.

use super::document::Mistakes;
use super::fields;
use super::kind::Endpoints;
use super::object::Meta;
use super::tree::At;
use crate::inventory::ApiServer;
use crate::model::ports::Protocol;

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Reads the API servers of an object of the Service `default/kubernetes`; an object of another Service has none.
pub(super) fn api_servers(
    kind: Endpoints,
    meta: &Meta<'_>,
    object: At<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Vec<ApiServer> {
    let named = match kind {
        Endpoints::Whole => meta.name == "kubernetes",
        Endpoints::Slice => meta.labels.get(SERVICE_NAME).unwrap_or(&meta.name) == "kubernetes",
    };
    if meta.namespace != "default" || !named {
        return Vec::new();
    }
    let groups = match kind {
        Endpoints::Whole => fields::mappings(object, "subsets", mistakes),
        Endpoints::Slice => vec![object],
    };
    let mut found = Vec::new();
    for group in groups {
        let addresses: Vec<At<'_>> = match kind {
            Endpoints::Whole => {
                let addresses = fields::mappings(group, "addresses", mistakes);
                addresses.into_iter().filter_map(|address| address.get("ip")).collect()
            }
            Endpoints::Slice => {
                let endpoints = fields::mappings(group, "endpoints", mistakes);
                endpoints.into_iter().flat_map(|endpoint| fields::list(endpoint, "addresses", mistakes)).collect()
            }
        };
        let addresses = fields::addresses(&addresses, "addresses", mistakes);
        for at in fields::mappings(group, "ports", mistakes) {
            let number = at.get("port").and_then(|number| fields::port(number, "port", mistakes));
            let Some(port) = number.filter(|_| fields::protocol(at, mistakes) == Protocol::Tcp) else { continue };
            found.extend(addresses.iter().map(|&address| ApiServer { address, port, origin: meta.origin }));
        }
    }
    found
}

//! The typed program: rules whose names, facts and ports are resolved, in the order of the source.

use std::sync::Arc;

use crate::inventory::Inventory;
use crate::model::addresses::AddressSet;
use crate::model::endpoint::Endpoint;
use crate::model::gateways::Gateway;
use crate::model::rules::{Claim, Rule, Test};
use crate::resolve::Lookups;

/// The typed statements of a build; after errors, those without one.
#[derive(Clone, Debug)]
pub struct Program {
    /// The rules; templates are expanded at their `apply`, and `<->` is two rules.
    pub rules: Vec<Rule>,
    /// The assertions.
    pub assertions: Vec<Claim>,
    /// The tests.
    pub tests: Vec<Test>,
    /// The definitions of the names in the user's files, by the span of each name.
    pub lookups: Lookups,
    /// The gateways of all modules in use, in the order of their declarations.
    pub gateways: Vec<Arc<Gateway>>,
    /// The facts of the cluster, those of the source's declarations included.
    pub inventory: Arc<Inventory>,
    /// The cluster's DNS as a destination: the prelude's `dns`, with the resolver addresses of the settings.
    pub dns: Arc<Endpoint>,
    /// istiod's pods on TCP 15012, from std/istio.
    pub istiod: Arc<Endpoint>,
    /// The API servers on their ports; empty where not known.
    pub api_server: Arc<Endpoint>,
    /// std/net's `internet`.
    pub internet: AddressSet,
    /// `[cluster] pods`; empty where not known.
    pub pod_addresses: AddressSet,
    /// The prelude's `nodes`; empty where not known.
    pub node_addresses: AddressSet,
}

//! The kinds of objects.

use crate::inventory::{PolicyKind, WorkloadKind};

/// The kinds that are read; all others are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Namespace,
    Service,
    ServiceAccount,
    /// The addresses behind a Service.
    Endpoints(Endpoints),
    Workload(WorkloadKind),
    Policy(PolicyKind),
    /// A Gateway or a route.
    Routing(Routing),
    /// Another kind that builds write.
    Written(&'static str),
}

impl Kind {
    /// Returns the kind of an `apiVersion` and a `kind`. The group matters: Knative has a Service too, and Volcano a
    /// Job.
    pub(super) fn of(api_version: &str, kind: &str) -> Option<Kind> {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let workload = match (group, kind) {
            ("", "Namespace") => return Some(Kind::Namespace),
            ("", "Service") => return Some(Kind::Service),
            ("", "ServiceAccount") => return Some(Kind::ServiceAccount),
            ("", "Endpoints") => return Some(Kind::Endpoints(Endpoints::Whole)),
            ("discovery.k8s.io", "EndpointSlice") => return Some(Kind::Endpoints(Endpoints::Slice)),
            ("networking.k8s.io", "NetworkPolicy") => return Some(Kind::Policy(PolicyKind::NetworkPolicy)),
            ("security.istio.io", "AuthorizationPolicy") => return Some(Kind::Policy(PolicyKind::AuthorizationPolicy)),
            ("security.istio.io", "PeerAuthentication") => return Some(Kind::Policy(PolicyKind::PeerAuthentication)),
            ("networking.istio.io", "Sidecar") => return Some(Kind::Policy(PolicyKind::Sidecar)),
            ("networking.istio.io", "Gateway") => return Some(Kind::Routing(Routing::IstioGateway)),
            ("networking.istio.io", "VirtualService") => return Some(Kind::Routing(Routing::VirtualService)),
            ("networking.istio.io", "ServiceEntry") => return Some(Kind::Written("ServiceEntry")),
            ("networking.istio.io", "DestinationRule") => return Some(Kind::Written("DestinationRule")),
            ("security.istio.io", "RequestAuthentication") => {
                return Some(Kind::Policy(PolicyKind::RequestAuthentication));
            }
            ("gateway.networking.k8s.io", "Gateway") => return Some(Kind::Routing(Routing::Gateway)),
            ("gateway.networking.k8s.io", "HTTPRoute") => return Some(Kind::Routing(Routing::HttpRoute)),
            ("", "Pod") => WorkloadKind::Pod,
            ("apps" | "extensions", "Deployment") => WorkloadKind::Deployment,
            ("apps", "StatefulSet") => WorkloadKind::StatefulSet,
            ("apps" | "extensions", "DaemonSet") => WorkloadKind::DaemonSet,
            ("apps" | "extensions", "ReplicaSet") => WorkloadKind::ReplicaSet,
            ("batch", "Job") => WorkloadKind::Job,
            ("batch", "CronJob") => WorkloadKind::CronJob,
            _ => return None,
        };
        Some(Kind::Workload(workload))
    }

    /// Returns the kind as a manifest writes it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Namespace => "Namespace",
            Kind::Service => "Service",
            Kind::ServiceAccount => "ServiceAccount",
            Kind::Endpoints(Endpoints::Whole) => "Endpoints",
            Kind::Endpoints(Endpoints::Slice) => "EndpointSlice",
            Kind::Workload(kind) => kind.word(),
            Kind::Policy(kind) => kind.word(),
            Kind::Routing(Routing::IstioGateway | Routing::Gateway) => "Gateway",
            Kind::Routing(Routing::VirtualService) => "VirtualService",
            Kind::Routing(Routing::HttpRoute) => "HTTPRoute",
            Kind::Written(word) => word,
        }
    }

    /// Returns whether builds write objects of this kind.
    pub fn is_written(self) -> bool {
        match self {
            Kind::Policy(_) | Kind::Written(_) | Kind::Routing(Routing::IstioGateway | Routing::VirtualService) => true,
            Kind::Routing(Routing::Gateway | Routing::HttpRoute) => false,
            Kind::Namespace | Kind::Service | Kind::ServiceAccount | Kind::Endpoints(_) | Kind::Workload(_) => false,
        }
    }
}

/// The kinds that have the addresses behind a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoints {
    /// core/v1 Endpoints.
    Whole,
    /// discovery.k8s.io EndpointSlice.
    Slice,
}

/// The kinds of Gateways and routes, of Istio and of the Gateway API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Routing {
    IstioGateway,
    VirtualService,
    Gateway,
    HttpRoute,
}

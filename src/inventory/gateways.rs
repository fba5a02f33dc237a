//! Gateway objects and routes: which ports of a gateway are HTTP, which terminate TLS and which pass it on, and which
//! routes change the path or the host of a request.

use smol_str::SmolStr;

use super::{Inventory, MADE_FOR};
use crate::model::hosts::HostName;
use crate::model::labels::{Labels, PodSelector, Test};
use crate::model::ports::AppProtocol;
use crate::source::Span;

/// One port of a Gateway object, for some hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The pods that open it.
    pub of: ListenerOf,
    /// `namespace/name` of the object.
    pub object: SmolStr,
    /// The port: the Service's or the pods'.
    pub port: u16,
    /// The protocol of the port: `Https` is TLS that ends at the gateway, `Tls` TLS that is passed on by its name,
    /// `None` TCP.
    pub app: Option<AppProtocol>,
    /// The hosts; `None` is every one.
    pub hosts: Vec<Option<HostName>>,
    /// Its span.
    pub origin: Span,
}

/// How a Gateway object chooses its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerOf {
    /// Istio's Gateway: by labels, in any namespace.
    Labels(Labels),
    /// The Gateway API's: pods that are made for it, or those of a Service that it names.
    Made {
        /// The Gateway's namespace.
        namespace: SmolStr,
        /// Its name.
        name: SmolStr,
        /// The Service that it names, in the same namespace.
        service: Option<SmolStr>,
    },
}

/// A route that changes the path or the host of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The kind, the namespace and the name of the object: `VirtualService garden/web`.
    pub title: SmolStr,
    /// The hosts that it routes; `None` is every one.
    pub hosts: Vec<Option<HostName>>,
    /// Whether it changes a path.
    pub path: bool,
    /// Whether it changes the host.
    pub host: bool,
    /// Its span.
    pub origin: Span,
}

impl Inventory {
    /// Returns the ports that Gateway objects open on the pods of a gateway with some Service.
    pub fn listeners_on(&self, pods: &[PodSelector], service: Option<&(SmolStr, SmolStr)>) -> Vec<&Listener> {
        self.listeners.iter().filter(|listener| self.opens_on(&listener.of, pods, service)).collect()
    }

    fn opens_on(&self, of: &ListenerOf, pods: &[PodSelector], service: Option<&(SmolStr, SmolStr)>) -> bool {
        match of {
            ListenerOf::Labels(labels) => pods.iter().any(|pods| {
                let has =
                    |(key, value): (&SmolStr, &SmolStr)| pods.labels.values(key) == Some(std::slice::from_ref(value));
                labels.iter().all(has)
                    || self
                        .select(pods)
                        .iter()
                        .any(|workload| labels.iter().all(|(key, value)| workload.labels.get(key) == Some(value)))
            }),
            ListenerOf::Made { namespace, name, service: named } => {
                let made = format!("{name}-istio");
                let of_service = service.is_some_and(|(home, service)| {
                    home == namespace
                        && match named {
                            Some(named) => service == named,
                            None => *service == made,
                        }
                });
                of_service
                    || pods.iter().any(|pods| {
                        let label = pods.labels.list().iter().find(|requirement| requirement.key == MADE_FOR);
                        let named =
                            matches!(label.map(|label| &label.test), Some(Test::In(names)) if names.contains(name));
                        named && pods.namespace_name().is_none_or(|home| home == namespace)
                    })
            }
        }
    }
}

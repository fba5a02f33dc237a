//! The platform by the inventory: its resolver, its API servers, and signs of which platform it is.
//!
//! ```text
//! Service kube-system/kube-dns: k8s-app=coredns, 53 to 1053     `dns` is kube-system/{k8s-app=coredns}:{1053/udp, 1053/tcp}
//! Endpoints default/kubernetes: 192.168.49.2:6443               `apiserver` is 192.168.49.2:6443
//! Namespace openshift-dns                                       a warning, unless the settings say `openshift`
//! ```

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::endpoints::address_set;
use super::facts::equalities;
use super::value::Value;
use super::{Checker, errors};
use crate::inventory::{Inventory, TargetPort};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Member, Members, Pods, What};
use crate::model::labels::{PodSelector, Requirement, Requirements, subtract_all};
use crate::model::ports::{PortMatch, PortTest, Ports, Protocol};
use crate::resolve::{Def, Role};
use crate::settings::Platform;
use crate::source::Span;

/// The label of the node-local cache of Kubernetes' add-on.
const NODE_LOCAL: (&str, &str) = ("k8s-app", "node-local-dns");

/// Returns the platform that an inventory shows, with the span and the words for the evidence.
pub fn mark(inventory: &Inventory) -> Option<(Platform, Span, String)> {
    let namespace =
        |name: &str| inventory.namespaces.get(name).map(|known| (known.origin, format!("namespace {name}")));
    let system = || inventory.workloads_in("kube-system").iter();
    let named = |name: &str| {
        let is = |text: &str| text.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        system().find(|known| is(&known.name)).map(|known| (known.origin, format!("kube-system/{}", known.name)))
    };
    let labelled = |domain: &str| {
        let has = |key: &SmolStr| {
            key.split_once('/').is_some_and(|(of, _)| of == domain || of.ends_with(&format!(".{domain}")))
        };
        system().find(|known| known.labels.keys().any(has)).map(|known| {
            let key = known.labels.keys().find(|key| has(key)).map(SmolStr::as_str).unwrap_or_default();
            (known.origin, format!("kube-system/{} with the label {key}", known.name))
        })
    };
    let gardener = labelled("gardener.cloud");
    let kyma = namespace("kyma-system").filter(|_| gardener.is_some() || system().next().is_none());
    let any = |all: &[&str], of: &dyn Fn(&str) -> Option<(Span, String)>| all.iter().find_map(|name| of(name));
    let found = [
        (Platform::Openshift, any(&["openshift-dns", "openshift-ingress", "openshift-apiserver"], &namespace)),
        (Platform::Kyma, kyma),
        (Platform::Gardener, gardener),
        (Platform::Gke, any(&["gke-managed-system", "gke-gmp-system", "gmp-system"], &namespace)),
        (Platform::Gke, any(&["gke-metadata-server", "gke-metrics-agent", "fluentbit-gke", "netd", "anetd"], &named)),
        (Platform::Aks, any(&["aks-command"], &namespace)),
        (Platform::Aks, labelled("kubernetes.azure.com")),
        (Platform::Aks, any(&["azure-cns", "azure-ip-masq-agent"], &named)),
        (Platform::Eks, labelled("eks.amazonaws.com")),
        (Platform::Eks, any(&["aws-node", "eks-pod-identity-agent"], &named)),
        (Platform::K3s, labelled("k3s.cattle.io")),
        (Platform::K3s, any(&["svclb-traefik"], &named)),
    ];
    found.into_iter().find_map(|(platform, found)| found.map(|(span, words)| (platform, span, words)))
}

/// Returns the pods behind the platform's DNS Service, by its usual label.
fn usual_resolver(platform: Platform) -> PodSelector {
    let ((namespace, _), (key, value)) = (platform.dns_service(), platform.dns_label());
    let label = Requirement::is_in(key, [SmolStr::new_static(value)]);
    PodSelector { labels: Requirements::one(label), ..PodSelector::in_namespace(namespace) }
}

impl Checker<'_> {
    /// Warns of an inventory that shows a platform which the settings do not name.
    pub(super) fn warn_of_platform(&mut self) {
        if self.settings.platform_is_said {
            return;
        }
        if let Some((platform, span, words)) = mark(self.inventory) {
            self.push(errors::platform_unsaid(span, platform, &words));
        }
    }

    /// Returns the pods behind the cluster's DNS Service, each port as it is theirs, if the inventory has the Service.
    fn resolver_of_inventory(&self) -> Option<(PodSelector, Ports)> {
        let inventory = self.inventory;
        let (namespace, name) = self.settings.platform.dns_service();
        let service = inventory.services.get(&(namespace.into(), name.into()))?;
        let labels = service.selector.as_ref().and_then(equalities)?;
        let pods = PodSelector { labels, ..PodSelector::in_namespace(namespace) };
        let port = |protocol, target: &TargetPort| match target {
            TargetPort::Number(number) => PortMatch::range(*number, *number, protocol),
            TargetPort::Name(name) => match inventory.numbers_of(&pods, name, protocol).as_deref() {
                Some(&[number]) => PortMatch::range(number, number, protocol),
                _ => PortMatch { port: PortTest::Named(name.clone()), ..PortMatch::range(1, 1, protocol) },
            },
        };
        let ports: Vec<PortMatch> =
            service.ports.iter().filter(|own| own.port == 53).map(|own| port(own.protocol, &own.target)).collect();
        (!ports.is_empty()).then_some((pods, Ports::Some(ports)))
    }

    /// Returns the prelude's `dns`, with the pods of the cluster's DNS Service instead of those with the usual label.
    pub(super) fn follow_resolver(&self, span: Span, written: Members) -> Members {
        let Some((pods, ports)) = self.resolver_of_inventory() else { return written };
        let usual = usual_resolver(self.settings.platform);
        let what = What::Pods(Pods { selector: pods, named: None });
        let mut members = Members::from_iter([Member { span, what, ports }]);
        for member in written {
            match &member.what {
                What::Pods(pods) if pods.selector.overlaps(&usual) => {
                    let left = subtract_all(std::slice::from_ref(&pods.selector), std::slice::from_ref(&usual));
                    let with = |selector| Member { what: What::Pods(Pods { selector, named: None }), ..member.clone() };
                    members.extend(left.into_iter().map(with));
                }
                _ => members.push(member),
            }
        }
        members
    }

    /// Returns the value of `coredns` of std/k8s: the resolver's pods.
    pub(super) fn coredns(&self, def: Def) -> Option<Value> {
        let module = self.names.module(def.module);
        let (span, path) = (self.names.name_span(def), &self.sources.file(module.file.id).path);
        if module.role != Role::Standard || path != "std/k8s" || self.text(span) != "coredns" {
            return None;
        }
        let known = self.resolver_of_inventory().map(|(pods, _)| pods);
        let selector = known.unwrap_or_else(|| usual_resolver(self.settings.platform));
        Some(Value::one(span, What::Pods(Pods { selector, named: None })))
    }

    /// Returns the API servers of the inventory, on their ports.
    pub(super) fn api_servers(&self) -> Option<Value> {
        let servers = &self.inventory.api_servers;
        let origin = servers.first()?.origin;
        let mut by_port: BTreeMap<u16, AddressSet> = BTreeMap::new();
        for server in servers {
            by_port.entry(server.port).or_default().blocks.extend(AddressSet::of([server.address.into()]).blocks);
        }
        let member = |(port, set)| Member {
            span: origin,
            what: What::Addresses(set),
            ports: Ports::Some(vec![PortMatch::range(port, port, Protocol::Tcp)]),
        };
        let members: Members = by_port.into_iter().map(member).collect();
        Some(Value { mixed: Some(origin), ports: Some(origin), ..Value::of(members) })
    }

    /// Returns whether `apiserver` means addresses here.
    pub(super) fn knows_api_server(&self) -> bool {
        !self.settings.apiserver.is_empty() || !self.inventory.api_servers.is_empty()
    }

    /// Warns of keys of `[cluster]` that name the cluster IP of a Service, which no plugin sees.
    pub(super) fn warn_of_cluster_addresses(&mut self) {
        let (inventory, settings) = (self.inventory, self.settings);
        if inventory.services.is_empty() {
            return;
        }
        // A node-local cache answers at the address of the DNS Service itself.
        let on_nodes = !matches!(settings.platform, Platform::Kubernetes | Platform::K3s | Platform::Openshift)
            || inventory
                .workloads
                .iter()
                .any(|known| known.labels.get(NODE_LOCAL.0).is_some_and(|it| it == NODE_LOCAL.1));
        let dns = settings.platform.dns_service();
        let lists = [("apiserver", &settings.apiserver), ("nodes", &settings.nodes), ("resolver", &settings.resolver)];
        for (key, list) in lists {
            for written in list {
                let Some(value) = self.written(written) else { continue };
                let set = address_set(value.endpoint());
                let hit = inventory.services.iter().find_map(|((namespace, name), service)| {
                    let address = service.addresses.iter().find(|address| set.contains(**address))?;
                    let answers = key == "resolver" && on_nodes && (namespace.as_str(), name.as_str()) == dns;
                    (!answers).then_some(((namespace, name), *address))
                });
                if let Some((service, address)) = hit {
                    self.push(errors::setting_of_service(written.span, key, service, address));
                }
            }
        }
    }
}

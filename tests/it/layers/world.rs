//! The cluster that the policies speak of: the same facts as manifests, for the evaluators, and as what sends and
//! answers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use netpol::inventory::ContainerPort;
use netpol::model::labels::{Labels, NAMESPACE_NAME};
use netpol::model::ports::Protocol;
use netpol::policy::Party;

use crate::networkpolicy::engine;

/// What a pod is for Istio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A pod with a sidecar.
    Sidecar,
    /// A gateway: it has an identity, and nothing captures its traffic.
    Gateway,
    /// A pod outside the mesh.
    Plain,
}

/// A pod, as each evaluator knows it.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The pod as the evaluator of NetworkPolicy has it.
    pub net: engine::Pod,
    /// The pod as the evaluator of the source has it.
    pub source: netpol::policy::Pod,
    /// What it is for Istio.
    pub role: Role,
    /// Whether the inventory shows pods like it.
    pub known: bool,
}

impl Pod {
    /// Returns the name by which a pod is shown.
    pub fn name(&self) -> &str {
        &self.source.shown
    }

    /// Returns its address.
    pub fn address(&self) -> IpAddr {
        self.net.address.unwrap()
    }
}

/// A Service with an address of its own.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The label that selects its pods.
    pub selector: (&'static str, &'static str),
    /// Its address.
    pub address: IpAddr,
    /// Its ports: name, number, the pods' number, protocol.
    pub ports: &'static [(&'static str, u16, u16, &'static str)],
}

impl Service {
    /// Returns the Service's name in the mesh.
    pub fn host(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.name, self.namespace)
    }

    /// Returns whether a pod is behind it.
    pub fn selects(&self, pod: &Pod) -> bool {
        pod.net.namespace == self.namespace
            && pod.net.labels.get(self.selector.0).is_some_and(|value| value == self.selector.1)
    }
}

/// A cluster and what is around it.
pub struct World {
    /// Whether the compiler gets it as an inventory.
    pub given: bool,
    /// The pods.
    pub pods: Vec<Pod>,
    /// The Services.
    pub services: Vec<Service>,
    /// Hosts outside, each with the address where it is.
    pub hosts: Vec<(&'static str, IpAddr)>,
    /// Other addresses outside.
    pub addresses: Vec<IpAddr>,
}

const NAMESPACES: &[(&str, &[(&str, &str)])] = &[
    ("garden", &[("env", "prod"), ("istio-injection", "enabled")]),
    ("shop", &[("env", "prod"), ("istio-injection", "enabled")]),
    ("lab", &[("env", "dev"), ("istio-injection", "enabled")]),
    ("legacy", &[]),
    ("kube-system", &[]),
    ("istio-system", &[]),
];

type Ports = &'static [(&'static str, u16, &'static str)];

/// A workload: namespace, name, labels, account, ports, and what it is for Istio.
type Workload = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str, Ports, Role);

const WORKLOADS: &[Workload] = &[
    ("garden", "web", &[("app", "web"), ("tier", "front")], "web", WEB, Role::Sidecar),
    ("garden", "api", &[("app", "api"), ("tier", "back")], "api", API, Role::Sidecar),
    ("garden", "curl", &[("app", "curl"), ("tier", "back")], "curl", &[], Role::Sidecar),
    ("shop", "cart", &[("app", "cart")], "shared", CART, Role::Sidecar),
    ("shop", "stock", &[("app", "stock"), ("tier", "back")], "shared", STOCK, Role::Sidecar),
    ("lab", "probe", &[("app", "probe")], "probe", &[], Role::Sidecar),
    ("lab", "good", &[("app", "good")], "good", API, Role::Sidecar),
    ("legacy", "plain", &[("app", "plain")], "plain", API, Role::Plain),
    ("kube-system", "coredns", &[("k8s-app", "kube-dns")], "coredns", DNS, Role::Plain),
    (
        "istio-system",
        "istio-ingressgateway",
        &[("app", "istio-ingressgateway"), ("istio", "ingressgateway")],
        "istio-ingressgateway-service-account",
        GATEWAY,
        Role::Gateway,
    ),
    (
        "istio-system",
        "istio-egressgateway",
        &[("app", "istio-egressgateway"), ("istio", "egressgateway")],
        "istio-egressgateway-service-account",
        GATEWAY,
        Role::Gateway,
    ),
];

/// One number has two names here, and one name two numbers.
const WEB: Ports = &[("http", 8080, "TCP"), ("metrics", 8080, "TCP"), ("raw", 9000, "TCP"), ("sync", 9000, "UDP")];
const API: Ports = &[("http", 8080, "TCP"), ("metrics", 9090, "TCP"), ("raw", 9000, "TCP")];
const CART: Ports = &[("http", 8080, "TCP"), ("metrics", 9090, "TCP")];
const STOCK: Ports = &[("grpc", 9090, "TCP"), ("http", 9000, "TCP")];
const DNS: Ports = &[("dns-tcp", 53, "TCP"), ("dns", 53, "UDP")];
const GATEWAY: Ports = &[("http2", 8080, "TCP"), ("https", 8443, "TCP")];

/// A pod of no workload: namespace, labels, account.
type Stranger = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// Pods that no inventory shows. None has labels of two workloads: which those obey, the inventory cannot tell.
const OTHERS: &[Stranger] =
    &[("garden", &[("tier", "front")], "default"), ("shop", &[], "default"), ("lab", &[("app", "late")], "default")];

/// Pods of accounts that their labels do not tell: only where no inventory says what runs as what.
const UNTOLD: &[Stranger] = &[
    ("lab", &[("app", "good")], "other"),
    ("lab", &[("app", "probe")], "good"),
    ("garden", &[("app", "web")], "api"),
    ("garden", &[("app", "web"), ("tier", "back")], "web"),
];

fn services() -> Vec<Service> {
    let at = |last: u8| IpAddr::from([10, 96, 0, last]);
    let service =
        |namespace, name, selector, last, ports| Service { namespace, name, selector, address: at(last), ports };
    vec![
        service("garden", "web", ("app", "web"), 1, &[("http", 80, 8080, "TCP"), ("tcp-raw", 9000, 9000, "TCP")]),
        service("garden", "api", ("app", "api"), 2, &[("http", 80, 8080, "TCP"), ("tcp-raw", 9000, 9000, "TCP")]),
        service("garden", "back", ("tier", "back"), 3, &[("http-back", 8080, 8080, "TCP")]),
        service("shop", "cart", ("app", "cart"), 4, &[("http", 80, 8080, "TCP")]),
        service("shop", "stock", ("app", "stock"), 5, &[("grpc", 9090, 9090, "TCP")]),
        service("lab", "good", ("app", "good"), 6, &[("http", 80, 8080, "TCP"), ("tcp-raw", 9000, 9000, "TCP")]),
        service(
            "kube-system",
            "kube-dns",
            ("k8s-app", "kube-dns"),
            10,
            &[("dns", 53, 53, "UDP"), ("dns-tcp", 53, 53, "TCP")],
        ),
        service(
            "istio-system",
            "istio-ingressgateway",
            ("istio", "ingressgateway"),
            11,
            &[("http2", 80, 8080, "TCP"), ("https", 443, 8443, "TCP")],
        ),
        service(
            "istio-system",
            "istio-egressgateway",
            ("istio", "egressgateway"),
            12,
            &[("http2", 80, 8080, "TCP"), ("https", 443, 8443, "TCP")],
        ),
    ]
}

impl World {
    /// Makes the cluster as the compiler knows it or does not.
    pub fn new(given: bool) -> World {
        let mut pods = Vec::new();
        for &(namespace, name, labels, account, ports, role) in WORKLOADS {
            // Two of each: pods of one workload are not one pod.
            for number in 1..=if role == Role::Sidecar { 2 } else { 1 } {
                // Without an inventory every pod that is no gateway counts as meshed.
                let role = if given || role == Role::Gateway { role } else { Role::Sidecar };
                let shown = format!("{namespace}/{name}-{number}");
                let address = [10, 244, pods.len() as u8, 1];
                pods.push(pod(shown, namespace, labels, account, ports, role, true, address));
            }
        }
        let untold = if given { &[][..] } else { UNTOLD };
        for &(namespace, labels, account) in OTHERS.iter().chain(untold) {
            let shown = format!("{namespace}/new-{}", pods.len());
            let address = [10, 244, pods.len() as u8, 1];
            pods.push(pod(shown, namespace, labels, account, API, Role::Sidecar, false, address));
        }
        let at = |last: u8| IpAddr::from([198, 51, 100, last]);
        World {
            given,
            pods,
            services: services(),
            hosts: vec![
                ("zenquotes.io", at(10)),
                ("api.zen.example", at(60)),
                ("evil.example", at(66)),
                ("a.wild.example", at(20)),
                ("db.wild.example", at(21)),
                ("db.zen.example", at(50)),
            ],
            addresses: vec![
                at(77),
                IpAddr::from([203, 0, 113, 7]),
                IpAddr::from([10, 9, 0, 1]),
                "2001:db8::7".parse().unwrap(),
            ],
        }
    }

    /// Returns the manifests, where the compiler gets them.
    pub fn manifests(&self) -> Option<String> {
        if !self.given {
            return None;
        }
        let list =
            |labels: &[(&str, &str)]| labels.iter().map(|(k, v)| format!("{k}: {v}")).collect::<Vec<_>>().join(", ");
        let mut out = String::new();
        for (name, labels) in NAMESPACES {
            let labels = list(labels);
            _ = writeln!(
                out,
                "---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name}, labels: {{ {labels} }} }}"
            );
        }
        for (namespace, name, labels, account, ports, role) in WORKLOADS {
            let ports: String = ports
                .iter()
                .map(|(name, number, protocol)| {
                    format!("\n            - {{ name: {name}, containerPort: {number}, protocol: {protocol} }}")
                })
                .collect();
            let ports = if ports.is_empty() { String::new() } else { format!("\n          ports:{ports}") };
            let note = if *role == Role::Plain { ", annotations: { sidecar.istio.io/inject: \"false\" }" } else { "" };
            let first = list(&labels[..1]);
            let labels = list(labels);
            _ = writeln!(
                out,
                "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec:\n  \
                 selector: {{ matchLabels: {{ {first} }} }}\n  template:\n    metadata: {{ labels: {{ {labels} }}{note} }}\n    \
                 spec:\n      serviceAccountName: {account}\n      containers:\n        - name: app\n          \
                 image: example/app{ports}",
            );
        }
        for service in &self.services {
            let Service { namespace, name, selector: (key, value), address, ports } = service;
            _ = writeln!(
                out,
                "---\napiVersion: v1\nkind: Service\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec:\n  \
                 clusterIP: {address}\n  selector: {{ {key}: {value} }}\n  ports:"
            );
            for (name, port, target, protocol) in *ports {
                _ = writeln!(out, "    - {{ name: {name}, port: {port}, targetPort: {target}, protocol: {protocol} }}");
            }
        }
        Some(out)
    }

    /// Returns the facts that the source itself states, where there is no inventory.
    pub fn declarations(&self) -> &'static str {
        if self.given {
            ""
        } else {
            "namespace garden { labels { env = prod } }\nnamespace lab { labels { env = dev } }\n"
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "the facts of a pod")]
fn pod(
    shown: String,
    namespace: &str,
    labels: &[(&str, &str)],
    account: &str,
    ports: Ports,
    role: Role,
    known: bool,
    address: [u8; 4],
) -> Pod {
    let own = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
        list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let (_, of_namespace) = NAMESPACES.iter().find(|(name, _)| *name == namespace).unwrap();
    let mut namespace_labels = own(of_namespace);
    namespace_labels.insert(NAMESPACE_NAME.into(), namespace.into());
    let labels = own(labels);
    let typed =
        |list: &BTreeMap<String, String>| -> Labels { list.iter().map(|(k, v)| (k.into(), v.into())).collect() };
    let container = |&(name, port, protocol): &(&'static str, u16, &str)| ContainerPort {
        name: Some(name.into()),
        port,
        protocol: if protocol == "UDP" { Protocol::Udp } else { Protocol::Tcp },
    };
    let source = netpol::policy::Pod {
        shown,
        namespace_labels: typed(&namespace_labels),
        labels: typed(&labels),
        account: account.into(),
        ports: ports.iter().map(container).collect(),
        sidecar: role == Role::Sidecar,
        single: true,
    };
    let ports =
        ports.iter().map(|(name, port, protocol)| ((*name).to_owned(), *port, (*protocol).to_owned())).collect();
    let net =
        engine::Pod { namespace: namespace.into(), namespace_labels, labels, address: Some(address.into()), ports };
    Pod { net, source, role, known }
}

/// Returns the party that a pod is.
pub fn party(pod: &Pod) -> Party {
    Party::Pod(pod.source.clone())
}

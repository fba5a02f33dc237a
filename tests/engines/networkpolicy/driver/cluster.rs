//! Random clusters: namespaces, workloads with one pod each, Services, and addresses outside.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use netpol::policy;
use netpol::settings::Platform;
use serde_json::{Value, json};

use crate::random::Random;

/// Where pods are, as `[cluster] pods` says it.
pub const POD_RANGES: [&str; 2] = ["10.244.0.0/16", "fd00:10:244::/56"];

/// A resolver on the nodes.
pub const NODE_RESOLVER: &str = "169.254.20.10";
/// Where nodes are.
pub const NODES: &str = "192.168.0.0/24";
/// Where the API server is.
pub const API_SERVER: &str = "192.168.0.2:6443";

/// Addresses that are no pod's.
const OUTSIDE: [&str; 13] = [
    "203.0.113.7",
    "203.0.113.200",
    "198.51.100.1",
    "8.8.8.8",
    "169.254.169.254",
    "10.9.0.1",
    "2001:db8::1",
    "2001:db8:1::5",
    "2606:4700::1111",
    "fd12::1",
    "169.254.20.10",
    "192.168.0.2",
    "192.168.0.77",
];

/// Keys of pods' labels, their values (some of which YAML would take for no strings), and how many of a hundred pods
/// have them.
pub const POD_LABELS: [(&str, [&str; 3], usize); 4] = [
    ("app", ["web", "api", "db"], 90),
    ("example.com/tier", ["front", "1e3", ""], 60),
    ("canary", ["yes", "no", "null"], 25),
    ("zone", ["1", "0x1F", "2026-01-31"], 20),
];
/// The same of namespaces.
pub const NAMESPACE_LABELS: [(&str, [&str; 3], usize); 2] =
    [("env", ["prod", "dev", ""], 70), ("team", ["a", "b", "on"], 70)];

pub type Labels = BTreeMap<String, String>;

/// A cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Namespaces with their labels, without the label of their name.
    pub namespaces: BTreeMap<String, Labels>,
    /// The pods, one of each workload.
    pub pods: Vec<Pod>,
    /// Services.
    pub services: Vec<Service>,
    /// Addresses that are no pod's.
    pub outside: Vec<IpAddr>,
    /// Namespaces of which no manifest tells the labels.
    pub unknown: Vec<String>,
    /// Whether the compiler is given the manifests; else the source declares the namespaces.
    pub inventory: bool,
    /// Whether the compiler is told where pods are.
    pub ranges_known: bool,
    /// Whether the nodes have a resolver.
    pub node_resolver: bool,
    /// The platform, which decides where the resolver is.
    pub platform: Platform,
    /// Whether the way to the resolver must be written.
    pub explicit_dns: bool,
    /// Whether there is a gateway.
    pub gateway: bool,
    /// Whether Istio is a layer too, so that sidecars need their way to istiod.
    pub istio: bool,
}

/// A workload's pod.
#[derive(Clone, Debug)]
pub struct Pod {
    pub namespace: String,
    pub workload: String,
    /// The selector of the Deployment that it is of; where there is none it is a Pod of its own.
    pub selector: Option<Labels>,
    pub account: String,
    pub labels: Labels,
    pub addresses: Vec<IpAddr>,
    pub ports: Vec<PodPort>,
    /// Whether it is on the host network, where no policy selects it: to the engines it is an address.
    pub on_host: bool,
    /// Whether no manifest tells of it, as of a pod that is made later.
    pub unlisted: bool,
    /// Whether the source declares it, instead of a manifest.
    pub declared: bool,
    /// Whether it has a sidecar, which needs the way to istiod where Istio is a layer.
    pub sidecar: bool,
}

#[derive(Clone, Debug)]
pub struct PodPort {
    pub name: String,
    pub port: u16,
    pub protocol: String,
}

/// A Service of the pods with one label.
#[derive(Clone, Debug)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    pub select: (String, String),
    pub port: u16,
    /// A number or a port name.
    pub target: String,
    /// Whether it has no address of its own.
    pub headless: bool,
}

impl Cluster {
    /// Returns a cluster in which there is nothing.
    pub fn empty() -> Cluster {
        Cluster {
            namespaces: BTreeMap::new(),
            pods: Vec::new(),
            services: Vec::new(),
            outside: Vec::new(),
            unknown: Vec::new(),
            inventory: false,
            ranges_known: false,
            node_resolver: false,
            platform: Platform::Kubernetes,
            explicit_dns: false,
            gateway: false,
            istio: false,
        }
    }

    /// Makes a cluster.
    pub fn random(random: &mut Random) -> Cluster {
        let mut cluster = Cluster {
            inventory: random.percent(90),
            ranges_known: random.percent(90),
            node_resolver: random.percent(20),
            platform: if random.percent(70) { Platform::Kubernetes } else { random.pick(&Platform::ALL) },
            explicit_dns: random.percent(10),
            gateway: random.percent(40),
            istio: random.percent(15),
            ..Cluster::empty()
        };
        for name in &["garden", "shop", "lab"][..random.between(2, 3)] {
            let mut labels = Labels::new();
            for (key, values, share) in NAMESPACE_LABELS {
                if random.percent(share) {
                    labels.insert(key.into(), random.pick(&values).into());
                }
            }
            if cluster.istio && random.percent(60) {
                labels.insert("istio-injection".into(), "enabled".into());
            }
            if random.percent(5) {
                labels.clear();
                cluster.unknown.push((*name).into());
            }
            cluster.namespaces.insert((*name).into(), labels);
            for number in 0..random.between(1, 3) {
                let mut pod = cluster.pod(random, name, number);
                // Of sidecars only manifests tell.
                pod.declared = cluster.inventory && !cluster.istio && !pod.labels.is_empty() && random.percent(12);
                cluster.pods.push(pod);
            }
        }
        if random.percent(60) {
            cluster.add_resolver();
        }
        if cluster.istio {
            cluster.add_istiod();
        }
        if cluster.gateway {
            cluster.add_gateway();
        }
        if cluster.inventory && random.percent(40) {
            cluster.add_service(random);
        }
        let from = random.below(OUTSIDE.len());
        let outside = OUTSIDE.iter().cycle().skip(from).step_by(3).take(5);
        cluster.outside = outside.map(|address| parsed(address)).collect();
        if random.percent(10) {
            cluster.add_host_pod(random);
        }
        cluster
    }

    fn pod(&self, random: &mut Random, namespace: &str, number: usize) -> Pod {
        let mut labels = Labels::new();
        for (key, values, share) in POD_LABELS {
            if random.percent(share) {
                labels.insert(key.into(), random.pick(&values).into());
            }
        }
        if self.istio && random.percent(20) {
            labels.insert("sidecar.istio.io/inject".into(), random.pick(&["true", "false"]).into());
        }
        let mut ports = Vec::new();
        let named: [(&str, [u16; 2], &[&str], usize); 3] = [
            ("http", [8080, 80], &["TCP", "TCP", "TCP", "UDP"], 60),
            ("metrics", [9090, 8080], &["TCP"], 40),
            ("dns", [53, 5353], &["UDP", "UDP", "SCTP"], 20),
        ];
        for (name, numbers, protocols, share) in named {
            let port = PodPort::new(name, random.pick(&numbers), random.pick(protocols));
            let taken = |other: &PodPort| (other.port, &other.protocol) == (port.port, &port.protocol);
            // Now and then a number has two names.
            if random.percent(share) && (!ports.iter().any(taken) || random.percent(50)) {
                ports.push(port);
            }
        }
        Pod {
            namespace: namespace.into(),
            workload: format!("w{number}"),
            selector: match random.below(10) {
                _ if labels.is_empty() => None,
                0..=2 => None,
                3..=7 => Some(labels.clone()),
                _ => Some(labels.clone().into_iter().take(1).collect()),
            },
            account: random.weighted(&[(4, "default"), (1, "curl")]).into(),
            labels,
            addresses: addresses(self.pods.len(), random.weighted(&[(6, 4), (3, 0), (1, 6)])),
            ports,
            on_host: false,
            unlisted: false,
            declared: false,
            // Without an inventory every pod counts as meshed; with one it is asked.
            sidecar: !self.inventory,
        }
    }

    /// The pods to which the way is granted where names are meant.
    fn add_resolver(&mut self) {
        self.add_pod("kube-system", &[("k8s-app", "kube-dns")], PodPort::new("dns", 53, "UDP"));
    }

    /// The pods of the gateway that policies declare.
    fn add_gateway(&mut self) {
        self.add_pod("edges", &[("app", "envoy")], PodPort::new("tls", 8443, "TCP"));
    }

    /// The pods that sidecars get their configuration from.
    fn add_istiod(&mut self) {
        let labels = [("app", "istiod"), ("istio", "pilot")];
        self.add_pod("istio-system", &labels, PodPort::new("xds", 15012, "TCP"));
    }

    fn add_pod(&mut self, namespace: &str, labels: &[(&str, &str)], port: PodPort) {
        self.namespaces.insert(namespace.into(), Labels::new());
        self.pods.push(Pod {
            namespace: namespace.into(),
            workload: "main".into(),
            selector: None,
            account: "default".into(),
            labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            addresses: addresses(self.pods.len(), 0),
            ports: vec![port],
            on_host: false,
            unlisted: false,
            declared: false,
            sidecar: !self.inventory,
        });
    }

    fn add_service(&mut self, random: &mut Random) {
        let pod = random.pick(&self.pods);
        if let (Some((key, value)), Some(port)) = (pod.labels.iter().next(), pod.ports.first()) {
            if port.protocol != "TCP" {
                return;
            }
            self.services.push(Service {
                namespace: pod.namespace.clone(),
                name: "front".into(),
                select: (key.clone(), value.clone()),
                port: 8000,
                target: if random.percent(50) { port.name.clone() } else { port.port.to_string() },
                headless: random.percent(25),
            });
        }
    }

    fn add_host_pod(&mut self, random: &mut Random) {
        let mut pod = random.pick(&self.pods);
        pod.workload = "agent".into();
        pod.selector = None;
        pod.on_host = true;
        pod.addresses = self.outside.iter().copied().take(1).collect();
        self.pods.push(pod);
    }

    /// Returns the pods that policies select.
    pub fn selectable(&self) -> impl Iterator<Item = &Pod> + Clone {
        self.pods.iter().filter(|pod| !pod.on_host)
    }

    /// Returns the pods that the compiler may be told of.
    pub fn listed(&self) -> impl Iterator<Item = &Pod> + Clone {
        self.selectable().filter(|pod| !pod.unlisted)
    }

    /// Adds pods that the compiler does not know: what it does with labels must be right for them too.
    pub fn add_strangers(&mut self, random: &mut Random) {
        let namespaces: Vec<String> = self.namespaces.keys().cloned().collect();
        for number in 0..random.below(3) {
            let namespace = random.pick(&namespaces);
            let pod = self.pod(random, &namespace, number);
            self.pods.push(Pod { workload: format!("later{number}"), selector: None, unlisted: true, ..pod });
        }
    }

    /// Returns whether a pod is behind the Service of that name in its namespace.
    pub fn is_behind(&self, pod: &Pod, name: &str) -> bool {
        let selects = |service: &&Service| pod.labels.get(&service.select.0) == Some(&service.select.1);
        self.services
            .iter()
            .filter(|service| service.namespace == pod.namespace && service.name == name)
            .any(|service| selects(&service))
    }

    /// Returns the addresses of pods, then those outside.
    pub fn ends(&self) -> Vec<IpAddr> {
        let pods = self.selectable().flat_map(|pod| pod.addresses.iter().copied());
        pods.chain(self.outside.iter().copied()).collect()
    }

    /// Returns the pod that has an address.
    pub fn at(&self, address: IpAddr) -> Option<&Pod> {
        self.selectable().find(|pod| pod.addresses.contains(&address))
    }

    /// Returns what the source says of the namespaces where nothing else does.
    pub fn declarations(&self) -> String {
        let known = self.namespaces.iter().filter(|(name, _)| !self.unknown.contains(name));
        let declared = known.map(|(name, labels)| {
            let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key} = \"{value}\"")).collect();
            match labels.as_slice() {
                [] => format!("namespace {name} {{}}\n"),
                labels => format!("namespace {name} {{ labels {{ {} }} }}\n", labels.join(", ")),
            }
        });
        declared.collect()
    }

    /// Returns what the source says of the workloads of which no manifest tells.
    pub fn workloads(&self) -> String {
        self.pods.iter().filter(|pod| pod.declared).map(Pod::declaration).collect()
    }

    /// Returns a pod as the evaluator knows pods.
    pub fn meant(&self, pod: &Pod) -> policy::Pod {
        let labels = |labels: &Labels| labels.iter().map(|(key, value)| (key.into(), value.into())).collect();
        let mut namespace_labels: netpol::model::labels::Labels = labels(&self.namespaces[&pod.namespace]);
        namespace_labels.insert(netpol::model::labels::NAMESPACE_NAME.into(), pod.namespace.as_str().into());
        let port = |port: &PodPort| netpol::inventory::ContainerPort {
            name: Some(port.name.as_str().into()),
            port: port.port,
            protocol: netpol::model::ports::Protocol::parse(&port.protocol.to_lowercase()).unwrap(),
        };
        policy::Pod {
            shown: format!("{}/{}", pod.namespace, pod.workload),
            namespace_labels,
            labels: labels(&pod.labels),
            account: pod.account.as_str().into(),
            ports: pod.ports.iter().map(port).collect(),
            sidecar: pod.sidecar,
            single: true,
        }
    }

    /// Returns the manifests of the cluster.
    pub fn manifests(&self) -> String {
        let mut all = Vec::new();
        for (name, labels) in self.namespaces.iter().filter(|(name, _)| !self.unknown.contains(name)) {
            all.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}));
        }
        for pod in self.pods.iter().filter(|pod| !pod.unlisted && !pod.declared) {
            all.extend(pod.manifests());
        }
        for service in &self.services {
            let (key, value) = &service.select;
            let target = service.target.parse::<u16>().map_or(json!(service.target), |number| json!(number));
            all.push(json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": service.name, "namespace": service.namespace},
                "spec": {"selector": {key: value}, "ports": [{"port": service.port, "targetPort": target}]},
            }));
            if let Some(spec) = all.last_mut().filter(|_| service.headless) {
                spec["spec"]["clusterIP"] = json!("None");
            }
        }
        all.iter().fold(String::new(), |mut text, object| {
            let _ = writeln!(text, "---\n{object}");
            text
        })
    }

    /// Returns the cluster as the engines are told of it.
    pub fn question(&self) -> Value {
        let namespaces: Vec<Value> =
            self.namespaces.iter().map(|(name, labels)| json!({"name": name, "labels": labels})).collect();
        let pod = |pod: &Pod| {
            let ports: Vec<Value> = pod.ports.iter().map(PodPort::json).collect();
            json!({
                "namespace": pod.namespace,
                "name": pod.workload,
                "labels": pod.labels,
                "addresses": pod.addresses,
                "ports": ports,
            })
        };
        json!({"namespaces": namespaces, "pods": self.selectable().map(pod).collect::<Vec<_>>()})
    }
}

impl Pod {
    fn declaration(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key} = \"{value}\"")).collect();
        let port = |port: &PodPort| format!(" port {} {}/{}", port.name, port.port, port.protocol.to_lowercase());
        let ports: String = self.ports.iter().map(port).collect();
        let (namespace, name) = (&self.namespace, &self.workload);
        format!(
            "workload {namespace}/{name} {{ labels {{ {} }} account {}{ports} }}\n",
            labels.join(", "),
            self.account
        )
    }

    fn manifests(&self) -> Vec<Value> {
        let ports: Vec<Value> = self
            .ports
            .iter()
            .map(|port| json!({"name": port.name, "containerPort": port.port, "protocol": port.protocol}))
            .collect();
        let spec = json!({
            "serviceAccountName": self.account,
            "hostNetwork": self.on_host,
            "containers": [{"name": "main", "image": "main", "ports": ports}],
        });
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.workload, "namespace": self.namespace, "labels": self.labels},
            "spec": spec,
            "status": {"podIPs": self.addresses.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>()},
        });
        let Some(selector) = &self.selector else { return vec![pod] };
        pod["metadata"]["name"] = json!(format!("{}-1", self.workload));
        pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": self.workload, "uid": "1", "controller": true}]);
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.workload, "namespace": self.namespace},
            "spec": {
                "selector": {"matchLabels": selector},
                "template": {"metadata": {"labels": self.labels}, "spec": spec},
            },
        });
        vec![deployment, pod]
    }
}

impl PodPort {
    fn new(name: &str, port: u16, protocol: &str) -> PodPort {
        PodPort { name: name.into(), port, protocol: protocol.into() }
    }

    fn json(&self) -> Value {
        json!({"name": self.name, "port": self.port, "protocol": self.protocol})
    }
}

/// Returns the addresses of a pod by its number: of the family 4 or 6, or of both.
fn addresses(number: usize, family: usize) -> Vec<IpAddr> {
    let v4 = parsed(&format!("10.244.{}.{}", number / 4, 10 + number));
    let v6 = parsed(&format!("fd00:10:244::{:x}", 0x10 + number));
    match family {
        4 => vec![v4],
        6 => vec![v6],
        _ => vec![v4, v6],
    }
}

fn parsed(address: &str) -> IpAddr {
    address.parse().unwrap()
}

//! Settings of the cluster and the build, from `netpol.toml` and the command line, and the reader of `netpol.toml`.

mod read;

pub use read::read;

use std::collections::BTreeMap;

use crate::diag::{Code, Level};
use crate::model::paths::PathNormalization;
use crate::source::Span;

/// The settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `name`: the label `app.kubernetes.io/part-of`.
    pub name: Option<String>,
    /// The enforcement layers, in the order given, without repetition.
    pub targets: Vec<Layer>,
    /// Whether the layers are given, and not the default.
    pub targets_are_said: bool,
    /// `inventory-namespace`: the namespace of manifests that name none.
    pub inventory_namespace: Option<String>,
    /// `[cluster] platform`.
    pub platform: Platform,
    /// Whether the platform is given, and not the default.
    pub platform_is_said: bool,
    /// `[cluster] domain`, `cluster.local` unless given.
    pub domain: String,
    /// `[cluster] dns`: whether the compiler grants the way to the cluster's DNS. False for `"explicit"`.
    pub grant_dns: bool,
    /// `[cluster] load-balancer = "aws-nlb"`.
    pub aws_nlb: bool,
    /// `[cluster] resolver`: more of the resolver, beside the platform's: addresses, or pods with their ports.
    pub resolver: Vec<Written>,
    /// `[cluster] apiserver`.
    pub apiserver: Vec<Written>,
    /// `[cluster] nodes`.
    pub nodes: Vec<Written>,
    /// `[cluster] pods`.
    pub pods: Vec<Written>,
    /// `[networkpolicy] port-names = "numbers"`: whether a number is written for a port name that all known pods have
    /// for the same one.
    pub port_numbers: bool,
    /// `[istio] root-namespace`, `istio-system` unless given.
    pub root_namespace: String,
    /// `[istio] trust-domain`, `cluster.local` unless given.
    pub trust_domain: String,
    /// `[istio] path-normalization`.
    pub path_normalization: PathNormalization,
    /// `[istio] dns-capture`: whether sidecars answer the DNS questions of their pods.
    pub dns_capture: bool,
    /// `[istio] scope-gateway-to-namespace`.
    pub scope_gateway_to_namespace: bool,
    /// `[enforcement] require = "exact"`.
    pub require_exact: bool,
    /// `[lints]`: the levels of warnings and notes, by their codes.
    pub lints: BTreeMap<Code, Level>,
    /// `build --lines`: whether objects name the lines of their rules.
    pub lines: bool,
    /// The day on which annotations are judged.
    pub today: time::Date,
}

impl Settings {
    /// Returns the default settings, on the given day.
    pub fn new(today: time::Date) -> Settings {
        Settings {
            name: None,
            targets: vec![Layer::NetworkPolicy, Layer::Istio],
            targets_are_said: false,
            inventory_namespace: None,
            platform: Platform::Kubernetes,
            platform_is_said: false,
            domain: "cluster.local".into(),
            grant_dns: true,
            aws_nlb: false,
            resolver: Vec::new(),
            apiserver: Vec::new(),
            nodes: Vec::new(),
            pods: Vec::new(),
            port_numbers: false,
            root_namespace: "istio-system".into(),
            trust_domain: "cluster.local".into(),
            path_normalization: PathNormalization::Base,
            dns_capture: false,
            scope_gateway_to_namespace: false,
            require_exact: false,
            lints: BTreeMap::new(),
            lines: false,
            today,
        }
    }
}

/// The files of a project, as `netpol.toml` names them: where the texts of a build are, and where its output goes. The
/// caller of the library reads and writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// `inventory`: files and folders, relative to the file.
    pub inventory: Vec<String>,
    /// `guardrails`: files and folders, relative to the file.
    pub guardrails: Vec<String>,
    /// `output`: the folder that `build` writes to, relative to the file.
    pub output: Option<String>,
    /// `kustomization`: whether it writes a kustomization.yaml.
    pub kustomization: Option<bool>,
}

/// An endpoint in the language's own writing, inside a string of `netpol.toml`.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The endpoint.
    pub text: String,
    /// The string's contents in `netpol.toml`, without the quotes.
    pub span: Span,
}

/// An enforcement layer of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// Kubernetes NetworkPolicy.
    NetworkPolicy,
    /// Istio's sidecars and gateways.
    Istio,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Layer; 2] = [Layer::NetworkPolicy, Layer::Istio];

    /// Returns the layer's name, as `--target` and `targets` write it.
    pub fn word(self) -> &'static str {
        match self {
            Layer::NetworkPolicy => "networkpolicy",
            Layer::Istio => "istio",
        }
    }
}

/// The platform of the cluster, which decides the prelude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    /// Plain Kubernetes, the default.
    Kubernetes,
    /// SAP BTP, Kyma runtime (on Gardener).
    Kyma,
    /// Gardener.
    Gardener,
    /// Amazon EKS.
    Eks,
    /// Google GKE.
    Gke,
    /// Azure AKS.
    Aks,
    /// Red Hat OpenShift.
    Openshift,
    /// K3s.
    K3s,
}

impl Platform {
    /// Every platform.
    pub const ALL: [Platform; 8] = [
        Platform::Kubernetes,
        Platform::Kyma,
        Platform::Gardener,
        Platform::Eks,
        Platform::Gke,
        Platform::Aks,
        Platform::Openshift,
        Platform::K3s,
    ];

    /// Returns the namespace and the name of the cluster's DNS Service.
    pub fn dns_service(self) -> (&'static str, &'static str) {
        match self {
            Platform::Openshift => ("openshift-dns", "dns-default"),
            _ => ("kube-system", "kube-dns"),
        }
    }

    /// Returns the label, key and value, of the pods behind that Service, unless an inventory shows another one.
    pub fn dns_label(self) -> (&'static str, &'static str) {
        match self {
            Platform::Openshift => ("dns.operator.openshift.io/daemonset-dns", "default"),
            _ => ("k8s-app", "kube-dns"),
        }
    }

    /// Returns the platform's name, as its makers write it.
    pub fn title(self) -> &'static str {
        match self {
            Platform::Kubernetes => "plain Kubernetes",
            Platform::Kyma => "Kyma",
            Platform::Gardener => "Gardener",
            Platform::Eks => "EKS",
            Platform::Gke => "GKE",
            Platform::Aks => "AKS",
            Platform::Openshift => "OpenShift",
            Platform::K3s => "k3s",
        }
    }

    /// Returns the platform's name, as `netpol.toml` writes it.
    pub fn word(self) -> &'static str {
        match self {
            Platform::Kubernetes => "kubernetes",
            Platform::Kyma => "kyma",
            Platform::Gardener => "gardener",
            Platform::Eks => "eks",
            Platform::Gke => "gke",
            Platform::Aks => "aks",
            Platform::Openshift => "openshift",
            Platform::K3s => "k3s",
        }
    }
}

//! The examples as cases: their sources, a cluster in which everything that they speak of exists, and the objects that
//! are committed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use netpol::model::endpoint::What;
use netpol::model::labels::{Account, NAMESPACE_NAME, PodSelector, Requirements, Test};
use netpol::policy;

use crate::build::Build;
use crate::case::Case;
use crate::cluster::{Cluster, Labels, Pod, PodPort};
use crate::policy::Policy;

/// Addresses outside, beside those that an example names.
const OUTSIDE: [&str; 4] = ["8.8.8.8", "203.0.113.99", "10.1.2.3", "2606:4700::1111"];

/// An example with a part for NetworkPolicy.
pub struct Example {
    pub folder: PathBuf,
    pub build: Build,
    pub case: Case,
    /// What is committed.
    pub objects: Vec<String>,
}

/// Returns the examples below a folder.
pub fn examples(root: &Path) -> Vec<Example> {
    let settings = files(root, |name| name == "netpol.toml");
    let examples = settings.into_iter().map(|settings| example(settings.parent().unwrap()));
    examples.filter(|example| !example.objects.is_empty()).collect()
}

fn example(folder: &Path) -> Example {
    let build = Build::folder(folder).ok();
    let committed = files(&folder.join("out"), |name| name == "networkpolicy.yaml");
    let objects: Vec<String> = committed.iter().flat_map(|path| documents(path)).collect();
    let case = Case { cluster: cluster(&build.policy), policy: Policy::default() };
    Example { folder: folder.into(), build, case, objects }
}

/// Returns the YAML documents of a file that are more than comments.
fn documents(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let documents = text.split("\n---\n").map(str::to_owned);
    documents.filter(|text| text.lines().any(|line| line.starts_with("kind:"))).collect()
}

fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_file());
    files.filter(|entry| wanted(&entry.file_name().to_string_lossy())).map(walkdir::DirEntry::into_path).collect()
}

/// Returns a cluster with the pods of the inventory. Where there is none it has pods for everything that the rules
/// name, and beside them in each namespace, and in another one, a pod without labels.
pub fn cluster(policy: &policy::Policy) -> Cluster {
    let mut cluster = Cluster { outside: outside(policy), ..Cluster::empty() };
    for (name, namespace) in &policy.inventory.namespaces {
        let mut labels = copied(&namespace.labels);
        labels.remove(NAMESPACE_NAME);
        cluster.namespaces.insert(name.to_string(), labels);
    }
    for workload in policy.inventory.workloads.iter().filter(|workload| !workload.host_network) {
        let ports = workload.ports.iter().map(|port| PodPort {
            name: port.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            port: port.port,
            protocol: port.protocol.word().to_uppercase(),
        });
        let (labels, ports) = (copied(&workload.labels), ports.collect());
        let pod = pod(&cluster, &workload.namespace, labels, &workload.account, ports, workload.sidecar);
        cluster.pods.push(pod);
    }
    if policy.inventory.given {
        return cluster;
    }
    let ends = policy.rules.iter().flat_map(|rule| [&rule.source, &rule.destination]);
    let granted = policy.grants.iter().flat_map(|grant| [&grant.source, &grant.destination]);
    let selectors: Vec<&PodSelector> =
        ends.chain(granted).flat_map(|end| end.pods().map(|(_, pods)| &pods.selector)).collect();
    for selector in selectors {
        add_named(&mut cluster, selector);
    }
    cluster.namespaces.entry("elsewhere".into()).or_default();
    for namespace in cluster.namespaces.keys().cloned().collect::<Vec<_>>() {
        let pod = pod(&cluster, &namespace, Labels::new(), "default", Vec::new(), true);
        cluster.pods.push(pod);
    }
    cluster
}

fn copied(labels: &netpol::model::labels::Labels) -> Labels {
    labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// Adds a pod that a selector selects, unless there is one.
fn add_named(cluster: &mut Cluster, selector: &PodSelector) {
    let selected = |pod: &Pod| {
        let meant = cluster.meant(pod);
        selector.matches(&meant.namespace_labels, &meant.labels, &meant.account)
    };
    if cluster.pods.iter().any(selected) {
        return;
    }
    let mut labels = meeting(&selector.namespace);
    let name = labels.remove(NAMESPACE_NAME).unwrap_or_else(|| format!("some{}", cluster.namespaces.len()));
    cluster.namespaces.entry(name.clone()).or_insert(labels);
    let account = match &selector.account {
        Account::Is(name) => name.as_str(),
        Account::Not(_) => "default",
    };
    let pod = pod(cluster, &name, meeting(&selector.labels), account, Vec::new(), true);
    cluster.pods.push(pod);
}

/// Returns labels that meet requirements.
fn meeting(requirements: &Requirements) -> Labels {
    let label = |requirement: &netpol::model::labels::Requirement| match &requirement.test {
        Test::In(values) => Some((requirement.key.to_string(), values[0].to_string())),
        Test::Exists => Some((requirement.key.to_string(), "some".to_owned())),
        Test::NotIn(_) | Test::DoesNotExist => None,
    };
    requirements.list().iter().filter_map(label).collect()
}

fn pod(cluster: &Cluster, namespace: &str, labels: Labels, account: &str, ports: Vec<PodPort>, sidecar: bool) -> Pod {
    let number = cluster.pods.len();
    Pod {
        namespace: namespace.into(),
        workload: format!("pod{number}"),
        account: account.into(),
        addresses: vec![format!("100.96.{}.{}", number / 200, number % 200 + 1).parse().unwrap()],
        selector: None,
        on_host: false,
        unlisted: false,
        declared: false,
        labels,
        ports,
        sidecar,
    }
}

/// Returns an address of each block that the rules name, and some others.
fn outside(policy: &policy::Policy) -> Vec<IpAddr> {
    let mut all: BTreeSet<IpAddr> = OUTSIDE.iter().map(|address| address.parse().unwrap()).collect();
    let members = policy.rules.iter().flat_map(|rule| rule.source.members.iter().chain(&rule.destination.members));
    for member in members {
        match &member.what {
            What::Addresses(set) => all.extend(set.blocks.iter().map(|block| block.net.network())),
            What::Host(host) => all.extend(host.at.iter().map(|at| at.net.network())),
            What::Pods(_) => {}
        }
    }
    all.into_iter().filter(|address| !address.is_unspecified()).collect()
}

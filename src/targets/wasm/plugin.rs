//! The `WasmPlugin`s of Istio that load a module for proxies, with the pods of the inventory by their addresses.
//!
//! ```text
//! allow ingress shop/* -> garden/{app=api}:8080/http where method GET
//!     a plugin of the type HTTP for the proxies of garden, which judges each request
//!     one of the type NETWORK, which judges each connection, but for requests on port 8080
//! ```

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use crate::inventory::Workload;
use crate::model::endpoint::{Member, What};
use crate::model::ports::{AppProtocol, PortTest, Ports, Protocol};
use crate::model::rules::Direction;
use crate::policy::Policy;
use crate::targets::names::{MANAGED_BY, first_word};
use crate::targets::yaml::Writer;

/// Where a proxy finds the module, as docs/runtime.md mounts it.
const URL: &str = "file:///var/netpol/policy.wasm";
/// What rules say of the pods of a namespace.
#[derive(Default)]
struct Namespace {
    /// The ports, first and last, on which rules ask about requests.
    requests: BTreeSet<(u16, u16)>,
    /// The names of such ports whose numbers nothing shows.
    unknown: BTreeSet<SmolStr>,
}

/// Writes the plugins of a policy; `None` if no namespace is known whose pods it governs on their way in.
pub fn write(policy: &Policy) -> Option<String> {
    let namespaces = governed(policy);
    let mut documents = Vec::new();
    for (name, namespace) in &namespaces {
        if !namespace.requests.is_empty() || !namespace.unknown.is_empty() {
            documents.push(plugin(policy, name, "HTTP", None));
        }
        documents.push(plugin(policy, name, "NETWORK", Some(namespace)));
    }
    (!documents.is_empty()).then(|| documents.join("---\n"))
}

fn governed(policy: &Policy) -> BTreeMap<SmolStr, Namespace> {
    let mut namespaces: BTreeMap<SmolStr, Namespace> = BTreeMap::new();
    for rule in policy.rules.iter().filter(|rule| rule.governs(Direction::Ingress)) {
        for (member, pods) in rule.subject(Direction::Ingress).pods() {
            let Some(names) = policy.inventory.namespaces_of(&pods.selector) else { continue };
            for (name, _) in names {
                let namespace = namespaces.entry(name.clone()).or_default();
                if !rule.conditions.is_none() {
                    add(policy, namespace, member);
                }
            }
        }
    }
    namespaces
}

/// Adds the ports of a member on which requests are read.
fn add(policy: &Policy, namespace: &mut Namespace, member: &Member) {
    let (Ports::Some(list), What::Pods(pods)) = (&member.ports, &member.what) else { return };
    for port in list.iter().filter(|port| port.app.is_some_and(AppProtocol::has_requests)) {
        match &port.port {
            PortTest::Range(first, last) => {
                namespace.requests.insert((*first, *last));
            }
            PortTest::Named(name) => match policy.inventory.numbers_of(&pods.selector, name, port.protocol) {
                Some(numbers) if !numbers.is_empty() => {
                    namespace.requests.extend(numbers.into_iter().map(|number| (number, number)));
                }
                _ => {
                    namespace.unknown.insert(name.clone());
                }
            },
        }
    }
}

/// `connections` is what rules say, for a plugin that judges connections.
fn plugin(policy: &Policy, namespace: &str, kind: &'static str, connections: Option<&Namespace>) -> String {
    let settings = &policy.settings;
    let mut yaml = Writer::new();
    if let Some(said) = connections.filter(|said| !said.unknown.is_empty()) {
        let names: Vec<&str> = said.unknown.iter().map(SmolStr::as_str).collect();
        yaml.comment(&format!(
            "Add the numbers of {} to `requests`: no request on them passes before.",
            names.join(", ")
        ));
    }
    yaml.field("apiVersion", "extensions.istio.io/v1alpha1").field("kind", "WasmPlugin");
    yaml.key("metadata").map(|yaml| {
        yaml.field("name", &format!("{}netpol-{}", first_word(settings.name.as_deref()), kind.to_ascii_lowercase()));
        yaml.field("namespace", namespace);
        yaml.key("labels").map(|yaml| {
            yaml.any_key(MANAGED_BY.0).str(MANAGED_BY.1);
            if let Some(name) = &settings.name {
                yaml.any_key("app.kubernetes.io/part-of").str(name);
            }
        });
    });
    yaml.key("spec").map(|yaml| {
        yaml.field("url", URL).note("or where an image of the module is: oci://…");
        yaml.key("type").word(kind);
        yaml.key("phase").word("AUTHZ");
        yaml.key("failStrategy").word("FAIL_CLOSE");
        yaml.key("match").list(|yaml| {
            yaml.item().map(|yaml| {
                yaml.key("mode").word("SERVER");
            });
        });
        yaml.key("pluginConfig").map(|yaml| {
            yaml.field("trustDomain", &settings.trust_domain);
            yaml.key("mtls").bool(true);
            if let Some(said) = connections.filter(|said| !said.requests.is_empty()) {
                yaml.key("requests").list(|yaml| {
                    for (first, last) in &said.requests {
                        yaml.item().flow_map(|yaml| {
                            yaml.key("port").int(u32::from(*first));
                            if last > first {
                                yaml.key("endPort").int(u32::from(*last));
                            }
                        });
                    }
                });
            }
            if let Some(proxies) = policy.gateways.iter().map(|gateway| gateway.proxies).find(|proxies| *proxies > 0) {
                yaml.key("proxies").int(proxies);
            }
            pods(yaml, policy);
        });
    });
    yaml.finish()
}

/// Writes the pods of the inventory that have addresses.
fn pods(yaml: &mut Writer, policy: &Policy) {
    let known = policy.inventory.workloads.iter().filter(|pod| !pod.host_network && !pod.addresses.is_empty());
    let mut known: Vec<&Workload> = known.collect();
    if known.is_empty() {
        yaml.key("pods").flow_list(|_| ()).note("the pods by their addresses: an inventory with Pods has them");
        return;
    }
    known.sort_by_key(|pod| (&pod.namespace, &pod.name));
    yaml.key("pods").list(|yaml| {
        for pod in known {
            for address in &pod.addresses {
                yaml.item().map(|yaml| one(yaml, pod, &address.to_string()));
            }
        }
    });
}

fn one(yaml: &mut Writer, pod: &Workload, address: &str) {
    yaml.field("address", address).field("namespace", &pod.namespace).field("name", &pod.name);
    if !pod.labels.is_empty() {
        yaml.key("labels").flow_map(|yaml| {
            for (key, value) in &pod.labels {
                yaml.any_key(key).str(value);
            }
        });
    }
    if !pod.account.is_empty() {
        yaml.field("account", &pod.account);
    }
    if pod.sidecar {
        yaml.key("sidecar").bool(true);
    }
    let named: Vec<_> = pod.ports.iter().filter_map(|port| Some((port.name.as_ref()?, port))).collect();
    if !named.is_empty() {
        yaml.key("ports").list(|yaml| {
            for (name, port) in named {
                yaml.item().flow_map(|yaml| {
                    yaml.field("name", name);
                    yaml.key("port").int(u32::from(port.port));
                    if port.protocol != Protocol::Tcp {
                        yaml.field("protocol", port.protocol.word());
                    }
                });
            }
        });
    }
}

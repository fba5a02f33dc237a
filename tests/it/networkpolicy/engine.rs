//! An evaluator of NetworkPolicy objects, written from their documentation and sharing nothing with the emitter: it
//! reads YAML back and decides flows.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

/// A pod of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// The labels of its namespace, the name among them.
    pub namespace_labels: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its ports: name, number, protocol in capitals.
    pub ports: Vec<(String, u16, String)>,
}

/// One end of a flow.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// A pod.
    Pod(&'a Pod),
    /// An address that is no pod's.
    Address(IpAddr),
}

/// Whether a block of addresses matches a pod that has one of them: the documentation says that blocks should be
/// outside the cluster, and implementations differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// It never does.
    OutsideOnly,
    /// It does.
    PodsToo,
}

/// Decides a flow by some objects.
pub fn allows(objects: &[Value], from: End, to: End, port: u16, protocol: &str, blocks: Blocks) -> bool {
    if let (End::Pod(a), End::Pod(b)) = (from, to)
        && std::ptr::eq(a, b)
    {
        return true;
    }
    let out = match from {
        End::Pod(pod) => end_allows(objects, pod, to, "Egress", to, port, protocol, blocks),
        End::Address(_) => true,
    };
    let into = match to {
        End::Pod(pod) => end_allows(objects, pod, from, "Ingress", to, port, protocol, blocks),
        End::Address(_) => true,
    };
    out && into
}

#[allow(clippy::too_many_arguments, reason = "the facts of one question")]
fn end_allows(
    objects: &[Value],
    pod: &Pod,
    peer: End,
    direction: &str,
    destination: End,
    port: u16,
    protocol: &str,
    blocks: Blocks,
) -> bool {
    let mut isolated = false;
    for object in objects {
        assert_eq!(object["apiVersion"], "networking.k8s.io/v1");
        assert_eq!(object["kind"], "NetworkPolicy");
        let spec = &object["spec"];
        let namespace = object["metadata"]["namespace"].as_str().unwrap();
        if namespace != pod.namespace
            || !selects(&spec["podSelector"], &pod.labels)
            || !types(spec).contains(&direction)
        {
            continue;
        }
        isolated = true;
        let (list, peers) = if direction == "Egress" { ("egress", "to") } else { ("ingress", "from") };
        for rule in spec[list].as_array().into_iter().flatten() {
            if ports_match(&rule["ports"], destination, port, protocol)
                && peers_match(&rule[peers], namespace, peer, blocks)
            {
                return true;
            }
        }
    }
    !isolated
}

/// The types that apply if none are written: ingress always, egress if there are egress rules.
fn types(spec: &Value) -> Vec<&str> {
    match spec["policyTypes"].as_array() {
        Some(types) => types.iter().map(|kind| kind.as_str().unwrap()).collect(),
        None if spec["egress"].as_array().is_some_and(|rules| !rules.is_empty()) => vec!["Ingress", "Egress"],
        None => vec!["Ingress"],
    }
}

fn ports_match(ports: &Value, destination: End, port: u16, protocol: &str) -> bool {
    let Some(ports) = ports.as_array().filter(|ports| !ports.is_empty()) else { return true };
    ports.iter().any(|entry| {
        if entry["protocol"].as_str().unwrap_or("TCP") != protocol {
            return false;
        }
        match (&entry["port"], destination) {
            (Value::Null, _) => true,
            (Value::Number(first), _) => {
                let first = first.as_u64().unwrap();
                let last = entry["endPort"].as_u64().unwrap_or(first);
                assert!(first <= last && first > 0 && last < 65536);
                (first..=last).contains(&u64::from(port))
            }
            (Value::String(name), End::Pod(pod)) => {
                assert!(entry["endPort"].is_null());
                pod.ports.iter().any(|(known, number, proto)| known == name && *number == port && proto == protocol)
            }
            (Value::String(_), End::Address(_)) => false,
            other => panic!("{other:?} is no port"),
        }
    })
}

fn peers_match(peers: &Value, namespace: &str, peer: End, blocks: Blocks) -> bool {
    let Some(peers) = peers.as_array().filter(|peers| !peers.is_empty()) else { return true };
    peers.iter().any(|entry| {
        if let Some(block) = entry.get("ipBlock") {
            assert!(entry.as_object().unwrap().len() == 1, "ipBlock stands alone");
            let address = match peer {
                End::Address(address) => Some(address),
                End::Pod(pod) if blocks == Blocks::PodsToo => pod.address,
                End::Pod(_) => None,
            };
            return address.is_some_and(|address| in_block(block, address));
        }
        let End::Pod(pod) = peer else { return false };
        let here = match entry.get("namespaceSelector") {
            Some(selector) => selects(selector, &pod.namespace_labels),
            None => pod.namespace == namespace,
        };
        here && entry.get("podSelector").is_none_or(|selector| selects(selector, &pod.labels))
    })
}

fn in_block(block: &Value, address: IpAddr) -> bool {
    let net: IpNet = block["cidr"].as_str().unwrap().parse().unwrap();
    let except: Vec<IpNet> = block["except"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|except| except.as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(net, net.trunc());
    assert!(except.iter().all(|except| net.contains(except) && *except != net), "except is a strict subset");
    net.contains(&address) && !except.iter().any(|except| except.contains(&address))
}

fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let mut exact = selector["matchLabels"].as_object().into_iter().flatten();
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    exact.all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        && expressions.all(|one| {
            let value = labels.get(one["key"].as_str().unwrap());
            let values: Vec<&str> =
                one["values"].as_array().into_iter().flatten().map(|value| value.as_str().unwrap()).collect();
            let listed = value.is_some_and(|value| values.contains(&value.as_str()));
            match one["operator"].as_str().unwrap() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                other => panic!("{other} is no operator"),
            }
        })
}

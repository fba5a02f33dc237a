//! A generated policy with its module, and flows between the parties of its rules.

use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::model::endpoint::{Endpoint, What};
use netpol::model::labels::{Account, Requirement, Test};
use netpol::model::ports::{PortTest, Ports, Protocol};
use netpol::policy::Policy;
use netpol::settings::Settings;
use netpol::source::Sources;
use netpol::targets::wasm::kernel::{Kernel, Tables, UNKNOWN_REQUEST, port_word};
use netpol::targets::wasm::{self, Abi, Written};
use serde_json::{Map, Value, json};

/// The number of flows.
const FLOWS: usize = 4096;

/// A flow: the texts of its parties, and its port with the protocol above it.
pub struct Flow {
    /// Who sends.
    pub source: Value,
    /// To whom.
    pub destination: Value,
    /// The port.
    pub port: u32,
}

/// A policy of some size, and what belongs to it.
pub struct World {
    /// The sources.
    pub sources: Sources,
    /// The policy.
    pub policy: Policy,
    /// The module.
    pub module: Vec<u8>,
    /// Flows: half of them as a rule has them, the others between the parties of two rules.
    pub flows: Vec<Flow>,
}

impl World {
    /// Makes the policy of so many rules.
    pub fn new(size: usize) -> World {
        let mut input = Input::new(Settings::new(time::Date::MIN));
        input.policy("bench.netpol", crate::generate::policy(size));
        let policy = compile::policy(&mut input, &mut compile::no_files, &mut Diagnostics::new());
        let policy = policy.expect("a policy without errors");
        let module = wasm::build(&policy, &input.sources, Abi::Core, false).code;
        let rules = &policy.rules;
        let flow = |number: usize| {
            let rule = &rules[number.wrapping_mul(7919) % rules.len()];
            let other =
                if number.is_multiple_of(2) { rule } else { &rules[number.wrapping_mul(104_729) % rules.len()] };
            Flow { source: party(&rule.source), destination: party(&other.destination), port: port(&rule.destination) }
        };
        let flows = (0..FLOWS).map(flow).collect();
        World { sources: input.sources, policy, module, flows }
    }

    /// Returns the tables of the module.
    pub fn tables(&self) -> Written {
        wasm::tables(&self.policy, false)
    }

    /// Returns the native twin of the module.
    pub fn twin<'t>(&self, tables: &'t Written) -> Kernel<'t> {
        Kernel::new(Tables::new(&tables.words, &tables.bytes).expect("tables of this version"))
    }

    /// Returns the flows by numbers of the twin.
    pub fn intern_all(&self, twin: &mut Kernel<'_>) -> Vec<[u32; 4]> {
        let flows = self.flows.iter().map(|flow| {
            let mut number = |party: &Value| twin.intern(party.to_string().as_bytes()).expect("a party");
            [number(&flow.source), number(&flow.destination), flow.port, UNKNOWN_REQUEST]
        });
        flows.collect()
    }

    /// Returns a party that no flow has.
    pub fn stranger(&self, number: usize) -> String {
        let rule = &self.policy.rules[number % self.policy.rules.len()];
        match party(&rule.source) {
            Value::Object(mut pod) if pod.contains_key("namespace") => {
                pod["labels"]["pod-template-hash"] = json!(format!("h{number}"));
                Value::Object(pod).to_string()
            }
            _ if number.is_multiple_of(2) => json!(format!("h{number}.example.com")).to_string(),
            _ => json!(format!("163.223.{}.{}", number / 256 % 256, number % 256)).to_string(),
        }
    }
}

/// Returns the text of a pod of a length.
pub fn pod_of_length(length: usize) -> String {
    let pod = |fill: usize| {
        json!({ "namespace": "team-1", "labels": { "app": "a1", "note": "x".repeat(fill) }, "account": "web" })
            .to_string()
    };
    pod(length - pod(0).len())
}

/// Returns a party that the first member of an endpoint means.
fn party(endpoint: &Endpoint) -> Value {
    let Some(member) = endpoint.members.first() else { return json!("192.0.2.1") };
    match &member.what {
        What::Host(host) => json!({ "host": host.name.name.as_str() }),
        What::Addresses(set) => {
            let first = set.ranges().first().map(|range| range.first().to_string());
            json!({ "address": first.unwrap_or_default() })
        }
        What::Pods(pods) => {
            let selector = &pods.selector;
            let labels: Map<String, Value> = selector.labels.list().iter().filter_map(label).collect();
            let account = match &selector.account {
                Account::Is(name) => name.as_str(),
                Account::Not(_) => "default",
            };
            json!({
                "namespace": selector.namespace_name().map_or("other", |name| name.as_str()),
                "labels": labels,
                "account": account,
            })
        }
    }
}

fn label(one: &Requirement) -> Option<(String, Value)> {
    let Test::In(values) = &one.test else { return None };
    Some((one.key.to_string(), json!(values.first()?.as_str())))
}

fn port(endpoint: &Endpoint) -> u32 {
    let entry = endpoint.members.first().and_then(|member| match &member.ports {
        Ports::Some(list) => list.first(),
        Ports::All => None,
    });
    match entry.map(|entry| (&entry.port, entry.protocol)) {
        Some((PortTest::Range(first, _), Protocol::Udp)) => port_word(17, *first),
        Some((PortTest::Range(first, _), _)) => port_word(6, *first),
        _ => port_word(6, 443),
    }
}

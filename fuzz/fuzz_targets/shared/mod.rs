//! The policy that flows are asked about: rules that ask about everything that a flow can tell.

use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::policy::Policy;
use netpol::settings::Settings;

const POLICY: &str = include_str!("../../../tests/wasm/flows.netpol");
const PODS: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: garden, labels: {app: web}}\n\
    spec: {serviceAccountName: cart, containers: [{name: c, ports: [{name: metrics, containerPort: 9090}]}]}\n\
    status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}\n";

pub fn policy() -> Policy {
    let day = Settings::new(time::Date::from_calendar_date(2026, time::Month::November, 1).unwrap());
    let mut input = Input::new(day);
    input.policy("flows.netpol", POLICY);
    input.manifest("pods.yaml", PODS);
    compile::policy_despite_errors(&mut input, &mut compile::no_files, &mut Diagnostics::new()).unwrap()
}

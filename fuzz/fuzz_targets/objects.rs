//! Any bytes as the text of a build's objects: neither the check of the build nor a question about a flow panics or
//! hangs, and every finding lies in a file.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::policy::ask::{Question, ask};
use netpol::policy::{Flow, Policy};
use netpol::settings::Settings;
use netpol::source::Sources;
use netpol::targets::{self, Checked, Made};
use netpol::verify;

/// A policy that both layers enforce, with objects of every kind.
const POLICY: &str = "use std/istio (egress-gateway)
gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/https }
issuer corp { url \"https://login.example\" jwks \"https://login.example/keys\" at 203.0.113.0/24 }
default deny ingress { garden/*, egress-gateway }
allow ingress lab/@curl -> garden/{app=web}:8080/http where method GET where path \"/api/**\"
allow ingress lab/* -> garden/{app=api}:8080/http where jwt corp claim groups = \"admin\"
allow ingress 198.51.100.0/24 -> garden/{app=web}:8080/http via edge at \"garden.example\"
deny ingress lab/* -> garden/{app=db}
allow egress garden/* -> zenquotes.io:443 via egress-gateway
allow egress garden/{app=web} -> { 203.0.113.0/24 except 203.0.113.7 }:5432
";
const FLOWS: [(&str, &str); 3] = [
    ("lab/@curl", "garden/{app=web}:8080"),
    ("garden/{app=web}", "203.0.113.9:5432"),
    ("garden/{app=api}", "zenquotes.io:443"),
];

static BUILT: LazyLock<(Sources, Policy, Vec<Flow>)> = LazyLock::new(|| {
    let day = Settings::new(time::Date::from_calendar_date(2026, time::Month::November, 1).unwrap());
    let mut input = Input::new(day);
    input.policy("policy.netpol", POLICY);
    let policy = compile::policy(&mut input, &mut compile::no_files, &mut Diagnostics::new()).unwrap();
    let flows = FLOWS.map(|(from, to)| {
        let question = Question { from: from.into(), to: to.into(), ..Question::default() };
        ask(&policy, &question).unwrap().all[0].flow.clone()
    });
    (input.sources, policy, flows.into())
});

fuzz_target!(|data: &[u8]| {
    let (sources, policy, flows) = &*BUILT;
    let text = String::from_utf8_lossy(data);
    let texts: Vec<&str> = text.split("---\n").collect();
    let flows: Vec<&Flow> = flows.iter().collect();
    let look = |made: &Made<'_>| {
        let made = Made { texts: &texts, ..*made };
        assert_eq!(verify::told(policy, &made, &flows).len(), flows.len());
        let Checked { alone, together } = verify::check(policy, sources, &made);
        for finding in alone.iter().chain(together.iter()) {
            assert!(!sources.place(finding.primary.span).is_empty(), "a finding lies in no file");
        }
        Checked::default()
    };
    targets::lower(policy, sources, &look, &mut Diagnostics::new());
});

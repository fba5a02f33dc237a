//! Policies of any size for the benchmarks: rules of mixed shapes, about sixty bytes each, always the same for a size.

use std::collections::BTreeSet;
use std::fmt::Write;

/// Returns a policy of `count` rules that checks without an error and needs no inventory.
pub fn policy(count: usize) -> String {
    let mut out = String::with_capacity(count * 64 + 1024);
    out.push_str("let offices = { 163.223.48.163, 103.99.8.235 }\n");
    out.push_str("let homes = { 223.196.173.216, 223.196.169.244 }\n\n");
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for number in 0..count {
        let mut random = |limit: usize| {
            // xorshift: good enough to mix shapes, and the same everywhere.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % limit as u64) as usize
        };
        // Some twenty rules a namespace, and labels that make each rule another one.
        let namespaces = 1 + count / 20;
        let (team, other) = (random(namespaces), random(namespaces));
        let (a, b, c) = (random(250) + 1, random(250) + 1, random(60_000) + 1024);
        let _ = match number % 12 {
            0 => writeln!(out, "default deny team-{team}/{{app=a{number}}}"),
            1 => writeln!(out, "allow egress team-{team}/{{app=a{number}}} -> h{number}.example.com:443"),
            2 => writeln!(out, "allow team-{team}/{{app=a{number}}} -> team-{other}/{{app=b{a}}}:{c}"),
            3 => writeln!(out, "allow ingress offices -> team-{team}/{{app=w{number}}}:8443/tls"),
            4 => writeln!(out, "deny egress team-{team}/{{app=a{number}}} -> 10.{a}.{b}.0/24"),
            5 => writeln!(out, "allow ingress team-{other}/* -> team-{team}/{{app=a{number}}}:{{80, {c}}}"),
            6 => writeln!(out, "allow egress team-{team}/{{app=a{number}, tier=x{a}}} -> 203.0.113.{b}:5432"),
            7 => writeln!(out, "allow ingress team-{other}/@m{b} -> team-{team}/{{app=a{number}}}:{c}"),
            8 => writeln!(
                out,
                "allow ingress team-{other}/* -> team-{team}/{{app=a{number}}}:8080/http where method GET, POST"
            ),
            9 => writeln!(out, "allow egress team-{team}/{{app=a{number}}} -> 172.{a}.0.0/16 except 172.{a}.{b}.0/24"),
            10 => writeln!(out, "allow egress team-{team}/{{app=a{number}}} -> [2001:db8:{a}::{b}]:{c}"),
            _ => writeln!(out, "allow ingress {{ homes, team-{other}/* }} -> team-{team}/{{app=a{number}}}:{c}/udp"),
        };
    }
    out
}

/// Returns manifests in which every pod that a generated policy speaks of has a workload, and every account too.
#[allow(dead_code, reason = "not every benchmark needs it")]
pub fn inventory(policy: &str) -> String {
    let mut namespaces = BTreeSet::new();
    let mut workloads = BTreeSet::new();
    for word in policy.split("team-").skip(1) {
        let Some((team, rest)) = word.split_once('/') else { continue };
        namespaces.insert(team);
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(labels, _)| labels);
        let account = rest.strip_prefix('@').map(|rest| rest.split([' ', '-']).next().unwrap_or(rest));
        if labels.is_some() || account.is_some() {
            workloads.insert((team, labels.unwrap_or_default(), account.unwrap_or("default")));
        }
    }
    let mut out = String::with_capacity(workloads.len() * 400);
    let ours = ["kube-system", "istio-system"].map(str::to_owned);
    for team in ours.into_iter().chain(namespaces.iter().map(|team| format!("team-{team}"))) {
        let _ = writeln!(
            out,
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {team}\n  labels: {{ istio-injection: enabled }}\n---"
        );
    }
    for (number, (team, labels, account)) in workloads.iter().enumerate() {
        let labels = if labels.is_empty() { format!("runs: w{number}") } else { labels.replace('=', ": ") };
        let _ = writeln!(
            out,
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: w{number}\n  namespace: team-{team}\nspec:\n  \
             selector:\n    matchLabels: {{ {labels} }}\n  template:\n    metadata:\n      labels: {{ {labels} }}\n    \
             spec:\n      serviceAccountName: {account}\n      containers:\n        - name: app\n          image: \
             example/app\n          ports:\n            - {{ name: http, containerPort: 8080 }}\n---"
        );
    }
    out
}

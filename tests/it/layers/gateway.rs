//! Requests from outside that come in by a gateway, each as a whole: who asks, on which port, for which name in the
//! handshake and in the request, how, with which token, and where the gateway leads it. A rule with `via … at` lets in
//! what it says of all of these together, so two rules never lend each other a half.

use std::net::IpAddr;

use netpol::model::conditions::Conditions;
use netpol::model::endpoint::What;
use netpol::model::ports::Protocol;
use netpol::model::rules::{Action, Rule};
use netpol::policy::{Cause, Flow, Party, Request, eval};
use serde_json::Value;

use super::authorization::Http;
use super::judge::{Case, Finding};
use super::random::Random;
use super::world::{Pod, party};
use crate::networkpolicy::engine::End;

/// The public hosts, each with the workload that the gateway leads it to.
const ROUTES: [(&str, &str); 4] = [
    ("garden.example", "garden/web-1"),
    ("api.garden.example", "garden/api-1"),
    ("shop.example", "shop/cart-1"),
    ("other.example", "garden/web-1"),
];

const CLIENTS: [[u8; 4]; 4] = [[198, 51, 100, 10], [198, 51, 100, 77], [203, 0, 113, 7], [192, 0, 2, 5]];

/// How a request comes to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// On the port of plain HTTP.
    Plain,
    /// By TLS that ends at the gateway, with a name in the handshake or without.
    Tls(Option<&'static str>),
}

/// Asks for a request from outside, where a rule leads through the gateway.
pub fn ask(case: &Case, random: &mut Random, found: &mut Vec<Finding>) {
    let policy = &case.build.policy;
    let publishing: Vec<&Rule> = policy.rules.iter().filter(|rule| rule.ingress && rule.via.is_some()).collect();
    if publishing.is_empty() {
        return;
    }
    let pods = &case.world.pods;
    let gateway = pods.iter().find(|pod| pod.net.labels.get("istio").is_some_and(|is| is == "ingressgateway")).unwrap();
    let client = IpAddr::from(random.pick(&CLIENTS));
    let (host, to) = random.pick(&ROUTES);
    let target = pods.iter().find(|pod| pod.name() == to).unwrap();
    let comes = match random.below(4) {
        0 | 1 => Comes::Plain,
        2 => Comes::Tls(Some(host)),
        _ => Comes::Tls(random.pick(&[None, Some("garden.example"), Some("shop.example"), Some("nobody.example")])),
    };
    let mut http = super::judge::request(random, None);
    http.host = host.into();
    let port = if comes == Comes::Plain { 8080 } else { 8443 };
    let sni = if let Comes::Tls(name) = comes { name } else { None };

    let network = case.network(End::Address(client), End::Pod(&gateway.net), port, Protocol::Tcp)
        && case.network(End::Pod(&gateway.net), End::Pod(&target.net), 8080, Protocol::Tcp);
    let forwarded = Http { forwarded: Some(client), ..http.clone() };
    let identity = Some((gateway.net.namespace.as_str(), gateway.source.account.as_str()));
    let mesh = case.receives(gateway, client, None, port, sni, Some(&http))
        && case.receives(target, gateway.address(), identity, 8080, None, Some(&forwarded));
    let passes = network && (mesh || !case.has_istio());

    let wanted = meant(case, gateway, target, client, port, &http);
    let shown = format!("{client} -> gateway:{port} {comes:?} -> {to} {http:?}");
    let speaks = |rule: &&&Rule| rule.via.as_ref().unwrap().serves(host);
    let about: Vec<&Rule> = publishing.iter().filter(speaks).copied().collect();
    // Where the platform leads the host to pods that no rule for it means, the rules have nothing to judge there.
    if !about.is_empty() && !about.iter().any(|rule| case.selects(&rule.destination, &target.source)) {
        return;
    }
    if passes && !wanted {
        // Any word at a rule for this host, or for the pods behind it, will do.
        let at_target =
            policy.rules.iter().filter(|rule| rule.ingress && case.selects(&rule.destination, &target.source));
        // What a gateway sends is restricted by no object of Istio, which its rules say.
        let sends = policy.rules.iter().filter(|rule| rule.egress && case.selects(&rule.source, &gateway.source));
        let excused = about.iter().copied().chain(at_target).chain(sends).any(|rule| {
            let said = case.build.diagnostics.iter().any(|one| one.primary.span == rule.origin.span);
            rule.origin.approximate().is_some() || said
        });
        if !excused {
            found.push(finding(case, true, &shown, comes, target));
        }
    }
    // A request whose names differ, or that has none in its handshake, need not be served.
    if wanted && !passes && (comes == Comes::Plain || comes == Comes::Tls(Some(host))) {
        found.push(finding(case, false, &shown, comes, target));
    }
}

fn finding(case: &Case, passes: bool, flow: &str, comes: Comes, target: &Pod) -> Finding {
    let how = match comes {
        Comes::Plain => "http",
        Comes::Tls(_) => "tls",
    };
    let word = if passes { "passes" } else { "refused" };
    Finding {
        passes,
        flow: flow.to_owned(),
        kind: format!("{} {word} gateway {how}", case.draw.setting.layers),
        from: None,
        to: case.world.pods.iter().position(|pod| pod.name() == target.name()),
        port: 8080,
        protocol: Protocol::Tcp,
        way: "gateway",
        by: "",
        avoids: false,
        rules: Vec::new(),
    }
}

/// Decides a request as the language does: the gateway's end and the workload's, each by one rule that says it all.
fn meant(case: &Case, gateway: &Pod, target: &Pod, client: IpAddr, port: u16, http: &Http) -> bool {
    let policy = &case.build.policy;
    let one_says_all = |rule: &&Rule| {
        let from = rule.source.members.iter().any(|member| match &member.what {
            What::Addresses(set) => set.contains(client),
            _ => false,
        });
        rule.via.as_ref().is_some_and(|via| via.serves(&http.host)) && from && matches(&rule.conditions, http)
    };
    let publishing: Vec<&Rule> = policy
        .rules
        .iter()
        .filter(|rule| rule.ingress && rule.via.as_ref().is_some_and(|via| !via.at.is_empty()))
        .collect();
    let published = publishing.iter().any(|rule| rule.via.as_ref().unwrap().serves(&http.host));
    if published && !publishing.iter().any(one_says_all) {
        return false;
    }
    let request = || Request::from(http);
    let flow = |source: Party, destination: &Pod, port: u16| Flow {
        source,
        destination: party(destination),
        port: Some(port),
        protocol: Protocol::Tcp,
        request: request(),
    };
    // What denies or isolates the gateway itself is told by the evaluator.
    let first = eval(policy, &flow(Party::Address(client), gateway, port));
    if !published && !first.allowed() || first.ends.iter().any(|end| matches!(end.cause, Cause::Denied(_))) {
        return false;
    }
    let then = eval(policy, &flow(party(gateway), target, 8080));
    if !then.ends[0].allows() || matches!(then.ends[1].cause, Cause::Denied(_)) {
        return false;
    }
    let about =
        |rule: &&Rule| rule.action == Action::Allow && rule.ingress && case.selects(&rule.destination, &target.source);
    let isolated = policy
        .rules
        .iter()
        .any(|rule| rule.action != Action::Deny && rule.ingress && case.selects(&rule.destination, &target.source));
    let by_gateway = policy.rules.iter().filter(about).any(|rule| {
        let on_port = rule.destination.members.iter().any(|member| {
            let names =
                target.source.ports.iter().filter(|port| port.port == 8080).filter_map(|port| port.name.clone());
            matches!(&member.what, What::Pods(pods) if pods.selector.matches(
                &target.source.namespace_labels, &target.source.labels, &target.source.account))
                && member.ports.matches(Some(8080), Protocol::Tcp, &names.collect::<Vec<_>>())
        });
        on_port
            && match &rule.via {
                Some(_) => one_says_all(&rule),
                None => case.selects(&rule.source, &gateway.source) && matches(&rule.conditions, http),
            }
    });
    !isolated || by_gateway
}

/// Decides the conditions of a rule.
pub fn matches(conditions: &Conditions, http: &Http) -> bool {
    let claims = http.claims.as_ref();
    let texts = |value: Option<&Value>, name: &str| -> Vec<String> {
        match value {
            Some(Value::String(text)) if matches!(name, "scope" | "permission") => {
                text.split(' ').map(str::to_owned).collect()
            }
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    (conditions.methods.is_empty() || conditions.methods.iter().any(|method| *method == http.method))
        && (conditions.paths.is_empty() || conditions.paths.iter().any(|path| path.matches(&http.path)))
        && !conditions.not_paths.iter().any(|path| path.matches(&http.path))
        && conditions.headers.iter().all(|header| {
            let values = http.headers.iter().filter(|(name, _)| header.name == *name);
            values.into_iter().any(|(_, value)| header.values.iter().any(|wanted| wanted == value))
        })
        && (conditions.hosts.is_empty() || conditions.hosts.iter().any(|host| host.matches(&http.host)))
        && conditions.jwt.as_ref().is_none_or(|jwt| {
            claims.is_some_and(|claims| {
                let has = |name: &str, mut wanted: Box<dyn Iterator<Item = &str> + '_>| {
                    let mut names = name.split('/');
                    let first = names.next().and_then(|name| claims.get(name));
                    let found = texts(names.fold(first, |claim, name| claim?.get(name)), name);
                    wanted.any(|value| found.iter().any(|text| text == value))
                };
                has("iss", Box::new(std::iter::once(jwt.issuer.url.as_str())))
                    && (jwt.subjects.is_empty() || has("sub", Box::new(jwt.subjects.iter().map(|one| one.as_str()))))
                    && (jwt.issuer.audiences.is_empty()
                        || has("aud", Box::new(jwt.issuer.audiences.iter().map(|one| one.as_str()))))
                    && jwt
                        .claims
                        .iter()
                        .all(|(name, values)| has(&name.0.join("/"), Box::new(values.iter().map(|one| one.as_str()))))
            })
        })
}

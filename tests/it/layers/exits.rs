//! Connections that come to the egress gateway from pods of the mesh, each as a whole: who asks, for which host, and
//! how. A rule with `via` on the way out lets in what it says of all of these together, whatever the sidecar of the pod
//! has been told.

use std::net::IpAddr;

use netpol::model::ports::Protocol;
use netpol::model::rules::RuleId;
use netpol::policy::{Cause, Flow, Party, Request, Verdict, eval};
use serde_json::Value;

use super::authorization::Http;
use super::gateway::matches;
use super::judge::{Asked, Case, Finding, ROOT};
use super::random::Random;
use super::sidecar::{Bytes, Dial, Landing, by_port, goes};
use super::world::{Pod, Role, party};
use crate::networkpolicy::engine::End;

/// The way of the egress gateway to a host: the port of its pods, whether it reads requests, and the host's port.
struct Onward {
    port: u16,
    requests: bool,
    to: u16,
}

/// Asks for a connection to the egress gateway, where a rule leads out through it.
pub fn ask(case: &Case, random: &mut Random, found: &mut Vec<Finding>) {
    let policy = &case.build.policy;
    let leading: Vec<RuleId> =
        policy.numbered().filter(|(_, rule)| rule.egress && rule.via.is_some()).map(|(at, _)| at).collect();
    if leading.is_empty() || !case.has_istio() {
        return;
    }
    let from = random.below(case.world.pods.len());
    let source = &case.world.pods[from];
    let (host, end) = random.pick(&case.world.hosts);
    if source.role != Role::Sidecar {
        return;
    }
    let Some(way) = onward(case, host) else { return };
    let http = way.requests.then(|| Http { host: host.into(), ..super::judge::request(random, None) });
    let (passes, network) = by_gateway(case, source, (way.port, host, http.as_ref()), end, way.to);
    let denied = denied_there(case, source, way.port, host);
    let request = match &http {
        Some(http) => Request::from(http),
        None => Request { tls: Some(host.into()), ..Request::default() },
    };
    let to = |destination| Flow {
        source: party(source),
        destination,
        port: Some(way.to),
        protocol: Protocol::Tcp,
        request: request.clone(),
    };
    let at = match host {
        "db.zen.example" => netpol::model::addresses::AddressSet::of([ipnet::IpNet::from(end)]),
        _ => policy.internet.clone(),
    };
    let readings = [to(Party::Host { name: host.into(), at }), to(Party::Address(end))];
    let verdicts: Vec<Verdict> = readings.iter().map(|flow| eval(policy, flow)).collect();
    let shown =
        format!("{} ({}) -> the egress gateway for {host}:{} {http:?}", source.name(), source.source.account, way.to);
    let finding = |passes: bool, rules: Vec<RuleId>| Finding {
        passes,
        flow: shown.clone(),
        kind: format!("{} {} exit", case.draw.setting.layers, if passes { "passes" } else { "refused" }),
        from: Some(from),
        to: None,
        port: way.to,
        protocol: Protocol::Tcp,
        way: "exit",
        by: "",
        avoids: passes,
        rules,
    };
    if passes && network && (denied.is_some() || !verdicts.iter().any(Verdict::allowed)) {
        let mut rules: Vec<RuleId> =
            readings.iter().zip(&verdicts).flat_map(|(flow, verdict)| case.forbidding(flow, verdict)).collect();
        rules.extend(denied);
        // A pod whose sidecar does not lead it here goes round that.
        let bytes = if way.requests { Bytes::Http } else { by_port(way.to) };
        let name = (bytes != Bytes::Raw).then_some(host);
        let avoids = !leads_here(case, source, &Dial { address: end, port: way.to, bytes, name });
        let asked = Asked {
            network,
            good: true,
            avoiding: true,
            shown: shown.clone(),
            ends: (Some(from), None),
            protocol: Protocol::Tcp,
            promised: true,
            way: "exit",
        };
        if !case.said(&rules, &asked, Some(way.to), avoids) {
            found.push(finding(true, rules));
        }
        return;
    }
    // A rule that matches by all that it says lets the pod in, where no deny forbids that.
    let fits = |at: &&RuleId| {
        let rule = policy.rule(**at).unwrap();
        let names = rule.destination.members.iter().any(|member| {
            matches!(&member.what, netpol::model::endpoint::What::Host(one) if one.matches(host))
                && member.ports.matches(Some(way.to), Protocol::Tcp, &[])
        });
        let met = http.as_ref().map_or(rule.conditions.is_none(), |http| matches(&rule.conditions, http));
        case.selects(&rule.source, &source.source) && names && met
    };
    let fitting: Vec<RuleId> = leading.iter().filter(fits).copied().collect();
    let said_less =
        |at: &RuleId| case.build.judgements().iter().any(|one| one.rule == *at && !one.remarks().narrower.is_empty());
    if !passes
        && denied.is_none()
        && verdicts.iter().all(Verdict::allowed)
        && !fitting.is_empty()
        && !fitting.iter().any(said_less)
    {
        found.push(finding(false, fitting));
    }
}

/// Returns whether the sidecar of a pod leads a connection to a gateway.
fn leads_here(case: &Case, source: &Pod, dial: &Dial) -> bool {
    let ways = goes(case.mesh(), ROOT, case.world, source, dial, case.draw.setting.pods);
    ways.iter().any(|way| matches!(way, Landing::Gateway { .. }))
}

/// Returns the way that the objects give the egress gateway to a host.
fn onward(case: &Case, host: &str) -> Option<Onward> {
    let routes = case.mesh().iter().filter(|one| one["kind"] == "VirtualService" && one["spec"]["hosts"][0] == host);
    let items = routes.flat_map(|one| {
        let items =
            |kind: &'static str| one["spec"][kind].as_array().into_iter().flatten().map(move |item| (kind, item));
        ["http", "tls", "tcp"].into_iter().flat_map(items)
    });
    let is_own = |one: &Value| one["gateways"].as_array().is_some_and(|list| !list.contains(&Value::from("mesh")));
    let number = |value: &Value| u16::try_from(value.as_u64().unwrap()).unwrap();
    items.into_iter().find_map(|(kind, item)| {
        let own = item["match"].as_array().into_iter().flatten().find(|one| is_own(one))?;
        let to = number(&item["route"][0]["destination"]["port"]["number"]);
        Some(Onward { port: number(&own["port"]), requests: kind == "http", to })
    })
}

/// Returns the deny that forbids a pod the way to the egress gateway, if one does.
pub fn denied_there(case: &Case, source: &Pod, port: u16, sni: &str) -> Option<RuleId> {
    let flow = Flow {
        source: party(source),
        destination: party(exit(case)),
        port: Some(port),
        protocol: Protocol::Tcp,
        request: Request { tls: Some(sni.into()), ..Request::default() },
    };
    eval(&case.build.policy, &flow).ends.iter().find_map(|end| match end.cause {
        Cause::Denied(rule) => Some(rule),
        _ => None,
    })
}

fn exit<'w>(case: &Case<'w>) -> &'w Pod {
    let is_exit = |pod: &&Pod| pod.net.labels.get("istio").is_some_and(|is| is == "egressgateway");
    case.world.pods.iter().find(is_exit).unwrap()
}

/// Decides the way of a pod to a host through the egress gateway: whether the gateway lets it in, and whether the
/// objects of NetworkPolicy let it go there and on.
pub fn by_gateway(
    case: &Case,
    source: &Pod,
    (at, sni, http): (u16, &str, Option<&Http>),
    end: IpAddr,
    port: u16,
) -> (bool, bool) {
    let gateway = exit(case);
    let identity = Some((source.net.namespace.as_str(), source.source.account.as_str()));
    let network = case.network(End::Pod(&source.net), End::Pod(&gateway.net), at, Protocol::Tcp)
        && case.network(End::Pod(&gateway.net), End::Address(end), port, Protocol::Tcp);
    (case.receives(gateway, source.address(), identity, at, Some(sni), http), network)
}

//! Claims with `via`: what proves or refutes them is a way of which the evaluator says the same, leg by leg.

use netpol::inventory::ContainerPort;
use netpol::model::labels::{Labels, NAMESPACE_NAME};
use netpol::model::ports::Protocol;
use netpol::model::rules::{ClaimKind, Rule};
use netpol::policy::meaning::{Meaning, Passes};
use netpol::policy::{Cause, Flow, Party, Pod, Policy, Request, eval};

use crate::layers::draw::{self, HEAD};
use crate::layers::random::Random;
use crate::layers::world::World;
use crate::meaning::policy;

const CLIENTS: &[&str] =
    &["198.51.100.0/24", "198.51.100.0/26", "203.0.113.7", "{ 203.0.113.0/24, 192.0.2.0/24 }", "outside"];
const BEHIND: &[&str] = &["garden/{app=web}", "garden/{app=api}", "shop/{app=cart}", "garden/*"];
const PUBLIC: &[&str] =
    &["\"garden.example\"", "\"shop.example\"", "\"*.garden.example\"", "\"garden.example\", \"shop.example\""];
const CONDITIONS: &[&str] =
    &["", "", " where method GET", " where path \"/api/**\"", " where method POST where path \"/api\", \"/health\""];
const SENDERS: &[&str] = &["garden/*", "garden/{app=web}", "shop/*", "lab/{app=good}"];
const EXITS: &[&str] = &["zenquotes.io:443", "api.example:443", "{ zenquotes.io:443, api.example:443 }"];
const FORBIDDING: &[&str] = &[
    "default deny ingress istio-system/{istio=ingressgateway}",
    "default deny egress istio-system/{istio in (ingressgateway, egressgateway)}",
    "default deny garden/*",
    "default deny ingress garden/{app=web}",
    "deny ingress 198.51.100.64/26 -> istio-system/{istio=ingressgateway}",
    "deny ingress istio-system/{istio=ingressgateway} -> garden/{app=api}:8080/http where path \"/api/**\"",
    "deny egress istio-system/{istio=egressgateway} -> zenquotes.io",
    "deny egress garden/{tier=back} -> istio-system/{istio=egressgateway}",
    "allow ingress istio-system/* -> garden/{app=web}:8080",
];

fn way_in(random: &mut Random) -> String {
    let condition = random.pick(CONDITIONS);
    let (clients, behind, public) = (random.pick(CLIENTS), random.pick(BEHIND), random.pick(PUBLIC));
    format!("{clients} -> {behind}:8080/http via ingress-gateway at {public}{condition}")
}

fn way_out(random: &mut Random) -> String {
    format!("{} -> {} via egress-gateway", random.pick(SENDERS), random.pick(EXITS))
}

fn pod(namespace: &str, labels: &[(&str, &str)], account: &str) -> Pod {
    let mut namespace_labels = Labels::from([(NAMESPACE_NAME.into(), namespace.into())]);
    match namespace {
        "garden" => drop(namespace_labels.insert("env".into(), "prod".into())),
        "lab" => drop(namespace_labels.insert("env".into(), "dev".into())),
        _ => {}
    }
    Pod {
        shown: namespace.to_owned(),
        namespace_labels,
        labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        account: account.into(),
        ports: vec![ContainerPort { name: Some("http".into()), port: 8080, protocol: Protocol::Tcp }],
        sidecar: true,
        single: false,
    }
}

fn gateway(role: &str) -> Pod {
    pod("istio-system", &[("istio", role)], &format!("istio-{role}-service-account"))
}

fn workload(random: &mut Random) -> Pod {
    let namespace = random.pick(&["garden", "garden", "shop", "lab"]);
    let app = ("app", random.pick(&["web", "api", "cart", "good"]));
    let tier = ("tier", random.pick(&["front", "back"]));
    pod(namespace, &[app, tier], "default")
}

fn flow(source: Party, destination: Party, port: u16, request: &Request) -> Flow {
    Flow { source, destination, port: Some(port), protocol: Protocol::Tcp, request: request.clone() }
}

/// Draws the two legs of a way.
fn legs(random: &mut Random, way: &Rule, policy: &Policy) -> [Flow; 2] {
    if way.ingress {
        let client =
            random.pick(&["198.51.100.1", "198.51.100.70", "203.0.113.7", "203.0.113.9", "192.0.2.1", "9.9.9.9"]);
        let client = client.parse().unwrap();
        let gateway = Party::Pod(gateway("ingressgateway"));
        let request = Request {
            method: Some(random.pick(&["GET", "POST"]).into()),
            path: Some(random.pick(&["/", "/api", "/api/x", "/health"]).into()),
            host: Some(random.pick(&["garden.example", "shop.example", "a.garden.example"]).into()),
            ..Request::default()
        };
        let forwarded = Request { client: Some(client), ..request.clone() };
        let port = random.pick(&[8080, 8443]);
        return [
            flow(Party::Address(client), gateway.clone(), port, &request),
            flow(gateway, Party::Pod(workload(random)), 8080, &forwarded),
        ];
    }
    let gateway = Party::Pod(gateway("egressgateway"));
    let host = random.pick(&["zenquotes.io", "api.example"]);
    let request = Request { tls: Some(host.into()), ..Request::default() };
    let to = Party::Host { name: host.into(), at: policy.internet.clone() };
    [flow(Party::Pod(workload(random)), gateway.clone(), 8443, &request), flow(gateway, to, 443, &request)]
}

/// Returns whether a leg is one of the only rule of a policy.
fn is_of_way(only: &Policy, way: &Rule, leg: &Flow, first: bool) -> bool {
    let ends = eval(only, leg).ends;
    let by_rule = ends.iter().any(|end| matches!(end.cause, Cause::Allowed(_) | Cause::Granted(_)));
    match (way.ingress, first) {
        (true, _) => ends.iter().any(|end| matches!(end.cause, Cause::Allowed(_))),
        (false, true) => by_rule,
        (false, false) => {
            let Party::Host { name, .. } = &leg.destination else { return false };
            way.destination
                .members
                .iter()
                .any(|member| matches!(&member.what, netpol::model::endpoint::What::Host(host) if host.matches(name)))
                && leg.port == Some(443)
        }
    }
}

#[test]
fn ways_that_prove_or_refute_claims_are_judged_alike_by_the_evaluator() {
    let world = World::new(false);
    let (mut allowed, mut none, mut denied, mut all) = (0, 0, 0, 0);
    for number in 0..240 {
        let mut random = Random::of_case(9, number);
        let mut statements: Vec<String> = draw::draw(&mut random).statements.into_iter().take(1).collect();
        statements.push(format!("allow ingress {}", way_in(&mut random)));
        statements.push(format!("allow egress {}", way_out(&mut random)));
        for _ in 0..random.below(4) {
            let one = random.pick(FORBIDDING).to_owned();
            if !statements.contains(&one) {
                statements.push(one);
            }
        }
        let claim = if random.percent(60) { way_in(&mut random) } else { way_out(&mut random) };
        let head = format!("{HEAD}{}", world.declarations());
        let source = format!("{head}{}\nassert never {claim}\n", statements.join("\n"));
        let Some((asked, _)) = policy(&source, None) else { continue };
        let [claim] = asked.assertions.as_slice() else { panic!("{source}") };
        assert_eq!(claim.kind, ClaimKind::Never);
        let way = claim.way().unwrap();
        let word = if way.ingress { "ingress" } else { "egress" };
        let text = source.rsplit_once("assert never ").unwrap().1;
        let (only, _) = policy(&format!("{head}allow {word} {text}"), None).unwrap();
        let shown = |flow: &dyn std::fmt::Debug| format!("case {number}\n{}\n{text}{flow:#?}", statements.join("\n"));
        let mut meaning = Meaning::new(&asked, &[]);
        let passes = meaning.allowed_way(&way).unwrap();
        match &passes {
            Passes::Way(legs) => {
                allowed += 1;
                for (at, leg) in legs.iter().enumerate() {
                    assert!(eval(&asked, leg).allowed() && is_of_way(&only, &way, leg, at == 0), "{}", shown(leg));
                }
            }
            Passes::None => none += 1,
            Passes::Unclear => panic!("{}", shown(&"rules tell no pods of the gateway apart")),
        }
        let refused = meaning.denied_leg(&way).unwrap();
        match &refused {
            Some(leg) => {
                denied += 1;
                let is_of = is_of_way(&only, &way, leg, true) || is_of_way(&only, &way, leg, false);
                assert!(!eval(&asked, leg).allowed() && is_of, "{}", shown(leg));
            }
            None => all += 1,
        }
        for _ in 0..200 {
            let legs = legs(&mut random, &way, &asked);
            if !legs.iter().enumerate().all(|(at, leg)| is_of_way(&only, &way, leg, at == 0)) {
                continue;
            }
            let passing = legs.iter().map(|leg| eval(&asked, leg).allowed()).collect::<Vec<bool>>();
            assert!(!matches!(passes, Passes::None) || passing.contains(&false), "{}", shown(&legs));
            assert!(refused.is_some() || !passing.contains(&false), "{}", shown(&legs));
        }
    }
    println!("{allowed} pass, {none} do not; {denied} have a denied leg, {all} have none");
    assert!(allowed > 20 && none > 20 && denied > 20 && all > 10);
}

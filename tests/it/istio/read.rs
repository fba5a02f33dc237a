//! What the objects of a build let in, read as sets, beside what the source says: more only where a judgement says so, and
//! less only for callers that a layer of sidecars cannot know. `NETPOL_READ=POLICIES[,SEED]` asks for more than a test run.

use netpol::flows::{Flows, Set};
use netpol::inventory::{self, PolicyObject};
use netpol::model::ports::{PortMatch, Protocol};
use netpol::model::rules::{Direction, RuleId};
use netpol::policy::meaning::{Meaning, in_words};
use netpol::settings::Layer;
use netpol::targets::istio::read::Ingress;
use netpol::targets::{Level, PAST_SIDECAR, Traffic};
use serde_json::{Value, json};

use crate::common::build::Build;
use crate::layers::draw;
use crate::layers::judge::Case;
use crate::layers::random::Random;
use crate::layers::world::World;

/// Reads objects of a build.
fn read(build: &Build, objects: &[Value]) -> Vec<PolicyObject> {
    let file = build.policy.rules[0].origin.span.file;
    objects.iter().flat_map(|object| inventory::written(file, &object.to_string())).collect()
}

/// Returns the flows that sidecars look at: TCP on ports that they do not leave out.
fn seen(flows: &mut Flows) -> Set {
    let mut first = 1;
    let mut ports = Vec::new();
    for past in PAST_SIDECAR {
        ports.push(PortMatch::range(first, past - 1, Protocol::Tcp));
        first = past + 1;
    }
    ports.push(PortMatch::range(first, u16::MAX, Protocol::Tcp));
    flows.ports(&netpol::model::ports::Ports::Some(ports))
}

/// Compares the ingress of a build's objects with its source; returns what is not as it is said, in words.
fn compare(build: &Build, objects: &[Value]) -> Vec<String> {
    let objects = read(build, objects);
    let ingress = Ingress::new(&build.policy, &objects);
    let mut meaning = Meaning::beside(&build.policy, |terms| ingress.terms(terms).unwrap());
    let judgements = build.judgements_of(Layer::Istio);
    let said = |rule: RuleId| {
        let approximate = build.policy.rules[rule.index()].origin.approximate().is_some();
        let levels = judgements.iter().filter(|one| one.rule == rule && one.direction == Direction::Ingress);
        approximate || levels.into_iter().any(|one| one.levels.of(Traffic::Tcp) != Level::Exact)
    };
    let narrower = |rule: RuleId| {
        judgements.iter().any(|one| one.rule == rule && one.direction == Direction::Ingress && !one.narrower.is_empty())
    };
    let mut found = Vec::new();
    for place in meaning.pod_places() {
        let (seen, known) = (seen(meaning.flows()), meaning.known(Direction::Ingress, place));
        let whole = meaning.read_by_proxies(Direction::Ingress, place);
        let d = &mut meaning.flows().diagrams;
        let within = d.and(seen, known);
        let within = d.and(within, whole);
        let layer = match ingress.row(meaning.flows(), place, within) {
            Ok(layer) => layer,
            Err(unread) => {
                found.push(format!("not understood: {}", unread.what));
                continue;
            }
        };
        let excess = meaning.excess(Direction::Ingress, place, layer, within, &said).unwrap();
        found.extend(excess.map(|one| format!("let in: {}", in_words(&meaning.flow(&one)))));
        let identified = meaning.flows().from_sidecar();
        let outside = meaning.flows().outside(false, Set::ALL);
        let d = &mut meaning.flows().diagrams;
        let known = d.or(identified, outside);
        let within = d.and(within, known);
        let unknown = d.complement(identified);
        let lost = meaning.lost(Direction::Ingress, place, layer, within, (unknown, &narrower)).unwrap();
        found.extend(lost.map(|one| format!("refused: {}", in_words(&meaning.flow(&one)))));
    }
    found
}

#[test]
fn objects_let_in_what_the_source_says_and_more_only_where_a_judgement_says_so() {
    let asked = std::env::var("NETPOL_READ").unwrap_or_default();
    let (count, seed) = asked.split_once(',').unwrap_or((&asked, "1"));
    let (count, seed): (u64, u64) = (count.parse().unwrap_or(100), seed.parse().unwrap());
    let worlds = [World::new(false), World::new(true)];
    let (mut built, mut wrong) = (0, 0);
    for number in 0..count {
        let mut draw = draw::draw(&mut Random::of_case(seed, number));
        draw.setting.layers = "istio";
        let Some(case) = Case::build(&worlds[usize::from(draw.setting.known)], &draw) else { continue };
        built += 1;
        let found = compare(&case.build, &case.build.objects());
        if !found.is_empty() {
            wrong += 1;
            println!("\n# case {number}, {:?}\n{}", draw.setting, draw.statements.join("\n"));
            found.iter().for_each(|one| println!("  {one}"));
        }
    }
    println!("{built} of {count} policies built, {wrong} not as they are said");
    assert_eq!(wrong, 0);
    assert!(built > count / 8, "only {built} of {count} policies built");
}

/// A defect: its name, and what puts it into objects; that returns false where they have no place for it.
type Defect = (&'static str, fn(&mut Vec<Value>) -> bool);

/// Defects that must be seen, each by a policy that has a place for it.
const DEFECTS: &[Defect] = &[
    ("an AuthorizationPolicy is lost", |objects| lose(objects, "AuthorizationPolicy")),
    ("a PeerAuthentication is lost", |objects| lose(objects, "PeerAuthentication")),
    ("a RequestAuthentication is lost", |objects| lose(objects, "RequestAuthentication")),
    ("mutual TLS is permissive", |objects| {
        change(objects, "PeerAuthentication", |spec| put(&mut spec["mtls"]["mode"], json!("PERMISSIVE")))
    }),
    ("mutual TLS is strict on every port", |objects| {
        change(objects, "PeerAuthentication", |spec| cut(spec, "portLevelMtls"))
    }),
    ("DENY becomes ALLOW", |objects| {
        change(objects, "AuthorizationPolicy", |spec| {
            spec["action"] == "DENY" && put(&mut spec["action"], json!("ALLOW"))
        })
    }),
    ("ALLOW becomes DENY", |objects| {
        let allows = |spec: &mut Value| spec["action"] == "ALLOW" && spec["rules"][0].is_object();
        change(objects, "AuthorizationPolicy", |spec| allows(spec) && put(&mut spec["action"], json!("DENY")))
    }),
    ("nothing is let in", |objects| {
        change(objects, "AuthorizationPolicy", |spec| spec["action"] == "ALLOW" && empty(&mut spec["rules"]))
    }),
    ("a selector is lost", |objects| change(objects, "AuthorizationPolicy", |spec| cut(spec, "selector"))),
    ("a selector of mutual TLS is lost", |objects| change(objects, "PeerAuthentication", |spec| cut(spec, "selector"))),
    ("a value of a selector is another", |objects| {
        change(objects, "AuthorizationPolicy", |spec| {
            let labels = spec["selector"]["matchLabels"].as_object_mut();
            labels.and_then(|labels| labels.values_mut().next()).is_some_and(|value| put(value, json!("another")))
        })
    }),
    ("a rule for everything", |objects| {
        let add = |spec: &mut Value| {
            spec["rules"].as_array_mut().is_some_and(|rules| {
                rules.push(json!({}));
                true
            })
        };
        change(objects, "AuthorizationPolicy", |spec| spec["action"] == "ALLOW" && add(spec))
    }),
    ("a rule is lost", |objects| {
        change(objects, "AuthorizationPolicy", |spec| {
            spec["rules"].as_array_mut().is_some_and(|rules| !rules.is_empty() && rules.remove(0).is_object())
        })
    }),
    ("`from` is lost", |objects| rule(objects, |rule| cut(rule, "from"))),
    ("`to` is lost", |objects| rule(objects, |rule| cut(rule, "to"))),
    ("`when` is lost", |objects| rule(objects, |rule| cut(rule, "when"))),
    ("or for and, between `from` and `to`", |objects| {
        change(objects, "AuthorizationPolicy", |spec| {
            let Some(rules) = spec["rules"].as_array_mut() else { return false };
            let Some(at) = rules.iter().position(|rule| rule["from"].is_array() && rule["to"].is_array()) else {
                return false;
            };
            let mut other = rules[at].clone();
            let divided = cut(&mut rules[at], "from") && cut(&mut other, "to");
            rules.push(other);
            divided
        })
    }),
    ("any identity", |objects| source(objects, "principals", |list| put(list, json!(["*"])))),
    ("any identity of a namespace", |objects| {
        source(objects, "principals", |list| {
            let account =
                list[0].as_str().and_then(|text| text.rsplit_once('/')).map(|(start, _)| format!("{start}/*"));
            account.is_some_and(|all| list[0] != all && put(list, json!([all])))
        })
    }),
    ("an identity is lost", |objects| source(objects, "principals", shorter)),
    ("identities are lost", |objects| in_source(objects, "principals")),
    ("blocks are lost", |objects| in_source(objects, "ipBlocks")),
    ("an `except` is lost", |objects| in_source(objects, "notIpBlocks")),
    ("blocks of clients are lost", |objects| in_source(objects, "remoteIpBlocks")),
    ("an `except` of clients is lost", |objects| in_source(objects, "notRemoteIpBlocks")),
    ("tokens are lost", |objects| in_source(objects, "requestPrincipals")),
    ("ports are lost", |objects| in_operation(objects, "ports")),
    ("a port is another", |objects| operation(objects, "ports", |list| put(&mut list[0], json!("7")))),
    ("a port is lost", |objects| operation(objects, "ports", shorter)),
    ("ports that are left out are lost", |objects| in_operation(objects, "notPorts")),
    ("methods are lost", |objects| in_operation(objects, "methods")),
    ("a method is another", |objects| operation(objects, "methods", |list| put(&mut list[0], json!("DELETE")))),
    ("paths are lost", |objects| in_operation(objects, "paths")),
    ("a path is lost", |objects| operation(objects, "paths", shorter)),
    ("a path and all below", |objects| {
        operation(objects, "paths", |list| {
            let Some(list) = list.as_array_mut() else { return false };
            let exact = list.iter().find_map(|text| text.as_str().filter(|text| !text.ends_with(['*', '}', '/'])));
            let below = exact.map(|text| format!("{text}/*")).filter(|text| !list.contains(&json!(text)));
            below.is_some_and(|text| {
                list.push(json!(text));
                true
            })
        })
    }),
    ("paths that are left out are lost", |objects| in_operation(objects, "notPaths")),
    ("hosts are lost", |objects| in_operation(objects, "hosts")),
    ("hosts that are left out are lost", |objects| in_operation(objects, "notHosts")),
    ("a value of a condition is another", |objects| {
        rule(objects, |rule| rule.pointer_mut("/when/0/values/0").is_some_and(|value| put(value, json!("x"))))
    }),
    ("a condition is turned round", |objects| {
        rule(objects, |rule| {
            let Some(condition) = rule.pointer_mut("/when/0").and_then(Value::as_object_mut) else { return false };
            let Some(values) = condition.remove("values") else { return false };
            condition.insert("notValues".into(), values);
            true
        })
    }),
    ("audiences are lost", |objects| {
        change(objects, "RequestAuthentication", |spec| cut(&mut spec["jwtRules"][0], "audiences"))
    }),
    ("an issuer is another", |objects| {
        change(objects, "RequestAuthentication", |spec| {
            put(&mut spec["jwtRules"][0]["issuer"], json!("https://another.example"))
        })
    }),
];

fn put(to: &mut Value, value: Value) -> bool {
    *to = value;
    true
}

fn cut(from: &mut Value, key: &str) -> bool {
    from.as_object_mut().is_some_and(|map| map.remove(key).is_some())
}

fn empty(list: &mut Value) -> bool {
    list.as_array().is_some_and(|list| !list.is_empty()) && put(list, json!([]))
}

fn shorter(list: &mut Value) -> bool {
    list.as_array_mut().is_some_and(|list| list.len() > 1 && list.pop().is_some())
}

fn lose(objects: &mut Vec<Value>, kind: &str) -> bool {
    let at = objects.iter().position(|object| object["kind"] == kind);
    at.map(|at| objects.remove(at)).is_some()
}

/// Changes the first object of a kind that has a place for it.
fn change(objects: &mut [Value], kind: &str, mut change: impl FnMut(&mut Value) -> bool) -> bool {
    objects.iter_mut().filter(|object| object["kind"] == kind).any(|object| change(&mut object["spec"]))
}

fn rule(objects: &mut [Value], mut each: impl FnMut(&mut Value) -> bool) -> bool {
    change(objects, "AuthorizationPolicy", |spec| spec["rules"].as_array_mut().into_iter().flatten().any(&mut each))
}

fn listed(objects: &mut [Value], list: &str, inner: &str, mut each: impl FnMut(&mut Value) -> bool) -> bool {
    rule(objects, |rule| rule[list].as_array_mut().into_iter().flatten().any(|one| each(&mut one[inner])))
}

fn source(objects: &mut [Value], field: &str, mut each: impl FnMut(&mut Value) -> bool) -> bool {
    listed(objects, "from", "source", |source| source[field].is_array() && each(&mut source[field]))
}

fn operation(objects: &mut [Value], field: &str, mut each: impl FnMut(&mut Value) -> bool) -> bool {
    listed(objects, "to", "operation", |operation| operation[field].is_array() && each(&mut operation[field]))
}

fn in_source(objects: &mut [Value], field: &str) -> bool {
    listed(objects, "from", "source", |source| cut(source, field))
}

fn in_operation(objects: &mut [Value], field: &str) -> bool {
    listed(objects, "to", "operation", |operation| cut(operation, field))
}

#[test]
fn every_defect_of_objects_is_seen() {
    let worlds = [World::new(false), World::new(true)];
    let draws = (0..400).map(|number| {
        let mut draw = draw::draw(&mut Random::of_case(3, number));
        draw.setting.layers = "istio";
        draw
    });
    let cases: Vec<Case<'_>> =
        draws.filter_map(|draw| Case::build(&worlds[usize::from(draw.setting.known)], &draw)).collect();
    let mut missed = Vec::new();
    for (name, defect) in DEFECTS {
        let (mut tried, mut seen) = (0, false);
        for case in &cases {
            let mut objects = case.build.objects();
            if !defect(&mut objects) {
                continue;
            }
            tried += 1;
            seen = !compare(&case.build, &objects).is_empty();
            if seen {
                break;
            }
        }
        println!("{name}: put into {tried} policies, {}", if seen { "seen" } else { "MISSED" });
        if !seen {
            missed.push(*name);
        }
    }
    assert!(missed.is_empty(), "not seen: {missed:#?}");
}

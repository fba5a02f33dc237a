//! Defects in what is written for the way into sidecars and gateways: the check of a build finds each.

use netpol::diag::Diagnostics;
use netpol::settings::Layer;
use netpol::targets::{self, Checked, Made};
use netpol::verify;
use serde_json::{Value, json};

use super::is_caught;
use crate::common::build::Build;
use crate::layers::draw;
use crate::layers::judge::Case;
use crate::layers::random::Random;
use crate::layers::world::World;

/// A defect: its name, and what puts it into objects; that returns false where they have no place for it.
pub type Defect = (&'static str, fn(&mut Vec<Value>) -> bool);

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
    ("an entry is open to every client", |objects| at_entry(objects, |rule| cut(rule, "from"))),
    ("an entry is open to every request", |objects| at_entry(objects, |rule| cut(rule, "when"))),
    ("an entry is open for every host", |objects| at_entry(objects, |rule| cut(rule, "to"))),
    ("an entry asks for no method", |objects| {
        at_entry(objects, |rule| rule.pointer_mut("/to/0/operation").is_some_and(|one| cut(one, "methods")))
    }),
    ("an entry asks for no path", |objects| {
        at_entry(objects, |rule| rule.pointer_mut("/to/0/operation").is_some_and(|one| cut(one, "paths")))
    }),
    ("an entry is narrower", |objects| {
        at_entry(objects, |rule| {
            rule.pointer_mut("/to/0/operation").is_some_and(|one| put(&mut one["methods"], json!(["DELETE"])))
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

pub fn put(to: &mut Value, value: Value) -> bool {
    *to = value;
    true
}

pub fn cut(from: &mut Value, key: &str) -> bool {
    from.as_object_mut().is_some_and(|map| map.remove(key).is_some())
}

pub fn empty(list: &mut Value) -> bool {
    list.as_array().is_some_and(|list| !list.is_empty()) && put(list, json!([]))
}

pub fn shorter(list: &mut Value) -> bool {
    list.as_array_mut().is_some_and(|list| list.len() > 1 && list.pop().is_some())
}

pub fn lose(objects: &mut Vec<Value>, kind: &str) -> bool {
    let at = objects.iter().position(|object| object["kind"] == kind);
    at.map(|at| objects.remove(at)).is_some()
}

/// Changes the first object of a kind that has a place for it.
pub fn change(objects: &mut [Value], kind: &str, mut change: impl FnMut(&mut Value) -> bool) -> bool {
    objects.iter_mut().filter(|object| object["kind"] == kind).any(|object| change(&mut object["spec"]))
}

pub fn rule(objects: &mut [Value], mut each: impl FnMut(&mut Value) -> bool) -> bool {
    change(objects, "AuthorizationPolicy", |spec| spec["rules"].as_array_mut().into_iter().flatten().any(&mut each))
}

/// Changes the first rule for clients at the ingress gateway that has a place for it.
fn at_entry(objects: &mut [Value], mut each: impl FnMut(&mut Value) -> bool) -> bool {
    change(objects, "AuthorizationPolicy", |spec| {
        spec["selector"]["matchLabels"]["istio"] == "ingressgateway"
            && spec["rules"].as_array_mut().into_iter().flatten().any(|rule| {
                let of_policy = rule.pointer("/to/0/operation/hosts").is_some();
                of_policy && each(rule)
            })
    })
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

/// Checks a build of one part after a change of its objects; `None` where they have no place for it.
pub fn check(build: &Build, change: impl Fn(&mut Vec<Value>) -> bool + Sync) -> Option<Diagnostics> {
    let found = std::sync::Mutex::new(None);
    let look = |made: &Made<'_>| {
        let documents = made.texts.iter().flat_map(|text| text.split("\n---\n"));
        let mut objects: Vec<Value> = documents.map(|text| serde_yaml::from_str(text).unwrap()).collect();
        if made.layer == Layer::Istio && change(&mut objects) {
            let texts: Vec<String> = objects.iter().map(|object| serde_yaml::to_string(object).unwrap()).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let made = Made { texts: &texts, ..*made };
            let all = verify::check(&build.policy, &build.sources, &made).alone;
            let each = verify::check_by(1, &build.policy, &build.sources, &made).alone;
            assert_eq!(is_caught(&all), is_caught(&each), "as it is with the rows of each namespace by themselves");
            *found.lock().unwrap() = Some(all);
        }
        Checked::default()
    };
    targets::build(&build.policy, &build.sources, &look, &mut Diagnostics::new(), &mut |_| true);
    found.into_inner().unwrap()
}

/// Puts defects into the objects of so many random policies for Istio, and expects each to be seen in one that has a
/// place for it.
pub fn all_are_seen(defects: &[Defect], seed: u64, count: u64) {
    let worlds = [World::new(false), World::new(true)];
    let draws = (0..count).map(|number| {
        let mut draw = draw::draw(&mut Random::of_case(seed, number));
        draw.setting.layers = "istio";
        draw
    });
    let cases: Vec<Case<'_>> =
        draws.filter_map(|draw| Case::build(&worlds[usize::from(draw.setting.known)], &draw)).collect();
    for case in &cases {
        assert!(check(&case.build, |_| true).is_none_or(|found| found.iter().next().is_none()));
    }
    let mut missed = Vec::new();
    for (name, defect) in defects {
        let tried = cases.iter().filter_map(|case| check(&case.build, defect));
        let mut count = 0;
        let seen = tried.inspect(|_| count += 1).any(|found| is_caught(&found));
        println!("{name}: put into {count} policies, {}", if seen { "seen" } else { "MISSED" });
        if !seen {
            missed.push(*name);
        }
    }
    assert!(missed.is_empty(), "not seen: {missed:#?}");
}

#[test]
fn every_defect_of_objects_is_seen() {
    all_are_seen(DEFECTS, 3, 400);
}

#[test]
fn a_star_within_a_value_is_a_star() {
    let issuer =
        "issuer corp { url \"https://a*b.example\"  jwks \"https://l.example/k\" at 192.0.2.0/24  audiences \"x*y\" }";
    for condition in [
        "where header x-a \"a*b\"",
        "where jwt corp subject \"a*b\"",
        "where jwt corp claim g = \"a*b\" claim aud = \"x\" claim iss = \"x\" claim sub = \"x\"",
    ] {
        let text = format!("{issuer}\nallow ingress lab/* -> garden/{{app=api}}:8080/http {condition}\n");
        let build = Build::text_for(&[Layer::Istio], &text, None, |_| {});
        assert!(!is_caught(&build.diagnostics), "{condition}");
    }
}

#[test]
fn a_workload_that_takes_what_its_gateway_takes_for_another_is_seen() {
    let text = "use std/istio (ingress-gateway)\n\
                allow ingress 198.51.100.0/24 -> garden/{app=web}:8080/http via ingress-gateway at \"garden.example\"\n\
                allow ingress 203.0.113.0/24 -> garden/{app=api}:8080/http via ingress-gateway at \"garden.example\"\n";
    let build = Build::text_for(&[Layer::Istio], text, None, |_| {});
    assert!(!is_caught(&build.diagnostics));
    let forgotten = |objects: &mut [Value], app: &str| {
        change(objects, "AuthorizationPolicy", |spec| {
            let source = spec.pointer("/selector/matchLabels/app").is_some_and(|own| own == app);
            source && spec.pointer_mut("/rules/0/from/0/source").is_some_and(|one| cut(one, "remoteIpBlocks"))
        })
    };
    for app in ["web", "api"] {
        let found = check(&build, |objects| forgotten(objects, app)).unwrap();
        assert!(is_caught(&found), "{app} takes every client that the gateway takes");
    }
    // Clients that no rule names for the host do not come this far.
    let alone = text.lines().take(2).collect::<Vec<_>>().join("\n");
    let build = Build::text_for(&[Layer::Istio], &alone, None, |_| {});
    assert!(!is_caught(&build.diagnostics));
}

//! Defects in what is written for the way out of sidecars: the check of a build finds each.

use netpol::settings::Layer;
use serde_json::{Value, json};

use super::is_caught;
use super::sidecars::{Defect, all_are_seen, change, check, cut, empty, lose, put, rule, shorter};
use crate::common::build::Build;

/// Defects that must be seen, each by a policy that has a place for it.
const DEFECTS: &[Defect] = &[
    ("a Sidecar is lost", |objects| lose(objects, "Sidecar")),
    ("a ServiceEntry is lost", |objects| lose(objects, "ServiceEntry")),
    ("a VirtualService is lost", |objects| lose(objects, "VirtualService")),
    ("a DestinationRule is lost", |objects| lose(objects, "DestinationRule")),
    ("a Gateway is lost", |objects| lose(objects, "Gateway")),
    ("the policy for other traffic is lost", |objects| sidecar(objects, |spec| cut(spec, "outboundTrafficPolicy"))),
    ("other traffic passes", |objects| {
        sidecar(objects, |spec| {
            let mode = &mut spec["outboundTrafficPolicy"]["mode"];
            *mode == "REGISTRY_ONLY" && put(mode, json!("ALLOW_ANY"))
        })
    }),
    ("the labels of a Sidecar are lost", |objects| sidecar(objects, |spec| cut(spec, "workloadSelector"))),
    ("a label of a Sidecar is another", |objects| {
        sidecar(objects, |spec| {
            let labels = spec["workloadSelector"]["labels"].as_object_mut();
            labels.and_then(|labels| labels.values_mut().next()).is_some_and(|value| put(value, json!("another")))
        })
    }),
    ("all listeners are lost", |objects| sidecar(objects, |spec| cut(spec, "egress"))),
    ("a listener is lost", |objects| sidecar(objects, |spec| shorter(&mut spec["egress"]))),
    ("an import is lost", |objects| listener(objects, |one| shorter(&mut one["hosts"]))),
    ("imports become one of nothing", |objects| {
        listener(objects, |one| one["hosts"] != json!(["~/*"]) && put(&mut one["hosts"], json!(["~/*"])))
    }),
    ("an import of nothing becomes one of all", |objects| {
        listener(objects, |one| one["hosts"] == json!(["~/*"]) && put(&mut one["hosts"], json!(["*/*"])))
    }),
    ("an import of a host becomes one of all", |objects| import(objects, |host| !host.contains(".svc."), "*/*")),
    ("an import of a Service becomes one of all", |objects| import(objects, |host| host.contains(".svc."), "*/*")),
    ("an import of a Service becomes one of its namespace", |objects| {
        listener(objects, |one| {
            let host = one["hosts"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .find(|host| host.as_str().is_some_and(|text| text.contains(".svc.") && !text.contains("/*")));
            host.is_some_and(|host| {
                let (namespace, name) = host.as_str().unwrap().split_once('/').unwrap();
                let all = format!("{namespace}/*.{}", name.split_once('.').unwrap().1);
                put(host, json!(all))
            })
        })
    }),
    ("the port of a listener is lost", |objects| listener(objects, |one| cut(one, "port"))),
    ("the port of a listener is another", |objects| {
        listener(objects, |one| one["port"].is_object() && put(&mut one["port"]["number"], json!(7)))
    }),
    ("a listener for names reads bytes", |objects| {
        listener(objects, |one| {
            let has_host = one["hosts"]
                .as_array()
                .is_some_and(|hosts| hosts.iter().any(|host| host.as_str().is_some_and(|text| text.starts_with("./"))));
            has_host && matches!(one["port"]["protocol"].as_str(), Some("TLS" | "HTTP")) && {
                put(&mut one["port"]["protocol"], json!("TCP"))
            }
        })
    }),
    ("the host of an entry is another", |objects| {
        entry(objects, |spec| put(&mut spec["hosts"], json!(["another.example"])))
    }),
    ("a wildcard becomes one host", |objects| {
        entry(objects, |spec| {
            let host = spec["hosts"][0].as_str().and_then(|host| host.strip_prefix("*.")).map(str::to_owned);
            host.is_some_and(|host| put(&mut spec["hosts"], json!([host])))
        })
    }),
    ("a prefix is wider", |objects| {
        entry(objects, |spec| {
            let is_block = spec["resolution"] == "NONE" && spec["addresses"][0] != "::/0";
            is_block && spec["addresses"][0].is_string() && put(&mut spec["addresses"][0], json!("128.0.0.0/1"))
        })
    }),
    ("a prefix begins at zero", |objects| {
        entry(objects, |spec| spec["resolution"] == "NONE" && put(&mut spec["addresses"], json!(["0.0.0.0/8"])))
    }),
    ("a prefix is lost", |objects| entry(objects, |spec| shorter(&mut spec["addresses"]))),
    ("the prefixes are lost", |objects| entry(objects, |spec| spec["resolution"] == "NONE" && cut(spec, "addresses"))),
    ("names lead to the dialled address", |objects| {
        entry(objects, |spec| spec["resolution"] == "DNS" && put(&mut spec["resolution"], json!("NONE")))
    }),
    ("names of a wildcard lead to the dialled address", |objects| {
        entry(objects, |spec| spec["resolution"] == "DYNAMIC_DNS" && put(&mut spec["resolution"], json!("NONE")))
    }),
    ("a wildcard is resolved as a name", |objects| {
        entry(objects, |spec| spec["resolution"] == "DYNAMIC_DNS" && put(&mut spec["resolution"], json!("DNS")))
    }),
    ("a port of an entry is another", |objects| entry(objects, |spec| put(&mut spec["ports"][0]["number"], json!(7)))),
    ("a port of an entry is lost", |objects| entry(objects, |spec| shorter(&mut spec["ports"]))),
    ("addresses are read as names", |objects| {
        entry(objects, |spec| {
            let protocol = &mut spec["ports"][0]["protocol"];
            *protocol == "TCP" && put(protocol, json!("TLS"))
        })
    }),
    ("the endpoints are lost", |objects| entry(objects, |spec| cut(spec, "endpoints"))),
    ("an endpoint is another", |objects| {
        entry(objects, |spec| {
            spec["endpoints"].is_array() && put(&mut spec["endpoints"][0]["address"], json!("203.0.113.99"))
        })
    }),
    ("an entry is shown to others alone", |objects| entry(objects, |spec| put(&mut spec["exportTo"], json!(["x"])))),
    ("TLS arrives on another port", |objects| {
        entry(objects, |spec| {
            let target = &mut spec["ports"][0]["targetPort"];
            target.is_number() && put(target, json!(7))
        })
    }),
    ("a route is for no sidecar", |objects| {
        route(objects, |spec| spec["gateways"].as_array_mut().is_some_and(|list| list.remove(0) == "mesh"))
    }),
    ("a route is for another name", |objects| {
        each_match(objects, |one| one["sniHosts"].is_array() && put(&mut one["sniHosts"], json!(["another.example"])))
    }),
    ("a route is for another port", |objects| each_match(objects, |one| put(&mut one["port"], json!(7)))),
    ("a route is for other pods", |objects| {
        each_match(objects, |one| {
            let labels = one["sourceLabels"].as_object_mut();
            labels.and_then(|labels| labels.values_mut().next()).is_some_and(|value| put(value, json!("another")))
        })
    }),
    ("a route leads straight to its host", |objects| {
        route(objects, |spec| {
            let host = spec["hosts"][0].clone();
            let mut items = ["http", "tls", "tcp"].into_iter().filter(|kind| !spec[kind].is_null());
            let kind = items.next().unwrap();
            let to = &mut spec[kind][0]["route"][0]["destination"];
            cut(to, "subset") && put(&mut to["host"], host) && put(&mut to["port"]["number"], json!(443))
        })
    }),
    ("a route leads to another subset", |objects| {
        route(objects, |spec| {
            let mut kinds = ["http", "tls", "tcp"].into_iter().filter(|kind| !spec[kind].is_null());
            let kind = kinds.next().unwrap();
            put(&mut spec[kind][0]["route"][0]["destination"]["subset"], json!("another"))
        })
    }),
    ("the route of a gateway is lost", |objects| route(objects, |spec| spec["tls"].is_array() && cut(spec, "tcp"))),
    ("a gateway is asked for another name", |objects| {
        opening(objects, |tls| tls["mode"] == "ISTIO_MUTUAL" && put(&mut tls["sni"], json!("another.example")))
    }),
    ("a gateway does not know its callers", |objects| {
        opening(objects, |tls| tls["mode"] == "ISTIO_MUTUAL" && put(&mut tls["mode"], json!("SIMPLE")))
    }),
    ("a certificate may have any name", |objects| opening(objects, |tls| cut(tls, "subjectAltNames"))),
    ("a certificate may be anybody's", |objects| opening(objects, |tls| cut(tls, "caCertificates"))),
    ("no TLS is opened", |objects| {
        opening(objects, |tls| tls["mode"] == "SIMPLE" && put(&mut tls["mode"], json!("DISABLE")))
    }),
    ("a Gateway is for other pods", |objects| {
        gateway(objects, |spec| {
            let labels = spec["selector"].as_object_mut();
            labels.and_then(|labels| labels.values_mut().next()).is_some_and(|value| put(value, json!("another")))
        })
    }),
    ("a server has another port", |objects| {
        gateway(objects, |spec| put(&mut spec["servers"][0]["port"]["number"], json!(7)))
    }),
    ("a server has another host", |objects| {
        gateway(objects, |spec| put(&mut spec["servers"][0]["hosts"], json!(["another.example"])))
    }),
    ("a server passes TLS on", |objects| {
        gateway(objects, |spec| put(&mut spec["servers"][0]["tls"]["mode"], json!("PASSTHROUGH")))
    }),
    ("a gateway lets everybody out to a host", |objects| at_exit(objects, |rule| cut(rule, "from"))),
    ("a gateway lets pods out to every host", |objects| at_exit(objects, |rule| cut(rule, "when"))),
    ("a gateway lets pods out for every host of requests", |objects| at_exit(objects, |rule| cut(rule, "to"))),
    ("a gateway lets pods out to another host", |objects| {
        at_exit(objects, |rule| put(&mut rule["when"][0]["values"], json!(["another.example"])))
    }),
    ("a gateway lets other pods out", |objects| {
        at_exit(objects, |rule| put(&mut rule["from"], json!([{ "source": { "namespaces": ["another"] } }])))
    }),
    ("a gateway lets out a method alone", |objects| {
        at_exit(objects, |rule| {
            rule.pointer_mut("/to/0/operation").is_some_and(|one| put(&mut one["methods"], json!(["GET"])))
        })
    }),
    ("a field is misspelt", |objects| {
        sidecar(objects, |spec| {
            let egress = spec["egress"].take();
            put(&mut spec["Egress"], egress)
        })
    }),
    ("a Sidecar lets nothing out", |objects| sidecar(objects, |spec| empty(&mut spec["egress"]))),
];

fn sidecar(objects: &mut [Value], each: impl FnMut(&mut Value) -> bool) -> bool {
    change(objects, "Sidecar", each)
}

fn listener(objects: &mut [Value], mut each: impl FnMut(&mut Value) -> bool) -> bool {
    sidecar(objects, |spec| spec["egress"].as_array_mut().into_iter().flatten().any(&mut each))
}

/// Puts an import in the place of the first that is of some kind.
fn import(objects: &mut [Value], is_meant: impl Fn(&str) -> bool, text: &str) -> bool {
    listener(objects, |one| {
        let hosts = one["hosts"].as_array_mut().into_iter().flatten();
        let mut meant = hosts.filter(|host| host.as_str().is_some_and(|text| text != "~/*" && is_meant(text)));
        meant.next().is_some_and(|host| put(host, json!(text)))
    })
}

fn entry(objects: &mut [Value], each: impl FnMut(&mut Value) -> bool) -> bool {
    change(objects, "ServiceEntry", each)
}

fn route(objects: &mut [Value], each: impl FnMut(&mut Value) -> bool) -> bool {
    change(objects, "VirtualService", each)
}

/// Changes the first match of sidecars that has a place for it.
fn each_match(objects: &mut [Value], mut each: impl FnMut(&mut Value) -> bool) -> bool {
    route(objects, |spec| {
        ["http", "tls", "tcp"].into_iter().any(|kind| {
            let items = spec[kind].as_array_mut().into_iter().flatten();
            let matches = items.flat_map(|item| item["match"].as_array_mut().into_iter().flatten());
            matches.into_iter().any(|one| one["gateways"] == json!(["mesh"]) && each(one))
        })
    })
}

/// Changes the first TLS of a DestinationRule that has a place for it.
fn opening(objects: &mut [Value], mut each: impl FnMut(&mut Value) -> bool) -> bool {
    change(objects, "DestinationRule", |spec| {
        let mut of = |policy: &mut Value| {
            policy["portLevelSettings"].as_array_mut().into_iter().flatten().any(|one| each(&mut one["tls"]))
        };
        let whole = spec["trafficPolicy"].is_object() && of(&mut spec["trafficPolicy"]);
        whole || spec["subsets"].as_array_mut().into_iter().flatten().any(|one| of(&mut one["trafficPolicy"]))
    })
}

/// Changes the first rule of a gateway for pods that leave through it.
fn at_exit(objects: &mut [Value], mut each: impl FnMut(&mut Value) -> bool) -> bool {
    rule(objects, |rule| {
        rule["from"].is_array() && rule["when"][0]["values"].is_array() && {
            rule["when"][0]["key"] == "connection.sni" && each(rule)
        }
    })
}

fn gateway(objects: &mut [Value], each: impl FnMut(&mut Value) -> bool) -> bool {
    change(objects, "Gateway", each)
}

#[test]
fn every_defect_of_objects_for_the_way_out_is_seen() {
    all_are_seen(DEFECTS, 5, 700);
}

#[test]
fn every_defect_of_a_gateway_that_leads_out_is_seen_wherever_it_is() {
    let text = "use std/istio (egress-gateway)\n\
                allow egress garden/* -> a.example:80/http via egress-gateway\n\
                allow egress lab/* -> b.example:443/tls via egress-gateway\n";
    for more in ["", "default deny ingress egress-gateway\n", "deny ingress lab/{app=x} -> egress-gateway\n"] {
        let build = Build::text_for(&[Layer::Istio], &format!("{text}{more}"), None, |_| {});
        assert!(!is_caught(&build.diagnostics), "{more}");
        let defects: &[Defect] = &[
            ("from", |objects| at_exit(objects, |rule| cut(rule, "from"))),
            ("when", |objects| at_exit(objects, |rule| cut(rule, "when"))),
            ("to", |objects| {
                at_exit(objects, |rule| rule["to"][0]["operation"]["hosts"].is_array() && cut(rule, "to"))
            }),
            ("method", |objects| {
                at_exit(objects, |rule| {
                    rule.pointer_mut("/to/0/operation").is_some_and(|one| put(&mut one["methods"], json!(["GET"])))
                })
            }),
            ("host", |objects| {
                at_exit(objects, |rule| {
                    rule["when"][0]["values"][0] == "b.example"
                        && put(&mut rule["when"][0]["values"], json!(["b.example", "a.example"]))
                })
            }),
        ];
        for (name, defect) in defects {
            assert!(is_caught(&check(&build, defect).unwrap()), "{name} {more}");
        }
    }
}

/// Changes the first rule of a gateway for pods that it refuses.
fn at_refusal(objects: &mut [Value], mut each: impl FnMut(&mut Value) -> bool) -> bool {
    change(objects, "AuthorizationPolicy", |spec| {
        let refused = spec["action"] == "DENY" && spec["selector"]["matchLabels"]["istio"] == "egressgateway";
        refused && spec["rules"].as_array_mut().into_iter().flatten().any(&mut each)
    })
}

#[test]
fn a_denied_pod_that_a_gateway_lets_out_is_seen() {
    let pod = |name: &str, account: &str| {
        format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name}, namespace: garden }}\nspec:\n  \
             selector: {{ matchLabels: {{ app: {name} }} }}\n  template:\n    \
             metadata: {{ labels: {{ app: {name}, sidecar.istio.io/inject: \"true\" }} }}\n    \
             spec: {{ serviceAccountName: {account}, containers: [{{ name: a, image: b }}] }}\n"
        )
    };
    let manifests = [pod("web", "web"), pod("api", "api"), pod("old", "api")].concat();
    let text = |denied: &str| {
        format!(
            "use std/istio (egress-gateway)\nlet db = host db.corp at 203.0.113.7\n\
             allow egress garden/* -> {{ a.example, b.example }}:443 via egress-gateway\n\
             allow egress garden/* -> db:5432 via egress-gateway\ndeny egress {denied}\n"
        )
    };
    let defects: &[Defect] = &[
        ("lost", |objects| at_refusal(objects, |rule| put(&mut rule["when"][0]["values"], json!(["x.example"])))),
        ("another pod", |objects| {
            at_refusal(objects, |rule| {
                put(&mut rule["from"][0]["source"]["principals"], json!(["cluster.local/ns/garden/sa/api"]))
            })
        }),
        ("every pod", |objects| at_refusal(objects, |rule| cut(rule, "from"))),
        ("every host", |objects| at_refusal(objects, |rule| cut(rule, "when"))),
    ];
    for denied in [
        "garden/@web -> a.example:443",
        "garden/{app=web} -> { *.example except b.example }:443",
        "garden/{app=web} -> db:5432",
        "garden/{app=web} -> 203.0.113.0/24:5432",
        "garden/{app=web} -> { 203.0.113.0/29, 198.51.100.0/24 }:5432",
        "{ garden/* except garden/@api } -> internet:443",
    ] {
        let build = Build::text_for(&[Layer::Istio], &text(denied), Some(&manifests), |_| {});
        assert!(!is_caught(&build.diagnostics), "{denied}");
        for (name, defect) in defects {
            let found = check(&build, defect).unwrap_or_else(|| panic!("{denied}: nobody is refused"));
            assert!(is_caught(&found), "{denied}: {name}");
        }
    }
    for kept in [
        // Another workload runs as the account, too.
        "garden/{app=api} -> a.example:443",
        // A host without `at` may be elsewhere.
        "garden/@web -> 203.0.113.0/24:443",
        "garden/@web -> 203.0.113.7:443",
        "garden/@web -> c.example:443",
        "garden/@web -> a.example:80",
    ] {
        let build = Build::text_for(&[Layer::Istio], &text(kept), Some(&manifests), |_| {});
        assert!(!is_caught(&build.diagnostics), "{kept}");
        assert!(check(&build, |objects| at_refusal(objects, |rule| cut(rule, "from"))).is_none(), "{kept}");
    }
}

#[test]
fn an_import_of_what_other_pods_are_allowed_is_seen() {
    let text = "allow egress garden/{app=web} -> 198.51.100.0/24:443\nallow egress garden/{app=db} -> 203.0.113.0/24:443\n\
                allow egress garden/{app=web} -> a.example:8443/tls\nallow egress garden/{app=db} -> b.example:8443/tls\n";
    let build = Build::text_for(&[Layer::Istio], text, None, |_| {});
    assert!(!is_caught(&build.diagnostics));
    for (from, to) in
        [(".netpol.internal", "./*.netpol.internal"), ("./a.example", "*/*"), ("./a.example", "./*.example")]
    {
        let found = check(&build, |objects| import(objects, |host| host.ends_with(from), to)).unwrap();
        assert!(is_caught(&found), "{to}");
    }
}

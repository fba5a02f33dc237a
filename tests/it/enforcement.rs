//! Enforcement by all layers of a build together: which rule is not enforced, on which traffic, and that its own line
//! says so.

use netpol::model::rules::Direction;
use netpol::settings::{Layer, Settings};
use netpol::targets::capability::{self, Ability};
use netpol::targets::{Level, Traffic};

use crate::common::Cluster;
use crate::istio::build::{Build, MESH, build_with};

/// Builds for both layers, without facts about the cluster.
fn both(source: &str) -> Build {
    Build::text_for_both(source, None)
}

/// Builds for both layers, or for Istio alone, in a cluster.
fn in_cluster(cluster: &str, source: &str, both: bool) -> Build {
    if both { Build::text_for_both(source, Some(cluster)) } else { build_with(source, Some(cluster), |_| ()) }
}

/// Returns the findings of the layers, each with the statement that it stands at: `E0711 default deny lab/*`.
fn said(build: &Build) -> Vec<String> {
    let found = build.diagnostics.iter().filter(|finding| finding.code.as_str()[1..].starts_with("07"));
    found
        .map(|finding| {
            let span = finding.primary.span;
            let text = &build.sources.file(span.file).text[span.start as usize..span.end as usize];
            format!("{} {text}", finding.code.as_str())
        })
        .collect()
}

fn message(build: &Build, code: &str) -> String {
    let finding = build.diagnostics.iter().find(|finding| finding.code.as_str() == code);
    finding.map(|finding| finding.message.clone()).unwrap_or_default()
}

#[test]
fn what_an_account_is_given_inside_a_default_deny_is_said_at_the_default_deny() {
    for (source, rule) in [
        ("default deny ingress lab/*\nallow ingress garden/* -> lab/@good:8080", "default deny ingress lab/*"),
        ("default deny egress lab/*\nallow egress lab/@good -> zenquotes.io:443", "default deny egress lab/*"),
    ] {
        let build = both(source);
        let errors: Vec<String> = said(&build).into_iter().filter(|text| text.starts_with('E')).collect();
        assert_eq!(errors, [format!("E0711 {rule}")], "{source}");
    }
    // Two accounts get what the other is given, too.
    let build = both(
        "@approximate(\"all of lab\") default deny ingress lab/*\nallow ingress garden/* -> lab/@good:8080\nallow ingress shop/* -> lab/@other:9090",
    );
    assert_eq!(
        said(&build),
        ["E0711 allow ingress garden/* -> lab/@good:8080", "E0711 allow ingress shop/* -> lab/@other:9090"]
    );
    // Several rules of one account give each other nothing.
    let build = both(
        "@approximate(\"all of lab\") default deny egress lab/*\nallow egress lab/@good -> 198.51.100.7:443\nallow egress lab/@good -> db/*:5432",
    );
    assert_eq!(said(&build).iter().filter(|text| text.starts_with('E')).count(), 0, "{:?}", said(&build));
}

#[test]
fn udp_is_held_by_networkpolicy_or_by_nobody() {
    for source in [
        "deny ingress testing/* -> prod/*",
        "deny ingress testing/* -> prod/*:53/udp",
        "allow ingress lab/@curl -> garden/{app=web}",
        "allow ingress lab/@curl -> garden/{app=web}:53/udp",
        "allow egress garden/* -> ntp.example.org:123/udp",
        "allow egress garden/* -> quic.example.org:{443, 443/udp}",
    ] {
        let build = both(source);
        let errors: Vec<String> = said(&build).into_iter().filter(|text| text.starts_with('E')).collect();
        assert_eq!(errors, [format!("E0711 {source}")]);
        assert!(message(&build, "E0711").contains("on udp"), "{}", message(&build, "E0711"));
    }
    // TCP alone is left open on networkpolicy here, and there Istio knows the account.
    assert_eq!(said(&both("allow ingress lab/@curl -> garden/{app=web}:8080")), Vec::<String>::new());
    let deny = "deny ingress testing/* -> prod/*:8080";
    assert_eq!(said(&both(deny)), [format!("N0706 {deny}")]);
    // The ports that sidecars leave out are nobody's either.
    let build = both("allow ingress lab/@curl -> garden/{app=web}:*");
    assert!(message(&build, "E0711").ends_with("on the ports 15020, 15021 and 15090"), "{}", message(&build, "E0711"));
}

#[test]
fn what_is_not_tcp_is_said_once_where_istio_is_alone() {
    let alone = |source: &str, exact: bool| {
        said(&build_with(source, None, |settings| {
            settings.targets = vec![Layer::Istio];
            settings.require_exact = exact;
        }))
    };
    let source = "allow ingress lab/* -> garden/*\nallow ingress shop/* -> db/*";
    assert_eq!(alone(source, false), ["N0704 allow ingress lab/* -> garden/*"]);
    assert_eq!(alone(source, true), ["E0713 allow ingress lab/* -> garden/*"]);
    // A deny that names nothing else is not enforced at all.
    assert_eq!(
        alone("deny ingress lab/* -> garden/*:53/udp", false)[1..],
        ["E0711 deny ingress lab/* -> garden/*:53/udp"]
    );
}

#[test]
fn icmp_is_denied_by_nobody() {
    for source in ["deny ingress lab/* -> garden/*:*/icmp", "deny egress garden/* -> 198.51.100.7:{*/icmp, 443}"] {
        let build = both(source);
        assert!(said(&build).contains(&format!("E0711 {source}")), "{:?}", said(&build));
    }
}

#[test]
fn each_end_of_an_allow_counts_by_itself() {
    let build = both("allow {env=prod}/* -> db/{app=pg}:5432");
    assert_eq!(said(&build), ["E0711 allow {env=prod}/* -> db/{app=pg}:5432"]);
    assert!(message(&build, "E0711").ends_with("at its sending end"), "{}", message(&build, "E0711"));
    // Of a deny one end is enough.
    let deny = "deny lab/* -> garden/*:8080";
    assert_eq!(said(&both(&format!("default deny egress lab/*\n{deny}"))), [format!("N0706 {deny}")]);
}

#[test]
fn the_receiving_end_judges_conditions_for_the_sending_one() {
    let rule = "allow shop/* -> garden/{app=web}:8080/http where path \"/v1/**\"";
    let errors = |source: &str| {
        let said = said(&both(source)).into_iter().filter(|text| text.starts_with('E'));
        said.collect::<Vec<_>>()
    };
    assert_eq!(errors(rule), Vec::<String>::new());
    // Whom another rule lets in on other terms, the sending end alone forbids.
    let open = format!("{rule}\nallow ingress */* -> garden/*:8080");
    assert!(errors(&open).contains(&format!("E0711 {rule}")), "{:?}", errors(&open));
}

#[test]
fn a_deny_of_some_pods_leaves_others_their_sidecar() {
    let source = "allow egress garden/{app=web, tier=front} -> zenquotes.io:443\ndeny egress garden/{app=web} -> 198.51.100.0/24:443";
    let build = both(source).ok();
    assert_eq!(build.of("Sidecar").len(), 1, "{}", build.text());
    assert_eq!(build.one("Sidecar")["spec"]["workloadSelector"]["labels"]["tier"], "front");
}

#[test]
fn a_deny_around_pods_that_reach_everything_is_not_held() {
    let source =
        "default deny egress garden/*\nallow egress garden/{app=x} -> anywhere\ndeny egress garden/* -> 198.51.100.66";
    let build = build_with(source, None, |_| ());
    assert!(said(&build).contains(&"E0711 deny egress garden/* -> 198.51.100.66".to_owned()), "{:?}", said(&build));
}

#[test]
fn a_deny_by_identity_needs_strict_mtls_on_its_port() {
    let deny = "deny ingress lab/* -> garden/web:80";
    let alone = |rest: &str| said(&build_with(&format!("{rest}\n{deny}"), Some(MESH), |_| ()));
    assert!(alone("allow ingress anywhere -> garden/web:80").contains(&format!("E0711 {deny}")));
    let other_port = alone("allow ingress anywhere -> garden/web:9000");
    assert!(!other_port.contains(&format!("E0711 {deny}")), "{other_port:?}");
    // Where nothing isolates, strict mTLS refuses more than is denied.
    assert!(alone("").contains(&format!("N0706 {deny}")), "{:?}", alone(""));
}

#[test]
fn gateways_on_their_way_out_are_held_by_no_object_of_istio() {
    let source = "use std/istio (ingress-gateway)\ndefault deny egress ingress-gateway";
    let errors = said(&build_with(source, Some(MESH), |_| ()));
    assert!(errors.contains(&"E0711 default deny egress ingress-gateway".to_owned()), "{errors:?}");
    assert_eq!(said(&in_cluster(MESH, source, true)), Vec::<String>::new());
}

#[test]
fn pods_without_a_sidecar_are_held_by_another_layer_or_not_at_all() {
    let half_meshed = Cluster::default()
        .namespace("shop", "istio-injection: enabled")
        .deployment("shop/web", "{ containerPort: 8080 }")
        .deployment_with("shop/old", "sidecar.istio.io/inject: \"false\"", "", "{ containerPort: 8080 }");
    let of = |source: &str, both: bool| {
        said(&in_cluster(&half_meshed.text(), source, both))
            .into_iter()
            .filter(|text| !text.starts_with("N0704"))
            .collect::<Vec<_>>()
    };
    let by_path = "allow ingress internet -> shop/old:8080/http where path \"/api/**\"";
    assert_eq!(of(by_path, true), [format!("E0711 {by_path}")]);
    let some = "default deny ingress shop/*";
    assert_eq!(of(some, false), [format!("W0722 {some}")]);
    assert_eq!(of(some, true), Vec::<String>::new());
    let all = "default deny ingress shop/old";
    assert_eq!(of(all, false), [format!("E0711 {all}")]);
    // A caller without one is refused by strict mTLS, whatever the rule says.
    let peer = "allow ingress shop/old -> shop/web:8080";
    assert_eq!(of(peer, true), [format!("N0706 {peer}")]);
    // Who lets everybody in asks for no identity, and pods without a sidecar refuse nobody.
    assert_eq!(of("allow ingress anywhere -> shop/web:8080", true), Vec::<String>::new());
    assert_eq!(of("allow ingress shop/old -> shop/old:8080", true), Vec::<String>::new());
    // On the way out, too.
    let out = "default deny egress shop/*";
    assert_eq!(of(out, false), [format!("W0722 {out}"), format!("N0701 {out}")]);
}

/// Returns a shop in which a pod has one number for both port names, and another has two.
fn names(labels: &str) -> String {
    let port = |name: &str, number: u16| format!("{{ name: {name}, containerPort: {number} }}");
    Cluster::default()
        .namespace("shop", labels)
        .deployment("shop/web", &format!("{}, {}", port("http", 8080), port("metrics", 8080)))
        .deployment("shop/api", &format!("{}, {}", port("http", 8080), port("metrics", 9090)))
        .text()
}

#[test]
fn two_port_names_may_be_one_number() {
    let build = |manifests: Option<&str>, pods: &str| {
        let source = format!("allow ingress */* -> {pods}:metrics\ndeny ingress */{{team=red}} -> {pods}:http");
        build_with(&source, manifests, |settings| settings.targets = vec![Layer::NetworkPolicy])
    };
    let errors = |build: &Build| said(build).iter().filter(|text| text.starts_with("E0711 deny")).count();
    // Nobody knows the numbers, or they differ from pod to pod.
    assert_eq!(errors(&build(None, "shop/{app=web}")), 1);
    assert_eq!(errors(&build(Some(&names("")), "shop/*")), 1);
    // Where all known pods have one number for both, the other name is taken out too; where they have two, it stays.
    let one = build(Some(&names("")), "shop/{app=web}");
    assert_eq!(errors(&one), 0);
    assert!(one.text().contains("NotIn"), "{}", one.text());
    let two = build(Some(&names("")), "shop/{app=api}");
    assert_eq!(errors(&two), 0);
    assert!(!two.text().contains("NotIn"), "{}", two.text());
}

#[test]
fn ambient_pods_are_held_on_no_single_port() {
    let ambient = names("istio.io/dataplane-mode: ambient");
    let errors = |source: &str| {
        let build = build_with(source, Some(&ambient), |settings| settings.targets = vec![Layer::NetworkPolicy]);
        said(&build).iter().filter(|text| text.starts_with("E0714")).count()
    };
    assert_eq!(errors("allow ingress shop/api -> shop/web:8080"), 1);
    assert_eq!(errors("default deny ingress shop/*\ndeny ingress shop/api -> shop/web:8080"), 1);
    // What closes all ports closes the tunnel, and what opens them opens it.
    assert_eq!(errors("default deny ingress shop/*\nallow ingress shop/api -> shop/web"), 0);
}

/// A shop whose database has annotations, on one layer or both.
fn annotated(annotations: &str, source: &str, both: bool) -> Vec<String> {
    let port = "{ name: sql, containerPort: 5432 }";
    let cluster = Cluster::default()
        .namespace("shop", "istio-injection: enabled")
        .deployment_with("shop/db", "", annotations, port)
        .deployment("shop/web", port);
    let build = in_cluster(&cluster.text(), source, both);
    said(&build).into_iter().filter(|text| !text.starts_with("N0704") && !text.starts_with("N0701")).collect()
}

#[test]
fn annotations_keep_ports_from_sidecars_on_the_way_in() {
    let key = "traffic.sidecar.istio.io";
    let closed = "default deny ingress shop/db";
    let named = "allow ingress shop/* -> shop/db:5432";
    let by_name = "allow ingress shop/* -> shop/db:sql";
    let other = "allow ingress shop/* -> shop/db:9187";
    let deny = "deny ingress shop/* -> shop/db:5432";
    let nothing: [String; 0] = [];
    for annotation in [
        format!("{key}/excludeInboundPorts: \"1234, 5432\""),
        format!("{key}/includeInboundPorts: \"9187\""),
        "status.sidecar.istio.io/port: \"5432\"".to_owned(),
    ] {
        let istio = |source: &str| annotated(&annotation, source, false);
        assert_eq!(istio(closed), [format!("W0724 {closed}")]);
        assert_eq!(istio(named), [format!("E0711 {named}")]);
        assert_eq!(istio(by_name), [format!("E0711 {by_name}")]);
        assert_eq!(istio(other), [format!("W0724 {other}")]);
        assert!(istio(deny).contains(&format!("E0711 {deny}")), "{:?}", istio(deny));
        // The other pods of the namespace keep their sidecars.
        assert_eq!(istio("allow ingress shop/* -> shop/web:5432"), nothing);
        assert_eq!(
            istio("deny ingress shop/* -> shop/web:5432").iter().filter(|text| text.starts_with('E')).count(),
            0
        );
        // In addition the other layer counts, if it enforces the rule.
        assert_eq!(annotated(&annotation, closed, true), nothing);
        assert_eq!(annotated(&annotation, named, true), nothing);
        let by_path = "allow ingress shop/* -> shop/db:5432/http where path \"/a\"";
        assert_eq!(annotated(&annotation, by_path, true), [format!("E0711 {by_path}")]);
        let elsewhere = "allow ingress shop/* -> shop/db:9187/http where path \"/a\"";
        assert_eq!(annotated(&annotation, elsewhere, true), nothing);
    }
    // `*` is what Istio does without it, and it looks at no exclusion beside a list.
    assert_eq!(annotated(&format!("{key}/includeInboundPorts: \"*\""), named, false), nothing);
    let both = format!("{key}/includeInboundPorts: \"5432\", {key}/excludeInboundPorts: \"5432\"");
    assert_eq!(annotated(&both, named, false), [format!("W0724 {named}")]);
    // Where nothing is turned to the sidecar, the pod is one without.
    let config = |yaml: &str| format!("proxy.istio.io/config: {yaml:?}");
    for nowhere in [
        format!("{key}/includeInboundPorts: \"\""),
        "sidecar.istio.io/interceptionMode: NONE".to_owned(),
        format!("{key}/excludeInterfaces: eth0"),
        config("concurrency: 2\ninterceptionMode: NONE\n"),
        config("{ \"interception_mode\": \"NONE\" }"),
    ] {
        assert_eq!(annotated(&nowhere, closed, false), [format!("E0711 {closed}")]);
        assert_eq!(annotated(&nowhere, "default deny ingress shop/*", false), ["W0722 default deny ingress shop/*"]);
    }
}

#[test]
fn a_proxy_config_that_intercepts_keeps_nothing() {
    let named = "allow ingress shop/* -> shop/db:5432";
    let nothing: [String; 0] = [];
    for yaml in ["interceptionMode: TPROXY", "# interceptionMode: NONE\nconcurrency: 2", "concurrency: 2"] {
        assert_eq!(annotated(&format!("proxy.istio.io/config: {yaml:?}"), named, false), nothing, "{yaml}");
    }
    // The annotation counts first.
    let both = "proxy.istio.io/config: \"interceptionMode: NONE\", sidecar.istio.io/interceptionMode: REDIRECT";
    assert_eq!(annotated(both, named, false), nothing);
}

#[test]
fn annotations_keep_ports_and_addresses_from_sidecars_on_the_way_out() {
    let key = "traffic.sidecar.istio.io";
    let closed = "default deny egress shop/db";
    let address = "allow egress shop/db -> 203.0.113.7:443";
    let nothing: [String; 0] = [];
    for (annotation, named) in [
        ("excludeOutboundPorts: \"443\"", true),
        ("excludeOutboundIPRanges: \"203.0.113.0/24\"", true),
        ("includeOutboundIPRanges: \"10.0.0.0/8\"", true),
        ("excludeOutboundPorts: \"3306\"", false),
        ("excludeOutboundIPRanges: \"198.51.100.0/24\"", false),
        ("includeOutboundIPRanges: \"203.0.113.0/24\"", false),
    ] {
        let annotation = format!("{key}/{annotation}");
        assert_eq!(annotated(&annotation, closed, false), [format!("W0724 {closed}")], "{annotation}");
        let code = if named { "E0711" } else { "W0724" };
        assert_eq!(annotated(&annotation, address, false), [format!("{code} {address}")], "{annotation}");
        assert_eq!(annotated(&annotation, address, true), nothing, "{annotation}");
    }
    // A layer that knows addresses alone is wider on a host: what the sidecar does not see, it lets through.
    let host = "allow egress shop/db -> zenquotes.io:443";
    assert_eq!(annotated(&format!("{key}/excludeOutboundPorts: \"443\""), host, true), [format!("E0711 {host}")]);
    assert_eq!(annotated(&format!("{key}/excludeOutboundPorts: \"3306\""), host, true), nothing);
    assert_eq!(annotated(&format!("{key}/excludeOutboundIPRanges: \"10.0.0.0/8\""), host, true), nothing);
    assert_eq!(annotated(&format!("{key}/includeOutboundPorts: \"443\""), host, true), nothing);
    // A call that is kept from the caller's sidecar comes without identity.
    let called = "allow ingress shop/* -> shop/web:5432";
    assert_eq!(annotated(&format!("{key}/excludeOutboundPorts: \"5432\""), called, true), [format!("N0706 {called}")]);
}

#[test]
fn a_rule_that_names_what_every_sidecar_leaves_out_is_not_held() {
    let of = |source: &str, all: bool| {
        let build = if all { both(source) } else { build_with(source, None, |_| ()) };
        said(&build).into_iter().filter(|text| text.starts_with('E')).collect::<Vec<_>>()
    };
    for source in [
        "allow ingress lab/* -> garden/*:15020",
        "allow ingress lab/* -> garden/*:{8080, 15021}",
        "allow ingress lab/* -> garden/*:15000-15100",
        "deny ingress lab/* -> garden/*:15090",
        "deny ingress lab/* -> garden/*:{15090, 8080}",
    ] {
        assert_eq!(of(source, false), [format!("E0711 {source}")]);
    }
    for source in
        ["allow ingress lab/* -> garden/*:8080", "allow ingress lab/* -> garden/*", "allow ingress lab/* -> garden/*:*"]
    {
        assert_eq!(of(source, false), Vec::<String>::new());
    }
    assert_eq!(of("allow ingress lab/* -> garden/*:15020", true), Vec::<String>::new());
}

/// The row of a layer is what the layer does: a sentence that asks for something is judged where the row has it.
#[test]
fn a_layer_judges_by_what_its_row_says() {
    const ISSUER: &str =
        "issuer corp { url \"https://login.example.com\" jwks \"https://login.example.com/keys\" at 203.0.113.0/24 }\n";
    for asked in Ability::ALL {
        let sentences = match asked {
            Ability::Accounts => [
                ("allow egress garden/* -> lab/@curl:8080", Direction::Egress),
                ("allow ingress lab/@curl -> garden/*:8080", Direction::Ingress),
            ],
            Ability::Hosts => [
                ("allow egress garden/* -> zenquotes.io:443/tls", Direction::Egress),
                ("allow egress garden/* -> zenquotes.io:80/http", Direction::Egress),
            ],
            Ability::Tokens => [
                ("allow egress garden/* -> lab/*:8080/http where jwt corp", Direction::Egress),
                ("allow ingress lab/* -> garden/*:8080/http where jwt corp", Direction::Ingress),
            ],
            Ability::Requests => [
                ("allow egress garden/* -> lab/*:8080/http where path \"/a\"", Direction::Egress),
                ("allow ingress lab/* -> garden/*:8080/http where method GET", Direction::Ingress),
            ],
            Ability::RequestHosts => [
                ("allow egress garden/* -> lab/*:8080/http where host \"a.example.com\"", Direction::Egress),
                ("allow ingress lab/* -> garden/*:8080/http where host \"a.example.com\"", Direction::Ingress),
            ],
            Ability::PortNames => [
                ("allow egress garden/* -> lab/*:http", Direction::Egress),
                ("allow ingress lab/* -> garden/*:http", Direction::Ingress),
            ],
            Ability::Ipv6 => [
                ("allow egress garden/* -> [2001:db8::/32]:443", Direction::Egress),
                ("allow ingress 2001:db8::/32 -> garden/*:8080", Direction::Ingress),
            ],
            Ability::Denies => [
                (
                    "deny egress garden/* -> 203.0.113.64/26:443\nallow egress garden/* -> 203.0.113.0/24:443",
                    Direction::Egress,
                ),
                (
                    "deny ingress lab/* -> garden/*:8080\nallow ingress { lab/*, shop/* } -> garden/*:8080",
                    Direction::Ingress,
                ),
            ],
        };
        for (sentence, end) in sentences {
            let build = both(&format!("{ISSUER}{sentence}"));
            for (layer, lowered) in &build.lowering.layers {
                let judgement = lowered.judgements.iter().find(|one| one.direction == end).unwrap();
                let judged = judgement.level <= Level::Bypassable;
                let row = capability::of(*layer);
                assert_eq!(judged, row.judges(asked, end), "{layer:?}: {sentence}: {}", judgement.reason);
                assert!(judgement.level != Level::Bypassable || row.keeper.is_some(), "{layer:?}: {sentence}");
            }
        }
    }
    for (layer, lowered) in &both("default deny ingress garden/*").lowering.layers {
        for kind in [Traffic::Tcp, Traffic::PastSidecar, Traffic::Datagrams] {
            let sees = lowered.judgements[0].levels.of(kind) <= Level::Bypassable;
            assert_eq!(sees, capability::of(*layer).traffic.contains(kind), "{layer:?}: {kind:?}");
        }
    }
}

/// Returns the place's words and the notes of a finding.
fn advice(build: &Build, code: &str) -> String {
    let finding = build.diagnostics.iter().find(|finding| finding.code.as_str() == code);
    let finding = finding.unwrap_or_else(|| panic!("no {code}: {:?}", said(build)));
    format!("{}\n{}\n{}", finding.message, finding.primary.message, finding.notes.join("\n"))
}

#[test]
fn what_cannot_be_held_is_named_and_not_the_condition_beside_it() {
    let told = advice(&both("allow lab/@curl -> garden/{app=web}:8080/http where method GET"), "E0711");
    assert!(!told.contains("where method") && !told.contains("unable: HTTP"), "{told}");
    assert!(told.contains("at its sending end") && told.contains("lab/@curl"), "{told}");
    assert!(told.contains("by their labels") && told.contains("`allow ingress …`"), "{told}");
    // Here the condition is the cause.
    let source = "allow ingress lab/* -> garden/{app=web}:8080/http where method GET";
    let told = advice(&build_with(source, None, |settings| settings.targets = vec![Layer::NetworkPolicy]), "E0711");
    assert!(told.contains("hold `where method GET`") && told.contains("--target networkpolicy,istio"), "{told}");
}

#[test]
fn ways_out_of_a_host_on_tcp_are_those_that_work() {
    for (to, has, lacks) in [
        ("smtp.example.com:587", &["`internet:587`", "host smtp.example.com at"][..], &["/tls"][..]),
        ("git.example.com:22", &["`internet:22`"], &["/tls"]),
        ("pg.example.com:5432", &["`internet:5432`"], &["/tls"]),
        ("ldap.example.com:636", &["`ldap.example.com:636/tls`", "`internet:636`"], &[]),
        ("*.example.com:5432", &["`internet:5432`"], &["host *.", "/tls"]),
        ("ntp.example.com:123/udp", &["`internet:123/udp`"], &["--target"]),
    ] {
        let told = advice(&both(&format!("allow egress mail/* -> {to}")), "E0711");
        has.iter().for_each(|words| assert!(told.contains(words), "{to}: {words} in {told}"));
        lacks.iter().for_each(|words| assert!(!told.contains(words), "{to}: {words} in {told}"));
    }
    // The proposed rule is enforced.
    for to in ["internet:587", "internet:22", "internet:123/udp", "ldap.example.com:636/tls"] {
        let errors = said(&both(&format!("allow egress mail/* -> {to}")));
        assert!(!errors.iter().any(|error| error.starts_with('E')), "{errors:?}");
    }
    // A plain tcp host opens its port alone, so accepting that opens its pods' other hosts to nobody.
    let two = "allow egress mail/* -> smtp.example.com:587\nallow egress mail/* -> api.example.com:443";
    assert!(advice(&both(two), "E0711").contains("@approximate"));
    let told = advice(&both("allow egress mail/* -> *.example.com:443"), "N0701");
    assert!(!told.contains("via") && !told.contains("host *."), "{told}");
    let told = advice(&both("allow egress mail/* -> api.example.com:443"), "N0701");
    assert!(told.contains("via egress-gateway"), "{told}");
}

#[test]
fn a_mesh_that_the_inventory_lacks_is_said_once() {
    let cluster = "
apiVersion: v1
kind: Pod
metadata: { name: a, namespace: lab, labels: { app: a } }
spec: { containers: [{ name: a, image: a, ports: [{ containerPort: 80 }] }] }
";
    let source = "allow ingress lab/{app=a} -> lab/{app=a}:80\nallow ingress lab/* -> lab/{app=a}:81";
    let build = Build::text_for(&[Layer::NetworkPolicy, Layer::Istio], source, Some(cluster), |_| ());
    assert_eq!(said(&build), ["N0707 allow ingress lab/{app=a} -> lab/{app=a}:80"]);
    let build = Build::text_for(&[Layer::NetworkPolicy, Layer::Istio], source, Some(cluster), |settings| {
        settings.targets_are_said = true;
    });
    assert!(said(&build).iter().all(|said| !said.starts_with("N0707")), "{:?}", said(&build));
    let mesh = format!("{cluster}---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: istio-system }}\n");
    let build = Build::text_for(&[Layer::NetworkPolicy, Layer::Istio], source, Some(&mesh), |_| ());
    assert!(said(&build).iter().all(|said| !said.starts_with("N0707")), "{:?}", said(&build));
}

#[test]
fn an_allow_before_an_apply_counts_for_the_rules_of_its_template() {
    let source = "template way(ns: Namespace) { allow egress ns/* -> x.example.com:443 }\n";
    let build = |allow: &str| Build::text_for_both(&format!("{source}{allow}apply way(garden)\n"), None).ok();
    assert!(build("").codes().contains(&"N0701"));
    let allowed = build("@allow(N0701, \"sidecars are kept\")\n");
    assert!(!allowed.codes().contains(&"N0701") && !allowed.codes().contains(&"W0146"), "{:?}", allowed.codes());
}

#[test]
fn tls_of_a_pod_is_refused_only_where_no_member_lets_it_out() {
    let host = "let a = host a.example.com { port 80/http -> 443/tls }";
    let narrower = |to: &str| {
        let build = build_with(&format!("{host}\nallow egress shop/* -> {to}"), None, |_| ());
        let words = build.judgements()[0].remarks().narrower.iter().map(|note| note.words.to_string());
        words.collect::<Vec<_>>().join("\n")
    };
    assert!(narrower("a:80").contains("leaves TLS to its sidecar"), "{}", narrower("a:80"));
    assert_eq!(narrower("{ a:80, a:443 }"), "");
}

/// A cluster IP leads to pods, whoever may send to its block; the way to DNS has no port of its own on Istio.
#[test]
fn services_behind_addresses_and_dns_are_open_on_istio() {
    let cluster = "apiVersion: v1\nkind: Service\nmetadata: { name: api, namespace: garden }\n\
        spec: { clusterIP: 10.96.0.20, selector: { app: api }, ports: [{ port: 80 }] }\n";
    let judged = |source: &str, rule: usize| {
        let build = build_with(source, Some(cluster), |_| ());
        build.judged(rule, Direction::Egress)
    };
    let addresses = |to: &str| judged(&format!("allow egress shop/* -> {to}"), 0);
    let (level, reason) = addresses("10.0.0.0/8:80");
    assert!(level == Level::Wider && reason.contains("the cluster IP of garden/api"), "{level:?} {reason}");
    for other in ["10.0.0.0/8:443", "10.0.0.0/9:80", "{ 10.0.0.0/8 except 10.96.0.0/16 }:80"] {
        let is_inside = other == "10.0.0.0/9:80";
        assert_eq!(addresses(other).0 == Level::Wider, is_inside, "{other}");
    }
    let host = "allow egress garden/* -> zenquotes.io:443\n";
    for (denied, level) in [
        ("kube-system/*:9153", Level::Unable),
        ("kube-system/{k8s-app=kube-dns}:9153", Level::Unable),
        ("kube-system/*", Level::Bypassable),
    ] {
        let (found, reason) = judged(&format!("{host}deny egress garden/web -> {denied}"), 1);
        assert_eq!(found, level, "{denied}: {reason}");
    }
}

/// Who asks for a headless Service dials its port at the pods themselves.
#[test]
fn the_port_of_a_headless_service_is_its_pods() {
    let judged = |target: &str| {
        let cluster = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: db, namespace: garden }}\nspec:\n  \
             selector: {{ matchLabels: {{ app: db }} }}\n  template:\n    metadata: {{ labels: {{ app: db }} }}\n    \
             spec: {{ containers: [{{ name: a, image: b, ports: [{{ name: pg, containerPort: 5432 }}] }}] }}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{ name: db, namespace: garden }}\nspec: {{ clusterIP: None, \
             selector: {{ app: db }}, ports: [{{ name: tcp-pg, port: 5432, targetPort: {target} }}] }}\n"
        );
        build_with("allow egress shop/* -> garden/{app=db}", Some(&cluster), |_| ()).judged(0, Direction::Egress)
    };
    for own in ["5432", "pg"] {
        assert_eq!(judged(own).0, Level::Bypassable, "{own}: {}", judged(own).1);
    }
    let (level, reason) = judged("9999");
    assert!(level == Level::Wider && reason.contains("is headless: its port 5432"), "{level:?} {reason}");
}

/// A route for the name of a headless Service leads requests to whatever address the pod dials.
#[test]
fn a_headless_service_with_requests_leads_to_any_address() {
    let cluster = |port: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: db, namespace: garden }}\nspec:\n  \
             selector: {{ matchLabels: {{ app: db }} }}\n  template:\n    metadata: {{ labels: {{ app: db }} }}\n    \
             spec: {{ containers: [{{ name: a, image: b, ports: [{{ name: a, containerPort: 8080 }}] }}] }}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{ name: db, namespace: garden }}\nspec: {{ clusterIP: None, \
             selector: {{ app: db }}, ports: [{{ {port}port: 8080 }}] }}\n"
        )
    };
    let both = |settings: &mut Settings| settings.targets = vec![Layer::NetworkPolicy, Layer::Istio];
    for (port, leads_anywhere) in [("name: http, ", true), ("", true), ("name: tcp-db, ", false)] {
        let cluster = cluster(port);
        for to in ["garden/db:8080", "garden/*", "garden/*:8080", "*/*"] {
            let rule = format!("allow egress shop/* -> {to}");
            let (level, reason) = build_with(&rule, Some(&cluster), |_| ()).judged(0, Direction::Egress);
            assert_eq!(level > Level::Bypassable, leads_anywhere && to.ends_with(":8080"), "{port}{to}: {reason}");
            assert_eq!(reason.contains("headless"), leads_anywhere, "{port}{to}: {reason}");
            // Networkpolicy stops the other addresses, unless another rule opens them there.
            assert!(!build_with(&rule, Some(&cluster), both).codes().contains(&"E0711"), "{port}{to}");
            let host = format!("{rule}\nallow egress shop/* -> api.example.com:8080/http");
            let found = build_with(&host, Some(&cluster), both).codes().contains(&"E0711");
            assert_eq!(found, leads_anywhere, "{port}{to} beside a host");
        }
    }
}

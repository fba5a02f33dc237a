//! What an import of a Sidecar brings along: other entries of its namespace, and Services that lead elsewhere.

use netpol::model::rules::Direction;
use netpol::targets::Level;

use super::super::build::{Build, build, build_in_mesh, build_with};

const OUT: Direction = Direction::Egress;

fn is_wider(build: &Build, rule: usize, because: &str) {
    let (level, reason) = build.judged(rule, OUT);
    assert_eq!(level, Level::Wider, "{reason}\n{}", build.text());
    assert!(reason.contains(because), "{reason}");
}

#[test]
fn a_wildcard_on_its_own_port_brings_that_port_of_what_lies_below_it() {
    let build = build_in_mesh(
        "allow egress garden/{app=web} -> *.wild.example:443
         allow egress garden/{app=api} -> db.wild.example:8443/tls",
    )
    .ok();
    assert_eq!(build.imports("garden", "app-web-egress")[&443], ["./*.wild.example"]);
    assert_eq!(build.judged(0, OUT).0, Level::Bypassable);
}

#[test]
fn trap_56_a_wildcard_without_a_port_brings_all_ports_of_what_lies_below_it() {
    // TLS hosts and addresses on one port cannot share a listener, so both are imported without a port.
    let both = "allow egress garden/{app=web} -> { *.wild.example:443, 203.0.113.0/24:443 }\n";
    for other in ["db.wild.example:8443/tls", "*.db.wild.example:8443/tls", "a.b.wild.example:80"] {
        let build = build_in_mesh(&format!("{both}allow egress garden/{{app=api}} -> {other}"));
        let (host, _) = other.split_once(':').unwrap();
        is_wider(&build, 0, host);
        assert_eq!(build.judged(1, OUT).0, Level::Bypassable);
        assert!(build.codes().contains(&"E0711"), "{:?}", build.codes());
    }
    // What lies elsewhere, or is allowed to these pods too, is nothing more.
    for other in ["wild.example:8443/tls", "db.tame.example:8443/tls", "db.wild.example:443"] {
        let build = build_in_mesh(&format!("{both}allow egress garden/{{app=api}} -> {other}")).ok();
        assert_eq!(build.judged(0, OUT).0, Level::Bypassable, "{other}");
    }
    let own = format!(
        "{both}allow egress garden/{{app=api}} -> db.wild.example:8443/tls
         allow egress garden/{{app=web}} -> *.wild.example:8443/tls"
    );
    assert_eq!(build_in_mesh(&own).ok().judged(0, OUT).0, Level::Bypassable);
}

#[test]
fn a_wildcard_of_the_mesh_brings_what_the_root_namespace_shows_everybody() {
    let mesh = "allow egress */* -> { *.wild.example:443, 203.0.113.0/24:443 }
        allow egress */* -> db.wild.example:8443/tls\n";
    assert_eq!(build_in_mesh(mesh).ok().judged(0, OUT).0, Level::Bypassable);
    // These pods may not, and have the entry of the mesh in sight.
    let denied = build_in_mesh(&format!("{mesh}deny egress garden/curl -> db.wild.example:8443"));
    is_wider(&denied, 0, "db.wild.example");
    // An entry of the root namespace that only its own pods see is in nobody else's way.
    let own = "allow egress garden/* -> { *.wild.example:443, 203.0.113.0/24:443 }
        allow egress istio-system/{app=istiod} -> db.wild.example:8443/tls";
    assert_eq!(build_in_mesh(own).judged(0, OUT).0, Level::Bypassable);
}

#[test]
fn a_wildcard_brings_the_made_up_hosts_of_addresses() {
    // They are hosts below `internal`: with HTTP, whoever asks for one would reach any address on that port.
    let hosts = "allow egress garden/{app=web} -> *.internal:{443, 80}\n";
    for addresses in ["10.20.0.0/16:443", "10.20.0.0/16:80", "{ 10.20.0.0/16, 10.30.0.0/16 }:{80, 9000}"] {
        let build = build_in_mesh(&format!("{hosts}allow egress garden/{{app=api}} -> {addresses}"));
        is_wider(&build, 0, "10.20.0.0/16");
        assert_eq!(build.judged(1, OUT).0, Level::Bypassable);
    }
    let apart = build_in_mesh(&format!("{hosts}allow egress garden/{{app=api}} -> 10.20.0.0/16:9000")).ok();
    assert_eq!(apart.judged(0, OUT).0, Level::Bypassable);
}

#[test]
fn a_wildcard_brings_the_hosts_below_it_wherever_they_are() {
    let source = "let db = host db.wild.example at 10.0.0.7
        allow egress garden/{app=web} -> *.wild.example:443
        allow egress garden/{app=api} -> db:443";
    for at in ["10.0.0.7", "198.51.100.7"] {
        assert_eq!(build_in_mesh(&source.replace("10.0.0.7", at)).ok().judged(0, OUT).0, Level::Bypassable);
    }
    let both = format!("{source}\nallow egress garden/{{app=web}} -> db:443");
    assert_eq!(build_in_mesh(&both).ok().judged(0, OUT).0, Level::Bypassable);
}

/// A namespace with Services that lead elsewhere than to its pods.
const OUTSIDE: &str = include_str!("../../../targets/services-that-lead-outside/cluster.yaml");

#[test]
fn services_that_lead_outside_are_not_imported_with_their_namespace() {
    for source in ["allow egress garden/* -> shop/*", "allow egress garden/* -> */*"] {
        let build = build_with(source, Some(OUTSIDE), |_| ()).ok();
        let imports: Vec<String> = build.imports("garden", "all-pods-egress").into_values().flatten().collect();
        let of_shop: Vec<&String> = imports.iter().filter(|host| host.starts_with(['s', '*'])).collect();
        let inside = ["shop/cart.shop.svc.cluster.local", "shop/later.shop.svc.cluster.local"];
        assert_eq!(of_shop, inside, "{source}: {imports:?}");
        let refused = build.judgements()[0].remarks().narrower[0].words.clone();
        assert!(refused.contains("exporter, legacy, mail"), "{refused}");
    }
    // The source can say so too; what else there is is not known then.
    let said = build("service shop/legacy { port 5432 }  allow egress garden/* -> shop/*");
    is_wider(&said, 0, "legacy");
}

#[test]
fn one_stated_service_does_not_say_that_there_are_no_others() {
    let fact = "service garden/api { select {app=api} port 80 -> 8080/http }\n";
    let whole = "garden/*.garden.svc.cluster.local".to_owned();
    for peer in
        ["garden/*:8080", "garden/{tier=back}:8080", "garden/{app in (api, web)}:8080", "garden/{app=api}:{8080, 9090}"]
    {
        let build = build(&format!("{fact}allow egress shop/* -> {peer}"));
        is_wider(&build, 0, "garden");
        assert_eq!(build.imports("shop", "all-pods-egress")[&0][0], whole, "{peer}");
    }
    // What leads to all pods that are meant, on all ports that are meant, is enough.
    for peer in ["garden/api:80", "garden/{app=api}:8080", "garden/{app=api, tier=back}:8080"] {
        let build = build(&format!("{fact}allow egress shop/* -> {peer}"));
        assert_eq!(build.imports("shop", "all-pods-egress")[&80], ["garden/api.garden.svc.cluster.local"], "{peer}");
    }
    assert_eq!(build(&format!("{fact}allow egress shop/* -> garden/api:80")).ok().judged(0, OUT).0, Level::Bypassable);
    let every = build(&format!("{fact}allow egress shop/* -> garden/api")).ok();
    assert!(every.judgements()[0].remarks().narrower[0].words.contains("no stated Service"), "{}", every.text());
}

#[test]
fn the_facts_of_the_standard_library_do_not_either() {
    let kyma = build("use std/kyma  allow egress garden/* -> kyma-system/*:{8080, 8222}");
    is_wider(&kyma, 0, "kyma-system");
    assert_eq!(kyma.imports("garden", "all-pods-egress")[&0][1], "kyma-system/*.kyma-system.svc.cluster.local");
}

#[test]
fn a_wildcard_brings_the_port_on_which_the_mesh_opens_tls_for_others() {
    let api = "let api = host api.example.com { port 80/http -> 443/tls }
        allow egress garden/{app=api} -> api:80\n";
    let built = |rule: &str| build(&format!("{api}allow egress garden/{{app=web}} -> {rule}"));
    is_wider(&built("*.example.com:80"), 1, "api.example.com");
    // These pods may go to 443 of the host anyway, dial another port, or another host.
    for rule in ["*.example.com:{80, 443}", "*.example.com:8080/http", "*.example.org:80"] {
        assert_eq!(built(rule).ok().judged(1, OUT).0, Level::Bypassable, "{rule}");
    }
}

#[test]
fn a_deny_of_labelled_namespaces_may_mean_that_of_the_resolver() {
    let rules = "allow egress garden/* -> zenquotes.io:443
        deny egress garden/* -> {env=prod}/*\n";
    let denied = build(rules);
    let (level, words) = denied.judged(1, OUT);
    assert_eq!((level, denied.codes().contains(&"E0711")), (Level::Unable, true));
    assert!(words.contains("`namespace kube-system { labels { … } }`"), "{words}");
    let stated = format!("{rules}namespace kube-system {{ labels {{ team = platform }} }}");
    assert_eq!(build(&stated).ok().judged(1, OUT).0, Level::Bypassable);
    // A NetworkPolicy asks for the labels of the namespace beside its name.
    Build::text_for_both(rules, None).ok();
}

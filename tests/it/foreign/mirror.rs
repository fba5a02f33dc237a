//! A build's own objects, taken for those of others. Beside a build of the same rules they open and close nothing,
//! which compares the reader of objects with their writer. Beside a build of other rules they have the effect of the
//! difference between the rules.

use netpol::settings::Layer;

use super::{said, with};
use crate::istio::build::Build;

/// Returns the objects of a build of some kinds, as if somebody else had written them.
fn of_others(build: &Build, kinds: &[&str]) -> String {
    let objects = build.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.objects);
    let wanted = objects.filter(|object| kinds.contains(&object.kind));
    let renamed = wanted.map(|object| {
        object
            .yaml
            .replace(&format!("name: {}", object.name), &format!("name: theirs-{}", object.name))
            .replace("managed-by: netpol", "managed-by: somebody")
    });
    renamed.collect::<Vec<_>>().join("---\n")
}

const ISTIO: [&str; 3] = ["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"];

const ISSUER: &str = "issuer login { url \"https://login.example.com\" jwks \"https://login.example.com/keys\" }\n";

/// Returns rules for the pods of `shop`, each a source.
pub fn sources() -> Vec<String> {
    let rules = [
        "default deny ingress shop/*",
        "allow ingress lab/* -> shop/web:8080",
        "allow ingress */* -> shop/*",
        "allow ingress lab/@tool -> shop/{app=web}:{8080, 9090}",
        "allow ingress anywhere -> shop/web:8080",
        "allow ingress 203.0.113.0/24 -> shop/{app=db}:5432",
        "allow ingress { 0.0.0.0/0 except 198.51.100.0/24 } -> shop/web:8080",
        "allow ingress { lab/*, 203.0.113.0/24 } -> shop/web:8080/http",
        "allow ingress lab/* -> shop/web:8080/http where method GET, POST",
        "allow ingress lab/* -> shop/web:8080/http where path \"/api/**\", \"/x\"",
        "allow ingress lab/* -> shop/web:8080/http where path \"/a/*/c\"",
        "allow ingress lab/* -> shop/web:8080/http where host \"shop.example.com\", \"*.shop.example.com\"",
        "allow ingress lab/* -> shop/web:8080/http where jwt login",
        "allow ingress lab/* -> shop/web:8080/http where jwt login subject \"a\" claim groups = \"b\"",
        "allow ingress lab/* -> shop/*\ndeny ingress lab/@tool -> shop/web:8080",
        "deny ingress lab/* -> shop/web:8080",
        "deny ingress 203.0.113.0/24 -> shop/web",
        "deny ingress lab/* -> shop/web:8080/http where method DELETE",
    ];
    rules
        .into_iter()
        .map(|rule| if rule.contains("jwt") { format!("{ISSUER}{rule}") } else { rule.to_owned() })
        .collect()
}

#[test]
fn what_a_build_writes_adds_nothing_to_itself() {
    for (layer, kinds) in [(Layer::Istio, ISTIO.as_slice()), (Layer::NetworkPolicy, &["NetworkPolicy"])] {
        let mut compared = 0;
        for source in sources() {
            let own = with("", &source, layer);
            // What a layer cannot say it does not write.
            if own.diagnostics.has_errors() {
                continue;
            }
            let objects = of_others(&own, kinds);
            compared += usize::from(!objects.is_empty());
            let found = said(&with(&objects, &source, layer));
            assert!(found.is_empty(), "{source}\n{found:#?}\n{objects}");
        }
        assert!(compared > 5, "{compared} for {layer:?}");
    }
}

#[test]
fn what_a_build_allows_opens_where_nothing_is_allowed() {
    for layer in [Layer::Istio, Layer::NetworkPolicy] {
        let kinds: &[&str] = if layer == Layer::Istio { &ISTIO } else { &["NetworkPolicy"] };
        for source in sources() {
            let own = with("", &source, layer);
            let allows = source.lines().any(|line| line.starts_with("allow"));
            if own.diagnostics.has_errors() || !allows {
                continue;
            }
            let found = said(&with(&of_others(&own, kinds), "default deny ingress shop/*", layer));
            assert!(found.iter().any(|one| one.contains(" lets more into ")), "{source}\n{found:#?}");
        }
    }
}

#[test]
fn what_a_build_denies_is_refused_where_it_is_allowed() {
    for source in sources().iter().filter(|source| source.starts_with("deny")) {
        let own = with("", source, Layer::Istio);
        assert!(!own.diagnostics.has_errors(), "{source}: {:?}", own.diagnostics);
        let objects = of_others(&own, &ISTIO);
        let all = "allow ingress { lab/*, shop/*, 203.0.113.0/24 } -> shop/web";
        let found = said(&with(&objects, all, Layer::Istio));
        assert!(found.iter().any(|one| one.contains(" refuses what these rules let into ")), "{source}\n{found:#?}");
    }
}

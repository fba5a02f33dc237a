//! PeerAuthentications: which mode counts, and what it does to callers with and without an identity.

use super::{NOTHING, istio, istio_in, on_istio, opens, refuses};

fn peers(spec: &str) -> String {
    istio("security", "PeerAuthentication", spec)
}

fn with_date(object: &str, date: &str) -> String {
    object.replace("metadata: { ", &format!("metadata: {{ creationTimestamp: {date}, "))
}

const KIND: &str = "PeerAuthentication";
const WEB: &str = "selector: { matchLabels: { app: web } }";

#[test]
fn strict_refuses_who_has_no_certificate() {
    let office = "allow ingress 203.0.113.0/24 -> shop/web:8080";
    let refused = refuses(KIND, false, "`shop/web`", "`203.0.113.1 -> shop/web:8080`");
    assert_eq!(on_istio(&peers("{ mtls: { mode: STRICT } }"), office), refused);
    assert_eq!(on_istio(&peers(&format!("{{ {WEB}, mtls: {{ mode: STRICT }} }}")), office), refused);
    assert_eq!(on_istio(&peers("{ mtls: { mode: PERMISSIVE } }"), office), NOTHING);
    assert_eq!(on_istio(&peers("{ selector: { matchLabels: { app: db } }, mtls: { mode: STRICT } }"), office), NOTHING);
    // Of pods, those without a sidecar.
    let anybody = on_istio(&peers("{ mtls: { mode: STRICT } }"), "allow ingress */* -> shop/web:8080");
    assert_eq!(anybody, NOTHING, "the build makes these pods strict by itself");
    let everybody = on_istio(&peers("{ mtls: { mode: STRICT } }"), "allow ingress anywhere -> shop/web:8080");
    assert_eq!(everybody.len(), 1, "{everybody:?}");
    // Callers with a sidecar come in.
    assert_eq!(on_istio(&peers("{ mtls: { mode: STRICT } }"), "allow ingress lab/* -> shop/web:8080"), NOTHING);
}

#[test]
fn the_mesh_gives_way_to_the_namespace_and_that_to_the_workload() {
    let office = "allow ingress 203.0.113.0/24 -> shop/web:8080";
    let mesh = istio_in("istio-system", "security", KIND, "{ mtls: { mode: STRICT } }");
    assert_eq!(on_istio(&mesh, office).len(), 1);
    let and = |spec: &str| format!("{mesh}---\n{}", peers(spec));
    assert_eq!(on_istio(&and("{ mtls: { mode: PERMISSIVE } }"), office), NOTHING);
    assert_eq!(on_istio(&and("{ mtls: { mode: UNSET } }"), office).len(), 1, "unset leaves it to the mesh");
    assert_eq!(on_istio(&and(&format!("{{ {WEB}, mtls: {{ mode: PERMISSIVE }} }}")), office), NOTHING);
    // One with labels in the root namespace is passed over.
    let labelled = istio_in("istio-system", "security", KIND, &format!("{{ {WEB}, mtls: {{ mode: STRICT }} }}"));
    assert_eq!(on_istio(&labelled, office), NOTHING);
    // The build's own stands closer.
    let both = "allow ingress { lab/*, 203.0.113.0/24 } -> shop/web:8080";
    assert_eq!(on_istio(&mesh, both), NOTHING);
}

#[test]
fn a_port_has_a_mode_of_its_own() {
    let office = "allow ingress 203.0.113.0/24 -> shop/{app=web}:{8080, 9090}";
    let on_port =
        peers(&format!("{{ {WEB}, mtls: {{ mode: PERMISSIVE }}, portLevelMtls: {{ 9090: {{ mode: STRICT }} }} }}"));
    assert_eq!(on_istio(&on_port, office), refuses(KIND, false, "`shop/web`", "`203.0.113.1 -> shop/web:9090`"));
    let open = peers(&format!(
        "{{ {WEB}, mtls: {{ mode: STRICT }}, portLevelMtls: {{ 8080: {{ mode: PERMISSIVE }}, 9090: {{ mode: DISABLE }} }} }}"
    ));
    assert_eq!(on_istio(&open, office), NOTHING);
}

#[test]
fn without_mutual_tls_no_rule_by_identity_matches() {
    let disabled = peers(&format!("{{ {WEB}, mtls: {{ mode: DISABLE }} }}"));
    let lab = "allow ingress lab/* -> shop/*:8080";
    assert_eq!(on_istio(&disabled, lab), refuses(KIND, false, "`shop/web`", "`lab/tool -> shop/web:8080`"));
    // The build's own for the namespace gives way to it, and that for the pods may.
    let web = "allow ingress lab/* -> shop/web:8080";
    assert_eq!(on_istio(&disabled, web), refuses(KIND, true, "`shop/web`", "`lab/tool -> shop/web:8080`"));
    assert_eq!(on_istio(&peers("{ mtls: { mode: DISABLE } }"), web), NOTHING);
    // A deny by identity matches nobody.
    let deny = "deny ingress lab/* -> shop/*:8080";
    let found = on_istio(&disabled, deny);
    assert_eq!(found, opens(KIND, false, "`shop/web`", "`lab/tool -> shop/web:8080`"));
}

#[test]
fn permissive_lets_the_denied_come_without_an_identity() {
    let permissive = peers(&format!("{{ {WEB}, mtls: {{ mode: PERMISSIVE }} }}"));
    // Who has a sidecar may avoid it.
    assert_eq!(
        on_istio(&permissive, "deny ingress lab/* -> shop/*:8080"),
        opens(KIND, true, "`shop/web`", "`lab/tool -> shop/web:8080`")
    );
    // Who has none needs not; but the source lets ops in, and asking for certificates did not.
    assert_eq!(
        on_istio(&permissive, "deny ingress { lab/*, ops/* } -> shop/*:8080"),
        opens(KIND, false, "`shop/web`", "`ops/cron -> shop/web:8080`")
    );
    // Allows by identity match nobody without one.
    assert_eq!(on_istio(&permissive, "allow ingress lab/* -> shop/*:8080"), NOTHING);
}

#[test]
fn of_two_in_one_place_the_older_counts() {
    let disabled = peers(&format!("{{ {WEB}, mtls: {{ mode: DISABLE }} }}"));
    let web = "allow ingress lab/* -> shop/web:8080";
    let own = |date: &str| {
        with_date(
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: mine-app-web-mtls, namespace: shop, labels: { app.kubernetes.io/managed-by: netpol, app.kubernetes.io/part-of: mine } }\nspec: { selector: { matchLabels: { app: web } }, mtls: { mode: STRICT } }\n",
            date,
        )
    };
    let theirs = with_date(&disabled, "2026-01-02T00:00:00Z");
    let both = |date: &str| format!("{theirs}---\n{}", own(date));
    assert_eq!(
        on_istio(&both("2026-01-03T00:00:00Z"), web),
        refuses(KIND, false, "`shop/web`", "`lab/tool -> shop/web:8080`")
    );
    assert_eq!(on_istio(&both("2026-01-01T00:00:00Z"), web), NOTHING);
    // What the cluster has is older than what is yet to be applied.
    assert_eq!(on_istio(&theirs, web), refuses(KIND, false, "`shop/web`", "`lab/tool -> shop/web:8080`"));
}

//! Sidecars: which one a pod obeys, and what that lets out.

use super::{NOTHING, istio, istio_in, on_istio};

const KIND: &str = "Sidecar";
const WEB: &str = "workloadSelector: { labels: { app: web } }";
const ANY: &str = "outboundTrafficPolicy: { mode: ALLOW_ANY }";
const REGISTRY: &str = "outboundTrafficPolicy: { mode: REGISTRY_ONLY }";

fn sidecar(spec: &str) -> String {
    istio("networking", KIND, spec)
}

fn opens(may: bool, flow: &str) -> String {
    let lets = if may { "may let" } else { "lets" };
    format!("Sidecar `shop/theirs` of the cluster {lets} more out of `shop/web` than these rules; for example {flow}")
}

fn refuses(may: bool, flow: &str) -> String {
    let refuses = if may { "may refuse" } else { "refuses" };
    format!("Sidecar `shop/theirs` of the cluster {refuses} what these rules let out of `shop/web`; for example {flow}")
}

/// The build writes one Sidecar for the namespace.
const WHOLE: &str = "allow egress shop/* -> lab/tool:8080\nservice lab/tool { select {app=tool} port 8080 }";

#[test]
fn one_for_the_workload_takes_the_place_of_the_namespaces() {
    assert_eq!(
        on_istio(&sidecar(&format!("{{ {WEB}, {ANY} }}")), WHOLE),
        [opens(false, "`shop/web -> 198.51.100.1:8080`")]
    );
    let nothing = sidecar(&format!("{{ {WEB}, {REGISTRY}, egress: [{{ hosts: [\"~/*\"] }}] }}"));
    assert_eq!(on_istio(&nothing, WHOLE), [refuses(false, "`shop/web -> lab/tool:8080`")]);
    // An empty outboundTrafficPolicy is REGISTRY_ONLY.
    let empty = sidecar(&format!("{{ {WEB}, outboundTrafficPolicy: {{}}, egress: [{{ hosts: [\"ops/*\"] }}] }}"));
    let found = on_istio(&empty, WHOLE);
    assert!(found.contains(&refuses(false, "`shop/web -> lab/tool:8080`")), "{found:?}");
    // What it imports passes: the Service, by its name, its namespace, or all.
    for hosts in ["lab/tool.lab.svc.cluster.local", "lab/*", "*/*.lab.svc.cluster.local"] {
        let imports = sidecar(&format!("{{ {WEB}, {REGISTRY}, egress: [{{ hosts: [\"{hosts}\"] }}] }}"));
        let found = on_istio(&imports, WHOLE);
        assert!(found.iter().all(|one| !one.contains("what these rules let out")), "{hosts}: {found:?}");
    }
    let port = sidecar(&format!(
        "{{ {WEB}, {REGISTRY}, egress: [{{ port: {{ number: 9090, protocol: HTTP, name: a }}, hosts: [\"lab/*\"] }}, {{ hosts: [\"~/*\"] }}] }}"
    ));
    let found = on_istio(&port, WHOLE);
    assert!(found.contains(&refuses(false, "`shop/web -> lab/tool:8080`")), "{found:?}");
    // Without an outboundTrafficPolicy the mesh says what becomes of others.
    let unsaid = sidecar(&format!("{{ {WEB}, egress: [{{ hosts: [\"~/*\"] }}] }}"));
    let found = on_istio(&unsaid, WHOLE);
    assert_eq!(found, [opens(true, "`shop/web -> 198.51.100.1:8080`"), refuses(true, "`shop/web -> lab/tool:8080`")]);
}

#[test]
fn one_farther_away_does_nothing() {
    let web = "allow egress shop/web -> lab/tool:8080\nservice lab/tool { select {app=tool} port 8080 }";
    assert_eq!(on_istio(&sidecar(&format!("{{ {ANY} }}")), web), NOTHING);
    let mesh = istio_in("istio-system", "networking", KIND, &format!("{{ {ANY} }}"));
    assert_eq!(on_istio(&mesh, web), NOTHING);
    assert_eq!(on_istio(&mesh, WHOLE), NOTHING);
    // In the root namespace one with a selector is for that namespace alone.
    let labelled = istio_in("istio-system", "networking", KIND, &format!("{{ {WEB}, {ANY} }}"));
    assert_eq!(on_istio(&labelled, web), NOTHING);
    // Pods that no rule governs on their way out are as they were.
    assert_eq!(on_istio(&sidecar(&format!("{{ {ANY} }}")), "allow ingress lab/* -> shop/web:8080"), NOTHING);
    // Pods without a sidecar obey none.
    let ops = istio_in("ops", "networking", KIND, &format!("{{ {ANY} }}"));
    assert_eq!(on_istio(&ops, "allow egress ops/* -> 203.0.113.7:443"), NOTHING);
}

#[test]
fn of_two_in_one_place_nobody_knows_which_counts() {
    let web = "allow egress shop/web -> lab/tool:8080\nservice lab/tool { select {app=tool} port 8080 }";
    assert_eq!(
        on_istio(&sidecar(&format!("{{ {WEB}, {ANY} }}")), web),
        [opens(true, "`shop/web -> 198.51.100.1:8080`")]
    );
    let whole = on_istio(&sidecar(&format!("{{ {ANY} }}")), WHOLE);
    assert_eq!(whole.len(), 1, "{whole:?}");
    assert!(
        whole[0].starts_with("Sidecar `shop/theirs` of the cluster may let more out of `shop/db`, `shop/web`"),
        "{whole:?}"
    );
    // The mesh's own default beside the build's for `*/*`.
    let mesh = istio_in("istio-system", "networking", KIND, &format!("{{ {ANY} }}"));
    let found = on_istio(&mesh, "default deny egress */*");
    assert!(found.len() == 1 && found[0].contains("may let more out of"), "{found:?}");
    // Two of others.
    let first = sidecar(&format!("{{ {WEB}, {ANY} }}"));
    let second = sidecar(&format!("{{ {WEB}, {ANY} }}")).replace("theirs", "more");
    let found = on_istio(&format!("{first}---\n{second}"), WHOLE);
    assert!(found.len() == 2 && found.iter().all(|one| one.contains("may let more")), "{found:?}");
}

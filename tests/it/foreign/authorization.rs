//! AuthorizationPolicies: each field of their rules, in both directions, and what an `ALLOW` closes.

use super::{NOTHING, istio, istio_in, on_istio, opens, refuses};

fn policy(spec: &str) -> String {
    istio("security", "AuthorizationPolicy", spec)
}

/// Returns what is said of an `ALLOW` with one rule.
fn allows(rule: &str, source: &str) -> Vec<String> {
    on_istio(&policy(&format!("{{ selector: {{ matchLabels: {{ app: web }} }}, rules: [{rule}] }}")), source)
}

/// Returns what is said of a `DENY` with one rule.
fn denies(rule: &str, source: &str) -> Vec<String> {
    let spec = format!("{{ selector: {{ matchLabels: {{ app: web }} }}, action: DENY, rules: [{rule}] }}");
    on_istio(&policy(&spec), source)
}

fn opened(may: bool, flow: &str) -> Vec<String> {
    opens("AuthorizationPolicy", may, "`shop/web`", flow)
}

fn refused(may: bool, flow: &str) -> Vec<String> {
    refuses("AuthorizationPolicy", may, "`shop/web`", flow)
}

const LAB: &str = "allow ingress lab/* -> shop/web:8080/http";

fn to(operation: &str) -> String {
    format!("{{ to: [{{ operation: {{ {operation} }} }}] }}")
}

fn from(source: &str) -> String {
    format!("{{ from: [{{ source: {{ {source} }} }}] }}")
}

#[test]
fn methods_paths_and_hosts_open_and_close() {
    let get = "allow ingress lab/* -> shop/web:8080/http where method GET";
    assert_eq!(allows(&to("methods: [POST]"), get), opened(false, "`lab/tool -> shop/web:8080` with `POST`"));
    // What it lets in is let in by the rules.
    assert_eq!(
        allows(
            "{ from: [{ source: { namespaces: [lab] } }], to: [{ operation: { methods: [GET], ports: [\"8080\"] } }] }",
            get
        ),
        NOTHING
    );
    assert_eq!(
        allows("{ from: [{ source: { namespaces: [lab] } }], to: [{ operation: { notMethods: [GET] } }] }", get),
        opened(false, "`lab/tool -> shop/web:8080` with `POST`")
    );
    assert_eq!(denies(&to("methods: [GET]"), get), refused(false, "`lab/tool -> shop/web:8080` with `GET`"));
    assert_eq!(denies(&to("methods: [POST]"), get), NOTHING);
    assert_eq!(denies(&to("notMethods: [GET]"), get), NOTHING);
    assert_eq!(denies(&to("notMethods: [POST]"), get), refused(false, "`lab/tool -> shop/web:8080` with `GET`"));

    let api = "allow ingress lab/* -> shop/web:8080/http where path \"/api/**\"";
    let lab = "from: [{ source: { namespaces: [lab] } }]";
    let path = |paths: &str| format!("{{ {lab}, to: [{{ operation: {{ {paths}, ports: [\"8080\"] }} }}] }}");
    assert_eq!(allows(&path("paths: [\"/admin*\"]"), api), opened(false, "`lab/tool -> shop/web:8080` with `/admin`"));
    assert_eq!(allows(&path("paths: [\"/api/v1\"]"), api), NOTHING);
    assert_eq!(allows(&path("notPaths: [\"/api*\"]"), api), opened(false, "`lab/tool -> shop/web:8080` with `/`"));
    assert_eq!(allows(&path("paths: [\"/{*}/x\"]"), api), opened(false, "`lab/tool -> shop/web:8080` with `/x/x`"));
    assert_eq!(denies(&to("paths: [\"/admin*\"]"), api), NOTHING);
    assert_eq!(denies(&to("paths: [\"/api*\"]"), api), refused(false, "`lab/tool -> shop/web:8080` with `/api`"));
    assert_eq!(denies(&to("paths: [\"/{**}\"]"), api), refused(false, "`lab/tool -> shop/web:8080` with `/api`"));
    assert_eq!(denies(&to("notPaths: [\"/api*\"]"), api), NOTHING);
    assert_eq!(denies(&to("notPaths: [\"/other\"]"), api), refused(false, "`lab/tool -> shop/web:8080` with `/api`"));

    let host = "allow ingress lab/* -> shop/web:8080/http where host \"shop.example.com\"";
    let named = |hosts: &str| format!("{{ {lab}, to: [{{ operation: {{ {hosts}, ports: [\"8080\"] }} }}] }}");
    assert_eq!(
        allows(&named("hosts: [\"*.internal\"]"), host),
        opened(false, "`lab/tool -> shop/web:8080` with the host `www.internal`")
    );
    assert_eq!(allows(&named("hosts: [SHOP.example.com]"), host), NOTHING);
    assert_eq!(
        allows(&named("notHosts: [shop.example.com]"), host),
        opened(false, "`lab/tool -> shop/web:8080` with the host `www.example.com`")
    );
    assert_eq!(
        denies(&to("hosts: [\"*.example.com\"]"), host),
        refused(false, "`lab/tool -> shop/web:8080` with the host `shop.example.com`")
    );
    assert_eq!(denies(&to("hosts: [other.example.com]"), host), NOTHING);
    assert_eq!(denies(&to("notHosts: [shop.example.com]"), host), NOTHING);
}

#[test]
fn ports_open_and_close() {
    assert_eq!(allows(&to("ports: [\"9090\"]"), LAB), opened(false, "`lab/tool -> shop/web:9090`"));
    assert_eq!(
        allows(
            &format!(
                "{{ {}, to: [{{ operation: {{ ports: [\"8080\"] }} }}] }}",
                "from: [{ source: { namespaces: [lab] } }]"
            ),
            LAB
        ),
        NOTHING
    );
    assert_eq!(denies(&to("ports: [\"8080\"]"), LAB), refused(false, "`lab/tool -> shop/web:8080`"));
    assert_eq!(denies(&to("ports: [\"9090\"]"), LAB), NOTHING);
    assert_eq!(denies(&to("notPorts: [\"8080\"]"), LAB), NOTHING);
    assert_eq!(denies(&to("notPorts: [\"9090\"]"), LAB), refused(false, "`lab/tool -> shop/web:8080`"));
    let when = |values: &str| format!("{{ when: [{{ key: destination.port, {values} }}] }}");
    assert_eq!(denies(&when("values: [\"8080\"]"), LAB), refused(false, "`lab/tool -> shop/web:8080`"));
    assert_eq!(denies(&when("notValues: [\"8080\"]"), LAB), NOTHING);
}

#[test]
fn callers_by_identity_open_and_close() {
    let flow = "`lab/tool -> shop/web:8080`";
    let own = "allow ingress shop/* -> shop/web:8080/http";
    for source in [
        "namespaces: [lab]",
        "namespaces: [\"l*b\"]",
        "notNamespaces: [shop]",
        "principals: [cluster.local/ns/lab/sa/tool]",
        "principals: [\"cluster.local/ns/lab/*\"]",
        "principals: [\"*/sa/tool\"]",
        "principals: [\"*\"], notNamespaces: [shop]",
        "serviceAccounts: [lab/tool]",
        "notServiceAccounts: [web, db], notNamespaces: [shop]",
    ] {
        assert_eq!(allows(&from(source), own), opened(false, flow), "{source}");
        assert_eq!(denies(&from(source), LAB), refused(false, flow), "{source}");
        assert_eq!(denies(&from(source), own), NOTHING, "{source}");
    }
    for source in [
        "notNamespaces: [lab]",
        "principals: [other.domain/ns/lab/sa/tool]",
        "notPrincipals: [\"*\"]",
        "notPrincipals: [\"cluster.local/ns/lab/*\"]",
        "serviceAccounts: [tool]",
        "notServiceAccounts: [lab/tool]",
        "namespaces: [lab], notPrincipals: [\"*/sa/tool\"]",
    ] {
        assert_eq!(denies(&from(source), LAB), NOTHING, "{source}");
    }
    // Another account of the namespace is one that the rules let in.
    assert_eq!(
        denies(&from("principals: [cluster.local/ns/lab/sa/other]"), LAB),
        refused(false, "`lab/@other -> shop/web:8080`")
    );
    // A caller without a sidecar has no identity, and is refused before anybody looks: these rules make its pods
    // strict.
    assert_eq!(allows(&from("notPrincipals: [\"*\"]"), own), NOTHING);
    let anybody = "allow ingress anywhere -> shop/web:8080/http";
    assert_eq!(denies(&from("notPrincipals: [\"*\"]"), anybody), refused(false, "`198.51.100.1 -> shop/web:8080`"));
    for (key, values, refuses) in [
        ("source.namespace", "values: [lab]", true),
        ("source.namespace", "notValues: [lab]", false),
        ("source.principal", "values: [\"*/sa/tool\"]", true),
        ("source.principal", "notValues: [\"*/sa/tool\"]", false),
        ("source.serviceAccount", "values: [lab/tool]", true),
    ] {
        let found = denies(&format!("{{ when: [{{ key: {key}, {values} }}] }}"), LAB);
        assert_eq!(found, if refuses { refused(false, flow) } else { Vec::new() }, "{key} {values}");
    }
    // The account of pods that nobody knows may be any.
    let unknown = "workload lab/new { labels {app=new} }\nallow ingress lab/new -> shop/web:8080/http";
    assert_eq!(
        denies(&from("principals: [cluster.local/ns/lab/sa/odd]"), unknown),
        refused(true, "`lab/new -> shop/web:8080`")
    );
}

#[test]
fn addresses_open_and_close() {
    let office = "allow ingress 203.0.113.0/24 -> shop/web:8080/http";
    assert_eq!(allows(&from("ipBlocks: [192.0.2.0/24]"), office), opened(false, "`192.0.2.1 -> shop/web:8080`"));
    assert_eq!(allows(&from("ipBlocks: [203.0.113.7]"), office), opened(false, "`203.0.113.7 -> shop/web:9090`"));
    let on_port = "{ from: [{ source: { ipBlocks: [203.0.113.7] } }], to: [{ operation: { ports: [\"8080\"] } }] }";
    assert_eq!(allows(on_port, office), NOTHING);
    assert_eq!(denies(&from("ipBlocks: [203.0.113.0/25]"), office), refused(false, "`203.0.113.1 -> shop/web:8080`"));
    assert_eq!(denies(&from("notIpBlocks: [203.0.113.0/24]"), office), NOTHING);
    assert_eq!(denies(&from("notIpBlocks: [192.0.2.0/24]"), office), refused(false, "`203.0.113.1 -> shop/web:8080`"));
    assert_eq!(denies("{ when: [{ key: source.ip, values: [203.0.113.0/24] }] }", office).len(), 1);
    // At a workload everybody may name a client in a header.
    assert_eq!(denies(&from("notRemoteIpBlocks: [203.0.113.0/24]"), office), NOTHING);
    assert_eq!(
        denies(&from("remoteIpBlocks: [192.0.2.0/24]"), office),
        refused(true, "`203.0.113.1 -> shop/web:8080`")
    );
    assert_eq!(
        denies("{ when: [{ key: remote.ip, values: [203.0.113.0/24] }] }", office),
        refused(false, "`203.0.113.1 -> shop/web:8080`")
    );
    // The addresses of pods are not known.
    assert_eq!(denies(&from("ipBlocks: [10.0.0.0/8]"), LAB), refused(true, "`lab/tool -> shop/web:8080`"));
    assert_eq!(denies(&from("ipBlocks: [0.0.0.0/0]"), LAB), refused(false, "`lab/tool -> shop/web:8080`"));
}

const ISSUER: &str = "issuer login { url \"https://login.example.com\" jwks \"https://login.example.com/keys\" }\n";

#[test]
fn tokens_open_and_close() {
    let jwt = format!("{ISSUER}allow ingress lab/* -> shop/web:8080/http where jwt login");
    let token = "`lab/tool -> shop/web:8080` with a token of `https://login.example.com`";
    assert_eq!(denies(&from("requestPrincipals: [\"https://login.example.com/*\"]"), &jwt), refused(false, token));
    assert_eq!(denies(&from("requestPrincipals: [\"https://other.example.com/*\"]"), &jwt), NOTHING);
    assert_eq!(denies(&from("notRequestPrincipals: [\"*\"]"), &jwt), NOTHING);
    assert_eq!(denies(&from("notRequestPrincipals: [\"https://other.example.com/*\"]"), &jwt), refused(false, token));
    let when = |key: &str, values: &str| format!("{{ when: [{{ key: \"{key}\", values: [{values}] }}] }}");
    assert_eq!(denies(&when("request.auth.principal", "\"*\""), &jwt), refused(false, token));
    for key in [
        "request.auth.claims[groups]",
        "request.auth.claims[realm][roles]",
        "request.auth.audiences",
        "request.auth.presenter",
    ] {
        assert_eq!(denies(&when(key, "odd"), &jwt), refused(false, token), "{key}");
    }
    // An ALLOW for tokens opens to them what the rules keep for others.
    let shop = format!("{ISSUER}allow ingress shop/* -> shop/web:8080/http where jwt login");
    assert_eq!(
        allows(&from("requestPrincipals: [\"https://login.example.com/*\"], namespaces: [lab]"), &shop),
        opened(false, token)
    );
    // Nobody shows that tokens of the other issuer are looked at.
    let other = "`lab/tool -> shop/web:8080` with a token of `https://other.example.com`";
    assert_eq!(
        allows(&from("requestPrincipals: [\"https://other.example.com/*\"], namespaces: [lab]"), &shop),
        opened(true, other)
    );
}

#[test]
fn what_nobody_shows_may_be_so() {
    let when = |key: &str| {
        format!("{{ from: [{{ source: {{ namespaces: [lab] }} }}], when: [{{ key: \"{key}\", values: [x] }}] }}")
    };
    let own = "allow ingress shop/* -> shop/web:8080/http";
    for key in ["request.headers[X-Team]", "connection.sni", "destination.ip", "experimental.envoy.filters.a[b]"] {
        assert_eq!(allows(&when(key), own), opened(true, "`lab/tool -> shop/web:8080`"), "{key}");
        assert_eq!(denies(&when(key), LAB), refused(true, "`lab/tool -> shop/web:8080`"), "{key}");
    }
    assert_eq!(denies(&when("request.headers[:method]"), LAB), refused(false, "`lab/tool -> shop/web:8080` with `x`"));
}

#[test]
fn fields_of_one_source_are_joined_and_sources_are_alternatives() {
    let own = "allow ingress shop/* -> shop/web:8080/http";
    assert_eq!(allows(&from("namespaces: [lab], principals: [\"*/sa/other\"]"), own), NOTHING);
    let two = "{ from: [{ source: { namespaces: [lab], principals: [\"*/sa/other\"] } }, { source: { principals: [\"*/sa/tool\"] } }] }";
    assert_eq!(allows(two, own), opened(false, "`lab/tool -> shop/web:8080`"));
    // A condition joins every source and every operation.
    let never = "{ from: [{ source: { namespaces: [lab] } }], to: [{ operation: { ports: [\"8080\"] } }], when: [{ key: source.namespace, values: [shop] }] }";
    assert_eq!(allows(never, own), NOTHING);
}

#[test]
fn on_plain_tcp_an_allow_of_requests_is_void_and_a_deny_is_wider() {
    let spec = |action: &str| {
        policy(&format!(
            "{{ selector: {{ matchLabels: {{ app: db }} }}, action: {action}, \
             rules: [{{ from: [{{ source: {{ namespaces: [lab] }} }}], to: [{{ operation: {{ methods: [GET] }} }}] }}] }}"
        ))
    };
    let rule = "allow ingress lab/* -> shop/db:5432";
    assert_eq!(
        on_istio(&spec("DENY"), rule),
        refuses("AuthorizationPolicy", false, "`shop/db`", "`lab/tool -> shop/db:5432` with `GET`")
    );
    let own = "allow ingress shop/* -> shop/db:5432";
    let on_port = |port: &str| spec("ALLOW").replace("methods: [GET]", &format!("methods: [GET], ports: [\"{port}\"]"));
    assert_eq!(on_istio(&on_port("5432"), own), NOTHING);
    // Another port may speak HTTP.
    let flow = "`lab/tool -> shop/db:8081` with `GET`";
    assert_eq!(on_istio(&on_port("8081"), own), opens("AuthorizationPolicy", false, "`shop/db`", flow));
}

#[test]
fn an_allow_closes_pods_that_the_build_leaves_open() {
    let only_ops =
        "{ selector: { matchLabels: { app: web } }, rules: [{ from: [{ source: { namespaces: [ops] } }] }] }";
    // The build writes a DENY and no ALLOW, so that all but what it denies passed.
    let deny = "deny ingress lab/@odd -> shop/web:8080";
    let found = on_istio(&policy(only_ops), deny);
    assert_eq!(found, refused(false, "`lab/tool -> shop/web:8080`"));
    let nothing = "{ selector: { matchLabels: { app: web } } }";
    assert_eq!(on_istio(&policy(nothing), deny), found);
    // It lets everybody in.
    assert_eq!(on_istio(&policy("{ rules: [{}] }"), deny), NOTHING);
    // The build's own ALLOW closes them anyway.
    assert_eq!(on_istio(&policy(nothing), LAB), NOTHING);
    // Two of them: what one lets in is let in.
    let two = format!("{}---\n{}", policy(nothing), policy("{ rules: [{}] }").replace("theirs", "wide"));
    assert_eq!(on_istio(&two, deny), NOTHING);
    let perhaps = "{ rules: [{ when: [{ key: \"request.headers[X-Team]\", values: [x] }] }] }";
    let may = on_istio(&policy(perhaps), deny);
    assert_eq!(may, refuses("AuthorizationPolicy", true, "`shop/web`", "`lab/tool -> shop/web:8080`"));
}

#[test]
fn what_a_rule_denies_no_allow_opens() {
    let source = "allow ingress lab/* -> shop/web:8080/http\ndeny ingress lab/tool -> shop/web:8080/http";
    let spec = "{ selector: { matchLabels: { app: web } }, rules: [{ from: [{ source: { namespaces: [lab] } }], to: [{ operation: { ports: [\"8080\"] } }] }] }";
    assert_eq!(on_istio(&policy(spec), source), NOTHING);
}

#[test]
fn actions_that_decide_nothing_are_passed_over_and_custom_may_refuse() {
    let spec = |action: &str| format!("{{ selector: {{ matchLabels: {{ app: web }} }}, {action}, rules: [{{}}] }}");
    assert_eq!(on_istio(&policy(&spec("action: AUDIT")), LAB), NOTHING);
    let dry = policy(&spec("action: DENY"))
        .replace("namespace: shop }", "namespace: shop, annotations: { istio.io/dry-run: \"true\" } }");
    assert_eq!(on_istio(&dry, LAB), NOTHING);
    assert_eq!(on_istio(&policy(&spec("action: DENY")), LAB).len(), 1);
    let custom = policy(&spec("action: CUSTOM, provider: { name: opa }"));
    assert_eq!(on_istio(&custom, LAB), refused(true, "`lab/tool -> shop/web:8080`"));
    let build = super::with(&custom, LAB, netpol::settings::Layer::Istio);
    let notes: Vec<&String> =
        build.diagnostics.iter().filter(|one| one.code.as_str() == "W0723").flat_map(|one| &one.notes).collect();
    assert!(notes.iter().any(|note| note.contains("`opa`")), "{notes:?}");
    assert_eq!(on_istio(&policy("{ action: CUSTOM, provider: { name: opa } }"), LAB), NOTHING);
}

#[test]
fn in_the_root_namespace_it_is_for_the_whole_mesh() {
    let theirs = |spec: &str| istio_in("istio-system", "security", "AuthorizationPolicy", spec);
    let found = on_istio(&theirs("{ action: DENY, rules: [{ from: [{ source: { namespaces: [lab] } }] }] }"), LAB);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("AuthorizationPolicy `istio-system/theirs` of the cluster refuses"), "{found:?}");
    let labelled = "{ selector: { matchLabels: { app: web } }, action: DENY, rules: [{}] }";
    assert_eq!(on_istio(&theirs(labelled), LAB).len(), 1);
    assert_eq!(on_istio(&theirs(&labelled.replace("web", "db")), LAB), NOTHING);
    // In another namespace it is for that one alone.
    assert_eq!(on_istio(&istio_in("ops", "security", "AuthorizationPolicy", labelled), LAB), NOTHING);
}

#[test]
fn pods_without_a_sidecar_obey_none() {
    let theirs = istio_in("ops", "security", "AuthorizationPolicy", "{ action: DENY, rules: [{}] }");
    assert_eq!(on_istio(&theirs, "allow ingress lab/* -> ops/cron:80"), NOTHING);
}

#[test]
fn an_object_that_would_be_overwritten_is_one_error_and_no_warning() {
    let spec = "{ selector: { matchLabels: { app: web } }, rules: [{}] }";
    let taken = policy(spec).replace("name: theirs", "name: mine-app-web-ingress");
    let build = super::with(&taken, LAB, netpol::settings::Layer::Istio);
    let codes: Vec<&str> = build.codes().into_iter().filter(|code| matches!(*code, "E0804" | "W0723")).collect();
    assert_eq!(codes, ["E0804"], "{}", build.text());
}

#[test]
fn a_rule_among_many_is_found_with_its_own_port() {
    let rules: Vec<String> =
        (0..40).map(|at| format!("allow ingress n{at}/* -> shop/{{app=web}}:{}", 9000 + at)).collect();
    let namespaces: String = (0..40)
        .map(|at| format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: n{at}, labels: {{ istio-injection: enabled }} }}\n"))
        .collect();
    let theirs = policy(
        "{ selector: { matchLabels: { app: web } }, action: DENY, rules: [{ to: [{ operation: { notPorts: [\"9000\", \"9001\"] } }], when: [{ key: source.namespace, notValues: [lab, n2, n3] }] }] }",
    );
    let found = on_istio(&format!("{theirs}{namespaces}"), &rules.join("\n"));
    assert_eq!(found, refused(false, "`n4/* -> shop/web:9004`"));
    let last = theirs.replace("notPorts: [\"9000\", \"9001\"]", "ports: [\"9039\"]");
    assert_eq!(on_istio(&format!("{last}{namespaces}"), &rules.join("\n")), refused(false, "`n39/* -> shop/web:9039`"));
}

#[test]
fn alike_pods_are_named_once_and_many_are_not_counted() {
    let pods: String = (0..3)
        .map(|at| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{ name: web-{at}, namespace: shop, labels: {{ app: web, pod-template-hash: x }}, ownerReferences: [{{ apiVersion: apps/v1, kind: ReplicaSet, name: web-x, controller: true, uid: u }}] }}\n\
                 spec: {{ serviceAccountName: web, containers: [{{ name: web, image: web }}, {{ name: istio-proxy, image: p }}] }}\n"
            )
        })
        .collect();
    let theirs = policy("{ selector: { matchLabels: { app: web } }, action: DENY, rules: [{}] }");
    assert_eq!(on_istio(&format!("{theirs}{pods}"), LAB), refused(false, "`lab/tool -> shop/web:8080`"));
    let many: String = (0..20)
        .map(|at| {
            format!(
                "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: x{at}, namespace: shop }}\n\
                 spec: {{ selector: {{ matchLabels: {{ app: x{at} }} }}, template: {{ metadata: {{ labels: {{ app: x{at} }} }}, spec: {{ containers: [{{ name: a, image: a }}] }} }} }}\n"
            )
        })
        .collect();
    let all = policy("{ action: DENY, rules: [{}] }");
    let found = on_istio(&format!("{all}{many}"), "allow ingress lab/* -> shop/*:8080");
    assert!(
        found.len() == 1 && found[0].contains("let into `shop/db`, `shop/web`, `shop/x0` and others;"),
        "{found:?}"
    );
}

//! Policies as people reported them, whose meaning hangs on one thing that is easily lost: small, and each with its
//! value.

use netpol::model::rules::Direction;
use netpol::policy::Request;
use netpol::policy::ask::{Question, ask};
use netpol::settings::Layer;
use netpol::targets::Level;
use serde_json::{Value, json};

use crate::common::Cluster;
use crate::common::build::Build;

const IN: Direction = Direction::Ingress;

fn istio(source: &str, manifests: Option<&str>) -> Build {
    Build::text_for(&[Layer::Istio], source, manifests, |_| ())
}

fn requests(host: &str) -> Request {
    Request { host: Some(host.into()), path: Some("/".into()), method: Some("GET".into()), ..Request::default() }
}

/// A proxy in front of a gateway sends all packets, so that a NetworkPolicy with the clients' addresses would shut it.
#[test]
fn clients_behind_proxies_are_no_matter_of_networkpolicy() {
    let gateway = |more: &str| {
        format!(
            "gateway edge {{ pods edges/{{app=envoy}} account edges/@envoy service edges/envoy \
             port 443 -> 8443/https {more} }}\nallow ingress 203.0.113.0/24 -> edge\n"
        )
    };
    let direct = Build::text_for_both(&gateway(""), None).ok();
    assert!(direct.text_of(Layer::NetworkPolicy).contains("cidr: 203.0.113.0/24"));
    let behind = Build::text_for_both(&gateway("proxies 1"), None).ok();
    assert!(!behind.text_of(Layer::NetworkPolicy).contains("cidr:"), "{}", behind.text());
    let network = &behind.judgements_of(Layer::NetworkPolicy)[0];
    assert!(network.level > Level::Bypassable, "{network:?}");
    assert!(network.reason.to_string().contains("from the proxies"), "{}", network.reason);
    let (level, reason) = behind.judged(0, IN);
    assert_eq!(level, Level::Bypassable);
    assert!(reason.contains("X-Forwarded-For"), "{reason}");
}

/// One public host needs a token and another does not: neither lends the other its half, also where both lead to one
/// pod.
#[test]
fn a_host_without_a_token_lends_nothing_to_one_with_it() {
    let source = "gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/https }
issuer idp { url \"https://idp.example\" jwks \"https://idp.example/keys\" at 203.0.113.9 }
allow ingress anywhere -> shop/{app=api}:8080/http via edge at \"open.shop.example\"
allow ingress anywhere -> shop/{app=api}:8080/http via edge at \"token.shop.example\" where jwt idp claim orgs = \"north\"
";
    let build = istio(source, None).ok();
    let rules = build.spec("AuthorizationPolicy", "shop", "app-api-ingress")["rules"].clone();
    let rules: Vec<&Value> = rules.as_array().unwrap().iter().collect();
    let asked = |host: &str| {
        let hosts = json!([host, format!("{host}:*")]);
        let found = rules.iter().find(|rule| rule["to"][0]["operation"]["hosts"] == hosts);
        (*found.unwrap_or_else(|| panic!("{host}: {rules:#?}"))).clone()
    };
    assert_eq!(rules.len(), 2, "{rules:#?}");
    assert!(asked("open.shop.example")["when"].is_null());
    let token = asked("token.shop.example");
    assert_eq!(token["from"][0]["source"]["requestPrincipals"], json!(["https://idp.example/*"]));
    assert_eq!(token["when"][1], json!({ "key": "request.auth.claims[orgs]", "values": ["north"] }));
    let allowed = |host: &str| build.allows("203.0.113.8", &format!("{host}:443"), requests(host));
    assert!(allowed("open.shop.example") && !allowed("token.shop.example"));
}

/// What else a gateway serves on the way out is open to pods without a sidecar: not exact, until a rule isolates it.
#[test]
fn the_way_out_through_a_gateway_is_exact_where_it_is_isolated() {
    let source = "gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/tls }
allow egress garden/* -> x.example:443 via edge
";
    let build = |more: &str| {
        let layers = [Layer::NetworkPolicy, Layer::Istio];
        Build::text_for(&layers, &format!("{source}{more}"), None, |settings| settings.require_exact = true)
    };
    assert!(build("").said("E0712").contains("what else `edge` serves"));
    assert_eq!(build("default deny ingress edge").said("E0712"), "");
}

/// A deny by identity needs strict mTLS, which callers without a sidecar do not have, and the source allows them.
#[test]
fn a_deny_makes_its_pods_strict_and_says_whom_that_refuses() {
    let cluster = Cluster::default().namespace("farm", "istio-injection: enabled").namespace("barn", "");
    let cluster = cluster.deployment("farm/mill", "{ containerPort: 8080 }").deployment("barn/cow", "");
    let cluster = cluster.namespace("lab", "istio-injection: enabled").deployment("lab/rat", "").text();
    let deny = "deny ingress lab/* -> farm/mill:8080\n";
    let build = istio(deny, Some(&cluster)).ok();
    let mtls = build.one("PeerAuthentication")["spec"].clone();
    assert_eq!(mtls["selector"]["matchLabels"], json!({ "app": "mill" }));
    assert!(mtls.to_string().contains("STRICT"), "{mtls}");
    assert!(build.said("N0706").contains("every caller without a sidecar is refused"), "{}", build.said("N0706"));
    assert!(build.allows("barn/cow", "farm/mill:8080", Request::default()));
    assert!(!build.allows("lab/rat", "farm/mill:8080", Request::default()));
    // Pods that a rule isolates are closed to them anyway.
    assert_eq!(istio(&format!("default deny ingress farm/mill\n{deny}"), Some(&cluster)).said("N0706"), "");
}

/// `::/0` is every IPv6 address, which Istio takes for a prefix as others; `0.0.0.0` alone stands for no prefix there
/// (`pilot/pkg/networking/core/listener.go`).
#[test]
fn every_ipv6_address_is_no_ipv4_address() {
    let addresses = |source: &str| -> Vec<Value> {
        let build = istio(&format!("allow egress garden/* -> {source}:443"), None).ok();
        build
            .of("ServiceEntry")
            .iter()
            .flat_map(|entry| entry["spec"]["addresses"].as_array().unwrap().clone())
            .collect()
    };
    assert_eq!(addresses("[::/0]"), [json!("::/0")]);
    let both = addresses("{ 0.0.0.0/0, ::/0 }");
    assert!(both.contains(&json!("::/0")) && both.contains(&json!("128.0.0.0/1")), "{both:?}");
    assert!(both.iter().all(|address| !address.as_str().unwrap().starts_with("0.")), "{both:?}");
}

/// Kubernetes refuses a ServiceEntry with more endpoints.
#[test]
fn a_host_with_thousands_of_addresses_is_nothing_that_istio_can_say() {
    let host = |count: u32| {
        let at: Vec<String> = (0..count).map(|n| format!("203.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)).collect();
        format!("let h = host h.example at {{ {} }}\nallow egress garden/* -> h:443\n", at.join(", "))
    };
    let most = istio(&host(4096), None).ok();
    assert_eq!(most.one("ServiceEntry")["spec"]["endpoints"].as_array().map(Vec::len), Some(4096));
    let more = istio(&host(4097), None);
    assert!(more.said("E0711").contains("more than 4096 addresses of h.example"), "{}", more.said("E0711"));
    assert_eq!(more.of("ServiceEntry"), Vec::<Value>::new());
}

/// What a declaration says of pods that come later counts as what an inventory shows.
#[test]
fn declared_workloads_have_ports_accounts_and_the_host_network() {
    let cluster = Cluster::default().namespace("mill", "istio-injection: enabled").namespace("kube-system", "").text();
    let facts = "workload mill/agent { labels { app = agent } host-network yes account agent port http 8080 }
workload mill/later { labels { app = later } account robot port web 9090 }
workload mill/caller { labels { app = caller } account caller }
";
    let rules = "allow ingress mill/@robot -> mill/caller:80\nallow ingress mill/caller -> mill/later:web\n";
    let build = Build::text_for_both(&format!("{facts}{rules}"), Some(&cluster)).ok();
    // The account is told by labels on one layer and by identity on the other; the port's name is a name on one, and
    // its number on the other.
    let policy = |name: &str| build.spec("NetworkPolicy", "mill", name)["ingress"][0].clone();
    let from = json!({ "matchLabels": { "app": "later" } });
    assert_eq!(policy("app-caller-ingress")["from"][0]["podSelector"], from);
    assert_eq!(policy("app-later-ingress")["ports"], json!([{ "protocol": "TCP", "port": "web" }]));
    let access = |name: &str| build.spec("AuthorizationPolicy", "mill", name)["rules"][0].clone();
    let robot = json!([{ "source": { "principals": ["cluster.local/ns/mill/sa/robot"] } }]);
    assert_eq!(access("app-caller-ingress")["from"], robot);
    assert_eq!(access("app-later-ingress")["to"], json!([{ "operation": { "ports": ["9090"] } }]));
    assert!(build.allows("mill/later", "mill/caller:80", Request::default()));
    assert!(!build.allows("mill/caller", "mill/caller:80", Request::default()));
    assert!(build.allows("mill/caller", "mill/later:9090", Request::default()));
    assert!(!build.allows("mill/caller", "mill/later:9091", Request::default()));
    // Pods on the host network are no pods of any rule, and a question about them asks for their node.
    let all = Build::text_for_both(&format!("{facts}default deny mill/*\n"), Some(&cluster)).ok();
    assert!(!all.text().contains("agent"), "{}", all.text());
    assert!(
        Build::text_for_both(&format!("{facts}default deny mill/agent\n"), Some(&cluster))
            .said("E0312")
            .contains("host network")
    );
    for (from, to) in [("mill/agent", "mill/later:9090"), ("mill/later", "mill/agent:8080")] {
        let question = Question { from: from.into(), to: to.into(), ..Question::default() };
        let refused = ask(&build.policy, &question).err().unwrap();
        assert!(refused.contains("ask for the node's address"), "{refused}");
    }
}

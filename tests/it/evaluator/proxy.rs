//! Modules for proxies: called as Envoy calls filters, they let through what the evaluator allows.

use netpol::model::paths::normalize;
use netpol::model::ports::Protocol;
use netpol::policy::{Flow, Party, Policy, Request};
use netpol::targets::wasm::{Abi, flow};
use serde_json::{Value, json};
use wasmtime::{Caller, Engine, Instance, Linker, Memory, Module, Store, TypedFunc};

use super::opa::{document, shown};
use super::{built, expected};
use crate::layers::draw::{self, HEAD};
use crate::layers::random::Random;
use crate::layers::world::World;
use crate::meaning::{self, Drawer};

const CONTINUE: i32 = 0;
const PAUSE: i32 = 1;

/// What a proxy sees, and what a filter made it do.
#[derive(Default)]
struct Proxy {
    configuration: String,
    /// The bytes of a connection that nothing has read.
    received: Vec<u8>,
    properties: Vec<(&'static [&'static str], String)>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    log: Vec<String>,
    status: Option<u32>,
    closed: bool,
}

/// A proxy with a filter.
struct Host {
    store: Store<Proxy>,
    instance: Instance,
}

fn memory(caller: &mut Caller<'_, Proxy>) -> Memory {
    caller.get_export("memory").unwrap().into_memory().unwrap()
}

fn read(caller: &mut Caller<'_, Proxy>, at: i32, length: i32) -> Vec<u8> {
    let memory = memory(caller);
    memory.data(&*caller)[at as u32 as usize..][..length as u32 as usize].to_vec()
}

/// Hands bytes over as a proxy does, in memory that the filter allocates.
fn hand(caller: &mut Caller<'_, Proxy>, bytes: &[u8], at: i32, length: i32) -> i32 {
    let allocate = caller.get_export("proxy_on_memory_allocate").unwrap().into_func().unwrap();
    let allocate: TypedFunc<i32, i32> = allocate.typed(&*caller).unwrap();
    let block = allocate.call(&mut *caller, bytes.len() as i32).unwrap();
    let memory = memory(caller);
    memory.write(&mut *caller, block as usize, bytes).unwrap();
    memory.write(&mut *caller, at as usize, &block.to_le_bytes()).unwrap();
    memory.write(&mut *caller, length as usize, &(bytes.len() as u32).to_le_bytes()).unwrap();
    0
}

fn pairs(headers: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = (headers.len() as u32).to_le_bytes().to_vec();
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        out.extend((text.len() as u32).to_le_bytes());
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        out.extend(text);
        out.push(0);
    }
    out
}

impl Host {
    fn load(code: &[u8]) -> Host {
        let engine = Engine::default();
        let mut store = Store::new(&engine, Proxy::default());
        let mut linker: Linker<Proxy> = Linker::new(&engine);
        let env = "env";
        linker
            .func_wrap(env, "proxy_log", |mut caller: Caller<'_, Proxy>, _level: i32, at: i32, length: i32| -> i32 {
                let text = String::from_utf8(read(&mut caller, at, length)).unwrap();
                caller.data_mut().log.push(text);
                0
            })
            .unwrap();
        linker
            .func_wrap(
                env,
                "proxy_get_buffer_bytes",
                |mut caller: Caller<'_, Proxy>, buffer: i32, start: i32, most: i32, at: i32, length: i32| -> i32 {
                    let proxy = caller.data();
                    // The buffers of proxy-wasm: the configuration of the plugin, and what a client has sent.
                    let bytes =
                        if buffer == 7 { proxy.configuration.clone().into_bytes() } else { proxy.received.clone() };
                    assert!(matches!(buffer, 2 | 7));
                    assert_eq!((start, most as usize), (0, bytes.len()));
                    hand(&mut caller, &bytes, at, length)
                },
            )
            .unwrap();
        linker
            .func_wrap(
                env,
                "proxy_get_property",
                |mut caller: Caller<'_, Proxy>, path: i32, of: i32, at: i32, length: i32| -> i32 {
                    let path = String::from_utf8(read(&mut caller, path, of)).unwrap();
                    let known = caller.data().properties.iter().find(|(known, _)| known.join("\0") == path);
                    // NotFound.
                    let Some(text) = known.map(|(_, text)| text.clone()) else { return 1 };
                    hand(&mut caller, text.as_bytes(), at, length)
                },
            )
            .unwrap();
        linker
            .func_wrap(
                env,
                "proxy_get_header_map_pairs",
                |mut caller: Caller<'_, Proxy>, map: i32, at: i32, length: i32| -> i32 {
                    assert_eq!(map, 0);
                    let bytes = pairs(&caller.data().headers);
                    hand(&mut caller, &bytes, at, length)
                },
            )
            .unwrap();
        linker
            .func_wrap(
                env,
                "proxy_send_local_response",
                |mut caller: Caller<'_, Proxy>,
                 status: i32,
                 _: i32,
                 _: i32,
                 _: i32,
                 _: i32,
                 _: i32,
                 _: i32,
                 _: i32|
                 -> i32 {
                    caller.data_mut().status = Some(status as u32);
                    0
                },
            )
            .unwrap();
        linker
            .func_wrap(env, "proxy_close_stream", |mut caller: Caller<'_, Proxy>, stream: i32| -> i32 {
                assert_eq!(stream, 2);
                caller.data_mut().closed = true;
                0
            })
            .unwrap();
        let module = Module::new(&engine, code).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let mut host = Host { store, instance };
        host.call("proxy_abi_version_0_2_1", &[]);
        assert_eq!(host.call("proxy_on_vm_start", &[1, 0]), 1);
        host
    }

    fn call(&mut self, name: &str, arguments: &[i32]) -> i32 {
        super::call(&mut self.store, &self.instance, name, arguments)
    }

    /// Returns whether a configuration is taken.
    fn configure(&mut self, configuration: &str) -> bool {
        self.store.data_mut().configuration = configuration.to_owned();
        self.call("proxy_on_configure", &[1, configuration.len() as i32]) == 1
    }

    fn begin(&mut self, source: &str, destination: &str) {
        let proxy = self.store.data_mut();
        proxy.properties =
            vec![(&["source", "address"], source.to_owned()), (&["destination", "address"], destination.to_owned())];
        proxy.headers.clear();
        proxy.log.clear();
        (proxy.status, proxy.closed) = (None, false);
    }

    fn tell(&mut self, path: &'static [&'static str], text: &str) {
        self.store.data_mut().properties.push((path, text.to_owned()));
    }

    fn header(&mut self, name: &str, value: &str) {
        self.store.data_mut().headers.push((name.into(), value.into()));
    }

    /// Returns whether a request passes.
    fn request(&mut self) -> bool {
        let action = self.call("proxy_on_request_headers", &[2, 0, 1]);
        let passes = action == CONTINUE;
        assert_eq!(self.store.data().status, (!passes).then_some(403));
        passes
    }

    /// Returns whether a connection passes.
    fn connection(&mut self) -> bool {
        // Where a certificate may come, it does with the first bytes.
        if self.call("proxy_on_new_connection", &[2]) == PAUSE && !self.store.data().closed {
            self.call("proxy_on_downstream_data", &[2, 5, 0]);
        }
        let logged = self.store.data().log.len();
        let passes = !self.store.data().closed;
        let action = self.call("proxy_on_downstream_data", &[2, 5, 0]);
        assert_eq!(action, if passes { CONTINUE } else { PAUSE }, "no byte passes once a connection is refused");
        assert_eq!(self.store.data().log.len(), logged, "each connection is judged once");
        self.call("proxy_on_delete", &[2]);
        passes
    }

    /// Returns the decision that was logged.
    fn logged(&self) -> Value {
        let line = self.store.data().log.last().unwrap();
        let at = line.find(": {").unwrap_or_else(|| panic!("{line}"));
        serde_json::from_str(&line[at + 2..]).unwrap()
    }
}

const IDENTITY: &[&str] = &["connection", "uri_san_peer_certificate"];
const NAME: &[&str] = &["connection", "requested_server_name"];

/// Returns whether a proxy can see such a flow.
fn is_seen(policy: &Policy, asked: &Flow) -> bool {
    let request = &asked.request;
    let path = request.path.as_ref().is_none_or(|path| normalize(path, policy.settings.path_normalization).is_some());
    matches!(asked.destination, Party::Pod(_))
        && !matches!(asked.source, Party::Host { .. })
        && asked.protocol == Protocol::Tcp
        && asked.port.is_some()
        && request.jwt.is_none()
        && request.tls.as_ref().is_none_or(|name| !name.is_empty())
        && path
}

/// Shows a flow to a filter as a proxy sees it, and returns whether it passes.
fn passes(host: &mut Host, asked: &Flow, random: &mut Random) -> bool {
    let same = flow::party(&asked.source) == flow::party(&asked.destination);
    let to = if same { "10.244.0.1" } else { "10.244.0.2" };
    let mut pods = Vec::new();
    let mut identity = None;
    let source = match &asked.source {
        Party::Pod(pod) => {
            let mut value = flow::party(&asked.source);
            value["address"] = json!("10.244.0.1");
            let namespace = value["namespace"].as_str().unwrap().to_owned();
            // Between sidecars the TLS name is that of a Service, so it tells nothing of what is asked for.
            if !pod.account.is_empty() && !same && asked.request.tls.is_none() && random.percent(50) {
                identity = Some(format!("spiffe://cluster.local/ns/{namespace}/sa/{}", pod.account));
                if random.percent(50) {
                    value.as_object_mut().unwrap().remove("account");
                }
            }
            pods.push(value);
            "10.244.0.1".to_owned()
        }
        Party::Address(address) => address.to_string(),
        Party::Host { .. } => unreachable!(),
    };
    if !same {
        let mut value = flow::party(&asked.destination);
        value["address"] = json!(to);
        pods.push(value);
    }
    let Request { method, path, host: name, tls, client, headers, .. } = &asked.request;
    let mtls = identity.is_some() || random.percent(50);
    assert!(host.configure(&json!({ "pods": pods, "mtls": mtls }).to_string()), "{:?}", host.store.data().log);
    let source = if source.contains(':') { format!("[{source}]") } else { source };
    host.begin(&format!("{source}:41000"), &format!("{to}:{}", asked.port.unwrap()));
    identity.iter().for_each(|identity| host.tell(IDENTITY, identity));
    tls.iter().for_each(|tls| host.tell(NAME, tls));
    let pseudo = [(":method", method.as_deref()), (":path", path.as_deref()), (":authority", name.as_deref())];
    let mut any = false;
    for (name, value) in pseudo.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        host.header(name, value);
        any = true;
    }
    for (name, value) in headers {
        host.header(name, value);
        any = true;
    }
    if let Some(client) = client {
        host.header("x-forwarded-for", &format!("192.0.2.1, {client}"));
        any = true;
    }
    if any { host.request() } else { host.connection() }
}

#[test]
fn modules_for_proxies_let_through_what_the_evaluator_allows() {
    let worlds = [World::new(false), World::new(true)];
    let (mut all, mut allowed, mut connections) = (0, 0, 0);
    for number in 0..40 {
        let mut random = Random::of_case(0x9804, number);
        let draw = draw::draw(&mut random);
        let world = &worlds[usize::from(draw.setting.known)];
        let source = format!("{HEAD}{}{}\n", world.declarations(), draw.statements.join("\n"));
        let Some((policy, sources)) = meaning::policy(&source, world.manifests().as_deref()) else { continue };
        let mut host = Host::load(&built(&policy, &sources, Abi::ProxyWasm, false).code);
        for _ in 0..200 {
            let one = Drawer { random: &mut random, policy: &policy }.flow();
            if !is_seen(&policy, &one) {
                continue;
            }
            let verdict = expected(&policy, &one);
            let passes = passes(&mut host, &one, &mut random);
            let shown_flow = || format!("case {number}\n{}\n{}", draw.statements.join("\n"), flow::flow(&one));
            assert_eq!(passes, verdict.allowed(), "{}\n{:?}", shown_flow(), host.store.data().log);
            match passes {
                true => assert!(host.store.data().log.is_empty()),
                false => assert_eq!(shown(&host.logged()), document(verdict), "{}", shown_flow()),
            }
            all += 1;
            allowed += usize::from(passes);
            connections += usize::from(host.store.data().headers.is_empty());
        }
    }
    println!("{all} flows, {allowed} allowed, {connections} connections");
    assert!(all > 1000 && connections > 100, "{all} {connections}");
    assert!(allowed > all / 10 && allowed < all * 9 / 10, "{allowed} of {all}");
}

const POLICY: &str = "allow ingress shop/@cart -> garden/{app=api}:8080/http where path \"/api/**\"\n\
    allow ingress shop/{app=cart} -> garden/{app=db}:5432\n";
const PODS: &str = r#"{"pods": [
    {"address": "10.0.0.1", "namespace": "shop", "labels": {"app": "cart"}, "account": "cart"},
    {"address": "10.0.0.2", "namespace": "garden", "labels": {"app": "api"}},
    {"address": "10.0.0.3", "namespace": "garden", "labels": {"app": "db"}}]}"#;

fn small(audit: bool) -> Host {
    let (policy, sources) = meaning::policy(POLICY, None).unwrap();
    Host::load(&built(&policy, &sources, Abi::ProxyWasm, audit).code)
}

fn get(host: &mut Host, source: &str, identity: Option<&str>, path: &[u8]) -> bool {
    host.begin(&format!("{source}:1"), "10.0.0.2:8080");
    identity.into_iter().for_each(|identity| host.tell(IDENTITY, identity));
    host.header(":method", "GET");
    host.store.data_mut().headers.push((b":path".to_vec(), path.to_vec()));
    host.request()
}

#[test]
fn a_certificate_counts_and_one_that_contradicts_the_table_does_not() {
    let mut host = small(false);
    assert!(host.configure(PODS));
    let cart = "spiffe://cluster.local/ns/shop/sa/cart";
    assert!(get(&mut host, "10.0.0.1", None, b"/api/a"));
    assert!(get(&mut host, "10.0.0.1", Some(cart), b"/api/a"));
    assert!(get(&mut host, "[::ffff:10.0.0.1]", Some(cart), b"/api/a"), "the same address");
    assert!(get(&mut host, "10.0.0.9", Some(cart), b"/api/a"), "the table need not have every pod");
    for (source, identity) in [
        ("10.0.0.1", "spiffe://cluster.local/ns/shop/sa/other"),
        ("10.0.0.1", "spiffe://cluster.local/ns/other/sa/cart"),
        ("10.0.0.9", "spiffe://cluster.local/ns/shop/sa/other"),
        ("10.0.0.9", "spiffe://other.local/ns/shop/sa/cart"),
        ("10.0.0.9", "spiffe://cluster.local.evil/ns/shop/sa/cart"),
        ("10.0.0.9", "spiffe://cluster.local/ns/shop/sa/cart/sa/x"),
        ("10.0.0.9", "https://cluster.local/ns/shop/sa/cart"),
    ] {
        assert!(!get(&mut host, source, Some(identity), b"/api/a"), "{source} {identity}");
    }
    assert!(!get(&mut host, "10.0.0.9", None, b"/api/a"));
}

/// What is not to be read is not let through: a path that the mesh refuses or that is no text, a missing address, a
/// destination that nobody knows.
#[test]
fn what_cannot_be_judged_does_not_pass() {
    let mut host = small(false);
    assert!(host.configure(PODS));
    for path in [&b"/api/\xff"[..], b"/api/%00", b"/api/../../x"] {
        assert!(!get(&mut host, "10.0.0.1", None, path), "{path:?}");
    }
    host.begin("10.0.0.1:1", "10.0.0.7:5432");
    assert!(!host.connection());
    assert!(host.store.data().log[0].contains("the table has no pod at the address of the destination"));
    host.begin("pipe", "10.0.0.3:5432");
    assert!(!host.connection());
    host.begin("10.0.0.1:1", "10.0.0.3:5432");
    assert!(host.connection());
    for wrong in [
        "[]",
        "{\"pods\": {}}",
        "{\"pods\": [{\"address\": \"10.0.0.1\"}]}",
        "{\"pods\": [{\"address\": \"x\", \"namespace\": \"shop\"}]}",
        "{\"pods\": [{\"address\": \"10.0.0.1\", \"namespace\": \"shop\", \"label\": {}}]}",
        "{\"pods\": [{\"address\": \"10.0.0.1\", \"namespace\": \"a\"}, {\"address\": \"10.0.0.1\", \"namespace\": \"b\"}]}",
        "{\"pod\": {\"host\": \"example.com\"}}",
        "{\"mtls\": 1}",
        "{\"proxies\": -1}",
        "{\"more\": 1}",
        "{",
    ] {
        assert!(!host.configure(wrong), "{wrong}");
        // Without a configuration nothing passes.
        host.begin("10.0.0.1:1", "10.0.0.3:5432");
        assert!(!host.connection(), "{wrong}");
    }
}

#[test]
fn a_module_that_only_tells_lets_everything_through() {
    let mut host = small(true);
    assert!(host.configure(PODS));
    for (source, identity, path) in [
        ("10.0.0.9", None, &b"/api/a"[..]),
        ("10.0.0.1", Some("spiffe://cluster.local/ns/shop/sa/other"), b"/api/a"),
        ("10.0.0.1", None, b"/api/\xff"),
        ("10.0.0.1", None, b"/api/%00"),
    ] {
        assert!(get(&mut host, source, identity, path));
        assert!(host.store.data().log[0].starts_with("netpol would deny "), "{:?}", host.store.data().log);
    }
}

/// On the ports of `requests` a network filter leaves what begins as a request to the HTTP filter, and judges the rest.
#[test]
fn a_request_is_left_to_the_http_filter() {
    let mut host = small(false);
    let pods =
        PODS.replacen('{', r#"{"requests": [{"port": 8080}, {"port": 9000, "endPort": 9010}], "mtls": false, "#, 1);
    assert!(host.configure(&pods), "{:?}", host.store.data().log);
    // Each list is what arrives, bit by bit, and the last action of the filter.
    for (port, bits, action) in [
        (8080, &["GET /api/a HTTP/1.1\r\n"][..], CONTINUE),
        (8080, &["PRI * HTTP/2.0\r\n"], CONTINUE),
        (8080, &["G"], PAUSE),
        (8080, &["G", "GE", "GET", "GET "], CONTINUE),
        (9005, &["M-SEARCH /"], CONTINUE),
        (8080, &["hello"], PAUSE),
        (8080, &[" GET"], PAUSE),
        (8080, &["\u{16}\u{3}\u{1}"], PAUSE),
        (8080, &["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"], PAUSE),
        (9011, &["GET /"], PAUSE),
    ] {
        host.begin("10.0.0.9:1", &format!("10.0.0.2:{port}"));
        let mut last = host.call("proxy_on_new_connection", &[2]);
        for bit in bits {
            host.store.data_mut().received = bit.as_bytes().to_vec();
            last = host.call("proxy_on_downstream_data", &[2, bit.len() as i32, 0]);
        }
        assert_eq!(last, action, "{port} {bits:?}");
        let waits = bits == ["G"];
        assert_eq!(host.store.data().closed, action == PAUSE && !waits, "{port} {bits:?}");
        host.call("proxy_on_delete", &[2]);
    }
    // A connection that ends before it is a request is judged as it is.
    host.begin("10.0.0.9:1", "10.0.0.2:8080");
    host.call("proxy_on_new_connection", &[2]);
    host.store.data_mut().received = b"GE".to_vec();
    assert_eq!(host.call("proxy_on_downstream_data", &[2, 2, 1]), PAUSE);
    assert!(host.store.data().closed);
    for wrong in
        ["1", "[1]", "[{}]", r#"[{"port": 70000}]"#, r#"[{"port": 1, "endPort": "2"}]"#, r#"[{"port": 1, "to": 2}]"#]
    {
        assert!(!host.configure(&format!("{{\"requests\": {wrong}}}")), "{wrong}");
    }
}

/// More clients than are remembered are forgotten, and known pods stay known.
#[test]
fn many_clients_do_not_fill_the_memory() {
    let mut host = small(false);
    assert!(host.configure(PODS));
    let size = |host: &mut Host| host.instance.get_memory(&mut host.store, "memory").unwrap().data_size(&host.store);
    let mut after = 0;
    for number in 0..40_000u32 {
        let address = std::net::Ipv4Addr::from(0xcb00_0000 + number).to_string();
        assert!(!get(&mut host, &address, None, b"/api/a"));
        if number == 20_000 {
            after = size(&mut host);
        }
    }
    assert_eq!(size(&mut host), after);
    assert!(get(&mut host, "10.0.0.1", None, b"/api/a"));
}

/// The plugins of a policy: one for requests, and one for the connections that are none.
#[test]
fn plugins_have_the_pods_of_the_inventory_and_the_ports_of_rules() {
    let pod = |name: &str, namespace: &str, address: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}\n\
             spec: {{serviceAccountName: {name}, containers: [{{name: c, ports: [{{name: web, containerPort: 8080}}]}}]}}\n\
             status: {{phase: Running, podIPs: [{{ip: {address}}}]}}\n---\n"
        )
    };
    let namespaces = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n\
        apiVersion: v1\nkind: Namespace\nmetadata: {name: garden}\n---\n";
    let inventory = [namespaces, &pod("api", "garden", "10.0.0.2"), &pod("cart", "shop", "10.0.0.1")].concat();
    let policy = "allow ingress shop/{app=cart} -> garden/{app=api}:web/http where method GET\n\
        allow ingress shop/* -> garden/{app=api}:{5432, 9000-9001, 53/udp}\ndefault deny ingress shop/*\n";
    let (policy, sources) = meaning::policy(policy, Some(&inventory)).unwrap();
    insta::assert_snapshot!(built(&policy, &sources, Abi::ProxyWasm, false).plugin.unwrap());
    assert_eq!(built(&policy, &sources, Abi::Core, false).plugin, None);
}

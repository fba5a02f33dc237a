//! The code of every module for proxies: the kernel as a filter of proxy-wasm 0.2.1, which Envoy and Istio's
//! `WasmPlugin` load. It judges what comes in to a pod: as an HTTP filter each request, as a network filter each
//! connection.

mod heap;
#[path = "proxy/host.rs"]
mod host;
#[path = "../../../src/targets/wasm/kernel/mod.rs"]
#[allow(dead_code, reason = "the compiler needs more of it than a module")]
mod kernel;
#[path = "../../../src/model/paths.rs"]
#[allow(dead_code, reason = "only what normalises paths is needed")]
mod paths;
mod placed;

use std::cell::UnsafeCell;

use kernel::document;
use kernel::peers::{Connection, Peers};
use kernel::{Kernel, Seen, port_word};

/// TCP, by IANA.
const TCP: u32 = 6;

/// What a filter tells the proxy to do.
#[repr(i32)]
pub enum Action {
    /// Go on.
    Continue = 0,
    /// Stop here: the filter answers, or waits for more.
    Pause = 1,
}

/// The state of the module.
struct State {
    kernel: Kernel<'static>,
    peers: Peers,
    /// The connections that are judged with their first bytes, when the certificate of the peer is known, and whether
    /// these are a request.
    waiting: Vec<u32>,
    /// The connections that were refused, until they have ended.
    refused: Vec<u32>,
}

struct Only(UnsafeCell<Option<State>>);

// SAFETY: a proxy calls a module from one thread, and no function that it calls calls another.
unsafe impl Sync for Only {}

static STATE: Only = Only(UnsafeCell::new(None));

/// Returns the place of the state; `None` is in it before a configuration was taken.
fn place() -> &'static mut Option<State> {
    // SAFETY: see `Only`.
    unsafe { &mut *STATE.0.get() }
}

/// Says which interface this is, by being there.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

/// Begins a context: the plugin's own, or one of a connection or request.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(_context: u32, _parent: u32) {}

/// Begins the machine, which needs no configuration of its own.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_vm_start(_context: u32, _length: usize) -> i32 {
    1
}

/// Takes the configuration of the plugin. One that is wrong is refused, and nothing is let through.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_configure(_context: u32, length: usize) -> i32 {
    let state = place();
    *state = None;
    let Some(tables) = placed::tables() else {
        host::log("netpol: the module has no tables", true);
        return 0;
    };
    let mut kernel = Kernel::new(tables);
    match Peers::read(&mut kernel, &host::configuration(length)) {
        Ok(peers) => {
            *state = Some(State { kernel, peers, waiting: Vec::new(), refused: Vec::new() });
            1
        }
        Err(why) => {
            host::log(&format!("netpol: the configuration of the plugin is wrong: {why}"), true);
            0
        }
    }
}

/// Judges a request by its headers.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_headers(_context: u32, _count: usize, _ends: i32) -> Action {
    let Some(headers) = host::headers() else { return refused("its headers are not to be read") };
    let mut named: Vec<(&str, std::borrow::Cow<'_, str>)> = Vec::with_capacity(headers.len());
    for (name, value) in &headers {
        let Ok(name) = core::str::from_utf8(name) else { return refused("the name of a header is no text") };
        let value = String::from_utf8_lossy(value);
        // What a condition compares has to be what the client wrote.
        if name.starts_with(':') && value.contains('\u{fffd}') {
            return refused("its path, host or method is no text");
        }
        named.push((name, value));
    }
    let header = |wanted: &str| named.iter().find(|(name, _)| *name == wanted).map(|(_, value)| &**value);
    let plain: Vec<(&str, &str)> =
        named.iter().filter(|(name, _)| !name.starts_with(':')).map(|(name, value)| (*name, &**value)).collect();
    let forwarded: Vec<&str> = plain
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"))
        .map(|(_, value)| *value)
        .collect();
    let seen = Seen {
        method: header(":method"),
        path: header(":path"),
        host: header(":authority").or(header("host")),
        headers: &plain,
        ..Seen::default()
    };
    match judge(seen, &forwarded.join(",")) {
        true => Action::Continue,
        false => {
            host::forbid();
            Action::Pause
        }
    }
}

fn refused(why: &str) -> Action {
    let audit = place().as_ref().is_some_and(|state| state.kernel.audits());
    host::log(&format!("netpol {} a request: {why}", denied(audit)), false);
    if audit {
        return Action::Continue;
    }
    host::forbid();
    Action::Pause
}

/// Judges a connection, or waits for its first bytes where the peer may show a certificate.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_new_connection(context: u32) -> Action {
    match place() {
        Some(state) if state.peers.mtls || has_requests(&state.peers) => {
            state.waiting.push(context);
            Action::Pause
        }
        _ => connection(context),
    }
}

/// Judges a connection with its first bytes.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_downstream_data(context: u32, length: usize, ends: i32) -> Action {
    let waiting = place().as_mut().and_then(|state| {
        let at = state.waiting.iter().position(|one| *one == context)?;
        let start = has_requests(&state.peers).then(|| Start::of(&host::received(length)));
        if start != Some(Start::Short) || ends != 0 {
            state.waiting.swap_remove(at);
        }
        Some(start)
    });
    // A connection that is being closed may still bring bytes, and without a configuration none was judged.
    let goes_on = place().as_ref().is_some_and(|state| !state.refused.contains(&context));
    match waiting {
        Some(Some(Start::Short)) if ends == 0 => Action::Pause,
        Some(Some(Start::Request)) => Action::Continue,
        Some(_) => connection(context),
        None if goes_on => Action::Continue,
        None => Action::Pause,
    }
}

/// Returns whether an HTTP filter judges the requests on the port of this connection.
fn has_requests(peers: &Peers) -> bool {
    host::address("destination").is_some_and(|(_, port)| peers.has_requests(port))
}

/// What the first bytes of a connection show.
#[derive(PartialEq, Eq)]
enum Start {
    /// A method of HTTP and a space: `GET `.
    Request,
    /// What may yet become that.
    Short,
    /// No request.
    Other,
}

impl Start {
    /// No method is longer than this.
    const LONGEST: usize = 24;

    fn of(bytes: &[u8]) -> Start {
        let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
        match bytes.get(method) {
            Some(b' ') if method > 0 => Start::Request,
            None if method <= Start::LONGEST => Start::Short,
            _ => Start::Other,
        }
    }
}

fn connection(context: u32) -> Action {
    if judge(Seen::default(), "") {
        return Action::Continue;
    }
    if let Some(state) = place() {
        state.refused.push(context);
    }
    host::close();
    Action::Pause
}

/// Ends a context.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_delete(context: u32) {
    if let Some(state) = place() {
        state.waiting.retain(|one| *one != context);
        state.refused.retain(|one| *one != context);
    }
}

/// Returns whether what is seen passes, and writes to the log what does not, or would not.
fn judge(seen: Seen<'_>, forwarded: &str) -> bool {
    let Some(state) = place() else {
        host::log("netpol denied: the plugin has no configuration", true);
        return false;
    };
    let (Some((source, _)), Some((destination, port))) = (host::address("source"), host::address("destination")) else {
        host::log("netpol denied: the addresses of the connection are not known", false);
        return false;
    };
    let identity = host::text(&["connection", "uri_san_peer_certificate"]);
    let name = host::text(&["connection", "requested_server_name"]);
    let ends = Connection { source, destination, identity: identity.as_deref() };
    let who = || {
        let identity = identity.as_ref().map(|identity| format!(" ({identity})")).unwrap_or_default();
        format!("{source}{identity} -> {destination}:{port}")
    };
    let (from, to) = match state.peers.ends(&mut state.kernel, ends) {
        Ok(ends) => ends,
        Err(why) => {
            let audit = state.kernel.audits();
            host::log(&format!("netpol {} {}: {}", denied(audit), who(), why.words()), false);
            return audit;
        }
    };
    // Of mTLS between sidecars the name is that of a Service, and what a client asks for is inside.
    let tls = name.as_deref().filter(|_| identity.is_none());
    let seen = Seen { tls, client: state.peers.client(forwarded), ..seen };
    let decided = state.kernel.decide_seen(from, to, port_word(TCP, port), &seen);
    if decided.is_ok_and(|verdict| verdict.allowed()) {
        return true;
    }
    let passes = state.kernel.audits();
    if let Some(reasons) = placed::reasons() {
        host::log(&format!("netpol {} {}: {}", denied(passes), who(), document::decision(decided, reasons)), false);
    }
    passes
}

fn denied(only_told: bool) -> &'static str {
    if only_told { "would deny" } else { "denied" }
}

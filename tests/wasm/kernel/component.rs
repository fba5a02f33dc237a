//! The code of every component: the kernel behind the typed functions of `src/targets/wasm/policy.wit`.

mod heap;
#[path = "../../../src/targets/wasm/kernel/mod.rs"]
#[allow(dead_code, reason = "the compiler needs more of it than a module")]
mod kernel;
#[path = "../../../src/model/paths.rs"]
#[allow(dead_code, reason = "only what normalises paths is needed")]
mod paths;
mod placed;

use std::cell::UnsafeCell;

use exports::netpol::policy::decisions::{
    Cause as Told, Decision, End, Flow, Guest, Party, Pod, Protocol, Request, Verdict as Outcome,
};
use kernel::document::{self, Reasons};
use kernel::{Cause, Json, Kernel};

wit_bindgen::generate!({ path: "../../../src/targets/wasm/policy.wit", world: "policy" });

/// How many decisions are made before what was interned for them is forgotten.
const MOST: u32 = 1 << 14;

/// The state of the module.
struct State {
    kernel: Kernel<'static>,
    decided: u32,
}

struct Only(UnsafeCell<Option<State>>);

// SAFETY: a component has one caller at a time, and no export calls another.
unsafe impl Sync for Only {}

static STATE: Only = Only(UnsafeCell::new(None));

/// Returns the state, made at the first call; `None` if there are no tables of this version.
fn state() -> Option<&'static mut State> {
    // SAFETY: see `Only`.
    let state = unsafe { &mut *STATE.0.get() };
    if state.is_none() {
        *state = Some(State { kernel: Kernel::new(placed::tables()?), decided: 0 });
    }
    state.as_mut()
}

/// Makes an object of the values that are there.
fn object(entries: impl IntoIterator<Item = (&'static str, Option<Json>)>) -> Json {
    Json::Object(entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

fn pairs(list: Vec<(String, String)>) -> Json {
    Json::Object(list.into_iter().map(|(key, value)| (key, Json::Text(value))).collect())
}

fn texts(list: Vec<String>) -> Json {
    Json::List(list.into_iter().map(Json::Text).collect())
}

fn word(protocol: Protocol) -> Json {
    let word = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
        Protocol::Icmp => "icmp",
    };
    Json::Text(word.to_owned())
}

fn of_pod(pod: Pod) -> Json {
    let ports = pod.ports.into_iter().map(|port| {
        object([
            ("name", port.name.map(Json::Text)),
            ("port", Some(Json::Number(Some(u64::from(port.port))))),
            ("protocol", Some(word(port.protocol))),
        ])
    });
    object([
        ("namespace", Some(Json::Text(pod.namespace))),
        ("namespaceLabels", pod.namespace_labels.map(pairs)),
        ("labels", Some(pairs(pod.labels))),
        ("account", pod.account.map(Json::Text)),
        ("ports", Some(Json::List(ports.collect()))),
        ("sidecar", Some(Json::Word(pod.sidecar))),
        ("name", pod.name.map(Json::Text)),
    ])
}

fn of_party(party: Party) -> Json {
    match party {
        Party::Pod(pod) => of_pod(pod),
        Party::Address(address) => object([("address", Some(Json::Text(address)))]),
        Party::Host(host) => object([("host", Some(Json::Text(host.name))), ("at", host.at.map(texts))]),
    }
}

/// Returns the JSON of a request; `None` if its claims are none.
fn of_request(request: Request) -> Option<Json> {
    let jwt = match request.jwt {
        None => None,
        Some(claims) => Some(Json::parse(claims.as_bytes())?),
    };
    Some(object([
        ("method", request.method.map(Json::Text)),
        ("path", request.path.map(Json::Text)),
        ("host", request.host.map(Json::Text)),
        ("tls", request.tls.map(Json::Text)),
        ("client", request.client.map(Json::Text)),
        ("headers", Some(pairs(request.headers))),
        ("jwt", jwt),
    ]))
}

fn of_flow(flow: Flow) -> Option<Json> {
    let request = match flow.request {
        None => None,
        Some(request) => Some(of_request(request)?),
    };
    let port = (flow.protocol != Protocol::Icmp).then_some(Json::Number(Some(u64::from(flow.port))));
    Some(object([
        ("source", Some(of_party(flow.source))),
        ("destination", Some(of_party(flow.destination))),
        ("protocol", Some(word(flow.protocol))),
        ("port", port),
        ("request", request),
    ]))
}

fn told(end: kernel::End, reasons: Reasons<'_>) -> End {
    let cause = match end.cause {
        Cause::NoPod => Told::NoPod,
        Cause::Itself => Told::Itself,
        Cause::NotIsolated => Told::NotIsolated,
        Cause::Allowed => Told::Allowed,
        Cause::Granted => Told::Granted,
        Cause::Denied => Told::Denied,
        Cause::NoneMatches => Told::Isolated,
    };
    End { cause, by: reasons.of(end).map(str::to_owned) }
}

struct Component;

impl Guest for Component {
    fn decide(asked: Flow) -> Result<Decision, String> {
        let state = state().ok_or("the component has no tables")?;
        state.decided += 1;
        if state.decided.is_multiple_of(MOST) {
            state.kernel.reset();
        }
        let flow = of_flow(asked).ok_or("the claims are no JSON")?;
        let verdict = state.kernel.decide_value(&flow).map_err(document::words)?;
        let reasons = placed::reasons().unwrap_or(Reasons::new(&[], &[]));
        let [egress, ingress] = verdict.ends.map(|end| told(end, reasons));
        let outcome = match verdict.number() {
            0 => Outcome::Denied,
            1 => Outcome::Allowed,
            _ => Outcome::Told,
        };
        Ok(Decision { verdict: outcome, egress, ingress })
    }
}

export!(Component);

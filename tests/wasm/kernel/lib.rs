//! The code of every evaluator module: the kernel of the compiler, with exports for a host (docs/wasm-abi.md).
//!
//! The code of another interface is this crate too, as an example of it: `opa.rs` and `proxy.rs`.

mod heap;
#[path = "../../../src/targets/wasm/kernel/mod.rs"]
#[allow(dead_code, reason = "the compiler needs more of it than a module")]
mod kernel;
#[path = "../../../src/model/paths.rs"]
#[allow(dead_code, reason = "only what normalises paths is needed")]
mod paths;
#[allow(dead_code, reason = "hosts of this interface read what rules are in policy.rules.json")]
mod placed;

use std::cell::UnsafeCell;

use kernel::layout::ABI;
use kernel::{Error, Kernel};

/// The largest buffer, in bytes.
const LARGEST: usize = 1 << 28;

/// The state of the module.
struct State {
    kernel: Kernel<'static>,
    /// The bytes that a host may write and read, as words.
    buffer: Vec<u32>,
    verdict: [u32; 3],
}

struct Only(UnsafeCell<Option<State>>);

// SAFETY: a module without threads has one caller at a time, and no export calls another.
unsafe impl Sync for Only {}

static STATE: Only = Only(UnsafeCell::new(None));

/// Returns the state, made at the first call; `None` if there are no tables of this version.
fn state() -> Option<&'static mut State> {
    // SAFETY: see `Only`.
    let state = unsafe { &mut *STATE.0.get() };
    if state.is_none() {
        *state = Some(State { kernel: Kernel::new(placed::tables()?), buffer: Vec::new(), verdict: [0; 3] });
    }
    state.as_mut()
}

/// Returns the state if it is made.
#[inline(always)]
fn made() -> Option<&'static mut State> {
    // SAFETY: see `Only`.
    unsafe { (*STATE.0.get()).as_mut() }
}

impl State {
    /// Returns a text in the buffer.
    #[inline(always)]
    fn text(&self, at: usize, length: usize) -> Result<&'static [u8], Error> {
        let start = self.buffer.as_ptr() as usize;
        let end = at.checked_add(length).ok_or(Error::Range)?;
        if at < start || end > start + 4 * self.buffer.len() {
            return Err(Error::Range);
        }
        // SAFETY: the bytes lie inside the buffer, which stays as it is during the call.
        Ok(unsafe { core::slice::from_raw_parts(at as *const u8, length) })
    }

    /// Returns the place of a word in the buffer.
    fn word(&self, at: usize) -> Result<usize, Error> {
        let offset = at.checked_sub(self.buffer.as_ptr() as usize).ok_or(Error::Range)?;
        if offset.is_multiple_of(4) { Ok(offset / 4) } else { Err(Error::Range) }
    }

    fn told(&mut self, verdict: Result<[u32; 3], Error>) -> i32 {
        match verdict {
            Ok(verdict) => {
                self.verdict = verdict;
                (verdict[0] & 0xff) as i32
            }
            Err(error) => error as i32,
        }
    }
}

fn number(result: Result<u32, Error>) -> i32 {
    result.map_or_else(|error| error as i32, |id| id as i32)
}

/// Returns the version of this interface.
#[unsafe(no_mangle)]
pub extern "C" fn abi_version() -> i32 {
    ABI as i32
}

/// Returns a buffer of a length, for texts and batches. It is the module's own, and holds until the next one.
#[unsafe(no_mangle)]
pub extern "C" fn buffer(length: usize) -> i32 {
    let Some(state) = state() else { return Error::Tables as i32 };
    if length > LARGEST {
        return Error::Full as i32;
    }
    let words = length.div_ceil(4).max(1);
    let missing = words.saturating_sub(state.buffer.len());
    if state.buffer.try_reserve_exact(missing).is_err() {
        return Error::Full as i32;
    }
    state.buffer.resize(words.max(state.buffer.len()), 0);
    state.buffer.as_ptr() as i32
}

/// Interns a party.
#[unsafe(no_mangle)]
pub extern "C" fn intern(at: usize, length: usize) -> i32 {
    // What is known is found before anything is called, for each call costs as much as the whole of that.
    let known = made().and_then(|state| state.kernel.interned(state.text(at, length).ok()?));
    known.map_or_else(|| intern_anew(at, length), |id| id as i32)
}

#[cold]
#[inline(never)]
fn intern_anew(at: usize, length: usize) -> i32 {
    let Some(state) = state() else { return Error::Tables as i32 };
    number(state.text(at, length).and_then(|text| state.kernel.intern(text)))
}

/// Interns a request.
#[unsafe(no_mangle)]
pub extern "C" fn intern_request(at: usize, length: usize) -> i32 {
    let Some(state) = state() else { return Error::Tables as i32 };
    number(state.text(at, length).and_then(|text| state.kernel.intern_request(text)))
}

/// Decides a flow.
#[unsafe(no_mangle)]
pub extern "C" fn decide(source: u32, destination: u32, port: u32, request: u32) -> i32 {
    let Some(state) = made() else { return decide_anew(source, destination, port, request) };
    match state.kernel.decided([source, destination, port, request]) {
        Some(verdict) => {
            state.verdict = *verdict;
            (verdict[0] & 0xff) as i32
        }
        None => decide_anew(source, destination, port, request),
    }
}

#[cold]
#[inline(never)]
fn decide_anew(source: u32, destination: u32, port: u32, request: u32) -> i32 {
    let Some(state) = state() else { return Error::Tables as i32 };
    let verdict = state.kernel.decide_words([source, destination, port, request]);
    state.told(verdict)
}

/// Returns where the last verdict stands in full: three words.
#[unsafe(no_mangle)]
pub extern "C" fn verdict() -> i32 {
    let Some(state) = state() else { return Error::Tables as i32 };
    state.verdict.as_ptr() as i32
}

/// Decides many flows that stand in the buffer.
#[unsafe(no_mangle)]
pub extern "C" fn decide_batch(from: usize, count: usize, to: usize) -> i32 {
    let Some(state) = state() else { return Error::Tables as i32 };
    let places = state.word(from).and_then(|from| state.word(to).map(|to| (from, to)));
    number(places.and_then(|(from, to)| state.kernel.decide_batch(&mut state.buffer, from, count, to)))
}

/// Decides a flow by its text.
#[unsafe(no_mangle)]
pub extern "C" fn decide_text(at: usize, length: usize) -> i32 {
    let Some(state) = state() else { return Error::Tables as i32 };
    let verdict = state.text(at, length).and_then(|text| state.kernel.decide_text_words(text));
    state.told(verdict)
}

/// Forgets all that was interned.
#[unsafe(no_mangle)]
pub extern "C" fn reset() {
    if let Some(state) = state() {
        state.kernel.reset();
    }
}

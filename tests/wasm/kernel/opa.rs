//! The code of every module for OPA: the kernel with the exports of OPA's interface 1.3, as
//! <https://www.openpolicyagent.org/docs/wasm> has it.
//!
//! OPA's hosts own the memory. They write behind the heap pointer, set it back before each evaluation, and expect what
//! lies behind it to be free. So this module keeps nothing from one evaluation to the next one, and its allocator is
//! OPA's: a pointer that only grows until it is set back.

#[path = "../../../src/targets/wasm/kernel/mod.rs"]
#[allow(dead_code, reason = "the compiler needs more of it than a module")]
mod kernel;
#[path = "../../../src/model/paths.rs"]
#[allow(dead_code, reason = "only what normalises paths is needed")]
mod paths;
mod placed;

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kernel::document::{self, Reasons};
use kernel::{Error, Kernel, Verdict, json_is_whole};

/// The heap: where the next allocation begins; 0 before the first one.
struct Heap(AtomicUsize);

#[global_allocator]
static HEAP: Heap = Heap(AtomicUsize::new(0));

impl Heap {
    fn top(&self) -> usize {
        match self.0.load(Relaxed) {
            0 => placed::end(),
            top => top,
        }
    }

    /// Sets the heap back, though never into the tables.
    fn set(&self, top: usize) {
        self.0.store(top.max(placed::end()), Relaxed);
    }
}

// SAFETY: blocks lie one behind the other, between the heap pointer and the end of memory, which grows for them.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.top().checked_next_multiple_of(layout.align());
        let Some((start, end)) = start.and_then(|start| Some((start, start.checked_add(layout.size())?))) else {
            return core::ptr::null_mut();
        };
        let missing = end.saturating_sub(placed::memory()).div_ceil(placed::PAGE);
        if missing > 0 && core::arch::wasm32::memory_grow(0, missing) == usize::MAX {
            return core::ptr::null_mut();
        }
        self.0.store(end, Relaxed);
        start as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if block as usize + layout.size() == self.0.load(Relaxed) {
            self.0.store(block as usize, Relaxed);
        }
    }
}

/// A value of OPA as the host sees it: twice the length of its JSON, plus 1 if it is a set; the JSON; a zero byte.
#[repr(C, align(8))]
struct Value<const LENGTH: usize>(u32, [u8; LENGTH]);

static BUILTINS: Value<3> = Value(2 * 2, *b"{}\0");
static ENTRYPOINTS: Value<39> = Value(2 * 38, *b"{\"netpol/decision\":0,\"netpol/allow\":1}\0");
/// What a host without memory gets.
static FULL: &[u8] = b"[{\"result\":{\"allow\":false,\"verdict\":\"error\",\"error\":\"there is no memory\"}}]\0";
static DENIED: &[u8] = b"[{\"result\":false}]\0";
/// An entrypoint that is none has no result.
static NOTHING: &[u8] = b"[]\0";

/// Returns bytes that a host wrote; `None` if they do not lie below the heap pointer, where no allocation comes.
fn given(at: usize, length: usize) -> Option<&'static [u8]> {
    let end = at.checked_add(length)?;
    // SAFETY: these bytes are inside the memory, and nothing is written there before the call returns.
    (end <= HEAP.top().min(placed::memory())).then(|| unsafe { core::slice::from_raw_parts(at as *const u8, length) })
}

/// Returns the text of a value, and whether it is a set.
fn text_of(value: usize) -> Option<(&'static [u8], bool)> {
    let head = given(value, 4)?;
    let head = head.first_chunk().map(|head| u32::from_le_bytes(*head))?;
    Some((given(value + 4, (head >> 1) as usize)?, head & 1 == 1))
}

/// Allocates a block; 0 if there is no memory for it.
fn block(length: usize) -> usize {
    // SAFETY: no layout is empty.
    Layout::from_size_align(length.max(1), 8).map_or(0, |layout| unsafe { HEAP.alloc(layout) } as usize)
}

/// Writes bytes at a place, with a zero byte behind them.
fn write(at: usize, bytes: &[u8]) {
    // SAFETY: the callers allocated the place for this.
    unsafe {
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len());
        ((at + bytes.len()) as *mut u8).write(0);
    }
}

/// Makes a value of JSON; 0 if there is no memory for it.
fn value(json: &[u8], is_set: bool) -> usize {
    let Some(at) = json.len().checked_add(5).map(block).filter(|at| *at != 0) else { return 0 };
    write(at, &(((json.len() as u32) << 1) | u32::from(is_set)).to_le_bytes());
    write(at + 4, json);
    at
}

/// Makes a value of JSON that a host wrote; 0 if it is none.
fn parse(at: usize, length: usize) -> usize {
    let Some(text) = given(at, length) else { return 0 };
    let top = HEAP.top();
    let has_room = has_room(64 * (length + 1024));
    let is_whole = has_room && json_is_whole(text);
    // What the reader allocated is needed no more.
    HEAP.set(top);
    if is_whole { value(text, false) } else { 0 }
}

fn has_room(bytes: usize) -> bool {
    Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
}

/// Evaluates an entrypoint: a text of JSON with a zero byte.
fn evaluate(entrypoint: i32, input: Option<&[u8]>) -> &'static [u8] {
    let reasons = placed::reasons();
    let room = (1 << 16) + 16 * reasons.map_or(0, |reasons| reasons.longest());
    let decide = || -> Result<Verdict, Error> {
        Kernel::new(placed::tables().ok_or(Error::Tables)?).decide_document(input.ok_or(Error::Meaning)?)
    };
    let mut text = match entrypoint {
        0 if !has_room(room) => return FULL,
        1 if !has_room(room) => return DENIED,
        0 => format!("[{{\"result\":{}}}]", document::decision(decide(), reasons.unwrap_or(Reasons::new(&[], &[])))),
        1 => format!("[{{\"result\":{}}}]", document::allows(decide())),
        _ => return NOTHING,
    };
    text.push('\0');
    text.leak().as_bytes()
}

/// Writes JSON of a result as the set that it is in Rego: `{{"result": …}}`.
fn as_set(json: &[u8]) -> usize {
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    let at = block(inner.len() + 3);
    if at != 0 {
        write(at, b"{");
        write(at + 1, inner);
        write(at + 1 + inner.len(), b"}");
    }
    at
}

/// Evaluates an entrypoint with an input of JSON. The result stands at the address that is returned, and ends with a
/// zero byte; in the format 1 it is a set.
#[unsafe(no_mangle)]
pub extern "C" fn opa_eval(
    _reserved: i32,
    entrypoint: i32,
    _data: usize,
    input: usize,
    length: usize,
    heap: usize,
    format: i32,
) -> usize {
    HEAP.set(heap);
    let text = evaluate(entrypoint, given(input, length));
    match format {
        1 => as_set(text.get(..text.len() - 1).unwrap_or_default()),
        _ => text.as_ptr() as usize,
    }
}

/// The words of a context, as [`opa_eval_ctx_new`] makes it.
mod context {
    pub const INPUT: usize = 0;
    pub const ENTRYPOINT: usize = 1;
    pub const RESULT: usize = 2;
    pub const LENGTH: usize = 3;
}

/// Returns a word of a context.
fn of_context(context: usize, word: usize) -> Option<u32> {
    let at = context.checked_add(4 * word)?;
    given(at, 4)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn set_in_context(context: usize, word: usize, value: u32) {
    if context >= placed::end() && of_context(context, word).is_some() {
        // SAFETY: the place is behind the tables and below the heap pointer, as was just compared.
        unsafe { ((context + 4 * word) as *mut u32).write_unaligned(value) };
    }
}

/// Makes a context without input, for the first entrypoint.
#[unsafe(no_mangle)]
pub extern "C" fn opa_eval_ctx_new() -> usize {
    let context = block(4 * context::LENGTH);
    if context != 0 {
        (0..context::LENGTH).for_each(|word| set_in_context(context, word, 0));
    }
    context
}

/// Sets the input of a context.
#[unsafe(no_mangle)]
pub extern "C" fn opa_eval_ctx_set_input(context: usize, input: usize) {
    set_in_context(context, context::INPUT, input as u32);
}

/// Does nothing: a decision depends on no data but the module's own.
#[unsafe(no_mangle)]
pub extern "C" fn opa_eval_ctx_set_data(_context: usize, _data: usize) {}

/// Sets the entrypoint of a context.
#[unsafe(no_mangle)]
pub extern "C" fn opa_eval_ctx_set_entrypoint(context: usize, entrypoint: i32) {
    set_in_context(context, context::ENTRYPOINT, entrypoint as u32);
}

/// Evaluates a context, and returns 0.
#[unsafe(no_mangle)]
pub extern "C" fn eval(context: usize) -> i32 {
    let entrypoint = of_context(context, context::ENTRYPOINT).map_or(-1, |entrypoint| entrypoint as i32);
    let input = of_context(context, context::INPUT).and_then(|input| text_of(input as usize));
    let text = evaluate(entrypoint, input.map(|(text, _)| text));
    let result = value(text.get(..text.len() - 1).unwrap_or_default(), true);
    set_in_context(context, context::RESULT, result as u32);
    0
}

/// Returns the result of an evaluated context.
#[unsafe(no_mangle)]
pub extern "C" fn opa_eval_ctx_get_result(context: usize) -> usize {
    of_context(context, context::RESULT).unwrap_or_default() as usize
}

/// Returns the functions that the host must have: none.
#[unsafe(no_mangle)]
pub extern "C" fn builtins() -> usize {
    &raw const BUILTINS as usize
}

/// Returns the entrypoints with their numbers.
#[unsafe(no_mangle)]
pub extern "C" fn entrypoints() -> usize {
    &raw const ENTRYPOINTS as usize
}

/// Allocates memory; 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn opa_malloc(length: usize) -> usize {
    block(length)
}

/// Does nothing: the heap is set back as a whole.
#[unsafe(no_mangle)]
pub extern "C" fn opa_free(_block: usize) {}

/// Does nothing: the heap is set back as a whole.
#[unsafe(no_mangle)]
pub extern "C" fn opa_value_free(_value: usize) {}

/// Makes a value of JSON; 0 if it is none.
#[unsafe(no_mangle)]
pub extern "C" fn opa_json_parse(at: usize, length: usize) -> usize {
    parse(at, length)
}

/// Makes a value of JSON; 0 if it is none. A set, which JSON does not have, is none.
#[unsafe(no_mangle)]
pub extern "C" fn opa_value_parse(at: usize, length: usize) -> usize {
    parse(at, length)
}

/// Returns a value as JSON that ends with a zero byte; 0 if it is none.
#[unsafe(no_mangle)]
pub extern "C" fn opa_json_dump(value: usize) -> usize {
    text_of(value).map_or(0, |(text, _)| text.as_ptr() as usize)
}

/// Returns a value as Rego writes it, which ends with a zero byte; 0 if it is none.
#[unsafe(no_mangle)]
pub extern "C" fn opa_value_dump(value: usize) -> usize {
    match text_of(value) {
        Some((text, true)) => as_set(text),
        Some((text, false)) => text.as_ptr() as usize,
        None => 0,
    }
}

/// Returns 0, which is success: a decision depends on no data but the module's own.
#[unsafe(no_mangle)]
pub extern "C" fn opa_value_add_path(_base: usize, _path: usize, _value: usize) -> i32 {
    0
}

/// Returns 0, which is success: a decision depends on no data but the module's own.
#[unsafe(no_mangle)]
pub extern "C" fn opa_value_remove_path(_base: usize, _path: usize) -> i32 {
    0
}

/// Returns the heap pointer.
#[unsafe(no_mangle)]
pub extern "C" fn opa_heap_ptr_get() -> usize {
    HEAP.top()
}

/// Sets the heap pointer.
#[unsafe(no_mangle)]
pub extern "C" fn opa_heap_ptr_set(heap: usize) {
    HEAP.set(heap);
}

/// Does nothing: no freed block is kept.
#[unsafe(no_mangle)]
pub extern "C" fn opa_heap_blocks_stash() {}

/// Does nothing: no freed block is kept.
#[unsafe(no_mangle)]
pub extern "C" fn opa_heap_blocks_restore() {}

/// Does nothing: no freed block is kept.
#[unsafe(no_mangle)]
pub extern "C" fn opa_heap_stash_clear() {}

//! What the compiler puts behind the memory of the code, at the beginning of a page: the tables of a policy, and for
//! some interfaces what its rules and grants are.

use crate::kernel::Tables;
use crate::kernel::document::Reasons;
use crate::kernel::layout::{ABI, MAGIC, header};

/// The size of a page of memory.
pub const PAGE: usize = 1 << 16;

unsafe extern "C" {
    /// The end of what the linker placed.
    static __heap_base: u8;
}

/// Returns the bytes of memory.
pub fn memory() -> usize {
    core::arch::wasm32::memory_size(0) * PAGE
}

/// Returns where the tables begin.
pub fn start() -> usize {
    (&raw const __heap_base as usize).next_multiple_of(PAGE)
}

/// Returns the words and the bytes of text of the tables; `None` if there are no tables of this version.
pub fn lengths() -> Option<(usize, usize)> {
    if start() + 4 * header::LENGTH > memory() {
        return None;
    }
    // SAFETY: the memory is there, as was just compared, and nothing else writes it: the allocator takes what lies
    // behind them.
    let head = unsafe { core::slice::from_raw_parts(start() as *const u32, header::LENGTH) };
    if head[header::MAGIC] != MAGIC || head[header::ABI] != ABI {
        return None;
    }
    let (words, text) = (head[header::WORDS] as usize, head[header::BYTES] as usize);
    let length = words.checked_mul(4)?.checked_add(text)?;
    (start().checked_add(length)? <= memory()).then_some((words, text))
}

/// Returns the tables.
pub fn tables() -> Option<Tables<'static>> {
    let (words, text) = lengths()?;
    let start = start();
    // SAFETY: `lengths` compared both with the memory; see there.
    unsafe {
        let text = core::slice::from_raw_parts((start + 4 * words) as *const u8, text);
        Tables::new(core::slice::from_raw_parts(start as *const u32, words), text)
    }
}

/// Returns where the words of the reasons begin: behind the tables.
fn reasons_at() -> Option<usize> {
    let (words, text) = lengths()?;
    Some((start() + 4 * words + text).next_multiple_of(4))
}

/// Returns the word at a place that the compiler wrote.
fn word(at: usize) -> usize {
    // SAFETY: the callers read behind tables, which the compiler wrote together with the reasons.
    unsafe { (at as *const u32).read() as usize }
}

/// Returns the number of words of the reasons, and the bytes of their text.
fn reasons_of(at: usize) -> (usize, usize) {
    let pieces = word(at + 4);
    let text = if pieces == 0 { 0 } else { word(at + 4 * (Reasons::HEAD + pieces - 1)) };
    (Reasons::HEAD + pieces, text)
}

/// Returns the end of all that the compiler placed.
pub fn end() -> usize {
    reasons_at().map_or_else(start, |at| {
        let (words, text) = reasons_of(at);
        at + 4 * words + text
    })
}

/// Returns what the rules and grants are.
pub fn reasons() -> Option<Reasons<'static>> {
    let at = reasons_at()?;
    let (words, text) = reasons_of(at);
    // SAFETY: as for `word`.
    let (words, text) = unsafe {
        let after = (at + 4 * words) as *const u8;
        (core::slice::from_raw_parts(at as *const u32, words), core::slice::from_raw_parts(after, text))
    };
    Some(Reasons::new(words, text))
}

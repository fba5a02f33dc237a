//! What the compiler puts behind the memory of the code, at the beginning of a page: the tables of a policy.

use crate::kernel::Tables;
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
    // behind the memory that the module begins with.
    let head = unsafe { core::slice::from_raw_parts(start() as *const u32, header::LENGTH) };
    if head[header::MAGIC] != MAGIC || head[header::ABI] != ABI {
        return None;
    }
    let (words, text) = (head[header::WORDS] as usize, head[header::TEXT] as usize);
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

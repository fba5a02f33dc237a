//! The allocator of modules: dlmalloc, as Rust's own is, which begins with the memory that a module has behind its
//! tables. Rust's own asks for more memory at the first allocation, and hosts take long to give it.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};

use dlmalloc::{Allocator, Dlmalloc};

use crate::placed::{PAGE, end, memory};

/// Where dlmalloc gets memory from.
struct Behind {
    /// Whether the memory behind the tables is taken.
    taken: Cell<bool>,
}

// SAFETY: what is handed out lies behind the tables or was just grown, and nothing is handed out twice.
unsafe impl Allocator for Behind {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if !self.taken.replace(true) {
            let (start, end) = (end().next_multiple_of(16), memory());
            if start.saturating_add(size) <= end {
                return (start as *mut u8, end - start, 0);
            }
        }
        let pages = size.div_ceil(PAGE);
        match core::arch::wasm32::memory_grow(0, pages) {
            usize::MAX => (core::ptr::null_mut(), 0, 0),
            // The last bytes of all stay free, so that no address behind an allocation is 0.
            before => ((before * PAGE) as *mut u8, pages * PAGE - if (before + pages) * PAGE == 0 { 16 } else { 0 }, 0),
        }
    }

    fn remap(&self, _block: *mut u8, _before: usize, _size: usize, _can_move: bool) -> *mut u8 {
        core::ptr::null_mut()
    }

    fn free_part(&self, _block: *mut u8, _before: usize, _size: usize) -> bool {
        false
    }

    fn free(&self, _block: *mut u8, _size: usize) -> bool {
        false
    }

    fn can_release_part(&self, _flags: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE
    }
}

struct Heap(UnsafeCell<Dlmalloc<Behind>>);

// SAFETY: a module has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Dlmalloc::new_with_allocator(Behind { taken: Cell::new(false) })));

// SAFETY: dlmalloc does what `GlobalAlloc` demands, and no call of it comes inside another one.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { (*self.0.get()).free(block, layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { (*self.0.get()).realloc(block, layout.size(), layout.align(), size) }
    }
}

//! The guest's allocator. An instance lives for microseconds, so it is made for that: what is freed is
//! kept by size (powers of two) and given out again, and nothing is ever joined or given back.
//!
//! Its first heap is what the linker left of the initial memory (`__heap_base` to `__heap_end`), which is
//! what Rust's own allocator for this target does not use: it grows the memory for its first byte, and a
//! memory that grew costs the host two changes of page protection for every call.
#![allow(unsafe_code)] // An allocator.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::{memory_grow, memory_size};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

unsafe extern "C" {
    /// Where the linker's data ends.
    static __heap_base: u8;
}

/// The smallest piece, in bytes: room for the link of a free one, at the largest alignment that
/// WebAssembly knows.
const SMALLEST: usize = 16;

/// One list for each power of two from [`SMALLEST`] on.
const SIZES: usize = 28;

const PAGE: usize = 64 * 1024;

struct Pieces {
    /// The first free piece of each size; each holds the address of the next, 0 at the end.
    free: [usize; SIZES],
    /// What was never given out begins here; 0 before the first piece.
    fresh: usize,
    /// The end of the memory.
    end: usize,
}

struct Allocator(UnsafeCell<Pieces>);

// SAFETY: a guest has one thread.
unsafe impl Sync for Allocator {}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(Pieces {
    free: [0; SIZES],
    fresh: 0,
    end: 0,
}));

/// The list that serves a layout, and the size of its pieces, which are aligned to [`SMALLEST`].
fn class(layout: Layout) -> Option<(usize, usize)> {
    // A larger alignment, which nothing asks for today, is found within a piece of that size more.
    let extra = if layout.align() > SMALLEST {
        layout.align()
    } else {
        0
    };
    let size = layout
        .size()
        .checked_add(extra)?
        .max(SMALLEST)
        .checked_next_power_of_two()?;
    let list = (size.trailing_zeros() - SMALLEST.trailing_zeros()) as usize;
    (list < SIZES).then_some((list, size))
}

impl Pieces {
    fn take(&mut self, list: usize, size: usize) -> Option<usize> {
        let piece = self.free[list];
        if piece != 0 {
            // SAFETY: a free piece is ours, and holds the next one's address.
            self.free[list] = unsafe { *(piece as *const usize) };
            return Some(piece);
        }
        if self.fresh == 0 {
            self.fresh = ((&raw const __heap_base) as usize).next_multiple_of(SMALLEST);
            self.end = memory_size::<0>() * PAGE;
        }
        let end = self.fresh.checked_add(size)?;
        if end > self.end {
            let pages = (end - self.end).div_ceil(PAGE);
            if memory_grow::<0>(pages) == usize::MAX {
                return None;
            }
            self.end += pages * PAGE;
        }
        Some(std::mem::replace(&mut self.fresh, end))
    }
}

// SAFETY: pieces do not overlap, and are as large and as aligned as was asked. One thread, and nothing
// in here allocates, so that there is one reference to the pieces at a time.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let pieces = unsafe { &mut *self.0.get() };
        let piece = class(layout).and_then(|(list, size)| pieces.take(list, size));
        piece.map_or(null_mut(), |piece| {
            piece.next_multiple_of(layout.align()) as *mut u8
        })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // One that was moved for its alignment is lost until the instance ends.
        if layout.align() <= SMALLEST
            && let Some((list, _)) = class(layout)
        {
            let pieces = unsafe { &mut *self.0.get() };
            unsafe { *pointer.cast::<usize>() = pieces.free[list] };
            pieces.free[list] = pointer as usize;
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let (before, after) = (class(layout), class(wanted));
        if before.is_some() && before == after {
            return pointer;
        }
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            unsafe { pointer.copy_to_nonoverlapping(moved, layout.size().min(size)) };
            unsafe { self.dealloc(pointer, layout) };
        }
        moved
    }
}

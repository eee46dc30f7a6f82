//! The memory of frames, for when downstream has no pool: huge pages, as far as the system has them to give.
//!
//! A frame of 640x360 BGR is on 169 small pages, each of which has to be looked up anew whenever it is written or read after
//! a wait. Linux gives huge pages to who asks for them (`madvise(2)`, MADV_HUGEPAGE), unless it is set up to give none.

use std::ptr;

use gst::{
    glib,
    glib::translate::{IntoGlibPtr, ToGlibPtr},
    subclass::prelude::*,
};
use memmap2::{Advice, MmapMut};

glib::wrapper! {
    pub struct FrameAllocator(ObjectSubclass<imp::FrameAllocator>) @extends gst::Allocator, gst::Object;
}

impl Default for FrameAllocator {
    fn default() -> Self {
        glib::Object::new()
    }
}

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct FrameAllocator;

    #[glib::object_subclass]
    impl ObjectSubclass for FrameAllocator {
        const NAME: &'static str = "CvmmapFrameAllocator";
        type Type = super::FrameAllocator;
        type ParentType = gst::Allocator;
    }

    impl ObjectImpl for FrameAllocator {}
    impl GstObjectImpl for FrameAllocator {}

    // SAFETY: what is given belongs to whoever gets it, and names another allocator, which frees it.
    unsafe impl AllocatorImpl for FrameAllocator {
        unsafe fn alloc(&self, size: usize, params: &gst::AllocationParams) -> *mut gst::ffi::GstMemory {
            let is_plain = params.prefix() == 0 && params.padding() == 0 && params.align() < HUGE_PAGE;
            match FrameMemory::new(size).filter(|_| is_plain) {
                Some(memory) => gst::Memory::from_mut_slice(memory).into_glib_ptr(),
                // SAFETY: the usual allocator does no more than read the parameters.
                None => unsafe {
                    gst::ffi::gst_allocator_alloc(ptr::null_mut(), size, params.to_glib_none().0.cast_mut())
                },
            }
        }
    }
}

/// Bytes of a huge page on x86-64, and on arm64 with small pages of 4 KiB.
const HUGE_PAGE: usize = 2 << 20;
/// Less is not worth a huge page.
const LEAST: usize = HUGE_PAGE / 4;

/// Memory of one frame, whole huge pages.
struct FrameMemory {
    map: MmapMut,
    begin: usize,
    size: usize,
}

impl FrameMemory {
    /// None for what does not need it, or where there is none.
    fn new(size: usize) -> Option<Self> {
        if size < LEAST {
            return None;
        }
        // One more, to begin where a page does; what is not touched costs nothing.
        let map = MmapMut::map_anon(size.checked_next_multiple_of(HUGE_PAGE)?.checked_add(HUGE_PAGE)?).ok()?;
        // A kernel that knows nothing of them gives small ones.
        let _ = map.advise(Advice::HugePage);
        let begin = map.as_ptr().addr().wrapping_neg() % HUGE_PAGE;
        Some(Self { map, begin, size })
    }
}

impl AsRef<[u8]> for FrameMemory {
    fn as_ref(&self) -> &[u8] {
        &self.map[self.begin..][..self.size]
    }
}

impl AsMut<[u8]> for FrameMemory {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.begin..][..self.size]
    }
}

#[cfg(test)]
mod tests {
    use gst::prelude::*;

    use super::*;

    fn allocated(size: usize, params: &gst::AllocationParams) -> gst::Memory {
        gst::init().unwrap();
        FrameAllocator::default().alloc(size, Some(params)).unwrap()
    }

    #[test]
    fn a_frame_has_its_size_and_can_be_written_to_its_end() {
        gst::init().unwrap();
        for size in [3, 640 * 360 * 3, (4 << 20) - 1, 4 << 20] {
            let mut memory = allocated(size, &gst::AllocationParams::default());
            assert_eq!(memory.size(), size);
            memory.get_mut().unwrap().map_writable().unwrap().fill(7);
            assert!(memory.map_readable().unwrap().iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn a_large_frame_begins_where_a_huge_page_does() {
        gst::init().unwrap();
        let memory = allocated(1920 * 1080 * 3, &gst::AllocationParams::default());
        assert_eq!(memory.map_readable().unwrap().as_ptr().addr() % HUGE_PAGE, 0);
    }

    #[test]
    fn room_around_a_frame_is_left_to_the_usual_allocator() {
        gst::init().unwrap();
        let memory = allocated(HUGE_PAGE, &gst::AllocationParams::new(gst::MemoryFlags::empty(), 63, 16, 32));
        assert!(memory.maxsize() >= HUGE_PAGE + 48);
        assert_eq!(memory.offset(), 16);
        assert_eq!(memory.map_readable().unwrap().as_ptr().addr() % 16, 0);
    }
}

//! `header_first.rs` on a machine that shows stores in any order: loom runs the very file by the rules of C11, which allow
//! all that arm64 does to a thread that only writes and one that only reads.
//!
//! Copies are foreign code without an order of their own, so each word of a segment is a relaxed atomic here.

use std::sync::{
    Arc,
    atomic::{AtomicU32 as Count, Ordering::SeqCst},
};

use loom::{model::Builder, sync::atomic::AtomicU32, thread};

use self::fences::{Fence, Ordering};

// The crate compiles it with the real fences.
#[allow(clippy::duplicate_mod)]
#[path = "header_first.rs"]
mod header_first;

mod fences {
    use std::cell::Cell;

    pub(super) use loom::sync::atomic::Ordering;

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(super) enum Fence {
        /// The writer's.
        BeforePayload,
        BehindPayload,
        /// The reader's.
        BeforeCopy,
        BehindCopy,
    }

    // All threads of a model are one thread here.
    thread_local! {
        static LEFT_OUT: Cell<Option<Fence>> = const { Cell::new(None) };
        /// Release fences so far, and acquire fences.
        static PASSED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    }

    /// Begins another order of the threads.
    pub(super) fn begin(left_out: Option<Fence>) {
        LEFT_OUT.set(left_out);
        PASSED.set((0, 0));
    }

    pub(super) fn fence(order: Ordering) {
        let (releases, acquires) = PASSED.get();
        let which = match order {
            Ordering::Release => {
                PASSED.set((releases + 1, acquires));
                [Fence::BeforePayload, Fence::BehindPayload][releases % 2]
            }
            Ordering::Acquire => {
                PASSED.set((releases, acquires + 1));
                [Fence::BeforeCopy, Fence::BehindCopy][acquires % 2]
            }
            other => panic!("{other:?}"),
        };
        if LEFT_OUT.get() != Some(which) {
            loom::sync::atomic::fence(order);
        }
    }
}

/// The last frame that is written; the first one is there before.
const LAST: u32 = 2;

/// A segment and what was announced of it.
struct Segment {
    /// Frame id, and one word for all the others.
    metadata: [AtomicU32; 2],
    payload: [AtomicU32; 2],
    announced: AtomicU32,
}

#[derive(Clone, Copy, Debug)]
struct World {
    /// Whether whoever hears of a frame sees what was written before it was announced, as with a message by the kernel.
    is_message: bool,
    /// Whether metadata differ in more than the frame id: those of v1 with equal timestamps do not.
    has_timestamps: bool,
    left_out: Option<Fence>,
}

#[derive(Default)]
struct Outcome {
    taken: Count,
    mixed: Count,
}

fn store(words: &[AtomicU32; 2], values: [u32; 2]) {
    words.iter().zip(values).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
}

/// The same as a step that may fail.
fn stored(words: &[AtomicU32; 2], values: [u32; 2]) -> Result<(), ()> {
    store(words, values);
    Ok(())
}

fn load(words: &[AtomicU32; 2]) -> [u32; 2] {
    [words[0].load(Ordering::Relaxed), words[1].load(Ordering::Relaxed)]
}

impl World {
    fn metadata(self, frame: u32) -> [u32; 2] {
        [frame, if self.has_timestamps { 10 * frame } else { 0 }]
    }

    fn segment(self) -> Segment {
        let [id, rest] = self.metadata(1);
        Segment {
            metadata: [AtomicU32::new(id), AtomicU32::new(rest)],
            payload: [AtomicU32::new(1), AtomicU32::new(1)],
            announced: AtomicU32::new(1),
        }
    }

    fn publish(self, mut segment: &Segment, frame: u32) {
        let [_, rest] = self.metadata(frame - 1);
        let written = header_first::write(
            &mut segment,
            |segment| stored(&segment.metadata, [frame, rest]),
            |segment| stored(&segment.payload, [frame; 2]),
            |segment| stored(&segment.metadata, self.metadata(frame)),
        );
        written.unwrap();
        segment.announced.store(frame, if self.is_message { Ordering::Release } else { Ordering::Relaxed });
    }

    /// Reads the frame that was announced last.
    fn read(self, segment: &Segment, outcome: &Outcome) {
        let frame = segment.announced.load(if self.is_message { Ordering::Acquire } else { Ordering::Relaxed });
        let metadata = load(&segment.metadata);
        if metadata != self.metadata(frame) {
            return;
        }
        header_first::begin_copy();
        let payload = load(&segment.payload);
        header_first::end_copy();
        if load(&segment.metadata) != metadata {
            return;
        }
        outcome.taken.fetch_add(1, SeqCst);
        outcome.mixed.fetch_add(u32::from(payload != [frame; 2]), SeqCst);
    }

    /// How many frames are taken in all orders, and how many of them mixed.
    fn explore(self) -> (u32, u32) {
        let outcome = Arc::new(Outcome::default());
        let told = Arc::clone(&outcome);
        let mut model = Builder::new();
        // The reader writes nothing: what it can see when all is written and nothing has arrived is what any order shows.
        model.preemption_bound = Some(1);
        model.check(move || {
            fences::begin(self.left_out);
            let segment = Arc::new(self.segment());
            let (seen, told) = (Arc::clone(&segment), Arc::clone(&told));
            let reader = thread::spawn(move || self.read(&seen, &told));
            (2..=LAST).for_each(|frame| self.publish(&segment, frame));
            reader.join().unwrap();
        });
        (outcome.taken.load(SeqCst), outcome.mixed.load(SeqCst))
    }
}

#[test]
fn equal_metadata_prove_a_frame_in_every_order_that_the_fences_allow() {
    for (is_message, has_timestamps) in [(true, true), (true, false), (false, true)] {
        let (taken, mixed) = World { is_message, has_timestamps, left_out: None }.explore();
        assert!(taken > 10 && mixed == 0, "{is_message}, {has_timestamps}: {taken} taken, {mixed} mixed");
    }
}

/// The message orders what was written before it. What is written behind it has the fences alone.
#[test]
fn without_the_fences_around_the_next_payload_some_are_mixed() {
    for has_timestamps in [true, false] {
        for fence in [Fence::BeforePayload, Fence::BehindCopy] {
            let (_, mixed) = World { is_message: true, has_timestamps, left_out: Some(fence) }.explore();
            assert!(mixed > 0, "{fence:?} is needed for nothing");
        }
    }
}

#[test]
fn without_any_of_the_fences_some_are_mixed_when_the_message_orders_nothing() {
    for fence in [Fence::BeforePayload, Fence::BehindPayload, Fence::BeforeCopy, Fence::BehindCopy] {
        let (_, mixed) = World { is_message: false, has_timestamps: true, left_out: Some(fence) }.explore();
        assert!(mixed > 0, "{fence:?} is needed for nothing");
    }
}

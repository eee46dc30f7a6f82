//! What the producer does while its frame is being copied: a buffer pool that downstream offers is asked for a buffer
//! after the metadata were read and before the payload is, and that is when these tests interfere.

mod common;

use std::{
    fs::OpenOptions,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Mutex},
};

use common::{
    picture::{BGR, Picture, V2},
    place::Place,
    player::Player,
    producer::Producer,
};
use gst::{glib, prelude::*, subclass::prelude::*};

type Hook = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct InterferingPool {
        pub hook: Mutex<Hook>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for InterferingPool {
        const NAME: &'static str = "InterferingPool";
        type Type = super::InterferingPool;
        type ParentType = gst::BufferPool;
    }

    impl ObjectImpl for InterferingPool {}
    impl GstObjectImpl for InterferingPool {}

    impl BufferPoolImpl for InterferingPool {
        fn acquire_buffer(&self, params: Option<&gst::BufferPoolAcquireParams>) -> Result<gst::Buffer, gst::FlowError> {
            let hook = Hook::clone(&self.hook.lock().unwrap());
            if let Some(interfere) = hook.lock().unwrap().take() {
                interfere();
            }
            self.parent_acquire_buffer(params)
        }
    }
}

glib::wrapper! {
    /// A pool that runs something once, on the next acquisition of a buffer.
    pub struct InterferingPool(ObjectSubclass<imp::InterferingPool>) @extends gst::BufferPool, gst::Object;
}

struct Stage {
    place: Place,
    producer: Producer,
    player: Player,
    hook: Hook,
    next: u32,
}

/// A stream that uses the pool already.
fn stage() -> Stage {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    let hook = Hook::default();
    let pool_hook = Hook::clone(&hook);
    let pad = player.sink.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, info| {
        let Some(gst::QueryViewMut::Allocation(allocation)) = info.query_mut().map(gst::QueryRef::view_mut) else {
            return gst::PadProbeReturn::Ok;
        };
        let Some(info) = allocation.get().0.map(|caps| gst_video::VideoInfo::from_caps(caps).unwrap()) else {
            return gst::PadProbeReturn::Ok;
        };
        let pool = glib::Object::new::<InterferingPool>();
        *pool.imp().hook.lock().unwrap() = Hook::clone(&pool_hook);
        allocation.add_allocation_pool(Some(&pool), info.size() as u32, 0, 0);
        gst::PadProbeReturn::Handled
    });
    player.play();
    producer.await_subscriber();
    let mut stage = Stage { place, producer, player, hook, next: 0 };
    for _ in 0..3 {
        stage.assert_flowing();
    }
    stage
}

impl Stage {
    fn picture(&mut self) -> (u32, Picture) {
        self.next += 1;
        // Packed rows are read at once, others one by one.
        let padding = self.next as usize % 2;
        (self.next, Picture::new(BGR, 64, 48, padding, self.next))
    }

    fn assert_flowing(&mut self) {
        let (frame_id, picture) = self.picture();
        self.producer.publish(&picture, frame_id, 7);
        let got = self.player.pull();
        assert_eq!((got.id, &got.rows), (frame_id.into(), &picture.rows()));
    }

    /// Publishes a frame, interferes with its copy, and expects it to be counted as this, and nothing else of it.
    fn assert_dropped(&mut self, stat: &str, interfere: impl FnOnce(&Path, u32) + Send + 'static) {
        let (frame_id, picture) = self.picture();
        let segment = self.place.segment();
        *self.hook.lock().unwrap() = Some(Box::new(move || interfere(&segment, frame_id)));
        let before = self.player.stat(stat);
        self.producer.publish(&picture, frame_id, 7);
        self.player.wait_stat(stat, before + 1);
        assert!(self.hook.lock().unwrap().is_none(), "the pool was not asked");
        self.assert_flowing();
    }
}

fn overwrite(segment: &Path, bytes: &[u8], offset: u64) {
    OpenOptions::new().write(true).open(segment).unwrap().write_all_at(bytes, offset).unwrap();
}

#[test]
fn the_next_frame_tears_this_one() {
    let mut stage = stage();
    stage.assert_dropped("frames-torn", |segment, frame_id| {
        let next = Picture::new(BGR, 64, 48, 1, 1_000);
        overwrite(segment, &next.data, 256);
        overwrite(segment, &next.metadata(V2, frame_id + 1, 8), 0);
    });
}

#[test]
fn any_change_of_the_metadata_tears_the_frame() {
    let mut stage = stage();
    // Capture time, a plane's stride, and the last reserved byte.
    for offset in [0x10, 76, 255] {
        stage.assert_dropped("frames-torn", move |segment, _| overwrite(segment, &[0xEE], offset));
    }
}

#[test]
fn a_segment_that_shrinks_under_the_copy_is_invalid() {
    let mut stage = stage();
    // With an odd number of frames in between, so that both kinds of rows are cut off.
    for size in [0, 256, 1_000, 2_000, 3_000, 9_000] {
        stage.assert_dropped("frames-invalid", move |segment, _| {
            OpenOptions::new().write(true).open(segment).unwrap().set_len(size).unwrap();
        });
        stage.assert_flowing();
    }
}

#[test]
fn a_frame_whose_copy_failed_is_tried_again_when_it_is_announced_again() {
    let mut stage = stage();
    let (frame_id, picture) = stage.picture();
    let segment = stage.place.segment();
    *stage.hook.lock().unwrap() = Some(Box::new(move || {
        OpenOptions::new().write(true).open(segment).unwrap().set_len(1_000).unwrap();
    }));
    stage.producer.publish(&picture, frame_id, 7);
    stage.player.wait_stat("frames-invalid", 1);
    stage.producer.publish(&picture, frame_id, 7);
    assert_eq!(stage.player.pull().rows, picture.rows());
    stage.producer.announce(frame_id, 7);
    stage.player.wait_stat("frames-repeated", 1);
    stage.assert_flowing();
}

//! What downstream wants: a frame rate, other caps than there are, buffers of its own.

mod common;

use std::collections::HashSet;

use common::{
    init,
    picture::{BGR, GRAY, Picture},
    place::Place,
    player::{Got, Player},
    producer::Producer,
    until,
};
use gst::prelude::*;
use gst_video::prelude::*;

/// Plays with a caps filter.
fn filtered(place: &Place, filter: &str) -> Player {
    init();
    let src = gst::ElementFactory::make("cvmmapsrc").property("uri", place.uri()).build().unwrap();
    Player::of(src, &filter.parse().unwrap())
}

/// The frame rate in the caps of a producer whose frames are stamped so far apart.
fn frame_rate(filter: &str, interval_ns: u64) -> gst::Fraction {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = filtered(&place, filter);
    player.play();
    producer.await_subscriber();
    let mut frame_id = 0;
    let mut first = None;
    until("a frame comes through", || {
        producer.publish(&Picture::small(0), frame_id, u64::from(frame_id) * interval_ns);
        frame_id += 1;
        first = player.sink.try_pull_sample(gst::ClockTime::from_mseconds(5));
        first.is_some()
    });
    Got::of(&first.unwrap()).info.fps()
}

/// The same of the first of several producers that has one: the second frame has a quarter of a second to come, and a
/// busy machine may take longer.
fn known_frame_rate(filter: &str, interval_ns: u64) -> gst::Fraction {
    let unknown = gst::Fraction::new(0, 1);
    (0..10).map(|_| frame_rate(filter, interval_ns)).find(|rate| *rate != unknown).unwrap_or(unknown)
}

#[test]
fn the_frame_rate_is_that_of_the_timestamps() {
    assert_eq!(known_frame_rate("video/x-raw", 40_000_000), gst::Fraction::new(25, 1));
    assert_eq!(known_frame_rate("video/x-raw", 16_666_667), gst::Fraction::new(60, 1));
}

#[test]
fn timestamps_that_stand_still_tell_no_frame_rate() {
    assert_eq!(frame_rate("video/x-raw", 0), gst::Fraction::new(0, 1));
}

#[test]
fn a_producer_of_one_frame_has_no_frame_rate() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    player.play();
    producer.await_subscriber();
    producer.publish(&Picture::small(0), 0, 1);
    assert_eq!(player.pull().info.fps(), gst::Fraction::new(0, 1));
}

#[test]
fn downstream_may_insist_on_a_frame_rate() {
    assert_eq!(frame_rate("video/x-raw,framerate=50/1", 40_000_000), gst::Fraction::new(50, 1));
    assert_eq!(frame_rate("video/x-raw,framerate=[30/1,60/1]", 40_000_000), gst::Fraction::new(30, 1));
}

#[test]
fn caps_that_downstream_does_not_take_are_named() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = filtered(&place, "video/x-raw,format=RGB");
    player.play();
    producer.await_subscriber();
    producer.publish(&Picture::new(GRAY, 24, 16, 0, 0), 0, 1);
    let error = player.error();
    assert!(error.matches(gst::CoreError::Negotiation), "{error:?}");
    for part in ["GRAY8", "24", "16"] {
        assert!(error.message().contains(part), "{error}");
    }
}

fn is_pooled(buffer: &gst::Buffer) -> bool {
    // SAFETY: the reference keeps the buffer alive, and its pool is not changed while others may see it.
    unsafe { !(*buffer.as_ptr()).pool.is_null() }
}

/// Lets the sink offer a pool of `max` buffers whose rows are padded by `padding` pixels on the left and right.
fn offer_pool(player: &Player, padding: u32, max: u32) {
    let pad = player.sink.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, info| {
        let Some(gst::QueryViewMut::Allocation(allocation)) = info.query_mut().map(gst::QueryRef::view_mut) else {
            return gst::PadProbeReturn::Ok;
        };
        // GstBaseSrc asks once before there are caps.
        let Some(caps) = allocation.get_owned().0 else {
            return gst::PadProbeReturn::Ok;
        };
        let video = gst_video::VideoInfo::from_caps(&caps).unwrap();
        let alignment = gst_video::VideoAlignment::new(3, 5, padding, padding, &[15, 0, 0, 0]);
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&caps), video.size() as u32, 2, max);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_ALIGNMENT);
        config.set_video_alignment(&alignment);
        pool.set_config(config).unwrap();
        let size = pool.config().params().unwrap().1;
        allocation.add_allocation_pool(Some(&pool), size, 2, max);
        allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
        gst::PadProbeReturn::Handled
    });
}

#[test]
fn frames_land_in_downstreams_buffers_at_its_stride() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    offer_pool(&player, 7, 0);
    player.play();
    producer.await_subscriber();
    for (frame_id, (width, height)) in (0..).zip([(33, 17), (33, 17), (33, 17), (64, 48), (64, 48), (64, 48)]) {
        let picture = Picture::new(BGR, width, height, 2, frame_id);
        producer.publish(&picture, frame_id, 1);
        let got = player.pull();
        assert_eq!(got.rows, picture.rows(), "frame {frame_id}");
        // The first frame of a picture is copied before downstream knows of it.
        if frame_id % 3 > 0 {
            let meta = got.buffer.meta::<gst_video::VideoMeta>().expect("a video meta");
            let stride = meta.stride()[0] as usize;
            assert!(stride >= (width + 14) * 3 && stride.is_multiple_of(16), "{stride}");
            assert!(is_pooled(&got.buffer));
        }
    }
}

/// Memory blocks that pooled frames lie in.
fn blocks_of_fifty_frames(place: &Place, player: &Player) -> HashSet<usize> {
    let producer = Producer::new(place);
    player.play();
    producer.await_subscriber();
    let mut blocks = HashSet::new();
    for frame_id in 0..50 {
        let picture = Picture::new(BGR, 64, 48, 0, frame_id);
        producer.publish(&picture, frame_id, 1);
        let got = player.pull();
        assert_eq!(got.rows, picture.rows());
        // The second one may be copied while the first one is negotiated.
        if frame_id > 1 {
            assert!(is_pooled(&got.buffer), "frame {frame_id} is not of a pool");
            blocks.insert(got.buffer.peek_memory(0).as_ptr() as usize);
        }
    }
    blocks
}

#[test]
fn steady_state_goes_round_in_downstreams_pool() {
    let place = Place::new();
    let player = Player::new(&place);
    offer_pool(&player, 0, 4);
    let blocks = blocks_of_fifty_frames(&place, &player);
    assert!(blocks.len() <= 4, "{} blocks", blocks.len());
}

#[test]
fn steady_state_goes_round_in_a_pool_of_its_own() {
    let place = Place::new();
    let player = Player::new(&place);
    let blocks = blocks_of_fifty_frames(&place, &player);
    // One held here, one in the sink, one waiting, one under way.
    assert!(blocks.len() <= 6, "{} blocks", blocks.len());
}

#[test]
fn a_pool_that_downstream_holds_on_to_does_not_hold_up_frames() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    offer_pool(&player, 0, 2);
    player.play();
    producer.await_subscriber();
    let mut held = Vec::new();
    for frame_id in 0..10 {
        let picture = Picture::new(BGR, 64, 48, 0, frame_id);
        producer.publish(&picture, frame_id, 1);
        held.push(player.pull());
        assert_eq!(held.last().unwrap().rows, picture.rows());
    }
    assert_eq!(held.iter().filter(|got| is_pooled(&got.buffer)).count(), 2);
}

#[test]
fn a_new_pool_is_taken_when_downstream_asks_for_it() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    player.play();
    producer.await_subscriber();
    for frame_id in 0..3 {
        producer.publish(&Picture::new(BGR, 33, 17, 0, frame_id), frame_id, 1);
        assert!(player.pull().info.stride()[0] < 300);
    }
    offer_pool(&player, 100, 0);
    player.sink.static_pad("sink").unwrap().push_event(gst::event::Reconfigure::new());
    // The frame that is waited for already may still be of the old pool.
    for frame_id in 3..6 {
        let picture = Picture::new(BGR, 33, 17, 0, frame_id);
        producer.publish(&picture, frame_id, 1);
        let got = player.pull();
        assert_eq!(got.rows, picture.rows());
        if frame_id > 4 {
            assert!(got.buffer.meta::<gst_video::VideoMeta>().unwrap().stride()[0] >= 200 * 3);
        }
    }
}

/// A pool that takes another configuration than it is asked for.
mod picky {
    use gst::{glib, prelude::*, subclass::prelude::*};

    glib::wrapper! {
        pub struct PickyPool(ObjectSubclass<imp::PickyPool>) @extends gst::BufferPool, gst::Object;
    }

    impl PickyPool {
        /// Bytes more than asked for that each buffer has, and the fewest buffers.
        pub const MORE: u32 = 1_000;
        pub const FEWEST: u32 = 5;

        pub fn new() -> Self {
            glib::Object::new()
        }

        pub fn is_of(buffer: &gst::Buffer) -> bool {
            // SAFETY: the reference keeps the buffer alive, and its pool is not changed while others may see it.
            let pool: Option<gst::BufferPool> = unsafe { glib::translate::from_glib_none((*buffer.as_ptr()).pool) };
            pool.is_some_and(|pool| pool.is::<Self>())
        }
    }

    mod imp {
        use super::*;

        #[derive(Default)]
        pub struct PickyPool;

        #[glib::object_subclass]
        impl ObjectSubclass for PickyPool {
            const NAME: &'static str = "TestPickyPool";
            type Type = super::PickyPool;
            type ParentType = gst::BufferPool;
        }

        impl ObjectImpl for PickyPool {}
        impl GstObjectImpl for PickyPool {}

        impl BufferPoolImpl for PickyPool {
            fn set_config(&self, config: &mut gst::BufferPoolConfigRef) -> bool {
                let (caps, size, min, max) = config.params().unwrap();
                let info = gst_video::VideoInfo::from_caps(caps.as_ref().unwrap()).unwrap();
                let least = info.size() as u32 + super::PickyPool::MORE;
                if size < least || min < super::PickyPool::FEWEST {
                    config.set_params(caps.as_ref(), least.max(size), min.max(super::PickyPool::FEWEST), max);
                    return false;
                }
                self.parent_set_config(config)
            }
        }
    }
}

#[test]
fn a_pool_that_wants_another_configuration_has_it_and_is_used() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    let pool = picky::PickyPool::new();
    player.sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, {
        let pool = pool.clone();
        move |_, info| {
            let Some(gst::QueryViewMut::Allocation(allocation)) = info.query_mut().map(gst::QueryRef::view_mut) else {
                return gst::PadProbeReturn::Ok;
            };
            let Some(caps) = allocation.get_owned().0 else {
                return gst::PadProbeReturn::Ok;
            };
            let size = gst_video::VideoInfo::from_caps(&caps).unwrap().size() as u32;
            allocation.add_allocation_pool(Some(&pool), size, 2, 0);
            allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
            gst::PadProbeReturn::Handled
        }
    });
    player.play();
    producer.await_subscriber();
    for frame_id in 0..4 {
        let picture = Picture::new(BGR, 32, 16, 0, frame_id);
        producer.publish(&picture, frame_id, frame_id.into());
        let got = player.pull();
        assert_eq!(got.rows, picture.rows());
        // The first one is copied before downstream knows of the picture, the second maybe meanwhile.
        assert!(frame_id < 2 || picky::PickyPool::is_of(&got.buffer), "frame {frame_id} is not of downstream's pool");
    }
    let (_, size, min, _) = pool.config().params().unwrap();
    assert_eq!((size, min), (32 * 16 * 3 + picky::PickyPool::MORE, picky::PickyPool::FEWEST));
}

//! The streaming thread follows the producer while it waits, and the ingest thread while downstream keeps it. A process of
//! its own: it looks at the process's threads.

mod common;

use std::sync::mpsc;

use common::{PATIENCE, picture::Picture, place::Place, player::Player, producer::Producer, threads, until};
use gst::prelude::*;

/// Frames that pass one by one.
const FRAMES: u32 = 100;
/// Times the ingest thread may wake meanwhile: it looks after the connection once a second, and a busy machine may take long
/// for the frames.
const LOOKS: u64 = 20;

struct Stage {
    producer: Producer,
    player: Player,
    frame_id: u32,
}

impl Stage {
    /// Publishes the next frame.
    fn publish(&mut self) -> u64 {
        self.frame_id += 1;
        self.producer.publish(&Picture::small(self.frame_id), self.frame_id, self.frame_id.into());
        self.frame_id.into()
    }

    /// Passes frames to a downstream that is quick. As a rule the streaming thread takes them all.
    fn pass_frames(&mut self) {
        let ingest = threads::named("cvmmap-ingest").remove(0);
        let streaming = threads::streaming(&self.player);
        threads::await_sleep(&streaming);
        threads::await_sleep(&ingest);
        let before = threads::sleeps(&ingest);
        for _ in 0..FRAMES {
            let frame_id = self.publish();
            assert_eq!(self.player.pull().id, frame_id);
            threads::await_sleep(&streaming);
        }
        let wakes = threads::sleeps(&ingest) - before;
        assert!(wakes <= LOOKS, "the ingest thread woke {wakes} times for {FRAMES} frames");
    }

    /// Holds the streaming thread in the next frame.
    fn jam(&mut self) -> gst::PadProbeId {
        let (blocked, jammed) = mpsc::channel();
        let pad = self.player.src.static_pad("src").unwrap();
        let probe = pad.add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, move |_, _| {
            blocked.send(()).unwrap();
            gst::PadProbeReturn::Ok
        });
        self.publish();
        jammed.recv_timeout(PATIENCE).unwrap();
        probe.unwrap()
    }

    fn release(&self, probe: gst::PadProbeId) {
        self.player.src.static_pad("src").unwrap().remove_probe(probe);
    }
}

#[test]
fn downstream_decides_who_follows() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::with(&place, &[("queue-size", 3)]);
    player.play();
    producer.await_subscriber();
    let mut stage = Stage { producer, player, frame_id: 0 };
    // The first frame waits a while for a second one, which would tell the frame rate.
    let first = stage.publish();
    assert_eq!(stage.player.pull().id, first);
    stage.pass_frames();

    let probe = stage.jam();
    let jammed = u64::from(stage.frame_id);
    let received = stage.player.stat("frames-received");
    for count in 1..=5 {
        stage.publish();
        stage.player.wait_stat("frames-received", received + count);
    }
    stage.release(probe);
    let passed = [(); 4].map(|()| stage.player.pull()).map(|got| (got.id, got.discont));
    assert_eq!(passed, [(jammed, false), (jammed + 3, true), (jammed + 4, false), (jammed + 5, false)]);
    stage.pass_frames();

    // What waits when a pause begins is not the newest any more.
    let probe = stage.jam();
    let jammed = u64::from(stage.frame_id);
    let received = stage.player.stat("frames-received");
    stage.publish();
    stage.player.wait_stat("frames-received", received + 1);
    stage.player.pause();
    let foreign = stage.player.stat("messages-foreign");
    stage.publish();
    until("the frame of the pause was passed over", || {
        stage.producer.send(b"marker");
        stage.player.stat("messages-foreign") > foreign
    });
    stage.release(probe);
    stage.player.play();
    let next = stage.publish();
    let passed = [(); 2].map(|()| stage.player.pull()).map(|got| (got.id, got.discont));
    assert_eq!(passed, [(jammed, false), (next, true)]);
    stage.pass_frames();
    assert_eq!(stage.player.stat("frames-skipped"), 0);
    stage.player.assert_no_error();
}

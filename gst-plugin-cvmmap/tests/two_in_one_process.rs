//! The plugin in a program that reads cv-mmap itself: both have a SIGBUS handler, each passes on what is not its own, and
//! a fault of the program ends it as it would without them.

mod common;

use std::{
    env,
    fs::File,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    ptr,
    time::Instant,
};

use common::{
    PATIENCE,
    picture::{BGR, Picture, V2},
    place::Place,
    producer::Producer,
};
use cvmmap::{Arrival, Coherence, PlaneKind, SnapshotError, SnapshotReader, SyncMessage};
use gst::prelude::*;
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// What a source of the plugin makes of a frame of its own producer.
fn play_plugin() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let description = format!("cvmmapsrc uri={} coherence=metadata ! appsink name=sink sync=false", place.uri());
    let pipeline = gst::parse::launch(&description).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    producer.await_subscriber();
    producer.publish(&Picture::new(BGR, 64, 48, 0, 1), 1, 1);
    assert!(sink.try_pull_sample(gst::ClockTime::try_from(PATIENCE).unwrap()).is_some());
    pipeline.set_state(gst::State::Null).unwrap();
}

/// A frame that the program reads itself.
struct Segment {
    file: File,
    size: u64,
    reader: SnapshotReader,
    _place: Place,
    _producer: Producer,
}

impl Segment {
    fn new() -> Self {
        let place = Place::new();
        let producer = Producer::new(&place);
        let picture = Picture::new(BGR, 64, 48, 0, 1);
        producer.write(&picture.metadata(V2, 1, 1), &picture.data);
        let file = producer.segment();
        let size = file.metadata().unwrap().len();
        let reader = SnapshotReader::new(&place.address, Coherence::Metadata);
        Self { file, size, reader, _place: place, _producer: producer }
    }

    fn read(&mut self, size: u64) -> Result<(), SnapshotError> {
        let arrival = Arrival { at: Instant::now(), waited: true };
        let mut snapshot = self.reader.begin(&SyncMessage::new(1, 1, ""), arrival)?;
        self.file.set_len(size).unwrap();
        let plane = *snapshot.metadata().plane(PlaneKind::Left).unwrap();
        let read = snapshot.read(PlaneKind::Left, &mut vec![0; plane.size as usize], plane.stride as usize);
        self.file.set_len(self.size).unwrap();
        read
    }

    /// Cuts the segment off under a copy from a mapping that is there already.
    fn survive_a_cut(&mut self) {
        assert!(matches!(self.read(256), Err(SnapshotError::Truncated)));
    }
}

#[test]
#[ignore = "what the other test starts"]
fn scene() {
    gst::init().unwrap();
    let plugin = env::current_exe().unwrap().with_file_name("libgstcvmmap.so");
    gst::Plugin::load_file(&plugin).unwrap();
    let mut segments = [(); 3].map(|()| Segment::new());
    for segment in &mut segments {
        // Each is mapped, and its handler is the process's, before the plugin's is again.
        segment.read(segment.size).unwrap();
        play_plugin();
    }
    for segment in &mut segments {
        segment.survive_a_cut();
        play_plugin();
        segment.survive_a_cut();
    }
    println!("both survived");
    let file = segments[0].file.try_clone().unwrap();
    // What is left at the end of this function is left behind.
    drop(segments);
    // SAFETY: a new mapping at a place of the kernel's choice overlaps nothing.
    let at = unsafe { mmap(ptr::null_mut(), 4096, ProtFlags::READ, MapFlags::SHARED, &file, 0).unwrap() };
    file.set_len(0).unwrap();
    // SAFETY: mapped; that the page is not there is what this is about.
    unsafe { at.cast::<u8>().read_volatile() };
}

#[test]
fn each_handler_passes_on_what_is_not_its_own() {
    let mut scene = Command::new(env::current_exe().unwrap());
    let output =
        scene.args(["--ignored", "--exact", "scene", "--nocapture"]).stderr(Stdio::inherit()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("both survived"), "{}: {said}", output.status);
    assert_eq!(output.status.signal(), Some(rustix::process::Signal::BUS.as_raw()), "{}", output.status);
}

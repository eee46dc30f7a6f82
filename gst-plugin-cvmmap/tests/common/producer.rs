//! A producer made by hand, for what a well-behaved one cannot do.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use super::{
    PATIENCE,
    picture::{Layout, Picture, V2},
    place::Place,
    player::Player,
};

pub struct Producer {
    segment: PathBuf,
    instance: String,
    /// An XPUB is a PUB that tells when a subscription has arrived.
    socket: zmq::Socket,
}

impl Producer {
    /// A producer that listens; it has no segment yet.
    pub fn new(place: &Place) -> Self {
        let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
        socket.set_linger(0).unwrap();
        // Every subscription, even while the one of a source that has just stopped still stands.
        socket.set_xpub_verbose(true).unwrap();
        socket.set_rcvtimeo(PATIENCE.as_millis() as i32).unwrap();
        socket.bind(place.address.zmq_endpoint()).unwrap();
        Self { segment: place.segment(), instance: place.target.instance().to_owned(), socket }
    }

    /// Waits until the next subscription has arrived.
    pub fn await_subscriber(&self) {
        while self.socket.recv_bytes(0).expect("no subscription came")[0] != 1 {}
    }

    /// The segment, made when it is not there.
    pub fn segment(&self) -> File {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.segment).unwrap()
    }

    /// Writes the whole segment, at the size that it then has.
    pub fn write(&self, metadata: &[u8], payload: &[u8]) {
        let file = self.segment();
        file.set_len((metadata.len() + payload.len()) as u64).unwrap();
        file.write_all_at(payload, metadata.len() as u64).unwrap();
        file.write_all_at(metadata, 0).unwrap();
    }

    pub fn send(&self, message: &[u8]) {
        self.socket.send(message, 0).unwrap();
    }

    pub fn announce(&self, frame_id: u32, timestamp_ns: u64) {
        self.send(&sync_message(frame_id, timestamp_ns, &self.instance));
    }

    pub fn publish_as(&self, picture: &Picture, layout: Layout, frame_id: u32, timestamp_ns: u64) {
        self.write(&picture.metadata(layout, frame_id, timestamp_ns), &picture.data);
        self.announce(frame_id, timestamp_ns);
    }

    pub fn publish(&self, picture: &Picture, frame_id: u32, timestamp_ns: u64) {
        self.publish_as(picture, V2, frame_id, timestamp_ns);
    }

    /// Publishes a frame and waits until the source has copied it.
    pub fn publish_to(&self, player: &Player, picture: &Picture, frame_id: u32, timestamp_ns: u64) {
        let received = player.stat("frames-received");
        self.publish(picture, frame_id, timestamp_ns);
        player.wait_stat("frames-received", received + 1);
    }
}

/// A frame-sync message, as the contract lays it out.
pub fn sync_message(frame_id: u32, timestamp_ns: u64, label: &str) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[0] = 0x7D;
    bytes[2] = 1;
    bytes[4..8].copy_from_slice(&frame_id.to_le_bytes());
    bytes[16..24].copy_from_slice(&timestamp_ns.to_le_bytes());
    bytes[24..24 + label.len()].copy_from_slice(label.as_bytes());
    bytes
}

//! What has to hold for any bytes. The fuzz targets and the replay of their corpora share it, so that they cannot drift.

// Each fuzz target uses one of them.
#![allow(dead_code)]

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            fs::FileExt,
            net::{SocketAddr, UnixListener},
        },
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cvmmap::{
    Address, Arrival, Coherence, Event, METADATA_SIZE, Metadata, MetadataBytes, PlaneKind, SYNC_SIZE, SnapshotError,
    SnapshotReader, Subscriber, SyncMessage, Target, body::Packet,
};

/// Takes the first `N` bytes off, filled up with zeros.
fn take<const N: usize>(data: &mut &[u8]) -> [u8; N] {
    let mut taken = [0; N];
    let (front, rest) = data.split_at(data.len().min(N));
    taken[..front.len()].copy_from_slice(front);
    *data = rest;
    taken
}

/// A metadata region and, behind it, the payload's capacity.
pub fn metadata(mut data: &[u8]) {
    let bytes: MetadataBytes = take(&mut data);
    let capacity = u64::from_le_bytes(take(&mut data));
    if let Ok(metadata) = Metadata::parse(&bytes, capacity) {
        check_metadata(&metadata, capacity);
    }
}

fn check_metadata(metadata: &Metadata, capacity: u64) {
    let payload = u64::from(metadata.payload_size);
    assert!(payload <= capacity);
    assert!(metadata.planes[0].is_some());
    let mut last_end = 0;
    for plane in metadata.planes.iter().flatten() {
        assert!(plane.width > 0 && plane.height > 0);
        let row = u64::from(plane.width) * u64::from(plane.pixel_format.channels()) * u64::from(plane.depth.size());
        assert_eq!(u64::from(plane.row_bytes()), row);
        assert!(row <= u64::from(plane.stride));
        assert!(u64::from(plane.stride) * u64::from(plane.height) <= u64::from(plane.size));
        assert_eq!(u64::from(plane.offset), last_end, "planes overlap or leave a hole");
        last_end = u64::from(plane.offset) + u64::from(plane.size);
        assert!(last_end <= payload);
    }
    let written = metadata.to_bytes();
    assert_eq!(Metadata::parse(&written, capacity).as_ref(), Ok(metadata));
}

/// A sync message.
pub fn sync(data: &[u8]) {
    let Ok(message) = SyncMessage::parse(data) else {
        return;
    };
    assert!(message.label().len() <= cvmmap::LABEL_SIZE && !message.label().contains(&0));
    let written = message.to_bytes();
    assert_eq!(SyncMessage::parse(&written), Ok(message));
    // Reserved bytes and the minor version are not kept; everything else is.
    assert_eq!((written[0], written[2]), (data[0], data[2]));
    assert_eq!(written[4..8], data[4..8]);
    assert_eq!(written[16..], data[16..48]);
}

/// A target name.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(target) = text.parse::<Target>() else {
        return;
    };
    assert_eq!(target.to_string().parse::<Target>().as_ref(), Ok(&target));
    // What is derived from it names a segment and an endpoint, and leaves no folder.
    let address = Address::from(&target);
    let parts = Address::new(address.shm_name(), address.zmq_endpoint(), address.label());
    assert_eq!(parts.as_ref(), Ok(&address));
    let path = address.socket_path().expect("a Unix socket");
    assert!(path.starts_with('/') && path.len() <= cvmmap::IPC_PATH_MAX && !path.contains("/../"));
    assert!(!target.nats_target_key().contains(['.', ' ', '*', '>']), "more than one token of a subject");
}

/// A body-tracking packet.
pub fn body(data: &[u8]) {
    let Ok(packet) = Packet::parse(data) else {
        return;
    };
    assert_eq!(data.len(), cvmmap::body::HEADER_SIZE + packet.bodies.len() * cvmmap::body::RECORD_SIZE);
    assert!(packet.bodies.iter().all(|body| usize::from(body.keypoint_count) <= cvmmap::body::KEYPOINTS_MAX));
    let written = packet.to_bytes().expect("what was parsed can be written");
    // Bytes and not values: a float may be no number.
    assert_eq!(Packet::parse(&written).and_then(|again| again.to_bytes()), Ok(written));
}

/// Largest row padding that a reader of a scene asks for.
const STRIDE_MORE: usize = 15;

/// Announcements before the one that is read: more than a reader remembers.
const ANNOUNCED_MAX: usize = 48;

/// Whoever listens at a producer's endpoint, on a real socket.
pub struct Endpoint {
    address: Address,
    listener: UnixListener,
}

impl Endpoint {
    pub fn new(name: &str) -> Self {
        let listener = SocketAddr::from_abstract_name(name).and_then(|address| UnixListener::bind_addr(&address));
        let address = Address::new("none", &format!("ipc://@{name}"), None).expect("an endpoint's name");
        Self { address, listener: listener.expect("nobody has the name") }
    }

    /// Says everything behind the first byte to a subscriber, in pieces as long as that one says, and leaves.
    pub fn say(&mut self, data: &[u8]) {
        let Some((piece, said)) = data.split_first() else { return };
        let mut subscriber = Subscriber::connect(&self.address).expect("somebody listens");
        let (mut peer, _) = self.listener.accept().expect("somebody connects");
        let mut events = 0;
        let mut take = |subscriber: &mut Subscriber| {
            while let Some(event) = subscriber.try_recv().expect("the socket lives") {
                if let Event::Frame(message) = event {
                    let bytes = message.to_bytes();
                    let is_there = |at: &[u8]| at[4..8] == bytes[4..8] && at[16..24] == bytes[16..24];
                    assert!(said.windows(SYNC_SIZE).any(is_there), "an announcement that nobody made");
                }
                events += 1;
                assert!(events <= said.len() + 1, "more events than bytes");
            }
        };
        for piece in said.chunks(usize::from(*piece) + 1) {
            // Fails when the subscriber has hung up.
            if peer.write_all(piece).is_err() {
                break;
            }
            take(&mut subscriber);
        }
        drop(peer);
        take(&mut subscriber);
    }
}

/// A segment in real shared memory, removed at the end.
pub struct Scene {
    address: Address,
    file: File,
    path: PathBuf,
}

/// What happens between the begin of a snapshot and its end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meanwhile {
    Nothing,
    Metadata,
    Cut,
    Replaced,
}

impl Scene {
    pub fn new(shm_name: &str) -> Self {
        let address = Address::new(shm_name, "ipc:///none", None).expect("a segment's name");
        let path = PathBuf::from("/dev/shm").join(shm_name);
        let file = create(&path);
        Self { address, file, path }
    }

    /// Reads a segment as the first 48 bytes say: what happens meanwhile, and what was announced before. The other
    /// bytes are the segment.
    pub fn play(&mut self, mut data: &[u8]) {
        let [what, at, more, seen] = take(&mut data);
        let announcements: [[u8; 11]; 4] = [(); 4].map(|()| take(&mut data));
        let meanwhile = match what % 4 {
            0 => Meanwhile::Nothing,
            1 => Meanwhile::Metadata,
            2 => Meanwhile::Cut,
            _ => Meanwhile::Replaced,
        };
        let coherence = if what & 4 == 0 { Coherence::Metadata } else { Coherence::Cadence };
        self.fill(data);

        let mut reader = SnapshotReader::new(&self.address, coherence);
        let received = Instant::now();
        let (mut frame_id, mut timestamp) = (0u32, 0u64);
        for index in 0..usize::from(seen) % ANNOUNCED_MAX {
            let mut step = &announcements[index % announcements.len()][..];
            frame_id = frame_id.wrapping_add(u32::from_le_bytes(take(&mut step)));
            // The highest byte of the time and the lowest ones: steps of a cadence, and to the end of time.
            let [high, low @ ..]: [u8; 7] = take(&mut step);
            let mut elapsed = [0; 8];
            elapsed[..6].copy_from_slice(&low);
            elapsed[7] = high;
            timestamp = timestamp.wrapping_add(u64::from_le_bytes(elapsed));
            let after = Duration::from_micros(index as u64 * u64::from(at));
            let arrival = Arrival { at: received + after, waited: index % 4 != 3 };
            reader.observe(&SyncMessage::new(frame_id, timestamp, ""), arrival);
        }
        let mut region: &[u8] = data;
        let bytes: MetadataBytes = take(&mut region);
        let capacity = region.len() as u64;
        let parsed = Metadata::parse(&bytes, capacity);
        let announced = match &parsed {
            Ok(metadata) => SyncMessage::new(metadata.frame_id, metadata.timestamp_ns, ""),
            Err(_) => SyncMessage::new(0, 0, ""),
        };
        let mut snapshot = match reader.begin(&announced, Arrival { at: received, waited: false }) {
            Ok(snapshot) => snapshot,
            Err(SnapshotError::Truncated) => return assert!(data.len() < METADATA_SIZE),
            Err(SnapshotError::Metadata(error)) => return assert_eq!(parsed, Err(error)),
            Err(error) => return assert!(error.is_late() && coherence == Coherence::Cadence, "{error}"),
        };
        let metadata = *snapshot.metadata();
        assert_eq!(parsed.as_ref(), Ok(&metadata));
        let keep = usize::from(at) % (data.len() + 1);
        let changed = match meanwhile {
            Meanwhile::Nothing => false,
            Meanwhile::Metadata => {
                let flipped = [!bytes[usize::from(at)]];
                self.file.write_all_at(&flipped, at.into()).expect("shared memory");
                true
            }
            Meanwhile::Cut => {
                self.file.set_len(keep as u64).expect("shared memory");
                keep < METADATA_SIZE
            }
            Meanwhile::Replaced => {
                self.replace();
                false
            }
        };
        let end = if meanwhile == Meanwhile::Cut { keep } else { data.len() };
        let mut whole = true;
        for kind in PlaneKind::ALL {
            let Some(plane) = metadata.plane(kind) else {
                let refused = snapshot.read(kind, &mut [], 0);
                assert!(matches!(refused, Err(SnapshotError::NoPlane(none)) if none == kind));
                continue;
            };
            let row = plane.row_bytes() as usize;
            let stride = row + usize::from(more) % (STRIDE_MORE + 1);
            let mut target = vec![0xA5; stride * plane.height as usize];
            match snapshot.read(kind, &mut target, stride) {
                Ok(()) => {
                    for (index, line) in target.chunks(stride).enumerate() {
                        let source = METADATA_SIZE + plane.offset as usize + index * plane.stride as usize;
                        assert!(source + row <= end, "more was read than there is");
                        assert_eq!(line[..row], data[source..source + row]);
                        // Between rows the target is left alone, unless rows are as far apart as in the segment.
                        if stride != plane.stride as usize {
                            assert!(line[row..].iter().all(|byte| *byte == 0xA5));
                        }
                    }
                }
                Err(SnapshotError::Truncated) => {
                    let last = plane.offset as usize + (plane.height as usize - 1) * plane.stride as usize + row;
                    assert!(end < METADATA_SIZE + last, "all of it is there");
                    whole = false;
                }
                Err(error) => panic!("{error}"),
            }
        }
        match snapshot.finish() {
            Ok(finished) => {
                assert!(!changed);
                assert_eq!(finished, metadata);
            }
            Err(SnapshotError::Torn) => assert_eq!(meanwhile, Meanwhile::Metadata),
            // By the cadence, bytes all over the payload are looked at, whatever planes are read.
            Err(SnapshotError::Truncated) => {
                let is_cut = end < METADATA_SIZE + metadata.payload_size as usize;
                assert!(
                    meanwhile == Meanwhile::Cut && (changed && !whole || coherence == Coherence::Cadence && is_cut)
                );
            }
            Err(error) => assert!(error.is_late() && coherence == Coherence::Cadence, "{error}"),
        }
    }

    fn fill(&self, bytes: &[u8]) {
        self.file.set_len(bytes.len() as u64).expect("shared memory");
        self.file.write_all_at(bytes, 0).expect("shared memory");
    }

    /// Puts another segment under the name, as a restarted producer does.
    fn replace(&mut self) {
        fs::remove_file(&self.path).expect("shared memory");
        self.file = create(&self.path);
    }
}

fn create(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).open(path).expect("shared memory")
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

// Tells each frame of a producer, until it is stopped: `read_frames cvmmap://cam0`.

use std::{env, error::Error};

use cvmmap::{Address, Coherence, Event, PlaneKind, SnapshotError, SnapshotReader, Subscriber, SyncMessage, Target};

fn main() -> Result<(), Box<dyn Error>> {
    let target: Target = env::args().nth(1).as_deref().unwrap_or("cvmmap://cam0").parse()?;
    let address = Address::from(&target);
    let mut subscriber = Subscriber::connect(&address)?;
    let mut reader = SnapshotReader::new(&address, Coherence::Cadence);
    let mut picture = Vec::new();
    loop {
        match subscriber.wait(None)? {
            Event::Frame(announced) => {
                // The next one may be whole.
                if let Err(why) = read(&mut reader, &subscriber, &announced, &mut picture) {
                    eprintln!("frame {} is left out: {why}", announced.frame_id);
                }
            }
            // Not the producer's; its frames go on.
            Event::Foreign(foreign) => eprintln!("ignored: {foreign}"),
            // Only if asked for: by a timeout, or by another thread with `Subscriber::waker`.
            Event::TimedOut | Event::Woken => return Ok(()),
        }
    }
}

fn read(
    reader: &mut SnapshotReader,
    subscriber: &Subscriber,
    announced: &SyncMessage,
    picture: &mut Vec<u8>,
) -> Result<(), SnapshotError> {
    let mut snapshot = reader.begin(announced, subscriber.arrival())?;
    let plane = *snapshot.metadata().plane(PlaneKind::Left).expect("every frame has one");
    picture.resize(plane.size as usize, 0);
    snapshot.read_plane(&plane, picture, plane.stride as usize)?;
    // Only now it is known to be whole.
    snapshot.finish()?;
    println!("frame {}: {}x{}", announced.frame_id, plane.width, plane.height);
    Ok(())
}

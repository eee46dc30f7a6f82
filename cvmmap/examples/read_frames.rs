// Tells each frame of a producer, until it is stopped: `cargo run -p cvmmap --example read_frames cvmmap://cam0`.

use std::{env, error::Error, time::Instant};

use cvmmap::{
    Address, Arrival, Coherence, Event, PlaneKind, SnapshotError, SnapshotReader, Subscriber, SyncMessage, Target,
};

fn main() -> Result<(), Box<dyn Error>> {
    let target: Target = env::args().nth(1).as_deref().unwrap_or("cvmmap://cam0").parse()?;
    let address = Address::from(&target);
    let mut subscriber = Subscriber::connect(&address)?;
    let mut reader = SnapshotReader::new(&address, Coherence::Cadence);
    let mut picture = Vec::new();
    loop {
        // Now and then the reader wants to look at the payload in between.
        let timeout = reader.look_at().map(|at| at.saturating_duration_since(Instant::now()));
        match subscriber.wait(timeout)? {
            Event::Frame(announced) => {
                // The next one may be whole.
                if let Err(why) = read(&mut reader, &announced, subscriber.arrival(), &mut picture) {
                    eprintln!("frame {} is left out: {why}", announced.frame_id);
                }
            }
            Event::TimedOut => reader.look(),
            // Not the producer's; its frames go on.
            Event::Foreign(foreign) => eprintln!("ignored: {foreign}"),
            // Another thread has called `Subscriber::waker`.
            Event::Woken => return Ok(()),
        }
    }
}

fn read(
    reader: &mut SnapshotReader,
    announced: &SyncMessage,
    arrival: Arrival,
    picture: &mut Vec<u8>,
) -> Result<(), SnapshotError> {
    let mut snapshot = reader.begin(announced, arrival)?;
    let plane = *snapshot.metadata().plane(PlaneKind::Left).expect("every frame has one");
    picture.resize(plane.size as usize, 0);
    snapshot.read(PlaneKind::Left, picture, plane.stride as usize)?;
    // Only now it is known to be whole.
    snapshot.finish()?;
    println!("frame {}: {}x{}", announced.frame_id, plane.width, plane.height);
    Ok(())
}

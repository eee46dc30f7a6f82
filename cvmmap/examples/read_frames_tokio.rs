// Tells each frame of a producer on tokio, until it is stopped:
// `cargo run -p cvmmap --example read_frames_tokio cvmmap://cam0`.

use std::{env, error::Error};

use cvmmap::{
    Address, Arrival, Coherence, Event, PlaneKind, SnapshotError, SnapshotReader, Subscriber, SyncMessage, Target,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::Builder,
    time::timeout_at,
};

fn main() -> Result<(), Box<dyn Error>> {
    // A thread that does nothing else hears of frames in time.
    Builder::new_current_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let target: Target = env::args().nth(1).as_deref().unwrap_or("cvmmap://cam0").parse()?;
    let address = Address::from(&target);
    let subscriber = Subscriber::connect(&address)?;
    // SAFETY: A subscriber has one descriptor for as long as it lives.
    let mut subscriber = unsafe { AsyncFd::register_with_interest(subscriber, Interest::READABLE) }?;
    let mut reader = SnapshotReader::new(&address, Coherence::Cadence);
    let mut picture = Vec::new();
    loop {
        let readable = subscriber.readable_mut();
        let readable = match reader.look_at() {
            Some(at) => timeout_at(at.into(), readable).await,
            None => Ok(readable.await),
        };
        let Ok(readable) = readable else {
            // Nothing came until the reader wanted to look at the payload.
            reader.look();
            continue;
        };
        let mut readable = readable?;
        readable.get_inner_mut().note_readable();
        while let Some(event) = readable.get_inner_mut().try_recv()? {
            match event {
                Event::Frame(announced) => {
                    let arrival = readable.get_inner().arrival();
                    // The next one may be whole.
                    if let Err(why) = read(&mut reader, &announced, arrival, &mut picture) {
                        eprintln!("frame {} is left out: {why}", announced.frame_id);
                    }
                }
                // Not the producer's; its frames go on.
                Event::Foreign(foreign) => eprintln!("ignored: {foreign}"),
                // Another thread has called `Subscriber::waker`.
                Event::Woken => return Ok(()),
                // What `Subscriber::wait` ends with.
                Event::TimedOut => {}
            }
        }
        // All is taken: the descriptor becomes readable again when there is more.
        readable.clear_ready();
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

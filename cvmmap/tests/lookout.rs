//! Threads that share a subscriber, each waiting at a lookout of its own.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use cvmmap::{Address, Event, Seen, SharedSubscriber, SyncMessage};

const PATIENCE: Duration = Duration::from_secs(10);

/// A producer's socket, and a subscriber that hears it and has caught up.
fn stage(folder: &tempfile::TempDir) -> (zmq::Socket, SharedSubscriber) {
    let endpoint = format!("ipc://{}/sync", folder.path().display());
    let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
    socket.bind(&endpoint).unwrap();
    let mut subscriber = SharedSubscriber::connect(&Address::new("none", &endpoint, None).unwrap()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut take = || {
        assert!(Instant::now() < deadline, "nobody subscribes");
        subscriber.front().wait(Some(Duration::from_millis(5))).unwrap();
        subscriber.take_newest().unwrap()
    };
    while socket.recv_bytes(zmq::DONTWAIT) != Ok(vec![1]) {
        assert_eq!(take(), None);
    }
    // Behind it come no more changes of the connection's own.
    let message = announce(&socket, u32::MAX);
    while take() != Some(Event::Frame(message)) {}
    assert_eq!(subscriber.take_newest().unwrap(), None);
    (socket, subscriber)
}

fn announce(socket: &zmq::Socket, frame_id: u32) -> SyncMessage {
    let message = SyncMessage::new(frame_id, 1, "mine");
    socket.send(&message.to_bytes()[..], 0).unwrap();
    message
}

/// Waits until this process's thread of a name sleeps (proc(5)).
fn await_sleep(name: &str) {
    let deadline = Instant::now() + PATIENCE;
    let sleeps = || {
        fs::read_dir("/proc/self/task").unwrap().any(|thread| {
            let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
            stat.contains(&format!("({name}) S"))
        })
    };
    while !sleeps() {
        assert!(Instant::now() < deadline, "{name} does not sleep");
        thread::yield_now();
    }
}

#[test]
fn the_first_one_that_waits_is_woken_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, mut subscriber) = stage(&folder);
    let (first, second) = (subscriber.front(), subscriber.behind());
    let (first, second) = (&*first, &*second);
    thread::scope(|scope| {
        let wait = |name: &str, lookout| {
            let waiter = thread::Builder::new().name(name.to_owned());
            let waiter = waiter.spawn_scoped(scope, move || cvmmap::Lookout::wait(lookout, None).unwrap()).unwrap();
            await_sleep(name);
            waiter
        };
        // The second was there before the first.
        let behind = wait("behind", second);
        for frame_id in 0..20 {
            let waiter = wait("in-front", first);
            let message = announce(&socket, frame_id);
            assert_eq!(waiter.join().unwrap(), Seen::Change);
            assert_eq!(subscriber.take_newest().unwrap(), Some(Event::Frame(message)));
            assert!(subscriber.arrival().waited);
            assert!(subscriber.is_caught_up().unwrap());
        }
        second.waker().wake();
        assert_eq!(behind.join().unwrap(), Seen::Woken, "it slept until it was woken");

        // Whoever stands aside leaves what comes to those behind.
        let aside = thread::Builder::new().name("aside".to_owned());
        let aside = aside.spawn_scoped(scope, || first.stand_aside(None).unwrap()).unwrap();
        await_sleep("aside");
        let behind = wait("behind", second);
        let message = announce(&socket, 20);
        assert_eq!(behind.join().unwrap(), Seen::Change);
        assert_eq!(subscriber.take_newest().unwrap(), Some(Event::Frame(message)));
        first.waker().wake();
        assert_eq!(aside.join().unwrap(), Seen::Woken);
    });
    assert_eq!(first.wait(Some(Duration::ZERO)).unwrap(), Seen::Nothing);
}

#[test]
fn what_comes_while_a_frame_is_dealt_with_found_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, mut subscriber) = stage(&folder);
    let lookout = subscriber.front();
    announce(&socket, 0);
    assert_eq!(lookout.wait(Some(PATIENCE)).unwrap(), Seen::Change);
    assert!(matches!(subscriber.take_newest().unwrap(), Some(Event::Frame(_))));
    assert!(subscriber.arrival().waited);
    let message = announce(&socket, 1);
    assert_eq!(lookout.wait(Some(PATIENCE)).unwrap(), Seen::Change);
    assert!(!subscriber.is_caught_up().unwrap());
    assert_eq!(subscriber.take_newest().unwrap(), Some(Event::Frame(message)));
    assert!(!subscriber.arrival().waited);
}

/// Two threads that take turns, one of which goes away with each announcement, as cvmmapsrc has them.
#[test]
fn no_announcement_is_slept_through() {
    /// The machine may stand still for so long, but not that often.
    const STALL: Duration = Duration::from_millis(500);
    const STALLS_MAX: u32 = 10;
    let folder = tempfile::tempdir().unwrap();
    let (socket, subscriber) = stage(&folder);
    let (first, second) = (subscriber.front(), subscriber.behind());
    let (first, second) = (&*first, &*second);
    let subscriber = &Mutex::new(subscriber);
    let is_over = &AtomicBool::new(false);
    let (got, received) = mpsc::channel();
    // Whether there is more to take.
    let take = move || {
        let mut subscriber = subscriber.lock().unwrap();
        if let Some(Event::Frame(message)) = subscriber.take_newest().unwrap() {
            got.send(message.frame_id).unwrap();
        }
        !subscriber.is_caught_up().unwrap()
    };
    let stalls = thread::scope(|scope| {
        let take_too = take.clone();
        scope.spawn(move || {
            let mut away = 0;
            while !is_over.load(Ordering::Relaxed) {
                if first.wait(None).unwrap() == Seen::Change && take() {
                    second.waker().wake();
                }
                away = (away + 53) % 2_000;
                (0..away).for_each(|_| std::hint::spin_loop());
            }
        });
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                if !take_too() {
                    // No timeout: what nobody is told of is never taken.
                    second.wait(None).unwrap();
                }
            }
        });
        let (mut frame_id, mut stalls) = (0, 0);
        for round in 0..3_000 {
            // One, two or three at once, at any moment.
            (0..round * 37 % 1_000).for_each(|_| std::hint::spin_loop());
            for _ in 0..=round % 3 {
                frame_id += 1;
                announce(&socket, frame_id);
            }
            while stalls < STALLS_MAX {
                match received.recv_timeout(STALL) {
                    Ok(newest) if newest == frame_id => break,
                    Ok(_) => {}
                    Err(_) => stalls += 1,
                }
            }
        }
        is_over.store(true, Ordering::Relaxed);
        for lookout in [first, second] {
            lookout.waker().wake();
        }
        stalls
    });
    assert!(stalls < STALLS_MAX, "announcements were not taken for {STALL:?}");
}

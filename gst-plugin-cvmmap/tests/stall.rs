//! A source that gets nothing says why.

mod common;

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    process::Command,
};

use common::{
    PATIENCE, init,
    picture::{Picture, V2},
    place::Place,
    player::Player,
    producer::{Producer, sync_message},
    until,
};
use gst::prelude::*;

/// Milliseconds until it is told.
const TIMEOUT: u64 = 100;
/// What names the place of the test that runs as another user.
const PLACE: &str = "CVMMAP_TEST_STALL_URI";
/// A number that no user of a machine has.
const STRANGER: u32 = 54_321;

fn stalled(place: &Place) -> Player {
    Player::with(place, &[("stall-timeout", TIMEOUT)])
}

/// Waits for a warning that has all of these words.
fn await_warning(player: &Player, words: &[&str]) -> String {
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut last = String::new();
    while std::time::Instant::now() < deadline {
        let timeout = gst::ClockTime::from_mseconds(100);
        let Some(message) = player.bus().timed_pop_filtered(timeout, &[gst::MessageType::Warning]) else { continue };
        let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
        assert!(warning.error().matches(gst::ResourceError::Read), "{warning:?}");
        last = warning.error().message().to_owned();
        if words.iter().all(|word| last.contains(word)) {
            return last;
        }
    }
    panic!("no warning has {words:?}; the last one: {last}");
}

fn stall(player: &Player) -> String {
    player.stats().get("stall").unwrap()
}

/// Plays where something is wrong, and expects to be told; each warning names segment and endpoint.
fn told(place: &Place, words: &[&str]) -> Player {
    let player = stalled(place);
    player.play();
    let (segment, endpoint) = (place.segment(), place.address.zmq_endpoint());
    let place_names = [segment.to_str().unwrap(), endpoint, "no frame for"];
    await_warning(&player, &[words, &place_names].concat());
    player
}

#[test]
fn who_is_not_there_is_told_with_who_is() {
    let place = Place::new();
    let name = place.address.shm_name();
    let likeness = std::path::Path::new("/dev/shm").join(format!("{name}x"));
    fs::write(&likeness, [0; 300]).unwrap();
    let socket = place.socket().with_extension("likeness");
    let _listener = UnixListener::bind(&socket).unwrap();
    let player = stalled(&place);
    assert_eq!(stall(&player), "");
    player.play();
    let words = ["the segment is not there", &format!("{name}x"), "the socket is not there", socket.to_str().unwrap()];
    let text = await_warning(&player, &words);
    fs::remove_file(likeness).unwrap();
    // Again, after twice the time; and it can be read at any time.
    await_warning(&player, &["the segment is not there"]);
    assert!(stall(&player).starts_with("no frame for"), "{text}");

    // It is over with the next frame.
    let producer = Producer::new(&place);
    producer.await_subscriber();
    let mut frame_id = 0;
    until("it is taken back", || {
        frame_id += 1;
        producer.publish(&Picture::small(1), frame_id, 1);
        stall(&player).is_empty()
    });
    player.pull();
    player.assert_no_error();
}

#[test]
fn something_else_in_its_place_is_told() {
    let place = Place::new();
    fs::create_dir(place.segment()).unwrap();
    drop(told(&place, &["a folder has the segment's name"]));
    fs::remove_dir(place.segment()).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.segment()).unwrap();
    drop(told(&place, &["a symbolic link has the segment's name"]));
    fs::remove_file(place.segment()).unwrap();
    fs::write(place.segment(), [1; 100]).unwrap();
    drop(told(&place, &["the segment has 100 bytes"]));
    fs::write(place.segment(), [1; 300]).unwrap();
    drop(told(&place, &["does not begin with CV-MMAP"]));
    fs::write(place.socket(), b"").unwrap();
    drop(told(&place, &["a plain file has the socket's name"]));
}

#[test]
fn nobody_behind_the_socket_is_told() {
    let place = Place::new();
    fs::write(place.segment(), Picture::small(1).metadata(V2, 1, 1)).unwrap();
    drop(UnixListener::bind(place.socket()).unwrap());
    told(&place, &["nobody listens at the endpoint"]);
}

#[test]
fn whoever_says_nothing_is_told() {
    let place = Place::new();
    fs::write(place.segment(), Picture::small(1).metadata(V2, 1, 1)).unwrap();
    let _silent = UnixListener::bind(place.socket()).unwrap();
    told(&place, &["does not answer"]);
}

#[test]
fn a_producer_of_another_kind_or_label_is_told() {
    let place = Place::new();
    let producer = Producer::new(&place);
    producer.write(&Picture::small(1).metadata(V2, 1, 1), &Picture::small(1).data);
    let player = stalled(&place);
    player.play();
    producer.await_subscriber();
    // All is well, and nothing comes.
    await_warning(&player, &["the producer stands still"]);
    producer.send(&sync_message(1, 1, "theirs"));
    await_warning(&player, &["announces the label 'theirs'", place.target.instance()]);

    drop(player);
    drop(producer);
    let pusher = zmq::Context::new().socket(zmq::PUSH).unwrap();
    pusher.set_linger(0).unwrap();
    pusher.bind(place.address.zmq_endpoint()).unwrap();
    told(&place, &["give the producer's own endpoint"]);
}

#[test]
fn frames_of_which_none_can_be_taken_are_told() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = stalled(&place);
    player.play();
    producer.await_subscriber();
    let picture = Picture::small(1);
    let mut metadata = picture.metadata(V2, 1, 1);
    metadata[8] = 9;
    producer.write(&metadata, &picture.data);
    producer.announce(1, 1);
    let text = await_warning(&player, &["none can be taken", "version"]);
    assert!(!text.contains("socket"), "{text}");
    // A good frame, and the same one again and again.
    producer.publish(&picture, 2, 2);
    player.pull();
    producer.announce(2, 2);
    await_warning(&player, &["the same one again and again"]);
}

#[test]
fn a_pause_is_no_stall() {
    let place = Place::new();
    let player = Player::with(&place, &[("stall-timeout", 1)]);
    player.pause();
    let silent = Player::with(&place, &[("stall-timeout", 0)]);
    silent.play();
    let playing = told(&place, &["the segment is not there"]);
    for quiet in [&player, &silent] {
        assert!(quiet.bus().pop_filtered(&[gst::MessageType::Warning]).is_none());
        assert_eq!(stall(quiet), "");
    }
    drop(playing);
}

/// As root: the producer is root's, and the source somebody else's.
#[test]
fn what_may_not_be_read_is_told_to_other_users() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.socket().parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let _producer = Producer::new(&place);
    fs::write(place.segment(), Picture::small(1).metadata(V2, 1, 1)).unwrap();
    fs::set_permissions(place.segment(), fs::Permissions::from_mode(0o600)).unwrap();
    // By the umask, as libzmq leaves it.
    fs::set_permissions(place.socket(), fs::Permissions::from_mode(0o755)).unwrap();
    // Whoever runs it has to reach it.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={STRANGER}"), &format!("--regid={STRANGER}"), "--clear-groups"]);
    command.arg(program).args(["--exact", "as_another_user", "--nocapture"]);
    let output = command.env(PLACE, place.uri()).env("HOME", folder.path()).current_dir("/").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("told: "), "{said}");
}

/// Part of the test above, in a process of its own.
#[test]
fn as_another_user() {
    let Ok(uri) = std::env::var(PLACE) else { return };
    init();
    let src = gst::ElementFactory::make("cvmmapsrc").property("uri", uri).build().unwrap();
    src.set_property("stall-timeout", TIMEOUT as u32);
    let player = Player::of(src, &gst::Caps::new_any());
    player.play();
    let user = format!("user {STRANGER}");
    let words = [
        format!("the segment is not readable for {user}: mode 0600, owner root"),
        format!("the socket may not be connected to by {user}: mode 0755, owner root"),
    ];
    println!("told: {}", await_warning(&player, &words.each_ref().map(String::as_str)));
}

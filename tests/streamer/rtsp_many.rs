//! `[rtsp]`: one server for all cameras, which come and go with the configuration. The players are Python's, byte by byte.

use std::{
    fs,
    io::{BufReader, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::many_support::{SMALL, Scene, line};
use crate::streamer_support::{Running, finish, free_port, program, read_until, wait_for};
use serde_json::Value;

/// A player that counts what is missing.
struct Player {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Player {
    fn start(port: u16, camera: &str, more: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/streamer/rtsp_player.py");
        let mut process = Command::new("python3")
            .args([script, &port.to_string(), &format!("/{camera}")])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines }
    }

    fn watching(port: u16, camera: &str) -> Self {
        let mut player = Self::start(port, camera, &[]);
        assert_eq!(line(&mut player.lines), "plays", "{camera}");
        player
    }

    /// Waits until the server ends it.
    fn ended(mut self) -> Value {
        serde_json::from_str(&line(&mut self.lines)).unwrap()
    }

    /// Ends it.
    fn end(mut self) -> Value {
        drop(self.process.stdin.take());
        self.ended()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn status(port: u16, camera: &str) -> Value {
    Player::start(port, camera, &["--once"]).ended()["status"].clone()
}

fn reload(scene: &Scene, streamer: &Running, stderr: &mut impl std::io::BufRead, changes: &str) {
    streamer.signal("-HUP");
    let told = read_until(stderr, "read again");
    assert!(told.contains(changes), "{told}");
    assert!(scene.path().exists());
}

#[test]
fn cameras_come_change_and_go_and_players_of_the_others_lose_nothing() {
    let scene = Scene::new();
    let port = free_port();
    let defaults = format!("{SMALL}[rtsp]\nlisten = \":{port}\"\n");
    let none = String::new;
    let hidden = ("hidden", "rtsp = false".to_owned());
    scene.write(&defaults, &[("a", none()), ("b", none()), ("c", none()), hidden.clone()]);
    let mut streamer = scene.start(&[]);
    let mut stderr = streamer.stderr();
    let [a, b, c] = ["a", "b", "c"].map(|camera| Player::watching(port, camera));
    assert_eq!(status(port, "hidden"), "404");

    scene.write(&defaults, &[("a", none()), ("b", "gop = 5".to_owned()), hidden.clone()]);
    reload(&scene, &streamer, &mut stderr, "2 as before, 1 changed, 0 new, 1 gone");
    // Players of a camera that changes or goes hear it, and find the one, and not the other.
    for (camera, player) in [("b", b), ("c", c)] {
        let seen = player.ended();
        assert!(seen["ended"] == true && seen["gaps"] == 0, "{camera}: {seen}");
    }
    let b = Player::watching(port, "b");
    assert_eq!(status(port, "c"), "404");

    scene.write(&defaults, &[("a", none()), ("b", "gop = 5".to_owned()), ("d", none()), ("hidden", none())]);
    reload(&scene, &streamer, &mut stderr, "2 as before, 1 changed, 1 new, 0 gone");
    for camera in ["d", "hidden"] {
        Player::watching(port, camera).end();
    }
    for (camera, player) in [("a", a), ("b", b)] {
        let seen = player.end();
        assert!(seen["ended"] == false && seen["gaps"] == 0, "{camera}: {seen}");
    }

    // Another address, and a password: cameras go on.
    let (elsewhere, file) = (free_port(), scene.names.path("password"));
    fs::write(&file, "open-sesame\n").unwrap();
    let login = format!("user = \"anna\"\npassword_file = \"{}\"\n", file.display());
    let moved = format!("{SMALL}[rtsp]\nlisten = \":{elsewhere}\"\n{login}");
    scene.write(&moved, &[("a", none()), ("b", "gop = 5".to_owned()), ("d", none()), ("hidden", none())]);
    reload(&scene, &streamer, &mut stderr, "4 as before, 0 changed, 0 new, 0 gone, and RTSP");
    wait_for("the password to be asked for", || status(elsewhere, "a") == "401");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    // One that cannot be had changes nothing.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("{SMALL}[rtsp]\nlisten = \"{}\"\n", taken.local_addr().unwrap());
    scene.write(&taken, &[("a", none())]);
    reload(&scene, &streamer, &mut stderr, "nothing changes");
    assert_eq!(status(elsewhere, "b"), "401");
    assert_eq!(scene.cameras().as_array().map(Vec::len), Some(4));
    streamer.signal("-INT");
    assert_eq!(streamer.wait().0, Some(0));
}

/// Whoever asks for a camera that has just stopped waits until GStreamer gives up; others are served meanwhile.
#[test]
fn a_camera_that_stands_still_holds_up_nobody_at_the_others() {
    let scene = Scene::new();
    let port = free_port();
    let still = crate::streamer_support::Names::new();
    let mut producer = Running::start(still.simulator().args(["--dummy-frames", "0"]));
    let mut said = producer.stderr();
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    let config = format!(
        "[rtsp]\nlisten = \":{port}\"\n[defaults]\n{SMALL}\
         [[camera]]\nname = \"well\"\ninput_uri = \"cvmmap://well_{}@{}\"\n\
         [[camera]]\nname = \"still\"\ninput_mode = \"cvmmap\"\nshm_name = \"{}\"\nzmq_endpoint = \"{}\"\n",
        &still.shm.trim_start_matches("streamer_test_"),
        still.path("").display().to_string().trim_end_matches('/'),
        still.shm,
        still.endpoint(),
    );
    fs::write(scene.path(), config).unwrap();
    let mut streamer = scene.start(&[]);
    let mut stderr = streamer.stderr();
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    Player::watching(port, "still").end();
    let watching = Player::watching(port, "well");
    let mut waiting = TcpStream::connect(("127.0.0.1", port)).unwrap();
    producer.signal("-STOP");
    write!(waiting, "DESCRIBE rtsp://127.0.0.1:{port}/still RTSP/1.0\r\nCSeq: 1\r\n\r\n").unwrap();
    // It has to come while the other one waits.
    Player::watching(port, "well").end();
    waiting.set_nonblocking(true).unwrap();
    let answer = waiting.read(&mut [0; 64]).map_err(|error| error.kind());
    assert_eq!(answer, Err(ErrorKind::WouldBlock), "nobody waited for the still camera");
    producer.signal("-CONT");
    waiting.set_nonblocking(false).unwrap();
    let mut answer = [0; 12];
    waiting.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"RTSP/1.0 200");
    let seen = watching.end();
    assert!(seen["gaps"] == 0 && seen["ended"] == false, "{seen}");
    streamer.signal("-INT");
    assert_eq!(streamer.wait().0, Some(0));
    producer.kill();
}

#[test]
fn a_check_tells_where_players_find_cameras() {
    let scene = Scene::new();
    let defaults = format!("{SMALL}[rtsp]\nlisten = \":8554\"\n");
    scene.write(&defaults, &[("a", String::new()), ("b", "rtsp = false".to_owned())]);
    let (code, stdout, stderr) = finish(program().arg("--config").arg(scene.path()).arg("--check-config"));
    assert_eq!(code, Some(0), "{stderr}");
    let lines = stdout.lines().map(|line| line.contains("RTSP at rtsp://127.0.0.1:8554/")).collect::<Vec<_>>();
    assert!(lines == [true, false] && stdout.contains("8554/a\n"), "{stdout}");
}

#[test]
fn wrong_passwords_close_the_door_to_who_guesses_alone() {
    let scene = Scene::new();
    let (port, file) = (free_port(), scene.names.path("password"));
    fs::write(&file, "open-sesame\n").unwrap();
    let login = format!("user = \"anna\"\npassword_file = \"{}\"\n", file.display());
    scene.write(&format!("{SMALL}[rtsp]\nlisten = \":{port}\"\n{login}"), &[("a", String::new())]);
    let mut streamer = scene.start(&[]);
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, "encoder: ");
    wait_for("an account", || scene.cameras()[0]["counts"]["encoded"].as_u64() > Some(2));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/streamer/rtsp_guesses.py");
    let mut guesses = Command::new("python3");
    guesses.args([script, &port.to_string(), "/a", "anna", "open-sesame"]).stdin(Stdio::null());
    let (status, stdout, complaints) = finish(guesses.stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert_eq!((status, stdout.as_str()), (Some(0), "refused\n"), "{complaints}");
    streamer.signal("-INT");
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    let refused = said.lines().filter(|line| line.contains("wrong passwords")).collect::<Vec<_>>();
    assert!(refused.len() == 1 && refused[0].contains("127.0.0.1 gave 5 wrong passwords"), "{said}");
    assert!(!said.contains("open-sesame"), "{said}");
    assert_eq!(streamer.wait().0, Some(0));
}

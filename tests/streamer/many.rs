//! Many cameras in one process: reloads and restarts, judged by a receiver in Python and a real NATS server.

use std::{
    fs,
    io::BufReader,
    process::{Command, Stdio},
};

use crate::many_support::{SMALL, Scene, line, python};
use crate::nats_server::NatsServer;
use crate::streamer_support::{finish, free_port, json, read_until, wait_for};
use serde_json::Value;

/// Receives RTP, and tells what is missing.
const RECEIVER: &str = r#"
import json, select, socket, sys, time
ports, edited = int(sys.argv[1]), int(sys.argv[2])
sockets = []
for _ in range(ports):
    it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    it.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    it.bind(("127.0.0.1", 0))
    sockets.append(it)
print(json.dumps([it.getsockname()[1] for it in sockets]), flush=True)
seen = [{} for _ in sockets]
until, steady = time.monotonic() + 100, False
while time.monotonic() < until:
    for it in select.select(sockets, [], [], 1)[0]:
        packet = it.recv(2048)
        assert packet[0] >> 6 == 2, "no RTP"
        sequence, ssrc = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
        flow = seen[sockets.index(it)].setdefault(ssrc, {"packets": 0, "gaps": 0, "last": None})
        if flow["last"] is not None and sequence != (flow["last"] + 1) % 65536:
            flow["gaps"] += 1
        flow["packets"], flow["last"] = flow["packets"] + 1, sequence
    if not steady and all(any(flow["packets"] >= 20 for flow in flows.values()) for flows in seen):
        steady = True
        print("steady", flush=True)
    if len(seen[edited]) == 2 and all(flow["packets"] >= 20 for flow in seen[edited].values()):
        break
print(json.dumps([list(flows.values()) for flows in seen]), flush=True)
"#;

#[test]
fn a_reload_costs_cameras_that_did_not_change_no_packet() {
    const CAMERAS: usize = 8;
    const EDITED: usize = 3;
    let scene = Scene::new();
    let mut receiver = python(RECEIVER, &[&CAMERAS.to_string(), &EDITED.to_string()]).spawn().unwrap();
    let mut heard = BufReader::new(receiver.stdout.take().unwrap());
    let ports: Vec<u16> = serde_json::from_str(&line(&mut heard)).unwrap();
    let names = (0..CAMERAS).map(|index| format!("cam{index}")).collect::<Vec<_>>();
    let write = |edited: &str| {
        let keys = |index: usize| {
            let more = if index == EDITED { edited } else { "" };
            format!("rtp = true\nrtp_endpoint = [\"127.0.0.1:{}\"]\n{more}", ports[index])
        };
        let cameras = names.iter().enumerate().map(|(index, name)| (name.as_str(), keys(index))).collect::<Vec<_>>();
        scene.write(SMALL, &cameras);
    };
    write("");
    let mut streamer = scene.start(&[]);
    let mut stderr = streamer.stderr();
    assert_eq!(line(&mut heard), "steady");
    // A broken file changes nothing.
    fs::write(scene.path(), "[[camera]]\nname = 7\n").unwrap();
    streamer.signal("-HUP");
    let told = read_until(&mut stderr, "read again");
    assert!(told.contains("nothing changes") && told.contains("cameras.toml:2:8"), "{told}");
    write("gop = 5");
    streamer.signal("-HUP");
    let told = read_until(&mut stderr, "read again");
    assert!(told.contains("7 as before, 1 changed, 0 new, 0 gone"), "{told}");
    let seen: Vec<Vec<Value>> = serde_json::from_str(&line(&mut heard)).unwrap();
    receiver.wait().unwrap();
    for (index, flows) in seen.iter().enumerate() {
        assert_eq!(flows.len(), if index == EDITED { 2 } else { 1 }, "{index}: {seen:?}");
        assert!(flows.iter().all(|flow| flow["gaps"] == 0), "{index}: {seen:?}");
    }
    let (_, names) = scene.get("/page/cameras.json", &[]);
    assert_eq!(serde_json::from_str::<Vec<String>>(&names).unwrap().len(), CAMERAS, "{names}");
    streamer.signal("-INT");
    let (status, stdout, _) = streamer.wait();
    assert_eq!((status, json(&stdout)["cameras"].as_object().unwrap().len()), (Some(0), CAMERAS), "{stdout}");
}

#[test]
fn what_ends_one_camera_is_told_and_the_others_do_not_notice() {
    let scene = Scene::new();
    let nobody = free_port();
    let broken = format!("rtmp = true\nrtmp_url = \"rtmp://127.0.0.1:{nobody}/live/a\"\nrtmp_required = true\n");
    scene.write(SMALL, &[("well", String::new()), ("ill", broken)]);
    let mut streamer = scene.start(&[]);
    let mut stderr = streamer.stderr();
    for pause in ["1 s", "2 s"] {
        let told = read_until(&mut stderr, "ill: ");
        let told = if told.contains("started again") { told } else { read_until(&mut stderr, "started again") };
        assert!(told.contains(&format!("it is started again in {pause}")), "{told}");
    }
    wait_for("the ill camera's second start", || scene.cameras()[1]["starts"].as_u64() >= Some(2));
    let (status, body) = scene.get("/healthz", &[]);
    assert!(
        status == 503 && body.contains("\"camera\":\"ill\"") && !body.contains("\"camera\":\"well\""),
        "{status} {body}"
    );
    let well = scene.cameras()[0].clone();
    assert!(well["starts"] == 1 && well["ill"].is_null(), "{well}");
    let before = well["counts"]["frames_in"].as_u64();
    wait_for("more frames", || scene.cameras()[0]["counts"]["frames_in"].as_u64() > before);
    streamer.signal("-TERM");
    assert_eq!(streamer.wait().0, Some(0));
}

fn reload(server: &NatsServer) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cvmmap_ctl"));
    command.args(["reload", "--json", "--nats-url", &server.url(), "--timeout-ms", "20000"]);
    finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

#[test]
fn each_streamer_on_a_server_is_asked() {
    let server = NatsServer::start();
    let defaults = SMALL.replace("nats_url = \"\"", &format!("nats_url = \"{}\"", server.url()));
    let scenes = [(); 2].map(|()| Scene::new());
    let streamers = scenes.each_ref().map(|scene| {
        scene.write(&defaults, &[("a", String::new())]);
        scene.start(&[])
    });
    scenes[1].write(&defaults, &[("a", String::new()), ("b", String::new())]);
    let mut first = None;
    wait_for("two answers", || {
        let (status, stdout, _) = reload(&server);
        first = Some(stdout).filter(|stdout| status == Some(0) && stdout.lines().count() == 2);
        // One that was asked alone has read it, and says so no more.
        first.is_some()
    });
    let told = first.unwrap().lines().map(|line| json(line)["config"].clone()).collect::<Vec<_>>();
    assert_ne!(told[0], told[1]);
    wait_for("the new camera", || scenes[1].cameras()[1]["state"] == "running");
    // One that cannot use its file does not keep the other from reading its own.
    scenes[0].write(&defaults, &[("a", "gopp = 3".to_owned())]);
    scenes[1].write(&defaults, &[("b", String::new())]);
    let (status, stdout, refused) = reload(&server);
    assert!(status == Some(2) && refused.contains("did you mean gop?"), "{status:?} {refused}");
    assert_eq!(json(&stdout)["message"], "1 as before, 0 changed, 0 new, 1 gone");
    for streamer in streamers {
        streamer.signal("-INT");
        assert_eq!(streamer.wait().0, Some(0));
    }
}

#[test]
fn a_reload_can_be_asked_for_over_nats() {
    let server = NatsServer::start();
    let scene = Scene::new();
    let defaults = SMALL.replace("nats_url = \"\"", &format!("nats_url = \"{}\"", server.url()));
    scene.write(&defaults, &[("a", String::new())]);
    let mut streamer = scene.start(&[]);
    let mut stderr = streamer.stderr();
    read_until(&mut stderr, "encoder");
    let ctl = || reload(&server);
    let mut first = ctl();
    // Until the streamer has a connection, nobody answers.
    wait_for("an answer", || {
        let there = first.0 == Some(0);
        if !there {
            first = ctl();
        }
        there
    });
    assert_eq!(json(&first.1)["message"], "1 as before, 0 changed, 0 new, 0 gone", "{first:?}");
    scene.write(&defaults, &[("a", String::new()), ("b", String::new())]);
    assert_eq!(json(&ctl().1)["message"], "1 as before, 0 changed, 1 new, 0 gone");
    wait_for("the new camera", || scene.cameras()[1]["state"] == "running");
    scene.write(&defaults, &[("b", "gopp = 3".to_owned())]);
    let (status, _, refused) = ctl();
    assert!(status == Some(2) && refused.contains("did you mean gop?"), "{status:?} {refused}");
    scene.write(&defaults, &[("b", String::new())]);
    assert_eq!(json(&ctl().1)["message"], "1 as before, 0 changed, 0 new, 1 gone");
    wait_for("the end of the other", || scene.cameras().as_array().is_some_and(|cameras| cameras.len() == 1));
    streamer.signal("-INT");
    assert_eq!(streamer.wait().0, Some(0));
}

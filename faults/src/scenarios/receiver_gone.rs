//! The RTP receiver closes its port, to which the kernel answers that nobody is there, and opens it again later. The stream
//! goes on meanwhile, and the receiver has pictures again with the next keyframe.

use std::{
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

use anyhow::Result;

use crate::{
    camera::Settings,
    rig::{Rig, Viewer, rtp_to, wait_for},
    verdict::Bound,
};

const PICTURES: usize = 60;
/// How long the kernel may take to answer.
const ANSWER: Duration = Duration::from_millis(200);
/// Packets of ours that nobody is to be there for.
const REFUSED: u64 = 60;

pub fn run(rig: &mut Rig) -> Result<()> {
    let viewer = Viewer::start(0)?;
    let port = viewer.port;
    let streamer = rig.streamer(&rtp_to(port))?;
    let camera = rig.camera(&Settings::default())?;
    viewer.wait_pictures(PICTURES)?;
    let (mut refusals, mut without_port) = (0, 0);
    let mut back = viewer;
    if rig.inject {
        rig.judge_pictures(&back);
        drop(back);
        let before = packets_without_port()?;
        refusals = refused(port)?;
        wait_for("packets to nobody", || packets_without_port().is_ok_and(|now| now - before > REFUSED))?;
        without_port = packets_without_port()? - before;
        back = Viewer::start(port)?;
    }
    let first = back.wait_pictures(PICTURES)?;
    let summary = rig.conclude(streamer, &back, rig.mode.share_percent())?;
    rig.end_camera(camera)?;
    rig.injected("port_refuses", refusals, Bound::AtLeast(1.0));
    rig.injected("packets_to_nobody", without_port as f64, Bound::AtLeast(REFUSED as f64));
    let sending = summary["outputs"]["rtp"]["state"] == "sending";
    rig.seen("still_sending", u8::from(sending), Bound::Exactly(1.0));
    rig.seen("first_picture_after_return_ms", first.as_millis() as f64, Bound::AtMost(rig.mode.recovery_ms()));
    Ok(())
}

/// Packets of any program that came for a port which is closed. Source: RFC 4113, udpNoPorts.
fn packets_without_port() -> Result<u64> {
    let counters = std::fs::read_to_string("/proc/net/snmp")?;
    let mut udp = counters.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (udp.next().unwrap_or_default(), udp.next().unwrap_or_default());
    let no_ports = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "NoPorts");
    Ok(no_ports.map_or("0", |(_, value)| value).parse()?)
}

/// Whether the kernel says of a port that nobody is there.
fn refused(port: u16) -> Result<u8> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.send(b"anybody there?")?;
    let answer = socket.recv(&mut [0; 1]);
    Ok(answer.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused).into())
}

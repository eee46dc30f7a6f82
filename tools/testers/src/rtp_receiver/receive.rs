//! The receiving itself: one socket, every datagram checked, until enough is known.

use std::{
    fs::File,
    io,
    net::UdpSocket,
    time::{Duration, Instant},
};

use tools_cli::failure::Failure;

use super::{
    args::Codec,
    delay::Delays,
    depayload::{Depayloader, Parsed},
    flow::Flow,
    packet::{self, Datagram, RtpHeader},
};
use crate::report::talk;

/// The largest UDP payload.
const MAX_DATAGRAM: usize = 65_535;

/// What the kernel is asked to hold while a key frame's burst is taken in. It gives less if it must.
const SOCKET_BUFFER: usize = 4 << 20;

/// `--until-end`: a sender that is silent this long has stopped.
const SILENCE: Duration = Duration::from_secs(1);

/// What is still on its way when the sender says goodbye comes in so long.
const STRAGGLERS: Duration = Duration::from_millis(100);

/// How often to look for access units while no packets come.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One frame of this many may stay unparsed.
const UNPARSED_SHARE: u64 = 10;

/// What has to come.
pub struct Expected {
    pub payload_type: Option<u8>,
    /// One, or those that are tried.
    pub codecs: Vec<Codec>,
    pub parameter_sets: Vec<(&'static str, String)>,
    pub capture_extension: Option<u8>,
    pub threshold: u64,
    pub deadline: Instant,
    pub timeout_ms: u64,
    pub until_end: bool,
}

#[derive(Default)]
pub struct Received {
    pub flow: Flow,
    pub bytes: u64,
    pub payload_type: Option<u8>,
    pub codec: Option<Codec>,
    pub parsed: Parsed,
    pub goodbye: bool,
    pub delays: Delays,
    /// An access unit was parsed.
    parsing: bool,
}

pub fn bind(host: &str, port: u16) -> Result<UdpSocket, Failure> {
    let unusable = |error: io::Error| Failure::Configuration(format!("{host}:{port} cannot be received on: {error}"));
    let socket = UdpSocket::bind((host, port)).map_err(unusable)?;
    // The default size loses packets when this program waits for a processor; smaller than asked is no reason to stop.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER);
    let address = socket.local_addr().map_err(unusable)?;
    talk(format_args!("listening on udp://{address}"));
    Ok(socket)
}

/// Receives until what is expected has come, or cannot come any more. What was received is in `received` either way.
pub fn receive(
    socket: &UdpSocket,
    expected: &Expected,
    dump: Option<&File>,
    received: &mut Received,
) -> Result<(), Failure> {
    let mut depayloaders = Vec::new();
    let judged = packets(socket, expected, dump, received, &mut depayloaders);
    let mut kept = Ok(());
    for depayloader in depayloaders {
        let codec = depayloader.codec();
        match depayloader.finish() {
            Ok(parsed) if parsed.access_units > received.parsed.access_units => {
                received.codec = Some(codec);
                received.parsed = parsed;
            }
            Ok(_) => {}
            Err(failure) => kept = Err(failure),
        }
    }
    judged?;
    kept?;
    if received.parsed.access_units == 0 {
        return Err(no_access_unit(expected, received));
    }
    every_frame_parsed(received)
}

/// A parameter set that noise happens to look like makes access units of some of it. Each frame has to make one, but for
/// those that lost a packet.
fn every_frame_parsed(received: &Received) -> Result<(), Failure> {
    // The last frame may have been cut off by the end of the run.
    let frames_after = received.flow.frames.saturating_sub(received.parsed.first_frame + 1);
    let units = received.parsed.access_units;
    let lost = received.flow.lost;
    if units + lost + frames_after / UNPARSED_SHARE >= frames_after {
        return Ok(());
    }
    Err(Failure::Protocol(format!(
        "{frames_after} frames came after the first access unit, {lost} packets were lost, and only {units} access \
         units could be parsed: this is no valid bitstream"
    )))
}

fn packets(
    socket: &UdpSocket,
    expected: &Expected,
    dump: Option<&File>,
    received: &mut Received,
    depayloaders: &mut Vec<Depayloader>,
) -> Result<(), Failure> {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        if !received.parsing
            && let Some(found) = depayloaders.iter().position(|depayloader| depayloader.parsed().access_units > 0)
        {
            // The other codec was a guess.
            depayloaders.swap(0, found);
            depayloaders.truncate(1);
            received.parsing = true;
        }
        let satisfied = received.parsing && received.flow.packets >= expected.threshold;
        if satisfied && !expected.until_end {
            return Ok(());
        }
        let now = Instant::now();
        let wait_until = if received.goodbye {
            expected.deadline.min(now + STRAGGLERS)
        } else if satisfied {
            now + SILENCE
        } else if received.flow.packets >= expected.threshold {
            // Access units come from another thread, maybe after the last packet.
            expected.deadline.min(now + LOOK_AGAIN)
        } else {
            expected.deadline
        };
        let Some(length) = next_datagram(socket, &mut buffer, wait_until)? else {
            if satisfied || received.goodbye || Instant::now() >= expected.deadline {
                return judge_count(expected, received);
            }
            continue;
        };
        let datagram = &buffer[..length];
        match packet::parse(datagram)
            .map_err(|text| Failure::Protocol(format!("packet {}: {text}", received.flow.packets)))?
        {
            // One from before the first packet is of another sender.
            Datagram::Rtcp { goodbye } => {
                received.goodbye |= goodbye.iter().any(|source| received.flow.ssrc == Some(*source))
            }
            Datagram::Rtp(header) => {
                check(&header, expected, received)?;
                received.bytes += length as u64;
                let captured = expected.capture_extension.and_then(|number| packet::extension(datagram, number));
                captured.into_iter().for_each(|captured| received.delays.came(captured));
                if depayloaders.is_empty() {
                    for codec in &expected.codecs {
                        depayloaders.push(Depayloader::start(
                            *codec,
                            header.payload_type,
                            &expected.parameter_sets,
                            dump,
                        )?);
                    }
                }
                for depayloader in &*depayloaders {
                    depayloader.packet(datagram);
                }
            }
        }
    }
}

fn check(header: &RtpHeader, expected: &Expected, received: &mut Received) -> Result<(), Failure> {
    let came = header.payload_type;
    let wanted = expected.payload_type.or(received.payload_type);
    received.payload_type = Some(came);
    if let Some(wanted) = wanted
        && came != wanted
    {
        return Err(Failure::PayloadType(format!(
            "packet {}: payload type {came} came, {wanted} is expected",
            received.flow.packets
        )));
    }
    if !(96..=127).contains(&came) {
        return Err(Failure::PayloadType(format!(
            "packet {}: payload type {came} came, H.264 and H.265 have a dynamic one from 96 to 127",
            received.flow.packets
        )));
    }
    if header.payload_length == 0 {
        return Err(Failure::Protocol(format!("packet {}: an RTP packet without payload", received.flow.packets)));
    }
    received.flow.packet(header).map_err(Failure::Protocol)
}

/// For a stream that ended, or time that is up.
fn judge_count(expected: &Expected, received: &Received) -> Result<(), Failure> {
    let packets = received.flow.packets;
    let when = match received.goodbye {
        true => "before the sender said goodbye".to_owned(),
        false => format!("within {} ms", expected.timeout_ms),
    };
    if packets == 0 {
        return Err(Failure::Timeout(format!("no packet came {when}")));
    }
    if packets < expected.threshold {
        return Err(Failure::Threshold(format!("{packets} of {} packets came {when}", expected.threshold)));
    }
    Ok(())
}

fn no_access_unit(expected: &Expected, received: &Received) -> Failure {
    let names: Vec<_> = expected.codecs.iter().map(ToString::to_string).collect();
    let lost = match received.flow.lost {
        0 => String::new(),
        lost => format!("; {lost} packets were lost"),
    };
    Failure::Protocol(format!(
        "{} packets came, and no access unit of {} could be parsed from them: another codec, or its parameter sets \
         come neither in the stream (config-interval=-1) nor in --sdp{lost}",
        received.flow.packets,
        names.join(" or ")
    ))
}

fn next_datagram(socket: &UdpSocket, buffer: &mut [u8], deadline: Instant) -> Result<Option<usize>, Failure> {
    let broken = |error: io::Error| Failure::Configuration(format!("receiving failed: {error}"));
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left)).map_err(broken)?;
        match socket.recv(buffer) {
            Ok(length) => return Ok(Some(length)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(broken(error)),
        }
    }
}

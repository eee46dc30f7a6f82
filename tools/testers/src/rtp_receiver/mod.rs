//! `rtp_receiver_tester`: receives RTP, checks every packet and proves that the video in them parses.

mod args;
mod delay;
mod depayload;
mod flow;
mod packet;
mod receive;
mod session_description;

use std::{
    fs::File,
    time::{Duration, Instant},
};

use tools_cli::{command_line, failure::Failure};

use self::{
    args::{Args, Codec},
    receive::{Expected, Received},
};
use super::report::Report;

/// The program.
///
/// # Errors
/// What makes it exit with another code than 0.
pub fn run() -> Result<(), Failure> {
    let Some(args) = command_line::parse::<Args>()? else {
        return Ok(());
    };
    gst::init().map_err(|error| Failure::Pipeline(format!("GStreamer cannot be started: {error}")))?;
    let mut received = Received::default();
    let outcome = receive_as_asked(&args, &mut received);
    report(&received).print(outcome, args.json)
}

fn receive_as_asked(args: &Args, received: &mut Received) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_millis(args.timeout_ms);
    let mut expected = Expected {
        payload_type: args.expect_pt,
        codecs: args.codec.map_or(Codec::ALL.to_vec(), |codec| vec![codec]),
        parameter_sets: Vec::new(),
        capture_extension: None,
        threshold: args.packet_threshold,
        deadline,
        timeout_ms: args.timeout_ms,
        until_end: args.until_end,
    };
    let mut port = args.port.unwrap_or_default();
    if let Some(path) = &args.sdp {
        let stream = session_description::wait_for(path, deadline)?;
        if let Some(wanted) = args.expect_pt
            && wanted != stream.payload_type
        {
            return Err(Failure::PayloadType(format!(
                "{} announces payload type {}, {wanted} is expected",
                path.display(),
                stream.payload_type
            )));
        }
        port = stream.port;
        expected.payload_type = Some(stream.payload_type);
        expected.codecs = vec![stream.codec];
        expected.parameter_sets = stream.parameter_sets;
        expected.capture_extension = stream.capture_extension;
    }
    let dump = args.dump.as_ref().map(|path| {
        File::create(path)
            .map_err(|error| Failure::Configuration(format!("{} cannot be written: {error}", path.display())))
    });
    let dump = dump.transpose()?;
    let socket = receive::bind(&args.host, port)?;
    receive::receive(&socket, &expected, dump.as_ref(), received)
}

fn report(received: &Received) -> Report {
    let mut report = Report::default();
    let flow = &received.flow;
    let parsed = &received.parsed;
    report.push("packets", flow.packets);
    report.push("bytes", received.bytes);
    report.push("frames", flow.frames);
    report.push("access_units", parsed.access_units);
    report.push("keyframes", parsed.keyframes);
    report.push("lost", flow.lost);
    report.push("reordered", flow.reordered);
    report.push("duplicates", flow.duplicates);
    report.push("markers", flow.markers);
    report.push("payload_type", received.payload_type);
    report.push("ssrc", flow.ssrc.map(|ssrc| format!("0x{ssrc:08x}")));
    report.push("codec", received.codec.map(|codec| codec.to_string()));
    report.push("width", parsed.size.map(|(width, _)| width));
    report.push("height", parsed.size.map(|(_, height)| height));
    report.push("duration_ms", flow.duration_ms());
    report.push("bitstream_bytes", parsed.bytes);
    report.push("goodbye", received.goodbye);
    for (name, delay) in
        ["delay_min_ms", "delay_mean_ms", "delay_max_ms"].into_iter().zip(received.delays.milliseconds())
    {
        if delay.is_some() {
            report.push(name, delay);
        }
    }
    let mut warnings = Vec::new();
    // What the end of the run cut off may be parsed as one more.
    if parsed.access_units > flow.frames + 1 {
        warnings.push(format!(
            "{} access units are in {} frames: something that begins an access unit, such as parameter sets, comes \
             between the slices of a frame",
            parsed.access_units, flow.frames
        ));
    }
    report.push("warning", warnings);
    report
}

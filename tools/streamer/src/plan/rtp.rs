//! `--rtp` and what belongs to it.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use tools_cli::failure::Failure;

use super::{
    address,
    wrong::{twice, usage},
};
use crate::options::Options;

/// RTP output.
#[derive(Clone, Debug)]
pub struct Rtp {
    /// Unicast destination.
    pub destination: SocketAddr,
    /// Payload type.
    pub payload_type: u8,
    /// Where the session description goes.
    pub sdp: Option<PathBuf>,
    /// Where sender reports go: the port above, where that is nobody else's.
    pub rtcp: Option<SocketAddr>,
    /// Whether packets carry their frame's capture time.
    pub capture_time: bool,
}

pub(super) fn outputs(options: &Options) -> Result<Vec<Rtp>, Failure> {
    if !(96..=127).contains(&options.rtp_payload_type) {
        return Err(usage(format!(
            "--rtp-payload-type {} is not a dynamic payload type; take 96 to 127",
            options.rtp_payload_type
        )));
    }
    let Options { rtp_endpoint: endpoints, rtp_sdp: sdps, .. } = options;
    if !options.rtp {
        if options.output.rtp_capture_time {
            return Err(usage("--rtp-capture-time needs --rtp"));
        }
        return match (endpoints.is_empty(), sdps.is_empty()) {
            (false, _) => Err(usage("--rtp-endpoint needs --rtp")),
            (_, false) => Err(usage("--rtp-sdp needs --rtp")),
            (true, true) => Ok(Vec::new()),
        };
    }
    if endpoints.is_empty() {
        return Err(usage("--rtp needs --rtp-endpoint HOST:PORT"));
    }
    if !sdps.is_empty() && sdps.len() != endpoints.len() {
        return Err(usage(format!(
            "{} --rtp-sdp for {} --rtp-endpoint: give one for each, in the same order, or none",
            sdps.len(),
            endpoints.len()
        )));
    }
    if let Some(sdp) = twice(sdps) {
        return Err(usage(format!("--rtp-sdp {} is given twice", sdp.display())));
    }
    let destinations = endpoints.iter().map(|text| destination(text)).collect::<Result<Vec<_>, _>>()?;
    if let Some(destination) = twice(&destinations) {
        return Err(usage(format!("--rtp-endpoint {destination} is given twice")));
    }
    let mut sdps = sdps.iter().cloned();
    let rtcp = |destination: &SocketAddr| {
        let port = destination.port().checked_add(1)?;
        Some(SocketAddr::new(destination.ip(), port)).filter(|above| !destinations.contains(above))
    };
    Ok(destinations
        .iter()
        .map(|destination| Rtp {
            destination: *destination,
            payload_type: options.rtp_payload_type as u8,
            sdp: sdps.next(),
            rtcp: rtcp(destination),
            capture_time: options.output.rtp_capture_time,
        })
        .collect())
}

fn destination(text: &str) -> Result<SocketAddr, Failure> {
    let destination = address::read("--rtp-endpoint", text, "HOST:PORT")?;
    let ip = destination.ip();
    if ip.is_multicast() || ip.is_unspecified() || ip == IpAddr::from([255; 4]) {
        return Err(usage(format!("--rtp-endpoint: {ip} is not a unicast address")));
    }
    Ok(destination)
}

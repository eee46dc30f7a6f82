//! `--input-mode dummy` and what belongs to it.

use cvmmap::Address;
use tools_cli::{failure::Failure, nats};

use super::{input::Input, wrong::usage};
use crate::{options::Options, simulator};

/// Longest simulator label in bytes. Source: cv-mmap IPC contract, section 3.
const LABEL_MAX: usize = cvmmap::LABEL_SIZE;
/// Label of a simulated producer that is given none.
const DEFAULT_LABEL: &str = "dummy";
/// Largest simulated side: what H.264 and H.265 encoders take.
const SIDE_MAX: u32 = 16_384;
/// Fastest simulated rate; faster than any camera.
const FPS_MAX: u32 = 1_000;
pub(super) fn camera(
    options: &Options,
    input: &Input,
    nats: Option<nats::Server>,
) -> Result<simulator::Settings, Failure> {
    let address = match (input, &options.dummy_label) {
        (Input::Target(target), Some(label)) if label != target.instance() => {
            return Err(usage(format!(
                "--dummy-label '{label}' is not the name in --input-uri, which its consumers look for; leave it out"
            )));
        }
        (Input::Target(target), _) => Address::from(target),
        (Input::Address(address), label) => {
            let label = label.as_deref().unwrap_or(DEFAULT_LABEL);
            if label.len() > LABEL_MAX {
                return Err(Failure::Configuration(format!(
                    "--dummy-label '{label}' is {} bytes long; {LABEL_MAX} bytes at most",
                    label.len()
                )));
            }
            Address::new(address.shm_name(), address.zmq_endpoint(), Some(label))
                .map_err(|error| Failure::Configuration(format!("--dummy-label: {error}")))?
        }
    };
    for (flag, value, most) in [
        ("--dummy-width", options.dummy_width, SIDE_MAX),
        ("--dummy-height", options.dummy_height, SIDE_MAX),
        ("--dummy-fps", options.dummy_fps, FPS_MAX),
    ] {
        if !(1..=most).contains(&value) {
            return Err(usage(format!("{flag} must be 1 to {most}")));
        }
    }
    if i32::try_from(options.dummy_frames).is_err() {
        return Err(usage(format!("--dummy-frames must be {} at most", i32::MAX)));
    }
    Ok(simulator::Settings {
        address,
        permissions: options.dummy_perms.unwrap_or_default(),
        frames: options.dummy_frames,
        fps: options.dummy_fps,
        width: options.dummy_width,
        height: options.dummy_height,
        depth: options.dummy_depth,
        confidence: options.dummy_confidence,
        encoded: options.dummy_encoded,
        body: options.dummy_body,
        nats,
    })
}

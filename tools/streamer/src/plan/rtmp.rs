//! `--rtmp` and what belongs to it.

use std::{path::PathBuf, time::Duration};

use cvmmap::Codec;
use tools_cli::{failure::Failure, typed_url};

use super::wrong::{twice, usage};
use crate::{
    options::{InputMode, Options, RtmpAudio, RtmpDepth, RtmpMode},
    outlet::retry,
    rtmp_url::RtmpUrl,
};

/// Longest wait for an RTMP server that anybody means.
const RETRY_MAX_MS: u32 = 3_600_000;
/// RTMP output.
#[derive(Clone, Debug)]
pub struct Rtmp {
    /// Publish URL.
    pub url: RtmpUrl,
    /// How H.265 is packaged; H.264 has one packaging.
    pub mode: Option<RtmpMode>,
    /// Sound beside the picture.
    pub audio: RtmpAudio,
    /// Where depth in colour goes beside the picture.
    pub depth: Option<RtmpDepth>,
    /// How long to wait before the next attempt.
    pub retry: retry::Bounds,
    /// Whether the run fails when the first attempt does.
    pub required: bool,
    /// Authorities that vouch for an `rtmps://` server, in place of the system's.
    pub ca_file: Option<PathBuf>,
}

pub(super) fn outputs(options: &Options) -> Result<Vec<Rtmp>, Failure> {
    let (min, max) = (options.rtmp_retry_min_ms, options.rtmp_retry_max_ms);
    if min == 0 || max < min || max > RETRY_MAX_MS {
        return Err(usage(format!(
            "--rtmp-retry-min-ms {min} and --rtmp-retry-max-ms {max} must be from 1 to {RETRY_MAX_MS}, the first not \
             above the second"
        )));
    }
    if !options.rtmp {
        if options.rtmp_ca_file.is_some() {
            return Err(usage("--rtmp-ca-file needs --rtmp"));
        }
        if options.rtmp_depth.is_some() {
            return Err(usage("--rtmp-depth needs --rtmp"));
        }
        if options.rtmp_audio != RtmpAudio::None {
            return Err(usage("--rtmp-audio needs --rtmp"));
        }
        return match (options.rtmp_url.is_empty(), options.rtmp_mode, options.rtmp_required) {
            (false, ..) => Err(usage("--rtmp-url needs --rtmp")),
            (_, Some(_), _) => Err(usage("--rtmp-mode needs --rtmp")),
            (.., true) => Err(usage("--rtmp-required needs --rtmp")),
            (true, None, false) => Ok(Vec::new()),
        };
    }
    if options.rtmp_url.is_empty() {
        return Err(usage("--rtmp needs --rtmp-url URL"));
    }
    let parse = |text: &String| {
        RtmpUrl::parse(text).ok_or_else(|| {
            usage(format!(
                "--rtmp-url '{}' must be rtmp://[USER:PASSWORD@]HOST[:PORT]/APP/STREAM, or rtmps://",
                typed_url::shown(text)
            ))
        })
    };
    let urls = options.rtmp_url.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    if let Some(url) = twice(&urls) {
        return Err(usage(format!("--rtmp-url {url} is given twice")));
    }
    if options.rtmp_ca_file.is_some() && !urls.iter().any(RtmpUrl::is_tls) {
        return Err(usage("--rtmp-ca-file needs an --rtmp-url that begins with rtmps://"));
    }
    if let Some(codec) = options.codec {
        check_packaging(codec, options.rtmp_mode).map_err(usage)?;
    }
    if options.rtmp_depth.is_some() && options.rtmp_mode == Some(RtmpMode::Domestic) {
        return Err(usage("--rtmp-depth is a track of Enhanced RTMP; take --rtmp-mode enhanced, or leave it out"));
    }
    if options.rtmp_depth.is_some() && options.input_mode == InputMode::Dummy && !options.dummy_depth {
        return Err(usage("--rtmp-depth needs --dummy-depth: without it the simulated producer has no depth"));
    }
    let [min, max] = [min, max].map(|ms| Duration::from_millis(ms.into()));
    let (mode, required) = (options.rtmp_mode, options.rtmp_required);
    let (audio, depth) = (options.rtmp_audio, options.rtmp_depth);
    let (retry, ca_file) = (retry::Bounds { min, max }, &options.rtmp_ca_file);
    Ok(urls
        .into_iter()
        .map(|url| Rtmp { url, mode, audio, depth, retry, required, ca_file: ca_file.clone() })
        .collect())
}

/// Whether a codec can be published over RTMP in this mode.
///
/// # Errors
/// A sentence that says what to do.
pub fn check_packaging(codec: Codec, mode: Option<RtmpMode>) -> Result<(), &'static str> {
    match (codec, mode) {
        (Codec::H264, Some(RtmpMode::Domestic)) => {
            Err("--rtmp-mode domestic is a packaging of H.265; leave it out for --codec h264")
        }
        (Codec::H265, None) => Err("--codec h265 over RTMP needs --rtmp-mode enhanced or --rtmp-mode domestic"),
        _ => Ok(()),
    }
}

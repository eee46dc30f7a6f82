//! Recording flags.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use tools_cli::{failure::Failure, file_format::FileFormat};
use tools_mcap::{
    depth::DepthCoding,
    writer::{Compression, Topics},
};

use super::{Bounds, McapSettings, Place, Recorders, Root, Tell};
use crate::recorder::mcap_sink::Rotate;

/// Label of a live camera in topics.
const LABEL: &str = "camera";
/// Units of `--mcap-rotate` by name.
const BYTES: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
const SECONDS: [(&str, u64); 4] = [("s", 1), ("min", 60), ("h", 3600), ("d", 86_400)];
/// Shortest and smallest file that makes sense.
const ROTATE_MIN: (Duration, u64) = (Duration::from_secs(1), 1 << 16);

/// Longest and shortest time before a recording that anybody means,
const BEFORE: std::ops::RangeInclusive<u64> = 1..=3600;
/// and the memory that it takes at most, where nothing is said.
const BEFORE_BYTES: u64 = 256 << 20;
/// Less than this has no room for a group of pictures.
const BEFORE_BYTES_MIN: u64 = 1 << 20;

/// The flags as typed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Recording")]
pub struct RecordingArgs {
    /// Record video and depth to this MCAP file; an existing file is not replaced, and {start} in its name is the time (UTC)
    #[arg(long, value_name = "PATH")]
    pub mcap: Option<PathBuf>,
    /// Record the video to this fragmented MP4 file; the same holds of its name
    #[arg(long, value_name = "PATH")]
    pub mp4: Option<PathBuf>,
    /// Begin another MCAP file when one is so large (1GiB) or so long (10min); files are numbered
    #[arg(long, value_name = "SIZE|TIME", value_parser = parse_rotate)]
    pub mcap_rotate: Option<Rotate>,
    /// Compression of MCAP chunks
    #[arg(long, value_enum, default_value_t)]
    pub mcap_compression: Compression,
    /// Depth in MCAP
    #[arg(long, value_enum, default_value_t)]
    pub mcap_depth: DepthCoding,
    /// Topic of the video [default: /camera/video]
    #[arg(long, value_name = "TOPIC")]
    pub mcap_topic: Option<String>,
    /// Topic of the depth [default: /camera/depth]
    #[arg(long, value_name = "TOPIC")]
    pub mcap_depth_topic: Option<String>,
    /// Topic of the body-tracking packets [default: /camera/body]
    #[arg(long, value_name = "TOPIC")]
    pub mcap_body_topic: Option<String>,
    /// Coordinate frame of the video and the depth
    #[arg(long, value_name = "NAME", default_value = LABEL)]
    pub mcap_frame_id: String,
    /// Where recordings go that are asked for while the program runs: nowhere outside this directory
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub record_root: PathBuf,
    /// Keep so much of the stream in memory (10s, 1min): a recording that is asked for while the program runs begins that much
    /// earlier
    #[arg(long, value_name = "TIME", value_parser = parse_before)]
    pub record_before: Option<Duration>,
    /// Memory that --record-before takes at most; the oldest pictures go first [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_before_bytes)]
    pub record_before_bytes: Option<u64>,
}

/// What is recorded from the start.
#[derive(Clone, Debug)]
pub struct Recordings {
    /// MCAP file.
    pub mcap: Option<PathBuf>,
    /// MP4 file.
    pub mp4: Option<PathBuf>,
    /// What MCAP files are to be like.
    pub settings: McapSettings,
    /// When the next MCAP file is begun.
    pub rotate: Option<Rotate>,
    /// Where recordings go that are asked for later.
    pub root: PathBuf,
    /// What is kept for them to begin with.
    pub before: Option<Bounds>,
}

impl Recordings {
    /// Checks what was typed.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what contradicts itself.
    pub fn new(args: &RecordingArgs, b_frames: u32) -> Result<Self, Failure> {
        if args.mcap.is_some() && b_frames > 0 {
            return Err(Failure::Usage(
                "--mcap cannot hold B-frames, which its readers do not know; leave out --b-frames".to_owned(),
            ));
        }
        for (flag, other, format, path) in
            [("--mcap", "--mp4", FileFormat::Mcap, &args.mcap), ("--mp4", "--mcap", FileFormat::Mp4, &args.mp4)]
        {
            if let Some(path) = path.as_ref().filter(|path| format.contradicts(path)) {
                return Err(Failure::Usage(format!(
                    "{flag} would write {} into {}; take {other}, or another name",
                    format.name().to_uppercase(),
                    path.display()
                )));
            }
        }
        if args.mcap.is_some() && args.mcap == args.mp4 {
            return Err(Failure::Usage("--mcap and --mp4 name the same file".to_owned()));
        }
        let mut topics = Topics::of(LABEL);
        for (flag, given, topic) in [
            ("--mcap-topic", &args.mcap_topic, &mut topics.video),
            ("--mcap-depth-topic", &args.mcap_depth_topic, &mut topics.depth),
            ("--mcap-body-topic", &args.mcap_body_topic, &mut topics.body),
        ] {
            match given.as_deref() {
                Some("") => return Err(Failure::Usage(format!("{flag} is empty"))),
                Some(given) => *topic = given.to_owned(),
                None => {}
            }
        }
        topics.check().map_err(|why| Failure::Usage(why.to_owned()))?;
        let settings = McapSettings {
            topics,
            frame_id: args.mcap_frame_id.clone(),
            compression: args.mcap_compression,
            depth: args.mcap_depth,
        };
        let before = match (args.record_before, args.record_before_bytes) {
            (None, Some(_)) => return Err(Failure::Usage("--record-before-bytes needs --record-before".to_owned())),
            (time, bytes) => {
                let bytes = usize::try_from(bytes.unwrap_or(BEFORE_BYTES)).unwrap_or(usize::MAX);
                time.map(|time| Bounds { time, bytes })
            }
        };
        let (mcap, mp4, root) = (args.mcap.clone(), args.mp4.clone(), args.record_root.clone());
        Ok(Self { mcap, mp4, settings, rotate: args.mcap_rotate, root, before })
    }

    /// Whether nothing is recorded from the start.
    pub fn is_empty(&self) -> bool {
        self.mcap.is_none() && self.mp4.is_none()
    }

    /// What records, with nothing at work yet.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when the system has no thread left.
    pub fn recorders(&self, tell: Tell) -> Result<Arc<Recorders>, Failure> {
        let Some(bounds) = self.before else {
            return Ok(Recorders::new(tell));
        };
        Recorders::keeping(tell, bounds, self.settings.depth)
            .map_err(|error| Failure::Configuration(format!("--record-before: {error}")))
    }

    /// Begins to record.
    ///
    /// # Errors
    /// [`Failure::Configuration`] when a file cannot be made, or there is no such root.
    pub fn start(&self, recorders: &Recorders) -> Result<(), Failure> {
        Root::open(&self.root).map_err(|error| Failure::Configuration(format!("--record-root: {error}")))?;
        let now = now();
        let place = |path: &Path| Place::anywhere(&dated(path, &now));
        if let Some(path) = &self.mcap {
            place(path)
                .and_then(|place| recorders.start_mcap(place, self.settings.clone(), self.rotate))
                .map_err(|error| Failure::Configuration(format!("--mcap: {error}")))?;
        }
        if let Some(path) = &self.mp4 {
            place(path)
                .and_then(|place| recorders.start_mp4(place))
                .map_err(|error| Failure::Configuration(format!("--mp4: {error}")))?;
        }
        Ok(())
    }
}

/// The time in UTC, as it can stand in the name of a file.
pub fn now() -> String {
    let now = gst::glib::DateTime::now_utc().and_then(|now| now.format("%Y%m%dT%H%M%SZ"));
    // There is a time up to the year 9999.
    now.map(String::from).unwrap_or_default()
}

/// A path in which `{start}` is when the recording begins, so that a camera that is started again replaces nothing.
fn dated(path: &Path, now: &str) -> PathBuf {
    match path.to_str() {
        Some(text) => text.replace("{start}", now).into(),
        None => path.to_owned(),
    }
}

/// A number with one of these units.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

fn parse_before(text: &str) -> Result<Duration, String> {
    let seconds = scaled(text, &SECONDS).filter(|seconds| BEFORE.contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "a time from 1s to 1h (10s, 1min) is expected".to_owned())
}

fn parse_before_bytes(text: &str) -> Result<u64, String> {
    let bytes = scaled(text, &BYTES).or_else(|| text.parse().ok()).filter(|bytes| *bytes >= BEFORE_BYTES_MIN);
    bytes.ok_or_else(|| "a size of 1MiB or more (64MiB, 1GiB) is expected".to_owned())
}

fn parse_rotate(text: &str) -> Result<Rotate, String> {
    let (shortest, smallest) = ROTATE_MIN;
    if let Some(bytes) = scaled(text, &BYTES).filter(|bytes| *bytes >= smallest) {
        return Ok(Rotate::Bytes(bytes));
    }
    if let Some(seconds) = scaled(text, &SECONDS).filter(|seconds| *seconds >= shortest.as_secs()) {
        return Ok(Rotate::Time(Duration::from_secs(seconds)));
    }
    Err("a size of 64KiB or more (512MiB, 1GiB) or a time of 1s or more (30s, 10min, 1h) is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_say_when_it_begins() {
        let (path, now) = (dated("/a/cam0-{start}.mcap".as_ref(), "20260102T030405Z"), now());
        assert_eq!(path, Path::new("/a/cam0-20260102T030405Z.mcap"));
        assert!(now.len() == 16 && now.starts_with("20") && now.ends_with('Z'), "{now}");
    }

    #[test]
    fn what_is_kept_has_a_time_and_a_size() {
        assert_eq!(parse_before("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_before("1h"), Ok(Duration::from_secs(3600)));
        for text in ["", "10", "0s", "61min", "1d", "10MiB", "-1s"] {
            assert!(parse_before(text).is_err(), "{text}");
        }
        assert_eq!([parse_before_bytes("64MiB"), parse_before_bytes("1048576")], [Ok(64 << 20), Ok(1 << 20)]);
        for text in ["", "1023KiB", "1048575", "10s", "1GB"] {
            assert!(parse_before_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rotation_is_by_size_or_time() {
        for (text, expected) in [
            ("1GiB", Rotate::Bytes(1 << 30)),
            ("64KiB", Rotate::Bytes(1 << 16)),
            ("100 mib", Rotate::Bytes(100 << 20)),
            ("10min", Rotate::Time(Duration::from_secs(600))),
            ("1s", Rotate::Time(Duration::from_secs(1))),
            ("2h", Rotate::Time(Duration::from_secs(7200))),
        ] {
            assert_eq!(parse_rotate(text), Ok(expected), "{text}");
        }
        for text in ["", "5", "GiB", "0s", "-1s", "1.5h", "9B", "99999999999999999999s", "1GB", "18446744073709551615d"]
        {
            assert!(parse_rotate(text).is_err(), "{text}");
        }
    }
}

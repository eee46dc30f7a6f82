//! What the three programs differ in: what a job takes and makes, and the converter's flags that they pass on.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, ValueEnum};
use tools_cli::command_line::VERSION;
use tools_mcap::writer::Compression;
use tools_media::encoders::Device;

use super::args::Batch;
use crate::{
    encoder::Encoding,
    grid::args as grid_args,
    open::Reading,
    to_mcap::policy::{CopyRange, Policy},
    wanted::DepthMode,
};

/// One of the programs.
#[derive(Debug)]
pub struct Kind {
    pub batch: &'static str,
    /// The converter that it runs.
    pub single: &'static str,
    pub takes: Takes,
    pub makes: Makes,
    /// What is added to the name of an input, less its own ending.
    pub ending: &'static str,
    /// Names that are looked for when no others are asked for.
    pub pattern: &'static str,
    /// Whether flags that came from elsewhere are the converter's.
    pub understands: fn(&[String]) -> Result<(), String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Recordings,
    /// Directories with recordings named `*_zedN.svo2`.
    Segments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Makes {
    Mp4,
    Mcap,
}

impl Takes {
    /// What several are called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recordings => "recordings",
            Self::Segments => "segments",
        }
    }
}

pub static TO_MP4: Kind = Kind {
    batch: "zed_batch_svo_to_mp4",
    single: "zed_svo_to_mp4",
    takes: Takes::Recordings,
    makes: Makes::Mp4,
    ending: ".mp4",
    pattern: "*.svo2",
    understands: understands::<ToMp4>,
};
pub static GRID: Kind = Kind {
    batch: "zed_batch_svo_grid_to_mp4",
    single: "zed_svo_grid_to_mp4",
    takes: Takes::Segments,
    makes: Makes::Mp4,
    ending: "_grid.mp4",
    pattern: "*",
    understands: understands::<Grid>,
};
pub static TO_MCAP: Kind = Kind {
    batch: "zed_batch_svo_to_mcap",
    single: "zed_svo_to_mcap",
    takes: Takes::Segments,
    makes: Makes::Mcap,
    ending: ".mcap",
    pattern: "*",
    understands: understands::<ToMcap>,
};

const EXIT_CODES: &str = "\
Exit codes: 0 every job was done or skipped, 1 wrong arguments, 2 a list, input directory or queue that cannot be used,
4 a job failed, or --report-existing found a file that is no good, 5 the queue's server went away, 130 interrupted.";

#[derive(Debug, Parser)]
#[command(name = "zed_batch_svo_to_mp4", version = VERSION, after_help = EXIT_CODES)]
/// Runs zed_svo_to_mp4 on every recording that is found, several at a time.
///
/// Outputs that are there already are skipped, so that a run which was interrupted is finished by starting it again.
pub struct ToMp4Args {
    #[command(flatten)]
    pub batch: Batch,
    #[command(flatten)]
    pub conversion: ToMp4,
}

#[derive(Debug, Parser)]
#[command(name = "zed_batch_svo_grid_to_mp4", version = VERSION, after_help = EXIT_CODES)]
/// Runs zed_svo_grid_to_mp4 on every segment that is found, several at a time: SEGMENT/SEGMENT_grid.mp4.
///
/// Outputs that are there already are skipped, so that a run which was interrupted is finished by starting it again.
pub struct GridArgs {
    #[command(flatten)]
    pub batch: Batch,
    #[command(flatten)]
    pub conversion: Grid,
}

#[derive(Debug, Parser)]
#[command(name = "zed_batch_svo_to_mcap", version = VERSION, after_help = EXIT_CODES)]
/// Runs zed_svo_to_mcap on every segment that is found, several at a time: SEGMENT/SEGMENT.mcap.
///
/// Outputs that are there already are skipped, so that a run which was interrupted is finished by starting it again.
pub struct ToMcapArgs {
    #[command(flatten)]
    pub batch: Batch,
    #[command(flatten)]
    pub conversion: ToMcap,
}

/// What the converter is told, but for the device of its encoder, which is the worker's.
#[derive(Clone, Debug)]
pub struct Told {
    pub flags: Vec<OsString>,
    pub device: Device,
}

/// The flags of a converter.
pub trait Conversion: Args {
    /// What it is told.
    fn told(&self) -> Told;
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Conversion")]
pub struct ToMp4 {
    /// First picture, counted from 0 as the camera's
    #[arg(long, value_name = "N")]
    start_frame: Option<usize>,
    /// Last picture, which is included
    #[arg(long, value_name = "N")]
    end_frame: Option<usize>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    encoding: Encoding,
}

impl Conversion for ToMp4 {
    fn told(&self) -> Told {
        let mut flags = Flags::default();
        flags.give("--start-frame", self.start_frame);
        flags.give("--end-frame", self.end_frame);
        flags.told(&self.reading, &self.encoding)
    }
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Conversion")]
pub struct Grid {
    /// End after so many seconds
    #[arg(long, value_name = "S", value_parser = grid_args::seconds)]
    duration_seconds: Option<f64>,
    /// Size of a camera's picture in the grid
    #[arg(long, value_name = "FACTOR", value_parser = grid_args::scale)]
    tile_scale: Option<f64>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    encoding: Encoding,
}

impl Conversion for Grid {
    fn told(&self) -> Told {
        let mut flags = Flags::default();
        flags.give("--duration-seconds", self.duration_seconds);
        flags.give("--tile-scale", self.tile_scale);
        flags.told(&self.reading, &self.encoding)
    }
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Conversion")]
pub struct ToMcap {
    /// How the cameras' pictures are bundled
    #[arg(long, value_enum)]
    bundle_policy: Option<Policy>,
    /// Largest distance of a bundle's pictures, with --bundle-policy strict
    #[arg(long, value_name = "MS")]
    sync_tolerance_ms: Option<f64>,
    /// What is copied with --bundle-policy copy
    #[arg(long, value_enum)]
    copy_range: Option<CopyRange>,
    /// First bundle, counted from 0 at the common start
    #[arg(long, value_name = "N")]
    start_frame: Option<usize>,
    /// Last bundle, which is included
    #[arg(long, value_name = "N")]
    end_frame: Option<usize>,
    /// The ZED SDK's depth mode
    #[arg(long, value_enum)]
    depth_mode: Option<DepthMode>,
    /// Size of depth pictures: optimal, native or WIDTHxHEIGHT
    #[arg(long, value_name = "SIZE")]
    depth_size: Option<String>,
    /// No depth
    #[arg(long)]
    no_depth: bool,
    /// Each camera's pose
    #[arg(long)]
    with_pose: bool,
    /// TOML file with the tracking's settings
    #[arg(long, value_name = "FILE")]
    pose_config: Option<PathBuf>,
    /// How the file's chunks are compressed
    #[arg(long, value_enum)]
    mcap_compression: Option<Compression>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    encoding: Encoding,
}

impl Conversion for ToMcap {
    fn told(&self) -> Told {
        let mut flags = Flags::default();
        flags.give("--bundle-policy", self.bundle_policy.map(name));
        flags.give("--sync-tolerance-ms", self.sync_tolerance_ms);
        flags.give("--copy-range", self.copy_range.map(name));
        flags.give("--start-frame", self.start_frame);
        flags.give("--end-frame", self.end_frame);
        flags.give("--depth-mode", self.depth_mode.map(name));
        flags.give("--depth-size", self.depth_size.as_ref());
        flags.set("--no-depth", self.no_depth);
        flags.set("--with-pose", self.with_pose);
        flags.path("--pose-config", self.pose_config.as_ref());
        flags.give("--mcap-compression", self.mcap_compression.map(name));
        flags.told(&self.reading, &self.encoding)
    }
}

/// A command line in the making. What is not given is left to the converter's own defaults.
#[derive(Default)]
struct Flags(Vec<OsString>);

impl Flags {
    fn give(&mut self, flag: &str, value: Option<impl ToString>) {
        self.0.extend(value.map(|value| format!("{flag}={}", value.to_string()).into()));
    }

    fn set(&mut self, flag: &str, given: bool) {
        self.0.extend(given.then(|| flag.into()));
    }

    /// Right wherever the converter is started.
    fn path(&mut self, flag: &str, path: Option<&PathBuf>) {
        self.0.extend(path.map(|path| {
            let mut given = OsString::from(format!("{flag}="));
            given.push(std::path::absolute(path).as_ref().unwrap_or(path));
            given
        }));
    }

    fn told(mut self, reading: &Reading, encoding: &Encoding) -> Told {
        let Reading { provider, calibration, camera_label } = reading;
        self.give("--provider", Some(name(*provider)));
        self.path("--calibration", calibration.as_ref());
        self.give("--camera-label", camera_label.as_ref());
        let Encoding { codec, encoder_device, preset, quality } = *encoding;
        self.give("--codec", Some(codec.name()));
        self.give("--preset", Some(name(preset)));
        self.give("--quality", Some(quality));
        Told { flags: self.0, device: encoder_device }
    }
}

/// What a value is called on command lines.
pub fn name<V: ValueEnum>(value: V) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Only<C: Args> {
    #[command(flatten)]
    pub conversion: C,
}

/// Takes flags of the converter, and neither those of the batch nor those that name files to read and write.
fn understands<C: Args>(flags: &[String]) -> Result<(), String> {
    match Only::<C>::try_parse_from(flags) {
        Ok(Only { conversion: _ }) => Ok(()),
        Err(error) => Err(error.kind().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Vec<String> {
        let words = ["program", "DIR"].into_iter().chain(line.split_whitespace());
        let told = ToMcapArgs::try_parse_from(words).unwrap().conversion.told();
        told.flags.into_iter().map(|flag| flag.into_string().unwrap()).collect()
    }

    #[test]
    fn the_converter_is_told_what_was_given_and_keeps_its_own_defaults() {
        let common = ["--provider=auto", "--codec=h265", "--preset=balanced", "--quality=20"];
        assert_eq!(flags(""), common);
        let given = "--bundle-policy strict --sync-tolerance-ms 2.5 --start-frame 10 --end-frame 29 --depth-mode \
                     neural_plus --depth-size 960x512 --with-pose --pose-config /etc/pose.toml --calibration /c \
                     --mcap-compression zstd";
        assert_eq!(
            flags(given),
            [
                "--bundle-policy=strict",
                "--sync-tolerance-ms=2.5",
                "--start-frame=10",
                "--end-frame=29",
                "--depth-mode=neural_plus",
                "--depth-size=960x512",
                "--with-pose",
                "--pose-config=/etc/pose.toml",
                "--mcap-compression=zstd",
                "--provider=auto",
                "--calibration=/c",
                "--codec=h265",
                "--preset=balanced",
                "--quality=20"
            ]
        );
        assert!((TO_MCAP.understands)(&flags(given)).is_ok());
    }

    #[test]
    fn flags_from_elsewhere_name_no_files_of_their_own() {
        for hostile in ["--output=/etc/passwd", "--overwrite", "--segment-dir=/", "--json", "x", "--help"] {
            assert!((GRID.understands)(&[hostile.to_owned()]).is_err(), "{hostile}");
        }
        assert!((GRID.understands)(&["--tile-scale=0.5".to_owned()]).is_ok());
    }

    #[test]
    fn the_command_lines_are_sound() {
        use clap::CommandFactory as _;
        ToMp4Args::command().debug_assert();
        GridArgs::command().debug_assert();
        ToMcapArgs::command().debug_assert();
    }
}

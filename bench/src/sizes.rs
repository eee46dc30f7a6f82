//! What a camera takes, by its size and by what is done with its pictures: the figures of a sizing table.

use std::{path::Path, thread, time::Duration};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    machine::{Busy, Machine},
    picture::{FULL_HD, Format, HD, Picture, UHD, VGA},
    receiver::Receiver,
    reel::{Producer, Reel},
    report::{self, number},
    streamers::Streamers,
    units::FPS,
};

const SIZES: [Picture; 4] = [VGA, HD, FULL_HD, UHD];
const WARM_UP: Duration = Duration::from_secs(3);
const WINDOW: Duration = Duration::from_secs(10);

/// What is done with the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    H264,
    H265,
    Passed,
}

#[derive(Debug, Serialize)]
struct Row {
    picture: String,
    way: &'static str,
    /// What came, as RTP packets.
    kbit: f64,
    /// What the streamer tells its encoder.
    default_kbit: Option<u32>,
    cores: f64,
    rss_mib: f64,
    pss_mib: f64,
    /// Pictures a second that came,
    fps: f64,
    /// and those that the producer published.
    offered_fps: f64,
    packets_lost: u64,
    cores_used_by_others: f64,
    summary: Value,
}

pub fn run(quick: bool, json: &Path) -> Result<()> {
    let machine = Machine::this()?;
    let mut rows = Vec::new();
    for size in if quick { &SIZES[..2] } else { &SIZES[..] } {
        let picture = Picture { format: Format::Bgr, ..size.at(FPS) };
        let folder = tempfile::tempdir()?;
        let reel = Reel::prepare(picture, folder.path())?;
        let mut default_kbit = None;
        for way in [Way::H264, Way::H265, Way::Passed] {
            eprintln!("measuring: {picture}, {}", way.name());
            if way == Way::Passed {
                reel.encode(default_kbit.context("the bit rate of H.264")?)?;
            }
            let row = measure(way, picture, &reel)?;
            default_kbit = default_kbit.or(row.default_kbit);
            rows.push(row);
        }
    }
    report::print(&machine, &lines(&rows));
    let others = rows.iter().map(|row| row.cores_used_by_others).fold(0.0, f64::max);
    println!("\nothers kept up to {} cores busy; all figures in {}", number(others), json.display());
    report::keep(&json!({ "machine": machine, "rows": rows }), json)
}

fn measure(way: Way, picture: Picture, reel: &Reel) -> Result<Row> {
    let busy = Busy::now()?;
    let mut producer = Producer::start(reel, "sizes", way == Way::Passed)?;
    let receiver = Receiver::start()?;
    let (target, to) = (producer.target.to_string(), format!("127.0.0.1:{}", receiver.port));
    let mut command = way.arguments().to_vec();
    command.extend(["--nats-url", "", "--input-uri", &target, "--rtp", "--rtp-endpoint", &to]);
    let command = command.into_iter().map(str::to_owned).collect();
    let mut streamers = Streamers::start(&[command], vec![receiver])?;
    streamers.await_all()?;
    thread::sleep(WARM_UP);
    let offered = producer.role.sample()?.frames;
    let (before, after) = streamers.over(WINDOW)?;
    let offered = producer.role.sample()?.frames - offered;
    let summary = streamers.end()?.pop().context("a summary")?;
    drop(producer);
    let seconds = after.seconds_since(&before);
    let bytes = after.received[0].bytes - before.received[0].bytes;
    Ok(Row {
        picture: picture.size().to_string(),
        way: way.name(),
        kbit: bytes as f64 * 8.0 / 1000.0 / seconds,
        default_kbit: summary["kbit"].as_u64().map(|kbit| kbit as u32),
        cores: after.cores_since(&before),
        rss_mib: after.used.rss_kib as f64 / 1024.0,
        pss_mib: after.used.pss_kib as f64 / 1024.0,
        fps: (after.units() - before.units()) as f64 / seconds,
        offered_fps: offered as f64 / seconds,
        packets_lost: after.packets_lost() - before.packets_lost(),
        cores_used_by_others: busy.others()?,
        summary,
    })
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::Passed => "the producer's own H.264",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::H264 => &["--codec", "h264", "--encoder-device", "software", "--input-video-source", "raw"],
            Self::H265 => &["--codec", "h265", "--encoder-device", "software", "--input-video-source", "raw"],
            Self::Passed => &["--input-video-source", "encoded"],
        }
    }
}

fn lines(rows: &[Row]) -> Vec<[String; 7]> {
    let head = ["", "", "kbit/s", "default kbit/s", "CPU, cores", "memory, MiB", "pictures a second"];
    let lines = rows.iter().map(|row| {
        let default = row.default_kbit.map_or_else(String::new, |kbit| kbit.to_string());
        let figures = [row.cores, row.rss_mib, row.fps].map(number);
        let [cores, memory, fps] = figures;
        [row.picture.clone(), row.way.to_owned(), number(row.kbit), default, cores, memory, fps]
    });
    [head.map(str::to_owned)].into_iter().chain(lines).collect()
}

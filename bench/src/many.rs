//! One process for the cameras of a machine, beside a process for each of them.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::Result;
use cvmmap::Target;
use serde_json::{Value, json};

use crate::{
    machine::{Busy, Machine},
    picture::{Picture, VGA},
    receiver::Receiver,
    reel::{Producer, Reel},
    report::{self, Row, median},
    streamers::{Sample, Streamers},
    units::FPS,
};

/// Cameras whose own access units are sent on,
const PASSED: usize = 16;
/// and those that are encoded.
const ENCODED: usize = 4;
/// Bit rate of the former.
const KBIT: u32 = 1000;
const WARM_UP: Duration = Duration::from_secs(5);

/// Who runs the cameras.
#[derive(Clone, Copy, Debug)]
enum Arrangement {
    OneProcess,
    ProcessEach,
}

/// What was seen of one of them.
#[derive(Default)]
struct Seen {
    cores: Vec<f64>,
    mib: Vec<f64>,
    threads: Vec<f64>,
    /// Access units a second of each camera, of those passed and those encoded.
    passed: Vec<f64>,
    encoded: Vec<f64>,
    packets_lost: Vec<u64>,
}

pub fn run(quick: bool, json: &Path) -> Result<()> {
    let (rounds, window) = if quick { (1, 10) } else { (3, 20) };
    let machine = Machine::this()?;
    let folder = tempfile::tempdir()?;
    let picture = VGA.at(FPS);
    let reel = Reel::prepare(picture, folder.path())?;
    reel.encode(KBIT)?;
    let producers = (0..PASSED + ENCODED)
        .map(|index| Producer::start(&reel, &index.to_string(), index < PASSED))
        .collect::<Result<Vec<_>>>()?;
    let targets = producers.iter().map(|producer| &producer.target).collect::<Vec<_>>();
    let busy = Busy::now()?;
    let (mut one, mut each) = (Seen::default(), Seen::default());
    // In turn, so that both meet whatever else the machine does.
    for round in 1..=rounds {
        for (arrangement, seen) in [(Arrangement::OneProcess, &mut one), (Arrangement::ProcessEach, &mut each)] {
            eprintln!("measuring: {arrangement:?}, {round} of {rounds}");
            seen.add(&measure(arrangement, &targets, folder.path(), Duration::from_secs(window))?);
        }
    }
    drop(producers);
    let about = json!({ "cores_used_by_others_and_producers": busy.others()? });
    report::publish(&machine, &about, &rows(picture, &one, &each), json)
}

fn measure(arrangement: Arrangement, targets: &[&Target], folder: &Path, window: Duration) -> Result<(Sample, Sample)> {
    let receivers = targets.iter().map(|_| Receiver::start()).collect::<Result<Vec<_>>>()?;
    let cameras = targets.iter().zip(&receivers).enumerate().map(|(index, (target, receiver))| Camera {
        target,
        port: receiver.port,
        is_passed: index < PASSED,
    });
    let commands = match arrangement {
        Arrangement::ProcessEach => cameras.map(|camera| camera.command()).collect(),
        Arrangement::OneProcess => {
            let path = folder.join("cameras.toml");
            fs::write(&path, cameras.map(|camera| camera.table()).collect::<String>())?;
            vec![vec!["--config".to_owned(), path.display().to_string()]]
        }
    };
    let mut streamers = Streamers::start(&commands, receivers)?;
    streamers.await_all()?;
    thread::sleep(WARM_UP);
    let seen = streamers.over(window)?;
    streamers.end()?;
    Ok(seen)
}

struct Camera<'a> {
    target: &'a Target,
    port: u16,
    is_passed: bool,
}

impl Camera<'_> {
    fn settings(&self) -> [(&'static str, String); 5] {
        let source = if self.is_passed { "encoded" } else { "raw" };
        [
            ("input_uri", self.target.to_string()),
            ("input_video_source", source.to_owned()),
            ("codec", "h264".to_owned()),
            ("encoder_device", "software".to_owned()),
            ("nats_url", String::new()),
        ]
    }

    fn command(&self) -> Vec<String> {
        let settings =
            self.settings().into_iter().flat_map(|(key, value)| [format!("--{}", key.replace('_', "-")), value]);
        let output = ["--rtp".to_owned(), "--rtp-endpoint".to_owned(), format!("127.0.0.1:{}", self.port)];
        settings.chain(output).collect()
    }

    fn table(&self) -> String {
        let settings = self.settings().map(|(key, value)| format!("{key} = \"{value}\"\n")).concat();
        let port = self.port;
        format!("[[camera]]\nname = \"camera{port}\"\n{settings}rtp = true\nrtp_endpoint = [\"127.0.0.1:{port}\"]\n")
    }
}

impl Seen {
    fn add(&mut self, (before, after): &(Sample, Sample)) {
        self.cores.push(after.cores_since(before));
        self.mib.push(after.used.pss_kib as f64 / 1024.0);
        self.threads.push(after.used.threads as f64);
        let units = after.received.iter().zip(&before.received).map(|(after, before)| after.units - before.units);
        let units = units.collect::<Vec<_>>();
        let rate = |units: &[u64]| units.iter().sum::<u64>() as f64 / after.seconds_since(before) / units.len() as f64;
        self.passed.push(rate(&units[..PASSED]));
        self.encoded.push(rate(&units[PASSED..]));
        self.packets_lost.push(after.packets_lost() - before.packets_lost());
    }

    fn details(&self) -> Value {
        let Self { cores, mib, threads, passed, encoded, packets_lost } = self;
        json!({
            "cores": cores, "pss_mib": mib, "threads": threads, "passed_per_second": passed,
            "encoded_per_second": encoded, "packets_lost": packets_lost,
        })
    }
}

fn rows(picture: Picture, one: &Seen, each: &Seen) -> Vec<Row> {
    let cameras = PASSED + ENCODED;
    let row = |what: &str, unit, of: fn(&Seen) -> &[f64]| {
        Row::new("many", what, median(of(one)), unit).against("a process each", median(of(each)))
    };
    let what = format!("{cameras} cameras of {picture} in one process, {ENCODED} of them encoded: CPU");
    let cpu = row(&what, "cores", |seen| &seen.cores);
    vec![
        cpu.details(json!({ "one_process": one.details(), "a_process_each": each.details() })),
        row("... memory (PSS)", "MiB", |seen| &seen.mib),
        row("... threads", "threads", |seen| &seen.threads),
        row("... access units that were passed through, of each camera", "a second", |seen| &seen.passed),
        row("... pictures that were encoded, of each camera", "a second", |seen| &seen.encoded),
    ]
}

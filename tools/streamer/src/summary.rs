//! The account of a run, for people and for programs.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{latency::Histogram, outlet::meter::Meter};
use crate::recorder;

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What was simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulator: Option<Simulator>,
    /// What was streamed.
    #[serde(flatten)]
    pub stream: Option<Stream>,
}

/// The simulated producer.
#[derive(Clone, Debug, Serialize)]
pub struct Simulator {
    /// Frames published.
    pub published: u64,
}

/// From producer to outputs.
#[derive(Clone, Debug, Serialize)]
pub struct Stream {
    /// Frames read.
    pub frames_in: u64,
    /// Frames read and then replaced by newer ones before the encoder took them.
    pub dropped: u64,
    /// Frames that the producer overwrote while they were read.
    pub torn: u64,
    /// Frames that may have changed while they were copied.
    pub late: u64,
    /// Frames that the producer published and that were never seen.
    pub skipped: u64,
    /// Frames that could not be read: unusable metadata, or no segment.
    pub invalid: u64,
    /// Access units that were of no use, for one before them was lost.
    pub undecodable: u64,
    /// Frames that no encoder took, for their size or form, and access units that were not understood.
    pub unencodable: u64,
    /// Element name of the encoder; `passthrough` when the producer encodes, `none` before anything did.
    pub encoder: &'static str,
    /// Access units out of the encoder, or of the producer.
    pub encoded: u64,
    /// Bytes of them.
    pub encoded_bytes: u64,
    /// Bit rate of the encoder in kbit/s, as far as it has one.
    pub kbit: Option<u32>,
    /// How often it was changed.
    pub rate_changes: u64,
    /// Milliseconds that the encoder took for a frame.
    pub encode_ms: Latency,
    /// Milliseconds from capture to the access unit.
    pub encoded_latency_ms: Latency,
    /// Outputs by name.
    #[serde(serialize_with = "as_map")]
    pub outputs: Vec<(String, Output)>,
    /// What is kept for recordings to begin with, where something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_before: Option<Before>,
    /// What stands in for the producer, where something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slate: Option<Slate>,
    /// Recordings, the last one of each format.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recordings: Vec<Recording>,
}

/// What is kept for recordings to begin with.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Before {
    /// Seconds from the oldest access unit to the newest.
    pub seconds: f64,
    /// Bytes of memory.
    pub bytes: usize,
    /// Access units.
    pub units: u64,
}

impl Before {
    /// The account of it.
    pub fn new(level: recorder::Level) -> Self {
        Self { seconds: level.time.as_secs_f64(), bytes: level.bytes, units: level.units }
    }
}

/// What stands in for a producer that is away.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Slate {
    /// It is shown.
    pub shown: bool,
    /// How often that began.
    pub times: u64,
    /// Pictures of it.
    pub pictures: u64,
}

/// One recording.
#[derive(Clone, Debug, Serialize)]
pub struct Recording {
    /// Its format.
    pub format: &'static str,
    /// The file, or the last one.
    pub path: String,
    /// Files that are whole.
    pub files: u64,
    /// Access units recorded.
    pub video: u64,
    /// Depth pictures recorded.
    pub depth: u64,
    /// Body-tracking packets recorded.
    pub body: u64,
    /// Access units, depth pictures and packets that were not, for the disk was too slow or full.
    pub dropped: [u64; 3],
    /// Access units that were not, for they were damaged.
    pub damaged: u64,
    /// What became of it.
    pub state: &'static str,
}

impl Recording {
    /// The accounts of these.
    pub fn all(statuses: &[(tools_cli::file_format::FileFormat, recorder::Status)]) -> Vec<Self> {
        statuses.iter().map(|(format, status)| Self::new(*format, status)).collect()
    }

    fn new(format: tools_cli::file_format::FileFormat, status: &recorder::Status) -> Self {
        let recorder::Status { path, files, video, depth, body, losses, state, .. } = status;
        Self {
            format: format.name(),
            path: path.as_ref().map_or_else(String::new, |path| path.display().to_string()),
            files: *files,
            video: *video,
            depth: *depth,
            body: *body,
            dropped: [losses.video, losses.depth, losses.body],
            damaged: losses.damaged,
            state: state.name(),
        }
    }
}

/// One output.
#[derive(Clone, Debug, Serialize)]
pub struct Output {
    /// Access units handed to the network.
    pub sent: u64,
    /// Access units that were not, for the output was behind or had no connection.
    pub dropped: u64,
    /// Bytes handed to the network, without what it adds.
    pub bytes: u64,
    /// What it was doing when the run ended.
    pub state: &'static str,
    /// How often a server agreed to take the stream; of an output that asks one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connects: Option<u64>,
    /// Milliseconds from capture to the first byte sent.
    pub latency_ms: Latency,
    /// The same, as it was measured.
    #[serde(skip)]
    pub ages: Histogram,
}

/// Percentiles in milliseconds; absent when nothing was sent.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

impl Output {
    /// The account of one output.
    pub fn new(meter: &Meter, state: &'static str, connects: Option<u64>) -> Self {
        let ages = meter.latency();
        Self {
            sent: meter.sent(),
            bytes: meter.bytes(),
            dropped: meter.dropped(),
            state,
            connects,
            latency_ms: Latency::new(&ages),
            ages,
        }
    }
}

impl Latency {
    /// Of what was measured.
    pub fn new(times: &Histogram) -> Self {
        let at = |percent| times.percentile(percent).map(milliseconds);
        Self { p50: at(50.0), p95: at(95.0), p99: at(99.0) }
    }

    fn write(self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let Self { p50, p95, p99 } = self;
        for (percentile, value) in [("p50", p50), ("p95", p95), ("p99", p99)] {
            if let Some(value) = value {
                write!(f, " {name}_{percentile}_ms={value:.1}")?;
            }
        }
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

fn as_map<S: serde::Serializer>(outputs: &[(String, Output)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(outputs.iter().map(|(name, output)| (name, output)))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(simulator) = &self.simulator {
            writeln!(f, "simulator: published={}", simulator.published)?;
        }
        let Some(stream) = &self.stream else {
            return Ok(());
        };
        writeln!(
            f,
            "ingest: frames_in={} dropped={} torn={} late={} skipped={} invalid={} undecodable={} unencodable={}",
            stream.frames_in,
            stream.dropped,
            stream.torn,
            stream.late,
            stream.skipped,
            stream.invalid,
            stream.undecodable,
            stream.unencodable
        )?;
        write!(f, "encoder: name={} encoded={}", stream.encoder, stream.encoded)?;
        if let Some(kbit) = stream.kbit {
            write!(f, " kbit={kbit} rate_changes={}", stream.rate_changes)?;
        }
        stream.encode_ms.write(f, "encode")?;
        stream.encoded_latency_ms.write(f, "latency")?;
        writeln!(f)?;
        for (name, output) in &stream.outputs {
            write!(f, "{name}: sent={} dropped={} state={}", output.sent, output.dropped, output.state)?;
            if let Some(connects) = output.connects {
                write!(f, " connects={connects}")?;
            }
            output.latency_ms.write(f, "latency")?;
            writeln!(f)?;
        }
        if let Some(Before { seconds, bytes, units }) = &stream.record_before {
            writeln!(f, "record_before: seconds={seconds:.1} bytes={bytes} units={units}")?;
        }
        if let Some(Slate { shown, times, pictures }) = &stream.slate {
            let state = if *shown { "shown" } else { "ready" };
            writeln!(f, "slate: times={times} pictures={pictures} state={state}")?;
        }
        for recording in &stream.recordings {
            let Recording { format, path, files, video, depth, body, dropped, damaged, state } = recording;
            let [dropped, depth_dropped, body_dropped] = dropped;
            writeln!(
                f,
                "{format}: video={video} depth={depth} body={body} dropped={dropped} depth_dropped={depth_dropped} \
                 body_dropped={body_dropped} damaged={damaged} files={files} state={state} path={path}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            simulator: Some(Simulator { published: 9 }),
            stream: Some(Stream {
                frames_in: 8,
                dropped: 1,
                torn: 2,
                late: 5,
                skipped: 3,
                invalid: 4,
                undecodable: 0,
                unencodable: 6,
                encoder: "x264enc",
                encoded: 7,
                kbit: Some(800),
                rate_changes: 2,
                encoded_bytes: 700,
                encode_ms: Latency { p50: Some(0.5), p95: Some(0.75), p99: Some(0.9) },
                encoded_latency_ms: Latency { p50: None, p95: None, p99: None },
                outputs: vec![
                    (
                        "rtp".to_owned(),
                        Output {
                            sent: 6,
                            bytes: 600,
                            dropped: 1,
                            state: "sending",
                            connects: None,
                            latency_ms: Latency { p50: Some(1.25), p95: Some(2.0), p99: Some(3.0) },
                            ages: Histogram::default(),
                        },
                    ),
                    ("rtmp".to_owned(), Output::new(&Meter::default(), "retrying", Some(2))),
                ],
                record_before: Some(Before { seconds: 10.04, bytes: 4096, units: 300 }),
                slate: Some(Slate { shown: true, times: 1, pictures: 50 }),
                recordings: vec![Recording {
                    format: "mcap",
                    path: "/day/a.mcap".to_owned(),
                    files: 1,
                    video: 7,
                    depth: 6,
                    body: 5,
                    dropped: [1, 2, 3],
                    damaged: 4,
                    state: "finished",
                }],
            }),
        }
    }

    #[test]
    fn people_read_lines() {
        assert_eq!(
            summary().to_string(),
            "simulator: published=9\n\
             ingest: frames_in=8 dropped=1 torn=2 late=5 skipped=3 invalid=4 undecodable=0 unencodable=6\n\
             encoder: name=x264enc encoded=7 kbit=800 rate_changes=2 encode_p50_ms=0.5 encode_p95_ms=0.8 encode_p99_ms=0.9\n\
             rtp: sent=6 dropped=1 state=sending latency_p50_ms=1.2 latency_p95_ms=2.0 latency_p99_ms=3.0\n\
             rtmp: sent=0 dropped=0 state=retrying connects=2\n\
             record_before: seconds=10.0 bytes=4096 units=300\n\
             slate: times=1 pictures=50 state=shown\n\
             mcap: video=7 depth=6 body=5 dropped=1 depth_dropped=2 body_dropped=3 damaged=4 files=1 state=finished path=/day/a.mcap\n"
        );
    }

    #[test]
    fn programs_read_json() {
        let json = serde_json::to_value(summary()).unwrap();
        assert_eq!(json["simulator"]["published"], 9);
        assert_eq!(json["frames_in"], 8);
        assert_eq!(json["outputs"]["rtp"]["latency_ms"]["p50"], 1.25);
        assert_eq!(json["outputs"]["rtmp"]["connects"], 2);
        assert_eq!(json["record_before"]["bytes"], 4096);
        assert_eq!(json["recordings"][0]["path"], "/day/a.mcap");
        assert!(json["outputs"]["rtp"].get("connects").is_none());
        assert!(json["outputs"]["rtmp"]["latency_ms"]["p99"].is_null());
        let alone = Summary { stream: None, ..summary() };
        assert_eq!(serde_json::to_string(&alone).unwrap(), r#"{"simulator":{"published":9}}"#);
    }
}

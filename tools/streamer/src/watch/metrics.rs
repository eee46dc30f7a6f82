//! `/metrics`: what cameras count, for Prometheus.

use std::{fmt, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, prometheus_text, text},
    metrics::MetricType,
    registry::Registry,
};

use super::{
    camera::{Camera, Condition, Counts, UP},
    cameras::Cameras,
    status,
};

/// Upper bounds of the histogram's buckets in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, f64::INFINITY];

/// `/metrics`.
pub fn routes() -> Router<Arc<Cameras>> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(cameras): State<Arc<Cameras>>, headers: HeaderMap) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Accounts(cameras.all())));
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut told = String::new();
    let (kind, written) = if accepts.contains("application/openmetrics-text") {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", text::encode(&mut told, &registry))
    } else {
        ("text/plain; version=0.0.4; charset=utf-8", prometheus_text::encode(&mut told, &registry))
    };
    // A string takes everything.
    let _ = written;
    ([(header::CONTENT_TYPE, kind)], told).into_response()
}

/// The cameras whose counts are told.
#[derive(Debug)]
struct Accounts(Vec<Arc<Camera>>);

/// A number with its labels.
type Sample = (Vec<(&'static str, String)>, f64);

impl Collector for Accounts {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counts = self.0.iter().filter_map(|camera| Some((camera.name(), camera.counts()?))).collect::<Vec<_>>();
        let mut family = Family(&mut encoder);
        let of_cameras = |value: &dyn Fn(&Camera) -> f64| {
            self.0.iter().map(|camera| (labels(camera.name(), &[]), value(camera))).collect::<Vec<_>>()
        };
        family.gauge(
            "camera_up",
            "1 while a camera runs, 0 while it waits to be started again",
            &of_cameras(&|camera| f64::from(matches!(camera.condition(), Condition::Running { .. }))),
        )?;
        family.gauge(
            "camera_healthy",
            "1 for a camera that /healthz finds well",
            &of_cameras(&|camera| f64::from(status::illness(camera).is_none())),
        )?;
        family.counter("camera_starts", "Starts of a camera", &of_cameras(&|camera| camera.starts() as f64))?;
        family.counter(
            "frames_received",
            "Frames read from the producer",
            &each(&counts, |counts| vec![(vec![], counts.stream.frames_in as f64)]),
        )?;
        family.counter(
            "frames_dropped",
            "Frames that were not encoded, by why",
            &each(&counts, |counts| {
                let stream = &counts.stream;
                let reasons = [
                    ("replaced", stream.dropped),
                    ("torn", stream.torn),
                    ("late", stream.late),
                    ("skipped", stream.skipped),
                    ("invalid", stream.invalid),
                    ("undecodable", stream.undecodable),
                    ("unencodable", stream.unencodable),
                ];
                reasons.map(|(why, frames)| (vec![("reason", why.to_owned())], frames as f64)).to_vec()
            }),
        )?;
        family.counter(
            "encoder_frames",
            "Access units out of the encoder, or of the producer",
            &each(&counts, |counts| {
                vec![(vec![("encoder", counts.stream.encoder.to_owned())], counts.stream.encoded as f64)]
            }),
        )?;
        let bytes = |counts: &Counts| vec![(vec![], counts.stream.encoded_bytes as f64)];
        family.counter("encoder_bytes", "Bytes of access units; their rate is the bit rate", &each(&counts, bytes))?;
        let asked =
            |counts: &Counts| counts.stream.kbit.map(|kbit| (vec![], 1000.0 * f64::from(kbit))).into_iter().collect();
        // Not "bits_per_second": promtool accepts no unit of bits.
        family.gauge("encoder_bitrate_bps", "Bits a second that the encoder is asked for", &each(&counts, asked))?;
        let changes = |counts: &Counts| vec![(vec![], counts.stream.rate_changes as f64)];
        family.counter("encoder_rate_changes", "Times that it was asked for another rate", &each(&counts, changes))?;
        slates(&mut family, &counts)?;
        outputs(&mut family, &counts)?;
        recordings(&mut family, &counts)?;
        let name = "cvmmap_capture_to_send_seconds";
        let help = "Time from capture to the first byte sent";
        let mut histogram = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (camera, counts) in &counts {
            for (name, output) in &counts.stream.outputs {
                let labels = labels(camera, &[("output", name.clone())]);
                let (sum, count) = (output.ages.sum().as_secs_f64(), output.ages.count());
                let buckets = output.ages.buckets(&SECONDS);
                histogram.encode_family(&labels)?.encode_histogram::<NoLabels>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}

fn slates(family: &mut Family, counts: &[(&str, Arc<Counts>)]) -> fmt::Result {
    let of_slates = |value: &dyn Fn(&crate::summary::Slate) -> f64| {
        each(counts, |counts| counts.stream.slate.iter().map(|slate| (vec![], value(slate))).collect())
    };
    let shown = "1 while a slate stands in for the producer";
    family.gauge("slate_shown", shown, &of_slates(&|slate| f64::from(slate.shown)))?;
    let times = "Times that a slate stood in for the producer";
    family.counter("slate_times", times, &of_slates(&|slate| slate.times as f64))?;
    family.counter("slate_pictures", "Pictures of slates", &of_slates(&|slate| slate.pictures as f64))
}

fn outputs(family: &mut Family, counts: &[(&str, Arc<Counts>)]) -> fmt::Result {
    let of_outputs = |value: &dyn Fn(&crate::summary::Output) -> Option<f64>| {
        each(counts, |counts| {
            let outputs = counts.stream.outputs.iter();
            outputs.filter_map(|(name, output)| Some((vec![("output", name.clone())], value(output)?))).collect()
        })
    };
    let sent = "Access units handed to the network";
    family.counter("output_sent", sent, &of_outputs(&|output| Some(output.sent as f64)))?;
    let dropped = "Access units that were not sent, for the output was behind or had no connection";
    family.counter("output_dropped", dropped, &of_outputs(&|output| Some(output.dropped as f64)))?;
    let bytes = "Bytes handed to the network, without what it adds";
    family.counter("output_bytes", bytes, &of_outputs(&|output| Some(output.bytes as f64)))?;
    let connects = "Times that a receiver agreed to take the stream";
    family.counter(
        "output_connects",
        connects,
        &of_outputs(&|output| output.connects.map(|connects| connects as f64)),
    )?;
    let up = "1 while an output sends";
    family.gauge("output_up", up, &of_outputs(&|output| Some(f64::from(UP.contains(&output.state)))))
}

fn recordings(family: &mut Family, counts: &[(&str, Arc<Counts>)]) -> fmt::Result {
    let of_kept = |value: &dyn Fn(&crate::summary::Before) -> f64| {
        each(counts, |counts| counts.stream.record_before.iter().map(|kept| (vec![], value(kept))).collect())
    };
    let seconds = "Seconds of the stream that are kept for recordings to begin with";
    family.gauge("record_before_seconds", seconds, &of_kept(&|kept| kept.seconds))?;
    let bytes = "Bytes of memory that they take";
    family.gauge("record_before_bytes", bytes, &of_kept(&|kept| kept.bytes as f64))?;
    type Value<'a> = &'a dyn Fn(&crate::summary::Recording) -> f64;
    let of_recordings = |value: Value| {
        each(counts, |counts| {
            let recordings = counts.stream.recordings.iter();
            recordings.map(|recording| (vec![("format", recording.format.to_owned())], value(recording))).collect()
        })
    };
    family.counter("recording_video", "Access units recorded", &of_recordings(&|it| it.video as f64))?;
    family.counter("recording_depth", "Depth pictures recorded", &of_recordings(&|it| it.depth as f64))?;
    family.counter("recording_bodies", "Body-tracking packets recorded", &of_recordings(&|it| it.body as f64))?;
    let lost = |it: &crate::summary::Recording| it.dropped.iter().sum::<u64>() as f64;
    family.counter(
        "recording_dropped",
        "What was not recorded, for the disk was too slow or full",
        &of_recordings(&lost),
    )?;
    family.counter("recording_files", "Files that are whole", &of_recordings(&|it| it.files as f64))?;
    let up = |it: &crate::summary::Recording| f64::from(it.state == "recording");
    family.gauge("recording_up", "1 while a recording goes on", &of_recordings(&up))?;
    let failed = |it: &crate::summary::Recording| f64::from(it.state == "failed");
    family.gauge("recording_failed", "1 for a recording that failed", &of_recordings(&failed))
}

type NoLabels = [(&'static str, String); 0];

struct Family<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Family<'_, '_> {
    fn counter(&mut self, name: &str, help: &str, samples: &[Sample]) -> fmt::Result {
        self.write(name, help, MetricType::Counter, samples, |mut encoder, value| {
            encoder.encode_counter::<NoLabels, _, f64>(&value, None)
        })
    }

    fn gauge(&mut self, name: &str, help: &str, samples: &[Sample]) -> fmt::Result {
        self.write(name, help, MetricType::Gauge, samples, |mut encoder, value| encoder.encode_gauge(&value))
    }

    /// A family without samples is not told.
    fn write(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: &[Sample],
        write: impl Fn(MetricEncoder, f64) -> fmt::Result,
    ) -> fmt::Result {
        if samples.is_empty() {
            return Ok(());
        }
        let name = format!("cvmmap_{name}");
        let mut encoder = self.0.encode_descriptor(&name, help, None, kind)?;
        samples.iter().try_for_each(|(labels, value)| write(encoder.encode_family(labels)?, *value))
    }
}

fn each(counts: &[(&str, Arc<Counts>)], samples: impl Fn(&Counts) -> Vec<Sample>) -> Vec<Sample> {
    let of_camera = |(camera, counts): &(&str, Arc<Counts>)| {
        let camera = (*camera).to_owned();
        samples(counts).into_iter().map(move |(more, value)| (labels(&camera, &more), value))
    };
    counts.iter().flat_map(of_camera).collect()
}

fn labels(camera: &str, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let mut labels = vec![("camera", camera.to_owned())];
    labels.extend(more.iter().cloned());
    labels
}

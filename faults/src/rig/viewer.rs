//! A receiver of other people's parts: stock GStreamer elements take the RTP packets in and decode them, and every picture
//! is read. It is told to show nothing that a loss has touched.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use gst::prelude::*;
use gst_video::prelude::*;

use super::wait_for;
use crate::picture::{self, Shows, now_ms};

/// One thread, for those that decode ahead cost latency.
const DECODER: &str = "avdec_h264 max-threads=1 discard-corrupted-frames=true ! video/x-raw,format=I420 ! \
                       appsink name=sink sync=false";

/// A decoded picture.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// When it was decoded, Unix milliseconds.
    pub at_ms: u64,
    pub shows: Shows,
    pub size: (u32, u32),
}

/// What came.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub pictures: Vec<Picture>,
    pub packets: u64,
    /// Packets missing between those that came.
    pub lost: u64,
    /// Access units whose timestamp is before that of the one before.
    pub timestamps_back: u64,
    /// Longest time between two access units, and when the last one came.
    gap: Duration,
    last_unit: Option<Instant>,
    last_sequence: Option<u16>,
    last_timestamp: Option<u32>,
}

/// A receiver at work.
pub struct Viewer {
    pipeline: gst::Pipeline,
    pub port: u16,
    record: Arc<Mutex<Record>>,
}

impl Viewer {
    /// Receives on a port; 0 takes a free one.
    pub fn start(port: u16) -> Result<Self> {
        let pipeline = pipeline(&format!(
            "udpsrc name=source address=127.0.0.1 port={port} buffer-size=4000000 \
             caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264 ! \
             rtph264depay wait-for-keyframe=true ! h264parse ! {DECODER}"
        ))?;
        let record = Arc::new(Mutex::new(Record::default()));
        read_pictures(&pipeline, &record)?;
        let source = pipeline.by_name("source").context("the source")?;
        let packets = Arc::clone(&record);
        source.static_pad("src").context("a source pad")?.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(map) = info.buffer().and_then(|buffer| buffer.map_readable().ok()) {
                lock(&packets).packet(&map);
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing)?;
        // The port is taken when the state has changed.
        pipeline.state(gst::ClockTime::from_seconds(5)).0?;
        let port = u16::try_from(source.property::<i32>("port"))?;
        Ok(Self { pipeline, port, record })
    }

    pub fn record(&self) -> Record {
        lock(&self.record).clone()
    }

    /// Waits for so many more whole pictures. How long it took until the first.
    pub fn wait_pictures(&self, more: usize) -> Result<Duration> {
        let seen = || lock(&self.record).whole();
        let before = seen();
        let first = wait_for("picture at the viewer", || seen() > before)?;
        wait_for("more pictures at the viewer", || seen() >= before + more)?;
        Ok(first)
    }

    /// From now on the longest gap is measured anew.
    pub fn forget_gap(&self) {
        lock(&self.record).gap = Duration::ZERO;
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Decodes a file of Annex B.
pub fn decode(file: &Path) -> Result<Record> {
    let pipeline = pipeline(&format!("filesrc location={} ! h264parse ! {DECODER}", file.display()))?;
    let record = Arc::new(Mutex::new(Record::default()));
    read_pictures(&pipeline, &record)?;
    pipeline.set_state(gst::State::Playing)?;
    let ended = pipeline.bus().context("a bus")?.timed_pop_filtered(
        gst::ClockTime::from_seconds(super::PATIENCE.as_secs()),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    pipeline.set_state(gst::State::Null)?;
    match ended.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(lock(&record).clone()),
        Some(gst::MessageView::Error(error)) => Err(anyhow!("{}: {}", file.display(), error.error())),
        _ => Err(anyhow!("{} does not come to its end", file.display())),
    }
}

impl Record {
    fn packet(&mut self, packet: &[u8]) {
        // Source: RFC 3550 section 5.1.
        let Some(&[_, marker, s0, s1, t0, t1, t2, t3]) = packet.first_chunk::<8>() else {
            return;
        };
        let (sequence, timestamp) = (u16::from_be_bytes([s0, s1]), u32::from_be_bytes([t0, t1, t2, t3]));
        self.packets += 1;
        if let Some(last) = self.last_sequence.replace(sequence) {
            self.lost += u64::from(sequence.wrapping_sub(last).saturating_sub(1));
        }
        if let Some(last) = self.last_timestamp.replace(timestamp) {
            self.timestamps_back += u64::from(timestamp.wrapping_sub(last).cast_signed() < 0);
        }
        if marker & 0x80 != 0 {
            let now = Instant::now();
            if let Some(last) = self.last_unit.replace(now) {
                self.gap = self.gap.max(now - last);
            }
        }
    }

    pub fn whole(&self) -> usize {
        self.whole_pictures().count()
    }

    /// Decoded at, and taken at.
    pub fn whole_pictures(&self) -> impl Iterator<Item = (u64, u64)> {
        self.pictures.iter().filter_map(|picture| match picture.shows {
            Shows::Whole(taken_ms) => Some((picture.at_ms, taken_ms)),
            Shows::Mixed | Shows::Damaged => None,
        })
    }

    pub fn mixed(&self) -> usize {
        self.count(Shows::Mixed)
    }

    pub fn damaged(&self) -> usize {
        self.count(Shows::Damaged)
    }

    fn count(&self, shows: Shows) -> usize {
        self.pictures.iter().filter(|picture| picture.shows == shows).count()
    }

    /// From capture to decoded picture: not more in so many of a hundred pictures.
    pub fn latency_ms(&self, percent: usize) -> f64 {
        let mut ages = self.whole_pictures().map(|(at, taken)| at.saturating_sub(taken)).collect::<Vec<_>>();
        ages.sort_unstable();
        ages.get((ages.len() * percent / 100).min(ages.len().saturating_sub(1))).map_or(f64::NAN, |age| *age as f64)
    }

    pub fn gap_ms(&self) -> f64 {
        self.gap.as_millis() as f64
    }

    /// Picture sizes, in the order in which they came.
    pub fn sizes(&self) -> Vec<(u32, u32)> {
        let mut sizes = self.pictures.iter().map(|picture| picture.size).collect::<Vec<_>>();
        sizes.dedup();
        sizes
    }
}

fn pipeline(description: &str) -> Result<gst::Pipeline> {
    gst::parse::launch(description)
        .with_context(|| format!("GStreamer does not make: {description}"))?
        .downcast()
        .map_err(|_| anyhow!("not a pipeline: {description}"))
}

fn read_pictures(pipeline: &gst::Pipeline, record: &Arc<Mutex<Record>>) -> Result<()> {
    let sink = pipeline.by_name("sink").and_then(|sink| sink.downcast::<gst_app::AppSink>().ok()).context("a sink")?;
    let record = Arc::clone(record);
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                if let Some(picture) = read(&sample) {
                    lock(&record).pictures.push(picture);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    Ok(())
}

fn read(sample: &gst::Sample) -> Option<Picture> {
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
    let luma = frame.plane_data(0).ok()?;
    let stride = usize::try_from(frame.plane_stride()[0]).ok()?;
    let size = (frame.width(), frame.height());
    let shows = picture::read(size.0 as usize, size.1 as usize, |x, y| luma[y * stride + x]);
    Some(Picture { at_ms: now_ms(), shows, size })
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A receiver: what comes whole is taken apart and decoded by stock GStreamer elements, and every picture is read.

use std::{
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use gst::prelude::*;
use gst_video::prelude::*;

use super::{
    gate::{Gate, Header},
    wait_for,
};
use crate::picture::{self, Shows, now_ms};

/// The largest UDP payload.
const MAX_DATAGRAM: usize = 65_535;
/// What the kernel is asked to hold while this process waits for a processor.
const SOCKET_BUFFER: usize = 4 << 20;
/// How often to look whether it is over.
const LOOK: Duration = Duration::from_millis(50);
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

/// A receiver at work. Its port is closed when it is dropped.
pub struct Viewer {
    pub port: u16,
    record: Arc<Mutex<Record>>,
    over: Arc<AtomicBool>,
    receiving: Option<JoinHandle<()>>,
}

impl Viewer {
    /// Receives on a port; 0 takes a free one.
    pub fn start(port: u16) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
        // Smaller than asked is no reason to stop.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER);
        socket.set_read_timeout(Some(LOOK))?;
        let port = socket.local_addr()?.port();
        let pipeline = pipeline(&format!(
            "appsrc name=source format=time is-live=true do-timestamp=true \
             caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264 ! \
             rtph264depay ! h264parse ! {DECODER}"
        ))?;
        let source = pipeline.by_name("source").and_then(|source| source.downcast::<gst_app::AppSrc>().ok());
        let source = source.context("a source")?;
        let record = Arc::new(Mutex::new(Record::default()));
        read_pictures(&pipeline, &record)?;
        pipeline.set_state(gst::State::Playing)?;
        let over = Arc::new(AtomicBool::new(false));
        let (shared, asked) = (Arc::clone(&record), Arc::clone(&over));
        let receiving = Some(thread::spawn(move || {
            receive(&socket, &source, &shared, &asked);
            let _ = pipeline.set_state(gst::State::Null);
        }));
        Ok(Self { port, record, over, receiving })
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
        self.over.store(true, Ordering::Relaxed);
        if let Some(receiving) = self.receiving.take() {
            let _ = receiving.join();
        }
    }
}

fn receive(socket: &UdpSocket, source: &gst_app::AppSrc, record: &Mutex<Record>, over: &AtomicBool) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    let mut gate = Gate::default();
    while !over.load(Ordering::Relaxed) {
        let Ok(length) = socket.recv(&mut datagram) else {
            continue;
        };
        let packet = &datagram[..length];
        let Some(header) = Header::read(packet) else {
            continue;
        };
        lock(record).packet(&header);
        for packet in gate.pass(&header, packet) {
            // Refused only by a pipeline that is broken: no pictures come then.
            let _ = source.push_buffer(gst::Buffer::from_mut_slice(packet));
        }
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
    fn packet(&mut self, header: &Header) {
        self.packets += 1;
        if let Some(last) = self.last_sequence.replace(header.sequence) {
            self.lost += u64::from(header.sequence.wrapping_sub(last).saturating_sub(1));
        }
        if let Some(last) = self.last_timestamp.replace(header.timestamp) {
            self.timestamps_back += u64::from(header.timestamp.wrapping_sub(last).cast_signed() < 0);
        }
        if header.marker {
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

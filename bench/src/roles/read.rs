//! A consumer: pipelines, and what can be seen at the source pads of their `cvmmapsrc`.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, bail};
use clap::{Args as ClapArgs, ValueEnum};
use gst::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    child::{Sample, serve},
    pace::unix_now,
    roles::produce::pixel_of,
    usage::Usage,
};

#[derive(ClapArgs)]
pub struct Args {
    /// A pipeline description; may be given several times
    #[arg(long, required = true)]
    pipeline: Vec<String>,
    /// What is looked at as frames leave the source
    #[arg(long, default_value = "nothing")]
    observe: Observe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Observe {
    Nothing,
    /// Their times and where their memory lies.
    Times,
    /// Whether all pixels are those of the frame.
    Pixels,
}

/// What was seen since the last time.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Unix time on leaving less the producer's timestamp, nanoseconds.
    pub delays: Vec<i64>,
    /// PTS less the producer's timestamp, nanoseconds.
    pub pts_offsets: Vec<i64>,
    /// Addresses of the frames' memory.
    pub memories: BTreeSet<usize>,
    pub checked: u64,
    /// Frames whose pixels are not all their own.
    pub mixed: u64,
}

/// GStreamer with the elements that are measured.
pub fn init() -> Result<()> {
    gst::init()?;
    gstcvmmap::plugin_register_static()?;
    Ok(())
}

pub fn parse(description: &str) -> Result<gst::Pipeline> {
    let parsed = gst::parse::launch(description).with_context(|| description.to_owned())?;
    parsed.downcast::<gst::Pipeline>().map_err(|_| anyhow::anyhow!("not a pipeline: {description}"))
}

pub fn run(args: &Args) -> Result<()> {
    init()?;
    let pipelines = args.pipeline.iter().map(|description| parse(description)).collect::<Result<Vec<_>>>()?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    for source in sources(&pipelines).filter(|_| args.observe != Observe::Nothing) {
        observe(&source, args.observe, &seen)?;
    }
    let set_state = |state| pipelines.iter().try_for_each(|pipeline| pipeline.set_state(state).map(drop));
    set_state(gst::State::Playing)?;
    serve("ready", |command| {
        for pipeline in &pipelines {
            fail_on_error(pipeline)?;
        }
        match command {
            "sample" => Ok(serde_json::to_string(&sample(&pipelines)?)?),
            "seen" => Ok(serde_json::to_string(&mem::take(&mut *lock(&seen)))?),
            "pause" => {
                set_state(gst::State::Paused)?;
                Ok("null".to_owned())
            }
            "play" => {
                set_state(gst::State::Playing)?;
                Ok("null".to_owned())
            }
            unknown => bail!("unknown command {unknown}"),
        }
    })?;
    set_state(gst::State::Null)?;
    Ok(())
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sources(pipelines: &[gst::Pipeline]) -> impl Iterator<Item = gst::Element> {
    pipelines
        .iter()
        .flat_map(|pipeline| pipeline.iterate_sources().into_iter().flatten())
        .filter(|source| source.factory().is_some_and(|factory| factory.name() == "cvmmapsrc"))
}

fn sample(pipelines: &[gst::Pipeline]) -> Result<Sample> {
    let mut stats = BTreeMap::<String, u64>::new();
    for source in sources(pipelines) {
        for (name, value) in source.property::<gst::Structure>("stats").iter() {
            // Not all is a count.
            if let Ok(count) = value.get::<u64>() {
                *stats.entry(name.to_string()).or_default() += count;
            }
        }
    }
    let mut frames = 0;
    for sink in pipelines.iter().flat_map(|pipeline| pipeline.iterate_sinks().into_iter().flatten()) {
        frames += sink.property::<gst::Structure>("stats").get::<u64>("rendered")?;
    }
    Ok(Sample { usage: Usage::now()?, frames, stats })
}

pub fn fail_on_error(pipeline: &gst::Pipeline) -> Result<()> {
    let bus = pipeline.bus().context("a bus")?;
    match bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos]) {
        None => Ok(()),
        Some(message) => bail!("{message:?}"),
    }
}

fn observe(source: &gst::Element, what: Observe, seen: &Arc<Mutex<Seen>>) -> Result<()> {
    let pad = source.static_pad("src").context("a source pad")?;
    let unix = gst::Caps::new_empty_simple("timestamp/x-unix");
    let seen = Arc::clone(seen);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let now = unix_now();
        let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
        let Ok(map) = buffer.map_readable() else { return gst::PadProbeReturn::Ok };
        let mut seen = lock(&seen);
        match what {
            Observe::Nothing => {}
            Observe::Times => {
                let stamp = buffer.iter_meta::<gst::ReferenceTimestampMeta>().find(|meta| meta.reference() == &*unix);
                if let (Some(stamp), Some(pts)) = (stamp, buffer.pts()) {
                    let stamp = stamp.timestamp().nseconds() as i64;
                    seen.delays.push(now as i64 - stamp);
                    seen.pts_offsets.push(pts.nseconds() as i64 - stamp);
                }
                seen.memories.insert(map.as_ptr() as usize);
            }
            Observe::Pixels => {
                let pixel = pixel_of(buffer.offset() as u32);
                let differ = |chunk: &[u8]| chunk.iter().fold(0, |differ, byte| differ | (byte ^ pixel)) != 0;
                seen.checked += 1;
                seen.mixed += u64::from(map.chunks(4096).any(differ));
            }
        }
        gst::PadProbeReturn::Ok
    })
    .context("a probe")?;
    Ok(())
}

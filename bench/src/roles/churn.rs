//! Whether anything is left behind by a source that starts and stops, or whose producer does.

use std::{
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::{Args as ClapArgs, ValueEnum};
use cvmmap::{Abi, Address, DepthUnit, Frame, Publisher, Target};
use gst::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    child::say,
    pace::unix_now,
    picture::Picture,
    roles::{
        produce::image,
        read::{fail_on_error, init, parse},
    },
    usage::Usage,
};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(ClapArgs)]
pub struct Args {
    #[arg(long)]
    uri: Target,
    #[command(flatten)]
    picture: Picture,
    #[arg(long)]
    of: Churn,
    #[arg(long)]
    cycles: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Churn {
    /// The source starts and stops; the producer runs elsewhere.
    Source,
    /// The producer, which is in this process, starts and stops.
    Producer,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Left {
    /// After the first tenth of the cycles: what is made once has been made.
    pub before: Usage,
    pub after: Usage,
}

pub fn run(args: &Args) -> Result<()> {
    init()?;
    say("ready")?;
    let pipeline = parse(&format!("cvmmapsrc name=source uri={} ! fakesink sync=false", args.uri))?;
    let frames = frames_of(&pipeline)?;
    let cycle = || match args.of {
        Churn::Source => restart_source(&pipeline, &frames),
        Churn::Producer => restart_producer(&pipeline, &frames, args),
    };
    let warm_up = args.cycles / 10;
    let mut before = Usage::now()?;
    for done in 0..args.cycles {
        if done == warm_up {
            before = Usage::now()?;
        }
        cycle().with_context(|| format!("after {done} cycles"))?;
    }
    let after = Usage::now()?;
    pipeline.set_state(gst::State::Null)?;
    say(&serde_json::to_string(&Left { before, after })?)
}

/// One message for every frame that leaves the source while somebody waits for it.
fn frames_of(pipeline: &gst::Pipeline) -> Result<Receiver<()>> {
    let (sender, frames) = sync_channel(1);
    let pad = pipeline.by_name("source").and_then(|source| source.static_pad("src")).context("a source pad")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let _ = sender.try_send(());
        gst::PadProbeReturn::Ok
    })
    .context("a probe")?;
    Ok(frames)
}

fn restart_source(pipeline: &gst::Pipeline, frames: &Receiver<()>) -> Result<()> {
    pipeline.set_state(gst::State::Playing)?;
    let came = frames.recv_timeout(PATIENCE);
    fail_on_error(pipeline)?;
    came.context("no frame came")?;
    pipeline.set_state(gst::State::Null)?;
    let _ = frames.try_recv();
    Ok(())
}

fn restart_producer(pipeline: &gst::Pipeline, frames: &Receiver<()>, args: &Args) -> Result<()> {
    let mut publisher = Publisher::create(&Address::from(&args.uri), Abi::V2 { minor: 0 })?;
    pipeline.set_state(gst::State::Playing)?;
    let data = vec![0x5A; args.picture.bytes()];
    let _ = frames.try_recv();
    let deadline = Instant::now() + PATIENCE;
    loop {
        publisher.publish(&Frame {
            timestamp_ns: unix_now(),
            planes: &[image(&args.picture, &data)],
            depth_unit: DepthUnit::Unknown,
            encoded: None,
        })?;
        if frames.recv_timeout(Duration::from_millis(5)).is_ok() {
            return fail_on_error(pipeline);
        }
        if Instant::now() > deadline {
            bail!("no frame came");
        }
    }
}

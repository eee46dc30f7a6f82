//! The sending side of a transport: one prepared picture, over and over, into a sink.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use gst::prelude::*;

use crate::{
    child::{Sample, serve},
    pace::Pace,
    picture::Picture,
    roles::read::{init, parse},
    usage::Usage,
};

#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    picture: Picture,
    /// The sink, as a pipeline description
    #[arg(long)]
    sink: String,
}

pub fn run(args: &Args) -> Result<()> {
    init()?;
    let pipeline = parse(&format!("appsrc name=feed is-live=true format=time ! {}", args.sink))?;
    let feed = pipeline.by_name("feed").and_downcast::<gst_app::AppSrc>().context("an appsrc")?;
    feed.set_caps(Some(&args.picture.caps().parse()?));
    pipeline.set_state(gst::State::Playing)?;
    let sink = pipeline.iterate_sinks().next().ok().flatten().context("a sink")?;
    // tcpserversink chose its port.
    let greeting = match sink.find_property("current-port") {
        Some(_) => sink.property::<i32>("current-port").to_string(),
        None => "ready".to_owned(),
    };

    let prepared = gst::Buffer::from_mut_slice(vec![0x5A_u8; args.picture.bytes()]);
    let sent = Arc::new(AtomicU64::new(0));
    let ended = Arc::new(AtomicBool::new(false));
    let feeder = {
        let (sent, ended) = (Arc::clone(&sent), Arc::clone(&ended));
        let mut pace = Pace::new(args.picture.fps);
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                pace.wait();
                // The copy shares the memory.
                if feed.current_level_buffers() < 2 && feed.push_buffer(prepared.copy()).is_ok() {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    serve(&greeting, |_| {
        let frames = sent.load(Ordering::Relaxed);
        Ok(serde_json::to_string(&Sample { usage: Usage::now()?, frames, stats: Default::default() })?)
    })?;
    ended.store(true, Ordering::Relaxed);
    let _ = feeder.join();
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}

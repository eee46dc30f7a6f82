//! The producer's depth in colour beside its picture: read, coloured and encoded in pipelines of its own, so that the picture
//! never waits for it, and goes on without it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cvmmap::Codec;
use gst::prelude::*;
use tools_cli::failure::Failure;
use tools_media::{
    elements,
    encoders::{Choice, Picking},
};

use super::{
    complaint,
    depth_colour::DepthColour,
    encode_time::EncodeTime,
    handoff::Handoff,
    ingest,
    log::{tell, teller},
    media::Media,
    outlet::{FanOut, Said},
    plan::{Encoding, Stream},
    stage::{Place, Stage},
    timebase::Timebase,
};
use crate::recorder::Recorders;

/// A producer that has sent no depth by then is told of.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Depth on its way to the outputs.
#[derive(Debug)]
pub struct DepthTrack {
    encoding: Encoding,
    codec: Option<Codec>,
    place: Place,
    reader: gst::Pipeline,
    /// The encoder that was picked, or is being picked.
    choice: Option<Choice>,
    picking: Option<Picking>,
    stage: Option<Stage>,
    started: Option<Instant>,
    told_silence: bool,
    ended: bool,
}

impl DepthTrack {
    /// Assembles what reads it; nothing runs yet.
    ///
    /// # Errors
    /// When an element is missing or refuses its settings.
    pub fn new(plan: &Stream, clock: &Timebase) -> Result<Self, Failure> {
        let handoff = Arc::<Handoff>::default();
        let reader = reader(plan, clock, Arc::clone(&handoff))?;
        Ok(Self {
            encoding: plan.encoding,
            codec: plan.codec,
            place: Place {
                handoff,
                fan_out: FanOut::new(Recorders::new(Arc::new(teller())), false),
                timebase: clock.clone(),
                encode_time: Arc::<EncodeTime>::default(),
            },
            reader,
            choice: None,
            picking: None,
            stage: None,
            started: None,
            told_silence: false,
            ended: false,
        })
    }

    /// Where its access units come from.
    pub fn fan_out(&self) -> &FanOut {
        &self.place.fan_out
    }

    /// Begins to read; the outputs' codec is known by now.
    pub fn start(&mut self, codec: Codec) {
        if self.started.is_some() {
            return;
        }
        self.codec = Some(codec);
        self.started = Some(Instant::now());
        if self.reader.set_state(gst::State::Playing).is_err() {
            self.give_up("the source does not start");
        }
    }

    /// Does what is due. Nothing that happens to it ends the run.
    pub fn look(&mut self) {
        if self.ended || self.started.is_none() {
            return;
        }
        if let Err(failure) = self.look_after_encoder() {
            return self.give_up(&failure.to_string());
        }
        if let Some(message) =
            self.reader.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos]))
        {
            let why = match message.view() {
                gst::MessageView::Error(error) => complaint::sentence(&error.error(), error.debug().as_deref()),
                _ => "the source ended".to_owned(),
            };
            return self.give_up(&why);
        }
        while let Some(said) = self.stage.as_mut().and_then(Stage::said) {
            match said {
                Said::Ended => return self.give_up("its encoder ended by itself"),
                Said::Broke(why) => return self.give_up(&why),
                Said::Warned(text) => tell(&format!("warning: depth track: {text}")),
            }
        }
        let silent = self.stage.is_none() && self.started.is_some_and(|started| started.elapsed() > SILENCE_MAX);
        if silent && !std::mem::replace(&mut self.told_silence, true) {
            tell("depth track: the producer has sent no depth yet; the picture goes on alone");
        }
    }

    /// Picks an encoder once there is depth, and has it take what waits.
    fn look_after_encoder(&mut self) -> Result<(), Failure> {
        if let Some(picked) = self.picking.as_ref().and_then(Picking::look) {
            self.picking = None;
            self.choice = Some(picked?);
        }
        let (Some(media), Some(codec)) = (self.place.handoff.waits(), self.codec) else {
            return Ok(());
        };
        match self.choice.clone() {
            Some(choice) => self.encode(choice, codec, media),
            None => {
                let Encoding { device, live, .. } = self.encoding;
                self.picking.get_or_insert_with(|| Picking::begin(move || Choice::pick(codec, device, live.needs())));
                Ok(())
            }
        }
    }

    fn encode(&mut self, choice: Choice, codec: Codec, media: Media) -> Result<(), Failure> {
        let mut stage = Stage::encoder(choice, codec, &self.encoding, media, &self.place)?;
        stage.start(&self.place);
        if let Some(old) = self.stage.replace(stage) {
            drop(old.retire());
        }
        Ok(())
    }

    fn give_up(&mut self, why: &str) {
        tell(&format!("depth track: {why}; the picture goes on alone"));
        self.ended = true;
        self.stop();
    }

    fn stop(&mut self) {
        self.place.handoff.close();
        // Nothing is left to be told a failure to stop.
        let _ = self.reader.set_state(gst::State::Null);
        if let Some(stage) = self.stage.take() {
            drop(stage.retire());
        }
    }
}

/// Reads depth and hands it on in colour.
fn reader(plan: &Stream, clock: &Timebase, handoff: Arc<Handoff>) -> Result<gst::Pipeline, Failure> {
    let source = ingest::source(plan)?;
    source.set_property_from_str("plane", "depth");
    source.set_property("queue-size", 1_u32);
    // The picture's source decides about the end.
    source.set_property("idle-timeout", 0_u32);
    source.set_property("max-frames", 0_u64);
    let end = elements::make_app::<gst_app::AppSink>("appsink")?;
    end.set_property("sync", false);
    end.set_property("async", false);
    end.set_property("enable-last-sample", false);
    end.set_caps(Some(&gst::Caps::builder("video/x-raw").field("format", "GRAY16_LE").build()));
    let mut colour = DepthColour::default();
    let take = move |sink: &gst_app::AppSink| {
        let sample = colour.convert(&sink.pull_sample().map_err(|_| gst::FlowError::Eos)?)?;
        handoff.offer(&sample, || sink.current_running_time(), || ())
    };
    end.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(take).build());
    let pipeline = gst::Pipeline::with_name("depth");
    clock.set(&pipeline);
    elements::add_chain(&pipeline, &[&source, end.upcast_ref()])?;
    Ok(pipeline)
}

impl Drop for DepthTrack {
    fn drop(&mut self) {
        self.stop();
    }
}

//! A run: the producer's frames, what makes access units of them at the moment, and the outputs, which outlive it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    encoder,
    handoff::{Handoff, Media},
    ingest::Ingest,
    options::{Codec, EncoderDevice, VideoSource},
    outlet::{FanOut, Outlets, Retired, Said},
    plan::{self, Stream},
    run::tell,
    stage::{Place, Stage},
    summary,
    timebase::Timebase,
};
use crate::{common::failure::Failure, recorder::Recorders};

/// After the end of the input, the encoder has this long to give what it holds,
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// and after a signal this long.
const HASTY_DRAIN_MAX: Duration = Duration::from_millis(200);
/// A stage that ends as it should takes less.
const RETIRE_MAX: Duration = Duration::from_millis(100);

/// From a producer to its outputs.
#[derive(Debug)]
pub struct Streamer<'a> {
    plan: &'a Stream,
    recorders: Arc<Recorders>,
    place: Place,
    ingest: Ingest,
    stage: Option<Stage>,
    /// The encoder that was picked.
    choice: Option<encoder::Choice>,
    /// Access units of earlier stages.
    given_before: u64,
    /// There are none before the codec is known.
    outlets: Option<(Codec, Outlets)>,
    /// Until when the last access units are waited for.
    draining: Option<Instant>,
    finished: bool,
}

impl<'a> Streamer<'a> {
    /// Assembles what is known already; nothing runs yet.
    ///
    /// # Errors
    /// When something is missing or refuses its settings.
    pub fn new(plan: &'a Stream, recorders: &Arc<Recorders>) -> Result<Self, Failure> {
        let place = Place {
            handoff: Arc::<Handoff>::default(),
            fan_out: FanOut::new(Arc::clone(recorders)),
            timebase: Timebase::new(),
            encode_time: Arc::default(),
        };
        let ingest = Ingest::new(plan, &place.timebase, Arc::clone(&place.handoff))?;
        recorders.watch(ingest.source(), place.fan_out.ask_for_keyframe());
        let choice = match (plan.video_source, plan.codec) {
            (VideoSource::Raw, Some(codec)) => Some(encoder::Choice::pick(codec, &plan.encoding)?),
            // Whoever names a device wants to know now that it is not there.
            (VideoSource::Auto, Some(codec)) if plan.encoding.device != EncoderDevice::Auto => {
                Some(encoder::Choice::pick(codec, &plan.encoding)?)
            }
            _ => None,
        };
        // What cannot be made is told now, not when the codec is known.
        let made = Outlets::new(plan.codec.unwrap_or(Codec::H264), plan, &place.fan_out)?;
        let outlets = plan.codec.map(|codec| (codec, made));
        Ok(Self {
            plan,
            recorders: Arc::clone(recorders),
            place,
            ingest,
            stage: None,
            choice,
            given_before: 0,
            outlets,
            draining: None,
            finished: false,
        })
    }

    /// The pipeline that reads the producer's frames.
    pub fn ingest(&self) -> &gst::Pipeline {
        self.ingest.pipeline()
    }

    /// Starts everything but the reading.
    ///
    /// # Errors
    /// What an output or an encoder complains of.
    pub fn start(&mut self) -> Result<(), Failure> {
        if let Some((_, outlets)) = &mut self.outlets {
            outlets.start()?;
        }
        let input = &self.plan.input;
        match (self.plan.video_source, self.plan.codec) {
            (VideoSource::Raw, Some(codec)) => self.encode(codec, Media::Raw(0)),
            (VideoSource::Encoded, _) => {
                tell(&format!("waiting for the producer {input}: its access units"));
                Ok(())
            }
            _ => {
                tell(&format!("waiting for the producer {input}: its access units if it has any, else its pictures"));
                Ok(())
            }
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// What ends the run.
    pub fn look(&mut self) -> Result<(), Failure> {
        if let Some(media) = self.place.handoff.waits() {
            self.meet(media)?;
        }
        self.look_after_stage()?;
        if self.draining.is_some_and(|until| Instant::now() >= until) {
            self.finish_outlets();
        }
        match &mut self.outlets {
            Some((_, outlets)) => outlets.look(),
            None => Ok(()),
        }
    }

    /// The input is over, or is not wanted any more: what is on its way is sent, in haste or not.
    pub fn finish(&mut self, hasty: bool) {
        self.place.handoff.close();
        match &self.stage {
            Some(stage) if self.draining.is_none() => stage.finish(),
            _ => {}
        }
        let time = if hasty { HASTY_DRAIN_MAX } else { DRAIN_MAX };
        self.draining = Some(Instant::now() + time);
        if self.stage.is_none() {
            self.finish_outlets();
        }
    }

    /// Whether nothing more will be sent.
    pub fn has_ended(&self) -> bool {
        match &self.outlets {
            Some((_, outlets)) => outlets.have_ended(),
            None => self.finished,
        }
    }

    /// Why the run fails because of its outputs, as far as can be told now.
    pub fn fault(&self) -> Option<Failure> {
        self.outlets.as_ref()?.1.fault()
    }

    /// Whether a producer without access units is of no use.
    pub fn needs_access_units(&self) -> bool {
        self.plan.video_source == VideoSource::Encoded
    }

    /// Frames that the source has read, and those of them that still wait for the encoder.
    pub fn progress(&self) -> (u64, u64) {
        let frames = self.ingest.frames();
        (frames.received, frames.received.saturating_sub(frames.pushed + frames.dropped))
    }

    /// A body-tracking packet came.
    pub fn record_body(&self, packet: &[u8]) {
        self.recorders.body(packet);
    }

    /// Begins anew with a keyframe: the source starts over.
    pub fn force_keyframe(&self) {
        (self.place.fan_out.ask_for_keyframe())();
    }

    /// What happened so far.
    pub fn summary(&self) -> summary::Stream {
        let frames = self.ingest.frames();
        summary::Stream {
            frames_in: frames.received,
            dropped: frames.dropped,
            torn: frames.torn,
            late: frames.late,
            skipped: frames.skipped,
            invalid: frames.invalid,
            undecodable: frames.undecodable,
            encoder: self.stage.as_ref().map_or("none", Stage::name),
            encoded: self.given_before + self.stage.as_ref().map_or(0, Stage::given),
            encode_ms: summary::Latency::new(&self.place.encode_time.histogram()),
            encoded_latency_ms: summary::Latency::new(&self.place.fan_out.latency()),
            outputs: self.outlets.as_ref().map(|(_, outlets)| outlets.summary()).unwrap_or_default(),
            recordings: Vec::new(),
        }
    }

    /// Makes ready for frames of a kind that nobody takes yet.
    fn meet(&mut self, media: Media) -> Result<(), Failure> {
        let known = self.outlets.as_ref().map(|(codec, _)| *codec);
        match (media, known) {
            (Media::Raw(_), None) => Err(Failure::Usage(
                "the producer has no access units, its pictures have to be encoded: give --codec h264 or --codec h265"
                    .to_owned(),
            )),
            (Media::Raw(_), Some(codec)) => self.encode(codec, media),
            (Media::Encoded(theirs, _), Some(ours)) if theirs != ours => self.decline(theirs, ours),
            (Media::Encoded(codec, _), known) => {
                if known.is_none() {
                    self.learn(codec)?;
                }
                self.turn_to(Stage::passthrough(codec, media, &self.place)?)
            }
        }
    }

    /// The codec is known at last: outputs can be made.
    fn learn(&mut self, codec: Codec) -> Result<(), Failure> {
        for rtmp in &self.plan.rtmp {
            plan::check_packaging(codec, rtmp.mode)
                .map_err(|why| Failure::Usage(format!("the producer's access units are {codec}: {why}")))?;
        }
        let mut outlets = Outlets::new(codec, self.plan, &self.place.fan_out)?;
        outlets.start()?;
        self.outlets = Some((codec, outlets));
        Ok(())
    }

    /// Access units of another codec than the outputs are for.
    fn decline(&mut self, theirs: Codec, ours: Codec) -> Result<(), Failure> {
        if self.needs_access_units() {
            return Err(Failure::Pipeline(format!(
                "the producer's access units are {theirs} and the outputs are for {ours}; start again without --codec, \
                 or take --input-video-source auto to have its pictures encoded"
            )));
        }
        tell(&format!("the producer's access units are {theirs} and not {ours}: its pictures are encoded instead"));
        self.ingest.turn_to_pictures()
    }

    fn look_after_stage(&mut self) -> Result<(), Failure> {
        while let Some(said) = self.stage.as_ref().and_then(Stage::said) {
            match said {
                Said::Ended if self.draining.is_some() => self.finish_outlets(),
                // Nobody waits for what is left in it.
                Said::Broke(_) if self.draining.is_some() => self.finish_outlets(),
                Said::Ended => return self.lose_stage("the encoder ended by itself"),
                Said::Broke(why) => return self.lose_stage(&why),
                Said::Warned(text) => tell(&format!("warning: encoder: {text}")),
            }
        }
        let handoff = &self.place.handoff;
        match self.stage.as_mut().filter(|_| self.draining.is_none()).and_then(|stage| stage.silence(handoff)) {
            Some(silence) => self.lose_stage(&silence),
            None => Ok(()),
        }
    }

    /// Goes on with another encoder, where that is allowed.
    fn lose_stage(&mut self, why: &str) -> Result<(), Failure> {
        let (Some(stage), Some((codec, _))) = (&self.stage, &self.outlets) else {
            return Ok(());
        };
        let failure = match stage.name() {
            name if why.starts_with(name) => why.to_owned(),
            name => format!("{name}: {why}"),
        };
        if !stage.is_hardware() {
            return Err(Failure::Pipeline(format!("encoder: {failure}")));
        }
        if self.plan.encoding.device != EncoderDevice::Auto {
            return Err(Failure::Pipeline(format!("{failure}; take --encoder-device auto or software")));
        }
        let (codec, media) = (*codec, stage.media());
        self.choice = Some(encoder::Choice::software(codec, &self.plan.encoding, &failure)?);
        self.encode(codec, media)
    }

    /// Has such pictures encoded from now on.
    fn encode(&mut self, codec: Codec, media: Media) -> Result<(), Failure> {
        let encoding = &self.plan.encoding;
        let choice = match &self.choice {
            Some(choice) => choice,
            None => self.choice.insert(encoder::Choice::pick(codec, encoding)?),
        };
        let stage = Stage::encoder(choice.clone(), codec, encoding, media, &self.place)?;
        self.turn_to(stage)
    }

    /// Takes access units from another stage from now on.
    fn turn_to(&mut self, stage: Stage) -> Result<(), Failure> {
        let started = stage.start(&self.place);
        // Another size, or other parameter sets, are no news to a user.
        if self.stage.as_ref().is_none_or(|last| last.sentence() != stage.sentence()) {
            tell(&stage.sentence());
        }
        if let Some(old) = self.stage.replace(stage) {
            self.given_before += old.given();
            // It may hang: nobody waits for its end.
            drop(old.retire());
        }
        match started {
            Ok(()) => Ok(()),
            Err(Failure::Pipeline(why)) => self.lose_stage(&why),
            Err(failure) => Err(failure),
        }
    }

    fn finish_outlets(&mut self) {
        self.draining = None;
        if !std::mem::replace(&mut self.finished, true)
            && let Some((_, outlets)) = &mut self.outlets
        {
            outlets.finish();
        }
    }
}

impl Drop for Streamer<'_> {
    fn drop(&mut self) {
        self.place.handoff.close();
        let retired: Option<Retired> = self.stage.take().map(Stage::retire);
        // Outputs take their time meanwhile.
        self.outlets = None;
        if let Some(retired) = retired {
            retired.wait(Instant::now() + RETIRE_MAX);
        }
    }
}

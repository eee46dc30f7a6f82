//! A run: the producer's frames, what makes access units of them at the moment, and the outputs, which outlive it.

mod stages;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cvmmap::Codec;
use tools_cli::failure::Failure;
use tools_media::encoders::{Choice, Picking};

use super::{
    depth_track::DepthTrack,
    encoder_control::Control,
    handoff::Handoff,
    ingest::Ingest,
    log::tell,
    media::Media,
    options::{self, VideoSource},
    outlet::{FanOut, Outlets, Retired},
    plan::Stream,
    rate_keeper::RateKeeper,
    slate::Slate,
    stage::{Place, Stage},
    summary,
    timebase::Timebase,
};
use crate::{recorder::Recorders, watch};

/// After the end of the input, the encoder has this long to give what it holds,
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// and after a signal this long.
const HASTY_DRAIN_MAX: Duration = Duration::from_millis(200);
/// A stage that ends as it should takes less.
const RETIRE_MAX: Duration = Duration::from_millis(100);

/// For a frozen picture so much of the producer's access units is kept at most.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Those who watch are told what is counted this often.
const STATUS_SPACING: Duration = Duration::from_secs(1);

/// From a producer to its outputs.
#[derive(Debug)]
pub struct Streamer<'a> {
    plan: &'a Stream,
    recorders: Arc<Recorders>,
    /// What a browser sees of it.
    camera: Arc<watch::Camera>,
    place: Place,
    ingest: Ingest,
    /// What stands in for the producer.
    slate: Option<Slate>,
    /// Depth beside the picture.
    depth: Option<DepthTrack>,
    stage: Option<Stage>,
    /// The encoder that was picked,
    choice: Option<Choice>,
    /// and the hardware one that software stands in for, until it is known whose fault that was.
    suspect: Option<Choice>,
    /// The encoder's bit rate.
    keeper: RateKeeper,
    /// An encoder is being picked; which can be had shows when they are opened.
    picking: Option<Picking>,
    /// Why a picture was not encoded.
    refusal: Option<String>,
    /// What was last told of a stage.
    told: Option<String>,
    /// Access units of earlier stages.
    given_before: u64,
    /// There are none before the codec is known.
    outlets: Option<(Codec, Outlets)>,
    /// Until when the last access units are waited for.
    draining: Option<Instant>,
    finished: bool,
    /// When those who watch were last told what is counted.
    status_shown: Option<Instant>,
}

impl<'a> Streamer<'a> {
    /// Assembles what is known already; nothing runs yet. `choice` is the encoder, if it was picked already.
    ///
    /// # Errors
    /// When something is missing or refuses its settings.
    pub fn new(
        plan: &'a Stream,
        recorders: &Arc<Recorders>,
        camera: &Arc<watch::Camera>,
        control: &Arc<Control>,
        choice: Option<Choice>,
    ) -> Result<Self, Failure> {
        let place = Place {
            handoff: Arc::<Handoff>::default(),
            fan_out: FanOut::new(Arc::clone(recorders), plan.timestamp_sei),
            timebase: Timebase::new(),
            encode_time: Arc::default(),
        };
        let slate = Slate::new(&plan.slate)?;
        if slate.is_some() {
            let is_frozen = plan.slate == options::Slate::Freeze;
            place.fan_out.keep_group(if is_frozen { GROUP_BYTES_MAX } else { 0 });
            if is_frozen {
                place.handoff.keep_last();
            }
        }
        let ask_for_keyframe = place.fan_out.ask_for_keyframe();
        control.connect(Box::new(move || ask_for_keyframe()));
        let ingest = Ingest::new(plan, &place.timebase, Arc::clone(&place.handoff))?;
        recorders.watch(ingest.source(), place.fan_out.ask_for_keyframe());
        let depth = plan.wants_depth().then(|| DepthTrack::new(plan, &place.timebase)).transpose()?;
        // What cannot be made is told now, not when the codec is known.
        let depth_fan_out = depth.as_ref().map(DepthTrack::fan_out);
        let made = Outlets::new(plan.codec.unwrap_or(Codec::H264), plan, &place.fan_out, depth_fan_out, &camera.doors)?;
        let outlets = plan.codec.map(|codec| (codec, made));
        Ok(Self {
            plan,
            recorders: Arc::clone(recorders),
            camera: Arc::clone(camera),
            place,
            ingest,
            slate,
            depth,
            stage: None,
            choice,
            suspect: None,
            keeper: RateKeeper::new(plan.encoding, control),
            picking: None,
            refusal: None,
            told: None,
            given_before: 0,
            outlets,
            draining: None,
            finished: false,
            status_shown: None,
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
        if let Some((codec, outlets)) = &mut self.outlets {
            outlets.start()?;
            self.depth.iter_mut().for_each(|depth| depth.start(*codec));
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
        if self.status_shown.is_none_or(|shown| shown.elapsed() >= STATUS_SPACING) {
            self.status_shown = Some(Instant::now());
            self.camera.show_status(&self.summary());
        }
        self.look_after_picking()?;
        if self.picking.is_none()
            && let Some(media) = self.place.handoff.waits()
        {
            self.meet(media)?;
        }
        self.look_after_slate()?;
        self.look_after_stage()?;
        self.look_after_rate()?;
        self.depth.iter_mut().for_each(DepthTrack::look);
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
        let outlets = self.outlets.as_ref().and_then(|(_, outlets)| outlets.fault());
        let given = self.given_before + self.stage.as_ref().map_or(0, Stage::given);
        let nothing = self.refusal.as_ref().filter(|_| given == 0);
        outlets.or_else(|| nothing.map(|why| Failure::Pipeline(format!("no picture could be encoded: {why}"))))
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

    /// What is told when the wait for the first frame is over.
    pub fn nothing_came(&self) -> String {
        let frames = self.ingest.frames();
        let unusable = frames.torn + frames.late + frames.invalid + frames.undecodable;
        let instead = match unusable {
            0 => "look whether the producer runs under that name".to_owned(),
            unusable => format!("{unusable} came that could not be used"),
        };
        format!("no frame came within {} ms (--ingest-idle-timeout-ms); {instead}", self.plan.idle_timeout_ms)
    }

    /// A body-tracking packet came.
    pub fn record_body(&self, packet: &[u8]) {
        self.recorders.body(packet);
        self.camera.show_bodies(packet);
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
            unencodable: self.place.handoff.dropped(),
            encoder: self.stage.as_ref().map_or("none", Stage::name),
            encoded: self.given_before + self.stage.as_ref().map_or(0, Stage::given),
            kbit: self.stage.as_ref().and_then(Stage::kbit),
            rate_changes: self.keeper.changes(),
            encoded_bytes: self.place.fan_out.bytes(),
            encode_ms: summary::Latency::new(&self.place.encode_time.histogram()),
            encoded_latency_ms: summary::Latency::new(&self.place.fan_out.latency()),
            outputs: self.outlets.as_ref().map(|(_, outlets)| outlets.summary()).unwrap_or_default(),
            slate: self.slate.as_ref().map(Slate::summary),
            record_before: self.recorders.kept().map(summary::Before::new),
            recordings: summary::Recording::all(&self.recorders.statuses()),
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
        // They hold each other.
        self.place.handoff.detach();
        let retired: Option<Retired> = self.stage.take().map(Stage::retire);
        // Outputs take their time meanwhile.
        self.outlets = None;
        if let Some(retired) = retired {
            retired.wait(Instant::now() + RETIRE_MAX);
        }
    }
}

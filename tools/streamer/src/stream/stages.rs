//! Which stage makes the access units at the moment: an encoder, the producer itself, or what stands in for it.

use cvmmap::Codec;
use tools_cli::failure::Failure;
use tools_media::encoders::{Choice, Device, Live, Picking};

use super::Streamer;
use crate::{
    depth_track::DepthTrack,
    log::tell,
    media::Media,
    outlet::{Outlets, Said},
    plan::{self, Encoding},
    slate::Wish,
    stage::Stage,
};

/// Pictures of a slate from one keyframe to the next at most, where the producer encodes: 2 seconds.
const SLATE_GOP_MAX: u32 = 10;

impl Streamer<'_> {
    /// Makes ready for frames of a kind that nobody takes yet.
    pub(super) fn meet(&mut self, media: Media) -> Result<(), Failure> {
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
                self.turn_to(Stage::passthrough(codec, media, &self.place)?);
                if self.slate.is_some() && self.choice.is_none() {
                    // It is there when the producer leaves.
                    self.pick(move |encoding| Choice::pick(codec, encoding.device, encoding.live.needs()));
                }
                Ok(())
            }
        }
    }

    /// The codec is known at last: outputs can be made.
    fn learn(&mut self, codec: Codec) -> Result<(), Failure> {
        for rtmp in &self.plan.rtmp {
            plan::check_packaging(codec, rtmp.mode)
                .map_err(|why| Failure::Usage(format!("the producer's access units are {codec}: {why}")))?;
        }
        let depth = self.depth.as_ref().map(DepthTrack::fan_out);
        let mut outlets = Outlets::new(codec, self.plan, &self.place.fan_out, depth, &self.camera.doors)?;
        outlets.start()?;
        self.depth.iter_mut().for_each(|depth| depth.start(codec));
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

    /// Shows something in the place of a producer that is away.
    pub(super) fn look_after_slate(&mut self) -> Result<(), Failure> {
        if self.draining.is_some() || self.picking.is_some() {
            return Ok(());
        }
        let Some((wish, (codec, _))) =
            self.slate.as_mut().and_then(|slate| slate.look(&self.place)).zip(self.outlets.as_ref())
        else {
            return Ok(());
        };
        let (codec, encoding) = (*codec, self.keeper.encoding());
        match wish {
            Wish::Stage(media) => self.encode(codec, media),
            // As large as the producer's, whatever is asked of pictures that are encoded.
            Wish::Encoder(media) => {
                let gop = encoding.live.gop.min(SLATE_GOP_MAX);
                let live = Live { b_frames: 0, gop, ..encoding.live };
                self.encode_as(codec, media, &Encoding { live, scale: None, ..encoding })
            }
        }
    }

    /// Whether that went wrong which stands in for access units of the producer, now or later. They do not need it.
    fn loses_slate(&mut self, why: &str) -> bool {
        let passes_through = self.stage.as_ref().is_some_and(|stage| !stage.encodes());
        let Some(slate) = self.slate.as_mut().filter(|slate| passes_through || slate.replaces_units()) else {
            return false;
        };
        tell(&format!("warning: slate: nothing can be shown: {why}"));
        slate.give_up();
        true
    }

    pub(super) fn look_after_stage(&mut self) -> Result<(), Failure> {
        while let Some(said) = self.stage.as_mut().and_then(Stage::said) {
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

    /// Has the encoder keep to the bit rate that is asked for, or that the slowest server takes.
    pub(super) fn look_after_rate(&mut self) -> Result<(), Failure> {
        let encoder = self.stage.as_ref().filter(|stage| stage.encodes() && self.draining.is_none());
        let slowest = || self.outlets.as_ref().and_then(|(_, outlets)| outlets.slowest());
        let change = self.keeper.look(encoder.and_then(Stage::kbit), slowest);
        if let (Some((kbit, said)), Some(stage), Some((codec, _))) = (change, encoder, &self.outlets) {
            if let Some(choice) = self.choice.clone().filter(|_| !stage.change_rate(kbit)) {
                // It begins with a keyframe, and with frames that the old one was not given.
                let stage = Stage::encoder(choice, *codec, &self.keeper.encoding(), stage.media(), &self.place)?;
                self.told = Some(stage.sentence());
                self.turn_to(stage);
            }
            tell(&said);
        }
        let (name, kbit) = self.stage.as_ref().map_or(("", None), |stage| (stage.name(), stage.kbit()));
        self.keeper.tell(name, kbit);
        Ok(())
    }

    pub(super) fn look_after_picking(&mut self) -> Result<(), Failure> {
        let Some(picked) = self.picking.as_ref().and_then(Picking::look) else {
            return Ok(());
        };
        self.picking = None;
        match picked {
            Ok(choice) => self.choice = Some(choice),
            Err(failure) if self.loses_slate(&failure.to_string()) => {}
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Has an encoder picked, while everything else goes on.
    fn pick(&mut self, pick: impl FnOnce(Encoding) -> Result<Choice, Failure> + Send + 'static) {
        let encoding = self.plan.encoding;
        self.picking = Some(Picking::begin(move || pick(encoding)));
    }

    /// Goes on with another encoder, or without this picture, where that is allowed.
    fn lose_stage(&mut self, why: &str) -> Result<(), Failure> {
        let (Some(stage), Some((codec, _))) = (&self.stage, &self.outlets) else {
            return Ok(());
        };
        let failure = match stage.name() {
            name if why.starts_with(name) => why.to_owned(),
            name => format!("{name}: {why}"),
        };
        if !stage.encodes() {
            // A unit that its parser does not get over. The next one gets a parser of its own.
            tell(&format!("warning: encoder: {failure}; going on behind it"));
            self.retire_stage();
            self.place.handoff.detach();
            self.place.handoff.drop_one();
            return Ok(());
        }
        let (codec, media) = (*codec, stage.media());
        let (is_hardware, is_auto) = (stage.is_hardware(), self.plan.encoding.device == Device::Auto);
        // Another one of the same kind got through.
        let refuses = stage.given() == 0 && (!is_hardware || self.given_before > 0);
        match (is_hardware, is_auto) {
            (true, true) => {
                self.retire_stage();
                self.place.handoff.detach();
                self.suspect = self.choice.take();
                self.pick(move |encoding| Choice::software(codec, encoding.live.needs(), &failure));
                Ok(())
            }
            _ if refuses => {
                self.retire_stage();
                self.refuse(media, failure);
                Ok(())
            }
            _ if self.loses_slate(&failure) => {
                self.retire_stage();
                self.place.handoff.detach();
                Ok(())
            }
            (true, false) => Err(Failure::Pipeline(format!("{failure}; take --encoder-device auto or software"))),
            (false, _) => Err(Failure::Pipeline(format!("encoder: {failure}"))),
        }
    }

    /// Goes on without pictures of this kind.
    fn refuse(&mut self, media: Media, why: String) {
        let picture = self.place.handoff.picture();
        tell(&format!("warning: encoder: {why}; pictures of {picture} are dropped until another kind comes"));
        self.place.handoff.refuse(media);
        self.refusal = Some(format!("{why} ({picture})"));
        // It was not the hardware's fault.
        if let Some(hardware) = self.suspect.take() {
            self.choice = Some(hardware);
        }
    }

    fn retire_stage(&mut self) {
        if let Some(old) = self.stage.take() {
            let given = old.given();
            self.given_before += given;
            if given > 0 && !old.is_hardware() {
                self.suspect = None;
            }
            // It may hang: nobody waits for its end.
            drop(old.retire());
        }
    }

    /// Has such pictures encoded from now on.
    pub(super) fn encode(&mut self, codec: Codec, media: Media) -> Result<(), Failure> {
        self.encode_as(codec, media, &self.keeper.encoding())
    }

    /// The same, in a way of its own.
    fn encode_as(&mut self, codec: Codec, media: Media, encoding: &Encoding) -> Result<(), Failure> {
        let Some(choice) = self.choice.clone() else {
            self.pick(move |encoding| Choice::pick(codec, encoding.device, encoding.live.needs()));
            return Ok(());
        };
        let stage = Stage::encoder(choice, codec, encoding, media, &self.place)?;
        self.turn_to(stage);
        Ok(())
    }

    /// Takes access units from another stage from now on.
    fn turn_to(&mut self, mut stage: Stage) {
        stage.start(&self.place);
        // Another size, or other parameter sets, are no news to a user.
        let sentence = stage.sentence();
        if self.told.as_ref() != Some(&sentence) {
            tell(&sentence);
            self.told = Some(sentence);
        }
        self.retire_stage();
        self.stage = Some(stage);
    }
}

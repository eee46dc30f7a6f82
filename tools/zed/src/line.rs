//! A pipeline that encodes pictures with timestamps of their own.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use gst::prelude::*;
use gst_video::VideoInfo;
use tools_cli::{
    aside::{Aside, Hangs, OPEN_MAX},
    failure::Failure,
    interrupt,
    target::{disk_full, is_full},
};
use tools_media::elements;

use super::{
    encode_error::EncodeError,
    encoder::{Choice, Encoding, Purpose},
    stall::{self, Watch},
};

/// Pictures that wait for the encoder. It has a queue of its own besides.
const WAITING: u64 = 4;

/// From pictures to whatever takes the access units. Dropped, it stops.
#[derive(Debug)]
pub struct Line {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    encoder: gst::Element,
    /// Told when the encoder takes a picture.
    taken: Arc<(Mutex<()>, Condvar)>,
    /// Whether an access unit came out.
    encoded: Arc<AtomicBool>,
    watch: Mutex<Watch>,
    /// Where the file is that is made of it.
    directory: PathBuf,
}

impl Line {
    /// Begins with such pictures, usually `interval` nanoseconds apart. `tail` takes the access units.
    ///
    /// # Errors
    /// When the pipeline cannot be made or started.
    pub fn new(
        (encoding, choice, purpose): (&Encoding, Choice, Purpose),
        info: &VideoInfo,
        interval: u64,
        tail: &[&gst::Element],
        directory: &Path,
    ) -> Result<Self, EncodeError> {
        let source: gst_app::AppSrc = elements::make_app("appsrc")?;
        source.set_format(gst::Format::Time);
        source.set_max_bytes(0);
        source.set_caps(Some(&caps(info, interval)));
        let queue = elements::make("queue")?;
        queue.set_property("max-size-buffers", WAITING as u32);
        queue.set_property("max-size-bytes", 0_u32);
        queue.set_property("max-size-time", 0_u64);
        let convert = elements::make("videoconvert")?;
        let format = if choice.hardware { "NV12" } else { "I420" };
        let raw = elements::filter(gst::Caps::builder("video/x-raw").field("format", format).build())?;
        let [encoder, parser] = encoding.make(choice, purpose, interval)?;
        let pipeline = gst::Pipeline::new();
        let head = [source.upcast_ref(), &queue, &convert, &raw, &encoder, &parser];
        elements::add_chain(&pipeline, &[&head[..], tail].concat())?;
        let line = Self {
            pipeline,
            source,
            encoder,
            taken: Arc::default(),
            encoded: Arc::default(),
            watch: Mutex::default(),
            directory: directory.to_owned(),
        };
        line.start(tail)?;
        Ok(line)
    }

    fn start(&self, tail: &[&gst::Element]) -> Result<(), EncodeError> {
        let taken = Arc::clone(&self.taken);
        elements::pad(self.source.upcast_ref(), "src").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            taken.1.notify_one();
            gst::PadProbeReturn::Ok
        });
        let encoded = Arc::clone(&self.encoded);
        elements::pad(&self.encoder, "src").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            encoded.store(true, Ordering::Relaxed);
            gst::PadProbeReturn::Remove
        });
        let watch = self.watch();
        watch.over(&elements::pad(self.source.upcast_ref(), "src"));
        for pad in tail.iter().chain([&&self.encoder]).flat_map(|element| element.sink_pads()) {
            watch.over(&pad);
        }
        drop(watch);
        // A driver that is broken may not answer when its device is opened.
        let pipeline = self.pipeline.clone();
        let opening = Aside::begin(OPEN_MAX, move || pipeline.set_state(gst::State::Playing).is_ok());
        loop {
            match opening.wait(interrupt::TICK) {
                None => interrupt::check()?,
                Some(Ok(true)) => return Ok(()),
                Some(Ok(false)) => {
                    self.check()?;
                    return Err(Failure::Pipeline("the pipeline does not start".to_owned()).into());
                }
                Some(Err(Hangs)) => return Err(EncodeError::Encoder("it hangs while it opens".to_owned())),
            }
        }
    }

    /// Encodes a picture that is shown from `time` on. Waits while the encoder has enough to do.
    ///
    /// # Errors
    /// What the pipeline complains of, or [`Failure::Interrupted`].
    pub fn push(
        &self,
        picture: gst::Buffer,
        time: gst::ClockTime,
        duration: gst::ClockTime,
    ) -> Result<(), EncodeError> {
        let mut picture = picture;
        let writable = picture.make_mut();
        writable.set_pts(time);
        writable.set_dts(gst::ClockTime::NONE);
        writable.set_duration(duration);
        // Refused by a pipeline that is broken: its message says so.
        let _ = self.source.push_buffer(picture);
        self.check()?;
        let (lock, taken) = &*self.taken;
        let mut guard = lock.lock().expect("nobody panics with it");
        while self.source.current_level_buffers() > WAITING {
            let waited = taken.wait_timeout(guard, interrupt::TICK).expect("nobody panics with it");
            guard = waited.0;
            self.check()?;
            if waited.1.timed_out() {
                self.look()?;
            }
        }
        Ok(())
    }

    /// Whether it still works.
    ///
    /// # Errors
    /// What the pipeline complains of, or [`Failure::Interrupted`].
    pub fn check(&self) -> Result<(), EncodeError> {
        interrupt::check()?;
        // `timed_pop_filtered` without any time would look at nothing.
        self.judge(self.bus().pop_filtered(&[gst::MessageType::Error])).map(drop)
    }

    /// Encodes the rest.
    ///
    /// # Errors
    /// What the pipeline complains of, or [`Failure::Interrupted`].
    pub fn finish(&self) -> Result<(), EncodeError> {
        // Refused by a pipeline that is broken: its message says so.
        let _ = self.source.end_of_stream();
        let tick = gst::ClockTime::from_mseconds(interrupt::TICK.as_millis() as u64);
        let ends = [gst::MessageType::Error, gst::MessageType::Eos];
        while !self.judge(self.bus().timed_pop_filtered(tick, &ends))? {
            interrupt::check()?;
            self.look()?;
        }
        Ok(())
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().expect("nobody panics with it")
    }

    /// Looks whether something moves still.
    fn look(&self) -> Result<(), EncodeError> {
        if !self.watch().stands(&self.pipeline) {
            return Ok(());
        }
        if !self.encoded.load(Ordering::Relaxed) {
            return Err(EncodeError::Encoder("it stands still".to_owned()));
        }
        Err(Failure::Pipeline("the file cannot be made: encoder, muxer or disk stand still".to_owned()).into())
    }

    fn bus(&self) -> gst::Bus {
        self.pipeline.bus().expect("a pipeline has a bus")
    }

    /// Whether there was a message; an error is one.
    fn judge(&self, message: Option<gst::Message>) -> Result<bool, EncodeError> {
        let error = match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => error,
            message => return Ok(message.is_some()),
        };
        let why = error.error();
        let is_encoder = error.src().is_some_and(|element| element == self.encoder.upcast_ref::<gst::Object>());
        if is_encoder && !self.encoded.load(Ordering::Relaxed) {
            return Err(EncodeError::Encoder(why.message().to_owned()));
        }
        Err(match why.kind::<gst::ResourceError>() {
            Some(gst::ResourceError::NoSpaceLeft) => disk_full(),
            // The muxer tells of its own file what the system says, not what it means.
            Some(gst::ResourceError::Write) if is_full(&self.directory) => disk_full(),
            Some(gst::ResourceError::Write) => Failure::Pipeline(format!(
                "the disk does not take the file: {}; look at its state, or take another --output",
                why.message()
            )),
            _ => Failure::Pipeline(format!("the file cannot be made: {}", why.message())),
        }
        .into())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        stall::stop(&self.pipeline);
    }
}

/// Some encoders do not start without a frame rate; the timestamps are what counts.
fn caps(info: &VideoInfo, interval: u64) -> gst::Caps {
    let millihertz = (1_000_000_000_000 / interval.max(1)).clamp(1000, 1_000_000) as i32;
    let mut caps = info.to_caps().expect("the picture's form is known");
    caps.make_mut().set("framerate", gst::Fraction::new(millihertz, 1000));
    caps
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use gst::{glib, subclass::prelude::*};

    use super::*;
    use crate::encoder::{Codec, Device, Preset};

    /// An encoder whose driver never answers.
    #[derive(Default)]
    pub struct Hanging;

    #[glib::object_subclass]
    impl ObjectSubclass for Hanging {
        const NAME: &'static str = "HangingEncoder";
        type Type = HangingEncoder;
        type ParentType = gst::Element;
    }

    impl ObjectImpl for Hanging {
        fn constructed(&self) {
            self.parent_constructed();
            for template in Self::pad_templates() {
                self.obj().add_pad(&gst::Pad::from_template(template)).unwrap();
            }
        }
    }

    impl GstObjectImpl for Hanging {}

    impl ElementImpl for Hanging {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("Hanging encoder", "Codec/Encoder/Video", "Hangs", "none")
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<[gst::PadTemplate; 2]> = LazyLock::new(|| {
                let template = |name, direction, caps: &str| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps.parse().unwrap()).unwrap()
                };
                [
                    template("sink", gst::PadDirection::Sink, "video/x-raw"),
                    template("src", gst::PadDirection::Src, "video/x-h264"),
                ]
            });
            &*TEMPLATES
        }

        fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            loop {
                if transition != gst::StateChange::NullToReady {
                    return self.parent_change_state(transition);
                }
                std::thread::park();
            }
        }
    }

    glib::wrapper! {
        pub struct HangingEncoder(ObjectSubclass<Hanging>) @extends gst::Element, gst::Object;
    }

    #[test]
    fn an_encoder_that_hangs_while_it_opens_is_given_up() {
        gst::init().unwrap();
        let factory = "hangingencoder";
        gst::Element::register(None, factory, gst::Rank::NONE, HangingEncoder::static_type()).unwrap();
        let tried = elements::try_out(gst::ElementFactory::find(factory).unwrap());
        let encoding = Encoding { codec: Codec::H264, encoder_device: Device::Auto, preset: Preset::Fast, quality: 20 };
        let info = VideoInfo::builder(gst_video::VideoFormat::I420, 64, 64).build().unwrap();
        let choice = Choice { factory, hardware: true };
        let sink = elements::make("fakesink").unwrap();
        let opened = Line::new((&encoding, choice, Purpose::File), &info, 33_000_000, &[&sink], Path::new("."));
        assert!(matches!(opened, Err(EncodeError::Encoder(why)) if why.contains("hangs while it opens")));
        assert_eq!(tried.wait(OPEN_MAX), Some(Err(Hangs)));
    }
}

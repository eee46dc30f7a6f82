//! A pipeline that encodes pictures with timestamps of their own.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
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
use tools_media::{
    codec, elements,
    encoders::{Choice, stored::Purpose},
};

use super::{
    encode_error::EncodeError,
    encoder::Encoding,
    stall::{self, FIRST_LOOKS_MAX, Watch},
};

/// Pictures that wait for the encoder. It has a queue of its own besides.
const WAITING: u64 = 4;
/// Pictures that an encoder on a card takes without giving anything before it is judged broken: more than any looks ahead.
const SWALLOWED_MAX: u64 = 100;

/// What is said of an encoder that gives none of what it takes.
const NOTHING: &str = "it gives nothing";

/// What passed the encoder.
#[derive(Debug, Default)]
struct Counts {
    pictures: AtomicU64,
    units: AtomicU64,
}

/// From pictures to whatever takes the access units. Dropped, it stops.
#[derive(Debug)]
pub struct Line {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    encoder: gst::Element,
    name: &'static str,
    is_hardware: bool,
    /// What takes the access units.
    tail: Vec<gst::Element>,
    /// Told when a picture is on its way to the encoder.
    taken: Arc<(Mutex<()>, Condvar)>,
    counts: Arc<Counts>,
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
        (encoding, choice, purpose): (&Encoding, &Choice, Purpose),
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
        let made = choice.stored(&encoding.stored(purpose, interval))?;
        let parser = elements::make(codec::parser(encoding.codec))?;
        if purpose == Purpose::Messages {
            // Parameter sets before each keyframe.
            parser.set_property("config-interval", -1);
        }
        let pipeline = gst::Pipeline::new();
        let head = [source.upcast_ref(), &queue].into_iter().chain(&made.before).chain([&made.encoder, &parser]);
        elements::add_chain(&pipeline, &head.chain(tail.iter().copied()).collect::<Vec<_>>())?;
        let line = Self {
            pipeline,
            source,
            encoder: made.encoder,
            name: choice.name(),
            is_hardware: choice.is_hardware(),
            tail: tail.iter().map(|element| (*element).clone()).collect(),
            taken: Arc::default(),
            counts: Arc::default(),
            watch: Mutex::default(),
            directory: directory.to_owned(),
        };
        line.start()?;
        Ok(line)
    }

    fn start(&self) -> Result<(), EncodeError> {
        let taken = Arc::clone(&self.taken);
        elements::pad(self.source.upcast_ref(), "src").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            taken.1.notify_one();
            gst::PadProbeReturn::Ok
        });
        let counts = Arc::clone(&self.counts);
        elements::pad(&self.encoder, "sink").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counts.pictures.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        let counts = Arc::clone(&self.counts);
        elements::pad(&self.encoder, "src").add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counts.units.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        let watch = self.watch();
        watch.over(&elements::pad(self.source.upcast_ref(), "src"));
        for pad in self.tail.iter().chain([&self.encoder]).flat_map(|element| element.sink_pads()) {
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
                    if self.is_hardware {
                        return Err(EncodeError::Encoder("it does not start".to_owned()));
                    }
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
        self.judge(self.bus().pop_filtered(&[gst::MessageType::Error]))?;
        let pictures = self.counts.pictures.load(Ordering::Relaxed);
        if self.is_hardware && self.units() == 0 && pictures >= SWALLOWED_MAX {
            return Err(EncodeError::Encoder(format!("{NOTHING} for {pictures} pictures")));
        }
        Ok(())
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
        let lost = self.counts.pictures.load(Ordering::Relaxed).saturating_sub(self.units());
        match (lost, self.is_hardware) {
            (0, _) => Ok(()),
            (_, true) if self.units() == 0 => Err(EncodeError::Encoder(NOTHING.to_owned())),
            (_, true) => Err(EncodeError::Encoder(format!("it loses {lost} pictures"))),
            (_, false) => Err(Failure::Pipeline(format!(
                "{} has lost {lost} pictures; take another --encoder-device or --codec",
                self.name
            ))
            .into()),
        }
    }

    /// Access units that came out.
    fn units(&self) -> u64 {
        self.counts.units.load(Ordering::Relaxed)
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().expect("nobody panics with it")
    }

    /// Looks whether something moves still.
    fn look(&self) -> Result<(), EncodeError> {
        let mut watch = self.watch();
        let (stands, looks) = (watch.stands(&self.pipeline), watch.looks());
        let is_silent = self.is_hardware && looks >= FIRST_LOOKS_MAX && self.units() == 0;
        if !stands && !is_silent {
            return Ok(());
        }
        if self.units() == 0 {
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
        if let Some(fault) = self.fault_of_encoder(error) {
            return Err(EncodeError::Encoder(fault));
        }
        let why = error.error();
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

    /// What the encoder is to blame for, where another one could do better. One on a card is blamed for all but what the file
    /// and its muxer have to say: the source tells of caps that it refuses, and the muxer of an end without access units.
    fn fault_of_encoder(&self, error: &gst::message::Error) -> Option<String> {
        let comes_from = |element: &gst::Element| error.src() == Some(element.upcast_ref());
        let (why, has_given) = (error.error(), self.units() > 0);
        match (self.is_hardware, self.tail.iter().any(comes_from)) {
            (true, false) => Some(why.message().to_owned()),
            (true, true) => (!has_given && !why.is::<gst::ResourceError>()).then(|| NOTHING.to_owned()),
            (false, _) => (!has_given && comes_from(&self.encoder)).then(|| why.message().to_owned()),
        }
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
    use std::sync::{LazyLock, atomic::AtomicU32};

    use cvmmap::Codec;
    use gst::{glib, subclass::prelude::*};
    use tools_media::encoders::{Device, stored::Preset};

    use super::*;

    /// An encoder whose driver answers once, and never again.
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
            static OPENINGS: AtomicU32 = AtomicU32::new(0);
            let opens = transition == gst::StateChange::NullToReady;
            if opens && OPENINGS.fetch_add(1, Ordering::Relaxed) > 0 {
                loop {
                    std::thread::park();
                }
            }
            self.parent_change_state(transition)
        }
    }

    glib::wrapper! {
        pub struct HangingEncoder(ObjectSubclass<Hanging>) @extends gst::Element, gst::Object;
    }

    #[test]
    fn an_encoder_that_hangs_while_it_opens_is_given_up() {
        gst::init().unwrap();
        gst::Element::register(None, "nvh264enc", gst::Rank::NONE, HangingEncoder::static_type()).unwrap();
        let encoding =
            Encoding { codec: Codec::H264, encoder_device: Device::Nvidia, preset: Preset::Fast, quality: 20 };
        let info = VideoInfo::builder(gst_video::VideoFormat::I420, 64, 64).build().unwrap();
        let choice = encoding.pick(Device::Nvidia).unwrap();
        let sink = elements::make("fakesink").unwrap();
        let opened = Line::new((&encoding, &choice, Purpose::File), &info, 33_000_000, &[&sink], Path::new("."));
        assert!(matches!(opened, Err(EncodeError::Encoder(why)) if why.contains("hangs while it opens")));
        let again = encoding.pick(Device::Nvidia).unwrap_err().to_string();
        assert!(again.contains("hangs while it opens: nvh264enc"), "{again}");
        assert_eq!(encoding.pick(Device::Auto).unwrap().name(), "x264enc");
    }
}

//! Translates between GStreamer and the worker that talks to the server.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};

use super::{
    failure::{Failure, Kind},
    settings::{Settings, Tracks},
    shared::{Phase, Refused, Shared, State},
    tls,
    worker::{Plan, Said, Worker},
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("ertmpsink", gst::DebugColorFlags::empty(), Some("RTMP sink with Enhanced RTMP"))
});

/// A server that listens has the farewell by then. One that does not is not waited for.
const FAREWELL_MAX: Duration = Duration::from_millis(300);

/// A run, from start to stop.
struct Run {
    shared: Arc<Shared>,
    /// Whether the stream is live, once that is known.
    is_live: Option<bool>,
}

/// Both are leaves: neither is held while the other is taken or GStreamer is called.
#[derive(Default)]
pub struct ErtmpSink {
    settings: Mutex<Settings>,
    run: Mutex<Option<Run>>,
    /// What the last run counted.
    last_stats: Mutex<Option<gst::Structure>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[glib::object_subclass]
impl ObjectSubclass for ErtmpSink {
    const NAME: &'static str = "GstErtmpSink";
    type Type = super::ErtmpSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for ErtmpSink {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let defaults = Settings::default();
            vec![
                glib::ParamSpecString::builder("location")
                    .nick("Location")
                    .blurb("Where to publish: rtmp[s]://[USER:PASSWORD@]HOST[:PORT]/APP/STREAM[?QUERY]")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("username")
                    .nick("User name")
                    .blurb("For servers that ask for one; comes before that of the location")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("password")
                    .nick("Password")
                    .blurb("Goes with username")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("timeout")
                    .nick("Timeout")
                    .blurb("Seconds that the server has for each step, and may take nothing; 0: 30 s for a step, and no limit")
                    .default_value(defaults.timeout)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("tls-ca-file")
                    .nick("TLS authorities")
                    .blurb("PEM file of the authorities that are trusted, instead of the system's")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("max-backlog-time")
                    .nick("Longest backlog")
                    .blurb("Nanoseconds of a live stream that may wait for the network; a longer backlog is dropped. 0: never drop, wait")
                    .default_value(defaults.max_backlog_time.nseconds())
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("send-buffer")
                    .nick("Send buffer")
                    .blurb("Bytes that may wait in the kernel for the network; 0: a tenth of a second of the stream")
                    .default_value(defaults.send_buffer)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("tracks", defaults.tracks)
                    .nick("Tracks")
                    .blurb("Which servers get the tracks beside the first one (Enhanced RTMP v2)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("State and counters since the element was started")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        const CHECKED: &str = "type checked upstream";
        {
            let mut settings = lock(&self.settings);
            match pspec.name() {
                "location" => settings.location = value.get().expect(CHECKED),
                "username" => settings.username = value.get().expect(CHECKED),
                "password" => settings.password = value.get().expect(CHECKED),
                "timeout" => settings.timeout = value.get().expect(CHECKED),
                "tls-ca-file" => {
                    settings.tls_ca_file = value.get::<Option<String>>().expect(CHECKED).map(PathBuf::from);
                }
                "max-backlog-time" => {
                    settings.max_backlog_time = gst::ClockTime::from_nseconds(value.get().expect(CHECKED));
                }
                "send-buffer" => settings.send_buffer = value.get().expect(CHECKED),
                "tracks" => settings.tracks = value.get().expect(CHECKED),
                name => unreachable!("no writable property {name}"),
            }
        }
        self.apply_settings();
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings);
        match pspec.name() {
            "location" => settings.location.to_value(),
            "username" => settings.username.to_value(),
            "password" => settings.password.to_value(),
            "timeout" => settings.timeout.to_value(),
            "tls-ca-file" => settings.tls_ca_file.as_ref().map(|file| file.display().to_string()).to_value(),
            "max-backlog-time" => settings.max_backlog_time.nseconds().to_value(),
            "send-buffer" => settings.send_buffer.to_value(),
            "tracks" => settings.tracks.to_value(),
            "stats" => {
                drop(settings);
                self.stats().to_value()
            }
            name => unreachable!("no readable property {name}"),
        }
    }
}

impl GstObjectImpl for ErtmpSink {}

impl ElementImpl for ErtmpSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "RTMP sink with Enhanced RTMP",
                "Sink/Network",
                "Publishes an FLV stream to an RTMP server: bounded, negotiating, and fresh after a stall",
                "The cvmmap-streamer authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::new_empty_simple("video/x-flv");
            let sink = gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &caps);
            vec![sink.expect("the arguments are constant and sound")]
        });
        &TEMPLATES
    }
}

impl BaseSinkImpl for ErtmpSink {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let shared = self
            .begin(&settings)
            .map_err(|failure| gst::error_msg!(gst::ResourceError::Settings, ("{}", failure.text)))?;
        *lock(&self.run) = Some(Run { shared, is_live: None });
        self.apply_settings();
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let Some(run) = lock(&self.run).take() else {
            return Ok(());
        };
        let has_failed = {
            let mut state = run.shared.lock();
            state.is_stopping = true;
            matches!(state.phase, Phase::Failed(_))
        };
        run.shared.waker.wake();
        if !has_failed {
            run.shared.wait_for_farewell(Instant::now() + FAREWELL_MAX);
        }
        let mut state = run.shared.lock();
        state.phase = Phase::Off;
        state.backlog.clear();
        *lock(&self.last_stats) = Some(state.stats());
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let Some(shared) = self.shared() else {
            return Ok(());
        };
        let taken = shared.lock().intake.set_caps(caps);
        taken.map_err(|why| gst::loggable_error!(CAT, "streamheader: {why}"))
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let is_live = self.is_live();
        let shared = self.shared().ok_or(gst::FlowError::Flushing)?;
        let asks_for_keyframe = shared.lock().asks_for_keyframe();
        if asks_for_keyframe {
            self.ask_for_keyframe();
        }
        let mut entries = Vec::new();
        let taken = shared.lock().intake.take(buffer, |entry| entries.push(entry));
        if let Err(why) = taken {
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                ("{why}: put flvmux, eflvmux or flvhevcmux right in front of ertmpsink")
            );
            return Err(gst::FlowError::Error);
        }
        for entry in entries {
            shared.push(entry, is_live).map_err(flow)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        match event.view() {
            // What is queued goes before the end.
            gst::EventView::Eos(_) => match self.shared().map(|shared| shared.drain()) {
                Some(Err(Refused::Flushing)) => return false,
                _ => return self.parent_event(event),
            },
            gst::EventView::FlushStop(_) => {
                if let Some(shared) = self.shared() {
                    shared.lock().backlog.clear();
                }
            }
            _ => {}
        }
        self.parent_event(event)
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.set_flushing(true);
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.set_flushing(false);
        Ok(())
    }
}

impl ErtmpSink {
    fn begin(&self, settings: &Settings) -> Result<Arc<Shared>, Failure> {
        let location = settings.destination()?;
        if let Some(file) = settings.tls_ca_file.as_ref().filter(|_| location.is_tls) {
            tls::authorities_of(file).map_err(|why| {
                Failure::new(Kind::Settings, format!("tls-ca-file '{}' cannot be used: {why}", file.display()))
            })?;
        }
        let failed = |error: std::io::Error| Failure::new(Kind::Open, format!("the sink cannot be started: {error}"));
        let shared = Arc::new(Shared::new().map_err(failed)?);
        shared.lock().phase = Phase::Connecting;
        let plan = Plan {
            location,
            ca_file: settings.tls_ca_file.clone(),
            command_limit: settings.command_limit(),
            stall_limit: settings.stall_limit(),
        };
        // The thread outlives the element by the time of a farewell, and must not keep it.
        let element = self.obj().downgrade();
        let say = move |said| {
            if let Some(element) = element.upgrade() {
                element.imp().tell(said);
            }
        };
        let worker = Worker::new(plan, Arc::clone(&shared), say);
        thread::Builder::new().name("ertmpsink".into()).spawn(move || worker.run()).map_err(failed)?;
        Ok(shared)
    }

    fn shared(&self) -> Option<Arc<Shared>> {
        lock(&self.run).as_ref().map(|run| Arc::clone(&run.shared))
    }

    fn apply_settings(&self) {
        let Some(shared) = self.shared() else {
            return;
        };
        let (time, bytes, tracks) = {
            let settings = lock(&self.settings);
            (settings.max_backlog_time, settings.send_buffer, settings.tracks)
        };
        let mut state = shared.lock();
        state.backlog_time_max = time.into();
        state.send_buffer = bytes as usize;
        state.sends_all_tracks = tracks == Tracks::Always;
    }

    fn set_flushing(&self, is_flushing: bool) {
        if let Some(shared) = self.shared() {
            shared.lock().is_flushing = is_flushing;
            shared.tell();
        }
    }

    /// Whether the stream is live; asked once in a run.
    fn is_live(&self) -> bool {
        if let Some(known) = lock(&self.run).as_ref().and_then(|run| run.is_live) {
            return known;
        }
        let is_live = self.obj().query_latency().is_ok_and(|(_, upstream_is_live, _, _)| upstream_is_live);
        gst::debug!(CAT, imp = self, "the stream is {}", if is_live { "live" } else { "not live: it waits" });
        if let Some(run) = lock(&self.run).as_mut() {
            run.is_live = Some(is_live);
        }
        is_live
    }

    fn ask_for_keyframe(&self) {
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        // Whoever does not know the event sends a keyframe when it is due.
        let _ = self.obj().sink_pad().push_event(event);
    }

    fn stats(&self) -> gst::Structure {
        match self.shared() {
            Some(shared) => shared.lock().stats(),
            None => lock(&self.last_stats).clone().unwrap_or_else(|| State::default().stats()),
        }
    }

    /// Passes on what the worker says.
    fn tell(&self, said: Said) {
        match said {
            Said::Warning(text) => gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{text}")),
            Said::Failure(Failure { kind, text }) => {
                let error = match kind {
                    Kind::Open => gst::ResourceError::OpenWrite,
                    Kind::Write => gst::ResourceError::Write,
                    Kind::NotAuthorized => gst::ResourceError::NotAuthorized,
                    Kind::Settings => gst::ResourceError::Settings,
                };
                gst::element_imp_error!(self, error, ("{text}"));
            }
        }
    }
}

fn flow(refused: Refused) -> gst::FlowError {
    match refused {
        Refused::Flushing => gst::FlowError::Flushing,
        Refused::Failed => gst::FlowError::Error,
    }
}

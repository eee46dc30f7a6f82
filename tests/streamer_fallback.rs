//! A hardware encoder that is there and does not work. No such hardware is needed: elements of its name stand in for it.

#[path = "streamer_support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use clap::Parser;
use cvmmap_tools::streamer::{options::Options, run};
use gst::{glib, prelude::*};
use support::{Names, RtpReceiver};

/// Whether the stand-in fails aloud; else it swallows frames and gives nothing.
static ALOUD: AtomicBool = AtomicBool::new(false);
/// Frames that the stand-in was given.
static SWALLOWED: AtomicU32 = AtomicU32::new(0);

mod stand_in {
    use std::sync::LazyLock;

    use gst::subclass::prelude::*;

    use super::*;

    pub struct Nvenc {
        sink: gst::Pad,
        src: gst::Pad,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Nvenc {
        const NAME: &'static str = "StandInNvenc";
        type Type = super::Nvenc;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let sink = gst::Pad::builder_from_template(&class.pad_template("sink").unwrap())
                .chain_function(|_, parent, _| {
                    SWALLOWED.fetch_add(1, Ordering::Relaxed);
                    if !ALOUD.load(Ordering::Relaxed) {
                        return Ok(gst::FlowSuccess::Ok);
                    }
                    let element = parent.unwrap().downcast_ref::<gst::Element>().unwrap();
                    gst::element_error!(element, gst::LibraryError::Encode, ["no session left"]);
                    Err(gst::FlowError::Error)
                })
                .event_function(|pad, parent, event| match event.view() {
                    gst::EventView::Caps(_) => true,
                    _ => gst::Pad::event_default(pad, parent, event),
                })
                .build();
            let src = gst::Pad::from_template(&class.pad_template("src").unwrap());
            Self { sink, src }
        }
    }

    impl ObjectImpl for Nvenc {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<[glib::ParamSpec; 1]> =
                LazyLock::new(|| [glib::ParamSpecUInt::builder("bitrate").build()]);
            &*PROPERTIES
        }

        fn set_property(&self, _: usize, _: &glib::Value, _: &glib::ParamSpec) {}

        fn constructed(&self) {
            self.parent_constructed();
            self.obj().add_pad(&self.sink).unwrap();
            self.obj().add_pad(&self.src).unwrap();
        }
    }

    impl GstObjectImpl for Nvenc {}

    impl ElementImpl for Nvenc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("stand-in", "Codec/Encoder/Video", "none", "none")
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<[gst::PadTemplate; 2]> = LazyLock::new(|| {
                let raw = gst::Caps::builder("video/x-raw").field("format", "NV12").build();
                let avc = gst::Caps::builder("video/x-h264")
                    .field("stream-format", "byte-stream")
                    .field("alignment", "au")
                    .build();
                [("sink", gst::PadDirection::Sink, raw), ("src", gst::PadDirection::Src, avc)].map(
                    |(name, direction, caps)| {
                        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).unwrap()
                    },
                )
            });
            &*TEMPLATES
        }
    }
}

glib::wrapper! {
    pub struct Nvenc(ObjectSubclass<stand_in::Nvenc>) @extends gst::Element, gst::Object;
}

fn stream(receiver: &RtpReceiver, device: &str) -> Result<(), cvmmap_tools::common::failure::Failure> {
    let names = Names::new();
    let endpoint = names.endpoint();
    run::run(&Options::parse_from([
        "cvmmap_streamer",
        "--input-mode=dummy",
        "--dummy-frames=200",
        "--dummy-fps=100",
        "--dummy-width=320",
        "--dummy-height=180",
        "--codec=h264",
        "--rtp",
        &format!("--encoder-device={device}"),
        &format!("--shm-name={}", names.shm),
        &format!("--zmq-endpoint={endpoint}"),
        &format!("--rtp-endpoint={}", receiver.endpoint()),
    ]))
}

/// One test, for the stand-in is the whole process's.
#[test]
fn software_takes_over_from_hardware_that_gives_nothing() {
    gst::init().unwrap();
    gst::Element::register(None, "nvh264enc", gst::Rank::NONE, Nvenc::static_type()).unwrap();
    for aloud in [false, true] {
        ALOUD.store(aloud, Ordering::Relaxed);
        SWALLOWED.store(0, Ordering::Relaxed);
        let receiver = RtpReceiver::start("h264");
        stream(&receiver, "auto").unwrap();
        receiver.wait_total(30);
        // The specification's 60, and what was under way when the run ended.
        let swallowed = SWALLOWED.load(Ordering::Relaxed);
        assert!(if aloud { swallowed == 1 } else { (60..100).contains(&swallowed) }, "{swallowed}");

        let failure = stream(&receiver, "nvidia").unwrap_err();
        assert_eq!(failure.exit_code(), 5);
        assert!(failure.to_string().contains(if aloud { "no session left" } else { "gives nothing" }), "{failure}");
    }
}

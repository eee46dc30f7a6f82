//! `cvmmap_streamer` on a machine whose NVENC hangs: an element of its name works for a while, and then takes frames and
//! gives nothing.

use std::sync::{
    LazyLock,
    atomic::{AtomicU32, Ordering},
};

use anyhow::Result;
use clap::Parser;
use gst::{glib, prelude::*, subclass::prelude::*};
use tools_cli::failure::Failure;
use tools_streamer::{options::Options, run};

/// Frames that are encoded before it hangs,
static WORKS_FOR: AtomicU32 = AtomicU32::new(0);
/// and that came.
static CAME: AtomicU32 = AtomicU32::new(0);

/// What is said when it hangs, and at the end with the number of frames that it took and gave nothing for.
pub const HANGS: &str = "stand-in: hangs from here on";
pub const SWALLOWED: &str = "stand-in: swallowed=";

/// Runs the program with the stand-in in place.
pub fn run(works_for_frames: u32, args: &[String]) -> Result<Result<(), Failure>> {
    WORKS_FOR.store(works_for_frames, Ordering::Relaxed);
    gst::init()?;
    gst::Element::register(None, "nvh264enc", gst::Rank::NONE, Nvenc::static_type())?;
    let outcome = run::run(&Options::parse_from(["cvmmap_streamer".to_owned()].iter().chain(args)));
    let swallowed = CAME.load(Ordering::Relaxed).saturating_sub(works_for_frames);
    eprintln!("{SWALLOWED}{swallowed}");
    Ok(outcome)
}

glib::wrapper! {
    pub struct Nvenc(ObjectSubclass<imp::Nvenc>) @extends gst::Bin, gst::Element, gst::Object;
}

mod imp {
    use super::*;

    /// x264 behind a door that closes.
    #[derive(Default)]
    pub struct Nvenc;

    #[glib::object_subclass]
    impl ObjectSubclass for Nvenc {
        const NAME: &'static str = "FaultsNvenc";
        type Type = super::Nvenc;
        type ParentType = gst::Bin;
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
            let bin = gst::parse::bin_from_description(
                "valve name=door ! videoconvert ! x264enc tune=zerolatency speed-preset=superfast key-int-max=30 ! \
                 capsfilter caps=video/x-h264,stream-format=byte-stream,alignment=au",
                true,
            )
            .expect("x264enc is there");
            let this = self.obj();
            this.add(&bin).expect("a new bin takes an element");
            for (name, direction) in [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)] {
                let template = this.pad_template(name).expect("the class has it");
                let inner = bin.static_pad(name).expect("the bin has it");
                let ghost = gst::GhostPad::builder_from_template_with_target(&template, &inner)
                    .expect("the directions agree")
                    .build();
                if direction == gst::PadDirection::Sink {
                    // Behind the element's own pad, where those that count what goes in have seen it.
                    let door = bin.by_name("door").expect("it is in the description");
                    inner.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                        let works_for = WORKS_FOR.load(Ordering::Relaxed);
                        if CAME.fetch_add(1, Ordering::Relaxed) == works_for {
                            eprintln!("{HANGS}");
                            door.set_property("drop", true);
                        }
                        gst::PadProbeReturn::Ok
                    });
                }
                this.add_pad(&ghost).expect("the name is free");
            }
        }
    }

    impl GstObjectImpl for Nvenc {}
    impl BinImpl for Nvenc {}

    impl ElementImpl for Nvenc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("stand-in", "Codec/Encoder/Video", "Hangs", "the fault suite")
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
                        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                            .expect("the caps are fixed")
                    },
                )
            });
            &*TEMPLATES
        }
    }
}

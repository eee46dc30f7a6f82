//! Hardware encoders for a machine that has none: elements of their factory names, with their caps and properties as
//! typed, around a software encoder that stops working when it is told to.
//!
//! `STAND_INS` lists those that are installed, as `FACTORY=BEHAVIOUR[@FRAME]` separated by commas; the behaviour sets in
//! at that frame, or that opening of the device. What is asked of a stand-in is told on stderr.
//!
//! Longer than other files: it is one library, which each of its names is an element of.

use std::{
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;

/// What a stand-in does, and from which frame on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Script {
    behaviour: Behaviour,
    from: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Works,
    DoesNotOpen,
    /// Takes frames and gives nothing.
    Swallows,
    /// Its chain function never returns.
    Blocks,
    /// Says that it is broken.
    Fails,
    /// Never answers when its device is opened.
    HangsInOpen,
    /// Takes two seconds for a frame.
    StartsSlowly,
}

fn script_of(factory: &str) -> Option<Script> {
    let scripts = std::env::var("STAND_INS").unwrap_or_default();
    let (_, script) =
        scripts.split(',').filter_map(|entry| entry.split_once('=')).find(|(name, _)| *name == factory)?;
    let (behaviour, from) = script.split_once('@').unwrap_or((script, "1"));
    let behaviour = match behaviour {
        "works" => Behaviour::Works,
        "closed" => Behaviour::DoesNotOpen,
        "swallows" => Behaviour::Swallows,
        "blocks" => Behaviour::Blocks,
        "fails" => Behaviour::Fails,
        "hangs" => Behaviour::HangsInOpen,
        "slow" => Behaviour::StartsSlowly,
        _ => panic!("STAND_INS: {behaviour}"),
    };
    Some(Script { behaviour, from: from.parse().unwrap() })
}

/// What happens to the pictures of one stand-in.
fn act(factory: &'static str, pad: &gst::Pad, seen: &AtomicU64) -> gst::PadProbeReturn {
    let script = script_of(factory).unwrap();
    let frame = seen.fetch_add(1, Ordering::Relaxed) + 1;
    if frame < script.from {
        return gst::PadProbeReturn::Ok;
    }
    if frame == script.from && script.behaviour != Behaviour::Works {
        eprintln!("stand-in {factory}: {:?} at frame {frame}", script.behaviour);
    }
    match script.behaviour {
        Behaviour::Works | Behaviour::DoesNotOpen | Behaviour::HangsInOpen => gst::PadProbeReturn::Ok,
        Behaviour::Swallows => gst::PadProbeReturn::Drop,
        Behaviour::StartsSlowly if frame == script.from => {
            thread::sleep(Duration::from_secs(2));
            gst::PadProbeReturn::Ok
        }
        Behaviour::StartsSlowly => gst::PadProbeReturn::Ok,
        Behaviour::Blocks => loop {
            thread::park();
        },
        Behaviour::Fails => {
            let element = pad.parent_element().unwrap();
            gst::element_error!(element, gst::LibraryError::Encode, ["no session left"]);
            gst::PadProbeReturn::Drop
        }
    }
}

/// GStreamer's VA-API encoders do not hand on the times of pictures: they count on from the first one's.
fn count_times(pad: &gst::Pad) {
    let first = OnceLock::new();
    let given = AtomicU64::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let caps = pad.current_caps().unwrap();
        let rate = caps.structure(0).unwrap().get::<gst::Fraction>("framerate").unwrap();
        let unit = info.buffer_mut().unwrap().make_mut();
        let first = *first.get_or_init(|| unit.pts().unwrap());
        let interval = gst::ClockTime::SECOND.mul_div_floor(rate.denom() as u64, rate.numer() as u64).unwrap();
        let time = first + interval * given.fetch_add(1, Ordering::Relaxed);
        unit.set_pts(time);
        unit.set_dts(time);
        unit.set_duration(interval);
        gst::PadProbeReturn::Ok
    });
}

fn told(factory: &str, what: impl std::fmt::Display) {
    eprintln!("stand-in {factory}: {what}");
}

/// A bin of an encoder's name.
macro_rules! encoder {
    ($module:ident, $factory:literal, $inner:literal, $memory:expr, $properties:expr) => {
        mod $module {
            use super::*;

            #[derive(Default)]
            pub struct Encoder;

            #[glib::object_subclass]
            impl ObjectSubclass for Encoder {
                const NAME: &'static str = concat!("StandIn_", $factory);
                type Type = Object;
                type ParentType = gst::Bin;
            }

            impl ObjectImpl for Encoder {
                fn properties() -> &'static [glib::ParamSpec] {
                    static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| $properties);
                    &PROPERTIES
                }

                fn set_property(&self, _: usize, value: &glib::Value, spec: &glib::ParamSpec) {
                    let text = value.serialize().unwrap();
                    told($factory, format!("{}={text}", spec.name()));
                }

                fn property(&self, _: usize, spec: &glib::ParamSpec) -> glib::Value {
                    spec.default_value().clone()
                }

                fn constructed(&self) {
                    self.parent_constructed();
                    let bin = self.obj();
                    let inner = gst::parse::bin_from_description(
                        &format!(
                            "standindownload name=first ! videoconvert ! video/x-raw,format=I420 ! {} name=last \
                             tune=zerolatency speed-preset=ultrafast key-int-max=1000",
                            $inner
                        ),
                        false,
                    )
                    .unwrap();
                    bin.add(&inner).unwrap();
                    let inside = [("first", "sink"), ("last", "src")].map(|(element, pad)| {
                        let pad = inner.by_name(element).unwrap().static_pad(pad).unwrap();
                        let ghost = gst::GhostPad::with_target(&pad).unwrap();
                        ghost.set_active(true).unwrap();
                        inner.add_pad(&ghost).unwrap();
                        ghost
                    });
                    for (pad, name) in inside.iter().zip(["sink", "src"]) {
                        let template = bin.pad_template(name).unwrap();
                        let ghost = gst::GhostPad::from_template_with_target(&template, pad).unwrap();
                        bin.add_pad(&ghost).unwrap();
                    }
                    if $factory.starts_with("va") {
                        count_times(&inner.by_name("last").unwrap().static_pad("src").unwrap());
                    }
                    let seen = AtomicU64::new(0);
                    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
                    let first = inner.by_name("first").unwrap().static_pad("sink").unwrap();
                    first.add_probe(mask, move |pad, info| {
                        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view()) {
                            told($factory, event.caps());
                        }
                        match info.buffer() {
                            Some(_) => act($factory, pad, &seen),
                            None => gst::PadProbeReturn::Ok,
                        }
                    });
                }
            }

            impl GstObjectImpl for Encoder {}

            impl ElementImpl for Encoder {
                fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
                    static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                        gst::subclass::ElementMetadata::new("stand-in", "Codec/Encoder/Video", "none", "none")
                    });
                    Some(&METADATA)
                }

                fn pad_templates() -> &'static [gst::PadTemplate] {
                    static TEMPLATES: LazyLock<[gst::PadTemplate; 2]> = LazyLock::new(|| {
                        let raw = gst::Caps::builder("video/x-raw").field("format", "NV12");
                        let raw = match $memory {
                            Some(memory) => raw.features([memory]).build(),
                            None => raw.build(),
                        };
                        let coded = if $inner == "x264enc" { "video/x-h264" } else { "video/x-h265" };
                        let coded = gst::Caps::builder(coded)
                            .field("stream-format", "byte-stream")
                            .field("alignment", "au")
                            .build();
                        [("sink", gst::PadDirection::Sink, raw), ("src", gst::PadDirection::Src, coded)].map(
                            |(name, direction, caps)| {
                                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).unwrap()
                            },
                        )
                    });
                    &*TEMPLATES
                }

                fn change_state(
                    &self,
                    transition: gst::StateChange,
                ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
                    static OPENINGS: AtomicU64 = AtomicU64::new(0);
                    let opens = transition == gst::StateChange::NullToReady;
                    let opening = OPENINGS.fetch_add(opens.into(), Ordering::Relaxed) + 1;
                    let script = script_of($factory).unwrap();
                    match script.behaviour {
                        Behaviour::DoesNotOpen if opens => Err(gst::StateChangeError),
                        Behaviour::HangsInOpen if opens && opening >= script.from => {
                            told($factory, format!("hangs at opening {opening}"));
                            loop {
                                thread::park();
                            }
                        }
                        _ => self.parent_change_state(transition),
                    }
                }
            }

            impl BinImpl for Encoder {}

            glib::wrapper! {
                pub struct Object(ObjectSubclass<Encoder>) @extends gst::Bin, gst::Element, gst::Object;
            }
        }
    };
}

fn uint(name: &str) -> glib::ParamSpec {
    glib::ParamSpecUInt::builder(name).build()
}

fn boolean(name: &str) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name).build()
}

fn choice<T>(name: &str) -> glib::ParamSpec
where
    T: Default + StaticType + glib::translate::FromGlib<i32> + glib::translate::IntoGlib<GlibType = i32>,
{
    glib::ParamSpecEnum::builder_with_default(name, T::default()).build()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "StandInRateControl")]
enum RateControl {
    #[default]
    #[enum_value(name = "Variable", nick = "vbr")]
    Variable,
    #[enum_value(name = "Constant", nick = "cbr")]
    Constant,
    #[enum_value(name = "NVENC's quantizers", nick = "constqp")]
    Quantizers,
    #[enum_value(name = "VA's quantizers", nick = "cqp")]
    VaQuantizers,
}

/// Nicks as NVIDIA's elements have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "StandInControlRate")]
enum ControlRate {
    #[default]
    #[enum_value(name = "Variable", nick = "variable_bitrate")]
    Variable,
    #[enum_value(name = "Constant", nick = "constant_bitrate")]
    Constant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "StandInPresetLevel")]
enum PresetLevel {
    #[default]
    #[enum_value(name = "None", nick = "DisablePreset")]
    Disable,
    #[enum_value(name = "Fastest", nick = "UltraFastPreset")]
    UltraFast,
    #[enum_value(name = "Fast", nick = "FastPreset")]
    Fast,
    #[enum_value(name = "Medium", nick = "MediumPreset")]
    Medium,
    #[enum_value(name = "Slow", nick = "SlowPreset")]
    Slow,
}

fn nvenc_properties() -> Vec<glib::ParamSpec> {
    vec![
        uint("bitrate"),
        choice::<RateControl>("rc-mode"),
        boolean("zerolatency"),
        uint("bframes"),
        uint("qp-const"),
        uint("gop-size"),
    ]
}

fn jetson_properties() -> Vec<glib::ParamSpec> {
    vec![
        uint("bitrate"),
        choice::<ControlRate>("control-rate"),
        choice::<PresetLevel>("preset-level"),
        boolean("maxperf-enable"),
        boolean("insert-sps-pps"),
        uint("iframeinterval"),
        uint("idrinterval"),
        uint("num-B-Frames"),
        boolean("ratecontrol-enable"),
        uint("quant-i-frames"),
        uint("quant-p-frames"),
    ]
}

fn va_properties() -> Vec<glib::ParamSpec> {
    vec![
        uint("bitrate"),
        choice::<RateControl>("rate-control"),
        uint("target-usage"),
        uint("key-int-max"),
        uint("b-frames"),
        boolean("aud"),
        uint("qpi"),
        uint("qpp"),
        uint("qpb"),
    ]
}

encoder!(nvh264enc, "nvh264enc", "x264enc", None::<&str>, nvenc_properties());
encoder!(nvh265enc, "nvh265enc", "x265enc", None::<&str>, nvenc_properties());
encoder!(nvv4l2h264enc, "nvv4l2h264enc", "x264enc", Some(NVMM), jetson_properties());
encoder!(nvv4l2h265enc, "nvv4l2h265enc", "x265enc", Some(NVMM), jetson_properties());
encoder!(vah264enc, "vah264enc", "x264enc", None::<&str>, va_properties());
encoder!(vah264lpenc, "vah264lpenc", "x264enc", None::<&str>, va_properties());
encoder!(vah265enc, "vah265enc", "x265enc", None::<&str>, va_properties());

const NVMM: &str = "memory:NVMM";

/// An element that changes the memory that caps tell of; the pictures stay where they are.
macro_rules! carrier {
    ($module:ident, $type_name:literal, $uploads:literal) => {
        mod $module {
            use super::*;

            #[derive(Default)]
            pub struct Carrier;

            #[glib::object_subclass]
            impl ObjectSubclass for Carrier {
                const NAME: &'static str = $type_name;
                type Type = Object;
                type ParentType = gst_base::BaseTransform;
            }

            impl ObjectImpl for Carrier {}
            impl GstObjectImpl for Carrier {}

            impl ElementImpl for Carrier {
                fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
                    static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                        gst::subclass::ElementMetadata::new("stand-in", "Filter/Video", "none", "none")
                    });
                    Some(&METADATA)
                }

                fn pad_templates() -> &'static [gst::PadTemplate] {
                    static TEMPLATES: LazyLock<[gst::PadTemplate; 2]> = LazyLock::new(|| {
                        let plain = gst::Caps::new_empty_simple("video/x-raw");
                        let device = gst::Caps::builder("video/x-raw").features([NVMM]).build();
                        let mut any = plain.clone();
                        any.make_mut().append(device.clone());
                        let (sink, src) = if $uploads { (plain, device) } else { (any, plain) };
                        [("sink", gst::PadDirection::Sink, sink), ("src", gst::PadDirection::Src, src)].map(
                            |(name, direction, caps)| {
                                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).unwrap()
                            },
                        )
                    });
                    &*TEMPLATES
                }
            }

            impl BaseTransformImpl for Carrier {
                const MODE: gst_base::subclass::BaseTransformMode =
                    gst_base::subclass::BaseTransformMode::AlwaysInPlace;
                const PASSTHROUGH_ON_SAME_CAPS: bool = false;
                const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

                fn transform_caps(
                    &self,
                    direction: gst::PadDirection,
                    caps: &gst::Caps,
                    filter: Option<&gst::Caps>,
                ) -> Option<gst::Caps> {
                    let with = |memory: &str| {
                        let mut caps = caps.clone();
                        let features = gst::CapsFeatures::new([memory]);
                        caps.make_mut().set_features_simple(Some(features));
                        caps
                    };
                    let mut other = match (direction, $uploads) {
                        (gst::PadDirection::Sink, true) => with(NVMM),
                        (gst::PadDirection::Sink, false) | (_, true) => with("memory:SystemMemory"),
                        (_, false) => {
                            let mut both = with("memory:SystemMemory");
                            both.make_mut().append(with(NVMM));
                            both
                        }
                    };
                    if let Some(filter) = filter {
                        other = filter.intersect_with_mode(&other, gst::CapsIntersectMode::First);
                    }
                    Some(other)
                }

                fn transform_ip(&self, _: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
                    Ok(gst::FlowSuccess::Ok)
                }
            }

            glib::wrapper! {
                pub struct Object(ObjectSubclass<Carrier>)
                    @extends gst_base::BaseTransform, gst::Element, gst::Object;
            }
        }
    };
}

carrier!(upload, "StandIn_nvvidconv", true);
carrier!(download, "StandIn_download", false);

/// Installs what `STAND_INS` lists.
pub fn install() {
    gst::init().unwrap();
    let register = |factory: &str, type_| gst::Element::register(None, factory, gst::Rank::NONE, type_).unwrap();
    register("standindownload", download::Object::static_type());
    for (factory, type_) in [
        ("nvh264enc", nvh264enc::Object::static_type()),
        ("nvh265enc", nvh265enc::Object::static_type()),
        ("nvv4l2h264enc", nvv4l2h264enc::Object::static_type()),
        ("nvv4l2h265enc", nvv4l2h265enc::Object::static_type()),
        ("vah264enc", vah264enc::Object::static_type()),
        ("vah264lpenc", vah264lpenc::Object::static_type()),
        ("vah265enc", vah265enc::Object::static_type()),
        ("nvvidconv", upload::Object::static_type()),
    ] {
        if script_of(factory).is_some() {
            register(factory, type_);
        }
    }
}

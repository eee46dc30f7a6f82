//! Making elements, with an error that says what to install.

use gst::prelude::*;
use tools_cli::{
    aside::{Aside, OPEN_MAX},
    failure::Failure,
};

/// Makes an element.
///
/// # Errors
/// [`Failure::Pipeline`] when GStreamer has none of that name.
pub fn make(factory: &str) -> Result<gst::Element, Failure> {
    gst::ElementFactory::make(factory).build().map_err(|_| missing(factory))
}

/// Makes an element that lets pass what fits `caps`.
///
/// # Errors
/// [`Failure::Pipeline`] when GStreamer has no `capsfilter`.
pub fn filter(caps: gst::Caps) -> Result<gst::Element, Failure> {
    let filter = make("capsfilter")?;
    filter.set_property("caps", caps);
    Ok(filter)
}

/// Has `seen` look at the caps that pass `pad`, before what has them does.
pub fn watch_caps(pad: &gst::Pad, seen: impl Fn(&gst::CapsRef) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view()) {
            seen(event.caps());
        }
        gst::PadProbeReturn::Ok
    });
}

/// Looks whether an element of this kind opens its device.
pub fn try_out(factory: gst::ElementFactory) -> Aside<bool> {
    Aside::begin(OPEN_MAX, move || {
        factory.create().build().is_ok_and(|element| {
            let opened = element.set_state(gst::State::Ready);
            // An element in NULL has let go of its device.
            let _ = element.set_state(gst::State::Null);
            opened.is_ok()
        })
    })
}

/// Makes an element of GStreamer's app plugin, `appsrc` or `appsink`.
///
/// # Errors
/// [`Failure::Pipeline`] when GStreamer has none of that name.
pub fn make_app<T: IsA<gst::Element>>(factory: &str) -> Result<T, Failure> {
    make(factory)?.downcast().map_err(|_| Failure::Pipeline(format!("the element '{factory}' is not GStreamer's")))
}

/// The failure for an element that is not there.
pub fn missing(factory: &str) -> Failure {
    let package = match factory {
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "x265enc" | "h264parse" | "h265parse" | "mpegtsmux" | "srtsink" => "gstreamer1.0-plugins-bad",
        "rtph264pay" | "rtph265pay" | "rtpsession" | "udpsink" | "flvmux" | "videobox" | "mp4mux" | "pngenc" => {
            "gstreamer1.0-plugins-good"
        }
        "avdec_h264" | "avdec_h265" => "gstreamer1.0-libav",
        _ => "gstreamer1.0-plugins-base",
    };
    Failure::Pipeline(format!("GStreamer has no element '{factory}'; install it (Debian: {package})"))
}

/// Adds `chain` to `bin` and links it from first to last.
///
/// # Errors
/// [`Failure::Pipeline`] when two neighbours do not fit.
pub fn add_chain(bin: &gst::Pipeline, chain: &[&gst::Element]) -> Result<(), Failure> {
    bin.add_many(chain)
        .and_then(|()| gst::Element::link_many(chain))
        .map_err(|error| Failure::Pipeline(format!("the pipeline cannot be assembled: {error}")))
}

/// A static pad that the element is known to have.
pub fn pad(element: &gst::Element, name: &str) -> gst::Pad {
    element.static_pad(name).unwrap_or_else(|| panic!("{} has a pad '{name}'", element.name()))
}

/// Links two elements by any of their pads.
///
/// # Errors
/// [`Failure::Pipeline`] when they do not fit.
pub fn link(from: &gst::Element, to: &gst::Element) -> Result<(), Failure> {
    from.link(to).map_err(|error| Failure::Pipeline(format!("the pipeline cannot be assembled: {error}")))
}

//! What an element complains of, in one line that a user understands.

use gst::prelude::*;

/// `error`, with the detail that the element gave.
pub fn sentence(error: &gst::glib::Error, debug: Option<&str>) -> String {
    let message = one_line(error.message());
    let message = message.trim_end_matches('.');
    // The first line of the debug text is a place in GStreamer's source.
    let detail = debug
        .and_then(|debug| debug.split_once('\n'))
        .map(|(_, detail)| one_line(detail))
        .filter(|detail| !detail.is_empty() && detail != message && !message.contains(detail.as_str()));
    match detail {
        Some(detail) => format!("{message} ({})", detail.trim_end_matches('.')),
        None => message.to_owned(),
    }
}

/// Name of the pipeline's direct child that posted `message`.
pub fn culprit(message: &gst::Message, pipeline: &gst::Pipeline) -> Option<String> {
    let mut object = message.src()?.clone();
    while let Some(parent) = object.parent() {
        if parent == *pipeline.upcast_ref::<gst::Object>() {
            return Some(object.name().into());
        }
        object = parent;
    }
    None
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_names_go_and_details_stay() {
        let error = gst::glib::Error::new(gst::ResourceError::Write, "Could not write.");
        assert_eq!(
            sentence(&error, Some("../a.c(7): f (): /P/E:\nConnection\n refused.")),
            "Could not write (Connection refused)"
        );
        assert_eq!(sentence(&error, Some("../a.c(7): f ()")), "Could not write");
        assert_eq!(sentence(&error, None), "Could not write");
        assert_eq!(sentence(&error, Some("x\nCould not write.")), "Could not write");
    }
}

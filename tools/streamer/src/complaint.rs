//! What an element complains of, in one line that a user understands.

use gst::prelude::*;

/// `error`, with the detail that the element gave.
pub fn sentence(error: &gst::glib::Error, debug: Option<&str>) -> String {
    let message = polished(error.message());
    match detail(debug).filter(|detail| !message.contains(detail.as_str())) {
        Some(detail) => format!("{message} ({detail})"),
        None => message,
    }
}

/// The detail alone, from elements of this project: they leave the message to GStreamer's stock sentence.
pub fn own_sentence(error: &gst::glib::Error, debug: Option<&str>) -> String {
    detail(debug).unwrap_or_else(|| polished(error.message()))
}

/// The debug text without its first line, a place in the source.
fn detail(debug: Option<&str>) -> Option<String> {
    let (_, detail) = debug?.split_once('\n')?;
    Some(polished(detail)).filter(|detail| !detail.is_empty())
}

/// What an RTMP server's refusal may come from, in what the sink says of it.
pub fn advised(why: &str) -> String {
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    let advice = if says(&["BadName", "'publish' cmd failed", "stream already exists", "publish denied"]) {
        "is something published under that name already?"
    } else if says(&["Short read", "does not speak RTMP"]) {
        "is that an RTMP server's port?"
    } else {
        return why.to_owned();
    };
    format!("{why}; {advice}")
}

/// One line, without a full stop.
fn polished(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_end_matches('.').to_owned()
}

/// Name of the element that posted `message`; within a bin, of the bin. It may have left the pipeline since.
pub fn culprit(message: &gst::Message, pipeline: &gst::Pipeline) -> Option<String> {
    let pipeline = pipeline.upcast_ref::<gst::Object>();
    let mut object = message.src()?.clone();
    while let Some(parent) = object.parent().filter(|parent| parent != pipeline) {
        object = parent;
    }
    (object != *pipeline).then(|| object.name().into())
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
        assert_eq!(own_sentence(&error, Some("x\n/dev/shm/a is taken")), "/dev/shm/a is taken");
        assert_eq!(own_sentence(&error, Some("x")), "Could not write");
    }
}

//! Running times of a sample's timestamps.

/// When an access unit is to be decoded, in nanoseconds.
pub fn decoding_time(sample: &gst::Sample) -> Option<i64> {
    running_time(sample, sample.buffer()?.dts_or_pts()?)
}

/// B-frames may have the first decoding times before the segment: those are negative.
pub fn running_time(sample: &gst::Sample, time: gst::ClockTime) -> Option<i64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    match segment.to_running_time_full(time)? {
        gst::Signed::Positive(time) => i64::try_from(time.nseconds()).ok(),
        gst::Signed::Negative(time) => i64::try_from(time.nseconds()).ok().map(|time| -time),
    }
}

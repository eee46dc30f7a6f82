//! Frames that were copied before downstream agreed on another form.

use cvmmap::SnapshotError;
use gst_video::{VideoFrameRef, prelude::*};

use super::{canvas::Canvases, filled::unusable};
use crate::{
    cvmmapsrc::planes::planar::{Conversion, Form, Planes},
    picture::Picture,
    planes_meta,
};

/// A picture's buffer in the form that is agreed on now. None when it is in another one and not the camera's: what was
/// converted is not converted again.
pub(crate) fn fitted(
    buffer: gst::Buffer,
    picture: &Picture,
    form: Option<&Form>,
    canvases: &Canvases,
) -> Result<Option<gst::Buffer>, SnapshotError> {
    let Some(agreed) = canvases.agreement(picture) else {
        return Ok(form.is_none().then_some(buffer));
    };
    match (form, agreed.conversion()) {
        (None, None) => Ok(Some(buffer)),
        (Some(form), Some(conversion)) if *form == conversion.form() => Ok(Some(buffer)),
        (Some(_), _) => Ok(None),
        (None, Some(conversion)) => {
            let mut canvas = agreed.planar_canvas()?;
            convert(&buffer, picture, conversion, canvas.planes())?;
            let mut converted = canvas.into_buffer();
            planes_meta::copy(&buffer, converted.make_mut());
            Ok(Some(converted))
        }
    }
}

fn convert(
    buffer: &gst::BufferRef,
    picture: &Picture,
    conversion: &Conversion,
    planes: Planes<'_>,
) -> Result<(), SnapshotError> {
    let info = picture.video_info().map_err(|_| unusable("the picture is too large"))?;
    let frame =
        VideoFrameRef::from_buffer_ref_readable(buffer, &info).map_err(|_| unusable("buffer cannot be read"))?;
    let data = frame.plane_data(0).map_err(|_| unusable("buffer without a picture"))?;
    let stride = usize::try_from(frame.plane_stride()[0]).map_err(|_| unusable("negative stride"))?;
    if conversion.convert(data, stride, 0, planes) { Ok(()) } else { Err(unusable("buffer too small for the picture")) }
}

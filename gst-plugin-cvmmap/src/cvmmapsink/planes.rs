//! The other planes that ride on a picture, as `cvmmapsrc attach-planes=true` puts them there.

use cvmmap::{Abi, Codec, Depth, DepthUnit, Encoded, PixelFormat, PlaneImage, PlaneKind};

use crate::planes_meta::PLANES_META;

/// Planes of one buffer, besides its own.
#[derive(Default)]
pub(super) struct Riding {
    planes: Vec<Rider>,
    pub(super) depth_unit: DepthUnit,
    pub(super) encoded: Option<Encoded>,
    /// Planes that cannot be published: of another form than the contract's, or not of this ABI.
    pub(super) unusable: u64,
}

struct Rider {
    kind: PlaneKind,
    width: u32,
    height: u32,
    stride: u32,
    data: gst::MappedBuffer<gst::buffer::Readable>,
}

impl Riding {
    /// What rides on a buffer and can be published in an ABI.
    pub(super) fn of(buffer: &gst::BufferRef, abi: Abi) -> Self {
        let mut riding = Self::default();
        let Ok(meta) = gst::meta::CustomMeta::from_buffer(buffer, PLANES_META) else {
            return riding;
        };
        let sparse = matches!(abi, Abi::V2 { minor: 1.. });
        for (kind, name) in
            [(PlaneKind::Depth, "depth"), (PlaneKind::Confidence, "confidence"), (PlaneKind::Encoded, "encoded")]
        {
            let Ok(described) = meta.structure().get::<gst::Structure>(name) else {
                continue;
            };
            // Without the sparse mask of v2.1, planes are contiguous: no confidence without depth, nothing behind it.
            let allowed = match kind {
                PlaneKind::Confidence => {
                    sparse || riding.planes.last().is_some_and(|last| last.kind == PlaneKind::Depth)
                }
                PlaneKind::Encoded => sparse,
                _ => abi != Abi::V1,
            };
            match Rider::of(kind, &described).filter(|_| allowed) {
                Some(rider) => {
                    riding.tell(kind, &described);
                    riding.planes.push(rider);
                }
                None => riding.unusable += 1,
            }
        }
        riding
    }

    fn tell(&mut self, kind: PlaneKind, described: &gst::StructureRef) {
        match kind {
            PlaneKind::Depth => {
                self.depth_unit = match described.get::<&str>("unit") {
                    Ok("millimeter") => DepthUnit::Millimeter,
                    Ok("meter") => DepthUnit::Meter,
                    _ => DepthUnit::Unknown,
                };
            }
            PlaneKind::Encoded => {
                self.encoded = codec(described).map(|codec| Encoded {
                    codec,
                    keyframe: described.get("keyframe").unwrap_or_default(),
                    frame_rate: (0, 0),
                    stream_pts_ns: 0,
                });
            }
            _ => {}
        }
    }

    /// Whether a plane is among them.
    pub(super) fn has(&self, kind: PlaneKind) -> bool {
        self.planes.iter().any(|rider| rider.kind == kind)
    }

    /// The planes in slot order.
    pub(super) fn images(&self) -> impl Iterator<Item = PlaneImage<'_>> {
        self.planes.iter().map(|rider| match rider.kind {
            PlaneKind::Encoded => PlaneImage::access_unit(&rider.data),
            kind => PlaneImage {
                kind,
                pixel_format: PixelFormat::Gray,
                depth: Depth::F32,
                width: rider.width,
                height: rider.height,
                stride: rider.stride,
                data: &rider.data,
            },
        })
    }
}

fn codec(described: &gst::StructureRef) -> Option<Codec> {
    match described.get::<&str>("codec") {
        Ok("h264") => Some(Codec::H264),
        Ok("h265") => Some(Codec::H265),
        _ => None,
    }
}

impl Rider {
    fn of(kind: PlaneKind, described: &gst::StructureRef) -> Option<Self> {
        let data = described.get::<gst::Buffer>("buffer").ok()?.into_mapped_buffer_readable().ok()?;
        if kind == PlaneKind::Encoded {
            codec(described)?;
            let bytes = u32::try_from(data.len()).ok().filter(|bytes| *bytes > 0)?;
            return Some(Self { kind, width: bytes, height: 1, stride: bytes, data });
        }
        // The contract has these as floats alone.
        if (described.get::<&str>("pixel-format"), described.get::<&str>("sample")) != (Ok("GRAY"), Ok("f32")) {
            return None;
        }
        let number = |name| described.get::<u32>(name).ok().filter(|number| *number > 0);
        let (width, height, stride) = (number("width")?, number("height")?, number("stride")?);
        let row = u64::from(width) * 4;
        let whole = u64::from(stride) * u64::from(height - 1) + row;
        (u64::from(stride) >= row && data.len() as u64 >= whole).then_some(Self { kind, width, height, stride, data })
    }
}

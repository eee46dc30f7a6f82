//! Frames of several planes, published by the real thing or, for losses, by hand.

use cvmmap::{
    Abi, Codec, Depth, DepthUnit, Encoded, Frame, Metadata, PLANES, PixelFormat, Plane, PlaneImage, PlaneKind,
    Publisher,
};
use gst::prelude::*;

use super::{init, player::Player, producer::Producer, until};

pub const V2_1: Abi = Abi::V2 { minor: 1 };

/// An access unit.
#[derive(Clone, Debug)]
pub struct Unit {
    pub codec: Codec,
    pub keyframe: bool,
    pub frame_rate: (u16, u16),
    pub data: Vec<u8>,
}

/// A frame to publish.
#[derive(Clone, Debug)]
pub struct Shot {
    pub width: u32,
    pub height: u32,
    /// Packed BGR.
    pub left: Vec<u8>,
    pub depth_unit: DepthUnit,
    /// Packed; it is published with a padding of [`PADDING`] values.
    pub depth: Option<Vec<f32>>,
    /// Packed samples of a type.
    pub confidence: Option<(Depth, Vec<u8>)>,
    pub unit: Option<Unit>,
}

const PADDING: u32 = 2;

impl Shot {
    pub fn new(width: u32, height: u32, seed: u32) -> Self {
        let left = (0..width * height * 3).map(|at| at.wrapping_mul(31).wrapping_add(seed * 7) as u8).collect();
        let depth_unit = DepthUnit::Unknown;
        Self { width, height, left, depth_unit, depth: None, confidence: None, unit: None }
    }

    pub fn with_depth(mut self, unit: DepthUnit, values: Vec<f32>) -> Self {
        assert_eq!(values.len() as u32, self.width * self.height);
        self.depth_unit = unit;
        self.depth = Some(values);
        self
    }

    pub fn with_confidence(mut self, sample: Depth, bytes: Vec<u8>) -> Self {
        self.confidence = Some((sample, bytes));
        self
    }

    pub fn with_unit(mut self, unit: &Unit) -> Self {
        self.unit = Some(unit.clone());
        self
    }

    fn padded_depth(&self) -> Vec<u8> {
        let rows = self.depth.as_deref().unwrap_or_default().chunks(self.width as usize);
        let padded = rows.flat_map(|row| row.iter().chain(&[777.0; PADDING as usize]));
        padded.flat_map(|value| value.to_le_bytes()).collect()
    }

    fn images<'a>(&'a self, padded_depth: &'a [u8]) -> Vec<PlaneImage<'a>> {
        let image = |kind, pixel_format, depth: Depth, stride, data| PlaneImage {
            kind,
            pixel_format,
            depth,
            width: self.width,
            height: self.height,
            stride,
            data,
        };
        let mut images = vec![image(PlaneKind::Left, PixelFormat::Bgr, Depth::U8, self.width * 3, &self.left[..])];
        if self.depth.is_some() {
            let stride = (self.width + PADDING) * 4;
            images.push(image(PlaneKind::Depth, PixelFormat::Gray, Depth::F32, stride, padded_depth));
        }
        if let Some((sample, data)) = &self.confidence {
            let stride = self.width * u32::from(sample.size());
            images.push(image(PlaneKind::Confidence, PixelFormat::Gray, *sample, stride, data));
        }
        if let Some(unit) = &self.unit {
            images.push(PlaneImage::access_unit(&unit.data));
        }
        images
    }

    fn encoded(&self) -> Option<Encoded> {
        let unit = self.unit.as_ref()?;
        Some(Encoded { codec: unit.codec, keyframe: unit.keyframe, frame_rate: unit.frame_rate, stream_pts_ns: 0 })
    }

    pub fn publish(&self, publisher: &mut Publisher, timestamp_ns: u64) -> u32 {
        let depth = self.padded_depth();
        let planes = self.images(&depth);
        let frame = Frame { timestamp_ns, planes: &planes, depth_unit: self.depth_unit, encoded: self.encoded() };
        publisher.publish(&frame).unwrap()
    }

    /// Publishes and waits until the source has dealt with it.
    pub fn publish_to(&self, publisher: &mut Publisher, player: &Player, timestamp_ns: u64) -> u32 {
        let before = settled(player);
        let frame_id = self.publish(publisher, timestamp_ns);
        until("the frame was dealt with", || settled(player) > before);
        frame_id
    }

    /// Writes the frame by hand, unannounced.
    pub fn write(&self, producer: &Producer, frame_id: u32, timestamp_ns: u64) {
        let depth = self.padded_depth();
        let mut planes = [None; PLANES];
        let mut payload = Vec::new();
        for image in self.images(&depth) {
            planes[image.kind as usize] = Some(Plane {
                pixel_format: image.pixel_format,
                depth: image.depth,
                width: image.width,
                height: image.height,
                stride: image.stride,
                offset: payload.len() as u32,
                size: image.data.len() as u32,
            });
            payload.extend_from_slice(image.data);
        }
        let metadata = Metadata {
            abi: V2_1,
            frame_id,
            timestamp_ns,
            publish_seq: 0,
            payload_size: payload.len() as u32,
            depth_unit: self.depth_unit,
            encoded: self.encoded(),
            planes,
        };
        producer.write(&metadata.to_bytes(), &payload);
    }

    /// Publishes by hand and waits until the source has dealt with it.
    pub fn show(&self, producer: &Producer, player: &Player, frame_id: u32) {
        let before = settled(player);
        let timestamp_ns = u64::from(frame_id) * 33_333_333;
        self.write(producer, frame_id, timestamp_ns);
        producer.announce(frame_id, timestamp_ns);
        until("the frame was dealt with", || settled(player) > before);
    }
}

/// Frames that the source has taken or dropped for a reason of theirs.
fn settled(player: &Player) -> u64 {
    let stats = player.stats();
    let outcomes = [
        "frames-received",
        "frames-torn",
        "frames-late",
        "frames-repeated",
        "frames-invalid",
        "frames-unavailable",
        "frames-without-plane",
        "frames-undecodable",
    ];
    outcomes.iter().map(|outcome| stats.get::<u64>(*outcome).unwrap()).sum()
}

/// A playing source of a real publisher that it hears: frames of the left plane alone were published until it did.
pub fn greeted(publisher: &mut Publisher, player: &Player) {
    player.play();
    until("the source hears the publisher", || {
        Shot::new(16, 16, 0).publish(publisher, 1);
        player.stat("frames-announced") > 0
    });
    // What was published last may still be under way.
    let mut last = 0;
    until("the source has heard all", || {
        let announced = player.stat("frames-announced");
        std::mem::replace(&mut last, announced) == announced && settled(player) == announced
    });
}

/// Runs a pipeline that ends in an appsink named `out` and takes all that comes out.
pub fn run(description: &str, feed: Option<(&gst::Caps, Vec<gst::Buffer>)>) -> Vec<gst::Sample> {
    init();
    let pipeline = gst::parse::launch(description).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    if let Some((caps, buffers)) = feed {
        let src = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
        src.set_caps(Some(caps));
        src.set_format(gst::Format::Time);
        pipeline.set_state(gst::State::Playing).unwrap();
        for buffer in buffers {
            src.push_buffer(buffer).unwrap();
        }
        src.end_of_stream().unwrap();
    } else {
        pipeline.set_state(gst::State::Playing).unwrap();
    }
    let mut samples = Vec::new();
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::try_from(super::PATIENCE).unwrap()) {
        samples.push(sample);
    }
    let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(error.is_none(), "{description}: {error:?}");
    samples
}

/// So many access units of a moving picture, with a keyframe every `gop` of them.
pub fn encode(codec: Codec, width: u32, height: u32, count: u32, gop: u32) -> Vec<Unit> {
    let encoder = match codec {
        Codec::H264 => format!(
            "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} ! h264parse config-interval=-1 ! video/x-h264"
        ),
        Codec::H265 => format!(
            "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} option-string=scenecut=0 ! h265parse config-interval=-1 ! video/x-h265"
        ),
    };
    let description = format!(
        "videotestsrc num-buffers={count} pattern=ball ! video/x-raw,format=I420,width={width},height={height},framerate=30/1 \
         ! {encoder},stream-format=byte-stream,alignment=au ! appsink name=out sync=false"
    );
    let samples = run(&description, None);
    let units = samples.iter().map(|sample| {
        let buffer = sample.buffer().unwrap();
        Unit {
            codec,
            keyframe: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            frame_rate: (30, 1),
            data: buffer.map_readable().unwrap().to_vec(),
        }
    });
    let units = units.collect::<Vec<_>>();
    assert_eq!(units.len() as u32, count);
    for (unit, at) in units.iter().zip(0..) {
        assert_eq!(unit.keyframe, at % gop == 0, "unit {at}");
    }
    units
}

/// The parser and decoder of caps.
pub fn decoder(caps: &gst::CapsRef) -> &'static str {
    match caps.structure(0).unwrap().name().as_str() {
        "video/x-h264" => "h264parse ! avdec_h264",
        "video/x-h265" => "h265parse ! avdec_h265",
        other => panic!("{other}"),
    }
}

/// The pictures that another program's decoder makes of access units.
pub fn decode(codec: Codec, units: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let name = match codec {
        Codec::H264 => "video/x-h264",
        Codec::H265 => "video/x-h265",
    };
    let caps = gst::Caps::builder(name).field("stream-format", "byte-stream").field("alignment", "au").build();
    let buffers = units.iter().zip(0..).map(|(unit, at)| {
        let mut buffer = gst::Buffer::from_slice(unit.clone());
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(at * 33));
        buffer
    });
    let description = format!(
        "appsrc name=in ! {} ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false",
        decoder(&caps)
    );
    let pictures = run(&description, Some((&caps, buffers.collect())));
    pictures.iter().map(|sample| sample.buffer().unwrap().map_readable().unwrap().to_vec()).collect()
}

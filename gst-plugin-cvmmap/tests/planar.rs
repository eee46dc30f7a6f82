//! Pictures in the formats that encoders take, judged by `videoconvert`'s converter.

mod common;

use common::{
    init,
    picture::{BGR, FORMATS, Format, Picture},
    place::Place,
    player::{Got, Player},
    producer::Producer,
};
use gst::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo, prelude::*};

const TARGETS: [VideoFormat; 2] = [VideoFormat::I420, VideoFormat::Nv12];

fn source(place: &Place) -> gst::Element {
    gst::ElementFactory::make("cvmmapsrc").property("uri", place.uri()).build().unwrap()
}

fn raw(format: VideoFormat) -> gst::Caps {
    init();
    gst_video::VideoCapsBuilder::new().format(format).build()
}

/// A producer and a player that takes one format.
fn playing(place: &Place, wanted: &gst::Caps) -> (Producer, Player) {
    let producer = Producer::new(place);
    let player = Player::of(source(place), wanted);
    player.play();
    producer.await_subscriber();
    (producer, player)
}

/// Rows of each plane, without what pads them.
fn planes(buffer: &gst::BufferRef, info: &VideoInfo) -> Vec<Vec<u8>> {
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let plane = |plane: u32| {
        let component = if plane == 0 { 0 } else { plane as usize };
        let width = frame.comp_width(component as u32) * frame.comp_pstride(component as u32) as u32;
        let rows = frame.plane_data(plane).unwrap().chunks(frame.plane_stride()[plane as usize] as usize);
        let rows = rows.take(frame.comp_height(component as u32) as usize);
        rows.flat_map(|row| &row[..width as usize]).copied().collect()
    };
    (0..info.n_planes()).map(plane).collect()
}

/// What `videoconvert` makes of a picture.
fn by_videoconvert(picture: &Picture, to: &VideoInfo) -> Vec<Vec<u8>> {
    if (picture.format.video, to.format()) == (VideoFormat::Yuy2, VideoFormat::Nv12) {
        // It joins the rows' colour in I420 and smears it over the columns, too, in NV12.
        let to = VideoInfo::builder(VideoFormat::I420, to.width(), to.height()).build().unwrap();
        let [y, u, v] = by_videoconvert(picture, &to).try_into().unwrap();
        return vec![y, u.into_iter().zip(v).flat_map(|(u, v)| [u, v]).collect()];
    }
    let from = VideoInfo::builder(picture.format.video, picture.width as u32, picture.height as u32).build().unwrap();
    let mut packed = vec![0; from.size()];
    for (line, row) in packed.chunks_mut(from.stride()[0] as usize).zip(picture.rows()) {
        line[..row.len()].copy_from_slice(&row);
        if picture.format.video == VideoFormat::Yuy2 && picture.width % 2 == 1 {
            line[row.len() + 1] = if picture.width > 1 { row[row.len() - 3] } else { 128 };
        }
    }
    let packed = gst::Buffer::from_mut_slice(packed);
    let mut made = gst::Buffer::with_size(to.size()).unwrap();
    let converter = gst_video::VideoConverter::new(&from, to, None).unwrap();
    let source = VideoFrameRef::from_buffer_ref_readable(&packed, &from).unwrap();
    let mut target = VideoFrameRef::from_buffer_ref_writable(made.get_mut().unwrap(), to).unwrap();
    converter.frame_ref(&source, &mut target);
    drop(target);
    planes(&made, to)
}

/// A picture with slopes and some noise, as cameras have them: where colour jumps from pixel to pixel, it is a matter of
/// taste.
fn scene(format: Format, width: usize, height: usize, padding: usize, seed: u32) -> Picture {
    let mut picture = Picture::new(format, width, height, padding, seed);
    let pixel = format.pixel_bytes;
    for (at, byte) in picture.data.iter_mut().enumerate() {
        let (x, y, part) = (at % picture.stride / pixel, at / picture.stride, at % picture.stride % pixel);
        let slope = (x * (1 + part) + 3 * y + seed as usize) % 512;
        *byte = (slope.min(511 - slope) as u8).saturating_add(*byte >> 4);
    }
    picture
}

fn is_grey(format: Format) -> bool {
    matches!(format.video, VideoFormat::Gray8 | VideoFormat::Gray16Le)
}

/// What is to be made of it: greys are known exactly, and `videoconvert` is off by one with some of them.
fn wanted(picture: &Picture, to: &VideoInfo) -> (Vec<Vec<u8>>, u8) {
    if !is_grey(picture.format) {
        return (by_videoconvert(picture, to), 2);
    }
    let bytes = picture.format.pixel_bytes;
    let luma = |grey: &u8| (16.0 + f64::from(*grey) * 219.0 / 255.0).round() as u8;
    let luma = picture.rows().iter().flat_map(|row| row.iter().skip(bytes - 1).step_by(bytes)).map(luma).collect();
    let colours = picture.width.div_ceil(2) * picture.height.div_ceil(2);
    let planes = if to.format() == VideoFormat::Nv12 {
        vec![luma, vec![128; 2 * colours]]
    } else {
        vec![luma, vec![128; colours], vec![128; colours]]
    };
    (planes, 0)
}

/// Publishes pictures of one kind and tells how what comes differs: the first was copied before there were caps, the others are
/// converted as they are read.
fn differences(format: Format, target: VideoFormat, pictures: &[Picture]) -> Vec<String> {
    let mut wrong = Vec::new();
    let place = Place::new();
    let (producer, player) = playing(&place, &raw(target));
    for (picture, frame_id) in pictures.iter().zip(0..) {
        producer.publish(picture, frame_id, 1_000 + u64::from(frame_id));
        let got = player.pull();
        assert_eq!(got.info.format(), target);
        assert_eq!((got.id, got.size()), (frame_id.into(), (picture.width as u32, picture.height as u32)));
        let (wanted, tolerance) = wanted(picture, &got.info);
        for (plane, (made, wanted)) in planes(&got.buffer, &got.info).iter().zip(&wanted).enumerate() {
            assert_eq!(made.len(), wanted.len());
            let off = made.iter().zip(wanted).map(|(made, wanted)| made.abs_diff(*wanted)).max().unwrap();
            let (format, width, height) = (format.video, picture.width, picture.height);
            if off > tolerance {
                wrong.push(format!("{format} {width}x{height} to {target}, frame {frame_id}, plane {plane}: {off}"));
            }
        }
    }
    assert_eq!(player.stat("frames-invalid"), 0);
    wrong
}

#[test]
fn pictures_are_those_of_videoconvert_whatever_their_size_and_stride() {
    let mut wrong = Vec::new();
    let sizes = [(1, 1), (2, 2), (1, 3), (3, 1), (15, 7), (66, 34), (641, 361), (640, 577), (1282, 721)];
    for (format, target) in FORMATS.into_iter().flat_map(|format| TARGETS.map(|target| (format, target))) {
        let of_size = |(width, height)| [0, 0, 37].map(|padding| scene(format, width, height, padding, 7));
        wrong.extend(differences(format, target, sizes.map(of_size).as_flattened()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Pixels whose parts are equal.
#[test]
fn greys_have_no_colour_and_their_own_brightness() {
    for (format, target) in FORMATS.into_iter().flat_map(|format| TARGETS.map(|target| (format, target))) {
        if matches!(format.video, VideoFormat::V308 | VideoFormat::Yuy2) {
            continue;
        }
        let place = Place::new();
        let (producer, player) = playing(&place, &raw(target));
        let sizes = [(1, 1), (2, 2), (15, 7), (66, 34)];
        let greys = sizes.into_iter().flat_map(|size| (0..=255).map(move |grey| (size, grey)));
        for (((width, height), grey), frame_id) in greys.zip(0..) {
            let mut picture = Picture::new(format, width, height, 0, 1);
            picture.data.fill(grey);
            producer.publish(&picture, frame_id, 1 + u64::from(frame_id));
            let got = player.pull();
            let planes = planes(&got.buffer, &got.info);
            let luma = (16.0 + f64::from(grey) * 219.0 / 255.0).round() as u8;
            let tolerance = u8::from(!is_grey(format));
            let what = format!("{} {width}x{height} of {grey} to {target}", format.video);
            assert!(planes[0].iter().all(|made| made.abs_diff(luma) <= tolerance), "{what}: {:?}", planes[0]);
            assert!(planes[1..].iter().flatten().all(|colour| *colour == 128), "{what}: {:?}", &planes[1..]);
        }
    }
}

/// Caps of what `videoconvert` makes of pictures with such caps.
fn caps_by_videoconvert(own: &gst::Caps, format: VideoFormat) -> gst::Caps {
    let mut harness = gst_check::Harness::new("videoconvert");
    harness.set_sink_caps(raw(format));
    harness.set_src_caps(own.clone());
    let info = VideoInfo::from_caps(own).unwrap();
    let mut picture = gst::Buffer::with_size(info.size()).unwrap();
    picture.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    harness.push(picture).unwrap();
    harness.sinkpad().unwrap().current_caps().unwrap()
}

#[test]
fn colours_are_told_as_videoconvert_tells_them() {
    init();
    for format in FORMATS {
        for (width, height) in [(640, 360), (720, 576), (1280, 720)] {
            let caps = |wanted: &gst::Caps| {
                let place = Place::new();
                let (producer, player) = playing(&place, wanted);
                producer.publish(&Picture::new(format, width, height, 0, 1), 0, 1);
                player.pull().caps
            };
            let own = caps(&gst::Caps::new_any());
            for target in TARGETS {
                let (made, wanted) = (caps(&raw(target)), caps_by_videoconvert(&own, target));
                let colours = |caps: &gst::Caps| VideoInfo::from_caps(caps).unwrap().colorimetry();
                assert_eq!(colours(&made), colours(&wanted), "{made}; {wanted}");
                let site = made.structure(0).unwrap().get::<&str>("chroma-site");
                assert_eq!(site, Ok(if format.video == VideoFormat::Yuy2 { "mpeg2" } else { "jpeg" }));
            }
        }
    }
}

#[test]
fn colours_that_downstream_asks_for_are_made() {
    for colours in ["bt601", "bt709", "bt2020", "1:4:7:1"] {
        let place = Place::new();
        let mut wanted = raw(VideoFormat::I420);
        wanted.get_mut().unwrap().set("colorimetry", colours);
        let (producer, player) = playing(&place, &wanted);
        for frame_id in 0..2 {
            let picture = scene(BGR, 64, 48, 0, 3);
            producer.publish(&picture, frame_id, 1 + u64::from(frame_id));
            let got = player.pull();
            assert_eq!(got.info.colorimetry(), colours.parse().unwrap());
            for (made, wanted) in planes(&got.buffer, &got.info).iter().zip(by_videoconvert(&picture, &got.info)) {
                assert!(made.iter().zip(&wanted).all(|(made, wanted)| made.abs_diff(*wanted) <= 2), "{colours}");
            }
        }
    }
}

#[test]
fn the_cameras_own_format_comes_first() {
    init();
    let place = Place::new();
    let either = gst_video::VideoCapsBuilder::new()
        .format_list([VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Bgr])
        .build();
    let (producer, player) = playing(&place, &either);
    producer.publish(&Picture::new(BGR, 16, 16, 0, 0), 0, 1);
    assert_eq!(player.pull().info.format(), VideoFormat::Bgr);
}

#[test]
fn the_format_changes_when_downstream_asks_for_another_one() {
    let place = Place::new();
    let (producer, player) = playing(&place, &raw(VideoFormat::I420));
    let filter = player.sink.sink_pads()[0].peer().unwrap().parent_element().unwrap();
    let mut frame_id = 0;
    for wanted in [VideoFormat::I420, VideoFormat::Bgr, VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Bgr] {
        filter.set_property("caps", raw(wanted));
        // A frame that is on its way may still come in the format before, or not at all.
        common::until("the format changes", || {
            let picture = scene(BGR, 40, 30, 5, frame_id);
            producer.publish_to(&player, &picture, frame_id, 1 + u64::from(frame_id));
            frame_id += 1;
            let Some(sample) = player.sink.try_pull_sample(gst::ClockTime::from_mseconds(200)) else { return false };
            let got = Got::of(&sample);
            let picture = scene(BGR, 40, 30, 5, got.id as u32);
            if got.info.format() == VideoFormat::Bgr {
                assert_eq!(got.rows, picture.rows());
            } else {
                let wanted = by_videoconvert(&picture, &got.info);
                for (made, wanted) in planes(&got.buffer, &got.info).iter().zip(&wanted) {
                    assert!(made.iter().zip(wanted).all(|(made, wanted)| made.abs_diff(*wanted) <= 2));
                }
            }
            got.info.format() == wanted
        });
    }
    player.assert_no_error();
}

#[test]
fn measurements_stay_as_they_are() {
    let place = Place::new();
    init();
    let src = source(&place);
    src.set_property_from_str("plane", "depth");
    let pad = src.static_pad("src").unwrap();
    assert!(!pad.query_caps(None).can_intersect(&raw(VideoFormat::I420)));
    src.set_property_from_str("plane", "auto");
    assert!(pad.query_caps(None).can_intersect(&raw(VideoFormat::Nv12)));
}

#[test]
fn encoders_take_a_cameras_pictures_as_they_come() {
    init();
    for (encoder, settings) in [("x264enc", "tune=zerolatency"), ("x265enc", "tune=zerolatency"), ("openh264enc", "")] {
        if gst::ElementFactory::find(encoder).is_none() {
            continue;
        }
        let place = Place::new();
        let producer = Producer::new(&place);
        let line = format!(
            "cvmmapsrc uri={} coherence=metadata ! {encoder} {settings} ! appsink name=units sync=false async=false",
            place.uri()
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let units = pipeline.by_name("units").unwrap().downcast::<gst_app::AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        producer.await_subscriber();
        let mut frame_id = 0;
        common::until(&format!("{encoder} gives an access unit"), || {
            producer.publish(&scene(BGR, 320, 240, 0, frame_id), frame_id, 1 + u64::from(frame_id) * 33_000_000);
            frame_id += 1;
            let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
            assert!(error.is_none(), "{encoder}: {error:?}");
            units.try_pull_sample(gst::ClockTime::from_mseconds(50)).is_some()
        });
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn ten_thousand_random_pictures_are_those_of_videoconvert() {
    let mut wrong = Vec::new();
    for (format, target) in FORMATS.into_iter().flat_map(|format| TARGETS.map(|target| (format, target))) {
        let pictures = (0..25u32).flat_map(|size| {
            let (width, height) = (1 + size as usize * 13 % 40, 1 + size as usize * 7 % 23);
            (0..25).map(move |seed| Picture::new(format, width, height, (size % 3) as usize, 1 + seed + size * 100))
        });
        wrong.extend(differences(format, target, &pictures.collect::<Vec<_>>()));
    }
    assert!(wrong.is_empty(), "{} of 10000: {:#?}", wrong.len(), &wrong[..wrong.len().min(40)]);
}

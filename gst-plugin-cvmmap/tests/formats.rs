//! Every pixel format of the contract that GStreamer has a name for arrives as it was published, and no other does.

mod common;

use common::{
    picture::{FORMATS, Format, GRAY, Layout, Picture, YUYV},
    place::Place,
    player::Player,
    producer::Producer,
};
use gst_video::VideoFormat;

/// Plays pictures of one layout through one pipeline, each as a frame of its own.
fn assert_unchanged(layout: Layout, pictures: &[Picture]) {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    player.play();
    producer.await_subscriber();
    for (picture, frame_id) in pictures.iter().zip(0..) {
        producer.publish_as(picture, layout, frame_id, 1_000);
        let got = player.pull();
        let what = format!("{:?} {}x{} {layout:?}", picture.format.video, picture.width, picture.height);
        assert_eq!(got.info.format(), picture.format.video, "{what}");
        assert_eq!(got.size(), (picture.width as u32, picture.height as u32), "{what}");
        assert_eq!(got.rows, picture.rows(), "{what}");
        assert_eq!(got.id, u64::from(frame_id), "{what}");
    }
    assert_eq!(player.stat("frames-invalid"), 0);
}

fn pictures(paddings: &[usize]) -> Vec<Picture> {
    let sizes = [(64, 48), (7, 5), (1, 1), (33, 17), (321, 203)];
    let mut pictures = Vec::new();
    for format in FORMATS {
        for (width, height) in sizes {
            for padding in paddings {
                pictures.push(Picture::new(format, width, height, *padding, pictures.len() as u32));
            }
        }
    }
    pictures
}

#[test]
fn v1_pictures_arrive_unchanged() {
    assert_unchanged(Layout::V1, &pictures(&[0]));
}

#[test]
fn v2_0_pictures_arrive_unchanged_whatever_their_stride() {
    assert_unchanged(Layout::V2 { minor: 0 }, &pictures(&[0, 1, 37]));
}

#[test]
fn v2_1_pictures_arrive_unchanged_whatever_their_stride() {
    assert_unchanged(Layout::V2 { minor: 1 }, &pictures(&[0, 1, 37]));
}

#[test]
fn the_last_column_of_an_odd_yuyv_picture_has_the_colour_beside_it() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    player.play();
    producer.await_subscriber();
    let picture = Picture::new(YUYV, 7, 5, 0, 1);
    producer.publish(&picture, 0, 1);
    let got = player.pull();
    let map = got.buffer.map_readable().unwrap();
    for (line, row) in map.chunks(16).zip(picture.rows()) {
        assert_eq!(line[15], row[11], "V of the pixel before");
    }
    drop(map);

    producer.publish(&Picture::new(YUYV, 1, 2, 0, 2), 1, 2);
    let got = player.pull();
    assert_eq!(got.buffer.map_readable().unwrap()[3], 128, "no V at all is none");
}

#[test]
fn samples_without_a_video_format_are_refused_by_name() {
    let rgb = FORMATS[0];
    let refused = [
        (Format { depth: 1, ..GRAY }, "GRAY of s8"),
        (Format { depth: 3, pixel_bytes: 2, ..GRAY }, "GRAY of s16"),
        (Format { depth: 4, pixel_bytes: 4, ..GRAY }, "GRAY of s32"),
        (Format { depth: 5, pixel_bytes: 4, ..GRAY }, "GRAY of f32"),
        (Format { depth: 6, pixel_bytes: 8, ..GRAY }, "GRAY of f64"),
        (Format { depth: 7, pixel_bytes: 2, ..GRAY }, "GRAY of f16"),
        (Format { depth: 2, pixel_bytes: 6, ..rgb }, "RGB of u16"),
        (Format { depth: 5, pixel_bytes: 12, ..rgb }, "RGB of f32"),
        (Format { depth: 2, pixel_bytes: 4, ..YUYV }, "YUYV of u16"),
    ];
    for layout in [Layout::V1, Layout::V2 { minor: 0 }] {
        for (format, name) in refused {
            let place = Place::new();
            let producer = Producer::new(&place);
            let player = Player::new(&place);
            player.play();
            producer.await_subscriber();
            producer.publish_as(&Picture::new(format, 6, 4, 0, 0), layout, 0, 0);
            let error = player.error();
            assert!(error.matches(gst::StreamError::Format), "{error:?}");
            assert!(error.message().contains(name), "{error}");
        }
    }
}

#[test]
fn the_caps_are_complete() {
    let place = Place::new();
    let producer = Producer::new(&place);
    let player = Player::new(&place);
    player.play();
    producer.await_subscriber();
    producer.publish(&Picture::new(FORMATS[1], 16, 16, 0, 0), 0, 1);
    let caps = player.pull().caps;
    assert!(caps.is_fixed());
    let structure = caps.structure(0).unwrap();
    for field in ["format", "width", "height", "framerate", "pixel-aspect-ratio", "interlace-mode", "colorimetry"] {
        assert!(structure.has_field(field), "no {field} in {caps}");
    }
    assert_eq!(structure.get::<&str>("format").unwrap(), VideoFormat::Bgr.to_str());
}

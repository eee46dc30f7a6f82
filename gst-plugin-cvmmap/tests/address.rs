//! Naming a producer: by URI, by instance, by segment and endpoint, by the element's name.

mod common;

use common::{
    init,
    picture::{Layout, Picture},
    place::{Place, unique_instance},
    player::{Got, Player},
    producer::Producer,
};
use gst::{glib, prelude::*};

fn element(kind: &str, properties: &[(&str, &str)]) -> gst::Element {
    init();
    let element = gst::ElementFactory::make(kind).build().unwrap();
    for (name, value) in properties {
        element.set_property(name, value);
    }
    element
}

/// What starting the element complains of.
fn start_error(element: &gst::Element) -> glib::Error {
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err());
    let message = bus.pop_filtered(&[gst::MessageType::Error]).expect("no error on the bus");
    element.set_bus(None);
    element.set_state(gst::State::Null).unwrap();
    match message.view() {
        gst::MessageView::Error(error) => error.error(),
        _ => unreachable!(),
    }
}

fn assert_plays(place: &Place, src: gst::Element) {
    let producer = Producer::new(place);
    let player = Player::of(src, &gst::Caps::new_any());
    player.play();
    producer.await_subscriber();
    let picture = Picture::small(5);
    producer.publish_as(&picture, Layout::V1, 3, 1);
    assert_eq!(player.pull().rows, picture.rows());
}

#[test]
fn every_way_to_name_a_producer_works() {
    let place = Place::new();
    let (instance, prefix) = (place.target.instance(), place.target.prefix());
    let (shm_name, endpoint) = (place.address.shm_name(), place.address.zmq_endpoint());
    let posix_name = format!("/{shm_name}");
    let ways: [&[(&str, &str)]; 7] = [
        &[("uri", &place.uri())],
        &[("instance", instance), ("prefix", prefix)],
        &[("instance", instance), ("prefix", prefix), ("namespace", "cvmmap")],
        &[("name", instance), ("prefix", prefix)],
        &[("shm-name", shm_name), ("zmq-endpoint", endpoint)],
        &[("shm-name", &posix_name), ("zmq-endpoint", endpoint), ("label", instance)],
        // An empty string is none.
        &[("uri", &place.uri()), ("shm-name", ""), ("instance", "")],
    ];
    for way in ways {
        assert_plays(&place, element("cvmmapsrc", way));
    }
}

#[test]
fn the_name_alone_is_the_instance() {
    init();
    let instance = unique_instance();
    let src = gst::ElementFactory::make("cvmmapsrc").name(&instance).build().unwrap();
    let sink = gst::ElementFactory::make("cvmmapsink").name(&instance).property("sync", false).build().unwrap();
    let publishing = gst::Pipeline::new();
    let pictures = gst::ElementFactory::make("videotestsrc").property("is-live", true).build().unwrap();
    publishing.add_many([&pictures, &sink]).unwrap();
    pictures.link(&sink).unwrap();
    publishing.set_state(gst::State::Playing).unwrap();
    let player = Player::of(src, &gst::Caps::new_any());
    player.play();
    player.pull();
    publishing.set_state(gst::State::Null).unwrap();
}

#[test]
fn settings_that_name_no_producer_say_what_to_set() {
    type Case = (&'static [(&'static str, &'static str)], &'static [&'static str]);
    let cases: [Case; 10] = [
        (&[], &["uri=cvmmap://"]),
        (&[("namespace", "zed")], &["uri=cvmmap://"]),
        (&[("shm-name", "seg")], &["shm-name", "zmq-endpoint"]),
        (&[("zmq-endpoint", "ipc:///tmp/x")], &["shm-name", "zmq-endpoint"]),
        (&[("label", "x")], &["shm-name", "zmq-endpoint"]),
        (&[("uri", "cvmmap://a"), ("shm-name", "seg")], &["one of", "uri", "shm-name"]),
        (&[("uri", "cvmmap://a"), ("instance", "b")], &["one of", "uri", "instance"]),
        (&[("instance", "b"), ("shm-name", "seg"), ("zmq-endpoint", "ipc:///tmp/x")], &["one of", "instance"]),
        (&[("uri", "cvmmap://-a")], &["instance name '-a'"]),
        (&[("shm-name", "a/b"), ("zmq-endpoint", "ipc:///tmp/x")], &["'a/b'"]),
    ];
    for kind in ["cvmmapsrc", "cvmmapsink"] {
        for (properties, parts) in cases {
            let error = start_error(&element(kind, properties));
            assert!(error.matches(gst::ResourceError::Settings), "{kind} {properties:?}: {error:?}");
            for part in parts {
                assert!(error.message().contains(part), "{kind} {properties:?}: {error}");
            }
        }
    }
    let error = start_error(&element("cvmmapsink", &[("shm-name", "seg"), ("zmq-endpoint", "ipc:///tmp/x")]));
    assert!(error.matches(gst::ResourceError::Settings) && error.message().contains("label"), "{error:?}");
}

#[test]
fn elements_are_made_from_uris() {
    init();
    let uri = "cvmmap://cam0@/run/cams?namespace=zed";
    for (uri_type, kind) in [(gst::URIType::Src, "cvmmapsrc"), (gst::URIType::Sink, "cvmmapsink")] {
        let element = gst::Element::make_from_uri(uri_type, uri, None).unwrap();
        assert_eq!(element.factory().unwrap().name(), kind);
        assert_eq!(element.property::<String>("uri"), uri);
        let handler = element.dynamic_cast_ref::<gst::URIHandler>().unwrap();
        assert_eq!(handler.uri().unwrap(), uri);
        assert_eq!(handler.protocols(), ["cvmmap"]);
        assert_eq!(handler.uri_type(), uri_type);
    }
}

#[test]
fn a_bad_uri_is_refused_with_the_reason() {
    for kind in ["cvmmapsrc", "cvmmapsink"] {
        let element = element(kind, &[]);
        let handler = element.dynamic_cast_ref::<gst::URIHandler>().unwrap();
        handler.set_uri("cvmmap://good").unwrap();
        for bad in ["cvmmap://-cam", "cvmmap://cam@relative", "cvmmap://cam?namespace=", "cvmmap://cam?a=b"] {
            let error = handler.set_uri(bad).unwrap_err();
            assert!(error.matches(gst::URIError::BadUri), "{error:?}");
            let sentence = bad.parse::<cvmmap::Target>().unwrap_err().to_string();
            assert_eq!(error.message(), sentence);
        }
        assert_eq!(handler.uri().unwrap(), "cvmmap://good", "a refused URI changes nothing");
    }
}

#[test]
fn the_uri_of_a_running_element_stays() {
    for kind in ["cvmmapsrc", "cvmmapsink"] {
        let place = Place::new();
        let element = element(kind, &[("uri", &place.uri())]);
        let notified = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = notified.clone();
        element.connect_notify(Some("uri"), move |_, _| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        });
        element.set_state(gst::State::Paused).unwrap();
        let handler = element.dynamic_cast_ref::<gst::URIHandler>().unwrap();
        let error = handler.set_uri("cvmmap://other").unwrap_err();
        assert!(error.matches(gst::URIError::BadState), "{error:?}");
        assert_eq!(handler.uri().unwrap(), place.uri());
        element.set_state(gst::State::Null).unwrap();
        handler.set_uri("cvmmap://other").unwrap();
        assert_eq!(handler.uri().unwrap(), "cvmmap://other");
        assert_eq!(notified.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}

#[test]
fn uridecodebin_plays_a_producer() {
    init();
    let place = Place::new();
    let producer = Producer::new(&place);
    let line = format!("uridecodebin name=decodebin uri={} ! appsink name=sink sync=false", place.uri());
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.by_name("decodebin").unwrap().connect("source-setup", false, |values| {
        values[1].get::<gst::Element>().unwrap().set_property_from_str("coherence", "metadata");
        None
    });
    let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    producer.await_subscriber();
    let picture = Picture::small(1);
    let mut frame_id = 0;
    let mut got = None;
    // The subscription comes first, the step to PLAYING later.
    common::until("a frame comes through", || {
        producer.publish(&picture, frame_id, 1);
        frame_id += 1;
        got = sink.try_pull_sample(gst::ClockTime::from_mseconds(10));
        got.is_some()
    });
    assert_eq!(Got::of(&got.unwrap()).rows, picture.rows());
    pipeline.set_state(gst::State::Null).unwrap();
}

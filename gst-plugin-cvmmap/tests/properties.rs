//! What an element says of itself.

mod common;

use common::init;
use gst::{glib, prelude::*};
use gst_base::prelude::*;

fn made(kind: &str) -> gst::Element {
    init();
    gst::ElementFactory::make(kind).build().unwrap()
}

/// The properties of the element's own class.
fn own_properties(element: &gst::Element) -> Vec<glib::ParamSpec> {
    let properties = element.list_properties().iter().cloned().collect::<Vec<_>>();
    properties.into_iter().filter(|property| property.owner_type() == element.type_()).collect()
}

#[test]
fn every_default_is_what_a_new_element_has() {
    for kind in ["cvmmapsrc", "cvmmapsink"] {
        let element = made(kind);
        let properties = own_properties(&element);
        assert!(properties.len() >= 9, "{kind} has {}", properties.len());
        for property in properties.iter().filter(|property| property.name() != "stats") {
            let (default, value) = (property.default_value(), element.property_value(property.name()));
            assert_eq!(format!("{default:?}"), format!("{value:?}"), "{kind}: {}", property.name());
        }
    }
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let src = made("cvmmapsrc");
    assert_eq!(src.property::<u32>("queue-size"), 1);
    assert_eq!(src.property::<u32>("idle-timeout"), 0);
    assert_eq!(src.property::<u64>("max-frames"), 0);
    assert_eq!(src.property::<u32>("stall-timeout"), 5000);
    assert!(src.property::<bool>("is-live"));
    assert_eq!(src.property_value("coherence").serialize().unwrap(), "cadence");
    assert_eq!(src.property_value("timestamp-mode").serialize().unwrap(), "auto");
    assert_eq!(src.property_value("plane").serialize().unwrap(), "left");
    assert_eq!(src.property_value("depth-format").serialize().unwrap(), "gray16");
    assert!(!src.property::<bool>("attach-planes"));
    let sink = made("cvmmapsink");
    let abi = sink.property_value("abi");
    assert_eq!(abi.serialize().unwrap(), "v2");
    assert_eq!(sink.property::<u32>("perms"), 0);
    sink.set_property_from_str("perms", "0640");
    assert_eq!(sink.property::<u32>("perms"), 0o640, "octal, as of shmsink");
    for element in [src, sink] {
        for name in ["uri", "instance", "namespace", "prefix", "shm-name", "zmq-endpoint", "label"] {
            assert_eq!(element.property::<Option<String>>(name), None, "{name}");
        }
    }
}

#[test]
fn what_is_set_is_had() {
    for kind in ["cvmmapsrc", "cvmmapsink"] {
        let element = made(kind);
        for property in own_properties(&element) {
            if !property.flags().contains(glib::ParamFlags::WRITABLE) {
                continue;
            }
            let name = property.name();
            let text = match property.value_type() {
                glib::Type::STRING => "cvmmap://x",
                glib::Type::U32 | glib::Type::U64 => "7",
                glib::Type::BOOL => "true",
                _ if name == "coherence" => "metadata",
                _ if name == "timestamp-mode" => "arrival",
                _ if name == "plane" => "depth",
                _ if name == "depth-format" => "float32",
                _ => "v1",
            };
            element.set_property_from_str(name, text);
            let value = element.property_value(name);
            assert!(value.serialize().unwrap().contains(text), "{kind} {name}: {value:?}");
        }
    }
}

#[test]
fn statistics_have_the_documented_fields() {
    let documented = [
        "frames-announced",
        "frames-received",
        "frames-pushed",
        "frames-dropped",
        "frames-torn",
        "frames-late",
        "frames-skipped",
        "frames-repeated",
        "frames-invalid",
        "frames-unavailable",
        "frames-without-plane",
        "frames-undecodable",
        "messages-foreign",
        "source-restarts",
    ];
    let cases: [(&str, &str, &[&str], &[&str]); 2] = [
        ("cvmmapsrc", "application/x-cvmmapsrc-stats", &documented, &["stall"]),
        (
            "cvmmapsink",
            "application/x-cvmmapsink-stats",
            &["frames-published", "bytes-published", "planes-unusable", "bodies-published", "bodies-unsent"],
            &[],
        ),
    ];
    for (kind, name, fields, texts) in cases {
        let stats = made(kind).property::<gst::Structure>("stats");
        assert_eq!(stats.name(), name);
        assert_eq!(stats.fields().map(|field| field.as_str()).collect::<Vec<_>>(), [fields, texts].concat());
        assert!(texts.iter().all(|text| stats.get::<&str>(*text) == Ok("")));
        assert!(fields.iter().all(|field| stats.get::<u64>(*field) == Ok(0)));
    }
}

#[test]
fn the_source_is_live_and_needs_a_clock() {
    let src = made("cvmmapsrc");
    assert!(src.element_flags().contains(gst::ElementFlags::REQUIRE_CLOCK | gst::ElementFlags::SOURCE));
    let base = src.downcast_ref::<gst_base::BaseSrc>().unwrap();
    assert!(base.is_live());
    assert!(!base.does_timestamp());
    let pipeline = gst::Pipeline::new();
    src.set_property("uri", common::place::Place::new().uri());
    pipeline.add(&src).unwrap();
    assert_eq!(pipeline.set_state(gst::State::Paused), Ok(gst::StateChangeSuccess::NoPreroll));
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn every_enum_is_part_of_the_plugins_interface() {
    for kind in ["cvmmapsrc", "cvmmapsink"] {
        let properties = own_properties(&made(kind));
        let enums = properties.iter().map(|property| property.value_type()).filter(|kind| kind.is_a(glib::Type::ENUM));
        let enums = enums.collect::<Vec<_>>();
        assert!(!enums.is_empty());
        for kind in enums {
            assert_eq!(kind.plugin_api_flags(), Some(gst::PluginAPIFlags::empty()), "{kind}");
        }
    }
}

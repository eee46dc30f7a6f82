//! The properties of `cvmmapsrc`.

use std::time::Duration;

use gst::{glib, prelude::*};

use super::{Coherence, TimestampMode, planes::plane::PlaneSettings};
use crate::{address::AddressSettings, nats::NatsSettings};

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) address: AddressSettings,
    pub(super) planes: PlaneSettings,
    pub(super) nats: NatsSettings,
    pub(super) coherence: Coherence,
    pub(super) timestamp_mode: TimestampMode,
    /// Frames that may wait for downstream.
    pub(super) queue_size: u32,
    /// Milliseconds without a frame until end of stream; 0 is never.
    pub(super) idle_timeout: u32,
    /// Milliseconds of playing without a frame until a warning says why; 0 is never.
    pub(super) stall_timeout: u32,
    /// Frames until end of stream; 0 is no limit.
    pub(super) max_frames: u64,
    /// Whether the stream ends when the producer says that it leaves.
    pub(super) eos_on_offline: bool,
    /// Milliseconds that an action signal waits for an answer.
    pub(super) control_timeout: u32,
}

impl Default for Settings {
    fn default() -> Self {
        let address = AddressSettings::default();
        let planes = PlaneSettings::default();
        let (coherence, timestamp_mode) = (Coherence::default(), TimestampMode::default());
        Self {
            address,
            planes,
            nats: NatsSettings::default(),
            coherence,
            timestamp_mode,
            queue_size: 1,
            idle_timeout: 0,
            stall_timeout: 5000,
            max_frames: 0,
            eos_on_offline: false,
            control_timeout: 1000,
        }
    }
}

impl Settings {
    pub(super) fn param_specs() -> Vec<glib::ParamSpec> {
        let defaults = Self::default();
        let mut specs = AddressSettings::param_specs();
        specs.extend(PlaneSettings::param_specs());
        specs.extend(NatsSettings::param_specs());
        specs.extend([
            glib::ParamSpecEnum::builder_with_default("coherence", defaults.coherence)
                .nick("Coherence")
                .blurb("What a copied frame has to show to pass for whole")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("timestamp-mode", defaults.timestamp_mode)
                .nick("Timestamp mode")
                .blurb("What the timestamps of the buffers are made from")
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("queue-size")
                .nick("Queue size")
                .blurb("Pictures that may wait for downstream; the oldest is dropped for a newer one")
                .minimum(1)
                .maximum(1024)
                .default_value(defaults.queue_size)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("idle-timeout")
                .nick("Idle timeout")
                .blurb("End of stream after so many milliseconds without a frame (0 = never)")
                .default_value(defaults.idle_timeout)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("stall-timeout")
                .nick("Stall timeout")
                .blurb("Warning that says why no frame comes, after so many milliseconds without one (0 = never)")
                .default_value(defaults.stall_timeout)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("max-frames")
                .nick("Maximum of frames")
                .blurb("End of stream after so many frames (0 = no limit)")
                .default_value(defaults.max_frames)
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder("eos-on-offline")
                .nick("End of stream on offline")
                .blurb("End of stream when the producer says over NATS that it leaves; else wait for the next one")
                .default_value(defaults.eos_on_offline)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("control-timeout")
                .nick("Control timeout")
                .blurb("Milliseconds that an action signal waits for the producer's answer")
                .minimum(1)
                .default_value(defaults.control_timeout)
                .mutable_playing()
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb("Counters of frames received, pushed and lost by cause")
                .read_only()
                .build(),
            glib::ParamSpecBoolean::builder("is-live")
                .nick("Is live")
                .blurb("A producer does not wait for its consumers")
                .default_value(true)
                .read_only()
                .build(),
        ]);
        specs
    }

    pub(super) fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "coherence" => self.coherence = value.get().expect("checked by GObject"),
            "timestamp-mode" => self.timestamp_mode = value.get().expect("checked by GObject"),
            "queue-size" => self.queue_size = value.get().expect("checked by GObject"),
            "idle-timeout" => self.idle_timeout = value.get().expect("checked by GObject"),
            "stall-timeout" => self.stall_timeout = value.get().expect("checked by GObject"),
            "max-frames" => self.max_frames = value.get().expect("checked by GObject"),
            "eos-on-offline" => self.eos_on_offline = value.get().expect("checked by GObject"),
            "control-timeout" => self.control_timeout = value.get().expect("checked by GObject"),
            _ => {
                let known = self.address.set(name, value) || self.planes.set(name, value) || self.nats.set(name, value);
                debug_assert!(known, "property {name} has no setter");
            }
        }
    }

    pub(super) fn get(&mut self, name: &str) -> Option<glib::Value> {
        match name {
            "coherence" => Some(self.coherence.to_value()),
            "timestamp-mode" => Some(self.timestamp_mode.to_value()),
            "queue-size" => Some(self.queue_size.to_value()),
            "idle-timeout" => Some(self.idle_timeout.to_value()),
            "stall-timeout" => Some(self.stall_timeout.to_value()),
            "max-frames" => Some(self.max_frames.to_value()),
            "eos-on-offline" => Some(self.eos_on_offline.to_value()),
            "control-timeout" => Some(self.control_timeout.to_value()),
            "is-live" => Some(true.to_value()),
            _ => self.address.get(name).or_else(|| self.planes.get(name)).or_else(|| self.nats.get(name)),
        }
    }

    pub(super) fn stall_timeout(&self) -> Option<Duration> {
        (self.stall_timeout > 0).then(|| Duration::from_millis(self.stall_timeout.into()))
    }

    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        (self.idle_timeout > 0).then(|| Duration::from_millis(self.idle_timeout.into()))
    }
}

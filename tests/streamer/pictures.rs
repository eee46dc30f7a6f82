//! Four cameras of a robot on the page, as docs/watch.md shows them: each layer is there, and nothing lies over another.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use cvmmap::{
    Abi, Address, Depth, DepthUnit, Frame, PixelFormat, PlaneImage, PlaneKind, Publisher, Target,
    nats::{
        self, CameraControlChange, CameraControlValue, Client, Identity, Options, Producer, Refusal, Source,
        SourceState,
        proto::{CameraControlSetting, ErrorCode, SeekTimestampResponse},
    },
};
use serde_json::json;

use crate::many_support::Scene;
use crate::nats_server::NatsServer;
use crate::page::{browser, interrupt, root, seen};
use crate::room::{Shown, View, packet};

/// Pictures for docs/watch.md, which are written anew when this is set.
const WRITE_PICTURES: &str = "CVMMAP_WRITE_PICTURES";
const FPS: u32 = 30;
/// Pictures for which somebody's wave takes one step.
const STEP: usize = 4;
const CAMERAS: [(&str, View); 4] = [
    ("front", View { eye: [0.1, 1.35, 0.0], turn: 0.0, down: 7.0 }),
    ("rear", View { eye: [2.7, 2.2, 5.0], turn: 219.0, down: 22.0 }),
    ("left-arm", View { eye: [-1.55, 2.0, 1.9], turn: 3.0, down: 45.0 }),
    ("gripper", View { eye: [-1.35, 1.02, 2.25], turn: 2.0, down: 12.0 }),
];

/// A camera in the room, until dropped.
struct Camera {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    fn start(target: &Target, server: &NatsServer, view: View, size: (u32, u32), steps: usize) -> Self {
        let address = Address::from(target);
        let mut publisher = Publisher::create(&address, Abi::V2 { minor: 1 }).unwrap();
        let client = Client::connect(&Options::parse(&server.url()).unwrap(), "room").unwrap();
        let producer = Producer::start(client, Identity::new(&address, "test").unwrap(), Arc::new(Lens));
        let label = target.instance().to_owned();
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let shown = (0..steps).map(|step| view.see(size, step as f32 / steps as f32)).collect::<Vec<_>>();
            let begun = Instant::now();
            for index in 0.. {
                if until.load(Ordering::Relaxed) {
                    return;
                }
                let shown = &shown[index / STEP % steps];
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
                let frame = publish(&mut publisher, shown, size, now);
                producer.publish_body(&packet(&shown.body, &label, frame, now));
                // The camera's cadence.
                let due = Duration::from_secs(1) / FPS * (index as u32 + 1);
                thread::sleep(due.saturating_sub(begun.elapsed()));
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// The frame's number.
fn publish(publisher: &mut Publisher, shown: &Shown, (width, height): (u32, u32), timestamp_ns: u64) -> u32 {
    let plane = |kind, pixel_format, depth, sample: u32, data| PlaneImage {
        kind,
        pixel_format,
        depth,
        width,
        height,
        stride: width * sample,
        data,
    };
    let planes = [
        plane(PlaneKind::Left, PixelFormat::Bgr, Depth::U8, 3, &shown.picture[..]),
        plane(PlaneKind::Depth, PixelFormat::Gray, Depth::F32, 4, &shown.depth[..]),
    ];
    publisher
        .publish(&Frame { timestamp_ns, planes: &planes, depth_unit: DepthUnit::Millimeter, encoded: None })
        .unwrap()
}

/// What can be asked of each camera.
struct Lens;

impl Source for Lens {
    fn state(&self) -> SourceState {
        SourceState::default()
    }

    fn reset(&self) -> Result<(), ErrorCode> {
        Err(ErrorCode::Unsupported)
    }

    fn seek(&self, _: u64) -> Result<SeekTimestampResponse, ErrorCode> {
        Err(ErrorCode::Unsupported)
    }

    fn camera(&self) -> Option<&dyn nats::Camera> {
        Some(self)
    }
}

impl nats::Camera for Lens {
    fn settings(&self) -> Result<Vec<CameraControlSetting>, Refusal> {
        Ok(vec![CameraControlSetting::Exposure, CameraControlSetting::Gain])
    }

    fn value(&self, setting: CameraControlSetting) -> Result<CameraControlValue, Refusal> {
        Ok(CameraControlValue::Single(if setting == CameraControlSetting::Exposure { 40 } else { 12 }))
    }

    fn change(&self, _: CameraControlSetting, _: CameraControlChange) -> Result<CameraControlValue, Refusal> {
        Err(ErrorCode::Unsupported.into())
    }
}

#[test]
fn four_cameras_are_shown_with_each_layer_and_nothing_lies_over_another() {
    let Some(mut browser) = browser("pictures.mjs") else { return };
    let are_kept = std::env::var_os(WRITE_PICTURES).is_some();
    let (size, steps) = if are_kept { ((640, 360), 12) } else { ((160, 90), 2) };
    let (server, scene) = (NatsServer::start(), Scene::new());
    let names = CAMERAS.map(|(name, _)| (name, String::new()));
    scene.write(&format!("codec = \"h264\"\nnats_url = \"{}\"\n", server.url()), &names);
    let cameras = CAMERAS.map(|(name, view)| Camera::start(&scene.target(name), &server, view, size, steps));
    let streamer = scene.start(&[]);
    let folder = scene.names.path("browser");
    fs::create_dir(&folder).unwrap();
    let seen = seen(browser.arg(format!("http://127.0.0.1:{}", scene.port)).arg(&folder));
    println!("{seen:#}");
    let expected = CAMERAS.map(|(name, _)| name);
    assert_eq!(seen["wall"], json!(expected), "{seen}");
    assert_eq!(seen["wall_fits"], true, "{seen}");
    for page in ["wall", "phone", "view", "depth", "skeletons"] {
        assert_eq!(seen["overlaps"][page], json!([]), "{page}: {seen}");
    }
    assert_eq!(seen["painted"], json!({ "depth": true, "skeletons": true }), "{seen}");
    interrupt(streamer);
    drop(cameras);
    if are_kept {
        for name in ["wall.png", "view.png", "depth.png", "skeletons.png"] {
            fs::copy(folder.join(name), root("docs/pictures").join(name)).unwrap();
        }
    }
}

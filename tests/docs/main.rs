//! Every command line of README.md, CONTRIBUTING.md and docs/ runs as it stands there, with what its page says is there.
//!
//! A page's lines meet its rows in their order. A line without a row fails, and so does a row without a line; a line that
//! cannot run here is marked in the page's source with its reason (docs_support/page.rs), and the marks are counted.
//!
//! Longer than other files: the rows of all pages stand here, to be read beside the pages.

#[path = "../../cvmmap/tests/common/nats_server.rs"]
mod nats_server;
mod page;
#[path = "../support/recorder.rs"]
mod recorder_support;
#[path = "../support/recordings.rs"]
mod recordings_support;
#[path = "../support/rgbd.rs"]
mod rgbd_support;
#[path = "../support/streamer.rs"]
mod streamer_support;
mod world;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use page::Page;
use recordings_support::Svo2;
use rgbd_support::Recording;
use streamer_support::{ffmpeg, wait_for};
use world::{Ran, Until, World};

/// Pages with command lines, and how many of them are not run.
const PAGES: [(&str, usize); 20] = [
    ("CONTRIBUTING.md", 3),
    ("README.md", 6),
    ("docs/batch.md", 1),
    ("docs/compat_matrix.md", 4),
    ("docs/cvmmap_ctl.md", 0),
    ("docs/cvmmap_streamer.md", 0),
    ("docs/depth_alignment.md", 0),
    ("docs/fault_suite.md", 5),
    ("docs/gst_launch.md", 1),
    ("docs/mcap_recipes.md", 1),
    ("docs/mcap_replay.md", 0),
    ("docs/mcap_viewer.md", 2),
    ("docs/nats.md", 0),
    ("docs/operate.md", 1),
    ("docs/performance.md", 10),
    ("docs/recordings.md", 2),
    ("docs/smoke/srs.md", 2),
    ("docs/smoke/zlm.md", 1),
    ("docs/testers.md", 0),
    ("docs/watch.md", 1),
];

/// A sink says so when a picture reaches it.
const SHOWN: &str = "rendering object";
/// A segment as the pages name it.
const SEGMENT: &str = "2026-03-18T11-59-41";

/// What programs that are not ours end with when they are interrupted: a shell, ffplay.
const ENDED: [Option<i32>; 2] = [Some(130), Some(123)];

/// Done before a line runs.
type Step = Box<dyn Fn(&mut World)>;
/// What a line has to have done.
type Check = Box<dyn Fn(&World, &Ran)>;

/// How a page's line is run, and what it has to do.
struct Row {
    line: &'static str,
    before: Vec<Step>,
    until: Option<Until>,
    stays: bool,
    checks: Vec<Check>,
}

/// The line that begins like this. It ends by itself, and with 0.
fn line(line: &'static str) -> Row {
    Row { line, before: Vec::new(), until: None, stays: false, checks: Vec::new() }
}

impl Row {
    fn before(mut self, hook: impl Fn(&mut World) + 'static) -> Self {
        self.before.push(Box::new(hook));
        self
    }

    /// It goes on until then, and ends in order when it is interrupted.
    fn until(mut self, until: Until) -> Self {
        self.until = Some(until);
        self
    }

    /// It goes on while further lines run.
    fn stays(mut self) -> Self {
        self.stays = true;
        self
    }

    fn check(mut self, check: impl Fn(&World, &Ran) + 'static) -> Self {
        self.checks.push(Box::new(check));
        self
    }

    /// Stdout holds this.
    fn says(self, text: &'static str) -> Self {
        self.check(move |world, ran| {
            let text = world.own(text);
            assert!(ran.stdout.contains(&text), "{text:?} is not in\n{}\n{}", ran.stdout, ran.stderr);
        })
    }

    /// There is such a file then, with something in it.
    fn makes(self, name: &'static str) -> Self {
        self.check(move |world, ran| {
            let path = world.path(name);
            let size = fs::metadata(&path).map_or(0, |file| file.len());
            assert!(size > 0, "{} is not there\n{}\n{}", path.display(), ran.stdout, ran.stderr);
        })
    }

    /// There is a video of so many pictures then.
    fn makes_video(self, name: &'static str, pictures: usize) -> Self {
        self.check(move |world, ran| {
            let decoded = decoded(&world.path(name));
            assert!(decoded >= pictures, "{decoded} pictures in {name}\n{}\n{}", ran.stdout, ran.stderr);
        })
    }

    /// It shows pictures until it is interrupted.
    fn shows(self) -> Self {
        self.until(Until::Said(SHOWN))
    }

    /// It sends RTP to a receiver that is there for it.
    fn sends(self, codec: &'static str) -> Self {
        let file = if codec == "h264" { "received.h264" } else { "received.h265" };
        self.before(move |world| world.start_rtp_receiver(codec)).until(Until::File(file, 20_000)).makes_video(file, 5)
    }

    /// It publishes to an RTMP server that is there for it.
    fn publishes(self) -> Self {
        self.before(World::start_rtmp_server).until(Until::File("received.mkv", 8_000)).check(|world, _| {
            wait_for("pictures at the server", || decoded(&world.path("received.mkv")) >= 5);
        })
    }
}

/// Pictures that decode from a file.
fn decoded(path: &Path) -> usize {
    let output = ffmpeg()
        .args(["-v", "error", "-i", path.to_str().unwrap(), "-map", "0:v"])
        .args(["-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framemd5", "-"])
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with('#')).count()
}

/// Files below a directory whose names end like this.
fn found(directory: &Path, end: &str) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(directory).into_iter().map(|entry| entry.unwrap().into_path());
    files.filter(|path| path.to_str().unwrap().ends_with(end)).collect()
}

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs a page's lines.
fn run(name: &str, rows: Vec<Row>) {
    let mut world = World::new();
    let page = Page::read(&root(name));
    let mut rows = rows.into_iter();
    for found in page.lines.iter().filter(|line| line.reason.is_none()) {
        let place = format!("{name}:{}: {}", found.number, found.text);
        let row = rows.next().unwrap_or_else(|| panic!("{place}\nhas no row"));
        assert!(found.text.starts_with(row.line), "{place}\nis met by the row of\n{}", row.line);
        let begin = std::time::Instant::now();
        row.before.iter().for_each(|hook| hook(&mut world));
        let ran = if row.stays {
            world.start(found.text.trim_end_matches('&').trim_end());
            Ran::default()
        } else {
            let ran = world.run(&found.text, row.until.as_ref());
            // Our programs end in order when they are interrupted; others may end by the signal.
            let is_ours = found.text.starts_with("cvmmap_streamer") || found.text.starts_with("mcap_replay");
            let was_ended = row.until.is_some() && !is_ours && (ran.signal.is_some() || ENDED.contains(&ran.code));
            assert!(ran.code == Some(0) || was_ended, "{place}\nended with {ran:#?}");
            assert!(row.until.is_some() || !row.checks.is_empty(), "{place}\nis not checked");
            ran
        };
        row.checks.iter().for_each(|check| check(&world, &ran));
        println!("{:6.2} s  {place}", begin.elapsed().as_secs_f64());
    }
    if let Some(row) = rows.next() {
        panic!("{name} has no line {}", row.line);
    }
}

#[test]
fn every_page_is_run_and_what_is_not_is_counted() {
    let pages = found(&root("docs"), ".md").into_iter().chain([root("README.md"), root("CONTRIBUTING.md")]);
    let mut not_run: Vec<(String, usize)> = Vec::new();
    for path in pages {
        let page = Page::read(&path);
        if !page.lines.is_empty() {
            let name = path.strip_prefix(root("")).unwrap().to_str().unwrap().to_owned();
            not_run.push((name, page.lines.iter().filter(|line| line.reason.is_some()).count()));
        }
    }
    not_run.sort();
    assert_eq!(not_run, PAGES.map(|(name, count)| (name.to_owned(), count)));
}

fn with_camera(world: &mut World) {
    world.start_camera("--dummy-encoded h264");
}

#[test]
fn readme() {
    run(
        "README.md",
        vec![
            line("export GST_PLUGIN_PATH=").says("GST_PLUGIN_PATH="),
            line("gst-launch-1.0 videotestsrc is-live=true pattern=ball").shows(),
            line("gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 ! videoconvert ! autovideosink")
                .before(with_camera)
                .shows(),
            line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h264 --rtp").sends("h264").makes("cam0.sdp"),
            line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h265 --rtmp").publishes(),
            line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h264 --mcap").makes("cam0.mcap"),
            line("printf").makes("cameras.toml"),
            line("cvmmap_streamer --config cameras.toml --check-config").says("cam0: reads cvmmap://cam0"),
            line("cvmmap_streamer --config cameras.toml").stays().check(|world, _| world.wait_http()),
            line("curl -s http://127.0.0.1:8080/metrics").says("cvmmap_frames_received_total{camera=\"cam0\"}"),
            line("curl -s http://127.0.0.1:8080/healthz").says("\"healthy\":true"),
        ],
    );
}

/// The configuration of the page is one.
#[test]
fn operate() {
    run(
        "docs/operate.md",
        vec![
            line("cvmmap_streamer --config cameras.toml --check-config")
                .before(with_camera)
                .before(|world| {
                    let page = fs::read_to_string(root("docs/operate.md")).unwrap();
                    let (_, toml) = page.split_once("```toml\n").unwrap();
                    let (toml, _) = toml.split_once("```").unwrap();
                    fs::write(world.path("cameras.toml"), world.own(toml)).unwrap();
                })
                .says("back: reads cvmmap://back"),
            line("cvmmap_streamer --config cameras.toml").sends("h264"),
        ],
    );
}

#[test]
fn watch() {
    run(
        "docs/watch.md",
        vec![
            line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h264 --foxglove")
                .before(with_camera)
                .until(Until::Said("encoder: ")),
        ],
    );
}

/// The README's producer in Python is a camera for a pipeline of stock elements.
#[test]
fn readme_python() {
    let [producer] = &Page::read(&root("README.md")).python[..] else { panic!("one block of Python") };
    let name = format!("py{}", std::process::id());
    let own = |text: &str| text.replace("py0", &name);
    let mut world = World::new();
    fs::write(world.path("producer.py"), own(producer)).unwrap();
    world.start("python3 producer.py");
    let line =
        own("gst-launch-1.0 -e cvmmapsrc uri=cvmmap://py0 max-frames=60 ! videoconvert ! video/x-raw,format=I420 ! \
                    x264enc tune=zerolatency ! h264parse ! mp4mux ! filesink location=py0.mp4");
    let ran = world.run(&line, None);
    fs::remove_file(format!("/dev/shm/cvmmap_{name}")).unwrap();
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(decoded(&world.path(&own("py0.mp4"))) >= 50, "{ran:#?}");
}

/// The page's client in Python reads depth as it lies in shared memory.
#[test]
fn watch_python() {
    let [client] = &Page::read(&root("docs/watch.md")).python[..] else { panic!("one block of Python") };
    let mut world = World::new();
    fs::write(world.path("client.py"), client).unwrap();
    let endpoint = format!("ipc://{}", world.path("sync").display());
    let camera = recorder_support::Camera::start(&world.own("cam0"), &endpoint);
    world.start(&format!(
        "cvmmap_streamer --shm-name cam0 --zmq-endpoint {endpoint} --codec h264 --input-video-source raw --http 127.0.0.1:8080"
    ));
    world.wait_http();
    world.start("python3 client.py ws://127.0.0.1:8080/depth/cam0");
    let mut saved = Vec::new();
    wait_for("twenty pictures", || {
        saved = found(&world.path(""), ".pgm");
        saved.len() > 20
    });
    world.stop();
    let published = camera.published();
    saved.sort();
    // The last one may not be whole.
    for path in &saved[..saved.len() - 1] {
        let time = path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
        let file = fs::read(path).unwrap();
        let pixels = file.strip_prefix(b"P5 96 54 65535\n").expect("the size of the depth");
        let pixels = pixels.chunks_exact(2).flat_map(|pixel| [pixel[1], pixel[0]]).collect::<Vec<_>>();
        let frame = published.iter().find(|frame| frame.timestamp_ns == time).expect("it was published");
        assert_eq!(recorder_support::checksum(&pixels), frame.depth, "{time}");
    }
}

#[test]
fn gst_launch() {
    let elements = ["libgstcvmmap.so", "libgstflvhevc.so"];
    let installs = |names: &'static [&'static str]| {
        move |world: &World, ran: &Ran| {
            for name in names {
                assert!(!found(&world.path("system"), name).is_empty(), "{name} is not installed\n{}", ran.stderr);
            }
        }
    };
    run(
        "docs/gst_launch.md",
        vec![
            line("export GST_PLUGIN_PATH=").says("GST_PLUGIN_PATH="),
            line("gst-launch-1.0 videotestsrc is-live=true pattern=ball").shows(),
            line("gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 ! videoconvert ! autovideosink")
                .before(with_camera)
                .shows(),
            line("gst-launch-1.0 uridecodebin").shows(),
            line("gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 plane=depth").shows(),
            line("gst-launch-1.0 -e cvmmapsrc uri=cvmmap://cam0 plane=encoded").makes_video("cam0.mp4", 250),
            line("gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 ! x264enc").sends("h264"),
            line("gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 ! x264enc").publishes(),
            line("gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 ! x265enc").publishes(),
            line("gst-launch-1.0 cvmmapsrc uri=cvmmap://cam0 ! x265enc").publishes(),
            line("gst-launch-1.0 -e cvmmapsrc uri=cvmmap://cam0 max-frames=300").makes_video("cam0.mp4", 250),
            line("sudo install -m 644").check(move |world, ran| {
                for name in elements {
                    assert!(!found(&world.path("system"), name).is_empty(), "{name} is not installed\n{}", ran.stderr);
                }
            }),
            line("sudo install").check(installs(&["cvmmap_streamer", "cvmmap_ctl", "mcap_replay", "rtmp_stub_tester"])),
            line("sudo install").check(installs(&["zed_svo_to_mp4", "zed_batch_svo_to_mcap"])),
            line("sudo install").check(installs(&["mcap_rgbd_viewer", "mcap_bundle_validator"])),
        ],
    );
}

#[test]
fn cvmmap_streamer() {
    run(
        "docs/cvmmap_streamer.md",
        vec![
            line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h264 --rtp")
                .before(with_camera)
                .sends("h264")
                .makes("cam0.sdp"),
            line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h265 --rtmp").publishes(),
        ],
    );
}

#[test]
fn mcap_replay() {
    run(
        "docs/mcap_replay.md",
        vec![
            line("mcap_replay cam0.mcap").before(World::record).stays().check(|world, _| world.wait_answer("info")),
            line("cvmmap_ctl seek").says("at "),
        ],
    );
}

#[test]
fn cvmmap_ctl() {
    let replay = |world: &mut World| {
        world.record();
        world.start("mcap_replay cam0.mcap --uri cvmmap://cam0 --loop --speed 0.5");
        world.wait_answer("info");
    };
    run(
        "docs/cvmmap_ctl.md",
        vec![
            line("cvmmap_ctl list").before(replay).says("cam0"),
            line("cvmmap_ctl watch").until(Until::Said("latency")).says("fps"),
            line("cvmmap_ctl info").says("\"can_seek\":true"),
            line("cvmmap_ctl seek").says("at "),
            line("cvmmap_ctl camera list").before(World::stop).before(with_camera).says("exposure"),
            line("cvmmap_ctl camera set").says("40"),
            line("cvmmap_ctl record start")
                .before(World::start_recorder)
                .before(|world| fs::remove_file(world.path("cam0.mcap")).unwrap())
                .says("recording"),
        ],
    );
}

#[test]
fn testers() {
    run(
        "docs/testers.md",
        vec![
            line("rtp_receiver_tester")
                .before(with_camera)
                .before(|world| world.start("cvmmap_streamer --input-uri cvmmap://cam0 --codec h264 --rtp --rtp-endpoint 127.0.0.1:5004"))
                .says("packets"),
            line("rtmp_stub_tester --mode h265-enhanced")
                .before(|world| {
                    world.start(
                        "cvmmap_streamer --input-uri cvmmap://cam0 --codec h265 --input-video-source raw --rtmp --rtmp-url \
                         rtmp://127.0.0.1/live/cam0 --rtmp-mode enhanced",
                    );
                })
                .makes("received.flv"),
            line("rtmp_stub_tester --mode h265-domestic --file recording.flv")
                .before(|world| {
                    let ran = world.run(
                        "gst-launch-1.0 videotestsrc num-buffers=60 ! video/x-raw,format=I420 ! x265enc ! h265parse ! \
                         flvhevcmux hevc-packaging=domestic ! filesink location=recording.flv",
                        None,
                    );
                    assert_eq!(ran.code, Some(0), "{ran:#?}");
                })
                .says("video"),
            line("picture_compare")
                .before(|world| {
                    fs::copy(root("media/bigbuckbunny_640x360.mp4"), world.path("clip.mp4")).unwrap();
                    let ran = world.run("ffmpeg -v error -i clip.mp4 -map 0:v -c copy -bsf:v h264_mp4toannexb -frames:v 40 -y received.h264", None);
                    assert_eq!(ran.code, Some(0), "{ran:#?}");
                })
                .makes("pictures.png"),
        ],
    );
}

/// A recording of a size that a calibration is for, and the calibration.
fn write_calibrated(world: &World, name: &str) {
    let (width, height) = (672, 376);
    let pictures = (0..12u8).map(|number| vec![20 * number; 2 * width * height]).collect();
    Svo2 { frames: 12, ..Svo2::default() }.write_pictures(&world.path(name), (2 * width, height), pictures);
    let eye = |name: &str| {
        format!("[{name}_CAM_VGA]\nfx=350\nfy=350\ncx=341\ncy=184\nk1=-0.17\nk2=0.026\np1=0\np2=0\nk3=0\n")
    };
    let stereo = "[STEREO]\nBaseline=119.9\nTY=0.1\nTZ=-0.2\nCV_VGA=0.0096\nRX_VGA=0.005\nRZ_VGA=-0.0019\n";
    fs::write(world.path("SN12345.conf"), eye("LEFT") + &eye("RIGHT") + stereo).unwrap();
}

/// The recordings of two cameras.
fn write_segment(world: &World, directory: &str) {
    fs::create_dir_all(world.path(directory)).unwrap();
    let name = Path::new(directory).file_name().unwrap().to_str().unwrap().to_owned();
    for camera in 1..=2 {
        Svo2 { frames: 30, ..Svo2::default() }.write(&world.path(&format!("{directory}/{name}_zed{camera}.svo2")));
    }
}

#[test]
fn batch() {
    let made = |end: &'static str, count: usize| {
        move |world: &World, ran: &Ran| {
            let made = found(&world.path("DATASET_ROOT"), end);
            assert_eq!(made.len(), count, "{made:?}\n{}", ran.stderr);
        }
    };
    let data = |world: &mut World| {
        let list = fs::read_to_string(root("config/svo2_segments_sorted.sample.csv")).unwrap();
        let mut segments: Vec<_> = list.lines().skip(1).map(|row| row.split(',').nth(3).unwrap()).collect();
        segments.dedup();
        segments.iter().for_each(|segment| write_segment(world, &format!("DATASET_ROOT/{segment}")));
        fs::write(world.path("segments.csv"), list).unwrap();
    };
    let without_videos = |world: &mut World| {
        found(&world.path("DATASET_ROOT"), ".mp4").iter().for_each(|file| fs::remove_file(file).unwrap());
    };
    run(
        "docs/batch.md",
        vec![
            line("zed_batch_svo_to_mp4 DATASET_ROOT --jobs 2").before(data).check(made("mp4", 4)),
            line("zed_batch_svo_grid_to_mp4 --dataset-root DATASET_ROOT").check(made("_grid.mp4", 2)),
            line("zed_batch_svo_to_mcap --segments-csv segments.csv").check(made(".mcap", 2)),
            line("nats-server -js").before(without_videos).before(|world| world.nats.kill()).stays().check(
                |world, _| {
                    wait_for("the server", || std::net::TcpStream::connect(("127.0.0.1", world.nats.port())).is_ok());
                },
            ),
            line("zed_batch_svo_to_mp4 DATASET_ROOT --queue").check(made("mp4", 4)),
            line("zed_batch_svo_to_mp4 --queue").check(made("mp4", 4)),
        ],
    );
}

#[test]
fn depth_alignment() {
    run(
        "docs/depth_alignment.md",
        vec![
            line("mcap_depth_alignment run.mcap --camera-label zed1")
                .before(|world| Recording::bundled().write(&world.path("run.mcap")))
                .says("u_rgb ="),
            line("mcap_depth_alignment run.mcap --camera-label zed1 --frame-index 10")
                .check(|world, _| assert!(!found(&world.path("aligned"), ".png").is_empty())),
        ],
    );
}

#[test]
fn mcap_recipes() {
    let with_camera = |world: &mut World| world.start_camera("");
    run(
        "docs/mcap_recipes.md",
        vec![
            line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h264 --mcap")
                .before(with_camera)
                .until(Until::File("cam0.mcap.partial", 200_000))
                .makes("cam0.mcap"),
            line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h265").sends("h265").check(|world, ran| {
                let made = found(&world.path(""), ".mcap");
                assert!(made.iter().any(|file| file.to_str().unwrap().contains("long")), "{made:?}\n{}", ran.stderr);
            }),
            line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h264 --mp4")
                .until(Until::File("cam0.mp4.partial", 20_000))
                .makes_video("cam0.mp4", 10),
            line("mcap_replay cam0.mcap").before(World::stop).says("frames"),
            line("mcap_replay cam0.mcap").stays().check(|world, _| world.wait_answer("info")),
            line("cvmmap_ctl seek").says("at "),
            line("gst-launch-1.0").shows(),
            line("gst-launch-1.0").shows(),
            line("mcap_rgbd_viewer --summary-only run.mcap")
                .before(World::stop)
                .before(|world| Recording::bundled().write(&world.path("run.mcap")))
                .says("zed2"),
            line("mcap_rgbd_viewer --camera-label zed2").makes("frame.png"),
            line("mcap_rgbd_example").check(|world, _| assert!(!found(&world.path("sample"), ".png").is_empty())),
            line("mcap_depth_alignment").check(|world, _| assert!(!found(&world.path("aligned"), ".png").is_empty())),
            line("mcap_bundle_validator").says("bundle"),
            line("pip install").says("already satisfied: mcap==1.6.0"),
            line("ffmpeg").before(run_python).makes_video("cam0.mkv", 10),
            line("ffprobe").says("nb_read_frames="),
        ],
    );
}

/// Runs the page's Python, each block as a program of its own.
fn run_python(world: &mut World) {
    let outputs = Page::read(&root("docs/mcap_recipes.md")).python.into_iter().map(|block| {
        fs::write(world.path("block.py"), world.own(&block)).unwrap();
        let ran = world.run("python block.py", None);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{block}");
        ran.stdout
    });
    let outputs: Vec<_> = outputs.collect();
    let [video, depth, bundles] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!(video, "");
    assert!(decoded(&world.path("cam0.h264")) >= 10);
    // The simulated depth's first row is a metre away.
    assert!(depth.lines().count() >= 10 && depth.contains("160 x 120"), "{depth}");
    assert!(bundles.lines().count() == 12 && bundles.contains("'zed2'"), "{bundles}");
}

#[test]
fn mcap_viewer() {
    run(
        "docs/mcap_viewer.md",
        vec![
            line("mcap_rgbd_example summary")
                .before(|world| Recording::bundled().write(&world.path("run.mcap")))
                .says("zed1"),
            line("mcap_rgbd_example export-sample")
                .check(|world, _| assert!(!found(&world.path("sample"), ".png").is_empty())),
            line("mcap_bundle_validator run.mcap").says("bundle"),
            line("mcap_bundle_validator --json")
                .before(|world| {
                    for segment in ["a", "b"] {
                        fs::create_dir(world.path(segment)).unwrap();
                        fs::copy(world.path("run.mcap"), world.path(&format!("{segment}/{segment}.mcap"))).unwrap();
                    }
                })
                .says("b.mcap"),
        ],
    );
}

#[test]
fn nats() {
    let with_camera = |world: &mut World| world.start_camera("--dummy-encoded h264");
    run(
        "docs/nats.md",
        vec![
            line("nats sub 'cvmmap.cvmmap_cam0.status'")
                .before(with_camera)
                // Somebody has the source start over meanwhile.
                .before(|world| world.start("bash -c 'while sleep 0.2; do cvmmap_ctl reset cvmmap://cam0; done'"))
                .says("status: MODULE_STATUS_CODE_STREAM_RESET"),
            line("nats sub 'cvmmap.cvmmap_cam0.body'").says("00000000: 62"),
            line("cvmmap_ctl watch").until(Until::Said("latency")).says("bodies 2"),
            line("nats req cvmmap.cvmmap_cam0.producer.source.info")
                .before(World::stop)
                .before(with_camera)
                .says("SOURCE_KIND_FINITE"),
            line("nats req cvmmap.cvmmap_cam0.producer.source.capabilities").says("1001"),
            line("nats req cvmmap.cvmmap_cam0.producer.source.reset").says(""),
            line("echo \"target_timestamp_ns").says("landed_timestamp_ns"),
            line("nats req cvmmap.cvmmap_cam0.producer.camera_control.capabilities")
                .says("CAMERA_CONTROL_SETTING_EXPOSURE"),
            line("echo 'setting: CAMERA_CONTROL_SETTING_EXPOSURE").says("value: 40"),
            line("nats req cvmmap.cvmmap_cam0.producer.source.playlist.info").says("playlist_info"),
            line("cvmmap_ctl info").says("finite"),
            line("cvmmap_ctl reset").says("starts over"),
            line("cvmmap_ctl seek").says("at "),
            line("cvmmap_ctl camera list").says("auto-analog-gain-range"),
            line("cvmmap_ctl camera get").says("40"),
            line("cvmmap_ctl camera set").says("60"),
            line("cvmmap_ctl camera set").says("50"),
            line("cvmmap_ctl camera set-range").says("0 to 30"),
            line("cvmmap_ctl playlist apply").says("snow"),
            line("cvmmap_ctl playlist show").says("smpte"),
            line("nats micro ls").says("cvmmap_producer"),
            line("nats micro info cvmmap_producer").says("cvmmap_cam0"),
            line("nats req '$SRV.PING.cvmmap_producer'").says("cvmmap_producer"),
            line("nats req '$SRV.INFO.cvmmap_producer'").says("camera_control.set_range"),
            line("nats req '$SRV.STATS.cvmmap_producer'").says("num_requests"),
            line("cvmmap_ctl list").says("producer"),
            line("echo 'output_path").before(World::start_recorder).says("is_recording: true"),
            line("nats req cvmmap.cvmmap_cam0.streamer.recorder.mcap.status").says("is_recording: true"),
            line("nats req cvmmap.cvmmap_cam0.streamer.recorder.mcap.stop")
                .before(|world| world.wait_recorded())
                .says("")
                .makes("cam0.mcap"),
            line("nats req cvmmap.cvmmap_cam0.streamer.recorder.mp4.capabilities").says(""),
            line("cvmmap_ctl record start")
                .before(|world| fs::remove_file(world.path("cam0.mcap")).unwrap())
                .says("recording"),
            line("cvmmap_ctl record status").says("\"is_recording\":true"),
            line("cvmmap_ctl record stop").before(|world| world.wait_recorded()).says("ready").makes("cam0.mcap"),
            line("nats-server").before(World::stop).before(|world| world.nats.kill()).stays().check(|world, _| {
                wait_for("the server", || std::net::TcpStream::connect(("127.0.0.1", world.nats.port())).is_ok());
            }),
            line("cvmmap_streamer").stays().check(|world, _| world.wait_answer("info")),
            line("cvmmap_ctl list").says("cam0"),
            line("cvmmap_ctl watch").until(Until::Said("latency")).says("bodies 2"),
            line("gst-launch-1.0 -m").until(Until::Said("cvmmap-body")),
        ],
    );
}

#[test]
fn recordings() {
    let svo2 = |world: &mut World| {
        write_calibrated(world, "run.svo2");
        Svo2 { frames: 100, ..Svo2::default() }.write(&world.path("run_zed4.svo2"));
        write_segment(world, SEGMENT);
        for name in ["left.svo2", "right.svo2"] {
            Svo2::default().write(&world.path(name));
        }
    };
    run(
        "docs/recordings.md",
        vec![
            line("zed_svo_to_mp4 --input run.svo2").before(svo2).makes_video("run.mp4", 12),
            line("zed_svo_to_mp4 --input run.svo2 --output begin.mp4").makes_video("begin.mp4", 10),
            line("zed_svo_grid_to_mp4 --segment-dir").makes("2026-03-18T11-59-41/2026-03-18T11-59-41_grid.mp4"),
            line("zed_svo_grid_to_mp4 --input left.svo2").makes_video("both.mp4", 10),
            line("zed_svo_to_mcap --input run_zed4.svo2").makes("run_zed4.mcap"),
            line("zed_svo_to_mcap --segment-dir").makes("2026-03-18T11-59-41/2026-03-18T11-59-41.mcap"),
            line("zed_svo_to_mp4 --input run.svo2 --calibration settings")
                .before(|world| {
                    fs::create_dir(world.path("settings")).unwrap();
                    fs::copy(world.path("SN12345.conf"), world.path("settings/SN12345.conf")).unwrap();
                    fs::remove_file(world.path("run.mp4")).unwrap();
                })
                .makes("run.mp4"),
            line("zed_svo_to_mp4 --input run.svo2 --calibration")
                .before(|world| fs::remove_file(world.path("run.mp4")).unwrap())
                .makes("run.mp4"),
            line("zed_svo_to_mp4 --input run.mcap")
                .before(|world| {
                    fs::remove_file(world.path("run.mp4")).unwrap();
                    fs::rename(world.path("run_zed4.mcap"), world.path("run.mcap")).unwrap();
                    fs::rename(world.path(&format!("{SEGMENT}/{SEGMENT}.mcap")), world.path("bundle.mcap")).unwrap();
                })
                .makes_video("run.mp4", 100),
            line("zed_svo_to_mp4 --input bundle.mcap").makes_video("zed2.mp4", 30),
            line("zed_svo_grid_to_mp4 --input bundle.mcap").makes_video("grid.mp4", 10),
            line("zed_svo_to_mcap --input bundle.mcap").makes("zed2.mcap"),
        ],
    );
}

#[test]
fn smoke_srs() {
    let mut rows = vec![
        line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h264")
            .before(|world| world.start_camera(""))
            .publishes(),
        line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h265").publishes(),
    ];
    rows.extend(players("http://127.0.0.1:8080/live/cam0.flv"));
    run("docs/smoke/srs.md", rows);
}

#[test]
fn smoke_zlm() {
    let mut rows = vec![
        line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h264")
            .before(|world| world.start_camera(""))
            .publishes(),
        line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h265").publishes(),
        line("cvmmap_streamer --input-uri cvmmap://cam0 --codec h265").publishes(),
    ];
    rows.extend(players("http://127.0.0.1:8080/live/cam0.live.flv"));
    run("docs/smoke/zlm.md", rows);
}

/// The players of a server's page, with a server for each.
fn players(http_flv: &'static str) -> [Row; 2] {
    let plays = || line("ffplay").before(World::stop).until(Until::Said("Video: h264"));
    [
        plays().before(|world| world.start_play_server("rtmp://127.0.0.1/live/cam0")),
        plays().before(move |world| world.start_play_server(http_flv)),
    ]
}

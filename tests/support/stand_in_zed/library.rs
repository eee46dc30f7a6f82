//! A library in place of `libsl_zed_c.so`: the functions and structures of one version of the ZED SDK's C API, which play a
//! script. Written after `zed_interface.h` and `types_c.h` of stereolabs/zed-c-api, as C compilers lay them out.
//!
//! Built for 4.2, and with `--cfg since_5_0` and so on for what came later. A recording's script is beside it, as
//! `RECORDING.script`, a word and its value a line:
//!
//! ```text
//! log FILE            writes what was asked for there
//! size 320 176        of pictures
//! open 9              how opening ends
//! frames 12           what is announced, in place of the number of frame lines
//! odd WORD            see `is_odd`
//! frame 1000 [corrupted] [untracked] [error=11]
//! ```
//!
//! Longer than other files: it is compiled as one file, in place of the SDK's library.

use std::{collections::HashMap, ffi::{CStr, CString, c_char, c_int, c_uint, c_void}, fmt::Write as _, fs::{self, OpenOptions}, io::Write as _, ptr, sync::{LazyLock, Mutex, MutexGuard}};

#[cfg(not(since_5_0))]
const VERSION: &str = "4.2.5";
#[cfg(all(since_5_0, not(since_5_1)))]
const VERSION: &str = "5.0.7";
#[cfg(all(since_5_1, not(since_5_2)))]
const VERSION: &str = "5.1.2";
#[cfg(since_5_2)]
const VERSION: &str = "5.2.1";

#[cfg(not(since_5_0))]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Resolution {
    width: usize,
    height: usize,
}

#[cfg(since_5_0)]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Resolution {
    width: c_int,
    height: c_int,
}

#[repr(C)]
pub struct InitParameters {
    input_type: c_int,
    resolution: c_int,
    camera_fps: c_int,
    camera_device_id: c_int,
    camera_image_flip: c_int,
    camera_disable_self_calib: u8,
    enable_right_side_measure: u8,
    svo_real_time_mode: u8,
    depth_mode: c_int,
    depth_stabilization: c_int,
    depth_minimum_distance: f32,
    depth_maximum_distance: f32,
    coordinate_unit: c_int,
    coordinate_system: c_int,
    sdk_gpu_id: c_int,
    sdk_verbose: c_int,
    sensors_required: u8,
    enable_image_enhancement: u8,
    open_timeout_sec: f32,
    async_grab_camera_recovery: u8,
    grab_compute_capping_fps: f32,
    #[cfg(not(since_5_0))]
    enable_image_validity_check: c_int,
    #[cfg(since_5_0)]
    enable_image_validity_check: u8,
    #[cfg(since_5_0)]
    maximum_working_resolution: Resolution,
}

#[repr(C)]
pub struct RuntimeParameters {
    reference_frame: c_int,
    enable_depth: u8,
    enable_fill_mode: u8,
    confidence_threshold: c_int,
    texture_confidence_threshold: c_int,
    remove_saturated_areas: u8,
}

#[repr(C)]
pub struct TrackingParameters {
    initial_world_rotation: [f32; 4],
    initial_world_position: [f32; 3],
    enable_area_memory: u8,
    enable_pose_smoothing: u8,
    set_floor_as_origin: u8,
    set_as_static: u8,
    enable_imu_fusion: u8,
    depth_min_range: f32,
    set_gravity_as_origin: u8,
    mode: c_int,
    #[cfg(since_5_1)]
    enable_localization_only: u8,
    #[cfg(since_5_1)]
    enable_2d_ground_mode: u8,
}

#[repr(C)]
pub struct PoseData {
    valid: u8,
    timestamp: u64,
    rotation: [f32; 4],
    translation: [f32; 3],
    pose_confidence: c_int,
    pose_covariance: [f32; 36],
    twist: [f32; 6],
    twist_covariance: [f32; 36],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct CameraParameters {
    fx: f32,
    fy: f32,
    cx: f32,
    cy: f32,
    disto: [f64; 12],
    v_fov: f32,
    h_fov: f32,
    d_fov: f32,
    image_size: Resolution,
    focal_length_metric: f32,
}

#[repr(C)]
pub struct CalibrationParameters {
    left_cam: CameraParameters,
    right_cam: CameraParameters,
    rotation: [f32; 4],
    translation: [f32; 3],
}

// As the headers have them, compiled.
const _: () = {
    assert!(size_of::<InitParameters>() == if cfg!(since_5_0) { 84 } else { 76 });
    assert!(size_of::<RuntimeParameters>() == 20);
    assert!(size_of::<TrackingParameters>() == if cfg!(since_5_1) { 52 } else { 48 });
    assert!(size_of::<PoseData>() == 360);
    assert!(size_of::<CalibrationParameters>() == if cfg!(since_5_0) { 304 } else { 336 });
};

#[derive(Clone, Default)]
struct Frame {
    timestamp: u64,
    corrupted: bool,
    untracked: bool,
    error: Option<c_int>,
}

#[derive(Default)]
struct Camera {
    path: String,
    log: String,
    size: (c_int, c_int),
    code: c_int,
    announced: Option<c_int>,
    odd: Vec<String>,
    frames: Vec<Frame>,
    open: bool,
    depth_mode: c_int,
    /// Where tracking began, and how it is turned there.
    tracking: Option<([f32; 3], [f32; 4])>,
    next: usize,
    current: usize,
    depth: bool,
    runtime_told: String,
}

struct Mat {
    bytes: Vec<u8>,
    size: (c_int, c_int),
    step: usize,
}

static CAMERAS: LazyLock<Mutex<HashMap<c_int, Camera>>> = LazyLock::new(Mutex::default);

fn cameras() -> MutexGuard<'static, HashMap<c_int, Camera>> {
    CAMERAS.lock().unwrap()
}

/// Does something with an open camera.
fn with<T>(id: c_int, otherwise: T, act: impl FnOnce(&mut Camera) -> T) -> T {
    match cameras().get_mut(&id).filter(|camera| camera.open) {
        Some(camera) => act(camera),
        None => otherwise,
    }
}

/// Prints to stdout as the real library does.
fn say(line: &str) {
    unsafe extern "C" {
        fn puts(text: *const c_char) -> c_int;
    }
    unsafe { puts(CString::new(line).unwrap().as_ptr()) };
}

fn text(pointer: *const c_char) -> String {
    assert!(!pointer.is_null(), "the real library would crash");
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().to_owned()
}

impl Camera {
    fn read(&mut self, path: String) {
        let script = fs::read_to_string(format!("{path}.script")).expect("the recording has a script");
        *self = Self { path, size: (320, 176), ..Self::default() };
        for line in script.lines() {
            let words: Vec<_> = line.split(' ').collect();
            match words[0] {
                "log" => self.log = words[1].to_owned(),
                "size" => self.size = (words[1].parse().unwrap(), words[2].parse().unwrap()),
                "open" => self.code = words[1].parse().unwrap(),
                "frames" => self.announced = Some(words[1].parse().unwrap()),
                "odd" => self.odd.push(words[1].to_owned()),
                "frame" => {
                    let mut frame = Frame { timestamp: words[1].parse().unwrap(), ..Frame::default() };
                    for word in &words[2..] {
                        match word.split_once('=').unwrap_or((word, "")) {
                            ("corrupted", _) => frame.corrupted = true,
                            ("untracked", _) => frame.untracked = true,
                            ("error", code) => frame.error = Some(code.parse().unwrap()),
                            _ => panic!("{line}"),
                        }
                    }
                    self.frames.push(frame);
                }
                _ => panic!("{line}"),
            }
        }
    }

    fn is_odd(&self, how: &str) -> bool {
        self.odd.iter().any(|odd| odd == how)
    }

    fn log(&self, line: &str) {
        if !self.log.is_empty() {
            let mut file = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
            file.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
    }

    fn open(
        &mut self,
        id: c_int,
        parameters: *const InitParameters,
        path: *const c_char,
        empty: [*const c_char; 3],
    ) -> c_int {
        self.read(text(path));
        let p = unsafe { &*parameters };
        let mut line = format!(
            "open {id} {} input={} resolution={} self_calibration={} real_time={} depth={} stabilization={} distances={},{} \
             unit={} coordinates={} gpu={} verbose={} enhancement={} timeout={} validity={} others={}",
            self.path,
            p.input_type,
            p.resolution,
            1 - p.camera_disable_self_calib,
            p.svo_real_time_mode,
            p.depth_mode,
            p.depth_stabilization,
            p.depth_minimum_distance,
            p.depth_maximum_distance,
            p.coordinate_unit,
            p.coordinate_system,
            p.sdk_gpu_id,
            p.sdk_verbose,
            p.enable_image_enhancement,
            p.open_timeout_sec,
            p.enable_image_validity_check,
            p.camera_fps
                + p.camera_device_id
                + p.camera_image_flip
                + c_int::from(p.enable_right_side_measure + p.sensors_required + p.async_grab_camera_recovery)
                + p.grab_compute_capping_fps as c_int,
        );
        #[cfg(since_5_0)]
        write!(line, " working={}x{}", p.maximum_working_resolution.width, p.maximum_working_resolution.height)
            .unwrap();
        write!(line, " texts={:?}", empty.map(text).concat()).unwrap();
        self.log(&line);
        say("[ZED][INFO] opened");
        self.depth_mode = p.depth_mode;
        self.open = self.code == 0;
        self.code
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_get_sdk_version() -> *mut c_char {
    let version = std::env::var("STAND_IN_ZED_VERSION").unwrap_or_else(|_| VERSION.to_owned());
    CString::new(version).unwrap().into_raw()
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_ingest_custom_mask_objects() {}
#[cfg(since_5_0)]
#[unsafe(no_mangle)]
pub extern "C" fn sl_read() {}
#[cfg(since_5_1)]
#[unsafe(no_mangle)]
pub extern "C" fn sl_get_sensors_data_batch() {}

#[unsafe(no_mangle)]
pub extern "C" fn sl_create_camera(id: c_int) -> bool {
    assert!((0..20).contains(&id), "the real library would write beside its memory");
    cameras().insert(id, Camera::default()).is_none()
}

#[cfg(not(since_5_2))]
#[unsafe(no_mangle)]
pub extern "C" fn sl_open_camera(
    id: c_int,
    parameters: *const InitParameters,
    serial: c_uint,
    path: *const c_char,
    address: *const c_char,
    port: c_int,
    log: *const c_char,
    settings: *const c_char,
    opencv: *const c_char,
) -> c_int {
    assert_eq!((serial, port, text(address).as_str()), (0, 0, ""));
    cameras().get_mut(&id).unwrap().open(id, parameters, path, [log, settings, opencv])
}

#[cfg(since_5_2)]
#[unsafe(no_mangle)]
pub extern "C" fn sl_open_camera_from_svo_file(
    id: c_int,
    parameters: *const InitParameters,
    path: *const c_char,
    log: *const c_char,
    settings: *const c_char,
    opencv: *const c_char,
) -> c_int {
    cameras().get_mut(&id).unwrap().open(id, parameters, path, [log, settings, opencv])
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_is_opened(id: c_int) -> bool {
    cameras()[&id].open
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_close_camera(id: c_int) {
    let mut cameras = cameras();
    let camera = cameras.get_mut(&id).unwrap();
    camera.open = false;
    camera.log(&format!("close {id}"));
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_unload_instance(id: c_int) {
    let camera = cameras().remove(&id).unwrap();
    camera.log(&format!("unload {id} {}", if camera.open { "which is still open" } else { "closed" }));
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_get_width(id: c_int) -> c_int {
    with(id, -1, |camera| camera.size.0)
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_get_height(id: c_int) -> c_int {
    with(id, -1, |camera| camera.size.1)
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_get_camera_fps(id: c_int) -> f32 {
    with(id, -1.0, |camera| if camera.is_odd("fps") { f32::NAN } else { 30.0 })
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_get_zed_serial(id: c_int) -> c_int {
    with(id, -1, |_| 12345)
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_get_calibration_parameters(id: c_int, raw: bool) -> *mut CalibrationParameters {
    assert!(!raw);
    with(id, ptr::null_mut(), |camera| {
        if camera.is_odd("no-calibration") {
            return ptr::null_mut();
        }
        let fx = if camera.is_odd("calibration") { 0.0 } else { 260.5 };
        let image_size = Resolution { width: camera.size.0 as _, height: camera.size.1 as _ };
        let left_cam = CameraParameters {
            fx,
            fy: 261.5,
            cx: 159.25,
            cy: 88.75,
            disto: [0.0; 12],
            v_fov: 60.0,
            h_fov: 90.0,
            d_fov: 100.0,
            image_size,
            focal_length_metric: 2.1,
        };
        let right_cam = CameraParameters { cx: 1.0, ..left_cam };
        let calibration = CalibrationParameters {
            left_cam,
            right_cam,
            rotation: [0.0, 0.0, 0.0, 1.0],
            translation: [120.0, 0.0, 0.0],
        };
        Box::into_raw(Box::new(calibration))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_get_svo_number_of_frames(id: c_int) -> c_int {
    with(id, -1, |camera| camera.announced.unwrap_or(camera.frames.len() as c_int))
}

fn set_position(id: c_int, position: c_int) -> c_int {
    with(id, 19, |camera| {
        camera.log(&format!("position {position}"));
        camera.next = position as usize + usize::from(camera.is_odd("goes-too-far") && position > 0);
        0
    })
}

#[cfg(not(since_5_2))]
#[unsafe(no_mangle)]
pub extern "C" fn sl_set_svo_position(id: c_int, position: c_int) {
    set_position(id, position);
}

#[cfg(since_5_2)]
#[unsafe(no_mangle)]
pub extern "C" fn sl_set_svo_position(id: c_int, position: c_int) -> c_int {
    set_position(id, position)
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_grab(id: c_int, parameters: *const RuntimeParameters) -> c_int {
    let p = unsafe { &*parameters };
    let told = format!(
        "grab depth={} reference={} fill={} confidence={},{} saturated={}",
        p.enable_depth,
        p.reference_frame,
        p.enable_fill_mode,
        p.confidence_threshold,
        p.texture_confidence_threshold,
        1 - p.remove_saturated_areas
    );
    with(id, 19, |camera| {
        if camera.runtime_told != told {
            camera.log(&told);
            camera.runtime_told = told;
        }
        if camera.is_odd("never-ends") {
            camera.next %= camera.frames.len();
        }
        let Some(frame) = camera.frames.get(camera.next).cloned() else {
            return 14;
        };
        if let Some(code) = frame.error {
            return code;
        }
        // A signal is to be heard before the next one.
        if camera.is_odd("interrupts") && camera.next == 5 {
            unsafe extern "C" {
                fn raise(signal: c_int) -> c_int;
                fn usleep(microseconds: c_uint) -> c_int;
            }
            unsafe { raise(2) };
            unsafe { usleep(200_000) };
        }
        camera.current = camera.next;
        camera.next += 1;
        camera.depth = p.enable_depth == 1;
        say("[ZED][WARNING] grabbed");
        // Warnings are no errors.
        if frame.corrupted { -2 } else { [0, -3, -4][camera.current % 3] }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_get_image_timestamp(id: c_int) -> u64 {
    with(id, 0, |camera| camera.frames[camera.current].timestamp)
}

/// Fills a mat, a pixel of four bytes at a time.
fn fill(
    camera: &Camera,
    mat: *mut Mat,
    (width, height): (c_int, c_int),
    pixel: impl Fn(usize, usize) -> [u8; 4],
) -> c_int {
    let (width, height) = if (width, height) == (0, 0) { camera.size } else { (width, height) };
    if width < 1 || height < 1 || width > camera.size.0 || height > camera.size.1 {
        return 7;
    }
    let mat = unsafe { &mut *mat };
    // Rows are padded, and the padding is no picture.
    let step = width as usize * 4 + 64;
    mat.bytes = vec![0xaa; step * height as usize];
    for (y, row) in mat.bytes.chunks_mut(step).enumerate() {
        for (x, dot) in row[..width as usize * 4].chunks_mut(4).enumerate() {
            dot.copy_from_slice(&pixel(x, y));
        }
    }
    mat.size = (width, height);
    mat.step = if camera.is_odd("step") { 8 } else { step };
    if camera.is_odd("no-pixels") {
        mat.bytes = Vec::new();
    }
    0
}

fn retrieve_image(id: c_int, mat: *mut Mat, view: c_int, memory: c_int, size: (c_int, c_int)) -> c_int {
    assert_eq!((view, memory), (0, 0));
    with(id, 4, |camera| {
        // The number in bars, one for each bit.
        let number = camera.current;
        let width = camera.size.0 as usize;
        fill(camera, mat, size, |x, _| {
            let grey = if number >> (x * 8 / width) & 1 == 1 { 220 } else { 30 };
            [grey, grey, grey, 0]
        })
    })
}

fn retrieve_measure(id: c_int, mat: *mut Mat, measure: c_int, memory: c_int, size: (c_int, c_int)) -> c_int {
    assert_eq!((measure, memory), (1, 0));
    with(id, 4, |camera| {
        if camera.depth_mode == 0 || !camera.depth {
            return 21;
        }
        let number = camera.current;
        fill(camera, mat, size, |x, y| {
            let millimetres = if (x, y) == (0, 0) { f32::NAN } else { (1000 * number + x) as f32 + y as f32 / 1000.0 };
            millimetres.to_ne_bytes()
        })
    })
}

#[cfg(not(since_5_0))]
#[unsafe(no_mangle)]
pub extern "C" fn sl_retrieve_image(id: c_int, mat: *mut Mat, view: c_int, memory: c_int, w: c_int, h: c_int) -> c_int {
    retrieve_image(id, mat, view, memory, (w, h))
}

#[cfg(not(since_5_0))]
#[unsafe(no_mangle)]
pub extern "C" fn sl_retrieve_measure(
    id: c_int,
    mat: *mut Mat,
    what: c_int,
    memory: c_int,
    w: c_int,
    h: c_int,
) -> c_int {
    retrieve_measure(id, mat, what, memory, (w, h))
}

#[cfg(since_5_0)]
#[unsafe(no_mangle)]
pub extern "C" fn sl_retrieve_image(
    id: c_int,
    mat: *mut Mat,
    view: c_int,
    memory: c_int,
    w: c_int,
    h: c_int,
    stream: *mut c_void,
) -> c_int {
    assert!(stream.is_null());
    retrieve_image(id, mat, view, memory, (w, h))
}

#[cfg(since_5_0)]
#[unsafe(no_mangle)]
pub extern "C" fn sl_retrieve_measure(
    id: c_int,
    mat: *mut Mat,
    what: c_int,
    memory: c_int,
    w: c_int,
    h: c_int,
    stream: *mut c_void,
) -> c_int {
    assert!(stream.is_null());
    retrieve_measure(id, mat, what, memory, (w, h))
}

#[cfg(since_5_0)]
#[unsafe(no_mangle)]
pub extern "C" fn sl_get_retrieve_measure_resolution(id: c_int, asked: *const Resolution) -> *mut Resolution {
    let asked = unsafe { *asked };
    assert_eq!((asked.width, asked.height), (-1, -1));
    with(id, ptr::null_mut(), |camera| {
        let size = Resolution { width: camera.size.0 / 2, height: camera.size.1 / 2 };
        Box::into_raw(Box::new(size))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_enable_positional_tracking(
    id: c_int,
    parameters: *const TrackingParameters,
    area: *const c_char,
) -> c_int {
    let p = unsafe { &*parameters };
    with(id, 19, |camera| {
        camera.log(&format!(
            "track rotation={:?} position={:?} area_memory={} smoothing={} floor={} static={} imu={} range={} gravity={} \
             mode={} area={:?}",
            p.initial_world_rotation,
            p.initial_world_position,
            p.enable_area_memory,
            p.enable_pose_smoothing,
            p.set_floor_as_origin,
            p.set_as_static,
            p.enable_imu_fusion,
            p.depth_min_range,
            p.set_gravity_as_origin,
            p.mode,
            text(area)
        ));
        #[cfg(since_5_1)]
        assert_eq!((p.enable_localization_only, p.enable_2d_ground_mode), (0, 0));
        if camera.depth_mode == 0 && p.mode < 2 || camera.tracking.is_some() {
            return 21;
        }
        camera.tracking = Some((p.initial_world_position, p.initial_world_rotation));
        0
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_disable_positional_tracking(id: c_int, area: *const c_char) {
    assert_eq!(text(area), "");
    with(id, (), |camera| camera.tracking = None);
}

#[cfg(not(lacks_position_data))]
#[unsafe(no_mangle)]
pub extern "C" fn sl_get_position_data(id: c_int, pose: *mut PoseData, reference: c_int) -> c_int {
    assert_eq!(reference, 0);
    with(id, 2, |camera| {
        let Some((from, turned)) = camera.tracking else {
            return 2;
        };
        let number = camera.current as f32;
        let pose_data = PoseData {
            valid: 1,
            timestamp: camera.frames[camera.current].timestamp,
            rotation: turned,
            translation: [from[0] + 100.0 * number, from[1], from[2] - number],
            pose_confidence: 90,
            pose_covariance: [7.0; 36],
            twist: [7.0; 6],
            twist_covariance: [7.0; 36],
        };
        unsafe { pose.write(pose_data) };
        if camera.frames[camera.current].untracked { 5 } else { 1 }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_mat_create_new_empty() -> *mut Mat {
    Box::into_raw(Box::new(Mat { bytes: Vec::new(), size: (0, 0), step: 0 }))
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_mat_get_width(mat: *const Mat) -> c_int {
    unsafe { (*mat).size.0 }
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_mat_get_height(mat: *const Mat) -> c_int {
    unsafe { (*mat).size.1 }
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_mat_get_pixel_bytes(_: *const Mat) -> c_int {
    4
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_mat_get_step_bytes(mat: *const Mat, _: c_int) -> c_int {
    unsafe { (*mat).step as c_int }
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_mat_get_ptr(mat: *const Mat, memory: c_int) -> *const u8 {
    assert_eq!(memory, 0);
    let bytes = unsafe { &(*mat).bytes };
    if bytes.is_empty() { ptr::null() } else { bytes.as_ptr() }
}

#[unsafe(no_mangle)]
pub extern "C" fn sl_mat_free(mat: *mut Mat, _: c_int) {
    drop(unsafe { Box::from_raw(mat) });
}

//! A recording that the SDK has open. The SDK calls it a camera.
//!
//! Longer than other files: the SDK's functions for an open recording take a number that nobody else may have.

use std::{
    ffi::{CString, c_int},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    ptr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tools_cli::failure::Failure;

use super::{
    abi::{self, Block},
    aside::Aside,
    errors,
    library::{Library, Mat, Open, Retrieve, SetPosition},
};
use crate::{
    camera::{Intrinsics, Pose},
    wanted::Tracking,
};

/// Cameras that the C API has room for. A number beyond is outside its memory. Source: `MAX_CAMERA_PLUGIN` in `types_c.h`,
/// as `CMakeLists.txt` builds it.
const CAMERAS: usize = 20;
/// No picture of these cameras comes near.
const SIDE_MAX: c_int = 16_384;
/// A day at 100 pictures a second stays below.
const FRAMES_MAX: c_int = 10_000_000;
/// Rows are padded by a few hundred bytes at most.
const PADDING_MAX: usize = 4096;

/// Which numbers are in use.
static TAKEN: Mutex<[bool; CAMERAS]> = Mutex::new([false; CAMERAS]);

fn taken() -> MutexGuard<'static, [bool; CAMERAS]> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a recording is opened.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// `SL_DEPTH_MODE`.
    pub depth_mode: c_int,
    pub self_calibration: bool,
}

/// What a grab gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grabbed {
    Picture,
    /// One that is damaged.
    Corrupted,
    End,
    /// The error that reading ended with.
    Failed(c_int),
}

/// An open recording. Closed when dropped.
#[derive(Debug)]
pub struct Camera {
    library: &'static Library,
    number: Number,
    /// Whether it is to be closed.
    open: bool,
    picture: Mat,
    depth: Mat,
    tracks: bool,
    pub width: u32,
    pub height: u32,
    pub frames: usize,
    pub intrinsics: Intrinsics,
}

/// A number that no other camera has.
#[derive(Debug)]
struct Number(c_int);

impl Number {
    fn new() -> Result<Self, Failure> {
        let mut taken = taken();
        let free = taken.iter().position(|taken| !taken).ok_or_else(|| {
            Failure::Configuration(format!("the ZED SDK opens {CAMERAS} recordings at most; give fewer"))
        })?;
        taken[free] = true;
        Ok(Self(free as c_int))
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        taken()[self.0 as usize] = false;
    }
}

/// The library gave something that it cannot have meant: it is not laid out as its version says.
fn odd(what: &str) -> Failure {
    Failure::Configuration(format!(
        "the ZED SDK's C API tells {what}: it is not of the version that it says; build the C API of the SDK's version"
    ))
}

impl Camera {
    /// Opens a recording.
    ///
    /// # Errors
    /// When the SDK does not, or says what cannot be.
    pub fn open(library: &'static Library, path: &Path, setup: Setup) -> Result<Self, Failure> {
        let path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Failure::Configuration("its name holds a zero byte; rename it".to_owned()))?;
        let number = Number::new()?;
        let id = number.0;
        let _aside = Aside::new();
        // SAFETY: the number is one of those that the library has room for.
        if unsafe { (library.calls.create_camera)(id) } == 0 {
            return Err(odd("that a camera is there which was never made"));
        }
        let nothing = Intrinsics { width: 0, height: 0, fx: 0.0, fy: 0.0, cx: 0.0, cy: 0.0, distortion: [0.0; 5] };
        let mut camera = Self {
            library,
            number,
            open: true,
            picture: ptr::null_mut(),
            depth: ptr::null_mut(),
            tracks: false,
            width: 0,
            height: 0,
            frames: 0,
            intrinsics: nothing,
        };
        let mut parameters = abi::init_parameters(library.abi, setup.depth_mode, setup.self_calibration);
        // An empty text and not null: the C API makes std::string of each.
        let none = c"".as_ptr();
        let code = match library.calls.open {
            // SAFETY: the parameters are laid out as this version has them, and all texts are C strings that outlive the
            // call.
            Open::Any(open) => unsafe {
                open(id, parameters.as_mut_ptr(), 0, path.as_ptr(), none, 0, none, none, none)
            },
            // SAFETY: as above.
            Open::Recording(open) => unsafe { open(id, parameters.as_mut_ptr(), path.as_ptr(), none, none, none) },
        };
        // SAFETY: the camera was made.
        let opened = unsafe { (library.calls.is_opened)(id) } != 0;
        if code > 0 || !opened {
            camera.open = opened;
            return Err(errors::failure("open the recording", code));
        }
        camera.learn()?;
        Ok(camera)
    }

    /// Asks what the recording is like, and looks whether that can be.
    fn learn(&mut self) -> Result<(), Failure> {
        let calls = &self.library.calls;
        let id = self.number.0;
        // SAFETY: the camera is open; these only ask.
        let (width, height, fps, frames) =
            unsafe { ((calls.width)(id), (calls.height)(id), (calls.camera_fps)(id), (calls.frames)(id)) };
        if !(1..=SIDE_MAX).contains(&width) || !(1..=SIDE_MAX).contains(&height) {
            return Err(odd(&format!("pictures of {width} x {height}")));
        }
        if !(fps > 0.0 && fps <= 1000.0) {
            return Err(odd(&format!("{fps} pictures a second")));
        }
        if frames == 0 {
            return Err(Failure::Configuration(
                "there are no pictures in it; the recording was never begun".to_owned(),
            ));
        }
        if !(1..=FRAMES_MAX).contains(&frames) {
            return Err(odd(&format!("{frames} pictures")));
        }
        (self.width, self.height, self.frames) = (width as u32, height as u32, frames as usize);
        // SAFETY: the camera is open. 0 asks for what rectified pictures have.
        let calibration = unsafe { (calls.calibration)(id, 0) };
        if calibration.is_null() {
            return Err(odd("no calibration"));
        }
        // SAFETY: it is not null, and the structure is larger in every version. It was allocated for the caller, who keeps
        // it: what frees it is not exported.
        let calibration = unsafe { *calibration.cast::<[u8; abi::CALIBRATION_SIZE]>() };
        self.intrinsics = self
            .intrinsics_of(&calibration)
            .ok_or_else(|| odd("a calibration that no camera has"))?
            .scaled_to(self.width, self.height);
        // SAFETY: it takes nothing.
        self.picture = unsafe { (calls.mat_create)() };
        // SAFETY: as above.
        self.depth = unsafe { (calls.mat_create)() };
        if self.picture.is_null() || self.depth.is_null() {
            return Err(odd("no memory for pictures"));
        }
        Ok(())
    }

    fn intrinsics_of(&self, calibration: &[u8; abi::CALIBRATION_SIZE]) -> Option<Intrinsics> {
        let (width, height) = abi::calibrated_size(self.library.abi, calibration)?;
        let [fx, fy, cx, cy] = std::array::from_fn(|number| {
            let at = 4 * number;
            f64::from(f32::from_ne_bytes(calibration[at..at + 4].try_into().expect("they are four")))
        });
        let side = 1..=SIDE_MAX as u32;
        let size = side.contains(&width) && side.contains(&height);
        // False for NaN.
        let focal = |length: f64| length > 1.0 && length < 1e5;
        let inside = cx > 0.0 && cx < f64::from(width) && cy > 0.0 && cy < f64::from(height);
        (size && focal(fx) && focal(fy) && inside).then_some(Intrinsics {
            width,
            height,
            fx,
            fy,
            cx,
            cy,
            distortion: [0.0; 5],
        })
    }

    /// The camera's serial number.
    pub fn serial(&self) -> Option<String> {
        // SAFETY: the camera is open; it only asks.
        let serial = unsafe { (self.library.calls.serial)(self.number.0) };
        (serial > 0).then(|| serial.to_string())
    }

    /// The size that depth is computed in, which the SDK tells since 5.0.
    ///
    /// # Errors
    /// When it tells what cannot be.
    pub fn optimal_depth_size(&self) -> Result<Option<(u32, u32)>, Failure> {
        let Some(ask) = self.library.calls.measure_resolution else {
            return Ok(None);
        };
        // -1 asks for the SDK's own choice.
        let mut size = [-1, -1];
        // SAFETY: the camera is open, and the structure is two ints since 5.0.
        let told = unsafe { ask(self.number.0, &mut size) };
        if told.is_null() {
            return Err(odd("no size of depth"));
        }
        // SAFETY: it is not null, and such a structure. It is the caller's, who keeps these eight bytes.
        let [width, height] = unsafe { *told };
        if !(1..=self.width as c_int).contains(&width) || !(1..=self.height as c_int).contains(&height) {
            return Err(odd(&format!("depth of {width} x {height}")));
        }
        Ok(Some((width as u32, height as u32)))
    }

    /// Begins tracking where the camera is, anew when it did already.
    ///
    /// # Errors
    /// When the SDK does not.
    pub fn track(&mut self, tracking: &Tracking) -> Result<(), Failure> {
        self.stop_tracking();
        let area = tracking.area_file.as_deref().unwrap_or(Path::new(""));
        if tracking.area_file.is_some() && !area.is_file() {
            return Err(Failure::Configuration(format!("the area file {} is not there", area.display())));
        }
        let area = CString::new(area.as_os_str().as_bytes())
            .map_err(|_| Failure::Configuration("the area file's name holds a zero byte; rename it".to_owned()))?;
        let mut parameters = abi::tracking_parameters(tracking);
        let enable = self.library.calls.enable_tracking;
        let _aside = Aside::new();
        // SAFETY: the camera is open, the parameters are laid out as all versions have them, and the text is a C string that
        // outlives the call.
        let code = unsafe { enable(self.number.0, parameters.as_mut_ptr(), area.as_ptr()) };
        if code > 0 {
            return Err(errors::failure("track the camera", code));
        }
        self.tracks = true;
        Ok(())
    }

    fn stop_tracking(&mut self) {
        if std::mem::take(&mut self.tracks) {
            // SAFETY: the camera is open. An empty text says that no area file is to be written.
            unsafe { (self.library.calls.disable_tracking)(self.number.0, c"".as_ptr()) };
        }
    }

    /// Makes this picture the next one.
    ///
    /// # Errors
    /// When the SDK says that it cannot, which it does since 5.2.
    pub fn seek(&mut self, position: usize) -> Result<(), Failure> {
        let _aside = Aside::new();
        let position = position.min(self.frames - 1) as c_int;
        match self.library.calls.set_position {
            SetPosition::Silent(set) => {
                // SAFETY: the camera is open.
                unsafe { set(self.number.0, position) };
            }
            SetPosition::Checked(set) => {
                // SAFETY: as above.
                let code = unsafe { set(self.number.0, position) };
                if code > 0 {
                    return Err(errors::failure(&format!("go to picture {position}"), code));
                }
            }
        }
        Ok(())
    }

    /// Takes the next picture, and computes what belongs to it.
    pub fn grab(&mut self, runtime: &mut Block) -> Grabbed {
        let _aside = Aside::new();
        // SAFETY: the camera is open, and the parameters are laid out as all versions have them.
        match unsafe { (self.library.calls.grab)(self.number.0, runtime.as_mut_ptr()) } {
            errors::CORRUPTED_FRAME => Grabbed::Corrupted,
            errors::END_OF_FILE => Grabbed::End,
            code if code > 0 => Grabbed::Failed(code),
            _ => Grabbed::Picture,
        }
    }

    /// When the picture was taken.
    pub fn timestamp(&self) -> u64 {
        // SAFETY: the camera is open; it only asks.
        unsafe { (self.library.calls.image_timestamp)(self.number.0) }
    }

    /// The left picture, rectified, as BGRA.
    ///
    /// # Errors
    /// When the SDK does not give it.
    pub fn picture(&mut self) -> Result<gst::Buffer, Failure> {
        let (size, calls) = ((self.width, self.height), &self.library.calls);
        self.retrieve(&calls.retrieve_image, self.picture, abi::LEFT, size, "give a picture")
    }

    /// Depth in millimetres, as floats.
    ///
    /// # Errors
    /// When the SDK does not give it.
    pub fn depth(&mut self, size: (u32, u32)) -> Result<gst::Buffer, Failure> {
        let calls = &self.library.calls;
        self.retrieve(&calls.retrieve_measure, self.depth, abi::DEPTH, size, "give depth")
    }

    fn retrieve(
        &self,
        retrieve: &Retrieve,
        mat: Mat,
        kind: c_int,
        (width, height): (u32, u32),
        doing: &str,
    ) -> Result<gst::Buffer, Failure> {
        let (id, w, h) = (self.number.0, width as c_int, height as c_int);
        let _aside = Aside::new();
        let code = match *retrieve {
            // SAFETY: the camera is open, and the library made the mat.
            Retrieve::Plain(retrieve) => unsafe { retrieve(id, mat, kind, abi::CPU, w, h) },
            // SAFETY: as above. The null stream is CUDA's default.
            Retrieve::Streamed(retrieve) => unsafe { retrieve(id, mat, kind, abi::CPU, w, h, ptr::null_mut()) },
        };
        if code > 0 {
            return Err(errors::failure(doing, code));
        }
        let calls = &self.library.calls;
        // SAFETY: the library made the mat; these only ask.
        let (is_width, is_height, pixel, step, pointer) = unsafe {
            (
                (calls.mat_width)(mat),
                (calls.mat_height)(mat),
                (calls.mat_pixel_bytes)(mat),
                (calls.mat_step_bytes)(mat, abi::CPU),
                (calls.mat_pointer)(mat, abi::CPU),
            )
        };
        let (row, rows) = (width as usize * abi::PIXEL_BYTES, height as usize);
        let step = usize::try_from(step).unwrap_or(0);
        let fits = (is_width, is_height, pixel) == (w, h, abi::PIXEL_BYTES as c_int);
        if !fits || !(row..=row + PADDING_MAX).contains(&step) || pointer.is_null() {
            return Err(odd(&format!(
                "{is_width} x {is_height} pixels of {pixel} bytes, {step} bytes a row, for {width} x {height} of {}",
                abi::PIXEL_BYTES
            )));
        }
        // SAFETY: the mat has so many rows of so many bytes, the last one without what pads it.
        let bytes = unsafe { std::slice::from_raw_parts(pointer, step * (rows - 1) + row) };
        let mut packed = Vec::with_capacity(row * rows);
        for bytes in bytes.chunks(step) {
            packed.extend_from_slice(&bytes[..row]);
        }
        Ok(gst::Buffer::from_mut_slice(packed))
    }

    /// Where the camera was, when that is known.
    pub fn pose(&self) -> Option<Pose> {
        let mut block = Block::zeroed();
        let ask = self.library.calls.position_data;
        // SAFETY: the camera is open, and the structure, of 360 bytes in all versions, has room in the block.
        let state = unsafe { ask(self.number.0, block.as_mut_ptr(), abi::WORLD) };
        let orientation = block.floats::<4>(abi::POSE_ROTATION).map(f64::from);
        let position = block.floats::<3>(abi::POSE_POSITION).map(|millimetres| f64::from(millimetres) / 1000.0);
        let length = orientation.iter().map(|part| part * part).sum::<f64>();
        let is_rotation = (length - 1.0).abs() < 0.01;
        (state == abi::TRACKED && is_rotation && position.iter().all(|part| part.is_finite()))
            .then_some(Pose { position, orientation })
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _aside = Aside::new();
        self.stop_tracking();
        let calls = &self.library.calls;
        for mat in [self.picture, self.depth] {
            if !mat.is_null() {
                // SAFETY: the library made the mat, and nobody uses it any more.
                unsafe { (calls.mat_free)(mat, abi::CPU) };
            }
        }
        // Closed first: the library forgets an instance without closing it.
        if self.open {
            // SAFETY: the camera was made and opened.
            unsafe { (calls.close_camera)(self.number.0) };
        }
        // SAFETY: the camera was made.
        unsafe { (calls.unload_instance)(self.number.0) };
    }
}

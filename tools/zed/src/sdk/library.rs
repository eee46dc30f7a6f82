//! The SDK's C library, found and loaded while the program runs.

use std::{
    error::Error as _,
    ffi::{CStr, OsString, c_char, c_int, c_uint, c_void},
    sync::OnceLock,
};

use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW};
use tools_cli::failure::Failure;

use super::version::{Abi, OVERRIDE};

/// Names the library in place of [`PLACES`].
const LIBRARY: &str = "ZED_C_LIB";
/// Where the loader looks (`LD_LIBRARY_PATH` among that), and where the C API installs itself.
const PLACES: [&str; 2] = ["libsl_zed_c.so", "/usr/local/zed/lib/libsl_zed_c.so"];

/// The library, and all of its functions that are needed. It is never unloaded: CUDA would not survive it.
#[derive(Debug)]
pub struct Library {
    pub abi: Abi,
    pub calls: Calls,
    _loaded: Loaded,
}

/// A structure of the library's, which is known by offsets alone.
type Structure = *mut u8;
/// An `sl::Mat`.
pub type Mat = *mut c_void;

/// Functions of the library. C's `bool` is a byte here: who knows what an unknown library returns.
///
/// Source: `zed_interface.h` of stereolabs/zed-c-api, tags v4.2.0, v5.0, v5.1 and v5.2.1.
#[derive(Debug)]
pub struct Calls {
    pub create_camera: unsafe extern "C" fn(c_int) -> u8,
    pub open: Open,
    pub is_opened: unsafe extern "C" fn(c_int) -> u8,
    pub close_camera: unsafe extern "C" fn(c_int),
    pub unload_instance: unsafe extern "C" fn(c_int),
    pub width: unsafe extern "C" fn(c_int) -> c_int,
    pub height: unsafe extern "C" fn(c_int) -> c_int,
    pub camera_fps: unsafe extern "C" fn(c_int) -> f32,
    pub serial: unsafe extern "C" fn(c_int) -> c_int,
    /// Allocated anew by each call.
    pub calibration: unsafe extern "C" fn(c_int, u8) -> *const u8,
    pub frames: unsafe extern "C" fn(c_int) -> c_int,
    pub set_position: SetPosition,
    pub grab: unsafe extern "C" fn(c_int, Structure) -> c_int,
    pub image_timestamp: unsafe extern "C" fn(c_int) -> u64,
    pub retrieve_image: Retrieve,
    pub retrieve_measure: Retrieve,
    /// Since 5.0. Allocated anew by each call.
    pub measure_resolution: Option<unsafe extern "C" fn(c_int, *mut [c_int; 2]) -> *const [c_int; 2]>,
    pub enable_tracking: unsafe extern "C" fn(c_int, Structure, *const c_char) -> c_int,
    pub disable_tracking: unsafe extern "C" fn(c_int, *const c_char),
    pub position_data: unsafe extern "C" fn(c_int, Structure, c_int) -> c_int,
    pub mat_create: unsafe extern "C" fn() -> Mat,
    pub mat_width: unsafe extern "C" fn(Mat) -> c_int,
    pub mat_height: unsafe extern "C" fn(Mat) -> c_int,
    pub mat_pixel_bytes: unsafe extern "C" fn(Mat) -> c_int,
    pub mat_step_bytes: unsafe extern "C" fn(Mat, c_int) -> c_int,
    pub mat_pointer: unsafe extern "C" fn(Mat, c_int) -> *const u8,
    pub mat_free: unsafe extern "C" fn(Mat, c_int),
}

/// How a recording is opened.
#[derive(Debug)]
pub enum Open {
    /// Up to 5.1: id, parameters, serial number, recording, address, port, log, settings, OpenCV calibration.
    Any(
        unsafe extern "C" fn(
            c_int,
            Structure,
            c_uint,
            *const c_char,
            *const c_char,
            c_int,
            *const c_char,
            *const c_char,
            *const c_char,
        ) -> c_int,
    ),
    /// Since 5.2: id, parameters, recording, log, settings, OpenCV calibration.
    Recording(
        unsafe extern "C" fn(c_int, Structure, *const c_char, *const c_char, *const c_char, *const c_char) -> c_int,
    ),
}

/// How the next picture is chosen.
#[derive(Debug)]
pub enum SetPosition {
    /// Up to 5.1.
    Silent(unsafe extern "C" fn(c_int, c_int)),
    /// Since 5.2.
    Checked(unsafe extern "C" fn(c_int, c_int) -> c_int),
}

/// How a picture is fetched: id, destination, kind, memory, width, height.
#[derive(Debug)]
pub enum Retrieve {
    /// 4.2.
    Plain(unsafe extern "C" fn(c_int, Mat, c_int, c_int, c_int, c_int) -> c_int),
    /// Since 5.0, and a CUDA stream.
    Streamed(unsafe extern "C" fn(c_int, Mat, c_int, c_int, c_int, c_int, *mut c_void) -> c_int),
}

/// The installed library, which is loaded once.
///
/// # Errors
/// [`Failure::Configuration`] when there is none that is understood, with what to do.
pub fn installed() -> Result<&'static Library, Failure> {
    static INSTALLED: OnceLock<Result<Library, String>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let places = match std::env::var_os(LIBRARY) {
            Some(place) => vec![place],
            None => PLACES.map(OsString::from).to_vec(),
        };
        let abi = std::env::var(OVERRIDE).ok().map(|text| Abi::named(&text)).transpose()?;
        Library::load(&places, abi)
    });
    installed.as_ref().map_err(|why| Failure::Configuration(why.clone()))
}

impl Library {
    /// Loads the first of these that can be loaded, as what it says it is, or as what it is said to be.
    ///
    /// # Errors
    /// Why none can be used, and what to do.
    pub fn load(places: &[OsString], told: Option<Abi>) -> Result<Self, String> {
        let mut refusals = Vec::new();
        for place in places {
            // SAFETY: the library's initialisers run, as those of any library that a program is linked with. It is one that
            // the user has installed or named.
            match unsafe { Loaded::open(Some(place), RTLD_NOW | RTLD_LOCAL) } {
                Ok(loaded) => {
                    return Self::of(loaded, told).map_err(|why| format!("{why} ({})", place.to_string_lossy()));
                }
                // The loader's words are behind those of the crate.
                Err(error) => refusals.push(error.source().map_or_else(|| error.to_string(), ToString::to_string)),
            }
        }
        Err(format!(
            "the ZED SDK cannot be loaded ({}); install version 4.2, 5.0, 5.1 or 5.2 with its C API, zed-c-api, or name the \
             C API's library in {LIBRARY}",
            refusals.join("; ")
        ))
    }

    fn of(loaded: Loaded, told: Option<Abi>) -> Result<Self, String> {
        let abi = match told {
            Some(abi) => abi,
            None => {
                // SAFETY: the function has this signature in all versions.
                let version =
                    unsafe { symbol::<unsafe extern "C" fn() -> *const c_char>(&loaded, "sl_get_sdk_version") }?;
                // SAFETY: it takes nothing. Its text is allocated for the caller, who keeps it.
                let text = unsafe { version() };
                if text.is_null() {
                    return Err("the ZED SDK does not say which version it is; install it anew".to_owned());
                }
                // SAFETY: it is not null, and a C string.
                let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
                // SAFETY: the function is only looked for.
                Abi::of(&text, |name| unsafe { loaded.get::<*const c_void>(name.as_bytes()) }.is_ok())?
            }
        };
        // SAFETY: these are the signatures of this version's header.
        let calls = unsafe { Calls::of(&loaded, abi) }?;
        Ok(Self { abi, calls, _loaded: loaded })
    }
}

/// A function of the library.
///
/// # Safety
/// It has to be of the type `T`, a function pointer.
unsafe fn symbol<T: Copy>(loaded: &Loaded, name: &str) -> Result<T, String> {
    // SAFETY: the caller's.
    let found = unsafe { loaded.get::<T>(name.as_bytes()) };
    found.map(|symbol| *symbol).map_err(|_| {
        format!(
            "the ZED SDK's C API lacks {name}; install the C API of the SDK's version, and look whether it is whole"
        )
    })
}

impl Calls {
    /// All functions.
    ///
    /// # Safety
    /// The library has to be of that version.
    unsafe fn of(loaded: &Loaded, abi: Abi) -> Result<Self, String> {
        let streamed = abi >= Abi::V5_0;
        // SAFETY: each function has the type of its field in the version's header; the caller says that it is of that one.
        unsafe {
            let retrieve = |name| {
                if streamed {
                    Ok::<_, String>(Retrieve::Streamed(symbol(loaded, name)?))
                } else {
                    Ok(Retrieve::Plain(symbol(loaded, name)?))
                }
            };
            let newest = abi >= Abi::V5_2;
            Ok(Self {
                create_camera: symbol(loaded, "sl_create_camera")?,
                open: if newest {
                    Open::Recording(symbol(loaded, "sl_open_camera_from_svo_file")?)
                } else {
                    Open::Any(symbol(loaded, "sl_open_camera")?)
                },
                is_opened: symbol(loaded, "sl_is_opened")?,
                close_camera: symbol(loaded, "sl_close_camera")?,
                unload_instance: symbol(loaded, "sl_unload_instance")?,
                width: symbol(loaded, "sl_get_width")?,
                height: symbol(loaded, "sl_get_height")?,
                camera_fps: symbol(loaded, "sl_get_camera_fps")?,
                serial: symbol(loaded, "sl_get_zed_serial")?,
                calibration: symbol(loaded, "sl_get_calibration_parameters")?,
                frames: symbol(loaded, "sl_get_svo_number_of_frames")?,
                set_position: if newest {
                    SetPosition::Checked(symbol(loaded, "sl_set_svo_position")?)
                } else {
                    SetPosition::Silent(symbol(loaded, "sl_set_svo_position")?)
                },
                grab: symbol(loaded, "sl_grab")?,
                image_timestamp: symbol(loaded, "sl_get_image_timestamp")?,
                retrieve_image: retrieve("sl_retrieve_image")?,
                retrieve_measure: retrieve("sl_retrieve_measure")?,
                measure_resolution: if streamed {
                    Some(symbol(loaded, "sl_get_retrieve_measure_resolution")?)
                } else {
                    None
                },
                enable_tracking: symbol(loaded, "sl_enable_positional_tracking")?,
                disable_tracking: symbol(loaded, "sl_disable_positional_tracking")?,
                position_data: symbol(loaded, "sl_get_position_data")?,
                mat_create: symbol(loaded, "sl_mat_create_new_empty")?,
                mat_width: symbol(loaded, "sl_mat_get_width")?,
                mat_height: symbol(loaded, "sl_mat_get_height")?,
                mat_pixel_bytes: symbol(loaded, "sl_mat_get_pixel_bytes")?,
                mat_step_bytes: symbol(loaded, "sl_mat_get_step_bytes")?,
                mat_pointer: symbol(loaded, "sl_mat_get_ptr")?,
                mat_free: symbol(loaded, "sl_mat_free")?,
            })
        }
    }
}

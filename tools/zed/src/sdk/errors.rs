//! What the SDK's error codes mean for who reads a recording. Source: `SL_ERROR_CODE` in `types_c.h` of
//! stereolabs/zed-c-api, the same from 4.2 to 5.2 but for warnings, which are negative.

use std::ffi::c_int;

use tools_cli::failure::Failure;

pub const CORRUPTED_FRAME: c_int = -2;
pub const END_OF_FILE: c_int = 14;

/// Whether a code blames the recording, and not the computer.
pub fn is_of_the_file(code: c_int) -> bool {
    // A failure without a reason, an invalid file, an error of the file.
    [1, 11, 12].contains(&code)
}

/// A code as a failure, with what to do.
pub fn failure(doing: &str, code: c_int) -> Failure {
    let advice = match code {
        1 => "it does not say why; try the recording in ZED_Explorer",
        2 | 29 => {
            "there is no NVIDIA GPU that it can use; see ZED_Diagnostic, or read SVO2 pictures without it by --provider svo2"
        }
        3 => "the GPU has not enough memory; take a lighter depth mode, or end other programs on it",
        9 => {
            "the camera's calibration is missing; copy its SN….conf to /usr/local/zed/settings from the computer that \
             recorded, or connect this one to the internet once"
        }
        10 => "the camera's calibration file is damaged; copy it from the computer that recorded",
        11 => "it is no recording that this version reads; see it with ZED_Explorer, or install a newer SDK",
        13 => {
            "the GPU cannot decode its compression; convert it with ZED_SVOEditor on a computer whose GPU can, or update the \
             NVIDIA driver"
        }
        18 => "CUDA failed; see ZED_Diagnostic, and take a lighter depth mode if the GPU's memory is full",
        20 => "the NVIDIA driver is too old for its CUDA; update it",
        22 => "its installation is damaged, or the depth mode's AI model is missing; see ZED_Diagnostic",
        23 => "its C API was built for another SDK; build it anew for this one",
        24 | 25 => "the area file cannot be used; check it, or track without it",
        31 | 32 => "the camera has no motion sensors for this; track without them, or not at all",
        33 => "the depth mode needs a newer CUDA; install one, or take another depth mode",
        _ => "see the SDK's list of error codes, and ZED_Diagnostic",
    };
    let told = format!("the ZED SDK cannot {doing} (error {code}): {advice}");
    match code {
        2 | 3 | 18 | 20 | 22 | 23 | 29 | 33 => Failure::Pipeline(told),
        _ => Failure::Configuration(told),
    }
}

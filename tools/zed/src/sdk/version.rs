//! Which SDK a library is of. Its C API changes with every minor version: arguments come in between, and values of
//! enumerations move.

use std::fmt;

/// A version whose C API is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abi {
    V4_2,
    V5_0,
    V5_1,
    V5_2,
}

/// Every one that is known.
const KNOWN: [Abi; 4] = [Abi::V4_2, Abi::V5_0, Abi::V5_1, Abi::V5_2];
/// Functions that came with a version. Source: `zed_interface.h` of stereolabs/zed-c-api, tags v4.1.0 to v5.2.1.
const CAME_WITH: [(Abi, &str); 4] = [
    (Abi::V4_2, "sl_ingest_custom_mask_objects"),
    (Abi::V5_0, "sl_read"),
    (Abi::V5_1, "sl_get_sensors_data_batch"),
    (Abi::V5_2, "sl_open_camera_from_svo_file"),
];
/// Names the version in place of what the library says.
pub const OVERRIDE: &str = "ZED_C_ABI";

impl Abi {
    /// Of a text such as `5.1`.
    ///
    /// # Errors
    /// Which texts are understood.
    pub fn named(text: &str) -> Result<Self, String> {
        KNOWN
            .into_iter()
            .find(|abi| abi.to_string() == text)
            .ok_or_else(|| format!("{OVERRIDE} is {text:?}; give 4.2, 5.0, 5.1 or 5.2, or unset it"))
    }

    /// Of a library that says this of itself. What it says is the SDK's version; the C API in front of it may be older or
    /// newer, and is told by the functions that it `has`.
    ///
    /// # Errors
    /// Why it is not to be used, and what to do.
    pub fn of(version: &str, has: impl Fn(&str) -> bool) -> Result<Self, String> {
        let mut numbers = version.split('.');
        let minor = [numbers.next(), numbers.next()].map(|number| number.and_then(|number| number.parse::<u32>().ok()));
        let said = match minor {
            [Some(4), Some(2)] => Self::V4_2,
            [Some(5), Some(0)] => Self::V5_0,
            [Some(5), Some(1)] => Self::V5_1,
            [Some(5), Some(2)] => Self::V5_2,
            _ => {
                return Err(format!(
                    "the ZED SDK is version {version:?}, whose C API is not known here; install 4.2, 5.0, 5.1 or 5.2"
                ));
            }
        };
        for (abi, function) in CAME_WITH {
            let (is, there) = (has(function), said >= abi);
            if is != there {
                return Err(format!(
                    "the ZED SDK says that it is version {version}, but its C API {} {function}, which came with {abi}: the \
                     two are not of one version; build the C API of that version, or name the C API's own in {OVERRIDE}",
                    if is { "has" } else { "lacks" }
                ));
            }
        }
        Ok(said)
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4_2 => "4.2",
            Self::V5_0 => "5.0",
            Self::V5_1 => "5.1",
            Self::V5_2 => "5.2",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str, functions: usize) -> Result<Abi, String> {
        Abi::of(version, |name| CAME_WITH[..functions].iter().any(|(_, function)| *function == name))
    }

    #[test]
    fn a_version_is_believed_when_the_functions_agree() {
        for (version, functions, abi) in
            [("4.2.5", 1, Abi::V4_2), ("5.0.0", 2, Abi::V5_0), ("5.1.2-rc", 3, Abi::V5_1), ("5.2", 4, Abi::V5_2)]
        {
            assert_eq!(of(version, functions), Ok(abi));
        }
    }

    #[test]
    fn what_is_not_known_or_does_not_agree_is_refused() {
        for (version, functions, why) in [
            ("4.1.4", 0, "not known here"),
            ("4.0.8", 0, "not known here"),
            ("5.3.0", 4, "not known here"),
            ("5", 4, "not known here"),
            ("", 4, "not known here"),
            ("5.1.0 or so 5.2", 4, "has sl_open_camera_from_svo_file"),
            ("4.2.0", 0, "lacks sl_ingest_custom_mask_objects"),
            ("4.2.0", 2, "has sl_read"),
            ("5.2.0", 3, "lacks sl_open_camera_from_svo_file"),
        ] {
            let refusal = of(version, functions).unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
        }
        assert_eq!(Abi::named("5.1"), Ok(Abi::V5_1));
        assert!(Abi::named("4.1").unwrap_err().contains("unset it"));
    }
}

//! How poses are tracked, from a TOML file. `config/zed_pose_config.toml` explains the keys.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tools_cli::failure::Failure;

use crate::wanted::{Tracking, TrackingMode};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    initial_position: [f32; 3],
    initial_rotation: [f32; 4],
    area_memory: bool,
    pose_smoothing: bool,
    floor_as_origin: bool,
    static_camera: bool,
    imu_fusion: bool,
    depth_min_range: f32,
    gravity_as_origin: bool,
    mode: Mode,
    area_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[serde(rename = "gen_1")]
    Gen1,
    #[serde(rename = "gen_2")]
    Gen2,
    #[serde(rename = "gen_3")]
    Gen3,
}

impl Default for Config {
    /// The SDK's own, of 5.0.
    fn default() -> Self {
        Self {
            initial_position: [0.0; 3],
            initial_rotation: [0.0, 0.0, 0.0, 1.0],
            area_memory: true,
            pose_smoothing: false,
            floor_as_origin: false,
            static_camera: false,
            imu_fusion: true,
            depth_min_range: -1.0,
            gravity_as_origin: true,
            mode: Mode::Gen1,
            area_file: None,
        }
    }
}

/// Without a file.
pub fn usual() -> Tracking {
    Config::default().tracking()
}

/// Reads a file.
///
/// # Errors
/// [`Failure::Configuration`] when it is not there or has something else in it.
pub fn read(path: &Path) -> Result<Tracking, Failure> {
    let unusable = |why: &dyn std::fmt::Display| Failure::Configuration(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unusable(&format!("it cannot be read: {error}")))?;
    let mut tracking = parse(&text).map_err(|why| unusable(&why))?;
    if let Some(area) = &mut tracking.area_file {
        // Beside the file that names it.
        *area = path.parent().unwrap_or(Path::new("")).join(&*area);
        if !area.is_file() {
            return Err(unusable(&format!("area_file {} is not there", area.display())));
        }
    }
    Ok(tracking)
}

fn parse(text: &str) -> Result<Tracking, String> {
    let mut config: Config = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count()) + 1;
        format!("line {line}: {}", error.message().replace('\n', " "))
    })?;
    let numbers = config.initial_position.iter().chain(&config.initial_rotation).chain([&config.depth_min_range]);
    if numbers.into_iter().any(|number| !number.is_finite()) {
        return Err("a number is none, or infinite".to_owned());
    }
    let length = config.initial_rotation.iter().map(|part| part * part).sum::<f32>().sqrt();
    if !(0.99..1.01).contains(&length) {
        return Err(format!("initial_rotation is no rotation: x, y, z, w must have the length 1, not {length}"));
    }
    for part in &mut config.initial_rotation {
        *part /= length;
    }
    Ok(config.tracking())
}

impl Config {
    fn tracking(self) -> Tracking {
        Tracking {
            initial_position: self.initial_position,
            initial_rotation: self.initial_rotation,
            area_memory: self.area_memory,
            pose_smoothing: self.pose_smoothing,
            floor_as_origin: self.floor_as_origin,
            static_camera: self.static_camera,
            imu_fusion: self.imu_fusion,
            depth_min_range: self.depth_min_range,
            gravity_as_origin: self.gravity_as_origin,
            mode: match self.mode {
                Mode::Gen1 => TrackingMode::Gen1,
                Mode::Gen2 => TrackingMode::Gen2,
                Mode::Gen3 => TrackingMode::Gen3,
            },
            area_file: self.area_file,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_comes_with_the_program_says_what_is_usual() {
        let text = include_str!("../../../../config/zed_pose_config.toml");
        assert_eq!(parse(text), Ok(usual()));
        assert_eq!(parse(""), Ok(usual()));
        // Every key is in it: without the marks of comments, too.
        let all: String = text.lines().map(|line| format!("{}\n", line.trim_start_matches("#! "))).collect();
        assert_eq!(parse(&all).unwrap().area_file, Some(PathBuf::from("place.area")));
    }

    #[test]
    fn a_file_says_how_poses_are_tracked() {
        let text = "initial_position = [1, 2.5, -3]\ninitial_rotation = [0, 0, 0.7071, 0.7071]\nmode = \"gen_3\"\n\
                    static_camera = true\ndepth_min_range = 0.3\n";
        let tracking = parse(text).unwrap();
        assert_eq!(tracking.initial_position, [1.0, 2.5, -3.0]);
        assert!((tracking.initial_rotation[3] - 0.5_f32.sqrt()).abs() < 1e-6);
        assert_eq!((tracking.mode, tracking.static_camera, tracking.depth_min_range), (TrackingMode::Gen3, true, 0.3));
    }

    #[test]
    fn what_is_not_known_is_refused_by_its_name_and_line() {
        for (text, said) in [
            ("area_memory = true\nareamemory = true", &["line 2", "areamemory"][..]),
            ("[pose]\nmode = \"gen_1\"", &["pose"]),
            ("mode = \"gen_9\"", &["line 1", "gen_9"]),
            ("initial_position = [0, 0]", &["line 1"]),
            ("initial_rotation = [0, 0, 0, 0]", &["initial_rotation"]),
            ("depth_min_range = nan", &["number"]),
            ("imu_fusion = 1", &["line 1"]),
            ("imu_fusion", &["line 1"]),
        ] {
            let why = parse(text).unwrap_err();
            assert!(said.iter().all(|part| why.contains(part)) && !why.contains('\n'), "{why}");
        }
    }

    #[test]
    fn an_area_is_beside_the_file_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pose.toml");
        std::fs::write(&path, "area_file = \"room.area\"").unwrap();
        assert!(matches!(read(&path), Err(Failure::Configuration(why)) if why.contains("room.area is not there")));
        std::fs::write(directory.path().join("room.area"), "").unwrap();
        assert_eq!(read(&path).unwrap().area_file, Some(directory.path().join("room.area")));
    }
}

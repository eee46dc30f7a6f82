//! The scripts say what they do, and refuse what they do not know, before they install, build or delete anything.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn scripts() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let scripts = entries.filter(|path| path.extension().is_some_and(|ending| ending == "sh")).collect::<Vec<_>>();
    assert!(scripts.len() >= 9, "{scripts:?}");
    scripts
}

/// From another directory, with nothing on the PATH that could build, fetch or install.
fn run(script: &Path, argument: &str) -> Output {
    let elsewhere = tempfile::tempdir().unwrap();
    let tools = elsewhere.path().join("bin");
    fs::create_dir(&tools).unwrap();
    for tool in ["bash", "basename", "dirname", "sed"] {
        let found =
            ["/usr/bin", "/bin"].map(|place| Path::new(place).join(tool)).into_iter().find(|path| path.exists());
        std::os::unix::fs::symlink(found.unwrap(), tools.join(tool)).unwrap();
    }
    let mut command = Command::new("/bin/bash");
    command.arg(script).arg(argument).current_dir(elsewhere.path());
    command.env_clear().env("PATH", &tools).env("HOME", elsewhere.path()).output().unwrap()
}

#[test]
fn scripts_say_what_they_do() {
    for script in scripts() {
        let text = fs::read_to_string(&script).unwrap();
        let begins = text.lines().nth(1).unwrap().trim_start_matches("# ");
        for flag in ["--help", "-h"] {
            let output = run(&script, flag);
            let [stdout, stderr] =
                [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
            assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{}", script.display());
            assert!(stdout.starts_with(begins) && !stdout.contains("set -e"), "{}: {stdout}", script.display());
        }
    }
}

#[test]
fn scripts_refuse_what_they_do_not_know() {
    for script in scripts() {
        let output = run(&script, "--frobnicate");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{}", script.display());
        assert!(stderr.lines().count() == 1 && stderr.contains("--help"), "{}: {stderr}", script.display());
    }
}

//! The page in Debian's Chromium, where one is installed (`scripts/setup.sh --with-browser`).

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::streamer_support::{ENDLESS, Names, Running, free_port, json};

const CHROMIUM: &str = "/usr/bin/chromium";

#[test]
fn a_person_can_watch_and_use_each_switch() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let playwright = root.join("target/peers/browser/node_modules/playwright-core");
    if !Path::new(CHROMIUM).exists() || !playwright.exists() {
        eprintln!(
            "SKIPPED: no {CHROMIUM} or no {}; scripts/setup.sh --with-browser installs them",
            playwright.display()
        );
        return;
    }
    let names = Names::new();
    let port = free_port();
    let streamer = Running::start(names.simulator().args(ENDLESS).args([
        "--codec",
        "h264",
        "--dummy-depth",
        "--http",
        &format!("127.0.0.1:{port}"),
    ]));
    let folder = names.path("browser");
    std::fs::create_dir(&folder).unwrap();
    let mut browser = Command::new("node");
    browser.arg(root.join("tests/streamer/page.mjs")).arg(playwright).arg(CHROMIUM);
    browser.args([&format!("http://127.0.0.1:{port}"), &names.shm]).arg(&folder);
    let (status, stdout, stderr) =
        Running::start(browser.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())).wait();
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    let seen = json(&stdout);
    println!("{seen:#}");
    assert!(seen["foreign"].as_array().unwrap().is_empty(), "{seen}");
    assert!(seen["state"].as_str().unwrap().contains("fps"), "{seen}");
    assert!(seen["statistics"].as_str().unwrap().contains("320x180"), "{seen}");
    assert!(seen["delay_ms"].as_f64().is_some_and(|delay| (0.0..10_000.0).contains(&delay)), "{seen}");
    assert_eq!(seen["depth"]["wrong"], 0, "{seen}");
    assert_eq!((&seen["depth"]["width"], &seen["depth"]["height"]), (&320.into(), &180.into()), "{seen}");
    assert!(seen["pointer"].as_str().unwrap().ends_with(" mm"), "{seen}");
    for switch in
        ["statistics_visible", "statistics_hidden", "palette_changes", "depth_ends", "bodies_visible", "phone_fits"]
    {
        assert_eq!(seen[switch], true, "{switch}: {seen}");
    }
    assert_eq!(seen["wall"], 2, "{seen}");
    streamer.signal("-INT");
    let (status, _, stderr) = streamer.wait();
    assert_eq!(status, Some(0), "{stderr}");
}

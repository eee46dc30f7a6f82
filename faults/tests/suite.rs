//! The suite itself: it passes with its faults, fails without them, and leaves the evidence that it says it does.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

fn suite(evidence: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fault_suite")).arg("--evidence").arg(evidence).args(args).output().unwrap()
}

fn summary(evidence: &Path) -> Value {
    serde_json::from_slice(&fs::read(evidence.join("task-15-fault-suite-summary.json")).unwrap()).unwrap()
}

#[test]
fn faults_pass_and_leave_evidence() {
    let evidence = tempfile::tempdir().unwrap();
    let output = suite(evidence.path(), &["--only", "segment_cut", "--only", "encoder_silent"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.ends_with("total=2 pass=2 fail=0 skip=0\n"), "{stdout}");
    let summary = summary(evidence.path());
    assert_eq!((&summary["total"], &summary["pass"], &summary["mode"]), (&2.into(), &2.into(), &"baseline".into()));
    let text = fs::read_to_string(evidence.path().join("task-15-fault-suite.txt")).unwrap();
    assert!(text.contains("total=2 pass=2 fail=0 skip=0\nexit_code=0\n"), "{text}");
    for scenario in summary["scenarios"].as_array().unwrap() {
        assert_eq!((&scenario["status"], &scenario["injected"]), (&"pass".into(), &true.into()), "{scenario}");
        let kept = Path::new(scenario["evidence"].as_str().unwrap());
        assert!(fs::read_to_string(kept.join("figures.txt")).unwrap().ends_with("status=PASS\n"), "{scenario}");
        assert!(kept.join("1-streamer.log").exists(), "{scenario}");
    }
}

#[test]
fn without_its_fault_a_scenario_fails() {
    let evidence = tempfile::tempdir().unwrap();
    let output = suite(evidence.path(), &["--without-faults", "--only", "segment_cut"]);
    assert_eq!(output.status.code(), Some(1));
    let summary = summary(evidence.path());
    assert_eq!((&summary["scenarios"][0]["injected"], &summary["fail"]), (&false.into(), &1.into()), "{summary}");
}

#[test]
fn scenarios_are_told_and_an_unknown_one_is_refused() {
    let evidence = tempfile::tempdir().unwrap();
    let listed = String::from_utf8(suite(evidence.path(), &["--list"]).stdout).unwrap();
    for name in ["torn_read", "sink_stall_slow", "reset_storm"] {
        assert!(listed.lines().any(|line| line.starts_with(name)), "{listed}");
    }
    let refused = suite(evidence.path(), &["--only", "torn_reed"]);
    assert!(!refused.status.success());
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(complaint.contains("torn_reed") && complaint.contains("--list"), "{complaint}");
    assert_eq!(fs::read_dir(evidence.path()).unwrap().count(), 0);
}

use super::*;
use crate::batch::programs::{Makes, Takes};

static KIND: Kind = Kind {
    batch: "batch",
    single: "single",
    takes: Takes::Recordings,
    makes: Makes::Mp4,
    ending: ".mp4",
    pattern: "*",
    understands: |flags| if flags.is_empty() { Ok(()) } else { Err("no".to_owned()) },
};

#[test]
fn a_job_is_the_same_for_everybody() {
    let job = Job { input: "/a.svo2".into(), output: "/a.mp4".into(), overwrite: false, flags: Vec::new() };
    let message = Message::new(&KIND, &job).unwrap();
    assert_eq!(Message::read(&KIND, &message.bytes(), "s").unwrap(), job);
    assert_eq!(message.id(), Message::new(&KIND, &job).unwrap().id());
    assert_eq!(message.id().len(), 32);
    let other = Job { overwrite: true, ..job };
    assert_ne!(message.id(), Message::new(&KIND, &other).unwrap().id());
}

#[test]
fn a_queue_may_have_any_name() {
    for name in ["job", "failed", "tally", "batch", "single", "-"] {
        let subjects = Subjects { queue: name.to_owned(), converter: "single" };
        assert_eq!(subjects.of(About::Job, "7"), format!("cvmmap.batch.{name}.job.single.7"));
        assert_eq!(subjects.of(About::Failed, "7"), format!("cvmmap.batch.{name}.failed.single.7"));
        assert_eq!(subjects.of(About::Tally, "7"), format!("cvmmap.batch.{name}.tally.single.7"));
    }
}

#[test]
fn who_said_what_became_of_a_job_has_not_died() {
    let tally = Tally { failed: 2, handed_back: 5 };
    assert_eq!([1, 8, 9, 18].map(|taken| tally.deaths(taken)), [-7, 0, 1, 10]);
    assert_eq!(Tally { failed: i64::MAX, handed_back: i64::MAX }.deaths(0), i64::MIN);
}

#[test]
fn hostile_messages_are_refused() {
    let read = |text: &str| Message::read(&KIND, text.as_bytes(), "a.\x1b.b").unwrap_err();
    let job = |version: u32, program: &str, input: &str, flags: &str| {
        format!(
            "{{\"version\":{version},\"program\":\"{program}\",\"input\":\"{input}\",\"output\":\"/o\",\
             \"overwrite\":true,\"flags\":{flags}}}"
        )
    };
    for text in ["", "{}", "[1]", "\u{0}"] {
        assert_eq!(read(text).0.input, PathBuf::from("a. .b"));
    }
    for text in [
        job(2, "single", "/i", "[]"),
        job(1, "sh", "/i", "[]"),
        job(1, "single", "../i", "[]"),
        job(1, "single", "/i", "[\"--output=/etc/passwd\"]"),
    ] {
        assert!(!read(&text).1.is_empty());
    }
}

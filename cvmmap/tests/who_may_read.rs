//! Who may read a producer's frames. The readers are processes of other users, in Python. A process of its own: it sets the
//! umask.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
    process::{self, Command},
};

use cvmmap::{Abi, Address, Depth, DepthUnit, Frame, Permissions, PixelFormat, PlaneImage, PlaneKind, Publisher};
use rustix::{fs::Mode, process::umask};

/// Numbers that no user of a machine has.
const STRANGER: u32 = 54_321;
const GROUP: u32 = 54_322;

/// Tries to read a segment and to connect to a socket.
const READER: &str = r#"
import socket, sys
def tried(action):
    try:
        action()
        return "yes"
    except PermissionError:
        return "no"
def read():
    assert open(sys.argv[1], "rb").read(8) == b"CV-MMAP\0"
print(tried(read), tried(lambda: socket.socket(socket.AF_UNIX).connect(sys.argv[2])))
"#;

/// Whether a user of these groups can read and connect.
fn may(segment: &Path, socket: &Path, groups: &str) -> String {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={STRANGER}"), &format!("--regid={STRANGER}"), groups, "python3", "-c", READER]);
    // Another user may not reach a Python that is in somebody's home.
    let output = command.arg(segment).arg(socket).env("PATH", "/usr/bin:/bin").output().expect("setpriv runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_mode_says_who_may_read_and_connect() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let shm_name = format!("cvmmap_test_{}_readers", process::id());
    let (segment, socket) = (Path::new("/dev/shm").join(&shm_name), folder.path().join("sync"));
    let address = Address::new(&shm_name, &format!("ipc://{}", socket.display()), Some("readers")).unwrap();
    let stranger = "--clear-groups".to_owned();
    let member = format!("--groups={GROUP}");
    let cases = [
        // umask, perms, mode of the segment, and whether a stranger and a member of the group may read and connect.
        (0o022, None, 0o644, ["yes yes", "yes yes"]),
        (0o027, None, 0o640, ["no no", "yes yes"]),
        (0o077, None, 0o600, ["no no", "no no"]),
        (0o077, Some("0644"), 0o644, ["yes yes", "yes yes"]),
        (0o000, Some("0640"), 0o640, ["no no", "yes yes"]),
        (0o022, Some("0600"), 0o600, ["no no", "no no"]),
    ];
    for (mask, perms, mode, expected) in cases {
        let before = umask(Mode::from_raw_mode(mask));
        let permissions = perms.map_or_else(Permissions::default, |perms: &str| perms.parse().unwrap());
        let mut publisher = Publisher::create_for(&address, Abi::V1, permissions).unwrap();
        umask(before);
        let plane = PlaneImage {
            kind: PlaneKind::Left,
            pixel_format: PixelFormat::Gray,
            depth: Depth::U8,
            width: 2,
            height: 1,
            stride: 2,
            data: &[1, 2],
        };
        let frame = Frame { timestamp_ns: 1, planes: &[plane], depth_unit: DepthUnit::Unknown, encoded: None };
        publisher.publish(&frame).unwrap();
        let about = format!("umask {mask:03o}, perms {perms:?}");
        assert_eq!(fs::metadata(&segment).unwrap().mode() & 0o7777, mode, "{about}");
        if !rustix::process::geteuid().is_root() {
            continue;
        }
        for path in [&segment, &socket] {
            chown(path, None, Some(GROUP)).unwrap();
        }
        assert_eq!([may(&segment, &socket, &stranger), may(&segment, &socket, &member)], expected, "{about}");
    }
    assert!(!segment.exists() && !socket.exists());
}

//! A publisher beside producers that hold no lock of ours: they are Python, and do what the contract lets them do.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
};

use cvmmap::{Abi, Address, METADATA_SIZE, PublishError, Publisher};

/// Says "ready" and stays until it is killed. argv: segment, folder, what to do.
const PRODUCER: &str = r#"
import mmap, os, socket, sys, time
path, folder, how = sys.argv[1:]
flags = os.O_RDONLY if how == "reads" else os.O_RDWR
fd = os.open(path, flags)
if how == "maps":
    m = mmap.mmap(fd, 0)
if how == "reads":
    m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
if how == "listens":
    s = socket.socket(socket.AF_UNIX)
    s.bind(os.path.join(folder, os.path.basename(path)))
    s.listen()
print("ready", flush=True)
count = 0
while True:
    time.sleep(0.02)
    if how == "writes":
        count += 1
        os.pwrite(fd, count.to_bytes(4, "little"), 0x0C)
"#;

struct Place {
    folder: tempfile::TempDir,
    shm_name: String,
    segment: PathBuf,
}

impl Place {
    /// A segment that somebody has left, or has not.
    fn new(name: &str) -> Self {
        let shm_name = format!("cvmmap_test_{}_{name}", process::id());
        let segment = Path::new("/dev/shm").join(&shm_name);
        let content = [&cvmmap::MAGIC[..], &[7; 2 * METADATA_SIZE]].concat();
        fs::write(&segment, content).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), shm_name, segment }
    }

    fn address(&self, endpoint: &str) -> Address {
        Address::new(&self.shm_name, endpoint, Some("mine")).unwrap()
    }

    /// Another endpoint than the producer's.
    fn elsewhere(&self) -> Address {
        self.address(&format!("ipc://{}/elsewhere", self.folder.path().display()))
    }

    fn producer(&self, how: &str) -> Producer {
        let mut command = Command::new("python3");
        command.args(["-c", PRODUCER]).arg(&self.segment).arg(self.folder.path()).arg(how);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Producer(child)
    }

    fn inode(&self) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(&self.segment).unwrap().ino()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.segment);
    }
}

struct Producer(Child);

impl Drop for Producer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn is_left_alone(how: &str, told: &str) {
    let place = Place::new(how);
    let inode = place.inode();
    let producer = place.producer(how);
    match Publisher::create(&place.elsewhere(), Abi::V1) {
        Err(error @ PublishError::Taken { .. }) => {
            let text = error.to_string();
            assert!(text.contains(told) && text.contains(&place.shm_name), "{text}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was robbed"),
    }
    assert_eq!(place.inode(), inode, "its segment is another one");
    assert!(!place.folder.path().join("elsewhere").exists(), "a socket stays behind");
    drop(producer);
    let _publisher = Publisher::create(&place.elsewhere(), Abi::V1).unwrap();
    assert_ne!(place.inode(), inode, "a dead producer's segment is replaced");
}

#[test]
fn whoever_has_mapped_it_for_writing_is_left_alone() {
    is_left_alone("maps", "python3");
}

#[test]
fn whoever_listens_under_its_name_is_left_alone() {
    is_left_alone("listens", "somebody listens at");
}

#[test]
fn whoever_writes_into_it_is_left_alone() {
    is_left_alone("writes", "writes frames");
}

#[test]
fn whoever_only_reads_is_no_producer() {
    let place = Place::new("reads");
    let inode = place.inode();
    let _reader = place.producer("reads");
    let _publisher = Publisher::create(&place.elsewhere(), Abi::V1).unwrap();
    assert_ne!(place.inode(), inode);
}

#[test]
fn an_endpoint_that_is_taken_costs_nobody_a_segment() {
    let place = Place::new("port");
    let inode = place.inode();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = place.address(&format!("tcp://{}", taken.local_addr().unwrap()));
    assert!(matches!(Publisher::create(&address, Abi::V1), Err(PublishError::Busy(_))));
    assert_eq!(place.inode(), inode);
}

/// Of many that start at once on what a dead one left, one gets the name.
#[test]
fn one_of_many_gets_the_name() {
    let place = Place::new("race");
    let addresses = (0..8).map(|at| place.address(&format!("ipc://{}/{at}", place.folder.path().display())));
    let addresses = addresses.collect::<Vec<_>>();
    let publishers = std::thread::scope(|scope| {
        let started = addresses.iter().map(|address| scope.spawn(|| Publisher::create(address, Abi::V1)));
        let started = started.collect::<Vec<_>>();
        started.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let won = publishers.iter().filter(|publisher| publisher.is_ok()).count();
    let refused = publishers.iter().filter(|it| matches!(it, Err(PublishError::Busy(_)))).count();
    assert_eq!((won, refused), (1, 7));
}

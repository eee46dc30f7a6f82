//! The generated messages are those of the `.proto` file. Set `REGENERATE=1` to write them anew.

use std::{env, fs, path::Path};

#[test]
fn generated_code_is_of_the_proto_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let messages = protox::compile([root.join("proto/cvmmap.proto")], [root.join("proto")]).unwrap();
    prost_build::Config::new().out_dir(folder.path()).compile_fds(messages).unwrap();
    let made = fs::read_to_string(folder.path().join("cvmmap.proto.rs")).unwrap();
    let kept = root.join("src/nats/proto_generated.rs");
    if env::var_os("REGENERATE").is_some() {
        fs::write(&kept, &made).unwrap();
    }
    assert_eq!(fs::read_to_string(kept).unwrap(), made, "run this test with REGENERATE=1");
}

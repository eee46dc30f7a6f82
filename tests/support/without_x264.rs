//! A machine without x264: GStreamer has OpenH264 for H.264 there.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

/// Has a program see no x264. What it needs for that is put into `directory`.
pub fn without_x264(directory: &Path, program: &mut Command) {
    gst::init().unwrap();
    let plugin = gst::Registry::get().find_plugin("coreelements").unwrap();
    let plugins = plugin.filename().unwrap().parent().unwrap().to_owned();
    let some = directory.join("plugins");
    fs::create_dir(&some).unwrap();
    for plugin in fs::read_dir(plugins).unwrap().map(Result::unwrap) {
        if plugin.file_name() != "libgstx264.so" {
            symlink(plugin.path(), some.join(plugin.file_name())).unwrap();
        }
    }
    program.env("GST_PLUGIN_SYSTEM_PATH_1_0", some).env("GST_REGISTRY_1_0", directory.join("registry"));
}

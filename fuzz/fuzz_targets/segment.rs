#![no_main]

#[path = "../checks.rs"]
mod checks;

use std::{cell::RefCell, process};

thread_local! {
    static SCENE: RefCell<checks::Scene> = RefCell::new(checks::Scene::new(&format!("cvmmap_fuzz_{}", process::id())));
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| SCENE.with_borrow_mut(|scene| scene.play(data)));

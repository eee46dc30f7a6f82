#![no_main]

#[path = "../checks.rs"]
mod checks;

use std::{cell::RefCell, process};

thread_local! {
    static ENDPOINT: RefCell<checks::Endpoint> =
        RefCell::new(checks::Endpoint::new(&format!("cvmmap_fuzz_{}", process::id())));
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| ENDPOINT.with_borrow_mut(|endpoint| endpoint.say(data)));

//! `picture_compare`.

fn main() {}

//! `cvmmap_streamer`: a cv-mmap producer's frames as RTP and RTMP.

fn main() {}

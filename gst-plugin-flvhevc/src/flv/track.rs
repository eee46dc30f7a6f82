//! A stream's decoder configuration: as its caps have it, and as readers know it from the last headers.

use super::{
    color::ColorInfo,
    metadata::{AudioInfo, VideoInfo},
};

#[derive(Clone, Debug, PartialEq)]
pub struct VideoConfig {
    pub info: VideoInfo,
    /// avcC or hvcC.
    pub record: Vec<u8>,
    pub nal_length_size: usize,
    /// Of pictures with high dynamic range alone.
    pub color: Option<ColorInfo>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AudioConfig {
    pub info: AudioInfo,
    pub audio_specific_config: Vec<u8>,
}

pub trait Config: Clone {
    /// Whether a reader who knows `other` can read this.
    fn reads_like(&self, other: &Self) -> bool;
}

impl Config for VideoConfig {
    fn reads_like(&self, other: &Self) -> bool {
        self.record == other.record && self.color == other.color
    }
}

impl Config for AudioConfig {
    fn reads_like(&self, other: &Self) -> bool {
        self.audio_specific_config == other.audio_specific_config
    }
}

#[derive(Debug)]
pub struct Track<C> {
    current: Option<C>,
    announced: Option<C>,
    has_news: bool,
}

impl<C> Default for Track<C> {
    fn default() -> Self {
        Self { current: None, announced: None, has_news: false }
    }
}

impl<C: Config> Track<C> {
    pub fn configure(&mut self, config: C) {
        self.has_news = self.announced.as_ref().is_none_or(|old| !config.reads_like(old));
        self.current = Some(config);
    }

    pub fn remove(&mut self) {
        self.current = None;
        self.has_news = false;
    }

    /// Readers have been told that it ended: they know nothing of it any more.
    pub fn end(&mut self) {
        self.announced = None;
        self.has_news = self.current.is_some();
    }

    pub fn current(&self) -> Option<&C> {
        self.current.as_ref()
    }

    pub fn announced(&self) -> Option<&C> {
        self.announced.as_ref()
    }

    /// Whether readers have to be told something before they can read what comes next.
    pub fn has_news(&self) -> bool {
        self.has_news
    }

    /// Readers have been told.
    pub fn announce(&mut self) {
        self.announced.clone_from(&self.current);
        self.has_news = false;
    }
}

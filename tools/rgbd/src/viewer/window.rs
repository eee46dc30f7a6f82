//! The window: picture and depth side by side, a slider below, and what else is known of the frame.

use std::time::{Duration, Instant};

use eframe::egui::{
    self, CentralPanel, Color32, ColorImage, ComboBox, Context, Key, Modifiers, Panel, Rect, Slider, TextureHandle,
    TextureOptions, Ui, Vec2,
};
use tools_cli::failure::Failure;
use tools_mcap::schema::foxglove::PoseInFrame;

use super::{
    bundle_table,
    clock::Clock,
    looker::{Looker, Seen, Wanted},
};
use crate::{
    palette::{Palette, Range},
    picture::Rgb,
    sample::{Sample, Sampler},
};

const SIZE: Vec2 = Vec2::new(1280.0, 640.0);
/// Frames of a large step.
const STRIDE: usize = 10;
/// A pane without a picture.
const MISSING: Color32 = Color32::from_gray(64);
/// Between the two panes, and what is left of the whole texture.
const GAP: f32 = 8.0;
const WHOLE: Rect = Rect { min: egui::pos2(0.0, 0.0), max: egui::pos2(1.0, 1.0) };

/// Shows a recording until the window is closed.
///
/// # Errors
/// [`Failure::Configuration`] when there is no window to be had.
pub fn open(sampler: Sampler, camera: usize, frame: usize, palette: Palette) -> Result<(), Failure> {
    let title = format!("{} - mcap_rgbd_viewer", sampler.recording.path().display());
    let viewport = egui::ViewportBuilder::default().with_inner_size(SIZE).with_title(&title);
    let options = eframe::NativeOptions { viewport, ..Default::default() };
    let make: eframe::AppCreator<'_> = Box::new(move |creation| {
        Ok(Box::new(Window::new(sampler, Wanted { camera, frame, palette }, &creation.egui_ctx)))
    });
    eframe::run_native("mcap_rgbd_viewer", options, make).map_err(|error| {
        Failure::Configuration(format!(
            "no window can be opened ({error}); --summary-only and --export-preview need none"
        ))
    })
}

/// A camera, and when its frames are.
struct Reel {
    label: String,
    times: Vec<u64>,
}

struct Window {
    reels: Vec<Reel>,
    /// Whether cameras have their frames together.
    is_bundled: bool,
    looker: Looker,
    clock: Clock,
    wanted: Wanted,
    asked: Option<Wanted>,
    shown: Option<Shown>,
}

/// What is on the screen.
struct Shown {
    seen: Seen,
    picture: Option<TextureHandle>,
    depth: Option<TextureHandle>,
}

impl Window {
    fn new(sampler: Sampler, wanted: Wanted, context: &Context) -> Self {
        let recording = &sampler.recording;
        let reels = recording.cameras.iter().map(|camera| {
            let places = recording.frames_of(camera).places();
            Reel { label: camera.label.clone(), times: places.iter().map(|place| place.time).collect() }
        });
        let (reels, is_bundled) = (reels.collect(), !recording.bundles.places().is_empty());
        let repaint = context.clone();
        let looker = Looker::start(sampler, move || repaint.request_repaint());
        Self { reels, is_bundled, looker, clock: Clock::default(), wanted, asked: None, shown: None }
    }

    fn times(&self) -> &[u64] {
        &self.reels[self.wanted.camera].times
    }

    fn last(&self) -> usize {
        self.times().len() - 1
    }

    /// Shows a frame and plays on from there, if it plays.
    fn go(&mut self, frame: usize) {
        self.wanted.frame = frame.min(self.last());
        if self.clock.is_playing() {
            self.clock.play(Instant::now(), &self.reels[self.wanted.camera].times, self.wanted.frame);
        }
    }

    fn play_or_stop(&mut self) {
        if self.clock.is_playing() {
            self.clock.stop();
            return;
        }
        if self.wanted.frame == self.last() {
            self.wanted.frame = 0;
        }
        self.clock.play(Instant::now(), &self.reels[self.wanted.camera].times, self.wanted.frame);
    }

    /// Shows another camera at the same time.
    fn choose(&mut self, camera: usize) {
        let time = self.times()[self.wanted.frame];
        self.wanted.camera = camera;
        let frame = if self.is_bundled {
            self.wanted.frame
        } else {
            let times = self.times().iter().enumerate();
            times.min_by_key(|(_, other)| other.abs_diff(time)).map_or(0, |(frame, _)| frame)
        };
        self.go(frame);
    }

    fn keys(&mut self, context: &Context) {
        let pressed = |modifiers, key| context.input_mut(|input| input.count_and_consume_key(modifiers, key));
        let frame = self.wanted.frame;
        // With Shift first: without, a key is taken with any.
        for (modifiers, step) in [(Modifiers::SHIFT, STRIDE), (Modifiers::NONE, 1)] {
            let back = pressed(modifiers, Key::ArrowLeft) * step;
            let forth = pressed(modifiers, Key::ArrowRight) * step;
            if back + forth > 0 {
                self.go((frame + forth).saturating_sub(back));
            }
        }
        if pressed(Modifiers::NONE, Key::Home) > 0 {
            self.go(0);
        }
        if pressed(Modifiers::NONE, Key::End) > 0 {
            self.go(self.last());
        }
        if pressed(Modifiers::NONE, Key::Space) % 2 == 1 {
            self.play_or_stop();
        }
        let cameras = self.reels.len();
        let down = pressed(Modifiers::NONE, Key::ArrowDown);
        let up = pressed(Modifiers::NONE, Key::ArrowUp);
        if up + down > 0 {
            self.choose((self.wanted.camera + down + up * (cameras - 1)) % cameras);
        }
        let palettes = pressed(Modifiers::NONE, Key::P);
        let place = Palette::ALL.iter().position(|palette| *palette == self.wanted.palette).unwrap_or(0);
        self.wanted.palette = Palette::ALL[(place + palettes) % Palette::ALL.len()];
    }

    /// Takes what the looker has, and asks for what is missing.
    fn look(&mut self, context: &Context) {
        if let Some(seen) = self.looker.take() {
            let picture = seen.sample.as_ref().ok().and_then(|sample| sample.picture.as_ref());
            let picture = picture.map(|picture| texture(context, "picture", picture));
            let depth = seen.depth.as_ref().map(|(depth, _)| texture(context, "depth", depth));
            self.shown = Some(Shown { seen, picture, depth });
        }
        if self.asked != Some(self.wanted) {
            self.looker.ask(self.wanted);
            self.asked = Some(self.wanted);
        }
    }

    fn choices(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            let mut camera = self.wanted.camera;
            ComboBox::from_label("camera").selected_text(self.reels[camera].label.as_str()).show_ui(ui, |ui| {
                for (number, reel) in self.reels.iter().enumerate() {
                    ui.selectable_value(&mut camera, number, reel.label.as_str());
                }
            });
            if camera != self.wanted.camera {
                self.choose(camera);
            }
            let palette = &mut self.wanted.palette;
            ComboBox::from_label("palette").selected_text(format!("{palette:?}")).show_ui(ui, |ui| {
                for choice in Palette::ALL {
                    ui.selectable_value(palette, choice, format!("{choice:?}"));
                }
            });
        });
    }

    fn transport(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            if ui.button(if self.clock.is_playing() { "Pause" } else { "Play" }).clicked() {
                self.play_or_stop();
            }
            let (mut frame, last) = (self.wanted.frame, self.last());
            ui.spacing_mut().slider_width = (ui.available_width() - 320.0).max(100.0);
            if ui.add(Slider::new(&mut frame, 0..=last)).changed() {
                self.go(frame);
            }
            let (first, now) = (self.times()[0], self.times()[self.wanted.frame]);
            ui.monospace(format!("of {last}, {:.3} s", (i128::from(now) - i128::from(first)) as f64 / 1e9));
        });
    }

    fn facts(&self, ui: &mut Ui) {
        let Some(Shown { seen, .. }) = &self.shown else { return };
        match &seen.sample {
            Err(why) => {
                ui.colored_label(Color32::LIGHT_RED, why);
            }
            Ok(Sample { timestamp_ns, bundle, pose, notes, .. }) => {
                ui.monospace(format!("{} at {timestamp_ns} ns", self.reels[seen.wanted.camera].label));
                for note in notes {
                    ui.colored_label(Color32::LIGHT_RED, note);
                }
                if let Some(pose) = pose {
                    ui.monospace(told(pose));
                }
                if let Some(bundle) = bundle {
                    bundle_table::show(ui, bundle, &self.reels[seen.wanted.camera].label);
                }
            }
        }
    }

    fn panes(&self, ui: &mut Ui) {
        let Some(Shown { seen, picture, depth }) = &self.shown else {
            ui.centered_and_justified(|ui| ui.spinner());
            return;
        };
        let caption = match &seen.depth {
            Some((depth, Some(Range { near, far }))) => {
                format!("depth {}x{}, {near:.3} m (near) to {far:.3} m (far)", depth.width, depth.height)
            }
            Some((depth, None)) => format!("depth {}x{}, nothing measured", depth.width, depth.height),
            None => "no depth".to_owned(),
        };
        let sample = seen.sample.as_ref().ok().and_then(|sample| sample.picture.as_ref());
        let named = sample.map_or("no picture".to_owned(), |it| format!("picture {}x{}", it.width, it.height));
        ui.columns(2, |columns| {
            columns[0].monospace(named);
            columns[1].monospace(caption);
        });
        let area = ui.available_rect_before_wrap();
        let half = Vec2::new((area.width() - GAP) / 2.0, area.height());
        // The depth lies over the picture, whatever its size is.
        let size = picture.as_ref().or(depth.as_ref()).map_or(half, TextureHandle::size_vec2);
        let size = size * (half.x / size.x).min(half.y / size.y);
        for (left, texture) in [(area.left(), picture), (area.left() + half.x + GAP, depth)] {
            let pane = Rect::from_min_size(egui::pos2(left, area.top()), size);
            if let Some(texture) = texture {
                ui.painter().image(texture.id(), pane, WHOLE, Color32::WHITE);
            } else {
                ui.painter().rect_filled(pane, 0.0, MISSING);
            }
        }
    }
}

impl eframe::App for Window {
    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let context = ui.ctx().clone();
        self.keys(&context);
        let now = Instant::now();
        self.wanted.frame = self.clock.tick(now, &self.reels[self.wanted.camera].times, self.wanted.frame);
        self.look(&context);
        Panel::top("choices").show(ui, |ui| self.choices(ui));
        Panel::bottom("facts").show(ui, |ui| {
            self.transport(ui);
            self.facts(ui);
        });
        CentralPanel::default().show(ui, |ui| self.panes(ui));
        if let Some(patience) = self.clock.patience(now) {
            context.request_repaint_after(patience);
        } else if self.asked != Some(self.wanted) {
            context.request_repaint_after(Duration::ZERO);
        }
    }
}

fn texture(context: &Context, name: &str, picture: &Rgb) -> TextureHandle {
    let most = context.input(|input| input.max_texture_side);
    let larger = picture.width.max(picture.height);
    let small;
    let picture = if larger > most {
        small = picture.scaled((picture.width * most / larger).max(1), (picture.height * most / larger).max(1));
        &small
    } else {
        picture
    };
    let image = ColorImage::from_rgb([picture.width, picture.height], &picture.pixels);
    context.load_texture(name, image, TextureOptions::LINEAR)
}

fn told(pose: &PoseInFrame) -> String {
    let place = pose.pose.unwrap_or_default();
    let (at, turn) = (place.position.unwrap_or_default(), place.orientation.unwrap_or_default());
    format!(
        "pose in '{}': x {:.3} y {:.3} z {:.3}, orientation x {:.4} y {:.4} z {:.4} w {:.4}",
        pose.frame_id, at.x, at.y, at.z, turn.x, turn.y, turn.z, turn.w
    )
}

//! What a bundle says of its members.

use eframe::egui::{Grid, RichText, Ui};
use tools_mcap::schema::{
    cvmmap_streamer::{BundleManifest, bundle_manifest::member::Status},
    nanoseconds,
};

/// A row for each member; the chosen camera's is strong.
pub fn show(ui: &mut Ui, bundle: &BundleManifest, chosen: &str) {
    let time = |timestamp: &Option<prost_types::Timestamp>| timestamp.as_ref().and_then(nanoseconds);
    let of_bundle = time(&bundle.timestamp);
    ui.label(format!(
        "bundle {} ({}) at {} ns",
        bundle.index,
        bundle.policy().as_str_name().to_lowercase(),
        of_bundle.unwrap_or_default()
    ));
    Grid::new("bundle").striped(true).num_columns(5).spacing([24.0, 2.0]).show(ui, |ui| {
        for title in ["member", "status", "timestamp (ns)", "skew (ms)", "skipped"] {
            ui.weak(title);
        }
        ui.end_row();
        for member in &bundle.members {
            let status = match member.status() {
                Status::Present => "present",
                Status::CorruptedGap => "corrupted gap",
                Status::Unknown => "unknown",
            };
            let at = time(&member.timestamp).filter(|_| member.status() == Status::Present);
            let skew = at.zip(of_bundle).map(|(at, of_bundle)| (i128::from(at) - i128::from(of_bundle)) as f64 / 1e6);
            let cells = [
                member.label.clone(),
                status.to_owned(),
                at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
                skew.map_or_else(|| "-".to_owned(), |skew| format!("{skew:+.3}")),
                member.skipped_frames.to_string(),
            ];
            for cell in cells {
                let text = RichText::new(cell).monospace();
                ui.label(if member.label == chosen { text.strong() } else { text });
            }
            ui.end_row();
        }
    });
}

//! What the three programs are told of the list, and of how to work through it.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::queue_url::QueueUrl;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressUi {
    /// A row for each worker
    Table,
    /// A line for what begins and ends, and one now and then
    Text,
}

#[derive(Args, Clone, Debug)]
pub struct Batch {
    #[command(flatten)]
    pub list: List,
    #[command(flatten)]
    pub existing: Existing,
    #[command(flatten)]
    pub workers: Workers,
    #[command(flatten)]
    pub queue: Queue,

    /// How progress is shown [default: table on a terminal, else text]
    #[arg(long, value_enum, help_heading = "Progress")]
    pub progress_ui: Option<ProgressUi>,
    /// A line of text tells how far it is every so many seconds
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds, help_heading = "Progress")]
    pub heartbeat_seconds: Duration,
    /// Print the summary as JSON
    #[arg(long, help_heading = "Progress")]
    pub json: bool,
}

/// What is to be converted. Given several, in this order; each once.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "List")]
pub struct List {
    /// Directory to look through
    #[arg(value_name = "DATASET_ROOT")]
    pub roots: Vec<PathBuf>,
    /// Directory to look through
    #[arg(long, value_name = "DIR")]
    pub dataset_root: Vec<PathBuf>,
    /// One segment: a directory with recordings; again for each further one
    #[arg(long, value_name = "DIR")]
    pub segment: Vec<PathBuf>,
    /// CSV file with a column segment_dir
    #[arg(long, value_name = "FILE")]
    pub segments_csv: Option<PathBuf>,
    /// What relative paths of the CSV file are relative to [default: its directory]
    #[arg(long, value_name = "DIR", requires = "segments_csv")]
    pub csv_root: Option<PathBuf>,
    /// Names to look for: of recordings, or of segments' directories; with a slash, of whole paths below the root
    /// [default: *.svo2, or every segment]
    #[arg(long, value_name = "GLOB")]
    pub pattern: Option<String>,
    /// Look through directories below as well, which is the default
    #[arg(long, overrides_with = "no_recursive")]
    pub recursive: bool,
    /// Look at no directories below
    #[arg(long, overrides_with = "recursive")]
    pub no_recursive: bool,
}

#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Existing outputs")]
pub struct Existing {
    /// Replace outputs that are there already
    #[arg(long)]
    pub overwrite: bool,
    /// Look whether outputs that are there are whole; those that are not are made again
    #[arg(long)]
    pub probe_existing: bool,
    /// Only look at the outputs that are there, and name those that are not whole
    #[arg(long, conflicts_with_all = ["overwrite", "dry_run", "queue"])]
    pub report_existing: bool,
    /// Only tell what would be done
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Workers")]
pub struct Workers {
    /// Conversions at a time [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64),
          conflicts_with_all = ["hardware_jobs", "software_jobs"])]
    pub jobs: Option<u8>,
    /// CUDA_VISIBLE_DEVICES of the workers, dealt to them in turn
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = device)]
    pub cuda_visible_devices: Vec<String>,
    /// Workers whose encoder is --encoder-device
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=64))]
    pub hardware_jobs: Option<u8>,
    /// CUDA_VISIBLE_DEVICES of those [default: --cuda-visible-devices]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = device, requires = "hardware_jobs")]
    pub hardware_cuda_visible_devices: Vec<String>,
    /// Workers that encode in software
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=64))]
    pub software_jobs: Option<u8>,
    /// CUDA_VISIBLE_DEVICES of those, for depth [default: --cuda-visible-devices]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = device, requires = "software_jobs")]
    pub software_cuda_visible_devices: Vec<String>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Queue of several machines")]
pub struct Queue {
    /// Work queue on a NATS server with JetStream: nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT][/NAME]. Credentials and
    /// certificates also by NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CREDS, NATS_CA, NATS_CERT, NATS_KEY
    #[arg(long, value_name = "URL")]
    pub queue: Option<QueueUrl>,
    /// Work without a list of one's own, until the queue is empty
    #[arg(long, requires = "queue")]
    pub queue_worker: bool,
    /// Wait for further jobs when the queue is empty
    #[arg(long, requires = "queue")]
    pub queue_wait: bool,
    /// A worker that has been silent for so long is dead, and another one takes its job; whoever makes the queue decides
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds, requires = "queue")]
    pub queue_takeover_seconds: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("give a whole number of seconds from 1 to 86400".to_owned()),
    }
}

fn device(text: &str) -> Result<String, String> {
    let named = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '/'));
    if named { Ok(text.to_owned()) } else { Err("give numbers or UUIDs of devices, with commas between".to_owned()) }
}

//! The command line of `mcap_replay`.

use std::path::PathBuf;

use clap::Parser;
use cvmmap::{Address, Permissions, Target};
use tools_cli::{command_line::VERSION, failure::Failure, nats::NatsArgs};
use tools_mcap::writer::Topics;

const EXAMPLES: &str = "\
Examples:
  Be the camera that was recorded:
    mcap_replay day.mcap --uri cvmmap://zed1
  The same at half the speed, over and over:
    mcap_replay day.mcap --uri cvmmap://zed1 --speed 0.5 --loop
  Elsewhere in it, while it runs:
    cvmmap_ctl seek cvmmap://zed1 1790000000000000000

Exit codes: 0 success, 1 wrong arguments, 2 a file or name that cannot be used,
5 a decoder is missing, 7 the file is damaged or holds no such video.";

/// Publishes a recording as a cv-mmap producer.
///
/// Frames come in the time they were recorded in, with their own timestamps: the access units as they are, their decoded
/// pictures, and depth. Over NATS come bodies and status, and a finished recording can be sought in.
#[derive(Clone, Debug, Parser)]
#[command(name = "mcap_replay", version = VERSION, after_help = EXAMPLES)]
pub struct Args {
    /// The recording; an unfinished one is read as far as it goes
    pub file: PathBuf,
    /// Producer to be: cvmmap://NAME[@/PREFIX][?namespace=NS], or NAME
    #[arg(long, value_name = "URI")]
    pub uri: Option<String>,
    /// POSIX shared memory segment, with --zmq-endpoint in place of --uri
    #[arg(long, value_name = "NAME", requires = "zmq_endpoint", conflicts_with = "uri")]
    pub shm_name: Option<String>,
    /// ZeroMQ PUB endpoint of the frame sync
    #[arg(long, value_name = "URI", requires = "shm_name")]
    pub zmq_endpoint: Option<String>,
    /// Label of the producer, with --shm-name
    #[arg(long, value_name = "LABEL", default_value = "replay")]
    pub label: String,
    /// Who may read the frames: mode of the segment, octal, whatever the umask; whoever may read it may connect to the socket
    /// [default: 0644, less the umask]
    #[arg(long, value_name = "MODE")]
    pub perms: Option<Permissions>,
    /// Start over at the end, until stopped
    #[arg(long = "loop")]
    pub repeat: bool,
    /// So many times as fast as it was recorded
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub speed: f64,
    /// Camera of the recording: its topics are /LABEL/video and so on
    #[arg(long, alias = "camera", value_name = "LABEL", default_value = "camera")]
    pub camera_label: String,
    /// Topic of the video, where it is another
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Topic of the depth, where it is another
    #[arg(long, value_name = "TOPIC")]
    pub depth_topic: Option<String>,
    /// Topic of the body-tracking packets, where it is another
    #[arg(long, value_name = "TOPIC")]
    pub body_topic: Option<String>,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub nats: NatsArgs,
}

impl Args {
    /// Where consumers look.
    ///
    /// # Errors
    /// [`Failure::Usage`] for names that are none.
    pub fn address(&self) -> Result<Address, Failure> {
        match (&self.uri, &self.shm_name, &self.zmq_endpoint) {
            (Some(uri), ..) => {
                let target = uri.parse::<Target>().map_err(|error| Failure::Usage(format!("--uri: {error}")))?;
                Ok(Address::from(&target))
            }
            (None, Some(shm_name), Some(endpoint)) => Address::new(shm_name, endpoint, Some(&self.label))
                .map_err(|error| Failure::Usage(format!("the producer's address: {error}"))),
            _ => Err(Failure::Usage("a name is missing: give --uri, or --shm-name with --zmq-endpoint".to_owned())),
        }
    }

    /// What to read of the file.
    pub fn topics(&self) -> Topics {
        let mut topics = Topics::of(&self.camera_label);
        let given = [
            (&self.topic, &mut topics.video),
            (&self.depth_topic, &mut topics.depth),
            (&self.body_topic, &mut topics.body),
        ];
        for (given, topic) in given {
            if let Some(given) = given {
                topic.clone_from(given);
            }
        }
        topics
    }

    /// How fast.
    ///
    /// # Errors
    /// [`Failure::Usage`] for no speed at all.
    pub fn speed(&self) -> Result<f64, Failure> {
        if (0.001..=1000.0).contains(&self.speed) {
            Ok(self.speed)
        } else {
            Err(Failure::Usage("--speed must be 0.001 to 1000".to_owned()))
        }
    }
}

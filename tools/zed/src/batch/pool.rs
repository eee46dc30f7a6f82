//! Who works: with which encoder, and on which devices.

use tools_cli::failure::Failure;
use tools_media::encoders::Device;

use super::args;
use crate::batch::programs::name;

/// One conversion at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    pub device: Device,
    /// Its converters' `CUDA_VISIBLE_DEVICES`; none is the batch's own.
    pub cuda: Option<String>,
}

impl std::fmt::Display for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "encoder {}", name(self.device))?;
        match &self.cuda {
            Some(cuda) => write!(f, ", CUDA {cuda}"),
            None => Ok(()),
        }
    }
}

/// The workers that are asked for; `device` is what the encoder's device was told to be.
///
/// # Errors
/// [`Failure::Usage`] for what contradicts itself.
pub fn workers(args: &args::Workers, device: Device) -> Result<Vec<Worker>, Failure> {
    let (hardware, software) = match (args.hardware_jobs, args.software_jobs) {
        (None, None) => (args.jobs.unwrap_or(1), 0),
        (hardware, software) => (hardware.unwrap_or(0), software.unwrap_or(0)),
    };
    if hardware + software == 0 {
        return Err(Failure::Usage("give a --hardware-jobs or --software-jobs above 0".to_owned()));
    }
    if args.hardware_jobs.is_some_and(|jobs| jobs > 0) && device == Device::Software {
        return Err(Failure::Usage(
            "--hardware-jobs contradicts --encoder-device software; give --software-jobs alone".to_owned(),
        ));
    }
    let deal = |jobs: u8, own: &[String], device| {
        let list = if own.is_empty() { &args.cuda_visible_devices } else { own }.to_owned();
        let worker = move |at| Worker { device, cuda: list.get(usize::from(at) % list.len().max(1)).cloned() };
        (0..jobs).map(worker)
    };
    Ok(deal(hardware, &args.hardware_cuda_visible_devices, device)
        .chain(deal(software, &args.software_cuda_visible_devices, Device::Software))
        .collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        workers: args::Workers,
    }

    fn dealt(line: &str, device: Device) -> Result<Vec<(Device, Option<String>)>, Failure> {
        let words = std::iter::once("test").chain(line.split_whitespace());
        let args = Line::try_parse_from(words).map_err(|error| Failure::Usage(error.to_string()))?.workers;
        Ok(workers(&args, device)?.into_iter().map(|worker| (worker.device, worker.cuda)).collect())
    }

    #[test]
    fn devices_are_dealt_in_turn() {
        let on = |device, cuda: &str| (device, Some(cuda.to_owned()));
        assert_eq!(dealt("", Device::Auto).unwrap(), [(Device::Auto, None)]);
        assert_eq!(
            dealt("--jobs 3 --cuda-visible-devices 0,GPU-9cc7b26e", Device::Nvidia).unwrap(),
            [on(Device::Nvidia, "0"), on(Device::Nvidia, "GPU-9cc7b26e"), on(Device::Nvidia, "0")]
        );
        let mixed = "--hardware-jobs 2 --hardware-cuda-visible-devices 0,1 --software-jobs 3 \
                     --software-cuda-visible-devices 1,2";
        assert_eq!(
            dealt(mixed, Device::Auto).unwrap(),
            [
                on(Device::Auto, "0"),
                on(Device::Auto, "1"),
                on(Device::Software, "1"),
                on(Device::Software, "2"),
                on(Device::Software, "1")
            ]
        );
        assert_eq!(
            dealt("--software-jobs 1 --cuda-visible-devices 3", Device::Auto).unwrap(),
            [on(Device::Software, "3")]
        );
    }

    #[test]
    fn contradictions_are_refused() {
        for (line, device) in [
            ("--hardware-jobs 0 --software-jobs 0", Device::Auto),
            ("--hardware-jobs 1 --software-jobs 1", Device::Software),
            ("--jobs 2 --software-jobs 1", Device::Auto),
            ("--jobs 0", Device::Auto),
            ("--cuda-visible-devices 0,,1", Device::Auto),
            ("--hardware-cuda-visible-devices 0", Device::Auto),
        ] {
            assert!(dealt(line, device).is_err(), "{line}");
        }
    }
}

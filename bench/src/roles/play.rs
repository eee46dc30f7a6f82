//! A producer that shows a clip, with its own access units beside the pictures or without.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args as ClapArgs;
use cvmmap::{Abi, Address, Publisher, Target};

use super::{
    prepare::{PICTURES, UNITS},
    produce::{image, publish_until_end},
};
use crate::{clip::Clip, picture::Picture, units};

#[derive(ClapArgs)]
pub struct Args {
    #[arg(long)]
    uri: Target,
    #[command(flatten)]
    picture: Picture,
    /// Where `prepare` has put its files
    #[arg(long)]
    folder: PathBuf,
    /// Publishes access units as well
    #[arg(long)]
    encoded: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let picture = args.picture;
    let clip = Clip::open(&args.folder.join(PICTURES), picture.size())?;
    let units = if args.encoded { units::open(&args.folder.join(UNITS))? } else { Vec::new() };
    let mut publisher = Publisher::create(&Address::from(&args.uri), Abi::V2 { minor: 1 })?;
    let mut turn = 0;
    publish_until_end(
        picture.fps,
        Box::new(move || {
            let unit = (!units.is_empty()).then(|| &units[turn % units.len()]);
            units::publish(&mut publisher, image(&picture, clip.picture(turn)), unit)?;
            turn += 1;
            Ok(())
        }),
    )
}

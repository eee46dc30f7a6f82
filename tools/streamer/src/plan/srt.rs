//! `--srt-url`.

use tools_cli::{failure::Failure, typed_url};

use super::wrong::{twice, usage};
use crate::{options::OutputArgs, srt_url::SrtUrl};

/// SRT output.
#[derive(Clone, Debug)]
pub struct Srt {
    /// Where, and how.
    pub url: SrtUrl,
}

pub(super) fn outputs(args: &OutputArgs) -> Result<Vec<Srt>, Failure> {
    let parse = |text: &String| {
        SrtUrl::parse(text).map_err(|why| usage(format!("--srt-url '{}' {why}", typed_url::shown(text))))
    };
    let urls = args.srt_url.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let places = urls.iter().map(|url| (url.mode, url.address, url.reveal_stream_id())).collect::<Vec<_>>();
    if let Some((_, address, _)) = twice(&places) {
        return Err(usage(format!("--srt-url for {address} is given twice")));
    }
    Ok(urls.into_iter().map(|url| Srt { url }).collect())
}

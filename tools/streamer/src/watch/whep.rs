//! WHEP: a viewer offers, is answered, tells more addresses, and leaves. Source: draft-ietf-wish-whep-03.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{patch, post},
};

use super::{
    body,
    cameras::Cameras,
    refusal::{Refused, refuse},
};
use crate::outlet::Refusal;

/// Largest offer: a browser's have 10 KiB.
const OFFER_MAX: usize = 64 << 10;
/// Addresses in one message; a browser has a few.
const CANDIDATES_MAX: usize = 32;

/// `/whep/CAMERA` and the sessions below it.
pub fn routes() -> Router<Arc<Cameras>> {
    Router::new()
        .route("/whep/{camera}", post(offer))
        .route("/whep/{camera}/{session}", patch(add_candidates).delete(leave))
}

async fn offer(
    State(cameras): State<Arc<Cameras>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let camera = cameras.known(&name)?;
    let sdp = body::text(&headers, body, "application/sdp", OFFER_MAX).await?;
    let answer = camera.signalling.offer(sdp).await.map_err(refused)?;
    let place = format!("/whep/{name}/{}", answer.session);
    let headers = [
        (header::CONTENT_TYPE, "application/sdp".to_owned()),
        (header::LOCATION, place),
        (header::HeaderName::from_static("accept-patch"), "application/trickle-ice-sdpfrag".to_owned()),
        (header::ETAG, format!("\"{}\"", answer.session)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, answer.sdp).into_response())
}

async fn add_candidates(
    State(cameras): State<Arc<Cameras>>,
    Path((name, session)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refused> {
    let camera = cameras.known(&name)?;
    let fragment = body::text(&headers, body, "application/trickle-ice-sdpfrag", OFFER_MAX).await?;
    let candidates = fragment.lines().filter_map(|line| line.trim_end().strip_prefix("a="));
    let candidates = candidates.filter(|line| line.starts_with("candidate:")).map(str::to_owned);
    let candidates = candidates.take(CANDIDATES_MAX).collect();
    match camera.signalling.add_candidates(session, candidates).await.map_err(refused)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_session()),
    }
}

async fn leave(
    State(cameras): State<Arc<Cameras>>,
    Path((name, session)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    let camera = cameras.known(&name)?;
    match camera.signalling.leave(session).await.map_err(refused)? {
        true => Ok(StatusCode::OK),
        false => Err(no_session()),
    }
}

fn refused(why: Refusal) -> Refused {
    let status = match why {
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        Refusal::NoCodec(_) => StatusCode::NOT_ACCEPTABLE,
        Refusal::Reordered => StatusCode::CONFLICT,
        Refusal::Full(_) | Refusal::NoStream => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::TooFast => StatusCode::TOO_MANY_REQUESTS,
    };
    refuse(status, why.to_string())
}

fn no_session() -> Refused {
    refuse(StatusCode::NOT_FOUND, "there is no such session, or no more".to_owned())
}

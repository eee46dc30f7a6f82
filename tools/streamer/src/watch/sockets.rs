//! WebSockets: depth, bodies and what the streamer counts. Each sends the newest, at the pace of its client.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{
        Path, RawQuery, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::Response,
    routing::get,
};
use tokio::sync::{broadcast, watch};

use super::{
    camera::Text,
    cameras::Cameras,
    refusal::{Refused, refuse},
};

/// Clients have nothing to say.
const MESSAGE_MAX: usize = 1024;
/// A client that takes nothing for so long is let go.
const SEND_MAX: Duration = Duration::from_secs(10);
/// Fastest rate that anybody means.
const FPS_MAX: f64 = 1000.0;

/// `/depth/CAMERA`, `/bodies/CAMERA` and `/events`.
pub fn routes() -> Router<Arc<Cameras>> {
    Router::new()
        .route("/depth/{camera}", get(depth))
        .route("/bodies/{camera}", get(bodies))
        .route("/events", get(events))
}

async fn depth(
    State(cameras): State<Arc<Cameras>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let camera = cameras.known(&name)?;
    let Some(spacing) = spacing(query.as_deref().unwrap_or_default()) else {
        return Err(refuse(StatusCode::BAD_REQUEST, format!("?fps=N has to be more than 0, and {FPS_MAX} at most")));
    };
    let Some(mut watching) = camera.depth.watch() else {
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "enough watch this depth already"));
    };
    Ok(limited(upgrade).on_upgrade(move |mut socket| async move {
        let mut due = Instant::now();
        loop {
            if !changed(&mut watching.frames, &mut socket, due).await {
                return;
            }
            let Some(frame) = watching.frames.borrow_and_update().clone() else {
                continue;
            };
            // From the time that it was due, so that a rate is kept on average.
            due = (due + spacing).max(Instant::now().checked_sub(spacing).unwrap_or(due));
            if !send(&mut socket, Message::Binary(Bytes::copy_from_slice(&frame))).await {
                return;
            }
        }
    }))
}

async fn bodies(
    State(cameras): State<Arc<Cameras>>,
    Path(name): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refused> {
    let camera = cameras.known(&name)?;
    let bodies = camera.bodies();
    Ok(limited(upgrade).on_upgrade(|socket| send_texts(socket, bodies)))
}

async fn events(State(cameras): State<Arc<Cameras>>, upgrade: WebSocketUpgrade) -> Response {
    let (last, mut news) = cameras.news();
    limited(upgrade).on_upgrade(|mut socket| async move {
        for text in last {
            if !send(&mut socket, Message::Text(text.as_ref().into())).await {
                return;
            }
        }
        loop {
            let text = tokio::select! {
                text = news.recv() => text,
                alive = heard(&mut socket) => match alive {
                    true => continue,
                    false => return,
                },
            };
            match text {
                Ok(text) if send(&mut socket, Message::Text(text.as_ref().into())).await => {}
                // A slow client goes on with what is newer.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                _ => return,
            }
        }
    })
}

fn limited(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX)
}

async fn send_texts(mut socket: WebSocket, mut texts: watch::Receiver<Option<Text>>) {
    loop {
        if !changed(&mut texts, &mut socket, Instant::now()).await {
            return;
        }
        let text = texts.borrow_and_update().clone();
        if let Some(text) = text
            && !send(&mut socket, Message::Text(text.as_ref().into())).await
        {
            return;
        }
    }
}

/// Waits for something new, until `due` at least. False when the client or what it watches is gone.
async fn changed<T>(news: &mut watch::Receiver<T>, socket: &mut WebSocket, due: Instant) -> bool {
    let next = async {
        tokio::time::sleep_until(due.into()).await;
        news.changed().await.is_ok()
    };
    tokio::pin!(next);
    loop {
        tokio::select! {
            is_there = &mut next => return is_there,
            is_there = heard(socket) => if !is_there {
                return false;
            },
        }
    }
}

/// Waits for a client to say something. False when it is gone.
async fn heard(socket: &mut WebSocket) -> bool {
    let said = socket.recv().await;
    matches!(said, Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Text(_) | Message::Binary(_))))
}

async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(tokio::time::timeout(SEND_MAX, socket.send(message)).await, Ok(Ok(())))
}

/// Time between frames that `?fps=N` asks for. `None` for a rate that is none.
fn spacing(query: &str) -> Option<Duration> {
    let Some(fps) = query.split('&').find_map(|pair| pair.strip_prefix("fps=")) else {
        return Some(Duration::ZERO);
    };
    let fps = fps.parse::<f64>().ok().filter(|fps| *fps > 0.0 && *fps <= FPS_MAX)?;
    Duration::try_from_secs_f64(1.0 / fps).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_checked() {
        assert_eq!(spacing(""), Some(Duration::ZERO));
        assert_eq!(spacing("a=b&fps=10"), Some(Duration::from_millis(100)));
        assert_eq!(spacing("fps=0.5"), Some(Duration::from_secs(2)));
        for query in ["fps=", "fps=0", "fps=-1", "fps=NaN", "fps=inf", "fps=1e9", "fps=1e-300", "fps=x"] {
            assert_eq!(spacing(query), None, "{query}");
        }
    }
}

//! Who may ask: whoever shows the token, where there is one, and no page of a foreign host.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq as _;
use tools_cli::nats::SecretText;

/// The cookie that a browser gets for the token.
const COOKIE: &str = "cvmmap_session";

/// Decides who may ask.
#[derive(Debug)]
pub struct Guard {
    token: Option<SecretText>,
    /// What a browser shows in place of the token, as long as this server runs.
    session: String,
    /// Whether nobody but this machine can reach the server.
    is_local: bool,
    is_https: bool,
}

impl Guard {
    /// Asks for `token`, where there is one.
    pub fn new(token: Option<SecretText>, is_local: bool, is_https: bool) -> Self {
        let mut random = [0; 32];
        // There is randomness since Linux 3.17; without it no cookie is ever right.
        let got = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
        let session = match got {
            Ok(32) => random.iter().map(|byte| format!("{byte:02x}")).collect(),
            _ => String::new(),
        };
        Self { token, session, is_local, is_https }
    }

    /// A page of a foreign host cannot ask in this machine's name: its name may lead here, but is not this machine's. Nor may
    /// it open a WebSocket, for which browsers ask nobody's leave.
    fn is_welcome(&self, headers: &HeaderMap) -> bool {
        let Some(host) = text(headers, header::HOST) else {
            return false;
        };
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let is_here = matches!(name.map_or(host, |(name, _)| name), "localhost" | "127.0.0.1" | "[::1]");
        let scheme = if self.is_https { "https://" } else { "http://" };
        let is_own = !headers.contains_key(header::ORIGIN)
            || text(headers, header::ORIGIN).and_then(|origin| origin.strip_prefix(scheme)) == Some(host);
        (is_here || !self.is_local) && is_own
    }

    /// What is shown, against what has to be.
    fn may(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let bearer = text(headers, header::AUTHORIZATION).and_then(|shown| shown.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let by_token = bearer.is_some_and(|(_, shown)| is_same(shown.trim(), token.reveal()));
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let by_cookie = cookies.any(|(name, shown)| name == COOKIE && is_same(shown, &self.session));
        by_token || (by_cookie && !self.session.is_empty())
    }

    /// Takes the token from the address of a page, where a person can put it, and gives a cookie for it.
    fn exchange(&self, request: &Request) -> Option<Response> {
        let token = self.token.as_ref()?;
        let pairs = request.uri().query()?.split('&');
        let shown = pairs.clone().find_map(|pair| pair.strip_prefix("token="))?;
        if request.method() != Method::GET || !is_same(shown, token.reveal()) || self.session.is_empty() {
            return None;
        }
        let rest = pairs.filter(|pair| !pair.starts_with("token=")).collect::<Vec<_>>().join("&");
        let mark = if rest.is_empty() { "" } else { "?" };
        // Two slashes at the beginning would name a host.
        let path = format!("/{}{mark}{rest}", request.uri().path().trim_start_matches('/'));
        let secure = if self.is_https { "; Secure" } else { "" };
        let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict{secure}", self.session);
        let headers = [
            (header::LOCATION, path),
            (header::SET_COOKIE, cookie),
            (header::CACHE_CONTROL, "no-store".to_owned()),
            (header::REFERRER_POLICY, "no-referrer".to_owned()),
        ];
        Some((StatusCode::SEE_OTHER, headers).into_response())
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Takes as long for any two texts of these lengths.
fn is_same(shown: &str, known: &str) -> bool {
    shown.as_bytes().ct_eq(known.as_bytes()).into()
}

/// Lets through who may ask.
pub async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if !guard.is_welcome(request.headers()) {
        let advice = if guard.is_local {
            "this server answers to localhost, 127.0.0.1 and [::1], and to its own page\n"
        } else {
            "this server answers to its own page\n"
        };
        return (StatusCode::FORBIDDEN, advice).into_response();
    }
    if let Some(exchanged) = guard.exchange(&request) {
        return exchanged;
    }
    if guard.may(request.headers()) {
        return next.run(request).await;
    }
    let advice = "show the token: 'Authorization: Bearer TOKEN', or in a browser open /?token=TOKEN\n";
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], advice).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<const N: usize>(given: [(header::HeaderName, &str); N]) -> HeaderMap {
        given.into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect()
    }

    #[test]
    fn foreign_pages_are_turned_away() {
        let asked = |host: &str, origin: Option<&str>, is_local| {
            let mut headers = headers([(header::HOST, host)]);
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            Guard::new(None, is_local, false).is_welcome(&headers)
        };
        for (host, origin) in [
            ("127.0.0.1:8080", None),
            ("localhost", None),
            ("[::1]:8080", Some("http://[::1]:8080")),
            ("localhost:8080", Some("http://localhost:8080")),
        ] {
            assert!(asked(host, origin, true), "{host} {origin:?}");
        }
        for (host, origin) in [
            ("evil.example", None),
            ("evil.example:8080", Some("http://evil.example:8080")),
            ("localhost:8080", Some("http://evil.example")),
            ("localhost:8080", Some("null")),
            ("localhost:8080", Some("http://localhost:8081")),
            ("127.0.0.1.evil.example", None),
        ] {
            assert!(!asked(host, origin, true), "{host} {origin:?}");
        }
        assert!(!Guard::new(None, true, false).is_welcome(&HeaderMap::new()));
        assert!(asked("cameras.example:8080", Some("http://cameras.example:8080"), false));
        assert!(!asked("cameras.example:8080", Some("http://evil.example"), false));
    }

    #[test]
    fn the_token_or_its_cookie_has_to_be_shown() {
        let guard = Guard::new(Some("0123456789abcdef".to_owned().into()), true, false);
        let may = |name, value: &str| guard.may(&headers([(name, value)]));
        assert!(may(header::AUTHORIZATION, "Bearer 0123456789abcdef"));
        assert!(may(header::COOKIE, &format!("a=b; {COOKIE}={}", guard.session)));
        for wrong in
            ["Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdeF", "Basic 0123456789abcdef"]
        {
            assert!(!may(header::AUTHORIZATION, wrong), "{wrong}");
        }
        assert!(!may(header::COOKIE, &format!("{COOKIE}=0123456789abcdef")));
        assert!(!guard.may(&HeaderMap::new()));
        assert!(!format!("{guard:?}").contains("0123456789abcdef"));
    }
}

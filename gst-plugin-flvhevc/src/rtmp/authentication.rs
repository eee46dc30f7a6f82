//! User name and password, for servers that ask for them: the methods of Adobe and Limelight. A server refuses connect and
//! says in words what it wants; the answer goes into the application's query of the next connection. RTMP's specification
//! has none of it; the source is what FFmpeg and GStreamer agree on.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::{
    location::Credentials,
    refusal::{Reason, Refusal, Words},
};

/// What the last connection said about its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Said {
    #[default]
    Nothing,
    Name,
    Answer,
}

/// What the next connection has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub query: String,
    pub said: Said,
}

/// What to say to a server that refused connect with `reason`. `None` when it is not about authentication. `nonce` is any
/// number that was not used before.
///
/// # Errors
/// When there is nothing to say to it.
pub fn answer(
    reason: &Reason,
    credentials: Option<&Credentials>,
    app: &str,
    said: Said,
    nonce: u32,
) -> Result<Option<Answer>, Refusal> {
    let text = reason.description.as_str();
    let Some(method) = value_of(text, "authmod") else {
        return Ok(None);
    };
    let method = match method {
        "adobe" => "adobe",
        "llnw" => "llnw",
        _ => return Err(Refusal::UnknownAuthentication(Words::new(method))),
    };
    let credentials = credentials.ok_or(Refusal::NeedsPassword(method))?;
    let wrong = || Refusal::WrongPassword(reason.clone());
    let user = percent_encoded(&credentials.user);
    if text.contains("code=403 need auth") {
        if said != Said::Nothing {
            return Err(wrong());
        }
        return Ok(Some(Answer { query: format!("authmod={method}&user={user}"), said: Said::Name }));
    }
    if said == Said::Answer || value_of(text, "reason") != Some("needauth") {
        return Err(wrong());
    }
    let nonce = format!("{nonce:08x}");
    let query = match method {
        "adobe" => adobe(text, credentials, &user, &nonce),
        _ => limelight(text, credentials, &user, app, &nonce),
    };
    let query = query.ok_or(Refusal::Malformed("what it asks the user for is incomplete"))?;
    Ok(Some(Answer { query, said: Said::Answer }))
}

fn adobe(text: &str, credentials: &Credentials, user: &str, nonce: &str) -> Option<String> {
    let salt = value_of(text, "salt")?;
    let challenge = value_of(text, "challenge").unwrap_or_default();
    let opaque = value_of(text, "opaque").filter(|opaque| !opaque.is_empty());
    let digest = |parts: &[&str]| BASE64_STANDARD.encode(md5::compute(parts.concat()).0);
    let salted = digest(&[&credentials.user, salt, &credentials.password]);
    let response = digest(&[&salted, opaque.unwrap_or(challenge), nonce]);
    let opaque = opaque.map(|opaque| format!("&opaque={opaque}")).unwrap_or_default();
    Some(format!("authmod=adobe&user={user}&challenge={nonce}&response={response}{opaque}"))
}

fn limelight(text: &str, credentials: &Credentials, user: &str, app: &str, cnonce: &str) -> Option<String> {
    const COUNT: &str = "00000001";
    let nonce = value_of(text, "nonce")?;
    let instance = if app.contains('/') { "" } else { "/_definst_" };
    let digest = |parts: &[&str]| format!("{:x}", md5::compute(parts.join(":")));
    let who = digest(&[&credentials.user, "live", &credentials.password]);
    let what = digest(&["publish", &format!("/{app}{instance}")]);
    let response = digest(&[&who, nonce, COUNT, cnonce, "auth", &what]);
    Some(format!("authmod=llnw&user={user}&nonce={nonce}&cnonce={cnonce}&nc={COUNT}&response={response}"))
}

/// The value of `key` where it stands as `key=value` among blanks, `?`, `&` and brackets.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '&' | '?' | '[' | ']' | ';');
    text.split(ends).find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(description: &str) -> Reason {
        Reason { code: Words::new("NetConnection.Connect.Rejected"), description: Words::new(description) }
    }

    fn ask(description: &str, said: Said) -> Result<Option<String>, Refusal> {
        let credentials = Credentials { user: "bob".into(), password: "secret".into() };
        answer(&reason(description), Some(&credentials), "live", said, 0x1234)
            .map(|answer| answer.map(|answer| answer.query))
    }

    const ADOBE: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    const ADOBE_CHALLENGE: &str = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=bob&salt=c2FsdA==&challenge=Y2g=&opaque=b3A=";

    #[test]
    fn adobe_asks_for_the_name_and_then_for_the_answer() {
        assert_eq!(ask(ADOBE, Said::Nothing), Ok(Some("authmod=adobe&user=bob".into())));
        // base64(md5("bobc2FsdA==secret")) = oixBNd1Y894slbZ2A60PLA==, by Python's hashlib and base64, as is the response.
        let expected = "authmod=adobe&user=bob&challenge=00001234&response=YvxLEJxEZ8fgLp4n1lvT5A==&opaque=b3A=";
        assert_eq!(ask(ADOBE_CHALLENGE, Said::Name), Ok(Some(expected.into())));
    }

    #[test]
    fn limelight_asks_the_same_in_its_own_way() {
        let ask_name = "[ code=403 need auth; authmod=llnw ]";
        assert_eq!(ask(ask_name, Said::Nothing), Ok(Some("authmod=llnw&user=bob".into())));
        let expected =
            "authmod=llnw&user=bob&nonce=n0nce&cnonce=00001234&nc=00000001&response=b47a2a3c28028960da24a75613fd79c4";
        let asked = "[ authmod=llnw ] : ?reason=needauth&user=bob&nonce=n0nce";
        assert_eq!(ask(asked, Said::Name), Ok(Some(expected.into())));
    }

    #[test]
    fn a_server_is_answered_once() {
        assert!(matches!(ask(ADOBE, Said::Name), Err(Refusal::WrongPassword(_))));
        assert!(matches!(ask(ADOBE_CHALLENGE, Said::Answer), Err(Refusal::WrongPassword(_))));
        let failed = "[ authmod=adobe ] : ?reason=authfailed&opaque=x";
        assert!(matches!(ask(failed, Said::Answer), Err(Refusal::WrongPassword(_))));
        assert!(matches!(ask("[ authmod=adobe ] : ?reason=needauth", Said::Name), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn what_cannot_be_answered_is_named() {
        let refusal = answer(&reason(ADOBE), None, "live", Said::Nothing, 0).unwrap_err();
        assert_eq!(refusal, Refusal::NeedsPassword("adobe"));
        let refusal = ask("[ code=403 need auth; authmod=other ]", Said::Nothing).unwrap_err();
        assert_eq!(refusal, Refusal::UnknownAuthentication(Words::new("other")));
        assert_eq!(ask("Not allowed.", Said::Nothing), Ok(None));
    }

    #[test]
    fn names_are_written_for_a_query() {
        assert_eq!(percent_encoded("a b&c=ü"), "a%20b%26c%3D%C3%BC");
    }
}

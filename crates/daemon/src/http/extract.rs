//! What handlers take from a request. Whatever is wrong with it is answered in the one shape of every refusal.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use oarlock_api::REQUEST_HEADER;
use oarlock_core::ids::RequestId;
use oarlock_core::text;
use serde::de::DeserializeOwned;

use super::{BODY_BYTES_MAX, Failure};
use crate::Daemon;

/// Longest request id, in characters of ASCII: a UUID has 36.
pub(super) const REQUEST_ID_CHARS_MAX: usize = 64;
/// Longest explanation of what is wrong with a request, in characters: parsers name a place and a reason.
const WRONG_CHARS_MAX: usize = 300;

/// The client's id for its wish; one is drawn when it gave none with a body of JSON. Every handler of a wish takes it, and
/// before the body, so that no body is read that says to be something else than JSON.
///
/// A page may send neither of the two to another origin without being let (a preflight, which nobody answers here), so a
/// wish has at least one.
pub(super) struct Requested(pub RequestId);

impl<S: Sync> FromRequestParts<S> for Requested {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let content = parts.headers.get(header::CONTENT_TYPE);
        if content.is_some_and(|content| !is_json(content)) {
            return Err(wrong(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "bad_body",
                "The body",
                "its content-type is not application/json",
            ));
        }
        let Some(header) = parts.headers.get(REQUEST_HEADER) else {
            if content.is_none() {
                return Err(Failure::bad(
                    "no_request_id",
                    format!("A wish without a body of JSON needs the header {REQUEST_HEADER}."),
                    "Send a UUID.",
                ));
            }
            return Ok(Self(RequestId(uuid::Uuid::now_v7().to_string())));
        };
        let text = header.to_str().unwrap_or_default();
        let fine = !text.is_empty()
            && text.len() <= REQUEST_ID_CHARS_MAX
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !fine {
            return Err(Failure::bad(
                "bad_request_id",
                format!(
                    "The request id must be 1 to {REQUEST_ID_CHARS_MAX} letters, digits, '-', '_' or '.'."
                ),
                "Send a UUID.",
            ));
        }
        Ok(Self(RequestId(text.into())))
    }
}

/// Tells whether a content type is that of JSON, parameters aside.
fn is_json(content: &HeaderValue) -> bool {
    let word = content.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    word.trim().eq_ignore_ascii_case("application/json")
}

/// A part of the address.
pub(super) struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let taken: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        taken.map(|Path(text)| Self(text)).map_err(|rejection| {
            wrong(rejection.status(), "bad_address", "The address", &rejection.body_text())
        })
    }
}

/// What follows the question mark of an address.
pub(super) struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let taken: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        taken
            .map(|Query(asked)| Self(asked))
            .map_err(|rejection| wrong(rejection.status(), "bad_query", "The query", &rejection.body_text()))
    }
}

/// The body, which is an object of JSON and arrives in time.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Daemon>> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, daemon: &Arc<Daemon>) -> Result<Self, Failure> {
        let reading = Bytes::from_request(request, daemon);
        let Ok(read) = tokio::time::timeout(daemon.patience.body, reading).await else {
            return Err(Failure::new(
                StatusCode::REQUEST_TIMEOUT,
                "slow_body",
                "The rest of the body did not arrive.",
                "Send it whole.",
            ));
        };
        let bytes = read.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Failure::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_long",
                format!("The body has more than {BODY_BYTES_MAX} bytes."),
                "Put long texts into a file of the repository, and name the file.",
            ),
            status => wrong(status, "bad_body", "The body", &rejection.body_text()),
        })?;
        object(&bytes).map(Self)
    }
}

/// Reads the object a body holds.
pub(super) fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    // Serde takes a list for a structure, field by field; nobody means that.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let says = "it is a list, expected an object";
        return Err(wrong(StatusCode::UNPROCESSABLE_ENTITY, "bad_body", "The body", says));
    }
    let parsed: Result<Json<T>, JsonRejection> = Json::from_bytes(bytes);
    parsed
        .map(|Json(body)| body)
        .map_err(|rejection| wrong(rejection.status(), "bad_body", "The body", &rejection.body_text()))
}

/// The parser's words are for people who write clients; they may quote the request, so they are cleaned and cut.
fn wrong(status: StatusCode, code: &str, what: &str, says: &str) -> Failure {
    let says = text::line(says, WRONG_CHARS_MAX);
    Failure::new(status, code, format!("{what} cannot be understood: {says}."), "See /v1/openapi.json.")
}

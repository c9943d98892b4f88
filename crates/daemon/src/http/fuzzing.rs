//! Names for what reads requests that only fuzzers call, behind the feature `fuzzing`: the handlers' own extractors, without a
//! connection and a daemon behind them. It must not hold any rule of its own.

use axum::extract::FromRequestParts;
use axum::http::{HeaderValue, Request, Uri};
use futures_util::FutureExt;
use oarlock_api::{REQUEST_HEADER, wire};
use serde::de::DeserializeOwned;

use super::extract::{Asked, Requested, object};
use super::{Failure, cleanup, feed, sessions};
use crate::token::Tokens;

/// A refusal as the client gets it: the status and the body.
pub type Refused = (u16, wire::Error);

fn refused(failure: Failure) -> Refused {
    (failure.0.as_u16(), failure.1)
}

/// Reads a body.
///
/// # Errors
/// The refusal.
pub fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    object(bytes).map_err(refused)
}

/// Reads what follows the question mark, as each address that asks does; `None` when no address can hold it.
#[must_use]
pub fn query(text: &str) -> Option<[Result<(), Refused>; 5]> {
    let uri: Uri = format!("/?{text}").parse().ok()?;
    Some([
        asked::<sessions::ListQuery>(&uri),
        asked::<sessions::DiffQuery>(&uri),
        asked::<sessions::OutputQuery>(&uri),
        asked::<feed::Since>(&uri),
        asked::<cleanup::PlanQuery>(&uri),
    ])
}

fn asked<T: DeserializeOwned>(uri: &Uri) -> Result<(), Refused> {
    take::<Asked<T>>(Request::builder().uri(uri)).map(|_| ())
}

/// Reads a client's id for its wish; `None` when no header can hold it.
#[must_use]
pub fn request_id(value: &[u8]) -> Option<Result<String, Refused>> {
    let value = HeaderValue::from_bytes(value).ok()?;
    let request = Request::builder().header(REQUEST_HEADER, value);
    Some(take::<Requested>(request).map(|Requested(id)| id.0))
}

fn take<T: FromRequestParts<(), Rejection = Failure>>(
    request: axum::http::request::Builder,
) -> Result<T, Refused> {
    let (mut parts, ()) = request.body(()).expect("its parts are valid").into_parts();
    let taken = T::from_request_parts(&mut parts, &()).now_or_never();
    taken.expect("what is in the head needs no waiting").map_err(refused)
}

/// Makes the token of a run under a secret.
#[must_use]
pub fn issue(secret: [u8; 32], session: &str, run: u32) -> String {
    Tokens::of(secret).issue(session, run)
}

/// Returns whom a token speaks for under a secret: a session and a run.
#[must_use]
pub fn check(secret: [u8; 32], token: &str) -> Option<(String, u32)> {
    Tokens::of(secret).check(token).map(|bearer| (bearer.session, bearer.run))
}

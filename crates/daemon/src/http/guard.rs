//! Who is let through to the handlers: no web page, and a run only as far as its token goes.
//!
//! It must not know what the handlers do.

use std::net::IpAddr;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use oarlock_api::TOKEN_HEADER;

use super::rights::{Drives, right};
use super::{App, Failure};
use crate::peer::Peer;

/// Names of the daemon itself besides those of the loopback interface. Any other name in a request is that of somebody
/// whose page was made to point here (DNS rebinding).
const OWN_NAMES: &[&str] = &["oarlock", "localhost"];

/// Turns away what a browser sends for a page. No browser reaches a unix socket by itself; a proxy in between could.
pub(super) async fn against_pages(request: Request, next: Next) -> Response {
    let headers = request.headers();
    // A browser sends the first for whatever may change something, and one of the second kind with every request
    // (Fetch Metadata Request Headers, W3C).
    let of_browser = |name: &HeaderName| *name == header::ORIGIN || name.as_str().starts_with("sec-fetch-");
    if headers.keys().any(of_browser) {
        let refusal = Failure::new(
            StatusCode::FORBIDDEN,
            "bad_origin",
            "Requests from web pages are not taken here.",
            "Use the oarlock program.",
        );
        return refusal.into_response();
    }
    if !is_meant_for_us(request.version(), request.uri(), headers) {
        let refusal = Failure::new(
            StatusCode::MISDIRECTED_REQUEST,
            "bad_host",
            "The request is meant for another host.",
            "Send \"Host: oarlock\", once.",
        );
        return refusal.into_response();
    }
    next.run(request).await
}

/// Tells whether a request names us and nobody else. Before HTTP/1.1 it need not name anybody.
fn is_meant_for_us(version: Version, uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_own),
        (None, _) => version < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    // An address in the request line wins over the header (RFC 9112, 3.2.2), so it has to be ours, too.
    named && uri.authority().is_none_or(|authority| is_own(authority.as_str()))
}

/// Tells whether a host, with or without a port, is a name of the daemon's.
fn is_own(host: &str) -> bool {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = without_port.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    OWN_NAMES.iter().any(|name| name.eq_ignore_ascii_case(without_port))
        || address.unwrap_or(without_port).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Lets a run's token do what a run may: read, and write to its own session's messages; an orchestrator's drives the
/// sessions of its project. Nothing that lands or takes away work.
pub(super) async fn of_runs(State(daemon): App, mut request: Request, next: Next) -> Response {
    let Some(token) = request.headers().get(TOKEN_HEADER) else {
        let is_held = request.extensions().get::<Peer>().is_some_and(|peer| peer.is_held);
        // An agent that hides its token is an agent all the same.
        return if is_held && request.method() != Method::GET {
            not_allowed()
        } else {
            next.run(request).await
        };
    };
    let bearer = token.to_str().ok().and_then(|token| daemon.tokens.check(token));
    // What a run that is over left behind must not speak for the next one.
    let bearer = bearer.filter(|bearer| !daemon.is_over(&bearer.session, bearer.run));
    let Some(bearer) = bearer else {
        return Failure::new(
            StatusCode::FORBIDDEN,
            "bad_token",
            "The token is not one of this daemon's live runs.",
            "Unset OARLOCK_TOKEN, or ask the daemon that started the run.",
        )
        .into_response();
    };
    let template = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let wanted = right(request.method(), template);
    if daemon.may(&bearer, wanted, request.uri().path()) {
        if let Some(project) = daemon.drives(&bearer) {
            request.extensions_mut().insert(Drives(project));
        }
        request.extensions_mut().insert(bearer);
        return next.run(request).await;
    }
    not_allowed()
}

fn not_allowed() -> Response {
    Failure::new(
        StatusCode::FORBIDDEN,
        "not_allowed",
        "An agent may read, claim, and send to its own session; this is for a person.",
        "Ask the person who runs oarlock.",
    )
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_daemon_are_its_own() {
        for own in
            ["oarlock", "Oarlock:80", "localhost", "localhost:8080", "127.0.0.1", "127.1.2.3:4", "[::1]:5"]
        {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "",
            "example.org",
            "oarlock.example.org",
            "localhost.example.org",
            "192.168.1.4",
            "0.0.0.0",
            "127.0.0.1.example.org",
            "user@oarlock",
            "oarlock:x",
            "[::ffff:10.0.0.1]",
            "2130706433",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }

    #[test]
    fn a_request_names_us_once_and_nobody_else() {
        let headers = |hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            headers
        };
        let ours = |version, uri: &'static str, hosts| {
            is_meant_for_us(version, &Uri::from_static(uri), &headers(hosts))
        };
        assert!(ours(Version::HTTP_11, "/", &["oarlock"]) && ours(Version::HTTP_10, "/", &[]));
        assert!(ours(Version::HTTP_11, "http://localhost/", &["oarlock"]));
        assert!(!ours(Version::HTTP_11, "/", &[]), "HTTP/1.1 asks for a name");
        assert!(!ours(Version::HTTP_11, "/", &["oarlock", "example.org"]));
        assert!(!ours(Version::HTTP_11, "http://example.org/", &["oarlock"]));
    }
}

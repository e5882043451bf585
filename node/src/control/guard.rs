//! Who may use the API.
//!
//! Over the Unix socket: whoever the system lets open it, which is its owner and root. Over TCP:
//! whoever bears the token, and no page of another site in the operator's browser, even if its name
//! was made to point here (DNS rebinding): the host that is asked for has to be an address or
//! `localhost`, which no such page has, and an `Origin` has to be this host. Browsers that were let in
//! to the dashboard bear a cookie in place of the token (ADR 0430).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::model::{Code, Problem};
use super::operations::Operations;
use super::token::Token;
use crate::dashboard;

/// By which way requests come.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// The Unix socket: the system has checked who it is.
    Socket,
    /// TCP, with this token.
    Tcp(Token),
}

/// What the guard knows.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) entry: Entry,
    pub(super) operations: Arc<Operations>,
}

/// Lets a request through, or not, and counts it.
pub(super) async fn check(
    State(guard): State<Guard>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let answered = match &guard.entry {
        Entry::Socket => None,
        Entry::Tcp(token) => guard.check_tcp(&request, token),
    };
    let mut response = match answered {
        None => next.run(request).await,
        Some(answer) => answer,
    };
    let path = path.as_ref().map_or("other", MatchedPath::as_str);
    let status = response.status().as_u16();
    guard
        .operations
        .metrics()
        .on_request(&format!("{method} {path}"), status);
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if status == 401 {
        let scheme = HeaderValue::from_static("Bearer");
        headers.insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

impl Guard {
    /// The answer to a request over TCP that may not go on, or need not.
    fn check_tcp(&self, request: &Request, token: &Token) -> Option<Response> {
        let (method, headers) = (request.method(), request.headers());
        if let Err(problem) = check_place(headers) {
            return Some(problem.into_response());
        }
        let dashboard = self.operations.dashboard();
        if let Some(answer) = dashboard.answer_link(method, request.uri(), headers) {
            return Some(answer);
        }
        let problem = check_token(headers, token).err()?;
        if dashboard.admits(method, headers) {
            None
        } else if request.uri().path() == "/" {
            Some(dashboard::closed())
        } else {
            Some(problem.into_response())
        }
    }
}

/// Whether a request comes from here, and from no page of another site.
pub(crate) fn check_place(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let host = text(header::HOST).unwrap_or_default();
    if !is_address(host) {
        return Err(Problem::new(
            Code::Forbidden,
            "this API answers to addresses and to localhost only; use for example http://127.0.0.1",
        ));
    }
    let other_origin = headers.get(header::ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin.split_once("://").is_none_or(|(_, of)| of != host)
    });
    let other_site = matches!(
        headers.get("sec-fetch-site").map(HeaderValue::as_bytes),
        Some(b"cross-site" | b"same-site")
    );
    if other_origin || other_site {
        return Err(Problem::new(
            Code::Forbidden,
            "pages of other sites may not use this API; open it from its own address",
        ));
    }
    Ok(())
}

fn check_token(headers: &HeaderMap, token: &Token) -> Result<(), Problem> {
    let authorization = headers.get(header::AUTHORIZATION);
    if authorization.is_some_and(|value| token.is_borne_by(value.as_bytes())) {
        Ok(())
    } else {
        Err(Problem::new(
            Code::Unauthorized,
            "a token is needed; send the header `Authorization: Bearer TOKEN` with the content of api.token in the data folder",
        ))
    }
}

/// Whether a `Host` header has an address or `localhost`, with or without a port.
fn is_address(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(ip, _)| ip),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        let dir = tempfile::tempdir().unwrap();
        Token::load_or_create(&dir.path().join("t")).unwrap()
    }

    fn checked(token: &Token, headers: &[(&'static str, &str)]) -> Option<Code> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name = header::HeaderName::from_static(name);
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let checked = check_place(&headers).and_then(|()| check_token(&headers, token));
        checked.err().map(|problem| problem.code)
    }

    #[test]
    fn the_bearer_of_the_token_may_come_from_here() {
        let token = token();
        let bearer = token.header();
        for host in ["127.0.0.1:4680", "[::1]:4680", "localhost", "192.0.2.7"] {
            let same = format!("http://{host}");
            let headers = [
                ("host", host),
                ("authorization", &bearer),
                ("origin", &same),
            ];
            assert_eq!(checked(&token, &headers), None, "{host}");
            assert_eq!(checked(&token, &headers[..2]), None, "{host}");
        }
    }

    #[test]
    fn names_that_were_made_to_point_here_are_refused() {
        let token = token();
        let bearer = token.header();
        for host in [
            "evil.example:4680",
            "localhost.evil.example",
            "",
            "127.0.0.1.evil.example",
        ] {
            let headers = [("host", host), ("authorization", &*bearer)];
            assert_eq!(checked(&token, &headers), Some(Code::Forbidden), "{host}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused_even_with_the_token() {
        let token = token();
        let bearer = token.header();
        let good = [("host", "127.0.0.1:1"), ("authorization", &*bearer)];
        for bad in [
            ("origin", "http://evil.example"),
            ("origin", "http://127.0.0.1:2"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let headers = [good[0], good[1], bad];
            assert_eq!(checked(&token, &headers), Some(Code::Forbidden), "{bad:?}");
        }
    }

    #[test]
    fn without_the_token_nothing_is_told() {
        let token = token();
        let host = ("host", "127.0.0.1:1");
        assert_eq!(checked(&token, &[host]), Some(Code::Unauthorized));
        let wrong = ("authorization", "Bearer 0123456789012345678901234567890123");
        assert_eq!(checked(&token, &[host, wrong]), Some(Code::Unauthorized));
    }
}

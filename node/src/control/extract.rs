//! What handlers take out of requests, with our own words when it is not there.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::limits::{BODY_LEN_MAX, BODY_TIMEOUT};
use super::model::{Code, Problem};

/// A JSON body. It has to be called that: a page of another site cannot send this content type
/// without asking first (the CORS protocol of the Fetch standard).
pub(super) struct Taken<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Taken<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "the body has to be JSON; send it with the header `Content-Type: application/json`",
            ));
        }
        let reading = axum::body::to_bytes(request.into_body(), BODY_LEN_MAX);
        let Ok(read) = tokio::time::timeout(BODY_TIMEOUT, reading).await else {
            return Err(Problem::new(
                Code::Timeout,
                "the body did not come in time; send it at once",
            ));
        };
        let body = read.map_err(|_| {
            Problem::new(
                Code::TooLarge,
                format!("the body is longer than {BODY_LEN_MAX} bytes, or ended early; send less"),
            )
        })?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            Problem::new(
                Code::BadRequest,
                format!("the body is not understood: {error}"),
            )
        })
    }
}

/// The parameters after `?`.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let asked = Query::<T>::from_request_parts(parts, state).await;
        asked
            .map(|Query(asked)| Self(asked))
            .map_err(|error: QueryRejection| Problem::new(Code::BadRequest, error.body_text()))
    }
}

/// The one name in the path.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let named = Path::<String>::from_request_parts(parts, state).await;
        named
            .map(|Path(name)| Self(name))
            .map_err(|error| Problem::new(Code::BadRequest, error.body_text()))
    }
}

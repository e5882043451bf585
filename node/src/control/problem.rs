//! Problems: made in one place, so that each code has one HTTP status and one exit code.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dunlin_overlay::OverlayError;

use super::model::{Code, Problem};
use crate::failure::{Exit, Failure};

impl Problem {
    /// A problem of this kind; `detail` says what happened and what to do about it.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            status: code.status().as_u16(),
            code,
            detail: detail.into(),
        }
    }

    /// The node has ended while it was asked.
    #[must_use]
    pub fn stopping() -> Self {
        Self::new(
            Code::Stopping,
            "the node is stopping; start it again with `dunlin start`",
        )
    }

    /// The failure of a command that met this problem.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        Failure::new(self.code.exit(), self.detail)
    }
}

impl Code {
    /// Its HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::UnknownPeer => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::AmbiguousPeer | Self::NotConnected | Self::Refused => StatusCode::CONFLICT,
            Self::Unreachable => StatusCode::GATEWAY_TIMEOUT,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The exit code of a command that met it.
    #[must_use]
    pub const fn exit(self) -> Exit {
        match self {
            Self::BadRequest | Self::TooLarge | Self::UnknownPeer | Self::AmbiguousPeer => {
                Exit::Usage
            }
            Self::Refused | Self::Unauthorized | Self::Forbidden => Exit::Refused,
            Self::NotConnected | Self::Unreachable | Self::Stopping => Exit::Unreachable,
            Self::NotFound
            | Self::MethodNotAllowed
            | Self::UnsupportedMediaType
            | Self::Timeout
            | Self::TooMany
            | Self::Unsupported => Exit::Failed,
        }
    }
}

impl From<OverlayError> for Problem {
    fn from(error: OverlayError) -> Self {
        let code = match error {
            OverlayError::NotConnected(_) => Code::NotConnected,
            OverlayError::NoRelay(_) => Code::Unreachable,
            OverlayError::PayloadTooLong { .. } => Code::TooLarge,
            OverlayError::InvalidName => Code::BadRequest,
            OverlayError::TooFast
            | OverlayError::TooManyRequests(_)
            | OverlayError::TooManyRelayed
            | OverlayError::TooManyBootstraps
            | OverlayError::TooManyTopics => Code::TooMany,
            OverlayError::ShuttingDown => Code::Stopping,
            _ => Code::Refused,
        };
        Self::new(code, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

//! The other end of the API, for the command line: one connection for each request.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

use super::model::{EventRecord, Problem};
use super::start_advice;
use crate::data_dir::DataDir;
use crate::failure::{Exit, Failure, plain_reason};

/// Longest answer that is read: all stories of a full table would fit.
const ANSWER_LEN_MAX: usize = 64 << 20;
/// Longest line of the event stream.
const LINE_LEN_MAX: usize = 1 << 20;

/// Speaks to the node of a data folder.
#[derive(Clone, Debug)]
pub struct Client {
    data_dir: DataDir,
    asked: Option<PathBuf>,
}

impl Client {
    /// For the node whose data folder is `asked`, or the usual one.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn new(asked: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self {
            data_dir: DataDir::find(asked)?,
            asked: asked.map(Path::to_path_buf),
        })
    }

    /// The data folder of the node.
    #[must_use]
    pub const fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Asks for something.
    ///
    /// # Errors
    /// No node is running, or what it answers.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// Sends something.
    ///
    /// # Errors
    /// No node is running, or what it answers.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Does anything the API has.
    ///
    /// # Errors
    /// No node is running, or what it answers.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, Failure> {
        let body = body.map(serde_json::to_vec).transpose();
        let body = body.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let answer = self.send(method, path, body).await?;
        let bytes = read(answer).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the node answers what this program does not understand ({error}); use the same version of both"),
            )
        })
    }

    /// Asks for a text.
    ///
    /// # Errors
    /// No node is running, or what it answers.
    pub async fn text(&self, path: &str, accept: Option<&str>) -> Result<String, Failure> {
        let answer = self.request(Method::GET, path, None, accept).await?;
        let bytes = read(answer).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Listens to what happens.
    ///
    /// # Errors
    /// No node is running, or what it answers.
    pub async fn events(&self, path: &str) -> Result<Events, Failure> {
        let answer = self.send(Method::GET, path, None).await?;
        Ok(Events {
            body: answer.into_body(),
            read: Vec::new(),
        })
    }

    /// Whether a node answers.
    pub async fn is_running(&self) -> bool {
        self.connect().await.is_ok()
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, Failure> {
        self.request(method, path, body, None).await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        accept: Option<&str>,
    ) -> Result<Response<Incoming>, Failure> {
        let link = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(link.io))
            .await
            .map_err(|error| lost(&error))?;
        // It ends with the answer, or with the one who reads it.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, link.host);
        if let Some(token) = link.token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(accept) = accept {
            request = request.header(hyper::header::ACCEPT, accept);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| lost(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let bytes = read(answer).await?;
        Err(match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => problem.into_failure(),
            Err(_) => Failure::new(
                Exit::Failed,
                format!("the node answers {status}; use the same version of both"),
            ),
        })
    }

    async fn connect(&self) -> Result<Link, Failure> {
        #[cfg(unix)]
        {
            let path = self.data_dir.control_socket();
            if let Ok(stream) = tokio::net::UnixStream::connect(&path).await {
                return Ok(Link {
                    io: Box::new(stream),
                    host: "localhost".to_owned(),
                    token: None,
                });
            }
        }
        let file = self.data_dir.api_address_file();
        let host = std::fs::read_to_string(&file).map_err(|_| self.not_running())?;
        let host = host.trim().to_owned();
        let stream = tokio::net::TcpStream::connect(&host).await;
        let stream = stream.map_err(|_| self.not_running())?;
        let token = super::token::Token::load(&self.data_dir.token_file())?;
        Ok(Link {
            io: Box::new(stream),
            host,
            token: Some(token.header()),
        })
    }

    fn not_running(&self) -> Failure {
        Failure::new(
            Exit::Unreachable,
            format!(
                "no node is running with the data folder {}; start one with `{}`",
                self.data_dir.path().display(),
                start_advice(self.asked.as_ref())
            ),
        )
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

struct Link {
    io: Box<dyn Io>,
    host: String,
    token: Option<String>,
}

fn lost(error: &hyper::Error) -> Failure {
    Failure::new(
        Exit::Unreachable,
        format!("the node did not answer ({error}); is it stopping?"),
    )
}

async fn read(answer: Response<Incoming>) -> Result<Bytes, Failure> {
    let body = http_body_util::Limited::new(answer.into_body(), ANSWER_LEN_MAX);
    let read = body.collect().await.map_err(|error| {
        Failure::new(
            Exit::Unreachable,
            format!("the answer of the node was cut short ({error}); try again"),
        )
    })?;
    Ok(read.to_bytes())
}

/// What comes over a stream of events, or of lines of the log.
#[derive(Clone, PartialEq, Debug)]
pub enum Heard<T = EventRecord> {
    /// Something happened.
    Event(Box<T>),
    /// So many were missed, because this reader was too slow.
    Missed(u64),
}

/// An open stream.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    read: Vec<u8>,
}

impl Events {
    /// The next event; `None` when the node has ended.
    ///
    /// # Errors
    /// When what comes is not understood.
    pub async fn next(&mut self) -> Result<Option<Heard>, Failure> {
        self.next_as().await
    }

    /// What comes next on a stream of something else than events.
    ///
    /// # Errors
    /// When what comes is not understood.
    pub async fn next_as<T: DeserializeOwned>(&mut self) -> Result<Option<Heard<T>>, Failure> {
        let (mut kind, mut data) = (String::new(), None);
        while let Some(line) = self.line().await? {
            if let Some(value) = line.strip_prefix("event: ") {
                value.clone_into(&mut kind);
            } else if let Some(value) = line.strip_prefix("data: ") {
                data = Some(value.to_owned());
            } else if line.is_empty()
                && let Some(data) = data.take()
            {
                return heard(&kind, &data).map(Some);
            }
        }
        Ok(None)
    }

    async fn line(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                return Ok(Some(line.trim_end().to_owned()));
            }
            if self.read.len() > LINE_LEN_MAX {
                return Err(not_understood("a line is too long"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
                // A node that is killed ends the stream in the middle.
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

fn heard<T: DeserializeOwned>(kind: &str, data: &str) -> Result<Heard<T>, Failure> {
    let refused = |error: serde_json::Error| not_understood(&error.to_string());
    if kind == "missed" {
        let missed: serde_json::Value = serde_json::from_str(data).map_err(refused)?;
        return Ok(Heard::Missed(missed["missed"].as_u64().unwrap_or(0)));
    }
    let record = serde_json::from_str(data).map_err(refused)?;
    Ok(Heard::Event(Box::new(record)))
}

fn not_understood(why: &str) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the event stream is not understood ({why}); use the same version of both"),
    )
}

/// A text as one segment of a path (RFC 3986 §2.1).
#[must_use]
pub fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The failure for a file of the user's that cannot be used.
#[must_use]
pub fn file_failure(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Local,
        format!(
            "cannot use {}: {}; name another file",
            path.display(),
            plain_reason(error)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_hold_any_text() {
        assert_eq!(segment("[::1]:4600"), "%5B%3A%3A1%5D%3A4600");
        assert_eq!(segment("dunlin1a…/../x?"), "dunlin1a%E2%80%A6%2F..%2Fx%3F");
    }
}

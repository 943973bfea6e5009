//! The command line's side.

use std::io;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// The daemon was not reached, or refused.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon listens there.
    #[error(
        "no daemon answers at {path}: {source}; is it running, and under this --instance and --run-dir?"
    )]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is asked for can't be said in a URL.
    #[error("this can't be asked for: {0}")]
    Request(#[from] hyper::http::Error),
    /// The conversation broke off.
    #[error("the daemon broke off: {0}")]
    Http(#[from] hyper::Error),
    /// The daemon said no.
    #[error("the daemon refuses: {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// What it said.
        message: String,
        /// Its whole answer; null if that was no JSON.
        answer: Value,
    },
    /// The answer was not JSON.
    #[error("the daemon's answer is not JSON: {0}")]
    Answer(#[from] serde_json::Error),
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects to a control socket.
    ///
    /// # Errors
    /// No daemon listens there.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let connect = |source| ClientError::Connect {
            path: path.to_owned(),
            source,
        };
        let stream = UnixStream::connect(path).await.map_err(connect)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// What is in force.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status(&mut self) -> Result<Value, ClientError> {
        self.request(Method::GET, "/v1/status", None).await
    }

    /// The packet counters of the status alone, which cost little.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn counters(&mut self) -> Result<Value, ClientError> {
        self.request(Method::GET, "/v1/counters", None).await
    }

    /// Asks for something to be shown; `path` begins with `/v1/` and is written as in a URL.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get(&mut self, path: &str) -> Result<Value, ClientError> {
        self.request(Method::GET, path, None).await
    }

    /// Asks for a change.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.request(Method::POST, path, Some(body)).await
    }

    async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let bytes = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(hyper::header::HOST, "localhost")
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Full::new(bytes))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            Ok(serde_json::from_slice(&bytes)?)
        } else {
            let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let message = answer["error"].as_str().map_or_else(
                || format!("{status}: {}", String::from_utf8_lossy(&bytes)),
                str::to_owned,
            );
            Err(ClientError::Refused {
                status,
                message,
                answer,
            })
        }
    }
}

/// The same for callers without a runtime of their own.
pub mod blocking {
    use super::{Client, ClientError, Path, Value};

    fn with<T>(
        path: &Path,
        call: impl AsyncFnOnce(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| ClientError::Connect {
                path: path.to_owned(),
                source,
            })?;
        runtime.block_on(async { call(&mut Client::connect(path).await?).await })
    }

    /// As [`Client::status`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn status(path: &Path) -> Result<Value, ClientError> {
        with(path, async |client| client.status().await)
    }

    /// As [`Client::get`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get(socket: &Path, path: &str) -> Result<Value, ClientError> {
        with(socket, async |client| client.get(path).await)
    }

    /// As [`Client::post`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn post(socket: &Path, path: &str, body: &Value) -> Result<Value, ClientError> {
        with(socket, async |client| client.post(path, body).await)
    }
}

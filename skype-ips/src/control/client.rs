//! The command line's side.

use std::io;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
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
    /// The conversation broke off.
    #[error("the daemon broke off: {0}")]
    Http(#[from] hyper::Error),
    /// The daemon said no.
    #[error("the daemon answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// What it said.
        message: String,
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

    /// Lets everything pass, for some seconds or until told otherwise, or stops doing so.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn bypass(
        &mut self,
        on: bool,
        for_seconds: Option<u64>,
    ) -> Result<Value, ClientError> {
        let body = json!({ "on": on, "for_seconds": for_seconds });
        self.request(Method::POST, "/v1/bypass", Some(&body)).await
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
            .body(Full::new(bytes))
            .expect("method, path and headers are constants of the right form");
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            Ok(serde_json::from_slice(&bytes)?)
        } else {
            Err(ClientError::Refused {
                status,
                message: String::from_utf8_lossy(&bytes).into_owned(),
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

    /// As [`Client::bypass`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn bypass(path: &Path, on: bool, for_seconds: Option<u64>) -> Result<Value, ClientError> {
        with(path, async |client| client.bypass(on, for_seconds).await)
    }
}

//! The daemon's side. Only the daemon's own user and root may connect: the socket's mode is 0600, and
//! each connection's user is looked at besides.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::changes;
use super::json::ApiError;
use super::views;
use crate::gateway::Gateway;
use crate::telemetry::Who;

/// Who is at the other end of a connection, as the kernel says.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    uid: Option<u32>,
    pid: Option<i32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let peer = stream.io().peer_cred().ok();
        Self {
            uid: peer.map(|peer| peer.uid()),
            pid: peer.and_then(|peer| peer.pid()),
        }
    }
}

impl Peer {
    pub(super) fn who(&self) -> Who {
        Who::Peer {
            uid: self.uid.unwrap_or(u32::MAX),
            pid: self.pid,
        }
    }

    fn may(&self) -> bool {
        // SAFETY: no arguments, no preconditions.
        let own = unsafe { libc::geteuid() };
        self.uid.is_some_and(|uid| uid == 0 || uid == own)
    }
}

async fn only_ours(ConnectInfo(peer): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    if peer.may() {
        next.run(request).await
    } else {
        ApiError::forbidden("only root and the daemon's own user may ask").into_response()
    }
}

/// Opens the socket and answers on it until the task is aborted.
///
/// # Errors
/// The socket can't be made.
pub fn serve(socket: &Path, gateway: Arc<Gateway>) -> io::Result<JoinHandle<()>> {
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    let router = Router::new()
        .route("/v1/status", get(views::status))
        .route("/v1/counters", get(views::counters))
        .route("/v1/exemptions", get(views::exemptions))
        .route("/v1/hosts", get(views::hosts))
        .route("/v1/flows", get(views::flows))
        .route("/v1/explain", get(views::explain))
        .route("/v1/hosts/forget", post(changes::forget))
        .route("/v1/bypass", post(changes::bypass))
        .route("/v1/reload", post(changes::reload))
        .route("/v1/confirm", post(changes::confirm))
        .route("/v1/exempt/add", post(changes::exempt))
        .route("/v1/exempt/remove", post(changes::end_exemption))
        .fallback(async || ApiError::unknown("there is nothing of this name here"))
        .method_not_allowed_fallback(async || ApiError::method())
        .layer(from_fn(only_ours))
        .with_state(gateway);
    let service = router.into_make_service_with_connect_info::<Peer>();
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, service).await {
            tracing::error!("the control socket failed: {error}");
        }
    }))
}

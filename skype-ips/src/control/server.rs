//! The daemon's side. Only the daemon's own user may connect: the socket's mode is 0600.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use crate::gateway::Gateway;

#[derive(Clone)]
struct Context {
    gateway: Arc<Gateway>,
    /// Ends a bypass that was asked for with a time.
    timer: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Opens the socket and answers on it until the task is aborted.
///
/// # Errors
/// The socket can't be made.
pub fn serve(socket: &Path, gateway: Arc<Gateway>) -> io::Result<JoinHandle<()>> {
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    let router = Router::new()
        .route(
            "/v1/status",
            get(async |State(context): State<Context>| Json(context.gateway.status())),
        )
        .route(
            "/v1/counters",
            get(async |State(context): State<Context>| Json(context.gateway.packet_counters())),
        )
        .route("/v1/bypass", post(bypass))
        .with_state(Context {
            gateway,
            timer: Arc::default(),
        });
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the control socket failed: {error}");
        }
    }))
}

/// Body of `POST /v1/bypass`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bypass {
    on: bool,
    /// Seconds after which it ends by itself; never if absent.
    for_seconds: Option<u64>,
}

async fn bypass(
    State(context): State<Context>,
    Json(request): Json<Bypass>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let mut timer = context.timer.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(timer) = timer.take() {
        timer.abort();
    }
    let until = request
        .for_seconds
        .filter(|_| request.on)
        .and_then(|seconds| {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .ok()?;
            u64::try_from((now + Duration::from_secs(seconds)).as_nanos()).ok()
        });
    let refused = |error: crate::kernel::BpfError| {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            Json(json!({ "error": error.to_string() })),
        )
    };
    context
        .gateway
        .set_bypass(request.on, until)
        .map_err(refused)?;
    if let (true, Some(seconds)) = (request.on, request.for_seconds) {
        let gateway = context.gateway.clone();
        *timer = Some(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            if let Err(error) = gateway.set_bypass(false, None) {
                tracing::error!("the bypass did not end: {error}");
            }
        }));
    }
    drop(timer);
    Ok(Json(context.gateway.status()))
}

//! What is changed, each with who asked for it and why.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};

use super::json::{ApiError, Body, VERSION};
use super::server::Peer;
use crate::gateway::{ExemptError, Gateway, Refusal, ReloadRequest};

type Answer = Result<Json<Value>, ApiError>;
type Gate = State<Arc<Gateway>>;
type From = ConnectInfo<Peer>;

/// Longest time that can be asked for, seconds: a year.
const LONGEST: u64 = 365 * 24 * 3600;
/// Lost packets that a reload may cost unless something else is said.
const USUAL_MOST_LOST: u64 = 100;

fn in_range(seconds: u64) -> Result<u64, ApiError> {
    if (1..=LONGEST).contains(&seconds) {
        return Ok(seconds);
    }
    let message = format!("{seconds} seconds won't do: write 1 to {LONGEST}");
    Err(ApiError::wrong(message))
}

/// Body of `POST /v1/bypass`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bypass {
    on: bool,
    /// Seconds after which it ends by itself; never if absent.
    for_seconds: Option<u64>,
    reason: Option<String>,
}

pub(super) async fn bypass(
    State(gateway): Gate,
    ConnectInfo(peer): From,
    Body(asked): Body<Bypass>,
) -> Answer {
    let seconds = asked.for_seconds.map(in_range).transpose()?;
    gateway
        .set_bypass(asked.on, seconds, asked.reason.as_deref(), peer.who())
        .map_err(|error| ApiError::failed(error.to_string()))?;
    Ok(Json(gateway.status()))
}

/// Body of `POST /v1/reload`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reload {
    /// Seconds within which it has to be confirmed; it needn't if absent.
    confirm_within_seconds: Option<u64>,
    /// Lost packets over which it goes back before that.
    max_lost: Option<u64>,
    reason: Option<String>,
}

pub(super) async fn reload(
    State(gateway): Gate,
    ConnectInfo(peer): From,
    Body(asked): Body<Reload>,
) -> Answer {
    if asked.max_lost.is_some() && asked.confirm_within_seconds.is_none() {
        let message = "max_lost needs confirm_within_seconds: nothing else goes back";
        return Err(ApiError::wrong(message));
    }
    let request = ReloadRequest {
        confirm_within: asked.confirm_within_seconds.map(in_range).transpose()?,
        max_lost: asked.max_lost.unwrap_or(USUAL_MOST_LOST),
        reason: asked.reason,
    };
    let reloaded = gateway.reload(&request, peer.who()).map_err(|refusal| {
        let message = refusal.to_string();
        match refusal {
            Refusal::Problems(problems) => ApiError::unusable(message, json!(problems.list())),
            Refusal::NeedsRestart(_) | Refusal::TakenBack { .. } => ApiError::conflict(message),
            Refusal::State(_) | Refusal::Kernel(_) => ApiError::failed(message),
        }
    })?;
    Ok(Json(json!({
        "version": VERSION,
        "unchanged": reloaded.unchanged,
        "policy": { "version": gateway.shared().in_force().version },
        "warnings": reloaded.warnings.list(),
        "confirm_until": reloaded.confirm_until,
    })))
}

/// Body of a change that needs a reason at the most.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {
    reason: Option<String>,
}

pub(super) async fn confirm(
    State(gateway): Gate,
    ConnectInfo(peer): From,
    Body(asked): Body<Plain>,
) -> Answer {
    gateway
        .confirm(asked.reason.as_deref(), peer.who())
        .map_err(ApiError::conflict)?;
    Ok(Json(json!({
        "version": VERSION,
        "policy": { "version": gateway.shared().in_force().version },
    })))
}

/// Body of `POST /v1/exempt/add`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exempt {
    host: String,
    for_seconds: u64,
    reason: Option<String>,
}

/// An address, or a prefix without bits behind it.
pub(super) fn net(text: &str) -> Result<IpNet, ApiError> {
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text
            .parse::<IpNet>()
            .map_err(|_| ApiError::wrong(format!("{text:?} is no address and no prefix")))?,
    };
    if net.trunc() == net {
        return Ok(net);
    }
    let message = format!(
        "{net} has bits set behind its prefix: write {}",
        net.trunc()
    );
    Err(ApiError::wrong(message))
}

fn not_exempted(error: &ExemptError) -> ApiError {
    match error {
        ExemptError::Full => ApiError::conflict(error.to_string()),
        ExemptError::Unknown(_) => ApiError::unknown(error.to_string()),
        ExemptError::Kernel(_) => ApiError::failed(error.to_string()),
    }
}

pub(super) async fn exempt(
    State(gateway): Gate,
    ConnectInfo(peer): From,
    Body(asked): Body<Exempt>,
) -> Answer {
    let (net, seconds) = (net(&asked.host)?, in_range(asked.for_seconds)?);
    gateway
        .exempt(net, seconds, asked.reason.as_deref(), peer.who())
        .map_err(|error| not_exempted(&error))?;
    Ok(Json(gateway.exemptions()))
}

/// Body of a change about a host.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfHost {
    host: String,
    reason: Option<String>,
}

pub(super) async fn end_exemption(
    State(gateway): Gate,
    ConnectInfo(peer): From,
    Body(asked): Body<OfHost>,
) -> Answer {
    gateway
        .end_exemption(net(&asked.host)?, asked.reason.as_deref(), peer.who())
        .map_err(|error| not_exempted(&error))?;
    Ok(Json(gateway.exemptions()))
}

pub(super) async fn forget(
    State(gateway): Gate,
    ConnectInfo(peer): From,
    Body(asked): Body<OfHost>,
) -> Answer {
    let host: IpAddr = asked
        .host
        .parse()
        .map_err(|_| ApiError::wrong(format!("{:?} is no address", asked.host)))?;
    let forgotten = gateway
        .forget(host.to_canonical(), asked.reason.as_deref(), peer.who())
        .await
        .map_err(|error| ApiError::failed(error.to_string()))?;
    Ok(Json(json!({ "version": VERSION, "forgotten": forgotten })))
}

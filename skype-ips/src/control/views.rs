//! What is shown.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::gateway::Gateway;

pub(super) async fn status(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    Json(gateway.status())
}

pub(super) async fn counters(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    Json(gateway.packet_counters())
}

pub(super) async fn exemptions(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    Json(gateway.exemptions())
}

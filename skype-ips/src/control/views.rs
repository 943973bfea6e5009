//! What is shown.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use skype_ips_common::layout::{TCP, UDP};

use super::json::{ApiError, Asked, VERSION};
use crate::gateway::{FlowName, Gateway, Page, Part, Silent};
use crate::policy::to_mapped;

type Answer = Result<Json<Value>, ApiError>;

pub(super) async fn status(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    Json(gateway.status())
}

pub(super) async fn counters(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    Json(gateway.packet_counters())
}

pub(super) async fn exemptions(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    Json(gateway.exemptions())
}

/// Most entries of one answer.
const MOST: usize = 1000;
/// Entries of an answer unless something else is asked for.
const USUAL: usize = 100;

/// What of a list is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    host: Option<IpAddr>,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

impl Paging {
    fn page(&self) -> Result<Page, ApiError> {
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(ApiError::wrong(format!(
                "limit={limit} won't do: write 1 to {MOST}"
            )));
        }
        Ok(Page {
            host: self.host.map(to_mapped),
            offset: self.offset,
            limit,
        })
    }
}

fn silent(error: Silent) -> ApiError {
    ApiError::failed(error.to_string())
}

/// A part of a list as an answer.
fn list(name: &str, paging: &Paging, part: Part<Value>) -> Json<Value> {
    let next = paging.offset + part.list.len();
    let mut answer = json!({
        "version": VERSION,
        "total": part.total,
        "offset": paging.offset,
        "next_offset": (next < part.total && !part.list.is_empty()).then_some(next),
    });
    answer[name] = Value::Array(part.list);
    Json(answer)
}

pub(super) async fn hosts(
    State(gateway): State<Arc<Gateway>>,
    Asked(paging): Asked<Paging>,
) -> Answer {
    let hosts = gateway.hosts(paging.page()?).await.map_err(silent)?;
    Ok(list("hosts", &paging, hosts))
}

pub(super) async fn flows(
    State(gateway): State<Arc<Gateway>>,
    Asked(paging): Asked<Paging>,
) -> Answer {
    let flows = gateway.flows(paging.page()?).await.map_err(silent)?;
    Ok(list("flows", &paging, flows))
}

/// What is to be explained: a host, or a flow by its protocol and its ends in any order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct What {
    host: Option<IpAddr>,
    proto: Option<String>,
    a: Option<SocketAddr>,
    b: Option<SocketAddr>,
}

pub(super) async fn explain(
    State(gateway): State<Arc<Gateway>>,
    Asked(what): Asked<What>,
) -> Answer {
    let mut answer = match what {
        What {
            host: Some(host),
            proto: None,
            a: None,
            b: None,
        } => gateway.explain_host(host).await.map_err(silent)?,
        What {
            host: None,
            proto: Some(proto),
            a: Some(a),
            b: Some(b),
        } => {
            let protocol = match proto.to_ascii_lowercase().as_str() {
                "tcp" => TCP,
                "udp" => UDP,
                _ => return Err(ApiError::wrong(format!("{proto:?} is neither tcp nor udp"))),
            };
            let flow = FlowName {
                protocol,
                ends: [a, b],
            };
            gateway.explain_flow(flow).await.map_err(silent)?
        }
        _ => {
            let message = "ask for a host, or for proto, a and b of a flow";
            return Err(ApiError::wrong(message));
        }
    };
    if answer.is_null() {
        let message =
            "nothing is known of this flow: it has not passed lately, or not through this gateway";
        return Err(ApiError::unknown(message));
    }
    answer["version"] = json!(VERSION);
    Ok(Json(answer))
}

//! What operators' machines ask: is the process alive, can it place calls, and its metrics. Served
//! on the admin listener without a token.

use crate::app::App;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Whether the process is ready, part by part.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    /// What is amiss, in words; empty when ready.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Whether records can be written.
    pub store: bool,
    /// Whether recordings can be written.
    pub recordings: bool,
    /// Whether a shard that takes calls is connected.
    pub edge: bool,
    /// Calls that have not ended.
    pub live_calls: u64,
    pub shards: Vec<ShardState>,
}

/// A shard of an edge as operators see it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ShardState {
    pub edge: String,
    pub shard: u16,
    pub connected: bool,
    pub draining: bool,
    pub calls: u32,
    pub capacity: u32,
}

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operations",
    responses((status = 200, description = "Alive", body = String)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether calls can be placed.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    responses(
        (status = 200, description = "Calls can be placed", body = Readiness),
        (status = 503, description = "Calls cannot be placed; the body says why", body = Readiness),
    ),
)]
async fn readyz(State(app): State<Arc<App>>) -> impl IntoResponse {
    let written = app.probe.look(&app.records, app.config.recordings.folder.clone()).await;
    let (store, recordings, edge) =
        (written.store.is_ok(), written.recordings.is_ok(), app.link.is_ready());
    let shards = app.link.shards();
    let mut reasons: Vec<String> =
        shards.iter().flat_map(|shard| shard.complaints.iter().cloned()).collect();
    reasons.sort();
    reasons.dedup();
    reasons.extend([written.store, written.recordings].into_iter().filter_map(Result::err));
    if !edge {
        let socket = std::path::absolute(&app.config.link.socket).unwrap_or_default();
        reasons.push(format!(
            "no edge that takes calls is connected to {}; an edge names it as link.socket",
            socket.display()
        ));
    }
    if app.shutdown.is_cancelled() {
        reasons.push("the process is stopping".into());
    }
    let ready = reasons.is_empty();
    let shards = shards.into_iter().map(|shard| ShardState {
        edge: shard.edge.into(),
        shard: shard.shard,
        connected: shard.is_connected,
        draining: shard.status.draining,
        calls: shard.status.call_count,
        capacity: shard.status.call_capacity,
    });
    let live_calls = app.limits.lines.live_count();
    let body =
        Readiness { ready, reasons, store, recordings, edge, live_calls, shards: shards.collect() };
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

/// Metrics in the OpenMetrics text format.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "Metrics", body = String,
        content_type = "application/openmetrics-text")),
)]
async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let outbox = app.records.outbox_depth().await.unwrap_or_default();
    let text = app.metrics.print(
        app.limits.lines.live_count(),
        app.link.softphone_count(),
        outbox,
        &app.link.shards(),
    );
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}

/// The three routes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

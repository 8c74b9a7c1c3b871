//! The process's Prometheus metrics, and the shards' own counters under the names that the edge
//! gives them.

use crate::link::{ShardView, is_registered};
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use call_words::{AccountId, CallStatus, Word};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use quality::Quality;
use std::time::Instant;
use storage::{Call, OutboxDepth};

mod quality;

/// Upper bounds of the request latency buckets in seconds.
const LATENCY_BUCKETS: [f64; 11] =
    [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    listener: &'static str,
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    listener: &'static str,
    method: String,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CutLabels {
    listener: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    status: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MinutesLabels {
    account: String,
    level: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShardLabels {
    edge: String,
    shard: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShardTrunkLabels {
    edge: String,
    shard: u16,
    trunk: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShardCounterLabels {
    edge: String,
    shard: u16,
    name: String,
}

/// All metrics that this process counts itself.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    latencies: Family<RouteLabels, Latency>,
    cut_connections: Family<CutLabels, Counter>,
    calls: Family<CallLabels, Counter>,
    quality: Quality,
    callback_attempts: Family<ResultLabels, Counter>,
    launches: Family<ResultLabels, Counter>,
    sessions: Family<ResultLabels, Counter>,
    minutes_alerts: Family<MinutesLabels, Counter>,
    exposed_keys: Counter,
    refused_certificates: Counter,
}

/// A histogram with [`LATENCY_BUCKETS`].
#[derive(Debug, Clone)]
struct Latency(Histogram);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new(LATENCY_BUCKETS))
    }
}

impl prometheus_client::encoding::EncodeMetric for Latency {
    fn encode(
        &self,
        encoder: prometheus_client::encoding::MetricEncoder,
    ) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> prometheus_client::metrics::MetricType {
        self.0.metric_type()
    }
}

impl prometheus_client::metrics::TypedMetric for Latency {
    const TYPE: prometheus_client::metrics::MetricType =
        prometheus_client::metrics::MetricType::Histogram;
}

impl Metrics {
    /// Counts an HTTP connection that was cut: `address_full`, `listener_full` or `slow_reader`.
    pub fn connection_cut(&self, listener: &'static str, reason: &'static str) {
        self.cut_connections.get_or_create(&CutLabels { listener, reason }).inc();
    }

    /// Counts a call that ended.
    pub fn call_ended(&self, call: &Call) {
        let status = call.status.map_or("none", CallStatus::as_str);
        let reason = call.reason.as_ref().map_or("none", Word::as_str);
        let labels = CallLabels { status: status.into(), reason: reason.into() };
        self.calls.get_or_create(&labels).inc();
        self.quality.note(call);
    }

    /// Counts one attempt to deliver a callback by its result: `delivered`, an HTTP status class,
    /// or the word of the failure.
    pub fn callback_attempted(&self, result: &str) {
        self.callback_attempts.get_or_create(&ResultLabels { result: result.into() }).inc();
    }

    /// Counts one request for the launch page by its result: `opened`, or the code of the problem.
    pub fn launched(&self, result: &str) {
        self.launches.get_or_create(&ResultLabels { result: result.into() }).inc();
    }

    /// Counts one attempt of a page to open its session by its result: `opened`, or the code of the
    /// problem.
    pub fn session_opened(&self, result: &str) {
        self.sessions.get_or_create(&ResultLabels { result: result.into() }).inc();
    }

    /// Counts one account that came near its ceiling of minutes a day, or reached it. Worth an
    /// alert: a key may be in wrong hands.
    pub fn minutes_alerted(&self, account_id: &AccountId, level: &'static str) {
        self.minutes_alerts
            .get_or_create(&MinutesLabels { account: account_id.to_string(), level })
            .inc();
    }

    /// Counts one server key that came in a query string. Worth an alert: the key is to be rotated.
    pub fn server_key_exposed(&self) {
        self.exposed_keys.inc();
    }

    /// Counts one change of a listener's certificate files that could not be used. Worth an alert:
    /// the old certificate will expire.
    pub fn certificate_refused(&self) {
        self.refused_certificates.inc();
    }

    /// Prints everything in the OpenMetrics text format.
    pub fn print(
        &self,
        live_count: u64,
        softphone_count: usize,
        outbox: OutboxDepth,
        shards: &[ShardView],
    ) -> String {
        let mut registry = Registry::with_prefix("control_api");
        registry.register("http_requests", "HTTP requests answered", self.requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time to answer an HTTP request",
            self.latencies.clone(),
        );
        let cut = self.cut_connections.clone();
        registry.register(
            "http_connections_cut",
            "HTTP connections that had to make room or took no answer",
            cut,
        );
        registry.register(
            "calls_ended",
            "Calls that ended, by status and reason",
            self.calls.clone(),
        );
        self.quality.register(&mut registry);
        registry.register(
            "callback_attempts",
            "Callback attempts, by result",
            self.callback_attempts.clone(),
        );
        registry.register(
            "webphone_launches",
            "Requests for the launch page, by result",
            self.launches.clone(),
        );
        registry.register(
            "webphone_sessions",
            "Attempts of pages to open their session, by result",
            self.sessions.clone(),
        );
        let alerts = self.minutes_alerts.clone();
        registry.register(
            "minutes_alerts",
            "Accounts near their ceiling of minutes a day, or at it",
            alerts,
        );
        registry.register(
            "server_keys_exposed",
            "Server keys that came in a query string",
            self.exposed_keys.clone(),
        );
        let refused = self.refused_certificates.clone();
        registry.register(
            "certificates_refused",
            "Changes of certificate files that could not be used",
            refused,
        );
        let lost_lines = Counter::<u64>::default();
        lost_lines.inc_by(journal::lost_count());
        registry.register(
            "log_lines_lost",
            "Lines of the log that could not be written",
            lost_lines,
        );
        let softphones = Gauge::<i64>::default();
        softphones.set(softphone_count as i64);
        registry.register("softphones_online", "Agents whose softphone is registered", softphones);
        let [pending, exhausted] = [outbox.pending, outbox.exhausted].map(|count| {
            let gauge = Gauge::<i64>::default();
            gauge.set(count as i64);
            gauge
        });
        registry.register("callbacks_pending", "Callbacks that are still being tried", pending);
        registry.register(
            "callbacks_exhausted",
            "Call results that were given up and are kept",
            exhausted,
        );
        let live = Gauge::<i64>::default();
        live.set(live_count as i64);
        registry.register("calls_live", "Calls that have not ended", live);
        register_shards(&mut registry, shards);
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a String cannot fail");
        text
    }
}

fn register_shards(registry: &mut Registry, shards: &[ShardView]) {
    let [connected, draining, calls, capacity, ports] =
        std::array::from_fn(|_| Family::<ShardLabels, Gauge>::default());
    let [registered, reachable, breakers] =
        std::array::from_fn(|_| Family::<ShardTrunkLabels, Gauge>::default());
    let counters = Family::<ShardCounterLabels, Counter>::default();
    for shard in shards {
        let labels = ShardLabels { edge: shard.edge.to_string(), shard: shard.shard };
        connected.get_or_create(&labels).set(i64::from(shard.is_connected));
        draining.get_or_create(&labels).set(i64::from(shard.status.draining));
        calls.get_or_create(&labels).set(i64::from(shard.status.call_count));
        capacity.get_or_create(&labels).set(i64::from(shard.status.call_capacity));
        ports.get_or_create(&labels).set(i64::from(shard.status.free_port_pairs));
        for state in &shard.trunks {
            let labels = ShardTrunkLabels {
                edge: shard.edge.to_string(),
                shard: shard.shard,
                trunk: state.trunk.to_string(),
            };
            if let Some(registration) = &state.registration {
                let is_registered = is_registered(registration);
                registered.get_or_create(&labels).set(i64::from(is_registered));
            }
            if let Some(is_reachable) = state.reachable {
                reachable.get_or_create(&labels).set(i64::from(is_reachable));
            }
            breakers.get_or_create(&labels).set(i64::from(state.breaker_open));
        }
        for (name, value) in &shard.status.counters {
            let labels = ShardCounterLabels {
                edge: shard.edge.to_string(),
                shard: shard.shard,
                name: name.clone(),
            };
            counters.get_or_create(&labels).inc_by(*value);
        }
    }
    registry.register("edge_connected", "Whether the shard's link is up", connected);
    registry.register("edge_draining", "Whether the shard takes no new calls", draining);
    registry.register("edge_calls", "Calls on the shard", calls);
    registry.register("edge_call_capacity", "Most calls that the shard takes", capacity);
    registry.register("edge_free_port_pairs", "RTP port pairs that the shard has free", ports);
    registry.register(
        "edge_trunk_registered",
        "Whether the trunk has taken the shard's registration",
        registered,
    );
    registry.register(
        "edge_trunk_reachable",
        "Whether the trunk answers the shard's OPTIONS",
        reachable,
    );
    registry.register(
        "edge_trunk_breaker_open",
        "Whether the shard tries other trunks first, for calls over this one came to nothing",
        breakers,
    );
    registry.register(
        "edge_events",
        "The shard's own counters by name, drop reasons among them",
        counters,
    );
}

/// Which listener a request came to, with the metrics to count it in.
#[derive(Debug, Clone)]
pub struct RequestCounter {
    pub metrics: Metrics,
    pub listener: &'static str,
}

/// Middleware that counts each request by its route (never by its path: paths hold recording
/// tokens).
pub async fn count_request(
    State(counter): State<RequestCounter>,
    request: Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unknown", |path| path.as_str())
        .to_owned();
    let method = match *request.method() {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE => request.method().to_string(),
        _ => "other".to_owned(),
    };
    let start = Instant::now();
    let response = next.run(request).await;
    let elapsed = start.elapsed();
    let listener = counter.listener;
    let status = response.status().as_u16();
    tracing::debug!(listener, %method, %route, status, elapsed_us = elapsed.as_micros() as u64,
        "request");
    let labels = RouteLabels { listener, method: method.clone(), route: route.clone() };
    counter.metrics.latencies.get_or_create(&labels).0.observe(elapsed.as_secs_f64());
    counter
        .metrics
        .requests
        .get_or_create(&RequestLabels { listener, method, route, status })
        .inc();
    response
}

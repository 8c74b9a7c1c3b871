//! How ended calls sounded, each leg and direction.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use storage::{Call, LegMedia};

/// Upper bounds of mean opinion scores: below 3.1 nearly all are dissatisfied, from 4.3 on all are
/// satisfied (ITU-T G.109 §6).
const MOS_BUCKETS: [f64; 7] = [2.0, 2.58, 3.1, 3.6, 4.03, 4.34, 4.5];
/// Of jitter, in seconds.
const JITTER_BUCKETS: [f64; 7] = [0.001, 0.005, 0.01, 0.02, 0.03, 0.06, 0.12];
/// Of round trips, in seconds.
const ROUND_TRIP_BUCKETS: [f64; 7] = [0.01, 0.05, 0.1, 0.2, 0.3, 0.6, 1.2];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LegLabels {
    leg: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    leg: &'static str,
    direction: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Quality of ended calls.
#[derive(Debug, Clone)]
pub(super) struct Quality {
    packets: Family<StreamLabels, Counter>,
    lost: Family<StreamLabels, Counter>,
    scores: Histograms<StreamLabels>,
    jitters: Histograms<StreamLabels>,
    round_trips: Histograms<LegLabels>,
}

impl Default for Quality {
    fn default() -> Self {
        Self {
            packets: Family::default(),
            lost: Family::default(),
            scores: Family::new_with_constructor(|| Histogram::new(MOS_BUCKETS)),
            jitters: Family::new_with_constructor(|| Histogram::new(JITTER_BUCKETS)),
            round_trips: Family::new_with_constructor(|| Histogram::new(ROUND_TRIP_BUCKETS)),
        }
    }
}

impl Quality {
    /// Counts a call that ended.
    pub fn note(&self, call: &Call) {
        for (leg, media) in [("agent", &call.agent_media), ("customer", &call.customer_media)] {
            if let Some(media) = media {
                self.note_leg(leg, media);
            }
        }
    }

    fn note_leg(&self, leg: &'static str, media: &LegMedia) {
        let received = StreamLabels { leg, direction: "received" };
        self.packets.get_or_create(&received).inc_by(media.received_count);
        self.lost.get_or_create(&received).inc_by(media.lost_count);
        if let Some(mos) = media.mos {
            self.scores.get_or_create(&received).observe(mos.mean.into());
            self.jitters.get_or_create(&received).observe(seconds(media.jitter_ms));
        }
        let sent = StreamLabels { leg, direction: "sent" };
        self.packets.get_or_create(&sent).inc_by(media.sent_count);
        if let Some(far) = &media.far {
            self.lost.get_or_create(&sent).inc_by(far.lost_count);
            self.scores.get_or_create(&sent).observe(far.mos.mean.into());
            self.jitters.get_or_create(&sent).observe(seconds(far.jitter_ms));
        }
        if let Some(round_trip_ms) = media.round_trip_ms {
            let round_trips = self.round_trips.get_or_create(&LegLabels { leg });
            round_trips.observe(seconds(round_trip_ms));
        }
    }

    /// Names the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "call_packets",
            "RTP packets of ended calls, by leg and direction",
            self.packets.clone(),
        );
        registry.register(
            "call_packets_lost",
            "RTP packets that never came, those sent as far as the party reported",
            self.lost.clone(),
        );
        registry.register(
            "call_mos",
            "Mean opinion scores of ended calls (ITU-T G.107)",
            self.scores.clone(),
        );
        registry.register(
            "call_jitter_seconds",
            "Interarrival jitter at the end of calls",
            self.jitters.clone(),
        );
        registry.register(
            "call_round_trip_seconds",
            "Round trips between the service and the party, by RTCP",
            self.round_trips.clone(),
        );
    }
}

fn seconds(ms: f32) -> f64 {
    f64::from(ms) / 1000.0
}

//! How a call sounded, as the API shows it: each leg, each direction.

use serde::{Deserialize, Serialize};
use storage::{Call, LegMedia, Mos};
use utoipa::ToSchema;

/// How a call sounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QualityView {
    /// `null` for an agent whose media were never agreed; so for the customer.
    pub agent: Option<LegQualityView>,
    pub customer: Option<LegQualityView>,
}

/// How one party's leg sounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LegQualityView {
    /// There and back between the service and the party, by RTCP.
    #[schema(example = 42.5)]
    pub round_trip_ms: Option<f32>,
    /// What came from the party.
    pub received: StreamQualityView,
    /// What was sent to the party; all but `packets` is known from a party that reports (RTCP).
    pub sent: StreamQualityView,
}

/// How one direction of a leg sounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StreamQualityView {
    /// RTP packets that came, or that were sent.
    #[schema(example = 7_500)]
    pub packets: u64,
    /// Packets that never came where they were sent.
    #[schema(example = 3)]
    pub lost: Option<u64>,
    /// Interarrival jitter (RFC 3550) at the end.
    #[schema(example = 1.5)]
    pub jitter_ms: Option<f32>,
    /// Mean opinion score of the whole call by the E-model (ITU-T G.107): from 1 to 4.5, 4.4 is a
    /// perfect G.711 line.
    #[schema(example = 4.37)]
    pub mos: Option<f32>,
    /// The score of the worst five seconds or so.
    #[schema(example = 4.02)]
    pub mos_worst: Option<f32>,
}

impl QualityView {
    /// `None` of a call whose media were never agreed, before the end, and if the edge is gone.
    pub fn of(call: &Call) -> Option<Self> {
        let quality = Self {
            agent: call.agent_media.as_ref().map(LegQualityView::of),
            customer: call.customer_media.as_ref().map(LegQualityView::of),
        };
        (quality.agent.is_some() || quality.customer.is_some()).then_some(quality)
    }
}

impl LegQualityView {
    fn of(media: &LegMedia) -> Self {
        let stream = |packets, lost, jitter_ms, mos: Option<Mos>| StreamQualityView {
            packets,
            lost,
            jitter_ms,
            mos: mos.map(|mos| mos.mean),
            mos_worst: mos.map(|mos| mos.worst),
        };
        let far = media.far.as_ref();
        Self {
            round_trip_ms: media.round_trip_ms,
            received: stream(
                media.received_count,
                Some(media.lost_count),
                Some(media.jitter_ms),
                media.mos,
            ),
            sent: stream(
                media.sent_count,
                far.map(|far| far.lost_count),
                far.map(|far| far.jitter_ms),
                far.map(|far| far.mos),
            ),
        }
    }
}

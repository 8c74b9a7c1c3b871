//! Whom a leg calls: a number through trunks, tried in order, or an agent's registered softphone.

use super::description::Carriage;
use crate::call::context::Context;
use crate::call::invitation::identity::{self, Redirection};
use crate::call::invitation::request::{self, Target};
use crate::call::shard::Resources;
use crate::command::{AgentTarget, Destination, Route};
use crate::message::Header;
use crate::outcome::LegName;
use call_words::{AgentName, Reason, TrunkId};
use media_core::relay::{LegId, MediaSources, NoPort};
use std::net::IpAddr;
use std::time::Duration;

/// What a softphone is called where a trunk has its name.
const SOFTPHONE: &str = "softphone";

/// Whom a leg calls.
pub enum Callee {
    Trunks(Destination),
    Softphone { agent: AgentName, ring: Duration, opus: bool },
}

impl From<AgentTarget> for Callee {
    fn from(target: AgentTarget) -> Callee {
        match target {
            AgentTarget::Phone(destination) => Callee::Trunks(destination),
            AgentTarget::Softphone { agent, ring, opus } => Callee::Softphone { agent, ring, opus },
        }
    }
}

impl Callee {
    /// Opens media as it needs them, for the call's leg of this name.
    pub fn open_media(&self, cx: &mut Context<'_>, name: LegName) -> Result<LegId, NoPort> {
        let media = match self {
            Callee::Trunks(_) => cx.shard.relay.open_leg(cx.now),
            Callee::Softphone { .. } => cx.shard.relay.open_softphone(cx.now),
        }?;
        cx.shard.media_legs.insert(Resources::leg_key(media), (cx.call, name));
        Ok(media)
    }

    /// Longest time from an INVITE to its answer.
    pub fn ring(&self) -> Duration {
        match self {
            Callee::Trunks(destination) => destination.ring,
            Callee::Softphone { ring, .. } => *ring,
        }
    }

    /// The name of a route in timelines and attempts.
    pub fn route_name(&self, route: usize) -> TrunkId {
        match self {
            Callee::Trunks(destination) => destination.routes[route].trunk.clone(),
            Callee::Softphone { .. } => SOFTPHONE.into(),
        }
    }

    /// How many ways there are to it, to be tried one after the other.
    pub fn route_count(&self) -> usize {
        match self {
            Callee::Trunks(destination) => destination.routes.len(),
            Callee::Softphone { .. } => 1,
        }
    }

    /// A trunk's route.
    pub fn route(&self, route: usize) -> Option<&Route> {
        match self {
            Callee::Trunks(destination) => destination.routes.get(route),
            Callee::Softphone { .. } => None,
        }
    }

    /// From where the media of a route's peer may come, whose signalling goes to `peer`; a
    /// softphone's is shown by checks.
    pub fn media_sources(&self, route: usize, peer: IpAddr) -> Option<MediaSources> {
        let networks = self.route(route)?.media_from.clone();
        Some(MediaSources { signalling: Some(peer), networks })
    }

    /// The trunk of a route.
    pub fn trunk(&self, route: usize) -> Option<&TrunkId> {
        Some(&self.route(route)?.trunk)
    }

    /// Leaves out addresses that are of another IP version than their trunk's interface where it
    /// has others, and puts the routes last over which the last calls came to nothing; the first is
    /// tried.
    pub fn order(&mut self, cx: &mut Context<'_>) {
        let Callee::Trunks(destination) = self else { return };
        let is_reached = |route: &Route| cx.shard.config.interface_for(route).is_ok();
        if !destination.routes.iter().all(is_reached) {
            let reached: Vec<TrunkId> = destination
                .routes
                .iter()
                .filter(|it| is_reached(it))
                .map(|it| it.trunk.clone())
                .collect();
            destination.routes.retain(|route| is_reached(route) || !reached.contains(&route.trunk));
        }
        let trunks = &mut cx.shard.trunks;
        destination.routes.sort_by_key(|route| trunks.is_avoided(cx.now, &route.trunk));
        if let Some(first) = destination.routes.first() {
            trunks.begin_trial(cx.now, &first.trunk);
        }
    }

    /// Trunks that have no route now, and why.
    pub fn skipped(&self) -> &[(TrunkId, Reason)] {
        match self {
            Callee::Trunks(destination) => &destination.skipped,
            Callee::Softphone { .. } => &[],
        }
    }

    /// How media are carried on this way.
    pub fn carriage(&self, route: usize) -> Carriage {
        match self {
            Callee::Trunks(destination) => {
                let route = &destination.routes[route];
                let Route { media, dtmf, comfort_noise, .. } = *route;
                Carriage::Trunk { media, dtmf, comfort_noise }
            }
            Callee::Softphone { opus, .. } => Carriage::Softphone { opus: *opus },
        }
    }

    /// What an INVITE says of who sent the call on.
    pub fn forwarded(&self, route: usize, redirection: Option<Redirection<'_>>) -> Option<Header> {
        identity::forwarded(self.route(route)?, redirection)
    }

    /// Where an INVITE goes; `None` if the softphone is not registered now.
    pub fn target(&self, cx: &Context<'_>, route: usize) -> Option<Target> {
        match self {
            Callee::Trunks(destination) => {
                Some(request::trunk_target(cx, &destination.routes[route]))
            }
            Callee::Softphone { agent, .. } => {
                let binding = cx.shard.registrar.as_ref()?.binding(agent)?;
                Some(request::softphone_target(cx, agent, binding))
            }
        }
    }
}

//! What the relay was last told of who hears whom and what is played, and what has to be told when
//! that changes.

use super::context::Context;
use super::conversation::rooms::{Background, Ears};
use crate::outcome::LegName;
use media_core::relay::{LegId, Tone};

/// What each leg hears, as the relay knows it.
pub struct Hearing {
    told: Vec<Ears>,
    /// File name of what is played on hold.
    hold_audio: Option<String>,
}

impl Hearing {
    pub fn new(hold_audio: Option<String>) -> Hearing {
        Hearing { told: Vec::new(), hold_audio }
    }

    /// Lets each leg hear what it is to hear, in one go.
    pub fn follow(
        &mut self,
        cx: &mut Context<'_>,
        ears: Vec<Ears>,
        media: impl Fn(LegName) -> LegId,
    ) {
        let before = std::mem::take(&mut self.told);
        let former = |leg: LegName| before.iter().find(|each| each.leg == leg);
        for each in ears
            .iter()
            .filter(|each| former(each.leg).map(|ears| &ears.sources) != Some(&each.sources))
        {
            let sources: Vec<LegId> = each.sources.iter().map(|name| media(*name)).collect();
            cx.shard.relay.set_hearing(cx.now, media(each.leg), &sources);
        }
        for gone in before.iter().filter(|each| ears.iter().all(|now| now.leg != each.leg)) {
            cx.shard.relay.set_hearing(cx.now, media(gone.leg), &[]);
            cx.shard.relay.stop_playing(media(gone.leg));
        }
        // What is played pauses while a source's audio comes: when the sources change it begins at
        // once.
        let is_played = |each: &&Ears| former(each.leg).is_some_and(|ears| ears == *each);
        for each in ears.iter().filter(|each| !is_played(each)) {
            match each.background {
                Some(background) => {
                    cx.shard.relay.play(cx.now, media(each.leg), self.tone(cx, background))
                }
                None => cx.shard.relay.stop_playing(media(each.leg)),
            }
        }
        self.told = ears;
    }

    fn tone(&self, cx: &Context<'_>, background: Background) -> Tone {
        let kept = self.hold_audio.as_ref().and_then(|name| cx.shard.hold_audio.get(name));
        match background {
            Background::Ringback => Tone::Ringback,
            Background::Silence => Tone::Silence,
            Background::Hold => kept.map_or(Tone::Hold, |audio| Tone::Audio(*audio)),
        }
    }

    /// The pair before the bridge: the agent hears what the customer's network says.
    pub fn pair(&mut self, cx: &mut Context<'_>, agent: LegId, customer: LegId) {
        cx.shard.relay.set_hearing(cx.now, agent, &[customer]);
        cx.shard.relay.set_hearing(cx.now, customer, &[agent]);
        let ears = |leg, source| Ears { leg, sources: vec![source], background: None };
        self.told =
            vec![ears(LegName::Agent, LegName::Customer), ears(LegName::Customer, LegName::Agent)];
    }

    /// Forgets what a leg that is closed heard.
    pub fn forget(&mut self, leg: LegName) {
        self.told.retain(|ears| ears.leg != leg);
    }

    /// Those who hear a leg.
    pub fn listeners(&self, to: LegName) -> Vec<LegName> {
        let hears = |ears: &&Ears| ears.sources.contains(&to);
        self.told.iter().filter(hears).map(|ears| ears.leg).collect()
    }
}

//! What both sides of a leg agreed on, for all who measure a relay or count what it allocates: the
//! codecs that carriers offer, in both directions.

use media_core::codec::{Codec, Format, PayloadType};
use media_core::relay::RemoteMedia;
use media_core::sdp::Direction;
use media_core::srtp::SrtpKeys;
use std::net::SocketAddr;

/// A peer at this address, by plain RTP or with these keys.
pub fn remote(rtp: SocketAddr, srtp: Option<SrtpKeys>) -> RemoteMedia {
    let number = |number| PayloadType::new(number).expect("7 bits");
    RemoteMedia {
        rtp: Some(rtp),
        rtcp: Some(rtp),
        rtcp_mux: true,
        codec: Codec::Pcmu,
        audio: number(0),
        telephone_event: Some(number(101)),
        comfort_noise: None,
        received: [
            (number(0), Format::Audio(Codec::Pcmu)),
            (number(8), Format::Audio(Codec::Pcma)),
            (number(101), Format::TelephoneEvent),
            (number(13), Format::ComfortNoise),
        ]
        .into_iter()
        .collect(),
        direction: Direction::SendRecv,
        srtp: srtp.map(Box::new),
    }
}

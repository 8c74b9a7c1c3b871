//! Kept audio: repeated, for each codec, and given up.

use super::*;
use crate::g711;

fn samples(outputs: &[Done], law: Law) -> Vec<i16> {
    let heard = rtp_among(outputs);
    heard
        .iter()
        .flat_map(|heard| &heard.payload)
        .map(|byte| g711::decode_table(law)[usize::from(*byte)])
        .collect()
}

#[test]
fn kept_audio_is_repeated_and_gives_way_to_the_tone_when_it_is_gone() {
    let mut rig = Rig::new();
    let agent = rig.open(AGENT);
    let customer = rig.relay.open_leg(rig.now).unwrap();
    rig.relay.set_remote(rig.now, customer, alaw(CUSTOMER));
    rig.outputs();
    // 250 samples: the second packet is filled up with silence.
    let audio = rig.relay.add_audio(&[4860; 250]).unwrap();
    for (leg, law) in [(agent, Law::Pcmu), (customer, Law::Pcma)] {
        rig.relay.play(rig.now, leg, Tone::Audio(audio));
        let heard = samples(&rig.pass_ms(80), law);
        assert_eq!(heard.len(), 640);
        for (n, sample) in heard.iter().enumerate() {
            let expected = if n % 320 < 250 { 4860 } else { 0 };
            assert!((sample - expected).abs() < 260, "{n}: {sample}");
        }
        rig.relay.stop_playing(leg);
    }
    rig.relay.play(rig.now, agent, Tone::Audio(audio));
    rig.pass_ms(20);
    rig.relay.remove_audio(audio);
    let heard = samples(&rig.pass_ms(4000), Law::Pcmu);
    assert!(
        heard.iter().all(|sample| sample.abs() < 3000)
            && crate::tone::level(&heard[..1600], 480.0) > 0.0
    );
    assert!(heard.iter().any(|sample| sample.abs() > 2000), "the hold tone");
    // An id that means nothing is the hold tone too.
    rig.relay.stop_playing(agent);
    rig.relay.play(rig.now, agent, Tone::Audio(audio));
    assert!(
        samples(&rig.pass_ms(4000), Law::Pcmu)
            .iter()
            .any(|sample| (2000..3000).contains(&sample.abs()))
    );
}

#[test]
fn as_many_audios_as_may_be_are_kept() {
    let mut rig = Rig::new();
    assert_eq!(rig.relay.add_audio(&[]), None);
    let audios: Vec<AudioId> = (0..64).map(|_| rig.relay.add_audio(&[1]).unwrap()).collect();
    assert_eq!(rig.relay.add_audio(&[1]), None);
    rig.relay.remove_audio(audios[7]);
    rig.relay.remove_audio(audios[7]);
    let again = rig.relay.add_audio(&[1]).unwrap();
    assert_eq!((again.index, again == audios[7]), (7, false));
    assert_eq!(rig.relay.add_audio(&[1]), None);
}

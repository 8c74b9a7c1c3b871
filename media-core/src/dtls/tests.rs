//! Fingerprints, and handshakes with a client of `dimpl`'s over a path that loses what a test says.

use super::*;
use crate::clock;

#[test]
fn a_fingerprint_reads_as_it_is_shown() {
    let fingerprint = Fingerprint::of(b"abc");
    let shown = fingerprint.to_string();
    assert!(shown.starts_with("BA:78:16:BF:8F:01:CF:EA:") && shown.len() == 95, "{shown}");
    assert_eq!(Fingerprint::parse(&shown), Some(fingerprint));
    assert_eq!(Fingerprint::parse(&shown.to_lowercase()), Some(fingerprint));
    for wrong in [
        &shown[3..],
        &format!("{shown}:00"),
        &shown.replace("BA", "+A"),
        &shown.replace(':', ""),
        "",
    ] {
        assert_eq!(Fingerprint::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_secret_has_one_key() {
    let (one, same, other) = (private_key(b"a"), private_key(b"a"), private_key(b"b"));
    assert!(one == same && one != other);
}

#[derive(Clone, Copy)]
enum Version {
    One2,
    One3,
}

struct Client {
    dtls: Dtls,
    due: Instant,
    keys: Option<(Vec<u8>, SrtpProfile)>,
    peer: Option<Fingerprint>,
    fingerprint: Fingerprint,
    sent: Vec<Vec<u8>>,
}

impl Client {
    fn new(now: Instant, version: Version) -> Client {
        let identity = Identity::new(b"the client's secret");
        let fingerprint = identity.fingerprint();
        let mut dtls = match version {
            Version::One2 => Dtls::new_12(identity.config, identity.certificate, now),
            Version::One3 => Dtls::new_13(identity.config, identity.certificate, now),
        };
        dtls.set_active(true);
        Client { dtls, due: now, keys: None, peer: None, fingerprint, sent: Vec::new() }
    }

    fn drain(&mut self) {
        let mut record = [0; RECORD_LEN];
        loop {
            match self.dtls.poll_output(&mut record) {
                Output::Packet(datagram) => self.sent.push(datagram.to_vec()),
                Output::PeerCert(certificate) => self.peer = Some(Fingerprint::of(certificate)),
                Output::KeyingMaterial(material, profile) => {
                    self.keys = Some((material.to_vec(), profile))
                }
                Output::Timeout(due) => return self.due = due,
                _ => {}
            }
        }
    }
}

struct Path {
    now: Instant,
    client: Client,
    server: Association,
    identity: Identity,
    /// Datagrams on the path so far, both ways.
    count: usize,
    /// Given to the server before each record of the client's, which then come one by one.
    forged: Option<Vec<u8>>,
    discarded_count: usize,
}

impl Path {
    fn new(version: Version) -> Path {
        let (now, identity) = (clock::start(), Identity::new(b"the server's secret"));
        let server = Association::new(now, &identity, &[]);
        let client = Client::new(now, version);
        Path { now, client, server, identity, count: 0, forged: None, discarded_count: 0 }
    }

    /// Carries datagrams until both are done; those whose number is in `lost` get lost.
    fn run(&mut self, lost: &[usize]) -> Result<(), Failed> {
        for _ in 0..40 {
            self.client.dtls.handle_timeout(self.now).unwrap();
            self.client.drain();
            let mut answers = Vec::new();
            for datagram in std::mem::take(&mut self.client.sent) {
                self.count += 1;
                if lost.contains(&self.count) {
                    continue;
                }
                let Some(forged) = &self.forged else {
                    self.server.handle_datagram(self.now, &datagram, |answer| {
                        answers.push(answer.to_vec())
                    })?;
                    continue;
                };
                for record in records(&datagram) {
                    for given in [forged.as_slice(), record] {
                        let taken = self.server.handle_datagram(self.now, given, |answer| {
                            answers.push(answer.to_vec())
                        })?;
                        self.discarded_count += usize::from(taken == Taken::Discarded);
                    }
                }
            }
            if self.server.due() <= self.now {
                self.server.handle_timeout(self.now, |answer| answers.push(answer.to_vec()))?;
            }
            for answer in answers {
                self.count += 1;
                if !lost.contains(&self.count) {
                    self.client.dtls.handle_packet(&answer).unwrap();
                    self.client.drain();
                }
            }
            if self.client.sent.is_empty() {
                if self.server.outcome().is_some() && self.client.keys.is_some() {
                    return Ok(());
                }
                self.now = self.client.due.min(self.server.due()).max(self.now);
            }
        }
        panic!("no end")
    }

    #[track_caller]
    fn check_keys(&self) {
        let (material, profile) = self.client.keys.as_ref().unwrap();
        let mirrored = srtp_keys(KeyingMaterial::new(material), *profile).unwrap();
        let (peer, keys) = self.server.outcome().unwrap();
        assert_eq!(*keys, mirrored);
        assert_eq!(peer, self.client.fingerprint);
        assert_eq!(self.client.peer, Some(self.identity.fingerprint()));
    }
}

#[test]
fn handshakes_of_both_versions_give_both_sides_the_same_keys() {
    for version in [Version::One2, Version::One3] {
        let mut path = Path::new(version);
        path.run(&[]).unwrap();
        path.check_keys();
        assert!(!path.server.is_over(path.now) && path.server.is_over(path.now + LINGER));
    }
}

#[test]
fn a_lost_datagram_is_repeated() {
    for version in [Version::One2, Version::One3] {
        for lost in 1..=6 {
            let mut path = Path::new(version);
            path.run(&[lost]).unwrap();
            path.check_keys();
        }
    }
}

/// The plain records of a datagram; from the first with a unified header on it is left whole.
fn records(datagram: &[u8]) -> Vec<&[u8]> {
    let mut rest = datagram;
    let mut records = Vec::new();
    while let [20..32, ..] = rest {
        let (record, after) =
            rest.split_at(13 + usize::from(u16::from_be_bytes([rest[11], rest[12]])));
        records.push(record);
        rest = after;
    }
    records.extend((!rest.is_empty()).then_some(rest));
    records
}

/// RFC 6347 §4.1.2.7, RFC 9147 §4.5.2
#[test]
fn a_record_that_cannot_be_decrypted_is_passed_over() {
    let protected = [&[22, 254, 253, 0, 1, 0, 0, 0, 0, 9, 9, 0, 40][..], &[5; 40]].concat();
    let unified = [&[0b0010_1110, 9, 9, 0, 40][..], &[5; 40]].concat();
    for (version, forged) in [(Version::One2, protected), (Version::One3, unified)] {
        assert!(is_sound(&forged));
        let mut path = Path::new(version);
        path.forged = Some(forged);
        path.run(&[]).unwrap();
        path.check_keys();
        // Before its keys are there, and in 1.3, `dimpl` passes over it without a word.
        assert_eq!(path.discarded_count > 0, matches!(version, Version::One2));
    }
}

#[test]
fn a_peer_that_falls_silent_ends_the_handshake() {
    let mut path = Path::new(Version::One2);
    path.client.dtls.handle_timeout(path.now).unwrap();
    path.client.drain();
    for datagram in std::mem::take(&mut path.client.sent) {
        path.server.handle_datagram(path.now, &datagram, |_| ()).unwrap();
    }
    let limit = path.now + HANDSHAKE_LIMIT;
    let mut repetitions = 0;
    while path.server.due() < limit + HANDSHAKE_LIMIT {
        path.now = path.server.due();
        if path.server.handle_timeout(path.now, |_| repetitions += 1).is_err() {
            break;
        }
    }
    assert!(path.now <= limit && repetitions >= REPETITIONS, "{repetitions}");
    assert!(path.server.outcome().is_none());
}

#[test]
fn nonsense_neither_panics_nor_finishes() {
    let mut random = crate::random::Random::new(3);
    let identity = Identity::new(b"the server's secret");
    let now = clock::start();
    let mut client = Client::new(now, Version::One2);
    client.dtls.handle_timeout(now).unwrap();
    client.drain();
    let hello = client.sent.remove(0);
    for round in 0..300 {
        let mut association = Association::new(now, &identity, &[]);
        let mut datagram = hello.clone();
        for _ in 0..1 + random.next_u64() % 6 {
            let at = random.next_u64() as usize % datagram.len();
            datagram[at] = random.next_u64() as u8;
        }
        datagram.truncate(datagram.len() - round % 7);
        let _ = association.handle_datagram(now, &datagram, |_| ());
        assert!(association.outcome().is_none());
    }
}

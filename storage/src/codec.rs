//! Records as bytes: one version byte, then JSON, without what is not there: a call is written at
//! each of its steps. A reader knows every version that was ever released; fields that a later
//! version adds have serde defaults. `tests/golden` keeps bytes of each version.

use crate::error::{Error, Result};
use crate::record::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind of record with its version.
pub(crate) trait Record: Serialize + DeserializeOwned {
    const KIND: &'static str;
    const VERSION: u8 = 1;
}

macro_rules! records {
    ($($record:ty => $kind:literal $(version $version:expr)?),* $(,)?) => {
        $(impl Record for $record {
            const KIND: &'static str = $kind;
            $(const VERSION: u8 = $version;)?
        })*
    };
}

records! {
    Account => "account" version Account::VERSION,
    Number => "number",
    Agent => "agent",
    ApiKey => "api key" version 2,
    Trunk => "trunk" version 4,
    Call => "call" version 7,
    TimelineEntry => "timeline" version 3,
    IdempotencyEntry => "idempotency",
    RecordingEntry => "recording",
    CallbackJob => "callback job" version 4,
    DeliveryAttempt => "delivery" version 3,
    WebphoneSession => "webphone session" version 2,
    Softphone => "softphone" version 2,
    EventRecord => "event" version 2,
    EventMark => "event mark",
    Ladder => "ladder",
}

/// Prints a record with its version byte.
pub(crate) fn encode<R: Record>(record: &R) -> Vec<u8> {
    let mut bytes = vec![R::VERSION];
    serde_json::to_writer(&mut bytes, record)
        .expect("records have string keys and plain values only");
    bytes
}

/// Parses a record of any version up to this release's.
pub(crate) fn decode<R: Record>(bytes: &[u8]) -> Result<R> {
    let corrupt = |reason: String| Error::Corrupt { kind: R::KIND, reason };
    match bytes.split_first() {
        Some((&version, _)) if version > R::VERSION => {
            Err(Error::NewerVersion { kind: R::KIND, version })
        }
        Some((1.., json)) => {
            serde_json::from_slice(json).map_err(|error| corrupt(error.to_string()))
        }
        _ => Err(corrupt("no version byte".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use call_words::{
        CallState, CallStatus, CallType, Direction, DtmfMode, ForwardingHeader, HangupBy, JobState,
        Joining, LegKind, MediaProfile, MessageWay, PartyRole, PartyState, RecordingLayout,
        RecordingState, SignalTransport, SupervisorRole, TransportKind,
    };
    use std::path::Path;

    fn golden(file_name: &str) -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file_name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Bytes of an older version load, what was added since as its default.
    #[track_caller]
    fn check_old<R: Record + PartialEq + std::fmt::Debug>(file_name: &str, expected: &R) {
        assert_eq!(
            &decode::<R>(&golden(file_name)).unwrap(),
            expected,
            "{file_name} no longer loads as it was meant"
        );
    }

    /// What is written today is what the golden file holds, too. A new version adds a file, never
    /// edits one.
    #[track_caller]
    fn check<R: Record + PartialEq + std::fmt::Debug>(file_name: &str, expected: &R) {
        check_old(file_name, expected);
        let golden = golden(file_name);
        let written = encode(expected);
        assert_eq!(
            String::from_utf8_lossy(&written),
            String::from_utf8_lossy(&golden),
            "{file_name}: the written form changed"
        );
    }

    #[test]
    fn golden_records_load() {
        check_old("account.v1", &sample::account());
        check_old(
            "account.v2",
            &Account { frame_ancestors: vec!["https://crm.example".into()], ..sample::account() },
        );
        check_old("account.v3", &sample::account_of_three());
        check_old("account.v4", &Account { agent_confirm: true, ..sample::account_of_three() });
        check_old("account.v5", &sample::account_of_five());
        let countries = ["IN", "AE"].map(|country| country.parse().unwrap()).to_vec();
        let six = Account { countries, minutes_per_day: 600, ..sample::account_of_five() };
        check_old("account.v6", &six);
        let seven = Account { dispositions: vec!["SOLD".into()], ..six };
        check_old("account.v7", &seven);
        check("account.v8", &Account { opus: false, ..seven });
        check("number.v1", &Number { e164: "+918000000001".into(), account_id: "demo".into() });
        check(
            "agent.v1",
            &Agent {
                account_id: "demo".into(),
                crm_username: "agent.017".into(),
                display_name: "Asha".into(),
            },
        );
        check_old("api_key.v1", &sample::api_key());
        check("api_key.v2", &ApiKey { may_supervise: true, ..sample::api_key() });
        check_old("trunk.v1", &sample::trunk());
        let (signal_from, media_from) =
            (vec!["203.0.113.0/24".into()], vec!["198.51.100.0/24".into(), "2001:db8::/32".into()]);
        let two = Trunk { signal_from, media_from, ..sample::trunk() };
        check_old("trunk.v2", &two);
        let three = Trunk {
            register_s: Some(300),
            probe_interval_s: Some(30),
            priority: 1,
            weight: 60,
            prefixes: vec!["+91".into(), "+971".into()],
            max_calls_per_s: Some(5),
            ..two
        };
        check_old("trunk.v3", &three);
        check("trunk.v4", &Trunk { follows_redirects: true, ..three });
        check_old("call.v1", &sample::ended_call());
        check_old("call.v2", &sample::softphone_call());
        check_old("call.v3", &sample::three_party_call());
        let written = Some(RecordingWritten { complete: false, written_ms: Some(150_000) });
        let four = Call { recording_written: written, ..sample::three_party_call() };
        check_old("call.v4", &four);
        let mos = Mos { mean: 4.25, worst: 3.5 };
        let agent_media = four.agent_media.map(|media| LegMedia {
            mos: Some(mos),
            round_trip_ms: Some(42.5),
            far: Some(FarMedia { lost_count: 2, jitter_ms: 1.5, mos }),
            ..media
        });
        let five = Call { agent_media, ..four };
        check_old("call.v5", &five);
        let six = Call { hide_caller: true, ..five };
        check_old("call.v6", &six);
        check("call.v7", &six);
        check_old("timeline.v1", &sample::timeline_entry());
        let two = TimelineEntry { party: Some("participant-1".into()), ..sample::timeline_entry() };
        check_old("timeline.v2", &two);
        check("timeline.v3", &two);
        check(
            "idempotency.v1",
            &IdempotencyEntry { call_id: "c1".into(), fingerprint: "f1".into(), created_ms: 1_000 },
        );
        check("recording.v1", &sample::recording());
        check_old("callback_job.v1", &sample::job());
        check_old(
            "callback_job.v2",
            &CallbackJob { sequence: Some(3), queued_ms: 4_000, ..sample::job() },
        );
        let job = CallbackJob {
            queued_ms: 4_000,
            start_ms: 1_000,
            last_error: Some("timeout".into()),
            ..sample::job()
        };
        check_old("callback_job.v3", &job);
        check("callback_job.v4", &job);
        check_old("delivery.v1", &sample::delivery());
        let two = DeliveryAttempt { sequence: Some(3), ..sample::delivery() };
        check_old("delivery.v2", &two);
        check("delivery.v3", &two);
        check_old("event.v1", &sample::event());
        check("event.v2", &sample::event());
        check("event_mark.v1", &EventMark { last_forgotten: 12, cut_until: 10 });
        check("ladder.v1", &sample::ladder());
        assert_eq!(sample::ladder().read().unwrap().len(), 1);
        check_old("webphone_session.v1", &sample::session());
        check(
            "webphone_session.v2",
            &WebphoneSession {
                key_hash: Some(KeyHash([8; 32])),
                uuid: Some("crm-42".into()),
                ..sample::session()
            },
        );
        let softphone = Softphone {
            last_seen_ms: Some(9_000),
            microphone: Some("granted".into()),
            media_test: None,
        };
        check_old("softphone.v1", &softphone);
        let media_test = MediaTest {
            at_ms: 8_000,
            outcome: "fair".into(),
            round_trip_ms: Some(48),
            jitter_ms: Some(31),
            lost_permille: Some(4),
            sent_lost_permille: None,
        };
        check("softphone.v2", &Softphone { media_test: Some(media_test), ..softphone });
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        assert!(matches!(decode::<Number>(b""), Err(Error::Corrupt { kind: "number", .. })));
        assert!(matches!(decode::<Number>(b"\x00{}"), Err(Error::Corrupt { .. })));
        assert!(matches!(decode::<Number>(b"\x01{\"e164\""), Err(Error::Corrupt { .. })));
        assert!(matches!(decode::<Number>(b"\x02{}"), Err(Error::NewerVersion { version: 2, .. })));
    }

    mod sample {
        use super::*;

        pub fn account() -> Account {
            let mut account = Account::new("demo", "Demo Realty");
            account.callback = Some(CallbackSettings {
                url: "https://crm.example/calls".into(),
                auth_header: Some(AuthHeader {
                    name: "X-Token".into(),
                    value: Sealed(vec![1, 0xab]),
                }),
                signing_secret: Sealed(vec![0xff, 0]),
                max_retries: 3,
                earlier_secrets: Vec::new(),
            });
            account.trunks = vec!["t1".into(), "t2".into()];
            account
        }

        pub fn api_key() -> ApiKey {
            ApiKey {
                id: "k1".into(),
                account_id: Some("demo".into()),
                class: KeyClass::Server,
                hash: KeyHash([7; 32]),
                prefix: "sk_abcd".into(),
                created_ms: 1_000,
                expires_ms: Some(9_000),
                cidrs: vec!["203.0.113.0/24".into()],
                may_supervise: false,
            }
        }

        pub fn trunk() -> Trunk {
            Trunk {
                id: "t1".into(),
                host: "sip.carrier.example".into(),
                port: 5060,
                transport: TransportKind::Tcp,
                media: MediaProfile::SdesSrtp,
                allow_plaintext: true,
                number_format: NumberFormat::Prefix("77".into()),
                username: Some("user".into()),
                password: Some(Sealed(vec![3])),
                max_calls: 30,
                signal_from: vec![],
                media_from: vec![],
                register_s: None,
                probe_interval_s: None,
                priority: 0,
                weight: 0,
                prefixes: vec![],
                max_calls_per_s: None,
                follows_redirects: false,
                hides_caller: false,
                trusted: false,
                forwarding: ForwardingHeader::None,
                srv: false,
                dtmf: DtmfMode::Auto,
                comfort_noise: false,
                interface: None,
            }
        }

        pub fn ended_call() -> Call {
            Call {
                call_id: "c1".into(),
                account_id: "demo".into(),
                uuid: " 😀\"x\" ".into(),
                call_type: CallType::Server,
                direction: Direction::Outbound,
                customer_number: "98765 43210".into(),
                customer_number_e164: "+919876543210".into(),
                agent_number: Some("09876543211".into()),
                agent_number_e164: Some("+919876543211".into()),
                crm_username: None,
                from_number: "+918000000001".into(),
                disposition: "CRM_CALL".into(),
                record: true,
                recording_file: Some("crm_x.wav".into()),
                fingerprint: "f1".into(),
                state: CallState::Ended,
                owner: Some(Owner { edge: "edge-1".into(), shard: 1, epoch: 42 }),
                hang_up_requested: false,
                start_ms: 1_000,
                answer_ms: Some(2_000),
                end_ms: Some(152_500),
                status: Some(CallStatus::Answer),
                reason: None,
                failed_leg: Some(LegKind::Agent),
                sip_code: Some(200),
                hangup_by: Some(HangupBy::Customer),
                duration_s: 150,
                attempts: vec![Attempt {
                    leg: LegKind::Customer,
                    trunk: "t1".into(),
                    start_ms: 1_500,
                    end_ms: 2_000,
                    sip_code: Some(200),
                    result: "answered".into(),
                }],
                recording: Some(RecordingResult {
                    file_name: "crm_x.wav".into(),
                    duration_ms: 150_500,
                    file_len: 4_816_044,
                    pauses: vec![],
                }),
                agent_media: Some(LegMedia {
                    received_count: 10,
                    sent_count: 11,
                    lost_count: 1,
                    jitter_ms: 0.5,
                    ..LegMedia::default()
                }),
                customer_media: None,
                reason_detail: None,
                trunk: None,
                agent_away: false,
                session_id: None,
                conversation: None,
                others: vec![],
                party_count: 0,
                event_count: 0,
                recording_written: None,
                hide_caller: false,
            }
        }

        pub fn softphone_call() -> Call {
            Call {
                call_type: CallType::Browser,
                crm_username: Some("agent.017".into()),
                reason: Some("agent_media".into()),
                reason_detail: Some("microphone_denied".into()),
                trunk: Some("t1".into()),
                agent_away: true,
                session_id: Some("s1".into()),
                ..ended_call()
            }
        }

        pub fn account_of_three() -> Account {
            Account {
                recording_layout: RecordingLayout::ThreeChannel,
                hold_audio: Some("demo-0a.wav".into()),
                refer: ReferPolicy::Transfer,
                progress_events: vec!["participant".into()],
                ..account()
            }
        }

        pub fn account_of_five() -> Account {
            let mut account = Account { agent_confirm: true, ..account_of_three() };
            let earlier = EarlierSecret { secret: Sealed(vec![1, 2]), until_ms: 9_000 };
            account.callback.as_mut().expect("it has one").earlier_secrets.push(earlier);
            account
        }

        fn conversation() -> Conversation {
            let party = |party: &str, role| Party {
                party: party.into(),
                role,
                state: PartyState::Talking,
                muted: false,
                number: None,
                crm_username: None,
                joining: None,
                supervisor_role: None,
                reason: None,
            };
            Conversation {
                parties: vec![
                    Party {
                        crm_username: Some("agent.017".into()),
                        ..party("agent", PartyRole::Agent)
                    },
                    Party {
                        state: PartyState::OnHold,
                        muted: true,
                        ..party("customer", PartyRole::Customer)
                    },
                    Party {
                        state: PartyState::Left,
                        number: Some("+912227782183".into()),
                        joining: Some(Joining::Consult),
                        reason: Some("busy".into()),
                        ..party("participant-1", PartyRole::Participant)
                    },
                    Party {
                        supervisor_role: Some(SupervisorRole::Whisper),
                        ..party("supervisor-2", PartyRole::Supervisor)
                    },
                ],
                recording: RecordingState::Paused,
            }
        }

        pub fn three_party_call() -> Call {
            let other = OtherParty {
                party: "participant-1".into(),
                leg: LegKind::Participant,
                number: Some("+912227782183".into()),
                crm_username: None,
                trunk: Some("t1".into()),
                answer_ms: None,
                end_ms: Some(9_000),
                reason: Some("busy".into()),
                sip_code: Some(486),
                request: None,
            };
            let pauses = vec![Pause { from_ms: 1_000, to_ms: 2_500 }];
            Call {
                hangup_by: Some(HangupBy::Participant),
                recording: ended_call()
                    .recording
                    .map(|recording| RecordingResult { pauses, ..recording }),
                conversation: Some(conversation()),
                others: vec![other],
                party_count: 2,
                event_count: 17,
                ..softphone_call()
            }
        }

        pub fn event() -> EventRecord {
            EventRecord {
                number: 11,
                call_id: "c1".into(),
                uuid: "u1".into(),
                sequence: 4,
                at_ms: 9_000,
                event: "participant.left".into(),
                leg: Some(LegKind::Participant),
                party: Some("participant-1".into()),
                sip_code: Some(486),
                reason: Some("busy".into()),
                conversation: Some(conversation()),
            }
        }

        pub fn ladder() -> Ladder {
            let rung = Rung {
                at_ms: 1_000,
                leg: LegKind::Participant,
                party: Some("participant-1".into()),
                way: MessageWay::Received,
                transport: SignalTransport::Tls,
                local: "192.0.2.1:5061".parse().expect("an address"),
                remote: "[2001:db8::7]:5061".parse().expect("an address"),
                message: "SIP/2.0 200 OK\r\n\r\n\u{fc}".into(),
            };
            let rungs = serde_json::value::to_raw_value(&[rung]).expect("it prints");
            Ladder { call_id: "c1".into(), rungs, left_out_count: 2, whole: true }
        }

        pub fn session() -> WebphoneSession {
            WebphoneSession {
                id: "s1".into(),
                account_id: "demo".into(),
                crm_username: "agent.017".into(),
                secret_hash: KeyHash([9; 32]),
                to_number: "98765 43210".into(),
                to_number_e164: "+919876543210".into(),
                from_number: "+918000000001".into(),
                created_ms: 1_000,
                expires_ms: 44_000_000,
                call_id: Some("c1".into()),
                is_closed: false,
                key_hash: None,
                uuid: None,
            }
        }

        pub fn timeline_entry() -> TimelineEntry {
            TimelineEntry {
                sequence: 3,
                at_ms: 1_234,
                leg: Some(LegKind::Agent),
                party: None,
                kind: "ringing".into(),
                sip_code: Some(180),
                trunk: Some("t1".into()),
                detail: None,
            }
        }

        pub fn recording() -> RecordingEntry {
            RecordingEntry {
                file_name: "crm_x.wav".into(),
                call_id: "c1".into(),
                account_id: "demo".into(),
                start_ms: 1_000,
                expired_ms: None,
            }
        }

        pub fn job() -> CallbackJob {
            CallbackJob {
                call_id: "c1".into(),
                account_id: "demo".into(),
                target: CallbackTarget {
                    endpoint: "demo https://crm.example:443".into(),
                    url: "https://crm.example/calls".into(),
                    auth_header: None,
                    signing_secret: Sealed(vec![0xff, 0]),
                    max_retries: 3,
                },
                body: "{\"call_id\":\"c1\"}".into(),
                state: JobState::Pending,
                cycle: 1,
                attempt_count: 1,
                delivery_count: 1,
                next_ms: 5_000,
                sequence: None,
                queued_ms: 0,
                start_ms: 0,
                last_error: None,
            }
        }

        pub fn delivery() -> DeliveryAttempt {
            DeliveryAttempt {
                at_ms: 4_000,
                cycle: 1,
                attempt: 1,
                url: "https://crm.example/calls".into(),
                http_status: Some(500),
                error: None,
                duration_ms: 12,
                delivered: false,
                sequence: None,
            }
        }
    }
}

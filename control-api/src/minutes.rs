//! How long each account talked today, in UTC, for its ceiling of minutes a day and the alert
//! before it (B09). A call counts on the day of its end, and as long as it runs; third parties
//! count for themselves once the call has ended.

use crate::metrics::Metrics;
use call_words::{AccountId, CallId};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::{Account, Call, Storage};

const DAY_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;
/// Part of the ceiling, in percent, at which the operators are told.
const ALERT_PERCENT: u64 = 80;

/// The talk of all accounts.
#[derive(Debug, Default)]
pub struct Minutes(Mutex<HashMap<AccountId, Talk>>);

#[derive(Debug, Default)]
struct Talk {
    day: u64,
    ended_ms: u64,
    /// When the calls that run were answered.
    running: HashMap<CallId, u64>,
    told: Option<Alert>,
}

/// What operators are told once a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alert {
    Near,
    Reached,
}

impl Talk {
    fn turn_to(&mut self, now_ms: u64) {
        let day = now_ms / DAY_MS;
        if day != self.day {
            (self.day, self.ended_ms, self.told) = (day, 0, None);
        }
    }

    fn total_ms(&self, now_ms: u64) -> u64 {
        let midnight_ms = self.day * DAY_MS;
        let running = self
            .running
            .values()
            .map(|since_ms| now_ms.saturating_sub((*since_ms).max(midnight_ms)));
        self.ended_ms + running.sum::<u64>()
    }
}

impl Minutes {
    /// Knows what was talked today before this process started.
    pub fn load(store: &Storage, now_ms: u64) -> Result<Self, storage::Error> {
        let day = now_ms / DAY_MS;
        let mut talks = HashMap::new();
        for account in store.accounts()? {
            let ended_ms = store.talk_ms(&account.id, day * DAY_MS)?;
            talks.insert(account.id, Talk { day, ended_ms, ..Talk::default() });
        }
        let minutes = Self(Mutex::new(talks));
        store.live_calls()?.iter().for_each(|call| minutes.note(call, now_ms));
        Ok(minutes)
    }

    /// Takes note of a call that was answered, or has ended; told twice, it counts once.
    pub fn note(&self, call: &Call, now_ms: u64) {
        let mut talks = self.lock();
        let talk = talks.entry(call.account_id.clone()).or_default();
        talk.turn_to(now_ms);
        match (call.is_live(), call.answer_ms) {
            (true, Some(answer_ms)) => {
                talk.running.insert(call.call_id.clone(), answer_ms);
            }
            (true, None) => {}
            (false, _) => {
                talk.running.remove(&call.call_id);
                talk.ended_ms += call.talk_ms();
            }
        }
    }

    /// Whether the account may place another call, or how long to wait for the next day.
    pub fn check(&self, account: &Account, now_ms: u64, metrics: &Metrics) -> Result<(), Duration> {
        let ceiling_ms = u64::from(account.minutes_per_day) * MINUTE_MS;
        if ceiling_ms == 0 {
            return Ok(());
        }
        let mut talks = self.lock();
        let talk = talks.entry(account.id.clone()).or_default();
        talk.turn_to(now_ms);
        let total_ms = talk.total_ms(now_ms);
        let alert = match total_ms {
            total_ms if total_ms >= ceiling_ms => Some(Alert::Reached),
            total_ms if total_ms >= ceiling_ms / 100 * ALERT_PERCENT => Some(Alert::Near),
            _ => None,
        };
        if alert > talk.told {
            talk.told = alert;
            let (minutes, ceiling) = (total_ms / MINUTE_MS, account.minutes_per_day);
            let word = if alert == Some(Alert::Reached) { "reached" } else { "near" };
            tracing::warn!(account_id = %account.id, minutes, ceiling,
                "minutes_per_day of the account is {word}");
            metrics.minutes_alerted(&account.id, word);
        }
        match alert {
            Some(Alert::Reached) => Err(Duration::from_millis((talk.day + 1) * DAY_MS - now_ms)),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, Talk>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use call_words::{CallState, CallStatus, CallType, MilestoneKind, Reason};
    use storage::{FinalCall, NewCall, Progress, TimelineEntry};

    /// Midnight of some day.
    const MIDNIGHT: u64 = 20_000 * DAY_MS;

    fn account(minutes_per_day: u32) -> Account {
        Account { minutes_per_day, ..Account::new("a", "A") }
    }

    /// A note of talk without a record: what `note` makes of one.
    fn talked(minutes: &Minutes, now_ms: u64, talk_ms: u64) {
        let mut talks = minutes.lock();
        let talk = talks.entry("a".into()).or_default();
        talk.turn_to(now_ms);
        talk.ended_ms += talk_ms;
    }

    fn runs(minutes: &Minutes, call_id: &CallId, since_ms: u64) {
        minutes.lock().entry("a".into()).or_default().running.insert(call_id.clone(), since_ms);
    }

    fn alerts(metrics: &Metrics) -> usize {
        metrics
            .print(0, 0, storage::OutboxDepth::default(), &[])
            .lines()
            .filter(|line| line.starts_with("control_api_minutes_alerts_total{"))
            .count()
    }

    // B09
    #[test]
    fn the_ceiling_is_told_of_before_it_holds_and_falls_with_the_day() {
        let (minutes, metrics, account) = (Minutes::default(), Metrics::default(), account(100));
        let noon = MIDNIGHT + DAY_MS / 2;
        talked(&minutes, noon, 79 * MINUTE_MS);
        assert_eq!(minutes.check(&account, noon, &metrics), Ok(()));
        assert_eq!(alerts(&metrics), 0);
        talked(&minutes, noon, MINUTE_MS);
        for _ in 0..2 {
            assert_eq!(minutes.check(&account, noon, &metrics), Ok(()));
            assert_eq!(alerts(&metrics), 1, "near, told once");
        }
        talked(&minutes, noon, 20 * MINUTE_MS);
        assert_eq!(minutes.check(&account, noon, &metrics), Err(Duration::from_millis(DAY_MS / 2)));
        assert_eq!(alerts(&metrics), 2);
        assert_eq!(
            minutes.check(&Account { minutes_per_day: 0, ..account.clone() }, noon, &metrics),
            Ok(()),
            "none"
        );
        assert_eq!(
            minutes.check(&Account { minutes_per_day: 200, ..account.clone() }, noon, &metrics),
            Ok(()),
            "raised"
        );
        assert_eq!(minutes.check(&account, MIDNIGHT + DAY_MS, &metrics), Ok(()), "another day");
    }

    /// A call that was answered at its start, and its talk if it has ended.
    fn call(store: &Storage, call_id: &str, start_ms: u64, talk_s: Option<u64>) -> Call {
        let new = NewCall {
            call_id: call_id.into(),
            account_id: "a".into(),
            uuid: None,
            call_type: CallType::Server,
            customer_number: "1".into(),
            customer_number_e164: "+911".into(),
            agent_number: None,
            agent_number_e164: None,
            crm_username: None,
            from_number: "+912".into(),
            hide_caller: false,
            disposition: "CRM_CALL".into(),
            recording_file: None,
            fingerprint: "f".into(),
            idempotency_key: None,
            start_ms,
        };
        store.create_call(new, None).unwrap();
        let bridged = TimelineEntry {
            sequence: 1,
            at_ms: start_ms,
            leg: None,
            party: None,
            kind: MilestoneKind::Bridged.into(),
            sip_code: None,
            trunk: None,
            detail: None,
        };
        store
            .apply_milestone(&call_id.into(), &bridged, &Progress::to(CallState::Bridged))
            .unwrap();
        if let Some(talk_s) = talk_s {
            let end = FinalCall {
                status: CallStatus::Answer,
                reason: None,
                answer_ms: Some(start_ms),
                end_ms: start_ms + talk_s * 1_000,
                duration_s: talk_s,
                ..FinalCall::failed(Reason::System, start_ms)
            };
            store.finish_call(&call_id.into(), end).unwrap();
        }
        store.call(&call_id.into()).unwrap().unwrap()
    }

    // B09
    #[test]
    fn a_start_knows_what_was_talked_today_and_a_call_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Storage::open(folder.path(), ()).unwrap();
        store.put_account(&account(0)).unwrap();
        let evening = MIDNIGHT - 10 * MINUTE_MS;
        // On the day of its end, all of it.
        call(&store, "yesterday", evening, Some(5 * 60));
        call(&store, "over midnight", evening, Some(11 * 60));
        call(&store, "today", MIDNIGHT + MINUTE_MS, Some(2 * 60));
        let runs = call(&store, "runs", MIDNIGHT + 4 * MINUTE_MS, None);
        let now = MIDNIGHT + 7 * MINUTE_MS;
        let minutes = Minutes::load(&store, now).unwrap();
        let metrics = Metrics::default();
        let check = |minutes: &Minutes, ceiling, now| {
            minutes.check(&account(ceiling), now, &metrics).is_ok()
        };
        assert!(check(&minutes, 17, now) && !check(&minutes, 16, now));
        // It goes on, is told twice, and ends.
        minutes.note(&runs, now);
        let later = now + 3 * MINUTE_MS;
        assert!(check(&minutes, 20, later) && !check(&minutes, 19, later));
        let ended = Call {
            state: CallState::Ended,
            end_ms: Some(later),
            duration_s: 6 * 60,
            ..runs.clone()
        };
        minutes.note(&ended, later);
        let evening = later + 600 * MINUTE_MS;
        assert!(check(&minutes, 20, evening) && !check(&minutes, 19, evening));
    }

    #[test]
    fn running_calls_count_from_midnight_on() {
        let (minutes, metrics, account) = (Minutes::default(), Metrics::default(), account(10));
        runs(&minutes, &"c1".into(), MIDNIGHT - 60 * MINUTE_MS);
        assert_eq!(minutes.check(&account, MIDNIGHT + 9 * MINUTE_MS, &metrics), Ok(()));
        runs(&minutes, &"c2".into(), MIDNIGHT + 8 * MINUTE_MS);
        assert!(minutes.check(&account, MIDNIGHT + 9 * MINUTE_MS, &metrics).is_err());
    }
}

//! When a failed attempt is repeated (A1): 1 s, 2 s, 4 s … after each failure, then not at all.

use storage::{CallbackJob, NextStep};

/// Wait after the first failure; each further wait is twice as long.
const FIRST_WAIT_MS: u64 = 1_000;
/// Longest wait, should an account ask for very many retries.
const LONGEST_WAIT_MS: u64 = 3_600_000;

/// What follows an attempt at `job` that ended at `ended_ms`.
pub(super) fn after(job: &CallbackJob, delivered: bool, ended_ms: u64) -> NextStep {
    if delivered {
        NextStep::Delivered
    } else if job.attempt_count >= job.target.max_retries {
        NextStep::Exhausted
    } else {
        let wait_ms =
            FIRST_WAIT_MS.checked_shl(job.attempt_count.min(32)).unwrap_or(LONGEST_WAIT_MS);
        NextStep::Retry { at_ms: ended_ms.saturating_add(wait_ms.min(LONGEST_WAIT_MS)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use call_words::{AccountId, CallId, EndpointId, JobState};
    use storage::{CallbackTarget, Sealed};

    #[track_caller]
    fn check(attempts_before: u32, max_retries: u32, delivered: bool, expected: NextStep) {
        let target = CallbackTarget {
            endpoint: EndpointId::default(),
            url: String::new(),
            auth_header: None,
            signing_secret: Sealed(Vec::new()),
            max_retries,
        };
        let job = CallbackJob {
            call_id: CallId::default(),
            account_id: AccountId::default(),
            target,
            body: String::new(),
            state: JobState::Pending,
            cycle: 1,
            attempt_count: attempts_before,
            delivery_count: attempts_before,
            next_ms: 0,
            sequence: None,
            queued_ms: 0,
            start_ms: 0,
            last_error: None,
        };
        assert_eq!(after(&job, delivered, 10_000), expected);
    }

    // S26, A1
    #[test]
    fn waits_double_and_count_from_the_failure() {
        check(0, 3, false, NextStep::Retry { at_ms: 11_000 });
        check(1, 3, false, NextStep::Retry { at_ms: 12_000 });
        check(2, 3, false, NextStep::Retry { at_ms: 14_000 });
        check(3, 3, false, NextStep::Exhausted);
        check(0, 0, false, NextStep::Exhausted);
        check(2, 3, true, NextStep::Delivered);
        check(3, 3, true, NextStep::Delivered);
        check(40, 100, false, NextStep::Retry { at_ms: 10_000 + LONGEST_WAIT_MS });
    }
}

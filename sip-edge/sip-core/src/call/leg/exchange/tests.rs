//! Scripts of offers from both sides, each step with what is due after it.

use super::*;

const PAUSE: Duration = Duration::from_millis(2_500);

#[derive(Debug, Clone, Copy)]
enum Step {
    Want(Wish),
    /// Our offer goes.
    Begin,
    Final(Option<u16>, Verdict),
    Carried,
    /// The peer's re-INVITE comes and meets this turn; it is answered if it is theirs.
    PeerInvite(Turn),
    PeerUpdate(Turn),
    Ack,
    Wait(u64),
}

use Step::*;
use Wish::{Hold, Talk};

#[track_caller]
fn check(steps: &[(Step, Option<Wish>)]) {
    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant can be made in no other way; the clock is virtual"
    )]
    let mut now = Instant::now();
    let mut exchange = Exchange::new();
    for (index, (step, due)) in steps.iter().enumerate() {
        match *step {
            Want(wish) => exchange.want(wish),
            Begin => exchange.begin(now, exchange.due(now).expect("an offer is due")),
            Final(code, verdict) => {
                assert_eq!(exchange.take_final(now, code, PAUSE), verdict, "step {index}")
            }
            Carried => exchange.give_up(),
            PeerInvite(turn) | PeerUpdate(turn) => {
                assert_eq!(exchange.turn(), turn, "step {index}");
                if turn == Turn::Theirs {
                    exchange.answered(matches!(step, PeerInvite(_)));
                }
            }
            Ack => exchange.acknowledged(),
            Wait(milliseconds) => {
                now += Duration::from_millis(milliseconds);
                exchange.wake(now);
                // No timer that is over is left behind.
                assert!(exchange.poll_timeout().is_none_or(|at| at > now), "step {index}");
            }
        }
        assert_eq!(exchange.due(now), *due, "step {index}: {step:?}");
    }
}

#[test]
fn hold_and_resume() {
    check(&[
        (Want(Hold), Some(Hold)),
        (Begin, None),
        (Final(Some(200), Verdict::Agreed), None),
        (Want(Talk), Some(Talk)),
        (Begin, None),
        (Final(Some(200), Verdict::Agreed), None),
    ]);
    // What is wanted already needs no offer.
    check(&[(Want(Talk), None)]);
}

// §14.1: "the UAC SHOULD attempt the re-INVITE once more, if it still desires for that session
// modification to take place."
#[test]
fn after_glare_the_wish_of_that_time_counts() {
    check(&[
        (Want(Hold), Some(Hold)),
        (Begin, None),
        (Final(Some(491), Verdict::Kept), None),
        (Wait(2_499), None),
        (Wait(1), Some(Hold)),
        (Begin, None),
        (Final(Some(491), Verdict::Kept), None),
        (Want(Talk), None),
        (Wait(2_500), None),
        (Want(Hold), Some(Hold)),
    ]);
    // The wish changed while our offer was open.
    check(&[
        (Want(Hold), Some(Hold)),
        (Begin, None),
        (Want(Talk), None),
        (Final(Some(200), Verdict::Agreed), Some(Talk)),
        (Begin, None),
    ]);
}

// §14.2: "A UAS that receives an INVITE on a dialog while an INVITE it had sent on that dialog is
// in progress MUST return a 491".
#[test]
fn one_offer_at_a_time() {
    check(&[
        (Want(Hold), Some(Hold)),
        (Begin, None),
        (PeerInvite(Turn::Ours), None),
        (PeerUpdate(Turn::Ours), None),
        (Final(Some(491), Verdict::Kept), None),
        // The peer may offer in our pause; our answer says what we want, so that nothing is left to
        // offer.
        (PeerInvite(Turn::Theirs), None),
        (Ack, None),
    ]);
    // §14.1: "a UAC MUST NOT initiate a new INVITE transaction within a dialog while another INVITE
    // transaction is in progress".
    check(&[(PeerInvite(Turn::Theirs), None), (Want(Hold), None), (Ack, Some(Hold))]);
    // An UPDATE is over with its answer.
    check(&[(PeerUpdate(Turn::Theirs), None), (Want(Hold), Some(Hold))]);
    // A refresh of the peer in a hold is answered with the hold, and needs no offer of ours.
    check(&[(Want(Hold), Some(Hold)), (PeerUpdate(Turn::Theirs), None), (Want(Talk), Some(Talk))]);
}

#[test]
fn what_a_failure_means() {
    for (code, verdict) in [
        (Some(481), Verdict::DialogLost),
        (Some(408), Verdict::DialogLost),
        (None, Verdict::DialogLost),
        (Some(488), Verdict::Kept),
        (Some(500), Verdict::Kept),
        (Some(503), Verdict::Kept),
        (Some(603), Verdict::Kept),
        (Some(401), Verdict::Kept),
    ] {
        // A refused wish is not offered again and again; another one is, and then the first may be.
        check(&[
            (Want(Hold), Some(Hold)),
            (Begin, None),
            (Final(code, verdict), if verdict == Verdict::Kept { None } else { Some(Hold) }),
        ]);
    }
    check(&[
        (Want(Hold), Some(Hold)),
        (Begin, None),
        (Final(Some(488), Verdict::Kept), None),
        (Want(Talk), None),
        (Want(Hold), Some(Hold)),
    ]);
    check(&[(Want(Hold), Some(Hold)), (Begin, None), (Carried, None), (Want(Talk), None)]);
}

#[test]
fn a_stray_final_changes_nothing() {
    check(&[(Final(Some(481), Verdict::Kept), None), (Want(Hold), Some(Hold))]);
}

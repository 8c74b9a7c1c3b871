//! What is read and written of words, also of those that another release has.

use call_words::{CallStatus, MilestoneKind, Word, Words};

#[test]
fn a_word_of_another_release_goes_through_as_it_came() {
    for (json, known) in [
        (r#""bridged""#, Some(MilestoneKind::Bridged)),
        (r#""microphone""#, Some(MilestoneKind::Microphone)),
        (r#""teleported""#, None),
        (r#""Bridged""#, None),
        (r#""""#, None),
    ] {
        let word: Word<MilestoneKind> = serde_json::from_str(json).expect("a word");
        assert_eq!(word.known(), known, "{json}");
        assert_eq!(serde_json::to_string(&word).expect("prints"), json);
        assert_eq!(Word::from(word.as_str()), word);
    }
    assert!(serde_json::from_str::<Word<MilestoneKind>>("7").is_err());
}

#[test]
fn a_closed_vocabulary_refuses_what_it_does_not_have() {
    assert_eq!(
        serde_json::from_str::<CallStatus>(r#""NO_ANSWER""#).expect("a status"),
        CallStatus::NoAnswer
    );
    assert!(serde_json::from_str::<CallStatus>(r#""no_answer""#).is_err());
}

#[test]
fn what_is_written_is_the_word() {
    for kind in MilestoneKind::ALL {
        let json = serde_json::to_string(kind).expect("prints");
        assert_eq!(json, format!("{:?}", kind.as_str()));
        assert_eq!(MilestoneKind::of(kind.as_str()), Some(*kind));
    }
}

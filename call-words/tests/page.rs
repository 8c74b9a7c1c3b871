//! The words that the softphone's page knows, printed for it. `WRITE=1 cargo test -p call-words`
//! writes the file anew after a change of words.

use call_words::{
    CallPhase, CallStatus, HangupBy, Joining, MediaFault, PartyRole, PartyState, Reason,
    RecordingState, SupervisorRole, Words,
};
use std::path::Path;

const HEAD: &str = "\
// The words in which the service tells a call: printed from the package `call-words`, whose test
// compares them and, with `WRITE=1`, writes them anew. Pure.
";

/// The constant with all words of a vocabulary, and its type.
fn declare<T: Words>(constant: &str, name: &str) -> String {
    let words: String = T::ALL.iter().map(|word| format!("  '{}',\n", word.as_str())).collect();
    format!(
        "\nexport const {constant} = [\n{words}] as const;\n\
        export type {name} = (typeof {constant})[number];\n"
    )
}

#[test]
fn the_page_has_the_words_of_the_service() {
    let printed = [
        HEAD.to_owned(),
        declare::<CallPhase>("CALL_PHASES", "CallPhase"),
        declare::<CallStatus>("CALL_STATUSES", "CallStatus"),
        declare::<HangupBy>("HANGUP_BYS", "HangupBy"),
        declare::<Reason>("REASONS", "Reason"),
        declare::<MediaFault>("MEDIA_FAULTS", "MediaFault"),
        declare::<PartyRole>("PARTY_ROLES", "PartyRole"),
        declare::<PartyState>("PARTY_STATES", "PartyState"),
        declare::<Joining>("JOININGS", "Joining"),
        declare::<SupervisorRole>("SUPERVISOR_ROLES", "SupervisorRole"),
        declare::<RecordingState>("RECORDING_STATES", "RecordingState"),
    ]
    .concat();
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../control-api/web/src/machine/vocabulary.ts");
    if std::env::var_os("WRITE").is_some() {
        std::fs::write(&path, &printed).expect("the page's folder is there");
    }
    let kept = std::fs::read_to_string(&path).expect("the page has its words");
    assert_eq!(kept, printed, "the page's words differ: WRITE=1 writes them anew");
}

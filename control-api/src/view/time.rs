//! Times as the API writes them (S35).

use time::OffsetDateTime;
use time::macros::format_description;

/// Unix milliseconds as UTC with whole seconds: `2026-07-03T10:00:00Z` (S35).
pub fn timestamp(at_ms: u64) -> String {
    let at = i64::try_from(at_ms / 1000)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.unwrap_or(OffsetDateTime::UNIX_EPOCH).format(format).expect("each component is printable")
}

/// The same with milliseconds, for timelines.
pub fn timestamp_ms(at_ms: u64) -> String {
    let whole = timestamp(at_ms);
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), at_ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    // S35
    #[test]
    fn times_are_utc_with_whole_seconds() {
        assert_eq!(timestamp(1_783_072_800_999), "2026-07-03T10:00:00Z");
        assert_eq!(timestamp_ms(1_783_072_800_009), "2026-07-03T10:00:00.009Z");
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(u64::MAX), "1970-01-01T00:00:00Z");
    }
}

//! A country as accounts name it: of their own numbers, and of those that they may dial.

use rlibphonenumber::PHONE_NUMBER_UTIL;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A country as ISO 3166-1 alpha-2, whose numbering plan reads national numbers (A8).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Region(rlibphonenumber::Region);

impl Region {
    /// Where accounts are unless they say otherwise.
    pub const INDIA: Region = Region(rlibphonenumber::Region::IN);

    /// As numbering plans name it.
    pub fn id(self) -> rlibphonenumber::Region {
        self.0
    }
}

impl TryFrom<rlibphonenumber::Region> for Region {
    type Error = UnknownRegion;

    fn try_from(id: rlibphonenumber::Region) -> Result<Self, UnknownRegion> {
        // Uninhabited places have a code but no numbering plan; the world has neither.
        let plan = PHONE_NUMBER_UTIL.get_country_code_for_region(id);
        plan.map(|_| Region(id)).ok_or(UnknownRegion)
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(text: &str) -> Result<Self, UnknownRegion> {
        if !text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(UnknownRegion);
        }
        text.parse::<rlibphonenumber::Region>().map_err(|_| UnknownRegion)?.try_into()
    }
}

impl TryFrom<String> for Region {
    type Error = UnknownRegion;

    fn try_from(text: String) -> Result<Self, UnknownRegion> {
        text.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> String {
        region.to_string()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// No country has these letters, or none with a numbering plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a country; allowed are ISO 3166-1 codes of two capital letters, such as IN")]
pub struct UnknownRegion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_countries_with_a_numbering_plan() {
        for (text, known) in [
            ("IN", true),
            ("US", true),
            ("in", false),
            ("", false),
            ("XX", false),
            ("India", false),
            ("AQ", false),
            ("001", false),
        ] {
            assert_eq!(text.parse::<Region>().is_ok(), known, "{text}");
            let stored = serde_json::from_value::<Region>(text.into());
            assert_eq!(stored.is_ok(), known, "{text}");
        }
    }
}

//! A country as accounts name it: of their own numbers, and of those that they may dial.

use phonenumber::{country, metadata};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A country as ISO 3166-1 alpha-2, whose numbering plan reads national numbers (A8).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Region(country::Id);

impl Region {
    /// Where accounts are unless they say otherwise.
    pub const INDIA: Region = Region(country::Id::IN);

    /// As numbering plans name it.
    pub fn id(self) -> country::Id {
        self.0
    }
}

impl TryFrom<country::Id> for Region {
    type Error = UnknownRegion;

    fn try_from(id: country::Id) -> Result<Self, UnknownRegion> {
        // Uninhabited places have a code but no numbering plan.
        metadata::DATABASE.by_id(id.as_ref()).map(|_| Region(id)).ok_or(UnknownRegion)
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(text: &str) -> Result<Self, UnknownRegion> {
        text.parse::<country::Id>().map_err(|_| UnknownRegion)?.try_into()
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
        f.write_str(self.0.as_ref())
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
        ] {
            assert_eq!(text.parse::<Region>().is_ok(), known, "{text}");
            let stored = serde_json::from_value::<Region>(text.into());
            assert_eq!(stored.is_ok(), known, "{text}");
        }
    }
}

//! Whether a text holds one number. Separators are dropped when a number is read, so that two
//! numbers in a field, an extension or a decimal place would become digits that nobody wrote: what
//! may be more than one number is refused, never guessed.

use super::{NumberRefusal, Reading, country_code, decimal};
use storage::Region;

/// Digits that are a number of their own rather than a part of one.
const LEAST_DIGITS: usize = 6;
/// Longest extension.
const MAX_EXTENSION_DIGITS: usize = 7;
/// Most digits of a country code, and of an area code with or without its trunk zero.
const MAX_COUNTRY_DIGITS: usize = 3;
const MAX_AREA_DIGITS: usize = 5;
/// Marks and words by which extensions and pauses are written behind a number, in small letters.
const EXTENSION_MARKS: &[&str] = &[
    "x",
    "#",
    "*",
    ",",
    ";",
    "p",
    "w",
    "t",
    "ext",
    "extn",
    "xtn",
    "extension",
    "poste",
    "int",
    "interno",
    "anexo",
    "ramal",
    "dw",
    "durchwahl",
    "nebenstelle",
    "доб",
    "内線",
    "分机",
];

/// Whether digits and punctuation are one number.
pub fn is_one(text: &str, region: Region) -> bool {
    let breaks = ['\n', '\r', '\t', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
    let line_count = text.split(breaks).filter(|line| count(line) > 0).count();
    line_count <= 1 && divides_one_number(text) && !are_two_numbers(text, region)
}

/// `9876543210.0`, `4930123456.00` and `9.19877E+11`: one point or comma in a run of digits, with
/// less behind it than any group of a phone number has, or an exponent.
pub fn is_decimal(text: &str) -> bool {
    let text = text.trim_start_matches(['+', '-', ' ']);
    let (mantissa, exponent) = text
        .split_once(['e', 'E'])
        .map_or((text, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let is_number = |text: &str| {
        count(text) > 0 && text.chars().all(|c| decimal(c).is_some() || c.is_whitespace())
    };
    if let Some(exponent) = exponent {
        let is_mantissa = mantissa
            .split_once(['.', ','])
            .map_or_else(|| is_number(mantissa), |(a, b)| is_number(a) && is_number(b));
        return is_mantissa && is_number(exponent.trim_start_matches(['+', '-']));
    }
    let Some((whole, places)) = mantissa.split_once(['.', ',']) else { return false };
    let is_zero = places.chars().all(|c| decimal(c) == Some('0'));
    is_number(whole)
        && is_number(places)
        && count(whole) >= LEAST_DIGITS - 1
        && (count(places) <= 2 || is_zero)
}

/// Whether each slash of a text stands where one number is written with it: behind a country code,
/// or behind an area code, with the whole rest of the number after it.
fn divides_one_number(text: &str) -> bool {
    let parts: Vec<&str> = text.split(['/', '\u{ff0f}']).filter(|part| count(part) > 0).collect();
    let Some((last, codes)) = parts.split_last().filter(|(_, codes)| !codes.is_empty()) else {
        return true;
    };
    let is_international = codes[0].trim_start().starts_with(['+', '\u{ff0b}']);
    let has_zero = codes[0].chars().find_map(decimal) == Some('0');
    let longest = match (is_international, has_zero) {
        (true, _) => MAX_COUNTRY_DIGITS + MAX_AREA_DIGITS,
        (false, true) => MAX_AREA_DIGITS + 1,
        // Two short numbers of one length are as likely.
        (false, false) => MAX_AREA_DIGITS.min(count(last).saturating_sub(1)),
    };
    let are_codes = match codes {
        [code] => count(code) <= longest,
        [country, area] => {
            is_international
                && count(country) <= MAX_COUNTRY_DIGITS
                && count(area) <= MAX_AREA_DIGITS
        }
        _ => false,
    };
    are_codes && count(last) >= MAX_AREA_DIGITS
}

/// Whether a text is two whole numbers with a space between them, written alike.
fn are_two_numbers(text: &str, region: Region) -> bool {
    let digits_of = |text: &str| text.chars().filter_map(decimal).collect::<String>();
    let is_whole = |digits: &str| {
        digits.len() >= LEAST_DIGITS
            && Reading::of(&format!("+{}{digits}", country_code(region)), None)
                .is_some_and(|number| number.exists())
    };
    if count(text) < 2 * LEAST_DIGITS || text.trim_start().starts_with(['+', '\u{ff0b}']) {
        return false;
    }
    text.char_indices().filter(|(_, c)| c.is_whitespace()).any(|(at, _)| {
        let (left, right) = (digits_of(&text[..at]), digits_of(&text[at..]));
        left.starts_with('0') == right.starts_with('0') && is_whole(&left) && is_whole(&right)
    })
}

/// Why a number is not read whose digits so far are followed by something that is no part of it.
pub fn what_follows(digits: &str, rest: &str) -> NumberRefusal {
    let more = count(rest);
    let mark: String = rest.chars().take_while(|c| decimal(*c).is_none()).collect();
    let mark =
        mark.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '.' | ':' | '-' | '('));
    let mark = mark.trim().to_lowercase();
    let is_mark = EXTENSION_MARKS.iter().any(|known| {
        mark == *known
            || (known.len() == 1
                && !mark.is_empty()
                && mark
                    .split(char::is_whitespace)
                    .all(|part| part.chars().all(|c| known.starts_with(c))))
    });
    if digits.len() >= LEAST_DIGITS
        && more >= LEAST_DIGITS
        && !(is_mark && more <= MAX_EXTENSION_DIGITS)
    {
        NumberRefusal::Several
    } else if !digits.is_empty() && is_mark && (1..=MAX_EXTENSION_DIGITS).contains(&more) {
        NumberRefusal::Extension
    } else {
        NumberRefusal::Unreadable
    }
}

fn count(text: &str) -> usize {
    text.chars().filter(|c| decimal(*c).is_some()).count()
}

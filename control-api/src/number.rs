//! Numbers as CRMs hold them, brought to E.164, and E.164 brought to the form that a trunk wants
//! (decision A8). Pure: no account, no caller-ID ownership, no routing.

mod written;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberType, get_national_significant_number_owned};
use std::fmt;
use storage::{NumberFormat, Region};

/// Longest text that is looked at; a `tel:` URI with its parameters fits.
const MAX_INPUT_CHARS: usize = 96;
/// ITU-T E.164 §6.2.1.
const MAX_E164_DIGITS: usize = 15;
/// Shorter national numbers are service codes unless the region's numbering plan knows them.
const MAX_SHORT_DIGITS: usize = 6;

/// Service codes of three and four digits that ring an emergency or distress service somewhere.
const EMERGENCY: &[&str] = &[
    "000", "100", "101", "102", "108", "110", "111", "112", "113", "114", "115", "117", "118",
    "119", "120", "122", "123", "133", "144", "155", "158", "181", "190", "191", "192", "193",
    "911", "988", "995", "997", "998", "999", "1090", "1091", "1098",
];

/// Country codes of satellite and international networks, priced as premium everywhere (ITU-T E.164
/// annex).
const PREMIUM_COUNTRY_CODES: &[i32] = &[870, 878, 881, 882, 883, 979];

/// First code points of the decimal digits of the scripts in use (Unicode category Nd).
const DIGIT_ZEROS: &[u32] = &[
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6,
    0x0D66, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x17E0, 0x1810, 0xFF10,
];

/// Why a number is not dialled. The text names no digit, so that it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberRefusal {
    #[error("the number is empty")]
    Empty,
    #[error("the number is too long: E.164 allows 15 digits")]
    TooLong,
    #[error("the number holds characters that are neither digits nor punctuation of phone numbers")]
    Unreadable,
    #[error("the number carries an extension, which cannot be dialled")]
    Extension,
    #[error("the field holds more than one number; one is dialled")]
    Several,
    #[error(
        "the field holds a decimal number as spreadsheets write it, not the digits of a phone \
            number"
    )]
    Decimal,
    #[error("emergency numbers are not dialled")]
    Emergency,
    #[error("short codes are not dialled")]
    Short,
    #[error("premium-rate numbers are not dialled")]
    Premium,
    #[error("no such number exists in its country's numbering plan")]
    Invalid,
}

/// A number that exists in its numbering plan: `+` and 7 to 15 digits.
#[derive(Clone, PartialEq, Eq)]
pub struct E164 {
    text: String,
    country: Option<Region>,
}

impl E164 {
    /// With the leading `+`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Without the leading `+`.
    pub fn digits(&self) -> &str {
        &self.text[1..]
    }
}

impl E164 {
    /// The country whose numbering plan the number belongs to; `None` for one that is nobody's,
    /// such as an international freephone number.
    pub fn country(&self) -> Option<Region> {
        self.country
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for E164 {
    /// Dialled numbers are kept out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E164(…{})", &self.text[self.text.len().saturating_sub(2)..])
    }
}

/// Reads a number as a CRM holds it; national forms are of `region`.
pub fn normalise(input: &str, region: Region) -> Result<E164, NumberRefusal> {
    let typed = read(input, region)?;
    if typed.plus || !typed.after_space {
        return resolve(&typed, region);
    }
    // A raw `+` in a query string decodes to a space (A8). Padding before a national number is far
    // rarer and seldom valid as E.164.
    resolve(&Typed { plus: true, ..typed.clone() }, region).or_else(|_| resolve(&typed, region))
}

/// What is left of the text: digits, and whether an international number was meant.
#[derive(Clone)]
struct Typed {
    plus: bool,
    /// The first character was a space and a digit followed it.
    after_space: bool,
    digits: String,
}

fn read(input: &str, region: Region) -> Result<Typed, NumberRefusal> {
    if input.chars().nth(MAX_INPUT_CHARS).is_some() {
        return Err(NumberRefusal::TooLong);
    }
    let visible: String = input.chars().filter(|c| !is_invisible(*c)).collect();
    let trimmed = visible.trim();
    // By an apostrophe spreadsheets know a text that looks like a number.
    let trimmed =
        trimmed.strip_prefix(['\'', '\u{2018}', '\u{2019}']).map_or(trimmed, str::trim_start);
    let (number, context) = match without_scheme(trimmed) {
        Some(rest) => read_parameters(rest)?,
        None => (trimmed, None),
    };
    if written::is_decimal(number) {
        return Err(NumberRefusal::Decimal);
    }
    let bare = without_trunk_zero(number);
    let mut typed = Typed { plus: false, after_space: false, digits: String::with_capacity(16) };
    for (at, character) in bare.char_indices() {
        if let Some(digit) = decimal(character) {
            typed.digits.push(digit);
        } else if matches!(character, '+' | '\u{FF0B}') && typed.digits.is_empty() && !typed.plus {
            typed.plus = true;
        } else if !is_punctuation(character) {
            return Err(written::what_follows(&typed.digits, &bare[at..]));
        }
    }
    if !written::is_one(number, region) {
        return Err(NumberRefusal::Several);
    }
    if let Some(context) = context.filter(|_| !typed.plus) {
        typed.plus = true;
        typed.digits.insert_str(0, &context);
    }
    typed.after_space =
        visible.starts_with(' ') && trimmed.chars().next().and_then(decimal).is_some();
    if typed.digits.is_empty() { Err(NumberRefusal::Empty) } else { Ok(typed) }
}

/// What follows the scheme of a link to a number: `tel:` (RFC 3966), or `callto:`, which came
/// before it; some write slashes behind.
fn without_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let is_known = ["tel", "callto"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    is_known.then(|| rest.strip_prefix("//").unwrap_or(rest).trim_start())
}

/// RFC 3966 §3: the number and the digits of a global `phone-context`.
fn read_parameters(uri: &str) -> Result<(&str, Option<String>), NumberRefusal> {
    let mut parts = uri.split(';');
    let number = parts.next().unwrap_or_default();
    let mut context = None;
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if ["ext", "postd"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
            return Err(NumberRefusal::Extension);
        }
        if name.eq_ignore_ascii_case("phone-context")
            && let Some(global) = value.strip_prefix('+')
        {
            context = Some(global.chars().filter_map(decimal).collect());
        }
    }
    Ok((number, context))
}

/// `+91 (0) 98765 43210` is written for readers at home and abroad; the `(0)` is never part of
/// E.164.
fn without_trunk_zero(number: &str) -> String {
    let Some((before, rest)) = number.split_once('(') else { return number.to_owned() };
    match rest.split_once(')') {
        Some((inside, after)) if inside.trim().chars().map(decimal).eq([Some('0')]) => {
            format!("{before}{after}")
        }
        _ => number.to_owned(),
    }
}

fn decimal(character: char) -> Option<char> {
    let code = u32::from(character);
    let zero = DIGIT_ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{2069}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
        || (character.is_control() && !character.is_whitespace())
}

fn is_punctuation(character: char) -> bool {
    character.is_whitespace()
        || matches!(character,
            '-' | '.' | '/' | '(' | ')' | '[' | ']' | '_' | '~' | '·'
            | '\u{2010}'..='\u{2015}' | '\u{2022}' | '\u{2053}' | '\u{2212}' | '\u{30FC}'
            | '\u{FE58}' | '\u{FE63}' | '\u{FF08}' | '\u{FF09}' | '\u{FF0D}'..='\u{FF0F}')
}

fn resolve(typed: &Typed, region: Region) -> Result<E164, NumberRefusal> {
    let digits = typed.digits.as_str();
    let behind_code = digits.strip_prefix(&country_code(region).to_string()).unwrap_or(digits);
    if !typed.plus && [digits, behind_code].iter().any(|each| EMERGENCY.contains(each)) {
        return Err(NumberRefusal::Emergency);
    }
    let (plus, digits) = match digits.strip_prefix("00") {
        Some(rest) => (true, rest),
        None => (typed.plus, digits),
    };
    // 5 more than E.164: a prefix to dial abroad, or a trunk zero inside.
    if digits.len() > MAX_E164_DIGITS + 5 {
        return Err(NumberRefusal::TooLong);
    }
    if digits.len() < 3 {
        return Err(NumberRefusal::Short);
    }
    let read = parse(digits, plus, region).ok_or_else(|| refusal_of(digits))?;
    let behind_zero = match read.kind {
        PhoneNumberType::Unknown => behind_trunk_zero(digits, plus, region),
        _ => None,
    };
    let Reading { country_code, national, kind, country } = behind_zero.unwrap_or(read);
    if EMERGENCY.contains(&national.as_str()) {
        return Err(NumberRefusal::Emergency);
    }
    if PREMIUM_COUNTRY_CODES.contains(&country_code) {
        return Err(NumberRefusal::Premium);
    }
    match kind {
        PhoneNumberType::Unknown => return Err(refusal_of(&national)),
        // Personal numbers (+44 70, +1 500) are billed as premium, too.
        PhoneNumberType::PremiumRate | PhoneNumberType::PersonalNumber => {
            return Err(NumberRefusal::Premium);
        }
        _ => {}
    }
    let text = format!("+{country_code}{national}");
    if text.len() > MAX_E164_DIGITS + 1 {
        return Err(NumberRefusal::TooLong);
    }
    Ok(E164 { text, country })
}

/// The code of a country's international numbers.
fn country_code(region: Region) -> i32 {
    let code = PHONE_NUMBER_UTIL.get_country_code_for_region(region.id());
    code.expect("a region is only made of countries with a numbering plan")
}

/// A reading of digits.
struct Reading {
    country_code: i32,
    national: String,
    /// `Unknown` if the number does not exist in its numbering plan.
    kind: PhoneNumberType,
    country: Option<Region>,
}

impl Reading {
    /// International with a leading `+`; else national, of the country.
    fn of(text: &str, country: Option<Region>) -> Option<Self> {
        let number = PHONE_NUMBER_UTIL.parse(text, country.map(Region::id)).ok()?;
        let country = PHONE_NUMBER_UTIL.get_region_for_number(&number);
        Some(Self {
            country_code: number.country_code,
            national: get_national_significant_number_owned(&number),
            kind: PHONE_NUMBER_UTIL.get_number_type(&number),
            country: country.and_then(|country| country.try_into().ok()),
        })
    }

    fn exists(&self) -> bool {
        self.kind != PhoneNumberType::Unknown
    }
}

/// The reading that exists in its numbering plan if there is one. A national reading goes first:
/// `9198765432` is a mobile of India, not `+91` and eight digits.
fn parse(digits: &str, plus: bool, region: Region) -> Option<Reading> {
    if plus {
        return Reading::of(&format!("+{digits}"), None);
    }
    let home = Reading::of(&format!("+{}{digits}", country_code(region)), None);
    home.filter(Reading::exists).or_else(|| Reading::of(digits, Some(region)))
}

/// `0 91 98765 43210`: the trunk zero before the country's own code, which is read if the digits
/// are no other number.
fn behind_trunk_zero(digits: &str, plus: bool, region: Region) -> Option<Reading> {
    let international = digits.strip_prefix('0').filter(|_| !plus)?;
    international.strip_prefix(&country_code(region).to_string())?;
    Reading::of(&format!("+{international}"), None).filter(Reading::exists)
}

/// The most telling reason for digits that are no number of their plan.
fn refusal_of(digits: &str) -> NumberRefusal {
    let national = digits.strip_prefix('0').unwrap_or(digits);
    match national.len() {
        _ if EMERGENCY.contains(&national) => NumberRefusal::Emergency,
        0..=MAX_SHORT_DIGITS => NumberRefusal::Short,
        length if length > MAX_E164_DIGITS => NumberRefusal::TooLong,
        _ => NumberRefusal::Invalid,
    }
}

/// The number as a trunk wants it in request-URI, To and From (S07); `region` is the account's.
pub fn wire(number: &E164, format: &NumberFormat, region: Region) -> String {
    match format {
        NumberFormat::E164Plus => number.text.clone(),
        NumberFormat::E164 => number.digits().to_owned(),
        NumberFormat::National0 => {
            match number.digits().strip_prefix(&country_code(region).to_string()) {
                Some(national) => format!("0{national}"),
                None => format!("00{}", number.digits()),
            }
        }
        NumberFormat::Prefix(prefix) => format!("{prefix}{}", number.digits()),
    }
}

#[cfg(test)]
mod tests;

//! Text for people: columns as wide as their widest cell, and lists of settings.

use serde::Serialize;
use serde_json::Value;

/// A table with a heading, or `none` if it has no row.
pub fn table<const N: usize>(heading: [&str; N], rows: Vec<[String; N]>) -> String {
    if rows.is_empty() {
        return "none".into();
    }
    let all: Vec<[String; N]> = std::iter::once(heading.map(str::to_owned)).chain(rows).collect();
    let width =
        |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Settings with their values, one a line.
pub fn settings(rows: Vec<(&str, String)>) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines =
        rows.iter().map(|(name, value)| format!("{name:<width$}  {value}").trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// Settings by the names that they have everywhere, one a line.
pub fn listed(view: &impl Serialize) -> String {
    let mut rows = Vec::new();
    list("", &serde_json::to_value(view).expect("views are plain data"), &mut rows);
    settings(rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect())
}

fn list(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Object(parts) => {
            for (part, value) in parts {
                let name = if name.is_empty() { part.clone() } else { format!("{name}.{part}") };
                list(&name, value, rows);
            }
            return;
        }
        Value::Null => or_dash(None),
        Value::Bool(is_set) => yes_no(*is_set),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let text = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            joined(&items.iter().map(text).collect::<Vec<_>>())
        }
        Value::Number(number) => number.to_string(),
    };
    rows.push((name.to_owned(), text));
}

/// `a, b`, or a dash for nothing.
pub fn joined(items: &[String]) -> String {
    if items.is_empty() { "-".into() } else { items.join(", ") }
}

/// The text, or a dash for nothing.
pub fn or_dash(item: Option<&str>) -> String {
    item.unwrap_or("-").into()
}

/// A truth as a table shows it.
pub fn yes_no(value: bool) -> String {
    if value { "yes".into() } else { "no".into() }
}

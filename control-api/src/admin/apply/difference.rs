//! What changed between two views of the same thing. Views hold no secrets; a changed secret is
//! told by its name alone.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One setting that changed; of secrets neither value is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    #[schema(example = "limits.max_concurrent_calls")]
    pub setting: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    pub from: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    pub to: Value,
}

impl Difference {
    /// A secret that differs, without its values.
    pub fn of_secret(setting: &str) -> Self {
        Self { setting: setting.to_owned(), from: Value::Null, to: Value::Null }
    }
}

/// The settings in which two views differ.
pub fn between<T: Serialize>(before: &T, after: &T) -> Vec<Difference> {
    let value = |view: &T| serde_json::to_value(view).expect("views are plain data");
    let mut differences = Vec::new();
    compare("", &value(before), &value(after), &mut differences);
    differences
}

fn compare(path: &str, before: &Value, after: &Value, differences: &mut Vec<Difference>) {
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        for (name, value) in new {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            compare(&path, old.get(name).unwrap_or(&Value::Null), value, differences);
        }
    } else if before != after {
        differences.push(Difference {
            setting: path.to_owned(),
            from: before.clone(),
            to: after.clone(),
        });
    }
}

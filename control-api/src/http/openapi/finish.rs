//! What holds for every operation of a document, written into it once: ids that are unique, a
//! description and the right media type for each answer, files as files, bodies that may be left
//! out.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

const METHODS: [&str; 8] = ["get", "head", "put", "post", "patch", "delete", "options", "trace"];
/// Paths that need no key, in a document whose other operations do.
const OPEN_PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Makes a document one that generators of clients can read.
pub fn finish(mut document: Value) -> Value {
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if METHODS.contains(&method.as_str()) {
                finish_operation(path, method, operation);
            }
        }
    }
    drop_null_defaults(&mut document);
    document
}

/// A key that may be left out has no default to send, least of all one that its type does not have.
fn drop_null_defaults(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            object.values_mut().for_each(drop_null_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_null_defaults),
        _ => {}
    }
}

fn finish_operation(path: &str, method: &str, operation: &mut Value) {
    if method == "head" {
        let id = operation["operationId"].as_str().unwrap_or_default();
        operation["operationId"] = json!(format!("head_{id}"));
    }
    if OPEN_PATHS.contains(&path) {
        operation["security"] = json!([]);
    }
    if let Some(body) = operation.get_mut("requestBody") {
        finish_request_body(body);
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        let reason = status.parse::<StatusCode>().ok().and_then(|status| status.canonical_reason());
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = json!(reason.unwrap_or("Any other answer"));
        }
        let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else {
            continue;
        };
        if status.starts_with(['4', '5'])
            && let Some(problem) = content.remove("application/json")
        {
            content.insert("application/problem+json".to_owned(), problem);
        }
        name_files(content);
    }
}

/// A body that may be left out has the schema of what is sent when it is not.
fn finish_request_body(body: &mut Value) {
    let mut is_optional = false;
    for media in body["content"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        let Some(choices) = media["schema"]["oneOf"].as_array() else { continue };
        let sent: Vec<_> =
            choices.iter().filter(|choice| choice["type"] != "null").cloned().collect();
        if let ([sent], true) = (sent.as_slice(), sent.len() < choices.len()) {
            media["schema"] = sent.clone();
            is_optional = true;
        }
    }
    if is_optional {
        body["required"] = json!(false);
    }
    if let Some(content) = body["content"].as_object_mut() {
        name_files(content);
    }
}

/// The bytes of a file are no list of numbers.
fn name_files(content: &mut Map<String, Value>) {
    for (_, media) in content.iter_mut().filter(|(kind, _)| kind.starts_with("audio/")) {
        media["schema"] = json!({ "type": "string", "format": "binary" });
    }
}

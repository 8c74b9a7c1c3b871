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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::{admin, public};
    use std::collections::HashSet;

    // B14
    #[test]
    fn both_documents_hold_together() {
        for document in [public("https://api.example"), admin()] {
            let mut ids = HashSet::new();
            assert!(
                document["servers"][0]["url"].is_string()
                    && document["info"]["title"].as_str().unwrap().starts_with("control-api")
            );
            for (path, item) in document["paths"].as_object().unwrap() {
                for (method, operation) in item.as_object().unwrap() {
                    let id = operation["operationId"].as_str().unwrap();
                    assert!(
                        ids.insert(id.to_owned()),
                        "{method} {path}: {id} is another operation's"
                    );
                    let responses = operation["responses"].as_object().unwrap();
                    for (status, response) in responses {
                        assert!(
                            !response["description"].as_str().unwrap().is_empty(),
                            "{method} {path} {status}"
                        );
                        let is_problem = status.starts_with(['4', '5']);
                        let content = response["content"].as_object();
                        let kinds = content
                            .map(|content| content.keys().cloned().collect::<Vec<_>>())
                            .unwrap_or_default();
                        assert!(
                            !is_problem || !kinds.iter().any(|kind| kind == "application/json"),
                            "{method} {path} {status}"
                        );
                    }
                    let is_open = operation["security"].as_array().is_some_and(Vec::is_empty);
                    assert_eq!(is_open, OPEN_PATHS.contains(&path.as_str()), "{method} {path}");
                    let is_admin = path.starts_with("/admin/");
                    assert!(
                        !is_admin || responses.contains_key("401") && responses.contains_key("400"),
                        "{method} {path}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_pushed_is_described() {
        let document = public("https://api.example");
        let pushed = &document["webhooks"]["result"]["post"];
        assert_eq!(
            pushed["requestBody"]["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/CallResult"
        );
        let call_result = &document["components"]["schemas"]["CallResult"]["properties"];
        assert!(call_result["recording_url"].is_object() && call_result["attempts"].is_object());
        assert!(document["components"]["schemas"]["EventView"].is_object());
    }
}

//! Answers over HTTP, and the OpenAPI document that they are checked against.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Expects a problem of this status and code.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> &Self {
        self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!((&body["code"], &body["status"]), (&json!(code), &json!(status)), "{body}");
        assert_eq!(body["type"], format!("/problems/{code}"));
        self
    }
}

impl Answer {
    pub(super) async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }
}

/// The document that the public listener serves.
pub(super) struct Document(pub Value);

impl Document {
    pub(super) fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let path = path.split('?').next().unwrap();
        let paths = self.0["paths"].as_object().unwrap();
        let Some((template, operations)) =
            paths.iter().find(|(template, _)| matches_template(template, path))
        else {
            return;
        };
        let Some(operation) = operations.get(method.as_str().to_ascii_lowercase()) else { return };
        let status = answer.status.as_u16().to_string();
        let response = &operation["responses"][&status];
        assert!(
            !response.is_null(),
            "{method} {template} answers {status}, which is not documented"
        );
        let content_type = answer.header("content-type").split(';').next().unwrap().to_owned();
        if method == Method::HEAD || answer.body.is_empty() {
            return;
        }
        let media = &response["content"][&content_type];
        assert!(
            !media.is_null(),
            "{method} {template} {status} answers {content_type}, which is not documented"
        );
        if content_type.ends_with("json") {
            let mut schema = media["schema"].clone();
            schema["components"] = self.0["components"].clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let body = answer.json();
            let errors: Vec<_> = validator
                .iter_errors(&body)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{method} {template} {status}: {errors:?}\n{body:#}");
        }
    }
}

fn matches_template(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(wanted, actual)| wanted.starts_with('{') || wanted == actual)
}

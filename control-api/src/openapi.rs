//! The OpenAPI document of the public API: its head here, its paths and schemas from the resources that are served.

pub mod answers;
pub mod refusals;

use crate::{
    problem::{Problem, ProblemDetails},
    server,
};
use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use std::sync::LazyLock;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, Ref, ResponseBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "control-api",
        description = "Places calls between an agent and a customer, and tells how they went. Every error is `application/problem+json` \
            (RFC 9457); its `code` is stable. Unknown keys of a body are ignored; new keys may be added to answers."
    ),
    tags(
        (name = "calls", description = "Server-to-server calls"),
        (name = "softphone", description = "The browser softphone"),
        (name = "recordings", description = "Recordings of calls"),
        (name = "meta", description = "This document"),
    ),
    components(schemas(ProblemDetails)),
    modifiers(&Keys)
)]
struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The account's server key")).build();
        document.components.get_or_insert_default().add_security_scheme("server_key", SecurityScheme::Http(scheme));
    }
}

/// The document without any path.
pub fn empty() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Says for each operation what its other errors look like: 405, 408, 500.
pub fn document_other_errors(document: &mut utoipa::openapi::OpenApi) {
    let content = Content::new(Some(Ref::from_schema_name("ProblemDetails")));
    let response = ResponseBuilder::new().description("Any other error").content("application/problem+json", content).build();
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.head, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            operation.responses.responses.insert("default".to_owned(), response.clone().into());
        }
    }
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "meta",
    responses(
        (status = 200, description = "OpenAPI 3.1", body = Object),
        (status = 403, description = "A key was sent in the query string", body = ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub async fn read() -> Result<Response, Problem> {
    static TEXT: LazyLock<Result<String, String>> =
        LazyLock::new(|| server::public_resources().into_openapi().to_json().map_err(|error| error.to_string()));
    let text = TEXT.as_ref().map_err(|error| Problem::internal(error))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text.as_str()).into_response())
}

//! The OpenAPI documents of the public and of the admin API: their heads and what is pushed here,
//! paths and schemas from the resources that are served.

pub mod answers;
mod finish;
pub mod refusals;

pub use finish::finish;

use crate::app::App;
use crate::callback::{Payload, RESPONSE_TIMEOUT};
use crate::problem::ProblemDetails;
use crate::view::event::EventView;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::Arc;
use utoipa::openapi::path::OperationBuilder;
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, HttpMethod, PathItem, Paths, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "control-api",
        description = "Places calls between an agent and a customer, and tells how they went. \
            Every error is `application/problem+json` \
            (RFC 9457); its `code` is stable. Unknown keys of a body are ignored; new keys may be \
            added to answers."
    ),
    tags(
        (name = "calls", description = "Server-to-server calls"),
        (name = "softphone", description = "The browser softphone"),
        (name = "recordings", description = "Recordings of calls"),
        (name = "meta", description = "This document"),
        (name = "pushed", description = "What is sent to the account's callback URL, signed as in \
            Standard Webhooks"),
    ),
    components(schemas(ProblemDetails, EventView, Payload)),
    modifiers(&Keys, &Pushed)
)]
struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The account's server key"))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("server_key", SecurityScheme::Http(scheme));
    }
}

struct Pushed;

impl Modify for Pushed {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let pushed = |schema: &str, id: &str, summary: &str| {
            let body = RequestBodyBuilder::new()
                .content("application/json", Content::new(Some(Ref::from_schema_name(schema))));
            let taken = ResponseBuilder::new().description(format!(
                "Any 2xx within {} s takes it; it is sent again otherwise",
                RESPONSE_TIMEOUT.as_secs()
            ));
            let operation =
                OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)).tag("pushed");
            PathItem::new(
                HttpMethod::Post,
                operation.request_body(Some(body.build())).response("2XX", taken.build()).build(),
            )
        };
        let mut webhooks = Paths::new();
        let result = pushed(
            "CallResult",
            "take_result",
            "The result of a call, to the account's callback URL as soon as it has ended",
        );
        let progress = pushed(
            "EventView",
            "take_event",
            "An event of a call as it happens, to accounts that ask for it",
        );
        webhooks.paths.extend([("result".to_owned(), result), ("event".to_owned(), progress)]);
        document.webhooks = Some(webhooks);
    }
}

/// Makes the document of the public API, which is reached under a URL: handed in by who knows all
/// resources.
#[derive(Clone, Copy)]
pub struct PublicDocument(pub fn(&str) -> Value);

/// The document without any path.
pub fn empty() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Says for each operation what its other errors look like: 405, 408, 500.
pub fn document_other_errors(document: &mut utoipa::openapi::OpenApi) {
    let content = Content::new(Some(Ref::from_schema_name("ProblemDetails")));
    let response = ResponseBuilder::new()
        .description("Any other error")
        .content("application/problem+json", content)
        .build();
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.head, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            operation.responses.responses.insert("default".to_owned(), response.clone().into());
        }
    }
}

/// This document.
#[utoipa::path(
    operation_id = "read_document", get, path = "/openapi.json", tag = "meta",
    responses(
        (status = 200, description = "OpenAPI 3.1", body = Object),
        (status = 403, description = "A key was sent in the query string", body = ProblemDetails,
            content_type = "application/problem+json"),
    ),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Extension(PublicDocument(make)): Extension<PublicDocument>,
) -> Response {
    let text = app.document.get_or_init(|| make(&app.config.public.url).to_string().into());
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text.clone())
        .into_response()
}

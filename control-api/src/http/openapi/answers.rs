//! Answers that several operations have in common in the document, as `refusals` has their
//! problems.

use std::collections::BTreeMap;
use utoipa::IntoResponses;
use utoipa::openapi::schema::{Schema, Type};
use utoipa::openapi::{
    Content, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
};

/// A party that was asked for.
pub struct PartyAnswers;

/// Events as they happen.
pub struct EventStream;

impl IntoResponses for PartyAnswers {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let answer = |description| {
            let content = Content::new(Some(Ref::from_schema_name("CallView")));
            let location = HeaderBuilder::new()
                .schema(Some(text()))
                .description(Some("Path of the party"))
                .build();
            let response = ResponseBuilder::new()
                .description(description)
                .content("application/json", content);
            response.header("Location", location).build().into()
        };
        [
            ("201", "The party is dialled"),
            ("200", "The same request came before; this is its party"),
        ]
        .map(|(status, description)| (status.to_owned(), answer(description)))
        .into()
    }
}

impl IntoResponses for EventStream {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let description = "Server-sent events: `id`, `event`, and as `data` an `EventView`";
        let response = ResponseBuilder::new()
            .description(description)
            .content("text/event-stream", Content::new(Some(text())));
        [("200".to_owned(), response.build().into())].into()
    }
}

fn text() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).into()
}

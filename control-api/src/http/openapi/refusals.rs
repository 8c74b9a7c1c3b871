//! What operations have in common in the document: the problems that many of them answer with, and
//! the names in their paths. An operation names a set of them beside its own answers; what it names
//! after a set replaces the set's.

use std::collections::BTreeMap;
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{
    Content, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{IntoParams, IntoResponses};

/// An operation on one call.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct CallPath {
    /// `call_id` of the call
    pub call_id: String,
}

/// An operation on one party of a call.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PartyPath {
    /// `call_id` of the call
    pub call_id: String,
    /// Name of the party
    pub party: String,
}

/// A request that may be sent again.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct RepeatHeader {
    /// 1 to 255 characters; within the call the same key and body name the same party, which is
    /// dialled once; sent again while the first one is being done, it gets the same answer
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    pub idempotency_key: Option<String>,
}

/// Whoever may not use the server API.
pub struct KeyRefusals;

/// Reading or ending a call.
pub struct CallRefusals;

/// A body that is not the JSON object that was expected.
pub struct BodyRefusals;

/// A verb on a running call.
pub struct VerbRefusals;

/// A verb that says more in its body.
pub struct VerbBodyRefusals;

/// A verb that dials somebody.
pub struct DialRefusals;

/// An operation that takes a caller ID.
pub struct CallerIdRefusals;

/// An operation on supervisors.
pub struct SuperviseRefusals;

/// A stream of events.
pub struct StreamRefusals;

type Refusals = BTreeMap<String, RefOr<Response>>;

impl IntoResponses for KeyRefusals {
    fn responses() -> Refusals {
        problems([
            (401, "No, unknown or expired key"),
            (403, "Class or address of the key, or a key in the query string"),
            (429, "Too many wrong keys came from this address"),
            (503, "Records cannot be read or written at the moment"),
        ])
    }
}

impl IntoResponses for CallRefusals {
    fn responses() -> Refusals {
        let own =
            [(400, "The id in the path cannot be read"), (404, "No such call of this account")];
        joined(KeyRefusals::responses(), problems(own))
    }
}

impl IntoResponses for BodyRefusals {
    fn responses() -> Refusals {
        problems([(400, "Not the expected JSON"), (413, "Body too long"), (415, "Not JSON")])
    }
}

impl IntoResponses for VerbRefusals {
    fn responses() -> Refusals {
        let own = [
            (400, "The id in the path or the body cannot be read"),
            (404, "No such call of this account, or no such party of the call"),
            (
                409,
                "The call has ended, or is in a state in which this cannot be done: `code` says \
                    why",
            ),
            (503, "The media server of the call is not connected, or has no room"),
            (504, "The media server did not answer in time: it may have been done"),
        ];
        joined(KeyRefusals::responses(), problems(own))
    }
}

impl IntoResponses for VerbBodyRefusals {
    fn responses() -> Refusals {
        let body = joined(BodyRefusals::responses(), problems([(422, "A field is wrong")]));
        joined(body, VerbRefusals::responses())
    }
}

impl IntoResponses for DialRefusals {
    fn responses() -> Refusals {
        let own = [
            (422, "A number or another field is wrong"),
            (
                429,
                "The account's limit of calls per second or of minutes a day is reached, or too \
                    many wrong keys came from this address",
            ),
        ];
        joined(VerbBodyRefusals::responses(), problems(own))
    }
}

impl IntoResponses for CallerIdRefusals {
    fn responses() -> Refusals {
        forbidden("a `from_number` that is not assigned")
    }
}

impl IntoResponses for SuperviseRefusals {
    fn responses() -> Refusals {
        forbidden("a key that may not add supervisors")
    }
}

impl IntoResponses for StreamRefusals {
    fn responses() -> Refusals {
        problems([(429, "The account has as many streams open as it may")])
    }
}

/// The 403 of an operation that has one more reason for it.
fn forbidden(also: &str) -> Refusals {
    problems([(403, &format!("Class or address of the key, a key in the query string, or {also}"))])
}

/// Those of both; where both have one, the second's.
fn joined(mut some: Refusals, others: Refusals) -> Refusals {
    some.extend(others);
    some
}

fn problems<const N: usize>(described: [(u16, &str); N]) -> Refusals {
    described
        .into_iter()
        .map(|(status, description)| (status.to_string(), problem(status, description).into()))
        .collect()
}

/// Problem details, with `Retry-After` where the client may come again.
fn problem(status: u16, description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("ProblemDetails")));
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content);
    if !matches!(status, 429 | 503) {
        return response.build();
    }
    let seconds = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0.0));
    let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds"));
    response.header("Retry-After", header.build()).build()
}

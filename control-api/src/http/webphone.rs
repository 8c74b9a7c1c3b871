//! The browser softphone as browsers meet it, under `/CRM_API/webphone/`: the launch link, the
//! pages and their files, and the API of a launched page. How softphones are kept apart and reached
//! is `agent`'s, how calls are placed `call::place`'s.

mod asset;
mod calling;
mod control;
mod events;
pub mod launch;
mod media_test;
mod page;
mod session;
mod ticket;
mod view;

use crate::app::App;
use crate::problem::Problem;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use std::sync::Arc;

/// Head of every path here.
const HOME: &str = "/CRM_API/webphone/";

/// What serves pages and their API; the launch link itself is in the OpenAPI document. The API of a
/// launched page is the page's own and changes with it, so that it is documented here and not
/// there.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/CRM_API/webphone/call", routing::get(page::call))
        .route("/CRM_API/webphone/setup", routing::get(page::setup))
        .route("/CRM_API/webphone/assets/{*path}", routing::get(asset::read))
        .route("/CRM_API/webphone/session", routing::post(session::open))
        .route("/CRM_API/webphone/session/renew", routing::post(session::renew))
        .route("/CRM_API/webphone/session/close", routing::post(session::close))
        .route("/CRM_API/webphone/session/events", routing::get(events::read))
        .route(
            "/CRM_API/webphone/session/call",
            routing::get(calling::read)
                .post(calling::start)
                .patch(calling::change)
                .delete(calling::end),
        )
        .route(
            "/CRM_API/webphone/session/media-test",
            routing::post(media_test::begin).put(media_test::keep),
        )
        .route("/CRM_API/webphone/session/call/control", routing::post(control::press))
}

/// The answer to a request that is refused before it reaches its resource: a page where a person
/// would see it, else a problem.
pub fn refusal(request: &Request, problem: Problem) -> Response {
    let path = request.uri().path().strip_prefix(HOME);
    let is_page = path.is_some_and(|path| ["launch", "call", "setup"].contains(&path));
    if is_page { page::refuse(request.headers(), problem, &[]) } else { problem.into_response() }
}

//! The admin API, on the listener of operators: everything of onboarding, live for the next call.
//! One bearer token opens all of it. Which settings are allowed is each resource's; what is kept is
//! `storage`'s.

pub mod account;
pub mod apply;
pub mod call;
pub mod callback;
pub mod capture;
pub mod delivery;
pub mod desk;
pub mod field;
pub mod hold_audio;
pub mod identity;
pub mod key;
pub mod ladder;
pub mod pack;
pub mod trial;
pub mod trunk;

use crate::app::App;
use crate::http::auth::{self, Client};
use crate::problem::{self, Problem};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use desk::Admin;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Media type of every error (RFC 9457).
const PROBLEM: &str = "application/problem+json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "control-api: admin API",
        description = "Onboarding: accounts, numbers, agents, keys, trunks, callbacks. Changes \
            hold from the next call on."
    ),
    tags(
        (name = "accounts", description = "Customers with their region, limits, recording, hold \
            audio, timers and retention"),
        (name = "numbers", description = "Caller IDs assigned to an account"),
        (name = "agents", description = "Agents registered with an account"),
        (name = "keys", description = "API keys, told once"),
        (name = "callback", description = "Where an account's results are pushed"),
        (name = "trunks", description = "SIP peers"),
        (name = "calls", description = "Calls of all accounts"),
        (name = "deliveries", description = "Results that are not delivered"),
        (name = "onboarding", description = "The declarative file and the customer's pack")
    ),
    modifiers(&Token),
    security(("admin_token" = []))
)]
struct Document;

struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Content of the admin token file"))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("admin_token", SecurityScheme::Http(scheme));
    }
}

fn resources() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(account::list))
        .routes(routes!(account::read, account::set, account::remove))
        .routes(routes!(hold_audio::set, hold_audio::remove))
        .routes(routes!(identity::list_numbers))
        .routes(routes!(identity::assign_number, identity::withdraw_number))
        .routes(routes!(identity::list_agents))
        .routes(routes!(identity::register_agent, identity::remove_agent))
        .routes(routes!(key::list, key::create))
        .routes(routes!(key::change, key::revoke))
        .routes(routes!(key::rotate))
        .routes(routes!(callback::read, callback::set, callback::remove))
        .routes(routes!(callback::renew_signing_secret))
        .routes(routes!(callback::end_overlap))
        .routes(routes!(trial::run))
        .routes(routes!(call::of_account))
        .routes(routes!(call::live))
        .routes(routes!(ladder::read))
        .routes(routes!(capture::start, capture::stop, capture::read))
        .routes(routes!(delivery::list))
        .routes(routes!(delivery::redeliver))
        .routes(routes!(delivery::redeliver_all))
        .routes(routes!(trunk::list))
        .routes(routes!(trunk::read, trunk::set, trunk::remove))
        .routes(routes!(apply::apply))
        .routes(routes!(pack::read_pack))
}

/// The OpenAPI document of the admin API.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = resources().split_for_parts().1;
    let content = || Content::new(Some(Ref::from_schema_name("ProblemDetails")));
    let problem = |description: &str| {
        ResponseBuilder::new().description(description).content(PROBLEM, content()).build()
    };
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let mut common = vec![
                ("400", "The path, the query or the body cannot be read"),
                ("401", "No or a wrong admin token"),
                ("429", "Too many wrong tokens came from this address"),
                ("503", "Records cannot be read or written at the moment"),
                ("default", "Any other error"),
            ];
            if operation.request_body.is_some() {
                common.extend([
                    ("413", "The body is too long"),
                    ("415", "The body is not of this type"),
                ]);
            }
            for (status, description) in common {
                operation
                    .responses
                    .responses
                    .entry(status.to_owned())
                    .or_insert_with(|| problem(description).into());
            }
        }
    }
    document
}

/// All paths below `/admin`, for who has the token.
pub fn router(app: Arc<App>) -> Router {
    let admin = Arc::new(Admin::new(app));
    let router: Router<Arc<Admin>> = resources().into();
    let guarded = router.route_layer(middleware::from_fn_with_state(Arc::clone(&admin), guard));
    guarded.method_not_allowed_fallback(problem::unknown_method).with_state(admin)
}

/// Lets in who has the token, keeps answers out of caches, and notes changes.
async fn guard(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap_or_default());
    let token = given
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if !token.is_some_and(|(_, token)| admin.app.secrets.admin_token.matches(token.trim())) {
        let error = given.map(|_| "invalid_token");
        let refusal =
            Problem::unauthorized(error, "send the admin token as Authorization: Bearer TOKEN");
        let Client(client) = Client::of(request.extensions(), request.headers(), &admin.app);
        return auth::guessed(&admin.app, client, refusal).into_response();
    }
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !method.is_safe() {
        let route = route.as_ref().map_or("", MatchedPath::as_str);
        tracing::info!(%method, route, status = response.status().as_u16(), "admin request");
    }
    response
}

#[cfg(test)]
pub(crate) mod tests;

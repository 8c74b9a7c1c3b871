//! The HTML that browsers get: the app's shell with the launch data in its place, and pages that
//! say what is wrong and what to do. No page has a script of its own besides the app's files.

use super::asset::Dist;
use crate::app::App;
use crate::problem::Problem;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use call_words::AccountId;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};

/// Where the launch data goes, in the build's `index.html`.
const PLACE: &str = r#"<script type="application/json" id="launch"></script>"#;

/// Whose page it is.
#[derive(Debug, Deserialize)]
pub struct Whose {
    account: Option<AccountId>,
}

/// The page of a launched link after its address was cleaned: the app without launch data, which
/// goes on with its stored session.
pub async fn call(
    State(app): State<Arc<App>>,
    Query(whose): Query<Whose>,
    headers: HeaderMap,
) -> Response {
    match embedders(&app, whose).await {
        Ok(origins) => shell(&app, &headers, &origins, None::<&()>),
        Err(problem) => refuse(&headers, problem, &[]),
    }
}

/// Who may embed a page: what its account says; of one that names none, the origins that any
/// account names.
async fn embedders(app: &App, Whose { account }: Whose) -> Result<Vec<String>, Problem> {
    let found = app.records.visit(move |store| {
        let account = account.map(|id| store.account(&id)).transpose()?.flatten();
        account.map_or_else(|| store.accounts(), |account| Ok(vec![account]))
    });
    Ok(found.await?.into_iter().flat_map(|account| account.frame_ancestors).collect())
}

/// What the setup page is told: where softphones register now.
#[derive(Serialize)]
struct SetupData {
    sip_url: String,
}

/// The page on which an agent tries microphone, speaker and network; the same app in another view.
pub async fn setup(
    State(app): State<Arc<App>>,
    Query(whose): Query<Whose>,
    headers: HeaderMap,
) -> Response {
    let data = app.link.softphone_url().map(|sip_url| SetupData { sip_url });
    match embedders(&app, whose).await {
        Ok(origins) => shell(&app, &headers, &origins, data.as_ref()),
        Err(problem) => refuse(&headers, problem, &[]),
    }
}

/// The app, with launch data if there is some. `frame_ancestors` are the origins that may embed it;
/// none means any.
pub fn shell(
    app: &App,
    headers: &HeaderMap,
    frame_ancestors: &[String],
    launch: Option<&impl Serialize>,
) -> Response {
    static PARTS: LazyLock<Option<(String, String)>> = LazyLock::new(|| {
        let index = Dist::get("index.html")?;
        let (head, tail) = std::str::from_utf8(&index.data).ok()?.split_once(PLACE)?;
        Some((head.to_owned(), tail.to_owned()))
    });
    let Some((head, tail)) = PARTS.as_ref() else {
        return refuse(
            headers,
            Problem::internal(&"the embedded index.html has no place for launch data"),
            &[],
        );
    };
    let place = launch.map_or_else(
        || PLACE.to_owned(),
        |launch| PLACE.replace("><", &format!(">{}<", inline_json(launch))),
    );
    let mut response = guarded(format!("{head}{place}{tail}").into_response());
    let ancestors =
        if frame_ancestors.is_empty() { "*".to_owned() } else { frame_ancestors.join(" ") };
    let plain = if app.link.has_plain_softphones() { " ws:" } else { "" };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src \
            'self'; media-src 'self' blob: data:; \
         connect-src 'self' wss:{plain}; worker-src 'self'; manifest-src 'self'; base-uri 'none'; \
         form-action 'none'; \
         frame-ancestors {ancestors}"
    );
    set_html(&mut response, &policy);
    response
}

/// JSON that ends no HTML element: what would is written as an escape.
fn inline_json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("launch data is plain data");
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// With the headers that every page and problem of the softphone has: nothing is stored, and nobody
/// is told the link.
pub fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
        (
            HeaderName::from_static("permissions-policy"),
            "microphone=(self), autoplay=(self), camera=(), geolocation=()",
        ),
        (header::VARY, "Accept"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn set_html(response: &mut Response, policy: &str) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = HeaderValue::from_str(policy).expect("origins and keywords are plain ASCII");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
}

/// Whether the client would rather have JSON than a page (RFC 9110 §12.5.1). Browsers and those
/// that do not say get pages.
pub fn prefers_json(headers: &HeaderMap) -> bool {
    let accept: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = accept.join(",");
    let json =
        quality(&accept, "application/problem+json").max(quality(&accept, "application/json"));
    json > quality(&accept, "text/html")
}

/// Weight of a media type in an `Accept` header: that of the most specific range that holds it.
fn quality(accept: &str, wanted: &str) -> u16 {
    let group = wanted.split('/').next().unwrap_or_default();
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let specificity = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            name if name == wanted => 3,
            name if name.strip_suffix("/*") == Some(group) => 2,
            "*/*" => 1,
            _ => continue,
        };
        let weight =
            parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        if specificity > best.0 {
            best = (specificity, (weight.clamp(0.0, 1.0) * 1000.0) as u16);
        }
    }
    best.1
}

/// The look of the softphone, as far as a message needs it; nothing is loaded.
const STYLE: &str = "\
:root{color-scheme:light \
dark;--ground:#eef1f6;--card:#fff;--ink:#17202e;--soft:#586376;--line:#d7dde7;--bad:#a61b1b;font:1rem/1.5 system-ui,sans-serif}\
@media(prefers-color-scheme:dark){:root{--ground:#0f131a;--card:#191f29;--ink:#e9edf4;--soft:#a2adbd;--line:#313a48;--bad:#ff9d94}}\
*{box-sizing:border-box}\
body{margin:0;padding:max(.75rem,6vh) .75rem .75rem;background:var(--ground);color:var(--ink)}\
main{max-width:30rem;margin:0 auto;padding:1.25rem;background:var(--card);border:1px solid \
var(--line);border-top:.25rem solid var(--bad);border-radius:.75rem}\
h1{font-size:1.3rem;line-height:1.3;margin:0 0 .75rem}\
p,ul{margin:0 0 .75rem}\
ul{padding-left:1.25rem}\
p:last-child{margin:0;color:var(--soft)}\
code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}";

/// A failure as a page, or as a problem for clients that ask for JSON. The page also shows what
/// arrived.
pub fn refuse(headers: &HeaderMap, problem: Problem, arrived: &[String]) -> Response {
    if prefers_json(headers) { guarded(problem.into_response()) } else { failure(problem, arrived) }
}

/// A problem as a page for the agent: what is wrong, what to do, what arrived, and the word for the
/// support.
pub fn failure(problem: Problem, arrived: &[String]) -> Response {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes()));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
                frame-ancestors *"
        )
    });
    let html = failure_html(&problem, arrived);
    let mut response = guarded(problem.into_response());
    // Status, Retry-After and the challenge stay the problem's.
    *response.body_mut() = html.into();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    set_html(&mut response, &POLICY);
    response
}

fn failure_html(problem: &Problem, arrived: &[String]) -> String {
    let body = &problem.body;
    let (title, advice) = explanation(&body.code, problem.status);
    // One error alone is what the detail says.
    let errors = if body.errors.len() > 1 { body.errors.as_slice() } else { &[] };
    let mut list: Vec<String> =
        errors.iter().map(|error| format!("{}: {}", error.field, error.detail)).collect();
    if let Some(numbers) = &body.assigned_numbers {
        let numbers = if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") };
        list.push(format!("assigned numbers: {numbers}"));
    }
    let list_of = |items: &[String]| {
        let items: String =
            items.iter().map(|item| format!("<li><code>{}</code></li>", escape(item))).collect();
        if items.is_empty() { items } else { format!("<ul>{items}</ul>") }
    };
    let list = list_of(&list);
    let arrived = list_of(arrived);
    let arrived =
        if arrived.is_empty() { arrived } else { format!("<p>The link came with:</p>{arrived}") };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
            content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><main><div \
         role=\"alert\"><h1>{title}</h1><p>{detail}.</p>{list}\
         {arrived}<p>{advice}</p><p><small>{status} \
         <code>{code}</code></small></p></div></main></body></html>\n",
        detail = escape(&sentence(&body.detail)),
        status = body.status,
        code = escape(&body.code),
    )
}

/// What a code means to an agent, and what helps.
fn explanation(code: &str, status: StatusCode) -> (&'static str, &'static str) {
    const LINK: &str = "Ask your administrator to compare the Dial button's link with the \
        template of the onboarding pack.";
    match code {
        "missing_parameter" | "repeated_parameter" | "malformed_query" => {
            ("The Dial button's link is not complete", LINK)
        }
        "unauthorized" => (
            "The Dial button's key does not work",
            "Ask your administrator to put the present browser key into the link.",
        ),
        "key_class" | "key_in_query" => (
            "The Dial button's link holds a wrong key",
            "Ask your administrator to put the browser key into the link, and to have the key \
                that was used rotated.",
        ),
        "unknown_agent" | "invalid_crm_username" => (
            "This agent is not registered",
            "Ask your administrator to register the agent ID exactly as the CRM sends it; capital \
                letters count.",
        ),
        "from_number_not_assigned" => (
            "This caller ID is not assigned to your account",
            "Ask your administrator to use one of the assigned numbers as from_number.",
        ),
        "invalid_number" => (
            "This number cannot be called",
            "Correct the number in the CRM's record and press Dial again.",
        ),
        "country_not_allowed" => (
            "This country is not called from your account",
            "Ask your administrator to have the country allowed, if such calls are wanted.",
        ),
        "rate_limited" => ("Too many calls were started", "Wait a moment and press Dial again."),
        "prefetch" => ("This link is opened by a click only", "Press Dial again."),
        _ if status.is_server_error() => (
            "The dialer cannot do this now",
            "Try again in a moment; if it goes on, tell your administrator.",
        ),
        _ => ("This call cannot be started", LINK),
    }
}

/// A detail as people begin sentences, unless it begins with a field's name.
fn sentence(detail: &str) -> String {
    let detail = detail.trim_end_matches('.');
    let is_field = detail.split(' ').next().is_some_and(|word| word.ends_with(':'));
    let mut letters = detail.chars();
    match letters.next() {
        Some(first) if !is_field => first.to_uppercase().chain(letters).collect(),
        _ => detail.to_owned(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_json(accept: &str, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        assert_eq!(prefers_json(&headers), expected, "{accept}");
    }

    #[test]
    fn pages_are_for_browsers_and_problems_for_programs() {
        check_json("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false);
        check_json("*/*", false);
        check_json("", false);
        check_json("application/json", true);
        check_json("application/problem+json", true);
        check_json("application/json, text/html", false);
        check_json("text/html;q=0.5, application/json", true);
        check_json("text/html;q=0.5, application/json;q=0.4", false);
        check_json("application/*, */*;q=0.1", true);
        check_json("Application/JSON;q=x, text/plain", true);
        assert!(!prefers_json(&HeaderMap::new()));
    }

    #[test]
    fn data_cannot_leave_its_element() {
        let text = inline_json(&["</script><script>alert(1)</script>", "<!--", "a&b", "\u{2028}"]);
        assert!(!text.contains(['<', '>', '&']), "{text}");
        let back: Vec<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(back[0], "</script><script>alert(1)</script>");
    }

    #[test]
    fn failures_are_told_as_alerts_inside_the_page_s_main_part() {
        let html =
            failure_html(&Problem::unprocessable("to_number", "invalid_number", "no number"), &[]);
        assert!(
            html.contains("<main><div role=\"alert\"><h1>") && html.contains("</div></main>"),
            "{html}"
        );
    }

    #[test]
    fn failures_say_what_is_wrong_without_running_anything() {
        let problem =
            Problem::unprocessable("to_number", "invalid_number", "<script>alert(\"x\")</script>");
        let html = failure_html(&problem, &["to_number: <b>{{phone}}".to_owned()]);
        assert!(
            !html.contains("<script")
                && html.contains("<code>to_number: &lt;b&gt;{{phone}}</code>"),
            "{html}"
        );
        for part in ["This number cannot be called", "&lt;script&gt;", "Press Dial again", "422"] {
            assert!(html.to_lowercase().contains(&part.to_lowercase()), "{part} is not in {html}");
        }
        assert_eq!(html.matches("&lt;script&gt;").count(), 1, "said twice: {html}");
    }

    #[test]
    fn details_begin_as_sentences_do() {
        assert_eq!(sentence("the link lacks to_number"), "The link lacks to_number");
        assert_eq!(sentence("api_key: unknown or expired."), "api_key: unknown or expired");
        assert_eq!(sentence(""), "");
    }
}

//! The built page's files, embedded in the binary, plain and compressed. Their names hold a hash of
//! their content, so that browsers may keep them for good. An answer shares the embedded bytes.

use crate::http::extract::PathParams;
use crate::problem::Problem;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The build's output; `build.rs` sees to it that it is there.
#[derive(rust_embed::RustEmbed)]
#[folder = "web/dist/"]
pub struct Dist;

/// Codings by falling liking (RFC 9110 §8.4.1), with the ending of the files that the build made in
/// them.
const CODINGS: [(&str, &str); 3] = [("br", ".br"), ("gzip", ".gz"), ("identity", "")];

/// One file in one coding.
struct Form {
    coding: &'static str,
    body: Bytes,
    tag: HeaderValue,
}

/// One file of `assets/`.
struct Asset {
    kind: HeaderValue,
    /// By falling liking; the last one is the file itself.
    forms: Vec<Form>,
}

static ASSETS: LazyLock<HashMap<String, Asset>> = LazyLock::new(|| {
    let is_plain = |path: &Cow<'static, str>| {
        CODINGS.iter().all(|(_, ending)| ending.is_empty() || !path.ends_with(ending))
    };
    let assets = Dist::iter().filter(is_plain).filter_map(|path| {
        let name = path.strip_prefix("assets/")?.to_owned();
        let kind = HeaderValue::from_str(Dist::get(&path)?.metadata.mimetype())
            .expect("media types are plain ASCII");
        let forms = CODINGS
            .into_iter()
            .filter_map(|(coding, ending)| form(coding, &format!("{path}{ending}")));
        Some((name, Asset { kind, forms: forms.collect() }))
    });
    assets.collect()
});

fn form(coding: &'static str, path: &str) -> Option<Form> {
    let file = Dist::get(path)?;
    let tag: String =
        file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let body = match file.data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => data.into(),
    };
    Some(Form {
        coding,
        body,
        tag: HeaderValue::from_str(&format!("\"{tag}\"")).expect("hexadecimal in quotes"),
    })
}

/// One file of `assets/`, in the coding that the client likes best.
pub async fn read(
    PathParams(path): PathParams<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = ASSETS.get(&path).ok_or_else(|| Problem::not_found("there is no such file"))?;
    let form = chosen(&asset.forms, &list(&headers, header::ACCEPT_ENCODING));
    let form = form.ok_or_else(|| Problem::not_found("there is no such file"))?;
    let mut response = if is_known(&list(&headers, header::IF_NONE_MATCH), &form.tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        form.body.clone().into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, asset.kind.clone());
    if form.coding != "identity" {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(form.coding));
    }
    headers.insert(header::ETAG, form.tag.clone());
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// All values of a header that is a list.
fn list(headers: &HeaderMap, name: header::HeaderName) -> String {
    let values: Vec<&str> =
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// The form of the greatest weight, the first of several; the file itself if the client likes none.
fn chosen<'a>(forms: &'a [Form], accepted: &str) -> Option<&'a Form> {
    let weighed = forms.iter().map(|form| (weight(accepted, form.coding), form));
    let best = weighed
        .filter(|(weight, _)| *weight > 0)
        .reduce(|best, other| if other.0 > best.0 { other } else { best });
    best.map(|(_, form)| form).or(forms.last())
}

/// Weight of a coding in thousandths (RFC 9110 §12.5.3). What is not compressed is taken unless it
/// is refused.
fn weight(accepted: &str, coding: &str) -> u16 {
    let mut any = None;
    for range in accepted.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| {
            part.strip_prefix("q=").or(part.strip_prefix("Q="))?.trim().parse::<f32>().ok()
        });
        let weight = (quality.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u16;
        if name.eq_ignore_ascii_case(coding)
            || (coding == "gzip" && name.eq_ignore_ascii_case("x-gzip"))
        {
            return weight;
        }
        if name == "*" {
            any = Some(weight);
        }
    }
    any.unwrap_or(u16::from(coding == "identity"))
}

/// Whether the client has the form already (RFC 9110 §13.1.2).
fn is_known(known: &str, tag: &HeaderValue) -> bool {
    known.split(',').map(str::trim).any(|entry| {
        entry == "*" || entry.strip_prefix("W/").unwrap_or(entry).as_bytes() == tag.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accepted: &str, expected: &str) {
        let forms = CODINGS.map(|(coding, _)| Form {
            coding,
            body: Bytes::new(),
            tag: HeaderValue::from_static("\"\""),
        });
        assert_eq!(chosen(&forms, accepted).map(|form| form.coding), Some(expected), "{accepted}");
    }

    #[test]
    fn a_client_gets_the_coding_that_it_likes_best() {
        check("gzip, deflate, br, zstd", "br");
        check("gzip, deflate", "gzip");
        check("br;q=0.5, gzip", "gzip");
        check("BR", "br");
        check("x-gzip", "gzip");
        check("gzip ; q=0.2 , br ; q=0", "gzip");
        check("*", "br");
        check("*;q=0.1, br;q=0", "gzip");
        check("identity;q=0.5, gzip;q=0.1", "identity");
        check("", "identity");
        check("deflate", "identity");
        check("gzip;q=nonsense", "gzip");
        // Nothing is left to send but the file itself.
        check("identity;q=0, *;q=0", "identity");
    }

    #[tokio::test]
    async fn each_script_and_style_is_there_in_each_coding_under_a_tag_of_its_own() {
        let ask = |path: &str, headers: &[(header::HeaderName, &str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.clone(), value.parse().unwrap()))
                .collect();
            read(PathParams(path.to_owned()), headers)
        };
        let names: Vec<&String> =
            ASSETS.keys().filter(|name| name.ends_with(".js") || name.ends_with(".css")).collect();
        assert!(names.len() >= 2, "{names:?}");
        for name in names {
            let mut tags = Vec::new();
            let mut sizes = Vec::new();
            for coding in ["br", "gzip", "identity"] {
                let response = ask(name, &[(header::ACCEPT_ENCODING, coding)]).await.unwrap();
                let headers = response.headers().clone();
                let expected = (coding != "identity").then_some(coding);
                assert_eq!(
                    headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap()),
                    expected
                );
                assert_eq!(headers[header::VARY], "Accept-Encoding");
                let tag = headers[header::ETAG].to_str().unwrap().to_owned();
                let again = [
                    (header::ACCEPT_ENCODING, coding),
                    (header::IF_NONE_MATCH, &*format!("\"other\", W/{tag}")),
                ];
                let again = ask(name, &again).await.unwrap();
                assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
                assert_eq!(again.headers()[header::VARY], "Accept-Encoding");
                sizes.push(
                    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().len(),
                );
                tags.push(tag);
            }
            assert!(sizes.is_sorted() && sizes[0] < sizes[2] / 2, "{name}: {sizes:?}");
            tags.dedup();
            assert_eq!(tags.len(), 3);
            assert!(
                ask(&format!("{name}.br"), &[]).await.is_err(),
                "what was made for a coding is no file of its own"
            );
        }
    }

    // B01: an answer takes no copy of its file, however many readers have not taken theirs.
    #[tokio::test]
    async fn answers_share_the_bytes_of_a_file() {
        for name in ASSETS.keys() {
            for coding in ["br", "gzip", "identity"] {
                let mut answers = Vec::new();
                for _ in 0..2 {
                    let headers =
                        [(header::ACCEPT_ENCODING, HeaderValue::from_static(coding))].into_iter();
                    let answer = read(PathParams(name.clone()), headers.collect()).await.unwrap();
                    answers.push(axum::body::to_bytes(answer.into_body(), usize::MAX).await);
                }
                let [Ok(one), Ok(other)] = &answers[..] else { panic!("{name}: {answers:?}") };
                assert!(!one.is_empty());
                assert_eq!(one.as_ptr(), other.as_ptr(), "{name} {coding}");
            }
        }
    }
}

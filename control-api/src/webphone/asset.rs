//! The built page's files, embedded in the binary. Their names hold a hash of their content, so that browsers may keep them for good.

use crate::problem::{PathParams, Problem};
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// The build's output; `build.rs` sees to it that it is there.
#[derive(rust_embed::RustEmbed)]
#[folder = "web/dist/"]
pub struct Dist;

/// One file of `assets/`.
pub async fn read(PathParams(path): PathParams<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let file = Dist::get(&format!("assets/{path}")).ok_or_else(|| Problem::not_found("there is no such file"))?;
    let tag: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = HeaderValue::from_str(&format!("\"{tag}\"")).expect("hexadecimal in quotes");
    let kind = HeaderValue::from_str(file.metadata.mimetype()).expect("media types are plain ASCII");
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == tag);
    let body = if is_known { Vec::new() } else { file.data.into_owned() };
    let mut response = (if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK }, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

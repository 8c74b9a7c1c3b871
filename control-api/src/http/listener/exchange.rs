//! One request and its answer, as HTTP itself asks: exactly one host (RFC 9112 §3.2), an end of the
//! connection that is announced if a body stays unread (§9.6), and word to browsers that they come
//! by HTTPS only (RFC 6797).

use crate::problem::Problem;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Request, Response, Version, header};
use axum::response::IntoResponse;
use hyper::body::{Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tower::Service;

/// Looks for the rest of a body that was refused, before the connection is given up for it.
const DRAIN_TURNS: usize = 8;
/// Longest such rest in bytes.
const DRAIN_LEN: usize = 64 * 1024;

/// Answers one request by the router.
pub async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    mut router: Router,
    tells_https: bool,
) -> Result<Response<Body>, Infallible> {
    let (mut parts, incoming) = request.into_parts();
    let body = SharedBody::new(incoming, parts.headers.contains_key(header::EXPECT));
    let checked = check_host(parts.version, &parts.headers);
    let mut response = match checked {
        Ok(()) => {
            parts.extensions.insert(ConnectInfo(peer));
            router.call(Request::from_parts(parts, Body::new(body.clone()))).await?
        }
        Err(problem) => problem.into_response(),
    };
    if !body.drain().await {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if tells_https {
        let year = HeaderValue::from_static("max-age=31536000");
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    Ok(response)
}

/// RFC 9112 §3.2: any request with more than one Host or an unreadable one, and one of HTTP/1.1
/// without, is answered 400.
fn check_host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let refused = |detail: &str| {
        Err(Problem::bad_request("invalid_host", format!("Host: {detail}"))
            .with_field("Host", detail))
    };
    match (hosts.next(), hosts.next()) {
        (None, _) if version < Version::HTTP_11 => Ok(()),
        (None, _) => refused("is missing"),
        (Some(_), Some(_)) => refused("is given more than once"),
        (Some(host), None) => {
            let is_host = |text: &str| text.parse::<Authority>().is_ok() && !text.contains('@');
            if host.to_str().is_ok_and(is_host) {
                Ok(())
            } else {
                refused("allowed is a host with or without a port")
            }
        }
    }
}

/// A request's body, read by its resource and looked at once more behind it.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Reading>>);

struct Reading {
    incoming: Incoming,
    /// Nothing more comes.
    is_ended: bool,
    /// The client waits for word before it sends (RFC 9110 §10.1.1); asking for the body would be
    /// that word.
    is_held_back: bool,
}

impl SharedBody {
    fn new(incoming: Incoming, is_held_back: bool) -> Self {
        let is_ended = incoming.is_end_stream();
        Self(Arc::new(Mutex::new(Reading { incoming, is_ended, is_held_back })))
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes over what has arrived of the body. False if there may be more of it, so that no other
    /// request can follow.
    async fn drain(&self) -> bool {
        let (mut left, mut turns) = (DRAIN_LEN, DRAIN_TURNS);
        loop {
            let polled = {
                let mut reading = self.lock();
                if reading.is_ended || reading.is_held_back {
                    return reading.is_ended;
                }
                reading.poll(&mut Context::from_waker(std::task::Waker::noop()))
            };
            match polled {
                Poll::Ready(Some(Ok(frame))) => {
                    match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                        Some(rest) => left = rest,
                        None => return false,
                    }
                }
                Poll::Ready(Some(Err(_))) => return false,
                Poll::Ready(None) => return true,
                // The connection reads on while this waits.
                Poll::Pending if turns > 0 => {
                    turns -= 1;
                    tokio::task::yield_now().await;
                }
                Poll::Pending => return false,
            }
        }
    }
}

impl Reading {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_held_back = false;
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        self.is_ended |= matches!(polled, Poll::Ready(None)) || self.incoming.is_end_stream();
        polled
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.lock().poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_ended
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_one_host() {
        for (hosts, version, expected) in [
            (&["api.example"][..], Version::HTTP_11, true),
            (&["[2001:db8::1]:8080"], Version::HTTP_11, true),
            (&["127.0.0.1:8080"], Version::HTTP_10, true),
            (&[], Version::HTTP_10, true),
            (&[], Version::HTTP_11, false),
            (&["a", "a"], Version::HTTP_11, false),
            (&["a", "b"], Version::HTTP_10, false),
            (&["a, b"], Version::HTTP_11, false),
            (&[""], Version::HTTP_11, false),
            (&["a/b"], Version::HTTP_11, false),
            (&["user@a"], Version::HTTP_11, false),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            assert_eq!(check_host(version, &headers).is_ok(), expected, "{hosts:?} {version:?}");
        }
    }
}

//! From a TCP connection to a WebSocket for SIP: TLS, then the HTTP upgrade with its checks (RFC
//! 6455 §4.2, RFC 7118 §4).

use super::certificate::Certificate;
use async_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request, Response,
};
use async_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::{WebSocketStream, accept_hdr_async_with_config};
use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::TlsAcceptor;
use std::cell::Cell;
use std::rc::Rc;

/// Longest message, and longest frame of one.
pub const MESSAGE_LEN: usize = 64 * 1024;
const SUB_PROTOCOL: &str = "sip";
/// Bytes read at once.
pub const BUFFER_LEN: usize = 4096;

/// How connections are protected.
#[derive(Clone)]
pub enum Security {
    /// For development, on a loopback address only.
    Plain,
    Tls(Rc<Certificate<TlsAcceptor>>),
}

/// Why a connection did not become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Tls,
    /// Not HTTP, or not an upgrade.
    Http,
    Origin,
    SubProtocol,
}

/// Bytes of either kind of connection.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

/// Shakes hands; the caller bounds the time.
pub async fn upgrade(
    tcp: impl Bytes + 'static,
    security: &Security,
    origins: &[String],
) -> Result<WebSocketStream<Box<dyn Bytes>>, Refused> {
    let stream: Box<dyn Bytes> = match security {
        Security::Plain => Box::new(tcp),
        Security::Tls(certificate) => {
            Box::new(certificate.current().accept(tcp).await.map_err(|_| Refused::Tls)?)
        }
    };
    let refused = Cell::new(Refused::Http);
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_LEN)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MESSAGE_LEN)
        .max_message_size(Some(MESSAGE_LEN))
        .max_frame_size(Some(MESSAGE_LEN));
    let check = Check { origins, refused: &refused };
    accept_hdr_async_with_config(stream, check, Some(config)).await.map_err(|_| refused.get())
}

/// Looks at the request of an upgrade.
struct Check<'a> {
    origins: &'a [String],
    refused: &'a Cell<Refused>,
}

impl Check<'_> {
    fn refuse(&self, why: Refused, code: StatusCode, text: &str) -> ErrorResponse {
        self.refused.set(why);
        let mut response = ErrorResponse::new(Some(format!("{text}\n")));
        *response.status_mut() = code;
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

impl Callback for Check<'_> {
    fn on_request(
        self,
        request: &Request,
        mut response: Response,
    ) -> Result<Response, ErrorResponse> {
        let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        if !self.origins.is_empty()
            && !origin.is_some_and(|origin| self.origins.iter().any(|each| each == origin))
        {
            return Err(self.refuse(
                Refused::Origin,
                StatusCode::FORBIDDEN,
                "this origin is not allowed",
            ));
        }
        let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let mut offered =
            offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        if !offered.any(|each| each.trim() == SUB_PROTOCOL) {
            return Err(self.refuse(
                Refused::SubProtocol,
                StatusCode::BAD_REQUEST,
                "the sub-protocol sip is needed",
            ));
        }
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUB_PROTOCOL));
        Ok(response)
    }
}

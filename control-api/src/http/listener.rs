//! HTTP/1.1 on a TCP listener, with TLS or without: bounded connections, in all and of one address,
//! slow clients cut off, requests finished before the end, and answers heard also by a client that
//! is still sending.

mod exchange;
mod paced;
mod slots;

pub use paced::Patience;
pub use slots::Caps;

use super::tls::{Security, Stream};
use crate::metrics::Metrics;
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use paced::Paced;
use slots::{Slot, Slots};
use socket2::SockRef;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Time in which a client has to send a request's head, also between the requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that a client has for ending its side of a connection which was ended here.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest head of a request in bytes.
const MAX_HEAD_LEN: usize = 32 * 1024;
/// Bytes that the kernel takes of an answer before its reader has taken those of before.
const UNSENT_LEN: u32 = 64 * 1024;

/// What is served to whom.
#[derive(Clone)]
pub struct Service {
    /// Names the listener in metrics.
    pub name: &'static str,
    pub router: Router,
    pub security: Security,
    pub caps: Caps,
    pub patience: Patience,
    /// Whether browsers are told to come by HTTPS only.
    pub tells_https: bool,
    pub metrics: Metrics,
}

/// Serves until `shutdown`, then waits for the requests that run.
pub async fn serve(listener: TcpListener, service: Service, shutdown: CancellationToken) {
    let slots = Slots::new(service.caps.clone(), Instant::now());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((tcp, peer)) => {
                let (slot, displaced) = slots.take(peer.ip(), Instant::now());
                if let Some(displaced) = displaced {
                    service.metrics.connection_cut(service.name, displaced.word());
                }
                connections.spawn(serve_connection(
                    tcp,
                    peer,
                    slot,
                    service.clone(),
                    shutdown.clone(),
                ));
            }
            Err(error) => {
                // Out of descriptors, most likely: those in use come back.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve_connection(
    tcp: TcpStream,
    peer: SocketAddr,
    slot: Slot,
    service: Service,
    shutdown: CancellationToken,
) {
    // Answers are written whole; waiting to fill a segment would only delay them.
    let _ = tcp.set_nodelay(true);
    let _ = SockRef::from(&tcp).set_tcp_notsent_lowat(UNSENT_LEN);
    let handshake = tokio::select! {
        handshake = service.security.accept(tcp) => handshake,
        () = slot.cut.cancelled() => return,
    };
    let mut stream = match handshake {
        Ok(stream) => Paced::new(stream, slot.progress.clone(), service.patience),
        Err(error) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            return;
        }
    };
    let ended = tokio::select! {
        ended = answer_requests(&mut stream, peer, &service, shutdown) => ended,
        () = slot.cut.cancelled() => return reset(&stream.stream),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended early");
        if is_timeout(&error) {
            service.metrics.connection_cut(service.name, "slow_reader");
            return reset(&stream.stream);
        }
    }
    // Bytes left unread, of a body that was refused, would turn the end into a reset that overtakes
    // the answer (RFC 9112 §9.6).
    let linger = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    tokio::select! {
        _ = tokio::time::timeout(LINGER_TIMEOUT, linger) => {}
        () = slot.cut.cancelled() => {}
    }
}

/// Has the kernel forget what a reader did not take as well.
fn reset(stream: &Stream) {
    let _ = SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO));
}

fn is_timeout(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

/// Answers until either side ends the connection, or until the request that runs at `shutdown` is
/// answered.
async fn answer_requests(
    stream: &mut Paced<Stream>,
    peer: SocketAddr,
    service: &Service,
    shutdown: CancellationToken,
) -> hyper::Result<()> {
    let Service { router, tells_https, .. } = service;
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        exchange::answer(request, peer, router.clone(), *tells_https)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_LEN)
            .serve_connection(TokioIo::new(stream), answer)
    );
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use socket2::{Domain, Socket, Type};
    use std::convert::Infallible;
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const PIECE: &[u8] = &[0; 16 * 1024];

    // B01: neither its place nor much of an answer is held for who takes none.
    #[tokio::test]
    async fn a_reader_that_takes_nothing_holds_little_and_is_cut() {
        let given = Arc::<AtomicUsize>::default();
        let giving = given.clone();
        let endless = move || {
            let giving = giving.clone();
            let pieces = futures_util::stream::repeat_with(move || {
                giving.fetch_add(PIECE.len(), Ordering::Relaxed);
                Ok::<_, Infallible>(Bytes::from_static(PIECE))
            });
            std::future::ready(Body::from_stream(pieces))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Metrics::default();
        let service = Service {
            name: "public",
            router: Router::new().route("/", get(endless)),
            security: Security::Plain,
            caps: Caps { total: 10, per_address: 10, proxies: Vec::new() },
            patience: Patience { timeout: Duration::from_millis(300), ..Patience::default() },
            tells_https: false,
            metrics: metrics.clone(),
        };
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, service, shutdown.clone()));
        let mut client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_recv_buffer_size(4096).unwrap();
        client.connect(&address.into()).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let cut = "connections_cut_total{listener=\"public\",reason=\"slow_reader\"} 1";
        let cutting = async {
            while !metrics.print(0, 0, storage::OutboxDepth::default(), &[]).contains(cut) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), cutting).await.expect("it is never cut");
        let given = given.load(Ordering::Relaxed);
        assert!(given < 1024 * 1024, "{given} bytes wait for it");
        shutdown.cancel();
        serving.await.unwrap();
    }
}

//! HTTP/1.1 on a TCP listener, with TLS or without: bounded connections, slow clients cut off, requests finished before the end, and answers
//! heard also by a client that is still sending.

use crate::tls::{Security, Stream};
use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Time in which a client has to send a request's head, also between the requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that a client has for ending its side of a connection which was ended here.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest head of a request in bytes.
const MAX_HEAD_LEN: usize = 32 * 1024;

/// Serves until `shutdown`, then waits for the requests that run.
pub async fn serve(listener: TcpListener, security: Security, router: Router, max_connections: u32, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(max_connections as usize));
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot.expect("the semaphore is never closed"),
            () = shutdown.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((tcp, peer)) => {
                let (security, router, shutdown) = (security.clone(), router.clone(), shutdown.clone());
                tokio::spawn(async move {
                    serve_connection(tcp, peer, &security, router, shutdown).await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: those in use come back.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    // All are back when each connection has ended.
    let _ = slots.acquire_many(max_connections).await;
}

async fn serve_connection(tcp: TcpStream, peer: SocketAddr, security: &Security, router: Router, shutdown: CancellationToken) {
    // Answers are written whole; waiting to fill a segment would only delay them.
    let _ = tcp.set_nodelay(true);
    let mut stream = match security.accept(tcp).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            return;
        }
    };
    if let Err(error) = answer_requests(&mut stream, peer, router, shutdown).await {
        tracing::debug!(%peer, %error, "connection ended early");
    }
    // Bytes left unread, of a body that was refused, would turn the end into a reset that overtakes the answer (RFC 9112 §9.6).
    let linger = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(LINGER_TIMEOUT, linger).await;
}

/// Answers until either side ends the connection, or until the request that runs at `shutdown` is answered.
async fn answer_requests(
    stream: &mut Stream,
    peer: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_LEN)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

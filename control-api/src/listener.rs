//! HTTP/1.1 on a TCP listener, with TLS or without: bounded connections, slow clients cut off, requests finished before the end.

use crate::tls::Security;
use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Time in which a client has to send a request's head, also between the requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest head of a request in bytes.
const MAX_HEAD_LEN: usize = 32 * 1024;

/// Serves until `shutdown`, then waits for the requests that run.
pub async fn serve(
    listener: TcpListener,
    security: Security,
    router: Router,
    max_connections: usize,
    shutdown: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(max_connections));
    let graceful = GracefulShutdown::new();
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
                let (security, router, watcher) = (security.clone(), router.clone(), graceful.watcher());
                tokio::spawn(async move {
                    serve_connection(tcp, peer, &security, router, watcher).await;
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
    graceful.shutdown().await;
}

async fn serve_connection(tcp: TcpStream, peer: SocketAddr, security: &Security, router: Router, watcher: Watcher) {
    // Answers are written whole; waiting to fill a segment would only delay them.
    let _ = tcp.set_nodelay(true);
    let stream = match security.accept(tcp).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            return;
        }
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_LEN)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%peer, %error, "connection ended early");
    }
}

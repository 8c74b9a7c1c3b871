//! A connection whose reader is not waited for without end: what was given to be written has to be
//! taken at a least rate. Besides, it notes each byte that moves, and gives the bare refusals that
//! hyper makes by itself the body that every error has.

use super::slots::Progress;
use crate::problem::Problem;
use axum::http::StatusCode;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a reader is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Time for which it may take nothing.
    pub timeout: Duration,
    /// Bytes by which one that takes little gets another second.
    pub least_rate: f64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), least_rate: 2048.0 }
    }
}

/// A connection whose client must read and write at some pace.
pub struct Paced<S> {
    pub stream: S,
    progress: Progress,
    patience: Patience,
    /// When the reader has to have taken what waits; none while nothing waits.
    due: Option<Pin<Box<Sleep>>>,
    /// What is written in place of a refusal of hyper's, and the length of that.
    instead: Option<(Vec<u8>, usize)>,
}

impl<S: AsyncWrite + Unpin> Paced<S> {
    pub fn new(stream: S, progress: Progress, patience: Patience) -> Self {
        Self { stream, progress, patience, due: None, instead: None }
    }

    fn moved(&mut self, len: usize) {
        let now = Instant::now();
        self.progress.mark(now.into_std());
        if let Some(due) = &mut self.due {
            let deadline =
                due.deadline() + Duration::from_secs_f64(len as f64 / self.patience.least_rate);
            due.as_mut().reset(deadline.min(now + self.patience.timeout));
        }
    }

    /// Waits for the reader, unless its time is over.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let timeout = self.patience.timeout;
        let due = self.due.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + timeout)));
        ready!(due.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no answer")))
    }

    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(written) => {
                self.moved(*written.as_ref().unwrap_or(&0));
                Poll::Ready(written)
            }
            Poll::Pending => self.wait(cx),
        }
    }

    /// Writes what stands in place of a bare refusal; the whole refusal counts as written at its
    /// end.
    fn write_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let Some((text, replaced_len)) = &mut self.instead else { return Poll::Ready(Ok(0)) };
            if text.is_empty() {
                let len = *replaced_len;
                self.instead = None;
                return Poll::Ready(Ok(len));
            }
            let written = Pin::new(&mut self.stream).poll_write(cx, text);
            match ready!(self.written(written, cx)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(len) => self.instead.iter_mut().for_each(|(text, _)| drop(text.drain(..len))),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.progress.mark(std::time::Instant::now());
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            self.instead = refusal_in_place_of(bytes);
        }
        if self.instead.is_some() {
            return self.write_instead(cx);
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            self.instead = slices
                .iter()
                .find(|slice| !slice.is_empty())
                .and_then(|slice| refusal_in_place_of(slice));
        }
        if self.instead.is_some() {
            return self.write_instead(cx);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(flushed) => {
                self.due = None;
                Poll::Ready(flushed)
            }
            Poll::Pending => self.wait(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What is said instead of an answer that hyper gives to a head which it cannot read: alone and
/// without a body, unlike any of ours.
fn refusal_in_place_of(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let text = std::str::from_utf8(bytes.strip_prefix(b"HTTP/1.1 4").map(|_| bytes)?).ok()?;
    let head = text.strip_suffix("\r\n\r\n").filter(|head| !head.contains("\r\n\r\n"))?;
    if !head.split("\r\n").any(|line| line.eq_ignore_ascii_case("content-length: 0")) {
        return None;
    }
    let status: StatusCode = head.get(9..12)?.parse().ok()?;
    let (code, detail) = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            ("head_too_large", "the request's head has more than 100 lines, or more than 32 KiB")
        }
        StatusCode::URI_TOO_LONG => ("uri_too_long", "the path with its query is too long"),
        _ => ("malformed_head", "the request's head is not HTTP/1.1 as in RFC 9112"),
    };
    let body = serde_json::to_string(&Problem::new(status, code, detail).body)
        .expect("texts and numbers only");
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\n\
            cache-control: no-store\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    Some((answer.into_bytes(), bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::super::slots::{Caps, Slots};
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn paced<S: AsyncWrite + Unpin>(stream: S) -> Paced<S> {
        let now = std::time::Instant::now();
        let slots = Slots::new(Caps { total: 1, per_address: 1, proxies: Vec::new() }, now);
        let progress = slots.take("127.0.0.1".parse().unwrap(), now).0.progress.clone();
        Paced::new(
            stream,
            progress,
            Patience { timeout: Duration::from_millis(500), least_rate: 1e6 },
        )
    }

    // B01
    #[tokio::test]
    async fn a_reader_that_takes_nothing_or_a_trickle_is_given_up() {
        for (pause, expected) in
            [(None, None), (Some(Duration::from_millis(50)), Some(io::ErrorKind::TimedOut))]
        {
            let (ours, mut theirs) = tokio::io::duplex(4096);
            let reading = tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while theirs.read(&mut bytes).await.is_ok_and(|len| len > 0) {
                    if let Some(pause) = pause {
                        tokio::time::sleep(pause).await;
                    }
                }
            });
            let mut connection = paced(ours);
            let written = connection.write_all(&[0; 1_000_000]).await;
            assert_eq!(written.err().map(|error| error.kind()), expected, "{pause:?}");
            drop(connection);
            reading.await.unwrap();
        }
        let (ours, _theirs) = tokio::io::duplex(1024);
        assert_eq!(
            paced(ours).write_all(&[0; 4096]).await.unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
    }

    #[tokio::test]
    async fn refusals_of_hyper_get_a_body_and_nothing_else_does() {
        for (head, code) in [
            (
                "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                    content-length: 0\r\n\r\n",
                "head_too_large",
            ),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\ndate: x\r\n\r\n", "malformed_head"),
        ] {
            let (ours, mut theirs) = tokio::io::duplex(16);
            let writing =
                tokio::spawn(async move { paced(ours).write_all(head.as_bytes()).await.unwrap() });
            let mut text = String::new();
            theirs.read_to_string(&mut text).await.unwrap();
            writing.await.unwrap();
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["code"], code, "{text}");
        }
        for other in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\n{}",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 4",
        ] {
            assert!(refusal_in_place_of(other.as_bytes()).is_none(), "{other}");
        }
    }
}

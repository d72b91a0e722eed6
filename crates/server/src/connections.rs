//! Connections: how many there are, how long each may take, and who gives way when all are taken.
//!
//! No client can hold the server up: the head of a request and each stretch of an answer have their time, and when all
//! places are taken, whoever has most of them gives one up, a connection that is doing nothing before one that is being
//! answered. It knows nothing of caches: what is answered is the router's business.

use crate::limits::Limits;
use crate::seats::{Answer, Seat, Seats};
use axum::Router;
use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Sleep};
use tower::ServiceExt;

/// How long downloads may go on after the server was asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long to wait when the system has no more files for connections.
const PAUSE: Duration = Duration::from_millis(50);

/// The answer to whoever finds no place. Nix asks again after a while.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Answers until `stop` is there; then lets downloads end, for ten seconds at most.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let seats = Arc::new(Seats::new(limits.connections));
    let (stopping, stopped) = watch::channel(false);
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(seat) = seats.take(peer.ip(), Instant::now()) else {
                    let _ = stream.try_write(BUSY);
                    continue;
                };
                let serving = connection(stream, seat, router.clone(), limits, stopped.clone());
                let alive = alive.clone();
                tokio::spawn(async move {
                    serving.await;
                    drop(alive);
                });
            }
            // Who connected is gone already.
            Err(error) if is_of_the_client(&error) => {}
            // No more files: somebody has to go first.
            Err(_) => {
                seats.make_room();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop((listener, alive));
    let _ = stopping.send(true);
    let _ = tokio::time::timeout(GRACE, all_gone.recv()).await;
    Ok(())
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

async fn connection(
    stream: TcpStream,
    seat: Seat,
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    // Small answers go out at once. Without it each waits for the client to acknowledge the one before, 40 ms as a rule.
    let _ = stream.set_nodelay(true);
    let seat = Arc::new(seat);
    let paced = Paced { io: stream, seat: Arc::clone(&seat), limits, window: None };
    let service = service_fn(|request| {
        let answer = seat.answer();
        let answering = router.clone().oneshot(request);
        async move {
            let Ok(response) = answering.await;
            Ok::<_, Infallible>(response.map(|body| Held { body, _answer: answer }))
        }
    });
    let mut serving = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(limits.head_bytes)
            .serve_connection(TokioIo::new(paced), service)
    );
    let mut is_stopping = false;
    loop {
        tokio::select! {
            // What goes wrong on a connection is over with it.
            _ = serving.as_mut() => return,
            () = seat.asked_to_leave() => return,
            _ = stopped.wait_for(|stopped| *stopped), if !is_stopping => {
                is_stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The body of an answer, for as long as it is being sent.
struct Held {
    body: Body,
    _answer: Answer,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}

/// A stream whose other end has to take what is sent to it at a pace: it is broken off when an answer had to wait for the
/// client for longer than the limits give, and too little went out meanwhile.
struct Paced<S> {
    io: S,
    seat: Arc<Seat>,
    limits: Limits,
    /// While an answer is being sent and had to wait once.
    window: Option<Window>,
}

/// How long an answer has waited for the client, and how much went out since that began. What the server itself takes
/// does not count.
struct Window {
    waited: Duration,
    sent: usize,
    /// Since when it waits now, and what ends that.
    now: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Paced<S> {
    fn paced(&mut self, context: &mut Context<'_>, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let patience = self.limits.patience;
        match &sent {
            Poll::Ready(Ok(bytes)) => {
                if let Some(window) = &mut self.window {
                    window.sent += bytes;
                    if let Some((since, _)) = window.now.take() {
                        window.waited += since.elapsed();
                    }
                    if window.sent >= self.limits.pace {
                        self.window = None;
                    }
                }
                sent
            }
            Poll::Ready(Err(_)) => sent,
            Poll::Pending => {
                let window = self.window.get_or_insert(Window { waited: Duration::ZERO, sent: 0, now: None });
                let left = patience.saturating_sub(window.waited);
                let (_, end) =
                    window.now.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
                match end.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.io).poll_write(context, bytes);
        self.paced(context, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        self.paced(context, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        if let Poll::Ready(Ok(())) = flushed
            && self.seat.sent()
        {
            self.window = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;

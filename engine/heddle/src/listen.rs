//! The listener: answers callers over HTTP/1.1, so many at once, and none that only keeps its place.
//!
//! - One more connection than there may be is answered 503 and closed.
//! - A connection that sends no whole head, or takes nothing of its answer, is closed after a while.
//! - Without a file descriptor left, accepting waits until somebody has gone.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use heddle_core::time::Clock;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::machine::{self, SystemClock};
use crate::settings::Settings;

/// Connections that are told at once that there are too many; beyond it they are just closed.
const REFUSALS: usize = 64;

/// How long a refused caller has to take its answer.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// After a connection could not be accepted because the process or the machine lacks something.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest head of a request.
const HEAD_BYTES: usize = 64 * 1024;

/// What callers may take.
#[derive(Clone, Copy, Debug)]
pub struct Callers {
    /// Connections at once.
    pub connections: usize,
    /// How long a connection may wait for the whole head of its next request, and how long it may
    /// take nothing of an answer.
    pub idle: Duration,
}

impl Callers {
    /// As the settings say, and the process may.
    pub fn of(settings: &Settings) -> Self {
        Self {
            connections: connections(settings.max_connections),
            idle: settings.caller_idle_timeout,
        }
    }
}

/// Has the process open as many files as it may, and gives the connections that callers may have: as
/// many as are wished, but no more than half of the files, since the other half is for the database
/// and for destinations.
fn connections(wished: usize) -> usize {
    // Where it may not have more, or the machine has no such limit, it stays as it is.
    let half = rlimit::increase_nofile_limit(u64::MAX).map_or(usize::MAX, |files| {
        usize::try_from(files / 2).unwrap_or(usize::MAX).max(1)
    });
    if half < wished {
        tracing::warn!(
            max_connections = half,
            "callers may have fewer connections than max_connections says: the process may open too few files (ulimit -n)"
        );
    }
    wished.min(half)
}

/// Answers callers until `stop`, then lets those that are being answered finish.
pub async fn listen(listener: TcpListener, router: Router, callers: Callers, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(callers.connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let tasks = TaskTracker::new();
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if is_of_the_caller(&error) => continue,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(%error, "callers cannot be accepted; trying again until it works");
                }
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(PAUSE) => continue,
                }
            }
        };
        if std::mem::take(&mut failing) {
            tracing::info!("callers are accepted again");
        }
        // Answers are small; waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let served = serve(stream, router.clone(), callers.idle, stop.clone());
                tasks.spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(_) => {
                if let Ok(turn) = Arc::clone(&refusals).try_acquire_owned() {
                    tasks.spawn(async move {
                        // One who does not listen is not told.
                        let _ = tokio::time::timeout(REFUSAL_TIME, refuse(stream)).await;
                        drop(turn);
                    });
                }
            }
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// What the caller did before it was accepted is no trouble of ours.
fn is_of_the_caller(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::ConnectionRefused | K::ConnectionAborted | K::ConnectionReset | K::Interrupted
    )
}

async fn serve(stream: TcpStream, router: Router, idle: Duration, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(Patient::new(stream, idle), TowerToHyperService::new(router));
    tokio::pin!(connection);
    // What a caller does wrong ends its connection, and nobody has to hear of it.
    tokio::select! {
        ended = connection.as_mut() => drop(ended),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

/// Says that there are too many, without reading what is asked.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    let body = heddle_web::too_many_connections(SystemClock.now(), machine::random());
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // Closing with something unread would take the answer back.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// A connection that gives up on a caller who takes nothing of what is written to it.
struct Patient {
    stream: TokioIo<TcpStream>,
    idle: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream, idle: Duration) -> Self {
        Self {
            stream: TokioIo::new(stream),
            idle,
            waiting: None,
        }
    }

    fn patiently<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.waiting = None;
            return poll;
        }
        let until = Instant::now() + self.idle;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Read for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.patiently(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is kept here that could wait, and an end of it says nothing about the caller.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.patiently(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.patiently(cx, poll)
    }
}

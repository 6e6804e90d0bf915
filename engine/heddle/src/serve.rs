//! `heddle serve`: the listener around the engine, until SIGTERM or Ctrl-C.

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::home::Home;
use crate::listen::{self, Callers};
use crate::settings::Settings;

/// After the stop was asked for, open connections of callers may still finish for this long.
const CALLERS_GRACE: Duration = Duration::from_secs(5);

/// Prints a line, if there is still somebody to read it: a terminal that went away is no reason to
/// stop in the middle of a stop.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// Serves until it is told to stop.
pub async fn run(settings: &Settings) -> Result<()> {
    let stop = stop_signal()?;
    let home = Home::open(&settings.data_dir, settings.master_key.as_deref())?;
    // Before anything is delivered: a start that finds its port taken must not cut off attempts.
    let listener = bind(settings.listen).await?;
    let engine = Engine::start(&home, settings).await?;
    say!(
        "heddle {} listening on http://{}",
        env!("CARGO_PKG_VERSION"),
        listener.local_addr()?
    );
    say!("  data in {}", home.path().display());
    say!("  stop with Ctrl-C");
    let stopping = CancellationToken::new();
    let served = listen::listen(
        listener,
        engine.router.clone(),
        Callers::of(settings),
        stopping.clone(),
    );
    tokio::pin!(served);
    tokio::select! {
        () = &mut served => return Ok(()),
        () = stop => {}
    }
    say!(
        "stopping: finishing what is in flight, for at most {} s",
        settings.shutdown_grace.as_secs()
    );
    stopping.cancel();
    // Callers that keep their connection open without a request would wait for ever.
    let _ = tokio::time::timeout(CALLERS_GRACE.min(settings.shutdown_grace), served).await;
    if engine.stop(settings.shutdown_grace).await {
        say!("stopped; nothing was in flight any more");
    } else {
        say!("stopped; some deliveries were still in flight and will be tried again after the next start");
    }
    Ok(())
}

/// Listens on `address`.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}; choose another address with --listen"))
}

/// Ends at the first SIGTERM or Ctrl-C.
pub fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
